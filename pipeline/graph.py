"""The dataflow: the stages as one Dask bag. The only file that imports dask.bag; it builds and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import dask.bag as db

from pipeline.stages import extract, make_rows, read_sidecars
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef, read_items
from pipeline.storage.shards import write_shard


def build(
    references: Sequence[ShardRef], library: Library, manifest: str, shards: str, threads: int, all_tags: bool
) -> db.Bag:
    """The bag whose one partition per shard is that shard's ShardDone.

    Its elements are shard references; a task reads its own slice of the manifest, keeps everything else to itself
    and leaves the rows in the folder `shards`. `threads` I/O threads per task run ahead of extraction (0: none).
    """
    names = db.from_sequence(references, npartitions=len(references))
    return (
        names.map(read_items, manifest)
        .flatten()
        .map_partitions(read_sidecars, library, threads)
        .map(extract, all_tags)
        .map(make_rows)
        .map_partitions(write_shard, names, shards)
    )
