"""Video: what a movie's own index says, without looking at one picture of it.

MP4, MOV and 3GP are read here, box by box (ISO/IEC 14496-12, QuickTime File Format, 3GPP TS 26.244): a few kilobytes of a
file of any length. The other containers are MediaInfo's, under a budget of bytes.
"""

from __future__ import annotations

import io
import json
import math
import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import mul
from sys import byteorder
from typing import Any, NamedTuple

from pipeline.media.boxes import Box, Boxes, number
from pipeline.media.exif import parse_offset
from pipeline.media.facts import Clip
from pipeline.media.source import Source
from pipeline.problems import MediaError, Problem

#: A moov up to this size is read at once; of a bigger one, which is tables of samples, only what is wanted.
PRELOAD = 32 << 10
#: Time-to-sample entries of a clip are read up to this many bytes: an hour of uneven frames.
MAX_TIMES = 1 << 20
#: Bytes of one text and of the names of metadata keys; how many tags of one place and how many tracks are looked at.
MAX_TEXT, MAX_KEYS, MAX_TAGS, MAX_TRACKS = 4096, 256 << 10, 64, 64
#: Years that a date may have: what lies outside is damage, and breaks calendars further on.
FIRST_YEAR, LAST_YEAR = 1900, 2200
#: Bytes that MediaInfo may read of one file: it gives up looking for a format after as much, and knows the others by then.
MEDIAINFO_BYTES = 16 << 20

# Seconds from the start of 1904, from which ISO/IEC 14496-12 section 8.2.2 counts, to the start of 1970.
_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_TO_UNIX = int((_UNIX - _EPOCH).total_seconds())


@dataclass(frozen=True, slots=True)
class Place:
    """A position on Earth, in signed degrees."""

    latitude: float
    longitude: float
    altitude_m: float | None = None


class Tags(NamedTuple):  # and no dataclass, as Track: they are filled in field by field, for every video
    """What user data and metadata say of the recording."""

    place: Place | None = None
    created: tuple[datetime, int | None] | None = None  # wall clock, its offset from UTC in minutes
    make: str | None = None
    model: str | None = None
    software: str | None = None
    content_identifier: str | None = None


_NOTHING = Tags()


class Track(NamedTuple):
    """One track of a movie."""

    handler: bytes = b""
    enabled: bool = False
    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    codec: str | None = None
    tags: Tags = _NOTHING


def read_video(form: str, source: Source) -> Clip:
    """What the video in `source` says; `form` is the sniffer's name of its container.

    Raises MediaError where nothing can be read, and the OSError of a failed read.
    """
    return read_movie(source) if form == "mp4" else _by_mediainfo(source)


# MP4, MOV, 3GP


def read_movie(source: Source) -> Clip:
    """What the `moov` box of an ISO base media file says."""
    boxes = Boxes(source, "video")
    sound_only = False
    for box in boxes.top():
        if box.name == b"ftyp":
            # Apple's brands of sound files; a picture track in them is the cover or the pictures of the chapters.
            sound_only = boxes.payload(box, 4) in (b"M4A ", b"M4B ", b"M4P ")
        elif box.name == b"moov":
            return _movie(boxes, box, sound_only)
    if boxes.problems:
        first = boxes.problems[0]
        raise MediaError(f"{first.kind}: {first.message}; no moov box before that")
    raise MediaError("no_moov: no moov box, the recording was never finished")


