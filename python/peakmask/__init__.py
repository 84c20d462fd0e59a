"""Peaks, prominences and dominant-peak masks of decoded position posteriors.

For every time bin of a posterior ``P[x, y, t]``, `analyze` finds all peaks with their heights and prominences, and for
each alpha the mask of the connected region around the highest peak in which ``P >= alpha * height``.

- `peakmask.analyze`: the interface.
- `peakmask.analyze_many`: several epochs at once, however short each is.
- `peakmask.stream`: posteriors and results larger than memory, piece by piece.
- `peakmask.absolute`, `peakmask.coverage`: levels of other kinds, a value or a share of the total.
- `peakmask.Analyzer`: the same again and again, down to one time bin in a closed loop.
- `peakmask.prominence`: summits of maps, with saddles, parents, and the land that each rules.
- `peakmask.saddles`: the saddle and the parent of every peak.
- `peakmask.regions`: the region of every peak at fractions of its own height.
- `peakmask.compat`: stands in for ``PeakPromenence`` of pyPhoPlaceCellAnalysis; one changed import line.
- `peakmask.plot`: pictures, with matplotlib.
- `peakmask.dask`: arrays in chunks of time, on one machine or many.
- `peakmask.napari`: layers for the image viewer napari.

Messages go to ``logging.getLogger("peakmask")``.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
import sysconfig
from typing import Any

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    raise ImportError(
        "peakmask is built for Python with a global interpreter lock, and this is a free-threaded build; "
        "use the ordinary build of the same version (peakmask's own threads run without the lock there too)"
    )

from . import _core
from ._analysis import Analysis, BinPeaks, Peaks, Report
from ._analyze import analyze, estimate
from ._analyzer import Analyzer
from ._core import __version__
from ._files import load
from ._forms import PackedMask, SparseMask
from ._levels import Level, absolute, coverage, of_peak
from ._many import Epochs, analyze_many
from ._stream import Stream, stream
from ._summary import Summary
from ._trees import MapSummits, Regions, Saddles, Summits, prominence, regions, saddles

__all__ = [
    "Analysis",
    "Analyzer",
    "BinPeaks",
    "Epochs",
    "Level",
    "MapSummits",
    "PackedMask",
    "Peaks",
    "Regions",
    "Report",
    "Saddles",
    "SparseMask",
    "Stream",
    "Summary",
    "Summits",
    "__version__",
    "absolute",
    "analyze",
    "analyze_many",
    "coverage",
    "estimate",
    "load",
    "of_peak",
    "prominence",
    "regions",
    "saddles",
    "stream",
]

_MODULES = ("compat", "dask", "napari", "plot")

# A layer of Mesa's that picks the GPU of the desktop prints to standard error where there is no desktop, whatever program
# loads a driver. There it has nothing to pick, and this variable, which is its own, leaves it out.
if not {"DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"} & os.environ.keys():
    os.environ.setdefault("NODEVICE_SELECT", "1")

# Drivers are tried in a process of their own first, where this one is Python's and knows how to start another.
if sys.executable and not getattr(sys, "frozen", False):
    _core.check_drivers(
        [sys.executable, "-I", "-S", os.path.join(os.path.dirname(__file__), "_trial.py"), _core.__file__]
    )

atexit.register(_core.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.forked)


def __getattr__(name: str) -> Any:
    """Import what needs optional packages when it is first used."""
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__dir__())}")


def __dir__() -> list[str]:
    """List what is for callers: names and modules."""
    return sorted([*__all__, *_MODULES])
