"""The drop-in: callers' code runs with one import line changed."""

import inspect
import warnings

import numpy as np
import pytest
import reference
from conftest import bumps
from same import assert_same_tuples
from scipy import ndimage

from peakmask import _core, compat
from peakmask.compat import PeakPromenence

ALPHA_LIST = [0.5, 0.8]


@pytest.fixture
def p():
    """Posterior with a silent and a uniform time bin."""
    p = bumps(8, 10, 30)
    p[2, 3, 7] = np.nan
    p[:, :, 11] = 1 / 80
    return p


@pytest.fixture
def results(p):
    return PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=p, alpha=ALPHA_LIST)


def test_signatures():
    for owner in (PeakPromenence, compat):
        both = owner.compute_2d_dt_posterior_peak_promenences
        assert str(inspect.signature(both).replace(return_annotation=inspect.Signature.empty)).replace("'", "") == (
            "(a_p_x_given_n: NDArray[Any], alpha: Alpha = 0.9, memory_warn_bytes: int | None = 64424509440, "
            "memory_strict: bool = True)"
        )
        assert list(inspect.signature(owner.compute_posterior_peak_promenences).parameters) == [
            "p_x_given_n_list",
            "alpha",
        ]
        assert inspect.signature(owner.compute_posterior_peak_promenences).parameters["alpha"].default == 0.9
        assert list(inspect.signature(owner.compute_2d_peak_prominence).parameters) == ["Z_2d"]


def test_caller_zips_alphas_with_masks(p, results):
    tuples, masks = results
    masks_dict = dict(zip(ALPHA_LIST, masks))
    mask = masks_dict[ALPHA_LIST[-1]]
    assert np.shape(mask) == np.shape(p)
    assert isinstance(masks, list)
    assert len(tuples) == p.shape[2]


def test_caller_sums_masks_over_positions(p, results):
    mask = results[1][-1]
    areas = np.nansum(mask, axis=(0, 1))
    assert areas.shape == (p.shape[2],)
    assert np.issubdtype(areas.dtype, np.integer)
    assert (areas > 0).tolist() == [t not in (7, 11) for t in range(30)]
    np.testing.assert_array_equal(areas / float(80), np.count_nonzero(mask, axis=(0, 1)) / 80)


def test_caller_takes_nanmax_of_heights_guarded_for_empty_arrays(p, results):
    tuples, _ = results
    heights = np.array([np.nanmax(h) if len(h) > 0 else np.nan for (c, pr, h) in tuples])
    expected = p.max(axis=(0, 1))
    expected[[7, 11]] = np.nan
    np.testing.assert_array_equal(heights, expected)


def test_caller_counts_peaks_of_each_bin(p, results):
    counts = np.array([len(peak_heights) for (peak_coords, prominences, peak_heights) in results[0]])
    expected, _ = reference.analyze(p, [])
    assert counts.tolist() == [len(h) for _, _, h in expected]
    assert counts[7] == counts[11] == 0


def test_caller_computes_peakiness(p, results):
    tuples, masks = results
    heights = np.array([np.nanmax(h) if len(h) else np.nan for _, _, h in tuples])
    with np.errstate(invalid="ignore"):
        peakiness = np.nansum(masks[-1], axis=(0, 1)) / np.array(
            [
                np.nansum((p[:, :, i] >= (h * ALPHA_LIST[-1])), axis=(0, 1)) if not np.isnan(h) else np.nan
                for i, h in enumerate(heights)
            ]
        )
    assert np.isnan(peakiness[[7, 11]]).all()
    live = np.delete(peakiness, [7, 11])
    assert ((live > 0) & (live <= 1)).all()


def test_caller_reads_dominant_coordinates(p, results):
    for t, (coords, _, heights) in enumerate(results[0]):
        if len(heights):
            x, y = coords[np.argmax(heights)]
            assert (x, y) == np.unravel_index(np.argmax(p[:, :, t]), p.shape[:2])


