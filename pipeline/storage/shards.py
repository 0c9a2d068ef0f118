"""Shards: one Arrow file of finished rows per shard, written whole or not at all.

An Arrow IPC stream, uncompressed, and after it the CRC-32 of its bytes, as a flipped byte is otherwise read as data. Shards are
written and read by us alone, and gone when the results are published; those of a run that is killed are what the next goes on
from. As Parquet, its hundred columns took 7 µs more a row
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
from pipeline.lean import give_back
from pipeline.record import RECORD
from pipeline.storage.durable import flush_to_disk, whole_file
from pipeline.storage.marks import mark_path, remove_mark
from pipeline.storage.remote import is_url, join, write_whole

#: A row of RECORD, the seconds that each of OPERATIONS took for it, and the name of its shard.
Row = tuple[dict[str, Any], tuple[float, ...], str]
#: Ends the name of a shard's file.
ENDING = ".arrow"
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
    return Path(folder) / f"{name}{ENDING}"


def write_shard(rows: Iterable[Row], folder: str, marks: str | None = None) -> list[ShardDone]:
    """Write the rows of one shard, of which it has one at least, and return what was done, the one element of its partition.

    The folder may be a URL. The values of a row stand in the order of RECORD's columns. The shard's mark in the folder `marks`
    is gone then."""
    started_at, began = time.time(), time.perf_counter()
    name = ""
    size = problems = 0
    times: list[tuple[float, ...]] = []
    kept: list[tuple[Any, ...]] = []  # not dicts, which take five times as much
    for record, seconds, shard in rows:
        name = shard
        size += record["size"]
        problems += record["status"] != "ok"
        times.append(seconds)
        kept.append(tuple(record.values()))
    started = time.perf_counter()
    columns = zip(*kept, strict=True)
    table = pa.Table.from_arrays(
        [pa.array(each, field.type) for each, field in zip(columns, RECORD, strict=True)], schema=RECORD
    )
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, RECORD) as writer:
        writer.write_table(table)
    data = memoryview(stream.getvalue())
    if is_url(folder):
        write_whole(join(folder, f"{name}{ENDING}"), b"".join((data, _check(data))))
    else:
        with whole_file(shard_path(folder, name)) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.write(_check(data))
        flush_to_disk(Path(folder))
    if marks:
        remove_mark(mark_path(marks, name))
    files = len(kept)
    del kept, columns, table, stream, data
    give_back()  # eight workers would keep 20 MB of buffers between them, each until its next shard
    spent: dict[str, float] = dict(zip(OPERATIONS, map(sum, zip(*times, strict=True)), strict=True))
    spent["write"] = time.perf_counter() - started
    worker = f"{socket.gethostname()}:{os.getpid()}"
    ended_at = started_at + time.perf_counter() - began  # the clock may have been set back
    return [ShardDone(name, files, size, problems, spent, worker, started_at, ended_at)]


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
