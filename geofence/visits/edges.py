"""When a stay began and ended: back-dated edges with the intervals that the fixes allow.

Everything is written for the arrival; a departure is the arrival of the reversed fixes.
"""

import math
from typing import Final

import numba as nb
import numpy as np

from geofence.visits.evidence import LONG_SILENCE_S, REACH_M, TAIL, TAIL_SPREAD, normal_cdf, step_m

SEARCH_S: Final = 300.0
"""How far out of a stay, and into it, its edge is looked for."""

CLIP: Final = 0.015
CLIPPED_FROM_ERRORS: Final = 4.5
"""So many errors away from the boundary a fix is as sure as ``CLIP`` allows."""

SHORT_GAP_S: Final = 45.0
SILENCE_S: Final = 120.0
SILENCE_NATS: Final = 4.0
OBSERVED_S: Final = 120.0
LEAST_TRAVEL_MPS: Final = 1.0
MOST_TRAVEL_MPS: Final = 15.0
PRESUMED_TRAVEL_MPS: Final = 8.0
TOP_MPS: Final = 30.0
UNKNOWN_AFTER_S: Final = 43_200.0
"""After half a day of silence nobody knows how long the device stayed: what was seen counts."""

TUNNEL_S: Final = 30.0
JUST_BEFORE_S: Final = 15.0
PARKING_S: Final = 20.0
"""Between driving and being inside one parks and walks."""

DETOUR: Final = 1.3
"""A road is so much longer than the straight line."""

NEARBY_M: Final = 100.0
"""Up to here one goes straight."""

WITHIN_NATS: Final = 1.0
BALANCE_NATS: Final = 0.4
"""A change point that is worse by this much counts for 1/e of the best."""

STANDING: Final = 0.05
"""What a change point counts where the fixes around it lie equally far inside. By how much the later is surer to be
inside counts on top: it is by moving that one crosses."""

NEGLIGIBLE: Final = 1e-4
WALKING_MPS: Final = 1.3
INTERVAL_SIGMAS: Final = 2.0
USUAL_LOG_ODDS: Final = 0.6


@nb.njit(cache=True, nogil=True)
def inside_log_odds(distance_m: float, error_m: float) -> float:
    """Log-odds that a fix was taken on the inner side of a boundary, bounded both ways."""
    if abs(distance_m) > CLIPPED_FROM_ERRORS * error_m:
        inner = CLIP if distance_m > 0.0 else 1.0 - CLIP
    else:
        tail = normal_cdf(-distance_m / (TAIL_SPREAD * error_m))
        inner = (1.0 - TAIL) * normal_cdf(-distance_m / error_m) + TAIL * tail
        inner = min(1.0 - CLIP, max(CLIP, inner))
    return math.log(inner / (1.0 - inner))


@nb.njit(cache=True, nogil=True)
def _outside_m(steps, distance_m, o, i):  # type: ignore[no-untyped-def]
    """How far out step ``o`` lies; beyond reach, by the way between it and the inner step ``i``."""
    if distance_m[o] < REACH_M:
        return max(0.0, distance_m[o])
    return max(REACH_M, step_m(steps[o], steps[i]) + min(0.0, distance_m[i]))


@nb.njit(cache=True, nogil=True)
def _observed_mps(t_s, steps, out_m, o):  # type: ignore[no-untyped-def]
    """The speed before step ``o``, which lies ``out_m`` outside, over two minutes."""
    way_m = 0.0
    j = o
    while j > 0 and t_s[o] - t_s[j - 1] <= OBSERVED_S:
        way_m += step_m(steps[j - 1], steps[j])
        j -= 1
    if j < o and t_s[o] > t_s[j]:
        observed = way_m / (t_s[o] - t_s[j])
    elif steps[o].speed_mps > 0.0:
        observed = steps[o].speed_mps
    else:
        observed = 0.0
    # What lies beyond reach was driven to, even where the device has come to rest by then.
    if out_m >= REACH_M:
        observed = max(observed, PRESUMED_TRAVEL_MPS)
    return min(MOST_TRAVEL_MPS, max(LEAST_TRAVEL_MPS, observed))


@nb.njit(cache=True, nogil=True)
def _crossing_s(t_s, steps, distance_m, width_m, rules, causal, i):  # type: ignore[no-untyped-def]
    """When the boundary was crossed between step ``i - 1`` outside and step ``i`` inside."""
    if i == 0:
        return t_s[0]
    o = i - 1
    gap_s = t_s[i] - t_s[o]
    if gap_s > UNKNOWN_AFTER_S:
        return t_s[i]
    out_m = _outside_m(steps, distance_m, o, i)
    in_m = max(0.0, -distance_m[i])
    if gap_s <= SHORT_GAP_S:
        return t_s[o] + gap_s * (out_m / (out_m + in_m) if out_m + in_m > 0.0 else 0.5)
    if steps[i].speed_mps > rules.drive_mps:
        return max(t_s[o], t_s[i] - width_m / steps[i].speed_mps - TUNNEL_S)
    at_rest = steps[o].speed_mps <= rules.walk_mps and out_m > 2.0 * steps[o].error_m
    if causal and gap_s > LONG_SILENCE_S and at_rest:
        return t_s[i] - JUST_BEFORE_S
    observed_mps = _observed_mps(t_s, steps, out_m, o)
    way_m = out_m * DETOUR if out_m > NEARBY_M else out_m
    parking_s = PARKING_S if observed_mps > rules.drive_mps else 0.0
    return min(t_s[i], t_s[o] + way_m / observed_mps + parking_s)


