"""A closed loop: one time bin after another, as an online decoder hands them over, each analysed at once."""

import time

import numpy as np
from recording import posterior

import peakmask

decoded = posterior(500)
n_x, n_y, n_t = decoded.shape

# Made once, as is the memory for masks. One thread answers fastest when there is one bin.
analyzer = peakmask.Analyzer((n_x, n_y), alpha=[0.5, 0.9], threads=1, backend="cpu")
half, core = np.empty((2, n_x, n_y, 1), bool)

times = []
for t in range(n_t):
    P = decoded[:, :, t : t + 1]  # what the decoder says of this moment
    start = time.perf_counter()
    peaks = analyzer.run(P, layout="xyt", out=[half, core]).peaks
    times.append(time.perf_counter() - start)

    # Here a stimulator would decide.
    x, y = peaks.coords[peaks.heights.argmax()]
    if t % 100 == 0:
        print(f"bin {t}: {peaks.n_peaks} peaks, the highest at cell ({x}, {y}); {half.sum()} cells within half of it")
    assert half[x, y, 0]
    assert core.sum() <= half.sum()

median, late = np.percentile(times, [50, 99]) * 1e6
print(f"median {median:.0f} us, 99th percentile {late:.0f} us")
