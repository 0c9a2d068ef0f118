"""When and where a photo was taken: one answer out of all that is known, and where the answer comes from.

Everything that speaks of the date makes a candidate; `date_candidates` returns them surest first and `resolve` takes the first
that can be relied on. docs/dates.md has the table of precedence and an example of every rule. What is known of one moment and
is more than a day apart becomes a problem. Pure, but for the map of time zones, which is loaded when it is first asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.media.facts import Clip, Exif
from pipeline.problems import Problem
from pipeline.takeout.folders import FIRST_YEAR, LAST_YEAR
from pipeline.takeout.sidecar import ONE_MOMENT, Sidecar
from pipeline.takeout.stamps import Stamp, stamp_in

#: Two of the candidates that are further apart than this contradict each other.
CONFLICT = timedelta(days=1)
#: A wall clock is at most so far ahead of UTC, and behind it; no zone on Earth is further.
EAST, WEST = timedelta(hours=14), timedelta(hours=12)
#: How far two clocks that were meant to agree may be apart.
TOLERANCE = timedelta(minutes=5)
#: A camera's clock may be an hour off that of the place, as nobody set it to summer time; not more.
SUMMER_TIME = 60
#: The UTC offsets in use since about 1990, in minutes.
IN_USE = (
    -720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -150, -120, -60, 0, 60, 120, 180, 210, 240, 270,
    300, 330, 345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720, 765, 780, 825, 840,
)  # fmt: skip
#: How exact a date may be.
PRECISIONS = ("second", "minute", "day", "year")
#: The folder where undated items land, as 0 seconds are of that year.
UNDATED = "1970"
#: Names by these programs say when a file was sent or saved, which is often long after it was taken.
MESSENGERS = frozenset({"whatsapp", "signal", "telegram", "viber", "kakaotalk", "unix_ms"})

#: Makers whose cameras know no time zone and so write their wall clock where others have UTC (memories #1256). Apple: "this
#: value does not specify a time zone; common practice is to use local time", UTC is "strongly recommended" (QuickTime File
#: Format, Calendar date and time values); phones follow that. Others are believed until a name in local time disagrees.
LOCAL_CLOCK_MAKERS = ("gopro",)

_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_TOLERANCE = TOLERANCE / _MINUTE
_NO_SIDECAR, _NO_EXIF, _NO_CLIP = Sidecar(), Exif(), Clip()


class Resolved(NamedTuple):
    """The answer. `taken_at` is aware and UTC, `taken_local` naive; `taken_year` 0 means no date."""

    taken_at: datetime | None = None
    taken_local: datetime | None = None
    utc_offset_min: int | None = None
    time_zone: str | None = None
    taken_at_rule: str | None = None
    taken_precision: str | None = None  # one of PRECISIONS
    taken_year: int = 0
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    location_rule: str | None = None
    problems: tuple[Problem, ...] = ()


class DateCandidate(NamedTuple):
    """A date that something states: an instant (aware, UTC), a wall clock (naive), or both, `offset` minutes apart.

    One that is not `usable` is only compared and explained, never taken; `note` says why. One that is not `compared` is
    expected to be of another time.
    """

    rule: str
    at: datetime | None = None
    local: datetime | None = None
    offset: int | None = None
    precision: str = "second"
    usable: bool = True
    compared: bool = True
    note: str | None = None

    def span(self) -> tuple[datetime, datetime]:
        """The earliest and the latest instant that can be meant."""
        if self.at is not None:
            return self.at, self.at
        assert self.local is not None
        local = self.local.replace(tzinfo=UTC)
        last = local
        if self.precision == "day":
            last = _later(local, timedelta(days=1))
        elif self.precision == "year":
            last = local.replace(month=12, day=31, hour=23, minute=59)
        return _later(local, -EAST), _later(last, WEST)

    @property
    def moment(self) -> datetime:
        """The wall clock, else the instant."""
        moment = self.local or self.at
        assert moment is not None
        return moment


class PlaceCandidate(NamedTuple):
    """A position that something states, in degrees and metres."""

    rule: str
    latitude: float
    longitude: float
    altitude_m: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of a file's date and place. `name` is the file's; `folder_date` the year or day of a folder by such.

    What follows from it is worked out once, when it is made: the surest position and its IANA time zone, the date in the name,
    and the video's creation time where that is a wall clock instead of UTC.
    """

    sidecar: Sidecar = _NO_SIDECAR
    exif: Exif = _NO_EXIF
    clip: Clip = _NO_CLIP
    name: str = ""
    folder_date: str | None = None  # 2019, 2005-02-05
    modified_at: datetime | None = None  # aware, UTC
    place: PlaceCandidate | None = field(init=False)
    zone: str | None = field(init=False)
    stamp: Stamp | None = field(init=False)
    clip_clock: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        place = next(place_candidates(self), None)
        zone = zone_of(place.latitude, place.longitude) if place else None
        stamp = stamp_in(self.name)
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "zone", zone)
        object.__setattr__(self, "stamp", stamp)
        object.__setattr__(self, "clip_clock", _clip_clock(self.clip, stamp, zone))


