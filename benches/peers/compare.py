"""The reference way and peakmask, alternately in one run, on the three inputs: a table of times and ratios.

    python -m venv target/peers && target/peers/bin/pip install -r benches/peers/requirements.txt
    target/peers/bin/python benches/peers/compare.py [--n-t 100000 65536] [--kinds gm] [--json OUT.json] ...

Results are compared before anything is timed: masks, coordinates and heights to the bit, prominences by value.

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
RUN = 16  # consecutive bins: two cache lines of float64 a cell
BARS = {"openfield": (100, 150), "po": (100, 150), "gm": (85, 120)}  # x reference, one thread, xyt: bar and goal


class Driver:
    """The compiled side: a process that holds one input and answers jobs."""

    def __init__(self, program, file, layout, pages):
        self.process = subprocess.Popen(
            [program, "serve", file, layout, pages, *map(str, ALPHAS)],
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def build():
    """Path of the driver, compiled as benches are."""
    command = ["cargo", "bench", "--bench", "peers_driver", "--no-run", "--message-format=json-render-diagnostics"]
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
        expected = {"masks": np.stack(masks), **reference.columns(peaks, p.dtype)}
        wrong = list(reference.differences(expected, driver.results(start, start + part.shape[2])))
        if wrong:
            sys.exit(f"bins {start} to {start + part.shape[2]} differ in {', '.join(wrong)}; nothing was timed")


def time_reference(p, starts):
    """Microseconds per bin, without and with reading every byte of the results once more."""
    bare = read = bins = 0
    for start in starts:
        part = p[:, :, start : start + RUN]
        began = time.perf_counter()
        peaks, masks = reference.analyze(part, ALPHAS)
        done = time.perf_counter()
        for column in (*masks, *(column for bin in peaks for column in bin)):
            column.sum()
        bare, read, bins = bare + done - began, read + time.perf_counter() - began, bins + part.shape[2]
    return bare / bins * 1e6, read / bins * 1e6


def compare(program, case, some, a):
    kind, n_t, layout, dtype = case
    rng = np.random.default_rng(0)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=a.scratch))
        file = Path(folder) / "input.npy"
        inputs.write(file, some, n_t, layout, dtype)
        driver = stack.enter_context(Driver(program, file, layout, a.pages))
        p = np.load(file)
        p = p if layout == "xyt" else np.moveaxis(p, 0, 2)
        about = driver.ask("about")
        assert_equal(p, driver, places(n_t, a.places, rng))
        times = {"reference": [], "reference, read": []}
        for _ in range(a.rounds):
            bare, read = time_reference(p, places(n_t, a.places, rng))
            times["reference"].append(bare)
            times["reference, read"].append(read)
            for threads in a.threads:
                for job in ("warm", "fresh", "peaks", "floor"):
                    spent = driver.seconds(job, threads) / n_t * 1e6
                    times.setdefault(f"{job} {threads}", []).append(spent)
        memory = {threads: driver.ask("memory", threads) for threads in a.threads}
    if about["read"] < 0.8 * about["copy"]:
        sys.exit(f"the floor reads {about['read']:.3g} B/s, a copy runs at {about['copy']:.3g}: the floor is no floor")
    return {
        "kind": kind, "n_t": n_t, "layout": layout, "dtype": dtype, "about": about,
        "peaks_per_bin": about["peaks"] / n_t, "memory": memory,
        "us_per_bin": {name: median(list_) for name, list_ in times.items()}, "rounds": times,
    }  # fmt: skip


def table(cases, threads):
    """Markdown: a line for each case and number of threads."""
    yield "| input | bins | layout, type | threads | reference | warm | fresh | x reference | bar, goal | fresh x | x one thread | peaks only | floor | / floor | beyond, MB |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for case in cases:
        us = case["us_per_bin"]
        for n in threads:
            warm, fresh, floor = us[f"warm {n}"], us[f"fresh {n}"], us[f"floor {n}"]
            ratio, fresh_ratio = us["reference"] / warm, us["reference, read"] / fresh
            beyond = [case["memory"][n][job] for job in ("warm", "fresh")]
            beyond = " / ".join("-" if bytes_ is None else f"{bytes_ / 1e6:.1f}" for bytes_ in beyond)
            one = us[f"warm {threads[0]}"] / warm
            bar = " ({}), {}".format(*BARS[case["kind"]])[1:] if (n, case["layout"], case["dtype"]) == (1, "xyt", "f64") else ""
            yield (
                f"| {case['kind']} ({case['peaks_per_bin']:.0f} peaks) | {case['n_t']:,} | {case['layout']} {case['dtype']} | {n} "
                f"| {us['reference']:.0f} | {warm:.2f} | {fresh:.2f} | {ratio:.0f} | {bar} | {fresh_ratio:.0f} | {one:.2f} "
                f"| {us[f'peaks {n}']:.2f} | {floor:.2f} | {warm / floor:.2f} | {beyond} |"
            )


def layouts(cases):
    """Markdown: (t, x, y) against (x, y, t), one thread, warm."""
    yield "| input | bins | type | txy / xyt (bar 1.3, goal 1.0) |"
    yield "|---|---|---|---|"
    warm = {(c["kind"], c["n_t"], c["dtype"], c["layout"]): c["us_per_bin"].get("warm 1") for c in cases}
    for (kind, n_t, dtype, layout), us in warm.items():
        other = warm.get((kind, n_t, dtype, "xyt"))
        if layout == "txy" and us and other:
            yield f"| {kind} | {n_t:,} | {dtype} | {us / other:.2f} |"


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
        "scikit-image": skimage.__version__,
    }  # fmt: skip


def plan(a):
    """Every layout and type at the first number of bins, (x, y, t) float64 alone at the others."""
    for n_t in a.n_t:
        for kind in a.kinds:
            for layout in a.layouts if n_t == a.n_t[0] else a.layouts[:1]:
                for dtype in a.dtypes if n_t == a.n_t[0] else a.dtypes[:1]:
                    yield kind, n_t, layout, dtype


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-t", type=int, nargs="+", default=[100_000, 65_536, 100_003])
    parser.add_argument("--kinds", nargs="+", choices=inputs.KINDS, default=inputs.KINDS)
    parser.add_argument("--layouts", nargs="+", choices=("xyt", "txy"), default=["xyt", "txy"])
    parser.add_argument("--dtypes", nargs="+", choices=inputs.DTYPES, default=["f64", "f32"])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--places", type=int, default=24, help=f"runs of {RUN} bins on which a round times the reference")
    parser.add_argument("--pages", choices=("huge", "default"), default="huge", help="of the driver's input; NumPy asks for huge ones")
    parser.add_argument("--scratch", type=Path, help="folder for the input file (2 GB at 100,000 bins)")
    parser.add_argument("--json", type=Path, help="write all times here")
    return parser.parse_args()


def main():
    a = arguments()
    program, cases, drawn = build(), [], {}
    for case in plan(a):
        kind = case[0]
        if kind not in drawn:
            drawn = {kind: inputs.maps(kind, inputs.UNIQUE)}
        cases.append(compare(program, case, drawn[kind], a))
        us = cases[-1]["us_per_bin"]
        print(*case, *(f"{name} {value:.2f}" for name, value in us.items()), sep="  ", file=sys.stderr, flush=True)
        if a.json:
            a.json.write_text(json.dumps({"machine": machine(), "alphas": ALPHAS, "cases": cases}, indent=1))
    print(", ".join(f"{name} {value}" for name, value in machine().items()), end="\n\n")
    print("Medians of", a.rounds, "rounds, us per bin;", cases[0]["about"]["instruction_set"], "with", a.pages, "pages.", end="\n\n")
    print("\n".join(table(cases, a.threads)), end="\n\n")
    print("\n".join(layouts(cases)))


if __name__ == "__main__":
    main()
