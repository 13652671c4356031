"""What a fix says about where the device is: how far off it may be, how fast it moved, how much it counts."""

import math
from typing import Final

import numba as nb
import numpy as np

from geofence.fixes import UNSTATED
from geofence.geodesy import metres_per_degree, wrap_degrees

REACH_M: Final = 250.0
"""A fix further than this from a fence says nothing for it."""

SCORE_SCALE: Final = float(1 << 20)
"""Scores are integers of 2^-20 nat: sums are exact, so equal paths tie on every machine."""

MISTAKE: Final = 0.01
"""One fix in a hundred is simply wrong."""

TAIL: Final = 0.2
TAIL_SPREAD: Final = 3.0
ACCURACY_SIGMAS: Final = 1.5
LEAST_RADIUS_M: Final = 4.0
BIAS_M: Final = 5.0
PROVEN_WITHIN_S: Final = 45.0
LONG_SILENCE_S: Final = 300.0
PRIOR_AREA_M2: Final = 100_000.0
PRIOR_MAX: Final = 300.0

LEISURELY_S: Final = 120.0
"""Shorter stays are a matter of other time scales, and of a halt: in less a vehicle may just pass."""

SLOWEST_PACE: Final = 0.05


@nb.njit(cache=True, nogil=True)
def normal_cdf(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-x * 0.7071067811865476)


@nb.njit(cache=True, nogil=True)
def mass(distance_m: float, width_m: float, error_m: float) -> float:
    """Probability that a fix at a signed distance (negative inside) from a strip of a width comes from within it.

    A normal error with a heavy tail: one fix in five errs three times as far.
    """
    near = normal_cdf(-distance_m / error_m) - normal_cdf(-(distance_m + width_m) / error_m)
    spread = error_m * TAIL_SPREAD
    far = normal_cdf(-distance_m / spread) - normal_cdf(-(distance_m + width_m) / spread)
    return (1.0 - TAIL) * near + TAIL * far


@nb.njit(cache=True, nogil=True)
def step_m(lat, lon, i, j):  # type: ignore[no-untyped-def]
    """Metres between two fixes of degrees."""
    x_m, y_m = metres_per_degree(0.5 * (lat[i] + lat[j]))
    return math.hypot(wrap_degrees(lon[j] - lon[i]) * x_m, (lat[j] - lat[i]) * y_m)


@nb.njit(cache=True, nogil=True)
def measure(ts_ms, lat, lon, accuracy_dm, speed_cm_s, as_of_ms, unstated_m, max_error_m, correlation_s, walk_mps):  # type: ignore[no-untyped-def]
    """Per used fix: error (m), speed (m/s), weight 0..1, and the weight with gaps cut at a minute (for edges).

    The weight grows with the silence around a fix: errors are correlated, so sixty fixes in a minute are not sixty
    witnesses. The gap after the last fix is the gap before it, or the silence so far where that is longer.
    """
    n = len(ts_ms)
    error_m = np.empty(n)
    speed_mps = np.empty(n)
    weight = np.empty(n)
    edge_weight = np.empty(n)
    for i in range(n):
        if accuracy_dm[i] == UNSTATED:
            error_m[i] = unstated_m
        else:
            radius_m = max(accuracy_dm[i] / 10.0 / ACCURACY_SIGMAS, LEAST_RADIUS_M)
            error_m[i] = min(max_error_m, math.hypot(radius_m, BIAS_M))
            # A radius stated twice running to the decimal is a class of fixes, or a setting: 65 m may be off by ten.
            if i > 0 and accuracy_dm[i] == accuracy_dm[i - 1]:
                error_m[i] = min(error_m[i], unstated_m)
    proven_before_mps = 0.0
    for i in range(n):
        before_s = (ts_ms[i] - ts_ms[i - 1]) / 1000.0 if i > 0 else -1.0
        after_s = (ts_ms[i + 1] - ts_ms[i]) / 1000.0 if i + 1 < n else -1.0
        stated = speed_cm_s[i] != UNSTATED and speed_cm_s[i] > 0
        next_stated = i + 1 == n or (speed_cm_s[i + 1] != UNSTATED and speed_cm_s[i + 1] > 0)
        proven_after_mps = 0.0
        if 0.0 < after_s <= PROVEN_WITHIN_S and not (stated and next_stated):
            proven_after_mps = (step_m(lat, lon, i, i + 1) - error_m[i] - error_m[i + 1]) / after_s
        speed_mps[i] = speed_cm_s[i] / 100.0 if stated else max(0.0, proven_before_mps, proven_after_mps)
        proven_before_mps = proven_after_mps
        if i + 1 == n:
            after_s = max(before_s, (as_of_ms - ts_ms[i]) / 1000.0)
        if i == 0:
            before_s = after_s
        weight[i] = 1.0 - math.exp(-(before_s + after_s) / 2.0 / correlation_s)
        edge_weight[i] = weight[i]
        if before_s > 60.0 or after_s > 60.0:
            edge_weight[i] = 1.0 - math.exp(-(min(before_s, 60.0) + min(after_s, 60.0)) / 2.0 / correlation_s)
    _rest_in_silences(ts_ms, lat, lon, speed_mps, walk_mps)
    return error_m, speed_mps, weight, edge_weight


