"""When and where a photo was taken: one answer out of all that is known, and where the answer comes from.

Everything that speaks of the date makes a candidate; `date_candidates` returns them surest first and `resolve` takes the first
that can be relied on. docs/dates.md has the table of precedence and an example of every rule. What is known of one moment and
is more than a day apart becomes a problem. Pure, but for the map of time zones, which is loaded when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.media.facts import Clip, Exif
from pipeline.problems import Problem
from pipeline.takeout.sidecar import Sidecar
from pipeline.takeout.stamps import Stamp, stamp_in

#: Two of the candidates that are further apart than this contradict each other.
CONFLICT = timedelta(days=1)
#: A wall clock is at most so far ahead of UTC, and behind it; no zone on Earth is further.
EAST, WEST = timedelta(hours=14), timedelta(hours=12)
#: Beyond this a wall clock and an instant do not speak of the same moment.
A_DAY = timedelta(hours=26)
#: UTC offsets are multiples of this.
QUARTER = timedelta(minutes=15)
#: How long a date may be meant to last, by its precision.
SPANS = {
    "second": timedelta(0),
    "minute": timedelta(minutes=1),
    "day": timedelta(days=1),
    "year": timedelta(days=366),
}

#: Makers whose cameras know no time zone and so write their wall clock where others have UTC (memories #1256). Apple: "this
#: value does not specify a time zone; common practice is to use local time", UTC is "strongly recommended" (QuickTime File
#: Format, Calendar date and time values); phones follow that. Others are believed until a name in local time disagrees.
LOCAL_CLOCK_MAKERS = ("gopro",)

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_NO_SIDECAR, _NO_EXIF, _NO_CLIP = Sidecar(), Exif(), Clip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The answer. `taken_at` is aware and UTC, `taken_local` naive; `taken_year` 0 means no date."""

    taken_at: datetime | None = None
    taken_local: datetime | None = None
    utc_offset_min: int | None = None
    time_zone: str | None = None
    taken_at_rule: str | None = None
    taken_precision: str | None = None  # one of SPANS
    taken_year: int = 0
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    location_rule: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class DateCandidate:
    """A date that something states: an instant (aware, UTC), a wall clock (naive), or both.

    One that is not `usable` is only compared and explained, never taken; `note` says why.
    """

    rule: str
    at: datetime | None = None
    local: datetime | None = None
    precision: str = "second"
    usable: bool = True
    note: str | None = None

    def span(self) -> tuple[datetime, datetime]:
        """The earliest and the latest instant that can be meant."""
        if self.at is not None:
            return self.at, _later(self.at, SPANS[self.precision])
        assert self.local is not None
        local = self.local.replace(tzinfo=UTC)
        return _later(local, -EAST), _later(local, SPANS[self.precision] + WEST)


@dataclass(frozen=True, slots=True)
class PlaceCandidate:
    """A position that something states, in degrees and metres."""

    rule: str
    latitude: float
    longitude: float
    altitude_m: float | None = None


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that is known of a file's date and place. `name` is the file's; `folder_year` that of a folder by year or day."""

    sidecar: Sidecar = _NO_SIDECAR
    exif: Exif = _NO_EXIF
    clip: Clip = _NO_CLIP
    name: str = ""
    folder_year: int | None = None
    modified_at: datetime | None = None  # aware, UTC

    @cached_property
    def place(self) -> PlaceCandidate | None:
        """The surest position."""
        return next(place_candidates(self), None)

    @cached_property
    def zone(self) -> str | None:
        """The IANA time zone of the place."""
        return zone_of(self.place.latitude, self.place.longitude) if self.place else None

    @cached_property
    def stamp(self) -> Stamp | None:
        """The date in the file's name."""
        return stamp_in(self.name)

    @cached_property
    def clip_clock(self) -> datetime | None:
        """The video's creation time, where it is a wall clock instead of UTC."""
        clip = self.clip
        if clip.created_at is None or clip.created_local is not None:
            return None
        clock = clip.created_at.replace(tzinfo=None)
        if clip.make is not None and clip.make.lower().startswith(LOCAL_CLOCK_MAKERS):
            return clock
        # The wall clock in the name of a file that was made where clocks do not show UTC.
        if self.stamp is not None and self.stamp.local is not None and self.stamp.precision == "second" and self.zone:
            recorded = timedelta(seconds=(clip.duration_s or 0) + 60)  # some write the beginning, some the end
            if -QUARTER / 15 <= clock - self.stamp.local <= recorded and _zone_offset(self.zone, clock):
                return clock
        return None


