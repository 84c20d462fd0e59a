"""`Analyzer`: what is kept from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _analyze, _core, _inputs, _options
from ._analysis import Analysis
from ._levels import kind_of
from ._options import Alpha, Backend, Connectivity, Form, NanPolicy, OnLimit, Prominence, Region


class Analyzer:
    """Analyses maps of one shape and type again and again, and keeps what that takes.

    Threads, scratch, the memory limit, and a GPU, once one has been opened, are kept from call to call. `run` takes any
    number of time bins, and yields what `analyze` would, to the byte, however the bins of a recording are divided into
    calls. A call of little work, one or a few bins, starts no thread and reads nothing but its arguments.

    Parameters
    ----------
    shape : tuple of int
        (n_x, n_y), the cells of a map.
    dtype : dtype
        Of the arrays to come. Types that `analyze` converts are converted here, too: for integers this is float64.
    alpha : float or iterable of float
        As for `analyze`; ``[]``, the default, finds peaks only.
    connectivity, region, nan_policy, threads, backend, memory_limit, on_limit, prominence
        As for `analyze`. ``threads=1`` answers fastest when there is one bin at a time. With ``backend="gpu"`` the GPU is
        opened here. ``memory_limit`` counts for each call; without it, what the machine has to spare is read again when a
        call needs more than a sixteenth of what was found last.
    masks, summary
        As for `analyze`. A summary is of the bins of one call: the last of them has no next one.
    adapter : str or int, optional
        The GPU to take: its number in the list of ``peakmask info``, its place on the PCI bus (``"0000:65:00.0"``), or a
        part of its name. Without it the environment variable ``PEAKMASK_ADAPTER`` counts, which is read here, as
        ``PEAKMASK_GPU`` is.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
        float64 or float32.
    alpha : tuple of float

    Raises
    ------
    ValueError, TypeError
        When an option has no such value; when a map would have no cells.
    RuntimeError
        When a GPU is asked for, and there is none.

    Notes
    -----
    An analyzer serves one call at a time. A second one, from another thread or from the first one's progress callback, is
    refused with a RuntimeError and does no harm: make an analyzer for each thread. In a child after ``fork`` it works, and
    makes anew what it keeps; a GPU is left to the parent.

    Examples
    --------
    >>> import numpy as np, peakmask
    >>> analyzer = peakmask.Analyzer((3, 5), alpha=0.5, threads=1)
    >>> inside = np.empty((3, 5, 1), bool)
    >>> for height in (4.0, 2.0):
    ...     P = np.zeros((3, 5, 1))
    ...     P[1, 1:4, 0] = 1, height, 1
    ...     peaks = analyzer.run(P, out=inside).peaks
    ...     print(peaks.coords.tolist(), peaks.heights, inside.sum())
    [[1, 2]] [4.] 1
    [[1, 2]] [2.] 3
    """

    def __init__(
        self,
        shape: tuple[int, int],
        dtype: Any = np.float64,
        alpha: Alpha = (),
        *,
        connectivity: Connectivity = 4,
        region: Region = "dominant",
        nan_policy: NanPolicy = "silence",
        backend: Backend = "auto",
        memory_limit: float | str | None = None,
        on_limit: OnLimit = "error",
        threads: int | None = None,
        adapter: str | int | None = None,
        prominence: Prominence | None = "reference",
        masks: Form | None = "bytes",
        summary: bool = False,
    ) -> None:
        self.shape = _shape(shape)
        self.dtype = _inputs.element_type(np.empty(0, dtype))
        self._alphas = _options.alphas(alpha)
        self.alpha = tuple(self._alphas)
        if isinstance(adapter, bool) or not isinstance(adapter, (str, int, type(None))):
            raise TypeError(
                f"adapter is a GPU's number, its place on the PCI bus, or a part of its name, not {adapter!r}"
            )
        options = _options.options(
            connectivity, backend, threads, memory_limit, on_limit, prominence, region=region, nan_policy=nan_policy
        )
        self._options = options
        self._wanted = _options.wanted(masks, summary, None, None, 0)
        self._kept = _core.Analyzer(
            self.shape,
            self.dtype.itemsize,
            [(kind_of(alpha), alpha) for alpha in self._alphas],
            region=options.region,
            nan_policy=options.nan_policy,
            connectivity=options.connectivity,
            prominence=options.prominence,
            backend=options.backend,
            adapter=None if adapter is None else str(adapter),
            threads=options.threads,
            memory_limit=options.memory_limit,
            on_limit=options.on_limit,
            masks=self._wanted.masks,
            summary=self._wanted.summary,
        )

    def run(
        self,
        P: ArrayLike,
        *,
        layout: _inputs.Layout | None = None,
        out: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
        dims: Sequence[str] | None = None,
        animal: ArrayLike | None = None,
        radius: float = 1.0,
    ) -> Analysis:
        """Do what `analyze` does with these maps.

        Parameters
        ----------
        P : array_like, shape (n_x, n_y, n_t), or (n_t, n_x, n_y) with ``layout="txy"``
            As for `analyze`, any number of time bins: maps of the analyzer's shape, in a type that is analysed as its type.
        layout, progress, dims, animal, radius
            As for `analyze`.
        out
            As for `analyze`, beside a summary, too; for an analyzer whose masks are ``"bytes"``.

        Returns
        -------
        Analysis
            The peaks are new arrays every time; so are the masks, without ``out``.

        Raises
        ------
        ValueError, TypeError, MemoryError, KeyboardInterrupt
            As from `analyze`; ValueError when maps have another shape, TypeError when P is of another type. The analyzer
            serves on.
        RuntimeError
            When the analyzer is at work in another call.
        """
        p = _inputs.posterior(P, layout, dims)
        n_x, n_y, _ = p.shape
        if (n_x, n_y) != self.shape:
            raise ValueError(self._other_shape(p))
        if _inputs.element_type(p.array) != self.dtype:
            raise TypeError(
                f"the analyzer is for {self.dtype}, but P, an array of {p.array.dtype}, is analysed as "
                f"{_inputs.element_type(p.array)}; pass P.astype(numpy.{self.dtype}), or make an analyzer for its type"
            )
        wanted = _options.wanted(self._masks(), self._wanted.summary, animal, radius, p.shape[2])
        if out is not None and wanted.masks != "bytes":
            raise ValueError(f"out= are masks of bool, but the analyzer was made with masks={self._masks()!r}")
        masks = None if out is None else _inputs.outputs(out, p, len(self._alphas))
        return _analyze.analysed(
            p, self._alphas, self._options, out=masks, progress=progress, kept=self._kept, wanted=wanted
        )

    def _masks(self) -> str | None:
        """The form of masks, as it was asked for."""
        return None if self._wanted.masks == "none" else self._wanted.masks

    def _other_shape(self, p: _inputs.Posterior) -> str:
        advice = "make an analyzer for each shape of map"
        if not p.known and p.array.shape[1:] == self.shape:
            advice = 'if it is (t, x, y), pass layout="txy"'
        return (
            f"the analyzer is for maps of shape {self.shape}, but P, of shape {p.array.shape}, has maps of shape "
            f"{p.shape[:2]}; {advice}"
        )

    def __repr__(self) -> str:
        """Say what it is for."""
        return f"<peakmask.Analyzer of maps of {self.shape[0]} x {self.shape[1]} cells, {self.dtype}, alpha {self._alphas}>"


def _shape(shape: Any) -> tuple[int, int]:
    try:
        n_x, n_y = (_options.whole("shape", n, 0, 2**63 - 1) for n in shape)
    except (TypeError, ValueError) as error:
        found = f"an array of shape {np.shape(shape)}" if np.ndim(shape) > 1 else repr(shape)
        raise type(error)(
            f"shape is two whole numbers, (n_x, n_y), not {found}; for an array P[x, y, t], it is P.shape[:2]"
        ) from None
    return n_x, n_y
