"""Exporting results: some rows and columns, as Parquet, GeoParquet, CSV or JSON Lines, with the places left out if wanted.

Rows stream from Parquet into a file that gets its name when it is whole. Nothing is written among the results.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.location import DROPPED, LOOKED_AT, too_fine, with_rounded_places, without_places
from pipeline.problems import OutputError, UsageError
from pipeline.progress import Silent, Watch
from pipeline.record import FILES, PARTITION, RECORD
from pipeline.storage.durable import put_in_place, whole_file
from pipeline.storage.lookup import opened_index
from pipeline.storage.opened import Opened
from pipeline.storage.parts import is_inside, real_path
from pipeline.storage.published import refuse_input
from pipeline.storage.results import REPEATING, results_of, write_years

#: Formats, by the ending of the output's name; `GZIP` and `ZSTD` may follow those of text.
FORMATS = {
    ".parquet": "parquet",
    ".geoparquet": "geoparquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
TABLES = {"media": RECORD, "files": FILES}
#: Rows that are worked on at a time, and bytes, if they are that many before; and bytes after which a row group is written.
ROWS, LOT_BYTES, GROUP_BYTES = 5_000, 16 << 20, 64 << 20
#: The column of GeoParquet that holds points, and a point in well-known binary: little endian, type 1, x, y.
GEOMETRY = "geometry"
_POINT = struct.Struct("<BIdd")
#: With these a spreadsheet takes a cell for a formula.
_FORMULA = r"^([=+\-@\t\r])"

#: DuckDB without anything but what it has been given.
_LOCKED = (
    "TimeZone = 'UTC'",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "python_enable_replacements = false",
    "enable_external_access = false",
    "lock_configuration = true",
)

Rows = Iterable[pa.Table]

#: What only writing fails with: a disk or a quota that is full, one that is only read, a file that may not be as large.
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of the results is exported. `where` is one SQL condition over all columns, also those that are not exported."""

    table: str = "media"
    where: str | None = None
    columns: Sequence[str] | None = None  # None: all
    drop_location: bool = False
    round_location: int | None = None  # digits after the point
    spreadsheet: bool = False  # texts that a spreadsheet would take for a formula begin with an apostrophe

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise UsageError(f"there is no table {self.table!r} to export: media or files")
        if self.drop_location and self.round_location is not None:
            raise UsageError("location is dropped or rounded, not both: leave out --drop-location or --round-location")
        if self.round_location is not None and not 0 <= self.round_location <= 6:
            raise UsageError(f"location is rounded to 0 to 6 digits, not {self.round_location}")

    @property
    def hidden(self) -> frozenset[str]:
        """Columns that are not exported, as they tell the place, or tell it too well."""
        if self.drop_location:
            return DROPPED
        return too_fine(self.round_location) if self.round_location is not None else frozenset()

    def names(self) -> list[str]:
        """The columns that are exported. Raises UsageError for an unknown one, or one that is hidden."""
        all_names = TABLES[self.table].names
        if self.columns is None:
            return [name for name in all_names if name not in self.hidden]
        wanted = list(dict.fromkeys(name.strip() for name in self.columns))
        if unknown := [name for name in wanted if name not in all_names]:
            raise UsageError(f"{self.table} has no column {unknown[0]!r}{_nearest(unknown[0], all_names)}")
        if lost := [name for name in wanted if name in self.hidden]:
            option = "--drop-location" if self.drop_location else f"--round-location {self.round_location}"
            raise UsageError(f"the column {lost[0]} tells the place, which {option} leaves out")
        return wanted


