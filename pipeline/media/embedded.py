"""Whole JPEG pictures inside other files: the previews that raw files bring along, wherever their makers put them."""

from __future__ import annotations

from typing import NamedTuple

_START = b"\xff\xd8\xff"
#: Frames that are pictures for people: baseline, extended, progressive. Lossless ones hold what the sensor saw.
_FRAMES = (0xC0, 0xC1, 0xC2)
#: Places that look like the start of a picture, and segments of one, that are looked at.
MOST_STARTS, MOST_SEGMENTS = 10_000, 1_000


class Preview(NamedTuple):
    """A picture that begins at an offset, and its size."""

    offset: int
    width: int
    height: int


def previews(data: bytes) -> list[Preview]:
    """The JPEG pictures within `data`, the largest first.

    >>> previews(b"raw" + bytes.fromhex("ffd8 ffc0 000b 08 0010 0020 01 11 00 00") + b"raw")
    [Preview(offset=3, width=32, height=16)]
    """
    found: list[Preview] = []
    at = -1
    for _ in range(MOST_STARTS):
        at = data.find(_START, at + 1)
        if at < 0:
            break
        if size := _size(data, at + 2):
            found.append(Preview(at, *size))
    return sorted(found, key=lambda preview: -preview.width * preview.height)


def _size(data: bytes, at: int) -> tuple[int, int] | None:
    """Width and height by the first frame behind `at`; None if what stands there is no picture, or not for people."""
    for _ in range(MOST_SEGMENTS):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        mark = data[at + 1]
        if mark in _FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return (width, height) if data[at + 4] == 8 and width and height else None
        if mark == 0xFF:  # fill
            at += 1
        elif 0xC4 <= mark < 0xFF and mark not in (0xD9, 0xDA) and not 0xD0 <= mark <= 0xD8:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
        else:
            return None
    return None
