"""Charts of an indexed library, in one theme: frames in, Altair charts out.

A frame is anything that Altair takes (pandas, Arrow, polars), already counted by SQL, so that no chart carries more than some
thousand values, however large the library is. Importing this sets Altair's theme and how its charts are shown in notebooks:
without a network, as a picture where interactive charts of this version are unknown. Colours hold on white and on black, and
for the colour-blind. Each chart describes itself to screen readers; where there is nothing to draw, a `Note` says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import altair as alt
import narwhals.stable.v1 as nw

from pipeline.panels import INK, Note, missing, plain
from pipeline.progress import amount

#: Okabe and Ito's order of hues, all of middle lightness: at least 3:1 against white and against black.
BLUE, ORANGE, GREEN, PURPLE, OCHRE, PINK, GREY = (
    "#3d85c6",
    "#d5702a",
    "#26967f",
    "#9467c4",
    "#a8850f",
    "#cf5b8c",
    "#858b94",
)
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, OCHRE, PINK, GREY)
#: What the columns `kind` and `type` may say, each in the same colour everywhere; other names take the colours that are left.
OF_KIND = {"photos": BLUE, "videos": ORANGE, "other": GREY}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', sans-serif"
#: Pixels that a chart has where it cannot ask how wide its place is.
WIDTH = 760
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: Degrees that a map shows at least, so that outlines of countries are in it; and beyond which it shows the whole world.
NEAREST, FARTHEST = 14.0, 150.0
#: Latitude beyond which it does so too: Antarctica reaches the pole, which Mercator's projection has not.
SOUTHERNMOST = -58.0
#: Years of which a timeline shows every month; of more, every year.
MONTHS_OF = 40
#: Years of which none is left out on an axis.
YEARS = 150
#: Names of places on a map, at most.
NAMED = 8

#: Names beside bars have a third of the chart, wherever that is shown.
_LABELS = "isFinite(containerSize()[0]) ? min(200, containerSize()[0] * 0.36) : 200"
_BYTES = "replace(format(datum.value, '.3~s'), regexp('([a-zA-Z]?)$'), ' $1B')"
_OF_BYTES = _BYTES.replace("value", "bytes")


@alt.theme.register("takeout-index", enable=True)  # type: ignore[untyped-decorator]
def _theme() -> alt.theme.ThemeConfig:
    """The house's theme: no frames, few lines, a transparent ground."""
    axis = {
        "domain": False,
        "ticks": False,
        "gridColor": INK,
        "gridOpacity": 0.22,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelPadding": 6,
        "labelSeparation": 8,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    config: dict[str, Any] = {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "axisX": {"grid": False, "labelOverlap": "greedy"},
        "legend": {
            "orient": "top",
            "direction": "horizontal",
            "labelColor": INK,
            "labelFontSize": 12,
            "symbolType": "circle",
            "title": None,
            "offset": 8,
        },
        "title": {"color": INK, "anchor": "start", "fontSize": 14, "fontWeight": 600},
        "range": {"category": list(COLOURS)},
        "bar": {"color": BLUE, "aria": False},
        "rect": {"color": BLUE, "aria": False},
        "circle": {"color": ORANGE, "aria": False},
        "area": {"color": BLUE, "aria": False},
        "geoshape": {"aria": False},
        "text": {"color": INK, "fontSize": 12, "aria": False},
    }
    return {"width": "container", "config": config}


def _bundle(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A chart as notebooks are given it: its specification, and a picture for those that know no Vega-Lite 6."""
    import vl_convert

    placed = spec
    if (
        spec.get("width") == "container"
    ):  # within which Vega-Lite keeps names of bars too; a plain width is that of bars alone
        placed = spec | {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}}
    return {
        "application/vnd.vegalite.v6+json": spec,
        "image/svg+xml": vl_convert.vegalite_to_svg(placed),
        "text/plain": spec.get("description", "chart"),
    }


alt.renderers.register("takeout-index", _bundle)
alt.renderers.enable("takeout-index")


def over_time(frame: Any) -> alt.Chart | Note:
    """Photos and videos by month, of many years by year: `month` (a date), `kind` (photos, videos, other), `files`."""
    table = nw.from_native(frame, eager_only=True)
    if not len(table):
        return Note("No photo or video has a date, so there is no timeline.")
    months = table["month"].to_list()
    first, last = min(months), max(months)
    span = f"{first:%B %Y}" if first == last else f"{first:%B %Y} to {last:%B %Y}"
    unit, said = ("yearmonth", "%B %Y") if last.year - first.year <= MONTHS_OF else ("year", "%Y")
    each = unit.removeprefix("year") or "year"
    return (
        alt.Chart(frame)
        .transform_calculate(rank=_rank("kind"))
        .mark_bar(binSpacing=0)
        .encode(
            alt.X(
                "month:T", timeUnit=unit, title=None, axis=alt.Axis(tickCount=8, format="%Y" if each == "year" else "")
            ),
            alt.Y("sum(files):Q", title=f"files per {each}", axis=alt.Axis(tickCount=5, tickMinStep=1, format="~s")),
            _by_kind(table, "kind"),
            order=alt.Order("rank:Q"),
            tooltip=[
                alt.Tooltip("month:T", timeUnit=unit, format=said, title=each),
                alt.Tooltip("kind:N"),
                alt.Tooltip("sum(files):Q", format=",", title="files"),
            ],
        )
        .properties(height=260, description=f"Photos and videos by {each}, {span}: {_total(table):,} files.")
    )


def by_hour(frame: Any) -> alt.Chart | Note:
    """When pictures are taken: `weekday` (1, Monday, to 7), `hour` (0 to 23), `files`."""
    table = nw.from_native(frame, eager_only=True)
    if not len(table):
        return Note("No photo or video has a time of day.")
    rows: list[dict[str, Any]] = [
        {"weekday": WEEKDAYS[int(day) - 1], "hour": f"{int(hour):02d}", "files": int(files)}
        for day, hour, files in table.select("weekday", "hour", "files").iter_rows()
    ]
    most = max(rows, key=lambda row: row["files"])
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_rect(cornerRadius=2, color=BLUE)
        .encode(
            alt.X(
                "hour:O",
                title="hour of the day",
                scale=alt.Scale(domain=[f"{hour:02d}" for hour in range(24)], paddingInner=0.08),
                axis=alt.Axis(values=["00", "03", "06", "09", "12", "15", "18", "21"], labelAngle=0),
            ),
            alt.Y("weekday:O", title=None, scale=alt.Scale(domain=list(WEEKDAYS), paddingInner=0.08)),
            alt.Opacity("files:Q", legend=None, scale=alt.Scale(range=[0.08, 1], zero=True)),
            tooltip=["weekday:O", "hour:O", alt.Tooltip("files:Q", format=",")],
        )
        .properties(
            height=210,
            description=f"Photos and videos by weekday and hour. Most on {most['weekday']} at {most['hour']}:00: "
            f"{most['files']:,} files.",
        )
    )


def storage(frame: Any) -> alt.Chart | Note:
    """Bytes by year and type: `year`, `type` (photos, videos, or file types), `bytes`."""
    table = nw.from_native(frame, eager_only=True)
    if not len(table):
        return Note("No photo or video has a year to be counted by.")
    total = int(table["bytes"].sum())
    return (
        alt.Chart(frame)
        .transform_calculate(size=_OF_BYTES, rank=_rank("type"))
        .mark_bar()
        .encode(
            alt.X("year:O", title=None, axis=alt.Axis(labelAngle=0), scale=_all_years(table)),
            alt.Y("sum(bytes):Q", title=None, axis=alt.Axis(tickCount=5, labelExpr=_BYTES)),
            _by_kind(table, "type"),
            order=alt.Order("rank:Q"),
            tooltip=["year:O", "type:N", alt.Tooltip("size:N", title="bytes")],
        )
        .properties(height=260, description=f"Storage by year and type: {amount(total)} in all.")
    )


def ranking(frame: Any, name: str, value: str = "files", what: str = "") -> alt.LayerChart | Note:
    """Bars of names, the largest on top: cameras, people, albums, places. `what` says what they are, in the plural."""
    what = what or f"{name}s"
    table = nw.from_native(frame, eager_only=True)
    rows: list[dict[str, Any]] = [
        {"name": plain(label), "value": float(number)}
        for label, number in table.select(name, value).iter_rows()
        if not missing(label) and number
    ]
    if not rows:
        return Note(f"There are no {what} to show.")
    of_bytes = value == "bytes"
    names: Counter[str] = Counter()
    for row in rows:
        names[row["name"]] += 1
        if names[row["name"]] > 1:  # names that are cut, or differ in what is not shown
            row["name"] = f"{row['name']} ({names[row['name']]})"
        row["text"] = amount(row["value"]) if of_bytes else f"{row['value']:,.0f}"
    most = max(rows, key=lambda row: row["value"])
    bars = alt.Chart(alt.InlineData(values=rows)).encode(
        alt.Y(
            "name:N",
            title=None,
            sort=[row["name"] for row in sorted(rows, key=lambda row: -row["value"])],
            axis=alt.Axis(labelLimit=alt.expr(_LABELS)),
            scale=alt.Scale(paddingInner=0.28),
        ),
        alt.X(
            "value:Q",
            title=None,
            axis=None,
            scale=alt.Scale(domain=[0, most["value"] * 1.02], nice=False),
        ),
        tooltip=[alt.Tooltip("name:N", title=name), alt.Tooltip("text:N", title=value)],
    )
    return alt.layer(
        bars.mark_bar(cornerRadiusEnd=3),
        bars.mark_text(align="left", dx=6, clip=False).encode(text="text:N"),
    ).properties(
        height=26 * len(rows),  # not a step, for which Vega-Lite drops how it fits, and says so
        padding={"left": 5, "top": 5, "bottom": 5, "right": 56},
        description=f"{what.capitalize()} by {value}; of {len(rows)}, the first is {most['name'][:80]}: {most['text']}.",
    )


def point_map(frame: Any, world: bool = False) -> alt.LayerChart | Note:
    """Where pictures were taken: `latitude`, `longitude`, `files`, of cells of any size, and `place`, a name, if there is one.

    Shows the part of the world that all points are in; all of it if they are far apart, or `world` is said.
    """
    table = nw.from_native(frame, eager_only=True)
    columns = ["latitude", "longitude", "files", *(["place"] if "place" in table.columns else [])]
    cells: list[dict[str, Any]] = [
        {name: None if missing(value) else value for name, value in zip(columns, row, strict=True)}
        for row in table.select(*columns).iter_rows()
    ]
    if not cells:
        return Note("No photo or video has a position, so there is no map.")
    view = _View.of(cells, world)
    largest = list(_named(cells, view))
    most = ", ".join(each["place"][:60] for each in largest)
    named = alt.Chart(alt.InlineData(values=largest))
    shapes = alt.Chart(alt.InlineData(values=list(_outlines(view))))
    points = alt.Chart(alt.InlineData(values=cells))
    return (
        alt.layer(
            shapes.mark_geoshape(clip=True, fill=INK, fillOpacity=0.2, stroke=INK, strokeOpacity=0.55, strokeWidth=0.6),
            points.mark_circle(clip=True, fill=ORANGE, fillOpacity=0.55, stroke=ORANGE, strokeWidth=1).encode(
                latitude="latitude:Q",
                longitude="longitude:Q",
                size=alt.Size("files:Q", legend=None, scale=alt.Scale(type="sqrt", range=[12, 300], zero=True)),
                tooltip=[*(["place:N"] if len(columns) > 3 else []), alt.Tooltip("files:Q", format=",")],
            ),
            named.mark_text(
                clip=True, dy=-13, fontSize=11, fontWeight=500, opacity=alt.expr("width < 480 ? 0 : 1")
            ).encode(latitude="latitude:Q", longitude="longitude:Q", text="place:N"),
        )
        .project(**view.projection)
        .properties(
            height=420,
            usermeta={"ratio": 0.49 if view.world else 0.62},
            description=f"Map of where {_total(table):,} photos and videos were taken{f', most at {most}' if most else ''}.",
        )
    )


class _View:
    """The part of the world that a map shows."""

    def __init__(self, west: float, south: float, east: float, north: float) -> None:
        """Degrees; `east` may be beyond 180, where the antimeridian is within."""
        self.west, self.south, self.east, self.north = west, south, east, north

    @classmethod
    def of(cls, cells: Sequence[Mapping[str, Any]], world: bool) -> _View:
        """All cells, with some room around them, across the antimeridian if that is shorter."""
        longitudes = sorted({float(cell["longitude"]) for cell in cells})
        gaps = [
            (after - before, after)
            for before, after in zip(longitudes, [*longitudes[1:], longitudes[0] + 360], strict=True)
        ]
        gap, west = max(gaps)
        west = (west + 180) % 360 - 180
        span = 360 - gap
        latitudes = [float(cell["latitude"]) for cell in cells]
        south, north = max(min(latitudes), -84.0), min(max(latitudes), 84.0)
        if world or span > FARTHEST or north - south > FARTHEST / 1.5 or south < SOUTHERNMOST:
            return cls(-180, -90, 180, 90)
        wide, high = max(span * 1.25, NEAREST), max((north - south) * 1.25, NEAREST / 2)
        middle, centre = west + span / 2, (south + north) / 2
        return cls(middle - wide / 2, max(centre - high / 2, -84), middle + wide / 2, min(centre + high / 2, 84))

    @property
    def world(self) -> bool:
        """All of it."""
        return self.east - self.west >= 360

    @property
    def projection(self) -> dict[str, Any]:
        """What Vega-Lite is told, for any width and height of the chart."""
        if self.world:
            return {
                "type": "equalEarth",
                "scale": alt.expr("min(width / 5.42, height / 2.66)"),
                "translate": alt.expr("[width / 2, height / 2]"),
            }
        low, high = _mercator(self.south), _mercator(self.north)
        scale = f"min(width / {math.radians(self.east - self.west):.5f}, height / {high - low:.5f})"
        return {
            "type": "mercator",
            "rotate": [-(self.west + self.east) / 2, 0, 0],
            "scale": alt.expr(scale),
            "translate": alt.expr(f"[width / 2, height / 2 + {scale} * {(low + high) / 2:.5f}]"),
        }

    def shows(self, longitudes: Sequence[int], latitudes: Sequence[int]) -> bool:
        """Anything of a ring, in hundredths of a degree, may be seen: a chart's form may show more than the points need."""
        if not self.world and min(latitudes) / 100 < -85:
            return False
        room = 2 * max(self.east - self.west, self.north - self.south)
        if min(latitudes) / 100 > self.north + room or max(latitudes) / 100 < self.south - room:
            return False
        west, east = min(longitudes) / 100, max(longitudes) / 100
        return any(west + turn < self.east + room and east + turn > self.west - room for turn in (-360, 0, 360))


def _mercator(latitude: float) -> float:
    return math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))


