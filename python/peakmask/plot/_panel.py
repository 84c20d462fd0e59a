"""One time bin, and several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _options
from .._levels import in_words
from ._colours import OUTLINES, contrast, finite_range
from ._legend import below, fit
from ._scene import Scene, choose_bins, pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

    from .._analysis import Analysis
    from ._scene import Options

MOST_PANELS = 400
"""Panels of a new figure beyond which somebody meant something else."""

TAIL = 40
"""Time bins of the path that lead to where the animal is."""


def posterior(
    P: ArrayLike,
    analysis: Analysis,
    bin: int,
    *,
    ax: Axes | None = None,
    colorbar: bool = True,
    legend: bool = True,
    **options: Unpack[Options],
) -> Axes:
    """Draw one time bin: the map, the outline of each mask, the highest peaks; of a linear track, a curve.

    Parameters
    ----------
    P : array_like
        The posterior that was analysed, with the same axes.
    analysis : Analysis
        Of P.
    bin : int
        The time bin; -1 is the last.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    colorbar, legend : bool
        Whether to draw them.
    **options
        Coordinates, colours, and which peaks are marked: see `peakmask.plot`. With ``path=`` the animal's place is shown,
        and its way there.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without matplotlib.
    ValueError
        When P is not what was analysed, or coordinates do not fit.
    IndexError
        When there is no such time bin.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 3))
    >>> analysis = peakmask.analyze(P, alpha=[0.5, 0.9])
    >>> ax = peakmask.plot.posterior(P, analysis, 0, x=np.arange(8) * 2.5, y=np.arange(9) * 2.5, units="cm")
    >>> ax.get_xlabel()
    'x (cm)'
    """
    plt = pyplot()

    (bin,) = choose_bins([bin], analysis.shape[2])
    scene = Scene(P, analysis, **options)
    own = ax is None
    if own:
        _, ax = plt.subplots(figsize=_figure_size(scene, 1, 1, 4.6, colorbar), layout="compressed")
    assert ax is not None
    panel = panel_of(scene, ax, scene.map(bin))
    panel.show(bin)
    if colorbar:
        panel.colorbar()
    if own:
        fit(ax.figure)
    if legend:
        if own:
            below(ax.figure, [ax], grow=True)
        else:
            ax.legend(loc="upper left", bbox_to_anchor=(1.25 if colorbar else 1.03, 1), frameon=False, fontsize="small")
    return ax


def sheet(
    P: ArrayLike,
    analysis: Analysis,
    bins: int | Sequence[int] | Sequence[bool] | NDArray[Any] | slice,
    *,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
    columns: int = 4,
    shared: bool = False,
    colorbar: bool = True,
    legend: bool = True,
    **options: Unpack[Options],
) -> NDArray[Any]:
    """Draw several time bins side by side.

    Parameters
    ----------
    P, analysis
        As for `posterior`.
    bins : sequence of int, slice, or boolean array of shape (n_t,)
        Which time bins: by number, as often and in the order given, negative ones counted from the end; or those where
        the booleans are true, ``speed > 5``. Other numbers are refused: a float could be meant as a time.
    axes : sequence of matplotlib.axes.Axes, optional
        Where to draw: one for each time bin.
    columns : int
        Of the new figure, when there are no axes.
    shared : bool
        Whether all panels have the same colours for the same values, with one bar beside them; else each has its own range,
        and its own bar.
    colorbar, legend : bool
        Whether to draw them. The legend, at the foot of the figure, is of all panels together.
    **options
        See `peakmask.plot`.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (number of bins,)

    Raises
    ------
    ValueError
        When there are fewer axes than bins, no bins, or more than 400 for a new figure; as `posterior`.
    TypeError
        When bins are no whole numbers.
    IndexError
        When there is no such time bin.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> axes = peakmask.plot.sheet(P, peakmask.analyze(P, alpha=0.5), slice(0, 12, 2))
    >>> len(axes)
    6
    """
    plt = pyplot()

    chosen = choose_bins(bins, analysis.shape[2])
    if not chosen:
        raise ValueError(f"a sheet shows at least one time bin, but bins is {bins!r}")
    scene = Scene(P, analysis, **options)
    own = axes is None
    if own:
        if len(chosen) > MOST_PANELS:
            raise ValueError(f"{len(chosen)} panels are more than {MOST_PANELS}; choose fewer time bins, or pass axes")
        columns = min(_options.whole("columns", columns, 1, 2**31), len(chosen))
        rows = -(-len(chosen) // columns)
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=_figure_size(scene, rows, columns, 2.6, colorbar and not shared),
            squeeze=False,
            layout="compressed",
        )
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=0.06, h_pad=0.06)
        for ax in grid.flat[len(chosen) :]:
            ax.remove()
        axes = grid.flat[: len(chosen)]
    flat = np.asarray(axes, dtype=object).ravel()
    if len(flat) < len(chosen):
        raise ValueError(f"{len(chosen)} time bins need as many axes, but there are {len(flat)}")
    flat = flat[: len(chosen)]
    together = scene.maps[:, :, chosen] if shared and scene.maps is not None else None
    for i, (ax, bin) in enumerate(zip(flat, chosen)):
        panel = panel_of(scene, ax, scene.map(bin) if together is None else together, fixed=shared)
        panel.show(bin)
        if colorbar and not shared:
            panel.colorbar(label="")
        if own:
            _label_outer(ax, i, len(chosen), columns, every_y=scene.along is not None and not shared)
    if colorbar and shared and isinstance(panel, MapPanel):
        flat[0].figure.colorbar(
            panel.image, ax=list(flat), label=f"{scene.scale.label}, all panels", aspect=30, pad=0.02
        )
    if own:
        fit(flat[0].figure)
    if legend:
        note = (
            ""
            if shared or scene.along is not None or not colorbar
            else f"{scene.scale.label}: each panel its own range"
        )
        below(flat[0].figure, flat, note, grow=own)
    return flat


def panel_of(scene: Scene, ax: Axes, values: NDArray[Any], fixed: bool = False) -> MapPanel | CurvePanel:
    """A map, or the curve of a linear track."""
    return (MapPanel if scene.along is None else CurvePanel)(scene, ax, values, fixed)


def _label_outer(ax: Axes, i: int, n: int, columns: int, every_y: bool) -> None:
    """Words and numbers on the left and the lowest panel of each row and column alone, also where the last row is short."""
    lowest, leftmost = i + columns >= n, i % columns == 0
    ax.tick_params(labelbottom=lowest, labelleft=leftmost or every_y)
    if not lowest:
        ax.set_xlabel("")
    if not leftmost:
        ax.set_ylabel("")


def _figure_size(scene: Scene, rows: int, columns: int, width: float, bars: bool) -> tuple[float, float]:
    """Inches, for panels of about this width; a map far from square is as large as it may be in either direction."""
    height = 0.7 * width
    if scene.along is None:
        wide, high = (float(abs(place.edges[-1] - place.edges[0])) for place in scene.places)
        height = width * high / wide
        if height > 2.2 * width:
            width, height = max(2.2 * width * wide / high, 0.5), 2.2 * width
    return max((width + (0.8 if bars else 0.15)) * columns + 0.6, 3.0), (max(height, 0.5) + 0.35) * rows + 1.0


class Outline:
    """The border of a mask on a map: a line between two edges of a contrasting colour."""

    def __init__(self, ax: Axes, colour: str, width: float, label: str, order: float) -> None:
        from matplotlib.collections import LineCollection

        # Whole at the wall of the arena, where the frame of the axes would cut it in half.
        style = {"capstyle": "projecting", "clip_on": False}
        self.edge = LineCollection([], colors=contrast(colour), linewidths=width + 1.4, zorder=order, **style)
        self.line = LineCollection([], colors=colour, linewidths=width, zorder=order + 0.05, label=label, **style)
        for part in (self.edge, self.line):
            # Layouts measure what is not clipped, and an empty collection measures as all of the figure.
            part.set_in_layout(False)
            ax.add_collection(part, autolim=False)

    def show(self, segments: NDArray[Any]) -> None:
        for part in (self.edge, self.line):
            part.set_segments(list(segments))


class Peaks:
    """The marked peaks, in the size of their height; the dominant one apart."""

    def __init__(self, scene: Scene, ax: Axes) -> None:
        from matplotlib.patheffects import withStroke

        self.others = ax.scatter(
            [], [], marker="o", facecolor="#ff9f1c", edgecolor="black", linewidth=0.5, zorder=3, label=scene.marks.words
        )
        (self.dominant,) = ax.plot(
            [],
            [],
            "+",
            color="black",
            markeredgewidth=1.4,
            markersize=8,
            zorder=3.2,
            label="dominant peak",
            clip_on=False,
        )
        self.dominant.set_in_layout(False)
        self.dominant.set_path_effects([withStroke(linewidth=3.4, foreground="white")])

    def show(self, places: NDArray[Any], shares: NDArray[np.float64], dominant: int) -> None:
        rest = np.arange(len(places)) != dominant
        self.others.set_offsets(places[rest] if rest.any() else np.empty((0, 2)))
        self.others.set_sizes(4 + 22 * np.maximum(shares[rest], 0))
        first = places[dominant : dominant + 1] if dominant >= 0 else np.empty((0, 2))
        self.dominant.set_data(first[:, 0], first[:, 1])


class Animal:
    """Where the animal was, and its way there."""

    def __init__(self, ax: Axes) -> None:
        from matplotlib.patheffects import withStroke

        (self.way,) = ax.plot([], [], color="white", linewidth=1.2, zorder=2.1, label="path of the animal")
        (self.here,) = ax.plot(
            [], [], "D", color="#00e5ff", markeredgecolor="black", markersize=6, zorder=3.1, label="animal"
        )
        self.way.set_path_effects([withStroke(linewidth=2.4, foreground="black")])

    def show(self, path: NDArray[np.float64], bin: int) -> None:
        way = path[max(0, bin - TAIL) : bin + 1]
        self.way.set_data(way[:, 0], way[:, 1])
        self.here.set_data(way[-1:, 0], way[-1:, 1])


class MapPanel:
    """Axes that show any time bin of a scene as a map."""

    def __init__(self, scene: Scene, ax: Axes, values: NDArray[Any], fixed: bool = False) -> None:
        plt = pyplot()
        self.scene, self.ax, self.fixed = scene, ax, fixed
        x, y = scene.places
        colours = plt.get_cmap(scene.cmap).with_extremes(bad="0.75")
        nothing = np.ma.masked_invalid(np.full((len(y.centres), len(x.centres)), np.nan))
        self.image = ax.pcolormesh(
            x.edges, y.edges, nothing, cmap=colours, norm=scene.scale.of(values), rasterized=True, zorder=0
        )
        levels = scene.levels()
        widths = np.linspace(max(1.4, 1.4 + 0.8 * min(len(levels) - 1, 2)), 1.4, max(len(levels), 1))
        # The inner and narrower lines lie on top, so that where two coincide both are seen.
        self.outlines = {
            i: Outline(
                ax,
                OUTLINES[i % len(OUTLINES)],
                w,
                f"mask, {in_words(scene.analysis.alpha[i])}",
                2 + 0.1 * j / len(levels),
            )
            for j, (i, w) in enumerate(zip(levels, widths))
        }
        self.animal = None if scene.path is None else Animal(ax)
        self.peaks = Peaks(scene, ax)
        ax.set_aspect("equal")
        ax.set_xlim(min(x.edges[0], x.edges[-1]), max(x.edges[0], x.edges[-1]))
        ax.set_ylim(min(y.edges[0], y.edges[-1]), max(y.edges[0], y.edges[-1]))
        ax.set_xlabel(x.label)
        ax.set_ylabel(y.label)

    def show(self, bin: int) -> None:
        """Draw a time bin instead of what is there."""
        scene = self.scene
        values = scene.map(bin)
        self.image.set_array(np.ma.masked_where(np.isnan(values.T), values.T))
        if not self.fixed:
            scene.scale.adjust(self.image, values)
        x, y = scene.places
        for i, outline in self.outlines.items():
            outline.show(border(scene.mask(i, bin), x.edges, y.edges))
        cells, shares, dominant = scene.marked(bin)
        self.peaks.show(np.stack([x.centres[cells[:, 0]], y.centres[cells[:, 1]]], 1), shares, dominant)
        if self.animal and scene.path is not None:
            self.animal.show(scene.path, bin)
        self.ax.set_title(scene.times.say(bin), fontsize="medium")

    def colorbar(self, label: str | None = None) -> None:
        """Beside the map, whose sides keep the ratio of its units, not beside the axes' share of the figure."""
        x, y = self.scene.places
        narrow = abs((y.edges[-1] - y.edges[0]) / (x.edges[-1] - x.edges[0]))
        cax = self.ax.inset_axes((1.03, 0.0, max(0.04, 0.012 * narrow), 1.0))
        extend = "min" if self.scene.scale.norm == "log" else "neither"
        bar = self.ax.figure.colorbar(
            self.image, cax=cax, label=self.scene.scale.label if label is None else label, extend=extend
        )
        bar.ax.tick_params(labelsize="small")


