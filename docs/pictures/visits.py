"""The pictures of ``docs/visits.md``: recorded traces, and what the engine made of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.accuracy_sets import bus_limerick
from benchmarks.baselines import runs_inside
from docs.pictures.scenes import LIBRARY, Scene, stays_of
from geofence.kernel import near
from geofence.visits.evidence import REACH_M
from schemas.explanation import ExplainedFix

INK: Final = "#333333"
PLACE: Final = "#ececec"
STAY: Final = "#009e73"
TAP: Final = "#7b3294"
PASS: Final = "#d55e00"
FAR: Final = "#b0b0b0"

AROUND_M: Final = 55.0
"""How far beyond a fence its map goes."""
OUT_M: Final = 120.0
IN_M: Final = 60.0
"""How far out of a fence and into it distances are drawn."""
LANE_M: Final = 0.84 * OUT_M
"""Where words and bars go."""
AROUND_EDGE_MIN: Final = 2.5
BUS_MIN: Final = (4.0, 20.5)
"""The part of the bus's hour that is shown."""
RASTER_DPI: Final = 90
DASHES: Final = (0, (4, 3))


class Look(NamedTuple):
    """Which fixes look how."""

    name: str
    colour: str
    holds: Callable[[ExplainedFix], bool]


LOOKS: Final = (
    Look("outside", "#d55e00", lambda fix: fix.verdict == "accepted" and not _lies_inside(fix)),
    Look("undecided", "#e69f00", lambda fix: fix.verdict == "undecided"),
    Look("inside", "#0072b2", lambda fix: fix.verdict == "accepted" and _lies_inside(fix)),
)
NOT_USED: Final = Look("not used", "#7f7f7f", lambda fix: fix.verdict == "rejected")


def stay() -> Figure:
    """A phone at a library for over an hour: the place, the whole stay, and its two edges."""
    scene = Scene.at_library("android-3-081200")
    figure = Figure(figsize=(11.0, 6.4), layout="constrained")
    (place, whole), (came, went) = figure.subplots(2, 2, height_ratios=(1.15, 1.0))
    _draw_place(place, scene)
    place.set_title("the place: every fix, and how far off it may be")
    place.legend(loc="lower right")
    _draw_times(whole, scene)
    whole.set_title(f"the stay: {scene.visit.on_site_s / 60.0:.0f} min, one visit")
    whole.legend(handles=_edge_marks(), loc="upper center")
    for axes, word, (_, edge_ms, _) in zip((came, went), ("arrived", "left"), scene.edges_ms, strict=True):
        _draw_times(axes, scene)
        middle = scene.minutes(edge_ms)
        axes.set(xlim=(middle - AROUND_EDGE_MIN, middle + AROUND_EDGE_MIN))
        axes.set_title(f"{word} {_clock(edge_ms)}")
    return figure


def outside() -> Figure:
    """The fence drawn 20 m tighter than people use the place: most fixes lie outside."""
    scene = Scene.at_library("android-3-083117", tighter_m=20.0)
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    place, times = figure.subplots(1, 2)
    _draw_place(place, scene)
    place.set_title("a fence drawn 20 m too tight")
    place.legend(loc="lower right")
    _draw_times(times, scene)
    lying_out = sum(fix.distance_m is not None and fix.distance_m > 0.0 for fix in scene.there)
    times.set_title(f"{lying_out} of {len(scene.there)} fixes of the stay lie outside; still one visit")
    fence = scene.trace.fences.fence_ids.index(LIBRARY)
    runs = [run for run in runs_inside(scene.trace.fixes, scene.trace.fences) if run[0] == fence]
    for _, first, last in runs:
        ends_min = [scene.minutes(scene.trace.fixes.ts_ms[i]) for i in (first, last)]
        times.plot(ends_min, [LANE_M] * 2, color=INK, lw=6.0, solid_capstyle="butt")
    times.text(27.0, LANE_M, f"point in polygon sees {len(runs)} stays", va="center", color=INK)
    times.legend(handles=_edge_marks(), loc="center", bbox_to_anchor=(0.6, 0.5))
    return figure


