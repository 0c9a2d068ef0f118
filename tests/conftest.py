"""Libraries to scan, and commands run as a user runs them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from pipeline.synthetic import make_library
from tests.servers import S3, s3_server

pytest.register_assert_rewrite("tests.faults.checks")
settings.register_profile("any machine", deadline=None)  # a busy machine is no failure
settings.load_profile("any machine")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own: what was measured on this machine changes no test, and no test changes that."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic library with every odd case of names, sidecars and damage."""
    library = tmp_path_factory.mktemp("synthetic") / "library"
    make_library(library, files=300, seed=11, image_bytes=6_000, video_bytes=20_000, corrupt_share=0.03)
    return library


@pytest.fixture(scope="session")
def s3_session() -> Iterator[S3]:
    """An S3 API on loopback behind a proxy that can delay, fail and count."""
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(s3_session: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """That server, with a proxy that does nothing yet; this process, and those it starts, find it as users' programs do."""
    s3_session.proxy.reset()
    for name, value in s3_session.environment.items():
        monkeypatch.setenv(name, value)
    return s3_session


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium that is installed here; without one the tests of pages are left out, unless they are required."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None and os.environ.get("TAKEOUT_INDEX_TEST_BROWSER") != "required":
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs ``takeout-index`` with the arguments given, in an empty folder; `before` is a program to run it by."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*options.pop("before", ()), sys.executable, "-m", "pipeline", *map(str, arguments)],
            cwd=options.pop("cwd", tmp_path),
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=options.pop("timeout", 300),
            check=False,
            **options,
        )

    return run


def write_tree(root: Path, files: Mapping[str, bytes | dict[str, Any]]) -> Path:
    """Write files by path; a dict becomes JSON."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return root


def media_rows(results: Path) -> list[dict[str, Any]]:
    """All rows of `media`, by file_id."""
    rows: list[dict[str, Any]] = pq.read_table(results / "media").to_pylist()
    return sorted(rows, key=lambda row: str(row["file_id"]))


def files_rows(results: Path) -> list[dict[str, Any]]:
    """All rows of `files`, by path."""
    rows: list[dict[str, Any]] = pq.read_table(results / "files").to_pylist()
    return sorted(rows, key=lambda row: (str(row["path"]), str(row["part"])))


def of_multiprocessing(child: Any) -> bool:
    """It is the fork server or the resource tracker, which live as long as the program that started them."""
    import psutil

    try:
        return child.ppid() == os.getpid() and "from multiprocessing." in " ".join(child.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):  # it has ended meanwhile
        return False


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """No process of ours outlives the test."""
    import psutil

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    _, alive = psutil.wait_procs([child for child in started if not of_multiprocessing(child)], timeout=10)
    assert alive == []
