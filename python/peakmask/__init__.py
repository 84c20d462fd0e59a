"""Peaks, prominences and dominant-peak masks of decoded position posteriors.

For every time bin of a posterior ``P[x, y, t]``, `analyze` finds all peaks with their heights and prominences, and for
each alpha the mask of the connected region around the highest peak in which ``P >= alpha * height``.

- `peakmask.analyze`: the interface.
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
from ._core import __version__

__all__ = ["Analysis", "BinPeaks", "Peaks", "Report", "__version__", "analyze", "estimate"]


atexit.register(_core.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.forked)


def __getattr__(name: str) -> Any:
    """Import what needs optional packages when it is first used."""
    if name in ("compat", "dask", "napari", "plot"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
