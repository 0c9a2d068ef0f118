"""The report: the overview notebook run on the results of a scan, as one HTML page that needs nothing else.

The notebook runs in a kernel of its own that talks through sockets in a private folder: no port is opened. Of what it puts
out, charts become Vega-Lite specifications beside one copy of Vega; panels stay the HTML that they are. The page's policy
(Content-Security-Policy) allows its own script and stylesheet, by their digests, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from pipeline.library import Library, open_library
from pipeline.panels import INK, STYLE, plain
from pipeline.problems import OutputError, RunError, UsageError
from pipeline.progress import Silent, Watch
from pipeline.storage.durable import whole_file
from pipeline.storage.results import REPORT

MARK = b"<!-- takeout-index report -->"
CHART = "application/vnd.vegalite.v6+json"
NEEDS = "the report needs more packages: pip install 'takeout-index[notebook]'"
#: Bytes of the path of a socket (sun_path is 108), what jupyter_client appends to a folder taken off.
LONGEST_FOLDER = 80
_STYLE_TAGS = re.compile("</?style>")


def report(
    place: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    thumbnails: bool = True,
    force: bool = False,
    watch: Watch | None = None,
) -> Path:
    """Write the report on results of a scan, by default beside them. Returns its path.

    An earlier report is replaced, any other file only with `force`. Raises UsageError, OutputError, RunError.
    """
    watch = watch or Silent()
    library = open_library(place)
    path = _target(library, output, force)
    watch.step("report: starting")
    notebook = _notebook({"results": str(library.folder.absolute()), "thumbnails": thumbnails})
    _execute(notebook, watch)
    watch.step("report: writing the page")
    text = _page(notebook, library)
    for left in path.parent.glob(f"{REPORT}.*.tmp"):  # of a report that was killed
        left.unlink(missing_ok=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {os.strerror(error.errno or 0)}") from error
    return path


def _target(library: Library, output: str | os.PathLike[str] | None, force: bool) -> Path:
    """Where the report goes, if it may go there."""
    path = Path(output).expanduser() if output is not None else library.folder / REPORT
    if path.is_dir():
        path = path / REPORT
    if path.parent.resolve() == library.folder.resolve() and path.name != REPORT:
        raise UsageError(
            f"{path} would lie among the results, which hold but one report, {REPORT}: give another folder"
        )
    if path.exists() and not force:
        with path.open("rb") as file:
            if MARK not in file.read(200):
                raise UsageError(f"{path} is no report of ours: give another name, or --force to replace it")
    return path


def notebook_path(name: str) -> Path:
    """A notebook of ours: beside the package in the source tree, within it where it was installed."""
    package = Path(str(resources.files("pipeline")))
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / f"{name}.ipynb").exists():
            return folder / f"{name}.ipynb"
    raise RunError(f"the notebook {name} is not installed")


def _notebook(parameters: dict[str, Any]) -> Any:
    """The overview, with its parameters as papermill would set them."""
    try:
        import nbformat
    except ImportError as error:
        raise RunError(NEEDS) from error
    notebook = nbformat.read(notebook_path("overview"), as_version=4)
    at = next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    injected = nbformat.v4.new_code_cell(lines, metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(at + 1, injected)
    return notebook


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A temporary folder for the kernel's sockets and settings, whose path is short enough for sockets."""
    short = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_FOLDER
    with tempfile.TemporaryDirectory(
        prefix="takeout-", dir=None if short else "/tmp", ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _execute(notebook: Any, watch: Watch) -> None:
    """Run all cells, in a kernel that is this Python and knows none of the user's settings."""
    try:
        import ipykernel  # noqa: F401  # what the kernel is
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError
        from traitlets.config import Config
    except ImportError as error:
        raise RunError(NEEDS) from error
    headings = _headings(notebook)

    def started(cell: Any, cell_index: int) -> None:
        if heading := headings.get(cell_index):
            watch.step(f"report: {heading}")

    package = str(Path(str(resources.files("pipeline"))).parent)
    with _private_folder() as folder:
        environment = os.environ | {
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        }
        settings = Config()
        settings.KernelManager.transport = "ipc"
        settings.KernelManager.connection_file = str(folder / "kernel.json")
        settings.KernelSpecManager.kernel_dirs = []  # none but this Python
        client = NotebookClient(
            notebook,
            config=settings,
            kernel_name="python3",
            timeout=None,
            resources={"metadata": {"path": str(folder)}},
            on_cell_start=started,
        )
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            raise RunError(f"the report failed: {error.ename}: {(error.evalue.splitlines() or [''])[0]}") from error
        except (DeadKernelError, RuntimeError) as error:
            raise RunError(f"the report failed: {error}") from error


def _headings(notebook: Any) -> dict[int, str]:
    """The heading that each code cell stands under."""
    found, heading = {}, ""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), heading)
        elif heading:
            found[number] = heading.lower()
    return found


