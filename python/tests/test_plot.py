"""Pictures: what is drawn, where, and in whose units."""

import datetime
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from conftest import bumps, golden

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
    """Where something is marked, one row each."""
    for line in ax.lines:
        if line.get_label() == label:
            return np.column_stack(line.get_data())
    return next(c for c in ax.collections if c.get_label().startswith(label)).get_offsets()


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_posterior_shows_map_outlines_and_peaks_in_units(p, layout):
    x, y = np.arange(6) * 2.0 + 10, np.array([0.0, 1, 2, 3, 5, 7, 9, 11, 13])
    array = p if layout == "xyt" else np.moveaxis(p, 2, 0)
    analysis = peakmask.analyze(array, ALPHA, layout=layout)
    ax = peakmask.plot.posterior(array, analysis, 7, x=x, y=y, t=np.arange(40) * 0.25, units="cm", min_height=0)
    ax.figure.canvas.draw()
    shown = ax.collections[0].get_array().reshape(9, 6)
    np.testing.assert_array_equal(shown, p[:, :, 7].T)
    assert ax.get_xlim() == (9.0, 21.0)
    assert ax.get_ylim() == (-0.5, 14.0)
    coords, _, heights = analysis.peaks[7]
    i, j = coords[np.argmax(heights)]
    assert marked(ax, "dominant peak").tolist() == [[x[i], y[j]]]
    assert len(marked(ax, "peaks (all)")) == len(heights) - 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (cm)", "y (cm)")
    assert ax.get_title() == "bin 7, t = 1.75"
    for alpha, mask in zip(ALPHA, peakmask.analyze(p, ALPHA).masks):
        outline = lines(ax, f"mask, alpha {alpha:g}")
        assert len(outline) == perimeter(mask[:, :, 7])


def perimeter(mask):
    framed = np.pad(mask, 1).astype(int)
    return int(np.abs(np.diff(framed, axis=0)).sum() + np.abs(np.diff(framed, axis=1)).sum())


def test_outline_runs_along_the_sides_of_cells():
    p = np.zeros((3, 3, 1))
    p[1, 1] = 1
    ax = peakmask.plot.posterior(p, peakmask.analyze(p, 0.5), 0)
    corners = {tuple(point) for segment in lines(ax, "mask, alpha 0.5") for point in segment}
    assert corners == {(0.5, 0.5), (0.5, 1.5), (1.5, 0.5), (1.5, 1.5)}


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].astype(int)


def test_outline_is_whole_at_the_wall_and_reads_on_any_ground():
    p = np.zeros((4, 4, 1))
    p[0, 0] = 1
    for cmap in ("Greys", "gray"):  # the corner cell is black in one, white in the other
        _, ax = plt.subplots(figsize=(4, 4), dpi=100)
        ax.set_axis_off()
        peakmask.plot.posterior(p, peakmask.analyze(p, 0.5), 0, ax=ax, cmap=cmap, colorbar=False, legend=False)
        drawn = pixels(ax.figure)
        # Across the left wall, away from corners and from the mark of the peak.
        left, at = ax.transData.transform((-0.5, 0.35)).round().astype(int)
        row = drawn[400 - at, left - 6 : left + 7]
        shades = row.mean(axis=1)
        line = next(
            i for i in range(3, 11) if shades[i] > 200 and shades[i - 1] < 60
        )  # the white line, after its dark edge
        assert line - 1 < 6, f"{cmap}: the outer edge is cut off at the frame"
        assert (shades[line + 1 : line + 4] < 60).any(), f"{cmap}: the line melts into the ground"


