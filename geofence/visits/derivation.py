"""From the fixes of one device to its stays: a pure function of fixes, fences, rules and the moment of looking."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numba as nb
import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import Near
from geofence.rules import Rules
from geofence.visits.chain import FORGETTING
from geofence.visits.edges import SEARCH_S
from geofence.visits.log import Stay, StayState
from geofence.visits.path import path_of, situation_of
from geofence.visits.spells import CLOSED, CONFIRMED, MARGIN_MS, OPEN, SPELL, UNTOLD, spells_of, tell

CONFIDENCE_NATS: Final = 2.0

SETTLED_AFTER_MS: Final = int(2 * SEARCH_S * 1000)
"""An arrival is looked for in the first half of a stay, and no further in than ``SEARCH_S``."""

_STATE: Final = list(SPELL.fields or ()).index("state")
_STATES: Final[dict[int, StayState]] = {OPEN: "open", CONFIRMED: "confirmed", CLOSED: "closed"}
_REASONS: Final = ("arrived", "initially_inside", "departed", "fence_changed")


@dataclass(frozen=True)
class Derivation:
    """``keep_from`` is a restart point: deriving from ``fixes[keep_from:]`` and any later fixes gives the same stays,
    except those that ended before it."""

    stays: list[Stay]
    keep_from: int


def derive_stays(
    device_id: str,
    fixes: Fixes,
    fences: FenceSet,
    rules: Rules,
    as_of_ms: int,
    *,
    ended: bool = False,
    found: Near | None = None,
) -> Derivation:
    """The stays of a device as of a moment, in order of arrival.

    ``fixes`` are ``in_order()``; those after ``as_of_ms`` are not used. The silence between the last one and
    ``as_of_ms`` is evidence. ``ended`` says that no more fixes will come: then the last stay is judged by what there
    is. ``found`` are the rows within ``REACH_M`` of each fix, where they are known already.
    """
    situation = situation_of(device_id, fixes, fences, rules, as_of_ms, found)
    spells, keep_from = _derive(situation, rules, as_of_ms, ended)
    stays = [_stay(spell, fences) for spell in spells.tolist() if spell[_STATE] != UNTOLD]
    stays.sort(key=lambda stay: (stay.arrived_ms, stay.fence_id))
    return Derivation(stays, keep_from)


@nb.njit(cache=True, nogil=True)
def _derive(situation, rules, as_of_ms, ended):  # type: ignore[no-untyped-def]
    """The spells (``spells.SPELL``), told, and the restart point as an index of a fix."""
    path = path_of(situation, rules, as_of_ms)
    spells = spells_of(path, situation.ground, rules)
    count = len(spells)
    for k in range(count):
        fence = spells[k].fence
        before = spells[k - 1].last if k > 0 and spells[k - 1].fence == fence else -1
        after = spells[k + 1].first if k + 1 < count and spells[k + 1].fence == fence else len(path.used)
        tell(path, situation.ground, spells[k], before, after, rules, as_of_ms, ended)
    return spells, _keep_from(path, spells)


@nb.njit(cache=True, nogil=True)
def _keep_from(path, spells):  # type: ignore[no-untyped-def]
    """The latest restart point before every spell that can still change; the index of a fix."""
    n = len(path.used)
    oldest = n
    for spell in spells:
        if not spell.final:
            oldest = min(oldest, spell.first)
    for k in range(len(path.span_first), -1, -1):
        start = path.span_first[k] if k < len(path.span_first) else _tail_restart(path)
        if start < 0 or start > oldest:
            continue
        following = n - 1
        for spell in spells:
            if spell.first >= start:
                following = min(following, spell.first)
        # Three fixes beyond the margin: a silence ends at one, its speed and weight need another, whose error a third.
        keep = min(start, np.searchsorted(path.ts_ms, path.ts_ms[following] - MARGIN_MS) - 3)
        if keep <= 0:
            return 0
        if _restarts(path, spells, start, keep):
            return path.used[keep]
    return 0


@nb.njit(cache=True, nogil=True)
def _restarts(path, spells, start, keep):  # type: ignore[no-untyped-def]
    """Whether the chain restarted at ``start`` can be started at ``keep`` already, and no told stay reaches there."""
    for spell in spells:
        over = spell.state == UNTOLD or (spell.state == CLOSED and spell.departed_ms <= path.ts_ms[keep])
        if spell.first < start and not over:
            return False
    return path.cells.begins[start] == path.cells.begins[keep] and not np.any(path.label[keep:start] != 0)


@nb.njit(cache=True, nogil=True)
def _tail_restart(path):  # type: ignore[no-untyped-def]
    """Where the chain would start anew for fixes still to come, or -1; the last weight is provisional and does not
    count."""
    begins = path.cells.begins
    last = len(path.used) - 1
    start = last
    forgotten = 0.0
    while start > 0 and begins[last + 1] == begins[start]:
        if forgotten >= FORGETTING:
            return start
        start -= 1
        if start + 1 < last:
            forgotten += path.weight[start + 1]
    return -1


def _stay(spell: tuple[Any, ...], fences: FenceSet) -> Stay:
    fence, _, first, last, final, state, reason, row, arrived_ms, earliest_ms, latest_ms, *departed, last_ms, lead = (
        spell
    )
    departed_ms, departed_earliest_ms, departed_latest_ms = departed if state == CLOSED else (None, None, None)
    until_ms = max(last_ms, arrived_ms) if departed_ms is None else departed_ms
    shortest_ms = (until_ms if departed_earliest_ms is None else departed_earliest_ms) - latest_ms
    longest_ms = (until_ms if departed_latest_ms is None else departed_latest_ms) - earliest_ms
    return Stay(
        fence_id=fences.fence_ids[fence],
        fence_version=int(fences.version[row]),
        state=_STATES[state],
        arrived_ms=arrived_ms,
        arrived_earliest_ms=min(earliest_ms, arrived_ms),
        arrived_latest_ms=latest_ms,
        departed_ms=departed_ms,
        departed_earliest_ms=departed_earliest_ms,
        departed_latest_ms=departed_latest_ms,
        on_site_s=(until_ms - arrived_ms) / 1000.0,
        on_site_min_s=max(0, shortest_ms) / 1000.0,
        on_site_max_s=max(longest_ms, until_ms - arrived_ms) / 1000.0,
        confidence=_confidence(lead),
        reason=_REASONS[reason],
        fixes=last - first + 1,
        settled=final if state == CLOSED else last_ms - arrived_ms > SETTLED_AFTER_MS,
    )


def _confidence(lead_nats: float) -> float:
    lead = max(-30.0, min(30.0, lead_nats / CONFIDENCE_NATS))
    return round(1.0 / (1.0 + math.exp(-lead)), 3)
