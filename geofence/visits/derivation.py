"""From the fixes of one device to its stays: a pure function of fixes, fences, rules and the moment of looking."""

import math
from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np

from geofence.fences import FenceSet
from geofence.fixes import Fixes
from geofence.kernel import Near
from geofence.rules import Rules
from geofence.visits.arrangement import arrangement_of
from geofence.visits.forgetting import between_stays, keep_from
from geofence.visits.ground import ends_ms
from geofence.visits.log import Stay, StayState
from geofence.visits.path import whole_path
from geofence.visits.spells import (
    CLOSED,
    CONFIRMED,
    OPEN,
    SETTLED_AFTER_MS,
    SPELL,
    UNTOLD,
    Spell,
    has_settled,
    is_final,
    spells_of,
    stay_on,
    tell,
)
from geofence.visits.tables import path_at

CONFIDENCE_NATS: Final = 2.0

_STATES: Final[dict[int, StayState]] = {OPEN: "open", CONFIRMED: "confirmed", CLOSED: "closed"}
_REASONS: Final = ("arrived", "initially_inside", "departed", "fence_changed")


@dataclass(frozen=True)
class Derivation:
    """``keep_from`` is a restart point: deriving from ``fixes[keep_from:]`` and any later fixes gives the same stays,
    except those that ended before it. ``between`` is a fix between two stays where that does not hold; see
    ``forgetting.between_stays``. Both are 0 where there is none."""

    stays: list[Stay]
    keep_from: int
    between: int


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
    arrangement = arrangement_of(fences)
    tables = whole_path(device_id, fixes, fences, rules, as_of_ms, found)
    spells, keep_from, between = _derive(tables, 0, arrangement.ground, arrangement.overlaps, rules, as_of_ms, ended)
    rows = map(Spell._make, spells.tolist())
    stays = [stay_of(spell, fences) for spell in rows if spell.state != UNTOLD]
    stays.sort(key=lambda stay: (stay.arrived_ms, stay.fence_id))
    return Derivation(stays, keep_from, between)


@nb.njit(cache=True, nogil=True)
def _derive(tables, slot, ground, overlaps, rules, as_of_ms, ended):  # type: ignore[no-untyped-def]
    """The spells (``spells.SPELL``), told, the restart point and a point between stays, both as an index of a fix."""
    path = path_at(tables, slot)
    spells = told_spells(path, np.empty(0, SPELL), -1, ground, overlaps, rules, as_of_ms, False, ended)
    return spells, keep_from(path, spells), between_stays(path, spells)


@nb.njit(cache=True, nogil=True)
def told_spells(path, known, more, ground, overlaps, rules, as_of_ms, patiently, ended):  # type: ignore[no-untyped-def]
    """The spells (``spells.SPELL``) of a path, told.

    ``more`` steps have gone on as the path was when its spells were ``known``; -1 where it has changed otherwise. What
    began before the path has the arrival ``known`` of it. ``patiently``, what cannot have changed is taken from
    there, too, and what has hardly: a confirmed stay is gone over again when it has lasted a quarter longer, one that
    is closed when it has been over for so much longer.
    """
    goes_on, spells = _gone_on(path, known, more if patiently else -1, ground)
    if not goes_on:
        spells = spells_of(path, ground, overlaps, rules)
    count = len(spells)
    for k in range(count):
        fence, last = spells[k].fence, spells[k].last
        earlier = _known_as(known, spells[k])
        if earlier >= 0 and patiently:
            if _stays_closed(path, ground, known[earlier], spells[k], rules, as_of_ms):
                spells[k] = known[earlier]
                continue
            if _goes_on(path, ground, known[earlier], spells[k], as_of_ms):
                spells[k] = known[earlier]
                stay_on(path, ground, spells[k], last)
                continue
        if earlier >= 0 and known[earlier].carried > 0:
            spells[k] = known[earlier]
            spells[k].last = last
        before = spells[k - 1].last if k > 0 and spells[k - 1].fence == fence else -1
        after = spells[k + 1].first if k + 1 < count and spells[k + 1].fence == fence else len(path.steps)
        tell(path, ground, overlaps, spells[k], before, after, rules, as_of_ms, ended)
    return spells


