"""What movies say: boxes built byte by byte, whole, odd, cut off and hostile."""

import struct
from contextlib import suppress
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.boxes import MAX_BOXES, Boxes
from pipeline.media.facts import Clip
from pipeline.media.source import BytesSource
from pipeline.media.video import MEDIAINFO_BYTES, Place, parse_creation_date, parse_iso6709, read_video
from pipeline.problems import MediaError

CREATED = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
SECONDS = int((CREATED - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds())
UPRIGHT, QUARTER, HALF, THREE_QUARTERS = (1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)
FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42")


def box(name: bytes, *parts: bytes, wide: bool = False) -> bytes:
    """A box of the parts; `wide` with its size in 64 bits."""
    data = b"".join(parts)
    if wide:
        return struct.pack(">I4sQ", 1, name, 16 + len(data)) + data
    return struct.pack(">I4s", 8 + len(data), name) + data


def times(created: int = SECONDS, scale: int = 1000, length: int = 2500, version: int = 0) -> bytes:
    """The beginning of mvhd and mdhd."""
    code = ">IQQIQ" if version else ">IIIII"
    return struct.pack(code, version << 24, created, created, scale, length)


def mvhd(**values: int) -> bytes:
    return box(b"mvhd", times(**values), b"\0" * 80)


def tkhd(
    size: tuple[float, float] = (1920, 1080),
    turn: tuple[int, int, int, int] = UPRIGHT,
    flags: int = 7,
    version: int = 0,
) -> bytes:
    a, b, c, d = (one << 16 for one in turn)
    head = struct.pack(">I", version << 24 | flags) + b"\0" * (32 if version else 20) + b"\0" * 16
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    return box(b"tkhd", head, matrix, struct.pack(">II", *(int(side * 65536) for side in size)))


def stsd(codec: bytes = b"avc1", size: tuple[int, int] = (640, 480)) -> bytes:
    entry = box(codec, b"\0" * 6, b"\0\1", b"\0" * 16, struct.pack(">HH", *size), b"\0" * 50)
    return box(b"stsd", struct.pack(">II", 0, 1), entry)


def stts(*pairs: tuple[int, int], count: int | None = None) -> bytes:
    data = b"".join(struct.pack(">II", *pair) for pair in pairs)
    return box(b"stts", struct.pack(">II", 0, len(pairs) if count is None else count), data)


def trak(
    header: bytes | None = None,
    handler: bytes = b"vide",
    samples: bytes | None = None,
    extra: bytes = b"",
    version: int = 0,
) -> bytes:
    media = (
        box(b"mdhd", times(scale=30000, length=75000, version=version), b"\0" * 4),
        box(b"hdlr", b"\0" * 8, handler, b"\0" * 13),
        box(b"minf", box(b"dinf"), box(b"stbl", stsd() + stts((75, 1000)) if samples is None else samples)),
    )
    return box(b"trak", tkhd() if header is None else header, box(b"mdia", *media), extra)


def movie(*parts: bytes, header: bytes | None = None, track: bytes | None = None) -> bytes:
    """A file: brand, moov of a header, a track and `parts`, media."""
    moov = box(b"moov", mvhd() if header is None else header, trak() if track is None else track, *parts)
    return FTYP + moov + box(b"mdat", b"\0" * 99)


def quicktime_text(text: str, language: int = 0x15C7, encoding: str = "utf-8") -> bytes:
    data = text.encode(encoding)
    return struct.pack(">HH", len(data), language) + data


def keys(values: dict[bytes, bytes], full: bool = True, kind: int = 1) -> bytes:
    """Apple's metadata: names, and values by the number of the name."""
    names = b"".join(struct.pack(">I4s", 8 + len(name), b"mdta") + name for name in values)
    items = b"".join(
        box(struct.pack(">I", index), box(b"data", struct.pack(">II", kind, 0), value))
        for index, value in enumerate(values.values(), 1)
    )
    return box(
        b"meta",
        b"\0" * 4 if full else b"",
        box(b"hdlr", b"\0" * 8, b"mdta", b"\0" * 13),
        box(b"keys", struct.pack(">II", 0, len(values)), names),
        box(b"ilst", items),
    )


def loci(longitude: float, latitude: float, altitude: float, name: bytes = b"Home\0") -> bytes:
    numbers = struct.pack(">iii", *(round(one * 65536) for one in (longitude, latitude, altitude)))
    return box(b"loci", b"\0" * 4, b"\x15\xc7", name, b"\0", numbers, b"earth\0\0")


def read(data: bytes, form: str = "mp4") -> Clip:
    return read_video(form, BytesSource(data))


def kinds(clip: Clip) -> list[str]:
    return [problem.kind for problem in clip.problems]


def test_a_plain_movie() -> None:
    assert read(movie()) == Clip(
        width=1920,
        height=1080,
        rotation=0,
        duration_s=2.5,
        frame_rate=30.0,
        video_codec="avc1",
        created_at=CREATED,
    )


def test_the_same_with_numbers_of_64_bits() -> None:
    wide = movie(header=mvhd(version=1), track=trak(tkhd(version=1), version=1))
    assert read(wide) == read(movie())
    moov = wide[len(FTYP) + 8 : -107]
    assert read(FTYP + box(b"mdat", b"\0" * 999, wide=True) + box(b"moov", moov, wide=True)) == read(movie())


def test_moov_may_come_first_or_last_and_its_box_may_end_with_the_file() -> None:
    moov = movie()[len(FTYP) : -107]
    assert read(moov) == read(movie())
    assert read(box(b"wide") + box(b"mdat", b"\0" * 9999) + moov) == read(movie())
    assert read(box(b"mdat", b"\0" * 9999) + b"\0\0\0\0moov" + moov[8:]) == read(movie())


@pytest.mark.parametrize(
    ("turn", "rotation"),
    [
        (UPRIGHT, 0),
        (QUARTER, 90),
        (HALF, 180),
        (THREE_QUARTERS, 270),
        ((2, 0, 0, 2), 0),
        ((0, 1, 1, 0), 90),
        ((1, 1, -1, 1), None),
        ((0, 0, 0, 0), None),
    ],
)
def test_rotation_is_clockwise_and_the_size_is_that_before_it(turn: Any, rotation: int | None) -> None:
    clip = read(movie(track=trak(tkhd(turn=turn))))
    assert (clip.rotation, clip.width, clip.height) == (rotation, 1920, 1080)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (tkhd((0, 0)), (640, 480)),
        (tkhd((176.5, 144)), (176, 144)),
        (tkhd((320 / 65536, 240 / 65536)), (320, 240)),
        (tkhd((8, 6)), (8, 6)),
        (b"", (640, 480)),
    ],
)
def test_the_size_is_the_track_headers_else_the_samples(header: bytes, size: tuple[int, int]) -> None:
    clip = read(movie(track=trak(header)))
    assert (clip.width, clip.height) == size


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (stts((1, 1001), (2, 1001)), 30000 / 1001),
        (stts((100, 500), (1, 50000)), 101 * 30000 / 100000),
        (stts((75, 1000), count=2**32 - 1), 30.0),
        (stts((75, 0)), None),
        (stts(), None),
        (b"", None),
        (box(b"stts"), None),
        (stts(*[(1, 1000)] * 140_000) + box(b"stsz", struct.pack(">III", 0, 0, 75)), 30.0),
    ],
)
def test_the_frame_rate_is_that_of_all_samples(samples: bytes, rate: float | None) -> None:
    assert read(movie(track=trak(samples=stsd() + samples))).frame_rate == rate


