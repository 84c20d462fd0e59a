"""Makes the gallery, docs/gallery.md, and its pictures, from the recorded posteriors in tests/data.

    python docs/gallery.py

Needs peakmask with matplotlib, pandas and contourpy. Where selenium and Debian's chromium-driver are installed, the
screenshots of the page are taken anew as well.
"""

import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SETUP = """
import numpy as np
import peakmask
import peakmask.plot as plot

field = np.load("tests/data/openfield_41x63_f64.npz")["p_x_given_n"]   # an arena of 2.5 x 3.5 m, bins of 250 and 20 ms
maze = np.load("tests/data/umaze_offtrack_f64.npz")["p_x_given_n"]     # a U-shaped maze; NaN off the track in some bins
corridor = np.load("tests/data/track_logposterior_f64.npz")["p_x_given_n"][:, :, :250]  # natural logarithms, bins of 40 ms

in_field = peakmask.analyze(field, alpha=[0.5, 0.9])
in_maze = peakmask.analyze(maze, alpha=[0.1, 0.5, 0.9])
in_corridor = peakmask.analyze(corridor, alpha=[1.1, 2.0])             # of a logarithm: an alpha above 1 reaches lower
cm = dict(x=np.linspace(0, 250, 42), y=np.linspace(0, 350, 64), units="cm")
"""

PICTURES = [
    (
        "posterior",
        "One time bin. The outer outline is the mask of alpha 0.5, the inner one that of 0.9; peaks are marked from 5 % "
        "of the highest on, larger the higher they are.",
        "figure = plot.posterior(field, in_field, 566, **cm).figure",
    ),
    (
        "sheet",
        "Several time bins, each with the colours of its own range. The fifth, from a bin of 20 ms with hardly a spike, "
        "is broad; the last is uniform, so nothing in it is a peak.",
        "figure = plot.sheet(field, in_field, [20, 100, 180, 410, 430, 600, 640, 799], **cm)[0].figure",
    ),
    (
        "shared",
        "The same colours for the same values, on a square-root scale, with one bar: how concentrated a "
        "posterior is shows at once.",
        "figure = plot.sheet(\n    field, in_field, [20, 100, 410, 430], shared=True, norm=\"sqrt\", **cm\n)[0].figure",
    ),
    (
        "log",
        "A logarithmic scale with a floor of a ten-thousandth of the top: the hills that a linear scale hides.",
        "figure = plot.sheet(field, in_field, [410, 600, 640], columns=3, norm=\"log\", **cm)[0].figure",
    ),
    (
        "maze",
        "Cells off the track are grey where they have no value (NaN), as in bin 0, which therefore has no peaks.",
        "figure = plot.sheet(maze, in_maze, [0, 60, 90, 120, 210, 230], columns=3)[0].figure",
    ),
    (
        "levels",
        "Ten levels in ten colours that all readers tell apart, with edges that read on any ground.",
        "levels = peakmask.analyze(field[:, :, 566:567], alpha=np.linspace(0.05, 0.95, 10))\n"
        "figure = plot.posterior(field[:, :, 566:567], levels, 0, top=0, **cm).figure",
    ),
    (
        "timeline",
        "The dominant peak over time: where it is, how high, how large its masks are, and how many peaks are marked "
        "beside it.",
        "walk = peakmask.analyze(field[:, :, :400], alpha=[0.5, 0.9])\n"
        "figure = plot.timeline(walk, t=np.arange(400) * 0.25, **cm)[0].figure",
    ),
    (
        "summary",
        "The numbers of a summary over time, for which no masks are made; below, the distance from the dominant peak to a cell "
        "where an animal might sit.",
        "few = peakmask.analyze(\n"
        "    field[:, :, :400], alpha=[0.5, 0.9], masks=None, summary=True, animal=np.tile([12.0, 30.0], (400, 1))\n"
        ").summary\n"
        "figure = plot.summary(few, t=np.arange(400) * 0.25)[0].figure",
    ),
    (
        "track",
        "A linear track: position by time, the way of the dominant peak, and how far the masks reach.",
        "figure = plot.track(\n"
        "    corridor, in_corridor, x=np.linspace(0, 160, 81), t=np.arange(250) * 0.04, units=\"cm\", vmin=-20\n"
        ").figure",
    ),
    (
        "curves",
        "Single time bins of a linear track are curves, with the masks' extents below.",
        "figure = plot.sheet(\n"
        "    np.exp(corridor), peakmask.analyze(np.exp(corridor), [0.1, 0.5]), [0, 60, 120, 200],\n"
        "    x=np.linspace(0, 160, 81), units=\"cm\",\n"
        ")[0].figure",
    ),
]  # fmt: skip

