"""Three pictures of a posterior decoded from a walk: posterior.png, sheet.png, timeline.png."""

import matplotlib
import numpy as np
from recording import SECONDS, X, Y, posterior

import peakmask
import peakmask.plot

matplotlib.use("agg")

P = posterior(800)
analysis = peakmask.analyze(P, alpha=[0.5, 0.9])

ax = peakmask.plot.posterior(P, analysis, 420, x=X, y=Y, units="cm")
ax.figure.savefig("posterior.png", dpi=120)

axes = peakmask.plot.sheet(P, analysis, [20, 100, 180, 410, 430, 600, 640, 737], x=X, y=Y, units="cm")
axes[0].figure.savefig("sheet.png", dpi=120)

walk = peakmask.analyze(P[:, :, :400], alpha=[0.5, 0.9])
axes = peakmask.plot.timeline(walk, x=X, y=Y, t=np.arange(400) * SECONDS, units="cm")
axes[0].figure.savefig("timeline.png", dpi=120)
