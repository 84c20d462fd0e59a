"""Streams: the pieces of a recording are the recording, wherever they come from and go to."""

import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from conftest import bumps
from same import assert_same_summary

import peakmask

ALPHAS = [0.5, 0.9]


def assert_holds(folder, expected, packed=False, track=False):
    load = {path.stem: np.load(path) for path in folder.iterdir()}
    masks = np.stack(expected.masks)
    if packed:
        assert np.array_equal(load["packed"], np.packbits(masks, axis=-1, bitorder="little"))
    else:
        assert load["masks"].dtype == bool
        assert np.array_equal(load["masks"], masks)
    assert load["alpha"].tolist() == ALPHAS
    assert np.array_equal(load["peak_offsets"], expected.peaks.offsets)
    assert np.array_equal(load["peak_coords"], expected.peaks.coords)
    assert np.array_equal(load["prominences"], expected.peaks.prominences)
    assert np.array_equal(load["peak_heights"], expected.peaks.heights)
    assert load["peak_heights"].dtype == expected.peaks.heights.dtype
    assert len(load) == 6


@pytest.mark.parametrize("masks", ["bytes", "packed"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_files_in_either_order_to_a_folder(tmp_path, masks, dtype):
    p = bumps(7, 9, 203).astype(dtype)
    expected = peakmask.analyze(p, ALPHAS)
    np.save(tmp_path / "c.npy", p)
    np.save(tmp_path / "f.npy", np.asfortranarray(p))
    np.save(tmp_path / "txy.npy", np.moveaxis(p, 2, 0).copy())
    for name, layout in [("c", None), ("f", None), ("txy", "txy")]:
        found = peakmask.stream(tmp_path / f"{name}.npy", ALPHAS, tmp_path / name, masks=masks, bins=50, layout=layout)
        assert_holds(tmp_path / name, expected, masks == "packed")
        assert isinstance(found.masks, np.memmap)
        assert np.array_equal(found.peaks[100].coords, expected.peaks[100].coords)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "c.npy", "f", "f.npy", "txy", "txy.npy"]


def test_tracks_and_no_bins(tmp_path):
    p = bumps(23, 1, 90)[:, 0]
    peakmask.stream(p, ALPHAS, tmp_path / "track", layout="xt", bins=16)
    assert_holds(tmp_path / "track", peakmask.analyze(p, ALPHAS, layout="xt"))
    peakmask.stream(p.T, ALPHAS, tmp_path / "tx", layout="tx", bins=16, masks="packed")
    assert_holds(tmp_path / "tx", peakmask.analyze(p, ALPHAS, layout="xt"), packed=True)
    none = np.zeros((4, 5, 0))
    peakmask.stream(none, ALPHAS, tmp_path / "none")
    assert_holds(tmp_path / "none", peakmask.analyze(none, ALPHAS))


def test_iterables_to_a_callback():
    p = bumps(7, 9, 100)
    expected = peakmask.analyze(p, ALPHAS)
    heard = []

    def hear(first, piece):
        heard.append((first, [mask.copy() for mask in piece.masks], piece.peaks.n_peaks))

    told = []
    assert peakmask.stream((p[:, :, a:b] for a, b in [(0, 7), (7, 8), (8, 100)]), ALPHAS, callback=hear,
                           progress=lambda done, total: told.append((done, total))) is None  # fmt: skip
    assert [first for first, *_ in heard] == [0, 7, 8]
    assert all(
        (np.concatenate([masks[i] for _, masks, _ in heard], axis=2) == expected.masks[i]).all() for i in range(2)
    )
    assert sum(n for *_, n in heard) == expected.peaks.n_peaks
    assert told[-1] == (100, 0)


def test_nothing_is_left_of_a_stream_that_fails(tmp_path):
    p = bumps(7, 9, 100)

    def fail(first, piece):
        if first >= 32:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        peakmask.stream(p, ALPHAS, tmp_path / "out", callback=fail, bins=16)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("")
    with pytest.raises(FileExistsError, match="is there already"):
        peakmask.stream(p, ALPHAS, tmp_path / "out")
    for wrong, match in [
        ({}, "somewhere to go"),
        ({"out": tmp_path / "a", "masks": "bits"}, "masks is one of"),
        ({"out": tmp_path / "a", "bins": 0}, "bins"),
    ]:
        with pytest.raises(ValueError, match=match):
            peakmask.stream(p, ALPHAS, **wrong)
    with pytest.raises(ValueError, match="does not say"):
        peakmask.stream(iter([p]), ALPHAS, tmp_path / "a")
    with pytest.raises(ValueError, match="there are no pieces"):
        peakmask.stream(iter([]), ALPHAS, tmp_path / "a")
    with pytest.raises(ValueError, match="piece at time bin 100"):
        peakmask.stream(iter([p, p[:5]]), ALPHAS, callback=print)
    with pytest.raises(ValueError, match="looks like"):
        peakmask.stream(np.moveaxis(p, 2, 0).copy(), ALPHAS, tmp_path / "a")
    with pytest.raises(TypeError, match="a folder or a zarr"):
        peakmask.stream(p, ALPHAS, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("masks", ["bytes", "packed"])
def test_zarr_in_and_out(tmp_path, masks):
    zarr = pytest.importorskip("zarr")
    p = bumps(7, 9, 203)
    expected = peakmask.analyze(p, ALPHAS)
    group = zarr.open_group(str(tmp_path / "p.zarr"), mode="w")
    make = getattr(group, "create_array", None) or group.create_dataset
    stored = make("p", shape=p.shape, chunks=(7, 9, 64), dtype=p.dtype)
    stored[...] = p
    for source in (stored, iter([p[:, :, :64], p[:, :, 64:]])):
        out = zarr.open_group(str(tmp_path / "out.zarr"), mode="w")
        found = peakmask.stream(source, ALPHAS, out, masks=masks, bins=64)
        right = np.stack(expected.masks)
        if masks == "packed":
            assert np.array_equal(out["packed"][...], np.packbits(right, axis=-1, bitorder="little"))
        else:
            assert np.array_equal(out["masks"][...], right)
        assert np.array_equal(out["peak_offsets"][...], expected.peaks.offsets)
        assert np.array_equal(out["peak_coords"][...], expected.peaks.coords)
        assert np.array_equal(out["prominences"][...], expected.peaks.prominences)
        assert np.array_equal(found.peaks.heights, expected.peaks.heights)


@pytest.mark.parametrize("masks", ["bytes", "packed", None])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_summary_in_pieces_is_that_of_the_whole(tmp_path, masks, dtype):
    p = bumps(7, 9, 203).astype(dtype)
    p[:, :, 50] = 1.0
    animal = np.random.default_rng(1).uniform(0, 9, (203, 2))
    options = {"summary": True, "animal": animal, "radius": 2.5}
    expected = peakmask.analyze(p, ALPHAS, **options)
    np.save(tmp_path / "p.npy", np.moveaxis(p, 2, 0).copy())
    found = peakmask.stream(tmp_path / "p.npy", ALPHAS, tmp_path / "out", masks=masks, bins=50, layout="txy", **options)
    assert_same_summary(found.summary, expected.summary)
    assert isinstance(found.summary.area, np.memmap)
    assert_same_summary(peakmask.Summary.load(tmp_path / "out/summary"), expected.summary)
    assert np.array_equal(found.summary.focality(), expected.summary.focality())
    assert (found.masks is None) == (masks is None)
    if masks:
        right = np.stack(expected.masks)
        assert np.array_equal(found.masks, right if masks == "bytes" else np.packbits(right, -1, bitorder="little"))
    assert np.array_equal(found.peaks.coords, expected.peaks.coords)
    of_masks = {"bytes": {"masks.npy"}, "packed": {"packed.npy"}, None: set()}[masks]
    assert {path.name for path in (tmp_path / "out").iterdir()} == of_masks | {
        "alpha.npy", "peak_offsets.npy", "peak_coords.npy", "prominences.npy", "peak_heights.npy", "summary",
    }  # fmt: skip
    # One piece, one bin a piece, no bins, no levels, and a track.
    assert_same_summary(peakmask.stream(p, ALPHAS, tmp_path / "one", **options).summary, expected.summary)
    none = np.zeros((4, 5, 0), dtype)
    found = peakmask.stream(none, ALPHAS, tmp_path / "none", masks=masks, summary=True)
    assert_same_summary(found.summary, peakmask.analyze(none, ALPHAS, summary=True).summary)
    found = peakmask.stream(p, [], tmp_path / "bare", masks=masks, summary=True, bins=8)
    assert_same_summary(found.summary, peakmask.analyze(p, [], summary=True).summary)
    track = np.ascontiguousarray(p[:, 4])
    found = peakmask.stream(track.T, ALPHAS, tmp_path / "track", masks=masks, summary=True, bins=8, layout="tx")
    assert_same_summary(found.summary, peakmask.analyze(track, ALPHAS, summary=True, layout="xt").summary)


def test_levels_of_other_kinds_are_known_again(tmp_path):
    p = bumps(7, 9, 100)
    levels = [0.5, peakmask.absolute(0.02), peakmask.coverage(0.5)]
    expected = peakmask.analyze(p, levels, summary=True).summary
    peakmask.stream(p, levels, tmp_path / "out", summary=True, bins=16, masks=None)
    assert_same_summary(peakmask.Summary.load(tmp_path / "out/summary"), expected)


@pytest.mark.parametrize("masks", ["bytes", "packed", None])
def test_a_callback_has_the_summary_of_its_piece(masks):
    p = bumps(7, 9, 100)
    animal = np.random.default_rng(1).uniform(0, 9, (100, 2))
    heard = []
    cuts = [(0, 7), (7, 7), (7, 8), (8, 100)]
    peakmask.stream(
        (p[:, :, a:b] for a, b in cuts), ALPHAS, callback=lambda first, piece: heard.append((first, piece)),
        masks=masks, summary=True, animal=animal,
    )  # fmt: skip
    assert [first for first, _ in heard] == [first for first, _ in cuts]
    for (a, b), (_, piece) in zip(cuts, heard):
        alone = peakmask.analyze(p[:, :, a:b], ALPHAS, summary=True, animal=animal[a:b])
        assert_same_summary(piece.summary, alone.summary)
        assert len(piece.masks) == (2 if masks else 0)
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(piece.masks, alone.masks))


def test_zarr_has_the_summary_of_the_whole(tmp_path):
    zarr = pytest.importorskip("zarr")
    p = bumps(7, 9, 203)
    expected = peakmask.analyze(p, ALPHAS, summary=True).summary
    for i, cuts in enumerate([[0, 64, 64, 65, 203], [0, 203], [0, 0]]):
        group = zarr.open_group(str(tmp_path / f"{i}.zarr"), mode="w")
        pieces = iter([p[:, :, a:b] for a, b in zip(cuts, cuts[1:])])
        found = peakmask.stream(pieces, ALPHAS, group, masks=None, summary=True)
        right = expected if cuts[-1] else peakmask.analyze(p[:, :, :0], ALPHAS, summary=True).summary
        assert_same_summary(found.summary, right)
        assert_same_summary(peakmask.Summary.load(tmp_path / f"{i}.zarr/summary"), right)
        assert "masks" not in group


def test_summaries_that_a_stream_refuses(tmp_path):
    p = bumps(7, 9, 100)
    out = tmp_path / "out"
    for given, more, sentence in [
        (p, {"animal": np.zeros((100, 2))}, "summary=True"),
        (p, {"summary": True, "animal": np.zeros((99, 2))}, "positions for 99 time bins, but there are 100"),
        (p, {"summary": True, "animal": np.zeros(100)}, r"animal has shape \(100,\)"),
        (iter([p]), {"summary": True, "masks": None}, "a folder of summaries needs to know"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            peakmask.stream(given, ALPHAS, out, **more)
    # Of an iterable the number of bins is known at its end.
    for n, sentence in [
        (99, "for 99 time bins, but there are at least 100"),
        (101, "for 101 time bins, but there are 100"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            peakmask.stream(
                iter([p[:, :, :60], p[:, :, 60:]]), ALPHAS, callback=lambda first, piece: None, summary=True,
                animal=np.zeros((n, 2)),
            )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
import numpy as np
import peakmask
from peakmask import _stream

bins_of = _stream.bins_of
left = [int(sys.argv[1])]

def of_a_column(*bins):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return bins_of(*bins)

_stream.bins_of = of_a_column
# Mapped pages are given back after each piece.
_stream.KEPT_MAPPED = 0
animal = np.load("animal.npy")
peakmask.stream(
    "p.npy", [0.5, 0.9], "out", masks=sys.argv[2], bins=int(sys.argv[3]), summary=True, animal=animal, radius=2.5,
    resume=True, layout="txy",
)
print("done")
"""


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a signal")
@pytest.mark.parametrize("masks", ["bytes", "packed"])
def test_a_killed_stream_is_continued_to_the_same_bytes(tmp_path, masks):
    p = bumps(7, 9, 203)
    animal = np.random.default_rng(1).uniform(0, 9, (203, 2))
    np.save(tmp_path / "p.npy", np.moveaxis(p, 2, 0).copy())
    np.save(tmp_path / "animal.npy", animal)
    options = {"masks": masks, "summary": True, "animal": animal, "radius": 2.5, "layout": "txy"}
    peakmask.stream(tmp_path / "p.npy", ALPHAS, tmp_path / "whole", **options)
    whole = contents(tmp_path / "whole")
    # In the middle of writing a piece, again and again: between masks and a summary, or two of its columns.
    runs = []
    for kill_after, bins in [(24, 16), (30, 16), (1, 40), (47, 8), (70, 24), (10**9, 16)]:
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, str(kill_after), masks, str(bins)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        runs.append(ran.returncode)
        assert (tmp_path / "out").exists() == (ran.returncode == 0)
        assert ran.stdout == ("done\n" if ran.returncode == 0 else ""), ran.stderr
    assert runs == [-9] * 5 + [0]
    assert contents(tmp_path / "out") == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["animal.npy", "out", "p.npy", "whole"]


def test_an_interrupted_stream_goes_on_where_it_was(tmp_path):
    p = bumps(7, 9, 100)
    np.save(tmp_path / "p.npy", p)
    heard = []

    def hear(first, piece):
        heard.append(first)
        if first == 48:
            raise KeyboardInterrupt

    begin = partial(peakmask.stream, tmp_path / "p.npy", ALPHAS, tmp_path / "out", bins=16, summary=True)
    with pytest.raises(KeyboardInterrupt):
        begin(callback=hear, resume=True)
    kept = tmp_path / ".peakmask-out.partial-python"
    assert sorted(tmp_path.iterdir()) == [kept, tmp_path / "p.npy"]
    with pytest.raises(FileExistsError, match="an unfinished stream is in .*; go on with resume=True"):
        begin()
    # What results depend on has to be the same; what they do not depend on may differ.
    for other in (
        {"masks": "packed"}, {"connectivity": 8}, {"region": "whole"}, {"nan_policy": "off_track"}, {"summary": False},
        {"animal": np.zeros((100, 2))}, {"radius": 2.0}, {"layout": "xyt"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"begun with other options .*{next(iter(other))} differs"):
            begin(resume=True, **other)
    with pytest.raises(ValueError, match="begun with other options .*alpha differs"):
        peakmask.stream(tmp_path / "p.npy", [0.5, peakmask.absolute(0.9)], tmp_path / "out", summary=True, resume=True)
    with open(kept / ".lock", "r+") as lock:
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another stream is at work"):
            begin(resume=True)
    before = contents(kept)
    heard.clear()
    found = begin(callback=lambda first, piece: heard.append(first), resume=True, threads=1, backend="cpu")
    assert heard == [48, 64, 80, 96]
    expected = peakmask.analyze(p, ALPHAS, summary=True)
    assert np.array_equal(found.masks, np.stack(expected.masks))
    assert np.array_equal(found.peaks.coords, expected.peaks.coords)
    assert_same_summary(found.summary, expected.summary)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "out", tmp_path / "p.npy"]
    # Another input: other values, or the same ones written anew.
    (tmp_path / "out").rename(kept)
    for name, content in before.items():
        (kept / name).write_bytes(content)
    np.save(tmp_path / "p.npy", p[:, :, ::-1])
    with pytest.raises(ValueError, match="begun with another input"):
        begin(resume=True)


def test_all_but_the_name_was_done(tmp_path):
    p = bumps(7, 9, 100)
    np.save(tmp_path / "p.npy", p)
    (tmp_path / "out").mkdir()
    begin = partial(peakmask.stream, tmp_path / "p.npy", ALPHAS, tmp_path / "out", bins=48, resume=True, masks="packed")

    def fill(first, piece):
        if first == 96:
            (tmp_path / "out/mine").write_text("")

    with pytest.raises(OSError):  # noqa: PT011 (each system has its own)
        begin(callback=fill)
    (tmp_path / "out/mine").unlink()
    begin()
    assert_holds(tmp_path / "out", peakmask.analyze(p, ALPHAS), packed=True)


def test_what_cannot_be_continued_begins_anew_or_is_refused(tmp_path):
    p = bumps(7, 9, 100)
    np.save(tmp_path / "p.npy", p)
    kept = tmp_path / ".peakmask-out.partial-python"
    for note in (None, b"", b"{"):
        kept.mkdir()
        (kept / "summary").mkdir()
        (kept / "packed.npy").write_bytes(b"of another time")
        if note is not None:
            (kept / ".progress.json").write_bytes(note)
        peakmask.stream(tmp_path / "p.npy", ALPHAS, tmp_path / "out", resume=True)
        assert_holds(tmp_path / "out", peakmask.analyze(p, ALPHAS))
        shutil.rmtree(tmp_path / "out")
    for source, out in [(p, tmp_path / "out"), (tmp_path / "p.npy", None)]:
        with pytest.raises(ValueError, match="from a file to a folder"):
            peakmask.stream(source, ALPHAS, out, callback=print, resume=True)
    # Nothing was done yet: nothing is kept.
    np.save(tmp_path / "flat.npy", p[0])
    with pytest.raises(ValueError, match="three axes"):
        peakmask.stream(tmp_path / "flat.npy", ALPHAS, tmp_path / "out", resume=True)
    with pytest.raises(ZeroDivisionError):
        peakmask.stream(tmp_path / "p.npy", ALPHAS, tmp_path / "out", callback=lambda first, piece: 1 / 0, resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.npy", "p.npy"]
