"""`merge`: several libraries as one index, in which nothing is lost, ids stay and copies are found."""

import asyncio
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from datasette.app import Datasette
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import Settings, merge, open_library, verify
from pipeline.api import explain, scan
from pipeline.exporting import Choice, export
from pipeline.merging import merge as merge_results
from pipeline.problems import OutputError, RunError, UsageError
from pipeline.record import RECORD, SCHEMA_VERSION
from pipeline.report import report as write_report
from pipeline.several import Given, library_names, merged_id, why_no_name
from pipeline.storage.archives import Stamp
from pipeline.storage.browsable import OF_LIBRARIES
from pipeline.storage.published import published_files, read_report, report_text
from tests.conftest import Run, files_rows, media_rows, write_tree
from tests.servers import S3
from tests.test_archives import EXPORT, pack
from tests.test_opens_everywhere import READERS
from tests.test_verify import photo

SEQUENTIAL = Settings(mode="sequential")
PHOTOS = "Takeout/Google Photos"
Rows = list[dict[str, Any]]


def sidecar(title: str, second: int, *people: str, **others: Any) -> dict[str, Any]:
    named = {"people": [{"name": name} for name in people]} if people else {}
    return {"title": title, "photoTakenTime": {"timestamp": str(1_580_702_706 + second)}, **named, **others}


