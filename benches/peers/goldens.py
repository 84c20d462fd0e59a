"""Compares the reference way, as transcribed, with the recorded results of the original: `python goldens.py`."""

import sys
from pathlib import Path

import numpy as np

import reference

DATA = Path(__file__).resolve().parents[2] / "tests/data"


def wrong(file):
    """Names of the fields in which the transcription differs from the recorded result."""
    with np.load(file) as posterior, np.load(file.with_suffix(".golden.npz")) as golden:
        p, alphas = posterior["p_x_given_n"], posterior["alpha"].tolist()
        expected = {name: golden[name] for name in golden.files if name != "alpha"}
    peaks, masks = reference.analyze(p, alphas)
    found = {"masks": np.stack(masks), **reference.columns(peaks, p.dtype)}
    return list(reference.differences(expected, found))


def main():
    files = sorted(DATA / file.name.replace(".golden", "") for file in DATA.glob("*.golden.npz"))
    if not files:
        sys.exit(f"no posteriors in {DATA}")
    failed = 0
    for file in files:
        fields = wrong(file)
        failed += bool(fields)
        print(f"{file.stem}: {'differs in ' + ', '.join(fields) if fields else 'equal'}")
    print(f"{len(files) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
