"""What comes back."""

import pickle
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis

import peakmask


@pytest.fixture
def p():
    p = bumps(6, 7, 40)
    p[0, 0, 3] = np.nan
    return p


@pytest.fixture
def analysis(p):
    return peakmask.analyze(p, [0.5, 0.9, float("nan"), 0.5])


def test_masks_by_value(analysis):
    assert analysis.mask(0.5) is analysis.masks[0]
    assert analysis.mask(0.9) is analysis.masks[1]
    assert analysis.mask(float("nan")) is analysis.masks[2]
    assert not np.shares_memory(analysis.masks[0], analysis.masks[3])
    for wrong in ("0.5", None, [0.5], b"0.5"):
        with pytest.raises(TypeError, match="a mask is found by its level, a number, not by"):
            analysis.mask(wrong)
    assert analysis.mask(np.float32(0.5)) is analysis.masks[0]
    with pytest.raises(KeyError, match="no mask for alpha 0.7; there are masks for 0.5, 0.9, nan, 0.5"):
        analysis.mask(0.7)


def test_masks_of_time_first_input_lie_time_last_in_memory(p):
    array = np.ascontiguousarray(np.moveaxis(p, 2, 0))
    (mask,) = peakmask.analyze(array, 0.5, layout="txy").masks
    assert mask.shape == array.shape
    assert np.moveaxis(mask, 0, 2).flags.c_contiguous
    assert peakmask.analyze(p, 0.5).masks[0].flags.c_contiguous


def test_peaks_are_a_sequence_of_time_bins(p, analysis):
    peaks = analysis.peaks
    assert isinstance(peaks, Sequence)
    assert len(peaks) == 40
    assert peaks.offsets.dtype == np.int64
    assert peaks.n_peaks == len(peaks.coords) == peaks.offsets[-1]
    for t, (coords, prominences, heights) in enumerate(peaks):
        assert len(coords) == len(prominences) == len(heights) == peaks.counts[t]
        assert heights.tobytes() == p[coords[:, 0], coords[:, 1], t].tobytes()
        assert np.shares_memory(coords, peaks.coords) or t == 3
    assert len(peaks[3].heights) == 0
    assert peaks[-1].coords.tobytes() == peaks[39].coords.tobytes()
    np.testing.assert_array_equal(peaks.bins, np.repeat(np.arange(40), peaks.counts))
    with pytest.raises(IndexError, match="there are 40 time bins, so there is no bin 40"):
        peaks[40]
    for wrong in ([1, 2], np.array([1, 2]), 1.0, "1", None, (1, 2)):
        with pytest.raises(TypeError, match="time bins are indexed by a number or a slice, not by"):
            peaks[wrong]
    assert peaks[np.int64(7)] == peaks[7]


def test_time_bins_compare_and_are_found(analysis):
    peaks = analysis.peaks
    coords, prominences, heights = peaks[5]
    assert peaks[5] == peaks[5]
    assert peaks[5] == (coords.copy(), prominences.copy(), heights.copy())
    assert peaks[5] != peaks[6]
    assert peaks[5] != (coords, prominences)
    assert peaks[5] != "peaks"
    assert peaks[5] != (coords, prominences, heights + 1)
    assert peaks[5] in peaks
    assert peaks.index(peaks[5]) == 5
    assert peaks.count(peaks[5]) == 1
    assert next(reversed(peaks)) == peaks[39]
    assert (coords, prominences, heights + 1) not in peaks
    assert "peaks" not in peaks


def test_runs_of_time_bins(analysis):
    peaks = analysis.peaks
    some = peaks[5:9]
    assert len(some) == 4
    assert some.offsets[0] == 0
    assert some[2].coords.tobytes() == peaks[7].coords.tobytes()
    assert np.shares_memory(some.heights, peaks.heights)
    assert (some.first_bin, peaks.first_bin) == (5, 0)
    np.testing.assert_array_equal(some.bins, peaks.bins[(peaks.bins >= 5) & (peaks.bins < 9)])
    assert some[1:3].first_bin == 6
    assert set(some[1:3].bins) == {6, 7}
    assert len(peaks[9:5]) == 0
    assert peaks[9:5].n_peaks == 0
    assert peaks[:].n_peaks == peaks.n_peaks
    with pytest.raises(ValueError, match="steps of 1, not 2"):
        peaks[::2]


