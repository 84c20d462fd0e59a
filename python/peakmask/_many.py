"""`analyze_many`: several epochs at once, however short each is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _analyze, _core, _inputs, _options
from ._analysis import Analysis, Peaks, Report
from ._forms import PackedMask, SparseMask
from ._levels import kind_of
from ._options import Alpha, Backend, Connectivity, Form, NanPolicy, OnLimit, Options, Region, Wanted
from ._summary import OVERLAPS, Summary


class Epochs(Sequence[Analysis]):
    """The results of `analyze_many`: a sequence of `Analysis`, one for each epoch.

    The results of all epochs lie one after the other in the same arrays; those of one epoch are views into them, made when
    they are asked for. Keep one, and all stay in memory. (Packed masks have eight time bins a byte, and epochs begin
    anywhere in them: an epoch's are a copy.)

    Attributes
    ----------
    analysis : Analysis
        Masks and peaks of the time bins of all epochs, as if they were one recording.
    bounds : ndarray of int64, shape (n_epochs + 1,)
        The time bins of epoch i are ``bounds[i]`` to ``bounds[i + 1] - 1`` of those of ``analysis``.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> epochs = [np.arange(6.0 * n).reshape(2, 3, n) for n in (1, 2)]
    >>> results = peakmask.analyze_many(epochs, alpha=0.5)
    >>> len(results), results.bounds
    (2, array([0, 1, 3]))
    >>> results[1].masks[0].shape, results[1].peaks[0].heights
    ((2, 3, 2), array([10.]))
    """

    def __init__(self, analysis: Analysis, bounds: NDArray[np.int64]) -> None:
        self.analysis = analysis
        self.bounds = bounds

    def __len__(self) -> int:
        """Count epochs."""
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, index: int) -> Analysis: ...
    @overload
    def __getitem__(self, index: slice) -> list[Analysis]: ...
    def __getitem__(self, index: int | slice) -> Analysis | list[Analysis]:
        """Give the results of one epoch, or of several; views, no copies."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        try:
            epoch = range(len(self))[index]
        except TypeError:
            raise TypeError(f"epochs are indexed by a number or a slice, not by {index!r}") from None
        except IndexError:
            raise IndexError(f"there are {len(self)} epochs, so there is no epoch {index}") from None
        return self._part(int(self.bounds[epoch]), int(self.bounds[epoch + 1]))

    def __iter__(self) -> Iterator[Analysis]:
        """Results epoch by epoch."""
        for start, stop in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist()):
            yield self._part(start, stop)

    def _part(self, start: int, stop: int) -> Analysis:
        whole = self.analysis
        n_x, n_y, _ = whole.shape
        # Time is the last axis but for (t, x, y), or (t, x).
        first = whole._axes[2] == 0
        masks = [mask[start:stop] if first else mask[..., start:stop] for mask in whole.masks]
        peaks = whole.peaks[start:stop]
        peaks.first_bin = 0
        packed, sparse = whole.packed, whole.sparse
        return Analysis(
            whole.alpha, masks, peaks, whole.report, shape=(n_x, n_y, stop - start), axes=whole._axes,
            connectivity=whole.connectivity, labels=peaks._labels, track=whole._track, region=whole.region,
            nan_policy=whole.nan_policy,
            packed=None if packed is None else [mask.part(start, stop) for mask in packed],
            sparse=None if sparse is None else [mask.part(start, stop) for mask in sparse],
            summary=None if whole.summary is None else whole.summary.part(start, stop),
        )  # fmt: skip

    def __repr__(self) -> str:
        """Say how many."""
        return f"<results of {len(self):,} epochs, {self.analysis.shape[2]:,} time bins>"


