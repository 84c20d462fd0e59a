"""Raw results of the programs that measure, one JSON file each, from which `tables.py` makes the tables of both READMEs.

    {"measures": "peers", "version": of the peakmask that was measured, "sources": of the checkout,
     "machine": {...}, "begun": {"date": ..., "load": ...}, "ended": the same, when all is done,
     "settings": {...}, "cases": [{..., "equality": {"the reference": {"bins": 384, "equal": true}}, ...}]}

A case says under "equality" with what it was compared, on how many time bins, before anything was timed. The measuring
programs write that after the comparison has passed, and stop where it does not pass.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BINS = {
    "peers": [100_000, 65_536, 100_003], "growth": [10_000, 100_000, 1_000_000], "packages": [100_000],
    "epochs": [5_000, 100_000],
}  # fmt: skip
"""Numbers of time bins of the published tables, and of epochs."""

SMALL = {"peers": [2_000, 1_024, 2_003], "growth": [1_000, 4_000, 8_000], "packages": [200], "epochs": [20, 100]}
"""The same for trying everything out."""

REFERENCE = ("numpy", "scipy", "scikit-image")
"""Packages that the reference is made of."""


class Refused(Exception):
    """Why no table is made of a file."""


class Recording:
    """What one program measures, written again after each case, so that it is not lost when it stops early."""

    def __init__(self, measures, file, settings, packages):
        self.file = file
        self.record = {
            "measures": measures, "version": None, "sources": sources(), "machine": machine(packages), "begun": moment(),
            "ended": None, "settings": settings, "cases": [],
        }  # fmt: skip

    def measured(self, version, instruction_set=None):
        """What the measured code says of itself."""
        self.record["version"] = version
        if instruction_set:
            self.record["machine"]["instruction_set"] = instruction_set

    def add(self, *cases):
        self.record["cases"] += cases
        self.write()

    def end(self):
        """The whole record; nothing is measured from here on."""
        self.record["ended"] = moment()
        self.write()
        return self.record

    def write(self):
        if self.file:
            part = self.file.with_name(self.file.name + ".part")
            part.write_text(json.dumps(self.record, indent=1))
            part.replace(self.file)


def equality(with_, bins):
    """To be called after the comparison: so many time bins were equal to what `with_` finds."""
    return {with_: {"bins": bins, "equal": True}}


def read(file, measures, with_):
    """A complete result of which every case was found equal to what each of `with_` finds."""
    try:
        result = json.loads(file.read_text())
    except FileNotFoundError:
        raise Refused(f"{file}: not there; measure.py writes it") from None
    except ValueError as error:
        raise Refused(f"{file}: not JSON: {error}") from None
    if not isinstance(result, dict) or result.get("measures") != measures or not result.get("cases"):
        raise Refused(f"{file}: no result of {measures}")
    if not result.get("ended"):
        raise Refused(f"{file}: the measuring was not completed; do it again")
    if result.get("version") != version():
        raise Refused(f"{file}: of peakmask {result.get('version')}, and this is {version()}; measure it again")
    for case in result["cases"]:
        for other in with_:
            check = case.get("equality", {}).get(other, {})
            if check.get("equal") is not True or not check.get("bins"):
                raise Refused(f"{file}: {name(case)}: not compared with {other}, or not equal; measure it again")
    return result


def name(case):
    """What a case is, for people."""
    keys = ("kind", "n_t", "dtype", "layout", "count", "epochs", "bins", "threads")
    return ", ".join(f"{key} {case[key]}" for key in keys if key in case)


def version():
    """Version of this checkout."""
    lines = (ROOT / "Cargo.toml").read_text().splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def sources():
    """A hash of what the library is built from: the version alone does not change with every change."""
    files = [path for folder in ("src", "shaders") for path in (ROOT / folder).rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for path in [ROOT / "Cargo.lock", *sorted(files)]:
        digest.update(f"{path.relative_to(ROOT).as_posix()} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def newest_source():
    """When a source of the library was last written."""
    return max(path.stat().st_mtime for path in (ROOT / "src").rglob("*.rs"))


def moment():
    """Now, and how busy the machine is: processes that ran or waited to run, on average over the last minute."""
    load = None
    with contextlib.suppress(OSError, AttributeError):
        load = round(os.getloadavg()[0], 2)
    return {"date": time.strftime("%Y-%m-%d"), "load": load}


def machine(packages):
    """This machine, and the versions of what is compared with peakmask."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    pages = "unknown"
    with contextlib.suppress(OSError):
        pages = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text().split("[")[1].split("]")[0]
    versions = {"Python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {"processor": model, "cores": os.cpu_count(), "huge_pages": pages, "versions": versions}


BEGAN = time.perf_counter()


def say(what):
    """Progress."""
    print(f"{time.perf_counter() - BEGAN:5.0f} s  {what}", file=sys.stderr, flush=True)