@nb.njit(cache=True, nogil=True)
def _balanced_s(t_s, steps, distance_m, width_m, rules, causal, odds, sums, low):  # type: ignore[no-untyped-def]
    """The crossing that has as much of the change points before it as behind it; between two, in proportion.

    Where fixes hardly tell the kerb from the door, the best change point is as good as drawn from many.
    """
    share = np.exp((sums - np.max(sums)) / BALANCE_NATS)
    inner = 1.0 / (1.0 + np.exp(-odds[: len(share)]))
    share[0] *= STANDING
    share[1:] *= STANDING + np.maximum(0.0, np.diff(inner))
    share /= np.max(share)
    share[share < NEGLIGIBLE] = 0.0
    half = 0.5 * np.sum(share)
    sooner_s = 0.0
    sooner = -1.0
    passed = 0.0
    for k in range(len(share)):
        if share[k] == 0.0:
            continue
        crossed_s = _crossing_s(t_s, steps, distance_m, width_m, rules, causal, low + k)
        middle = passed + 0.5 * share[k]
        if middle >= half:
            if sooner < 0.0:
                return crossed_s
            return sooner_s + (crossed_s - sooner_s) * (half - sooner) / (middle - sooner)
        sooner_s, sooner = crossed_s, middle
        passed += share[k]
    return sooner_s


@nb.njit(cache=True, nogil=True)
def _price_silences(t_s, sums, low, first):  # type: ignore[no-untyped-def]
    """Make change points dearer that lie beyond a silence from the step ``first``, where the path changes.

    The path has weighed to which side the silence belongs; a fix or two near the boundary do not overrule it.
    """
    for i in range(first, low + len(sums) - 1):
        if i > 0 and t_s[i] - t_s[i - 1] > SILENCE_S:
            sums[i + 1 - low :] -= SILENCE_NATS
            break
    for i in range(first, low, -1):
        if t_s[i] - t_s[i - 1] > SILENCE_S:
            sums[: i - low] -= SILENCE_NATS
            break


@nb.njit(cache=True, nogil=True)
def edge(t_s, steps, distance_m, weight, width_m, rules, causal, first, lasts_s):  # type: ignore[no-untyped-def]
    """The arrival at a stay that the path puts at the step ``first`` and those after it; all times in seconds.

    The stay goes on to the last of the steps at least, and lasts ``lasts_s`` from the first. Every change point in the
    five minutes around ``first`` (at most half the stay inward) counts by the sum of inside log-odds behind it.
    ``causal`` is True for arrivals, False where time runs backwards. Returns (edge, earliest, latest).
    """
    last = len(steps) - 1
    inward_s = min(SEARCH_S, lasts_s / 2.0)
    low = first
    while low > 0 and t_s[first] - t_s[low - 1] <= SEARCH_S:
        low -= 1
    high = first
    while high < last and t_s[high + 1] - t_s[first] <= inward_s:
        high += 1
    usual_to = first
    while usual_to < last and t_s[usual_to + 1] - t_s[first] <= SEARCH_S:
        usual_to += 1
    odds = np.empty(max(high, usual_to) + 1 - low)
    for i in range(low, max(high, usual_to) + 1):
        odds[i - low] = inside_log_odds(distance_m[i], steps[i].error_m)
    shift = max(0.0, USUAL_LOG_ODDS - np.median(odds[first - low : usual_to + 1 - low]))
    sums = np.empty(high + 1 - low)
    behind = 0.0
    for i in range(high, low - 1, -1):
        behind += weight[i] * (odds[i - low] + shift)
        sums[i - low] = behind
    _price_silences(t_s, sums, low, first)
    best = high
    for i in range(high, low - 1, -1):
        if sums[i - low] > sums[best - low]:
            best = i
    crossed_s = _balanced_s(t_s, steps, distance_m, width_m, rules, causal, odds, sums, low)
    earliest_s = crossed_s
    latest_s = crossed_s
    for i in range(low, high + 1):
        if sums[i - low] < sums[best - low] - WITHIN_NATS:
            continue
        if i > 0:
            out_m = _outside_m(steps, distance_m, i - 1, i)
            earliest_s = min(earliest_s, min(t_s[i], t_s[i - 1] + out_m / TOP_MPS))
        latest_s = max(
            latest_s, t_s[i] - min(t_s[i] - t_s[i - 1] if i > 0 else 0.0, max(0.0, -distance_m[i]) / TOP_MPS)
        )
    slack_s = INTERVAL_SIGMAS * steps[best].error_m / WALKING_MPS
    return crossed_s, earliest_s - slack_s, latest_s + slack_s