def resolve(known: Known) -> Resolved:
    """One date and one place from whatever is known."""
    candidates = date_candidates(known)
    chosen = next((candidate for candidate in candidates if candidate.usable), None)
    place = known.place
    local, offset = _wall_clock(known, chosen) if chosen else (None, None)
    moment = local or (chosen.at if chosen else None)
    return Resolved(
        taken_at=chosen.at if chosen else None,
        taken_local=local,
        utc_offset_min=offset,
        time_zone=known.zone,
        taken_at_rule=chosen.rule if chosen else None,
        taken_precision=chosen.precision if chosen else None,
        taken_year=moment.year if moment else 0,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        altitude_m=place.altitude_m if place else None,
        location_rule=place.rule if place else None,
        problems=tuple(_conflicts(chosen, candidates)) if chosen and len(candidates) > 1 else (),
    )


def own_time(known: Known) -> int | None:
    """When the bytes of the file alone say that it was taken, in seconds since 1970; a wall clock counts as UTC."""
    found = resolve(Known(exif=known.exif, clip=known.clip))
    moment = found.taken_at or (found.taken_local.replace(tzinfo=UTC) if found.taken_local else None)
    return round((moment - _UNIX).total_seconds()) if moment else None


def place_candidates(known: Known) -> Iterator[PlaceCandidate]:
    """Every position, surest first: geoData has the user's corrections, geoDataExif is what Google read from the file."""
    sidecar, exif, clip = known.sidecar, known.exif, known.clip
    for rule, latitude, longitude, altitude in (
        ("sidecar", sidecar.latitude, sidecar.longitude, sidecar.altitude_m),
        ("sidecar_exif", sidecar.exif_latitude, sidecar.exif_longitude, sidecar.exif_altitude_m),
        ("exif", exif.latitude, exif.longitude, exif.altitude_m),
        ("video", clip.latitude, clip.longitude, clip.altitude_m),
    ):
        if latitude is not None and longitude is not None:
            yield PlaceCandidate(rule, latitude, longitude, altitude)


def date_candidates(known: Known) -> list[DateCandidate]:
    """Every date that anything states, in the order of precedence (docs/dates.md)."""
    return [
        *_sidecar_and_offset(known),
        *_exif(known),
        *_video(known),
        *_modified(known),
        *_name(known),
        *_year_folder(known),
    ]


def _sidecar_and_offset(known: Known) -> Iterator[DateCandidate]:
    """The sidecar's time, and EXIF's with its offset: before the sidecar's, if that is nothing but EXIF's clock read as UTC."""
    exif, taken = known.exif, known.sidecar.taken_at
    local, offset = exif.taken_local, exif.utc_offset_min
    if local is None or offset is None:
        if taken is not None:
            yield DateCandidate("sidecar", taken)
        return
    clock = local.replace(tzinfo=UTC)
    stated = DateCandidate("exif_offset", _later(clock, -_minutes(offset)), local)
    if taken is None:
        yield stated
    elif offset and clock.replace(microsecond=0) == taken:
        yield stated
        yield DateCandidate("sidecar", taken, usable=False, note="is EXIF's wall clock read as UTC")
    else:
        yield DateCandidate("sidecar", taken)
        yield stated


def _exif(known: Known) -> Iterator[DateCandidate]:
    exif = known.exif
    local, gps_at = exif.taken_local, exif.gps_at
    fits = gps_at is not None and (local is None or _offset_between(local, gps_at) is not None)
    if fits:
        yield DateCandidate("gps", gps_at, local)
    if local is not None and exif.utc_offset_min is None:
        offset = _zone_offset(known.zone, local) if known.zone else None
        if offset is not None:
            yield DateCandidate("exif_zone", _later(local.replace(tzinfo=UTC), -_minutes(offset)), local)
        else:
            yield DateCandidate("exif_local", None, local)
    if gps_at is not None and not fits:
        yield DateCandidate("gps", gps_at, usable=False, note="no UTC offset explains its distance from EXIF's clock")


def _video(known: Known) -> Iterator[DateCandidate]:
    clip = known.clip
    if clip.created_local is not None and clip.utc_offset_min is not None:
        at = _later(clip.created_local.replace(tzinfo=UTC), -_minutes(clip.utc_offset_min))
        yield DateCandidate("video_offset", at, clip.created_local)
        return  # beside this, the creation time is that of the file, a copy's or an edit's
    if (clock := known.clip_clock) is not None:
        offset = _zone_offset(known.zone, clock) if known.zone else None
        if offset is not None:
            yield DateCandidate("video_zone", _later(clock.replace(tzinfo=UTC), -_minutes(offset)), clock)
        else:
            yield DateCandidate("video_local", None, clock)
    elif clip.created_at is not None:
        yield DateCandidate("video", clip.created_at, clip.created_local)
    elif clip.created_local is not None:
        yield DateCandidate("video_local", None, clip.created_local)


