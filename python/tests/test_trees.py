"""Summits, filters, regions and outlines."""

import numpy as np
import pytest
from conftest import bumps

import peakmask

rng = np.random.default_rng(7)


def test_a_map_alone_and_in_a_stack_have_the_same_summits():
    stack = np.round(bumps(9, 8, 40) * 300).transpose(2, 0, 1)
    found = peakmask.prominence(stack, layout="txy")
    assert len(found) == 40
    assert found.labels.shape == stack.shape
    for t, z in enumerate(stack):
        alone = peakmask.prominence(z)
        assert alone.labels.shape == z.shape
        assert all(np.array_equal(a, b) for a, b in zip(alone[0], found[t]))
        assert np.array_equal(alone.labels, found.labels[t])
        # Every summit rules its own cell, and nobody rules a cell that lies higher.
        own = alone.labels[tuple(alone.coords.T)]
        assert np.array_equal(own, np.arange(len(own)))
        assert (alone.heights[alone.labels] >= z).all()
        roots = alone.parents < 0
        assert roots.sum() == 1
        assert (alone.heights[alone.parents[~roots]] >= alone.heights[~roots]).all()
        saddles = alone.saddles[~roots]
        assert np.array_equal(z[tuple(saddles.T)], alone.saddle_heights[~roots])
    none = peakmask.prominence(stack, layout="txy", labels=False)
    assert none.labels is None
    assert np.array_equal(none.prominences, found.prominences)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_peaks_have_the_prominence_of_their_summit(dtype):
    P = bumps(12, 9, 30).astype(dtype)
    peaks = peakmask.analyze(P, [], prominence="topographic").peaks
    tree = peakmask.prominence(P)
    assert np.array_equal(peaks.coords, tree.coords)  # noise has no plateaus
    assert np.array_equal(peaks.prominences, tree.prominences)
    assert peaks.prominences.dtype == dtype
    assert np.isnan(peakmask.analyze(P, [], prominence=None).peaks.prominences).all()
    kept = peakmask.Analyzer((12, 9), dtype, prominence="topographic").run(P)
    assert np.array_equal(kept.peaks.prominences, tree.prominences)
    assert kept.prominence == "topographic"


def test_prominence_is_one_of():
    with pytest.raises(ValueError, match="prominence is one of 'reference', 'topographic', not 'true'"):
        peakmask.analyze(np.ones((2, 2, 1)), [], prominence="true")


def test_a_gpu_declines_topographic_prominence():
    with pytest.raises(RuntimeError, match="prominence"):
        peakmask.analyze(bumps(4, 4, 2), [], prominence="topographic", backend="gpu")


def test_cripser_finds_the_same_pairs(openfield):
    cripser = pytest.importorskip("cripser")
    P = openfield[:, :, :50]
    found = peakmask.prominence(P, labels=False)
    for t in range(50):
        z = P[:, :, t]
        pairs = cripser.compute_ph(-z, filtration="T", maxdim=0)
        heights, bases = -pairs[:, 1], -np.where(pairs[:, 2] > 1e300, -z.min(), pairs[:, 2])
        expected = sorted((h, b) for h, b in zip(heights.tolist(), bases.tolist()) if h > b)
        assert sorted(zip(found[t].heights.tolist(), found[t].saddle_heights.tolist())) == expected


def test_filters_change_lists_alone():
    P = bumps(12, 9, 30)
    analysis = peakmask.analyze(P, 0.5)
    peaks = analysis.peaks
    some = peaks.filter(min_relative_height=0.02, min_distance=2, highest=3)
    assert 30 <= some.n_peaks < peaks.n_peaks
    assert (some.counts <= 3).all()
    assert np.array_equal(some.heights[some.dominant], peaks.heights[peaks.dominant])
    assert peaks[5:10].filter(highest=1).bins.tolist() == [5, 6, 7, 8, 9]
    assert peaks.filter().n_peaks == peaks.n_peaks
    with pytest.raises(ValueError, match="not both"):
        peaks.filter(highest=1, most_prominent=1)
    with pytest.raises(ValueError, match="highest is at least 0"):
        peaks.filter(highest=-1)


