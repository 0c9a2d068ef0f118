"""The index: one SQLite file with everything, its columns derived from RECORD.

`Index` is the batch writer: it is fed shard by shard while others are still being worked on, in a private file that
nobody reads before it is finished, hence without journal and syncs until then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audit import FolderAudit
from pipeline.documents import Album
from pipeline.item import stored_bytes, stored_text
from pipeline.listing import ListedFile
from pipeline.packed import ByFile, ByPosition, FileIds
from pipeline.planning import Orphan
from pipeline.problems import OutputError
from pipeline.record import COLUMNS, FILE_COLUMNS, FILES, SCHEMA_VERSION, Column, Settled
from pipeline.storage.lookup import address_of
from pipeline.takeout.sidecar import Comment

#: What is bound to a parameter for NULL, as which SQLite stores it (sqlite.org/floatingpoint.html). For every None, Python
#: looks for an adapter, which takes as long as all else about a row of which nearly half is empty.
NULL = float("nan")
#: Rows per transaction; below some thousands SQLite spends more time on transactions than on rows.
BATCH = 10_000
#: Bytes of a page. An index reads all rows, of some kB, when it is made: with SQLite's own 4096, that takes half as long again.
PAGE = 16384
#: Pages that SQLite keeps in memory, in KiB: while rows are only added, beside the workers; and then, when they are gone.
CACHE_WHILE_FILLED, CACHE_AFTERWARDS = 8 << 10, 32 << 10
#: Bytes more for each row that is expected, and KiB at most: the key by file_id is filled at random, so that for each row
#: another of its pages would be read and written again.
CACHED_PER_ROW, CACHED_AT_MOST = 40, 256 << 10
#: Bytes of the file that are then read where they are in the page cache, and not copied for each of thirty indexes.
MAPPED = 64 << 20
#: Positions whose places are found at a time.
PLACED = 50_000
#: Rows of an index that ANALYZE looks at: how many rows a value has, about, is all that the planner of queries asks for.
ANALYSED = 1000

#: What the index on a column holds besides, so that a query need not look at the rows, of some kB each, or sort them: the rows
#: of a value that most have, the last taken first; which towns are in a country, and of which years; where a content is.
_AND_THEN = {
    "kind": ("taken_at",),
    "status": ("taken_at",),
    "country_code": ("place", "taken_year"),
    "content_id": ("library",),
}

_TABLES = """
CREATE TABLE folders (
    library TEXT, folder TEXT NOT NULL, kind TEXT NOT NULL, year INTEGER, title TEXT,
    media INTEGER NOT NULL, bytes INTEGER NOT NULL,
    media_without_sidecar INTEGER NOT NULL, sidecars_without_media INTEGER NOT NULL, members_elsewhere INTEGER NOT NULL
);
CREATE TABLE albums (
    album_id INTEGER PRIMARY KEY, library TEXT, folder TEXT NOT NULL, title TEXT, description TEXT, access TEXT,
    created_at TEXT, location TEXT, latitude REAL, longitude REAL, narrative TEXT, places TEXT, metadata_path TEXT,
    metadata_json TEXT
);
CREATE TABLE media_albums (
    file_id TEXT NOT NULL REFERENCES media(file_id), album_id INTEGER NOT NULL REFERENCES albums(album_id),
    via TEXT NOT NULL, -- folder: it lies there; copy: a file of equal content does; sidecar: its sidecar does
    PRIMARY KEY (file_id, album_id)
) WITHOUT ROWID;
CREATE TABLE comments (
    comment_id INTEGER PRIMARY KEY, file_id TEXT REFERENCES media(file_id), album_id INTEGER REFERENCES albums(album_id),
    author TEXT, text TEXT NOT NULL, created_at TEXT, liked INTEGER NOT NULL
);
CREATE TABLE people (person_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE media_people (
    file_id TEXT NOT NULL REFERENCES media(file_id), person_id INTEGER NOT NULL REFERENCES people(person_id),
    PRIMARY KEY (file_id, person_id)
) WITHOUT ROWID;
CREATE TABLE problems (
    problem_id INTEGER PRIMARY KEY, file_id TEXT REFERENCES media(file_id), path TEXT NOT NULL, stage TEXT NOT NULL,
    kind TEXT NOT NULL, message TEXT NOT NULL, library TEXT
);
CREATE TABLE libraries (
    library TEXT PRIMARY KEY, results TEXT NOT NULL, scanned_at TEXT NOT NULL, files INTEGER NOT NULL,
    media INTEGER NOT NULL, bytes INTEGER NOT NULL, only_there INTEGER NOT NULL, shared INTEGER NOT NULL,
    not_compared INTEGER NOT NULL, only_there_bytes INTEGER NOT NULL
);
CREATE TABLE runs (
    run_id INTEGER PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT NOT NULL, version TEXT NOT NULL,
    mode TEXT NOT NULL, files INTEGER NOT NULL, media INTEGER NOT NULL, bytes INTEGER NOT NULL, report TEXT NOT NULL
);
"""

_VIEWS = """
CREATE VIEW duplicates AS
    SELECT m.content_id, m.file_id, m.path, m.size, m.album, m.taken_at, m.duplicate_of, m.library
    FROM media m
    WHERE m.content_id IN (SELECT content_id FROM media INDEXED BY media_copies WHERE duplicate_of IS NOT NULL)
    ORDER BY m.content_id, m.duplicate_of IS NOT NULL, m.path;
CREATE VIEW album_members AS
    SELECT a.album_id, a.title, m.file_id, m.path, m.taken_at, ma.via, a.library
    FROM albums a CROSS JOIN media_albums ma ON ma.album_id = a.album_id CROSS JOIN media m ON m.file_id = ma.file_id
    WHERE m.duplicate_of IS NULL -- of copies, the one that counts as the original stands for all
    ORDER BY a.title, a.album_id; -- as the index has them: to sort all members takes seconds before the first is shown
CREATE VIEW photo_albums AS
    SELECT m.file_id, m.path, a.album_id, a.title, a.library
    FROM media m JOIN media_albums ma ON ma.file_id = coalesce(m.duplicate_of, m.file_id) JOIN albums a USING (album_id);
CREATE VIEW completeness AS
    SELECT kind, year, title, folder, media, media_without_sidecar, sidecars_without_media, members_elsewhere, bytes,
           library
    FROM folders WHERE media + sidecars_without_media + members_elsewhere > 0
    ORDER BY year IS NULL, year, title, folder;
CREATE TABLE days AS
    SELECT substr(coalesce(taken_local, taken_at), 1, 10) AS day, count(*) AS files, sum(kind = 'image') AS images,
           sum(kind = 'video') AS videos, sum(size) AS bytes
    FROM media WHERE coalesce(taken_local, taken_at) IS NOT NULL AND taken_precision <> 'year'
    GROUP BY day ORDER BY day;
CREATE VIEW timeline AS SELECT day, files, images, videos, bytes FROM days ORDER BY day;
CREATE VIEW unmatched_media AS
    SELECT file_id, path, part, size, mime, taken_at, album FROM media WHERE sidecar_rule IS NULL ORDER BY path;
CREATE VIEW unmatched_sidecars AS
    SELECT path, part, size, reason FROM files WHERE state = 'unmatched_sidecar' ORDER BY path;
CREATE VIEW shared_media AS
    SELECT m.content_id, m.file_id, m.path, m.size, m.taken_at, (
        SELECT group_concat(library, ', ') FROM (
            SELECT DISTINCT c.library FROM media c WHERE c.content_id = m.content_id ORDER BY c.library
        )
    ) AS libraries, (SELECT count(*) FROM media c WHERE c.content_id = m.content_id) AS copies
    FROM (SELECT DISTINCT content_id FROM media INDEXED BY media_copies WHERE duplicate_of IS NOT NULL) AS copied
        CROSS JOIN media m ON m.content_id = copied.content_id AND m.duplicate_of IS NULL
    WHERE EXISTS (SELECT 1 FROM media c WHERE c.content_id = m.content_id AND c.library <> m.library);
CREATE VIEW only_in AS
    SELECT library, file_id, path, size, taken_at, content_id, duplicate_of FROM media m
    WHERE library IS NOT NULL AND size > 0 AND content_id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM media c WHERE c.content_id = m.content_id AND c.library <> m.library);
