"""What differs between two finished indexes, found by SQLite. Nothing that grows with the libraries is kept in memory.

Both are opened for reading only and attached to one connection, the old one as `main`, the new one as `new`; what is found out
lies in temporary tables, which SQLite moves to a private file when they grow.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.planning import COPY
from pipeline.problems import RunError, UsageError
from pipeline.record import COMPARABLE, COMPARED, Column
from pipeline.storage.lookup import address_of, opened_index

#: What a photo or video ends in. `metadata`: equal content of which something else differs that people care about; `moved`:
#: gone from its path, while its content has come up at another; `unread`: one of the runs, or both, could not read its bytes.
OUTCOMES = ("unchanged", "metadata", "changed", "moved", "new", "removed", "unread")
#: What any other listed file ends in.
OTHER_OUTCOMES = ("unchanged", "changed", "new", "removed")
#: Bytes of each index that are read where they are in the page cache, and not copied.
MAPPED = 128 << 20
#: Pages of the new one that are kept in memory, in KiB: its files are looked up by an index of this size for two million.
CACHE = 64 << 10

#: The columns that are lists, as queries for what is in the list of one file.
_LISTS = {
    "albums": "SELECT file_id, title AS value FROM {side}.photo_albums",
    "people": "SELECT file_id, name AS value FROM {side}.media_people JOIN {side}.people USING (person_id)",
    "comments": "SELECT file_id, value FROM temp.comments_{side}",
}
#: The same for all files at once: the albums from their end, as most photos are in none, in this order of tables.
_ALL_LISTS = _LISTS | {
    "albums": """
        SELECT m.file_id, a.title AS value FROM {side}.media_albums ma JOIN {side}.albums a USING (album_id)
            CROSS JOIN {side}.media m ON m.file_id = ma.file_id WHERE m.duplicate_of IS NULL
        UNION ALL SELECT m.file_id, a.title FROM {side}.media_albums ma JOIN {side}.albums a USING (album_id)
            CROSS JOIN {side}.media m ON m.duplicate_of = ma.file_id
    """
}
_COMMENTS = """
CREATE TEMP TABLE comments_{side} AS
    SELECT file_id, json_object('text', text, 'author', author, 'created_at', created_at, 'liked', liked) AS value
    FROM {side}.comments WHERE file_id IS NOT NULL;
CREATE INDEX temp.comments_{side}_file ON comments_{side} (file_id);
"""
# Parts of one export may each have a file of one path: those that are alike count once, as they do when they are unpacked.
_OTHERS = """
INSERT INTO temp.others_{side}
    SELECT path, row_number() OVER (PARTITION BY path ORDER BY state, size), row, size, state FROM (
        SELECT path, state, size, min(rowid) AS row FROM {side}.files
        WHERE state <> 'media' AND (reason IS NULL OR substr(reason, 1, {length}) <> '{copy}') GROUP BY path, state, size
    )
"""
_SAME_OTHERS = """
INSERT INTO temp.others
    SELECT CASE
        WHEN o.state <> n.state OR (o.size IS NOT n.size AND {size_matters}) THEN 'changed' ELSE 'unchanged'
    END, o.row, n.row, o.path, o.state, n.state, o.size, n.size
    FROM temp.others_main o JOIN temp.others_new n USING (path, number)
"""
_OTHERS_ALONE = """
INSERT INTO temp.others
    SELECT '{outcome}', {old}, {new}, path, {states}, {sizes} FROM temp.others_{side}
    WHERE NOT EXISTS (
        SELECT 1 FROM temp.others_{other} x WHERE x.path = others_{side}.path AND x.number = others_{side}.number
    )
"""
_ALONE = """
INSERT INTO temp.differences
    SELECT '{outcome}', {old}, {new}, size FROM {side}.media m
    WHERE NOT EXISTS (SELECT 1 FROM {other}.media x WHERE x.file_id = m.file_id)
"""
# Each that is removed with one that is new and of equal content, in the order of their paths. Empty files are all alike.
_MOVES = """
INSERT INTO temp.moves
    SELECT gone.number, come.number
    FROM ({gone}) AS gone JOIN ({come}) AS come USING ({keys}, place)
"""
_MOVABLE = """
SELECT m.rowid AS number, {keys}, row_number() OVER (PARTITION BY {keys} ORDER BY path, file_id) AS place
FROM temp.differences d JOIN {side}.media m ON m.rowid = d.{column}
WHERE d.outcome = '{outcome}' AND m.size > 0 AND m.content_id IS NOT NULL
"""
_MOVED = """
UPDATE temp.differences SET outcome = 'moved', new = moves.new, size = n.size
    FROM temp.moves JOIN new.media n ON n.rowid = moves.new
    WHERE differences.outcome = 'removed' AND differences.old = moves.old;
