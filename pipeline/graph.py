"""The dataflow: the stages as Dask bags. The only file that imports dask.bag; it builds and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import dask.bag as db

from pipeline.stages import Undated, date_media, extract, make_rows, read_archive, read_sidecars
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef, read_items
from pipeline.storage.parts import Part
from pipeline.storage.shards import write_shard


def build(
    references: Sequence[ShardRef],
    library: Library,
    manifest: str,
    shards: str,
    *,
    threads: int,
    all_tags: bool,
    verify: bool,
) -> db.Bag:
    """The bag whose one partition per shard is that shard's ShardDone.

    Its elements are shard references; a task reads its own slice of the manifest, keeps everything else to itself
    and leaves the rows in the folder `shards`. `threads` I/O threads per task run ahead of extraction (0: none);
    `verify` has members of archives read whole.

    A chain is fused into one task, whose rows are never together. If its end asked for the reference again there would be
    two, and all rows of a shard the result of the one that waits for the other.
    """
    names = db.from_sequence(references, npartitions=len(references))
    return (
        names.map(read_items, manifest)
        .flatten()
        .map_partitions(read_sidecars, library, threads)
        .map(extract, all_tags, verify)
        .map(make_rows)
        .map_partitions(write_shard, shards)
    )


def build_listing(parts: Sequence[Part], known: str, all_tags: bool) -> db.Bag:
    """The bag of one ArchiveRead per archive that can only be read front to back: its listing is its extraction."""
    return db.from_sequence(parts, npartitions=len(parts)).map(read_archive, known, all_tags)


def build_dating(undated: Sequence[Undated], library: Library) -> db.Bag:
    """The bag of what some media say of their time, one dict for each Undated."""
    return db.from_sequence(undated, npartitions=len(undated)).map(date_media, library)
