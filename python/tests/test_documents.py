"""The README runs as it stands, and so does every example."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

README = (ROOT / "python/README.md").read_text()
EXAMPLES = sorted(path for path in (ROOT / "python/examples").glob("*.py") if path.stem != "recording")
NEEDS = {
    "chunks": ("distributed", "xarray"),
    "credible_regions": ("matplotlib",),
    "labels": ("xarray",),
    "metrics": ("pandas",),
    "modality": ("contourpy", "matplotlib"),
    "off_track": ("matplotlib",),
    "pictures": ("matplotlib",),
    "place_field_trees": ("matplotlib", "pandas"),
    "place_fields": ("matplotlib",),
    "slurm": ("dask_jobqueue",),
}
PICTURES = {
    "credible_regions": ["credible_regions.png"],
    "modality": ["modality.png"],
    "off_track": ["off_track.png"],
    "pictures": ["posterior.png", "sheet.png", "timeline.png"],
    "place_field_trees": ["place_field_trees.png"],
    "place_fields": ["place_fields.png"],
}


def run(script, folder):
    ran = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def assert_is_a_picture(path):
    image = pytest.importorskip("matplotlib.image").imread(path)
    assert min(image.shape[:2]) > 300
    assert len({tuple(pixel) for pixel in image.reshape(-1, image.shape[2])[::37].tolist()}) > 20, "hardly any colours"


def test_quickstart(tmp_path):
    pytest.importorskip("matplotlib")
    quickstart = re.search(r"## Quickstart\n\n```python\n(.*?)```", README, re.S).group(1)
    (tmp_path / "quickstart.py").write_text(quickstart)
    assert "300 time bins of 40 x 32 cells" in run("quickstart.py", tmp_path)
    assert_is_a_picture(tmp_path / "quickstart.png")


def test_all_of_the_readme(tmp_path):
    for needed in ("matplotlib", "dask", "xarray"):
        pytest.importorskip(needed)
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert len(blocks) == 5
    (tmp_path / "readme.py").write_text("\n".join(blocks) + "\nassert mask.compute().any()\n")
    run("readme.py", tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(example, tmp_path):
    for needed in NEEDS.get(example.stem, ()):
        # Looked for, not imported: dask_jobqueue takes over the interrupt signal of whoever imports it.
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"no {needed}")
    output = run(example, tmp_path)
    assert output or example.stem == "pictures"
    if example.stem == "slurm":
        assert "#SBATCH --cpus-per-task=16" in output
        assert "--nthreads 1 " in output
        assert "--nworkers 16" in output
    pictures = PICTURES.get(example.stem, [])
    assert sorted(path.name for path in Path(tmp_path).glob("*.png")) == pictures
    for picture in pictures:
        assert_is_a_picture(tmp_path / picture)


def test_the_slurm_example_says_what_it_needs(tmp_path):
    without = "import sys, runpy; sys.modules['dask_jobqueue'] = None"
    code = f"{without}; runpy.run_path({str(EXAMPLES[-1])!r}, run_name='__main__')"
    assert EXAMPLES[-1].stem == "slurm"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    assert ran.stderr.strip().endswith('pip install "peakmask[dask]" dask-jobqueue')
    assert "Traceback" not in ran.stderr
