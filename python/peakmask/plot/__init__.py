"""Pictures of posteriors, masks and peaks, with matplotlib (``pip install "peakmask[plot]"``).

- `posterior`: one time bin; `sheet`: several side by side.
- `track`: a linear track, position by time.
- `timeline`: what the dominant peak does over time.
- `summary`: the numbers of a `peakmask.Summary` over time, without P and masks.
- `animate`: a film; `explore`: a slider and a play button, in a notebook or a window.

Every function draws on axes that you pass in, or on new ones, and returns what it drew on. Coordinates are yours: those of
the labels that P had, or ``x=``, ``y=``, ``t=``; without either cells and time bins are numbered from 0.

Keywords that all of them take (`timeline` those that make sense without P, `summary` `t=` alone):

x, y : array_like, shape (n_x,) or (n_x + 1,), likewise y
    Centres of the cells in your units, rising or falling, in any spacing; or their edges, of which there is one more.
t : array_like, shape (n_t,) or (n_t + 1,)
    Times of the bins: numbers, ``datetime64``, ``timedelta64``, Python's own, or strings; or edges, but for strings.
units : str
    Of x and y, for the labels of the axes: ``"cm"``.
path : array_like, shape (n_t, 2); on a linear track (n_t,) too
    Where the animal was in each time bin, in the units of x and y; NaN where nobody knows.
cmap : str or matplotlib.colors.Colormap
    A perceptual one, please. Cells without a value (NaN) are grey.
norm : "linear", "sqrt", "log", or a matplotlib.colors.Normalize
    How values become colours. The floor of a logarithmic scale is `vmin`, else a ten-thousandth of the top; what lies below
    it has the lowest colour. A Normalize of yours that has limits keeps them, in all panels.
vmin, vmax : float
    The values at both ends of the colours; without them the lowest and the highest finite value shown.
min_height : float
    Peaks are marked from this share of the highest peak of their time bin on; 0 marks all. Where the highest is not above 0,
    heights are read as natural logarithms of what is compared.
min_prominence : float
    Likewise, of a peak's prominence, as a share of the highest peak's height.
top : int
    Of the peaks that are left, mark only so many in each time bin, the highest.
"""

from ._colours import OUTLINES
from ._motion import animate, explore
from ._panel import posterior, sheet
from ._summary import summary
from ._timeline import timeline
from ._track import track

__all__ = ["OUTLINES", "animate", "explore", "posterior", "sheet", "summary", "timeline", "track"]
