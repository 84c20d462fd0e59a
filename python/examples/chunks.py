"""Chunks of time on a cluster: here two processes of this machine, elsewhere the same code (see slurm.py)."""

import dask
import dask.array as da
import numpy as np
import xarray as xr
from distributed import Client, LocalCluster
from recording import posterior

import peakmask
import peakmask.dask


def half(maps):
    """Masks of a chunk; apply_ufunc moves the core dimensions to the end: (time, x, y)."""
    return peakmask.analyze(maps, 0.5, layout="txy", threads=1).masks[0]


if __name__ == "__main__":
    in_memory = posterior(800)
    expected = peakmask.analyze(in_memory, [0.5, 0.9])
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        P = da.from_array(in_memory, chunks=(-1, -1, 100))  # or da.from_zarr(...)
        lazy = peakmask.dask.analyze(P, alpha=[0.5, 0.9])
        areas, peaks = dask.compute(lazy.masks.sum(axis=(1, 2)), lazy.peaks)
        np.testing.assert_array_equal(areas, expected.areas)
        np.testing.assert_array_equal(peaks.heights, expected.peaks.heights)
        print(f"{peaks!r}; areas {areas.mean(axis=1)}")

        # The same with xarray's own means.
        labelled = xr.DataArray(P, dims=("x", "y", "time"))
        mask = xr.apply_ufunc(
            half,
            labelled,
            input_core_dims=[["x", "y"]],
            output_core_dims=[["x", "y"]],
            dask="parallelized",
            output_dtypes=[bool],
        )
        np.testing.assert_array_equal(mask.transpose("x", "y", "time"), expected.masks[0])
