"""Verifying: what an index says of every file, held against the library as it is now. Pure.

Every file of the index ends in one of OUTCOMES, and so does every file that the index does not have.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.item import stored_text
from pipeline.problems import Problem

#: What a file ends in. `known` could not be read when it was scanned either, for the same reason; of what is `not_checked` the
#: index has nothing to compare with; `new` is not in the index.
OUTCOMES = ("same", "differs", "unreadable", "missing", "known", "not_checked", "new")
#: Those that mean that something is not as it was.
DAMAGE = ("differs", "unreadable", "missing")
#: By what files are found to be the same: the CRC-32 of the index, else that which their archive states, else size alone.
COMPARED_BY = ("crc32", "archive", "size")
#: Kinds of problems by which a file cannot be read here and is not damaged.
_BEYOND_US = ("encrypted", "method")


class Found(NamedTuple):
    """One name of the library as it is now: a file that was read whole (`crc32`), that could not be (`problem`), or that is
    never opened (`ignored` says why). What is wrong with an archive as a whole is a problem under the archive's own name.
    """

    path: str  # as `Entry.path`
    part: str
    order: int  # of those of one path in one part
    size: int = 0
    crc32: int | None = None
    stated: bool = False  # its archive states a CRC-32
    unlike: str | None = None  # what else the archive states than is there
    odd: tuple[str, ...] = ()  # what the archive says of it twice, and differently
    problem: Problem | None = None
    ignored: str | None = None
    repeated: bool = False  # its part has more of this path


class Recorded(NamedTuple):
    """What the index says of one file. `crc32` is set for media that could be read."""

    number: int  # of its row
    path: str  # as `Entry.path`
    part: str
    size: int | None
    state: str
    crc32: int | None = None
    reasons: tuple[str, ...] = ()  # why it could not be read, or what else was wrong


@dataclass(frozen=True, slots=True)
class Change:
    """What differs: ``size`` or ``CRC-32``."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one file ended in; `reason` says why, where the outcome and the changes do not."""

    outcome: str
    path: str
    part: str
    reason: str | None = None
    changes: tuple[Change, ...] = ()
    by: str = ""  # of what is the same: one of COMPARED_BY


@dataclass(frozen=True, slots=True)
class Lost:
    """A part of which nothing can be had: it is gone (``missing``), or cannot be opened (``unreadable``)."""

    part: str
    place: str
    outcome: str
    reason: str


def judge(row: Recorded, found: Found) -> Verdict:
    """What a file has come to.

    >>> judge(Recorded(1, "a.jpg", "p", 9, "media", 0xA), Found("a.jpg", "p", 0, 9, 0xB)).changes
    (Change(what='CRC-32', then='0000000a', now='0000000b'),)
    """
    path, part = stored_text(row.path), row.part
    if found.problem is not None:
        reason = stored_text(found.problem.message)
        beyond_us = found.problem.kind in _BEYOND_US and (row.crc32 is None or row.state != "media")
        outcome = "known" if reason in row.reasons else "not_checked" if beyond_us else "unreadable"
        return Verdict(outcome, path, part, reason)
    if found.crc32 is None:
        return Verdict("not_checked" if row.state == "ignored" else "unreadable", path, part, found.ignored)
    changes = tuple(_changes(row, found))
    unlike = stored_text(found.unlike) if found.unlike else None
    if unlike in row.reasons:
        return Verdict("known", path, part, unlike)
    if changes or unlike:
        return Verdict("differs", path, part, unlike if not changes else None, changes)
    if row.crc32 is None and row.state in ("media", "unreadable"):
        return Verdict("not_checked", path, part, f"could not be read when it was scanned: {'; '.join(row.reasons)}")
    if row.state == "media" and (odd := [each for each in map(stored_text, found.odd) if each not in row.reasons]):
        return Verdict("differs", path, part, "; ".join(odd))
    by = "crc32" if row.crc32 is not None else "archive" if found.stated else "size" if row.size is not None else ""
    return Verdict("same" if by else "not_checked", path, part, None if by else "the index has no size of it", by=by)


def _changes(row: Recorded, found: Found) -> Iterator[Change]:
    if row.size is not None and found.size != row.size:
        yield Change("size", str(row.size), str(found.size))
    if row.crc32 is not None and found.crc32 != row.crc32:
        yield Change("CRC-32", f"{row.crc32:08x}", f"{found.crc32:08x}")


