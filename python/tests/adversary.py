"""Random maps in which the rules matter: plateaus, shoulders, ties, NaN, infinities, signed zeros, subnormals."""

import numpy as np


def levels(rng, shape):
    """Few values: plateaus, shoulders and ties everywhere."""
    return rng.integers(0, rng.integers(2, 6), shape).astype(float)


def smooth(rng, shape):
    """Continuous values, no ties."""
    return rng.random(shape)


def rounded(rng, shape):
    """Stored with one decimal."""
    return np.round(rng.random(shape), 1)


def logarithms(rng, shape):
    """Log posteriors: every height negative."""
    return np.log(rng.random(shape) ** 3 + 1e-12)


def mixed_signs(rng, shape):
    """Positive, negative, and zeros of both signs."""
    return rng.choice([-2.0, -1.0, -0.0, 0.0, 1.0], shape)


def infinities(rng, shape):
    """Infinities of both signs among few values."""
    return rng.choice([-np.inf, 0.0, 1.0, 2.0, np.inf], shape, p=[0.1, 0.3, 0.3, 0.2, 0.1])


def holes(rng, shape):
    """Some time bins with a NaN."""
    p = rng.random(shape)
    p[rng.integers(shape[0]), rng.integers(shape[1]), rng.random(shape[2]) < 0.5] = np.nan
    return p


def constants(rng, shape):
    """Time bins of one value each."""
    return np.broadcast_to(rng.choice([-1.0, 0.0, 0.5], shape[2]), shape).copy()


def subnormals(rng, shape):
    """Values below the smallest normal number of the type."""
    return rng.integers(0, 4, shape) * 5e-324


def mazes(rng, shape):
    """Winding regions: long floods."""
    p = np.ones(shape)
    p[1::2, :] = 0.1
    for row in range(1, shape[0], 2):
        p[row, -1 if row % 4 == 1 else 0] = 1.0
    p[0, 0] = 1.05
    return p * rng.uniform(0.9, 1.0, shape[2])


KINDS = (levels, smooth, rounded, logarithms, mixed_signs, infinities, holes, constants, subnormals, mazes)
SHAPES = (
    (1, 1, 5),
    (1, 9, 40),
    (9, 1, 40),
    (2, 2, 65),
    (3, 7, 64),
    (8, 8, 70),
    (12, 15, 130),
    (5, 33, 9),
    (4, 5, 1),
    (4, 5, 0),
)
ALPHAS = (0.5, 0.9, 0.0, 1.0, 1.1, -0.5, float("nan"), float("inf"), -float("inf"), 0.9)


def maps(kind, shape, dtype, seed):
    """A stack of maps of a kind."""
    p = kind(np.random.default_rng(seed), shape)
    if kind is subnormals and dtype == np.float32:
        return np.random.default_rng(seed).integers(0, 4, shape).astype(np.float32) * np.float32(1e-45)
    return p.astype(dtype)
