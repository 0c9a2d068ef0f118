"""Live photos, albums, copies and places, as a scan of small libraries settles them."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline import Settings
from pipeline.api import explain, scan
from pipeline.elsewhere import MEANINGS
from tests.conftest import media_rows, write_tree
from tests.media.blocks import apple_note, jpeg, tiff
from tests.media.test_video import CREATED, keys, movie, mvhd

ROOT = "Takeout/Google Photos"
YEAR = f"{ROOT}/Photos from 2019"
TAKEN = 1564488000  # 2019-07-30T12:00:00Z
BERLIN = {"latitude": 52.5163, "longitude": 13.3777, "altitude": 34.0}


def sidecar(title: str, taken: int = TAKEN, **more: Any) -> dict[str, Any]:
    return {"title": title, "photoTakenTime": {"timestamp": str(taken)}, "url": "https://photos.google.com/x", **more}


def still(identifier: str | None = None, number: int = 0) -> bytes:
    exif = {0x927C: (7, apple_note(identifier))} if identifier else {}
    return jpeg(tiff({0x010F: (2, "Apple"), 0x0131: (2, str(number))}, exif))


def clip(identifier: str | None = None, milliseconds: int = 2500) -> bytes:
    named = keys({b"com.apple.quicktime.content.identifier": identifier.encode()}) if identifier else b""
    return movie(named, header=mvhd(length=milliseconds))


def album(title: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "access": "protected", "date": {"timestamp": "1570000000"}, **more}


def scanned(tmp_path: Path, *parts: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], Path, dict[str, Any]]:
    results = tmp_path / "results"
    inputs = [write_tree(tmp_path / f"library{number or ''}", files) for number, files in enumerate(parts)]
    report = scan(inputs, results, Settings(mode="sequential"))
    return {row["path"]: row for row in media_rows(results)}, results, report


def query(results: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return db.execute(sql).fetchall()


def test_live_photos_by_identifier_else_by_name_and_duration(tmp_path: Path) -> None:
    files = {
        "IMG_1.JPG": still("A"),
        "IMG_1.MP4": clip(),  # named like its video, which is another
        "clip.MOV": clip("A", 90_000),
        "IMG_2.JPG": still("B"),
        "IMG_2.MP4": clip("C"),
        "IMG_3.JPG": still(),
        "IMG_3.MP4": clip(None, 60_000),
        "IMG_4.JPG": still(),
        "IMG_4.MP4": clip(),
        "IMG_5.JPG": still("D"),
        "IMG_5-edited.JPG": still("D", 1),
        "IMG_5.MP4": clip("D"),
    }
    tree: dict[str, Any] = {f"{YEAR}/{name}": content for name, content in files.items()}
    tree |= {f"{YEAR}/{name}.json": sidecar(name) for name in files if name.startswith("IMG") and len(name) == 9}
    tree = {path: content for path, content in tree.items() if not path.endswith("MP4.json")}
    rows, results, _ = scanned(tmp_path, tree)
    partner = {name: rows[f"{YEAR}/{name}"]["live_partner"] for name in files}
    ids = {name: rows[f"{YEAR}/{name}"]["file_id"] for name in files}
    pairs = [("IMG_1.JPG", "clip.MOV"), ("IMG_4.JPG", "IMG_4.MP4"), ("IMG_5.JPG", "IMG_5.MP4")]
    expected = dict(pairs) | {video: picture for picture, video in pairs}
    assert partner == {name: ids[expected[name]] if name in expected else None for name in files}
    assert dict(query(results, "SELECT name, live_partner FROM media")) == partner


@pytest.mark.parametrize("mine", ["IMG_1.JPG", "IMG_1.HEIC"])
def test_of_two_stills_the_one_of_the_same_time_is_the_live_photos_and_the_edits(tmp_path: Path, mine: str) -> None:
    recorded = int(CREATED.timestamp())
    edit = jpeg(tiff({0x010F: (2, "Canon")}, {0x9003: (2, f"{CREATED + timedelta(hours=2):%Y:%m:%d %H:%M:%S}")}))
    files: dict[str, Any] = {
        f"{YEAR}/IMG_1.MP4": movie(),
        f"{YEAR}/IMG_1-edited.jpg": edit,
    }
    for number, name in enumerate(("IMG_1.JPG", "IMG_1.HEIC")):
        files[f"{YEAR}/{name}"] = still(None, number)
        files[f"{YEAR}/{name}.json"] = sidecar(name, recorded if name == mine else recorded - 10**7)
    rows, _, _ = scanned(tmp_path, files)
    for name, relation in (("IMG_1.MP4", "live_partner"), ("IMG_1-edited.jpg", "edited_of")):
        row = rows[f"{YEAR}/{name}"]
        assert row[relation] == rows[f"{YEAR}/{mine}"]["file_id"]
        assert row["sidecar_path"] == f"{YEAR}/{mine}.json"
        assert [(problem["kind"], "its time decided" in problem["message"]) for problem in row["problems"]][:1] == [
            ("ambiguous", True)
        ]


def test_a_photo_is_in_the_albums_of_its_copies_and_of_sidecars_without_a_file(tmp_path: Path) -> None:
    one, two, other = still("A"), still("B"), still("B", 7)
    files = {
        f"{YEAR}/IMG_1.JPG": one,
        f"{YEAR}/IMG_1.JPG.json": sidecar("IMG_1.JPG"),
        f"{YEAR}/IMG_2.JPG": two,
        f"{YEAR}/IMG_2.JPG.json": sidecar("IMG_2.JPG", TAKEN + 60),
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/Trip/IMG_1(1).JPG": one,  # the same bytes under another number
        f"{ROOT}/Trip/IMG_1.JPG(1).json": sidecar("IMG_1.JPG"),
        f"{ROOT}/Trip(1)/metadata.json": album("Trip"),
        f"{ROOT}/Trip(1)/IMG_1.JPG.json": sidecar("IMG_1.JPG"),  # the sidecar alone
        f"{ROOT}/Best/metadata.json": album("Best"),
        f"{ROOT}/Best/IMG_2.JPG": other,  # other bytes, the same title and time
        f"{ROOT}/Best/IMG_2.JPG.json": sidecar("IMG_2.JPG", TAKEN + 60),
        f"{ROOT}/Kitchen/IMG_2.JPG.json": sidecar("IMG_2.JPG", TAKEN + 60),  # an album without its file
    }
    rows, results, report = scanned(tmp_path, files)
    assert rows[f"{ROOT}/Trip/IMG_1(1).JPG"]["duplicate_of"] == rows[f"{YEAR}/IMG_1.JPG"]["file_id"]
    members = query(
        results,
        "SELECT m.path, a.folder, via FROM media_albums JOIN media m USING (file_id) JOIN albums a USING (album_id) "
        "ORDER BY 1, 2",
    )
    assert members == [
        (f"{ROOT}/Best/IMG_2.JPG", f"{ROOT}/Best", "folder"),
        (f"{YEAR}/IMG_1.JPG", f"{ROOT}/Trip", "copy"),
        (f"{YEAR}/IMG_1.JPG", f"{ROOT}/Trip(1)", "sidecar"),
        (f"{YEAR}/IMG_2.JPG", f"{ROOT}/Best", "sidecar"),
        (f"{YEAR}/IMG_2.JPG", f"{ROOT}/Kitchen", "sidecar"),
        (f"{ROOT}/Trip/IMG_1(1).JPG", f"{ROOT}/Trip", "folder"),
    ]
    assert rows[f"{YEAR}/IMG_1.JPG"]["albums"] == rows[f"{ROOT}/Trip/IMG_1(1).JPG"]["albums"] == ["Trip", "Trip"]
    assert rows[f"{YEAR}/IMG_2.JPG"]["albums"] == ["Best", "Kitchen"]
    assert query(results, "SELECT count(*) FROM albums WHERE title = 'Trip'") == [
        (2,)
    ]  # albums of one title stay apart
    assert report["audit"]["complete"] and report["audit"]["members_elsewhere"] == 2


@pytest.mark.parametrize(
    ("name", "title", "differs"),
    [
        ("IMG_1.jpg", "IMG_1.jpg", False),
        ("IMG_1.jpg", "IMG_1.HEIC", False),
        ("Tom _ Jerry.jpg", "Tom &amp; Jerry.jpg", False),
        ("Tom _amp; Jerry.jpg", "Tom &amp; Jerry.jpg", False),
        ("IMG_1.jpg", "IMG_2.jpg", True),
        ("IMG_1.jpg", "a\u001b[2J.jpg", True),
    ],
)
def test_a_title_that_contradicts_the_name_is_a_problem_and_no_less_a_pair(
    tmp_path: Path, name: str, title: str, differs: bool
) -> None:
    rows, _, _ = scanned(tmp_path, {f"{YEAR}/{name}": still(), f"{YEAR}/{name}.json": sidecar(title)})
    row = rows[f"{YEAR}/{name}"]
    assert row["sidecar_path"] == f"{YEAR}/{name}.json"
    assert [problem["kind"] for problem in row["problems"]] == (["title_differs"] if differs else [])


def test_a_copy_without_sidecar_has_that_of_the_equal_file_in_the_other_kind_of_folder(tmp_path: Path) -> None:
    one, other = still("A"), still("B")
    files = {
        f"{YEAR}/IMG_1(1).JPG": one,
        f"{YEAR}/IMG_1.JPG(1).json": sidecar("IMG_1.JPG"),
        f"{YEAR}/IMG_2.JPG": other,
        f"{ROOT}/Photos from 2020/IMG_1.JPG": one,  # a year borrows nothing from a year
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/Trip/IMG_1.JPG": one,
        f"{ROOT}/Trip/IMG_2.JPG": other,
        f"{ROOT}/Trip/IMG_2.JPG.json": sidecar("IMG_2.JPG"),
        f"{ROOT}/Best/metadata.json": album("Best"),
        f"{ROOT}/Best/IMG_1.JPG": still("C"),  # the same name and size alone prove nothing
    }
    rows, results, report = scanned(tmp_path, files)
    found = {path: (row["sidecar_path"], row["sidecar_rule"]) for path, row in rows.items()}
    assert found == {
        f"{YEAR}/IMG_1(1).JPG": (f"{YEAR}/IMG_1.JPG(1).json", "legacy_counter"),
        f"{YEAR}/IMG_2.JPG": (f"{ROOT}/Trip/IMG_2.JPG.json", "copy"),
        f"{ROOT}/Photos from 2020/IMG_1.JPG": (None, None),
        f"{ROOT}/Trip/IMG_1.JPG": (f"{YEAR}/IMG_1.JPG(1).json", "copy"),
        f"{ROOT}/Trip/IMG_2.JPG": (f"{ROOT}/Trip/IMG_2.JPG.json", "legacy"),
        f"{ROOT}/Best/IMG_1.JPG": (None, None),
    }
    assert rows[f"{ROOT}/Trip/IMG_1.JPG"]["title"] == "IMG_1.JPG"
    assert report["audit"]["media_without_sidecar"] == 2
    for inside in (results, tmp_path / "library"):
        told = explain("Trip/IMG_1.JPG", inside)["sidecar"]
        assert (told["candidates"][0]["sidecar"], told["meaning"]) == (f"{YEAR}/IMG_1.JPG(1).json", MEANINGS["copy"])


def test_a_sidecar_alone_in_another_folder_is_that_of_a_file_of_its_name_and_time(tmp_path: Path) -> None:
    shot = jpeg(tiff({0x010F: (2, "Canon")}, {0x9003: (2, "2019:07:30 14:00:00")}))
    files = {
        f"{YEAR}/IMG_1.JPG": shot,
        f"{YEAR}/IMG_2.JPG": shot,
        f"{YEAR}/IMG_3.JPG": still("A"),  # does not say when
        f"{YEAR}/IMG_4.JPG": shot,
        f"{ROOT}/Photos from 2018/IMG_4.JPG.json": sidecar("IMG_4.JPG"),  # a year borrows nothing from a year
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/Trip/IMG_1.JPG.supplemental-metadata.json": sidecar("IMG_1.JPG"),
        f"{ROOT}/Trip/IMG_2.JPG.json": sidecar("IMG_2.JPG", TAKEN - 10**7),
        f"{ROOT}/Trip/IMG_3.JPG.json": sidecar("IMG_3.JPG"),
    }
    rows, results, report = scanned(tmp_path, files)
    found = {row["name"]: (row["sidecar_path"], row["sidecar_rule"]) for row in rows.values()}
    assert found == {
        "IMG_1.JPG": (f"{ROOT}/Trip/IMG_1.JPG.supplemental-metadata.json", "other_folder"),
        **dict.fromkeys(("IMG_2.JPG", "IMG_3.JPG", "IMG_4.JPG"), (None, None)),
    }
    assert rows[f"{YEAR}/IMG_1.JPG"]["albums"] == ["Trip"]
    assert [problem["kind"] for problem in rows[f"{YEAR}/IMG_1.JPG"]["problems"]] == ["low_confidence"]
    assert report["counts"]["files"]["sidecar"] == 1
    states = dict(query(results, "SELECT path, state FROM files WHERE path LIKE '%.json'"))
    assert states[f"{ROOT}/Trip/IMG_1.JPG.supplemental-metadata.json"] == "sidecar"


@pytest.mark.parametrize(
    ("there", "alone", "elsewhere"),
    [
        ({"a.jpg": 1, "a.jpg.json": sidecar("a.jpg")}, sidecar("a.jpg"), 1),
        ({"a.jpg": 1, "a.jpg.json": sidecar("a.jpg", TAKEN + 99)}, sidecar("a.jpg"), 0),  # another photo of this name
        ({"a(1).jpg": 1, "a.jpg(1).json": sidecar("a.jpg")}, sidecar("a.jpg"), 1),
        ({"Trip.jpg": 1, "Trip.json": sidecar("Trip")}, sidecar("Trip"), 1),
        ({"T _ J.jpg": 1, "T _ J.jpg.json": sidecar("T &amp; J.jpg")}, sidecar("T &amp; J.jpg"), 1),
        ({"a.jpg": 1, "a.jpg.json": sidecar("a.jpg", 0)}, sidecar("a.jpg", 0), 0),  # no time is no proof
        ({"IMG_1.jpg": 1, "IMG_1.JPG.json": sidecar("IMG_1.JPG")}, sidecar("IMG_1.JPG"), 1),
        ({"Zo\u00eb.jpg": 1, "Zo\u00eb.jpg.json": sidecar("Zoe\u0308.jpg")}, sidecar("Zo\u00eb.jpg"), 1),
    ],
)
@pytest.mark.parametrize("where", [YEAR, f"{ROOT}/Best"])
def test_a_sidecar_alone_in_an_album_makes_the_photo_of_its_title_and_time_a_member(
    tmp_path: Path, where: str, there: dict[str, Any], alone: dict[str, Any], elsewhere: int
) -> None:
    files: dict[str, Any] = {f"{where}/{name}": still() if said == 1 else said for name, said in there.items()}
    files |= {f"{ROOT}/Best/metadata.json": album("Best")} if where != YEAR else {}
    files |= {f"{ROOT}/Sea/metadata.json": album("Sea"), f"{ROOT}/Sea/x.json": alone}
    rows, _, report = scanned(tmp_path, files)
    (row,) = rows.values()
    assert ("Sea" in row["albums"]) is bool(elsewhere)
    assert (report["audit"]["members_elsewhere"], report["audit"]["sidecars_without_media"]) == (
        elsewhere,
        1 - elsewhere,
    )
    assert report["audit"]["complete"] is bool(elsewhere)
    ((reason,),) = query(tmp_path / "results", "SELECT reason FROM unmatched_sidecars")
    assert (reason == f"its photo or video is {row['path']}") is bool(elsewhere)


def test_parts_that_spell_folders_and_names_differently_are_merged(tmp_path: Path) -> None:
    rows, results, report = scanned(
        tmp_path,
        {
            f"{ROOT}/Ka\u0308se/a.jpg": still(),
            f"{ROOT}/Ka\u0308se/Cafe\u0301.jpg": still("A"),
            "Takeout/Google\u00a0Photos/Photos de 2018/b.jpg": still("B"),
        },
        {
            f"{ROOT}/K\u00e4se/metadata.json": album("K\u00e4se"),
            f"{ROOT}/K\u00e4se/a.jpg.json": sidecar("a.jpg"),
            f"{ROOT}/K\u00e4se/Caf\u00e9.jpg": still("A"),
            f"{ROOT}/K\u00e4se/Caf\u00e9.jpg.json": sidecar("Caf\u00e9.jpg"),
            f"{ROOT}/Photos de 2018/b.jpg.json": sidecar("b.jpg"),
        },
    )
    assert len(rows) == 3 and all(row["sidecar_path"] for row in rows.values())
    assert report["counts"]["files"] == {"album_metadata": 1, "ignored": 1, "media": 3, "sidecar": 3}
    assert rows[f"{ROOT}/Ka\u0308se/a.jpg"]["albums"] == ["K\u00e4se"]
    assert len(query(results, "SELECT * FROM media_albums")) == 2
    assert explain("K\u00e4se/a.jpg", results)["path"] == f"{ROOT}/Ka\u0308se/a.jpg"


def test_two_spellings_in_one_part_are_two_files(tmp_path: Path) -> None:
    files = {
        f"{YEAR}/{name}{ending}": content
        for number, name in enumerate(("Caf\u00e9.jpg", "Cafe\u0301.jpg"))
        for ending, content in (("", still(None, number)), (".json", sidecar(name, TAKEN + number)))
    }
    rows, _, _ = scanned(tmp_path, files)
    assert {row["sidecar_path"] for row in rows.values()} == {f"{path}.json" for path in rows}


def test_of_two_files_of_one_path_each_has_the_sidecar_of_its_part(tmp_path: Path) -> None:
    one, other = sidecar("a.jpg"), sidecar("a.jpg", TAKEN - 10**6)
    scanned(
        tmp_path,
        {f"{YEAR}/a.jpg": still("A"), f"{YEAR}/a.jpg.json": one},
        {f"{YEAR}/a.jpg": still("B"), f"{YEAR}/a.jpg.json": other},
    )
    times = query(tmp_path / "results", "SELECT part, sidecar_taken_at FROM media ORDER BY part")
    assert times == [("library", "2019-07-30T12:00:00+00:00"), ("library1", "2019-07-18T22:13:20+00:00")]
    assert query(tmp_path / "results", "SELECT DISTINCT state FROM files WHERE path LIKE '%.json'") == [("sidecar",)]


def test_what_is_odd_about_albums_files_is_said(tmp_path: Path) -> None:
    files = {
        f"{ROOT}/Untitled/metadata.json": album(""),
        f"{ROOT}/Untitled/metadata(1).json": album("Second"),
        f"{ROOT}/Untitled/a.jpg": still(),
        f"{ROOT}/Trip/metadata.json": album("Trip", enrichments={"a": 1}),
        f"{ROOT}/Trip/b.jpg": still("B"),
        "Takeout/metadata.json": {},
    }
    _, results, _ = scanned(tmp_path, files)
    told = dict(query(results, "SELECT path, message FROM problems WHERE stage = 'album'"))
    assert told.keys() == {f"{ROOT}/Untitled/metadata(1).json", f"{ROOT}/Trip/metadata.json"}
    assert "enrichments" in told[f"{ROOT}/Trip/metadata.json"]
    assert query(results, "SELECT title FROM albums ORDER BY 1") == [("",), ("Trip",)]


def test_a_date_is_the_title_of_an_album_where_there_are_folders_by_year(tmp_path: Path) -> None:
    one = still()
    files = {
        f"{YEAR}/a.jpg": one,
        f"{YEAR}/a.jpg.json": sidecar("a.jpg"),
        f"{ROOT}/2019-12-24/metadata.json": album("2019-12-24"),
        f"{ROOT}/2019-12-24/a.jpg": one,
        f"{ROOT}/2019-12-24/a.jpg.json": sidecar("a.jpg"),
    }
    rows, _, _ = scanned(tmp_path, files)
    assert rows[f"{YEAR}/a.jpg"]["albums"] == ["2019-12-24"]
    assert rows[f"{YEAR}/a.jpg"]["duplicate_of"] is None


def test_a_year_in_the_name_of_a_folder_counts_if_its_items_were_taken_then(tmp_path: Path) -> None:
    files: dict[str, Any] = {}
    for folder in ("Myndir fr\u00e1 2019", "Best of 2000"):
        files |= {f"{ROOT}/{folder}/a.jpg": still(folder), f"{ROOT}/{folder}/a.jpg.json": sidecar("a.jpg")}
        files |= {f"{ROOT}/{folder}/b.jpg": still(folder, 1)}
    rows, _, _ = scanned(tmp_path, files)
    assert {row["folder"].rpartition("/")[2]: row["taken_year"] for row in rows.values() if row["name"] == "b.jpg"} == {
        "Myndir fr\u00e1 2019": 2019,
        "Best of 2000": 0,
    }
    assert all(row["problems"] == [] for row in rows.values())


def test_names_that_are_no_text_do_not_stop_a_run(tmp_path: Path) -> None:
    folders = (f"{ROOT}/caf\udce9", f"{ROOT}/caf\\xe9")  # shown alike
    files = {
        f"{folder}/{name}": content
        for number, folder in enumerate(folders)
        for name, content in (
            ("a.jpg", still(None, number)),
            ("a.jpg.json", sidecar("a.jpg")),
            ("metadata.json", album("Caf\u00e9")),
        )
    }
    rows, results, _ = scanned(tmp_path, files)
    assert query(results, "SELECT folder FROM folders") == [(f"{ROOT}/caf\\xe9",)] * 2
    assert len(query(results, "SELECT * FROM media_albums")) == 2
    assert len(rows) == 1  # one key, as paths are shown


@pytest.mark.parametrize("order", [1, -1])
def test_spellings_in_several_parts_are_one_result_in_any_order_of_the_parts(tmp_path: Path, order: int) -> None:
    parts = [
        {f"{YEAR}/Zo\u00eb.jpg": still("A"), f"{YEAR}/Zoe\u0308.jpg": still("B")},
        {f"{YEAR}/Zoe\u0308.jpg": still("B")},
    ][::order]
    rows, _, report = scanned(tmp_path, *parts)
    assert len(rows) == 2 and report["counts"]["files"] == {"ignored": 1, "media": 2}


def test_what_is_derived_and_copies_share_a_borrowed_sidecar(tmp_path: Path) -> None:
    shot = jpeg(tiff({0x010F: (2, "Canon")}, {0x9003: (2, "2019:07:30 14:00:00")}))
    files = {
        f"{YEAR}/IMG_1.JPG.json": sidecar("IMG_1.JPG"),
        f"{ROOT}/Sea/metadata.json": album("Sea"),
        f"{ROOT}/Sea/IMG_1.JPG": shot,
        f"{ROOT}/Sea/IMG_1.MP4": clip(),
        f"{ROOT}/Sea/IMG_1-edited.JPG": still(None, 3),
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/Trip/IMG_1.JPG": shot,
    }
    rows, _, report = scanned(tmp_path, files)
    rules = {path.removeprefix(f"{ROOT}/"): row["sidecar_rule"] for path, row in rows.items() if row["sidecar_path"]}
    assert rules == {
        "Sea/IMG_1.JPG": "other_folder",
        "Sea/IMG_1.MP4": "live",
        "Sea/IMG_1-edited.JPG": "edited",
        "Trip/IMG_1.JPG": "copy",
    }
    assert report["audit"]["complete"]


def test_nothing_is_borrowed_from_the_bin_where_there_is_another(tmp_path: Path) -> None:
    one = still()
    files = {
        f"{ROOT}/Bin/a.jpg": one,
        f"{ROOT}/Bin/a.jpg.json": sidecar("a.jpg", trashed=True),
        f"{YEAR}/a.jpg": one,
        f"{YEAR}/a.jpg.json": sidecar("a.jpg"),
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/Trip/a.jpg": one,
    }
    rows, _, _ = scanned(tmp_path, files)
    assert rows[f"{ROOT}/Trip/a.jpg"]["sidecar_path"] == f"{YEAR}/a.jpg.json"


def test_an_album_of_which_only_its_file_is_here_makes_the_export_incomplete(tmp_path: Path) -> None:
    files = {
        f"{YEAR}/a.jpg": still(),
        f"{YEAR}/a.jpg.json": sidecar("a.jpg"),
        f"{ROOT}/Trip/metadata.json": album("Trip"),
        f"{ROOT}/metadata.json": album("of the container"),
    }
    _, results, report = scanned(tmp_path, files)
    assert query(results, "SELECT title FROM albums") == [("Trip",)]
    assert "1 album without any photo or video" in report["audit"]["verdict"]


def test_of_a_photo_in_two_parts_the_photo_is_explained(tmp_path: Path) -> None:
    files = {f"{YEAR}/a.jpg": still(), f"{YEAR}/a.jpg.json": sidecar("a.jpg")}
    _, results, _ = scanned(tmp_path, files, files)
    assert explain("a.jpg", results)["sidecar"]["path"] == f"{YEAR}/a.jpg.json"
    assert explain("a.jpg.json", results)["state"] == "sidecar"


def test_people_are_numbered_by_name(tmp_path: Path) -> None:
    files = {
        f"{YEAR}/{name}": content
        for number, person in enumerate(("Zoe", "Anna", "Bob"))
        for name, content in (
            (f"{number}.jpg", still(None, number)),
            (f"{number}.jpg.json", sidecar(f"{number}.jpg", people=[{"name": person}])),
        )
    }
    _, results, _ = scanned(tmp_path, files)
    assert query(results, "SELECT name FROM people ORDER BY person_id") == [("Anna",), ("Bob",), ("Zoe",)]


def test_people_of_one_name_are_one_person_however_it_is_spelt(tmp_path: Path) -> None:
    files = {
        f"{YEAR}/{name}": content
        for number, spelling in enumerate(("Zo\u00eb", "Zoe\u0308", " Zo\u00eb"))
        for name, content in (
            (f"{number}.jpg", still(None, number)),
            (f"{number}.jpg.json", sidecar(f"{number}.jpg", people=[{"name": spelling}])),
        )
    }
    _, results, _ = scanned(tmp_path, files)
    assert query(results, "SELECT name, count(*) FROM people JOIN media_people USING (person_id) GROUP BY 1") == [
        ("Zo\u00eb", 3)
    ]


def test_country_and_town_of_every_position(tmp_path: Path) -> None:
    files = {
        f"{YEAR}/a.jpg": still(),
        f"{YEAR}/a.jpg.json": sidecar("a.jpg", geoData=BERLIN),
        f"{YEAR}/b.jpg": still(None, 1),
        f"{YEAR}/b.jpg.json": sidecar("b.jpg", geoData={"latitude": 0.0, "longitude": 0.0}, geoDataExif=BERLIN),
        f"{YEAR}/c.jpg": still(None, 2),
        f"{YEAR}/c.jpg.json": sidecar("c.jpg", geoData={"latitude": 95.0, "longitude": 13.0}),
    }
    rows, results, _ = scanned(tmp_path, files)
    found = {row["name"]: (row["location_rule"], row["country_code"], row["place"]) for row in rows.values()}
    assert found == {
        "a.jpg": ("sidecar", "DE", "Berlin"),
        "b.jpg": ("sidecar_exif", "DE", "Berlin"),
        "c.jpg": (None, None, None),
    }
    assert query(results, "SELECT name, location_rule, country_code, place FROM media ORDER BY 1") == [
        (name, *values) for name, values in sorted(found.items())
    ]


def test_comments_and_what_an_album_tells_are_kept(tmp_path: Path) -> None:
    comment = {"text": "Oh!", "contentOwnerName": "Tom", "creationTime": {"timestamp": "1570000000"}, "liked": True}
    files = {
        f"{ROOT}/Trip/metadata.json": album(
            "Trip",
            location="Portugal",
            enrichments=[{"narrativeEnrichment": {"text": "First"}}],
            sharedAlbumComments=[comment],
        ),
        f"{ROOT}/Trip/a.jpg": still(),
        f"{ROOT}/Trip/a.jpg.json": sidecar("a.jpg", sharedAlbumComments=[comment]),
    }
    rows, results, _ = scanned(tmp_path, files)
    (row,) = rows.values()
    assert [(each["text"], each["author"], each["liked"]) for each in row["comments"]] == [("Oh!", "Tom", True)]
    assert query(results, "SELECT location, narrative FROM albums") == [("Portugal", "First")]
    when = "2019-10-02T07:06:40+00:00"
    assert query(
        results, "SELECT file_id, album_id, author, text, created_at, liked FROM comments ORDER BY album_id"
    ) == [
        (row["file_id"], None, "Tom", "Oh!", when, 1),
        (None, 1, "Tom", "Oh!", when, 1),
    ]


@pytest.mark.parametrize(
    ("files", "kind", "year"),
    [
        ({"Fotos von 2019/a.jpg": b"x"}, "year", 2019),
        ({"Fotos von 2019/a.jpg": b"x", "Fotos von 2019/lysigogn.json": {"title": "Fotos von 2019"}}, "album", None),
        ({"2019-07-30/a.jpg": b"x", "2019-07-30/Metadaten.json": {"albumData": {"title": "2019-07-30"}}}, "day", 2019),
        ({"Papierkorb/a.jpg": b"x"}, "special", None),
        ({"Untitled(1)/a.jpg": b"x", "Untitled(1)/metadata.json": {}}, "untitled", None),
    ],
)
def test_folders_by_what_they_hold(tmp_path: Path, files: dict[str, Any], kind: str, year: int | None) -> None:
    rows, results, _ = scanned(tmp_path, {f"{ROOT}/{path}": content for path, content in files.items()})
    (row,) = rows.values()
    assert row["folder_kind"] == kind
    assert query(results, "SELECT kind, year FROM folders") == [(kind, year)]
    assert (row["taken_year"], row["taken_at_rule"]) == ((2019, f"{kind}_folder") if year else (0, None))
