"""The map above a table or query that has columns `latitude` and `longitude`: of all rows of the filter, not of one page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import pyarrow.parquet as pq
from datasette.database import QueryInterrupted
from datasette.filters import Filters
from datasette.plugins import pm
from datasette.utils import (
    InvalidSql,
    await_me_maybe,
    derive_named_parameters,
    escape_sqlite,
    sqlite3,
    tilde_decode,
    validate_sql_select,
)
from datasette.utils.asgi import NotFound, Response

from pipeline.browsing.counts import POSITION, Counts, Filter, plain_filters
from pipeline.browsing.points import Cell, Ring, View, cells_of, draw

LONGITUDE, LATITUDE = POSITION
_ON_EARTH = f"{LATITUDE} BETWEEN -90 AND 90 AND {LONGITUDE} BETWEEN -180 AND 180"  # not what is text, nor null
#: Degrees by which a link reaches beyond the outermost rows, as SQLite does not read every number back to the last bit.
_REACH = 1e-6
#: Arguments of a page that a link to other rows does not have.
_OF_PAGE = ("_next", "_sort", "_sort_desc", "_map_width")


async def map_of(request: Any, datasette: Any) -> Response:
    """The map as a piece of HTML; nothing where there are no positions."""
    name = tilde_decode(request.url_vars["database"])
    try:
        database = datasette.get_database(name)
    except KeyError as error:
        raise NotFound("there is no such database") from error
    table = tilde_decode(request.url_vars["table"]) if request.url_vars.get("table") else None
    canned = await datasette.get_canned_query(name, table, request.actor) if table else None
    link: Callable[[Cell], str]
    if table is not None and canned is None:
        if not {LATITUDE, LONGITUDE} <= set(await database.table_columns(table)):
            return _nothing()
        sql, parameters = await _rows_of_table(request, datasette, database, table)
        kept = [(key, value) for key in request.args for value in request.args.getlist(key) if key not in _OF_PAGE]

        def link(cell: Cell) -> str:
            others = [each for each in kept if not each[0].startswith((f"{LATITUDE}__", f"{LONGITUDE}__"))]
            return f"{datasette.urls.table(name, table)}?{urlencode([*others, *_limits(cell)])}"

    else:
        sql = canned["sql"] if canned else request.args.get("sql") or ""
        try:
            validate_sql_select(sql)
        except InvalidSql:
            return _nothing()
        sql = sql.strip().rstrip(";")
        named = await derive_named_parameters(database, sql)
        parameters = {each: request.args.get(each) or "" for each in named}

        def link(cell: Cell) -> str:
            where = " AND ".join(
                f"{key.partition('__')[0]} {'>=' if key.endswith('gte') else '<='} {value}"
                for key, value in _limits(cell)
            )
            given = {"sql": f"SELECT * FROM (\n{sql}\n) WHERE {where}"} | parameters
            return f"{datasette.urls.database(name)}?{urlencode(given)}"

    filters = plain_filters((key, value) for key in request.args for value in request.args.getlist(key))
    try:
        if (
            table == "media"
            and filters is not None
            and await asyncio.to_thread(datasette.counts.prepare, [*POSITION, *(name for name, _ in filters)])
        ):
            return await asyncio.to_thread(_drawn_at_once, request, datasette.counts, filters, link)
        return await _drawn(request, database, sql, parameters, link)
    except QueryInterrupted:
        return Response.html('<p class="map-note">The map of so many rows takes too long: filter them first.</p>')
    except sqlite3.DatabaseError:  # as the page itself says
        return _nothing()


async def _drawn(
    request: Any, database: Any, sql: str, parameters: dict[str, Any], link: Callable[[Cell], str]
) -> Response:
    positions = f"FROM (\n{sql}\n) WHERE {_ON_EARTH}"
    reach = f"SELECT min({LONGITUDE}), min({LATITUDE}), max({LONGITUDE}), max({LATITUDE}), count(*) {positions}"
    west, south, east, north, count = (await database.execute(reach, parameters, log_sql_errors=False)).first()
    if not count:
        return _nothing()
    view = View.of(west, south, east, north, _width(request))
    across, up = view.step
    grouped = (
        f"SELECT count(*), avg({LONGITUDE}), avg({LATITUDE}), min({LONGITUDE}), min({LATITUDE}), max({LONGITUDE}), "
        f"max({LATITUDE}) {positions} "
        f"GROUP BY CAST(({LONGITUDE} + 180) / {across!r} AS INTEGER), CAST(({LATITUDE} + 90) / {up!r} AS INTEGER)"
    )
    return _figure(view, [Cell(*row) for row in await database.execute(grouped, parameters)], link)


def _drawn_at_once(request: Any, counts: Counts, filters: list[Filter], link: Callable[[Cell], str]) -> Response:
    """The same of `media` under filters of which SQLite would have to look at every row."""
    longitudes, latitudes = counts.positions(filters)
    if not len(longitudes):
        return _nothing()
    view = View.of(longitudes.min(), latitudes.min(), longitudes.max(), latitudes.max(), _width(request))
    return _figure(view, cells_of(view, longitudes, latitudes), link)


def _width(request: Any) -> int:
    wanted = request.args.get("_map_width") or ""
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 5 else 960


def _figure(view: View, cells: list[Cell], link: Callable[[Cell], str]) -> Response:
    count = sum(cell.rows for cell in cells)
    most = max(cell.rows for cell in cells)
    said = f"{count:,} {'row has' if count == 1 else 'rows have'} a position. Each circle leads to the rows there"
    said += f"; the largest to {most:,}." if len(cells) > 1 and most > 1 else "."
    return Response.html(f"{draw(view, cells, outlines(), link)}\n<figcaption>{said}</figcaption>")


async def _rows_of_table(request: Any, datasette: Any, database: Any, table: str) -> tuple[str, dict[str, Any]]:
    """The rows that the page of a table shows, of all its pages, as Datasette selects them."""
    given = [
        (key, value)
        for key in request.args
        if not (key.startswith("_") and "__" not in key)
        for value in request.args.getlist(key)
    ]
    clauses, parameters = Filters(sorted(given)).build_where_clauses(table)
    for hook in pm.hook.filters_from_request(request=request, table=table, database=database.name, datasette=datasette):
        found = await await_me_maybe(hook)
        if found:
            clauses.extend(found.where_clauses)
            parameters.update(found.params)
    where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
    return f"SELECT {LATITUDE}, {LONGITUDE} FROM {escape_sqlite(table)}{where}", parameters


def _limits(cell: Cell) -> list[tuple[str, str]]:
    return [
        (f"{LATITUDE}__gte", f"{cell.south - _REACH:.6f}"),
        (f"{LATITUDE}__lte", f"{cell.north + _REACH:.6f}"),
        (f"{LONGITUDE}__gte", f"{cell.west - _REACH:.6f}"),
        (f"{LONGITUDE}__lte", f"{cell.east + _REACH:.6f}"),
    ]


def _nothing() -> Response:
    return Response("", status=204)


@cache
def outlines() -> list[Ring]:
    """The outlines of all countries."""
    with (files("pipeline") / "outlines.parquet").open("rb") as file:
        table = pq.read_table(file).to_pydict()
    return [
        ([x / 100 for x in longitudes], [y / 100 for y in latitudes])
        for longitudes, latitudes in zip(table["longitudes"], table["latitudes"], strict=True)
    ]
