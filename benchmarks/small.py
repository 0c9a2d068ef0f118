"""Small files, of which only what is done for each counts: files per second, as a folder and as zips, and how it grows.

python -m benchmarks --only small
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from benchmarks.floor import media_files, read_all
from benchmarks.runs import MANY, PARALLEL, SEQUENTIAL, quickest, scan, scan_again, scan_memory_mb, timed
from pipeline.synthetic import make_library

IMAGE_BYTES, VIDEO_BYTES = 30_000, 60_000


def make(folder: Path, files: int, lang: str, layout: str = "dir") -> list[Path]:
    """A library of small files, warm. Returns what is given to a scan."""
    make_library(
        folder,
        files=files,
        lang=lang,
        seed=files,
        layout=layout,
        parts=1,
        image_bytes=IMAGE_BYTES,
        video_bytes=VIDEO_BYTES,
        corrupt_share=0,
    )
    inputs = [folder] if layout == "dir" else sorted(folder.glob("*.zip"))
    read_all([*media_files(inputs), *(path for path in inputs if path.is_file())])
    return inputs


def marginal(folder: Path, files: int, rounds: int) -> dict[str, Any]:
    """Seconds for `files` and for twice as many, by layout and mode, and files per second of those added."""
    seconds: dict[str, float] = {}
    for layout in ("dir", "zip"):
        one, other = (make(folder / f"{layout}-{lang}", files, lang, layout) for lang in ("en", "de"))
        os.sync()
        seconds |= quickest(
            {
                f"{layout}, {mode}, {count:,}": scan(folder / "out", inputs, *flags)
                for mode, flags in (("parallel", PARALLEL), ("sequential", SEQUENTIAL))
                for count, inputs in ((files, one), (2 * files, one + other))
            },
            rounds,
        )
        for lang in ("en", "de"):
            shutil.rmtree(folder / f"{layout}-{lang}")
    added = {
        f"{layout}, {mode}": files
        / (seconds[f"{layout}, {mode}, {2 * files:,}"] - seconds[f"{layout}, {mode}, {files:,}"])
        for layout in ("dir", "zip")
        for mode in ("parallel", "sequential")
    }
    return {"files": files, "seconds": seconds, "files_per_s": added}


def growth(folder: Path, files: int) -> dict[str, Any]:
    """Seconds and memory of a tenth of the files, a fiftieth, and all of them."""
    found: dict[str, Any] = {"files": files, "seconds": {}, "memory_mb": {}}
    for count in (files // 50, files // 10, files):
        (library,) = make(folder / str(count), count, "en")
        os.sync()
        run = scan(folder / "out", [library], *PARALLEL)
        found["seconds"][str(count)] = min(timed(run) for _ in range(1 if count == files else 3))
        found["memory_mb"][str(count)] = scan_memory_mb(folder / "out", [library], *MANY)
        if count == files:
            found["again"] = again(folder / "out", library)
        shutil.rmtree(library)
    return found


def again(out: Path, library: Path) -> dict[str, float]:
    """Seconds of scanning a library that has been scanned: as it was, and with one photo that has changed."""
    photo = next(iter(media_files([library])))

    def changed() -> None:
        photo.touch()
        scan_again(out, [library])()

    unchanged = min(timed(scan_again(out, [library])) for _ in range(3))
    return {"unchanged": unchanged, "one changed": min(timed(changed) for _ in range(2))}


def measure(folder: Path, files: int, rounds: int) -> dict[str, Any]:
    """All figures; libraries and results go below `folder`."""
    return {"marginal": marginal(folder, files, rounds), "growth": growth(folder, 10 * files)}


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of all benchmarks."""
    one, grown = found["marginal"], found["growth"]
    seconds, memory = grown["seconds"], grown["memory_mb"]
    few, tenth, every = memory
    count = f"{one['files']:,}"
    return [
        *(
            (
                f"files of {IMAGE_BYTES // 1000} kB, {name.replace('dir', 'folder')}",
                f"{speed:,.0f} files/s ({1000 / speed:.2f} ms each); {count} all in: "
                f"{one['seconds'][f'{name}, {count}']:.1f} s",
            )
            for name, speed in one["files_per_s"].items()
        ),
        (
            f"time for {int(every):,} / {int(tenth):,} of them, parallel",
            f"{seconds[every]:.1f} s / {seconds[tenth]:.1f} s: {seconds[every] / seconds[tenth]:.1f}x",
        ),
        (
            f"{int(every):,} of them scanned again: unchanged, with one changed",
            f"{grown['again']['unchanged']:.1f} s, {grown['again']['one changed']:.1f} s",
        ),
        (
            f"memory (PSS), 8 processes, 16 threads: {int(few):,}, {int(tenth):,}, {int(every):,} of them",
            f"{memory[few]:.0f}, {memory[tenth]:.0f}, {memory[every]:.0f} MB",
        ),
    ]
