"""Summaries, and masks in every form, against masks."""

import pickle

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_summary
from scipy import ndimage

import peakmask

ALPHA = [0.5, 0.9]


def posterior(dtype=np.float64):
    p = bumps(11, 13, 200).astype(dtype)
    p[3, 4, 7] = np.nan
    p[:, :, 8] = 1.0
    p[:, :, 9] *= -1
    return p


def one_after_the_other(values):
    """Sums of each time bin, one cell added to the other from +0.0."""
    return np.cumsum(values.reshape(-1, values.shape[2]).astype(np.float64), axis=0)[-1] + 0.0


def assert_same_bits(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def boxes(mask):
    """Lowest and highest x and y of each time bin's mask, -1 where it is empty, and whether it touches the border."""
    first, last, border = [], [], []
    for t in range(mask.shape[2]):
        cells = np.argwhere(mask[:, :, t])
        first.append(cells.min(axis=0) if len(cells) else [-1, -1])
        last.append(cells.max(axis=0) if len(cells) else [-1, -1])
        on_border = (cells == 0) | (cells == np.array(mask.shape[:2]) - 1)
        border.append(on_border.any())
    return first, last, border


def check(summary, p, alpha):
    """Everything that callers take from masks, from a summary alone; numbers to the bit."""
    analysis = peakmask.analyze(p, alpha)
    peaks, rows = analysis.peaks, analysis.peaks.dominant
    live = rows >= 0
    np.testing.assert_array_equal(summary.live, live)
    np.testing.assert_array_equal(summary.peaks, peaks.counts)
    np.testing.assert_array_equal(summary.dominant[live], peaks.coords[rows[live]])
    np.testing.assert_array_equal(summary.height[live], peaks.heights[rows[live]])
    np.testing.assert_array_equal(summary.prominence[live], peaks.prominences[rows[live]])
    highest = [prominences.max() for _, prominences, _ in peaks if len(prominences)]
    np.testing.assert_array_equal(summary.highest_prominence[live], highest)
    for absent in (summary.height, summary.prominence, summary.highest_prominence):
        assert np.isnan(absent[~live]).all()
    present = ~np.isnan(p).any(axis=(0, 1))
    np.testing.assert_array_equal(summary.minimum, np.where(present, p.min(axis=(0, 1)), np.nan))
    assert_same_bits(summary.total[present], one_after_the_other(p)[present])
    assert np.isnan(summary.total[~present]).all()
    x, y = np.arange(p.shape[0])[:, None, None], np.arange(p.shape[1])[None, :, None]
    for level, (a, mask) in enumerate(zip(alpha, analysis.masks)):
        area = np.nansum(mask, axis=(0, 1))
        np.testing.assert_array_equal(summary.area[level], area)
        np.testing.assert_array_equal(summary.focality(a, cells=77), area / 77)
        with np.errstate(invalid="ignore", divide="ignore"):
            reached = np.nansum(p >= summary.threshold[level], axis=(0, 1))
            np.testing.assert_array_equal(summary.reached[level], reached)
            np.testing.assert_array_equal(summary.peakiness(a), np.where(live, area / reached, np.nan))
        np.testing.assert_array_equal(
            summary.sums[level], np.stack([(mask * x).sum((0, 1)), (mask * y).sum((0, 1))], 1)
        )
        values = np.where(mask, p, 0).astype(np.float64)
        mass = one_after_the_other(values)
        assert_same_bits(summary.mass[level], mass)
        filled = area > 0
        moments = np.stack([one_after_the_other(values * x), one_after_the_other(values * y)], 1)
        assert_same_bits(summary.centroid[level][filled], moments[filled] / mass[filled, None])
        assert np.isnan(summary.centroid[level][~filled]).all()
        first, last, border = boxes(mask)
        np.testing.assert_array_equal(summary.first[level], first)
        np.testing.assert_array_equal(summary.last[level], last)
        np.testing.assert_array_equal(summary.border[level], border)
        sequentiality = []
        for t in range(p.shape[2] - 1):
            first = ndimage.binary_dilation(mask[:, :, t], np.ones((3, 3)))
            second = mask[:, :, t + 1]
            empty = not first.any() or not second.any()
            sequentiality.append(0.0 if empty else (first & second).sum() / (first | second).sum())
        np.testing.assert_array_equal(summary.sequentiality(a), sequentiality)
        np.testing.assert_array_equal(summary.overlap[level, :-1], (mask[:, :, :-1] & mask[:, :, 1:]).sum((0, 1)))
        assert summary.overlap[level, -1] == -1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
def test_a_summary_is_what_masks_say(dtype, masks):
    p = posterior(dtype)
    found = peakmask.analyze(p, ALPHA, masks=masks, summary=True)
    check(found.summary, p, ALPHA)
    assert len(found.masks) == (2 if masks == "bytes" else 0)
    np.testing.assert_array_equal(found.areas, found.summary.area)


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_forms_are_the_same_masks(layout):
    p = posterior()
    given = p if layout == "xyt" else np.moveaxis(p, 2, 0).copy()
    expected = peakmask.analyze(given, ALPHA, layout=layout)
    for form in ("packed", "sparse"):
        found = peakmask.analyze(given, ALPHA, layout=layout, masks=form)
        np.testing.assert_array_equal(found.areas, expected.areas)
        for alpha, level in zip(ALPHA, range(2)):
            np.testing.assert_array_equal(found.mask(alpha), expected.mask(alpha))
            other = getattr(found, form)[level]
            mask = expected.mask(alpha) if layout == "xyt" else np.moveaxis(expected.mask(alpha), 0, 2)
            np.testing.assert_array_equal(np.asarray(other), mask)
            for start, stop in [(0, 0), (3, 20), (8, 16), (199, 200), (5, None), (-3, None)]:
                np.testing.assert_array_equal(other.expand(start, stop), mask[:, :, start:stop])
    packed = peakmask.analyze(p, 0.5, masks="packed").packed[0]
    mask = peakmask.analyze(p, 0.5).masks[0]
    np.testing.assert_array_equal(packed.bits, np.packbits(mask, axis=-1, bitorder="little"))
    np.testing.assert_array_equal(packed.overlaps[:, 0], (mask[:, :, :-1] & mask[:, :, 1:]).sum((0, 1)))
    sparse = peakmask.analyze(p, 0.5, masks="sparse").sparse[0]
    np.testing.assert_array_equal(sparse[5], np.argwhere(mask[:, :, 5]))


def test_motion():
    p = posterior()
    summary = peakmask.analyze(p, 0.5, masks=None, summary=True).summary
    x, y = np.linspace(0, 5, 11), np.linspace(9, 3, 13)
    places = np.where(
        summary.live[:, None], np.stack([x[summary.dominant[:, 0]], y[summary.dominant[:, 1]]], 1), np.nan
    )
    vectors = np.diff(places, axis=0)
    np.testing.assert_array_equal(summary.change_vectors(x, y), vectors)
    angles = summary.turn_angles(x, y)
    for t, angle in enumerate(angles):
        a, b = vectors[t], vectors[t + 1]
        if np.linalg.norm(a) >= 1e-9 and np.linalg.norm(b) >= 1e-9:
            turn = abs(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b))
            assert angle == pytest.approx(turn, abs=1e-7)
        else:
            assert np.isnan(angle)
    assert np.isfinite(angles).sum() > 20


