"""Measures all that README.md and python/README.md have tables of: one raw result for each table, for `tables.py`.

    python3 -m venv target/peers
    target/peers/bin/pip install -r benches/peers/packages.txt ./python
    target/peers/bin/python benches/peers/measure.py RESULTS_FOLDER [peers growth latency epochs packages] [--small]

Leave the machine alone meanwhile. Before each program it waits until the load of the one before has gone by, five minutes at
most, so that the load that is noted is that of others. `--small` takes a minute, for trying it out. Whatever follows `--` is
passed to the program named, for example `measure.py RESULTS_FOLDER peers -- --scratch /big`.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import results
from results import ROOT, say

HERE = Path(__file__).resolve().parent
PROGRAMS = ("peers", "growth", "packages")
BENCHES = ("latency", "epochs")
BENCH = "cargo bench --package peakmask-benches --bench".split()
QUIET, PATIENCE = 0.3, 300
"""A load average at which measuring begins at once, and seconds after which it begins at any."""

ALL = ("peers", "growth", "latency", "epochs", "packages")


def program(name, file, small, more):
    """A program of this folder, which writes its result itself."""
    command = [sys.executable, HERE / {"peers": "compare.py"}.get(name, f"{name}.py"), "--json", file, *more]
    if small:
        command += ["--n-t", *map(str, results.SMALL[name]), "--rounds", "1", "--places", "2"]
        command += ["--piece", str(results.SMALL["growth"][1])] if name == "growth" else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def bench(name, file, small):
    """A bench of the crate, which says its cases in one line of JSON."""
    recording = results.Recording(name, file, {}, packages=())
    command = [*BENCH, name, "--", "--json", *(["--small"] if small else [])]
    said = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    recording.measured(said["version"], said["instruction_set"])
    recording.add(*said["cases"])
    recording.end()


def settle():
    until = time.monotonic() + PATIENCE
    while (results.moment()["load"] or 0) > QUIET and time.monotonic() < until:
        time.sleep(5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS_FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all of them if none is given")
    parser.add_argument("--small", action="store_true", help="few time bins, one round")
    given = sys.argv[1:]
    given, more = (given[: given.index("--")], given[given.index("--") + 1 :]) if "--" in given else (given, [])
    a = parser.parse_intermixed_args(given)
    names = a.names or ALL
    if wrong := set(names) - set(ALL):
        parser.error(f"there is nothing called {', '.join(sorted(wrong))}, but {', '.join(ALL)}")
    if more and (len(names) != 1 or names[0] not in PROGRAMS):
        parser.error(f"what follows -- is for one program: name one of {', '.join(PROGRAMS)}")
    a.results.mkdir(parents=True, exist_ok=True)
    say("benches")
    for name in ("peers_driver", *BENCHES):
        subprocess.run([*BENCH, name, "--no-run"], cwd=ROOT, check=True)
    for name in names:
        if not a.small:
            say(f"{name}: a quiet moment")
            settle()
        say(name)
        file = a.results.resolve() / f"{name}.json"
        if name in BENCHES:
            bench(name, file, a.small)
        else:
            program(name, file, a.small, more)
    say(f"done: {sys.executable} {HERE / 'tables.py'} {a.results}")


if __name__ == "__main__":
    main()