def _named(cells: Iterable[dict[str, Any]], view: _View) -> Iterable[dict[str, Any]]:
    """Names of the places with most files, as far as they do not cover each other."""
    apart = (view.east - view.west) / 9
    chosen: list[dict[str, Any]] = []
    for cell in sorted(cells, key=lambda cell: -cell["files"]):
        if len(chosen) == NAMED:
            break
        if missing(cell.get("place")) or any(
            (
                abs(cell["longitude"] - each["longitude"]) < apart * 1.4
                and abs(cell["latitude"] - each["latitude"]) < apart / 3
            )
            or cell["place"] == each["place"]
            for each in chosen
        ):
            continue
        chosen.append(cell)
    return chosen


def _outlines(view: _View) -> Iterable[dict[str, Any]]:
    """Countries as GeoJSON, as far as they may be seen."""
    for longitudes, latitudes in _rings():
        if view.shows(longitudes, latitudes):
            ring = [[x / 100, y / 100] for x, y in zip(longitudes, latitudes, strict=True)]
            yield {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}


@cache
def _rings() -> list[tuple[list[int], list[int]]]:
    import pyarrow.parquet as pq

    with (resources.files("pipeline") / "outlines.parquet").open("rb") as file:
        table = pq.read_table(file)
    return list(zip(table["longitudes"].to_pylist(), table["latitudes"].to_pylist(), strict=True))


