"""Arrays that know their coordinates: xarray and pynapple."""

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis

import peakmask

ALPHA = [0.5, 0.9]


@pytest.fixture
def p():
    return bumps(6, 7, 50)


@pytest.fixture
def xr():
    return pytest.importorskip("xarray")


def labelled(xr, p, dims=("x", "y", "time"), order=None):
    array = xr.DataArray(
        p,
        dims=dims,
        coords={
            dims[0]: (dims[0], np.arange(6) * 2.5 + 1.25, {"units": "cm"}),
            dims[1]: (dims[1], np.arange(7) * 5.0 + 2.5, {"units": "cm"}),
            dims[2]: (dims[2], np.arange(50) * 0.25, {"units": "s"}),
        },
    )
    return array if order is None else array.transpose(*order)


@pytest.mark.parametrize(
    "dims",
    [
        ("x", "y", "time"),
        ("x", "y", "t"),
        ("x_position", "y_position", "time"),
        ("xbin", "ybin", "time_bin"),
        ("pos_x", "pos_y", "T"),
    ],
    ids=str,
)
def test_dimensions_are_found_by_name_in_any_order(xr, p, dims):
    expected = peakmask.analyze(p, ALPHA)
    x, y, t = dims
    for order in [(x, y, t), (t, x, y), (y, x, t), (t, y, x)]:
        array = labelled(xr, p, dims, order)
        found = peakmask.analyze(array, ALPHA)
        assert_same_analysis(found, expected)
        assert all(mask.shape == array.shape for mask in found.masks)


def test_dimensions_are_named_when_they_cannot_be_found(xr, p):
    array = labelled(xr, p, ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"dimension x cannot be told among \('a', 'b', 'c'\).*dims="):
        peakmask.analyze(array, ALPHA)
    assert_same_analysis(peakmask.analyze(array, ALPHA, dims=("a", "b", "c")), peakmask.analyze(p, ALPHA))
    turned = peakmask.analyze(array, ALPHA, dims=("b", "a", "c"))
    assert turned.shape == (7, 6, 50)
    for dims in [("a", "b"), ("a", "b", "d"), ("a", "a", "c")]:
        with pytest.raises(ValueError, match="dims names x, y and t"):
            peakmask.analyze(array, ALPHA, dims=dims)


def test_a_state_dimension_is_summed_by_the_caller(xr, p):
    array = labelled(xr, p).expand_dims(state=2)
    with pytest.raises(ValueError, match=r"P.sum\('state'\)"):
        peakmask.analyze(array, ALPHA)
    assert_same_analysis(peakmask.analyze(array.sum("state"), ALPHA), peakmask.analyze(2 * p, ALPHA))


def test_datasets_and_dask_are_refused_with_advice(xr, p):
    with pytest.raises(TypeError, match=r"a DataArray, not a Dataset; choose a variable"):
        peakmask.analyze(labelled(xr, p).to_dataset(name="p"), ALPHA)
    pytest.importorskip("dask")
    with pytest.raises(TypeError, match=r"P holds a dask array; load it first"):
        peakmask.analyze(labelled(xr, p).chunk(time=10), ALPHA)


@pytest.mark.parametrize("order", [None, ("time", "x", "y")])
def test_to_xarray_keeps_coordinates_and_says_how_it_was_made(xr, p, order):
    array = labelled(xr, p, order=order)
    analysis = peakmask.analyze(array, ALPHA)
    result = analysis.to_xarray()
    assert result["mask"].dims == ("alpha", "x", "y", "time")
    assert result["alpha"].values.tolist() == ALPHA
    for name in ("x", "y", "time"):
        np.testing.assert_array_equal(result[name], array[name])
        assert result[name].attrs == array[name].attrs
    np.testing.assert_array_equal(result["mask"].sel(alpha=0.9).transpose(*array.dims), analysis.masks[1])
    np.testing.assert_array_equal(result["n_peaks"], analysis.peaks.counts)
    np.testing.assert_array_equal(result["height"], analysis.peaks.heights)
    np.testing.assert_array_equal(result["peak_ix"], analysis.peaks.coords[:, 0])
    assert result.attrs["made_by"] == f"peakmask {peakmask.__version__}"
    assert result.attrs["connectivity"] == 4
    assert result.attrs["engine"] == "cpu"


