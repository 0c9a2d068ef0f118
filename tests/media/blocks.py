"""TIFF blocks and small pictures, built byte by byte."""

import struct
import zlib
from typing import Any

Fields = dict[int, tuple[int, Any]]  # tag -> (type, value); rationals as pairs

_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d"}


def tiff(first: Fields, exif: Fields | None = None, gps: Fields | None = None, order: str = "<") -> bytes:
    """A TIFF block with the directories given."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    first = dict(first)
    if exif is not None:
        first[0x8769] = (4, [0])
    if gps is not None:
        first[0x8825] = (4, [0])
    blocks = b""
    offset = 8 + _length(first, order)
    for pointer, fields in ((0x8769, exif), (0x8825, gps)):
        if fields is not None:
            first[pointer] = (4, [offset])
            block = _directory(fields, order, offset)
            blocks += block
            offset += len(block)
    return head + _directory(first, order, 8) + blocks


def _length(fields: Fields, order: str) -> int:
    return len(_directory(fields, order, 8))


def _directory(fields: Fields, order: str, start: int) -> bytes:
    entries, values = b"", b""
    after = start + 2 + 12 * len(fields) + 4
    for tag, (kind, value) in sorted(fields.items()):
        data, count = _encoded(kind, value, order)
        if len(data) <= 4:
            field = data.ljust(4, b"\0")
        else:
            field = struct.pack(order + "I", after + len(values))
            values += data
        entries += struct.pack(order + "HHI", tag, kind, count) + field
    return struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", 0) + values


def _encoded(kind: int, value: Any, order: str) -> tuple[bytes, int]:
    if kind == 2:
        data = value if isinstance(value, bytes) else value.encode() + b"\0"
        return data, len(data)
    if kind == 7:
        return value, len(value)
    if kind in (5, 10):
        flat = [number for pair in value for number in pair]
        return struct.pack(f"{order}{len(flat)}{'I' if kind == 5 else 'i'}", *flat), len(value)
    return struct.pack(f"{order}{len(value)}{_CODES[kind]}", *value), len(value)


def apple_note(identifier: str) -> bytes:
    """Apple's maker note with the identifier of a live photo; offsets count from its start."""
    return b"Apple iOS\0\0\1MM" + _directory({0x0011: (2, identifier)}, ">", 14)


def segment(mark: int, data: bytes) -> bytes:
    """A JPEG segment."""
    return bytes((0xFF, mark)) + struct.pack(">H", len(data) + 2) + data


def jpeg(
    exif: bytes | None = None, size: tuple[int, int] = (4000, 3000), before: bytes = b"", end: bytes = b"\xff\xd9"
) -> bytes:
    """A JPEG without a picture worth decoding."""
    frame = segment(0xC0, struct.pack(">BHHB", 8, size[1], size[0], 1) + b"\1\x11\0")
    block = segment(0xE1, b"Exif\0\0" + exif) if exif is not None else b""
    return b"\xff\xd8" + before + block + frame + segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x12\x34" + end


def chunk(name: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*chunks: bytes, size: tuple[int, int] = (40, 30)) -> bytes:
    """A PNG with extra chunks between header and picture."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of the chunks given."""
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
