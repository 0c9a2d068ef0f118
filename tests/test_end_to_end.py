"""One library through the whole road, wherever the graph runs; what readers find; and what bad input leaves."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline import RECORD, Settings, plan
from pipeline.api import scan
from pipeline.progress import Silent
from pipeline.record import FILES, SCHEMA_VERSION, STATES, to_known
from pipeline.resolve import resolve
from tests.conftest import Run, files_rows, media_rows, write_tree
from tests.truth import UNREADABLE, compare, read_truth

Report = dict[str, Any]


@pytest.fixture(scope="module")
def scanned(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The synthetic library scanned in sequence: the results folder and the report."""
    results = tmp_path_factory.mktemp("scanned") / "results"
    return results, scan(synthetic, results, Settings(mode="sequential"))


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask cluster of two processes that somebody else has started."""
    program = (
        "from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=2, threads_per_worker=1, host='127.0.0.1', dashboard_address=':0')\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("\n", timeout=60)


def query(results: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return db.execute(sql, values).fetchall()


# The same rows everywhere


def test_a_local_cluster_gives_the_same_rows(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path, no_leftovers: None
) -> None:
    report = scan(synthetic, tmp_path / "results", Settings(mode="parallel", processes=2, threads=4))
    assert report["mode"] == "parallel"
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])
    assert files_rows(tmp_path / "results") == files_rows(scanned[0])
    assert report["counts"] == scanned[1]["counts"]


def test_a_given_scheduler_gives_the_same_rows(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path, scheduler: str
) -> None:
    report = scan(synthetic, tmp_path / "results", Settings(scheduler=scheduler, shard_files=7))
    assert report["mode"] == "scheduler"
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])
    assert files_rows(tmp_path / "results") == files_rows(scanned[0])


@pytest.mark.parametrize("name", ["laptop", "workstation", "nas", "cluster"])
def test_ready_configurations_give_the_same_rows(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path, scheduler: str, name: str
) -> None:
    flags = {"scheduler": scheduler} if name == "cluster" else {}
    settings = Settings.load(flags, Path(__file__).parent.parent / f"conf/{name}.toml", environment={})
    report = scan(synthetic, tmp_path / "results", settings)
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])
    assert report["mode"] in {"nas": ("sequential",), "cluster": ("scheduler",)}.get(name, ("sequential", "parallel"))


def test_the_callers_client_is_used_and_left_open(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path, scheduler: str
) -> None:
    from distributed import Client

    with Client(scheduler) as client:
        report = scan(synthetic, tmp_path / "results")
        assert client.status == "running"
    assert report["mode"] == "client"
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])


def test_shards_and_threads_change_nothing(synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path) -> None:
    scan(synthetic, tmp_path / "results", Settings(mode="sequential", shard_files=1))
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])


def test_scanning_again_replaces_the_results(synthetic: Path, tmp_path: Path) -> None:
    library = write_tree(tmp_path / "in", {"Takeout/P/a.jpg": b"one", "Takeout/P/b.jpg": b"two"})
    scan(library, tmp_path / "out", Settings(mode="sequential"))
    (library / "Takeout/P/b.jpg").unlink()
    scan(library, tmp_path / "out", Settings(mode="sequential"))
    assert [row["path"] for row in media_rows(tmp_path / "out")] == ["Takeout/P/a.jpg"]
    assert query(tmp_path / "out", "SELECT count(*) FROM media") == [(1,)]


# The truth


def test_every_column_is_what_the_library_was_made_of(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    found = compare(read_truth(synthetic), media_rows(scanned[0]))
    assert {column: wrong for column, (_, _, wrong) in found.items() if wrong} == {}
    assert found["crc32"][1] == 300


def test_states_of_all_files(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    summary = json.loads(synthetic.with_name("library.truth.summary.json").read_text("utf-8"))
    states = {row["path"]: row["state"] for row in files_rows(scanned[0])}
    on_disk = {str(file.relative_to(synthetic)) for file in synthetic.rglob("*") if file.is_file()}
    assert states.keys() == on_disk
    assert sum(state == "media" for state in states.values()) == summary["media_files"] == 300
    used = {row["sidecar"] for row in read_truth(synthetic) if row["sidecar"]}
    assert {path for path, state in states.items() if state == "sidecar"} == used
    assert {path for path, state in states.items() if state == "unmatched_sidecar"} == set(summary["orphan_sidecars"])
    assert {path for path, state in states.items() if state == "album_metadata"} == {
        path for path in summary["other_files"] if path.rpartition("/")[0] in {a["folder"] for a in summary["albums"]}
    }


def test_albums_and_people(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    truth = read_truth(synthetic)
    summary = json.loads(synthetic.with_name("library.truth.summary.json").read_text("utf-8"))
    assert set(query(scanned[0], "SELECT folder, title FROM albums")) == {
        (album["folder"], album["title"]) for album in summary["albums"]
    }
    members = query(
        scanned[0],
        "SELECT path, a.title FROM media JOIN media_albums USING (file_id) JOIN albums a USING (album_id) "
        "WHERE via = 'folder'",
    )
    assert set(members) == {(row["path"], row["album"]) for row in truth if row["album"] is not None}
    # A photo is in the albums of all its copies, and each copy says so.
    original = {row["path"]: row["duplicate_of"] or row["path"] for row in truth}
    albums: dict[str, set[str]] = defaultdict(set)
    for row in truth:
        if row["album"] is not None:
            albums[original[row["path"]]].add(row["album"])
    assert any(row["duplicate_of"] and row["album"] is not None for row in truth)
    by_path = {row["path"]: set(row["albums"]) for row in media_rows(scanned[0])}
    of_photos = query(scanned[0], "SELECT path, title FROM photo_albums")
    for row in truth:
        assert albums[original[row["path"]]] <= by_path[row["path"]]
        assert by_path[row["path"]] == {title for path, title in of_photos if path == row["path"]}
    people = query(
        scanned[0], "SELECT path, p.name FROM media JOIN media_people USING (file_id) JOIN people p USING (person_id)"
    )
    assert set(people) == {(row["path"], name) for row in truth for name in row["people"]}


def test_damaged_files_have_rows_that_say_so(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    rows = {row["path"]: row for row in media_rows(scanned[0])}
    damaged = [row for row in read_truth(synthetic) if row["corrupt"] and row["corrupt"] != "json_bom"]
    assert {row["corrupt"] for row in damaged} >= UNREADABLE
    for truth in damaged:
        assert rows[truth["path"]]["status"] != "ok", truth["corrupt"]
        assert rows[truth["path"]]["problems"]
    sound = {row["path"] for row in read_truth(synthetic)} - {row["path"] for row in damaged}
    assert {path for path in sound if rows[path]["status"] == "failed"} <= {
        row["path"] for row in read_truth(synthetic) if row["mime"] is None
    }


# The results


def test_the_results_have_the_documented_shape(scanned: tuple[Path, Report]) -> None:
    results, report = scanned
    assert sorted(p.name for p in results.iterdir()) == [
        ".work", "datapackage.json", "files", "index.sqlite", "media", "metadata.yaml", "run.json",
    ]  # fmt: skip
    assert sorted(p.name for p in (results / ".work").iterdir()) == ["known", "lock"]
    for path in results.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    for file in results.rglob("*.parquet"):
        table = pq.ParquetFile(file, page_checksum_verification=True).read()
        expected = FILES if "/files/" in str(file) else RECORD.remove(RECORD.get_field_index("taken_year"))
        assert table.schema.equals(expected)
    years = ds.dataset(results / "media", partitioning="hive")
    assert set(years.schema.names) == set(RECORD.names)
    assert json.loads((results / "run.json").read_text("utf-8"))["counts"] == report["counts"]
    package = json.loads((results / "datapackage.json").read_text("utf-8"))
    assert [field["name"] for field in package["resources"][0]["schema"]["fields"]] == RECORD.names


def test_sqlite_holds_what_parquet_holds(scanned: tuple[Path, Report]) -> None:
    results, report = scanned
    assert query(results, "PRAGMA integrity_check") == [("ok",)]
    rows = media_rows(results)
    scalars = [name for name in RECORD.names if name not in ("people", "comments", "albums", "problems")]
    for row in rows:
        (stored,) = query(results, f"SELECT {', '.join(scalars)} FROM media WHERE file_id = ?", row["file_id"])
        for name, value in zip(scalars, stored, strict=True):
            expected = row[name].isoformat() if hasattr(row[name], "isoformat") else row[name]
            assert value == expected, name
    assert query(results, "SELECT state, count(*) FROM files GROUP BY state ORDER BY 1") == sorted(
        report["counts"]["files"].items()
    )
    assert {state for (state,) in query(results, "SELECT state FROM files")} <= set(STATES)
    problems = query(results, "SELECT count(*) FROM problems WHERE file_id IS NOT NULL")[0][0]
    assert problems == sum(len(row["problems"]) for row in rows)


def test_views_search_and_indexes(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    results, _ = scanned
    truth = read_truth(synthetic)
    assert len(query(results, "SELECT * FROM unmatched_media")) == sum(row["sidecar"] is None for row in truth)
    copies = {row["path"] for row in truth if row["duplicate_of"]}
    assert {p for (p,) in query(results, "SELECT path FROM duplicates WHERE duplicate_of IS NOT NULL")} == copies
    assert sum(files for (files,) in query(results, "SELECT files FROM timeline")) == sum(
        row["taken_year"] != 0 and row["taken_precision"] != "year" for row in media_rows(results)
    )
    name = next(row["people"][0] for row in truth if row["people"] and row["people"][0].isascii())
    phrase = '"' + name.replace('"', '""') + '"'
    found = query(
        results, "SELECT file_id FROM media WHERE rowid IN (SELECT rowid FROM media_fts WHERE people MATCH ?)", phrase
    )
    assert len(found) >= sum(name in row["people"] for row in truth) > 0
    details = query(results, "EXPLAIN QUERY PLAN SELECT count(*) FROM media WHERE model = 'x'")
    assert "USING COVERING INDEX" in str(details)
    assert query(results, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_every_canned_query_and_described_table_is_there(scanned: tuple[Path, Report]) -> None:
    results, _ = scanned
    database = yaml.safe_load((results / "metadata.yaml").read_text("utf-8"))["databases"]["index"]
    for canned in database["queries"].values():
        with closing(sqlite3.connect(results / "index.sqlite")) as db:
            db.execute(canned["sql"], dict.fromkeys(canned.get("params", ()), "1")).fetchall()
    for table, described in database["tables"].items():
        columns = {name for (_, name, *_) in query(results, f"PRAGMA table_info({table})")}
        assert columns >= set(described.get("facets", ())) and columns
        assert "columns" not in described or columns == set(described["columns"]), table
    tables = {
        name
        for (name,) in query(
            results, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '%fts%'"
        )
    }
    assert tables - {"sqlite_stat1", "sqlite_stat4"} == set(database["tables"])


def test_the_date_follows_from_the_columns_of_the_row(scanned: tuple[Path, Report]) -> None:
    for row in media_rows(scanned[0]):
        found = resolve(to_known(row))
        for name in (
            "taken_at",
            "taken_local",
            "utc_offset_min",
            "time_zone",
            "taken_at_rule",
            "taken_precision",
            "taken_year",
        ):
            assert row[name] == getattr(found, name), (row["path"], name)
        assert (row["latitude"], row["location_rule"]) == (found.latitude, found.location_rule)
        assert row["latitude"] is None or row["country_code"], row["path"]


def test_folders_of_the_audit_add_up(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    results, report = scanned
    truth = read_truth(synthetic)
    (sums,) = query(results, "SELECT sum(media), sum(media_without_sidecar), sum(sidecars_without_media) FROM folders")
    orphans = report["counts"]["files"]["unmatched_sidecar"]
    assert sums == (
        len(truth),
        sum(row["sidecar"] is None for row in truth),
        orphans - report["audit"]["members_elsewhere"],
    )
    assert report["audit"]["folders"] == plan(synthetic)["audit"]["folders"]
    assert not report["audit"]["complete"] and str(orphans) in report["audit"]["verdict"]


def test_plan_says_what_scan_finds_and_writes_nothing(synthetic: Path, scanned: tuple[Path, Report]) -> None:
    before = sorted(synthetic.parent.rglob("*"))
    found = plan(synthetic)
    assert sorted(synthetic.parent.rglob("*")) == before
    counts = scanned[1]["counts"]
    assert (found["listed"], found["media"]) == (scanned[1]["listed"], 300)
    assert found["states"] == counts["files"]
    assert len(found["unmatched_media"]) == 300 - counts["relations"]["with_sidecar"]
    assert found["predicted"]["parallel"]["seconds"] > 0


# Bad input


def test_copies_in_two_parts_count_once_and_differing_ones_twice(tmp_path: Path) -> None:
    sidecar = {"title": "a.jpg", "photoTakenTime": {"timestamp": "1500000000"}}
    one = write_tree(tmp_path / "1", {"Takeout/P/a.jpg": b"\xff\xd8same", "Takeout/P/b.jpg": b"\xff\xd8one"})
    two = write_tree(
        tmp_path / "2",
        {"Takeout/P/a.jpg": b"\xff\xd8same", "Takeout/P/b.jpg": b"\xff\xd8two", "Takeout/P/a.jpg.json": sidecar},
    )
    scan([one, two], tmp_path / "out", Settings(mode="sequential"))
    assert [(row["path"], row["part"], row["state"]) for row in files_rows(tmp_path / "out")] == [
        ("Takeout/P/a.jpg", "1", "media"),
        ("Takeout/P/a.jpg", "2", "ignored"),
        ("Takeout/P/a.jpg.json", "2", "sidecar"),
        ("Takeout/P/b.jpg", "1", "media"),
        ("Takeout/P/b.jpg", "2", "media"),
    ]
    rows = {(row["path"], row["part"]): row for row in media_rows(tmp_path / "out")}
    assert len({row["file_id"] for row in rows.values()}) == 3
    assert rows["Takeout/P/a.jpg", "1"]["title"] == "a.jpg"
    assert rows["Takeout/P/b.jpg", "2"]["problems"][0]["kind"] == "same_path"


def test_names_that_are_no_text_are_kept_and_shown_escaped(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in/Takeout/P").mkdir(parents=True)
    folder = os.fsencode(tmp_path) + b"/in/Takeout/P"
    names = [
        b"caf\xe9.jpg",
        b"new\nline.jpg",
        b"\x1b[2J.jpg",
        b"<script>alert(1)</script>.jpg",
        b"'; DROP TABLE media; --.jpg",
    ]
    for name in names[:3] + names[4:]:
        with open(folder + b"/" + name, "wb") as file:
            file.write(b"\xff\xd8" + name)
        with open(folder + b"/" + name + b".json", "wb") as file:
            file.write(b'{"title": "t", "photoTakenTime": {"timestamp": "1500000000"}}')
    done = run("scan", tmp_path / "in", "-o", tmp_path / "out", "--mode", "sequential")
    assert done.returncode == 3
    assert "\x1b" not in done.stdout + done.stderr
    rows = media_rows(tmp_path / "out")
    stored = {row["path_bytes"] or row["path"].encode() for row in rows}
    assert stored == {b"Takeout/P/" + name for name in names[:3] + names[4:]}
    assert all(row["title"] == "t" for row in rows)
    assert "Takeout/P/caf\\xe9.jpg" in {row["path"] for row in rows}
    assert query(tmp_path / "out", "SELECT count(*) FROM media") == [(4,)]
    explained = run("plan", tmp_path / "in")
    assert "\x1b" not in explained.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["scan", "nowhere"], 2, "nowhere"),
        (["scan", "in/Takeout/P/a.jpg"], 2, "not a folder"),
        (["scan", "in", "-o", "in/results"], 2, "inside the input"),
        (["scan", "in/Takeout", "-o", "in"], 2, "inside the results"),
        (["scan", "in", "-o", "in/Takeout/P/a.jpg/out"], 2, "inside the input"),
        (["scan", "in", "-o", "file/out"], 1, "cannot write results"),
        (["scan", "in", "-o", "/proc/out"], 1, "cannot write results"),
        (["scan", "in", "-o", "other"], 1, "holds other files"),
        (["scan", "in", "--mode", "fast"], 2, "mode must be"),
        (["scan", "in", "--threads", "-1"], 2, "threads must be"),
        (["scan", "in", "--scheduler", "tcp://127.0.0.1:1"], 1, "no Dask scheduler answers"),
        (["scan", "in", "--config", "missing.toml"], 2, "cannot read"),
        (["scan"], 2, "INPUT"),
        (["plan", "nowhere"], 2, "nowhere"),
    ],
)
def test_a_run_that_cannot_be_says_why_in_one_line_and_writes_nothing(
    tmp_path: Path, run: Run, arguments: list[str], code: int, message: str
) -> None:
    write_tree(tmp_path, {"in/Takeout/P/a.jpg": b"x", "file": b"", "other/mine.txt": b"mine"})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    done = run(*arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    if len(arguments) > 1:
        assert done.stderr.count("\n") == 1 + ("is asked without TLS" in done.stderr)
    assert "Traceback" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_empty_library_has_results_without_rows(tmp_path: Path, run: Run) -> None:
    (tmp_path / "in").mkdir()
    done = run("scan", "in", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["listed"] == 0
    assert media_rows(tmp_path / "results/in") == []


# The command line


def test_the_summary_on_stdout_and_progress_on_stderr(synthetic: Path, tmp_path: Path, run: Run) -> None:
    done = run("scan", synthetic, "-o", "out", "--mode", "parallel", "--processes", 2)
    assert done.returncode == 3, done.stderr
    assert "files listed" in done.stdout
    assert "CRC-32" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0].startswith("listing: ")
    assert "files/s" in lines[-1] and "MB/s" in lines[-1] and "ETA" in lines[-1] and "with problems" in lines[-1]


def test_json_is_one_object_with_the_same_figures(synthetic: Path, tmp_path: Path, run: Run) -> None:
    done = run("scan", synthetic, "-o", "out", "--json", "--quiet")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    published = json.loads((tmp_path / "out/run.json").read_text("utf-8"))
    assert published.keys() - report.keys() == {"files", "check"}
    assert report == {name: published[name] for name in report} | {"stages": report["stages"]}
    assert report["operations"]["crc32"]["ms_per_file"] > 0
    planned = json.loads(run("plan", synthetic, "--json", "--quiet").stdout)
    assert planned["states"] == report["counts"]["files"]


def test_the_demo_shows_what_to_look_at_next(tmp_path: Path, run: Run) -> None:
    done = run("demo", "--files", 60)
    assert done.returncode == 0, done.stderr
    assert "What else to look at next" in done.stdout
    again = run("demo", "--files", 60)
    assert again.returncode == 0, again.stderr
    assert len(media_rows(tmp_path / "results/demo/index")) == 60


def test_all_tags_are_kept_on_request(synthetic: Path, tmp_path: Path) -> None:
    scan(synthetic, tmp_path / "out", Settings(mode="sequential", all_tags=True))
    rows = [row for row in media_rows(tmp_path / "out") if row["make"] and row["kind"] == "image"]
    assert rows
    for row in rows:
        assert json.loads(row["exif_json"])["Image Make"].strip() == row["make"]


def test_a_photo_whose_sidecar_lies_in_an_album_is_in_that_album(tmp_path: Path) -> None:
    sidecar = {"title": "a.jpg", "photoTakenTime": {"timestamp": "1500000000"}, "url": "u"}
    album = {"title": "Trip", "access": "protected"}
    files: dict[str, bytes | dict[str, Any]] = {
        "Takeout/P/Photos from 2017/a.jpg": b"\xff\xd8one",
        "Takeout/P/Photos from 2017/a.jpg.json": sidecar,
        "Takeout/P/Photos from 2018/a.jpg": b"\xff\xd8two",
        "Takeout/P/Photos from 2018/a.jpg.json": sidecar | {"photoTakenTime": {"timestamp": "1530000000"}},
        "Takeout/P/Trip/a.jpg.json": sidecar,
        "Takeout/P/Trip/metadata.json": album,
    }
    scan(write_tree(tmp_path / "in", files), tmp_path / "out", Settings(mode="sequential"))
    assert query(
        tmp_path / "out",
        "SELECT path, a.title FROM media JOIN media_albums USING (file_id) JOIN albums a USING (album_id)",
    ) == [("Takeout/P/Photos from 2017/a.jpg", "Trip")]


def test_what_lies_in_the_bin_is_never_the_original(tmp_path: Path) -> None:
    files: dict[str, bytes | dict[str, Any]] = {
        "Takeout/P/Bin/a.jpg": b"\xff\xd8same",
        "Takeout/P/Bin/a.jpg.json": {"title": "a.jpg", "photoTakenTime": {"timestamp": "1"}, "trashed": True},
        "Takeout/P/Photos from 2017/a long name.jpg": b"\xff\xd8same",
    }
    scan(write_tree(tmp_path / "in", files), tmp_path / "out", Settings(mode="sequential"))
    rows = {row["name"]: row["duplicate_of"] for row in media_rows(tmp_path / "out")}
    assert rows["a long name.jpg"] is None
    assert rows["a.jpg"] is not None


def test_results_inside_of_an_input_are_not_its_media(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "in", {"Takeout/P/a.jpg": b"\xff\xd8one"})
    scan(library, tmp_path / "out", Settings(mode="sequential"))
    (tmp_path / "out").rename(library / "Takeout/old results")
    report = scan(library, tmp_path / "out", Settings(mode="sequential"))
    assert report["media"] == 1
    assert {row["reason"] for row in files_rows(tmp_path / "out") if row["state"] == "ignored"} == {
        "results of an earlier scan"
    }
    assert report["listed"] == sum(file.is_file() for file in library.rglob("*"))


def test_inputs_whose_names_are_no_text_are_read_and_such_outputs_refused(tmp_path: Path, run: Run) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    for part in ("Takeout/a.jpg", "more/Takeout/a.jpg"):
        file = Path(odd) / part
        file.parent.mkdir(parents=True)
        file.write_bytes(b"\xff\xd8" + part[:2].encode())
    done = run("scan", odd, "--mode", "sequential")
    assert done.returncode == 3, done.stderr
    results = tmp_path / "results/caf\\xe9"
    assert len(media_rows(results)) == 2
    assert json.loads((results / "run.json").read_text("utf-8"))["inputs"] == [f"{tmp_path}/caf\\xe9"]
    done = run("scan", odd, "-o", odd + "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not Path(odd + "out").exists()


# Other programs' processes and threads


def test_tasks_that_share_a_process_do_not_share_anything_else(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path
) -> None:
    from distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=8, dashboard_address="127.0.0.1:0"):
        report = scan(synthetic, tmp_path / "results", Settings(shard_files=5))
    assert report["mode"] == "client"
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])


def test_a_script_needs_no_main_guard_and_runs_once(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "in", {f"Takeout/P/{n}.jpg": b"\xff\xd8" + bytes([n]) for n in range(40)})
    script = tmp_path / "script.py"
    script.write_text(
        "print('begins')\n"
        "from pipeline import Settings; from pipeline.api import scan\n"
        f"report = scan({str(library)!r}, {str(tmp_path / 'out')!r}, Settings(mode='parallel', processes=2))\n"
        "print(report['mode'], report['media'])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["begins", "parallel 40"], done.stderr


def test_two_scans_in_one_process(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "in", {f"Takeout/P/{n}.jpg": b"\xff\xd8" + bytes([n]) for n in range(8)})
    for _ in range(2):
        scan(library, tmp_path / "out", Settings(mode="parallel", processes=1, shard_files=2))
        assert len(media_rows(tmp_path / "out")) == 8


class Killer(Silent):
    """Does something to the processes of a run as soon as the first shard is done."""

    def __init__(self, act: Callable[[list[psutil.Process]], None]) -> None:
        self.act: Callable[[list[psutil.Process]], None] | None = act

    def advance(self, files: int, size: int, problems: int) -> None:
        if self.act is not None:
            act, self.act = self.act, None
            act([p for p in psutil.Process().children(recursive=True) if p.ppid() != os.getpid()])


def test_a_killed_worker_costs_no_row(
    synthetic: Path, scanned: tuple[Path, Report], tmp_path: Path, no_leftovers: None
) -> None:
    killer = Killer(lambda workers: workers[0].kill())
    scan(synthetic, tmp_path / "results", Settings(mode="parallel", processes=2, shard_files=5), killer)
    assert killer.act is None
    assert media_rows(tmp_path / "results") == media_rows(scanned[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_one_line_and_leaves_earlier_results(tmp_path: Path, number: int) -> None:
    files = {f"Takeout/P/{n}.jpg": b"\xff\xd8" + n.to_bytes(2, "big") for n in range(3000)}
    library = write_tree(tmp_path / "in", files)
    scan(write_tree(tmp_path / "old", {"Takeout/a.jpg": b"\xff\xd8"}), tmp_path / "out", Settings(mode="sequential"))
    before = (tmp_path / "out/run.json").read_bytes()
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "scan",
        str(library),
        "-o",
        str(tmp_path / "out"),
        "--mode",
        "parallel",
    ]
    with subprocess.Popen(
        [*command, "--shard-files", "1"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("found "):  # the workers are on their way, or at work
                os.killpg(process.pid, number)
                break
        lines += process.stderr.read().splitlines()
    assert process.returncode == (130 if number == signal.SIGINT else 143), lines
    assert lines[-1].startswith("takeout-index: interrupted: nothing was published, earlier results are unchanged")
    assert not [line for line in lines if "Traceback" in line]
    assert (tmp_path / "out/run.json").read_bytes() == before


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_file_of_a_year_beyond_64_bits_costs_its_time_alone(tmp_path: Path, mode: str) -> None:
    folder = "Takeout/Google Photos/Photos from 2020"
    library = write_tree(tmp_path / "in", {f"{folder}/{name}.jpg": b"\xff\xd8" for name in "ab"})
    far = library / folder / "a.jpg"
    os.utime(far, (13_569_465_600, 13_569_465_600))  # 2400
    if far.stat().st_mtime != 13_569_465_600:
        pytest.skip("this file system has no such times")
    scan(library, tmp_path / "out", Settings(mode=mode, processes=1))
    found = {row["name"]: row for row in media_rows(tmp_path / "out")}
    assert found["a.jpg"]["modified_at"] is None
    assert found["b.jpg"]["modified_at"] is not None
    assert "changed" not in {problem["kind"] for problem in found["a.jpg"]["problems"]}
