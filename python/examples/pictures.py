"""Three pictures of a posterior decoded from a recorded path, and a page for the browser.

Writes posterior.png, sheet.png, timeline.png and page.html into the current folder. Needs matplotlib
(pip install "peakmask[plot]") and the repository's tests/data.
"""

from pathlib import Path

import matplotlib
import numpy as np

import peakmask
import peakmask.plot

matplotlib.use("agg")

DATA = Path(__file__).resolve().parents[2] / "tests/data"
P = np.load(DATA / "openfield_41x63_f64.npz")["p_x_given_n"]
x, y = np.linspace(0, 250, 42), np.linspace(0, 350, 64)  # edges of the cells, in an arena of 2.5 x 3.5 m
analysis = peakmask.analyze(P, alpha=[0.5, 0.9])

ax = peakmask.plot.posterior(P, analysis, 420, x=x, y=y, units="cm")
ax.figure.savefig("posterior.png", dpi=120)

axes = peakmask.plot.sheet(P, analysis, [20, 100, 180, 410, 430, 600, 640, 737], x=x, y=y, units="cm")
axes[0].figure.savefig("sheet.png", dpi=120)

walk = peakmask.analyze(P[:, :, :400], alpha=[0.5, 0.9])  # bins of 250 ms
axes = peakmask.plot.timeline(walk, x=x, y=y, t=np.arange(400) * 0.25, units="cm")
axes[0].figure.savefig("timeline.png", dpi=120)

walk.page(P[:, :, :400], "page.html", x=x, y=y, t=np.arange(400) * 0.25, units="cm", title="open field")
