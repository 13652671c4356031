"""The likeliest sequence of places: a hidden Markov chain in continuous time, read by Viterbi.

States are *outside* (0) and one per cell. All scores are integers (see ``evidence.SCORE_SCALE``), and ties go to
staying, then to outside, then to the cell with the lowest number, so the path is the same on every machine.
"""

import math
from typing import Final

import numba as nb
import numpy as np

from geofence.visits.evidence import MISTAKE, SCORE_SCALE, at_pace, score

LEAST_SWITCH_S: Final = 60.0
"""Switches are priced as over a minute at least, so that a fix a second does not make them dearer."""

START_INSIDE: Final = -1.0
CHANGE_PLACE: Final = -2.0
"""Nats for starting inside, and for going from one cell straight to another that shares no fence with it."""

FORGETTING: Final = 1.5
"""After far fixes whose weights sum to this the chain has forgotten all history: outside then leads by more than a
switch costs at its dearest (1.5 · log 101 > 2 · log(2 / (1 - exp(-60/900))))."""


@nb.njit(cache=True, nogil=True)
def segments(begins, weight):  # type: ignore[no-untyped-def]
    """Spans of fixes (first, end) outside of which the chain can only be outside.

    A span runs from far enough before its first near fix, through every far run too short to forget in, to far enough
    behind its last near fix. The first fix of a far run is not counted, because its weight depends on what was before.
    """
    n = len(weight)
    first = np.empty(n, np.int64)
    end = np.empty(n, np.int64)
    count = 0
    i = 0
    free_from = 0
    while i < n:
        if begins[i + 1] == begins[i]:
            i += 1
            continue
        start = i
        forgotten = 0.0
        while start > free_from and forgotten < FORGETTING:
            if start < i:
                forgotten += weight[start]
            start -= 1
        far = 0.0
        far_run = 0
        while i < n and far < FORGETTING:
            if begins[i + 1] > begins[i]:
                far = 0.0
                far_run = 0
            else:
                if far_run > 0:
                    far += weight[i]
                far_run += 1
            i += 1
        first[count] = start
        end[count] = i
        count += 1
        free_from = i - far_run
    return first[:count], end[:count]


@nb.njit(cache=True, nogil=True)
def best_path(  # type: ignore[no-untyped-def]
    ts_ms, begins, cell, pace, weight, outside, inside, elsewhere, first, end, allied, stay_scale_s, label
):
    """Viterbi over the fixes ``first`` to ``end``; writes the cell (from 1; 0 is outside) into ``label`` where inside.

    ``cell[k]`` numbers the cells from 0, ``allied[a, b]`` tells whether two cells share a fence. A cell is entered and
    left at its ``pace[k]`` at the last fix near it (before there is one, at the first). Returns the best score that
    ends in each state at each fix, int64[end - first, cells + 1].
    """
    cells = len(allied)
    back = np.zeros((end - first, cells + 1), np.int32)
    scores = np.empty((end - first, cells + 1), np.int64)
    apart = score(CHANGE_PLACE)
    alone = np.sum(allied, axis=1) == 1
    own_pace = np.ones(cells + 1)
    for k in range(begins[end] - 1, begins[first] - 1, -1):
        own_pace[cell[k] + 1] = pace[k]
    leave = np.empty(cells + 1, np.int64)
    remain = np.empty(cells + 1, np.int64)
    for i in range(first, end):
        now = scores[i - first]
        for k in range(begins[i], begins[i + 1]):
            own_pace[cell[k] + 1] = pace[k]
        if i == first:
            now[0] = 0
            now[1:] = score(START_INSIDE)
        else:
            old = scores[i - first - 1]
            gap_s = (ts_ms[i] - ts_ms[i - 1]) / 1000.0
            for c in range(cells + 1):
                if c > 0 and own_pace[c] == 1.0:
                    remain[c], leave[c] = remain[0], leave[0]
                else:
                    remain[c], leave[c] = _prices(gap_s, stay_scale_s, own_pace[c])
            lead = 1
            for c in range(2, cells + 1):
                if old[c] + leave[c] > old[lead] + leave[lead]:
                    lead = c
            now[0] = old[0] + remain[0]
            if old[lead] + leave[lead] > now[0]:
                now[0] = old[lead] + leave[lead]
                back[i - first, 0] = lead
            for c in range(1, cells + 1):
                best = old[c] + remain[c]
                came = c
                if old[0] + leave[c] > best:
                    best = old[0] + leave[c]
                    came = 0
                # Of the cells that share no fence with this one only the leading one can be the best to come from.
                first_other, end_other = (lead, lead + 1) if alone[c - 1] else (1, cells + 1)
                for other in range(first_other, end_other):
                    if other == c or not (other == lead or allied[other - 1, c - 1]):
                        continue
                    value = old[other] + leave[other]
                    if not allied[other - 1, c - 1]:
                        value += apart
                    if value > best:
                        best = value
                        came = other
                now[c] = best
                back[i - first, c] = came
        now[0] += outside[i]
        for c in range(1, cells + 1):
            now[c] += score_elsewhere(i, own_pace[c], weight, outside, elsewhere)
        for k in range(begins[i], begins[i + 1]):
            now[cell[k] + 1] += inside[k] - score_elsewhere(i, pace[k], weight, outside, elsewhere)
    state = np.argmax(scores[end - 1 - first])
    for i in range(end - 1, first - 1, -1):
        if state > 0:
            label[i] = state
        state = back[i - first, state]
    return scores


@nb.njit(cache=True, nogil=True)
def _prices(gap_s: float, stay_scale_s: float, pace: float) -> tuple[int, int]:
    """The scores of remaining and of switching over a gap."""
    scale_s = stay_scale_s * pace
    changed = (1.0 - math.exp(-gap_s / scale_s)) / 2.0
    dear = (1.0 - math.exp(-max(gap_s, LEAST_SWITCH_S * pace) / scale_s)) / 2.0
    return score(math.log(1.0 - changed)), score(math.log(dear))


@nb.njit(cache=True, nogil=True)
def score_elsewhere(i, pace, weight, outside, elsewhere):  # type: ignore[no-untyped-def]
    """The score of fix ``i`` for a cell that it is not near."""
    if pace == 1.0 or weight[i] == 0.0:
        return elsewhere[i]
    against = math.log(MISTAKE) - outside[i] / SCORE_SCALE / weight[i]
    return outside[i] + score(at_pace(weight[i], pace) * against)
