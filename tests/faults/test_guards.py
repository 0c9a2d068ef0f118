"""What the program does where results cannot be written, and who else is at them."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline import Settings
from pipeline.api import scan
from pipeline.item import OPERATIONS, Entry, MediaItem
from pipeline.record import SCHEMA_VERSION, to_record
from pipeline.storage.shards import write_shard
from pipeline.timing import Clock
from tests.conftest import Run
from tests.faults.checks import assert_nothing_lost, fingerprint, nothing_left, same_tables, traced

MODES = ["sequential", "parallel"]


def soak(*values: object) -> Any:
    """Values of a parameter that are tried by `make soak` alone."""
    return pytest.param(*values, marks=pytest.mark.soak)


@pytest.fixture(scope="module")
def scanned(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the synthetic library, of an undisturbed run."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    scan(synthetic, results, Settings(mode="sequential"))
    return results


def try_mount(*arguments: object) -> None:
    """Mount, or skip the test where that is not allowed."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting takes root and the program mount")
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this root may not mount: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own at the folder, a tmpfs with these options."""
    folder.mkdir()
    try_mount("-t", "tmpfs", "-o", options, "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder on a read-only mount."""
    try_mount("--bind", folder, folder)
    try:
        try_mount("-o", "remount,ro,bind", folder)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The run failed, and says why in one line that has these words."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert re.search(word, done.stderr), done.stderr


# Other runs


