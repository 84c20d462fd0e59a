"""The same numbers as the reference: SciPy and scikit-image, time bin by time bin."""

import numpy as np
import pytest
import reference
from adversary import ALPHAS, KINDS, SHAPES, maps
from conftest import GOLDENS, bumps, golden
from same import assert_same, assert_same_tuples, columns
from scipy import ndimage

import peakmask
from peakmask.compat import PeakPromenence


def of_reference(p, alphas):
    if p.shape[2] == 0:  # the reference has nothing to stack
        nothing = np.empty(0, p.dtype)
        masks = np.empty((len(alphas), *p.shape), bool)
        offsets, coords = np.zeros(1, np.int64), np.empty((0, 2), np.int64)
        return [], {
            "masks": masks, "peak_offsets": offsets, "peak_coords": coords, "prominences": nothing, "peak_heights": nothing,
        }  # fmt: skip
    peaks, masks = reference.analyze(p, list(alphas))
    return peaks, {"masks": np.stack(masks), **reference.columns(peaks, p.dtype)}


def layouts(p):
    """The same posterior in memory orders of every kind, with the layout to pass."""
    time_first = np.ascontiguousarray(np.moveaxis(p, 2, 0))
    yield p, "xyt"
    yield np.asfortranarray(p), "xyt"
    yield time_first, "txy"
    yield np.moveaxis(time_first, 0, 2), "xyt"
    yield np.ascontiguousarray(p[::-1, ::-1, ::-1])[::-1, ::-1, ::-1], "xyt"
    wide = np.zeros((p.shape[0], 2 * p.shape[1], 3 * p.shape[2]), p.dtype)
    wide[:, ::2, ::3] = p
    yield wide[:, ::2, ::3], "xyt"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_random_and_adversarial_maps_in_all_layouts(kind, dtype):
    n_peaks = 0
    for seed, shape in enumerate(SHAPES):
        p = maps(kind, shape, dtype, seed)
        _, expected = of_reference(p, ALPHAS)
        for array, layout in layouts(p):
            analysis = peakmask.analyze(array, ALPHAS, layout=layout)
            assert_same(columns(analysis), expected)
            assert all(mask.shape == array.shape for mask in analysis.masks)
        n_peaks += len(expected["peak_heights"])
    assert (n_peaks == 0) == (kind.__name__ == "constants")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_drop_in_returns_what_the_reference_returns(dtype):
    for seed, kind in enumerate(KINDS):
        p = maps(kind, (7, 9, 40), dtype, seed)
        tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=p, alpha=list(ALPHAS))
        expected, expected_masks = reference.analyze(p, list(ALPHAS))
        # In a time bin without peaks the original has np.array([]) for heights, and so has peakmask for both columns.
        expected = [(c, np.array([]), np.array([])) if len(h) == 0 else (c, pr, h) for c, pr, h in expected]
        assert_same_tuples(tuples, expected)
        for mask, theirs in zip(masks, expected_masks):
            assert (mask.dtype, mask.shape, mask.flags.c_contiguous) == (np.bool_, p.shape, True)
            assert mask.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_eight_connected_masks_are_those_of_scipy(kind):
    differs = 0
    for seed, shape in enumerate(SHAPES[:8]):
        p = maps(kind, shape, np.float64, seed)
        analysis = peakmask.analyze(p, [0.5, 0.9], connectivity=8)
        four = peakmask.analyze(p, [0.5, 0.9])
        for alpha, mask, narrow in zip(analysis.alpha, analysis.masks, four.masks):
            for t, row in enumerate(analysis.peaks.dominant):
                expected = np.zeros(shape[:2], bool)
                if row >= 0:
                    x, y = analysis.peaks.coords[row]
                    with np.errstate(invalid="ignore"):
                        above = p[:, :, t] >= alpha * p[x, y, t]
                    above_labels, _ = ndimage.label(above, np.ones((3, 3)))
                    expected = above_labels == above_labels[x, y] if above[x, y] else expected
                    expected[x, y] = True
                np.testing.assert_array_equal(mask[:, :, t], expected)
            differs += not np.array_equal(mask, narrow)
    assert differs or kind.__name__ not in ("levels", "smooth", "rounded")


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name, layout):
    p, alphas, expected = golden(name)
    array = p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))
    assert_same(columns(peakmask.analyze(array, alphas, layout=layout)), expected)


@pytest.mark.parametrize("name", GOLDENS)
def test_drop_in_equals_goldens_field_by_field(name):
    p, alphas, expected = golden(name)
    tuples, masks = PeakPromenence.compute_2d_dt_posterior_peak_promenences(a_p_x_given_n=p, alpha=alphas)
    assert np.stack(masks).tobytes() == expected["masks"].tobytes()
    assert len(tuples) == p.shape[2]
    for t, (coords, prominences, heights) in enumerate(tuples):
        rows = slice(expected["peak_offsets"][t], expected["peak_offsets"][t + 1])
        assert coords.tobytes() == expected["peak_coords"][rows].tobytes()
        np.testing.assert_array_equal(prominences, expected["prominences"][rows])
        assert heights.tobytes() == expected["peak_heights"][rows].astype(heights.dtype).tobytes()


def test_many_bins_in_many_threads():
    p = bumps(11, 13, 5_000)
    _, expected = of_reference(p[:, :, 1_000:1_200], [0.5])
    one = peakmask.analyze(p, [0.5], threads=1)
    five = peakmask.analyze(p, [0.5], threads=5)
    assert one.peaks.heights.tobytes() == five.peaks.heights.tobytes()
    assert one.masks[0].tobytes() == five.masks[0].tobytes()
    assert five.masks[0][:, :, 1_000:1_200].tobytes() == expected["masks"][0].tobytes()
    assert five.peaks[1_000:1_200].coords.tobytes() == expected["peak_coords"].tobytes()


def test_the_comparison_sees_one_wrong_bit():
    p, alphas, expected = golden("box_f32")
    found = columns(peakmask.analyze(p, alphas))
    for name in expected.keys() - {"alpha"}:
        wrong = {**found, name: found[name].copy()}
        wrong[name].reshape(-1).view(np.uint8)[7] ^= 1
        with pytest.raises(AssertionError):
            assert_same(wrong, expected)
