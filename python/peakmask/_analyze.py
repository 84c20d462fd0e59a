"""`analyze`, and what it will take."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, _inputs, _options
from ._analysis import Analysis, Peaks, Report
from ._forms import PackedMask, SparseMask
from ._levels import kind_of
from ._options import Alpha, Backend, Connectivity, Form, NanPolicy, OnLimit, Options, Prominence, Region, Wanted
from ._summary import Summary

log = logging.getLogger("peakmask")

Masks = list[NDArray[np.bool_]]


def analyze(
    P: ArrayLike,
    alpha: Alpha,
    *,
    connectivity: Connectivity = 4,
    backend: Backend = "auto",
    layout: _inputs.Layout | None = None,
    region: Region = "dominant",
    nan_policy: NanPolicy = "silence",
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    threads: int | None = None,
    out: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    dims: Sequence[str] | None = None,
    prominence: Prominence | None = "reference",
    masks: Form | None = "bytes",
    summary: bool = False,
    animal: ArrayLike | None = None,
    radius: float = 1.0,
) -> Analysis:
    """Find all peaks of every time bin and, for each alpha, the mask of the region around the dominant peak.

    Parameters
    ----------
    P : array_like, shape (n_x, n_y, n_t), or (n_t, n_x, n_y) with ``layout="txy"``
        (n_x, n_t) of a linear track with ``layout="xt"``, (n_t, n_x) with ``layout="tx"``. One map for each time bin, in any
        unit: probability, density, logarithm. An `xarray.DataArray` (its dimensions are found by name; of a linear track it
        has two), a pynapple ``TsdTensor`` (time first; of a linear track a ``TsdFrame``), or anything that NumPy reads.
        float64 and float32 are read where they lie, in any strides that are multiples of an element. Everything else is
        copied once: unaligned arrays and the other byte order as they are, float16 to float32, integers, booleans and
        longdouble to float64.
    alpha : float or iterable of float
        One mask is made for each, in this order. Any float; repetitions have masks of their own; ``[]`` finds peaks
        only. A fraction: above 2 (50, for half of the height) it is taken at its word, with a warning. Levels of other
        kinds, `absolute` and `coverage`, may be mixed with it.
    connectivity : {4, 8}
        Neighbours that connect cells of a mask. (Peaks always compare eight.)
    backend : {"auto", "cpu", "gpu"}
        Which engine computes; all yield the same bytes. ``"auto"`` takes what is there; the others are promises: that
        engine, or an error. For ``"gpu"`` software serves too, with a warning.
    layout : {"xyt", "txy", "xt", "tx"}, optional
        The order of P's axes, (x, y, t) unless given. An array with two axes is a linear track, and said to be one, since a
        single map has two axes, too: its maps have one column, its masks P's two axes, its peaks one coordinate. Masks lie
        in memory as C-order (x, y, t), with any; they are returned as views with P's axes, so that
        ``mask.shape == P.shape``. Not used for arrays with labels. Without it, an array that looks like (t, x, y) is
        refused; a layout that is given is believed.
    region : {"dominant", "whole"}
        Which cells that reach a level belong to its mask: those connected to the dominant peak, or all of them.
    nan_policy : {"silence", "off_track", "error"}
        What a NaN means: its time bin has no peaks and empty masks; the cell is absent, as one beside the track (no peak, in
        no mask, nobody's neighbour); or P is refused, and the first NaN named.
    memory_limit : int, float or str, optional
        The most bytes that results, scratch and a copy of the input may take: 8e9, ``"8GB"``, ``"8GiB"``. Without it,
        what the machine and the process's control group have to spare.
    on_limit : {"error", "warn", "ignore"}
        What happens above the limit: MemoryError, before anything is allocated; a warning to the logger
        ``"peakmask"``; nothing.
    threads : int, optional
        Worker threads; without it one for each core that the process may use.
    out : sequence of ndarray of bool, optional
        Masks to write into, one for each alpha, each of P's shape, in any strides; fresh memory is dear, so reuse pays.
        Every element is written. After an error they hold unspecified values. A summary may be asked for beside them.
    progress : bool or callable, optional
        True shows a bar; without tqdm there is a warning instead. A callable is called in this thread with (bins done,
        bins in all), some twenty times a second at most, and at the end; an exception in it stops the analysis and
        propagates.
    dims : sequence of str, optional
        The dimensions x, y and t of a DataArray, when they cannot be told by name.
    prominence : {"reference", "topographic"} or None
        ``"reference"`` is height minus the highest cell around the peak's plateau, a contrast with the immediate
        surroundings. ``"topographic"`` is height minus the highest saddle on the way to higher ground (`prominence`, the
        function, gives the saddles); the CPU engine computes it. None leaves the column NaN.
    masks : {"bytes", "packed", "sparse", None}
        The form of the masks: arrays of bool in ``masks``; in ``packed`` bits, an eighth of the memory; in ``sparse`` the
        cells of each time bin, the least memory where regions are small; or none.
    summary : bool
        Whether to make a `Summary`: areas, centroids, sums, overlaps, and more. It needs no masks.
    animal : array_like, shape (n_t, 2), optional
        Where the animal was in each time bin, x and y in cells, whole or not, NaN where nobody knows: the summary then has
        its distance to the dominant peak, and whether masks are near it.
    radius : float
        How near, in cells.

    Returns
    -------
    Analysis
        ``masks``, ``packed`` or ``sparse``; ``peaks``, ``summary``, ``report``.

    Raises
    ------
    ValueError
        When P has other than three axes or no cells, looks like the other layout, or holds integers that have no float64
        of their own; when an output does not fit; when an option has no such value; with ``nan_policy="error"`` when P
        holds a NaN.
    TypeError
        When P is no array (a path, a mapping), holds complex numbers, objects or strings, or is a masked array with masked
        cells.
    MemoryError
        When more memory is needed than the limit, also when the peaks found cross it later.
    KeyboardInterrupt
        As ever, within a second; nothing stays behind.

    Notes
    -----
    Unless `nan_policy` says otherwise, a time bin that holds a NaN anywhere, or the same value everywhere, has no peaks and
    empty masks. No other bin is touched. A *peak* is a cell above the map's minimum that is at least as high as its eight
    neighbours; every cell of a plateau counts. The *dominant* peak is the first of greatest height, in row-major order; it
    is in its mask whatever its alpha.

    No lock is held while it runs: other threads of Python go on, and may call it too.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.zeros((3, 5, 1))
    >>> P[:, :, 0] = [[1, 2, 1, 0, 0], [2, 8, 2, 4, 1], [1, 5, 1, 1, 6]]
    >>> analysis = peakmask.analyze(P, alpha=[0.5, 0.9])
    >>> coords, prominences, heights = analysis.peaks[0]
    >>> coords.tolist(), prominences.tolist(), heights.tolist()
    ([[1, 1], [2, 4]], [3.0, 2.0], [8.0, 6.0])
    >>> analysis.mask(0.5)[:, :, 0].astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 0, 0, 0],
           [0, 1, 0, 0, 0]])
    """
    p = _inputs.posterior(P, layout, dims)
    alphas = _options.alphas(alpha)
    options = _options.options(
        connectivity, backend, threads, memory_limit, on_limit, prominence, region=region, nan_policy=nan_policy
    )
    wanted = _options.wanted(masks, summary, animal, radius, p.shape[2])
    if out is not None and wanted.masks != "bytes":
        raise ValueError(f"out= are masks of bool, but masks={masks!r} was asked for; leave out one of them")
    given = None if out is None else _inputs.outputs(out, p, len(alphas))
    return analysed(p, alphas, options, out=given, progress=progress, wanted=wanted)


def analysed(
    p: _inputs.Posterior,
    alphas: list[float],
    options: Options,
    *,
    out: Masks | None,
    progress: bool | Callable[[int, int], object] | None,
    kept: _core.Analyzer | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 (frozen)
) -> Analysis:
    """Analyse what has been checked, and tell of it."""
    with _teller(progress, p.shape[2]) as tell:
        fresh, rows, coords, prominences, heights, report, columns = run(
            p, alphas, options, check_axis_order=not p.known, out=out, progress=tell, kept=kept, wanted=wanted
        )
    told = Report(report)
    if options.backend == "gpu":
        _tell_of_software(told)
    if log.isEnabledFor(logging.DEBUG):
        log.debug(
            "%d time bins, %d peaks, %s, %.6f s",
            told["bins"],
            told["peaks"],
            told["engine"],
            told["seconds"]["total"],
        )
    masks: Masks = []
    if out is not None:
        masks = [mask.view(np.bool_) for mask in out]
    elif wanted.masks == "bytes":
        masks = [p.back(mask) for mask in fresh]
    return Analysis(
        alphas,
        masks,
        Peaks(rows, coords, prominences, heights, p.labels, p.shape[:2], track=p.track),
        told,
        shape=p.shape,
        axes=p.axes,
        connectivity=options.connectivity,
        prominence=options.prominence,
        labels=p.labels,
        packed=[PackedMask(bits, p.shape[2]) for bits in fresh] if wanted.masks == "packed" else None,
        sparse=[SparseMask(offsets, cells, p.shape) for offsets, cells in fresh] if wanted.masks == "sparse" else None,
        summary=None if columns is None else Summary(tuple(alphas), columns, p.labels, p.shape[:2]),
        track=p.track,
        region=options.region,
        nan_policy=options.nan_policy,
    )


_told_of_software = False


def _tell_of_software(report: Report) -> None:
    """Warn, once, that what serves as a GPU is none."""
    global _told_of_software
    adapter = report.get("gpu", {}).get("adapter", {})
    if adapter.get("kind") == "software" and not _told_of_software:
        _told_of_software = True
        warnings.warn(
            f'backend="gpu" runs on {adapter["name"]}, which is software on the processor: exact, but slower than '
            'backend="cpu"',
            UserWarning,
            stacklevel=_options.callers_level(),
        )


def estimate(
    shape: tuple[int, int, int],
    alpha: Alpha,
    dtype: Any = np.float64,
    *,
    threads: int | None = None,
    masks: Form | None = "bytes",
    summary: bool = False,
) -> dict[str, int]:
    """Bytes that `analyze` will allocate, before it does.

    Parameters
    ----------
    shape : tuple of int
        (n_x, n_y, n_t).
    alpha : float or sequence of float
        As for `analyze`.
    dtype : dtype
        Of P.
    threads : int, optional
        As for `analyze`.
    masks, summary
        As for `analyze`.

    Returns
    -------
    dict
        ``masks``; ``summary``; ``fixed``, which holds both, offsets and scratch; ``per_peak``; ``assumed_peaks``; ``total``.
        One cell of 32 is assumed to be a peak, or listed in a sparse mask, since the number is known only afterwards.

    Examples
    --------
    >>> import peakmask
    >>> plan = peakmask.estimate((41, 63, 100_000), alpha=[0.5, 0.9])
    >>> plan["masks"], plan["per_peak"]
    (516600000, 32)
    """
    try:
        n_x, n_y, n_t = (_options.whole("shape", n, 0, 2**63 - 1) for n in shape)
    except (TypeError, ValueError) as error:
        advice = f"; for an array P, it is P.shape: {np.shape(shape)}" if np.ndim(shape) > 1 else ""
        found = f"an array of shape {np.shape(shape)}" if np.ndim(shape) > 1 else repr(shape)
        raise type(error)(f"shape is three whole numbers, (n_x, n_y, n_t), not {found}{advice}") from None
    threads = 0 if threads is None else _options.whole("threads", threads, 1, _options.MOST_THREADS)
    size = _inputs.element_type(np.empty(0, dtype)).itemsize
    wanted = _options.wanted(masks, summary, None, None, n_t)
    return _core.estimate(
        (n_x, n_y, n_t), size, len(_options.alphas(alpha)), threads=threads, masks=wanted.masks, summary=wanted.summary
    )


def run(
    p: _inputs.Posterior,
    alphas: list[float],
    options: Options = Options(),  # noqa: B008 (frozen)
    *,
    check_axis_order: bool = False,
    out: list[NDArray[Any]] | None = None,
    progress: Callable[[int, int], object] | None = None,
    kept: _core.Analyzer | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 (frozen)
) -> tuple[
    list[Any], NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[Any], str, dict[str, NDArray[Any]] | None
]:
    """Analyse what has been checked; make a copy of what cannot be read where it lies, if there is room for it.

    With an analyzer that has been kept, for these alphas and options; else with a new one.
    """
    memory_limit = options.memory_limit
    if not (as_it_lies := _inputs.readable(p.array)):
        size = _inputs.element_type(p.array).itemsize
        plan = _core.estimate(
            p.shape, size, len(alphas), threads=options.threads, masks=wanted.masks, summary=wanted.summary
        )
        rest = plan["total"] - (0 if out is None else plan["masks"])
        memory_limit = _room_for_copy(p.array, rest, memory_limit, options.on_limit)
    array = (p.array if as_it_lies and p.array.size else _inputs.values(p.array)).transpose(p.axes)
    masks = None if out is None else [_inputs.as_bytes(mask, p) for mask in out]
    if kept is not None:
        return kept.run(
            array, memory_limit=memory_limit, check_axis_order=check_axis_order, out=masks, progress=progress,
            animal=wanted.animal,
        )  # fmt: skip
    return _core.analyze(
        array,
        [(kind_of(alpha), alpha) for alpha in alphas],
        region=options.region,
        nan_policy=options.nan_policy,
        connectivity=options.connectivity,
        prominence=options.prominence,
        backend=options.backend,
        threads=options.threads,
        memory_limit=memory_limit,
        on_limit=options.on_limit,
        check_axis_order=check_axis_order,
        out=masks,
        progress=progress,
        masks=wanted.masks,
        summary=wanted.summary,
        animal=wanted.animal,
    )


def _room_for_copy(array: NDArray[Any], rest: int, limit: int | None, on_limit: str) -> int | None:
    """Count a copy of the input against the limit before it is made; give the caller's limit without it."""
    copied = array.size * _inputs.element_type(array).itemsize
    return _room_beside(copied, rest, f"P, an array of {array.dtype}", limit, on_limit)


