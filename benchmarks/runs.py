"""Commands of ours, run as a user starts them, and what they cost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

PYTHON = sys.executable
Run = Callable[[], None]
#: Flags of the scans that are compared, and of those of many processes.
PARALLEL, SEQUENTIAL = ("--mode", "parallel", "--processes", 2), ("--mode", "sequential")
MANY = ("--mode", "parallel", "--processes", 8, "--threads", 16)


def environment() -> dict[str, str]:
    """That of a user: where commands are started, the modules of an installed package are compiled."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def timed(run: Run) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def quickest(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """The quickest of several rounds of each, in turns."""
    found: dict[str, float] = {}
    for number in range(rounds):
        for name, run in runs.items():
            seconds = timed(run)
            found[name] = min(seconds, found.get(name, seconds))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return found


def command(*arguments: object) -> None:
    """Run one of our commands; problems in synthetic libraries (status 3) are meant to be there."""
    done = subprocess.run(
        [PYTHON, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment()
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{arguments} failed: {done.stderr}")


def scan(output: Path, inputs: Sequence[Path], *flags: object) -> Run:
    """A scan as a user starts it, which knows nothing of the one before."""
    return scan_again(output, inputs, "--fresh", *flags)


def scan_again(output: Path, inputs: Sequence[Path], *flags: object) -> Run:
    """A scan that knows what the one before has left."""
    return lambda: command("-m", "pipeline", "scan", *inputs, "-o", output, "--quiet", "--json", *flags)


def peak_memory_mb(run: list[str]) -> float:
    """The most proportional memory (PSS: shared pages count once) that a command and its children had at a time."""
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        most = 0.0
        while process.poll() is None:
            total = 0
            try:
                whole = psutil.Process(process.pid)
                for each in (whole, *whole.children(recursive=True)):
                    try:
                        total += each.memory_full_info().pss
                    except psutil.Error:
                        continue
            except psutil.Error:
                break
            most = max(most, total / 1e6)
            threading.Event().wait(0.05)
    return most


def scan_memory_mb(output: Path, inputs: Sequence[Path], *flags: object) -> float:
    """The same of a scan."""
    return peak_memory_mb([PYTHON, "-m", "pipeline", "scan", *map(str, (*inputs, "-o", output, "--fresh", *flags))])


def bytes_from_disk(run: Run) -> int:
    """Bytes that a command and its children had fetched from the disk, by the kernel's account."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    run()
    return (resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before) * 512


def forget(paths: Iterable[Path]) -> None:
    """Take files out of the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
