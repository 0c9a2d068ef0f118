"""Tar archives, compressed by gzip or not, read in one pass from front to back.

What the archive says is checked and reported, never trusted: a damaged header is not the end of it, every gzip stream is
read to its end and its check sum compared, names are bytes. Nothing is written, followed or allocated by a declared size.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from pipeline.problems import MediaError, Problem, describe, noting
from pipeline.storage.archives import Archive, open_through
from pipeline.storage.gzips import MAGIC, gunzip
from pipeline.storage.parts import Part
from pipeline.storage.streams import Streamed

#: Bytes of one read of the file. What it inflates to then passes while it is in the CPU's cache. A thread that inflates
#: ahead was slower: handing over costs more than it hides, and with a process for each core there is nothing to hide.
READ = 256 << 10
#: Largest extended header (PAX records, a long name) and largest size of a member that are believed.
LARGEST_EXTENSION, LARGEST_SIZE = 1 << 20, 1 << 62
#: Why a file cannot be had of which the beginning alone is there.
ENDS_INSIDE = "truncated: not all of its bytes are in the archive"
#: Problems of one archive that are listed.
MOST_PROBLEMS = 100

BLOCK = 512
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s80x155s12x")
_RECORD = re.compile(rb"(\d{1,7}) ([^=\0]+)=")
_TIME = re.compile(rb"(-?)(\d{1,11})(?:\.(\d*))?")
_ASCII = bytes(range(128))

#: By type flag; any other is a file (POSIX).
_TYPES = {
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "device",
    b"4": "device",
    b"5": "folder",
    b"6": "FIFO",
    # GNU's: a dumped folder, a piece of a file, an old long name, a file with holes, the name of a volume
    **dict.fromkeys((b"D", b"M", b"N", b"S", b"V"), "other"),
}
#: Extended headers: PAX of the next member (POSIX, Solaris) and of all that follow, GNU long name and link target.
_EXTENSIONS = {b"x", b"X", b"g", b"L", b"K"}

#: What people have in place of a tgz, by its first bytes.
_OTHERS = (
    (re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"), "a zip archive"),
    (re.compile(rb"BZh[1-9]"), "compressed by bzip2, not gzip"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed by xz, not gzip"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by zstd, not gzip"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7z archive"),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive"),
    (re.compile(rb"\s*<(!doctype|html|\?xml|head|body)", re.IGNORECASE), "a web page; was the download refused?"),
)


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member. `content`, of files alone, can be read until the next member is asked for."""

    name: str  # as os.fsdecode gives it
    size: int
    modified_ns: int
    type: str  # "file", "folder", "hard link", "symbolic link", "FIFO", "device", "other"
    target: str = ""  # of a link
    content: Streamed | None = None


def read_tar(part: Part, problems: list[Problem]) -> Generator[tuple[TarMember, int], None, None]:
    """The members of a part, each with the bytes of the archive that have been read by then.

    What is wrong with the archive as a whole, also that it cannot be opened or is not the one that was listed, is in `problems`
    at the end.
    """
    assert part.stamp is not None
    reader = None
    with noting(problems, "list"):
        archive = open_through(part.address, part.stamp)
        reader = TarReader(archive.descriptor if isinstance(archive, Archive) else archive)
    if reader is None:
        return
    with closing(archive):
        for member in reader:
            yield member, reader.bytes_read
        problems.extend(reader.problems)


class Through(Protocol):
    """An archive that is read from front to back."""

    @property
    def size(self) -> int:
        """Bytes."""

    def first(self, length: int) -> bytes:
        """The first bytes, of which all come again."""

    def pieces(self) -> Iterator[bytes]:
        """All bytes. May raise OSError, MediaError."""

    def is_unchanged(self) -> bool:
        """It is still what it was when it was opened."""


class _Descriptor:
    """A regular file, open for reading."""

    def __init__(self, descriptor: int) -> None:
        self._state = os.fstat(descriptor)
        if not stat.S_ISREG(self._state.st_mode):
            raise MediaError("not_a_file: it is no regular file")
        self._descriptor = descriptor
        self.size = self._state.st_size

    def first(self, length: int) -> bytes:
        return os.pread(self._descriptor, length, 0)

    def pieces(self) -> Iterator[bytes]:
        at = 0
        while block := os.pread(self._descriptor, min(READ, self.size - at), at):
            at += len(block)
            yield block

    def is_unchanged(self) -> bool:
        state = os.fstat(self._descriptor)
        return (state.st_size, state.st_mtime_ns) == (self.size, self._state.st_mtime_ns)