EXAMPLES = [
    (
        "place_field_trees",
        "Every field of a place cell, from `peakmask.prominence`, `regions` and `Peaks.filter`: peaks that stand 2 Hz above "
        "the saddle to the next higher one, their regions at half height, and the way over the saddle to the parent.",
    ),
    (
        "off_track",
        'Masks over time in the U-shaped maze, with `nan_policy="off_track"`: the decoder\'s own output, in which every bin '
        "holds NaN and none would have a mask otherwise.",
    ),
    (
        "credible_regions",
        "Highest-density regions that hold half and 95 % of each time bin, by `peakmask.coverage`, in as many parts as it "
        "takes.",
    ),
    (
        "modality",
        "How many places a posterior points to: peaks filtered by height, distance and topographic prominence, counted over "
        "time.",
    ),
]

SHOTS = [
    ("page",
     "`in_field.page(field, \"page.html\", **cm)`, or `peakmask page` at the command line: one file for any browser.",
     "openfield", 410, (1200, 860), False),
    ("page-dark", "The same on a phone, in the dark.", "openfield", 566, (390, 1190), True),
    ("page-track", "A linear track in the page.", "corridor", 120, (1200, 760), False),
]  # fmt: skip


def text() -> str:
    """Give the whole of gallery.md."""
    parts = [
        "# Gallery",
        "All pictures are made from the recorded posteriors in `tests/data` by one command, `python docs/gallery.py`, with\n"
        "the code that stands beside them, after:",
        f"```python\n{SETUP.strip()}\n```",
    ]
    for name, caption, code in PICTURES:
        parts += [f"![{name}](gallery/{name}.png)", textwrap.fill(caption, 125), f"```python\n{code}\n```"]
    parts += [
        "## From the examples",
        "Each is a script in `python/examples` that runs as it stands.",
        *(
            part
            for name, caption in EXAMPLES
            for part in (f"![{name}](gallery/{name}.png)", textwrap.fill(f"`{name}.py`. {caption}", 125))
        ),
        "## In the browser",
        *(part for name, caption, *_ in SHOTS for part in (f"![{name}](gallery/{name}.png)", caption)),
        "## From the command line",
        "![openfield](openfield.png)",
        "`peakmask picture tests/data/openfield_41x63_f64.npz -o openfield.png`",
    ]
    return "\n\n".join(parts) + "\n"


def draw(folder: Path, dpi: float = 80) -> dict:
    """Make the pictures; give what the snippets left behind."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names: dict = {}
    exec(SETUP.replace('"tests/', f'"{ROOT.as_posix()}/tests/'), names)
    for name, _, code in PICTURES:
        exec(code, names)
        names["figure"].savefig(folder / f"{name}.png", dpi=dpi)
        plt.close("all")
    return names


def run_examples(folder: Path) -> None:
    """Have the scripts of the examples draw their pictures."""
    for name, _ in EXAMPLES:
        subprocess.run([sys.executable, ROOT / f"python/examples/{name}.py"], cwd=folder, check=True)


def photograph(folder: Path, names: dict) -> None:
    """Take screenshots of pages in a browser without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory() as pages:
        names["in_field"].page(names["field"], f"{pages}/openfield.html", title="open field", **names["cm"])
        names["in_corridor"].page(
            names["corridor"], f"{pages}/corridor.html", title="corridor, log posterior",
            x=names["np"].linspace(0, 160, 81), t=names["np"].arange(250) * 0.04, units="cm",
        )  # fmt: skip
        for name, _, page, bin_, (width, height), dark in SHOTS:
            options = webdriver.ChromeOptions()
            for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={pages}/{name}"):
                options.add_argument(argument)
            if dark:
                options.add_argument("--force-dark-mode")
            options.binary_location = shutil.which("chromium") or ""
            browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
            screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": dark}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
            browser.get(f"file://{pages}/{page}.html")
            browser.execute_async_script("show(arguments[0]).then(arguments[1])", bin_)
            time.sleep(0.5)
            browser.save_screenshot(str(folder / f"{name}.png"))
            browser.quit()


def main() -> None:
    """Make everything, where it belongs or in the folder that is named."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs")
    (folder / "gallery").mkdir(exist_ok=True)
    names = draw(folder / "gallery")
    run_examples(folder / "gallery")
    if shutil.which("chromedriver"):
        photograph(folder / "gallery", names)
    else:
        print("the screenshots of the page are left as they are: no chromedriver")
    (folder / "gallery.md").write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
