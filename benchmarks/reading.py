"""Ways to read files and compute their CRC-32, on a warm and on a cold page cache: what `stages` reads with is chosen by this.

python -m benchmarks.reading [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from zlib_ng import zlib_ng

from benchmarks.runs import forget

KIB = 1 << 10
#: Sizes of files, and how many there are of each: enough to last a while, few enough to stay in the page cache.
FILES = {30_000: 3000, 3_000_000: 100, 50_000_000: 6}

#: Reads the whole file that a descriptor stands for; returns its CRC-32.
Way = Callable[[int], int]


def page_aligned(size: int, huge: bool = False) -> memoryview:
    """A buffer that starts on a page; on a `huge` one if the system has such, and asks for room enough to find its start."""
    if not huge:
        return memoryview(mmap.mmap(-1, size))
    area = mmap.mmap(-1, max(size, 2 << 20) + (2 << 20))
    area.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(area)[-_address(area) % (2 << 20) :][:size]


def _address(area: mmap.mmap) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(area))


def by_readv(buffer: memoryview, *advice: int, descriptor: int) -> int:
    """As `stages` reads: block after block into one buffer."""
    for each in advice:
        os.posix_fadvise(descriptor, 0, 0, each)
    crc = 0
    while length := os.readv(descriptor, [buffer]):
        crc = zlib_ng.crc32(buffer[:length], crc)
    return crc


def by_window(buffer: memoryview, window: int, descriptor: int) -> int:
    """The same, and the kernel is told before each block what is wanted a `window` further on."""
    crc = size = 0
    os.posix_fadvise(descriptor, 0, window, os.POSIX_FADV_WILLNEED)
    while length := os.readv(descriptor, [buffer]):
        os.posix_fadvise(descriptor, size + window, len(buffer), os.POSIX_FADV_WILLNEED)
        size += length
        crc = zlib_ng.crc32(buffer[:length], crc)
    return crc


def by_mmap(populate: bool, descriptor: int) -> int:
    """The file mapped. For comparison only: one that is truncated meanwhile kills the process (SIGBUS)."""
    flags = mmap.MAP_SHARED | (mmap.MAP_POPULATE if populate else 0)
    with mmap.mmap(descriptor, 0, flags, mmap.PROT_READ) as area:
        return zlib_ng.crc32(area)


def past_the_cache(buffer: memoryview, descriptor: int) -> int:
    """O_DIRECT, where the file system has it."""
    os.set_blocking(descriptor, True)
    import fcntl

    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_DIRECT)
    return by_readv(buffer, descriptor=descriptor)


def ways() -> dict[str, Way]:
    """All that are compared."""
    block = page_aligned(512 * KIB)
    return {
        **{f"readv, {size} KiB": partial(_readv, page_aligned(size * KIB)) for size in (128, 256, 512, 1024, 2048)},
        "readv, 512 KiB in a huge page": partial(_readv, page_aligned(512 * KIB, huge=True)),
        "readv, 2048 KiB in a huge page": partial(_readv, page_aligned(2048 * KIB, huge=True)),
        "readv, 512 KiB, off the page": partial(_readv, memoryview(bytearray(512 * KIB + 16))[16:]),
        "SEQUENTIAL": partial(_readv, block, os.POSIX_FADV_SEQUENTIAL),
        "NOREUSE": partial(_readv, block, os.POSIX_FADV_NOREUSE),
        "WILLNEED, all": partial(_readv, block, os.POSIX_FADV_WILLNEED),
        "WILLNEED, 4 MiB ahead": lambda descriptor: by_window(block, 4 << 20, descriptor),
        "mmap": partial(by_mmap, False),
        "mmap, populated": partial(by_mmap, True),
        "O_DIRECT": lambda descriptor: past_the_cache(block, descriptor),
    }


def _readv(buffer: memoryview, *arguments: int) -> int:
    *advice, descriptor = arguments
    return by_readv(buffer, *advice, descriptor=descriptor)


def read(files: Sequence[Path], way: Way) -> None:
    """Open and read the files."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        way(descriptor)
        os.close(descriptor)


def cost(files: Sequence[Path], way: Way, processes: int) -> tuple[float, float]:
    """Milliseconds per file: of wall time, and of processor time in all."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            read(files[number::processes], way)
            os._exit(0)
        children.append(child)
    failed = sum(os.waitpid(child, 0)[1] for child in children) > 0
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if failed:
        return float("nan"), float("nan")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall / len(files) * 1e3, cpu / len(files) * 1e3


def make_files(folder: Path, size: int, count: int) -> list[Path]:
    """Files of random bytes, on the disk and in the page cache."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}" for number in range(count)]
    for path in files:
        path.write_bytes(os.urandom(size))
    return files


def measure(folder: Path, rounds: int = 5) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds per file by size of file, by state of the cache and number of processes, by way: the least of some rounds.

    On a warm cache processor time is told, which other programs disturb least; on a cold one wall time.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for size, count in FILES.items():
        files = make_files(folder / str(size), size, count)
        os.sync()
        for processes in (1, 2):
            for cold in (False, True):
                states = found.setdefault(f"{size / 1e6:g} MB", {})
                figures = states.setdefault(f"{'cold' if cold else 'warm'}, {processes}", {})
                for _ in range(2 if cold else rounds):
                    for name, way in ways().items():
                        if cold:
                            forget(files)
                        wall, cpu = cost(files, way, processes)
                        figures[name] = min(wall if cold else cpu, figures.get(name, float("inf")))
                if cold:
                    read(files, partial(by_mmap, True))
        shutil.rmtree(folder / str(size))
    return found


def rows(found: dict[str, dict[str, dict[str, float]]]) -> list[tuple[str, str]]:
    """The figures as rows of a table."""
    return [
        (
            f"reading {name}, ms/file",
            "; ".join(
                f"{size}: "
                + ", ".join(f"{state} {figures[name]:.3f}" for state, figures in states.items() if name in figures)
                for size, states in found.items()
            ),
        )
        for name in ways()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where files are made; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="takeout-bench-", dir=options.folder))
    try:
        found = measure(folder, options.rounds)
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(found, indent=2))
    for row in rows(found):
        print("| {} | {} |".format(*row))


if __name__ == "__main__":
    main()
