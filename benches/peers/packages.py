"""The Python package and what else Python has for it, alternately in one run: the table of python/README.md.

    python -m venv target/packages
    target/packages/bin/pip install -r benches/peers/packages.txt ./python
    target/packages/bin/python benches/peers/packages.py [--n-t 100000] [--kinds openfield] [--threads 2] [--rounds 3]

Progress goes to standard error; `measure.py` runs this and all else that has a table.

Results are compared before anything is timed: masks, coordinates and heights to the bit,
prominences by value. Contenders that take one time bin after the other are timed on runs of consecutive bins at places
spread over the recording, inside the whole array; the others do all of it in every round. `--reference-whole` times the
reference once on all of it too. Memory is what a process of its own comes to hold beyond the input, at its highest.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import contenders
import inputs
import numpy as np
import reference
import results
import tables
from results import say

import peakmask

ALPHAS = [0.5, 0.9]
OTHERS = ("numba", "connected-components-3d", "opencv-python-headless")
RUN = 16  # consecutive bins: two cache lines of float64 a cell


def starts(n_t, places, rng):
    edges = np.linspace(0, max(n_t - RUN, 0), places + 1)
    return sorted({int(rng.uniform(a, b)) for a, b in zip(edges, edges[1:])})


def columns(found, dtype):
    """Columns of whatever a whole job returned."""
    return reference.columns(found, dtype) if isinstance(found, list) else found


def assert_equal(p, places, threads, out, rng):
    """Everybody against the reference on runs of bins, and whole jobs against each other on all bins: how many they were."""
    bins = 0
    for start in starts(p.shape[2], places, rng):
        part = p[:, :, start : start + RUN]
        bins += part.shape[2]
        masks, expected = contenders.by_reference(part, ALPHAS, threads)
        for name, contender in {**contenders.SLICED, **contenders.WHOLE}.items():
            theirs, found = contender(part, ALPHAS, threads)
            equal(name, start, np.stack(masks), expected, np.stack(theirs), found, p.dtype)
    masks, expected = contenders.by_analyze(p, ALPHAS, threads, out=out)
    for name, contender in contenders.WHOLE.items():
        theirs, found = contender(p, ALPHAS, threads)
        for mine, mask in zip(masks, theirs):
            if not np.array_equal(mine, mask):
                sys.exit(f"{name} differs in masks; nothing was timed")
        equal(name, 0, np.empty(0, bool), expected, np.empty(0, bool), found, p.dtype)
    return {**results.equality("the reference", bins), **results.equality("each other", p.shape[2])}


def equal(name, start, masks, expected, theirs, found, dtype):
    both = [{"masks": masks}, {"masks": theirs}]
    if found is not None:
        both = [{**both[0], **expected}, {**both[1], **columns(found, dtype)}]
    wrong = list(reference.differences(*both))
    if wrong:
        sys.exit(f"{name} differs from the reference in {', '.join(wrong)} near bin {start}; nothing was timed")


def one_round(p, places, threads, out, rng):
    """Microseconds a bin of everybody, once."""
    times = {}
    where = starts(p.shape[2], places, rng)
    for name, contender in contenders.SLICED.items():
        began = time.perf_counter()
        for start in where:
            contender(p[:, :, start : start + RUN], ALPHAS, threads)
        times[name] = (time.perf_counter() - began) / (len(where) * RUN)
    for name, contender in contenders.WHOLE.items():
        began = time.perf_counter()
        result = contender(p, ALPHAS, threads)
        times[name] = (time.perf_counter() - began) / p.shape[2]
        del result
    began = time.perf_counter()
    result = contenders.by_analyze(p, ALPHAS, threads, out=out)
    times[contenders.REUSED] = (time.perf_counter() - began) / p.shape[2]
    del result
    return {name: seconds * 1e6 for name, seconds in times.items()}


def bytes_held(file, name, threads):
    """What the contender comes to hold beyond the input, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, str(file), "--threads", str(threads)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def memory_of(name, file, threads):
    """Prints bytes: this process's highest resident memory (Linux), less what it held with the input loaded."""
    p = np.load(file)
    out = None
    contender = {**contenders.SLICED, **contenders.WHOLE, contenders.REUSED: contenders.by_analyze}[name]
    options = {}
    if name == contenders.REUSED:
        out = [np.ones(p.shape, bool) for _ in ALPHAS]
        options = {"out": out}
    contender(p[:, :, :2], ALPHAS, threads, **({"out": [mask[:, :, :2] for mask in out]} if out else {}))
    Path("/proc/self/clear_refs").write_text("5")  # the highest starts anew from what is held now
    before = resident("VmHWM")
    result = contender(p, ALPHAS, threads, **options)
    print(resident("VmHWM") - before)
    del result


