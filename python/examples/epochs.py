"""Many short epochs, such as ripples: in one go, read where they lie, however short each is."""

import numpy as np
from recording import posterior

import peakmask
from peakmask.compat import PeakPromenence

recording = posterior(600)
epochs = [recording[:, :, start : start + 12] for start in range(0, 600, 25)]

# A sequence of results, views into those of all.
results = peakmask.analyze_many(epochs, alpha=[0.5, 0.9])
areas = [epoch.areas.mean(axis=1) for epoch in results]
print(f"{len(results)} epochs, {results.analysis.peaks.n_peaks} peaks; areas of the first {areas[0]}")

# The same by the drop-in, keyed by (epoch, time bin); every mask has memory of its own.
indices, tuples, masks = PeakPromenence.compute_posterior_peak_promenences(epochs, alpha=[0.5, 0.9])
for i, epoch in enumerate(results):
    np.testing.assert_array_equal(epoch.masks, masks[i])
    np.testing.assert_array_equal(epoch.peaks[0].heights, tuples[i, 0][2])

# One array that holds all epochs, and where each begins.
starts = np.arange(0, 601, 25)
ragged = peakmask.analyze_many(recording, [0.5, 0.9], offsets=starts)
np.testing.assert_array_equal(ragged[3].masks[0][:, :, :12], results[3].masks[0])
