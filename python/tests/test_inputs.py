"""What is read where it lies, what is copied once, what is refused."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis

import peakmask
from peakmask import _options, compat

ALPHA = [0.5, 0.9]


@pytest.fixture
def p():
    return bumps(6, 7, 50)


def copied(p, **options):
    """Bytes that Python's side allocates during an analysis: masks and peaks are not seen by tracemalloc."""
    tracemalloc.start()
    peakmask.analyze(p, ALPHA, **options)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_strides_are_read_where_they_lie(dtype):
    big = bumps(20, 21, 200).astype(dtype)
    structured = np.zeros(big.shape, [("p", dtype), ("other", dtype)])
    structured["p"] = big
    for view, layout in [
        (big, "xyt"),
        (np.asfortranarray(big), "xyt"),
        (big[::-1, ::2, ::-3], "xyt"),
        (np.ascontiguousarray(np.moveaxis(big, 2, 0)), "txy"),
        (np.broadcast_to(big[:, :, :1], big.shape), "xyt"),
        (structured["p"], "xyt"),
        (np.ma.masked_array(big), "xyt"),
    ]:
        assert copied(view, layout=layout) < view.nbytes / 4, (view.strides, layout)
        view.flags.writeable = False
        same = np.array(view, copy=True, order="C")
        assert_same_analysis(peakmask.analyze(view, ALPHA, layout=layout), peakmask.analyze(same, ALPHA, layout=layout))


def test_field_of_a_packed_structured_array(p):
    packed = np.zeros(p.shape, np.dtype([("flag", np.int8), ("p", np.float64)]))
    packed["p"] = p
    assert packed["p"].strides[-1] == 9
    assert_same_analysis(peakmask.analyze(packed["p"], ALPHA), peakmask.analyze(p, ALPHA))


def test_frombuffer_at_an_odd_offset(p):
    odd = np.frombuffer(b"x" + p.tobytes(), offset=1).reshape(p.shape)
    assert not odd.flags.aligned
    assert_same_analysis(peakmask.analyze(odd, ALPHA), peakmask.analyze(p, ALPHA))


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_other_byte_order(p, dtype):
    native = p.astype(dtype)
    swapped = native.astype(np.dtype(dtype).newbyteorder())
    assert not swapped.dtype.isnative
    found = peakmask.analyze(swapped, ALPHA)
    assert found.peaks.heights.dtype.isnative
    assert_same_analysis(found, peakmask.analyze(native, ALPHA))


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        (np.float16, np.float32),
        (np.longdouble, np.float64),
        (np.bool_, np.float64),
        (np.int8, np.float64),
        (np.uint16, np.float64),
        (np.int64, np.float64),
        (np.uint64, np.float64),
    ],
)
def test_other_real_types_are_converted(p, dtype, read_as):
    scaled = p > p.mean() if dtype == np.bool_ else (p / p.max() * 100).astype(dtype)
    found = peakmask.analyze(scaled, ALPHA)
    assert found.peaks.heights.dtype == read_as
    assert_same_analysis(found, peakmask.analyze(scaled.astype(read_as), ALPHA))
    assert found.peaks.n_peaks > 0
    tuples, _ = compat.compute_2d_dt_posterior_peak_promenences(scaled)
    assert tuples[0][2].dtype == read_as


def test_longdouble_is_rounded():
    p = np.array([[[1], [1], [0]]], np.longdouble) + np.array(
        [[[0], [np.finfo(np.longdouble).eps], [0]]], np.longdouble
    )
    assert p[0, 1, 0] > p[0, 0, 0]
    assert peakmask.analyze(p, []).peaks[0].coords.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.int64, 2**53 + 1),
        (np.int64, -(2**53) - 1),
        (np.int64, 2**63 - 1),
        (np.uint64, 2**53 + 1),
        (np.uint64, 2**64 - 1),
    ],
)
def test_integers_without_a_float_of_their_own_are_refused(dtype, value):
    p = np.zeros((2, 3, 4), dtype)
    p[1, 2, 3] = value
    for view in (p, p[:, ::-1], np.asfortranarray(p)):
        with pytest.raises(ValueError, match=f"but {value} has none of its own"):
            peakmask.analyze(view, ALPHA)
    with pytest.raises(ValueError, match="none of its own"):
        compat.compute_2d_dt_posterior_peak_promenences(p)


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**53 + 2, 2**60, -(2**63)])
def test_integers_with_a_float_of_their_own_are_read(value):
    p = np.zeros((2, 3, 1), np.int64)
    p[1, 2, 0] = value
    heights = peakmask.analyze(p, ALPHA).peaks.heights
    assert float(value) in heights if value > 0 else set(heights) == {0.0}


