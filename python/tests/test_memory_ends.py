"""Memory that ends in the middle of a call: an exact result, a MemoryError, or no thread; and Python lives on."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited, and read, as Linux does")

CALLS = {
    "masks": "peakmask.analyze(P, ALPHA, threads=2, backend='cpu')",
    "bits and summary": "peakmask.analyze(P, ALPHA, masks='packed', summary=True, threads=2, backend='cpu')",
    "cells": "peakmask.analyze(P, ALPHA, masks='sparse', threads=2, backend='cpu')",
    "trees": "peakmask.prominence(P[:, :, :400])",
    "regions": "peakmask.regions(P[:, :, :400], peakmask.analyze(P[:, :, :400], []).peaks, 0.5)",
    "a copy": "peakmask.analyze(P.astype('>f8'), ALPHA, threads=2, backend='cpu')",
    "drop-in": "compat.compute_2d_dt_posterior_peak_promenences(P, ALPHA)",
    "epochs": "peakmask.analyze_many([P[:, :, :700], P[:, :, 700:]], ALPHA, threads=2, backend='cpu')",
    "kept": "peakmask.Analyzer(P.shape[:2], alpha=ALPHA, threads=2, backend='cpu').run(P)",
}

CODE = """
import resource, sys
import numpy as np, peakmask
from peakmask import compat

ALPHA = [0.3, 0.7]
x, y, t = np.ogrid[:41, :63, :2000]
P = ((x * 7 + y * 13 + t * 3) % 29).astype(np.float64)  # a peak in every few cells
few = P[:, :, :9].copy()
expected = peakmask.analyze(few, ALPHA, threads=1, backend="cpu").masks[0].sum()

with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]), hard))
try:
    found = {call}
    end = "done"
except MemoryError as error:
    found, end = None, f"refused: {error}"
except RuntimeError as error:  # a thread takes memory, too
    assert "could not be started" in str(error), error
    found, end = None, f"refused: {error}"
del found
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
assert peakmask.analyze(few, ALPHA, threads=1, backend="cpu").masks[0].sum() == expected
print(end)
"""


@pytest.mark.parametrize("call", CALLS)
def test_limits_of_the_address_space(call):
    code = CODE.replace("{call}", CALLS[call])
    ends = []
    for extra in [step * step << 20 for step in range(10)] + [4 << 30]:
        ran = subprocess.run([sys.executable, "-c", code, str(extra)], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, f"{call} with {extra} bytes: {ran.returncode}\n{ran.stderr}"
        assert ran.stderr == ""
        ends.append(ran.stdout.split(":")[0].strip())
    assert ends[0] == "refused", ends
    assert ends[-1] == "done", ends
