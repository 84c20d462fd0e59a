"""Reads files as NumPy does: for each, the one posterior in it, saved anew in a plain form, or the reason why there is none."""

import json
import resource
import sys
from pathlib import Path

import numpy as np

# A header may promise any size.
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def posterior(file):
    found = np.load(file, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    if "p_x_given_n" in found.files:
        return found["p_x_given_n"]
    arrays, reasons = {}, []
    for name in found.files:
        try:
            arrays[name] = found[name]
        except Exception as error:  # members beside the one that is wanted may be damaged
            reasons.append(error)
    able = [a for a in arrays.values() if isinstance(a, np.ndarray) and a.ndim == 3 and a.dtype.kind == "f"]
    if not able and reasons:
        raise reasons[0]
    if len(able) != 1:
        raise ValueError(f"{len(able)} posteriors")
    return able[0]


told = {}
for file in sorted(Path(sys.argv[1]).glob("m*.np[yz]")):
    try:
        p = posterior(file)
        if p.ndim != 3 or p.dtype.kind != "f" or p.dtype.itemsize not in (4, 8):
            raise ValueError(f"{p.dtype} {p.shape}")
        np.save(file.with_name(f"clean-{file.stem}.npy"), np.ascontiguousarray(p, p.dtype.newbyteorder("=")))
        told[file.name] = ""
    except BaseException as error:
        told[file.name] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
