"""The headers of a zip: its central directory and, where that is lost or lies, the members' own.

Python's `zipfile` gives up a whole archive for one damaged name or a cut directory, makes a dozen objects per member, and reads
what contradicts itself without a word. The format is PKWARE's APPNOTE 6.3.10, whose sections are named below.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from zlib_ng import zlib_ng

from pipeline.problems import MediaError
from pipeline.storage.archives import Archive
from pipeline.storage.unpacking import DEFLATED, Unpacking

if TYPE_CHECKING:
    from pipeline.storage.objects import ObjectArchive

#: Compressed bytes read at a time.
PACKED_BLOCK = 64 << 10
#: A directory has some hundred bytes per member; one beyond this is not believed.
LARGEST_DIRECTORY = 1 << 30

#: So many times the bytes of an archive are gone through to find where members end that do not say so, and of what their
#: bytes inflate to, one of so many counts: a bomb inflates to a thousand times as much.
MOST_SEARCHED, INFLATED = 4, 32

LOCAL = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_CENTRAL = struct.Struct("<4sBBHHHHHIIIHHHHHII")  # 4.3.12
_END = struct.Struct("<4sHHHHIIH")  # 4.3.16
_END64 = struct.Struct("<4sQHHIIQQQQ")  # 4.3.14
_LOCATOR = struct.Struct("<4sIQI")  # 4.3.15
CUT = "truncated: the archive ends inside of it"
LONG, _MANY = 0xFFFFFFFF, 0xFFFF  # the value stands in a zip64 field


class Header(NamedTuple):
    """What the directory, or a local header, says of one member."""

    raw: bytes
    flags: int
    method: int
    modified_ns: int | None
    crc32: int
    packed: int
    size: int
    at: int
    extra: bytes = b""
    mode: int = 0  # as in stat
    damage: str | None = None  # why it cannot be read


class _Directory(NamedTuple):
    """Where the central directory is. `base` is what stands in front of the archive, which its positions do not count."""

    start: int
    size: int
    members: int
    base: int


def read_headers(archive: Archive | ObjectArchive) -> tuple[list[Header], list[str]]:
    """All members, and what is wrong with the archive. Members that the directory has lost are looked for one by one."""
    size = archive.stamp.size
    if not size:
        raise MediaError("empty: the archive has no bytes: download it again")
    directory = _find_directory(archive)
    found: list[Header] = []
    damage = "truncated or damaged: its directory, which stands at the end, is not there"
    lost = range(size)
    if directory is not None and directory.size <= LARGEST_DIRECTORY:
        data = archive.read_all(directory.start, directory.size)
        found = list(_central_headers(data, directory.base))
        if len(found) == directory.members or (len(found) & _MANY == directory.members and len(found) > _MANY):
            if not found:
                raise MediaError("empty: the archive holds no files")
            if not directory.base or archive.read_at(0, 4) != b"PK\3\4":
                return found, []
            lost = range(directory.base)
            damage = "several archives joined, of which only the last one's directory counts"
        else:
            damage = f"damaged: its directory names {len(found):,} of {directory.members:,} members"
    known = {header.at for header in found}
    recovered = [header for header in _local_headers(archive, lost) if header.at not in known]
    if not found and not recovered:
        raise MediaError(f"not_an_archive: {_what_it_is(archive)}: download it again")
    whole = sum(not header.damage for header in recovered)
    return (
        sorted((*found, *recovered), key=lambda header: header.at),
        [f"{damage}; {whole:,} members were found without it, others may be lost: download it again"],
    )


def _find_directory(archive: Archive | ObjectArchive) -> _Directory | None:
    size = archive.stamp.size
    start = max(0, size - (_END.size + _MANY + _LOCATOR.size + _END64.size))
    tail = archive.read_all(start, size - start)
    fitting: list[int] = []
    loose: list[int] = []
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and len(fitting) + len(loose) < 64:
        if at + _END.size <= len(tail):
            fits = at + _END.size + struct.unpack_from("<H", tail, at + 20)[0] == len(tail)
            (fitting if fits else loose).append(at)  # behind an archive there may be junk
        at = tail.rfind(b"PK\5\6", 0, at)
    for at in (*fitting, *loose):
        _, disk, _, _, count, length, offset, _ = _END.unpack_from(tail, at)
        end = start + at
        if disk not in (0, _MANY):
            raise MediaError(
                "split: it is the last of several pieces of one archive: join them (zip -s 0), or unpack them"
            )
        if LONG in (length, offset) or count == _MANY:
            long = _find_end64(archive, tail, at, start)
            if long is not None:
                count, length, offset, end = long
        for begin, base in ((end - length, end - length - offset), (offset, 0)):
            if 0 < length <= LARGEST_DIRECTORY and begin >= 0:
                archive.hint(begin, length)
            if begin >= 0 and base >= 0 and (archive.read_at(begin, 4) == b"PK\1\2" or (count == length == 0)):
                return _Directory(begin, length, count, base)
    return None


def _find_end64(archive: Archive | ObjectArchive, tail: bytes, at: int, start: int) -> tuple[int, int, int, int] | None:
    """Count, length and offset of the directory by the zip64 record, and where that stands."""
    if at < _LOCATOR.size or tail[at - _LOCATOR.size : at - _LOCATOR.size + 4] != b"PK\6\7":
        return None
    stated = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2]
    beside = start + at - _LOCATOR.size - _END64.size  # where it is if something stands in front of the archive
    for position in (stated, beside):
        data = archive.read_at(position, _END64.size)
        if len(data) == _END64.size and data[:4] == b"PK\6\6":
            *_, count, length, offset = _END64.unpack(data)
            return count, length, offset, position
    return None


def _central_headers(data: bytes, base: int) -> Iterator[Header]:
    """The members that a directory names, up to its end or its first damage."""
    position, end, unpack = 0, len(data) - _CENTRAL.size, _CENTRAL.unpack_from
    new = tuple.__new__  # half of the time of a call of the class, a hundred thousand times
    while position <= end:
        (mark, _, host, _, flags, method, time, date, crc32, packed, size, n, e, c, _, _, attributes, at) = unpack(
            data, position
        )
        if mark != b"PK\1\2":
            return
        position += _CENTRAL.size
        raw = data[position : position + n]
        if host == 0 and b"\\" in raw and b"/" not in raw:  # old programs of Windows write names as it does
            raw = raw.replace(b"\\", b"/")
        extra = data[position + n : position + n + e] if e else b""
        position += n + e + c
        if len(raw) < n:
            return
        if size == LONG or packed == LONG or at == LONG:
            size, packed, at = zip64(extra, size, packed, at)
        modified = _unix_time(extra) if e else None
        if modified is None:
            modified = _dos_time(date, time)
        mode = attributes >> 16 if host in (3, 19) else 0  # 4.4.2: Unix, OS X
        yield new(Header, (raw, flags, method, modified, crc32, packed, size, at + base, extra, mode, None))


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields (4.5.1): number and data."""
    position = 0
    while position + 4 <= len(extra):
        number, length = struct.unpack_from("<HH", extra, position)
        yield number, extra[position + 4 : position + 4 + length]
        position += 4 + length


