"""The reference way: one time bin after the other through SciPy and scikit-image.

A transcription of what `PeakPromenence.compute_2d_dt_posterior_peak_promenences` of pyPhoPlaceCellAnalysis does, step
for step, so that it costs what the original costs. `goldens.py` compares it with recorded results of the original.
"""

import warnings

import numpy as np
from scipy import ndimage
from skimage.morphology import reconstruction

WINDOW = np.ones((3, 3), dtype=bool)


def analyze(p, alphas):
    """Per time bin (coords, prominences, heights), and per alpha a mask of the shape of P[x, y, t]."""
    peaks, regions = [], [[] for _ in alphas]
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        for t in range(p.shape[2]):
            z = p[:, :, t]
            coords, prominences = prominent_peaks(z)
            heights = z[coords[:, 0], coords[:, 1]]
            peaks.append((coords, prominences, heights))
            dominant = coords[np.argmax(heights)] if len(coords) else None
            for alpha, of_alpha in zip(alphas, regions):
                of_alpha.append(region(z, dominant, alpha))
    return peaks, [np.stack(of_alpha, axis=-1) for of_alpha in regions]


def prominent_peaks(z):
    is_peak = ndimage.maximum_filter(z, footprint=WINDOW) == z
    is_peak &= z > z.min()
    if not is_peak.any():  # among them every map with a NaN, on which scikit-image's reconstruction corrupts memory
        return np.empty((0, 2), np.int64), np.empty(0, z.dtype)
    seed = z.copy()
    seed[is_peak] = -np.inf
    bases = reconstruction(seed, z, method="dilation")
    return np.column_stack(np.nonzero(is_peak)), z[is_peak] - bases[is_peak]


def region(z, dominant, alpha):
    if dominant is None:
        return np.zeros(z.shape, dtype=bool)
    x, y = dominant
    labels, _ = ndimage.label(z >= alpha * float(z[x, y]))  # a Python float: rounded to the map's type
    label = labels[x, y]
    if label == 0:  # the peak itself stays below the threshold: its mask is that one cell
        labels[x, y] = label = -1
    return labels == label


def columns(peaks, dtype):
    """Peaks of all bins one after the other, as peakmask returns them."""
    counts = [len(heights) for _, _, heights in peaks]
    coords, prominences, heights = ([bin[column] for bin in peaks] for column in range(3))
    return {
        "peak_offsets": np.cumsum([0, *counts], dtype=np.int64),
        "peak_coords": np.concatenate([np.empty((0, 2), np.int64), *coords]),
        "prominences": np.concatenate([np.empty(0, dtype), *prominences]),
        "peak_heights": np.concatenate([np.empty(0, dtype), *heights]),
    }


def differences(expected, found):
    """What differs between two results, by name: all to the bit, but prominences by value (0.0 equals -0.0)."""
    for name, column in expected.items():
        same = column.shape == found[name].shape and column.dtype == found[name].dtype
        if same and name == "prominences":
            same = np.array_equal(column, found[name])
        elif same:
            same = column.tobytes() == found[name].tobytes()
        if not same:
            yield name
