"""Known facts: what one pass over an archive that can only be read front to back has found out about each of its members.

One Parquet file per part, one row per member, in the archive's order: `Entry.at` is the number of the row. JSON files are kept
whole, of media the columns that `record.with_facts` takes up again. Nothing else of the archive is kept anywhere. While the
archive stays as it is, later runs need not read it again.
"""

from __future__ import annotations

import atexit
import os
import shutil
import struct
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.item import Entry, stored_text
from pipeline.limits import Limits
from pipeline.planning import EXTRACTION_VERSION
from pipeline.problems import DEADLY, TRANSIENT, MediaError, OutputError, Problem
from pipeline.record import FACT_COLUMNS, RECORD
from pipeline.storage import remote
from pipeline.storage.archives import most_open
from pipeline.storage.durable import private_folder, whole_file
from pipeline.storage.parts import Part, Refused, refused_part
from pipeline.storage.published import Published
from pipeline.storage.streams import Streamed
from pipeline.storage.tars import TarMember
from pipeline.takeout.names import classify_name
from pipeline.takeout.parts import is_path_in_export, paths_in_export

#: Rows, and bytes of JSON, of one row group, which is what is read for one of them; and groups kept in memory.
#: The directory of a file has 50 kB for each group.
GROUP, GROUP_BYTES, GROUPS = 1024, 4 << 20, 16

#: Hard links to hard links that are followed.
MOST_LINKS = 8
#: Why others are not.
LINK_TO_NOTHING = "a hard link to what is not in the archive, never followed"
LINK_ASTRAY = "a hard link to a file of another kind"
#: Bytes of an archive after which its reader tells how far it is, and where.
TOLD, PROGRESS = 8 << 20, ".progress"
#: Ends the name of the file that says what the other is: size and CRC-32; and under which limits, if that made a difference.
CHECK = ".check"

_FACTS = pa.schema([RECORD.field(name) for name in FACT_COLUMNS])
_SCHEMA = pa.schema(
    [
        pa.field("member", pa.binary()),  # its name in the archive
        pa.field("modified_ns", pa.int64()),
        pa.field("state", pa.string()),  # null, "hard link", or that of a Refused
        pa.field("reason", pa.string()),  # of a hard link, null: see target
        pa.field("target", pa.binary()),
        pa.field("document", pa.binary()),  # a JSON file
        *_FACTS,
    ]
)
_LISTED = ["member", "modified_ns", "state", "reason", "target", "size", "crc32"]


