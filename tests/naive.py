"""Slow, obvious oracles of the visit engine: plain Python, straight loops, nothing shared with what they check.

The steps are numbered in the order in which ``derive`` runs them. What a fence set says near a fix
(distances, and the cells of overlapping fences) comes in as data.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import NormalDist, median

NORMAL = NormalDist()
NAT = 1 << 20
REACH_M = 250.0
FAR_M = 1e6
WALK_MPS, DRIVE_MPS = 1.5, 4.0
MARGIN_MS = 420_000

Place = tuple[str, ...]
"""The fences that hold in a cell, sorted."""

Cell = tuple[Place, float, float, float, float]
"""A cell within reach of a fix: place, signed distance (m), width (m), area (m²) of its smallest fence, pace."""


@dataclass(frozen=True)
class Fix:
    """A fix as stored; None = unstated."""

    ts_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: float | None
    speed_mps: float | None

    @property
    def lat(self) -> float:
        """Degrees."""
        return self.lat_e7 / 1e7

    @property
    def lon(self) -> float:
        """Degrees."""
        return self.lon_e7 / 1e7


@dataclass(frozen=True)
class Fence:
    """A fence that holds in one span of event time (from inclusive, to exclusive), as one version."""

    fence_id: str
    width_m: float
    from_ms: float = -math.inf
    to_ms: float = math.inf
    min_on_site_s: float = 120.0


@dataclass(frozen=True)
class Told:
    """A stay as the log has it; ``departed_*`` None while the device is there."""

    fence_id: str
    first: int
    last: int
    state: str
    reason: str
    arrived_ms: int
    arrived_earliest_ms: int
    arrived_latest_ms: int
    departed_ms: int | None = None
    departed_earliest_ms: int | None = None
    departed_latest_ms: int | None = None


def derive(
    fixes: Sequence[Fix],
    fences: Sequence[Fence],
    cells_at: Callable[[Fix], list[Cell]],
    away_m: Callable[[Fix, str], float],
    drawn_around: Callable[[Fix, str], bool],
    as_of_ms: int,
) -> tuple[list[Place], list[Told]]:
    """Where the device was at each used fix, and its stays. ``fixes`` are in order, each once.

    ``away_m`` is the signed distance to a fence where it holds at the fix's time, ``FAR_M`` out of reach;
    ``drawn_around`` tells whether a fix lies in a fence's shape whether that holds yet or not.
    """
    used = clean(fixes, as_of_ms)
    if not used:
        return [], []
    day = Evidence.of(used, as_of_ms)
    at = likeliest(day, [cells_at(fix) for fix in used])
    told: list[Told] = []
    for fence in fences:
        away = [away_m(fix, fence.fence_id) for fix in used]
        stays = spells_at(fence, at, day, away)
        for k, (first, last) in enumerate(stays):
            before = stays[k - 1][1] if k else -1
            after = stays[k + 1][0] if k + 1 < len(stays) else len(used)
            stay = tell(fence, day, away, (before, first, last, after), drawn_around, as_of_ms)
            if stay is not None:
                told.append(stay)
    return at, told


# 1. Clean


def clean(fixes: Sequence[Fix], as_of_ms: int) -> list[Fix]:
    """The fixes that are used."""
    used: list[Fix] = []
    previous = None
    for fix in fixes:
        if fix.ts_ms > as_of_ms or fix.lat_e7 == fix.lon_e7 == 0 or abs(fix.lat) > 90 or abs(fix.lon) > 180:
            continue
        if fix.accuracy_m is not None and fix.accuracy_m > 250.0:
            continue
        if previous is not None and (fix.lat_e7, fix.lon_e7) == (previous.lat_e7, previous.lon_e7):
            continue
        previous = fix
        if used and fix.ts_ms - used[-1].ts_ms <= 500:
            if claimed_m(fix) < claimed_m(used[-1]):
                used[-1] = fix
            continue
        used.append(fix)
    return used


def claimed_m(fix: Fix) -> float:
    """Unstated is worse than any."""
    return math.inf if fix.accuracy_m is None else fix.accuracy_m


# 2., 3. and 7. What each used fix is worth


@dataclass(frozen=True)
class Evidence:
    """The used fixes and what they are worth, one list an aspect."""

    fixes: list[Fix]
    ts_s: list[float]
    error_m: list[float]
    speed_mps: list[float]
    weight: list[float]
    edge_weight: list[float]

    @classmethod
    def of(cls, fixes: list[Fix], as_of_ms: int) -> "Evidence":
        """Weighed as of a moment."""
        errors = [error_m(fix, fixes[i - 1] if i else None) for i, fix in enumerate(fixes)]
        count = range(len(fixes))
        return cls(
            fixes,
            [fix.ts_ms / 1000.0 for fix in fixes],
            errors,
            speeds_mps(fixes, errors),
            [weight(*gaps_s(fixes, i, as_of_ms)) for i in count],
            [weight(*(min(gap, 60.0) for gap in gaps_s(fixes, i, as_of_ms))) for i in count],
        )

    def part(self, low: int, high: int) -> "Evidence":
        """The fixes ``low`` to ``high``."""
        return Evidence(*(getattr(self, name)[low:high] for name in self.__dataclass_fields__))

    def since(self, moment_ms: int) -> "Evidence":
        """With seconds counted from a moment."""
        return replace(self, ts_s=[(fix.ts_ms - moment_ms) / 1000.0 for fix in self.fixes])

    def backwards(self) -> "Evidence":
        """With time running the other way."""
        turned = Evidence(*(getattr(self, name)[::-1] for name in self.__dataclass_fields__))
        return replace(turned, ts_s=[-t for t in turned.ts_s])


def error_m(fix: Fix, before: Fix | None) -> float:
    """Step 2; the same radius twice running was not measured: it counts for no more than an unstated one."""
    if fix.accuracy_m is None:
        return 15.0
    repeated = before is not None and before.accuracy_m == fix.accuracy_m
    return min(15.0 if repeated else 30.0, math.hypot(max(fix.accuracy_m / 1.5, 4.0), 5.0))


def speeds_mps(fixes: Sequence[Fix], errors: Sequence[float]) -> list[float]:
    """Step 3 for all fixes; around a silence without way, which had moving fixes on both sides, they are slowed."""
    own = [speed_mps(fixes, errors, i) for i in range(len(fixes))]
    speeds = list(own)
    for i in range(1, len(fixes)):
        gap_s = (fixes[i].ts_ms - fixes[i - 1].ts_ms) / 1000.0
        through = step_m(fixes[i - 1], fixes[i]) / gap_s if gap_s > 300.0 else math.inf
        if through < WALK_MPS < min(own[i - 1], own[i]):
            speeds[i - 1] = speeds[i] = through
    return speeds


def speed_mps(fixes: Sequence[Fix], errors: Sequence[float], i: int) -> float:
    """Step 3: as stated, else what the displacement proves within gaps of 45 s."""
    stated = fixes[i].speed_mps
    if stated:
        return stated
    proven = []
    for a, b in ((i - 1, i), (i, i + 1)):
        if a >= 0 and b < len(fixes) and 0 < fixes[b].ts_ms - fixes[a].ts_ms <= 45_000:
            gap_s = (fixes[b].ts_ms - fixes[a].ts_ms) / 1000.0
            proven.append((step_m(fixes[a], fixes[b]) - errors[a] - errors[b]) / gap_s)
    return max(0.0, min(proven, default=0.0))


def step_m(a: Fix, b: Fix) -> float:
    """Metres between two fixes on the WGS 84 ellipsoid's own scale halfway."""
    squared = 6.694_379_990_14e-3
    middle = math.radians((a.lat + b.lat) / 2.0)
    squeeze = 1.0 - squared * math.sin(middle) ** 2
    prime = 6_378_137.0 / math.sqrt(squeeze)
    east = math.radians((b.lon - a.lon + 180.0) % 360.0 - 180.0) * prime * math.cos(middle)
    north = math.radians(b.lat - a.lat) * prime * (1.0 - squared) / squeeze
    return math.hypot(east, north)


