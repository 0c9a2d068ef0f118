"""The dataflow: the stages as Dask bags. The only file that imports dask.bag; it builds and computes nothing.

Each of its three graphs is made of references, one partition for each, and knows how to go on when a process has died over one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar

import dask.bag as db

from pipeline.alone import Task, work_alone
from pipeline.item import Entry
from pipeline.limits import NONE, Limits
from pipeline.path_map import PathMap
from pipeline.stages import (
    ArchiveRef,
    Question,
    answer,
    archive_mark,
    extract,
    hand_in,
    hand_out,
    make_rows,
    read_archive,
    read_sidecars,
)
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef, read_items
from pipeline.storage.marks import Progress, has_mark, mark_path, take_mark
from pipeline.storage.remote import is_url
from pipeline.storage.shards import write_shard

#: Deaths over one reference that say nothing of what it was, until it is no longer tried as it stands.
MOST_DEATHS = 3
#: Items that one task works on alone, so that other workers have a share of them.
ALONE_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Reading:
    """The bag whose one partition per shard is that shard's ShardDone.

    Its elements are shard references; a task reads its own slice of the manifest, keeps everything else to itself
    and leaves the rows in the folder `shards`; in `marks` it tells how far it is. `threads` I/O threads per task run ahead of
    extraction (0: none); `verify` has members of archives read whole. `limits` are set to the process that a task runs in.
    Where that is on a cluster of others, `elsewhere` says at which paths its workers have all this. Where marks cannot be seen
    from here, `marks` is empty.
    """

    reported: ClassVar[bool] = True

    library: Library
    manifest: str
    shards: str
    marks: str
    threads: int
    all_tags: bool
    verify: bool
    limits: Limits = NONE
    elsewhere: PathMap | None = None

    def __call__(self, references: Sequence[ShardRef]) -> db.Bag:
        """Its graph for these shards: all of them whole, or one of which some items are worked on alone.

        A chain is fused into one task, whose rows are never together. If its end asked for the reference again there would be
        two, and all rows of a shard the result of the one that waits for the other.
        """
        if self.elsewhere is not None:
            return _there(self, self.library.__dask_tokenize__())(references)
        names = db.from_sequence(references, npartitions=len(references))
        # Dask looks for graphs in all that it is given as an argument, and a library may have thousands of parts.
        read = partial(
            read_sidecars, library=self.library, threads=self.threads, all_tags=self.all_tags, verify=self.verify
        )
        threads = self.threads * (2 if self.library.waits else 1)  # for each that reads, another fetches ahead
        if references[0].alone:
            task = Task(self.library, self.shards, self.all_tags, self.verify, self.limits)
            return names.map(partial(work_alone, manifest=self.manifest, task=task)).flatten()
        return (
            names.map(read_items, self.manifest)
            .flatten()
            .map_partitions(hand_out, self.marks, self.limits, threads)
            .map_partitions(read)
            .map(extract, self.all_tags, self.verify)
            .map(make_rows)
            .map_partitions(hand_in)
            .map_partitions(write_shard, self.shards, self.marks)
        )

    def has_begun(self, reference: ShardRef) -> bool:
        """A task is at work on the shard. Items alone are not worth waiting for: each that is done is kept."""
        return not reference.alone and (not self.marks or has_mark(mark_path(self.marks, reference.name)))

    def after_death(self, reference: ShardRef, kind: str) -> list[ShardRef]:
        """The shard without the items that were at work, and these alone; the second time, all of its items are.

        A task that had not begun was somebody else's victim.
        """
        if not self.marks and not reference.alone:
            return self._blindly(reference)
        found = take_mark(mark_path(self.marks, reference.name))
        if found is None or reference.alone:
            return [reference]
        if found.begun == found.finished and reference.deaths < MOST_DEATHS:
            return [reference._replace(deaths=reference.deaths + 1)]
        left = self._left(reference)
        if found.begun == found.finished or reference.left_out:
            return _one_by_one(reference, left)
        suspects = tuple(left[found.finished : found.begun])
        alone = reference._replace(alone=suspects)
        return [alone, reference._replace(left_out=suspects)] if len(suspects) < len(left) else [alone]

    def _blindly(self, reference: ShardRef) -> list[ShardRef]:
        """The shard again, of which it is not known how far it was; the second time, all of its items alone."""
        if reference.deaths:
            return _one_by_one(reference, self._left(reference))
        return [reference._replace(deaths=1)]

    def _left(self, reference: ShardRef) -> list[int]:
        """The positions of a shard's items that are not left out."""
        everything = len(read_items(reference._replace(left_out=()), self.manifest))
        return [at for at in range(everything) if at not in reference.left_out]


