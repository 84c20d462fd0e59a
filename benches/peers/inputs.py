"""The three inputs on which performance is measured: 41 x 63 cells.

    python inputs.py {openfield,gm,po} N_T OUT.npy [--layout xyt|txy] [--dtype f64|f32] [--seed S]

openfield  a real posterior of an open-field recording, tiled along t: 52 peaks a bin in all but the last 32 of its 786 bins, whose values are
           rounded and have wide plateaus: 68 on average
gm         one to four Gaussian bumps and 2 % noise, normalised: 206 peaks a bin
po         posterior of a random walk under 80 Poisson place cells, 250 ms and 20 ms bins alternating: about 13 peaks a bin

`benches/support/inputs.rs` draws from the same distributions; the random numbers differ, the statistics do not.
"""

import argparse
from pathlib import Path

import numpy as np

N_X, N_Y = 41, 63
UNIQUE = 4_000  # drawn once, then repeated: enough variety, bounded time
SEED = 2  # the number of peaks of po depends on it: 9 to 13 a bin over six seeds, 13 with this one
KINDS = ("openfield", "gm", "po")
DTYPES = {"f64": np.float64, "f32": np.float32}
RECORDED = Path(__file__).resolve().parents[2] / "tests/data/openfield_41x63_f64.npz"


def maps(kind, n, seed=SEED):
    """Maps (n, N_X, N_Y) to be repeated along t; the recorded ones are 786, whatever n."""
    if kind == "openfield":
        with np.load(RECORDED) as recorded:
            return np.ascontiguousarray(np.moveaxis(recorded["p_x_given_n"], 2, 0))
    rng = np.random.default_rng(seed)
    return (mixtures if kind == "gm" else place_cells)(n, rng)


def mixtures(n, rng):
    z = np.zeros((n, N_X, N_Y))
    for z_t in z:
        for _ in range(rng.integers(1, 5)):
            z_t += rng.uniform(0.2, 1) * bump(somewhere(rng), rng.uniform(1.5, 6, 2))
        z_t += 0.02 * z_t.max() * rng.random(z_t.shape)
        z_t /= z_t.sum()
    return z


def place_cells(n, rng, n_units=80):
    centres = [somewhere(rng) for _ in range(n_units)]
    widths, peaks = rng.uniform(2, 6, n_units), rng.uniform(4, 20, n_units)
    rate = np.stack([0.05 + peak * bump(centre, (width, width)) for centre, width, peak in zip(centres, widths, peaks)])
    log_rate, total = np.log(rate), rate.sum(axis=0)
    p, at = np.empty((n, N_X, N_Y)), np.array([20.0, 30.0])
    for t in range(n):
        at = np.clip(at + rng.normal(0, 1, 2), 0, [N_X - 1, N_Y - 1])
        x, y = np.round(at).astype(int)
        dt = 0.02 if t % 2 else 0.25
        log_p = np.tensordot(rng.poisson(rate[:, x, y] * dt), log_rate, axes=1) - dt * total
        p[t] = np.exp(log_p - log_p.max())
        p[t] /= p[t].sum()
    return p


def somewhere(rng):
    return rng.uniform(0, [N_X - 1, N_Y - 1])


def bump(centre, width):
    x = (np.arange(N_X)[:, None] - centre[0]) / width[0]
    y = (np.arange(N_Y) - centre[1]) / width[1]
    return np.exp(-0.5 * (x**2 + y**2))


def write(file, some, n_t, layout, dtype):
    """Writes n_t time bins, the maps repeated, as C order (x, y, t) or (t, x, y)."""
    shape = (N_X, N_Y, n_t) if layout == "xyt" else (n_t, N_X, N_Y)
    out = np.lib.format.open_memmap(file, "w+", DTYPES[dtype], shape)
    for start in range(0, n_t, len(some)):
        part = some[: n_t - start]
        if layout == "xyt":
            out[:, :, start : start + len(part)] = np.moveaxis(part, 0, 2)
        else:
            out[start : start + len(part)] = part
    out.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("n_t", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layout", choices=("xyt", "txy"), default="xyt")
    parser.add_argument("--dtype", choices=DTYPES, default="f64")
    parser.add_argument("--seed", type=int, default=SEED)
    a = parser.parse_args()
    write(a.out, maps(a.kind, min(a.n_t, UNIQUE), a.seed), a.n_t, a.layout, a.dtype)


if __name__ == "__main__":
    main()
