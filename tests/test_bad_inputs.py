"""A tree of hostile inputs, each with what is due for it: all of it is accounted for, and nothing else suffers."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import verify
from pipeline.cli import app
from pipeline.verifying import DAMAGE
from tests.conftest import Run, files_rows, media_rows
from tests.faults.checks import fingerprint, tree

#: What a terminal would obey, or show in another order.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
#: exiftool's word -> our column.
COLUMNS = {
    "Make": "make",
    "Model": "model",
    "Orientation": "orientation",
    "DateTimeOriginal": "exif_taken_text",
    "ImageWidth": "width",
    "ImageHeight": "height",
    "Duration": "duration_s",
}
#: Due a warning by the tool's word, but whole for us, and why.
NOTHING_LOST = {
    "jpeg_segment_length_7.jpg": "the bad segment is JFIF's, of which we want nothing",
    "png_ztxt_bomb_100mb.png": "compressed text is never expanded",
}


@dataclass
class Scanned:
    """The manifest of the inputs, and what a scan made of them, by the path's bytes."""

    items: list[dict[str, Any]]
    media: dict[bytes, dict[str, Any]]
    files: dict[bytes, dict[str, Any]]
    results: Path

    def of_kind(self, *rows: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
        for item in self.items:
            if item["row"] in rows:
                yield path_of(item), item


def path_of(item: dict[str, Any]) -> bytes:
    """Path of an item below the tree, as bytes."""
    name = base64.b64decode(item["name_b64"]) if "name_b64" in item else item["name"].encode()
    return name.removeprefix(b"tree/")


def by_path(rows: list[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    return {row["path_bytes"] or row["path"].encode(): row for row in rows}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad") / "bad"
    tool = Path(__file__).with_name("bad_inputs.py")
    groups = "control,media,sidecars,names,specials"
    subprocess.run([sys.executable, tool, folder, "--only", groups], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=["parallel", "sequential"])
def scanned(bad: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Scanned:
    results = tmp_path_factory.mktemp("out") / "results"
    before = fingerprint(bad)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pipeline",
            "scan",
            bad / "tree",
            "-o",
            results,
            "--mode",
            request.param,
            "--processes",
            "2",
        ],
        cwd=results.parent,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert not CONTROL.search((done.stdout + done.stderr).decode())
    assert b"Traceback" not in done.stderr
    assert fingerprint(bad) == before
    items = json.loads((bad / "manifest.json").read_text("utf-8"))["items"]
    return Scanned(
        [item for item in items if item["name"].startswith("tree/") and "not_made" not in item],
        by_path(media_rows(results)),
        by_path(files_rows(results)),
        results,
    )


def test_every_listed_name_has_one_final_state(bad: Path, scanned: Scanned) -> None:
    root = bad / "tree"
    listed = {
        path.removeprefix(os.fsencode(root) + b"/")
        for path, _, state, _ in tree(root)
        if not stat.S_ISDIR(state.st_mode)
    }
    assert scanned.files.keys() == listed
    assert {path for path, row in scanned.files.items() if row["state"] == "media"} == scanned.media.keys()


def test_sound_and_damaged_media_have_rows_with_size_and_crc_32(scanned: Scanned) -> None:
    checked = 0
    for path, item in scanned.of_kind("data", "warn"):
        if item["kind"] in ("file", "hardlink") and "size" in item:
            row = scanned.media[path]
            assert (row["size"], row["crc32"]) == (item["size"], item["crc32"]), path
            checked += 1
    assert checked > 150


def test_what_could_be_read_is_there(scanned: Scanned) -> None:
    checked = 0
    for path, item in scanned.of_kind("data", "warn"):
        row = scanned.media.get(path)
        for word, value in item.get("values", {}).items():
            if row is None:
                continue
            if word == "CreateDate":
                expected: Any = datetime.strptime(value, "%Y:%m:%d %H:%M:%S")
                found = row["video_created_at"].replace(tzinfo=None)
            else:
                expected, found = value, row[COLUMNS[word]]
            assert found == expected or abs(float(found) - float(expected)) < 1e-4, (path, word)
            checked += 1
    assert checked > 300


def test_damage_is_named_and_sound_files_are_ok(scanned: Scanned) -> None:
    for path, item in scanned.of_kind("warn"):
        if item["kind"] == "file" and Path(os.fsdecode(path)).name not in NOTHING_LOST:
            row = scanned.media[path]
            assert row["status"] in ("partial", "failed"), path
            assert row["problems"], path
    for path, item in scanned.of_kind("data"):
        if item["group"] in ("control", "names", "media") and item["kind"] == "file":
            assert scanned.media[path]["status"] == "ok", path


def test_a_damaged_sidecar_is_named_in_its_photos_row(scanned: Scanned) -> None:
    for path, item in scanned.of_kind("warn"):
        if item["kind"] != "sidecar" or scanned.files[path]["state"] != "sidecar":
            continue
        (row,) = [row for row in scanned.media.values() if row["sidecar_path"] == path.decode()]
        assert row["make"] == "TESTCAM"  # of the photo itself nothing is lost
        if scanned.files[path]["reason"]:
            assert scanned.files[path]["reason"] in {p["message"] for p in row["problems"] if p["stage"] == "sidecar"}


def test_specials_are_listed_with_a_reason_and_never_read(bad: Path, scanned: Scanned) -> None:
    for path, item in scanned.of_kind("skip"):
        if item["kind"] != "directory":
            assert scanned.files[path]["state"] in ("ignored", "unreadable"), path
            assert scanned.files[path]["reason"], path
    (secret,) = (bad / "outside").glob("secret.jpg")
    crc32 = f"{zlib.crc32(secret.read_bytes()):08x}"
    assert crc32 not in {row["crc32"] for row in scanned.media.values()}


def test_names_come_back_byte_for_byte_and_twins_stay_two(scanned: Scanned) -> None:
    named = [path for path, item in scanned.of_kind("data") if item["group"] == "names"]
    assert len(named) == len(set(named)) > 40
    for path in named:
        assert path in scanned.media
    assert len({row["file_id"] for row in scanned.media.values()}) == len(scanned.media)


def test_plan_survives_the_same_tree(bad: Path, run: Run) -> None:
    done = run("plan", bad / "tree")
    assert done.returncode == 0, done.stderr
    assert not CONTROL.search(done.stdout + done.stderr)


def test_explaining_files_of_hostile_names_and_titles_shows_no_control_characters(scanned: Scanned) -> None:
    hostile = {b"\x1b", b"\n", b"\r", b"\x08", "\u202e".encode(), b"\xff", b"<img", b"title_"}
    paths = [path for path in scanned.files if any(each in path for each in hostile)]
    assert len(paths) > 8
    for path in paths:
        for options in ([], ["--json"]):
            shown = CliRunner().invoke(
                app, ["explain", "--in", str(scanned.results), *options, "--", os.fsdecode(path)]
            )
            assert shown.exit_code == 0, (path, shown.output)
            assert not CONTROL.search(shown.output), path


def test_verifying_them_right_away_finds_no_damage(scanned: Scanned) -> None:
    report = verify(scanned.results)
    assert [each for each in report["not_same"] if each["outcome"] in (*DAMAGE, "new")] == []
    assert (report["damaged"], report["lost_parts"]) == (0, [])
    assert sum(report["counts"].values()) == len(scanned.files)
