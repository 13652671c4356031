"""The likeliest sequence of places: a hidden Markov chain in continuous time, read by Viterbi.

States are *outside*, each *active* place, and *far*: any place that is not active. A place becomes active with the
first fix near it, from the score of *far*, and is dropped when it is not near any more and no likelier than *far*.
All such places are alike, so a step costs only what is near. All scores are integers (see ``evidence.SCORE_SCALE``),
and ties go to staying, then to outside, then to the place whose fence ids come first, so the path is the same on every
machine and whatever the cut into frames.
"""

import math
from typing import Final

import numba as nb
import numpy as np

from geofence.compiling import UNCOUNTED
from geofence.visits.cells import FIRST_SHARED, allied, comes_before
from geofence.visits.evidence import LOG_MISTAKE, SCORE_SCALE, at_pace, score

LEAST_SWITCH_S: Final = 60.0
"""Switches are priced as over a minute at least, so that a fix a second does not make them dearer."""

START_INSIDE: Final = -1.0
CHANGE_PLACE: Final = -2.0
"""Nats for starting inside, and for going from one place straight to another that shares no fence with it."""

FORGETTING: Final = 1.5
"""After far fixes whose weights sum to this the chain has forgotten all history: outside then leads by more than a
switch costs at its dearest (1.5 · log 101 > 2 · log(2 / (1 - exp(-60/900))))."""

FROM_FAR: Final = -1
FROM_OUTSIDE: Final = -2
"""Where a state came from, besides the place at an index of the row before."""

UNKNOWN: Final = -1
"""Where a path begins with nothing known of the device before; otherwise a label: 0 outside, place + 1."""


@nb.njit(**UNCOUNTED)
def has_room(steps, entries, i, near_count):  # type: ignore[no-untyped-def]
    """Whether the row of step ``i`` is sure to fit in."""
    if i == 0:
        return near_count <= len(entries)
    return 2 * steps[i - 1].row_end - steps[i - 1].row_begin + near_count <= len(entries)


@nb.njit(**UNCOUNTED)
def take_step(steps, entries, i, near, anchor, ground, overlaps, stay_scale_s):  # type: ignore[no-untyped-def]
    """Write the row of step ``i``: the best score that ends in each state there, and where it came from.

    ``near`` are the cells near its fix, weighed; ``outside`` and ``elsewhere`` of the step what the fix says for being
    outside and anywhere else. With an ``anchor`` the first row has its scores
    already.
    """
    step = steps[i]
    if i == 0:
        if anchor == UNKNOWN:
            _start(step, entries, near)
        else:
            _resume(step, entries[: step.row_end], near)
        return
    earlier = steps[i - 1]
    old, begin = entries[earlier.row_begin : earlier.row_end], earlier.row_end
    joined, several = _join(step, old, entries[begin:], near, ground, overlaps)
    row = entries[begin : begin + joined]
    gap_s = (step.ts_ms - earlier.ts_ms) / 1000.0
    remain, leave = _prices(gap_s, stay_scale_s, 1.0)
    apart = score(CHANGE_PLACE)

    lead = -1
    led = np.int64(0)
    for e in range(joined):
        k = row[e].back
        if k >= 0:
            left = old[k].score + _leave(gap_s, stay_scale_s, row[e].pace, leave)
            if lead < 0 or left > led:
                lead, led = k, left

    far, step.far_back = earlier.far_score + remain, FROM_FAR
    if earlier.out_score + leave > far:
        far, step.far_back = earlier.out_score + leave, FROM_OUTSIDE
    if lead >= 0 and led + apart > far:
        far, step.far_back = led + apart, lead
    far += step.elsewhere
    out, step.out_back = earlier.out_score + remain, FROM_OUTSIDE
    if lead >= 0 and led > out:
        out, step.out_back = led, lead
    step.out_score, step.far_score = out + step.outside, far

    # All are scored before any is dropped: what ``back`` holds of the others is still needed.
    for e in range(joined):
        entry = row[e]
        own = entry.back
        stay, go = remain, leave
        if entry.pace != 1.0:
            stay, go = _prices(gap_s, stay_scale_s, entry.pace)
        best = (old[own].score if own >= 0 else earlier.far_score) + stay
        came = own if own >= 0 else FROM_FAR
        if earlier.out_score + go > best:
            best, came = earlier.out_score + go, FROM_OUTSIDE
        if several:
            for other in range(joined):
                k = row[other].back
                if k < 0 or k == own:
                    continue
                related = allied(row[other].place, entry.place, overlaps)
                # Of those that share no fence with this one only the leading one can be the best to come from.
                if not related and k != lead:
                    continue
                left = old[k].score + _leave(gap_s, stay_scale_s, row[other].pace, leave)
                if not related:
                    left += apart
                if left > best:
                    best, came = left, k
        elif lead >= 0 and lead != own and led + apart > best:
            best, came = led + apart, lead
        entry.score, entry.came = best + entry.inside, came

    kept = 0
    for e in range(joined):
        if row[e].near or row[e].score > far:
            row[kept] = row[e]
            row[kept].back = row[kept].came
            kept += 1
    step.row_begin, step.row_end = begin, begin + kept


@nb.njit(**UNCOUNTED)
def _start(step, entries, near):  # type: ignore[no-untyped-def]
    """The row of the first step."""
    inside = score(START_INSIDE)
    for k in range(len(near)):
        entry = entries[k]
        entry.place, entry.pace, entry.inside, entry.near = near[k].place, near[k].pace, near[k].inside, True
        entry.score, entry.back = inside + entry.inside, FROM_FAR
    step.row_begin, step.row_end = 0, len(near)
    step.out_score, step.far_score = step.outside, inside + step.elsewhere


