"""What a scan takes does not grow with the library, or only by so much a file."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from pipeline import Settings
from pipeline.api import write_plan
from pipeline.audit import audit
from pipeline.item import Entry
from pipeline.preparing import list_library, pair_library
from pipeline.progress import Silent
from pipeline.storage.earlier import Earlier
from pipeline.storage.index import Index
from pipeline.storage.library import Library
from pipeline.storage.results import Results

FOLDER = 1_000  # photos in each
NAME = "PXL_20230101_{:09}.jpg"
#: Bytes that a listed file may take until all is planned. Its name is 26 or 51 long and kept once; size, time, CRC-32, position
#: and packed size are 40; the pairing has 13 for a photo and for a sidecar none. Lists that grow have up to an eighth of room.
PER_FILE = 110


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
