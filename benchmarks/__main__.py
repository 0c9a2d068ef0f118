"""``make bench``: the product's figures on this machine, as ratios within one run.

Costs per file are marginal: the time for twice the files less the time for once, so that start-up cancels out; start-up is
measured by itself. Every command is timed several times, in turns, and the quickest of each counts, as other programs only
ever add time.

python -m benchmarks [--only scans,small,…]     what is not measured keeps the figures of an earlier run
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    against,
    archives,
    browsing,
    clusters,
    millions,
    pairing,
    planning,
    prediction,
    reading,
    remote,
    scans,
    slow,
    small,
)

Rows = list[tuple[str, str]]

#: What is measured, in this order: by name what measures it, in a folder of its own, and what makes lines of a table of that.
SECTIONS: dict[str, tuple[Callable[[Path, argparse.Namespace], Any], Callable[[Any], Rows]]] = {
    "scans": (
        lambda folder, given: scans.measure(folder, given.files, given.image_bytes, given.video_bytes, given.rounds),
        scans.rows,
    ),
    "small": (lambda folder, given: small.measure(folder, given.small_files, max(given.rounds // 2, 1)), small.rows),
    "against": (lambda folder, given: against.measure(folder, given.small_files), against.rows),
    "pairing": (lambda _folder, _given: pairing.measure(), pairing.rows),
    "planning": (lambda _folder, _given: planning.measure(), planning.rows),
    "millions": (lambda folder, given: millions.measure(folder, given.photos), millions.rows),
    "archives": (
        lambda folder, given: archives.measure(folder, given.files, given.image_bytes, given.rounds // 2),
        archives.rows,
    ),
    "reading": (lambda folder, _given: reading.measure(folder), reading.rows),
    "clusters": (
        lambda folder, given: clusters.measure(folder, given.small_files // 2, max(given.rounds // 2, 1)),
        clusters.rows,
    ),
    "slow": (lambda folder, _given: slow.measure(folder), slow.rows),
    "remote": (lambda folder, _given: remote.measure(folder), remote.rows),
    "browsing": (
        lambda folder, given: browsing.measure(
            folder, given.browsed_files, given.browsed_copies, max(given.rounds // 2, 1)
        ),
        browsing.rows,
    ),
    "prediction": (
        lambda folder, given: prediction.measure(folder, 2 * given.small_files, given.files, max(given.rounds // 2, 1)),
        prediction.rows,
    ),
}


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    lines = ["| measured | |", "|---|---|"]
    for name, (_, rows) in SECTIONS.items():
        if name in found:
            lines += [f"| {title} | {value} |" for title, value in rows(found[name])]
    if "scans" in found:
        operations = ", ".join(f"{name} {value:.3f}" for name, value in found["scans"]["operations_ms"].items())
        lines += ["", f"ms per file by operation, sequential: {operations}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--files", type=int, default=1200)
    parser.add_argument("--small-files", type=int, default=10_000)
    parser.add_argument("--photos", type=int, nargs="+", default=millions.SIZES, help="sizes that `millions` compares")
    parser.add_argument("--image-bytes", type=int, default=3_000_000)
    parser.add_argument("--video-bytes", type=int, default=10_000_000)
    parser.add_argument("--browsed-files", type=int, default=20_000)
    parser.add_argument("--browsed-copies", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--folder", type=Path, help="where the libraries are made; default: a temporary folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/benchmarks"))
    options = parser.parse_args()
    wanted = options.only.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    kept = options.output / "figures.json"
    found: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    found["machine"] = {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        print(f"measuring: {name}", file=sys.stderr)
        folder = Path(tempfile.mkdtemp(prefix="takeout-bench-", dir=options.folder))
        try:
            found[name] = SECTIONS[name][0](folder, options)
        finally:
            shutil.rmtree(folder)
        kept.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        (options.output / "figures.md").write_text(table(found), "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
