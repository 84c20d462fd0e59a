"""Streams that are continued: how far one had come, and what the next must agree with."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._core import __version__
from ._levels import kind_of

log = logging.getLogger("peakmask")

NOTE = ".progress.json"
LOCK = ".lock"

BLOCKS, BLOCK = 1024, 16 << 10
"""Blocks of a file that stand for all of it, and their size."""


class Progress(NamedTuple):
    """How far a stream has come."""

    bins: int = 0
    peaks: int = 0


def of_input(file: str | os.PathLike[str]) -> dict[str, Any]:
    """What stands for a file: its length, the time of its last change, and a digest of its ends and blocks all over it.

    A digest of the whole would double the reading of a file that is larger than memory.
    """
    about = os.stat(file)
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        blocks = about.st_size // BLOCK
        if blocks <= BLOCKS:
            digest.update(stream.read())
        else:
            for i in range(BLOCKS):
                stream.seek(i * (blocks - 1) // (BLOCKS - 1) * BLOCK)
                digest.update(stream.read(BLOCK))
    return {
        "length": about.st_size,
        "time of last change": about.st_mtime_ns,
        "sha256 of blocks all over it": digest.hexdigest(),
    }


def of_options(alphas: Sequence[float], animal: NDArray[np.float64] | None, **others: Any) -> dict[str, Any]:
    """What results depend on beside the input."""
    return {
        "version": __version__,
        "alpha": [f"{kind_of(alpha)} {float(alpha).hex()}" for alpha in alphas],
        "animal": None if animal is None else hashlib.sha256(np.ascontiguousarray(animal).tobytes()).hexdigest(),
        **others,
    }


class Unfinished:
    """The folder in which a stream is made that may be continued. One at a time works in it."""

    def __init__(self, folder: Path, input: dict[str, Any], options: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = {"input": input, "options": options}
        there = folder.is_dir()
        folder.mkdir(exist_ok=True)
        self._lock: Any = open(folder / LOCK, "w")  # noqa: SIM115 (held as long as the folder is worked in)
        self.progress = Progress()
        try:
            _lock(self._lock, folder)
            if there:
                self.progress = self._before()
            if not self.progress.bins:
                self._clear()
        except BaseException:
            self._lock.close()
            raise

    def _before(self) -> Progress:
        """How far the stream had come that is continued here."""
        try:
            note = json.loads((self.folder / NOTE).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return Progress()
        for part, said in (("input", "another input"), ("options", "other options")):
            for what, value in self.identity[part].items():
                if note[part].get(what) != value:
                    raise ValueError(
                        f"the stream that is to be continued was begun with {said} ({what} differs); give the same, or "
                        f"remove {self.folder}"
                    )
        if note["boot"] != _boot():
            log.warning(
                "the machine was started anew since, and what reached its disk is not known; the stream begins anew"
            )
            return Progress()
        return Progress(*note["done"])

    def _clear(self) -> None:
        """Remove what is of no use: results that are begun anew may have other names."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def note(self, progress: Progress) -> None:
        """Note how far the stream has come: wholly, or not at all."""
        self.progress = progress
        new = self.folder / ".progress.new"
        new.write_text(json.dumps({**self.identity, "boot": _boot(), "done": list(progress)}), "utf-8")
        new.replace(self.folder / NOTE)

    def close(self) -> None:
        """Leave the folder to others."""
        self._lock.close()

    def name(self, path: Path) -> None:
        """Give the folder, which is complete, its name, and leave nothing but results in it."""
        self.close()  # Windows renames nothing that is open
        self.folder.replace(path)
        for name in (NOTE, LOCK):
            (path / name).unlink()


def _lock(file: Any, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # of Unix alone
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileExistsError(f"another stream is at work in {folder}; wait for its end") from None


def _boot() -> str | None:
    """Which start of the machine this is: after another one it is not known what of a file was stored."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return None
