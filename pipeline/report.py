"""The report: the overview notebook run on the results of a scan, as one HTML page that needs nothing else.

What its cells come to is put side by side: charts as Vega-Lite specifications, beside one copy of Vega; panels as the HTML
that they are. The page's policy (Content-Security-Policy) allows its own script and stylesheet, by their digests, and nothing
from anywhere else.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from pipeline.library import Library, open_library
from pipeline.panels import INK, STYLE, Note, Panel, plain
from pipeline.problems import OutputError, RunError, UsageError, to_install
from pipeline.progress import Silent, Watch
from pipeline.storage.durable import whole_file
from pipeline.storage.parts import is_inside, real_path
from pipeline.storage.published import refuse_input
from pipeline.storage.remote import is_url, shown_url
from pipeline.storage.results import REPORT, results_of

MARK = b"<!-- takeout-index report -->"
#: Packages of the extra that the report is made with.
NEEDED = ("altair", "mistune", "vl_convert")
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
    if output is None and is_url(os.fspath(place)):
        raise UsageError(
            f"say with -o where the page is to be: it is not put beside results at {shown_url(os.fspath(place))}"
        )
    results_of(place, watch)  # fetched, where they are at a URL, and seen to be
    library = open_library(place)
    path = _target(library, output, force)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise RunError(f"the report needs {', '.join(missing)}: {to_install('takeout-index[notebook]')}")
    watch.step("report: starting")
    cells = _executed({"results": str(library.folder.absolute()), "thumbnails": thumbnails}, watch)
    watch.step("report: writing the page")
    text = _page(cells, library)
    for left in library.folder.glob(f"{REPORT}.*.tmp"):  # of a report that was killed
        left.unlink(missing_ok=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {os.strerror(error.errno or 0)}; give another place with -o"
        ) from error
    return path


def _target(library: Library, output: str | os.PathLike[str] | None, force: bool) -> Path:
    """Where the report goes, if it may go there."""
    real_path(library.folder if output is None else output)  # it is none that cannot be written
    path = Path(output).expanduser() if output is not None else library.folder / REPORT
    if path.is_dir():
        path = path / REPORT
    real = Path(real_path(path))
    if is_inside(str(real), real_path(library.folder)) and real != Path(real_path(library.folder), REPORT):
        raise UsageError(
            f"{path} would lie among the results, which hold but one report, {REPORT}: give another folder"
        )
    refuse_input(real, library.folder)
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file, but a pipe or device: give another name")
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


@dataclass(frozen=True)
class _Cell:
    """A cell that the page shows: Markdown, or code with what its last expression came to."""

    kind: str
    source: str
    value: Any = None


def _executed(parameters: Mapping[str, Any], watch: Watch) -> list[_Cell]:
    """The cells of the overview, run one after the other with these parameters; what is for notebooks alone is left out.

    As plain Python, here: a kernel would take as long again, and listen on a port of loopback even where it is told to talk
    through files. The notebook keeps to that: no magics, and one value a cell, in its last line.
    """
    cells, heading = [], ""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(json.loads(notebook_path("overview").read_bytes())["cells"]):
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", ())
        if cell["cell_type"] == "markdown":
            heading = next((line.lstrip("# ") for line in source.splitlines() if line.startswith("#")), heading)
            value = None
        else:
            watch.step(f"report: {heading}")
            value = _run(source, f"<overview, cell {number}>", names)
        if "parameters" in tags:
            names |= parameters
        if "notebook" not in tags:
            cells.append(_Cell(cell["cell_type"], source, value))
    return cells


def _run(source: str, name: str, names: dict[str, Any]) -> Any:
    """Run a cell; what its last expression comes to, or None."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    return eval(compile(ast.Expression(last.value), name, "eval"), names) if isinstance(last, ast.Expr) else None


def _page(cells: Iterable[_Cell], library: Library) -> str:
    """The page of the cells."""
    parts = resources.files("pipeline") / "page"
    style = _STYLE_TAGS.sub("", STYLE) + (parts / "page.css").read_text("utf-8")
    script = _script((parts / "page.js").read_text("utf-8"))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    heading, sections, body = _rendered(cells)
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


@cache
def _script(ours: str) -> str:
    """Vega, Vega-Lite and Vega-Embed, and what draws the charts with them."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(f"const INK = {json.dumps(INK)};\n{ours}", vl_version="6.4")
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _digest(text: str) -> str:
    """What the page's policy knows a script or stylesheet by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _rendered(cells: Iterable[_Cell]) -> tuple[str, str, str]:
    """The heading with what stands below it, the list of sections, and these."""
    import mistune

    markdown = mistune.create_markdown(escape=True)
    heading = ""
    sections: list[str] = []
    body: list[str] = []
    charts = 0
    for cell in cells:
        if cell.kind == "markdown":
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
        elif isinstance(cell.value, Panel):
            body.append(cell.value.markup)
        elif cell.value is not None:
            charts += 1
            body.append(_chart(cell.value.to_dict(), f"chart-{charts}"))
        if "library.sql" in cell.source and not isinstance(cell.value, Note):
            source = html.escape(cell.source)
            body.append(f"<details><summary>How this is counted</summary><pre><code>{source}</code></pre></details>")
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
