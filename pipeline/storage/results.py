"""The results folder: claimed by one run at a time, filled out of sight, published in one go.

DIR/media/taken_year=2019/part-*.parquet   DIR/files/part-*.parquet   DIR/index.sqlite
DIR/datapackage.json   DIR/metadata.yaml   DIR/run.json               what readers see
DIR/.work/                                                            the manifest, shards and scratch of a run; shards
                                                                      of a run that was killed are what the next goes on from
DIR/.work/known/                                                      what is known of archives that are read but once
DIR/.work/new/                                                        the next results, until they are published
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.interrupts import uninterrupted
from pipeline.problems import OutputError, UsageError
from pipeline.progress import Watch
from pipeline.record import COLUMNS, FILES, PARTITION, RECORD, SCHEMA_VERSION, Settled, with_settled
from pipeline.storage.durable import flush_to_disk, naming, private_folder, put_in_place, whole_file
from pipeline.storage.lookup import schema_of
from pipeline.storage.manifest import facts_path
from pipeline.storage.parts import real_path
from pipeline.storage.published import Published, published_files, report_text
from pipeline.storage.remote import is_url

#: What is published, in this order; `run.json` last, as it describes the rest.
PUBLISHED = ("media", "files", "index.sqlite", "datapackage.json", "metadata.yaml", "run.json")
#: The page that `report` makes of them, which a scan lets be.
REPORT = "report.html"
#: What of the work folder outlives a run that is killed, and one that ends well.
KEPT_BY_DEATH, KEPT = ("lock", "shards", "known"), ("lock", "known")
#: Ends the names of files that nobody finished: temporary ones, and what told how far the reader of an archive was.
UNFINISHED = (".tmp", ".progress")
#: Written into `.work/new` when all of it is on the disk, with the inode of each name; from then on the results count as
#: published, come what may.
READY = "READY"
#: What SQLite puts beside a file that somebody writes to.
JOURNALS = ("-wal", "-shm", "-journal")
#: Rows kept in memory before those of some years are written, and the same in bytes, as sidecars of megabytes may be there.
ROWS_IN_MEMORY, BYTES_IN_MEMORY = 10_000, 24 << 20
#: Columns worth a dictionary: a value of the others has few rows, which compression alone makes smaller, and sooner.
REPEATING = [column.name for column in COLUMNS if column.facet]
#: Folders of results that are named where none was given, but one above them.
SHOWN = 5
#: Files of `media` that are compressed at a time.
WRITERS = 2


@dataclass(frozen=True, slots=True)
class Results:
    """The paths of a results folder."""

    folder: Path

    @property
    def work(self) -> Path:
        """Everything that is not published."""
        return self.folder / ".work"

    @property
    def manifest(self) -> Path:
        """The plan of the run."""
        return self.work / "manifest.arrow"

    @property
    def shards(self) -> Path:
        """Finished shards."""
        return self.work / "shards"

    @property
    def known(self) -> Path:
        """What is known of archives that are read but once."""
        return self.work / "known"

    @property
    def scratch(self) -> Path:
        """Dask's own files."""
        return self.work / "scratch"

    @property
    def new(self) -> Path:
        """The next results."""
        return self.work / "new"


