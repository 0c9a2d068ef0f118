"""The documentation: it builds, leads nowhere that is not there, asks nobody for anything, and what it shows works."""

import ast
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Browser

from manual.notebooks import notebook_page
from manual.reference import commands, commands_page, python_page, schema_page, settings_page
from pipeline import Settings, diff, merge, scan
from pipeline.cost import PUBLISHED, PUBLISHED_WITH_DISK, Constants
from tests.test_cost import published

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)$", re.M | re.S)
NOT_RUN = re.compile(r"<!-- not run: [^\n]* -->\n\Z")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Code of these languages, but for what says that it cannot be run."""
    text = page.read_text("utf-8")
    for found in FENCE.finditer(text):
        if found["language"] in languages and not NOT_RUN.search(text[: found.start()]):
            yield found["text"]


def command_lines(page: Path) -> Iterator[str]:
    """Lines of shell, those that go on in the next one put together; and what stands in a sentence."""
    for block in blocks(page, "", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield from (each.strip() for each in re.split(r"\s+#\s", line)[:1])
    yield from re.findall(r"`((?:takeout-index|make) [^`\n]*)`", FENCE.sub("", page.read_text("utf-8")))


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as `make docs` builds them, but that no notebook is executed."""
    return built(tmp_path_factory.mktemp("docs") / "site", TAKEOUT_INDEX_DOCS_NOTEBOOKS="0")


