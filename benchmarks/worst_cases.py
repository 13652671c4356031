"""Pictures of what a visit log got most wrong: the place and its fixes, and the distance to the fence over time."""

import importlib.util
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy_sets import LabelledSet, Trace
from geofence.geodesy import metres_per_degree
from geofence.kernel import near
from geofence.outlines import boxes_of
from simulator.score import Case, LoggedStay
from simulator.truth import Span

AROUND_MS: Final = 600_000
SEEN_M: Final = 200.0
FAR_M: Final = 400.0
GRID: Final = 120
OUTLINE_M: Final = 40.0
"""How far from a fence its distance is asked for, to draw its outline: several steps of the grid."""
TRUTH_COLOURS: Final = {"visit": "tab:green", "pass": "tab:gray", "disputed": "tab:olive"}

Floats = npt.NDArray[np.float64]


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def worst(cases: Iterable[Case], end_ms: int, count: int) -> list[Case]:
    """Half of ``count`` wrong visits, the longest of each verdict in turn; the rest the largest errors of edges."""
    listed = list(cases)
    by_verdict = [
        sorted((case for case in listed if case.verdict == verdict), key=lambda case: _duration_ms(case, end_ms))
        for verdict in ("missed", "invented", "split")
    ]
    wrong: list[Case] = []
    while len(wrong) < (count + 1) // 2 and any(by_verdict):
        wrong.extend(each.pop() for each in by_verdict if each)
    edges = sorted((case for case in listed if case.verdict == "found"), key=edge_error_ms, reverse=True)
    return [*wrong[: (count + 1) // 2], *edges][:count]


def edge_error_ms(case: Case) -> int:
    """The larger error of a found visit's arrival and departure."""
    if case.span is None or case.stay is None:
        return 0
    errors_ms = [abs(case.stay.arrived_ms - case.span.arrived_ms)]
    if case.span.departed_ms is not None and case.stay.departed_ms is not None:
        errors_ms.append(abs(case.stay.departed_ms - case.span.departed_ms))
    return max(errors_ms)


def _duration_ms(case: Case, end_ms: int) -> int:
    from_ms, to_ms = _bounds(case, end_ms)
    return to_ms - from_ms


def _bounds(case: Case, end_ms: int) -> tuple[int, int]:
    """From the first arrival to the last departure of span and stay."""
    both = [each for each in (case.span, case.stay) if each is not None]
    ends_ms = [end_ms if each.departed_ms is None else each.departed_ms for each in both]
    return min(each.arrived_ms for each in both), max(ends_ms)


def draw(
    folder: Path, labelled: LabelledSet, log: Sequence[tuple[str, LoggedStay]], cases: Iterable[Case], count: int
) -> None:
    """Write a PNG for each of the ``count`` worst cases into ``folder``; older ones there go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    traces = {trace.device_id: trace for trace in labelled.traces}
    for number, case in enumerate(worst(cases, labelled.end_ms, count), start=1):
        spans = [span for span in labelled.truth if span.device_id == case.device_id]
        stays = [stay for device_id, stay in log if device_id == case.device_id]
        name = f"{number:02d}-{case.verdict}-{case.device_id.replace('/', '-')}-{case.fence_id}.png"
        _draw(folder / name, case, traces[case.device_id], spans, stays, labelled.end_ms)


def _draw(
    path: Path, case: Case, trace: Trace, spans: Sequence[Span], stays: Sequence[LoggedStay], end_ms: int
) -> None:
    from matplotlib.figure import Figure

    from_ms, to_ms = _bounds(case, end_ms)
    from_ms, to_ms = from_ms - AROUND_MS, to_ms + AROUND_MS
    fixes = trace.fixes.in_order()
    fixes = fixes.take((fixes.ts_ms >= from_ms) & (fixes.ts_ms <= to_ms))
    fence = trace.fences.fence_ids.index(case.fence_id)
    row = int(np.flatnonzero(trace.fences.fence_of_row == fence)[0])
    away_m = distances_m(trace, row, fixes.lat, fixes.lon)
    minutes = (fixes.ts_ms - from_ms) / 60_000.0

    figure = Figure(figsize=(15, 6))
    place, times = figure.subplots(1, 2, width_ratios=(1, 1.6))
    figure.subplots_adjust(left=0.05, right=0.99, wspace=0.18)
    center = _center(trace, row)
    metric = np.array(metres_per_degree(float(center[1])))
    at_m = (np.column_stack([fixes.lon, fixes.lat]) - center) * metric
    side_m = SEEN_M + float(trace.fences.width_m[row])
    _outline(place, trace, row, side_m, metric)
    seen = np.abs(at_m).max(axis=1) <= side_m
    place.plot(*at_m[seen].T, color="0.8", linewidth=0.6, zorder=1)
    colours = np.where(away_m <= 0.0, "tab:green", "tab:red")
    radii_m = np.nan_to_num(fixes.accuracy_m, nan=15.0)
    place.scatter(*at_m[seen].T, s=8.0 + np.minimum(radii_m[seen], 100.0), c=colours[seen], alpha=0.5, linewidths=0)
    place.set(xlim=(-side_m, side_m), ylim=(-side_m, side_m), aspect="equal", xlabel="m east", ylabel="m north")
    place.set_title("inside green, outside red; the larger, the less accurate")

    times.axhline(0.0, color="black", linewidth=0.8)
    times.errorbar(
        minutes, np.minimum(away_m, FAR_M), np.minimum(radii_m, FAR_M), fmt="none", ecolor="0.85", elinewidth=0.7
    )
    times.scatter(minutes, np.minimum(away_m, FAR_M), s=9.0, c=colours, zorder=2)
    lanes = [case.fence_id]
    for span in spans:
        told = span.kind != "pass" or span.fence_id == case.fence_id
        if told and span.overlap_ms(from_ms, to_ms, end_ms) > 0:
            height_m = _height_m(_lane(lanes, span.fence_id))
            _bar(times, span.arrived_ms, span.departed_ms, from_ms, to_ms, height_m, TRUTH_COLOURS[span.kind])
    for stay in stays:
        if stay.arrived_ms < to_ms and (stay.departed_ms or end_ms) > from_ms:
            height_m = _height_m(_lane(lanes, stay.fence_id) + 0.4)
            _bar(times, stay.arrived_ms, stay.departed_ms, from_ms, to_ms, height_m, "tab:blue")
    for number, name in enumerate(lanes):
        times.text(0.0, _height_m(number + 0.2), f"{name} ", fontsize=8, va="center", ha="right")
    times.set_yticks([0.0, 100.0, 200.0, 300.0, FAR_M])
    times.set(ylim=(_height_m(len(lanes)) - 10.0, FAR_M + 20.0), ylabel="m to the fence, negative inside")
    started = datetime.fromtimestamp(from_ms / 1000.0, UTC)
    times.set_xlabel(f"minutes since {started:%Y-%m-%d %H:%M:%S} UTC")
    times.set_title("bars: truth green (a pass grey, disputed olive), logged blue; fixes with the accuracy they state")
    figure.suptitle(f"{case.verdict}: {case.device_id} at {case.fence_id}")
    figure.savefig(path, dpi=80)


def distances_m(trace: Trace, row: int, lat: Floats, lon: Floats) -> Floats:
    """float64[n]: signed distance to one fence, ``FAR_M`` where it is farther."""
    found = near(trace.fences.packed, lat, lon, FAR_M)
    here = found.row == row
    away_m = np.full(len(lat), FAR_M)
    away_m[found.point[here]] = found.distance_m[here]
    return away_m


def _center(trace: Trace, row: int) -> Floats:
    """Longitude and latitude."""
    west, south, east, north = boxes_of(trace.fences.packed.outlines, np.array([row]))[:, 0].tolist()
    return np.array(((west + east) / 2.0, (south + north) / 2.0))


def _outline(place: Any, trace: Trace, row: int, side_m: float, metric: Floats) -> None:
    """Every fence around ``row`` as the line where its signed distance is 0: any shape, as the kernel sees it."""
    steps_m = np.linspace(-side_m, side_m, GRID)
    x_m, y_m = np.meshgrid(steps_m, steps_m)
    lon, lat = (np.stack([x_m.ravel(), y_m.ravel()]) / metric[:, None]) + _center(trace, row)[:, None]
    found = near(trace.fences.packed, lat, lon, OUTLINE_M)
    for each in np.unique(found.row):
        away_m = np.full(GRID * GRID, OUTLINE_M)
        here = found.row == each
        away_m[found.point[here]] = found.distance_m[here]
        if away_m.min() < 0.0:
            own = each == row
            colour = "tab:blue" if own else "tab:gray"
            place.contour(x_m, y_m, away_m.reshape(GRID, GRID), levels=[0.0], colors=colour, linewidths=2 if own else 1)


def _lane(lanes: list[str], fence_id: str) -> int:
    if fence_id not in lanes:
        lanes.append(fence_id)
    return lanes.index(fence_id)


def _height_m(lane: float) -> float:
    """Where a lane of bars lies, below the fixes."""
    return -60.0 - 24.0 * lane


def _bar(
    times: Any, arrived_ms: int, departed_ms: int | None, from_ms: int, to_ms: int, height_m: float, colour: str
) -> None:
    ends_ms = to_ms if departed_ms is None else min(departed_ms, to_ms)
    span_min = [(max(moment, from_ms) - from_ms) / 60_000.0 for moment in (arrived_ms, ends_ms)]
    times.plot(span_min, [height_m] * 2, color=colour, linewidth=4, solid_capstyle="butt")
