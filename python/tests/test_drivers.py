"""Drivers that crash, end the process, take their time or never come back: no result waits for them, and Python lives on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="a driver is built with a C compiler, for Linux"
)

PATIENCE = 2.0
"""Seconds that drivers may take, here."""

REST = 6.0
"""What the rest may take, imports included, on a machine that is busy."""

SOURCE = Path(__file__).parents[2] / "cli" / "tests" / "hostile" / "driver.c"

CALLS = """
import json, logging, sys, time
import numpy as np, peakmask
logging.getLogger("peakmask").setLevel(logging.ERROR)  # reasons are read from reports
P = np.random.default_rng(0).random((9, 8, 300))
expected = peakmask.analyze(P, 0.5, backend="cpu").masks[0]
told = []
for backend in sys.argv[1:]:
    start = time.perf_counter()
    try:
        found = peakmask.analyze(P, 0.5, backend=backend)
        assert (found.masks[0] == expected).all()
        said, total = found.report.get("no_gpu", ""), found.report["seconds"]["total"]
    except RuntimeError as error:
        said, total = str(error), 0.0
    told.append([time.perf_counter() - start, total, said])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A manifest of a driver that does what FAKE_DRIVER says."""
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "driver.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    manifest = folder / "driver.json"
    icd = {"library_path": str(library), "api_version": "1.3.0"}
    manifest.write_text(json.dumps({"file_format_version": "1.0.0", "ICD": icd}))
    return manifest


def environment(driver, mode, patience=PATIENCE):
    ours = {
        "VK_DRIVER_FILES": str(driver),
        "VK_ICD_FILENAMES": str(driver),
        "FAKE_DRIVER": mode,
        "PEAKMASK_DRIVER_SECONDS": str(patience),
        # One that is named serves however little work there is.
        "PEAKMASK_ADAPTER": "fake",
    }
    return {**os.environ, **ours}


def calls(driver, mode, *backends, patience=PATIENCE):
    """Seconds of the process; of each call its seconds, those that it reports, and why there is no GPU."""
    start = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-c", CALLS, *backends],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(driver, mode, patience),
    )
    assert (ran.returncode, ran.stderr) == (0, ""), (mode, ran)
    assert not left(driver, mode), mode
    return time.perf_counter() - start, json.loads(ran.stdout)


def left(driver, mode):
    """Processes that have this driver's variables, once they have had time to end."""
    ours = {f"VK_DRIVER_FILES={driver}".encode(), f"FAKE_DRIVER={mode}".encode()}
    for _ in range(100):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if ours <= set((process / "environ").read_bytes().split(b"\0")):
                    found.append((process / "cmdline").read_bytes())
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.05)
    return found


WORDS = {
    "segv": "a driver crashed (signal 11)",
    "abort": "a driver crashed (signal 6)",
    "exit": "a driver ended the process (exit code 0)",
    "hang": f"a driver did not answer within {PATIENCE:g} s",
}


@pytest.mark.parametrize("entry", ["constructor", "create", "devices"])
@pytest.mark.parametrize("action", WORDS)
def test_a_driver_that_fails_is_a_reason(driver, entry, action):
    took, told = calls(driver, f"{entry} {action}", "auto", "gpu", "gpu", "auto")
    waited = PATIENCE if action == "hang" else 0
    for seconds, total, _ in (told[0], told[3]):
        assert seconds < total + 1, "no result waits for a driver"
    for _, _, said in told[1:3]:
        assert WORDS[action] in said
    assert told[1][0] < waited + REST
    assert told[2][0] < 1, "one patience in all"
    assert took < waited + 2 * REST


def test_a_driver_that_takes_its_time_is_waited_for_by_nobody_but_gpu(driver):
    took, ((seconds, total, _),) = calls(driver, "create wait", "auto", patience=60)
    assert seconds < total + 1
    assert took < REST, "nor does the end of the process wait"
    _, ((seconds, _, said),) = calls(driver, "create wait", "gpu", patience=60)
    assert seconds > 5, "once in the trial"
    assert "there is no adapter" in said


def test_a_process_that_cannot_be_started_stands_in_nobodys_way(driver, tmp_path):
    code = "import sys; sys.executable = sys.argv.pop(1)\n" + CALLS
    for program in ("", str(tmp_path / "none"), shutil.which("true")):
        ran = subprocess.run(
            [sys.executable, "-c", code, program, "gpu"],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(driver, ""),
        )
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        ((_, _, said),) = json.loads(ran.stdout)
        assert "there is no adapter" in said


def test_waiting_for_a_driver_can_be_interrupted(driver):
    code = """
import os, signal, threading, time
import numpy as np, peakmask
P = np.zeros((4, 5, 6))
for _ in range(2):
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    try:
        peakmask.analyze(P, 0.5, backend="gpu")
    except KeyboardInterrupt:
        assert time.perf_counter() - start < 1.5, time.perf_counter() - start
    else:
        raise AssertionError("it was not interrupted")
print("done")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(driver, "create hang", 60),
    )
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, "done", ""), ran
    assert not left(driver, "create hang")


def test_the_trial_ends_with_python(driver):
    code = "import numpy as np, peakmask; peakmask.analyze(np.zeros((4, 5, 6)), 0.5, backend='gpu')"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(driver, "devices hang", 60))
    time.sleep(2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not left(driver, "devices hang")
