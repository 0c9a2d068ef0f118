"""Panels: what notebooks and the report show beside charts. HTML, in which every name from the library is text."""

from __future__ import annotations

import base64
import html
import io
import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.problems import MediaError
from pipeline.progress import amount as amount

if TYPE_CHECKING:
    from pipeline.library import Library

#: Text and lines of charts, readable on white and on black; the report puts its own in its place.
INK = "#757c86"
#: How panels look, in notebooks and in the report, on white and on black.
STYLE = """<style>
.ti-note{margin:.8em 0;padding:.7em 1em;border-left:3px solid #858b94;background:rgba(128,136,148,.1);border-radius:0 6px 6px 0}
.ti-tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.8em,1fr));gap:.8em;margin:1em 0;padding:0}
.ti-tiles div{padding:.8em .95em;background:rgba(128,136,148,.1);border-radius:10px;min-width:0}
.ti-tiles dt{font-size:.85em;opacity:.75;margin:0;font-weight:normal}
.ti-tiles dd{font-size:1.25em;font-weight:650;margin:.1em 0 0;font-variant-numeric:tabular-nums;white-space:nowrap;
line-height:1.2}
.ti-scroll{overflow-x:auto;margin:1em 0;border-radius:8px}
.ti-table{border-collapse:collapse;width:100%;font-size:.92em}
.ti-table th,.ti-table td{text-align:start;padding:.5em .8em;border-bottom:1px solid rgba(128,136,148,.3);vertical-align:top;
max-width:26em;min-width:5em;overflow-wrap:break-word;white-space:normal}
.ti-table th{font-weight:600;white-space:nowrap}
.ti-table .long{min-width:min(17em,58vw)}
.ti-table .number{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
@media (max-width:34em){
.ti-cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.ti-cards tr{display:block;padding:.5em 0;border-bottom:1px solid rgba(128,136,148,.3)}
.ti-cards td,.ti-cards .number{display:block;border:0;padding:.12em 0;max-width:none;min-width:0;text-align:start}
.ti-cards .long{min-width:0}
.ti-cards td::before{content:attr(data-name) ": ";opacity:.7}
}
.ti-sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(9.5em,30%),1fr));gap:.6em;list-style:none;
margin:1em 0;padding:0}
.ti-sheet li,.ti-sheet figure{margin:0;min-width:0}
.ti-sheet img,.ti-sheet .ti-none{display:block;box-sizing:border-box;width:100%;aspect-ratio:1;object-fit:cover;
border-radius:8px;background:rgba(128,136,148,.15)}
.ti-sheet .ti-none{display:flex;align-items:center;justify-content:center;text-align:center;padding:.8em;font-size:.78em;
border:1px dashed rgba(128,136,148,.6);overflow:hidden;overflow-wrap:anywhere}
.ti-sheet figcaption{font-size:.8em;opacity:.8;padding:.25em .1em;overflow:hidden;max-height:3.3em;line-height:1.4;
overflow-wrap:anywhere}
</style>"""
#: The same for notebooks, which have rules of their own for lists and tables, of two classes at most.
_IN_NOTEBOOKS = re.sub(
    r"\.(ti-[a-z]+)",
    r".\1.\1.\1",
    STYLE.replace(
        "</style>",
        """.ti-tiles dt,.ti-tiles dd{float:none;width:auto}
.ti-scroll .ti-table{table-layout:auto;margin:0}
.ti-sheet li{list-style:none}
</style>""",
    ),
)
#: Characters that change or hide what stands beside them: controls, and those that turn the direction of writing.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
#: Characters of a name that are shown.
LONGEST = 300
#: Seconds that a contact sheet may take; a picture within a tgz can cost reading all of it.
PATIENCE = 25.0


def plain(value: object) -> str:
    r"""A name as text for charts and pages: controls as escapes, and not without end.

    >>> plain("a\x1b[2J\u202eb")
    'a\\x1b[2J\\u202eb'
    """
    text = str(value)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text)


def _markup(value: object) -> str:
    return html.escape(plain(value))


class Panel:
    """A piece of HTML, which notebooks show with STYLE; `text` says the same where there is no HTML."""

    def __init__(self, markup: str, text: str) -> None:
        self.markup, self.text = markup, text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return _IN_NOTEBOOKS + self.markup


class Note(Panel):
    """A sentence or two."""

    def __init__(self, text: str) -> None:
        super().__init__(f'<p class="ti-note" dir="auto">{_markup(text)}</p>', text)


class Tiles(Panel):
    """Some figures, each with what it counts. Those that are None are left out."""

    def __init__(self, figures: Mapping[str, object]) -> None:
        said = {name: _said(value) for name, value in figures.items() if not missing(value)}
        tiles = (f"<div><dt>{_markup(name)}</dt><dd>{_markup(value)}</dd></div>" for name, value in said.items())
        super().__init__(
            f'<dl class="ti-tiles">{"".join(tiles)}</dl>', ", ".join(f"{name}: {value}" for name, value in said.items())
        )


