"""Levels of other kinds than alphas, whole regions, and cells off the track."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import ndimage

import peakmask

COLUMNS = ("offsets", "coords", "prominences", "heights")


@pytest.fixture
def P() -> np.ndarray:
    """Posteriors of two bumps, that add up to 1."""
    rng = np.random.default_rng(5)
    x, y = np.mgrid[:20, :30]
    maps = []
    for _ in range(90):
        z = 0.02 * rng.random((20, 30))
        for _ in range(2):
            a, b = rng.random(2) * (20, 30)
            z += rng.random() * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 12)
        maps.append(z / z.sum())
    return np.stack(maps, axis=-1)


def highest_posterior_threshold(z: np.ndarray, coverage: float) -> float:
    """The rule of non_local_detector's function of this name, for one time bin."""
    values = np.sort(z[~np.isnan(z)])[::-1]
    reached = np.cumsum(values / values.sum()) >= coverage
    return values[np.argmax(reached) if reached.any() else -1]


def test_levels_are_the_numbers_that_they_are_of_their_kind() -> None:
    half = peakmask.coverage(0.5)
    assert half != 0.5
    assert half != 0.5
    assert half != peakmask.absolute(0.5)
    assert peakmask.of_peak(0.5) == 0.5
    assert hash(peakmask.of_peak(0.5)) == hash(0.5)
    assert (repr(half), f"{half:g}", f"{peakmask.of_peak(0.5):g}") == ("coverage(0.5)", "coverage 0.5", "0.5")
    assert float(half) == 0.5
    assert half == peakmask.coverage(0.5)
    assert {half: 1}[peakmask.coverage(0.5)] == 1
    again = pickle.loads(pickle.dumps(half))
    assert again == half
    assert again.kind == "coverage"
    for wrong in (0, 95, -0.5, float("nan")):
        with pytest.raises(ValueError, match="share"):
            peakmask.coverage(wrong)
    with pytest.raises(TypeError, match="number"):
        peakmask.absolute("0.5")  # type: ignore[arg-type]


def test_kinds_are_mixed_and_found_again(P: np.ndarray) -> None:
    levels = [0.5, peakmask.coverage(0.5), peakmask.absolute(0.01), peakmask.of_peak(0.9)]
    found = peakmask.analyze(P, levels)
    usual = peakmask.analyze(P, [0.5, 0.9])
    assert found.alpha == tuple(levels)
    assert np.array_equal(found.mask(0.5), usual.mask(0.5))
    assert np.array_equal(found.mask(0.9), usual.mask(0.9))
    assert found.mask(peakmask.coverage(0.5)) is found.masks[1]
    with pytest.raises(KeyError, match="coverage"):
        found.mask(0.01)
    assert peakmask.analyze(P, peakmask.absolute(0.01)).masks[0].sum() == found.masks[2].sum()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_coverage_is_the_fields_credible_region(P: np.ndarray, dtype: type) -> None:
    P = P.astype(dtype)
    whole = peakmask.analyze(P, peakmask.coverage(0.95), region="whole")
    near = peakmask.analyze(P, peakmask.coverage(0.95))
    assert (whole.region, near.region, whole.report["uncovered_bins"]) == ("whole", "dominant", 0)
    for t in range(P.shape[2]):
        z = P[:, :, t].astype(np.float64)
        expected = z >= highest_posterior_threshold(z, 0.95)
        assert np.array_equal(whole.masks[0][:, :, t], expected)
        parts, n = ndimage.label(expected)
        assert (whole.components[0, t], near.components[0, t]) == (n, 1)
        assert np.array_equal(near.masks[0][:, :, t], parts == parts[np.unravel_index(z.argmax(), z.shape)])


def test_negative_values_have_no_coverage(P: np.ndarray) -> None:
    P[3, 4, [7, 50]] = -1e-9
    found = peakmask.analyze(P, [peakmask.coverage(0.5), 0.5])
    assert found.report["uncovered_bins"] == 2
    assert not found.masks[0][:, :, [7, 50]].any()
    assert found.masks[1][:, :, 7].any()


def test_cells_off_the_track_are_absent(P: np.ndarray) -> None:
    off = np.zeros((20, 30), bool)
    off[5:15, :25] = True
    P[off] = np.nan
    assert len(peakmask.analyze(P, 0.5).peaks.heights) == 0
    found = peakmask.analyze(P, [0.5, peakmask.coverage(0.9)], nan_policy="off_track")
    assert found.nan_policy == "off_track"
    # As if they were minus infinity, which no level here takes in.
    low = peakmask.analyze(np.where(np.isnan(P), -np.inf, P), [0.5])
    assert np.array_equal(found.masks[0], low.masks[0])
    for name in COLUMNS:
        assert np.array_equal(getattr(found.peaks, name), getattr(low.peaks, name))
    for t in range(P.shape[2]):
        assert not found.masks[1][:, :, t][off].any()
        assert found.masks[1][:, :, t].any()


def test_the_first_nan_is_named(P: np.ndarray) -> None:
    peakmask.analyze(P, 0.5, nan_policy="error")
    P[4, 5, 60] = P[3, 9, 60] = P[0, 0, 61] = np.nan
    with pytest.raises(ValueError, match=r"cell \(3, 9\) of time bin 60 is NaN.*off_track"):
        peakmask.analyze(P, 0.5, nan_policy="error")


