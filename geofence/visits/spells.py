"""Spells: stretches of the path at one fence, and when and how each of them is told."""

import math
from typing import Final, NamedTuple

import numba as nb
import numpy as np

from geofence.visits.cells import fences_at, holds, pace_at
from geofence.visits.edges import OBSERVED_S, SEARCH_S, edge
from geofence.visits.evidence import LEISURELY_S, PROVEN_WITHIN_S, SCORE_SCALE, at_pace, step_m
from geofence.visits.ground import ends_ms, last_row, row_at, span_of
from geofence.visits.path import distance_to_row, distances_to

OPEN_NATS: Final = 1.0
CONFIRM_NATS: Final = 2.0
"""By how much the best path that ends in the fence has led, at some fix of the stay, for it to be told."""

SLOW_MPS: Final = 2.0
"""A stay is told once one of its fixes was slower than this."""

BASELINE_S: Final = 5.0
"""A second's way proves no speed: it is measured over this long at least."""

TRUSTED_S: Final = 60.0
"""At the end of all data, a stay of this long whose last fix is slow is believed to have gone on."""

SEARCH_MS: Final = int(SEARCH_S * 1000)
SETTLED_AFTER_MS: Final = 2 * SEARCH_MS
"""An arrival is looked for in the first half of a stay, and no further in than ``SEARCH_S``; a departure likewise."""

MARGIN_MS: Final = int((SEARCH_S + OBSERVED_S) * 1000)
"""Fixes further than this from a stay change nothing about its edges."""

TOUCH_ERRORS: Final = 2.0
"""A fix of the stay must lie inside the fence, or no further out than so many times its error."""

UNTOLD: Final = 0
OPEN: Final = 1
CONFIRMED: Final = 2
CLOSED: Final = 3

ARRIVED: Final = 0
INITIALLY_INSIDE: Final = 1
DEPARTED: Final = 2
FENCE_CHANGED: Final = 3


class Spell(NamedTuple):
    """Used fixes ``first`` to ``last`` at a fence, within one ``period`` of its validity (see ``ground.Ground``).

    ``final``: later fixes can no longer change it. What follows says how it is told, and means nothing where ``state``
    is ``UNTOLD``: ``departed_*`` are those of ``CLOSED`` ones; ``row`` is the version told; ``lead_nats`` says how much
    better its fixes are explained by the fence than by any single other place; all this was told as of ``told_ms``, the
    moment of looking, or of its last fix where it is not closed. ``touched``: a fix of it lay inside the fence, or
    hardly further out than its error. So many of its fixes are ``carried``: it began before the path, with the arrival
    that was told then.
    """

    fence: int
    period: int
    first: int
    last: int
    final: bool
    state: int
    reason: int
    row: int
    arrived_ms: int
    arrived_earliest_ms: int
    arrived_latest_ms: int
    departed_ms: int
    departed_earliest_ms: int
    departed_latest_ms: int
    last_ms: int
    lead_nats: float
    told_ms: int
    touched: bool
    carried: int


SPELL: Final = np.dtype(list(Spell.__annotations__.items()), align=True)
"""``Spell`` for compiled code: int64, float64 and bool."""


@nb.njit(cache=True, nogil=True)
def spells_of(path, ground, overlaps, rules):  # type: ignore[no-untyped-def]
    """The spells of each fence, in order; short absences nearby are bridged. Only their first four fields are set."""
    runs = _runs(path, overlaps)
    spells = np.zeros(16, SPELL)
    count = 0
    done = np.zeros(len(runs), np.bool_)
    for r in range(len(runs)):
        if done[r]:
            continue
        fence = runs[r, 0]
        turn = ground.row_begins[fence]
        while turn < ground.row_begins[fence + 1]:
            period, turn = ground.ordered_row[turn], ground.period_end[turn]
            from_ms, to_ms = span_of(ground, period)
            opened = count
            for other in range(r, len(runs)):
                if runs[other, 0] != fence:
                    continue
                done[other] = True
                first = max(runs[other, 1], np.searchsorted(path.steps.ts_ms, from_ms))
                last = min(runs[other, 2], np.searchsorted(path.steps.ts_ms, to_ms) - 1)
                if first > last:
                    continue
                if count > opened and _bridges(path, ground, spells[count - 1], first, rules):
                    spells[count - 1].last = last
                    continue
                if count == len(spells):
                    spells = np.concatenate((spells, np.zeros_like(spells)))
                spells[count].fence = fence
                spells[count].period = period
                spells[count].first = first
                spells[count].last = last
                count += 1
    return spells[:count]


