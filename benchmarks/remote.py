"""Scans of a bucket of zips behind a network: requests, bytes and time against what latency and threads allow.

python -m benchmarks.remote [--latency-ms 20] [--threads 8,16,32]

The service is rclone's S3 server of a folder, real clients ask it; a proxy in front of it lets each request wait. The bound is
what the requests of a run would take if all threads waited for one all the time, and nothing else took any.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.runs import PYTHON
from benchmarks.runs import environment as own_environment
from pipeline.synthetic import make_library
from tests.servers import KEY, SECRET, Proxy, environment, proxied, rclone_serving

#: The bucket, a folder of the served one.
BUCKET = "library"
#: Flags of the runs that are compared.
MODES: dict[str, tuple[str, ...]] = {
    "sequential": ("--mode", "sequential"),
    "parallel": ("--mode", "parallel", "--processes", "2"),
}


@contextmanager
def slow_bucket(folder: Path, latency_s: float) -> Iterator[Proxy]:
    """The folders below one as buckets, each request of which waits."""
    with rclone_serving("s3", folder, "--auth-key", f"{KEY},{SECRET}") as port, proxied(port) as proxy:
        proxy.latency = latency_s
        yield proxy


def scan_bucket(proxy: Proxy, output: Path, *flags: str) -> dict[str, Any]:
    """One scan that knows nothing of others: its report, and what the proxy has seen while media were read."""
    latency = proxy.latency
    proxy.reset()
    proxy.latency = latency
    command = (PYTHON, "-m", "pipeline", "scan", f"s3://{BUCKET}", "-o", str(output), "--fresh", "--quiet", "--json")
    done = subprocess.run(
        [*command, *flags],
        env=own_environment() | environment(f"http://127.0.0.1:{proxy.port}"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def measure(folder: Path, latency_ms: float = 20, files: int = 400, threads: Sequence[int] = (8, 16)) -> dict[str, Any]:
    """Scan a bucket of zips in both modes with some numbers of threads."""
    make_library(
        folder / "served" / BUCKET, files=files, seed=5, image_bytes=3_000_000, video_bytes=10_000_000, layout="zip"
    )
    size = sum(path.stat().st_size for path in (folder / "served" / BUCKET).iterdir())
    runs = []
    with slow_bucket(folder / "served", latency_ms / 1000) as proxy:
        for mode, flags in MODES.items():
            for count in threads:
                report = scan_bucket(proxy, folder / "out", *flags, "--threads", str(count))
                bound = proxy.requests * latency_ms / 1000 / count
                spent = report["stages"]["extract"] + report["stages"]["list"] + report["stages"]["pair"]
                runs.append(
                    {
                        "mode": mode,
                        "threads": count,
                        "requests_per_file": proxy.requests / report["media"],
                        "share_of_bytes": proxy.received / size,
                        "seconds": spent,
                        "bound_s": bound,
                        "share_of_bound": bound / spent,
                    }
                )
                print(runs[-1], file=sys.stderr)
    return {
        "latency_ms": latency_ms,
        "files": report["media"],
        "mb": size / 1e6,
        "load": os.getloadavg()[0],
        "runs": runs,
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of a table."""
    lines = []
    for run in found["runs"]:
        what = f"bucket of zips, {found['latency_ms']:g} ms per request, {run['mode']}, {run['threads']} threads"
        lines.append(
            (
                what,
                f"{run['seconds']:.1f} s, {run['share_of_bound']:.0%} of the bound; {run['requests_per_file']:.2f} requests a "
                f"file, {run['share_of_bytes']:.1%} of the bytes",
            )
        )
    return lines


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--threads", default="8,16", help="numbers, with commas between them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = [int(each) for each in given.threads.split(",")]
        for what, figures in rows(measure(Path(folder), given.latency_ms, given.files, counts)):
            print(f"{what}: {figures}")


if __name__ == "__main__":
    main()
