"""`verify`: every byte of the library against the index, whatever its parts are; what is wrong is told by name, and no more."""

import io
import json
import os
import random
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.api import scan
from pipeline.problems import Problem, UsageError
from pipeline.settings import Settings
from pipeline.storage import folders
from pipeline.verifying import DAMAGE, OUTCOMES, Comparison, Found, Recorded, judge, pair_up
from tests.conftest import Run, write_tree
from tests.media.blocks import jpeg, tiff
from tests.test_archives import pack

SEQUENTIAL = Settings(mode="sequential")
YEAR = "Takeout/Google Photos/Photos from 2020"
PHOTO, OTHER, PAGE = f"{YEAR}/3.jpg", f"{YEAR}/4.jpg", "Takeout/archive_browser.html"
FORMS = ("folder", "zip", "zip-deflated", "tgz", "mixed")

Report = dict[str, Any]


def photo(number: int) -> bytes:
    """More than a scan reads of a member of a zip, and nothing in it that repeats itself."""
    exif = tiff({0x010F: (2, "Canon"), 0x0131: (2, str(number))}, {0x9003: (2, "2020:02:03 03:04:05")})
    return jpeg(exif) + random.Random(number).randbytes(60_000)


def files() -> dict[str, bytes | dict[str, Any]]:
    return {
        PAGE: b"<html>" + b"page" * 2000,
        **{f"{YEAR}/{number}.jpg": photo(number) for number in range(1, 9)},
        **{
            f"{YEAR}/{number}.jpg.json": {"title": f"{number}.jpg", "photoTakenTime": {"timestamp": "1580702706"}}
            for number in range(1, 9)
        },
    }


def made(root: Path, form: str, content: dict[str, bytes | dict[str, Any]] | None = None) -> list[Path]:
    """The inputs: a library in this form."""
    library = write_tree(root / "library", content or files())
    if form == "folder":
        return [library]
    if form != "mixed":
        return pack(library, root / form, form, parts=2)
    (one, _, three) = pack(library, root / "zip", "zip")
    (_, two, _) = pack(library, root / "tgz", "tgz")
    with zipfile.ZipFile(three) as archive:
        archive.extractall(root / "unpacked")
    three.unlink()
    return [one, two, root / "unpacked"]


def scanned(root: Path, form: str) -> tuple[list[Path], Path]:
    inputs = made(root, form)
    scan(inputs, root / "results", SEQUENTIAL)
    return inputs, root / "results"


def verify(results: Path, threads: int = 2) -> Report:
    return pipeline.verify(results, Settings(threads=threads))


