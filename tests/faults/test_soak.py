"""Scans, kills and rescans for half an hour, over a library that changes all the time: nothing grows, nothing is lost.

``SOAK_MINUTES=2 make soak`` takes less.
"""

import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline import Settings
from pipeline.api import scan
from pipeline.synthetic import make_library
from tests.faults.checks import assert_nothing_lost, nothing_left, nothing_running, same_tables

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
#: Rounds after which everything has been imported and cached that will be; and by how much memory may differ in MB.
WARM, MARGIN = 12, 24

pytestmark = pytest.mark.soak


def change(library: Path, chance: random.Random) -> None:
    """Change, add, remove, move or touch a file, or do nothing."""
    photos = sorted(library.rglob("*.jpg"))
    photo = chance.choice(photos)
    match chance.randrange(6):
        case 0:
            photo.write_bytes(photo.read_bytes() + bytes([chance.randrange(256)]))
        case 1:
            shutil.copy(photo, photo.with_name(f"{chance.randrange(10**6)}.jpg"))
        case 2 if len(photos) > 100:
            photo.unlink()
        case 3:
            photo.rename(photo.with_name(f"{chance.randrange(10**6)}.jpg"))
        case 4:
            photo.touch()


def killed(library: Path, out: Path, chance: random.Random) -> None:
    """A scan of its own process, killed or asked to end at some time, unless it has ended before."""
    mode = chance.choice(["sequential", "parallel"])
    with subprocess.Popen(
        f"{sys.executable} -m pipeline scan {library} -o {out} --mode {mode} --shard-files 7".split(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.2, 2.5))
        with suppress(ProcessLookupError):
            if chance.random() < 0.5:
                process.kill()
            else:
                os.killpg(process.pid, chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
        process.wait(60)
    nothing_running(process.pid)


def test_nothing_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for handler in logging.getLogger().handlers:  # pytest's own, which keep all that distributed has to say
        monkeypatch.setattr(handler, "level", logging.CRITICAL)
    chance = random.Random(1)
    library, out = tmp_path / "in", tmp_path / "out"
    make_library(library, files=150, seed=9, image_bytes=4_000, video_bytes=9_000)
    us = psutil.Process()
    figures: list[tuple[float, int, int, int]] = []
    end = time.monotonic() + MINUTES * 60
    rounds = 0
    while time.monotonic() < end or rounds < 3 * WARM:
        for _ in range(chance.randrange(3)):
            change(library, chance)
        if chance.random() < 0.4:
            killed(library, out, chance)
        scan(library, out, Settings(mode=chance.choice(["sequential", "parallel"]), processes=2, shard_files=7))
        nothing_left(out)
        if rounds % 10 == 0:
            assert_nothing_lost(out, library)
            scan(library, tmp_path / "fresh", Settings(mode="sequential", fresh=True))
            same_tables(out, tmp_path / "fresh")
        work = sum(1 for path in (out / ".work").rglob("*") if path.is_file())
        figures.append((us.memory_info().rss / 1e6, us.num_fds(), us.num_threads(), work))
        rounds += 1
    warm, late = (
        figures[: rounds // 3],
        figures[-(rounds // 3) :],
    )  # Arrow and Dask start threads as they come to need them
    print(f"{rounds} rounds; MB, descriptors, threads, files at work: early {warm[-1]}, last {late[-1]}")
    assert min(each[0] for each in late) < max(each[0] for each in warm) + MARGIN, "memory grows"
    for column in (1, 2, 3):
        assert min(each[column] for each in late) <= max(each[column] for each in warm), figures[-1]
