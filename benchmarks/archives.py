"""Archives against folders: what a file in a zip costs, how little of it is read, and a tgz against bare inflating.

python -m benchmarks.archives [--files 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from zlib_ng import zlib_ng

from benchmarks.floor import media_files, read_all
from benchmarks.runs import PARALLEL, SEQUENTIAL, Run, bytes_from_disk, command, forget, quickest, scan, scan_memory_mb
from pipeline.preparing import list_library
from pipeline.progress import Silent
from pipeline.storage.library import Library
from pipeline.synthetic import make_library


def inflate(path: Path) -> None:
    """Inflate a gzip file and forget it: the floor of what reading a tgz can cost."""
    machine = zlib_ng.decompressobj(31)
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            machine.decompress(block)


def _most_on_disk(run: Run, folder: Path) -> int:
    """The most bytes that lay below a folder at a time while a command ran."""
    most, done = 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.05):
            size = 0
            for parent, _, names in os.walk(folder):
                for name in names:
                    try:
                        size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
                    except OSError:
                        continue
            most = max(most, size)

    thread = threading.Thread(target=look)
    thread.start()
    run()
    done.set()
    thread.join()
    return most


def listing_s(folder: Path, entries: int = 100_000) -> float:
    """Seconds to list a zip of so many members."""
    path = folder / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(entries // 2):
            name = f"Takeout/Google Photos/Photos from {2000 + number // 2500}/IMG_{number:08}.jpg"
            archive.writestr(name, b"")
            archive.writestr(f"{name}.supplemental-metadata.json", b"{}")
    found = quickest({"list": lambda: _list(path, entries)}, 5)["list"]
    path.unlink()
    return found


def _list(path: Path, entries: int) -> None:
    if list_library(Library.of([path]), Silent()).count != entries:
        raise SystemExit("not all of them were listed")


def measure(folder: Path, files: int, image_bytes: int, rounds: int) -> dict[str, Any]:
    """All figures; libraries, of which one video in ten files is as long as an image, and results go below `folder`."""
    layouts = {"dir": files, "zip": files, "tgz": files // 4}  # of a tgz each file costs ten times as much
    inputs: dict[tuple[str, str], Path] = {}
    for layout, count in layouts.items():
        for name, lang, seed in (("A", "en", 1), ("B", "de", 2)):
            path = inputs[layout, name] = folder / layout / name
            print(f"making {name} as {layout}: {count:,} files", file=sys.stderr)
            sizes = {"image_bytes": image_bytes, "video_bytes": image_bytes}
            make_library(path, files=count, lang=lang, seed=seed, layout=layout, corrupt_share=0, **sizes)
    os.sync()
    archives = {
        layout: [next(inputs[layout, name].glob(f"*.{layout}")) for name in ("A", "B")] for layout in ("zip", "tgz")
    }
    read_all([*media_files([inputs["dir", "A"], inputs["dir", "B"]]), *archives["zip"], *archives["tgz"]])
    out = folder / "out"
    runs: dict[str, Run] = {}
    for layout in layouts:
        a, b = (inputs[layout, name] for name in ("A", "B"))
        for mode, flags in (("parallel", PARALLEL), ("sequential", SEQUENTIAL)):
            runs[f"{layout} {mode} A"] = scan(out, [a], *flags)
            runs[f"{layout} {mode} A+B"] = scan(out, [a, b], *flags)
    for name, path in zip(("A", "B"), archives["tgz"], strict=True):
        runs[f"inflate {name}"] = lambda path=path: command("-m", "benchmarks.archives", "--inflate", path)  # type: ignore[misc]
    runs["inflate nothing"] = lambda: command("-m", "benchmarks.archives", "--inflate", os.devnull)
    seconds = quickest(runs, rounds)
    marginal = {
        f"{layout} {mode}": (seconds[f"{layout} {mode} A+B"] - seconds[f"{layout} {mode} A"]) / count * 1000
        for layout, count in layouts.items()
        for mode in ("parallel", "sequential")
    }
    marginal["inflate"] = (seconds["inflate B"] - seconds["inflate nothing"]) / layouts["tgz"] * 1000
    forget(archives["zip"])
    cold = bytes_from_disk(scan(out, archives["zip"], *SEQUENTIAL))
    shutil.rmtree(out)
    temporary = _most_on_disk(scan(out, archives["tgz"], *SEQUENTIAL), out)
    memory = {
        name: scan_memory_mb(out, paths, *SEQUENTIAL)
        for name, paths in (("A", archives["tgz"][:1]), ("A+B", archives["tgz"]))
    }
    return {
        "files": layouts,
        "bytes": {layout: sum(path.stat().st_size for path in paths) for layout, paths in archives.items()},
        "seconds": seconds,
        "ms_per_file": marginal,
        "ratios": {
            "zip / folder, parallel": marginal["zip parallel"] / marginal["dir parallel"],
            "zip / folder, sequential": marginal["zip sequential"] / marginal["dir sequential"],
            "tgz: share of the speed of bare inflating": marginal["inflate"] / marginal["tgz sequential"],
        },
        "zip_bytes_from_disk": cold,
        "tgz_bytes_written_at_most": temporary,
        "tgz_memory_mb": memory,
        "listing_100000_s": listing_s(folder),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures as rows of a table."""
    ms, ratios = found["ms_per_file"], found["ratios"]
    zipped, tarred = found["bytes"]["zip"], found["bytes"]["tgz"]
    return [
        *(
            (
                f"zip, {mode}",
                f"{ms[f'zip {mode}']:.2f} ms/file, {ratios[f'zip / folder, {mode}']:.2f}x the same as a folder "
                f"({ms[f'dir {mode}']:.2f} ms)",
            )
            for mode in ("parallel", "sequential")
        ),
        ("zip, read from the disk", f"{found['zip_bytes_from_disk'] / zipped:.1%} of its bytes"),
        ("list a zip of 100,000 members", f"{found['listing_100000_s']:.2f} s"),
        (
            "tgz, one process",
            f"{ms['tgz sequential']:.2f} ms/file, {ratios['tgz: share of the speed of bare inflating']:.0%} of the speed of "
            f"bare inflating ({ms['inflate']:.2f} ms); a second part beside the first adds {ms['tgz parallel']:.2f} ms",
        ),
        (
            "tgz, written at most, results included",
            f"{found['tgz_bytes_written_at_most'] / 1e6:.1f} MB for {tarred / 1e6:,.0f} MB",
        ),
        ("tgz, memory", ", ".join(f"{name}: {value:.0f} MB" for name, value in found["tgz_memory_mb"].items())),
    ]


def main() -> None:
    """Measure and print; or only inflate a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--image-bytes", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--inflate", type=Path)
    options = parser.parse_args()
    if options.inflate:
        inflate(options.inflate)
        return
    folder = Path(tempfile.mkdtemp(prefix="takeout-bench-"))
    try:
        found = measure(folder, options.files, options.image_bytes, options.rounds)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found, indent=2))
    for row in rows(found):
        print("| {} | {} |".format(*row))


if __name__ == "__main__":
    main()
