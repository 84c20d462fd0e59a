"""The gallery is what its command makes."""

import importlib.util

import pytest
from conftest import ROOT

pytest.importorskip("matplotlib")
SPEC = importlib.util.spec_from_file_location("gallery", ROOT / "docs/gallery.py")
gallery = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(gallery)


def test_the_text_is_the_commands():
    assert (ROOT / "docs/gallery.md").read_text("utf-8") == gallery.text()


def test_every_picture_is_drawn_by_the_code_beside_it(tmp_path):
    gallery.draw(tmp_path, dpi=25)
    names = {name for name, *_ in gallery.PICTURES}
    assert {path.stem for path in tmp_path.glob("*.png")} == names
    shots = {name for name, *_ in gallery.SHOTS}
    examples = {name for name, _ in gallery.EXAMPLES}
    assert {path.stem for path in (ROOT / "docs/gallery").glob("*.png")} == names | shots | examples