def gaps_s(fixes: Sequence[Fix], i: int, as_of_ms: int) -> tuple[float, float]:
    """The silence before and after a fix; the last one's lasts until the moment of looking."""
    before = (fixes[i].ts_ms - fixes[i - 1].ts_ms) / 1000.0 if i else None
    if i + 1 < len(fixes):
        after = (fixes[i + 1].ts_ms - fixes[i].ts_ms) / 1000.0
    else:
        after = max(before or 0.0, (as_of_ms - fixes[i].ts_ms) / 1000.0)
    return (after if before is None else before), after


def weight(before_s: float, after_s: float) -> float:
    """Step 7: errors resemble each other over about 90 s."""
    return 1.0 - math.exp(-(before_s + after_s) / 2.0 / 90.0)


def pace(min_on_site_s: float) -> float:
    """By how much time scales shrink where visits are short."""
    return min(1.0, max(0.05, min_on_site_s / 120.0))


def at_pace(usual: float, pace: float) -> float:
    """The weight with that pace's correlation time."""
    return usual if pace == 1.0 else 1.0 - (1.0 - usual) ** (1.0 / pace)


# 5. to 7. Evidence for the cells


def mass(distance_m: float, width_m: float, error_m: float) -> float:
    """Step 5 of the method for one cell."""

    def within(s: float) -> float:
        return NORMAL.cdf(-distance_m / s) - NORMAL.cdf(-(distance_m + width_m) / s)

    return 0.8 * within(error_m) + 0.2 * within(3.0 * error_m)


