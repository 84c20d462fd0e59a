"""Stands in for ``PeakPromenence`` of pyPhoPlaceCellAnalysis: change one import line.

>>> from peakmask.compat import PeakPromenence

Names (spelling included), keywords, return types, shapes, dtypes, order, errors and warnings are those of
``pyphoplacecellanalysis.External.peak_prominence2d.PeakPromenence``; masks, coordinates and heights are its own to the bit,
prominences by value. What is different:

- It is fast, and takes no more memory than its results; peakmask's own memory guard is active beside
  ``memory_warn_bytes``, also when that is None: an analysis that the machine has no room for raises MemoryError.
- The three arrays of a time bin's tuple are views into three flat columns that own the memory, where the original's own
  theirs: keep one, and all of them stay in memory; copy it, to keep it alone. Every mask has memory of its own in both.
- A time bin with a NaN has no peaks and empty masks, where the original may crash.
- Alphas are read as Python floats: with NumPy 2, ``numpy.float64`` alphas with float32 input, and ``numpy.float32``
  alphas, gave thresholds of another precision. Whatever `list` reads is taken, sets and views of dictionaries too; alphas
  between 2 and infinity, such as percentages, give a UserWarning.
- Integers, float16 and longdouble, on which the original fails, are converted: to float64, to float32, to float64.
  Integers beyond 2**53 that no float64 holds are a ValueError. (The original takes them where no cell is a peak.)
- Booleans are converted to float64, prominences included; the original returns boolean heights, and prominences of 0.
- The other byte order becomes native; the original returns heights as they came.
- Masked arrays with masked cells are a TypeError, since those have no value; the original reads what lies under the mask.
- Subclasses of ndarray (masked arrays without masked cells among them) give plain arrays; the original's heights and
  prominences are of the subclass.
- `compute_posterior_peak_promenences` lists pairs of Python integers; the original's second entries are NumPy's. They are
  equal, and find the same entries in dictionaries.
- Of the class only these three functions are here. Its other names, and the other names of its module, stay where they are:
  import the original for them, under a name of its own. (Asking for one here is an AttributeError that says so.)

`peakmask.analyze` gives the same peaks as flat columns, which spares making tuples, and takes more kinds of input.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _analyze, _core, _inputs, _many, _options
from ._analysis import Peaks
from ._options import Alpha

__all__ = [
    "PeakPromenence",
    "compute_2d_dt_posterior_peak_promenences",
    "compute_2d_peak_prominence",
    "compute_posterior_peak_promenences",
]

PeakTuple = tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]
Masks = list[NDArray[np.bool_]]

_WARN_BYTES = 60 * 1024**3


def _not_here(owner: str, name: str) -> str:
    return (
        f"{owner} has no {name!r}: peakmask stands in for compute_2d_dt_posterior_peak_promenences, "
        "compute_posterior_peak_promenences and compute_2d_peak_prominence; for everything else keep the original "
        "beside it: from pyphoplacecellanalysis.External.peak_prominence2d import PeakPromenence as OriginalPeakPromenence"
    )


def __getattr__(name: str) -> Any:
    raise AttributeError(_not_here(f"module {__name__!r}", name))


class _OnlyThree(type):
    """Says what to do about names that the original class has, and this one has not."""

    def __getattr__(cls, name: str) -> Any:
        raise AttributeError(_not_here("peakmask.compat.PeakPromenence", name))


class PeakPromenence(metaclass=_OnlyThree):
    """The three functions, as the original has them; they are functions of this module, too.

    Examples
    --------
    >>> import numpy as np
    >>> from peakmask.compat import PeakPromenence
    >>> P, alpha_list = np.arange(24.0).reshape(2, 3, 4), [0.5, 0.9]
    >>> tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=P, alpha=alpha_list)
    >>> masks_dict = dict(zip(alpha_list, masks))
    >>> np.shape(masks_dict[0.9]) == np.shape(P)
    True
    """

    @classmethod
    def compute_2d_dt_posterior_peak_promenences(
        cls,
        a_p_x_given_n: NDArray[Any],
        alpha: Alpha = 0.9,
        memory_warn_bytes: int | None = _WARN_BYTES,
        memory_strict: bool = True,
    ) -> tuple[list[PeakTuple], Masks]:
        """Find all peaks of every time bin and, for each alpha, the mask of the region around the dominant peak.

        Parameters
        ----------
        a_p_x_given_n : ndarray, shape (n_x, n_y, n_t)
            One map for each time bin, in any unit.
        alpha : float or sequence of float
            Fractions of the dominant peak's height; a number counts as a list of one.
        memory_warn_bytes : int or None
            The most bytes that masks may take, ``n_x * n_y * n_t * n_alpha``; None for no such limit.
        memory_strict : bool
            Whether more raise MemoryError, or warn.

        Returns
        -------
        tuples : list of (peak_coords, prominences, peak_heights)
            For each time bin, k peaks: (k, 2) int64, (k,) and (k,) of the input's type. Without peaks (0, 2) int64 and twice
            (0,) float64. Views into three flat columns.
        masks : list of ndarray of bool, shape (n_x, n_y, n_t)
            One for each alpha, in the order given.

        Raises
        ------
        ValueError
            When the array has other than three axes, or no cells.
        MemoryError
            When masks exceed ``memory_warn_bytes`` and ``memory_strict``; when the machine has not enough memory.

        Warns
        -----
        UserWarning
            When masks exceed ``memory_warn_bytes`` and not ``memory_strict``.

        Examples
        --------
        >>> import numpy as np
        >>> P = np.zeros((3, 5, 1))
        >>> P[:, :, 0] = [[1, 2, 1, 0, 0], [2, 8, 2, 4, 1], [1, 5, 1, 1, 6]]
        >>> tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(P, alpha=[0.5, 0.9])
        >>> peak_coords, prominences, peak_heights = tuples[0]
        >>> peak_coords.tolist(), prominences.tolist(), peak_heights.tolist()
        ([[1, 1], [2, 4]], [3.0, 2.0], [8.0, 6.0])
        >>> np.nansum(masks[0], axis=(0, 1))
        array([2])
        """
        array, alphas = _posterior(a_p_x_given_n), _options.alphas(alpha)
        _guard(array, alphas, memory_warn_bytes, memory_strict)
        masks, peaks = _run(array, alphas)
        return _tuples(peaks), masks

    @classmethod
    def compute_posterior_peak_promenences(
        cls, p_x_given_n_list: Sequence[NDArray[Any]], alpha: Alpha = 0.9
    ) -> tuple[list[tuple[int, int]], dict[tuple[int, int], PeakTuple], list[Masks]]:
        """Do the same for the posteriors of several epochs, all in one go, however short each is.

        Parameters
        ----------
        p_x_given_n_list : sequence of ndarray, shapes (n_x, n_y, n_t)
            One posterior for each epoch; lengths may differ, and maps too.
        alpha : float or sequence of float
            As for `compute_2d_dt_posterior_peak_promenences`.

        Returns
        -------
        indices : list of (epoch, time bin)
        tuples : dict of (epoch, time bin) to (peak_coords, prominences, peak_heights)
        masks : list of list of ndarray of bool
            For each epoch what `compute_2d_dt_posterior_peak_promenences` returns.

        Raises
        ------
        ValueError, MemoryError
            As `compute_2d_dt_posterior_peak_promenences` does; the guard looks at each epoch by itself, and then at all of
            them.

        Examples
        --------
        >>> import numpy as np
        >>> epochs = [np.arange(6.0).reshape(2, 3, 1), np.arange(12.0).reshape(2, 3, 2)]
        >>> indices, tuples, masks = PeakPromenence.compute_posterior_peak_promenences(epochs, alpha=[0.5])
        >>> indices
        [(0, 0), (1, 0), (1, 1)]
        >>> tuples[1, 0][0]
        array([[1, 2]])
        >>> [mask.shape for (mask,) in masks]
        [(2, 3, 1), (2, 3, 2)]
        """
        alphas = _options.alphas(alpha)
        epochs = []
        for epoch in p_x_given_n_list:
            array = _posterior(epoch)
            _guard(array, alphas, _WARN_BYTES, strict=True)
            epochs.append(array)
        # Epochs whose maps have the same shape and type are analysed as one recording.
        alike: dict[Any, list[int]] = {}
        for i, array in enumerate(epochs):
            alike.setdefault((array.shape[:2], _inputs.element_type(array)), []).append(i)
        tuples_of: list[list[PeakTuple]] = [[] for _ in epochs]
        masks_of: list[Masks] = [[] for _ in epochs]
        for group in alike.values():
            arrays = [epochs[i] for i in group]
            _room(arrays, len(alphas))
            masks, columns, _, _ = _many.run(arrays, alphas)
            peaks = Peaks(*columns)
            tuples = _tuples(peaks)
            start = 0
            for i in group:
                stop = start + epochs[i].shape[2]
                tuples_of[i] = tuples[start:stop]
                # Arrays of their own, as the original's are: an epoch that is kept does not keep all others.
                masks_of[i] = masks if len(group) == 1 else [mask[:, :, start:stop].copy() for mask in masks]
                start = stop
        indices = [(epoch, t) for epoch, tuples in enumerate(tuples_of) for t in range(len(tuples))]
        return indices, {(epoch, t): tuples_of[epoch][t] for epoch, t in indices}, masks_of

    @classmethod
    def compute_2d_peak_prominence(cls, Z_2d: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Find all peaks of one map.

        Parameters
        ----------
        Z_2d : ndarray, shape (n_x, n_y)
            One map, in any unit: a time bin of a posterior, a place field's rate map.

        Returns
        -------
        peak_coords : ndarray of int64, shape (k, 2)
            In row-major order.
        prominences : ndarray of the input's type, shape (k,)

        Raises
        ------
        ValueError
            When the array has other than two axes, or no cells.

        Examples
        --------
        >>> import numpy as np
        >>> PeakPromenence.compute_2d_peak_prominence(np.array([[1.0, 2.0, 1.0], [2.0, 8.0, 2.0], [1.0, 5.0, 1.0]]))
        (array([[1, 1]]), array([3.]))
        """
        array = _inputs.plain(Z_2d)
        if array.ndim != 2:
            raise ValueError(f"compute_2d_peak_prominence expects a 2D array, got shape {array.shape}")
        _, peaks = _run(array[:, :, np.newaxis], [])
        return peaks.coords, peaks.prominences


