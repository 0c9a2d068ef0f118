"""Exports: every format against the rows that they are of; that no place gets out, and nothing else by --where."""

import csv
import gzip
import json
import os
import shutil
import stat
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import open_library, scan
from pipeline.exporting import Choice, export
from pipeline.location import DROPPED, QUOTED, too_fine, with_rounded_places, without_places
from pipeline.problems import UsageError
from pipeline.record import FILES, PARTITION, RECORD
from tests.conftest import Run, files_rows, media_rows, write_tree


@pytest.fixture(scope="module")
def results(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = (
        tmp_path_factory.mktemp("export") / "[2019]*? 'results'"
    )  # for DuckDB a pattern, were it not told otherwise
    scan(str(synthetic), output=str(folder))
    return folder


@pytest.fixture(scope="module")
def rows(results: Path) -> list[dict[str, Any]]:
    return media_rows(results)


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["file_id"]))


@pytest.mark.parametrize("name", ["a.parquet", "folder"])
def test_parquet_has_the_rows_and_the_schema_of_the_results(
    results: Path, rows: list[dict[str, Any]], tmp_path: Path, name: str
) -> None:
    found = export(results, tmp_path / name)
    table = pq.read_table(tmp_path / name)
    assert by_id(table.to_pylist()) == rows
    assert found["rows"] == len(rows) and set(found["columns"]) == set(RECORD.names)
    types = {field.name: field.type for field in table.schema}
    if name == "folder":
        assert types.pop("taken_year") == pa.dictionary(pa.int32(), pa.int32())  # as pyarrow reads partitions
    assert types == {field.name: field.type for field in RECORD if field.name in types}


