"""Listing, pairing and planning, up to the manifest and the states of all files in SQLite: time and memory by files.

The listing is made up as it goes; nothing of it is on a disk, JSON files are answered for when they are asked for. Each size
runs in a process of its own, whose peak of memory is the kernel's account (VmHWM).

python -m benchmarks.planning [--files 100000 1000000]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import orjson

from benchmarks.pairing import names
from benchmarks.runs import PYTHON
from pipeline.api import write_plan
from pipeline.audit import audit
from pipeline.item import Entry
from pipeline.lean import make_lean
from pipeline.preparing import list_library, pair_library
from pipeline.progress import Silent
from pipeline.settings import Settings
from pipeline.storage.earlier import Earlier
from pipeline.storage.index import Index
from pipeline.storage.library import Library
from pipeline.storage.parts import Part, Refused
from pipeline.storage.results import Results

ROOT = "Takeout/Google Photos"
#: Names (media and sidecars together) in a folder by year, in an album, and the albums per year.
IN_YEAR, IN_ALBUM, ALBUMS = 8_000, 100, 10
#: 2000-01-01T00:00:00Z, and seconds between two photos.
BEGINNING, STEP = 946_684_800, 3_600
_NUMBER = re.compile(r"\d{5,}")


class MadeUp:
    """A library of about so many files that are nowhere: folders by year, with edited files, live photos, namesakes, cut names
    and files that lack their other half; albums, which repeat photos of their year; every part names of its own."""

    parts: tuple[Part, ...] = ()
    repeated: tuple[str, ...] = ()

    def __init__(self, files: int) -> None:
        self.files = files
        self.making = self.making_cpu = 0.0  # seconds that it took to make the listing up

    def walk(self) -> Iterator[Entry | Refused]:
        """Every file, folder by folder."""
        rng = random.Random(1)
        years = max(1, round(self.files / (IN_YEAR + ALBUMS * (IN_ALBUM + 1))))
        for number in range(years):
            started, spent = time.perf_counter(), time.process_time()
            media, sidecars = names(min(IN_YEAR, self.files), seed=number)
            year = f"{ROOT}/Photos from {1900 + number % 200}"
            made = _entries(f"{year}({number // 200})" if number >= 200 else year, [*media, *sidecars])
            for album in range(ALBUMS):
                first = rng.randrange(max(1, len(media) - IN_ALBUM))
                chosen = media[first : first + IN_ALBUM // 2]
                known = set(chosen)
                beside = [each for each in sidecars[: 2 * first + IN_ALBUM] if each.partition(".supp")[0] in known]
                made += _entries(f"{ROOT}/Trip {number}-{album}", [*chosen, *beside, "metadata.json"])
            self.making += time.perf_counter() - started
            self.making_cpu += time.process_time() - spent
            yield from made

    def open(self, entry: Entry) -> Any:
        """What stands for the bytes of a file."""
        return Answer(entry)

    def form_of(self, _: Entry) -> str:
        """All of it is one folder."""
        return "folder"

    def facts_of(self, _: Entry) -> None:
        """Nothing is known before."""
        return


def _entries(folder: str, inside: list[str]) -> list[Entry]:
    sizes = [1_000 + hash_of(name) % 4_000_000 if not name.endswith(".json") else 900 for name in sorted(inside)]
    return [
        Entry(f"{folder}/{name}", "Takeout", size, 1_700_000_000_000_000_000 + size)
        for name, size in zip(sorted(inside), sizes, strict=True)
    ]


def hash_of(name: str) -> int:
    """A number that copies share."""
    return int.from_bytes(name.encode()[-12:-4], "little")


class Answer:
    """A JSON file that says what its name says."""

    def __init__(self, entry: Entry) -> None:
        self.size = entry.size
        if entry.name == "metadata.json":
            self.data = orjson.dumps({"title": entry.folder.rpartition("/")[2], "access": "protected"})
        else:
            numbers = _NUMBER.findall(entry.name)
            taken = BEGINNING + STEP * int(numbers[0] if numbers else 0)
            self.data = orjson.dumps(
                {"title": entry.name.partition(".supp")[0], "photoTakenTime": {"timestamp": str(taken)}, "url": "u"}
            )

    def read_all(self, _: int) -> bytes:
        """All of it."""
        return self.data

    def read_at(self, offset: int, length: int) -> bytes:
        """Some of it."""
        return self.data[offset : offset + length]

    def close(self) -> None:
        """Nothing is open."""


def run(files: int) -> dict[str, Any]:
    """List, pair and plan in this process."""
    make_lean()
    before = peak_mb()
    stages: dict[str, float] = {}
    made_up = MadeUp(files)
    library = cast(Library, made_up)
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        results.work.mkdir()
        index = Index(results.work / "index.sqlite")
        started = time.perf_counter()
        with timed(stages, "list"):
            listing = list_library(library, Silent())
        stages["list"] -= made_up.making
        with timed(stages, "pair"):
            plan = pair_library(listing, library, 4)
        with timed(stages, "plan"):
            write_plan(plan, audit(plan, ()), Settings(), results, index, Earlier())
        seconds = time.perf_counter() - started - made_up.making
        manifest = results.manifest.stat().st_size
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "files": plan.listed,
        "media": plan.media,
        "states": plan.counts(),
        "seconds": seconds,
        "cpu_s": used.ru_utime + used.ru_stime - made_up.making_cpu,
        "stages": stages,
        "manifest_mb": manifest / 1e6,
        "peak_mb": peak_mb(),
        "peak_mb_before": before,
    }


@contextmanager
def timed(stages: dict[str, float], name: str) -> Iterator[None]:
    """Note the seconds that the block takes."""
    started = time.perf_counter()
    yield
    stages[name] = time.perf_counter() - started


def peak_mb() -> float:
    """The most memory (RSS) that this program has had: `getrusage` tells that of the one that started it, if it had more."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def measure(sizes: tuple[int, ...] = (100_000, 1_000_000)) -> list[dict[str, Any]]:
    """Each size in a process of its own."""
    found = []
    for files in sizes:
        command = [PYTHON, "-m", "benchmarks.planning", "--here", str(files)]
        found.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    return found


def rows(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The figures, line by line."""
    return [
        (
            f"list, pair and plan {each['files']:,} files",
            f"{each['seconds']:.1f} s, {each['seconds'] / each['files'] * 1e6:.1f} µs/file, {each['peak_mb']:.0f} MB "
            f"({(each['peak_mb'] - each['peak_mb_before']) / each['files'] * 1e6:.0f} bytes/file)",
        )
        for each in found
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--here", type=int, help="one size in this process; prints JSON")
    options = parser.parse_args()
    if options.here:
        json.dump(run(options.here), sys.stdout)
        return
    for what, figures in rows(measure(tuple(options.files))):
        print(f"{what}: {figures}")


if __name__ == "__main__":
    main()
