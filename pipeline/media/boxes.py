"""Boxes: the nested pieces that ISO base media files (MP4, MOV, 3GP, HEIC, AVIF, CR3) are made of.

ISO/IEC 14496-12 section 4.2 and the QuickTime File Format (atoms) define them. This is a walker that trusts no number it
reads: every file has one budget of boxes and of bytes, a box ends where its parent ends, and nothing is allocated by a
declared size. It descends only where it is told to, so nesting costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from pipeline.media.source import NEARBY, Source
from pipeline.problems import Problem

#: Boxes looked at in one file; honest files need some dozens, fragmented ones some thousands.
MAX_BOXES = 10_000
#: Bytes of one payload, and of all reads of one file together.
MAX_PAYLOAD, MAX_BYTES = 16 << 20, 64 << 20

# Size and name, a 64-bit size behind them, and a uuid box's own type: all that a header can be.
_HEADER = 32
_SIZE_AND_NAME = struct.Struct(">I4s").unpack_from


class Box(NamedTuple):
    """One box: its four-character name and where its payload lies."""

    name: bytes
    start: int
    end: int  # at most the parent's end
    user_type: bytes = b""  # the 16 bytes that name a "uuid" box
    whole: bool = True  # False where the box says that it goes on behind its parent's end

    @property
    def size(self) -> int:
        """Bytes of payload that are there."""
        return self.end - self.start

    @property
    def title(self) -> str:
        """The name for a message."""
        return repr(self.name.decode("latin-1"))


class Boxes:
    """The boxes of one file, under one budget; `problems` gathers what is wrong with them, one of each kind."""

    def __init__(self, source: Source, stage: str) -> None:
        self._source = source
        self._stage = stage
        self._boxes_left = MAX_BOXES
        self._bytes_left = MAX_BYTES
        self._start = 0
        self._block = b""
        self.size = source.size
        self.problems: list[Problem] = []

    def note(self, kind: str, message: str) -> None:
        """Add a problem, unless there is one of its kind: the first is the cause of the others."""
        if all(problem.kind != kind for problem in self.problems):
            self.problems.append(Problem(self._stage, kind, message))

    def top(self) -> Iterator[Box]:
        """The boxes of the file itself."""
        return self._walk(0, self.size, top=True)

    def note_cut_media(self, index: Box) -> None:
        """Look whether the media behind `index`, the file's `moov` or `meta`, is all there: a header or two, read.

        Nothing is said about other boxes behind it: writers append what they like, not all of it boxes. Nor is anything looked
        at behind the media data of a source whose end costs more than all the rest.
        """
        for box in islice(self._walk(index.end, self.size, top=True, quiet=True), 8):
            if box.name == b"mdat" and not box.whole:
                self.note("truncated", "the file ends inside of its media data")
            if box.name == b"moof" or not box.whole or not (self._source.seekable or box.end - index.end < NEARBY):
                return

    def inside(self, box: Box, skip: int = 0) -> Iterator[Box]:
        """The boxes in the payload of `box`, behind its first `skip` bytes."""
        return self._walk(box.start + skip, box.end, top=False)

    def payload(self, box: Box, most: int = MAX_PAYLOAD) -> bytes:
        """The payload of `box`, its first `most` bytes."""
        return self.read(box.start, min(box.end - box.start, most))

    def preload(self, box: Box, most: int) -> None:
        """Read a box of at most `most` bytes at once: one read costs less than the several that follow."""
        if NEARBY < box.size <= most:
            self._fetch(box.start, box.size)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length); fewer at the end of the file or of the budget."""
        at = offset - self._start
        if at >= 0 and 0 < length <= len(self._block) - at:
            return self._block[at : at + length]
        length = min(length, MAX_PAYLOAD)
        if length <= 0:
            return b""
        self._fetch(offset, max(length, NEARBY))
        return self._block[:length]

    def _fetch(self, offset: int, length: int) -> None:
        if self._bytes_left <= 0:
            self.note("too_complex", f"more than {MAX_BYTES} bytes of structure, the rest is not read")
            self._start, self._block = offset, b""
            return
        self._start, self._block = offset, self._source.read_at(offset, min(length, self.size - offset))
        self._bytes_left -= len(self._block)

    def _walk(self, start: int, end: int, top: bool, quiet: bool = False) -> Iterator[Box]:
        note = (lambda kind, message: None) if quiet else self.note
        at = start
        while at + 8 <= end:
            if self._boxes_left <= 0:
                note("too_complex", f"more than {MAX_BOXES} boxes, the rest is not read")
                return
            self._boxes_left -= 1
            head = self.read(at, min(_HEADER, end - at))
            if len(head) < 8:
                note("truncated", "the file ends inside of a box header")
                return
            size, name = _SIZE_AND_NAME(head)
            header = 8
            if size == 1:  # the size that counts follows the name, in 64 bits
                size, header = int.from_bytes(head[8:16], "big"), 16
            elif size == 0 and top:  # up to the end of the file
                size = end - at
            elif size == 0:
                # QuickTime ends a list of user data with a zero; anything else of that size has no end.
                if name.strip(b"\0"):
                    note("damaged", f"box {name.decode('latin-1')!r} has no size")
                return
            user_type = b""
            if name == b"uuid":
                user_type = head[header : header + 16]
                header += 16
            if size < header:
                note("damaged", f"box {name.decode('latin-1')!r} is smaller than its own header")
                return
            begin, stop = at + header, at + size
            if stop <= end:
                yield Box(name, begin, stop, user_type)
            else:
                box = Box(name, min(begin, end), end, user_type, False)
                if not quiet:
                    self._note_cut(box, stop)
                yield box
            at = stop

    def _note_cut(self, box: Box, stop: int) -> None:
        if stop > self.size:
            self.note("truncated", f"the file ends inside of box {box.title}, {stop - self.size} bytes early")
        else:
            self.note("damaged", f"box {box.title} goes on behind the end of the box around it")


def number(data: bytes, offset: int, length: int) -> int | None:
    """The big-endian number of `length` bytes at `offset`; None where `data` is too short."""
    piece = data[offset : offset + length]
    return int.from_bytes(piece, "big") if len(piece) == length else None