def test_tables_of_runs_keep_their_bins_and_times(analysis):
    pytest.importorskip("pandas")
    whole = analysis.peaks.to_dataframe(t=np.arange(40) * 0.25)
    some = analysis.peaks[5:10]
    table = some.to_dataframe(t=np.arange(5, 10) * 0.25)
    expected = whole[(whole["bin"] >= 5) & (whole["bin"] < 10)].reset_index(drop=True)
    assert table.equals(expected)
    np.testing.assert_array_equal(some.to_dataframe()["t"], table["bin"])
    with pytest.raises(ValueError, match="there are 5 time bins"):
        some.to_dataframe(t=np.arange(40))


def test_dominant_is_the_first_highest():
    p = np.random.default_rng(0).integers(0, 3, (5, 6, 300)).astype(float)
    p[:, :, [0, 50, 299]] = 1.0
    peaks = peakmask.analyze(p, []).peaks
    expected = [o + np.argmax(bin_.heights) if len(bin_.heights) else -1 for o, bin_ in zip(peaks.offsets, peaks)]
    assert peaks.dominant.tolist() == expected
    assert expected.count(-1) == 3
    assert peakmask.analyze(p[:, :, :1], []).peaks.dominant.tolist() == [-1]
    assert peakmask.analyze(p[:, :, :0], []).peaks.dominant.tolist() == []


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_areas(p, layout):
    array = p if layout == "xyt" else np.moveaxis(p, 2, 0)
    analysis = peakmask.analyze(array, [0.5, 0.9], layout=layout)
    expected = [mask.sum(axis=(0, 1) if layout == "xyt" else (1, 2)) for mask in analysis.masks]
    np.testing.assert_array_equal(analysis.areas, expected)
    assert peakmask.analyze(p, []).areas.shape == (0, 40)


def test_dataframe_has_a_row_for_each_peak(analysis):
    pandas = pytest.importorskip("pandas")
    x, y, t = np.arange(6) * 2.5, np.arange(7) * 5.0, np.arange(40) * 0.25
    table = analysis.peaks.to_dataframe(x=x, y=y, t=t)
    assert isinstance(table, pandas.DataFrame)
    peaks = analysis.peaks
    assert table.columns.tolist() == ["bin", "t", "ix", "iy", "x", "y", "height", "prominence", "dominant"]
    np.testing.assert_array_equal(table["x"], x[peaks.coords[:, 0]])
    np.testing.assert_array_equal(table["y"], y[peaks.coords[:, 1]])
    np.testing.assert_array_equal(table["t"], t[peaks.bins])
    np.testing.assert_array_equal(table["height"], peaks.heights)
    assert table[table["dominant"]]["bin"].tolist() == [t for t in range(40) if t != 3]
    plain = peaks.to_dataframe()
    np.testing.assert_array_equal(plain["x"], plain["ix"])
    np.testing.assert_array_equal(plain["t"], plain["bin"])
    assert len(peakmask.analyze(np.ones((2, 2, 2)), []).peaks.to_dataframe(x=[0.0, 1.0])) == 0


def test_dataframe_refuses_coordinates_that_do_not_fit(analysis):
    pytest.importorskip("pandas")
    for axis, n, wrong in [("x", 6, [0, 1, 2]), ("y", 7, np.arange(9)), ("t", 40, np.arange(39)), ("x", 6, 1.0)]:
        what = "time bins" if axis == "t" else "cells"
        sentence = f"{axis} has shape .*, but there are {n} {what}: give {n} centres, one for each, or {n + 1} edges"
        with pytest.raises(ValueError, match=sentence):
            analysis.peaks.to_dataframe(**{axis: wrong})
    with pytest.raises(ValueError, match="x has 7 entries for 6 cells, which are read as edges, but they neither rise"):
        analysis.peaks.to_dataframe(x=[0, 1, 2, 3, 2, 5, 6])
    with pytest.raises(ValueError, match="x has 7 edges for 6 cells, but edges are numbers or times"):
        analysis.peaks.to_dataframe(x=list("abcdefg"))


@pytest.mark.parametrize(
    "edges",
    [
        np.arange(7) * 2.5,
        np.arange(7)[::-1],
        np.arange(7, dtype=np.uint8)[::-1],
        np.array([0, 1, 3, 7, 15, 31, 63.5]),
        np.arange(7) * np.timedelta64(250, "ms"),
    ],
    ids=lambda edges: f"{edges.dtype}, from {edges[0]}",
)
def test_edges_are_recognised_and_centres_computed(analysis, edges):
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    wide = edges.astype(float) if edges.dtype.kind in "iu" else edges
    centres = wide[:-1] + (wide[1:] - wide[:-1]) / 2
    table = analysis.peaks.to_dataframe(x=edges)
    np.testing.assert_array_equal(table["x"], centres[analysis.peaks.coords[:, 0]])
    np.testing.assert_array_equal(analysis.to_xarray(x=edges)["x"], centres)


