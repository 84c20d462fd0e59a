"""What an analysis yields."""

from __future__ import annotations

import functools
import html
import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _core, _levels
from ._core import __version__, filtered_rows
from ._forms import PackedMask, SparseMask
from ._inputs import Labels, coordinates
from ._levels import which
from ._options import whole
from ._summary import Summary

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class BinPeaks(NamedTuple):
    """The peaks of one time bin: three columns of equal length k, in row-major order of (x, y)."""

    coords: NDArray[np.int64]
    """(k, 2): x and y, in cells from 0."""
    prominences: NDArray[Any]
    """(k,): in the unit of P."""
    heights: NDArray[Any]
    """(k,): P at the peaks."""

    def __eq__(self, other: object) -> bool:
        """Whether all three columns are equal."""
        return isinstance(other, tuple) and len(other) == 3 and all(map(np.array_equal, self, other))

    def __ne__(self, other: object) -> bool:
        """Whether a column differs."""
        return not self == other


class Peaks(Sequence[BinPeaks]):
    """All peaks of all time bins, as flat columns; a sequence of time bins.

    Peaks of time bin t are the rows ``offsets[t]`` to ``offsets[t + 1] - 1``, as ``indptr`` of a CSR matrix has it.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_t + 1,)
    coords : ndarray of int64, shape (N, 2)
        x and y, in cells from 0; row-major within a bin. Of a linear track there is one column, x: shape (N, 1).
    prominences : ndarray of P's type, shape (N,)
        Height minus the highest cell around the peak's plateau, in the unit of P; never NaN. A contrast with the
        immediate surroundings, not topographic prominence.
    heights : ndarray of P's type, shape (N,)
        P at the peaks, to the bit.
    first_bin : int
        The time bin of P in which this starts: 0, and in ``peaks[5:10]`` 5. Only `bins` and the tables made of it count
        from there; ``peaks[5:10][0]`` and ``offsets`` start anew.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.1, 0.2], [0.7, 0.2], [0.2, 0.6]]])  # a track of three cells, two time bins
    >>> peaks = peakmask.analyze(P, []).peaks
    >>> len(peaks), peaks.n_peaks, peaks.counts
    (2, 2, array([1, 1]))
    >>> coords, prominences, heights = peaks[1]
    >>> coords, heights
    (array([[0, 2]]), array([0.6]))
    """

    def __init__(
        self,
        offsets: NDArray[np.int64],
        coords: NDArray[np.int64],
        prominences: NDArray[Any],
        heights: NDArray[Any],
        labels: Labels = Labels(),  # noqa: B008 (frozen)
        shape: tuple[int, int] | None = None,
        first_bin: int = 0,
        track: bool = False,
    ) -> None:
        self.offsets = offsets
        self._xy = coords
        self.prominences = prominences
        self.heights = heights
        self.first_bin = first_bin
        self._labels = labels
        self._shape = shape
        self._track = track

    @property
    def coords(self) -> NDArray[np.int64]:
        """Cells of the peaks, shape (N, 2); of a linear track, (N, 1)."""
        return self._xy[:, :1] if self._track else self._xy

    def __len__(self) -> int:
        """Count time bins."""
        return len(self.offsets) - 1

    @property
    def n_peaks(self) -> int:
        """Number of peaks in all time bins together."""
        return len(self.heights)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of peaks in each time bin, shape (n_t,)."""
        return np.diff(self.offsets)

    @property
    def bins(self) -> NDArray[np.int64]:
        """Time bin of each peak in P, shape (N,)."""
        return self._rows_of_bins() + self.first_bin

    def _rows_of_bins(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts)

    @property
    def dominant(self) -> NDArray[np.int64]:
        """Row of the dominant peak of each time bin, shape (n_t,); -1 in a bin without peaks.

        The dominant peak is the first of greatest height.

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> P = np.array([[[1.0, 3.0, 2.0, 1.0, 4.0], [5.0] * 5]]).transpose(0, 2, 1)  # the second bin is constant
        >>> peaks = peakmask.analyze(P, []).peaks
        >>> peaks.dominant
        array([ 1, -1])
        >>> peaks.coords[peaks.dominant[0]]
        array([0, 4])
        """
        rows = np.full(len(self), -1, np.int64)
        live = np.flatnonzero(self.counts)
        if len(live):
            starts = self.offsets[live]
            highest = np.maximum.reduceat(self.heights, starts)
            candidates = np.flatnonzero(self.heights == np.repeat(highest, self.counts[live]))
            rows[live] = candidates[np.searchsorted(candidates, starts)]
        return rows

    @overload
    def __getitem__(self, index: int) -> BinPeaks: ...
    @overload
    def __getitem__(self, index: slice) -> Peaks: ...
    def __getitem__(self, index: int | slice) -> BinPeaks | Peaks:
        """Give the peaks of one time bin, or of a run of them; views, no copies."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"time bins are sliced in steps of 1, not {step}; index them one by one")
            stop = max(start, stop)
            rows = slice(self.offsets[start], self.offsets[stop])
            offsets = self.offsets[start : stop + 1] - self.offsets[start]
            t = self._labels.t
            labels = Labels(self._labels.names, self._labels.x, self._labels.y, t if t is None else t[start:stop])
            columns = (self._xy[rows], self.prominences[rows], self.heights[rows])
            return Peaks(offsets, *columns, labels, self._shape, self.first_bin + start, self._track)
        try:
            bin_ = range(len(self))[index]
        except TypeError:
            raise TypeError(f"time bins are indexed by a number or a slice, not by {index!r}") from None
        except IndexError:
            raise IndexError(f"there are {len(self)} time bins, so there is no bin {index}") from None
        rows = slice(self.offsets[bin_], self.offsets[bin_ + 1])
        return BinPeaks(self.coords[rows], self.prominences[rows], self.heights[rows])

    def filter(
        self,
        *,
        min_height: float | None = None,
        min_relative_height: float | None = None,
        min_prominence: float | None = None,
        min_distance: float | None = None,
        highest: int | None = None,
        most_prominent: int | None = None,
    ) -> Peaks:
        """Leave fewer peaks in every time bin. Lists change, masks do not.

        Peaks that are too low or not prominent enough go first; then those too close to a better one; of what is left, the
        best stay. The better of two is the higher one, with `most_prominent` the more prominent; then the first.

        Parameters
        ----------
        min_height : float, optional
            In the unit of P.
        min_relative_height : float, optional
            A fraction of the height of the bin's highest peak.
        min_prominence : float, optional
            Of whichever kind the peaks have.
        min_distance : float, optional
            Euclidean, in cells, from every better peak that stays.
        highest, most_prominent : int, optional
            How many stay in each bin; one of the two.

        Raises
        ------
        ValueError
            When both numbers are given, or one is negative.

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> P = np.array([[[0.0], [5.0], [2.0], [3.0], [1.0], [9.0], [0.0]]])
        >>> peaks = peakmask.analyze(P, [], prominence="topographic").peaks
        >>> peaks.filter(min_prominence=2).heights, peaks.filter(highest=1).heights
        (array([5., 9.]), array([9.]))
        """
        if highest is not None and most_prominent is not None:
            raise ValueError("give highest or most_prominent, not both: filter twice, if you want one after the other")
        counts = [
            None if k is None else whole(name, k, 0, 2**63 - 1)
            for name, k in (("highest", highest), ("most_prominent", most_prominent))
        ]
        rows = filtered_rows(
            np.ascontiguousarray(self.offsets),
            np.ascontiguousarray(self._xy),
            np.ascontiguousarray(self.prominences),
            np.ascontiguousarray(self.heights),
            min_height=min_height,
            min_relative_height=min_relative_height,
            min_prominence=min_prominence,
            min_distance=min_distance,
            highest=counts[0],
            most_prominent=counts[1],
        )
        return Peaks(
            np.searchsorted(rows, self.offsets).astype(np.int64),
            self._xy[rows],
            self.prominences[rows],
            self.heights[rows],
            self._labels,
            self._shape,
            self.first_bin,
            self._track,
        )

    def to_dataframe(
        self, *, x: ArrayLike | None = None, y: ArrayLike | None = None, t: ArrayLike | None = None
    ) -> pd.DataFrame:
        """One row for each peak.

        Parameters
        ----------
        x, y : array_like, shape (n_x,), (n_y,), optional
            Coordinates of the cells' centres in your units, or of their edges, one more: centres lie midway. Without
            them those of the labels that P had, else the numbers of the cells.
        t : array_like, shape (n_t,), optional
            Times of the bins, likewise: numbers, datetime64, timedelta64; of these bins, if this is a part of all.

        Returns
        -------
        pandas.DataFrame
            Columns ``bin``, ``t``, ``ix``, ``iy`` (cells from 0), ``x``, ``y``, ``height``, ``prominence``, ``dominant``.

        Raises
        ------
        ImportError
            Without pandas: ``pip install "peakmask[pandas]"``.
        ValueError
            When coordinates are neither as many as there are cells or bins, nor one more.

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> P = np.array([[[0.1, 0.2], [0.7, 0.2], [0.2, 0.6]]])
        >>> table = peakmask.analyze(P, []).peaks.to_dataframe(y=[2.5, 7.5, 12.5], t=[0.0, 0.25])
        >>> print(table[["t", "iy", "y", "height"]].to_string(index=False))
           t  iy    y  height
        0.00   1  7.5     0.7
        0.25   2 12.5     0.6
        """
        pandas = optional("pandas")
        bins = self._rows_of_bins()
        dominant = np.zeros(self.n_peaks, bool)
        rows = self.dominant
        dominant[rows[rows >= 0]] = True
        ix, iy = self._xy[:, 0], self._xy[:, 1]
        # A caller may make `Peaks` of columns alone: then maps reach as far as peaks do.
        n_x, n_y = self._shape or (self._xy.max(axis=0, initial=-1) + 1).tolist()
        labels = self._labels
        columns = {
            "bin": bins + self.first_bin,
            "t": _at(t, labels.t, bins + self.first_bin, bins, ("t", len(self), "time bins")),
            "ix": ix,
            "iy": iy,
            "x": _at(x, labels.x, ix, ix, ("x", n_x, "cells")),
            "y": _at(y, labels.y, iy, iy, ("y", n_y, "cells")),
            "height": self.heights,
            "prominence": self.prominences,
            "dominant": dominant,
        }
        if self._track:
            del columns["iy"], columns["y"]
        return pandas.DataFrame(columns)

    def __repr__(self) -> str:
        """Say how many."""
        return f"<{self.n_peaks:,} peaks in {len(self):,} time bins>"