@contextmanager
def claimed(folder: Path, fresh: bool = False) -> Iterator[Results]:
    """The results folder for one run alone, made if need be. Its work folder holds what an earlier run has left to go on from:
    finished shards, unless it ended well, and what is known of archives; to begin `fresh` is to have neither.

    Results that an earlier run had finished but not fully put in place are put in place first. Raises OutputError if the
    folder cannot be written, is not a results folder, is a newer version's, or another run holds it. The lock is the kernel's
    (flock), so a dead holder's falls by itself.
    """
    results = Results(folder)
    try:
        if folder.is_dir() and (strangers := _strangers(folder)):
            raise OutputError(f"{folder} holds other files ({strangers[0]}, …): give a new or a results folder")
        if schema_of(folder / "index.sqlite") > SCHEMA_VERSION:
            raise OutputError(
                f"{folder} was written by a newer version of this program: use that, or give a new folder"
            )
        private_folder(folder)
        private_folder(results.work)
        descriptor = os.open(results.work / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise OutputError(f"cannot write results to {folder}: {reason}; choose another with -o") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            raise OutputError(
                f"{folder} is in use by another run (process {holder or 'unknown'}): wait until it ends"
            ) from error
        with naming(results.work / "lock"):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        if (results.new / READY).exists():
            _put_all_in_place(results)
            _clear(results, KEPT)
        _clear(results, ("lock",) if fresh else KEPT_BY_DEATH)
        for path in (results.shards, results.known, results.scratch, results.new):
            private_folder(path)
        try:
            yield results
        except BaseException:
            if not (results.new / READY).exists():
                with suppress(OSError), uninterrupted():
                    _clear(results, (*KEPT_BY_DEATH, results.manifest.name, facts_path(results.manifest).name))
            raise
        with uninterrupted():
            _clear(results, KEPT)
    finally:
        os.close(descriptor)


def index_of(place: str | os.PathLike[str], watch: Watch | None = None) -> Path:
    """Where the index of results is, if there are any at this place, as people give it: a folder or, for results, a URL.

    What a run that was killed while it put them in place had left to do is finished first; where they cannot be written, or
    another run is at it, they are read as they are. Of results at a URL the index is fetched, if it is not here already.
    """
    if is_url(url := os.fspath(place)):
        from pipeline.storage.mirrored import fetched, has_results

        return (fetched(url, (), watch) if has_results(url) else Path(url)) / "index.sqlite"
    results = Results(Path(real_path(place)))
    with suppress(OutputError, OSError):
        if (results.new / READY).exists():
            with claimed(results.folder):
                pass
    return results.folder / "index.sqlite"


def results_of(
    place: str | os.PathLike[str],
    watch: Watch | None = None,
    wanted: Collection[str] = PUBLISHED,
    mirrors: str = "",
) -> Path:
    """The folder of the results at this place, as people give it. Raises UsageError if there are none, with what to do.

    Of results at a URL it is a copy, in which those of PUBLISHED are that are `wanted`, and the index;
    it is in the folder `mirrors`, or where copies of this user are."""
    if is_url(url := os.fspath(place)):
        from pipeline.storage.mirrored import fetched

        return fetched(url, wanted, watch, mirrors)
    folder = index_of(place).parent
    below = []
    try:
        if (folder / "run.json").exists():
            return folder
        if folder.is_dir():
            below = sorted(path.parent.name for path in folder.glob("*/run.json"))
        elif not folder.exists():
            raise UsageError(f"there is no folder {folder}: takeout-index scan INPUT... -o {place} makes it")
    except OSError as error:
        raise UsageError(f"cannot read {place}: {os.strerror(error.errno or 0)}; is it yours?") from error
    if below:
        more = ", …" if len(below) > SHOWN else ""
        raise UsageError(f"{place} holds results in folders of their own: give one of {', '.join(below[:SHOWN])}{more}")
    raise UsageError(
        f"{place} holds no results of a scan: takeout-index scan INPUT... -o DIR makes some; then give DIR"
    )


def emptied(results: Results) -> None:
    """Have nothing in the folder of the next results of a claimed folder."""
    _remove(results.new)
    private_folder(results.new)


def _clear(results: Results, kept: Container[str]) -> None:
    """Empty the work folder but for what is kept, and of that what was never finished."""
    for name in os.listdir(results.work):
        if name not in kept:
            _remove(results.work / name)
            continue
        for path in (results.work / name).rglob("*"):
            if path.suffix in UNFINISHED:
                path.unlink()


def _strangers(folder: Path) -> list[str]:
    """Names in the folder that no run of ours makes."""
    journals = {f"index.sqlite{suffix}" for suffix in JOURNALS}
    ours = {*PUBLISHED, *journals, REPORT, ".work", "lost+found"}
    return sorted(name for name in os.listdir(folder) if name not in ours and not _unfinished_report(name))


def _unfinished_report(name: str) -> bool:
    return name.startswith(f"{REPORT}.") and name.endswith(".tmp")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_media(results: Results, tables: Iterable[pa.Table], settled: Settled) -> None:
    """Write all rows as `media`, one hive partition per year taken, with what was settled filled in.

    `tables` are some rows at a time (RECORD), in their order.
    """
    folder = private_folder(results.new / "media")
    write_years(folder, (with_settled(table, settled) for table in tables), RECORD)


def write_years(folder: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write rows of a schema with the year taken, some at a time, into a folder, one hive partition per year.

    Memory is bounded by ROWS_IN_MEMORY and BYTES_IN_MEMORY, not by the library.
    """
    parts: Counter[int] = Counter()
    writing: deque[Future[None]] = deque()

    def write(year: int, rows: pa.Table) -> None:
        path = private_folder(folder / f"{PARTITION}={year}") / f"part-{parts[year]:05d}.parquet"
        parts[year] += 1
        if len(writing) >= 2 * WRITERS:
            writing.popleft().result()
        writing.append(pool.submit(_write_part, rows, path))

    with ThreadPoolExecutor(WRITERS) as pool:
        waiting: list[pa.Table] = []
        rows = size = 0
        for table in tables:
            waiting.append(table)
            rows += waiting[-1].num_rows
            size += waiting[-1].nbytes
            if rows > ROWS_IN_MEMORY or size > BYTES_IN_MEMORY:
                waiting = [_write_years(pa.concat_tables(waiting), write, rows // 2)]
                rows, size = waiting[0].num_rows, waiting[0].nbytes
        if rows:
            _write_years(pa.concat_tables(waiting), write, rows)
        if not parts:  # a reader of an empty library finds the columns, and no rows
            write(0, schema.empty_table().drop_columns(PARTITION))
        for future in writing:
            future.result()


def _write_years(rows: pa.Table, write: Callable[[int, pa.Table], None], enough: int) -> pa.Table:
    """Write the rows of each year, the fullest years first, until `enough` rows are written. Returns the others."""
    rows = rows.combine_chunks()
    years = rows.column(PARTITION).combine_chunks()
    order = pc.sort_indices(years)  # stable: rows of a year stay in their order
    counts = [(each["values"], each["counts"]) for each in pc.value_counts(years.take(order)).to_pylist()]
    begins = dict(zip((year for year, _ in counts), accumulate((n for _, n in counts), initial=0), strict=False))
    without = rows.drop_columns(PARTITION)
    done: list[int] = []
    for year, count in sorted(counts, key=lambda each: -each[1]):
        if enough <= 0:
            break
        write(year, without.take(order.slice(begins[year], count)))  # a slice would keep all of them in memory
        done.append(year)
        enough -= count
    return rows.filter(pc.invert(pc.is_in(years, pa.array(done, years.type))))


def _write_part(rows: pa.Table, path: Path) -> None:
    repeating = [name for name in REPEATING if name in rows.column_names]
    with whole_file(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd", use_dictionary=repeating, write_page_checksum=True)


def write_files(results: Results, tables: Iterable[pa.Table]) -> None:
    """Write `files`: the final state of every listed file, by tables of some of them (FILES)."""
    folder = private_folder(results.new / "files")
    with (
        whole_file(folder / "part-00000.parquet") as temporary,
        pq.ParquetWriter(temporary, FILES, compression="zstd", write_page_checksum=True) as writer,
    ):
        for table in tables:
            writer.write_table(table)


def write_text(results: Results, name: str, text: str) -> None:
    """Write one of the describing files."""
    with whole_file(results.new / name) as temporary:
        temporary.write_text(text, encoding="utf-8")


def publish_report(results: Results, report: Mapping[str, Any], others: Mapping[str, Published] | None = None) -> None:
    """Publish what is new, with ``run.json``: the report, and what all files are. `others` are files that stay as they are."""
    new = [name for name in PUBLISHED if (results.new / name).exists()]
    files = dict(others or {}) | published_files(results.new, new)
    write_text(results, "run.json", report_text(report, files))
    publish(results, (*new, "run.json"))


def publish(results: Results, names: Iterable[str] = PUBLISHED) -> None:
    """Put the new results in the place of the old ones; only those of some `names`, where the others stay as they are.

    First all of it reaches the disk, then READY does; after that the next run would finish the job, whatever happens.
    """
    for path in sorted(results.new.rglob("*")):
        flush_to_disk(path)
    flush_to_disk(results.new)
    inodes = {name: (results.new / name).stat().st_ino for name in names}
    with whole_file(results.new / READY) as temporary:
        temporary.write_text(json.dumps(inodes))
        flush_to_disk(temporary)
    flush_to_disk(results.new)
    with uninterrupted():
        _put_all_in_place(results)


def _put_all_in_place(results: Results) -> None:
    """Exchange new and old, name by name; begun again after a crash, it goes on with the names not yet exchanged."""
    inodes = json.loads((results.new / READY).read_text())
    for name, inode in inodes.items():
        target = results.folder / name
        if target.exists() and target.stat().st_ino == inode:
            continue
        if name == "index.sqlite":  # SQLite would apply an old index's journal to the new one
            for suffix in JOURNALS:
                (results.folder / f"{name}{suffix}").unlink(missing_ok=True)
        put_in_place(results.new / name, target)
    flush_to_disk(results.folder)
    (results.new / READY).unlink()
