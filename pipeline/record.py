"""RECORD: the columns of a row, and `to_record`, which makes one.

The only place where column names are written. Parquet is written with RECORD, the SQLite tables, `datapackage.json` and
`metadata.yaml` are generated from it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa

from pipeline.item import Content, MediaItem, stored_bytes, stored_text
from pipeline.media.facts import Clip, Exif, Picture
from pipeline.media.sniff import mime_mismatch
from pipeline.problems import DEADLY, Problem
from pipeline.resolve import PRECISIONS, Known, resolve
from pipeline.takeout.folders import KINDS
from pipeline.takeout.names import split_extension, title_agrees
from pipeline.takeout.sidecar import Sidecar

#: Schema version of the results (`PRAGMA user_version`); raised when a column's name, type or meaning changes.
SCHEMA_VERSION = 5

UTC_TIME = pa.timestamp("us", tz="UTC")
WALL_CLOCK = pa.timestamp("us")
PROBLEM = pa.struct([("stage", pa.string()), ("kind", pa.string()), ("message", pa.string())])
COMMENT = pa.struct([("text", pa.string()), ("author", pa.string()), ("created_at", UTC_TIME), ("liked", pa.bool_())])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result table. A `facet` is offered for browsing; it and an `indexed` one have an index in SQLite.

    `within` says in Table Schema's words what a value is bound to be: required, enum, pattern, minimum, maximum.
    """

    name: str
    type: pa.DataType
    meaning: str
    unit: str = ""
    facet: bool = False
    indexed: bool = False
    within: Mapping[str, Any] = field(default_factory=dict, hash=False)


TEXT, BOOL, INT, REAL = pa.string(), pa.bool_(), pa.int64(), pa.float64()
REQUIRED: dict[str, Any] = {"required": True}
NOT_NEGATIVE: dict[str, Any] = {"minimum": 0}
LATITUDE: dict[str, Any] = {"minimum": -90, "maximum": 90}
LONGITUDE: dict[str, Any] = {"minimum": -180, "maximum": 180}
IDENTITY: dict[str, Any] = {"pattern": "[0-9a-f]{16}"}


def _one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


#: Of `media` and of `files`.
LIBRARY = Column("library", TEXT, "In merged results: the library that the file is in; null in a scan's", facet=True)