def site_prior(area_m2: float) -> float:
    """Step 6 before the speed counts."""
    return min(300.0, max(1.0, 10.0 * math.sqrt(100_000.0 / area_m2)))


def emissions(
    cells: list[tuple[float, float, float, float]], error_m: float, speed_mps: float, weight: float
) -> tuple[int, list[int], Callable[[float], int]]:
    """Steps 5 to 7 for one fix; ``cells`` are (distance, width, prior, pace).

    The scores of being outside, in each cell, and in any other cell of a pace.
    """
    masses = [mass(d, w, error_m) if d <= REACH_M else 0.0 for d, w, *_ in cells]
    total = sum(masses)
    out = max(0.0, 1.0 - total)
    if total > 1.0:
        masses = [m / total for m in masses]
    still = min(1.0, max(0.0, (DRIVE_MPS - speed_mps) / (DRIVE_MPS - WALK_MPS)))
    drawn = [m * rho**still for m, (_, _, rho, _) in zip(masses, cells, strict=True)]
    norm = out + sum(drawn)

    def nats(value: float) -> int:
        return math.floor(value * NAT + 0.5)

    outside = nats(weight * math.log(out / norm + 0.01))

    def score(p: float, pace: float) -> int:
        if pace == 1.0:
            return nats(weight * math.log(p + 0.01))
        return outside + nats(at_pace(weight, pace) * math.log((p + 0.01) / (out / norm + 0.01)))

    each = [score(m / norm, pace) for m, (*_, pace) in zip(drawn, cells, strict=True)]
    return outside, each, lambda pace: score(0.0, pace)


# 8. The chain


def transition(gap_s: float, came: int, goes: int, allied: list[list[bool]], paces: Sequence[float] = ()) -> int:
    """Step 8; states are 0 = outside, c + 1 = cell c, of ``paces[c]`` (1 where none are given).

    A cell is left at its own pace; one is entered from outside at its own, too.
    """
    pace = paces[(came or goes) - 1] if paces and (came or goes) else 1.0
    if came == goes:
        return math.floor(math.log(1.0 - (1.0 - math.exp(-gap_s / (900.0 * pace))) / 2.0) * NAT + 0.5)
    switch = math.floor(math.log((1.0 - math.exp(-max(gap_s, 60.0 * pace) / (900.0 * pace))) / 2.0) * NAT + 0.5)
    if came and goes and not allied[came - 1][goes - 1]:
        return switch - 2 * NAT
    return switch