def _clip_clock(clip: Clip, stamp: Stamp | None, zone: str | None) -> datetime | None:
    """The video's creation time, where it is a wall clock instead of UTC."""
    if clip.created_at is None or clip.created_local is not None:
        return None
    clock = clip.created_at.replace(tzinfo=None)
    if clip.make is not None and clip.make.lower().startswith(LOCAL_CLOCK_MAKERS):
        return clock
    # The wall clock in the name of a file that was made where clocks do not show UTC.
    if stamp is not None and stamp.local is not None and stamp.precision == "second" and zone:
        recorded = timedelta(seconds=(clip.duration_s or 0) + 60)  # some write the beginning, some the end
        if -_MINUTE <= clock - stamp.local <= recorded and _zone_offset(zone, clock):
            return clock
    return None


def resolve(known: Known) -> Resolved:
    """One date and one place from whatever is known."""
    candidates = date_candidates(known)
    chosen = first_usable(candidates)
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
        problems=tuple(_problems(chosen, candidates)),
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
    found = [
        *_sidecar_and_exif(known),
        *_video(known),
        *_modified(known),
        *_name(known),
        *_folder(known),
    ]
    return [_plausible(candidate) for candidate in found]


def first_usable(candidates: Iterable[DateCandidate]) -> DateCandidate | None:
    """The candidate that is taken."""
    return next((candidate for candidate in candidates if candidate.usable), None)


def _plausible(candidate: DateCandidate) -> DateCandidate:
    if FIRST_YEAR <= candidate.moment.year <= LAST_YEAR:
        return candidate
    return candidate._replace(usable=False, note=f"there are no photos of the year {candidate.moment.year}")


def _sidecar_and_exif(known: Known) -> Iterator[DateCandidate]:
    """The sidecar's time and EXIF's; EXIF's is the surer where the sidecar's is nothing but EXIF's clock read as UTC."""
    taken = known.sidecar.taken_at
    exif = list(_exif(known))
    if taken is None:
        yield from exif
        return
    first = exif[0] if exif else None
    if first and first.rule in ("exif_offset", "gps") and first.offset and _is_clock_as_utc(first.local, taken):
        yield first
        yield DateCandidate("sidecar", taken, usable=False, note="is EXIF's wall clock read as UTC")
        yield from exif[1:]
    else:
        yield DateCandidate("sidecar", taken)
        yield from exif


def _is_clock_as_utc(local: datetime | None, at: datetime) -> bool:
    """The instant is this wall clock, taken for UTC (asked about in photoprism #2133)."""
    return local is not None and abs(local.replace(tzinfo=UTC) - at) <= TOLERANCE


def _exif(known: Known) -> Iterator[DateCandidate]:
    local, offset, gps_at = known.exif.taken_local, known.exif.utc_offset_min, known.exif.gps_at
    zone_offset = _zone_offset(known.zone, local) if known.zone and local is not None else None
    between = _offset_between(local, gps_at, zone_offset) if local is not None and gps_at is not None else None
    fits = gps_at is not None and (local is None or between is not None)
    if local is not None and offset is not None:
        yield DateCandidate("exif_offset", _utc(local, offset), local, offset)
    if fits:
        yield DateCandidate("gps", gps_at, local, between)
    if local is not None and offset is None:
        if zone_offset is not None:
            yield DateCandidate("exif_zone", _utc(local, zone_offset), local, zone_offset)
        else:
            yield DateCandidate("exif_local", None, local)
    if gps_at is not None and not fits:
        yield DateCandidate("gps", gps_at, usable=False, note="no UTC offset explains its distance from EXIF's clock")


