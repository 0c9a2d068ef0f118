"""What we add to Datasette's pages: thumbnails, links, readable sizes and times, a map, fewer columns at first.

What is shown comes from strangers: names, titles, addresses. It stays text; only what `markupsafe` has escaped becomes HTML.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlencode

from datasette import hookimpl
from datasette.utils import tilde_encode
from datasette.views.table import TableView
from markupsafe import Markup

from pipeline.browsing.counts import asked, plain_filters
from pipeline.browsing.facets import CLASSES
from pipeline.browsing.maps import map_of
from pipeline.browsing.pictures import picture_of
from pipeline.progress import amount

#: Columns of `media` that are shown where nobody has asked for others; all of them are over a hundred.
FIRST_COLUMNS = (
    *("name", "taken_local", "kind", "size", "width", "height", "duration_s", "make", "model", "people", "album"),
    *("place", "country_code", "description", "folder", "duplicate_of", "url", "status"),
)
#: Columns that name a photo or video, and those that count bytes.
IDENTITIES = frozenset({"file_id", "duplicate_of", "edited_of", "live_partner"})
BYTES = frozenset({"size", "bytes"})
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00)?")


@hookimpl
def extra_css_urls() -> list[str]:
    """Our style, in light and dark."""
    return ["/-/browsing/browse.css"]


@hookimpl
def extra_js_urls() -> list[dict[str, Any]]:
    """What asks for the map."""
    return [{"url": "/-/browsing/browse.js", "module": True}]


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    """Thumbnails, maps, and tables of fewer columns."""
    return [
        (r"/-/thumbnail/(?P<file_id>[0-9a-f]{1,32})$", picture_of),
        (r"/-/map/(?P<database>[^\/\.]+)(/(?P<table>[^\/\.]+))?$", map_of),
        (r"/(?P<database>[^\/\.]+)/(?P<table>[^\/\.]+)(\.(?P<format>\w+))?$", _table),
    ]


@hookimpl
def render_cell(row: Any, value: Any, column: str, table: str | None, database: str) -> Any:
    """A value as people read it; None where it is to be shown as it is."""
    label = None
    if isinstance(value, dict):
        value, label = value["value"], value["label"]
    if value is None or isinstance(value, bytes):
        return None
    if column in IDENTITIES and isinstance(value, str):
        picture = thumbnail(value) if column == "file_id" and table != "media" else Markup()
        return _link(f"/{database}/media/{tilde_encode(value)}", picture + (label or value))
    if column in BYTES and isinstance(value, int) and not isinstance(value, bool):
        return Markup('<span title="{} bytes">{}</span>').format(f"{value:,}", amount(value))
    if column == "url" and isinstance(value, str):
        if value.startswith("https://"):
            return Markup('<a href="{}" rel="noreferrer">{}</a>').format(value, _shortened(value))
        return Markup("{}").format(value)
    if column == "album" and table in ("media", None) and isinstance(value, str):
        return _link(f"/{database}/album?{urlencode({'title': value})}", value)
    if column == "folder" and table == "media" and isinstance(value, str):
        return _link(f"/{database}/media?{urlencode({'folder': value})}", value)
    if column.endswith(("_at", "_local")) and isinstance(value, str) and _TIME.fullmatch(value):
        moment, _, zone = value.partition("+")
        return f"{moment.rstrip('0') if '.' in moment else moment}{' UTC' if zone else ''}".replace("T", " ")
    return None


@hookimpl
def extra_template_vars(
    template: str, database: str | None, table: str | None, view_name: str, request: Any, datasette: Any
) -> Any:
    """What our templates use; of a photo or video its people and albums."""

    async def found() -> dict[str, Any]:
        own: dict[str, Any] = {"thumbnail": thumbnail, "first_columns": FIRST_COLUMNS}
        if view_name == "row" and table == "media":
            identity = request.url_vars["pks"]
            index = datasette.get_database(database)
            people = "SELECT person_id, name FROM media_people JOIN people USING (person_id) WHERE file_id = :id ORDER BY name"
            albums = "SELECT album_id, title FROM photo_albums WHERE file_id = :id ORDER BY title, album_id"
            copies = (
                "SELECT file_id, path FROM media WHERE content_id = (SELECT content_id FROM media WHERE file_id = :id) "
                "AND file_id <> :id ORDER BY duplicate_of IS NOT NULL, path LIMIT 50"
            )
            own |= {
                "related": [
                    (title, place, [tuple(row) for row in await index.execute(query, {"id": identity})])
                    for title, place, query in (
                        ("People", "people", people),
                        ("Albums", "albums", albums),
                        ("Files of the same content", "media", copies),
                    )
                ]
            }
        return own

    return found


@hookimpl
def register_facet_classes() -> list[type]:
    """Datasette's own, one of them quicker."""
    return CLASSES


def thumbnail(identity: str, size: int = 160) -> Markup:
    """A small picture of a photo or video."""
    return Markup('<img class="thumbnail" src="/-/thumbnail/{}?size={}" alt="" loading="lazy">').format(identity, size)


def _link(address: str, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, text)


def _shortened(address: str) -> str:
    return address if len(address) <= 48 else address[:47] + "…"


class _Table(TableView):
    """A table, of which only the columns that people look at first are shown, unless they ask for others."""

    async def columns_to_select(self, table_columns: list[str], pks: list[str], request: Any) -> list[str]:
        columns: list[str] = await super().columns_to_select(table_columns, pks, request)
        asked = "_col" in request.args or request.args.get("_columns") == "all"
        if request.url_vars["table"] != "media" or request.url_vars.get("format") or asked:
            return columns
        return [column for column in (*pks, *FIRST_COLUMNS) if column in columns]

    async def data(self, request: Any, *args: Any, **options: Any) -> Any:
        """As Datasette, but that rows are counted by `Counts` where it can."""
        filters = plain_filters((key, value) for key in request.args for value in request.args.getlist(key))
        names = [name for name, _ in filters or ()]
        counted = (
            request.url_vars["table"] == "media" and names and await asyncio.to_thread(self.ds.counts.prepare, names)
        )
        mark = asked.set((self.ds.counts, filters) if counted and filters else None)
        try:
            return await super().data(request, *args, **options)
        finally:
            asked.reset(mark)


async def _table(request: Any, datasette: Any) -> Any:
    return await _Table(datasette).dispatch_request(request)
