"""TIFF blocks as exifread reads them: the reader of record, for all tags and for irregular blocks.

It is kept on a short lead: it raises anything, visits hostile directories for ever and reads as much as a file tells it to. It
is handed TIFF blocks alone, never another container to search, and a file whose reads are counted.
"""

from __future__ import annotations

import io
import logging
from typing import Any

from pipeline.media.facts import Picture
from pipeline.media.source import BytesSource, Source
from pipeline.media.tiff import LARGEST_VALUE, Directories, Value, text
from pipeline.problems import MediaError, Problem

#: Reads and bytes that exifread may take for one block. It reads number by number, and seeks before each: no honest block
#: takes more than three for each of its bytes.
READ_BUDGET, BYTE_BUDGET = 20_000, 64 << 20
LEAST_READS, READS_PER_BYTE = 250, 3

_ASCII, _UNDEFINED, _FLOATS, _RATIOS = 2, 7, (11, 12), (5, 10)


def read_directories(source: Source) -> Directories:
    """The values of the block's directories, as `tiff` would give them. Those that exifread makes up are left out.

    Raises MediaError if the block asks for too many reads, and whatever exifread raises on damaged ones.
    """
    tags = _tags(source)
    if tags is None:
        raise MediaError("too_complex: the directories ask for too many reads")
    found: dict[str, dict[int, Value]] = {"Image": {}, "EXIF": {}, "GPS": {}}
    for name, tag in tags.items():
        directory = found.get(name.partition(" ")[0])
        if directory is not None and (value := _value(tag, source.size)):
            directory[tag.tag] = value
    return Directories(found["Image"], found["EXIF"], found["GPS"])


def _value(tag: Any, end: int) -> Value | None:
    """An IfdTag's value; nothing if it is not there."""
    values, kind = tag.values, int(tag.field_type)
    if kind == _ASCII:
        return (text(values) if isinstance(values, bytes) else str(values).strip())[:LARGEST_VALUE]
    if tag.field_offset + tag.field_length > end:  # exifread takes zeros for what lies behind the end
        return None
    if kind == _UNDEFINED:
        return bytes(values)
    if kind in _RATIOS:
        return tuple((ratio.numerator, ratio.denominator) for ratio in values)
    if kind in _FLOATS:
        return tuple(number for (number,) in values)
    return tuple(values)


def all_tags(source: Source, picture: Picture) -> tuple[dict[str, str], list[Problem]]:
    """Every tag that exifread finds, as text by name. `picture` is what the file's own reader found.

    Raises whatever exifread raises on damaged files.
    """
    tags = _tags(BytesSource(picture.exif_block) if picture.exif_block else source)
    if tags is None:
        problem = Problem("exif", "too_complex", "reading all tags was given up: the file asks for too many reads")
        return {}, [problem]
    return {name: _tag_text(value) for name, value in sorted(tags.items())}, []


def _tags(block: Source) -> dict[str, Any] | None:
    """exifread's tags of a TIFF block by name; None if it was stopped."""
    import exifread  # here, as most processes never need it

    logging.getLogger("exifread").setLevel(logging.CRITICAL)  # what is amiss is in the problems
    try:
        # A TIFF block by itself is a TIFF file; maker notes cost ten times the rest, and hang on lying counts.
        tags: dict[str, Any] = exifread.process_file(_Budget(block), details=False, extract_thumbnail=False)
    except _OutOfBudgetError:
        return None
    return tags


def _tag_text(value: Any) -> str:
    values = getattr(value, "values", value)
    shown = values.decode("utf-8", "backslashreplace") if isinstance(values, bytes) else str(value)
    return shown.encode("utf-8", "backslashreplace").decode()[:4096]


class _Budget(io.RawIOBase):
    """A Source as a file whose reads come to an end."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self.reads = min(READ_BUDGET, LEAST_READS + READS_PER_BYTE * source.size)
        self.bytes = BYTE_BUDGET

    def seek(self, offset: int, whence: int = 0) -> int:
        self._count(0)
        start = (0, self.position, self.source.size)[whence]
        if start + offset < 0:
            raise ValueError("negative position")
        self.position = start + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        left = max(self.source.size - self.position, 0)
        size = left if size is None or size < 0 else min(size, left)
        self._count(size)
        data = self.source.read_at(self.position, size)
        self.position += len(data)
        return data

    def _count(self, size: int) -> None:
        self.reads -= 1
        self.bytes -= size
        if self.reads < 0 or self.bytes < 0:
            # Not an Exception: exifread catches those and goes on.
            raise _OutOfBudgetError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


class _OutOfBudgetError(BaseException):
    """exifread has read more than any honest file needs."""