def path_score(
    path: tuple[int, ...],
    ts_ms: list[int],
    scores: list[list[int]],
    allied: list[list[bool]],
    paces: Sequence[float] = (),
) -> int:
    """What a whole path of states is worth; ``scores[i][state]`` are the emissions."""
    total = 0 if path[0] == 0 else -NAT
    for i, state in enumerate(path):
        if i:
            total += transition((ts_ms[i] - ts_ms[i - 1]) / 1000.0, path[i - 1], state, allied, paces)
        total += scores[i][state]
    return total


def best_score(ts_ms: list[int], scores: list[list[int]], allied: list[list[bool]], paces: Sequence[float] = ()) -> int:
    """The best of all paths, tried one by one."""
    states = range(len(allied) + 1)
    return max(path_score(path, ts_ms, scores, allied, paces) for path in product(states, repeat=len(ts_ms)))


OUTSIDE, FAR = "outside", "far"


def likeliest(day: Evidence, cells: list[list[Cell]]) -> list[Place]:
    """Steps 5 to 8: the place at each fix, () = outside; the best of all paths, by Viterbi over all fixes.

    A place takes part from the first fix near it on, and until it is no likelier than ``FAR``, any place that does not;
    before it took part it was as likely as that. Ties go to staying, to outside, to the first place.
    """
    best: dict[str | Place, int] = {}
    came: list[dict[str | Place, str | Place]] = []
    paces: dict[Place, float] = {}
    gains: list[dict[Place, int]] = []
    for i, near in enumerate(cells):
        paces |= {place: pace for place, *_, pace in near}
        priced = [(distance_m, width_m, site_prior(area_m2), pace) for _, distance_m, width_m, area_m2, pace in near]
        out, each, other = emissions(priced, day.error_m[i], day.speed_mps[i], day.weight[i])
        here = {place: score for (place, *_), score in zip(near, each, strict=True)}
        gains.append({place: score - other(paces[place]) for place, score in here.items()})
        if i == 0:
            best = {OUTSIDE: out, FAR: other(1.0) - NAT} | {place: score - NAT for place, score in here.items()}
            continue
        gap_s = day.ts_s[i] - day.ts_s[i - 1]
        active = sorted(place for place in best if place not in (OUTSIDE, FAR))
        left = {place: best[place] + price(gap_s, paces[place], stays=False) for place in active}
        ways: dict[str | Place, dict[str | Place, int]] = {
            OUTSIDE: {OUTSIDE: best[OUTSIDE] + price(gap_s, 1.0, stays=True)} | left,
            FAR: {
                FAR: best[FAR] + price(gap_s, 1.0, stays=True),
                OUTSIDE: best[OUTSIDE] + price(gap_s, 1.0, stays=False),
            }
            | {place: score - 2 * NAT for place, score in left.items()},
        }
        for place in {*active, *here}:
            before = place if place in best else FAR
            ways[place] = {
                before: best[before] + price(gap_s, paces[place], stays=True),
                OUTSIDE: best[OUTSIDE] + price(gap_s, paces[place], stays=False),
            }
            for other_place, score in left.items():
                if other_place != place:
                    apart = set(other_place).isdisjoint(place)
                    ways[place][other_place] = score - 2 * NAT * apart
        came.append({state: max(choice, key=choice.__getitem__) for state, choice in ways.items()})
        worth = {OUTSIDE: out, FAR: other(1.0)} | {place: other(paces[place]) for place in active} | here
        scores = {state: ways[state][came[-1][state]] + worth[state] for state in ways}
        best = {
            state: score
            for state, score in scores.items()
            if state in (OUTSIDE, FAR) or state in here or score > scores[FAR]
        }
    at = _read_back(best, came)
    settle_rivals(day, at, gains, paces)
    return at


def price(gap_s: float, pace: float, *, stays: bool) -> int:
    """Step 8: the score of staying in a state, or of changing it, over a gap."""
    return transition(gap_s, 1, 1 if stays else 0, [[True]], [pace])


