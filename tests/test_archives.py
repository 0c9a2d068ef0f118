"""Zip and tgz parts, scanned in place: the same answer as unpacked, whatever is wrong with them told by name."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import plan, verify
from pipeline.api import explain, scan
from pipeline.settings import Settings
from pipeline.storage.library import Library
from pipeline.storage.parts import InputError
from tests.conftest import Run, files_rows, media_rows, write_tree

EXPORT = "takeout-20240101T000000Z"
#: What may differ between a file in a folder and in an archive.
MAY_DIFFER = ("part", "crc32_source", "modified_at", "made_from")
SEQUENTIAL = Settings(mode="sequential")


def tree_files(root: Path) -> list[tuple[str, Path]]:
    return sorted((str(path.relative_to(root)), path) for path in root.rglob("*") if path.is_file())


def pack(root: Path, folder: Path, form: str, parts: int = 3) -> list[Path]:
    """The files of a folder as so many archives, dealt out one by one so that hardly a sidecar lies beside its photo."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(parts):
        mine = tree_files(root)[number::parts]
        path = folder / f"{EXPORT}-{number + 1:03d}.{form.partition('-')[0]}"
        if form.startswith("zip"):
            method = zipfile.ZIP_DEFLATED if form == "zip-deflated" else zipfile.ZIP_STORED
            with zipfile.ZipFile(path, "w", method) as archive:
                for name, file in mine:
                    archive.write(file, name)
        else:
            with tarfile.open(path, "w:gz" if form == "tgz" else "w") as tar:
                for name, file in mine:
                    tar.add(file, name)
        made.append(path)
    return made


