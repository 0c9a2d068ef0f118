"""Positional reading: the one way in which `media` looks at bytes, whatever holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Source(Protocol):
    """Bytes that can be read at any position.

    A folder's file, a stored zip member and a block in memory are all Sources.
    """

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end, none past it. May raise OSError."""


@dataclass(frozen=True, slots=True)
class BytesSource:
    """A block in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        return self.data[max(offset, 0) : max(offset, 0) + max(length, 0)]


@dataclass(frozen=True, slots=True)
class SliceSource:
    """A window of another source, with positions counted from its start."""

    whole: Source
    start: int
    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length) of the window, fewer at its end."""
        offset = max(offset, 0)
        return self.whole.read_at(self.start + offset, max(0, min(length, self.size - offset)))
