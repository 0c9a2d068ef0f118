"""What MkDocs is to do besides: take in the pages that are made from code, and the notebooks."""

from __future__ import annotations

import os
from collections.abc import Callable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from manual.notebooks import NOTEBOOKS, executed, index_page, notebook_page
from manual.reference import commands_page, python_page, settings_page

#: Pages that nobody writes, by their paths.
MADE: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/configuration.md": settings_page,
    "reference/python.md": python_page,
}
#: Set to 0, notebooks are shown as they are kept, without outputs, which takes seconds where to execute them takes minutes.
EXECUTE = "TAKEOUT_INDEX_DOCS_NOTEBOOKS"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the notebooks that there are into the navigation."""
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    pages = ["notebooks/index.md", *(f"notebooks/{path.stem}.md" for path in paths)]
    config.nav = [*(config.nav or []), {"Notebooks": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    pages = {place: make() for place, make in MADE.items()}
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    pages["notebooks/index.md"] = index_page(paths)
    for path, notebook in executed(paths, execute=os.environ.get(EXECUTE) != "0"):
        pages[f"notebooks/{path.stem}.md"] = notebook_page(notebook, path.name)
        files.append(File.generated(config, f"notebooks/{path.name}", content=path.read_bytes()))
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    return files
