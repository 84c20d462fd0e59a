"""Trees of peaks: summits, their saddles and parents, the land that each rules; saddles and regions of listed peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, _inputs, _options
from ._analysis import Peaks, _at, optional
from ._options import Alpha, Connectivity, NanPolicy, OnLimit

if TYPE_CHECKING:
    import pandas as pd


class MapSummits(NamedTuple):
    """The summits of one map: columns of equal length k, in row-major order of their first cells."""

    coords: NDArray[np.int64]
    """(k, 2): the first cell, x and y, from 0."""
    heights: NDArray[Any]
    """(k,): in the unit of P."""
    prominences: NDArray[Any]
    """(k,): height minus saddle_heights."""
    saddles: NDArray[np.int64]
    """(k, 2): the saddle's cell; (-1, -1) without one."""
    saddle_heights: NDArray[Any]
    """(k,): of a summit without a saddle, the lowest value of the map."""
    parents: NDArray[np.int64]
    """(k,): number, in this map, of the summit that it meets at the saddle; -1 without one."""


class Summits(Sequence[MapSummits]):
    """The summits of all maps, as flat columns: a tree for each map; a sequence of maps.

    A *summit* is a peak on its own, or a plateau that touches no equal cell outside it. Summits of map t are the rows
    ``offsets[t]`` to ``offsets[t + 1] - 1``. Of a single map, the columns are its own.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_t + 1,)
    coords, heights, prominences, saddles, saddle_heights, parents
        As in `MapSummits`; ``parents`` and ``labels`` count summits from 0 within each map.
    labels : ndarray of int32, or None
        For each cell the number of the summit that rules it: the highest that can be reached from there without
        stepping below the cell; -1 where there is none. With P's axes and shape.
    """

    def __init__(
        self,
        columns: tuple[NDArray[Any], ...],
        labels: NDArray[np.int32] | None,
        names: _inputs.Labels,
        shape: tuple[int, int],
    ) -> None:
        (
            self.offsets,
            self.coords,
            self.heights,
            self.prominences,
            self.saddles,
            self.saddle_heights,
            self.parents,
        ) = columns
        self.labels = labels
        self._labels = names
        self._shape = shape

    def __len__(self) -> int:
        """Count maps."""
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> MapSummits: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MapSummits]: ...
    def __getitem__(self, index: int | slice) -> MapSummits | Sequence[MapSummits]:
        """Give the summits of one map, or a list of those of several; views, no copies."""
        if isinstance(index, slice):
            return [self[t] for t in range(*index.indices(len(self)))]
        t = range(len(self))[index]
        rows = slice(self.offsets[t], self.offsets[t + 1])
        return MapSummits(
            self.coords[rows],
            self.heights[rows],
            self.prominences[rows],
            self.saddles[rows],
            self.saddle_heights[rows],
            self.parents[rows],
        )

    def to_dataframe(
        self, *, x: ArrayLike | None = None, y: ArrayLike | None = None, t: ArrayLike | None = None
    ) -> pd.DataFrame:
        """One row for each summit.

        Parameters
        ----------
        x, y, t : array_like, optional
            Coordinates of cells and maps: centres, or edges, one more. Without them those that P had, else their numbers.

        Returns
        -------
        pandas.DataFrame
            Columns ``bin``, ``summit`` (its number in the map), ``t``, ``ix``, ``iy``, ``x``, ``y``, ``height``,
            ``prominence``, ``saddle_ix``, ``saddle_iy``, ``saddle_height``, ``parent``.

        Raises
        ------
        ImportError
            Without pandas: ``pip install "peakmask[pandas]"``.
        """
        pandas = optional("pandas")
        counts = np.diff(self.offsets)
        bins = np.repeat(np.arange(len(self), dtype=np.int64), counts)
        (ix, iy), (n_x, n_y), labels = self.coords.T, self._shape, self._labels
        return pandas.DataFrame(
            {
                "bin": bins,
                "summit": np.arange(len(bins)) - self.offsets[bins],
                "t": _at(t, labels.t, bins, bins, ("t", len(self), "maps")),
                "ix": ix,
                "iy": iy,
                "x": _at(x, labels.x, ix, ix, ("x", n_x, "cells")),
                "y": _at(y, labels.y, iy, iy, ("y", n_y, "cells")),
                "height": self.heights,
                "prominence": self.prominences,
                "saddle_ix": self.saddles[:, 0],
                "saddle_iy": self.saddles[:, 1],
                "saddle_height": self.saddle_heights,
                "parent": self.parents,
            }
        )

    def __repr__(self) -> str:
        """Say how many."""
        return f"<{len(self.heights):,} summits in {len(self):,} maps>"


