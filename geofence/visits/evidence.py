"""What a fix says about where the device is: how far off it may be, how fast it moved, how much it counts."""

import math
from typing import Final

import numba as nb

from geofence.compiling import UNCOUNTED
from geofence.fixes import UNSTATED
from geofence.geodesy import metres_per_degree, wrap_degrees

REACH_M: Final = 250.0
"""A fix further than this from a fence says nothing for it."""

SCORE_SCALE: Final = float(1 << 20)
"""Scores are integers of 2^-20 nat: sums are exact, so equal paths tie on every machine."""

MISTAKE: Final = 0.01
"""One fix in a hundred is simply wrong."""

LOG_MISTAKE: Final = math.log(MISTAKE)
LOG_ALONE: Final = math.log(1.0 + MISTAKE)

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


@nb.njit(**UNCOUNTED)
def step_m(one, other):  # type: ignore[no-untyped-def]
    """Metres between two steps."""
    x_m, y_m = metres_per_degree(0.5 * (one.lat + other.lat))
    return math.hypot(wrap_degrees(other.lon - one.lon) * x_m, (other.lat - one.lat) * y_m)


@nb.njit(cache=True, nogil=True)
def error_of(accuracy_dm, repeated, unstated_m, max_error_m):  # type: ignore[no-untyped-def]
    """How far off a fix is taken to be, metres; ``repeated`` where the fix before states the same radius."""
    if accuracy_dm == UNSTATED:
        return unstated_m
    radius_m = max(accuracy_dm / 10.0 / ACCURACY_SIGMAS, LEAST_RADIUS_M)
    error_m = min(max_error_m, math.hypot(radius_m, BIAS_M))
    # A radius stated twice running to the decimal is a class of fixes, or a setting: 65 m may be off by ten.
    return min(error_m, unstated_m) if repeated else error_m


@nb.njit(**UNCOUNTED)
def measure(steps, fixes, first, as_of_ms, rules):  # type: ignore[no-untyped-def]
    """Set speed (m/s), weight 0..1, and the weight with gaps cut at a minute (for edges) of the steps from ``first``.

    ``fixes`` are those that the steps are of. The weight grows with the silence around a fix: errors are correlated, so
    sixty fixes in a minute are not sixty witnesses. The gap after the last fix is the gap before it, or the silence so
    far where that is longer.
    """
    n = len(steps)
    for i in range(first, n):
        step = steps[i]
        stated = fixes[step.fix].speed_cm_s
        if stated != UNSTATED and stated > 0:
            step.own_mps = stated / 100.0
        else:
            # The first and the last fix of a halt have a way on one side: the slower one tells.
            slower_mps = min(_proven_mps(steps, i - 1), _proven_mps(steps, i))
            step.own_mps = 0.0 if slower_mps == math.inf else max(0.0, slower_mps)
        before_s = (step.ts_ms - steps[i - 1].ts_ms) / 1000.0 if i > 0 else -1.0
        after_s = ((steps[i + 1].ts_ms if i + 1 < n else as_of_ms) - step.ts_ms) / 1000.0
        if i + 1 == n:
            after_s = max(before_s, after_s)
        if i == 0:
            before_s = after_s
        step.weight = step.edge_weight = 1.0 - math.exp(-(before_s + after_s) / 2.0 / rules.correlation_s)
        if before_s > 60.0 or after_s > 60.0:
            cut_s = min(before_s, 60.0) + min(after_s, 60.0)
            step.edge_weight = 1.0 - math.exp(-cut_s / 2.0 / rules.correlation_s)
    _rest_in_silences(steps, first, rules.walk_mps)


@nb.njit(**UNCOUNTED)
def _proven_mps(steps, i):  # type: ignore[no-untyped-def]
    """The speed that the way from step ``i`` to the next one proves, infinite where it proves nothing."""
    if i < 0 or i + 1 == len(steps):
        return math.inf
    one, other = steps[i], steps[i + 1]
    gap_s = (other.ts_ms - one.ts_ms) / 1000.0
    if not 0.0 < gap_s <= PROVEN_WITHIN_S:
        return math.inf
    return (step_m(one, other) - one.error_m - other.error_m) / gap_s


@nb.njit(**UNCOUNTED)
def _rest_in_silences(steps, first, walk_mps):  # type: ignore[no-untyped-def]
    """Slow the moving fixes around a long silence in which the device hardly got on: it stood between them.

    Where one of the two is slow itself, it rested there.
    """
    for i in range(first, len(steps)):
        steps[i].speed_mps = steps[i].own_mps
    for i in range(max(0, first - 1), len(steps) - 1):
        one, other = steps[i], steps[i + 1]
        gap_s = (other.ts_ms - one.ts_ms) / 1000.0
        if gap_s > LONG_SILENCE_S and one.own_mps > walk_mps and other.own_mps > walk_mps:
            through_mps = step_m(one, other) / gap_s
            if through_mps < walk_mps:
                one.speed_mps = other.speed_mps = through_mps


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


@nb.njit(**UNCOUNTED)
def weigh(near, error_m, speed_mps, weight, rules):  # type: ignore[no-untyped-def]
    """Scores of a fix for being outside and in any cell that it is not near; those for the cells near it go into
    ``near.inside``.

    Cells compete: their masses sum to 1 at most. A place with a large prior draws a device that is slow; one of a quick
    pace takes fixes soon after each other for more witnesses, in what they say for it against outside.
    """
    elsewhere = score(weight * LOG_MISTAKE)
    if len(near) == 0:
        return score(weight * LOG_ALONE), elsewhere
    total = 0.0
    for k in range(len(near)):
        cell = near[k]
        cell.mass = mass(cell.distance_m, cell.width_m, error_m) if cell.distance_m <= REACH_M else 0.0
        total += cell.mass
    scale = 1.0 / total if total > 1.0 else 1.0
    out = max(0.0, 1.0 - total)
    still = min(1.0, max(0.0, (rules.drive_mps - speed_mps) / (rules.drive_mps - rules.walk_mps)))
    norm = out
    for k in range(len(near)):
        cell = near[k]
        cell.mass *= scale * (cell.prior if still == 1.0 else cell.prior**still)
        norm += cell.mass
    outside = score(weight * math.log(out / norm + MISTAKE))
    for k in range(len(near)):
        cell = near[k]
        if cell.pace == 1.0:
            cell.inside = score(weight * math.log(cell.mass / norm + MISTAKE))
        else:
            against = math.log((cell.mass / norm + MISTAKE) / (out / norm + MISTAKE))
            cell.inside = outside + score(at_pace(weight, cell.pace) * against)
    return outside, elsewhere


@nb.njit(cache=True, nogil=True)
def site_prior(area_m2: float, weight: float) -> float:
    """How much likelier a slow device is at a place of an area than the mass alone says: people stop at sites."""
    return min(PRIOR_MAX, max(1.0, weight * math.sqrt(PRIOR_AREA_M2 / max(area_m2, 1e-9))))
