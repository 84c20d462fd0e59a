"""What the dominant peak does over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._levels import in_words
from ._colours import OUTLINES
from ._scene import Place, Scene, Times, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._analysis import Analysis

COLUMNS = 1000
"""Time bins that a panel draws one by one; beyond twice as many, each of so many columns stands for several."""


def timeline(
    analysis: Analysis,
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    t: ArrayLike | None = None,
    units: str | None = None,
    path: ArrayLike | None = None,
    min_height: float = 0.05,
    min_prominence: float = 0.0,
    top: int | None = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw what the dominant peak does over time: position, height, area for each alpha, and the number of marked peaks.

    Time bins without peaks are gaps. Of more than 2000 time bins an envelope is drawn: in each of 1000 columns the lowest,
    the median and the highest value.

    Parameters
    ----------
    analysis : Analysis
        Of any posterior.
    x, y, t, units, path, min_height, min_prominence, top
        See `peakmask.plot`. Areas are in squared units where both x and y have coordinates in one unit, else in cells. With
        ``path=`` the animal's position is drawn behind the peak's.
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
    plt = pyplot()

    scene = Scene(
        None, analysis, x=x, y=y, t=t, units=units, path=path,
        min_height=min_height, min_prominence=min_prominence, top=top,
    )  # fmt: skip
    if axes is None:
        _, axes = plt.subplots(4, 1, figsize=(9, 7), sharex=True, layout="constrained")
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) != 4:
        raise ValueError(f"a timeline has four panels, but there are {len(flat)} axes")
    place, height, area, count = flat
    time = scene.times.values
    rows = analysis.peaks.dominant
    live = rows >= 0

    def gaps(values: NDArray[Any]) -> NDArray[np.float64]:
        whole = np.full(len(rows), np.nan)
        whole[live] = values
        return whole

    axes_of_space = [0, 1] if scene.along is None else [scene.along]
    for axis in axes_of_space:
        colour = f"C{axis}"
        if scene.path is not None:
            series(place, time, scene.path[:, axis], "0.35", f"animal, {scene.places[axis].name}", linestyle="--")
        positions = gaps(scene.places[axis].centres[analysis.peaks._xy[rows[live], axis]])
        series(place, time, positions, colour, scene.places[axis].name, marker=".")
    series(height, time, gaps(analysis.peaks.heights[rows[live]]), "C2")
    areas, unit = mask_areas(analysis, scene.places, scene.along)
    for i, alpha in enumerate(analysis.alpha):
        colour = f"C{i}" if len(analysis.alpha) <= len(OUTLINES) else "0.3"
        series(area, time, gaps(areas[i][live]), colour, in_words(alpha))
    series(count, time, gaps(scene.marks.counts(analysis.peaks)[live]), "0.3", scene.marks.words)
    units_of_space = {scene.places[axis].unit for axis in axes_of_space}
    unit_of_space = units_of_space.pop() if len(units_of_space) == 1 else None
    place.set_ylabel(f"position ({unit_of_space})" if unit_of_space else "position")
    height.set_ylabel("height")
    extent = "area" if scene.along is None else "length"
    area.set_ylabel(f"{extent} ({unit})" if unit else extent)
    count.set_ylabel("peaks")
    count.set_ylim(bottom=0)
    finish(flat, scene.times)
    return flat


def finish(flat: NDArray[Any], times: Times) -> None:
    """Legends beside panels that stand one below the other, and one axis of time."""
    times.dress(flat[-1].xaxis)
    for ax in flat:
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
        ax.margins(x=0.01)
        ax.spines[["top", "right"]].set_visible(False)


def series(
    ax: Axes, time: NDArray[Any], values: NDArray[Any], colour: str, label: str = "_", marker: str = "", **style: Any
) -> None:
    """A line over time; of many bins an envelope."""
    if len(values) <= 2 * COLUMNS:
        line = {"linestyle": "none"} if marker else {"linewidth": 1, **style}
        ax.plot(time, values, marker=marker or None, markersize=3, color=colour, label=label, **line)
        return
    starts, low, median, high = envelope(values)
    at = time[starts]
    ax.fill_between(at, low, high, step="post", color=colour, alpha=0.25, linewidth=0)
    ax.plot(at, median, drawstyle="steps-post", color=colour, linewidth=1, label=label, **style)


def envelope(values: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """First bin of each of `COLUMNS` columns, and lowest, median and highest of its values; NaN where there are none."""
    starts = np.arange(COLUMNS) * len(values) // COLUMNS
    columns = np.full((COLUMNS, int(np.diff(starts, append=len(values)).max())), np.nan)
    column = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    columns[column, np.arange(len(values)) - starts[column]] = values
    some = ~np.isnan(columns).all(axis=1)
    low, median, high = (np.full(COLUMNS, np.nan) for _ in range(3))
    low[some], median[some], high[some] = (f(columns[some], axis=1) for f in (np.nanmin, np.nanmedian, np.nanmax))
    return starts, low, median, high


def mask_areas(
    analysis: Analysis, all_places: tuple[Place, Place], along: int | None
) -> tuple[NDArray[Any], str | None]:
    """Area of each mask in each bin, shape (n_alpha, n_t), and its unit; along a track a length."""
    places = all_places if along is None else (all_places[along],)
    if not all(place.known for place in places) or len({place.unit for place in places}) > 1:
        return analysis.areas, "cells"
    unit = places[0].unit and places[0].unit + ("²" if len(places) == 2 else "")
    weights = [place.widths if place in places else np.ones(len(place.widths)) for place in all_places]
    if all(np.allclose(widths, widths[0]) for widths in weights):
        return analysis.areas * (weights[0][0] * weights[1][0]), unit
    areas = np.zeros((len(analysis.masks), analysis.shape[2]))
    for i, mask in enumerate(analysis._maps):
        for row, width in zip(mask.transpose(analysis._axes), weights[0]):
            areas[i] += (width * weights[1]) @ row
    return areas, unit
