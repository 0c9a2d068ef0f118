"""EXIF: what the tags of a TIFF block mean (Exif 3.0, CIPA DC-008).

A regular block is read by a reader of only the wanted tags (`tiff`), ten times as fast as exifread, which is the reader of
record: an irregular block goes to it as well. What both of them give is Values, and one function says what those mean.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from pipeline.media import by_exifread
from pipeline.media.facts import Exif
from pipeline.media.source import BytesSource, Source
from pipeline.media.tiff import Directories, Directory, Tiff, Value, Values, text
from pipeline.problems import MediaError, Problem, noting

MAKE, MODEL, ORIENTATION, SOFTWARE, EXIF_POINTER, GPS_POINTER = 0x010F, 0x0110, 0x0112, 0x0131, 0x8769, 0x8825
EXPOSURE_TIME, F_NUMBER, ISO, SENSITIVITY, RECOMMENDED_INDEX, ISO_SPEED = 0x829A, 0x829D, 0x8827, 0x8831, 0x8832, 0x8833
ORIGINAL, DIGITIZED, OFFSET, OFFSET_ORIGINAL, OFFSET_DIGITIZED = 0x9003, 0x9004, 0x9010, 0x9011, 0x9012
FLASH, FOCAL_LENGTH, SUBSEC_ORIGINAL, SUBSEC_DIGITIZED = 0x9209, 0x920A, 0x9291, 0x9292
FOCAL_LENGTH_35MM, LENS_MODEL = 0xA405, 0xA434
MAKER_NOTE = 0x927C
#: Apple's maker note: a name, a byte order and a directory; offsets count from the note's start (exiftool, Apple.pm).
APPLE_NOTE, APPLE_DIRECTORY, APPLE_CONTENT_IDENTIFIER = b"Apple iOS\0", 14, 0x0011
PANASONIC_ISO = 0x0017  # Panasonic's raw files keep the ISO speed in their first directory

_CAMERA = frozenset(
    {
        EXPOSURE_TIME,
        F_NUMBER,
        ISO,
        SENSITIVITY,
        RECOMMENDED_INDEX,
        ISO_SPEED,
        ORIGINAL,
        DIGITIZED,
        OFFSET,
        OFFSET_ORIGINAL,
        OFFSET_DIGITIZED,
        FLASH,
        FOCAL_LENGTH,
        SUBSEC_ORIGINAL,
        SUBSEC_DIGITIZED,
        FOCAL_LENGTH_35MM,
        LENS_MODEL,
    }
)
_APPLE = _CAMERA | {MAKER_NOTE}
#: What the first directory is asked for.
FIRST = _CAMERA | {MAKE, MODEL, ORIENTATION, SOFTWARE, EXIF_POINTER, GPS_POINTER, PANASONIC_ISO}
_GPS = frozenset(range(1, 8)) | {0x1D}

#: A photo said to be of a later year has a wrong date.
LAST_YEAR = 2100
#: Directories of a chain that are looked at.
LINKS = 8


def read_exif(source: Source) -> tuple[Exif, tuple[Problem, ...]]:
    """The wanted tags of the TIFF block that `source` holds, and what is wrong with it.

    Raises MediaError if there is no TIFF header or no first directory.
    """
    tiff = Tiff.open(source)
    first = tiff.directory(tiff.first, FIRST)
    return read_directories(tiff, first)


def read_directories(tiff: Tiff, first: Directory) -> tuple[Exif, tuple[Problem, ...]]:
    """The wanted tags of a block whose first directory has been read.

    Of an irregular block exifread's values count, where it has any. It has none where it fails, of blocks that it cannot read
    (BigTIFF) and behind a block's end; and where it cuts our text short (UTF-16), ours is the whole. There ours stay, each of
    which lies in the block as its directory says.
    """
    problems: list[Problem] = []
    _note_header(tiff, problems)
    found, regular = read_wanted(tiff, first, problems)
    if not regular and not tiff.big:
        with noting(problems, "exif"):
            found = _completed(found, by_exifread.read_directories(tiff.source))
    exif = meaning(*found, problems)
    if exif.make == "Apple":
        exif = exif._replace(content_identifier=_apple_identifier(found.camera.get(MAKER_NOTE)))
    return exif, tuple(problems)


def read_wanted(tiff: Tiff, first: Directory, problems: list[Problem]) -> tuple[Directories, bool]:
    """The values of the block's directories by our own reader, and whether the block is regular: fully understood."""
    regular = _is_regular_chain(tiff, first, problems) and tiff.known and first.regular
    camera = _below(tiff, first, EXIF_POINTER, _APPLE if first.values.get(MAKE) == "Apple" else _CAMERA, problems)
    gps = _below(tiff, first, GPS_POINTER, _GPS, problems)
    _note_bad(first, problems)
    # exifread takes a position wherever a pointer to one is found.
    regular = regular and camera.regular and gps.regular and GPS_POINTER not in camera.values
    return Directories(first.values, camera.values, gps.values), regular