def silence() -> Figure:
    """A phone that reports nothing for over an hour of its stay."""
    scene = Scene.at_library("ios-3-083117")
    figure = Figure(figsize=(11.0, 3.2), layout="constrained")
    axes = figure.subplots()
    _draw_times(axes, scene)
    used_ms = [fix.ts_ms for fix in scene.evidence.fixes if not NOT_USED.holds(fix)]
    silent_min = np.diff(used_ms).max() / 60_000.0
    axes.set_title(
        f"{len(scene.there)} fixes in {scene.visit.on_site_s / 60.0:.0f} min on site, nothing for {silent_min:.0f} min"
    )
    marks = [*axes.get_legend_handles_labels()[0], *_edge_marks()]
    axes.legend(handles=marks, loc="upper center", ncols=len(marks))
    return figure


def halts() -> Figure:
    """A bus at a fix a second among stops where ten seconds make a visit."""
    trace = bus_limerick().traces[0]
    fixes = trace.fixes.in_order()
    began_ms = int(fixes.ts_ms[0])
    minutes = (fixes.ts_ms - began_ms) / 60_000.0
    found = near(trace.fences.packed, fixes.lat, fixes.lon, REACH_M)
    away_m = np.full(len(fixes), REACH_M)
    np.minimum.at(away_m, found.point, found.distance_m)
    figure = Figure(figsize=(11.0, 3.4), layout="constrained")
    axes = figure.subplots()
    _draw_ground(axes)
    axes.plot(minutes, away_m, ".-", color=FAR, ms=3.0, lw=0.6, rasterized=True)
    visited = np.zeros(len(fixes), np.bool_)
    for stay in stays_of(trace):
        until_ms = int(fixes.ts_ms[-1]) if stay.departed_ms is None else stay.departed_ms
        visited |= (fixes.ts_ms >= stay.arrived_ms) & (fixes.ts_ms <= until_ms)
        came_min, went_min = ((edge_ms - began_ms) / 60_000.0 for edge_ms in (stay.arrived_ms, until_ms))
        axes.axvspan(came_min, went_min, color=STAY, alpha=0.2, lw=0)
        _label(axes, (came_min + went_min) / 2.0, f"{stay.on_site_s:.0f} s", STAY)
    inside = away_m < 0.0
    for run in np.split(np.arange(len(fixes)), np.flatnonzero(np.diff(inside)) + 1):
        if inside[run[0]]:
            colour = STAY if visited[run].any() else PASS
            axes.plot(minutes[run], away_m[run], "o", color=colour, ms=3.5, lw=0, rasterized=True)
            if colour == PASS:
                _label(axes, float(minutes[run].mean()), "pass", PASS)
    axes.set(xlim=BUS_MIN, ylabel="m to the nearest stop's fence", xlabel="minutes since the first fix")
    axes.set_title("a bus among its stops: visits with their time on site, and passes")
    return figure


PICTURES: Final[dict[str, Callable[[], Figure]]] = {
    "stay": stay,
    "outside": outside,
    "silence": silence,
    "halts": halts,
}
"""File name without its ending -> what draws it."""


STYLE: Final[dict[Any, Any]] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.0,
    "font.size": 9.0,
    "legend.columnspacing": 1.2,
    "legend.framealpha": 0.9,
    "legend.handletextpad": 0.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "onsite",
}


def draw(folder: Path) -> None:
    """Write all pictures into a folder."""
    with matplotlib.rc_context(STYLE):
        for name, picture in PICTURES.items():
            picture().savefig(folder / f"{name}.svg", dpi=RASTER_DPI, metadata={"Creator": None, "Date": None})


def _lies_inside(fix: ExplainedFix) -> bool:
    return fix.distance_m is not None and fix.distance_m < 0.0


