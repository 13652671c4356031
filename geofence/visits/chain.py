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

from geofence.visits.cells import allied, comes_before
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


@nb.njit(cache=True, nogil=True, inline="always")
def has_room(steps, entries, i, near_count):  # type: ignore[no-untyped-def]
    """Whether the row of step ``i`` is sure to fit in."""
    before = steps.row_end[i - 1] - steps.row_begin[i - 1] if i > 0 else 0
    begin = steps.row_end[i - 1] if i > 0 else 0
    return begin + before + near_count <= len(entries.place)


@nb.njit(cache=True, nogil=True, inline="always")
def take_step(steps, entries, i, near, near_count, ground, overlaps, stay_scale_s):  # type: ignore[no-untyped-def]
    """Write the row of step ``i``: the best score that ends in each state there, and where it came from.

    ``near`` are the cells near its fix, weighed; ``steps.outside[i]`` and ``steps.elsewhere[i]`` what the fix says for
    being outside and anywhere else.
    """
    if i == 0:
        _start(steps, entries, near, near_count)
        return
    old_begin, begin = steps.row_begin[i - 1], steps.row_end[i - 1]
    end, several = _join(steps, entries, i, near, near_count, ground, overlaps)
    old_out, old_far = steps.out_score[i - 1], steps.far_score[i - 1]
    gap_s = (steps.ts_ms[i] - steps.ts_ms[i - 1]) / 1000.0
    remain, leave = _prices(gap_s, stay_scale_s, 1.0)
    apart = score(CHANGE_PLACE)

    lead = -1
    led = np.int64(0)
    for e in range(begin, end):
        k = entries.back[e]
        if k >= 0:
            left = entries.score[old_begin + k] + _leave(gap_s, stay_scale_s, entries.pace[e], leave)
            if lead < 0 or left > led:
                lead, led = k, left

    far, far_back = old_far + remain, FROM_FAR
    if old_out + leave > far:
        far, far_back = old_out + leave, FROM_OUTSIDE
    if lead >= 0 and led + apart > far:
        far, far_back = led + apart, lead
    far += steps.elsewhere[i]
    out, out_back = old_out + remain, FROM_OUTSIDE
    if lead >= 0 and led > out:
        out, out_back = led, lead
    steps.out_score[i], steps.out_back[i] = out + steps.outside[i], out_back
    steps.far_score[i], steps.far_back[i] = far, far_back

    # All are scored before any is dropped: what ``back`` holds of the others is still needed.
    for e in range(begin, end):
        own = entries.back[e]
        stay, go = remain, leave
        if entries.pace[e] != 1.0:
            stay, go = _prices(gap_s, stay_scale_s, entries.pace[e])
        best = (entries.score[old_begin + own] if own >= 0 else old_far) + stay
        came = own if own >= 0 else FROM_FAR
        if old_out + go > best:
            best, came = old_out + go, FROM_OUTSIDE
        if several:
            for other in range(begin, end):
                k = entries.back[other]
                if k < 0 or k == own:
                    continue
                related = allied(entries.place[other], entries.place[e], ground, overlaps)
                # Of those that share no fence with this one only the leading one can be the best to come from.
                if not related and k != lead:
                    continue
                left = entries.score[old_begin + k] + _leave(gap_s, stay_scale_s, entries.pace[other], leave)
                if not related:
                    left += apart
                if left > best:
                    best, came = left, k
        elif lead >= 0 and lead != own and led + apart > best:
            best, came = led + apart, lead
        entries.score[e] = best + entries.inside[e]
        entries.came[e] = came

    kept = begin
    for e in range(begin, end):
        if entries.near[e] or entries.score[e] > far:
            _move(entries, e, kept)
            entries.back[kept] = entries.came[e]
            kept += 1
    steps.row_begin[i], steps.row_end[i] = begin, kept


@nb.njit(cache=True, nogil=True, inline="always")
def _start(steps, entries, near, near_count):  # type: ignore[no-untyped-def]
    """The row of the first step."""
    inside = score(START_INSIDE)
    for k in range(near_count):
        entries.place[k], entries.pace[k], entries.near[k] = near.place[k], near.pace[k], True
        entries.inside[k] = near.inside[k]
        entries.score[k] = inside + near.inside[k]
        entries.back[k] = FROM_FAR
    steps.row_begin[0], steps.row_end[0] = 0, near_count
    steps.out_score[0], steps.far_score[0] = steps.outside[0], inside + steps.elsewhere[0]


