"""Masks over time in a U-shaped maze, whose decoder marks cells off the track as NaN: off_track.png.

Needs matplotlib (pip install "peakmask[plot]") and the repository's tests/data.
"""

from pathlib import Path

import matplotlib
import numpy as np

import peakmask

matplotlib.use("agg")
import matplotlib.pyplot as plt

DATA = Path(__file__).resolve().parents[2] / "tests/data"
P = np.load(DATA / "umaze_offtrack_f64.npz")["p_x_given_n"][:, :, :120]  # bins of 40 ms, cells of 3 cm
off_track = np.isnan(P[:, :, 0])
P[off_track] = np.nan  # as the decoder gave them: in the file, only the first 20 bins are left so
seconds = np.arange(P.shape[2]) * 0.04

silent = peakmask.analyze(P, alpha=[0.1, 0.5])
analysis = peakmask.analyze(P, alpha=[0.1, 0.5], nan_policy="off_track")
for name, one in ((silent.nan_policy, silent), (analysis.nan_policy, analysis)):
    print(
        f"nan_policy={name!r}: {np.count_nonzero(one.peaks.counts)} of {len(one.peaks)} time bins have peaks and masks"
    )

figure, (maze, sizes) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(3, 2), layout="constrained")
maze.pcolormesh(np.where(off_track, 0.75, np.nan).T, cmap="gray", vmin=0, vmax=1)
colours = matplotlib.colormaps["viridis"]
for t in range(0, len(seconds), 4):
    for outline in analysis.contours(t, 0.5):
        maze.fill(*outline.T + 0.5, facecolor="none", edgecolor=colours(t / len(seconds)), linewidth=1.4)
way = analysis.peaks.coords[analysis.peaks.dominant] + 0.5
maze.plot(*way.T, color="black", linewidth=0.6)
bar = figure.colorbar(
    matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, seconds[-1]), colours), ax=maze, label="time (s)"
)
maze.set(
    xlabel="x (cells)",
    ylabel="y (cells)",
    aspect="equal",
    title="Masks at half height, way of the dominant peak",
)
for alpha, area in zip(analysis.alpha, analysis.areas):
    sizes.step(seconds, area, where="mid", label=f"alpha {alpha:g}, off_track")
sizes.step(seconds, silent.areas[0], where="mid", color="0.6", label="any alpha, silence (the default)")
sizes.set(xlabel="time (s)", ylabel="cells", title="Area of the mask")
sizes.legend()
figure.savefig("off_track.png", dpi=80)