compute_2d_dt_posterior_peak_promenences = PeakPromenence.compute_2d_dt_posterior_peak_promenences
compute_posterior_peak_promenences = PeakPromenence.compute_posterior_peak_promenences
compute_2d_peak_prominence = PeakPromenence.compute_2d_peak_prominence


def _posterior(p: Any) -> NDArray[Any]:
    array = _inputs.plain(p)
    if array.ndim != 3:
        raise ValueError(f"compute_2d_posterior_peak_promenences expects a 3D array, got shape {array.shape}")
    return array


def _guard(array: NDArray[Any], alphas: list[float], most: int | None, strict: bool) -> None:
    """The original's guard."""
    needed = array.size * len(alphas)
    if most is None or needed <= most:
        return
    sentence = (
        f"{len(alphas)} masks of shape {array.shape} take {needed} bytes, more than memory_warn_bytes = {most}; analyse "
        "fewer time bins or fewer alphas at once, or raise memory_warn_bytes"
    )
    if strict:
        raise MemoryError(sentence)
    warnings.warn(sentence, UserWarning, stacklevel=3)


def _room(epochs: list[NDArray[Any]], n_alpha: int) -> None:
    """See that results of several epochs have room: their masks twice, since each epoch has masks of its own."""
    if len(epochs) == 1:
        return
    shape = (*epochs[0].shape[:2], sum(array.shape[2] for array in epochs))
    plan = _core.estimate(shape, _inputs.element_type(epochs[0]).itemsize, n_alpha, threads=0)
    needed = plan["total"] + plan["masks"]
    limit, source = _core.memory_limit()
    if needed > limit:
        raise MemoryError(
            f"the analysis of {len(epochs)} epochs needs {needed} bytes, but the memory limit is {limit} bytes "
            f"({source}); pass fewer epochs at once"
        )


def _run(array: NDArray[Any], alphas: list[float]) -> tuple[Masks, Peaks]:
    p = _inputs.Posterior(array, _inputs.AXES["xyt"], _inputs.Labels())
    masks, offsets, coords, prominences, heights, *_ = _analyze.run(p, alphas)
    return masks, Peaks(offsets, coords, prominences, heights)


def _tuples(peaks: Peaks) -> list[PeakTuple]:
    """For each time bin its part of the three columns; in a bin without peaks, float64 whatever the input was."""
    coords, prominences, heights = peaks.coords, peaks.prominences, peaks.heights
    nothing = np.empty(0, np.float64)
    ends = peaks.offsets.tolist()
    if heights.dtype == nothing.dtype:
        return [(coords[a:b], prominences[a:b], heights[a:b]) for a, b in zip(ends, ends[1:])]
    return [
        (coords[a:b], prominences[a:b], heights[a:b]) if a < b else (coords[a:b], nothing.copy(), nothing.copy())
        for a, b in zip(ends, ends[1:])
    ]