def export(
    results: str | os.PathLike[str],
    output: str | os.PathLike[str],
    choice: Choice | None = None,
    form: str | None = None,
    force: bool = False,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Write what is chosen of `results` to `output`, a file, or for Parquet a folder; private, and whole or not at all.

    `form` is one of FORMATS' values; if it is not given, the name tells it, and one without an ending is a folder of Parquet,
    partitioned as the results are. What is there already is replaced with `force` only, and if it is a file, or a folder that
    an export has written. Returns what was written: format, columns, rows, bytes. Raises UsageError or OutputError.
    """
    choice, watch = choice or Choice(), watch or Silent()
    folder = results_of(results, watch)
    with opened_index(folder / "index.sqlite"):
        pass  # results of another version are refused
    target = Target.of(output, form, choice)
    target.check(folder, force)
    names = choice.names()
    schema = pa.schema([TABLES[choice.table].field(name) for name in names])
    if target.is_folder and choice.table == "media" and PARTITION not in names:
        schema = schema.append(RECORD.field(PARTITION))
    rows = 0

    def exported() -> Iterator[pa.Table]:
        nonlocal rows
        for table in _rows(folder, choice, schema.names, target.form):
            rows += table.num_rows
            yield table
            if rows >= ROWS:  # a few are written sooner than said
                watch.step(f"written: {rows:,} rows")

    try:
        target.path.parent.mkdir(parents=True, exist_ok=True)
        target.write(exported(), schema, choice)
    except FileExistsError as error:
        raise OutputError(f"cannot write {target.path}: {error.filename} is no folder") from error
    except OSError as error:
        if error.errno not in _OF_WRITING:
            raise
        reason = os.strerror(error.errno)
        raise OutputError(f"cannot write {target.path}: {reason}; choose another place with -o") from error
    return {
        "results": str(folder),
        "output": str(target.path),
        "format": target.form,
        "table": choice.table,
        "where": choice.where,
        "location": (
            "dropped"
            if choice.drop_location
            else f"rounded to {choice.round_location} digits"
            if choice.round_location is not None
            else "as it is"
        ),
        "columns": [*names, GEOMETRY] if target.form == "geoparquet" else schema.names,
        "rows": rows,
        "bytes": sum(each.stat().st_size for each in _files_of(target.path)),
    }


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how an export is written."""

    path: Path
    form: str
    is_folder: bool
    compression: str | None = None

    @classmethod
    def of(cls, output: str | os.PathLike[str], form: str | None, choice: Choice) -> Target:
        """By the name of the output, and the format if one is given. Raises UsageError if they say nothing, or cannot be."""
        given, path = os.fspath(output), Path(real_path(output))
        if form is not None and form not in FORMATS.values():
            known = ", ".join(dict.fromkeys(FORMATS.values()))
            raise UsageError(f"there is no format {form!r}{_nearest(form, FORMATS.values())}; there are {known}")
        compression = COMPRESSIONS.get(path.suffix.lower())
        ending = Path(path.stem).suffix.lower() if compression else path.suffix.lower()
        found = form or FORMATS.get(ending) or ("parquet" if not ending and not compression else None)
        if found is None:
            raise UsageError(
                f"the name of {given} does not tell the format: end it with {', '.join(FORMATS)}, or give --format"
            )
        if compression and found in ("parquet", "geoparquet"):
            raise UsageError(f"Parquet is compressed inside: leave out {path.suffix} in {given}")
        if choice.table == "files" and found == "geoparquet":
            raise UsageError("the table files has no places: export it as parquet, csv or jsonl")
        if choice.drop_location and found == "geoparquet":
            raise UsageError(
                "GeoParquet without places is Parquet: leave out --drop-location, or give --format parquet"
            )
        return cls(path, found, found == "parquet" and not ending, compression)

    def check(self, results: Path, force: bool) -> None:
        """Raises UsageError if something is there, or would be written among results, or into the library that was scanned."""
        where = "choose another place with -o"
        if is_inside(str(self.path), str(results)):
            raise UsageError(f"{self.path} lies among the results in {results}, which hold nothing else: {where}")
        refuse_input(self.path, results)
        if not os.path.lexists(self.path):
            return
        if self.is_folder != self.path.is_dir() or not (self.path.is_dir() or self.path.is_file()):
            is_there = "folder" if self.path.is_dir() else "file" if self.path.is_file() else "special file"
            raise UsageError(f"{self.path} is a {is_there} already: {where}")
        if self.path.is_dir() and (strangers := list(_strangers(self.path))):
            raise UsageError(f"{self.path} holds other files ({strangers[0]}, …): {where}")
        if not force and not (self.path.is_dir() and not any(self.path.iterdir())):
            raise UsageError(f"{self.path} is there already: give --force to replace it, or {where}")

    def write(self, rows: Rows, schema: pa.Schema, choice: Choice) -> None:
        """Write rows of the schema, so that a reader finds all of them or none."""
        if self.is_folder:
            with _whole_folder(self.path) as temporary:
                if choice.table == "media":
                    write_years(temporary, rows, schema)
                else:
                    _write_parquet(rows, schema, temporary / "part-00000.parquet")
            return
        writers: dict[str, Callable[[Rows, pa.Schema, Path], None]] = {
            "parquet": _write_parquet,
            "geoparquet": _write_geoparquet,
            "csv": partial(_write_csv, compression=self.compression, spreadsheet=choice.spreadsheet),
            "jsonl": partial(_write_jsonl, compression=self.compression),
        }
        with whole_file(self.path) as temporary:
            writers[self.form](rows, schema, temporary)


def _nearest(name: str, known: Iterable[str]) -> str:
    """What else may be meant, to be said behind the name."""
    found = get_close_matches(name.strip().lower(), list(dict.fromkeys(known)), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _strangers(folder: Path) -> Iterator[str]:
    """What no export writes: it has years, and parts in these or, of `files`, beside them."""
    for each in sorted(folder.rglob("*")):
        place = each.relative_to(folder).parts
        years = place[:1] if each.is_dir() else place[:-1]
        fits = each.is_dir() or each.match("part-*.parquet")
        if each.is_symlink() or not fits or len(years) > 1 or not all(y.startswith(f"{PARTITION}=") for y in years):
            yield str(Path(*place))


def _files_of(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to write to; it takes the name `path` when the block ends well."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700)
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rows(folder: Path, choice: Choice, names: Sequence[str], form: str) -> Iterator[pa.Table]:
    """Some rows at a time, with the columns of these names, in this order; for GeoParquet with the position as well."""
    schema = TABLES[choice.table]
    wanted = list(dict.fromkeys((*names, *(("latitude", "longitude") if form == "geoparquet" else ()))))
    looked_at = LOOKED_AT if choice.drop_location and choice.table == "media" else ()
    needed = pa.schema([schema.field(name) for name in dict.fromkeys((*wanted, *looked_at))])
    for rows in _read(folder, choice, needed):
        if choice.table == "media" and choice.drop_location:
            rows = without_places(rows)
        elif choice.table == "media" and choice.round_location is not None:
            rows = with_rounded_places(rows, choice.round_location)
        yield rows.select(wanted)


def _read(folder: Path, choice: Choice, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows for which the condition holds, in the order of the results. Raises UsageError if it is no condition.

    DuckDB takes it as one expression, not as a statement, and can reach nothing but the files of the two tables. It reads in a
    bounded memory, which pyarrow's datasets do not.
    """
    import duckdb

    files = {name: sorted(map(str, (folder / name).rglob("*.parquet"))) for name in TABLES}
    with duckdb.connect() as database:
        database.execute("SET allowed_paths = $paths", {"paths": [path for paths in files.values() for path in paths]})
        for setting in _LOCKED:
            database.execute(f"SET {setting}")
        for name, paths in files.items():
            if name == "media" and any(step.startswith(f"{PARTITION}=") for step in folder.parts):
                database.register(
                    name, Opened.of(folder).media_dataset()
                )  # DuckDB would take the year from a folder above
            else:
                database.read_parquet(paths, hive_partitioning=name == "media").create_view(name)
        found = database.table(choice.table)
        try:
            if choice.where is not None:
                found = found.filter(choice.where)
            reader = found.select(*map(duckdb.ColumnExpression, schema.names)).to_arrow_reader(ROWS)
            for batches in _in_lots(reader):
                yield pa.Table.from_batches(batches).combine_chunks().cast(schema)
        except (duckdb.Error, pa.ArrowException) as error:
            if choice.where is None:
                raise
            reason = _why_not(str(error), TABLES[choice.table].names)
            raise UsageError(f"--where {choice.where!r} is no condition over {choice.table}: {reason}") from error


def _in_lots(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches, of which each file begins one, put together to about so many rows, or bytes, as are worked on at a time."""
    lot: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        lot.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROWS or size >= LOT_BYTES:
            yield lot
            lot, rows, size = [], 0, 0
    if rows:
        yield lot


def _why_not(said: str, names: Sequence[str]) -> str:
    """What DuckDB has against a condition, in one line."""
    if found := re.search(r'Referenced column "([^"]*)" not found', said):
        near = _nearest(found[1], names)
        return f"there is no column {found[1]!r}{near or '; texts stand in single quotes'}"
    return next(filter(None, map(str.strip, said.splitlines())), "DuckDB refuses it")


def _write_parquet(rows: Rows, schema: pa.Schema, path: Path) -> None:
    with _parquet(path, schema) as write:
        for table in rows:
            write(table)


@contextmanager
def _parquet(
    path: Path, schema: pa.Schema, at_end: Callable[[], dict[str, str]] = dict
) -> Iterator[Callable[[pa.Table], None]]:
    """Writes tables into one Parquet file, in row groups of a bounded size; `at_end` tells what is noted in its footer."""
    waiting: list[pa.Table] = []
    size = 0
    repeating = [name for name in REPEATING if name in schema.names]
    with pq.ParquetWriter(
        path, schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True
    ) as writer:

        def flush() -> None:
            nonlocal size
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
            waiting.clear()
            size = 0

        def write(table: pa.Table) -> None:
            nonlocal size
            waiting.append(table)
            size += table.nbytes
            if size > GROUP_BYTES:
                flush()

        yield write
        flush()
        writer.add_key_value_metadata(at_end())


def _write_geoparquet(rows: Rows, schema: pa.Schema, path: Path) -> None:
    """Parquet with the position as a point (https://geoparquet.org/releases/v1.1.0/)."""
    west = south = float("inf")
    east = north = float("-inf")

    def describe() -> dict[str, str]:
        geometry: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Point"]}  # without "crs" it is OGC:CRS84
        if west <= east:
            geometry["bbox"] = [west, south, east, north]
        found = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: geometry}}
        return {"geo": orjson.dumps(found).decode()}

    points = schema.append(pa.field(GEOMETRY, pa.binary(), metadata={"meaning": "Where it was taken", "unit": ""}))
    with _parquet(path, points, describe) as write:
        for table in rows:
            places = list(zip(table["longitude"].to_pylist(), table["latitude"].to_pylist(), strict=True))
            known = [(x, y) for x, y in places if x is not None and y is not None]
            if known:
                xs, ys = zip(*known, strict=True)
                west, east = min(west, *xs), max(east, *xs)
                south, north = min(south, *ys), max(north, *ys)
            shapes = [None if x is None or y is None else _POINT.pack(1, 1, x, y) for x, y in places]
            write(table.select(schema.names).append_column(points.field(GEOMETRY), [pa.array(shapes, pa.binary())]))


def _write_csv(rows: Rows, schema: pa.Schema, path: Path, compression: str | None, spreadsheet: bool) -> None:
    """RFC 4180, UTF-8, with a header: nothing where a value is null, ``""`` for an empty text; lists as JSON."""
    from pyarrow import csv

    texts = pa.schema([(field.name, _as_text(field.type)) for field in schema])
    with (
        pa.output_stream(path, compression=compression) as stream,
        csv.CSVWriter(stream, texts, write_options=csv.WriteOptions(batch_size=ROWS)) as writer,
    ):
        for table in rows:
            columns = [_texts(table[field.name].combine_chunks(), field.type, spreadsheet) for field in schema]
            writer.write_table(pa.table(columns, schema=texts))


def _as_text(type_: pa.DataType) -> pa.DataType:
    plain = pa.types.is_boolean(type_) or pa.types.is_integer(type_) or pa.types.is_floating(type_)
    return type_ if plain else pa.string()


def _texts(values: pa.Array, type_: pa.DataType, spreadsheet: bool = False) -> pa.Array:
    """Values as text, unless they are numbers: times by ISO 8601, instants with the zone Z, lists as JSON, bytes in base64."""
    import pyarrow.compute as pc

    if pa.types.is_timestamp(type_):
        text = pc.replace_substring(values.cast(pa.timestamp("us")).cast(pa.string()), " ", "T", max_replacements=1)
        text = pc.replace_substring(text, ".000000", "")
        return pc.binary_join_element_wise(text, "Z", "") if type_.tz else text
    if pa.types.is_binary(type_):
        return pa.array(
            [None if each is None else b64encode(each).decode() for each in values.to_pylist()], pa.string()
        )
    if pa.types.is_list(type_):
        found = [None if each is None else orjson.dumps(each, option=_JSON).decode() for each in values.to_pylist()]
        return pa.array(found, pa.string())
    if pa.types.is_string(type_) and spreadsheet:
        return pc.replace_substring_regex(values, _FORMULA, r"'\1")
    return values


#: Instants with Z, and times that are datetimes as ISO 8601.
_JSON = orjson.OPT_UTC_Z


def _write_jsonl(rows: Rows, schema: pa.Schema, path: Path, compression: str | None) -> None:
    """One object a line, with every column: null where a value is."""
    with pa.output_stream(path, compression=compression) as stream:
        for table in rows:
            columns = [_plain(table[field.name].combine_chunks(), field.type) for field in schema]
            lines = (
                orjson.dumps(dict(zip(schema.names, row, strict=True)), option=_JSON | orjson.OPT_APPEND_NEWLINE)
                for row in zip(*columns, strict=True)
            )
            stream.write(b"".join(lines))


def _plain(values: pa.Array, type_: pa.DataType) -> list[Any]:
    """Values that JSON has: lists as they are, other things as in CSV."""
    return (values if pa.types.is_list(type_) else _texts(values, type_)).to_pylist()
