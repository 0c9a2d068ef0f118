"""Where the fields of a file are that readers go by: lengths, counts, types, offsets. A fault there changes most."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Literal, NamedTuple

#: Fields of one file that are looked for, at most.
MOST = 4000
#: Boxes within boxes that are followed.
DEEPEST = 10
_CONTAINERS = b"moov trak mdia minf stbl meta iprp ipco iinf udta edts ilst dinf moof traf".split()
_TIFF_MARKS = (b"II*\0", b"MM\0*", b"IIRO", b"IIU\0")


class Field(NamedTuple):
    """A number in a file."""

    at: int
    length: int
    order: Literal["little", "big"]


def fields_of(data: bytes) -> list[Field]:
    """The fields of a file, by what it is; a few of any other's first bytes."""
    found: list[Field] = []
    for reader in (_zip, _tar, _gzip, _jpeg, _png, _riff, _gif, _boxes, _matroska, _tiffs):
        try:
            found.extend(islice(reader(data), MOST))
        except (struct.error, IndexError, ValueError):
            continue  # a seed that is broken already: what was found in it stays
    return [field for field in found if 0 <= field.at <= len(data) - field.length]


def _jpeg(data: bytes) -> Iterator[Field]:
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        yield Field(at + 1, 1, "big")
        yield Field(at + 2, 2, "big")
        if data[at + 1] in (0xC0, 0xC1, 0xC2):
            yield from (Field(at + 5, 2, "big"), Field(at + 7, 2, "big"))
        if data[at + 1] == 0xDA:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def _png(data: bytes) -> Iterator[Field]:
    at = 8 if data[:4] == b"\x89PNG" else len(data)
    while at + 8 <= len(data):
        yield Field(at, 4, "big")
        yield Field(at + 4, 4, "big")
        if data[at + 4 : at + 8] == b"IHDR":
            yield from (Field(at + 8, 4, "big"), Field(at + 12, 4, "big"))
        at += 12 + int.from_bytes(data[at : at + 4], "big")


