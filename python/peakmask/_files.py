"""Analyses in `.npz` files and zarr groups."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ._analysis import Analysis, Peaks, Report
from ._forms import PackedMask, SparseMask
from ._inputs import Labels
from ._levels import kinds_of, of_kinds
from ._summary import ABSENT, BY_BIN, BY_LEVEL, Summary

FORMAT = "peakmask.Analysis 1"
OF_SUMMARY = "peakmask.Summary 1"
OF_PROGRAM = b"peakmask run 1"
"""What the archives of `peakmask run` call themselves."""
CHUNK = 1 << 16
"""The most rows of a chunk of zarr, along each axis."""


TEXTS = ("format", "report", "names", "form", "region", "nan_policy", "prominence", "level_kind")
"""What a zarr group keeps as attributes: its arrays hold numbers."""


def save(analysis: Analysis, file: str | os.PathLike[str] | Any) -> None:
    """Write an analysis under a temporary name beside the file, and give it its name when it is complete."""
    _put(_columns(analysis), file)


def _put(columns: dict[str, NDArray[Any]], file: str | os.PathLike[str] | Any) -> None:
    if not isinstance(file, (str, os.PathLike)):
        return _to_group(columns, file)
    path = os.fspath(file)
    if path.endswith(".zarr"):
        return _save_folder(columns, path)
    handle, temporary = tempfile.mkstemp(prefix=".peakmask-", suffix=".npz", dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **columns)  # type: ignore[arg-type]
            stream.flush()
            os.fsync(stream.fileno())
        # As `open` would have made it, not for its owner alone.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _save_folder(columns: dict[str, NDArray[Any]], path: str) -> None:
    import zarr

    if os.path.lexists(path):
        raise FileExistsError(f"{path} is there already; remove it, or give another name")
    folder, name = os.path.split(path)
    work = os.path.join(folder, f".peakmask-{name}.partial-{os.getpid()}")
    try:
        _to_group(columns, zarr.open_group(work, mode="w"))
        os.rename(work, path)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _to_group(columns: dict[str, NDArray[Any]], group: Any) -> None:
    if type(group).__module__.partition(".")[0] != "zarr":
        raise TypeError(f"results are saved to a path or a zarr.Group, not a {type(group).__name__}")
    make = getattr(group, "create_array", None) or group.create_dataset
    for name, column in columns.items():
        if column.dtype.kind in "US":
            continue
        # Zarr has no chunks of no elements.
        chunks = tuple(min(max(n, 1), CHUNK) for n in column.shape)
        make(name, shape=column.shape, chunks=chunks, dtype=column.dtype)[...] = column
    # At the end: a group without them holds nothing complete.
    group.attrs.update(texts(columns))


def texts(columns: dict[str, NDArray[Any]]) -> dict[str, str | list[str]]:
    """Those that are no numbers, as the attributes of a zarr group."""
    return {name: column.astype(str).tolist() for name, column in columns.items() if column.dtype.kind in "US"}


def _from_group(group: Any) -> dict[str, NDArray[Any]]:
    columns = {name: np.asarray(array[...]) for name, array in group.arrays()}
    columns.update({name: np.array(group.attrs[name]) for name in TEXTS if name in group.attrs})
    if "level_kind" in columns:
        columns["level_kind"] = columns["level_kind"].astype("S")
    return columns


def load(file: str | os.PathLike[str] | Any) -> Analysis:
    """Read an analysis that `Analysis.save` has written: a ``.npz`` file, a folder of zarr, or a ``zarr.Group``.

    Or an archive of ``peakmask run``: the program keeps its report and its summary in files of their own (`Summary.load`).
    Masks come back in the form that they had. Nothing in the file is executed: it holds arrays of numbers and text.

    Raises
    ------
    ValueError
        When the file holds no analysis.
    """
    group: Any = file
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        import zarr

        group = zarr.open_group(os.fspath(file), mode="r")
    if type(group).__module__.partition(".")[0] == "zarr":
        if group.attrs.get("format") != FORMAT:
            raise ValueError(f"{file!r} holds no analysis that this version of peakmask has saved")
        return _analysis(_from_group(group))
    with np.load(file, allow_pickle=False) as columns:
        if "format" in columns and columns["format"].item() == OF_PROGRAM:
            return _analysis(_of_program({name: columns[name] for name in columns}))
        if "format" not in columns or str(columns["format"]) != FORMAT:
            raise ValueError(f"{os.fspath(file)!r} holds no analysis that this version of peakmask has saved")
        return _analysis({name: columns[name] for name in columns})


def save_summary(summary: Summary, file: str | os.PathLike[str] | Any) -> None:
    """Write a summary alone, as `save` writes analyses."""
    labels = summary._labels
    columns: dict[str, Any] = {
        "format": np.array(OF_SUMMARY),
        "names": np.array(labels.names),
        **about_summary(summary.alpha, summary._shape),
        **summary.columns(),
        **_centres(labels),
    }
    _put(columns, file)


def about_summary(alpha: Sequence[float], shape: tuple[int, int] | None) -> dict[str, NDArray[Any]]:
    """What a summary's columns are about: levels, and the shape of maps."""
    about: dict[str, NDArray[Any]] = {"alpha": np.array(alpha, np.float64)}
    kinds = kinds_of(alpha)
    if kinds is not None:
        about["level_kind"] = kinds
    if shape is not None:
        about["shape"] = np.array(shape, np.int64)
    return about


