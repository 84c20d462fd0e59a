from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str

class Estimate(TypedDict):
    masks: int
    fixed: int
    per_peak: int
    assumed_peaks: int
    total: int

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
    dict[str, Any],
]: ...
def estimate(shape: tuple[int, int, int], itemsize: Literal[4, 8] | int, n_alpha: int, *, threads: int) -> Estimate: ...
def memory_limit() -> tuple[int, str]: ...
