"""Input that changes, vanishes, cannot be read or turns into something else: an answer about that file, and about no other."""

import io
import os
import shutil
import stat
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import Settings
from pipeline.api import scan
from pipeline.progress import Silent
from tests.conftest import Run, files_rows, media_rows, write_tree
from tests.faults.checks import assert_nothing_lost, traced

FOLDER = "Takeout/Google Photos/Photos from 2020"
VICTIM = f"{FOLDER}/5.jpg"
MODES = ["sequential", "parallel"]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Twelve photos, of which one is the victim."""
    data = io.BytesIO()
    Image.effect_noise((160, 120), 80).save(data, "JPEG")
    photo = data.getvalue()
    return write_tree(tmp_path / "in", {f"{FOLDER}/{number}.jpg": photo + bytes([number]) for number in range(12)})


class When(Silent):
    """A Watch that does something when all is listed and reading begins."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def begin(self, files: int, size: int) -> None:
        self.act()


def the_victim(results: Path, path: str = VICTIM) -> dict[str, Any]:
    """Its row; the others are whole."""
    rows = {row["path"]: row for row in media_rows(results)}
    assert len(rows) == 12
    assert [row["path"] for row in rows.values() if row["path"] != path and row["status"] != "ok"] == []
    return rows[path]


def removed(path: Path) -> None:
    path.unlink()


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def shrunk(path: Path) -> None:
    os.truncate(path, 100)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_out(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("change", "kind", "status"),
    [
        (removed, "vanished", "failed"),
        (grown, "changed", "partial"),
        (shrunk, "changed", "partial"),
        (emptied, "changed", "failed"),
        (a_fifo, "not_a_file", "failed"),
        (a_folder, "not_a_file", "failed"),
        (a_link_out, "link", "failed"),
    ],
)
def test_a_file_that_changes_between_listing_and_reading_says_so_in_its_row(
    library: Path, tmp_path: Path, change: Callable[[Path], None], kind: str, status: str, mode: str
) -> None:
    if mode == "parallel" and change is not removed:
        pytest.skip("the same code reads it; one change suffices to see that workers say it too")
    scan(library, tmp_path / "out", Settings(mode=mode, processes=1), When(lambda: change(library / VICTIM)))
    row = the_victim(tmp_path / "out")
    assert row["status"] == status
    assert kind in {problem["kind"] for problem in row["problems"]}
    if change in (grown, shrunk, emptied):  # size and CRC-32 belong together, and are those of now
        assert_nothing_lost(tmp_path / "out", library)
    assert len(files_rows(tmp_path / "out")) == 12


@pytest.mark.parametrize(
    ("inject", "kind", "message"),
    [
        ("openat:error=ENOENT", "vanished", "gone"),
        ("openat:error=EACCES", "unreadable", "Permission denied"),
        ("read,pread64,preadv,preadv2,readv:error=EIO", "unreadable", "Input/output error"),
        pytest.param("openat:error=EIO", "unreadable", "Input/output error", marks=pytest.mark.soak),
        pytest.param("openat:error=ESTALE", "unreadable", "Stale", marks=pytest.mark.soak),
    ],
)
def test_a_file_that_cannot_be_read_has_a_row_without_a_check_sum(
    library: Path, tmp_path: Path, run: Run, inject: str, kind: str, message: str
) -> None:
    before = traced("-P", str(library / VICTIM), f"--inject={inject}")
    done = run("scan", library, "-o", "out", "--mode", "sequential", "--quiet", before=before)
    assert (done.returncode, done.stderr) == (3, "")
    row = the_victim(tmp_path / "out")
    assert (row["status"], row["crc32"]) == ("failed", None)
    assert [(problem["kind"], message in problem["message"]) for problem in row["problems"]] == [(kind, True)]
    assert_nothing_lost(tmp_path / "out", library)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(1, 9))
def test_no_check_sum_of_half_a_file_is_ever_kept(library: Path, tmp_path: Path, run: Run, number: int) -> None:
    large = library / VICTIM
    large.write_bytes(large.read_bytes() + os.urandom(5 << 20))
    calls = "read,pread64,preadv,preadv2,readv"
    before = traced("-P", str(large), f"--inject={calls}:error=EIO:when={number}")
    assert run("scan", library, "-o", "out", "--mode", "sequential", before=before).returncode in (0, 3)
    assert_nothing_lost(tmp_path / "out", library)


def test_files_and_folders_without_permission_are_named_and_the_others_read(
    library: Path, tmp_path: Path, run: Run
) -> None:
    (library / VICTIM).chmod(0)
    locked = write_tree(library, {"Takeout/locked/a.jpg": b"x"}) / "Takeout/locked"
    locked.chmod(0)
    before: list[str] = []
    if os.geteuid() == 0:  # who may read everything, unless that right is dropped
        if shutil.which("setpriv") is None:
            pytest.skip("as root, this takes setpriv")
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this root may not drop its rights")
    try:
        done = run("scan", library, "-o", "out", "--mode", "sequential", "--quiet", before=before)
    finally:
        locked.chmod(0o700)
    assert (done.returncode, done.stderr) == (3, "")
    row = the_victim(tmp_path / "out")
    assert (row["status"], row["crc32"], row["problems"][0]["message"]) == ("failed", None, "Permission denied")
    told = {row["path"]: (row["state"], row["reason"]) for row in files_rows(tmp_path / "out")}
    assert told["Takeout/locked"] == ("unreadable", "folder cannot be listed: Permission denied")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def replaced(path: Path) -> None:
    with zipfile.ZipFile(path.with_suffix(".new"), "w") as other:
        other.writestr(VICTIM, b"something else")
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("change", [removed, cut, replaced])
def test_an_archive_that_changes_while_it_is_read_is_named_and_no_row_mixes_the_two(
    library: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "takeout-20240101T000000Z-001"), "zip", library))
    contents = {row.relative_to(library).as_posix(): row.stat().st_size for row in library.rglob("*.jpg")}
    scan(archive, tmp_path / "out", Settings(mode="sequential"), When(lambda: change(archive)))
    rows = media_rows(tmp_path / "out")
    assert {row["path"]: row["size"] for row in rows} == contents
    (told,) = [row for row in files_rows(tmp_path / "out") if row["path"] == archive.name]
    assert told["state"] == "unreadable"
    assert "while it was read" in told["reason"]


@pytest.mark.soak
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("changes", [(grown, shrunk), (emptied, grown), (a_fifo, grown), (removed, grown), (a_folder,)])
def test_a_file_that_never_keeps_still_neither_hangs_nor_ends_a_run(
    library: Path, tmp_path: Path, run: Run, changes: tuple[Callable[[Path], None], ...], mode: str
) -> None:
    victim, done, content = library / VICTIM, threading.Event(), (library / VICTIM).read_bytes()

    def disturb() -> None:
        while not done.is_set():
            for change in changes:
                if not stat.S_ISREG(victim.lstat().st_mode if victim.exists() else 0):
                    shutil.rmtree(victim, ignore_errors=True)
                    victim.unlink(missing_ok=True)
                    victim.write_bytes(content)
                if victim.stat().st_size > 1 << 20:
                    victim.write_bytes(content)
                change(victim)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        ended = run("scan", library, "-o", "out", "--mode", mode, "--processes", 2, "--quiet", timeout=120)
    finally:
        done.set()
        disturber.join()
    assert ended.returncode in (0, 3), ended.stderr
    others = [row for row in media_rows(tmp_path / "out") if row["path"] != VICTIM]
    assert len(others) == 11
    assert {row["status"] for row in others} == {"ok"}