class TarReader:
    """The members of the tar archive open as `descriptor`, or that comes through otherwise, once.

    `problems` gathers what is wrong with it as a whole.

    Memory does not grow with the archive. The descriptor stays the caller's. Raises OSError, MediaError if it is no
    regular file; what goes wrong later is a problem, and ends the pass if it must.
    """

    def __init__(self, descriptor: int | Through) -> None:
        self._file = _Descriptor(descriptor) if isinstance(descriptor, int) else descriptor
        self._stream = _Stream(self._unpacked())
        self._first = b""  # the first block that is no header
        self._found = self._cut = self._inside = False
        self._last: str | None = None  # name of the member that was given last
        self._lost: int | None = None  # where bytes begin that are no part of a member
        self.problems: list[Problem] = []
        self.bytes_read = 0  # of the file, for a progress bar

    def __iter__(self) -> Iterator[TarMember]:
        yield from self._members()
        self._note_end()

    def _members(self) -> Iterator[TarMember]:
        stream = self._stream
        shared: dict[str, Any] = {}  # fields of all headers that follow, by global PAX headers
        own: dict[str, Any] = {}  # and of the next one
        while (header := self._next_header()) is not None:
            if header.flag in _EXTENSIONS:
                start = stream.position - BLOCK
                try:
                    fields = self._extension(header)
                except ValueError:  # what it was of goes by the names and sizes of its own header, if by any
                    self._lost, own = start, {}
                else:
                    if header.flag == b"g":
                        shared |= fields
                    else:
                        own |= fields
                continue
            if shared or own:
                header, own = header._replace(**(shared | own)), {}
            name = os.fsdecode(header.name)
            kind = header.type or _TYPES.get(header.flag, "file")
            size = header.size if _TYPES.get(header.flag, "other") == "other" else 0
            if kind == "file" and name.endswith("/"):
                kind = "folder"
            self._last, self._inside = name, True
            if header.continued:  # the map of a file with holes goes on
                while len(block := stream.take(BLOCK)) == BLOCK and block[504]:
                    pass
            content = self._content(size) if kind == "file" else None
            target = os.fsdecode(header.target) if kind.endswith("link") else ""
            yield TarMember(name, size, header.modified_ns, kind, target, content)
            missing = size - (content.drain()[0] if content is not None else stream.skip(size))
            padding = -size % BLOCK
            if missing or stream.skip(padding) < padding:
                self._inside, self._cut = missing > 0, True
                return
            self._inside = False
        self._cut = self._cut or bool(own)  # the header that they are for is missing

    def _content(self, size: int) -> Streamed:
        left = size

        def feed() -> memoryview:
            nonlocal left
            piece = self._stream.some(left)
            left -= len(piece)
            return piece

        return Streamed(size, feed)

    def _next_header(self) -> _Header | None:
        """The next header that is one. Bytes that are none, where one is due, are passed over and noted."""
        stream = self._stream
        while block := stream.take(BLOCK):
            start = stream.position - len(block)
            header = _parse(block) if len(block) == BLOCK else None
            if header is not None:
                if self._lost is not None:
                    self._note_lost(start)
                self._lost, self._found = None, True
                return header
            if not block.strip(b"\0"):
                continue  # an end mark; two archives joined go on behind it
            if not self._found and not self._first:
                self._first = block
                if _other(block):
                    return None
            if len(block) < BLOCK:
                self._cut = True
            elif self._lost is None:
                self._lost = start
        return None

    def _extension(self, header: _Header) -> dict[str, Any]:
        """Fields that replace those of the next header. Raises ValueError."""
        if header.size > LARGEST_EXTENSION:
            raise ValueError
        padded = header.size + -header.size % BLOCK
        data = self._stream.take(padded)
        if len(data) < padded:
            self._cut = True
            return {}
        data = data[: header.size]
        if header.flag in (b"L", b"K"):
            return {"name" if header.flag == b"L" else "target": _text(data)}
        return _pax_fields(data)

    def _note(self, problem: Problem) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append(Problem("list", problem.kind, "there are more problems, not listed"))

    def _note_lost(self, end: int) -> None:
        message = (
            f"bytes {self._lost:,} to {end:,} of the unpacked archive, {self._place()}, cannot be told to belong to a file: "
            "what stood there is lost or has lost its name; download this part again"
        )
        self._note(Problem("list", "damaged", message))

    def _note_end(self) -> None:
        stream, first = self._stream, self._first
        failure = stream.failure
        other = _other(first)
        if other:
            self._note(Problem("list", "not_an_archive", f"this is {other}"))
        elif not self._found and failure is None and first and first[257:262] != b"ustar":
            self._note(Problem("list", "not_an_archive", f"this is no tar archive: it begins with {first[:16]!r}"))
        elif not self._found and failure is None and not first:
            self._note(
                Problem("list", "empty", "the file has no bytes" if not self._file.size else "it holds no files")
            )
        else:
            if self._lost is not None:
                self._note_lost(stream.position)
            if failure is None and self._cut:
                failure = Problem("list", "truncated", "the archive ends")
            if failure is not None:
                advice = "" if failure.kind == "unreadable" else ": download this part again"
                self._note(replace(failure, message=f"{failure.message} {self._place()}{advice}"))
        if not self._file.is_unchanged():
            self._note(Problem("list", "changed", "the archive changed while it was read"))

    def _place(self) -> str:
        if self._last is None:
            return "at its beginning"
        return f"{'inside of' if self._inside else 'behind'} {_shown(self._last)}"

    def _unpacked(self) -> Iterator[bytes]:
        """The tar, in pieces."""
        compressed = self._file.first(len(MAGIC)) == MAGIC
        yield from gunzip(self._blocks(), self._note) if compressed else self._blocks()

    def _blocks(self) -> Iterator[bytes]:
        for block in self._file.pieces():
            self.bytes_read += len(block)
            yield block


