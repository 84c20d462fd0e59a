"""An analyzer that is kept: the same bytes, however bins are divided into calls, whoever calls, whatever came before."""

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
from same import assert_same, assert_same_analysis, assert_same_summary, columns

import peakmask

ALPHA = [0.5, float("nan"), 0.9]
PIECES = [1, 0, 1, 7, 8, 9, 64, 1, 65, 100, 44]


def endless(n_t=100_000):
    """Time bins that take many seconds and no memory: one map, seen again and again."""
    return np.broadcast_to(bumps(250, 250, 1), (250, 250, n_t))


def joined(pieces):
    """The columns of analyses of one piece after the other, as of one."""
    parts = [columns(piece) for piece in pieces]
    offsets, rows = [np.zeros(1, np.int64)], 0
    for part in parts:
        offsets.append(part["peak_offsets"][1:] + rows)
        rows += len(part["peak_heights"])
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "masks"}
    return {
        **together,
        "masks": np.concatenate([part["masks"] for part in parts], axis=3),
        "peak_offsets": np.concatenate(offsets),
    }


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("given", [False, True], ids=["fresh masks", "out"])
@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pieces_of_a_recording_are_the_recording(dtype, layout, given, threads):
    p = bumps(11, 13, sum(PIECES)).astype(dtype)
    p[3, 4, 20] = np.nan
    expected = peakmask.analyze(p, ALPHA)
    analyzer = peakmask.Analyzer((11, 13), dtype, ALPHA, threads=threads)
    found, start = [], 0
    for bins in PIECES:
        piece = p[:, :, start : start + bins]
        if layout == "txy":
            piece = np.moveaxis(piece, 2, 0).copy()
        out = [np.full(piece.shape, 7, np.uint8).view(bool) for _ in ALPHA] if given else None
        found.append(analyzer.run(piece, layout=layout, out=out))
        assert all(mask.shape == piece.shape for mask in found[-1].masks)
        if given:
            assert all(np.shares_memory(mine, mask) for mine, mask in zip(out, found[-1].masks) if mine.size)
        assert found[-1].report["bins"] == bins
        start += bins
    assert start == p.shape[2]
    assert_same(joined(found), columns(expected))
    assert_same_analysis(analyzer.run(p), expected)


def test_everything_that_is_converted_is_converted():
    p = np.round(bumps(6, 7, 50) * 100)
    expected = peakmask.analyze(p, 0.5)
    for kind in (np.int8, ">f8", np.longdouble, bool):
        array = p.astype(kind)
        analyzer = peakmask.Analyzer((6, 7), kind, 0.5)
        assert analyzer.dtype == np.float64
        assert_same_analysis(analyzer.run(array), peakmask.analyze(array, 0.5))
    assert_same_analysis(peakmask.Analyzer((6, 7), alpha=0.5).run(p.tolist()), expected)
    half = peakmask.Analyzer((6, 7), "float16", 0.5)
    assert half.dtype == np.float32
    assert_same_analysis(half.run(p.astype(np.float16)), peakmask.analyze(p.astype(np.float16), 0.5))


def test_labels_and_attributes():
    xarray = pytest.importorskip("xarray")
    p = bumps(6, 7, 5)
    analyzer = peakmask.Analyzer(np.array([6, 7]), alpha=(0.5, 0.9), connectivity=8)
    assert (analyzer.shape, analyzer.alpha, analyzer.dtype) == ((6, 7), (0.5, 0.9), np.float64)
    assert repr(analyzer) == "<peakmask.Analyzer of maps of 6 x 7 cells, float64, alpha [0.5, 0.9]>"
    labelled = xarray.DataArray(np.moveaxis(p, 2, 0), dims=("time", "x", "y"))
    found = analyzer.run(labelled)
    assert found.connectivity == 8
    assert_same_analysis(found, peakmask.analyze(labelled, (0.5, 0.9), connectivity=8))