def test_to_xarray_of_plain_arrays(xr, p):
    analysis = peakmask.analyze(p, ALPHA)
    result = analysis.to_xarray(x=np.arange(6) * 2.5, t=np.arange(50) * 0.25)
    assert result["mask"].dims == ("alpha", "x", "y", "t")
    assert set(result.coords) == {"alpha", "x", "t"}
    with pytest.raises(ValueError, match=r"y has shape \(6,\), but there are 7 cells: give 7 centres"):
        analysis.to_xarray(y=np.arange(6))
    assert peakmask.analyze(p, []).to_xarray()["mask"].shape == (0, 6, 7, 50)


def test_to_xarray_survives_a_file(xr, p, tmp_path):
    pytest.importorskip("scipy")
    result = peakmask.analyze(labelled(xr, p), ALPHA).to_xarray()
    result.to_netcdf(tmp_path / "r.nc", engine="scipy")
    again = xr.load_dataset(tmp_path / "r.nc", engine="scipy")
    np.testing.assert_array_equal(again["mask"], result["mask"])
    assert again.attrs == result.attrs


def test_dataframe_takes_coordinates_from_labels(xr, p):
    pytest.importorskip("pandas")
    array = labelled(xr, p)
    table = peakmask.analyze(array, ALPHA).peaks.to_dataframe()
    np.testing.assert_array_equal(table["x"], array["x"].values[table["ix"]])
    np.testing.assert_array_equal(table["t"], array["time"].values[table["bin"]])
    some = peakmask.analyze(array, ALPHA).peaks[10:20].to_dataframe()
    assert some["t"].min() == 2.5


def test_pynapple_tensor_is_time_first_and_keeps_its_time(p):
    nap = pytest.importorskip("pynapple")
    t = np.arange(50) * 0.25 + 100
    tensor = nap.TsdTensor(t=t, d=np.ascontiguousarray(np.moveaxis(p, 2, 0)))
    found = peakmask.analyze(tensor, ALPHA)
    assert_same_analysis(found, peakmask.analyze(p, ALPHA))
    assert found.masks[0].shape == tensor.shape
    again = nap.TsdTensor(t=tensor.t, d=found.masks[0])
    assert again.shape == tensor.shape
    pytest.importorskip("pandas")
    np.testing.assert_array_equal(found.peaks.to_dataframe()["t"], t[found.peaks.bins])
    pytest.importorskip("xarray")
    np.testing.assert_array_equal(found.to_xarray()["t"], t)
    with pytest.raises(TypeError, match="P is a TsdTensor of shape .* not a Tsd$"):
        peakmask.analyze(nap.Tsd(t=t, d=np.ones(50)), ALPHA)
    track = np.moveaxis(p[:, 0], 1, 0)
    framed = peakmask.analyze(nap.TsdFrame(t=t, d=track), ALPHA)
    expected = peakmask.analyze(track, ALPHA, layout="tx")
    assert all(np.array_equal(mask, right) for mask, right in zip(framed.masks, expected.masks))
    np.testing.assert_array_equal(framed.to_xarray()["t"], t)


def test_names_are_believed(xr):
    long_track = np.random.default_rng(0).random((2_000, 3, 4))
    with pytest.raises(ValueError, match="2000 bins"):
        peakmask.analyze(long_track, ALPHA)
    found = peakmask.analyze(xr.DataArray(long_track, dims=("x", "y", "t")), ALPHA)
    assert found.shape == (2_000, 3, 4)