def test_caller_dilates_consecutive_masks(p, results):
    mask = results[1][0]
    overlaps = [
        np.logical_and(ndimage.binary_dilation(mask[:, :, t]), mask[:, :, t + 1]).sum() for t in range(p.shape[2] - 1)
    ]
    assert max(overlaps) > 0
    assert overlaps[6] == overlaps[7] == 0


def test_tuples_are_views_into_three_flat_columns(results):
    tuples, _ = results
    live = [entry for entry in tuples if len(entry[2])]
    for column in range(3):
        first = live[0][column].base
        assert first is not None
        assert all(entry[column].base is first for entry in live)


def test_bins_without_peaks_have_float64_whatever_the_input():
    for dtype in (np.float64, np.float32):
        tuples, _ = compat.compute_2d_dt_posterior_peak_promenences(np.ones((2, 3, 2), dtype))
        for coords, prominences, heights in tuples:
            assert (coords.shape, coords.dtype) == ((0, 2), np.int64)
            assert (prominences.shape, prominences.dtype) == ((0,), np.float64)
            assert (heights.shape, heights.dtype) == ((0,), np.float64)


@pytest.mark.parametrize(
    "alpha", [0.5, [0.5], (0.5,), np.float64(0.5), np.array(0.5), np.array([0.5])], ids=lambda a: type(a).__name__
)
def test_alpha_as_a_number_or_any_sequence(p, alpha):
    _, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(p, alpha)
    _, expected = reference.analyze(p, [0.5])
    assert len(masks) == 1
    assert masks[0].tobytes() == expected[0].tobytes()


def test_alpha_as_a_range_repeated_or_missing(p):
    run = PeakPromenence.compute_2d_dt_posterior_peak_promenences
    assert len(run(p, range(3))[1]) == 3
    twice = run(p, [0.5, 0.5])[1]
    assert not np.shares_memory(*twice)
    assert twice[0].tobytes() == twice[1].tobytes()
    assert run(p, [])[1] == []
    np.testing.assert_array_equal(run(p)[1][0], run(p, 0.9)[1][0])


def test_alphas_are_whatever_list_reads(p):
    run = PeakPromenence.compute_2d_dt_posterior_peak_promenences
    expected = run(p, ALPHA_LIST)[1]
    by_alpha = dict.fromkeys(ALPHA_LIST)
    for alpha in (
        by_alpha,
        by_alpha.keys(),
        {"a": 0.5, "b": 0.8}.values(),
        (0.5, 0.8),
        np.array(ALPHA_LIST),
        iter([0.5, 0.8]),
    ):
        for mask, theirs in zip(run(p, alpha)[1], expected):
            np.testing.assert_array_equal(mask, theirs)
    some = {0.5, 0.8}
    assert [mask.tobytes() for mask in run(p, some)[1]] == [run(p, a)[1][0].tobytes() for a in some]


@pytest.mark.parametrize("owner", [PeakPromenence, compat], ids=["class", "module"])
def test_names_that_are_not_here_say_where_they_are(owner):
    for name in ("_perform_find_posterior_peaks_peak_prominence2d_computation", "PosteriorPeaksPeakProminence2dResult"):
        with pytest.raises(
            AttributeError, match=f"no '{name}': .*pyphoplacecellanalysis.External.peak_prominence2d import"
        ):
            getattr(owner, name)
        assert not hasattr(owner, name)
    with pytest.raises(ImportError, match="cannot import name 'SlabResult'"):
        from peakmask.compat import SlabResult  # noqa: F401


