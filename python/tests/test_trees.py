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


def tree_of(z, cell):
    """The saddle, its height and the parent of a peak, by flooding: nothing of the package's."""
    from scipy.ndimage import label

    own = z[cell]
    plateaus = label(z == own, np.ones((3, 3)))[0]
    first = min(map(tuple, np.argwhere(plateaus == plateaus[cell])))
    for level in np.unique(z[z <= own])[::-1]:
        lands = label(z >= level, np.ones((3, 3)))[0]
        land = np.where(lands == lands[cell], z, -np.inf)
        top = tuple(np.argwhere(land == land.max())[0])
        if z[top] > own or top < first:
            return level, top
    return z.min(), None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_saddles_of_listed_peaks_are_those_of_floods(dtype):
    pytest.importorskip("scipy")
    P = np.round(rng.random((8, 7, 40)) * 6).astype(dtype)  # plateaus and shoulders are the rule
    peaks = peakmask.analyze(P, [], prominence="topographic").peaks
    found = peakmask.saddles(P, peaks)
    assert found.heights.dtype == dtype
    assert np.array_equal(found.prominences, peaks.prominences)
    assert np.array_equal(peaks.heights - found.heights, peaks.prominences)
    shoulders = roots = 0
    for row, (t, (x, y)) in enumerate(zip(peaks.bins.tolist(), peaks.coords.tolist())):
        z = P[:, :, t]
        level, parent = tree_of(z, (x, y))
        assert found.heights[row] == level
        if parent is None:
            assert found.parents[row] == -1
            assert found.cells[row].tolist() == found.parent_cells[row].tolist() == [-1, -1]
            roots += 1
            continue
        assert found.parent_cells[row].tolist() == list(parent)
        assert peaks.bins[found.parents[row]] == t
        assert peaks.coords[found.parents[row]].tolist() == list(parent)
        assert z[tuple(found.cells[row])] == level
        if level == z[x, y]:
            assert found.cells[row].tolist() == [x, y]
            shoulders += 1
    assert shoulders > 50
    assert roots >= 40


def test_saddles_of_few_peaks():
    P = bumps(12, 9, 30)
    peaks = peakmask.analyze(P, [], prominence="topographic").peaks
    whole = peakmask.saddles(P, peaks)
    turned = peakmask.saddles(P.transpose(2, 0, 1), peaks, layout="txy", threads=2)
    assert np.array_equal(turned.parents, whole.parents)
    assert np.array_equal(turned.cells, whole.cells)
    for kept in (
        peaks.filter(min_prominence=float(np.median(peaks.prominences))),
        peaks.filter(highest=4),
        peaks.filter(most_prominent=3),
    ):
        some = peakmask.saddles(P, kept)
        has_parent = some.parent_cells[:, 0] >= 0
        assert 0 < has_parent.sum() < len(has_parent)
        assert (some.parents[has_parent] >= 0).all()
        assert np.array_equal(kept.coords[some.parents[has_parent]], some.parent_cells[has_parent])
        assert (kept.heights[some.parents[has_parent]] > kept.heights[has_parent]).all()
    # One alone: its parent is known, but not listed.
    row = int(np.flatnonzero(whole.parents >= 0)[0])
    t = int(peaks.bins[row])
    alone = peakmask.Peaks(
        np.array([0, 1]), peaks.coords[row : row + 1], peaks.prominences[row : row + 1], peaks.heights[row : row + 1]
    )
    found = peakmask.saddles(P[:, :, t : t + 1], alone)
    assert found.parents.tolist() == [-1]
    assert found.parent_cells.tolist() == [peaks.coords[whole.parents[row]].tolist()]
    none = peakmask.saddles(np.ones((3, 4, 5)), peakmask.analyze(np.ones((3, 4, 5)), []).peaks)
    assert none.cells.shape == (0, 2)


def test_saddles_of_other_peaks_are_refused():
    P = bumps(12, 9, 30)
    peaks = peakmask.analyze(P, []).peaks
    with pytest.raises(ValueError, match="30 time bins"):
        peakmask.saddles(P[:, :, :7], peaks)
    with pytest.raises(ValueError, match="listed as a peak"):
        peakmask.saddles(P + 1, peaks)
    with pytest.raises(ValueError, match="beyond the maps"):
        peakmask.saddles(P[:4], peaks)
    P[3, 4, 11] = np.nan
    peaks = peakmask.analyze(P, [], nan_policy="off_track").peaks
    with pytest.raises(ValueError, match="of time bin 11 is listed as a peak.*rule for NaN"):
        peakmask.saddles(P, peaks)
    assert (peakmask.saddles(P, peaks, nan_policy="off_track").parents < peaks.n_peaks).all()


def test_lists_of_a_linear_track():
    pytest.importorskip("pandas")
    P = np.array([[0.0, 1], [5, 2], [2, 7], [3, 1], [1, 1], [9, 3], [0, 0]])
    peaks = peakmask.analyze(P, [], layout="xt").peaks
    two = peaks.filter(highest=2)
    assert two.coords.tolist() == [[1], [5], [2], [5]]
    assert "iy" not in two.to_dataframe()
    found = peakmask.saddles(P, two, layout="xt")
    assert found.parents.tolist() == [1, -1, -1, 2]
    table = found.to_dataframe()
    assert table["saddle_ix"].tolist() == [4, -1, -1, 4]  # of two equal cells the one that connects
    assert not any(name.endswith("iy") for name in table)
    regions = peakmask.regions(P, two, 0.4, layout="xt")
    assert regions.areas.tolist() == [[3, 1, 1, 1]]
    assert regions.border_distances.tolist() == [[1, 1, 2, 1]]  # to the nearer end
    assert regions.to_dataframe()["width_x"].tolist() == [3, 1, 1, 1]
    assert not any(name.endswith(("iy", "_y")) for name in regions.to_dataframe())


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
    saddles = peakmask.saddles(P, peaks).to_dataframe(y=np.arange(9) * 3.0)
    assert (saddles["y"] == 3.0 * saddles["iy"]).all()
    children = saddles[saddles["parent"] >= 0]
    assert (saddles.loc[children["parent"], "ix"].to_numpy() == children["parent_ix"].to_numpy()).all()
    assert (saddles["height"] - saddles["saddle_height"] == saddles["topographic_prominence"]).all()


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
