"""`metadata.yaml`: what Datasette shows of the index. It needs nothing of ours: ``datasette index.sqlite -m metadata.yaml``.

Every question answers from indexes, or from few rows: rows are of some kB each, and there may be millions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import yaml

from pipeline.record import COLUMNS, FILE_COLUMNS, PARTITION, Column
from pipeline.storage.package import PEOPLE, TABLES, VIEWS

#: Values of a facet that are shown at first.
FACET_SIZE = 10
#: Facets of `media` that are shown at first; every other is a click away.
FACETS = ("kind", PARTITION, "model", "album", "country_code", "status")

#: By table: the order of its rows, what a row is called where others refer to it. No `units`: with these, Datasette works out
#: what stands in a filter, as 9**9**9**9, which never ends.
_OPTIONS: dict[str, dict[str, Any]] = {
    "media": {
        "sort_desc": "taken_at",
        "label_column": "name",
        "facets": list(FACETS),
        "facet_size": FACET_SIZE,
        "fts_table": "media_fts",
        "fts_pk": "rowid",
    },
    "files": {"sort": "path", "facets": ["state", "part"], "facet_size": FACET_SIZE},
    "folders": {"sort": "folder"},
    "albums": {"sort": "title", "label_column": "title"},
    "people": {"sort": "name", "label_column": "name"},
    "comments": {"sort_desc": "created_at"},
    "problems": {"facet_size": FACET_SIZE},
    "runs": {"sort_desc": "run_id"},
    "libraries": {"sort": "library"},
    "days": {"hidden": True},
}

#: Columns of views that are not those of `media` or `files` of the same name.
_MEANINGS = {
    "via": TABLES["media_albums"][1]["via"],
    "album_id": TABLES["albums"][1]["album_id"],
    **TABLES["folders"][1],
    **TABLES["days"][1],
    "libraries": "The libraries that have it",
    "copies": "How many files have this content, in all libraries",
    "other_library": "The other library that has a file of this path",
    "other_file_id": "file_id of that",
    "other_size": "Size of that (bytes)",
    "other_content_id": "content_id of that",
}
_OF_VIEWS = {
    "duplicates": ("content_id", "file_id", "path", "size", "album", "taken_at", "duplicate_of", "library"),
    "album_members": ("album_id", "title", "file_id", "path", "taken_at", "via", "library"),
    "photo_albums": ("file_id", "path", "album_id", "title", "library"),
    "completeness": (
        *("kind", "year", "title", "folder", "media", "media_without_sidecar", "sidecars_without_media"),
        *("members_elsewhere", "bytes", "library"),
    ),
    "timeline": ("day", "files", "images", "videos", "bytes"),
    "unmatched_media": ("file_id", "path", "part", "size", "mime", "taken_at", "album"),
    "unmatched_sidecars": ("path", "part", "size", "reason"),
    "shared_media": ("content_id", "file_id", "path", "size", "taken_at", "libraries", "copies"),
    "only_in": ("library", "file_id", "path", "size", "taken_at", "content_id", "duplicate_of"),
    "other_bytes": (
        *("path", "library", "file_id", "size", "content_id"),
        *("other_library", "other_file_id", "other_size", "other_content_id"),
    ),
}

#: What a question about pictures answers with: with positions, so that they can be on a map.
_PICTURE = "m.file_id, m.path, m.taken_local, m.latitude, m.longitude"

#: Questions: name, title, description, SQL, and a sample of each parameter, as tests and benchmarks ask it.
Question = tuple[str, str, str, str, dict[str, str]]
QUESTIONS: tuple[Question, ...] = (
    (
        "years",
        "Photos and videos by year",
        "By the year in which they were taken, where a day is known.",
        "SELECT substr(day, 1, 4) AS year, sum(files) AS files, sum(images) AS images, sum(videos) AS videos, "
        "sum(bytes) AS bytes FROM days GROUP BY 1 ORDER BY 1",
        {},
    ),
    (
        "months",
        "Photos and videos by month",
        "By the month in which they were taken, where a day is known.",
        "SELECT substr(day, 1, 7) AS month, sum(files) AS files, sum(images) AS images, sum(videos) AS videos, "
        "sum(bytes) AS bytes FROM days GROUP BY 1 ORDER BY 1",
        {},
    ),
    (
        "on_this_day",
        "On this day of every year",
        "month_day: month and day with two digits each, as 12-24.",
        f"SELECT {_PICTURE} FROM days d CROSS JOIN media m ON m.taken_at >= date(d.day, '-1 day') "
        "AND m.taken_at < date(d.day, '+2 days') AND substr(coalesce(m.taken_local, m.taken_at), 1, 10) = d.day "
        "WHERE substr(d.day, 6) = :month_day ORDER BY m.taken_at DESC",
        {"month_day": "12-24"},
    ),
    (
        "between",
        "Pictures between two times",
        "since, until: days or times in UTC, as 2019-05-01 or 2019-05-01T18:00; until is no longer meant.",
        f"SELECT {_PICTURE} FROM media m WHERE m.taken_at >= :since AND m.taken_at < :until ORDER BY m.taken_at",
        {"since": "2019-05-01", "until": "2019-06-01"},
    ),
    (
        "near",
        "Pictures near a place",
        "latitude, longitude: of the place, in degrees, as 48.137 and 11.575; km: how far around.",
        f"SELECT {_PICTURE} FROM media m WHERE m.latitude BETWEEN :latitude - :km / 111.2 AND :latitude + :km / 111.2 "
        "AND abs(m.longitude - :longitude) * max(0.01, 1 - :latitude * :latitude / 8100.0) <= :km / 111.2 "
        "ORDER BY m.taken_at DESC",
        {"latitude": "48.137", "longitude": "11.575", "km": "30"},
    ),
    (
        "places",
        "Pictures by country and town",
        "With the years of the first and the last.",
        "SELECT country_code, place, count(*) AS files, min(nullif(taken_year, 0)) AS first_year, "
        "max(nullif(taken_year, 0)) AS last_year FROM media WHERE country_code IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC",
        {},
    ),
    (
        "persons",
        "Who is in how many pictures",
        "Of the people who are labelled.",
        "SELECT p.name, count(*) AS files FROM media_people mp JOIN people p USING (person_id) "
        "GROUP BY mp.person_id ORDER BY 2 DESC",
        {},
    ),
    (
        "person",
        "Pictures of a person",
        "name: as it stands in the table people.",
        f"SELECT {_PICTURE} FROM people p JOIN media_people mp USING (person_id) JOIN media m USING (file_id) "
        "WHERE p.name = :name ORDER BY m.taken_at DESC",
        {"name": "Ana"},
    ),
    (
        "together",
        "With whom a person is in pictures",
        "name: as it stands in the table people.",
        "SELECT o.name, count(*) AS files FROM people p JOIN media_people mp USING (person_id) "
        "JOIN media_people other ON other.file_id = mp.file_id AND other.person_id <> mp.person_id "
        "JOIN people o ON o.person_id = other.person_id WHERE p.name = :name GROUP BY o.person_id ORDER BY 2 DESC",
        {"name": "Ana"},
    ),
    (
        "album",
        "Pictures of an album",
        "title: as it stands in the table albums.",
        f"SELECT {_PICTURE}, ma.via FROM albums a CROSS JOIN media_albums ma ON ma.album_id = a.album_id "
        "CROSS JOIN media m ON m.file_id = ma.file_id WHERE a.title = :title AND m.duplicate_of IS NULL ORDER BY m.taken_at",
        {"title": "Kids"},
    ),
    (
        "albums_of",
        "Albums of a picture",
        "path: the end of its path, as IMG_1.jpg.",
        "SELECT path, album_id, title FROM photo_albums WHERE path LIKE '%' || :path ORDER BY path, title",
        {"path": "IMG_1.jpg"},
    ),
    (
        "cameras",
        "Cameras",
        "By model, the most used first.",
        "SELECT model, count(*) AS files FROM media WHERE model IS NOT NULL GROUP BY 1 ORDER BY 2 DESC",
        {},
    ),
    (
        "favourites",
        "Favourites",
        "What is marked as such, the last taken first.",
        f"SELECT {_PICTURE} FROM media m WHERE m.favorited = 1 ORDER BY m.taken_at DESC",
        {},
    ),
    (
        "largest",
        "The largest files",
        "The first hundred.",
        "SELECT file_id, path, size, mime, duration_s, taken_at FROM media ORDER BY size DESC LIMIT 100",
        {},
    ),
    (
        "reclaimable",
        "Space that duplicates take",
        "Copies beside the file that counts as the original: how many, and their bytes.",
        "SELECT count(*) AS files, sum(size) AS bytes FROM media INDEXED BY media_copies WHERE duplicate_of IS NOT NULL",
        {},
    ),
    (
        "copies",
        "Duplicates and their originals",
        "The largest first.",
        "SELECT c.file_id, c.path, c.size, c.duplicate_of, o.path AS original FROM ("
        "SELECT rowid AS number FROM media WHERE duplicate_of IS NOT NULL ORDER BY size DESC LIMIT 500"
        ") JOIN media c ON c.rowid = number JOIN media o ON o.file_id = c.duplicate_of ORDER BY c.size DESC, c.path",
        {},
    ),
    (
        "undated",
        "Pictures without a date",
        "Nothing tells when they were taken: neither sidecar nor EXIF, name or folder.",
        f"SELECT file_id, path, size, modified_at FROM media WHERE {PARTITION} = 0 ORDER BY path",
        {},
    ),
    (
        "conflicts",
        "Dates that contradict each other",
        "With what was made of them; docs/dates.md explains the rules.",
        "SELECT file_id, path, message FROM problems WHERE stage = 'date' AND kind = 'conflict' ORDER BY path",
        {},
    ),
    (
        "trouble",
        "Problems by kind",
        "The table problems has each of them.",
        "SELECT stage, kind, count(*) AS problems, min(path) AS example, min(message) AS message FROM problems "
        "GROUP BY 1, 2 ORDER BY 3 DESC",
        {},
    ),
    (
        "incomplete",
        "Folders that lack something",
        "Photos without sidecars, sidecars without photos: parts of the export may be missing.",
        "SELECT * FROM completeness WHERE media_without_sidecar + sidecars_without_media > 0",
        {},
    ),
    (
        "history",
        "What each scan found",
        "And what had changed since the one before.",
        "SELECT started_at, mode, media, bytes, report ->> '$.changes.new' AS new, "
        "report ->> '$.changes.changed' AS changed, report ->> '$.changes.moved' AS moved, "
        "report ->> '$.changes.removed' AS removed, report ->> '$.changes.metadata' AS metadata "
        "FROM runs ORDER BY run_id DESC",
        {},
    ),
)


#: What of a library is, or is not, in another; asked of merged results alone.
_OF_LIBRARY = (
    f"SELECT {_PICTURE}, m.size FROM media m WHERE m.library = :library AND m.size > 0 AND m.content_id IS NOT NULL"
)
_SAME_CONTENT = "EXISTS (SELECT 1 FROM media o WHERE o.content_id = m.content_id AND o.library"
OF_LIBRARIES: tuple[Question, ...] = (
    (
        "libraries",
        "What each library has that the others do not",
        "By content: equal size and CRC-32.",
        "SELECT library, files, media, bytes, only_there, only_there_bytes, shared, not_compared, scanned_at FROM libraries "
        "ORDER BY library",
        {},
    ),
    (
        "in_both",
        "In this library and in another",
        "library, other: as they stand in the table libraries. By content, wherever it lies.",
        f"{_OF_LIBRARY} AND {_SAME_CONTENT} = :other) ORDER BY m.taken_at DESC",
        {"library": "anna", "other": "ben"},
    ),
    (
        "not_in",
        "In this library and not in another",
        "library, other: as they stand in the table libraries; as what the export of 2019 has and that of 2024 no longer.",
        f"{_OF_LIBRARY} AND NOT {_SAME_CONTENT} = :other) ORDER BY m.taken_at DESC",
        {"library": "anna", "other": "ben"},
    ),
    (
        "only_there",
        "Only in this library",
        "library: as it stands in the table libraries. What none of the others has.",
        f"{_OF_LIBRARY} AND NOT {_SAME_CONTENT} <> :library) ORDER BY m.taken_at DESC",
        {"library": "anna"},
    ),
    (
        "edited_between",
        "At the same path with other bytes",
        "library, other: two exports of one account, as they stand in the table libraries.",
        "SELECT m.file_id, m.path, m.size, o.size AS other_size, o.file_id AS other_file_id FROM media m "
        "JOIN media o ON o.path = m.path AND o.library = :other AND o.content_id <> m.content_id "
        "WHERE m.library = :library ORDER BY m.taken_at DESC",
        {"library": "anna", "other": "ben"},
    ),
)


def datasette_metadata(name: str, libraries: Sequence[str] = ()) -> str:
    """`metadata.yaml` for Datasette: descriptions, facets, orders, and questions with their parameters; of merged results also
    those about their `libraries`."""
    tables: dict[str, dict[str, Any]] = {
        "media": _table("One row per photo or video", _described([*_scalars(COLUMNS), PEOPLE])),
        "files": _table("One row per listed file of any kind", _described(FILE_COLUMNS)),
    }
    for table, (description, columns, facets) in TABLES.items():
        tables[table] = _table(description, columns) | ({"facets": facets} if facets else {})
    for view, description in VIEWS.items():
        tables[view] = _table(description, {column: _meaning(view, column) for column in _OF_VIEWS[view]})
    for table, options in _OPTIONS.items():
        tables[table] |= options
    queries = {
        question: {"title": title, "description": description, "sql": sql}
        | ({"params": list(parameters)} if parameters else {})
        for question, title, description, sql, parameters in (*QUESTIONS, *(OF_LIBRARIES if libraries else ()))
    }
    if libraries:
        for table in ("media", "files", "albums", "folders", "problems"):
            tables[table]["facets"] = ["library", *tables[table].get("facets", ())]
    else:
        for table in ("libraries", "shared_media", "only_in", "other_bytes"):
            tables[table]["hidden"] = True
    metadata = {
        "title": f"Photo library {name}" if not libraries else f"Photo libraries {', '.join(libraries)}",
        "description": "An index of a Google Photos Takeout: every photo and video, with what its sidecar and its bytes say.",
        "databases": {"index": {"tables": tables, "queries": queries}},
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=120)


def _table(description: str, columns: dict[str, str]) -> dict[str, Any]:
    return {"description": description, "columns": columns}


def _described(columns: Iterable[Column]) -> dict[str, str]:
    return {c.name: c.meaning + (f" ({c.unit})" if c.unit else "") for c in columns}


def _scalars(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if not pa.types.is_list(column.type)]


def _meaning(view: str, column: str) -> str:
    if view in ("album_members", "photo_albums", "completeness") and column == "library":
        return TABLES["folders"][1]["library"]
    if view in ("completeness", "timeline"):
        return _MEANINGS[column]
    if view in ("album_members", "photo_albums") and column == "title":
        return TABLES["albums"][1]["title"]
    known = _described(FILE_COLUMNS if view == "unmatched_sidecars" else COLUMNS)
    return known.get(column) or _MEANINGS[column]