class _Stream:
    """Pieces as one stream of bytes; `failure` is why it ends, if not as it should."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self.position = 0
        self.failure: Problem | None = None

    def some(self, most: int) -> memoryview:
        """The next bytes, `most` at most; none at the end."""
        if most and not self._piece:
            self._refill()
        part = self._piece[:most]
        self._piece = self._piece[most:]
        self.position += len(part)
        return part

    def take(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end."""
        part = self.some(count)
        if len(part) == count:
            return bytes(part)
        parts = [part]
        while part and (count := count - len(part)):
            part = self.some(count)
            parts.append(part)
        return b"".join(parts)

    def skip(self, count: int) -> int:
        """Pass over the next `count` bytes; how many there were."""
        left = count
        while left and (part := self.some(left)):
            left -= len(part)
        return count - left

    def _refill(self) -> None:
        try:
            self._piece = memoryview(next(self._pieces, b""))
        except (MediaError, OSError) as error:
            self.failure = describe(error, "list")


class _Header(NamedTuple):
    """What a header block says; extended headers before it replace fields."""

    flag: bytes
    name: bytes
    target: bytes
    size: int
    modified_ns: int
    continued: bool  # blocks of a map of holes follow
    type: str = ""  # "other" if it is to be taken for that whatever the flag


def _parse(block: bytes) -> _Header | None:
    """The header in a block, None if it is none: a wrong check sum, numbers that are none, absurd ones."""
    name, mode, uid, gid, size, mtime, check, flag, target, magic, prefix = _HEADER.unpack(block)
    try:
        stated = _number(check)
        summed = block[:148] + b" " * 8 + block[156:]
        # Some old writers summed up signed bytes.
        if stated != (total := sum(summed)) and stated != total - 256 * len(summed.translate(None, _ASCII)):
            return None
        if not magic.startswith(b"ustar"):  # of before POSIX: the check sum alone is too little
            for field in (mode, uid, gid):
                _number(field)
            if not _text(name):
                return None
        header = _Header(
            flag,
            _text(name),
            _text(target),
            _size(_number(size)),
            _nanoseconds(_number(mtime)),
            flag == b"S" and prefix[137] != 0,
        )
    except ValueError:
        return None
    if magic == b"ustar\x0000" and _text(prefix):
        return header._replace(name=_text(prefix) + b"/" + header.name)
    return header


def _number(field: bytes) -> int:
    """The number in a header's field: octal digits, or GNU's base 256. Raises ValueError."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field, "big") - (1 << bits)
        return value - (1 << bits) if field[0] & 0x40 else value
    digits = _text(field).strip(b" ")
    if digits and not digits.isdigit():
        raise ValueError
    return int(digits or b"0", 8)


def _pax_fields(data: bytes) -> dict[str, Any]:
    """Fields of a header by PAX records, ``length key=value\\n`` each. Raises ValueError."""
    fields: dict[str, Any] = {}
    at = 0
    while at < len(data):
        record = _RECORD.match(data, at)
        if record is None:
            raise ValueError
        end = at + int(record[1])
        value = data[record.end() : end - 1]
        if end <= record.end() or data[end - 1 : end] != b"\n":
            raise ValueError
        at = end
        key = record[2]
        if key.startswith(b"GNU.sparse."):
            fields["type"] = "other"
        if not value:
            continue
        if key in (b"path", b"GNU.sparse.name"):
            fields["name"] = _text(value)
        elif key == b"linkpath":
            fields["target"] = _text(value)
        elif key == b"size":
            if not (value.isdigit() and len(value) < 20):
                raise ValueError
            fields["size"] = _size(int(value))
        elif key == b"mtime":
            time = _TIME.fullmatch(value)
            if time is None:
                raise ValueError
            fraction = int((time[3] or b"")[:9].ljust(9, b"0"))
            fields["modified_ns"] = _nanoseconds(int(time[2]), fraction) * (-1 if time[1] else 1)
    return fields


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _size(value: int) -> int:
    if not 0 <= value <= LARGEST_SIZE:
        raise ValueError
    return value


def _nanoseconds(seconds: int, fraction: int = 0) -> int:
    value = seconds * 10**9 + fraction
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError
    return value


def _other(data: bytes) -> str | None:
    """What a file is that begins so, if it is known and no tar."""
    return next((name for pattern, name in _OTHERS if pattern.match(data)), None)


def _shown(name: str) -> str:
    short = name if len(name) <= 300 else f"…{name[-300:]}"
    return short if short.isprintable() else ascii(short)