CREATE VIEW other_bytes AS
    SELECT m.path, m.library, m.file_id, m.size, m.content_id, o.library AS other_library, o.file_id AS other_file_id,
           o.size AS other_size, o.content_id AS other_content_id
    FROM media m JOIN media o ON o.path = m.path AND o.library > m.library AND o.content_id <> m.content_id
    WHERE m.library IS NOT NULL;
"""

# The canonical one of equal files: what is not in the bin, in a year folder before others before albums, with sidecar before
# without, a name or a time before a mere number, as which web sites save pictures ("6681940835455414.jpg"), then the shortest
# name, as all that makes copies makes names longer ("IMG_1(1).jpg", "Copy of IMG_1.jpg"), then the first path, and of that the
# first library by name.
RANKED = """
SELECT rowid AS number, file_id, first_value(file_id) OVER (
    PARTITION BY content_id ORDER BY
        coalesce(trashed, 0), album IS NOT NULL, folder_kind NOT IN ('year', 'day'), sidecar_path IS NULL,
        name GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*'
            AND substr(name, 1, length(name) - length(extension) - 1) NOT GLOB '*[^0-9]*',
        length(name), path, library, file_id
) AS original
FROM media {by}
WHERE size > 0 AND content_id IN (SELECT content_id FROM media GROUP BY content_id HAVING count(*) > 1)
"""
_DUPLICATES = f"""
INSERT INTO temp.copies SELECT file_id, original FROM ({RANKED.format(by="")}) WHERE original <> file_id
"""
_MARK_DUPLICATES = """
UPDATE media SET duplicate_of = copies.original FROM temp.copies WHERE media.file_id = copies.file_id
"""
# The albums of every file. From their end: to look at all media in the order of their ids is to fetch each of their pages
# from its place, some kB a file.
_ALBUMS = """
SELECT file_id, title FROM (
    SELECT ma.file_id, a.title, a.album_id FROM media_albums ma JOIN albums a USING (album_id)
    WHERE ma.file_id NOT IN (SELECT file_id FROM temp.copies)
    UNION ALL
    SELECT c.file_id, a.title, a.album_id FROM media_albums ma JOIN albums a USING (album_id)
        CROSS JOIN temp.copies c ON c.original = ma.file_id
) ORDER BY file_id, title, album_id
"""

# What is in an album by way of a copy there, and by way of the copy's sidecar where bytes differ: title and time are those of
# one item, names and numbers differ from folder to folder.
_MEMBERS_BY_COPY = """
INSERT OR IGNORE INTO media_albums
    SELECT m.duplicate_of, a.album_id, 'copy' FROM media_albums a JOIN media m USING (file_id)
    WHERE m.duplicate_of IS NOT NULL
