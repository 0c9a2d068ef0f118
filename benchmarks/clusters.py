"""A scan by an existing cluster of two workers on loopback against one by a local cluster of two processes.

What the cluster costs is compared where both read, in the stage `extract`; and, with the start of the local cluster and what is
looked at of the workers of the other, by the whole command.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.floor import media_files, read_all
from benchmarks.runs import PARALLEL, PYTHON, environment, scan, timed
from pipeline.synthetic import make_library

WORKERS = 2


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Path, list[psutil.Process]]]:
    """A scheduler and two workers as ``dask scheduler`` and ``dask worker`` start them: its file, and the workers."""
    from distributed import Client

    folder.mkdir()
    file = folder / "scheduler.json"
    found = ("--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard")
    flags = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder))
    commands = [("dask_scheduler", *found, "--port", "0"), *[("dask_worker", *found, *flags)] * WORKERS]
    programs = [
        subprocess.Popen(
            [PYTHON, "-m", f"distributed.cli.{name}", *rest],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        for name, *rest in commands
    ]
    try:
        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=60)
        yield file, [psutil.Process(each.pid) for each in programs[1:]]
    finally:
        for each in programs:
            each.kill()
            each.wait()


def measure(folder: Path, files: int, rounds: int) -> dict[str, Any]:
    """All figures, the least of each over some rounds in turns; library and results go below `folder`."""
    library, out = folder / "distributed", folder / "distributed-out"
    make_library(library, files=files, seed=5, image_bytes=30_000, video_bytes=200_000, corrupt_share=0)
    read_all(media_files([library]))
    found: dict[str, dict[str, float]] = {}
    with cluster(folder / "cluster") as (file, workers):
        given = ("--scheduler-file", file, *PARALLEL[2:])
        for number in range(rounds + 1):
            for name, flags in (("local", PARALLEL), ("cluster", given)):
                before = sum(sum(each.cpu_times()[:2]) for each in workers)
                seconds = {"command": timed(scan(out, [library], *flags))}
                report = json.loads((out / "run.json").read_text("utf-8"))
                seconds["extract"] = report["stages"]["extract"]
                seconds["look"] = report["stages"].get("workers", report["cluster_ready_s"] or 0.0)
                seconds["operations"] = sum(each["seconds"] for each in report["operations"].values())
                seconds["workers' processors"] = sum(sum(each.cpu_times()[:2]) for each in workers) - before
                if number:  # at first workers import what the others have from the start
                    least = found.setdefault(name, seconds)
                    found[name] = {each: min(value, least[each]) for each, value in seconds.items()}
            print(f"round {number} of {rounds} done", file=sys.stderr)
    ratios = {each: found["cluster"][each] / found["local"][each] for each in ("command", "extract", "operations")}
    return {"files": files, "seconds": found, "ratios": ratios}


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of all benchmarks."""
    ratios, seconds = found["ratios"], found["seconds"]
    return [
        (
            f"an existing cluster of {WORKERS} on loopback, {found['files']:,} files",
            f"{ratios['extract']:.2f}x a local one while reading, {ratios['command']:.2f}x in all",
        ),
        (
            "looking at its workers; a local cluster ready",
            f"{seconds['cluster']['look']:.2f} s; {seconds['local']['look']:.2f} s",
        ),
    ]
