"""The extension called directly, as nobody should: it refuses what would not be memory-safe."""

import numpy as np
import pytest
from conftest import bumps

from peakmask import _core

OPTIONS = {
    "connectivity": 4,
    "backend": "cpu",
    "threads": 1,
    "memory_limit": None,
    "on_limit": "error",
    "check_axis_order": False,
    "progress": None,
}


@pytest.fixture
def p():
    return bumps(6, 7, 16)


def analyze(p, out):
    return _core.analyze(p, [("of_peak", 0.5)] * len(out), out=out, **OPTIONS)


def blank(shape=(6, 7, 16)):
    return np.zeros(shape, np.uint8)


class Liar(np.ndarray):
    """Says that its elements lie apart, and in memory of their own."""

    strides = property(lambda self: (7 * 16, 16, 1))
    base = None

    def __array_function__(self, function, types, args, kwargs):
        return False


def test_outputs_that_share_memory_are_refused(p):
    both = blank((6, 7, 17))
    for out, sentence in [
        ([both[:, :, :16], both[:, :, 1:]], r"out\[1\] and out\[0\] share memory"),
        ([both[:, :, :16]] * 2, r"out\[1\] and out\[0\] share memory"),
        ([p.view(np.uint8)[:, :, ::8]], r"out\[0\] and P share memory"),
        ([np.broadcast_to(blank((6, 7, 1)), p.shape)], r"out\[0\] is read-only"),
        ([np.lib.stride_tricks.as_strided(both, p.shape, (1, 1, 1))], r"out\[0\] has elements that share memory"),
        ([np.lib.stride_tricks.as_strided(both, p.shape, (-1, 16, 0))], r"out\[0\] has elements that share memory"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            analyze(p, out)
    assert not both.any()


def test_outputs_that_lie_in_one_anothers_way_are_apart(p):
    last = blank((6, 7, 16, 2))
    analyze(p, [last[..., 0], last[..., 1]])
    np.testing.assert_array_equal(last[..., 0], last[..., 1])
    both = blank((6, 7, 32))
    analyze(p, [both[:, :, ::-2], both[:, :, -2::-2]])
    assert both.any()


def test_subclasses_are_not_believed(p):
    folded = np.lib.stride_tricks.as_strided(blank(), p.shape, (1, 1, 1))
    for out in ([folded.view(Liar)], [blank().view(Liar)]):
        with pytest.raises(TypeError, match=r"out\[0\] is of a subclass of numpy.ndarray"):
            analyze(p, out)
    with pytest.raises(TypeError, match="P is of a subclass"):
        analyze(p.view(Liar), [])
    with pytest.raises(TypeError, match="P is of a subclass"):
        analyze(np.ma.masked_array(p), [])


def test_the_package_sees_through_subclasses(p):
    import peakmask

    folded = np.lib.stride_tricks.as_strided(np.zeros(p.shape, bool), p.shape, (1, 1, 1)).view(Liar)
    with pytest.raises(ValueError, match=r"out\[0\] has elements that share memory"):
        peakmask.analyze(p, 0.5, out=[folded])
    shared = np.zeros(p.shape, bool)
    with pytest.raises(ValueError, match=r"out\[1\] and out\[0\] share memory"):
        peakmask.analyze(p, [0.5, 0.9], out=[shared.view(Liar), shared.view(Liar)])
    expected = peakmask.analyze(p, 0.5)
    found = peakmask.analyze(p.view(Liar), 0.5, out=[shared.view(Liar)])
    assert shared.tobytes() == expected.masks[0].tobytes()
    assert found.peaks.heights.tobytes() == expected.peaks.heights.tobytes()


@pytest.mark.parametrize(
    "p",
    [
        np.frombuffer(b"x" + bytes(8 * 8), offset=1, dtype=np.float64)[:8].reshape(2, 2, 2),
        np.zeros((2, 2, 2), [("p", np.float64), ("flag", np.int8)])["p"],
        np.zeros((2, 2, 2), ">f8"),
        np.zeros((2, 2, 2), np.float16),
        np.zeros((2, 2)),
    ],
    ids=["unaligned", "packed", "other byte order", "half precision", "two axes"],
)
def test_inputs_that_cannot_be_read_in_place_are_refused(p):
    with pytest.raises(TypeError):
        analyze(p, [])
