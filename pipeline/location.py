"""Where a photo was taken, told to nobody or roughly: rows of `media` without their places, or with rounded ones. Pure.

What the program knows of the place goes, in every column; what people have written (names, titles, captions, albums) stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.record import ALTITUDES, BY_POSITION, DEGREES, OFFSETS, PARTITION, RAW

#: Columns that rows without their places do not have.
DROPPED = frozenset((*DEGREES, *ALTITUDES, *BY_POSITION, *OFFSETS, *RAW, "exif_gps_at"))
#: Columns that rows with rounded places do not have, at so many digits or fewer: what is finer than what is left.
TOO_FINE: Mapping[int, frozenset[str]] = {
    6: frozenset(RAW),
    1: frozenset(("place",)),
    0: frozenset(("country_code", "time_zone")),
}
#: Rules of dates whose instant follows from a wall clock and the zone of the place.
_BY_ZONE = ("exif_zone", "video_zone")
#: Wall clocks that the file states.
_CLOCKS = ("exif_taken_local", "video_created_local", "name_taken_local")
#: What `without_places` looks at beside what it changes.
LOOKED_AT = ("taken_at", "taken_local", "taken_at_rule", "time_zone", "name_taken_at", *_CLOCKS)
#: What is said of a problem whose message quotes a position.
QUOTED = "left out, as it may tell the place"


def too_fine(digits: int) -> frozenset[str]:
    """The columns that rows with places of so many digits do not have."""
    return frozenset[str]().union(*(names for most, names in TOO_FINE.items() if digits <= most))


def without_places(rows: pa.Table) -> pa.Table:
    """Rows of which nothing says any more where they are from, nor follows from that.

    The position gives a zone, and that a wall clock to an instant, and an instant to a wall clock: these are null where nothing
    but the position can have given them. Expects LOOKED_AT among the columns if it has any date to change.
    """
    if "taken_local" in rows.column_names:
        has_zone = pc.is_valid(rows["time_zone"])
        local, at, rule = rows["taken_local"], rows["taken_at"], rows["taken_at_rule"]
        stated: Any = pa.scalar(False)
        for name in _CLOCKS:
            stated = pc.or_(stated, pc.fill_null(pc.equal(local, rows[name]), False))
        by_zone = pc.fill_null(pc.is_in(rule, value_set=pa.array(_BY_ZONE)), False)
        named = pc.and_(pc.fill_null(pc.equal(rule, "name"), False), pc.is_null(rows["name_taken_at"]))
        hides_at = pc.and_(has_zone, pc.or_(by_zone, named))
        # Where the instant goes, the clock is what was stated, whatever it was rounded to.
        hides_local = pc.and_(has_zone, pc.invert(pc.or_(stated, hides_at)))
        local = pc.if_else(hides_local, pa.scalar(None, local.type), local)
        at = pc.if_else(hides_at, pa.scalar(None, at.type), at)
        rows = _put(_put(rows, "taken_local", local), "taken_at", at)
        if PARTITION in rows.column_names:
            year = pc.fill_null(pc.year(pc.coalesce(local, at.cast(local.type))), 0)
            rows = _put(rows, PARTITION, year.cast(rows.schema.field(PARTITION).type))
    rows = rows.drop_columns([name for name in rows.column_names if name in DROPPED])
    return _without_quotes(rows, dates=True)  # of which some follow from the zone


def with_rounded_places(rows: pa.Table, digits: int) -> pa.Table:
    """Rows whose positions have so many digits after the point, 0 to 6, and altitudes the digits of the same length."""
    rows = rows.drop_columns([name for name in rows.column_names if name in too_fine(digits)])
    for names, places in ((DEGREES, digits), (ALTITUDES, digits - 5)):  # a degree is 10^5 metres
        for name in names:
            if name in rows.column_names:
                rows = _put(rows, name, pc.round(rows[name], ndigits=places))
    return _without_quotes(rows, dates=False)


def _without_quotes(rows: pa.Table, dates: bool) -> pa.Table:
    """Without the messages of problems about positions, which quote them; or about dates as well."""
    if "problems" not in rows.column_names or not pc.sum(pc.list_value_length(rows["problems"])).as_py():
        return rows
    problems = [
        [each | {"message": QUOTED} if _quotes(each, dates) else each for each in found or ()]
        for found in rows["problems"].to_pylist()
    ]
    return _put(rows, "problems", problems)


def _quotes(problem: Mapping[str, str], dates: bool) -> bool:
    return (
        problem["kind"] == "gps" or problem["message"].startswith("geoData") or (dates and problem["stage"] == "date")
    )


def _put(rows: pa.Table, name: str, values: Any) -> pa.Table:
    number = rows.schema.get_field_index(name)
    field = rows.schema.field(number)
    if not isinstance(values, pa.ChunkedArray | pa.Array):
        values = pa.array(values, field.type)
    return rows.set_column(number, field, values)