def test_the_animal():
    p = posterior()
    animal = np.random.default_rng(3).uniform(0, 11, (200, 2))
    animal[5] = np.nan
    found = peakmask.analyze(p, ALPHA, summary=True, animal=animal, radius=2.5)
    distance = np.hypot(*(found.summary.dominant - animal).T)
    live = found.summary.live
    np.testing.assert_allclose(found.summary.distance[live], distance[live])
    assert np.isnan(found.summary.distance[~live]).all()
    assert np.isnan(found.summary.distance[5])
    x, y = np.mgrid[:11, :13]
    for level, mask in enumerate(found.masks):
        for t in range(200):
            disc = (x - animal[t, 0]) ** 2 + (y - animal[t, 1]) ** 2 <= 2.5**2
            assert found.summary.near[level, t] == (disc & mask[:, :, t]).any()
    with pytest.raises(ValueError, match="animal has shape"):
        peakmask.analyze(p, ALPHA, summary=True, animal=animal[:5])
    with pytest.raises(ValueError, match="summary=True"):
        peakmask.analyze(p, ALPHA, animal=animal)


def test_tables():
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    summary = peakmask.analyze(posterior(), ALPHA, masks=None, summary=True).summary
    table = summary.to_dataframe(t=np.arange(200) * 0.25)
    assert (len(table), table.index.name, table["t"][4]) == (200, "bin", 1.0)
    np.testing.assert_array_equal(table["area_0.9"], summary.area[1])
    np.testing.assert_array_equal(table["centroid_y_0.5"], summary.centroid[0, :, 1])
    np.testing.assert_array_equal(table["dominant_x"], summary.dominant[:, 0])
    dataset = summary.to_xarray()
    np.testing.assert_array_equal(dataset["area"].sel(alpha=0.9), summary.area[1])
    assert dataset["centroid"].dims == ("alpha", "t", "axis")
    twice = peakmask.analyze(posterior(), [0.5, 0.5], masks=None, summary=True).summary.to_dataframe()
    assert {"area_0.5", "area_0.5_1"} <= set(twice.columns)


