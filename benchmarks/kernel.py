"""The geofence kernel: points a second on one thread, against Shapely and rtree, and how its cost grows with fences.

Polygons of 16 corners lie strewn at the same density whatever their number; four points in ten have a fence within the
margin. Kernel and Shapely answer the same question, every fence within the margin and its signed distance; rtree finds
boxes only. Real sets, where they are at hand, are measured with points in and around their fences; one plane holds
those that Shapely measures, too. Times are CPU seconds of the thread, the best of several rounds taken in turn: what
the neighbours do to the caches meanwhile they do to all.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from rtree.index import Index

from geofence.geodesy import metres_per_degree
from geofence.kernel import Near, PackedFences, near, pack, pack_arrays
from geofence.shapes import shape_of

MARGIN_M: Final = 250.0
CORNERS: Final = 16
SPACING_M: Final = 750.0
FRAME_POINTS: Final = 2_000
FENCE_COUNTS: Final = {"1k": 1_000, "20k": 20_000, "100k": 100_000, "1m": 1_000_000}
ANCHORED: Final = "20k"
ROUNDS: Final = 8
WEST, SOUTH = 9.0, 47.0
FOLDER: Final = Path("../shared/data/fences")
REAL_SETS: Final = {
    "tracts": ("nyc-census-tracts.json", True),
    "buildings": ("liechtenstein_buildings.geojson", True),
    "urban_areas": ("urban-areas.geojson", False),
}
"""Name -> file, and whether one plane holds it."""

Floats = npt.NDArray[np.float64]
Way = tuple[Callable[[], object], int]
"""Work, and the points it is done for."""


def run(quick: bool) -> dict[str, dict[str, float]]:
    """Measure; ``quick`` takes fewer points."""
    points = 200_000 if quick else 1_000_000
    rng = np.random.default_rng(20)
    figures: dict[str, float] = {}
    anchors: dict[str, float] = {}
    ratios: dict[str, float] = {}
    near(packed(strewn_rings(rng, 1)), np.zeros(1), np.zeros(1), MARGIN_M)  # compiles
    ways: dict[str, Way] = {}
    for name, count in FENCE_COUNTS.items():
        rings = strewn_rings(rng, count)
        started_s = time.thread_time()
        fences = packed(rings)
        figures[f"pack_{name}_fences_s"] = time.thread_time() - started_s
        figures[f"bytes_per_fence_{name}_fences"] = bytes_of(fences) / count
        lat, lon = strewn_points(rng, count, points)
        ways[name] = (partial(in_frames, fences, lat, lon), points)
        if name == ANCHORED:
            few = points // 5  # anchors are slow
            metric = np.array(metres_per_degree(SOUTH))
            polygons = shapely.polygons((rings - (WEST, SOUTH)) * metric)
            located = (np.column_stack([lon, lat])[:few] - (WEST, SOUTH)) * metric
            ways["shapely"] = (in_shapely(polygons, located), few)
            ways["rtree"] = (in_rtree(rings, lat[:few], lon[:few]), few)
    seconds = seconds_a_point(ways)
    figures["points_per_s"] = 1.0 / seconds[ANCHORED]
    figures |= {f"ns_per_point_{name}_fences": seconds[name] * 1e9 for name in FENCE_COUNTS}
    for anchor in ("shapely", "rtree"):
        anchors[f"{anchor}_points_per_s"] = 1.0 / seconds[anchor]
        ratios[f"onsite_vs_{anchor}"] = seconds[anchor] / seconds[ANCHORED]
    ratios["a_point_at_1m_vs_1k_fences"] = seconds["1m"] / seconds["1k"]
    for name, (file, planar) in REAL_SETS.items():
        if not (FOLDER / file).exists():
            continue
        fences, real_ways = real_set(FOLDER / file, planar, points // 20)
        seconds = seconds_a_point(real_ways)
        figures[f"ns_per_point_{name}"] = seconds["onsite"] * 1e9
        figures[f"bytes_per_fence_{name}"] = bytes_of(fences) / len(fences.outlines.place)
        if planar:
            ratios[f"onsite_vs_shapely_{name}"] = seconds["shapely"] / seconds["onsite"]
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


def real_set(file: Path, planar: bool, points: int) -> tuple[PackedFences, dict[str, Way]]:
    """The fences of a GeoJSON file, and the ways to look up points in and around their boxes."""
    geometries = [feature["geometry"] for feature in json.loads(file.read_bytes())["features"]]
    fences = pack([shape_of(geometry, None) for geometry in geometries])
    polygons = shapely.from_geojson([json.dumps(geometry) for geometry in geometries])
    rng = np.random.default_rng(20)
    boxes = shapely.bounds(polygons)[rng.integers(0, len(polygons), points)]
    places = boxes[:, :2] + rng.uniform(-0.2, 1.2, (points, 2)) * (boxes[:, 2:] - boxes[:, :2])
    ways: dict[str, Way] = {"onsite": (partial(in_frames, fences, places[:, 1].copy(), places[:, 0].copy()), points)}
    if planar:
        origin = places.mean(axis=0)
        metric = np.array(metres_per_degree(float(origin[1])))
        located = (places - origin) * metric
        ways["shapely"] = (in_shapely(shapely.transform(polygons, lambda at: (at - origin) * metric), located), points)
    return fences, ways


def bytes_of(fences: PackedFences) -> int:
    """Memory of the arrays."""
    return sum(array.nbytes for part in fences for array in part)


def in_frames(fences: PackedFences, lat: Floats, lon: Floats) -> list[Near]:
    """The kernel over the points, a frame at a time as the tracker does."""
    return [near(fences, lat[frame], lon[frame], MARGIN_M) for frame in frames(len(lat))]


def in_shapely(polygons: npt.NDArray[np.object_], located: Floats) -> Callable[[], object]:
    """The same job in metres on a plane: prepared polygons and their boundaries, the tree's own test of distance."""
    shapely.prepare(polygons)
    boundaries = shapely.boundary(polygons)
    tree = shapely.STRtree(polygons)

    def work() -> None:
        points = shapely.points(located)
        for frame in frames(len(points)):
            here = points[frame]
            point, row = tree.query(here, predicate="dwithin", distance=MARGIN_M)
            distance_m = shapely.distance(here[point], boundaries[row])
            np.where(shapely.contains(polygons[row], here[point]), -distance_m, distance_m)

    return work


def in_rtree(rings: Floats, lat: Floats, lon: Floats) -> Callable[[], object]:
    """The boxes around each point, no more."""
    boxes = np.hstack([rings.min(axis=1), rings.max(axis=1)])
    index = Index((i, tuple(box), None) for i, box in enumerate(boxes))
    margin = MARGIN_M / np.array(metres_per_degree(SOUTH))

    def work() -> None:
        at = np.column_stack([lon, lat])
        for frame in frames(len(at)):
            index.intersection_v(at[frame] - margin, at[frame] + margin)  # type: ignore[no-untyped-call]

    return work


def frames(points: int) -> Iterator[slice]:
    """Runs of points, as they come from the broker."""
    return (slice(begin, begin + FRAME_POINTS) for begin in range(0, points, FRAME_POINTS))


def seconds_a_point(ways: Mapping[str, Way]) -> dict[str, float]:
    """CPU seconds of each way, taken in turn, the best round."""
    rounds = [{name: cpu_s(work) / points for name, (work, points) in ways.items()} for _ in range(ROUNDS)]
    return {name: min(taken[name] for taken in rounds) for name in ways}


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s
