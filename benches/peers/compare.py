"""The reference way and peakmask, alternately in one run, on the three inputs: tables of times and ratios.

    python -m venv target/peers && target/peers/bin/pip install -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/compare.py [--n-t 100000 65536] [--kinds gm] [--json OUT.json] ...

Progress goes to standard error, two tables in Markdown to standard output: the most telling ratios of float64, and everything.

Results are compared before anything is timed: masks, areas, coordinates and heights to the bit, prominences by value.

"packed" are masks as bits, "areas" are areas per bin and alpha (a whole summary) without masks. The reference's areas are
`numpy.nansum(mask, axis=(0, 1))` after its own masks; "areas of masks" are peakmask's own byte masks, added up.

The reference takes a minute or more for 100,000 bins, and its time is linear in their number; so every round times it on
some runs of consecutive bins, at places spread over the whole recording, inside the whole array. That leaves out what
stacking 100,000 masks costs it beyond stacking a few, and so favours it. peakmask does the whole recording in every round.
"""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import scipy
import skimage

import inputs
import reference

ROOT = Path(__file__).resolve().parents[2]
ALPHAS = [0.5, 0.9]
BEGAN = time.perf_counter()
RUN = 16  # consecutive bins: two cache lines of float64 a cell
JOBS = ("end_to_end", "fresh", "peaks_only", "masks_only", "packed", "areas", "areas_of_masks", "floor")


class Driver:
    """The compiled side: a process that holds one input and answers jobs.

    As it starts it compares the masks that it makes without peaks with those of the whole job.
    """

    def __init__(self, program, file, layout, pages):
        self.command = [program, "serve", file, layout, pages, "1", *map(str, ALPHAS)]
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


def assert_equal(p, driver, starts):
    for start in starts:
        part = p[:, :, start : start + RUN]
        peaks, masks = reference.analyze(part, ALPHAS)
        areas = np.stack([np.nansum(mask, axis=(0, 1)) for mask in masks])
        expected = {"masks": np.stack(masks), "areas": areas, **reference.columns(peaks, p.dtype)}
        wrong = list(reference.differences(expected, driver.results(start, start + part.shape[2])))
        if wrong:
            sys.exit(f"bins {start} to {start + part.shape[2]} differ in {', '.join(wrong)}; nothing was timed")


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

    def median(self, name):
        return median(self.times[name])

    def ratio(self, name, other, side=None):
        """Median over the rounds of one time by another of the same round."""
        return median(a / b for a, b in zip(self.times[name], (side or self).times[other]))


def compare(program, case, some, a):
    """All layouts of one input in turn, round after round: what it costs, and the lines of the tables."""
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
        for side in sides:
            assert_equal(side.p, side.driver, places(n_t, a.places, rng))
        for round_ in range(a.rounds):
            say(name + f"round {round_ + 1} of {a.rounds}")
            starts = places(n_t, a.places, rng)
            for side in sides:
                side.round(starts, case["threads"])
        say(name + "memory")
        measured, lines = {}, []
        for side in sides:
            beyond = {n: side.driver.memory(n) for n in case["threads"]}
            measured[side.layout] = {"about": side.about, "beyond": beyond, "us_per_bin": side.times}
            lines += [line(case, side, n, beyond[n], sides[0]) for n in case["threads"]]
        telling = (case["layouts"][0], dtype, case["threads"][0]) == ("xyt", "f64", 1)
        ratios = [ratios_line(case, sides, measured["xyt"]["beyond"][1])] if telling else []
    return {**case, "layouts": measured, "lines": lines, "ratios": ratios}


RATIOS = (
    "input", "bins", "reference", "peakmask", "x reference", "{} threads x one", "txy / xyt", "masks only / floor",
    "fresh x reference", "packed / masks only", "areas x reference", "MB beyond input and results",
)  # fmt: skip


def ratios_line(case, sides, beyond):
    """One line of the table of ratios: float64, xyt, one thread."""
    xyt, most = sides[0], case["threads"][-1]
    return row(
        kind_and_peaks(case, xyt),
        f"{case['n_t']:,}",
        f"{xyt.median('reference'):.0f}",
        f"{xyt.median('end_to_end 1'):.2f}",
        f"{xyt.ratio('reference', 'end_to_end 1'):.0f}",
        f"{xyt.ratio('end_to_end 1', f'end_to_end {most}'):.2f}" if most > 1 else "",
        f"{sides[1].ratio('end_to_end 1', 'end_to_end 1', xyt):.2f}" if len(sides) > 1 else "",
        f"{xyt.ratio('masks_only 1', 'floor 1'):.2f}",
        f"{xyt.ratio('reference, read', 'fresh 1'):.0f}",
        f"{xyt.ratio('packed 1', 'masks_only 1'):.2f}",
        f"{xyt.ratio('reference, areas', 'areas 1'):.0f}",
        megabytes(beyond),
    )