def _completed(ours: Directories, theirs: Directories) -> Directories:
    return Directories(*(_preferred(mine, more) for mine, more in zip(ours, theirs, strict=True)))


def _preferred(ours: Values, theirs: Values) -> Values:
    """Theirs where there are any, else ours."""
    return {**ours, **{tag: value for tag, value in theirs.items() if not _is_beginning(value, ours.get(tag))}}


def _is_beginning(value: Value, whole: Value | None) -> bool:
    return isinstance(value, str) and isinstance(whole, str) and whole.startswith(value)


def _apple_identifier(note: Value | None) -> str | None:
    """What a live photo's still and video share; None for other pictures, and notes that are damaged or of another form."""
    if not isinstance(note, bytes) or not note.startswith(APPLE_NOTE):
        return None
    order = {b"II": "<", b"MM": ">"}.get(note[APPLE_DIRECTORY - 2 : APPLE_DIRECTORY])
    if order is None:
        return None
    block = Tiff(BytesSource(note), order, APPLE_DIRECTORY)
    try:
        return _text(block.directory(APPLE_DIRECTORY, {APPLE_CONTENT_IDENTIFIER}).values.get(APPLE_CONTENT_IDENTIFIER))
    except MediaError:
        return None


def read_exif_parts(ifd0: bytes | None, exif: bytes | None, gps: bytes | None) -> tuple[Exif, tuple[Problem, ...]]:
    """The same for formats that keep each directory as a TIFF block of its own (Canon CR3)."""
    problems: list[Problem] = []

    def values(block: bytes | None, wanted: frozenset[int]) -> Values:
        if block:
            try:
                tiff = Tiff.open(BytesSource(block))
                directory = tiff.directory(tiff.first, wanted)
                _note_header(tiff, problems)
                _note_bad(directory, problems)
                if not (tiff.known and directory.regular) and not tiff.big:
                    with noting(problems, "exif"):
                        return _preferred(directory.values, by_exifread.read_directories(tiff.source).first)
                return directory.values
            except MediaError as error:
                problems.append(Problem("exif", error.kind, error.message))
        return {}

    found = meaning(values(ifd0, FIRST), values(exif, _CAMERA), values(gps, _GPS), problems)
    return found, tuple(problems)


def _is_regular_chain(tiff: Tiff, first: Directory, problems: list[Problem]) -> bool:
    """The directories behind the first are whole, few, and know of no position; a loop is noted."""
    seen = {tiff.first}
    looping = _whole(first.values.get(EXIF_POINTER)) in seen or _whole(first.values.get(GPS_POINTER)) in seen
    offset, regular = first.next_offset, True
    while offset and not looping and len(seen) < LINKS:
        looping = offset in seen
        seen.add(offset)
        try:
            link = tiff.directory(offset, _LINK)
        except MediaError:
            regular = False
            break
        regular = regular and link.regular and not link.values
        offset = link.next_offset
    if looping:
        problems.append(Problem("exif", "loop", "a directory names itself or an earlier one as the next"))
    return regular and not looping and len(seen) < LINKS


_LINK = frozenset({GPS_POINTER})


def _below(tiff: Tiff, first: Directory, pointer: int, wanted: frozenset[int], problems: list[Problem]) -> Directory:
    """The directory that a pointer in the first one names; an empty one if there is none."""
    if pointer not in first.values:
        return Directory({})
    offset = _whole(first.values[pointer])
    if offset is None:
        problems.append(Problem("exif", "damaged", f"the pointer {pointer:#06x} has no value"))
        return Directory({}, regular=False)
    try:
        directory = tiff.directory(offset, wanted)
    except MediaError as error:
        problems.append(Problem("exif", error.kind, error.message))
        return Directory({}, regular=False)
    _note_bad(directory, problems)
    return directory


def _note_header(tiff: Tiff, problems: list[Problem]) -> None:
    if not tiff.known:
        problems.append(Problem("exif", "no_tiff", f"unknown number {tiff.number:#x} in the TIFF header"))


def _note_bad(directory: Directory, problems: list[Problem]) -> None:
    if directory.bad:
        tags = ", ".join(f"{tag:#06x}" if tag >= 0 else "the directory's end" for tag in directory.bad[:5])
        problems.append(Problem("exif", "damaged", f"values that lie outside of the block: {tags}"))
    if directory.odd:
        tags = ", ".join(f"{tag:#06x}" for tag in directory.odd[:5])
        problems.append(Problem("exif", "text", f"neither ASCII nor UTF-8, or with control characters: {tags}"))


