"""Scans of a slow medium, as a NAS or a USB disk: how much longer than the medium itself must take.

python -m benchmarks.slow [--open-ms 10] [--mb-per-s 100] [--latency-ms 0]

The medium is simulated, the rest is real: the command, its worker processes and the files. In each process the calls of `os`
by which the library is read wait as long as a device would that all processes share: opening a file takes its time, in each
thread for itself; bytes come one after the other at the speed of the device, and those that have come once are in the page
cache; some more are read ahead. The waiting lets other threads run, and sleeping is all it does.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import mmap
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.floor import read_all
from benchmarks.runs import command, timed
from pipeline.synthetic import make_library

#: Bytes that come together, and are in the page cache then.
CHUNK = 16 << 10
#: Bytes that the kernel reads ahead, and takes of a hint: as much as it does of devices that do not ask for more.
READ_AHEAD = 128 << 10
#: Where processes of a run find the device.
VARIABLE = "TAKEOUT_BENCH_DEVICE"
#: Set for a device that heeds no hints, as some network file systems.
UNHEEDING = "TAKEOUT_BENCH_UNHEEDING"
#: What the shared memory begins with: when the device is free again, files opened, bytes delivered, seconds that all threads
#: waited for files to be opened and for reads to begin; and the state of the chunks.
FREE_AT, OPENED, DELIVERED, WAITS_S, CHUNKS = 0, 1, 2, 3, 4

#: How the command is started on it.
DRIVER = "from benchmarks.slow import dask_setup; dask_setup(); from pipeline.cli import run; run()"


class Device:
    """A device as processes share it: a folder with its description and the state of all its chunks."""

    def __init__(self, folder: Path) -> None:
        found = json.loads((folder / "device.json").read_text("utf-8"))
        self.open_s, self.latency_s, self.bytes_per_s = found["open_s"], found["latency_s"], found["bytes_per_s"]
        self.heeds_hints = not os.environ.get(UNHEEDING)  # and tells what is in the page cache
        self.files: dict[int, tuple[int, int]] = {int(inode): tuple(each) for inode, each in found["files"].items()}
        self._descriptor = os.open(folder / "state", os.O_RDWR)
        self.folder, self.state = folder, memoryview(mmap.mmap(self._descriptor, 0)).cast("d")
        self._lock = threading.Lock()

    @staticmethod
    def make(folder: Path, root: Path, open_s: float, latency_s: float, bytes_per_s: float) -> Device:
        """A device that holds the files below `root`, none of which has been read yet."""
        files, chunks = {}, CHUNKS
        for parent, _, names in os.walk(root):
            for name in names:
                state = (Path(parent) / name).stat()
                files[state.st_ino] = (chunks, state.st_size)
                chunks += -(-state.st_size // CHUNK)
        folder.mkdir()
        (folder / "state").write_bytes(bytes(8 * chunks))
        values = {"open_s": open_s, "latency_s": latency_s, "bytes_per_s": bytes_per_s, "files": files}
        (folder / "device.json").write_text(json.dumps(values), "utf-8")
        return Device(folder)

    @contextmanager
    def locked(self) -> Iterator[memoryview[float]]:
        """The shared memory, for this thread of this process alone."""
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                yield self.state
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def wait(self, until: float) -> None:
        """Sleep, as a thread does that waits for a device."""
        seconds = until - time.monotonic()
        if seconds > 0:
            time.sleep(seconds)

    def order(self, inode: int, start: int, end: int, ahead: bool = False) -> float:
        """Have bytes of a file delivered, if they have not been asked for before; returns when all of them will be there."""
        first, size = self.files[inode]
        last = 0.0
        with self.locked() as state:
            now, before = time.monotonic(), state[DELIVERED]
            for chunk in range(start // CHUNK, -(-min(end, size) // CHUNK)):
                if state[first + chunk] == 0:
                    length = min(CHUNK, size - chunk * CHUNK)
                    state[FREE_AT] = max(state[FREE_AT], now) + length / self.bytes_per_s
                    state[DELIVERED] += length
                    state[first + chunk] = state[FREE_AT] + self.latency_s
                last = max(last, state[first + chunk])
            if not ahead and state[DELIVERED] > before:
                state[WAITS_S] += self.latency_s
        return last

    def forget(self, inode: int, start: int, end: int) -> None:
        """Drop bytes from the page cache."""
        first, size = self.files[inode]
        with self.locked() as state:
            for chunk in range(-(-start // CHUNK), -(-min(end, size) // CHUNK)):
                state[first + chunk] = 0.0


def dask_setup(_worker: object = None) -> None:
    """Have this process read from the device: in workers a preload of Dask's, in the driver called by `DRIVER`."""
    device = Device(Path(os.environ[VARIABLE]))
    opened: dict[int, int] = {}  # descriptor -> inode
    at_random: set[int] = set()
    real: dict[str, Callable[..., Any]] = {
        name: getattr(os, name) for name in ("open", "close", "read", "readv", "pread", "preadv", "posix_fadvise")
    }

    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        descriptor: int = real["open"](path, flags, mode, dir_fd=dir_fd)
        inode = os.fstat(descriptor).st_ino
        if inode in device.files:
            opened[descriptor] = inode
            device.wait(time.monotonic() + device.open_s)
            with device.locked() as state:
                state[OPENED] += 1
                state[WAITS_S] += device.open_s
        return descriptor

    def close(descriptor: int) -> None:
        opened.pop(descriptor, None)
        at_random.discard(descriptor)
        real["close"](descriptor)

    def fetch(descriptor: int, start: int, length: int) -> None:
        if (inode := opened.get(descriptor)) is None or length <= 0:
            return
        there = device.order(inode, start, start + length)
        if descriptor not in at_random:
            device.order(inode, start + length, start + length + READ_AHEAD, ahead=True)
        device.wait(there)

    def position(descriptor: int) -> int:
        return os.lseek(descriptor, 0, os.SEEK_CUR) if descriptor in opened else 0

    def read(descriptor: int, length: int) -> bytes:
        fetch(descriptor, position(descriptor), length)
        data: bytes = real["read"](descriptor, length)
        return data

    def readv(descriptor: int, buffers: Sequence[Any]) -> int:
        fetch(descriptor, position(descriptor), sum(map(len, buffers)))
        length: int = real["readv"](descriptor, buffers)
        return length

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        fetch(descriptor, offset, length)
        data: bytes = real["pread"](descriptor, length, offset)
        return data

    def preadv(descriptor: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
        if descriptor in opened and flags & os.RWF_NOWAIT:
            if not device.heeds_hints:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            end = offset + sum(map(len, buffers))
            if device_has(opened[descriptor], offset, end) > time.monotonic():
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            flags &= ~os.RWF_NOWAIT
        else:
            fetch(descriptor, offset, sum(map(len, buffers)))
        length: int = real["preadv"](descriptor, buffers, offset, flags)
        return length

    def device_has(inode: int, start: int, end: int) -> float:
        first, size = device.files[inode]
        chunks = device.state[first + start // CHUNK : first - (-min(end, size) // CHUNK)]
        return max((each or float("inf") for each in chunks), default=0.0)

    def posix_fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        inode = opened.get(descriptor)
        if inode is None:
            real["posix_fadvise"](descriptor, offset, length, advice)
        elif advice == os.POSIX_FADV_WILLNEED:
            if not device.heeds_hints:
                return
            device.order(inode, offset, offset + min(length or READ_AHEAD, READ_AHEAD), ahead=True)
        elif advice == os.POSIX_FADV_DONTNEED:
            device.forget(inode, offset, offset + length if length else 1 << 62)
        elif advice == os.POSIX_FADV_RANDOM:
            at_random.add(descriptor)

    for function in (close, read, readv, pread, preadv, posix_fadvise):
        setattr(os, function.__name__, function)
    os.open = open_


def scan_on(device: Path, library: Path, out: Path, flags: Sequence[object]) -> dict[str, float]:
    """Seconds of a scan from the device, all in and for its files alone."""
    there = {VARIABLE: str(device), "DASK_DISTRIBUTED__WORKER__PRELOAD": '["benchmarks.slow"]'}
    os.environ.update(there)
    try:
        wall = timed(lambda: command("-c", DRIVER, "scan", library, "-o", out, "--quiet", "--json", "--fresh", *flags))
    finally:
        for name in there:
            del os.environ[name]
    report = json.loads((out / "run.json").read_text("utf-8"))
    return {"all in": wall, "files alone": report["stages"]["extract"], "threads": report["threads"]}


def measure_one(
    folder: Path, library: Path, mode: str, open_s: float, latency_s: float, bytes_per_s: float
) -> dict[str, float]:
    """A scan from the device, the same from one that never makes anybody wait, and what the device itself takes."""
    out, flags = folder / "out", ("--mode", mode)
    quick = Device.make(folder / "quick", library, 0.0, 0.0, float("inf"))
    read_all(sorted(path for path in library.rglob("*") if path.is_file()))  # that waiting is simulated alone
    warm = scan_on(quick.folder, library, out, flags)
    device = Device.make(folder / "slow", library, open_s, latency_s, bytes_per_s)
    slow = scan_on(device.folder, library, out, flags)
    threads = max(slow["threads"], 1)
    waits, transfer = device.state[WAITS_S] / threads, device.state[DELIVERED] / bytes_per_s
    for made in (quick, device):
        shutil.rmtree(made.folder)
    return {
        "waits_s": waits,
        "transfer_s": transfer,
        "opened": device.state[OPENED],
        "mb": device.state[DELIVERED] / 1e6,
        "threads": threads,
        **{f"warm_{name.split()[0]}_s": warm[name] for name in ("all in", "files alone")},
        **{f"slow_{name.split()[0]}_s": slow[name] for name in ("all in", "files alone")},
        **{
            f"ratio_{name.split()[0]}": slow[name] / max(waits, transfer, warm[name])
            for name in ("all in", "files alone")
        },
    }


#: What is scanned: layout, bytes of a file, files.
CASES = (("dir", 30_000, 3000), ("dir", 3_000_000, 300), ("zip", 30_000, 6000), ("zip", 3_000_000, 600))


def measure(
    folder: Path,
    modes: Sequence[str] = ("parallel",),
    open_s: float = 0.01,
    latency_s: float = 0.0,
    bytes_per_s: float = 100e6,
) -> dict[str, dict[str, float]]:
    """All figures. Libraries that are made below `folder` are left there, and taken if they are there."""
    found = {}
    for layout, size, files in CASES:
        below = folder / f"{layout}-{size}"
        library = below / "library"
        if not library.exists():
            sizes = {"image_bytes": size, "video_bytes": size}
            make_library(library, files=files, layout=layout, corrupt_share=0, **sizes)
        for mode in modes:
            name = f"{files:,} files of {size / 1e6:g} MB as {layout}, {mode}"
            found[name] = measure_one(below, library, mode, open_s, latency_s, bytes_per_s)
            print(f"{name} done", file=sys.stderr)
    return found


def rows(found: dict[str, dict[str, float]]) -> list[tuple[str, str]]:
    """The figures as rows of a table."""
    return [
        (
            f"slow medium: {name}",
            f"{each['slow_files_s']:.1f} s, {each['ratio_files']:.2f}x the longest of waits over {each['threads']:.0f} threads "
            f"{each['waits_s']:.1f} s, transfer {each['transfer_s']:.1f} s and warm {each['warm_files_s']:.1f} s; "
            f"all in {each['slow_all_s']:.1f} s, {each['ratio_all']:.2f}x (warm {each['warm_all_s']:.1f} s)",
        )
        for name, each in found.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--open-ms", type=float, default=10)
    parser.add_argument("--latency-ms", type=float, default=0, help="of each read that the device has to deliver")
    parser.add_argument("--mb-per-s", type=float, default=100)
    parser.add_argument("--no-hints", action="store_true", help="as a network file system that heeds none")
    parser.add_argument("--mode", action="append", choices=("parallel", "sequential"))
    parser.add_argument("--folder", type=Path, help="where libraries are made, and left; default: a temporary folder")
    options = parser.parse_args()
    if options.no_hints:
        os.environ[UNHEEDING] = "1"
    folder = options.folder or Path(tempfile.mkdtemp(prefix="takeout-bench-"))
    try:
        device = (options.open_ms / 1e3, options.latency_ms / 1e3, options.mb_per_s * 1e6)
        found = measure(folder, options.mode or ["parallel"], *device)
    finally:
        if not options.folder:
            shutil.rmtree(folder)
    for row in rows(found):
        print("| {} | {} |".format(*row))


if __name__ == "__main__":
    main()
