"""Does what `bench` predicts from a sample of 5 % come true?

For several libraries, warm: the time that it predicts for the whole over that which the scan of the whole then takes, in both
modes. Run alone, it also prints the constants of this machine as the line of `pipeline/cost.py` that has them.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.floor import media_files, read_all
from benchmarks.runs import quickest, scan
from pipeline.bench import bench
from pipeline.cost import from_mapping, line, source
from pipeline.progress import Silent
from pipeline.settings import Settings
from pipeline.synthetic import make_library

SHARE = 0.05
MODES = ("sequential", "parallel")


def libraries(folder: Path, small: int, large: int) -> Iterator[tuple[str, Path]]:
    """Libraries of many small files and of few large ones, the latter as a folder, a zip and a tgz; one at a time."""
    for name, layout, files, image, video in (
        (f"{small:,} small files", "dir", small, 30_000, 200_000),
        (f"{large:,} files of 3 MB", "dir", large, 3_000_000, 10_000_000),
        ("the same as a zip", "zip", large, 3_000_000, 10_000_000),
        ("the same as a tgz", "tgz", large, 3_000_000, 10_000_000),
    ):
        library = folder / "library"
        make_library(library, files=files, layout=layout, seed=5, image_bytes=image, video_bytes=video, corrupt_share=0)
        os.sync()
        yield name, library if layout == "dir" else next(library.glob(f"*.{layout}"))
        shutil.rmtree(library)


def compare(inputs: Sequence[Path], folder: Path, rounds: int) -> dict[str, Any]:
    """Predicted and actual seconds of a scan of the inputs, in both modes, and the constants that were found."""
    read_all([*media_files(inputs), *(path for path in inputs if path.is_file())])
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    report = bench(list(inputs), None, folder / "report", Settings(), Silent(), longest=0)
    wanted = max(round(report["media"] * SHARE), 1)
    if report["sample"]["files"] > wanted:
        report = bench(list(inputs), wanted, folder / "report", Settings(), Silent(), longest=0)
    processor_s: list[float] = []
    actual = quickest({mode: scan(folder / "out", inputs, "--mode", mode) for mode in MODES}, rounds)
    for _ in range(rounds):
        before = _processor_s()
        scan(folder / "out", inputs, "--mode", "sequential")()
        processor_s.append(_processor_s() - before)
    shutil.rmtree(folder / "out")
    return {
        "files": report["media"],
        "sample": report["sample"]["files"],
        "predicted_s": {mode: report["this_input"][mode]["seconds"] for mode in MODES},
        "actual_s": actual,
        "ratio": {mode: report["this_input"][mode]["seconds"] / actual[mode] for mode in MODES},
        "processor_ratio": _processor_predicted(report) / min(processor_s),
        "constants": report["constants"],
    }


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _processor_predicted(report: dict[str, Any]) -> float:
    """Processor time of the whole, sequential, from that of the two samples: it can be compared on a busy machine too."""
    least: dict[int, float] = {}
    for run in report["runs"]:
        if run["mode"] == "sequential":
            least[run["files"]] = min(run["processor_s"], least.get(run["files"], run["processor_s"]))
    fixed, each = line(*((files, least[files]) for files in (min(least), max(least))))
    archives = report["archives"]["seconds"]
    return fixed + each * report["media"] + archives


def measure(folder: Path, small: int, large: int, rounds: int) -> dict[str, Any]:
    """Every library's figures."""
    folder.mkdir(parents=True, exist_ok=True)
    return {name: compare([library], folder, rounds) for name, library in libraries(folder, small, large)}


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures as rows of a table."""
    return [
        (
            f"{name}, predicted from {each['sample']:,}",
            "; ".join(
                f"{mode} {each['predicted_s'][mode]:.1f} s, is {each['actual_s'][mode]:.1f} s ({each['ratio'][mode]:.2f})"
                for mode in MODES
            )
            + f"; processor time, sequential: {each['processor_ratio']:.2f}",
        )
        for name, each in found.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="*", type=Path, help="parts of a library that is there; default: make some")
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=1_200)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where libraries are made; default: a temporary folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="takeout-bench-", dir=options.folder))
    try:
        if options.inputs:
            found = {"the library": compare(options.inputs, folder, options.rounds)}
        else:
            found = measure(folder / "work", options.small, options.large, options.rounds)
    finally:
        shutil.rmtree(folder)
    for name, said in rows(found):
        print(f"{name}: {said}")
    for name, each in found.items():
        if "zip" not in name and "tgz" not in name:
            print(f"\n{name}: MEASURED = {source(replace(from_mapping(each['constants']), disk_mb_per_s=None))}")


if __name__ == "__main__":
    main()
