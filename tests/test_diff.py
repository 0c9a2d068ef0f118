"""`diff`: what changed between two results or exports, told by path and content, and nothing that is the same."""

import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import diff
from pipeline.api import scan
from pipeline.listing import ListedFile
from pipeline.planning import file_id
from pipeline.problems import UsageError
from pipeline.record import COLUMNS, COMPARABLE, COMPARED, RECORD
from pipeline.settings import Settings
from pipeline.storage.differences import OUTCOMES, compared, count_changes
from pipeline.storage.index import Index
from pipeline.synthetic import make_library
from tests.conftest import Run, media_rows, write_tree
from tests.test_archives import pack
from tests.test_verify import photo, tree

SEQUENTIAL = Settings(mode="sequential")
PHOTOS = "Takeout/Google Photos"
YEAR = f"{PHOTOS}/Photos from 2020"

Report = dict[str, Any]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diff") / "library"
    make_library(folder, files=80, seed=3, image_bytes=4_000, video_bytes=8_000, corrupt_share=0.0)
    return folder


@pytest.fixture(scope="module")
def results(library: Path) -> Path:
    scan(library, library.parent / "results", SEQUENTIAL)
    return library.parent / "results"


def compare(old: Path, new: Path, everything: bool = False) -> Report:
    report = diff(old, new, SEQUENTIAL, everything=everything)
    json.dumps(report)
    return report


def told(report: Report) -> dict[str, str]:
    """Outcomes by path, of photos and videos that are not the same."""
    found = {each["path"]: each["outcome"] for each in report["not_same"]}
    assert len(found) == len(report["not_same"])
    assert Counter(found.values()) == {k: n for k, n in report["counts"].items() if n and k != "unchanged"}
    return found


def entry(report: Report, path: str) -> dict[str, Any]:
    (found,) = [each for each in report["not_same"] if each["path"] == path]
    return dict(found)


def changes(report: Report, path: str) -> dict[str, tuple[Any, Any]]:
    return {each["column"]: (each["then"], each["now"]) for each in entry(report, path)["changes"]}


def edit(sidecar: Path, **values: Any) -> None:
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text("utf-8")) | values), "utf-8")


def results_of(root: Path, name: str, files: Mapping[str, bytes | dict[str, Any]]) -> Path:
    """Results of a library of these files."""
    (root / name).mkdir()
    scan(write_tree(root / name, files), root / f"{name}-results", SEQUENTIAL)
    return root / f"{name}-results"


def test_results_do_not_differ_from_themselves_nor_from_their_export(library: Path, results: Path) -> None:
    before = tree(library), tree(results)
    for old, new in ((results, results), (results, library), (library, results)):
        report = compare(old, new, everything=True)
        assert (
            report["differs"] == report["others_differ"] == 0
            and report["not_same"] == []
            and report["other_not_same"] == []
        )
        assert report["counts"] == dict.fromkeys(OUTCOMES, 0) | {"unchanged": 80}
        assert report["columns"] == {}
    assert (tree(library), tree(results)) == before


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_an_export_in_archives_does_not_differ_from_the_same_unpacked(
    library: Path, results: Path, tmp_path: Path, form: str
) -> None:
    pack(library, tmp_path / form, form)
    report = compare(results, tmp_path / form, everything=True)
    assert report["not_same"] == report["other_not_same"] == []
    assert report["counts"]["unchanged"] == 80