DELETE FROM temp.differences WHERE outcome = 'new' AND new IN (SELECT new FROM temp.moves);
DELETE FROM temp.moves;
"""


def count_changes(old: Path, new: Path) -> dict[str, int]:
    """How many photos and videos ended in each of OUTCOMES, from the index `old` to the index `new`. Raises UsageError."""
    with compared(old, new) as differences:
        return differences.counts()


@contextmanager
def compared(old: Path, new: Path, everything: bool = False) -> Iterator[Differences]:
    """The differences between two indexes, by all columns that can be compared or by those that people care about.

    Raises UsageError if either is no index, is damaged, or another version's.
    """
    with opened_index(new):
        pass  # what is wrong with it is said of it
    with opened_index(old) as db:
        try:
            db.isolation_level = None
            db.execute("ATTACH ? AS new", (address_of(new),))
            for side in ("main", "new"):
                db.execute(f"PRAGMA {side}.mmap_size = {MAPPED}")
            db.execute(f"PRAGMA new.cache_size = -{CACHE}")
            yield Differences(db, COMPARABLE if everything else COMPARED, everything)
        except sqlite3.DatabaseError as error:
            kind = RunError if isinstance(error, sqlite3.OperationalError) else UsageError  # "database or disk is full"
            raise kind(f"cannot compare {old} and {new}: {error}") from error


class Differences:
    """What the photos and videos of two indexes ended in, and on demand their other files."""

    def __init__(self, db: sqlite3.Connection, columns: Sequence[Column], everything: bool = False) -> None:
        """Compare the photos and videos. `columns` are those in which files of equal content may differ."""
        self._db = db
        self._columns = {column.name: column for column in columns}
        self._everything = everything
        for side in ("main", "new"):
            db.executescript(_COMMENTS.format(side=side))
        db.execute("CREATE TEMP TABLE differences (outcome TEXT, old INTEGER, new INTEGER, size INTEGER)")
        db.execute("CREATE TEMP TABLE moves (old INTEGER PRIMARY KEY, new INTEGER)")
        db.execute("BEGIN")
        self._compare()
        db.execute(_ALONE.format(outcome="removed", old="rowid", new="NULL", side="main", other="new"))
        db.execute(_ALONE.format(outcome="new", old="NULL", new="rowid", side="new", other="main"))
        for keys in ("content_id, name", "content_id"):
            gone = _MOVABLE.format(keys=keys, side="main", column="old", outcome="removed")
            come = _MOVABLE.format(keys=keys, side="new", column="new", outcome="new")
            db.execute(_MOVES.format(gone=gone, come=come, keys=keys))
            for statement in _MOVED.strip().split(";\n"):
                db.execute(statement)
        db.execute("COMMIT")
        self._check()

    def _compare(self) -> None:
        """The files of one path, and thus one file_id, in both."""
        lists = [name for name in self._columns if name in _LISTS]
        self._db.execute("CREATE TEMP TABLE relisted (file_id TEXT PRIMARY KEY) WITHOUT ROWID")
        for name in lists:
            old, new = (_ALL_LISTS[name].format(side=side) for side in ("main", "new"))
            self._db.execute(
                f"""
                INSERT OR IGNORE INTO temp.relisted
                    SELECT file_id FROM (
                        SELECT file_id, value, 0 AS side FROM ({old}) UNION ALL SELECT file_id, value, 1 FROM ({new})
                    ) GROUP BY file_id, value HAVING min(side) = max(side)
                """
            )
        differ = " OR ".join(
            f"{_scalar('o', name)} IS NOT {_scalar('n', name)}" for name in self._columns if name not in _LISTS
        )
        self._db.execute(
            f"""
            INSERT INTO temp.differences
                SELECT CASE
                    WHEN o.content_id IS NULL OR n.content_id IS NULL THEN 'unread'
                    WHEN o.content_id <> n.content_id THEN 'changed'
                    WHEN {differ} OR o.file_id IN (SELECT file_id FROM temp.relisted) THEN 'metadata'
                    ELSE 'unchanged'
                END, o.rowid, n.rowid, n.size
                FROM main.media o JOIN new.media n ON n.file_id = o.file_id
            """
        )

    def _check(self) -> None:
        """Nothing is lost: every photo or video of either side has one outcome. A difference is a bug, not bad input."""
        for side, column in (("main", "old"), ("new", "new")):
            (rows,) = self._db.execute(f"SELECT count(*) FROM {side}.media").fetchone()
            found = self._db.execute(
                f"SELECT count({column}), count(DISTINCT {column}) FROM temp.differences"
            ).fetchone()
            if found != (rows, rows):
                raise AssertionError(
                    f"totals differ: {rows:,} rows of {side}.media, {found[0]:,} and {found[1]:,} outcomes"
                )

    def counts(self) -> dict[str, int]:
        """How many ended in each of OUTCOMES."""
        found = dict(self._db.execute("SELECT outcome, count(*) FROM temp.differences GROUP BY outcome"))
        return {outcome: found.get(outcome, 0) for outcome in OUTCOMES}

    def bytes(self) -> dict[str, int]:
        """How many bytes they have, as they are in the new index; of what is removed, as they were."""
        found = dict(self._db.execute("SELECT outcome, sum(size) FROM temp.differences GROUP BY outcome"))
        return {outcome: found.get(outcome) or 0 for outcome in OUTCOMES}

    def columns(self) -> dict[str, int]:
        """By column, how many files of equal content differ in it, those at another path included; most first."""
        totals = ", ".join(f"total({self._value('o', n)} IS NOT {self._value('n', n)})" for n in self._columns)
        (row,) = self._db.execute(
            f"SELECT {totals} FROM temp.differences d JOIN main.media o ON o.rowid = d.old JOIN new.media n ON n.rowid = d.new "
            "WHERE d.outcome IN ('metadata', 'moved')"
        )
        found = zip(self._columns, map(int, row), strict=True)
        return {name: count for name, count in sorted(found, key=lambda each: -each[1]) if count}

    def media(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """The photos and videos that are not the same, by outcome and path; at most so many of an outcome."""
        values = ", ".join(f"{self._value(side, name)}" for name in self._columns for side in ("o", "n"))
        for outcome in OUTCOMES[1:]:
            for row in self._db.execute(
                f"""
                SELECT o.file_id, o.path, o.part, o.size, o.content_id, n.file_id, n.path, n.part, n.size, n.content_id,
                    {_copy_of(outcome)}, {_listed_as(outcome)}, {values}
                FROM (
                    SELECT d.old, d.new, coalesce(n.path, o.path) AS path, coalesce(n.file_id, o.file_id) AS file_id
                    FROM temp.differences d
                        LEFT JOIN main.media o ON o.rowid = d.old LEFT JOIN new.media n ON n.rowid = d.new
                    WHERE d.outcome = ? ORDER BY 3, 4 LIMIT ?
                ) AS d LEFT JOIN main.media o ON o.rowid = d.old LEFT JOIN new.media n ON n.rowid = d.new
                ORDER BY d.path, d.file_id
                """,
                (outcome, -1 if limit is None else limit),
            ):
                old, new = _side(row[:5]), _side(row[5:10])
                yield {
                    "outcome": outcome,
                    "path": (new or old or {})["path"],
                    "old": old,
                    "new": new,
                    "changes": list(self._changes(row[12:])) if old and new else [],
                    "copy_of": row[10],
                    "reason": row[11] or (_unread(old, new) if outcome == "unread" else None),
                }

    def _changes(self, values: Sequence[Any]) -> Iterator[dict[str, Any]]:
        for (name, column), then, now in zip(self._columns.items(), values[::2], values[1::2], strict=True):
            if then != now:
                yield {"column": name, "then": _python_value(column, then), "now": _python_value(column, now)}

    def _value(self, side: str, name: str) -> str:
        """SQL for a column of the row `o` or `n`."""
        if name not in _LISTS:
            return _scalar(side, name)
        values = _LISTS[name].format(side="main" if side == "o" else "new")
        return (
            f"(SELECT json_group_array(value) FROM (SELECT DISTINCT value FROM ({values}) "
            f"WHERE file_id = {side}.file_id ORDER BY value))"
        )

    def compare_others(self) -> None:
        """Compare the listed files that are no photos or videos, which `others` and `other_counts` then tell of."""
        db = self._db
        db.execute(
            "CREATE TEMP TABLE others (outcome TEXT, old INTEGER, new INTEGER, path TEXT, old_state TEXT, new_state TEXT, "
            "old_size INTEGER, new_size INTEGER)"
        )
        db.execute("BEGIN")
        for side in ("main", "new"):
            db.execute(
                f"CREATE TEMP TABLE others_{side} (path TEXT, number INTEGER, row INTEGER, size INTEGER, state TEXT, "
                "PRIMARY KEY (path, number)) WITHOUT ROWID"
            )
            db.execute(_OTHERS.format(side=side, length=len(COPY), copy=COPY))
        # What sidecars say is compared by column; their bytes alone differ in every export, as they count views.
        db.execute(_SAME_OTHERS.format(size_matters="1" if self._everything else "o.state <> 'sidecar'"))
        for values in (
            {"outcome": "removed", "old": "row", "new": "NULL", "states": "state, NULL", "sizes": "size, NULL"}
            | {"side": "main", "other": "new"},
            {"outcome": "new", "old": "NULL", "new": "row", "states": "NULL, state", "sizes": "NULL, size"}
            | {"side": "new", "other": "main"},
        ):
            db.execute(_OTHERS_ALONE.format(**values))
        db.execute("COMMIT")
        for side, column in (("main", "old"), ("new", "new")):
            (rows,) = db.execute(f"SELECT count(*) FROM temp.others_{side}").fetchone()
            (found,) = db.execute(f"SELECT count({column}) FROM temp.others").fetchone()
            if found != rows:
                raise AssertionError(f"totals differ: {rows:,} other files in {side}, {found:,} outcomes")

    def other_counts(self) -> dict[str, dict[str, int]]:
        """How many of them ended in each of OTHER_OUTCOMES, by their state, in the new index if they are there."""
        found: dict[str, dict[str, int]] = {}
        for state, outcome, count in self._db.execute(
            "SELECT coalesce(new_state, old_state) AS state, outcome, count(*) FROM temp.others GROUP BY 1, 2 ORDER BY 1"
        ):
            found.setdefault(state, dict.fromkeys(OTHER_OUTCOMES, 0))[outcome] = count
        return found

    def others(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Those that are not the same, by outcome and path; at most so many of an outcome, sidecars last."""
        for outcome in OTHER_OUTCOMES[1:]:
            for path, old_state, new_state, old_size, new_size, reason in self._db.execute(
                """
                SELECT d.path, old_state, new_state, old_size, new_size, coalesce(n.reason, o.reason)
                FROM temp.others d LEFT JOIN main.files o ON o.rowid = d.old LEFT JOIN new.files n ON n.rowid = d.new
                WHERE outcome = ? ORDER BY coalesce(new_state, old_state) = 'sidecar', d.path, d.old, d.new LIMIT ?
                """,
                (outcome, -1 if limit is None else limit),
            ):
                yield {
                    "outcome": outcome,
                    "path": path,
                    "old": {"state": old_state, "size": old_size} if old_state else None,
                    "new": {"state": new_state, "size": new_size} if new_state else None,
                    "reason": reason,
                }


