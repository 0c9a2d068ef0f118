"""An indexed library opened in Python, against what is in its files."""

import sqlite3
from pathlib import Path

import pytest

from pipeline import open_library, scan
from pipeline.problems import UsageError


@pytest.fixture(scope="module")
def results(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "results"
    scan(str(synthetic), output=str(folder))
    return folder


def test_parquet_duckdb_and_sqlite_hold_the_same_library(results: Path) -> None:
    library = open_library(results)
    with sqlite3.connect(results / "index.sqlite") as db:
        (expected,) = db.execute("SELECT count(*) FROM media").fetchone()
    assert expected > 0
    assert len(library.media()) == library.arrow(["path"]).num_rows == expected
    assert library.sql("SELECT count(*) FROM media WHERE path <> $path", path="").fetchall() == [(expected,)]
    assert len(library.table("problems")) > 0


def test_a_folder_without_results_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takeout-index scan"):
        open_library(tmp_path)
