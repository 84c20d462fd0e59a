"""Who else could do it: every contender is a function of (P[x, y, t] of float64, alphas).

Whole jobs return (masks, columns), as `reference.columns` has them; the others, which only make masks, (masks, None).
"""

import cc3d
import cv2
import numba
import numpy as np
import reference
from numba import njit, prange
from scipy import ndimage

import peakmask
from peakmask.compat import PeakPromenence

BLOCK = 1_024  # time bins for which numba keeps a list as long as a map


def by_reference(p, alphas, threads):
    peaks, masks = reference.analyze(p, alphas)
    return masks, reference.columns(peaks, p.dtype)


def by_drop_in(p, alphas, threads):
    """From call to return: fresh outputs, tuples."""
    tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=p, alpha=alphas)
    return masks, tuples


def by_analyze(p, alphas, threads, out=None):
    """Flat columns; masks fresh, or in `out`."""
    analysis = peakmask.analyze(p, alphas, threads=threads, out=out)
    peaks = analysis.peaks
    return analysis.masks, {
        "peak_offsets": peaks.offsets,
        "peak_coords": peaks.coords,
        "prominences": peaks.prominences,
        "peak_heights": peaks.heights,
    }


def by_numba(p, alphas, threads):
    """As a skilled user writes it: bins in parallel, each copied into a small map, floods with a stack."""
    numba.set_num_threads(threads)
    n_x, n_y, n_t = p.shape
    masks = np.zeros((len(alphas), n_x, n_y, n_t), np.bool_)
    counts = np.zeros(n_t, np.int64)
    parts = []
    for start in range(0, n_t, BLOCK):
        block = p[:, :, start : start + BLOCK]
        cells = np.empty((block.shape[2], n_x * n_y), np.int32)
        bases = np.empty((block.shape[2], n_x * n_y), p.dtype)
        here = counts[start : start + BLOCK]
        numba_block(block, np.array(alphas), masks[:, :, :, start : start + BLOCK], here, cells, bases)
        parts.append(numba_collect(block, here, cells, bases))
    coords, prominences, heights = (np.concatenate(column) for column in zip(*parts))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return list(masks), {
        "peak_offsets": offsets, "peak_coords": coords, "prominences": prominences, "peak_heights": heights,
    }  # fmt: skip


@njit(parallel=True, cache=True)
def numba_block(p, alphas, masks, counts, cells, bases):
    n_x, n_y, n_t = p.shape
    for t in prange(n_t):
        z = np.empty((n_x, n_y), p.dtype)
        low, high, at_x, at_y, live = np.inf, -np.inf, 0, 0, True
        for x in range(n_x):
            for y in range(n_y):
                v = p[x, y, t]
                z[x, y] = v
                if v != v:
                    live = False
                low = min(low, v)
                if v > high:
                    high, at_x, at_y = v, x, y
        if live and high > low:
            is_peak = np.zeros((n_x, n_y), np.bool_)
            counts[t] = find_peaks(z, low, is_peak)
            list_peaks(z, is_peak, cells[t], bases[t])
            stack = np.empty(n_x * n_y, np.int32)
            for a in range(len(alphas)):
                flood(z, alphas[a] * high, at_x, at_y, stack, masks[a, :, :, t])


@njit(inline="always")
def find_peaks(z, low, is_peak):
    n_x, n_y = z.shape
    count = 0
    for x in range(n_x):
        for y in range(n_y):
            v = z[x, y]
            highest = v > low
            for i in range(max(x - 1, 0), min(x + 2, n_x)):
                for j in range(max(y - 1, 0), min(y + 2, n_y)):
                    highest &= z[i, j] <= v
            is_peak[x, y] = highest
            count += highest
    return count