def _at(
    given: ArrayLike | None,
    labels: NDArray[Any] | None,
    numbers: NDArray[np.int64],
    rows: NDArray[np.int64],
    axis: tuple[str, int, str],
) -> NDArray[Any]:
    """Coordinates of cells or bins: as given, as labelled, or their numbers."""
    given = labels if given is None else given
    if given is None:
        return numbers
    name, n, what = axis
    return np.take(coordinates(name, given, n, what), rows)


class Report(Mapping[str, Any]):
    """What ran, where, and for how long: a mapping.

    ``engine`` ("cpu", "gpu" or "cpu+gpu"), ``instruction_set``, ``threads``, ``bins``, of them ``cpu_bins`` and
    ``gpu_bins``, ``peaks``, ``bytes_planned``, ``bytes_used``, and ``seconds``, a mapping of its own: ``total`` by the
    clock, the phases added up over all threads. ``gpu``, a mapping, is there if a GPU took part (``gpu["adapter"]["kind"]``
    says of which kind it is), and ``no_gpu`` says why none did, or why it stopped. The names are those of the program's
    ``--report``.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @functools.cached_property
    def _entries(self) -> dict[str, Any]:
        # Read when somebody looks: a closed loop may never.
        return {name: value for name, value in json.loads(self._text).items() if value is not None}

    def __getitem__(self, name: str) -> Any:
        """Look up an entry by name."""
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """Names of entries."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count entries."""
        return len(self._entries)

    def _rows(self) -> Iterator[tuple[str, str]]:
        def rows(name: str, value: Any) -> Iterator[tuple[str, str]]:
            if isinstance(value, dict):
                for part, of_it in value.items():
                    yield from rows(f"{name}, {part}", of_it)
            else:
                yield name.replace("_", " "), _shown(value)

        for name, value in self.items():
            yield from rows(name, value)

    def __repr__(self) -> str:
        """One line for each entry."""
        rows = list(self._rows())
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self) -> str:
        return _table(self._rows())


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