def analyze_many(
    epochs: Iterable[ArrayLike] | ArrayLike,
    alpha: Alpha,
    *,
    offsets: ArrayLike | None = None,
    connectivity: Connectivity = 4,
    backend: Backend = "auto",
    layout: _inputs.Layout | None = None,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    region: Region = "dominant",
    nan_policy: NanPolicy = "silence",
    threads: int | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    masks: Form | None = "bytes",
    summary: bool = False,
    animal: ArrayLike | Sequence[ArrayLike] | None = None,
    radius: float = 1.0,
) -> Epochs:
    """Do what `analyze` does for several epochs at once: thousands of short ones take about as long as one long recording.

    Epochs are read where they lie, and are not put together first.

    Parameters
    ----------
    epochs : iterable of array_like, or array_like with ``offsets``
        One posterior for each epoch, of any number of time bins, one included: (n_x, n_y, n_t), or as ``layout`` says. All
        have maps of one shape, and values that are analysed as one type. With ``offsets``, one array that holds all
        epochs one after the other along time.
    alpha : float or iterable of float
        As for `analyze`.
    offsets : array_like of int, shape (n_epochs + 1,), optional
        Where epochs begin in an array that holds all of them: epoch i has the time bins ``offsets[i]`` to
        ``offsets[i + 1] - 1``. From 0 to n_t, and never falling.
    connectivity, backend, layout, memory_limit, on_limit, region, nan_policy, threads, progress, masks, summary, radius
        As for `analyze`; the layout is that of every epoch. In a summary no epoch overlaps the next.
    animal : sequence of array_like, or array_like with ``offsets``, optional
        As for `analyze`, one array for each epoch, or of all time bins.

    Returns
    -------
    Epochs
        A sequence with an `Analysis` for each epoch, views into the results of all.

    Raises
    ------
    ValueError
        As from `analyze`, and when an epoch has maps of another shape than the first, or offsets do not fit.
    TypeError
        As from `analyze`, and when epochs are analysed as different types.
    MemoryError, KeyboardInterrupt
        As from `analyze`.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.random.default_rng(0).random((4, 5, 10))
    >>> ragged = peakmask.analyze_many(P, [0.5], offsets=[0, 3, 3, 10])
    >>> [len(epoch.peaks) for epoch in ragged]
    [3, 0, 7]
    >>> apart = peakmask.analyze_many([P[:, :, :3], P[:, :, 3:]], [0.5])
    >>> bool((apart[1].masks[0] == ragged[2].masks[0]).all())
    True
    """
    alphas = _options.alphas(alpha)
    options = _options.options(
        connectivity, backend, threads, memory_limit, on_limit, region=region, nan_policy=nan_policy
    )
    if offsets is not None:
        p = _inputs.posterior(epochs, layout)  # type: ignore[arg-type]
        bounds = _bounds(offsets, p.shape[2])
        wanted = _options.wanted(masks, summary, animal, radius, p.shape[2])
        analysis = _analyze.analysed(p, alphas, options, out=None, progress=progress, wanted=wanted)
        if analysis.summary is not None:
            _part(analysis.summary, bounds)
        return Epochs(analysis, bounds)
    first, arrays = _arrays(epochs, layout)
    lengths = np.array([array.shape[2] for array in arrays], np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    wanted = _options.wanted(masks, summary, _positions(animal, lengths), radius, int(bounds[-1]))
    with _analyze._teller(progress, int(bounds[-1])) as tell:
        found, columns, report, numbers = run(
            arrays, alphas, options, check_axis_order=not first.known, progress=tell, wanted=wanted
        )
    shape = (*first.shape[:2], int(bounds[-1]))
    labels = _inputs.Labels(first.labels.names, first.labels.x, first.labels.y, None, first.labels.attrs)
    analysis = Analysis(
        alphas, [first.back(mask) for mask in found] if wanted.masks == "bytes" else [],
        Peaks(*columns, labels, shape[:2], track=first.track), Report(report),
        shape=shape, axes=first.axes, connectivity=options.connectivity, labels=labels, track=first.track,
        region=options.region, nan_policy=options.nan_policy,
        packed=[PackedMask(bits, shape[2]) for bits in found] if wanted.masks == "packed" else None,
        sparse=[SparseMask(starts, cells, shape) for starts, cells in found] if wanted.masks == "sparse" else None,
        summary=None if numbers is None else Summary(tuple(alphas), numbers, labels, shape[:2]),
    )  # fmt: skip
    return Epochs(analysis, bounds)


def _part(summary: Summary, bounds: NDArray[np.int64]) -> None:
    """Say of epochs that were analysed as one recording that none follows another."""
    last = bounds[1:][np.diff(bounds) > 0] - 1
    for name in OVERLAPS:
        getattr(summary, name)[:, last] = -1


def _positions(animal: Any, lengths: NDArray[np.int64]) -> NDArray[Any] | None:
    """Put the animal's positions in all epochs one after the other."""
    if animal is None:
        return None
    if len(animal) != len(lengths):
        raise ValueError(
            f"animal has {len(animal)} entries, but there are {len(lengths)} epochs; give an array of shape (n_t, 2) for "
            "each"
        )
    parts = [np.asarray(part, np.float64) for part in animal]
    for i, (part, n_t) in enumerate(zip(parts, lengths.tolist())):
        if part.shape != (n_t, 2):
            raise ValueError(
                f"epoch {i}: animal has shape {part.shape}, but is x and y, in cells, for each of {n_t} time bins: "
                f"({n_t}, 2)"
            )
    return np.concatenate([np.empty((0, 2)), *parts])


def _arrays(epochs: Any, layout: str | None) -> tuple[_inputs.Posterior, list[NDArray[Any]]]:
    """See the first epoch as it was passed, and all of them as arrays of axes x, y, t."""
    if isinstance(epochs, np.ndarray) and epochs.dtype != object:
        raise ValueError(
            f"epochs is a sequence of arrays, but one array of shape {epochs.shape} was passed; pass offsets= to say where "
            "epochs begin in it, or a list of one"
        )
    try:
        epochs = list(epochs)
    except TypeError:
        raise TypeError(f"epochs is a sequence of arrays, not a {type(epochs).__name__}") from None
    if not epochs:
        return _inputs.posterior(np.empty((1, 1, 0)), "xyt"), []
    arrays: list[NDArray[Any]] = []
    first = None
    for i, epoch in enumerate(epochs):
        if first is not None and _alike(epoch, epochs[0]):
            arrays.append(epoch if first.axes == (0, 1, 2) else epoch.transpose(first.axes))
            continue
        try:
            p = _inputs.posterior(epoch, layout)
            first = first or p
            _same_maps(first, p)
        except (TypeError, ValueError) as error:
            raise type(error)(f"epoch {i}: {error}") from None
        arrays.append(p.array.transpose(p.axes))
    assert first is not None
    return first, arrays


def _alike(array: Any, first: Any) -> bool:
    """Whether all that is looked at in an epoch is as in the first; shapes are compared by the library, in less time."""
    return (
        type(array) is np.ndarray and type(first) is np.ndarray
        and array.dtype is first.dtype and array.ndim == 3 == first.ndim
    )  # fmt: skip


def _same_maps(first: _inputs.Posterior, p: _inputs.Posterior) -> None:
    if p.shape[:2] != first.shape[:2]:
        raise ValueError(f"has maps of shape {p.shape[:2]}, but those before have maps of shape {first.shape[:2]}")
    if p.axes != first.axes or p.track != first.track:
        raise ValueError("has another order of axes than those before")
    a, b = p.array.dtype, first.array.dtype
    if a != b and _inputs.element_type(p.array) != _inputs.element_type(first.array):
        raise TypeError(
            f"is an array of {a}, and is not analysed as one of {b}, the type of the first; convert one of them"
        )


def _bounds(offsets: ArrayLike, n_t: int) -> NDArray[np.int64]:
    found = np.asarray(offsets)
    if found.ndim != 1 or found.dtype.kind not in "iu" or not len(found):
        raise ValueError(f"offsets are whole numbers, one more than there are epochs, not {offsets!r}")
    bounds = found.astype(np.int64)
    if bounds[0] != 0 or bounds[-1] != n_t or (np.diff(bounds) < 0).any():
        raise ValueError(
            f"offsets go from 0 to the number of time bins, {n_t}, and never fall, but these go from {bounds[0]} to "
            f"{bounds[-1]}" + (", and fall" if (np.diff(bounds) < 0).any() else "")
        )
    return bounds


def run(
    arrays: list[NDArray[Any]],
    alphas: list[float],
    options: Options = Options(),  # noqa: B008 (frozen)
    *,
    check_axis_order: bool = False,
    progress: Callable[[int, int], object] | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008 (frozen)
) -> tuple[
    list[Any],
    tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[Any]],
    str,
    dict[str, NDArray[Any]] | None,
]:
    """Analyse arrays of axes x, y, t and one element type as one recording.

    What cannot be read where it lies is copied, if there is room for it.
    """
    limit = options.memory_limit
    plain = arrays
    dtype = _inputs.element_type(arrays[0]) if arrays else None
    # One look at each: there may be very many.
    odd = [i for i, array in enumerate(arrays) if not (array.flags.carray and array.dtype is dtype)]
    if odd:
        apart = [i for i in odd if not _inputs.readable(arrays[i])]
        if apart:
            copied = sum(arrays[i].size * _inputs.element_type(arrays[i]).itemsize for i in apart)
            shape = (*arrays[0].shape[:2], sum(array.shape[2] for array in arrays))
            size = _inputs.element_type(arrays[0]).itemsize
            plan = _core.estimate(
                shape, size, len(alphas), threads=options.threads, masks=wanted.masks, summary=wanted.summary
            )
            limit = _analyze._room_beside(copied, plan["total"], f"{len(arrays)} epochs", limit, options.on_limit)
        plain = list(arrays)
        copies = {*apart, *(i for i in odd if not arrays[i].size)}
        for i in copies:
            plain[i] = _inputs.values(arrays[i])
    masks, offsets, coords, prominences, heights, report, summary = _core.analyze_many(
        plain, [(kind_of(alpha), alpha) for alpha in alphas], region=options.region, nan_policy=options.nan_policy,
        connectivity=options.connectivity, backend=options.backend, threads=options.threads,
        memory_limit=limit, on_limit=options.on_limit, check_axis_order=check_axis_order, progress=progress,
        masks=wanted.masks, summary=wanted.summary, animal=wanted.animal,
    )  # fmt: skip
    return masks, (offsets, coords, prominences, heights), report, summary
