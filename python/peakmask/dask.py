"""Posteriors in chunks of time, on one machine or many, with dask (``pip install "peakmask[dask]"``).

Time bins know nothing of each other, so every chunk is an analysis of its own. Dask decides where and when; a chunk takes
one thread of its worker, so that as many chunks run at once as workers have threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray

from . import _inputs
from ._analysis import Peaks
from ._analyze import analyze as _analyze

__all__ = ["LazyAnalysis", "analyze", "masks", "peaks"]


class LazyAnalysis(NamedTuple):
    """Masks and peaks that are yet to be computed; together they are computed once: ``dask.compute(*lazy)``."""

    masks: da.Array
    """bool, (n_alpha, *P.shape): chunks of all alphas, whole maps, and P's chunks of time."""
    peaks: Any
    """dask.delayed.Delayed that computes `peakmask.Peaks` of all time bins."""


def analyze(
    P: da.Array,
    alpha: float | Sequence[float] | NDArray[Any],
    *,
    connectivity: Literal[4, 8] = 4,
    backend: Literal["auto", "cpu", "gpu"] = "cpu",
    layout: _inputs.Layout = "xyt",
    threads: int = 1,
    memory_limit: int | None = None,
    on_limit: Literal["error", "warn", "ignore"] = "error",
) -> LazyAnalysis:
    """Find peaks and masks of a posterior in chunks of time, lazily.

    Parameters
    ----------
    P : dask.array.Array, shape (n_x, n_y, n_t), or (n_t, n_x, n_y) with ``layout="txy"``
        In chunks of time; maps that are cut up are put together first (``rechunk``). Hundreds to thousands of time bins
        a chunk are a good size.
    alpha, connectivity, layout, memory_limit, on_limit
        As for `peakmask.analyze`, for each chunk.
    backend : {"cpu", "auto", "gpu"}
        As for `peakmask.analyze`; the default spares the GPU, which workers of one machine would have to share.
    threads : int
        Of each chunk.

    Returns
    -------
    LazyAnalysis
        ``masks`` and ``peaks``.

    Raises
    ------
    TypeError
        When P is no dask array.
    ValueError
        When P has other than three axes, or chunks of unknown size. What `peakmask.analyze` refuses is raised when it is
        computed.

    Examples
    --------
    >>> import dask, dask.array as da, numpy as np, peakmask.dask
    >>> P = da.from_array(np.random.default_rng(0).random((5, 6, 1000)), chunks=(5, 6, 250))
    >>> lazy = peakmask.dask.analyze(P, alpha=[0.5, 0.9])
    >>> lazy.masks
    dask.array<_masks, shape=(2, 5, 6, 1000), dtype=bool, chunksize=(2, 5, 6, 250), chunktype=numpy.ndarray>
    >>> masks, peaks = dask.compute(*lazy)
    >>> len(peaks)
    1000
    """
    if not isinstance(P, da.Array):
        raise TypeError(f"P is a dask array, not a {type(P).__name__}; call peakmask.analyze for arrays in memory")
    _inputs.three_axes(P.shape)
    if layout not in _inputs.AXES:
        raise ValueError(f'layout is "xyt" or "txy", not {layout!r}')
    if np.isnan(P.shape).any():
        raise ValueError("P has chunks of unknown size; call P.compute_chunk_sizes() first")
    alphas = _inputs.alphas(alpha)
    x, y, _ = _inputs.AXES[layout]
    # dask's own annotations cover little of this.
    array: Any = P
    whole = array.rechunk({x: -1, y: -1})
    options = {
        "connectivity": connectivity,
        "backend": backend,
        "layout": layout,
        "threads": threads,
        "memory_limit": memory_limit,
        "on_limit": on_limit,
    }
    single = tuple((1,) * len(sizes) for sizes in whole.chunks)
    nothing: NDArray[Any] = np.empty((0, 0, 0), object)
    results = whole.map_blocks(_block, alphas, options, dtype=object, chunks=single, meta=nothing)
    masks = results.map_blocks(
        _masks, new_axis=0, dtype=bool, chunks=((len(alphas),), *whole.chunks), meta=np.empty((0, 0, 0, 0), bool)
    )
    # Taken out chunk by chunk, so that masks stay where they are when peaks come together.
    parts = results.map_blocks(_peaks, dtype=object, chunks=single, meta=nothing)
    return LazyAnalysis(masks, delayed(_join)(parts))


def masks(P: da.Array, alpha: float | Sequence[float] | NDArray[Any], **options: Any) -> da.Array:
    """Find the masks alone: ``analyze(P, alpha, **options).masks``.

    Returns
    -------
    dask.array.Array
        bool, (n_alpha, *P.shape).

    Examples
    --------
    >>> import dask.array as da, numpy as np, peakmask.dask
    >>> P = da.from_array(np.random.default_rng(0).random((5, 6, 1000)), chunks=(5, 6, 250))
    >>> areas = peakmask.dask.masks(P, alpha=[0.5, 0.9]).sum(axis=(1, 2))
    >>> areas.compute().shape
    (2, 1000)
    """
    return analyze(P, alpha, **options).masks


def peaks(P: da.Array, **options: Any) -> Any:
    """Find the peaks alone: ``analyze(P, [], **options).peaks``.

    Returns
    -------
    dask.delayed.Delayed
        Computes `peakmask.Peaks`.

    Examples
    --------
    >>> import dask.array as da, numpy as np, peakmask.dask
    >>> P = da.from_array(np.random.default_rng(0).random((5, 6, 1000)), chunks=(5, 6, 250))
    >>> len(peakmask.dask.peaks(P).compute())
    1000
    """
    return analyze(P, [], **options).peaks


def _block(block: NDArray[Any], alphas: list[float], options: dict[str, Any]) -> NDArray[Any]:
    """Analyse a chunk: one cell that holds its masks and peaks."""
    masks = np.empty((len(alphas), *block.shape), bool)
    analysis = _analyze(block, alphas, out=list(masks), **options)
    cell = np.empty((1, 1, 1), object)
    cell[0, 0, 0] = (masks, analysis.peaks)
    return cell


def _masks(cell: NDArray[Any]) -> NDArray[np.bool_]:
    masks: NDArray[np.bool_] = cell[0, 0, 0][0]
    return masks


def _peaks(cell: NDArray[Any]) -> NDArray[Any]:
    part = np.empty((1, 1, 1), object)
    part[0, 0, 0] = cell[0, 0, 0][1]
    return part


def _join(parts: NDArray[Any]) -> Peaks:
    """Put the peaks of chunks together, in order of time."""
    some: list[Peaks] = list(parts.ravel())
    starts = np.cumsum([0] + [part.n_peaks for part in some])
    return Peaks(
        np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(some, starts))]).astype(np.int64),
        np.concatenate([part.coords for part in some]),
        np.concatenate([part.prominences for part in some]),
        np.concatenate([part.heights for part in some]),
    )
