"""Topographic prominence, against the persistent homology of cripser: a summit is born at its height and dies at its saddle.

    pip install cripser peakmask
    python benches/peers/pairs.py                     the pairs in tests/data are what cripser finds now
    python benches/peers/pairs.py --write             writes them
    python benches/peers/pairs.py --random 100000     compares random bins, and times both

cripser's T-construction of -Z is the one whose cells have eight neighbours. Its essential pair, which never dies, is read as
dying at the lowest value of the map, and pairs that die where they are born are no summits.
"""

import argparse
import sys
import time
from pathlib import Path

import cripser
import inputs
import numpy as np

import peakmask

DATA = Path(__file__).resolve().parents[2] / "tests/data"
FILE = DATA / "summits.pairs.npz"
NOWHERE = np.iinfo(np.uint16).max
"""The cell of a death that is none."""

RECORDED = {"openfield_41x63_f64": range(800), "umaze_offtrack_f64": range(20, 170), "box_f32": range(10, 60)}
"""A thousand time bins that hold no NaN."""

CHUNK = 500


def pairs(z):
    """Cells of births and deaths, in order of the cells of births, and the values of both."""
    found = cripser.compute_ph(-z.astype(np.float64), filtration="T", maxdim=0)
    births, deaths = -found[:, 1], -found[:, 2]
    essential = found[:, 2] > np.finfo(np.float64).max / 2
    deaths[essential] = z.min()
    born, died = (cells[:, 0] * z.shape[1] + cells[:, 1] for cells in (found[:, 3:5], found[:, 6:8]))
    died = np.where(essential, NOWHERE, died)
    order = np.argsort(born)
    order = order[births[order] > deaths[order]]
    return born[order].astype(np.uint16), died[order].astype(np.uint16), births[order], deaths[order]


def recorded():
    """The columns of the file: for each posterior offsets, and the cells of births and deaths."""
    columns = {}
    for name, bins in RECORDED.items():
        with np.load(DATA / f"{name}.npz") as file:
            p = file["p_x_given_n"][:, :, bins.start : bins.stop]
        found = [pairs(p[:, :, t])[:2] for t in range(p.shape[2])]
        columns[f"{name}.first_bin"] = np.uint32(bins.start)
        columns[f"{name}.offsets"] = np.cumsum([0] + [len(born) for born, _ in found], dtype=np.uint32)
        columns[f"{name}.born"] = np.concatenate([born for born, _ in found])
        columns[f"{name}.died"] = np.concatenate([died for _, died in found])
    return columns


def random_maps(n, rng):
    """Maps (n, x, y) of all kinds: mixtures of bumps with noise, as they are and rounded, and noise of a few values."""
    maps = inputs.mixtures(n, rng)
    for z in maps:
        kind = rng.integers(4)
        if kind == 1:
            z[:] = np.round(z, rng.integers(3, 6))
        elif kind == 2:
            z[:] = rng.integers(0, rng.integers(2, 40), z.shape)
        elif kind == 3:
            z[:] = np.log(z + 1e-9) * rng.integers(0, 2) + rng.normal(size=z.shape)
    return maps


def compare(n, seed):
    """Random maps: how many differ, how many pairs there were, and seconds of the processor for both."""
    rng = np.random.default_rng(seed)
    wrong = count = 0
    seconds = {"cripser": 0.0, "peakmask": 0.0}
    for first in range(0, n, CHUNK):
        maps = random_maps(min(CHUNK, n - first), rng)
        began = time.process_time()
        found = peakmask.prominence(maps, labels=False, layout="txy", threads=1)
        seconds["peakmask"] += time.process_time() - began
        negated = -maps
        began = time.process_time()
        for z in negated:
            cripser.compute_ph(z, filtration="T", maxdim=0)
        seconds["cripser"] += time.process_time() - began
        for z, (_, heights, _, _, bases, _) in zip(maps, found):
            _, _, births, deaths = pairs(z)
            ours, theirs = np.lexsort((bases, heights)), np.lexsort((deaths, births))
            count += len(births)
            wrong += not (np.array_equal(heights[ours], births[theirs]) and np.array_equal(bases[ours], deaths[theirs]))
        if sys.stderr.isatty():
            print(f"\r{first + len(maps):,} bins", end="", file=sys.stderr)
    return wrong, count, seconds


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--random", type=int, metavar="N")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    if chosen.random:
        wrong, count, seconds = compare(chosen.random, chosen.seed)
        ours, theirs = (1e6 * seconds[name] / chosen.random for name in ("peakmask", "cripser"))
        print(
            f"{chosen.random:,} bins of {inputs.N_X} x {inputs.N_Y} cells, {count:,} pairs: {wrong} bins differ; "
            f"a bin takes cripser {theirs:.0f} us, peakmask {ours:.0f} us: {theirs / ours:.1f} times as long"
        )
        sys.exit(wrong > 0)
    columns = recorded()
    if chosen.write:
        np.savez_compressed(FILE, **columns)
        return
    with np.load(FILE) as file:
        differing = [name for name in columns if not np.array_equal(file[name], columns[name])]
    print(f"{FILE.name}: {'differs in ' + ', '.join(differing) if differing else 'equal'}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
