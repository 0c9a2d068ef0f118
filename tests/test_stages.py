"""The stages inside a task: threads run ahead only where reading waits, and every file is closed."""

import os
import random
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipeline import stages
from pipeline.item import Entry, MediaItem
from pipeline.modes import threads_per_task
from pipeline.settings import Settings
from pipeline.stages import extract, read_sidecars
from pipeline.storage.files import KEPT, LARGE, OpenFile
from pipeline.storage.library import InputFile, Library
from tests.conftest import write_tree


def items_of(library: Library) -> list[MediaItem]:
    entries = {entry.path: entry for entry in library.walk() if isinstance(entry, Entry)}
    return [
        MediaItem(media=entry, file_id=path, sidecar=entries.get(f"{path}.json"))
        for path, entry in entries.items()
        if not path.endswith(".json")
    ]


@pytest.fixture
def library(tmp_path: Path) -> Library:
    files: dict[str, bytes | dict[str, Any]] = {}
    for number in range(60):
        files[f"Takeout/P/{number:03d}.jpg"] = b"\xff\xd8" + bytes([number]) * 100
        files[f"Takeout/P/{number:03d}.jpg.json"] = {"title": f"{number}"}
    return Library.of([write_tree(tmp_path, files)])


class SlowLibrary:
    """A library on a medium that takes its time to open a file, and counts how many waits overlap."""

    waits = False  # nobody says so

    def __init__(self, library: Library, delay: float) -> None:
        self.library, self.delay = library, delay
        self.lock = threading.Lock()
        self.waiting = self.most = 0

    def facts_of(self, entry: Entry) -> None:
        return None

    def open(self, entry: Entry) -> InputFile:
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        time.sleep(self.delay)  # the medium itself; nothing is synchronised by it
        with self.lock:
            self.waiting -= 1
        return self.library.open(entry)


@pytest.mark.parametrize("delay", [0, 0.001])
@pytest.mark.parametrize("threads", [0, 1, 4])
def test_order_and_content_are_those_of_the_items_however_many_threads(
    library: Library, threads: int, delay: float
) -> None:
    items = items_of(library)
    for _ in range(2):  # the second time it is known how long opening takes
        found = [
            extract(opened)
            for opened in read_sidecars(iter(items), SlowLibrary(library, delay), threads)  # type: ignore[arg-type]
        ]
        assert [item.file_id for item in found] == [item.file_id for item in items]
        assert [item.document.title for item in found if item.document] == [str(n) for n in range(60)]
        assert all(item.content and item.content.size == 102 for item in found)


