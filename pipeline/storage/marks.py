"""Marks: how far a task is with the items that it works on, for whoever finds its process dead.

A small file of two numbers in shared memory, which the kernel keeps when the process is gone, and behind them what a watchdog
said that ended it. Gone when the task is done.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.storage.remote import is_url

_NUMBERS = struct.Struct("@QQ")


class BegunError(Exception):
    """A task has begun with this before, and was not done: the process that ran it has died over it, or was taken away.

    A cluster of others gives a task whose worker has died to the next worker, which is not to die of it too.
    """


class Mark:
    """The mark of a task at work. `counts` are the items that were handed out, and those that are finished.

    An empty path makes one that nobody else sees. Raises BegunError if there is one already.
    """

    __slots__ = ("_memory", "counts", "descriptor")

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            self.descriptor = os.open(path, flags, 0o600) if path else os.memfd_create("mark")
        except FileExistsError as error:
            raise BegunError(f"somebody has begun with it before, as {path} says") from error
        os.ftruncate(self.descriptor, _NUMBERS.size)
        self._memory = mmap.mmap(self.descriptor, _NUMBERS.size)
        self.counts = memoryview(self._memory).cast("Q")

    def close(self) -> None:
        """Leave it to whoever finds it."""
        self.counts.release()
        self._memory.close()
        os.close(self.descriptor)


class Progress(NamedTuple):
    """What the mark of a task says that has died."""

    begun: int
    finished: int
    too_slow: bool  # its watchdog has ended it


def mark_path(folder: str, name: str) -> str:
    """The mark of a task of this name; none where the folder is empty or a URL, as nobody would see it."""
    if not folder or is_url(folder):
        return ""
    return f"{folder}/{name}.mark"


def has_mark(path: str) -> bool:
    """The task has begun, and is not done."""
    return Path(path).exists()


def take_mark(path: str) -> Progress | None:
    """What the mark says, which is gone then; None if there is none: the task had not begun, or was done."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    remove_mark(path)
    if len(data) < _NUMBERS.size:
        return None
    begun, finished = _NUMBERS.unpack_from(data)
    return Progress(begun, finished, len(data) > _NUMBERS.size)


def remove_mark(path: str) -> None:
    """The task is done."""
    if path:
        with suppress(FileNotFoundError):
            Path(path).unlink()
