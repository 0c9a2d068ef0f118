"""Whatever happened before, the results are those of a scan that knows nothing: histories made up by Hypothesis.

A history changes a small library in folders and archives, scans it with one setting or another, breaks scans off, and damages
what they have left. After every scan that ends, all tables are those of a fresh one.
"""

import io
import json
import os
import shutil
import tarfile
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random as Choice
from tempfile import TemporaryDirectory
from time import gmtime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from pipeline import Settings
from pipeline.api import scan
from pipeline.progress import Silent
from tests.faults.checks import same_tables
from tests.media.blocks import jpeg, tiff

PARTS = ("one", "two", "three.zip", "four.tgz")
FOLDERS = ("Photos from 2019", "Photos from 2020", "Trip", "Trip/inner")
NAMES = (
    *("a.jpg", "a(1).jpg", "a-edited.jpg", "a.mp4", "b.jpg", "notes.txt"),
    *("a.jpg.json", "a.jpg(1).json", "a.json", "b.jpg.supplemental-metadata.json", "b.json", "metadata.json"),
)
START = 1_600_000_000


def _photo(text: str) -> bytes:
    return jpeg(tiff({0x010F: (2, text), 0x0132: (2, f"2019:01:0{len(text)} 10:00:00")}))


def _sidecar(title: str, taken: int, **more: object) -> bytes:
    return json.dumps({"title": title, "photoTakenTime": {"timestamp": str(taken)}, **more}).encode()


#: By what they are written under: no two contents share size and time, so that every change can be seen.
MEDIA = (_photo("one"), _photo("two2"), _photo("three"), b"no photo", b"")
DOCUMENTS = (
    _sidecar("a.jpg", START),
    _sidecar("a.jpg", START + 86_400 * 400, description="later", people=[{"name": "Ann"}]),
    _sidecar("b.jpg", START, geoData={"latitude": 48.1, "longitude": 11.5}),
    json.dumps({"title": "Trip", "description": "an album"}).encode(),
    json.dumps({"title": "Other", "access": "protected"}).encode(),
    b"{ broken",
)
CONTENTS = (*MEDIA, *DOCUMENTS)

Place = tuple[str, str]  # folder and name
Held = tuple[int, int]  # number of the content, and how often it was touched


class BrokenOff(BaseException):
    """Ends a scan, as a signal does."""