COLUMNS: tuple[Column, ...] = (
    # identity
    Column(
        "file_id",
        TEXT,
        "Stable id of the file: 16 hex digits of BLAKE2b over its path in the export; in merged results over library and that",
        within=IDENTITY | REQUIRED,
    ),
    Column(
        "path",
        TEXT,
        "Path inside the export, Takeout/…; bytes that are not UTF-8 are shown as \\xNN",
        indexed=True,
        within=REQUIRED,
    ),
    Column("path_bytes", pa.binary(), "The exact bytes of the path, where they are not UTF-8"),
    LIBRARY,
    Column(
        "part",
        TEXT,
        "The part (folder or archive) of the export that holds the file; in merged results library/part",
        facet=True,
        within=REQUIRED,
    ),
    Column("folder", TEXT, "Path without the name", facet=True, within=REQUIRED),
    Column(
        "folder_kind",
        TEXT,
        "year, day, album, untitled (an album), special (bin, archive, …) or other",
        facet=True,
        within=REQUIRED | _one_of(*KINDS),
    ),
    Column("folder_date", TEXT, "Year or day of a folder by year or day: 2019, 2005-02-05"),
    Column("name", TEXT, "File name", within=REQUIRED),
    Column("extension", TEXT, "Extension of the name, lower case, no dot", facet=True, within=REQUIRED),
    Column("size", INT, "Size of the file", "bytes", indexed=True, within=NOT_NEGATIVE),
    Column("modified_at", UTC_TIME, "Modification time of the file in its part"),
    Column("crc32", TEXT, "CRC-32 of the content, eight lower-case hex digits", within={"pattern": "[0-9a-f]{8}"}),
    Column(
        "crc32_source",
        TEXT,
        "read: computed from the bytes; archive: as the archive's directory states it",
        within=_one_of("read", "archive"),
    ),
    Column(
        "content_id",
        TEXT,
        "crc32-size: equal for files of equal content",
        indexed=True,
        within={"pattern": "[0-9a-f]{8}-[0-9]+"},
    ),
    Column(
        "scan_file_id",
        TEXT,
        "In merged results: the file_id in the results of the library's own scan; null in a scan's",
        within=IDENTITY,
    ),
    # type
    Column("mime", TEXT, "MIME type by content", facet=True),
    Column("mime_mismatch", BOOL, "Content and extension disagree", facet=True),
    Column("kind", TEXT, "image, video or other", facet=True, within=REQUIRED | _one_of("image", "video", "other")),
    # image and video
    Column("width", INT, "Width as stored, before rotation", "pixels", within=NOT_NEGATIVE),
    Column("height", INT, "Height as stored, before rotation", "pixels", within=NOT_NEGATIVE),
    Column("orientation", INT, "EXIF orientation, 1 to 8", within={"minimum": 1, "maximum": 8}),
    Column("rotation", INT, "Clockwise rotation that a video asks for", "degrees"),
    Column("duration_s", REAL, "Duration of a video", "seconds", within=NOT_NEGATIVE),
    Column("frame_rate", REAL, "Mean frame rate of a video", "frames per second", within=NOT_NEGATIVE),
    Column("video_codec", TEXT, "Four-character code or usual name of the video codec", facet=True),
    Column("video_created_at", UTC_TIME, "Creation time that a video states"),
    Column(
        "video_created_local", WALL_CLOCK, "Wall clock time that a video states beside it, which may be of another day"
    ),
    Column("video_utc_offset_min", INT, "UTC offset of that wall clock", "minutes"),
    Column("video_latitude", REAL, "Latitude that a video states", "degrees"),
    Column("video_longitude", REAL, "Longitude that a video states", "degrees"),
    Column("video_altitude_m", REAL, "Altitude that a video states", "metres"),
    Column("content_identifier", TEXT, "Apple's identifier that a live photo's still and video share"),
    # camera
    Column("make", TEXT, "Maker of the camera", facet=True),
    Column("model", TEXT, "Model of the camera", facet=True),
    Column("lens_model", TEXT, "Model of the lens"),
    Column("software", TEXT, "Software that wrote the file"),
    Column("iso", INT, "ISO speed"),
    Column("f_number", REAL, "Aperture as f-number"),
    Column("exposure_time_s", REAL, "Exposure time", "seconds"),
    Column("focal_length_mm", REAL, "Focal length", "millimetres"),
    Column("focal_length_35mm", INT, "Focal length as on 35 mm film", "millimetres"),
    Column("flash_fired", BOOL, "The flash fired"),
    # EXIF time, place
    Column("exif_taken_text", TEXT, "EXIF DateTimeOriginal, else DateTimeDigitized, as written"),
    Column("exif_taken_local", WALL_CLOCK, "The same as a wall clock time, without zone, with sub-seconds"),
    Column("exif_utc_offset_min", INT, "UTC offset that EXIF states", "minutes"),
    Column("exif_gps_at", UTC_TIME, "EXIF GPS date and time"),
    Column("exif_latitude", REAL, "Latitude that EXIF states", "degrees"),
    Column("exif_longitude", REAL, "Longitude that EXIF states", "degrees"),
    Column("exif_altitude_m", REAL, "Altitude that EXIF states", "metres"),
    # sidecar
    Column("sidecar_path", TEXT, "Path of the JSON sidecar inside the export"),
    Column("sidecar_rule", TEXT, "The rule that paired file and sidecar", facet=True),
    Column("title", TEXT, "Name at upload"),
    Column("description", TEXT, "Caption"),
    Column("sidecar_taken_at", UTC_TIME, "photoTakenTime of the sidecar"),
    Column("uploaded_at", UTC_TIME, "creationTime of the sidecar: when the item was uploaded"),
    Column("sidecar_changed_at", UTC_TIME, "modificationTime of the sidecar: last change in Google Photos"),
    Column("sidecar_file_modified_at", UTC_TIME, "photoLastModifiedTime of the sidecar: time of the file at upload"),
    Column("sidecar_latitude", REAL, "Latitude of geoData", "degrees"),
    Column("sidecar_longitude", REAL, "Longitude of geoData", "degrees"),
    Column("sidecar_altitude_m", REAL, "Altitude of geoData", "metres"),
    Column("sidecar_latitude_span", REAL, "Height of the place of geoData", "degrees"),
    Column("sidecar_longitude_span", REAL, "Width of the place of geoData", "degrees"),
    Column("sidecar_exif_latitude", REAL, "Latitude of geoDataExif", "degrees"),
    Column("sidecar_exif_longitude", REAL, "Longitude of geoDataExif", "degrees"),
    Column("sidecar_exif_altitude_m", REAL, "Altitude of geoDataExif", "metres"),
    Column("people", pa.list_(TEXT), "Names of the people labelled in the picture"),
    Column("favorited", BOOL, "Marked as a favourite", facet=True),
    Column("archived", BOOL, "In the archive", facet=True),
    Column("trashed", BOOL, "In the bin", facet=True),
    Column("locked", BOOL, "In the locked folder, where the sidecar says so"),
    Column("views", INT, "Number of views"),
    Column("url", TEXT, "Address of the item in Google Photos"),
    Column("origin", TEXT, "How the item came to Google Photos, e.g. mobileUpload", facet=True),
    Column("device_type", TEXT, "Kind of device that uploaded it, e.g. ANDROID_PHONE", facet=True),
    Column("device_folder", TEXT, "Folder of the device from which it was uploaded", facet=True),
    Column("composition", TEXT, "How Google Photos made it, e.g. AUTO"),
    Column("app_source", TEXT, "Android package that made the item", facet=True),
    Column("comments", pa.list_(COMMENT), "Comments and likes in shared albums"),
    Column("remove_reason", TEXT, "removeResultReason of the sidecar"),
    # the name's date
    Column("name_taken_at", UTC_TIME, "Instant in the file's name, of apps that write UTC or Unix time"),
    Column("name_taken_local", WALL_CLOCK, "Wall clock time in the file's name; midnight where it has a day only"),
    Column(
        "name_precision",
        TEXT,
        "How exact the name's date is: second, minute or day",
        within=_one_of("second", "minute", "day"),
    ),
    # resolved
    Column("taken_at", UTC_TIME, "When it was taken, as an instant", indexed=True),
    Column("taken_local", WALL_CLOCK, "When it was taken, by the clock of whoever took it"),
    Column("utc_offset_min", INT, "UTC offset of the wall clock; null where nothing tells it", "minutes"),
    Column("time_zone", TEXT, "IANA time zone of the place", facet=True),
    Column("taken_at_rule", TEXT, "Where taken_at and taken_local come from; docs/dates.md explains each", facet=True),
    Column(
        "taken_precision",
        TEXT,
        "How exact that is: second, minute, day or year",
        facet=True,
        within=_one_of(*PRECISIONS),
    ),
    Column(
        "taken_year",
        pa.int32(),
        "Year of taken_local, else of taken_at, else 0",
        facet=True,
        within=REQUIRED | NOT_NEGATIVE,
    ),
    Column("latitude", REAL, "Latitude of where it was taken, by the surest source", "degrees", within=LATITUDE),
    Column("longitude", REAL, "Longitude of where it was taken, by the same", "degrees", within=LONGITUDE),
    Column("altitude_m", REAL, "Altitude of where it was taken, by the same", "metres"),
    Column("location_rule", TEXT, "Where the position comes from", facet=True),
    Column(
        "country_code",
        TEXT,
        "ISO 3166-1 code of the country of the position; XK for Kosovo",
        facet=True,
        within={"pattern": "[A-Z]{2}"},
    ),
    Column("place", TEXT, "Town of the position, by GeoNames", facet=True),
    # relations
    Column("album", TEXT, "Title of the album in whose folder the file lies", facet=True),
    Column("albums", pa.list_(TEXT), "Titles of all albums that it is in: by its folder, a copy, or a sidecar there"),
    Column("edited_of", TEXT, "file_id of the original of which this is an edit", within=IDENTITY),
    Column("live_partner", TEXT, "file_id of the other half of a live or motion photo", within=IDENTITY),
    Column(
        "duplicate_of",
        TEXT,
        "file_id of the file of equal content that counts as the original",
        facet=True,
        within=IDENTITY,
    ),
    # raw
    Column("sidecar_json", TEXT, "The whole sidecar"),
    Column("exif_json", TEXT, "All tags, as a JSON object (with --all-tags)"),
    Column(
        "made_from",
        TEXT,
        "Digest of all that the row is made from, 16 hex digits for the file's bytes and 16 for everything",
    ),
    # outcome
    Column(
        "status",
        TEXT,
        "ok, partial (some facts could not be read) or failed (none could, or a reader died of it)",
        facet=True,
        within=REQUIRED | _one_of("ok", "partial", "failed"),
    ),
    Column("problems", pa.list_(PROBLEM), "What went wrong with this file"),
)

