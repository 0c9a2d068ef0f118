"""The JSON of Takeout: the sidecar of an item, the metadata file of an album, and telling them apart by content alone.

Google publishes no specification. Fields and their oddities as immich-go (json.go), timelinize (takeoutarchive.go) and
GooglePhotosTakeoutHelper document them; what is not as expected becomes a Problem, and the rest of the file is still used.
"""

from __future__ import annotations

import html
import json
import math
import re
import reprlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from pipeline.problems import MediaError, Problem
from pipeline.takeout.names import composed

#: Two times of one moment, one of them perhaps of an unknown zone, are at most so far apart.
ONE_MOMENT = timedelta(hours=26)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
#: A whole entity: "&" alone, or "&copy" in an address, is meant as it stands.
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});")


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody wrote below a shared photo or album; `created_at` is aware and UTC."""

    text: str
    author: str | None = None
    created_at: datetime | None = None
    liked: bool = False


class Sidecar(NamedTuple):  # and no dataclass: one is made for every file
    """What a sidecar says. Times are aware and UTC; positions and spans in degrees, altitudes in metres; None where absent.

    HTML entities in title and description are resolved; `json` has them as they were written.
    """

    title: str | None = None
    description: str | None = None
    taken_at: datetime | None = None  # photoTakenTime
    uploaded_at: datetime | None = None  # creationTime
    changed_at: datetime | None = None  # modificationTime: the last change in Google Photos
    file_modified_at: datetime | None = None  # photoLastModifiedTime: time of the file at upload
    latitude: float | None = None  # geoData
    longitude: float | None = None
    altitude_m: float | None = None
    latitude_span: float | None = None
    longitude_span: float | None = None
    exif_latitude: float | None = None
    exif_longitude: float | None = None
    exif_altitude_m: float | None = None
    people: tuple[str, ...] = ()
    favorited: bool = False
    archived: bool = False
    trashed: bool = False
    views: int | None = None
    url: str | None = None
    origin: str | None = None
    device_type: str | None = None
    device_folder: str | None = None
    composition: str | None = None  # how Google Photos made it: AUTO, MANUAL
    app_source: str | None = None
    comments: tuple[Comment, ...] = ()
    locked: bool = False
    remove_reason: str | None = None  # removeResultReason; seen by takeout-rater, meaning unknown
    json: str | None = None


@dataclass(frozen=True, slots=True)
class SidecarGist:
    """What kind of JSON file it is, and what pairing needs of an item: its title and seconds since 1970."""

    kind: str  # item, album, titled (an album, if its folder says so too), other, unreadable
    title: str | None = None
    taken: int | None = None


@dataclass(frozen=True, slots=True)
class AlbumDocument:
    """What an album's metadata file says; `created_at` is aware and UTC, the position in degrees.

    `narrative` is what the owner wrote between the pictures, `places` the names of places entered there.
    """

    title: str | None = None
    description: str | None = None
    access: str | None = None
    created_at: datetime | None = None
    location: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    narrative: str | None = None
    places: tuple[str, ...] = ()
    comments: tuple[Comment, ...] = ()
    json: str | None = None


def parse_sidecar(data: bytes) -> tuple[Sidecar, list[Problem]]:
    """Everything that an item's sidecar says, and what in it is not as it should be.

    Raises MediaError if it is no JSON object. A field of the wrong type is None, and a Problem.
    """
    value, text, problems = _load(data)
    found = _Fields(value, problems)
    latitude, longitude, altitude = found.place("geoData")
    exif_latitude, exif_longitude, exif_altitude = found.place("geoDataExif")
    latitude_span, longitude_span = found.span("geoData")
    origin = found.origin()
    app = found.block("appSource")
    sidecar = Sidecar(
        title=found.prose("title"),
        description=found.prose("description"),
        taken_at=found.time("photoTakenTime"),
        uploaded_at=found.time("creationTime"),
        changed_at=found.time("modificationTime"),
        file_modified_at=found.time("photoLastModifiedTime"),
        latitude=latitude,
        longitude=longitude,
        altitude_m=altitude,
        latitude_span=latitude_span,
        longitude_span=longitude_span,
        exif_latitude=exif_latitude,
        exif_longitude=exif_longitude,
        exif_altitude_m=exif_altitude,
        people=found.people(),
        favorited=found.flag("favorited"),
        archived=found.flag("archived"),
        trashed=found.flag("trashed"),
        views=found.count("imageViews"),
        url=found.text("url"),
        origin=origin.key,
        device_type=origin.device_type,
        device_folder=origin.device_folder,
        composition=origin.composition,
        app_source=_inner_text(app, "androidPackageName"),
        comments=found.comments(),
        locked=found.flag("locked"),
        remove_reason=found.text("removeResultReason"),
        json=text,
    )
    return sidecar, problems


def gist(data: bytes, name: str) -> SidecarGist:
    """What kind of JSON file it is, by content; `name` only tells an album's file that holds next to nothing.

    A file that holds only a title is ``titled`` when its name is that of no album's file in a language that is known:
    whether it is one, only the folders of the export together can tell (`folders.album_names`).

    Raises MediaError if it is no JSON.
    """
    value, _, _ = _load(data, only_objects=False)
    if not isinstance(value, dict):
        return SidecarGist("other")
    title = value.get("title")
    title = _clean(title) if isinstance(title, str) else None
    if "photoTakenTime" in value or ("url" in value and ("creationTime" in value or "googlePhotosOrigin" in value)):
        taken = value.get("photoTakenTime")
        return SidecarGist("item", title, _seconds(taken.get("timestamp")) if isinstance(taken, dict) else None)
    if "albumData" in value:
        return SidecarGist("album", title)
    if value.keys() & {"externalOrderId", "category"}:  # a print order (immich-go, json.go)
        return SidecarGist("other", title)
    if title is not None and value.keys() & {"access", "date", "enrichments"}:
        return SidecarGist("album", title)
    if value.keys() <= {"title", "description"} and (title is not None or not value):  # as exports since 2025 have it
        return SidecarGist("album" if is_album_name(name) else "titled", title)
    return SidecarGist("other", title)


def parse_album(data: bytes) -> tuple[AlbumDocument, list[Problem]]:
    """What an album's metadata file says, and what in it is not as it should be. Raises MediaError if it is no JSON object."""
    value, text, problems = _load(data)
    inner = value.get("albumData")  # how exports of about 2017 to 2020 wrap it
    found = _Fields(inner if isinstance(inner, dict) else value, problems)
    latitude, longitude, _ = found.place("geoData")
    narrative, places = found.enrichments()
    album = AlbumDocument(
        title=found.prose("title", keep_empty=True),
        description=found.prose("description"),
        access=found.text("access"),
        created_at=found.time("date"),
        location=found.text("location"),
        latitude=latitude,
        longitude=longitude,
        narrative=narrative,
        places=places,
        comments=found.comments(),
        json=text,
    )
    return album, problems


