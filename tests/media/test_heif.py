"""Size and EXIF out of HEIC, AVIF and CR3: boxes built byte by byte, whole, odd, cut off and hostile."""

import struct
import tracemalloc
from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.facts import Picture
from pipeline.media.heif import read_cr3, read_heif
from pipeline.media.source import BytesSource
from pipeline.problems import MediaError
from tests.media.blocks import tiff

EXIF = tiff({0x010F: (2, "TESTCAM"), 0x0112: (3, [6])}, {0x9003: (2, "2020:02:03 04:05:06")})
OTHER = tiff({0x010F: (2, "THUMBCAM")})
FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1")
PLAIN = b"\0\0\0\0"


def box(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I4s", 8 + len(data), name) + data


def full(name: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def infe(item: int, kind: bytes, version: int = 2) -> bytes:
    return full(b"infe", version, 0, struct.pack(">HH" if version == 2 else ">IH", item, 0), kind, b"\0")


def iinf(*entries: bytes, version: int = 0) -> bytes:
    return full(b"iinf", version, 0, struct.pack(">I" if version else ">H", len(entries)), *entries)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", 0, 0, struct.pack(">II", width, height))


def iprp(*properties: bytes, links: dict[int, list[int]], version: int = 0, wide: bool = False) -> bytes:
    """Properties, and the numbers of them that belong to each item."""
    entries = b"".join(
        struct.pack(">IB" if version else ">HB", item, len(numbers))
        + b"".join(struct.pack(">H", 0x8000 | one) if wide else bytes([0x80 | one]) for one in numbers)
        for item, numbers in links.items()
    )
    return box(b"iprp", box(b"ipco", *properties), full(b"ipma", version, wide, struct.pack(">I", len(links)), entries))


Places = dict[int, list[tuple[int, int]]]


def iloc(places: Places, version: int = 0, method: int = 0, base: int | None = None, reference: int = 0) -> bytes:
    """The extents of each item; offsets and lengths of 32 bits, with `base` also a base, with a version an index."""
    index = 4 if version else 0
    data = struct.pack(">BB", 0x44, (0x40 if base is not None else 0) | index)
    data += struct.pack(">I" if version == 2 else ">H", len(places))
    for item, extents in places.items():
        data += struct.pack(">I" if version == 2 else ">H", item)
        data += struct.pack(">H", method) if version else b""
        data += struct.pack(">H", reference) + (b"" if base is None else struct.pack(">I", base))
        data += struct.pack(">H", len(extents))
        for offset, length in extents:
            data += struct.pack(">I", 7) * bool(index) + struct.pack(">II", max(0, offset - (base or 0)), length)
    return full(b"iloc", version, 0, data)


SIZE = iprp(ispe(512, 512), ispe(4032, 3024), box(b"irot", b"\3"), links={2: [1], 1: [3, 2], 3: [1]})
ITEMS = iinf(infe(1, b"grid"), infe(2, b"hvc1"), infe(9, b"Exif"))


def item(block: bytes, front: bytes = b"Exif\0\0", offset: int | None = None) -> bytes:
    """The data of an Exif item: how far the block is, what stands before it, the block."""
    return struct.pack(">I", len(front) if offset is None else offset) + front + block


def heic(
    *parts: bytes, items: bytes = ITEMS, sizes: bytes = SIZE, data: bytes | None = None, primary: bytes | None = None,
    **place: Any,
) -> bytes:  # fmt: skip
    """A file with one Exif item, number 9, behind everything else."""
    data = item(EXIF) if data is None else data
    head = full(b"pitm", 0, 0, b"\0\1") if primary is None else primary
    length = len(FTYP) + 8 + 4 + 33 + len(head) + len(items) + len(sizes) + sum(map(len, parts))
    places: Places = {1: [(5, 5), (6, 6)], 9: [(0, len(data))]}
    start = length + len(iloc(places, **place)) + 8
    places[9] = [(start, len(data))]
    hdlr = full(b"hdlr", 0, 0, b"\0" * 4, b"pict", b"\0" * 13)
    meta = box(b"meta", PLAIN, hdlr, head, items, sizes, *parts, iloc(places, **place))
    return FTYP + meta + box(b"mdat", data)


def read(data: bytes) -> Picture:
    return read_heif(BytesSource(data))


def seen(picture: Picture) -> tuple[int | None, int | None, str | None]:
    return picture.width, picture.height, picture.exif.make if picture.exif else None


def kinds(picture: Picture) -> list[str]:
    return [problem.kind for problem in picture.problems]


@pytest.mark.parametrize(
    "data",
    [
        heic(),
        heic(version=1),
        heic(version=2),
        heic(base=50),
        heic(version=1, base=50),
        heic(primary=full(b"pitm", 1, 0, b"\0\0\0\1")),
        heic(items=iinf(infe(9, b"Exif", 3), version=1)),
        heic(sizes=iprp(ispe(512, 512), ispe(4032, 3024), links={2: [1], 1: [2]}, version=1, wide=True)),
        heic(sizes=iprp(ispe(512, 512), ispe(4032, 3024), links={})),
        heic(primary=b""),
        heic(data=item(EXIF, b"")),
        heic(data=item(EXIF, b"Exif\0\0", offset=0)),
        heic(data=b"Exif\0\0" + EXIF),
        heic(data=EXIF),
        heic(data=item(EXIF, b"\0" * 30, offset=30)),
        heic(box(b"free", b"\0" * 100_000)),
    ],
)
def test_size_and_make(data: bytes) -> None:
    picture = read(data)
    assert seen(picture) == (4032, 3024, "TESTCAM")
    assert picture.problems == ()
    assert picture.exif_block == EXIF


def test_the_size_is_the_stored_one_and_turning_is_left_to_the_orientation_tag() -> None:
    picture = read(heic())
    assert (picture.width, picture.height) == (4032, 3024)
    assert picture.exif is not None
    assert picture.exif.orientation == 6


def test_the_item_data_may_lie_inside_of_meta() -> None:
    data = item(EXIF)
    places = iloc({9: [(0, len(data))]}, version=1, method=1)
    meta = box(b"meta", PLAIN, full(b"pitm", 0, 0, b"\0\1"), ITEMS, SIZE, places, box(b"idat", data))
    assert seen(read(FTYP + meta)) == (4032, 3024, "TESTCAM")


def test_an_item_may_lie_in_pieces() -> None:
    data, gap = item(EXIF), b"x" * 10
    shape: Places = {9: [(0, 30), (0, len(data) - 30)]}
    start = len(FTYP) + 12 + len(ITEMS) + len(iloc(shape)) + 8
    shape[9] = [(start, 30), (start + 40, len(data) - 30)]
    file = FTYP + box(b"meta", PLAIN, ITEMS, iloc(shape)) + box(b"mdat", data[:30], gap, data[30:])
    picture = read(file)
    assert (seen(picture), picture.problems) == ((None, None, "TESTCAM"), ())


def test_of_several_exif_items_the_one_that_describes_the_primary_picture_counts() -> None:
    data, other = item(EXIF), item(OTHER)
    items = iinf(infe(8, b"Exif"), infe(9, b"Exif"))
    references = full(
        b"iref", 0, 0, box(b"cdsc", struct.pack(">HHH", 8, 1, 5)), box(b"cdsc", struct.pack(">HHH", 9, 1, 1))
    )
    primary = full(b"pitm", 0, 0, b"\0\1")
    shape: Places = {8: [(0, 0)], 9: [(0, 0)]}
    for extra, make in ((references, "TESTCAM"), (b"", "THUMBCAM")):
        start = len(FTYP) + 12 + len(primary) + len(items) + len(extra) + len(iloc(shape)) + 8
        places = iloc({8: [(start, len(other))], 9: [(start + len(other), len(data))]})
        file = FTYP + box(b"meta", PLAIN, primary, items, extra, places) + box(b"mdat", other, data)
        assert seen(read(file))[2] == make


def test_a_picture_without_exif_is_no_problem() -> None:
    assert read(heic(items=iinf(infe(1, b"hvc1")))) == Picture(width=4032, height=3024)


def test_a_long_exif_block_is_read_from_the_file() -> None:
    long = tiff({0x010F: (2, "TESTCAM"), 0x927C: (7, b"\0" * 100_000)})
    picture = read(heic(data=item(long)))
    assert (seen(picture), picture.exif_block) == ((4032, 3024, "TESTCAM"), None)


def test_a_sequence_has_the_size_of_its_track() -> None:
    track = struct.pack(">I", 7) + b"\0" * 72 + struct.pack(">II", 640 << 16, 480 << 16)
    media = box(b"mdia", full(b"hdlr", 0, 0, b"\0" * 4, b"vide", b"\0" * 13))
    moov = box(b"moov", full(b"mvhd", 0, 0, b"\0" * 96), box(b"trak", box(b"tkhd", track), media))
    assert seen(read(FTYP + moov + box(b"mdat")))[:2] == (640, 480)
    assert seen(read(FTYP + moov + heic()[len(FTYP) :]))[:2] == (4032, 3024)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (FTYP, "no_meta: "),
        (FTYP + struct.pack(">I4sQ", 1, b"free", 0) + heic()[20:], "damaged: "),
        (FTYP + struct.pack(">I4s", 2**31, b"mdat"), "truncated: "),
    ],
)
def test_a_file_without_a_picture_says_why(data: bytes, message: str) -> None:
    with pytest.raises(MediaError) as error:
        read(data)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (heic()[:-1], "truncated", (4032, 3024, "TESTCAM")),
        (heic()[:-120], "truncated", (4032, 3024, None)),
        (heic()[:180], "truncated", (None, None, None)),
        (FTYP + b"\0\0\0\0meta", "damaged", (None, None, None)),
        (heic(data=item(EXIF, offset=2**32 - 1)), "damaged", (4032, 3024, "TESTCAM")),
        (heic(data=item(b"x" * 90)), "bad_exif", (4032, 3024, None)),
        (heic(data=b"II*\0"), "", (4032, 3024, None)),
        (heic(version=1, method=2), "bad_exif", (4032, 3024, None)),
        (heic(reference=1), "bad_exif", (4032, 3024, None)),
        (heic(sizes=iprp(ispe(2**32 - 1, 1), links={})), "", (None, None, "TESTCAM")),
        (heic(items=iinf(infe(77, b"Exif"))), "damaged", (4032, 3024, None)),
    ],
)
def test_damage_is_named_and_the_rest_kept(data: bytes, kind: str, expected: Any) -> None:
    picture = read(data)
    width, height, make = seen(picture)
    assert (width, height) == expected[:2]
    if kind not in ("truncated", ""):
        assert make == expected[2]
    assert kind in kinds(picture) or not kind


