"""Pictures that move: films, and a slider to move through time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ._legend import below, fit
from ._panel import _figure_size, panel_of
from ._scene import Scene, choose_bins, pyplot

if TYPE_CHECKING:
    import os

    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from typing_extensions import Unpack

    from .._analysis import Analysis
    from ._scene import Options

FOOT = 0.5
"""Inches for slider and button."""


def animate(
    P: ArrayLike,
    analysis: Analysis,
    bins: Any = None,
    *,
    save: str | os.PathLike[str] | None = None,
    fps: float = 10,
    dpi: float = 100,
    shared: bool = False,
    **options: Unpack[Options],
) -> FuncAnimation:
    """Make a film of time bins, one a frame.

    Parameters
    ----------
    P, analysis
        As for `posterior`.
    bins : slice, sequence of int, or boolean array, optional
        Which time bins, in the order of the frames; without it all.
    save : path, optional
        Where to store it: a ``.gif`` is written by Pillow, which comes with matplotlib, anything else by ffmpeg (``.mp4``),
        which has to be installed.
    fps : float
        Frames a second.
    dpi : float
        Pixels an inch of what is saved.
    shared : bool
        Whether all frames have the same colours for the same values; else each has its own range.
    **options
        See `peakmask.plot`.

    Returns
    -------
    matplotlib.animation.FuncAnimation
        Keep it as long as it is to move; ``to_jshtml()`` shows it in a notebook.

    Raises
    ------
    ValueError
        When there are no time bins, or the file's name ends in nothing that can be written; as `posterior`.
    RuntimeError
        Without ffmpeg, when it is needed.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> film = peakmask.plot.animate(P, peakmask.analyze(P, alpha=0.5), slice(0, 4), save="film.gif")  # doctest: +SKIP
    """
    plt = pyplot()
    from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter

    chosen = choose_bins(bins, analysis.shape[2])
    if not chosen:
        raise ValueError(f"a film shows at least one time bin, but bins is {bins!r}")
    writer: Any = None
    if save is not None:
        kind = Path(save).suffix.lower()
        if kind not in (".gif", ".mp4", ".mov", ".webm", ".mkv"):
            raise ValueError(f'a film is stored as ".gif" or ".mp4" (or .mov, .webm, .mkv), not {kind!r}')
        if kind != ".gif" and shutil.which(plt.rcParams["animation.ffmpeg_path"]) is None:
            raise RuntimeError(f"{kind} needs ffmpeg, which is not installed; install it, or save a .gif")
        kind_of_writer: Any = PillowWriter if kind == ".gif" else FFMpegWriter
        writer = kind_of_writer(fps=fps)
    scene = Scene(P, analysis, **options)
    figure, panel = _stage(scene, chosen, shared)
    film = FuncAnimation(
        figure, lambda i: panel.show(chosen[i]), frames=len(chosen), interval=1000 / fps, blit=False, repeat=True
    )
    if writer is not None:
        film.save(str(save), writer=writer, dpi=dpi)
    return film


def explore(
    P: ArrayLike,
    analysis: Analysis,
    bins: Any = None,
    *,
    fps: float = 10,
    shared: bool = False,
    **options: Unpack[Options],
) -> Axes:
    """Move through time bins with a slider, the arrow keys, or by playing (the button, or the space bar).

    In a window, and in a notebook with an interactive backend (``%matplotlib widget``, from ipympl). Home and End lead to
    the first and the last bin, Page Up and Page Down ten on.

    Parameters
    ----------
    P, analysis, bins, fps, shared
        As for `animate`.
    **options
        See `peakmask.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        Of the map; its figure keeps slider and button alive.

    Raises
    ------
    ValueError
        As `animate`.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.plot
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> ax = peakmask.plot.explore(P, peakmask.analyze(P, alpha=0.5))
    >>> ax.get_title()
    'bin 0'
    """
    chosen = choose_bins(bins, analysis.shape[2])
    if not chosen:
        raise ValueError(f"there is nothing to explore without a time bin, but bins is {bins!r}")
    scene = Scene(P, analysis, **options)
    figure, panel = _stage(scene, chosen, shared, foot=FOOT)
    # The figure holds it: whoever drops what this returns still has a slider that works.
    figure._peakmask_controls = _Controls(figure, panel, chosen, fps)
    ax: Axes = panel.ax
    return ax


class _Controls:
    """Slider, button, keys, and the clock."""

    def __init__(self, figure: Any, panel: Any, bins: list[int], fps: float) -> None:
        from matplotlib.widgets import Button, Slider

        self.panel, self.bins, self.figure = panel, bins, figure
        foot = FOOT / figure.get_size_inches()[1]
        self.button = Button(figure.add_axes((0.03, 0.2 * foot, 0.13, 0.6 * foot)), "play")
        last = max(len(bins) - 1, 1)
        self.slider = Slider(
            figure.add_axes((0.3, 0.2 * foot, 0.55, 0.6 * foot)), "time", 0, last, valinit=0, valstep=1
        )
        self.slider.on_changed(self.show)
        self.button.on_clicked(lambda _: self.toggle())
        figure.canvas.mpl_connect("key_press_event", self.key)
        self.timer = figure.canvas.new_timer(interval=int(1000 / fps))
        self.timer.add_callback(self.tick)
        self.playing = False
        self.show(0)

    def show(self, position: float) -> None:
        i = min(int(position), len(self.bins) - 1)
        self.slider.valtext.set_text(str(self.bins[i]))
        self.panel.show(self.bins[i])
        self.figure.canvas.draw_idle()

    def move(self, to: int) -> None:
        self.slider.set_val(max(0, min(to, len(self.bins) - 1)))

    def tick(self) -> None:
        self.move((int(self.slider.val) + 1) % len(self.bins))

    def toggle(self) -> None:
        self.playing = not self.playing
        self.button.label.set_text("pause" if self.playing else "play")
        (self.timer.start if self.playing else self.timer.stop)()
        self.figure.canvas.draw_idle()

    def key(self, event: Any) -> None:
        at = int(self.slider.val)
        to = {"right": at + 1, "left": at - 1, "pagedown": at + 10, "pageup": at - 10, "home": 0, "end": len(self.bins)}
        if event.key == " ":
            self.toggle()
        elif event.key in to:
            self.move(to[event.key])


def _stage(scene: Scene, chosen: list[int], shared: bool, foot: float = 0.0) -> tuple[Any, Any]:
    """A figure with one panel, colour bar and legend, ready to show any of the bins."""
    plt = pyplot()

    figure, ax = plt.subplots(figsize=_figure_size(scene, 1, 1, 4.6, True), layout="compressed")
    assert scene.maps is not None
    values = scene.maps[:, :, chosen] if shared else scene.map(chosen[0])
    panel = panel_of(scene, ax, values, fixed=shared)
    # For the legend, a bin that has peaks; the layout is settled once, so that nothing jumps.
    live = next((bin for bin in chosen if scene.analysis.peaks.counts[bin]), chosen[0])
    panel.show(live)
    panel.colorbar()
    fit(figure)
    below(figure, [ax], grow=True, foot=foot)
    figure.canvas.draw()
    figure.set_layout_engine("none")
    panel.show(chosen[0])
    return figure, panel
