"""While it runs: progress, interrupts, threads, forks, memory, messages."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_analysis

import peakmask
from peakmask import compat

ALPHA = [0.5, 0.9]


def endless(n_t=100_000):
    """Time bins that take many seconds and no memory: one map, seen again and again."""
    return np.broadcast_to(bumps(250, 250, 1), (250, 250, n_t))


def test_progress_is_told_in_this_thread_and_ends_with_all():
    p, told = endless(1_500), []
    result = peakmask.analyze(p, [], threads=1, progress=lambda *a: told.append((*a, threading.get_ident())))
    assert result.report["seconds"]["total"] > 0.15, "too fast to tell anything"
    assert len(told) > 1
    assert all(total == 1_500 and thread == threading.get_ident() for _, total, thread in told)
    done = [d for d, _, _ in told]
    assert done == sorted(set(done))
    assert done[-1] == 1_500


def test_an_exception_in_the_callback_stops_and_propagates():
    class Enough(Exception):
        pass

    def progress(done, total):
        raise Enough(f"{done} of {total}")

    start = time.perf_counter()
    with pytest.raises(Enough, match="of 100000"):
        peakmask.analyze(endless(), [], threads=1, progress=progress)
    assert time.perf_counter() - start < 1
    with pytest.raises(Enough, match="5 of 5"):
        peakmask.analyze(bumps(3, 4, 5), ALPHA, progress=progress)


def test_bar():
    tqdm = pytest.importorskip("tqdm")
    code = (
        "import numpy as np, peakmask; from tqdm.auto import tqdm; bars = []; old = tqdm.close\n"
        "tqdm.close = lambda self: (bars.append((self.n, self.total)), old(self))\n"
        "peakmask.analyze(np.random.rand(5, 6, 700), 0.5, progress=True); print(bars[0])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(700, 700)"
    assert "100%" in ran.stderr, tqdm.__version__


def test_no_bar_without_tqdm_but_a_warning(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.warns(UserWarning, match=r'not installed: pip install "peakmask\[progress\]"') as caught:
        assert peakmask.analyze(bumps(3, 4, 5), ALPHA, progress=True).shape == (3, 4, 5)
    assert caught[0].filename == __file__


@pytest.fixture
def _interruptible():
    """Python's own handler; a process started in the background inherits that the signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_keyboard_interrupt_within_a_second_and_the_next_call_works():
    p, small = endless(), bumps(6, 7, 50)
    expected = peakmask.analyze(small, ALPHA)
    for call in (
        lambda: peakmask.analyze(p, [], threads=1),
        lambda: peakmask.analyze(p, []),
        lambda: compat.compute_2d_dt_posterior_peak_promenences(p, []),
    ):
        sent = []

        def interrupt(sent=sent):
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(0.5, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            call()
        assert time.perf_counter() - sent[0] < 1
        assert_same_analysis(peakmask.analyze(small, ALPHA), expected)


def test_keyboard_interrupt_in_a_notebook():
    client = pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    manager, kernel = client.manager.start_new_kernel(kernel_name="python3")
    try:
        setup = "import numpy as np, peakmask; P = np.broadcast_to(np.random.rand(250, 250, 1), (250, 250, 100_000))"
        assert kernel.execute_interactive(setup, timeout=60)["content"]["status"] == "ok"
        # Otherwise a kernel turns away, for a moment, what it is asked after an error.
        asked = kernel.execute("peakmask.analyze(P, [], threads=1)", stop_on_error=False)
        time.sleep(1)
        manager.interrupt_kernel()
        sent = time.perf_counter()
        while (reply := kernel.get_shell_msg(timeout=30))["parent_header"].get("msg_id") != asked:
            pass
        assert time.perf_counter() - sent < 1
        assert (reply["content"]["status"], reply["content"]["ename"]) == ("error", "KeyboardInterrupt")
        after = kernel.execute_interactive("assert peakmask.analyze(P[:, :, :9], 0.5).masks[0].any()", timeout=60)
        assert after["content"]["status"] == "ok"
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def test_other_threads_run_meanwhile():
    gaps, stop = [], threading.Event()

    def tick():
        last = time.perf_counter()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    result = peakmask.analyze(endless(3_000), [], threads=1)
    stop.set()
    ticking.join()
    assert len(gaps) > 50
    assert max(gaps) < result.report["seconds"]["total"] / 2


def test_threads_calling_at_once():
    inputs = [bumps(9, 8, 700, seed).astype([np.float64, np.float32][seed % 2]) for seed in range(6)]
    expected = [peakmask.analyze(p, ALPHA) for p in inputs]
    with ThreadPoolExecutor(12) as pool:
        for _ in range(5):
            for found, theirs in zip(pool.map(lambda p: peakmask.analyze(p, ALPHA), inputs * 4), expected * 4):
                assert_same_analysis(found, theirs)


def test_threads_filling_parts_of_one_output():
    p = bumps(9, 8, 4_000)
    expected = peakmask.analyze(p, ALPHA)
    out = [np.ones(p.shape, bool) for _ in ALPHA]
    parts = [slice(start, start + 250) for start in range(0, 4_000, 250)]

    def fill(part):
        peakmask.analyze(p[:, :, part], ALPHA, out=[mask[:, :, part] for mask in out], threads=1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, parts))
    for mine, theirs in zip(out, expected.masks):
        assert mine.tobytes() == theirs.tobytes()


