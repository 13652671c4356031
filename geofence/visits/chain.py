"""The likeliest sequence of places: a hidden Markov chain in continuous time, read by Viterbi.

States are *outside* (0) and one per cell. All scores are integers (see ``evidence.SCORE_SCALE``), and ties go to
staying, then to outside, then to the cell with the lowest number, so the path is the same on every machine.
"""

import math
from typing import Final

import numba as nb
import numpy as np

from geofence.visits.evidence import score

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
def best_path(ts_ms, begins, cell, outside, inside, elsewhere, first, end, allied, stay_scale_s, label):  # type: ignore[no-untyped-def]
    """Viterbi over the fixes ``first`` to ``end``; writes the cell (from 1; 0 is outside) into ``label`` where inside.

    ``cell[k]`` numbers the cells from 0, ``allied[a, b]`` tells whether two cells share a fence. Returns the best score
    that ends in each state at each fix, int64[end - first, cells + 1].
    """
    cells = len(allied)
    back = np.zeros((end - first, cells + 1), np.int32)
    scores = np.empty((end - first, cells + 1), np.int64)
    apart = score(CHANGE_PLACE)
    least_switch = score(math.log((1.0 - math.exp(-LEAST_SWITCH_S / stay_scale_s)) / 2.0))
    alone = np.sum(allied, axis=1) == 1
    for i in range(first, end):
        now = scores[i - first]
        if i == first:
            now[0] = 0
            now[1:] = score(START_INSIDE)
        else:
            old = scores[i - first - 1]
            gap_s = (ts_ms[i] - ts_ms[i - 1]) / 1000.0
            changed = (1.0 - math.exp(-gap_s / stay_scale_s)) / 2.0
            stay = score(math.log(1.0 - changed))
            switch = score(math.log(changed)) if gap_s > LEAST_SWITCH_S else least_switch
            lead = 1
            for c in range(2, cells + 1):
                if old[c] > old[lead]:
                    lead = c
            now[0] = old[0] + stay
            if old[lead] + switch > now[0]:
                now[0] = old[lead] + switch
                back[i - first, 0] = lead
            for c in range(1, cells + 1):
                best = old[c] + stay
                came = c
                if old[0] + switch > best:
                    best = old[0] + switch
                    came = 0
                # Of the cells that share no fence with this one only the leading one can be the best to come from.
                first_other, end_other = (lead, lead + 1) if alone[c - 1] else (1, cells + 1)
                for other in range(first_other, end_other):
                    if other == c or not (other == lead or allied[other - 1, c - 1]):
                        continue
                    value = old[other] + switch
                    if not allied[other - 1, c - 1]:
                        value += apart
                    if value > best:
                        best = value
                        came = other
                now[c] = best
                back[i - first, c] = came
        now[0] += outside[i]
        for c in range(1, cells + 1):
            now[c] += elsewhere[i]
        for k in range(begins[i], begins[i + 1]):
            now[cell[k] + 1] += inside[k] - elsewhere[i]
    state = np.argmax(scores[end - 1 - first])
    for i in range(end - 1, first - 1, -1):
        if state > 0:
            label[i] = state
        state = back[i - first, state]
    return scores
