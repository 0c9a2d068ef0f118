"""An indexed library: the results of a scan, opened for analysis in Python.

Parquet is read by pyarrow, DuckDB and Dask, the tables that only SQLite has by sqlite3 (`storage/lookup.py`). Nothing is
written, and nothing is kept open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.problems import UsageError
from pipeline.record import FILES, PARTITION, RECORD
from pipeline.storage.lookup import table_of
from pipeline.storage.results import index_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from pyarrow.dataset import Dataset


def open_library(place: str | os.PathLike[str]) -> Library:
    """The library whose results lie at `place`. Raises UsageError if there are none."""
    folder = index_of(Path(place).expanduser()).parent
    if not (folder / "run.json").exists():
        raise UsageError(f"{place} holds no results of a scan: takeout-index scan INPUT... -o {place}")
    return Library(folder)


class Library:
    """Results of a scan, for reading."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def report(self) -> dict[str, Any]:
        """What the scan reported, as ``run.json`` has it: versions, settings, inputs, counts, times."""
        return json.loads((self.folder / "run.json").read_bytes())

    def dataset(self) -> Dataset:
        """`media` as a pyarrow dataset with RECORD's columns: nothing is read yet."""
        import pyarrow.dataset as ds

        return ds.dataset(
            self.folder / "media",
            RECORD,
            format="parquet",
            partitioning=ds.partitioning(pa.schema([RECORD.field(PARTITION)]), flavor="hive"),
        )

    def arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """`media` as an Arrow table, of which only some `columns` are read if they are given."""
        return self.dataset().to_table(columns=None if columns is None else list(columns))

    def media(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """`media` as a pandas frame, of which only some `columns` are read if they are given."""
        return self.arrow(columns).to_pandas()

    def sql(self, query: str, **parameters: Any) -> duckdb.DuckDBPyRelation:
        """DuckDB's answer to a query over `media` and `files`; ``.df()``, ``.pl()`` and ``.arrow()`` make frames of it.

        `parameters` are the values of ``$name`` in the query.
        """
        import duckdb
        import pyarrow.dataset as ds

        database = duckdb.connect()
        database.register("media", self.dataset())
        database.register("files", ds.dataset(self.folder / "files", FILES, format="parquet"))
        return database.sql(query, params=parameters or None)

    def table(self, name: str) -> pd.DataFrame:
        """A table or view that the SQLite index has, as `albums`, `people`, `problems`, `timeline`, as a pandas frame."""
        import pandas as pd

        columns, rows = table_of(self.folder / "index.sqlite", name)
        return pd.DataFrame(rows, columns=columns)
