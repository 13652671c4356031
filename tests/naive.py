"""Slow, obvious oracles of the visit engine: plain Python, straight loops, nothing shared with what they check."""

import math
from itertools import product
from statistics import NormalDist, median

NORMAL = NormalDist()
NAT = 1 << 20


def mass(distance_m: float, width_m: float, error_m: float) -> float:
    """Step 5 of the method for one cell."""

    def within(s: float) -> float:
        return NORMAL.cdf(-distance_m / s) - NORMAL.cdf(-(distance_m + width_m) / s)

    return 0.8 * within(error_m) + 0.2 * within(3.0 * error_m)


def emissions(
    cells: list[tuple[float, float, float]], error_m: float, speed_mps: float, weight: float
) -> tuple[int, list[int], int]:
    """Steps 5 to 7 for one fix; ``cells`` are (distance, width, prior). Outside, each cell, any other cell."""
    masses = [mass(d, w, error_m) for d, w, _ in cells]
    total = sum(masses)
    out = max(0.0, 1.0 - total)
    if total > 1.0:
        masses = [m / total for m in masses]
    still = min(1.0, max(0.0, (4.0 - speed_mps) / 2.5))
    drawn = [m * rho**still for m, (_, _, rho) in zip(masses, cells, strict=True)]
    norm = out + sum(drawn)

    def score(p: float) -> int:
        return math.floor(weight * math.log(p + 0.01) * NAT + 0.5)

    return score(out / norm), [score(m / norm) for m in drawn], score(0.0)


def transition(gap_s: float, came: int, goes: int, allied: list[list[bool]]) -> int:
    """Step 8; states are 0 = outside, c + 1 = cell c."""
    if came == goes:
        return math.floor(math.log(1.0 - (1.0 - math.exp(-gap_s / 900.0)) / 2.0) * NAT + 0.5)
    switch = math.floor(math.log((1.0 - math.exp(-max(gap_s, 60.0) / 900.0)) / 2.0) * NAT + 0.5)
    if came and goes and not allied[came - 1][goes - 1]:
        return switch - 2 * NAT
    return switch


def path_score(path: tuple[int, ...], ts_ms: list[int], scores: list[list[int]], allied: list[list[bool]]) -> int:
    """What a whole path of states is worth; ``scores[i][state]`` are the emissions."""
    total = 0 if path[0] == 0 else -NAT
    for i, state in enumerate(path):
        if i:
            total += transition((ts_ms[i] - ts_ms[i - 1]) / 1000.0, path[i - 1], state, allied)
        total += scores[i][state]
    return total


def best_score(ts_ms: list[int], scores: list[list[int]], allied: list[list[bool]]) -> int:
    """The best of all paths, tried one by one."""
    states = range(len(allied) + 1)
    return max(path_score(path, ts_ms, scores, allied) for path in product(states, repeat=len(ts_ms)))


def spells(
    fence: int,
    at: list[tuple[int, ...]],
    ts_s: list[float],
    away_m: list[float],
    speed_mps: list[float],
    bridge_s: float,
) -> list[tuple[int, int, int]]:
    """Step 9 for one fence that always holds: (fence, first, last); ``at[i]`` are the fences occupied at fix ``i``."""
    found: list[tuple[int, int, int]] = []
    for i, fences in enumerate(at):
        if fence not in fences:
            continue
        if found:
            last = found[-1][2]
            out = range(last + 1, i)
            driven = sum(speed_mps[k] > 4.0 for k in out) >= 2 and median(away_m[k] for k in out) > 60.0
            if last == i - 1 or (ts_s[i] - ts_s[last] <= bridge_s and not driven):
                found[-1] = (fence, found[-1][1], i)
                continue
        found.append((fence, i, i))
    return found
