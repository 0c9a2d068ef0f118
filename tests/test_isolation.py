"""Files that crash, hang or exhaust whoever reads them: each costs its own row, and nothing else."""

import json
import os
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from tests.conftest import Run, media_rows, write_tree
from tests.media.blocks import jpeg, tiff

ROOT = Path(__file__).parent.parent

#: Imported by Python as it starts: has the first function that looks at a file's bytes, and the parser of JSON, do what these
#: say.
HOOK = """
import ctypes, os, sys, time
import orjson
from pipeline.media import sniff as module
real, parse = module.sniff, orjson.loads
def act(data):
    data = bytes(data)
    at = data.find(b"POISON-")
    what = data[at + 7 : at + 11] if at >= 0 else b""
    if what == b"SEGV": ctypes.string_at(0)
    if what == b"KILL": os.kill(os.getpid(), 9)
    if what == b"EXIT": os._exit(0)
    if what == b"HANG": time.sleep(1e9)
    if what == b"SPIN":
        while True: pass
    if what == b"GROW":
        hoard = []
        while True: hoard.append(bytearray(16 << 20))
    if what == b"BASE": raise SystemExit("poison")
    if what == b"RECU": return act(data)
def sniff(head):
    act(head)
    return real(head)
def loads(data):
    act(data)
    return parse(data)
module.sniff, orjson.loads = sniff, loads
"""

CAUSES = {
    "SEGV": ("crashed", "SIGSEGV"),
    "KILL": ("crashed", "SIGKILL"),
    "EXIT": ("crashed", "exit status 0"),
    "HANG": ("too_slow", "2 seconds"),
    "SPIN": ("too_slow", "2 seconds"),
    "GROW": ("too_much_memory", "memory"),
    "BASE": ("crashed", "SystemExit"),
    "RECU": ("crashed", "RecursionError"),
}


def library_of(folder: Path, poisons: Sequence[str], others: int = 60) -> Path:
    """Good photos with sidecars, among which those stand that are poison for who has the hook."""
    words = [*poisons, *("" for _ in range(others))]
    random.Random(0).shuffle(words)
    files: dict[str, bytes | dict[str, Any]] = {}
    for number, word in enumerate(words):
        name = f"Takeout/Google Photos/Photos from 2019/{number:03}{word}.jpg"
        comment = f"POISON-{word}. {number}" if word else f"fine {number}"
        files[name] = jpeg(
            tiff({}, {0x9003: (2, f"2019:07:30 12:{number // 60:02}:{number % 60:02}"), 0x9286: (7, comment.encode())})
        )
        files[f"{name}.json"] = {
            "title": name.rpartition("/")[2],
            "photoTakenTime": {"timestamp": str(1564488000 + number)},
        }
    return write_tree(folder, files)


def environment(folder: Path) -> dict[str, str]:
    """Of programs that have the hook."""
    hook = folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    return {**os.environ, "PYTHONPATH": f"{hook}{os.pathsep}{ROOT}"}


def check(tmp_path: Path, run: Run, poisons: Sequence[str], options: Sequence[object], others: int = 60) -> None:
    """Scan with the hook and without: the rows differ in those of poison alone, and nothing is left behind."""
    library = library_of(tmp_path / "in", poisons, others)
    limits = ("--file-seconds", 2, "--file-mb", 96)
    done = run("scan", library, "-o", "bad", "--quiet", *limits, *options, env=environment(tmp_path))
    assert done.returncode == 3, done.stderr
    assert run("scan", library, "-o", "good", "--quiet", "--mode", "sequential").returncode == 0
    found, due = media_rows(tmp_path / "bad"), media_rows(tmp_path / "good")
    assert len(found) == len(due) == len(poisons) + others
    for row, good in zip(found, due, strict=True):
        word = poison_in(row)
        if word is None:
            assert row == good
            continue
        kind, said = CAUSES[word]
        assert row["status"] == "failed"
        assert [(problem["kind"], said in problem["message"]) for problem in row["problems"]] == [(kind, True)]
        assert "((" not in row["problems"][0]["message"]
        same = ("path", "size", "crc32", "title", "sidecar_taken_at", "taken_at")
        assert [row[name] for name in same] == [good[name] for name in same]
    assert set(os.listdir(tmp_path / "bad" / ".work")) == {"known", "lock"}
    assert left(str(library)) == []


