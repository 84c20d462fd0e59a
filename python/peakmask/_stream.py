"""`stream`: posteriors and results that are larger than memory, piece by piece."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _analyze, _inputs, _options, _resume
from ._analysis import Analysis, Peaks
from ._analyzer import Analyzer
from ._files import OF_SUMMARY, about_summary, load_summary, texts
from ._levels import kinds_of
from ._options import Alpha, Backend, Connectivity, NanPolicy, OnLimit, Region
from ._summary import OVERLAPS, Summary, bins_of, columns_of

BYTE = 8
"""Pieces are multiples of as many time bins as a byte of packed masks has."""

KEPT_MAPPED = 512 << 20
"""Bytes of input after which mapped pages are given back: pages at the seams of pieces would be mapped again for each."""

COLUMNS = ("peak_offsets", "peak_coords", "prominences", "peak_heights")


HEADER = 128
"""Bytes of the header of a .npy file that grows."""

SUMMARY = "summary"
"""The folder or group in which a summary's columns are."""


_Identity = tuple[dict[str, Any], dict[str, Any]]
"""What stands for the input and the options of a stream that may be continued."""


class _MasksAndPeaks(NamedTuple):
    masks: Any
    """bool, (n_alpha, n_x, n_y, n_t), or uint8, (n_alpha, n_x, n_y, ceil(n_t / 8)), as ``numpy.packbits(axis=-1,
    bitorder="little")`` has it; of a linear track without y. None without alphas, and with ``masks=None``."""
    peaks: Peaks
    """Of all time bins."""


class Stream(_MasksAndPeaks):
    """What `stream` has written, masks and peaks: arrays that are read from their files when they are looked at."""

    summary: Summary | None = None
    """Of all time bins, with ``summary=True``; beside the two that the tuple has."""