@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_saved_and_pickled(tmp_path, masks, layout):
    p = posterior(np.float32)
    p = p if layout == "xyt" else np.moveaxis(p, 2, 0)
    analysis = peakmask.analyze(p, ALPHA, masks=masks, summary=True, layout=layout)
    file = tmp_path / "analysis.npz"
    file.write_bytes(b"what was there")
    analysis.save(file)
    assert [path.name for path in tmp_path.iterdir()] == ["analysis.npz"]
    same(analysis, peakmask.load(file))
    same(analysis, pickle.loads(pickle.dumps(analysis)))
    np.savez(file, a=np.arange(3))
    with pytest.raises(ValueError, match="holds no analysis"):
        peakmask.load(file)


def same(analysis, again):
    assert (again.alpha, again.shape, again.connectivity) == (analysis.alpha, analysis.shape, analysis.connectivity)
    assert dict(again.report) == dict(analysis.report)
    for name in ("offsets", "coords", "prominences", "heights"):
        np.testing.assert_array_equal(getattr(again.peaks, name), getattr(analysis.peaks, name))
    for name, column in analysis.summary.columns().items():
        np.testing.assert_array_equal(again.summary.columns()[name], column)
        assert again.summary.columns()[name].dtype == column.dtype
    assert [form is None for form in (again.packed, again.sparse)] == [
        form is None for form in (analysis.packed, analysis.sparse)
    ]
    for alpha in ALPHA if analysis.masks or analysis.packed or analysis.sparse else []:
        np.testing.assert_array_equal(again.mask(alpha), analysis.mask(alpha))


@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
def test_saved_as_zarr(tmp_path, masks):
    zarr = pytest.importorskip("zarr")
    analysis = peakmask.analyze(posterior(np.float32), ALPHA, masks=masks, summary=True)
    folder, group = tmp_path / "analysis.zarr", zarr.open_group(str(tmp_path / "group"), mode="w")
    analysis.save(folder)
    analysis.save(group)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["analysis.zarr", "group"]
    same(analysis, peakmask.load(folder))
    same(analysis, peakmask.load(group))
    same(analysis, peakmask.load(str(tmp_path / "group")))
    with pytest.raises(FileExistsError, match="another name"):
        analysis.save(folder)
    with pytest.raises(TypeError, match="zarr.Group"):
        analysis.save(3)
    with pytest.raises(ValueError, match="holds no analysis"):
        peakmask.load(zarr.open_group(str(tmp_path / "empty"), mode="w"))
    # Nothing in it: no chunks either.
    nothing = peakmask.analyze(np.zeros((2, 3, 0)), ALPHA, masks=masks, summary=True, layout="xyt")
    nothing.save(tmp_path / "nothing.zarr")
    same(nothing, peakmask.load(tmp_path / "nothing.zarr"))


def archive_of_the_program(path, analysis, masks, **words):
    """What `peakmask run` writes: the tests of the program pin these names, types and words."""
    peaks, stacked = analysis.peaks, {}
    if masks == "bytes":
        stacked["masks"] = np.stack(analysis.masks)
    elif masks == "packed":
        stacked["packed"] = np.stack(
            [mask.bits.squeeze(1) if analysis._track else mask.bits for mask in analysis.packed]
        )
    for i, mask in enumerate(analysis.sparse or []):
        stacked[f"mask_offsets_{i}"], stacked[f"mask_cells_{i}"] = mask.offsets, mask.cells
    chosen = {"connectivity": "4", "prominence": "reference", "region": "dominant", "nan_policy": "silence", **words}
    np.savez(
        path,
        **stacked,
        alpha=np.array(ALPHA),
        peak_offsets=peaks.offsets,
        peak_coords=peaks.coords,
        prominences=peaks.prominences,
        peak_heights=peaks.heights,
        format=np.array(b"peakmask run 1"),
        shape=np.array(analysis.shape),
        form=np.array((masks or "none").encode()),
        **{name: np.array(word.encode()) for name, word in chosen.items()},
    )