_PROMINENCES = {
    "reference": "height minus the highest cell around the peak's plateau (reference prominence)",
    "topographic": "height minus the highest saddle on the way to higher ground (topographic prominence)",
    "none": "not computed",
}


class Analysis:
    """Masks and peaks of all time bins: what `analyze` returns.

    Attributes
    ----------
    alpha : tuple of float
        As given.
    masks : list of ndarray of bool
        For each alpha, in the order given, a mask with P's axes and shape. In memory it is a C-order (x, y, t) array,
        of which this is a view when P was (t, x, y); with ``out=``, your arrays.
        Empty unless their form is "bytes".
    packed : list of PackedMask or None
        The same as bits, in the order x, y, t, with ``masks="packed"``.
    sparse : list of SparseMask or None
        The same as lists of cells, with ``masks="sparse"``.
    peaks : Peaks
    summary : Summary or None
        What every time bin and mask comes to, with ``summary=True``.
    report : Report
    shape : tuple of int
        (n_x, n_y, n_t); of a linear track n_y is 1.
    connectivity : int
        4 or 8.
    prominence : str
        "reference", "topographic" or "none".
    region : {"dominant", "whole"}
    nan_policy : {"silence", "off_track", "error"}
    """

    def __init__(
        self,
        alpha: Sequence[float],
        masks: list[NDArray[np.bool_]],
        peaks: Peaks,
        report: Report,
        *,
        shape: tuple[int, int, int],
        axes: tuple[int, int, int],
        connectivity: int,
        labels: Labels,
        prominence: str = "reference",
        packed: list[PackedMask] | None = None,
        sparse: list[SparseMask] | None = None,
        summary: Summary | None = None,
        track: bool = False,
        region: str = "dominant",
        nan_policy: str = "silence",
    ) -> None:
        self.alpha = tuple(alpha)
        self.masks = masks
        self.packed = packed
        self.sparse = sparse
        self.summary = summary
        self._track = track
        self.peaks = peaks
        self.report = report
        self.shape = shape
        self.connectivity = connectivity
        self.prominence = prominence
        self.region = region
        self.nan_policy = nan_policy
        self._axes = axes
        self._labels = labels

    @property
    def _maps(self) -> list[NDArray[np.bool_]]:
        """Masks with three axes, whose order `_axes` says; those of a linear track have a y of length 1."""
        return [np.expand_dims(mask, self._axes[1]) for mask in self.masks] if self._track else self.masks

    def mask(self, alpha: float) -> NDArray[np.bool_]:
        """Give the mask of an alpha, by value; the first, if it was given twice. Other forms are expanded.

        Raises
        ------
        KeyError
            When there is no mask for this alpha.
        TypeError
            When it is no number.

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> analysis = peakmask.analyze(np.array([[[1.0], [2.0], [3.0]]]), alpha=[0.5, 0.9])
        >>> analysis.mask(0.5).ravel()
        array([False,  True,  True])
        """
        level = which(self.alpha, alpha, "mask")
        other = self.packed or self.sparse
        if other is not None:
            # As P's axes have it: those of the forms are x, y, t.
            expanded: NDArray[np.bool_] = other[level].expand().transpose(np.argsort(self._axes))
            return np.take(expanded, 0, axis=self._axes[1]) if self._track else expanded
        if not self.masks:
            raise KeyError(f"no mask for alpha {alpha}: masks=None makes none")
        return self.masks[level]

    @property
    def areas(self) -> NDArray[np.int64]:
        """Cells of each mask in each time bin, shape (n_alpha, n_t).

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> peakmask.analyze(np.array([[[1.0], [2.0], [3.0]]]), alpha=[0.5, 0.9]).areas
        array([[2],
               [1]])
        """
        other = self.packed or self.sparse
        if self.summary is not None:
            return self.summary.area
        if other is not None:
            return np.stack([mask.areas for mask in other])
        x, y, _ = self._axes
        return np.array([np.count_nonzero(mask, axis=(x, y)) for mask in self._maps], np.int64).reshape(
            len(self.masks), self.shape[2]
        )

    @property
    def components(self) -> NDArray[np.uint32]:
        """Connected parts of each mask in each time bin, by `connectivity`, shape (n_alpha, n_t).

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> peakmask.analyze(np.array([[[3.0], [1.0], [2.0]]]), alpha=[0.5, 0.9], region="whole").components
        array([[2],
               [1]], dtype=uint32)
        """
        other = self.packed or self.sparse
        masks = (
            [mask.transpose(self._axes) for mask in self._maps] if other is None else [form.expand() for form in other]
        )
        if len(masks) != len(self.alpha):
            raise ValueError("masks=None makes no masks, in which components could be counted")
        counts = [_core.components(mask.view(np.uint8), self.connectivity) for mask in masks]
        return np.array(counts, np.uint32).reshape(len(masks), self.shape[2])

    def contours(
        self,
        bin: int,
        level: float,
        *,
        P: ArrayLike | None = None,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
    ) -> list[NDArray[np.float64]]:
        """Outline a mask in one time bin: closed polygons in your coordinates.

        Parameters
        ----------
        bin : int
            The time bin.
        level : float
            A level, as for `mask`.
        P : array_like, optional
            What was analysed, with the same axes. With it, outlines are lines between the centres of cells along which
            the interpolated map is at the threshold (marching squares); without it, the sides of the mask's cells,
            exactly.
        x, y : array_like, optional
            Coordinates of cells: centres, or edges, one more. Without them those that P had, else the numbers of cells.

        Returns
        -------
        list of ndarray, shape (k, 2)
            Columns x and y; the first corner is repeated at the end. Outlines of holes run the other way around. None for an
            empty mask; of lines, unless regions are whole, those around the region of the dominant cell alone.

        Raises
        ------
        KeyError, TypeError
            As from `mask`.
        IndexError
            When there is no such bin.
        ImportError
            With P, without contourpy: ``pip install "peakmask[contours]"`` (matplotlib brings it).
        ValueError
            When coordinates do not fit, or P is not what was analysed.

        Examples
        --------
        >>> import numpy as np, peakmask
        >>> P = np.array([[1.0, 2.0, 1.0], [2.0, 8.0, 5.0], [1.0, 2.0, 1.0]])[:, :, np.newaxis]
        >>> analysis = peakmask.analyze(P, alpha=0.5)
        >>> analysis.contours(0, 0.5)[0].tolist()
        [[0.5, 0.5], [1.5, 0.5], [1.5, 2.5], [0.5, 2.5], [0.5, 0.5]]
        """
        from . import _contours
        from .plot._scene import _centres_and_edges

        mask = self.mask(level).transpose(self._axes)
        try:
            t = range(self.shape[2])[bin]
        except IndexError:
            raise IndexError(f"there are {self.shape[2]} time bins, so there is no bin {bin}") from None
        centres, edges = [], []
        for name, given, label, n in (("x", x, self._labels.x, self.shape[0]), ("y", y, self._labels.y, self.shape[1])):
            found = label if given is None else given
            both = _centres_and_edges(name, np.asarray(np.arange(n, dtype=np.float64) if found is None else found), n)
            centres.append(np.asarray(both[0], np.float64))
            edges.append(np.asarray(both[1], np.float64))
        mask = mask[:, :, t]
        if P is None or not mask.any():
            return _contours.borders(mask, edges[0], edges[1], self.connectivity == 8)
        z = np.asarray(P)
        if z.shape != tuple(self.shape[self._axes.index(axis)] for axis in range(3)):
            raise ValueError(
                f"P has shape {z.shape}, but what was analysed had another: (n_x, n_y, n_t) = {self.shape}"
            )
        z = z.transpose(self._axes)[:, :, t]
        row = self.peaks.dominant[t]
        threshold = _contours.threshold(z.astype(self.peaks.heights.dtype), level, self.peaks.heights[row])
        cell = None if self.region == "whole" else self.peaks.coords[row].tolist()
        return _contours.lines(z, threshold, cell, centres[0], centres[1])

    def to_xarray(
        self, *, x: ArrayLike | None = None, y: ArrayLike | None = None, t: ArrayLike | None = None
    ) -> xr.Dataset:
        """Masks and peaks with their coordinates.

        Parameters
        ----------
        x, y, t : array_like, optional
            Coordinates of cells and bins: centres, or edges, one more, of which centres are made. Without them those that P
            had, if it had any.

        Returns
        -------
        xarray.Dataset
            ``mask`` (alpha, x, y, t), with the names of P's dimensions (a copy of the masks); ``n_peaks`` (t);
            and for each peak, dimension ``peak``, ``peak_bin``, ``peak_ix``, ``peak_iy``, ``height`` and ``prominence``.
            The attributes say how it was made.

        Raises
        ------
        ImportError
            Without xarray: ``pip install "peakmask[xarray]"``.
        ValueError
            When coordinates are neither as many as there are cells or bins, nor one more.
        """
        xarray = optional("xarray")
        names = self._labels.names
        coords: dict[str, Any] = _levels.coordinates(self.alpha)
        axes = list(zip(names, (x, y, t), (self._labels.x, self._labels.y, self._labels.t), self.shape))
        if self._track:
            del axes[1]
        for name, given, labelled, n in axes:
            found = labelled if given is None else given
            if found is not None:
                what = "time bins" if name == self._labels.names[2] else "cells"
                centres = coordinates(name, found, n, what)
                coords[name] = (name, centres, self._labels.attrs.get(name, {}))
        forms = self.masks or self.packed or self.sparse or []
        maps = [self.mask(alpha) for alpha, _ in zip(self.alpha, forms)]
        maps = [np.expand_dims(mask, self._axes[1]) for mask in maps] if self._track else maps
        masks = [mask.transpose(self._axes) for mask in maps]
        shape = self.shape
        if self._track:
            masks, shape, names = [mask[:, 0] for mask in masks], (shape[0], shape[2]), (names[0], names[2])  # type: ignore[assignment]
        peaks = self.peaks
        dataset: xr.Dataset = xarray.Dataset(
            {
                "mask": (("alpha", *names), np.stack(masks) if masks else np.empty((0, *shape), bool)),
                "n_peaks": (names[-1], peaks.counts, {"sample_dimension": "peak"}),
                "peak_bin": ("peak", peaks.bins),
                "peak_ix": ("peak", peaks._xy[:, 0]),
                "peak_iy": ("peak", peaks._xy[:, 1]),
                "height": ("peak", peaks.heights),
                "prominence": ("peak", peaks.prominences),
            },
            coords=coords,
            attrs={
                "made_by": f"peakmask {__version__}",
                "mask": _levels.described(self.alpha, self.region),
                "connectivity": self.connectivity,
                "prominence": _PROMINENCES[self.prominence],
                "nan_policy": self.nan_policy,
                "engine": self.report.get("engine", "not known"),
            },
        )
        if self._track:
            dataset = dataset.drop_vars("peak_iy")
        return dataset

    def page(
        self,
        P: ArrayLike,
        file: str | os.PathLike[str],
        *,
        bins: Any = None,
        title: str = "posterior",
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        t: ArrayLike | None = None,
        units: str | None = None,
        path: ArrayLike | None = None,
        min_height: float = 0.05,
        min_prominence: float = 0.0,
        top: int | None = None,
    ) -> None:
        """Write one file that shows P, masks and peaks in any browser, without a network.

        It has a time slider that plays, the map (of a linear track: the curve) with outlines and peaks, timelines of height,
        areas and number of marked peaks on which a click moves the time, and the value under the pointer. For display,
        values are rounded to 255 steps between the lowest and the highest of their bin, or to 64 or 16 where the file would
        exceed 60 MB; the page says to how many.

        Parameters
        ----------
        P : array_like
            The posterior that was analysed, with the same axes.
        file : path
            Where to write; an existing file is replaced.
        bins : slice, sequence of int, or boolean array, optional
            Which time bins; without it all. Some 20,000 of 41 x 63 cells fit.
        title : str
            At the top.
        x, y, t, units, path, min_height, min_prominence, top
            As for all pictures: see `peakmask.plot`. (matplotlib is not needed.)

        Raises
        ------
        ValueError
            When P is not what was analysed, coordinates do not fit, there are no bins or too many for 60 MB.

        Examples
        --------
        >>> import numpy as np, peakmask, tempfile, os
        >>> P = np.random.default_rng(0).random((8, 9, 30))
        >>> file = os.path.join(tempfile.mkdtemp(), "page.html")
        >>> peakmask.analyze(P, alpha=[0.5, 0.9]).page(P, file, t=np.arange(30) * 0.25)
        >>> os.path.getsize(file) < 200_000
        True
        """
        from ._page import page

        page(
            self, P, file, bins=bins, title=title, x=x, y=y, t=t, units=units, path=path,
            min_height=min_height, min_prominence=min_prominence, top=top,
        )  # fmt: skip

    def save(self, file: str | os.PathLike[str] | Any) -> None:
        """Write everything into one `.npz` file, masks as bits; `peakmask.load` reads it again.

        An existing file is replaced when the new one is complete. A path that ends in ``.zarr`` becomes a folder of zarr,
        which must not be there yet; into a ``zarr.Group`` arrays are written (``pip install "peakmask[zarr]"``).

        Examples
        --------
        >>> import numpy as np, peakmask, tempfile, os
        >>> analysis = peakmask.analyze(np.random.default_rng(0).random((8, 9, 30)), alpha=[0.5, 0.9], summary=True)
        >>> file = os.path.join(tempfile.mkdtemp(), "analysis.npz")
        >>> analysis.save(file)
        >>> again = peakmask.load(file)
        >>> np.array_equal(again.mask(0.9), analysis.mask(0.9)), again.summary
        (True, <summary of 30 time bins, alpha 0.5, 0.9>)
        """
        from ._files import save

        save(self, file)

    def _rows(self) -> Iterator[tuple[str, str]]:
        n_x, n_y, n_t = self.shape
        live = int(np.count_nonzero(self.peaks.counts))
        order = ", ".join("xyt"[self._axes.index(axis)] for axis in range(3))
        yield "posterior", f"{n_t:,} time bins of {n_x} x {n_y} cells, {self.peaks.heights.dtype}, axes ({order})"
        yield "masks", f"alpha {', '.join(map(str, self.alpha)) or 'none'}; connected by {self.connectivity} neighbours"
        yield "peaks", f"{self.peaks.n_peaks:,} in {live:,} time bins"
        report = self.report
        if "engine" not in report:
            # The program's archive does not say.
            return
        yield (
            "ran on",
            f"{report['engine']} ({report['instruction_set']}), threads: {report['threads']}, "
            f"{report['seconds']['total']:.3f} s",
        )

    def __repr__(self) -> str:
        """Shape, alphas, peaks, engine: one line each."""
        return "peakmask.Analysis\n" + "\n".join(f"  {name + ':':<10} {value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        return f"<b>peakmask.Analysis</b>{_table(self._rows())}"


def _table(rows: Iterator[tuple[str, str]]) -> str:
    cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def optional(name: str, extra: str | None = None) -> Any:
    """Import a package that is not required."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'this needs {name}, which is not installed: pip install "peakmask[{extra or name}]"'
        ) from error
