"""Tables of the documents under docs/, so that the tests run what the documents say."""

from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def table(document: str, header: str) -> list[list[str]]:
    """The rows, as cells, of the table in docs/`document` whose header begins with the cells of `header`."""
    return list(_rows(document, [cell.strip() for cell in header.split("|")]))


def _rows(document: str, header: list[str]) -> Iterator[list[str]]:
    inside = False
    for line in (DOCS / document).read_text("utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if inside and not set(line) <= set("|- "):
            yield cells
        inside = inside or cells[: len(header)] == header
