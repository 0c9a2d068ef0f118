"""`browse`: a real server, and what a browser makes of its pages."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pyarrow.dataset as ds
import pytest
import yaml
from datasette.app import Datasette
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from pipeline import scan
from pipeline.browsing.counts import COUNTED, plain_filters
from pipeline.browsing.points import View
from pipeline.settings import Settings
from pipeline.storage.browsable import QUESTIONS
from pipeline.storage.reading import for_strangers, only_reading
from tests.conftest import Run, write_tree

HOSTILE = '<img src=x onerror="window.hacked=1">'
NAME = "a<b>&amp;'x'.jpg"


def sidecar(title: str, **others: Any) -> dict[str, Any]:
    return {"title": title, "photoTakenTime": {"timestamp": "1559378000"}, **others}


@pytest.fixture(scope="module")
def results(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the synthetic library, and of a part whose names and texts mean harm."""
    folder = tmp_path_factory.mktemp("browse")
    photos = "Takeout/Google Photos"
    some = next(path for path in sorted(synthetic.rglob("*.jpg")) if path.stat().st_size > 2000).read_bytes()
    harm = write_tree(
        folder / "harm",
        {
            f"{photos}/Photos from 2019/{NAME}": some + b"1",
            f"{photos}/Photos from 2019/{NAME}.supplemental-metadata.json": sidecar(
                NAME,
                description=HOSTILE,
                people=[{"name": HOSTILE}],
                url="javascript:alert(1)",
                geoData={"latitude": 48.1, "longitude": 11.5, "altitude": 0},
            ),
            f"{photos}/Evil/metadata.json": {"title": HOSTILE, "description": HOSTILE},
            f"{photos}/Evil/2.jpg": some + b"2",
            f"{photos}/Evil/2.jpg.supplemental-metadata.json": sidecar(
                "2.jpg", url="https://photos.google.com/photo/1"
            ),
        },
    )
    scan([synthetic, harm], folder / "results", Settings(mode="sequential", merge=True))
    return folder / "results"


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command on these results, and its address."""
    command = [sys.executable, "-m", "pipeline", "browse", str(folder), "--no-open", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None and server.stderr is not None
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), server.stderr.read()
            yield address.rstrip("/"), server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def served(results: Path) -> Iterator[str]:
    with serving(results) as (address, _):
        yield address


Answer = tuple[int, dict[str, str], str]


def get(address: str, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Answer:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    with closing(connection):
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        said = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, said, answer.read().decode("utf-8", "replace")


def get_json(address: str, path: str) -> Any:
    status, _, text = get(address, path)
    assert status == 200, text
    return json.loads(text)


def query(results: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return db.execute(sql, values).fetchall()


Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, served: str) -> Iterator[Open]:
    """Opens a page of the server; at the end, nothing has been complained about and nothing else been asked for."""
    complaints: list[str] = []
    pages: list[Page] = []

    def visit(path: str, width: int = 1280, scheme: Any = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        pages.append(page)
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: None if asked.url.startswith((served, "data:")) else complaints.append(asked.url)
        )
        page.goto(served + path, wait_until="networkidle")
        return page

    yield visit
    for page in pages:
        assert page.evaluate("window.hacked") is None
        page.close()
    assert complaints == []


def test_a_table_has_pictures_facets_and_a_map_that_leads_to_rows(visit: Open, results: Path) -> None:
    page = visit("/index/media?kind=image")
    assert page.locator(".facet-info").count() == 6
    pictures = page.locator("img.thumbnail")
    assert pictures.count() == min(100, query(results, "SELECT count(*) FROM media WHERE kind = 'image'")[0][0])
    pictures.first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('img.thumbnail').naturalWidth > 0")
    circles = page.locator("figure.map circle")
    titles = circles.locator("title").all_text_contents()
    assert sum(int(title.split()[0].replace(",", "")) for title in titles) == page.evaluate(
        "+document.querySelector('figcaption').textContent.split(' ')[0].replace(',', '')"
    )
    assert query(results, "SELECT count(*) FROM media WHERE latitude IS NOT NULL AND kind = 'image'") == [
        (sum(int(title.split()[0]) for title in titles),)
    ]
    assert page.locator("figure.map path.land").bounding_box()["width"] > 300  # type: ignore[index]
    rows = titles[-1].split()[0]
    circles.last.click()
    page.wait_for_load_state("networkidle")
    assert page.locator("h3").first.inner_text().startswith(f"{rows} row")
    assert page.locator("figure.map circle").count() >= 1


def test_the_search_box_finds_titles_people_albums_and_places(visit: Open, results: Path) -> None:
    page = visit("/")
    ((name,),) = query(results, "SELECT name FROM people WHERE name GLOB '[A-Z][a-z]*' LIMIT 1")
    page.fill("#_search", name)
    page.click("input[type=submit]")
    page.wait_for_load_state("networkidle")
    ((files,),) = query(results, "SELECT count(*) FROM media_people JOIN people USING (person_id) WHERE name = ?", name)
    assert int(re.split(r"\D", page.locator("h3").first.inner_text())[0]) >= files > 0
    ((place,),) = query(results, "SELECT place FROM media WHERE place GLOB '[A-Z][a-z]*' LIMIT 1")
    found = get_json(page.url.partition("/index")[0], f"/index/media.json?_size=0&_search={quote(place)}")
    assert found["filtered_table_rows_count"] >= 1


def test_a_question_with_a_parameter_answers_with_pictures_and_a_map(visit: Open, results: Path) -> None:
    page = visit("/index/person")
    assert page.locator(".zero-results").count() == 1
    ((name, files),) = query(
        results,
        "SELECT p.name, count(*) FROM people p JOIN media_people USING (person_id) JOIN media m USING (file_id) "
        "WHERE m.latitude IS NOT NULL AND p.name GLOB '[A-Z]*' GROUP BY 1 ORDER BY 2 DESC LIMIT 1",
    )
    page.fill("#qp1", name)
    page.click("input[type=submit]")
    page.wait_for_load_state("networkidle")
    assert f"{files} row" in page.locator("figcaption").inner_text()
    assert page.locator("td img.thumbnail").count() > 0
    page.locator("figure.map a").first.click()
    page.wait_for_load_state("networkidle")
    assert page.locator("td img.thumbnail").count() > 0


def test_names_and_texts_stay_texts(visit: Open, results: Path) -> None:
    ((identity, partner),) = query(
        results,
        "SELECT file_id, (SELECT file_id FROM media WHERE album = ?) FROM media WHERE description = ?",
        HOSTILE,
        HOSTILE,
    )
    for path in (
        f"/index/media/{identity}",
        f"/index/media/{partner}",
        f"/index/media?_search={quote(HOSTILE)}",
        f"/index/media?{urlencode({'album': HOSTILE})}",
        f"/index/album?{urlencode({'title': HOSTILE})}",
        f"/index/person?{urlencode({'name': HOSTILE})}",
        "/index/albums",
        "/index/people",
        "/index/album_members",
        f"/index?{urlencode({'sql': 'select :a as url, 1 as latitude, 2 as longitude', 'a': 'javascript:alert(1)'})}",
    ):
        page = visit(path)
        assert page.locator("img[src=x]").count() == 0
        assert page.locator("a[href^='javascript:']").count() == 0
    page = visit(f"/index/media/{identity}")
    assert page.get_by_role("cell", name=HOSTILE).count() >= 1 and page.get_by_role("link", name=HOSTILE).count() == 1
    assert page.get_by_role("cell", name="javascript:alert(1)").locator("a").count() == 0
    page = visit(f"/index/media/{partner}")
    assert page.locator("a[href='https://photos.google.com/photo/1']").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(visit: Open, results: Path, scheme: str) -> None:
    ((identity,),) = query(results, "SELECT file_id FROM media WHERE people IS NOT NULL LIMIT 1")
    for path in ("/", "/index", "/index/media", f"/index/media/{identity}", "/index/largest", "/index/timeline"):
        page = visit(path, 390, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 29)"
        assert dark == (scheme == "dark")


def test_counts_are_those_of_sqlite_and_parquet(served: str, results: Path) -> None:
    years: dict[int, int] = {}
    rows = ds.dataset(results / "media", partitioning="hive").to_table(["taken_year", "kind"]).to_pylist()
    for row in rows:
        years[row["taken_year"]] = years.get(row["taken_year"], 0) + 1
    pages = [get_json(served, f"/index/media.json?_size={size}&_col=path&_nofacet=1") for size in (1, 2, 50)]
    assert [len(each["rows"]) for each in pages[:2]] == [1, 2]
    assert pages[0]["rows"] == pages[1]["rows"][:1] == pages[2]["rows"][:1]
    found = get_json(served, "/index/media.json?_size=0&_facet=taken_year&_facet_size=max")
    assert {each["value"]: each["count"] for each in found["facet_results"]["taken_year"]["results"]} == years
    assert dict(query(results, "SELECT taken_year, count(*) FROM media GROUP BY 1")) == years
    assert found["filtered_table_rows_count"] == len(rows)


@pytest.mark.parametrize(
    "filters",
    [
        {"kind": "image"},
        {"favorited": "0", "status": "ok"},
        {"model": "none"},
        {"kind": "image", "taken_year": "02019"},
    ],
)
def test_facets_of_filters_are_what_sqlite_counts(served: str, results: Path, filters: dict[str, str]) -> None:
    names = sorted(COUNTED)
    asked = [*filters.items(), *(("_facet", name) for name in names), ("_facet_size", "max"), ("_size", "0")]
    found = get_json(served, f"/index/media.json?{urlencode(asked)}")
    rows = query(
        results,
        f"SELECT count(*) FROM media WHERE {' AND '.join(f'{name} = ?' for name in filters)}",
        *filters.values(),
    )
    assert [(found["filtered_table_rows_count"],)] == rows
    where = " AND ".join(f'"{name}" = ?' for name in filters)
    for name in names:
        sql = (
            f'SELECT "{name}", count(*) FROM media WHERE {where} AND "{name}" IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1'
        )
        expected = query(results, sql, *filters.values())
        values = found["facet_results"][name]["results"]
        assert [(each["value"], each["count"]) for each in values] == expected, name
        assert [each["value"] for each in values if each["selected"]] == [
            value for value, _ in expected if filters.get(name) == str(value)
        ]


@pytest.mark.parametrize("filters", ["", "kind=video", "model=none", "kind=image&favorited=0&_next=5"])
def test_a_map_of_arrays_is_that_of_sql(served: str, filters: str) -> None:
    one, other = (get(served, f"/-/map/index/media?{filters}{more}") for more in ("", "&_where=1"))
    assert one[0] == other[0] == (204 if "none" in filters else 200)
    circles = [re.findall(r"<circle.*?</title>", text) for *_, text in (one, other)]
    assert sorted(circles[0]) == sorted(circles[1]) and (circles[0] or one[0] == 204)


def test_filters_that_only_sqlite_understands_are_left_to_it() -> None:
    assert plain_filters([("kind", "image"), ("_sort", "name")]) == [("kind", "image")]
    assert plain_filters([("kind__exact", "image")]) == [("kind", "image")]
    assert plain_filters([("_facet", "kind"), ("_next", "1")]) == []
    for other in ("_search", "_where", "_search_title", "size__gt", "name", "kind__not"):
        assert plain_filters([("kind", "image"), (other, "1")]) is None
    assert plain_filters([("taken_year", "02019")]) is None


def test_who_may_ask_and_what_a_page_may_do(served: str) -> None:
    port = served.rpartition(":")[2]
    for path in (
        "/",
        "/index/media",
        "/nothing",
        "/-/browsing/browse.js",
        "/-/thumbnail/0123456789abcdef",
        "/index.json",
    ):
        _, headers, _ = get(served, path)
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert (
            headers["x-content-type-options"] == "nosniff" and "unsafe-eval" not in headers["content-security-policy"]
        )
        assert "'unsafe-inline'" not in headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
        assert "access-control-allow-origin" not in headers
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", f"[::1]:{port}"):
        assert get(served, "/index/media.json", {"Host": host})[0] == 421, host
    for host in ("localhost", f"localhost:{port}", "LOCALHOST:9000", "127.0.0.1"):
        assert get(served, "/", {"Host": host})[0] == 200, host
    assert get(served, "/", method="POST")[0] == 405
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert get(served, "/index/media.json", cross | {"Sec-Fetch-Mode": "no-cors"})[0] == 403
    assert get(served, "/index", cross | {"Sec-Fetch-Mode": "navigate"})[0] == 200
    assert get(served, "/index.db")[0] == 403
    status, headers, text = get(served, "/-/thumbnail/0123456789abcdef")
    assert (status, headers["content-type"]) == (200, "image/svg+xml") and "no photo or video" in text
    assert headers["cache-control"].startswith("private")


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0 or not Path("/proc/net/tcp").exists(),
    reason="only root can be another user",
)
def test_other_users_of_the_machine_are_refused(served: str) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setuid(65534)
            with socket.create_connection(("127.0.0.1", int(served.rpartition(":")[2]))) as connection:
                connection.sendall(b"GET /index/media.json HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                os.write(writing, connection.recv(4096))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said.startswith(b"HTTP/1.1 403")


WRITES = (
    "ATTACH 'x.sqlite' AS x",
    "DELETE FROM media",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = WAL",
    "CREATE TABLE t (x)",
    "CREATE TEMP TABLE t (x)",
    "VACUUM INTO 'x.sqlite'",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('x', 'x')",
    "SELECT fts3_tokenizer('simple')",
    "WITH x AS (SELECT 1) DELETE FROM media",
    "INSERT INTO media_fts (media_fts) VALUES ('optimize')",
    "UPDATE sqlite_master SET sql = ''",
    "REINDEX",
)


@pytest.mark.parametrize("sql", WRITES)
def test_sql_can_only_read(served: str, results: Path, tmp_path: Path, sql: str) -> None:
    before = (results / "index.sqlite").read_bytes()
    status, _, text = get(served, f"/index.json?{urlencode({'sql': sql})}")
    assert status == 400, text
    with (
        closing(for_strangers(results / "index.sqlite")) as db,
        pytest.raises((sqlite3.DatabaseError, sqlite3.Warning)),
    ):
        db.execute(sql).fetchall()
    assert (results / "index.sqlite").read_bytes() == before
    assert not Path("x.sqlite").exists() and not Path("x").exists()


def test_sql_ends_in_time_and_memory(served: str) -> None:
    endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    assert get(served, f"/index.json?{urlencode({'sql': endless})}")[0] == 400
    assert get(served, f"/index.json?{urlencode({'sql': 'SELECT length(zeroblob(1000000000))'})}")[0] == 400
    assert get(served, "/index.json?sql=select+1")[0] == 200


@pytest.mark.parametrize(
    "call",
    [
        "instr(s, substr(s, 1, 8000000) || '1')",
        "replace(s, substr(s, 1, 8000000) || '1', 'x')",
        "trim(s, replace(s, '0', '1') || '0')",
        "json_patch(s, s)",
        "replace(s, '0', s)",
    ],
)
def test_no_function_takes_the_square_of_what_it_is_given(served: str, call: str) -> None:
    sql = f"WITH long (s) AS (SELECT hex(zeroblob(8000000))) SELECT length({call}) FROM long"
    assert get(served, f"/index.json?{urlencode({'sql': sql})}")[0] in (200, 400)


def test_functions_of_ours_answer_as_those_of_sqlite() -> None:
    values: tuple[object, ...] = (None, "", "a", "banana", "äöä", b"an", b"ban", 11, 1.5)
    with closing(sqlite3.connect(":memory:")) as theirs, closing(sqlite3.connect(":memory:")) as ours:
        only_reading(ours)
        for one in values:
            for two in values:
                for call in (
                    "instr(?1, ?2)",
                    "replace(?1, ?2, 'xy')",
                    "trim(?1, ?2)",
                    "ltrim(?1, ?2)",
                    "rtrim(?1, ?2)",
                ):
                    found = [each.execute(f"SELECT {call}", (one, two)).fetchone() for each in (ours, theirs)]
                    assert found[0] == found[1], (call, one, two)


@pytest.mark.parametrize(
    "page",
    [
        "/index/media?size__gt=9**9**9**9",  # with units, Datasette would work that out
        "/index/media?taken_year=\u00b2",
        f"/index/media?taken_year={'9' * 5000}",
        "/-/thumbnail/0123456789abcdef?size=\u00b2",
        "/-/map/index/media?_map_width=\u00b2",
        "/-/map/index/media?size__gt=9**9**9**9",
    ],
)
def test_numbers_that_are_none_are_texts_like_others(served: str, page: str) -> None:
    assert get(served, quote(page, safe="/?=&-_"))[0] in (200, 204)


def test_units_of_a_metadata_file_are_passed_over(synthetic: Path, tmp_path: Path) -> None:
    scan(synthetic, tmp_path / "out", quiet=True)
    path = tmp_path / "out" / "metadata.yaml"
    metadata = yaml.safe_load(path.read_text("utf-8"))
    metadata["databases"]["index"]["tables"]["media"]["units"] = {"size": "byte"}
    path.write_text(yaml.safe_dump(metadata), "utf-8")
    with serving(tmp_path / "out") as (address, _):
        assert get(address, "/index/media?size__gt=9**9**9**9")[0] == 200


def test_new_results_are_shown_when_they_are_there(tmp_path: Path, synthetic: Path) -> None:
    photos, folder = tmp_path / "library", tmp_path / "results"
    files = {f"Takeout/Google Photos/Photos from 2019/{n}.jpg": bytes([n] * 50) for n in range(3)}
    settings = Settings(mode="sequential")
    scan(write_tree(photos, files), folder, settings)
    with serving(folder) as (address, _):
        assert get_json(address, "/index/media.json")["filtered_table_rows_count"] == 3
        write_tree(photos, {"Takeout/Google Photos/Photos from 2019/more.jpg": b"more"})
        scan(photos, folder, settings)
        found = get_json(address, "/index/media.json")
        assert found["filtered_table_rows_count"] == len(found["rows"]) == 4
        with sqlite3.connect(folder / "index.sqlite") as db:
            db.execute("PRAGMA user_version = 1")
        status, _, text = get(address, "/index/media.json")
        assert status == 503 and "older version" in text and text.count("\n") == 1


def test_an_index_without_its_parquet_is_enough(results: Path, tmp_path: Path) -> None:
    for name in ("run.json", "index.sqlite"):
        (tmp_path / name).write_bytes((results / name).read_bytes())
    with serving(tmp_path) as (address, _):
        found = get_json(address, "/index/media.json?kind=image&_facet=model")
        assert found["filtered_table_rows_count"] > 0 and found["facet_results"]["model"]["results"]
        assert get(address, "/-/map/index/media?kind=image")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(results: Path, number: signal.Signals) -> None:
    with serving(results) as (address, server):
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))):  # a browser keeps some open
            assert get(address, "/")[0] == 200
            server.send_signal(number)
            assert server.wait(30) == 0
        assert server.stdout is not None and server.stderr is not None
        assert (server.stdout.read(), server.stderr.read()) == ("", "")


def test_what_cannot_be_browsed_is_said_in_a_line(run: Run, results: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run("browse", results, "--port", port)
        assert found.returncode == 1 and f"port {port} is in use" in found.stderr and "--port" in found.stderr
    (tmp_path / "empty").mkdir()
    older = tmp_path / "older"
    older.mkdir()
    (older / "run.json").write_bytes((results / "run.json").read_bytes())
    (older / "index.sqlite").write_bytes((results / "index.sqlite").read_bytes())
    with sqlite3.connect(older / "index.sqlite") as db:
        db.execute("PRAGMA user_version = 1")
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("run.json", "index.sqlite"):
        (bad / name).write_bytes((results / name).read_bytes())
    (bad / "metadata.yaml").write_text("{")
    without = tmp_path / "without" / "datasette"
    without.mkdir(parents=True)
    (without / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'datasette'\", name='datasette')")
    hidden = os.environ | {"PYTHONPATH": os.pathsep.join([str(without.parent), *sys.path])}
    for arguments, options, status, said in (
        ((tmp_path / "empty",), {}, 2, "takeout-index scan"),
        ((older,), {}, 2, "scan again"),
        ((bad,), {}, 2, "metadata.yaml"),
        ((results, "--port", "0"), {}, 2, "--port"),
        ((results,), {"env": hidden}, 1, "takeout-index[browse]"),
    ):
        found = run("browse", *arguments, **options)
        assert (found.returncode, found.stdout) == (status, "") and said in found.stderr, found.stderr
        assert "Traceback" not in found.stderr
        assert found.stderr.count("\n") == 1 or "Usage" in found.stderr


def test_taken_ports_are_passed_over_where_none_was_asked_for(results: Path) -> None:
    with serving(results) as (one, _), serving(results) as (other, _):
        assert one != other and get(one, "/")[0] == get(other, "/")[0] == 200


def test_plain_datasette_shows_all_tables_and_questions(results: Path) -> None:
    metadata = yaml.safe_load((results / "metadata.yaml").read_text("utf-8"))

    async def visit() -> None:
        plain = Datasette([], immutables=[str(results / "index.sqlite")], metadata=metadata)
        for name in metadata["databases"]["index"]["tables"]:
            answer = await plain.client.get(f"/index/{name}?_nosuggest=1")
            assert answer.status_code == 200, (name, answer.text)
        for name, *_, parameters in QUESTIONS:
            answer = await plain.client.get(f"/index/{name}.json?{urlencode(parameters)}&_shape=array")
            assert answer.status_code == 200, (name, answer.text)
        found = (await plain.client.get("/index/media.json?_search=jpg&_size=0&_nosuggest=1")).json()
        assert found["filtered_table_rows_count"] > 100
        assert set((await plain.client.get("/index.json")).json()["tables"][0]) > {"count"}

    with ThreadPoolExecutor(1) as beside:  # Playwright's loop runs in this thread
        beside.submit(asyncio.run, visit()).result()


degrees = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@given(st.lists(degrees, min_size=1, max_size=5), st.integers(0, 5000))
def test_a_map_shows_all_positions(positions: list[tuple[float, float]], width: int) -> None:
    longitudes, latitudes = zip(*positions, strict=True)
    view = View.of(min(longitudes), min(latitudes), max(longitudes), max(latitudes), width)
    places = [view.place(*position) for position in positions]
    assert all(0 <= x <= view.width and 0 <= y <= view.height for x, y in places)
    across, up = view.step
    assert across > 0 and up > 0 and view.width / view.height > 0.5


def test_a_page_that_is_not_there_leads_back_and_is_light_or_dark_as_all(served: str) -> None:
    status, _, text = get(served, "/index/media/nothing")
    assert status == 404
    assert "browse.css" in text and 'href="/"' in text
