"""The index of several libraries: filled from their indexes by SQLite itself, which takes rows over as they are.

What one scan has settled within its library stays: live photos, members of albums, reasons, places. Settled anew is what the
others have a say in: duplicates, people by name, and which albums the copies of a photo are in.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.planning import COPY
from pipeline.problems import RunError
from pipeline.record import FILES
from pipeline.several import merged_id
from pipeline.storage.index import BATCH, MAPPED, RANKED, Index
from pipeline.storage.lookup import address_of
from pipeline.storage.opened import Opened
from pipeline.storage.published import Published
from pipeline.storage.results import READY, Results

#: Most files may have copies in other libraries: rows, of some kB each, are read and written in their order, and not here and
#: there by the index of contents, which is twice as fast.
_DUPLICATES = f"""
CREATE TEMP TABLE copies (number INTEGER PRIMARY KEY, original TEXT NOT NULL);
INSERT INTO temp.copies
    SELECT number, original FROM ({RANKED.format(by="NOT INDEXED")}) WHERE original <> file_id ORDER BY number;
UPDATE media SET duplicate_of = c.original FROM temp.copies AS c WHERE media.rowid = c.number;
DROP TABLE temp.copies;
"""
#: Contents that more than one library has. What is empty is alike everywhere, and no copy of anything.
_SHARED = """
CREATE TEMP TABLE shared AS
    SELECT content_id FROM media WHERE content_id NOT LIKE '%-0' GROUP BY content_id HAVING min(library) < max(library);
CREATE UNIQUE INDEX temp.shared_content ON shared (content_id);
"""
_LIBRARIES = """
INSERT INTO libraries
    SELECT :library, :results, :scanned_at, (SELECT count(*) FROM files WHERE library = :library), count(*),
        coalesce(sum(m.size), 0), count(*) FILTER (WHERE compared AND s.content_id IS NULL), count(s.content_id),
        count(*) FILTER (WHERE NOT compared),
        coalesce(sum(m.size) FILTER (WHERE compared AND s.content_id IS NULL), 0)
    FROM (
        SELECT content_id, size, content_id IS NOT NULL AND size > 0 AS compared FROM media WHERE library = :library
    ) m LEFT JOIN temp.shared s USING (content_id)