def test_csv_tells_nulls_from_empty_texts_and_times_by_iso_8601(
    results: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    export(results, tmp_path / "a.csv.gz")
    with gzip.open(tmp_path / "a.csv.gz", "rt", encoding="utf-8", newline="") as file:
        found = by_id(list(csv.DictReader(file)))

    def text(name: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, datetime):
            said = value.replace(tzinfo=None).isoformat()
            return said + ("Z" if RECORD.field(name).type.tz else "")
        if isinstance(value, bytes):
            return b64encode(value).decode()
        if isinstance(value, bool):
            return str(value).lower()
        return str(value)

    for expected, row in zip(rows, found, strict=True):
        for name, value in expected.items():
            if isinstance(value, list):
                assert len(json.loads(row[name])) == len(value)
            elif isinstance(value, float):
                assert float(row[name]) == value
            else:
                assert row[name] == text(name, value), name
    assert json.loads(found[0]["people"]) == rows[0]["people"]


def test_json_lines_are_an_object_a_row(results: Path, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    export(results, tmp_path / "a.jsonl")
    found = by_id([json.loads(line) for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines()])
    assert [list(row) for row in found] == [RECORD.names] * len(rows)
    for row, expected in zip(found, rows, strict=True):
        assert (row["people"], row["size"], row["favorited"], row["latitude"]) == tuple(
            expected[name] for name in ("people", "size", "favorited", "latitude")
        )
        at, local = expected["taken_at"], expected["taken_local"]
        assert row["taken_at"] == (at.isoformat().replace("+00:00", "Z") if at else None)
        assert row["taken_local"] == (local.isoformat() if local else None)


def test_geoparquet_opens_in_geopandas(results: Path, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    import geopandas

    export(results, tmp_path / "a.geoparquet", Choice(columns=["file_id", "place"]))
    found = geopandas.read_parquet(tmp_path / "a.geoparquet").sort_values("file_id")
    assert found.crs.equals("OGC:CRS84") and list(found.columns) == ["file_id", "place", "geometry"]
    points = [None if point is None else (point.y, point.x) for point in found.geometry]
    expected = [None if row["latitude"] is None else (row["latitude"], row["longitude"]) for row in rows]
    assert points == expected and None in points and any(points)
    known = [point for point in points if point]
    box = json.loads(pq.read_metadata(tmp_path / "a.geoparquet").metadata[b"geo"])["columns"]["geometry"]["bbox"]
    ys, xs = zip(*known, strict=True)
    assert box == [min(xs), min(ys), max(xs), max(ys)] == list(found.total_bounds)


def test_where_and_columns_choose(results: Path, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    choice = Choice(where="taken_year > 2010 AND len(people) > 0", columns=["name", "file_id"])
    found = export(results, tmp_path / "a.parquet", choice)
    expected = {row["file_id"]: row["name"] for row in rows if row["taken_year"] > 2010 and row["people"]}
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["name", "file_id"] == found["columns"]
    assert dict(zip(table["file_id"].to_pylist(), table["name"].to_pylist(), strict=True)) == expected != {}


def test_an_opened_library_exports_itself(results: Path, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = open_library(results).export(tmp_path / "a.txt", format="csv", where="favorited", columns=["path"])
    assert found["rows"] == sum(bool(row["favorited"]) for row in rows) > 0
    assert len((tmp_path / "a.txt").read_text().splitlines()) == found["rows"] + 1


def test_a_folder_above_that_is_called_as_a_year_tells_none(
    results: Path, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    there = tmp_path / f"{PARTITION}=7" / "a[b]*'"
    shutil.copytree(results, there)
    export(there, tmp_path / "a.jsonl", Choice(columns=["path", PARTITION], where=f"{PARTITION} <> 7"))
    lines = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)[PARTITION] for line in lines) == sorted(row[PARTITION] for row in rows)


def test_the_files_are_exported_as_well(results: Path, tmp_path: Path) -> None:
    export(results, tmp_path / "files", Choice(table="files"))
    assert pq.read_table(tmp_path / "files").schema.names == FILES.names
    assert files_rows(tmp_path) == files_rows(results)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.geoparquet", "a"])
def test_no_rows_are_an_export_too(results: Path, tmp_path: Path, name: str) -> None:
    assert export(results, tmp_path / name, Choice(where="false"))["rows"] == 0
    if name == "a.csv":
        assert (tmp_path / name).read_text().startswith('"file_id","path"')


@pytest.mark.parametrize(
    "condition",
    [
        "1=1; DROP VIEW media",
        "1=1 --\n; SELECT 1",
        "1=1) UNION SELECT * FROM media WHERE (1=1",
        "1=1, 2=2",
        "size IN (SELECT size FROM read_text('/etc/hostname'))",
        "EXISTS (SELECT * FROM '/etc/passwd')",
        "EXISTS (SELECT * FROM glob('/etc/*'))",
        "EXISTS (SELECT * FROM read_csv('https://example.org/a.csv'))",
        "EXISTS (SELECT * FROM choice)",
        "COPY media TO '/tmp/x'",
        "CAST(make AS INT) > 1",
        "count(*) > 1",
        "",
    ],
)
def test_a_condition_cannot_get_out(results: Path, tmp_path: Path, condition: str) -> None:
    with pytest.raises(UsageError, match="--where"):
        export(results, tmp_path / "a.csv", Choice(where=condition))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "form", "choice", "message"),
    [
        ("a.csv", None, {"where": "heigth > 3"}, "did you mean height"),
        ("a.csv", None, {"where": 'make = "Canon"'}, "single quotes"),
        ("a.csv", None, {"columns": ["modl"]}, "did you mean model"),
        ("a.csv", None, {"columns": [""]}, "no column ''"),
        ("a.csv", None, {"columns": ["latitude"], "drop_location": True}, "--drop-location leaves out"),
        ("a.csv", None, {"drop_location": True, "round_location": 2}, "not both"),
        ("a.csv", None, {"round_location": 7}, "0 to 6"),
        ("a.csv", None, {"table": "albums"}, "no table"),
        ("a.csv", "cvs", {}, "did you mean csv"),
        ("a.xlsx", None, {}, "--format"),
        ("a.parquet.gz", None, {}, "compressed inside"),
        ("a.gz", None, {}, "--format"),
        ("a.geoparquet", None, {"drop_location": True}, "--format parquet"),
        ("a.geoparquet", None, {"table": "files"}, "no places"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_advice(
    results: Path, tmp_path: Path, name: str, form: str | None, choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(results, tmp_path / name, Choice(**choice), form)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_unasked_and_nothing_else_ever(results: Path, synthetic: Path, tmp_path: Path) -> None:
    few = Choice(where="false")
    file, folder = tmp_path / "a.csv", tmp_path / "a"
    for path in (file, folder):
        export(results, path, few)
        with pytest.raises(UsageError, match="--force"):
            export(results, path, few)
        export(results, path, few, force=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "mine.txt").touch()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (
        folder,  # holds something else now
        results / "a.csv",
        results / "index.sqlite",
        results / "media",
        synthetic / "a.csv",
        pipe,
    ):
        with pytest.raises(UsageError, match="choose another place"):
            export(results, path, few, "csv" if path.suffix or path == pipe else None, force=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "a.csv", "pipe"]
    assert (folder / "mine.txt").exists() and not (results / "a.csv").exists()


def test_an_archive_that_was_scanned_is_never_replaced(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"Takeout/Google Photos/a/a.jpg": b"x"})
    archive = Path(shutil.make_archive(str(tmp_path / os.fsdecode(b"caf\xe9")), "zip", tmp_path / "in"))
    before = archive.read_bytes()
    scan([archive], tmp_path / "out", quiet=True)
    (tmp_path / "link.csv").symlink_to(archive)
    for path in (archive, tmp_path / "link.csv"):
        with pytest.raises(UsageError, match="only ever read"):
            export(tmp_path / "out", path, form="csv", force=True)
    assert archive.read_bytes() == before


def test_an_export_that_fails_leaves_what_was_there(results: Path, tmp_path: Path) -> None:
    export(results, tmp_path / "a.csv", Choice(columns=["path"]))
    before = (tmp_path / "a.csv").read_bytes()
    with pytest.raises(UsageError):
        export(results, tmp_path / "a.csv", Choice(where="CAST(name AS INT) > 1"), force=True)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a.csv", before)]


def test_formulas_are_marked_for_spreadsheets_on_request(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "in",
        {
            "Takeout/P/1.jpg": b"\xff\xd8",
            "Takeout/P/1.jpg.json": {
                "title": "1.jpg",
                "description": '=HYPERLINK("x")\nsecond line, and 日本',
                "photoTakenTime": {"timestamp": "0"},
            },
        },
    )
    scan(tmp_path / "in", tmp_path / "out")
    told = []
    for marked in (False, True):
        export(tmp_path / "out", tmp_path / f"{marked}.csv", Choice(columns=["description"], spreadsheet=marked))
        with (tmp_path / f"{marked}.csv").open(encoding="utf-8", newline="") as file:
            told.append(next(csv.DictReader(file))["description"])
    assert told == ['=HYPERLINK("x")\nsecond line, and 日本', '\'=HYPERLINK("x")\nsecond line, and 日本']


#: A place that is in no other value, and its town, zone and offset.
LATITUDE, LONGITUDE, ALTITUDE = 35.658612, 139.745447, 333.33
SIDECAR = {
    "title": "IMG_20190730_140000.jpg",
    "photoTakenTime": {"timestamp": "1564488000"},
    "geoData": {
        "latitude": LATITUDE,
        "longitude": LONGITUDE,
        "altitude": ALTITUDE,
        "latitudeSpan": 0.0123,
        "longitudeSpan": 0.0123,
    },
    "geoDataExif": {"latitude": LATITUDE, "longitude": LONGITUDE, "altitude": ALTITUDE},
}


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("placed")
    wrong = SIDECAR | {"title": "2.jpg", "geoData": {"latitude": f"{LATITUDE} N", "longitude": LONGITUDE}}
    files = {"1.jpg": SIDECAR | {"title": "1.jpg"}, "2.jpg": wrong, "IMG_20190730_210000.jpg": None}
    tree: dict[str, Any] = {}
    for name, sidecar in files.items():
        tree[f"Takeout/P/{name}"] = b"\xff\xd8" + name.encode()
        if sidecar:
            tree[f"Takeout/P/{name}.json"] = sidecar
    scan(write_tree(folder / "in", tree), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_without_location_no_place_is_left_anywhere(placed: Path, tmp_path: Path, name: str) -> None:
    assert [row["place"] for row in media_rows(placed)].count(None) == 1  # the fixture has places
    export(placed, tmp_path / name, Choice(drop_location=True))
    content = (tmp_path / name).read_bytes()
    if name == "a.parquet":
        table = pq.read_table(tmp_path / name)
        content = str(table.to_pylist()).encode()
        assert not DROPPED & set(table.column_names)
        # A sidecar gives the instant alone; its wall clock is known by the place, and so is the year of that.
        assert [row["taken_local"] for row in table.to_pylist() if row["title"]] == [None, None]
    for trace in (
        str(LATITUDE),
        str(LONGITUDE),
        str(ALTITUDE),
        "139.7",
        "35.65",
        "Tokyo",
        "Asia/",
        "geoData",
        "0.0123",
    ):
        assert trace.encode() not in content.replace(b'"message":"geoData', b"")
    assert QUOTED.encode() in content


@pytest.mark.parametrize("digits", [0, 1, 2, 6])
def test_rounded_places_have_as_many_digits_and_no_more(placed: Path, tmp_path: Path, digits: int) -> None:
    export(placed, tmp_path / "a.jsonl", Choice(round_location=digits))
    text = (tmp_path / "a.jsonl").read_text("utf-8")
    found = [json.loads(line) for line in text.splitlines()]
    row = next(row for row in found if row["name"] == "1.jpg")
    assert not too_fine(digits) & set(row)
    assert ("place" in row, "time_zone" in row) == (digits > 1, digits > 0)
    for name in ("latitude", "sidecar_latitude", "sidecar_exif_latitude"):
        assert row[name] == round(LATITUDE, digits)
    assert row["altitude_m"] == round(ALTITUDE, digits - 5)
    assert str(LONGITUDE) not in text or digits == 6


def test_every_column_about_a_place_is_dropped() -> None:
    telling = ("latitude", "longitude", "altitude", "place", "country", "zone", "gps", "offset", "json", "location")
    assert {name for name in RECORD.names if any(word in name for word in telling)} <= DROPPED


def row_of(**values: Any) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(RECORD.names) | {"taken_year": 0} | values], schema=RECORD)


NOON, TEN = datetime(2019, 7, 30, 12), datetime(2019, 7, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "local", "at"),
    [
        ({"taken_at_rule": "sidecar", "time_zone": "Europe/Berlin"}, None, TEN),  # the place alone gave the clock
        ({"taken_at_rule": "sidecar", "time_zone": "Europe/Berlin", "exif_taken_local": NOON}, NOON, TEN),
        ({"taken_at_rule": "sidecar", "time_zone": None, "exif_utc_offset_min": 120}, NOON, TEN),
        ({"taken_at_rule": "exif_zone", "time_zone": "Europe/Berlin", "exif_taken_local": NOON}, NOON, None),
        ({"taken_at_rule": "video_zone", "time_zone": "Europe/Berlin"}, NOON, None),
        ({"taken_at_rule": "name", "time_zone": "Europe/Berlin", "name_taken_local": NOON}, NOON, None),
        ({"taken_at_rule": "name", "time_zone": "Europe/Berlin", "name_taken_at": TEN}, None, TEN),
    ],
)
def test_times_that_only_the_place_tells_are_dropped(
    values: dict[str, Any], local: datetime | None, at: datetime | None
) -> None:
    (row,) = without_places(row_of(taken_local=NOON, taken_at=TEN, taken_year=2019, **values)).to_pylist()
    assert (row["taken_local"], row["taken_at"], row["taken_year"]) == (local, at, 2019)


def test_rounding_keeps_nulls() -> None:
    (row,) = with_rounded_places(row_of(latitude=1.26), 1).to_pylist()
    assert (row["latitude"], row["longitude"]) == (1.3, None)


def test_the_command_reports_what_it_wrote(results: Path, rows: list[dict[str, Any]], run: Run, tmp_path: Path) -> None:
    done = run("export", results, "-o", "a.csv", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["rows"], report["bytes"]) == (len(rows), (tmp_path / "a.csv").stat().st_size)
    again = run("export", results, "-o", "a.csv")
    assert again.returncode == 2 and "--force" in again.stderr
    nothing = run("export", tmp_path, "-o", "b.csv")
    assert nothing.returncode == 2 and "takeout-index scan" in nothing.stderr