def test_of_two_runs_the_second_is_told_who_holds_the_results_and_a_dead_ones_hold_falls(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run
) -> None:
    program = (
        "import sys, pathlib\n"
        "from pipeline.storage.results import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        one_line(run("scan", synthetic, "-o", "out", "--quiet"), "in use by another run", f"process {holder.pid}")
        holder.kill()
    assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
    same_tables(tmp_path / "out", scanned)


@pytest.mark.parametrize("command", ["scan IN -o OUT", "verify OUT", "explain x.jpg --in OUT"])
def test_results_of_a_newer_version_are_refused_before_anything_is_written(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, command: str
) -> None:
    shutil.copytree(scanned, tmp_path / "out")
    with closing(sqlite3.connect(tmp_path / "out/index.sqlite")) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = fingerprint(tmp_path / "out")
    done = run(*(str({"IN": synthetic, "OUT": "out"}.get(word, word)) for word in command.split()))
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1
    assert "newer version" in done.stderr
    assert fingerprint(tmp_path / "out") == before


def test_whoever_reads_or_locks_the_old_index_neither_stops_a_run_nor_loses_their_view(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(scanned, tmp_path / "out")
    with closing(sqlite3.connect(tmp_path / "out/index.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        (count,) = reader.execute("SELECT count(*) FROM media").fetchone()
        assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
        assert reader.execute("SELECT count(*) FROM media").fetchone() == (count,)
    with closing(sqlite3.connect(tmp_path / "out/index.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
    same_tables(tmp_path / "out", scanned)
    assert_nothing_lost(tmp_path / "out", synthetic)


@pytest.mark.soak
def test_journals_of_another_index_are_not_applied_to_the_new_one(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(scanned, tmp_path / "out")
    for suffix in ("-wal", "-shm", "-journal"):
        (tmp_path / f"out/index.sqlite{suffix}").write_bytes(os.urandom(40_000))
    assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
    assert not list((tmp_path / "out").glob("index.sqlite-*"))
    same_tables(tmp_path / "out", scanned)


# Disks


@pytest.mark.parametrize(
    ("mode", "room", "names"),
    [
        soak("sequential", 100, 500),
        ("parallel", 1200, 500),
        ("sequential", 20_000, 20),
        *(soak(mode, room, 500) for mode in MODES for room in (0, 50, 400, 800, 1600, 2000, 2400)),
        *(soak(mode, 20_000, names) for mode in MODES for names in (0, 10, 30, 40)),
    ],
)
def test_a_full_disk_ends_a_run_with_one_line_and_with_more_room_the_same_command_succeeds(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, mode: str, room: int, names: int
) -> None:
    command = ("scan", synthetic, "-o", "disk/out", "--mode", mode, "--processes", 2, "--fresh", "--quiet")
    with small_disk(tmp_path / "disk", "size=40m,nr_inodes=600") as disk:
        shutil.copytree(scanned, disk / "out")
        before = published(disk / "out")
        fill(disk, room, names)
        one_line(run(*command), f"{disk}/out/.work/", "No space left on device|database or disk is full")
        assert published(disk / "out") == before
        shutil.rmtree(disk / "ballast")
        assert run(*command).returncode == 3
        same_tables(disk / "out", scanned)
        nothing_left(disk / "out")


def published(folder: Path) -> dict[bytes, Any]:
    """What readers of results see."""
    return {path: found for path, found in fingerprint(folder).items() if b"/.work" not in path}


def fill(disk: Path, room: int, names: int) -> None:
    """Leave room for so many kilobytes and so many names on the disk."""
    (disk / "ballast").mkdir()
    for number in range(os.statvfs(disk).f_favail - names - 1):
        (disk / f"ballast/{number}").touch()
    state = os.statvfs(disk)
    (disk / "ballast/full").write_bytes(bytes(state.f_bavail * state.f_frsize - room * 1024))


@pytest.mark.parametrize("mode", ["sequential", soak("parallel")])
def test_a_limit_on_the_size_of_files_is_named_like_a_full_disk(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, mode: str
) -> None:
    limit = ["prlimit", "--fsize=300000"]
    one_line(run("scan", synthetic, "-o", "out", "--mode", mode, "--quiet", before=limit), str(tmp_path / "out/.work"))
    assert run("scan", synthetic, "-o", "out", "--mode", mode, "--quiet").returncode == 3
    same_tables(tmp_path / "out", scanned)


@pytest.mark.parametrize("folder", ["out", soak("new"), soak("out/new")])
def test_results_on_a_read_only_disk_are_refused_before_any_work(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, folder: str
) -> None:
    (tmp_path / "disk").mkdir()
    shutil.copytree(scanned, tmp_path / "disk/out")
    before = fingerprint(tmp_path / "disk")
    with read_only(tmp_path / "disk"):
        done = run("scan", synthetic, "-o", Path("disk") / folder)
    one_line(done, "cannot write results", str(tmp_path / "disk" / folder))
    assert fingerprint(tmp_path / "disk") == before


def test_results_where_a_file_lies_are_refused(synthetic: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").write_bytes(b"mine")
    one_line(run("scan", synthetic, "-o", "out"), "cannot write results", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("mode", "number"),
    [("parallel", 5), *(soak(mode, number) for mode in MODES for number in (1, 2, 3, 9, 12, 20))],
)
def test_a_run_whose_bytes_may_not_have_reached_the_disk_has_not_succeeded(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, mode: str, number: int
) -> None:
    shutil.copytree(scanned, tmp_path / "out")
    inject = [f"--inject=fsync,fdatasync:error=EIO:when={number}"]
    failed = run("scan", synthetic, "-o", "out", "--mode", mode, "--quiet", before=traced(*inject))
    if failed.returncode != 3 or number < 9:  # of late ones a process may not have as many
        one_line(failed, str(tmp_path / "out"), "Input/output error|disk I/O error")  # as the system or SQLite say it
    same_tables(tmp_path / "out", scanned)
    assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
    same_tables(tmp_path / "out", scanned)


# What there is little of


def test_with_few_open_files_it_says_so_and_runs_in_one_process(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run
) -> None:
    command = ["scan", synthetic, "-o", "out", "--mode", "parallel", "--processes", 4]
    done = run(*command, before=["prlimit", "--nofile=64:64"])
    assert done.returncode == 3, done.stderr
    assert "64 are allowed (ulimit -n)" in done.stderr
    assert "Traceback" not in done.stderr
    same_tables(tmp_path / "out", scanned)


@pytest.mark.soak
def test_it_asks_for_as_many_open_files_as_it_may_have(synthetic: Path, tmp_path: Path, run: Run) -> None:
    command = ["scan", synthetic, "-o", "out", "--mode", "parallel", "--processes", 4, "--json"]
    done = run(*command, before=["prlimit", "--nofile=64:4096"])
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["mode"] == "parallel"


def test_a_long_path_for_temporary_files_does_not_stop_the_workers(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run
) -> None:
    long = tmp_path / ("x" * 100) / ("y" * 100)
    long.mkdir(parents=True)
    command = ["scan", synthetic, "-o", long / "out", "--mode", "parallel", "--processes", 1, "--quiet"]
    done = run(*command, env=os.environ | {"TMPDIR": str(long)})
    assert (done.returncode, done.stderr) == (3, "")
    same_tables(long / "out", scanned)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder has a short path in Linux alone")
def test_sockets_and_temporary_files_go_with_the_results_however_long_their_path_is(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib, tempfile\n"
        "from multiprocessing import process\n"
        "from pipeline.cluster import local_cluster\n"
        "from pipeline.lean import make_lean\n"
        "make_lean()\n"
        "for folder in sys.argv[1:]:\n"  # one after the other, as when two exports are compared
        "    with local_cluster(1, pathlib.Path(folder)):\n"
        "        print(os.path.realpath(process.current_process()._config['tempdir'] + '/..'))\n"
        "        print(os.environ['TMPDIR'], tempfile.gettempdir(), sep='\\n')\n"
        "    print(tempfile.gettempdir())\n"
    )
    folders = [tmp_path / ("x" * 100), tmp_path / ("y" * 100)]
    for folder in folders:
        folder.mkdir()
    command = [sys.executable, "-c", program, *map(str, folders)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    expected = [path for folder in folders for path in (folder, folder, folder, tmp_path)]
    assert [Path(line) for line in done.stdout.splitlines()] == expected


def test_where_the_workers_sockets_can_be_nowhere_it_says_what_to_do(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from multiprocessing import process\n"
        "from pipeline.cluster import ClusterError, local_cluster\n"
        "process.current_process()._config['tempdir'] = sys.argv[1]\n"
        "try:\n"
        "    with local_cluster(1, pathlib.Path(sys.argv[1])):\n"
        "        pass\n"
        "except ClusterError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / ("x" * 100))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "AF_UNIX path too long): set TMPDIR to a folder with some room and a short path" in done.stdout


@pytest.mark.parametrize("mode", ["parallel", soak("sequential")])
def test_without_a_home_and_a_locale_the_names_are_still_utf_8(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, mode: str
) -> None:
    poor = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("scan", synthetic, "-o", "out", "--mode", mode, "--processes", 1, env=poor)
    assert done.returncode == 3, done.stderr
    assert done.stdout.isascii()
    same_tables(tmp_path / "out", scanned)


# Who listens to it


@pytest.mark.parametrize("redirection", ["--json >/dev/full", soak(">/dev/full")])
def test_a_report_that_cannot_be_printed_says_where_the_results_are(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, redirection: str
) -> None:
    done = run("scan", synthetic, "-o", "out", "--quiet", before=through_a_shell(redirection))
    one_line(done, f"the results are in {tmp_path / 'out'}, but cannot print to stdout: No space left on device")
    same_tables(tmp_path / "out", scanned)


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("| head -1", 1), soak("2>&-", 3), soak(">&-", 3), soak("2>/dev/full", 3), soak(">&- 2>&-", 3)],
)
def test_a_run_that_nobody_listens_to_is_as_complete(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, redirection: str, code: int
) -> None:
    done = run("scan", synthetic, "-o", "out", before=through_a_shell(redirection))
    assert done.returncode in (code, 3), done.stderr
    assert "Traceback" not in done.stderr
    same_tables(tmp_path / "out", scanned)


def through_a_shell(redirection: str) -> list[str]:
    """What to run a program by so that a shell redirects its output; the status is the program's."""
    return ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', "bash"]


# Signals


@pytest.mark.parametrize(
    "module", ["pydantic", "pyarrow.lib", soak("pipeline.settings"), soak("pipeline.cluster"), soak("distributed")]
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), soak(signal.SIGINT, 130)])
def test_a_signal_while_modules_are_imported_ends_it_with_its_own_status(
    synthetic: Path, tmp_path: Path, module: str, number: int, code: int
) -> None:
    if number != signal.SIGTERM and module != "pyarrow.lib":
        pytest.skip("one module is enough for each further signal")
    program = (
        "import os, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), {number})\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from pipeline.cli import run\n"
        "run()\n"
    )
    command = [sys.executable, "-c", program, "scan", str(synthetic), "-o", str(tmp_path / "out"), "--mode", "parallel"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


# The clock


def test_a_clock_that_is_set_back_ends_nothing_before_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count(1_700_000_000.0, -3600.0)
    monkeypatch.setattr("pipeline.storage.shards.time.time", lambda: next(times))
    row = to_record(MediaItem(media=Entry("Takeout/a.jpg", "part", 1), file_id="a"))
    (done,) = write_shard([(row, (0.0,) * len(OPERATIONS), "shard")], str(tmp_path))
    assert done.ended_at >= done.started_at
    clock = Clock()
    assert clock.now() >= clock.started_at


# Any write


@pytest.mark.soak
@pytest.mark.parametrize("number", [1, 2, 4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize(
    "call", ["write:error=ENOSPC", "pwrite64:error=ENOSPC", "pwrite64:error=EIO", "fsync:error=EIO"]
)
def test_any_write_may_fail(synthetic: Path, scanned: Path, tmp_path: Path, run: Run, call: str, number: int) -> None:
    shutil.copytree(scanned, tmp_path / "out")
    inject = traced(f"--inject={call}:when={number}")
    done = run("scan", synthetic, "-o", "out", "--mode", "sequential", "--quiet", before=inject)
    if done.returncode != 3:  # where there are fewer such calls
        one_line(done, str(tmp_path / "out"))
    same_tables(tmp_path / "out", scanned)
    assert_nothing_lost(tmp_path / "out", synthetic)
    assert run("scan", synthetic, "-o", "out", "--quiet").returncode == 3
    same_tables(tmp_path / "out", scanned)
    nothing_left(tmp_path / "out")
