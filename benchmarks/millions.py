"""A scan of photos by the million, stage by stage: what each costs a file, whether that stays flat, and the driver's memory.

The photos are tiny (`benchmarks.tiny`), so that what is done once per file is all that counts. Each scan runs in a process of
its own, which notes its processor time, that of its children, and its peak of memory by the kernel's account (VmHWM), stage by
stage. Processor time is what other programs on the machine disturb least.

python -m benchmarks.millions [--photos 10000 100000 1000000] [--modes sequential parallel]

A million photos need 6 GB of disk, and half an hour for each mode.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.runs import PYTHON, environment
from benchmarks.tiny import make_zips, read_zip, write_zip
from pipeline.timing import Clock

#: Seconds between two looks at all processes' memory, and at the scheduler's tasks.
LOOK_AT_MEMORY, LOOK_AT_TASKS = 2.0, 0.05
#: Photos of the libraries that are compared.
SIZES = (10_000, 50_000)
#: The stage that is part of another.
INSIDE = {"index while extracting": "extract"}


@dataclass(slots=True)
class Spent:
    """What a stage took: seconds by the clock, of the driver's processor time and of its children's, and its peak in MB."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    children_s: float = 0.0
    peak_mb: float = 0.0


class StageClock(Clock):
    """The clock of a run that also notes processor time and memory. At the beginning of the stage `end_at` the run ends."""

    def __init__(self, end_at: str = "") -> None:
        super().__init__()
        self.spent: dict[str, Spent] = {}
        self._end_at = end_at

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what the block takes to the stage."""
        if name == self._end_at:
            raise EndedError(name)
        outer = name not in INSIDE
        started, cpu, children = time.perf_counter(), time.process_time(), children_cpu() if outer else 0.0
        if outer:
            forget_peak()
        try:
            with super().stage(name):
                yield
        finally:
            spent = self.spent.setdefault(name, Spent())
            spent.seconds += time.perf_counter() - started
            spent.cpu_s += time.process_time() - cpu
            if outer:
                spent.children_s += children_cpu() - children
                spent.peak_mb = max(spent.peak_mb, peak_mb())


class EndedError(Exception):
    """The run was to end here, as if it had been killed."""


def children_cpu() -> float:
    """Seconds of processor time of all children, those that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += sum(child.cpu_times()[:4])
    return total


def peak_mb() -> float:
    """The most memory (RSS) that this process has had since it was last forgotten."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def forget_peak() -> None:
    """Begin anew with the peak (proc(5): clear_refs)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


class Tasks:
    """The most tasks that a scheduler in this process knew at a time; used as a context."""

    def __init__(self) -> None:
        self.most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._end.wait(LOOK_AT_TASKS):
            module = sys.modules.get("distributed.scheduler")
            if (kind := getattr(module, "Scheduler", None)) is not None:  # nor is it there while it is being imported
                self.most = max([self.most, *(len(scheduler.tasks) for scheduler in list(kind._instances))])

    def __enter__(self) -> Tasks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def run(library: Path, out: Path, mode: str, end_at: str, fresh: bool) -> dict[str, Any]:
    """One scan in this process."""
    from pipeline.lean import make_lean

    make_lean()
    from pipeline.api import scan_library
    from pipeline.progress import Silent
    from pipeline.settings import Settings
    from pipeline.storage.library import Library

    settings = Settings(mode=mode, processes=2, fresh=fresh)
    inputs = sorted(library.glob("*.zip")) or [library]
    clock, report = StageClock(end_at), {}
    before = time.process_time()
    with Tasks() as tasks, suppress(EndedError):
        report = scan_library(Library.of(inputs), inputs, out, settings, Silent(), clock)
    own = sum(each.cpu_s for name, each in clock.spent.items() if name not in INSIDE)
    return {
        "media": report.get("media", 0),
        "listed": report.get("listed", 0),
        "taken_over": report.get("taken_over", 0),
        "changes": report.get("changes"),
        "mode": report.get("mode", mode),
        "shards": report.get("shards", 0),
        "seconds": time.perf_counter() - clock.started,
        "cpu_s": time.process_time() - before,
        "children_s": children_cpu(),
        "before_s": before,
        "unstaged_s": time.process_time() - before - own,
        "most_tasks": tasks.most,
        "stages": {name: asdict(each) for name, each in clock.spent.items()},
    }


