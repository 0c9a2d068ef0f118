"""The index: one SQLite file with everything, its columns derived from RECORD.

`Index` is the batch writer: it is fed shard by shard while others are still being worked on, in a private file that
nobody reads before it is finished, hence without journal and syncs until then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.item import stored_bytes, stored_text
from pipeline.planning import Album, ListedFile, Membership
from pipeline.problems import OutputError
from pipeline.record import COLUMNS, FILE_COLUMNS, SCHEMA_VERSION, Column, to_time

#: Rows per transaction; below some thousands SQLite spends more time on transactions than on rows.
BATCH = 10_000

_TABLES = """
CREATE TABLE albums (
    album_id INTEGER PRIMARY KEY, folder TEXT NOT NULL UNIQUE, title TEXT, description TEXT, access TEXT,
    created_at TEXT, metadata_path TEXT
);
CREATE TABLE media_albums (
    file_id TEXT NOT NULL REFERENCES media(file_id), album_id INTEGER NOT NULL REFERENCES albums(album_id),
    PRIMARY KEY (file_id, album_id)
) WITHOUT ROWID;
CREATE TABLE people (person_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE media_people (
    file_id TEXT NOT NULL REFERENCES media(file_id), person_id INTEGER NOT NULL REFERENCES people(person_id),
    PRIMARY KEY (file_id, person_id)
) WITHOUT ROWID;
CREATE TABLE problems (
    problem_id INTEGER PRIMARY KEY, file_id TEXT REFERENCES media(file_id), path TEXT NOT NULL, stage TEXT NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL,
    mode TEXT NOT NULL, files INTEGER NOT NULL, media INTEGER NOT NULL, bytes INTEGER NOT NULL, report TEXT NOT NULL
);
"""

_VIEWS = """
CREATE VIEW duplicates AS
    SELECT m.content_id, m.file_id, m.path, m.size, m.album, m.taken_at, m.duplicate_of
    FROM media m
    WHERE m.content_id IN (SELECT content_id FROM media WHERE duplicate_of IS NOT NULL)
    ORDER BY m.content_id, m.duplicate_of IS NOT NULL, m.path;
CREATE VIEW timeline AS
    SELECT substr(coalesce(taken_local, taken_at), 1, 10) AS day, count(*) AS files, sum(kind = 'image') AS images,
           sum(kind = 'video') AS videos, sum(size) AS bytes
    FROM media WHERE coalesce(taken_local, taken_at) IS NOT NULL
    GROUP BY day ORDER BY day;
CREATE VIEW unmatched_media AS
    SELECT file_id, path, part, size, mime, taken_at, album FROM media WHERE sidecar_path IS NULL ORDER BY path;
CREATE VIEW unmatched_sidecars AS
    SELECT path, part, size, reason FROM files WHERE state = 'unmatched_sidecar' ORDER BY path;
"""

# The canonical one of equal files: what is not in the bin, outside albums before inside, with sidecar before without, a name or
# a time before a mere number, as which web sites save pictures ("6681940835455414.jpg"), then the shortest name, as all that
# makes copies makes names longer ("IMG_1(1).jpg", "Copy of IMG_1.jpg"), then the first path.
_DUPLICATES = """
WITH ranked AS (
    SELECT file_id, first_value(file_id) OVER (
        PARTITION BY content_id ORDER BY
            coalesce(trashed, 0), album IS NOT NULL, sidecar_path IS NULL,
            name GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*'
                AND substr(name, 1, length(name) - length(extension) - 1) NOT GLOB '*[^0-9]*',
            length(name), path, file_id
    ) AS original
    FROM media
    WHERE size > 0 AND content_id IN (SELECT content_id FROM media GROUP BY content_id HAVING count(*) > 1)
)
UPDATE media SET duplicate_of = ranked.original FROM ranked
WHERE media.file_id = ranked.file_id AND ranked.original <> media.file_id
"""


def _sql_type(column: Column) -> str:
    if pa.types.is_floating(column.type):
        return "REAL"
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return "INTEGER"
    return "BLOB" if pa.types.is_binary(column.type) else "TEXT"


#: Scalar columns of `media` in SQLite; the lists have tables of their own, and names of people also a text column.
_SCALARS = tuple(c for c in COLUMNS if not pa.types.is_list(c.type))
_TIMES = tuple(c.name for c in _SCALARS if pa.types.is_timestamp(c.type))


def _create_table(name: str, columns: Iterable[Column], *extra: str) -> str:
    lines = [f'"{c.name}" {_sql_type(c)}' + (" NOT NULL" if c.name in ("path", "state") else "") for c in columns]
    return f"CREATE TABLE {name} ({', '.join([*lines, *extra])})"


def time_text(value: datetime | None) -> str | None:
    """ISO 8601; UTC as ``+00:00``, which, unlike ``Z``, sorts before a fraction of the same second."""
    return value.isoformat() if value is not None else None


class Index:
    """The SQLite file while it is being written. Close it with `finish`."""

    def __init__(self, path: Path) -> None:
        """Start a new index at `path`, which must not exist, in a folder private to the user."""
        path.touch(0o600, exist_ok=False)
        self._path = path
        # Its last step may be another thread's than the others; never two at a time.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")
        self._db.execute(_create_table("media", _SCALARS, '"people" TEXT', "PRIMARY KEY (file_id)"))
        self._db.execute(_create_table("files", FILE_COLUMNS))
        self._db.executescript(_TABLES)
        self._db.execute("CREATE TEMP TABLE elsewhere (album_id INTEGER, title TEXT, taken_at TEXT)")
        self._people: dict[str, int] = {}
        self._albums: dict[str, int] = {}
        self._pending = 0
        marks = ", ".join("?" * (len(_SCALARS) + 1))
        self._insert = f"INSERT INTO media VALUES ({marks})"
        self._db.execute("BEGIN")

    def add_albums(self, albums: Iterable[Album]) -> None:
        """Enter the albums; must precede the media in them."""
        for number, album in enumerate(albums, start=1):
            self._albums[stored_text(album.folder)] = number
            self._db.execute(
                "INSERT INTO albums VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    stored_text(album.folder),
                    album.title,
                    album.description,
                    album.access,
                    time_text(album.created_at),
                    stored_text(album.metadata_path),
                ),
            )

    def add_memberships(self, memberships: Iterable[Membership]) -> None:
        """Note what belongs to an album without lying in its folder; `settle` finds the media."""
        self._db.executemany(
            "INSERT INTO temp.elsewhere VALUES (?, ?, ?)",
            ((self._albums[stored_text(m.folder)], m.title, time_text(to_time(m.taken * 10**9))) for m in memberships),
        )

    def add_media(self, rows: pa.Table) -> None:
        """Enter the rows of a shard (RECORD) with their people, albums and problems."""
        columns = [_sql_values(rows.column(c.name)) for c in _SCALARS]
        identities = rows.column("file_id").to_pylist()
        people = rows.column("people").to_pylist()
        self._db.executemany(self._insert, zip(*columns, [", ".join(names) or None for names in people], strict=True))
        self._db.executemany(
            "INSERT INTO media_people VALUES (?, ?)",
            [
                (file_id, self._person(name))
                for file_id, names in zip(identities, people, strict=True)
                for name in dict.fromkeys(names)
            ],
        )
        folders = rows.column("folder").to_pylist()
        self._db.executemany(
            "INSERT INTO media_albums VALUES (?, ?)",
            [
                (file_id, self._albums[folder])
                for file_id, folder in zip(identities, folders, strict=True)
                if folder in self._albums
            ],
        )
        paths = rows.column("path").to_pylist()
        self._db.executemany(
            "INSERT INTO problems (file_id, path, stage, kind, message) VALUES (?, ?, ?, ?, ?)",
            [
                (file_id, path, problem["stage"], problem["kind"], problem["message"])
                for file_id, path, problems in zip(identities, paths, rows.column("problems").to_pylist(), strict=True)
                for problem in problems
            ],
        )
        self._pending += rows.num_rows
        if self._pending >= BATCH:
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
            self._pending = 0

    def _person(self, name: str) -> int:
        number = self._people.get(name)
        if number is None:
            number = self._people[name] = len(self._people) + 1
            self._db.execute("INSERT INTO people VALUES (?, ?)", (number, name))
        return number

    def add_files(self, files: Iterable[ListedFile]) -> None:
        """Enter every listed file with its final state."""
        names = [c.name for c in FILE_COLUMNS]
        self._db.executemany(
            f"INSERT INTO files ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            ([row[name] for name in names] for row in file_rows(files)),
        )

    def _explain_files(self) -> None:
        """Reasons of files that extraction has found, and problems of those that have no row in `media`."""
        # What the sidecar stage found wrong is the reason shown beside the sidecar itself.
        self._db.execute(
            """
            UPDATE files SET reason = said.message FROM (
                SELECT m.sidecar_path AS path, min(p.message) AS message
                FROM problems p JOIN media m USING (file_id) WHERE p.stage = 'sidecar' GROUP BY m.sidecar_path
            ) AS said
            WHERE files.state = 'sidecar' AND files.path = said.path AND files.reason IS NULL
            """
        )
        self._db.execute(
            """
            UPDATE files SET reason = said.message FROM (
                SELECT m.path, m.part, p.message FROM media m JOIN problems p USING (file_id)
                WHERE m.status = 'failed' AND p.stage <> 'sidecar' GROUP BY m.file_id
            ) AS said
            WHERE files.state = 'media' AND files.path = said.path AND files.part = said.part
            """
        )
        self._db.execute(
            "INSERT INTO problems (path, stage, kind, message) "
            "SELECT path, 'list', state, reason FROM files WHERE state = 'unreadable'"
        )

    def settle(self) -> dict[str, str]:
        """Settle what needs all rows. Returns file_id -> duplicate_of of every duplicate."""
        self._explain_files()
        if self._db.execute("SELECT count(*) FROM temp.elsewhere").fetchone()[0]:
            self._db.execute("CREATE INDEX temp.elsewhere_title ON elsewhere (title, taken_at)")
            self._db.execute(
                "INSERT OR IGNORE INTO media_albums SELECT m.file_id, e.album_id FROM media m JOIN temp.elsewhere e "
                "ON e.title = m.title AND e.taken_at = m.sidecar_taken_at WHERE m.album IS NULL"
            )
        self._db.execute("CREATE INDEX media_content_id ON media (content_id)")
        self._db.execute(_DUPLICATES)
        return dict(self._db.execute("SELECT file_id, duplicate_of FROM media WHERE duplicate_of IS NOT NULL"))

    def files(self) -> Iterator[dict[str, Any]]:
        """The rows of `files` with their final reasons, once settled."""
        names = [c.name for c in FILE_COLUMNS]
        for row in self._db.execute(f"SELECT {', '.join(names)} FROM files ORDER BY rowid"):
            yield dict(zip(names, row, strict=True))

    def counts(self) -> dict[str, dict[str, int]]:
        """Counts per state of the listed files, per kind and status of media, per kind of problem; and the relations."""
        return {
            "files": self._count("SELECT state, count(*) FROM files GROUP BY state ORDER BY 1"),
            "media": self._count("SELECT kind, count(*) FROM media GROUP BY kind ORDER BY 1"),
            "status": self._count("SELECT status, count(*) FROM media GROUP BY status ORDER BY 1"),
            "problems": self._count(
                "SELECT stage || ': ' || kind, count(*) FROM problems GROUP BY 1 ORDER BY 2 DESC, 1"
            ),
            "tables": {
                table: self._count(f"SELECT '', count(*) FROM {table}")[""]
                for table in ("albums", "people", "media_albums", "media_people", "problems")
            },
            "relations": self._count(
                "SELECT 'duplicates', count(duplicate_of) FROM media UNION ALL "
                "SELECT 'edited', count(edited_of) FROM media UNION ALL "
                "SELECT 'live', count(live_partner) FROM media UNION ALL "
                "SELECT 'with_sidecar', count(sidecar_path) FROM media UNION ALL "
                "SELECT 'dated', count(*) FROM media WHERE taken_year <> 0 UNION ALL "
                "SELECT 'placed', count(latitude) FROM media"
            ),
        }

    def _count(self, query: str) -> dict[str, int]:
        return dict(self._db.execute(query).fetchall())

    def finish(self, report: Mapping[str, Any]) -> None:
        """Add the run, the indexes, views and full-text search, and close the file. Nothing may be added after."""
        self._db.execute(
            "INSERT INTO runs (started_at, finished_at, version, mode, files, media, bytes, report) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(
                    report[name]
                    for name in ("started_at", "finished_at", "version", "mode", "listed", "media", "bytes")
                ),
                json.dumps(report, ensure_ascii=False),
            ),
        )
        for column in _SCALARS:
            if column.facet or column.indexed:  # `settle` needed one of them earlier
                self._db.execute(f'CREATE INDEX IF NOT EXISTS media_{column.name} ON media ("{column.name}")')
        self._db.executescript(
            """
            CREATE INDEX files_path ON files (path);
            CREATE INDEX media_albums_album ON media_albums (album_id);
            CREATE INDEX media_people_person ON media_people (person_id);
            CREATE INDEX problems_file ON problems (file_id);
            CREATE INDEX problems_kind ON problems (stage, kind);
            CREATE VIRTUAL TABLE media_fts USING fts5(title, description, people, name, content='media');
            INSERT INTO media_fts (media_fts) VALUES ('rebuild');
            """
        )
        for column in FILE_COLUMNS:
            if column.facet:
                self._db.execute(f'CREATE INDEX files_{column.name} ON files ("{column.name}")')
        self._db.executescript(_VIEWS)
        self._db.executescript(f"PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA optimize = 0x10002; ANALYZE;")
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._db.close()
        if isinstance(error, sqlite3.OperationalError):  # "database or disk is full", "disk I/O error"
            raise OutputError(f"cannot write {self._path}: {error}") from error


def file_rows(files: Iterable[ListedFile]) -> Iterator[dict[str, Any]]:
    """Rows of `files` (the schema FILES)."""
    for file in files:
        yield {
            "path": stored_text(file.path),
            "path_bytes": stored_bytes(file.path),
            "part": stored_text(file.part),
            "size": file.size,
            "state": file.state,
            "reason": stored_text(file.reason) if file.reason else None,
        }


def _sql_values(column: pa.ChunkedArray) -> list[Any]:
    values: list[Any] = column.to_pylist()
    if pa.types.is_timestamp(column.type):
        return [time_text(value) for value in values]
    return values
