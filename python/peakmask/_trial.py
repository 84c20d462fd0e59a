"""A process of its own, in which drivers of GPUs are tried before another one loads them: they may crash it, or hang."""

import os
import sys
import threading
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import module_from_spec


def _end_with_the_first_process() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_first_process, daemon=True).start()
    # Without the package around it, which would import NumPy.
    _path, _backend, _adapter = sys.argv[1:]
    _loader = ExtensionFileLoader("peakmask._core", _path)
    _core = module_from_spec(ModuleSpec(_loader.name, _loader, origin=_path))
    _loader.exec_module(_core)
    _core.try_drivers(_backend, _adapter)
    os._exit(0)
