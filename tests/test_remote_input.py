"""Libraries behind URLs, scanned over a real S3 API, SFTP and HTTP."""

import json
import os
import pickle
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError

from pipeline import Settings, open_library
from pipeline.alone import Task, rows_alone
from pipeline.api import explain, plan, scan, verify
from pipeline.graph import Reading
from pipeline.item import Entry
from pipeline.limits import NONE
from pipeline.path_map import PathMap
from pipeline.preparing import list_library, pair_library
from pipeline.problems import MediaError, RunError, UsageError
from pipeline.progress import Silent
from pipeline.storage import remote
from pipeline.storage.archives import Stamp
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef
from pipeline.storage.objects import Ahead, ObjectArchive
from pipeline.storage.parts import InputError, Part, Refused, part_of, source_of, why_closed
from pipeline.synthetic import make_library
from tests.conftest import Run, files_rows, media_rows, write_tree
from tests.servers import KEY, S3, SECRET, can_serve_folders, environment, plain_http, rclone_serving

#: Columns in which the same library may differ: of where it is, and when an object was written.
ELSEWHERE = {"part", "modified_at", "made_from"}
SEQUENTIAL = Settings(mode="sequential")


@dataclass
class Uploaded:
    """One library, local and in a bucket, and what a scan of the local one gives."""

    local: Path
    bucket: str
    results: Path

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.local.rglob("*") if path.is_file())


def differences(one: Path, other: Path) -> list[tuple[str, str, Any, Any]]:
    """What the rows of two results say differently of the same files."""
    found = []
    for read in (media_rows, files_rows):
        ours, theirs = read(one), read(other)
        assert len(ours) == len(theirs)
        for mine, yours in zip(ours, theirs, strict=True):
            found += [
                (str(mine["path"]), name, mine[name], yours[name])
                for name in mine
                if name not in ELSEWHERE and mine[name] != yours[name]
            ]
    return found


@pytest.fixture(scope="session")
def uploaded(s3_session: S3, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Uploaded]:
    """The same library in each layout, uploaded once."""
    found: dict[str, Uploaded] = {}

    def make(layout: str) -> Uploaded:
        if layout not in found:
            folder = tmp_path_factory.mktemp(layout)
            make_library(
                folder / "in",
                files=24,
                seed=3,
                image_bytes=60_000,
                video_bytes=5_000_000,
                layout=layout,
                parts=2,
                corrupt_share=0.1,
            )
            scan(folder / "in", folder / "out", SEQUENTIAL)
            found[layout] = Uploaded(folder / "in", s3_session.bucket(folder / "in"), folder / "out")
        return found[layout]

    return make


Upload = Callable[[str], Uploaded]


