"""How much of the front of a path may be forgotten: nothing that comes in order depends on it any more.

Far from everything a path may begin anew with nothing known (``keep_from``). Elsewhere it may begin where all paths
that are still possible agree, in the state that they agree on (``cut_of``); a stay that began before is then *carried*:
its arrival has been told, and lies too far back to change.
"""

from typing import Final

import numba as nb
import numpy as np

from geofence.visits.cells import fences_at, holds
from geofence.visits.chain import FORGETTING, FROM_FAR, FROM_OUTSIDE, agreed, came_from, leading
from geofence.visits.spells import CLOSED, MARGIN_MS, SETTLED_AFTER_MS, UNTOLD, has_settled, is_final

THREE_MORE: Final = 3
"""A silence ends at one fix, whose speed and weight need another, whose error a third."""


@nb.njit(cache=True, nogil=True)
def keep_from(path, spells):  # type: ignore[no-untyped-def]
    """The latest restart point before every spell that can still change; the index of a fix, 0 where there is none.

    It lies in a run of fixes far from everything whose weights sum to ``FORGETTING`` behind it. The last weight is
    provisional and does not count.
    """
    n = len(path.steps)
    oldest = n
    for spell in spells:
        if not spell.final:
            oldest = min(oldest, spell.first)
    forgotten, tried = 0.0, False
    for start in range(oldest - 1, 0, -1):
        if path.steps[start].cells > 0:
            forgotten, tried = 0.0, False
            continue
        if forgotten >= FORGETTING and not tried:
            keep, tried = _kept_before(path, spells, start), True
            if keep == 0 or _restarts(path, spells, start, keep):
                return path.steps[keep].fix if keep > 0 else 0
        if start < n - 1:
            forgotten += path.steps[start].weight
    return 0


@nb.njit(cache=True, nogil=True)
def between_stays(path, spells):  # type: ignore[no-untyped-def]
    """The latest fix outside everything before every spell that can still change; its index, 0 where there is none.

    No stay reaches from before it to after it. It may be near a fence: what comes after depends on what came before,
    but on less and less of it, the farther back.
    """
    steps = path.steps
    before_ms = steps[-1].ts_ms
    for spell in spells:
        if not spell.final:
            before_ms = min(before_ms, steps[spell.first].ts_ms)
    for i in range(np.searchsorted(steps.ts_ms, before_ms - MARGIN_MS) - 1, 0, -1):
        if steps[i].label == 0 and not _lasts(spells, i, steps[i].ts_ms):
            return steps[i].fix
    return 0


@nb.njit(cache=True, nogil=True)
def _lasts(spells, step, ts_ms):  # type: ignore[no-untyped-def]
    for spell in spells:
        told = (
            spell.state != UNTOLD and spell.arrived_ms <= ts_ms and (spell.state != CLOSED or ts_ms < spell.departed_ms)
        )
        if told or spell.first <= step <= spell.last:
            return True
    return False


@nb.njit(cache=True, nogil=True)
def _kept_before(path, spells, start):  # type: ignore[no-untyped-def]
    """From where on fixes are needed when the chain starts anew at ``start``."""
    following = len(path.steps) - 1
    for spell in spells:
        if spell.first >= start:
            following = min(following, spell.first)
    return max(0, min(start, np.searchsorted(path.steps.ts_ms, path.steps[following].ts_ms - MARGIN_MS) - THREE_MORE))


@nb.njit(cache=True, nogil=True)
def _restarts(path, spells, start, keep):  # type: ignore[no-untyped-def]
    """Whether the chain restarted at ``start`` can be started at ``keep`` already, and no told stay reaches there."""
    for spell in spells:
        over = spell.state == UNTOLD or (spell.state == CLOSED and spell.departed_ms <= path.steps[keep].ts_ms)
        if spell.first < start and not over:
            return False
    return not np.any(path.steps.cells[keep:start] > 0) and not np.any(path.steps.label[keep:start] != 0)


