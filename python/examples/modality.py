"""How many places does a posterior point to? Peaks that stand out, counted over time: modality.png."""

import matplotlib
import numpy as np
from recording import X, Y, posterior

import peakmask

matplotlib.use("agg")
import matplotlib.pyplot as plt

SECONDS = 0.05  # short time bins: few spikes, many places
P = posterior(400, seed=9, seconds=SECONDS)
analysis = peakmask.analyze(P, alpha=0.5, prominence="topographic")
# A mode: a tenth of the highest or more, standing out by half of that, and 10 cm from any better one.
modes = analysis.peaks.filter(min_relative_height=0.1, min_distance=4)
stands_out = modes.prominences >= 0.05 * np.repeat(modes.heights[modes.dominant], modes.counts)
n_modes = np.bincount(modes.bins[stands_out], minlength=len(P[0, 0]))

times = np.arange(len(n_modes)) * SECONDS
for k in range(1, n_modes.max() + 1):
    print(f"{k} mode{'s' * (k > 1)}: {np.mean(n_modes == k):.0%} of the time bins")

most = int(np.argmax(n_modes))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2), constrained_layout=True)
left.step(times, analysis.peaks.counts, where="mid", color="0.75", label="all peaks")
left.step(times, n_modes, where="mid", color="tab:blue", label="modes")
left.set(xlabel="time (s)", ylabel="number", yscale="log", title="Peaks, and those that stand out")
left.legend(loc="upper left")
right.pcolormesh(X, Y, np.sqrt(P[:, :, most].T), cmap="magma")
here = np.flatnonzero((modes.bins == most) & stands_out)
right.plot(X[modes.coords[here, 0]], Y[modes.coords[here, 1]], "o", color="none", markeredgecolor="cyan", markersize=12)
for outline in analysis.contours(most, 0.5, P=P, x=X, y=Y):
    right.plot(*outline.T, color="white")
right.set(
    xlabel="x (cm)",
    ylabel="y (cm)",
    title=f"{n_modes[most]} modes at {times[most]:.2f} s (root of P)",
    aspect="equal",
)
figure.savefig("modality.png", dpi=80)
