"""Pictures: what is drawn, where, and in whose units."""

import numpy as np
import pytest
from conftest import bumps

import peakmask
import peakmask.plot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")

ALPHA = [0.5, 0.9]


@pytest.fixture
def p():
    p = bumps(6, 9, 40)
    p[1, 1, 3] = np.nan
    p[:, :, 5] = 0.5
    return p


@pytest.fixture
def analysis(p):
    return peakmask.analyze(p, ALPHA)


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def lines(ax, label):
    return next(c for c in ax.collections if c.get_label() == label).get_segments()


def marked(ax, label):
    return next(np.column_stack(line.get_data()) for line in ax.lines if line.get_label() == label)


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_posterior_shows_map_outlines_and_peaks_in_units(p, layout):
    x, y = np.arange(6) * 2.0 + 10, np.array([0.0, 1, 2, 3, 5, 7, 9, 11, 13])
    array = p if layout == "xyt" else np.moveaxis(p, 2, 0)
    analysis = peakmask.analyze(array, ALPHA, layout=layout)
    ax = peakmask.plot.posterior(array, analysis, 7, x=x, y=y, t=np.arange(40) * 0.25, units="cm")
    ax.figure.canvas.draw()
    shown = ax.collections[0].get_array().reshape(9, 6)
    np.testing.assert_array_equal(shown, p[:, :, 7].T)
    assert ax.get_xlim() == (9.0, 21.0)
    assert ax.get_ylim() == (-0.5, 14.0)
    coords, _, heights = analysis.peaks[7]
    i, j = coords[np.argmax(heights)]
    assert marked(ax, "dominant peak").tolist() == [[x[i], y[j]]]
    assert len(marked(ax, "peaks")) == len(heights) - 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (cm)", "y (cm)")
    assert ax.get_title() == "bin 7, t = 1.75"
    for alpha, mask in zip(ALPHA, peakmask.analyze(p, ALPHA).masks):
        outline = lines(ax, f"alpha {alpha:g}")
        assert len(outline) == perimeter(mask[:, :, 7])


def perimeter(mask):
    framed = np.pad(mask, 1).astype(int)
    return int(np.abs(np.diff(framed, axis=0)).sum() + np.abs(np.diff(framed, axis=1)).sum())


def test_outline_runs_along_the_sides_of_cells():
    p = np.zeros((3, 3, 1))
    p[1, 1] = 1
    ax = peakmask.plot.posterior(p, peakmask.analyze(p, 0.5), 0)
    corners = {tuple(point) for segment in lines(ax, "alpha 0.5") for point in segment}
    assert corners == {(0.5, 0.5), (0.5, 1.5), (1.5, 0.5), (1.5, 1.5)}


def test_silent_and_uniform_bins_are_drawn_without_peaks(p, analysis):
    for bin_ in (3, 5):
        ax = peakmask.plot.posterior(p, analysis, bin_)
        ax.figure.canvas.draw()
        assert [line.get_label() for line in ax.lines] == []
        assert len(lines(ax, "alpha 0.5")) == 0
    all_nan = np.full((2, 3, 1), np.nan)
    peakmask.plot.posterior(all_nan, peakmask.analyze(all_nan, 0.5), 0).figure.canvas.draw()
    track = np.random.default_rng(0).random((9, 1, 2))
    peakmask.plot.posterior(track, peakmask.analyze(track, 0.5), -1).figure.canvas.draw()


def test_axes_may_be_passed_in(p, analysis):
    figure, axes = plt.subplots(1, 2)
    assert peakmask.plot.posterior(p, analysis, 0, ax=axes[1]) is axes[1]
    assert not axes[0].has_data()
    _, grid = plt.subplots(2, 2)
    used = peakmask.plot.sheet(p, analysis, [1, 2, 4], axes=grid)
    assert list(used) == list(grid.flat)[:3]
    _, four = plt.subplots(4)
    assert list(peakmask.plot.timeline(analysis, axes=four)) == list(four)
    assert figure is not grid[0, 0].figure


@pytest.mark.parametrize("bins", [[0, 3, 5, -1, 7], slice(0, 10, 2), np.arange(5)])
def test_sheet_has_a_panel_for_each_bin(p, analysis, bins):
    axes = peakmask.plot.sheet(p, analysis, bins, columns=3)
    axes[0].figure.canvas.draw()
    assert len(axes) == 5
    assert len(axes[0].figure.axes) == 5
    expected = [f"bin {b}" for b in np.arange(40)[bins]]
    assert [ax.get_title() for ax in axes] == expected


def test_timeline_is_the_dominant_peak_over_time(p, analysis):
    x, y, t = np.arange(6) * 2.5, np.arange(9) * 2.5, np.arange(40) * 0.25
    place, height, area, count = peakmask.plot.timeline(analysis, x=x, y=y, t=t, units="cm")
    place.figure.canvas.draw()
    live = np.delete(np.arange(40), [3, 5])
    flat = p.reshape(-1, 40)
    at = [np.unravel_index(np.argmax(flat[:, b]), (6, 9)) for b in live]
    np.testing.assert_array_equal(place.lines[0].get_ydata()[live], [x[i] for i, _ in at])
    np.testing.assert_array_equal(place.lines[1].get_ydata()[live], [y[j] for _, j in at])
    np.testing.assert_array_equal(height.lines[0].get_ydata()[live], flat[:, live].max(axis=0))
    for line, mask in zip(area.lines, analysis.masks):
        np.testing.assert_array_equal(line.get_ydata()[live], mask.sum(axis=(0, 1))[live])
    np.testing.assert_array_equal(count.lines[0].get_ydata()[live], analysis.peaks.counts[live])
    for ax in (place, height, area, count):
        for line in ax.lines:
            np.testing.assert_array_equal(line.get_xdata(), t)
            assert np.isnan(line.get_ydata()[[3, 5]]).all()
    assert place.get_ylabel() == "position (cm)"


def test_labels_come_from_xarray(p):
    xr = pytest.importorskip("xarray")
    array = xr.DataArray(
        p, dims=("x", "y", "time"),
        coords={"x": ("x", np.arange(6) * 2.5, {"units": "cm"}), "time": ("time", np.arange(40) * 0.5, {"units": "s"})},
    )  # fmt: skip
    analysis = peakmask.analyze(array, ALPHA)
    ax = peakmask.plot.posterior(array, analysis, 4)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (cm)", "y (cells)")
    assert ax.get_title() == "bin 4, t = 2"
    assert peakmask.plot.timeline(analysis)[3].get_xlabel() == "time (s)"


def test_what_does_not_fit_is_refused(p, analysis):
    with pytest.raises(ValueError, match="pass the same P"):
        peakmask.plot.posterior(p[:, :, 1:], analysis, 0)
    with pytest.raises(ValueError, match=r"x has shape \(7,\), but 6 coordinates are needed"):
        peakmask.plot.posterior(p, analysis, 0, x=np.arange(7))
    with pytest.raises(IndexError):
        peakmask.plot.posterior(p, analysis, 40)
    with pytest.raises(ValueError, match="at least one time bin"):
        peakmask.plot.sheet(p, analysis, [])
    with pytest.raises(ValueError, match="3 time bins need as many axes, but there are 2"):
        peakmask.plot.sheet(p, analysis, [1, 2, 3], axes=plt.subplots(2)[1])
    with pytest.raises(ValueError, match="four panels, but there are 3 axes"):
        peakmask.plot.timeline(analysis, axes=plt.subplots(3)[1])