def scanned(library: Path, out: Path, mode: str, end_at: str = "", fresh: bool = True) -> dict[str, Any]:
    """One scan in a process of its own, and the most memory (PSS) that all its processes had together."""
    command = [PYTHON, "-m", "benchmarks.millions", "--here", json.dumps([str(library), str(out), mode, end_at, fresh])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as process:
        most = 0.0
        while process.poll() is None:
            most = max(most, together_mb(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_AT_MEMORY)
        if process.returncode:
            raise SystemExit(f"the scan of {library} failed")
        assert process.stdout is not None
        return json.loads(process.stdout.read()) | {"together_mb": most}


def together_mb(pid: int) -> float:
    """The proportional memory (PSS) of a process and its children."""
    total = 0
    with suppress(psutil.Error):
        whole = psutil.Process(pid)
        for each in (whole, *whole.children(recursive=True)):
            with suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total / 1e6


def measure(folder: Path, sizes: Sequence[int], modes: Sequence[str] = ("sequential", "parallel")) -> dict[str, Any]:
    """Libraries of so many photos each, scanned in these modes; then once more, as they are and with one file in a hundred
    changed; and gone on with, as after a death when all had been read. The smallest is scanned again between the others, as
    the machine's speed changes, and the median counts."""
    found: dict[str, Any] = {"sizes": list(sizes), "scans": {}}
    libraries = {photos: folder / str(photos) for photos in sizes}
    for photos, library in libraries.items():
        print(f"making {photos:,} photos", file=sys.stderr)
        make_zips(library, photos)
    out = folder / "out"
    for mode in modes:
        small: list[dict[str, Any]] = []
        for photos, library in libraries.items():
            for _ in range(2):
                small.append(scanned(libraries[sizes[0]], out, mode))
            if photos != sizes[0]:
                shutil.rmtree(out)
                print(f"scanning {photos:,} photos, {mode}", file=sys.stderr)
                found["scans"][f"{mode}, {photos}"] = scanned(library, out, mode)
        shutil.rmtree(out)
        found["scans"][f"{mode}, {sizes[0]}"] = sorted(small, key=total_us)[len(small) // 2]
    for photos, library in libraries.items():
        print(f"scanning {photos:,} photos once more", file=sys.stderr)
        scanned(library, out, "sequential", end_at="settle")
        found["scans"][f"gone on with, {photos}"] = scanned(library, out, "sequential", fresh=False)
        found["scans"][f"unchanged, {photos}"] = scanned(library, out, "sequential", fresh=False)
        change(library, photos // 100)
        found["scans"][f"1 % changed, {photos}"] = scanned(library, out, "sequential", fresh=False)
        shutil.rmtree(out)
    return found


def change(library: Path, photos: int) -> None:
    """Replace the sidecars of so many photos by others, in the parts that have them."""
    left = photos
    for path in sorted(library.glob("*.zip")):
        if left <= 0:
            break
        files = list(read_zip(path))
        for number, (name, content) in enumerate(files):
            if left > 0 and number % 20 < 2 and name.endswith(".json") and b'"imageViews"' in content:
                files[number] = name, content.replace(b'"imageViews": "', b'"imageViews": "9')
                left -= 1
        with path.open("wb") as file:
            write_zip(file, files)


def total_us(scan: dict[str, Any]) -> float:
    """Microseconds of processor time of all processes for a photo."""
    return float((scan["cpu_s"] + scan["children_s"]) / scan["media"] * 1e6)


def kinds(found: dict[str, Any]) -> list[str]:
    """What was done with libraries of all sizes."""
    return list(dict.fromkeys(name.rpartition(", ")[0] for name in found["scans"]))


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of all benchmarks."""
    lines = []
    first, *others = found["sizes"]
    for what in kinds(found):
        fewest = found["scans"][f"{what}, {first}"]
        for photos in (first, *others):
            scan = found["scans"][f"{what}, {photos}"]
            figures = f"{total_us(scan):.0f} ms of processor time for 1,000"
            if photos != first:
                further = (total_us(scan) * photos - total_us(fewest) * first) / (photos - first)
                figures += f", {total_us(scan) / total_us(fewest):.2f}x that of {first:,} ({further:.0f} ms each 1,000 further)"
            peak = max(each["peak_mb"] for each in scan["stages"].values())
            figures += f"; driver {peak:.0f} MB, all processes {scan['together_mb']:.0f} MB (PSS)"
            if scan["most_tasks"]:
                figures += f"; {scan['most_tasks']} tasks at a time of {scan['shards']:,} shards"
            lines.append((f"{photos:,} tiny photos, {what}", figures))
    return lines


def stages(found: dict[str, Any]) -> str:
    """Milliseconds of processor time for 1,000 photos, stage by stage, as a table; what others did meanwhile behind a plus."""
    lines = []
    for what in kinds(found):
        scans = [found["scans"][f"{what}, {photos}"] for photos in found["sizes"]]
        lines += [f"| {what} | " + " | ".join(f"{photos:,}" for photos in found["sizes"]) + " | grows, x | peak, MB |"]
        lines += ["|---|" + "---|" * (len(scans) + 2)]
        for stage in scans[-1]["stages"]:
            each = [scan["stages"].get(stage, asdict(Spent())) | {"media": scan["media"]} for scan in scans]
            own = [one["cpu_s"] / one["media"] * 1e6 for one in each]
            others = [one["children_s"] / one["media"] * 1e6 for one in each]
            cells = [f"{a:.1f}" + (f" + {b:.1f}" if b > 1 else "") for a, b in zip(own, others, strict=True)]
            grows = (own[-1] + others[-1]) / max(own[0] + others[0], 0.05)
            lines.append(f"| {stage} | {' | '.join(cells)} | {grows:.2f} | {each[-1]['peak_mb']:.0f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=SIZES)
    parser.add_argument("--modes", nargs="+", default=["sequential", "parallel"])
    parser.add_argument("--folder", type=Path, help="where libraries and results are made; default: a temporary folder")
    parser.add_argument("--here", help="one scan in this process: a JSON list; prints JSON")
    options = parser.parse_args()
    if options.here:
        library, out, *others = json.loads(options.here)
        json.dump(run(Path(library), Path(out), *others), sys.stdout)
        return
    with tempfile.TemporaryDirectory(prefix="takeout-millions-", dir=options.folder) as folder:
        found = measure(Path(folder), options.photos, options.modes)
    print(stages(found))
    for what, figures in rows(found):
        print(f"{what}: {figures}")


if __name__ == "__main__":
    main()