def load_summary(file: str | os.PathLike[str] | Any) -> Summary:
    """Read a summary: a ``.npz`` file, a folder of ``.npy`` files or of zarr, or a ``zarr.Group``."""
    group: Any = file
    columns: dict[str, NDArray[Any]] = {}
    if isinstance(file, (str, os.PathLike)) and os.path.isdir(file):
        names = sorted(name[:-4] for name in os.listdir(file) if name.endswith(".npy"))
        columns = {name: np.load(os.path.join(file, f"{name}.npy"), mmap_mode=_mode(name)) for name in names}
        if not columns:
            import zarr

            group = zarr.open_group(os.fspath(file), mode="r")
    if type(group).__module__.partition(".")[0] == "zarr":
        columns = _from_group(group) if group.attrs.get("format") == OF_SUMMARY else {}
    elif not columns and not (isinstance(file, (str, os.PathLike)) and os.path.isdir(file)):
        with np.load(file, allow_pickle=False) as members:
            columns = {name: members[name] for name in members}
    return _summary(columns, file)


def _mode(name: str) -> Literal["r"] | None:
    """Columns are mapped; what they are about is read."""
    return "r" if name in (*BY_BIN, *BY_LEVEL) else None


def _summary(columns: dict[str, NDArray[Any]], file: Any) -> Summary:
    missing = [name for name in ("alpha", *BY_BIN, *BY_LEVEL) if name not in columns and name not in ABSENT]
    if missing:
        raise ValueError(f"{file!r} holds no summary: it has no column {missing[0]!r}")
    alpha: tuple[float, ...] = tuple(columns["alpha"].tolist())
    if "level_kind" in columns:
        alpha = tuple(of_kinds(alpha, columns["level_kind"].tolist()))
    for name, nothing in ABSENT.items():
        columns.setdefault(name, np.full(columns["area" if name in BY_LEVEL else "live"].shape, nothing))
    x_name, y_name, t_name = columns["names"].tolist() if "names" in columns else Labels().names
    labels = Labels((x_name, y_name, t_name), columns.get("label_x"), columns.get("label_y"), columns.get("label_t"))
    n_x, n_y = columns["shape"].tolist() if "shape" in columns else (0, 0)
    return Summary(alpha, columns, labels, (n_x, n_y) if "shape" in columns else None)


def _centres(labels: Labels) -> dict[str, NDArray[Any]]:
    """The coordinates that labels have."""
    given = {f"label_{name}": getattr(labels, name) for name in ("x", "y", "t")}
    return {name: np.asarray(centres) for name, centres in given.items() if centres is not None}


def _columns(analysis: Analysis) -> dict[str, NDArray[Any]]:
    peaks, labels = analysis.peaks, analysis._labels
    columns: dict[str, Any] = {
        "format": np.array(FORMAT),
        "alpha": np.array(analysis.alpha, np.float64),
        "shape": np.array(analysis.shape, np.int64),
        "axes": np.array(analysis._axes, np.int64),
        "connectivity": np.array(analysis.connectivity),
        "region": np.array(analysis.region),
        "nan_policy": np.array(analysis.nan_policy),
        "prominence": np.array(analysis.prominence),
        "track": np.array(analysis._track),
        "report": np.array(json.dumps(dict(analysis.report))),
        "names": np.array(labels.names),
        "offsets": peaks.offsets,
        "coords": peaks.coords,
        "prominences": peaks.prominences,
        "heights": peaks.heights,
    }
    columns.update(_centres(labels))
    kinds = kinds_of(analysis.alpha)
    if kinds is not None:
        columns["level_kind"] = kinds
    form = "bytes" if analysis.packed is None and analysis.sparse is None else "packed"
    for i, mask in enumerate(analysis._maps):
        columns[f"mask_{i}"] = np.packbits(mask.transpose(analysis._axes), axis=-1, bitorder="little")
    for i, packed in enumerate(analysis.packed or []):
        columns[f"mask_{i}"] = packed.bits
    for i, sparse in enumerate(analysis.sparse or []):
        columns[f"mask_{i}_offsets"], columns[f"mask_{i}_cells"] = sparse.offsets, sparse.cells
    columns["form"] = np.array("sparse" if analysis.sparse is not None else form)
    columns["masks"] = np.array(len(analysis.masks or analysis.packed or analysis.sparse or []))
    if analysis.summary is not None:
        columns.update({f"summary_{name}": column for name, column in analysis.summary.columns().items()})
    return columns


