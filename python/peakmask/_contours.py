"""Outlines of masks as closed polygons: along the sides of cells, or between their centres."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ._levels import kind_of

Polygons = list[NDArray[np.float64]]


def borders(mask: NDArray[np.bool_], edges_x: NDArray[Any], edges_y: NDArray[Any], eight: bool) -> Polygons:
    """Follow the sides of cells around a mask: closed polygons (k, 2), the mask on the left, corners only.

    Where two cells of the mask touch at a corner alone, the outline turns so that it connects what the mask does: with
    `eight` it runs through between the cells that are outside, else around each cell.
    """
    framed = np.pad(mask, 1)
    inside = framed[1:-1, 1:-1]
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # (cells outside, where the side begins, which way it runs), counter-clockwise around a cell.
    sides = (
        (framed[1:-1, :-2], (0, 0), (1, 0)),
        (framed[2:, 1:-1], (1, 0), (0, 1)),
        (framed[1:-1, 2:], (1, 1), (-1, 0)),
        (framed[:-2, 1:-1], (0, 1), (0, -1)),
    )
    for beside, (a, b), way in sides:
        for i, j in np.argwhere(inside & ~beside).tolist():
            steps.setdefault((i + a, j + b), []).append(way)
    polygons = []
    while steps:
        # The first corner: a side begins there in one way only, since the cells before it are outside, or done.
        start = at = min(steps)
        way = _leave(steps, at, None, eight)
        corners = [at]
        while (at := (at[0] + way[0], at[1] + way[1])) != start:
            came, way = way, _leave(steps, at, way, eight)
            if way != came:
                corners.append(at)
        corners.append(start)
        polygons.append(np.array([(edges_x[i], edges_y[j]) for i, j in corners], np.float64))
    return polygons


def _leave(
    steps: dict[tuple[int, int], list[tuple[int, int]]], at: tuple[int, int], came: tuple[int, int] | None, eight: bool
) -> tuple[int, int]:
    """Take a side away that begins here; of two, the one to the left, or with `eight` to the right."""
    ways = steps[at]
    way = ways[0]
    if came is not None and len(ways) == 2:
        left = (-came[1], came[0])
        way = left if (left in ways) != eight else next(other for other in ways if other != left)
    ways.remove(way)
    if not ways:
        del steps[at]
    return way


def threshold(z: NDArray[Any], level: float, height: float) -> float:
    """Give the value that a level is in a map whose dominant peak has this height, in the map's type."""
    kind = kind_of(level)
    if kind == "coverage":
        # Both sums are taken one value after the other.
        values = z.ravel()[~np.isnan(z.ravel())].astype(np.float64)
        highest = np.sort(values)[::-1]
        reached = np.cumsum(highest) >= float(level) * np.cumsum(values)[-1]
        return float(highest[np.argmax(reached) if reached.any() else -1])
    return float(z.dtype.type(float(level) * float(height) if kind == "of_peak" else float(level)))


def lines(z: NDArray[Any], threshold: float, cell: list[int] | None, x: NDArray[Any], y: NDArray[Any]) -> Polygons:
    """Marching squares, by contourpy: closed polygons around what reaches a threshold and holds a cell, the outer one first.

    Without a cell, around all that reaches the threshold.

    Values are interpolated between the centres of cells, and end there: the outline runs along the outermost centres.
    """
    try:
        import contourpy
    except ImportError as error:
        raise ImportError(
            'this needs contourpy, which is not installed: pip install "peakmask[contours]"; without P=, outlines run along '
            "the sides of cells"
        ) from error
    if min(z.shape) < 2:
        raise ValueError(f"a map of {z.shape[0]} x {z.shape[1]} cells has no lines between centres; leave P out")
    finite = np.ma.masked_invalid(z.astype(np.float64))
    generator = contourpy.contour_generator(y, x, finite, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = cast("tuple[Any, Any]", generator.filled(threshold, np.inf))
    regions = [[polygon[a:b] for a, b in zip(parts[:-1], parts[1:])] for polygon, parts in zip(points, offsets)]
    if cell is not None:
        centre = np.array([y[cell[1]], x[cell[0]]], np.float64)
        regions = [rings for rings in regions if _holds(rings[0], centre)][:1]
    return [np.ascontiguousarray(ring[:, ::-1]) for rings in regions for ring in rings]


def _holds(ring: NDArray[Any], point: NDArray[Any]) -> bool:
    """Whether a point lies in a polygon or on it."""
    a, b = ring[:-1] - point, ring[1:] - point
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    on = (cross == 0) & ((a * b).sum(axis=1) <= 0)
    crossings = (a[:, 1] > 0) != (b[:, 1] > 0)
    left = crossings & ((cross > 0) == (b[:, 1] > a[:, 1]))
    return bool(on.any() or np.count_nonzero(left) % 2)