def _movie(boxes: Boxes, moov: Box, sound_only: bool) -> Clip:
    boxes.preload(moov, PRELOAD)
    tracks: list[Track] = []
    tags: list[Tags] = []
    header: bytes | None = None
    whole_length: int | None = None
    for box in boxes.inside(moov):
        if box.name == b"mvhd" and header is None:
            header = boxes.payload(box, 32)
        elif box.name == b"trak" and len(tracks) < MAX_TRACKS:
            tracks.append(_track(boxes, box))
        elif box.name == b"udta":
            tags.append(_user_data(boxes, box))
        elif box.name == b"meta":
            tags.append(_metadata(boxes, box))
        elif box.name == b"mvex":
            whole_length = _fragments_length(boxes, box)
    if header is None:
        boxes.note("damaged", "the movie has no header")
    videos = [track for track in tracks if track.handler == b"vide"]
    video = next((track for track in videos if track.enabled), None)
    if video is None and videos and not sound_only:  # some writers enable none
        video = videos[0]
    said = _merged([*tags, *(track.tags for track in (video, *tracks) if track)])
    created_local, offset = said.created or (None, None)
    place = said.place
    duration, created_at = _movie_duration(boxes, header, whole_length, video), _created(boxes, header)
    boxes.note_cut_media(moov)
    return Clip(
        width=video.width if video else None,
        height=video.height if video else None,
        rotation=video.rotation if video else None,
        duration_s=duration,
        frame_rate=video.frame_rate if video else None,
        video_codec=video.codec if video else None,
        created_at=created_at,
        created_local=created_local,
        utc_offset_min=offset,
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        altitude_m=place.altitude_m if place else None,
        make=said.make,
        model=said.model,
        software=said.software,
        content_identifier=said.content_identifier,
        # Of a movie that is cut off, tracks may be missing: it is no sound file for that.
        has_video=video is not None or not moov.whole or all(track.handler != b"soun" for track in tracks),
        problems=tuple(boxes.problems),
    )


def _times(header: bytes) -> tuple[int | None, int | None, int | None]:
    """Creation time, time scale and duration of `mvhd` or `mdhd` (ISO/IEC 14496-12 sections 8.2.2 and 8.4.2)."""
    if header[:1] == b"\1":
        created, scale, length = number(header, 4, 8), number(header, 20, 4), number(header, 24, 8)
        unknown = 2**64 - 1
    else:
        created, scale, length = number(header, 4, 4), number(header, 12, 4), number(header, 16, 4)
        unknown = 2**32 - 1
    return created, scale, None if length == unknown else length


def _seconds(length: int | None, scale: int | None) -> float | None:
    """A duration in seconds. 0 is what a fragmented file says, which does not know yet; a lifetime is no duration."""
    if not length or not scale:
        return None
    seconds = length / scale
    return seconds if seconds < 1e9 else None


def _movie_duration(boxes: Boxes, header: bytes | None, whole_length: int | None, video: Track | None) -> float | None:
    _, scale, length = _times(header or b"")
    if scale == 0 and length:
        boxes.note("damaged", "the time scale is 0")
    duration = _seconds(length, scale) or _seconds(whole_length, scale) or (video.duration_s if video else None)
    if duration is None and header is not None:
        boxes.note("no_duration", "the movie does not say how long it is")
    return duration


def _fragments_length(boxes: Boxes, mvex: Box) -> int | None:
    """The duration of a fragmented movie, in its time scale (ISO/IEC 14496-12 section 8.8.2, `mehd`)."""
    for box in boxes.inside(mvex):
        if box.name == b"mehd":
            data = boxes.payload(box, 12)
            return number(data, 4, 8 if data[:1] == b"\1" else 4)
    return None


def _created(boxes: Boxes, header: bytes | None) -> datetime | None:
    created, _, _ = _times(header or b"")
    if created is None:
        return None
    if created in (0, _TO_UNIX):  # 0 of either era means "not set"
        boxes.note("date", "the creation time is not set")
        return None
    try:
        if created > _TO_UNIX:
            moment = _EPOCH + timedelta(seconds=created)
            if moment.year > LAST_YEAR:
                raise OverflowError
            if created >= 2**32 - 1:  # all ones, or past the end of the calendar of most files
                boxes.note("date", f"the creation time {moment:%Y-%m-%d} is yet to come")
            return moment
        # Writers that count from 1970 are common, films older than this format are not.
        moved = _UNIX + timedelta(seconds=created)
    except OverflowError:
        boxes.note("date", f"creation time {created} is beyond any calendar")
        return None
    if moved.year < 1990:
        boxes.note("date", f"creation time {created} lies before there was such a file")
        return None
    boxes.note("date", "the creation time counts from 1970 instead of 1904; corrected")
    return moved