def _scalar(side: str, name: str) -> str:
    """SQL for a column of the row `o` or `n`, as it is compared."""
    if name == "sidecar_path":  # its name depends on the age of the export
        return f"({side}.sidecar_path IS NOT NULL)"
    if name in ("taken_at", "taken_local"):  # a file's time is that of the download, or of unpacking
        return f"CASE WHEN {side}.taken_at_rule IS NOT 'modified' THEN {side}.{name} END"
    return f'{side}."{name}"'


def _copy_of(outcome: str) -> str:
    """SQL for the first path at which the other index has the content of what is new or removed."""
    if outcome not in ("new", "removed"):
        return "NULL"
    side, other = ("n", "main") if outcome == "new" else ("o", "new")
    return f"(SELECT min(path) FROM {other}.media c WHERE c.content_id = {side}.content_id AND {side}.size > 0)"


def _listed_as(outcome: str) -> str:
    """SQL for what the path of a removed photo or video is in the new index all the same, and that of a new one was."""
    if outcome not in ("new", "removed"):
        return "NULL"
    side, other, verb = ("n", "main", "was") if outcome == "new" else ("o", "new", "is")
    return (
        f"(SELECT '{verb} ' || f.state || coalesce(': ' || f.reason, '') FROM {other}.files f "
        f"WHERE f.path = {side}.path AND f.state <> 'media' ORDER BY f.rowid LIMIT 1)"
    )


def _side(row: Sequence[Any]) -> dict[str, Any] | None:
    if row[0] is None:
        return None
    return dict(zip(("file_id", "path", "part", "size", "content_id"), row, strict=True))


def _unread(old: dict[str, Any] | None, new: dict[str, Any] | None) -> str:
    where = [name for name, side in (("OLD", old), ("NEW", new)) if side and side["content_id"] is None]
    return f"could not be read in {' and in '.join(where)}"


def _python_value(column: Column, value: Any) -> Any:
    """A value as RECORD types it."""
    if column.name == "sidecar_path" or (pa.types.is_boolean(column.type) and value is not None):
        return bool(value)
    if column.name in _LISTS:
        found = json.loads(value)
        return [json.loads(each) for each in found] if column.name == "comments" else found
    return value
