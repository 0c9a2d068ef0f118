"""Scan archives in a bucket with a cluster that somebody else runs for you: Coiled here; any that gives a Dask client is alike.

    pip install 'takeout-index[s3]' coiled; coiled login
    python recipes/service.py s3://bucket/takeout-001.zip s3://bucket/takeout-002.zip -o s3://bucket/index --workers 20

The service starts machines in an account of yours, best in the region of the bucket (--region), installs there what is
installed here, and ends them afterwards, or after ten minutes without work. Workers read and write the bucket, with the
rights that the service gives them there; nothing else is shared. The driver runs here: it lists and pairs, and fetches the
rows to write the index. Where this is far from the bucket, run it on a machine that is not.
"""

from __future__ import annotations

import argparse
import sys


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="parts of one library, that workers can read")
    parser.add_argument("-o", "--output", required=True, metavar="URL", help="results, where workers can write")
    parser.add_argument("--workers", type=int, default=10, help="machines; default: 10")
    parser.add_argument("--cpu", type=int, default=2, help="processors of a machine; default: 2")
    parser.add_argument("--region", help="that of the bucket; default: the account's")
    parser.add_argument("--spot", action="store_true", help="machines that may be taken away, at a lower price")
    parser.add_argument("--threads", type=int, default=32, help="I/O threads within a task; default: 32")
    parser.add_argument("--shard-files", type=int, default=2000, help="photos and videos of a task; default: 2,000")
    return parser


def main() -> None:
    """Start the machines, scan, and end them."""
    given = arguments().parse_args()
    import coiled

    from pipeline import Settings, scan

    with (
        coiled.Cluster(
            name="takeout-index",
            n_workers=given.workers,
            worker_cpu=given.cpu,
            region=given.region,
            spot_policy="spot_with_fallback" if given.spot else "on-demand",
            worker_options={"nthreads": 1},
            idle_timeout="10 minutes",
        ) as cluster,
        cluster.get_client() as client,
    ):
        print(f"{len(client.nthreads())} workers at work", file=sys.stderr)
        # `scan` finds the client by itself, as that of any calling program.
        settings = Settings(threads=given.threads, processes=1, shard_files=given.shard_files)
        print(scan(given.inputs, given.output, settings))


if __name__ == "__main__":
    main()