def test_threads_wait_side_by_side_on_a_slow_medium_and_not_at_all_on_a_fast_one(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowLibrary(library, 0.005)
    started = time.perf_counter()
    for _, file in read_sidecars(items_of(library), slow, 4):  # type: ignore[arg-type]
        assert file is not None
        file.close()
    assert slow.most == 4
    assert time.perf_counter() - started < 0.75 * 120 * 0.005
    monkeypatch.setattr("pipeline.stages.WAITED", 60.0)  # a busy machine may make a fast medium wait
    before = threading.active_count()
    for _, file in read_sidecars(items_of(library), library, 4):
        assert file is not None
        file.close()
        assert threading.active_count() == before


@pytest.mark.parametrize("size", [0, 1, stages.BLOCK - 1, stages.BLOCK, stages.BLOCK + 1, 3 * stages.BLOCK + 5])
def test_what_is_read_ahead_is_the_beginning_of_what_is_read(tmp_path: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    library = Library.of([write_tree(tmp_path, {"Takeout/a.jpg": data})])
    (item,) = items_of(library)
    for ahead in (False, True):
        file = library.open(item.media)
        assert isinstance(file, OpenFile)
        if ahead:
            file.read_first(stages.BLOCK)
            assert file.first == data[: stages.BLOCK]
        content = extract((item, file)).content
        assert content is not None
        assert (content.size, content.crc32) == (size, zlib.crc32(data))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8 and quite a lot more"])
def test_a_file_that_changes_after_it_was_read_ahead_says_so(tmp_path: Path, data: bytes) -> None:
    library = Library.of([write_tree(tmp_path, {"Takeout/a.jpg": b"\xff\xd8" * 8})])
    (item,) = items_of(library)
    file = library.open(item.media)
    assert isinstance(file, OpenFile)
    file.read_first(stages.BLOCK)
    (tmp_path / "Takeout/a.jpg").write_bytes(data)
    assert "changed" in {problem.kind for problem in extract((item, file)).problems}


@pytest.mark.parametrize("ahead", [False, True])
def test_a_large_file_leaves_the_page_cache_as_it_was(tmp_path: Path, ahead: bool) -> None:
    data = random.Random(1).randbytes(2 * LARGE + KEPT + 5)
    library = Library.of([write_tree(tmp_path, {"Takeout/a.mp4": data})])
    (item,) = items_of(library)
    path = tmp_path / "Takeout/a.mp4"
    for cold in (False, True):
        if cold:
            forget(path)
        file = library.open(item.media)
        assert isinstance(file, OpenFile)
        file.read_ahead(stages.BLOCK) if ahead else file.look()
        assert file.cold == cold
        content = extract((item, file)).content
        assert content is not None
        assert (content.size, content.crc32) == (len(data), zlib.crc32(data))
        cached = [is_cached(path, at) for at in range(0, len(data), len(data) // 50)]
        assert sum(cached) < 10 if cold else all(cached)  # what the disk is just fetching, the system does not drop


@pytest.mark.parametrize("short", [False, True])
def test_a_small_file_stays_in_memory_unless_that_is_short(
    tmp_path: Path, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.of([write_tree(tmp_path, {"Takeout/a.jpg": b"\xff\xd8" * 5000})])
    (item,) = items_of(library)
    path = tmp_path / "Takeout/a.jpg"
    monkeypatch.setattr("pipeline.storage.files.memory_is_short", lambda: short)
    forget(path)
    file = library.open(item.media)
    file.look()
    extract((item, file))
    assert is_cached(path, 0) == (not short)


def forget(path: Path) -> None:
    """Take a file out of the page cache, and look at another one whether that can be done: to look begins to read."""
    other = path.with_name("other")
    other.write_bytes(b"other")
    for each in (path, other):
        with each.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(other, 0):
        pytest.skip("this file system keeps its files in memory")


def is_cached(path: Path, offset: int) -> bool:
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) == 1
        except OSError:
            return False


def test_what_is_looked_at_again_is_whether_reading_still_waits(library: Library) -> None:
    waiting = stages._Waiting(library)
    spans = []
    for slow in (True, True, True, False, False, True):
        waiting.note(slow, slow)
        spans.append(waiting.span)
    first = stages.FIRST_AHEAD
    assert spans == [first, 2 * first, 4 * first, 0, 0, first]
    for _ in range(20):
        waiting.note(True, True)
    assert waiting.ahead == stages.MOST_AHEAD


def test_sequential_mode_has_threads_for_a_medium_that_waits() -> None:
    assert threads_per_task(Settings(threads=6, processes=3), "sequential") == 6
    assert threads_per_task(Settings(threads=6, processes=3), "parallel") == 2


def test_a_consumer_that_stops_early_leaves_no_file_open(library: Library) -> None:
    before = len(os.listdir("/proc/self/fd"))
    stage = read_sidecars(items_of(library), SlowLibrary(library, 0.002), 4)  # type: ignore[arg-type]
    for _ in range(10):
        _, file = next(stage)
        assert file is not None
        file.close()
    stage.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_changes_between_listing_and_reading_says_so(tmp_path: Path) -> None:
    library = Library.of([write_tree(tmp_path, {"Takeout/a.jpg": b"\xff\xd8one", "Takeout/b.jpg": b"\xff\xd8two"})])
    items = items_of(library)
    (tmp_path / "Takeout/a.jpg").write_bytes(b"\xff\xd8one and more")
    (tmp_path / "Takeout/b.jpg").unlink()
    changed, gone = (extract(opened) for opened in read_sidecars(items, library, 0))
    assert "changed" in {problem.kind for problem in changed.problems}
    assert changed.content is not None
    assert changed.content.size == 14
    assert [problem.kind for problem in gone.problems] == ["vanished"]
    assert gone.content is None
