"""The manifest: all the work of a run, planned, as one file of Arrow record batches, one per shard."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
from zlib_ng import zlib_ng

from pipeline.item import Entry, MediaItem, stored_text
from pipeline.planning import Shard
from pipeline.problems import OutputError, Problem
from pipeline.record import FACT_COLUMNS, RECORD, with_facts
from pipeline.storage.durable import whole_file
from pipeline.storage.remote import is_url, read_range

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
        ("made_from", pa.string()),
    ]
)
#: What is known of the bytes of some of a shard's items, each by its place among them.
_FACTS = pa.schema([*(RECORD.field(name) for name in FACT_COLUMNS), pa.field("number", pa.int32())])


#: Fills the place of an entry that there is none of.
_NONE = Entry("", "", 0)


class Slice(NamedTuple):
    """Some bytes of a file, and their CRC-32."""

    offset: int
    length: int
    crc32: int


class ShardRef(NamedTuple):
    """What the graph carries of a shard: its name, where the manifest has its items, and what it costs (`Shard.cost`).

    Where something is known of their bytes, `facts` says where that stands, in a file beside the manifest. Items that a process
    died over are `left_out`, by their positions; another reference to it has them worked on `alone`.
    """

    name: str
    offset: int
    length: int
    crc32: int
    cost: int = 0
    facts: Slice | None = None
    left_out: tuple[int, ...] = ()
    alone: tuple[int, ...] = ()
    deaths: int = 0  # of processes that worked on it, with nothing to show over what


def write_manifest(
    shards: Iterable[Shard], path: Path, known: Callable[[Sequence[MediaItem]], pa.Table | None] = lambda _: None
) -> list[ShardRef]:
    """Write the manifest, shard by shard as they come, and return a reference to each, in order.

    `known` tells what is known of the bytes of some items (`Earlier.facts`).
    """
    references = []
    with (
        whole_file(path) as temporary,
        temporary.open("wb") as file,
        whole_file(facts_path(path)) as temporary_facts,
        temporary_facts.open("wb") as facts_file,
    ):
        for shard in shards:
            own = _append(file, _batch(shard.items))
            facts = known(shard.items)
            if facts is not None:
                facts = _append(facts_file, facts.select(_FACTS.names).combine_chunks().to_batches()[0])
            references.append(ShardRef(shard.name, *own, shard.cost, facts))
    return references


def facts_path(manifest: Path) -> Path:
    """The file of what is known of items of a manifest."""
    return manifest.with_stem("facts")


def _append(file: BinaryIO, batch: pa.RecordBatch) -> Slice:
    data = batch.serialize()
    offset = file.tell()
    file.write(data)
    return Slice(offset, data.size, zlib_ng.crc32(data))


def read_items(reference: ShardRef, path: str) -> list[MediaItem]:
    """The items of one shard, but those left out. Raises OutputError if the manifest is not what was written."""
    plan = _read(path, Slice(reference.offset, reference.length, reference.crc32))
    items = list(_items(pa.ipc.read_record_batch(plan, _SCHEMA), reference.name))
    if reference.facts is not None:
        folder, slash, name = path.rpartition("/")  # it may be a URL
        facts = _read(f"{folder}{slash}{facts_path(Path(name))}", reference.facts)
        for row in pa.ipc.read_record_batch(facts, _FACTS).to_pylist():
            items[row["number"]] = with_facts(items[row["number"]], row)
    if reference.left_out:
        left_out = set(reference.left_out)
        items = [item for at, item in enumerate(items) if at not in left_out]
    return items


def _read(path: str, place: Slice) -> pa.Buffer:
    try:
        if is_url(path):
            data = read_range(path, place.offset, place.length)
        else:
            with open(path, "rb", buffering=0) as file:
                data = os.pread(file.fileno(), place.length, place.offset)
    except OSError as error:
        raise OutputError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from error
    if len(data) != place.length or zlib_ng.crc32(data) != place.crc32:
        raise OutputError(f"{path} is damaged: it is not what this run has written")
    return pa.py_buffer(data)


def read_manifest(path: Path) -> Iterator[list[MediaItem]]:
    """The items of every shard, in order; unchecked."""
    with path.open("rb") as file:
        for message in pa.ipc.MessageReader.open_stream(file):
            yield list(_items(pa.ipc.read_record_batch(message, _SCHEMA), ""))


# By column: Arrow takes rows, and structs in them, apart one by one.


def _batch(items: Sequence[MediaItem]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {name: [getattr(item, name) for item in items] for name in _SCHEMA.names}
    columns["problems"] = [[_problem_row(problem) for problem in item.problems] for item in items]
    arrays = [
        _entry_array(columns[field.name]) if field.type == _ENTRY else pa.array(columns[field.name], field.type)
        for field in _SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


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


def _items(rows: pa.RecordBatch, shard: str) -> Iterator[MediaItem]:
    columns: dict[str, list[Any]] = {
        field.name: _entries(rows.column(field.name)) if field.type == _ENTRY else rows.column(field.name).to_pylist()
        for field in _SCHEMA
    }
    columns["problems"] = [tuple(Problem(**each) for each in said) if said else () for said in columns["problems"]]
    return map(MediaItem, *columns.values(), repeat(shard))


def _entries(column: pa.StructArray) -> list[Entry | None]:
    paths, parts, *others = (each.to_pylist() for each in column.flatten())
    return [
        None if path is None else Entry(os.fsdecode(path), os.fsdecode(part), *values)
        for path, part, *values in zip(paths, parts, *others, strict=True)
    ]