"""
_SETTLED = """
CREATE TABLE settled.originals (file_id TEXT PRIMARY KEY, original TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE settled.titles (file_id TEXT, title TEXT, PRIMARY KEY (file_id, title)) WITHOUT ROWID;
INSERT INTO settled.originals SELECT file_id, duplicate_of FROM media WHERE duplicate_of IS NOT NULL;
INSERT OR IGNORE INTO settled.titles
    SELECT ma.file_id, a.title FROM media_albums ma JOIN albums a USING (album_id) WHERE a.title IS NOT NULL;
"""


class MergedIndex(Index):
    """The SQLite file of merged results while it is being written. `add_library` each, `settle_merged`, then `finish`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._db.execute("CREATE TEMP TABLE ids (in_scan TEXT PRIMARY KEY, in_merged TEXT NOT NULL) WITHOUT ROWID")

    def add_library(self, index: Path, library: str | None, archives: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
        """Take over all of a finished index, some rows at a time: yields the photos and videos so far taken, and their bytes.

        Without a name they are of merged results, and have their ids and names. `archives` are the parts that are archives:
        what is said of one as a whole stands under its name, in `files` and `problems`.
        """
        self._db.execute("COMMIT")
        self._db.execute("ATTACH ? AS source", (address_of(index),))
        self._db.execute(f"PRAGMA source.mmap_size = {MAPPED}")
        self._db.execute("BEGIN")
        yield from self._take_over(library, archives)
        self._db.execute("COMMIT")
        self._db.execute("DETACH source")
        self._db.execute("BEGIN")

    def _take_over(self, library: str | None, archives: Sequence[str]) -> Iterator[tuple[int, int]]:
        merged = library is None
        values: dict[str, Any] = {"library": library, "archives": json.dumps(list(archives))}
        (values["albums"],) = self._db.execute("SELECT coalesce(max(album_id), 0) FROM main.albums").fetchone()

        def of(column: str) -> str:
            return column if merged else f"(SELECT in_merged FROM temp.ids WHERE in_scan = {column})"

        if library is not None:  # by a table: Ctrl-C in a function that SQLite calls would be an error of SQLite's
            identities = self._db.execute("SELECT file_id FROM source.media ORDER BY file_id")
            self._db.execute("DELETE FROM temp.ids")
            self._db.executemany(
                "INSERT INTO temp.ids VALUES (?, ?)", ((each, merged_id(library, each)) for (each,) in identities)
            )
        name = "library" if merged else ":library"
        begin = "" if merged else ":library || '/' || "
        under = f"CASE WHEN path IN (SELECT value FROM json_each(:archives)) THEN {begin}path ELSE path END"
        copy = f"'{COPY}'"

        def take(table: str, columns: Mapping[str, str], rest: str = "", conflict: str = "") -> None:
            self._db.execute(
                f"INSERT {conflict} INTO main.{table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} "
                f"FROM source.{table} {rest}",
                values,
            )

        take(
            "albums",
            {column: column for column in self._columns("albums")}
            | {"album_id": "album_id + :albums", "library": name},
        )
        take("folders", {column: column for column in self._columns("folders")} | {"library": name})
        media = {f'"{column}"': f'"{column}"' for column in self._columns("media")}
        media |= {f'"{column}"': of(column) for column in ("file_id", "edited_of", "live_partner")}
        media |= {'"library"': name, '"part"': f"{begin}part", '"duplicate_of"': "NULL"}
        media |= {'"scan_file_id"': "scan_file_id" if merged else "file_id"}
        for values["first"], values["last"] in self._ranges("media"):
            take("media", media, "WHERE rowid > :first AND rowid <= :last ORDER BY rowid")
            yield self._db.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM source.media WHERE rowid > :first AND rowid <= :last",
                {"first": values["first"], "last": values["last"]},
            ).fetchone()
        files = {f'"{column}"': f'"{column}"' for column in FILES.names}
        files |= {'"library"': name, '"part"': f"{begin}part"}
        files |= {'"path"': f"CASE WHEN state = 'unreadable' AND path = part THEN {under} ELSE path END"}
        files |= {
            '"reason"': f"CASE WHEN substr(reason, 1, length({copy})) = {copy} "
            f"THEN {copy} || {begin}substr(reason, length({copy}) + 1) ELSE reason END"
        }
        for values["first"], values["last"] in self._ranges("files"):
            take("files", files, "WHERE rowid > :first AND rowid <= :last ORDER BY rowid")
        take(
            "media_albums",
            {"file_id": of("file_id"), "album_id": "album_id + :albums", "via": "via"},
            # Of copies in other libraries it is found out anew.
            "WHERE via <> 'copy' OR (SELECT library FROM source.albums a WHERE a.album_id = media_albums.album_id) "
            "IS (SELECT library FROM source.media m WHERE m.file_id = media_albums.file_id)",
        )
        comments = {column: column for column in ("author", "text", "created_at", "liked")}
        comments |= {"file_id": of("file_id"), "album_id": "album_id + :albums"}
        take("comments", comments, "ORDER BY comment_id")
        path = f"CASE WHEN file_id IS NULL AND stage = 'list' THEN {under} ELSE path END"
        problems = {column: column for column in ("stage", "kind", "message")} | {"path": path, "library": name}
        take("problems", problems | {"file_id": of("file_id")}, "ORDER BY problem_id")
        self._db.execute(
            f"INSERT INTO temp.portraits SELECT {of('file_id')}, name "
            "FROM source.media_people JOIN source.people USING (person_id)"
        )

    def _columns(self, table: str) -> list[str]:
        return [name for _, name, *_ in self._db.execute(f"PRAGMA main.table_info({table})")]

    def _ranges(self, table: str) -> Iterator[tuple[int, int]]:
        """The numbers of the rows of a table of the source, some at a time; each transaction has so many."""
        (last,) = self._db.execute(f"SELECT coalesce(max(rowid), 0) FROM source.{table}").fetchone()
        for first in range(0, last, BATCH):
            yield first, first + BATCH

    def settle_merged(self, libraries: Sequence[tuple[str, str, str]], settled: Path) -> list[dict[str, Any]]:
        """Settle what needs all libraries, and leave in the file `settled` what the rows of `media` need of it.

        `libraries` are their names, their results and when they were scanned. Returns the rows of the table `libraries`.
        """
        self._read_on()
        self._index_contents()
        self._db.executescript(_DUPLICATES)
        self._settle_people()
        self._settle_members_by_copy()
        self._db.execute("CREATE INDEX media_library ON media (library)")
        self._db.execute("CREATE INDEX files_library ON files (library)")
        self._db.executescript(_SHARED)
        for library, results, scanned_at in libraries:
            values = {"library": library, "results": results, "scanned_at": scanned_at}
            self._db.execute(_LIBRARIES, values)
        self._db.execute("ATTACH ? AS settled", (str(settled),))
        self._db.executescript(_SETTLED)
        self._db.execute("DETACH settled")
        columns = self._columns("libraries")
        return [
            dict(zip(columns, row, strict=True)) for row in self._db.execute("SELECT * FROM libraries ORDER BY library")
        ]


class SettledFile:
    """What `settle_merged` left, for some rows at a time: it may be any size."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def of(self, identities: Sequence[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Of these ids the originals, of those that are copies, and the titles of the albums, of those that are in some."""
        asked = (json.dumps(list(identities)),)
        originals = dict(
            self._db.execute("SELECT o.* FROM json_each(?) j CROSS JOIN originals o ON o.file_id = j.value", asked)
        )
        albums: dict[str, list[str]] = {}
        for identity, title in self._db.execute(
            "SELECT j.value, t.title FROM json_each(?) j LEFT JOIN originals o ON o.file_id = j.value "
            "CROSS JOIN titles t ON t.file_id = coalesce(o.original, j.value) ORDER BY j.id, t.title",
            asked,
        ):
            albums.setdefault(identity, []).append(title)
        return originals, albums


def check_unreplaced(opened: Opened) -> None:
    """Raises RunError if other results have been published there since they were opened."""
    if (Results(opened.folder).new / READY).exists() or Opened.of(opened.folder).report != opened.report:
        raise RunError(f"{opened.folder} was replaced while it was merged: merge again")


@contextmanager
def naming_damage(opened: Opened) -> Iterator[None]:
    """What cannot be read in the block because somebody has replaced or damaged it is told as that, by a RunError."""
    try:
        yield
    except (OSError, pa.ArrowException, sqlite3.DatabaseError) as error:
        check_unreplaced(opened)
        opened.check(thoroughly=True)
        index = opened.folder / "index.sqlite"
        if Published.of(index) != opened.published["index.sqlite"]:
            raise RunError(f"{index} is not as it was published ({error}): scan again into {opened.folder}") from error
        raise
