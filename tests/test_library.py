"""An indexed library opened in Python, whatever has become of its results."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pandas as pd
import pyarrow.compute as pc
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from pipeline import RECORD, Settings, open_library, scan
from pipeline.library import Library
from pipeline.problems import RunError, UsageError
from pipeline.storage.results import READY
from tests.conftest import write_tree

SEQUENTIAL = Settings(mode="sequential")
FOLDER = "Takeout/Google Photos/Photos from 2020"


@pytest.fixture(scope="module")
def library(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return scan(synthetic, tmp_path_factory.mktemp("library") / "it's <b>[x]*", SEQUENTIAL)


@pytest.fixture
def copied(library: Library, tmp_path: Path) -> Library:
    """The same results, to be damaged."""
    shutil.copytree(library.folder, tmp_path / "results")
    return open_library(tmp_path / "results")


def counted(library: Library, query: str) -> int:
    with sqlite3.connect(library.folder / "index.sqlite") as db:
        return int(db.execute(query).fetchone()[0])


def test_parquet_duckdb_and_sqlite_hold_the_same_library(library: Library) -> None:
    expected = counted(library, "SELECT count(*) FROM media")
    assert expected > 0
    assert len(library.media()) == library.arrow(["path"]).num_rows == library.dataset().count_rows() == expected
    assert library.sql("SELECT count(*) FROM media WHERE path <> $path", path="").fetchall() == [(expected,)]
    assert len(library.files()) == counted(library, "SELECT count(*) FROM files")
    assert len(library.table("albums")) == counted(library, "SELECT count(*) FROM albums")
    assert library.report["media"] == expected


def test_times_come_out_of_a_query_with_their_zone(library: Library) -> None:
    ((first, local),) = library.sql("SELECT min(taken_at), min(taken_local) FROM media").fetchall()
    assert first.utcoffset() == timedelta(0) and local.tzinfo is None
    column = library.arrow(["taken_at"]).column("taken_at")
    assert first == pc.min(column).as_py()


def test_columns_come_as_they_were_asked_for(library: Library) -> None:
    assert library.arrow().schema.equals(RECORD)
    assert library.arrow(where="true").schema.equals(RECORD)
    assert list(library.media(["taken_year", "path"]).columns) == ["taken_year", "path"]
    assert list(library.dask(["taken_year", "path"]).compute().columns) == ["taken_year", "path"]
    found = library.media(["size", "kind"], "kind = $kind AND size > 0 -- and no more", kind="video")
    assert set(found["kind"]) == {"video"}
    assert len(found) == counted(library, "SELECT count(*) FROM media WHERE kind = 'video' AND size > 0")


@pytest.mark.parametrize(
    ("asking", "answer"),
    [
        (lambda library: library.media(["sice"]), "media has no column 'sice'; it has file_id, path"),
        (lambda library: library.media("size"), r"a list of names: \['size'\]"),
        (lambda library: library.dask(["sice"]), "no column 'sice'"),
        (lambda library: library.media(where="sice > 1"), "the condition 'sice > 1' cannot be used: .*sice"),
        (lambda library: library.media(where="size > > 1"), "cannot be used"),
        (lambda library: library.media(where="name::INTEGER = 7"), "cannot be used"),
        (lambda library: library.media(kind="video"), "where="),
        (lambda library: library.table("albumz"), "no table 'albumz'; it has .*albums"),
    ],
)
def test_what_there_is_not_is_refused_with_advice(library: Library, asking: object, answer: str) -> None:
    with pytest.raises(UsageError, match=answer):
        asking(library)  # type: ignore[operator]


def test_values_stay_what_they_are_in_pandas(library: Library) -> None:
    media = library.media()
    types = {name: str(kind) for name, kind in media.dtypes.items()}
    assert types["iso"] == types["size"] == "Int64"
    assert types["favorited"] == "boolean"
    assert (types["taken_year"], types["latitude"]) == ("int32", "float64")
    assert (types["taken_at"], types["taken_local"]) == ("datetime64[us, UTC]", "datetime64[us]")
    table = library.arrow()
    for name in RECORD.names:
        assert int(media[name].isna().sum()) == table[name].null_count, name


def test_years_that_nanoseconds_cannot_hold_are_years(tmp_path: Path) -> None:
    moments = {"old.jpg": datetime(1600, 1, 1, tzinfo=UTC), "new.jpg": datetime(2400, 1, 1, tzinfo=UTC)}
    files: dict[str, object] = {}
    for name, moment in moments.items():
        files[f"{FOLDER}/{name}"] = b"\xff\xd8\xff\xd9"
        files[f"{FOLDER}/{name}.json"] = {"title": name, "photoTakenTime": {"timestamp": str(int(moment.timestamp()))}}
    library = scan(write_tree(tmp_path / "in", files), tmp_path / "out", SEQUENTIAL)  # type: ignore[arg-type]
    for frame in (library.media(), library.dask().compute(), library.sql("SELECT * FROM media").df()):
        stated = dict(zip(frame["name"], frame["sidecar_taken_at"], strict=True))
        assert {name: stated[name].to_pydatetime() for name in moments} == moments
    assert "2 photos" in library._repr_html_()


def test_whoever_opens_results_waits_for_nothing_that_scans() -> None:
    code = "import sys; from pipeline import open_library; print({'pipeline.api', 'pandas', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout == "set()\n"


def test_a_dask_frame_has_the_types_of_the_pandas_frame(library: Library) -> None:
    frame, lazy = library.media(), library.dask()
    computed = lazy.compute()
    assert dict(lazy.dtypes) == dict(computed.dtypes) == dict(frame.dtypes)
    assert [list(people) for people in computed["people"]] == [list(people) for people in frame["people"]]
    problems = lazy["problems"].map(len, meta=("problems", "int64")).sum().compute()
    assert problems == counted(library, "SELECT count(*) FROM problems WHERE file_id IS NOT NULL") > 0


def test_duplicates_say_what_to_keep_and_what_that_gives_back(library: Library) -> None:
    found = library.duplicates()
    assert len(found) == counted(library, "SELECT count(*) FROM duplicates")
    assert found["reclaimable"].sum() == counted(library, "SELECT sum(size) FROM media WHERE duplicate_of IS NOT NULL")
    groups = found.groupby("content_id")
    assert (groups["original"].sum() == 1).all()
    assert groups["original"].first().all()
    assert (groups["size"].nunique() == 1).all()


def test_problems_and_unmatched_files_are_all_there(library: Library) -> None:
    problems = library.problems()
    unreadable = counted(library, "SELECT count(*) FROM files WHERE state = 'unreadable'")
    assert len(problems) == counted(library, "SELECT count(*) FROM problems") + unreadable
    assert problems[["path", "stage", "kind", "message"]].notna().all(axis=None)
    what = library.unmatched()["what"].value_counts()
    assert what["media"] == counted(library, "SELECT count(*) FROM unmatched_media")
    assert what["sidecar"] == counted(library, "SELECT count(*) FROM unmatched_sidecars")


def test_what_a_library_looks_like_needs_nothing_from_outside(library: Library) -> None:
    shown = library._repr_html_()
    assert "&lt;b&gt;[x]*" in shown
    assert "<b>" not in shown
    assert "http" not in shown and "url(" not in shown and "<script" not in shown
    for word in ("photos", "videos", "reclaimable", "problems", "Taken", "Scanned"):
        assert word in shown
    assert " photos, " in repr(library)


def test_queries_fetch_nothing(library: Library) -> None:
    found = library.sql(
        "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions' OR name = 'TimeZone'"
    )
    assert dict(found.fetchall()) == {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "TimeZone": "UTC",
    }


def test_a_folder_without_results_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takeout-index scan"):
        open_library(tmp_path)


@pytest.mark.parametrize(("version", "answer"), [(1, "older version.*scan again"), (99, "newer version.*use that")])
def test_results_of_another_version_are_refused(copied: Library, version: int, answer: str) -> None:
    with sqlite3.connect(copied.folder / "index.sqlite") as db:
        db.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(UsageError, match=answer):
        open_library(copied.folder)


READINGS = {
    "pandas": lambda library: library.media(),
    "duckdb": lambda library: library.sql("SELECT sum(size), max(title), max(sidecar_json) FROM media").fetchall(),
    "dask": lambda library: library.dask().compute(),
    "files": lambda library: library.files(),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("damage", ["lost", "cut", "other bytes"])
def test_parquet_that_is_not_as_it_was_published_is_said_to_be(copied: Library, reading: str, damage: str) -> None:
    folder = copied.folder / ("files" if reading == "files" else "media")
    path = max(folder.rglob("*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "cut":
        path.write_bytes(data[:-100])
    elif damage == "other bytes":
        data[4:-8] = bytes(len(data) - 12)
        path.write_bytes(data)
    if reading == "dask" and damage == "other bytes":
        with pytest.raises(Exception, match=r"."):  # it is read when others have it
            READINGS[reading](copied)
        return
    with pytest.raises(RunError, match=f"{path.name} (is not as|cannot be read).*scan again into"):
        READINGS[reading](copied)


def test_a_report_that_is_none_is_said_to_be(copied: Library) -> None:
    (copied.folder / "run.json").write_text("[")
    with pytest.raises(RunError, match=r"run\.json cannot be read .*scan again"):
        copied.media()
    assert "cannot be read" in repr(copied)
    assert "cannot be read" in copied._repr_html_()


def test_what_a_killed_run_had_not_put_in_place_is_put_there(copied: Library, tmp_path: Path) -> None:
    new = copied.folder / ".work" / "new"
    new.mkdir(parents=True, exist_ok=True)
    rows = len(copied.media())
    (copied.folder / "media").rename(new / "media")
    shutil.copytree(new / "media", copied.folder / "media")
    next((copied.folder / "media").rglob("*.parquet")).unlink()  # it would be the old one
    (new / READY).write_text(json.dumps({"media": (new / "media").stat().st_ino}))
    assert len(open_library(copied.folder).media()) == rows
    assert not (new / READY).exists()


def test_each_answer_is_of_the_old_results_or_of_the_new(tmp_path: Path) -> None:
    files = {f"{FOLDER}/{number}.jpg": b"\xff\xd8\xff" + bytes([number]) * 9 for number in range(60)}
    root = write_tree(tmp_path / "in", dict(files))
    library = scan(root, tmp_path / "out", SEQUENTIAL)
    for number in range(0, 60, 2):
        (root / FOLDER / f"{number}.jpg").unlink()
    command = [sys.executable, "-m", "pipeline", "scan", str(root), "-o", str(tmp_path / "out")]
    command += ["--quiet", "--mode", "sequential"]
    found: set[int] = set()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            found.add(library.arrow(["path"]).num_rows)
            found.add(library.sql("SELECT count(path) FROM media").fetchall()[0][0])
    assert found <= {60, 30}
    assert library.report["media"] == len(library.media()) == 30


def notebook(*cells: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def outputs(cell: nbformat.NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        yield output.get("data", {}).get("text/html") or output.get("text", "")


def test_a_notebook_shows_progress_and_the_library(synthetic: Path, tmp_path: Path) -> None:
    scanning = f"scan({str(synthetic)!r}, {str(tmp_path / 'out')!r}, Settings(mode='parallel', processes=1)"
    cells = notebook(
        f"from pipeline import Settings, scan\nlibrary = {scanning})",
        "library",
        f"{scanning}, quiet=True).media(['path']).shape[1]",
    )
    manager = AsyncKernelManager(kernel_name="python3", transport="ipc")
    manager.connection_file = str(tmp_path / "kernel.json")
    NotebookClient(cells, km=manager, timeout=300).execute()
    progress, shown, quiet = (list(outputs(cell)) for cell in cells.cells)
    (said,) = progress
    assert "photos and videos" in said and "reading: parallel" in said
    assert "<progress" not in said  # it is over
    assert "reclaimable" in shown[0]
    assert len(quiet) == 1  # the answer


def test_a_script_shows_nothing(synthetic: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert isinstance(scan(synthetic, tmp_path / "out", SEQUENTIAL).media(["size"]), pd.DataFrame)
    assert capfd.readouterr() == ("", "")


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_tree(tmp_path / "in", {f"{FOLDER}/a.jpg": b"\xff\xd8\xff\xd9"})
    assert scan("~/in", "~/out", SEQUENTIAL).folder == tmp_path / "out"
    assert pc.sum(open_library("~/out").arrow(["size"])["size"]).as_py() == 4


def test_a_query_that_takes_for_ever_ends_on_ctrl_c(library: Library) -> None:
    program = f"""
import os, signal, threading, time
from pipeline import open_library
library = open_library({str(library.folder)!r})
library.sql("SELECT 1")
begin = time.process_time()
def stop():
    while time.process_time() < begin + 1:  # it is at work
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=stop, daemon=True).start()
try:
    library.sql("SELECT sum(sin(a.range) * cos(b.range)) FROM range(1000000) a, range(1000000) b")
except KeyboardInterrupt:
    print("ended")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "ended\n", done.stderr
