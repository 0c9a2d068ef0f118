"""Archives: files that hold files. Recognised by content, opened once per process, read at positions, watched for changes."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pipeline.problems import MediaError
from pipeline.storage.files import READ_FLAGS

if TYPE_CHECKING:
    from pipeline.storage.objects import ObjectArchive

#: Ends of the names of archives, as downloaded or made by others.
_SUFFIXES = (".zip", ".tgz", ".tar.gz", ".tar", ".taz")
#: Bytes at either end of an archive that tell it from others: behind those of a zip is the end of its directory, with the check
#: sums of some hundred members; behind those of a tgz the check sum of all.
_ENDS = 64 << 10
#: The directory of a zip is in so many bytes at its end, for some hundred thousand members.
LARGEST_END = 32 << 20
#: Archives that a process keeps open, at most, and no more than this share of the files that it may open.
MOST_OPEN, SHARE_OPEN = 256, 4


class Stamp(NamedTuple):
    """What tells whether a file is still the one that was listed.

    Seen from `anywhere`, as by a worker through a mount of its own, the file may have another inode. What lies behind a URL may
    have a `tag`, by which its server gives the bytes of this file and no other.
    """

    inode: int
    size: int
    modified_ns: int
    anywhere: bool = False
    tag: str = ""

    @classmethod
    def of(cls, state: os.stat_result) -> Stamp:
        """The stamp of a file."""
        return cls(state.st_ino, state.st_size, state.st_mtime_ns)

    def is_of(self, found: Stamp) -> bool:
        """The file that has this stamp now is still that one."""
        return found[1:3] == self[1:3] and (self.anywhere or found.inode == self.inode)

    def change(self, path: str) -> str | None:
        """What has become of the file at this path: ``has changed``, ``has vanished``, or None."""
        try:
            return None if self.is_of(stamp_of(path)) else "has changed"
        except OSError:
            return "has vanished"


def stamp_of(path: str) -> Stamp:
    """The stamp of the file at a path, or a URL. Raises OSError."""
    if is_local(path):
        return Stamp.of(os.stat(path))
    from pipeline.storage import remote

    return remote.stamp_of(path)


def is_local(root: str) -> bool:
    """Where a part is is a path, which is absolute, and no URL."""
    return root.startswith("/")


class Archive:
    """An archive open for reading; it is closed when nobody refers to it any more."""

    def __init__(self, path: str, stamp: Stamp, random: bool = True) -> None:
        self.path, self.stamp = path, stamp
        self.descriptor = os.open(path, READ_FLAGS)
        self.check()
        # Of a zip a few kilobytes are wanted here and there; read-ahead would fetch many times as much.
        os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_RANDOM if random else os.POSIX_FADV_SEQUENTIAL)

    def check(self) -> None:
        """Raises MediaError if the archive is no longer what it was when the run began."""
        state = os.fstat(self.descriptor)
        if not stat.S_ISREG(state.st_mode) or not self.stamp.is_of(Stamp.of(state)):
            raise MediaError(f"changed: {self.path.rpartition('/')[2]}, which has it, has changed since the run began")

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end; memory is taken for no more than these."""
        length = min(length, self.stamp.size - offset)
        return os.pread(self.descriptor, length, offset) if length > 0 and offset >= 0 else b""

    def read_all(self, offset: int, length: int) -> bytes:
        """The same, of any length: the system gives at most 2 GiB at a time."""
        blocks: list[bytes] = []
        while length > 0 and (block := self.read_at(offset, min(length, 1 << 30))):
            blocks.append(block)
            offset, length = offset + len(block), length - len(block)
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def close(self) -> None:
        """Close it now; may be called again."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def hint(self, offset: int, length: int) -> None:
        """Tell the kernel that these bytes are wanted soon."""
        os.posix_fadvise(self.descriptor, offset, length, os.POSIX_FADV_WILLNEED)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # which is gone when the program ends
        if (descriptor := getattr(self, "descriptor", -1)) >= 0:
            close(descriptor)


def most_open() -> int:
    """How many archives this process may keep open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_OPEN if limit < 0 else max(1, min(MOST_OPEN, limit // SHARE_OPEN))


@lru_cache(maxsize=most_open())
def open_archive(path: str, stamp: Stamp) -> Archive | ObjectArchive:
    """The archive, opened once per process. Raises OSError, or MediaError if it has changed."""
    if is_local(path):
        return Archive(path, stamp)
    from pipeline.storage.objects import ObjectArchive

    return ObjectArchive(path, stamp)


def open_through(path: str, stamp: Stamp) -> Archive | ObjectArchive:
    """An archive that is read from front to back, for whoever closes it. Raises OSError, or MediaError if it has changed."""
    return Archive(path, stamp, random=False) if is_local(path) else open_archive.__wrapped__(path, stamp)


def is_archive_name(name: str) -> bool:
    """A file is called like an archive that may be a part of an export.

    >>> is_archive_name("takeout-20240101T000000Z-001 (1).zip"), is_archive_name("a.jpg")
    (True, False)
    """
    return name.lower().endswith(_SUFFIXES)


def form_of(path: str) -> str | None:
    """``zip`` or ``tar`` (gzipped or not) by content, else by name; None if it is neither. Raises OSError."""
    descriptor = os.open(path, READ_FLAGS)
    try:
        head = os.pread(descriptor, 512, 0)
        tail = os.pread(descriptor, _ENDS, max(os.fstat(descriptor).st_size - _ENDS, 0))
    finally:
        os.close(descriptor)
    return form_of_bytes(head, tail, path)


def form_of_bytes(head: bytes, tail: bytes, path: str) -> str | None:
    """The same of what begins and ends so."""
    name = path.lower()
    if head[:4] in (b"PK\3\4", b"PK\5\6", b"PK\7\x08") or (name.endswith(".zip") and b"PK\5\6" in tail):
        return "zip"  # whatever may stand in front of it
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return "tar"
    return None if not is_archive_name(name) else "zip" if name.endswith(".zip") else "tar"


def fingerprint(path: str) -> bytes:
    """Differs for archives that differ elsewhere than in the middle: a digest of size and both ends. Raises OSError."""
    descriptor = os.open(path, READ_FLAGS)
    try:
        size = os.fstat(descriptor).st_size
        digest = hashlib.blake2b(str(size).encode(), digest_size=16)
        digest.update(os.pread(descriptor, _ENDS, 0))
        digest.update(os.pread(descriptor, _ENDS, max(size - _ENDS, 0)))
    finally:
        os.close(descriptor)
    return digest.digest()


def are_copies(one: str, other: str, form: str) -> bool:
    """Two archives of one fingerprint are two downloads of one part. Raises OSError.

    Of a zip the end is compared, in which is its directory with the check sums of all members; anything else, whose end says
    little of what is before, byte for byte.
    """
    with open(one, "rb", opener=_open) as a, open(other, "rb", opener=_open) as b:
        if form == "zip":
            start = max(os.fstat(a.fileno()).st_size - LARGEST_END, 0)
            a.seek(start)
            b.seek(start)
        while mine := a.read(1 << 20):
            if mine != b.read(1 << 20):
                return False
        return True


def _open(path: str, _flags: int) -> int:
    return os.open(path, READ_FLAGS)
