"""Shards: one Parquet file of finished rows per shard, written whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.item import OPERATIONS
from pipeline.record import RECORD
from pipeline.storage.durable import whole_file
from pipeline.storage.manifest import ShardRef


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What a worker tells the driver of a shard it has written: counts, no rows."""

    name: str
    files: int
    bytes: int
    problems: int  # files with problems
    spent: dict[str, float]  # seconds of each operation


def shard_path(folder: str | Path, name: str) -> Path:
    """The file of a shard."""
    return Path(folder) / f"{name}.parquet"


def write_shard(
    rows: Iterable[tuple[dict[str, Any], tuple[float, ...]]], references: Iterable[ShardRef], folder: str
) -> list[ShardDone]:
    """Write the rows of one shard and return what was done, the one element of its partition.

    `rows` are pairs of a row and the seconds that each of OPERATIONS took for it."""
    (reference,) = references
    pairs = list(rows)
    records = [record for record, _ in pairs]
    spent = map(sum, zip(*(seconds for _, seconds in pairs), strict=True))
    started = time.perf_counter()
    table = pa.Table.from_pylist(records, schema=RECORD)
    with whole_file(shard_path(folder, reference.name)) as temporary:
        # Page checksums, because a flipped byte is otherwise read as data. Shards are read once, by us: no dictionaries
        # and statistics, which cost more than they save here.
        pq.write_table(
            table,
            temporary,
            compression="lz4",
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=True,
        )
    writing = time.perf_counter() - started
    return [
        ShardDone(
            name=reference.name,
            files=len(records),
            bytes=sum(record["size"] for record in records),
            problems=sum(record["status"] != "ok" for record in records),
            spent={**dict(zip(OPERATIONS, spent, strict=True)), "write": writing},
        )
    ]


def read_shard(folder: str | Path, name: str) -> pa.Table:
    """The rows of a shard, as RECORD. Raises OSError or pyarrow.ArrowException if the file is missing or damaged."""
    with pq.ParquetFile(shard_path(folder, name), page_checksum_verification=True) as file:
        return file.read(use_threads=False)
