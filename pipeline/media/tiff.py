"""TIFF directories, as in TIFF files, raw files and EXIF blocks: only the wanted entries, bounds-checked.

Reads by position, never allocates by a declared size, follows no chain of directories by itself: whatever a block claims,
the time is bounded by the entries of the directories asked for. TIFF 6.0 section 2; BigTIFF as libtiff documents it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from pipeline.media.source import Source
from pipeline.problems import MediaError

#: A value of an entry: text, raw bytes, or numbers; a rational is its numerator and denominator, kept apart.
Value = str | bytes | tuple[int | float | tuple[int, int], ...]
Values = Mapping[int, Value]

#: Bytes of one value, at most; the longest wanted ones are texts.
LARGEST_VALUE = 64 << 10
#: Numbers or letters of one value that are nothing out of the ordinary.
MOST_NUMBERS = 999
#: Tags of which more is: offsets and sizes of a picture's strips, the maker note.
_LONG = frozenset({0x0111, 0x0117, 0x927C})

# Type number -> bytes per value and struct code (None: text or bytes). TIFF 6.0 p. 15; 13 IFD and 16-18 of BigTIFF.
_TYPES: dict[int, tuple[int, str | None]] = {
    1: (1, "B"),
    2: (1, None),
    3: (2, "H"),
    4: (4, "I"),
    5: (8, "II"),
    6: (1, "b"),
    7: (1, None),
    8: (2, "h"),
    9: (4, "i"),
    10: (8, "ii"),
    11: (4, "f"),
    12: (8, "d"),
    13: (4, "I"),
    16: (8, "Q"),
    17: (8, "q"),
    18: (8, "Q"),
}
_SIZES = {kind: size for kind, (size, _) in _TYPES.items()}
_TEXT, _RATIONALS = 2, (5, 10)
#: The last type of TIFF; those beyond it are BigTIFF's.
LAST_TYPE = 13


class _Layout(NamedTuple):
    """How a block of one byte order, TIFF or BigTIFF, lays out a directory."""

    length: struct.Struct  # the number of entries
    entry: struct.Struct
    inside: int  # bytes of a value that stand in the entry itself
    endian: Literal["little", "big"]
    numbers: dict[int, struct.Struct]  # one value of each numeric type


_LAYOUTS = {
    (order, big): _Layout(
        struct.Struct(order + ("Q" if big else "H")),
        struct.Struct(order + ("HHQ8s" if big else "HHI4s")),
        8 if big else 4,
        "little" if order == "<" else "big",
        {kind: struct.Struct(order + code) for kind, (_, code) in _TYPES.items() if code is not None},
    )
    for order in "<>"
    for big in (False, True)
}

# The number after the byte order: 42 TIFF, 43 BigTIFF, 0x55 Panasonic, "RO"/"RS" Olympus.
_NUMBERS = {42, 43, 0x55, 0x4F52, 0x5352}


class Directory(NamedTuple):
    """The wanted entries of one image file directory: tag -> value.

    `bad` are tags, wanted or not, whose value reaches out of the block (-1: the directory itself does); `odd` are wanted
    tags whose text is neither ASCII nor UTF-8, read as best it can be. A `regular` directory has none of them, no type that
    is not TIFF's, and no wanted tag twice or of more numbers than any wanted one has.
    """

    values: dict[int, Value]
    bad: tuple[int, ...] = ()
    odd: tuple[int, ...] = ()
    next_offset: int = 0
    regular: bool = True


class Directories(NamedTuple):
    """The values of a block by directory: the first, EXIF's own, and the position."""

    first: Values
    camera: Values
    gps: Values


