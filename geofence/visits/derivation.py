"""From the fixes of one device to its stays: a pure function of fixes, fences, rules and the moment of looking."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import Near, near
from geofence.rules import Rules
from geofence.visits.cells import Cells, arrangement_of, cells_near
from geofence.visits.chain import FORGETTING, best_path, segments
from geofence.visits.cleaning import USED, judge
from geofence.visits.edges import OBSERVED_S, SEARCH_S, edge
from geofence.visits.evidence import REACH_M, SCORE_SCALE, measure, weigh
from geofence.visits.log import Stay, StayState

OPEN_NATS: Final = 1.0
CONFIRM_NATS: Final = 2.0
"""By how much the best path that ends in the fence has led, at some fix of the stay, for it to be told."""

SLOW_MPS: Final = 2.0
"""A stay is told once one of its fixes was slower than this."""

TRUSTED_S: Final = 60.0
"""At the end of all data, a stay of this long whose last fix is slow is believed to have gone on."""

MARGIN_MS: Final = int((SEARCH_S + OBSERVED_S) * 1000)
"""Fixes further than this from a stay change nothing about its edges."""

FAR_M: Final = 1e6
CONFIDENCE_NATS: Final = 2.0


@dataclass(frozen=True)
class Derivation:
    """``keep_from`` is a restart point: deriving from ``fixes[keep_from:]`` and any later fixes gives the same stays,
    except those that ended before it."""

    stays: list[Stay]
    keep_from: int


@dataclass(frozen=True, eq=False)
class Path:
    """What was made of a device's fixes: the evidence of those used and the likeliest cells.

    ``verdict`` uint8 is per fix (``cleaning.VERDICTS``); all else is per used fix (``used`` are their indices):
    ``error_m``, ``speed_mps``, ``weight``, ``edge_weight`` float64; ``found`` the rows within reach whatever their
    validity, ``found_fence`` their fences, ``held`` bool which of them hold at the fix's moment; ``cells`` their cells;
    ``outside``, ``inside``, ``elsewhere`` the scores of ``evidence.weigh``; ``label`` int32, 0 outside, c + 1 cell c.
    ``scores`` are those of each of the ``spans`` that a chain ran over; ``distances`` by fence, once asked for.
    """

    fixes: Fixes
    verdict: npt.NDArray[np.uint8]
    used: npt.NDArray[np.intp]
    error_m: npt.NDArray[np.float64]
    speed_mps: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    edge_weight: npt.NDArray[np.float64]
    found: Near
    held: npt.NDArray[np.bool_]
    cells: Cells
    outside: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    elsewhere: npt.NDArray[np.int64]
    label: npt.NDArray[np.int32]
    spans: list[tuple[int, int]]
    scores: list[npt.NDArray[np.int64]]
    found_fence: npt.NDArray[np.int32]
    distances: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass
class Spell:
    """Used fixes ``first`` to ``last`` at a fence, within one period of its validity (rows of the fence set)."""

    fence: int
    first: int
    last: int
    rows: tuple[int, ...]
    from_ms: int
    to_ms: int


def derive_stays(
    device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int, *, ended: bool = False
) -> Derivation:
    """The stays of a device as of a moment, in order of arrival.

    ``fixes`` are ``in_order()``; those after ``as_of_ms`` are not used. The silence between the last one and
    ``as_of_ms`` is evidence. ``ended`` says that no more fixes will come: then the last stay is
    judged by what there is.
    """
    path = read_path(device_id, fixes, fences, rules, as_of_ms)
    told: list[tuple[Spell, Stay | None, bool]] = []
    for spells in _spells(path, fences, rules).values():
        for k, spell in enumerate(spells):
            before = spells[k - 1].last if k else -1
            after = spells[k + 1].first if k + 1 < len(spells) else len(path.used)
            told.append((spell, *_tell(path, spell, before, after, fences, rules, as_of_ms, ended)))
    stays = [stay for _, stay, _ in told if stay is not None]
    stays.sort(key=lambda stay: (stay.arrived_ms, stay.fence_id))
    return Derivation(stays, _keep_from(path, told))


def read_path(device_id: str, fixes: Fixes, fences: FenceSet, rules: Rules, as_of_ms: int) -> Path:
    """Clean the fixes, weigh them against the fences within reach and read the likeliest sequence of cells."""
    verdict = judge(fixes, rules.max_accuracy_m, as_of_ms)
    used = np.flatnonzero(verdict == USED)
    kept = fixes if len(used) == len(fixes) else fixes.take(used)
    lat, lon = kept.lat, kept.lon
    error_m, speed_mps, weight, edge_weight = measure(
        kept.ts_ms,
        lat,
        lon,
        kept.accuracy_dm,
        kept.speed_cm_s,
        as_of_ms,
        rules.unstated_error_m,
        rules.max_error_m,
        rules.correlation_s,
    )
    found = near(fences.packed, lat, lon, REACH_M)
    at_ms = kept.ts_ms[found.point]
    held = (fences.valid_from_ms[found.row] <= at_ms) & (at_ms < fences.valid_to_ms[found.row])
    for row in arrangement_of(fences).reserved:
        if device_id not in (fences.devices[row] or ()):
            held &= found.row != row
    cells = cells_near(
        Near(found.point[held], found.row[held], found.distance_m[held]), len(used), fences, rules.prior_weight
    )
    outside, inside, elsewhere = weigh(
        cells.begins,
        cells.distance_m,
        cells.width_m,
        cells.prior,
        error_m,
        speed_mps,
        weight,
        rules.walk_mps,
        rules.drive_mps,
    )
    label = np.zeros(len(used), np.int32)
    allied = cells.allied()
    spans = [(int(first), int(end)) for first, end in zip(*segments(cells.begins, weight), strict=True)]
    scores = [
        best_path(
            kept.ts_ms,
            cells.begins,
            cells.cell,
            outside,
            inside,
            elsewhere,
            first,
            end,
            allied,
            rules.stay_scale_s,
            label,
        )
        for first, end in spans
    ]
    return Path(
        kept,
        verdict,
        used,
        error_m,
        speed_mps,
        weight,
        edge_weight,
        found,
        held,
        cells,
        outside,
        inside,
        elsewhere,
        label,
        spans,
        scores,
        fences.fence_of_row[found.row],
    )


def _spells(path: Path, fences: FenceSet, rules: Rules) -> dict[int, list[Spell]]:
    """The spells of each fence, in order; short absences nearby are bridged."""
    runs: dict[int, list[list[int]]] = {}
    label = path.label
    changes = np.flatnonzero(np.diff(label)) + 1
    for first, end in zip([0, *changes.tolist()], [*changes.tolist(), len(label)], strict=True):
        if first == end or label[first] == 0:
            continue
        for fence in path.cells.places[label[first] - 1]:
            spells = runs.setdefault(fence, [])
            if spells and spells[-1][1] == first - 1:
                spells[-1][1] = end - 1
            else:
                spells.append([first, end - 1])
    result: dict[int, list[Spell]] = {}
    for fence, pairs in runs.items():
        spells_of = result[fence] = []
        for rows, from_ms, to_ms in _periods(fence, fences):
            for first, last in pairs:
                first = max(first, int(np.searchsorted(path.fixes.ts_ms, from_ms)))
                last = min(last, int(np.searchsorted(path.fixes.ts_ms, to_ms)) - 1)
                if first > last:
                    continue
                spell = Spell(fence, first, last, rows, from_ms, to_ms)
                if spells_of and spells_of[-1].rows == rows and _bridges(path, spells_of[-1], spell, rules):
                    spells_of[-1].last = last
                else:
                    spells_of.append(spell)
    return result


def _periods(fence: int, fences: FenceSet) -> list[tuple[tuple[int, ...], int, int]]:
    """Spans of event time in which the fence holds without a pause: (its rows, from, to)."""
    rows = np.flatnonzero(fences.fence_of_row == fence)
    periods: list[tuple[tuple[int, ...], int, int]] = []
    for row in sorted(rows.tolist(), key=lambda row: int(fences.valid_from_ms[row])):
        from_ms, to_ms = int(fences.valid_from_ms[row]), int(fences.valid_to_ms[row])
        if periods and periods[-1][2] == from_ms:
            periods[-1] = ((*periods[-1][0], row), periods[-1][1], to_ms)
        else:
            periods.append(((row,), from_ms, to_ms))
    return periods


def _distances(path: Path, fence: int, first: int, end: int) -> npt.NDArray[np.float64]:
    """Signed distance of used fixes ``first`` to ``end`` to a fence, in its shape of the moment."""
    distance_m = path.distances.get(fence)
    if distance_m is None:
        at = np.flatnonzero((path.found_fence == fence) & path.held)
        distance_m = path.distances[fence] = np.full(len(path.used), FAR_M)
        distance_m[path.found.point[at]] = path.found.distance_m[at]
    return distance_m[first:end]


def _bridges(path: Path, before: Spell, after: Spell, rules: Rules) -> bool:
    ts_ms = path.fixes.ts_ms
    if ts_ms[after.first] - ts_ms[before.last] > rules.bridge_s * 1000.0:
        return False
    return not _drove_off(path, before, after.first, rules)


def _drove_off(path: Path, spell: Spell, end: int, rules: Rules) -> bool:
    """Whether the fixes between a spell and ``end`` are a drive away, not a walk to the van."""
    first = spell.last + 1
    if np.count_nonzero(path.speed_mps[first:end] > rules.drive_mps) < 2:
        return False
    away_m = _distances(path, spell.fence, first, end) - path.error_m[first:end]
    return bool(np.median(away_m) > rules.bridge_m)


def _edge_of(
    path: Path, spell: Spell, before: int, after: int, fences: FenceSet, rules: Rules, *, arrival: bool
) -> tuple[int, int, int]:
    """(edge, earliest, latest), epoch ms; see ``edges.edge``."""
    ts_ms = path.fixes.ts_ms
    margin_ms = MARGIN_MS
    # One fix beyond the margin is kept: a silence ends at it.
    low = max(before + 1, int(np.searchsorted(ts_ms, ts_ms[spell.first] - margin_ms)) - 1, 0)
    high = min(after, int(np.searchsorted(ts_ms, ts_ms[spell.last] + margin_ms, "right")) + 1)
    low = max(low, int(np.searchsorted(ts_ms, spell.from_ms)))
    high = min(high, int(np.searchsorted(ts_ms, spell.to_ms)))
    columns: list[Any] = [
        (ts_ms[low:high] - ts_ms[spell.first]) / 1000.0,
        path.fixes.lat[low:high],
        path.fixes.lon[low:high],
        _distances(path, spell.fence, low, high),
        path.error_m[low:high],
        path.speed_mps[low:high],
        path.edge_weight[low:high],
    ]
    first, last = spell.first - low, spell.last - low
    if not arrival:
        columns = [-columns[0][::-1], *(np.ascontiguousarray(column[::-1]) for column in columns[1:])]
        first, last = high - low - 1 - last, high - low - 1 - first
    width_m = float(fences.width_m[spell.rows[-1]])
    columns += [width_m, rules.walk_mps, rules.drive_mps, arrival, first, last]
    found: tuple[float, float, float] = edge(*columns)
    base_ms = int(ts_ms[spell.first])
    at_ms, near_ms, far_ms = (round(moment_s * 1000.0) for moment_s in found)
    if arrival:
        return base_ms + at_ms, base_ms + near_ms, base_ms + far_ms
    return base_ms - at_ms, base_ms - far_ms, base_ms - near_ms


def _tell(
    path: Path,
    spell: Spell,
    before: int,
    after: int,
    fences: FenceSet,
    rules: Rules,
    as_of_ms: int,
    ended: bool,
) -> tuple[Stay | None, bool]:
    """The stay of a spell, None where there is nothing to log, and whether later fixes can no longer change it."""
    ts_ms = path.fixes.ts_ms
    n = len(path.used)
    arrived, arrived_earliest, arrived_latest = _edge_of(path, spell, before, after, fences, rules, arrival=True)
    reason = "arrived"
    row = _row_at(spell, int(ts_ms[spell.first]), fences)
    if spell.first == 0 or _was_inside(path, spell.first - 1, row, int(fences.valid_from_ms[row])):
        reason = "initially_inside"
        if spell.first > 0:
            arrived = arrived_earliest = arrived_latest = int(fences.valid_from_ms[row])
    arrived = max(arrived, spell.from_ms)
    arrived_earliest = max(arrived_earliest, spell.from_ms)
    arrived_latest = max(arrived_latest, arrived)
    distance_m = _distances(path, spell.fence, spell.first, spell.last + 1)
    touched = bool((distance_m <= path.error_m[spell.first : spell.last + 1]).any())
    since_last_ms = as_of_ms - int(ts_ms[spell.last])
    expired = spell.to_ms <= as_of_ms
    gone = ended or after < n or since_last_ms > rules.bridge_s * 1000.0 or _drove_off(path, spell, n, rules)
    present = spell.last == n - 1
    closed = expired or (gone and not present)
    final = closed and (n == 0 or int(ts_ms[-1]) - int(ts_ms[spell.last]) > MARGIN_MS)
    row = spell.rows[-1] if not expired else _row_at(spell, spell.to_ms - 1, fences)
    min_on_site_s = _min_on_site(row, fences, rules)
    last_ms = int(ts_ms[spell.last])
    departed = departed_earliest = departed_latest = None
    state: StayState
    if closed:
        reason = "departed"
        if expired and (present or _was_inside_after(path, spell)):
            departed = departed_earliest = departed_latest = spell.to_ms
            reason = "fence_changed"
        else:
            departed, departed_earliest, departed_latest = _edge_of(
                path, spell, before, after, fences, rules, arrival=False
            )
            departed = max(departed, arrived)
            departed_earliest, departed_latest = min(departed_earliest, departed), max(departed_latest, departed)
        if departed - arrived < min_on_site_s * 1000.0 or not touched:
            return None, final
        if arrived_latest > departed_earliest:
            middle = (arrived + departed) // 2
            arrived_latest = max(arrived, min(arrived_latest, middle))
            departed_earliest = min(departed, max(departed_earliest, arrived_latest))
        state = "closed"
    else:
        on_site_ms = last_ms - arrived
        slow_last = path.speed_mps[spell.last] <= SLOW_MPS
        stayed = on_site_ms >= min_on_site_s * 1000.0
        likely = on_site_ms >= min_on_site_s * 500.0 or (on_site_ms >= TRUSTED_S * 1000.0 and slow_last)
        waited = ended or as_of_ms - arrived >= min_on_site_s * 1000.0
        margin = _margin(path, spell)
        slow = bool((path.speed_mps[spell.first : spell.last + 1] <= SLOW_MPS).any())
        if not touched:
            return None, False
        if (stayed or (present and likely and waited)) and (margin >= CONFIRM_NATS or ended):
            state = "confirmed"
        elif margin >= OPEN_NATS and slow and not ended:
            state = "open"
        else:
            return None, False
        arrived_latest = max(arrived, min(arrived_latest, max(last_ms, arrived)))
    until_ms = departed if departed is not None else max(last_ms, arrived)
    shortest_ms = (departed_earliest if departed_earliest is not None else until_ms) - arrived_latest
    longest_ms = (departed_latest if departed_latest is not None else until_ms) - arrived_earliest
    return (
        Stay(
            fence_id=fences.fence_ids[spell.fence],
            fence_version=int(fences.version[_row_at(spell, min(last_ms, spell.to_ms - 1), fences)]),
            state=state,
            arrived_ms=arrived,
            arrived_earliest_ms=min(arrived_earliest, arrived),
            arrived_latest_ms=arrived_latest,
            departed_ms=departed,
            departed_earliest_ms=departed_earliest,
            departed_latest_ms=departed_latest,
            on_site_s=(until_ms - arrived) / 1000.0,
            on_site_min_s=max(0, shortest_ms) / 1000.0,
            on_site_max_s=max(longest_ms, until_ms - arrived) / 1000.0,
            confidence=_confidence(path, spell),
            reason=reason,
            fixes=spell.last - spell.first + 1,
        ),
        final,
    )


def _min_on_site(row: int, fences: FenceSet, rules: Rules) -> float:
    stated = float(fences.min_on_site_s[row])
    return rules.min_on_site_s if math.isnan(stated) else stated


def min_on_site_of(fence: int, version: int, fences: FenceSet, rules: Rules) -> float:
    """How long a stay at a version of a fence must be to be a visit, seconds."""
    rows = np.flatnonzero((fences.fence_of_row == fence) & (fences.version == version))
    return _min_on_site(int(rows[0]), fences, rules)


def distances_to_fence(path: Path, fence: int) -> npt.NDArray[np.float64]:
    """Signed distance of each used fix to a fence, in its shape of the moment; ``FAR_M`` beyond reach."""
    return _distances(path, fence, 0, len(path.used))


def _row_at(spell: Spell, moment_ms: int, fences: FenceSet) -> int:
    return next((row for row in spell.rows if moment_ms < fences.valid_to_ms[row]), spell.rows[-1])


def _was_inside(path: Path, i: int, row: int, valid_from_ms: int) -> bool:
    """Whether used fix ``i``, from before a fence version began, already lay inside its shape."""
    if path.fixes.ts_ms[i] >= valid_from_ms:
        return False
    return _distance_to_row(path, i, row) <= 0.0


def _was_inside_after(path: Path, spell: Spell) -> bool:
    """Whether the first fix after a fence's end still lay inside its last shape."""
    if path.fixes.ts_ms[spell.last + 1] < spell.to_ms:
        return False
    return _distance_to_row(path, spell.last + 1, spell.rows[-1]) <= 0.0


