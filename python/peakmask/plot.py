"""Pictures of posteriors, masks and peaks, with matplotlib (``pip install "peakmask[plot]"``).

Every function draws on axes that you pass in, or on new ones, and returns what it drew on. Coordinates are yours: those of
the labels that P had, or ``x=``, ``y=``, ``t=``; without either cells and time bins are numbered from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _inputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from ._analysis import Analysis

__all__ = ["posterior", "sheet", "timeline"]

# Outlines that stand out from viridis at both of its ends, and from each other for most colour-blind readers.
OUTLINES = ("#ffffff", "#ff5c5c", "#ffb000", "#56b4e9", "#000000")


def posterior(
    P: ArrayLike,
    analysis: Analysis,
    bin: int,
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    t: ArrayLike | None = None,
    units: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap = "viridis",
    vmax: float | None = None,
    colorbar: bool = True,
    legend: bool = True,
) -> Axes:
    """Draw one time bin: the map, the outline of each mask, the peaks.

    Parameters
    ----------
    P : array_like
        The posterior that was analysed, with the same axes.
    analysis : Analysis
        Of P.
    bin : int
        The time bin; -1 is the last.
    x, y : array_like, shape (n_x,), (n_y,), optional
        Centres of the cells in your units, rising or falling, in any spacing.
    t : array_like, shape (n_t,), optional
        Times of the bins, for the title.
    units : str, optional
        Of x and y, for the labels of the axes: ``"cm"``.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    cmap : str or Colormap
        A perceptual one, please. Cells without a value (NaN) are grey.
    vmax : float, optional
        The value at the top of the colour map; without it the map's maximum.
    colorbar, legend : bool
        Whether to draw them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        When P is not what was analysed, or coordinates do not fit.
    IndexError
        When there is no such time bin.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 3))
    >>> analysis = peakmask.analyze(P, alpha=[0.5, 0.9])
    >>> ax = peakmask.plot.posterior(P, analysis, 0, x=np.arange(8) * 2.5, y=np.arange(9) * 2.5, units="cm")
    >>> ax.get_xlabel()
    'x (cm)'
    """
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection

    bin = range(analysis.shape[2])[bin]
    z = _maps(P, analysis)[:, :, bin]
    edges_x, edges_y = _edges("x", x, analysis, 0), _edges("y", y, analysis, 1)
    ax = plt.subplots(layout="constrained")[1] if ax is None else ax
    assert ax is not None
    colours = plt.get_cmap(cmap).with_extremes(bad="0.75")
    finite = z[np.isfinite(z)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    shown = np.ma.masked_invalid(z.T)
    image = ax.pcolormesh(
        edges_x, edges_y, shown, cmap=colours, vmin=low, vmax=high if vmax is None else vmax, rasterized=True
    )
    for i, (alpha, mask) in enumerate(zip(analysis.alpha, analysis.masks)):
        lines = _outline(mask.transpose(analysis._axes)[:, :, bin], edges_x, edges_y)
        colour = OUTLINES[i % len(OUTLINES)]
        ax.add_collection(LineCollection(list(lines), colors=colour, linewidths=1.6, label=f"alpha {alpha:g}"))
    _draw_peaks(ax, analysis, bin, (edges_x[:-1] + edges_x[1:]) / 2, (edges_y[:-1] + edges_y[1:]) / 2)
    ax.set_aspect("equal")
    ax.set_xlabel(_axis_label("x", 0, analysis, x, units))
    ax.set_ylabel(_axis_label("y", 1, analysis, y, units))
    ax.set_title(_title(analysis, bin, t))
    if colorbar:
        # Beside the map, whose sides keep the ratio of its units, not beside the axes' share of the figure.
        ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0.0, 0.04, 1.0)), label="P")
    if legend:
        ax.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4, frameon=True, facecolor="0.55", fontsize="small"
        )
    return ax


def sheet(
    P: ArrayLike,
    analysis: Analysis,
    bins: Sequence[int] | NDArray[Any] | slice,
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    t: ArrayLike | None = None,
    units: str | None = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
    columns: int = 4,
    cmap: str | Colormap = "viridis",
) -> NDArray[Any]:
    """Draw several time bins side by side, each in colours of its own range.

    Parameters
    ----------
    P, analysis
        As for `posterior`.
    bins : sequence of int or slice
        Which time bins.
    x, y, t, units, cmap
        As for `posterior`.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw: one for each time bin.
    columns : int
        Of the new figure, when there are no axes.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (number of bins,)

    Raises
    ------
    ValueError
        When there are fewer axes than bins, or no bins; as `posterior`.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> axes = peakmask.plot.sheet(P, peakmask.analyze(P, alpha=0.5), slice(0, 12, 2))
    >>> len(axes)
    6
    """
    import matplotlib.pyplot as plt

    chosen = list(range(analysis.shape[2])[bins]) if isinstance(bins, slice) else [int(bin) for bin in bins]
    if not chosen:
        raise ValueError(f"a sheet shows at least one time bin, but bins is {bins!r}")
    if axes is None:
        columns = min(columns, len(chosen))
        rows = -(-len(chosen) // columns)
        wide, high = (np.ptp(_edges(name, given, analysis, i)) for i, (name, given) in enumerate([("x", x), ("y", y)]))
        height = float(np.clip(2.6 * high / wide, 0.8, 5.0))
        _, grid = plt.subplots(
            rows,
            columns,
            figsize=(2.6 * columns + 0.4, (height + 0.3) * rows + 0.8),
            squeeze=False,
            layout="compressed",
        )
        for ax in grid.flat[len(chosen) :]:
            ax.remove()
        axes = grid.flat[: len(chosen)]
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) < len(chosen):
        raise ValueError(f"{len(chosen)} time bins need as many axes, but there are {len(flat)}")
    values = _maps(P, analysis)
    for ax, bin in zip(flat, chosen):
        posterior(
            values.transpose(_back(analysis)), analysis, bin, x=x, y=y, t=t, units=units, ax=ax, cmap=cmap,
            colorbar=False, legend=False,
        )  # fmt: skip
        ax.label_outer()
    handles, labels = flat[0].get_legend_handles_labels()
    flat[0].figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), facecolor="0.55", fontsize="small"
    )
    return flat[: len(chosen)]


def timeline(
    analysis: Analysis,
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    t: ArrayLike | None = None,
    units: str | None = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw what the dominant peak does over time: position, height, area for each alpha, and the number of peaks.

    Time bins without peaks are gaps.

    Parameters
    ----------
    analysis : Analysis
        Of any posterior.
    x, y, t, units
        As for `posterior`.
    axes : sequence of four matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (4,)

    Raises
    ------
    ValueError
        When there are other than four axes, or coordinates do not fit.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> axes = peakmask.plot.timeline(peakmask.analyze(P, alpha=[0.5, 0.9]), t=np.arange(30) * 0.25)
    >>> [ax.get_ylabel() for ax in axes]
    ['position (cells)', 'height', 'area (cells)', 'peaks']
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(4, 1, figsize=(8, 7), sharex=True, layout="constrained")
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) != 4:
        raise ValueError(f"a timeline has four panels, but there are {len(flat)} axes")
    place, height, area, count = flat
    time = _coordinates("t", t, analysis, 2)
    rows = analysis.peaks.dominant
    live = rows >= 0
    for axis, given, style in ((0, x, "C0"), (1, y, "C1")):
        centres = _coordinates("xy"[axis], given, analysis, axis)
        position = np.full(len(rows), np.nan)
        position[live] = centres[analysis.peaks.coords[rows[live], axis]]
        place.plot(time, position, ".", color=style, markersize=3, label=analysis._labels.names[axis])
    heights = np.full(len(rows), np.nan)
    heights[live] = analysis.peaks.heights[rows[live]]
    height.plot(time, heights, color="C2", linewidth=1)
    for alpha, areas in zip(analysis.alpha, analysis.areas):
        area.plot(time, np.where(live, areas, np.nan), linewidth=1, label=f"alpha {alpha:g}")
    count.plot(time, np.where(live, analysis.peaks.counts, np.nan), color="0.3", linewidth=1)
    known = x is not None or y is not None or analysis._labels.x is not None or analysis._labels.y is not None
    unit = units or analysis._labels.attrs.get(analysis._labels.names[0], {}).get("units")
    place.set_ylabel(f"position ({unit})" if unit else "position" if known else "position (cells)")
    height.set_ylabel("height")
    area.set_ylabel("area (cells)")
    count.set_ylabel("peaks")
    count.set_xlabel(_axis_label("t", 2, analysis, t, None))
    for ax in (place, area):
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    for ax in flat:
        ax.margins(x=0.01)
        ax.spines[["top", "right"]].set_visible(False)
    return flat


def _maps(p: ArrayLike, analysis: Analysis) -> NDArray[Any]:
    """P with its axes in the order x, y, t."""
    values = _inputs.plain(getattr(p, "values", p))
    if values.ndim != 3 or values.transpose(analysis._axes).shape != analysis.shape:
        n_x, n_y, n_t = analysis.shape
        raise ValueError(
            f"P has shape {values.shape}, but {n_t} time bins of {n_x} x {n_y} cells were analysed; pass the same P"
        )
    return np.transpose(values, analysis._axes)


def _back(analysis: Analysis) -> tuple[int, int, int]:
    a, b, c = (analysis._axes.index(axis) for axis in range(3))
    return a, b, c


def _coordinates(name: str, given: ArrayLike | None, analysis: Analysis, axis: int) -> NDArray[Any]:
    labels = analysis._labels
    coordinates = (labels.x, labels.y, labels.t)[axis] if given is None else np.asarray(given)
    if coordinates is None:
        return np.arange(analysis.shape[axis])
    if coordinates.shape != (analysis.shape[axis],):
        raise ValueError(
            f"{name} has shape {coordinates.shape}, but {analysis.shape[axis]} coordinates are needed; give one for each "
            "cell or bin (the centre of each, not the edges)"
        )
    return coordinates


def _edges(name: str, given: ArrayLike | None, analysis: Analysis, axis: int) -> NDArray[Any]:
    """Edges half-way between centres, and as far beyond the outer ones."""
    centres = np.asarray(_coordinates(name, given, analysis, axis), float)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.array([first, *middles, last])


def _outline(mask: NDArray[np.bool_], edges_x: NDArray[Any], edges_y: NDArray[Any]) -> NDArray[Any]:
    """The sides of cells that part a mask from what is not of it: segments of shape (k, 2, 2)."""
    framed = np.pad(mask, 1)
    i, j = np.nonzero(framed[1:, 1:-1] != framed[:-1, 1:-1])
    upright = np.stack([np.stack([edges_x[i], edges_y[j]], -1), np.stack([edges_x[i], edges_y[j + 1]], -1)], 1)
    i, j = np.nonzero(framed[1:-1, 1:] != framed[1:-1, :-1])
    level = np.stack([np.stack([edges_x[i], edges_y[j]], -1), np.stack([edges_x[i + 1], edges_y[j]], -1)], 1)
    return np.concatenate([upright, level])


def _draw_peaks(ax: Axes, analysis: Analysis, bin: int, x: NDArray[Any], y: NDArray[Any]) -> None:
    from matplotlib.patheffects import withStroke

    coords, _, heights = analysis.peaks[bin]
    if len(heights) == 0:
        return
    first = int(np.argmax(heights))
    others = np.delete(coords, first, axis=0)
    ax.plot(x[others[:, 0]], y[others[:, 1]], ".", color="#ff9f1c", markersize=3, label="peaks")
    (cross,) = ax.plot(
        *(x[coords[first, 0]], y[coords[first, 1]]),
        "+", color="black", markeredgewidth=1.2, markersize=7, label="dominant peak",
    )  # fmt: skip
    cross.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _axis_label(name: str, axis: int, analysis: Analysis, given: ArrayLike | None, units: str | None) -> str:
    labels = analysis._labels
    own = labels.names[axis]
    known = (labels.x, labels.y, labels.t)[axis] is not None or given is not None
    unit = units or labels.attrs.get(own, {}).get("units")
    if unit and known:
        return f"{own} ({unit})"
    shown = {"t": "time"}.get(own, own)
    return shown if known else f"{shown} ({'bins' if axis == 2 else 'cells'})"


def _title(analysis: Analysis, bin: int, t: ArrayLike | None) -> str:
    times = analysis._labels.t if t is None else np.asarray(t)
    return f"bin {bin}" if times is None else f"bin {bin}, t = {times[bin]:.6g}"
