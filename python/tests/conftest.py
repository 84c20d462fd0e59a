"""Inputs and the reference, for all tests."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
GOLDENS = ("openfield_41x63_f64", "umaze_offtrack_f64", "box_f32", "track_logposterior_f64")

sys.path.insert(0, str(ROOT / "benches/peers"))


def pytest_collection_modifyitems(config, items):
    """Leave out slow tests and timings, unless they are asked for, and what needs a browser where there is none."""
    if config.getoption("-m"):
        return
    leave_out = {"slow", "timing"}
    if shutil.which("chromedriver") is None and os.environ.get("PEAKMASK_TEST_BROWSER") != "require":
        leave_out.add("browser")
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in leave_out)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def golden(name):
    """The posterior, its alphas, and the recorded results of the original."""
    with np.load(DATA / f"{name}.npz") as file:
        p, alphas = file["p_x_given_n"], file["alpha"].tolist()
    with np.load(DATA / f"{name}.golden.npz") as file:
        expected = {key: file[key] for key in file.files}
    return p, alphas, expected


@pytest.fixture(scope="session")
def openfield():
    """800 time bins of 41 x 63 cells."""
    return golden("openfield_41x63_f64")[0]


def bumps(n_x, n_y, n_t, seed=0):
    """Noisy bumps, normalised in every time bin."""
    rng = np.random.default_rng(seed)
    x, y = np.arange(n_x)[:, None, None], np.arange(n_y)[None, :, None]
    at_x, at_y = rng.uniform(0, n_x, n_t), rng.uniform(0, n_y, n_t)
    p = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 18) + 0.02 * rng.random((n_x, n_y, n_t))
    return p / p.sum(axis=(0, 1))