def _distance_to_row(path: Path, i: int, row: int) -> float:
    low, high = np.searchsorted(path.found.point, (i, i + 1))
    at = np.flatnonzero(path.found.row[low:high] == row)
    return float(path.found.distance_m[low + at[0]]) if len(at) else FAR_M


def _margin(path: Path, spell: Spell) -> float:
    """How far, at best, the paths ending at the spell's fence led those that do not, at a fix of the spell (nats)."""
    at = [c + 1 for c, place in enumerate(path.cells.places) if spell.fence in place]
    others = [c for c in range(len(path.cells.places) + 1) if c not in at]
    best = -math.inf
    for (start, end), scores in zip(path.spans, path.scores, strict=True):
        first, last = max(start, spell.first), min(end - 1, spell.last)
        if first <= last:
            window = scores[first - start : last + 1 - start]
            lead = window[:, at].max(axis=1) - window[:, others].max(axis=1)
            best = max(best, float(lead.max()) / SCORE_SCALE)
    return best


def _confidence(path: Path, spell: Spell) -> float:
    """How much better the fixes of a spell are explained by its fence than by any single other place, as 0..1."""
    first, end = spell.first, spell.last + 1
    low, high = path.cells.begins[first], path.cells.begins[end]
    owner = np.repeat(np.arange(first, end), np.diff(path.cells.begins[first : end + 1]))
    gains = np.bincount(
        path.cells.cell[low:high], path.inside[low:high] - path.elsewhere[owner], minlength=len(path.cells.places)
    )
    totals = gains + float(path.elsewhere[first:end].sum())
    here = [c for c, place in enumerate(path.cells.places) if spell.fence in place]
    others = [c for c, place in enumerate(path.cells.places) if spell.fence not in place]
    rival = max([float(path.outside[first:end].sum()), *(totals[c] for c in others)])
    lead = (max(totals[c] for c in here) - rival) / SCORE_SCALE / CONFIDENCE_NATS
    return round(1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, lead)))), 3)