def _track(boxes: Boxes, trak: Box) -> Track:
    track = Track()
    for box in boxes.inside(trak):
        if box.name == b"tkhd":
            track = _with_header(track, boxes.payload(box, 96))
        elif box.name == b"mdia":
            track = _with_media(track, boxes, box)
        elif box.name == b"udta":
            track = track._replace(tags=_user_data(boxes, box))
    return track if track.handler == b"vide" else track._replace(width=None, height=None, rotation=None)


def _with_header(track: Track, data: bytes) -> Track:
    """`tkhd`, ISO/IEC 14496-12 section 8.3.2."""
    matrix = 52 if data[:1] == b"\1" else 40
    width, height = (_pixels(number(data, matrix + 36 + at, 4)) for at in (0, 4))
    return track._replace(
        enabled=bool(data[3:4] and data[3] & 1),
        width=width or None,
        height=height or None,
        rotation=_rotation(data[matrix : matrix + 36]),
    )


def _pixels(fixed: int | None) -> int | None:
    """The whole part of a 16.16 number. Some writers put the plain number there: 320 would be 0.005 pixels."""
    if fixed is None:
        return None
    return fixed >> 16 or fixed


def _rotation(matrix: bytes) -> int | None:
    """Clockwise degrees that a transformation matrix turns by (ISO/IEC 14496-12 section 6.2.2, {a b u c d v x y w}).

    (1, 0) goes to (a, b), and y grows downwards. Angles between the quarters occur in edited films only: none of ours.
    """
    if len(matrix) < 36:
        return None
    a, b = (int.from_bytes(matrix[at : at + 4], "big", signed=True) for at in (0, 4))
    if a == 0 and b == 0:
        return None
    degrees = math.degrees(math.atan2(b, a)) % 360
    quarter = round(degrees / 90)
    return quarter % 4 * 90 if abs(degrees - quarter * 90) < 1 else None


def _with_media(track: Track, boxes: Boxes, mdia: Box) -> Track:
    scale: int | None = None
    for box in boxes.inside(mdia):
        if box.name == b"mdhd":
            _, scale, length = _times(boxes.payload(box, 32))
            track = track._replace(duration_s=_seconds(length, scale))
        elif box.name == b"hdlr":
            track = track._replace(handler=boxes.payload(box, 12)[8:12])
        elif box.name == b"minf" and track.handler == b"vide":
            for inner in boxes.inside(box):
                if inner.name == b"stbl":
                    track = _with_samples(track, boxes, inner, scale)
    return track


def _with_samples(track: Track, boxes: Boxes, stbl: Box, scale: int | None) -> Track:
    for box in boxes.inside(stbl):
        if box.name == b"stsd":
            track = _with_format(track, boxes.payload(box, 44))
        elif box.name == b"stts":
            if box.size <= MAX_TIMES + 8:
                track = track._replace(frame_rate=_frame_rate(boxes.payload(box), scale))
        elif box.name in (b"stsz", b"stz2") and track.frame_rate is None and track.duration_s:
            # More time-to-sample entries than are read: all samples in all of the time.
            count = number(boxes.payload(box, 12), 8, 4) or 0
            track = track._replace(frame_rate=_sane_rate(count / track.duration_s))
    return track


def _with_format(track: Track, data: bytes) -> Track:
    """The first sample description: `stsd`, and the start of a VisualSampleEntry (ISO/IEC 14496-12 8.5.2, 12.1.3)."""
    name = data[12:16].decode("latin-1").strip(" \0")
    return track._replace(
        codec=name if name.isprintable() and name else None,
        width=track.width or number(data, 40, 2) or None,
        height=track.height or number(data, 42, 2) or None,
    )


def _frame_rate(data: bytes, scale: int | None) -> float | None:
    """Samples per second by `stts` (ISO/IEC 14496-12 section 8.6.1.2): pairs of a count and the duration of each.

    The pairs are counted by the box that holds them, whatever it declares.
    """
    pairs = array("I", data[8 : len(data) & ~7])
    if byteorder == "little":
        pairs.byteswap()
    counts, lengths = pairs[::2], pairs[1::2]
    total = sum(map(mul, counts, lengths))
    return _sane_rate(sum(counts) * scale / total) if total and scale else None