@nb.njit(cache=True, nogil=True)
def _runs(path, overlaps):  # type: ignore[no-untyped-def]
    """Longest stretches of the path at a fence: (fence, first, last) int64[:, 3], in order of their beginning."""
    label = path.steps.label
    runs = np.empty((16, 3), np.int64)
    count = 0
    first = 0
    while first < len(label):
        last = first
        while last + 1 < len(label) and label[last + 1] == label[first]:
            last += 1
        if label[first] > 0:
            begin, end = fences_at(label[first] - 1, overlaps)
            for k in range(begin, end):
                fence = overlaps.place_fence[k] if begin >= 0 else label[first] - 1
                r = count - 1
                while r >= 0 and not (runs[r, 0] == fence and runs[r, 2] == first - 1):
                    r -= 1
                if r < 0:
                    if count == len(runs):
                        runs = np.concatenate((runs, np.empty_like(runs)))
                    r = count
                    count += 1
                    runs[r, 0] = fence
                    runs[r, 1] = first
                runs[r, 2] = last
        first = last + 1
    return runs[:count]


@nb.njit(cache=True, nogil=True)
def _bridges(path, ground, before, first, rules):  # type: ignore[no-untyped-def]
    if path.steps[first].ts_ms - path.steps[before.last].ts_ms > _bridge_ms(path, ground, before, rules):
        return False
    return not _drove_off(path, ground, before, first, rules)


@nb.njit(cache=True, nogil=True)
def _bridge_ms(path, ground, spell, rules):  # type: ignore[no-untyped-def]
    """How long an absence after a spell may be, by the version of the fence that held when it began."""
    own_s = ground.bridge_s[row_at(ground, spell.period, path.steps[spell.last].ts_ms)]
    return (rules.bridge_s if np.isnan(own_s) else own_s) * 1000.0


@nb.njit(cache=True, nogil=True)
def _drove_off(path, ground, spell, end, rules):  # type: ignore[no-untyped-def]
    """Whether the fixes between a spell and ``end`` are a drive away, not a walk to the van."""
    first = spell.last + 1
    if np.count_nonzero(path.steps.speed_mps[first:end] > rules.drive_mps) < 2:
        return False
    away_m = distances_to(path, ground.fence_of_row, spell.fence, first, end) - path.steps.error_m[first:end]
    own_m = ground.bridge_m[row_at(ground, spell.period, path.steps[spell.last].ts_ms)]
    return np.median(away_m) > (rules.bridge_m if np.isnan(own_m) else own_m)


