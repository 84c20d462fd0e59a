"""Linear tracks: an array of two axes is a map of one column, in everything that comes out."""

import numpy as np
import pytest
from conftest import bumps

import peakmask

ALPHAS = [0.5, 0.9]


def track():
    p = bumps(23, 1, 90)[:, 0]
    p[:, 7] = 0.25
    p[3, 9] = np.nan
    return p


@pytest.mark.parametrize("layout", ["xt", "tx"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_track_is_a_column(layout, order):
    p = track()
    column = peakmask.analyze(p[:, None], ALPHAS)
    given = np.array(p if layout == "xt" else p.T, order=order)
    found = peakmask.analyze(given, ALPHAS, layout=layout)
    assert found.shape == (23, 1, 90)
    for mask, expected in zip(found.masks, column.masks):
        assert mask.shape == given.shape
        assert np.array_equal(mask if layout == "xt" else mask.T, expected[:, 0])
    assert found.peaks.coords.shape == (column.peaks.n_peaks, 1)
    assert np.array_equal(found.peaks.coords[:, 0], column.peaks.coords[:, 0])
    assert np.array_equal(found.peaks.heights, column.peaks.heights)
    assert np.array_equal(found.peaks.prominences, column.peaks.prominences)
    assert np.array_equal(found.areas, column.areas)
    assert np.array_equal(found.peaks[5].coords, column.peaks[5].coords[:, :1])
    assert found.peaks[4:9].coords.shape[1] == 1


def test_a_peak_compares_two_neighbours():
    found = peakmask.analyze(np.array([[0.1, 0.2], [0.7, 0.2], [0.2, 0.6]]), 0.5, layout="xt")
    assert [peaks.coords.tolist() for peaks in found.peaks] == [[[1]], [[2]]]
    assert found.masks[0].tolist() == [[False, False], [True, False], [False, True]]


def test_outputs_analyzers_and_epochs_take_tracks():
    p = track()
    expected = peakmask.analyze(p, ALPHAS, layout="xt")
    out = [np.ones(p.shape, bool) for _ in ALPHAS]
    found = peakmask.analyze(p, ALPHAS, layout="xt", out=out)
    assert found.masks[0].base is out[0] or np.shares_memory(found.masks[0], out[0])
    assert all(np.array_equal(a, b) for a, b in zip(out, expected.masks))
    with pytest.raises(ValueError, match=r"shape \(23, 1, 90\), but P has shape \(23, 90\)"):
        peakmask.analyze(p, ALPHAS, layout="xt", out=[np.ones((23, 1, 90), bool)] * 2)
    analyzer = peakmask.Analyzer((23, 1), np.float64, alpha=ALPHAS)
    assert np.array_equal(analyzer.run(p.T, layout="tx").masks[1].T, expected.masks[1])
    epochs = peakmask.analyze_many([p[:, :30], p[:, 30:]], ALPHAS, layout="xt")
    assert np.array_equal(epochs[1].masks[0], expected.masks[0][:, 30:])
    assert epochs[1].peaks.coords.shape[1] == 1
    ragged = peakmask.analyze_many(p.T, ALPHAS, layout="tx", offsets=[0, 30, 90])
    assert np.array_equal(ragged[1].masks[0], expected.masks[0][:, 30:].T)


def test_two_axes_are_not_guessed_at():
    p = track()
    with pytest.raises(
        ValueError, match=r'three axes, but the array has shape \(23, 90\); a single map .* layout="xt"'
    ):
        peakmask.analyze(p, 0.5)
    for layout in ("xyt", "txy"):
        with pytest.raises(ValueError, match="three axes"):
            peakmask.analyze(p, 0.5, layout=layout)
    with pytest.raises(ValueError, match=r'layout="tx" is that of a linear track.* shape \(23, 1, 90\)'):
        peakmask.analyze(p[:, None], 0.5, layout="tx")
    with pytest.raises(ValueError, match='layout is "xyt" or "txy", for a linear track "xt" or "tx"'):
        peakmask.analyze(p, 0.5, layout="yt")


def test_labels_say_which_axis_is_time():
    xarray = pytest.importorskip("xarray")
    p = track()
    labelled = xarray.DataArray(
        p.T, dims=("time", "position"), coords={"time": np.arange(90) * 0.5, "position": np.arange(23) * 2.0}
    )
    expected = peakmask.analyze(p.T, ALPHAS, layout="tx")
    for found in (peakmask.analyze(labelled, ALPHAS), peakmask.analyze(labelled, ALPHAS, dims=("position", "time"))):
        assert np.array_equal(found.masks[0], expected.masks[0])
        dataset = found.to_xarray()
        assert dataset.mask.dims == ("alpha", "position", "time")
        assert np.array_equal(dataset.mask.values[0], expected.masks[0].T)
        assert "peak_iy" not in dataset
        assert dataset.position.values[3] == 6.0
    with pytest.raises(ValueError, match="which of .* is time"):
        peakmask.analyze(xarray.DataArray(p, dims=("a", "b")), ALPHAS)


def test_tables_have_no_second_coordinate():
    pytest.importorskip("pandas")
    table = peakmask.analyze(track(), [], layout="xt").peaks.to_dataframe(x=np.arange(23) * 2.0)
    assert list(table.columns) == ["bin", "t", "ix", "x", "height", "prominence", "dominant"]
    assert (table["x"] == 2.0 * table["ix"]).all()
