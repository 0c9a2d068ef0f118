"""The compression methods of zip members: packed bytes in, a bounded block of content out, whatever the bytes say."""

from __future__ import annotations

import bz2
import lzma
import struct
from collections.abc import Callable
from typing import Any

from zlib_ng import zlib_ng

from pipeline.problems import MediaError

#: Bytes that come out at once, so that no bomb fills the memory.
BLOCK = 256 << 10
#: An LZMA dictionary is allocated by its declared size; larger ones than this are refused.
LARGEST_DICTIONARY = 64 << 20

DEFLATED, BZIP2, LZMA = 8, 12, 14  # APPNOTE 4.4.5


class Unpacking:
    """The content of one member, block by block. `read` gives its packed bytes, piece by piece, and none at the end."""

    def __init__(self, method: int, read: Callable[[], bytes]) -> None:
        self._read = read
        self._machine: Any = None
        self._method = method
        self.used = 0  # packed bytes, without those behind the end

    def next_block(self) -> bytes:
        """At most BLOCK bytes more; none at the end. Raises OSError, and MediaError if the bytes mean nothing or end early."""
        try:
            return self._inflated() if self._method == DEFLATED else self._unpacked()
        except (zlib_ng.error, lzma.LZMAError, ValueError) as error:  # type: ignore[misc]
            raise MediaError(f"damaged: its compressed bytes mean nothing ({error})") from error

    def _inflated(self) -> bytes:
        if self._machine is None:
            self._machine = zlib_ng.decompressobj(-zlib_ng.MAX_WBITS)
        machine, block = self._machine, b""
        while not block and not machine.eof:
            packed = machine.unconsumed_tail or self._more()
            if not packed:
                raise MediaError("damaged: its compressed bytes end early")
            block = machine.decompress(packed, BLOCK)
            if machine.eof:
                self.used -= len(machine.unused_data)
        return block

    def _unpacked(self) -> bytes:
        """As bz2 and lzma have it: they keep what they have not used yet. A stream of LZMA may have no mark at its end."""
        packed = b""
        if self._machine is None:
            packed = self._more()
            if self._method == BZIP2:
                self._machine = bz2.BZ2Decompressor()
            else:
                while len(packed) < 9 and (more := self._more()):
                    packed += more
                self._machine, packed = _lzma_machine(packed), packed[9:]
        machine, block = self._machine, b""
        while not block and not machine.eof:
            if not packed and machine.needs_input and not (packed := self._more()):
                return b""
            try:
                block = machine.decompress(packed, BLOCK)
            except OSError as error:  # as bz2 has it
                raise ValueError(error) from error
            packed = b""
        return block

    def _more(self) -> bytes:
        packed = self._read()
        self.used += len(packed)
        return packed


def _lzma_machine(head: bytes) -> lzma.LZMADecompressor:
    """By the version, the length of the properties, and the properties that stand in front of the data (APPNOTE 5.8.8)."""
    try:
        _, length, packing, dictionary = struct.unpack_from("<HHBI", head)
    except struct.error:
        raise MediaError("damaged: its compressed bytes end early") from None
    if length != 5 or packing >= 9 * 5 * 5 or dictionary > LARGEST_DICTIONARY:
        raise MediaError(f"method: an LZMA dictionary of {dictionary:,} bytes is too large")
    filters = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(dictionary, 4096),
        "lc": packing % 9,
        "lp": packing // 9 % 5,
        "pb": packing // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters])
