"""Masks on a CUDA GPU as a user of Python would write them: one `label` over all time bins with cupyx.scipy.ndimage.

    cuda.py FOLDER [--host]

FOLDER holds `p.npy`, C order (t, x, y), and `mask0.npy`, `mask1.npy`, the masks expected for alpha 0.5 and 0.9.
`--host` runs the same lines on NumPy and SciPy, to try them where there is no such GPU.

Prints one line of JSON: who ran, seconds from host memory to host memory and with data on the device already, and whether
all masks are equal; or why nothing ran.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median

ALPHAS = [0.5, 0.9]
ROUNDS = 5


def libraries(host):
    """Array library, its ndimage, what waits for the device, and a name."""
    import numpy

    if host:
        from scipy import ndimage

        return numpy, ndimage, lambda: None, f"numpy {numpy.__version__}, scipy label"
    import cupy
    from cupyx.scipy import ndimage

    if cupy.cuda.runtime.getDeviceCount() == 0:
        raise RuntimeError("no CUDA device")
    return cupy, ndimage, cupy.cuda.Device().synchronize, f"cupy {cupy.__version__}, one label over the batch"


def masks(xp, ndimage, p, alphas):
    """The region of the dominant peak at each alpha, of maps p[t, x, y] without NaN; constant maps have none."""
    maps = p.reshape(len(p), -1)
    dominant = maps.argmax(axis=1)
    height = xp.take_along_axis(maps, dominant[:, None], axis=1)
    live = height > maps.min(axis=1, keepdims=True)
    within_a_map = xp.zeros((3, 3, 3), dtype=bool)
    within_a_map[1] = [[False, True, False], [True, True, True], [False, True, False]]
    for alpha in alphas:
        labels, _ = ndimage.label((maps >= alpha * height).reshape(p.shape), structure=within_a_map)
        labels = labels.reshape(maps.shape)
        of_dominant = xp.take_along_axis(labels, dominant[:, None], axis=1)
        yield ((labels == of_dominant) & live).reshape(p.shape)


def seconds(job, wait):
    wait()
    start = time.perf_counter()
    job()
    wait()
    return time.perf_counter() - start


def measure(folder, host):
    try:
        xp, ndimage, wait, who = libraries(host)
    except Exception as why:  # a missing package, driver or device: whatever it is, it is the answer
        return {"skipped": f"{type(why).__name__}: {why}"}
    import numpy

    p = numpy.load(folder / "p.npy")
    expected = [numpy.load(folder / f"mask{i}.npy") for i in range(len(ALPHAS))]
    to_host = numpy.asarray if host else xp.asnumpy
    found = [to_host(mask) for mask in masks(xp, ndimage, xp.asarray(p), ALPHAS)]  # the first run compiles
    equal = all(numpy.array_equal(a, b) for a, b in zip(found, expected, strict=True))

    def end_to_end():
        for mask, out in zip(masks(xp, ndimage, xp.asarray(p), ALPHAS), found):
            out[...] = to_host(mask)

    on_device = xp.asarray(p)
    return {
        "who": who,
        "equal": equal,
        "end_to_end": median(seconds(end_to_end, wait) for _ in range(ROUNDS)),
        "on_device": median(seconds(lambda: list(masks(xp, ndimage, on_device, ALPHAS)), wait) for _ in range(ROUNDS)),
    }


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(json.dumps(measure(Path(sys.argv[1]), "--host" in sys.argv)))