COLUMNS = (
    "input", "bins", "layout, type", "threads", "reference", "warm", "fresh", "peaks only", "masks only", "packed", "areas",
    "areas of masks", "floor", "x reference", "fresh x reference", "areas x reference", "x fewest threads", "/ first layout",
    "/ floor", "masks only / floor", "MB beyond input and results",
)  # fmt: skip


def line(case, side, n, beyond, first):
    """One line of the table of everything: a layout on n threads."""
    warm, floor, fewest = f"end_to_end {n}", f"floor {n}", f"end_to_end {case['threads'][0]}"
    return row(
        kind_and_peaks(case, side),
        f"{case['n_t']:,}",
        f"{side.layout} {case['dtype']}",
        n,
        f"{side.median('reference'):.0f}",
        *(f"{side.median(f'{job} {n}'):.2f}" for job in JOBS),
        f"{side.ratio('reference', warm):.0f}",
        f"{side.ratio('reference, read', f'fresh {n}'):.0f}",
        f"{side.ratio('reference, areas', f'areas {n}'):.0f}",
        f"{side.ratio(fewest, warm):.2f}",
        f"{side.ratio(warm, warm, first):.2f}",
        f"{side.ratio(warm, floor):.2f}",
        f"{side.ratio(f'masks_only {n}', floor):.2f}",
        megabytes(beyond),
    )


def kind_and_peaks(case, side):
    return f"{case['kind']}, {side.about['peaks'] / case['n_t']:.0f} peaks a bin"


def megabytes(beyond):
    return "not known" if beyond is None else f"{beyond / 1e6:.1f}"


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def head(columns):
    return row(*columns) + "\n" + "|---" * len(columns) + "|"


def say(what):
    print(f"{time.perf_counter() - BEGAN:5.0f} s  {what}", file=sys.stderr, flush=True)


def machine():
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    pages = "unknown"
    with contextlib.suppress(OSError):
        pages = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().split("[")[1].split("]")[0]
    return {
        "processor": model, "cores": os.cpu_count(), "huge_pages": pages, "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
        "skimage": skimage.__version__,
    }  # fmt: skip


def heading(a, about):
    """What the figures were measured on."""
    m = machine()
    return (
        "Measured on {date}: {cores} cores, {processor}, {set}, transparent huge pages: {huge_pages}; peakmask {version}, "
        "Python {python}, NumPy {numpy}, SciPy {scipy}, scikit-image {skimage}. "
        "Microseconds a bin, medians of {rounds} rounds; ratios are medians of each round's; input in {pages} pages."
    ).format(**m, set=about["instruction_set"], version=about["version"], rounds=a.rounds, pages=a.pages)


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
    parser.add_argument("--n-t", type=int, nargs="+", default=[100_000, 65_536, 100_003])
    parser.add_argument("--kinds", nargs="+", choices=inputs.KINDS, default=inputs.KINDS)
    parser.add_argument("--layouts", nargs="+", choices=("xyt", "txy"), default=["xyt", "txy"])
    parser.add_argument("--dtypes", nargs="+", choices=inputs.DTYPES, default=["f64", "f32"])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--places", type=int, default=24, help=f"runs of {RUN} bins on which a round times the reference")
    parser.add_argument("--pages", choices=("huge", "default"), default="huge", help="of the driver's input; NumPy asks for huge ones")
    parser.add_argument("--scratch", type=Path, help="folder for the input file (2 GB at 100,000 bins)")
    parser.add_argument("--json", type=Path, help="write all times here")
    return parser.parse_args()


def main():
    a = arguments()
    say("driver")
    program, cases, drawn = build(), [], {}
    for case in plan(a):
        kind = case["kind"]
        if kind not in drawn:
            say(f"{kind}: {inputs.UNIQUE:,} maps")
            drawn[kind] = inputs.maps(kind, inputs.UNIQUE)
        cases.append(compare(program, case, drawn[kind], a))
        print(*cases[-1]["lines"], sep="\n", file=sys.stderr, flush=True)
        if a.json:
            a.json.write_text(json.dumps({"machine": machine(), "alphas": ALPHAS, "cases": cases}, indent=1))
    say("done")
    print(heading(a, next(iter(cases[0]["layouts"].values()))["about"]), end="\n\n")
    print("The whole job, float64, C order (x, y, t), one thread where nothing else is said:\n")
    print(head(RATIOS).format(a.threads[-1]), *(line for case in cases for line in case["ratios"]), sep="\n", end="\n\n")
    print("<details><summary>All layouts, types and numbers of threads</summary>\n")
    print(head(COLUMNS), *(line for case in cases for line in case["lines"]), sep="\n", end="\n\n</details>\n")


if __name__ == "__main__":
    main()
