"""Chunks of time on dask; results equal to one machine's."""

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis, assert_same_summary

import peakmask

da = pytest.importorskip("dask.array")
dask = pytest.importorskip("dask")
pytest.importorskip("distributed")

import peakmask.dask  # noqa: E402

ALPHA = [0.5, 0.9]


@pytest.fixture(scope="module")
def p():
    return bumps(9, 8, 1_000)


def assert_equal(lazy, expected, scheduler="threads"):
    masks, peaks = dask.compute(*lazy, scheduler=scheduler)
    again = peakmask.Analysis(
        expected.alpha, list(masks), peaks, expected.report, shape=expected.shape, axes=expected._axes,
        connectivity=expected.connectivity, labels=expected._labels,
    )  # fmt: skip
    assert_same_analysis(again, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("t_chunks", [1_000, 250, 333, (1, 0, 999)], ids=str)
def test_chunks_yield_what_the_whole_yields(p, layout, dtype, t_chunks):
    array = (p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))).astype(dtype)
    chunks = (9, 8, t_chunks) if layout == "xyt" else (t_chunks, 9, 8)
    lazy = peakmask.dask.analyze(da.from_array(array, chunks), ALPHA, layout=layout)
    assert_equal(lazy, peakmask.analyze(array, ALPHA, layout=layout))


def test_lazy_with_meta_and_chunks(p):
    calls = []

    def block(start):
        calls.append(start)
        return p[:, :, start : start + 250]

    parts = [da.from_delayed(dask.delayed(block)(start), (9, 8, 250), p.dtype) for start in range(0, 1_000, 250)]
    lazy = peakmask.dask.analyze(da.concatenate(parts, axis=2), ALPHA)
    assert lazy.masks.shape == (2, 9, 8, 1_000)
    assert lazy.masks.chunks == ((2,), (9,), (8,), (250,) * 4)
    assert lazy.masks.dtype == bool
    assert isinstance(lazy.masks._meta, np.ndarray)
    assert (lazy.masks._meta.dtype, lazy.masks._meta.ndim) == (bool, 4)
    assert calls == []
    some = lazy.masks[0, :, :, 300:320].compute(scheduler="sync")
    assert calls == [250], "one chunk holds what was asked for"
    assert some.tobytes() == peakmask.analyze(p, 0.5).masks[0][:, :, 300:320].tobytes()


def test_masks_and_peaks_alone(p):
    expected = peakmask.analyze(p, ALPHA, connectivity=8)
    chunked = da.from_array(p, (9, 8, 100))
    masks = peakmask.dask.masks(chunked, ALPHA, connectivity=8)
    assert masks.compute().tobytes() == np.stack(expected.masks).tobytes()
    assert peakmask.dask.masks(chunked, 0.5).shape == (1, 9, 8, 1_000)
    peaks = peakmask.dask.peaks(chunked).compute()
    assert peaks.offsets.tobytes() == expected.peaks.offsets.tobytes()
    assert peaks.heights.tobytes() == expected.peaks.heights.tobytes()


def test_maps_in_pieces_are_put_together(p):
    assert_equal(peakmask.dask.analyze(da.from_array(p, (4, 3, 400)), ALPHA), peakmask.analyze(p, ALPHA))


def test_one_thread_a_chunk(p, monkeypatch):
    seen = []
    core = peakmask._analyze._core.analyze
    monkeypatch.setattr(peakmask._analyze._core, "analyze", lambda *a, **k: seen.append(k["threads"]) or core(*a, **k))
    peakmask.dask.masks(da.from_array(p, (9, 8, 500)), 0.5).compute()
    assert seen == [1, 1]


def test_refusals(p):
    with pytest.raises(
        TypeError, match="P is a dask array, or a DataArray in chunks, not a ndarray in memory; call peakmask"
    ):
        peakmask.dask.analyze(p, ALPHA)
    chunked = da.from_array(p, (9, 8, 500))
    with pytest.raises(TypeError, match=r"P is a dask array; compute it first"):
        peakmask.analyze(chunked, ALPHA)
    with pytest.raises(ValueError, match="three axes"):
        peakmask.dask.analyze(chunked[0], ALPHA)
    with pytest.raises(ValueError, match="layout is"):
        peakmask.dask.analyze(chunked, ALPHA, layout="yxt")
    with pytest.raises(ValueError, match="chunks of unknown size"):
        peakmask.dask.analyze(chunked[:, :, chunked[0, 0] > 0.001], ALPHA)
    with pytest.raises(MemoryError, match="1000 bytes"):
        peakmask.dask.masks(chunked, ALPHA, memory_limit=1_000).compute()


