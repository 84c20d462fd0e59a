"""Topographic prominence, against the way by contours that users of place fields have: `python contours.py`.

    pip install contourpy matplotlib peakmask

pyPhoPlaceCellAnalysis finds prominences (`compute_prominence_contours`, of G. Xu's `getProminence`) by cutting the
map at levels a step apart, from the highest down. This is its rule, not its code: what is above a level, between
cells by linear interpolation, falls into regions. A region that holds none of those seen before is a new peak; one
that holds several is where all but the highest of their peaks end, with the level as their saddle and the highest as
their parent. Peaks seen at one level alone are dropped. The original draws each level with matplotlib and looks at
vertices one by one; so does `--drawn`. Without it contourpy is called alone, and vertices are looked at together,
which is faster, and finds the same.

What is printed, of all maps together: summits of `peakmask.prominence`; those of them that stand more than two steps
above their saddle (clear), and how many of these the contours find too; peaks by contours, and those of them that are
no summit. Of the clear ones found, those whose heights agree to a step; of those with a saddle, those whose saddles
agree to a step, those whose saddle is lower by contours, because cells that touch at a corner are neighbours while
lines between them may dive, and those with the same parent.
"""

import argparse
import time
from pathlib import Path

import contourpy
import matplotlib
import numpy as np
from matplotlib.path import Path as Outline

import peakmask

matplotlib.use("agg")
import matplotlib.pyplot as plt

RECORDED = Path(__file__).resolve().parents[2] / "tests/data/openfield_41x63_f64.npz"
BINS = range(20, 400, 40)


def holds(outer, inner, corner, one_by_one):
    """Whether a region holds the outline of another: all of its vertices but those along the border of the map."""
    if one_by_one:
        return outer.contains_path(inner) or all(
            outer.contains_point(vertex) or np.isclose(vertex, 0).any() or np.isclose(vertex, corner).any()
            for vertex in inner.vertices
        )
    inside = outer.contains_points(inner.vertices)
    at_border = (np.isclose(inner.vertices, 0) | np.isclose(inner.vertices, corner)).any(axis=1)
    return bool((inside | at_border).all())


def by_contours(z, resolution, drawn):
    """Peaks of a map (x, y), each a dict: level at which it is first seen, level of its saddle, parent, first outline."""
    low, high = z.min(), z.max()
    step = (high - low) / resolution
    lines = contourpy.contour_generator(z=z.T, name="serial", fill_type=contourpy.FillType.OuterCode)
    corner = np.array(z.shape) - 1.0
    axes = plt.figure().add_subplot() if drawn else None
    peaks = []
    for level in np.linspace(low, high, resolution + 1)[::-1]:
        if axes:
            axes.contourf(z.T, [level, high + step])
            axes.cla()
        for points, codes in zip(*lines.filled(level, high + step)):
            region = Outline(points, codes)
            held = [peak for peak in peaks if holds(region, peak["last"], corner, drawn)]
            if not held:
                peaks.append(
                    {"level": level, "saddle": None, "parent": None, "first": region, "last": region, "seen": 1}
                )
                continue
            highest = max(held, key=lambda peak: peak["level"])
            for peak in held:
                if peak is not highest and peak["saddle"] is None:
                    peak["saddle"], peak["parent"] = level, highest
            highest["last"] = region
            highest["seen"] += 1
    plt.close("all")
    return [peak for peak in peaks if peak["seen"] > 1], step


def matched(peaks, tree):
    """The summit of each peak: the highest cell in or at its first outline."""
    cells = tree.coords.astype(float)
    found = []
    for peak in peaks:
        near = peak["first"].contains_points(cells) | (
            np.abs(cells[:, None] - peak["first"].vertices).max(axis=2).min(axis=1) < 1e-6
        )
        summits = np.flatnonzero(near)
        found.append(summits[np.argmax(tree.heights[summits])] if len(summits) else -1)
    return np.array(found, int)


def compare(z, resolution, drawn):
    """Counts for one map, and seconds of both ways."""
    began = time.process_time()
    tree = peakmask.prominence(z, threads=1)
    ours = time.process_time() - began
    began = time.process_time()
    peaks, step = by_contours(z, resolution, drawn)
    theirs = time.process_time() - began
    summits = matched(peaks, tree)
    clear = np.flatnonzero(tree.prominences > 2 * step)
    counts = {
        "summits": len(tree.heights),
        "clear": len(clear),
        "found": int(np.isin(clear, summits).sum()),
        "by contours": len(peaks),
        "no summit": int((summits < 0).sum()),
    }
    counts |= {"heights": 0, "saddles": 0, "diagonal": 0, "parents": 0, "with saddle": 0}
    for peak, summit in zip(peaks, summits):
        if summit not in clear:
            continue
        counts["heights"] += abs(tree.heights[summit] - peak["level"]) <= 1.001 * step
        if peak["saddle"] is None or tree.parents[summit] < 0:
            continue
        counts["with saddle"] += 1
        gap = tree.saddle_heights[summit] - peak["saddle"]
        counts["saddles"] += abs(gap) <= 1.001 * step
        counts["diagonal"] += gap > 1.001 * step
        counts["parents"] += (
            summits[next(i for i, other in enumerate(peaks) if other is peak["parent"])] == tree.parents[summit]
        )
    return counts, ours, theirs


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--resolution", type=int, default=500, help="levels from the lowest to the highest value")
    arguments.add_argument("--drawn", action="store_true", help="spend the time that the original spends")
    chosen = arguments.parse_args()
    resolution = chosen.resolution
    with np.load(RECORDED) as file:
        p = file["p_x_given_n"][:, :, BINS]
    peakmask.prominence(p[:, :, 0])  # what is made once
    total, seconds = {}, np.zeros(2)
    for t in range(p.shape[2]):
        counts, *took = compare(p[:, :, t], resolution, chosen.drawn)
        total = {name: total.get(name, 0) + count for name, count in counts.items()}
        seconds += took
    ours, theirs = seconds / p.shape[2]
    print(
        f"{p.shape[2]} recorded maps, {resolution} levels: "
        + ", ".join(f"{count} {name}" for name, count in total.items())
    )
    print(
        f"a map takes {1e3 * ours:.2f} ms here, {1e3 * theirs:.0f} ms by contours: {theirs / ours:,.0f} times as long"
    )


if __name__ == "__main__":
    main()
