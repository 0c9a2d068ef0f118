"""An indexed library: the results of a scan, opened for analysis in Python.

Parquet is read by pyarrow, DuckDB and Dask, the tables that only SQLite has by sqlite3 (`storage/lookup.py`). Nothing is
written, and nothing is kept open.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.problems import MediaError, UsageError
from pipeline.record import FILES, PARTITION, RECORD
from pipeline.storage.lookup import table_of
from pipeline.storage.results import index_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from PIL.Image import Image
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

    def thumbnail(self, file_id: str, size: int = 256) -> Image:
        """A small picture of a photo or video: RGB, upright, no side longer than `size` pixels, and none larger than it was.

        It is made from the library as it is now, in folders, zips and tgzs alike. Raises MediaError with the reason where there
        is none to be had: the file is gone, damaged or no longer what was scanned; it is a video and `ffmpeg` is not installed;
        it is HEIC and `pi-heif` is not. Decoders that crash or hang take nothing with them. A tgz is read up to the file:
        for several, `thumbnails` reads it once.
        """
        from pipeline.thumbnails import thumbnail

        return thumbnail(self.folder / "index.sqlite", file_id, size)

    def thumbnails(self, file_ids: Iterable[str], size: int = 256) -> Iterator[tuple[str, Image | MediaError]]:
        """Each id, once, with its `thumbnail` or the MediaError that says why there is none.

        They come in the order in which they are read. A tgz is read but once for all of them, and no further than must be.
        """
        from pipeline.thumbnails import thumbnails

        return thumbnails(self.folder / "index.sqlite", list(file_ids), size)

    def table(self, name: str) -> pd.DataFrame:
        """A table or view that the SQLite index has, as `albums`, `people`, `problems`, `timeline`, as a pandas frame."""
        import pandas as pd

        columns, rows = table_of(self.folder / "index.sqlite", name)
        return pd.DataFrame(rows, columns=columns)
