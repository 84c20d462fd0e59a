"""What callers compute in loops from masks and peaks, from a summary alone: on all fixtures, with the original's results.

The loops below are as plain as those in callers' programs; they read the masks and peaks that the original recorded.
"""

import math

import numpy as np
import pytest
from conftest import GOLDENS, golden

import peakmask


class Recorded:
    """Masks and peaks of the original, and the loops over them."""

    def __init__(self, name):
        self.p, self.alphas, recorded = golden(name)
        self.n_x, self.n_y, self.n_t = self.p.shape
        self.masks = recorded["masks"]
        offsets = recorded["peak_offsets"].tolist()
        columns = [recorded[name] for name in ("peak_coords", "prominences", "peak_heights")]
        self.tuples = [tuple(column[a:b] for column in columns) for a, b in zip(offsets, offsets[1:])]
        # The level whose masks callers look at: the highest alpha.
        self.highest = max(range(len(self.alphas)), key=self.alphas.__getitem__)

    def live(self):
        return np.array([len(heights) > 0 for _, _, heights in self.tuples])

    def areas(self):
        return np.array([np.nansum(mask, axis=(0, 1)) for mask in self.masks])

    def of_peaks(self, number):
        """A number from the peaks of each bin; NaN in a bin without peaks."""
        return np.array([number(*peaks) if len(peaks[2]) else np.nan for peaks in self.tuples])

    def peakiness(self, level):
        found = np.full(self.n_t, np.nan)
        for t, (_, _, heights) in enumerate(self.tuples):
            if len(heights):
                threshold = (self.alphas[level] * np.float64(heights.max())).astype(self.p.dtype)
                # A peak below its own threshold is a mask of one cell, and none reaches it.
                with np.errstate(divide="ignore"):
                    found[t] = np.divide(self.masks[level, :, :, t].sum(), (self.p[:, :, t] >= threshold).sum())
        return found

    def positions(self, x, y):
        """Of the dominant peaks: the first of greatest height."""
        places = np.full((self.n_t, 2), np.nan)
        for t, (coords, _, heights) in enumerate(self.tuples):
            if len(heights):
                i, j = coords[int(np.argmax(heights))]
                places[t] = x[i], y[j]
        return places

    def dilated(self, mask):
        wider = np.zeros_like(mask)
        for x, y in np.argwhere(mask):
            wider[max(0, x - 1) : x + 2, max(0, y - 1) : y + 2] = True
        return wider

    def sequentiality(self, level):
        found = []
        for t in range(self.n_t - 1):
            first, second = self.masks[level, :, :, t], self.masks[level, :, :, t + 1]
            wider = self.dilated(first)
            both, either = (wider & second).sum(), (wider | second).sum()
            found.append(both / either if first.any() and second.any() else 0.0)
        return found

    def overlaps(self, level):
        """Cells that are in both of two consecutive masks; after dilation; and in either then."""
        rows = []
        for t in range(self.n_t - 1):
            first, second = self.masks[level, :, :, t], self.masks[level, :, :, t + 1]
            wider = self.dilated(first)
            rows.append([(first & second).sum(), (wider & second).sum(), (wider | second).sum()])
        return np.array([*rows, [-1, -1, -1]]).T

    def near(self, level, animal, radius):
        """Whether a mask holds a cell of the disc around the animal."""
        x, y = np.arange(self.n_x)[:, None], np.arange(self.n_y)[None, :]
        return np.array(
            [
                bool((((x - at[0]) ** 2 + (y - at[1]) ** 2 <= radius**2) & self.masks[level, :, :, t]).any())
                for t, at in enumerate(animal)
            ]
        )


@pytest.fixture(scope="module", params=GOLDENS)
def recorded(request):
    return Recorded(request.param)


@pytest.fixture(scope="module")
def summary(recorded):
    """The summary alone: no masks are made, and no peaks looked at."""
    return peakmask.analyze(recorded.p, recorded.alphas, masks=None, summary=True).summary


