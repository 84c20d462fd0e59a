"""What callers pass, as the arrays that the library reads: float64 or float32, axes x, y, t."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Layout = Literal["xyt", "txy", "xt", "tx"]
Axes = tuple[int, int, int]

AXES: dict[str, Axes] = {"xyt": (0, 1, 2), "txy": (1, 2, 0)}
"""Where x, y and t stand among the axes of an array in each layout."""

TRACKS: dict[str, Axes] = {"xt": (0, 1, 2), "tx": (1, 2, 0)}
"""The same of a linear track, whose maps are one column: y, of length 1, is the axis behind x."""

EXACT = 2**53
"""Beyond this magnitude some integers have no float64 of their own."""


@dataclass(frozen=True)
class Labels:
    """What an array with labels says of its axes: names, and coordinates in the caller's units."""

    names: tuple[str, str, str] = ("x", "y", "t")
    x: NDArray[Any] | None = None
    y: NDArray[Any] | None = None
    t: NDArray[Any] | None = None
    attrs: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Posterior:
    """A posterior as the caller holds it, with the places of x, y and t among its axes."""

    array: NDArray[Any]
    axes: Axes
    labels: Labels
    known: bool = False
    """Whether the caller or the array says which axis is which, so that no guess is needed."""
    track: bool = False
    """Whether y, of length 1, is not an axis of the caller's."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_x, n_y, n_t)."""
        x, y, t = self.axes
        shape = self.array.shape
        return shape[x], shape[y], shape[t]

    def back(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Turn an array of axes x, y, t so that its axes are the caller's."""
        turned = np.transpose(mask, [self.axes.index(axis) for axis in range(3)])
        return turned.squeeze(self.axes[1]) if self.track else turned

    @property
    def given(self) -> tuple[int, ...]:
        """The shape of the caller's array."""
        shape = self.array.shape
        return tuple(n for axis, n in enumerate(shape) if axis != self.axes[1]) if self.track else shape


def posterior(p: ArrayLike, layout: str | None = None, dims: Sequence[str] | None = None) -> Posterior:
    """Read arrays with and without labels."""
    axes = axes_of(layout)
    kind = type(p).__module__.partition(".")[0]
    if kind == "dask":
        raise TypeError(
            "P is a dask array; compute it first (P.compute()), or leave it in its chunks with peakmask.dask.analyze"
        )
    if kind == "xarray":
        return _from_xarray(p, dims)
    if dims is not None:
        raise ValueError(f"dims={dims!r} names dimensions of an xarray.DataArray, but P is a {type(p).__name__}")
    if kind == "pynapple":
        return _from_pynapple(p)
    array = plain(p)
    if layout in TRACKS:
        return _track(array, axes, Labels(names=("x", "y", "t")), layout)
    three_axes(array.shape)
    return Posterior(array, axes, Labels(), known=layout is not None)


def _track(array: NDArray[Any], axes: Axes, labels: Labels, layout: str) -> Posterior:
    """See a linear track as maps of one column."""
    if array.ndim != 2:
        raise ValueError(
            f'layout="{layout}" is that of a linear track, an array with two axes, but the array has shape {array.shape}'
            + ('; leave it out, or pass "xyt" or "txy"' if array.ndim == 3 else "")
        )
    return Posterior(np.expand_dims(array, axes[1]), axes, labels, known=True, track=True)


def axes_of(layout: Any) -> Axes:
    """Where x, y and t stand; without a layout as in "xyt"."""
    if layout is None:
        return AXES["xyt"]
    if not isinstance(layout, str) or layout not in (*AXES, *TRACKS):
        raise ValueError(f'layout is "xyt" or "txy", for a linear track "xt" or "tx", not {layout!r}')
    return AXES.get(layout) or TRACKS[layout]


def plain(p: ArrayLike) -> NDArray[Any]:
    """See what is passed as an ndarray; refuse masks, and what is no array."""
    if isinstance(p, np.ndarray):
        if np.ma.is_masked(p):
            raise TypeError(
                "P is a masked array with masked cells, which have no value; fill them first: P.filled(numpy.nan) "
                "silences the time bins that hold them, P.filled(0) leaves them out"
            )
        return np.asarray(p)
    if p is None:
        raise TypeError("P is None; pass an array P[x, y, t]")
    if isinstance(p, (str, bytes, os.PathLike)):
        raise TypeError(f"P is an array, not a path; load it first: numpy.load({os.fspath(p)!r})")
    if isinstance(p, Mapping):
        names = ", ".join(map(repr, list(p)[:5]))
        raise TypeError(f"P is an array, but a {type(p).__name__} was passed; choose one of its entries: {names}")
    if isinstance(p, (list, tuple)) and any(isinstance(part, np.ndarray) and part.ndim == 3 for part in p):
        raise ValueError(
            f"P is one array, but a {type(p).__name__} of {len(p)} was passed; analyse epochs one by one, put them together "
            "with numpy.concatenate(epochs, axis=2), or pass the list to "
            "peakmask.analyze_many, or to peakmask.compat.compute_posterior_peak_promenences"
        )
    try:
        array = np.asarray(p)
    except ValueError as error:
        raise ValueError(f"P cannot be read as an array with three axes: {error}") from None
    if array.dtype == object and array.ndim < 3 and isinstance(p, (list, tuple)):  # NumPy before 1.24
        raise ValueError("P cannot be read as an array with three axes: its parts differ in shape")
    return array


def three_axes(shape: tuple[int, ...]) -> None:
    """Refuse other numbers of axes, with advice."""
    if len(shape) == 3:
        return
    advice = {
        2: '; a single map is P[:, :, numpy.newaxis]; of a linear track pass layout="xt", or "tx" if time comes first',
        4: '; sum a posterior (t, state, x, y) over its states first, P.sum(axis=1), and pass layout="txy"',
    }.get(len(shape), "")
    raise ValueError(f"P[x, y, t] has three axes, but the array has shape {shape}{advice}")


def _from_xarray(p: Any, dims: Sequence[str] | None) -> Posterior:
    if not isinstance(p, sys.modules["xarray"].DataArray):
        raise TypeError(f"of xarray's types, P is a DataArray, not a {type(p).__name__}; choose a variable: P[name]")
    if type(p.data).__module__.partition(".")[0] == "dask":
        raise TypeError(
            "P holds a dask array; load it first (P.compute()), or leave it in its chunks with peakmask.dask.analyze(P)"
        )
    if p.ndim == 2:
        return _labelled_track(p, dims)
    axes, labels = labelled(p, dims)
    return Posterior(plain(p.data), axes, labels, known=True)


def _labelled_track(p: Any, dims: Sequence[str] | None) -> Posterior:
    """Read a DataArray of two dimensions, one of which is time: a linear track."""
    if dims is None:
        times = [name for name in p.dims if _means("t", name)]
        if len(times) != 1:
            raise ValueError(
                f"P[x, y, t] has three dimensions, a linear track P[x, t] has two, but which of {p.dims} is time cannot be "
                'told; name them in the order x, t: dims=("x", "time")'
            )
        dims = [name for name in p.dims if name != times[0]] + times
    if len(dims) != 2 or sorted(map(str, dims)) != sorted(map(str, p.dims)):
        raise ValueError(f"dims names x and t of a linear track, in this order, among {p.dims}, but is {tuple(dims)}")
    x, t = dims
    layout = "xt" if p.dims[0] == x else "tx"
    at = {name: np.asarray(p.coords[name].values) for name in dims if name in p.coords}
    attrs = {str(name): dict(p.coords[name].attrs) for name in dims if name in p.coords}
    labels = Labels((str(x), "y", str(t)), at.get(x), None, at.get(t), attrs)
    return _track(plain(p.data), TRACKS[layout], labels, layout)


def labelled(p: Any, dims: Sequence[str] | None) -> tuple[Axes, Labels]:
    """Where x, y and t stand among the dimensions of a DataArray, and what it says of them."""
    if p.ndim == 4 and dims is None:
        others = [name for name in p.dims if not any(_means(axis, name) for axis in "xyt")]
        raise ValueError(
            f"P[x, y, t] has three dimensions, but the DataArray has {p.dims}; sum over the one that is neither x, y nor "
            f"t first: P.sum({(others or ['state'])[0]!r})"
        )
    if dims is None:
        dims = [_find(axis, p.dims) for axis in "xyt"]
    if len(dims) != 3 or sorted(map(str, dims)) != sorted(map(str, p.dims)):
        raise ValueError(f"dims names x, y and t, in this order, among {p.dims}, but is {tuple(dims)}")
    x, y, t = dims
    at = {name: np.asarray(p.coords[name].values) for name in dims if name in p.coords}
    attrs = {str(name): dict(p.coords[name].attrs) for name in dims if name in p.coords}
    axes = (p.dims.index(x), p.dims.index(y), p.dims.index(t))
    return axes, Labels((str(x), str(y), str(t)), at.get(x), at.get(y), at.get(t), attrs)


def _means(axis: str, dim: Any) -> bool:
    """Whether a dimension's name speaks of this axis: x, x_position, xbin, position_x; t, time, time_bins."""
    name = str(dim).lower()
    if axis == "t" and name.startswith("time"):
        return True
    return name == axis or name.startswith((f"{axis}_", f"{axis}bin", f"{axis}pos")) or name.endswith(f"_{axis}")


def _find(axis: str, names: tuple[Any, ...]) -> Any:
    found = [name for name in names if _means(axis, name)]
    if len(found) != 1:
        raise ValueError(
            f"the dimension {axis} cannot be told among {names}; name all three in the order x, y, t: "
            'dims=("x", "y", "time")'
        )
    return found[0]


def _from_pynapple(p: Any) -> Posterior:
    if type(p).__name__ == "TsdFrame":
        return _track(plain(p.values), TRACKS["tx"], Labels(t=np.asarray(p.t)), "tx")
    if type(p).__name__ != "TsdTensor":
        raise TypeError(
            "of pynapple's types, P is a TsdTensor of shape (t, x, y), or of a linear track a TsdFrame of shape (t, x), "
            f"not a {type(p).__name__}"
        )
    array = plain(p.values)
    three_axes(array.shape)
    return Posterior(array, AXES["txy"], Labels(t=np.asarray(p.t)), known=True)


def element_type(array: Any) -> np.dtype[Any]:
    """The type in which an array is analysed: float32 for half and single precision, else float64."""
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "f":
        return np.dtype(np.float32 if size <= 4 else np.float64)
    if kind in "iub":
        return np.dtype(np.float64)
    raise TypeError(
        f"P holds real numbers (float64 and float32 as they are; half precision, integers and booleans converted), "
        f"but the array is of {array.dtype}; convert it first, for instance P.real or P.astype(float)"
    )


def readable(array: NDArray[Any]) -> bool:
    """Whether the library reads the array where it lies."""
    size = array.dtype.itemsize
    return bool(
        array.dtype == element_type(array)
        and array.dtype.isnative
        and array.flags.aligned
        and all(stride % size == 0 for stride, n in zip(array.strides, array.shape) if n > 1)
    )


def values(array: NDArray[Any]) -> NDArray[Any]:
    """See the array as the library reads it, or copy it once."""
    dtype = element_type(array)
    if array.size == 0:
        return np.empty(array.shape, dtype)
    if readable(array):
        return array
    if array.dtype.kind in "iu":
        _exact(array)
    # Rounding to infinity is what a conversion does; it needs no warning beside.
    with np.errstate(over="ignore"):
        return np.array(array, dtype, order="K", copy=True)


def _exact(array: NDArray[Any]) -> None:
    """Refuse integers without a float64 of their own."""
    low, high = int(array.min()), int(array.max())
    if low >= -EXACT and high <= EXACT:
        return
    top = 2.0 ** (63 if array.dtype.kind == "i" else 64)
    for part in array:  # a part at a time, so that temporaries stay small
        as_float = part.astype(np.float64)
        inside = as_float < top  # beyond, the way back is undefined
        exact = inside & (np.where(inside, as_float, 0.0).astype(array.dtype) == part)
        if not exact.all():
            raise ValueError(
                f"integers are analysed as float64, but {part[~exact][0]} has none of its own (beyond 2**53 not every "
                "integer has); scale P down, or convert it to float64 yourself if rounding does no harm"
            )


def coordinates(axis: str, given: ArrayLike, n: int, what: str = "cells") -> NDArray[Any]:
    """Centres of cells or bins, from n centres, or from n + 1 edges in rising or falling order."""
    found = np.asarray(given)
    if found.shape == (n,):
        return found
    if found.shape != (n + 1,):
        raise ValueError(
            f"{axis} has shape {found.shape}, but there are {n} {what}: give {n} centres, one for each, or {n + 1} edges"
        )
    if found.dtype.kind not in "iufmM":
        raise ValueError(f"{axis} has {n + 1} edges for {n} {what}, but edges are numbers or times, not {found.dtype}")
    edges = found.astype(np.float64) if found.dtype.kind in "iu" else found
    lower, upper = edges[:-1], edges[1:]
    if not ((lower <= upper).all() or (lower >= upper).all()):
        raise ValueError(
            f"{axis} has {n + 1} entries for {n} {what}, which are read as edges, but they neither rise nor fall"
        )
    centres: NDArray[Any] = lower + (upper - lower) / 2
    return centres


def outputs(out: Any, p: Posterior, n_alpha: int) -> list[NDArray[Any]]:
    """Check the masks of the caller: one for each alpha, of P's shape. Rust checks that memory may be written to."""
    try:
        one = isinstance(out, np.ndarray) and out.ndim == len(p.given)
        masks: list[NDArray[Any]] = [out] if one else list(out)
    except TypeError:
        raise TypeError(f"out is a sequence of masks, one for each alpha, not a {type(out).__name__}") from None
    if len(masks) != n_alpha:
        raise ValueError(f"out has {len(masks)} masks, but there are {n_alpha} alphas; give one mask for each alpha")
    for i, mask in enumerate(masks):
        if not isinstance(mask, np.ndarray) or mask.dtype not in (np.dtype(np.bool_), np.dtype(np.uint8)):
            found = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else f"a {type(mask).__name__}"
            raise TypeError(f"out[{i}] is {found}; masks are NumPy arrays of bool")
        if mask.shape != p.given:
            raise ValueError(f"out[{i}] has shape {mask.shape}, but P has shape {p.given}; give a mask of P's shape")
    return masks


def as_bytes(mask: NDArray[Any], p: Posterior) -> NDArray[np.uint8]:
    """The bytes of an output, with axes x, y, t."""
    # A plain array: what a subclass says of itself is not what its memory is.
    view = np.asarray(mask).view(np.uint8) if mask.size else np.empty(mask.shape, np.uint8)
    return np.transpose(np.expand_dims(view, p.axes[1]) if p.track else view, p.axes)