def _modified(known: Known) -> Iterator[DateCandidate]:
    """The file's modification time: mostly that of the export, so taken only where something else says the day or the year."""
    at = known.modified_at
    if at is None:
        return
    stamp, year = known.stamp, known.folder_year
    if stamp is not None and stamp.local is not None and stamp.precision == "day":
        day = DateCandidate("name", local=stamp.local, precision="day")
        if day.span()[0] <= at <= day.span()[1]:
            yield DateCandidate("modified", at)
            return
    elif stamp is None and year is not None and at.year == year:
        yield DateCandidate("modified", at, precision="year")
        return
    yield DateCandidate("modified", at, usable=False, note="nothing else speaks for it: mostly that of the export")


def _name(known: Known) -> Iterator[DateCandidate]:
    stamp = known.stamp
    if stamp is None:
        return
    at, local = stamp.at, stamp.local
    if at is None and local is not None and known.zone and stamp.precision != "day":
        offset = _zone_offset(known.zone, local)
        at = _later(local.replace(tzinfo=UTC), -_minutes(offset)) if offset is not None else None
    yield DateCandidate("name", at, local, stamp.precision, note=stamp.pattern)


def _year_folder(known: Known) -> Iterator[DateCandidate]:
    if known.folder_year is not None:
        yield DateCandidate("year_folder", None, datetime(known.folder_year, 1, 1), "year")


def _conflicts(chosen: DateCandidate, candidates: list[DateCandidate]) -> Iterator[Problem]:
    """A problem for every candidate that is more than a day from the chosen one; modification times are expected to be."""
    first, last = chosen.span()
    for other in candidates:
        if other is chosen or other.rule == "modified":
            continue
        earliest, latest = other.span()
        if earliest - last > CONFLICT or first - latest > CONFLICT:
            yield Problem(
                "date", "conflict", f"{other.rule} says {_said(other)}; {chosen.rule}, {_said(chosen)}, was taken"
            )


def _said(candidate: DateCandidate) -> str:
    moment = candidate.at or candidate.local
    assert moment is not None
    if candidate.precision == "year":
        return f"{moment.year:04d}"
    if candidate.precision == "day":
        return moment.date().isoformat()
    return moment.replace(microsecond=0, tzinfo=None).isoformat(" ") + (" UTC" if candidate.at else "")


def _wall_clock(known: Known, chosen: DateCandidate) -> tuple[datetime | None, int | None]:
    """The wall clock of the chosen date, and its UTC offset in minutes."""
    at, exif, clip, zone = chosen.at, known.exif, known.clip, known.zone
    if at is None:
        return chosen.local, None
    clocks = (
        (exif.taken_local, exif.utc_offset_min),
        (clip.created_local, clip.utc_offset_min),
        (known.clip_clock, None),
    )
    for local, offset in clocks:
        if local is not None and abs(local.replace(tzinfo=UTC) - at) <= A_DAY:
            stated = offset is not None and abs(_later(local.replace(tzinfo=UTC), -_minutes(offset)) - at) <= QUARTER
            return local, offset if stated else _offset_between(local, at)
    if zone is not None:
        try:
            there = at.astimezone(ZoneInfo(zone))
        except (ZoneInfoNotFoundError, OverflowError):
            return None, None
        shift = there.utcoffset()
        return there.replace(tzinfo=None), round(shift.total_seconds() / 60) if shift is not None else None
    stamp = known.stamp
    if stamp is not None and stamp.local is not None and stamp.precision == "second":
        offset = _offset_between(stamp.local, at)
        if offset is not None:
            return stamp.local, offset
    return None, None


def _minutes(number: int) -> timedelta:
    return timedelta(minutes=number)


def _later(moment: datetime, by: timedelta) -> datetime:
    """A moment moved; at the ends of the calendar, unmoved."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _offset_between(local: datetime, at: datetime) -> int | None:
    """The UTC offset in minutes that makes a wall clock and an instant agree within some minutes; None if none does."""
    difference = local.replace(tzinfo=UTC) - at
    quarters = round(difference / QUARTER)
    if not -WEST <= quarters * QUARTER <= EAST or abs(difference - quarters * QUARTER) > QUARTER / 3:
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
