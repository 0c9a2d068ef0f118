"""What holds after every fault: nothing is lost, the table is that of an undisturbed run, nothing is left behind.

The library is looked at with the standard library alone, not with what is being tested.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.record import STATES

#: What SQLite holds, without the numbers that depend on the order in which shards came in, and without `runs`.
QUERIES = (
    "SELECT * FROM media ORDER BY file_id",
    "SELECT * FROM files ORDER BY path, part, state",
    "SELECT * FROM folders ORDER BY folder",
    "SELECT folder, title, description, access, created_at, metadata_json FROM albums ORDER BY folder",
    "SELECT file_id, folder, via FROM media_albums JOIN albums USING (album_id) ORDER BY file_id, folder",
    "SELECT file_id, name FROM media_people JOIN people USING (person_id) ORDER BY file_id, name",
    "SELECT name FROM people ORDER BY name",
    "SELECT path, stage, kind, message FROM problems ORDER BY path, stage, kind, message",
    "SELECT file_id, author, text, created_at, liked FROM comments ORDER BY file_id, text, author",
)


def rows(results: Path, table: str) -> pa.Table:
    """A published table in an order of its own; a flipped byte is an error, not a value."""
    found = pq.read_table(results / table, page_checksum_verification=True)
    return found.sort_by([(name, "ascending") for name in ("file_id", "path", "part") if name in found.column_names])


def same_tables(one: Path, other: Path) -> None:
    """Both results have the same rows, column for column, in Parquet and in SQLite."""
    for table in ("media", "files"):
        first, second = rows(one, table), rows(other, table)
        assert first.schema.names == second.schema.names
        assert first.num_rows == second.num_rows, f"{table}: {first.num_rows} and {second.num_rows} rows"
        differing = [name for name in first.schema.names if not first.column(name).equals(second.column(name))]
        assert not differing, f"{table} differs in {differing}"
    for query in QUERIES:
        assert indexed(one, query) == indexed(other, query), query


def indexed(results: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the index."""
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return db.execute(query).fetchall()


def assert_nothing_lost(results: Path, *libraries: Path) -> None:
    """Every name in the libraries has one final state, every photo its size and CRC-32, and the results are whole."""
    files, media = rows(results, "files").to_pylist(), rows(results, "media").to_pylist()
    assert indexed(results, "PRAGMA integrity_check") == [("ok",)]
    assert indexed(results, "SELECT count(*) FROM files") == [(len(files),)]
    assert indexed(results, "SELECT count(*) FROM media") == [(len(media),)]
    report = json.loads((results / "run.json").read_text("utf-8"))
    assert report["listed"] == len(files)
    assert {row["state"] for row in files} <= set(STATES)
    assert Counter(row["state"] for row in files) == report["counts"]["files"]

    found: dict[Name, Content] = {}
    for source in report["sources"]:
        root = Path(os.fsdecode(unquote_to_bytes(source["address"].removeprefix("file://"))))
        assert not libraries or any(root.is_relative_to(library.resolve()) for library in libraries)
        found |= {(source["part"], path): content for path, content in _contents(root, source)}
    told = [_name(row) for row in files if row["path"] != row["part"]]  # what is said of an archive as a whole
    assert len(told) == len(set(told)), "a name has two states"
    assert found.keys() - set(told) == set(), "names were lost"
    assert set(told) - found.keys() == set(), "names were invented"
    assert Counter(_name(row) for row in media) == Counter(_name(row) for row in files if row["state"] == "media")
    for row in media:
        content = found[_name(row)]
        if content is not None and row["crc32"] is not None:
            assert (row["size"], row["crc32"]) == content, row["path"]
        assert row["crc32"] is not None or row["problems"], row["path"]


#: The part and the exact path of a listed file.
Name = tuple[str, bytes]
#: Size and CRC-32; None of what is no regular file, or cannot be read.
Content = tuple[int, str] | None


def _name(row: dict[str, Any]) -> Name:
    return row["part"], row["path_bytes"] or row["path"].encode()