@pytest.mark.parametrize("option", ["region", "nan_policy"])
def test_options_have_plain_names(P: np.ndarray, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is one of"):
        peakmask.analyze(P, 0.5, **{option: "nonsense"})  # type: ignore[arg-type]


def test_an_analyzer_and_dask_take_them_too(P: np.ndarray) -> None:
    da = pytest.importorskip("dask.array")
    import peakmask.dask

    P[5:15, :25] = np.nan
    options = {"alpha": [peakmask.coverage(0.5), 0.5], "region": "whole", "nan_policy": "off_track"}
    expected = peakmask.analyze(P, **options)
    found = peakmask.Analyzer((20, 30), **options).run(P)
    lazy = peakmask.dask.analyze(da.from_array(P, chunks=(20, 30, 40)), **options).masks.compute()
    for masks in (found.masks, lazy):
        assert np.array_equal(np.stack(masks), np.stack(expected.masks))


def test_xarray_carries_them_along(P: np.ndarray) -> None:
    xr = pytest.importorskip("xarray")
    x, y, t = np.arange(20) * 2.5, np.arange(30) * 2.5, np.arange(90) * 0.25
    array = xr.DataArray(
        np.moveaxis(P, 2, 0),
        dims=("time", "x_position", "y_position"),
        coords={"time": ("time", t, {"units": "s"}), "x_position": x, "y_position": ("y_position", y, {"units": "cm"})},
    )
    found = peakmask.analyze(array, [peakmask.coverage(0.95), 0.5], region="whole", nan_policy="off_track")
    data = found.to_xarray()
    assert data["level_kind"].values.tolist() == ["coverage", "of_peak"]
    assert data["alpha"].values.tolist() == [
        0.95,
        0.5,
    ]
    assert np.array_equal(data["time"], t)
    assert data["time"].attrs["units"] == "s"
    assert data["y_position"].attrs["units"] == "cm"
    assert data.attrs["nan_policy"] == "off_track"
    assert "connected or not" in data.attrs["mask"]
    usual = peakmask.analyze(array, 0.5).to_xarray()
    assert "level_kind" not in usual.coords
    assert usual.attrs["mask"] == "cells with P >= alpha * height of the dominant peak, connected to it"


def test_analyses_come_back_from_files_as_they_were(P: np.ndarray, tmp_path) -> None:
    levels = [peakmask.coverage(0.5), 0.5]
    found = peakmask.analyze(P, levels, region="whole", nan_policy="off_track", prominence="topographic", summary=True)
    found.save(tmp_path / "a.npz")
    again = peakmask.load(tmp_path / "a.npz")
    assert again.alpha == found.alpha
    assert np.array_equal(again.mask(levels[0]), found.masks[0])
    for name in ("region", "nan_policy", "prominence"):
        assert getattr(again, name) == getattr(found, name)
    track = peakmask.analyze(P[:, 3], 0.5, layout="xt")
    track.save(tmp_path / "track.npz")
    again = peakmask.load(tmp_path / "track.npz")
    assert again.masks[0].shape == (20, 90)
    assert np.array_equal(again.masks[0], track.masks[0])
    for name in COLUMNS:
        assert np.array_equal(getattr(again.peaks, name), getattr(track.peaks, name))


def test_epochs_and_streams_take_them_too(P: np.ndarray, tmp_path) -> None:
    P[5:15, :25] = np.nan
    levels = [0.5, peakmask.coverage(0.9)]
    options = {"region": "whole", "nan_policy": "off_track"}
    expected = peakmask.analyze(P, levels, **options)
    for epochs in (
        peakmask.analyze_many([P[:, :, :7], P[:, :, 7:]], levels, **options),
        peakmask.analyze_many(P, levels, offsets=[0, 7, 90], **options),
    ):
        assert np.array_equal(epochs[1].masks[1], expected.masks[1][:, :, 7:])
        assert (epochs[1].region, epochs[1].nan_policy) == ("whole", "off_track")
    peakmask.stream(P, levels, tmp_path / "out", bins=16, **options)
    assert np.array_equal(np.load(tmp_path / "out" / "masks.npy"), np.stack(expected.masks))
    assert np.load(tmp_path / "out" / "level_kind.npy").tolist() == [b"of_peak", b"coverage"]


def test_outlines_of_all_kinds_hold_what_masks_do(P: np.ndarray) -> None:
    pytest.importorskip("contourpy")
    for level in (peakmask.coverage(0.6), peakmask.absolute(0.005), 0.4):
        whole = peakmask.analyze(P, level, region="whole", connectivity=4)
        near = peakmask.analyze(P, level)
        for t in (0, 40):
            assert len(whole.contours(t, level, P=P)) >= whole.components[0, t] - 1
            assert len(near.contours(t, level, P=P)) >= 1


def test_pictures_name_what_they_show(P: np.ndarray) -> None:
    plot = pytest.importorskip("matplotlib.pyplot")
    found = peakmask.analyze(P, [0.5, peakmask.coverage(0.9)])
    ax = peakmask.plot.posterior(P, found, 3)
    shown = {collection.get_label() for collection in ax.collections}
    plot.close("all")
    assert {"mask, alpha 0.5", "mask, coverage 0.9"} <= shown


def test_outer_regions_are_drawn_first(P: np.ndarray) -> None:
    from peakmask._levels import outer_first

    absolute, coverage = peakmask.absolute, peakmask.coverage
    assert outer_first([0.9, 0.5, 0.9]) == [1, 0, 2]
    assert outer_first([coverage(0.5), coverage(0.95)]) == [1, 0]
    mixed = [0.5, np.nan, absolute(0.7), coverage(0.5), -1.0, coverage(0.95), absolute(0.1)]
    assert outer_first(mixed) == [5, 3, 6, 2, 4, 0, 1]
    analysis = peakmask.analyze(P, [coverage(0.5), coverage(0.95)], region="whole")
    assert (analysis.areas[0] < analysis.areas[1]).all()
    pytest.importorskip("matplotlib")
    from peakmask.plot._scene import Scene

    assert Scene(P, analysis).levels() == [1, 0]