def test_what_does_not_fit_is_refused_and_the_analyzer_serves_on():
    p = bumps(6, 7, 20)
    analyzer = peakmask.Analyzer((6, 7), alpha=[0.5])
    out = np.full(p.shape, 7, np.uint8).view(bool)
    for array, more, error, sentence in [
        (
            p[:5],
            {},
            ValueError,
            r"for maps of shape \(6, 7\), but P, of shape \(5, 7, 20\), has maps of shape \(5, 7\)",
        ),
        (np.moveaxis(p, 2, 0), {}, ValueError, r'if it is \(t, x, y\), pass layout="txy"'),
        (p, {"layout": "txy"}, ValueError, "make an analyzer for each shape"),
        (p.astype(np.float32), {}, TypeError, r"is for float64, but P, an array of float32, .*astype\(numpy.float64\)"),
        (p.astype(complex), {}, TypeError, "P holds real numbers"),
        (p[0], {}, ValueError, "P.* has three axes, but the array has shape"),
        ("file.npy", {}, TypeError, "not a path"),
        (p, {"layout": "tyx"}, ValueError, 'layout is "xyt" or "txy"'),
        (p, {"out": [out, out]}, ValueError, "out has 2 masks, but there are 1 alphas"),
        (p, {"out": out[1:]}, ValueError, r"out\[0\] has shape"),
        (p, {"out": [p.view(np.uint8)[:, :, ::8]]}, ValueError, r"out\[0\] and P share memory"),
        (p, {"progress": 3}, TypeError, "progress is True, or a function"),
    ]:
        with pytest.raises(error, match=sentence):
            analyzer.run(array, **more)
    assert (out.view(np.uint8) == 7).all()
    assert_same_analysis(analyzer.run(p, out=out), peakmask.analyze(p, [0.5]))


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (((6, 7, 8),), ValueError, r"shape is two whole numbers, \(n_x, n_y\), not \(6, 7, 8\)"),
        ((np.zeros((3, 4, 5)),), Exception, r"not an array of shape \(3, 4, 5\); for an array .*P.shape\[:2\]"),
        ((7,), TypeError, "shape is two whole numbers"),
        (((0, 7),), ValueError, "a map needs at least one cell"),
        (((1 << 20, 1 << 20),), ValueError, "cells"),
        (((6, 7), complex), TypeError, "real numbers"),
        (((6, 7), float, "0.5"), TypeError, "alpha is a number"),
    ],
)
def test_what_makes_no_analyzer_is_refused(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        peakmask.Analyzer(*arguments)


def test_options_are_checked_when_it_is_made():
    for wrong in ({"connectivity": 6}, {"backend": "cuda"}, {"threads": 0}, {"on_limit": "no"}, {"memory_limit": "x"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            peakmask.Analyzer((6, 7), **wrong)
    for wrong in (3.0, True, ["0"]):
        with pytest.raises(TypeError, match="adapter is a GPU's number, its place on the PCI bus, or a part of"):
            peakmask.Analyzer((6, 7), adapter=wrong)


def test_the_extension_refuses_another_type_and_another_number_of_masks():
    kept = peakmask.Analyzer((6, 7), alpha=[0.5])._kept
    options = {"memory_limit": None, "check_axis_order": False, "progress": None}
    with pytest.raises(TypeError, match="three axes, of native float64"):
        kept.run(bumps(6, 7, 3).astype(np.float32), out=None, **options)
    with pytest.raises(ValueError, match="1 alphas were asked for, but 0 output masks"):
        kept.run(bumps(6, 7, 3), out=[], **options)
    with pytest.raises(ValueError, match="the analyzer is for maps of shape"):
        kept.run(bumps(7, 6, 3), out=None, **options)


def test_the_memory_limit_counts_for_each_call():
    p = bumps(9, 8, 500)
    plan = peakmask.estimate(p.shape, 0.5, threads=1)
    analyzer = peakmask.Analyzer((9, 8), alpha=0.5, threads=1, memory_limit=plan["total"] + p.nbytes - 1)
    for _ in range(2):
        with pytest.raises(MemoryError, match=f"{p.nbytes} of them to copy P"):
            analyzer.run(p.astype(">f8"))
        assert analyzer.run(p).report["bins"] == 500
    with pytest.raises(MemoryError, match="given by the caller"):
        analyzer.run(np.tile(p, 40))
    # What a copy leaves is a limit for the peaks that are found later.
    many = np.indices((9, 8, 500)).sum(axis=0) % 2 * 1.0
    found = peakmask.analyze(many, [], threads=1)
    bare = peakmask.estimate(many.shape, [], threads=1)
    needed = bare["fixed"] + found.peaks.n_peaks * bare["per_peak"]
    for limit, fits in ((needed + many.nbytes, True), (needed + many.nbytes - 1, False)):
        analyzer = peakmask.Analyzer((9, 8), threads=1, memory_limit=limit)
        analyzer.run(many)
        if fits:
            assert_same_analysis(analyzer.run(many.astype(">f8")), found)
        else:
            with pytest.raises(MemoryError):
                analyzer.run(many.astype(">f8"))


def test_progress_is_told_in_this_thread_and_ends_with_all():
    p = endless(1_500)
    analyzer = peakmask.Analyzer((250, 250), threads=1)
    for _ in range(2):
        told = []
        analyzer.run(p, progress=lambda *a, told=told: told.append((*a, threading.get_ident())))
        assert len(told) > 1
        assert all(total == 1_500 and thread == threading.get_ident() for _, total, thread in told)
        done = [d for d, _, _ in told]
        assert done == sorted(set(done))
        assert done[-1] == 1_500


@pytest.fixture
def _interruptible():
    """Python's own handler; a process started in the background inherits that the signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupted_analyzer_serves_on():
    analyzer = peakmask.Analyzer((250, 250), threads=1)
    small = bumps(250, 250, 3)
    expected = peakmask.analyze(small, [])
    for _ in range(2):
        sent = []

        def interrupt(sent=sent):
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(0.5, interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            analyzer.run(endless())
        assert time.perf_counter() - sent[0] < 1
        assert_same_analysis(analyzer.run(small), expected)
    with pytest.raises(ZeroDivisionError):
        analyzer.run(small, progress=lambda done, total: 1 / 0)
    assert_same_analysis(analyzer.run(small), expected)


def test_one_call_at_a_time_and_an_analyzer_for_each_thread():
    analyzer = peakmask.Analyzer((250, 250), threads=1)
    small = bumps(250, 250, 3)
    expected = peakmask.analyze(small, [])
    refused = []

    def again(done, total):
        with pytest.raises(RuntimeError, match="at work in another call.*make an analyzer for each thread"):
            analyzer.run(small)
        with ThreadPoolExecutor(1) as pool:
            refused.append(pool.submit(analyzer.run, small).exception())

    found = analyzer.run(endless(1_500), progress=again)
    assert found.report["bins"] == 1_500
    assert refused
    assert all(isinstance(error, RuntimeError) and "at work" in str(error) for error in refused)
    assert_same_analysis(analyzer.run(small), expected)

    mine = threading.local()

    def own(p):
        if not hasattr(mine, "analyzer"):
            mine.analyzer = peakmask.Analyzer((9, 8), alpha=ALPHA)
        return mine.analyzer.run(p)

    inputs = [bumps(9, 8, n, seed) for seed, n in enumerate([700, 1, 30, 2, 300, 64])]
    with ThreadPoolExecutor(6) as pool:
        for p, theirs in zip(inputs * 20, pool.map(own, inputs * 20)):
            assert_same_analysis(theirs, peakmask.analyze(p, ALPHA))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
def test_a_child_after_fork_makes_anew_what_is_kept():
    code = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
import numpy as np, peakmask
P = np.random.rand(9, 8, 3000)
expected = peakmask.analyze(P, 0.5, threads=3).masks[0].tobytes()
analyzer = peakmask.Analyzer((9, 8), alpha=0.5, threads=3)
dropped = peakmask.Analyzer((9, 8), alpha=0.5, threads=3)
assert dropped.run(P).masks[0].tobytes() == analyzer.run(P).masks[0].tobytes() == expected
def child():
    global dropped
    pid = os.fork()
    if pid == 0:
        try:
            del dropped  # its threads are not there to be told
            for _ in range(3):
                assert analyzer.run(P).masks[0].tobytes() == expected
                analyzer.run(P[:, :, :1])
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
child()
# The fork falls into a call of another thread; and into one of this thread.
endless = np.broadcast_to(P[:, :, :1], (9, 8, 4_000_000))
busy = threading.Thread(target=analyzer.run, args=(endless,), kwargs={"layout": "xyt"})
busy.start()
child()
busy.join()
forked = []
def fork_once(done, total):
    if not forked:
        forked.append(True)
        child()
analyzer.run(endless, layout="xyt", progress=fork_once)
assert forked and analyzer.run(P).masks[0].tobytes() == expected
print("done")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def in_new_process(code, **environment):
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr


def test_a_gpu_is_opened_once():
    adapter = os.environ.get("PEAKMASK_TEST_ADAPTER")
    p = bumps(9, 8, 300)
    try:
        analyzer = peakmask.Analyzer((9, 8), alpha=ALPHA, backend="gpu", adapter=adapter)
    except RuntimeError as error:
        if adapter is not None or "a GPU was asked for, but" not in str(error):
            raise
        return
    expected = peakmask.analyze(p, ALPHA, backend="cpu")
    opened = set()
    for bins in (300, 1, 64, 300):
        found = analyzer.run(p[:, :, :bins])
        assert found.report["engine"] == "gpu"
        assert (adapter or "").lower() in found.report["gpu"]["adapter"]["name"].lower()
        opened.add(found.report["gpu"]["seconds"]["open"])
    assert_same_analysis(found, expected)
    # By its number: the same one.
    number = found.report["gpu"]["adapter"]["index"]
    again = peakmask.Analyzer((9, 8), alpha=ALPHA, backend="gpu", adapter=number).run(p)
    assert again.report["gpu"]["adapter"] == found.report["gpu"]["adapter"]
    assert len(opened) == 1, "each opening takes a time of its own"


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(RuntimeError, match="a GPU was asked for, but"):
        peakmask.Analyzer((9, 8), backend="gpu", adapter="no such adapter")
    # The one sentence or the other: there may be no driver at all.
    with pytest.raises(RuntimeError, match="there is no adapter"):
        peakmask.Analyzer((9, 8), backend="gpu", adapter=99)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
def test_a_forked_child_leaves_an_inherited_gpu_alone():
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, peakmask
P = np.random.rand(4, 5, 60)
analyzer = peakmask.Analyzer((4, 5), alpha=0.5)
expected = analyzer.run(P).masks[0].tobytes()
try:
    promised = peakmask.Analyzer((4, 5), alpha=0.5, backend="gpu")
except RuntimeError:
    promised = None
pid = os.fork()
if pid == 0:
    try:
        found = analyzer.run(P)
        assert found.masks[0].tobytes() == expected
        assert "forked from one that may have used a GPU" in found.report["no_gpu"], found.report
        for call in (lambda: peakmask.Analyzer((4, 5), backend="gpu"), promised and (lambda: promised.run(P))):
            try:
                call and call()
            except RuntimeError as error:
                assert "spawn" in str(error)
            else:
                assert not call, "an inherited driver was touched"
        assert peakmask.Analyzer((4, 5), backend="cpu").run(P).report["engine"] == "cpu"
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
print("done")
"""
    in_new_process(code)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads are counted in /proc")
def test_little_work_starts_no_thread_and_leaves_memory_flat():
    p = bumps(41, 63, 8)
    out = [np.empty(p.shape, bool) for _ in ALPHA]
    analyzer = peakmask.Analyzer((41, 63), alpha=ALPHA)
    before = len(os.listdir("/proc/self/task"))
    for bins in (1, 8):
        analyzer.run(p[:, :, :bins], out=[mask[:, :, :bins] for mask in out])
    assert len(os.listdir("/proc/self/task")) <= before

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    start = resident()
    for _ in range(3_000):
        analyzer.run(p, out=out)
    assert resident() - start < 8 << 20


@pytest.mark.parametrize("masks", ["bytes", "packed", "sparse", None])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_summaries_and_forms_are_those_of_analyze(dtype, threads, masks):
    p = bumps(11, 13, 300).astype(dtype)
    p[3, 4, 20] = np.nan
    animal = np.random.default_rng(1).uniform(0, 11, (300, 2))
    options = {"masks": masks, "summary": True}
    analyzer = peakmask.Analyzer((11, 13), dtype, ALPHA, threads=threads, **options)
    # Of any number of bins, with an animal and without: nothing of one call is in the next.
    for first, end, known in [(0, 300, True), (7, 8, True), (8, 8, False), (8, 72, False), (72, 300, True)]:
        at = animal[first:end] if known else None
        found = analyzer.run(p[:, :, first:end], animal=at, radius=3.5)
        expected = peakmask.analyze(p[:, :, first:end], ALPHA, animal=at, radius=3.5, **options)
        assert_same_summary(found.summary, expected.summary)
        assert_same_analysis(found, expected)
        for name in ("packed", "sparse"):
            mine, theirs = getattr(found, name), getattr(expected, name)
            assert (mine is None) == (theirs is None) == (masks != name)
            assert all(np.array_equal(a.expand(), b.expand()) for a, b in zip(mine or [], theirs or []))
        if end - first > 1:
            assert (found.summary.near.any() and found.summary.near.sum() < found.summary.near.size) == known


def test_a_summary_beside_masks_of_the_callers():
    p = bumps(11, 13, 100)
    animal = np.random.default_rng(1).uniform(0, 11, (100, 2))
    analyzer = peakmask.Analyzer((11, 13), alpha=[0.5, 0.9], summary=True)
    out = [np.full(p.shape, 7, np.uint8).view(bool) for _ in range(2)]
    expected = peakmask.analyze(p, [0.5, 0.9], summary=True, animal=animal, radius=2.0)
    found = analyzer.run(p, out=out, animal=animal, radius=2.0)
    assert all(mine.tobytes() == mask.tobytes() for mine, mask in zip(out, expected.masks))
    assert_same_summary(found.summary, expected.summary)
    assert analyzer.run(p, out=out).summary.near.any() == False  # noqa: E712 (an array's)
    assert peakmask.Analyzer((11, 13), alpha=0.5).run(p).summary is None


def test_forms_and_animals_that_an_analyzer_refuses():
    p = bumps(6, 7, 20)
    with pytest.raises(ValueError, match="masks is one of"):
        peakmask.Analyzer((6, 7), alpha=0.5, masks="bits")
    with pytest.raises(TypeError, match="summary is True or False"):
        peakmask.Analyzer((6, 7), alpha=0.5, summary="yes")
    for form in ("packed", "sparse", None):
        with pytest.raises(ValueError, match=f"made with masks={form!r}"):
            peakmask.Analyzer((6, 7), alpha=0.5, masks=form).run(p, out=np.empty(p.shape, bool))
    with pytest.raises(ValueError, match="summary=True"):
        peakmask.Analyzer((6, 7), alpha=0.5).run(p, animal=np.zeros((20, 2)))
    with pytest.raises(ValueError, match="animal has shape"):
        peakmask.Analyzer((6, 7), alpha=0.5, summary=True).run(p, animal=np.zeros((19, 2)))
