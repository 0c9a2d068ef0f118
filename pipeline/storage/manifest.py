"""The manifest: all the work of a run, planned, as one Parquet file with one row group per shard."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.item import Entry, MediaItem, stored_text
from pipeline.planning import Shard
from pipeline.problems import Problem
from pipeline.storage.durable import whole_file

#: Paths are kept as bytes: they need not be text.
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


class ShardRef(NamedTuple):
    """What the graph carries of a shard: its name, and where the manifest has its items."""

    name: str
    row_group: int


def write_manifest(shards: Iterable[Shard], path: Path) -> list[ShardRef]:
    """Write the manifest, one row group per shard, and return a reference to each shard, in order."""
    references = []
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as writer:
        for number, shard in enumerate(shards):
            rows = [_row(item) for item in shard.items]
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), row_group_size=max(len(rows), 1))
            references.append(ShardRef(shard.name, number))
    return references


def read_items(reference: ShardRef, path: str) -> list[MediaItem]:
    """The items of one shard."""
    state = os.stat(path)
    manifest = _manifest(path, state.st_mtime_ns, state.st_ino, threading.get_ident())
    rows = manifest.read_row_group(reference.row_group, use_threads=False)
    return [_item(row) for row in rows.to_pylist()]


@lru_cache(maxsize=64)
def _manifest(path: str, _modified_ns: int, _inode: int, _thread: int) -> pq.ParquetFile:
    """The open manifest; its footer is parsed once per thread, as threads cannot share it."""
    return pq.ParquetFile(path)


def _row(item: MediaItem) -> dict[str, Any]:
    return {
        "media": _entry_row(item.media),
        "file_id": item.file_id,
        "sidecar": _entry_row(item.sidecar) if item.sidecar else None,
        "sidecar_rule": item.sidecar_rule,
        "edited_of": item.edited_of,
        "live_partner": item.live_partner,
        "album": item.album,
        "folder_kind": item.folder_kind,
        "folder_date": item.folder_date,
        "problems": [{"stage": p.stage, "kind": p.kind, "message": stored_text(p.message)} for p in item.problems],
    }


def _entry_row(entry: Entry) -> dict[str, Any]:
    return entry._asdict() | {"path": os.fsencode(entry.path), "part": os.fsencode(entry.part)}


def _item(row: dict[str, Any]) -> MediaItem:
    return MediaItem(
        media=_entry(row["media"]),
        file_id=row["file_id"],
        sidecar=_entry(row["sidecar"]) if row["sidecar"] else None,
        sidecar_rule=row["sidecar_rule"],
        edited_of=row["edited_of"],
        live_partner=row["live_partner"],
        album=row["album"],
        folder_kind=row["folder_kind"],
        folder_date=row["folder_date"],
        problems=tuple(Problem(**problem) for problem in row["problems"]),
    )


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**(row | {"path": os.fsdecode(row["path"]), "part": os.fsdecode(row["part"])}))
