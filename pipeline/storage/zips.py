"""Zip archives, read in place: listed by their headers (`zip_headers`), members read at their positions, nothing unpacked."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from zlib_ng import zlib_ng

from pipeline.item import Content, Entry
from pipeline.limits import progress
from pipeline.problems import MediaError, Problem, noting
from pipeline.storage.archives import Archive, open_archive
from pipeline.storage.files import WANTED_AHEAD
from pipeline.storage.parts import Part, Refused, refused_part
from pipeline.storage.streams import Streamed, anew
from pipeline.storage.unpacking import BLOCK, BZIP2, DEFLATED, LZMA, Unpacking
from pipeline.storage.zip_headers import (
    CUT,
    LOCAL,
    LONG,
    Header,
    name_of,
    overlapping,
    packed_bytes,
    read_headers,
    zip64,
)
from pipeline.takeout.parts import paths_in_export

if TYPE_CHECKING:
    from pipeline.storage.objects import Ahead, ObjectArchive

#: Bytes of a medium that are fetched together with its header; more are read when they are asked for.
FIRST = 16 << 10
#: A compressed member up to this size is inflated to its end if that is asked for; beyond, only as far as must be.
CHEAP = 128 << 10

STORED = 0
#: `Entry.method` of what is encrypted, whatever the method is.
ENCRYPTED = -1
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}


def walk_zip(part: Part) -> Iterator[Entry | Refused]:
    """Every file of a zip, in the directory's order; and, as Refused under the archive's own name, what is wrong with it."""
    try:
        if part.stamp is None:
            raise FileNotFoundError
        archive = open_archive(part.address, part.stamp)
        headers, damage = read_headers(archive)
    except MediaError as error:
        yield refused_part(part, [error.message])
        return
    except OSError as error:
        yield refused_part(part, [os.strerror(error.errno) if error.errno else "the archive cannot be opened"])
        return
    if damage:
        yield refused_part(part, damage)
    names = [name_of(each.raw, each.flags, each.extra) for each in headers]
    if not any("/" in name for name in names):  # as some programs of Windows write them
        names = [name.replace("\\", "/") for name in names]
    claimed = overlapping(archive, headers)
    for number, (path, header) in enumerate(zip(paths_in_export(names), headers, strict=True)):
        if not path.endswith("/") and not stat.S_ISDIR(header.mode):
            yield _listed(path, part.name, header, archive.stamp.size, number in claimed)


def _listed(path: str, part: str, header: Header, end: int, overlaps: bool) -> Entry | Refused:
    _, flags, method, modified_ns, crc32, packed, size, at, _, mode, damage = header
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
        return Refused(path, part, "ignored", f"{what} in the archive, never followed", size)
    if damage or at + LOCAL.size + packed > end:
        return Refused(path, part, "unreadable", damage or CUT, size)
    if overlaps:
        return Refused(path, part, "unreadable", "its bytes are those of another member: damage, or a zip bomb", size)
    # What is stored is as long as it is, whatever the directory says: the file is then found to be wrong when it is opened.
    size, method = packed if method == STORED else size, ENCRYPTED if flags & 1 else method
    return tuple.__new__(Entry, (path, part, size, modified_ns, crc32, at, packed, method))


class Member:
    """A member of a zip, open for reading: an InputFile of which size and CRC-32 are known before."""

    cold = False  # the first bytes came with the header

    def __init__(
        self,
        archive: Archive | ObjectArchive,
        entry: Entry,
        start: int,
        first: bytes,
        problems: tuple[Problem, ...] = (),
        error: MediaError | None = None,
    ) -> None:
        self.size = entry.size
        self.problems = problems
        self._whole = False  # all of it is going to be read
        self._archive, self._entry, self._start = archive, entry, start
        self._first = first[: entry.packed]
        self._stream: Streamed | None = None
        self._error = error
        if entry.method != STORED:
            packed = packed_bytes(archive, start, entry.packed, self._first)
            self._stream = Streamed(entry.size, Unpacking(entry.method, packed).next_block)

    @property
    def seekable(self) -> bool:
        """Its end can be had without all that is before, or all of it is read anyway."""
        return self._whole or self._stream is None or self._entry.packed <= CHEAP

    @property
    def archive(self) -> Archive | ObjectArchive:
        """What holds it."""
        return self._archive

    @property
    def start_of_stored(self) -> int | None:
        """Where its bytes begin in the archive, if they are there as they are."""
        return self._start if self._stream is None else None

    @property
    def stated(self) -> Content:
        """Size and CRC-32 as the archive states them."""
        return Content(self.size, self._entry.crc32 or 0, "archive")

    def begin(self, length: int, whole: bool) -> bytes:
        """The first bytes, asked for before others; `whole` if all of it is going to be read."""
        self._whole = whole
        return self.read_at(0, length)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        if self._stream is not None:
            return self._stream.read_at(offset, length)
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        if offset + length <= len(self._first):
            return self._first[offset : offset + length]
        return self._archive.read_at(self._start + offset, length)

    def read_all(self, limit: int) -> bytes:
        """The whole content. Raises MediaError above `limit` bytes, or if it is not what the archive states."""
        if self.size > limit:
            raise MediaError(f"too_large: {self.size:,} bytes, more than {limit:,}")
        data = self._stream.read_all(limit) if self._stream is not None else self.read_at(0, self.size)
        self.compare(Content(len(data), zlib_ng.crc32(data), "read"))
        return data

    def check(self, whole: bool) -> Content:
        """Size and CRC-32, computed if the whole content is asked for or has been read anyway.

        Raises MediaError if they differ from what the archive states, or the archive has changed.
        """
        if not whole and not self._is_passed():
            self._check_archive()
            return self.stated
        content = self.measure()
        self.compare(content)
        return content if whole else self.stated

    def measure(self) -> Content:
        """Size and CRC-32 of the whole content, whatever the archive states. Raises MediaError if it cannot be unpacked."""
        self._check_archive()
        self._archive.hint(self._start, min(self._entry.packed, WANTED_AHEAD))
        return Content(*(self._stream.drain() if self._stream is not None else self._read_through()), "read")

    def compare(self, content: Content) -> None:
        """Raises MediaError if the content is not what the archive states."""
        size, crc32, stated = content.size, content.crc32, self._entry.crc32
        if size != self.size:
            raise MediaError(f"size: the archive says {self.size:,} bytes, but holds {size:,}")
        if stated is not None and crc32 != stated:
            raise MediaError(
                f"crc: its bytes have the CRC-32 {crc32:08x}, but the archive says {stated:08x}: some are wrong"
            )

    def look(self) -> None:
        """Nothing is to be found out: the first bytes came with the header."""

    def read_ahead(self, length: int) -> None:
        """Nothing is left to be read ahead."""

    def close(self) -> None:
        """The archive stays open for the next member."""

    def _check_archive(self) -> None:
        self._archive.check()
        if self._error:
            raise anew(self._error)

    def _is_passed(self) -> bool:
        """All of it has been read, or cannot be."""
        if self._stream is not None:
            return self._stream.passed >= self.size or self._stream.error is not None
        return self.size <= len(self._first)

    def _read_through(self) -> tuple[int, int]:
        size = crc32 = 0
        while block := self.read_at(size, BLOCK):
            size, crc32 = size + len(block), zlib_ng.crc32(block, crc32)
            progress()
        return size, crc32


def open_member(part: Part, entry: Entry) -> Member:
    """A member of a zip. Raises OSError; MediaError if the archive has changed, or it is encrypted or compressed unusually."""
    if entry.method == ENCRYPTED:
        raise MediaError(f"encrypted: {part.name} needs a password for it")
    if entry.method not in (STORED, DEFLATED, BZIP2, LZMA):
        name = _METHODS.get(entry.method, "of which nothing is known here")
        raise MediaError(
            f"method: compressed in {part.name} by method {entry.method} ({name}): unpack it, and give the folder"
        )
    assert part.stamp is not None and entry.at is not None
    try:
        archive = open_archive(part.address, part.stamp)
    except FileNotFoundError:
        raise MediaError(f"vanished: {part.name}, which has it, is gone") from None
    named = len(entry.path)
    data = archive.read_at(entry.at, LOCAL.size + named + 64 + min(entry.packed, FIRST))
    mark, _, flags, method, _, _, _, _, size, n, e = LOCAL.unpack_from(data.ljust(LOCAL.size, b"\0"))
    if mark != b"PK\3\4":
        archive.check()
        raise MediaError(f"damaged: no member begins where the directory of {part.name} says")
    skip = LOCAL.size + n + e
    if len(data) < skip:
        data = archive.read_at(entry.at, skip + min(entry.packed, FIRST))
    raw = data[LOCAL.size : LOCAL.size + n]
    if size == LONG:
        size = zip64(data[LOCAL.size + n : skip], size, 0, 0)[0]
    lies = not flags & 8 and size != entry.size
    return Member(
        archive,
        entry,
        entry.at + skip,
        data[skip:],
        tuple(_contradictions(part, entry, raw, flags, data[LOCAL.size + n : skip], method)),
        MediaError(f"size: {part.name} says {size:,} bytes, but holds {entry.size:,}") if lies else None,
    )


def want_members(part: Part, entries: Iterable[Entry], ahead: Ahead) -> None:
    """Have fetched what is going to be read of members of a zip behind a URL. Whoever opens them meets errors."""
    with noting([], "read"):
        if part.stamp is not None:
            archive = open_archive(part.address, part.stamp)
            if not isinstance(archive, Archive):
                wanted = [each for entry in entries if entry.at is not None for each in _wanted(entry, entry.at)]
                archive.want(wanted, ahead)


def _wanted(entry: Entry, at: int) -> Iterator[tuple[int, int]]:
    """What will be read of a member behind a URL: its beginning, and its end, behind which in most cases its sidecar begins."""
    from pipeline.storage.objects import END, FIRST, LARGE, NEAR

    header = LOCAL.size + len(entry.path) + 64
    yield at, at + header + min(entry.packed, FIRST)
    if entry.method == STORED and entry.packed > FIRST:
        end = at + header + entry.packed
        yield end - (NEAR if entry.packed > LARGE else END), end


def _contradictions(part: Part, entry: Entry, raw: bytes, flags: int, extra: bytes, method: int) -> Iterator[Problem]:
    """What a member's own header says otherwise than the directory."""
    if os.fsencode(entry.path) != raw:
        name = name_of(raw, flags, extra).replace("\\", "/")
        # What stands above may have been changed, as people rename folders.
        if name.rsplit("/", 2)[-2:] != entry.path.replace("\\", "/").rsplit("/", 2)[-min(2, name.count("/") + 1) :]:
            yield Problem(
                "read", "name_differs", f"{part.name} calls it {name} where its bytes are, else in the directory"
            )
    if method != entry.method:
        yield Problem("read", "method_differs", f"{part.name} contradicts itself about how it is compressed")