def test_the_first_enabled_video_track_counts() -> None:
    sound, cover = trak(tkhd((0, 0)), b"soun", stsd(b"mp4a")), trak(tkhd((10, 10), flags=0))
    clip = read(movie(trak(tkhd((320, 240))), track=sound + cover))
    assert (clip.width, clip.video_codec, clip.has_video) == (320, "avc1", True)
    assert read(movie(track=sound + cover)).width == 10
    assert read(movie(track=sound)) == Clip(duration_s=2.5, created_at=CREATED, has_video=False)
    covered = b"".join((FTYP[:8], b"M4A ", FTYP[12:], movie(track=sound + cover)[20:]))
    assert not read(covered).has_video


@pytest.mark.parametrize(
    ("created", "expected", "problems"),
    [
        (SECONDS, CREATED, []),
        (0, None, ["date"]),
        (2082844800, None, ["date"]),
        (int(CREATED.timestamp()), CREATED, ["date"]),
        (177, None, ["date"]),
        (2**32 - 1, datetime(2040, 2, 6, 6, 28, 15, tzinfo=UTC), ["date"]),
    ],
)
def test_creation_times(created: int, expected: datetime | None, problems: list[str]) -> None:
    clip = read(movie(header=mvhd(created=created)))
    assert (clip.created_at, kinds(clip)) == (expected, problems)


def test_a_creation_time_beyond_the_calendar_is_none() -> None:
    for created in (2**40, 2**63, 2**64 - 1):
        clip = read(movie(header=mvhd(created=created, version=1)))
        assert (clip.created_at, clip.duration_s, kinds(clip)) == (None, 2.5, ["date"])


