"""The manifest: all the work of a run, planned, as one Parquet file with one row group per shard."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.item import Entry, MediaItem, stored_text
from pipeline.planning import Shard
from pipeline.problems import Problem
from pipeline.storage.durable import whole_file

#: An Entry, its fields in their order. Paths are kept as bytes: they need not be text.
_ENTRY = pa.struct(
    [
        ("path", pa.binary()),
        ("part", pa.binary()),
        ("size", pa.int64()),
        ("modified_ns", pa.int64()),
        ("crc32", pa.uint32()),
        ("at", pa.int64()),
        ("packed", pa.int64()),
        ("method", pa.int32()),
    ]
)
#: A MediaItem as planned, its fields in their order.
_SCHEMA = pa.schema(
    [
        ("media", _ENTRY),
        ("file_id", pa.string()),
        ("sidecar", _ENTRY),
        ("sidecar_rule", pa.string()),
        ("edited_of", pa.string()),
        ("live_partner", pa.string()),
        ("album", pa.string()),
        ("folder_kind", pa.string()),
        ("folder_date", pa.string()),
        ("problems", pa.list_(pa.struct([("stage", pa.string()), ("kind", pa.string()), ("message", pa.string())]))),
    ]
)


#: Fills the place of an entry that there is none of.
_NONE = Entry("", "", 0)


class ShardRef(NamedTuple):
    """What the graph carries of a shard: its name, and where the manifest has its items."""

    name: str
    row_group: int


def write_manifest(shards: Iterable[Shard], path: Path) -> list[ShardRef]:
    """Write the manifest, one row group per shard, and return a reference to each shard, in order."""
    references = []
    # As shards, it is read once, by us.
    settings = {"compression": "lz4", "use_dictionary": False, "write_statistics": False}
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, **settings) as writer:
        for number, shard in enumerate(shards):
            writer.write_table(_table(shard.items), row_group_size=max(len(shard.items), 1))
            references.append(ShardRef(shard.name, number))
    return references


#: When the work at a shard began in this process, seconds since 1970: what writes the shard takes it out.
began: dict[str, float] = {}


def read_items(reference: ShardRef, path: str) -> list[MediaItem]:
    """The items of one shard, at which the work begins with this."""
    began[reference.name] = time.time()
    state = os.stat(path)
    manifest = _manifest(path, state.st_mtime_ns, state.st_ino, threading.get_ident())
    return list(_items(manifest.read_row_group(reference.row_group, use_threads=False)))


def read_manifest(path: Path) -> Iterator[MediaItem]:
    """Every item of the manifest, in order."""
    with pq.ParquetFile(path) as manifest:
        for number in range(manifest.num_row_groups):
            yield from _items(manifest.read_row_group(number, use_threads=False))


def shards_in(path: Path) -> int:
    """How many shards the manifest has."""
    with pq.ParquetFile(path) as manifest:
        return int(manifest.num_row_groups)


@lru_cache(maxsize=64)
def _manifest(path: str, _modified_ns: int, _inode: int, _thread: int) -> pq.ParquetFile:
    """The open manifest; its footer is parsed once per thread, as threads cannot share it."""
    return pq.ParquetFile(path)


# By column: Arrow takes rows, and structs in them, apart one by one.


def _table(items: Sequence[MediaItem]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [getattr(item, name) for item in items] for name in _SCHEMA.names}
    columns["problems"] = [[_problem_row(problem) for problem in item.problems] for item in items]
    arrays = [
        _entry_array(columns[field.name]) if field.type == _ENTRY else pa.array(columns[field.name], field.type)
        for field in _SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def _entry_array(entries: Sequence[Entry | None]) -> pa.StructArray:
    there = [entry or _NONE for entry in entries]
    columns: dict[str, list[Any]] = {field.name: [getattr(entry, field.name) for entry in there] for field in _ENTRY}
    for name in ("path", "part"):
        columns[name] = list(map(os.fsencode, columns[name]))
    return pa.StructArray.from_arrays(
        [pa.array(columns[field.name], field.type) for field in _ENTRY],
        fields=list(_ENTRY),
        mask=pa.array([entry is None for entry in entries], pa.bool_()),
    )


def _problem_row(problem: Problem) -> dict[str, str]:
    return {"stage": problem.stage, "kind": problem.kind, "message": stored_text(problem.message)}


def _items(rows: pa.Table) -> Iterator[MediaItem]:
    columns: dict[str, list[Any]] = {
        field.name: _entries(rows.column(field.name)) if field.type == _ENTRY else rows.column(field.name).to_pylist()
        for field in _SCHEMA
    }
    columns["problems"] = [tuple(Problem(**each) for each in said) if said else () for said in columns["problems"]]
    return map(MediaItem, *columns.values())


def _entries(column: pa.ChunkedArray) -> list[Entry | None]:
    paths, parts, *others = (each.to_pylist() for each in column.flatten())
    return [
        None if path is None else Entry(os.fsdecode(path), os.fsdecode(part), *values)
        for path, part, *values in zip(paths, parts, *others, strict=True)
    ]
