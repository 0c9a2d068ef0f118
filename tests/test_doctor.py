"""What `doctor` says of this machine, of packages that are broken, and of results that are damaged."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from pipeline import scan
from pipeline.doctor import STATES, examine
from pipeline.problems import UsageError, to_install
from tests.conftest import Run, write_tree


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    scan(write_tree(folder / "in", {"Takeout/P/1.jpg": b"\xff\xd8"}), folder / "out")
    return folder / "out"


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    (finding,) = [each for each in found["findings"] if each["name"] == name]
    return dict(finding)


def test_where_the_tests_run_a_scan_has_all_it_needs(results: Path, run: Run) -> None:
    done = run("doctor", results, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr, found["healthy"]) == (0, "", True)
    assert {each["state"] for each in found["findings"]} <= {"ok", "note"}
    assert set(found["counts"]) == set(STATES)
    for name in ("Python", "dask", "pyarrow", "libmagic", "MediaInfo", "memory", "fork", "forkserver", "files", "run"):
        assert of(found, name)["state"] == "ok"


def test_it_tells_by_what_a_library_is_broken_and_how_to_mend_it(tmp_path: Path, run: Run) -> None:
    broken = write_tree(
        tmp_path / "broken",
        {
            "orjson.py": b"raise ImportError('no such GLIBC')",
            "tzfpy.py": f"import os; os.kill(os.getpid(), {signal.SIGILL.value})".encode(),
            "magic.py": b"raise OSError('no library')",
            "duckdb.py": b"import nothing_that_is_there",
        },
    )
    path = f"{broken}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = run("doctor", env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"})
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for line in (
        "missing orjson: 3.",
        "cannot be imported: ImportError: no such GLIBC",
        "the process died (SIGILL)",
        f"-> {to_install('--force-reinstall')} 'orjson",
        "missing libmagic",
        "No module named 'nothing_that_is_there'",
        "ok      pyarrow",
    ):
        assert line in done.stdout


def test_settings_and_folders_that_cannot_be_used_are_said(run: Run) -> None:
    environment = os.environ | {"TAKEOUT_INDEX_THREADS": "many", "XDG_CACHE_HOME": "/dev/null/cache"}
    done = run("doctor", "--json", env=environment)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (
        of(found, "environment")["state"] == "missing" and "TAKEOUT_INDEX_THREADS" in of(found, "environment")["said"]
    )
    assert of(found, "cache folder")["state"] == "note"
    assert [each["said"] for each in found["findings"]].count(of(found, "environment")["said"]) == 1


def test_damaged_and_unfinished_results_are_told(results: Path, tmp_path: Path, run: Run) -> None:
    copy = shutil.copytree(results, tmp_path / "copy")
    (copy / ".work" / "shards").mkdir(exist_ok=True)
    (copy / ".work" / "shards" / "a.parquet").touch()
    (part,) = (copy / "files").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:-1])
    done = run("doctor", copy, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 3
    assert of(found, "files")["state"] == "damaged" and part.name in of(found, "files")["said"]
    assert of(found, "run")["state"] == "note" and "cut off" in of(found, "run")["said"]
    (copy / "run.json").write_text("{}")
    assert of(examine(copy), "run.json")["state"] == "damaged"


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takeout-index scan"):
        examine(tmp_path)


def test_a_pipe_in_place_of_a_report_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    assert "run.json is not as it was written" in run("doctor", tmp_path).stdout
