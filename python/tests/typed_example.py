"""What callers write, for the type checker: every line has the type that it claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import peakmask
from peakmask.compat import PeakPromenence

p: NDArray[np.float64] = np.random.default_rng(0).random((4, 5, 6))

analysis = peakmask.analyze(p, [0.5, 0.9], connectivity=8, backend="cpu", threads=1, progress=lambda done, total: None)
assert_type(analysis, peakmask.Analysis)
assert_type(analysis.masks, list[NDArray[np.bool_]])
assert_type(analysis.mask(0.5), NDArray[np.bool_])
assert_type(analysis.areas, NDArray[np.int64])
assert_type(analysis.alpha, tuple[float, ...])
assert_type(analysis.shape, tuple[int, int, int])
assert_type(analysis.peaks, peakmask.Peaks)
assert_type(analysis.peaks[0], peakmask.BinPeaks)
assert_type(analysis.peaks[1:3], peakmask.Peaks)
assert_type(analysis.peaks[0].coords, NDArray[np.int64])
coords, prominences, heights = analysis.peaks[0]
assert_type(coords, NDArray[np.int64])
assert_type(heights, NDArray[Any])
report: Mapping[str, Any] = analysis.report

peakmask.analyze(
    p.transpose(2, 0, 1), 0.5, layout="txy", out=np.empty((6, 4, 5), bool), memory_limit=10**9, on_limit="warn"
)
peakmask.analyze(p, (0.5,), out=[np.empty(p.shape, bool)], progress=True)
assert_type(peakmask.saddles(p, analysis.peaks).parents, NDArray[np.int64])
assert_type(peakmask.estimate((4, 5, 6), 0.5)["total"], int)

analyzer = peakmask.Analyzer((4, 5), np.float64, [0.5, 0.9], threads=1, adapter="name", memory_limit="8GB")
assert_type(analyzer.run(p, layout="xyt", out=[np.empty(p.shape, bool)] * 2), peakmask.Analysis)
assert_type(analyzer.alpha, tuple[float, ...])

tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=p, alpha=[0.5, 0.9])
assert_type(tuples, list[tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]])
assert_type(masks, list[NDArray[np.bool_]])
indices, by_bin, by_epoch = PeakPromenence.compute_posterior_peak_promenences([p], alpha=0.9)
assert_type(indices, list[tuple[int, int]])
assert_type(by_epoch, list[list[NDArray[np.bool_]]])

# Mistakes that the checker sees; the comments would be reported if it did not.
peakmask.analyze(p, 0.5, connectivity=6)  # type: ignore[arg-type]
peakmask.analyze(p, 0.5, layout="tyx")  # type: ignore[arg-type]
peakmask.analyze(p, 0.5, backend="cuda")  # type: ignore[arg-type]
peakmask.analyze(p, "0.5")  # type: ignore[arg-type]
analyzer.run(p, alpha=0.5)  # type: ignore[call-arg]
peakmask.analyze(p, 0.5, alphas=[0.5])  # type: ignore[call-arg]
analysis.peaks["0"]  # type: ignore[call-overload]
