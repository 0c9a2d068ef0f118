"""The notebooks, executed as they are kept: over a library with everything in it, and over one with nothing."""

import ast
import io
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill
import pyarrow.parquet as pq
import pytest
from nbconvert import HTMLExporter
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from PIL import Image
from playwright.sync_api import Browser
from traitlets.config import Config

import pipeline
import pipeline.bench as benching
from pipeline import Settings, charts, open_library, panels, scan
from pipeline.progress import Silent
from pipeline.synthetic import make_library
from tests.conftest import write_tree

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: Modules that notebooks may import of ours, and names of the package itself.
MODULES = {"pipeline", "pipeline.advice", "pipeline.charts", "pipeline.panels"}
NAMES = {*pipeline.__all__, "advice", "charts", "panels"}
#: Kernels that run at a time.
AT_ONCE = 2

notebooks = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
libraries = pytest.mark.parametrize("library", ["full", "plain", "empty"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libraries, results and what notebooks write lie."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def executed(folder: Path) -> dict[tuple[str, str], Any]:
    """Every notebook with its outputs, by library and name; where it failed, the error instead.

    The full library has everything, and lacks a part; the plain one has two photos and nothing to say of them.
    """
    make_library(
        folder / "full",
        files=300,
        seed=3,
        image_bytes=6_000,
        video_bytes=20_000,
        corrupt_share=0.03,
        layout="zip",
        parts=4,
    )
    write_tree(
        folder / "plain/Takeout/Google Photos/Photos from 2019",
        {name: jpeg(name) for name in ("IMG_1.jpg", "IMG_2.jpg")}
        | {f"{name}.supplemental-metadata.json": sidecar(name) for name in ("IMG_1.jpg", "IMG_2.jpg")},
    )
    (folder / "empty/Takeout/Google Photos/Photos from 2019").mkdir(parents=True)
    scan(sorted((folder / "full").glob("*-00[124].zip")), output=folder / "results/full")
    for name in ("plain", "empty"):
        scan(folder / name, output=folder / "results" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benching, "ROUNDS", (1, 1))
        benching.bench([folder / "plain"], None, folder / "bench", Settings(), Silent(), longest=0)
    jobs = [(path, folder, "full") for path in NOTEBOOKS]
    # papermill runs one notebook at a time in a process; what is soon done shares a kernel
    with ProcessPoolExecutor(AT_ONCE, get_context("spawn")) as pool:
        alone = [pool.submit(execute, [path], folder, library) for path, folder, library in jobs]
        shared = [pool.submit(execute, NOTEBOOKS, folder, library) for library in ("plain", "empty")]
        found = [(job.exception() or job.result()) for job in (*alone, *shared)]
    by_name: dict[tuple[str, str], Any] = {
        ("full", path.stem): one if isinstance(one, BaseException) else one[path.stem]
        for path, one in zip(NOTEBOOKS, found[: len(jobs)], strict=True)
    }
    for library, several in zip(("plain", "empty"), found[len(jobs) :], strict=True):
        for path in NOTEBOOKS:
            by_name[library, path.stem] = several if isinstance(several, BaseException) else several[path.stem]
    return by_name


def jpeg(name: str) -> bytes:
    """A small picture of its own that says nothing of itself."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30), f"#{name.encode().hex()[-12:-6]}").save(file, "JPEG")
    return file.getvalue()


def sidecar(name: str) -> dict[str, Any]:
    """A sidecar with a title and a date."""
    return {"title": name, "photoTakenTime": {"timestamp": "1564488000"}}


def execute(paths: Sequence[Path], folder: Path, library: str) -> dict[str, list[Any]]:
    """The cells with their outputs of these notebooks, one after the other in one kernel, which listens on no port."""
    os.environ["IPYTHONDIR"] = os.environ["JUPYTER_RUNTIME_DIR"] = os.fspath(folder)
    os.environ["PYTHONPATH"] = os.fspath(ROOT)
    parameters = {"results": os.fspath(folder / "results" / library)}
    if library == "full":  # what each notebook can be given besides
        parameters |= {"list_to": "copies.csv", "subset_to": "subset.parquet", "bench": os.fspath(folder / "bench")}
    cells: list[Any] = []
    for path in paths:
        given = load_notebook_node(os.fspath(path))
        wanted = next(cell.source for cell in given.cells if "parameters" in cell.metadata.tags)
        known = {name: value for name, value in parameters.items() if re.search(rf"^{name} = ", wanted, re.M)}
        given = parameterize_notebook(given, known)
        for cell in given.cells:
            cell["id"] = f"{path.stem}-{len(cells)}"
            cell.metadata["of"] = path.stem
            cell.metadata["tags"] = [*cell.metadata.tags, "raises-exception"]  # the others go on
            cells.append(cell)
    given.cells = cells
    source = folder / f"{library}-{paths[0].stem}-{len(paths)}.ipynb"
    nbformat.write(given, source)
    with tempfile.TemporaryDirectory() as sockets:  # whose paths must be short
        done = papermill.execute_notebook(
            source,
            source.with_suffix(".out.ipynb"),
            cwd=folder,
            progress_bar=False,
            execution_timeout=120,
            config=Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"}),
        )
    found: dict[str, list[Any]] = {path.stem: [] for path in paths}
    for cell in done.cells:
        found[cell.metadata["of"]].append(cell)
    return found


@notebooks
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@notebooks
def test_notebooks_say_what_they_are_and_where_the_results_lie(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    assert re.match(r"# \w.*\n\n\w", cells[0].source), "a title and a sentence"
    (parameters,) = (cell for cell in cells if "parameters" in cell.metadata.get("tags", ()))
    assert 'results = "../results/mine"' in parameters.source


@notebooks
def test_notebooks_use_only_what_is_public(notebook: Path) -> None:
    for cell in nbformat.read(notebook, as_version=4).cells:
        for node in ast.walk(ast.parse(cell.source if cell.cell_type == "code" else "")):
            if isinstance(node, ast.Import):
                assert {each.name for each in node.names if each.name.startswith("pipeline")} <= MODULES
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
                assert node.module in MODULES
                assert node.module != "pipeline" or {each.name for each in node.names} <= NAMES
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")


@notebooks
@libraries
def test_notebooks_run_without_an_error_or_a_warning(executed: Any, notebook: Path, library: str) -> None:
    found = executed[library, notebook.stem]
    if isinstance(found, BaseException):
        raise found
    for cell in found:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.text
            assert "nan" not in re.findall(r"\w+", str(output.get("data", {}).get("text/html", "")))


@notebooks
@libraries
def test_every_chart_has_something_in_it(executed: Any, notebook: Path, library: str) -> None:
    drawn = list(specifications(executed[library, notebook.stem]))
    for chart in drawn:
        data = [each for each in find(chart, "values") if isinstance(each, list) and each and isinstance(each[0], dict)]
        assert data or any(chart.get("datasets", {}).values()), chart.get("description")
        assert chart["description"], "for those who do not see it"
    assert drawn or library != "full"


def specifications(cells: Any) -> Iterator[dict[str, Any]]:
    """The specifications of all charts in the outputs."""
    for cell in cells:
        for output in cell.get("outputs", ()):
            for kind, value in output.get("data", {}).items():
                if "vegalite" in kind:
                    yield value if isinstance(value, dict) else json.loads(value)


def find(value: Any, key: str) -> Iterator[Any]:
    """All that is called `key`, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from find(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from find(inner, key)


def test_a_list_of_copies_and_a_subset_are_written_where_they_are_asked_for(executed: Any, folder: Path) -> None:
    copies, subset = folder / "copies.csv", folder / "subset.parquet"
    library = open_library(folder / "results/full")
    ((count,),) = library.sql("SELECT count(*) FROM media WHERE duplicate_of IS NOT NULL").fetchall()
    assert isinstance(executed["full", "duplicates"], list)
    assert len(pd.read_csv(copies)) == count > 0
    assert not {"latitude", "sidecar_json"} & set(pq.read_schema(subset).names)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copies, subset)] == [0o600, 0o600]


def test_a_month_without_pictures_is_a_gap_only_in_the_midst_of_many() -> None:
    many = [(2019, month, 30) for month in range(1, 13) if month != 7]
    few = [(1950, 1, 2), (1950, 9, 1)]
    chart = charts.months(pd.DataFrame(many + few, columns=["year", "month", "files"]), title="Months", empty="none")
    assert not isinstance(chart, panels.Note)
    assert chart.to_dict()["description"] == "Months: 13 months with some, 1 without any among them."


def test_a_chart_of_nothing_is_a_sentence() -> None:
    nothing = pd.DataFrame({"name": [], "files": [], "by": []})
    for chart in (charts.bars, charts.columns):
        assert str(chart(nothing, "name", by="by", title="Nothing", empty="There is none.")) == "There is none."


@pytest.mark.parametrize("width", [1280, 390])
def test_a_notebook_as_a_page_fits_its_window(executed: Any, folder: Path, browser: Browser, width: int) -> None:
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    cells = [cell for cell in executed["full", "duplicates"] if cell.cell_type == "code"]
    page_file = folder / "duplicates.html"
    page_file.write_text(exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))[0], "utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(page_file.as_uri())
    style = "(name) => getComputedStyle(document.querySelector(name))"
    # Jupyter's rules for lists and tables would have it otherwise
    assert page.evaluate(f"({style})('.ti-tiles dd').float") == "none"
    assert page.evaluate(f"({style})('.ti-table td').textAlign") == "start"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