@pytest.mark.parametrize(
    "p",
    [
        np.ones((2, 3, 4), complex),
        np.ones((2, 3, 4), object),
        np.full((2, 3, 4), "a"),
        np.full((2, 3, 4), b"a"),
        np.zeros((2, 3, 4), "M8[s]"),
        np.zeros((2, 3, 4), [("p", "f8")]),
    ],
    ids=lambda p: str(p.dtype),
)
def test_what_is_no_real_number_is_refused(p):
    with pytest.raises(TypeError, match="P holds real numbers .* convert it first"):
        peakmask.analyze(p, ALPHA)
    with pytest.raises(TypeError, match="P holds real numbers"):
        compat.compute_2d_dt_posterior_peak_promenences(p)


def test_masked_cells_are_refused(p):
    masked = np.ma.masked_less(p, np.median(p))
    for call in (
        lambda: peakmask.analyze(masked, ALPHA),
        lambda: compat.compute_2d_dt_posterior_peak_promenences(masked),
        lambda: compat.compute_2d_peak_prominence(masked[:, :, 0]),
    ):
        with pytest.raises(TypeError, match="masked cells, which have no value; fill them first"):
            call()
    assert peakmask.analyze(masked.filled(np.nan), ALPHA).peaks.n_peaks == 0


def test_time_first_passed_as_time_last_is_refused_with_advice(p):
    time_first = np.ascontiguousarray(np.moveaxis(p, 2, 0))
    with pytest.raises(ValueError, match=r'looks like \(t, x, y\).*pass layout="txy", or numpy.moveaxis\(P, 0, 2\)'):
        peakmask.analyze(time_first, ALPHA)
    rates = np.random.default_rng(0).random((2000, 3, 4))
    with pytest.raises(
        ValueError, match=r'shape \(2000, 3, 4\) looks like .* 2000 bins.*is \(x, y, t\), pass layout="xyt"'
    ):
        peakmask.analyze(rates, ALPHA)
    # A layout that is given is believed.
    assert peakmask.analyze(rates, ALPHA, layout="xyt").shape == (2000, 3, 4)
    assert peakmask.analyze(time_first, ALPHA, layout="xyt").shape == time_first.shape
    assert peakmask.analyze(time_first, ALPHA, layout="txy").shape == p.shape
    # The drop-in takes what the original takes.
    assert len(compat.compute_2d_dt_posterior_peak_promenences(time_first)[0]) == 7


@pytest.mark.parametrize("shape", [(100, 41, 63), (500, 10, 10), (1024, 5, 5), (3000, 4, 5)], ids=str)
def test_sums_betray_time_first_whatever_the_shape(shape):
    n_t, n_x, n_y = shape
    time_first = np.ascontiguousarray(np.moveaxis(bumps(n_x, n_y, n_t), 2, 0))
    for array in (time_first, time_first.astype(np.float32)):
        with pytest.raises(ValueError, match="its sums over axes 1 and 2 are 1"):
            peakmask.analyze(array, ALPHA)


@pytest.mark.parametrize("shape", [(2000, 1, 50), (1025, 5, 2000), (1500, 2, 1)], ids=str)
def test_long_tracks_are_read(shape):
    p = bumps(*shape)
    assert peakmask.analyze(p, 0.5).shape == shape
    rates = 40 * p
    if shape[0] < shape[2]:
        assert peakmask.analyze(rates, 0.5).shape == shape
    else:
        with pytest.raises(ValueError, match='pass layout="xyt"'):
            peakmask.analyze(rates, 0.5)


def test_other_numbers_of_axes_are_refused_with_advice():
    with pytest.raises(
        ValueError, match=r"has three axes, but the array has shape \(3, 2, 4, 5\); sum .* P.sum\(axis=1\)"
    ):
        peakmask.analyze(np.ones((3, 2, 4, 5)), ALPHA)
    with pytest.raises(ValueError, match=r"P\[:, :, numpy.newaxis\]"):
        peakmask.analyze(np.ones((3, 2)), ALPHA)
    with pytest.raises(ValueError, match=r"shape \(\)$"):
        peakmask.analyze(1.0, ALPHA)


