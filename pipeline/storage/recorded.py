"""What a finished index says of every file, for comparing; it is opened for reading only."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from pipeline.item import stored_text
from pipeline.planning import COPY, file_id
from pipeline.problems import UsageError
from pipeline.storage.parts import Part, part_of
from pipeline.verifying import Recorded

#: Paths looked up by one query.
PATHS = 256


class PartTotal(NamedTuple):
    """What the index has of one part."""

    files: int
    size: int


def report_of(db: sqlite3.Connection) -> dict[str, Any]:
    """What the run that made an index said of itself."""
    (text,) = db.execute("SELECT report FROM runs ORDER BY run_id DESC LIMIT 1").fetchone() or ("{}",)
    report: dict[str, Any] = json.loads(text)
    return report


def sources_of(db: sqlite3.Connection) -> list[Part]:
    """The parts that an index is of, as they are now. Raises UsageError if the run did not say where they are."""
    try:
        return [part_of(source) for source in report_of(db)["sources"]]
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            "these results do not say where their input is, as an earlier version of this program wrote them: scan again"
        ) from None


class RecordedFiles:
    """The files of an index. Nothing is kept in memory."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.last: int = db.execute("SELECT coalesce(max(rowid), 0) FROM files").fetchone()[0]
        self.parts = {
            part: PartTotal(files, size)
            for part, files, size in db.execute("SELECT part, count(*), total(size) FROM files GROUP BY part")
        }
        self.files = sum(part.files for part in self.parts.values())
        self.size = int(sum(part.size for part in self.parts.values()))

    def report(self) -> dict[str, Any]:
        """What the run said of itself."""
        return report_of(self._db)

    def sources(self) -> list[Part]:
        """The parts that were scanned, as they are now. Raises UsageError if the run did not say where they are."""
        return sources_of(self._db)

    def look_up(self, paths: Sequence[str]) -> Iterator[Recorded]:
        """The files of these paths, as stored, of all parts."""
        wanted = iter(dict.fromkeys(paths))
        while some := list(islice(wanted, PATHS)):
            yield from self._look_up(some)

    def _look_up(self, paths: Sequence[str]) -> Iterator[Recorded]:
        marks = ", ".join("?" * len(paths))
        listed = self._db.execute(
            f"SELECT rowid, path, path_bytes, part, size, state, reason FROM files WHERE path IN ({marks}) ORDER BY rowid",
            paths,
        ).fetchall()
        media: dict[tuple[str, str], list[_Medium]] = {}
        for path, raw, part, *fields in self._db.execute(
            "SELECT path, path_bytes, part, file_id, coalesce(scan_file_id, file_id), size, crc32, status "
            f"FROM media WHERE path IN ({marks})",
            paths,
        ).fetchall():
            media.setdefault((path_of(path, raw, part), part), []).append(_Medium(*fields))
        often = Counter(path for _, path, *_ in listed)
        for (path, _), group in media.items():
            if len(group) > 1:  # in their order, which their ids say
                order = {file_id(path, number): number for number in range(often[stored_text(path)])}
                group.sort(key=lambda medium: order.get(medium.scan_file_id, -1))
        said = self._said([each.file_id for group in media.values() for each in group if each.status != "ok"])
        following = {key: iter(group) for key, group in media.items()}
        for number, text, raw, part, size, state, reason in listed:
            path = path_of(text, raw, part)
            reasons = [reason] if reason else []
            medium = None
            if state == "media" and (medium := next(following.get((path, part), iter(())), None)) is not None:
                reasons += said.get(medium.file_id, [])
            elif reason and reason.startswith(COPY):  # the bytes of another part's file
                medium = next(iter(media.get((path, reason.removeprefix(COPY)), [])), None)
            crc32 = None
            if medium is not None and medium.crc32 is not None:
                size, crc32 = medium.size, int(medium.crc32, 16)
            yield Recorded(number, path, part, size, state, crc32, tuple(dict.fromkeys(reasons)))

    def _said(self, identities: Sequence[str]) -> dict[str, list[str]]:
        """What was wrong with media."""
        found: dict[str, list[str]] = defaultdict(list)
        marks = ", ".join("?" * len(identities))
        for identity, message in self._db.execute(
            f"SELECT file_id, message FROM problems WHERE file_id IN ({marks}) AND stage IN ('list', 'read')",
            identities,
        ):
            found[identity].append(message)
        return found

    def rows(self, without: Collection[str]) -> Iterator[Recorded]:
        """Every file but those of the parts `without`, as the table `files` alone has it."""
        for number, text, raw, part, size, state, reason in self._db.execute(
            "SELECT rowid, path, path_bytes, part, size, state, reason FROM files ORDER BY rowid"
        ):
            if part not in without:
                yield Recorded(number, path_of(text, raw, part), part, size, state, reasons=(reason,) if reason else ())


class _Medium(NamedTuple):
    file_id: str
    scan_file_id: str
    size: int
    crc32: str | None
    status: str


def path_of(text: str, raw: bytes | None, part: str) -> str:
    """A path as the listing has it. What is said of an archive as a whole stands under its name, which is always text."""
    return text if raw is None or text == part else os.fsdecode(raw)
