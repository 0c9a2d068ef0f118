"""A library that is scanned again: what has not changed is not read, and the results are those of a scan that knows nothing."""

import json
import os
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline import Settings, planning, rescan
from pipeline.api import scan
from pipeline.item import OPERATIONS
from pipeline.limits import NONE, Limits
from pipeline.problems import Problem, death
from pipeline.record import RECORD
from pipeline.storage.durable import private_folder
from pipeline.storage.known import is_known, writing
from pipeline.storage.library import Library
from pipeline.storage.published import read_report
from pipeline.storage.shards import write_shard
from pipeline.synthetic import make_library
from tests.conftest import media_rows
from tests.faults.checks import assert_nothing_lost, same_tables
from tests.media.blocks import jpeg, tiff

SEQUENTIAL = Settings(mode="sequential")
FRESH = Settings(mode="sequential", fresh=True)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library of its own, to be changed."""
    make_library(tmp_path / "in", files=120, seed=7, image_bytes=4_000, video_bytes=9_000)
    return tmp_path / "in"


def photos(library: Path) -> list[Path]:
    """JPEGs in folders by year, in order."""
    return sorted(path for path in library.rglob("*.jpg") if "Photos from" in str(path) and path.stat().st_size > 500)


def change_unnoticed(path: Path) -> None:
    """Change the last byte, but neither size nor time: who says what was there has not looked."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def crc_of(results: Path, path: Path) -> str:
    """The CRC-32 in the row of a file of this name and folder."""
    (row,) = [
        row for row in media_rows(results) if row["name"] == path.name and row["folder"].endswith(path.parent.name)
    ]
    return str(row["crc32"])


def test_what_has_not_changed_is_not_opened(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = scan(library, out, SEQUENTIAL)
    before = (out / "media").stat().st_ino
    victim = photos(library)[0]
    known = crc_of(out, victim)
    change_unnoticed(victim)
    again = scan(library, out, SEQUENTIAL)
    assert (again["mode"], again["taken_over"], again["shards"]) == ("unchanged", first["media"], 0)
    assert again["counts"] == first["counts"]
    assert (out / "media").stat().st_ino == before
    assert crc_of(out, victim) == known
    (victim.parent / "new.jpg").write_bytes(photos(library)[1].read_bytes())
    third = scan(library, out, SEQUENTIAL)  # neither where something else has changed
    assert third["media"] - third["taken_over"] < 5
    assert crc_of(out, victim) == known
    scan(library, out, FRESH)
    assert crc_of(out, victim) != known


def test_what_has_changed_is_found_and_the_rest_is_as_before(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    some = photos(library)
    some[0].write_bytes(some[0].read_bytes() + b"more")
    some[1].unlink()
    some[2].rename(some[2].with_name("moved.jpg"))
    shutil.copy(some[3], some[3].with_name("copy of it.jpg"))
    sidecar = next(path for path in sorted(library.rglob("*.json")) if b'"description"' in path.read_bytes())
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text("utf-8")) | {"description": "told anew"}), "utf-8")
    folder = next(path for path in sorted(library.rglob("*")) if (path / "metadata.json").exists())
    folder.rename(folder.with_name("another name"))
    report = scan(library, out, SEQUENTIAL)
    assert 0 < report["taken_over"] < report["media"]
    assert_nothing_lost(out, library)
    scan(library, tmp_path / "fresh", SEQUENTIAL)
    same_tables(out, tmp_path / "fresh")


def test_results_that_were_moved_are_said_to_be_where_they_are(library: Path, tmp_path: Path) -> None:
    scan(library, tmp_path / "before", SEQUENTIAL)
    moved = (tmp_path / "before").rename(tmp_path / "now")
    report = scan(library, moved, SEQUENTIAL)
    assert (report["mode"], report["output"]) == ("unchanged", str(moved))


def test_of_a_file_whose_sidecar_changed_the_bytes_are_not_read_again(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    row = next(row for row in media_rows(out) if row["sidecar_path"] and row["make"] and row["status"] == "ok")
    photo, sidecar = library / row["path"], library / row["sidecar_path"]
    change_unnoticed(photo)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text("utf-8")) | {"description": "told anew"}), "utf-8")
    report = scan(library, out, SEQUENTIAL)
    assert report["media"] - report["taken_over"] >= 1
    (now,) = [each for each in media_rows(out) if each["file_id"] == row["file_id"]]
    assert now["description"] == "told anew"
    same = [name for name in row if name not in ("description", "sidecar_json", "made_from")]
    assert {name: now[name] for name in same} == {name: row[name] for name in same}


