"""Panels: what notebooks and the report show beside charts. HTML, in which every name from the library is text."""

from __future__ import annotations

import html
from typing import Any

#: The stylesheet of the panels in notebooks; the report has its own.
STYLE = "<style>.ti-note{opacity:.8;font-style:italic}</style>"


def bytes_text(size: float) -> str:
    """Bytes as people say them.

    >>> bytes_text(999), bytes_text(1_234_567), bytes_text(1.2e12)
    ('999 B', '1.2 MB', '1.2 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


class Panel:
    """A piece of HTML, which notebooks show with a stylesheet and the report with its own."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": STYLE + self.markup, "text/plain": self.text}


class Note(Panel):
    """A sentence."""

    def __init__(self, text: str) -> None:
        super().__init__(f'<p class="ti-note">{html.escape(text)}</p>', text)