class Table(Panel):
    """A pandas frame as a table that scrolls inside its box; numbers with separators, `bytes` as people say them.

    On a telephone a table with long texts is a list of cards, each value with the name of its column.
    """

    def __init__(self, frame: Any, what: str) -> None:
        columns = [str(column) for column in frame.columns]
        rows = [list(row) for row in frame.itertuples(index=False, name=None)]
        numeric = [
            bool(rows) and all(missing(row[n]) or _is_number(row[n]) for row in rows) for n in range(len(columns))
        ]
        names = [_markup(column.replace("_", " ")) for column in columns]
        told = [[_said(*each) for each in zip(row, columns, strict=True)] for row in rows]
        cards = ' role="table" class="ti-table ti-cards"' if _is_wide(told) else ' class="ti-table"'
        heads = (
            f'<th scope="col"{_NUMBER if number else ""}>{name}</th>'
            for name, number in zip(names, numeric, strict=True)
        )
        body = (
            '<tr role="row">'
            + "".join(
                f'<td role="cell" dir="auto" data-name="{name}"{_NUMBER if number else _LONG if len(said) > LONG else ""}>'
                f"{_markup(said)}</td>"
                for name, number, said in zip(names, numeric, row, strict=True)
            )
            + "</tr>"
            for row in told
        )
        super().__init__(
            f'<div class="ti-scroll" role="region" aria-label="{_markup(what)}" tabindex="0"><table{cards}>'
            f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table></div>",
            f"{what}: {len(rows):,} rows",
        )


def _is_wide(rows: Sequence[Sequence[str]]) -> bool:
    """A row does not fit a telephone."""
    return any(len(row) > 2 and any(len(said) > LONG for said in row) for row in rows)


class ContactSheet(Panel):
    """Small pictures of the files of a frame (`file_id`, `name`, `caption`), or why there is none.

    What is not read within `seconds` is left out, and said.
    """

    def __init__(self, library: Library, frame: Any, size: int = 320, seconds: float = PATIENCE) -> None:
        rows = list(frame[["file_id", "name", "caption"]].itertuples(index=False, name=None))
        found = _within(seconds, library, [file_id for file_id, _, _ in rows], size)
        figures = (
            f"<li><figure>{_picture(found.get(file_id), plain(name))}"
            f'<figcaption dir="auto">{_markup("" if missing(caption) else caption)}</figcaption></figure></li>'
            for file_id, name, caption in rows
        )
        late = sum(file_id not in found for file_id, _, _ in rows)
        text = f"{len(rows) - late:,} of {len(rows):,} pictures"
        markup = f'<ul class="ti-sheet">{"".join(figures)}</ul>'
        if late:
            markup += Note(
                f"{late:,} of these {len(rows):,} pictures were not read, as that would have taken longer than {seconds:.0f} "
                "seconds. Within a tgz, all that stands before a picture has to be read first; unpacked, it is at hand."
            ).markup
        super().__init__(markup, text)


#: Letters from which on a text is long.
LONG = 30
_NUMBER, _LONG = ' class="number"', ' class="long"'


def _within(seconds: float, library: Library, identities: Sequence[str], size: int) -> dict[str, bytes | MediaError]:
    """The pictures that can be had in that time, as JPEG, and why others cannot."""
    found: dict[str, bytes | MediaError] = {}
    over = threading.Event()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            for identity, picture in library.thumbnails(identities, size):
                found[identity] = picture if isinstance(picture, MediaError) else _jpeg(picture)
                if over.is_set():
                    return
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=read, name="contact sheet", daemon=True)
    thread.start()
    thread.join(seconds)
    over.set()
    if failed:
        raise failed[0]
    return dict(found)


def _jpeg(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=74, optimize=True)
    return file.getvalue()


def _picture(picture: bytes | MediaError | None, name: str) -> str:
    if isinstance(picture, bytes):
        data = base64.b64encode(picture).decode()
        return f'<img src="data:image/jpeg;base64,{data}" alt="{html.escape(name)}" title="{html.escape(name)}">'
    why = "not read: it would take too long" if picture is None else plain(picture.message)
    return (
        f'<div class="ti-none" role="img" aria-label="{html.escape(f"{name}: {why}")}" title="{html.escape(name)}">'
        f"{html.escape(why[:90])}</div>"
    )


def missing(value: object) -> bool:
    """What frames have where there is nothing."""
    return value is None or value != value  # NaN and NaT


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _said(value: Any, column: str = "") -> str:
    """A value as people read it."""
    if missing(value):
        return ""
    if _is_number(value):
        number = float(value)
        if column == "bytes":
            return amount(number)
        if column == "year":
            return f"{number:.0f}"
        return f"{number:,.0f}" if number.is_integer() or math.fabs(number) >= 1000 else f"{number:,.2f}"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d}"
    return ", ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