def export_of(
    photos: dict[str, int], albums: tuple[str, ...] = ("Trip",), people: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An export of photos (name -> content) by year, of which those that begin with A lie in each album too."""
    files: dict[str, Any] = {}
    folders = ["Photos from 2020", *albums]
    for album in albums:
        files[f"{PHOTOS}/{album}/metadata.json"] = {"title": album, "date": {"timestamp": "1580702706"}}
    for number, (name, content) in enumerate(photos.items()):
        for folder in folders if name.startswith("A") else folders[:1]:
            files[f"{PHOTOS}/{folder}/{name}"] = photo(content)
            files[f"{PHOTOS}/{folder}/{name}.json"] = sidecar(name, number, *people)
    return files


#: Anna's export of 2019, her export of 2024 (A2 is gone, A3 was edited, B9 is new) as zips, of which one is damaged, and Ben's.
ANNA_2019 = export_of({"A1.jpg": 1, "A2.jpg": 2, "A3.jpg": 3, "B4.jpg": 4}, people=("Ana", "Ben"))
ANNA_2024 = export_of({"A1.jpg": 1, "A3.jpg": 33, "B4.jpg": 4, "B9.jpg": 9}, people=("Ana",))
BEN = export_of({"A1.jpg": 1, "A7.jpg": 7, "B4.jpg": 44}, ("Trip", "Ben's; DROP TABLE media"), people=("Ben",))


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The results of three libraries, by name."""
    folder = tmp_path_factory.mktemp("household")
    write_tree(folder / "in/2019", ANNA_2019)
    write_tree(folder / "in/ben", BEN)
    pack(write_tree(folder / "2024", ANNA_2024), folder / "in/2024", "zip", parts=2)
    (folder / f"in/2024/{EXPORT}-004.zip").write_bytes(b"PK\3\4 cut off")
    found = {}
    for name in ("2019", "2024", "ben"):
        scan(folder / "in" / name, folder / "results" / name, SEQUENTIAL)
        found[name] = folder / "results" / name
    return found


@pytest.fixture(scope="module")
def home(household: dict[str, Path]) -> Path:
    """The three of them merged."""
    folder = household["ben"].parent.parent / "home"
    merge_results(list(household.values()), folder)
    return folder


def query(results: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return db.execute(sql, values).fetchall()


def dump(results: Path) -> dict[str, Any]:
    """All that merged results say, but for the history."""
    tables = ("folders", "albums", "media_albums", "comments", "people", "media_people", "libraries", "days")
    found: dict[str, Any] = {name: sorted(query(results, f"SELECT * FROM {name}"), key=repr) for name in tables}
    found["problems"] = sorted(
        query(results, "SELECT file_id, library, path, stage, kind, message FROM problems"), key=repr
    )
    columns = [name for name in RECORD.names if name not in ("people", "albums", "comments", "problems")]
    found["sqlite"] = query(results, f"SELECT {', '.join(columns)} FROM media ORDER BY file_id")
    return found | {"media": media_rows(results), "files": sorted(files_rows(results), key=repr)}


def by_path(results: Path, library: str) -> dict[str, dict[str, Any]]:
    return {row["path"].removeprefix(f"{PHOTOS}/"): row for row in media_rows(results) if row["library"] == library}


def test_merged_results_have_all_rows_of_the_libraries(household: dict[str, Path], home: Path) -> None:
    for name, results in household.items():
        merged = {row["scan_file_id"]: row for row in media_rows(home) if row["library"] == name}
        scanned = media_rows(results)
        assert len(merged) == len(scanned)
        for row in scanned:
            changed = {"file_id": merged_id(name, row["file_id"]), "scan_file_id": row["file_id"], "library": name}
            changed |= {"part": f"{name}/{row['part']}"}
            settled = {each: merged[row["file_id"]][each] for each in ("duplicate_of", "albums")}
            assert merged[row["file_id"]] == row | changed | settled
        files = [row for row in files_rows(home) if row["library"] == name]
        assert Counter(row["state"] for row in files) == Counter(row["state"] for row in files_rows(results))
    report = json.loads((home / "run.json").read_text())
    assert report["listed"] == len(files_rows(home)) and report["media"] == len(media_rows(home))
    assert [each["library"] for each in report["merged"]] == ["2019", "2024", "ben"]
    assert report["missing_parts"] == [f"2024/{EXPORT}-003"]
    assert query(home, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_sqlite_and_parquet_say_the_same(home: Path) -> None:
    columns = ("file_id", "scan_file_id", "library", "part", "edited_of", "live_partner", "duplicate_of", "taken_year")
    rows = query(home, f"SELECT {', '.join(columns)} FROM media ORDER BY file_id")
    assert rows == [tuple(row[column] for column in columns) for row in media_rows(home)]
    listed = query(home, "SELECT path, library, part, size, state, reason FROM files")
    assert sorted(listed, key=repr) == sorted(
        [
            tuple(row[each] for each in ("path", "library", "part", "size", "state", "reason"))
            for row in files_rows(home)
        ],
        key=repr,
    )


def test_duplicates_are_found_across_libraries_and_the_first_library_has_the_original(home: Path) -> None:
    anna, later, ben = (by_path(home, library) for library in ("2019", "2024", "ben"))
    original = anna["Photos from 2020/A1.jpg"]
    assert original["duplicate_of"] is None
    for rows in (later, ben):
        for folder in ("Photos from 2020", "Trip"):
            assert rows[f"{folder}/A1.jpg"]["duplicate_of"] == original["file_id"]
    assert ben["Photos from 2020/B4.jpg"]["duplicate_of"] is None  # the same path, another photo
    found = open_library(home).duplicates()
    assert set(found[found["content_id"] == original["content_id"]]["library"]) == {"2019", "2024", "ben"}


def test_albums_of_one_folder_stay_those_of_their_libraries(home: Path) -> None:
    albums = query(home, "SELECT library, title FROM albums ORDER BY 1, 2")
    assert albums == [("2019", "Trip"), ("2024", "Trip"), ("ben", "Ben's; DROP TABLE media"), ("ben", "Trip")]
    lies_in = (
        "SELECT m.library, a.library FROM media_albums ma JOIN albums a USING (album_id) JOIN media m USING (file_id)"
    )
    assert all(of_file == of_album for of_file, of_album in query(home, f"{lies_in} WHERE via = 'folder'"))
    # What is in any of the albums, by its own file or a copy; each title once.
    ben = by_path(home, "ben")
    assert ben["Photos from 2020/A7.jpg"]["albums"] == ["Ben's; DROP TABLE media", "Trip"]
    assert by_path(home, "2024")["Photos from 2020/A1.jpg"]["albums"] == ["Ben's; DROP TABLE media", "Trip"]
    members = query(home, "SELECT path FROM album_members WHERE library = 'ben' AND title = 'Trip' ORDER BY path")
    assert members == [(f"{PHOTOS}/Photos from 2020/A1.jpg",), (f"{PHOTOS}/Photos from 2020/A7.jpg",)]


def test_people_are_one_by_name(home: Path) -> None:
    assert query(home, "SELECT name FROM people ORDER BY person_id") == [("Ana",), ("Ben",)]
    counted = query(home, "SELECT p.name, m.library, count(*) FROM media_people JOIN people p USING (person_id) "
                          "JOIN media m USING (file_id) GROUP BY 1, 2 ORDER BY 1, 2")  # fmt: skip
    assert [each[:2] for each in counted] == [("Ana", "2019"), ("Ana", "2024"), ("Ben", "2019"), ("Ben", "ben")]
    assert query(home, "SELECT count(*) FROM media_fts WHERE media_fts MATCH 'Ana'") == [(7 + 6,)]


def answers(home: Path, question: str, **values: str) -> list[str]:
    sql = next(sql for name, _, _, sql, _ in OF_LIBRARIES if name == question)
    with closing(sqlite3.connect(home / "index.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return sorted({row["path"].rpartition("/")[2] for row in db.execute(sql, values)})


def test_what_one_library_has_and_another_lacks(home: Path) -> None:
    assert answers(home, "not_in", library="2019", other="2024") == ["A2.jpg", "A3.jpg"]
    assert answers(home, "in_both", library="2019", other="ben") == ["A1.jpg"]
    assert answers(home, "only_there", library="2024") == ["A3.jpg", "B9.jpg"]
    assert answers(home, "edited_between", library="2019", other="2024") == ["A3.jpg"]
    shared = query(home, "SELECT path, libraries, copies FROM shared_media ORDER BY path")
    assert shared == [
        (f"{PHOTOS}/Photos from 2020/A1.jpg", "2019, 2024, ben", 7),
        (f"{PHOTOS}/Photos from 2020/B4.jpg", "2019, 2024", 2),
    ]
    assert query(home, "SELECT DISTINCT library, other_library FROM other_bytes WHERE path LIKE '%/A3.jpg'") == [
        ("2019", "2024")
    ]
    only = Counter(library for (library,) in query(home, "SELECT library FROM only_in"))
    for library, media, there, both, none in query(
        home, "SELECT library, media, only_there, shared, not_compared FROM libraries"
    ):
        assert media == there + both + none and there == only[library]


def test_merged_results_are_read_like_any_others(household: dict[str, Path], home: Path, tmp_path: Path) -> None:
    checked = verify(home)
    assert checked["damaged"] == 0 and checked["counts"]["same"] == checked["files"] - 1  # what is cut off is as it was
    assert verify(household["2024"])["counts"]["known"] == checked["counts"]["known"] == 1
    library = open_library(home)
    wanted = library.media(["file_id", "library"], where="name = 'A1.jpg'").drop_duplicates("library")["file_id"]
    assert {picture.size for _, picture in library.thumbnails(wanted)} and len(wanted) == 3
    found = export(home, tmp_path / "ben.csv", Choice(where="library = 'ben'"))
    assert found["rows"] == len(by_path(home, "ben"))
    with pytest.raises(UsageError, match=r"are named B4\.jpg: .*2019/Takeout.*2024/Takeout.*ben/Takeout"):
        explain("B4.jpg", home)
    told = explain("ben/Takeout/Google Photos/Photos from 2020/B4.jpg", home)
    assert told["part"] == "ben/ben" and told["sidecar"]["rule"] is not None
    assert explain("2019/Takeout/Google Photos/Trip/metadata.json", home)["state"] == "album_metadata"
    assert set(library.problems()["part"]) >= {f"2024/{EXPORT}-004.zip"}


def test_the_report_says_what_each_library_holds(home: Path, household: dict[str, Path], tmp_path: Path) -> None:
    page = write_report(home, tmp_path / "home.html", thumbnails=False).read_text("utf-8")
    table = page.partition('aria-label="libraries"')[2].partition("</table>")[0]
    counted = query(home, "SELECT library, count(*), count(duplicate_of) FROM media GROUP BY library ORDER BY library")
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in table.split("<tr")[2:]]
    assert [(name, int(files), int(copies)) for name, files, _, copies, _ in rows] == counted
    alone = write_report(household["ben"], tmp_path / "ben.html", thumbnails=False).read_text("utf-8")
    assert 'aria-label="libraries"' not in alone


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_tells_the_libraries_apart(home: Path, reader: str) -> None:
    found = READERS[reader](open_library(home)).select(["file_id", "scan_file_id", "library", "duplicate_of"])
    expected = [{name: row[name] for name in found.column_names} for row in media_rows(home)]
    assert sorted(found.to_pylist(), key=lambda row: str(row["file_id"])) == expected


def test_datasette_has_the_libraries_as_a_facet_and_questions_about_them(
    home: Path, household: dict[str, Path]
) -> None:
    metadata = yaml.safe_load((home / "metadata.yaml").read_text("utf-8"))
    assert metadata["databases"]["index"]["tables"]["media"]["facets"][0] == "library"
    of_a_scan = yaml.safe_load((household["ben"] / "metadata.yaml").read_text("utf-8"))["databases"]["index"]
    assert of_a_scan["tables"]["libraries"]["hidden"] and not {name for name, *_ in OF_LIBRARIES} & set(
        of_a_scan["queries"]
    )

    async def visit() -> None:
        plain = Datasette([], immutables=[str(home / "index.sqlite")], metadata=metadata)
        for name in metadata["databases"]["index"]["tables"]:
            answer = await plain.client.get(f"/index/{name}?_nosuggest=1")
            assert answer.status_code == 200, (name, answer.text)
        for name, *_ in OF_LIBRARIES:
            answer = await plain.client.get(f"/index/{name}.json?library=2019&other=2024&_shape=array")
            assert answer.status_code == 200 and answer.json(), (name, answer.text)
        facets = (await plain.client.get("/index/media.json?_nosuggest=1&_size=0")).json()["facet_results"]
        assert {each["value"] for each in facets["library"]["results"]} == {"2019", "2024", "ben"}

    with ThreadPoolExecutor(1) as beside:  # another test's loop may run in this thread
        beside.submit(asyncio.run, visit()).result()


@pytest.mark.parametrize("order", [("ben", "2024", "2019"), ("2024", "2019", "ben")])
def test_the_order_of_libraries_changes_nothing(
    household: dict[str, Path], home: Path, tmp_path: Path, order: tuple[str, ...]
) -> None:
    merge_results([household[name] for name in order], tmp_path / "home")
    assert dump(tmp_path / "home") == dump(home)


def test_merged_results_can_be_merged_again_and_ids_stay(
    household: dict[str, Path], home: Path, tmp_path: Path
) -> None:
    merge_results([household["2024"], household["2019"]], tmp_path / "anna")
    ids = {row["file_id"] for row in media_rows(tmp_path / "anna")}
    assert ids < {row["file_id"] for row in media_rows(home)}
    merge_results([tmp_path / "anna", household["ben"]], tmp_path / "home")
    again, direct = dump(tmp_path / "home"), dump(home)
    for found in (again, direct):  # albums are numbered by the order in which they come; where results are differs
        found["libraries"] = [each[:1] + each[2:] for each in found["libraries"]]
    assert again == direct
    checks = [
        {each["library"]: each["verdict"] for each in json.loads((at / "run.json").read_text())["merged"]}
        for at in (home, tmp_path / "home")
    ]
    assert checks[0] == checks[1]


def test_a_library_merged_with_its_copy_is_all_duplicates(household: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(household["2019"], tmp_path / "copy")
    report = merge_results({"b": tmp_path / "copy", "a": household["2019"]}, tmp_path / "home")
    first, second = by_path(tmp_path / "home", "a"), by_path(tmp_path / "home", "b")
    assert all(row["duplicate_of"] for row in second.values())
    assert {row["path"] for row in first.values()} == {row["path"] for row in second.values()}
    assert {row["path"] for row in first.values() if not row["duplicate_of"]} == {
        row["path"] for row in media_rows(household["2019"]) if not row["duplicate_of"]
    }
    assert [(each["only_there"], each["shared"]) for each in report["merged"]] == [(0, 7), (0, 7)]


def test_what_has_not_changed_is_left_and_what_has_is_merged_anew(household: dict[str, Path], tmp_path: Path) -> None:
    results = {name: shutil.copytree(household[name], tmp_path / name) for name in ("2019", "ben")}
    merge_results(results, tmp_path / "home")
    before = Stamp.of((tmp_path / "home/run.json").stat())
    assert merge_results(dict(reversed(results.items())), tmp_path / "home")["mode"] == "unchanged"
    assert Stamp.of((tmp_path / "home/run.json").stat()) == before
    files = {path: content for path, content in BEN.items() if "A7" not in path}
    scan(write_tree(tmp_path / "in/ben", files), results["ben"], SEQUENTIAL)
    report = merge_results(results, tmp_path / "home")
    assert report["changes"]["removed"] == 3 and report["changes"]["new"] == 0
    assert [mode for (mode,) in query(tmp_path / "home", "SELECT mode FROM runs")] == ["merge", "merge"]
    # Who has changed the merged results gets them back.
    (tmp_path / "home/index.sqlite").write_bytes(b"")
    assert merge_results(results, tmp_path / "home")["mode"] == "merge"


def test_a_library_keeps_its_name_when_others_come(household: dict[str, Path], tmp_path: Path) -> None:
    places = []
    for above, name in (("anna", "2019"), ("ben", "ben")):
        places.append(shutil.copytree(household[name], tmp_path / above / "index"))
    first = merge_results([places[0], household["ben"]], tmp_path / "home")
    assert [each["library"] for each in first["merged"]] == ["ben", "index"]
    more = merge_results(
        {
            "eva": household["ben"],
        }
        if False
        else [places[0], f"eva={household['ben']}"],
        tmp_path / "home",
    )
    assert [each["library"] for each in more["merged"]] == ["eva", "index"]
    with_both = merge_results([*places, f"eva={household['ben']}"], tmp_path / "home")
    assert [each["library"] for each in with_both["merged"]] == ["ben", "eva", "index"]


#: What a merge is asked for in a folder of results, where to, and what it says.
REFUSED = {
    "one library": (["2019"], "home", "but one library"),
    "the same twice": (["2019", "x=./2019"], "home", "given twice"),
    "two of one name": (["x=2019", "x=ben"], "home", "two libraries are called x"),
    "two that look alike": (["\u00e9=2019", "e\u0301=ben"], "home", "two libraries are called \u00e9"),
    "no results": (["2019", "nothing"], "home", "no results of a scan"),
    "no folder": (["2019", "missing"], "home", "there is no folder"),
    "one of them": (["2019", "ben"], "ben", "one of the results"),
    "inside": (["2019", "ben"], "ben/home", "lies inside"),
    "above": (["2019", "ben"], ".", "lies inside"),
    "results of a scan": (["2019", "ben"], "2024", "holds the results of a scan"),
    "other files": (["2019", "ben"], "nothing", "holds other files"),
    "the web": (["2019", "ben"], "https://example.org/home", r"https://example.org/home can only be read"),
    "a password": (
        ["2019", "ben"],
        "sftp://me:secret@127.0.0.1/home",
        r"sftp://me@127.0.0.1/home: a password in a URL",
    ),
    "one of them in a bucket": (["s3://b/ben/", "2019"], "s3://b/ben", "lie inside each other"),
    "one of them by another name": (["s3a://b/ben", "2019"], "S3://b/ben", "lie inside each other"),
    "inside one in a bucket": (["s3://b/ben", "2019"], "s3://b/ben/home", "lie inside each other"),
    "no name": (["=2019", "ben"], "home", "cannot be called ''"),
    "a line": (["a\nb=2019", "ben"], "home", r"cannot be called 'a\\nb'"),
    "right to left": (["a\u202eb=2019", "ben"], "home", "cannot be shown"),
    "a name for several": (["x=merged", "ben"], "home", "keep their names"),
    "again": (["merged", "ben"], "home", "two libraries are called ben"),
}


@pytest.fixture(scope="module")
def folders(household: dict[str, Path], home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    for name, results in household.items():
        shutil.copytree(results, folder / name)
    shutil.copytree(home, folder / "merged")
    write_tree(folder / "nothing", {"a.txt": b""})
    return folder


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_merged_is_said(folders: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, output, says = REFUSED[case]
    monkeypatch.chdir(folders)
    before = {
        path: path.stat().st_mtime_ns for path in folders.rglob("*") if path.is_file() and ".work" not in path.parts
    }
    with pytest.raises((UsageError, OutputError), match=says) as error:
        merge_results(inputs, output)
    assert "\n" not in str(error.value)
    assert before == {
        path: path.stat().st_mtime_ns for path in folders.rglob("*") if path.is_file() and ".work" not in path.parts
    }


def test_results_of_another_version_are_named(folders: Path, household: dict[str, Path], tmp_path: Path) -> None:
    for version, says in ((SCHEMA_VERSION - 1, "older.*scan again"), (SCHEMA_VERSION + 1, "newer.*use that")):
        old = shutil.copytree(folders / "ben", tmp_path / f"v{version}")
        with closing(sqlite3.connect(old / "index.sqlite")) as db:
            db.execute(f"PRAGMA user_version = {version}")
        with pytest.raises(UsageError, match=f"{old}.*{says}"):
            merge_results([household["2019"], old], tmp_path / "home")


def test_a_scan_leaves_merged_results_alone(folders: Path, tmp_path: Path) -> None:
    before = (folders / "merged/run.json").read_bytes()
    with pytest.raises(UsageError, match="merged results of 3 libraries"):
        scan(write_tree(tmp_path / "Takeout", BEN), folders / "merged", SEQUENTIAL)
    assert (folders / "merged/run.json").read_bytes() == before


def test_rows_of_the_version_before_are_taken_over(household: dict[str, Path], tmp_path: Path) -> None:
    old = shutil.copytree(household["ben"], tmp_path / "old")
    for path in old.rglob("*.parquet"):
        rows = pq.ParquetFile(path).read()
        pq.write_table(
            rows.drop_columns([name for name in ("library", "scan_file_id") if name in rows.column_names]), path
        )
    with closing(sqlite3.connect(old / "index.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
    report, files = read_report(old / "run.json") or ({}, {})
    names = ("media", "files", "index.sqlite", "datapackage.json", "metadata.yaml")
    (old / "run.json").write_text(report_text(report | {"state": "of another version"}, published_files(old, names)))
    again = scan(household["ben"].parent.parent / "in/ben", old, SEQUENTIAL)
    assert again["taken_over"] == again["media"] and files
    assert media_rows(old) == media_rows(household["ben"])


def test_nothing_is_written_where_a_library_is(household: dict[str, Path]) -> None:
    library = household["2019"].parent.parent / "in/2019"
    with pytest.raises(UsageError, match="only ever read"):
        merge_results(list(household.values()), library / "home")


@pytest.mark.parametrize("what", ["index.sqlite", "media", "files"])
def test_damaged_results_are_named(folders: Path, household: dict[str, Path], tmp_path: Path, what: str) -> None:
    bad = shutil.copytree(folders / "ben", tmp_path / "bad")
    path = bad / what if what.endswith("sqlite") else next((bad / what).rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 4)
    path.write_bytes(data)
    try:
        merge_results([household["2019"], bad], tmp_path / "home")
    except RunError as error:
        assert str(path.parent if what == "media" else path) in str(error)
        assert not (tmp_path / "home/run.json").exists()
    else:  # what was lost, nobody reads: `files` come from the index
        assert what == "files"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_merge_that_is_ended_leaves_what_was_there(
    household: dict[str, Path], home: Path, tmp_path: Path, number: signal.Signals, no_leftovers: None
) -> None:
    merged = tmp_path / "home"
    merge_results([household["2019"], household["ben"]], merged)
    before = dump(merged)
    # It is stopped where it has said what it will do, as the pipe is full: by then it holds the folder.
    code = (
        "import os, signal, sys; from pipeline.merging import merge; from pipeline.progress import Silent\n"
        "class Watch(Silent):\n"
        "    def step(self, line): print('there', flush=True); sys.stdin.read()\n"
        "merge(sys.argv[2:], sys.argv[1], Watch())"
    )
    command = [sys.executable, "-c", code, str(merged), *map(str, household.values())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "there\n"
        with pytest.raises(OutputError, match="in use by another run"):
            merge_results([household["2019"], household["ben"], household["2024"]], merged)
        process.send_signal(number)
        assert process.wait(30) != 0
    assert dump(merged) == before
    merge_results(list(household.values()), merged)
    assert dump(merged)["media"] == dump(home)["media"]


def test_ctrl_c_while_ids_are_made_is_ctrl_c(household: dict[str, Path], tmp_path: Path) -> None:
    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is merged_id.__code__:
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            merge_results(list(household.values()), tmp_path / "home")
    finally:
        sys.setprofile(None)


def test_the_command_says_what_each_library_has(household: dict[str, Path], tmp_path: Path, run: Run) -> None:
    answer = run("merge", f"an'na={household['2019']}", household["ben"], "-o", "home")
    assert answer.returncode == 0, answer.stderr
    assert "an'na" in answer.stdout and "only there" in answer.stdout and "merging 2 libraries" in answer.stderr
    told = json.loads(run("merge", f"an'na={household['2019']}", household["ben"], "-o", "home", "--json").stdout)
    assert told["mode"] == "unchanged" and [each["library"] for each in told["merged"]] == ["an'na", "ben"]
    assert (
        run("merge", household["2019"], household["2024"], "-o", "other", "--quiet").returncode == 3
    )  # a part is cut off
    answer = run("merge", household["2019"], "-o", "third")
    assert answer.returncode == 2 and answer.stdout == "" and answer.stderr.count("\n") == 1


def test_results_in_a_bucket_are_merged_by_their_urls(
    household: dict[str, Path], s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAKEOUT_INDEX_MIRRORS", str(tmp_path / "mirrors"))
    url = f"s3://{s3.bucket()}/results/eva"
    scan(household["2019"].parent.parent / "in/2019", url, SEQUENTIAL)
    report = merge_results([url, household["ben"]], tmp_path / "home")
    assert [(each["library"], each["results"]) for each in report["merged"]] == [
        ("ben", str(household["ben"])),
        ("eva", url),
    ]
    assert report["inputs"] == [url, str(household["ben"])]
    assert verify(tmp_path / "home")["damaged"] == 0
    assert merge_results([f"{url}/", household["ben"]], tmp_path / "home")["mode"] == "unchanged"


def test_what_is_merged_may_be_in_a_bucket_too(
    household: dict[str, Path], home: Path, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """From one machine, with an answer that fails, and then from another, which has no mirror, with a library more."""
    monkeypatch.setenv("TAKEOUT_INDEX_MIRRORS", str(tmp_path / "one"))
    url = f"s3://{s3.bucket()}/results/home"
    two = {"eva": household["2019"], "ben": household["ben"]}
    s3.proxy.fault = lambda number, line: "403" if line.startswith("PUT") and "/run.json" in line else None
    with pytest.raises(OutputError, match=f"finished, but could not be published at {url}: access is denied"):
        merge_results(two, url)
    s3.proxy.reset()
    report = merge_results(two, url)
    assert (report["mode"], report["output"]) == ("unchanged", url)
    assert merge_results(two, f"{url}/")["mode"] == "unchanged"
    monkeypatch.setenv("TAKEOUT_INDEX_MIRRORS", str(tmp_path / "other"))
    with pytest.raises(UsageError, match=f"{url} holds the merged results of 2 libraries"):
        scan(household["ben"].parent.parent / "in/ben", url, SEQUENTIAL)
    places = [str(household[name]) for name in ("2019", "ben", "2024")]  # that of 2019 is called as it was there
    done = run("merge", *places, "-o", url, "--json")
    report = json.loads(done.stdout)
    assert [each["library"] for each in report["merged"]] == ["2024", "ben", "eva"]
    assert verify(url)["damaged"] == 0
    merge_results({"eva": household["2019"], "ben": household["ben"], "2024": household["2024"]}, tmp_path / "here")
    assert open_library(url).media().equals(open_library(tmp_path / "here").media())
    report = merge_results([url, f"x={household['2024']}"], tmp_path / "again")
    assert len(report["merged"]) == 4


def test_what_is_missing_in_the_bucket_is_published_again_though_nothing_has_changed(
    household: dict[str, Path], s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a run that was killed when the manifest stood, or where somebody has tidied up."""
    monkeypatch.setenv("TAKEOUT_INDEX_MIRRORS", str(tmp_path / "mirrors"))
    bucket = s3.bucket()
    url = f"s3://{bucket}/home"
    places = [household["2019"], household["ben"]]

    def keys() -> dict[str, str]:
        found = s3.client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {each["Key"]: each["ETag"] for each in found}

    merge_results(places, url)
    due = keys()
    for gone in (["home/index.sqlite"], ["home/run.json"], [key for key in due if "/media/" in key], list(due)):
        for key in gone:
            s3.client.delete_object(Bucket=bucket, Key=key)
        s3.put(bucket, "home/media/taken_year=1999/part-00000-00000000.parquet", b"of an earlier merge")
        s3.put(bucket, "home/.by-content/index-00000000-5.sqlite", b"older")
        assert merge_results(places, url)["mode"] == "unchanged"
        assert keys() == due
    s3.put(bucket, "home/run.json", b"{}")
    merge_results(places, url)
    assert keys() == due
    s3.proxy.reset()
    merge_results(places, url)
    assert [line for line in s3.proxy.lines if line.startswith("PUT") and "/.work/begun" not in line] == []


def test_a_library_in_a_bucket_is_not_merged_into(household: dict[str, Path], s3: S3, tmp_path: Path) -> None:
    bucket = s3.bucket(household["ben"].parent.parent / "in/ben")
    scan(f"s3://{bucket}", tmp_path / "ben", SEQUENTIAL)
    with pytest.raises(
        UsageError, match=f"s3://{bucket}/home lies inside the library s3://{bucket}, which is only ever"
    ):
        merge_results([household["2019"], tmp_path / "ben"], f"s3://{bucket}/home")


def test_a_folder_with_an_equals_sign_is_a_folder(household: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(household["2019"], tmp_path / "a=b")
    library = merge([tmp_path / "a=b", household["ben"]], tmp_path / "home", quiet=True)
    assert [each["library"] for each in library.report["merged"]] == ["a=b", "ben"]
    assert set(library.media(["library"])["library"]) == {"a=b", "ben"}


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
identities = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(st.lists(st.tuples(names, identities), min_size=2, unique=True))
@example([("a", "0" * 16), ("a0", "0" * 16)])
def test_no_two_files_have_one_id(files: list[tuple[str, str]]) -> None:
    found = [merged_id(library, identity) for library, identity in files]
    assert len(set(found)) == len(files) and all(each and len(each) == 16 for each in found)


@given(names)
def test_a_name_that_is_taken_can_be_shown_and_stands_alone_in_a_path(name: str) -> None:
    if why_no_name(name) is None:
        assert name.isprintable() and "/" not in name and name.strip() == name != ""


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=5, unique_by=tuple),
    st.randoms(),
)
def test_names_do_not_depend_on_the_order(paths: list[list[str]], random: Any) -> None:
    given = [Given("/" + "/".join(path)) for path in paths]
    shuffled = random.sample(given, len(given))

    def called(some: list[Given]) -> dict[str, str | None] | None:
        try:
            return dict(zip((each.place for each in some), library_names(some, {}), strict=True))
        except UsageError:
            return None

    found = called(given)
    assert found == called(shuffled)
    assert found is None or len(set(found.values())) == len(paths)
