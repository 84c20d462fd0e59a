"""How values become colours, and the colours of outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTLINES = (
    "#ffffff", "#c63971", "#39ff00", "#00001c", "#aa8ee3", "#551c00", "#398e00", "#5500ff", "#ffaa8e", "#711caa",
)  # fmt: skip
"""Colours of ten levels, as far apart as a search could place them for normal eyes and for all three kinds of dichromats."""

FLOOR = 1e-4
"""The floor of a logarithmic scale, as a share of its top."""


def contrast(colour: str) -> str:
    """Black or white: what an outline of this colour is edged with, so that it reads on any ground."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else "#ffffff"


def finite_range(values: NDArray[Any]) -> tuple[float, float]:
    """Lowest and highest finite value; 0 and 1 where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


class Scale:
    """A colour scale as asked for, of which every panel gets its own copy or all share one."""

    def __init__(self, norm: Any, vmin: float | None, vmax: float | None) -> None:
        from matplotlib.colors import Normalize

        if not (isinstance(norm, Normalize) or norm in ("linear", "sqrt", "log")):
            raise ValueError(f'norm is "linear", "sqrt", "log", or a matplotlib.colors.Normalize, not {norm!r}')
        if isinstance(norm, Normalize) and (vmin is not None or vmax is not None):
            raise ValueError("vmin and vmax belong to a norm by name; give your Normalize its own limits")
        if norm == "log" and vmin is not None and vmin <= 0:
            raise ValueError(f"the floor of a logarithmic scale is above 0, but vmin is {vmin}")
        self.norm, self.vmin, self.vmax = norm, vmin, vmax

    def of(self, values: NDArray[Any]) -> Any:
        """The norm for these values."""
        from matplotlib.colors import LogNorm, Normalize, PowerNorm

        if isinstance(self.norm, Normalize):
            return self.norm
        low, high = self.limits(values)
        kinds = {"linear": Normalize, "log": LogNorm}
        if self.norm == "sqrt":
            return PowerNorm(0.5, low, high, clip=True)
        return kinds[self.norm](low, high, clip=True)

    def limits(self, values: NDArray[Any]) -> tuple[float, float]:
        """The values at both ends."""
        low, high = finite_range(values)
        high = high if self.vmax is None else self.vmax
        if self.norm == "log":
            if high <= 0:
                raise ValueError(f'norm="log" needs values above 0, but the highest is {high:g}; take "linear"')
            low = high * FLOOR
        low = low if self.vmin is None else self.vmin
        if low > high:
            raise ValueError(f"the colours would run from {low:g} down to {high:g}; give vmin and vmax in this order")
        return low, high

    def adjust(self, image: Any, values: NDArray[Any]) -> None:
        """Give a picture that is shown already the limits of other values."""
        from matplotlib.colors import Normalize

        if not isinstance(self.norm, Normalize):
            image.set_clim(*self.limits(values))

    @property
    def label(self) -> str:
        """What the colour bar says."""
        words = {"sqrt": "P (square-root scale)", "log": "P (log scale)"}
        return words.get(self.norm, "P") if isinstance(self.norm, str) else "P"