def _read_back(best: dict[str | Place, int], came: list[dict[str | Place, str | Place]]) -> list[Place]:
    """The places of the best path; as long as it was far it was where it came near afterwards."""
    ends = [OUTSIDE, *sorted(place for place in best if place not in (OUTSIDE, FAR))]
    state: str | Place = max(ends, key=best.__getitem__)
    place: Place = () if isinstance(state, str) else state
    path = [place]
    for way in reversed(came):
        state = way[state]
        if state == OUTSIDE:
            place = ()
        elif not isinstance(state, str):
            place = state
        path.append(place)
    return path[::-1]


def settle_rivals(day: Evidence, at: list[Place], gains: list[dict[Place, int]], paces: dict[Place, float]) -> None:
    """The stays that are over go to the rival that explains them clearly better; ``gains`` are those of cells near."""
    done = -1
    while (first := next((i for i in range(done + 1, len(at)) if at[i]), None)) is not None:
        mine = at[first]
        mates = [first]
        over = False
        for i in range(first + 1, len(at)):
            over = at[i] not in ((), mine)
            if not (at[i] == mine and mates[-1] == i - 1):
                over = over or day.fixes[i].ts_ms - day.fixes[mates[-1]].ts_ms > 300_000
            if over:
                break
            if at[i] == mine:
                mates.append(i)
        if not over:
            return
        after = next((i for i in range(mates[-1] + 1, len(at)) if at[i]), len(at))
        best = best_rival(day, mine, gains, paces, (done, first, mates[-1], after))
        for i in mates:
            at[i] = best
        done = mates[-1]


def best_rival(
    day: Evidence,
    mine: Place,
    gains: list[dict[Place, int]],
    paces: dict[Place, float],
    span: tuple[int, int, int, int],
) -> Place:
    """The place that explains a whole stay best: the fixes on the way count in full, those at rest like few."""
    before, first, last, after = span
    ts_ms, pace = [fix.ts_ms for fix in day.fixes], paces[mine]
    reach_ms = 120_000 * pace
    inward_ms = min(reach_ms, (ts_ms[last] - ts_ms[first]) / 2)
    drives = [i for i in range(before + 1, after) if day.speed_mps[i] > 2.5]
    came = [ts_ms[i] for i in drives if -reach_ms <= ts_ms[i] - ts_ms[first] < inward_ms]
    went = [ts_ms[i] for i in drives if -inward_ms < ts_ms[i] - ts_ms[last] <= reach_ms]
    way, rest = [], []
    for i in range(before + 1, after):
        around = ts_ms[first] - 60_000 * pace <= ts_ms[i] <= ts_ms[last] + 60_000 * pace
        within_reach = ts_ms[first] - reach_ms <= ts_ms[i] <= ts_ms[last] + reach_ms
        at_kerb = (came and 0 < ts_ms[i] - max(came) <= 20_000 * pace) or (
            went and 0 < min(went) - ts_ms[i] <= 20_000 * pace
        )
        if within_reach and ((around and 0.6 < day.speed_mps[i] < 2.5) or at_kerb):
            way.append(i)
        elif first <= i <= last:
            rest.append(i)
    share = 3.0 * (1.0 + sum(day.weight[i] for i in rest) / 4.0)

    def worth(place: Place) -> float:
        return sum(gains[i].get(place, 0) for i in way) + sum(gains[i].get(place, 0) for i in rest) / share

    best, least = mine, worth(mine) + 0.1 * NAT
    for place in sorted({place for i in range(first, last + 1) for place in gains[i]}):
        nested = set(place) <= set(mine) or set(mine) <= set(place)
        if not nested and paces[place] == pace and worth(place) > least:
            best, least = place, worth(place)
    return best


# 9. Spells


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


def spells_at(fence: Fence, at: list[Place], day: Evidence, away_m: list[float]) -> list[tuple[int, int]]:
    """Step 9 for a fence while it holds: first and last fix of each spell."""
    inside = [
        (0,) if fence.fence_id in place and fence.from_ms <= fix.ts_ms < fence.to_ms else ()
        for place, fix in zip(at, day.fixes, strict=True)
    ]
    cleared_m = [away - error for away, error in zip(away_m, day.error_m, strict=True)]
    ts_ms = [fix.ts_ms for fix in day.fixes]
    return [(first, last) for _, first, last in spells(0, inside, ts_ms, cleared_m, day.speed_mps, 300_000)]


