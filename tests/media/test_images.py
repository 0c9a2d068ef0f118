"""Pixel size and EXIF out of each container, and what is said of damaged ones."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.facts import Picture
from pipeline.media.images import read_image
from pipeline.media.sniff import sniff
from pipeline.media.source import BytesSource
from pipeline.problems import MediaError
from pipeline.storage.streams import Streamed
from tests.media.blocks import chunk, jpeg, png, segment, tiff, webp

EXIF = tiff({0x010F: (2, "TESTCAM"), 0x0112: (3, [6])}, {0x9003: (2, "2020:02:03 04:05:06")})
FRAME = b"\x9d\x01\x2a" + struct.pack("<HH", 320, 240)


def read(data: bytes, head: int = 1 << 17) -> Picture:
    return read_image(sniff(data[:64]), BytesSource(data), data[:head])


def seen(picture: Picture) -> tuple[int | None, int | None, str | None]:
    return picture.width, picture.height, picture.exif.make if picture.exif else None


def kinds(picture: Picture) -> list[str]:
    return [problem.kind for problem in picture.problems]


RAW_PROFILE = b"\nexif\n%8d\n" % (len(EXIF) + 6) + (b"Exif\0\0" + EXIF).hex().encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (jpeg(EXIF), (4000, 3000, "TESTCAM")),
        (jpeg(), (4000, 3000, None)),
        (jpeg(EXIF, before=b"\xff\xff\xff" + segment(0xFE, b"hello")), (4000, 3000, "TESTCAM")),
        (jpeg(EXIF, before=segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"x" * 60_000)), (4000, 3000, "TESTCAM")),
        (jpeg(EXIF, before=segment(0xE2, b"ICC_PROFILE\0" + b"x" * 65_000) * 5), (4000, 3000, "TESTCAM")),
        (jpeg(EXIF, before=segment(0xFE, b"") * 500), (4000, 3000, "TESTCAM")),
        (jpeg(EXIF, end=b"\xff\xd9" + b"noise" * 100), (4000, 3000, "TESTCAM")),
        (png(), (40, 30, None)),
        (png(chunk(b"eXIf", EXIF)), (40, 30, "TESTCAM")),
        (png(chunk(b"eXIf", b"Exif\0\0" + EXIF)), (40, 30, "TESTCAM")),
        (png(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_PROFILE))), (40, 30, "TESTCAM")),
        (png(chunk(b"tEXt", b"Raw profile type APP1\0" + RAW_PROFILE)), (40, 30, "TESTCAM")),
        (webp((b"VP8 ", b"\0\0\0" + FRAME)), (320, 240, None)),
        (webp((b"VP8L", b"\x2f" + (319 | 239 << 14).to_bytes(4, "little"))), (320, 240, None)),
        (
            webp((b"VP8X", b"\x08\0\0\0\x3f\x01\0\xef\0\0"), (b"VP8 ", b"\0\0\0" + FRAME), (b"EXIF", EXIF)),
            (320, 240, "TESTCAM"),
        ),
        (webp((b"VP8 ", b"\0\0\0" + FRAME), (b"EXIF", b"Exif\0\0" + EXIF)), (320, 240, "TESTCAM")),
        (b"GIF89a" + struct.pack("<HH", 65535, 2) + b"\0\0\0;", (65535, 2, None)),
        (b"BM" + struct.pack("<IHHIIii", 60, 0, 0, 54, 40, 7, -5) + b"\0" * 40, (7, 5, None)),
        (b"BM" + struct.pack("<IHHIIHH", 60, 0, 0, 26, 12, 7, 5) + b"\0" * 40, (7, 5, None)),
        (tiff({0x0100: (4, [70]), 0x0101: (3, [50]), 0x010F: (2, "Epson")}), (70, 50, "Epson")),
    ],
)
def test_size_and_make(data: bytes, expected: tuple[int, int, str | None]) -> None:
    picture = read(data)
    assert seen(picture) == expected
    assert picture.problems == ()


def test_what_lies_behind_the_head_is_read_from_the_file() -> None:
    data = jpeg(EXIF, before=segment(0xE2, b"ICC_PROFILE\0" + b"x" * 65_000) * 5)
    assert seen(read(data, head=1000)) == (4000, 3000, "TESTCAM")


def test_the_full_picture_of_a_raw_file_stands_in_a_sub_directory() -> None:
    thumbnail = {0x00FE: (4, [1]), 0x0100: (4, [160]), 0x0101: (4, [120]), 0x014A: (4, [0])}
    first = tiff(thumbnail)
    below = tiff({0x00FE: (4, [0]), 0x0100: (4, [6000]), 0x0101: (4, [4000])})[8:]
    data = tiff({**thumbnail, 0x014A: (4, [len(first)])}) + below
    assert seen(read(data)) == (6000, 4000, None)


def test_exif_longer_than_a_segment_goes_on_in_the_next() -> None:
    block = tiff({0x010F: (2, "M" * 70_000)})
    pieces = b"".join(segment(0xE1, b"Exif\0\0" + block[i : i + 65527]) for i in range(0, len(block), 65527))
    picture = read(jpeg(before=pieces))
    assert picture.exif is not None
    assert picture.exif.make == "M" * 65_536  # as much of a text as is kept


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8", "truncated"),
        (b"\xff\xd8\xff", "truncated"),
        (jpeg(EXIF)[:60], "truncated"),
        (jpeg(EXIF)[:-3], "truncated"),
        (b"\xff\xd8\xff\xe1\0\0", "damaged"),
        (b"\xff\xd8\xff\xe1\0\2" + b"x" * 9 + jpeg(EXIF)[2:], "damaged"),
        (png()[:-8], "truncated"),
        (png()[:20], "truncated"),
        (png(struct.pack(">I4s", 0xFFFFFFFF, b"eXIf")), "truncated"),
        (png(b"\0\0\0\0\1\2\3\4"), "damaged"),
        (webp((b"VP8 ", b"\0\0\0" + FRAME))[:-2], "truncated"),
        (b"GIF89a" + struct.pack("<HH", 5, 2) + b"\0\0", "truncated"),
        (b"\xff\xd8\xff\xe1\0\7Exif\0" + jpeg(EXIF)[2:], "damaged"),
        (jpeg(EXIF, before=segment(0xFE, b"") * 5000), "odd"),
        (png().replace(b"IHDR", b"IHDR\1", 1)[:-1], "damaged"),
        (png(size=(2**31 - 1, 2**31 - 1)), "implausible"),
        (tiff({0x0100: (4, [70]), 0x0101: (3, [50]), 0x0111: (4, [200]), 0x0117: (4, [2**32 - 1])}), "truncated"),
    ],
)
def test_damage_is_named(data: bytes, kind: str) -> None:
    assert kind in kinds(read(data))


def test_a_size_of_gigapixels_is_kept_and_nothing_is_decoded() -> None:
    assert seen(read(png(size=(2**31 - 1, 2**31 - 1)))) == (2**31 - 1, 2**31 - 1, None)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([jpeg(EXIF), png(chunk(b"eXIf", EXIF)), webp((b"VP8 ", FRAME), (b"EXIF", EXIF)), EXIF]),
    st.lists(st.tuples(st.integers(12, 2000), st.integers(0, 255)), max_size=20),
    st.integers(0, 300),
)
def test_damaged_pictures_raise_nothing_but_media_errors(data: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(data)
    for position, value in changes:
        if position < len(damaged):
            damaged[position] = value
    with contextlib.suppress(MediaError):
        read(bytes(damaged[: len(damaged) - cut] if cut < len(damaged) else damaged))


def test_a_member_that_is_said_to_be_huge_is_not_searched_for_its_end() -> None:
    data = jpeg(size=(2, 2), end=b"")
    picture = read_image("jpeg", Streamed(1 << 62, iter([data, b""]).__next__), data)
    assert (picture.width, picture.height) == (2, 2)
    assert [problem.kind for problem in picture.problems] == ["truncated"]
