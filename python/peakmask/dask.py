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
from ._forms import SparseMask
from ._inputs import Labels
from ._options import Alpha, Backend, Connectivity, Form, NanPolicy, OnLimit, Options, Region, Wanted
from ._summary import OVERLAPS, Summary, columns_of, joined

try:
    import dask.array as da
    from dask.delayed import delayed
except ImportError as error:
    raise ImportError('peakmask.dask needs dask, which is not installed: pip install "peakmask[dask]"') from error

__all__ = ["LazyAnalysis", "analyze", "masks", "peaks", "summary"]


class _MasksAndPeaks(NamedTuple):
    masks: Any
    """bool, (n_alpha, *P.shape): chunks of all alphas, whole maps, and P's chunks of time. A dask array; of a DataArray, a
    DataArray with its coordinates. None with ``masks=`` other than "bytes"."""
    peaks: Any
    """dask.delayed.Delayed that computes `peakmask.Peaks` of all time bins."""


class LazyAnalysis(_MasksAndPeaks):
    """Masks and peaks that are yet to be computed; together they are computed once: ``dask.compute(*lazy)``."""

    summary: Any = None
    """dask.delayed.Delayed that computes the `peakmask.Summary` of all time bins, with ``summary=True``; beside the two that
    the tuple has: ``dask.compute(*lazy, lazy.summary)``."""
    packed: Any = None
    """uint8, (n_alpha, n_x, n_y, ceil(n_t / 8)), with ``masks="packed"``: a dask array, eight time bins a byte, whatever the
    layout, as the ``bits`` of a `peakmask.PackedMask`."""
    sparse: Any = None
    """dask.delayed.Delayed that computes a list of `peakmask.SparseMask`, one for each alpha, with ``masks="sparse"``."""


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
    masks: Form | None = "bytes",
    summary: bool = False,
    animal: Any = None,
    radius: float = 1.0,
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
    masks : {"bytes", "packed", "sparse", None}
        The form of the masks, as for `peakmask.analyze`. A byte of bits holds time bins of one chunk, so chunks of packed
        masks begin at multiples of eight bins: where those of P do not, up to seven bins move to the chunk after
        (``rechunk``).
    summary, animal, radius
        As for `peakmask.analyze`; masks of the last bin of a chunk are compared with those of the first of the next.
        ``animal`` may be a dask array, too.

    Returns
    -------
    LazyAnalysis
        ``masks`` and ``peaks``; ``summary``, ``packed``, ``sparse``.

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
    >>> lazy = peakmask.dask.analyze(P, alpha=[0.5, 0.9], masks="packed")
    >>> lazy.packed.shape
    (2, 5, 6, 125)
    >>> half = peakmask.PackedMask(lazy.packed[0].compute(), P.shape[2])
    >>> np.array_equal(half.expand(), masks[0])
    True
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
    wanted = _options.wanted(masks, summary, None, radius, array.shape[t])
    if wanted.masks == "packed":
        whole = whole.rechunk({t: _whole_bytes(whole.chunks[t])})
    where = _positions(animal, summary, whole, axes)
    given = (axes, known, alphas, options, wanted, float(radius))
    single = tuple((1,) * len(sizes) for sizes in whole.chunks)
    nothing: NDArray[Any] = np.empty((0, 0, 0), object)
    others = [] if where is None else [where]
    results = whole.map_blocks(_block, *others, given=given, dtype=object, chunks=single, meta=nothing)
    shape = (array.shape[x], array.shape[y])
    found = None
    if wanted.masks == "bytes":
        found = results.map_blocks(
            _masks, new_axis=0, dtype=bool, chunks=((len(alphas),), *whole.chunks), meta=np.empty((0, 0, 0, 0), bool)
        )
        found = found if array is P else _with_labels(found, P, alphas)
    # Taken out chunk by chunk, so that masks stay where they are when peaks come together.
    lazy = LazyAnalysis(
        found, delayed(_join)(results.map_blocks(_peaks, dtype=object, chunks=single, meta=nothing), labels, shape)
    )
    if wanted.masks == "packed":
        sizes = tuple(-(-bins // 8) for bins in whole.chunks[t])
        lazy.packed = results.transpose(axes).map_blocks(
            _masks, new_axis=0, dtype=np.uint8, chunks=((len(alphas),), (shape[0],), (shape[1],), sizes),
            meta=np.empty((0, 0, 0, 0), np.uint8),
        )  # fmt: skip
    if wanted.masks == "sparse":
        parts = results.map_blocks(_lists, dtype=object, chunks=single, meta=nothing)
        lazy.sparse = delayed(_join_lists)(parts, shape, len(alphas))
    if summary:
        parts = results.map_blocks(_numbers, dtype=object, chunks=single, meta=nothing)
        lazy.summary = delayed(_join_summaries)(parts, labels, shape, (alphas, options, _inputs.element_type(array)))
    return lazy


def _whole_bytes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Move the ends of chunks to multiples of eight before them, but for the last; chunks without bins go."""
    ends = np.cumsum(sizes)
    ends[:-1] -= ends[:-1] % 8
    return tuple(bins for bins in np.diff(ends, prepend=0).tolist() if bins) or (0,)


def _positions(animal: Any, summary: bool, whole: Any, axes: _inputs.Axes) -> Any:
    """Lay the animal's positions in chunks as the posterior is: time along its axis, x and y along that of x."""
    if animal is None:
        return None
    if not summary:
        raise ValueError("animal= is for a summary; pass summary=True")
    n_t = whole.shape[axes[2]]
    positions: Any = animal
    if not isinstance(animal, da.Array):
        positions = da.from_array(np.asarray(animal, np.float64), chunks=-1)  # type: ignore[no-untyped-call]
    if positions.shape != (n_t, 2):
        raise ValueError(
            f"animal has shape {positions.shape}, but is x and y, in cells, for each of {n_t} time bins: ({n_t}, 2)"
        )
    positions = positions.astype(np.float64).rechunk((whole.chunks[axes[2]], -1))
    # Of axes x, y, t, and then of the posterior's.
    laid = positions.T[:, np.newaxis, :]
    return laid.transpose(np.argsort(axes).tolist())


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


def summary(P: Any, alpha: Alpha, **options: Any) -> Any:
    """Find the summary alone, without masks: ``analyze(P, alpha, masks=None, summary=True, **options).summary``.

    Returns
    -------
    dask.delayed.Delayed
        Computes `peakmask.Summary`.

    Examples
    --------
    >>> import dask.array as da, numpy as np, peakmask.dask
    >>> P = da.from_array(np.random.default_rng(0).random((5, 6, 1000)), chunks=(5, 6, 250))
    >>> peakmask.dask.summary(P, alpha=0.5).compute()
    <summary of 1,000 time bins, alpha 0.5>
    """
    return analyze(P, alpha, masks=None, summary=True, **options).summary


_Given = tuple[tuple[int, int, int], bool, list[float], Options, Wanted, float]


class _Numbers(NamedTuple):
    """The summary of a chunk, and its first and last map, which meet those of its neighbours."""

    columns: dict[str, NDArray[Any]]
    ends: NDArray[Any]


def _block(block: NDArray[Any], positions: NDArray[np.float64] | None = None, *, given: _Given) -> NDArray[Any]:
    """Analyse a chunk: one cell that holds its masks, peaks and summary."""
    axes, known, alphas, options, wanted, radius = given
    p = _inputs.Posterior(_inputs.plain(block), axes, Labels())
    if positions is not None:
        places = positions.transpose(axes)[:, 0].T.tolist()
        wanted = wanted._replace(animal=(places, radius))
    masks: Any = None
    numbers = None
    if wanted.masks == "bytes" and not wanted.summary:
        masks = np.empty((len(alphas), *block.shape), bool)
        found = _analyze.run(p, alphas, options, check_axis_order=not known, out=list(masks))
    else:
        found = _analyze.run(p, alphas, options, check_axis_order=not known, wanted=wanted)
        if wanted.masks == "bytes":
            masks = np.stack([p.back(mask) for mask in found[0]]) if alphas else np.empty((0, *block.shape), bool)
        elif wanted.masks == "packed":
            n_x, n_y, n_t = p.shape
            masks = np.stack(found[0]) if alphas else np.empty((0, n_x, n_y, -(-n_t // 8)), np.uint8)
        elif wanted.masks == "sparse":
            masks = found[0]
    if found[6] is not None and p.shape[2]:
        numbers = _Numbers(found[6], p.array.transpose(axes)[:, :, [0, -1]])
    cell = np.empty((1, 1, 1), object)
    cell[0, 0, 0] = (masks, Peaks(*found[1:5]), numbers)
    return cell


def _with_labels(masks: Any, P: Any, alphas: list[float]) -> Any:
    return sys.modules["xarray"].DataArray(
        masks, dims=("alpha", *P.dims), coords={**P.coords, **_levels.coordinates(alphas)}, name="mask"
    )


def _masks(cell: NDArray[Any]) -> NDArray[Any]:
    masks: NDArray[Any] = cell[0, 0, 0][0]
    return masks


def _lists(cell: NDArray[Any]) -> NDArray[Any]:
    part = np.empty((1, 1, 1), object)
    part[0, 0, 0] = cell[0, 0, 0][0]
    return part


def _peaks(cell: NDArray[Any]) -> NDArray[Any]:
    part = np.empty((1, 1, 1), object)
    part[0, 0, 0] = cell[0, 0, 0][1]
    return part


def _numbers(cell: NDArray[Any]) -> NDArray[Any]:
    part = np.empty((1, 1, 1), object)
    part[0, 0, 0] = cell[0, 0, 0][2]
    return part


def _join_summaries(
    parts: NDArray[Any], labels: Labels, shape: tuple[int, int], given: tuple[list[float], Options, np.dtype[Any]]
) -> Summary:
    """Put the summaries of chunks together, in order of time; where two meet, their maps are analysed again, as a pair."""
    alphas, options, dtype = given
    some: list[_Numbers] = [part for part in parts.ravel() if part is not None]
    pairs = [map_ for part, after in zip(some, some[1:]) for map_ in (part.ends[:, :, 1], after.ends[:, :, 0])]
    seams: list[dict[str, NDArray[Any]]] = []
    if pairs:
        p = _inputs.Posterior(np.stack(pairs, axis=2), _inputs.AXES["xyt"], Labels())
        met = _analyze.run(p, alphas, options, wanted=Wanted("none", True))[6]
        assert met is not None
        seams = [{name: met[name][:, i] for name in OVERLAPS} for i in range(0, len(pairs), 2)]
    if not some:
        nothing = {name: np.empty(*column) for name, column in columns_of(len(alphas), 0, dtype).items()}
        return Summary(tuple(alphas), nothing, labels, shape)
    return Summary(tuple(alphas), joined([part.columns for part in some], seams), labels, shape)


def _join_lists(parts: NDArray[Any], shape: tuple[int, int], n_alpha: int) -> list[SparseMask]:
    """Put the lists of cells of chunks together, in order of time."""
    masks = []
    for alpha in range(n_alpha):
        some: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] = [part[alpha] for part in parts.ravel()]
        starts = np.cumsum([0] + [len(cells) for _, cells in some])
        offsets = np.concatenate([[0], *(ends[1:] + start for (ends, _), start in zip(some, starts))]).astype(np.int64)
        cells = np.concatenate([cells for _, cells in some])
        masks.append(SparseMask(offsets, cells, (*shape, len(offsets) - 1)))
    return masks


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