def _rank(column: str) -> str:
    """The order of what is stacked: that of OF_KIND, and behind it whatever else there is."""
    return f"indexof({list(reversed(OF_KIND))}, datum['{column}']) * -1"


def _by_kind(table: Any, column: str) -> alt.Color:
    """The colours of kinds and types; the legend in the order in which they are stacked."""
    known = list(OF_KIND)
    found = sorted({str(value) for value in table[column].to_list()})
    found.sort(key=lambda name: known.index(name) if name in known else len(known))
    left = [colour for colour in COLOURS if colour not in {OF_KIND.get(name) for name in found}]
    colours = [OF_KIND.get(name) or left[index % len(left)] for index, name in enumerate(found)]
    return alt.Color(f"{column}:N", title=None, scale=alt.Scale(domain=found, range=colours))


def _all_years(table: Any) -> alt.Scale:
    """All years from the first to the last, also those without anything, unless that would be centuries."""
    first, last = int(table["year"].min()), int(table["year"].max())
    if last - first > YEARS:
        return alt.Scale(paddingInner=0.15)
    return alt.Scale(domain=list(range(first, last + 1)), paddingInner=0.15)


def _total(table: Any) -> int:
    return int(table["files"].sum())


def bars(
    frame: Any,
    name: str,
    value: str = "files",
    *,
    by: str = "",
    title: str,
    order: Sequence[str] = (),
    parts: Sequence[str] = (),
    empty: str,
) -> alt.LayerChart | Note:
    """Lying bars of the values of each name, the longest on top unless an `order` is given, their sum beside them.

    They are split by the column `by`, in the order of `parts`. `empty` is said where there is nothing to draw.
    """
    rows = _counted(frame, name, value, by)
    if not rows:
        return Note(empty)
    totals = _totals(rows, "name")
    ranked = [each for each in order if each in totals]
    ranked += sorted(set(totals) - set(ranked), key=lambda each: (-totals[each], each))
    axis = alt.Y(
        "name:N",
        title=None,
        sort=ranked,
        axis=alt.Axis(labelLimit=alt.expr(_LABELS)),
        scale=alt.Scale(paddingInner=0.28),
    )
    chart = alt.Chart(alt.InlineData(values=rows)).mark_bar(cornerRadiusEnd=0 if by else 3)
    chart = chart.encode(
        axis,
        alt.X(
            "value:Q",
            title=None,
            axis=None,
            scale=alt.Scale(domain=[0, max(totals.values()) * 1.02], nice=False),
        ),
        **_split(rows, by, parts),
        tooltip=[alt.Tooltip("name:N", title=name), *_part_tooltip(by), alt.Tooltip("text:N", title=value)],
    )
    sums = [{"name": each, "value": total, "text": _said(total, value)} for each, total in totals.items()]
    beside = alt.Chart(alt.InlineData(values=sums)).mark_text(align="left", dx=6, clip=False)
    beside = beside.encode(alt.Y("name:N", sort=ranked), alt.X("value:Q"), text="text:N")
    first = ranked[0]
    return alt.layer(chart, beside).properties(
        title=title,
        height=alt.Step(26),
        padding=_ROOM,
        description=f"{title}: {len(ranked)} bars; the first is {first[:80]}: {_said(totals[first], value)}.",
    )