@nb.njit(**UNCOUNTED)
def _resume(step, row, near):  # type: ignore[no-untyped-def]
    """Tell what the first step's fix says for the places of its row, whose scores are known."""
    for entry in row:
        entry.near, entry.inside = False, score_elsewhere(step, entry.pace)
        for cell in near:
            if cell.place == entry.place:
                entry.near, entry.inside = True, cell.inside


@nb.njit(**UNCOUNTED)
def _join(step, old, row, near, ground, overlaps):  # type: ignore[no-untyped-def]
    """Put the places active before (``old``) and those near a step into its row, in order.

    ``back`` is for now the index of each in the row before, ``FROM_FAR`` where it was not active. Returns their number
    and whether a place of several fences is among them.
    """
    e, j, k = 0, 0, 0
    several = False
    while j < len(old) or k < len(near):
        if k == len(near):
            new, known = False, True
        elif j == len(old):
            new, known = True, False
        elif old[j].place == near[k].place:
            new, known = True, True
        else:
            known = comes_before(old[j].place, near[k].place, ground, overlaps)
            new = not known
        entry = row[e]
        if new:
            entry.place, entry.pace, entry.inside = near[k].place, near[k].pace, near[k].inside
            k += 1
        else:
            entry.place, entry.pace = old[j].place, old[j].pace
            entry.inside = score_elsewhere(step, old[j].pace)
        entry.near, entry.back = new, j if known else FROM_FAR
        several |= entry.place >= FIRST_SHARED
        j += known
        e += 1
    return e, several


@nb.njit(**UNCOUNTED)
def trace_back(steps, entries, first):  # type: ignore[no-untyped-def]
    """Set ``best`` of the steps to the likeliest path: place + 1, 0 outside. Returns the first that may have changed.

    Rows before ``first`` are as they were when this was set last: where the path meets the old one there, nothing
    before it changes.
    """
    i = len(steps) - 1
    at = leading(steps[i], entries)
    place = entries[steps[i].row_begin + at].place if at >= 0 else -1
    while i >= 0:
        step = steps[i]
        label = 0 if at == FROM_OUTSIDE else place + 1
        if i < first and step.best == label:
            return i + 1
        step.best = label
        if i == 0:
            return 0
        at = came_from(step, entries, at)
        i -= 1
        if at >= 0:
            place = entries[steps[i].row_begin + at].place
    return 0


@nb.njit(cache=True, nogil=True)
def agreed(steps, entries):  # type: ignore[no-untyped-def]
    """The last step at which all paths still possible are in one state, and that state; -1 where there is none.

    Whatever comes after the last step, the path up to there will not change. The state is ``FROM_OUTSIDE``,
    ``FROM_FAR``, or the index of an entry in the row of the step.
    """
    i = len(steps) - 1
    widest = 0
    for each in steps:
        widest = max(widest, each.row_end - each.row_begin)
    possible = np.zeros(widest + 2, np.bool_)
    # States are counted from -2 on, so that each has an index.
    possible[: steps[i].row_end - steps[i].row_begin + 2] = True
    while np.count_nonzero(possible) > 1:
        if i == 0:
            return -1, FROM_FAR
        step = steps[i]
        before = np.zeros(widest + 2, np.bool_)
        for state in np.flatnonzero(possible):
            before[came_from(step, entries, state - 2) + 2] = True
        possible = before
        i -= 1
    return i, np.flatnonzero(possible)[0] - 2


@nb.njit(**UNCOUNTED)
def came_from(step, entries, state):  # type: ignore[no-untyped-def]
    """The state before a state of a step."""
    if state == FROM_OUTSIDE:
        return step.out_back
    if state == FROM_FAR:
        return step.far_back
    return entries[step.row_begin + state].back


@nb.njit(**UNCOUNTED)
def leading(step, entries):  # type: ignore[no-untyped-def]
    """The state in which the likeliest path ends at a step."""
    state, best = FROM_OUTSIDE, step.out_score
    for k in range(step.row_begin, step.row_end):
        if entries[k].score > best:
            state, best = k - step.row_begin, entries[k].score
    return state


@nb.njit(cache=True, nogil=True)
def _prices(gap_s: float, stay_scale_s: float, pace: float) -> tuple[int, int]:
    """The scores of remaining and of switching over a gap."""
    scale_s = stay_scale_s * pace
    changed = (1.0 - math.exp(-gap_s / scale_s)) / 2.0
    dear = (1.0 - math.exp(-max(gap_s, LEAST_SWITCH_S * pace) / scale_s)) / 2.0
    return score(math.log(1.0 - changed)), score(math.log(dear))


@nb.njit(**UNCOUNTED)
def _leave(gap_s, stay_scale_s, pace, usual):  # type: ignore[no-untyped-def]
    return usual if pace == 1.0 else _prices(gap_s, stay_scale_s, pace)[1]


@nb.njit(**UNCOUNTED)
def score_elsewhere(step, pace):  # type: ignore[no-untyped-def]
    """The score of a step for a place that it is not near."""
    if pace == 1.0 or step.weight == 0.0:
        return step.elsewhere
    against = LOG_MISTAKE - step.outside / SCORE_SCALE / step.weight
    return step.outside + score(at_pace(step.weight, pace) * against)
