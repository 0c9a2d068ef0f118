"""What a scan does with a hostile file: the same functions, on a real file, and the checks of what comes out."""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline import Settings
from pipeline.api import scan
from pipeline.documents import read_document
from pipeline.item import Entry, MediaItem
from pipeline.limits import NONE
from pipeline.planning import file_id
from pipeline.stages import LARGEST_SIDECAR, ArchiveRef, extract, make_rows, read_archive, read_sidecars
from pipeline.storage.archives import Stamp, form_of
from pipeline.storage.files import modified_ns
from pipeline.storage.index import Index
from pipeline.storage.library import Library, opened
from pipeline.storage.parts import Part, Refused
from pipeline.storage.shards import Row, read_shard, write_shard
from pipeline.takeout.names import classify_name
from tests.fuzz.cases import Case

#: A sound picture, for the sidecars: the smallest GIF.
PICTURE = b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"


class WrongOutcome(Exception):  # noqa: N818
    """What came out is not what must."""


def write_case(case: Case, folder: Path) -> None:
    """The file of a case, and the picture of a sidecar."""
    (folder / case.name).write_bytes(case.data)
    if case.group == "sidecars":
        (folder / f"{case.number}.gif").write_bytes(PICTURE)


def rows_of(case: Case, folder: Path) -> list[Row]:
    """The rows of a case, checked. Raises WrongOutcome, and whatever escapes the readers."""
    rows = list(_archive_rows(case, folder) if case.group == "archives" else _file_rows(case, folder))
    for row, _, _ in rows:
        check_row(row)
    return rows


def _file_rows(case: Case, folder: Path) -> Iterator[Row]:
    library = Library((Part("fuzz", str(folder)),))
    sidecar = None
    name, data = case.name, case.data
    if case.group == "sidecars":
        sidecar, name, data = _entry(folder, name), f"{case.number}.gif", PICTURE
        document = read_document(case.data, Entry("Takeout/Google Photos/A/metadata.json", "fuzz", 1))
        _check_values(vars_of(document), "document")
    item = MediaItem(_entry(folder, name), file_id(name), sidecar, "same_name" if sidecar else None, shard="fuzz")
    for row in _rows([item], library, case):
        if (row[0]["size"], row[0]["crc32"]) != (len(data), f"{zlib.crc32(data):08x}"):
            raise WrongOutcome(f"size and CRC-32 are {row[0]['size']} and {row[0]['crc32']}")
        yield row


def _rows(items: Iterable[MediaItem], library: Library, case: Case) -> Iterator[Row]:
    for each in read_sidecars(items, library, 0):
        yield make_rows(extract(each, case.thorough, case.thorough))


def _entry(folder: Path, name: str) -> Entry:
    state = os.stat(folder / name)
    return Entry(name, "fuzz", state.st_size, modified_ns(state))


def _archive_rows(case: Case, folder: Path) -> Iterator[Row]:
    path = str(folder / case.name)
    form = form_of(path) or "zip"
    part = Part(case.name, path, form, stamp=Stamp.of(os.stat(path)))
    if form == "tar":
        read_archive(ArchiveRef(part), str(folder), case.thorough, NONE)
    library = Library((part,), known=str(folder))
    try:
        listed = list(library.walk())
        media, sidecar = [], None
        for entry in listed:
            if isinstance(entry, Refused):
                _check_values(entry.reason, "reason")
                if not entry.reason or entry.state not in ("ignored", "unreadable"):
                    raise WrongOutcome(f"refused without a reason: {entry}")
                continue
            kind = classify_name(entry.folder, entry.name).kind
            if kind == "media_candidate":
                media.append(entry)
            elif entry.name.endswith(".json") and entry.size <= LARGEST_SIDECAR:
                sidecar = entry
        items = [
            MediaItem(entry, file_id(f"{case.name}/{entry.path}", number), sidecar, shard="fuzz")
            for number, entry in enumerate(media)
        ]
        for item, row in zip(items, _rows(items, library, case), strict=True):
            _check_content(library, item.media, row[0])
            yield row
    finally:
        library.close()


