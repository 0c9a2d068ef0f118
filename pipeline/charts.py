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

from pipeline.panels import INK, Note, bytes_text, missing, plain

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

    placed = spec | {"width": WIDTH} if spec.get("width") == "container" else spec
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
        .properties(height=260, description=f"Storage by year and type: {bytes_text(total)} in all.")
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
        row["text"] = bytes_text(row["value"]) if of_bytes else f"{row['value']:,.0f}"
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