def _keep_from(path: Path, told: list[tuple[Spell, Stay | None, bool]]) -> int:
    """The latest restart point before every stay that can still change."""
    n = len(path.used)
    if n == 0:
        return 0
    ts_ms = path.fixes.ts_ms
    begins = path.cells.begins
    oldest = min((spell.first for spell, _, final in told if not final), default=n)
    for start in reversed([*(start for start, _ in path.spans), *_tail_restart(path)]):
        if start > oldest:
            continue
        following = min((spell.first for spell, _, _ in told if spell.first >= start), default=n - 1)
        # Two fixes beyond the margin: a silence ends at one, and its speed and weight need the other.
        keep = min(start, int(np.searchsorted(ts_ms, ts_ms[following] - MARGIN_MS)) - 2)
        if keep <= 0:
            return 0
        over = all(
            stay is None or stay.departed_ms is None or stay.departed_ms <= ts_ms[keep]
            for spell, stay, _ in told
            if spell.first < start
        )
        if over and begins[start] == begins[keep] and not path.label[keep:start].any():
            return int(path.used[keep])
    return 0


def _tail_restart(path: Path) -> list[int]:
    """Where the chain would start anew for fixes still to come; the last weight is provisional and does not count."""
    begins = path.cells.begins
    last = len(path.used) - 1
    start, forgotten = last, 0.0
    while start > 0 and begins[last + 1] == begins[start]:
        if forgotten >= FORGETTING:
            return [start]
        start -= 1
        if start + 1 < last:
            forgotten += float(path.weight[start + 1])
    return []