def resident(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def measure(kind, a, folder):
    rng = np.random.default_rng(0)
    file = folder / f"{kind}.npy"
    say(f"{kind}: input")
    inputs.write(file, inputs.maps(kind, inputs.UNIQUE), a.n_t, "xyt", "f64")
    p = np.load(file)
    out = [np.ones(p.shape, bool) for _ in ALPHAS]
    say(f"{kind}: equality")
    equality = assert_equal(p, a.places, a.threads, out, rng)
    rounds = []
    for number in range(a.rounds):
        say(f"{kind}: round {number + 1} of {a.rounds}")
        rounds.append(one_round(p, a.places, a.threads, out, rng))
    whole = None
    if a.reference_whole:
        say(f"{kind}: the reference on all bins")
        began = time.perf_counter()
        contenders.by_reference(p, ALPHAS, a.threads)
        whole = (time.perf_counter() - began) / a.n_t * 1e6
    del p, out
    held = {}
    for name in rounds[0]:
        say(f"{kind}: memory of {name}")
        held[name] = bytes_held(file, name, a.threads) if a.memory else None
    file.unlink()
    times = {name: [round_[name] for round_ in rounds] for name in rounds[0]}
    return {
        "kind": kind, "n_t": a.n_t, "equality": equality, "us_per_bin": times, "memory": held, "reference_whole": whole,
    }  # fmt: skip


def assert_new():
    """Stops where what is installed was there before the sources that it would be said to be of."""
    if Path(peakmask._core.__file__).stat().st_mtime < results.newest_source():
        sys.exit(f"{peakmask._core.__file__} is older than this checkout's sources; install ./python again")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-t", type=int, default=results.BINS["packages"][0])
    parser.add_argument("--kinds", nargs="+", choices=inputs.KINDS, default=["openfield"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--places", type=int, default=12, help="runs of bins, spread over the recording")
    parser.add_argument("--no-memory", dest="memory", action="store_false")
    parser.add_argument("--reference-whole", action="store_true")
    parser.add_argument("--json", type=Path, help="write the raw result here")
    parser.add_argument("--scratch", type=Path, help="folder for inputs")
    parser.add_argument("--memory-of", nargs=2, metavar=("CONTENDER", "FILE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    a = arguments()
    if a.memory_of:
        memory_of(*a.memory_of, a.threads)
        return
    assert_new()
    say(f"peakmask {peakmask.__version__}")
    settings = {"alphas": ALPHAS, "rounds": a.rounds, "threads": a.threads}
    recording = results.Recording("packages", a.json, settings, (*results.REFERENCE, *OTHERS))
    set_ = peakmask.analyze(np.zeros((2, 2, 1)), ALPHAS).report["instruction_set"]
    recording.measured(peakmask.__version__, set_)
    with tempfile.TemporaryDirectory(dir=a.scratch) as folder:
        for kind in a.kinds:
            recording.add(measure(kind, a, Path(folder)))
    print(*tables.packages(recording.end()), sep="\n")


if __name__ == "__main__":
    main()
