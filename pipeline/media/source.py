"""Positional reading: the one way in which `media` looks at bytes, whatever holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: Bytes that one read behind the head fetches: headers stand close together, and a read costs more than its bytes.
NEARBY = 4096


class Source(Protocol):
    """Bytes that can be read at any position.

    A folder's file, a stored zip member and a block in memory are all Sources.
    """

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def seekable(self) -> bool:
        """Its end costs no more than its beginning: else what is nice to know there is left out."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end, none past it. May raise OSError, MediaError."""


@dataclass(frozen=True, slots=True)
class BytesSource:
    """A block in memory."""

    data: bytes

    @property
    def seekable(self) -> bool:
        """It is."""
        return True

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        start = 0 if offset < 0 else offset
        return self.data[start : start + length] if length > 0 else b""


@dataclass(frozen=True, slots=True)
class SliceSource:
    """A window of another source, with positions counted from its start."""

    whole: Source
    start: int
    size: int

    @property
    def seekable(self) -> bool:
        """As the whole is."""
        return self.whole.seekable

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length) of the window, fewer at its end."""
        offset = max(offset, 0)
        return self.whole.read_at(self.start + offset, max(0, min(length, self.size - offset)))


@dataclass(slots=True)
class HeadSource:
    """A source whose first bytes are in memory already; other reads fetch a block, for the reads that follow close by."""

    whole: Source
    head: bytes
    _start: int = 0
    _block: bytes = b""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.whole.size

    @property
    def seekable(self) -> bool:
        """As the whole is."""
        return self.whole.seekable

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        end = offset + length
        if offset < 0 or length <= 0:
            return b""
        if end <= len(self.head):
            return self.head[offset:end]
        start = self._start
        if start <= offset and end <= start + len(self._block):
            return self._block[offset - start : end - start]
        if length >= NEARBY:
            return self.whole.read_at(offset, length)
        self._start, self._block = offset, self.whole.read_at(offset, NEARBY)
        return self._block[:length]
