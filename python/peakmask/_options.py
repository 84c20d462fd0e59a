"""Options as callers write them, checked before anything is read or computed."""

from __future__ import annotations

import math
import operator
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, SupportsFloat, Union, get_args

import numpy as np

from ._levels import Level, kind_of

Alpha = Union[SupportsFloat, Iterable[SupportsFloat]]
"""One fraction of the dominant peak's height or level of another kind, or several."""

Backend = Literal["auto", "cpu", "gpu"]
Connectivity = Literal[4, 8]
OnLimit = Literal["error", "warn", "ignore"]
Prominence = Literal["reference", "topographic"]
Form = Literal["bytes", "packed", "sparse"]
"""A form of masks; None is none."""
Region = Literal["dominant", "whole"]
NanPolicy = Literal["silence", "off_track", "error"]

MOST_THREADS = 65_536
"""More are a mistake on every machine."""


class Options(NamedTuple):
    """How an analysis is made, but for its alphas; 0 threads are one for each core."""

    connectivity: int = 4
    backend: str = "auto"
    threads: int = 0
    memory_limit: int | None = None
    on_limit: str = "error"
    prominence: str = "reference"
    region: str = "dominant"
    nan_policy: str = "silence"


def options(
    connectivity: Any,
    backend: Any,
    threads: Any,
    memory_limit: Any,
    on_limit: Any,
    prominence: Any = "reference",
    region: Any = "dominant",
    nan_policy: Any = "silence",
) -> Options:
    """Check every option."""
    return Options(
        one_of("connectivity", connectivity, get_args(Connectivity)),
        one_of("backend", backend, get_args(Backend)),
        0 if threads is None else whole("threads", threads, 1, MOST_THREADS),
        None if memory_limit is None else size_in_bytes("memory_limit", memory_limit),
        one_of("on_limit", on_limit, get_args(OnLimit)),
        "none" if prominence is None else one_of("prominence", prominence, get_args(Prominence)),
        one_of("region", region, get_args(Region)),
        one_of("nan_policy", nan_policy, get_args(NanPolicy)),
    )


class Wanted(NamedTuple):
    """What is made beside peaks: masks in a form, a summary, and for it where the animal was."""

    masks: str = "bytes"
    summary: bool = False
    animal: tuple[list[list[float]], float] | None = None


def wanted(masks: Any, summary: Any, animal: Any, radius: Any, n_t: int) -> Wanted:
    """Check what is wanted."""
    form = "none" if masks is None else one_of("masks", masks, get_args(Form))
    if not isinstance(summary, (bool, np.bool_)):
        raise TypeError(f"summary is True or False, not {summary!r}")
    if animal is None:
        return Wanted(form, bool(summary))
    if not summary:
        raise ValueError("animal= is for a summary; pass summary=True")
    positions = np.asarray(animal, np.float64)
    if positions.shape != (n_t, 2):
        raise ValueError(
            f"animal has shape {positions.shape}, but is x and y, in cells, for each of {n_t} time bins: ({n_t}, 2)"
        )
    try:
        return Wanted(form, True, (positions.tolist(), float(radius)))
    except (TypeError, ValueError):
        raise TypeError(f"radius is a number of cells, not {radius!r}") from None


def one_of(name: str, value: Any, values: tuple[Any, ...]) -> Any:
    """Find the value among those that an option may have."""
    if isinstance(value, (str, int, np.integer)) and not isinstance(value, bool):
        for one in values:
            if value == one:
                return one
    raise ValueError(f"{name} is one of {', '.join(map(repr, values))}, not {value!r}")


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Read a whole number within limits."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {value!r}") from None
    if not least <= number <= most:
        limit = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name} is {limit}, not {number}")
    return number


def size_in_bytes(name: str, value: Any) -> int:
    """Read a number of bytes: 10**9, 1e9, "8GB", "7.5 GiB"."""
    wrong = f'{name} is a number of bytes, as in 8e9, "8GB" or "8GiB", not {value!r}'
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+\.?\d*|\.\d+)([kmgt]i?)?b?", value.lower().replace(" ", ""))
        if match is None:
            raise ValueError(wrong)
        unit = match[2] or ""
        factor: int = (1024 if unit.endswith("i") else 1000) ** " kmgt".index(unit[:1] or " ")
        number = math.floor(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor
    else:
        try:
            number = math.floor(float(value)) if isinstance(value, (float, np.floating)) else operator.index(value)
        except TypeError:
            raise TypeError(wrong) from None
        except (OverflowError, ValueError):  # infinite, NaN
            raise ValueError(wrong) from None
    if number < 0:
        raise ValueError(f"{name} is at least 0, not {value!r}")
    return min(number, 2**64 - 1)


def alphas(alpha: Any) -> list[float]:
    """Read one level, or whatever `list` makes levels of: numbers as Python floats, other kinds as they are."""
    several = isinstance(alpha, Iterable) and getattr(alpha, "ndim", 1) > 0
    try:
        found = [_number(a) for a in alpha] if several and not isinstance(alpha, (str, bytes)) else [_number(alpha)]
    except (TypeError, ValueError):
        raise TypeError(f"alpha is a number or a sequence of numbers, not {alpha!r}") from None
    high = [a for a in found if kind_of(a) == "of_peak" and 2 < a < math.inf]
    if high:
        warnings.warn(
            f"alpha is a fraction of the dominant peak's height, but {', '.join(f'{a:g}' for a in high)} was given: masks "
            "above 1 are the one cell of the peak, unless heights are negative; percentages are divided by 100",
            UserWarning,
            stacklevel=callers_level(),
        )
    return found


def _number(a: Any) -> float:
    if isinstance(a, (str, bytes)) or getattr(a, "ndim", 0) > 0:
        raise TypeError
    return a if isinstance(a, Level) and a.kind != "of_peak" else float(a)


def callers_level() -> int:
    """Count the frames of this package up the stack: the level of its caller, for a warning."""
    frame, level = sys._getframe(1), 1
    # Between a context manager of ours and who uses it lie contextlib's frames.
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] in (__package__, "contextlib"):
        frame, level = frame.f_back, level + 1
    return level