def drove_off(day: Evidence, away_m: list[float], first: int, end: int) -> bool:
    """Whether the fixes ``first`` to ``end`` are a drive away."""
    out = range(first, end)
    fast = [i for i in out if day.speed_mps[i] > DRIVE_MPS]
    return len(fast) >= 2 and median(away_m[i] - day.error_m[i] for i in out) > 60.0


# 10. to 12. Edges


def inside_log_odds(distance_m: float, error_m: float) -> float:
    """Step 10: log-odds that a fix was taken on the inner side."""
    inner = 0.8 * NORMAL.cdf(-distance_m / error_m) + 0.2 * NORMAL.cdf(-distance_m / (3.0 * error_m))
    if abs(distance_m) > 4.5 * error_m:
        inner = 0.0 if distance_m > 0 else 1.0
    inner = min(0.985, max(0.015, inner))
    return math.log(inner / (1.0 - inner))


def outside_m(day: Evidence, away_m: list[float], o: int, i: int) -> float:
    """How far fix ``o`` lies outside; beyond reach, the way to fix ``i`` inside tells."""
    if away_m[o] < REACH_M:
        return max(0.0, away_m[o])
    return max(REACH_M, step_m(day.fixes[o], day.fixes[i]) + min(0.0, away_m[i]))


def observed_mps(day: Evidence, out_m: float, o: int) -> float:
    """The speed before fix ``o``, over two minutes; what lies out of reach was driven to."""
    since = [j for j in range(o + 1) if day.ts_s[o] - day.ts_s[j] <= 120.0]
    way_m = sum(step_m(day.fixes[j], day.fixes[j + 1]) for j in since[:-1])
    took_s = day.ts_s[o] - day.ts_s[since[0]]
    observed = way_m / took_s if took_s > 0 else day.speed_mps[o]
    if out_m >= REACH_M:
        observed = max(observed, 8.0)
    return min(15.0, max(1.0, observed))


def crossing_s(day: Evidence, away_m: list[float], width_m: float, i: int, causal: bool) -> float:
    """When the boundary was crossed between the fix before ``i``, outside, and ``i``, inside."""
    now_s = day.ts_s[i]
    if i == 0:
        return now_s
    before_s = day.ts_s[i - 1]
    gap_s = now_s - before_s
    out_m, in_m = outside_m(day, away_m, i - 1, i), max(0.0, -away_m[i])
    if gap_s > 43_200.0:
        return now_s
    if gap_s <= 45.0:
        return before_s + gap_s * (out_m / (out_m + in_m) if out_m + in_m > 0 else 0.5)
    if day.speed_mps[i] > DRIVE_MPS:
        return max(before_s, now_s - width_m / day.speed_mps[i] - 30.0)
    if causal and gap_s > 300.0 and day.speed_mps[i - 1] <= WALK_MPS and out_m > 2.0 * day.error_m[i - 1]:
        return now_s - 15.0
    driven_mps = observed_mps(day, out_m, i - 1)
    way_m = 1.3 * out_m if out_m > 100.0 else out_m
    return min(now_s, before_s + way_m / driven_mps + (20.0 if driven_mps > DRIVE_MPS else 0.0))


def balanced_s(crossings: list[tuple[float, float, float]]) -> float:
    """The middle of (moment, worth of its change point, how much was crossed), interpolated between those around it."""
    most = max(worth for _, worth, _ in crossings)
    shares = [(moment, math.exp((worth - most) / 0.4) * moved) for moment, worth, moved in crossings]
    shares = [(moment, share) for moment, share in shares if share >= 1e-4 * max(share for _, share in shares)]
    half = sum(share for _, share in shares) / 2.0
    middles = [(moment, sum(s for _, s in shares[:k]) + share / 2.0) for k, (moment, share) in enumerate(shares)]
    after = next((k for k, (_, middle) in enumerate(middles) if middle >= half), len(middles) - 1)
    moment, middle = middles[after]
    if after == 0:
        return moment
    sooner, passed = middles[after - 1]
    return sooner + (moment - sooner) * (half - passed) / (middle - passed)


