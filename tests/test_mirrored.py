"""Results at a URL: published by a manifest, read back by everything that reads results, killed and disturbed at every step."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

import pipeline
from pipeline.api import explain, scan, verify
from pipeline.exporting import export
from pipeline.problems import OutputError, RunError, UsageError
from pipeline.report import report as make_page
from pipeline.settings import Settings
from pipeline.storage import remote
from pipeline.storage.mirrored import Mirror
from pipeline.storage.published import Published, parse_report
from pipeline.synthetic import make_library
from tests.conftest import Run
from tests.servers import KEY, S3, SECRET, environment, rclone_serving

ROOT = Path(__file__).parent.parent
SEQUENTIAL = Settings(mode="sequential")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("small") / "library"
    make_library(library, files=30, seed=5, image_bytes=2_000, video_bytes=4_000, corrupt_share=0)
    return library


@pytest.fixture
def library(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "library"))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Makes this process, and those that it starts, be on another machine: they have nothing of what others keep."""

    def on(machine: str) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache of {machine}"))

    on("one")
    yield on


def objects(s3: S3, bucket: str) -> dict[str, bytes]:
    """All that is in a bucket."""
    found = s3.client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {each["Key"]: s3.client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}


def check_whole(found: dict[str, bytes], prefix: str = "results/") -> dict[str, Any]:
    """What a bucket has is whole, by its manifest. Returns the report."""
    parsed = parse_report(found[f"{prefix}run.json"])
    assert parsed is not None
    for name, (size, crc32) in parsed[1].items():
        if "/" not in name:
            stem, _, ending = name.partition(".")
            name = f".by-content/{stem}-{crc32:08x}-{size}.{ending}"
        assert len(found[prefix + name]) == size
        assert published(found[prefix + name]) == (size, crc32)
    return parsed[0]


def published(data: bytes) -> Published:
    import zlib

    return Published(len(data), zlib.crc32(data))


def check_tidy(found: dict[str, bytes], prefix: str = "results/") -> None:
    """A bucket has what the manifest names, once more under plain names what has others, and nothing else."""
    parsed = parse_report(found[f"{prefix}run.json"])
    assert parsed is not None
    parts = {name for name in parsed[1] if "/" in name}
    singles = {"run.json", *(name for name in parsed[1] if "/" not in name)}
    by_content = {name for name in found if name.startswith(f"{prefix}.by-content/")}
    assert {name.removeprefix(prefix) for name in found.keys() - by_content} == parts | singles
    assert len(by_content) == len(singles) - 1
    for name in singles - {"run.json"}:
        assert published(found[prefix + name]) == parsed[1][name]


def change(library: Path) -> None:
    """Take a photo out of the library, and put another in."""
    photos = sorted(library.rglob("*.jpg"))
    photos[0].unlink()
    photos[1].with_name("new.jpg").write_bytes(photos[1].read_bytes())


