"""The report, looked at in a real browser: nothing is fetched, nothing fails, everything fits, and names stay text."""

import io
import json
import os
import re
import stat
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from pipeline import advice, open_library, scan
from pipeline import report as report_module
from pipeline.problems import RunError, UsageError
from pipeline.report import notebook_path, report
from tests.conftest import Run, write_tree

NAMES = (
    "<script>document.title = 'stolen'</script>",
    '"><img src=x onerror="document.title = 1">',
    "</script><script>document.title = 2</script>",
    "<!-- <script>",
    "\u202egnp.exe",
    "\x1b[31mred\x1b[0m",
    "a\u2028b",
    "L" + "o" * 170 + "ng",
    "${document.title}",
    "عائلة",
)
ROOT = Path(__file__).parent.parent


def jpeg(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (colour * 20, 90, 120)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def results(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "results"
    scan(str(synthetic), output=str(folder))
    report(folder)
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a library in which everything that has a name has a hostile one."""
    folder = tmp_path_factory.mktemp("hostile") / "<b>results"
    files: dict[str, bytes | dict[str, Any]] = {}
    for number, name in enumerate(NAMES):
        album = f"Takeout/Google Photos/album {number}"
        files[f"{album}/metadata.json"] = {"title": name, "description": name, "date": {"timestamp": "1500000000"}}
        file = f"{number}{name.replace('/', '_')[:60]}.jpg"
        files[f"{album}/{file}"] = jpeg(number) if number else b""
        files[f"{album}/{file}.json"] = {
            "title": file,
            "description": name,
            "photoTakenTime": {"timestamp": str(1500000000 + number * 9_000_000)},
            "people": [{"name": name}],
            "geoData": {"latitude": 48 + number / 10, "longitude": 11.0, "altitude": 0},
        }
    files["Takeout/Google Photos/Locked Folder/for no eyes.jpg"] = jpeg(len(NAMES))
    scan(str(write_tree(folder.parent / "library", files)), output=str(folder))
    report(folder)
    return folder


@contextmanager
def opened(browser: Browser, path: Path, width: int, scheme: Any) -> Iterator[Page]:
    """The page with all its charts drawn; what it says on the console and asks for is none but itself."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.absolute().as_uri())
    page.wait_for_selector("html[data-drawn]", state="attached")
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.absolute().as_uri()]
    page.close()


#: What of each chart is seen: its name, how many marks have an extent, and texts that reach out of it.
CHARTS = """
() => [...document.querySelectorAll("[data-chart]")].map((place) => {
  const frame = place.getBoundingClientRect();
  const boxes = [...place.querySelectorAll(".role-mark path, .role-mark text")].map((each) => each.getBoundingClientRect());
  const texts = [...place.querySelectorAll("text")].filter((each) => {
    const box = each.getBoundingClientRect();
    return box.width && getComputedStyle(each).opacity !== "0"
      && !each.closest("[clip-path]") && (box.left < frame.left - 2 || box.right > frame.right + 2);
  });
  return {
    name: place.querySelector("[role=graphics-document]")?.getAttribute("aria-label")
      ?? place.closest("[role=graphics-document]")?.getAttribute("aria-label"),
    marks: boxes.filter((box) => box.width > 0 && box.height > 0).length,
    outside: texts.map((each) => each.textContent),
  };
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_and_its_charts_have_names_and_marks(
    results: Path, browser: Browser, width: int, scheme: str
) -> None:
    with opened(browser, results / "report.html", width, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == width
        advice = page.locator(".ti-cards td:last-child").last
        assert advice.evaluate("each => each.getBoundingClientRect().right <= innerWidth && each.innerText.length > 10")
        charts = page.evaluate(CHARTS)
        assert len(charts) == 10
        for chart in charts:
            assert chart["name"] and chart["marks"] > 0 and chart["outside"] == [], chart
        assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth && image.alt)")
        assert page.locator("main").count() == page.locator("h1").count() == 1
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground))) < 60) == (scheme == "dark")


def test_charts_are_drawn_anew_when_the_window_or_the_light_changes(results: Path, browser: Browser) -> None:
    with opened(browser, results / "report.html", 1280, "light") as page:
        label = page.locator("[data-chart] .role-axis-label text").first
        before = label.get_attribute("fill")
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(
            "before => document.querySelector('.role-axis-label text')?.getAttribute('fill') !== before", arg=before
        )
        page.set_viewport_size({"width": 390, "height": 900})
        page.wait_for_function(
            "() => [...document.querySelectorAll('[data-chart]')].every((place) => +place.dataset.width === place.clientWidth)"
        )
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_names_stay_text(hostile: Path, browser: Browser, width: int) -> None:
    with opened(browser, hostile / "report.html", width, "light") as page:
        assert page.title() == "<b>results: photos and videos"
        assert page.locator("main script:not([type='application/json']), img[src=x], b").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert all(chart["outside"] == [] for chart in page.evaluate(CHARTS))
        people = page.locator("#section-8")
        assert people.locator("h2").inner_text() == "People"
        specification = json.loads(people.locator("script").inner_text())
        names = (
            {row["name"] for row in next(iter(specification["datasets"].values()))}
            if "datasets" in specification
            else {row["name"] for row in specification["layer"][0]["data"]["values"]}
        )
        assert NAMES[0] in names and NAMES[2] in names


def test_no_name_ends_the_script_that_holds_it(hostile: Path) -> None:
    text = (hostile / "report.html").read_text("utf-8")
    # of the charts, and one of the page
    assert text.count("</script") == text.count("<script") == text.count('type="application/json"') + 1
    assert not re.search("[\u2028\u202e\x1b]", text.split("<script>")[0])


def test_what_is_in_the_locked_folder_is_not_shown_though_no_sidecar_says_so(hostile: Path) -> None:
    text = (hostile / "report.html").read_text("utf-8")
    assert 'alt="8$' in text and "for no eyes" not in text


def test_a_library_without_anything_says_so(tmp_path: Path, browser: Browser) -> None:
    write_tree(tmp_path, {"library/Takeout/Google Photos/shared_album_comments.json": {}})
    scan(str(tmp_path / "library"), output=str(tmp_path / "results"))
    with opened(browser, report(tmp_path / "results"), 390, "light") as page:
        assert page.locator("[data-chart], img").count() == 0
        for section in page.locator("main > section").all():
            assert section.locator(".ti-note").count() > 0
        assert page.locator(".ti-note", has_text="Nothing: every file was read").count() == 1


def test_the_command_writes_a_private_page_that_later_scans_let_be(synthetic: Path, results: Path, run: Run) -> None:
    done = run("report", results, "--json", "--no-thumbnails")
    assert done.returncode == 0, done.stderr
    path = Path(json.loads(done.stdout)["report"])
    assert path == results / "report.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "data:image/jpeg" not in path.read_text("utf-8")
    assert "report: " in done.stderr
    (results / "report.html.1.2.tmp").touch()  # of a report that was killed
    assert run("scan", synthetic, "-o", results, "--quiet").returncode == 3
    assert path.exists()
    report(results)
    assert [each.name for each in results.glob("report*")] == ["report.html"]


def test_only_an_earlier_report_is_replaced(results: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.html"
    mine.write_text("precious")
    with pytest.raises(UsageError, match="--force"):
        report(results, mine, thumbnails=False)
    assert mine.read_text() == "precious"
    assert report(results, mine, thumbnails=False, force=True) == mine
    assert report(results, mine, thumbnails=False) == mine
    with pytest.raises(UsageError, match="among the results"):
        report(results, results / "other.html")


def test_neither_inputs_nor_results_nor_pipes_are_written(synthetic: Path, tmp_path: Path) -> None:
    pipe, archive, out = tmp_path / "pipe", tmp_path / "in.tar", tmp_path / "out"
    os.mkfifo(pipe)
    with tarfile.open(archive, "w") as file:
        file.add(synthetic / "Takeout", "Takeout")
    before = archive.read_bytes()
    scan([archive], out, quiet=True)
    for path in (pipe, archive, out / "media" / "report.html", out / "other.html"):
        with pytest.raises(UsageError, match="another"):
            report(out, path, thumbnails=False, force=True)
    assert pipe.is_fifo() and archive.read_bytes() == before
    scan([synthetic], out, quiet=True)
    with pytest.raises(UsageError, match="only ever read"):
        report(out, synthetic / "report.html", thumbnails=False)


def test_a_missing_extra_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "NEEDED", ("no_such_package",))
    with pytest.raises(RunError, match=r"no_such_package: .*/python\S* -m pip install 'takeout-index\[notebook\]'"):
        report(results)


def test_every_kind_of_problem_has_advice(results: Path) -> None:
    problems = open_library(results).table("problems")
    found = {(each.stage, each.kind) for each in problems.itertuples()}
    assert len(found) > 5
    assert not [each for each in found if "explain, which shows all" in advice.what_to_do(*each)]


def test_the_overview_is_kept_without_outputs() -> None:
    for cell in json.loads(notebook_path("overview").read_bytes())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_all_packages_are_installed_and_the_notebooks_with_them() -> None:
    """They are listed by hand, as the notebooks lie elsewhere than where they are installed."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages, data = setuptools["packages"], setuptools["package-data"]
    assert "pipeline.notebooks" in packages
    for path in (ROOT / "pipeline").rglob("*"):
        if not path.is_file() or path.suffix == ".pyc":
            continue
        names = path.relative_to(ROOT).parts
        length = max(n for n in range(1, len(names)) if ".".join(names[:n]) in packages)
        inside = Path(*names[length:])
        patterns = ["*.py", *data.get(".".join(names[:length]), ())]
        assert any(inside.match(each) and len(Path(each).parts) == len(inside.parts) for each in patterns), path
