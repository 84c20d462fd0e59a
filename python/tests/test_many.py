"""Many epochs at once: each has what it has alone."""

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_summary

import peakmask
from peakmask import compat

ALPHAS = [0.5, float("nan"), 0.9]


def assert_same(found, expected):
    assert found.shape == expected.shape
    assert all(np.array_equal(a, b) for a, b in zip(found.masks, expected.masks))
    for name in ("offsets", "coords", "prominences", "heights"):
        assert np.array_equal(getattr(found.peaks, name), getattr(expected.peaks, name)), name


def epochs(lengths, layout="xyt", seed=0, dtype=np.float64):
    made = [bumps(7, 9, n, seed + n).astype(dtype) if n else np.zeros((7, 9, 0), dtype) for n in lengths]
    return [np.ascontiguousarray(np.moveaxis(p, 2, 0)) for p in made] if layout == "txy" else made


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8", np.float16, np.int64])
def test_every_epoch_has_what_it_has_alone(layout, dtype):
    lengths = [3, 1, 0, 40, 1, 1, 65, 8]
    some = [(1000 * p).astype(dtype) for p in epochs(lengths, layout)]
    found = peakmask.analyze_many(some, ALPHAS, layout=layout)
    assert len(found) == len(lengths)
    assert found.bounds.tolist() == [0, *np.cumsum(lengths).tolist()]
    for i, (epoch, p) in enumerate(zip(found, some)):
        assert epoch.masks[0].shape == p.shape
        assert_same(epoch, peakmask.analyze(p, ALPHAS, layout=layout))
        assert_same(found[i], epoch)
        assert np.shares_memory(epoch.masks[0], found.analysis.masks[0]) or not p.size
    assert_same(found[-1], found[len(found) - 1])
    assert [part.shape for part in found[2:4]] == [(7, 9, 0), (7, 9, 40)]


def test_views_strange_strides_and_mixed_orders():
    p = bumps(7, 9, 60)
    some = [
        p[:, :, :13],
        p[::-1, :, 13:30],
        np.asfortranarray(p[:, :, 30:31]),
        np.moveaxis(np.moveaxis(p, 2, 0).copy(), 0, 2),
    ]
    for epoch, array in zip(peakmask.analyze_many(some, ALPHAS), some):
        assert_same(epoch, peakmask.analyze(array, ALPHAS))


def test_ragged_arrays_with_offsets():
    p = bumps(7, 9, 50)
    found = peakmask.analyze_many(p, ALPHAS, offsets=[0, 3, 3, 20, 50])
    bounds = found.bounds.tolist()
    for epoch, start, stop in zip(found, bounds, bounds[1:]):
        assert_same(epoch, peakmask.analyze(p[:, :, start:stop], ALPHAS))
    txy = np.moveaxis(p, 2, 0)
    again = peakmask.analyze_many(txy, ALPHAS, offsets=np.array(bounds, np.uint16), layout="txy")
    assert all((a.masks[0] == np.moveaxis(b.masks[0], 2, 0)).all() for a, b in zip(again, found))


def test_mistakes_are_told_with_their_epoch():
    p = bumps(7, 9, 50)
    for bad in ([0, 60], [1, 50], [0, 30, 20, 50], [], [0.0, 50.0], 50):
        with pytest.raises(ValueError, match="offsets"):
            peakmask.analyze_many(p, 0.5, offsets=bad)
    with pytest.raises(ValueError, match="offsets="):
        peakmask.analyze_many(p, 0.5)
    with pytest.raises(TypeError, match="sequence of arrays"):
        peakmask.analyze_many(5, 0.5)
    with pytest.raises(ValueError, match=r"epoch 2 .*\[9, 7\]"):
        peakmask.analyze_many([p, p[:, :, :1], np.zeros((9, 7, 2))], 0.5)
    with pytest.raises(TypeError, match="epoch 1: .*float32"):
        peakmask.analyze_many([p, p.astype(np.float32)], 0.5)
    with pytest.raises(ValueError, match=r"epoch 1: .*three axes"):
        peakmask.analyze_many([p, p[0]], 0.5)
    with pytest.raises(ValueError, match="looks like"):
        peakmask.analyze_many([np.moveaxis(p, 2, 0).copy()] * 2, 0.5)
    with pytest.raises(MemoryError):
        peakmask.analyze_many([p, p], 0.5, memory_limit=1000)
    with pytest.raises(MemoryError, match="copy 2 epochs"):
        peakmask.analyze_many([p.astype(">f8"), p], 0.5, memory_limit=1000)


