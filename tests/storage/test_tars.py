"""Tar archives, whole, odd, cut off and hostile: every member that is there is given, every fault is told."""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.problems import MediaError
from pipeline.storage import gzips, tars
from pipeline.storage.tars import MOST_PROBLEMS, TarMember, TarReader

T = "Takeout/Google Photos/A/"
A, B = b"first photo " * 30, b"second photo " * 35  # both shorter than a block: the next header lies 1,024 bytes on
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@contextmanager
def opened(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("archive")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass
class Read:
    """What came of an archive: members, the bytes of each that is a file, which ended early, kinds of problems."""

    members: list[TarMember]
    contents: dict[str, bytes]
    early: list[str]
    problems: list[str]
    messages: list[str]

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.members]


def read(data: bytes) -> Read:
    found = Read([], {}, [], [], [])
    with opened(data) as descriptor:
        reader = TarReader(descriptor)
        for member in reader:
            found.members.append(member)
            if member.content is not None:
                size, crc32 = member.content.drain(keep=True)
                content = member.content.read_at(0, member.size)
                assert (size, crc32) == (len(content), zlib.crc32(content))
                found.contents[member.name] = content
                if member.content.ended_early:
                    found.early.append(member.name)
    assert {problem.stage for problem in reader.problems} <= {"list"}
    found.problems = [problem.kind for problem in reader.problems]
    found.messages = [problem.message for problem in reader.problems]
    return found


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mtime = kind, 1580702706
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar(*members: tuple[tarfile.TarInfo | str, bytes], format: int = tarfile.PAX_FORMAT, **options: Any) -> bytes:  # noqa: A002
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, errors="surrogateescape", **options) as archive:
        for info, content in members:
            info = entry(info) if isinstance(info, str) else info
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def gz(data: bytes, level: int = 1) -> bytes:
    return gzip.compress(data, level, mtime=0)


def signed(header: bytes) -> bytes:
    """The header with its check sum right."""
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def forged(block: bytes, at: int, field: bytes) -> bytes:
    return signed(block[:at] + field + block[at + len(field) :])


TWO = tar((T + "a.jpg", A), (T + "b.jpg", B))
SECOND = TWO.index(B)
WHOLE = {T + "a.jpg": A, T + "b.jpg": B}


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_members_come_with_their_bytes(level: int) -> None:
    found = read(gz(TWO, level))
    assert found.contents == WHOLE and not found.problems
    assert found.members[0].modified_ns == 1580702706 * 10**9
    assert [(m.type, m.size) for m in found.members] == [("file", len(A)), ("file", len(B))]


@pytest.mark.parametrize(
    "data",
    [
        TWO,
        gz(TWO[: SECOND + 512]),  # no end blocks
        gz(TWO[: SECOND - 512] + bytes(1024) + TWO[SECOND - 512 :]),  # an end mark in the middle, as in tars joined
        gz(TWO[:SECOND]) + gz(TWO[SECOND:]),  # two gzip streams, met in the middle of a member
        gz(TWO) + bytes(1000),  # padding
        gz(TWO[:SECOND]) + bytes(100) + gz(TWO[SECOND:]),
        gz(TWO) + gz(b"") + gz(bytes(5000)),
        b"".join(gz(TWO[at : at + 7]) for at in range(0, len(TWO), 7)),
        gz(TWO + bytes(300)),
    ],
)
def test_legal_but_rare_archives_are_read(data: bytes) -> None:
    found = read(data)
    assert found.contents == WHOLE and not found.problems


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"", "empty", "the file has no bytes"),
        (gz(b""), "empty", "it holds no files"),
        (gz(bytes(10240)), "empty", "it holds no files"),
        (b"<!DOCTYPE html><title>Quota exceeded</title>", "not_an_archive", "a web page"),
        (b"\n <html>" + b"x" * 5000, "not_an_archive", "a web page"),
        (gz(b"<html>"), "not_an_archive", "a web page"),
        (b"PK\x03\x04" + bytes(2000), "not_an_archive", "a zip archive"),
        (bz2.compress(TWO), "not_an_archive", "bzip2"),
        (lzma.compress(TWO), "not_an_archive", "xz"),
        (gz(b"text " * 1000), "not_an_archive", "it begins with b'text text"),
        (b"\xff\xd8\xff\xe0" * 1000, "not_an_archive", r"it begins with b'\xff\xd8"),
    ],
)
def test_what_is_no_archive_is_named(data: bytes, kind: str, message: str) -> None:
    found = read(data)
    assert not found.members and found.problems == [kind] and message in found.messages[0]