def test_every_kind_of_change_is_told_by_name(library: Path, results: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    shutil.copytree(library, later)
    google = later / PHOTOS

    def at(path: str) -> str:
        return f"{PHOTOS}/{path}"

    edited, dated, seen = (
        "Photos from 2009/211220098368.jpg",
        "Photos from 2012/what_ 655.jpg",
        "Photos from 2016/[UNSET].jpg",
    )
    edits: dict[str, dict[str, Any]] = {
        edited: {"description": "on the beach", "people": [{"name": "Zoë"}, {"name": "Ann"}], "favorited": True},
        dated: {"photoTakenTime": {"timestamp": "1400000000"}},
        seen: {"imageViews": "4711", "url": "https://photos.google.com/photo/other"},
    }
    for name, values in edits.items():
        edit(google / f"{name}.supplemental-metadata.json", **values)
    lonely = "Photos from 2010/CIMG1119.MOV"
    (google / f"{lonely}.json").unlink()
    rotten = "Photos from 2023/PXL_20230219_212609476.jpg"
    data = (google / rotten).read_bytes()
    (google / rotten).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    gone = "Photos from 2007/IMG_4626.JPG"
    (google / gone).unlink()
    fresh = "Photos from 2020/fresh.jpg"
    (google / fresh).write_bytes(photo(77))
    copied = "Archive/copied.jpg"
    shutil.copy(google / "Photos from 2014/image.jpg", google / copied)
    there, here = "Trash/IMG_20190119_120123.jpg", "Photos from 2019/IMG_20190119_120123.jpg"
    for suffix in ("", ".json"):
        (google / f"{there}{suffix}").rename(google / f"{here}{suffix}")
    (google / "Wycieczka do Łodzi").rename(google / "Trip to Łódź")
    edit(google / "Trip to Łódź/metadata.json", title="Trip to Łódź")
    (later / "Takeout/notes.txt").write_text("new")

    report = compare(results, later)
    in_the_album = {
        at(f"Photos from {name}")
        for name in (
            "2019/8200811680788113.HEIC",
            "2019/IMG_9062.HEIC",
            "2022/IMG_9160.HEIC",
            "2022/Copy of IMG_9160.HEIC",
        )
    } | {
        at("Семья/IMG_9062.HEIC"),
        at("Hiking, running and everything else that we did outdoors/IMG_9160.HEIC"),
    }
    assert told(report) == {
        at(edited): "metadata",
        at(dated): "metadata",
        at(lonely): "metadata",
        **dict.fromkeys(in_the_album, "metadata"),
        at(rotten): "changed",
        at(gone): "removed",
        at(fresh): "new",
        at(copied): "new",
        at(here): "moved",
        at("Trip to Łódź/IMG_9062.HEIC"): "moved",
        at("Trip to Łódź/IMG_9160.HEIC"): "moved",
    }
    assert report["counts"]["unchanged"] == 80 - 3 - 6 - 1 - 1 - 3
    found = changes(report, at(edited))
    assert found["description"][1] == "on the beach" and found["favorited"] == (False, True)
    assert found["people"][1] == ["Ann", "Zoë"]
    assert changes(report, at(dated))["sidecar_taken_at"][1] == "2014-05-13T16:53:20+00:00"
    assert changes(report, at(lonely))["sidecar_path"] == (True, False)
    assert entry(report, at(copied))["copy_of"] == at("Photos from 2014/image.jpg")
    assert entry(report, at(fresh))["copy_of"] is None and entry(report, at(gone))["copy_of"] is None
    assert entry(report, at(here))["old"]["path"] == at(there)
    assert changes(report, at("Trip to Łódź/IMG_9062.HEIC"))["album"] == ("Wycieczka do Łodzi", "Trip to Łódź")
    for path in in_the_album:
        assert set(changes(report, path)) == {"albums"}
    assert report["bytes"]["new"] == len(photo(77)) + (google / copied).stat().st_size
    others = {each["path"]: each["outcome"] for each in report["other_not_same"]}
    assert others["Takeout/notes.txt"] == others[at("Trip to Łódź/metadata.json")] == "new"
    assert others[at(f"{lonely}.json")] == "removed" and at(f"{edited}.supplemental-metadata.json") not in others
    assert report["columns"]["albums"] == len(in_the_album) + 2

    backwards = compare(later, results)
    swapped = {"new": "removed", "removed": "new"}
    assert backwards["counts"] == {each: report["counts"][swapped.get(each, each)] for each in OUTCOMES}
    everything = compare(results, later, everything=True)
    assert {"views", "url"} <= set(changes(everything, at(seen)))


def test_counts_alone_are_those_of_the_report_and_name_every_row(library: Path, results: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    shutil.copytree(library, fewer)
    shutil.rmtree(fewer / PHOTOS / "Photos from 2023")
    scan(fewer, tmp_path / "results", SEQUENTIAL)
    counts = count_changes(results / "index.sqlite", tmp_path / "results/index.sqlite")
    report = compare(results, tmp_path / "results")
    assert counts == report["counts"] and counts["removed"] > 5
    assert sum(counts.values()) - counts["new"] == len(media_rows(results))
    assert sum(counts.values()) - counts["removed"] == len(media_rows(tmp_path / "results"))
    kept = [each for each in report["not_same"] if each["outcome"] == "removed" and each["copy_of"]]
    assert [each["path"] for each in kept] == [f"{PHOTOS}/Photos from 2023/IMG_9161.HEIC"]
    limited = diff(results, tmp_path / "results", limit=2)
    assert limited["counts"] == report["counts"]
    assert [each for each in limited["not_same"] if each["outcome"] == "removed"] == [
        each for each in report["not_same"] if each["outcome"] == "removed"
    ][:2]


def test_of_several_removed_the_one_of_the_same_name_has_moved(tmp_path: Path) -> None:
    old = results_of(tmp_path, "old", {f"{YEAR}/{name}.jpg": photo(1) for name in "abc"} | {f"{YEAR}/e.jpg": b""})
    album = f"{PHOTOS}/Album"
    new = results_of(tmp_path, "new", {f"{album}/{name}.jpg": photo(1) for name in "bx"} | {f"{album}/e.jpg": b""})
    report = compare(old, new)
    moved = {each["path"]: each["old"]["path"] for each in report["not_same"] if each["outcome"] == "moved"}
    assert moved == {f"{album}/b.jpg": f"{YEAR}/b.jpg", f"{album}/x.jpg": f"{YEAR}/a.jpg"}
    assert entry(report, f"{YEAR}/c.jpg")["copy_of"] == f"{album}/b.jpg"
    assert entry(report, f"{YEAR}/e.jpg")["outcome"] == "removed"  # empty files are all alike


def test_what_several_parts_of_an_export_have_counts_once(tmp_path: Path) -> None:
    files: dict[str, bytes | dict[str, Any]] = {
        f"{YEAR}/1.jpg": photo(1),
        f"{YEAR}/metadata.json": {"title": "Photos from 2020"},
    }
    parts = [tmp_path / "parts" / name for name in ("1", "2")]
    for number, part in enumerate(parts):
        write_tree(part, files | {f"{YEAR}/{number + 2}.jpg": photo(number + 2)})
        pack(part, tmp_path / "zips" / str(number), "zip", parts=1)
    archives = [next((tmp_path / "zips" / str(number)).iterdir()) for number in range(2)]
    second = archives[0].with_name(archives[0].name.replace("001", "002"))
    archives[1].rename(second)
    unpacked = write_tree(tmp_path / "unpacked", files | {f"{YEAR}/{number}.jpg": photo(number) for number in (2, 3)})
    report = compare(archives[0].parent, unpacked)
    assert report["counts"]["unchanged"] == 3 == sum(report["counts"].values())
    assert report["others_differ"] == 0


@pytest.mark.parametrize("size", [0, 3])
def test_empty_libraries_are_compared(tmp_path: Path, size: int) -> None:
    page = {"Takeout/archive_browser.html": b"<html>"}
    empty = results_of(tmp_path, "empty", page)
    other = results_of(tmp_path, "other", page | {f"{YEAR}/{number}.jpg": photo(number) for number in range(size)})
    assert compare(empty, other)["counts"] == dict.fromkeys(OUTCOMES, 0) | {"new": size}
    assert compare(other, empty)["counts"] == dict.fromkeys(OUTCOMES, 0) | {"removed": size}


def test_what_a_run_could_not_read_is_not_compared_but_told(tmp_path: Path) -> None:
    files = {f"{YEAR}/{number}.jpg": photo(number) for number in range(3)}
    old = results_of(tmp_path, "old", files)
    new = results_of(tmp_path, "new", files)
    for place, name in ((old, "0"), (new, "1"), (old, "2"), (new, "2")):
        with closing(sqlite3.connect(place / "index.sqlite")) as db, db:
            db.execute("UPDATE media SET crc32 = NULL, content_id = NULL WHERE name = ?", (f"{name}.jpg",))
    report = compare(old, new)
    assert told(report) == {f"{YEAR}/{number}.jpg": "unread" for number in range(3)}
    assert [each["reason"].rpartition("in ")[2] for each in report["not_same"]] == ["OLD", "NEW", "NEW"]
    assert report["differs"] == 0


def test_a_photo_that_cannot_be_opened_any_more_is_said_to_be_there(tmp_path: Path) -> None:
    old = results_of(tmp_path, "old", {f"{YEAR}/1.jpg": photo(1), f"{YEAR}/2.jpg": photo(2)})
    write_tree(tmp_path / "new", {f"{YEAR}/2.jpg": photo(2)})
    os.mkfifo(tmp_path / "new" / YEAR / "1.jpg")
    found = entry(compare(old, tmp_path / "new"), f"{YEAR}/1.jpg")
    assert found["outcome"] == "removed" and found["reason"].startswith("is ")


def test_values_are_data_and_their_order_is_not(tmp_path: Path) -> None:
    def library(description: str, people: list[str], liked: str) -> dict[str, bytes | dict[str, Any]]:
        sidecar = {
            "title": "1.jpg",
            "description": description,
            "photoTakenTime": {"timestamp": "1580702706"},
            "people": [{"name": name} for name in people],
            "sharedAlbumComments": [
                {"text": liked, "creationTime": {"timestamp": "1580702706"}, "contentOwnerName": "A"}
            ],
        }
        return {f"{YEAR}/1.jpg": photo(1), f"{YEAR}/1.jpg.json": sidecar}

    names = ["b\0c", "a', 'd", 'say "x"', "\udc80"]
    old = results_of(tmp_path, "old", library("", names, "fine"))
    turned = results_of(tmp_path, "turned", library("", names[::-1], "fine"))
    assert compare(old, turned)["counts"]["unchanged"] == 1
    new = results_of(tmp_path, "new", library("'); DROP TABLE media; --", names[:2], "better\0?"))
    found = changes(compare(old, new), f"{YEAR}/1.jpg")
    assert set(found) == {"description", "people", "comments"}
    assert len(found["people"][0]) == 4 and found["people"][1] == ["a', 'd", r"b\x00c"]
    assert [comment["text"] for comment in found["comments"][1]] == [r"better\x00?"]


def test_hostile_names_are_data(tmp_path: Path, run: Run) -> None:
    names = [
        b"not \xff utf-8.jpg",
        b"new\nline.jpg",
        b"\x1b[2Jclear.jpg",
        b"'; DROP TABLE media; --.jpg",
        b"\xe2\x80\xaertl.jpg",
    ]
    for side in ("old", "new"):
        folder = tmp_path / side / YEAR
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            (folder / os.fsdecode(name)).write_bytes(photo(number + (100 if side == "new" else 0)))
            sidecar = {
                "title": "\x1b]0;x\x07",
                "description": f"{side}\x1b[31m",
                "photoTakenTime": {"timestamp": "1580702706"},
            }
            (folder / os.fsdecode(name + b".json")).write_text(json.dumps(sidecar))
    (tmp_path / "new" / YEAR / "\x1b[1mextra.txt").write_bytes(b"?")
    report = compare(tmp_path / "old", tmp_path / "new")
    assert report["counts"]["changed"] == len(names) == sum(report["counts"].values())
    done = run("diff", tmp_path / "old", tmp_path / "new", "--mode", "sequential", "--quiet")
    assert done.returncode == 0 and done.stderr == ""
    assert all(c.isprintable() or c == "\n" for c in done.stdout)
    assert r"\x1b[2Jclear.jpg" in done.stdout and r"new\nline.jpg" in done.stdout


def test_the_command_prints_what_the_function_returns(results: Path, library: Path, tmp_path: Path, run: Run) -> None:
    later = tmp_path / "later"
    shutil.copytree(library, later)
    (later / PHOTOS / "Photos from 2007/IMG_4626.JPG").rename(later / PHOTOS / "Archive/other.JPG")
    done = run("diff", results, later, "--json", "--mode", "sequential")
    assert done.returncode == 0
    printed, report = json.loads(done.stdout), compare(results, later)
    for volatile in (printed, report):
        del volatile["new"]["scanned_at"]
    assert printed == json.loads(json.dumps(report))
    assert "scanning" in done.stderr
    table = run("diff", results, later, "--mode", "sequential").stdout
    assert "different: 1 photos and videos, 0 other files" in table and "Archive/other.JPG, was" in table
    assert "all that could be compared is the same" in run("diff", results, results).stdout


def test_what_cannot_be_compared_is_refused_in_one_line(results: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other"
    shutil.copytree(results, other)
    with closing(sqlite3.connect(other / "index.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "index.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    folder = write_tree(tmp_path / "folder", {"notes.txt": b"nothing of a Takeout"})
    for place, reason in (
        (other, "newer version"),
        (damaged, "is not an index"),
        (folder, "neither results"),
        (folder / "notes.txt", "not a folder, nor"),
        (tmp_path / "absent", "No such file"),
    ):
        for pair in ((results, place), (place, results)):
            with pytest.raises(UsageError, match=reason):
                diff(*pair, SEQUENTIAL)
    done = run("diff", results, other)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1


def test_a_damaged_index_is_no_answer(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "cut")
    index = tmp_path / "cut/index.sqlite"
    os.truncate(index, index.stat().st_size // 2)
    for old, new in ((results, tmp_path / "cut"), (tmp_path / "cut", results)):
        with pytest.raises(UsageError):
            diff(old, new)


def test_what_is_scanned_leaves_nothing_behind(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    compare(library, library)
    assert list(scratch.iterdir()) == []


def test_two_exports_are_scanned_in_parallel_one_after_the_other(tmp_path: Path, run: Run) -> None:
    for name in ("old", "new"):
        make_library(tmp_path / name, files=3, seed=1)
    done = run("diff", "old", "new", "--mode", "parallel", "--processes", 1)
    assert done.returncode == 0, done.stderr
    assert "all that could be compared is the same" in done.stdout


def test_columns_are_compared_unless_they_are_known_to_say_nothing() -> None:
    names = [column.name for column in COMPARED]
    assert {"taken_at", "title", "description", "people", "favorited", "albums", "latitude"} <= set(names)
    assert not {"part", "modified_at", "views", "url", "crc32_source"} & set(names)
    assert set(names) < {column.name for column in COMPARABLE} < {column.name for column in COLUMNS}


# What the classification should be, in a few lines of Python.

Rows = dict[str, tuple[str | None, str]]  # path -> content, title

paths = st.builds("{}/{}".format, st.sampled_from("abc"), st.sampled_from("xyz"))
rows = st.dictionaries(paths, st.tuples(st.sampled_from(["1", "2", "0", None]), st.sampled_from("AB")))


def index_of(folder: Path, library: Rows) -> Path:
    """An index of these rows, written as a scan writes it."""
    path = folder / f"{len(list(folder.iterdir()))}.sqlite"
    blank: dict[str, Any] = {f.name: [] if pa.types.is_list(f.type) else None for f in RECORD}
    made = [
        blank
        | {"file_id": file_id(path, 0), "path": path, "name": path.rpartition("/")[2], "kind": "image", "title": title}
        | {
            "part": "p",
            "folder": "f",
            "status": "ok",
            "taken_year": 0,
            "size": int(content or 7),
            "content_id": content,
        }
        for path, (content, title) in library.items()
    ]
    with Index(path) as index:
        index.add_media(pa.Table.from_pylist(made, schema=RECORD))
        index.add_files(ListedFile(row["path"], "p", row["size"], "media", None) for row in made)
        index.settle()
        index.finish()
    return path


@settings(max_examples=40)
@given(rows, rows)
def test_counts_are_those_of_the_rules(old: Rows, new: Rows) -> None:
    expected: Counter[str] = Counter()
    for path in old.keys() & new.keys():
        (then, title), (now, title_now) = old[path], new[path]
        if then is None or now is None:
            expected["unread"] += 1
        elif then != now:
            expected["changed"] += 1
        else:
            expected["unchanged" if title == title_now else "metadata"] += 1
    gone = Counter(old[path][0] for path in old.keys() - new.keys())
    come = Counter(new[path][0] for path in new.keys() - old.keys())
    moved = sum(min(gone[content], come[content]) for content in ("1", "2"))  # "0" is empty
    expected += Counter(moved=moved, removed=gone.total() - moved, new=come.total() - moved)

    with TemporaryDirectory() as folder:
        before, after = index_of(Path(folder), old), index_of(Path(folder), new)
        counts = count_changes(before, after)
        with compared(before, after) as differences:
            found = list(differences.media())
    assert {outcome: count for outcome, count in counts.items() if count} == dict(+expected)
    pairs = [(each["old"]["path"], each["new"]["path"]) for each in found if each["outcome"] == "moved"]
    assert all(old[one][0] == new[other][0] for one, other in pairs)
    left = [
        (each["outcome"], each["path"][-1], (each["old"] or each["new"])["content_id"])
        for each in found
        if each["outcome"] in ("new", "removed")
    ]
    assert all(
        content in ("0", None) or ("new", name, content) not in left
        for what, name, content in left
        if what == "removed"
    )
    of_one_name = sum(
        min(
            sum(old[path][0] == content and path[-1] == name for path in old.keys() - new.keys()),
            sum(new[path][0] == content and path[-1] == name for path in new.keys() - old.keys()),
        )
        for content in "12"
        for name in "xyz"
    )
    assert sum(one[-1] == other[-1] for one, other in pairs) == of_one_name
