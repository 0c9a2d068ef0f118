"""`explain`: why a file got its sidecar, date and place, from results and from the library itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import Settings
from pipeline.api import explain, scan
from pipeline.explain import best_match
from pipeline.problems import UsageError
from tests.conftest import Run, media_rows, write_tree
from tests.media.blocks import jpeg, tiff

YEAR = "Takeout/Google Photos/Photos from 2019"
BERLIN = {"latitude": 52.5163, "longitude": 13.3777}


def item(title: str, taken: int = 1564488000, **more: Any) -> dict[str, Any]:
    return {"title": title, "photoTakenTime": {"timestamp": str(taken)}, "url": "u", **more}


def picture(local: str, number: int = 0) -> bytes:
    return jpeg(tiff({0x010F: (2, "Canon"), 0x0131: (2, str(number))}, {0x9003: (2, local)}))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A library, and the results of scanning it."""
    root = tmp_path_factory.mktemp("explain")
    library = write_tree(
        root / "library",
        {
            f"{YEAR}/IMG_1.jpg": picture("2005:01:01 00:00:00"),
            f"{YEAR}/IMG_1.jpg.supplemental-metadata.json": item("IMG_1.jpg", geoData=BERLIN, geoDataExif=BERLIN),
            f"{YEAR}/IMG_1(1).jpg": picture("2019:07:30 14:00:00", 1),
            f"{YEAR}/IMG_1.jpg.supplemental-metadata(1).json": item("IMG_1.jpg"),
            f"{YEAR}/IMG_1-edited(1).jpg": picture("2019:07:30 14:00:00", 2),
            f"{YEAR}/IMG_2(7).jpg": picture("2019:07:30 14:00:00", 3),
            f"{YEAR}/IMG_2.jpg.json": item("IMG_2.jpg"),
            f"{YEAR}/IMG_1(4).jpg": picture("2019:07:30 14:00:00", 4),
            f"{YEAR}/notes.txt": b"x",
        },
    )
    scan(library, root / "results", Settings(mode="sequential"))
    return {"library": library, "results": root / "results"}


@pytest.mark.parametrize("inside", ["library", "results"])
def test_the_chosen_ones_are_those_of_the_row(places: dict[str, Path], inside: str) -> None:
    for row in media_rows(places["results"]):
        found = explain(row["path"], places[inside])
        sidecar, date, place = found["sidecar"], found["date"], found["place"]
        chosen = [each["sidecar"] for each in sidecar["candidates"] if each["chosen"]]
        assert chosen == ([row["sidecar_path"].rpartition("/")[2]] if row["sidecar_path"] else [])
        assert (sidecar["rule"], date["rule"], place["rule"]) == (
            row["sidecar_rule"],
            row["taken_at_rule"],
            row["location_rule"],
        )
        assert [each["rule"] for each in date["candidates"] if each["chosen"]] == [row["taken_at_rule"]]
        for each in (*sidecar["candidates"], *date["candidates"], *place["candidates"]):
            assert each["chosen"] or each["why_not"]
        assert found["problems"] == row["problems"]


@pytest.mark.parametrize("inside", ["library", "results"])
def test_what_was_not_taken_says_why(places: dict[str, Path], inside: str) -> None:
    first = explain("IMG_1.jpg", places[inside])
    assert [each["rule"] for each in first["date"]["candidates"]][:2] == ["sidecar", "exif_zone"]
    assert [each["rule"] for each in first["place"]["candidates"]] == ["sidecar", "sidecar_exif"]
    assert "conflict" in {problem["kind"] for problem in first["problems"]}
    lost = explain("IMG_2(7).jpg", places[inside])
    assert lost["sidecar"]["path"] is None
    assert [each["sidecar"] for each in lost["sidecar"]["candidates"]] == ["IMG_2.jpg.json"]
    other = explain("IMG_1(4).jpg", places[inside])["sidecar"]["candidates"]
    assert other[0]["why_not"].startswith("it belongs to IMG_1") and "that of the file (4)" in other[0]["why_not"]


@pytest.mark.parametrize("inside", ["library", "results"])
def test_other_files_say_their_state_and_whose_sidecar_they_are(places: dict[str, Path], inside: str) -> None:
    used = explain("IMG_1.jpg.supplemental-metadata(1).json", places[inside])
    assert used["state"] == "sidecar"
    assert set(used["used_by"]) == {f"{YEAR}/IMG_1(1).jpg", f"{YEAR}/IMG_1-edited(1).jpg"}
    assert explain("IMG_2.jpg.json", places[inside])["state"] == "unmatched_sidecar"
    assert explain("notes.txt", places[inside])["state"] == "ignored"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Takeout/a/x.jpg", "Takeout/a/x.jpg"),
        ("a/x.jpg", "Takeout/a/x.jpg"),
        ("/home/me/Takeout/b/x.jpg", "Takeout/b/x.jpg"),
        ("y.jpg", "Takeout/b/y.jpg"),
        ("x.jpg", "2 files are named x.jpg"),
        ("z.jpg", "there is no file z.jpg"),
        (".jpg", "there is no file .jpg"),
    ],
)
def test_which_file_is_meant(wanted: str, found: str) -> None:
    paths = ["Takeout/a/x.jpg", "Takeout/b/x.jpg", "Takeout/b/y.jpg"]
    if found in paths:
        assert best_match(paths, wanted) == found
    else:
        with pytest.raises(UsageError, match=found):
            best_match(paths, wanted)


def test_the_command(places: dict[str, Path], run: Run) -> None:
    done = run("explain", "IMG_1-edited(1).jpg", "--in", places["results"])
    assert done.returncode == 0, done.stderr
    assert "IMG_1.jpg.supplemental-metadata(1).json, by the rule edited" in done.stdout
    assert "> sidecar: 2019-07-30 12:00:00" in done.stdout
    assert "date: 2019-07-30 14:00:00 by the clock, 2019-07-30 12:00:00 UTC, UTC+2:00" in done.stdout
    as_json = json.loads(run("explain", "IMG_1.jpg", "--in", places["library"], "--json").stdout)
    assert as_json["date"]["taken_at"] == "2019-07-30T12:00:00+00:00"
    absent = run("explain", "nothing.jpg", "--in", places["results"])
    advice = "give its path in the export, or the end of that"
    assert (absent.returncode, absent.stderr) == (2, f"takeout-index: there is no file nothing.jpg: {advice}\n")
    assert run("explain", "x.jpg", "--in", "nowhere").returncode == 2
