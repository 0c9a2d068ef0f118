"""TIFF blocks with faults: in the fields of their directories, where a fault changes most, and anywhere else."""

import struct
from collections.abc import Iterator
from random import Random
from typing import Literal

from pipeline.media.exif import FIRST

Field = tuple[int, int]  # position and length in a block

_TAGS = [*sorted(FIRST), 0x9003, 0x9004, 0x829D, 0x8827, *range(1, 8), 0x1D, 0xA005]


def mutated(block: bytes, count: int, seed: str) -> Iterator[bytes]:
    """`count` blocks, each with one to three faults; the same ones for the same seed."""
    fields, random = _fields(block), Random(seed)
    for _ in range(count):
        broken = bytearray(block)
        for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
            _break(broken, fields, random)
        # Cut and turned around once in a while: little is left of such a block.
        if random.random() < 0.02:
            del broken[random.randrange(8, len(broken)) :]
        if random.random() < 0.01:
            broken[:2] = b"MM" if broken[:2] == b"II" else b"II"
        yield bytes(broken)


def _break(block: bytearray, fields: list[Field], random: Random) -> None:
    """One fault: in a tag, type, count, value or offset, or a byte anywhere."""
    order = _order(block)
    at, length = random.choice(fields)
    old = bytes(block[at : at + length])
    new: bytes | int
    match random.randrange(9):
        case 0:
            new = random.randrange(16)  # a type, a small count
        case 1:
            new = random.choice(_TAGS)
        case 2:
            new = random.randrange(len(block) + 16)  # an offset, in most cases inside
        case 3:
            new = old[::-1]  # the other byte order
        case 4:
            other, same = random.choice(fields)  # another entry's tag, type, count or value
            new = bytes(block[other : other + length]) if same == length else old
        case 5:
            new = int.from_bytes(old, order) ^ (1 << random.randrange(8 * length))
        case 6:
            new = random.randbytes(length)
        case _:
            at, length = random.randrange(8, len(block)), 1
            new = random.randrange(256)
    block[at : at + length] = new if isinstance(new, bytes) else new.to_bytes(length, order)


def _order(block: bytes | bytearray) -> Literal["little", "big"]:
    return "little" if block[:2] == b"II" else "big"


def _fields(block: bytes) -> list[Field]:
    """The fields of all directories: counts, tags, types, numbers, values, and links."""
    endian = "<" if block[:2] == b"II" else ">"
    fields: list[Field] = [(4, 4)]
    offsets = [struct.unpack_from(endian + "I", block, 4)[0]]
    for offset in offsets:
        (count,) = struct.unpack_from(endian + "H", block, offset)
        fields.append((offset, 2))
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            fields += [(entry, 2), (entry + 2, 2), (entry + 4, 4), (entry + 8, 4)]
            tag, _, _, value = struct.unpack_from(endian + "HHII", block, entry)
            if tag in (0x8769, 0x8825, 0xA005):
                offsets.append(value)
        link = offset + 2 + 12 * count
        if link + 4 <= len(block):
            fields.append((link, 4))
            (after,) = struct.unpack_from(endian + "I", block, link)
            if 0 < after < len(block):
                offsets.append(after)
    return fields
