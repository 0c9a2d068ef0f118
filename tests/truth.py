"""A scan held against the truth file of a synthetic library, column by column."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

Row = dict[str, Any]

#: Damage on purpose: of these the truth file says what was meant to be there, not what can be read.
UNREADABLE = {"zero_byte", "exif_garbage", "truncated_jpeg"}

_EXIF = {
    "make": "Make",
    "model": "Model",
    "orientation": "Orientation",
    "software": "Software",
    "lens_model": "LensModel",
    "iso": "ISO",
    "f_number": "FNumber",
    "focal_length_mm": "FocalLength",
    "focal_length_35mm": "FocalLengthIn35mmFilm",
    "exif_taken_text": "DateTimeOriginal",
    "exif_latitude": "GPSLatitude",
    "exif_longitude": "GPSLongitude",
    "exif_altitude_m": "GPSAltitude",
}
_VIDEO = {
    "duration_s": "duration_s",
    "rotation": "rotation",
    "video_latitude": "latitude",
    "video_longitude": "longitude",
}


def read_truth(library: Path) -> list[Row]:
    """The truth about the synthetic library at `library`."""
    with library.with_name(f"{library.name}.truth.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def expectations(truth: Row, ids: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """(column, value) of everything that the truth says of one file. `ids` is path -> file_id."""
    for column in ("size", "crc32", "album"):
        yield column, truth[column]
    yield "sidecar_path", truth["sidecar"]
    yield "duplicate_of", ids[truth["duplicate_of"]] if truth["duplicate_of"] else None
    if truth["mime"]:
        yield "mime", truth["mime"]
    if truth["title"] is not None:
        yield "title", truth["title"]
        yield "description", truth["description"] or None
        yield "sidecar_taken_at", _time(truth["taken_at_utc"])
        yield "uploaded_at", _time(truth["created_at_utc"])
        yield "taken_at", _time(truth["taken_at_utc"])
        yield "taken_at_rule", "sidecar"
        yield "people", truth["people"]
        for flag in ("favorited", "archived", "trashed"):
            yield flag, truth[flag]
        for prefix, place in (("sidecar", truth["gps"]), ("sidecar_exif", truth["gps_exif"])):
            for suffix, key in (("latitude", "latitude"), ("longitude", "longitude"), ("altitude_m", "altitude")):
                yield f"{prefix}_{suffix}", place[key] if place else None
    if truth["corrupt"] in UNREADABLE:
        return
    yield "width", truth["width"]
    yield "height", truth["height"]
    exif = truth["exif"] or {}
    for column, tag in _EXIF.items():
        if tag in exif or (truth["exif"] is None and not truth["video"]):
            yield column, exif.get(tag)
    if "ExposureTime" in exif:
        yield "exposure_time_s", float(Fraction(exif["ExposureTime"]))
    if "Flash" in exif:
        yield "flash_fired", bool(exif["Flash"] & 1)
    if "OffsetTimeOriginal" in exif:
        hours, minutes = exif["OffsetTimeOriginal"][1:].split(":")
        sign = -1 if exif["OffsetTimeOriginal"][0] == "-" else 1
        yield "exif_utc_offset_min", sign * (int(hours) * 60 + int(minutes))
    if "DateTimeOriginal" in exif:
        try:
            local = datetime.strptime(exif["DateTimeOriginal"], "%Y:%m:%d %H:%M:%S")
        except ValueError:
            yield "exif_taken_local", None
        else:
            digits = exif.get("SubSecTimeOriginal", "0")[:6]
            local = local.replace(microsecond=int(digits.ljust(6, "0")))
            yield "exif_taken_local", local
            yield "taken_local", local
            if "OffsetTimeOriginal" in exif:
                yield "utc_offset_min", sign * (int(hours) * 60 + int(minutes))
    if truth["video"]:
        for column, key in _VIDEO.items():
            yield column, truth["video"][key]
        yield "video_created_at", _time(truth["video"]["created_utc"])


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def agree(expected: Any, found: Any) -> bool:
    """Equal; numbers within the precision that the file's own spelling has."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return abs(expected - found) <= max(2e-6, 1e-6 * abs(expected))
    return bool(expected == found)


def compare(truths: list[Row], rows: list[Row]) -> dict[str, tuple[int, int, list[str]]]:
    """Column -> (right, of, what differs)."""
    by_path = {row["path"]: row for row in rows}
    ids = {path: row["file_id"] for path, row in by_path.items()}
    right: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    wrong: dict[str, list[str]] = defaultdict(list)
    for truth in truths:
        row = by_path[truth["path"]]
        for column, expected in expectations(truth, ids):
            total[column] += 1
            if agree(expected, row[column]):
                right[column] += 1
            else:
                wrong[column].append(f"{truth['path']} ({truth['case']}): {expected!r}, not {row[column]!r}")
    return {column: (right[column], total[column], wrong[column]) for column in total}