def test_no_epochs():
    found = peakmask.analyze_many([], 0.5)
    assert len(found) == 0
    assert list(found) == []
    with pytest.raises(IndexError, match="0 epochs"):
        found[0]


def test_progress_and_generators():
    told = []
    found = peakmask.analyze_many(
        (p for p in epochs([5, 6])), 0.5, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (11, 11)
    assert len(found) == 2
    assert "2 epochs" in repr(found)


def test_the_drop_in_reads_epochs_where_they_lie():
    some = [*epochs([3, 1, 40, 2]), np.moveaxis(bumps(7, 9, 5).transpose(2, 0, 1).copy(), 0, 2), bumps(4, 4, 3)]
    indices, tuples, masks = compat.compute_posterior_peak_promenences(some, ALPHAS)
    assert indices == [(i, t) for i, p in enumerate(some) for t in range(p.shape[2])]
    for i, p in enumerate(some):
        alone, mine = compat.compute_2d_dt_posterior_peak_promenences(p, ALPHAS)
        assert all(np.array_equal(a, b) and a.flags.owndata | True for a, b in zip(masks[i], mine))
        for t, parts in enumerate(alone):
            assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(tuples[i, t], parts))


@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_summaries_and_forms_of_every_epoch(layout, masks):
    lengths = [0, 3, 1, 0, 40, 1, 1, 65, 8, 0]
    some = epochs(lengths, layout)
    animal = [np.random.default_rng(n).uniform(0, 9, (n, 2)) for n in lengths]
    options = {"layout": layout, "masks": masks, "summary": True, "radius": 2.5}
    apart = [peakmask.analyze(p, ALPHAS, animal=at, **options) for p, at in zip(some, animal)]
    found = peakmask.analyze_many(some, ALPHAS, animal=animal, **options)
    whole = np.concatenate(some, axis=2 if layout == "xyt" else 0)
    ragged = peakmask.analyze_many(whole, ALPHAS, offsets=found.bounds, animal=np.concatenate(animal), **options)
    for results in (found, ragged):
        assert len(results.analysis.masks) == (3 if masks == "bytes" else 0)
        for epoch, alone in zip(results, apart):
            assert_same_summary(epoch.summary, alone.summary)
            assert np.shares_memory(epoch.summary.area, results.analysis.summary.area) or not alone.shape[2]
            for name in ("packed", "sparse"):
                mine, theirs = getattr(epoch, name), getattr(alone, name)
                assert (mine is None) == (theirs is None) == (masks != name)
                for a, b in zip(mine or [], theirs or []):
                    assert a.shape == b.shape
                    assert np.array_equal(a.expand(), b.expand())
            if masks == "packed":
                assert all(np.array_equal(a.bits, b.bits) for a, b in zip(epoch.packed, alone.packed))
            if masks == "sparse":
                assert all(np.array_equal(a.offsets, b.offsets) for a, b in zip(epoch.sparse, alone.sparse))
                assert all(np.array_equal(a.cells, b.cells) for a, b in zip(epoch.sparse, alone.sparse))
    assert peakmask.analyze_many([], ALPHAS, summary=True, animal=[]).analysis.summary.area.shape == (3, 0)
    assert peakmask.analyze_many(some, ALPHAS, layout=layout).analysis.summary is None


def test_animals_that_do_not_fit_their_epochs():
    some = epochs([3, 5])
    for animal, sentence in [
        ([np.zeros((3, 2))], "animal has 1 entries, but there are 2 epochs"),
        ([np.zeros((3, 2)), np.zeros((3, 2))], r"epoch 1: animal has shape \(3, 2\).*\(5, 2\)"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            peakmask.analyze_many(some, ALPHAS, summary=True, animal=animal)
    with pytest.raises(ValueError, match="summary=True"):
        peakmask.analyze_many(some, ALPHAS, animal=[np.zeros((3, 2)), np.zeros((5, 2))])
    # A copy of what cannot be read is counted beside the form that is made.
    p = bumps(7, 9, 500)
    plan = peakmask.estimate((7, 9, 1000), ALPHAS, masks="packed", summary=True)["total"]
    odd = [p.astype(">f8"), p]
    limit = plan + p.nbytes
    assert peakmask.analyze_many(odd, ALPHAS, masks="packed", summary=True, memory_limit=limit).analysis.summary
    with pytest.raises(MemoryError, match="copy 2 epochs"):
        peakmask.analyze_many(odd, ALPHAS, masks="packed", summary=True, memory_limit=limit - 1)