@nb.njit(cache=True, nogil=True, inline="always")
def _join(steps, entries, i, near, near_count, ground, overlaps):  # type: ignore[no-untyped-def]
    """Put the places active before and those near step ``i`` into its row, in order.

    ``back`` is for now the index of each in the row before, ``FROM_FAR`` where it was not active. Returns the row's end
    and whether a place of several fences is among them.
    """
    old, old_end = steps.row_begin[i - 1], steps.row_end[i - 1]
    first, e, k = old, old_end, 0
    several = False
    fences = len(ground.rank)
    while old < old_end or k < near_count:
        if k == near_count:
            new, known = False, True
        elif old == old_end:
            new, known = True, False
        elif entries.place[old] == near.place[k]:
            new, known = True, True
        else:
            known = comes_before(entries.place[old], near.place[k], ground, overlaps)
            new = not known
        if new:
            entries.place[e], entries.pace[e], entries.inside[e] = near.place[k], near.pace[k], near.inside[k]
            k += 1
        else:
            entries.place[e], entries.pace[e] = entries.place[old], entries.pace[old]
            entries.inside[e] = score_elsewhere(steps, i, entries.pace[old])
        entries.near[e] = new
        entries.back[e] = old - first if known else FROM_FAR
        several |= entries.place[e] >= fences
        old += known
        e += 1
    return e, several


@nb.njit(cache=True, nogil=True, inline="always")
def _move(entries, e, to):  # type: ignore[no-untyped-def]
    entries.place[to], entries.pace[to], entries.near[to] = entries.place[e], entries.pace[e], entries.near[e]
    entries.inside[to], entries.score[to] = entries.inside[e], entries.score[e]


@nb.njit(cache=True, nogil=True)
def trace_back(steps, entries, first):  # type: ignore[no-untyped-def]
    """Set ``steps.best`` to the likeliest path: place + 1, 0 outside. Returns the first step that may have changed.

    Rows before ``first`` are as they were when this was set last: where the path meets the old one there, nothing
    before it changes.
    """
    i = len(steps.ts_ms) - 1
    at, best, place = FROM_OUTSIDE, steps.out_score[i], -1
    for k in range(steps.row_begin[i], steps.row_end[i]):
        if entries.score[k] > best:
            at, best, place = k - steps.row_begin[i], entries.score[k], entries.place[k]
    while i >= 0:
        label = 0 if at == FROM_OUTSIDE else place + 1
        if i < first and steps.best[i] == label:
            return i + 1
        steps.best[i] = label
        if i == 0:
            return 0
        if at == FROM_OUTSIDE:
            at = steps.out_back[i]
        elif at == FROM_FAR:
            at = steps.far_back[i]
        else:
            at = entries.back[steps.row_begin[i] + at]
        i -= 1
        if at >= 0:
            place = entries.place[steps.row_begin[i] + at]
    return 0


@nb.njit(cache=True, nogil=True)
def _prices(gap_s: float, stay_scale_s: float, pace: float) -> tuple[int, int]:
    """The scores of remaining and of switching over a gap."""
    scale_s = stay_scale_s * pace
    changed = (1.0 - math.exp(-gap_s / scale_s)) / 2.0
    dear = (1.0 - math.exp(-max(gap_s, LEAST_SWITCH_S * pace) / scale_s)) / 2.0
    return score(math.log(1.0 - changed)), score(math.log(dear))


@nb.njit(cache=True, nogil=True, inline="always")
def _leave(gap_s, stay_scale_s, pace, usual):  # type: ignore[no-untyped-def]
    return usual if pace == 1.0 else _prices(gap_s, stay_scale_s, pace)[1]


@nb.njit(cache=True, nogil=True, inline="always")
def score_elsewhere(steps, i, pace):  # type: ignore[no-untyped-def]
    """The score of step ``i`` for a place that it is not near."""
    if pace == 1.0 or steps.weight[i] == 0.0:
        return steps.elsewhere[i]
    against = LOG_MISTAKE - steps.outside[i] / SCORE_SCALE / steps.weight[i]
    return steps.outside[i] + score(at_pace(steps.weight[i], pace) * against)