def test_a_bucket_of_zips_gives_the_rows_of_the_zips_and_a_second_scan_reads_listings_and_directories(
    s3: S3, uploaded: Upload, run: Run, tmp_path: Path
) -> None:
    zips = uploaded("zip")
    done = run("scan", zips.url, "-o", "out", "--mode", "parallel", "--processes", 2, "--json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert differences(tmp_path / "out", zips.results) == []
    assert s3.proxy.received < zips.size / 4  # photos of 60 kB: at 3 MB it is a fiftieth
    assert report["sources"][0]["address"] == zips.url
    assert report["threads"] >= 16
    s3.proxy.reset()
    again = scan(zips.url, tmp_path / "out", SEQUENTIAL)
    assert again["mode"] == "unchanged" or again["taken_over"] == again["media"]
    assert s3.proxy.received < 200_000


def test_requests_for_a_photo_are_its_beginning_and_its_end_with_its_sidecar(
    s3: S3, tmp_path: Path, uploaded: Upload
) -> None:
    zips = uploaded("zip")
    report = scan(zips.url, tmp_path / "out", SEQUENTIAL)
    asked = s3.proxy.methods()["GET"]
    assert asked < 3 * report["media"] + 30


def test_no_more_requests_are_under_way_than_there_are_threads(s3: S3, tmp_path: Path) -> None:
    """Those of who reads and those of who fetches ahead, together."""
    make_library(tmp_path / "in", files=40, seed=7, image_bytes=60_000, layout="zip", parts=2)
    bucket = s3.bucket(tmp_path / "in")
    s3.proxy.latency = 0.02
    scan(f"s3://{bucket}", tmp_path / "out", Settings(mode="sequential", threads=3, shard_files=10))
    assert s3.proxy.most_at_once == 3


def test_what_is_no_longer_fetched_ahead_is_read_by_whoever_wants_it(s3: S3, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(3 << 20)
    (tmp_path / "a.zip").write_bytes(b"PK\3\4" + data)
    url = f"s3://{s3.bucket(tmp_path)}/a.zip"
    archive = ObjectArchive(url, remote.stamp_of(url))
    places = [(number << 20, (number << 20) + 1_000) for number in range(3)]
    under_way, go_on = threading.Event(), threading.Event()

    def before(number: int, line: str) -> None:
        under_way.set()
        s3.proxy.latency = 0.0 if go_on.is_set() else 0.2

    s3.proxy.before = before
    with ThreadPoolExecutor(len(places)) as readers:
        with Ahead(1) as ahead:
            archive.want(places, ahead)  # the first of which takes its time
            assert under_way.wait(10)
            found = [readers.submit(archive.read_at, start, end - start) for start, end in places]
            go_on.set()
        assert [each.result(10) for each in found] == [(b"PK\3\4" + data)[start:end] for start, end in places]
    assert [archive.read_at(start, end - start) for start, end in places] == [each.result() for each in found]


def test_what_is_wanted_is_fetched_in_its_order_and_nothing_behind_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[int, int]] = []

    def read(_archive: ObjectArchive, start: int, length: int) -> bytes:
        fetched.append((start, length))
        return bytes(length)

    monkeypatch.setattr(ObjectArchive, "_read", read)
    size = 10 << 20
    archive = ObjectArchive("s3://bucket/a.zip", Stamp(1, size, 1, tag="1"))
    with Ahead(1) as ahead:
        starts = [at for number in range(3) for at in (number << 20, (number << 20) + 100)]
        archive.want([*((at, at + 50) for at in starts), (size, size + 256), (size + 9, size + 256)], ahead)
        assert [len(archive.read_at(at, 50)) for at in starts] == [50] * 6
    assert fetched == [(0, 150), (1 << 20, 150), (2 << 20, 150)]
    archive.close()


def test_an_archive_that_is_not_asked_for_by_its_tag_is_looked_at_when_it_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed, now = (Stamp(number, 100, number, tag=f"{number}") for number in (1, 2))
    monkeypatch.setattr(remote, "stamp_of", lambda url: now)
    for scheme in ("gs", "az", "sftp"):
        assert ObjectArchive(f"{scheme}://bucket/a.zip", now).size == 100
        with pytest.raises(MediaError, match="changed"):
            ObjectArchive(f"{scheme}://bucket/a.zip", listed)


def forget_connections() -> None:
    """Have the service be looked for anew."""
    remote._filesystem("s3", "", os.getpid()).clear_instance_cache()
    remote._filesystem.cache_clear()


def test_a_server_that_heeds_no_tags_gives_nothing_of_an_archive_that_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "bucket/a.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"A" * 100)
    with rclone_serving("s3", tmp_path, "--auth-key", f"{KEY},{SECRET}", "--dir-cache-time", "0s") as port:
        for name, value in environment(f"http://127.0.0.1:{port}").items():
            monkeypatch.setenv(name, value)
        forget_connections()
        opened = ObjectArchive("s3://bucket/a.zip", remote.stamp_of("s3://bucket/a.zip"))
        assert opened.read_at(0, 3) == b"AAA"
        opened.close()
        archive.write_bytes(b"B" * 100)
        with pytest.raises(MediaError, match="changed"):
            opened.read_at(0, 3)
    forget_connections()


def test_the_memory_of_a_file_is_beside_that_of_all_threads(s3: S3, tmp_path: Path, run: Run) -> None:
    make_library(tmp_path / "in", files=160, seed=7, image_bytes=60_000, layout="zip", parts=2)
    s3.proxy.latency = 0.2
    url = f"s3://{s3.bucket(tmp_path / 'in')}"
    done = run("scan", url, "-o", "out", "--mode", "parallel", "--processes", 1, "--threads", 40, "--file-mb", 128)
    assert done.returncode in (0, 3), done.stderr


def test_a_library_goes_to_workers_elsewhere_with_the_signature_that_was_given_last() -> None:
    for query in ("?signature=one", "?signature=other"):
        part = Part("a.zip", "https://example.org/a.zip", "zip", stamp=Stamp(1, 1, 1), query=query)
        there = PathMap.of(["/in=/there"])
        graph = Reading(Library((part,)), "/work/manifest", "/work/shards", "", 4, False, False, elsewhere=there)
        assert query.encode() in pickle.dumps(dict(graph([ShardRef("0", 0, 1, 0)]).dask))


@pytest.mark.parametrize("layout", ["tgz", "folder"])
def test_archives_and_folders_in_a_bucket_give_the_rows_of_local_ones(
    s3: S3, uploaded: Upload, tmp_path: Path, layout: str
) -> None:
    there = uploaded(layout)
    report = scan(there.url, tmp_path / "out", SEQUENTIAL)
    assert differences(tmp_path / "out", there.results) == []
    assert s3.proxy.received < 1.3 * there.size
    s3.proxy.reset()
    again = scan(there.url, tmp_path / "out", SEQUENTIAL)
    assert again["taken_over"] == report["media"]
    assert s3.proxy.received < there.size / 4


def test_what_fails_on_the_way_is_read_again(s3: S3, uploaded: Upload, tmp_path: Path) -> None:
    zips = uploaded("zip")
    kinds = {3: "503", 5: "reset", 7: "cut", 11: "short", 13: "500"}
    s3.proxy.fault = lambda number, line: kinds.get(number % 17)
    scan(zips.url, tmp_path / "out", SEQUENTIAL)
    assert differences(tmp_path / "out", zips.results) == []


def test_pieces_are_asked_for_by_an_address_that_is_signed_once_and_else_one_by_one(
    s3: S3, uploaded: Upload, tmp_path: Path
) -> None:
    zips = uploaded("zip")

    def signed() -> list[str]:
        return [line for line in s3.proxy.lines if "X-Amz-Signature=" in line]

    report = scan(zips.url, tmp_path / "signed", SEQUENTIAL)
    assert len(signed()) > report["media"] // 2  # what lies close together comes by one request
    assert len({line.partition("X-Amz-Signature=")[2] for line in signed()}) <= 2 * len(
        report["parts"]
    )  # two processes
    assert "Signature" not in (tmp_path / "signed" / "run.json").read_text()
    remote._addresses.clear()
    s3.proxy.reset()
    s3.proxy.fault = lambda number, line: "403" if "X-Amz-Signature=" in line else None
    scan(zips.url, tmp_path / "each", SEQUENTIAL)
    assert 0 < len(signed()) <= 32 + 2 * len(report["parts"])  # each thread may have asked before one was refused
    for results in ("signed", "each"):
        assert differences(tmp_path / results, zips.results) == []


def test_an_object_that_is_refused_is_unreadable_and_tried_again(s3: S3, uploaded: Upload, tmp_path: Path) -> None:
    there = uploaded("folder")
    row = next(row for row in media_rows(there.results) if row["status"] == "ok" and row["name"].isascii())
    name = str(row["name"])
    s3.proxy.fault = lambda number, line: "403" if line.startswith("GET") and f"{name} " in line else None
    scan(there.url, tmp_path / "out", SEQUENTIAL)
    (refused,) = (each for each in media_rows(tmp_path / "out") if each["path"] == row["path"])
    assert [problem["kind"] for problem in refused["problems"]] == ["unreadable"]
    s3.proxy.reset()
    scan(there.url, tmp_path / "out", SEQUENTIAL)
    assert differences(tmp_path / "out", there.results) == []


def test_a_server_that_goes_away_ends_the_run_which_goes_on_later(
    s3: S3, uploaded: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zips = uploaded("zip")
    monkeypatch.setattr(remote, "TRIES", 2)
    s3.proxy.fault = lambda number, line: "reset" if number > 20 else None
    with pytest.raises(RunError, match=r"does not answer any more.*goes on from there"):
        scan(zips.url, tmp_path / "out", Settings(mode="sequential", shard_files=4))
    s3.proxy.reset()
    scan(zips.url, tmp_path / "out", SEQUENTIAL)
    assert differences(tmp_path / "out", zips.results) == []


def test_a_server_that_never_answers_is_given_up(s3: S3, uploaded: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    zips = uploaded("zip")
    for name, value in (("SILENT", 1), ("ANSWERED", 2), ("TRIES", 2)):
        monkeypatch.setattr(remote, name, value)
    remote._filesystem.cache_clear()
    s3.proxy.fault = lambda number, line: "silent"
    with pytest.raises(InputError, match=r"no answer came|cannot be reached"):
        Library.of([zips.url])
    remote._filesystem.cache_clear()


def test_members_of_an_archive_that_is_replaced_meanwhile_are_changed_and_never_mixed(s3: S3, tmp_path: Path) -> None:
    make_library(tmp_path / "in", files=24, seed=4, image_bytes=50_000, layout="zip", parts=1)
    (archive,) = (tmp_path / "in").glob("*.zip")
    bucket = s3.bucket(tmp_path / "in")
    data = bytearray(archive.read_bytes())
    other = bytes(data[:-22]) + bytes(data[-22:])
    with zipfile.ZipFile(archive) as opened:
        first = opened.infolist()[0]
    data[first.header_offset + 200] ^= 0xFF  # another content of the same size
    replaced: list[int] = []

    def before(number: int, line: str) -> None:
        if number == 10 and not replaced:
            replaced.append(number)
            s3.put(bucket, archive.name, bytes(data))

    s3.proxy.before = before
    scan(f"s3://{bucket}", tmp_path / "out", SEQUENTIAL)
    assert replaced
    kinds = {problem["kind"] for row in media_rows(tmp_path / "out") for problem in row["problems"]}
    assert "changed" in kinds
    assert any("has changed" in str(row["reason"]) for row in files_rows(tmp_path / "out"))
    s3.put(bucket, archive.name, other)
    scan(tmp_path / "in", tmp_path / "local", SEQUENTIAL)
    scan(f"s3://{bucket}", tmp_path / "out", SEQUENTIAL)
    assert differences(tmp_path / "out", tmp_path / "local") == []


ODD = (
    "Takeout/Google Photos/a b+c%20d#e?f&g.jpg",
    "Takeout/Google Photos//twice.jpg",
    "Takeout/Google Photos/../up.jpg",
    "Takeout/Google Photos/back\\slash.jpg",
    "Takeout/Google Photos/è\u202e\u0007.jpg",
    "Takeout/Google Photos/a::b?versionId=1.jpg",
    "Takeout/Google Photos/'\"<x>;.jpg",
)


def test_keys_may_be_anything_and_more_than_a_page(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAGE", 4)
    bucket = s3.bucket()
    for number, key in enumerate(ODD):
        s3.put(bucket, f"in/{key}", b"GIF89a" + bytes([number + 1, 0, 1, 0, 0, 0, 0]) + b";")
    s3.put(bucket, "in/Takeout/Google Photos/", b"")
    s3.put(bucket, "in/Takeout/Google Photos/odd/", b"content")
    s3.put(bucket, "other/Takeout/Google Photos/c.jpg", b"x")
    report = scan(f"s3://{bucket}/in/", tmp_path / "out", SEQUENTIAL)
    assert report["listed"] == len(ODD) + 1
    rows = {row["path"]: row for row in media_rows(tmp_path / "out")}
    assert {row["size"] for row in rows.values()} == {14}
    assert {row["width"] for row in rows.values()} == set(range(1, len(ODD) + 1))


def test_parts_of_urls_and_paths_together_are_found_again_by_what_was_written_down(s3: S3, tmp_path: Path) -> None:
    local = write_tree(tmp_path / "here", {"Takeout/Google Photos/a.jpg": b"a"})
    bucket = s3.bucket(
        write_tree(
            tmp_path / "there",
            {
                "takeout-20240101T000000Z-001/Takeout/Google Photos/b.jpg": b"b",
                "takeout-20240101T000000Z-002/Takeout/Google Photos/c.jpg": b"c",
                "takeout-20240101T000000Z-003/Takeout 2/Google Photos/d.jpg": b"d",
                "notes.txt": b"e",
            },
        )
    )
    library = Library.of([local, f"s3://{bucket}"])
    listed = {each.path for each in library.walk() if isinstance(each, Entry)}
    photos = {f"Takeout/Google Photos/{name}.jpg" for name in "abcd"}
    assert listed == photos | {"Takeout/notes.txt"}
    assert [part_of(source_of(part)) for part in library.parts] == list(library.parts)
    assert all(why_closed(part) is None for part in library.parts)
    gone = source_of(library.parts[-1]) | {"address": f"s3://{bucket}/gone"}
    assert isinstance(why_closed(part_of(gone)), FileNotFoundError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("s3://no-such-bucket-here/x", "there is no such bucket, folder or file"),
        ("s3://key:secret@bucket/x", "a password in a URL"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("nowhere://x/y", "no such URLs can be read"),
        ("http://127.0.0.1:1/x.zip", "cannot be reached"),
        ("s3://bucket/in s3://bucket/in/", "given twice"),
        ("s3://bucket/in s3://bucket/in/Takeout", "is inside"),
    ],
)
def test_urls_that_cannot_be_used(s3: S3, given: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TRIES", 1)
    with pytest.raises(UsageError, match=message) as raised:
        Library.of(given.split())
    assert "secret" not in str(raised.value)


def test_what_is_denied_and_what_is_not_installed_is_said(
    s3: S3, uploaded: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    zips = uploaded("zip")
    s3.proxy.fault = lambda number, line: "403"
    with pytest.raises(InputError, match="access is denied"):
        Library.of([zips.url])
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=r"takeout-index\[gs\]"):
        Library.of(["gs://bucket/x"])


@pytest.mark.skipif(not can_serve_folders(), reason="rclone is not installed")
def test_a_service_that_gives_the_check_sum_of_all_with_a_piece_is_read(
    uploaded: Upload, run: Run, tmp_path: Path
) -> None:
    zips = uploaded("zip")
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    with rclone_serving("s3", tmp_path / "store", "--auth-key", f"{KEY},{SECRET}") as port:
        address = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )
        for path in zips.local.iterdir():
            client.put_object(Bucket="bucket", Key=path.name, Body=path.read_bytes(), ChecksumAlgorithm="CRC32")
        environ = os.environ | environment(address)
        done = run("scan", "s3://bucket", "-o", "out", "--mode", "sequential", env=environ)
        assert done.returncode == 3, done.stderr
        assert differences(tmp_path / "out", zips.results) == []
        chosen = environ | {"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"}
        refused = run("scan", "s3://bucket", "-o", "other", env=chosen)
        assert refused.returncode == 2
        assert "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required" in refused.stderr


def test_what_the_users_configuration_says_of_a_service_counts_beside_ours(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    bucket = s3.bucket()
    s3.put(bucket, "takeout-001.zip", b"PK\5\6" + bytes(18))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_supported")
    told = {"endpoint_url": s3.environment["AWS_ENDPOINT_URL"], "config_kwargs": {"user_agent_extra": "anna"}}
    monkeypatch.setitem(fsspec.config.conf, "s3", told)
    remote._filesystem.cache_clear()
    try:
        assert Library.of([f"s3://{bucket}"]).parts
        config = remote.filesystem(f"s3://{bucket}")[0].config_kwargs
    finally:
        remote._filesystem.cache_clear()
    assert config["user_agent_extra"] == "anna"
    assert config["read_timeout"] == remote.SILENT
    assert config["request_checksum_calculation"] == "when_required"
    assert "response_checksum_validation" not in config


def test_without_credentials_nothing_is_tried_again(s3: S3, run: Run, tmp_path: Path) -> None:
    assert not remote.is_passing(NoCredentialsError())
    without = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    without |= {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    without["AWS_ENDPOINT_URL"] = s3.environment["AWS_ENDPOINT_URL"]
    for environ, said in ((without, "there are no credentials"), (without | {"AWS_PROFILE": "nobody"}, "nobody")):
        for places in (("s3://bucket/x", "-o", "out"), (str(tmp_path), "-o", "s3://bucket/x")):
            done = run("scan", *places, env=environ)
            assert done.returncode in (1, 2)
            assert said in done.stderr.splitlines()[-1]
    assert s3.proxy.requests == 0


def test_whatever_else_reads_a_library_reads_one_behind_urls(
    s3: S3, uploaded: Upload, tmp_path: Path, run: Run
) -> None:
    zips = uploaded("zip")
    assert plan(zips.url)["media"] == plan(zips.local)["media"]
    scan(zips.url, tmp_path / "out", Settings(mode="sequential", verify_archives=True))
    expected = verify(zips.results)
    assert verify(tmp_path / "out")["counts"] == expected["counts"]
    picture = next(row for row in media_rows(zips.results) if row["mime"] == "image/jpeg" and row["status"] == "ok")
    assert max(open_library(tmp_path / "out").thumbnail(picture["file_id"], 32).size) <= 32
    assert explain(picture["path"], zips.url)["path"] == picture["path"]
    assert run("diff", zips.results, tmp_path / "out").returncode in (0, 1)


def test_items_alone_are_read_by_processes_that_are_forked_after_a_connection_was_made(
    s3: S3, uploaded: Upload, tmp_path: Path
) -> None:
    there = uploaded("folder")
    library = Library.of([there.url])
    found = pair_library(list_library(library, Silent()), library, 4)  # over connections of this process
    items = [item._replace(shard=f"x-{item.file_id}", made_from="0" * 32) for item in islice(found.items(), 2)]
    (tmp_path / "shards").mkdir()
    done = rows_alone(items, Task(library, str(tmp_path / "shards"), False, False, NONE))
    assert [each.files for each in done] == [1] * len(items)


def test_a_zip_and_a_tgz_by_http_and_a_folder_by_sftp(
    uploaded: Upload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zips, tgzs = uploaded("zip"), uploaded("tgz")
    with rclone_serving("http", zips.local) as port:
        urls = [f"http://127.0.0.1:{port}/{path.name}?signature=secret" for path in sorted(zips.local.glob("*.zip"))]
        report = scan(urls, tmp_path / "zip", SEQUENTIAL)
        with pytest.raises(InputError, match=r"only as a whole|http cannot list a folder"):
            Library.of([f"http://127.0.0.1:{port}/"])
    assert differences(tmp_path / "zip", zips.results) == []
    assert "secret" not in json.dumps(report)
    with rclone_serving("http", tgzs.local) as port:
        scan(
            [f"http://127.0.0.1:{port}/{path.name}" for path in sorted(tgzs.local.glob("*.tgz"))],
            tmp_path / "tgz",
            SEQUENTIAL,
        )
    assert differences(tmp_path / "tgz", tgzs.results) == []
    with plain_http(zips.local) as port:
        name = next(zips.local.glob("*.zip")).name
        with pytest.raises(InputError, match="only as a whole"):
            Library.of([f"http://127.0.0.1:{port}/{name}"])


def test_a_scan_of_local_files_imports_nothing_that_reads_urls(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", {"Takeout/Google Photos/a.jpg": b"a"})
    program = (
        "import sys; from pipeline import scan, Settings; "
        "scan(sys.argv[1], sys.argv[2], Settings(mode='sequential')); "
        "print([name for name in ('pipeline.storage.objects', 'fsspec.asyn', 's3fs', 'aiohttp', 'paramiko') "
        "if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "in"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_listed_of_a_folder_that_vanishes_is_refused(s3: S3) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "Takeout/Google Photos/a.jpg", b"a")
    library = Library.of([f"s3://{bucket}"])
    s3.client.delete_object(Bucket=bucket, Key="Takeout/Google Photos/a.jpg")
    s3.client.delete_bucket(Bucket=bucket)
    (found,) = library.walk()
    assert isinstance(found, Refused)
    assert "cannot be listed" in found.reason