def _riff(data: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> Iterator[Field]:
    end = (len(data) if data[:4] in (b"RIFF", b"RIFX") else 0) if end is None else min(end, len(data))
    while start + 8 <= end:
        length = int.from_bytes(data[start + 4 : start + 8], "little")
        yield from (Field(start, 4, "big"), Field(start + 4, 4, "little"))
        if data[start : start + 4] in (b"RIFF", b"LIST") and depth < DEEPEST:
            yield from _riff(data, start + 12, start + 8 + length, depth + 1)
        else:
            yield from (Field(start + 8 + i, 4, "little") for i in range(0, min(length, 56), 4))
        start += 8 + length + length % 2


def _gif(data: bytes) -> Iterator[Field]:
    if data[:3] != b"GIF":
        return
    yield from (Field(6, 2, "little"), Field(8, 2, "little"), Field(10, 1, "little"))
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    while data[at] in (0x21, 0x2C):
        yield Field(at, 1, "little")
        if data[at] == 0x2C:
            yield from (Field(at + i, 2, "little") for i in range(1, 9, 2))
            yield Field(at + 9, 1, "little")
            at += 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        else:
            at += 2
        while True:
            yield Field(at, 1, "little")
            at += 1 + data[at]
            if data[at - 1] == 0 and data[at - 1 : at] == b"\0":
                break


def _boxes(data: bytes, start: int = 0, end: int | None = None, depth: int = 0) -> Iterator[Field]:
    if end is None:
        end = len(data) if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") else 0
    while start + 8 <= end:
        length, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        yield from (Field(start, 4, "big"), Field(start + 4, 4, "big"))
        inner = start + 8
        if length == 1:
            yield Field(inner, 8, "big")
            length, inner = int.from_bytes(data[inner : inner + 8], "big"), inner + 8
        if length == 0:
            length = end - start
        if kind in _CONTAINERS and depth < DEEPEST:
            skipped = 4 if kind in (b"meta", b"iinf") else 0
            yield from _boxes(data, inner + skipped, min(start + length, end), depth + 1)
        if kind != b"mdat":
            stop = min(start + length, end, inner + 128)
            yield from (Field(i, 4, "big") for i in range(inner, stop - 3, 4))
            yield from (Field(i, 2, "big") for i in range(inner + 4, stop - 1, 2))
            yield from (Field(i, 8, "big") for i in range(inner + 4, stop - 7, 8))
        if length < 8:
            return
        start += length


def _matroska(data: bytes) -> Iterator[Field]:
    if data[:4] == b"\x1aE\xdf\xa3":
        yield from (Field(at, 1, "big") for at in range(min(len(data), 1024)))
        yield from (Field(at, 8, "big") for at in range(4, min(len(data), 256)))


def _tiffs(data: bytes) -> Iterator[Field]:
    """TIFF blocks by themselves or inside of anything."""
    for mark in _TIFF_MARKS:
        at = data.find(mark)
        for _ in range(3):
            if at < 0:
                break
            yield from _tiff(data, at)
            at = data.find(mark, at + 4)


def _tiff(data: bytes, base: int) -> Iterator[Field]:
    order: Literal["little", "big"] = "little" if data[base : base + 2] == b"II" else "big"
    number = "<" if order == "little" else ">"
    yield Field(base + 4, 4, order)
    waiting = [base + struct.unpack_from(f"{number}I", data, base + 4)[0]]
    seen: set[int] = set()
    while waiting and len(seen) < 20:
        at = waiting.pop()
        if at in seen or at + 2 > len(data):
            continue
        seen.add(at)
        yield Field(at, 2, order)
        (count,) = struct.unpack_from(f"{number}H", data, at)
        for entry in range(at + 2, min(at + 2 + 12 * min(count, 200), len(data) - 11), 12):
            tag, _, _, value = struct.unpack_from(f"{number}HHII", data, entry)
            yield from (Field(entry, 2, order), Field(entry + 2, 2, order))
            yield from (Field(entry + 4, 4, order), Field(entry + 8, 4, order), Field(entry + 8, 2, order))
            if tag in (0x8769, 0x8825, 0xA005, 0x14A):
                waiting.append(base + value)
        after = at + 2 + 12 * count
        if after + 4 <= len(data):
            yield Field(after, 4, order)
            waiting.append(base + struct.unpack_from(f"{number}I", data, after)[0])


def _zip(data: bytes) -> Iterator[Field]:
    layouts = {
        b"PK\3\4": (2, 2, 2, 2, 2, 4, 4, 4, 2, 2),
        b"PK\1\2": (1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 2, 2, 2, 2, 2, 4, 4),
        b"PK\5\6": (2, 2, 2, 2, 4, 4, 2),
        b"PK\6\6": (8, 2, 2, 4, 4, 8, 8, 8, 8),
        b"PK\6\7": (4, 8, 4),
        b"PK\7\x08": (4, 4, 4),
    }
    for mark, layout in layouts.items():
        at = data.find(mark)
        for _ in range(50):
            if at < 0:
                break
            yield Field(at, 4, "big")
            position = at + 4
            for length in layout:
                yield Field(position, length, "little")
                position += length
            # The name and the extra fields.
            yield from (Field(i, 1, "little") for i in range(position, min(position + 60, len(data)), 3))
            yield from (Field(i, 2, "little") for i in range(position, min(position + 60, len(data)), 2))
            at = data.find(mark, at + 4)


_TAR = ((0, 8), (100, 8), (124, 12), (128, 8), (136, 12), (148, 8), (156, 1), (157, 8), (257, 8), (345, 8))


def _tar(data: bytes) -> Iterator[Field]:
    if data[257:262] != b"ustar":
        return
    for start in range(0, len(data) - 511, 512):
        if data[start + 257 : start + 262] == b"ustar":
            yield from (Field(start + at, length, "big") for at, length in _TAR)
            yield from (Field(start + at, 1, "big") for at in (0, 5, 124, 125, 135, 136, 137, 146, 156, 482, 504))


def _gzip(data: bytes) -> Iterator[Field]:
    if data[:2] == b"\x1f\x8b":
        yield from (Field(at, 1, "little") for at in range(20))
        yield from (Field(len(data) - 8, 4, "little"), Field(len(data) - 4, 4, "little"))