@pytest.mark.parametrize(
    ("data", "contents", "problems"),
    [
        (gz(TWO[: SECOND + 50]), {T + "a.jpg": A, T + "b.jpg": B[:50]}, ["truncated"]),
        (TWO[: SECOND - 100], {T + "a.jpg": A}, ["truncated"]),
        (gz(TWO)[:-8] + b"\0\0\0\0" + gz(TWO)[-4:], WHOLE, ["crc"]),
        (gz(TWO)[:-4] + b"\0\0\0\0", WHOLE, ["crc"]),
        (gz(TWO[:SECOND])[:-8] + b"\0" * 8 + gz(TWO[SECOND:]), WHOLE, ["crc"]),
        (gz(TWO) + random.Random(6).randbytes(300), WHOLE, ["trailing"]),
        (gz(TWO) + b"\x1f\x8bno", WHOLE, ["trailing"]),
        (gz(TWO) + b"x", WHOLE, ["trailing"]),
        (gz(TWO[:148] + b"0000000\0" + TWO[156:]), {T + "b.jpg": B}, ["damaged"]),
        (
            gz(TWO[: SECOND - 512 + 148] + b"0000000\0" + TWO[SECOND - 512 + 156 :]),
            {T + "a.jpg": A},
            ["damaged"],
        ),
        (forged(TWO[:512], 124, b"77777777777\0") + TWO[512:1024], {T + "a.jpg": TWO[512:1024]}, ["truncated"]),
        (forged(TWO[:512], 124, b"\xff" * 12) + TWO[512:], {T + "b.jpg": B}, ["damaged"]),
        (forged(TWO[:512], 124, b"\x80" + b"\xff" * 11) + TWO[512:], {T + "b.jpg": B}, ["damaged"]),
        (forged(TWO[:512], 124, b"+0000000123\0") + TWO[512:], {T + "b.jpg": B}, ["damaged"]),
    ],
)
def test_damage_is_told_and_the_rest_read(data: bytes, contents: dict[str, bytes], problems: list[str]) -> None:
    found = read(data)
    assert (found.contents, found.problems) == (contents, problems)


def test_messages_name_the_place() -> None:
    assert read(gz(TWO[: SECOND + 50])).messages == [f"the archive ends inside of {T}b.jpg: download this part again"]
    assert read(gz(TWO)[:-3]).messages == [f"the archive ends behind {T}b.jpg: download this part again"]
    assert read(gz(TWO)[:12]).messages == ["the archive ends at its beginning: download this part again"]
    lost = TWO[: SECOND - 512 + 148] + b"0000000\0" + TWO[SECOND - 512 + 156 :]
    assert read(lost).messages[0].startswith(f"bytes 1,024 to 10,240 of the unpacked archive, behind {T}a.jpg, ")


@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_cut_anywhere_gives_the_members_before_the_cut(compressed: bool) -> None:
    noisy = [(f"{T}{n}.jpg", random.Random(n).randbytes(200 * n)) for n in range(4)]
    whole = tar(*noisy)
    data = gz(whole) if compressed else whole[: whole.rindex(noisy[-1][1]) + 1024]
    for cut in range(len(data)):
        found = read(data[:cut])
        for number, (name, content) in enumerate(noisy[: len(found.members)]):
            assert found.names[number] == name
            if name in found.early:
                assert content.startswith(found.contents[name])
            else:
                assert found.contents[name] == content
        if compressed or found.early:
            assert len(found.problems) == 1, cut
        assert all(name == found.names[-1] for name in found.early)


def test_a_byte_flipped_anywhere_is_told_or_harmless() -> None:
    noisy = [(f"{T}{n}.jpg", random.Random(n).randbytes(150)) for n in range(3)]
    data = gz(tar(*noisy))
    for position in range(len(data)):
        for mask in (0x01, 0xFF):
            flipped = bytearray(data)
            flipped[position] ^= mask
            found = read(bytes(flipped))
            assert found.problems or (found.contents == dict(noisy) and not found.early), position