def _sane_rate(rate: float) -> float | None:
    return rate if 0 < rate < 1e6 else None


# What user data and metadata say


def _merged(all_tags: Iterable[Tags]) -> Tags:
    """Each value from the first that has it."""
    merged, *others = [tags for tags in all_tags if tags is not _NOTHING] or [_NOTHING]
    for tags in others:
        missing = {name: value for name, value in tags._asdict().items() if getattr(merged, name) is None}
        merged = merged._replace(**missing)
    return merged


def _user_data(boxes: Boxes, udta: Box) -> Tags:
    """`udta`: QuickTime user data, 3GPP location (3GPP TS 26.244 section 8), and metadata inside of it."""
    exact: list[Tags] = []
    coarse: list[Tags] = []  # 3GPP's numbers end at 1/65536 degree
    for box in boxes.inside(udta):
        if len(exact) + len(coarse) >= MAX_TAGS:
            break
        if box.name == b"meta":
            exact.append(_metadata(boxes, box))
        elif box.name == b"loci":
            coarse.append(Tags(place=_loci(boxes.payload(box, MAX_TEXT))))
        elif box.name in _USER_DATA:
            exact.append(_tag(_USER_DATA[box.name], _international(boxes.payload(box, MAX_TEXT))))
    return _merged([*exact, *coarse])


_USER_DATA = {b"\xa9xyz": "place", b"\xa9mak": "make", b"\xa9mod": "model", b"\xa9swr": "software"}
_KEYS = {
    b"com.apple.quicktime.location.ISO6709": "place",
    b"com.apple.quicktime.creationdate": "created",
    b"com.apple.quicktime.make": "make",
    b"com.apple.quicktime.model": "model",
    b"com.apple.quicktime.software": "software",
    b"com.apple.quicktime.content.identifier": "content_identifier",
    b"com.android.manufacturer": "make",
    b"com.android.model": "model",
}


def _tag(field: str, text: str | None) -> Tags:
    if not text:
        return _NOTHING
    if field == "place":
        return Tags(place=parse_iso6709(text))
    if field == "created":
        return Tags(created=parse_creation_date(text))
    known: dict[str, Any] = {field: text}
    return Tags(**known)


def _international(data: bytes) -> str | None:
    """QuickTime international text (QuickTime File Format, "User data text strings"): length, language, text."""
    length, language = number(data, 0, 2), number(data, 2, 2)
    if length is None or language is None:
        return None
    if length > len(data) - 4 or data[4:8] == b"data":
        # The text with nothing before it, or wrapped as in an item list; both occur.
        return _value(data) if data[4:8] == b"data" else _text(data)
    # Language codes below 0x400 are Macintosh ones, with Macintosh encodings; others are packed ISO 639, with Unicode.
    return _text(data[4 : 4 + length], fallback="mac_roman" if language < 0x400 else "latin-1")


def _text(data: bytes, fallback: str = "latin-1") -> str | None:
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode(fallback, "replace")
    text = text.partition("\0")[0].strip()
    return text or None


def _metadata(boxes: Boxes, meta: Box) -> Tags:
    """`meta` with `keys` and `ilst` (QuickTime File Format, "Metadata"), or with an iTunes item list alone."""
    # ISO/IEC 14496-12 makes it a full box, four bytes longer than QuickTime does; `hdlr` comes first in both.
    skip = 0 if boxes.read(meta.start + 4, 4) == b"hdlr" else 4
    names: dict[int, str] = {}
    found: list[Tags] = []
    for box in boxes.inside(meta, skip):
        if box.name == b"keys":
            names = _key_names(boxes.payload(box, MAX_KEYS))
        elif box.name == b"ilst":
            for item in boxes.inside(box):
                field = names.get(int.from_bytes(item.name, "big")) or _USER_DATA.get(item.name)
                if field and len(found) < MAX_TAGS:
                    found.append(_tag(field, _value(boxes.payload(item, MAX_TEXT))))
    return _merged(found)


