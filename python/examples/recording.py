"""A decoded recording for the examples: a walk in a box of 100 x 80 cm, seen through 60 Poisson place cells."""

import numpy as np

X = np.arange(40) * 2.5 + 1.25  # centres of cells, in cm
Y = np.arange(32) * 2.5 + 1.25
SECONDS = 0.25  # a time bin


def rate_maps(n_cells=60, seed=0):
    """Firing rates in Hz, (n_cells, n_x, n_y): one or two fields each."""
    rng = np.random.default_rng(seed)
    maps = np.full((n_cells, len(X), len(Y)), 0.05)
    for rates in maps:
        for _ in range(rng.integers(1, 3)):
            at_x, at_y, width = rng.uniform(0, 100), rng.uniform(0, 80), rng.uniform(6, 14)
            squared = (X[:, None] - at_x) ** 2 + (Y - at_y) ** 2
            rates += rng.uniform(4, 18) * np.exp(-squared / (2 * width**2))
    return maps


def walk(n_t, rng):
    """Where the animal is in each time bin, in cm: x and y, (2, n_t)."""
    return np.clip(np.cumsum(rng.normal(0, 4, (2, n_t)), axis=1) + [[50], [40]], 0, [[99], [79]])


def path(n_t, seed=1):
    """The way of the posterior of this seed, (n_t, 2)."""
    return walk(n_t, np.random.default_rng(seed)).T


def posterior(n_t, seed=1, seconds=SECONDS):
    """P[x, y, t], normalised in every time bin."""
    rng = np.random.default_rng(seed)
    rates = rate_maps()
    log_rates = np.log(rates)
    x, y = walk(n_t, rng)
    p = np.empty((len(X), len(Y), n_t))
    for t in range(n_t):
        i, j = int(x[t] / 2.5), int(y[t] / 2.5)
        spikes = rng.poisson(rates[:, i, j] * seconds)
        log_p = np.tensordot(spikes, log_rates, 1) - seconds * rates.sum(axis=0)
        p[:, :, t] = np.exp(log_p - log_p.max())
    return p / p.sum(axis=(0, 1))