def prominence(
    P: ArrayLike,
    *,
    labels: bool = True,
    nan_policy: NanPolicy = "silence",
    layout: _inputs.Layout | None = None,
    threads: int | None = None,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    dims: Sequence[str] | None = None,
) -> Summits:
    """Find the summits of a map, or of every map of a stack: topographic prominences, saddles, parents, ruled land.

    Parameters
    ----------
    P : array_like, shape (n_x, n_y), (n_x, n_y, n_t), or (n_t, n_x, n_y) with ``layout="txy"``
        A rate map, a stack of them, a posterior: in any unit, of the types that `analyze` takes.
    labels : bool
        Whether to say for each cell which summit rules it.
    nan_policy, layout, threads, memory_limit, on_limit, dims
        As for `analyze`; of rate maps, cells that were never visited are ``"off_track"``.

    Returns
    -------
    Summits
        Of a single map, ``labels`` has two axes.

    Raises
    ------
    ValueError, TypeError, MemoryError, KeyboardInterrupt
        As from `analyze`.

    Notes
    -----
    *Topographic prominence* is a summit's height minus the height of its saddle: the highest cell over which it is
    connected, by eight neighbours, to higher ground. The highest summit has no saddle; its base is the lowest value. Of
    summits of equal height the first, row-major, counts as the higher. A map with one value has none, nor,
    unless `nan_policy` says otherwise, has a map with a NaN. Where absent cells cut a map into parts, the highest summit of
    each has the lowest value of the whole map as its base.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> tree = peakmask.prominence(np.array([[0.0, 5.0, 2.0, 3.0, 1.0, 9.0, 0.0]]))
    >>> tree.coords[:, 1], tree.prominences, tree.parents
    (array([1, 3, 5]), array([4., 1., 9.]), array([ 2,  0, -1]))
    >>> tree.labels
    array([[2, 0, 0, 1, 2, 2, 2]], dtype=int32)
    """
    single, p = _maps(P, layout, dims)
    *columns, found = _core.summits(
        _inputs.values(p.array).transpose(p.axes),
        labels=bool(labels),
        nan_policy=_options.one_of("nan_policy", nan_policy, get_args(NanPolicy)),
        threads=0 if threads is None else _options.whole("threads", threads, 1, _options.MOST_THREADS),
        memory_limit=None if memory_limit is None else _options.size_in_bytes("memory_limit", memory_limit),
        on_limit=_options.one_of("on_limit", on_limit, ("error", "warn", "ignore")),
    )
    if found is not None:
        found = found[:, :, 0] if single else p.back(found)
    return Summits(tuple(columns), found, p.labels, p.shape[:2])


def _maps(P: Any, layout: str | None, dims: Sequence[str] | None) -> tuple[bool, _inputs.Posterior]:
    """Read a stack of maps, or a map alone as a stack of one."""
    if getattr(P, "ndim", np.ndim(P)) != 2:
        return False, _inputs.posterior(P, layout, dims)
    labels = _inputs.Labels()
    if hasattr(P, "dims") and hasattr(P, "coords"):
        x, y = map(str, P.dims)
        at = {name: np.asarray(P.coords[name].values) for name in (x, y) if name in P.coords}
        labels = _inputs.Labels((x, y, "t"), at.get(x), at.get(y))
        P = P.values
    return True, _inputs.Posterior(_inputs.plain(P)[:, :, np.newaxis], _inputs.AXES["xyt"], labels, known=True)