def test_times_are_numbers_dates_or_durations(analysis):
    pandas = pytest.importorskip("pandas")
    bins = analysis.peaks.bins
    dates = np.datetime64("2026-01-01T12:00", "ns") + np.arange(40) * np.timedelta64(250, "ms")
    for t in (dates, dates - dates[0], pandas.DatetimeIndex(dates)):
        found = analysis.peaks.to_dataframe(t=t)["t"]
        np.testing.assert_array_equal(found, np.asarray(t)[bins])
    edges = dates[0] + np.arange(41) * np.timedelta64(500, "ms")
    found = analysis.peaks.to_dataframe(t=edges)["t"]
    np.testing.assert_array_equal(found, (edges[:-1] + np.timedelta64(250, "ms"))[bins])


def test_columns_alone_reach_as_far_as_their_peaks(analysis):
    pytest.importorskip("pandas")
    peaks = analysis.peaks
    mine = peakmask.Peaks(peaks.offsets, peaks.coords, peaks.prominences, peaks.heights)
    n_x = peaks.coords[:, 0].max() + 1
    assert len(mine.to_dataframe(x=np.arange(n_x))) == peaks.n_peaks
    with pytest.raises(ValueError, match=f"but there are {n_x} cells"):
        mine.to_dataframe(x=np.arange(n_x + 2))


def test_report_is_a_mapping_and_prints(analysis):
    report = analysis.report
    assert isinstance(report, Mapping)
    assert (report["bins"], report["peaks"], report["engine"]) == (40, analysis.peaks.n_peaks, "cpu")
    assert (report["cpu_bins"], report["gpu_bins"]) == (40, 0)
    assert report["threads"] >= 1
    assert 0 < report["seconds"]["total"] < 60
    assert set(report["seconds"]) >= {"survey", "compare", "flood", "bases", "emit"}
    assert report["bytes_planned"] > 0
    assert dict(report) == {name: report[name] for name in report}
    assert "instruction set" in repr(report)
    assert "seconds, total" in repr(report)
    assert report._repr_html_().count("<tr>") == repr(report).count("\n") + 1


def test_repr_says_what_there_is(analysis):
    text = repr(analysis)
    assert "40 time bins of 6 x 7 cells, float64, axes (x, y, t)" in text
    assert "alpha 0.5, 0.9, nan, 0.5; connected by 4 neighbours" in text
    assert f"{analysis.peaks.n_peaks:,} in 39 time bins" in text
    assert "40 time bins of 6 x 7" in analysis._repr_html_()
    assert "axes (t, x, y)" in repr(peakmask.analyze(np.ones((2, 3, 4)), [], layout="txy"))
    assert repr(analysis.peaks) == f"<{analysis.peaks.n_peaks:,} peaks in 40 time bins>"


def test_pickle(analysis):
    again = pickle.loads(pickle.dumps(analysis))
    assert_same_analysis(again, analysis)
    assert dict(again.report) == dict(analysis.report)
    assert again.alpha[:2] == (0.5, 0.9)


def test_estimate_is_the_plan(p):
    p = np.repeat(p, 30, axis=2)
    plan = peakmask.estimate(p.shape, [0.5, 0.9], threads=1)
    assert plan["masks"] == 2 * p.size
    assert plan["total"] == plan["fixed"] + plan["per_peak"] * plan["assumed_peaks"]
    assert peakmask.analyze(p, [0.5, 0.9], threads=1).report["bytes_planned"] == plan["total"]
    assert peakmask.estimate(p.shape, 0.5, np.float32)["per_peak"] == 24
    with pytest.raises(ValueError, match="at least one cell"):
        peakmask.estimate((0, 3, 4), 0.5)
    with pytest.raises(
        TypeError, match=r"shape is three whole numbers, .* not an array .*it is P.shape: \(6, 7, 1200\)"
    ):
        peakmask.estimate(p, 0.5)
    for shape, error in [
        ((3, 4), ValueError),
        (7, TypeError),
        ((1.5, 2, 3), TypeError),
        ((-1, 2, 3), ValueError),
        ("abc", TypeError),
    ]:
        with pytest.raises(error, match=r"shape is three whole numbers, \(n_x, n_y, n_t\), not"):
            peakmask.estimate(shape, 0.5)