class CurvePanel:
    """Axes that show any time bin of a linear track as a curve, with the masks' extents below it."""

    def __init__(self, scene: Scene, ax: Axes, values: NDArray[Any], fixed: bool = False) -> None:
        self.scene, self.ax, self.fixed = scene, ax, fixed
        self.axis = scene.along or 0
        place = scene.places[self.axis]
        (self.curve,) = ax.plot([], [], color="0.25", linewidth=1.2, label="P", drawstyle="steps-mid")
        self.levels = scene.levels()
        self.bars = [self._bar(i) for i in self.levels]
        self.here = None
        if scene.path is not None:
            self.here = ax.axvline(np.nan, color="#0090a8", linestyle="--", label="animal")
        self.peaks = Peaks(scene, ax)
        ax.set_xlim(*sorted((place.edges[0], place.edges[-1])))
        ax.set_xlabel(place.label)
        ax.set_ylabel("P")
        if scene.scale.norm == "log":
            ax.set_yscale("log")
        self._limits(values)

    def _bar(self, level: int) -> Any:
        """Where a mask reaches from and to, below the curve."""
        colour = OUTLINES[level % len(OUTLINES)]
        (bar,) = self.ax.plot(
            [],
            [],
            color=colour,
            linewidth=4,
            solid_capstyle="butt",
            clip_on=False,
            transform=self.ax.get_xaxis_transform(),
            label=f"mask, {in_words(self.scene.analysis.alpha[level])}",
            path_effects=_edged(colour, 5.4),
        )
        return bar

    def _limits(self, values: NDArray[Any]) -> None:
        scale = self.scene.scale
        low, high = scale.limits(values) if isinstance(scale.norm, str) else finite_range(values)
        # Below the curve there is room for the bars of the masks.
        share = 0.06 * (len(self.levels) + 1)
        if scale.norm == "log":
            self.ax.set_ylim(low * (low / high) ** share, high * 1.5)
        else:
            room = high - low or 1.0
            self.ax.set_ylim(low - share / (1 - share) * room, high + 0.06 * room)

    def show(self, bin: int) -> None:
        """Draw a time bin instead of what is there."""
        scene, axis = self.scene, self.axis
        place = scene.places[axis]
        values = scene.map(bin).ravel()
        if not self.fixed:
            self._limits(values)
        self.curve.set_data(place.centres, values)
        for j, (i, bar) in enumerate(zip(self.levels, self.bars)):
            starts, ends = runs(scene.mask(i, bin).ravel())
            x = np.stack([place.edges[starts], place.edges[ends], np.full(len(starts), np.nan)], 1).ravel()
            bar.set_data(x, np.full(len(x), 0.04 + 0.06 * j))
        cells, shares, dominant = scene.marked(bin)
        cells = cells[:, axis]
        self.peaks.show(np.stack([place.centres[cells], values[cells]], 1), shares, dominant)
        if self.here is not None and scene.path is not None:
            self.here.set_xdata([scene.path[bin, axis]] * 2)
        self.ax.set_title(scene.times.say(bin), fontsize="medium")

    def colorbar(self, label: str | None = None) -> None:
        """A curve has none."""


def _edged(colour: str, width: float) -> list[Any]:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width, foreground=contrast(colour)), Normal()]


def runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First cell, and the one after the last, of each run of cells in a mask along a track."""
    steps = np.diff(np.pad(mask.astype(np.int8), 1))
    return np.flatnonzero(steps > 0), np.flatnonzero(steps < 0)


def border(mask: NDArray[np.bool_], edges_x: NDArray[Any], edges_y: NDArray[Any]) -> NDArray[Any]:
    """The sides of cells that part a mask from what is not of it: segments of shape (k, 2, 2)."""
    framed = np.pad(mask, 1)
    i, j = np.nonzero(framed[1:, 1:-1] != framed[:-1, 1:-1])
    upright = np.stack([np.stack([edges_x[i], edges_y[j]], -1), np.stack([edges_x[i], edges_y[j + 1]], -1)], 1)
    i, j = np.nonzero(framed[1:-1, 1:] != framed[1:-1, :-1])
    level = np.stack([np.stack([edges_x[i], edges_y[j]], -1), np.stack([edges_x[i + 1], edges_y[j]], -1)], 1)
    return np.concatenate([upright, level])
