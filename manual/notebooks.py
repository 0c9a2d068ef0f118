"""Notebooks as pages: executed over a synthetic library, their outputs set into Markdown without scripts.

A chart is an SVG of two widths, for screens and for phones, in a picture of its own: a page needs no Vega for it.
"""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
#: Photos and videos in the library that they are executed over.
FILES = 1500
#: Pixels that a chart is wide on a screen and on a phone, and how wide a phone is at most.
SCREEN, PHONE, PHONES = 720, 350, 600
#: Around a chart: where the system's letters are wider than those that it was measured with, names need more room at its left.
PADDING = {"left": 36, "right": 18, "top": 6, "bottom": 6}
#: How a data frame looks. What is HTML has a shadow root of its own, in which the styles of the page mean nothing.
_FRAMES = (
    "<style>.dataframe{border-collapse:collapse;font-size:.8em}"
    ".dataframe :is(th,td){border:0;border-bottom:1px solid #8886;padding:.35em .7em;text-align:end}</style>"
)
_VEGA_LITE = re.compile(r"application/vnd\.vegalite\.v\d+\+json")


def executed(paths: Sequence[Path], execute: bool = True) -> Iterator[tuple[Path, Any]]:
    """The notebooks with their outputs; or, not to `execute` them, as they are."""
    if not (execute and paths):
        yield from ((path, nbformat.read(path, as_version=4)) for path in paths)
        return
    from pipeline import scan
    from pipeline.synthetic import make_library

    with tempfile.TemporaryDirectory(prefix="takeout-") as folder:
        there = Path(folder).resolve()
        results, here = (
            there / "results/mine",
            there / "notebooks",
        )  # where notebooks look, and lie, unless told otherwise
        here.mkdir()
        library = there / "Takeout"
        make_library(library, files=FILES, seed=7, image_bytes=12_000, video_bytes=40_000, corrupt_share=0.004)
        scan(library, results)
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            _execute(notebook, here)
            yield path, _without(notebook, os.fspath(there))


def _execute(notebook: Any, folder: Path) -> None:
    """Run all cells in a folder, by a kernel that opens no port."""
    from nbclient import NotebookClient
    from traitlets.config import Config

    settings = Config()
    settings.KernelManager.transport = "ipc"
    settings.KernelManager.connection_file = str(folder / "kernel.json")
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, config=settings, kernel_name="python3", timeout=None, resources=place).execute(
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    )


def _without(notebook: Any, folder: str) -> Any:
    """The notebook with nothing in it of the temporary folder that it was executed in."""
    return nbformat.reads(nbformat.writes(notebook).replace(folder + "/", "").replace(folder, "."), as_version=4)


def index_page(paths: Sequence[Path]) -> str:
    """The page that leads to all notebooks, each with what its first cell says."""
    lines = [
        "# Notebooks",
        "",
        "Made to be changed: each begins with the folder of results that it looks at. Here they are with a synthetic library; "
        "[Analyse in Jupyter](../how-to/jupyter.md) says how to open them with yours.",
        "",
    ]
    for path in paths:
        title, _, about = nbformat.read(path, as_version=4).cells[0].source.partition("\n")
        about = about.strip().split("\n\n")[0]
        lines += [f"## [{title.lstrip('# ')}]({path.stem}.md)", "", about, ""]
    return "\n".join(lines)


def notebook_page(notebook: Any, name: str) -> str:
    """A notebook as Markdown, with a link to itself."""
    blocks = []
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", ()):
            continue
        if cell.cell_type == "markdown":
            blocks.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            blocks += [_fenced(cell.source, "python"), *map(_output, cell.outputs)]
    head, _, rest = "\n\n".join(filter(None, blocks)).partition("\n")
    return f"{head}\n\n[Download this notebook]({name}){{ download }}\n{rest}\n"


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return _fenced(output.text, "text") if output.name == "stdout" else ""
    if output.output_type == "error":
        return _fenced(f"{output.ename}: {output.evalue}", "text")
    data = output.data
    if kind := next(filter(_VEGA_LITE.fullmatch, data), None):
        return _chart(data[kind], data.get("text/plain", "chart"))
    if "image/svg+xml" in data:
        return _picture(data["image/svg+xml"], data.get("text/plain", ""))
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f'<img class="output" alt="" src="data:{kind};base64,{"".join(data[kind].split())}">'
    if "text/html" in data:
        lines = "\n".join(line for line in data["text/html"].splitlines() if line.strip())
        return f'<div class="output" markdown="0"><template shadowrootmode="open">{_FRAMES}\n{lines}\n</template></div>'
    return _fenced(data["text/plain"], "text") if "text/plain" in data else ""


def _chart(specification: dict[str, Any], words: str) -> str:
    return _picture(
        _drawn(specification, SCREEN), specification.get("description", words), _drawn(specification, PHONE)
    )


def _drawn(specification: dict[str, Any], width: int) -> str:
    """The chart as an SVG, as if it stood in a container of this width."""
    import vl_convert

    if specification.get("width") == "container":
        text = json.dumps(specification).replace("containerSize()[0]", str(width))
        fitted = {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": PADDING}
        specification = json.loads(text) | fitted
    return str(vl_convert.vegalite_to_svg(specification))


def _picture(screen: str, words: str, phone: str = "") -> str:
    source = f'<source media="(max-width: {PHONES}px)" srcset="{_address(phone)}">' if phone else ""
    alt = html.escape(" ".join(words.split()))
    return f'<p class="output"><picture>{source}<img alt="{alt}" src="{_address(screen)}"></picture></p>'


def _address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, *(len(each) + 1 for each in re.findall("`+", text)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