@nb.njit(cache=True, nogil=True)
def cut_of(path, spells, ground, overlaps, rules, anyhow):  # type: ignore[no-untyped-def]
    """The latest step at which a path may begin, given its label there; 0 where there is none.

    ``spells`` are those of the path, or of a path that goes on from it, told. ``anyhow``: even where several paths are
    possible still, of which the likeliest counts then, and where spells that are over would be lost or cut in two.
    """
    steps, entries = path.steps, path.entries
    i = len(steps) - 1
    state = leading(steps[i], entries)
    if not anyhow:
        i, state = agreed(steps, entries)
    if i < 0:
        return 0
    sure = i
    bound = _fixes_before(steps, sure, MARGIN_MS)
    while i > 0 and bound > 0:
        if i <= bound:
            bound = _latest_cut(path, spells, ground, overlaps, rules, sure, i, state, anyhow)
            if bound == i:
                return i
        state = came_from(steps[i], entries, state)
        i -= 1
    return 0


@nb.njit(cache=True, nogil=True)
def _latest_cut(path, spells, ground, overlaps, rules, sure, step, state, anyhow):  # type: ignore[no-untyped-def]
    """``step`` where a path in that state may begin there; otherwise an earlier one before which it may not either.

    What the path is up to the step ``sure`` does not change any more.
    """
    steps = path.steps
    bound = step
    stays = 0
    for spell in spells:
        over = is_over(path, spell, ground, rules)
        departed = spell.last < step and (spell.state == UNTOLD or spell.departed_ms <= steps[step].ts_ms)
        if spell.first >= len(steps) or (over and (departed or (anyhow and spell.first >= step))):
            continue
        long_ago = has_settled(path, spell) and steps[step].ts_ms - steps[spell.first].ts_ms > SETTLED_AFTER_MS
        goes_on = long_ago and not spell.final and spell.state != CLOSED
        if spell.first >= step or not (goes_on or (anyhow and over)):
            bound = min(bound, _fixes_before(steps, spell.first, MARGIN_MS))
            continue
        if not over:
            bound = min(bound, _fixes_before(steps, min(spell.last, sure), SETTLED_AFTER_MS))
        if state < 0 or not holds(_place_of(path, step, state), spell.fence, overlaps):
            bound = min(bound, step - 1)
        stays += 1
    if bound < step or steps[step].label != steps[step].best:
        return min(bound, step - 1)
    if state == FROM_OUTSIDE:
        return step
    # The place must be among those near the fix, so that the chain can begin in it, and all of its fences be carried.
    if state == FROM_FAR or not path.entries[steps[step].row_begin + state].near:
        return step - 1
    first, end = fences_at(_place_of(path, step, state), overlaps)
    return step if stays == (1 if first < 0 else end - first) else step - 1


@nb.njit(cache=True, nogil=True)
def is_over(path, spell, ground, rules):  # type: ignore[no-untyped-def]
    """Whether a spell is final by the steps of ``path`` alone."""
    return spell.final and spell.last < len(path.steps) and is_final(path, ground, spell, rules)


@nb.njit(cache=True, nogil=True)
def told_until_ms(path, spells, cut, ground, rules):  # type: ignore[no-untyped-def]
    """Up to when a path that is cut has been told for good: what is over and begins too near the cut is not derived."""
    until_ms = path.steps[cut].ts_ms
    for spell in spells:
        over = spell.first >= cut and spell.state != UNTOLD and is_over(path, spell, ground, rules)
        if over and _fixes_before(path.steps, spell.first, MARGIN_MS) < cut:
            until_ms = max(until_ms, spell.departed_ms)
    return until_ms


@nb.njit(cache=True, nogil=True)
def _place_of(path, step, state):  # type: ignore[no-untyped-def]
    return path.entries[path.steps[step].row_begin + state].place


@nb.njit(cache=True, nogil=True)
def _fixes_before(steps, step, span_ms):  # type: ignore[no-untyped-def]
    """The latest step that has all behind it which a span before ``step`` depends on."""
    return max(0, np.searchsorted(steps.ts_ms, steps[step].ts_ms - span_ms) - THREE_MORE)
