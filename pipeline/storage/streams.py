"""One member of an archive whose bytes come front to back only, as a media Source.

Readers of metadata read forward for the most part. What they jump back to is kept: all of an ordinary member, the head and
a window of a large one. Nothing is allocated by a declared size.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable

from zlib_ng import zlib_ng

from pipeline.item import Content
from pipeline.limits import progress
from pipeline.problems import MediaError, Problem

#: Members up to this size are kept whole.
WHOLE = 64 << 20
#: Of larger ones: the first bytes, for the headers, and the last ones that passed, for what is read inside of a box there.
KEPT_HEAD, WINDOW = 1 << 20, 8 << 20


class Streamed:
    """A member of `size` bytes by its header; `feed` gives its next piece, an empty one at the end.

    `feed` may raise MediaError or OSError: so do all reads of what had not come by then.
    """

    problems: tuple[Problem, ...] = ()
    cold = False  # as far as can be said: whoever gives the feed reads ahead
    seekable = True  # what is passed over has to be read all the same
    __slots__ = ("_crc32", "_ended", "_ends", "_feed", "_pieces", "error", "passed", "size")

    def __init__(self, size: int, feed: Callable[[], bytes | memoryview]) -> None:
        self.size = size
        self._feed = feed
        self._pieces: list[bytes | memoryview] = []
        self._ends: list[int] = []  # where each of them ends
        self.passed = 0
        self._crc32 = 0
        self._ended = False
        self.error: MediaError | OSError | None = None

    @classmethod
    def of(cls, data: bytes) -> Streamed:
        """All of it, had before."""
        pieces = [data]
        return cls(len(data), lambda: pieces.pop() if pieces else b"")

    @property
    def ended_early(self) -> bool:
        """Its end has been met, and bytes of its declared size are missing."""
        return self._ended and self.passed < self.size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end. Raises MediaError if they have passed and are not kept."""
        end = min(offset + length, self.size)
        if offset < 0 or offset >= end:
            return b""
        while self.passed < end and self._pull(offset):
            pass
        end = min(end, self.passed)
        found = []
        index = bisect_right(self._ends, offset)
        while offset < end:
            piece = self._pieces[index] if index < len(self._pieces) else b""
            start = self._ends[index] - len(piece) if piece else end
            if offset < start:
                raise MediaError(
                    f"not_kept: bytes from {offset:,} are needed again; they lie too far back in the archive"
                )
            found.append(piece[offset - start : end - start])
            offset = self._ends[index]
            index += 1
        return bytes(found[0]) if len(found) == 1 else b"".join(found)

    def read_all(self, limit: int) -> bytes:
        """The whole content. Raises MediaError above `limit` bytes."""
        if self.size > limit:
            raise MediaError(f"too_large: {self.size:,} bytes, more than {limit:,}")
        data = self.read_at(0, self.size)
        self.drain()
        return data

    def drain(self, keep: bool = False) -> tuple[int, int]:
        """Size and CRC-32 of all bytes that there are. Raises MediaError if they are more than its header says.

        What passes only now can be read later if asked to `keep` it; memory that is used again at once is faster.
        """
        while self._pull(self.passed, keep):
            pass
        return self.passed, self._crc32

    def check(self, whole: bool = True) -> Content:
        """Size and CRC-32, for which all is read. Raises MediaError, OSError."""
        return Content(*self.drain(), "read")

    def begin(self, length: int, whole: bool) -> bytes:
        """The first bytes, asked for before others. What is kept whole is read whole at once."""
        if self.size <= WHOLE:
            self.drain(keep=True)
        return self.read_at(0, length)

    def look(self) -> None:
        """Nothing is to be found out: the giver of the feed reads ahead."""

    def read_ahead(self, length: int) -> None:
        """Nothing is left to be read ahead."""

    def close(self) -> None:
        """Whoever gave the feed has what is open."""

    def _pull(self, wanted: int, keep: bool = True) -> bool:
        """Take in the next piece, keep what is `wanted` and behind; False at the end."""
        if self.error is not None:
            raise anew(self.error)
        if self._ended:
            return False
        try:
            piece = self._feed()
        except (MediaError, OSError) as error:
            self.error = anew(error)
            raise
        if not piece:
            self._ended = True
            return False
        if self.passed + len(piece) > self.size:
            piece = piece[: self.size - self.passed]
            self.error = MediaError(f"damaged: there is more of it than the {self.size:,} bytes that its header says")
        self._crc32 = zlib_ng.crc32(piece, self._crc32)
        self.passed += len(piece)
        progress()
        if not keep:
            return True
        self._pieces.append(piece)
        self._ends.append(self.passed)
        if self.size > WHOLE:
            # The pieces of the head are those that end before KEPT_HEAD, and one more.
            head = bisect_left(self._ends, KEPT_HEAD) + 1
            gone = bisect_right(self._ends, min(wanted, self.passed - WINDOW))
            del self._pieces[head:gone], self._ends[head:gone]
        return True


def anew(error: MediaError | OSError) -> MediaError | OSError:
    """The same error, never raised before. One that has been knows the frames that it went through: kept by what stands in one
    of them, it keeps that, with all its memory, until the collector of cycles comes by."""
    return type(error)(*error.args)