def _of_program(found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns of an archive of the program, as `save` would have written them."""
    words = ("form", "connectivity", "prominence", "region", "nan_policy")
    columns: dict[str, Any] = {name: np.array(found[name].item().decode()) for name in words}
    columns["connectivity"] = columns["connectivity"].astype(np.int64)
    n_x, n_y, n_t = found["shape"].tolist()
    coords = found["peak_coords"]
    track = coords.shape[1] == 1
    report = {"bins": n_t, "peaks": len(coords)}
    columns.update(
        {name: found[name] for name in ("alpha", "level_kind", "shape", "prominences") if name in found},
        axes=np.arange(3),
        track=np.array(track),
        report=np.array(json.dumps(report)),
        names=np.array(Labels().names),
        offsets=found["peak_offsets"],
        coords=np.concatenate([coords, np.zeros_like(coords)], axis=1) if track else coords,
        heights=found["peak_heights"],
    )
    form = str(columns["form"])
    columns["masks"] = np.array(0 if form == "none" else len(found["alpha"]))
    for i in range(int(columns["masks"])):
        if form == "sparse":
            for part in ("offsets", "cells"):
                columns[f"mask_{i}_{part}"] = found[f"mask_{part}_{i}"]
        else:
            mask = found["packed" if form == "packed" else "masks"][i]
            bits = mask if form == "packed" else np.packbits(mask, axis=-1, bitorder="little")
            columns[f"mask_{i}"] = bits.reshape(n_x, n_y, -1)
    if form == "none":
        columns["form"] = np.array("bytes")
    return columns


def _analysis(columns: dict[str, NDArray[Any]]) -> Analysis:
    alpha: tuple[float, ...] = tuple(columns["alpha"].tolist())
    if "level_kind" in columns:
        alpha = tuple(of_kinds(alpha, columns["level_kind"].tolist()))
    track = bool(columns["track"])
    n_x, n_y, n_t = columns["shape"].tolist()
    shape = (n_x, n_y, n_t)
    a, b, c = columns["axes"].tolist()
    x_name, y_name, t_name = columns["names"].tolist()
    labels = Labels((x_name, y_name, t_name), columns.get("label_x"), columns.get("label_y"), columns.get("label_t"))
    form, n_masks = str(columns["form"]), int(columns["masks"])
    back = np.argsort((a, b, c))
    masks: list[NDArray[np.bool_]] = []
    packed = sparse = None
    if form == "sparse":
        pairs = [(columns[f"mask_{i}_offsets"], columns[f"mask_{i}_cells"]) for i in range(n_masks)]
        sparse = [SparseMask(offsets, cells, shape) for offsets, cells in pairs]
    else:
        packed = [PackedMask(columns[f"mask_{i}"], n_t) for i in range(n_masks)]
        if form == "bytes":
            masks, packed = [np.ascontiguousarray(mask.expand()).transpose(back) for mask in packed], None
            masks = [mask.squeeze(axis=b) for mask in masks] if track else masks
    summary = None
    if "summary_live" in columns:
        summary = Summary(
            alpha, {name: columns[f"summary_{name}"] for name in (*BY_BIN, *BY_LEVEL)}, labels, (n_x, n_y)
        )
    peaks = Peaks(
        columns["offsets"],
        columns["coords"],
        columns["prominences"],
        columns["heights"],
        labels,
        (n_x, n_y),
        track=track,
    )
    return Analysis(
        alpha,
        masks,
        peaks,
        Report(str(columns["report"])),
        shape=shape,
        axes=(a, b, c),
        connectivity=int(columns["connectivity"]),
        labels=labels,
        prominence=str(columns["prominence"]),
        region=str(columns["region"]),
        nan_policy=str(columns["nan_policy"]),
        track=track,
        packed=packed,
        sparse=sparse,
        summary=summary,
    )
