"""Credible regions of 50 and 95 % over time, and how often the animal is inside: credible_regions.png.

They are highest-density regions, wherever their cells lie: `components` counts the parts that they fall into. Those of
few cells hold more than the share that was asked for, since the last cell counts whole.
"""

import matplotlib
import numpy as np
from recording import X, Y, path, posterior

import peakmask

matplotlib.use("agg")
import matplotlib.pyplot as plt

SECONDS = 0.05  # short time bins: few spikes, broad posteriors
P, animal = posterior(400, seed=9, seconds=SECONDS), path(400, seed=9)
levels = [peakmask.coverage(0.5), peakmask.coverage(0.95)]
analysis = peakmask.analyze(P, levels, region="whole", connectivity=8)

cells = (animal // 2.5).astype(int)  # of 2.5 cm
inside = np.array([mask[cells[:, 0], cells[:, 1], np.arange(len(cells))] for mask in analysis.masks])
for level, area, parts, hits in zip(levels, analysis.areas, analysis.components, inside):
    print(
        f"{float(level):.0%}: median {np.median(area) * 2.5**2:.0f} cm2; in {np.mean(parts > 1):.0%} of the time bins in "
        f"more than one part; the animal is inside in {np.mean(hits):.0%}"
    )

figure, axes = plt.subplot_mosaic("abc;ttt", figsize=(11, 6.4), height_ratios=(3, 2), layout="constrained")
for name, t in zip("abc", np.sort(np.argsort(-analysis.components[1].astype(int), kind="stable")[:3])):
    ax = axes[name]
    ax.pcolormesh(X, Y, np.sqrt(P[:, :, t].T), cmap="magma")
    for level, colour in zip(levels, ("white", "tab:cyan")):
        for outline in analysis.contours(t, level, x=X, y=Y):
            ax.plot(*outline.T, color=colour, linewidth=1.6)
    ax.plot(*animal[t], "P", color="tab:green", markeredgecolor="white", markersize=10)
    ax.set(
        title=f"{t * SECONDS:.2f} s: {analysis.components[1, t]} parts",
        aspect="equal",
        xlabel="x (cm)",
        ylabel="y (cm)",
    )
times = np.arange(len(animal)) * SECONDS
ax = axes["t"]
for level, area, colour in zip(levels, analysis.areas * 2.5**2, ("0.5", "tab:cyan")):
    ax.step(times, area, where="mid", color=colour, label=f"{float(level):.0%}")
ax.plot(times[~inside[1]], analysis.areas[1, ~inside[1]] * 2.5**2, "x", color="tab:red", label="animal outside of 95 %")
ax.set(xlabel="time (s)", ylabel="area (cm2)", yscale="log")
ax.margins(x=0.01)
ax.legend(ncols=3, fontsize="small", loc="lower right", title="credible region")
figure.suptitle("Credible regions of 50 % (white) and 95 % (cyan); the animal (green); colours are square roots of P")
figure.savefig("credible_regions.png", dpi=80)