def edge(
    day: Evidence, away_m: list[float], width_m: float, first: int, last: int, causal: bool
) -> tuple[float, float, float]:
    """The arrival at the stay of the fixes ``first`` to ``last``, the earliest and the latest, seconds."""
    t = day.ts_s
    inward_s = min(300.0, (t[last] - t[first]) / 2.0)
    points = [i for i in range(last + 1) if (t[first] - t[i] <= 300.0 if i < first else t[i] - t[first] <= inward_s)]
    odds = {i: inside_log_odds(away_m[i], day.error_m[i]) for i in range(last + 1)}
    usual = median(odds[i] for i in range(first, last + 1) if t[i] - t[first] <= 300.0)
    shift = max(0.0, 0.6 - usual)
    worth: dict[int, float] = {}
    behind = 0.0
    for i in reversed(points):
        behind += day.edge_weight[i] * (odds[i] + shift)
        worth[i] = behind
    for i in points:
        inward = range(first, i) if i > first else ()
        outward = range(i + 1, first + 1)
        if any(j > 0 and t[j] - t[j - 1] > 120.0 for j in inward):
            worth[i] -= 4.0
        if any(t[j] - t[j - 1] > 120.0 for j in outward):
            worth[i] -= 4.0
    best = max(reversed(points), key=lambda i: worth[i])
    inner = {i: 1.0 / (1.0 + math.exp(-odds[i])) for i in points}
    moved = {i: 0.05 + (max(0.0, inner[i] - inner[i - 1]) if i > points[0] else 0.0) for i in points}
    crossed_s = balanced_s([(crossing_s(day, away_m, width_m, i, causal), worth[i], moved[i]) for i in points])
    earliest = latest = crossed_s
    for i in points:
        if worth[i] < worth[best] - 1.0:
            continue
        gap_s = t[i] - t[i - 1] if i else 0.0
        if i:
            earliest = min(earliest, t[i], t[i - 1] + outside_m(day, away_m, i - 1, i) / 30.0)
        latest = max(latest, t[i] - min(gap_s, max(0.0, -away_m[i]) / 30.0))
    slack_s = 2.0 * day.error_m[best] / 1.3
    return crossed_s, earliest - slack_s, latest + slack_s


def edge_ms(
    fence: Fence, day: Evidence, away_m: list[float], span: tuple[int, int, int, int], arrival: bool
) -> tuple[int, int, int]:
    """Edge, earliest and latest of the arrival or the departure; what belongs to other spells is not looked at."""
    before, first, last, after = span
    ts_ms = [fix.ts_ms for fix in day.fixes]
    low = max(before + 1, bisect_left(ts_ms, ts_ms[first] - MARGIN_MS) - 1, bisect_left(ts_ms, fence.from_ms), 0)
    high = min(after, bisect_right(ts_ms, ts_ms[last] + MARGIN_MS) + 1, bisect_left(ts_ms, fence.to_ms))
    base_ms = ts_ms[first]
    part, near_m = day.part(low, high).since(base_ms), away_m[low:high]
    part = replace(part, edge_weight=[at_pace(usual, pace(fence.min_on_site_s)) for usual in part.edge_weight])
    begin, end = first - low, last - low
    if not arrival:
        part, near_m = part.backwards(), near_m[::-1]
        begin, end = len(near_m) - 1 - end, len(near_m) - 1 - begin
    moments = [round(s * 1000.0) for s in edge(part, near_m, fence.width_m, begin, end, arrival)]
    if arrival:
        return base_ms + moments[0], base_ms + moments[1], base_ms + moments[2]
    return base_ms - moments[0], base_ms - moments[2], base_ms - moments[1]


# 13. What is told


