"""Scans of files of some megabytes against the floor, start-up, memory, and the cost of each operation.

Makes two synthetic libraries that are parts of one, A and B: what a file costs is the time for both less the time for A.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.floor import media_files, read_all
from benchmarks.runs import MANY, PARALLEL, SEQUENTIAL, command, quickest, scan, scan_memory_mb
from pipeline.synthetic import make_library


def measure(folder: Path, files: int, image_bytes: int, video_bytes: int, rounds: int) -> dict[str, Any]:
    """All figures; libraries and results go below `folder`."""
    a, b, small = folder / "A", folder / "B", folder / "small"
    for library, lang, seed, count, sizes in (
        (a, "en", 1, files, (image_bytes, video_bytes)),
        (b, "de", 2, files, (image_bytes, video_bytes)),
        (small, "en", 3, 100, (30_000, 200_000)),
    ):
        print(f"making {library.name}: {count:,} files", file=sys.stderr)
        make_library(
            library, files=count, lang=lang, seed=seed, image_bytes=sizes[0], video_bytes=sizes[1], corrupt_share=0
        )
    size = {library: sum(file.stat().st_size for file in media_files([library])) for library in (a, b)}
    os.sync()  # or the disk is still being written to while we measure
    read_all(media_files([a, b, small]))  # into the page cache
    out = folder / "out"
    seconds = quickest(
        {
            "floor A": lambda: command("-m", "benchmarks.floor", 2, a),
            "floor A+B": lambda: command("-m", "benchmarks.floor", 2, a, b),
            "parallel A": scan(out, [a], *PARALLEL),
            "parallel A+B": scan(out, [a, b], *PARALLEL),
            "sequential A": scan(out, [a], *SEQUENTIAL),
            "sequential A+B": scan(out, [a, b], *SEQUENTIAL),
        },
        rounds,
    )
    report = json.loads((out / "run.json").read_text("utf-8"))
    started = quickest(
        {
            "help": lambda: command("-m", "pipeline", "--help"),
            "100 files": scan(out, [small]),
            "100 files parallel": scan(out, [small], *PARALLEL),
        },
        rounds,
    )
    cluster = json.loads((out / "run.json").read_text("utf-8"))["cluster_ready_s"]
    marginal = {
        name: (seconds[f"{name} A+B"] - seconds[f"{name} A"]) / files * 1000
        for name in ("floor", "parallel", "sequential")
    }
    memory = {
        "sequential": scan_memory_mb(out, [a], *SEQUENTIAL),
        "2 processes": scan_memory_mb(out, [a], *PARALLEL),
        "8 processes, 16 threads": scan_memory_mb(out, [a], *MANY),
    }
    for library in (a, b):
        shutil.rmtree(library)  # or those of the archives do not stay in the page cache
    return {
        "library": {"files": files, "bytes": size[a], "bytes_added": size[b]},
        "seconds": seconds,
        "ms_per_file": marginal,
        "ratios": {
            "parallel / floor": marginal["parallel"] / marginal["floor"],
            "sequential / parallel": marginal["sequential"] / marginal["parallel"],
        },
        "start_up_s": {**started, "cluster of 2 ready": cluster},
        "memory_mb": memory,
        "places_s": {"seconds": report["stages"]["places"], "of": report["stages"]["total"]},
        "operations_ms": {name: each["ms_per_file"] for name, each in report["operations"].items()},
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of all benchmarks."""
    ms, ratios, start = found["ms_per_file"], found["ratios"], found["start_up_s"]
    return [
        ("floor: two processes read and CRC", f"{ms['floor']:.2f} ms/file"),
        ("parallel, 2 processes", f"{ms['parallel']:.2f} ms/file, {ratios['parallel / floor']:.2f}x the floor"),
        ("sequential", f"{ms['sequential']:.2f} ms/file, {ratios['sequential / parallel']:.2f}x parallel"),
        ("cluster of 2 ready", f"{start['cluster of 2 ready']:.2f} s"),
        ("100 files, all in", f"{start['100 files']:.2f} s ({start['100 files parallel']:.2f} s on a cluster)"),
        ("--help", f"{start['help']:.2f} s"),
        *((f"memory (PSS), {name}", f"{value:.0f} MB") for name, value in found["memory_mb"].items()),
        (
            f"country and town of {2 * found['library']['files']:,} files",
            f"{found['places_s']['seconds']:.2f} s, {found['places_s']['seconds'] / found['places_s']['of']:.1%} of the run",
        ),
    ]
