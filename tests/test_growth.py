"""What a scan takes does not grow with the library, or only by so much a file."""

import cProfile
import pickle
import pstats
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from dask._expr import LLGExpr
from dask.tokenize import tokenize

from benchmarks.millions import scanned
from benchmarks.tiny import make_zips
from pipeline import Settings
from pipeline.api import write_plan
from pipeline.audit import audit
from pipeline.cluster import AHEAD, _numbered
from pipeline.graph import Reading
from pipeline.item import Entry
from pipeline.limits import NONE
from pipeline.path_map import PathMap
from pipeline.preparing import list_library, pair_library
from pipeline.progress import Silent
from pipeline.storage.archives import Stamp
from pipeline.storage.earlier import Earlier
from pipeline.storage.index import Index
from pipeline.storage.known import GROUP, walk_known, writing
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef
from pipeline.storage.parts import Part
from pipeline.storage.results import Results
from pipeline.storage.tars import TarMember

FOLDER = 1_000  # photos in each
NAME = "PXL_20230101_{:09}.jpg"
#: Bytes that a listed file may take until all is planned, as docs/how-fast.md has it. Its name is 26 or 51 long and kept once;
#: size, time, CRC-32, position and packed size are 40; the pairing has 13 for a photo; what grows has room to do so.
PER_FILE = 130


class MadeUp:
    """A zip of so many photos, each with a sidecar, that is nowhere."""

    parts = ()
    repeated = ()

    def __init__(self, photos: int) -> None:
        self.photos = photos

    def walk(self) -> Iterator[Entry]:
        for number in range(self.photos):
            folder = f"Takeout/Google Photos/Photos from {1900 + number // FOLDER}"
            for name in (NAME.format(number), f"{NAME.format(number)}.supplemental-metadata.json"):
                yield Entry(f"{folder}/{name}", "a.zip", 3_000 + number, number, number, 4_000 * number, number, 0)


def peak_of_planning(folder: Path, photos: int) -> int:
    """The most bytes that Python had at a time for listing, pairing and planning so many photos."""
    folder.mkdir()
    results = Results(folder)
    results.work.mkdir()
    library = cast(Library, MadeUp(photos))
    tracemalloc.start()
    try:
        with Index(results.work / "index.sqlite") as index:
            plan = pair_library(list_library(library, Silent()), library, 1)
            write_plan(plan, audit(plan, ()), Settings(), results, index, Earlier())
        assert plan.counts() == {"media": photos, "sidecar": photos}
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_listed_file_takes_few_bytes_until_all_is_planned(tmp_path: Path) -> None:
    peak_of_planning(tmp_path / "first", 1_000)  # what is imported and cached meanwhile stays
    some, more = (peak_of_planning(tmp_path / str(photos), photos) for photos in (10_000, 20_000))
    assert (more - some) / (2 * 10_000) < PER_FILE


def peak_of_listing(folder: Path, members: int) -> int:
    """The most bytes that Python had at a time for listing a tgz of so many members that has been read before."""
    part = Part("a.tgz", "/a.tgz", "tar", stamp=Stamp(1, members, 1))
    with writing(str(folder), part, NONE) as known:
        for number in range(members):
            known.add(TarMember(f"Takeout/{NAME.format(number)}.json", 2, number, "file"), crc32=number, document=b"{}")
    tracemalloc.start()
    try:
        assert sum(1 for _ in walk_known(str(folder), part)) == members
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_is_known_of_a_tgz_is_not_listed_all_at_once(tmp_path: Path) -> None:
    peak_of_listing(tmp_path, 10)
    assert peak_of_listing(tmp_path, 4 * GROUP) < 1.5 * peak_of_listing(tmp_path, GROUP)


def steps_of_a_shard(parts: int, elsewhere: PathMap | None) -> int:
    """Calls of Python that a shard of a library with so many parts takes until its graph can be sent to a scheduler."""
    library = Library(
        tuple(Part(f"{each}.zip", f"/in/{each}.zip", "zip", stamp=Stamp(each, 1, 1)) for each in range(parts))
    )
    graph = Reading(library, "/work/manifest", "/work/shards", "/work", 4, False, False, elsewhere=elsewhere)

    def build(number: int) -> None:
        tasks, _ = _numbered(graph([ShardRef(f"{number}", 0, 1, 0)]), "run", number)
        assert tokenize(LLGExpr(tasks))  # as the client does with what it sends
        assert len(pickle.dumps(tasks)) < 5_000 + 200 * parts

    build(0)
    profile = cProfile.Profile()
    with profile:
        build(1)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize("elsewhere", [None, PathMap.of(["/in=/there"])])
def test_what_a_shard_takes_in_the_driver_does_not_grow_with_the_parts(elsewhere: PathMap | None) -> None:
    few, many = steps_of_a_shard(2, elsewhere), steps_of_a_shard(2_000, elsewhere)
    assert many < 1.02 * few


@pytest.mark.soak
def test_two_million_files_are_indexed_in_less_than_1500_mb(tmp_path: Path) -> None:
    """6 GB of disk, and some 10 minutes of two cores."""
    make_zips(tmp_path / "in", 1_000_000)
    some = scanned(tmp_path / "in", tmp_path / "out", "parallel")
    assert some["media"] == 1_000_000
    assert some["listed"] > 1_950_000
    assert max(stage["peak_mb"] for stage in some["stages"].values()) < 1_500
    assert some["most_tasks"] <= 3 * AHEAD * 2  # of two workers
    again = scanned(tmp_path / "in", tmp_path / "out", "parallel", fresh=False)
    assert again["mode"] == "unchanged"
    assert max(stage["peak_mb"] for stage in again["stages"].values()) < 1_500