def _check_content(library: Library, entry: Entry, row: dict[str, Any]) -> None:
    """The row's size and CRC-32 are those of the bytes that the member gives, if its row says that they were read."""
    if library.form_of(entry) == "tar" or row["crc32_source"] != "read":
        return
    with opened(library, entry) as file:
        data = b"".join(iter_blocks(file, entry.size))
    if row["crc32"] != f"{zlib.crc32(data):08x}" or row["size"] != len(data):
        raise WrongOutcome(f"size and CRC-32 of {entry.name} are {row['size']} and {row['crc32']}")


def iter_blocks(file: Any, size: int) -> Iterator[bytes]:
    """The bytes of an open file."""
    at = 0
    while at < size and (block := file.read_at(at, 1 << 20)):
        yield block
        at += len(block)


def vars_of(document: Any) -> list[Any]:
    """What is stored of an album's document."""
    album = document.album
    return [*(_fields(album.document) if album else ()), document.error, document.odd]


def _fields(value: Any) -> list[Any]:
    names = getattr(value, "_fields", None) or list(getattr(value, "__dataclass_fields__", ()))
    return [getattr(value, name) for name in names]


def check_row(row: dict[str, Any]) -> None:
    """No value of the row is one that a table cannot hold. Raises WrongOutcome."""
    for name, value in row.items():
        _check_values(value, name)
    if row["status"] != "ok" and not row["problems"]:
        raise WrongOutcome(f"{row['status']}, and no problem says why")
    for problem in row["problems"]:
        if problem["message"].startswith("MemoryError"):
            raise WrongOutcome(f"out of memory: {problem}")
    if row["exif_json"] is not None:
        json.loads(row["exif_json"])
    for name in ("latitude", "longitude", "exif_latitude", "exif_longitude", "sidecar_latitude", "sidecar_longitude"):
        if row[name] is not None and not -180 <= row[name] <= 180:
            raise WrongOutcome(f"{name} is {row[name]}")


def _check_values(value: Any, name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongOutcome(f"{name} is {value}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise WrongOutcome(f"{name} has more than 64 bits")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise WrongOutcome(f"{name} is no text: {value[:80]!a}") from None
        if "\0" in value:
            raise WrongOutcome(f"{name} has a zero byte: {value[:80]!a}")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            _check_values(each, name)


def scan_all(cases: list[Case], folder: Path) -> None:
    """Scan a library whose files and archives these cases are. Raises WrongOutcome, and what the scan raises."""
    library, results = folder / "library", folder / "results"
    (library / "Takeout" / "Google Photos" / "A").mkdir(parents=True)
    for case in cases:
        if case.group == "archives":
            (library / case.name).write_bytes(case.data)
        else:
            write_case(case, library / "Takeout" / "Google Photos" / "A")
    scan([library], results, Settings(mode="sequential", merge=True))
    listed = set(pq.read_table(results / "files", columns=["path"]).column("path").to_pylist())
    for case in cases:
        if case.group != "archives" and f"Takeout/Google Photos/A/{case.name}" not in listed:
            raise WrongOutcome(f"{case.name} is not listed")


def store(rows: list[Row], folder: Path, index: bool) -> None:
    """Write the rows as a worker does, read them as the driver does, and enter them in an index. Raises what that raises."""
    if not rows:
        return
    write_shard(rows, str(folder))
    table = read_shard(folder, "fuzz")
    if table.num_rows != len(rows):
        raise WrongOutcome(f"{table.num_rows} of {len(rows)} rows came back")
    if index:
        path = folder / "index.sqlite"
        path.unlink(missing_ok=True)
        with Index(path) as made:
            made.add_media(table)
            made.settle()