def test_members_before_compressed_data_that_is_damaged_are_whole() -> None:
    noisy = [(f"{n}.jpg", bytes(random.Random(n).choices(range(200), k=100_000))) for n in range(5)]
    whole = tar(*noisy)
    cut = whole.index(noisy[3][1]) + 50_000
    machine = zlib.compressobj(6, wbits=31)
    data = machine.compress(whole[:cut]) + machine.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 100_000  # no such kind of block
    found = read(data)
    assert found.messages == ["the compressed data cannot be read on inside of 3.jpg: download this part again"]
    assert found.problems == ["damaged"] and found.early == ["3.jpg"]
    assert found.contents == {**dict(noisy[:3]), "3.jpg": noisy[3][1][:50_000]}


@pytest.mark.parametrize("name", FORMATS)
def test_all_kinds_of_members_are_told_apart(name: str) -> None:
    data = tar(
        ("a.jpg", A),
        (entry("folder", tarfile.DIRTYPE), b""),
        (entry("sym.jpg", tarfile.SYMTYPE, linkname="../../outside.jpg"), b""),
        (entry("hard.jpg", tarfile.LNKTYPE, linkname="a.jpg"), b""),
        (entry("fifo.jpg", tarfile.FIFOTYPE), b""),
        (entry("dev.jpg", tarfile.CHRTYPE), b""),
        (entry("block.jpg", tarfile.BLKTYPE), b""),
        (entry("../../up.jpg"), B),
        (entry("/absolute.jpg"), b""),
        (entry("odd.jpg", b"Z"), A),
        (entry("volume", b"V"), b""),
        (entry("contiguous.jpg", tarfile.CONTTYPE), B),
        format=FORMATS[name],
    )
    found = read(gz(data))
    assert not found.problems
    assert [(m.name.rstrip("/"), m.type, m.target) for m in found.members] == [
        ("a.jpg", "file", ""),
        ("folder", "folder", ""),
        ("sym.jpg", "symbolic link", "../../outside.jpg"),
        ("hard.jpg", "hard link", "a.jpg"),
        ("fifo.jpg", "FIFO", ""),
        ("dev.jpg", "device", ""),
        ("block.jpg", "device", ""),
        ("../../up.jpg", "file", ""),
        ("/absolute.jpg", "file", ""),
        ("odd.jpg", "file", ""),
        ("volume", "other", ""),
        ("contiguous.jpg", "file", ""),
    ]
    assert [m.name for m in found.members if m.content is None] == [m.name for m in found.members if m.type != "file"]
    assert found.contents["contiguous.jpg"] == B


@pytest.mark.parametrize("name", ["gnu", "pax"])
@pytest.mark.parametrize("length", [99, 100, 101, 255, 256, 600, 5000])
def test_long_names_and_targets_are_whole(name: str, length: int) -> None:
    path = ("ü/" * length)[:length] + ".jpg"
    link = entry("link" + path, tarfile.SYMTYPE, linkname="to" + path)
    found = read(tar((path, A), (link, b""), ("next.jpg", B), format=FORMATS[name]))
    assert found.names == [path, "link" + path, "next.jpg"] and found.members[1].target == "to" + path


def test_a_ustar_prefix_is_part_of_the_name() -> None:
    path = "d" * 120 + "/" + "n" * 90 + ".jpg"
    assert read(tar((path, A), format=tarfile.USTAR_FORMAT)).contents == {path: A}


@pytest.mark.parametrize("name", FORMATS)
def test_names_are_kept_byte_for_byte(name: str) -> None:
    names = [b"caf\xe9.jpg", b"a\nb.jpg", "ä".encode(), b"<b>'\".jpg", b"\xff" * 90]
    found = read(tar(*((os.fsdecode(name), A) for name in names), format=FORMATS[name], encoding="utf-8"))
    assert [os.fsencode(name) for name in found.names] == names


def test_duplicate_names_are_two_members() -> None:
    found = read(gz(tar((T + "a.jpg", A), (T + "a.jpg", B))))
    assert [(m.name, m.size) for m in found.members] == [(T + "a.jpg", len(A)), (T + "a.jpg", len(B))]


