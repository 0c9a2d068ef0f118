"""Faults in bytes: flips, boundary values, cuts, pieces twice, missing or exchanged, and wrong fields; the same for a seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from tests.fuzz.structure import Field

BOUNDARIES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(data: bytes, other: bytes, fields: Sequence[Field], random: Random) -> bytes:
    """`data` with one to eight faults; some take a piece of `other`."""
    broken = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if not broken:
            broken += other[: random.randrange(64)] or b"\0"
        if fields and random.random() < 0.6:
            _break_field(broken, fields, random)
        else:
            _break_bytes(broken, other, random)
    return bytes(broken)


def _break_field(broken: bytearray, fields: Sequence[Field], random: Random) -> None:
    at, length, order = random.choice(fields)
    if at + length > len(broken):
        return
    if random.random() < 0.1:
        order = "big" if order == "little" else "little"
    value = _number(int.from_bytes(broken[at : at + length], order), at, length, len(broken), random)
    if random.random() < 0.1:
        other = random.choice(fields)
        value = int.from_bytes(broken[other.at : other.at + other.length], other.order)
    broken[at : at + length] = (value & ((1 << 8 * length) - 1)).to_bytes(length, order)


def _number(old: int, at: int, length: int, size: int, random: Random) -> int:
    """What stands in a field instead of `old`: limits, what nearly fits, somewhere in the file, itself."""
    most = (1 << 8 * length) - 1
    return random.choice(
        (
            0,
            1,
            random.randrange(16),
            most,
            most - 1,
            most >> 1,
            (most >> 1) + 1,
            old + 1,
            old - 1,
            old ^ (1 << random.randrange(8 * length)),
            old * 2,
            size,
            size - 1,
            size + 1,
            size - at,
            at,
            random.randrange(size + 1),
            random.randrange(most + 1),
            1 << random.randrange(8 * length),
            most + 1 >> 1 | 1 << random.randrange(8 * length),  # as a tar has large numbers
        )
    )


def _break_bytes(broken: bytearray, other: bytes, random: Random) -> None:
    at = _place(len(broken), random)
    span = 1 + int(random.choice((4, 16, 64, 512, 4096)) * random.random())
    match random.randrange(11):
        case 0 | 1:
            broken[at] ^= 1 << random.randrange(8)
        case 2 | 3:
            broken[at] = random.choice(BOUNDARIES)
        case 4:
            length = random.choice((2, 4, 8))
            order: Literal["little", "big"] = random.choice(("little", "big"))
            value = _number(int.from_bytes(broken[at : at + length], order), at, length, len(broken), random)
            broken[at : at + length] = (value & ((1 << 8 * length) - 1)).to_bytes(length, order)
        case 5:
            del broken[at:]
        case 6:
            broken[at:at] = broken[at : at + span] * random.choice((1, 1, 2, 16))
        case 7:
            del broken[at : at + span]
        case 8:
            there = _place(len(broken), random)
            broken[at : at + span], broken[there : there + span] = broken[there : there + span], broken[at : at + span]
        case 9:
            broken[at : at + span] = random.randbytes(span) if random.random() < 0.5 else bytes(span)
        case _:
            there = _place(len(other), random) if other else 0
            end = len(other) if random.random() < 0.3 else there + span
            broken[at:] = other[there:end] + (broken[at + span :] if random.random() < 0.7 else b"")


def _place(size: int, random: Random) -> int:
    """Anywhere, more often near the beginning, where headers are, or at the very end."""
    if size <= 1:
        return 0
    chance = random.random()
    if chance < 0.5:
        return min(int(size ** random.random()), size - 1)
    return size - 1 - min(int(size ** random.random()), size - 1) if chance < 0.65 else random.randrange(size)


def resummed(data: bytes) -> bytes:
    """A tar whose headers' check sums are right again: else little of what is wrong in it is ever read."""
    tar = bytearray(data)
    for start in range(0, len(tar) - 511, 512):
        if tar[start + 257 : start + 262] == b"ustar":
            header = tar[start : start + 512]
            header[148:156] = b" " * 8
            tar[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return bytes(tar)
