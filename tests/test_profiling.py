"""`scan --profile`: where the time went, by stage, operation, shard and worker; and nothing open for others."""

import csv
import json
import re
from pathlib import Path

import pytest

from pipeline import cluster
from pipeline.api import scan
from pipeline.pictures import can_draw
from pipeline.problems import RunError, UsageError
from pipeline.progress import Silent
from pipeline.settings import Settings


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_profile_says_who_did_what_when(synthetic: Path, tmp_path: Path, no_leftovers: None, mode: str) -> None:
    settings = Settings(mode=mode, processes=2, shard_files=50, profile=str(tmp_path / "profile"))
    report = scan(synthetic, tmp_path / "out", settings)
    folder = tmp_path / "profile"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    profile = json.loads((folder / "profile.json").read_text("utf-8"))
    assert profile["operations"] == report["operations"]
    assert 0 <= profile["idle_tail"] < 1
    rows = list(csv.DictReader((folder / "shards.csv").open(encoding="utf-8")))
    assert sum(int(row["files"]) for row in rows) == report["media"]
    assert sum(int(row["bytes"]) for row in rows) == report["bytes"]
    assert all(float(row["started_s"]) < float(row["ended_s"]) for row in rows)
    assert len(profile["workers"]) == len({row["worker"] for row in rows})
    assert (folder / "timeline.svg").is_file() == can_draw()
    reports = [path.name for path in folder.glob("*.html")]
    assert reports == (["dask-report.html"] if mode == "parallel" else [])
    if mode == "parallel":
        html = (folder / "dask-report.html").read_text("utf-8")
        assert "Task Stream" in html
        assert not re.search(r"<(script|link)[^>]*(src|href)=.?https?:", html)  # it can be read without a network


def test_without_bokeh_it_is_said_before_anything_is_done(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    profile, out = tmp_path / "profile", tmp_path / "out"
    with pytest.raises(UsageError, match="bokeh"):
        scan(synthetic, out, Settings(mode="parallel", profile=str(profile)))
    assert not profile.exists()
    assert not out.exists()


def test_a_profile_lies_neither_in_the_input_nor_in_the_results(synthetic: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for folder in (synthetic / "profile", synthetic.parent, out, out / "profile", tmp_path):
        with pytest.raises(UsageError, match="inside"):
            scan(synthetic, out, Settings(mode="sequential", profile=str(folder)))
    assert not out.exists()


def test_the_dearest_shards_come_first_and_the_last_are_small(
    synthetic: Path, tmp_path: Path, no_leftovers: None
) -> None:
    settings = Settings(mode="parallel", processes=2, profile=str(tmp_path / "profile"))
    scan(synthetic, tmp_path / "out", settings)
    rows = list(csv.DictReader((tmp_path / "profile" / "shards.csv").open(encoding="utf-8")))
    by_start = sorted(rows, key=lambda row: float(row["started_s"]))
    sizes = [int(row["files"]) for row in by_start]
    in_order = sorted(sizes, reverse=True)
    # Each is one of those that the scheduler has at the time.
    assert all(in_order.index(size) < number + cluster.AHEAD * 2 for number, size in enumerate(sizes))
    assert len(sizes) > 3
    assert sizes[-1] < sum(sizes) / 8


def test_a_profile_has_nothing_of_an_earlier_one(synthetic: Path, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "profile", tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("dask-report.html", "dask-report-2.html", "notes.txt"):
        (folder / name).write_text("earlier")
    elsewhere.write_text("not ours")
    (folder / "profile.json").symlink_to(elsewhere)
    scan(synthetic, tmp_path / "out", Settings(mode="sequential", profile=str(folder)))
    drawn = {"timeline.svg"} if can_draw() else set()
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "profile.json", "shards.csv", *drawn}
    assert elsewhere.read_text() == "not ours"


def test_a_profile_that_cannot_be_written_is_refused_at_once(synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "profile"):
        with pytest.raises(UsageError, match="is no folder"):
            scan(synthetic, tmp_path / "out", Settings(mode="sequential", profile=str(folder)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mode", "name"), [("sequential", "profile.json"), ("parallel", "dask-report.html")])
def test_a_profile_that_cannot_be_written_at_the_end_does_not_cost_the_scan(
    synthetic: Path, tmp_path: Path, mode: str, name: str
) -> None:
    folder, out = tmp_path / "profile", tmp_path / "out"

    class InTheWay(Silent):
        """While files are read, something else takes the name of a file of the profile."""

        def begin(self, files: int, size: int) -> None:
            (folder / name).mkdir()

    with pytest.raises(RunError, match=f"the results are in .*{name}"):
        scan(synthetic, out, Settings(mode=mode, processes=1, profile=str(folder)), InTheWay())
    assert (out / "run.json").is_file()
    assert not list(folder.glob("*.tmp"))