def test_bad_options_are_refused_before_anything_is_computed(p):
    chunked = da.from_array(p, (9, 8, 500))
    for error, sentence, options in [
        (ValueError, "connectivity is one of", {"connectivity": 6}),
        (ValueError, "backend is one of", {"backend": "cuda"}),
        (ValueError, "on_limit is one of", {"on_limit": "raise"}),
        (ValueError, "threads is at least 1", {"threads": 0}),
        (ValueError, "memory_limit is a number of bytes", {"memory_limit": "8 apples"}),
        (ValueError, "names dimensions of an xarray.DataArray", {"dims": ("x", "y", "t")}),
    ]:
        with pytest.raises(error, match=sentence):
            peakmask.dask.analyze(chunked, ALPHA, **options)
    with pytest.raises(TypeError, match="alpha is a number"):
        peakmask.dask.analyze(chunked, "0.5")
    with pytest.raises(TypeError, match="P holds real numbers"):
        peakmask.dask.analyze(chunked.astype(complex), ALPHA)


def test_axis_order_is_looked_at_in_chunks_and_in_the_whole():
    time_first = np.ascontiguousarray(np.moveaxis(bumps(5, 6, 70), 2, 0))
    with pytest.raises(ValueError, match="its sums over axes 1 and 2 are 1"):
        peakmask.dask.masks(da.from_array(time_first, (-1, -1, -1)), 0.5).compute()
    assert peakmask.dask.masks(da.from_array(time_first, (-1, -1, 2)), 0.5, layout="xyt").compute().shape == (
        1,
        70,
        5,
        6,
    )
    # A long recording on a long track, not normalised, in chunks shorter than the track.
    rates = np.random.default_rng(0).random((1_100, 1, 1_200))
    assert peakmask.dask.masks(da.from_array(rates, (-1, -1, 300)), 0.5).compute().shape == (1, *rates.shape)


@pytest.mark.parametrize("order", [("x", "y", "time"), ("time", "x", "y")], ids=str)
def test_chunked_data_arrays_keep_their_coordinates(p, order):
    xr = pytest.importorskip("xarray")
    coords = {"x": np.arange(9) * 2.5, "time": np.arange(1_000) * 0.25}
    whole = xr.DataArray(p, dims=("x", "y", "time"), coords=coords).transpose(*order)
    expected = peakmask.analyze(whole, ALPHA)
    lazy = peakmask.dask.analyze(whole.chunk(time=300, y=4), ALPHA)
    assert isinstance(lazy.masks, xr.DataArray)
    assert lazy.masks.chunks is not None
    masks, peaks = dask.compute(*lazy)
    assert masks.dims == ("alpha", *order)
    np.testing.assert_array_equal(masks, expected.masks)
    for name, values in {**coords, "alpha": ALPHA}.items():
        np.testing.assert_array_equal(masks[name], values)
    assert peaks.to_dataframe().equals(expected.peaks.to_dataframe())
    odd = whole.rename(x="a", y="b", time="c").chunk(c=300)
    with pytest.raises(ValueError, match="cannot be told"):
        peakmask.dask.analyze(odd, ALPHA)
    named = peakmask.dask.masks(odd, ALPHA, dims=("a", "b", "c")).compute()
    np.testing.assert_array_equal(named, expected.masks)
    with pytest.raises(TypeError, match="in memory; call peakmask.analyze"):
        peakmask.dask.analyze(whole, ALPHA)


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_local_cluster_of_processes(client, p):
    import distributed

    assert len({info["pid"] for info in client.run(worker_pid).values()}) == 2
    wait = distributed.wait
    chunked = da.from_array(p, (9, 8, 50))
    lazy = peakmask.dask.analyze(chunked, ALPHA)
    futures = client.compute(list(lazy))
    wait(futures)
    masks, peaks = client.gather(futures)
    expected = peakmask.analyze(p, ALPHA)
    assert masks.tobytes() == np.stack(expected.masks).tobytes()
    for name in ("offsets", "coords", "prominences", "heights"):
        assert getattr(peaks, name).tobytes() == getattr(expected.peaks, name).tobytes()


