"""Many short epochs, such as ripples: in one go with the drop-in, or into the same memory, one after the other."""

import numpy as np
from recording import posterior

import peakmask
from peakmask.compat import PeakPromenence

recording = posterior(600)
epochs = [recording[:, :, start : start + 12] for start in range(0, 600, 25)]

# All epochs in one go, keyed by (epoch, time bin).
indices, tuples, masks = PeakPromenence.compute_posterior_peak_promenences(epochs, alpha=[0.5, 0.9])
print(f"{len(epochs)} epochs, {len(indices)} time bins, {sum(len(h) for _, _, h in tuples.values())} peaks")

# Long epochs one after the other: `out` takes the memory of masks once.
buffer = np.empty((2, *recording.shape[:2], 12), bool)
for epoch, P in enumerate(epochs):
    analysis = peakmask.analyze(P, [0.5, 0.9], out=list(buffer))
    np.testing.assert_array_equal(analysis.masks, masks[epoch])
