"""Rate maps instead of posteriors: the main field of every place cell, and its rivals: place_fields.png.

A stack of rate maps (cell, x, y) is to peakmask what a posterior (t, x, y) is: pass it as ``layout="txy"``.
"""

import matplotlib
import numpy as np
from recording import X, Y, rate_maps

import peakmask
import peakmask.plot

matplotlib.use("agg")

rates = rate_maps(12, seed=4)
# A field: where the cell fires at half its peak rate, or more.
fields = peakmask.analyze(rates, alpha=0.5, layout="txy")

for cell, (coords, prominences, heights) in enumerate(fields.peaks):
    i, j = coords[np.argmax(heights)]
    print(
        f"cell {cell}: {heights.max():.1f} Hz at ({X[i]:.0f}, {Y[j]:.0f}) cm, {fields.areas[0, cell] * 2.5**2:.0f} cm2"
    )

axes = peakmask.plot.sheet(rates, fields, range(12), x=X, y=Y, units="cm")
for cell, ax in enumerate(axes):
    ax.set_title(f"cell {cell}, {rates[cell].max():.0f} Hz")
axes[0].figure.savefig("place_fields.png", dpi=120)
