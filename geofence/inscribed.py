"""How wide a shape is: twice the radius of the largest circle that fits into it."""

import math

import numba as nb
import numpy as np
import numpy.typing as npt

_ROOT_2 = math.sqrt(2.0)


@nb.njit(cache=True, nogil=True)
def inside_depth(
    x: float, y: float, xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], parts: npt.NDArray[np.int32]
) -> float:
    """Distance from (x, y) to the nearest edge of closed rings, negative outside (even-odd)."""
    nearest = math.inf
    inside = False
    for part in range(len(parts) - 1):
        for i in range(parts[part], parts[part + 1] - 1):
            ax = xs[i] - x
            ay = ys[i] - y
            bx = xs[i + 1] - x
            by = ys[i + 1] - y
            dx = bx - ax
            dy = by - ay
            length_sq = dx * dx + dy * dy
            along = 0.0
            if length_sq > 0.0:
                along = min(1.0, max(0.0, -(ax * dx + ay * dy) / length_sq))
            px = ax + along * dx
            py = ay + along * dy
            nearest = min(nearest, px * px + py * py)
            if (ay > 0.0) != (by > 0.0) and (ax * by - ay * bx > 0.0) == (dy > 0.0):
                inside = not inside
    return math.sqrt(nearest) if inside else -math.sqrt(nearest)


@nb.njit(cache=True, nogil=True)
def inradius(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], parts: npt.NDArray[np.int32], precision: float
) -> float:
    """Radius of the largest circle inside closed rings, in the unit of ``xs`` and ``ys``.

    Short by at most the fraction ``precision`` of it, or by a thousandth of the shape's extent (slivers). The quadtree
    search of Mapbox's polylabel: a cell is split while its centre's depth plus its half-diagonal could still beat the
    best depth found. Part ``p`` is the closed ring of the vertices ``parts[p]`` to ``parts[p + 1]``.
    """
    left, right = np.min(xs), np.max(xs)
    low, high = np.min(ys), np.max(ys)
    extent = max(right - left, high - low)
    size = max(min(right - left, high - low), extent / 64.0)
    if size <= 0.0:
        return 0.0
    half = size / 2.0
    slack = extent / 1000.0
    best = 0.0
    cells = [(left + half, low + half, half, inside_depth(left + half, low + half, xs, ys, parts))]
    cells.pop()
    for column in range(math.ceil((right - left) / size)):
        for row in range(math.ceil((high - low) / size)):
            x = left + half + column * size
            y = low + half + row * size
            depth = inside_depth(x, y, xs, ys, parts)
            best = max(best, depth)
            cells.append((x, y, half, depth))
    while len(cells) > 0:
        x, y, half, depth = cells.pop()
        if depth + half * _ROOT_2 <= best + max(best * precision, slack):
            continue
        half /= 2.0
        for step in range(4):
            cx = x + (half if step & 1 else -half)
            cy = y + (half if step & 2 else -half)
            depth = inside_depth(cx, cy, xs, ys, parts)
            best = max(best, depth)
            if depth + half * _ROOT_2 > best + max(best * precision, slack):
                cells.append((cx, cy, half, depth))
    return best