@pytest.mark.parametrize(
    ("mtime", "expected"),
    [(1580702706.25, 1580702706_250000000), (0, 0), (-1.5, -1_500000000), (2**33, 2**33 * 10**9)],
)
def test_times_have_fractions(mtime: float, expected: int) -> None:
    assert read(tar((entry("a.jpg", mtime=mtime), A))).members[0].modified_ns == expected


def pax(records: bytes, flag: bytes = b"x", size: int | None = None) -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = flag, len(records) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)


def record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n".encode()
    length = next(n for n in range(len(rest), len(rest) + 9) if len(str(n)) + len(rest) == n)
    return str(length).encode() + rest


def test_pax_headers_replace_what_the_member_says() -> None:
    own = pax(record("path", "other.jpg") + record("size", str(len(B))) + record("mtime", "1.123456789123"))
    shared = pax(record("mtime", "2") + record("comment", "x"), b"g")
    found = read(shared + own + forged(TWO[:512], 124, b"0" * 11 + b"\0") + TWO[SECOND : SECOND + 512] + TWO)
    assert found.contents == {"other.jpg": B, **WHOLE} and not found.problems
    assert [m.modified_ns for m in found.members] == [1_123456789, 2 * 10**9, 2 * 10**9]


@pytest.mark.parametrize(
    "header",
    [
        pax(record("size", "1" + "0" * 20)),
        pax(record("size", "-1")),
        pax(record("size", str(2**62 + 1))),
        pax(record("size", "٣")),
        pax(record("mtime", "1e400")),
        pax(record("mtime", "nan")),
        pax(record("mtime", "9" * 5000)),
        pax(b"99999 path=a\n"),
        pax(b"5 path=a\n"),
        pax(b"9 path=ab\n"),
        pax(b"0 =\n"),
        pax(b"path=a\n"),
        pax(b"x" * 100_000),
        pax(b"n" * (2 << 20), b"L"),
        pax(b"n" * (2 << 20), b"K"),
        pax(record("path", "n" * (1 << 20))),
        pax(b"", b"L", 2**33 - 1),
    ],
)
def test_extended_headers_that_make_no_sense_are_told(header: bytes) -> None:
    found = read(header + TWO)
    assert found.contents == WHOLE and found.problems == ["damaged"]
    assert len(found.messages[0]) < 1000
    found = read(TWO[:1024] + header + TWO[1024:])
    assert found.contents == WHOLE and found.problems == ["damaged"]


def test_an_extended_header_without_its_member_is_a_cut() -> None:
    long = tar(("n" * 200, A))
    for cut in range(1, long.index(A)):
        assert read(TWO[:2048] + long[:cut]).problems == ["truncated"]


def test_files_with_holes_are_other() -> None:
    info = tarfile.TarInfo("holes.raw")
    info.type, info.size = b"S", 100
    block = info.tobuf(tarfile.GNU_FORMAT)
    more, last = bytes(504) + b"\1" + bytes(7), bytes(512)
    old = forged(block, 482, b"\1") + more + last + bytes(512)
    new = pax(record("GNU.sparse.major", "1") + record("GNU.sparse.name", "new.raw")) + TWO[:1024]
    found = read(old + new + TWO)
    assert [(m.name, m.type) for m in found.members[:2]] == [("holes.raw", "other"), ("new.raw", "other")]
    assert found.contents == WHOLE and not found.problems


def test_old_headers_are_known_by_sane_fields() -> None:
    old = forged(TWO[:512], 257, bytes(8))
    assert read(old + TWO[512:]).contents == WHOLE
    assert read(forged(old, 100, b"\xff" * 8) + TWO[512:]).problems == []  # a negative number is one
    assert read(forged(old, 100, b"abcdefg\0") + TWO[512:]).problems == ["damaged"]
    name = forged(old, 0, "é.jpg".encode() + b"\0")
    signed_sum = sum(name[:148] + b" " * 8 + name[156:]) - 512
    assert read(name[:148] + b"%06o\0 " % signed_sum + name[156:] + TWO[512:]).names[0].startswith("é.jpg")


def test_a_name_with_a_slash_at_its_end_is_a_folder() -> None:
    found = read(tar((entry("a.jpg/", tarfile.REGTYPE), b"")) + TWO)
    assert found.members[0].type == "folder" and found.contents == WHOLE


