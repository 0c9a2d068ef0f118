"""An indexed library: the results of a scan, opened for analysis in Python.

Parquet is read by pyarrow, DuckDB and Dask, the tables that only SQLite has by sqlite3 (`storage/lookup.py`). Nothing is
written, and nothing is kept open: a scan may replace the results meanwhile, and each answer is of the old ones or of the new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from pipeline.problems import MediaError, RunError, UsageError
from pipeline.progress import Watch, watching_here
from pipeline.record import FILES, PARTITION, RECORD
from pipeline.settings import Settings
from pipeline.storage.lookup import opened_index, table_of
from pipeline.storage.opened import Opened
from pipeline.storage.remote import is_url, shown_url
from pipeline.storage.results import results_of

if TYPE_CHECKING:
    import dask.dataframe as dd
    import duckdb
    import pandas as pd
    from PIL.Image import Image
    from pyarrow.dataset import Dataset

AnyPath = str | os.PathLike[str]
T = TypeVar("T")

#: How DuckDB is opened: it fetches nothing from the network.
_DUCKDB: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}

_PROBLEMS = """
SELECT file_id, path, part, status, problem.stage, problem.kind, problem.message
FROM (SELECT file_id, path, part, status, unnest(problems) AS problem FROM media)
UNION ALL SELECT NULL, path, part, state, 'list', state, reason FROM files WHERE state = 'unreadable'
ORDER BY path, stage, kind, message
"""
_DUPLICATES = """
SELECT content_id, file_id, path, size, duplicate_of IS NULL AS original,
       CASE WHEN duplicate_of IS NULL THEN 0 ELSE size END AS reclaimable, duplicate_of, album, taken_at, library
FROM media WHERE content_id IN (SELECT content_id FROM media WHERE duplicate_of IS NOT NULL)
ORDER BY content_id, duplicate_of IS NOT NULL, path, library
"""
_UNMATCHED = """
SELECT 'media' AS what, path, part, size, file_id, taken_at, NULL AS reason FROM media WHERE sidecar_path IS NULL
UNION ALL SELECT 'sidecar', path, part, size, NULL, NULL, reason FROM files WHERE state = 'unmatched_sidecar'
ORDER BY what, path
"""
_FIGURES = """
SELECT min(coalesce(taken_local, taken_at::TIMESTAMP)), max(coalesce(taken_local, taken_at::TIMESTAMP)), sum(size),
       count(duplicate_of), sum(size) FILTER (duplicate_of IS NOT NULL)
