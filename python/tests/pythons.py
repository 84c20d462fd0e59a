"""Prints version and path of one Python for each minor version from 3.9 on that this machine has."""

import findpython

found = {}
for python in findpython.find_all(allow_prereleases=False):
    version = (python.major, python.minor)
    if version >= (3, 9) and not getattr(python, "freethreaded", False):
        found.setdefault(version, python.executable)
for (major, minor), executable in sorted(found.items()):
    print(f"{major}.{minor} {executable}")
