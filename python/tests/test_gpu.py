"""The GPU engine in the wheel: the same bytes where there is a GPU (or software like one), a plain sentence where not."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import GOLDENS, bumps, golden
from same import assert_same, assert_same_analysis, columns

import peakmask

NONE = "a GPU was asked for, but"


@pytest.fixture(scope="module")
def gpu():
    """Whether there is one; where one is required, the error propagates."""
    try:
        peakmask.analyze(bumps(5, 6, 70), 0.5, backend="gpu")
    except RuntimeError as error:
        if NONE not in str(error) or os.environ.get("PEAKMASK_GPU") == "require":
            raise
        return False
    return True


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens_on_the_gpu_or_a_refusal(gpu, name):
    p, alphas, expected = golden(name)
    if not gpu:
        with pytest.raises(RuntimeError, match=NONE):
            peakmask.analyze(p, alphas, backend="gpu")
        return
    found = peakmask.analyze(p, alphas, backend="gpu")
    assert_same(columns(found), expected)
    assert found.report["engine"] == "gpu"
    assert found.report["gpu_bins"] == p.shape[2]
    assert found.report["gpu"]["adapter"]
    assert "gpu, adapter" in repr(found.report)
    out = [np.full(p.shape, 7, np.uint8).view(bool) for _ in alphas]
    assert_same(columns(peakmask.analyze(p, alphas, backend="gpu", out=out)), expected)


def test_software_says_so_once(gpu):
    if not gpu:
        pytest.skip("there is no GPU, nor software like one")
    code = """
import warnings
import numpy as np, peakmask
P = np.random.rand(4, 5, 6)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    kinds = {peakmask.analyze(P, 0.5, backend="gpu").report["gpu"]["adapter"]["kind"] for _ in range(2)}
    peakmask.Analyzer((4, 5), alpha=0.5, backend="gpu").run(P)
(kind,) = kinds
assert len(told) == (kind == "software"), told
for one in told:
    assert "is software on the processor" in str(one.message)
    assert one.filename == "<string>", one.filename
print(kind)
"""
    assert run(code)


def test_the_cpu_is_a_promise_and_auto_says_why(openfield):
    cpu = peakmask.analyze(openfield, [0.5, 0.9], backend="cpu")
    assert cpu.report["engine"] == "cpu"
    assert (cpu.report["cpu_bins"], cpu.report["gpu_bins"]) == (800, 0)
    assert "no_gpu" not in cpu.report
    auto = peakmask.analyze(openfield, [0.5, 0.9])
    assert_same_analysis(auto, cpu)
    assert auto.report["cpu_bins"] + auto.report["gpu_bins"] == 800
    assert ("no_gpu" in auto.report) == (auto.report["gpu_bins"] == 0)


def test_the_engine_is_in_the_wheel():
    reason = peakmask.analyze(bumps(5, 6, 70), 0.5).report.get("no_gpu", "")
    assert "no GPU engine" not in reason


def run(code, **environment):
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_environment_is_obeyed():
    code = """
import numpy as np, peakmask
try:
    print(peakmask.analyze(np.random.rand(4, 5, 6), 0.5, backend=%r).report["no_gpu"])
except Exception as error:
    print(type(error).__name__, error)
"""
    assert "PEAKMASK_GPU" in run(code % "auto", PEAKMASK_GPU="off")
    assert run(code % "gpu", PEAKMASK_GPU="off").startswith(f"RuntimeError {NONE}")
    assert run(code % "auto", PEAKMASK_GPU="maybe").startswith("ValueError the environment variable PEAKMASK_GPU is")


def test_a_driver_is_silent_where_there_is_no_desktop():
    code = """
import numpy as np, peakmask
try:
    peakmask.analyze(np.random.rand(4, 5, 6), 0.5, backend="gpu")
except RuntimeError:
    pass
"""
    desktop = ("DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in desktop}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, env=environment
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system has no fork")
def test_a_forked_child_leaves_an_inherited_gpu_alone():
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np, peakmask
P = np.random.rand(4, 5, 60)
expected = peakmask.analyze(P, 0.5, backend="cpu").masks[0]
def child(check):
    pid = os.fork()
    if pid == 0:
        try:
            check()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
def untouched():
    assert "forked" not in peakmask.analyze(P, 0.5).report.get("no_gpu", "")
def inherited():
    found = peakmask.analyze(P, 0.5)
    assert found.masks[0].tobytes() == expected.tobytes()
    assert "forked from one that may have used a GPU" in found.report["no_gpu"], found.report
    try:
        peakmask.analyze(P, 0.5, backend="gpu")
    except RuntimeError as error:
        assert "spawn" in str(error)
    else:
        raise AssertionError("backend='gpu' touched an inherited driver")
    peakmask.analyze(P, 0.5, backend="cpu")
child(untouched)
peakmask.analyze(P, 0.5)
child(inherited)
print("done")
"""
    assert run(code) == "done"


def test_the_process_ends_while_a_gpu_may_be_opening():
    code = """
import numpy as np, peakmask
P = np.broadcast_to(np.random.rand(200, 200, 1), (200, 200, 3_000))  # long enough for a GPU to be looked for
print(peakmask.analyze(P, []).report["bins"])
"""
    assert run(code) == "3000"