FROM media
"""


def scan(
    inputs: AnyPath | Sequence[AnyPath],
    output: AnyPath | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
    *,
    quiet: bool = False,
) -> Library:
    """Index a library and open the results.

    Parameters
    ----------
    inputs
        A folder, a zip or tgz as downloaded, or several of them, which are parts of one export. ``~`` is your home folder.
    output
        The folder of the results, which is made if need be; ``results/<name of the first input>`` if it is not given. Or a URL:
        ``s3://``, ``gs://``, ``az://``, ``sftp://``. What a killed run has left there is gone on from, what has not changed
        since the last one is taken over.
    settings
        How to scan, as `Settings(mode="parallel", processes=4)`. The caller's Dask client does the work if there is one, and
        the settings name no scheduler.
    watch
        Who is told of progress. Without one, a notebook shows a bar below the cell, a terminal one on its last line, and
        anything else nothing.
    quiet
        Show nothing.

    Returns
    -------
    The library; its `report` says what the run did. Files that cannot be read are no error: see `problems`.

    Raises
    ------
    UsageError, OutputError, ClusterError
        With one line for the user. Results of an earlier run then stay as they were.
    """
    from pipeline import api  # here, as who opens results need not wait for it

    if watch is not None:
        report = api.scan(inputs, output, settings, watch)
    else:
        with watching_here(quiet) as watch:
            report = api.scan(inputs, output, settings, watch)
    return _open(report["output"], settings.mirrors if settings else "")


def merge(
    results: Sequence[AnyPath] | Mapping[str, AnyPath],
    output: AnyPath,
    watch: Watch | None = None,
    *,
    quiet: bool = False,
) -> Library:
    """Make one index of the results of several libraries, as a household's or the exports of several years, and open it.

    Parameters
    ----------
    results
        The folders of results, by the names that the libraries are to have: ``{"anna": "results/anna", "ben": "results/ben"}``.
        In a list each is called after its folder. Results that were merged themselves may be among them: their libraries keep
        their names.
    output
        The folder of the merged results, which is made if need be. None of a scan may be there.
    watch, quiet
        As of `scan`.

    Returns
    -------
    The library, in which `library` says of each file where it is from, and `duplicate_of` knows copies across libraries.

    Raises
    ------
    UsageError, OutputError
        With one line for the user. What was merged earlier then stays as it was.
    """
    from pipeline import merging  # here, as who opens results need not wait for it

    if watch is not None:
        report = merging.merge(results, output, watch)
    else:
        with watching_here(quiet) as watch:
            report = merging.merge(results, output, watch)
    return open_library(report["output"])


def open_library(place: AnyPath) -> Library:
    """The library whose results lie in the folder `place`, or at such a URL, as a scan has published them.

    Of results at a URL a copy is made in the user's cache, or brought up to what is there now; of it all is answered.
    What a killed run had finished, and not quite put in place, is put in place. Raises UsageError if there are no results, or
    if another version of this program has written them, with what to do then.
    """
    return _open(place)


def _open(place: AnyPath, mirrors: str = "") -> Library:
    folder = results_of(place, mirrors=mirrors)
    with opened_index(folder / "index.sqlite"):
        pass
    return Library(folder, shown_url(url) if is_url(url := os.fspath(place)) else None)


class Library:
    """Results of a scan, for reading. Made by `open_library` and `scan`.

    Columns are those of ``datapackage.json``. Times that are `timestamp[us, tz=UTC]` are aware, wall clocks (`taken_local`, …)
    are naive: never compare the two. Years are those of the wall clock.
    """

    def __init__(self, folder: Path, place: str | None = None) -> None:
        """Of the results in the folder, which are those at a `place` of another kind."""
        self.folder = folder
        self._place = place or str(folder)

    @property
    def report(self) -> dict[str, Any]:
        """What the last scan reported, as ``run.json`` has it: versions, settings, inputs, counts, seconds per stage."""
        return Opened.of(self.folder).report

    # Frames

    def media(self, columns: Sequence[str] | None = None, where: str | None = None, **parameters: Any) -> pd.DataFrame:
        """`media`, one row per photo and video, as a pandas frame.

        Only the `columns` that are named are read, in that order; `where` is an SQL condition (DuckDB's) that rows have to
        meet, and `parameters` are the values of ``$name`` in it: ``media(["path", "size"], "model = $model", model="Pixel
        8")``.

        Integers and truth values are pandas' own nullable types (`Int64`, `boolean`), as ISO speeds would be floats, and what
        is favourite or unknown objects, otherwise. Reals are plain floats with NaN, texts what pandas makes of texts, times
        `datetime64[us, UTC]` and `datetime64[us]`, which hold all years from 1 to 9999. `taken_year` is a plain int32, 0 where
        there is no date. Everything as Arrow types: ``library.arrow().to_pandas(types_mapper=pandas.ArrowDtype)``.
        """
        return _frame(self.arrow(columns, where, **parameters))

    def files(self, columns: Sequence[str] | None = None, where: str | None = None, **parameters: Any) -> pd.DataFrame:
        """`files`, a row per listed file of any kind with its one final state, as a pandas frame; arguments as for `media`."""
        return _frame(self._table("files", FILES, columns, where, parameters))

    def arrow(self, columns: Sequence[str] | None = None, where: str | None = None, **parameters: Any) -> pa.Table:
        """`media` as an Arrow table; arguments as for `media`. Types are exactly those of RECORD."""
        return self._table("media", RECORD, columns, where, parameters)

    def dataset(self) -> Dataset:
        """`media` as a pyarrow dataset: nothing is read yet, and filters are pushed down to years, row groups and pages.

        It is of the files that there are now: once a scan has replaced them, take another.
        """
        return self._consistently(Opened.media_dataset)

    def dask(self, columns: Sequence[str] | None = None) -> dd.DataFrame:
        """`media` as a Dask frame, one partition per Parquet file, of which only the columns that are used are read.

        Types are those of `media`. (`dask.dataframe.read_parquet` would make `taken_year` a category.) It is of the files that
        there are now: once a scan has replaced them, take another.
        """
        import dask
        import dask.dataframe as dd

        wanted = _check_columns("media", RECORD, columns)
        parts = self._consistently(Opened.media_parts)
        # Dask would make texts of all objects: of the lists of people, and of bytes.
        with dask.config.set({"dataframe.convert-string": False}):
            return dd.from_map(
                _read_part,
                [str(path) for path, _ in parts],
                [year for _, year in parts],
                columns=wanted,
                meta=_frame(RECORD.empty_table().select(wanted)),
                label="media",
            )

    def sql(self, query: str, **parameters: Any) -> duckdb.DuckDBPyRelation:
        """DuckDB's answer to a query over the tables `media` and `files`.

        ``.df()``, ``.pl()``, ``.to_arrow_table()`` and ``.fetchall()`` make something of it, and further steps can be taken
        from it. The query is run at once, so that its answer is of one state of the results. `parameters` are the values of
        ``$name`` in it, the way for values of any origin: ``sql("SELECT count(*) FROM media WHERE title = $title",
        title=title)``. Times are told in UTC.
        """
        return self._consistently(lambda opened: _ask(opened, query, parameters))

    def table(self, name: str) -> pd.DataFrame:
        """A table or view of the SQLite index, as `albums`, `people`, `timeline`, as a pandas frame. Times are text there."""
        import pandas as pd

        columns, rows = table_of(self.folder / "index.sqlite", name)
        return pd.DataFrame(rows, columns=columns)

    # Answers

    def problems(self) -> pd.DataFrame:
        """All that was wrong with files, a row each: `file_id`, `path`, `part`, `status`, `stage`, `kind`, `message`.

        Files that are listed but could not even be told to be photos, and archives as a whole, have no `file_id`.
        """
        return _frame(self.sql(_PROBLEMS).to_arrow_table())

    def duplicates(self) -> pd.DataFrame:
        """Files of equal content, a row each, the one that counts as the original first in each group.

        A group is one `content_id`; `original` says which one to keep, `reclaimable` the bytes that deleting a copy would give
        back: their sum is what all copies take. Further `file_id`, `path`, `size`, `duplicate_of`, `album`, `taken_at`, and
        in merged results the `library`.
        """
        return _frame(self.sql(_DUPLICATES).to_arrow_table())

    def unmatched(self) -> pd.DataFrame:
        """Photos and videos without sidecar, and sidecars without photo or video: `what` is ``media`` or ``sidecar``.

        Further `path`, `part`, `size`; of media `file_id` and `taken_at`, of sidecars the `reason`.
        """
        return _frame(self.sql(_UNMATCHED).to_arrow_table())

    # Pictures

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

    # What it looks like

    def export(
        self,
        output: AnyPath,
        *,
        format: str | None = None,  # noqa: A002  # as pandas, polars and the command call it
        where: str | None = None,
        columns: Sequence[str] | None = None,
        table: str = "media",
        drop_location: bool = False,
        round_location: int | None = None,
        spreadsheet: bool = False,
        force: bool = False,
    ) -> dict[str, Any]:
        """Write rows to a file: Parquet, GeoParquet, CSV or JSON Lines, by the ending of its name or by `format`.

        Without an ending it is a folder of Parquet by year. What each option does: ``takeout-index export --help``.
        Returns what was written: path, format, columns, rows, bytes.
        """
        from pipeline.exporting import Choice, export

        choice = Choice(
            table=table,
            where=where,
            columns=columns,
            drop_location=drop_location,
            round_location=round_location,
            spreadsheet=spreadsheet,
        )
        return export(self.folder, output, choice, format, force)

    def __repr__(self) -> str:
        try:
            return f"<Library {self._place!r}: {_content(self.report)}>"
        except (RunError, KeyError, TypeError) as error:
            return f"<Library {self._place!r}: {error}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: what is in the library, from when to when, and what is wrong with it."""
        try:
            rows = list(self._figures())
        except (RunError, KeyError, TypeError) as error:
            rows = [("Not readable", str(error))]
        # No colours of its own: it is read on light and dark pages.
        label = 'style="text-align:left;font-weight:normal;opacity:.7;padding:.15em 1.5em .15em 0;white-space:nowrap"'
        value = 'style="text-align:left;padding:.15em 0;overflow-wrap:anywhere"'
        lines = "".join(
            f'<tr style="background:none"><th scope="row" {label}>{escape(name)}</th><td {value}>{escape(text)}</td></tr>'
            for name, text in rows
        )
        title = escape(self.folder.name or str(self.folder))
        return (
            '<div style="max-width:48em;color:inherit"><div style="font-weight:bold;overflow-wrap:anywhere">'
            f'{title}</div><table style="border-collapse:collapse;margin:.3em 0;color:inherit;font-size:1em">'
            f"<tbody>{lines}</tbody></table></div>"
        )

    def _figures(self) -> Iterator[tuple[str, str]]:
        from pipeline.progress import amount

        report = self.report
        counts = report["counts"]
        first, last, size, copies, reclaimable = self.sql(_FIGURES).fetchall()[0]
        yield "Content", _content(report)
        yield "Size", amount(int(size or 0))
        yield "Taken", f"{first:%-d %B} {first.year} to {last:%-d %B} {last.year}" if first else "no dates"
        tables = counts.get("tables", {})
        yield "Albums and people", f"{_counted(tables.get('albums', 0), 'album')}, {tables.get('people', 0):,} people"
        yield (
            "Duplicates",
            f"{_counted(copies, 'copy', 'copies')}, {amount(int(reclaimable or 0))} reclaimable" if copies else "none",
        )
        problems = report["problem_files"]
        yield "Problems", f"{_counted(problems, 'file')} with problems: library.problems()" if problems else "none"
        if missing := report.get("missing_parts"):
            yield "Missing parts", ", ".join(missing)
        yield "Scanned", f"{report['finished_at'][:16].replace('T', ' ')} UTC"
        yield "Results", self._place

    # How it is read

    def _table(
        self, name: str, schema: pa.Schema, columns: Sequence[str] | None, where: str | None, parameters: dict[str, Any]
    ) -> pa.Table:
        wanted = _check_columns(name, schema, columns)
        if where is None:
            if parameters:
                raise UsageError(f"{', '.join(sorted(parameters))}: values are for a condition: where=")
            dataset = Opened.media_dataset if name == "media" else Opened.files_dataset
            return self._consistently(lambda opened: dataset(opened).to_table(columns=wanted))
        import duckdb

        listed = ", ".join(f'"{column}"' for column in wanted)
        try:
            found = self.sql(f"SELECT {listed} FROM {name} WHERE (\n{where}\n)", **parameters)
        except (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.DataError) as error:
            raise UsageError(f"the condition {where!r} cannot be used: {error}") from error
        return found.to_arrow_table().cast(pa.schema([schema.field(column) for column in wanted]))

    def _consistently(self, reading: Callable[[Opened], T]) -> T:
        return Opened.consistently(self.folder, reading)


def _content(report: dict[str, Any]) -> str:
    kinds = report["counts"]["media"]
    names = {"image": "photo", "video": "video", "other": "other file"}
    return ", ".join(_counted(kinds[kind], names[kind]) for kind in names if kind in kinds) or "no photos or videos"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _check_columns(name: str, schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(schema.names)
    if isinstance(columns, str):
        raise UsageError(f"columns is a list of names: [{columns!r}]")
    if unknown := [column for column in columns if column not in schema.names]:
        raise UsageError(f"{name} has no column {unknown[0]!r}; it has {', '.join(schema.names)}")
    return list(columns)


def _frame(table: pa.Table) -> pd.DataFrame:
    """A pandas frame, its types as `Library.media` says."""
    import pandas as pd

    types = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return table.to_pandas(types_mapper=types.get)


def _read_part(path: str, year: int, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of one Parquet file of `media`, of one year; for Dask, which passes the columns that it needs."""
    import pyarrow.parquet as pq

    stored = [column for column in columns if column != PARTITION]
    table = pq.ParquetFile(path, page_checksum_verification=True).read(columns=stored)
    schema = pa.schema([RECORD.field(column) for column in stored])
    table = table.select(stored).cast(schema)
    if PARTITION in columns:
        years = pa.repeat(pa.scalar(year, RECORD.field(PARTITION).type), table.num_rows)
        table = table.append_column(RECORD.field(PARTITION), years)
    return _frame(table.select(list(columns)))


def _ask(opened: Opened, query: str, parameters: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    import duckdb

    database = duckdb.connect(config=_DUCKDB)
    database.execute("SET TimeZone = 'UTC'")  # wherever it runs
    for name, select in (("media", opened.media_select()), ("files", opened.files_select())):
        if select is None:
            database.register(name, opened.media_dataset())
        else:
            database.execute(f"CREATE VIEW {name} AS {select}")

    def answer() -> duckdb.DuckDBPyRelation:
        found = database.sql(query, params=parameters or None)
        return found if found is None else found.materialize()

    # In the thread that gets a Ctrl-C, DuckDB looks for one after some of its work, which may be a minute's.
    with ThreadPoolExecutor(1) as thread:
        answering = thread.submit(answer)
        try:
            return answering.result()
        except KeyboardInterrupt:
            database.interrupt()
            raise
