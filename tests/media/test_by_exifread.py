"""Two readers of TIFF blocks: exifread, the reader of record, and ours, which answers alone where it understands all.

Where ours does, both give the same columns, of every block of the corpus and of 100,000 blocks with faults.
"""

import math
import struct
from functools import cache

import pytest

from pipeline.media.by_exifread import all_tags, read_directories
from pipeline.media.exif import FIRST, meaning, read_exif, read_wanted
from pipeline.media.facts import Exif, Picture
from pipeline.media.source import BytesSource
from pipeline.media.tiff import Tiff
from pipeline.problems import MediaError, Problem, noting
from tests.media.blocks import Fields, tiff
from tests.media.mutations import mutated
from tests.media.test_exif import FULL_EXIF, FULL_FIRST, FULL_GPS
from tests.test_corpus import CORPUS, expected_files, facts_of

BLOCKS = 100_000
#: Blocks of the corpus that faults are made in: exifread takes 0.1 to 0.5 ms for one of this size.
SMALL = range(150, 600)
#: Columns of one tag each.
TEXTS = ("make", "model", "lens_model", "software", "taken_text")
SINGLE = ("make", "model", "lens_model", "software", "orientation", "f_number", "exposure_time_s", "focal_length_mm")


def by_tiff(block: bytes) -> tuple[Exif, bool]:
    """The columns by our reader alone, and whether it understands all of the block."""
    read = Tiff.open(BytesSource(block))
    found, regular = read_wanted(read, read.directory(read.first, FIRST), [])
    return meaning(*found, []), regular


def by_exifread(block: bytes) -> Exif | None:
    """The columns by exifread alone, but Apple's identifier, which is in a maker note; None if it fails."""
    problems: list[Problem] = []
    with noting(problems, "exif"):
        return meaning(*read_directories(BytesSource(block)), [])
    return None


@cache
def corpus_blocks() -> dict[str, bytes]:
    blocks = {}
    for name in sorted(expected_files()):
        picture = facts_of(name).picture
        if picture is not None and picture.exif is not None:
            block = picture.exif_block or (CORPUS / "media" / name).read_bytes()
            if block[:4] in (b"II*\0", b"MM\0*"):
                blocks[name] = block
    return blocks


def with_thumbnail(block: bytes) -> bytes:
    """The block with a second directory behind the first."""
    link = 10 + 12 * struct.unpack_from("<H", block, 8)[0]
    thumbnail = tiff({0x0103: (3, [6]), 0x0112: (3, [8]), 0x0201: (4, [400]), 0x0202: (4, [50])})[8:]
    return block[:link] + struct.pack("<I", len(block)) + block[link + 4 :] + thumbnail


def seeds() -> dict[str, bytes]:
    small = {name: block for name, block in corpus_blocks().items() if len(block) in SMALL}
    full = tiff(FULL_FIRST, FULL_EXIF, FULL_GPS)
    return {**small, "little": full, "big": tiff(FULL_FIRST, FULL_EXIF, FULL_GPS, ">"), "two": with_thumbnail(full)}


def shares() -> dict[str, int]:
    """How many of the BLOCKS are made of each seed: the fewer the longer exifread takes."""
    weights = {name: 1 / len(block) for name, block in seeds().items()}
    return {name: math.ceil(BLOCKS * weight / sum(weights.values())) for name, weight in weights.items()}


def test_both_give_the_same_columns_of_every_regular_block_of_the_corpus() -> None:
    irregular = 0
    for name, block in corpus_blocks().items():
        ours, regular = by_tiff(block)
        irregular += not regular
        assert not regular or (name, ours) == (name, by_exifread(block))
    assert irregular < 0.2 * len(corpus_blocks())


@pytest.mark.parametrize("seed", sorted(seeds()))
def test_both_give_the_same_columns_of_blocks_with_faults_that_ours_calls_regular(seed: str) -> None:
    count = shares()[seed]
    compared = failed = 0
    for number, block in enumerate(mutated(seeds()[seed], count, seed)):
        try:
            ours, regular = by_tiff(block)
        except MediaError:  # no first directory, for neither
            continue
        theirs = by_exifread(block)
        if regular and theirs is not None:
            compared += 1
            assert ours == theirs, block.hex()
        elif regular:
            failed += 1
        elif number % 8 == 0:  # the rest of the time is exifread's
            check_rule(block, ours, theirs)
    assert compared > 0.3 * count
    assert failed < 0.05 * compared  # at a directory that no column needs: that of interoperability, a thumbnail's


