"""One file that shows a posterior in any browser: `Analysis.page`."""

from __future__ import annotations

import base64
import json
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._core import __version__
from ._levels import outer_first
from .plot._colours import OUTLINES
from .plot._marks import Marks
from .plot._scene import Place, Times, along, choose_bins, maps, places_of_path
from .plot._timeline import mask_areas

if TYPE_CHECKING:
    from ._analysis import Analysis

MARKER = "@PEAKMASK@"
"""What the template holds in the place of the data."""

LIMIT = 60_000_000
"""Bytes of a page that browsers open without complaint."""

STEPS = (255, 64, 16)
"""Numbers of values between the lowest and the highest of a bin: the finest that keeps to the limit is taken."""

NAN = 255
"""Stands for no value."""

BLOCK = 64
"""Time bins that are packed together."""


def page(
    analysis: Analysis,
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
    """Write the page."""
    values = maps(P, analysis)
    chosen = np.array(choose_bins(bins, analysis.shape[2]), np.int64)
    if not len(chosen):
        raise ValueError(f"a page shows at least one time bin, but bins is {bins!r}")
    places = (Place(analysis, 0, x, units), Place(analysis, 1, y, units))
    times = Times(analysis._labels, analysis.shape[2], t)
    peaks = _Peaks(analysis, chosen, Marks(min_height, min_prominence, top))
    source = _Source(analysis, values, chosen, peaks)
    areas, area_unit = mask_areas(analysis, places, along(analysis))
    n_x, n_y, _ = analysis.shape
    alpha = [f"{a:g}" for a in analysis.alpha]
    order = outer_first(analysis.alpha)
    are_all = np.array_equal(chosen, np.arange(len(chosen)))
    shown_times = times.known and times.are_numbers
    head = {
        "made_by": f"peakmask {__version__}",
        "title": title,
        "shape": [n_x, n_y, len(chosen)],
        "connectivity": analysis.connectivity,
        "bins": None if are_all else _column(chosen, np.uint32),
        "x": _place(places[0]),
        "y": _place(places[1]),
        "t": {
            "label": times.label,
            "unit": times.unit,
            "values": _column(times.values[chosen], np.float64) if shown_times else None,
            "words": [times.word(bin) for bin in chosen] if times.known and not shown_times else None,
        },
        "alpha": alpha,
        "order": order,
        "colours": OUTLINES,
        "marks": peaks.words,
        "areas": [_column(np.where(peaks.live, row[chosen], np.nan), np.float64) for row in areas],
        "area_unit": area_unit or ("squared units" if along(analysis) is None else "units"),
        "low": _column(source.low, np.float64),
        "high": _column(source.high, np.float64),
        "height": _column(peaks.height, np.float64),
        "dominant": _column(peaks.dominant, np.int32),
        "counts": _column(np.diff(peaks.offsets), np.int32),
        "offsets": _column(peaks.offsets, np.uint32),
        "path": None if path is None else _column(places_of_path(path, analysis)[chosen], np.float32),
        "block": BLOCK,
    }
    before, after = Path(__file__).with_name("page.html").read_text("utf-8").split(MARKER)
    text = before + _fitting(head, source, LIMIT - len(before) - len(after)) + after
    # Complete or not at all, as the program writes it.
    partial = Path(f"{os.fspath(file)}.{os.getpid()}.partial")
    try:
        partial.write_bytes(text.encode())
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _fitting(head: dict[str, Any], source: _Source, room: int) -> str:
    """The data in as many steps as fit."""
    for steps in STEPS:
        if source.estimate(steps) > 1.1 * room:
            continue
        text = json.dumps({**head, "steps": steps, "blocks": source.blocks(steps)}, separators=(",", ":"))
        # In a script element, only this could end it early.
        text = text.replace("<", "\\u003c")
        if len(text) <= room:
            return text
    most = int(len(source.bins) * room / source.estimate(STEPS[-1]) * 0.9)
    raise ValueError(
        f"a page of {len(source.bins):,} time bins would exceed {LIMIT // 1_000_000} MB even in {STEPS[-1]} steps; choose "
        f"about {most:,} of them with bins="
    )


def _column(values: NDArray[Any], dtype: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()).decode()


def _place(place: Place) -> dict[str, Any]:
    return {"name": place.name, "label": place.label, "unit": place.unit, "edges": place.edges.tolist()}


class _Peaks:
    """The marked peaks of the chosen bins, always with the dominant one."""

    def __init__(self, analysis: Analysis, chosen: NDArray[np.int64], marks: Marks) -> None:
        peaks = analysis.peaks
        marked, _ = marks.choose(peaks)
        rows = peaks.dominant
        marked[rows[rows >= 0]] = True
        n_y = analysis.shape[1]
        cells = peaks._xy[:, 0] * n_y + peaks._xy[:, 1]
        self.words = marks.words
        self.live = rows[chosen] >= 0
        self.dominant = np.full(len(chosen), -1)
        self.dominant[self.live] = cells[rows[chosen][self.live]]
        self.height = np.full(len(chosen), np.nan)
        self.height[self.live] = peaks.heights[rows[chosen][self.live]]
        parts = [np.flatnonzero(marked[a:b]) + a for a, b in zip(peaks.offsets[chosen], peaks.offsets[chosen + 1])]
        self.offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        row = np.concatenate(parts)
        self.columns = (
            cells[row].astype("<u4"), peaks.heights[row].astype("<f4"), peaks.prominences[row].astype("<f4"),
        )  # fmt: skip

    def of(self, first: int, stop: int) -> bytes:
        """Cells, heights, prominences of a run of bins."""
        rows = slice(self.offsets[first], self.offsets[stop])
        return b"".join(column[rows].tobytes() for column in self.columns)


class _Source:
    """Blocks of time bins, quantised and packed."""

    def __init__(self, analysis: Analysis, values: NDArray[Any], bins: NDArray[np.int64], peaks: _Peaks) -> None:
        self.analysis, self.values, self.bins, self.peaks = analysis, values, bins, peaks
        self.starts = range(0, len(bins), BLOCK)
        self.masks = [mask.transpose(analysis._axes) for mask in analysis._maps]
        self.low, self.high = (np.zeros(len(bins)) for _ in range(2))
        for start in self.starts:
            flat = self._flat(self.values, start).astype(float)
            finite = np.isfinite(flat)
            some = finite.any(axis=1)
            part = slice(start, start + len(flat))
            self.low[part] = np.where(some, np.where(finite, flat, np.inf).min(axis=1), 0.0)
            self.high[part] = np.where(some, np.where(finite, flat, -np.inf).max(axis=1), 0.0)

    def _flat(self, array: NDArray[Any], start: int) -> NDArray[Any]:
        """Time bins of a block, each with its cells in a row."""
        chosen = array[:, :, self.bins[start : start + BLOCK]]
        return np.ascontiguousarray(chosen.reshape(-1, chosen.shape[2]).T)

    def block(self, start: int, steps: int) -> str:
        """One block as the page reads it."""
        values = self._flat(self.values, start).astype(float)
        low, high = (ends[start : start + len(values), None] for ends in (self.low, self.high))
        with np.errstate(all="ignore"):
            # Halves, so that the difference of extremes does not overflow.
            share = np.clip((values / 2 - low / 2) / (high / 2 - low / 2), 0, 1)
            level = np.rint(np.sqrt(np.where(high > low, share, 0)) * (steps - 1))
        level[np.isnan(values)] = NAN
        masks = [np.packbits(self._flat(mask, start), axis=1, bitorder="little") for mask in self.masks]
        parts = [level.astype(np.uint8).tobytes()]
        if masks:
            parts.append(np.stack(masks, axis=1).tobytes())
        parts.append(self.peaks.of(start, start + len(values)))
        return base64.b64encode(zlib.compress(b"".join(parts), 6)).decode()

    def blocks(self, steps: int) -> list[str]:
        """All of them."""
        return [self.block(start, steps) for start in self.starts]

    def estimate(self, steps: int) -> float:
        """Bytes that all blocks take, from eight of them."""
        sample = self.starts[:: math.ceil(len(self.starts) / 8)]
        return len(self.starts) * sum(len(self.block(start, steps)) for start in sample) / len(sample)