@pytest.mark.parametrize("layout", ["xyt", "xt"])
@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
def test_archives_of_the_program_are_read(tmp_path, masks, layout):
    p = posterior(np.float32) if layout == "xyt" else posterior()[:, 6]
    words = {"connectivity": "8", "prominence": "topographic", "region": "whole", "nan_policy": "off_track"}
    options = {**words, "connectivity": 8}
    analysis = peakmask.analyze(p, ALPHA, masks=masks, layout=layout, **options)
    archive_of_the_program(tmp_path / "run.npz", analysis, masks, **words)
    again = peakmask.load(tmp_path / "run.npz")
    assert (again.alpha, again.shape, again._track) == (analysis.alpha, analysis.shape, analysis._track)
    assert {name: getattr(again, name) for name in options} == options
    assert (again.packed is None, again.sparse is None, len(again.masks)) == (
        analysis.packed is None,
        analysis.sparse is None,
        len(analysis.masks),
    )
    for alpha in ALPHA if masks else []:
        np.testing.assert_array_equal(again.mask(alpha), analysis.mask(alpha))
    for name in ("offsets", "coords", "_xy", "prominences", "heights"):
        assert_same_bits(getattr(again.peaks, name), getattr(analysis.peaks, name))
    assert again.summary is None
    assert dict(again.report) == {"bins": 200, "peaks": analysis.peaks.n_peaks}
    assert "200 time bins" in repr(again)
    again.save(tmp_path / "again.npz")
    assert peakmask.load(tmp_path / "again.npz").peaks.n_peaks == analysis.peaks.n_peaks


def test_what_is_refused():
    p = posterior()
    with pytest.raises(ValueError, match="masks is one of"):
        peakmask.analyze(p, 0.5, masks="bits")
    for form in ("packed", "sparse", None):
        with pytest.raises(ValueError, match=f"out= are masks of bool, but masks={form!r}"):
            peakmask.analyze(p, 0.5, masks=form, out=[np.empty(p.shape, bool)])
    with pytest.raises(KeyError, match="masks=None"):
        peakmask.analyze(p, 0.5, masks=None).mask(0.5)
    plan = peakmask.estimate(p.shape, ALPHA)
    limit = peakmask.estimate(p.shape, ALPHA, masks="packed")["total"]
    assert limit < plan["total"]
    with pytest.raises(MemoryError, match=f"masks in the form packed would need {limit} bytes, and fit"):
        peakmask.analyze(p, ALPHA, memory_limit=limit)
    assert peakmask.analyze(p, ALPHA, memory_limit=limit, masks="packed").peaks.n_peaks


def test_a_summary_is_saved_alone(tmp_path):
    zarr = pytest.importorskip("zarr")
    levels = [0.5, peakmask.coverage(0.5)]
    x, t = np.linspace(0, 1, 11), np.arange(200) * 0.25
    xarray = pytest.importorskip("xarray")
    p = xarray.DataArray(posterior(), dims=("x", "y", "t"), coords={"x": x, "t": t})
    animal = np.random.default_rng(3).uniform(0, 11, (200, 2))
    summary = peakmask.analyze(p, levels, masks=None, summary=True, animal=animal).summary
    group = zarr.open_group(str(tmp_path / "group"), mode="w")
    for file in (tmp_path / "summary.npz", tmp_path / "summary.zarr", group):
        summary.save(file)
        again = peakmask.Summary.load(file)
        assert_same_summary(again, summary)
        np.testing.assert_array_equal(again.positions(), summary.positions())
        np.testing.assert_array_equal(again.focality(), summary.focality())
        np.testing.assert_array_equal(again.to_xarray()["t"], t)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group", "summary.npz", "summary.zarr"]
    # As the program writes it: columns and levels alone.
    with np.load(tmp_path / "summary.npz") as file:
        columns = {name: file[name] for name in file if name not in ("format", "names", "shape", "distance", "near")}
    np.savez(tmp_path / "theirs.npz", **{name: column for name, column in columns.items() if "label" not in name})
    theirs = peakmask.Summary.load(tmp_path / "theirs.npz")
    assert np.isnan(theirs.distance).all()
    assert not theirs.near.any()
    assert theirs.area.tobytes() == summary.area.tobytes()
    del columns["mass"]
    np.savez(tmp_path / "less.npz", **columns)
    for file, column in [
        (tmp_path / "less.npz", "mass"),
        (zarr.open_group(str(tmp_path / "empty"), mode="w"), "alpha"),
    ]:
        with pytest.raises(ValueError, match=f"holds no summary: it has no column '{column}'"):
            peakmask.Summary.load(file)
    with pytest.raises(TypeError, match="zarr.Group"):
        summary.save(3)


def test_parts_are_views_of_the_rows():
    summary = peakmask.analyze(posterior(), ALPHA, masks=None, summary=True).summary
    part = summary.part(20, 50)
    assert len(part) == 30
    for name, column in part.columns().items():
        whole = summary.columns()[name]
        np.testing.assert_array_equal(column, whole[:, 20:50] if len(whole) == 2 else whole[20:50])
        assert np.shares_memory(column, whole)
    np.testing.assert_array_equal(part.focality(), summary.focality()[20:50])
    assert (len(summary.part(-5, 999)), len(summary.part(7, 3))) == (5, 0)
