"""Comparison: everything to the bit, prominences by value."""

import numpy as np


def columns(analysis):
    """The columns of an analysis under the names of the recorded results; masks in the order x, y, t."""
    n_x, n_y, n_t = analysis.shape
    masks = [mask.transpose(analysis._axes) for mask in analysis.masks]
    return {
        "masks": np.stack(masks) if masks else np.empty((0, n_x, n_y, n_t), bool),
        "peak_offsets": analysis.peaks.offsets,
        "peak_coords": analysis.peaks.coords,
        "prominences": analysis.peaks.prominences,
        "peak_heights": analysis.peaks.heights,
    }


def assert_same(found, expected):
    """Hold columns against columns."""
    for name in ("masks", "peak_offsets", "peak_coords", "prominences", "peak_heights"):
        f, e = found[name], expected[name]
        assert f.dtype == e.dtype, name
        assert f.shape == e.shape, name
        if name == "prominences":
            np.testing.assert_array_equal(f, e, name)
        else:
            assert f.tobytes() == e.tobytes(), name


def assert_same_analysis(found, expected):
    """Hold an analysis against another, prominences to the bit too."""
    f, e = columns(found), columns(expected)
    for name in e:
        assert (f[name].dtype, f[name].shape) == (e[name].dtype, e[name].shape), name
        assert f[name].tobytes() == e[name].tobytes(), name


def assert_same_tuples(found, expected):
    """Hold two lists of (coords, prominences, heights)."""
    assert type(found) is list
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected):
        assert type(mine) is tuple
        assert len(mine) == 3
        for f, e in zip(mine, theirs):
            assert type(f) is np.ndarray
            assert (f.dtype, f.shape) == (e.dtype, e.shape)
        assert mine[0].tobytes() == theirs[0].tobytes()
        np.testing.assert_array_equal(mine[1], theirs[1])
        assert mine[2].tobytes() == theirs[2].tobytes()


def assert_same_summary(found, expected):
    """Hold a summary against another: types, shapes and bits of all columns."""
    assert repr(found.alpha) == repr(expected.alpha)
    assert len(found) == len(expected)
    for name, e in expected.columns().items():
        f = found.columns()[name]
        assert (f.dtype, f.shape) == (e.dtype, e.shape), name
        assert f.tobytes() == e.tobytes(), name
