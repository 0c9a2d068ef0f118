"""One library's results read by what people read them with: pandas, polars, DuckDB, Dask, pyarrow and SQLite say the same."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import RECORD, Settings, scan
from pipeline.library import Library

#: taken_year -> count and sum of sizes.
Years = dict[int, tuple[int, int]]
#: path -> moment, wall clock.
Times = dict[str, tuple[datetime | None, datetime | None]]


@pytest.fixture(scope="module")
def library(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return scan(synthetic, tmp_path_factory.mktemp("everywhere") / "results", Settings(mode="sequential"))


def by_arrow(library: Library) -> pa.Table:
    """By hand, as the reference."""
    parts = []
    for path in sorted((library.folder / "media").rglob("*.parquet")):
        part = pq.ParquetFile(path).read()
        assert part.schema.equals(pa.schema([field for field in RECORD if field.name != "taken_year"])), path
        years = pa.array([int(path.parent.name.removeprefix("taken_year="))] * part.num_rows, pa.int32())
        parts.append(part.append_column("taken_year", years).select(RECORD.names))
    return pa.concat_tables(parts).cast(RECORD)


def by_duckdb(library: Library) -> pa.Table:
    database = duckdb.connect()
    database.execute("SET TimeZone = 'Asia/Kolkata'")  # which changes what is shown and not what is meant
    return database.sql(f"SELECT * FROM '{library.folder}/media/*/*.parquet'").to_arrow_table()


def by_sqlite(library: Library) -> pa.Table:
    with sqlite3.connect(library.folder / "index.sqlite") as db:
        db.row_factory = sqlite3.Row
        rows = [dict(row) for row in db.execute("SELECT * FROM media")]

    def value(name: str, stored: Any) -> Any:
        kind = RECORD.field(name).type
        if stored is None:
            return None
        if pa.types.is_timestamp(kind):
            return datetime.fromisoformat(stored)
        return bool(stored) if pa.types.is_boolean(kind) else stored

    names = [name for name in RECORD.names if name in rows[0] and not pa.types.is_list(RECORD.field(name).type)]
    columns = {name: pa.array([value(name, row[name]) for row in rows], RECORD.field(name).type) for name in names}
    return pa.table(columns)


def of_frame(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


READERS: dict[str, Callable[[Library], pa.Table]] = {
    "Library.arrow": lambda library: library.arrow(),
    "Library.media": lambda library: of_frame(library.media()),
    "Library.dask": lambda library: of_frame(library.dask().compute()),
    "Library.sql": lambda library: library.sql("SELECT * FROM media").to_arrow_table(),
    "pandas": lambda library: of_frame(pd.read_parquet(library.folder / "media")),
    "dask": lambda library: of_frame(dd.read_parquet(library.folder / "media").compute()),
    "polars": lambda library: pl.read_parquet(library.folder / "media", hive_partitioning=True).to_arrow(),
    "polars lazily": lambda library: (
        pl.scan_parquet(library.folder / "media", hive_partitioning=True).collect().to_arrow()
    ),
    "duckdb": by_duckdb,
    "sqlite": by_sqlite,
}


def years(table: pa.Table) -> Years:
    table = table.select(["taken_year", "size"]).cast(pa.schema([("taken_year", pa.int32()), ("size", pa.int64())]))
    groups = table.group_by("taken_year").aggregate([("size", "count"), ("size", "sum")]).to_pylist()
    return {row["taken_year"]: (row["size_count"], row["size_sum"]) for row in groups}


def times(table: pa.Table) -> Times:
    kinds = {"path": pa.string(), "taken_at": pa.timestamp("us", "UTC"), "taken_local": pa.timestamp("us")}
    rows = table.select(list(kinds)).cast(pa.schema(list(kinds.items()))).to_pylist()
    return {row["path"]: (row["taken_at"], row["taken_local"]) for row in rows}


def nulls(table: pa.Table) -> dict[str, int]:
    return {name: table[name].null_count for name in table.column_names}


@pytest.mark.parametrize("reader", READERS)
def test_counts_sums_times_and_nulls_are_the_same(library: Library, reader: str) -> None:
    expected, found = by_arrow(library), READERS[reader](library)
    missing = set(RECORD.names) - set(found.column_names)
    lists = {field.name for field in RECORD if pa.types.is_list(field.type)}  # of which SQLite has tables
    assert missing == (lists if reader == "sqlite" else set())
    assert years(found) == years(expected)
    assert sum(count for count, _ in years(found).values()) == library.report["media"]
    kind = found.schema.field("taken_at").type
    assert pa.types.is_timestamp(kind) and kind.tz is not None
    assert found.schema.field("taken_local").type.tz is None
    assert times(found) == times(expected)
    assert any(at and at.tzinfo is not None for at, _ in times(found).values())
    assert nulls(found) == {name: count for name, count in nulls(expected).items() if name not in missing}


def test_a_moment_is_the_same_moment_whatever_the_zone_of_the_reader(library: Library) -> None:
    (path, text) = by_text(library)
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    (found,) = library.media(["taken_at"], "path = $path", path=path)["taken_at"]
    assert found.to_pydatetime() == moment.astimezone(UTC)


def by_text(library: Library) -> tuple[str, str]:
    with sqlite3.connect(library.folder / "index.sqlite") as db:
        path, text = db.execute("SELECT path, taken_at FROM media WHERE taken_at IS NOT NULL LIMIT 1").fetchone()
    return path, text


def test_what_the_documentation_warns_of_is_so(library: Library) -> None:
    """Plain readers of the folder take the year, which is a folder's name, for a category, and nullable integers for reals."""
    plain = pd.read_parquet(library.folder / "media")
    assert str(plain["taken_year"].dtype) == "category"
    assert str(plain["iso"].dtype) == "float64"
    assert str(dd.read_parquet(library.folder / "media")["taken_year"].dtype) == "category"
    assert str(pd.read_parquet(library.folder / "media", dtype_backend="numpy_nullable")["iso"].dtype) == "Int64"
    assert str(library.media()["taken_year"].dtype) == str(library.dask()["taken_year"].dtype) == "int32"