def columns(
    frame: Any,
    name: str,
    value: str = "files",
    *,
    by: str = "",
    title: str,
    parts: Sequence[str] = (),
    share: bool = False,
    empty: str,
) -> alt.Chart | Note:
    """Standing bars of the values of each year, or whatever else is a whole number, gaps and all; as `bars` else.

    `share` makes all as long, and the parts shares.
    """
    rows = _counted(frame, name, value, by)
    if not rows:
        return Note(empty)
    for row in rows:
        row["number"] = int(row["name"])
    numbers = [row["number"] for row in rows]
    first, last = min(numbers), max(numbers)
    of_bytes = {"labelExpr": _BYTES} if value == "bytes" and not share else {"format": "%" if share else "~s"}
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar()
        .encode(
            alt.X(
                "number:O",
                title=None,
                scale=alt.Scale(domain=list(range(first, last + 1)), paddingInner=0.12),
                axis=alt.Axis(labelAngle=0, labelOverlap="parity"),
            ),
            alt.Y(
                "value:Q",
                title=None,
                stack="normalize" if share else "zero",
                axis=alt.Axis(tickCount=5, **of_bytes),
            ),
            **_split(rows, by, parts),
            tooltip=[alt.Tooltip("name:N", title=name), *_part_tooltip(by), alt.Tooltip("text:N", title=value)],
        )
        .properties(
            title=title,
            height=240,
            description=f"{title}, {first} to {last}: {_said(sum(row['value'] for row in rows), value)} in all.",
        )
    )


