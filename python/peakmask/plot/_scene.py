"""What is drawn, in the caller's coordinates: the same for every kind of picture."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _inputs
from .._analysis import optional
from .._levels import outer_first
from ._marks import Marks

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

    from .._analysis import Analysis


class Options(TypedDict, total=False):
    """Keywords that all pictures take; see `peakmask.plot`."""

    x: ArrayLike | None
    y: ArrayLike | None
    t: ArrayLike | None
    units: str | None
    path: ArrayLike | None
    cmap: str | Colormap
    norm: str | Normalize
    vmin: float | None
    vmax: float | None
    min_height: float
    min_prominence: float
    top: int | None


class Place:
    """One axis of space: centres and edges of its cells, and how it is called."""

    def __init__(self, analysis: Analysis, axis: int, given: ArrayLike | None, units: str | None) -> None:
        labels = analysis._labels
        n = analysis.shape[axis]
        self.name = labels.names[axis]
        coordinates = (labels.x, labels.y)[axis] if given is None else np.asarray(given)
        self.known = coordinates is not None
        numbers = _numbers(self.name, np.arange(n) if coordinates is None else coordinates)
        self.centres, self.edges = _centres_and_edges(self.name, numbers, n)
        if not any(
            (sign * np.diff(ends) > 0).all() for sign in (1, -1) for ends in [self.centres if n > 1 else self.edges]
        ):
            raise ValueError(
                f"{self.name} neither rises nor falls all the way; give coordinates in the order of the cells"
            )
        unit = units or labels.attrs.get(self.name, {}).get("units")
        self.unit = unit if self.known else "cells"
        self.label = f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def widths(self) -> NDArray[np.float64]:
        """Of the cells."""
        return np.abs(np.diff(self.edges))


class Times:
    """The axis of time: numbers to draw at, and words for each bin."""

    def __init__(self, labels: _inputs.Labels, n: int, given: ArrayLike | None) -> None:
        name = labels.names[2]
        unit = labels.attrs.get(name, {}).get("units")
        coordinates = labels.t if given is None else _times(given)
        self.known = coordinates is not None
        self.words: NDArray[Any] | None = None
        self.unit: str | None = None
        values: NDArray[Any] = np.arange(n) if coordinates is None else _times(coordinates)
        self.kind = values.dtype.kind
        shown = "time" if name == "t" else name
        if self.kind == "U":
            if values.shape != (n,):
                raise ValueError(f"t has shape {values.shape}, but there are {n} time bins: give a string for each")
            self.values, self.edges, self.words = np.arange(n), np.arange(n + 1) - 0.5, values
            self.label, self.unit = shown, None
            return
        if self.kind == "m":
            values = values / np.timedelta64(1, "s")
        centres, self.edges = _centres_and_edges("t", values, n)
        self.values = centres
        self.unit = unit if self.kind in "iuf" else None
        self.label = f"{shown} ({unit})" if self.unit else shown if self.known else f"{shown} (bins)"

    @property
    def are_numbers(self) -> bool:
        """Whether times are numbers that speak for themselves."""
        return self.kind in "iuf"

    def word(self, bin: int) -> str:
        """A time that is no number, as people write it."""
        if self.words is not None:
            return str(self.words[bin])
        value = self.values[bin]
        if self.kind == "M":
            return str(value.astype("datetime64[ms]")).replace("T", " ").removesuffix(".000")
        return clock(float(value))

    def say(self, bin: int) -> str:
        """What a title says of a time bin."""
        if not self.known:
            return f"bin {bin}"
        if not self.are_numbers:
            return f"bin {bin}, {'t = ' if self.kind == 'm' else ''}{self.word(bin)}"
        value = self.values[bin]
        return f"bin {bin}, t = {value:.10g}" + (f" {self.unit}" if self.unit else "")

    def dress(self, axis: Any) -> None:
        """Make the ticks of an axis read as what they are."""
        from matplotlib import ticker

        axis.set_label_text(self.label)
        if self.kind == "M":
            dates: Any = importlib.import_module("matplotlib.dates")  # a module without types
            locator = dates.AutoDateLocator()
            axis.set_major_locator(locator)
            axis.set_major_formatter(dates.ConciseDateFormatter(locator))
        elif self.kind == "m":
            axis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 1.5, 2, 3, 5, 6, 10]))
            axis.set_major_formatter(ticker.FuncFormatter(lambda seconds, _: clock(seconds)))
        elif self.words is not None:
            words = self.words
            axis.set_major_locator(ticker.MaxNLocator(6, integer=True))
            axis.set_major_formatter(
                ticker.FuncFormatter(lambda bin, _: str(words[int(bin)]) if bin in range(len(words)) else "")
            )


def pyplot() -> Any:
    """matplotlib.pyplot, or which extra brings it."""
    optional("matplotlib", "plot")
    return importlib.import_module("matplotlib.pyplot")


def clock(seconds: float) -> str:
    """A duration as people write it: 1:02:03.5."""
    if not np.isfinite(seconds):
        return "no time"
    sign, milliseconds = "-" if seconds < 0 else "", round(abs(seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    words = f"{rest / 1000:06.3f}".rstrip("0").rstrip(".")
    return f"{sign}{hours}:{minutes:02}:{words}"


class Scene:
    """A posterior with its analysis, coordinates, marks and path."""

    def __init__(
        self,
        P: ArrayLike | None,
        analysis: Analysis,
        *,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        t: ArrayLike | None = None,
        units: str | None = None,
        path: ArrayLike | None = None,
        cmap: str | Colormap = "viridis",
        norm: str | Normalize = "linear",
        vmin: float | None = None,
        vmax: float | None = None,
        min_height: float = 0.05,
        min_prominence: float = 0.0,
        top: int | None = None,
    ) -> None:
        optional("matplotlib", "plot")
        from ._colours import Scale

        self.analysis = analysis
        self.maps = None if P is None else maps(P, analysis)
        self.places = (Place(analysis, 0, x, units), Place(analysis, 1, y, units))
        self.times = Times(analysis._labels, analysis.shape[2], t)
        self.marks = Marks(min_height, min_prominence, top)
        self.path = None if path is None else places_of_path(path, analysis)
        self.scale = Scale(norm, vmin, vmax)
        self.cmap = cmap

    @property
    def along(self) -> int | None:
        """The axis along which a linear track runs, if this is one."""
        return along(self.analysis)

    def map(self, bin: int) -> NDArray[Any]:
        """P[:, :, bin]."""
        assert self.maps is not None
        return self.maps[:, :, bin]

    def mask(self, level: int, bin: int) -> NDArray[np.bool_]:
        """The mask of a level in a time bin, with axes x, y."""
        mask: NDArray[np.bool_] = self.analysis._maps[level].transpose(self.analysis._axes)[:, :, bin]
        return mask

    def marked(self, bin: int) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """Cells of the marked peaks of a time bin, their heights as shares of the highest, and which is dominant."""
        peaks = self.analysis.peaks[bin : bin + 1]
        marked, shares = self.marks.choose(peaks)
        if not len(shares):
            return peaks._xy, shares, -1
        dominant = int(np.argmax(peaks.heights))
        marked[dominant] = True
        return peaks._xy[marked], shares[marked], int(np.count_nonzero(marked[:dominant]))

    def levels(self) -> list[int]:
        """Levels in the order in which they are drawn: inner ones on top of outer ones."""
        return outer_first(self.analysis.alpha)


def along(analysis: Analysis) -> int | None:
    """The axis along which a linear track runs, if this is one."""
    n_x, n_y, _ = analysis.shape
    return None if (n_x == 1) == (n_y == 1) else int(n_x == 1)


def maps(p: ArrayLike, analysis: Analysis) -> NDArray[Any]:
    """P with its axes in the order x, y, t."""
    values = _inputs.plain(getattr(p, "values", p))
    if analysis._track and values.ndim == 2:
        values = np.expand_dims(values, analysis._axes[1])
    if values.ndim != 3 or values.transpose(analysis._axes).shape != analysis.shape:
        n_x, n_y, n_t = analysis.shape
        raise ValueError(
            f"P has shape {values.shape}, but {n_t} time bins of {n_x} x {n_y} cells were analysed; pass the same P"
        )
    return np.transpose(values, analysis._axes)


def choose_bins(bins: Any, n_t: int) -> list[int]:
    """Time bins by number (from the end if negative, repeated if repeated), slice, or boolean mask."""
    if isinstance(bins, slice):
        return list(range(n_t)[bins])
    if bins is None:
        return list(range(n_t))
    chosen = np.asarray(list(bins) if isinstance(bins, Iterable) and not hasattr(bins, "__array__") else bins)
    chosen = np.atleast_1d(chosen)
    if chosen.ndim != 1:
        raise ValueError(f"bins has shape {chosen.shape}; give time bins, a slice, or a boolean for each of {n_t} bins")
    if chosen.dtype == bool:
        if len(chosen) != n_t:
            raise ValueError(f"bins has {len(chosen)} booleans, but there are {n_t} time bins; give one for each")
        return [int(bin) for bin in np.flatnonzero(chosen)]
    if len(chosen) and chosen.dtype.kind not in "iu":
        raise TypeError(
            f"bins are whole numbers, a slice, or a boolean for each time bin, not {chosen.dtype}; for times, look the "
            "bins up first: numpy.searchsorted(t, times)"
        )
    for bin in chosen:
        if not -n_t <= bin < n_t:
            raise IndexError(f"there is no time bin {bin}; there are {n_t}, from 0 to {n_t - 1}")
    return [int(bin) % n_t for bin in chosen]


def places_of_path(path: ArrayLike, analysis: Analysis) -> NDArray[np.float64]:
    """Where the animal was in each time bin: x and y."""
    n_x, n_y, n_t = analysis.shape
    places = _numbers("path", np.asarray(path))
    if places.shape == (n_t,) and 1 in (n_x, n_y):
        nowhere = np.full(n_t, np.nan)
        return np.stack([places, nowhere] if n_y == 1 else [nowhere, places], 1)
    if places.shape != (n_t, 2):
        raise ValueError(f"path has shape {places.shape}, but {n_t} time bins need x and y each: ({n_t}, 2)")
    return places


def _numbers(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf":
        raise ValueError(f"{name} are numbers, not {values.dtype}")
    return np.asarray(values, float)


def _times(given: ArrayLike) -> NDArray[Any]:
    """Numbers, datetime64, timedelta64 or strings."""
    values = np.asarray(given)
    if values.dtype.kind == "O":
        items = list(values.ravel())
        if items and all(isinstance(item, datetime.timedelta) for item in items):
            values = np.array(items, "timedelta64[us]").reshape(values.shape)
        elif items and all(isinstance(item, datetime.datetime) for item in items):
            utc = [
                item.astimezone(datetime.timezone.utc).replace(tzinfo=None) if item.tzinfo else item for item in items
            ]
            values = np.array(utc, "datetime64[us]").reshape(values.shape)
        elif items and all(isinstance(item, datetime.date) for item in items):
            values = np.array(items, "datetime64[D]").reshape(values.shape)
        elif items and all(isinstance(item, (int, float)) for item in items):
            values = values.astype(float)
        else:
            values = values.astype(str)
    if values.dtype.kind not in "iufmMU":
        raise ValueError(f"t holds numbers, datetime64, timedelta64 or strings, not {values.dtype}")
    return values


def _centres_and_edges(name: str, given: NDArray[Any], n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both, from either: edges lie half-way between centres, and as far beyond the outer ones."""
    if given.dtype.kind == "M":
        given = given.astype("datetime64[ns]")
    centres = _inputs.coordinates(name, given, n, "time bins" if name == "t" else "cells")
    if given.shape == (n + 1,):
        return centres, given
    if n == 0:
        return given, given
    if n == 1:
        half = np.timedelta64(500, "ms") if given.dtype.kind == "M" else 0.5
        return given, np.array([given[0] - half, given[0] + half])
    middles = given[:-1] + (given[1:] - given[:-1]) / 2
    first, last = given[0] - (middles[0] - given[0]), given[-1] + (given[-1] - middles[-1])
    return given, np.concatenate([[first], middles, [last]])
