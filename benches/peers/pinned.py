"""How fast CUDA copies between pinned memory of the host and a device's own: what any program's upload can be held against.

    pinned.py MEGABYTES [--host]

`--host` copies within the host's memory with NumPy, to try the script where there is no such device. Prints one line of
JSON: who ran, and bytes a second in and out; or why nothing ran.
"""

import json
import sys
import time

ROUNDS = 5


def copies(size, host):
    """Functions that copy in and out and wait for it, and a name."""
    import numpy

    if host:
        there, here = numpy.ones(size, numpy.uint8), numpy.ones(size, numpy.uint8)
        return lambda: there.__setitem__(..., here), lambda: here.__setitem__(..., there), f"numpy {numpy.__version__}"
    import cupy

    if cupy.cuda.runtime.getDeviceCount() == 0:
        raise RuntimeError("no CUDA device")
    pinned = numpy.frombuffer(cupy.cuda.alloc_pinned_memory(size), numpy.uint8, size)
    pinned[...] = 1
    device = cupy.empty(size, numpy.uint8)
    stream = cupy.cuda.Stream(non_blocking=True)

    def copied(copy):
        copy()
        stream.synchronize()

    return (
        lambda: copied(lambda: device.set(pinned, stream=stream)),
        lambda: copied(lambda: device.get(stream=stream, out=pinned)),
        f"cupy {cupy.__version__}",
    )


def measure(size, host):
    try:
        copy_in, copy_out, who = copies(size, host)
    except Exception as why:  # a missing package, driver or device: whatever it is, it is the answer
        return {"skipped": f"{type(why).__name__}: {why}"}
    return {"who": who, "in": bytes_a_second(copy_in, size), "out": bytes_a_second(copy_out, size)}


def bytes_a_second(copy, size):
    copy()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        copy()
        best = min(best, time.perf_counter() - start)
    return size / best


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    print(json.dumps(measure(int(sys.argv[1]) << 20, "--host" in sys.argv)))
