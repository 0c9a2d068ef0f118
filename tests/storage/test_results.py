"""Publishing: all or nothing, one run at a time, and carried on after a crash at any point."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.problems import OutputError
from pipeline.storage.results import PUBLISHED, Results, claimed, publish

ROOT = Path(__file__).parents[2]
#: System calls of publishing at which it may be cut off.
CRASH = """
import os, sys
from pathlib import Path
from pipeline.storage import durable, results
from tests.storage.test_results import fill
count = int(sys.argv[2])
def crash(function):
    def counted(*arguments):
        global count
        if count == 0:
            os._exit(9)
        count -= 1
        return function(*arguments)
    return counted
with results.claimed(Path(sys.argv[1])) as claimed:
    fill(claimed, "new")
    if sys.argv[3] == "exchanged":
        results.flush_to_disk = crash(results.flush_to_disk)
        results.put_in_place = crash(results.put_in_place)
    else:
        durable._RENAME_EXCHANGE = 1 << 7  # which no kernel knows: it answers as file systems do that cannot exchange names
        Path.rename = crash(Path.rename)
    results.publish(claimed)
"""


def fill(claimed_results: Results, text: str) -> None:
    for name in PUBLISHED:
        path = claimed_results.new / name
        if "." in name:
            path.write_text(text)
        else:
            path.mkdir()
            (path / "part").write_text(text)


def published(folder: Path) -> set[str]:
    found = set()
    for name in PUBLISHED:
        path = folder / name
        found.add((path if "." in name else path / "part").read_text() if path.exists() else "")
    return found


@pytest.mark.parametrize("way", ["exchanged", "renamed"])
def test_a_crash_at_any_point_leaves_old_or_new_results_once_the_next_run_has_begun(tmp_path: Path, way: str) -> None:
    outcomes = set()
    for point in range(40):
        folder = tmp_path / str(point)
        with claimed(folder) as first:
            fill(first, "old")
            publish(first)
        done = subprocess.run([sys.executable, "-c", CRASH, folder, str(point), way], cwd=ROOT, check=False)
        assert done.returncode in (0, 9)
        with claimed(folder):
            now = published(folder)
        assert len(now) == 1, point
        outcomes |= now
        if done.returncode == 0:
            break
    else:
        pytest.fail("publishing takes more steps than this test cuts off")
    assert outcomes == ({"old", "new"} if way == "exchanged" else {"new"})  # by then they count as published


def test_results_of_a_failed_run_stay_as_they_were(tmp_path: Path) -> None:
    with claimed(tmp_path / "out") as first:
        fill(first, "old")
        publish(first)
    with pytest.raises(RuntimeError), claimed(tmp_path / "out") as second:
        fill(second, "new")
        raise RuntimeError
    assert published(tmp_path / "out") == {"old"}


def test_a_second_run_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "out"),
        pytest.raises(OutputError, match=f"process {os.getpid()}"),
        claimed(tmp_path / "out"),
    ):
        pass


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"mine\.txt"), claimed(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_old_journal_is_not_applied_to_the_new_index(tmp_path: Path) -> None:
    with claimed(tmp_path / "out") as first:
        fill(first, "old")
        publish(first)
    (tmp_path / "out/index.sqlite-wal").write_text("old journal")
    with claimed(tmp_path / "out") as second:
        fill(second, "new")
        publish(second)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([".work", *PUBLISHED])
    assert published(tmp_path / "out") == {"new"}