def test_maps_without_cells_and_recordings_without_time_bins():
    with pytest.raises(ValueError, match="at least one cell"):
        peakmask.analyze(np.ones((3, 0, 5)), ALPHA)
    for empty in (np.ones((3, 4, 0)), np.ones((3, 4, 0), np.float32)[:, ::-1, ::-1], np.ones((3, 4, 0), ">i4")):
        found = peakmask.analyze(empty, ALPHA)
        assert [mask.shape for mask in found.masks] == [(3, 4, 0)] * 2
        assert found.peaks.offsets.tolist() == [0]
        assert len(found.peaks) == 0
    assert peakmask.analyze(np.ones((0, 3, 4)), ALPHA, layout="txy").masks[0].shape == (0, 3, 4)


def test_nested_lists_and_read_only_maps(p, tmp_path):
    assert_same_analysis(peakmask.analyze(p.tolist(), ALPHA), peakmask.analyze(p, ALPHA))
    np.save(tmp_path / "p.npy", p)
    mapped = np.load(tmp_path / "p.npy", mmap_mode="r")
    assert_same_analysis(peakmask.analyze(mapped, ALPHA), peakmask.analyze(p, ALPHA))


@pytest.mark.parametrize("alpha", ["0.5", b"0.5", None, ["a"], ["0.5"], [[0.5]], np.array([[0.5]]), object(), 1j])
def test_alphas_that_are_no_numbers(p, alpha):
    with pytest.raises(TypeError, match="alpha is a number or a sequence of numbers"):
        peakmask.analyze(p, alpha)


def test_alpha_is_kept_as_floats(p):
    assert peakmask.analyze(p, 0.5).alpha == (0.5,)
    assert peakmask.analyze(p, np.float32(0.5)).alpha == (0.5,)
    assert peakmask.analyze(p, np.array(0.5)).alpha == (0.5,)
    assert peakmask.analyze(p, range(2)).alpha == (0.0, 1.0)
    assert peakmask.analyze(p, []).masks == []


def test_alpha_is_whatever_list_reads(p):
    names = {0.5: "half", 0.75: "core"}
    for alpha in (
        names,
        names.keys(),
        {1: 0.5, 2: 0.75}.values(),
        (a for a in names),
        np.array([0.5, 0.75], np.float32),
    ):
        assert peakmask.analyze(p, alpha).alpha == (0.5, 0.75)
    assert sorted(peakmask.analyze(p, {0.5, 0.75}).alpha) == [0.5, 0.75]