def _video(known: Known) -> Iterator[DateCandidate]:
    clip, at = known.clip, known.clip.created_at
    if clip.created_local is not None and clip.utc_offset_min is not None:
        # Beside this, the creation time is that of the file: a copy's, or an edit's.
        yield DateCandidate(
            "video_offset", _utc(clip.created_local, clip.utc_offset_min), clip.created_local, clip.utc_offset_min
        )
        return
    clock = known.clip_clock
    if clip.created_local is not None and (at is None or abs(clip.created_local.replace(tzinfo=UTC) - at) > ONE_MOMENT):
        clock = clip.created_local
    if clock is not None:
        offset = _zone_offset(known.zone, clock) if known.zone else None
        if offset is not None:
            yield DateCandidate("video_zone", _utc(clock, offset), clock, offset)
        else:
            yield DateCandidate("video_local", None, clock)
    if at is not None and (clock is None or clock is clip.created_local):
        yield DateCandidate("video", at)


def _modified(known: Known) -> Iterator[DateCandidate]:
    """The file's modification time: mostly that of the export, so taken only where something else says the day or the year."""
    at = known.modified_at
    if at is None:
        return
    stamp, folder = known.stamp, known.folder_date
    named = stamp.local.date() if stamp is not None and stamp.local is not None and stamp.precision == "day" else None
    if stamp is None and folder is not None and len(folder) > 4 and not folder.startswith(UNDATED):
        named = _date(folder)
    if named is not None or (stamp is None and folder is not None):
        there = _in_zone(at, known.zone) if known.zone else None
        local, offset = there or (None, None)
        day = (local or at).date()
        if named == day:
            yield DateCandidate("modified", at, local, offset, compared=False)
            return
        if stamp is None and folder == f"{day.year:04d}" and folder != UNDATED:
            yield DateCandidate("modified", at, local, offset, "year", compared=False)
            return
    note = "nothing else speaks for it: mostly that of the export"
    yield DateCandidate("modified", at, usable=False, compared=False, note=note)


def _name(known: Known) -> Iterator[DateCandidate]:
    stamp = known.stamp
    if stamp is None:
        return
    at, local, offset = stamp.at, stamp.local, None
    if at is None and local is not None and known.zone and stamp.precision != "day":
        offset = _zone_offset(known.zone, local)
        at = _utc(local, offset) if offset is not None else None
    yield DateCandidate(
        "name",
        at,
        local,
        offset,
        stamp.precision,
        compared=stamp.pattern not in MESSENGERS,
        note=f"as {stamp.pattern} names files",
    )


def _folder(known: Known) -> Iterator[DateCandidate]:
    if known.folder_date is None:
        return
    if len(known.folder_date) > 4:
        day = _date(known.folder_date)
        if day is not None:
            yield DateCandidate("day_folder", None, datetime.combine(day, time()), precision="day")
    elif known.folder_date == UNDATED:
        yield DateCandidate(
            "year_folder",
            None,
            datetime(1970, 1, 1),
            precision="year",
            usable=False,
            compared=False,
            note="holds what has no date",
        )
    else:
        yield DateCandidate("year_folder", None, datetime(int(known.folder_date), 1, 1), precision="year")


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _problems(chosen: DateCandidate | None, candidates: list[DateCandidate]) -> Iterator[Problem]:
    """A problem for every date that no photo can have, and for every candidate that is more than a day from the chosen one."""
    first, last = chosen.span() if chosen else (_UNIX, _UNIX)
    for other in candidates:
        if other is chosen or not other.compared:
            continue
        if not FIRST_YEAR <= other.moment.year <= LAST_YEAR:
            yield Problem("date", "implausible", f"{other.rule} says {_said(other)}: not used")
        elif chosen is not None and chosen.compared:
            earliest, latest = other.span()
            if earliest - last > CONFLICT or first - latest > CONFLICT:
                yield Problem(
                    "date", "conflict", f"{other.rule} says {_said(other)}; {chosen.rule}, {_said(chosen)}, was taken"
                )


def _said(candidate: DateCandidate) -> str:
    moment = candidate.at or candidate.moment
    if candidate.precision == "year":
        return f"{moment.year:04d}"
    if candidate.precision == "day":
        return moment.date().isoformat()
    return moment.replace(microsecond=0, tzinfo=None).isoformat(" ") + (" UTC" if candidate.at else "")