@nb.njit(cache=True, nogil=True)
def _edge_of(path, ground, spell, before, after, rules, arrival):  # type: ignore[no-untyped-def]
    """(edge, earliest, latest), epoch ms; see ``edges.edge``. The fixes up to ``before`` and from ``after`` on are not
    looked at: they belong to other spells."""
    ts_ms = path.steps.ts_ms
    from_ms, to_ms = span_of(ground, spell.period)
    first_ms, last_ms = ts_ms[spell.first], ts_ms[spell.last]
    # One fix beyond the margin is kept: a silence ends at it.
    if arrival:
        low = max(before + 1, np.searchsorted(ts_ms, first_ms - MARGIN_MS) - 1, 0)
        high = min(spell.last + 1, np.searchsorted(ts_ms, first_ms + SEARCH_MS, side="right"))
    else:
        low = max(spell.first, np.searchsorted(ts_ms, last_ms - SEARCH_MS))
        high = min(after, np.searchsorted(ts_ms, last_ms + MARGIN_MS, side="right") + 1)
    low = max(low, np.searchsorted(ts_ms, from_ms))
    high = min(high, np.searchsorted(ts_ms, to_ms))
    steps = path.steps[low:high]
    distance_m = distances_to(path, ground.fence_of_row, spell.fence, low, high)
    t_s = (ts_ms[low:high] - first_ms) / 1000.0
    first = spell.first - low
    if not arrival:
        steps, distance_m, t_s = steps[::-1].copy(), distance_m[::-1].copy(), -t_s[::-1]
        first = high - 1 - spell.last
    pace = pace_at(ground, last_row(ground, spell.period), rules)
    weight = np.empty(len(steps))
    for i in range(len(steps)):
        weight[i] = at_pace(steps[i].edge_weight, pace)
    width_m = ground.width_m[last_row(ground, spell.period)]
    lasts_s = (last_ms - first_ms) / 1000.0
    at_s, near_s, far_s = edge(t_s, steps, distance_m, weight, width_m, rules, arrival, first, lasts_s)
    at_ms, near_ms, far_ms = round(at_s * 1000.0), round(near_s * 1000.0), round(far_s * 1000.0)
    if arrival:
        return first_ms + at_ms, first_ms + near_ms, first_ms + far_ms
    return first_ms - at_ms, first_ms - far_ms, first_ms - near_ms


@nb.njit(cache=True, nogil=True)
def tell(path, ground, overlaps, spell, before, after, rules, as_of_ms, ended):  # type: ignore[no-untyped-def]
    """Settle how a spell is told, between the spells of its fence that end at ``before`` and begin at ``after``."""
    ts_ms = path.steps.ts_ms
    n = len(ts_ms)
    to_ms = ends_ms(ground, spell.period)
    if spell.carried == 0:
        _tell_arrival(path, ground, spell, before, after, rules)
    arrived_ms = spell.arrived_ms
    last_ms = ts_ms[spell.last]
    spell.touched |= _touched(path, ground, spell)
    expired = to_ms <= as_of_ms
    bridge_ms = _bridge_ms(path, ground, spell, rules)
    gone = ended or after < n or as_of_ms - last_ms > bridge_ms or _drove_off(path, ground, spell, n, rules)
    present = spell.last == n - 1
    closed = expired or (gone and not present)
    spell.told_ms = as_of_ms if closed else last_ms
    min_on_site_s = _min_on_site_s(ground, spell.period, expired, rules)
    spell.last_ms = last_ms
    spell.row = row_at(ground, spell.period, min(last_ms, to_ms - 1))
    spell.final = closed and is_final(path, ground, spell, rules)
    confirmed = spell.carried > 0 and spell.state == CONFIRMED
    spell.state = UNTOLD
    if closed:
        _tell_departure(path, ground, spell, before, after, rules, expired)
        lasted_s = (spell.departed_ms - arrived_ms) / 1000.0
        visited = lasted_s >= LEISURELY_S or _stopped(path, spell, rules)
        if lasted_s >= min_on_site_s and spell.touched and visited:
            spell.state = CLOSED
    elif confirmed:
        spell.state = CONFIRMED
    elif spell.touched:
        on_site_ms = last_ms - arrived_ms
        slow_last = path.steps[spell.last].speed_mps <= SLOW_MPS
        stayed = on_site_ms >= min_on_site_s * 1000.0
        likely = on_site_ms >= min_on_site_s * 500.0 or (on_site_ms >= TRUSTED_S * 1000.0 and slow_last)
        waited = ended or as_of_ms - arrived_ms >= min_on_site_s * 1000.0
        margin_nats = _margin_nats(path, overlaps, spell)
        slow = np.any(path.steps.speed_mps[spell.first : spell.last + 1] <= SLOW_MPS)
        if (stayed or (present and likely and waited)) and (margin_nats >= CONFIRM_NATS or ended):
            spell.state = CONFIRMED
        elif margin_nats >= OPEN_NATS and slow and not ended:
            spell.state = OPEN
        spell.arrived_latest_ms = max(arrived_ms, min(spell.arrived_latest_ms, max(last_ms, arrived_ms)))
    if spell.state != UNTOLD:
        spell.lead_nats = _lead_nats(path, overlaps, spell)