def test_a_member_that_inflates_to_much_takes_little_memory() -> None:
    data = gz(entry("zeros.jpg", size=150 << 20).tobuf() + bytes(150 << 20) + bytes(1024))
    with opened(data) as descriptor:
        tracemalloc.start()
        for member in TarReader(descriptor):
            assert member.content is not None and member.content.drain()[0] == 150 << 20
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 << 20


def test_problems_without_end_are_counted_off() -> None:
    bad = TWO[:148] + b"0000000\0" + TWO[156:512]
    found = read((bad + TWO[:1024]) * (MOST_PROBLEMS + 50))
    assert len(found.members) == MOST_PROBLEMS + 50
    assert len(found.problems) == MOST_PROBLEMS + 1 and found.messages[-1] == "there are more problems, not listed"


def test_a_member_is_over_when_the_next_is_asked_for() -> None:
    with opened(gz(TWO)) as descriptor:
        members = iter(TarReader(descriptor))
        first = next(members).content
        assert first is not None and first.read_at(0, 10) == A[:10]
        second = next(members).content
        assert second is not None
        assert first.read_at(0, 1000) == A and first.drain() == (len(A), zlib.crc32(A))
        assert second.read_at(1, 5) == B[1:6]
        members.close()  # type: ignore[attr-defined]


def test_progress_is_told_in_bytes_of_the_file() -> None:
    data = gz(tar(("a.jpg", random.Random(1).randbytes(2 << 20)), ("b.jpg", B)))
    with opened(data) as descriptor:
        reader = TarReader(descriptor)
        seen = [0, *(reader.bytes_read for _ in reader), reader.bytes_read]
    assert seen == sorted(seen) and 0 < seen[1] < len(data) == seen[-1]


def test_what_cannot_be_read_ends_the_pass_and_keeps_what_came() -> None:
    pread = os.pread

    def failing(descriptor: int, length: int, offset: int) -> bytes:
        if offset >= 1024:
            raise OSError(5, "Input/output error")
        return pread(descriptor, length, offset)

    with mock.patch.object(tars, "READ", 1024), mock.patch.object(os, "pread", failing):
        found = read(TWO)
    assert found.contents == {T + "a.jpg": A} and found.problems == ["unreadable"]
    assert found.messages == [f"Input/output error behind {T}a.jpg"]


@pytest.mark.parametrize("change", [lambda d: os.truncate(d, 1024), lambda d: os.pwrite(d, b"more", 1 << 20)])
def test_a_change_while_reading_is_told(change: Any) -> None:
    with opened(TWO) as descriptor, mock.patch.object(tars, "READ", 1024):
        reader = TarReader(descriptor)
        for member in reader:
            if member.name == T + "a.jpg":
                change(descriptor)
    assert reader.problems[-1].kind == "changed"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(MediaError, match="not_a_file"):
        TarReader(descriptor)
    os.close(descriptor)


def test_a_zip_is_told_from_a_tar_that_holds_one() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.jpg", A)
    assert read(packed.getvalue()).problems == ["not_an_archive"]
    assert read(tar(("inner.zip", packed.getvalue()))).contents == {"inner.zip": packed.getvalue()}


names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=150)


@settings(deadline=None)
@given(
    st.lists(st.tuples(names.filter(lambda name: not name.endswith("/")), st.binary(max_size=2000)), max_size=6),
    st.sampled_from(["gnu", "pax"]),
    st.lists(st.integers(1, 20_000), max_size=4),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_any_members_come_back(
    members: list[tuple[str, bytes]], name: str, cuts: list[int], read_size: int, piece: int
) -> None:
    data = tar(*members, format=FORMATS[name])
    ends = [0, *accumulate(cuts), len(data)]
    packed = b"".join(gz(data[start:end]) for start, end in pairwise(ends) if start < end)
    with mock.patch.object(tars, "READ", read_size), mock.patch.multiple(gzips, PIECE=piece, FIRST_STEP=7):
        found = read(packed)
    assert [(m.name, m.size) for m in found.members] == [(name, len(content)) for name, content in members]
    assert found.contents == dict(members)
    assert found.problems == ([] if members else ["empty"])
