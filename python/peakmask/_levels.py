"""Levels: how high the cells of a mask are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray

KINDS = ("of_peak", "absolute", "coverage")


class Level(float):
    """A level of any kind, as `of_peak`, `absolute` and `coverage` make it; a plain number stands for `of_peak`.

    As a float it is its number: an alpha, a value, a share. Levels of different kinds are never equal.

    Attributes
    ----------
    kind : {"of_peak", "absolute", "coverage"}

    Examples
    --------
    >>> import peakmask
    >>> peakmask.coverage(0.95)
    coverage(0.95)
    >>> peakmask.of_peak(0.5) == 0.5, peakmask.coverage(0.5) == 0.5
    (True, False)
    """

    __slots__ = ("kind",)

    def __new__(cls, value: SupportsFloat, kind: str = "of_peak") -> Level:
        """Make a level of one of the kinds."""
        if isinstance(value, (str, bytes)) or getattr(value, "ndim", 0) > 0:
            raise TypeError(f"a level is made of a number, not of {value!r}")
        if kind not in KINDS:
            raise ValueError(f"the kind of a level is one of {', '.join(KINDS)}, not {kind!r}")
        level = super().__new__(cls, value)
        level.kind = kind
        return level

    kind: str

    def __eq__(self, other: object) -> bool:
        """Compare with a level, or with a number, which stands for `of_peak`."""
        return kind_of(other) == self.kind and float.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        """Tell levels of different kinds apart."""
        return not self == other

    def __hash__(self) -> int:
        """Hash as the number that an alpha is equal to; other kinds with their kind."""
        return float.__hash__(self) if self.kind == "of_peak" else hash((self.kind, float(self)))

    def __repr__(self) -> str:
        """Show what makes it."""
        return f"{self.kind}({float(self)!r})"

    def __format__(self, spec: str) -> str:
        """Show an alpha as the number that it is, other kinds by name and number."""
        number = float.__format__(self, spec)
        return number if self.kind == "of_peak" else f"{self.kind} {number}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it again elsewhere."""
        return Level, (float(self), self.kind)


def of_peak(alpha: SupportsFloat) -> Level:
    """Give the level ``alpha * height`` of each time bin's dominant peak: what a plain number stands for."""
    return Level(alpha, "of_peak")


def absolute(value: SupportsFloat) -> Level:
    """Give the level that is the same in every time bin, in the unit of P; for float32 input it is rounded once.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[1.0], [4.0], [3.0], [0.0], [8.0]]])
    >>> peakmask.analyze(P, peakmask.absolute(3.0), region="whole").masks[0].ravel().astype(int)
    array([0, 1, 1, 0, 1])
    """
    return Level(value, "absolute")


def coverage(share: SupportsFloat) -> Level:
    """Give the edge of the highest-density region (credible region) that holds this share of a time bin's total.

    The value at which the sum of the bin's values, taken from the highest down, reaches ``share * total``, in float64. P
    need not be normalised, but must not be negative: in a bin with a negative value, or without a finite total above zero,
    the mask is empty, and the report counts it (``report["uncovered_bins"]``). With ``region="dominant"`` the mask is the
    part of the region around the dominant peak. The GPU engine declines this level.

    Raises
    ------
    ValueError
        When the share is not above 0 and at most 1 (a percentage, say).

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> P = np.array([[[0.05], [0.45], [0.3], [0.15], [0.05]]])
    >>> peakmask.analyze(P, peakmask.coverage(0.7)).masks[0].ravel().astype(int)
    array([0, 1, 1, 0, 0])
    """
    level = Level(share, "coverage")
    if not 0 < float(level) <= 1:
        raise ValueError(
            f"a coverage is a share, above 0 and at most 1, not {float(level):g}; percentages are divided by 100"
        )
    return level


def kind_of(level: object) -> str:
    """Give the kind of a level, or of a number."""
    return level.kind if isinstance(level, Level) else "of_peak"


def kinds_of(levels: Sequence[float]) -> NDArray[np.bytes_] | None:
    """Give the kinds of levels as files hold them; None if all are alphas."""
    kinds = [kind_of(level) for level in levels]
    return np.array(kinds, "S8") if {*kinds} - {"of_peak"} else None


def of_kinds(numbers: Sequence[float], kinds: Sequence[bytes]) -> list[float]:
    """Make the levels again that a file holds: alphas as numbers, as an analysis has them."""
    levels = [Level(number, kind.decode()) for number, kind in zip(numbers, kinds)]
    return [float(level) if level.kind == "of_peak" else level for level in levels]


def coordinates(levels: Sequence[float]) -> dict[str, Any]:
    """Give the coordinates of masks along their first axis: their numbers, and, if not all are alphas, their kinds."""
    found: dict[str, Any] = {"alpha": np.array([float(level) for level in levels])}
    if kinds_of(levels) is not None:
        found["level_kind"] = ("alpha", np.array([kind_of(level) for level in levels]))
    return found


def outer_first(levels: Sequence[float]) -> list[int]:
    """Numbers of levels from the outermost region to the innermost, as far as kinds and numbers tell.

    A larger share reaches further, a larger alpha or value less far, NaN least. Of different kinds shares come first, then
    values. It is the program's order.
    """

    def key(i: int) -> tuple[bool, int, float]:
        kind, number = kind_of(levels[i]), float(levels[i])
        rank = ("coverage", "absolute", "of_peak").index(kind)
        return number != number, rank, -number if kind == "coverage" else number

    return sorted(range(len(levels)), key=key)


def in_words(level: float) -> str:
    """Name a level for people: a number alone would not say of what."""
    return f"alpha {level:g}" if kind_of(level) == "of_peak" else f"{level:g}"


def described(levels: Sequence[float], region: str) -> str:
    """Say in a sentence which cells are in a mask."""
    alphas = not {kind_of(level) for level in levels} - {"of_peak"}
    reached = "alpha * height of the dominant peak" if alphas else "the threshold of their level"
    connected = "connected to it" if alphas else "connected to the dominant peak"
    return f"cells with P >= {reached}, {connected if region == 'dominant' else 'connected or not'}"


def which(alphas: Sequence[float], alpha: Any, what: str) -> int:
    """Find the number of an alpha, by value; the first, if it was given twice."""
    if alpha is None or isinstance(alpha, (str, bytes)) or np.ndim(alpha):
        raise TypeError(f"a {what} is found by its level, a number, not by {alpha!r}")
    for i, mine in enumerate(alphas):
        if mine == alpha or (mine != mine and alpha != alpha and kind_of(mine) == kind_of(alpha)):
            return i
    raise KeyError(f"no {what} for alpha {alpha}; there are {what}s for {', '.join(map(str, alphas)) or 'no alpha'}")
