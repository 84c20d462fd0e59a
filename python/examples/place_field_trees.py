"""Every field of a place cell: the tree of its peaks, the land that each rules, and outlines: place_field_trees.png.

A field counts here when it stands 2 Hz above the saddle to the next higher one.
"""

import matplotlib
import numpy as np
from recording import X, Y, rate_maps

import peakmask

matplotlib.use("agg")
import matplotlib.pyplot as plt

rng = np.random.default_rng(8)
rates = rate_maps(6, seed=9)
rates = np.maximum(rates + rng.normal(0, 0.25, rates.shape), 0)  # as measured

tree = peakmask.prominence(rates, layout="txy")
fields = peakmask.analyze(rates, [], layout="txy", prominence="topographic").peaks.filter(min_prominence=2.0)
regions = peakmask.regions(rates, fields, alpha=[0.5, 0.9], cells=True, layout="txy")
table = regions.to_dataframe(x=X, y=Y)
print(
    table[["bin", "x", "y", "height", "prominence", "alpha", "area", "width_x", "width_y", "border_distance"]].head(8)
)

figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), constrained_layout=True)
for cell, ax in enumerate(axes.flat):
    summits, land = tree[cell], tree.labels[cell]
    ax.pcolormesh(X, Y, rates[cell].T, cmap="viridis")
    for row in range(fields.offsets[cell], fields.offsets[cell + 1]):
        i, j = fields.coords[row]
        summit = land[i, j]
        # Its own region at half of its height; below, the land that it rules, unless that is what others leave.
        inside = np.zeros(land.shape)
        inside[tuple(regions.cells(row).T)] = 1
        ax.contour(X, Y, inside.T, levels=[0.5], colors="white", linewidths=1.6)
        ax.plot(X[i], Y[j], "o", color="white", markeredgecolor="black")
        ax.annotate(
            f"{fields.prominences[row]:.1f} Hz",
            (X[i], Y[j]),
            (-5 if X[i] > 70 else 5, -14 if Y[j] > 70 else 5),
            textcoords="offset points",
            horizontalalignment="right" if X[i] > 70 else "left",
            color="white",
            fontweight="bold",
        )
        if summits.parents[summit] >= 0:
            ax.contour(X, Y, (land == summit).T, levels=[0.5], colors="white", linewidths=0.8, linestyles="dotted")
            ends = np.array([fields.coords[row], summits.saddles[summit], summits.coords[summits.parents[summit]]])
            ax.plot(X[ends[:, 0]], Y[ends[:, 1]], "-", color="tab:red", linewidth=1.5)
            ax.plot(X[ends[1, 0]], Y[ends[1, 1]], "x", color="tab:red")
    count = fields.offsets[cell + 1] - fields.offsets[cell]
    ax.set_title(f"cell {cell}: {count} field{'' if count == 1 else 's'} of {len(summits.heights)} peaks")
    ax.set_aspect("equal")
figure.supxlabel("x (cm)")
figure.supylabel("y (cm)")
figure.suptitle(
    "Fields by topographic prominence: region at half height, ruled land (dotted), way over the saddle to the parent"
)
figure.savefig("place_field_trees.png", dpi=80)