def left(library: str) -> list[str]:
    """Command lines of processes that are at work on the library."""
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if library in line]


WHERE = {
    "sequential": ("--mode", "sequential"),
    "one worker": ("--mode", "parallel", "--processes", 1, "--shard-files", 10),
    "two workers": ("--mode", "parallel", "--processes", 2, "--shard-files", 10),
}


@pytest.mark.parametrize(("where", "other"), [("sequential", "SPIN"), ("two workers", "HANG")])
def test_each_kind_of_poison_costs_its_own_row(tmp_path: Path, run: Run, where: str, other: str) -> None:
    check(tmp_path, run, [word for word in CAUSES if word != other], WHERE[where])


@pytest.mark.soak
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("word", CAUSES)
def test_poison_in_any_number_anywhere(tmp_path: Path, run: Run, word: str, count: int, where: str) -> None:
    check(tmp_path, run, [word] * count, WHERE[where])


@pytest.mark.parametrize("where", [pytest.param("sequential", marks=pytest.mark.soak), "one worker"])
def test_an_archive_read_front_to_back_is_read_all_the_same(tmp_path: Path, run: Run, where: str) -> None:
    library = library_of(tmp_path / "tree", ["SEGV", "HANG", "GROW", "BASE"], 20)
    archive = tmp_path / "in" / "takeout-20200101T000000Z-001.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as file:
        file.add(library / "Takeout", "Takeout")
    limits = ("--file-seconds", 2, "--file-mb", 96)
    done = run("scan", archive, "-o", "bad", "--quiet", *limits, *WHERE[where], env=environment(tmp_path))
    assert done.returncode == 3, done.stderr
    assert run("scan", archive, "-o", "good", "--quiet", "--mode", "sequential").returncode == 0
    found, due = media_rows(tmp_path / "bad"), media_rows(tmp_path / "good")
    assert [row["crc32"] for row in found] == [row["crc32"] for row in due]
    assert [row for row in found if poison_in(row) is None] == [row for row in due if poison_in(row) is None]
    failed = {
        poison_in(row): [problem["kind"] for problem in row["problems"]] for row in found if row["status"] == "failed"
    }
    assert failed == {word: [CAUSES[word][0]] for word in ("SEGV", "HANG", "GROW", "BASE")}
    run("scan", archive, "-o", "bad", "--quiet", *WHERE[where])  # under other limits, it is read once more
    assert media_rows(tmp_path / "bad") == due


def poison_in(row: dict[str, Any]) -> str | None:
    """What a file would do to its readers."""
    return next((word for word in CAUSES if word in row["name"]), None)


def test_media_that_are_asked_for_their_time_only_may_be_poison_too(tmp_path: Path, run: Run) -> None:
    """One without a sidecar is asked, as an equal name in another folder has one to spare."""
    library = library_of(tmp_path / "in", ["SEGV", "EXIT"], 5)
    for sidecar in list(library.rglob("*.json")):
        album = library / "Takeout/Google Photos/Album"
        album.mkdir(exist_ok=True)
        sidecar.rename(album / sidecar.name)
    limits = ("--file-seconds", 2, "--file-mb", 96)
    done = run("scan", library, "-o", "bad", "--quiet", "--mode", "sequential", *limits, env=environment(tmp_path))
    assert done.returncode == 3, done.stderr
    failed = [poison_in(row) for row in media_rows(tmp_path / "bad") if row["status"] == "failed"]
    assert sorted(map(str, failed)) == ["EXIT", "SEGV"]


@pytest.mark.parametrize("where", ["sequential", pytest.param("two workers", marks=pytest.mark.soak)])
def test_json_that_is_read_while_pairing_may_be_poison_too(tmp_path: Path, run: Run, where: str) -> None:
    library = library_of(tmp_path / "in", [], 5)
    for word in ("", "SEGV", "HANG", "GROW"):
        album = library / "Takeout/Google Photos" / f"Album {word}"
        album.mkdir()
        text = f"POISON-{word}." if word else "fine"
        (album / "metadata.json").write_text(json.dumps({"title": "An album", "description": text}))
    limits = ("--file-seconds", 2, "--file-mb", 96)
    done = run("scan", library, "-o", "bad", "--quiet", *WHERE[where], *limits, env=environment(tmp_path))
    assert done.returncode == 3, done.stderr
    assert run("scan", library, "-o", "good", "--quiet", "--mode", "sequential").returncode == 0
    assert media_rows(tmp_path / "bad") == media_rows(tmp_path / "good")
    files = pq.read_table(tmp_path / "bad" / "files", columns=["path", "state", "reason"]).to_pylist()
    unreadable = [file for file in files if file["state"] == "unreadable"]
    assert [file["path"][-18:-14] for file in unreadable] == ["GROW", "HANG", "SEGV"]
    assert all("crashed" in file["reason"] for file in unreadable)