@njit
def list_peaks(z, is_peak, cells, bases):
    """Cells in row-major order, each with the highest cell around its plateau that is no peak."""
    n_x, n_y = z.shape
    base_of = np.empty((n_x, n_y), z.dtype)
    seen = np.zeros((n_x, n_y), np.bool_)
    group = np.empty(n_x * n_y, np.int32)
    row = 0
    for x in range(n_x):
        for y in range(n_y):
            if not is_peak[x, y]:
                continue
            if not seen[x, y]:
                seen[x, y] = True
                group[0], size, k, base = x * n_y + y, 1, 0, -np.inf
                while k < size:
                    cx, cy = group[k] // n_y, group[k] % n_y
                    k += 1
                    for i in range(max(cx - 1, 0), min(cx + 2, n_x)):
                        for j in range(max(cy - 1, 0), min(cy + 2, n_y)):
                            if not is_peak[i, j]:
                                base = max(base, z[i, j])
                            elif not seen[i, j]:
                                seen[i, j] = True
                                group[size] = i * n_y + j
                                size += 1
                for k in range(size):
                    base_of[group[k] // n_y, group[k] % n_y] = base
            cells[row], bases[row] = x * n_y + y, base_of[x, y]
            row += 1


@njit
def flood(z, threshold, x, y, stack, mask):
    n_x, n_y = z.shape
    mask[x, y] = True
    if not z[x, y] >= threshold:
        return
    stack[0], size = x * n_y + y, 1
    while size:
        size -= 1
        x, y = stack[size] // n_y, stack[size] % n_y
        for i, j in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
            if 0 <= i < n_x and 0 <= j < n_y and not mask[i, j] and z[i, j] >= threshold:
                mask[i, j] = True
                stack[size] = i * n_y + j
                size += 1


@njit(cache=True)
def numba_collect(p, counts, cells, bases):
    n_y, total = p.shape[1], counts.sum()
    coords, prominences, heights = np.empty((total, 2), np.int64), np.empty(total, p.dtype), np.empty(total, p.dtype)
    row = 0
    for t in range(len(counts)):
        for k in range(counts[t]):
            x, y = cells[t, k] // n_y, cells[t, k] % n_y
            coords[row, 0], coords[row, 1] = x, y
            heights[row] = p[x, y, t]
            prominences[row] = (heights[row] - bases[t, k]) + 0.0
            row += 1
    return coords, prominences, heights


def by_slices(region):
    """A contender that makes the masks of one map at a time: `region(z, above, x, y)`."""

    def contender(p, alphas, threads):
        masks = [np.zeros(p.shape, bool) for _ in alphas]
        for t in range(p.shape[2]):
            z = np.ascontiguousarray(p[:, :, t])
            x, y = np.unravel_index(np.argmax(z), z.shape)  # a NaN, if there is one
            if z[x, y] > z.min():
                for alpha, mask in zip(alphas, masks):
                    above = z >= alpha * z[x, y]
                    if above[x, y]:
                        mask[:, :, t] = region(z, above, x, y)
                    else:
                        mask[x, y, t] = True
        return masks, None

    return contender


def region_of_scipy(z, above, x, y):
    labels, _ = ndimage.label(above)
    return labels == labels[x, y]


def region_of_cc3d(z, above, x, y):
    labels = cc3d.connected_components(above, connectivity=4)
    return labels == labels[x, y]


def region_of_opencv(z, above, x, y):
    image = above.view(np.uint8)
    cv2.floodFill(image, None, (int(y), int(x)), 2, flags=4)
    return image == 2


SLICED = {
    "SciPy and scikit-image (the reference)": by_reference,
    "scipy.ndimage.label, masks only": by_slices(region_of_scipy),
    "cc3d, masks only": by_slices(region_of_cc3d),
    "OpenCV floodFill, masks only": by_slices(region_of_opencv),
}
"""Contenders that take one time bin after the other, so that their time is linear in the number of bins."""

WHOLE = {
    "numba": by_numba,
    "peakmask.compat, fresh outputs and tuples": by_drop_in,
    "peakmask.analyze, fresh outputs": by_analyze,
}
REUSED = "peakmask.analyze, out="