# metadata.json by language (immich-go docs; GooglePhotosTakeoutHelper #8), with the counter of a second one in a folder.
_ALBUM_NAME = re.compile(
    r"(metadata|métadonnées|metadati|metadaten|metadatos|metadades|metadáta|метаданные|метаданни|メタデータ)(\(\d+\))?\.json",
    re.IGNORECASE,
)


def is_album_name(name: str) -> bool:
    """The name is that of an album's metadata file in a language that is known.

    >>> is_album_name("Metadaten(1).json"), is_album_name("IMG_1.jpg.json")
    (True, False)
    """
    return _ALBUM_NAME.fullmatch(composed(name)) is not None


def _load(data: bytes, only_objects: bool = True) -> tuple[Any, str, list[Problem]]:
    """The value, its text, and what is wrong with the encoding. Raises MediaError."""
    problems: list[Problem] = []
    try:
        value = orjson.loads(data)
        text = data.decode()
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        # orjson refuses a byte order mark, UTF-16, NaN, half surrogates and long integers; json reads them.
        text = _decode(data, problems)
        if not text.strip():
            raise MediaError("empty: the file holds no JSON") from None
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MediaError(f"not_json: {str(error)[:120]}") from None
        text = _clean(text)
    if only_objects and not isinstance(value, dict):
        raise MediaError(f"not_json: a JSON {type(value).__name__}, not an object")
    return value, text, problems