@nb.njit(cache=True, nogil=True)
def is_final(path, ground, spell, rules):  # type: ignore[no-untyped-def]
    """Whether a closed spell has been over for so long that later fixes can no longer change it."""
    return path.steps[-1].ts_ms - path.steps[spell.last].ts_ms > max(MARGIN_MS, _bridge_ms(path, ground, spell, rules))


@nb.njit(cache=True, nogil=True)
def has_settled(path, spell):  # type: ignore[no-untyped-def]
    """Whether the arrival of a spell does not change any more, however long it goes on."""
    return spell.carried > 0 or spell.told_ms - path.steps[spell.first].ts_ms > SETTLED_AFTER_MS


@nb.njit(cache=True, nogil=True)
def stay_on(path, ground, spell, last):  # type: ignore[no-untyped-def]
    """Let a told spell last until the step ``last``."""
    spell.last, spell.last_ms = last, path.steps[last].ts_ms
    spell.row = row_at(ground, spell.period, spell.last_ms)


@nb.njit(cache=True, nogil=True)
def _stopped(path, spell, rules):  # type: ignore[no-untyped-def]
    """Whether the device came to a stand in a spell, or was silent for long enough to have done so."""
    steps = path.steps
    for i in range(max(1, spell.first), min(spell.last + 2, len(steps))):
        if steps[i].ts_ms - steps[i - 1].ts_ms > PROVEN_WITHIN_S * 1000.0:
            return True
    for i in range(spell.first, spell.last + 1):
        if steps[i].speed_mps > SLOW_MPS:
            continue
        after_mps = _moved_mps(path, i, 1, rules.correlation_s)
        if min(after_mps, _moved_mps(path, i, -1, rules.correlation_s)) <= SLOW_MPS:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _moved_mps(path, i, side, correlation_s):  # type: ignore[no-untyped-def]
    """The speed that the way from fix ``i`` to one seconds before (``side`` -1) or after it (1) proves; 0 at the end.

    Errors of fixes close in time resemble each other, so little of a short way is put down to them.
    """
    j = i + side
    while 0 <= j + side < len(path.steps) and abs(path.steps[j].ts_ms - path.steps[i].ts_ms) < BASELINE_S * 1000.0:
        j += side
    if not 0 <= j < len(path.steps):
        return 0.0
    one, other = path.steps[i], path.steps[j]
    gap_s = abs(other.ts_ms - one.ts_ms) / 1000.0
    error_m = (one.error_m + other.error_m) * math.sqrt(1.0 - math.exp(-gap_s / correlation_s))
    return (step_m(one, other) - error_m) / gap_s


@nb.njit(cache=True, nogil=True)
def _min_on_site_s(ground, period, expired, rules):  # type: ignore[no-untyped-def]
    row = last_row(ground, period)
    if expired:
        row = row_at(ground, period, ground.valid_to_ms[row] - 1)
    stated_s = ground.min_on_site_s[row]
    return rules.min_on_site_s if np.isnan(stated_s) else stated_s


@nb.njit(cache=True, nogil=True)
def _tell_arrival(path, ground, spell, before, after, rules):  # type: ignore[no-untyped-def]
    arrived, earliest, latest = _edge_of(path, ground, spell, before, after, rules, True)
    spell.reason = ARRIVED
    row = row_at(ground, spell.period, path.steps[spell.first].ts_ms)
    from_ms, _ = span_of(ground, spell.period)
    drawn_ms = ground.valid_from_ms[row]
    if spell.first == 0:
        spell.reason = INITIALLY_INSIDE
    elif path.steps[spell.first - 1].ts_ms < drawn_ms and distance_to_row(path, spell.first - 1, row) <= 0.0:
        spell.reason = INITIALLY_INSIDE
        arrived = earliest = latest = drawn_ms
    spell.arrived_ms = max(arrived, from_ms)
    spell.arrived_earliest_ms = max(earliest, from_ms)
    spell.arrived_latest_ms = max(latest, spell.arrived_ms)