def zip64(extra: bytes, size: int, packed: int, at: int) -> tuple[int, int, int]:
    """The values of 64 bits (4.5.3), which stand in this order, and only for those that do not fit."""
    for number, data in _fields(extra):
        if number == 1:
            values = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data) - 7, 8)]
            size = values.pop(0) if size == LONG and values else size
            packed = values.pop(0) if packed == LONG and values else packed
            at = values.pop(0) if at == LONG and values else at
    return size, packed, at


def _unix_time(extra: bytes) -> int | None:
    """The modification time of Info-ZIP's extended time stamp (extra field 0x5455), nanoseconds since 1970 UTC."""
    for number, data in _fields(extra):
        if number == 0x5455 and len(data) >= 5 and data[0] & 1:
            return int.from_bytes(data[1:5], "little", signed=True) * 1_000_000_000
    return None


@lru_cache(maxsize=4096)
def _dos_time(date: int, time: int) -> int | None:
    """A time of MS-DOS (4.4.6), a wall clock taken for UTC, as nanoseconds since 1970; None if it is none."""
    try:
        moment = datetime(
            1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2, tzinfo=UTC
        )
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000


def name_of(raw: bytes, flags: int, extra: bytes = b"") -> str:
    """A member's name. UTF-8 where it says so or is; else its Unicode field (4.6.9) or code page 437 (appendix D.1).

    Bytes that are flagged as UTF-8 and are not come back as `os.fsdecode` gives them. What follows a zero byte is no name.

    >>> name_of(b"caf\\xc3\\xa9.jpg", 0), name_of(b"caf\\x82.jpg", 0)
    ('café.jpg', 'café.jpg')
    """
    if extra:
        for number, data in _fields(extra):
            if number == 0x7075 and data[1:5] == zlib_ng.crc32(raw).to_bytes(4, "little"):
                raw, flags = data[5:], flags | 0x800
    if 0 in raw:
        raw = raw[: raw.index(0)]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return os.fsdecode(raw) if flags & 0x800 else raw.decode("cp437")