"""
_MEMBERS_BY_SIDECAR = """
WITH there AS (
    SELECT m.title, m.sidecar_taken_at AS taken_at, m.kind, m.edited_of IS NULL AS original, a.album_id
    FROM media_albums a JOIN media m USING (file_id) WHERE m.duplicate_of IS NULL AND a.via = 'folder'
)
INSERT OR IGNORE INTO media_albums
    SELECT file_id, album_id, 'sidecar' FROM (
        SELECT there.album_id, (
            SELECT coalesce(m.duplicate_of, m.file_id) FROM media m
            WHERE m.title = there.title AND m.sidecar_taken_at = there.taken_at
                AND m.kind = there.kind AND (m.edited_of IS NULL) = there.original AND m.album IS NULL
            ORDER BY m.path LIMIT 1
        ) AS file_id
        FROM there
    ) WHERE file_id IS NOT NULL
"""
# What lies in an album as a sidecar alone.
_MEMBERS_ELSEWHERE = """
INSERT OR IGNORE INTO media_albums
    SELECT coalesce(m.duplicate_of, m.file_id), e.album_id, 'sidecar' FROM temp.elsewhere e JOIN media m USING (file_id)
"""
# People are numbered by name, whichever shard was done first.
_PEOPLE = "INSERT INTO people (name) SELECT DISTINCT name FROM temp.portraits ORDER BY name"
_MEDIA_PEOPLE = """
INSERT OR IGNORE INTO media_people
    SELECT file_id, person_id FROM temp.portraits JOIN people USING (name) ORDER BY file_id, person_id