def _decode(data: bytes, problems: list[Problem]) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if data[:1] == b"\0" or data[1:2] == b"\0":
        problems.append(Problem("sidecar", "encoding", "UTF-16 without a byte order mark"))
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        problems.append(Problem("sidecar", "encoding", "not UTF-8; read as Latin-1"))
        return data.decode("latin-1")


def _clean(text: str) -> str:
    r"""Text that can be stored: half surrogates, which JSON can escape but UTF-8 not hold, as escapes; so zero bytes, at which
    much of SQLite takes a text to end.

    >>> _clean("a\ud800b"), _clean("a\0b")
    ('a\\ud800b', 'a\\x00b')
    """
    if "\0" in text:
        text = text.replace("\0", r"\x00")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _name_of(person: str) -> str:
    """A person's name, spelt so that equal names are equal."""
    person = _resolved(person)
    return _clean(person if person.isascii() else composed(person)).strip()


def _resolved(text: str) -> str:
    """Text without HTML entities."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text


def _seconds(value: object) -> int | None:
    """A timestamp: a string of whole seconds, or a number that is one. `int()` alone would take "1_0" and "１"."""
    if isinstance(value, str):
        if len(value) <= 18 and value.isascii() and value.isdigit():  # nearly all of them
            return int(value)
        return int(value) if _WHOLE.fullmatch(value.strip()) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _degrees(value: object) -> float | None:
    if isinstance(value, float):
        return value if abs(value) < 1e9 else math.inf
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,4}(\.[0-9]{1,20})?", value.strip()):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e9 else math.inf
    return None


#: Says what a value is that is not as it should be; `repr` would go as deep as that is nested.
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxlist, _SHOWN.maxdict, _SHOWN.maxstring, _SHOWN.maxother = 4, 20, 20, 80, 80

#: Keys of googlePhotosOrigin that are known; another one is taken as it is.
_ORIGINS = ("mobileUpload", "webUpload", "driveSync", "fromPartnerSharing", "fromSharedAlbum", "composition")


@dataclass(frozen=True, slots=True)
class _Fields:
    """A JSON object asked for fields of certain types; what is of another type is noted."""

    value: dict[str, Any]
    problems: list[Problem]

    def wrong(self, name: str, kind: str = "wrong_type") -> None:
        shown = _clean(_SHOWN.repr(self.value.get(name)))[:80]
        self.problems.append(Problem("sidecar", kind, f"{name} is {shown}"))

    def text(self, name: str, keep_empty: bool = False) -> str | None:
        value = self.value.get(name)
        if value is None or (value == "" and not keep_empty):
            return None
        if isinstance(value, str):
            return _clean(value)
        self.wrong(name)
        return None

    def prose(self, name: str, keep_empty: bool = False) -> str | None:
        """Text for people, in which some exports are said to have HTML entities."""
        text = self.text(name, keep_empty)
        return _resolved(text) if text else text

    def flag(self, name: str) -> bool:
        value = self.value.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        self.wrong(name)
        return False

    def block(self, name: str) -> dict[str, Any]:
        value = self.value.get(name)
        if isinstance(value, dict):
            return value
        if value is not None:
            self.wrong(name)
        return {}

    def count(self, name: str) -> int | None:
        value = self.value.get(name)
        if value is None or value == "":
            return None
        number = _seconds(value)
        if number is None or not 0 <= number < 2**63:
            self.wrong(name)
            return None
        return number

    def time(self, name: str) -> datetime | None:
        """None for 0, by which Google says that there is no date (immich-go, json.go)."""
        block = self.value.get(name)
        if isinstance(block, dict):
            value: object = block.get("timestamp")
        elif isinstance(block, str | int) and _seconds(block) is not None:  # without the block around it
            value = block
        else:
            if block is not None:
                self.wrong(name)
            return None
        if value is None or value == "":
            return None
        seconds = _seconds(value)
        if seconds is None:
            self.wrong(name)
            return None
        if seconds == 0:
            return None
        try:
            return _EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            self.wrong(name, "out_of_range")
            return None

    def place(self, name: str) -> tuple[float | None, float | None, float | None]:
        """Latitude, longitude, altitude; 0/0 means no place."""
        block = self.block(name)
        if not block:
            return None, None, None
        given = block.get("latitude"), block.get("longitude")
        if given == (None, None):
            return None, None, None
        latitude, longitude = _degrees(given[0]), _degrees(given[1])
        if latitude is None or longitude is None:
            self.wrong(name)
            return None, None, None
        if latitude == 0 and longitude == 0:
            return None, None, None
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            self.wrong(name, "out_of_range")
            return None, None, None
        altitude = _degrees(block.get("altitude"))
        return latitude, longitude, altitude if altitude is not None and abs(altitude) < 1e6 else None

    def span(self, name: str) -> tuple[float | None, float | None]:
        """Height and width of the area that a place is; 0 says nothing."""
        block = self.value.get(name)
        if not isinstance(block, dict):
            return None, None
        height, width = _degrees(block.get("latitudeSpan")), _degrees(block.get("longitudeSpan"))
        return (
            height if height is not None and 0 < height <= 180 else None,
            width if width is not None and 0 < width <= 360 else None,
        )

    def people(self) -> tuple[str, ...]:
        value = self.value.get("people")
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong("people")
            return ()
        names = [person.get("name") if isinstance(person, dict) else None for person in value]
        if any(name is not None and not isinstance(name, str) for name in names) or not all(
            isinstance(person, dict) for person in value
        ):
            self.wrong("people")
        return tuple(dict.fromkeys(found for name in names if isinstance(name, str) and (found := _name_of(name))))

    def comments(self) -> tuple[Comment, ...]:
        """sharedAlbumComments: a like without words is a comment without text."""
        value = self.value.get("sharedAlbumComments")
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.wrong("sharedAlbumComments")
        found = (
            [_Fields(each, self.problems) for each in value if isinstance(each, dict)]
            if isinstance(value, list)
            else []
        )
        return tuple(
            Comment(
                each.prose("text") or "", each.text("contentOwnerName"), each.time("creationTime"), each.flag("liked")
            )
            for each in found
        )

    def enrichments(self) -> tuple[str | None, tuple[str, ...]]:
        """The narrative, one paragraph for each, and the places (immich-go, json.go; timelinize)."""
        value = self.value.get("enrichments")
        if value is None:
            return None, ()
        if not isinstance(value, list):
            self.wrong("enrichments")
            return None, ()
        narrative, places = [], []
        for each in value:
            found = _Fields(each if isinstance(each, dict) else {}, self.problems)
            if text := _Fields(found.block("narrativeEnrichment"), self.problems).prose("text"):
                narrative.append(text)
            where = found.block("locationEnrichment").get("location")
            for place in where if isinstance(where, list) else ():
                if isinstance(place, dict) and (name := _inner_text(place, "name")):
                    places.append(name)
        return "\n\n".join(narrative) or None, tuple(dict.fromkeys(places))

    def origin(self) -> _Origin:
        """The one key of googlePhotosOrigin, and what is inside it."""
        block = self.block("googlePhotosOrigin")
        if not block:
            return _Origin()
        key = next((known for known in _ORIGINS if known in block), next(iter(block)))
        inner = block[key] if isinstance(block[key], dict) else {}
        folder = inner.get("deviceFolder")
        return _Origin(
            _clean(key),
            _inner_text(inner, "deviceType"),
            _inner_text(folder, "localFolderName") if isinstance(folder, dict) else None,
            _inner_text(inner, "type") if key == "composition" else None,
        )


class _Origin(NamedTuple):
    key: str | None = None
    device_type: str | None = None
    device_folder: str | None = None
    composition: str | None = None


def _inner_text(block: dict[str, Any], name: str) -> str | None:
    value = block.get(name)
    return _clean(value) if isinstance(value, str) and value else None