def stream(
    P: Any,
    alpha: Alpha,
    out: str | os.PathLike[str] | Any | None = None,
    *,
    callback: Callable[[int, Analysis], object] | None = None,
    masks: Literal["bytes", "packed"] | None = "bytes",
    bins: int = 4096,
    connectivity: Connectivity = 4,
    backend: Backend = "auto",
    layout: _inputs.Layout | None = None,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    region: Region = "dominant",
    nan_policy: NanPolicy = "silence",
    threads: int | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    summary: bool = False,
    animal: ArrayLike | None = None,
    radius: float = 1.0,
    resume: bool = False,
) -> Stream | None:
    """Do what `analyze` does piece by piece: for posteriors and results that are larger than memory.

    Parameters
    ----------
    P : path, array_like, or iterable of array_like
        The path of a .npy file, which is mapped into memory; anything with a shape that can be sliced, such as a
        ``numpy.memmap``, a ``zarr.Array`` or an ``h5py.Dataset``; or the pieces themselves, one posterior after the other,
        of any numbers of time bins.
    alpha : float or iterable of float
        As for `analyze`.
    out : path or zarr.Group, optional
        A folder to write, which is there when it is complete: ``masks.npy`` or ``packed.npy``, ``alpha.npy``,
        ``peak_offsets.npy``, ``peak_coords.npy``, ``prominences.npy``, ``peak_heights.npy``, as ``run --stream`` of the
        program writes them; and ``summary``, a folder with a file for each column of a `Summary`. Or a group in which arrays
        of these names are made; it is filled as pieces come.
    callback : callable, optional
        Called with (number of the first time bin, `Analysis`) for each piece, in order. What it raises ends the stream.
    masks : {"bytes", "packed", None}
        A byte for each cell and time bin, or a bit, for ``out``; a callback has booleans. Or none.
    bins : int
        Time bins of a piece, rounded up to a multiple of eight. Pieces that are passed are taken as they are.
    connectivity, backend, layout, memory_limit, on_limit, region, nan_policy, threads, progress
        As for `analyze`; the limit is one for each piece. Of an iterable the number of bins is not known: progress says 0.
    summary, animal, radius
        As for `analyze`. What ``out`` holds is the summary of the whole, overlaps between pieces and all; a callback has
        that of a piece alone, whose last bin has no next one.
    resume : bool
        From a .npy file to a folder: whether a stream that is interrupted or killed is kept beside the folder, as the hidden
        folder ``.peakmask-NAME.partial-python``, and the next call goes on after its last complete piece; without one it
        begins anew. The file and all that results depend on have to be the same, and the bytes are those of a stream that
        was not interrupted. A callback hears of the pieces that are left.

    Returns
    -------
    Stream or None
        What ``out`` holds; None without.

    Raises
    ------
    FileExistsError
        When the folder is there already and is not empty; without ``resume=True``, when an unfinished stream is beside it.
    ValueError, TypeError, MemoryError, KeyboardInterrupt
        As from `analyze`; when neither ``out`` nor ``callback`` is given; when pieces have different maps; when the stream
        to be continued was one of another file or of other options. A folder that was begun is removed, unless
        ``resume=True``.

    Examples
    --------
    >>> import numpy as np, peakmask, tempfile, os
    >>> folder = tempfile.mkdtemp()
    >>> P = np.random.default_rng(0).random((4, 5, 100))
    >>> np.save(os.path.join(folder, "P.npy"), P)
    >>> found = peakmask.stream(os.path.join(folder, "P.npy"), 0.5, os.path.join(folder, "result"), bins=16)
    >>> bool((found.masks[0] == peakmask.analyze(P, 0.5).masks[0]).all()), len(found.peaks)
    (True, 100)
    >>> areas = []
    >>> peakmask.stream(iter([P[:, :, :30], P[:, :, 30:]]), 0.5, callback=lambda first, piece: areas.append(piece.areas))
    >>> np.concatenate(areas, axis=1).shape
    (1, 100)
    """
    if out is None and callback is None:
        raise ValueError("a stream needs somewhere to go: pass out=, the name of a folder, or callback=")
    alphas = _options.alphas(alpha)
    _options.options(connectivity, backend, threads, memory_limit, on_limit, region=region, nan_policy=nan_policy)
    form = None if masks is None else _options.one_of("masks", masks, ("bytes", "packed"))
    _options.wanted(None, summary, None, radius, 0)
    size = -(-_options.whole("bins", bins, 1, 2**40) // BYTE) * BYTE
    where = _Positions(animal, summary)
    identity = None
    if resume:
        if not isinstance(P, (str, os.PathLike)) or not isinstance(out, (str, os.PathLike)):
            raise ValueError(
                "resume=True goes on from a file to a folder: P is the path of a .npy file, and out the name of a folder"
            )
        options = _resume.of_options(
            alphas, where.positions, radius=float(radius).hex(), connectivity=connectivity, layout=layout, masks=form,
            summary=summary, region=region, nan_policy=nan_policy,
        )  # fmt: skip
        identity = (_resume.of_input(P), options)
    P = _opened(P)
    n_t, pieces = _pieces(P, size, layout)
    if n_t is not None:
        where.check(n_t)
    sink = None if out is None else _sink(out, form, summary, identity)
    seam = _Seam() if summary and sink is not None else None
    analyzer: Analyzer | None = None
    first = 0 if sink is None else sink.done.bins
    try:
        if first:
            pieces = _pieces(P, size, layout, first)[1]
            if seam is not None:
                seam.behind(_inputs.posterior(next(_pieces(P, 1, layout, first - 1)[1]), layout))
        with _analyze._teller(progress, n_t or 0) as tell:
            for piece in pieces:
                p = _inputs.posterior(piece, layout)
                if analyzer is None:
                    analyzer = Analyzer(
                        p.shape[:2], _inputs.element_type(p.array), alpha=alphas, connectivity=connectivity,
                        backend=backend, threads=threads, memory_limit=memory_limit, on_limit=on_limit, region=region,
                        nan_policy=nan_policy, summary=summary,
                        # What a callback has are booleans.
                        masks="bytes" if form and callback else form,
                    )  # fmt: skip
                    if sink is not None:
                        sink.begin(p, alphas, n_t)
                elif p.shape[:2] != analyzer.shape:
                    raise ValueError(
                        f"the piece at time bin {first} has maps of shape {p.shape[:2]}, those before of {analyzer.shape}"
                    )
                # Of a piece alone the length of its axes says nothing about their order.
                known = layout or ("xyt" if first or p.shape[0] > 1024 else None)
                heard = None if tell is None else _from(tell, first, n_t or 0)
                place = where.of(first, p.shape[2])
                analysis = analyzer.run(piece, layout=known, progress=heard, animal=place, radius=radius)
                overlaps = None if seam is None else seam.to(analyzer, p)
                if callback is not None:
                    callback(first, analysis)
                if sink is not None:
                    sink.add(first, analysis, p, overlaps)
                first += p.shape[2]
        where.check(first)
        if sink is None:
            return None
        if analyzer is None:
            raise ValueError("there are no pieces, so that the shape of maps is not known")
        return sink.end(first)
    except BaseException:
        if sink is not None:
            sink.give_up()
        raise


class _Positions:
    """Where the animal was, piece by piece."""

    def __init__(self, animal: ArrayLike | None, summary: bool) -> None:
        self.positions = None if animal is None else np.asarray(animal, np.float64)
        if self.positions is None:
            return
        if not summary:
            raise ValueError("animal= is for a summary; pass summary=True")
        if self.positions.ndim != 2 or self.positions.shape[1] != 2:
            raise ValueError(
                f"animal has shape {self.positions.shape}, but is x and y, in cells, for each time bin: (n_t, 2)"
            )

    def of(self, first: int, n: int) -> NDArray[np.float64] | None:
        if self.positions is None:
            return None
        if first + n > len(self.positions):
            self.check(first + n, "at least ")
        return self.positions[first : first + n]

    def check(self, n_t: int, at_least: str = "") -> None:
        if self.positions is not None and len(self.positions) != n_t:
            raise ValueError(
                f"animal has positions for {len(self.positions)} time bins, but there are {at_least}{n_t}; give one for each"
            )


class _Seam:
    """What the masks of the last bin of a piece and those of the first of the next have in common.

    The two bins are analysed together once more: no mask is kept for it.
    """

    def __init__(self) -> None:
        self.last: NDArray[Any] | None = None

    def to(self, analyzer: Analyzer, p: _inputs.Posterior) -> dict[str, NDArray[Any]] | None:
        """Overlaps of the last bin before this piece with its first one, if there is one."""
        if not p.shape[2]:
            return None
        overlaps = None
        if self.last is not None:
            pair = np.concatenate([self.last, p.array.transpose(p.axes)[:, :, :1]], axis=2)
            found = analyzer.run(pair, layout="xyt").summary
            assert found is not None
            overlaps = {name: getattr(found, name)[:, 0] for name in OVERLAPS}
        self.behind(p)
        return overlaps

    def behind(self, p: _inputs.Posterior) -> None:
        """Keep the last bin, which the next piece follows."""
        self.last = p.array.transpose(p.axes)[:, :, -1:].copy()


def _from(tell: Callable[[int, int], object], first: int, total: int) -> Callable[[int, int], object]:
    return lambda done, _: tell(first + done, total)


def _opened(P: Any) -> Any:
    """A file that is given by its path, mapped into memory."""
    if isinstance(P, (str, os.PathLike)):
        P = np.load(P, mmap_mode="r")
        if not isinstance(P, np.ndarray):
            raise TypeError("P is the path of a .npy file; of an .npz file pass one array: numpy.load(path)[name]")
    return P


def _pieces(P: Any, size: int, layout: str | None, first: int = 0) -> tuple[int | None, Iterator[Any]]:
    """Number of time bins, if it is known, and the pieces from a time bin on."""
    shape = getattr(P, "shape", None)
    if isinstance(P, (list, tuple)) or shape is None:
        return None, iter(P)
    axes = _inputs.axes_of(layout)
    if layout in _inputs.TRACKS:
        time = 1 if layout == "xt" else 0
        if len(shape) != 2:
            raise ValueError(
                f'layout="{layout}" is that of a linear track, an array with two axes, but P has shape {shape}'
            )
    else:
        if type(P).__module__.partition(".")[0] in ("xarray", "pynapple"):
            raise TypeError(f"a stream reads arrays without labels; pass P.values, not a {type(P).__name__}")
        _inputs.three_axes(tuple(shape))
        time = axes[2]
    n_t = int(shape[time])
    if layout is None and isinstance(P, np.ndarray) and P.size:
        # A look at the whole, from which order of axes is told best.
        _look(P)
    at = (slice(None),) * time
    # Where nothing is left there is one piece, of no bins, which says of which shape maps are.
    starts = range(first, n_t, size) if first < n_t else range(n_t, n_t + 1)
    return n_t, (P[at + (slice(start, min(start + size, n_t)),)] for start in starts)


def _look(P: NDArray[Any]) -> None:
    """Refuse an array that looks like (t, x, y), by the first of its time bins, and no more of them."""
    if P.shape[0] > 1024 and P.shape[0] > P.shape[2]:
        raise ValueError(
            f"the array of shape {P.shape} looks like (t, x, y), not (x, y, t): its first axis has {P.shape[0]} bins; pass "
            'layout="txy", or, if it is (x, y, t), layout="xyt"'
        )


def _sink(out: Any, form: str | None, summary: bool, identity: _Identity | None) -> _Folder | _Group:
    if isinstance(out, (str, os.PathLike)):
        return _Folder(Path(out), form, summary, identity)
    if type(out).__module__.partition(".")[0] == "zarr":
        return _Group(out, form, summary)
    raise TypeError(f"out is the path of a folder or a zarr.Group, not a {type(out).__name__}")


def _rows(analysis: Analysis, p: _inputs.Posterior, packed: bool) -> list[NDArray[Any]]:
    """Masks of a piece with axes x, y, t (x, t of a track), as booleans or bits."""
    if analysis.packed is not None:
        return [mask.bits[:, 0] if p.track else mask.bits for mask in analysis.packed]
    rows = [mask.transpose(analysis._axes) for mask in analysis._maps]
    if p.track:
        rows = [mask[:, 0] for mask in rows]
    return [np.packbits(mask, axis=-1, bitorder="little") for mask in rows] if packed else rows


class _Sink:
    """What folders and groups have in common: arrays of masks of a known or growing length, and columns of peaks."""

    done = _resume.Progress()
    """What is there of a stream that is continued."""

    def __init__(self, form: str | None, summary: bool) -> None:
        self.form = form
        self.packed = form == "packed"
        self.summary = summary
        self.peaks = 0
        self.track = False
        self.shape: tuple[int, int] = (0, 0)

    def begin(self, p: _inputs.Posterior, alphas: Sequence[float], n_t: int | None) -> None:
        self.track, self.shape, self.alphas = p.track, p.shape[:2], alphas
        self.dtype = _inputs.element_type(p.array)
        self.masked = bool(alphas) and self.form is not None

    def mask_shape(self, n_t: int) -> tuple[int, ...]:
        maps = self.shape[:1] if self.track else self.shape
        return (len(self.alphas), *maps, -(-n_t // BYTE) if self.packed else n_t)

    def columns(self, analysis: Analysis) -> tuple[NDArray[Any], ...]:
        peaks = analysis.peaks
        offsets = peaks.offsets[1:] + self.peaks
        self.peaks += peaks.n_peaks
        return offsets, peaks.coords, peaks.prominences, peaks.heights

    def span(self, first: int, n: int) -> slice:
        if not self.packed:
            return slice(first, first + n)
        if first % BYTE:
            raise ValueError(
                f"packed masks have {BYTE} time bins a byte, but a piece begins at time bin {first}; pass pieces of "
                f"multiples of {BYTE} bins, all but the last"
            )
        return slice(first // BYTE, -(-(first + n) // BYTE))


class _Folder(_Sink):
    """A folder of .npy files, made beside its place."""

    def __init__(self, path: Path, form: str | None, summary: bool, identity: _Identity | None) -> None:
        super().__init__(form, summary)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FileExistsError(f"{path} is there already; remove it, or give another name")
        self.path = path
        self.unfinished: _resume.Unfinished | None = None
        kept = path.parent / f".peakmask-{path.name}.partial-python"
        if identity is not None:
            self.work = kept
            self.unfinished = _resume.Unfinished(kept, *identity)
            self.done = self.unfinished.progress
            self.peaks = self.done.peaks
        elif kept.exists():
            raise FileExistsError(f"an unfinished stream is in {kept}; go on with resume=True, or remove that folder")
        else:
            self.work = path.parent / f".peakmask-{path.name}.partial-{os.getpid()}"
            self.work.mkdir()
        self.files: list[Any] = []
        self.mask: Any = None
        self.rows: dict[str, Any] = {}
        self.read = 0

    def begin(self, p: _inputs.Posterior, alphas: Sequence[float], n_t: int | None) -> None:
        super().begin(p, alphas, n_t)
        mode = "r+" if self.done.bins else "w+"
        self.files = [open(self.work / f"{name}.npy", f"{mode}b") for name in COLUMNS]  # noqa: SIM115 (closed at the end)
        if self.done.bins:
            # What came after the last complete piece is written anew.
            rows = (self.done.bins + 1, self.peaks * (1 if self.track else 2), self.peaks, self.peaks)
            for file, dtype, n in zip(self.files, self._dtypes(), rows):
                file.truncate(HEADER + n * dtype.itemsize)
                file.seek(0, os.SEEK_END)
        else:
            for file, dtype in zip(self.files, self._dtypes()):
                file.write(_header(dtype, (0,)))
            self.files[0].write(np.zeros(1, np.int64).tobytes())
        np.save(self.work / "alpha.npy", np.array(alphas, np.float64))
        kinds = kinds_of(alphas)
        if kinds is not None:
            np.save(self.work / "level_kind.npy", kinds)
        if n_t is None and (self.masked or self.summary):
            raise ValueError(
                f"a folder of {'masks' if self.masked else 'summaries'} needs to know how many time bins there are, and an "
                "iterable does not say; pass an array, a path, or out= a zarr.Group, which grows"
            )
        if self.summary:
            assert n_t is not None
            self._begin_summary(n_t, mode)
        if self.masked:
            assert n_t is not None
            self.name = "packed.npy" if self.packed else "masks.npy"
            dtype = np.dtype(np.uint8 if self.packed else np.bool_)
            self.mask = np.lib.format.open_memmap(self.work / self.name, mode, dtype, self.mask_shape(n_t))

    def _begin_summary(self, n_t: int, mode: Any) -> None:
        folder = self.work / SUMMARY
        folder.mkdir(exist_ok=True)
        for name, array in about_summary(tuple(self.alphas), self.shape).items():
            np.save(folder / f"{name}.npy", array)
        for name, (shape, dtype) in columns_of(len(self.alphas), n_t, self.dtype).items():
            self.rows[name] = np.lib.format.open_memmap(folder / f"{name}.npy", mode, dtype, shape)

    def _dtypes(self) -> tuple[np.dtype[Any], ...]:
        return np.dtype(np.int64), np.dtype(np.int64), self.dtype, self.dtype

    def add(
        self, first: int, analysis: Analysis, p: _inputs.Posterior, overlaps: dict[str, NDArray[Any]] | None
    ) -> None:
        for column, file in zip(self.columns(analysis), self.files):
            file.write(np.ascontiguousarray(column).tobytes())
        if self.mask is not None and p.shape[2]:
            span = self.span(first, p.shape[2])
            for alpha, rows in enumerate(_rows(analysis, p, self.packed)):
                self.mask[alpha, ..., span] = rows
        if analysis.summary is not None and self.rows:
            for name, column in analysis.summary.columns().items():
                self.rows[name][bins_of(name, first, first + p.shape[2])] = column
            for name, column in (overlaps or {}).items():
                self.rows[name][:, first - 1] = column
        self.read += p.array.nbytes
        if self.read >= KEPT_MAPPED:
            self.read = 0
            for mapped in (self.mask, *self.rows.values()):
                _give_back(mapped)
        if self.unfinished is not None:
            for file in self.files:
                file.flush()
            self.unfinished.note(_resume.Progress(first + p.shape[2], self.peaks))

    def end(self, n_t: int) -> Stream:
        coords = (self.peaks, 1 if self.track else 2)
        shapes = ((n_t + 1,), coords, (self.peaks,), (self.peaks,))
        for file, dtype, shape in zip(self.files, self._dtypes(), shapes):
            file.seek(0)
            file.write(_header(dtype, shape))
            file.flush()
            os.fsync(file.fileno())
            file.close()
        if self.mask is not None:
            self.mask.flush()
            self.mask = None
        for rows in self.rows.values():
            rows.flush()
        self.rows = {}
        if self.unfinished is None:
            self.work.replace(self.path)
        else:
            self.unfinished.name(self.path)
        masks = np.load(self.path / self.name, mmap_mode="r") if self.masked else None
        offsets, coords_, prominences, heights = (_mapped(self.path / f"{name}.npy") for name in COLUMNS)
        if self.track:
            coords_ = np.concatenate([coords_, np.zeros_like(coords_)], axis=1)
        found = Stream(masks, Peaks(offsets, coords_, prominences, heights, shape=self.shape, track=self.track))
        found.summary = load_summary(self.path / SUMMARY) if self.summary else None
        return found

    def give_up(self) -> None:
        for file in self.files:
            file.close()
        self.mask = None
        self.rows = {}
        if self.unfinished is not None:
            self.unfinished.close()
            if self.unfinished.progress.bins:
                return
        shutil.rmtree(self.work, ignore_errors=True)


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r")
    return array


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The header of a .npy file, of 128 bytes whatever the shape, so that it can be written anew."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.ljust(117) + b"\n"


def _give_back(array: Any) -> None:
    """Let the operating system have the pages of a mapped file: what they hold is the file's."""
    mapped: Any = getattr(array, "_mmap", None)
    if hasattr(mapped, "madvise") and sys.platform == "linux":
        import mmap

        mapped.madvise(mmap.MADV_DONTNEED)


class _Group(_Sink):
    """Arrays of a zarr group, which grow along time where its length is not known before."""

    def __init__(self, group: Any, form: str | None, summary: bool) -> None:
        super().__init__(form, summary)
        self.group = group
        self.rows: dict[str, Any] = {}

    def begin(self, p: _inputs.Posterior, alphas: Sequence[float], n_t: int | None) -> None:
        super().begin(p, alphas, n_t)
        self.mask = None
        if self.summary:
            part = self.group.create_group(SUMMARY)
            about = about_summary(tuple(alphas), self.shape)
            part.attrs.update(texts(about))
            for name in about.keys() - texts(about).keys():
                array = about[name]
                self._make(name, array.shape, tuple(max(n, 1) for n in array.shape), array.dtype, part)[...] = array
            for name, (shape, column_type) in columns_of(len(alphas), 0, self.dtype).items():
                chunks = tuple(4096 if n == 0 else max(n, 1) for n in shape)
                self.rows[name] = self._make(name, shape, chunks, column_type, part)
        if self.masked:
            shape = self.mask_shape(0)
            chunk = (1, *shape[1:-1], 4096 // (BYTE if self.packed else 1))
            name, dtype = ("packed", "u1") if self.packed else ("masks", "bool")
            self.mask = self._make(name, shape, chunk, dtype)
        rows = 1 << 16
        self._make("alpha", (len(alphas),), (max(1, len(alphas)),), "f8")[...] = np.array(alphas, np.float64)
        kinds = kinds_of(alphas)
        if kinds is not None:
            self._make("level_kind", kinds.shape, kinds.shape, kinds.dtype.str)[...] = kinds
        width = 1 if self.track else 2
        self.offsets = self._make("peak_offsets", (1,), (rows,), "i8")
        self.coords = self._make("peak_coords", (0, width), (rows, width), "i8")
        self.prominences = self._make("prominences", (0,), (rows,), self.dtype)
        self.heights = self._make("peak_heights", (0,), (rows,), self.dtype)
        self.offsets[0] = 0

    def _make(
        self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any, group: Any | None = None
    ) -> Any:
        group = self.group if group is None else group
        make = getattr(group, "create_array", None) or group.create_dataset
        return make(name, shape=shape, chunks=chunks, dtype=np.dtype(dtype))

    def add(
        self, first: int, analysis: Analysis, p: _inputs.Posterior, overlaps: dict[str, NDArray[Any]] | None
    ) -> None:
        for array, rows in zip((self.offsets, self.coords, self.prominences, self.heights), self.columns(analysis)):
            at = array.shape[0]
            array.resize((at + len(rows), *array.shape[1:]))
            array[at:] = rows
        if self.mask is not None and p.shape[2]:
            span = self.span(first, p.shape[2])
            self.mask.resize((*self.mask.shape[:-1], span.stop))
            for alpha, rows in enumerate(_rows(analysis, p, self.packed)):
                self.mask[alpha, ..., span] = rows
        if analysis.summary is not None and self.rows:
            end = first + p.shape[2]
            for name, column in analysis.summary.columns().items():
                array = self.rows[name]
                array.resize(columns_of(len(self.alphas), end, self.dtype)[name][0])
                array[bins_of(name, first, end)] = column
            for name, column in (overlaps or {}).items():
                self.rows[name][:, first - 1] = column

    def end(self, n_t: int) -> Stream:
        coords = self.coords[:]
        if self.track:
            coords = np.concatenate([coords, np.zeros_like(coords)], axis=1)
        peaks = Peaks(self.offsets[:], coords, self.prominences[:], self.heights[:], shape=self.shape, track=self.track)
        found = Stream(self.mask, peaks)
        if self.summary:
            part = self.group[SUMMARY]
            part.attrs["format"] = OF_SUMMARY
            found.summary = load_summary(part)
        return found

    def give_up(self) -> None:
        """A group keeps what came before."""