def test_every_run_is_remembered(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        scan(library, out, SEQUENTIAL)
    photos(library)[0].unlink()
    scan(library, out, SEQUENTIAL)
    scan(library, out, FRESH)
    with closing(sqlite3.connect(out / "index.sqlite")) as db:
        runs = db.execute("SELECT mode, media, report FROM runs ORDER BY run_id").fetchall()
    assert [mode for mode, *_ in runs] == ["sequential", "unchanged", "sequential", "sequential"]
    assert [media - runs[0][1] for _, media, _ in runs] == [0, 0, -1, -1]
    assert all(json.loads(report)["media"] == media for _, media, report in runs)


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def _removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_emptied, _cut, _flipped, _removed])
def test_damaged_results_are_noticed_and_made_anew(
    library: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    shutil.copytree(out, tmp_path / "before")
    names = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "lock"]
    parts = [path for path in names if path.parent.parent.name == "media"]
    for path in [*parts[:2], *(path for path in names if path not in parts)]:
        damage(path)
        report = scan(library, out, SEQUENTIAL)
        assert report["mode"] != "unchanged", path
        same_tables(out, tmp_path / "before")
    assert scan(library, out, SEQUENTIAL)["mode"] == "unchanged"


def test_results_that_change_places_are_noticed(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    shutil.copytree(out, tmp_path / "before")
    one, other = sorted(out.glob("media/*/*.parquet"))[:2]
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    scan(library, out, SEQUENTIAL)
    same_tables(out, tmp_path / "before")


def test_results_of_another_library_in_their_place_are_not_taken_for_this_ones(library: Path, tmp_path: Path) -> None:
    make_library(tmp_path / "other", files=90, seed=8, image_bytes=4_000, video_bytes=9_000)
    scan(tmp_path / "other", tmp_path / "out", SEQUENTIAL)
    scan(library, tmp_path / "out", SEQUENTIAL)
    scan(library, tmp_path / "fresh", SEQUENTIAL)
    same_tables(tmp_path / "out", tmp_path / "fresh")


def test_another_version_or_setting_reads_what_it_must(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    assert scan(library, out, Settings(mode="sequential", all_tags=True))["taken_over"] == 0
    assert any(row["exif_json"] for row in media_rows(out))
    assert scan(library, out, SEQUENTIAL)["taken_over"] == 0
    assert not any(row["exif_json"] for row in media_rows(out))
    for module in (planning, rescan):
        monkeypatch.setattr(module, "EXTRACTION_VERSION", planning.EXTRACTION_VERSION + 1)
    assert scan(library, out, SEQUENTIAL)["taken_over"] == 0


def test_a_library_that_was_moved_is_not_read_again(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    victim = photos(library)[0]
    known = crc_of(out, victim)
    change_unnoticed(victim)
    moved = library.rename(tmp_path / "elsewhere")
    assert scan(moved, out, SEQUENTIAL)["taken_over"] == len(media_rows(out))
    assert crc_of(out, victim) == known
    assert {row["part"] for row in media_rows(out)} == {"elsewhere"}
    report: dict[str, Any] = json.loads((out / "run.json").read_text("utf-8"))
    assert report["sources"][0]["address"].endswith("/elsewhere")


@pytest.mark.parametrize("layout", ["zip", "tgz"])
def test_archives_that_have_not_changed_are_not_read(tmp_path: Path, layout: str) -> None:
    make_library(tmp_path / "in", files=80, seed=5, image_bytes=3_000, video_bytes=9_000, layout=layout, parts=2)
    out = tmp_path / "out"
    first = scan(tmp_path / "in", out, SEQUENTIAL)
    again = scan(tmp_path / "in", out, SEQUENTIAL)
    assert again["mode"] == "unchanged"
    archive = sorted((tmp_path / "in").rglob("*.zip" if layout == "zip" else "*.tgz"))[0]
    extra = tmp_path / "extra.jpg"
    extra.write_bytes(b"\xff\xd8 not much of a photo")
    if layout == "zip":
        with zipfile.ZipFile(archive, "a") as file:
            file.write(extra, "Takeout/Google Photos/Photos from 2019/extra.jpg")
    else:
        with tarfile.open(archive) as old, tarfile.open(tmp_path / "new.tgz", "w:gz") as new:
            for member in old:
                new.addfile(member, old.extractfile(member))
            new.add(extra, "Takeout/Google Photos/Photos from 2019/extra.jpg")
        (tmp_path / "new.tgz").replace(archive)
    third = scan(tmp_path / "in", out, SEQUENTIAL)
    assert third["media"] == first["media"] + 1
    assert third["taken_over"] == first["media"]
    scan(tmp_path / "in", tmp_path / "fresh", SEQUENTIAL)
    same_tables(out, tmp_path / "fresh")
    assert scan(tmp_path / "in", out, Settings(mode="sequential", verify_archives=True))["mode"] == "sequential"


def test_what_could_not_be_read_is_tried_again(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    victim = photos(library)[0]
    target = tmp_path / "aside.jpg"
    victim.rename(target)
    loop = victim.with_name("loop.jpg")
    loop.symlink_to(loop)
    scan(library, out, SEQUENTIAL)
    assert scan(library, out, SEQUENTIAL)["mode"] == "unchanged"
    loop.unlink()
    target.rename(victim)
    report = scan(library, out, SEQUENTIAL)
    assert report["media"] - report["taken_over"] >= 1
    scan(library, tmp_path / "fresh", SEQUENTIAL)
    same_tables(out, tmp_path / "fresh")


def test_the_report_tells_if_it_is_not_what_was_written(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan(library, out, SEQUENTIAL)
    found = read_report(out / "run.json")
    assert found is not None
    assert set(found[1]) == {
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.is_file() and path.name not in ("run.json", "lock")
    }
    text = (out / "run.json").read_text("utf-8")
    (out / "run.json").write_text(text.replace('"media": ', '"media": 1', 1), "utf-8")
    assert read_report(out / "run.json") is None


def _write_at_one_time(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (1_600_000_000, 1_600_000_000))


def test_files_of_one_path_size_and_time_in_two_parts_are_not_taken_for_each_other(tmp_path: Path) -> None:
    parts = [tmp_path / "one", tmp_path / "two"]
    folder = "Takeout/Google Photos/Photos from 2019"
    sidecar = '{"title": "b.jpg", "photoTakenTime": {"timestamp": "160000000%d"}}'
    for number, part in enumerate(parts):
        _write_at_one_time(part / folder / "a.jpg", jpeg(tiff({0x010F: (2, f"Camera {number}")})))
        _write_at_one_time(part / folder / "b.jpg.json", (sidecar % number).encode())
    photo = parts[0] / folder / "b.jpg"
    _write_at_one_time(photo, jpeg())
    scan(parts, tmp_path / "out", SEQUENTIAL)
    (parts[0] / folder / "a.jpg").unlink()
    photo.rename(parts[1] / folder / "b.jpg")
    scan(parts, tmp_path / "out", SEQUENTIAL)
    scan(parts, tmp_path / "fresh", SEQUENTIAL)
    same_tables(tmp_path / "out", tmp_path / "fresh")


def test_what_a_killed_run_had_given_up_is_tried_again(library: Path, tmp_path: Path) -> None:
    scan(library, tmp_path / "fresh", SEQUENTIAL)
    rows = [
        row for row in pq.read_table(tmp_path / "fresh/media").select(RECORD.names).to_pylist() if row["status"] == "ok"
    ]
    given_up = rows[0] | {"status": "failed", "mime": None, "problems": [asdict(death("too_slow", seconds=1))]}
    shards = private_folder(tmp_path / "out/.work/shards")
    write_shard([(given_up, (0.0,) * len(OPERATIONS), "0" * 32)], str(shards))
    scan(library, tmp_path / "out", SEQUENTIAL)
    same_tables(tmp_path / "out", tmp_path / "fresh")


def test_an_archive_that_could_not_be_read_well_is_read_again(tmp_path: Path) -> None:
    make_library(tmp_path / "in", files=10, seed=5, image_bytes=3_000, layout="tgz", parts=1)
    library = Library.of([tmp_path / "in"])
    (part,) = library.tars()
    with writing(str(tmp_path / "known"), part, NONE):
        pass
    assert is_known(tmp_path / "known", part, NONE)
    for kind, again in (("unreadable", True), ("too_slow", False), ("damaged", False)):
        with writing(str(tmp_path / "known"), part, NONE) as known:
            known.add_problem(Problem("list", kind, "Input/output error"))
        assert is_known(tmp_path / "known", part, NONE) is not again
        assert is_known(tmp_path / "known", part, Limits(1, 1)) is (kind == "damaged")
