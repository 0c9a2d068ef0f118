"""When and where a photo was taken: one answer out of what sidecar, EXIF and video say, and where the answer comes from.

Order of precedence, surest first:

    taken_at    sidecar (photoTakenTime) > exif_offset (EXIF time with its UTC offset) > gps (EXIF GPS time)
                > exif_zone (EXIF time in the zone of the place) > video (creation time of the video)
    location    sidecar (geoData, which has the user's corrections) > sidecar_exif (geoDataExif) > exif > video

`taken_local` is the wall clock: EXIF's own, unless it disagrees with `taken_at` by more than a day; else `taken_at` in the
offset that EXIF or the video states, else in the zone of the place. Pure, but for the map of time zones, which is loaded
when it is first asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.media.facts import Clip, Exif
from pipeline.takeout.sidecar import Sidecar

#: Beyond this a wall clock and an instant do not speak of the same moment: no offset is larger.
A_DAY = timedelta(hours=26)
#: UTC offsets are multiples of this.
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The answer. `taken_at` is aware and UTC, `taken_local` naive; `taken_year` 0 means no date."""

    taken_at: datetime | None = None
    taken_local: datetime | None = None
    utc_offset_min: int | None = None
    time_zone: str | None = None
    taken_at_rule: str | None = None
    taken_year: int = 0
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    location_rule: str | None = None


def resolve(*, sidecar: Sidecar | None, exif: Exif | None, clip: Clip | None) -> Resolved:
    """One date and one place from whatever is known."""
    sidecar, exif, clip = sidecar or Sidecar(), exif or Exif(), clip or Clip()
    latitude, longitude, altitude, location_rule = _place(sidecar, exif, clip)
    zone = zone_of(latitude, longitude) if latitude is not None and longitude is not None else None
    taken_at, rule = _instant(sidecar, exif, clip, zone)
    local, offset = _wall_clock(taken_at, exif, clip, zone)
    year = local.year if local else taken_at.year if taken_at else 0
    return Resolved(
        taken_at=taken_at,
        taken_local=local,
        utc_offset_min=offset,
        time_zone=zone,
        taken_at_rule=rule,
        taken_year=year,
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        location_rule=location_rule,
    )


def _place(sidecar: Sidecar, exif: Exif, clip: Clip) -> tuple[float | None, float | None, float | None, str | None]:
    for latitude, longitude, altitude, rule in (
        (sidecar.latitude, sidecar.longitude, sidecar.altitude_m, "sidecar"),
        (sidecar.exif_latitude, sidecar.exif_longitude, sidecar.exif_altitude_m, "sidecar_exif"),
        (exif.latitude, exif.longitude, exif.altitude_m, "exif"),
        (clip.latitude, clip.longitude, clip.altitude_m, "video"),
    ):
        if latitude is not None and longitude is not None:
            return latitude, longitude, altitude, rule
    return None, None, None, None


def _instant(sidecar: Sidecar, exif: Exif, clip: Clip, zone: str | None) -> tuple[datetime | None, str | None]:
    if sidecar.taken_at is not None:
        return sidecar.taken_at, "sidecar"
    if exif.taken_local is not None:
        if exif.utc_offset_min is not None:
            return _shifted(exif.taken_local, -exif.utc_offset_min), "exif_offset"
        if exif.gps_at is not None and _offset_between(exif.taken_local, exif.gps_at) is not None:
            return exif.gps_at, "gps"
        if zone is not None and (offset := _zone_offset(zone, exif.taken_local)) is not None:
            return _shifted(exif.taken_local, -offset), "exif_zone"
    elif exif.gps_at is not None:
        return exif.gps_at, "gps"
    if clip.created_at is not None:
        return clip.created_at, "video"
    if clip.created_local is not None and clip.utc_offset_min is not None:
        return _shifted(clip.created_local, -clip.utc_offset_min), "video"
    return None, None


def _wall_clock(
    taken_at: datetime | None, exif: Exif, clip: Clip, zone: str | None
) -> tuple[datetime | None, int | None]:
    """The wall clock, and its UTC offset in minutes."""
    for local, offset in ((exif.taken_local, exif.utc_offset_min), (clip.created_local, clip.utc_offset_min)):
        if local is None:
            continue
        if taken_at is None:
            return local, offset
        if abs(local.replace(tzinfo=UTC) - taken_at) <= A_DAY:
            stated = offset is not None and abs(_shifted(local, -offset) - taken_at) <= QUARTER
            return local, offset if stated else _offset_between(local, taken_at)
    if taken_at is None:
        return None, None
    if zone is not None:
        try:
            local = taken_at.astimezone(ZoneInfo(zone))
        except (ZoneInfoNotFoundError, OverflowError):
            return None, None
        shift = local.utcoffset()
        return local.replace(tzinfo=None), round(shift.total_seconds() / 60) if shift is not None else None
    return None, None


def _shifted(local: datetime, minutes: int) -> datetime:
    """A wall clock moved by so many minutes, as UTC; at the ends of the calendar, unmoved."""
    try:
        return local.replace(tzinfo=UTC) + timedelta(minutes=minutes)
    except OverflowError:
        return local.replace(tzinfo=UTC)


def _offset_between(local: datetime, at: datetime) -> int | None:
    """The UTC offset in minutes that makes a wall clock and an instant agree within some minutes; None if none does."""
    difference = local.replace(tzinfo=UTC) - at
    quarters = round(difference / QUARTER)
    if abs(quarters) > 14 * 4 or abs(difference - quarters * QUARTER) > QUARTER / 3:
        return None
    return quarters * 15


def _zone_offset(zone: str, local: datetime) -> int | None:
    try:
        shift = local.replace(tzinfo=ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, OverflowError):
        return None
    return round(shift.total_seconds() / 60) if shift is not None else None


@lru_cache(maxsize=4096)
def zone_of(latitude: float, longitude: float) -> str | None:
    """The IANA time zone of a place, offline; None where no map says.

    The first call loads the map: 0.1 s and 34 MB.
    """
    import tzfpy

    return tzfpy.get_tz(longitude, latitude) or None
