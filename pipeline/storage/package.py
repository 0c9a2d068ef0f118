"""The describing files of the results: every table and column with type, unit and meaning, derived from RECORD."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.explain import RELATIONS
from pipeline.record import COLUMNS, FILE_COLUMNS, PARTITION, Column


def _frictionless_type(type_: pa.DataType) -> str:
    for test, name in (
        (pa.types.is_boolean, "boolean"),
        (pa.types.is_integer, "integer"),
        (pa.types.is_floating, "number"),
        (pa.types.is_timestamp, "datetime"),
        (pa.types.is_list, "array"),
    ):
        if test(type_):
            return name
    return "string"


def _fields(columns: Sequence[Column]) -> list[dict[str, Any]]:
    return [
        {"name": c.name, "type": _frictionless_type(c.type), "description": c.meaning}
        | ({"format": "binary"} if pa.types.is_binary(c.type) else {})
        | ({"unit": c.unit} if c.unit else {})
        | ({"timezone": "UTC"} if pa.types.is_timestamp(c.type) and c.type.tz else {})
        | ({"constraints": dict(c.within)} if c.within else {})
        for c in columns
    ]


#: The names of people as the SQLite table has them.
PEOPLE = Column("people", pa.string(), "Names of the people labelled in the picture, separated by commas")

#: Tables of the index that are not derived from RECORD: description, columns, facets.
TABLES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "folders": (
        "What every folder holds and lacks: is the export complete?",
        {
            "library": "In merged results: the library that it is in",
            "folder": "Path inside the export",
            "kind": "year, day, album, untitled (an album), special (bin, archive, …) or other",
            "year": "Of a folder by year or day",
            "title": "Of an album",
            "media": "Photos and videos",
            "bytes": "Size of these (bytes)",
            "media_without_sidecar": "Photos and videos without a sidecar",
            "sidecars_without_media": "Sidecars whose photo or video is nowhere",
            "members_elsewhere": "Sidecars of an album whose photos lie in other folders",
        },
        ["kind", "year"],
    ),
    "albums": (
        "Albums; those of equal title stay apart",
        {
            "album_id": "Number of the album in this index",
            "library": "In merged results: the library that it is in",
            "folder": "Path of the folder inside the export",
            "title": "Title; that of the folder where no file states one",
            "description": "Description",
            "access": "protected, shared or empty, as the file states it",
            "created_at": "When it was made, UTC",
            "location": "Place, as the file states it",
            "latitude": "Latitude of the place (degrees)",
            "longitude": "Longitude of the place (degrees)",
            "narrative": "What its owner wrote between the pictures",
            "places": "Places that its owner entered, separated by commas",
            "metadata_path": "Path of the file that says all this",
            "metadata_json": "That file",
        },
        ["access"],
    ),
    "media_albums": (
        "What is in which album",
        {
            "file_id": "Photo or video",
            "album_id": "Album",
            "via": "folder: the file lies there; copy: one of equal content does; sidecar: its sidecar does",
        },
        ["via"],
    ),
    "people": ("People labelled in pictures", {"person_id": "Number of the person in this index", "name": "Name"}, []),
    "media_people": ("Who is in which picture", {"file_id": "Photo or video", "person_id": "Person"}, []),
    "comments": (
        "Comments and likes on pictures and albums",
        {
            "comment_id": "Number of the comment in this index",
            "file_id": "Photo or video that it is on",
            "album_id": "Album that it is on",
            "author": "Who wrote it",
            "text": "Text; empty where it is only a like",
            "created_at": "When, UTC",
            "liked": "It is a like",
        },
        ["author"],
    ),
    "problems": (
        "What went wrong, and with which file",
        {
            "problem_id": "Number of the problem in this index",
            "file_id": "Photo or video, if it is one",
            "path": "Path inside the export",
            "stage": "The step that met it: list, pair, sidecar, album, read, mime, exif, image, video, date",
            "kind": "A short word to count by",
            "message": "What is wrong",
            "library": "In merged results: the library that it is in",
        },
        ["stage", "kind"],
    ),
    "libraries": (
        "In merged results: the libraries, and what each has that the others do not; empty in those of a scan",
        {
            "library": "Name",
            "results": "Folder or URL of the results that were merged",
            "scanned_at": "When it was scanned, UTC",
            "files": "Files listed",
            "media": "Photos and videos; each is one of the next three",
            "bytes": "Size of these (bytes)",
            "only_there": "Photos and videos whose content no other library has",
            "shared": "Photos and videos whose content another library has too",
            "not_compared": "Photos and videos that are empty, or could not be read",
            "only_there_bytes": "Size of those that are only there (bytes)",
        },
        [],
    ),
    "days": (
        "Photos and videos by day, as the view timeline has them",
        {
            "day": "Day on which they were taken, by the clock of whoever took them",
            "files": "Photos and videos",
            "images": "Photos",
            "videos": "Videos",
            "bytes": "Size of all (bytes)",
        },
        [],
    ),
    "runs": (
        "Every scan or merge into this folder, the last of which made this index",
        {
            "run_id": "Number of the run in this index",
            "started_at": "Begin, UTC",
            "finished_at": "End of reading, UTC",
            "version": "Version of the program",
            "mode": "sequential, parallel, client or scheduler; unchanged: nothing had to be read; merge: of other results",
            "files": "Files listed",
            "media": "Photos and videos",
            "bytes": "Size of these (bytes)",
            "report": "Settings, counts and times, as run.json has them",
        },
        [],
    ),
}


#: Views of the index.
VIEWS = {
    "duplicates": "Files of equal size and CRC-32, the one that counts as the original first",
    "album_members": "What is in every album; of copies, the original stands for all",
    "photo_albums": "The albums of every photo and video, by its folder, a copy, or a sidecar",
    "completeness": "Folders with what they lack, by year and album",
    "timeline": "Photos and videos by day",
    "unmatched_media": "Photos and videos without a sidecar",
    "shared_media": "In merged results: what several libraries have, by content, with all its libraries and copies",
    "only_in": "In merged results: photos and videos whose content no other library has",
    "other_bytes": "In merged results: what two libraries have at one path with other bytes, as edited between two exports",
    "unmatched_sidecars": "Sidecars that no photo or video in their folder has, and why",
}


#: Who may do what with results: they are the user's own, but for the names of towns.
_LICENSES = [
    {"name": "other-closed", "title": "Private, as the photos are"},
    {
        "name": "CC-BY-4.0",
        "title": "The column place: Creative Commons Attribution 4.0",
        "path": "https://creativecommons.org/licenses/by/4.0/",
    },
]
_SOURCES = [
    {"title": "Google Photos Takeout", "path": "https://takeout.google.com/"},
    {"title": "GeoNames, for the column place", "path": "https://www.geonames.org/"},
]


def data_package(name: str, folder: Path, created: datetime) -> str:
    """`datapackage.json`, a Frictionless data package (specs.frictionlessdata.io/data-package) of what lies in `folder`.

    Paths are listed one by one, as a data package has no patterns. Each resource is of type ``file``, of which frictionless
    checks that it is there and as it was: it reads Parquet by way of pandas, where integers with nulls are floats and lists
    are arrays of numpy, neither of which agrees with any schema, and of several files the first alone.
    """
    package = {
        "profile": "data-package",
        "name": re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "library",
        "title": f"Photo library {name}",
        "description": "An index of a Google Photos Takeout. The file run.json has size and CRC-32 of every file, but its own.",
        "created": created.isoformat(),
        "licenses": _LICENSES,
        "sources": _SOURCES,
        "resources": [
            {
                "name": "media",
                "title": "One row per photo or video",
                "description": f"Hive partitions: {PARTITION} stands in the names of the folders, and in no file",
                "schema": {
                    "fields": _fields(COLUMNS),
                    "primaryKey": ["file_id"],
                    "foreignKeys": [
                        *(_reference([name], "", ["file_id"]) for name in RELATIONS),
                        _reference(["path", "part"], "files", ["path", "part"]),
                    ],
                    "missingValues": [],
                },
            }
            | _parquet(folder, "media"),
            {
                "name": "files",
                "title": "One row per listed file of any kind",
                "description": "An archive may hold a path twice: there is no primary key",
                "schema": {"fields": _fields(FILE_COLUMNS), "missingValues": []},
            }
            | _parquet(folder, "files"),
            {
                "name": "index",
                "title": "Everything, consolidated",
                "type": "file",
                "profile": "data-resource",
                "path": "index.sqlite",
                "format": "sqlite",
                "mediatype": "application/vnd.sqlite3",
                "tables": {
                    "media": {
                        "description": "As the resource media, without lists",
                        "columns": {PEOPLE.name: PEOPLE.meaning},
                    },
                    "files": {"description": "As the resource files"},
                    **{
                        name: {"description": description, "columns": columns}
                        for name, (description, columns, _) in TABLES.items()
                    },
                    **{name: {"description": description} for name, description in VIEWS.items()},
                },
            },
        ],
    }
    return json.dumps(package, indent=2, ensure_ascii=False) + "\n"


def _parquet(folder: Path, table: str) -> dict[str, Any]:
    """What is said of the files of a table; of a single one its size and digest too."""
    paths = sorted((folder / table).rglob("part-*.parquet"))
    names = [path.relative_to(folder).as_posix() for path in paths]
    said = {"type": "file", "profile": "data-resource", "path": names, "format": "parquet"}
    said["mediatype"] = "application/vnd.apache.parquet"
    if len(paths) > 1:
        return said
    with paths[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return said | {"path": names[0], "bytes": paths[0].stat().st_size, "hash": f"sha256:{digest}"}


def _reference(fields: list[str], resource: str, to: list[str]) -> dict[str, Any]:
    """A foreign key; of an empty name, the resource is the one that it stands in."""
    return {"fields": fields, "reference": {"resource": resource, "fields": to}}