def matrix(
    frame: Any,
    across: str,
    down: str,
    value: str = "files",
    *,
    title: str,
    order: tuple[Sequence[str], Sequence[str]] = ((), ()),
    empty: str,
) -> alt.LayerChart | Note:
    """A dot for each pair of two columns, as large as its value, which stands beside it unless there are many columns.

    `order`: all columns, and the lines as far as there are any.
    """
    rows = _counted(frame, down, value, across)
    if not rows:
        return Note(empty)
    across_all, down_all = ({row[column] for row in rows} for column in ("part", "name"))
    columns_ = list(order[0]) or sorted(across_all)
    lines_ = [each for each in order[1] if each in down_all] or sorted(down_all)
    many = len(columns_) > 8
    cells = alt.Chart(alt.InlineData(values=rows)).encode(
        alt.X(
            "part:N",
            title=None,
            scale=alt.Scale(domain=columns_),
            axis=alt.Axis(
                orient="top",
                labelAngle=-60 if many else alt.expr("width < 560 ? -40 : 0"),
                grid=many,
                gridDash=[2, 3],
                labelOverlap=False,
            ),
        ),
        alt.Y(
            "name:N",
            title=None,
            scale=alt.Scale(domain=lines_),
            axis=alt.Axis(labelLimit=alt.expr(_LABELS), grid=True, gridDash=[2, 3]),
        ),
        tooltip=[
            alt.Tooltip("name:N", title=down),
            alt.Tooltip("part:N", title=across),
            alt.Tooltip("text:N", title=value),
        ],
    )
    size = alt.Size("value:Q", legend=None, scale=alt.Scale(type="sqrt", range=[3, 360], zero=True))
    most = max(rows, key=lambda row: row["value"])
    dots = cells.mark_circle(color=BLUE, opacity=0.85).encode(size=size)
    small = alt.expr("width < 560 ? 10 : 12")
    texts = [] if many else [cells.mark_text(align="left", dx=12, fontSize=small).encode(text="text:N")]
    return alt.layer(dots, *texts).properties(
        title=title,
        padding=_ROOM,
        height=alt.Step(28),
        description=f"{title}: {len(rows)} cells. Most at {most['name'][:60]}, {most['part'][:60]}: {most['text']}.",
    )