def worker_pid():
    import os

    return {"pid": os.getpid()}


def test_apply_ufunc_recipe(client, p):
    xr = pytest.importorskip("xarray")
    posterior = xr.DataArray(p, dims=("x", "y", "time"), coords={"time": np.arange(1_000) * 0.25})

    def half(maps):  # apply_ufunc moves the core dimensions to the end: (time, x, y)
        return peakmask.analyze(maps, 0.5, layout="txy", threads=1).masks[0]

    mask = xr.apply_ufunc(
        half,
        posterior.chunk(time=100),
        input_core_dims=[["x", "y"]],
        output_core_dims=[["x", "y"]],
        dask="parallelized",
        output_dtypes=[bool],
    )
    assert mask.chunks is not None
    np.testing.assert_array_equal(mask.transpose("x", "y", "time").values, peakmask.analyze(p, 0.5).masks[0])
    np.testing.assert_array_equal(mask.time, posterior.time)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("t_chunks", [1_000, 250, 333, (1, 0, 1, 998, 0)], ids=str)
def test_summaries_of_chunks_are_that_of_the_whole(p, layout, dtype, t_chunks):
    array = (p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))).astype(dtype)
    animal = np.random.default_rng(1).uniform(0, 9, (1_000, 2))
    chunks = (9, 8, t_chunks) if layout == "xyt" else (t_chunks, 9, 8)
    expected = peakmask.analyze(array, ALPHA, layout=layout, summary=True, animal=animal, radius=2.5)
    chunked = da.from_array(array, chunks)
    options = {"layout": layout, "radius": 2.5}
    lazy = peakmask.dask.analyze(chunked, ALPHA, summary=True, animal=animal, **options)
    masks, peaks, summary = dask.compute(*lazy, lazy.summary)
    assert np.array_equal(masks, np.stack(expected.masks))
    assert np.array_equal(peaks.coords, expected.peaks.coords)
    assert_same_summary(summary, expected.summary)
    assert np.array_equal(summary.focality(), expected.summary.focality())
    # Alone, with positions in chunks of their own.
    alone = peakmask.dask.summary(chunked, ALPHA, animal=da.from_array(animal, (77, 1)), **options)
    assert_same_summary(alone.compute(), expected.summary)