class Tiff(NamedTuple):
    """A TIFF block: its byte order ("<" or ">"), the offset of its first directory, and whether it is a BigTIFF.

    `number` is what stands in its header: of a TIFF 42.
    """

    source: Source
    order: str
    first: int
    big: bool = False
    number: int = 42

    @property
    def known(self) -> bool:
        """The number is one that TIFF blocks have."""
        return self.number in _NUMBERS

    @classmethod
    def open(cls, source: Source) -> Tiff:
        """Read the header. Raises MediaError if there is none."""
        head = source.read_at(0, 16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise MediaError("no_tiff: the block does not begin with a TIFF header")
        number, first = struct.unpack_from(order + "HI", head, 2)
        if number == 43 and len(head) == 16:
            return cls(source, order, struct.unpack_from(order + "Q", head, 8)[0], True, number)
        return cls(source, order, first, False, number)

    def directory(self, offset: int, wanted: Collection[int]) -> Directory:
        """The wanted entries of the directory at `offset`. Raises MediaError if none lies there.

        A directory that the end of the block cuts short gives the entries before the cut.
        """
        read_at, end = self.source.read_at, self.source.size
        counts, entries, inside, endian, numbers = _LAYOUTS[self.order, self.big]
        head = read_at(offset, counts.size)
        if len(head) < counts.size or offset < counts.size:
            raise MediaError(f"damaged: no directory at offset {offset:,}")
        count = min(counts.unpack(head)[0], 0xFFFF)
        data = read_at(offset + counts.size, count * entries.size + 8)
        whole = min(count, len(data) // entries.size)
        values: dict[int, Value] = {}
        bad: list[int] = []
        odd: list[int] = []
        regular = True
        for tag, kind, number, inline in entries.iter_unpack(data[: whole * entries.size]):
            size = _SIZES.get(kind)
            if size is None:  # "readers should skip over fields containing an unexpected field type"
                regular = False
                continue
            length = size * number
            if length > inside:
                place = int.from_bytes(inline, endian)
                if place + length > end:
                    bad.append(tag)
            if tag not in wanted:
                continue
            if tag in values or kind > LAST_TYPE or (number > MOST_NUMBERS and tag not in _LONG):
                regular = False
            if tag in values:
                continue
            if length <= inside:
                found = inline[:length]
            else:
                # A count of billions is a lie or a picture; as many values as are there and of use are enough.
                most = min(length, LARGEST_VALUE)
                found = read_at(place, most)
                if len(found) < most and (kind != _TEXT or not found):  # text alone may be cut short
                    continue
            if kind == _TEXT:
                values[tag], strange = _text_of(found)
                if strange:
                    odd.append(tag)
            elif (one := numbers.get(kind)) is None:
                values[tag] = found
            elif number == 1:
                values[tag] = (one.unpack(found),) if kind in _RATIONALS else one.unpack(found)
            else:
                values[tag] = _several(kind, one, found)
        if whole < count:
            bad.append(-1)
        link = data[count * entries.size :]
        after = int.from_bytes(link[:inside], endian) if len(link) >= inside else 0
        return Directory(values, tuple(bad), tuple(odd), after, regular and not bad and not odd)


def _several(kind: int, one: struct.Struct, data: bytes) -> Value:
    several = one.iter_unpack(data[: len(data) // one.size * one.size])
    return tuple(several) if kind in _RATIONALS else tuple(number for (number,) in several)


def text(data: bytes) -> str:
    """Text up to the first NUL. EXIF says ASCII; cameras write UTF-8, and Latin-1 where that does not decode."""
    if _is_utf16(data):
        return data.decode("utf-16-le", "replace").partition("\0")[0].strip()
    data = data.partition(b"\0")[0]
    try:
        return data.decode().strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()


def _text_of(data: bytes) -> tuple[str, bool]:
    """Text, and whether it is neither ASCII nor UTF-8, or holds control characters."""
    plain = data.partition(b"\0")[0]
    if len(plain) > 1 and plain.isascii():  # nearly all texts; a zero as the second byte may be UTF-16's
        found = plain.decode().strip()
        return found, not found.isprintable()
    return text(data), _is_odd(data)


def _is_utf16(data: bytes) -> bool:
    """Two letters and more, each with a zero byte behind it."""
    return len(data) >= 4 and data[1] == data[3] == 0 != data[2] and not any(data[1::2])


def _is_odd(data: bytes) -> bool:
    """The text is neither ASCII nor UTF-8, or holds control characters."""
    if _is_utf16(data):
        return True
    try:
        return not data.partition(b"\0")[0].decode().strip().isprintable()
    except UnicodeDecodeError:
        return True