def months(frame: Any, *, title: str, empty: str) -> alt.LayerChart | Note:
    """A row for each year, a cell for each month that has files, and a dash for each that has none though those around it have.

    `year`, `month` (1 to 12), `files`.
    """
    table = nw.from_native(frame, eager_only=True)
    found = {
        (int(year), int(month)): int(files) for year, month, files in table.select("year", "month", "files").iter_rows()
    }
    if not found:
        return Note(empty)
    rows = [
        {"year": year, "month": _MONTHS[month - 1], "files": found.get((year, month), 0)}
        for year, month in sorted({*found, *_gaps(found)})
    ]
    cells = alt.Chart(alt.InlineData(values=rows)).encode(
        alt.X("month:N", title=None, sort=list(_MONTHS), axis=alt.Axis(labelAngle=0, orient="top")),
        alt.Y("year:O", title=None, scale=alt.Scale(paddingInner=0.1)),
        tooltip=["month:N", "year:O", alt.Tooltip("files:Q", format=",")],
    )
    none = sum(not row["files"] for row in rows)
    return alt.layer(
        cells.transform_filter("datum.files > 0")
        .mark_rect(cornerRadius=2, color=BLUE)
        .encode(alt.Opacity("files:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.2, 1]))),
        cells.transform_filter("datum.files == 0").mark_text(text="–", fontSize=13, color=ORANGE, fontWeight="bold"),
    ).properties(
        title=title,
        height=alt.Step(18),
        description=f"{title}: {len(rows) - none} months with some, {none} without any among them.",
    )


#: Files in the year before a month, and in that after it, which make it a gap to have none.
_DENSE = 60


def _gaps(found: Mapping[tuple[int, int], int]) -> Iterable[tuple[int, int]]:
    """Months without files in the midst of many: between old pictures that were scanned, months are missing everywhere."""
    by_number = {year * 12 + month - 1: files for (year, month), files in found.items()}
    for number in range(min(by_number), max(by_number)):
        before, after = (sum(by_number.get(number + sign * step, 0) for step in range(1, 13)) for sign in (-1, 1))
        if number not in by_number and min(before, after) >= _DENSE:
            yield number // 12, number % 12 + 1


def lines(
    frame: Any,
    across: str,
    value: str,
    by: str,
    *,
    title: str,
    axes: tuple[str, str],
    parts: Sequence[str] = (),
    logarithmic: bool = False,
    empty: str,
) -> alt.Chart | Note:
    """A line with dots for each value of the column `by`, over a number. `axes` are the titles of the two axes."""
    table = nw.from_native(frame, eager_only=True)
    rows: list[dict[str, Any]] = [
        {"x": float(x), "value": float(y), "part": str(part)}
        for x, y, part in table.select(across, value, by).iter_rows()
        if x is not None and y is not None
    ]
    if not rows:
        return Note(empty)
    kind = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(zero=True)
    ticks = {"values": sorted({row["x"] for row in rows})}
    powers = [10.0**power for power in range(-3, 8)]
    within = [each for each in powers if min(r["value"] for r in rows) / 10 < each < max(r["value"] for r in rows) * 10]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point={"size": 46, "filled": True}, strokeWidth=2)
        .encode(
            alt.X("x:Q", title=axes[0], scale=kind, axis=alt.Axis(format="~s", **ticks)),
            alt.Y(
                "value:Q",
                title=axes[1],
                scale=kind,
                axis=alt.Axis(format="~g", **({"values": within} if logarithmic else {"tickCount": 6})),
            ),
            **_split(rows, by, parts),
            tooltip=[
                alt.Tooltip("part:N", title=by),
                alt.Tooltip("x:Q", title=axes[0], format=","),
                alt.Tooltip("value:Q", title=axes[1], format=",.4~r"),
            ],
        )
        .properties(title=title, height=320, description=f"{title}: {len({row['part'] for row in rows})} lines.")
    )