def _key_names(data: bytes) -> dict[int, str]:
    """The keys that mean something here, by their number, which starts at 1."""
    names: dict[int, str] = {}
    at, index = 8, 0
    while (size := number(data, at, 4)) is not None and size >= 8:
        index += 1
        field = _KEYS.get(data[at + 8 : at + size])
        if field:
            names[index] = field
        at += size
    return names


def _value(item: bytes) -> str | None:
    """The text of an item: a `data` box with its type, its locale and the value."""
    size = number(item, 0, 4)
    if size is None or item[4:8] != b"data":
        return None
    kind, data = number(item, 8, 4), item[16:size]
    if kind == 2:
        text = data.decode("utf-16" if data[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-16-be", "replace")
        return text.strip("\0 ") or None
    return _text(data) if kind in (0, 1) else None


def _loci(data: bytes) -> Place | None:
    """`loci`, 3GPP TS 26.244 section 8.10: language, name, role, then longitude, latitude, altitude as 16.16 numbers."""
    if data[6:8] in (b"\xfe\xff", b"\xff\xfe"):
        at = 8
        while at + 2 <= len(data) and data[at : at + 2] != b"\0\0":
            at += 2
        at += 2
    else:
        at = data.find(b"\0", 6) + 1
    values = data[at + 1 : at + 13]
    if at < 7 or len(values) < 12:
        return None
    longitude, latitude, altitude = (int.from_bytes(values[i : i + 4], "big", signed=True) / 65536 for i in (0, 4, 8))
    return _place(latitude, longitude, altitude)


def _place(latitude: float, longitude: float, altitude: float | None) -> Place | None:
    """A position; None where there is no such place. 0, 0 is what cameras without a position write."""
    if abs(latitude) > 90 or abs(longitude) > 180 or (latitude == 0 and longitude == 0):
        return None
    return Place(latitude, longitude, altitude)


_ISO6709 = re.compile(r"([+-])(\d{1,6})(\.\d*)?([+-])(\d{1,7})(\.\d*)?([+-]\d{1,9}(?:\.\d*)?)?", re.ASCII)


def parse_iso6709(text: str) -> Place | None:
    """A position as ISO 6709 annex H writes it; None if it is none. What follows the altitude is not looked at.

    >>> parse_iso6709("+40.6894-074.0447+010.5/")
    Place(latitude=40.6894, longitude=-74.0447, altitude_m=10.5)
    >>> parse_iso6709("+3530-11545.5CRSWGS_84/")
    Place(latitude=35.5, longitude=-115.75833333333334, altitude_m=None)
    """
    found = _ISO6709.match(text.strip())
    if not found:
        return None
    north, latitude, north_part, east, longitude, east_part, altitude = found.groups()
    # The digits say the unit: degrees, degrees and minutes, or degrees, minutes and seconds.
    level = max(0, (len(latitude) - 1) // 2)
    if level != max(0, (len(longitude) - 2) // 2):
        return None
    degrees_north = _sexagesimal(north, latitude, north_part or "", level)
    degrees_east = _sexagesimal(east, longitude, east_part or "", level)
    if degrees_north is None or degrees_east is None:
        return None
    return _place(degrees_north, degrees_east, float(altitude) if altitude else None)


def _sexagesimal(sign: str, whole: str, part: str, level: int) -> float | None:
    """Degrees of a number whose last `level` pairs of digits are minutes and seconds."""
    cut = len(whole) - 2 * level
    pieces = [whole[:cut], *(whole[cut + 2 * i : cut + 2 * i + 2] for i in range(level))]
    pieces[-1] += part
    values = [float(piece) for piece in pieces]
    if any(value >= 60 for value in values[1:]):
        return None
    degrees = sum(value / 60**i for i, value in enumerate(values))
    return -degrees if sign == "-" else degrees


_CREATION_DATE = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)(?:T|/? )(\d\d):(\d\d)(?::(\d\d))?(?:[.,]\d+)? ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def parse_creation_date(text: str) -> tuple[datetime, int | None] | None:
    """A date as Apple and MediaInfo write it: wall clock, and its offset from UTC in minutes where there is one.

    >>> parse_creation_date("2019-05-01T12:00:00+0200")
    (datetime.datetime(2019, 5, 1, 12, 0), 120)
    """
    found = _CREATION_DATE.search(text)
    if not found:
        return None
    try:
        local = datetime(*(int(part or 0) for part in found.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return None
    if not FIRST_YEAR <= local.year <= LAST_YEAR:
        return None
    zone = found[7]
    if zone is None:
        return local, None
    return local, parse_offset("Z" if zone in ("Z", "UTC") else zone if len(zone) > 3 else zone + "00")


# Everything else, by MediaInfo


class _File(io.RawIOBase):
    """A Source as a file that ends when its budget of bytes does."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.position = 0
        self.left = MEDIAINFO_BYTES

    def seek(self, offset: int, whence: int = 0) -> int:
        self.position = max(0, (0, self.position, self.source.size)[whence] + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, min(self.source.size - self.position, self.left))
        data = self.source.read_at(self.position, left if size is None or size < 0 else min(size, left))
        self.position += len(data)
        self.left -= len(data)
        return data


def _by_mediainfo(source: Source) -> Clip:
    # Loads a library of 8 MB: not before there is a file for it.
    from pymediainfo import MediaInfo

    # As JSON and not as objects: they come by way of XML, which no control character of a damaged file survives.
    answer = MediaInfo.parse(_File(source), parse_speed=0, output="JSON", encoding_errors="replace")
    try:
        tracks: list[dict[str, Any]] = json.loads(answer, strict=False)["media"]["track"]
    except (ValueError, KeyError, TypeError):
        raise MediaError("not_read: no container that is known") from None
    general = _of_type(tracks, "General")
    video, audio = _of_type(tracks, "Video"), _of_type(tracks, "Audio")
    if not video and not audio:
        raise MediaError("no_tracks: neither pictures nor sound found")
    problems: tuple[Problem, ...] = ()
    if general.get("IsTruncated") == "Yes":
        problems = (Problem("video", "truncated", "the file ends early"),)
    created_at, local, offset = _dates([general, video])
    return Clip(
        width=_int(video.get("Width")),
        height=_int(video.get("Height")),
        rotation=_turn(video.get("Rotation")),
        duration_s=_float(general.get("Duration")) or _float(video.get("Duration")) or _float(audio.get("Duration")),
        frame_rate=_rate(video),
        video_codec=video.get("Format") or video.get("CodecID"),
        created_at=created_at,
        created_local=local,
        utc_offset_min=offset,
        has_video=bool(video),
        problems=problems,
    )


def _of_type(tracks: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next((track for track in tracks if track.get("@type") == kind), {})


def _float(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) and value > 0 else None


def _int(text: Any) -> int | None:
    value = _float(text)
    return None if value is None else int(value)


def _rate(video: dict[str, Any]) -> float | None:
    above, below = _float(video.get("FrameRate_Num")), _float(video.get("FrameRate_Den"))
    if above and below:
        return _sane_rate(above / below)  # 30000/1001, which the other spelling rounds
    return _sane_rate(_float(video.get("FrameRate")) or 0)


def _turn(text: Any) -> int | None:
    value = _float(text)
    return None if text is None else round((value or 0) / 90) * 90 % 360


def _dates(tracks: list[dict[str, Any]]) -> tuple[datetime | None, datetime | None, int | None]:
    """UTC, and wall clock with its offset where one is written."""
    for track in tracks:
        for name in ("Encoded_Date", "Tagged_Date", "Recorded_Date", "Mastered_Date"):
            text = str(track.get(name, ""))
            found = parse_creation_date(text)
            if found is None:
                continue
            local, offset = found
            if "UTC" in text or text.endswith("Z"):
                return local.replace(tzinfo=UTC), None, None
            if offset is None:
                return None, local, None
            return (local - timedelta(minutes=offset)).replace(tzinfo=UTC), local, offset
    return None, None, None