@nb.njit(cache=True, nogil=True)
def _tell_departure(path, ground, spell, before, after, rules, expired):  # type: ignore[no-untyped-def]
    """A departure is never before the arrival, and where their intervals meet they share what is between them."""
    arrived = spell.arrived_ms
    to_ms = ends_ms(ground, spell.period)
    if expired and _at_fence_to_its_end(path, ground, spell, to_ms):
        spell.reason = FENCE_CHANGED
        departed = earliest = latest = to_ms
    else:
        spell.reason = DEPARTED
        departed, earliest, latest = _edge_of(path, ground, spell, before, after, rules, False)
        departed = max(departed, arrived)
        earliest, latest = min(earliest, departed), max(latest, departed)
    if spell.arrived_latest_ms > earliest:
        middle = (arrived + departed) // 2
        spell.arrived_latest_ms = max(arrived, min(spell.arrived_latest_ms, middle))
        earliest = min(departed, max(earliest, spell.arrived_latest_ms))
    spell.departed_ms = departed
    spell.departed_earliest_ms = earliest
    spell.departed_latest_ms = latest


@nb.njit(cache=True, nogil=True)
def _at_fence_to_its_end(path, ground, spell, to_ms):  # type: ignore[no-untyped-def]
    """Whether a spell has no fix after it, or the first one after the fence's end still lay inside its last shape."""
    following = spell.last + 1
    if following == len(path.steps):
        return True
    if path.steps[following].ts_ms < to_ms:
        return False
    return distance_to_row(path, following, last_row(ground, spell.period)) <= 0.0


@nb.njit(cache=True, nogil=True)
def _touched(path, ground, spell):  # type: ignore[no-untyped-def]
    """Whether a fix of a spell lies inside the fence, or no further out than its error."""
    end = spell.last + 1
    distance_m = distances_to(path, ground.fence_of_row, spell.fence, spell.first, end)
    return np.any(distance_m <= TOUCH_ERRORS * path.steps.error_m[spell.first : end])


@nb.njit(cache=True, nogil=True)
def _margin_nats(path, overlaps, spell):  # type: ignore[no-untyped-def]
    """How far, at best, the paths ending at the spell's fence led those that do not, at a fix of the spell."""
    best = -np.inf
    for i in range(spell.first, spell.last + 1):
        inner = np.iinfo(np.int64).min
        outer = max(path.steps[i].out_score, path.steps[i].far_score)
        for k in range(path.steps[i].row_begin, path.steps[i].row_end):
            if holds(path.entries[k].place, spell.fence, overlaps):
                inner = max(inner, path.entries[k].score)
            else:
                outer = max(outer, path.entries[k].score)
        if inner > np.iinfo(np.int64).min:
            best = max(best, (inner - outer) / SCORE_SCALE)
    return best


@nb.njit(cache=True, nogil=True)
def _lead_nats(path, overlaps, spell):  # type: ignore[no-untyped-def]
    """How much better the fixes of a spell are explained by its fence than by any single other place."""
    places = np.empty(8, np.int32)
    gains = np.empty(8, np.int64)
    count = 0
    outside = 0
    elsewhere = 0
    for i in range(spell.first, spell.last + 1):
        outside += path.steps[i].outside
        elsewhere += path.steps[i].elsewhere
        for k in range(path.steps[i].row_begin, path.steps[i].row_end):
            if not path.entries[k].near:
                continue
            c = 0
            while c < count and places[c] != path.entries[k].place:
                c += 1
            if c == len(places):
                places = np.concatenate((places, np.empty_like(places)))
                gains = np.concatenate((gains, np.empty_like(gains)))
            if c == count:
                places[c], gains[c] = path.entries[k].place, 0
                count += 1
            gains[c] += path.entries[k].inside - path.steps[i].elsewhere
    rival = outside
    best = np.iinfo(np.int64).min
    for c in range(count):
        if holds(places[c], spell.fence, overlaps):
            best = max(best, gains[c] + elsewhere)
        else:
            rival = max(rival, gains[c] + elsewhere)
    return (best - rival) / SCORE_SCALE