class Breaking(Silent):
    """A Watch that ends the scan when it has been told so many things."""

    def __init__(self, after: int) -> None:
        self.left = after

    def _told(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise BrokenOff

    def note(self, line: str) -> None:
        self._told()

    def step(self, line: str) -> None:
        self._told()

    def begin(self, files: int, size: int) -> None:
        self._told()

    def advance(self, files: int, size: int, problems: int) -> None:
        self._told()


def _time(held: Held) -> int:
    return START + 2 * (held[0] + 100 * held[1])


class History(RuleBasedStateMachine):
    """A library, what has been made of it, and what may happen to both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.out = self.root / "out"
        self.library: dict[str, dict[Place, Held]] = {part: {} for part in PARTS}
        self.written: dict[str, dict[Place, Held]] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    some_part = st.sampled_from(PARTS)
    some_place = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES))
    some_settings = st.builds(
        Settings,
        mode=st.just("sequential"),
        all_tags=st.booleans(),
        verify_archives=st.booleans(),
        shard_files=st.integers(1, 3),
    )

    @rule(part=some_part, places=st.lists(some_place, min_size=1, max_size=8, unique=True), data=st.data())
    def put(self, part: str, places: list[Place], data: st.DataObject) -> None:
        """Write files, over others or not."""
        for place in places:
            own = range(len(MEDIA), len(CONTENTS)) if place[1].endswith(".json") else range(len(MEDIA))
            self.library[part][place] = data.draw(st.sampled_from(own)), 0

    @rule(part=some_part, choose=st.randoms())
    def remove(self, part: str, choose: Choice) -> None:
        """Remove a file."""
        if files := sorted(self.library[part]):
            del self.library[part][choose.choice(files)]

    @rule(part=some_part, choose=st.randoms())
    def touch(self, part: str, choose: Choice) -> None:
        """Give a file another time."""
        if files := sorted(self.library[part]):
            place = choose.choice(files)
            number, touched = self.library[part][place]
            self.library[part][place] = number, touched + 1

    @rule(part=some_part, other=some_part, choose=st.randoms())
    def move(self, part: str, other: str, choose: Choice) -> None:
        """Move a file to another part, or copy it there."""
        if files := sorted(self.library[part]):
            place = choose.choice(files)
            self.library[other][place] = self.library[part][place]
            if other != part and choose.random() < 0.5:
                del self.library[part][place]

    @rule(part=some_part, old=st.sampled_from(FOLDERS), new=st.sampled_from(FOLDERS))
    def rename(self, part: str, old: str, new: str) -> None:
        """Give a folder another name, or merge it into another."""
        files = self.library[part]
        for folder, name in [place for place in files if place[0] == old]:
            files[new, name] = files.pop((folder, name))

    @rule(one=some_part, other=some_part)
    def swap(self, one: str, other: str) -> None:
        """Let two parts change places."""
        self.library[one], self.library[other] = self.library[other], self.library[one]

    @rule(chosen=some_settings, after=st.integers(0, 12))
    def break_off(self, chosen: Settings, after: int) -> None:
        """Scan, but not to the end."""
        if self._write():
            with suppress(BrokenOff):
                scan(self._inputs(), self.out, chosen, Breaking(after))

    @rule(chosen=some_settings)
    def scan(self, chosen: Settings) -> None:
        """Scan, and compare."""
        if not self._write():
            return
        fresh = self.root / "fresh"
        scan(self._inputs(), self.out, chosen)
        scan(self._inputs(), fresh, replace(chosen, fresh=True))
        same_tables(self.out, fresh)
        shutil.rmtree(fresh)

    @precondition(lambda self: self.out.exists())
    @rule(choose=st.randoms())
    def damage(self, choose: Choice) -> None:
        """Change a byte of something that scans have left."""
        files = sorted(path for path in self.out.rglob("*") if path.is_file() and path.stat().st_size)
        path = choose.choice(files)
        data = bytearray(path.read_bytes())
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(data)

    def _inputs(self) -> list[Path]:
        return [self.root / "in" / part for part in PARTS if self.library[part]]

    def _write(self) -> bool:
        """Bring the library on the disk up to date; False if it is empty."""
        for part in PARTS:
            if self.library[part] != self.written.get(part, {}):
                _write_part(self.root / "in" / part, self.library[part])
                self.written[part] = dict(self.library[part])
        return any(self.library.values())


def _write_part(path: Path, files: dict[Place, Held]) -> None:
    """Write a part: of a folder, what is not there yet."""
    contents = {f"Takeout/Google Photos/{folder}/{name}": held for (folder, name), held in sorted(files.items())}
    path.parent.mkdir(exist_ok=True)
    if path.suffix:
        path.unlink(missing_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, held in contents.items():
                archive.writestr(zipfile.ZipInfo(name, gmtime(_time(held))[:6]), CONTENTS[held[0]])
    elif path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as tar:
            for name, held in contents.items():
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(CONTENTS[held[0]]), _time(held)
                tar.addfile(member, io.BytesIO(CONTENTS[held[0]]))
    else:
        for old in [old for old in path.rglob("*") if old.is_file()]:
            if str(old.relative_to(path)) not in contents:
                old.unlink()
        for name, held in contents.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(CONTENTS[held[0]])
            os.utime(file, (_time(held), _time(held)))


def _histories(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck), database=None
        ),
    )


def test_whatever_happened_before_the_results_are_those_of_a_fresh_scan() -> None:
    _histories(examples=10, steps=12)


@pytest.mark.soak
def test_whatever_happened_before_the_results_are_those_of_a_fresh_scan_over_long_histories() -> None:
    _histories(examples=int(os.environ.get("HISTORIES", "300")), steps=40)
