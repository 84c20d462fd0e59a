"""Layers for napari (``pip install "peakmask[napari]"``, and one of napari's window backends).

`view` opens a viewer, or adds to one; `layers` gives what it adds, as the layer data tuples that plugins return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .plot._colours import OUTLINES
from .plot._marks import Marks
from .plot._scene import Place, along, maps, places_of_path

if TYPE_CHECKING:
    from ._analysis import Analysis

__all__ = ["layers", "view"]

LayerData = tuple[Any, dict[str, Any], str]


def layers(
    P: ArrayLike,
    analysis: Analysis,
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    units: str | None = None,
    path: ArrayLike | None = None,
    min_height: float = 0.05,
    min_prominence: float = 0.0,
    top: int | None = None,
) -> list[LayerData]:
    """Describe a posterior as layers: an image, a labels layer for each alpha, the marked peaks, the dominant peak's way.

    The axes are time bin, y, x, as napari has them: y runs downwards. Image and labels are views of P and of the masks, not
    copies, as far as napari leaves them alone.

    Parameters
    ----------
    P, analysis
        What was analysed, and its analysis.
    x, y, units, path, min_height, min_prominence, top
        As for all pictures: see `peakmask.plot`. Coordinates have to be evenly spaced, since napari's images are.

    Returns
    -------
    list of (data, keywords, kind of layer)
        "image", then "labels" for each alpha, "points" with the features ``height`` and ``prominence``, and "tracks", in
        which every run of time bins with peaks is one track; none without a peak. With ``path=`` another one of "tracks",
        where the animal was.

    Raises
    ------
    ValueError
        When P is not what was analysed, or coordinates do not fit or are not evenly spaced.

    Examples
    --------
    >>> import numpy as np, peakmask, peakmask.napari
    >>> P = np.random.default_rng(0).random((8, 9, 30))
    >>> [kind for _, _, kind in peakmask.napari.layers(P, peakmask.analyze(P, alpha=[0.5, 0.9]))]
    ['image', 'labels', 'labels', 'points', 'tracks']
    """
    values = maps(P, analysis)
    places = (Place(analysis, 0, x, units), Place(analysis, 1, y, units))
    steps = [_step(place) for place in places]
    scale = (1.0, steps[1], steps[0])
    first = (0.0, places[1].centres[0], places[0].centres[0])
    grid = {"scale": scale, "translate": first}
    turned = (2, 1, 0)
    found: list[LayerData] = [
        (values.transpose(turned), {"name": "posterior", "colormap": "viridis", **grid}, "image"),
    ]
    for i, (alpha, mask) in enumerate(zip(analysis.alpha, analysis._maps)):
        labels = mask.transpose(analysis._axes).transpose(turned).view(np.uint8)
        colour = {None: "transparent", 0: "transparent", 1: OUTLINES[i % len(OUTLINES)]}
        found.append((labels, {"name": f"mask, alpha {alpha:g}", "colormap": colour, "opacity": 0.5, **grid}, "labels"))
    peaks, marks = analysis.peaks, Marks(min_height, min_prominence, top)
    rows = peaks.dominant
    live = np.flatnonzero(rows >= 0)
    marked, shares = marks.choose(peaks)
    marked[rows[live]] = True
    at = _at(peaks.bins, peaks._xy, places)
    size = float(min(abs(step) for step in steps)) * (0.4 + 0.6 * np.sqrt(np.clip(shares[marked], 0, 1)))
    features = {"height": peaks.heights[marked], "prominence": peaks.prominences[marked]}
    points = {"name": marks.words, "size": size, "face_color": "#ff9f1c", "border_color": "black", "features": features}
    found.append((at[marked], points, "points"))
    found += _tracks("dominant peak", live, at[rows[live]])
    if path is not None:
        was = places_of_path(path, analysis).copy()
        # Along a linear track there is but one coordinate.
        where = along(analysis)
        if where is not None:
            was[:, 1 - where] = places[1 - where].centres[0]
        known = np.flatnonzero(np.isfinite(was).all(axis=1))
        found += _tracks("animal", known, np.column_stack([known, was[known, 1], was[known, 0]]))
    return found


def _tracks(name: str, bins: NDArray[Any], at: NDArray[Any]) -> list[LayerData]:
    """A track for each run of time bins: none leads through a bin without a place."""
    if not len(bins):  # napari refuses tracks without a point
        return []
    track = np.cumsum(np.diff(bins, prepend=bins[:1]) > 1)
    return [(np.column_stack([track, at]), {"name": name, "tail_length": 40}, "tracks")]


def view(P: ArrayLike, analysis: Analysis, viewer: Any = None, **options: Any) -> Any:
    """Show the layers in a viewer.

    Parameters
    ----------
    P, analysis, **options
        As for `layers`.
    viewer : napari.Viewer, optional
        Where to add them; without it a new one.

    Returns
    -------
    napari.Viewer

    Raises
    ------
    ImportError
        Without napari, when a viewer is needed.
    """
    described = layers(P, analysis, **options)
    if viewer is None:
        try:
            import napari
        except ImportError as error:
            raise ImportError('this needs napari, which is not installed: pip install "peakmask[napari]"') from error
        viewer = napari.Viewer()
    for data, keywords, kind in described:
        getattr(viewer, f"add_{kind}")(data, **keywords)
    viewer.dims.axis_labels = ("bin", analysis._labels.names[1], analysis._labels.names[0])
    return viewer


def _step(place: Place) -> float:
    steps = np.diff(place.edges)
    if not np.allclose(steps, steps[0]):
        raise ValueError(f"{place.name} is not evenly spaced, which images in napari are; leave its coordinates out")
    return float(steps[0])


def _at(bins: NDArray[Any], coords: NDArray[Any], places: tuple[Place, Place]) -> NDArray[np.float64]:
    """Time bin, y, x of cells."""
    return np.column_stack([bins, places[1].centres[coords[:, 1]], places[0].centres[coords[:, 0]]]).astype(float)