def differing(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[tuple[str, str, Any, Any]]:
    """Path, column and both values, wherever two tables differ."""
    assert [row["file_id"] for row in one] == [row["file_id"] for row in other]
    return [
        (a["path"], name, a[name], b[name])
        for a, b in zip(one, other, strict=True)
        for name in a
        if name not in MAY_DIFFER and a[name] != b[name]
    ]


def states(results: Path) -> list[tuple[Any, ...]]:
    return sorted((row["path"], row["size"], row["state"]) for row in files_rows(results))


@pytest.fixture(scope="module")
def as_folder(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("as_folder") / "results"
    scan(synthetic, results, SEQUENTIAL)
    return results


@pytest.mark.parametrize("form", ["zip", "zip-deflated", "tgz", "tar"])
@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_the_same_library_gives_the_same_rows(
    synthetic: Path, as_folder: Path, tmp_path: Path, form: str, mode: str, no_leftovers: None
) -> None:
    archives = pack(synthetic, tmp_path / "in", form)
    before = {path: path.read_bytes() for path in archives}
    report = scan(archives, tmp_path / "out", Settings(mode=mode, processes=2))
    rows = media_rows(tmp_path / "out")
    assert differing(rows, media_rows(as_folder)) == []
    assert states(tmp_path / "out") == states(as_folder)
    assert {row["crc32_source"] for row in rows if row["crc32"]} == {"archive" if form.startswith("zip") else "read"}
    assert report["missing_parts"] == []
    assert {path: path.read_bytes() for path in archives} == before
    assert {path.name for path in (tmp_path / "in").iterdir()} == {path.name for path in archives}


def test_folders_zips_and_tgzs_are_parts_of_one_library(synthetic: Path, as_folder: Path, tmp_path: Path) -> None:
    zips, tgzs = (pack(synthetic, tmp_path / form, form) for form in ("zip", "tgz"))
    together = tmp_path / "in"
    together.mkdir()
    shutil.copy(zips[0], together)
    shutil.copy(tgzs[1], together)
    with zipfile.ZipFile(zips[2]) as archive:
        archive.extractall(together / f"{EXPORT}-003")
    report = scan(together, tmp_path / "out", SEQUENTIAL)
    assert differing(media_rows(tmp_path / "out"), media_rows(as_folder)) == []
    assert {zips[0].name, tgzs[1].name, f"{EXPORT}-003"} < set(report["parts"])
    assert {row["part"] for row in media_rows(tmp_path / "out")} == set(report["parts"]) - {"in"}


def test_a_given_scheduler_reads_archives_too(synthetic: Path, as_folder: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    archives = pack(synthetic, tmp_path / "in", "tgz", parts=2)
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        report = scan(archives, tmp_path / "out")
    assert report["mode"] == "client"
    assert differing(media_rows(tmp_path / "out"), media_rows(as_folder)) == []


def test_every_byte_is_compared_on_request(tmp_path: Path, synthetic: Path) -> None:
    archives = pack(synthetic, tmp_path / "in", "zip", parts=1)
    with zipfile.ZipFile(archives[0]) as archive:
        infos = [info for info in archive.infolist() if info.file_size > 4000]
    raw = bytearray(archives[0].read_bytes())
    photo, page = infos[len(infos) // 2], next(info for info in archive.infolist() if info.filename.endswith(".html"))
    for info in (photo, page):
        raw[info.header_offset + 30 + len(info.filename) + info.file_size - 9] ^= 1
    archives[0].write_bytes(raw)
    scan(archives, tmp_path / "out", Settings(mode="sequential", verify_archives=True))
    rows = media_rows(tmp_path / "out")
    (row,) = [row for row in rows if row["path"] == photo.filename]
    assert row["status"] == "failed"
    assert "crc" in {problem["kind"] for problem in row["problems"]}
    assert {row["crc32_source"] for row in rows if row["crc32"]} == {"read"}
    (file,) = [row for row in files_rows(tmp_path / "out") if row["path"] == page.filename]
    assert (file["state"], "CRC-32" in file["reason"]) == ("unreadable", True)


# Which archives are what


def photo(number: int) -> dict[str, bytes | dict[str, Any]]:
    name = f"Takeout/Google Photos/Photos from 2020/{number}.png"
    picture = io.BytesIO()
    Image.new("RGB", (number, 1)).save(picture, "png")
    return {
        name: picture.getvalue(),
        f"{name}.json": {"title": f"{number}.png", "photoTakenTime": {"timestamp": "1580702706"}},
    }


def one_zip(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in photo(number).items():
            at = zipfile.ZipInfo(name)  # whenever it is made, of one time
            archive.writestr(at, content if isinstance(content, bytes) else json.dumps(content))
    return path


def test_missing_parts_are_named_and_repeated_ones_count_once(tmp_path: Path, run: Run) -> None:
    first = one_zip(tmp_path / f"in/{EXPORT}-001.zip", 1)
    shutil.copy(first, tmp_path / f"in/{EXPORT}-001 (1).zip")
    one_zip(tmp_path / f"in/{EXPORT}-003.zip", 3)
    report = scan(sorted((tmp_path / "in").iterdir()), tmp_path / "out", SEQUENTIAL)
    assert report["missing_parts"] == [f"{EXPORT}-002"]
    assert [Path(path).name for path in report["repeated_parts"]] == [f"{EXPORT}-001 (1).zip"]
    assert (report["listed"], report["media"]) == (4, 2)
    done = run("scan", *sorted((tmp_path / "in").iterdir()), "-o", tmp_path / "again", "--mode", "sequential")
    assert f"{EXPORT}-002" in done.stdout
    assert f"{EXPORT}-001 (1).zip" in done.stdout + done.stderr


@pytest.mark.parametrize("form", ["tgz", "tar"])
def test_a_damaged_download_does_not_stand_in_for_a_whole_one_of_its_size(
    synthetic: Path, as_folder: Path, tmp_path: Path, form: str
) -> None:
    (first,) = pack(synthetic, tmp_path / "in", form, parts=1)
    shutil.copy(first, tmp_path / f"in/{EXPORT}-001 (1).{form}")
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 3 : len(raw) // 3 + 2000] = bytes(2000)
    first.write_bytes(raw)
    report = scan(tmp_path / "in", tmp_path / "out", SEQUENTIAL)
    assert report["repeated_parts"] == []
    whole = {(row["path"], row["crc32"]) for row in media_rows(as_folder)}
    assert whole <= {(row["path"], row["crc32"]) for row in media_rows(tmp_path / "out")}


def test_a_dot_in_front_of_names_means_nothing(synthetic: Path, as_folder: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-C", synthetic, "-czf", tmp_path / "x.tgz", "."], check=True)
    scan(tmp_path / "x.tgz", tmp_path / "out", SEQUENTIAL)
    assert differing(media_rows(tmp_path / "out"), media_rows(as_folder)) == []
    assert states(tmp_path / "out") == states(as_folder)


def test_names_of_archives_decide_nothing_but_the_part(tmp_path: Path) -> None:
    tables = []
    for first, second in (("a", "b"), ("d", "c")):
        folder = tmp_path / first
        for name, number in ((first, 1), (second, 2)):
            path = one_zip(folder / f"{name}.zip", number)
            with zipfile.ZipFile(path, "a") as archive:
                at = zipfile.ZipInfo("Takeout/Google Photos/Photos from 2020/same.jpg")  # else it is of now, in both
                archive.writestr(at, f"photo {number}")
        scan(folder, tmp_path / "out", SEQUENTIAL)
        tables.append(
            [
                {k: v for k, v in row.items() if k not in ("part", "problems", "made_from")}
                for row in media_rows(tmp_path / "out")
            ]
        )
    assert tables[0] == tables[1]


def test_work_that_cannot_be_read_back_ends_the_run_and_blames_no_file(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.problems import OutputError
    from pipeline.storage import known

    archives = pack(synthetic, tmp_path / "in", "tgz", parts=1)
    walk = known.walk_known

    def and_then_spoil(folder: str, part: Any) -> Any:
        yield from walk(folder, part)
        (spoilt,) = Path(folder).glob("*.parquet")
        spoilt.write_bytes(b"nothing")

    monkeypatch.setattr("pipeline.storage.library.walk_known", and_then_spoil)
    with pytest.raises(OutputError, match="cannot read"):
        scan(archives, tmp_path / "out", SEQUENTIAL)
    assert not (tmp_path / "out/media").exists()


def test_many_large_sidecars_in_a_small_archive_do_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    blank = b"{" + b" " * (7 << 20) + b"}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(40):
            (name, picture), _ = photo(number + 1).items()
            archive.writestr(name, picture if isinstance(picture, bytes) else b"")
            archive.writestr(f"{name}.json", blank)
    program = (
        "import sys; from pipeline import Settings; from pipeline.api import scan\n"
        "scan(sys.argv[1], sys.argv[2], Settings(mode='sequential'))\n"
        # not getrusage's, which is that of the program that started it, if that had more
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')))\n"
    )
    command = [sys.executable, "-c", program, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 900_000  # kilobytes


def test_zips_in_a_folder_called_takeout_are_parts(tmp_path: Path) -> None:
    one_zip(tmp_path / f"Takeout/{EXPORT}-001.zip", 1)
    write_tree(tmp_path / "Takeout", {"Drive/backup.zip": b"", "other.zip": b""})
    report = scan(tmp_path / "Takeout", tmp_path / "out", SEQUENTIAL)
    assert report["media"] == 1
    assert report["counts"]["files"]["ignored"] == 2


def test_few_descriptors_are_enough_for_many_parts_and_none_stays_open(tmp_path: Path) -> None:
    for number in range(1, 81):
        one_zip(tmp_path / f"in/{EXPORT}-{number:03d}.zip", number)
    program = (
        "import os, sys, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from pipeline import Settings; from pipeline.api import scan\n"
        "print(scan(sys.argv[1], sys.argv[2], Settings(mode='sequential'))['media'])\n"
        "print([name for name in map(os.readlink, (f'/proc/self/fd/{n}' for n in range(64) "
        "if os.path.exists(f'/proc/self/fd/{n}'))) if '.zip' in name])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "in"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["80", "[]"], done.stderr


def test_two_downloads_of_a_part_that_differ_are_both_read(tmp_path: Path) -> None:
    first = one_zip(tmp_path / f"in/{EXPORT}-001.zip", 1)
    cut = tmp_path / f"in/{EXPORT}-001 (1).zip"
    cut.write_bytes(first.read_bytes()[:-30])
    report = scan(tmp_path / "in", tmp_path / "out", SEQUENTIAL)
    assert (report["media"], report["repeated_parts"]) == (1, [])
    assert report["counts"]["files"] == {"media": 1, "sidecar": 1, "ignored": 2, "unreadable": 1}


def test_two_exports_are_refused_unless_they_are_to_be_merged(tmp_path: Path, run: Run) -> None:
    one_zip(tmp_path / f"{EXPORT}-001.zip", 1)
    one_zip(tmp_path / "takeout-20250101T000000Z-3-001.zip", 2)
    inputs = sorted(tmp_path.glob("*.zip"))
    done = run("scan", *inputs, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert EXPORT in done.stderr
    assert "--merge" in done.stderr
    assert not (tmp_path / "out").exists()
    assert run("scan", *inputs, "-o", tmp_path / "out", "--merge").returncode == 0
    assert len(media_rows(tmp_path / "out")) == 2
    assert run("plan", *inputs, "--merge").returncode == 0


@pytest.mark.parametrize("name", ["x.zip", f"{EXPORT}-001.zip"])
def test_results_are_called_after_the_export(tmp_path: Path, run: Run, name: str) -> None:
    assert run("scan", one_zip(tmp_path / name, 1)).returncode == 0
    (folder,) = (tmp_path / "results").iterdir()
    assert folder.name == ("x" if name == "x.zip" else EXPORT)


def test_what_is_no_archive_is_refused_by_name(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.jpg": b"\xff\xd8"})
    with pytest.raises(InputError, match=r"a\.jpg is not a folder, nor a zip"):
        Library.of([tmp_path / "a.jpg"])


def test_plan_and_explain_work_on_archives(synthetic: Path, as_folder: Path, tmp_path: Path) -> None:
    row = next(
        row for row in media_rows(as_folder) if row["sidecar_rule"] == "supplemental" and row["exif_taken_local"]
    )
    in_folder = explain(row["path"], synthetic)
    for form in ("zip", "tgz"):
        archives = pack(synthetic, tmp_path / form, form, parts=1)
        found = plan(archives, SEQUENTIAL)
        assert (found["media"], found["states"]) == (plan(synthetic, SEQUENTIAL)["media"], plan(synthetic)["states"])
        explained = explain(row["path"], archives[0])
        assert explained["sidecar"] == in_folder["sidecar"]
        assert explained["date"] == in_folder["date"]


def test_a_photo_of_a_zip_costs_its_head_and_a_video_its_moov(tmp_path: Path) -> None:
    from pipeline.synthetic import make_library

    library = tmp_path / "library"
    make_library(library, files=60, seed=3, image_bytes=2_000_000, video_bytes=3_000_000, corrupt_share=0)
    (archive,) = pack(library, tmp_path / "in", "zip", parts=1)
    program = (
        "import sys; from pipeline import Settings; from pipeline.api import scan\n"
        "scan(sys.argv[1], sys.argv[2], Settings(mode='sequential'))\n"
        "print([line for line in open('/proc/self/io') if line.startswith('rchar')][0].split()[1])\n"
    )

    def read(*arguments: object) -> int:
        return int(
            subprocess.run(
                [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, check=True
            ).stdout
        )

    nothing = one_zip(tmp_path / "nothing.zip", 1)
    spent = read(archive, tmp_path / "out") - read(nothing, tmp_path / "out2")
    assert spent < 0.05 * archive.stat().st_size


def test_a_tar_says_what_it_has_not_read(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library", photo(1))
    sparse = library / "Takeout/Google Photos/Photos from 2020/holes.jpg"
    with sparse.open("wb") as file:
        file.write(b"\xff\xd8" + bytes(4000))
        file.truncate(1 << 20)
    subprocess.run(["tar", "-C", library, "-czSf", tmp_path / "x.tgz", "Takeout"], check=True)
    scan(tmp_path / "x.tgz", tmp_path / "out", SEQUENTIAL)
    (row,) = [row for row in files_rows(tmp_path / "out") if row["state"] == "unreadable"]
    assert (row["path"].endswith("holes.jpg"), "holes" in row["reason"]) == (True, True)


def test_how_a_large_compressed_photo_ends_is_looked_at_only_on_request(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.effect_noise((900, 900), 90).convert("RGB").save(picture, "jpeg", quality=95)
    cut = picture.getvalue()[:-500]
    assert len(cut) > 300_000
    library = write_tree(tmp_path / "library", {"Takeout/Google Photos/Photos from 2020/cut.jpg": cut})
    kinds = {}
    for form in ("zip", "zip-deflated", "tgz"):
        (archive,) = pack(library, tmp_path / form, form, parts=1)
        for whole in (False, True):
            scan(archive, tmp_path / "out", Settings(mode="sequential", verify_archives=whole))
            kinds[form, whole] = [each["kind"] for each in media_rows(tmp_path / "out")[0]["problems"]]
    assert kinds.pop(("zip-deflated", False)) == []
    assert set(map(tuple, kinds.values())) == {("truncated",)}


def test_hard_links_in_a_tar_are_the_files_that_they_link_to(tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library", photo(1))
    original = library / "Takeout/Google Photos/Photos from 2020/1.png"
    os.link(original, original.with_name("2.png"))
    (archive,) = pack(library, tmp_path / "in", "tgz", parts=1)
    with tarfile.open(archive) as tar:
        assert any(member.islnk() for member in tar)
    scan(archive, tmp_path / "out", SEQUENTIAL)
    scan(library, tmp_path / "out2", SEQUENTIAL)
    assert differing(media_rows(tmp_path / "out"), media_rows(tmp_path / "out2")) == []


# Damage


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad") / "bad"
    tool = Path(__file__).with_name("bad_inputs.py")
    subprocess.run(
        [sys.executable, tool, folder, "--only", "control,archives,specials"], check=True, capture_output=True
    )
    return folder


#: Archives of which nothing is lost that a problem could tell of, and why.
WHOLE = {
    "zip_lzma.zip": "read",
    "zip_no_members.zip": "nothing is in it",
    "zip_in_zip.zip": "the inner one is listed as any file is",
    "zip_suffix_junk.zip": "what stands behind it is no part of it",
    "zip_folder_with_photo_name.zip": "a folder is no file",
    "zip_symlink.zip": "the link is listed",
    "zip_name_not_utf8.zip": "names are kept byte for byte",
    "tgz_named.zip": "read by content",
    "zip_named.tgz": "read by content",
    "tar_named.tgz": "read by content",
    "tgz_end_mark_in_middle.tgz": "what follows is read",
    "tgz_links.tgz": "the links are listed",
    "tgz_devices.tgz": "the devices are listed",
    "takeout-20200203T040506Z-003.zip": "what it lacks is in another part",
}


def test_every_bad_archive_ends_as_is_due(bad: Path, tmp_path: Path) -> None:
    items = json.loads((bad / "manifest.json").read_text("utf-8"))["items"]
    archives = [item for item in items if item["kind"] == "archive"]
    assert len(archives) > 45
    (secret,) = (bad / "outside").glob("secret.jpg")
    for item in archives:
        path, results = bad / item["name"], tmp_path / "results"
        before = path.read_bytes()
        report = scan(path, results, Settings(mode="sequential", verify_archives=True))
        assert verify(results)["damaged"] == 0, path.name  # nothing has changed since
        assert path.read_bytes() == before
        media = {row["path"]: row for row in media_rows(results)}
        files = files_rows(results)
        assert sum(report["counts"]["files"].values()) == report["listed"] == len(files)
        told = [row for row in files if row["state"] == "unreadable"] + [
            row for row in media.values() if row["status"] != "ok"
        ]
        if item["row"] == "data":
            assert not told, path.name
            assert media
        elif path.name not in WHOLE:
            assert told, path.name
        for row in told:
            assert row.get("reason") or row.get("problems"), path.name
        for name, due in item.get("members", {}).items():
            row = media.get(name) or media.get(f"Takeout/{name}") or next(f for f in files if f["path"].endswith(name))
            if due == "data":
                assert "ok" in {row["status"] for row in media_rows(results) if row["path"] == name}, (path.name, name)
                assert len(row["crc32"]) == 8
            elif due == "error":
                assert row.get("status") == "failed" or row.get("state") == "unreadable", (path.name, name)
        assert f"{zlib.crc32(secret.read_bytes()):08x}" not in {row["crc32"] for row in media.values()}


def test_all_bad_archives_together_are_one_library(bad: Path, tmp_path: Path, run: Run) -> None:
    archives = sorted((bad / "archives").iterdir())
    done = run("scan", *archives, "-o", tmp_path / "out", "--mode", "parallel", "--processes", 2, "--json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert "takeout-20200203T040506Z-002" in report["missing_parts"]
    assert report["listed"] == len(files_rows(tmp_path / "out"))
    in_folder = scan(bad / "archives", tmp_path / "out2", SEQUENTIAL)
    assert (in_folder["listed"], in_folder["media"]) == (report["listed"], report["media"])


def test_a_part_that_changes_while_it_is_read_is_a_problem_of_the_part(
    synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = pack(synthetic, tmp_path / "in", "zip", parts=2)
    walk = Library.walk

    def and_then_cut(library: Library) -> Any:
        yield from walk(library)
        os.truncate(archives[0], archives[0].stat().st_size // 2)
        archives[1].unlink()

    monkeypatch.setattr(Library, "walk", and_then_cut)
    report = scan(archives, tmp_path / "out", SEQUENTIAL)
    reasons = {row["path"]: row["reason"] for row in files_rows(tmp_path / "out") if row["state"] == "unreadable"}
    assert "changed" in reasons[archives[0].name]
    assert "vanished" in reasons[archives[1].name]
    assert report["listed"] == len(files_rows(tmp_path / "out"))
    assert {row["status"] for row in media_rows(tmp_path / "out") if row["part"] == archives[0].name} == {"failed"}


def test_a_size_that_no_table_holds_costs_its_member_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    names = [f"Takeout/Google Photos/Photos from 2020/{name}.jpg" for name in "ab"]
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"\xff\xd8\xff\xd9")
    data = bytearray(path.read_bytes())
    entry, end = data.find(b"PK\x01\x02"), data.rfind(b"PK\x05\x06")
    extra = struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1)  # zip64: both sizes
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(extra))
    struct.pack_into("<II", data, entry + 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<H", data, entry + 30, len(extra))
    data[entry + 46 + len(names[0]) : entry + 46 + len(names[0])] = extra
    path.write_bytes(data)
    scan(path, tmp_path / "out", Settings(mode="sequential"))
    found = {row["path"]: row for row in files_rows(tmp_path / "out")}
    assert (found[names[0]]["state"], found[names[0]]["size"]) == ("unreadable", None)
    assert found[names[1]]["state"] == "media"
