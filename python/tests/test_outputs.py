"""Masks of the caller."""

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis, assert_same_summary

import peakmask

ALPHA = [0.5, 0.9]


@pytest.fixture
def p():
    return bumps(6, 7, 150)


def sevens(shape, n=2):
    return [np.full(shape, 7, np.uint8).view(bool) for _ in range(n)]


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_every_byte_is_written(p, layout):
    array = p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))
    expected = peakmask.analyze(array, ALPHA, layout=layout)
    out = sevens(array.shape)
    found = peakmask.analyze(array, ALPHA, layout=layout, out=out)
    for mine, mask, theirs in zip(out, found.masks, expected.masks):
        assert np.shares_memory(mine, mask)
        assert mine.tobytes() == np.ascontiguousarray(theirs).tobytes()
        assert set(np.unique(mine.view(np.uint8))) == {0, 1}
    assert found.peaks.heights.tobytes() == expected.peaks.heights.tobytes()


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_summary_is_made_beside_them(p, layout, threads):
    p[3, 4, 20] = np.nan
    array = p if layout == "xyt" else np.ascontiguousarray(np.moveaxis(p, 2, 0))
    animal = np.random.default_rng(1).uniform(0, 7, (150, 2))
    for beside in ({}, {"animal": animal, "radius": 2.0}):
        options = {"layout": layout, "threads": threads, "summary": True, **beside}
        expected = peakmask.analyze(array, ALPHA, **options)
        out = sevens(array.shape)
        found = peakmask.analyze(array, ALPHA, out=out, **options)
        assert_same_analysis(found, expected)
        assert_same_summary(found.summary, expected.summary)
        assert all(np.shares_memory(mine, mask) for mine, mask in zip(out, found.masks))
        assert found.summary.near.any() == bool(beside)
    assert peakmask.analyze(array, ALPHA, layout=layout, out=out).summary is None
    with pytest.raises(ValueError, match="animal has shape"):
        peakmask.analyze(array, ALPHA, layout=layout, out=out, summary=True, animal=animal[1:])


def test_any_strides_and_nothing_beside_is_touched(p):
    expected = peakmask.analyze(p, ALPHA)
    block = np.full((2, 8, 9, 310), 7, np.uint8)
    views = [
        [block[a, 1:-1, 1:-1, 5:-5:2] for a in range(2)],
        [block[a, 1:-1, 1:-1, 5:-5:2][::-1, ::-1, ::-1] for a in range(2)],
        [np.asfortranarray(np.full(p.shape, 7, np.uint8)) for a in range(2)],
        [np.full((150, 6, 7), 7, np.uint8).transpose(1, 2, 0) for a in range(2)],
    ]
    for out in views:
        block[:] = 7
        peakmask.analyze(p, ALPHA, out=out)
        for mine, theirs in zip(out, expected.masks):
            np.testing.assert_array_equal(mine, theirs.astype(np.uint8))
            mine[:] = 7
        assert (block == 7).all()


def test_one_array_of_all_alphas_and_one_mask_for_one_alpha(p):
    expected = peakmask.analyze(p, ALPHA)
    stack = np.ones((2, *p.shape), bool)
    peakmask.analyze(p, ALPHA, out=stack)
    np.testing.assert_array_equal(stack, expected.masks)
    last = np.ones((*p.shape, 2), bool)
    peakmask.analyze(p, ALPHA, out=[last[..., 0], last[..., 1]])
    np.testing.assert_array_equal(np.moveaxis(last, -1, 0), expected.masks)
    one = np.ones(p.shape, bool)
    assert peakmask.analyze(p, 0.5, out=one).masks[0].tobytes() == expected.masks[0].tobytes()
    assert peakmask.analyze(p, [], out=[]).masks == []
    assert peakmask.analyze(p[:, :, :0], ALPHA, out=sevens((6, 7, 0))).masks[0].shape == (6, 7, 0)


def test_outputs_do_not_count_against_the_memory_limit(p):
    p = np.tile(p, 40)
    plan = peakmask.estimate(p.shape, ALPHA, threads=1)
    limit = plan["total"] - plan["masks"]
    with pytest.raises(MemoryError):
        peakmask.analyze(p, ALPHA, threads=1, memory_limit=limit)
    peakmask.analyze(p, ALPHA, threads=1, memory_limit=limit, out=sevens(p.shape))


def test_what_does_not_fit_is_refused_before_anything_is_written(p):
    good, other = sevens(p.shape)
    read_only = sevens(p.shape, 1)[0]
    read_only.flags.writeable = False
    shared = np.full((6, 7, 300), 7, np.uint8)
    folded = np.lib.stride_tricks.as_strided(shared, p.shape, (7, 1, 1))
    for out, error, sentence in [
        ([good], ValueError, "out has 1 masks, but there are 2 alphas"),
        ([good, other, good], ValueError, "out has 3 masks"),
        ([good, other[:, :, 1:]], ValueError, r"out\[1\] has shape \(6, 7, 149\), but P has shape \(6, 7, 150\)"),
        ([good, np.zeros(p.shape)], TypeError, r"out\[1\] is an array of float64; masks are NumPy arrays of bool"),
        ([good, p.tolist()], TypeError, r"out\[1\] is a list"),
        ([good, read_only], ValueError, r"out\[1\] is read-only"),
        ([good, good], ValueError, r"out\[1\] and out\[0\] share memory"),
        ([shared[:, :, :150], shared[:, :, 100:250]], ValueError, r"out\[1\] and out\[0\] share memory"),
        ([good, folded], ValueError, r"out\[1\] has elements that share memory"),
        ([good, p.view(np.uint8)[:, :, ::8]], ValueError, r"out\[1\] and P share memory"),
    ]:
        with pytest.raises(error, match=sentence):
            peakmask.analyze(p, ALPHA, out=out)
    assert (good.view(np.uint8) == 7).all()
    with pytest.raises(ValueError, match=r"out\[0\] has shape \(6, 7, 150\), but P has shape \(150, 6, 7\)"):
        peakmask.analyze(np.moveaxis(p, 2, 0), ALPHA, layout="txy", out=[good, other])
