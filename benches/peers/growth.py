"""How time and memory grow with the number of time bins: packed masks and peaks of one long recording.

    target/peers/bin/python benches/peers/growth.py [--n-t 10000 100000 1000000] [--json OUT.json] ...

Up to `--piece` time bins lie in memory as one array; a longer recording is that array several times over, as the pieces of
`analyze_many`: 10^6 bins of float64 would take 20.7 GB. Every piece is read again from memory, since 10^5 bins take 2.1 GB,
more than any cache holds. Runs of bins from all over the recording are compared with the reference before anything is timed,
and all bins with those of the array alone, its masks as bytes. All lengths are timed in turn, round after round.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import numpy as np

import inputs
import results
import tables
from compare import ALPHAS, Driver, assert_equal, build, places, with_common
from results import say


class Length:
    """A recording of one length in a driver of its own."""

    def __init__(self, stack, program, folder, n_t, a):
        bins = min(n_t, a.piece)
        if n_t % bins:
            raise SystemExit(f"{n_t} time bins are not whole pieces of {bins}; change --n-t or --piece")
        self.n_t, self.times, self.file = n_t, n_t // bins, folder / f"{bins}.npy"
        if not self.file.exists():
            inputs.write(self.file, inputs.maps(a.kind, inputs.UNIQUE), bins, "xyt", "f64")
        self.start = lambda: Driver(program, self.file, "xyt", a.pages, ("grow", self.times))
        self.beyond = {}
        for n in a.threads:
            with self.start() as first:
                self.beyond[str(n)] = first.ask("memory", n)["beyond"]
        self.driver = stack.enter_context(self.start())
        self.times_of = {}

    def check(self, count, threads):
        """Compares what all numbers of threads find, and keeps what was compared."""
        rng = np.random.default_rng(0)
        p = np.load(self.file, mmap_mode="r")
        for n in threads:
            self.driver.ask("packed", n)
            self.about = self.driver.ask("check")
            equal = assert_equal(p, self.driver, places(self.n_t, count, rng), areas=False)
        self.equality = {**equal, **results.equality("the whole job", self.about["compared"])}

    def round(self, threads):
        for n in threads:
            seconds = self.driver.seconds("packed", n)
            self.times_of.setdefault(f"packed {n}", []).append(seconds / self.n_t * 1e6)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-t", type=int, nargs="+", default=results.BINS["growth"])
    parser.add_argument("--piece", type=int, default=100_000, help="most time bins that lie in memory as one array")
    parser.add_argument("--kind", choices=inputs.KINDS, default="openfield")
    parser.add_argument("--places", type=int, default=24, help="runs of bins that are compared with the reference")
    parser.add_argument("--scratch", type=Path, help="folder for the input files (2.3 GB)")
    return with_common(parser).parse_args()


def main():
    a = arguments()
    say("driver")
    program = build()
    settings = {"alphas": ALPHAS, "rounds": a.rounds, "pages": a.pages, "piece": a.piece}
    recording = results.Recording("growth", a.json, settings, results.REFERENCE)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=a.scratch)))
        lengths = []
        for n_t in a.n_t:
            say(f"{n_t:,} bins: input, memory")
            lengths.append(Length(stack, program, folder, n_t, a))
            say(f"{n_t:,} bins: equality")
            lengths[-1].check(a.places, a.threads)
        for round_ in range(a.rounds):
            say(f"round {round_ + 1} of {a.rounds}")
            for length in lengths:
                length.round(a.threads)
        recording.measured(lengths[0].about["version"], lengths[0].about["instruction_set"])
        recording.add(
            *(
                {
                    "kind": a.kind, "n_t": length.n_t, "times": length.times, "threads": a.threads, "about": length.about,
                    "equality": length.equality, "beyond": length.beyond, "us_per_bin": length.times_of,
                }
                for length in lengths
            )
        )  # fmt: skip
    print(*tables.growth(recording.end()), sep="\n")
    say("done")


if __name__ == "__main__":
    main()