# Without a directory


def _local_headers(archive: Archive | ObjectArchive, where: range) -> Iterator[Header]:
    """The members that begin `where`, by their own headers: all that there is of an archive whose end is lost."""
    search = _Search(archive)
    position = _find(archive, b"PK\3\4", where.start)
    while position is not None and position in where:
        header = _local_header(archive, position, search)
        if header is None:
            position = _find(archive, b"PK\3\4", position + 4)
            continue
        data = position + LOCAL.size + len(header.raw) + len(header.extra)
        after = data + header.packed
        ends_well = not header.damage and (
            header.flags & 8 or archive.read_at(after, 4) in (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"")
        )
        following = _find(archive, b"PK\3\4", after if ends_well else data)
        if following is not None and not ends_well:
            header = header._replace(damage="damaged: its bytes, or what it says of their number, are wrong")
        yield header
        position = following


def _local_header(archive: Archive | ObjectArchive, at: int, search: _Search) -> Header | None:
    """The member whose header stands there; None if there is none."""
    data = archive.read_at(at, LOCAL.size)
    if len(data) < LOCAL.size:
        return None
    mark, version, flags, method, time, date, crc32, packed, size, n, e = LOCAL.unpack(data)
    if mark != b"PK\3\4" or version & 0xFF > 63 or n == 0:
        return None
    names = archive.read_at(at + LOCAL.size, n + e)
    raw, extra = names[:n], names[n:]
    if size == LONG or packed == LONG:
        size, packed, _ = zip64(extra, size, packed, 0)
    start = at + LOCAL.size + n + e
    stated: tuple[int, int, int] | None = (packed, size, crc32)
    if flags & 8:  # 4.4.4: sizes and check sum stand behind the data, which has to be read to be passed
        stated = search.behind(start, method)
    if stated is None or start + stated[0] > archive.stamp.size:
        damage, stated = CUT, (0, 0, 0)
    else:
        damage = None
    modified = _unix_time(extra)
    modified = _dos_time(date, time) if modified is None else modified
    return Header(raw, flags, method, modified, stated[2], stated[0], stated[1], at, extra, damage=damage)


class _Search:
    """Looks for what stands behind members' data, and gives up when it has gone through the archive some times over: members
    that each reach to its end are none that anybody packed."""

    def __init__(self, archive: Archive | ObjectArchive) -> None:
        self._archive = archive
        self._left = MOST_SEARCHED * archive.stamp.size

    def behind(self, start: int, method: int) -> tuple[int, int, int] | None:
        """Packed size, size and CRC-32 of a member that is followed by them (4.3.9); None if they are not found."""
        if self._left <= 0:
            return None
        return self._behind_deflated(start) if method == DEFLATED else self._behind_mark(start)

    def _behind_deflated(self, start: int) -> tuple[int, int, int] | None:
        unpacking = Unpacking(DEFLATED, packed_bytes(self._archive, start, self._archive.stamp.size - start))
        size = spent = 0
        try:
            while spent <= self._left and (block := unpacking.next_block()):
                size += len(block)
                spent = unpacking.used + size // INFLATED
        except MediaError:
            return None
        finally:
            self._left -= unpacking.used + size // INFLATED
        return _descriptor(self._archive, start, start + unpacking.used) if self._left >= 0 else None

    def _behind_mark(self, start: int) -> tuple[int, int, int] | None:
        at = _find(self._archive, b"PK\7\x08", start)
        while at is not None:
            if stated := _descriptor(self._archive, start, at):
                break
            at = _find(self._archive, b"PK\7\x08", at + 4)
        self._left -= (self._archive.stamp.size if at is None else at) - start
        return stated if at is not None else None


