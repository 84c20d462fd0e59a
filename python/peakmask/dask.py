"""Posteriors in chunks of time, on one machine or many, with dask (``pip install "peakmask[dask]"``).

Time bins know nothing of each other, so every chunk is an analysis of its own. Dask decides where and when; a chunk takes
one thread of its worker, so that as many chunks run at once as workers have threads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _analyze, _inputs, _levels, _options
from ._analysis import Peaks
from ._inputs import Labels
from ._options import Alpha, Backend, Connectivity, NanPolicy, OnLimit, Options, Region

try:
    import dask.array as da
    from dask.delayed import delayed
except ImportError as error:
    raise ImportError('peakmask.dask needs dask, which is not installed: pip install "peakmask[dask]"') from error

__all__ = ["LazyAnalysis", "analyze", "masks", "peaks"]


class LazyAnalysis(NamedTuple):
    """Masks and peaks that are yet to be computed; together they are computed once: ``dask.compute(*lazy)``."""

    masks: Any
    """bool, (n_alpha, *P.shape): chunks of all alphas, whole maps, and P's chunks of time. A dask array; of a DataArray, a
    DataArray with its coordinates."""
    peaks: Any
    """dask.delayed.Delayed that computes `peakmask.Peaks` of all time bins."""


def analyze(
    P: Any,
    alpha: Alpha,
    *,
    connectivity: Connectivity = 4,
    backend: Backend = "cpu",
    layout: _inputs.Layout | None = None,
    region: Region = "dominant",
    nan_policy: NanPolicy = "silence",
    threads: int = 1,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    dims: Sequence[str] | None = None,
) -> LazyAnalysis:
    """Find peaks and masks of a posterior in chunks of time, lazily.

    Parameters
    ----------
    P : dask.array.Array, shape (n_x, n_y, n_t), or (n_t, n_x, n_y) with ``layout="txy"``
        In chunks of time; maps that are cut up are put together first (``rechunk``). Hundreds to thousands of time bins
        a chunk are a good size. Or an `xarray.DataArray` of such an array (``P.chunk(time=1000)``).
    alpha, connectivity, layout, region, nan_policy, memory_limit, on_limit, dims
        As for `peakmask.analyze`; the limit is one for each chunk.
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
        When P is no dask array, or holds no real numbers.
    ValueError
        When P has other than three axes, or chunks of unknown size; when an option has no such value. What
        `peakmask.analyze` finds wrong with values or memory is raised when it is computed.

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
    options = _options.options(
        connectivity, backend, threads, memory_limit, on_limit, region=region, nan_policy=nan_policy
    )
    alphas = _options.alphas(alpha)
    if layout in _inputs.TRACKS:
        raise ValueError(
            f'layout="{layout}" is that of a linear track, which peakmask.dask takes as maps of one column: '
            "P[:, None, :] of (x, t)"
        )
    axes, labels, known = _inputs.axes_of(layout), Labels(), layout is not None
    # dask's own annotations cover little of this.
    array: Any = P
    if type(P).__module__.partition(".")[0] == "xarray" and isinstance(getattr(P, "data", None), da.Array):
        (axes, labels), known = _inputs.labelled(P, dims), True
        array = P.data
    elif dims is not None:
        raise ValueError(f"dims={dims!r} names dimensions of an xarray.DataArray, but P is a {type(P).__name__}")
    if not isinstance(array, da.Array):
        raise TypeError(
            f"P is a dask array, or a DataArray in chunks, not a {type(P).__name__} in memory; call peakmask.analyze, "
            "or cut it up: P.chunk(time=1000), dask.array.from_array(P, chunks=(-1, -1, 1000))"
        )
    _inputs.three_axes(array.shape)
    if np.isnan(array.shape).any():
        raise ValueError("P has chunks of unknown size; call P.compute_chunk_sizes() first")
    _inputs.element_type(array)
    x, y, t = axes
    # A chunk is short: that its first axis is the longest says nothing, if the whole's is not.
    known = known or array.shape[x] < array.shape[t]
    whole: Any = array.rechunk({x: -1, y: -1})  # type: ignore[no-untyped-call]
    given = (axes, known, alphas, options)
    single = tuple((1,) * len(sizes) for sizes in whole.chunks)
    nothing: NDArray[Any] = np.empty((0, 0, 0), object)
    results = whole.map_blocks(_block, given, dtype=object, chunks=single, meta=nothing)
    masks = results.map_blocks(
        _masks, new_axis=0, dtype=bool, chunks=((len(alphas),), *whole.chunks), meta=np.empty((0, 0, 0, 0), bool)
    )
    # Taken out chunk by chunk, so that masks stay where they are when peaks come together.
    parts = results.map_blocks(_peaks, dtype=object, chunks=single, meta=nothing)
    joined = delayed(_join)(parts, labels, (array.shape[x], array.shape[y]))
    return LazyAnalysis(masks if array is P else _with_labels(masks, P, alphas), joined)


def masks(P: Any, alpha: Alpha, **options: Any) -> Any:
    """Find the masks alone: ``analyze(P, alpha, **options).masks``.

    Returns
    -------
    dask.array.Array, or xarray.DataArray if P is one
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


def peaks(P: Any, **options: Any) -> Any:
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


def _block(block: NDArray[Any], given: tuple[tuple[int, int, int], bool, list[float], Options]) -> NDArray[Any]:
    """Analyse a chunk: one cell that holds its masks and peaks."""
    axes, known, alphas, options = given
    masks = np.empty((len(alphas), *block.shape), bool)
    p = _inputs.Posterior(_inputs.plain(block), axes, Labels())
    found = _analyze.run(p, alphas, options, check_axis_order=not known, out=list(masks))
    cell = np.empty((1, 1, 1), object)
    cell[0, 0, 0] = (masks, Peaks(*found[1:5]))
    return cell


def _with_labels(masks: Any, P: Any, alphas: list[float]) -> Any:
    return sys.modules["xarray"].DataArray(
        masks, dims=("alpha", *P.dims), coords={**P.coords, **_levels.coordinates(alphas)}, name="mask"
    )


def _masks(cell: NDArray[Any]) -> NDArray[np.bool_]:
    masks: NDArray[np.bool_] = cell[0, 0, 0][0]
    return masks


def _peaks(cell: NDArray[Any]) -> NDArray[Any]:
    part = np.empty((1, 1, 1), object)
    part[0, 0, 0] = cell[0, 0, 0][1]
    return part


def _join(parts: NDArray[Any], labels: Labels, shape: tuple[int, int]) -> Peaks:
    """Put the peaks of chunks together, in order of time."""
    some: list[Peaks] = list(parts.ravel())
    starts = np.cumsum([0] + [part.n_peaks for part in some])
    return Peaks(
        np.concatenate([[0], *(part.offsets[1:] + start for part, start in zip(some, starts))]).astype(np.int64),
        np.concatenate([part.coords for part in some]),
        np.concatenate([part.prominences for part in some]),
        np.concatenate([part.heights for part in some]),
        labels,
        shape,
    )