def meaning(first: Values, camera: Values, gps: Values, problems: list[Problem]) -> Exif:
    """What the values of the three directories say, whoever read them; what they say that cannot be goes to `problems`."""
    # Scanners and raw files put tags of the Exif directory into the first one.
    both = camera if _CAMERA.isdisjoint(first) else {**first, **camera}
    written = _text(both.get(ORIGINAL))
    taken = parse_exif_time(written)
    subsecond, offset = both.get(SUBSEC_ORIGINAL), both.get(OFFSET_ORIGINAL)
    if taken is None and (digitized := parse_exif_time(_text(both.get(DIGITIZED)))):
        written, taken = _text(both.get(DIGITIZED)), digitized
        subsecond, offset = both.get(SUBSEC_DIGITIZED), both.get(OFFSET_DIGITIZED)
    _note_date(written, taken, ORIGINAL in both, problems)
    f_number = _quantity(both.get(F_NUMBER), "f-number", problems)
    exposure_time = _quantity(both.get(EXPOSURE_TIME), "exposure time", problems)
    focal_length = _quantity(both.get(FOCAL_LENGTH), "focal length", problems)
    orientation = _whole(first.get(ORIENTATION))
    if orientation is not None and not 0 <= orientation <= 8:
        problems.append(Problem("exif", "number", f"there is no orientation {orientation}"))
    if taken is not None:
        taken += timedelta(microseconds=_microseconds(subsecond))
    latitude = _degrees(gps.get(2), gps.get(1), "NS", 90, problems)
    longitude = _degrees(gps.get(4), gps.get(3), "EW", 180, problems)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        latitude = longitude = None
    return Exif(
        make=_text(first.get(MAKE)),
        model=_text(first.get(MODEL)),
        lens_model=_text(both.get(LENS_MODEL)),
        software=_text(first.get(SOFTWARE)),
        orientation=_in_range(orientation, 1, 8),
        iso=_iso(both) or _in_range(_whole(first.get(PANASONIC_ISO)), 1, 100_000_000),
        f_number=f_number,
        exposure_time_s=exposure_time,
        focal_length_mm=focal_length,
        focal_length_35mm=_in_range(_whole(both.get(FOCAL_LENGTH_35MM)), 1, 65535),
        flash_fired=None if (flash := _whole(both.get(FLASH))) is None else bool(flash & 1),
        taken_text=written,
        taken_local=taken,
        utc_offset_min=parse_offset(_text(offset) or _text(both.get(OFFSET))) if taken else None,
        latitude=latitude,
        longitude=longitude,
        altitude_m=_altitude(gps),
        gps_at=_gps_time(gps),
    )


def _is_infinite(value: Value | None) -> bool:
    """A fraction x/0, as opposed to 0/0, by which cameras say "unknown"."""
    if isinstance(value, tuple):
        for one in value:
            if isinstance(one, tuple) and one[0] and not one[1]:
                return True
    return False


def _note_date(written: str | None, taken: datetime | None, stated: bool, problems: list[Problem]) -> None:
    """Note a date that is none, not spelt as EXIF spells dates, or of a far future."""
    if taken is None:
        if stated:
            problems.append(Problem("exif", "date", f"{(written or '')[:40]!r} is no date and time"))
    elif written is not None and not _SPELLING.fullmatch(written):
        problems.append(Problem("exif", "date", f"{written[:40]!r} is not as EXIF spells dates"))
    elif taken.year > LAST_YEAR:
        problems.append(Problem("exif", "date", f"the year {taken.year} is yet to come"))


_SPELLING = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)


def _number(value: Value | None, position: int = 0) -> float | None:
    """One number of a value, whatever its type; None if absent or undefined (x/0, NaN)."""
    if isinstance(value, tuple):
        if position >= len(value):
            return None
        one = value[position]
        if isinstance(one, tuple):
            return one[0] / one[1] if one[1] else None
        return float(one) if math.isfinite(one) else None
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return None


def _whole(value: Value | None) -> int | None:
    if value is None:
        return None
    number = _number(value)
    return None if number is None else int(number)


def _quantity(value: Value | None, name: str, problems: list[Problem]) -> float | None:
    """A number above zero: cameras write 0 for "unknown" (e.g. an f-number without a lens that tells it)."""
    number = _number(value)
    if _is_infinite(value):
        problems.append(Problem("exif", "number", f"the {name} is a fraction with denominator 0"))
    return number if number is not None and number > 0 else None


def _in_range(value: int | None, low: int, high: int) -> int | None:
    return value if value is not None and low <= value <= high else None