#: One row of `media`.
RECORD: pa.Schema = pa.schema(
    [pa.field(c.name, c.type, metadata={"meaning": c.meaning, "unit": c.unit}) for c in COLUMNS]
)

#: Every state that a listed file can end in.
STATES = ("media", "sidecar", "album_metadata", "other_metadata", "unmatched_sidecar", "ignored", "unreadable")

FILE_COLUMNS: tuple[Column, ...] = (
    Column("path", TEXT, "Path inside the export; bytes that are not UTF-8 are shown as \\xNN", within=REQUIRED),
    Column("path_bytes", pa.binary(), "The exact bytes of the path, where they are not UTF-8"),
    LIBRARY,
    Column(
        "part",
        TEXT,
        "The part (folder or archive) that holds the file; in merged results library/part",
        facet=True,
        within=REQUIRED,
    ),
    Column("size", INT, "Size, where it could be found out", "bytes", within=NOT_NEGATIVE),
    Column(
        "state",
        TEXT,
        "media, sidecar, album_metadata, other_metadata, unmatched_sidecar, ignored or unreadable",
        facet=True,
        within=REQUIRED | _one_of(*STATES),
    ),
    Column("reason", TEXT, "Why, where the state alone does not say it"),
)

#: One row of `files`.
FILES: pa.Schema = pa.schema(
    [pa.field(c.name, c.type, metadata={"meaning": c.meaning, "unit": c.unit}) for c in FILE_COLUMNS]
)