def seen_by(eyes, colour):
    """CIELAB of a colour as others see it: Machado, Oliveira and Fernandes (2009), severity 1."""
    dichromats = {
        "all": np.eye(3),
        "protanopes": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deuteranopes": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ],
        "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    }
    srgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(dichromats[eyes]) @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    xyz = to_xyz @ seen / [0.95047, 1, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("eyes", ["all", "protanopes", "deuteranopes", "tritanopes"])
def test_ten_levels_have_ten_colours_that_everybody_tells_apart(eyes):
    colours = peakmask.plot.OUTLINES
    assert len(set(colours)) == 10
    seen = np.array([seen_by(eyes, colour) for colour in colours])
    apart = np.linalg.norm(seen[:, None] - seen, axis=2) + 1000 * np.eye(10)
    assert apart.min() > 30  # 2 is the least that is noticed


def test_ten_levels_are_drawn_in_different_colours(p):
    ax = peakmask.plot.posterior(p, peakmask.analyze(p, np.linspace(0.05, 0.95, 10)), 0)
    drawn = {tuple(c.get_color()[0]) for c in ax.collections if str(c.get_label()).startswith("mask")}
    assert len(drawn) == 10


def test_peaks_below_a_share_of_the_highest_are_not_marked(openfield):
    analysis = peakmask.analyze(openfield, 0.5)
    for bin_ in (20, 430):
        heights = np.sort(analysis.peaks[bin_].heights)
        for share in (0.5, 0.0):
            ax = peakmask.plot.posterior(openfield, analysis, bin_, min_height=share)
            high = int((heights >= share * heights[-1]).sum())
            assert len(marked(ax, "peaks")) == high - 1
            plt.close("all")
        ax = peakmask.plot.posterior(openfield, analysis, bin_)
        assert len(marked(ax, "peaks (from 5 % of the highest)")) == int((heights >= 0.05 * heights[-1]).sum()) - 1
        ax = peakmask.plot.posterior(openfield, analysis, bin_, min_height=0, top=3)
        shown = len(marked(ax, "peaks (the 3 highest)")) + len(marked(ax, "dominant peak"))
        assert shown == min(3, len(heights))
        prominences = analysis.peaks[bin_].prominences
        ax = peakmask.plot.posterior(openfield, analysis, bin_, min_height=0, min_prominence=0.1)
        prominent = prominences >= 0.1 * heights[-1]
        prominent[np.argmax(analysis.peaks[bin_].heights)] = True
        assert len(marked(ax, "peaks (prominence")) == int(prominent.sum()) - 1


def test_zero_marks_all_whatever_the_signs():
    for values in ([0.5, -3.0, 0.2], [-1.0, -3.0, -2.0], [0.0, -1.0, 0.0], [np.inf, -1.0, 2.0]):
        p = np.full((7, 3, 1), -9.0)
        p[[1, 3, 5], 1, 0] = values
        analysis = peakmask.analyze(p, [])
        ax = peakmask.plot.posterior(p, analysis, 0, min_height=0)
        assert len(marked(ax, "peaks (all)")) == len(analysis.peaks[0].heights) - 1 == 2


def test_marks_are_scaled_by_height():
    p = np.zeros((9, 3, 1))
    p[1, 1], p[4, 1], p[7, 1] = 0.2, 1.0, 0.6
    ax = peakmask.plot.posterior(p, peakmask.analyze(p, []), 0)
    scatter = next(c for c in ax.collections if c.get_label().startswith("peaks"))
    assert scatter.get_offsets()[:, 0].tolist() == [1.0, 7.0]
    assert scatter.get_sizes()[0] < scatter.get_sizes()[1]


def test_log_posteriors_mark_the_same_peaks():
    p = bumps(12, 9, 4)
    plain, logs = peakmask.analyze(p, []), peakmask.analyze(np.log(p), [])
    for bin_ in range(4):
        a = marked(peakmask.plot.posterior(p, plain, bin_, min_height=0.1), "peaks")
        b = marked(peakmask.plot.posterior(np.log(p), logs, bin_, min_height=0.1), "peaks")
        assert a.tolist() == b.tolist()
        plt.close("all")


@pytest.mark.parametrize(("norm", "expected"), [("linear", 0.25), ("sqrt", 0.5)])
def test_scales_place_values(norm, expected):
    p = np.array([0.0, 0.25, 1.0, 0.5]).reshape(2, 2, 1)
    ax = peakmask.plot.posterior(p, peakmask.analyze(p, 0.5), 0, norm=norm)
    assert ax.collections[0].norm(0.25) == pytest.approx(expected)


def test_a_log_scale_has_a_floor():
    p = np.array([0.0, 0.25, 1.0, 1e-6]).reshape(2, 2, 1)
    analysis = peakmask.analyze(p, 0.5)
    norm = peakmask.plot.posterior(p, analysis, 0, norm="log").collections[0].norm
    assert (norm.vmin, norm.vmax) == (1e-4, 1.0)
    assert norm(np.array([0.0, 1e-6, 1e-4, 1e-2, 1.0])).tolist() == pytest.approx([0, 0, 0, 0.5, 1])
    norm = peakmask.plot.posterior(p, analysis, 0, norm="log", vmin=1e-2).collections[0].norm
    assert norm(0.1) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="needs values above 0"):
        peakmask.plot.posterior(-p - 1, peakmask.analyze(-p - 1, 0.5), 0, norm="log")


def test_a_sheet_says_whose_range_its_colours_have(p, analysis):
    bins = [0, 7, 9]
    own = peakmask.plot.sheet(p, analysis, bins)
    limits = [ax.collections[0].get_clim() for ax in own]
    assert limits == [(p[:, :, b].min(), p[:, :, b].max()) for b in bins]
    assert "P: each panel its own range" in legend_of(own[0].figure)
    assert all(len(ax.child_axes) == 1 for ax in own), "a colour bar each"
    together = peakmask.plot.sheet(p, analysis, bins, shared=True, norm="sqrt")
    assert {ax.collections[0].get_clim() for ax in together} == {(p[:, :, bins].min(), p[:, :, bins].max())}
    bars = [ax for ax in together[0].figure.axes if ax not in list(together)]
    assert [bar.get_ylabel() for bar in bars] == ["P (square-root scale), all panels"]
    mine = matplotlib.colors.Normalize(0, 0.5)
    assert {ax.collections[0].norm for ax in peakmask.plot.sheet(p, analysis, bins, norm=mine)} == {mine}
    limits = {ax.collections[0].get_clim() for ax in peakmask.plot.sheet(p, analysis, bins, vmin=0, vmax=0.125)}
    assert limits == {(0, 0.125)}


def test_silent_and_uniform_bins_are_drawn_without_peaks(p, analysis):
    for bin_ in (3, 5):
        ax = peakmask.plot.posterior(p, analysis, bin_)
        ax.figure.canvas.draw()
        assert len(marked(ax, "peaks")) == len(marked(ax, "dominant peak")) == 0
        assert len(lines(ax, "mask, alpha 0.5")) == 0
    all_nan = np.full((2, 3, 1), np.nan)
    peakmask.plot.posterior(all_nan, peakmask.analyze(all_nan, 0.5), 0).figure.canvas.draw()
    infinite = np.array([np.inf, 1, -np.inf, 0]).reshape(2, 2, 1)
    peakmask.plot.posterior(infinite, peakmask.analyze(infinite, 0.5), 0).figure.canvas.draw()


def test_the_legend_is_of_the_whole_sheet_and_covers_nothing(p, analysis):
    axes = peakmask.plot.sheet(p, analysis, [5, 3, 0])  # the first has nothing to explain
    words = legend_of(axes[0].figure)
    expected = {"mask, alpha 0.5", "mask, alpha 0.9", "dominant peak", "no value (NaN)", "P: each panel its own range"}
    assert set(words) == expected | ({"peaks (from 5 % of the highest)"} if analysis.peaks.counts[0] > 1 else set())
    only = legend_of(peakmask.plot.sheet(p, analysis, [5])[0].figure)
    assert only == ["P: each panel its own range"], "nothing is explained that is not there"


@pytest.mark.parametrize(
    ("shape", "n"), [((41, 63), 5), ((63, 20), 1), ((63, 20), 6), ((30, 1), 5), ((5, 60), 1), ((5, 60), 5)]
)
def test_nothing_overlaps_and_no_room_is_wasted(shape, n):
    p = bumps(*shape, 9)
    p[..., 4] = 0.25  # nothing but its colour is drawn of this one
    axes = peakmask.plot.sheet(p, peakmask.analyze(p, ALPHA), range(n))
    figure = axes[0].figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    legend = figure.legends[0].get_window_extent(renderer)
    boxes = [ax.get_tightbbox(renderer) for ax in axes]
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.width + 1
    lowest = min(box.y0 for box in boxes)
    assert legend.y1 <= lowest + 1, "the legend lies on the panels"
    assert lowest - legend.y1 < 40, "an empty band above the legend"
    assert figure.bbox.height - max(box.y1 for box in boxes) < 40, "an empty band at the top"
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            assert not (
                min(box.x1, other.x1) - max(box.x0, other.x0) > 1 and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
            )


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
    part = plt.figure(layout="constrained").subfigures(1, 2)[1]
    assert len(peakmask.plot.sheet(p, analysis, [1, 2], axes=part.subplots(1, 2))) == 2


@pytest.mark.parametrize("bins", [[0, 3, 5, -1, 7], slice(0, 10, 2), np.arange(5), [1, 1, 0, 0, 1], range(5)])
def test_sheet_has_a_panel_for_each_bin(p, analysis, bins):
    axes = peakmask.plot.sheet(p, analysis, bins, columns=3)
    axes[0].figure.canvas.draw()
    assert len(axes) == 5
    assert len(axes[0].figure.axes) == 5
    expected = [f"bin {b}" for b in np.arange(40)[bins]]
    assert [ax.get_title() for ax in axes] == expected


@pytest.mark.parametrize("kind", [np.asarray, list, "pandas"])
def test_booleans_choose_bins(p, analysis, kind):
    speed = np.arange(40) % 13
    if kind == "pandas":
        kind = pytest.importorskip("pandas").Series
    axes = peakmask.plot.sheet(p, analysis, kind(speed > 11))
    assert [ax.get_title() for ax in axes] == ["bin 12", "bin 25", "bin 38"]


@pytest.mark.parametrize(
    ("bins", "error", "words"),
    [
        ([], ValueError, "at least one time bin"),
        (np.zeros(40, bool), ValueError, "at least one time bin"),
        (np.ones(39, bool), ValueError, "39 booleans, but there are 40 time bins"),
        ([0.0, 1.0], TypeError, "for times, look the bins up first"),
        (["a"], TypeError, "bins are whole numbers"),
        ([40], IndexError, "no time bin 40; there are 40"),
        ([-41], IndexError, "no time bin -41"),
        ([[1, 2]], ValueError, r"shape \(1, 2\)"),
        ([0] * 401, ValueError, "401 panels are more than 400"),
    ],
)
def test_bins_that_mean_nothing_are_refused(p, analysis, bins, error, words):
    with pytest.raises(error, match=words):
        peakmask.plot.sheet(p, analysis, bins)


def test_timeline_is_the_dominant_peak_over_time(p, analysis):
    x, y, t = np.arange(6) * 2.5, np.arange(9) * 2.5, np.arange(40) * 0.25
    path = np.column_stack([t * 2, t * 3])
    place, height, area, count = peakmask.plot.timeline(analysis, x=x, y=y, t=t, units="cm", path=path)
    place.figure.canvas.draw()
    live = np.delete(np.arange(40), [3, 5])
    flat = p.reshape(-1, 40)
    at = [np.unravel_index(np.argmax(flat[:, b]), (6, 9)) for b in live]
    shown = {line.get_label(): line.get_ydata() for line in place.lines}
    np.testing.assert_array_equal(shown["x"][live], [x[i] for i, _ in at])
    np.testing.assert_array_equal(shown["y"][live], [y[j] for _, j in at])
    np.testing.assert_array_equal(shown["animal, x"], path[:, 0])
    np.testing.assert_array_equal(height.lines[0].get_ydata()[live], flat[:, live].max(axis=0))
    for line, mask in zip(area.lines, analysis.masks):
        np.testing.assert_allclose(line.get_ydata()[live], 6.25 * mask.sum(axis=(0, 1))[live], rtol=1e-12)
    counts = [int((h >= 0.05 * h.max()).sum()) for h in (analysis.peaks[int(b)].heights for b in live)]
    np.testing.assert_array_equal(count.lines[0].get_ydata()[live], counts)
    assert count.lines[0].get_label() == "peaks (from 5 % of the highest)"
    for ax in (place, height, area, count):
        for line in ax.lines:
            np.testing.assert_array_equal(line.get_xdata(), t)
            if not line.get_label().startswith("animal"):
                assert np.isnan(line.get_ydata()[[3, 5]]).all()
    assert place.get_ylabel() == "position (cm)"
    assert area.get_ylabel() == "area (cm²)"
    uneven = np.array([0, 1, 3, 6, 10, 15, 21.0])
    area = peakmask.plot.timeline(analysis, x=uneven, y=np.arange(10) * 2.0, units="cm")[2]
    weights = np.diff(uneven)[:, None] * np.full(9, 2.0)
    for line, mask in zip(area.lines, analysis.masks):
        np.testing.assert_allclose(line.get_ydata()[live], np.tensordot(weights, mask, 2)[live], rtol=1e-12)


def test_a_summary_over_time_is_its_columns(openfield):
    p = openfield[:, :, 760:]
    animal = np.random.default_rng(0).uniform(0, 41, (40, 2))
    found = peakmask.analyze(p, [0.5, 0.9], masks=None, summary=True, animal=animal).summary
    t = np.arange(40) * 0.25
    axes = peakmask.plot.summary(found, t=t)
    axes[0].figure.canvas.draw()
    dead = np.arange(34, 40)
    assert not found.live[dead].any()
    live = np.delete(np.arange(40), dead)
    expected = [
        list(found.area), [found.height], [found.highest_prominence, found.prominence], [found.peaks], [found.distance],
    ]  # fmt: skip
    for ax, columns in zip(axes, expected):
        assert len(ax.lines) == len(columns)
        for line, column in zip(ax.lines, columns):
            np.testing.assert_array_equal(line.get_xdata(), t)
            np.testing.assert_array_equal(line.get_ydata()[live], column[live])
            assert np.isnan(line.get_ydata()[dead]).all()
    assert (found.prominence < found.highest_prominence).any(), "two lines"
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["alpha 0.5", "alpha 0.9"]
    assert [text.get_text() for text in axes[2].get_legend().get_texts()] == ["of any peak", "of the dominant peak"]
    assert axes[4].get_xlabel() == "time"
    # Without an animal, of a part, on axes of the caller's.
    alone = peakmask.analyze(p, 0.5, masks=None, summary=True).summary.part(10, 30)
    four = plt.subplots(4)[1]
    assert list(peakmask.plot.summary(alone, axes=four)) == list(four)
    np.testing.assert_array_equal(four[0].lines[0].get_ydata(), alone.area[0])
    assert four[3].get_xlabel() == "time (bins)"
    with pytest.raises(ValueError, match="has 5 panels, with distances to an animal, but there are 4 axes"):
        peakmask.plot.summary(found, axes=plt.subplots(4)[1])
    with pytest.raises(ValueError, match="has 4 panels, without distances"):
        peakmask.plot.summary(alone, axes=plt.subplots(5)[1])
    with pytest.raises(ValueError, match=r"t has shape \(39,\)"):
        peakmask.plot.summary(found, t=t[:-1])


def test_a_long_summary_is_an_envelope():
    n = 100_000
    p = bumps(2, 3, n)
    area = peakmask.plot.summary(peakmask.analyze(p, 0.5, masks=None, summary=True).summary)[0]
    areas = peakmask.analyze(p, 0.5).masks[0].sum(axis=(0, 1)).reshape(1000, 100)
    np.testing.assert_array_equal(area.lines[0].get_ydata(), np.median(areas, axis=1))


def test_a_long_timeline_is_an_envelope():
    n = 100_000
    p = bumps(2, 3, n)
    analysis = peakmask.analyze(p, 0.5)
    height = peakmask.plot.timeline(analysis)[1]
    height.figure.canvas.draw()
    heights = p.reshape(6, n).max(axis=0).reshape(1000, 100)
    line = height.lines[0]
    np.testing.assert_array_equal(line.get_ydata(), np.median(heights, axis=1))
    np.testing.assert_array_equal(line.get_xdata(), np.arange(0, n, 100))
    corners = height.collections[0].get_paths()[0].vertices[:, 1]
    assert corners.min() == heights.min()
    assert corners.max() == heights.max()


def test_a_linear_track_is_position_by_time():
    p, alpha, _ = golden("track_logposterior_f64")
    p, edges = p[:, :, :250], np.arange(81) * 2.0
    analysis = peakmask.analyze(p, alpha)
    path = np.linspace(0, 160, 250)
    ax = peakmask.plot.track(p, analysis, x=edges, t=np.arange(250) * 0.04, units="cm", path=path)
    ax.figure.canvas.draw()
    np.testing.assert_array_equal(ax.collections[0].get_array().reshape(80, 250), p[:, 0])
    assert ax.get_ylabel() == "x (cm)"
    assert ax.get_ylim() == (0, 160)
    rows = analysis.peaks.dominant
    centres = (edges[:-1] + edges[1:]) / 2
    expected = centres[analysis.peaks.coords[rows, 0]]
    np.testing.assert_array_equal(marked(ax, "dominant peak")[:, 1], expected)
    mask = analysis.masks[3][:, 0]
    lower = marked(ax, f"mask, alpha {alpha[3]:g}")[:-1, 1]
    np.testing.assert_array_equal(lower, edges[:-1][mask.argmax(axis=0)])
    np.testing.assert_array_equal(marked(ax, "animal")[:, 1], path)
    some = peakmask.plot.track(p, analysis, np.arange(250) > 200)
    assert some.collections[0].get_array().size == 80 * 49
    curve = peakmask.plot.posterior(p, analysis, 8)
    np.testing.assert_array_equal(marked(curve, "P")[:, 1], p[:, 0, 8])
    turned = np.transpose(p, (1, 0, 2))
    assert peakmask.plot.track(turned, peakmask.analyze(turned, alpha)).get_ylabel() == "y (cells)"
    with pytest.raises(ValueError, match="one axis of length 1, but the maps are 6 x 9"):
        peakmask.plot.track(bumps(6, 9, 3), peakmask.analyze(bumps(6, 9, 3), 0.5))


def test_a_long_track_shows_the_highest_of_each_column():
    p = bumps(20, 1, 50_000)
    ax = peakmask.plot.track(p, peakmask.analyze(p, 0.5))
    shown = ax.collections[0].get_array().reshape(20, 2000)
    np.testing.assert_array_equal(shown, p[:, 0].reshape(20, 2000, 25).max(axis=2))


def test_the_path_of_the_animal_is_laid_over(p, analysis):
    path = np.column_stack([np.linspace(0, 5, 40), np.linspace(0, 8, 40)])
    ax = peakmask.plot.posterior(p, analysis, 30, path=path)
    np.testing.assert_array_equal(marked(ax, "animal"), path[30:31])
    np.testing.assert_array_equal(marked(ax, "path of the animal"), path[:31])
    for wrong in (path[:, 0], path[1:], np.zeros((40, 3))):
        with pytest.raises(ValueError, match="time bins need x and y each"):
            peakmask.plot.posterior(p, analysis, 30, path=wrong)


def test_labels_come_from_xarray(p):
    xr = pytest.importorskip("xarray")
    array = xr.DataArray(
        p, dims=("x", "y", "time"),
        coords={"x": ("x", np.arange(6) * 2.5, {"units": "cm"}), "time": ("time", np.arange(40) * 0.5, {"units": "s"})},
    )  # fmt: skip
    analysis = peakmask.analyze(array, ALPHA)
    ax = peakmask.plot.posterior(array, analysis, 4)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (cm)", "y (cells)")
    assert ax.get_title() == "bin 4, t = 2 s"
    timeline = peakmask.plot.timeline(analysis)
    assert timeline[3].get_xlabel() == "time (s)"
    assert timeline[2].get_ylabel() == "area (cells)", "x has units and y has none"


START = datetime.datetime(2026, 1, 31, 23, 59, 58)


@pytest.mark.parametrize(
    ("t", "title"),
    [
        (np.arange(40) * 0.1, "bin 5, t = 0.5"),
        (np.arange(40) + 1_234_567.25, "bin 5, t = 1234572.25"),
        (np.datetime64(START) + np.arange(40) * np.timedelta64(500, "ms"), "bin 5, 2026-02-01 00:00:00.500"),
        (np.datetime64("2026-01-30") + np.arange(40), "bin 5, 2026-02-04 00:00:00"),
        ([START + datetime.timedelta(seconds=i) for i in range(40)], "bin 5, 2026-02-01 00:00:03"),
        ([START.replace(tzinfo=datetime.timezone.utc)] * 40, "bin 5, 2026-01-31 23:59:58"),
        (np.arange(40) * np.timedelta64(1500, "ms"), "bin 5, t = 0:00:07.5"),
        ([datetime.timedelta(hours=i) for i in range(40)], "bin 5, t = 5:00:00"),
        ([f"lap {i}" for i in range(40)], "bin 5, lap 5"),
        (np.arange(41) * 0.5, "bin 5, t = 2.75"),  # edges
    ],
    ids=[
        "numbers",
        "large",
        "datetime64",
        "days",
        "datetime",
        "timezone",
        "timedelta64",
        "timedelta",
        "strings",
        "edges",
    ],
)
def test_times_read_as_what_they_are(p, analysis, t, title):
    assert peakmask.plot.posterior(p, analysis, 5, t=t).get_title() == title
    peakmask.plot.sheet(p, analysis, [0, 5], t=t)[0].figure.canvas.draw()
    axes = peakmask.plot.timeline(analysis, t=t)
    axes[0].figure.canvas.draw()
    ticks = [label.get_text() for label in axes[3].get_xticklabels()]
    assert any(ticks)
    if title.endswith("lap 5"):
        assert {"lap 8", "lap 16"} <= set(ticks)
    if title.endswith(":07.5"):
        assert "0:00:30" in ticks


def test_coordinates_may_be_edges(p, analysis):
    centres, edges = np.arange(6) + 0.5, np.arange(7)
    a = peakmask.plot.posterior(p, analysis, 0, x=centres, units="cm")
    b = peakmask.plot.posterior(p, analysis, 0, x=edges, units="cm")
    assert a.get_xlim() == b.get_xlim() == (0, 6)
    assert marked(a, "dominant peak").tolist() == marked(b, "dominant peak").tolist()


def test_without_matplotlib_the_extra_is_named():
    code = """
import sys
sys.modules["matplotlib"] = None  # as if it were not there
import numpy as np, peakmask
P = np.random.rand(4, 5, 6)
analysis = peakmask.analyze(P, 0.5)
plot = peakmask.plot
track = P[:, :1]
for draw in (
    lambda: plot.posterior(P, analysis, 0), lambda: plot.sheet(P, analysis, [0]), lambda: plot.timeline(analysis),
    lambda: plot.summary(peakmask.analyze(P, 0.5, summary=True).summary),
    lambda: plot.track(track, peakmask.analyze(track, 0.5)), lambda: plot.animate(P, analysis, [0]),
    lambda: plot.explore(P, analysis),
):
    try:
        draw()
    except ImportError as error:
        assert 'pip install "peakmask[plot]"' in str(error), error
    else:
        raise AssertionError("it was drawn")
analysis.page(P, sys.argv[1])
"""
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, "page.html")
        ran = subprocess.run([sys.executable, "-c", code, page], capture_output=True, text=True, timeout=120)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert os.path.getsize(page) > 10_000