def built(folder: Path, **environment: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    """With all its links and anchors: those that lead nowhere are warnings, and warnings are errors."""
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in PAGES[1:]}
    made = {Path("reference") / f"{each}.html" for each in ("commands", "configuration", "python")}
    notebooks = {Path("notebooks") / f"{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert built == written | made | notebooks | {Path("404.html"), Path("notebooks/index.html")}


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_ask_nobody_and_fit(site: Path, browser: Browser, width: int) -> None:
    scheme: Any = "dark" if width == 390 else "light"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for each in ("index", "schema", "dataflow", "reference/commands", "how-to/nightly", "notebooks/index"):
        page.goto((site / f"{each}.html").as_uri(), wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, each
        assert page.locator("h1").count() == 1, each
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((site.as_uri(), "data:", "blob:", "about:"))] == []


def test_search_works_from_the_file_system(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto((site / "how-to/nightly.html").as_uri())
    page.locator(".md-search__input").press_sequentially("exit status")
    page.wait_for_selector(".md-search-result__item a")
    assert page.locator(".md-search-result__item a[href*='exit-statuses']").count()
    page.close()


@pytest.mark.soak
def test_every_notebook_is_executed_and_shown(tmp_path: Path, browser: Browser) -> None:
    site = built(tmp_path / "site")
    page, said = browser.new_page(viewport={"width": 390, "height": 900}), []
    page.on("console", lambda message: said.append(message.text))
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page.goto((site / f"notebooks/{path.stem}.html").as_uri(), wait_until="load")
        assert page.locator(".output").count(), path.name
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
        assert all(page.eval_on_selector_all("img", "all => all.map(each => each.naturalWidth > 0)")), path.name
    page.close()
    assert said == []


def test_outputs_of_notebooks_become_html_without_scripts() -> None:
    chart = {
        "data": {"values": [{"a": 1}]},
        "mark": "bar",
        "encoding": {"x": {"field": "a", "type": "quantitative"}},
        "width": "container",
        "description": 'Bars of "a"',
    }
    output, new = nbformat.v4.new_output, nbformat.v4.new_code_cell
    shown = [
        output(
            "display_data",
            {"application/vnd.vegalite.v6+json": chart, "image/svg+xml": "<svg/>", "text/plain": "chart"},
        ),
        output("execute_result", {"text/html": "<p>\n\n<b>a</b></p>", "text/plain": "a"}),
        output("execute_result", {"image/png": "iVBO\nRw0=", "text/plain": "a picture"}),
        output("stream", name="stdout", text="```\nprinted"),
        output("stream", name="stderr", text="a warning"),
        output("execute_result", {"text/plain": "42"}),
    ]
    cells = [
        nbformat.v4.new_markdown_cell("# A title\n\nWhat it is."),
        new("results = 'x'", metadata={"tags": ["injected-parameters"]}),
        new("1 + 1", outputs=shown),
    ]
    page = notebook_page(nbformat.v4.new_notebook(cells=cells), "a.ipynb")
    assert page.startswith("# A title\n\n[Download this notebook](a.ipynb)")
    assert "results = 'x'" not in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert 'alt="Bars of &quot;a&quot;"' in page
    assert 'src="data:image/png;base64,iVBORw0="' in page
    assert "<p>\n<b>a</b></p>" in page
    assert "````text\n```\nprinted\n````" in page
    assert "```text\n42\n```" in page
    assert "a warning" not in page
    assert "<script" not in page


# The links of the front page


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def test_links_of_the_readme_lead_somewhere() -> None:
    readme = ROOT / "README.md"
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", readme.read_text("utf-8"))):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = ROOT / path if path else readme
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


# What is made from code


def test_the_schema_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs/schema.md").read_text("utf-8") == schema_page(), "run `python -m manual`"


def test_reference_pages_name_everything() -> None:
    page = commands_page()
    for command in commands().values():
        for each in command.params:
            assert all(option in page for option in each.opts if option.startswith("-"))
    assert all(f"`{field}`" in settings_page() for field in Settings.__slots__)
    assert "## Library" in python_page()


def test_reference_pages_say_nothing_of_the_machine_they_are_made_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "of this machine")
    made = "".join(page() for page in (commands_page, settings_page, python_page, schema_page))
    assert "of this machine" not in made
    assert os.fspath(ROOT) not in made


# What it shows


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_shown_is_one(page: Path) -> None:
    known = commands()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for line in command_lines(page):
        words = shlex.split(line)
        if words[:1] == ["make"]:
            assert {word for word in words[1:] if "=" not in word} <= targets, line
        ours = next((at for at, word in enumerate(words) if Path(word).name == "takeout-index"), None)
        if ours is None or not words[ours + 1 :] or words[ours + 1].isupper() or words[ours + 1].startswith("-"):
            continue
        command, *arguments = takewhile(lambda word: word != ">", words[ours + 1 :])
        if arguments:  # else it is only the name of a command
            known[command].make_context(command, [each for each in arguments if each != "…"])
        assert command in known


@pytest.fixture(scope="module")
def home(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a Takeout, results of it, older ones, and those of two people, also merged."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(synthetic, folder / "Takeout")
    scan(folder / "Takeout", folder / "results/mine", Settings(mode="sequential"))
    for name_of_copy in ("2023", "anna", "ben"):
        shutil.copytree(folder / "results/mine", folder / "results" / name_of_copy)
    merge({each: folder / "results" / each for each in ("anna", "ben")}, folder / "results/home", quiet=True)
    (folder / "results/years").symlink_to("home")
    (folder / "photos-index").symlink_to("results/mine")
    assert diff(folder / "results/2023", folder / "results/mine")["differs"] == 0
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page, "python"))], ids=name)
def test_python_that_is_shown_runs(page: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page one block after the other, as in a notebook; what a last line gives is shown, as there."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    space: dict[str, Any] = {}
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name(page), "exec"), space)
        if isinstance(last, ast.Expr):
            repr(eval(compile(ast.Expression(last.value), name(page), "eval"), space))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sql_that_is_shown_runs(page: Path, home: Path) -> None:
    for line in command_lines(page):
        words = shlex.split(line)
        if words[:1] != ["sqlite3"]:
            continue
        with closing(sqlite3.connect(home / words[1].removeprefix("~/"))) as db:
            db.execute(words[2]).fetchall()


@pytest.mark.parametrize(
    ("column", "constants"), [("parallel", PUBLISHED), ("parallel, with the disk counted", PUBLISHED_WITH_DISK)]
)
def test_tables_of_the_cost_model_are_those_of_the_model(column: str, constants: Constants) -> None:
    text = (ROOT / "docs/cost-model.md").read_text("utf-8")
    rows = text.partition(f"| {column} | speed-up |\n|---|---|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert len(rows) == 4
    for row in rows:
        files, one, many, speed_up = (float(re.sub("[ s,]", "", cell)) for cell in row.strip("|").split("|"))
        sequential, parallel = (published(int(files), mode, constants).seconds for mode in ("sequential", "parallel"))
        assert one == pytest.approx(sequential, abs=0.5)
        assert many == pytest.approx(parallel, abs=0.06 if many < 1000 else 0.5)
        assert speed_up == pytest.approx(sequential / parallel, abs=0.05)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = tmp_path / "units"
    units.mkdir()
    for path in (ROOT / "conf/systemd").iterdir():
        text = path.read_text("utf-8").replace("%h/takeout-index/.venv/bin/takeout-index", sys.executable)
        (units / path.name).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--user", *sorted(path.name.replace("@.", "@x.") for path in units.iterdir())],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{units}:", "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
