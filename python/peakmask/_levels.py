"""Levels by their value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def which(alphas: Sequence[float], alpha: Any, what: str) -> int:
    """Find the number of an alpha, by value; the first, if it was given twice."""
    if alpha is None or isinstance(alpha, (str, bytes)) or np.ndim(alpha):
        raise TypeError(f"a {what} is found by its alpha, a number, not by {alpha!r}")
    for i, mine in enumerate(alphas):
        if mine == alpha or (mine != mine and alpha != alpha):
            return i
    raise KeyError(f"no {what} for alpha {alpha}; there are {what}s for {', '.join(map(str, alphas)) or 'no alpha'}")