def test_what_does_not_fit_is_refused(p, analysis):
    with pytest.raises(ValueError, match="pass the same P"):
        peakmask.plot.posterior(p[:, :, 1:], analysis, 0)
    for axis, n in (("x", 6), ("y", 9), ("t", 40)):
        for wrong in (n - 1, n + 2, 0):
            with pytest.raises(ValueError, match=rf"{axis} has shape \({wrong},\), but there are {n} "):
                peakmask.plot.posterior(p, analysis, 0, **{axis: np.arange(wrong)})
    with pytest.raises(ValueError, match=r"t has shape \(39,\), but there are 40 time bins"):
        peakmask.plot.posterior(p, analysis, 0, t=["a"] * 39)
    with pytest.raises(ValueError, match="neither rises nor falls"):
        peakmask.plot.posterior(p, analysis, 0, x=[0, 1, 2, 2, 3, 4])
    with pytest.raises(ValueError, match="x are numbers"):
        peakmask.plot.posterior(p, analysis, 0, x=list("abcdef"))
    with pytest.raises(IndexError):
        peakmask.plot.posterior(p, analysis, 40)
    with pytest.raises(ValueError, match="3 time bins need as many axes, but there are 2"):
        peakmask.plot.sheet(p, analysis, [1, 2, 3], axes=plt.subplots(2)[1])
    with pytest.raises(ValueError, match="four panels, but there are 3 axes"):
        peakmask.plot.timeline(analysis, axes=plt.subplots(3)[1])
    with pytest.raises(ValueError, match="columns is at least 1"):
        peakmask.plot.sheet(p, analysis, [1], columns=0)
    with pytest.raises(TypeError, match="columns is a whole number, not '3'"):
        peakmask.plot.sheet(p, analysis, [1], columns="3")
    for wrong in (
        {"norm": "cubic"},
        {"norm": "log", "vmin": 0},
        {"vmin": 2, "vmax": 1},
        {"min_height": 5},
        {"top": -1},
    ):
        with pytest.raises(ValueError, match="norm|floor|run from|share|number of peaks"):
            peakmask.plot.posterior(p, analysis, 0, **wrong)


