"""The describing files of the results: every table and column with type, unit and meaning, derived from RECORD."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import yaml

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
        | ({"unit": c.unit} if c.unit else {})
        | ({"timezone": "UTC"} if pa.types.is_timestamp(c.type) and c.type.tz else {})
        for c in columns
    ]


def data_package(name: str) -> str:
    """`datapackage.json`, a Frictionless data package (specs.frictionlessdata.io/data-package) of the Parquet tables."""
    package = {
        "profile": "data-package",
        "name": "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name.lower()) or "library",
        "title": f"Photo library {name}",
        "resources": [
            {
                "name": table,
                "title": title,
                "path": path,
                "format": "parquet",
                "mediatype": "application/vnd.apache.parquet",
                "schema": {"fields": _fields(columns), "primaryKey": key},
            }
            for table, title, path, columns, key in (
                ("media", "One row per photo or video", f"media/{PARTITION}=*/part-*.parquet", COLUMNS, ["file_id"]),
                (
                    "files",
                    "One row per listed file of any kind",
                    "files/part-*.parquet",
                    FILE_COLUMNS,
                    ["path", "part"],
                ),
            )
        ]
        + [
            {
                "name": "index",
                "title": "Everything, consolidated",
                "path": "index.sqlite",
                "format": "sqlite",
                "mediatype": "application/vnd.sqlite3",
            }
        ],
    }
    return json.dumps(package, indent=2, ensure_ascii=False) + "\n"


def datasette_metadata(name: str) -> str:
    """`metadata.yaml` for Datasette: descriptions, units, facets and canned queries."""

    def table(columns: Sequence[Column], description: str) -> dict[str, Any]:
        return {
            "description": description,
            "columns": {c.name: c.meaning + (f" ({c.unit})" if c.unit else "") for c in columns},
        }

    metadata = {
        "title": f"Photo library {name}",
        "databases": {
            "index": {
                "tables": {
                    "media": table(COLUMNS, "One row per photo or video")
                    | {"facets": ["kind", PARTITION, "model", "album", "status"], "sort_desc": "taken_at"},
                    "files": table(FILE_COLUMNS, "One row per listed file of any kind") | {"facets": ["state"]},
                    "folders": {
                        "description": "What every folder holds and lacks: is the export complete?",
                        "facets": ["kind", "year"],
                    },
                    "albums": {"description": "Albums; those of equal title stay apart"},
                    "media_albums": {
                        "description": "What is in which album",
                        "columns": {
                            "via": "folder: the file lies there; copy: one of equal content does; sidecar: its sidecar does"
                        },
                        "facets": ["via"],
                    },
                    "people": {"description": "People labelled in pictures"},
                    "comments": {"description": "Comments and likes on pictures and albums", "facets": ["author"]},
                    "runs": {"description": "How this index was made"},
                    "problems": {"description": "What went wrong, and with which file", "facets": ["stage", "kind"]},
                },
                "queries": {
                    "largest": {
                        "title": "The largest files",
                        "sql": "SELECT path, size, mime, taken_at FROM media ORDER BY size DESC LIMIT 100",
                    },
                    "person": {
                        "title": "Pictures of a person",
                        "sql": "SELECT m.path, m.taken_at FROM media m JOIN media_people USING (file_id) "
                        "JOIN people p USING (person_id) WHERE p.name = :name ORDER BY m.taken_at",
                    },
                    "album": {
                        "title": "Pictures of an album",
                        "sql": "SELECT m.path, m.taken_at FROM media m JOIN media_albums USING (file_id) "
                        "JOIN albums a USING (album_id) WHERE a.title = :title ORDER BY m.taken_at",
                    },
                    "albums_of": {
                        "title": "Albums of a picture, by the end of its path",
                        "sql": "SELECT path, title FROM photo_albums WHERE path LIKE '%' || :path ORDER BY path, title",
                    },
                    "incomplete": {
                        "title": "Folders that lack something",
                        "sql": "SELECT * FROM completeness WHERE media_without_sidecar + sidecars_without_media > 0",
                    },
                    "conflicts": {
                        "title": "Dates that contradict each other",
                        "sql": "SELECT path, message FROM problems WHERE stage = 'date' AND kind = 'conflict' ORDER BY path",
                    },
                    "places": {
                        "title": "Pictures by country and town",
                        "sql": "SELECT country_code, place, count(*) AS files, min(taken_at) AS first, max(taken_at) AS last "
                        "FROM media WHERE country_code IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC",
                    },
                    "reclaimable": {
                        "title": "Space that duplicates take",
                        "sql": "SELECT count(*) AS files, sum(size) AS bytes FROM media WHERE duplicate_of IS NOT NULL",
                    },
                },
            }
        },
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=120)