def test_areas_and_focality(recorded, summary):
    areas = recorded.areas()
    np.testing.assert_array_equal(summary.area, areas)
    assert areas.any()
    present = int((~np.isnan(recorded.p)).any(axis=2).sum())
    np.testing.assert_array_equal(summary.focality(cells=present), areas[recorded.highest] / present)
    np.testing.assert_array_equal(summary.focality(), areas[recorded.highest] / (recorded.n_x * recorded.n_y))


def test_peakiness(recorded, summary):
    for level, alpha in enumerate(recorded.alphas):
        np.testing.assert_array_equal(summary.peakiness(alpha), recorded.peakiness(level))
    np.testing.assert_array_equal(summary.peakiness(), recorded.peakiness(recorded.highest))


def test_peaks_heights_and_prominences(recorded, summary):
    np.testing.assert_array_equal(summary.live, recorded.live())
    np.testing.assert_array_equal(summary.peaks, [len(heights) for _, _, heights in recorded.tuples])
    np.testing.assert_array_equal(summary.height, recorded.of_peaks(lambda c, p, h: h.max()))
    np.testing.assert_array_equal(summary.highest_prominence, recorded.of_peaks(lambda c, p, h: p.max()))
    np.testing.assert_array_equal(summary.prominence, recorded.of_peaks(lambda c, p, h: p[np.argmax(h)]))
    assert summary.height.dtype == summary.prominence.dtype == recorded.p.dtype


def test_positions_and_how_they_change(recorded, summary):
    x, y = np.linspace(-20, 80, recorded.n_x), np.linspace(7, 3, recorded.n_y) if recorded.n_y > 1 else np.array([5.0])
    cells = recorded.positions(range(recorded.n_x), range(recorded.n_y))
    places = recorded.positions(x, y)
    live = recorded.live()
    np.testing.assert_array_equal(summary.dominant[live], cells[live])
    assert (summary.dominant[~live] == -1).all()
    np.testing.assert_array_equal(summary.positions(), cells)
    np.testing.assert_array_equal(summary.positions(x, y), places)
    vectors = [places[t + 1] - places[t] for t in range(recorded.n_t - 1)]
    np.testing.assert_array_equal(summary.change_vectors(x, y), vectors)
    angles = summary.turn_angles(x, y)
    for t, (a, b) in enumerate(zip(vectors, vectors[1:])):
        if math.hypot(*a) >= 1e-9 and math.hypot(*b) >= 1e-9:
            assert angles[t] == pytest.approx(abs(math.atan2(a[0] * b[1] - a[1] * b[0], a @ b)), abs=1e-7)
        else:
            assert np.isnan(angles[t])
    assert np.isfinite(angles).sum() > 5


def test_overlaps_and_sequentiality(recorded, summary):
    for level, alpha in enumerate(recorded.alphas):
        plain, dilated, union = recorded.overlaps(level)
        np.testing.assert_array_equal(summary.overlap[level], plain)
        np.testing.assert_array_equal(summary.dilated_overlap[level], dilated)
        np.testing.assert_array_equal(summary.dilated_union[level], union)
        np.testing.assert_array_equal(summary.sequentiality(alpha), recorded.sequentiality(level))
    np.testing.assert_array_equal(summary.sequentiality(), recorded.sequentiality(recorded.highest))


def test_the_animal(recorded):
    # Within some cells of where the dominant peak is, and now and then nowhere.
    rng = np.random.default_rng(5)
    animal = recorded.positions(range(recorded.n_x), range(recorded.n_y)) + rng.normal(0, 3, (recorded.n_t, 2))
    animal[::17] = np.nan
    found = peakmask.analyze(recorded.p, recorded.alphas, masks=None, summary=True, animal=animal, radius=2.5).summary
    cells = recorded.positions(range(recorded.n_x), range(recorded.n_y))
    np.testing.assert_allclose(found.distance, [math.hypot(*way) for way in cells - animal], rtol=1e-15)
    for level in range(len(recorded.alphas)):
        near = recorded.near(level, animal, 2.5)
        np.testing.assert_array_equal(found.near[level], near)
        assert near.any()
        assert not near.all()