BOMB = struct.pack(">BBI", 0, 0, 200) + b"".join(struct.pack(">IHH", i, 0, 65535) for i in range(200))
HOSTILE = {
    "extents of nothing": heic(full(b"iloc", 2, 0, BOMB), items=iinf(infe(199, b"Exif"))),
    "items of 4 billion": heic(full(b"iloc", 2, 0, b"\x44\0", b"\xff" * 4, b"\0" * 900_000)),
    "links of 4 billion": heic(sizes=box(b"iprp", full(b"ipma", 1, 0, b"\xff" * 4, b"\0" * 900_000))),
    "properties": heic(sizes=box(b"iprp", box(b"ipco", ispe(1, 1) * 50_000))),
    "entries": heic(items=iinf(*[infe(5, b"Exif")] * 50_000)),
    "references": heic(full(b"iref", 0, 0, box(b"cdsc") * 50_000), items=iinf(infe(5, b"Exif"), infe(6, b"Exif"))),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_tables_take_no_time_and_no_memory(data: bytes) -> None:
    read(data)
    started = perf_counter()
    read(data)
    assert perf_counter() - started < 1.0  # on a busy machine; a twentieth of that on an idle one
    tracemalloc.start()
    try:
        read(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=400, deadline=1000)
@given(
    st.lists(st.tuples(st.integers(0, len(heic()) - 1), st.integers(0, 255)), max_size=12),
    st.integers(0, len(heic())),
)
def test_damaged_files_raise_nothing_but_media_errors(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(heic())
    for position, value in changes:
        damaged[position] = value
    for reader in (read_heif, read_cr3):
        with suppress(MediaError):
            reader(BytesSource(bytes(damaged[: len(damaged) - cut])))


CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def cr3(*blocks: bytes) -> bytes:
    track = struct.pack(">I", 7) + b"\0" * 72 + struct.pack(">II", 6000 << 16, 4000 << 16)
    media = box(b"mdia", full(b"hdlr", 0, 0, b"\0" * 4, b"vide", b"\0" * 13))
    small = box(b"trak", box(b"tkhd", track[:-8] + struct.pack(">II", 1620 << 16, 1080 << 16)), media)
    header = full(b"mvhd", 0, 0, b"\0" * 96)
    moov = box(b"moov", box(b"uuid", CANON, *blocks), header, box(b"trak", box(b"tkhd", track), media), small)
    return FTYP.replace(b"heic", b"crx ") + moov + box(b"mdat", b"\0" * 40)


def test_a_cr3_keeps_each_directory_in_a_block_of_its_own() -> None:
    camera = tiff({0x010F: (2, "Canon"), 0x0112: (3, [8])})
    shot = tiff({0x9003: (2, "2020:02:03 04:05:06"), 0x8827: (3, [400])})
    gps = tiff({1: (2, "N"), 2: (5, [(40, 1), (30, 1), (0, 1)]), 3: (2, "W"), 4: (5, [(74, 1), (0, 1), (0, 1)])})
    data = cr3(box(b"CNCV", b"x"), box(b"CMT1", camera), box(b"CMT2", shot), box(b"CMT3", b"II*\0"), box(b"CMT4", gps))
    picture = read_cr3(BytesSource(data))
    assert seen(picture) == (6000, 4000, "Canon")
    assert picture.exif is not None
    assert (picture.exif.orientation, picture.exif.iso, picture.exif.taken_text) == (8, 400, "2020:02:03 04:05:06")
    assert (picture.exif.latitude, picture.exif.longitude) == (40.5, -74.0)
    assert picture.problems == ()
    assert read_cr3(BytesSource(data[:-9])).problems[0].kind == "truncated"


def test_a_cr3_without_its_directories_says_so() -> None:
    picture = read_cr3(BytesSource(cr3()))
    assert (picture.width, kinds(picture)) == (6000, ["bad_exif"])