def _room_beside(copied: int, rest: int, what: str, limit: int | None, on_limit: str) -> int | None:
    """Count copies of what cannot be read where it lies."""
    allowed, source = (limit, "given by the caller") if limit is not None else _core.memory_limit()
    if copied + rest > allowed and on_limit != "ignore":
        sentence = (
            f"the analysis needs {copied + rest} bytes ({copied} of them to copy {what} that cannot "
            f"be read where it lies), but the memory limit is {allowed} bytes ({source}); analyse fewer time bins or fewer "
            "alphas at once, pass float64 or float32, or raise the limit"
        )
        if on_limit == "error":
            raise MemoryError(sentence)
        log.warning(sentence)
    return limit if limit is None else max(limit - copied, 0)


@contextmanager
def _teller(
    progress: bool | Callable[[int, int], object] | None, total: int
) -> Iterator[Callable[[int, int], object] | None]:
    """What is called with (done, total): the caller's function, a bar, or nothing."""
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        if not callable(progress):
            raise TypeError(f"progress is True, or a function of (done, total), not {progress!r}")
        yield progress
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            warnings.warn(
                'progress=True shows a bar with tqdm, which is not installed: pip install "peakmask[progress]"',
                UserWarning,
                stacklevel=_options.callers_level(),
            )
            yield None
            return
        with tqdm(total=total, unit=" bins", unit_scale=True) as bar:
            yield lambda done, _: bar.update(done - bar.n)