def frames(path):
    image = pytest.importorskip("PIL.Image").open(path)
    shown = []
    for i in range(image.n_frames):
        image.seek(i)
        shown.append(np.asarray(image.convert("RGB")).astype(int))
    return shown


def test_a_film_has_a_frame_for_each_bin(p, analysis, tmp_path):
    film = peakmask.plot.animate(p, analysis, [0, 7, 3, 9], save=tmp_path / "film.gif", dpi=50)
    drawn = frames(tmp_path / "film.gif")
    assert len(drawn) == 4
    assert all(np.abs(a - b).sum() > 0 for a, b in zip(drawn, drawn[1:]))
    # The last frame is what a picture of that bin is.
    assert film._fig.axes[0].get_title() == "bin 9"
    coords, _, heights = analysis.peaks[9]
    assert marked(film._fig.axes[0], "dominant peak").tolist() == [coords[np.argmax(heights)].tolist()]
    with pytest.raises(ValueError, match=r'stored as ".gif" or ".mp4"'):
        peakmask.plot.animate(p, analysis, save=tmp_path / "film.png")
    with pytest.raises(ValueError, match="at least one time bin"):
        peakmask.plot.animate(p, analysis, [])


def test_a_film_for_other_players_is_written_by_ffmpeg(p, analysis, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    with matplotlib.rc_context({"animation.ffmpeg_path": ffmpeg}):
        peakmask.plot.animate(p, analysis, range(4), save=tmp_path / "film.mp4", dpi=50)
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_a_film_without_ffmpeg_says_so(p, analysis, tmp_path):
    context = matplotlib.rc_context({"animation.ffmpeg_path": "no-such-ffmpeg"})
    with context, pytest.raises(RuntimeError, match="needs ffmpeg"):
        peakmask.plot.animate(p, analysis, [0], save=tmp_path / "film.mp4")


def test_exploring_follows_slider_keys_and_button(p, analysis):
    ax = peakmask.plot.explore(p, analysis, slice(0, 40, 2))
    figure = ax.figure
    controls = figure._peakmask_controls
    assert ax.get_title() == "bin 0"
    controls.slider.set_val(4)
    assert ax.get_title() == "bin 8"

    def press(key):
        event = matplotlib.backend_bases.KeyEvent("key_press_event", figure.canvas, key)
        figure.canvas.callbacks.process("key_press_event", event)

    for key, title in [
        ("right", "bin 10"), ("left", "bin 8"), ("pagedown", "bin 28"), ("end", "bin 38"), ("right", "bin 38"),
        ("home", "bin 0"), ("left", "bin 0"),
    ]:  # fmt: skip
        press(key)
        assert ax.get_title() == title, key
    assert controls.slider.valtext.get_text() == "0"
    press(" ")
    assert controls.playing
    assert controls.button.label.get_text() == "pause"
    controls.tick()
    assert ax.get_title() == "bin 2"
    press("end")
    controls.tick()
    assert ax.get_title() == "bin 0", "from the end it starts again"
    press(" ")
    assert not controls.playing
