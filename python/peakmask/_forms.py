"""Masks in other forms than arrays of booleans."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core


class PackedMask:
    """A mask as bits: an eighth of the memory of booleans.

    Attributes
    ----------
    bits : ndarray of uint8, shape (n_x, n_y, ceil(n_t / 8))
        Eight time bins a byte, as ``numpy.packbits(mask, axis=-1, bitorder="little")`` gives.
    shape : tuple of int
        (n_x, n_y, n_t) of the mask.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> packed = peakmask.analyze(P, alpha=0.5, masks="packed").packed[0]
    >>> mask = peakmask.analyze(P, alpha=0.5).masks[0]
    >>> np.array_equal(packed.expand(10, 20), mask[:, :, 10:20])
    True
    >>> np.array_equal(packed.areas, mask.sum(axis=(0, 1)))
    True
    """

    def __init__(self, bits: NDArray[np.uint8], n_t: int) -> None:
        self.bits = bits
        self.shape = (*bits.shape[:2], n_t)

    def expand(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """Give the mask of time bins `start` to `stop` as booleans, all of them unless told otherwise."""
        start, stop, _ = slice(start, stop).indices(self.shape[2])
        stop = max(start, stop)
        part = self.bits[:, :, start // 8 : -(-stop // 8)]
        bits = np.unpackbits(part, axis=-1, bitorder="little")
        first = start % 8
        return bits[:, :, first : first + stop - start].view(np.bool_)

    def part(self, start: int, stop: int) -> PackedMask:
        """Give the mask of time bins `start` to `stop` - 1 as bits of its own: a view of whole bytes, else a copy."""
        start, stop, _ = slice(start, stop).indices(self.shape[2])
        n_t = max(0, stop - start)
        if start % 8 == 0 and (stop % 8 == 0 or stop == self.shape[2]):
            return PackedMask(self.bits[:, :, start // 8 : start // 8 + -(-n_t // 8)], n_t)
        return PackedMask(np.packbits(self.expand(start, stop), axis=-1, bitorder="little"), n_t)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Cells in each time bin, shape (n_t,)."""
        return self._numbers[0]

    @property
    def overlaps(self) -> NDArray[np.int64]:
        """With the mask of the next bin, shape (n_t - 1, 3).

        Cells in both; cells in both after the first was dilated by 3 x 3; cells in either after that.
        """
        return self._numbers[1]

    @functools.cached_property
    def _numbers(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _core.packed_numbers(np.ascontiguousarray(self.bits), self.shape[2])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, as booleans."""
        return self.expand() if dtype is None else self.expand().astype(dtype)

    def __repr__(self) -> str:
        """Say of which shape."""
        return f"<packed mask of shape {self.shape}>"


class SparseMask:
    """A mask as the cells of each time bin: the least memory where regions are small.

    Attributes
    ----------
    offsets : ndarray of int64, shape (n_t + 1,)
        The cells of time bin t are those from ``offsets[t]`` to ``offsets[t + 1] - 1``.
    cells : ndarray of uint32
        ``x * n_y + y`` of each cell, in row-major order within a bin.
    shape : tuple of int
        (n_x, n_y, n_t) of the mask.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.0, 0.0], [4.0, 1.0], [8.0, 5.0], [1.0, 8.0], [5.0, 0.0]]])
    >>> sparse = peakmask.analyze(P, alpha=0.5, masks="sparse").sparse[0]
    >>> sparse[0], sparse[1], sparse.areas
    (array([[0, 1],
           [0, 2]]), array([[0, 2],
           [0, 3]]), array([2, 2]))
    """

    def __init__(self, offsets: NDArray[np.int64], cells: NDArray[np.uint32], shape: tuple[int, int, int]) -> None:
        self.offsets = offsets
        self.cells = cells
        self.shape = shape

    def __len__(self) -> int:
        """Count time bins."""
        return self.shape[2]

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        """Give x and y of the cells of a time bin, shape (k, 2)."""
        t = range(len(self))[index]
        cells = self.cells[self.offsets[t] : self.offsets[t + 1]].astype(np.int64)
        return np.stack(np.divmod(cells, self.shape[1]), axis=1)

    @property
    def areas(self) -> NDArray[np.int64]:
        """Cells in each time bin, shape (n_t,)."""
        return np.diff(self.offsets)

    def expand(self, start: int = 0, stop: int | None = None) -> NDArray[np.bool_]:
        """Give the mask of time bins `start` to `stop` as booleans, all of them unless told otherwise."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        n_x, n_y, _ = self.shape
        mask = np.zeros((n_x * n_y, stop - start), np.bool_)
        bins = np.repeat(np.arange(stop - start), self.areas[start:stop])
        mask[self.cells[self.offsets[start] : self.offsets[stop]], bins] = True
        return mask.reshape(n_x, n_y, stop - start)

    def part(self, start: int, stop: int) -> SparseMask:
        """Give the mask of time bins `start` to `stop` - 1 as lists of its own; cells are a view."""
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        offsets = self.offsets[start : stop + 1]
        cells = self.cells[offsets[0] : offsets[-1]]
        return SparseMask(offsets - offsets[0], cells, (*self.shape[:2], stop - start))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, as booleans."""
        return self.expand() if dtype is None else self.expand().astype(dtype)

    def __repr__(self) -> str:
        """Say of which shape."""
        return f"<sparse mask of shape {self.shape}, {len(self.cells):,} cells>"