def as_rows(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return sorted(rows, key=lambda row: str(row["file_id"]))


@pytest.mark.usefixtures("elsewhere")
def test_results_at_a_url_are_those_of_a_folder_for_all_who_read(
    s3: S3, small: Path, tmp_path: Path, run: Run, elsewhere: Callable[[str], None]
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    local = pipeline.scan(small, tmp_path / "local", SEQUENTIAL, quiet=True)
    done = run("scan", small, "-o", url, "--mode", "sequential")
    assert done.returncode in (0, 3), done.stderr
    assert f"results: {url}" in done.stdout
    found = objects(s3, bucket)
    assert check_whole(found)["output"] == url
    check_tidy(found)
    assert all(re.search(r"part-\d{5}-[0-9a-f]{8}\.parquet$", name) for name in found if name.endswith(".parquet"))
    package = json.loads(found["results/datapackage.json"])
    named = [resource["path"] for resource in package["resources"]]
    flat = {each for path in named for each in ([path] if isinstance(path, str) else path)}
    assert flat == {
        name.removeprefix("results/") for name in found if name.endswith((".parquet", "results/index.sqlite"))
    }

    elsewhere("two")
    there = pipeline.open_library(url)
    assert as_rows(there.arrow()) == as_rows(local.arrow())
    assert len(there.files()) == len(local.files())
    assert url in repr(there)
    assert url in there._repr_html_()
    elsewhere("three")
    path = there.media()["path"][0]
    elsewhere("three")
    assert pipeline.diff(tmp_path / "local", url)["differs"] == 0
    assert verify(url)["damaged"] == 0
    assert explain(path, url)["path"] == path
    assert not list((tmp_path / "cache of three").rglob("*.parquet"))  # the index is enough
    assert export(url, tmp_path / "rows.csv")["rows"] == len(there.media())
    with pytest.raises(UsageError, match="say with -o where the page is to be"):
        make_page(url)


def test_data_frames_read_the_parquet_in_the_bucket(s3: S3, small: Path, elsewhere: Callable[[str], None]) -> None:
    import dask.dataframe as dd
    import pandas as pd
    import s3fs

    bucket = s3.bucket()
    report = scan(small, f"s3://{bucket}/results", SEQUENTIAL)
    media = report["media"]
    files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    assert ds.dataset(f"{bucket}/results/media", filesystem=files, partitioning="hive").count_rows() == media
    frame = pd.read_parquet(f"s3://{bucket}/results/media", columns=["file_id", "taken_year"])
    assert len(frame) == media
    frame = pd.read_parquet(f"s3://{bucket}/results/files")
    assert len(frame) == report["listed"]
    lazy = dd.read_parquet(f"s3://{bucket}/results/media/**/*.parquet", columns=["file_id", "size"])
    assert len(lazy) == media


def test_what_has_not_changed_is_not_moved_again(s3: S3, library: Path, elsewhere: Callable[[str], None]) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(library, url, SEQUENTIAL)
    first = objects(s3, bucket)
    s3.proxy.reset()
    report = scan(library, url, SEQUENTIAL)
    assert report["mode"] == "unchanged"
    written = [line.split(" ")[1] for line in s3.proxy.lines if line.startswith("PUT")]
    assert [name.partition("?")[0].rpartition("/")[2] for name in written] == ["begun", "run.json"]
    assert s3.proxy.received < 4 * len(first["results/run.json"]) + 20_000
    second = objects(s3, bucket)
    assert {name for name in first if first[name] != second[name]} == {"results/run.json"}
    check_tidy(second)

    change(library)
    elsewhere("two")  # who has nothing yet fetches what is there, and goes on from that
    s3.proxy.reset()
    report = scan(library, url, SEQUENTIAL)
    assert report["mode"] == "sequential"
    assert report["taken_over"] == report["media"] - 1
    third = objects(s3, bucket)
    check_tidy(third)
    check_whole(third)
    kept = {name for name in third if name.endswith(".parquet") and name in second}
    assert kept
    assert not any(name.removeprefix("results/") in line for name in kept for line in s3.proxy.lines if "PUT" in line)
    index = sqlite3.connect(":memory:")
    index.deserialize(third["results/index.sqlite"])
    assert index.execute("SELECT count(*) FROM runs").fetchone() == (2,)

    elsewhere("one")  # where the results are those of two scans before
    report = scan(library, url, SEQUENTIAL)
    assert report["mode"] == "unchanged"


@pytest.mark.parametrize(
    "where",
    [
        r"PUT .*/media/",  # nothing is there yet
        r"PUT .*/\.by-content/index",
        r"PUT .*/run\.json",
        r"PUT .*/index\.sqlite",  # its copy: the new results count already
        r"(DELETE|POST) ",
    ],
)
def test_a_run_killed_while_it_publishes_leaves_the_old_results_or_the_new(
    s3: S3, library: Path, elsewhere: Callable[[str], None], where: str
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(library, url, SEQUENTIAL)
    old = check_whole(objects(s3, bucket))
    change(library)
    reached = threading.Event()

    def fault(number: int, line: str) -> str | None:
        if "/.work/" in line or not re.match(where, line):
            return None
        reached.set()
        return "silent"

    s3.proxy.reset()
    s3.proxy.fault = fault
    command = [sys.executable, "-m", "pipeline", "scan", str(library), "-o", url, "--mode", "sequential"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        assert reached.wait(60)
        process.send_signal(signal.SIGKILL)
    s3.proxy.reset()
    left = check_whole(objects(s3, bucket))
    is_new = "index\\.sqlite" in where or "DELETE" in where
    assert (left["started_at"] != old["started_at"]) == is_new
    # Others read what is there meanwhile, here too, and do no harm to what has not been published.
    assert pipeline.open_library(url).report["started_at"] == left["started_at"]
    report = scan(library, url, SEQUENTIAL)
    assert report["mode"] == "unchanged"  # it is not scanned again
    now = objects(s3, bucket)
    check_whole(now)
    check_tidy(now)
    assert report["media"] == left["media"] if is_new else True
    elsewhere("two")
    assert len(pipeline.open_library(url).media()) == report["media"]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("when", ["/media/", "/run.json"])
def test_of_two_who_publish_the_second_is_told_and_nothing_is_mixed(
    s3: S3, library: Path, elsewhere: Callable[[str], None], run: Run, tmp_path: Path, when: str, first: bool
) -> None:
    """Of two that are the first to publish there, or follow on earlier results: a condition keeps the manifest of the other."""
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    other = Path(shutil.copytree(library, tmp_path / "other"))
    change(other)
    if not first:
        scan(library, url, SEQUENTIAL)
        change(library)
    once: list[dict[str, Any]] = []

    def before(number: int, line: str) -> None:
        if line.startswith("PUT") and when in line and not once:
            once.append({})
            environment_there = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache of two")}
            environment_there["AWS_ENDPOINT_URL"] = s3.direct
            done = run("scan", other, "-o", url, "--mode", "sequential", "--json", env=environment_there)
            once[0] |= json.loads(done.stdout)

    s3.proxy.before = before
    done = run("scan", library, "-o", url, "--mode", "sequential")
    assert done.returncode == 1
    assert "another run has published" in done.stderr
    assert done.stdout == ""
    found = objects(s3, bucket)
    assert check_whole(found)["started_at"] == once[0]["started_at"]
    s3.proxy.reset()
    again = run("scan", library, "-o", url, "--mode", "sequential")
    assert again.returncode in (0, 3), again.stderr
    found = objects(s3, bucket)
    check_whole(found)
    check_tidy(found)


def test_a_manifest_that_is_written_is_not_taken_for_that_of_others_when_the_answer_is_lost(
    s3: S3, small: Path, elsewhere: Callable[[str], None]
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    lost: list[str] = []

    def fault(number: int, line: str) -> str | None:
        if line.startswith("PUT") and "/run.json" in line and not lost:
            lost.append(line)
            return "lost"
        return None

    for _ in range(2):
        s3.proxy.fault = fault
        scan(small, url, SEQUENTIAL)
        assert lost
        lost.clear()
    check_whole(objects(s3, bucket))


def test_a_manifest_that_is_removed_just_before_it_is_replaced_is_told(
    s3: S3, small: Path, elsewhere: Callable[[str], None]
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(small, url, SEQUENTIAL)

    def before(number: int, line: str) -> None:
        if line.startswith("PUT") and "/run.json" in line:
            s3.client.delete_object(Bucket=bucket, Key="results/run.json")

    s3.proxy.before = before
    with pytest.raises(OutputError, match="another run has published"):
        scan(small, url, SEQUENTIAL)
    s3.proxy.reset()
    scan(small, url, SEQUENTIAL)
    check_whole(objects(s3, bucket))


def test_a_conflict_is_asked_about_once_more(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/run.json"
    remote.replace_whole(url, b"one", None)
    _, tag = remote.read_tagged(url)
    s3.proxy.fault = lambda number, line: "409" if number == 1 else None
    s3.proxy.requests = 0
    remote.replace_whole(url, b"two", tag)
    assert remote.read_whole(url) == b"two"
    s3.proxy.requests = 0
    with pytest.raises(FileExistsError):
        remote.replace_whole(url, b"three", tag)
    assert remote.read_whole(url) == b"two"


def test_a_tag_of_what_is_merely_alike_is_no_condition(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    async def piece(*_: Any) -> remote.Piece:
        return remote.Piece(b"{}", 'W/"1"')

    monkeypatch.setattr(remote, "_s3_piece", piece)
    assert remote.read_tagged("s3://bucket/run.json") == (b"{}", "")


def test_a_store_that_knows_no_conditions_is_written_to_without(
    s3: S3, small: Path, elsewhere: Callable[[str], None]
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    refused: list[str] = []

    def fault(number: int, line: str) -> str | None:
        if line.startswith("PUT") and "/run.json" in line and not refused:
            refused.append(line)
            return "501"
        return None

    s3.proxy.fault = fault
    scan(small, url, SEQUENTIAL)
    assert refused
    check_whole(objects(s3, bucket))


def test_errors_in_passing_are_tried_again_and_others_keep_what_was_done(
    s3: S3, library: Path, elsewhere: Callable[[str], None], run: Run
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    s3.proxy.fault = lambda number, line: "503" if number % 7 == 3 else None
    scan(library, url, SEQUENTIAL)
    check_tidy(objects(s3, bucket))
    change(library)

    def lose(number: int, line: str) -> None:
        if line.startswith("PUT") and "/.by-content/index" in line:
            for key in objects(s3, bucket):
                s3.client.delete_object(Bucket=bucket, Key=key)
            s3.client.delete_bucket(Bucket=bucket)

    s3.proxy.reset()
    s3.proxy.before = lose
    done = run("scan", library, "-o", url, "--mode", "sequential")
    assert done.returncode == 1
    assert "the same command publishes them" in done.stderr
    assert done.stdout == ""
    s3.proxy.reset()
    s3.client.create_bucket(Bucket=bucket)
    done = run("scan", library, "-o", url, "--mode", "sequential", "--json")
    assert json.loads(done.stdout)["mode"] == "unchanged"
    check_tidy(objects(s3, bucket))


def test_places_that_cannot_be_written_are_refused_before_any_work(
    s3: S3, small: Path, elsewhere: Callable[[str], None], tmp_path: Path
) -> None:
    bucket = s3.bucket()
    with pytest.raises(OutputError, match="name of the bucket"):
        scan(small, "s3://no-such-bucket-here/results", SEQUENTIAL)
    s3.put(bucket, "photos/cat.jpg", b"")
    with pytest.raises(OutputError, match=r"holds other files \(cat\.jpg"):
        scan(small, f"s3://{bucket}/photos", SEQUENTIAL)
    with pytest.raises(UsageError, match="can only be read"):
        scan(small, "https://example.org/results", SEQUENTIAL)
    with pytest.raises(UsageError, match="is no URL"):
        scan(small, "s3://[bucket/results", SEQUENTIAL)
    with pytest.raises(UsageError, match="holds no results"):
        pipeline.open_library(f"s3://{bucket}/photos")
    s3.put(bucket, "many/one/run.json", b"{}")
    with pytest.raises(UsageError, match="give one of one"):
        pipeline.open_library(f"s3://{bucket}/many")
    assert objects(s3, bucket).keys() == {"photos/cat.jpg", "many/one/run.json"}
    with rclone_serving("s3", tmp_path, "--auth-key", f"{KEY},{SECRET}") as port:
        wrong = environment(f"http://127.0.0.1:{port}") | {"AWS_SECRET_ACCESS_KEY": "wrong"}
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "scan", str(small), "-o", "s3://bucket/results"],
            env=os.environ | wrong,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "credentials" in done.stderr
    assert "wrong" not in done.stderr


def test_what_is_written_to_a_folder_alone_is_not_written_to_one_that_is_called_like_a_url(
    s3: S3, library: Path, small: Path, run: Run, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(library, url, SEQUENTIAL)
    scan(small, tmp_path / "small", SEQUENTIAL)
    merged = run("merge", f"one={url}", "small", "-o", "merged", "--json")
    assert merged.returncode in (0, 3), merged.stderr
    assert {each["results"] for each in json.loads(merged.stdout)["merged"]} == {url, str(tmp_path / "small")}
    before = objects(s3, bucket)
    for command in (
        ["export", url],
        ["report", url],
        ["bench", str(small)],
        ["demo"],
    ):
        done = run(*command, "-o", f"s3://{bucket}/other.csv")
        assert done.returncode == 2, command
        assert "s3://" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "s3:").exists()
    assert objects(s3, bucket) == before


def test_results_that_are_not_whole_are_told_of_and_made_whole_by_a_scan(
    s3: S3, library: Path, elsewhere: Callable[[str], None], run: Run
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(library, url, SEQUENTIAL)
    found = objects(s3, bucket)
    part = sorted(name for name in found if "/media/" in name)[0]
    s3.client.delete_object(Bucket=bucket, Key=part)
    elsewhere("two")
    with pytest.raises(RunError, match="missing or not as it was published"):
        pipeline.open_library(url)
    assert run("doctor", url).returncode == 3
    scan(library, url, SEQUENTIAL)
    now = objects(s3, bucket)
    check_whole(now)
    check_tidy(now)
    assert part in now
    # A manifest that names what it should not.
    forged = json.loads(now["results/run.json"])
    forged["files"]["../../../escaped"] = {"bytes": 1, "crc32": "00000000"}
    s3.put(bucket, "results/run.json", json.dumps(forged).encode())
    elsewhere("three")
    with pytest.raises(RunError, match="not as it was written"):
        pipeline.open_library(url)


def test_a_killed_scan_is_gone_on_from_in_its_mirror(s3: S3, synthetic: Path, elsewhere: Callable[[str], None]) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    command = [sys.executable, "-m", "pipeline", "scan", str(synthetic), "-o", url, "--mode", "sequential"]
    command += ["--shard-files", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        shards = Mirror.of(url).folder / ".work" / "shards"
        while not (shards.is_dir() and any(shards.glob("*.arrow"))):
            assert process.poll() is None
        process.kill()
    report = scan(synthetic, url, SEQUENTIAL)
    assert report["taken_over"] > 0
    check_tidy(objects(s3, bucket))


def test_readers_see_one_state_while_another_is_published(
    s3: S3, library: Path, elsewhere: Callable[[str], None], run: Run, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    scan(library, url, SEQUENTIAL)
    change(library)
    once: list[int] = []

    def before(number: int, line: str) -> None:
        if line.startswith("GET") and "/media/" in line and not once:
            once.append(number)
            there = os.environ | {"AWS_ENDPOINT_URL": s3.direct, "XDG_CACHE_HOME": str(tmp_path / "cache of one")}
            assert run("scan", library, "-o", url, "--mode", "sequential", env=there).returncode in (0, 3)

    elsewhere("two")
    s3.proxy.before = before
    opened = pipeline.open_library(url)
    assert once
    assert opened.report["started_at"] == check_whole(objects(s3, bucket))["started_at"]
    assert "new.jpg" in set(opened.media()["name"])


def test_results_go_to_a_server_of_files_too(
    library: Path, tmp_path: Path, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    import paramiko

    key = paramiko.RSAKey.generate(2048)
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    key.write_private_key_file(str(home / ".ssh" / "id_rsa"))
    (home / "keys").write_text(f"ssh-rsa {key.get_base64()}\n")
    monkeypatch.setenv("HOME", str(home))
    folder = tmp_path / "served"
    folder.mkdir()
    with rclone_serving("sftp", folder, "--authorized-keys", str(home / "keys")) as port:
        url = f"sftp://anna@127.0.0.1:{port}/results"
        with paramiko.Transport(("127.0.0.1", port)) as connection:
            connection.start_client()
            known = connection.get_remote_server_key()
        (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {known.get_name()} {known.get_base64()}\n")
        media = scan(library, url, SEQUENTIAL)["media"]
        change(library)
        assert scan(library, url, SEQUENTIAL)["taken_over"] == media - 1
        left = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        check_whole(left)
        check_tidy(left)
        elsewhere("two")
        assert len(pipeline.open_library(url).media()) == media


@contextmanager
def far_workers(folder: Path, hidden: Path, number: int = 2) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    """A cluster whose workers do not see the folder `hidden`: its scheduler file, and the workers."""
    hidden.mkdir(exist_ok=True)
    file = folder / "scheduler.json"
    there = os.environ | {"XDG_CACHE_HOME": str(folder / "cache of workers"), "PYTHONPATH": str(ROOT)}
    python, quiet = [sys.executable, "-m"], {"env": there, "cwd": folder, "stderr": subprocess.DEVNULL}
    hide = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "sh", "-c"]
    hide += [f'mount -t tmpfs none "{hidden}" && exec "$@"', "sh"]
    scheduler = [*python, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = [*hide, *python, "distributed.cli.dask_worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"]
    worker += ["--no-dashboard", "--local-directory", str(folder), "--scheduler-file", str(file)]
    with ExitStack() as stack:
        commands = [[*scheduler, "--scheduler-file", str(file)], *(worker for _ in range(number))]
        programs = []
        for command in commands:
            programs.append(stack.enter_context(subprocess.Popen(command, **quiet)))  # type: ignore[call-overload]
            stack.callback(programs[-1].kill)
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=60)
            assert client.run(os.listdir, str(hidden)) == {worker: [] for worker in client.run(os.getpid)}
        yield file, programs[1:]


needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False).returncode != 0,
    reason="no mount namespaces can be made here",
)


@needs_namespaces
def test_workers_that_share_no_file_system_with_the_driver_work_at_the_url(
    s3: S3, library: Path, tmp_path: Path, elsewhere: Callable[[str], None], run: Run
) -> None:
    make_library(tmp_path / "packed", files=20, seed=6, image_bytes=2_000, video_bytes=4_000, layout="tgz")
    make_library(tmp_path / "stored", files=20, seed=7, image_bytes=2_000, video_bytes=4_000, layout="zip")
    stored = s3.bucket(tmp_path / "stored")
    inputs: list[str | Path] = [library, *sorted((tmp_path / "packed").glob("*.tgz"))]
    inputs += [f"s3://{stored}/{path.name}" for path in sorted((tmp_path / "stored").glob("*.zip"))]
    assert len(inputs) > 2
    local = pipeline.scan(inputs, tmp_path / "local", Settings(mode="sequential", merge=True), quiet=True)
    bucket = s3.bucket()
    url = f"s3://{bucket}/results"
    with far_workers(tmp_path, tmp_path / "cache of one") as (file, workers):
        settings = Settings(scheduler_file=str(file), merge=True, shard_files=4)

        def lose_one(number: int, line: str) -> None:
            if line.startswith("PUT") and "/shards/" in line and len(workers) == 2:
                workers.pop().kill()

        s3.proxy.before = lose_one
        report = scan(inputs, url, settings)
        assert len(workers) == 1
        assert report["mode"] == "scheduler"
        assert as_rows(pipeline.open_library(url).arrow()) == as_rows(local.arrow())
        found = objects(s3, bucket)
        check_whole(found)
        check_tidy(found)  # nothing of the work is left

        # A run that is killed leaves its shards at the URL, from which any other goes on.
        for photo in sorted(library.rglob("*.jpg")):
            photo.write_bytes(photo.read_bytes() + b" ")
        written = threading.Event()
        s3.proxy.reset()
        s3.proxy.before = lambda number, line: written.set() if "/shards/" in line and "GET" in line else None
        command = [sys.executable, "-m", "pipeline", "scan", *map(str, inputs), "-o", url, "--merge"]
        command += ["--scheduler-file", str(file), "--shard-files", "2"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            assert written.wait(120)
            process.kill()
    s3.proxy.reset()
    left = [name for name in objects(s3, bucket) if "/shards/" in name]
    assert left
    elsewhere("two")
    unchanged = sum(1 for row in as_rows(local.arrow()) if row["extension"] not in ("jpg", "jpeg"))
    report = scan(inputs, url, Settings(mode="sequential", merge=True))
    assert report["taken_over"] > unchanged
    check_tidy(objects(s3, bucket))