def test_a_summary_needs_no_masks(p):
    chunked = da.from_array(p, (9, 8, 250))
    lazy = peakmask.dask.analyze(chunked, ALPHA, masks=None, summary=True, nan_policy="off_track", region="whole")
    assert lazy.masks is None
    expected = peakmask.analyze(p, ALPHA, summary=True, nan_policy="off_track", region="whole")
    assert_same_summary(lazy.summary.compute(), expected.summary)
    assert lazy.peaks.compute().n_peaks == expected.peaks.n_peaks
    assert peakmask.dask.analyze(chunked, ALPHA).summary is None
    nothing = peakmask.dask.summary(chunked[:, :, :0], ALPHA, layout="xyt").compute()
    assert_same_summary(nothing, peakmask.analyze(p[:, :, :0], ALPHA, summary=True).summary)


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("n_t", [1_000, 997])
@pytest.mark.parametrize("t_chunks", [1_000, 248, 333, 3, (1, 0, 1, 990, 0)], ids=str)
def test_packed_masks_of_chunks_are_those_of_the_whole(p, layout, n_t, t_chunks):
    # Chunks of 3 meet bytes alike every 24 bins; more of them only keep the scheduler busy.
    n_t = n_t - 800 if t_chunks == 3 else n_t
    array = p[:, :, :n_t] if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p[:, :, :n_t], 2, 0))
    t_chunks = (*t_chunks, n_t - sum(t_chunks)) if isinstance(t_chunks, tuple) else t_chunks
    chunks = (9, 8, t_chunks) if layout == "xyt" else (t_chunks, 9, 8)
    animal = np.random.default_rng(1).uniform(0, 9, (n_t, 2))
    options = {"layout": layout, "masks": "packed", "summary": True, "animal": animal}
    expected = peakmask.analyze(array, ALPHA, **options)
    lazy = peakmask.dask.analyze(da.from_array(array, chunks), ALPHA, **options)
    assert lazy.masks is None
    assert lazy.packed.dtype == np.uint8
    assert lazy.packed.shape == (2, 9, 8, -(-n_t // 8))
    packed, peaks, summary = dask.compute(lazy.packed, lazy.peaks, lazy.summary)
    assert packed.dtype == np.uint8
    assert packed.tobytes() == np.stack([mask.bits for mask in expected.packed]).tobytes()
    assert peaks.offsets.tobytes() == expected.peaks.offsets.tobytes()
    assert peaks.coords.tobytes() == expected.peaks.coords.tobytes()
    assert_same_summary(summary, expected.summary)
    # What dask was told of every chunk is what it holds.
    blocks = dask.compute(*lazy.packed.to_delayed()[0, 0, 0])
    assert [block.shape for block in blocks] == [(2, 9, 8, size) for size in lazy.packed.chunks[3]]


def test_chunks_of_whole_bytes_stay_as_they_are(p):
    lazy = peakmask.dask.analyze(da.from_array(p, (9, 8, (8, 240, 752))), ALPHA, masks="packed")
    assert lazy.packed.chunks == ((2,), (9,), (8,), (1, 30, 94))
    moved = peakmask.dask.analyze(da.from_array(p, (9, 8, (15, 3, 982))), ALPHA, masks="packed")
    assert moved.packed.chunks == ((2,), (9,), (8,), (1, 1, 123))


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("t_chunks", [1_000, 250, 333, (1, 0, 1, 998, 0)], ids=str)
def test_sparse_masks_of_chunks_are_those_of_the_whole(p, layout, t_chunks):
    array = p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))
    chunks = (9, 8, t_chunks) if layout == "xyt" else (t_chunks, 9, 8)
    expected = peakmask.analyze(array, ALPHA, layout=layout, masks="sparse")
    lazy = peakmask.dask.analyze(da.from_array(array, chunks), ALPHA, layout=layout, masks="sparse")
    assert lazy.masks is None
    sparse, peaks = dask.compute(lazy.sparse, lazy.peaks)
    assert len(sparse) == len(expected.sparse) == 2
    for found, mask in zip(sparse, expected.sparse):
        assert found.shape == mask.shape == (9, 8, 1_000)
        for name in ("offsets", "cells"):
            f, e = getattr(found, name), getattr(mask, name)
            assert (f.dtype, f.tobytes()) == (e.dtype, e.tobytes()), name
    assert peaks.heights.tobytes() == expected.peaks.heights.tobytes()


def test_other_forms_of_nothing(p):
    chunked = da.from_array(p, (9, 8, 250))
    bins = chunked[:, :, :0]
    packed = peakmask.dask.analyze(bins, ALPHA, layout="xyt", masks="packed").packed
    assert packed.compute().shape == packed.shape == (2, 9, 8, 0)
    sparse = peakmask.dask.analyze(bins, ALPHA, layout="xyt", masks="sparse").sparse.compute()
    assert [mask.offsets.tolist() for mask in sparse] == [[0], [0]]
    packed = peakmask.dask.analyze(chunked, [], masks="packed").packed
    assert packed.compute().shape == packed.shape == (0, 9, 8, 125)
    assert peakmask.dask.analyze(chunked, [], masks="sparse").sparse.compute() == []
    bytes_ = peakmask.dask.analyze(chunked, ALPHA)
    assert bytes_.packed is None
    assert bytes_.sparse is None


def test_labels_are_those_of_the_array(p):
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(p, dims=("x", "y", "time"), coords={"time": np.arange(1_000) * 0.25})
    found = peakmask.dask.summary(array.chunk(time=300), ALPHA).compute()
    assert_same_summary(found, peakmask.analyze(array, ALPHA, summary=True).summary)
    assert found.to_xarray()["time"][4] == 1.0


def test_what_a_summary_of_chunks_refuses(p):
    chunked = da.from_array(p, (9, 8, 250))
    with pytest.raises(ValueError, match="masks is one of"):
        peakmask.dask.analyze(chunked, ALPHA, masks="bits")
    with pytest.raises(ValueError, match="summary=True"):
        peakmask.dask.analyze(chunked, ALPHA, animal=np.zeros((1_000, 2)))
    with pytest.raises(ValueError, match=r"animal has shape \(999, 2\)"):
        peakmask.dask.summary(chunked, ALPHA, animal=np.zeros((999, 2)))