def test_a_sidecar_may_be_poison_too(tmp_path: Path, run: Run) -> None:
    library = library_of(tmp_path / "in", [], 5)
    for number, word in enumerate(("SEGV", "GROW")):
        sidecar = library / f"Takeout/Google Photos/Photos from 2019/{number:03}.jpg.json"
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "description": f"POISON-{word}."}))
    limits = ("--file-seconds", 2, "--file-mb", 96)
    done = run("scan", library, "-o", "bad", "--quiet", *WHERE["sequential"], *limits, env=environment(tmp_path))
    assert done.returncode == 3, done.stderr
    assert run("scan", library, "-o", "good", "--quiet", "--mode", "sequential").returncode == 0
    found, due = media_rows(tmp_path / "bad"), media_rows(tmp_path / "good")
    kinds = {}
    for row, good in zip(found, due, strict=True):
        if row["status"] != "failed":
            assert row == good
            continue
        kinds[row["name"]] = [problem["kind"] for problem in row["problems"]]
        same = ("path", "size", "crc32", "mime", "exif_taken_local", "sidecar_path")
        assert [row[name] for name in same] == [good[name] for name in same]
    assert kinds == {"000.jpg": ["crashed"], "001.jpg": ["too_much_memory"]}


@pytest.mark.parametrize("processes", [pytest.param(1, marks=pytest.mark.soak), 2])
def test_workers_that_anybody_kills_are_no_files_fault(
    tmp_path: Path, synthetic: Path, run: Run, processes: int
) -> None:
    options = ("--quiet", "--shard-files", 5)
    assert run("scan", synthetic, "-o", "good", *options, "--mode", "sequential").returncode == 3
    command = [sys.executable, "-m", "pipeline", "scan", str(synthetic), "-o", "bad", *map(str, options)]
    choose = random.Random(processes)
    killed = 0
    with subprocess.Popen([*command, "--mode", "parallel", "--processes", str(processes)], cwd=tmp_path) as scan:
        driver = psutil.Process(scan.pid)
        shards = tmp_path / "bad" / ".work" / "shards"
        while scan.poll() is None and killed < 5:
            if shards.is_dir() and len(list(shards.glob("*.arrow"))) > 4 * killed:
                workers = [each for each in driver.children(recursive=True) if is_worker(each)]
                if workers:
                    choose.choice(workers).kill()
                    killed += 1
        assert scan.wait(120) == 3
    assert killed
    assert media_rows(tmp_path / "bad") == media_rows(tmp_path / "good")


def is_worker(process: psutil.Process) -> bool:
    """It is forked from the server that workers are forked from."""
    try:
        return "forkserver" in " ".join(process.parent().cmdline())
    except (psutil.NoSuchProcess, AttributeError):
        return False


@pytest.mark.soak
@pytest.mark.parametrize("where", ["sequential", "one worker"])
def test_a_reader_that_is_stopped_for_a_while_is_no_files_fault(tmp_path: Path, synthetic: Path, where: str) -> None:
    scans = [sys.executable, "-m", "pipeline", "scan", str(synthetic), "--quiet", *map(str, WHERE[where]), "-o"]
    assert subprocess.run([*scans, "good"], cwd=tmp_path, check=False).returncode == 3
    with subprocess.Popen([*scans, "bad", "--file-seconds", "1"], cwd=tmp_path) as scan:
        driver, marks = psutil.Process(scan.pid), tmp_path / "bad" / ".work" / "scratch"
        while not (marks.is_dir() and list(marks.glob("*.mark"))):
            assert scan.poll() is None
        readers = [each for each in driver.children(recursive=True) if where == "sequential" or is_worker(each)]
        for each in readers:
            each.suspend()
        time.sleep(4)  # the fault itself
        for each in readers:
            each.resume()
        assert scan.wait(120) == 3
    assert media_rows(tmp_path / "bad") == media_rows(tmp_path / "good")
