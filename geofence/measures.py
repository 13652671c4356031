"""How large a shape is: its area, and the largest circle that fits into it. In the unit of its positions."""

import math
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

_ROOT_2: Final = math.sqrt(2.0)
_INITIAL_CELLS: Final = 64.0
_SLIVER: Final = 1e-3


@nb.njit(cache=True, nogil=True)
def ring_area(ring: npt.NDArray[np.float64]) -> float:
    """Area of a closed ring float64[m, 2], negative when it runs clockwise."""
    doubled = 0.0
    for i in range(len(ring) - 1):
        ax, ay = ring[i, 0] - ring[0, 0], ring[i, 1] - ring[0, 1]
        bx, by = ring[i + 1, 0] - ring[0, 0], ring[i + 1, 1] - ring[0, 1]
        doubled += ax * by - bx * ay
    return doubled / 2.0


@nb.njit(cache=True, nogil=True)
def rings_area(positions: npt.NDArray[np.float64], parts: npt.NDArray[np.int32]) -> float:
    """Area of closed rings end to end, ``parts`` their bounds; holes run clockwise and are taken off."""
    area = 0.0
    for part in range(len(parts) - 1):
        area += ring_area(positions[parts[part] : parts[part + 1]])
    return area


@nb.njit(cache=True, nogil=True)
def inradius(positions: npt.NDArray[np.float64], parts: npt.NDArray[np.int32], precision: float) -> float:
    """Radius of the largest circle inside closed rings (even-odd).

    Short by at most the fraction ``precision`` of it, or by a thousandth of the shape's extent (slivers). The quadtree
    search of Mapbox's polylabel: a cell is split while its centre's depth plus its half-diagonal could still beat the
    best depth found.
    """
    left, right = np.min(positions[:, 0]), np.max(positions[:, 0])
    low, high = np.min(positions[:, 1]), np.max(positions[:, 1])
    extent = max(right - left, high - low)
    size = max(min(right - left, high - low), extent / _INITIAL_CELLS)
    if size <= 0.0:
        return 0.0
    half = size / 2.0
    best = max(0.0, _depth((left + right) / 2.0, (low + high) / 2.0, positions, parts))
    cells = [(left + half, low + half, half, extent)]
    for column in range(math.ceil((right - left) / size)):
        for row in range(math.ceil((high - low) / size)):
            if column or row:
                cells.append((left + half + column * size, low + half + row * size, half, extent))
    while len(cells) > 0:
        x, y, half, reach = cells.pop()
        enough = best + max(best * precision, extent * _SLIVER)
        if reach <= enough:
            continue
        depth = _depth(x, y, positions, parts)
        best = max(best, depth)
        reach = depth + half * _ROOT_2
        if reach > enough:
            half /= 2.0
            for step in range(4):
                cells.append((x + (half if step & 1 else -half), y + (half if step & 2 else -half), half, reach))
    return best


@nb.njit(cache=True, nogil=True)
def _depth(x: float, y: float, positions: npt.NDArray[np.float64], parts: npt.NDArray[np.int32]) -> float:
    """Distance from (x, y) to the nearest edge of closed rings, negative outside (even-odd)."""
    nearest_sq = math.inf
    inside = False
    for part in range(len(parts) - 1):
        for i in range(parts[part], parts[part + 1] - 1):
            ax, ay = positions[i, 0] - x, positions[i, 1] - y
            bx, by = positions[i + 1, 0] - x, positions[i + 1, 1] - y
            dx, dy = bx - ax, by - ay
            length_sq = dx * dx + dy * dy
            along = -(ax * dx + ay * dy) / length_sq if length_sq > 0.0 else 0.0
            along = min(1.0, max(0.0, along))
            px, py = ax + along * dx, ay + along * dy
            nearest_sq = min(nearest_sq, px * px + py * py)
            if (ay > 0.0) != (by > 0.0) and (ax * by - ay * bx > 0.0) == (dy > 0.0):
                inside = not inside
    return math.sqrt(nearest_sq) if inside else -math.sqrt(nearest_sq)
