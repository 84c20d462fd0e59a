"""A linear track: position by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._levels import in_words
from ._colours import OUTLINES, contrast
from ._legend import below
from ._scene import Scene, choose_bins, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

    from .._analysis import Analysis
    from ._scene import Options

COLUMNS = 2000
"""Columns of the map: where there are more time bins, a column shows the highest value of several."""


def track(
    P: ArrayLike,
    analysis: Analysis,
    bins: Any = None,
    *,
    ax: Axes | None = None,
    colorbar: bool = True,
    legend: bool = True,
    **options: Unpack[Options],
) -> Axes:
    """Draw a linear track: P by position and time, the way of the dominant peak, and how far each mask reaches.

    Of more than 2000 time bins, a column shows the highest value of several, and the peak and the masks of its first.

    Parameters
    ----------
    P, analysis
        As for `posterior`; one axis of length 1.
    bins : slice, sequence of int, or boolean array, optional
        Which time bins, in the order of time; without it all.
    ax, colorbar, legend
        As for `posterior`.
    **options
        See `peakmask.plot`. With ``path=`` the animal's position is a line.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        When this is no linear track, there are no time bins, or as `posterior`.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((40, 1, 300))
    >>> ax = peakmask.plot.track(P, peakmask.analyze(P, alpha=0.5), x=np.arange(40) * 2.5, units="cm")
    >>> ax.get_ylabel()
    'x (cm)'
    """
    plt = pyplot()

    scene = Scene(P, analysis, **options)
    if scene.along is None or scene.maps is None:
        n_x, n_y, _ = analysis.shape
        raise ValueError(f"a linear track has one axis of length 1, but the maps are {n_x} x {n_y}; draw a sheet")
    chosen = np.unique(choose_bins(bins, analysis.shape[2])).astype(int)
    if not len(chosen):
        raise ValueError(f"a picture of a track shows at least one time bin, but bins is {bins!r}")
    own = ax is None
    if own:
        _, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    assert ax is not None
    axis = scene.along
    place, times = scene.places[axis], scene.times
    values = scene.maps.reshape(-1, analysis.shape[2])[:, chosen]
    starts = np.arange(min(len(chosen), COLUMNS)) * len(chosen) // min(len(chosen), COLUMNS)
    values = np.fmax.reduceat(values, starts, axis=1)
    columns = chosen[starts]
    sides = np.append(times.edges[columns], times.edges[chosen[-1] + 1])
    colours = plt.get_cmap(scene.cmap).with_extremes(bad="0.75")
    image = ax.pcolormesh(
        sides, place.edges, np.ma.masked_where(np.isnan(values), values), cmap=colours,
        norm=scene.scale.of(values), rasterized=True, zorder=0,
    )  # fmt: skip
    middles = times.values[columns]
    for i in scene.levels():
        masks = analysis._maps[i].transpose(analysis._axes).reshape(-1, analysis.shape[2])[:, columns]
        _reach(ax, masks, sides, place.edges, OUTLINES[i % len(OUTLINES)], f"mask, {in_words(analysis.alpha[i])}")
    rows = analysis.peaks.dominant[columns]
    live = rows >= 0
    peak = np.full(len(columns), np.nan)
    peak[live] = place.centres[analysis.peaks._xy[rows[live], axis]]
    size = 4 if len(columns) < 400 else 2
    ax.plot(middles, peak, ".", color="#ff9f1c", markeredgecolor="black", markeredgewidth=0.3, markersize=size + 2,
            zorder=3, label="dominant peak")  # fmt: skip
    if scene.path is not None:
        ax.plot(times.values[chosen], scene.path[chosen, axis], color="black", linewidth=2.2, zorder=2.8)
        ax.plot(
            times.values[chosen], scene.path[chosen, axis], color="#00e5ff", linewidth=1, zorder=2.9, label="animal"
        )
    ax.set_ylabel(place.label)
    ax.set_ylim(min(place.edges[0], place.edges[-1]), max(place.edges[0], place.edges[-1]))
    times.dress(ax.xaxis)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=scene.scale.label, pad=0.01)
    if legend:
        if own:
            below(ax.figure, [ax], grow=True)
        else:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=4, facecolor="0.72", fontsize="small")
    return ax


def _reach(
    ax: Axes, masks: NDArray[np.bool_], sides: NDArray[Any], edges: NDArray[Any], colour: str, label: str
) -> None:
    """Lower and upper end of each column's mask, as lines with an edge that contrasts."""
    some = masks.any(axis=0)
    first, last = masks.argmax(axis=0), masks.shape[0] - masks[::-1].argmax(axis=0)
    for j, end in enumerate((first, last)):
        line = np.where(some, edges[end], np.nan)
        for width, shade, order in ((2.2, contrast(colour), 2.0), (1.1, colour, 2.1)):
            ax.plot(sides, np.append(line, line[-1]), drawstyle="steps-post", color=shade, linewidth=width, zorder=order,
                    clip_on=False, label=label if j == 0 and order == 2.1 else "_")  # fmt: skip
