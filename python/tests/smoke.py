"""Holds an installed peakmask against recorded results, with nothing but NumPy: ``python smoke.py tests/data``."""

import pathlib
import platform
import sys

import numpy as np

import peakmask
from peakmask.compat import PeakPromenence

for file in sorted(pathlib.Path(sys.argv[1]).glob("*.golden.npz")):
    golden = np.load(file)
    p = np.load(str(file).replace(".golden", ""))["p_x_given_n"]
    alpha = golden["alpha"].tolist()
    analysis = peakmask.analyze(p, alpha)
    assert np.stack(analysis.masks).tobytes() == golden["masks"].tobytes(), file
    assert analysis.peaks.offsets.tobytes() == golden["peak_offsets"].tobytes(), file
    assert analysis.peaks.coords.tobytes() == golden["peak_coords"].tobytes(), file
    assert analysis.peaks.heights.tobytes() == golden["peak_heights"].tobytes(), file
    np.testing.assert_array_equal(analysis.peaks.prominences, golden["prominences"])
    tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(p, alpha)
    assert np.stack(masks).tobytes() == golden["masks"].tobytes(), file
    assert [len(heights) for _, _, heights in tuples] == np.diff(golden["peak_offsets"]).tolist(), file
print(f"peakmask {peakmask.__version__}, Python {platform.python_version()}, NumPy {np.__version__}: equal")