def _text(value: Value | None) -> str | None:
    """Text; also of a wrong type: a make written as bytes is still its letters."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bytes):
        value = text(value)
    if isinstance(value, tuple):
        if value and all(isinstance(one, int) and 0 <= one < 256 for one in value) and len(value) > 1:
            value = text(bytes(one for one in value if isinstance(one, int)))
        else:
            number = _number(value)
            value = None if number is None else f"{number:g}"
    return value or None


def _iso(values: Values) -> int | None:
    # The SHORT ends at 65535; above that it says so and another tag has the figure (Exif 2.3, PhotographicSensitivity).
    iso = _whole(values.get(ISO))
    if iso is None or iso == 65535:
        for tag in (RECOMMENDED_INDEX, ISO_SPEED, SENSITIVITY):
            if other := _in_range(_whole(values.get(tag)), 1, 100_000_000):
                return other
    return _in_range(iso, 1, 100_000_000)


def _degrees(
    value: Value | None, reference: Value | None, letters: str, limit: int, problems: list[Problem]
) -> float | None:
    """Signed degrees of GPSLatitude or GPSLongitude (degrees, minutes, seconds)."""
    if _is_infinite(value):
        problems.append(Problem("exif", "gps", f"{letters} position with denominator 0, not used"))
        return None
    degrees = _number(value)
    if degrees is None or isinstance(value, str):
        return None
    if isinstance(value, tuple) and len(value) != 3:
        problems.append(Problem("exif", "gps", f"{letters} position of {len(value)} numbers instead of 3"))
    for position, parts in ((1, 60), (2, 3600)):
        degrees += (_number(value, position) or 0) / parts
    side = (_text(reference) or "")[:1].upper()
    if side not in letters or not side:
        if degrees:
            problems.append(Problem("exif", "gps", f"position without {letters[0]} or {letters[1]}, not used"))
        return None
    if not 0 <= degrees <= limit:
        problems.append(Problem("exif", "gps", f"{degrees:g} degrees {side} do not exist"))
        return None
    return -degrees if side == letters[1] else degrees


def _altitude(gps: Values) -> float | None:
    altitude = _number(gps.get(6))
    if altitude is None:
        return None
    reference = gps.get(5)
    below = reference[:1] in (b"\1", b"1") if isinstance(reference, bytes) else _whole(reference) in (1, 3)
    return -altitude if below else altitude


def _gps_time(gps: Values) -> datetime | None:
    day, time = _text(gps.get(0x1D)), gps.get(7)
    if day is None or time is None:
        return None
    hour, minute, second = _number(time, 0), _number(time, 1), _number(time, 2)
    date = parse_exif_time(f"{day} 00:00:00")
    if date is None or hour is None or minute is None or second is None:
        return None
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61):
        return None
    try:
        return date.replace(tzinfo=UTC) + timedelta(hours=hour, minutes=minute, seconds=round(second, 6))
    except OverflowError:  # a leap second at the end of the calendar
        return None


def _microseconds(value: Value | None) -> int:
    """SubSecTime: digits after the decimal point of the seconds."""
    digits = _DIGITS.match(_text(value) or "")
    return int(digits[0][:6].ljust(6, "0")) if digits else 0


_DIGITS = re.compile(r"\d+", re.ASCII)


_TIME = re.compile(r"(\d{4})[:\-/. ](\d\d?)[:\-/. ](\d\d?)[ T]+(\d\d?):(\d\d?)(?::(\d\d?)(?:\.\d+)?)?", re.ASCII)


def parse_exif_time(written: str | None) -> datetime | None:
    """An EXIF date and time, ``YYYY:MM:DD HH:MM:SS``, as a naive wall clock; None for blanks, zeros and nonsense.

    >>> parse_exif_time("2019:07:30 21:05:59")
    datetime.datetime(2019, 7, 30, 21, 5, 59)
    >>> parse_exif_time("0000:00:00 00:00:00"), parse_exif_time("    :  :     :  :  ")
    (None, None)
    """
    if not written:
        return None
    found = _SPELLING.fullmatch(written) or _TIME.match(written.strip())
    if not found:
        return None
    try:
        return datetime(*map(int, found.groups("0")))  # type: ignore[arg-type]
    except ValueError:
        return None


_OFFSET = re.compile(r"([+-])(\d\d?):?(\d\d)", re.ASCII)


def parse_offset(written: str | None) -> int | None:
    """An EXIF UTC offset in minutes.

    >>> parse_offset("+05:30"), parse_offset("-0800"), parse_offset("Z"), parse_offset("   :  ")
    (330, -480, 0, None)
    """
    if not written:
        return None
    if written.strip() == "Z":
        return 0
    found = _OFFSET.fullmatch(written.strip())
    if not found:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    if minutes > 15 * 60 or int(found[3]) > 59:
        return None
    return -minutes if found[1] == "-" else minutes
