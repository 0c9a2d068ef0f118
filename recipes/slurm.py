"""Scan a library on a SLURM cluster: the workers are jobs, submitted for this scan and ended with it.

Run it where jobs can be submitted and the library be read, best in a job of its own (sbatch --wrap); it is the driver, which
lists, pairs and writes the index. It needs `pip install dask-jobqueue` beside this program, in an environment that every node
sees.

    python recipes/slurm.py /shared/takeout-*.zip -o /shared/index --jobs 10 --cores 4 --queue short --walltime 02:00:00

Library and results lie on a file system that all nodes share under the same paths. What the driver and the jobs say to each
other is encrypted, with a certificate of this run, which lies beside the results as long as it lasts, for your eyes alone.
Interrupted or killed, the same command goes on from the shards that are done. With --show it prints the script of a job, and
submits nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="parts of one library")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--jobs", type=int, default=4, help="jobs at a time; default: 4")
    parser.add_argument("--cores", type=int, default=4, help="cores of a job, each with a worker process; default: 4")
    parser.add_argument("--memory", help="memory of a job; default: 1 GB for each core")
    parser.add_argument("--walltime", default="01:00:00", help="time of a job; default: 01:00:00")
    parser.add_argument("--queue", help="partition; default: the cluster's own")
    parser.add_argument("--account", help="account that the jobs are charged to")
    parser.add_argument("--interface", help="network that nodes reach this one by, as ib0; default: the usual one")
    parser.add_argument("--threads", type=int, default=8, help="I/O threads within a task; default: 8")
    parser.add_argument("--shard-files", type=int, default=2000, help="photos and videos of a task; default: 2,000")
    parser.add_argument("--show", action="store_true", help="print the script of a job, and submit nothing")
    return parser


def main() -> None:
    """Submit the jobs, scan, and end them."""
    given = arguments().parse_args()
    from dask_jobqueue import SLURMCluster
    from distributed import Client
    from distributed.security import Security

    from pipeline import Settings, scan

    beside = Path(given.output).expanduser().absolute().parent
    beside.mkdir(parents=True, exist_ok=True)
    with SLURMCluster(
        cores=given.cores,
        processes=given.cores,  # single-threaded, as what they do takes a processor
        memory=given.memory or f"{given.cores} GB",
        walltime=given.walltime,
        queue=given.queue,
        account=given.account,
        interface=given.interface,
        protocol="tls://",
        security=Security.temporary(),
        shared_temp_directory=str(beside),
        scheduler_options={"dashboard_address": "127.0.0.1:0"},
        worker_extra_args=["--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
    ) as cluster:
        if given.show:
            print(cluster.job_script())
            return
        # No more and no fewer: a job that has ended, by its time limit or otherwise, is replaced.
        cluster.adapt(minimum_jobs=given.jobs, maximum_jobs=given.jobs)
        with Client(cluster) as client:
            print(f"waiting for the first of {given.jobs} jobs (squeue --me)", file=sys.stderr)
            client.wait_for_workers(1)
            settings = Settings(threads=given.threads, processes=1, shard_files=given.shard_files)
            print(scan(given.inputs, given.output, settings))


if __name__ == "__main__":
    main()