class KnownWriter:
    """Writes the rows of one part, a row group at a time."""

    def __init__(self, writer: pq.ParquetWriter, progress: int) -> None:
        self._writer, self._progress = writer, progress
        self._told = 0
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self.kinds: set[str] = set()  # of all problems

    def add(
        self,
        member: TarMember,
        *,
        state: str | None = None,
        reason: str | None = None,
        crc32: int | None = None,
        document: bytes | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a member. `state` is None, ``hard link``, or that of a Refused; `row` that of a medium."""
        facts = {name: row[name] if row else None for name in FACT_COLUMNS}
        self.kinds.update(problem["kind"] for problem in facts["problems"] or ())
        self._rows.append(
            facts
            | {
                "member": os.fsencode(member.name),
                "modified_ns": member.modified_ns,
                "state": state,
                "reason": reason,
                "target": os.fsencode(member.target),
                "document": document,
                "size": member.size,
                "crc32": facts["crc32"] if crc32 is None else f"{crc32:08x}",
            }
        )
        self._bytes += len(document or b"")
        if len(self._rows) == GROUP or self._bytes > GROUP_BYTES:
            self.flush()

    def add_problem(self, problem: Problem) -> None:
        """Add what is wrong with the archive as a whole."""
        self.kinds.add(problem.kind)
        self._rows.append(
            dict.fromkeys(_SCHEMA.names) | {"member": b"", "state": "part", "reason": stored_text(problem.message)}
        )

    def progress(self, size: int, media: int) -> None:
        """Tell who follows how many bytes of the archive, and media, have been read."""
        if size - self._told >= TOLD:
            self._told = size
            os.pwrite(self._progress, struct.pack("<QQ", size, media), 0)

    def flush(self) -> None:
        """Write what there is."""
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=_SCHEMA), row_group_size=GROUP)
            self._rows, self._bytes = [], 0


def known_name(part: Part) -> str:
    """The name that a part's files have, without their ending."""
    assert part.stamp is not None
    return f"{part.stamp.inode:x}-{part.stamp.size:x}-{part.stamp.modified_ns:x}"


def _path(folder: str, part: Part) -> Path:
    return Path(folder) / f"{known_name(part)}.parquet"


def known_folder(above: Path, all_tags: bool) -> Path:
    """The folder of what this version, with or without all tags, finds out about archives."""
    return above / f"{EXTRACTION_VERSION}{'-tags' if all_tags else ''}"


def is_known(folder: Path, part: Part, limits: Limits) -> bool:
    """The part has been read, as it is now, under limits that give the same, and what was written of it is whole."""
    if part.stamp is None:
        return False
    path = _path(str(folder), part)
    try:
        return path.with_suffix(CHECK).read_text() in (_check(path), _check(path, limits))
    except (OSError, ValueError):
        return False


def forget_others(above: Path, folder: Path, parts: Iterable[Part]) -> None:
    """Remove what is known of other archives than these, or by another version."""
    kept = {_path(str(folder), part).stem for part in parts if part.stamp is not None}
    for path in above.rglob("*"):
        if path.is_file() and (path.parent != folder or path.stem not in kept):
            path.unlink()


def _check(path: Path, limits: Limits | None = None) -> str:
    size, crc32 = Published.of(path)
    return f"{size} {crc32:08x}" + (f" {limits.seconds} {limits.mb}" if limits else "")


@contextmanager
def writing(folder: str, part: Part, limits: Limits) -> Iterator[KnownWriter]:
    """The writer of what is known of a part; its file is there, whole, when the block ends without an error.

    Later runs use it too, unless it has problems that may be gone then. The folder may be a URL."""
    if remote.is_url(folder):
        with TemporaryDirectory(prefix="takeout-index-") as scratch:
            with writing(scratch, part, limits) as writer:
                yield writer
            send(Path(scratch), folder, [part])
        return
    path = private_folder(Path(folder)) / _path(folder, part).name
    progress = os.open(path.with_suffix(PROGRESS), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with whole_file(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA, compression="zstd") as file:
            writer = KnownWriter(file, progress)
            yield writer
            writer.flush()
        if writer.kinds & TRANSIENT:
            path.with_suffix(CHECK).unlink(missing_ok=True)
            return
        with whole_file(path.with_suffix(CHECK)) as temporary:
            temporary.write_text(_check(path, limits if writer.kinds & DEADLY else None))
    finally:
        os.close(progress)


def send(folder: Path, url: str, parts: Iterable[Part]) -> None:
    """Put what is known of some parts at a URL, the check of a file after it. Raises OSError."""
    for part in parts:
        path = _path(str(folder), part)
        for each in (path, path.with_suffix(CHECK)):
            if each.is_file():
                remote.upload(each, remote.join(url, each.name))


def fetch(url: str, folder: Path, parts: Iterable[Part]) -> None:
    """Have what is known of some parts in a folder, as it is at a URL. Raises OSError."""
    for part in parts:
        path = _path(str(private_folder(folder)), part)
        with whole_file(path) as temporary:
            remote.download(remote.join(url, path.name), temporary)
        with suppress(FileNotFoundError), whole_file(path.with_suffix(CHECK)) as temporary:
            remote.download(remote.join(url, path.with_suffix(CHECK).name), temporary)


def progress(folder: str, part: Part) -> tuple[int, int]:
    """Bytes of the archive that have been read so far, and media found in them."""
    try:
        read, media = struct.unpack("<QQ", _path(folder, part).with_suffix(PROGRESS).read_bytes())
    except (OSError, struct.error):
        return 0, 0
    return read, media


def walk_known(folder: str, part: Part) -> Iterator[Entry | Refused]:
    """Every file of a part, in the archive's order; and, as Refused under the archive's own name, what is wrong with it.

    Rows are read twice, some at a time: a link may stand for what comes later. Where all names begin with Takeout, as they do
    in what Google makes, none is kept meanwhile."""
    with pq.ParquetFile(_path(folder, part)) as file:
        odd = [row for batch in _batches(file, "state", "member", "reason", "target") for row in _odd(batch)]
        if damage := [row["reason"] for row in odd if row["state"] == "part"]:
            yield refused_part(part, damage)
        linked = {row[name] for row in odd if row["state"] == "hard link" for name in ("member", "target")}
        places = _last(file, linked) if linked else {}  # what a name stands for in the end
        targets = {name: os.fsdecode(row["target"]) for name, (_, row) in places.items() if row["state"] == "hard link"}
        for path, (at, row) in zip(_paths(file), _rows(file), strict=True):
            name, place, found = os.fsdecode(row["member"]), at, row
            if row["state"] == "hard link":
                name = linked_name(os.fsdecode(row["target"]), targets)
                if name in targets or name not in places:
                    yield Refused(path, part.name, "ignored", LINK_TO_NOTHING)
                    continue
                place, found = places[name]
            if found["state"] is not None:
                yield Refused(path, part.name, found["state"], found["reason"], found["size"])
            elif found is not row and not is_alike(path, name):
                yield Refused(path, part.name, "unreadable", f"{LINK_ASTRAY}, {name}")
            else:
                crc32 = None if found["crc32"] is None else int(found["crc32"], 16)
                yield Entry(path, part.name, found["size"], row["modified_ns"], crc32, place)


def _batches(file: pq.ParquetFile, *columns: str) -> Iterator[pa.RecordBatch]:
    return file.iter_batches(GROUP, columns=list(columns), use_threads=False)


def _odd(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Of some rows, the hard links and what is wrong with the archive."""
    return batch.filter(pc.is_in(batch.column("state"), pa.array(["part", "hard link"]))).to_pylist()


def _rows(file: pq.ParquetFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The members of a part, with their places in it."""
    for at, row in enumerate(row for batch in _batches(file, *_LISTED) for row in batch.to_pylist()):
        if row["state"] != "part":  # those come last
            yield at, row


def _last(file: pq.ParquetFile, names: Set[bytes]) -> dict[str, tuple[int, dict[str, Any]]]:
    """The last row of each of these names, and its place."""
    return {os.fsdecode(row["member"]): (at, row) for at, row in _rows(file) if row["member"] in names}


def _paths(file: pq.ParquetFile) -> Iterator[str]:
    """The paths in the export of the members of a part."""

    def names() -> Iterator[str]:
        for batch in _batches(file, "member", "state"):
            for name, state in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if state != "part":
                    yield os.fsdecode(name)

    if all(map(is_path_in_export, names())):
        return names()
    return iter(paths_in_export(list(names())))


def linked_name(target: str, targets: Mapping[str, str]) -> str:
    """The name that a hard link to `target` stands for in the end; `targets` has those of names that are links themselves."""
    for _ in range(MOST_LINKS - 1):
        target = targets.get(target, target)
    return target


def is_alike(one: str, other: str) -> bool:
    """By their names two files are of one kind, so that the same is known of them."""
    kinds = [classify_name(*name.rpartition("/")[::2]).kind for name in (one, other)]
    return kinds[0] in ("ignored", kinds[1])


def open_known(folder: str, part: Part, entry: Entry) -> Streamed:
    """A JSON file. Raises MediaError if it was too large to be kept, or is none."""
    document = _value(folder, part, entry, ("document",))["document"]
    if document is None:
        raise MediaError(f"too_large: {entry.size:,} bytes are more than is kept of {part.name}")
    return Streamed.of(document)


def facts_of(folder: str, part: Part, entry: Entry) -> dict[str, Any]:
    """The FACT_COLUMNS of a medium."""
    return _value(folder, part, entry, FACT_COLUMNS)


def _value(folder: str, part: Part, entry: Entry, columns: tuple[str, ...]) -> dict[str, Any]:
    assert entry.at is not None
    thread = threading.get_ident()
    if remote.is_url(folder):
        folder = _fetched(folder, part)
    path = str(_path(folder, part))
    try:
        modified_ns = os.stat(path).st_mtime_ns
        starts = _file(path, modified_ns, thread)[1]
        number = bisect_right(starts, entry.at) - 1
        group = _group(path, modified_ns, number, columns, thread)
    except (OSError, pa.ArrowException) as error:  # our own file: nothing is wrong with the input
        raise OutputError(f"cannot read {path}: {error}") from error
    (row,) = group.slice(entry.at - starts[number], 1).to_pylist()
    return row


#: Fetches what is known of a part but once, whichever threads ask for it.
_fetching = threading.Lock()


def _fetched(url: str, part: Part) -> str:
    """A folder of this process that has what is known of a part at a URL. Raises OutputError if it cannot be fetched."""
    with _fetching:
        folder = _copies(url)
        if not _path(folder, part).is_file():
            try:
                fetch(url, Path(folder), [part])
            except OSError as error:
                raise OutputError(
                    f"cannot read what is known of {part.name} at {remote.shown_url(url)}: {error}"
                ) from error
        return folder


@lru_cache(maxsize=1)
def _copies(_url: str) -> str:
    folder = mkdtemp(prefix="takeout-index-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def forget() -> None:
    """Close what is open, and free what was read."""
    _group.cache_clear()
    _file.cache_clear()
    _footer.cache_clear()


@lru_cache(maxsize=GROUPS)
def _group(path: str, modified_ns: int, number: int, columns: tuple[str, ...], thread: int) -> pa.Table:
    return _file(path, modified_ns, thread)[0].read_row_group(number, columns=list(columns), use_threads=False)


@lru_cache(maxsize=min(64, most_open()))
def _file(path: str, modified_ns: int, _thread: int) -> tuple[pq.ParquetFile, list[int]]:
    """The open file, which threads cannot share, and where its row groups begin."""
    with _parsing:
        metadata, starts = _footer(path, modified_ns)
    return pq.ParquetFile(path, metadata=metadata), starts


#: Parses the footer of a file but once, whichever threads ask for it.
_parsing = threading.Lock()


@lru_cache(maxsize=min(64, most_open()))
def _footer(path: str, _modified_ns: int) -> tuple[pq.FileMetaData, list[int]]:
    """What a file's end says of all row groups, and where they begin."""
    metadata = pq.read_metadata(path)
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return metadata, [0, *accumulate(sizes)]