@pytest.mark.parametrize(
    ("header", "track", "expected"),
    [
        (mvhd(scale=0), trak(b"", b"soun"), None),
        (mvhd(length=2**32 - 1), trak(b"", b"soun"), None),
        (mvhd(length=2**64 - 1, version=1), trak(b"", b"soun"), None),
        (mvhd(length=2**64 - 2, version=1), trak(b"", b"soun"), None),
        (mvhd(length=0), trak(b"", b"soun"), None),
        (mvhd(length=0), trak(), 2.5),
        (mvhd(length=0), trak() + box(b"mvex", box(b"mehd", struct.pack(">II", 0, 7000))), 7.0),
        (mvhd(length=0), trak() + box(b"mvex", box(b"mehd", struct.pack(">IQ", 1 << 24, 7000))), 7.0),
    ],
)
def test_durations(header: bytes, track: bytes, expected: float | None) -> None:
    assert read(movie(header=header, track=track)).duration_s == expected


SPELLED = "+40.6894-074.0447+010.500/"
LIBERTY = (40.6894, -74.0447, 10.5)


@pytest.mark.parametrize(
    "extra",
    [
        box(b"udta", box(b"\xa9xyz", quicktime_text(SPELLED))),
        box(b"udta", box(b"\xa9xyz", quicktime_text(SPELLED, language=0))),
        box(b"udta", box(b"\xa9xyz", SPELLED.encode())),
        box(b"udta", box(b"\xa9xyz", quicktime_text(SPELLED)), b"\0\0\0\0"),
        box(b"udta", loci(1, 2, 3), box(b"\xa9xyz", quicktime_text(SPELLED))),
        keys({b"com.apple.quicktime.location.ISO6709": SPELLED.encode()}),
        keys({b"x": b"y", b"com.apple.quicktime.location.ISO6709": SPELLED.encode()}, full=False),
        keys({b"com.apple.quicktime.location.ISO6709": SPELLED.encode("utf-16-be")}, kind=2),
        box(b"udta", keys({b"com.apple.quicktime.location.ISO6709": SPELLED.encode()})),
    ],
)
def test_a_position_in_each_of_its_spellings(extra: bytes) -> None:
    for data in (movie(extra), movie(track=trak(extra=extra))):
        if extra[4:8] == b"meta" and data != movie(extra):
            continue  # metadata of a track describes the track
        clip = read(data)
        assert (clip.latitude, clip.longitude, clip.altitude_m) == LIBERTY
        assert clip.problems == ()


@pytest.mark.parametrize(
    "name", [b"\0", b"Home\0", "\ufeffДом\0".encode("utf-16-be"), "\ufeffДом\0".encode("utf-16-le")]
)
def test_a_position_by_3gpp(name: bytes) -> None:
    clip = read(movie(box(b"udta", loci(-74.5, 40.25, -3, name))))
    assert (clip.latitude, clip.longitude, clip.altitude_m) == (40.25, -74.5, -3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+27.5916+086.5640+8850/", Place(27.5916, 86.5640, 8850)),
        ("-33.8-151/", Place(-33.8, -151)),
        ("+4042.50-07400.50+1.5CRSWGS_84/", Place(40 + 42.5 / 60, -(74 + 0.5 / 60), 1.5)),
        ("+404212.5-0740030/", Place(40 + 42 / 60 + 12.5 / 3600, -(74 + 30 / 3600))),
        ("+00.0000+000.0000/", None),
        ("+91+000.5/", None),
        ("+40-180.5/", None),
        ("+4060+00000/", None),
        ("+40.5-0740030/", None),
        ("40.5-074", None),
        ("", None),
    ],
)
def test_iso_6709(text: str, place: Place | None) -> None:
    assert parse_iso6709(text) == place


def test_apple_says_who_when_and_which() -> None:
    apple = {
        b"com.apple.quicktime.make": b"Apple",
        b"com.apple.quicktime.model": "iPhone é".encode(),
        b"com.apple.quicktime.software": b"13.1",
        b"com.apple.quicktime.creationdate": b"2019-05-01T12:00:00+0200",
        b"com.apple.quicktime.content.identifier": b"0A-1B",
    }
    clip = read(movie(keys(apple)))
    assert (clip.make, clip.model, clip.software) == ("Apple", "iPhone é", "13.1")
    assert (clip.created_local, clip.utc_offset_min) == (datetime(2019, 5, 1, 12), 120)
    assert clip.content_identifier == "0A-1B"


