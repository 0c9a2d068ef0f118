"""EXIF by a reader of only the wanted tags: what each tag means, and what damaged blocks still say."""

import contextlib
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.exif import parse_exif_time, parse_offset, read_exif, read_exif_parts
from pipeline.media.facts import Exif
from pipeline.media.source import BytesSource
from pipeline.problems import MediaError
from tests.media.blocks import Fields, apple_note, tiff

FULL_FIRST: Fields = {0x010F: (2, "Canon"), 0x0110: (2, "EOS 5D  "), 0x0112: (3, [6]), 0x0131: (2, "v1")}
FULL_EXIF: Fields = {
    0x829A: (5, [(1, 250)]),
    0x829D: (5, [(28, 10)]),
    0x8827: (3, [400]),
    0x9003: (2, "2019:07:30 21:05:59"),
    0x9011: (2, "+02:00"),
    0x9209: (3, [0x19]),
    0x920A: (5, [(50, 1)]),
    0x9291: (2, "042"),
    0xA405: (3, [75]),
    0xA434: (2, "EF50mm"),
}
FULL_GPS: Fields = {
    1: (2, "S"),
    2: (5, [(33, 1), (51, 1), (2448, 100)]),
    3: (2, "E"),
    4: (5, [(151, 1), (12, 1), (5508, 100)]),
    5: (1, [1]),
    6: (5, [(15, 10)]),
    7: (5, [(19, 1), (5, 1), (5950, 100)]),
    0x1D: (2, "2019:07:30"),
}


def read(first: Fields, exif: Fields | None = None, gps: Fields | None = None, order: str = "<") -> Exif:
    found, problems = read_exif(BytesSource(tiff(first, exif, gps, order)))
    assert problems == ()
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_wanted_tag_is_read_in_both_byte_orders(order: str) -> None:
    found = read(FULL_FIRST, FULL_EXIF, FULL_GPS, order)
    assert found.latitude == pytest.approx(-33.8568)
    assert found.longitude == pytest.approx(151.2153)
    assert found._replace(latitude=None, longitude=None) == Exif(
        make="Canon",
        model="EOS 5D",
        lens_model="EF50mm",
        software="v1",
        orientation=6,
        iso=400,
        f_number=2.8,
        exposure_time_s=0.004,
        focal_length_mm=50.0,
        focal_length_35mm=75,
        flash_fired=True,
        taken_text="2019:07:30 21:05:59",
        taken_local=datetime(2019, 7, 30, 21, 5, 59, 42_000),
        utc_offset_min=120,
        altitude_m=-1.5,
        gps_at=datetime(2019, 7, 30, 19, 5, 59, 500_000, tzinfo=UTC),
    )


def test_directories_in_blocks_of_their_own_say_the_same() -> None:
    apart, problems = read_exif_parts(tiff(FULL_FIRST), tiff(FULL_EXIF), tiff(FULL_GPS))
    assert problems == ()
    assert apart == read(FULL_FIRST, FULL_EXIF, FULL_GPS)


@pytest.mark.parametrize(
    ("exif", "name", "expected", "kinds"),
    [
        ({0x8827: (4, [800])}, "iso", 800, []),
        ({0x8827: (3, [0, 200])}, "iso", None, []),
        ({0x8827: (3, [65535]), 0x8832: (4, [102400])}, "iso", 102400, []),
        ({0x829D: (5, [(0, 0)])}, "f_number", None, []),
        ({0x829D: (5, [(0, 1)])}, "f_number", None, []),
        ({0x829A: (5, [(1, 0)])}, "exposure_time_s", None, ["number"]),
        ({0x829A: (10, [(1, 8)])}, "exposure_time_s", 0.125, []),
        ({0x920A: (12, [4.25])}, "focal_length_mm", 4.25, []),
        ({0xA405: (3, [0])}, "focal_length_35mm", None, []),
        ({0x9209: (3, [0x10])}, "flash_fired", False, []),
        ({0x9003: (2, "0000:00:00 00:00:00")}, "taken_local", None, ["date"]),
        ({0x9003: (2, "0000:00:00 00:00:00")}, "taken_text", "0000:00:00 00:00:00", ["date"]),
        ({0x9003: (2, "    :  :     :  :  ")}, "taken_local", None, ["date"]),
        ({0x9003: (2, "9999:01:01 00:00:00")}, "taken_local", datetime(9999, 1, 1), ["date"]),
        ({0x9003: (2, "2001-02-03T04:05:06")}, "taken_local", datetime(2001, 2, 3, 4, 5, 6), ["date"]),
        (
            {0x9004: (2, "2001:02:03 04:05:06"), 0x9292: (2, "5")},
            "taken_local",
            datetime(2001, 2, 3, 4, 5, 6, 500_000),
            [],
        ),
        ({0x9003: (2, "2001:02:03 04:05:06"), 0x9010: (2, "-08:00")}, "utc_offset_min", -480, []),
    ],
)
def test_odd_values(exif: Fields, name: str, expected: object, kinds: list[str]) -> None:
    found, problems = read_exif(BytesSource(tiff({}, exif)))
    assert getattr(found, name) == expected
    assert [problem.kind for problem in problems] == kinds


