"""The reference way and peakmask, alternately in one run, on the three inputs: tables of times and ratios.

    python -m venv target/peers && target/peers/bin/pip install -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/compare.py [--n-t 100000 65536] [--kinds gm] [--json OUT.json] ...

Progress goes to standard error, two tables in Markdown to standard output: the most telling ratios of float64, and all.
`measure.py` runs this and all else that has a table.

Results are compared before anything is timed: masks, areas, coordinates and heights to the bit, prominences by value.

"touch" is to take as much memory from the system as fresh results need, and to write a byte in each page. "packed" are masks as
bits, "areas" are areas per bin and alpha (a whole summary) without masks. The reference's areas are `numpy.nansum(mask,
axis=(0, 1))` after its own masks; "areas of masks" are peakmask's own byte masks, added up.

The reference takes a minute or more for 100,000 bins, and its time is linear in their number; so every round times it on
some runs of consecutive bins, at places spread over the whole recording, inside the whole array. That leaves out what
stacking 100,000 masks costs it beyond stacking a few, and so favours it. peakmask does the whole recording in every round.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import inputs
import reference
import results
import tables
from results import ROOT, say

ALPHAS = [0.5, 0.9]
RUN = 16  # consecutive bins: two cache lines of float64 a cell
JOBS = ("end_to_end", "fresh", "touch", "peaks_only", "masks_only", "packed", "areas", "areas_of_masks", "floor")


class Driver:
    """The compiled side: a process that holds one input and answers jobs.

    As it starts it compares masks without peaks, packed masks and areas with those of the whole job, in all time bins.
    """

    def __init__(self, program, file, layout, pages, command=("serve", 1)):
        what, number = command
        self.command = [program, what, file, layout, pages, str(number), *map(str, ALPHAS)]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"peers_driver stopped at {words} with code {self.process.wait()}")
        return json.loads(answer)

    def seconds(self, job, threads):
        return self.ask(job, threads)["seconds"]

    def results(self, first, end):
        with tempfile.TemporaryDirectory() as folder:
            self.ask("dump", folder, first, end)
            return {file.stem: np.load(file) for file in Path(folder).glob("*.npy")}

    def memory(self, threads):
        """Bytes beyond input and results at the peak of a first job, in a process of its own; None if not known."""
        command = [*self.command[:5], str(threads), *self.command[6:]]
        command[1] = "memory"
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)["beyond"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def build():
    """Path of the driver, compiled as benches are."""
    command = "cargo bench --package peakmask-benches --bench peers_driver --no-run".split()
    command.append("--message-format=json-render-diagnostics")
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    artifacts = map(json.loads, messages.splitlines())
    return next(a["executable"] for a in artifacts if a.get("target", {}).get("name") == "peers_driver")


def places(n_t, count, rng):
    """Starts of runs of bins, one in each of `count` equal parts of the recording."""
    edges = np.linspace(0, max(n_t - RUN, 0), count + 1)
    return sorted({int(rng.uniform(a, b)) for a, b in zip(edges, edges[1:])})


def assert_equal(p, driver, starts, areas=True):
    """Stops unless what the driver has of these runs of bins is what the reference has; its recording repeats `p`."""
    bins = 0
    for start in starts:
        first = start % p.shape[2]
        part = p[:, :, first : first + RUN]
        peaks, masks = reference.analyze(part, ALPHAS)
        expected = {"masks": np.stack(masks), **reference.columns(peaks, p.dtype)}
        if areas:
            expected["areas"] = np.stack([np.nansum(mask, axis=(0, 1)) for mask in masks])
        wrong = list(reference.differences(expected, driver.results(start, start + part.shape[2])))
        if wrong:
            sys.exit(f"bins {start} to {start + part.shape[2]} differ in {', '.join(wrong)}; nothing was timed")
        bins += part.shape[2]
    return results.equality("the reference", bins)


def time_reference(p, starts):
    """Microseconds per bin: as it is, with reading every byte of the results once more, and with areas."""
    bare = read = areas = bins = 0
    for start in starts:
        part = p[:, :, start : start + RUN]
        began = time.perf_counter()
        peaks, masks = reference.analyze(part, ALPHAS)
        done = time.perf_counter()
        for column in (*masks, *(column for bin in peaks for column in bin)):
            column.sum()
        bare, read, bins = bare + done - began, read + time.perf_counter() - began, bins + part.shape[2]
        added = time.perf_counter()
        for mask in masks:
            np.nansum(mask, axis=(0, 1))
        areas += done - began + time.perf_counter() - added
    return {"reference": bare / bins * 1e6, "reference, read": read / bins * 1e6, "reference, areas": areas / bins * 1e6}


class Side:
    """One input in one layout: in this process for the reference, in a driver for peakmask."""

    def __init__(self, stack, program, file, layout, pages):
        self.layout, self.times = layout, {}
        self.driver = stack.enter_context(Driver(program, file, layout, pages))
        p = np.load(file)
        self.p = p if layout == "xyt" else np.moveaxis(p, 0, 2)
        self.about = self.driver.ask("about")
        if self.about["read"] < 0.8 * self.about["copy"]:
            sys.exit(f"the floor's read is slower than 80 % of a copy, so no floor: {self.about}")

    def round(self, starts, threads):
        """Times everything once."""
        n_t = self.p.shape[2]
        now = time_reference(self.p, starts)
        for n in threads:
            for job in JOBS:
                now[f"{job} {n}"] = self.driver.seconds(job, n) / n_t * 1e6
        for name, time_ in now.items():
            self.times.setdefault(name, []).append(time_)


def compare(program, case, some, a):
    """All layouts of one input in turn, round after round: a case of the raw results for each."""
    rng = np.random.default_rng(0)
    n_t, dtype, name = case["n_t"], case["dtype"], "{kind} {dtype}, {n_t:,} bins: ".format(**case)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=a.scratch)))
        sides = []
        for layout in case["layouts"]:
            say(name + f"input {layout}")
            file = folder / f"{layout}.npy"
            inputs.write(file, some, n_t, layout, dtype)
            sides.append(Side(stack, program, file, layout, a.pages))
        say(name + "equality")
        equalities = []
        for side in sides:
            equal = assert_equal(side.p, side.driver, places(n_t, a.places, rng))
            # What the driver compares as it starts: it stops where that differs.
            equalities.append({**equal, **results.equality("the whole job", n_t)})
        for round_ in range(a.rounds):
            say(name + f"round {round_ + 1} of {a.rounds}")
            starts = places(n_t, a.places, rng)
            for side in sides:
                side.round(starts, case["threads"])
        say(name + "memory")
        for side, equal in zip(sides, equalities):
            beyond = {str(n): side.driver.memory(n) for n in case["threads"]}
            yield {
                **case, "layout": side.layout, "about": side.about, "equality": equal, "beyond": beyond,
                "us_per_bin": side.times,
            }  # fmt: skip


def plan(a):
    """Everything at the first number of bins; at the others the first layout, type and number of threads alone."""
    for n_t in a.n_t:
        all_ = None if n_t == a.n_t[0] else 1
        for kind in a.kinds:
            for dtype in a.dtypes[:all_]:
                yield {
                    "kind": kind, "n_t": n_t, "dtype": dtype, "layouts": a.layouts[:all_], "threads": a.threads[:all_],
                }  # fmt: skip


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-t", type=int, nargs="+", default=results.BINS["peers"])
    parser.add_argument("--kinds", nargs="+", choices=inputs.KINDS, default=inputs.KINDS)
    parser.add_argument("--layouts", nargs="+", choices=("xyt", "txy"), default=["xyt", "txy"])
    parser.add_argument("--dtypes", nargs="+", choices=inputs.DTYPES, default=["f64", "f32"])
    parser.add_argument("--places", type=int, default=24, help=f"runs of {RUN} bins on which a round times the reference")
    parser.add_argument("--scratch", type=Path, help="folder for the input file (2 GB at 100,000 bins)")
    return with_common(parser).parse_args()


def with_common(parser):
    """The parser with what every program takes that asks the driver."""
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pages", choices=("huge", "default"), default="huge", help="of the driver's input; NumPy asks for huge ones")
    parser.add_argument("--json", type=Path, help="write the raw result here")
    return parser


def main():
    a = arguments()
    say("driver")
    program, drawn = build(), {}
    settings = {"alphas": ALPHAS, "rounds": a.rounds, "pages": a.pages}
    recording = results.Recording("peers", a.json, settings, results.REFERENCE)
    for case in plan(a):
        kind = case["kind"]
        if kind not in drawn:
            say(f"{kind}: {inputs.UNIQUE:,} maps")
            drawn[kind] = inputs.maps(kind, inputs.UNIQUE)
        measured = list(compare(program, case, drawn[kind], a))
        about = measured[0]["about"]
        recording.measured(about["version"], about["instruction_set"])
        recording.add(*measured)
    print(*tables.peers(recording.end()), sep="\n")
    say("done")


if __name__ == "__main__":
    main()
