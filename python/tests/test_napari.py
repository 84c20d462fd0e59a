"""Layers for napari: what they hold, and that napari takes them."""

import numpy as np
import pytest
from conftest import bumps

import peakmask
import peakmask.napari


@pytest.fixture
def p():
    p = bumps(6, 9, 40)
    p[1, 1, 3] = np.nan
    p[:, :, 20] = 0.5
    return p


@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_layers_are_the_analysis(p, layout):
    array = p if layout == "xyt" else np.moveaxis(p, 2, 0)
    analysis = peakmask.analyze(array, [0.5, 0.9], layout=layout)
    x, y = 10 + 2.0 * np.arange(6), 30 - 3.0 * np.arange(9)
    (image, grid, _), *masks, (points, keywords, _), (tracks, _, _) = peakmask.napari.layers(array, analysis, x=x, y=y)
    np.testing.assert_array_equal(image, p.transpose(2, 1, 0))
    assert np.shares_memory(image, array)
    assert grid["scale"] == (1.0, -3.0, 2.0)
    assert grid["translate"] == (0.0, 30.0, 10.0)
    for (labels, *_), mask in zip(masks, peakmask.analyze(p, [0.5, 0.9]).masks):
        np.testing.assert_array_equal(labels, mask.transpose(2, 1, 0))
    flat = p.reshape(54, 40)
    live = np.delete(np.arange(40), [3, 20])
    best = [np.unravel_index(np.argmax(flat[:, t]), (6, 9)) for t in live]
    np.testing.assert_array_equal(tracks[:, 1], live)
    np.testing.assert_array_equal(tracks[:, 2], [y[j] for _, j in best])
    np.testing.assert_array_equal(tracks[:, 3], [x[i] for i, _ in best])
    assert [int((tracks[:, 0] == k).sum()) for k in range(3)] == [3, 16, 19], "no track leads through a silent bin"
    heights = keywords["features"]["height"]
    assert len(points) == len(heights) == len(keywords["size"])
    expected = sum(int((h >= 0.05 * h.max()).sum()) for h in (analysis.peaks[int(t)].heights for t in live))
    assert len(points) == expected
    i, j = ((points[:, 2] - 10) / 2).astype(int), ((30 - points[:, 1]) / 3).astype(int)
    np.testing.assert_array_equal(p[i, j, points[:, 0].astype(int)], heights)


def test_the_path_of_the_animal_is_a_track(p):
    analysis = peakmask.analyze(p, [])
    path = np.stack([np.linspace(0, 10, 40), np.linspace(20, 0, 40)], 1)
    path[7, 0] = np.nan
    before = path.copy()
    edges = np.arange(7) * 2.0
    *_, (tracks, keywords, kind) = peakmask.napari.layers(p, analysis, x=edges, path=path)
    assert (kind, keywords["name"]) == ("tracks", "animal")
    known = np.delete(np.arange(40), 7)
    np.testing.assert_array_equal(tracks, np.column_stack([known > 7, known, path[known, 1], path[known, 0]]))
    np.testing.assert_array_equal(path, before)
    for shape in ((6, 1, 40), (1, 6, 40)):
        track = p[:, :1].reshape(shape)
        found = peakmask.napari.layers(track, peakmask.analyze(track, []), path=np.arange(40) / 8)[-1][0]
        np.testing.assert_array_equal(found[:, 3 if shape[1] == 1 else 2], np.arange(40) / 8)
        assert (found[:, 2 if shape[1] == 1 else 3] == 0).all()
    with pytest.raises(ValueError, match="40 time bins need x and y each"):
        peakmask.napari.layers(p, analysis, path=path[1:])


def test_uneven_coordinates_are_refused(p):
    with pytest.raises(ValueError, match="x is not evenly spaced"):
        peakmask.napari.layers(p, peakmask.analyze(p, 0.5), x=[0, 1, 2, 4, 8, 16])


def test_napari_takes_them(p):
    viewer = pytest.importorskip("napari.components").ViewerModel()
    analysis = peakmask.analyze(p, [0.5, 0.9])
    assert peakmask.napari.view(p, analysis, viewer) is viewer
    kinds = [type(layer).__name__ for layer in viewer.layers]
    assert kinds == ["Image", "Labels", "Labels", "Points", "Tracks"]
    fallen = pytest.importorskip("napari.components").ViewerModel()
    peakmask.napari.view(p, analysis, fallen, y=-2.5 * np.arange(9), units="cm")
    image, points = fallen.layers[0], fallen.layers[3]
    _, j, i = image.world_to_data(points.data[0])
    assert image.data[int(points.data[0][0]), int(j), int(i)] == points.features["height"].iloc[0]
    assert viewer.dims.axis_labels == ("bin", "y", "x")
    path = np.zeros((40, 2))
    peakmask.napari.view(p, analysis, viewer, path=path)
    assert viewer.layers[-1].name == "animal"
    empty = np.full((3, 3, 4), 0.5)
    peakmask.napari.view(empty, peakmask.analyze(empty, []), pytest.importorskip("napari.components").ViewerModel())