def _descriptor(archive: Archive | ObjectArchive, start: int, at: int) -> tuple[int, int, int] | None:
    """What stands behind a member's data, if it stands there: with a mark or without, sizes of 32 bits or of 64."""
    data = archive.read_at(at, 24)
    for skip in (4, 0) if data[:4] == b"PK\7\x08" else (0,):
        for form in ("<III", "<IQQ"):
            if len(data) >= skip + struct.calcsize(form):
                crc32, packed, size = struct.unpack_from(form, data, skip)
                if packed == at - start:
                    return packed, size, crc32
    return None


def _find(archive: Archive | ObjectArchive, mark: bytes, start: int) -> int | None:
    """The first position from `start` where these four bytes stand."""
    position, size = start, 4 << 10  # in most cases it is near
    while block := archive.read_at(position, size):
        found = block.find(mark)
        if found >= 0:
            return position + found
        if len(block) < size:
            return None
        position += size - len(mark) + 1
        size = min(2 * size, 1 << 20)
    return None


def _what_it_is(archive: Archive | ObjectArchive) -> str:
    """What a file without members is, for the person who has it."""
    head = archive.read_at(0, 512).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, perhaps an error message or a sign-in, with the name of a zip"
    return "it is no zip, or nothing of it is left"


def packed_bytes(archive: Archive | ObjectArchive, start: int, length: int, first: bytes = b"") -> Callable[[], bytes]:
    """Gives the packed bytes of a member piece by piece; the `first` of them are there already."""
    first = first[:length]

    def read() -> bytes:
        nonlocal start, length, first
        data, first = first or archive.read_at(start, min(PACKED_BLOCK, length)), b""
        start, length = start + len(data), length - len(data)
        return data

    return read


# Members that claim the same bytes


def overlapping(archive: Archive | ObjectArchive, headers: list[Header]) -> set[int]:
    """Which members claim bytes of others, who have the better right to them (Fifield, A better zip bomb).

    Of those in conflict, those go whose own header is not there or says another length; then whichever ends last, so that one
    wrong length costs one member.
    """
    if all(_end_of(one) <= other.at for one, other in pairwise(headers)):
        return set()
    order = sorted(range(len(headers)), key=lambda number: headers[number].at)
    conflicts: set[int] = set()
    for one, other in pairwise(order):
        if _end_of(headers[one]) > headers[other].at:
            conflicts |= {one, other}
    refused = {number for number in conflicts if not _agrees(archive, headers[number])}
    taken = -1
    for number in sorted(set(order) - refused, key=lambda number: (_end_of(headers[number]), -headers[number].at)):
        if headers[number].at < taken:
            refused.add(number)
        else:
            taken = _end_of(headers[number])
    return refused


def _end_of(header: Header) -> int:
    """Where a member ends at the earliest."""
    return header.at + LOCAL.size + len(header.raw) + header.packed


def _agrees(archive: Archive | ObjectArchive, header: Header) -> bool:
    """A member's own header says what the directory does."""
    data = archive.read_at(header.at, LOCAL.size + len(header.raw))
    if len(data) < LOCAL.size + len(header.raw):
        return False
    mark, _, flags, _, _, _, _, packed, _, _, _ = LOCAL.unpack_from(data)
    length = bool(flags & 8) or packed in (header.packed, LONG)
    return mark == b"PK\3\4" and length and data[LOCAL.size :] == header.raw
