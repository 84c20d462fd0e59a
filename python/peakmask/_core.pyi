from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Analyzer",
    "__version__",
    "analyze",
    "analyze_many",
    "at_exit",
    "check_drivers",
    "components",
    "estimate",
    "filtered_rows",
    "forked",
    "memory_limit",
    "packed_numbers",
    "regions",
    "saddles",
    "summits",
    "try_drivers",
]

__version__: str

_Results = tuple[
    list[Any],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[Any],
    NDArray[Any],
    str,
    dict[str, NDArray[Any]] | None,
]

@final
class Analyzer:
    def __new__(
        cls,
        shape: tuple[int, int],
        itemsize: int,
        levels: Sequence[tuple[str, float]],
        *,
        region: str,
        nan_policy: str,
        connectivity: int,
        prominence: str,
        backend: str,
        adapter: str | None,
        threads: int,
        memory_limit: int | None,
        on_limit: str,
        masks: str,
        summary: bool,
    ) -> Analyzer: ...
    def run(
        self,
        p: NDArray[Any],
        *,
        memory_limit: int | None,
        check_axis_order: bool,
        out: Sequence[NDArray[np.uint8]] | None,
        progress: Callable[[int, int], object] | None,
        animal: tuple[Sequence[Sequence[float]], float] | None = ...,
    ) -> _Results: ...

def analyze(
    p: NDArray[Any],
    levels: Sequence[tuple[str, float]],
    *,
    region: str = ...,
    nan_policy: str = ...,
    connectivity: int,
    prominence: str = "reference",
    backend: str,
    threads: int,
    memory_limit: int | None,
    on_limit: str,
    check_axis_order: bool,
    out: Sequence[NDArray[np.uint8]] | None,
    progress: Callable[[int, int], object] | None,
    masks: str = ...,
    summary: bool = ...,
    animal: tuple[Sequence[Sequence[float]], float] | None = ...,
) -> _Results: ...
def analyze_many(
    epochs: Sequence[NDArray[Any]],
    levels: Sequence[tuple[str, float]],
    *,
    region: str,
    nan_policy: str,
    connectivity: int,
    backend: str,
    threads: int,
    memory_limit: int | None,
    on_limit: str,
    check_axis_order: bool,
    progress: Callable[[int, int], object] | None,
    masks: str = ...,
    summary: bool = ...,
    animal: tuple[Sequence[Sequence[float]], float] | None = ...,
) -> _Results: ...
def estimate(
    shape: tuple[int, int, int],
    itemsize: int,
    n_alpha: int,
    *,
    threads: int,
    masks: str = ...,
    summary: bool = ...,
) -> dict[str, int]: ...
def packed_numbers(bits: NDArray[np.uint8], n_t: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...
def components(mask: NDArray[np.uint8], connectivity: int) -> NDArray[np.uint32]: ...
def at_exit() -> None: ...
def check_drivers(words: Sequence[str]) -> None: ...
def try_drivers(backend: str, adapter: str) -> None: ...
def forked() -> None: ...
def memory_limit() -> tuple[int, str]: ...
def summits(
    p: NDArray[Any], *, labels: bool, nan_policy: str, threads: int, memory_limit: int | None, on_limit: str
) -> tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[Any],
    NDArray[Any],
    NDArray[np.int64],
    NDArray[Any],
    NDArray[np.int64],
    NDArray[np.int32] | None,
]: ...
def saddles(
    p: NDArray[Any],
    offsets: NDArray[np.int64],
    coords: NDArray[np.int64],
    heights: NDArray[Any],
    *,
    nan_policy: str,
    threads: int,
    memory_limit: int | None,
    on_limit: str,
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[np.int64]]: ...
def filtered_rows(
    offsets: NDArray[np.int64],
    coords: NDArray[np.int64],
    prominences: NDArray[Any],
    heights: NDArray[Any],
    *,
    min_height: float | None,
    min_relative_height: float | None,
    min_prominence: float | None,
    min_distance: float | None,
    highest: int | None,
    most_prominent: int | None,
) -> NDArray[np.int64]: ...
def regions(
    p: NDArray[Any],
    offsets: NDArray[np.int64],
    coords: NDArray[np.int64],
    heights: NDArray[Any],
    alphas: Sequence[float],
    *,
    connectivity: int,
    cells: bool,
    threads: int,
    memory_limit: int | None,
    on_limit: str,
) -> list[tuple[NDArray[Any], ...]]: ...
