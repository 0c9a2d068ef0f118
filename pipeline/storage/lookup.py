"""Looking files up in a finished index, which is opened for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from pipeline.explain import RELATIONS, Case, OtherFile, best_match
from pipeline.problems import UsageError
from pipeline.record import COLUMNS, SCHEMA_VERSION, from_time, to_known
from pipeline.resolve import own_time
from pipeline.takeout.names import split_extension
from pipeline.takeout.sidecar import SidecarGist

_TIMES = frozenset(c.name for c in COLUMNS if pa.types.is_timestamp(c.type))
#: Of one path in several parts, the photo counts and not its copy: in a dict, the last one does.
_PHOTOS_LAST = "ORDER BY state = 'media', state = 'sidecar'"
#: What the final state of a JSON file says of its content.
_KINDS = {"sidecar": "item", "unmatched_sidecar": "item", "album_metadata": "album", "unreadable": "unreadable"}


def look_up(index: Path, wanted: str) -> Case | OtherFile:
    """What is to be explained of the file that `wanted` names: its path in the export, or the end of it.

    Raises UsageError if there is no such file, if several paths end so, or if the index is another version's.
    """
    with opened_index(index) as db:
        files = {
            path if library is None else f"{library}/{path}": (library, path, state)
            for library, path, state in db.execute(f"SELECT library, path, state FROM files {_PHOTOS_LAST}")
        }
        match = best_match(files, wanted)
        library, path, state = files[match]
        if state == "media":
            return _case(db, path, library)
        (reason,) = db.execute(
            "SELECT reason FROM files WHERE path = ? AND state = ? AND library IS ?", (path, state, library)
        ).fetchone()
        used_by = db.execute(
            "SELECT path FROM media WHERE sidecar_path = ? AND library IS ? ORDER BY path", (path, library)
        )
        return OtherFile(path, state, reason, tuple(user for (user,) in used_by))


def table_of(index: Path, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of the columns and the rows of a table or view of the index. Raises UsageError if there is none such."""
    with opened_index(index) as db:
        known = [each for (each,) in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]
        if name not in known:
            raise UsageError(f"the index has no table {name!r}; it has {', '.join(sorted(known))}")
        rows = db.execute(f'SELECT * FROM "{name}"')
        return [column for column, *_ in rows.description], rows.fetchall()


def counts_of(index: Path) -> dict[str, int]:
    """How many rows every table has, but those of the full-text search."""
    with opened_index(index) as db:
        names = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'media_fts%' "
                "AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
        ]
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


@contextmanager
def opened_index(index: Path) -> Iterator[sqlite3.Connection]:
    """A finished index, for reading. Raises UsageError if it is none, or another version's.

    It is only ever replaced as a whole: no lock is taken, no journal looked for, and nothing is written beside it.
    """
    try:
        with closing(sqlite3.connect(address_of(index), uri=True)) as db:
            written = db.execute("PRAGMA user_version").fetchone()[0]
            if written > SCHEMA_VERSION:
                raise UsageError(f"{index} was written by a newer version of this program: use that")
            if written < SCHEMA_VERSION:
                raise UsageError(f"{index} was written by an older version of this program: scan again")
            yield db
    except sqlite3.DatabaseError as error:
        raise UsageError(
            f"{index} is not an index of ours: {error}; takeout-index doctor DIR says what is damaged"
        ) from error


def address_of(index: Path) -> str:
    """Under which SQLite opens an index for reading only, whoever else has it open."""
    return f"file:{quote(str(index.absolute()))}?mode=ro&immutable=1"


def schema_of(index: Path) -> int:
    """The version of the tables that an index has (PRAGMA user_version), which stands in its header; 0 if there is none."""
    try:
        with index.open("rb") as file:
            header = file.read(64)
    except FileNotFoundError:
        return 0
    return schema_in(header)


def schema_in(header: bytes) -> int:
    """The same of the first 64 bytes of an index."""
    return int.from_bytes(header[60:64], "big") if header.startswith(b"SQLite format 3\0") else 0


def _case(db: sqlite3.Connection, path: str, library: str | None) -> Case:
    db.row_factory = sqlite3.Row
    query = "SELECT * FROM media WHERE path = ? AND library IS ? ORDER BY file_id LIMIT 1"
    row = _media_row(db.execute(query, (path, library)).fetchone())
    identity, folder = row["file_id"], row["folder"]
    row["albums"] = [
        title for (title,) in db.execute("SELECT title FROM photo_albums WHERE file_id = ? ORDER BY title", (identity,))
    ]
    row["problems"] = [
        dict(problem)
        for problem in db.execute("SELECT stage, kind, message FROM problems WHERE file_id = ?", (identity,))
    ]
    below = f"{folder}/" if folder else ""
    states = {
        path[len(below) :]: state
        for path, state in db.execute(
            f"SELECT path, state FROM files WHERE path >= ? AND path < ? AND library IS ? {_PHOTOS_LAST}",
            (below, below + "\U0010ffff", library),
        )
        if "/" not in path[len(below) :]
    }
    read = {name: SidecarGist(_KINDS.get(state, "other")) for name, state in states.items() if _is_json(name)}
    for sidecar, title, taken_at in db.execute(
        "SELECT sidecar_path, title, sidecar_taken_at FROM media "
        "WHERE folder = ? AND library IS ? AND sidecar_path IS NOT NULL",
        (folder, library),
    ):
        taken = _time(taken_at)
        if sidecar[: len(below)] == below and sidecar[len(below) :] in read:
            read[sidecar[len(below) :]] = SidecarGist("item", title, from_time(taken) // 10**9 if taken else None)
    stem = split_extension(row["name"])[0].casefold()
    recorded = {
        name: own_time(to_known(_media_row(db.execute("SELECT * FROM media WHERE file_id = ?", (other,)).fetchone())))
        for other, name in db.execute(
            "SELECT file_id, name FROM media WHERE folder = ? AND library IS ?", (folder, library)
        )
        if split_extension(name)[0].casefold() == stem
    }
    related = dict(
        db.execute(
            "SELECT file_id, coalesce(library || '/', '') || path FROM media WHERE file_id IN (?, ?, ?)",
            [row[name] for name in RELATIONS],
        )
    )
    return Case(
        row,
        tuple(name for name, state in states.items() if state == "media"),
        tuple(read),
        read,
        recorded,
        related,
    )


def _media_row(row: sqlite3.Row) -> dict[str, Any]:
    """The scalar columns of a row of `media`, as RECORD types them."""
    return {name: _time(row[name]) if name in _TIMES else row[name] for name in row.keys()}  # noqa: SIM118


def _is_json(name: str) -> bool:
    return name.lower().endswith(".json")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
