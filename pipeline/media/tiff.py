"""TIFF directories, as in TIFF files, raw files and EXIF blocks: only the wanted entries, bounds-checked.

Reads by position, never allocates by a declared size, follows no chain of directories by itself: whatever a block claims,
the time is bounded by the entries of the directories asked for. TIFF 6.0 section 2; BigTIFF as libtiff documents it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from pipeline.media.source import Source
from pipeline.problems import MediaError

#: A value of an entry: text, raw bytes, or numbers; a rational is its numerator and denominator, kept apart.
Value = str | bytes | tuple[int | float | tuple[int, int], ...]

#: Bytes of one value, at most; the longest wanted ones are texts.
LARGEST_VALUE = 64 << 10

# Type number -> bytes per value and struct code (None: handled apart). TIFF 6.0 p. 15; 13 IFD and 16-18 of BigTIFF.
_TYPES: dict[int, tuple[int, str | None]] = {
    1: (1, "B"),
    2: (1, None),
    3: (2, "H"),
    4: (4, "I"),
    5: (8, None),
    6: (1, "b"),
    7: (1, None),
    8: (2, "h"),
    9: (4, "i"),
    10: (8, None),
    11: (4, "f"),
    12: (8, "d"),
    13: (4, "I"),
    16: (8, "Q"),
    17: (8, "q"),
    18: (8, "Q"),
}

# The number after the byte order: 42 TIFF, 43 BigTIFF, 0x55 Panasonic, "RO"/"RS" Olympus.
_MAGIC = {42, 43, 0x55, 0x4F52, 0x5352}


@dataclass(frozen=True, slots=True)
class Directory:
    """The wanted entries of one image file directory: tag -> value.

    `bad` are tags, wanted or not, whose value reaches out of the block (-1: the directory itself does); `odd` are wanted
    tags whose text is neither ASCII nor UTF-8, read as best it can be.
    """

    values: dict[int, Value]
    bad: tuple[int, ...] = ()
    odd: tuple[int, ...] = ()
    next_offset: int = 0


@dataclass(frozen=True, slots=True)
class Tiff:
    """A TIFF block: its byte order ("<" or ">"), the offset of its first directory, and whether it is a BigTIFF."""

    source: Source
    order: str
    first: int
    big: bool = False

    @classmethod
    def open(cls, source: Source) -> Tiff:
        """Read the header. Raises MediaError if there is none."""
        head = source.read_at(0, 16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise MediaError("no_tiff: the block does not begin with a TIFF header")
        magic, first = struct.unpack_from(order + "HI", head, 2)
        if magic not in _MAGIC:
            raise MediaError(f"no_tiff: unknown number {magic:#x} in the TIFF header")
        if magic == 43 and len(head) == 16:
            return cls(source, order, struct.unpack_from(order + "Q", head, 8)[0], big=True)
        return cls(source, order, first)

    def directory(self, offset: int, wanted: Collection[int]) -> Directory:
        """The wanted entries of the directory at `offset`. Raises MediaError if none lies there.

        A directory that the end of the block cuts short gives the entries before the cut.
        """
        order, read_at = self.order, self.source.read_at
        head_size, entry_size, layout = (8, 20, "HHQ8s") if self.big else (2, 12, "HHI4s")
        head = read_at(offset, head_size)
        if len(head) < head_size or offset < head_size:
            raise MediaError(f"damaged: no directory at offset {offset:,}")
        (count,) = struct.unpack(order + ("Q" if self.big else "H"), head)
        count = min(count, 0xFFFF)
        data = read_at(offset + head_size, count * entry_size + 8)
        whole = min(count, len(data) // entry_size)
        values: dict[int, Value] = {}
        bad: list[int] = []
        odd: list[int] = []
        inside, end = 8 if self.big else 4, self.source.size
        endian = self.endian
        for tag, kind, number, inline in struct.iter_unpack(order + layout, data[: whole * entry_size]):
            if kind not in _TYPES:  # "readers should skip over fields containing an unexpected field type"
                continue
            length = _TYPES[kind][0] * number
            if length > inside and int.from_bytes(inline, endian) + length > end:
                bad.append(tag)
            if tag in wanted and tag not in values:
                data_of = self._data(kind, length, inline)
                if data_of is not None:
                    values[tag] = value = self._value(kind, data_of)
                    if kind == 2 and _is_odd(data_of, value):
                        odd.append(tag)
        if whole < count:
            bad.append(-1)
        link = data[count * entry_size :]
        width = 8 if self.big else 4
        after = int.from_bytes(link[:width], endian) if len(link) >= width else 0
        return Directory(values, tuple(bad), tuple(odd), after)

    def link(self, offset: int) -> int:
        """The offset of the directory after the one at `offset`; 0 at the end of the chain."""
        head_size, entry_size, width = (8, 20, 8) if self.big else (2, 12, 4)
        count = int.from_bytes(self.source.read_at(offset, head_size), self.endian)
        return int.from_bytes(self.source.read_at(offset + head_size + count * entry_size, width), self.endian)

    @property
    def endian(self) -> Literal["little", "big"]:
        """The byte order as `int.from_bytes` calls it."""
        return "little" if self.order == "<" else "big"

    def _data(self, kind: int, length: int, inline: bytes) -> bytes | None:
        """The bytes of an entry's value; None if they lie outside of the block, where text alone may be cut short."""
        if length <= len(inline):
            return inline[:length]
        # A count of billions is a lie or a picture; as many values as are there and of use are enough.
        data = self.source.read_at(int.from_bytes(inline, self.endian), min(length, LARGEST_VALUE))
        return None if len(data) < min(length, LARGEST_VALUE) and (kind != 2 or not data) else data

    def _value(self, kind: int, data: bytes) -> Value:
        size, code = _TYPES[kind]
        if kind == 2:
            return text(data)
        if kind == 7:
            return data
        if code is not None:
            return struct.unpack(f"{self.order}{len(data) // size}{code}", data[: len(data) // size * size])
        pairs = struct.unpack(f"{self.order}{len(data) // 4}{'I' if kind == 5 else 'i'}", data[: len(data) // 4 * 4])
        return tuple(zip(pairs[::2], pairs[1::2], strict=False))


def text(data: bytes) -> str:
    """Text up to the first NUL. EXIF says ASCII; cameras write UTF-8, and Latin-1 where that does not decode."""
    if _is_utf16(data):
        return data.decode("utf-16-le", "replace").partition("\0")[0].strip()
    data = data.partition(b"\0")[0]
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def _is_utf16(data: bytes) -> bool:
    """Two letters and more, each with a zero byte behind it."""
    return len(data) >= 4 and data[1] == data[3] == 0 != data[2] and not any(data[1::2])


def _is_odd(data: bytes, value: Value) -> bool:
    """The text is neither ASCII nor UTF-8, or holds control characters."""
    if data.isascii() and isinstance(value, str) and value.isprintable():
        return _is_utf16(data)
    try:
        return not data.partition(b"\0")[0].decode().strip().isprintable()
    except UnicodeDecodeError:
        return True
