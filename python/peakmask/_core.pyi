from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["__version__", "analyze", "at_exit", "estimate", "forked", "memory_limit"]

__version__: str

def analyze(
    p: NDArray[Any],
    alphas: Sequence[float],
    *,
    connectivity: int,
    backend: str,
    threads: int,
    memory_limit: int | None,
    on_limit: str,
    check_axis_order: bool,
    out: Sequence[NDArray[np.uint8]] | None,
    progress: Callable[[int, int], object] | None,
) -> tuple[
    list[NDArray[np.bool_]],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[Any],
    NDArray[Any],
    str,
]: ...
def estimate(shape: tuple[int, int, int], itemsize: int, n_alpha: int, *, threads: int) -> dict[str, int]: ...
def at_exit() -> None: ...
def forked() -> None: ...
def memory_limit() -> tuple[int, str]: ...