def _contents(root: Path, source: dict[str, Any]) -> Iterator[tuple[bytes, Content]]:
    """Path and content of every file of a part."""
    prefix, without = unquote_to_bytes(source["prefix"]), {unquote_to_bytes(path) for path in source["without"]}
    if source["form"] == "zip":
        with zipfile.ZipFile(root) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield prefix + member.filename.encode(), (member.file_size, f"{member.CRC:08x}")
        return
    if source["form"] == "tar":
        with tarfile.open(root) as archive:
            for each in archive:
                if not each.isdir():
                    file = archive.extractfile(each) if each.isreg() else None
                    yield prefix + os.fsencode(each.name), content_of(file.read()) if file else None
        return
    for path, name, state, folder in tree(root):
        relative = path[len(os.fsencode(root)) + 1 :]
        beside = any(relative == each or relative.startswith(each + b"/") for each in without)
        if not beside and not stat.S_ISDIR(state.st_mode):
            content = None
            if stat.S_ISREG(state.st_mode):
                with suppress(OSError), os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
                    content = content_of(file.read())
            yield prefix + relative, content


def content_of(data: bytes) -> tuple[int, str]:
    """Size and CRC-32 as a row has them."""
    return len(data), f"{zlib.crc32(data):08x}"


def tree(folder: Path) -> Iterator[tuple[bytes, bytes, os.stat_result, int]]:
    """Every name below a folder: path, name, lstat, and the folder's descriptor, as some paths are too long for a call."""
    for parent, folders, names, descriptor in os.fwalk(os.fsencode(folder)):
        for name in (*folders, *names):
            yield parent + b"/" + name, name, os.lstat(name, dir_fd=descriptor), descriptor


def fingerprint(folder: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything about every name of a tree but when it was read: kind, rights, size, time, inode and content."""
    found = {}
    for path, name, state, descriptor in tree(folder):
        content = b""
        if stat.S_ISREG(state.st_mode):
            file = os.open(name, os.O_RDONLY, dir_fd=descriptor)
            content = hashlib.sha256(os.read(file, state.st_size)).digest()
            os.close(file)
        found[path] = (state.st_mode, state.st_size, state.st_mtime_ns, state.st_ino, content)
    return found


def nothing_left(results: Path, pid: int | None = None) -> None:
    """No temporary file is left, and no process of the run `pid`, which led a session, outlives it by ten seconds."""
    if pid is not None:
        nothing_running(pid)
    leftovers = [path for path in results.rglob("*") if path.suffix in (".tmp", ".aside") or path.name == "READY"]
    assert leftovers == []
    work = results / ".work"
    left = set(os.listdir(work)) if work.exists() else set()
    planned = {"manifest.arrow", "facts.arrow", "shards"}  # of a run that was cut off
    assert left - {"lock", "known"} <= (planned if "manifest.arrow" in left else set())


def nothing_running(pid: int) -> None:
    """No process of the run `pid`, which led a session, outlives it by ten seconds."""
    psutil.wait_procs(processes_of(pid), timeout=10)
    assert processes_of(pid) == []


def processes_of(session: int) -> list[psutil.Process]:
    """The processes of a session."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            # the first thread of one that is killed may be gone before another, which has its files open still
            over = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
            if os.getsid(process.pid) == session and not over:
                found.append(process)
    return found


def open_to_others(folder: Path) -> list[bytes]:
    """Names, that of the folder among them, that anybody but the user may read, write or enter."""
    names = [(os.fsencode(folder), folder.stat()), *((path, state) for path, _, state, _ in tree(folder))]
    return [path for path, state in names if not stat.S_ISLNK(state.st_mode) and state.st_mode & 0o077]


def ports_of_this_process() -> set[int]:
    """The ports that it listens at."""
    return {each.laddr.port for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN}


def listening(processes: Iterable[psutil.Process]) -> set[str]:
    """The addresses at which some processes wait for connections."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    return found


def traced(*options: str) -> list[str]:
    """What to run a program by so that strace does this to all of its processes. Skips the test where it cannot."""
    if shutil.which("strace") is None:
        pytest.skip("takes strace")
    command = ["strace", "-f", "-qq", "-o", os.devnull, *options]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")
    return command
