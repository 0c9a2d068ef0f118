"""`datapackage.json`, held against the tables that it describes by frictionless itself."""

import json
import warnings
import zipfile
from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from frictionless import Package, validate

from pipeline import Settings, scan
from pipeline.storage.package import data_package
from pipeline.storage.published import read_report
from tests.conftest import media_rows

SEQUENTIAL = Settings(mode="sequential")


@pytest.fixture(scope="module")
def results(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "Ünser “Archiv” (2)"
    scan(synthetic, folder, SEQUENTIAL)
    return folder


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "datapackage.json").read_text("utf-8"))
    return found


def faults(descriptor: dict[str, Any]) -> list[str]:
    report = validate(descriptor)
    return [*map(str, report.errors), *(error.message for task in report.tasks for error in task.errors)]


def test_frictionless_finds_nothing_wrong(results: Path) -> None:
    report = validate(str(results / "datapackage.json"))
    assert report.valid, report.to_summary()
    package = Package(results / "datapackage.json")
    assert package.name == "nser-archiv-2"
    assert package.title == "Photo library Ünser “Archiv” (2)"


@pytest.mark.parametrize(("name", "expected"), [("写真", "library"), ("..", "library"), ("A b/c", "a-b-c"), ("x", "x")])
def test_any_name_of_a_folder_makes_a_name(results: Path, name: str, expected: str) -> None:
    package = json.loads(data_package(name, results, datetime(2026, 1, 1, tzinfo=UTC)))
    assert package["name"] == expected
    assert Package.validate_descriptor(package).valid


def test_every_file_is_listed(results: Path) -> None:
    paths = {resource["name"]: resource["path"] for resource in described(results)["resources"]}
    listed = [*paths["media"], paths["files"], paths["index"]]
    report = read_report(results / "run.json")
    assert report is not None
    assert Counter(listed) == Counter(report[1].keys() - {"datapackage.json", "metadata.yaml"})


def test_a_changed_file_is_noticed(results: Path, tmp_path: Path) -> None:
    package = described(results)
    (resource,) = (each for each in package["resources"] if each["name"] == "files")
    assert resource["bytes"] == (results / resource["path"]).stat().st_size
    (tmp_path / "part.parquet").write_bytes(b"PAR1")
    (tmp_path / "datapackage.json").write_text(json.dumps({"resources": [resource | {"path": "part.parquet"}]}))
    assert not validate(str(tmp_path / "datapackage.json")).valid


def test_the_rows_are_as_described(results: Path) -> None:
    """Types, constraints, primary and foreign keys: of every row, which frictionless is given as it stands in Parquet."""
    rows = {"media": media_rows(results), "files": pq.read_table(results / "files").to_pylist()}
    assert faults(_of_rows(described(results), rows)) == []


def test_an_archive_that_holds_a_name_twice_is_as_described(tmp_path: Path) -> None:
    archive, results = tmp_path / "takeout-20240101T000000Z-001.zip", tmp_path / "out"
    with zipfile.ZipFile(archive, "w") as file, warnings.catch_warnings(action="ignore"):
        for number in range(2):
            file.writestr("Takeout/Google Photos/Trip/a.jpg", b"\xff\xd8\xff" + bytes([number]) * 50)
    scan(archive, results, SEQUENTIAL)
    rows = {"media": media_rows(results), "files": pq.read_table(results / "files").to_pylist()}
    assert len({row["path"] for row in rows["files"]}) < len(rows["files"])
    assert faults(_of_rows(described(results), rows)) == []


def test_rows_that_are_not_so_are_found(results: Path) -> None:
    """That the test above would notice."""
    rows = {"media": media_rows(results)[:3], "files": pq.read_table(results / "files").to_pylist()}
    for row, (name, value) in zip(
        rows["media"], [("kind", "sound"), ("taken_at", 7), ("duplicate_of", "0" * 16)], strict=True
    ):
        row[name] = value
    assert len(faults(_of_rows(described(results), rows))) == 3


def test_a_library_without_photos_is_described_too(tmp_path: Path) -> None:
    (tmp_path / "Takeout/Google Photos/Trip").mkdir(parents=True)
    (tmp_path / "Takeout/Google Photos/Trip/metadata.json").write_text('{"title": "Trip", "access": "protected"}')
    scan(tmp_path / "Takeout", tmp_path / "out", SEQUENTIAL)
    assert validate(str(tmp_path / "out/datapackage.json")).valid
    assert described(tmp_path / "out")["resources"][0]["path"] == "media/taken_year=0/part-00000.parquet"


def _of_rows(package: dict[str, Any], rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The package with rows for files."""
    return package | {
        "resources": [
            {
                "name": each["name"],
                "type": "table",
                "data": list(map(_as_json, rows[each["name"]])),
                "schema": each["schema"],
            }
            for each in package["resources"]
            if each["name"] in rows
        ]
    }


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: b64encode(value).decode() if isinstance(value, bytes) else value for name, value in row.items()}