class Saddles:
    """The saddle and the parent of every listed peak: columns beside those of the peaks.

    Every cell of a plateau that is a summit has the saddle and the parent of its summit. A peak on a shoulder is connected
    to higher ground by cells of its own height: its saddle is its own cell, its prominence 0.

    Attributes
    ----------
    peaks : Peaks
    cells : ndarray of int64, shape (N, 2)
        The saddle's cell, x and y; (-1, -1) of a peak without one, whose base is the lowest value of its map.
    heights : ndarray of P's type, shape (N,)
        P at the saddle, else that lowest value.
    prominences : ndarray of P's type, shape (N,)
        Topographic: the peak's height minus these, whichever prominence the peaks themselves have.
    parents : ndarray of int64, shape (N,)
        Row, in the list, of the peak that the parent is; -1 of a peak without one, and where the parent is not listed.
    parent_cells : ndarray of int64, shape (N, 2)
        The parent's cell, listed or not: the first of its summit; (-1, -1) without one.
    """

    def __init__(
        self,
        peaks: Peaks,
        columns: tuple[NDArray[np.int64], NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        self.peaks = peaks
        self.cells, self.heights, self.prominences, self.parents, self.parent_cells = columns

    def to_dataframe(self, **coordinates: Any) -> pd.DataFrame:
        """One row for each peak: the columns of `Peaks.to_dataframe`, which takes x, y and t, and those here.

        Beside them, of a linear track without those of y, ``saddle_ix``, ``saddle_iy``, ``saddle_height``,
        ``topographic_prominence``, ``parent``, ``parent_ix``, ``parent_iy``. The index counts rows of the list, as
        ``parent`` does.
        """
        table = self.peaks.to_dataframe(**coordinates).assign(
            saddle_ix=self.cells[:, 0],
            saddle_iy=self.cells[:, 1],
            saddle_height=self.heights,
            topographic_prominence=self.prominences,
            parent=self.parents,
            parent_ix=self.parent_cells[:, 0],
            parent_iy=self.parent_cells[:, 1],
        )
        return _along_track(self.peaks, table)

    def __repr__(self) -> str:
        """Say how many."""
        return f"<saddles of {self.peaks.n_peaks:,} peaks>"


def _along_track(peaks: Peaks, table: pd.DataFrame) -> pd.DataFrame:
    """Leave out what a linear track has not: y."""
    across = [name for name in table.columns if peaks._track and name.endswith(("_iy", "_y"))]
    return table.drop(columns=across)


def saddles(
    P: ArrayLike,
    peaks: Peaks,
    *,
    nan_policy: NanPolicy = "silence",
    layout: _inputs.Layout | None = None,
    threads: int | None = None,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    dims: Sequence[str] | None = None,
) -> Saddles:
    """Find, for every listed peak, the saddle over which it is connected to higher ground, and the peak that it meets there.

    Parameters
    ----------
    P : array_like
        What was analysed, with the same axes.
    peaks : Peaks
        Of its analysis, or a part of them (`Peaks.filter`).
    nan_policy, layout, threads, memory_limit, on_limit, dims
        As for `analyze`; the rule for NaN that the peaks were found with.

    Returns
    -------
    Saddles

    Raises
    ------
    ValueError
        When the peaks are of another array, or were found with another rule for NaN; otherwise as from `analyze`.

    Notes
    -----
    They are those of `prominence`, which finds the trees of whole maps. Of equal heights the first counts as the higher; a
    parent is higher than its child, and has more topographic prominence: filters by either leave parents in the list.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.0], [5.0], [2.0], [3.0], [1.0], [9.0], [0.0]]])
    >>> peaks = peakmask.analyze(P, []).peaks
    >>> found = peakmask.saddles(P, peaks)
    >>> found.cells[:, 1], found.heights, found.parents
    (array([ 4,  2, -1]), array([1., 2., 0.]), array([ 2,  0, -1]))
    """
    p = _inputs.posterior(P, layout, dims)
    array = _inputs.values(p.array)
    found = _core.saddles(
        array.transpose(p.axes),
        np.ascontiguousarray(peaks.offsets),
        np.ascontiguousarray(peaks._xy),
        np.ascontiguousarray(peaks.heights, dtype=array.dtype),
        nan_policy=_options.one_of("nan_policy", nan_policy, get_args(NanPolicy)),
        threads=0 if threads is None else _options.whole("threads", threads, 1, _options.MOST_THREADS),
        memory_limit=None if memory_limit is None else _options.size_in_bytes("memory_limit", memory_limit),
        on_limit=_options.one_of("on_limit", on_limit, ("error", "warn", "ignore")),
    )
    return Saddles(peaks, found)


class Regions:
    """The region of every listed peak at every alpha: columns beside those of the peaks.

    Attributes
    ----------
    alpha : tuple of float
    areas : ndarray of int64, shape (n_alpha, N)
        Cells of each region.
    boxes : ndarray of int64, shape (n_alpha, N, 4)
        First and last x, first and last y.
    centres : ndarray of float64, shape (n_alpha, N, 2)
        Mean x and y of its cells.
    border_distances : ndarray of int64, shape (n_alpha, N)
        Cells between the region and the nearest border of the map; 0 where it touches one. Of a linear track, and of other
        maps one cell wide, the two ends alone count.
    overlaps : ndarray of int64, shape (n_alpha, N)
        Number of other listed peaks of the bin whose regions at this alpha share cells with this one. Of two that do,
        one holds the other.
    holders : ndarray of int64, shape (n_alpha, N)
        Row of the peak with the smallest region that holds this one; -1 where none does.
    """

    def __init__(self, alpha: Sequence[float], peaks: Peaks, found: list[tuple[NDArray[Any], ...]]) -> None:
        self.alpha = tuple(alpha)
        self.peaks = peaks
        n = peaks.n_peaks

        def stacked(i: int, *shape: int) -> NDArray[Any]:
            return np.stack([columns[i] for columns in found]) if found else np.empty((0, n, *shape), np.int64)

        self.areas = stacked(0)
        self.boxes = stacked(1, 4)
        self.centres = stacked(2, 2)
        self.border_distances = stacked(3)
        self.overlaps = stacked(4)
        self.holders = stacked(5)
        self._cells = [columns[6:] for columns in found]

    @property
    def widths(self) -> NDArray[np.int64]:
        """Cells from the first to the last, along x and along y; shape (n_alpha, N, 2)."""
        widths: NDArray[np.int64] = self.boxes[..., 1::2] - self.boxes[..., ::2] + 1
        return widths

    def cells(self, row: int, alpha: int = 0) -> NDArray[np.int64]:
        """Cells (x, y) of the region of a peak, by its row, at alpha number `alpha`; shape (area, 2), row-major.

        Raises
        ------
        ValueError
            When they were not asked for.
        """
        offsets, cells = self._cells[alpha]
        if len(offsets) == 0:
            raise ValueError("cells were not asked for: regions(..., cells=True)")
        row = range(len(offsets) - 1)[row]
        return cells[offsets[row] : offsets[row + 1]]

    def to_dataframe(self, **coordinates: Any) -> pd.DataFrame:
        """One row for each alpha and peak: the columns of `Peaks.to_dataframe`, which takes x, y and t, and those here.

        Beside them ``peak`` (row of the list), ``alpha``, ``area``, ``first_ix``, ``last_ix``, ``first_iy``, ``last_iy``,
        ``width_x``, ``width_y``, ``centre_ix``, ``centre_iy``, ``border_distance``, ``overlaps``, ``holder``.
        """
        pandas = optional("pandas")
        peaks = self.peaks.to_dataframe(**coordinates)
        peaks.insert(0, "peak", np.arange(len(peaks)))
        tables = [
            peaks.assign(
                alpha=alpha,
                area=self.areas[a],
                first_ix=self.boxes[a, :, 0],
                last_ix=self.boxes[a, :, 1],
                first_iy=self.boxes[a, :, 2],
                last_iy=self.boxes[a, :, 3],
                width_x=self.widths[a, :, 0],
                width_y=self.widths[a, :, 1],
                centre_ix=self.centres[a, :, 0],
                centre_iy=self.centres[a, :, 1],
                border_distance=self.border_distances[a],
                overlaps=self.overlaps[a],
                holder=self.holders[a],
            )
            for a, alpha in enumerate(self.alpha)
        ]
        return _along_track(self.peaks, pandas.concat(tables, ignore_index=True) if tables else peaks)

    def __repr__(self) -> str:
        """Say how many."""
        return f"<regions of {self.peaks.n_peaks:,} peaks at alpha {list(self.alpha)}>"


def regions(
    P: ArrayLike,
    peaks: Peaks,
    alpha: Alpha,
    *,
    connectivity: Connectivity = 4,
    cells: bool = False,
    layout: _inputs.Layout | None = None,
    threads: int | None = None,
    memory_limit: float | str | None = None,
    on_limit: OnLimit = "error",
    dims: Sequence[str] | None = None,
) -> Regions:
    """Measure the region of every listed peak at every alpha: connected cells with P >= alpha * height of the peak.

    Parameters
    ----------
    P : array_like
        What was analysed, with the same axes.
    peaks : Peaks
        Of its analysis, or a part of them (`Peaks.filter`).
    alpha : float or iterable of float
        Fractions of each peak's own height.
    connectivity : {4, 8}
        Neighbours that connect the cells of a region.
    cells : bool
        Whether to list the cells of every region.
    layout, threads, memory_limit, on_limit, dims
        As for `analyze`.

    Returns
    -------
    Regions

    Raises
    ------
    ValueError
        When the peaks are of another array; otherwise as from `analyze`.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.0], [5.0], [3.0], [4.0], [2.0], [9.0], [0.0]]])
    >>> found = peakmask.regions(P, peakmask.analyze(P, []).peaks, alpha=0.5, cells=True)
    >>> found.areas, found.widths[0, 0], found.holders
    (array([[3, 5, 1]]), array([1, 3]), array([[ 1, -1,  1]]))
    >>> found.cells(0)[:, 1]
    array([1, 2, 3])
    """
    p = _inputs.posterior(P, layout, dims)
    alphas = _options.alphas(alpha)
    array = _inputs.values(p.array)
    found = _core.regions(
        array.transpose(p.axes),
        np.ascontiguousarray(peaks.offsets),
        np.ascontiguousarray(peaks._xy),
        np.ascontiguousarray(peaks.heights, dtype=array.dtype),
        alphas,
        connectivity=_options.one_of("connectivity", connectivity, (4, 8)),
        cells=bool(cells),
        threads=0 if threads is None else _options.whole("threads", threads, 1, _options.MOST_THREADS),
        memory_limit=None if memory_limit is None else _options.size_in_bytes("memory_limit", memory_limit),
        on_limit=_options.one_of("on_limit", on_limit, ("error", "warn", "ignore")),
    )
    return Regions(alphas, peaks, found)
