"""RECORD is what `to_record` makes and what DESIGN promises."""

from datetime import UTC, datetime

import pyarrow as pa

from pipeline.item import Content, Entry, MediaItem
from pipeline.media.facts import Clip, Exif, Picture
from pipeline.problems import Problem
from pipeline.record import RECORD, to_record, to_time
from pipeline.takeout.sidecar import Sidecar

PROMISED = """
    file_id path part folder name extension size modified_at crc32 crc32_source content_id mime mime_mismatch kind
    width height orientation rotation duration_s frame_rate video_codec video_created_at make model lens_model
    software iso f_number exposure_time_s focal_length_mm focal_length_35mm flash_fired exif_taken_local
    exif_utc_offset_min exif_latitude exif_longitude exif_altitude_m sidecar_path sidecar_rule title description
    sidecar_taken_at uploaded_at sidecar_latitude sidecar_longitude sidecar_altitude_m people favorited archived
    trashed views url origin device_type taken_at taken_local utc_offset_min time_zone taken_at_rule taken_year
    latitude longitude altitude_m location_rule album edited_of live_partner duplicate_of sidecar_json exif_json
    status problems country_code place
""".split()  # noqa: SIM905

MEDIA = Entry("Takeout/Google Photos/Photos from 2019/IMG_1.JPG", "part", 10, 1_564_488_000_123_456_789)


def test_every_promised_column_is_there() -> None:
    assert set(PROMISED) <= set(RECORD.names)
    assert len(RECORD.names) == len(set(RECORD.names))


def test_a_row_has_exactly_the_columns_of_record_in_every_case() -> None:
    full = MediaItem(
        media=MEDIA,
        file_id="0123456789abcdef",
        sidecar=Entry("Takeout/x.json", "part", 3),
        document=Sidecar(taken_at=datetime(2019, 7, 30, tzinfo=UTC), people=("Anna",), json="{}"),
        content=Content(10, 0xABC, "read"),
        mime="image/jpeg",
        kind="image",
        picture=Picture(width=4, height=3, exif=Exif(make="Canon")),
        clip=Clip(),
        tags={"Image Make": "Canon"},
        problems=(Problem("exif", "damaged", "a\udce9"),),
    )
    rows = [to_record(full), to_record(MediaItem(media=MEDIA, file_id="0"))]
    for row in rows:
        assert list(row) == RECORD.names
    table = pa.Table.from_pylist(rows, schema=RECORD)
    assert table.to_pylist() == rows


def test_identity_columns() -> None:
    row = to_record(
        MediaItem(media=MEDIA, file_id="0", content=Content(10, 0xABC, "read"), mime="image/png", kind="image")
    )
    assert (row["folder"], row["name"], row["extension"]) == (
        "Takeout/Google Photos/Photos from 2019",
        "IMG_1.JPG",
        "jpg",
    )
    assert (row["crc32"], row["content_id"]) == ("00000abc", "00000abc-10")
    assert row["modified_at"] == datetime(2019, 7, 30, 12, 0, 0, 123_456, tzinfo=UTC)
    assert row["mime_mismatch"] is True


def test_status() -> None:
    read = MediaItem(media=MEDIA, file_id="0", content=Content(10, 1, "read"), kind="image")
    assert to_record(read)["status"] == "ok"
    assert to_record(MediaItem(media=MEDIA, file_id="0"))["status"] == "failed"
    assert [to_record(read)["favorited"], to_record(read)["people"]] == [None, []]


def test_times_outside_of_the_calendar_are_null() -> None:
    assert to_time(None) is None
    assert to_time(2**63 - 1) is not None
    assert to_time(10**30) is None