def _wall_clock(known: Known, chosen: DateCandidate) -> tuple[datetime | None, int | None]:
    """The wall clock of the chosen date, and its UTC offset in minutes, None where nothing tells it."""
    at = chosen.at
    if at is None or chosen.offset is not None:
        return chosen.local, chosen.offset
    exif, clip, stamp = known.exif, known.clip, known.stamp
    tells = stamp is not None and stamp.precision in ("second", "minute") and stamp.pattern not in MESSENGERS
    named = stamp.local if stamp is not None and tells else None
    there = _in_zone(at, known.zone) if known.zone else None
    zone_offset = there[1] if there else None
    if exif.taken_local is not None and exif.utc_offset_min is not None:
        stated: tuple[datetime, int] | None = (exif.taken_local, exif.utc_offset_min)
    elif clip.created_local is not None and clip.utc_offset_min is not None:
        stated = (clip.created_local, clip.utc_offset_min)
    else:
        stated = None
    if stated is not None and abs(_utc(*stated) - at) <= TOLERANCE:
        return stated
    if stated is None:
        for clock in (exif.taken_local, clip.created_local, known.clip_clock, named):
            if clock is None:
                continue
            end = timedelta(seconds=clip.duration_s or 0) if clock is named else timedelta(0)
            if (_is_clock_as_utc(clock, at) or _is_clock_as_utc(clock, _later(at, -end))) and zone_offset != 0:
                return clock, None  # a clock taken for UTC, or one that showed UTC: who knows
            # Not held against the zone of the place: that is where the photo is, the clock may be that of home.
            if clock is not named and (offset := _offset_between(clock, at, None)) is not None:
                return clock, offset
    if there is not None:
        return there
    if stated is not None and abs(_utc(*stated) - at) <= ONE_MOMENT:  # the date was corrected, the place is the same
        return _later(at.replace(tzinfo=None), _minutes(stated[1])), stated[1]
    if named is not None:  # a video's time may be that of its end
        for moment in (at, _later(at, -timedelta(seconds=clip.duration_s or 0))):
            if (offset := _offset_between(named, moment, None)) is not None:
                return _later(at.replace(tzinfo=None), _minutes(offset)), offset
    return None, None


def _in_zone(at: datetime, zone: str) -> tuple[datetime, int] | None:
    """The wall clock of an instant in a zone, and its UTC offset in minutes."""
    try:
        there = at.astimezone(_zone_info(zone))
    except (ZoneInfoNotFoundError, OverflowError):
        return None
    shift = there.utcoffset()
    return (there.replace(tzinfo=None), round(shift.total_seconds() / 60)) if shift is not None else None


def _utc(local: datetime, offset: int) -> datetime:
    return _later(local.replace(tzinfo=UTC), -_minutes(offset))


def _minutes(number: int) -> timedelta:
    return number * _MINUTE


def _later(moment: datetime, by: timedelta) -> datetime:
    """A moment moved; at the ends of the calendar, unmoved."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _offset_between(local: datetime, at: datetime, zone_offset: int | None) -> int | None:
    """The UTC offset in minutes that makes a wall clock and an instant agree; None if none does.

    Where the zone is known, it is that of the zone, but for summer time that nobody set; else one that is in use.
    """
    apart = (local.replace(tzinfo=UTC) - at) / _MINUTE
    if zone_offset is None:
        above = bisect_left(IN_USE, apart)
        offsets = IN_USE[max(above - 1, 0) : above + 1]
    else:
        offsets = (zone_offset, zone_offset - SUMMER_TIME, zone_offset + SUMMER_TIME)
    offset = min(offsets, key=lambda each: abs(each - apart))
    return offset if abs(offset - apart) <= _TOLERANCE else None


def _zone_offset(zone: str, local: datetime) -> int | None:
    try:
        shift = _zone_info(zone).utcoffset(local)
    except (ZoneInfoNotFoundError, OverflowError):
        return None
    return round(shift.total_seconds() / 60) if shift is not None else None


#: `ZoneInfo` itself keeps no more than eight zones, and travellers have more.
_zone_info = lru_cache(maxsize=None)(ZoneInfo)


@lru_cache(maxsize=4096)
def zone_of(latitude: float, longitude: float) -> str | None:
    """The IANA time zone of a place, offline; None where no map says.

    The first call loads the map: 0.1 s and 34 MB.
    """
    import tzfpy

    return tzfpy.get_tz(longitude, latitude) or None
