"""One legend for a whole figure, at its foot, that covers nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

NARROWEST = 3.2
"""Inches that a legend needs."""


def below(figure: Any, axes: Iterable[Any], note: str = "", *, grow: bool, foot: float = 0.0) -> None:
    """Explain what is on any of the axes.

    A new figure grows by as much; of one that somebody else made the legend takes its room from the panels. Below it are
    left `foot` inches.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            if _is_shown(handle):
                entries.setdefault(label, handle)
        if any(np.ma.is_masked(mesh.get_array()) for mesh in ax.collections if mesh.get_array() is not None):
            entries.setdefault("no value (NaN)", Patch(facecolor="0.75", edgecolor="black"))
    if note:
        entries[note] = Line2D([], [], linestyle="none")
    if not entries:
        return
    if not hasattr(figure, "set_size_inches"):  # a part of a figure
        figure = figure.figure
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else figure._get_renderer()
    # As many columns as fit the width; the last try is one below the other.
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(
            entries.values(), entries.keys(), loc="lower center", bbox_to_anchor=(0.5, 0), ncols=columns,
            facecolor="0.72", framealpha=1, fontsize="small", handletextpad=0.6, columnspacing=1.4,
        )  # fmt: skip
        extent = legend.get_window_extent(renderer)
        if extent.width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    inches = (extent.height + 8) / figure.dpi
    width, height = figure.get_size_inches()
    engine = figure.get_layout_engine()
    if grow and engine is not None:
        # Room that is kept free covers nothing on any version of matplotlib; loc="outside" is younger.
        figure.set_size_inches(width, height + inches + foot)
        room = (inches + foot) / (height + inches + foot)
        engine.set(rect=(0, room, 1, 1 - room))
        legend.set_bbox_to_anchor((0.5, foot / (height + inches + foot)))
    elif engine is not None and "rect" in engine.get():
        engine.set(rect=(0, inches / height, 1, 1 - inches / height))
    else:
        figure.subplots_adjust(bottom=max(figure.subplotpars.bottom, inches / height + 0.08))


def fit(figure: Any) -> None:
    """Take away the bands that maps of a fixed ratio leave at the edges of a new figure with compressed layout."""
    figure.draw_without_rendering()
    content = figure.get_tightbbox(figure.canvas.get_renderer())  # inches
    size = np.minimum(figure.get_size_inches(), [content.width + 0.15, content.height + 0.15])
    figure.set_size_inches(max(size[0], NARROWEST), size[1])


def _is_shown(handle: Any) -> bool:
    if hasattr(handle, "get_segments"):
        return len(handle.get_segments()) > 0
    if hasattr(handle, "get_offsets"):
        return len(handle.get_offsets()) > 0
    return not hasattr(handle, "get_xdata") or len(handle.get_xdata()) > 0