def test_user_data_says_who() -> None:
    latin = box(b"\xa9mod", quicktime_text("Café", language=0, encoding="mac_roman"))
    clip = read(movie(box(b"udta", box(b"\xa9mak", quicktime_text("Canon")), latin, box(b"\xa9swr", b"\0"))))
    assert (clip.make, clip.model, clip.software) == ("Canon", "Café", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-05-01T12:00:00-03:30", (datetime(2019, 5, 1, 12), -210)),
        ("2019-05-01T12:00:00Z", (datetime(2019, 5, 1, 12), 0)),
        ("2019-05-01T12:00:00.123+02", (datetime(2019, 5, 1, 12), 120)),
        ("2019-05-01 12:00", (datetime(2019, 5, 1, 12), None)),
        ("2005/08/17/ 11:42:43", (datetime(2005, 8, 17, 11, 42, 43), None)),
        ("2019-13-01T12:00:00Z", None),
        ("0001-01-01T00:00:00+0200", None),
        ("yesterday", None),
    ],
)
def test_creation_dates(text: str, expected: Any) -> None:
    assert parse_creation_date(text) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (FTYP + box(b"mdat", b"\0" * 50), "no_moov: "),
        (FTYP, "no_moov: "),
        (b"", "no_moov: "),
        (FTYP + struct.pack(">I4sQ", 1, b"mdat", 2**62) + b"\0" * 9, "truncated: "),
        (FTYP + struct.pack(">I4sQ", 1, b"free", 0) + movie()[20:], "damaged: "),
        (FTYP + struct.pack(">I4s", 7, b"free") + movie()[20:], "damaged: "),
        (FTYP + struct.pack(">I4s", 1, b"free"), "damaged: "),
    ],
)
def test_a_file_without_a_movie_says_why(data: bytes, message: str) -> None:
    with pytest.raises(MediaError) as error:
        read(data)
    assert str(error.value).startswith(message)


def test_of_a_cut_movie_the_beginning_is_read() -> None:
    whole = movie(box(b"udta", b"\0" * 500), track=trak())
    assert kinds(read(whole[:-1])) == ["truncated"]
    assert read(whole[:-200]).video_codec == "avc1"
    cut = read(whole[:160])
    assert (cut.duration_s, cut.created_at, kinds(cut)) == (2.5, CREATED, ["truncated"])
    huge = read(FTYP + struct.pack(">I4s", 2**32 - 1, b"moov") + mvhd())
    assert (huge.duration_s, kinds(huge)) == (2.5, ["truncated"])


def test_a_box_longer_than_its_parent_is_read_as_far_as_that_goes() -> None:
    user_data = bytearray(box(b"udta", box(b"\xa9xyz", quicktime_text(SPELLED))))
    user_data[8:12] = struct.pack(">I", 90)
    clip = read(movie(bytes(user_data)))
    assert (clip.latitude, kinds(clip)) == (40.6894, ["damaged"])


def test_what_follows_the_media_is_nobodys_business() -> None:
    assert read(movie() + b"\xff" * 50).problems == ()


class Counting:
    """A source of any size, mostly nothing, that counts what is read of it."""

    def __init__(self, front: bytes, gap: int, back: bytes) -> None:
        self.front, self.back, self.gap = front, back, gap
        self.size = len(front) + gap + len(back)
        self.reads = self.bytes = 0
        self.seekable = True

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads += 1
        length = max(0, min(length, self.size - offset))
        self.bytes += length
        assert length < 1 << 20
        pieces = self.front[offset : offset + length]
        into = offset - len(self.front) - self.gap
        tail = self.back[max(into, 0) : max(into + length, 0)]
        return pieces + b"\0" * (length - len(pieces) - len(tail)) + tail


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("table", [100, 20_000])
def test_a_long_movie_costs_a_few_short_reads(first: bool, table: int) -> None:
    sizes = box(b"stsz", struct.pack(">III", 0, 0, table), b"\0\0\1\0" * table)
    samples = stsd() + stts((75, 1000)) + sizes
    moov = movie(trak(handler=b"soun", samples=samples), track=trak(samples=samples))[len(FTYP) : -107]
    media = struct.pack(">I4sQ", 1, b"mdat", 5_000_000_016)
    front = FTYP + (moov if first else b"") + media
    source = Counting(front, 5_000_000_000, b"" if first else moov)
    assert read_video("mp4", source) == read(movie())
    assert source.reads <= 7
    assert source.bytes < 33_000


