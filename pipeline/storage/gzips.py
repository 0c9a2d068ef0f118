"""Gzip streams, inflated piece by piece: all of them, each to its end, with its check sum compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from zlib_ng import zlib_ng

from pipeline.problems import MediaError, Problem

#: Most bytes of one inflated piece.
PIECE = 1 << 20
#: Bytes that the inflating of a stream begins with, doubled from call to call: what lies behind its end is copied.
FIRST_STEP = 16 << 10

MAGIC = b"\x1f\x8b"
_NO_PADDING = re.compile(rb"[^\0]")
_ZLIB_ERROR = cast(type[Exception], zlib_ng.error)


def gunzip(blocks: Iterator[bytes], note: Callable[[Problem], None]) -> Iterator[bytes]:
    """What the gzip streams in `blocks` hold. Raises MediaError where they do not go on; lesser faults go to `note`."""
    machine: Any = None  # of the stream; the stubs know less than it does
    at = streams = inflated = step = 0
    for block in blocks:
        full = False  # the last piece was: more may come of bytes that have been taken already
        while at < len(block) or full:
            if machine is None:
                data = _NO_PADDING.search(block, at)
                if data is None:
                    at = len(block)
                    break
                at = data.start()
                if streams and block[at] != MAGIC[0]:
                    return note(_junk())
                machine, step, inflated = zlib_ng.decompressobj(wbits=31), FIRST_STEP, 0
            taken = block[at : at + step]
            before = machine.copy()
            error = ""
            try:
                piece = machine.decompress(taken, PIECE)
                at += len(taken) - len(machine.unused_data if machine.eof else machine.unconsumed_tail)
            except _ZLIB_ERROR as raised:
                piece, used = _up_to_error(before, taken)
                at += used
                error = str(raised)
            inflated += len(piece)
            step *= 2
            full = len(piece) == PIECE
            if piece:
                yield piece
            if error.endswith(("data check", "length check")):
                note(Problem("list", "crc", "a check sum of the compressed data differs: bytes of this part are wrong"))
                at += 4 if error.endswith("data check") else 0  # the length stands behind the check sum
            elif error and streams and not inflated:
                return note(_junk())
            elif error:
                raise MediaError("damaged: the compressed data cannot be read on")
            if error or machine.eof:
                machine, full = None, False
                streams += 1
        at -= len(block)
    if machine is not None:
        raise MediaError("truncated: the archive ends")


def _junk() -> Problem:
    return Problem("list", "trailing", "bytes that do not belong to it follow behind the compressed data")


def _up_to_error(machine: Any, data: bytes) -> tuple[bytes, int]:
    """What `data` inflates to before it is an error, and how many of its bytes were taken up to that.

    An error costs all that its call had inflated. So go up to it again, in ever smaller steps.
    """
    pieces = []
    used = 0
    for step in (8192, 128, 1):
        while used < len(data):
            before = machine.copy()
            try:
                pieces.append(machine.decompress(data[used : used + step]))
            except _ZLIB_ERROR:
                machine = before
                break
            used += step
    return b"".join(pieces), used + 1