def _in_child(p, expected):
    assert_same_analysis(peakmask.analyze(p, ALPHA), expected)
    assert_same_analysis(peakmask.analyze(p, ALPHA, threads=3), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_after_fork():
    p = bumps(9, 8, 3_000)
    expected = peakmask.analyze(p, ALPHA)
    fork = multiprocessing.get_context("fork")
    busy = threading.Thread(target=peakmask.analyze, args=(endless(2_000), []), kwargs={"threads": 2})
    busy.start()  # the fork falls into an analysis of another thread
    children = [fork.Process(target=_in_child, args=(p, expected)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    busy.join()
    with fork.Pool(2) as pool:
        pool.starmap(_in_child, [(p, expected)] * 6)


def test_memory_limit_before_anything_is_allocated():
    huge = np.broadcast_to(bumps(50, 50, 1), (50, 50, 10**9))
    with pytest.raises(
        MemoryError, match=r"needs \d+ bytes \(estimated before the start\), but the memory limit is \d+"
    ):
        peakmask.analyze(huge, ALPHA)
    with pytest.raises(MemoryError, match=r"memory limit is 1000 bytes \(given by the caller\).*on_limit="):
        peakmask.analyze(bumps(9, 8, 50), ALPHA, memory_limit=1_000)
    # A copy counts too, and is not made.
    small = np.broadcast_to(np.int8(1), (50, 50, 10**9))
    with pytest.raises(MemoryError, match=r"20000000000000 of them to copy P, an array of int8"):
        peakmask.analyze(small, [])


def test_memory_limit_counts_a_copy_once():
    p = np.tile(bumps(9, 8, 500), 20).astype(">f8")
    plan = peakmask.estimate(p.shape, ALPHA, threads=1)
    with pytest.raises(MemoryError, match=f"{p.nbytes} of them to copy P"):
        peakmask.analyze(p, ALPHA, threads=1, memory_limit=plan["total"] + p.nbytes - 1)
    peakmask.analyze(p, ALPHA, threads=1, memory_limit=plan["total"] + p.nbytes)


def test_memory_limit_as_a_warning_or_not_at_all(caplog):
    p = bumps(9, 8, 50)
    with caplog.at_level(logging.WARNING, "peakmask"):
        peakmask.analyze(p, ALPHA, memory_limit=1_000, on_limit="ignore")
        assert caplog.records == []
        peakmask.analyze(p, ALPHA, memory_limit=1_000, on_limit="warn")
        peakmask.analyze(p.astype(">f8"), ALPHA, memory_limit=1_000, on_limit="warn")
    assert "but the memory limit is 1000 bytes" in caplog.records[0].message
    assert caplog.records[0].name.startswith("peakmask")
    assert "to copy P" in caplog.text


def test_levels_are_asked_for_at_run_time(caplog):
    p = bumps(9, 8, 50)
    with caplog.at_level(logging.CRITICAL, "peakmask"):
        peakmask.analyze(p, ALPHA, memory_limit=1_000, on_limit="warn")
        assert caplog.records == []
    with caplog.at_level(logging.DEBUG, "peakmask"):
        peakmask.analyze(p, ALPHA, memory_limit=1_000, on_limit="warn")
    assert {"WARNING", "DEBUG"} <= {record.levelname for record in caplog.records}


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_a_hundred_calls_leave_memory_flat():
    code = """
import os
import numpy as np, peakmask
from peakmask import compat
ALPHA = [0.3, 0.7]
x, y, t = np.ogrid[:30, :40, :1000]
p = np.exp(-((x - t % 30) ** 2 + (y - t % 40) ** 2) / 20)  # 1.2 MB a mask
out = [np.zeros(p.shape, bool) for _ in ALPHA]
small = p[:, :, :50]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def refused():
    try: peakmask.analyze(p, ALPHA, memory_limit=1)
    except MemoryError: return
    raise AssertionError

def stopped():
    try: peakmask.analyze(p, ALPHA, progress=lambda done, total: 1 / 0)
    except ZeroDivisionError: return
    raise AssertionError

for call in (
    lambda: peakmask.analyze(p, ALPHA),
    lambda: peakmask.analyze(p, ALPHA, out=out),
    lambda: peakmask.analyze(p.astype(">f8"), ALPHA),
    lambda: compat.compute_2d_dt_posterior_peak_promenences(p, ALPHA),
    lambda: compat.compute_posterior_peak_promenences([small, small], ALPHA),
    refused,
    stopped,
):
    for _ in range(15):
        call()
    grown = []
    for _ in range(2):
        before = resident()
        for _ in range(100):
            call()
        grown.append(resident() - before)
    print(min(grown))  # what leaks grows each time, what an allocator keeps for its threads once
"""
    # In a process of its own: what other tests have left running takes memory when it likes.
    ran = in_new_process(code)
    grown = [int(bytes_) for bytes_ in ran.stdout.split()]
    assert len(grown) == 7, ran.stderr
    assert max(grown) < 8 << 20, grown


def in_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_importing_peakmask_imports_no_optional_package():
    ran = in_new_process(
        "import sys, peakmask, peakmask.compat, peakmask.plot; peakmask.analyze([[[1.0], [2.0]]], 0.5)\n"
        "print({'pandas', 'xarray', 'tqdm', 'matplotlib', 'dask', 'pynapple', 'scipy'} & set(sys.modules))"
    )
    assert ran.stdout == "set()\n", ran.stderr


@pytest.mark.parametrize(
    ("code", "package", "extra"),
    [
        ("peakmask.analyze([[[1.0], [2.0]]], []).peaks.to_dataframe()", "pandas", "pandas"),
        ("peakmask.analyze([[[1.0], [2.0]]], []).to_xarray()", "xarray", "xarray"),
        ("import peakmask.dask", "dask", "dask"),
        ("peakmask.dask", "dask", "dask"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(code, package, extra):
    ran = in_new_process(f"import sys; sys.modules[{package!r}] = None; import peakmask; {code}")
    assert ran.returncode == 1
    assert f'{package}, which is not installed: pip install "peakmask[{extra}]"' in ran.stderr


def test_dir_shows_what_is_for_callers():
    ran = in_new_process("import peakmask; print(*dir(peakmask))")
    types = (
        "Analysis Analyzer BinPeaks Epochs Level MapSummits PackedMask Peaks Regions Report Saddles SparseMask Stream "
        "Summary Summits"
    )
    names = (
        "__version__ absolute analyze analyze_many compat coverage dask estimate load napari of_peak plot prominence "
        "regions saddles stream"
    )
    assert ran.stdout.split() == types.split() + names.split()
    with pytest.raises(AttributeError, match="module 'peakmask' has no attribute 'analyse'; it has .*analyze"):
        peakmask.analyse  # noqa: B018


def test_a_daemon_thread_may_run_while_the_interpreter_ends():
    code = """
import logging, sys, threading, time
import numpy as np, peakmask
logging.basicConfig(level=logging.DEBUG, stream=open("/dev/null", "w"))
endless = np.broadcast_to(np.random.rand(250, 250, 1), (250, 250, 100_000))
small = np.random.rand(41, 63, 3)
def long(): peakmask.analyze(endless, [], threads=1, progress=lambda *told: None)
def short():
    while True: peakmask.analyze(small, 0.5, threads=1)
for target in (long, short, short):
    threading.Thread(target=target, daemon=True).start()
time.sleep(float(sys.argv[1]))
print("end")
"""
    for i in range(12):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(0.1 + 0.01 * i)], capture_output=True, text=True, timeout=60
        )
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "end\n", "")


def test_an_exit_handler_may_analyse():
    code = """
import atexit
def last(): print(peakmask.analyze(P, 0.5).shape, peakmask.analyze(P, 0.5, backend="cpu").shape)
atexit.register(last)  # before peakmask's own, so that it runs after it
import numpy as np, peakmask
P = np.random.rand(50, 60, 3000)
"""
    ran = in_new_process(code)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "(50, 60, 3000) (50, 60, 3000)\n", "")


def test_free_threaded_builds_are_refused_with_a_sentence():
    ran = in_new_process("import sysconfig; sysconfig.get_config_var = lambda name: 1; import peakmask")
    assert ran.returncode == 1
    assert "ImportError: peakmask is built for Python with a global interpreter lock" in ran.stderr


def test_version_is_the_crates():
    import importlib.metadata

    from conftest import ROOT

    assert importlib.metadata.version("peakmask") == peakmask.__version__
    assert f'version = "{peakmask.__version__}"' in (ROOT / "Cargo.toml").read_text()
    assert f"## [{peakmask.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["xyt", "txy"])
def test_three_gigabytes(openfield, layout):
    once = peakmask.analyze(openfield, ALPHA)
    n = openfield.shape[2]
    repeats = 180
    shape = (41, 63, n * repeats) if layout == "xyt" else (n * repeats, 41, 63)
    p = np.empty(shape, np.float64)
    assert p.nbytes > 2.9e9
    p.reshape(41, 63, repeats, n)[:] = openfield[:, :, None] if layout == "xyt" else 0
    if layout == "txy":
        p.reshape(repeats, n, 41, 63)[:] = np.moveaxis(openfield, 2, 0)
    found = peakmask.analyze(p, ALPHA, layout=layout)
    assert found.peaks.n_peaks == repeats * once.peaks.n_peaks
    np.testing.assert_array_equal(found.peaks.heights.reshape(repeats, -1), once.peaks.heights[None].repeat(repeats, 0))
    for mask, theirs in zip(found.masks, once.masks):
        mask = mask if layout == "xyt" else np.moveaxis(mask, 0, 2)
        for start in range(0, n * repeats, n):
            np.testing.assert_array_equal(mask[:, :, start : start + n], theirs)
