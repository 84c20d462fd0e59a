"""Which peaks are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Marks:
    """A choice of peaks; see `peakmask.plot`."""

    min_height: float = 0.05
    min_prominence: float = 0.0
    top: int | None = None

    def __post_init__(self) -> None:
        for name in ("min_height", "min_prominence"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share of the highest peak, from 0 to 1, not {share!r}")
        if self.top is not None and self.top < 0:
            raise ValueError(f"top is a number of peaks, not {self.top!r}")

    def choose(self, peaks: Any) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of all peaks in these time bins, which are marked, and how high each is as a share of its bin's highest."""
        bins, heights, shares, contrasts = shares_of(peaks)
        marked = (shares >= self.min_height) & (contrasts >= self.min_prominence)
        if self.top is not None:
            order = np.lexsort((-heights, ~marked, bins))
            rank = np.arange(len(order)) - peaks.offsets[:-1][bins[order]]
            marked[order[rank >= self.top]] = False
        return marked, shares

    def counts(self, peaks: Any) -> NDArray[np.int64]:
        """Number of marked peaks in each time bin."""
        marked = np.concatenate([[0], np.cumsum(self.choose(peaks)[0])])
        return np.asarray(np.diff(marked[peaks.offsets]), np.int64)

    @property
    def words(self) -> str:
        """For legends."""
        rules = []
        if self.min_height > 0:
            rules.append(f"from {100 * self.min_height:g} % of the highest")
        if self.min_prominence > 0:
            rules.append(f"prominence from {100 * self.min_prominence:g} %")
        if self.top is not None:
            rules.append(f"the {self.top} highest")
        return f"peaks ({', '.join(rules) or 'all'})"


def shares_of(
    peaks: Any,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Bin and height of every peak, and its height and prominence as shares of the height of its bin's highest."""
    counts = np.diff(peaks.offsets)
    bins = np.repeat(np.arange(len(counts)), counts)
    heights = np.asarray(peaks.heights, float)
    highest = np.repeat(np.maximum.reduceat(heights, peaks.offsets[:-1][counts > 0]), counts[counts > 0])
    logs = highest <= 0
    with np.errstate(all="ignore"):
        prominences = np.asarray(peaks.prominences, float)
        shares = np.where(logs, np.exp(heights - highest), heights / highest)
        contrasts = np.where(logs, shares * -np.expm1(-prominences), prominences / highest)
    # Infinite heights and the like: the highest is whole, and what cannot be compared is nothing.
    # Heights below 0 beside one above it are nothing.
    shares = np.where(heights == highest, 1.0, np.maximum(np.nan_to_num(shares, posinf=0.0, neginf=0.0), 0.0))
    return bins, heights, shares, np.nan_to_num(contrasts, posinf=1.0)