def check_rule(block: bytes, ours: Exif, theirs: Exif | None) -> None:
    """Of an irregular block exifread's columns count, where it has any; else ours."""
    found, problems = read_exif(BytesSource(block))
    if theirs is None:
        assert found == ours, block.hex()
        assert problems, block.hex()
        return
    mine, more, result = ours._asdict(), theirs._asdict(), found._asdict()
    if all(more[column] is not None for column in more if mine[column] is not None):
        assert {**result, **dict.fromkeys(TEXTS)} == {**more, **dict.fromkeys(TEXTS)}, block.hex()
    for column in SINGLE:
        assert result[column] in (mine[column], more[column]), (column, block.hex())


@pytest.mark.parametrize(
    ("first", "make"),
    [
        ({0x010F: (2, "Größe".encode("latin-1") + b"\0")}, "Größe"),  # exifread: bytes
        ({0x010F: (2, "Leica\0".encode("utf-16-le"))}, "Leica"),  # exifread: "L"
        ({0x010F: (1, [65] * 1000)}, "A" * 1000),  # exifread: none
    ],
)
def test_what_exifread_loses_of_an_irregular_block_stays(first: Fields, make: str) -> None:
    block = tiff(first)
    assert not by_tiff(block)[1]
    assert read_exif(BytesSource(block))[0].make == make


def test_of_a_tag_that_stands_twice_the_last_value_counts_as_exifread_has_it() -> None:
    block = tiff({0x0112: (3, [3]), 0x0113: (3, [6])}).replace(b"\x13\x01", b"\x12\x01")
    assert not by_tiff(block)[1]
    assert read_exif(BytesSource(block)) == (Exif(orientation=6), ())


def test_zeros_that_exifread_reads_behind_the_end_are_no_values() -> None:
    block = tiff({}, None, FULL_GPS)
    block = block[: block.index(struct.pack("<II", 151, 1)) + 8]  # degrees of longitude, and no more
    found, problems = read_exif(BytesSource(block))
    assert (found.latitude, found.longitude) == (None, None)
    assert [problem.kind for problem in problems] == ["damaged"]


def test_a_position_behind_another_pointer_is_found_by_exifread() -> None:
    block = tiff({}, FULL_EXIF, FULL_GPS)
    at = block.index(b"\x25\x88\x04\0\1\0\0\0")
    (gps,) = struct.unpack_from("<I", block, at + 8)
    elsewhere = tiff({0x8825: (4, [gps])})[8:]
    moved = block[:at] + b"\x26" + block[at + 1 : at + 12] + struct.pack("<I", len(block)) + block[at + 16 :]
    found, problems = read_exif(BytesSource(moved + elsewhere))
    assert (round(found.latitude or 0, 4), problems) == (-33.8568, ())


def test_a_block_with_another_number_in_its_header_is_read_and_said_to_be_one() -> None:
    found, problems = read_exif(BytesSource(tiff(FULL_FIRST).replace(b"II*", b"II$")))
    assert (found.make, [problem.kind for problem in problems]) == ("Canon", ["no_tiff"])


def test_all_tags_are_text_by_name() -> None:
    block = tiff(FULL_FIRST, FULL_EXIF, FULL_GPS)
    tags, problems = all_tags(BytesSource(b""), Picture(exif_block=block))
    assert problems == []
    assert tags["Image Make"] == "Canon"
    assert tags["EXIF FNumber"] == "14/5"
    assert tags["EXIF LensModel"] == "EF50mm"


def test_all_tags_of_an_endless_block_are_given_up() -> None:
    entries = 20_000
    block = (
        b"II*\0\x08\0\0\0" + entries.to_bytes(2, "little") + b"\x25\x88\x04\0\x01\0\0\0\x08\0\0\0" * entries + b"\0" * 4
    )
    tags, problems = all_tags(BytesSource(b""), Picture(exif_block=block))
    assert [p.kind for p in problems] == ["too_complex"]
    assert tags == {}