@nb.njit(cache=True, nogil=True)
def _rest_in_silences(ts_ms, lat, lon, speed_mps, walk_mps):  # type: ignore[no-untyped-def]
    """Slow the moving fixes around a long silence in which the device hardly got on: it stood between them.

    Where one of the two is slow itself, it rested there.
    """
    for i in range(len(ts_ms) - 1):
        gap_s = (ts_ms[i + 1] - ts_ms[i]) / 1000.0
        if gap_s > LONG_SILENCE_S and speed_mps[i] > walk_mps and speed_mps[i + 1] > walk_mps:
            through_mps = step_m(lat, lon, i, i + 1) / gap_s
            if through_mps < walk_mps:
                speed_mps[i] = speed_mps[i + 1] = through_mps


@nb.njit(cache=True, nogil=True)
def pace_of(min_on_site_s: float) -> float:
    """By how much the time scales shrink at a fence whose visits are short: 1 from two minutes on.

    Where ten seconds make a visit, a chain that thinks in quarters of an hour would see none.
    """
    return min(1.0, max(SLOWEST_PACE, min_on_site_s / LEISURELY_S))


@nb.njit(cache=True, nogil=True)
def at_pace(weight: float, pace: float) -> float:
    """The weight of a fix where errors count as correlated over ``pace`` times the usual time."""
    return weight if pace == 1.0 else 1.0 - (1.0 - weight) ** (1.0 / pace)


@nb.njit(cache=True, nogil=True)
def score(nats: float) -> int:
    """Nats as an integer of 2^-20."""
    return math.floor(nats * SCORE_SCALE + 0.5)


@nb.njit(cache=True, nogil=True)
def weigh(begins, distance_m, width_m, prior, pace, error_m, speed_mps, weight, walk_mps, drive_mps):  # type: ignore[no-untyped-def]
    """Scores of each fix for being outside, in each cell within reach, and in any other cell.

    Fix ``i`` has the cells ``begins[i]`` to ``begins[i + 1]``. Cells compete: their masses sum to 1 at most. A place
    with a large ``prior`` draws a device that is slow; one of a quick ``pace`` takes fixes soon after each other for
    more witnesses, in what they say for it against outside. Returns int64 ``outside[n]``, ``inside[k]``,
    ``elsewhere[n]``.
    """
    n = len(error_m)
    outside = np.empty(n, np.int64)
    elsewhere = np.empty(n, np.int64)
    inside = np.empty(len(distance_m), np.int64)
    masses = np.empty(len(distance_m))
    alone_outside, mistaken = math.log(1.0 + MISTAKE), math.log(MISTAKE)
    for i in range(n):
        elsewhere[i] = score(weight[i] * mistaken)
        if begins[i] == begins[i + 1]:
            outside[i] = score(weight[i] * alone_outside)
            continue
        total = 0.0
        for k in range(begins[i], begins[i + 1]):
            masses[k] = mass(distance_m[k], width_m[k], error_m[i]) if distance_m[k] <= REACH_M else 0.0
            total += masses[k]
        scale = 1.0 / total if total > 1.0 else 1.0
        out = max(0.0, 1.0 - total)
        still = min(1.0, max(0.0, (drive_mps - speed_mps[i]) / (drive_mps - walk_mps)))
        norm = out
        for k in range(begins[i], begins[i + 1]):
            masses[k] *= scale * (prior[k] if still == 1.0 else prior[k] ** still)
            norm += masses[k]
        for k in range(begins[i], begins[i + 1]):
            inside[k] = score(weight[i] * math.log(masses[k] / norm + MISTAKE))
        outside[i] = score(weight[i] * math.log(out / norm + MISTAKE))
        for k in range(begins[i], begins[i + 1]):
            if pace[k] < 1.0:
                against = math.log((masses[k] / norm + MISTAKE) / (out / norm + MISTAKE))
                inside[k] = outside[i] + score(at_pace(weight[i], pace[k]) * against)
    return outside, inside, elsewhere


@nb.njit(cache=True, nogil=True)
def site_prior(area_m2: float, weight: float) -> float:
    """How much likelier a slow device is at a place of an area than the mass alone says: people stop at sites."""
    return min(PRIOR_MAX, max(1.0, weight * math.sqrt(PRIOR_AREA_M2 / max(area_m2, 1e-9))))