def _page(notebook: Any, library: Library) -> str:
    """The page of an executed notebook."""
    parts = resources.files("pipeline") / "page"
    style = _STYLE_TAGS.sub("", STYLE) + (parts / "page.css").read_text("utf-8")
    script = _script((parts / "page.js").read_text("utf-8"))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    heading, sections, body = _rendered(notebook)
    name = html.escape(plain(library.folder.absolute().name))
    return Template((parts / "page.html").read_text("utf-8")).substitute(
        policy=policy,
        version=html.escape(str(library.report["version"])),
        title=f"{name}: photos and videos",
        library=name,
        scanned=f"{datetime.fromisoformat(library.report['finished_at']):%-d %B %Y}",
        style=style,
        script=script,
        heading=heading,
        sections=sections,
        body=body,
    )


def _script(ours: str) -> str:
    """Vega, Vega-Lite and Vega-Embed, and what draws the charts with them."""
    try:
        import vl_convert
    except ImportError as error:
        raise RunError(NEEDS) from error
    bundle: str = vl_convert.javascript_bundle(f"const INK = {json.dumps(INK)};\n{ours}", vl_version="6.4")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(text: str) -> str:
    """What the page's policy knows a script or stylesheet by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _rendered(notebook: Any) -> tuple[str, str, str]:
    """The heading with what stands below it, the list of sections, and these."""
    import mistune

    markdown = mistune.create_markdown(escape=True)
    heading = ""
    sections: list[str] = []
    body: list[str] = []
    charts = 0
    for cell in notebook.cells:
        if "notebook" in cell.metadata.get("tags", ()):  # of no meaning on a page
            continue
        if cell.cell_type == "markdown":
            text = str(markdown(cell.source))
            if found := re.match("<h2>(.*?)</h2>", text):
                identity = f"section-{len(sections) + 1}"
                body.append("</section>" if sections else "")
                sections.append(f'<li><a href="#{identity}">{found[1]}</a></li>')
                text = (
                    f'<section id="{identity}" aria-labelledby="{identity}-title"><h2 id="{identity}-title">' + text[4:]
                )
            if text.startswith("<h1>"):
                heading = text
            else:
                body.append(text)
            continue
        shown = []
        for output in cell.outputs:
            data = output.get("data", {})
            if CHART in data:
                charts += 1
                shown.append(_chart(data[CHART], f"chart-{charts}"))
            elif "text/html" in data:
                shown.append(data["text/html"].removeprefix(STYLE))
        if shown and sections:
            body += shown
            if "library.sql" in cell.source:
                body.append(
                    f"<details><summary>How this is counted</summary><pre>{html.escape(cell.source)}</pre></details>"
                )
    body.append("</section>" if sections else "")
    return heading, "".join(sections), "\n".join(body)


def _chart(spec: dict[str, Any], identity: str) -> str:
    """A place for a chart, and its specification, in which nothing ends the script element that holds it."""
    text = json.dumps(spec, separators=(",", ":")).translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"})
    described = html.escape(str(spec.get("description", "chart")))
    return (
        f'<figure class="chart" aria-label="{described}"><div data-chart="{identity}">{described}</div></figure>'
        f'<script type="application/json" id="{identity}">{text}</script>'
    )