@lru_cache(maxsize=4)
def _there(reading: Reading, _packed: bytes) -> Reading:
    """The same as workers elsewhere see it. Of two libraries that are equal each is let in by its own signatures."""
    assert reading.elsewhere is not None
    there = reading.elsewhere.there
    return replace(
        reading,
        library=reading.library.elsewhere(there),
        manifest=there(reading.manifest),
        shards=there(reading.shards),
        marks=reading.marks and there(reading.marks),
        elsewhere=None,
    )


def _one_by_one(reference: ShardRef, items: Sequence[int]) -> list[ShardRef]:
    """References that have some items of a shard worked on alone, some at a time."""
    batches = (tuple(items[at : at + ALONE_AT_ONCE]) for at in range(0, len(items), ALONE_AT_ONCE))
    return [reference._replace(left_out=(), alone=batch) for batch in batches]


@dataclass(frozen=True, slots=True)
class ReadingArchives:
    """The bag of one ArchiveRead per archive that can only be read front to back: its listing is its extraction."""

    reported: ClassVar[bool] = True

    known: str
    all_tags: bool
    limits: Limits = NONE
    elsewhere: PathMap | None = None

    def __call__(self, references: Sequence[ArchiveRef]) -> db.Bag:
        """Its graph for these archives."""
        known = self.known
        if self.elsewhere is not None:
            there = self.elsewhere.there
            known = there(known)
            references = [each._replace(part=each.part.elsewhere(there)) for each in references]
        archives = db.from_sequence(references, npartitions=len(references))
        return archives.map(read_archive, known, self.all_tags, self.limits)

    def has_begun(self, reference: ArchiveRef) -> bool:
        """A task is at work on the archive."""
        return is_url(self.known) or has_mark(archive_mark(self.known, reference.part))

    def after_death(self, reference: ArchiveRef, kind: str) -> list[ArchiveRef]:
        """The archive again. The second time that a process dies over a member, that is passed over."""
        found = None if is_url(self.known) else take_mark(archive_mark(self.known, reference.part))
        if found is None:
            if not is_url(self.known):
                return [reference]
            found = Progress(0, 0, False)  # it is not known how far it was
        kind = "too_slow" if found.too_slow else kind
        if found.begun > found.finished:
            if found.finished == reference.suspect:
                return [reference._replace(suspect=-1, passed=(*reference.passed, (found.finished, kind)), deaths=0)]
            return [reference._replace(suspect=found.finished)]
        if reference.deaths < MOST_DEATHS:
            return [reference._replace(deaths=reference.deaths + 1)]
        return [reference._replace(closed=kind)]


@dataclass(frozen=True, slots=True)
class Asking:
    """The bag of what files answer, one dict for each Question: what `ask` says of them, by `threads` threads.

    Nothing (None) of one that two processes have died over.
    """

    reported: ClassVar[bool] = False  # pairing asks time and again

    ask: Callable[[Entry, Library], Any]
    library: Library
    threads: int = 0
    limits: Limits = NONE

    def __call__(self, references: Sequence[Question]) -> db.Bag:
        """Its graph for these files."""
        questions = db.from_sequence(references, npartitions=len(references))
        ask = partial(answer, ask=self.ask, library=self.library, threads=self.threads, limits=self.limits)
        return questions.map(ask)

    def has_begun(self, reference: Question) -> bool:
        """It is not known, and does not take long."""
        return True

    def after_death(self, reference: Question, kind: str) -> list[Question]:
        """Its files one by one; one that two processes have died over says nothing."""
        if len(reference.files) > 1:
            return [replace(reference, files=(each,)) for each in reference.files]
        return [replace(reference, deaths=reference.deaths + 1)]