@pytest.mark.parametrize("alpha", [50, [50, 90], [0.5, 2.5]])
def test_percentages_warn_once_and_are_taken_at_their_word(p, alpha):
    calls = [
        lambda: peakmask.analyze(p, alpha).masks,
        lambda: compat.compute_2d_dt_posterior_peak_promenences(p, alpha)[1],
        lambda: compat.compute_posterior_peak_promenences([p, p], alpha)[2][0],
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="alpha is a fraction of the dominant peak's height, but") as caught:
            masks = call()
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert (masks[-1].sum(axis=(0, 1)) == 1).all()


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2, -1, float("nan"), float("inf"), -float("inf")])
def test_alphas_that_may_be_meant_do_not_warn(p, alpha):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peakmask.analyze(p, alpha)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"connectivity": 6}, ValueError, "connectivity is one of 4, 8, not 6"),
        ({"connectivity": "4"}, ValueError, "connectivity is one of 4, 8, not '4'"),
        ({"connectivity": True}, ValueError, "connectivity is one of 4, 8, not True"),
        ({"backend": "cuda"}, ValueError, "backend is one of 'auto', 'cpu', 'gpu', not 'cuda'"),
        ({"backend": None}, ValueError, "backend is one of .* not None"),
        ({"layout": "tyx"}, ValueError, 'layout is "xyt" or "txy", for a linear track "xt" or "tx", not \'tyx\''),
        ({"layout": ["x", "y", "t"]}, ValueError, 'layout is "xyt" or "txy", for a linear track "xt" or "tx", not '),
        ({"on_limit": "raise"}, ValueError, "on_limit is one of 'error', 'warn', 'ignore', not 'raise'"),
        ({"threads": 0}, ValueError, "threads is at least 1, not 0"),
        ({"threads": 2**70}, ValueError, "threads is at most 65536, not 1180591620717411303424"),
        ({"threads": 1.5}, TypeError, "threads is a whole number, not 1.5"),
        ({"memory_limit": -1}, ValueError, "memory_limit is at least 0, not -1"),
        ({"memory_limit": "8 apples"}, ValueError, "memory_limit is a number of bytes, as in .* not '8 apples'"),
        ({"memory_limit": "8 iB"}, ValueError, "memory_limit is a number of bytes"),
        ({"memory_limit": float("nan")}, ValueError, "memory_limit is a number of bytes"),
        ({"memory_limit": float("inf")}, ValueError, "memory_limit is a number of bytes"),
        ({"memory_limit": [8]}, TypeError, "memory_limit is a number of bytes"),
        ({"out": 7}, TypeError, "out is a sequence of masks, one for each alpha, not a int"),
        ({"progress": "yes"}, TypeError, "progress is True, or a function"),
        ({"dims": ("x", "y", "t")}, ValueError, "names dimensions of an xarray.DataArray, but P is a ndarray"),
    ],
)
def test_options_without_such_a_value(p, options, error, sentence):
    with pytest.raises(error, match=sentence):
        peakmask.analyze(p, ALPHA, **options)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (1e9, 10**9),
        (np.float32(1e3), 1000),
        (np.int32(7), 7),
        ("8GB", 8 * 10**9),
        ("8 GiB", 8 << 30),
        ("7.5kib", 7680),
        ("500M", 500 * 10**6),
        (".5 t", 5 * 10**11),
        ("123", 123),
        ("12 B", 12),
        (2**80, 2**64 - 1),
        (0, 0),
    ],
)
def test_memory_limits_are_read_as_people_write_them(given, read):
    assert _options.size_in_bytes("memory_limit", given) == read


def test_memory_limit_of_a_text_is_obeyed(p):
    with pytest.raises(MemoryError, match="the memory limit is 1000 bytes"):
        peakmask.analyze(p, ALPHA, memory_limit="1kB")
    assert peakmask.analyze(p, ALPHA, memory_limit="1 GB").shape == p.shape


@pytest.mark.parametrize(
    ("p", "error", "sentence"),
    [
        ("posterior.npy", TypeError, r"P is an array, not a path; load it first: numpy.load\('posterior.npy'\)"),
        (Path("posterior.npy"), TypeError, "P is an array, not a path"),
        ({"p": 1, "q": 2}, TypeError, "P is an array, but a dict was passed; choose one of its entries: 'p', 'q'"),
        (None, TypeError, "P is None"),
        (
            [bumps(3, 4, 5), bumps(3, 4, 6)],
            ValueError,
            "P is one array, but a list of 2 was passed; analyse epochs one by",
        ),
        ([bumps(3, 4, 5), bumps(3, 4, 5)], ValueError, "compat.compute_posterior_peak_promenences"),
        ([[1, 2], [3]], ValueError, "P cannot be read as an array with three axes"),
    ],
    ids=["text", "path", "dict", "none", "epochs", "epochs of one length", "ragged"],
)
def test_what_is_no_array_is_refused_with_advice(p, error, sentence):
    with pytest.raises(error, match=sentence):
        peakmask.analyze(p, ALPHA)


def test_an_archive_of_arrays_is_refused_with_its_names(p, tmp_path):
    np.savez(tmp_path / "p.npz", posterior=p, x=p[:, 0, 0])
    with np.load(tmp_path / "p.npz") as archive, pytest.raises(TypeError, match="one of its entries: 'posterior', 'x'"):
        peakmask.analyze(archive, ALPHA)


def test_a_slice_of_a_packed_record_is_read(p):
    """Bins that lie nine bytes apart, but of which there is one."""
    packed = np.zeros((6, 7, 56), np.dtype([("p", np.float64), ("flag", np.int8)]))
    packed["p"][:, :, :50] = p
    for one in (packed["p"][:, :, :1], packed["p"][:, :, 8:9], packed["p"][:, ::-1, 16:17]):
        assert one.strides[2] == 9
        assert_same_analysis(peakmask.analyze(one, ALPHA), peakmask.analyze(one.copy(), ALPHA))
    row = packed["p"][:, :, ::8][:1]
    assert_same_analysis(peakmask.analyze(row, ALPHA), peakmask.analyze(row.copy(), ALPHA))