@pytest.mark.parametrize(
    ("first", "name", "expected", "kinds"),
    [
        ({0x010F: (2, "Größe".encode() + b"\0")}, "make", "Größe", []),
        ({0x010F: (2, "Größe".encode("latin-1") + b"\0")}, "make", "Größe", ["text"]),
        ({0x010F: (2, "Leica\0".encode("utf-16-le"))}, "make", "Leica", ["text"]),
        ({0x010F: (2, b"a\x1b[2J\0")}, "make", "a\x1b[2J", ["text"]),
        ({0x010F: (2, b"no end")}, "make", "no end", []),
        ({0x010F: (2, "   ")}, "make", None, []),
        ({0x010F: (7, b"bytes\0")}, "make", "bytes", []),
        ({0x0112: (3, [9])}, "orientation", None, ["number"]),
        ({0x0112: (3, [0])}, "orientation", None, []),
        ({0x0112: (4, [3])}, "orientation", 3, []),
        ({0x829D: (5, [(4, 1)])}, "f_number", 4.0, []),
        ({0x0017: (3, [80])}, "iso", 80, []),
        ({0x8769: (4, [])}, "make", None, ["damaged", "damaged"]),  # exifread stops at it too
    ],
)
def test_odd_values_of_the_first_directory(first: Fields, name: str, expected: object, kinds: list[str]) -> None:
    found, problems = read_exif(BytesSource(tiff(first)))
    assert getattr(found, name) == expected
    assert [problem.kind for problem in problems] == kinds


def test_a_value_that_reaches_out_of_the_block_is_named_though_nobody_wants_it() -> None:
    block = tiff({0x010F: (2, "Canon"), 0x927C: (7, b"m" * 40)})
    found, problems = read_exif(BytesSource(block[:-20]))
    assert found.make == "Canon"
    assert [(problem.kind, "0x927c" in problem.message) for problem in problems] == [("damaged", True)]


@pytest.mark.parametrize(
    ("change", "expected", "problem"),
    [
        ({2: (5, [(0, 1)] * 3), 4: (5, [(0, 1)] * 3)}, None, False),  # 0/0 is no place
        ({2: (5, [(0, 0)] * 3)}, None, False),
        ({2: (5, [(52, 1)])}, -52.0, True),
        ({2: (5, [(52, 0), (0, 1), (0, 1)])}, None, True),
        ({2: (5, [(91, 1), (0, 1), (0, 1)])}, None, True),
        ({1: (2, "")}, None, True),
        ({1: (2, "Q")}, None, True),
        ({2: (5, [(33, 1), (30, 1), (0, 0)])}, -33.5, False),
    ],
)
def test_odd_positions(change: Fields, expected: float | None, problem: bool) -> None:
    found, problems = read_exif(BytesSource(tiff({}, None, {**FULL_GPS, **change})))
    assert found.latitude == expected
    assert (found.longitude is None) == (expected is None)
    assert bool(problems) == problem


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2020:01:02 03:04:05", datetime(2020, 1, 2, 3, 4, 5)),
        ("2020-01-02T03:04:05", datetime(2020, 1, 2, 3, 4, 5)),
        ("2020:01:02 03:04", datetime(2020, 1, 2, 3, 4)),
        ("2020:13:45 25:00:00", None),
        ("2020:02:30 00:00:00", None),
        ("２０２０:01:02 03:04:05", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_exif_times(written: str | None, expected: datetime | None) -> None:
    assert parse_exif_time(written) == expected


@pytest.mark.parametrize(("written", "expected"), [("+16:00", None), ("+01:75", None), ("UTC", None), ("-3:30", -210)])
def test_odd_offsets(written: str, expected: int | None) -> None:
    assert parse_offset(written) == expected


def test_what_lies_outside_of_the_block_is_named_and_the_rest_is_kept() -> None:
    block = bytearray(tiff({0x010F: (2, "A long make"), 0x0110: (2, "T-1")}))
    at = block.index(b"\x0f\x01\x02\0") + 8
    block[at : at + 4] = (0x7FFFFFF0).to_bytes(4, "little")
    found, problems = read_exif(BytesSource(bytes(block)))
    assert (found.make, found.model) == (None, "T-1")
    assert [p.kind for p in problems] == ["damaged"]
    assert "0x010f" in problems[0].message


def test_a_directory_that_names_itself_is_read_once() -> None:
    block = bytearray(tiff({0x0112: (3, [1])}))
    block[-4:] = (8).to_bytes(4, "little")
    found, problems = read_exif(BytesSource(bytes(block)))
    assert found.orientation == 1
    assert [p.kind for p in problems] == ["loop"]


@pytest.mark.parametrize("block", [b"", b"II", b"XX*\0\x08\0\0\0", b"II*\0\xff\xff\xff\x7f" + b"\0" * 20])
def test_a_block_without_directory_is_refused(block: bytes) -> None:
    with pytest.raises(MediaError):
        read_exif(BytesSource(block))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=30), st.integers(0, 1000))
def test_damage_never_raises_anything_else_and_never_takes_long(changes: list[tuple[int, int]], cut: int) -> None:
    block = bytearray(tiff(FULL_FIRST, FULL_EXIF, FULL_GPS))
    for position, value in changes:
        block[position % len(block)] = value
    started = time.process_time()
    with contextlib.suppress(MediaError):
        read_exif(BytesSource(bytes(block[: max(len(block) - cut % 100, 0)])))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("make", "note", "expected"),
    [
        ("Apple", apple_note("0A-1B"), "0A-1B"),
        ("Canon", apple_note("0A-1B"), None),
        ("Apple", apple_note("0A-1B")[:20], None),
        ("Apple", apple_note("0A-1B").replace(b"MM", b"XX"), None),
        ("Apple", b"Apple iOS\0\0\1MM", None),
        ("Apple", b"another note", None),
    ],
)
def test_the_identifier_of_a_live_photo(make: str, note: bytes, expected: str | None) -> None:
    found, problems = read_exif(BytesSource(tiff({0x010F: (2, make)}, {0x927C: (7, note)})))
    assert (found.content_identifier, problems) == (expected, ())
