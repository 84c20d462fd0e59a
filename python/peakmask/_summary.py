"""What every time bin and each of its masks comes to, without masks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._inputs import Labels, coordinates
from ._levels import coordinates as of_levels
from ._levels import which

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SHORTEST = 1e-9
"""Change vectors that are shorter have no direction."""

BY_BIN = (
    "live", "dominant", "height", "prominence", "highest_prominence", "peaks", "minimum", "total", "distance",
)  # fmt: skip
BY_LEVEL = (
    "threshold", "area", "reached", "mass", "sums", "centroid", "first", "last", "border", "overlap", "dilated_overlap",
    "dilated_union", "near",
)  # fmt: skip
PAIRS = ("dominant", "sums", "centroid", "first", "last")
"""Columns with an entry for x and one for y."""
OVERLAPS = ("overlap", "dilated_overlap", "dilated_union")
"""Columns about a bin and the next, -1 where there is none."""
ABSENT: dict[str, Any] = {"distance": np.nan, "near": False}
"""Columns that a file may lack, where nobody knew of an animal, and what they hold then."""


class Summary:
    """What every time bin and each of its masks comes to: the numbers that are otherwise taken from masks.

    Every number is the same to the bit, whichever engine, layout, number of threads made it. Cells are counted from 0.

    Attributes
    ----------
    alpha : tuple of float
        The levels, in the order of the rows below.
    live : ndarray of bool, shape (n_t,)
        Whether the bin has peaks and masks.
    dominant : ndarray of int64, shape (n_t, 2)
        x and y of the dominant peak, in cells; -1 where the bin is not live.
    height, prominence, highest_prominence : ndarray of P's type, shape (n_t,)
        Of the dominant peak; the highest of any peak; NaN where the bin is not live.
    peaks : ndarray of int64, shape (n_t,)
        Number of peaks.
    minimum : ndarray of P's type, shape (n_t,)
    total : ndarray of float64, shape (n_t,)
        Sum of the map, one cell added to the other.
    distance : ndarray of float64, shape (n_t,)
        From the animal to the dominant cell, in cells; NaN without ``animal=``.
    threshold : ndarray of P's type, shape (n_levels, n_t)
        What cells of the mask reach.
    area, reached : ndarray of int64, shape (n_levels, n_t)
        Cells of the mask; cells anywhere that reach the threshold.
    mass : ndarray of float64, shape (n_levels, n_t)
        Sum of P in the mask.
    sums, first, last : ndarray of int64, shape (n_levels, n_t, 2)
        Sums of x and y over the mask's cells, the lowest and the highest x and y; the latter are -1 where it is empty.
    centroid : ndarray of float64, shape (n_levels, n_t, 2)
        x and y of the mask's centroid, weighted by P, in cells; NaN where it is empty.
    border, near : ndarray of bool, shape (n_levels, n_t)
        Whether the mask touches the map's border, as every cell of a linear track does; whether it holds a cell within the
        radius of the animal.
    overlap, dilated_overlap, dilated_union : ndarray of int64, shape (n_levels, n_t)
        With the mask of the next bin: cells in both; cells in both after this mask was dilated by 3 x 3; cells in either
        after that. -1 in the last bin.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.0, 0.0], [4.0, 1.0], [8.0, 5.0], [1.0, 8.0], [5.0, 0.0]]])  # a track of five cells, two time bins
    >>> summary = peakmask.analyze(P, alpha=0.5, masks=None, summary=True).summary
    >>> summary.area, summary.reached, summary.mass
    (array([[2, 2]]), array([[3, 2]]), array([[12., 13.]]))
    >>> summary.sequentiality()
    array([0.5])
    """

    alpha: tuple[float, ...]
    live: NDArray[np.bool_]
    dominant: NDArray[np.int64]
    height: NDArray[Any]
    prominence: NDArray[Any]
    highest_prominence: NDArray[Any]
    peaks: NDArray[np.int64]
    minimum: NDArray[Any]
    total: NDArray[np.float64]
    distance: NDArray[np.float64]
    threshold: NDArray[Any]
    area: NDArray[np.int64]
    reached: NDArray[np.int64]
    mass: NDArray[np.float64]
    sums: NDArray[np.int64]
    centroid: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    border: NDArray[np.bool_]
    overlap: NDArray[np.int64]
    dilated_overlap: NDArray[np.int64]
    dilated_union: NDArray[np.int64]
    near: NDArray[np.bool_]

    def __init__(
        self,
        alpha: tuple[float, ...],
        columns: Mapping[str, NDArray[Any]],
        labels: Labels = Labels(),  # noqa: B008 (frozen)
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.alpha = alpha
        for name in (*BY_BIN, *BY_LEVEL):
            setattr(self, name, columns[name])
        self._labels = labels
        self._shape = shape

    def __len__(self) -> int:
        """Count time bins."""
        return len(self.live)

    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns by name."""
        return {name: getattr(self, name) for name in (*BY_BIN, *BY_LEVEL)}

    def part(self, start: int, stop: int) -> Summary:
        """Give the rows of time bins `start` to `stop` - 1 as a summary of its own; views, no copies.

        Overlaps of the last of them are those with the bin that follows it, if one does.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        columns = {name: column[bins_of(name, start, stop)] for name, column in self.columns().items()}
        t = self._labels.t
        labels = Labels(
            self._labels.names, self._labels.x, self._labels.y, t if t is None else t[start:stop], self._labels.attrs
        )
        return Summary(self.alpha, columns, labels, self._shape)

    def peakiness(self, alpha: float | None = None) -> NDArray[np.float64]:
        """Cells of the mask over cells anywhere that reach its threshold, shape (n_t,); NaN in a bin without peaks.

        Of a level, without `alpha` the highest.
        """
        level = self._level(alpha)
        peakiness = np.full(len(self), np.nan)
        with np.errstate(divide="ignore"):
            np.divide(self.area[level], self.reached[level], out=peakiness, where=self.live)
        return peakiness

    def focality(self, alpha: float | None = None, *, cells: int | None = None) -> NDArray[np.float64]:
        """Cells of the mask over the number of cells that the track has, shape (n_t,): all of the map unless given."""
        if cells is None:
            if self._shape is None:
                raise ValueError("cells is the number of cells of the track; this summary does not know its map")
            cells = self._shape[0] * self._shape[1]
        focality: NDArray[np.float64] = self.area[self._level(alpha)] / cells
        return focality

    def sequentiality(self, alpha: float | None = None) -> NDArray[np.float64]:
        """How alike the masks of consecutive bins are, shape (n_t - 1,).

        The cells in both the first mask, dilated by 3 x 3, and the second, over those in either; 0 where a mask is empty. Of
        a level, without `alpha` the highest.
        """
        level = self._level(alpha)
        both, either = self.dilated_overlap[level, :-1], self.dilated_union[level, :-1]
        filled = (self.area[level, :-1] > 0) & (self.area[level, 1:] > 0)
        sequentiality = np.zeros(len(both))
        np.divide(both, either, out=sequentiality, where=filled)
        return sequentiality

    def change_vectors(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """The way of the dominant peak from each bin to the next, shape (n_t - 1, 2), in the unit of the coordinates.

        NaN where either bin has no peaks.

        Parameters
        ----------
        x, y : array_like, optional
            Centres or edges of the cells; without them those of the labels that P had, else cells.
        """
        return np.diff(self.positions(x, y), axis=0)

    def turn_angles(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """The angle, from 0 to pi, between each change vector and the next, shape (n_t - 2,).

        NaN where one of the three bins has no peaks, or a vector is shorter than 1e-9.
        """
        vectors = self.change_vectors(x, y)
        lengths = np.hypot(vectors[:, 0], vectors[:, 1])
        long_enough = (lengths[:-1] >= SHORTEST) & (lengths[1:] >= SHORTEST)
        cosines = np.full(len(long_enough), np.nan)
        products = (vectors[:-1] * vectors[1:]).sum(axis=1)
        np.divide(products, lengths[:-1] * lengths[1:], out=cosines, where=long_enough)
        angles: NDArray[np.float64] = np.arccos(np.clip(cosines, -1.0, 1.0))
        return angles

    def positions(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """Where the dominant peak is, shape (n_t, 2), in the unit of the coordinates; NaN in a bin without peaks."""
        places = np.full((len(self), 2), np.nan)
        for axis, (name, given, labelled) in enumerate((("x", x, self._labels.x), ("y", y, self._labels.y))):
            cells = self.dominant[self.live, axis]
            given = labelled if given is None else given
            if given is not None:
                n = int(cells.max(initial=-1)) + 1 if self._shape is None else self._shape[axis]
                places[self.live, axis] = np.take(coordinates(name, given, n), cells)
            else:
                places[self.live, axis] = cells
        return places

    def to_dataframe(self, *, t: ArrayLike | None = None) -> pd.DataFrame:
        """One row for each time bin; columns of masks are named by their level, as in ``area_0.5``.

        Raises
        ------
        ImportError
            Without pandas: ``pip install "peakmask[pandas]"``.
        """
        from ._analysis import optional

        pandas = optional("pandas")
        times = self._times(t)
        columns: dict[str, Any] = {} if times is None else {"t": times}
        for name in BY_BIN:
            for end, column in _split(name, getattr(self, name)):
                columns[f"{name}{end}"] = column
        for level, label in enumerate(level_names(self.alpha)):
            for name in BY_LEVEL:
                for end, column in _split(name, getattr(self, name)[level]):
                    columns[f"{name}{end}_{label}"] = column
        table: pd.DataFrame = pandas.DataFrame(columns)
        table.index.name = "bin"
        return table

    def to_xarray(self, *, t: ArrayLike | None = None) -> xr.Dataset:
        """Every column as a variable, with dimensions ``alpha``, ``axis`` ("x", "y") and that of time.

        Raises
        ------
        ImportError
            Without xarray: ``pip install "peakmask[xarray]"``.
        """
        from ._analysis import optional

        xarray = optional("xarray")
        time = self._labels.names[2]
        coords: dict[str, Any] = {**of_levels(self.alpha), "axis": ["x", "y"]}
        times = self._times(t)
        if times is not None:
            coords[time] = (time, times)
        variables = {}
        for name, column in self.columns().items():
            dims = ["alpha"] if name in BY_LEVEL else []
            variables[name] = ([*dims, time, *(["axis"] if name in PAIRS else [])], column)
        dataset: xr.Dataset = xarray.Dataset(variables, coords=coords)
        return dataset

    def save(self, file: str | os.PathLike[str] | Any) -> None:
        """Write all columns into one `.npz` file, arrays by name; `Summary.load` reads it again.

        The names are those that ``peakmask summary -o FILE.npz`` of the program writes. An existing file is replaced when
        the new one is complete. A path that ends in ``.zarr`` becomes a folder of zarr, which must not be there yet; into a
        ``zarr.Group`` arrays are written.

        Examples
        --------
        >>> import numpy as np, peakmask, tempfile, os
        >>> P = np.random.default_rng(0).random((8, 9, 30))
        >>> summary = peakmask.analyze(P, alpha=[0.5, 0.9], masks=None, summary=True).summary
        >>> file = os.path.join(tempfile.mkdtemp(), "summary.npz")
        >>> summary.save(file)
        >>> peakmask.Summary.load(file)
        <summary of 30 time bins, alpha 0.5, 0.9>
        """
        from ._files import save_summary

        save_summary(self, file)

    @classmethod
    def load(cls, file: str | os.PathLike[str] | Any) -> Summary:
        """Read a summary: one that `save` or the program has written, or the folder or group ``summary`` of a `stream`.

        Columns of a stream's folder are mapped into memory, and read when they are looked at.

        Raises
        ------
        ValueError
            When the file holds no summary.
        """
        from ._files import load_summary

        return load_summary(file)

    def _times(self, t: ArrayLike | None) -> NDArray[Any] | None:
        given = self._labels.t if t is None else t
        return None if given is None else coordinates("t", given, len(self), "time bins")

    def _level(self, alpha: float | None) -> int:
        if alpha is None:
            if not self.alpha:
                raise ValueError("there are no levels; pass alpha to analyze")
            return int(np.nanargmax(self.alpha)) if not np.isnan(self.alpha).all() else 0
        return which(self.alpha, alpha, "level")

    def __repr__(self) -> str:
        """Say of how many."""
        return f"<summary of {len(self):,} time bins, alpha {', '.join(map(str, self.alpha)) or 'none'}>"


def bins_of(name: str, start: int, stop: int) -> tuple[slice, ...]:
    """Where the time bins `start` to `stop` - 1 are in a column of this name."""
    return (slice(None), slice(start, stop)) if name in BY_LEVEL else (slice(start, stop),)


def columns_of(levels: int, n_t: int, dtype: np.dtype[Any]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shapes and types of all columns of so many levels and time bins of maps of this type."""
    whole, single, truth = np.dtype(np.int64), np.dtype(np.float64), np.dtype(np.bool_)
    types = dict.fromkeys(("height", "prominence", "highest_prominence", "minimum", "threshold"), dtype)
    types.update(dict.fromkeys(("total", "distance", "mass", "centroid"), single))
    types.update(dict.fromkeys(("live", "border", "near"), truth))
    return {
        name: (
            (*((levels,) if name in BY_LEVEL else ()), n_t, *((2,) if name in PAIRS else ())),
            types.get(name, whole),
        )
        for name in (*BY_BIN, *BY_LEVEL)
    }


def joined(parts: list[dict[str, NDArray[Any]]], seams: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Put columns of parts that follow one another together; seams are the overlaps from each, but the last, to the next.

    No part is without time bins, unless it is the only one.
    """
    columns = {
        name: np.concatenate([part[name] for part in parts], axis=len(bins_of(name, 0, 0)) - 1) for name in parts[0]
    }
    ends = np.cumsum([len(part["live"]) for part in parts[:-1]], dtype=np.int64) - 1
    for end, seam in zip(ends, seams):
        for name in OVERLAPS:
            columns[name][:, end] = seam[name]
    return columns


def level_names(alpha: tuple[float, ...]) -> list[str]:
    """Name levels by their alphas, or their kinds and numbers; those that were given before by their place, too."""
    names: list[str] = []
    for i, value in enumerate(alpha):
        name = f"{value:g}".replace(" ", "_")
        names.append(name if name not in names else f"{name}_{i}")
    return names


def _split(name: str, column: NDArray[Any]) -> list[tuple[str, NDArray[Any]]]:
    return [("_x", column[:, 0]), ("_y", column[:, 1])] if name in PAIRS else [("", column)]
