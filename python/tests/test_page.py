"""The page: what it holds, and what it does in a real browser."""

import base64
import json
import os
import shutil
import time
import zlib

import numpy as np
import pytest
from conftest import bumps, golden

import peakmask
import peakmask._page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


def read(file):
    text = file.read_text("utf-8")
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def column(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def unpack(data):
    """Levels (t, x, y), masks (level, t, x, y), and the cells, heights and prominences of each bin's marked peaks."""
    n_x, n_y, n_t = data["shape"]
    offsets = column(data["offsets"], "<u4").astype(int)
    maps, masks, peaks = [], [], []
    for i, block in enumerate(data["blocks"]):
        raw = np.frombuffer(zlib.decompress(base64.b64decode(block)), np.uint8)
        first, stop = i * data["block"], min((i + 1) * data["block"], n_t)
        n, cells = stop - first, n_x * n_y
        maps.append(raw[: n * cells].reshape(n, n_x, n_y))
        raw = raw[n * cells :]
        bits = raw[: n * len(data["alpha"]) * -(-cells // 8)].reshape(n, len(data["alpha"]), -1)
        masks.append(np.unpackbits(bits, axis=2, count=cells, bitorder="little").reshape(n, -1, n_x, n_y).astype(bool))
        raw = raw[bits.size :]
        k = offsets[stop] - offsets[first]
        cell, height, prominence = (raw[j * 4 * k : (j + 1) * 4 * k].tobytes() for j in range(3))
        assert len(raw) == 12 * k
        rows = (np.frombuffer(cell, "<u4"), np.frombuffer(height, "<f4"), np.frombuffer(prominence, "<f4"))
        for t in range(first, stop):
            peaks.append([row[offsets[t] - offsets[first] : offsets[t + 1] - offsets[first]] for row in rows])
    return np.concatenate(maps), np.concatenate(masks).swapaxes(0, 1), peaks


def posterior():
    p = bumps(9, 7, 150)
    p[2, 3, 10] = np.nan
    p[:, :, 20] = 0.25
    p[0, 0, 30], p[1, 1, 30] = np.inf, -np.inf
    p[:, :, 40] = np.log(p[:, :, 40])
    return p


@pytest.mark.parametrize("layout", ["xyt", "txy"])
@pytest.mark.parametrize("bins", [None, [100, 3, 3, -1]])
def test_a_page_holds_masks_and_peaks_as_they_are_and_values_in_steps(tmp_path, layout, bins):
    p = posterior()
    array = p if layout == "xyt" else np.moveaxis(p, 2, 0).copy()
    analysis = peakmask.analyze(array, [0.5, 0.9, 0.1], layout=layout)
    analysis.page(array, tmp_path / "page.html", bins=bins)
    data = read(tmp_path / "page.html")
    chosen = np.arange(150)[bins] if bins else np.arange(150)
    maps, masks, peaks = unpack(data)
    assert data["shape"] == [9, 7, len(chosen)]
    assert (data["bins"] is None) == (bins is None)
    assert data["order"] == [2, 0, 1]
    expected = peakmask.analyze(p, [0.5, 0.9, 0.1])
    for found, mask in zip(masks, expected.masks):
        np.testing.assert_array_equal(found, np.moveaxis(mask, 2, 0)[chosen])
    low, high = column(data["low"], "<f8"), column(data["high"], "<f8")
    shown = np.moveaxis(p, 2, 0)[chosen]
    np.testing.assert_array_equal(maps == 255, np.isnan(shown))
    values = low[:, None, None] + (high - low)[:, None, None] * (maps / 254.0) ** 2
    share = np.sqrt(np.clip((shown - low[:, None, None]) / np.maximum(high - low, 1e-300)[:, None, None], 0, 1))
    plain = np.isfinite(shown)
    assert (np.abs(maps / 254.0 - share)[plain] <= 0.5001 / 254).all()
    assert np.isfinite(values[plain]).all()
    rows = expected.peaks.dominant
    for k, t in enumerate(chosen):
        coords, prominences, heights = expected.peaks[int(t)]
        if not len(heights):
            assert column(data["dominant"], "<i4")[k] == -1
            assert np.isnan(column(data["height"], "<f8")[k])
            assert len(peaks[k][0]) == 0
            continue
        top = heights.max()
        marked = heights >= 0.05 * top if top > 0 else np.exp(heights - top) >= 0.05
        if np.isinf(top):
            marked = heights == top
        cells = coords[:, 0] * 7 + coords[:, 1]
        assert column(data["dominant"], "<i4")[k] == cells[rows[t] - expected.peaks.offsets[t]]
        assert column(data["height"], "<f8")[k] == top
        assert peaks[k][0].tolist() == cells[marked].tolist()
        np.testing.assert_array_equal(peaks[k][1], heights[marked].astype("f4"))
        np.testing.assert_array_equal(peaks[k][2], prominences[marked].astype("f4"))
    for i, areas in enumerate(data["areas"]):
        live = rows[chosen] >= 0
        np.testing.assert_array_equal(column(areas, "<f8")[live], expected.areas[i][chosen][live])


def test_the_program_would_write_the_same(tmp_path, openfield):
    """The other half of this comparison is among the program's tests."""
    peakmask.analyze(openfield, [0.5, 0.9]).page(openfield, tmp_path / "page.html")
    data = read(tmp_path / "page.html")
    names = ("low", "high", "height", "dominant", "counts", "offsets")
    columns = [base64.b64decode(text) for text in (*(data[name] for name in names), *data["areas"])]
    blocks = [zlib.decompress(base64.b64decode(block)) for block in data["blocks"]]
    assert zlib.crc32(b"".join(columns + blocks)) == 0x0E57A65A


def test_coordinates_and_times_are_the_callers(tmp_path):
    p = bumps(6, 9, 40)
    analysis = peakmask.analyze(p, 0.5)
    file = tmp_path / "page.html"
    analysis.page(
        p, file, x=np.arange(7) * 2.5, y=np.arange(9), t=np.arange(40) * 0.25, units="cm", title="</script><b>"
    )
    data = read(file)
    assert data["x"] == {"name": "x", "label": "x (cm)", "unit": "cm", "edges": (np.arange(7) * 2.5).tolist()}
    assert data["y"]["edges"] == (np.arange(10) - 0.5).tolist()
    assert column(data["t"]["values"], "<f8").tolist() == (np.arange(40) * 0.25).tolist()
    assert data["title"] == "</script><b>"
    assert data["area_unit"] == "cm²"
    np.testing.assert_allclose(column(data["areas"][0], "<f8"), 2.5 * analysis.areas[0])
    analysis.page(p, file, t=np.datetime64("2026-01-01") + np.arange(40) * np.timedelta64(1, "h"))
    assert read(file)["t"]["words"][5] == "2026-01-01 05:00:00"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_page_gets_coarser_rather_than_too_large(tmp_path, monkeypatch):
    p = np.random.default_rng(0).random((20, 20, 256))  # noise packs badly
    analysis = peakmask.analyze(p, [])
    file = tmp_path / "page.html"
    analysis.page(p, file, top=0)
    fine = file.stat().st_size
    assert read(file)["steps"] == 255
    sizes = [fine]
    for share, steps in ((0.9, 64), (0.75, 16)):
        monkeypatch.setattr(peakmask._page, "LIMIT", int(fine * share))
        analysis.page(p, file, top=0)
        assert read(file)["steps"] == steps
        assert file.stat().st_size <= fine * share
        sizes.append(file.stat().st_size)
    before = file.read_bytes()
    monkeypatch.setattr(peakmask._page, "LIMIT", fine // 3)
    with pytest.raises(ValueError, match="would exceed .* choose about"):
        analysis.page(p, file, top=0)
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["page.html"]


def test_what_does_not_fit_is_refused(tmp_path):
    p = bumps(6, 9, 40)
    analysis = peakmask.analyze(p, 0.5)
    with pytest.raises(ValueError, match="pass the same P"):
        analysis.page(p[:, :, 1:], tmp_path / "page.html")
    with pytest.raises(ValueError, match="at least one time bin"):
        analysis.page(p, tmp_path / "page.html", bins=[])
    with pytest.raises(ValueError, match="x has shape"):
        analysis.page(p, tmp_path / "page.html", x=np.arange(5))
    assert os.listdir(tmp_path) == []


# ---- In a browser ----


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Open a browser of a certain size; all are closed in the end."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    assert CHROMIUM, "no chromium: install Debian's chromium"
    assert DRIVER, "no chromedriver: install Debian's chromium-driver"
    browsers = []

    def open_one(width=1280, height=1000, *more):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path_factory.mktemp('profile')}", f"--window-size={width},{height}", *more,
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(DRIVER))
        browsers.append(browser)
        return browser

    yield open_one
    for browser in browsers:
        browser.quit()


@pytest.fixture(scope="module")
def browser(start):
    return start()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, openfield):
    folder = tmp_path_factory.mktemp("pages")
    x, y = (np.arange(41) + 0.5) * 250 / 41, (np.arange(63) + 0.5) * 350 / 63
    path = np.column_stack([np.linspace(0, 250, 800), np.linspace(0, 350, 800)])
    analysis = peakmask.analyze(openfield, [0.5, 0.9])
    analysis.page(
        openfield,
        folder / "openfield.html",
        x=x,
        y=y,
        t=np.arange(800) * 0.25,
        units="cm",
        path=path,
        title="open field",
    )
    corner = np.zeros((4, 6, 70))
    corner[0, 5] = 1.0  # upper left
    corner[3, 0, :] = 0.25
    corner[0, 5, 66:] = np.nan
    peakmask.analyze(corner, 0.9).page(corner, folder / "corner.html")
    track = golden("track_logposterior_f64")[0]
    peakmask.analyze(track, [0.9, 2.0]).page(track, folder / "track.html")
    return folder


def load(browser, file):
    browser.get(file.as_uri())
    until(browser, "return bin !== null")


def until(browser, script, seconds=20):
    end = time.monotonic() + seconds
    while not browser.execute_script(script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def show(browser, i):
    browser.execute_async_script("const done = arguments[1]; show(arguments[0]).then(done)", i)


def text(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def pixels(browser, name="map"):
    shape = browser.execute_script(
        "const c = document.getElementById(arguments[0]); return [c.height, c.width, 4]", name
    )
    script = """
        const canvas = document.getElementById(arguments[0]);
        const bytes = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let binary = "";
        for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
        return btoa(binary);"""
    return np.frombuffer(base64.b64decode(browser.execute_script(script, name)), np.uint8).reshape(shape).astype(int)


def near(image, colour, reach=6):
    """Pixels of a colour."""
    return (np.abs(image[:, :, :3] - [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=2) <= reach).sum()


@pytest.mark.browser
def test_the_page_opens_without_a_complaint_or_a_network(browser, pages):
    for name in ("openfield", "corner", "track"):
        load(browser, pages / f"{name}.html")
        assert browser.get_log("browser") == []
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert text(browser, "alert") == ""
    load(browser, pages / "openfield.html")
    assert browser.title == "open field: peakmask"
    assert "63 cells, 800 time bins, masks of alpha 0.5, alpha 0.9" in text(browser, "subtitle")
    assert "rounded to 255 steps" in text(browser, "foot")
    refused = browser.execute_async_script(
        "fetch('https://example.org').then(() => arguments[0](0), () => arguments[0](1))"
    )
    assert refused == 1, "the page's own policy forbids the network"
    browser.get_log("browser")  # which says so


@pytest.mark.browser
def test_keys_slider_and_button_move_time(browser, pages):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    load(browser, pages / "openfield.html")
    body = browser.find_element(By.TAG_NAME, "body")
    at = 0
    for key, to in [
        (Keys.ARROW_RIGHT, 1), (Keys.ARROW_RIGHT, 2), (Keys.ARROW_LEFT, 1), (Keys.PAGE_DOWN, 11), (Keys.END, 799),
        (Keys.ARROW_RIGHT, 799), (Keys.PAGE_UP, 789), (Keys.HOME, 0), (Keys.ARROW_LEFT, 0),
    ]:  # fmt: skip
        body.send_keys(key)
        until(browser, f"return current === {to}")
        at = to
    slider = browser.find_element(By.ID, "bin")
    slider.send_keys(Keys.ARROW_RIGHT)  # once, not once by the page and once by the slider
    until(browser, f"return current === {at + 1}")
    time.sleep(0.1)
    assert browser.execute_script("return [current, Number(document.getElementById('bin').value)]") == [1, 1]
    assert text(browser, "now").startswith("bin 1, t = 0.25: highest ")
    assert slider.get_attribute("aria-valuetext") == "bin 1, t = 0.25"
    browser.execute_script("document.getElementById('speed').value = '60'")
    body.send_keys(" ")
    until(browser, "return playing && current > 20")
    body.send_keys(" ")
    until(browser, "return !playing")
    button = browser.find_element(By.ID, "play")
    button.send_keys(" ")  # pressed once, not twice
    until(browser, "return playing")
    assert button.text == "Pause"
    button.click()
    until(browser, "return !playing")
    stopped = browser.execute_script("return current")
    time.sleep(0.2)
    assert browser.execute_script("return current") - stopped <= 1
    show(browser, 799)
    button.click()
    until(browser, "return current < 100")  # from the end it starts again
    button.click()
    assert browser.get_log("browser") == []


@pytest.mark.browser
@pytest.mark.parametrize("timeline", ["heights", "areas", "counts"])
def test_a_click_on_a_timeline_moves_time(browser, pages, timeline):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    load(browser, pages / "openfield.html")
    canvas = browser.find_element(By.ID, timeline)
    left, width, whole = browser.execute_script(
        "return [LEFT, backdrops[arguments[0]].w, document.getElementById(arguments[0]).clientWidth]", timeline
    )
    x = left + 0.25 * width
    ActionChains(browser).move_to_element_with_offset(canvas, round(x - whole / 2), 0).click().perform()
    until(browser, "return Math.abs(current - 200) <= 2")


@pytest.mark.browser
def test_the_map_is_the_right_way_up_and_hover_tells_values(browser, pages):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    load(browser, pages / "corner.html")
    for layer in browser.find_elements(By.CSS_SELECTOR, "#layers input"):
        layer.click()  # the map alone
    image = pixels(browser)
    left, top, w, h, ratio = browser.execute_script("return [place.left, place.top, place.w, place.h, place.ratio]")

    def at(x, y):
        column, row = left + w * (x + 0.5) / 4, top + h * (1 - (y + 0.5) / 6)
        return image[int(row * ratio), int(column * ratio), :3].tolist()

    assert at(0, 5) == [253, 231, 37]
    assert at(1, 3) == at(3, 5) == at(0, 0) == [68, 1, 84]
    assert at(3, 0) == browser.execute_script("return viridis(0.25)")
    browser.execute_script(
        "const s = document.getElementById('scale'); s.value = 'sqrt'; s.dispatchEvent(new Event('change'))"
    )
    until(browser, "return shown.scale === 'sqrt'")
    time.sleep(0.1)
    image = pixels(browser)
    assert at(3, 0) == browser.execute_script("return viridis(0.5)")
    canvas = browser.find_element(By.ID, "map")
    half = browser.execute_script(
        "const c = document.getElementById('map'); return [c.clientWidth / 2, c.clientHeight / 2]"
    )

    def hover(x, y):
        column, row = left + w * (x + 0.5) / 4, top + h * (1 - (y + 0.5) / 6)
        ActionChains(browser).move_to_element_with_offset(
            canvas, round(column - half[0]), round(row - half[1])
        ).perform()
        return text(browser, "hover")

    assert (
        hover(0, 5)
        == "x = 0, y = 5 (cell 0, 5): P ≈ 1; in the mask of alpha 0.9; dominant peak, height 1, prominence 1"
    )
    assert hover(3, 0).startswith("x = 3, y = 0 (cell 3, 0): P ≈ 0.25")
    show(browser, 66)
    assert "no value" in hover(0, 5)
    image = pixels(browser)
    assert at(0, 5) == [170, 170, 170]
    load(browser, pages / "openfield.html")
    left, top, w, h = browser.execute_script("return [place.left, place.top, place.w, place.h]")
    canvas = browser.find_element(By.ID, "map")
    half = browser.execute_script(
        "const c = document.getElementById('map'); return [c.clientWidth / 2, c.clientHeight / 2]"
    )
    ActionChains(browser).move_to_element_with_offset(
        canvas, round(left + w / 2 - half[0]), round(top + h / 2 - half[1])
    ).perform()
    assert text(browser, "hover").startswith("x = 125 cm, y = 175 cm (cell 20, 31): P ≈ ")


@pytest.mark.browser
def test_outlines_are_where_masks_are_and_switches_switch(browser, pages, openfield):
    from selenium.webdriver.common.by import By

    load(browser, pages / "openfield.html")
    crimson = "#c63971"
    assert not peakmask.analyze(openfield[:, :, 799:], 0.9).masks[0].any()
    show(browser, 799)
    assert near(pixels(browser), crimson) == 0, "an empty mask has no outline, at the wall neither"
    show(browser, 410)
    with_it = near(pixels(browser), crimson)
    assert with_it > 50
    outer, inner, peaks, path = browser.find_elements(By.CSS_SELECTOR, "#layers input")
    inner.click()
    time.sleep(0.1)
    assert near(pixels(browser), crimson) == 0
    inner.click()
    time.sleep(0.1)
    assert near(pixels(browser), crimson) == with_it
    for layer, colour in ((outer, "#ffffff"), (peaks, "#ff9f1c"), (path, "#00e5ff")):
        before = near(pixels(browser), colour)
        layer.click()
        time.sleep(0.1)
        assert near(pixels(browser), colour) < before
        layer.click()


@pytest.mark.browser
def test_thirty_frames_a_second(browser, pages):
    load(browser, pages / "openfield.html")
    seconds = browser.execute_async_script("""
        const done = arguments[0], start = performance.now();
        (async () => { for (let i = 0; i < 300; i++) await show(i); done((performance.now() - start) / 1000); })()""")
    assert 300 / seconds > 30


@pytest.mark.browser
def test_a_phone_in_the_dark(start, pages):
    # Headless windows are no narrower than 500 pixels unless a device is emulated.
    browser = start(500, 900, "--force-dark-mode")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": True}
    )
    load(browser, pages / "openfield.html")
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    luminance = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(luminance) == "rgb(21, 23, 26)"
    browser.execute_script(
        "const s = document.getElementById('theme'); s.value = 'light'; s.dispatchEvent(new Event('change'))"
    )
    assert browser.execute_script(luminance) == "rgb(255, 255, 255)"
    assert browser.get_log("browser") == []


@pytest.mark.browser
def test_everything_is_reached_without_a_mouse(browser, pages):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    load(browser, pages / "openfield.html")
    reached = set()
    for _ in range(14):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.execute_script("const e = document.activeElement; return e.id || e.type"))
    assert {"play", "bin", "speed", "scale", "range", "theme", "checkbox"} <= reached
    for control in browser.find_elements(By.CSS_SELECTOR, "button, select, input"):
        assert control.accessible_name, control.get_attribute("outerHTML")


@pytest.mark.browser
def test_a_damaged_page_says_so(browser, pages, tmp_path):
    whole = (pages / "corner.html").read_text("utf-8")
    block = read(pages / "corner.html")["blocks"][1]
    (tmp_path / "damaged.html").write_text(whole.replace(block, block[:20] + "AAAA" + block[24:]), "utf-8")
    load(browser, tmp_path / "damaged.html")
    browser.execute_script("show(65)")
    until(browser, "return document.getElementById('alert').textContent.includes('damaged')")