#: Around charts with long labels: a picture is laid out with other fonts than those it is shown in.
_ROOM = {"left": 36, "top": 5, "bottom": 5, "right": 64}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _counted(frame: Any, name: str, value: str, by: str = "") -> list[dict[str, Any]]:
    """Rows to draw: `name`, `value`, `part` and the value as a `text`; what is zero or has no name is left out."""
    table = nw.from_native(frame, eager_only=True)
    return [
        {"name": _label(label), "value": float(number), "part": _label(part), "text": _said(number, value)}
        for label, number, part in table.select(
            nw.col(name).alias("name"), nw.col(value).alias("value"), nw.col(by or name).alias("part")
        ).iter_rows()
        if label is not None and number
    ]


def _label(value: Any) -> str:
    """A name as it stands in a chart; albums may be titled with blanks."""
    text = plain(value)
    return text if text.strip() else "(blank)"


def _totals(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for row in rows:
        totals[row[column]] = totals.get(row[column], 0.0) + row["value"]
    return totals


def _said(number: float, value: str) -> str:
    """A number as it stands beside a bar: of bytes, milliseconds, or a mere count."""
    if value == "bytes":
        return amount(number)
    return f"{number:,.0f}" if value in ("files", "copies") or number >= 1000 else f"{number:,.3g}"


def _split(rows: Sequence[Mapping[str, Any]], by: str, parts: Sequence[str]) -> dict[str, Any]:
    """The colours of parts, and the order in which they are stacked, which is that of the legend."""
    if not by:
        return {}
    totals = _totals(rows, "part")
    found = [*(each for each in parts if each in totals)]
    found += sorted(set(totals) - set(found), key=lambda each: (-totals[each], each))
    left = [colour for colour in COLOURS if colour not in {OF_KIND.get(name) for name in found}]
    places = [*parts, *(each for each in found if each not in parts)]  # the same colour in every chart with these parts
    colours = [OF_KIND.get(name) or left[places.index(name) % len(left)] for name in found]
    longest = 7 * min(max(map(len, found)), 36) + 44  # pixels of an entry of the legend
    for row in rows:
        row["rank"] = found.index(row["part"])  # type: ignore[index]
    return {
        "color": alt.Color(
            "part:N",
            title=None,
            scale=alt.Scale(domain=found, range=colours),
            legend=alt.Legend(
                columns=alt.expr(f"max(1, min(4, floor(width / {longest})))"), columnPadding=24, labelLimit=260
            ),
        ),
        "order": alt.Order("rank:Q"),
    }


def _part_tooltip(by: str) -> list[alt.Tooltip]:
    return [alt.Tooltip("part:N", title=by)] if by else []


def lanes(
    frame: Any, name: str, value: str, by: str, *, title: str, order: Sequence[str] = (), empty: str
) -> alt.LayerChart | Note:
    """A lane for each name, with a dot for each value of the column `by`, over a logarithmic axis: bars have no zero there."""
    rows = _counted(frame, name, value, by)
    if not rows:
        return Note(empty)
    names = [*(each for each in order if each in {row["name"] for row in rows})] or sorted(
        {row["name"] for row in rows}
    )
    lanes = alt.Chart(alt.InlineData(values=rows)).encode(
        alt.Y("name:N", title=None, sort=names, axis=alt.Axis(labelLimit=alt.expr(_LABELS)))
    )
    values = [row["value"] for row in rows]
    powers = [10.0**power for power in range(-6, 9) if min(values) / 10 <= 10.0**power <= max(values) * 10]
    axis = alt.Axis(format="~g", values=powers, grid=True)
    across = alt.X("value:Q", title=value, scale=alt.Scale(type="log", domain=[powers[0], powers[-1]]), axis=axis)
    return alt.layer(
        lanes.mark_rule(color=INK, opacity=0.5).encode(alt.X("min(value):Q"), alt.X2("max(value):Q")),
        lanes.mark_circle(size=130, opacity=1).encode(
            across,
            **_split(rows, by, ()),
            tooltip=[alt.Tooltip("name:N", title=name), *_part_tooltip(by), alt.Tooltip("text:N", title=value)],
        ),
    ).properties(title=title, height=alt.Step(28), padding=_ROOM, description=f"{title}: {len(names)} lanes.")