def test_what_the_help_says_is_different(p):
    """Each line of the module's documentation, beside the reference."""
    run = PeakPromenence.compute_2d_dt_posterior_peak_promenences
    p = p[:, :, 13:20]

    def theirs(array):
        return reference.analyze(array, [0.5])[0][0]

    # Booleans.
    flags = p > p.mean()
    assert [column.dtype for column in theirs(flags)[1:]] == [np.float64, bool]
    assert [column.dtype for column in run(flags, 0.5)[0][0][1:]] == [np.float64] * 2
    assert not theirs(flags)[1].any()
    assert run(flags, 0.5)[0][0][1].any()
    # Integers.
    whole = (p * 1e6).astype(np.int64)
    with pytest.raises(OverflowError):
        theirs(whole)
    assert run(whole, 0.5)[0][0][2].dtype == np.float64
    # The other byte order.
    swapped = p.astype(p.dtype.newbyteorder())
    assert not theirs(swapped)[2].dtype.isnative
    assert run(swapped, 0.5)[0][0][2].dtype.isnative
    # Masked arrays, other subclasses.
    assert len(theirs(np.ma.masked_less(p, np.median(p)))[2])
    with pytest.raises(TypeError, match="masked cells"):
        run(np.ma.masked_less(p, np.median(p)), 0.5)
    assert isinstance(theirs(np.ma.masked_array(p))[2], np.ma.MaskedArray)
    assert type(run(np.ma.masked_array(p), 0.5)[0][0][2]) is np.ndarray
    # Ownership.
    (coords, prominences, heights), *_ = run(p, 0.5)[0]
    assert all(column.flags.owndata for column in theirs(p)[1:])
    assert not any(column.flags.owndata for column in (coords, prominences, heights))
    # Pairs of epoch and bin.
    indices, tuples, _ = PeakPromenence.compute_posterior_peak_promenences([p], 0.5)
    assert all(type(part) is int for pair in indices for part in pair)
    assert tuples[0, np.int64(3)] is tuples[indices[3]]


