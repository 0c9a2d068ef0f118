"""Is the export complete? Small plans, and what the audit says of them."""

from typing import Any

import orjson
import pytest

from pipeline.audit import Audit, audit
from pipeline.documents import read_document
from pipeline.item import Entry
from pipeline.listing import Listing
from pipeline.planning import make_plan

YEAR = "Takeout/Google Photos/Photos from 2019"
ITEM = {"photoTakenTime": {"timestamp": "1564488000"}, "url": "u"}  # of 2019


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
    return audit(make_plan(listing), missing)


@pytest.mark.parametrize(
    ("files", "missing", "complete", "words"),
    [
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM}, (), True, "Complete: all photos and videos (1) have"),
        ({}, (), False, "no photos or videos"),
        ({f"{YEAR}/a.jpg": 1}, (), False, "There are no sidecars"),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM}, ("takeout-x-002",), False, "1 part missing (takeout-x-002)"),
        (
            {f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM, f"{YEAR}/b.jpg.json": ITEM},
            (),
            False,
            "1 sidecar without a photo",
        ),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": b"{"}, (), True, "Complete: all photos and videos (1) have"),
        ({f"{YEAR}/a.jpg": 1, f"{YEAR}/a.jpg.json": ITEM, f"{YEAR}/c.json": b"{"}, (), False, "1 file not readable"),
        (
            {f"{YEAR}/{n}.jpg": 1 for n in range(200)} | {f"{YEAR}/{n}.jpg.json": ITEM for n in range(199)},
            (),
            True,
            "Complete but for 1 file without a sidecar.",
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