#: The column by which `media` is partitioned.
PARTITION = "taken_year"

#: Columns of a position: angles in degrees, altitudes in metres; what is found out by the position alone; the UTC offsets that
#: something states; and what quotes positions among other things, or is a digest of them.
DEGREES = tuple(c.name for c in COLUMNS if c.name.removesuffix("_span").endswith(("latitude", "longitude")))
ALTITUDES = tuple(c.name for c in COLUMNS if c.name.endswith("altitude_m"))
BY_POSITION = ("time_zone", "location_rule", "country_code", "place")
OFFSETS = ("exif_utc_offset_min", "video_utc_offset_min", "utc_offset_min")
RAW = ("sidecar_json", "exif_json", "made_from")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Stages whose problems say nothing against the bytes of the medium.
_BESIDE = ("list", "pair", "sidecar", "date")
_NO_EXIF, _NO_CLIP, _NO_PICTURE, _NO_SIDECAR = Exif(), Clip(), Picture(), Sidecar()


def to_time(nanoseconds: int | None) -> datetime | None:
    """Nanoseconds since 1970 as an aware UTC datetime; None where that lies outside the years 1 to 9999."""
    if nanoseconds is None:
        return None
    try:
        return EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None


def from_time(moment: datetime) -> int:
    """An aware datetime as nanoseconds since 1970 UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def status(item: MediaItem, problems: Sequence[Problem]) -> str:
    """``failed`` if the bytes could not be read, mean nothing to us or killed a reader; ``partial`` if anything was amiss, else
    ``ok``."""
    if item.content is None or any(
        p.kind in DEADLY or (item.kind == "other" and p.stage not in _BESIDE) for p in problems
    ):
        return "failed"
    return "partial" if problems else "ok"


def to_record(item: MediaItem) -> dict[str, Any]:
    """The row of a finished item: a value for every column of RECORD. `duplicate_of` is settled over all rows later."""
    media, content = item.media, item.content
    sidecar = item.document or _NO_SIDECAR
    picture, clip = item.picture or _NO_PICTURE, item.clip or _NO_CLIP
    exif = picture.exif or _NO_EXIF
    modified_at = to_time(media.modified_ns)
    folder, name = stored_text(media.folder), stored_text(media.name)
    known = Known(
        sidecar=sidecar,
        exif=exif,
        clip=clip,
        name=name,
        folder_date=item.folder_date,
        modified_at=modified_at,
    )
    resolved = resolve(known)
    problems = [*item.problems, *_title_problem(item), *resolved.problems]
    extension = split_extension(media.name)[1].lower().removeprefix(".")
    crc32 = f"{content.crc32:08x}" if content else None
    size = content.size if content else media.size
    return {
        "file_id": item.file_id,
        "path": stored_text(media.path),
        "path_bytes": stored_bytes(media.path),
        "library": None,
        "part": stored_text(media.part),
        "folder": folder,
        "folder_kind": item.folder_kind,
        "folder_date": item.folder_date,
        "name": name,
        "extension": stored_text(extension),
        "size": size,
        "modified_at": modified_at,
        "crc32": crc32,
        "crc32_source": content.source if content else None,
        "content_id": f"{crc32}-{size}" if content else None,
        "scan_file_id": None,
        "mime": item.mime,
        "mime_mismatch": mime_mismatch(item.mime, extension) if item.mime else None,
        "kind": item.kind,
        "width": picture.width if item.picture else clip.width,
        "height": picture.height if item.picture else clip.height,
        "orientation": exif.orientation,
        "rotation": clip.rotation,
        "duration_s": clip.duration_s,
        "frame_rate": clip.frame_rate,
        "video_codec": clip.video_codec,
        "video_created_at": clip.created_at,
        "video_created_local": clip.created_local,
        "video_utc_offset_min": clip.utc_offset_min,
        "video_latitude": clip.latitude,
        "video_longitude": clip.longitude,
        "video_altitude_m": clip.altitude_m,
        "content_identifier": exif.content_identifier or clip.content_identifier,
        "make": exif.make or clip.make,
        "model": exif.model or clip.model,
        "lens_model": exif.lens_model,
        "software": exif.software or clip.software,
        "iso": exif.iso,
        "f_number": exif.f_number,
        "exposure_time_s": exif.exposure_time_s,
        "focal_length_mm": exif.focal_length_mm,
        "focal_length_35mm": exif.focal_length_35mm,
        "flash_fired": exif.flash_fired,
        "exif_taken_text": exif.taken_text,
        "exif_taken_local": exif.taken_local,
        "exif_utc_offset_min": exif.utc_offset_min,
        "exif_gps_at": exif.gps_at,
        "exif_latitude": exif.latitude,
        "exif_longitude": exif.longitude,
        "exif_altitude_m": exif.altitude_m,
        "sidecar_path": stored_text(item.sidecar.path) if item.sidecar else None,
        "sidecar_rule": item.sidecar_rule,
        "title": sidecar.title,
        "description": sidecar.description,
        "sidecar_taken_at": sidecar.taken_at,
        "uploaded_at": sidecar.uploaded_at,
        "sidecar_changed_at": sidecar.changed_at,
        "sidecar_file_modified_at": sidecar.file_modified_at,
        "sidecar_latitude": sidecar.latitude,
        "sidecar_longitude": sidecar.longitude,
        "sidecar_altitude_m": sidecar.altitude_m,
        "sidecar_latitude_span": sidecar.latitude_span,
        "sidecar_longitude_span": sidecar.longitude_span,
        "sidecar_exif_latitude": sidecar.exif_latitude,
        "sidecar_exif_longitude": sidecar.exif_longitude,
        "sidecar_exif_altitude_m": sidecar.exif_altitude_m,
        "people": list(sidecar.people),
        "favorited": sidecar.favorited if item.document else None,
        "archived": sidecar.archived if item.document else None,
        "trashed": sidecar.trashed if item.document else None,
        "locked": sidecar.locked if item.document else None,
        "views": sidecar.views,
        "url": sidecar.url,
        "origin": sidecar.origin,
        "device_type": sidecar.device_type,
        "device_folder": sidecar.device_folder,
        "composition": sidecar.composition,
        "app_source": sidecar.app_source,
        "comments": [asdict(comment) for comment in sidecar.comments],
        "remove_reason": sidecar.remove_reason,
        "name_taken_at": known.stamp.at if known.stamp else None,
        "name_taken_local": known.stamp.local if known.stamp else None,
        "name_precision": known.stamp.precision if known.stamp else None,
        "taken_at": resolved.taken_at,
        "taken_local": resolved.taken_local,
        "utc_offset_min": resolved.utc_offset_min,
        "time_zone": resolved.time_zone,
        "taken_at_rule": resolved.taken_at_rule,
        "taken_precision": resolved.taken_precision,
        "taken_year": resolved.taken_year,
        "latitude": resolved.latitude,
        "longitude": resolved.longitude,
        "altitude_m": resolved.altitude_m,
        "location_rule": resolved.location_rule,
        "country_code": None,
        "place": None,
        "album": item.album,
        "albums": [],
        "edited_of": item.edited_of,
        "live_partner": item.live_partner,
        "duplicate_of": None,
        "sidecar_json": sidecar.json,
        "exif_json": orjson.dumps(item.tags).decode() if item.tags is not None else None,
        "made_from": item.made_from,
        "status": status(item, problems),
        "problems": [_problem(problem) for problem in dict.fromkeys(problems)],
    }


def _title_problem(item: MediaItem) -> Iterator[Problem]:
    """Pairing goes by names; the title inside the sidecar tells whether it was right."""
    title = item.document.title if item.document else None
    if title and not (title_agrees(title, item.media.name) or title_agrees(html.escape(title), item.media.name)):
        yield Problem("pair", "title_differs", f"the sidecar, found by the rule {item.sidecar_rule}, is titled {title}")


#: The columns of a row that its bytes alone give, from which `with_facts` takes it up again.
FACT_COLUMNS = (
    *(
        "size",
        "crc32",
        "crc32_source",
        "mime",
        "kind",
        "width",
        "height",
        "orientation",
        "rotation",
        "duration_s",
        "frame_rate",
    ),
    *(
        "video_codec",
        "video_created_at",
        "video_created_local",
        "video_utc_offset_min",
        "video_latitude",
        "video_longitude",
    ),
    *("video_altitude_m", "content_identifier", "make", "model", "lens_model", "software", "iso", "f_number"),
    *("exposure_time_s", "focal_length_mm", "focal_length_35mm", "flash_fired", "exif_taken_text", "exif_taken_local"),
    *(
        "exif_utc_offset_min",
        "exif_gps_at",
        "exif_latitude",
        "exif_longitude",
        "exif_altitude_m",
        "exif_json",
        "problems",
    ),
)


#: What a comparison of two results does not look at: the path, by which files are compared, and what follows from it; size and
#: content, of which it speaks apart; how the file was found and read; what only says in other words what other columns say.
_NOT_COMPARED = frozenset(
    (
        *(
            "file_id",
            "scan_file_id",
            "library",
            "path",
            "path_bytes",
            "folder",
            "folder_kind",
            "folder_date",
            "name",
            "extension",
        ),
        *("name_taken_at", "name_taken_local", "name_precision", "size", "crc32", "content_id"),
        *("part", "modified_at", "crc32_source", "exif_json", "sidecar_rule", "sidecar_json", "problems", "made_from"),
        *("mime_mismatch", "taken_at_rule", "taken_precision", "taken_year", "utc_offset_min", "time_zone"),
        *("location_rule", "country_code", "place"),
    )
)
#: What changes from export to export though nobody changed anything: what Google counts, stamps, adds and leaves out;
#: relations, when other files come or go; and, with the program, what it reads from the same bytes.
_PASSING = frozenset(
    (
        *("views", "url", "uploaded_at", "sidecar_changed_at", "sidecar_file_modified_at", "sidecar_altitude_m"),
        *("sidecar_latitude_span", "sidecar_longitude_span", "sidecar_exif_latitude", "sidecar_exif_longitude"),
        *("sidecar_exif_altitude_m", "origin", "device_type", "device_folder", "composition", "app_source"),
        *("edited_of", "live_partner", "duplicate_of", *FACT_COLUMNS),
    )
)
#: The columns of `media` in which a comparison of two results finds files of equal content to differ, all that can be compared;
#: and those of them that people would care about. Of `sidecar_path` it only matters whether there is one.
COMPARABLE = tuple(column for column in COLUMNS if column.name not in _NOT_COMPARED)
COMPARED = tuple(column for column in COMPARABLE if column.name not in _PASSING)


def with_facts(item: MediaItem, row: Mapping[str, Any]) -> MediaItem:
    """The item as if its file had just been read, from the FACT_COLUMNS of the row that was made when it was."""
    is_picture = row["kind"] == "image"
    return item._replace(
        content=Content(row["size"], int(row["crc32"], 16), row["crc32_source"]) if row["crc32"] is not None else None,
        mime=row["mime"],
        kind=row["kind"],
        picture=Picture(width=row["width"], height=row["height"], exif=_exif_of(row)) if is_picture else None,
        clip=None if is_picture else _clip_of(row),
        tags=orjson.loads(row["exif_json"]) if row["exif_json"] is not None else None,
        problems=(*item.problems, *(Problem(**each) for each in row["problems"] if each["stage"] not in _BESIDE)),
    )


def _exif_of(row: Mapping[str, Any]) -> Exif:
    return Exif(
        make=row["make"],
        model=row["model"],
        lens_model=row["lens_model"],
        software=row["software"],
        orientation=row["orientation"],
        iso=row["iso"],
        f_number=row["f_number"],
        exposure_time_s=row["exposure_time_s"],
        focal_length_mm=row["focal_length_mm"],
        focal_length_35mm=row["focal_length_35mm"],
        flash_fired=row["flash_fired"],
        taken_text=row["exif_taken_text"],
        taken_local=row["exif_taken_local"],
        utc_offset_min=row["exif_utc_offset_min"],
        gps_at=row["exif_gps_at"],
        latitude=row["exif_latitude"],
        longitude=row["exif_longitude"],
        altitude_m=row["exif_altitude_m"],
        content_identifier=row["content_identifier"],
    )


def _clip_of(row: Mapping[str, Any]) -> Clip:
    return Clip(
        width=row["width"],
        height=row["height"],
        rotation=row["rotation"],
        duration_s=row["duration_s"],
        frame_rate=row["frame_rate"],
        video_codec=row["video_codec"],
        created_at=row["video_created_at"],
        created_local=row["video_created_local"],
        utc_offset_min=row["video_utc_offset_min"],
        latitude=row["video_latitude"],
        longitude=row["video_longitude"],
        altitude_m=row["video_altitude_m"],
        make=row["make"],
        model=row["model"],
        software=row["software"],
        content_identifier=row["content_identifier"],
    )


def to_known(row: Mapping[str, Any]) -> Known:
    """What `to_record` knew of date and place, from the row that it made."""
    return Known(
        sidecar=Sidecar(
            taken_at=row["sidecar_taken_at"],
            latitude=row["sidecar_latitude"],
            longitude=row["sidecar_longitude"],
            altitude_m=row["sidecar_altitude_m"],
            exif_latitude=row["sidecar_exif_latitude"],
            exif_longitude=row["sidecar_exif_longitude"],
            exif_altitude_m=row["sidecar_exif_altitude_m"],
        ),
        exif=_exif_of(row),
        clip=_clip_of(row),
        name=row["name"],
        folder_date=row["folder_date"],
        modified_at=row["modified_at"],
    )


def _problem(problem: Problem) -> dict[str, str]:
    return {"stage": problem.stage, "kind": problem.kind, "message": stored_text(problem.message)}


@dataclass(frozen=True, slots=True)
class Settled:
    """What can only be said once all rows are there, by `file_id`; places by latitude and longitude."""

    duplicate_of: Mapping[str, str | None]
    live_partner: Mapping[str, str | None]  # where it differs from what names alone gave
    albums: Mapping[str, Sequence[str]]
    places: Mapping[tuple[float, float], tuple[str | None, str | None]] = field(
        default_factory=dict
    )  # country code, name


def unsettled(rows: pa.Table, parts: Sequence[str], partners: Sequence[str | None]) -> pa.Table:
    """The rows as they were before anything was settled, of files that are in these `parts` now, with the `partners` in live
    photos that names alone give."""
    before: dict[str, Sequence[Any]] = dict.fromkeys(("duplicate_of", "country_code", "place"), [None] * len(rows))
    before |= {"albums": [[]] * len(rows), "part": list(map(stored_text, parts)), "live_partner": partners}
    for name, values in before.items():
        rows = _with_column(rows, name, values)
    return rows


def with_settled(rows: pa.Table, settled: Settled) -> pa.Table:
    """The rows with their relations and places filled in."""
    identities = rows.column("file_id").to_pylist()

    def put(name: str, values: list[Any]) -> None:
        nonlocal rows
        rows = _with_column(rows, name, values)

    if settled.duplicate_of:
        put("duplicate_of", [settled.duplicate_of.get(each) for each in identities])
    if settled.live_partner:
        named = rows.column("live_partner").to_pylist()
        put("live_partner", [settled.live_partner.get(e, n) for e, n in zip(identities, named, strict=True)])
    if settled.albums:
        put("albums", [settled.albums.get(each, ()) for each in identities])
    if settled.places:
        positions = zip(rows.column("latitude").to_pylist(), rows.column("longitude").to_pylist(), strict=True)
        nowhere = None, None
        found = [nowhere if None in each else settled.places.get(each, nowhere) for each in positions]
        put("country_code", [country for country, _ in found])
        put("place", [place for _, place in found])
    return rows


def _with_column(rows: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    number = rows.schema.get_field_index(name)
    return rows.set_column(number, rows.schema.field(number), pa.array(values, rows.schema.field(number).type))