def tell(
    fence: Fence,
    day: Evidence,
    away_m: list[float],
    span: tuple[int, int, int, int],
    drawn_around: Callable[[Fix, str], bool],
    as_of_ms: int,
) -> Told | None:
    """A closed stay as it is told, None when it is too short or nowhere near; one that lasts has only its arrival."""
    _, first, last, after = span
    n = len(day.fixes)
    arrived, arrived_earliest, arrived_latest, reason = _arrival(fence, day, away_m, span, drawn_around)
    last_ms = day.fixes[last].ts_ms
    expired = fence.to_ms <= as_of_ms
    gone = after < n or as_of_ms - last_ms > 300_000 or drove_off(day, away_m, last + 1, n)
    touched = any(away_m[i] <= 2.0 * day.error_m[i] for i in range(first, last + 1))
    if not touched:
        return None
    if not (expired or (gone and last < n - 1)):
        arrived_latest = max(arrived, min(arrived_latest, last_ms))
        earliest = min(arrived, arrived_earliest)
        return Told(fence.fence_id, first, last, "present", reason, arrived, earliest, arrived_latest)
    if expired and _there_to_the_end(fence, day, last, drawn_around):
        reason = "fence_changed"
        departed = earliest = latest = int(fence.to_ms)
    else:
        reason = "departed"
        departed, earliest, latest = edge_ms(fence, day, away_m, span, arrival=False)
        departed = max(departed, arrived)
        earliest, latest = min(earliest, departed), max(latest, departed)
    lasted_s = (departed - arrived) / 1000.0
    if lasted_s < fence.min_on_site_s or (lasted_s < 120.0 and not stopped(day, first, last)):
        return None
    if arrived_latest > earliest:
        arrived_latest = max(arrived, min(arrived_latest, (arrived + departed) // 2))
        earliest = min(departed, max(earliest, arrived_latest))
    arrival = (arrived, min(arrived, arrived_earliest), arrived_latest)
    return Told(fence.fence_id, first, last, "closed", reason, *arrival, departed, earliest, latest)


def stopped(day: Evidence, first: int, last: int) -> bool:
    """Whether the device came to a stand, or was silent for long enough to have done so."""
    if any(day.ts_s[i] - day.ts_s[i - 1] > 45.0 for i in range(max(1, first), min(last + 2, len(day.ts_s)))):
        return True
    return any(
        day.speed_mps[i] <= 2.0 and (moved_mps(day, i, -1) <= 2.0 or moved_mps(day, i, 1) <= 2.0)
        for i in range(first, last + 1)
    )


def moved_mps(day: Evidence, i: int, side: int) -> float:
    """The speed that the way to the first fix at least 5 s away proves, or to the last there is on that side."""
    others = range(i + 1, len(day.ts_s)) if side > 0 else range(i - 1, -1, -1)
    if not others:
        return 0.0
    j = next((j for j in others if abs(day.ts_s[j] - day.ts_s[i]) >= 5.0), others[-1])
    gap_s = abs(day.ts_s[j] - day.ts_s[i])
    errors_m = (day.error_m[i] + day.error_m[j]) * math.sqrt(1.0 - math.exp(-gap_s / 90.0))
    return (step_m(day.fixes[i], day.fixes[j]) - errors_m) / gap_s


def _arrival(
    fence: Fence,
    day: Evidence,
    away_m: list[float],
    span: tuple[int, int, int, int],
    drawn_around: Callable[[Fix, str], bool],
) -> tuple[int, int, int, str]:
    first = span[1]
    arrived, earliest, latest = edge_ms(fence, day, away_m, span, arrival=True)
    reason = "arrived"
    if first == 0:
        reason = "initially_inside"
    elif day.fixes[first - 1].ts_ms < fence.from_ms and drawn_around(day.fixes[first - 1], fence.fence_id):
        reason = "initially_inside"
        arrived = earliest = latest = int(fence.from_ms)
    arrived = int(max(arrived, fence.from_ms))
    return arrived, int(max(earliest, fence.from_ms)), max(latest, arrived), reason


def _there_to_the_end(fence: Fence, day: Evidence, last: int, drawn_around: Callable[[Fix, str], bool]) -> bool:
    if last + 1 == len(day.fixes):
        return True
    following = day.fixes[last + 1]
    return following.ts_ms >= fence.to_ms and drawn_around(following, fence.fence_id)
