"""Regular files of folders, open for reading."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

from pipeline.limits import progress
from pipeline.problems import MediaError

#: How input is opened: read-only, never waiting for whoever writes to a FIFO, never through a link.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
#: Bytes of a file that are asked for ahead, and in pieces of what size: of a longer one the system ignores the rest, unless the
#: device asks for more.
WANTED_AHEAD, HINTED = 4 << 20, 128 << 10
#: Seconds within which a byte comes that is in memory.
SOON = 0.0002
#: Seconds above which a read has surely waited for a disk or a network.
WAITED_LONG = 0.5
#: Files from this size on leave the page cache as they came. So much of their beginning and of what has passed stays until they
#: are closed, for the readers of metadata.
LARGE, KEPT = 16 << 20, 8 << 20
#: Memory is short if less than this share of it is used for nothing: what is read then pushes something out of it.
SHARE_FREE = 16

_ONE_BYTE = [bytearray(1)]  # nobody looks at it


@dataclass(slots=True)
class OpenFile:
    """A regular file open for reading: a media Source whose bytes can also be read front to back."""

    descriptor: int
    size: int
    modified_ns: int | None
    cold: bool = False  # its first bytes were not in memory when that was looked for
    first: bytes = b""  # read ahead; `read_into` goes on behind them
    _passed: int = 0
    _dropped: int = KEPT

    @property
    def seekable(self) -> bool:
        """It is."""
        return True

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the file."""
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        started = perf_counter()
        found = os.pread(self.descriptor, min(length, self.size - offset), offset)
        if perf_counter() - started > WAITED_LONG:
            progress()  # of the disk. Readers that ask for the same bytes over and over do not wait for it
        return found

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes into `buffer`; 0 at the end."""
        length = os.readv(self.descriptor, [buffer])
        self._passed += length
        if self._passed - self._dropped >= 2 * KEPT and self.cold:
            self._drop(self._passed - KEPT - self._dropped)
        return length

    def read_all(self, limit: int) -> bytes:
        """The whole content. Raises MediaError above `limit` bytes."""
        if self.size > limit:
            raise MediaError(f"too_large: {self.size:,} bytes, more than {limit:,}")
        blocks: list[bytes] = []
        length = 0
        while block := os.pread(self.descriptor, max(self.size, 1) if not blocks else 65536, length):
            blocks.append(block)
            length += len(block)
            if length >= self.size and length > limit:
                raise MediaError(f"too_large: grew beyond {limit:,} bytes while it was read")
            if length == self.size:
                break
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def look(self) -> bool:
        """Find out whether its first bytes can be had without waiting for a disk or network; False if the file system does not
        tell. Whoever reads meets errors.
        """
        try:
            os.preadv(self.descriptor, _ONE_BYTE, 0, os.RWF_NOWAIT)
        except BlockingIOError:
            self.cold = True
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:  # but it takes its time
                started = perf_counter()
                with suppress(OSError):
                    os.pread(self.descriptor, 1, 0)
                self.cold = perf_counter() - started > SOON
                return False
        return True

    def is_unchanged(self) -> bool:
        """Size and modification time are still those of when it was opened."""
        state = os.fstat(self.descriptor)
        return (state.st_size, modified_ns(state)) == (self.size, self.modified_ns)

    def read_ahead(self, length: int) -> None:
        """Have the disk fetch the first bytes while we compute. Where that may not be heeded, they are read. Whoever reads on
        meets errors.
        """
        told = self.look()
        with suppress(OSError):
            if self.cold:
                self.hint()
            if not told:  # not all network file systems have a cache that they read ahead into
                self.read_first(length)

    def hint(self) -> None:
        """Tell the system what is wanted soon."""
        for offset in range(0, min(self.size, WANTED_AHEAD), HINTED):
            os.posix_fadvise(self.descriptor, offset, HINTED, os.POSIX_FADV_WILLNEED)

    def read_first(self, length: int) -> None:
        """Read the first bytes, to be had without waiting. May raise OSError."""
        self.first = os.read(self.descriptor, min(length, self.size))

    def close(self) -> None:
        """Close it; may be called again. Memory is left as it was if it is a large file, or memory is short."""
        if self.descriptor >= 0:
            if self.cold and (self.size >= LARGE or memory_is_short()):
                os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(self.descriptor)
            self.descriptor = -1

    def _drop(self, length: int) -> None:
        os.posix_fadvise(self.descriptor, self._dropped, length, os.POSIX_FADV_DONTNEED)
        self._dropped += length


def modified_ns(state: os.stat_result) -> int | None:
    """When a file was modified, in nanoseconds since 1970; None beyond the year 2262, which 64 bits do not hold."""
    nanoseconds = state.st_mtime_ns
    return nanoseconds if -(1 << 63) <= nanoseconds < 1 << 63 else None


def memory_is_short() -> bool:
    """Nearly all memory is used for something, if only for files that were read once."""
    return os.sysconf("SC_AVPHYS_PAGES") * SHARE_FREE < os.sysconf("SC_PHYS_PAGES")
