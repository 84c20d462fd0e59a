"""A recording larger than memory: from a file, piece by piece, to a folder of files."""

import tempfile
from pathlib import Path

import numpy as np
from recording import posterior

import peakmask

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    np.save(folder / "posterior.npy", posterior(600))

    # The file is mapped into memory; masks are written as bits, and are there when all are complete.
    found = peakmask.stream(folder / "posterior.npy", [0.5, 0.9], folder / "result", masks="packed", bins=128)
    print(f"{found.peaks!r}; masks {found.masks.shape}, {found.masks.dtype}")
    half = np.unpackbits(found.masks[0, ..., 10:20], axis=-1, bitorder="little")  # bins 80 to 159
    print(f"cells at half height: {half.sum(axis=(0, 1)).mean():.1f}")

    # No masks at all: what each time bin and each of its masks comes to, in columns that are read when they are looked at.
    numbers = peakmask.stream(
        folder / "posterior.npy", [0.5, 0.9], folder / "numbers", masks=None, summary=True
    ).summary
    print(f"{numbers!r}; sequentiality {numbers.sequentiality().mean():.2f}")
    np.testing.assert_array_equal(numbers.area[0, 80:160], half.sum(axis=(0, 1)))

    # Nothing is kept: a function is called with the results of each piece.
    areas = []
    pieces = (posterior(600)[:, :, start : start + 100] for start in range(0, 600, 100))
    peakmask.stream(pieces, [0.5, 0.9], callback=lambda first, piece: areas.append(piece.areas))
    np.testing.assert_array_equal(np.concatenate(areas, axis=1)[0, 80:160], half.sum(axis=(0, 1)))
