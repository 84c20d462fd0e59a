"""The same on a SLURM cluster, through dask-jobqueue: run it on a login node, with your own numbers.

    python slurm.py posterior.zarr masks.zarr      runs
    python slurm.py                                prints the job script

Needs ``pip install "peakmask[dask]" dask-jobqueue zarr pandas pyarrow``.

Workers are single-threaded processes: a chunk takes one thread, and SLURM's memory limit is seen by peakmask's guard.
"""

import sys

try:
    import dask
    import dask.array as da
    from dask_jobqueue import SLURMCluster
    from distributed import Client
except ImportError as error:
    sys.exit(f'{error}: pip install "peakmask[dask]" dask-jobqueue')

import peakmask.dask


def main():
    cluster = SLURMCluster(
        queue="cpu",
        cores=16,  # of each job
        processes=16,
        memory="64GB",
        walltime="01:00:00",
        scheduler_options={"dashboard_address": None},
    )
    if len(sys.argv) != 3:
        print(cluster.job_script())
        return
    cluster.scale(jobs=4)
    with Client(cluster):
        P = da.from_zarr(sys.argv[1])  # (x, y, t), in chunks of time
        lazy = peakmask.dask.analyze(P, alpha=[0.5, 0.9])
        _, peaks = dask.compute(lazy.masks.to_zarr(sys.argv[2], compute=False), lazy.peaks)
        peaks.to_dataframe().to_parquet("peaks.parquet")


if __name__ == "__main__":
    main()
