"""The floor: processes that read files and compute their CRC-32, and do nothing else.

python -m benchmarks.floor PROCESSES FOLDER...
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from zlib_ng import zlib_ng

BLOCK = 1 << 20  # the best of `benchmarks.reading`


def media_files(folders: Sequence[Path]) -> list[Path]:
    """Every file below the folders that is no sidecar."""
    return sorted(
        p for folder in folders for p in folder.rglob("*") if p.suffix not in (".json", ".html") and p.is_file()
    )


def read_all(files: Sequence[Path]) -> int:
    """Read and checksum the files; returns their bytes."""
    buffer = memoryview(mmap.mmap(-1, BLOCK))
    total = 0
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        crc = 0
        while length := os.readv(descriptor, [buffer]):
            crc = zlib_ng.crc32(buffer[:length], crc)
            total += length
        os.close(descriptor)
    return total


def main() -> None:
    """Share the files among forked processes."""
    processes, files = int(sys.argv[1]), media_files([Path(folder) for folder in sys.argv[2:]])
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            read_all(files[number::processes])
            os._exit(0)
        children.append(child)
    for child in children:
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a process failed")


if __name__ == "__main__":
    main()