def test_regions_of_dominant_peaks_are_their_masks():
    P = bumps(12, 9, 30)
    alphas = [0.5, 0.9]
    analysis = peakmask.analyze(P, alphas)
    dominant = analysis.peaks.filter(highest=1)
    found = peakmask.regions(P, dominant, alphas, cells=True)
    assert np.array_equal(found.areas, analysis.areas)
    for a, mask in enumerate(analysis.masks):
        for t in range(30):
            inside = np.argwhere(mask[:, :, t])
            assert np.array_equal(found.cells(t, a), inside)
            assert found.widths[a, t].tolist() == (np.ptp(inside, axis=0) + 1).tolist()
            assert np.allclose(found.centres[a, t], inside.mean(axis=0))
    with pytest.raises(ValueError, match="30 time bins"):
        peakmask.regions(P[:, :, :7], dominant, 0.5)
    with pytest.raises(ValueError, match="cells=True"):
        peakmask.regions(P, dominant, 0.5).cells(0)


def test_tables():
    pytest.importorskip("pandas")
    P = bumps(12, 9, 3)
    peaks = peakmask.analyze(P, []).peaks.filter(highest=4)
    table = peakmask.regions(P, peaks, [0.5, 0.9]).to_dataframe(x=np.arange(12) * 2.0)
    assert len(table) == 2 * peaks.n_peaks
    assert table["area"].min() >= 1
    tree = peakmask.prominence(P).to_dataframe(x=np.arange(13) * 2.0)
    assert (tree["x"] == 2.0 * tree["ix"] + 1).all()
    assert (tree.groupby("bin")["parent"].min() == -1).all()


def enclosed(polygons, shape):
    """Cells whose centres the polygons go around, by the sign of their turns."""
    x, y = np.meshgrid(*map(np.arange, shape), indexing="ij")
    turns = np.zeros(shape)
    for polygon in polygons:
        a, b = polygon[:-1], polygon[1:]
        for (ax, ay), (bx, by) in zip(a, b):
            if ax == bx:  # upright sides to the right of a centre
                turns += ((ax > x) & (min(ay, by) < y) & (y < max(ay, by))) * np.sign(by - ay)
    return turns


@pytest.mark.parametrize("connectivity", [4, 8])
def test_borders_go_around_the_cells_of_a_mask(connectivity):
    P = np.round(rng.random((9, 8, 60)) * 3)
    analysis = peakmask.analyze(P, [0.5, 1.0], connectivity=connectivity)
    for t in range(60):
        for alpha in (0.5, 1.0):
            polygons = analysis.contours(t, alpha)
            mask = analysis.mask(alpha)[:, :, t]
            assert np.array_equal(enclosed(polygons, mask.shape), mask)
            assert all(np.array_equal(polygon[0], polygon[-1]) for polygon in polygons)
            # A connected mask has one outline that runs counter-clockwise; the others are holes.
            areas = [np.sum(p[:-1, 0] * p[1:, 1] - p[1:, 0] * p[:-1, 1]) for p in polygons]
            assert sum(area > 0 for area in areas) == 1
    with pytest.raises(KeyError):
        analysis.contours(0, 0.7)
    with pytest.raises(IndexError, match="no bin 60"):
        analysis.contours(60, 0.5)


def test_lines_lie_between_centres():
    pytest.importorskip("contourpy")
    x, y = np.linspace(-2, 2, 41), np.linspace(-3, 3, 61)
    P = np.exp(-(x[:, None] ** 2 + y[None] ** 2))[None]
    analysis = peakmask.analyze(P, [0.5], layout="txy")
    (line,) = analysis.contours(0, 0.5, P=P, x=x, y=y)
    assert np.array_equal(line[0], line[-1])
    assert np.allclose(np.hypot(*line.T), np.sqrt(np.log(2)), atol=0.01)


def test_cells_that_were_never_visited_are_absent():
    rates = np.array([[0.0, 5.0, np.nan, 3.0, 1.0, 9.0, 0.0]])
    assert len(peakmask.prominence(rates).heights) == 0
    tree = peakmask.prominence(rates, nan_policy="off_track")
    assert tree.coords[:, 1].tolist() == [1, 3, 5]
    assert tree.parents.tolist() == [-1, 2, -1]
    assert tree.prominences.tolist() == [5.0, 2.0, 9.0]
    assert tree.labels.tolist() == [[0, 0, -1, 1, 2, 2, 2]]
    with pytest.raises(ValueError, match=r"cell \(0, 2\).*NaN"):
        peakmask.prominence(rates, nan_policy="error")