def _draw_place(axes: Axes, scene: Scene) -> None:
    """The fence and the fixes around it, each with a circle of how far off it may be."""
    ring_m = scene.outline_m()
    axes.fill(*ring_m.T, facecolor=PLACE, edgecolor=INK, lw=1.5, zorder=1)
    for look in LOOKS:
        fixes = [fix for fix in scene.evidence.fixes if look.holds(fix)]
        at_m = scene.positions_m(fixes)
        across_m = [2.0 * (fix.error_m or 0.0) for fix in fixes]
        circles = EllipseCollection(
            across_m,
            across_m,
            np.zeros(len(fixes)),
            units="xy",
            offsets=at_m,
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=look.colour,
            linewidths=0.6,
            alpha=_faint(len(fixes)),
            zorder=2,
            rasterized=True,
        )
        axes.add_collection(circles, autolim=False)
        axes.scatter(
            at_m[:, 0], at_m[:, 1], s=10.0, color=look.colour, lw=0, zorder=3, label=look.name, rasterized=True
        )
    left_out = [fix for fix in scene.evidence.fixes if NOT_USED.holds(fix)]
    if left_out:
        axes.plot(
            *scene.positions_m(left_out).T,
            "x",
            color=NOT_USED.colour,
            ms=4.0,
            mew=0.8,
            label=NOT_USED.name,
            rasterized=True,
        )
    (west, south), (east, north) = ring_m.min(axis=0) - AROUND_M, ring_m.max(axis=0) + AROUND_M
    axes.set(xlim=(west, east), ylim=(south, north), aspect="equal", xlabel="m east", ylabel="m north")


def _draw_times(axes: Axes, scene: Scene) -> None:
    """Signed distance to the fence over time, with the edges of the visit and their intervals."""
    _draw_ground(axes)
    for look in LOOKS:
        fixes = [fix for fix in scene.evidence.fixes if look.holds(fix)]
        minutes = [scene.minutes(fix.ts_ms) for fix in fixes]
        away_m = [REACH_M if fix.distance_m is None else fix.distance_m for fix in fixes]
        error_m = [fix.error_m or 0.0 for fix in fixes]
        bars = axes.errorbar(minutes, away_m, error_m, fmt="none", ecolor=look.colour, elinewidth=0.8)
        for drawn in bars.lines[2]:
            drawn.set(alpha=_faint(len(fixes)), rasterized=True)
        axes.scatter(minutes, away_m, s=10.0, color=look.colour, lw=0, zorder=3, label=look.name, rasterized=True)
    left_out = [scene.minutes(fix.ts_ms) for fix in scene.evidence.fixes if NOT_USED.holds(fix)]
    axes.plot(left_out, [0.93 * -IN_M] * len(left_out), "x", color=NOT_USED.colour, ms=4.0, mew=0.8, rasterized=True)
    for earliest_ms, edge_ms, latest_ms in scene.edges_ms:
        axes.axvspan(scene.minutes(earliest_ms), scene.minutes(latest_ms), color=STAY, alpha=0.2, lw=0)
        axes.axvline(scene.minutes(edge_ms), color=STAY, lw=1.6)
    for tap_ms in scene.taps_ms:
        axes.axvline(scene.minutes(tap_ms), color=TAP, lw=1.2, ls=DASHES)
    axes.set(xlabel="minutes since the arrival", ylabel="m to the fence")


def _draw_ground(axes: Axes) -> None:
    """What lies inside a fence, below zero."""
    axes.axhspan(-IN_M, 0.0, color=PLACE, lw=0, zorder=0)
    axes.axhline(0.0, color=INK, lw=1.2, zorder=1)
    axes.set(ylim=(-IN_M, OUT_M))


def _edge_marks() -> list[Artist]:
    """For a legend."""
    return [
        Line2D([], [], color=STAY, lw=1.6, label="arrival, departure"),
        Patch(color=STAY, alpha=0.2, lw=0, label="earliest to latest"),
        Line2D([], [], color=TAP, lw=1.2, ls=DASHES, label="tapped by hand"),
    ]


def _label(axes: Axes, at_min: float, words: str, colour: str) -> None:
    backed = {"facecolor": "white", "linewidth": 0.0, "pad": 1.0} if colour == PASS else None
    axes.text(at_min, LANE_M, words, color=colour, ha="center", weight="bold", clip_on=True, bbox=backed)


def _faint(count: int) -> float:
    """How opaque each of so many circles or bars is, so that a crowd stays readable."""
    return min(0.35, max(0.06, 25.0 / max(count, 1)))


def _clock(epoch_ms: int) -> str:
    return f"{datetime.fromtimestamp(epoch_ms / 1000.0, UTC):%H:%M:%S}"
