"""Browsing an index of a million rows: every facet, filters, searches, views and canned queries, as Datasette itself answers.

python -m benchmarks --only browsing
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from itertools import starmap
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import scan
from pipeline.audit import FolderAudit
from pipeline.browsing.counts import COUNTED
from pipeline.documents import Album
from pipeline.listing import ListedFile
from pipeline.record import RECORD, unsettled
from pipeline.storage.browsable import QUESTIONS, datasette_metadata
from pipeline.storage.index import Index
from pipeline.storage.lookup import counts_of
from pipeline.storage.package import VIEWS
from pipeline.storage.published import published_files, report_text
from pipeline.storage.results import Results, write_media
from pipeline.synthetic import make_library

#: Rows that are entered at a time.
ROWS = 10_000


def grow(results: Path, copies: int, folder: Path) -> Path:
    """Results in `folder` of the rows of `results`, so many times: each with names, contents and positions of its own."""
    grown = Results(folder)
    grown.new.mkdir(parents=True)
    with closing(sqlite3.connect(results / "index.sqlite")) as small, Index(folder / "index.sqlite") as index:
        albums = small.execute("SELECT folder, title, metadata_path FROM albums").fetchall()
        index.add_albums([Album(*each) for each in albums], {})
        index.add_folders(
            replace(folder, media=folder.media * copies, bytes=folder.bytes * copies)
            for folder in starmap(FolderAudit, small.execute("SELECT * FROM folders"))
        )
        for copy in range(copies):
            for rows in _media(results):
                index.add_media(_copied(rows, copy))
            index.add_files(
                ListedFile(_renamed(path, copy), *others)
                for path, *others in small.execute("SELECT path, part, size, state, reason FROM files")
            )
        settled = index.settle()
        settled = replace(settled, places=index.settle_places())
        index.finish()
    write_media(grown, (_copied(rows, copy) for copy in range(copies) for rows in _media(results)), settled)
    (grown.new / "media").rename(folder / "media")
    (folder / "metadata.yaml").write_text(datasette_metadata(folder.name), "utf-8")
    report = json.loads((results / "run.json").read_bytes())
    report.pop("check")
    (folder / "run.json").write_text(report_text(report, published_files(folder, ["media"])), "utf-8")
    return folder


def _media(results: Path) -> Iterator[pa.Table]:
    for part in sorted((results / "media").rglob("*.parquet")):
        year = int(part.parent.name.partition("=")[2])
        for batch in pq.ParquetFile(part).iter_batches(ROWS):
            rows = pa.Table.from_batches([batch])
            years = pa.array([year] * len(rows), pa.int32())
            yield rows.append_column("taken_year", years).select(RECORD.names).cast(RECORD)


def _copied(rows: pa.Table, copy: int) -> pa.Table:
    rows = unsettled(rows, rows.column("part").to_pylist(), [None] * len(rows))
    if not copy:
        return rows
    paths = [_renamed(path, copy) for path in rows.column("path").to_pylist()]
    changed = {
        "path": paths,
        "name": [path.rpartition("/")[2] for path in paths],
        "file_id": [blake2b(path.encode(), digest_size=8).hexdigest() for path in paths],
        "content_id": pc.binary_join_element_wise(rows.column("content_id"), f"{copy}", "-"),
        "latitude": pc.add(rows.column("latitude"), copy / 97),
        "longitude": pc.add(rows.column("longitude"), copy / 89),
    }
    for name, values in changed.items():
        place = RECORD.get_field_index(name)
        if isinstance(values, list):
            values = pa.chunked_array([values], RECORD.field(name).type)
        rows = rows.set_column(place, RECORD.field(name), values)
    return rows


def _renamed(path: str, copy: int) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{copy}-{name}" if copy else path


def ask(results: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each kind of page, as JSON, the first time and the quickest: each facet alone, then pages as they are."""
    facets = {f"facet {name}": f"media.json?_size=0&_nocount=1&_facet={name}" for name in sorted(COUNTED)}
    pages = {
        "files, its facets": "files.json?",
        "table": "media.json?_nofacet=1",
        "table, its facets": "media.json?",
        "filter kind": "media.json?kind=image&_nofacet=1",
        "filter kind, facets": "media.json?kind=image",
        "filter status": "media.json?status=failed&_nofacet=1",
        "filters kind, year, facets": "media.json?kind=image&taken_year=2023",
        "filters model, status, facets": "media.json?model=iPhone+8&status=ok",
        "sort by size": "media.json?_sort_desc=size&_nofacet=1",
        "sort by name": "media.json?_sort=name&_nofacet=1",
        "search for one word": "media.json?_search=beach&_nofacet=1",
        "search for a frequent word": "media.json?_search=img&_nofacet=1",
        **{f"view {name}": f"{name}.json?" for name in VIEWS},
        **{f"question {name}": f"{name}.json?{urlencode(given)}" for name, *_, given in QUESTIONS},
        "map": "/-/map/index/media",
        "map, kind": "/-/map/index/media?kind=image",
    }
    metadata = results / "metadata.yaml"
    metadata.write_text("{}", "utf-8")
    found = _times(results, facets, rounds)
    metadata.write_text(datasette_metadata(results.name), "utf-8")
    return found | _times(results, pages, rounds)


def _times(results: Path, pages: dict[str, str], rounds: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "pipeline", "browse", str(results), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        took = {}
        for name, page in pages.items():
            took[name] = [_ask(f"{address}{page[1:] if page[0] == '/' else f'index/{page}'}") for _ in range(rounds)]
        server.terminate()
    return {name: {"first_ms": each[0], "quickest_ms": min(each)} for name, each in took.items()}


def _ask(address: str) -> float:
    begin = time.perf_counter()
    with urllib.request.urlopen(address) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - begin)


def measure(folder: Path, files: int, copies: int, rounds: int) -> dict[str, Any]:
    """An index of so many times as many rows as there are files in a synthetic library, and what it takes to look at it."""
    library, results, grown = folder / "library", folder / "results", folder / "grown"
    make_library(library, files=files, seed=1, image_bytes=6000, video_bytes=8000)
    scan([library], results)
    begin = time.perf_counter()
    grow(results, copies, grown)
    took = time.perf_counter() - begin
    shutil.rmtree(library)
    rows = counts_of(grown / "index.sqlite")["media"]
    size = (grown / "index.sqlite").stat().st_size
    return {"rows": rows, "bytes_a_row": size / rows, "growing_s": took, "pages": ask(grown, rounds)}


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of figures."""
    pages = found["pages"]

    def of(kind: str) -> list[float]:
        return [each["quickest_ms"] for name, each in pages.items() if name.startswith(kind)]

    named = ("table, its facets", "filter kind, facets", "sort by size", "search for a frequent word", "map")
    return [
        (f"browsing, {found['rows']:,} rows: slowest of {len(of('facet '))} facets", f"{max(of('facet ')):.0f} ms"),
        *((f"browsing: {name}", f"{pages[name]['quickest_ms']:.0f} ms") for name in named),
        ("browsing: slowest view", f"{max(of('view ')):.0f} ms"),
        ("browsing: slowest question", f"{max(of('question ')):.0f} ms"),
    ]