def test_wrong_number_of_axes():
    with pytest.raises(ValueError, match=r"3D array, got shape \(2, 3\)"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"3D array, got shape \(2, 3, 1, 1\)"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(np.ones((2, 3, 1, 1)))
    with pytest.raises(ValueError, match=r"2D array, got shape \(3,\)"):
        PeakPromenence.compute_2d_peak_prominence(np.ones(3))
    with pytest.raises(ValueError, match="at least one cell"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(np.ones((0, 3, 5)))


def test_no_time_bins():
    tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(np.ones((2, 3, 0)), [0.5, 0.9])
    assert tuples == []
    assert [mask.shape for mask in masks] == [(2, 3, 0)] * 2


def test_guard_raises_when_strict_warns_when_not_and_can_be_off(p):
    run = PeakPromenence.compute_2d_dt_posterior_peak_promenences
    exactly = p.size * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(p, ALPHA_LIST, memory_warn_bytes=exactly)
        run(p, ALPHA_LIST, memory_warn_bytes=None)
    with pytest.raises(MemoryError, match=rf"take {exactly} bytes, more than memory_warn_bytes = {exactly - 1}"):
        run(p, ALPHA_LIST, memory_warn_bytes=exactly - 1)
    with pytest.warns(UserWarning, match="more than memory_warn_bytes = 1") as caught:
        tuples, masks = run(p, ALPHA_LIST, memory_warn_bytes=1, memory_strict=False)
    assert caught[0].filename == __file__
    assert len(tuples) == p.shape[2]
    assert len(masks) == 2


def test_guard_looks_after_the_axes_and_before_the_cells(p):
    with pytest.raises(ValueError, match="3D"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(p[0], memory_warn_bytes=1)
    with pytest.raises(MemoryError):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(np.ones((0, 3, 5)), memory_warn_bytes=-1)


@pytest.mark.parametrize("limit", [None, 2**62])
def test_own_guard_is_active_beside(limit):
    huge = np.lib.stride_tricks.as_strided(np.ones(1), (1000, 1000, 10**7), (0, 0, 0))  # 80 TB, of which 8 bytes exist
    with pytest.raises(MemoryError, match="memory limit is"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(huge, 0.5, memory_warn_bytes=limit)


def test_own_guard_counts_a_copy_before_it_is_made():
    huge = np.broadcast_to(np.int8(1), (1000, 1000, 10**5))  # 800 GB as float64
    with pytest.raises(MemoryError, match="800000000000 of them to copy P, an array of int8"):
        PeakPromenence.compute_2d_dt_posterior_peak_promenences(huge, [], memory_warn_bytes=None)


def test_two_dimensional_maps_keep_their_type():
    for dtype in (np.float64, np.float32):
        z = bumps(9, 11, 1)[:, :, 0].astype(dtype)
        coords, prominences = PeakPromenence.compute_2d_peak_prominence(Z_2d=z)
        expected_coords, expected = reference.prominent_peaks(z)
        assert coords.tobytes() == expected_coords.tobytes()
        np.testing.assert_array_equal(prominences, expected)
        assert prominences.dtype == dtype
        coords, prominences = compat.compute_2d_peak_prominence(np.zeros((3, 4), dtype))
        assert (coords.shape, coords.dtype, prominences.shape, prominences.dtype) == ((0, 2), np.int64, (0,), dtype)


def epochs_of(dtypes=(np.float64,)):
    """Epochs as long as a ripple, one empty, one of another track, of one or more types."""
    lengths = [3, 1, 0, 25, 7, 2]
    epochs = [bumps(8, 10, n, seed).astype(dtypes[seed % len(dtypes)]) for seed, n in enumerate(lengths)]
    return epochs + [bumps(5, 4, 6, 9)]


@pytest.mark.parametrize("dtypes", [(np.float64,), (np.float32,), (np.float64, np.float32)], ids=str)
def test_epochs_are_what_each_is_by_itself(dtypes):
    epochs = epochs_of(dtypes)
    indices, tuples, masks = PeakPromenence.compute_posterior_peak_promenences(
        p_x_given_n_list=epochs, alpha=ALPHA_LIST
    )
    assert indices == [(epoch, t) for epoch, p in enumerate(epochs) for t in range(p.shape[2])]
    assert list(tuples) == indices
    assert len(masks) == len(epochs)
    for epoch, p in enumerate(epochs):
        alone, alone_masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(p, ALPHA_LIST)
        assert_same_tuples([tuples[epoch, t] for t in range(p.shape[2])], alone)
        assert isinstance(masks[epoch], list)
        for mask, mine in zip(masks[epoch], alone_masks):
            assert (mask.shape, mask.flags.c_contiguous) == (p.shape, True)
            assert mask.tobytes() == mine.tobytes()


def test_epochs_are_analysed_in_one_go(monkeypatch):
    calls = []
    core = _core.analyze_many
    monkeypatch.setattr(_core, "analyze_many", lambda *a, **k: calls.append(a[0]) or core(*a, **k))
    epochs = epochs_of()
    PeakPromenence.compute_posterior_peak_promenences(epochs, alpha=0.9)
    assert [(arrays[0].shape[:2], sum(p.shape[2] for p in arrays)) for arrays in calls] == [((8, 10), 38), ((5, 4), 6)]
    # They are read where they lie, but for what has to be converted.
    assert any(p is epoch for arrays in calls for p in arrays for epoch in epochs)


def test_epochs_none_wrong_or_too_large():
    assert PeakPromenence.compute_posterior_peak_promenences([]) == ([], {}, [])
    with pytest.raises(ValueError, match="3D"):
        PeakPromenence.compute_posterior_peak_promenences([bumps(3, 3, 2), np.ones((3, 3))])
    huge = np.lib.stride_tricks.as_strided(np.ones(1), (1000, 1000, 10**6), (0, 0, 0))
    with pytest.raises(MemoryError, match="memory_warn_bytes"):
        PeakPromenence.compute_posterior_peak_promenences([bumps(3, 3, 2), huge])
    below = huge[:, :, :60_000]  # 60 GB of masks each: below the guard for one epoch
    with pytest.raises(MemoryError, match="of 100 epochs needs"):
        PeakPromenence.compute_posterior_peak_promenences([below] * 100)
