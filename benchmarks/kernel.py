"""The geofence kernel: points a second on one thread, against Shapely and rtree, and how its cost grows with fences.

Polygons of 16 corners lie strewn at the same density whatever their number; four points in ten have a fence within the
margin. Kernel and Shapely answer the same question, every fence within the margin and its signed distance; rtree finds
boxes only. Times are CPU seconds of the thread, the best of several rounds taken in turn.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from rtree.index import Index

from geofence.geodesy import metres_per_degree
from geofence.kernel import Near, PackedFences, near, pack_arrays

MARGIN_M: Final = 250.0
CORNERS: Final = 16
SPACING_M: Final = 750.0
FRAME_POINTS: Final = 2_000
ANCHORED_FENCES: Final = 20_000
FENCE_COUNTS: Final = {"1k": 1_000, "20k": ANCHORED_FENCES, "100k": 100_000, "1m": 1_000_000}
ROUNDS: Final = 3
WEST, SOUTH = 9.0, 47.0

Floats = npt.NDArray[np.float64]


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes fewer points."""
    points = 40_000 if quick else 400_000
    rng = np.random.default_rng(20)
    figures: dict[str, float] = {}
    for name, count in FENCE_COUNTS.items():
        rings = strewn_rings(rng, count)
        fences = packed(rings)
        lat, lon = strewn_points(rng, count, points)
        near(fences, lat[:1], lon[:1], MARGIN_M)  # compiles
        if count == ANCHORED_FENCES:
            seconds = beside_anchors(rings, fences, lat, lon)
            figures["points_per_s"] = points / seconds["onsite"]
            figures["bytes_per_fence"] = bytes_of(fences) / count
            figures[f"ns_per_point_{name}_fences"] = seconds["onsite"] / points * 1e9
        else:
            onsite_s = min(cpu_s(partial(in_frames, fences, lat, lon)) for _ in range(ROUNDS))
            figures[f"ns_per_point_{name}_fences"] = onsite_s / points * 1e9
    anchors = {f"{anchor}_points_per_s": points / seconds[anchor] for anchor in ("shapely", "rtree")}
    ratios = {f"onsite_vs_{anchor}": seconds[anchor] / seconds["onsite"] for anchor in ("shapely", "rtree")}
    return {"figures": figures, "anchors": anchors, "ratios": ratios}


def strewn_rings(rng: np.random.Generator, count: int) -> Floats:
    """float64[count, CORNERS + 1, 2]: closed star-shaped rings of 30 to 100 m, degrees."""
    metric = metres_per_degree(SOUTH)
    middles = rng.uniform(0.0, side_m(count), (count, 1, 2))
    angles = np.sort(rng.uniform(0.0, 2.0 * np.pi, (count, CORNERS)), axis=1)
    radii_m = rng.uniform(30.0, 100.0, (count, CORNERS))
    corners = middles + np.stack([radii_m * np.cos(angles), radii_m * np.sin(angles)], axis=2)
    return np.concatenate([corners, corners[:, :1]], axis=1) / metric + (WEST, SOUTH)


def strewn_points(rng: np.random.Generator, count: int, points: int) -> tuple[Floats, Floats]:
    """Latitudes and longitudes over the area of ``count`` fences."""
    strewn = rng.uniform(0.0, side_m(count), (points, 2)) / metres_per_degree(SOUTH)
    return strewn[:, 1] + SOUTH, strewn[:, 0] + WEST


def side_m(count: int) -> float:
    """Side of the square that ``count`` fences are strewn over."""
    return SPACING_M * float(np.sqrt(count))


def packed(rings: Floats) -> PackedFences:
    """One row a ring."""
    count = len(rings)
    return pack_arrays(
        positions=rings.reshape(-1, 2),
        part_sizes=np.full(count, CORNERS + 1),
        parts_of_row=np.ones(count, np.int64),
        radius_m=np.zeros(count),
        boxes=np.hstack([rings.min(axis=1), rings.max(axis=1)]),
    )


def bytes_of(fences: PackedFences) -> int:
    """Memory of the arrays."""
    return sum(array.nbytes for array in (*fences.tree, *fences[1:]))


def beside_anchors(rings: Floats, fences: PackedFences, lat: Floats, lon: Floats) -> dict[str, float]:
    """CPU seconds of Onsite and each anchor over the same points, taken in turn."""
    metric = np.array(metres_per_degree(SOUTH))
    polygons = shapely.polygons((rings - (WEST, SOUTH)) * metric)
    shapely.prepare(polygons)
    boundaries = shapely.boundary(polygons)
    tree = shapely.STRtree(polygons)
    boxes = np.hstack([rings.min(axis=1), rings.max(axis=1)])
    index = Index((i, tuple(box), None) for i, box in enumerate(boxes))

    def in_shapely() -> None:
        located = shapely.points(np.column_stack([lon - WEST, lat - SOUTH]) * metric)
        for start in range(0, len(lat), FRAME_POINTS):
            frame = located[start : start + FRAME_POINTS]
            point, row = tree.query(frame, predicate="dwithin", distance=MARGIN_M)
            distance_m = shapely.distance(frame[point], boundaries[row])
            np.where(shapely.contains(polygons[row], frame[point]), -distance_m, distance_m)

    def in_rtree() -> None:
        lows, highs = (np.column_stack([lon, lat]) + side * MARGIN_M / metric for side in (-1.0, 1.0))
        for start in range(0, len(lat), FRAME_POINTS):
            index.intersection_v(  # type: ignore[no-untyped-call]
                lows[start : start + FRAME_POINTS], highs[start : start + FRAME_POINTS]
            )

    ways: dict[str, Callable[[], object]] = {
        "onsite": partial(in_frames, fences, lat, lon),
        "shapely": in_shapely,
        "rtree": in_rtree,
    }
    rounds = [{name: cpu_s(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    return {name: min(taken[name] for taken in rounds) for name in ways}


def in_frames(fences: PackedFences, lat: Floats, lon: Floats) -> list[Near]:
    """The kernel over the points, a frame at a time as the tracker does."""
    starts = range(0, len(lat), FRAME_POINTS)
    return [near(fences, lat[at : at + FRAME_POINTS], lon[at : at + FRAME_POINTS], MARGIN_M) for at in starts]


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s
