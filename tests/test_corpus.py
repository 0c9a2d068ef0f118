"""Real media files against exiftool's answers: every column agrees, but for the differences listed here with a reason."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from zlib_ng import zlib_ng

from pipeline.media.read import FileFacts, read_facts
from pipeline.media.source import BytesSource

CORPUS = Path(os.environ.get("TAKEOUT_INDEX_CORPUS", Path(__file__).parent / "corpus"))

ZERO = "exiftool gives the 0 that the camera wrote for 'unknown'; ours is null"
NULL_ISLAND = "0/0 means: no position"
DAMAGED = "damaged on purpose: the two readers save different parts of it"
MILLISECONDS = "MediaInfo rounds to milliseconds"
PACKETS = "a few packets of a stream, too few for MediaInfo"

#: (file, column) -> why we differ from exiftool on purpose.
DIFFERENCES: dict[tuple[str, str], str] = {
    ("jpeg-makers/et_GPS.jpg", "iso"): ZERO,
    ("jpeg-makers/et_GPS.jpg", "focal_length_mm"): ZERO,
    ("jpeg-makers/me_Samsung GT-I9000 (Galaxy S).jpg", "latitude"): NULL_ISLAND,
    ("jpeg-makers/me_Samsung GT-I9000 (Galaxy S).jpg", "longitude"): NULL_ISLAND,
    ("heif-avif/me_IllegalArgumentException.HeifReader.processBoxes.heif", "width"): DAMAGED,
    ("heif-avif/me_IllegalArgumentException.HeifReader.processBoxes.heif", "height"): DAMAGED,
    ("raw/et_SigmaDP2.x3f", "width"): "exiftool's File group has the preview, ours is the picture",
    ("raw/et_SigmaDP2.x3f", "height"): "exiftool's File group has the preview, ours is the picture",
    ("raw/me_Issue 419.rw2", "mime"): "ours is the more specific answer",
    ("fuzz/me_fuzz-586c739435a0.m4a", "video duration_s"): DAMAGED,
    ("video/et_ASF.wmv", "video duration_s"): "exiftool counts the five seconds of preroll in",
    ("video/et_DV.dv", "video duration_s"): MILLISECONDS,
    ("video/me_100_0306.AVI", "video duration_s"): MILLISECONDS,
    ("video/et_M2TS.mts", "video duration_s"): PACKETS,
    ("video/et_M2TS.mts", "video width"): PACKETS,
    ("video/et_M2TS.mts", "video height"): PACKETS,
    ("video/me_Sony ILCE-7M3 (A7M3).mts", "video duration_s"): "cut off: by packets, or by frames",
}

EXIF = {
    "make": "IFD0:Make",
    "model": "IFD0:Model",
    "orientation": "IFD0:Orientation",
    "lens_model": "ExifIFD:LensModel",
    "iso": "ExifIFD:ISO",
    "f_number": "ExifIFD:FNumber",
    "exposure_time_s": "ExifIFD:ExposureTime",
    "focal_length_mm": "ExifIFD:FocalLength",
    "latitude": "Composite:GPSLatitude",
    "longitude": "Composite:GPSLongitude",
    "altitude_m": "Composite:GPSAltitude",
}
SIZE_GROUPS = ("Composite", "File", "PNG", "GIF", "RIFF", "SubIFD", "MinoltaRaw", "SigmaRaw", "CanonRaw", "IFD0")
VIDEO = {
    "duration_s": "Duration",
    "width": "ImageWidth",
    "height": "ImageHeight",
    "frame_rate": "VideoFrameRate",
    "rotation": "Rotation",
    "video_codec": "CompressorID",
    "latitude": "GPSLatitude",
    "longitude": "GPSLongitude",
}
VIDEO_GROUPS = ("QuickTime", "Track1", "Track2", "ASF", "H264", "M2TS", "DV", "RIFF", "Matroska", "Composite")


def expected_files() -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text("utf-8"))["files"]
    return files


def facts_of(name: str) -> FileFacts:
    data = (CORPUS / "media" / name).read_bytes()
    return read_facts(BytesSource(data), data[: 128 << 10], name.rpartition("/")[2])


def compared(name: str, answers: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(column, exiftool's answer, ours) for every column that exiftool has an answer for."""
    facts, exiftool = facts_of(name), answers["exiftool"]
    mimes = {answers["file_mime"], exiftool.get("File:MIMEType")}
    yield "mime", facts.mime if facts.mime in mimes else answers["file_mime"], facts.mime
    if facts.kind == "image":
        exif = facts.picture.exif if facts.picture else None
        for column, tag in EXIF.items():
            yield column, exiftool.get(tag), getattr(exif, column, None)
        taken = exiftool.get("ExifIFD:DateTimeOriginal") or exiftool.get("ExifIFD:CreateDate")
        yield "exif_taken_text", taken, getattr(exif, "taken_text", None)
        if taken and not taken.startswith("0000"):
            yield (
                "exif_taken_local",
                datetime.strptime(taken, "%Y:%m:%d %H:%M:%S"),
                _whole(getattr(exif, "taken_local", None)),
            )
        for column in ("width", "height"):
            tags = [f"{group}:Image{column.title()}" for group in SIZE_GROUPS]
            yield column, _first(exiftool, tags), getattr(facts.picture, column, None)
    elif facts.kind == "video":
        for column, tag in VIDEO.items():
            yield (
                f"video {column}",
                _first(exiftool, [f"{group}:{tag}" for group in VIDEO_GROUPS]),
                getattr(facts.clip, column, None),
            )
        created = exiftool.get("QuickTime:CreateDate")
        if created and not created.startswith("0000"):
            ours = facts.clip.created_at if facts.clip else None
            yield (
                "video_created_at",
                datetime.strptime(created, "%Y:%m:%d %H:%M:%S"),
                ours and ours.replace(tzinfo=None),
            )


def _first(answers: dict[str, Any], tags: list[str]) -> Any:
    return next((answers[tag] for tag in tags if tag in answers), None)


def _whole(time: datetime | None) -> datetime | None:
    return time and time.replace(microsecond=0)


def same(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, datetime):
        return bool(theirs == ours)
    try:
        return abs(float(theirs) - float(ours)) <= 1e-6 * max(1.0, abs(float(theirs)))
    except (TypeError, ValueError):
        return str(theirs).strip() == ours


def test_every_column_agrees_with_exiftool_but_for_the_listed_differences() -> None:
    differing: dict[tuple[str, str], tuple[Any, Any]] = {}
    compared_columns: Counter[str] = Counter()
    for name, answers in expected_files().items():
        for column, theirs, ours in compared(name, answers):
            if theirs is None or theirs == "":
                continue  # finding what exiftool does not is no error
            compared_columns[column] += 1
            if not same(theirs, ours):
                differing[name, column] = (theirs, ours)
    assert compared_columns["mime"] == len(expected_files())
    assert compared_columns["make"] > 25
    assert {key: found for key, found in differing.items() if key not in DIFFERENCES} == {}
    present = {key for key in DIFFERENCES if key[0] in expected_files()}
    assert present - differing.keys() == set(), "listed differences that are none"


@pytest.mark.parametrize("name", sorted(expected_files()))
def test_the_corpus_is_unchanged(name: str) -> None:
    data = (CORPUS / "media" / name).read_bytes()
    assert (len(data), f"{zlib_ng.crc32(data):08x}") == (
        expected_files()[name]["size"],
        expected_files()[name]["crc32"],
    )
