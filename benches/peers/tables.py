"""Makes all tables of measured figures in README.md and python/README.md, from raw results alone.

    python benches/peers/tables.py RESULTS_FOLDER           rewrites what stands between the marks of each table
    python benches/peers/tables.py RESULTS_FOLDER --check   says which README does not hold just that; writes nothing

`measure.py` fills the folder: one file for each table. No table is made, and no README touched, unless every result is
complete, of this version and these sources, was found equal before it was timed, and has all cases of its table. `--check`
lets the sources have changed since. A table stands between `<!-- table: NAME -->` and `<!-- end of table: NAME -->`. The same
results make the same text.
"""

import argparse
import sys
from pathlib import Path
from statistics import median

import results
from results import Refused

KINDS = ("openfield", "gm", "po")
JOBS = ("end_to_end", "fresh", "touch", "peaks_only", "masks_only", "packed", "areas", "areas_of_masks", "floor")


def heading(result, *more):
    """On what the figures were measured, how busy it was, and what was compared; in one line."""
    m, settings = result["machine"], result["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in m["versions"].items())
    checked = {}
    for case in result["cases"]:
        for other, check in case["equality"].items():
            checked[other] = checked.get(other, 0) + check["bins"]
    checked = ", ".join(f"{bins:,} time bins with {other}" for other, bins in checked.items())
    rounds = [f"Medians of {settings['rounds']} rounds; ratios are medians of each round's."] if "rounds" in settings else []
    set_ = f", {m['instruction_set']}" if "instruction_set" in m else ""
    load = [result[end]["load"] for end in ("begun", "ended")]
    load = "not known" if None in load else "{} when it began, {} when it ended".format(*load)
    return " ".join(
        [
            f"Measured on {result['ended']['date']}: {m['cores']} cores, {m['processor']}{set_}, transparent huge pages: "
            f"{m['huge_pages']}; peakmask {result['version']}, {versions}.",
            f"Load average of the machine: {load}, the measuring included.",
            f"Compared before anything was timed, and equal: {checked}.",
            *rounds,
            *more,
        ]
    )


def row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def head(*columns):
    return row(*columns) + "\n" + "|---" * len(columns) + "|"


def megabytes(bytes_):
    return "not known" if bytes_ is None else f"{bytes_ / 1e6:.1f}"


def kind_and_peaks(case):
    return f"{case['kind']}, {case['about']['peaks'] / case['n_t']:.0f} peaks a bin"


def middle(case, name):
    return median(case["us_per_bin"][name])


def ratio(case, name, other, of=None):
    """Median over the rounds of one time by another of the same round."""
    times = case["us_per_bin"]
    return median(a / b for a, b in zip(times[name], (of or case)["us_per_bin"][other]))


def to_touch(case, n):
    """Median over the rounds of fresh outputs by warm ones and as much memory that is touched for the first time."""
    times = (case["us_per_bin"][f"{job} {n}"] for job in ("fresh", "end_to_end", "touch"))
    return median(fresh / (warm + touch) for fresh, warm, touch in zip(*times))


def peers(result):
    cases = result["cases"]
    reference = [time for case in cases for time in case["us_per_bin"]["reference"]]
    yield heading(
        result,
        f"Times are microseconds a bin; input in {result['settings']['pages']} pages.",
        f"The reference itself ranged from {min(reference):.0f} to {max(reference):.0f} us a bin.",
    )
    yield "\nThe whole job, float64, C order (x, y, t), one thread where nothing else is said:\n"
    most = max(n for case in cases for n in case["threads"])
    yield head(
        "input", "bins", "reference", "peakmask", "x reference", f"{most} threads x one", "txy / xyt", "masks only / floor",
        "fresh x reference", "fresh / warm and touch", "packed / masks only", "areas x reference", "MB beyond input and results",
    )  # fmt: skip
    for case in cases:
        if (case["layout"], case["dtype"]) == ("xyt", "f64") and 1 in case["threads"]:
            yield ratios_row(case, cases, most)
    yield "\n<details><summary>All layouts, types and numbers of threads</summary>\n"
    yield head(
        "input", "bins", "layout, type", "threads", "reference", "warm", "fresh", "touch", "peaks only", "masks only", "packed",
        "areas", "areas of masks", "floor", "x reference", "fresh x reference", "fresh / warm and touch", "areas x reference", "x fewest threads",
        "/ first layout", "/ floor", "masks only / floor", "MB beyond input and results",
    )  # fmt: skip
    for case in cases:
        for n in case["threads"]:
            yield peers_row(case, cases, n)
    yield "\n</details>"


def beside(case, cases):
    """The cases measured in turn with this one: all layouts of the same input."""
    same = ("kind", "n_t", "dtype")
    return [other for other in cases if all(other[key] == case[key] for key in same)]


def ratios_row(case, cases, most):
    txy = [other for other in beside(case, cases) if other["layout"] == "txy"]
    return row(
        kind_and_peaks(case),
        f"{case['n_t']:,}",
        f"{middle(case, 'reference'):.0f}",
        f"{middle(case, 'end_to_end 1'):.2f}",
        f"{ratio(case, 'reference', 'end_to_end 1'):.0f}",
        f"{ratio(case, 'end_to_end 1', f'end_to_end {most}'):.2f}" if 1 != most in case["threads"] else "",
        f"{ratio(txy[0], 'end_to_end 1', 'end_to_end 1', case):.2f}" if txy else "",
        f"{ratio(case, 'masks_only 1', 'floor 1'):.2f}",
        f"{ratio(case, 'reference, read', 'fresh 1'):.0f}",
        f"{to_touch(case, 1):.2f}",
        f"{ratio(case, 'packed 1', 'masks_only 1'):.2f}",
        f"{ratio(case, 'reference, areas', 'areas 1'):.0f}",
        megabytes(case["beyond"]["1"]),
    )


def peers_row(case, cases, n):
    """A layout on n threads."""
    warm, floor, fewest = f"end_to_end {n}", f"floor {n}", f"end_to_end {case['threads'][0]}"
    return row(
        kind_and_peaks(case),
        f"{case['n_t']:,}",
        f"{case['layout']} {case['dtype']}",
        n,
        f"{middle(case, 'reference'):.0f}",
        *(f"{middle(case, f'{job} {n}'):.2f}" for job in JOBS),
        f"{ratio(case, 'reference', warm):.0f}",
        f"{ratio(case, 'reference, read', f'fresh {n}'):.0f}",
        f"{to_touch(case, n):.2f}",
        f"{ratio(case, 'reference, areas', f'areas {n}'):.0f}",
        f"{ratio(case, fewest, warm):.2f}",
        f"{ratio(case, warm, warm, beside(case, cases)[0]):.2f}",
        f"{ratio(case, warm, floor):.2f}",
        f"{ratio(case, f'masks_only {n}', floor):.2f}",
        megabytes(case["beyond"][str(n)]),
    )


def growth(result):
    cases, piece = result["cases"], result["settings"]["piece"]
    yield heading(
        result,
        f"{kind_and_peaks(cases[0])}, 41 x 63 cells, float64, two alphas; peaks, and masks as bits, into warm outputs. Up to",
        f"{piece:,} time bins are one array; longer recordings are that array several times over, in pieces that each are read",
        "from memory again, so that the input fits there. Memory is that of a first call.",
    )
    yield ""
    yield head("bins", "arrays", "threads", "us a bin", "x the shortest", "MB beyond input and results")
    for case in cases:
        for n in case["threads"]:
            packed = f"packed {n}"
            yield row(
                f"{case['n_t']:,}", case["times"], n, f"{middle(case, packed):.2f}",
                f"{ratio(case, packed, packed, cases[0]):.2f}", megabytes(case["beyond"][str(n)]),
            )  # fmt: skip


def latency(result):
    yield heading(
        result,
        f"Microseconds a call on one thread: the median of {result['cases'][0]['calls']:,} calls and, in brackets, the 99th",
        "percentile; 41 x 63, float64, peaks and two masks into warm outputs.",
    )
    yield ""
    yield head("input", "bins", "kept `Analyzer`", "`analyze_into`, which keeps nothing")
    for case in sorted(result["cases"], key=lambda case: case["bins"]):
        times = case["us_per_call"]
        both = (f"{times[way]['p50']:,.0f} ({times[way]['p99']:,.0f})" for way in ("kept", "single"))
        yield row(case["kind"], case["bins"], *both)


def epochs(result):
    rounds = len(result["cases"][0]["us_per_bin"]["epochs"])
    yield heading(
        result,
        f"Microseconds a bin, 41 x 63, float64, peaks and two masks into warm outputs; medians of {rounds} rounds, ratios are",
        "medians of each round's.",
    )
    yield ""
    yield head("input", "epochs", "threads", "as one recording", "as epochs", "epochs / recording")
    for case in result["cases"]:
        yield row(
            case["kind"], f"{case['count']:,} x {case['epochs']}".replace("x single maps", "single maps"), case["threads"],
            f"{middle(case, 'recording'):.2f}", f"{middle(case, 'epochs'):.2f}", f"{ratio(case, 'epochs', 'recording'):.2f}",
        )  # fmt: skip


def packages(result):
    settings = result["settings"]
    yield heading(
        result,
        f"{result['cases'][0]['n_t']:,} time bins of 41 x 63 cells, float64, two alphas; {settings['threads']} threads for",
        "numba and peakmask.",
    )
    for case in result["cases"]:
        yield ""
        yield head(case["kind"], "us a bin", "x reference", "MB beyond the input")
        reference = next(iter(case["us_per_bin"]))
        for name in case["us_per_bin"]:
            held = case["memory"][name]
            held = "" if held is None else f"{held / 1e6:,.0f}"
            yield row(name, f"{middle(case, name):.1f}", f"{ratio(case, reference, name):.0f}", held)
        if case["reference_whole"]:
            yield f"\nThe reference on all bins at once: {case['reference_whole']:.0f} us a bin."


def needed(bins):
    """What the cases of each table have to be, for these numbers of time bins."""
    first, *others = bins["peers"]
    full = [{"dtype": dtype, "layout": layout} for dtype in ("f64", "f32") for layout in ("xyt", "txy")]
    short = {"dtype": "f64", "layout": "xyt"}
    epochs = [{"epochs": "3 to 40 bins"}, {"epochs": "single maps"}]
    by_kind = {
        "peers": [{"n_t": first, **case} for case in full] + [{"n_t": n_t, **short} for n_t in others],
        "latency": [{"bins": n} for n in (1, 8, 64)],
        "epochs": [{"count": n, **case, "threads": k} for n, case in zip(bins["epochs"], epochs) for k in (1, 2)],
    }
    return {
        **{name: [{"kind": kind, **case} for kind in KINDS for case in cases] for name, cases in by_kind.items()},
        "growth": [{"kind": "openfield", "n_t": n_t} for n_t in bins["growth"]],
        "packages": [{"kind": "openfield", "n_t": n_t} for n_t in bins["packages"]],
    }


TABLES = {
    "peers": ("README.md", peers, ["the reference", "the whole job"]),
    "growth": ("README.md", growth, ["the reference", "the whole job"]),
    "latency": ("README.md", latency, ["one recording"]),
    "epochs": ("README.md", epochs, ["one recording"]),
    "packages": ("python/README.md", packages, ["the reference", "each other"]),
}
"""Of each table the README, what makes it, and with what each of its cases has to have been compared."""


def load(folder, bins, sources=None):
    """All results of a folder, fit for tables."""
    loaded = {}
    for name, cases in needed(bins).items():
        file = folder / f"{name}.json"
        result = results.read(file, name, TABLES[name][2])
        for case in cases:
            if not any(case.items() <= found.items() for found in result["cases"]):
                raise Refused(f"{file}: lacks the case {results.name(case)}; measure it again, with nothing left out")
        if sources and result["sources"] != sources:
            raise Refused(f"{file}: of peakmask's sources {result['sources']}, and these are {sources}; measure it again")
        loaded[name] = result
    of = {name: result["sources"] for name, result in loaded.items()}
    if len(set(of.values())) > 1:
        raise Refused(f"{folder}: results of different sources of peakmask: {of}; measure them all again")
    return loaded


def replaced(text, name, table, readme):
    """The README with another table of this name."""
    begin, end = f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise Refused(f"{readme}: needs one line {begin.strip()}, and one {end}")
    before, rest = text.split(begin)
    if end not in rest:
        raise Refused(f"{readme}: {end} stands before its beginning")
    return before + begin + table + "\n" + end + rest.split(end)[1]


def readmes(root, loaded):
    """Of each README the path, what it holds, and what it has to hold."""
    texts = {}
    for name, result in loaded.items():
        file, make, _ = TABLES[name]
        path = root / file
        old, new = texts.get(path) or [path.read_text()] * 2
        try:
            table = "\n".join(make(result))
        except KeyError as missing:
            raise Refused(f"{name}.json: a case lacks {missing}; measure it again") from None
        texts[path] = old, replaced(new, name, table, path)
    return texts


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS_FOLDER")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a README has to change")
    parser.add_argument("--small", action="store_true", help="of results of `measure.py --small`; with --root alone")
    parser.add_argument("--root", type=Path, default=results.ROOT, help="the folder of README.md and python/README.md")
    a = parser.parse_args(arguments)
    if a.small and a.root.resolve() == results.ROOT:
        parser.error("--small results are no figures to publish: --root has to name a folder with copies of both READMEs")
    try:
        loaded = load(a.results, results.SMALL if a.small else results.BINS, None if a.check else results.sources())
        texts = readmes(a.root, loaded)
    except Refused as why:
        sys.exit(f"no table was written: {why}")
    stale = [path for path, (old, new) in texts.items() if old != new]
    if a.check and stale:
        stale = " and ".join(map(str, stale))
        sys.exit(f"{stale}: other tables than the results give; run tables.py without --check")
    for path in stale:
        part = path.with_name(path.name + ".part")
        part.write_text(texts[path][1])
        part.replace(path)
    print(f"{len(loaded)} tables in {len(texts)} READMEs: {'written' if stale else 'as the results give'}")


if __name__ == "__main__":
    main()