@nb.njit(cache=True, nogil=True)
def _gone_on(path, known, more, ground):  # type: ignore[no-untyped-def]
    """Whether the spells of a path are those ``known``, but for ``more`` steps that may belong to the last ones."""
    if more < 0:
        return False, known
    spells = known.copy()
    end = len(path.steps) - 1
    for spell in spells:
        if spell.last == end - more and path.steps[end].label > 0:
            if ends_ms(ground, spell.period) <= path.steps[end].ts_ms:
                return False, known
            spell.last = end
    return True, spells


@nb.njit(cache=True, nogil=True)
def _known_as(known, spell):  # type: ignore[no-untyped-def]
    """Which of the known spells begins where a spell does; -1 where none."""
    for k in range(len(known)):
        if known[k].fence == spell.fence and known[k].period == spell.period and known[k].first == spell.first:
            return k
    return -1


@nb.njit(cache=True, nogil=True)
def _goes_on(path, ground, known, spell, as_of_ms):  # type: ignore[no-untyped-def]
    """Whether a spell is a confirmed stay that just lasts, and not for much longer than when it was gone over."""
    lasts = spell.last == len(path.steps) - 1 and ends_ms(ground, spell.period) > as_of_ms
    soon = _is_soon(known.arrived_ms, known.told_ms, as_of_ms)
    return lasts and known.state == CONFIRMED and (soon or has_settled(path, known))


@nb.njit(cache=True, nogil=True)
def _stays_closed(path, ground, known, spell, rules, as_of_ms):  # type: ignore[no-untyped-def]
    """Whether a spell is final, or a closed stay that has not been over for much longer than when it was gone over."""
    if known.last != spell.last or not (known.final or known.state == CLOSED):
        return False
    if known.final:
        return True
    return not is_final(path, ground, spell, rules) and _is_soon(known.last_ms, known.told_ms, as_of_ms)


@nb.njit(cache=True, nogil=True)
def _is_soon(since_ms, told_ms, as_of_ms):  # type: ignore[no-untyped-def]
    """Whether less than a quarter has been added to a span since it was gone over."""
    return 4 * (as_of_ms - told_ms) < told_ms - since_ms


def stay_of(spell: Spell, fences: FenceSet) -> Stay:
    """A told spell as a stay."""
    closed = spell.state == CLOSED
    departed_ms = spell.departed_ms if closed else None
    until_ms = spell.departed_ms if closed else max(spell.last_ms, spell.arrived_ms)
    shortest_ms = (spell.departed_earliest_ms if closed else until_ms) - spell.arrived_latest_ms
    longest_ms = (spell.departed_latest_ms if closed else until_ms) - spell.arrived_earliest_ms
    lasted_ms = until_ms - spell.arrived_ms
    return Stay(
        fence_id=fences.fence_ids[spell.fence],
        fence_version=int(fences.version[spell.row]),
        state=_STATES[spell.state],
        arrived_ms=spell.arrived_ms,
        arrived_earliest_ms=min(spell.arrived_earliest_ms, spell.arrived_ms),
        arrived_latest_ms=spell.arrived_latest_ms,
        departed_ms=departed_ms,
        departed_earliest_ms=spell.departed_earliest_ms if closed else None,
        departed_latest_ms=spell.departed_latest_ms if closed else None,
        on_site_s=lasted_ms / 1000.0,
        on_site_min_s=max(0, shortest_ms) / 1000.0,
        on_site_max_s=max(longest_ms, lasted_ms) / 1000.0,
        confidence=_confidence(spell.lead_nats),
        reason=_REASONS[spell.reason],
        fixes=spell.carried + spell.last - spell.first + 1,
        settled=spell.final if closed else spell.last_ms - spell.arrived_ms > SETTLED_AFTER_MS,
    )


def _confidence(lead_nats: float) -> float:
    lead = max(-30.0, min(30.0, lead_nats / CONFIDENCE_NATS))
    return round(1.0 / (1.0 + math.exp(-lead)), 3)
