"""Where the time of a scan went, written for people and programs: `scan --profile`."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.item import OPERATIONS
from pipeline.pictures import can_draw, draw_timeline
from pipeline.storage.durable import whole_file
from pipeline.storage.shards import ShardDone

#: All that a profile can be made of, as patterns of names.
FILES = ("profile.json", "shards.csv", "timeline.svg", "dask-report.html", "dask-report-[0-9]*.html")


def idle_tail(ends: Sequence[float], start: float) -> float:
    """The share of all workers' time, from `start` to the last end, in which some were done and others were not.

    >>> idle_tail([10.0, 8.0], 0.0)
    0.1
    >>> idle_tail([], 0.0)
    0.0
    """
    whole = len(ends) * (max(ends, default=start) - start)
    return sum(max(ends) - end for end in ends) / whole if whole > 0 else 0.0


def write_profile(folder: Path, report: Mapping[str, Any], done: Sequence[ShardDone]) -> None:
    """Write ``profile.json`` and ``shards.csv`` of a run into the folder, and ``timeline.svg`` if what draws is installed.

    Raises OSError if they cannot be written, or if Dask's report could not.
    """
    began = min((shard.started_at for shard in done), default=0.0)
    workers = sorted({shard.worker for shard in done})
    last = [max(shard.ended_at for shard in done if shard.worker == worker) for worker in workers]
    busy = [sum(shard.ended_at - shard.started_at for shard in done if shard.worker == worker) for worker in workers]
    tail = idle_tail(last, began)
    profile = {
        **{name: report[name] for name in ("version", "started_at", "mode", "threads", "processes", "media", "bytes")},
        "stages_s": report["stages"],
        "operations": report["operations"],
        "workers": [
            {"worker": worker, "busy_s": round(seconds, 4), "ended_s": round(end - began, 4)}
            for worker, seconds, end in zip(workers, busy, last, strict=True)
        ],
        "idle_tail": round(tail, 4),
    }
    with whole_file(folder / "profile.json") as temporary:
        temporary.write_text(json.dumps(profile, indent=2) + "\n", "utf-8")
    names = (*OPERATIONS, "write")
    with whole_file(folder / "shards.csv") as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("shard", "worker", "started_s", "ended_s", "files", "bytes", *(f"{name}_s" for name in names)))
        for shard in sorted(done, key=lambda each: each.started_at):
            times = (shard.started_at - began, shard.ended_at - began)
            spent = (shard.spent.get(name, 0.0) for name in names)
            writer.writerow(
                (
                    shard.name,
                    shard.worker,
                    *(f"{seconds:.4f}" for seconds in times),
                    shard.files,
                    shard.bytes,
                    *(f"{seconds:.6f}" for seconds in spent),
                )
            )
    if done and can_draw():
        number = {worker: position for position, worker in enumerate(workers)}
        bars = [(number[each.worker], each.started_at - began, each.ended_at - began, each.files) for each in done]
        with whole_file(folder / "timeline.svg") as temporary:
            draw_timeline(bars, tail, temporary)
    if report["mode"] != "sequential" and not (folder / "dask-report.html").is_file():
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder / "dask-report.html"))
