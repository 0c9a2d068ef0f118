"""Runs that are killed or asked to end: the same command goes on where they were, and ends with the rows of any other run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline import Settings
from pipeline.api import scan
from pipeline.synthetic import make_library
from tests.faults.checks import assert_nothing_lost, nothing_left, nothing_running, same_tables

#: Files per shard, so that there are many.
FEW = 5


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of some shards."""
    folder = tmp_path_factory.mktemp("kills") / "in"
    make_library(folder, files=240, seed=3, image_bytes=4_000, video_bytes=9_000, corrupt_share=0.02)
    return folder


@pytest.fixture(scope="module")
def undisturbed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    scan(library, out, Settings(mode="sequential"))
    return out


def begin(library: Path, out: Path, mode: str) -> subprocess.Popen[str]:
    """A scan, as the leader of a session."""
    return subprocess.Popen(
        f"{sys.executable} -m pipeline scan {library} -o {out} --mode {mode} --processes 2 --shard-files {FEW}".split(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def shards(out: Path) -> set[str]:
    """Shards that are finished."""
    try:
        return {name for name in os.listdir(out / ".work" / "shards") if name.endswith(".arrow")}
    except FileNotFoundError:
        return set()


def when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds, or the process has ended."""
    while process.poll() is None and not condition():
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.002)


def scan_again(library: Path, out: Path, mode: str = "sequential") -> dict[str, object]:
    """The same command, to its end."""
    process = begin(library, out, mode)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 3), output
    nothing_left(out, process.pid)
    report: dict[str, object] = json.loads((out / "run.json").read_text("utf-8"))
    return report


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_run_goes_on_where_it_was_killed(mode: str, library: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in (3, 12):
        process = begin(library, out, mode)
        when(process, lambda number=number: len(shards(out)) >= number)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        nothing_running(process.pid)
        assert not (out / "run.json").exists()
    finished = len(shards(out))
    report = scan_again(library, out, mode)
    taken = report["taken_over"]
    assert isinstance(taken, int)
    assert finished * FEW * 0.5 <= taken <= finished * FEW
    assert_nothing_lost(out, library)
    same_tables(out, undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_run_that_is_asked_to_end_finishes_what_is_in_flight_and_says_how_to_go_on(
    mode: str, number: signal.Signals, library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = begin(library, out, mode)
    when(process, lambda: len(shards(out)) >= 4)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, output
    assert "the same command goes on from there" in output
    assert "Traceback" not in output
    nothing_left(out, process.pid)
    report = scan_again(library, out)
    assert report["taken_over"]
    same_tables(out, undisturbed)


@pytest.fixture(scope="module")
def seconds(library: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """How long a run takes on this machine, by mode: where kills are spread over."""
    found = {}
    for mode in ("sequential", "parallel"):
        started = time.monotonic()
        scan_again(library, tmp_path_factory.mktemp("timed") / "out", mode)
        found[mode] = time.monotonic() - started
    return found


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100))
def test_nothing_is_lost_wherever_it_is_killed(
    seed: int, library: Path, undisturbed: Path, seconds: dict[str, float], tmp_path: Path
) -> None:
    chance = random.Random(seed)
    out, mode = tmp_path / "out", chance.choice(["sequential", "parallel"])
    killed = 0
    while not killed:  # one that has ended before does not count
        shutil.rmtree(out, ignore_errors=True)
        for _ in range(chance.randint(1, 3)):
            process = begin(library, out, mode)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=chance.uniform(0, seconds[mode]))
            if process.poll() is None:
                (os.killpg if chance.random() < 0.3 else os.kill)(process.pid, signal.SIGKILL)
            process.communicate(timeout=60)
            killed += process.returncode == -signal.SIGKILL
            nothing_running(process.pid)
    scan_again(library, out, mode)
    assert_nothing_lost(out, library)
    same_tables(out, undisturbed)
