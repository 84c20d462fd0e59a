"""The same metrics without loops: flat columns and offsets instead of a tuple for each time bin."""

import numpy as np
from recording import SECONDS, X, Y, posterior

import peakmask

P = posterior(500)
analysis = peakmask.analyze(P, alpha=[0.5, 0.9])
print(analysis)

peaks = analysis.peaks
dominant = peaks.dominant  # row of the dominant peak of each time bin; every bin has one here
height = peaks.heights[dominant]
x, y = X[peaks.coords[dominant, 0]], Y[peaks.coords[dominant, 1]]

area_half, area_core = analysis.areas
focality = area_core / (len(X) * len(Y))
peakiness = area_core / np.count_nonzero(P >= 0.9 * height, axis=(0, 1))
mass = np.sum(P, axis=(0, 1), where=analysis.mask(0.5))  # probability inside the region
speed = np.hypot(np.diff(x), np.diff(y)) / SECONDS
rivals = peaks.heights.copy()
rivals[dominant] = 0.0
second = np.maximum.reduceat(rivals, peaks.offsets[:-1])

table = peaks.to_dataframe(x=X, y=Y, t=np.arange(500) * SECONDS)
print(table[table["height"] > 0.02].head())
print(f"{peaks.counts.mean():.1f} peaks a bin; inside alpha 0.5: {mass.mean():.0%} of the probability")
print(
    f"second peak at least half as high: {np.mean(second >= height / 2):.0%} of bins; speed {np.median(speed):.0f} cm/s"
)