def pair_up(rows: Sequence[Recorded], found: Sequence[Found]) -> Iterator[tuple[Recorded | None, Found]]:
    """Each of several files of one path in one part, with its row: those that agree first, then the others in order.

    So that, where one of them is gone or new, the others are not said to differ.
    """
    waiting: dict[Hashable, deque[Recorded]] = defaultdict(deque)
    for row in sorted(rows, key=lambda row: row.number):
        for mark in ((row.size, row.crc32), *row.reasons):
            waiting[mark].append(row)
    taken: set[int] = set()
    rest: list[Found] = []
    for each in sorted(found, key=lambda each: each.order):
        said = stored_text(each.problem.message) if each.problem else None
        for mark in (said,) if said else ((each.size, each.crc32), (each.size, None)):
            line = waiting.get(mark, deque())
            while line and line[0].number in taken:
                line.popleft()
            if line:
                taken.add(line[0].number)
                yield line.popleft(), each
                break
        else:
            rest.append(each)
    left = deque(row for row in sorted(rows, key=lambda row: row.number) if row.number not in taken)
    for each in rest:
        yield left.popleft() if left else None, each


class Comparison:
    """The files of a library, as they are found, against those of an index, which `look_up` gives by path.

    Memory: a byte per file of the index, and what is not the same.
    """

    def __init__(self, look_up: Callable[[Sequence[str]], Iterable[Recorded]], last: int) -> None:
        """`last` is the highest number of a row of the index."""
        self.counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.compared_by: Counter[str] = Counter(dict.fromkeys(COMPARED_BY, 0))
        self.verdicts: list[Verdict] = []  # of all that is not the same
        self.found = self.matched = 0
        self._look_up = look_up
        self._seen = bytearray(last + 1)
        self._late: list[Found] = []  # of paths of which a part has several
        self._closed: dict[tuple[str, str], str] = {}  # folders that cannot be listed, and why

    @property
    def damaged(self) -> int:
        """Files that are not as they were, so far."""
        return sum(self.counts[outcome] for outcome in DAMAGE)

    def add(self, batch: Sequence[Found]) -> None:
        """Compare some files."""
        rows = self._rows(batch)
        for each in batch:
            group = rows.get((each.path, each.part), [])
            if len(group) > 1 or each.repeated:
                self._late.append(each)
            else:
                self._settle(group[0] if group and not self._seen[group[0].number] else None, each)

    def finish(self, rows: Iterable[Recorded], lost: Iterable[tuple[Lost, int]]) -> None:
        """Settle what had to wait: paths that a part has several times, and those `rows` of the index that were not met.

        Parts that are `lost` come with the number of their files, and without their rows.
        """
        groups: dict[tuple[str, str], list[Found]] = defaultdict(list)
        for each in self._late:
            groups[each.path, each.part].append(each)
        for found in groups.values():
            for row, each in pair_up(self._rows(found[:1]).get((found[0].path, found[0].part), []), found):
                self._settle(row, each)
        for row in rows:
            if not self._seen[row.number]:
                self._seen[row.number] = 1
                self._count(self._not_met(row))
        for part, files in lost:
            self.counts[part.outcome] += files

    def check(self, files: int) -> None:
        """Nothing is lost: all `files` of the index, and all that were found, have one outcome. A difference is a bug."""
        without_row = self.found - self.matched
        if sum(self.counts.values()) != files + without_row or self.counts["new"] > without_row:
            raise AssertionError(
                f"totals differ: {files:,} files in the index and {without_row:,} that it does not have, "
                f"but {sum(self.counts.values()):,} have an outcome"
            )

    def _rows(self, batch: Sequence[Found]) -> dict[tuple[str, str], list[Recorded]]:
        rows: dict[tuple[str, str], list[Recorded]] = {}
        for row in self._look_up([stored_text(each.path) for each in batch]):
            rows.setdefault((row.path, row.part), []).append(row)
        return rows

    def _settle(self, row: Recorded | None, found: Found) -> None:
        self.found += 1
        if found.problem is not None and found.problem.stage == "list":
            self._closed[found.part, found.path.rstrip("/")] = stored_text(found.problem.message)
        if row is not None:
            self.matched += 1
            self._seen[row.number] = 1
            self._count(judge(row, found))
            return
        # A new file that cannot be read is no damage of what there was; a folder or an archive that cannot be is.
        problem = found.problem
        outcome = "unreadable" if problem is not None and problem.stage == "list" else "new"
        reason = stored_text(problem.message) if problem else found.ignored
        self._count(Verdict(outcome, stored_text(found.path), found.part, reason))

    def _not_met(self, row: Recorded) -> Verdict:
        path = stored_text(row.path)
        above = row.path
        while above:
            above = above.rpartition("/")[0]
            if (reason := self._closed.get((row.part, above))) is not None:
                return Verdict("unreadable", path, row.part, f"{stored_text(above)}: {reason}" if above else reason)
        if row.state == "unreadable" and (row.path == row.part or row.size is None):
            reason = f"what could not be read when it was scanned is not met now: {'; '.join(row.reasons)}"
            return Verdict("not_checked", path, row.part, reason)
        return Verdict("missing", path, row.part)

    def _count(self, verdict: Verdict) -> None:
        self.counts[verdict.outcome] += 1
        if verdict.outcome == "same":
            self.compared_by[verdict.by] += 1
        else:
            self.verdicts.append(verdict)
