"""Regular files of folders, open for reading."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pipeline.problems import MediaError

#: How input is opened: read-only, never waiting for whoever writes to a FIFO, never through a link.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(slots=True)
class OpenFile:
    """A regular file open for reading: a media Source whose bytes can also be read front to back."""

    descriptor: int
    size: int
    modified_ns: int

    @property
    def seekable(self) -> bool:
        """It is."""
        return True

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the file."""
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        return os.pread(self.descriptor, min(length, self.size - offset), offset)

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes into `buffer`; 0 at the end."""
        return os.readv(self.descriptor, [buffer])

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

    def in_memory(self) -> bool:
        """The first bytes can be had without waiting for a disk or network, as far as the system can say."""
        try:
            return os.preadv(self.descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1 or self.size == 0
        except OSError:  # EAGAIN: not in the page cache; or a file system that does not tell
            return False

    def is_unchanged(self) -> bool:
        """Size and modification time are still those of when it was opened."""
        state = os.fstat(self.descriptor)
        return (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns)

    def hint(self) -> None:
        """Tell the kernel that the first blocks are wanted soon, so that the disk works while we compute."""
        os.posix_fadvise(self.descriptor, 0, min(self.size, 4 << 20), os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close it; may be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
