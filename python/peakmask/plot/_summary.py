"""The numbers of a summary over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._levels import in_words
from ._colours import OUTLINES
from ._scene import Times, pyplot
from ._timeline import finish, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._summary import Summary


def summary(
    summary: Summary,
    *,
    t: ArrayLike | None = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw a summary over time: area for each level, height, prominence, number of peaks, and distance to the animal.

    No posterior and no masks are needed. Time bins without peaks are gaps. Of more than 2000 time bins an envelope is drawn,
    as by `timeline`.

    Parameters
    ----------
    summary : Summary
        Of any analysis, or a part of one. Areas and distances are in cells.
    t
        See `peakmask.plot`.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw: four, or five where the summary has distances.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (4,) or (5,)

    Raises
    ------
    ValueError
        When there is another number of axes, or coordinates do not fit.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> found = peakmask.analyze(P, alpha=[0.5, 0.9], masks=None, summary=True, animal=np.full((30, 2), 4.0))
    >>> axes = peakmask.plot.summary(found.summary, t=np.arange(30) * 0.25)
    >>> [ax.get_ylabel() for ax in axes]
    ['area (cells)', 'height', 'prominence', 'peaks', 'distance (cells)']
    """
    plt = pyplot()

    times = Times(summary._labels, len(summary), t)
    far = not np.isnan(summary.distance).all()
    panels = 5 if far else 4
    if axes is None:
        _, axes = plt.subplots(panels, 1, figsize=(9, 1.75 * panels), sharex=True, layout="constrained")
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) != panels:
        raise ValueError(
            f"this summary has {panels} panels, {'with' if far else 'without'} distances to an animal, but there are "
            f"{len(flat)} axes"
        )
    area, height, prominence, count = flat[:4]
    time = times.values

    def gaps(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(summary.live, values, np.nan)

    for level, alpha in enumerate(summary.alpha):
        colour = f"C{level}" if len(summary.alpha) <= len(OUTLINES) else "0.3"
        series(area, time, gaps(summary.area[level]), colour, in_words(alpha))
    series(height, time, summary.height, "C2")
    series(prominence, time, summary.highest_prominence, "0.6", "of any peak")
    series(prominence, time, summary.prominence, "C2", "of the dominant peak")
    series(count, time, gaps(summary.peaks), "0.3")
    area.set_ylabel("area (cells)")
    height.set_ylabel("height")
    prominence.set_ylabel("prominence")
    count.set_ylabel("peaks")
    count.set_ylim(bottom=0)
    if far:
        series(flat[4], time, summary.distance, "C3")
        flat[4].set_ylabel("distance (cells)")
        flat[4].set_ylim(bottom=0)
    finish(flat, times)
    return flat
