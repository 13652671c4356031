"""The truth about a track: who was at which fence from when to when, and who only passed.

*Presence* is being inside the fence's shape. Spells of presence are one when the technician stayed on foot within 60 m
in between and was back within 300 s (the walk to the van). Such a spell is a **visit** when it lasts at least the
fence's ``min_on_site_s`` and the technician left the traffic in it; it is a **pass** when it is shorter. Within 30 s of
the threshold, and where somebody spent that long in traffic alone, nobody could tell from the best of fixes: such a
spell is **disputed**, and a log is right with or without it. Driving by within 25 m, or waiting there at a light,
is a pass as well.
"""

import itertools
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import shapely

from simulator.movement import Activity, Track
from simulator.plane import Floats
from simulator.town import Site

DEFAULT_MIN_ON_SITE_S: Final = 120.0
DISPUTED_S: Final = 30.0
STEP_OUT_S: Final = 300
STEP_OUT_M: Final = 60.0
PASS_BY_M: Final = 25.0
_PASS_APART_S: Final = 5
_DRIVEWAY_S: Final = 120
_CHUNK_S: Final = 64

SpanKind = Literal["visit", "pass", "disputed"]
Bools = npt.NDArray[np.bool_]
Seconds = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """One device at one fence. ``departed_ms`` is None when the day ended there."""

    device_id: str
    fence_id: str
    kind: SpanKind
    arrived_ms: int
    departed_ms: int | None
    adjoins: bool = False

    def overlap_ms(self, from_ms: int, to_ms: int, end_ms: int) -> int:
        """How long it shares with [from_ms, to_ms); it runs to ``end_ms`` while open."""
        own_end_ms = end_ms if self.departed_ms is None else self.departed_ms
        return max(0, min(own_end_ms, to_ms) - max(self.arrived_ms, from_ms))


class Fences:
    """The sites' shapes, ready to be asked which of them a track comes near."""

    def __init__(self, sites: tuple[Site, ...]) -> None:
        self.sites = sites
        self.areas = np.array([site.area for site in sites])
        shapely.prepare(self.areas)
        self._tree = shapely.STRtree(self.areas)
        self._bounds_m = shapely.bounds(self.areas)

    def near(self, track: Track, margin_m: float) -> dict[int, Seconds]:
        """Row of a site -> the seconds (indices into the track) within ``margin_m`` of its box."""
        starts = np.arange(0, len(track), _CHUNK_S)
        boxes = shapely.box(
            np.minimum.reduceat(track.x, starts) - margin_m,
            np.minimum.reduceat(track.y, starts) - margin_m,
            np.maximum.reduceat(track.x, starts) + margin_m,
            np.maximum.reduceat(track.y, starts) + margin_m,
        )
        chunk, row = self._tree.query(boxes)
        seconds: dict[int, Seconds] = {}
        for site in np.unique(row):
            first = starts[np.sort(chunk[row == site])]
            passing = (first[:, None] + np.arange(_CHUNK_S)).ravel()
            passing = passing[passing < len(track)]
            x, y = track.x[passing], track.y[passing]
            west, south, east, north = self._bounds_m[site]
            within = (x > west - margin_m) & (x < east + margin_m) & (y > south - margin_m) & (y < north + margin_m)
            seconds[int(site)] = passing[within]
        return seconds


def spans_of(device_id: str, track: Track, fences: Fences) -> list[Span]:
    """Everything a perfect observer would say about a track, by fence and time."""
    met = sorted(fences.near(track, STEP_OUT_M).items())
    if not met:
        return []
    # One call for all fences: Shapely's cost is the call.
    every_second = np.concatenate([seconds for _, seconds in met])
    areas = np.repeat(fences.areas[[row for row, _ in met]], [len(seconds) for _, seconds in met])
    every_inside = shapely.contains_xy(areas, track.x[every_second], track.y[every_second])
    in_traffic = track.activity <= Activity.HALTED
    every_beside = in_traffic[every_second] & ~every_inside
    at = every_second[every_beside]
    every_beside[every_beside] = shapely.dwithin(
        areas[every_beside], shapely.points(track.x[at], track.y[at]), PASS_BY_M
    )
    spans: list[Span] = []
    offset = 0
    for row, seconds in met:
        site, own = fences.sites[row], slice(offset, offset + len(seconds))
        offset += len(seconds)
        inside, beside = every_inside[own], every_beside[own]
        if not (inside.any() or beside.any()):
            continue
        traffic = in_traffic[seconds]
        present = _joined(_runs(inside, seconds), site, track.x[seconds], track.y[seconds], traffic, seconds)
        for start, end in present:
            kind = _kind(site, float(seconds[end - 1] - seconds[start] + 1), bool(traffic[start:end].all()))
            spans.append(_span(device_id, site, kind, track, int(seconds[start]), int(seconds[end - 1])))
            around_s = _PASS_APART_S if kind == "pass" else _DRIVEWAY_S
            first, last = np.searchsorted(seconds, [seconds[start] - around_s, seconds[end - 1] + around_s + 1])
            beside[first:last] = False
        for start, end in _runs(beside, seconds):
            spans.append(_span(device_id, site, "pass", track, int(seconds[start]), int(seconds[end - 1])))
    return spans


def _joined(
    runs: list[tuple[int, int]], site: Site, x: Floats, y: Floats, traffic: Bools, seconds: Seconds
) -> list[tuple[int, int]]:
    """The runs inside, with the walks to the van taken as presence."""
    joined: list[tuple[int, int]] = []
    for start, end in runs:
        if joined:
            out = slice(joined[-1][1], start)
            away_s = seconds[start] - seconds[out.start - 1] - 1
            seen_throughout = away_s == start - out.start
            if away_s <= STEP_OUT_S and seen_throughout and not traffic[out].any():
                away_m = shapely.distance(site.area, shapely.points(x[out], y[out]))
                if away_m.max() <= STEP_OUT_M:
                    joined[-1] = (joined[-1][0], end)
                    continue
        joined.append((start, end))
    return joined


def _kind(site: Site, lasted_s: float, only_traffic: bool) -> SpanKind:
    needed_s = DEFAULT_MIN_ON_SITE_S if site.min_on_site_s is None else site.min_on_site_s
    if lasted_s < needed_s - DISPUTED_S:
        return "pass"
    return "disputed" if only_traffic or lasted_s < needed_s + DISPUTED_S else "visit"


def _span(device_id: str, site: Site, kind: SpanKind, track: Track, first_s: int, last_s: int) -> Span:
    departed_ms = None if last_s >= len(track) - 1 else track.start_ms + (last_s + 1) * 1000
    return Span(device_id, site.fence_id, kind, track.start_ms + first_s * 1000, departed_ms, site.adjoins)


def _runs(mask: Bools, seconds: Seconds) -> list[tuple[int, int]]:
    """[start, end) of each stretch of True over consecutive seconds."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(seconds[rows]) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    return [(int(rows[a]), int(rows[b - 1]) + 1) for a, b in itertools.pairwise(edges)]
