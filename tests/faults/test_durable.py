"""What has reached the disk when: runs killed at every durable system call, the order of these calls, and power cuts."""

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import Settings, verify
from pipeline.api import scan
from pipeline.synthetic import make_library
from tests.faults.checks import assert_nothing_lost, nothing_left, nothing_running, same_tables, traced

#: The calls after which something is on the disk, or is not.
CALLS = "rename,renameat,renameat2,fsync,fdatasync,unlink,unlinkat,mkdir"
SEQUENTIAL = Settings(mode="sequential", shard_files=8)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of a few shards and years."""
    folder = tmp_path_factory.mktemp("durable") / "in"
    make_library(folder, files=24, seed=4, image_bytes=3_000, video_bytes=6_000)
    return folder


@pytest.fixture(scope="module")
def undisturbed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    scan(library, out, SEQUENTIAL)
    return out


@pytest.fixture(scope="module")
def earlier(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the same library before it grew."""
    folder = tmp_path_factory.mktemp("earlier")
    smaller = shutil.copytree(library, folder / "in")
    next(smaller.rglob("*.jpg")).unlink()
    scan(smaller, folder / "out", SEQUENTIAL)
    return folder / "out"


@pytest.fixture(scope="module")
def seconds(library: Path, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a run takes on this machine."""
    started = time.monotonic()
    goes_on(library, tmp_path_factory.mktemp("timed") / "out", undisturbed)
    return time.monotonic() - started


def command(library: Path, out: Path) -> list[str]:
    """A scan, sequential, of several shards."""
    return f"{sys.executable} -m pipeline scan {library} -o {out} --mode sequential --shard-files 8".split()


def killed_at(number: int, library: Path, out: Path) -> bool:
    """Run a scan whose processes are killed at the durable call of this number; False if there are not as many."""
    with subprocess.Popen(
        traced("-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=SIGKILL:when={number}") + command(library, out),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        output, _ = process.communicate(timeout=120)
    nothing_running(process.pid)
    assert process.returncode in (0, 3, -signal.SIGKILL, 128 + signal.SIGKILL), output
    return process.returncode not in (0, 3)


def goes_on(library: Path, out: Path, undisturbed: Path) -> None:
    """The same command ends as if nothing had happened."""
    with subprocess.Popen(
        command(library, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 3), output
    nothing_left(out, process.pid)
    assert_nothing_lost(out, library)
    same_tables(out, undisturbed)


@pytest.mark.parametrize("numbers", [range(4, 400, 17), pytest.param(range(1, 400), marks=pytest.mark.soak)])
def test_killed_at_a_durable_call_it_goes_on(numbers: range, library: Path, undisturbed: Path, tmp_path: Path) -> None:
    killed = 0
    for number in numbers:
        out = tmp_path / str(number)
        if not killed_at(number, library, out):
            break
        killed += 1
        goes_on(library, out, undisturbed)
        shutil.rmtree(out)
    else:
        pytest.fail("a run makes more durable calls than were looked at")
    assert killed >= 2


@pytest.mark.parametrize("numbers", [range(9, 400, 19), pytest.param(range(1, 400), marks=pytest.mark.soak)])
def test_killed_while_it_publishes_the_results_are_the_old_or_the_new(
    numbers: range, library: Path, undisturbed: Path, earlier: Path, tmp_path: Path
) -> None:
    ends = set()
    for number in numbers:
        out = shutil.copytree(earlier, tmp_path / str(number))
        killed = killed_at(number, library, out)
        verify(out)  # whoever opens results finishes what was begun
        for name, each in (("old", earlier), ("new", undisturbed)):
            try:
                same_tables(out, each)
            except AssertionError:
                continue
            ends.add(name)
            break
        else:
            pytest.fail(f"killed at {number}, the results are neither the old nor the new")
        if not killed:
            break
        goes_on(library, out, undisturbed)
        shutil.rmtree(out)
    assert ends == {"old", "new"}


def test_everything_reaches_the_disk_before_what_speaks_of_it(library: Path, tmp_path: Path) -> None:
    out, trace = tmp_path / "out", tmp_path / "trace"
    subprocess.run(
        traced("-e", "signal=none", "-y", "-o", str(trace), "-e", "trace=fsync,fdatasync,rename,renameat,renameat2")
        + command(library, out),
        check=False,
        capture_output=True,
        timeout=120,
    )
    flushed: set[str] = set()
    named: dict[str, str] = {}  # what was renamed, and not yet its folder flushed
    shards = published = 0
    flushing: dict[str, str] = {}  # by thread: strace tells of the begin and the end of a call that others came between
    for line in trace.read_text("utf-8", "replace").splitlines():
        thread = line.split()[0]
        if found := re.search(r"sync\(\d+<([^>]*)>", line):
            flushing[thread] = found[1]
        if "sync" in line and line.endswith("= 0"):
            path = flushing.pop(thread)
            flushed.add(path)
            named = {each: folder for each, folder in named.items() if folder != path}
        if found := re.search(r"rename\w*\((?:AT_FDCWD[^,]*, )?\"([^\"]*)\", (?:AT_FDCWD[^,]*, )?\"([^\"]*)\"", line):
            old, new = found[1], found[2]
            if not new.startswith(str(out)):
                continue
            if old.endswith(".tmp"):
                assert old in flushed, f"{new} had its name before its bytes were on the disk"
            if "/.work/" not in new:  # published: all that is new, and that it is, is on the disk
                published += 1
                assert str(out / ".work" / "new") in flushed
                assert not [path for path in named if "/.work/new/" in path or path.endswith("READY")], new
            named[new] = str(Path(new).parent)
            shards += "/shards/" in new
    assert shards >= 3
    assert published == 6
    assert not [path for path in named if "/.work/shards/" in path or "/.work/" not in path], "a folder was not flushed"


def test_a_file_system_without_fsync_for_folders_will_do(library: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    folders = [out, *(out / ".work" / name for name in ("shards", "new", "known"))]
    only = [each for folder in folders for each in ("-P", str(folder))]
    done = subprocess.run(
        traced("-o", str(tmp_path / "trace"), *only, "-e", "inject=fsync:error=EINVAL") + command(library, out),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, 3), done.stderr
    assert "EINVAL" in (tmp_path / "trace").read_text("utf-8", "replace")
    same_tables(out, undisturbed)


@pytest.mark.soak
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason="needs root and ext4")
@pytest.mark.parametrize("options", ["", ",data=writeback,noauto_da_alloc"])
@pytest.mark.parametrize("share", [0.3, 0.45, 0.6, 0.7, 0.8, 0.9, 1.2])
def test_a_power_cut_loses_nothing(
    share: float, options: str, library: Path, undisturbed: Path, seconds: float, tmp_path: Path
) -> None:
    image, mount = tmp_path / "disk.img", tmp_path / "m"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.ext4", "-qF", str(image)], check=True)

    def on_disk(what: str) -> None:
        subprocess.run(["mount", "-o", f"loop{what}", str(image), str(mount)], check=True)

    on_disk(f",commit=300{options}")
    try:
        with subprocess.Popen(
            command(library, mount / "out"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(share * seconds)
            folder = os.open(mount, os.O_RDONLY)
            fcntl.ioctl(folder, 0x8004587D, struct.pack("I", 2))  # EXT4_IOC_SHUTDOWN, nothing of the journal is written
            os.close(folder)
            process.kill()
        nothing_running(process.pid)
        subprocess.run(["umount", str(mount)], check=True)
        on_disk("")
        goes_on(library, mount / "out", undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)
