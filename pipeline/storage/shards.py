"""Shards: one Arrow file of finished rows per shard, written whole or not at all.

An Arrow IPC stream, uncompressed, and after it the CRC-32 of its bytes, as a flipped byte is otherwise read as data. Shards are
written and read by us alone, and gone when the results are published: as Parquet, its hundred columns took 7 µs more a row
to write and 4 µs more to read, which happens twice.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from zlib_ng import zlib_ng

from pipeline.item import OPERATIONS
from pipeline.record import RECORD
from pipeline.storage.durable import whole_file
from pipeline.storage.manifest import ShardRef, began

#: Bytes of the CRC-32 behind the rows.
CHECK = 4


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What a worker tells the driver of a shard it has written: counts, no rows."""

    name: str
    files: int
    bytes: int
    problems: int  # files with problems
    spent: dict[str, float]  # seconds of each operation
    worker: str = ""  # host and process
    started_at: float = 0.0  # seconds since 1970
    ended_at: float = 0.0


def shard_path(folder: str | Path, name: str) -> Path:
    """The file of a shard."""
    return Path(folder) / f"{name}.arrow"


def write_shard(
    rows: Iterable[tuple[dict[str, Any], tuple[float, ...]]], references: Iterable[ShardRef], folder: str
) -> list[ShardDone]:
    """Write the rows of one shard and return what was done, the one element of its partition.

    `rows` are pairs of a row and the seconds that each of OPERATIONS took for it."""
    (reference,) = references
    now = time.time()
    pairs = list(rows)
    began_at = began.pop(reference.name, now)
    records = [record for record, _ in pairs]
    spent = map(sum, zip(*(seconds for _, seconds in pairs), strict=True))
    started = time.perf_counter()
    table = pa.Table.from_pylist(records, schema=RECORD)
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, RECORD) as writer:
        writer.write_table(table)
    data = memoryview(stream.getvalue())
    with whole_file(shard_path(folder, reference.name)) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.write(_check(data))
    writing = time.perf_counter() - started
    return [
        ShardDone(
            name=reference.name,
            files=len(records),
            bytes=sum(record["size"] for record in records),
            problems=sum(record["status"] != "ok" for record in records),
            spent={**dict(zip(OPERATIONS, spent, strict=True)), "write": writing},
            worker=f"{socket.gethostname()}:{os.getpid()}",
            started_at=began_at,
            ended_at=time.time(),
        )
    ]


def read_shard(folder: str | Path, name: str) -> pa.Table:
    """The rows of a shard, as RECORD. Raises OSError if the file is missing or damaged."""
    path = shard_path(folder, name)
    data = path.read_bytes()
    rows, check = memoryview(data)[:-CHECK], data[-CHECK:]
    if check != _check(rows):
        raise OSError(errno.EIO, "damaged since it was written", str(path))
    return pa.ipc.open_stream(pa.py_buffer(rows)).read_all()


def _check(data: memoryview) -> bytes:
    check: int = zlib_ng.crc32(data)
    return check.to_bytes(CHECK, "big")
