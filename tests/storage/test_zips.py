"""Zips read in place: what their directories say, what they hide, and how little of them is read."""

import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.item import Entry
from pipeline.problems import MediaError
from pipeline.storage.archives import Archive, Stamp, open_archive
from pipeline.storage.library import Library, opened
from pipeline.storage.parts import Refused
from pipeline.storage.unpacking import BLOCK
from pipeline.storage.zip_headers import LOCAL, name_of, read_headers
from pipeline.storage.zips import Member

T = "Takeout/P/"


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class Unseekable(io.RawIOBase):
    """As a zip is written to a pipe: sizes and check sums stand behind the data."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.file.write(data)

    def close(self) -> None:
        self.file.close()


def streamed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with Unseekable(path) as pipe, zipfile.ZipFile(pipe, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def listed(path: Path) -> tuple[Library, list[Entry], list[Refused]]:
    library = Library.of([path])
    found = list(library.walk())
    return (
        library,
        [each for each in found if isinstance(each, Entry)],
        [each for each in found if isinstance(each, Refused)],
    )


def content(library: Library, entry: Entry) -> bytes:
    with opened(library, entry) as file:
        return file.read_all(1 << 30)


PHOTOS = {f"{T}a.jpg": b"\xff\xd8" + os.urandom(40_000), f"{T}b.jpg": b"", f"{T}c.json": b"{}" * 5000}


@pytest.mark.parametrize("make", [zipped, streamed])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_come_back_with_size_and_check_sum(tmp_path: Path, make: object, method: int) -> None:
    library, entries, refused = listed(make(tmp_path / "x.zip", PHOTOS, method))  # type: ignore[operator]
    assert not refused
    assert {e.path: (e.size, e.crc32) for e in entries} == {n: (len(d), zlib.crc32(d)) for n, d in PHOTOS.items()}
    for entry in entries:
        assert content(library, entry) == PHOTOS[entry.path]
        with opened(library, entry) as file:
            assert isinstance(file, Member)
            assert file.check(True).crc32 == entry.crc32
            assert file.check(True).source == "read"


@settings(deadline=None)  # writing a zip waits for the disk
@given(
    members=st.dictionaries(
        st.text("abc/äß€.", min_size=1, max_size=12).map(lambda name: f"{T}{name}x"),
        st.binary(max_size=300),
        min_size=1,
        max_size=6,
    ),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    before=st.binary(max_size=60) | st.just(b"\x1f\x8b\x08"),
    comment=st.binary(max_size=60),
)
def test_any_zip_that_zipfile_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes], method: int, before: bytes, comment: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = comment
    path.write_bytes(before.replace(b"PK", b"") + path.read_bytes())
    library, entries, refused = listed(path)
    assert not refused
    assert {entry.path: content(library, entry) for entry in entries} == members


def test_zip64_fields_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in PHOTOS.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    library, entries, refused = listed(path)
    assert not refused
    assert {entry.path: content(library, entry) for entry in entries} == PHOTOS


def test_more_members_than_sixteen_bits_count(tmp_path: Path) -> None:
    _, entries, refused = listed(zipped(tmp_path / "x.zip", {f"{T}{number}.jpg": b"" for number in range(66_000)}))
    assert (len(entries), refused) == (66_000, [])


def test_a_cut_anywhere_loses_only_what_is_behind_it_and_says_so(tmp_path: Path) -> None:
    members = {f"{T}a.jpg": b"A" * 30, f"{T}b.jpg": b"B" * 20}
    for make in (zipped, streamed):
        whole = make(tmp_path / "whole.zip", members).read_bytes()
        for length in range(len(whole)):
            path = tmp_path / "cut.zip"
            path.write_bytes(whole[:length])
            library, entries, refused = listed(path)
            of_part = [each for each in refused if each.path == "cut.zip"]
            assert len(of_part) == 1
            for entry in entries:
                assert content(library, entry) == members[entry.path]
            start = whole.index(b"PK\1\2")
            if length >= start:
                assert {entry.path for entry in entries} == members.keys()


def test_a_byte_flipped_anywhere_is_never_an_error_of_ours_nor_silent(tmp_path: Path) -> None:
    members = {f"{T}a.jpg": b"A" * 30, f"{T}b.jpg": b"B" * 20}
    whole = zipped(tmp_path / "whole.zip", members).read_bytes()
    directory = whole.index(b"PK\1\2")
    for position in range(directory):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path = tmp_path / "flipped.zip"
        path.write_bytes(damaged)
        library, entries, refused = listed(path)
        told = bool(refused)
        for entry in entries:
            try:
                with opened(library, entry) as file:
                    assert isinstance(file, Member)
                    told = told or bool(file.problems)
                    file.check(True)
                    assert content(library, entry) == members[entry.path]
            except MediaError:
                told = True
        in_data = any(whole.index(data) <= position < whole.index(data) + len(data) for data in members.values())
        assert told or not in_data, position
    for position in range(directory, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        (tmp_path / "flipped.zip").write_bytes(damaged)
        library, entries, _ = listed(tmp_path / "flipped.zip")
        for entry in entries:
            try:
                content(library, entry)
            except (MediaError, OSError):
                continue


@pytest.mark.parametrize(
    ("raw", "flags", "name"),
    [
        (b"caf\x82.jpg", 0, "café.jpg"),
        ("café.jpg".encode(), 0, "café.jpg"),
        ("café.jpg".encode(), 0x800, "café.jpg"),
        (b"bad_\xff\xfe.jpg", 0x800, "bad_\udcff\udcfe.jpg"),
        (b"cut\0.exe", 0, "cut"),
    ],
)
def test_names(raw: bytes, flags: int, name: str) -> None:
    assert name_of(raw, flags) == name


def test_a_unicode_field_names_what_the_code_page_cannot() -> None:
    raw = "Фото.jpg".encode("cp866")
    field = b"\1" + struct.pack("<I", zlib.crc32(raw)) + "Фото.jpg".encode()
    assert name_of(raw, 0, struct.pack("<HH", 0x7075, len(field)) + field) == "Фото.jpg"
    field = b"\1" + struct.pack("<I", zlib.crc32(b"Caf_.jpg")) + "Café.jpg".encode()
    assert name_of(b"Caf_.jpg", 0, struct.pack("<HH", 0x7075, len(field)) + field) == "Café.jpg"


def test_times_of_msdos_and_of_unix(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"{T}a.jpg", (2019, 7, 6, 5, 4, 2)), b"")
        info = zipfile.ZipInfo(f"{T}b.jpg", (2019, 7, 6, 5, 4, 2))
        info.extra = struct.pack("<HHBi", 0x5455, 5, 1, 1_500_000_000)
        archive.writestr(info, b"")
        archive.writestr(zipfile.ZipInfo(f"{T}c.jpg", (1980, 1, 1, 0, 0, 0)), b"")
    raw = path.read_bytes().replace(struct.pack("<HH", 0, 33), b"\0\0\0\0")  # 1980-01-01 -> no date
    path.write_bytes(raw)
    _, entries, _ = listed(path)
    assert [entry.modified_ns for entry in entries] == [1_562_389_442 * 10**9, 1_500_000_000 * 10**9, None]


def test_links_and_specials_are_listed_and_folders_are_not(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in (
            ("link.jpg", stat.S_IFLNK),
            ("fifo.jpg", stat.S_IFIFO),
            ("dir.jpg", stat.S_IFDIR),
            ("a.jpg", 0),
        ):
            info = zipfile.ZipInfo(T + name)
            info.create_system, info.external_attr = 3, (mode | 0o644) << 16
            archive.writestr(info, b"../../secret")
        archive.writestr(f"{T}folder.jpg/", b"")
    _, entries, refused = listed(path)
    assert [entry.path for entry in entries] == [f"{T}a.jpg"]
    assert {(each.path, each.state) for each in refused} == {(f"{T}link.jpg", "ignored"), (f"{T}fifo.jpg", "ignored")}


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_inflated_no_further_than_is_asked_for(tmp_path: Path, method: int) -> None:
    library, (entry,), _ = listed(zipped(tmp_path / "x.zip", {f"{T}a.jpg": bytes(64 << 20)}, method))
    with opened(library, entry) as file:
        assert isinstance(file, Member)
        assert file.read_at(0, 100) == bytes(100)
        assert file._stream is not None
        assert file._stream.passed <= 2 * BLOCK
        assert file.check(True).size == 64 << 20


def test_an_archive_that_changes_or_leaves_fails_its_members_by_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", PHOTOS)
    library, entries, _ = listed(path)
    with path.open("ab") as file:
        file.write(b"more")
    with opened(library, entries[0]) as member, pytest.raises(MediaError, match=r"changed: x\.zip"):
        assert isinstance(member, Member)
        member.check(False)
    open_archive.cache_clear()
    with pytest.raises(MediaError, match=r"changed: x\.zip"):
        library.open(entries[0])
    path.unlink()
    with pytest.raises(MediaError, match=r"vanished: x\.zip"):
        library.open(entries[0])


def test_no_archive_stays_open_when_it_is_forgotten(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    library, entries, _ = listed(zipped(tmp_path / "x.zip", PHOTOS))
    content(library, entries[0])
    open_archive.cache_clear()
    assert len(os.listdir("/proc/self/fd")) == before


def test_to_list_an_archive_its_directory_is_read_and_no_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {f"{T}{number}.jpg": bytes(1000) for number in range(2000)})

    def read_so_far() -> int:
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

    before = read_so_far()
    library, entries, _ = listed(path)
    assert len(entries) == 2000
    assert read_so_far() - before < 0.2 * path.stat().st_size
    assert library.parts[0].form == "zip"


# Damage that costs no more than what is damaged


def flip(path: Path, at: int, bits: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bits
    path.write_bytes(data)


def photos(count: int, size: int = 300) -> dict[str, bytes]:
    return {f"{T}{number}.jpg": bytes([number]) * size for number in range(count)}


def test_one_wrong_length_in_the_directory_costs_one_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", photos(8))
    flip(path, path.read_bytes().index(f"{T}1.jpg".encode(), path.read_bytes().index(b"PK\1\2")) - 46 + 21, 2)
    library, entries, refused = listed(path)
    assert [each.path for each in refused] == [f"{T}1.jpg"]
    assert {entry.path: content(library, entry) for entry in entries} == {
        name: data for name, data in photos(8).items() if name != f"{T}1.jpg"
    }


@pytest.mark.parametrize("make", [zipped, streamed])
def test_without_a_directory_a_bad_member_costs_itself(tmp_path: Path, make: Any) -> None:
    members = {name: os.urandom(3000) for name in photos(6)}
    path = make(tmp_path / "x.zip", members, zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    second = whole.index(f"{T}1.jpg".encode())
    path.write_bytes(whole[: whole.index(b"PK\1\2")])
    if make is zipped:
        flip(path, second - 30 + 19, 0x10)  # its packed length
    else:
        for offset in range(4):
            flip(path, second + 60 + offset, 0xFF)
    library, entries, refused = listed(path)
    found = {entry.path: content(library, entry) for entry in entries if entry.path != f"{T}1.jpg"}
    assert found == {name: data for name, data in members.items() if name != f"{T}1.jpg"}
    assert {f"{T}1.jpg", "x.zip"} >= {each.path for each in refused} > set()


def test_without_a_directory_the_check_sum_behind_the_data_counts(tmp_path: Path) -> None:
    path = streamed(tmp_path / "x.zip", {f"{T}a.jpg": b"abc" * 999}, zipfile.ZIP_DEFLATED)
    whole = path.read_bytes()
    mark = whole.index(b"PK\7\x08")
    path.write_bytes(whole[: whole.index(b"PK\1\2")])
    flip(path, mark + 5, 1)
    library, (entry,), _ = listed(path)
    with pytest.raises(MediaError, match="CRC-32"):
        content(library, entry)


def test_archives_joined_are_all_read_and_told_of(tmp_path: Path) -> None:
    one, two = (zipped(tmp_path / f"{n}.zip", {f"{T}{n}.jpg": bytes(9)}) for n in (1, 2))
    both = tmp_path / "both.zip"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    library, entries, refused = listed(both)
    assert {entry.path: content(library, entry) for entry in entries} == {f"{T}{n}.jpg": bytes(9) for n in (1, 2)}
    assert ["joined" in each.reason for each in refused] == [True]


def test_a_piece_of_a_split_archive_says_what_to_do(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", photos(2))
    flip(path, path.read_bytes().rindex(b"PK\5\6") + 4, 1)
    _, entries, refused = listed(path)
    assert not entries
    assert "join them" in refused[0].reason


def test_names_with_backslashes_are_paths_where_windows_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for host in (0, 3):
            info = zipfile.ZipInfo("x")
            info.filename, info.create_system = f"Takeout\\P\\{host}.jpg", host
            archive.writestr(info, b"data")
    library, entries, _ = listed(path)
    assert [entry.path for entry in entries] == ["Takeout/P/0.jpg", "Takeout\\P\\3.jpg"]
    with opened(library, entries[0]) as file:
        assert isinstance(file, Member)
        assert not file.problems


def test_another_name_for_takeout_is_no_contradiction(tmp_path: Path) -> None:
    library, (entry,), _ = listed(zipped(tmp_path / "x.zip", {"Takeout 2/P/a.jpg": b"data"}))
    assert entry.path == "Takeout/P/a.jpg"
    with opened(library, entry) as file:
        assert isinstance(file, Member)
        assert not file.problems


def test_a_directory_that_is_said_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\1\2" * 10)
    archive = open_archive(str(path), Stamp.of(path.stat()))
    assert archive.read_at(4, 1 << 60) == b"PK\1\2" * 9
    assert archive.read_at(1 << 60, 4) == b""


@pytest.mark.parametrize(
    "unit",
    [
        LOCAL.pack(b"PK\3\4", 20, 8, 8, 0, 0x21, 0, 0, 0, 23, 0)
        + b"n" * 23
        + b"\0\xff\xff\0\0",  # 65,540 is 1,130 of them
        LOCAL.pack(b"PK\3\4", 20, 8, 0, 0, 0x21, 0, 0, 0, 5, 0) + b"a.jpg",
        LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 0x21, 0, 999, 999, 5, 0) + b"a.jpg",
    ],
    ids=["deflated to the end", "never followed by its size", "of a wrong size"],
)
def test_members_that_each_seem_to_reach_to_the_end_are_not_all_read_to_the_end(tmp_path: Path, unit: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(unit * (300_000 // len(unit)))
    archive = Counting(str(path), Stamp.of(path.stat()))
    headers, _ = read_headers(archive)
    assert len(headers) > 5000
    assert archive.counted < 200 * archive.stamp.size


class Counting(Archive):
    counted = 0

    def read_at(self, offset: int, length: int) -> bytes:
        data = super().read_at(offset, length)
        self.counted += len(data)
        return data