def told(report: Report) -> list[tuple[str, str]]:
    return [(each["outcome"], each["path"]) for each in report["not_same"] if each["outcome"] != "not_checked"]


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def flip(inputs: Sequence[Path], name: str) -> None:
    """Change one bit in the middle of a file, in whichever input has it, as a disk would."""
    for path in inputs:
        if path.is_dir() and (path / name).exists():
            data = bytearray((path / name).read_bytes())
            data[len(data) // 2] ^= 1
            (path / name).write_bytes(data)
            return
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                if name not in archive.namelist():
                    continue
                info = archive.getinfo(name)
            data = bytearray(path.read_bytes())
            data[info.header_offset + 30 + len(name.encode()) + info.compress_size // 2] ^= 1
            path.write_bytes(data)
            return
        if path.suffix == ".tgz":  # a wrong bit in compressed bytes is told too, but spoils all that follows
            members = {}
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    members[member.name] = file.read() if file else b""
            if name in members:
                data = bytearray(members[name])
                data[len(data) // 2] ^= 1
                members[name] = bytes(data)
                repack(path, members)
                return
    raise AssertionError(f"no input has {name}")


def repack(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_as_it_was_is_said_to_be(tmp_path: Path, form: str) -> None:
    inputs, results = scanned(tmp_path, form)
    before = [tree(path if path.is_dir() else path.parent) for path in (*inputs, results)]
    report = verify(results)
    assert report["counts"] == dict.fromkeys(OUTCOMES, 0) | {"same": 17}
    assert report["compared_by"]["crc32"] == 8
    if form.startswith("zip"):
        assert report["compared_by"]["archive"] == 9
    assert (report["damaged"], report["not_same"], report["lost_parts"]) == (0, [], [])
    again = verify(results, threads=1)
    assert {**again, "seconds": 0, "files_per_s": 0, "mb_per_s": 0, "threads": 0} == {
        **report,
        "seconds": 0,
        "files_per_s": 0,
        "mb_per_s": 0,
        "threads": 0,
    }
    assert [tree(path if path.is_dir() else path.parent) for path in (*inputs, results)] == before


@pytest.mark.parametrize("form", FORMS)
def test_one_wrong_bit_is_found_by_name_and_nothing_else_is_reported(tmp_path: Path, form: str, run: Run) -> None:
    inputs, results = scanned(tmp_path, form)
    flip(inputs, PHOTO)
    report = verify(results)
    assert [path for _, path in told(report)] == [PHOTO]
    assert report["counts"]["same"] == 16
    (found,) = report["not_same"]
    if form != "zip-deflated":
        assert [change["what"] for change in found["changes"]] == ["CRC-32"]
    done = run("verify", results, "--quiet")
    assert (done.returncode, done.stderr) == (3, "")
    assert PHOTO in done.stdout
    assert OTHER not in done.stdout


@pytest.mark.parametrize("form", ["zip", "zip-deflated"])
def test_zips_state_check_sums_of_what_is_no_photo_too(tmp_path: Path, form: str) -> None:
    inputs, results = scanned(tmp_path, form)
    flip(inputs, PAGE)
    flip(inputs, f"{PHOTO}.json")
    assert [path for _, path in told(verify(results))] == [f"{PHOTO}.json", PAGE]


def test_a_wrong_bit_in_the_compressed_bytes_of_a_tgz_is_told(tmp_path: Path) -> None:
    inputs, results = scanned(tmp_path, "tgz")
    data = bytearray(inputs[0].read_bytes())
    data[len(data) // 2] ^= 1
    inputs[0].write_bytes(data)
    report = verify(results)
    assert report["damaged"] > 0
    assert ("unreadable", inputs[0].name) in told(report)  # the check sum of all, or bytes that mean nothing
    assert {each["part"] for each in report["not_same"]} == {inputs[0].name}


@pytest.mark.parametrize("form", ["zip", "zip-deflated", "tgz"])
def test_a_truncated_part_is_told_with_what_it_has_lost(tmp_path: Path, form: str) -> None:
    inputs, results = scanned(tmp_path, form)
    os.truncate(inputs[1], inputs[1].stat().st_size // 2)
    report = verify(results)
    assert ("unreadable", inputs[1].name) in told(report)
    assert {outcome for outcome, path in told(report) if path != inputs[1].name} <= {"missing", "unreadable"}
    assert {each["part"] for each in report["not_same"]} == {inputs[1].name}
    assert report["counts"]["same"] >= 8
    assert sum(report["counts"].values()) == report["files"] + 1


def test_what_the_scan_could_not_read_either_is_known(tmp_path: Path, run: Run) -> None:
    for form in ("zip", "tgz", "folder"):
        inputs = made(tmp_path / form, form)
        if form == "folder":
            (inputs[0] / YEAR / "5.jpg").chmod(0)
            if os.access(inputs[0] / YEAR / "5.jpg", os.R_OK):  # root reads everything
                continue
        else:
            os.truncate(inputs[1], inputs[1].stat().st_size // 2)
        results = tmp_path / form / "results"
        scan(inputs, results, SEQUENTIAL)
        report = verify(results)
        assert told(report) and {outcome for outcome, _ in told(report)} == {"known"}
        assert report["damaged"] == 0
        assert run("verify", results, "--quiet").returncode == 0


def test_what_could_not_be_read_and_now_can_is_not_checked(tmp_path: Path) -> None:
    inputs = made(tmp_path, "tgz")
    whole = inputs[1].read_bytes()
    os.truncate(inputs[1], len(whole) - 400)
    scan(inputs, tmp_path / "results", SEQUENTIAL)
    inputs[1].write_bytes(whole)
    report = verify(tmp_path / "results")
    assert report["damaged"] == 0
    assert report["counts"]["not_checked"] >= 1
    assert all("scanned" in each["reason"] for each in report["not_same"] if each["outcome"] == "not_checked")


def test_zips_whose_photos_had_wrong_bits_when_they_were_scanned(tmp_path: Path) -> None:
    inputs = made(tmp_path, "zip")
    flip(inputs, PHOTO)
    scan(inputs, tmp_path / "one", Settings(mode="sequential"))
    scan(inputs, tmp_path / "two", Settings(mode="sequential", verify_archives=True))
    assert told(verify(tmp_path / "one")) == [("differs", PHOTO)]  # what the archive states is in the index
    report = verify(tmp_path / "two")
    assert report["damaged"] == 0
    assert [(each["outcome"], each["path"]) for each in report["not_same"]] == [("known", PHOTO)]


def test_files_that_are_gone_or_new(tmp_path: Path) -> None:
    (library,), results = scanned(tmp_path, "folder")
    (library / PHOTO).unlink()
    (library / f"{OTHER}.json").unlink()
    (library / YEAR / "10.jpg").write_bytes(b"x")
    (library / PAGE).write_bytes(b"short")
    report = verify(results)
    assert told(report) == [
        ("new", f"{YEAR}/10.jpg"),
        ("missing", PHOTO),
        ("missing", f"{OTHER}.json"),
        ("differs", PAGE),
    ]
    assert report["not_same"][3]["changes"] == ({"what": "size", "then": "8006", "now": "5"},)
    assert report["damaged"] == 3


def test_a_new_file_is_no_damage(tmp_path: Path, run: Run) -> None:
    (library,), results = scanned(tmp_path, "folder")
    (library / YEAR / "10.jpg").write_bytes(b"x")
    done = run("verify", results, "--quiet")
    assert done.returncode == 0
    assert "10.jpg" in done.stdout


@pytest.mark.parametrize("form", ["zip", "tgz", "folder", "mixed"])
def test_parts_that_are_gone_have_lost_all_their_files(tmp_path: Path, form: str, run: Run) -> None:
    inputs, results = scanned(tmp_path, form)
    if inputs[0].is_dir():
        shutil.rmtree(inputs[0])
    else:
        inputs[0].unlink()
    report = verify(results)
    (lost,) = report["lost_parts"]
    assert (lost["place"], lost["outcome"]) == (str(inputs[0]), "missing")
    assert report["counts"]["missing"] == lost["files"] == report["damaged"]
    assert report["counts"]["same"] == 17 - lost["files"]
    done = run("verify", results, "--quiet")
    assert done.returncode == 3
    assert str(inputs[0]) in done.stdout


def test_a_folder_that_cannot_be_listed_has_not_lost_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, results = scanned(tmp_path, "folder")
    list_folder = folders._list_folder

    def refuse(root: str, folder: str) -> Any:  # root may list everything
        if folder.rstrip("/") == YEAR:
            raise PermissionError(13, "Permission denied")
        return list_folder(root, folder)

    monkeypatch.setattr(folders, "_list_folder", refuse)
    report = verify(results)
    assert (report["counts"]["unreadable"], report["counts"]["same"]) == (17, 1)  # the folder, and its files
    assert "Permission denied" in report["not_same"][-1]["reason"]


def test_results_and_working_directory_may_move(tmp_path: Path, run: Run) -> None:
    made(tmp_path, "mixed")
    arguments = ["zip/" + path.name for path in (tmp_path / "zip").iterdir()] + ["unpacked", "tgz"]
    assert run("scan", *arguments, "-o", "results", "--merge", "--quiet").returncode in (0, 3)
    report = json.loads((tmp_path / "results/run.json").read_text("utf-8"))
    assert report["input_paths"] == [str(tmp_path / given) for given in arguments]
    away = tmp_path / "elsewhere" / "moved"
    away.parent.mkdir()
    (tmp_path / "results").rename(away)
    done = run("verify", "../elsewhere/moved", "--json", "--quiet", cwd=tmp_path / "library")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["same"] == report["listed"]


def test_copies_in_another_part_are_compared_as_photos_are(tmp_path: Path) -> None:
    one, two = (write_tree(tmp_path / name / "Takeout", {"x/1.jpg": photo(1)}) for name in ("one", "two"))
    scan([one.parent, two.parent], tmp_path / "results", SEQUENTIAL)
    assert verify(tmp_path / "results")["compared_by"]["crc32"] == 2
    flip([two.parent], "Takeout/x/1.jpg")
    (found,) = verify(tmp_path / "results")["not_same"]
    assert (found["outcome"], found["part"][:3]) == ("differs", "two")


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_members_of_one_name_are_told_apart(tmp_path: Path, form: str) -> None:
    contents = [photo(1), photo(2), photo(1), photo(3)]

    def write(contents: Sequence[bytes]) -> Path:
        path = tmp_path / f"x.{form}"
        if form == "zip":
            with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as archive:
                for data in contents:
                    archive.writestr(PHOTO, data)
        else:
            with tarfile.open(path, "w:gz") as tar:
                for data in contents:
                    info = tarfile.TarInfo(PHOTO)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        return path

    scan(write(contents), tmp_path / "results", SEQUENTIAL)
    assert verify(tmp_path / "results")["counts"]["same"] == 4
    write([photo(1), photo(3), photo(1)])
    assert told(verify(tmp_path / "results")) == [("missing", PHOTO)]
    write([photo(1), photo(2), photo(1), photo(4), photo(5)])
    assert sorted(told(verify(tmp_path / "results"))) == [("differs", PHOTO), ("new", PHOTO)]


def test_links_in_a_tar_and_names_without_takeout(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library", {"Photos/1.jpg": photo(1), "Photos/2.jpg": photo(2)})
    os.link(library / "Photos/1.jpg", library / "Photos/3.jpg")
    (library / "Photos/4.jpg").symlink_to("1.jpg")
    scan(pack(library, tmp_path / "in", "tgz", parts=1), tmp_path / "results", SEQUENTIAL)
    report = verify(tmp_path / "results")
    assert report["counts"] == dict.fromkeys(OUTCOMES, 0) | {"same": 3, "not_checked": 1}
    assert report["compared_by"]["crc32"] == 3


def test_links_in_a_tar_are_followed_as_far_as_the_scan_follows_them(tmp_path: Path) -> None:
    path = tmp_path / "x.tgz"
    with tarfile.open(path, "w:gz") as tar:
        file = tarfile.TarInfo(PHOTO)
        file.size = len(photo(3))
        tar.addfile(file, io.BytesIO(photo(3)))
        names = [f"{YEAR}/link{number}.jpg" for number in range(10)]
        targets = [PHOTO, *names[:-1], "nothing.jpg", PHOTO]
        for name, target in zip([*names, f"{YEAR}/lost.jpg", f"{YEAR}/astray.json"], targets, strict=True):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.LNKTYPE, target
            tar.addfile(link)
    scan(path, tmp_path / "results", SEQUENTIAL)
    report = verify(tmp_path / "results")
    assert report["damaged"] == 0
    assert report["counts"]["same"] == report["compared_by"]["crc32"] > 5
    assert told(report) == [("known", f"{YEAR}/astray.json")]


def test_hostile_names_come_out_escaped(tmp_path: Path, run: Run) -> None:
    names = [f"{YEAR}/a\x1b[2J\n.jpg", f"{YEAR}/caf\udce9.jpg", f"{YEAR}/\u202egpj.exe.jpg"]
    content: dict[str, bytes | dict[str, Any]] = {name: photo(number) for number, name in enumerate(names)}
    library = write_tree(tmp_path / "lib\udcff\nrary", content)
    results = tmp_path / "results"
    scan(library, results, SEQUENTIAL)
    assert verify(results)["counts"]["same"] == 3
    for name in names:
        flip([library], name)
    done = run("verify", results, "--quiet")
    assert done.returncode == 3
    assert not set(done.stdout) & {"\x1b", "\u202e", "\udce9"}
    assert "a\\x1b[2J\\n.jpg" in done.stdout and "caf\\xe9.jpg" in done.stdout and "\\u202egpj" in done.stdout
    assert json.loads(run("verify", results, "--quiet", "--json").stdout)["damaged"] == 3
    shutil.rmtree(library)
    done = run("verify", results, "--quiet")
    assert "lib\\xff\\nrary" in done.stdout


def test_what_cannot_be_verified_is_refused_with_one_line(tmp_path: Path, run: Run) -> None:
    def refused(folder: object, *words: str) -> None:
        done = run("verify", folder)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1 and done.stdout == ""
        assert all(word in done.stderr for word in words)

    refused(tmp_path / "nowhere", "there is no folder", "nowhere makes it")
    refused(made(tmp_path, "folder")[0], "holds no results")
    results = tmp_path / "results"
    scan(tmp_path / "library", results, SEQUENTIAL)
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        (text,) = db.execute("SELECT report FROM runs").fetchone()
        report = json.loads(text)
        del report["sources"]
        db.execute("UPDATE runs SET report = ?", (json.dumps(report),))
        db.commit()
        refused(results, "do not say where their input is", "scan again")
        db.execute("PRAGMA user_version = 1")
        db.commit()
    refused(results, "an older version", "scan again")
    (results / "index.sqlite").write_bytes(b"something else, and long enough to be a header" * 30)
    refused(results, "is not an index of ours")
    assert run("verify").returncode == 2


def test_progress_ends_with_all_files(tmp_path: Path, run: Run) -> None:
    _, results = scanned(tmp_path, "mixed")
    done = run("verify", results)
    assert done.returncode == 0
    assert "reading: 17 of 17 files" in done.stderr
    assert "MB/s" in done.stdout


def test_results_that_may_not_be_written_are_verified_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    _, results = scanned(tmp_path, "zip")
    with closing(sqlite3.connect(results / "index.sqlite")) as db:  # as a user's own program may leave it
        db.execute("PRAGMA journal_mode = WAL")
    before = sorted(path.name for path in results.iterdir())
    results.chmod(0o500)
    try:
        assert verify(results)["damaged"] == 0
    finally:
        results.chmod(0o700)
    assert sorted(path.name for path in results.iterdir()) == before


def test_what_goes_wrong_in_a_thread_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, results = scanned(tmp_path, "folder")

    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("pipeline.rereading.checksum", fail)
    with pytest.raises(OSError, match="Too many"):
        verify(results)


# The comparing itself


RECORDED = Recorded(1, "a.jpg", "p", 9, "media", 0xA)
BAD = Problem("read", "unreadable", "no")


@pytest.mark.parametrize(
    ("row", "found", "outcome"),
    [
        (RECORDED, Found("a.jpg", "p", 0, 9, 0xA), "same"),
        (RECORDED, Found("a.jpg", "p", 0, 9, 0xB), "differs"),
        (RECORDED, Found("a.jpg", "p", 0, 8, 0xA), "differs"),
        (RECORDED, Found("a.jpg", "p", 0, 9, 0xA, True, "no"), "differs"),
        (RECORDED, Found("a.jpg", "p", 0, 9, 0xA, odd=("two names",)), "differs"),
        (RECORDED._replace(reasons=("two names",)), Found("a.jpg", "p", 0, 9, 0xA, odd=("two names",)), "same"),
        (RECORDED, Found("a.jpg", "p", 0, problem=BAD), "unreadable"),
        (RECORDED._replace(reasons=("no",)), Found("a.jpg", "p", 0, problem=BAD), "known"),
        (RECORDED, Found("a.jpg", "p", 0, ignored="a FIFO"), "unreadable"),
        (RECORDED._replace(state="ignored", crc32=None), Found("a.jpg", "p", 0, ignored="a FIFO"), "not_checked"),
        (RECORDED._replace(crc32=None), Found("a.jpg", "p", 0, 9, 0xA), "not_checked"),
        (RECORDED._replace(crc32=None, state="sidecar"), Found("a.jpg", "p", 0, 9, 0xA), "same"),
        (RECORDED._replace(crc32=None, state="sidecar"), Found("a.jpg", "p", 0, 9, 0xA, True, "no"), "differs"),
        (RECORDED._replace(crc32=None, reasons=("no",)), Found("a.jpg", "p", 0, 9, 0xA, True, "no"), "known"),
        (RECORDED._replace(crc32=None, state="ignored", size=None), Found("a.jpg", "p", 0, 9, 0xA), "not_checked"),
    ],
)
def test_outcomes(row: Recorded, found: Found, outcome: str) -> None:
    verdict = judge(row, found)
    assert verdict.outcome == outcome
    assert outcome not in DAMAGE or verdict.changes or verdict.reason


def test_of_several_of_one_name_those_that_agree_are_paired_first() -> None:
    rows = [RECORDED._replace(number=number, crc32=crc32) for number, crc32 in enumerate((1, 2, 3), start=1)]
    found = [Found("a.jpg", "p", order, 9, crc32) for order, crc32 in enumerate((3, 9, 1, 8))]
    pairs = {each.crc32: row.number if row else None for row, each in pair_up(rows, found)}
    assert pairs == {3: 3, 1: 1, 9: 2, 8: None}


def test_every_file_has_one_outcome() -> None:
    comparison = Comparison(lambda paths: [row for row in [RECORDED] if row.path in paths], 1)
    comparison.add([Found("a.jpg", "p", 0, 9, 0xA), Found("a.jpg", "p", 1, 9, 0xA), Found("b.jpg", "p", 2, 1, 1)])
    comparison.finish([RECORDED, RECORDED._replace(number=0, path="c.jpg")], [])
    assert {k: v for k, v in comparison.counts.items() if v} == {"same": 1, "new": 2, "missing": 1}
    comparison.check(2)
    with pytest.raises(AssertionError, match="totals differ"):
        comparison.check(3)


def test_the_function_is_not_hidden_by_a_module() -> None:
    assert callable(pipeline.verify)
    with pytest.raises(UsageError):
        pipeline.verify("nowhere")
    assert callable(pipeline.verify)