"""
#: A live photo's video lasts some seconds (Apple: 1.5 before the picture and after); what has its still's name and lasts longer
#: than this is a video of its own that a camera numbered alike.
LONGEST_LIVE_S = 30
# Stills and videos that share Apple's identifier, one of each in a folder.
_LIVE_BY_IDENTIFIER = """
WITH halves AS (
    SELECT folder, content_identifier, max(CASE kind WHEN 'image' THEN file_id END) AS still,
        max(CASE kind WHEN 'video' THEN file_id END) AS video
    FROM media WHERE content_identifier IS NOT NULL AND edited_of IS NULL
    GROUP BY folder, content_identifier HAVING sum(kind = 'image') = 1 AND sum(kind = 'video') = 1
)
SELECT still, video FROM halves UNION ALL SELECT video, still FROM halves
"""
_LIVE_BY_MISTAKE = f"""
SELECT a.file_id FROM media a JOIN media b ON b.file_id = a.live_partner
WHERE a.content_identifier <> b.content_identifier
    OR (coalesce(a.duration_s, b.duration_s) > {LONGEST_LIVE_S}
        AND (a.content_identifier IS NULL OR b.content_identifier IS NULL))
"""

#: A row of `runs`, but for its number.
Run = tuple[Any, ...]
_RUN = ("started_at", "finished_at", "version", "mode", "files", "media", "bytes", "report")
_OF_REPORT = ("started_at", "finished_at", "version", "mode", "listed", "media", "bytes")
_INSERT_RUN = f"INSERT INTO runs ({', '.join(_RUN)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


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
        """Start a new index at `path`, which must not exist, in a folder private to the user. Raises OutputError."""
        path.touch(0o600, exist_ok=False)
        self._path = path
        # Its last step may be another thread's than the others; never two at a time.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, uri=True)
        try:
            self._make_tables()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise OutputError(f"cannot write {path}: {error}") from error
        self._albums: dict[str, int] = {}
        self._pending = 0
        marks = ", ".join("?" * (len(_SCALARS) + 1))
        self._insert = f"INSERT INTO media VALUES ({marks})"

    def _make_tables(self) -> None:
        self._db.executescript(f"PRAGMA page_size = {PAGE}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        self._db.execute(f"PRAGMA cache_size = -{CACHE_WHILE_FILLED}")
        self._db.execute(_create_table("media", _SCALARS, '"people" TEXT', "PRIMARY KEY (file_id)"))
        self._db.execute(_create_table("files", FILE_COLUMNS))
        self._db.executescript(_TABLES)
        self._db.execute("CREATE TEMP TABLE elsewhere (album_id INTEGER, file_id TEXT)")
        self._db.execute("CREATE TEMP TABLE portraits (file_id TEXT, name TEXT)")
        self._db.execute("BEGIN")

    def expect(self, media: int) -> None:
        """So many rows will be added."""
        kib = min(CACHE_WHILE_FILLED + media * CACHED_PER_ROW // 1024, CACHED_AT_MOST)
        self._db.execute(f"PRAGMA cache_size = -{kib}")

    def add_albums(self, albums: Iterable[Album], aliases: Mapping[str, str]) -> None:
        """Enter the albums; must precede the media in them. `aliases` are other spellings of the paths of folders."""
        for number, album in enumerate(albums, start=1):
            self._albums[stored_text(album.folder)] = number
            document = album.document
            self._db.execute(
                f"INSERT INTO albums VALUES (?, NULL, {', '.join('?' * 12)})",
                (
                    number,
                    stored_text(album.folder),
                    stored_text(album.title),
                    document.description,
                    document.access,
                    time_text(document.created_at),
                    document.location,
                    document.latitude,
                    document.longitude,
                    document.narrative,
                    ", ".join(document.places) or None,
                    stored_text(album.metadata_path) if album.metadata_path else None,
                    document.json,
                ),
            )
            self._add_comments(None, number, document.comments)
        for alias, folder in aliases.items():
            if (known := self._albums.get(stored_text(folder))) is not None:
                self._albums[stored_text(alias)] = known

    def _add_comments(self, file_id: str | None, album_id: int | None, comments: Iterable[Comment]) -> None:
        self._db.executemany(
            "INSERT INTO comments (file_id, album_id, author, text, created_at, liked) VALUES (?, ?, ?, ?, ?, ?)",
            [(file_id, album_id, c.author, c.text, time_text(c.created_at), c.liked) for c in comments],
        )

    def add_folders(self, folders: Iterable[FolderAudit]) -> None:
        """Enter what every folder holds and lacks."""
        self._db.executemany(
            f"INSERT INTO folders VALUES (NULL, {', '.join('?' * 9)})",
            (
                (
                    each.folder,
                    each.kind,
                    each.year,
                    each.title,
                    each.media,
                    each.bytes,
                    each.media_without_sidecar,
                    each.sidecars_without_media,
                    each.members_elsewhere,
                )
                for each in folders
            ),
        )

    def add_members(self, members: Mapping[Orphan, str]) -> None:
        """Note what is in an album by its sidecar alone (file_id by sidecar); must follow the albums."""
        self._db.executemany(
            "INSERT INTO temp.elsewhere VALUES (?, ?)",
            ((self._albums[stored_text(orphan.folder)], file_id) for orphan, file_id in members.items()),
        )

    def add_media(self, rows: pa.Table) -> None:
        """Enter the rows of a shard (RECORD) with their people, albums and problems."""
        columns = [_sql_values(rows.column(c.name)) for c in _SCALARS]
        identities = rows.column("file_id").to_pylist()
        people = rows.column("people").to_pylist()
        self._db.executemany(self._insert, zip(*columns, [", ".join(names) or NULL for names in people], strict=True))
        self._db.executemany(
            "INSERT INTO temp.portraits VALUES (?, ?)",
            [
                (file_id, name)
                for file_id, names in zip(identities, people, strict=True)
                for name in dict.fromkeys(names)
            ],
        )
        folders = rows.column("folder").to_pylist()
        self._db.executemany(
            "INSERT INTO media_albums VALUES (?, ?, 'folder')",
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
        for file_id, comments in zip(identities, rows.column("comments").to_pylist(), strict=True):
            if comments:
                self._add_comments(file_id, None, [Comment(**comment) for comment in comments])
        self._pending += rows.num_rows
        if self._pending >= BATCH:
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
            self._pending = 0

    def add_files(self, files: Iterable[ListedFile]) -> None:
        """Enter every listed file with its final state."""
        self._db.executemany(
            f"INSERT INTO files ({', '.join(FILES.names)}) VALUES ({', '.join('?' * len(FILES.names))})",
            map(_file_row, files),
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
        self._db.execute(
            "INSERT INTO problems (path, stage, kind, message) "
            "SELECT path, 'album', 'odd', reason FROM files WHERE state = 'album_metadata' AND reason IS NOT NULL"
        )

    def settle(self) -> Settled:
        """Settle what needs all rows: reasons of files, duplicates, live photos, albums. Places are settled apart."""
        self._read_on()
        self._explain_files()
        self._index_contents()
        self._db.execute("CREATE TEMP TABLE copies (file_id TEXT PRIMARY KEY, original TEXT) WITHOUT ROWID")
        self._db.execute(_DUPLICATES)
        self._db.execute("CREATE INDEX temp.copies_original ON copies (original)")
        self._db.execute(_MARK_DUPLICATES)
        partners = self._settle_live()
        self._settle_people()
        if self._albums:
            self._db.execute("CREATE INDEX media_title ON media (title, sidecar_taken_at)")
            self._settle_members_by_copy()
            self._db.execute(_MEMBERS_BY_SIDECAR)
            self._db.execute(_MEMBERS_ELSEWHERE)
            self._db.execute("DROP INDEX media_title")
        albums = groupby(self._db.execute(_ALBUMS), key=itemgetter(0))
        return Settled(
            duplicate_of=FileIds(self._db.execute("SELECT file_id, original FROM temp.copies ORDER BY 1")),
            live_partner=FileIds(sorted(partners.items())),
            albums=ByFile((file_id, tuple(title for _, title in titles)) for file_id, titles in albums),
        )

    def _read_on(self) -> None:
        """Rows are only read from now on, and the memory of workers is free."""
        self._db.execute(f"PRAGMA cache_size = -{CACHE_AFTERWARDS}")
        self._db.execute(f"PRAGMA mmap_size = {MAPPED}")

    def _index_contents(self) -> None:
        self._db.execute(f"CREATE INDEX media_content_id ON media ({_indexed('content_id')})")

    def _settle_people(self) -> None:
        self._db.execute(_PEOPLE)
        self._db.execute(_MEDIA_PEOPLE)

    def _settle_members_by_copy(self) -> None:
        self._db.execute(_MEMBERS_BY_COPY)

    def _settle_live(self) -> dict[str, str | None]:
        """Live photos by their identifier, and none by name alone where identifiers or the duration speak against it."""
        partners: dict[str, str | None] = dict.fromkeys(row[0] for row in self._db.execute(_LIVE_BY_MISTAKE))
        by_identifier = dict(self._db.execute(_LIVE_BY_IDENTIFIER))
        partners |= dict.fromkeys(  # whose partner by name has another by identifier
            each
            for each, other in self._db.execute(
                "SELECT file_id, live_partner FROM media WHERE live_partner IS NOT NULL"
            )
            if by_identifier.get(other, each) != each
        )
        partners |= by_identifier
        self._db.executemany(
            "UPDATE media SET live_partner = ? WHERE file_id = ?", ((other, each) for each, other in partners.items())
        )
        return partners

    def settle_places(self) -> Mapping[tuple[float, float], tuple[str | None, str | None]]:
        """Country and town of every position."""
        self._db.execute(
            "CREATE TEMP TABLE spots (latitude REAL, longitude REAL, country TEXT, place TEXT, "
            "PRIMARY KEY (latitude, longitude)) WITHOUT ROWID"
        )
        positions = self._db.execute(
            "SELECT latitude, longitude, min(time_zone) FROM media WHERE longitude IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
        )
        while some := positions.fetchmany(PLACED):  # those side by side, as the work is by regions
            from pipeline.places import places_of  # numpy and a table of places, needed only now

            self._db.executemany(
                "INSERT INTO temp.spots VALUES (?, ?, ?, ?)",
                (
                    (latitude, longitude, place.country_code, place.name)
                    for (latitude, longitude, _), place in zip(some, places_of(some), strict=True)
                ),
            )
        self._db.execute(
            "UPDATE media SET country_code = s.country, place = s.place FROM temp.spots AS s "
            "WHERE media.latitude = s.latitude AND media.longitude = s.longitude"
        )
        spots = self._db.execute("SELECT latitude, longitude, country, place FROM temp.spots ORDER BY 1, 2")
        return ByPosition(((latitude, longitude), (code, name)) for latitude, longitude, code, name in spots)

    def files(self) -> Iterator[pa.Table]:
        """The rows of `files` (the schema FILES) with their final reasons, once settled; some at a time."""
        found = self._db.execute(f"SELECT {', '.join(FILES.names)} FROM files ORDER BY rowid")
        while rows := found.fetchmany(BATCH):
            yield pa.table(list(map(list, zip(*rows, strict=True))), schema=FILES)

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
            "relations": dict(
                zip(
                    ("duplicates", "edited", "live", "with_sidecar", "dated", "placed"),
                    self._db.execute(
                        "SELECT count(duplicate_of), count(edited_of), count(live_partner), count(sidecar_path), "
                        "count(nullif(taken_year, 0)), count(latitude) FROM media"
                    ).fetchone(),
                    strict=True,
                )
            ),
        }

    def _count(self, query: str) -> dict[str, int]:
        return dict(self._db.execute(query).fetchall())

    def finish(self, runs: Iterable[Run] = ()) -> None:
        """Add earlier `runs`, the indexes, views and full-text search, and close the file. Only this run may be added after."""
        self._db.executemany(_INSERT_RUN, runs)
        for column in _SCALARS:
            if column.facet or column.indexed:  # `settle` needed one of them earlier
                self._db.execute(f"CREATE INDEX IF NOT EXISTS media_{column.name} ON media ({_indexed(column.name)})")
        self._db.executescript(
            """
            CREATE INDEX media_position ON media (latitude, longitude) WHERE latitude IS NOT NULL;
            CREATE INDEX media_copies ON media (content_id, size) WHERE duplicate_of IS NOT NULL;
            CREATE INDEX files_path ON files (path);
            CREATE INDEX folders_folder ON folders (folder);
            CREATE INDEX albums_folder ON albums (folder);
            CREATE INDEX albums_title ON albums (title, album_id);
            CREATE INDEX media_albums_album ON media_albums (album_id);
            CREATE INDEX media_people_person ON media_people (person_id);
            CREATE INDEX problems_file ON problems (file_id);
            CREATE INDEX problems_kind ON problems (stage, kind);
            CREATE VIRTUAL TABLE media_fts USING fts5(
                title, description, people, name, album, place, content='media'
            );
            INSERT INTO media_fts (media_fts) VALUES ('rebuild');
            """
        )
        for column in FILE_COLUMNS:
            if column.facet:
                self._db.execute(f'CREATE INDEX IF NOT EXISTS files_{column.name} ON files ("{column.name}")')
        self._db.executescript(_VIEWS)
        self._db.executescript(f"PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA analysis_limit = {ANALYSED}; ANALYZE;")
        # Some rows say that a value has a thousand at most: of what most rows have, that would be far from the truth.
        self._db.executescript("PRAGMA analysis_limit = 0; ANALYZE media_kind; ANALYZE media_status;")
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._db.close()
        if isinstance(error, sqlite3.OperationalError):  # "database or disk is full", "disk I/O error"
            raise OutputError(f"cannot write {self._path}: {error}") from error


def _indexed(column: str) -> str:
    """What the index on a column of `media` holds."""
    return ", ".join((column, *_AND_THEN.get(column, ())))


def earlier_runs(path: Path) -> list[Run]:
    """The runs that an index remembers, the first first; none if it is no index, or of a version that had other columns."""
    try:
        with closing(sqlite3.connect(address_of(path), uri=True)) as db:
            return db.execute(f"SELECT {', '.join(_RUN)} FROM runs ORDER BY run_id").fetchall()
    except sqlite3.DatabaseError:
        return []


def add_run(path: Path, report: Mapping[str, Any]) -> None:
    """Add a run to a finished index that nobody reads yet. Raises OutputError."""
    try:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("PRAGMA journal_mode = MEMORY")
            db.execute(_INSERT_RUN, _run(report))
    except sqlite3.DatabaseError as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def _run(report: Mapping[str, Any]) -> Run:
    return (*(report[name] for name in _OF_REPORT), json.dumps(report, ensure_ascii=False))


def _file_row(file: ListedFile) -> tuple[str | bytes | int | None, ...]:
    """A row of `files`, in the order of FILE_COLUMNS."""
    return (
        stored_text(file.path),
        stored_bytes(file.path),
        None,
        stored_text(file.part),
        file.size,
        file.state,
        stored_text(file.reason) if file.reason else None,
    )


def _sql_values(column: pa.ChunkedArray) -> list[Any]:
    if column.null_count == len(column):
        return [NULL] * len(column)
    values: list[Any] = (_time_texts(column) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return [NULL if value is None else value for value in values] if column.null_count else values


def _time_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What `time_text` makes of each value, by Arrow: Python's way is ten times as long, and a row has a dozen of them."""
    texts = column.cast(pa.timestamp("us")).cast(pa.string())  # with a zone, the second cast would ask for its rules
    texts = pc.replace_substring(pc.binary_replace_slice(texts, 10, 11, "T"), ".000000", "")
    return pc.binary_join_element_wise(texts, "+00:00", "") if column.type.tz else texts
