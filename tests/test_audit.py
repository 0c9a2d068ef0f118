"""Is the export complete? Small plans, and what the audit says of them."""

from typing import Any

import orjson
import pytest

from pipeline.audit import Audit, audit
from pipeline.item import Entry
from pipeline.planning import Listing, read_document

YEAR, TRIP = "Takeout/Google Photos/Photos from 2019", "Takeout/Google Photos/Trip"
ITEM = {"photoTakenTime": {"timestamp": "1564488000"}, "url": "u"}  # of 2019
ALBUM: dict[str, Any] = {"title": "Trip", "access": "", "date": {}}


def audited(files: dict[str, Any], missing: tuple[str, ...] = ()) -> Audit:
    """The audit of files by path; JSON files by what they say, of which the bare name gives the title."""
    listing = Listing()
    said = {}
    for path, value in files.items():
        entry = Entry(path, "part", 10)
        listing.add(entry)
        if path.endswith(".json"):
            title = path.rpartition("/")[2].removesuffix(".json")
            said[entry] = value if isinstance(value, bytes) else orjson.dumps({"title": title, **value})
    listing.pair()
    while wanted := listing.to_read():
        listing.learn({entry: read_document(said[entry], entry) for entry in wanted})
    return audit(listing.plan(), missing)


@pytest.mark.parametrize(
    ("files", "missing", "complete", "words"),
    [
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM}, (), True, "Complete: each of 1 "),
        ({}, (), True, "no photos or videos"),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM}, ("takeout-x-002",), False, "1 part missing (takeout-x-002)"),
        (
            {f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM, f"{YEAR}/b.jpg.json": ITEM},
            (),
            False,
            "1 sidecar without a photo",
        ),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": b"{"}, (), True, "Complete: each of 1 "),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM, f"{YEAR}/c.json": b"{"}, (), False, "1 file not readable"),
        (
            {f"{YEAR}/{n}.jpg": 1 for n in range(200)} | {f"{YEAR}/{n}.jpg.json": ITEM for n in range(199)},
            (),
            True,
            "Complete but for 1 file without a sidecar, as is usual.",
        ),
        (
            {f"{YEAR}/{n}.jpg": 1 for n in range(200)} | {f"{YEAR}/{n}.jpg.json": ITEM for n in range(100)},
            (),
            False,
            "100 files without a sidecar",
        ),
    ],
)
def test_the_verdict(files: dict[str, Any], missing: tuple[str, ...], complete: bool, words: str) -> None:
    found = audited(files, missing)
    assert found.is_complete is complete
    assert words in found.verdict()
    assert found.report()["complete"] is complete


@pytest.mark.parametrize(
    ("year", "elsewhere"),
    [("Photos from 2019", 1), ("Photos from 2020", 1), ("Photos from 2005", 0), ("Whatever", 1)],
)
def test_a_member_of_an_album_may_lie_in_the_folder_of_its_year(year: str, elsewhere: int) -> None:
    found = audited(
        {
            f"Takeout/G/{year}/a(1).jpg": 1,
            f"Takeout/G/{year}/a.jpg(1).json": ITEM | {"title": "a.jpg"},
            f"{TRIP}/metadata.json": ALBUM,
            f"{TRIP}/a.jpg.json": ITEM,
        }
    )
    (trip,) = [each for each in found.folders if each.folder == TRIP]
    assert (trip.kind, trip.title, trip.members_elsewhere, trip.sidecars_without_media) == (
        "album",
        "Trip",
        elsewhere,
        1 - elsewhere,
    )
    assert found.is_complete is bool(elsewhere)
