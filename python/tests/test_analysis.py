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
    with pytest.raises(IndexError):
        peaks[40]


def test_runs_of_time_bins(analysis):
    peaks = analysis.peaks
    some = peaks[5:9]
    assert len(some) == 4
    assert some.offsets[0] == 0
    assert some[2].coords.tobytes() == peaks[7].coords.tobytes()
    assert np.shares_memory(some.heights, peaks.heights)
    assert len(peaks[9:5]) == 0
    assert peaks[9:5].n_peaks == 0
    assert peaks[:].n_peaks == peaks.n_peaks
    with pytest.raises(ValueError, match="steps of 1, not 2"):
        peaks[::2]


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
    with pytest.raises(ValueError, match=r"x has shape \(3,\), but at least 6 coordinates are needed"):
        analysis.peaks.to_dataframe(x=[0, 1, 2])
    with pytest.raises(ValueError, match=r"t has shape \(41,\), but 40 coordinates are needed"):
        analysis.peaks.to_dataframe(t=np.arange(41))


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