HOSTILE = {
    "boxes in boxes": FTYP + b"".join(struct.pack(">I4s", (5000 - i) * 8, b"moov") for i in range(5000)),
    "tracks": FTYP + box(b"moov", mvhd(), box(b"trak") * 50_000),
    "user data": movie(box(b"udta", box(b"\xa9xyz", b"+") * 50_000)),
    "keys": movie(box(b"meta", b"\0" * 4, box(b"keys", b"\0\0\0\0\xff\xff\xff\xff", b"\0\0\0\x08mdta" * 200_000))),
    "a key of 4 GB": movie(box(b"meta", b"\0" * 4, box(b"keys", b"\0" * 8, b"\xff\xff\xff\xffmdta"))),
    "items": movie(keys({b"com.apple.quicktime.make": b"A"})[:-8] + box(b"\0\0\0\1") * 50_000),
    "times": movie(track=trak(samples=stsd() + stts((2**32 - 1, 2**32 - 1), count=2**32 - 1))),
    "media tracks": FTYP + box(b"moov", mvhd(), trak() * 5000),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_movies_take_no_time(data: bytes) -> None:
    read(data)
    started = perf_counter()
    read(data)
    assert perf_counter() - started < 0.5  # on a busy machine; 0.05 on an idle one


def test_the_budget_of_boxes_is_one_for_the_file() -> None:
    boxes = Boxes(BytesSource(box(b"free") * (MAX_BOXES + 5)), "video")
    assert len(list(boxes.top())) == MAX_BOXES
    assert list(boxes.top()) == []
    assert [problem.kind for problem in boxes.problems] == ["too_complex"]


def test_uuid_boxes_have_a_type_of_their_own() -> None:
    (found,) = Boxes(BytesSource(box(b"uuid", bytes(range(16)), b"abc")), "video").top()
    assert (found.user_type, found.size) == (bytes(range(16)), 3)


RICH = movie(
    box(b"udta", box(b"\xa9xyz", quicktime_text(SPELLED)), loci(1, 2, 3)),
    keys(
        {
            b"com.apple.quicktime.location.ISO6709": b"+1+2/",
            b"com.apple.quicktime.creationdate": b"2019-05-01T12:00:00Z",
        }
    ),
    box(b"mvex", box(b"mehd", struct.pack(">II", 0, 7000))),
)


@settings(max_examples=400, deadline=1000)
@given(
    st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(RICH)),
)
def test_damaged_movies_raise_nothing_but_media_errors(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(RICH)
    for position, value in changes:
        damaged[position] = value
    with suppress(MediaError):
        read(bytes(damaged[: len(damaged) - cut]))


def ebml(name: str, data: bytes) -> bytes:
    return bytes.fromhex(name) + struct.pack(">Q", 1 << 56 | len(data)) + data


def matroska() -> bytes:
    """A Matroska file of one video track and no picture."""
    header = ebml("1a45dfa3", ebml("4282", b"matroska") + ebml("4287", b"\4") + ebml("4285", b"\2"))
    date = int((CREATED - datetime(2001, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9
    info = (
        ebml("2ad7b1", b"\x0f\x42\x40") + ebml("4489", struct.pack(">d", 2500)) + ebml("4461", struct.pack(">q", date))
    )
    size = ebml("b0", struct.pack(">H", 704)) + ebml("ba", struct.pack(">H", 576))
    rate = ebml("23e383", struct.pack(">I", 40_000_000))
    track = ebml("d7", b"\1") + ebml("73c5", b"\1") + ebml("83", b"\1") + ebml("86", b"V_MPEG4/ISO/AVC") + rate
    tracks = ebml("1654ae6b", ebml("ae", track + ebml("e0", size)))
    return header + ebml("18538067", ebml("1549a966", info) + tracks)


def test_other_containers_are_mediainfos() -> None:
    clip = read(matroska(), "matroska")
    assert (clip.width, clip.height, clip.frame_rate, clip.video_codec) == (704, 576, 25.0, "AVC")
    assert (clip.duration_s, clip.created_at, clip.has_video) == (2.5, CREATED, True)


def test_mediainfo_reads_a_bounded_part_of_a_file() -> None:
    source = Counting(matroska(), 5_000_000_000, b"")
    assert read_video("matroska", source).width == 704
    assert source.bytes <= MEDIAINFO_BYTES


@pytest.mark.parametrize("data", [b"", b"hello, this is a letter", b"\0" * 5000, matroska()[:60]])
def test_what_mediainfo_does_not_know_is_an_error_of_the_file(data: bytes) -> None:
    with pytest.raises(MediaError):
        read(data, "")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=12), st.integers(0, 100))
def test_damaged_files_of_other_kinds_raise_nothing_else_either(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(matroska())
    for position, value in changes:
        damaged[position % len(damaged)] = value
    with suppress(MediaError):
        read(bytes(damaged[: len(damaged) - cut]), "matroska")
