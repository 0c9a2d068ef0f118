"""Dates and times that cameras and apps write into the names of their files.

A name says less than a sidecar or EXIF: it may be the time of a screenshot, of a message or of an export. It is read only
where there is one way to read it: a year of four digits comes first, so "30-07-2019", which may be American, is no date.

Some programs write UTC, most the wall clock of the device. Sources of the facts, beside those at the patterns themselves:
GooglePhotosTakeoutHelper lib/date_extractors/guess_extractor.dart, immich-go internal/filenames, photoprism
pkg/txt/datetime_filepath_test.go, ente photos-web PR #491. Pure; names may hold lone surrogates, nothing here raises on them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment that a name states; fractions of a second are dropped. One of `local` and `at` is set, the other None."""

    local: datetime | None  #: naive wall clock of whatever device wrote the name; midnight if only the day is known
    at: datetime | None  #: aware, UTC
    precision: str  #: "second", "minute" or "day"
    pattern: str  #: the name of the pattern that matched


@dataclass(frozen=True, slots=True)
class Pattern:
    """A way to write a moment: `word` must be in the name, "" being in all; `read` gives None for what no calendar has."""

    name: str
    precision: str
    word: str
    shape: re.Pattern[str]
    read: Callable[[re.Match[str]], datetime | None]
    utc: bool = False


def stamp_in(name: str) -> Stamp | None:
    """The moment that a file name states, by the surest of PATTERNS that finds one.

    >>> stamp_in("IMG_20190730_140000(1).jpg")
    Stamp(local=datetime.datetime(2019, 7, 30, 14, 0), at=None, precision='second', pattern='camera')
    >>> stamp_in("PXL_20201231_235959123.jpg").at
    datetime.datetime(2020, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    >>> stamp_in("IMG_1234.jpg")
    """
    candidate = _CANDIDATE.search(name)
    if candidate is None or name.startswith(_NUMBERED):
        return None
    start = candidate.start()
    for pattern in PATTERNS:
        if pattern.word in name:
            found = pattern.shape.search(name, start)
            while found:
                moment = pattern.read(found)
                if moment is not None:
                    local, at = (None, moment.replace(tzinfo=UTC)) if pattern.utc else (moment, None)
                    return Stamp(local, at, pattern.precision, pattern.name)
                found = pattern.shape.search(name, found.end())
    return None


def _second(found: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute, second = found.group("Y", "M", "D", "h", "m", "s")
    return _moment(f"{year}{month}{day}T{hour:0>2}{minute}{second}")


def _minute(found: re.Match[str]) -> datetime | None:
    year, month, day, hour, minute = found.group("Y", "M", "D", "h", "m")
    return _moment(f"{year}{month}{day}T{hour}{minute}")


def _day(found: re.Match[str]) -> datetime | None:
    year, month, day = found.group("Y", "M", "D")
    return _moment(year + month + day)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # 31 June: the shapes let through what depends on the month
        return None


def _twelve_hour(found: re.Match[str]) -> datetime | None:
    moment = _second(found)
    half = found["before"] or found["after"]
    if moment is None or half is None:
        return moment
    if half.lower().startswith(_AFTERNOON):
        # Japanese counts 0 to 11; a Mac set to 24 hours may still append a mark, which then says nothing.
        return moment if moment.hour >= 12 else moment + timedelta(hours=12)
    if moment.hour > 12:
        return None
    return moment.replace(hour=0) if moment.hour == 12 else moment


def _unix_ms(found: re.Match[str]) -> datetime | None:
    moment = datetime.fromtimestamp(int(found["ms"]) // 1000, UTC)
    return moment if moment.year <= 2099 else None


# Every repetition is bounded, so that a name takes time in proportion to its length.
# The second and third test keep the year that ends "30.07.2019_12_05" from starting a date.
_Y = (
    r"(?<![0-9])(?P<Y>199[0-9]|20[0-9][0-9])"
    r"(?<![0-9][-._ ][0-9][0-9][-._ ][0-9]{4})(?<![0-9][-._ ][0-9][-._ ][0-9]{4})"
)
_M, _D = r"(?P<M>0[1-9]|1[0-2])", r"(?P<D>0[1-9]|[12][0-9]|3[01])"
_RUN = _Y + _M + _D  # 20190730
_PARTED = rf"{_Y}(?P<a>[-_.]){_M}(?P=a){_D}"  # 2019-07-30
_EITHER = rf"{_Y}(?P<a>[-_.]?){_M}(?P=a){_D}"
_H, _MIN, _S = r"(?P<h>[01][0-9]|2[0-3])", r"(?P<m>[0-5][0-9])", r"(?P<s>[0-5][0-9])"
_TIME = _H + _MIN + _S
_HOUR = r"(?P<h>[01]?[0-9]|2[0-3])"  # without a leading zero in some languages, whether of 12 or of 24 hours
_END = r"(?![0-9])"

#: Halves of the day as Macs write them (CLDR day periods of en, es, de, el, zh, ja, ko).
_HALF = r"[AaPp]\.?\s?[Mm]|vorm|nachm|[πμ]\.?\s?μ|上午|下午|午前|午後|오전|오후"
_AFTERNOON = ("p", "nachm", "μ", "下午", "午後", "오후")
_AFTER = rf"(?:[\s_]?(?P<after>{_HALF})(?![A-Za-z]))?"

_CAMERA = re.compile(rf"{_RUN}[-_ T]?{_H}(?P<b>[-_.]?){_MIN}(?P=b){_S}(?:[0-9]{{3}})?{_END}")
_CLOCK = re.compile(rf"{_PARTED}[-_ T.]{{1,2}}(?P<before>{_HALF})?{_HOUR}(?P<b>[-_.: ]){_MIN}(?P=b){_S}{_END}{_AFTER}")
_CLOCK_RUN = re.compile(rf"{_PARTED}[-_ T]{_TIME}{_END}")
# "at", "um", "à", "alle ore"; no dash and no "&", as in the days "2019-07-30 & 01.08.19".
_SPOKEN = re.compile(
    rf"{_PARTED}[^0-9()&+,–—-]{{1,16}}?(?P<before>{_HALF})?\s?{_HOUR}(?P<b>[_.: ]){_MIN}(?P=b){_S}{_END}{_AFTER}"
)

#: Surest first; a new pattern is a line here and a line in the test.
PATTERNS: tuple[Pattern, ...] = (
    # Most names are like these, so they come first; no other pattern would read them differently.
    Pattern("camera", "second", "IMG_2", _CAMERA, _second),
    Pattern("camera", "second", "VID_2", _CAMERA, _second),
    # PXL_20230526_200122948.jpg was taken at 22:01:22+02:00, while an older Pixel's IMG_ is local (immich-go #397, pixel.go).
    Pattern("pixel", "second", "PXL_", re.compile(rf"(?<=PXL_){_RUN}_{_TIME}[0-9]{{0,3}}{_END}"), _second, utc=True),
    # 20230721_101826611_iOS.heic: OneDrive's camera upload from an iPhone. UTC by one project's notes, which compare such
    # names with a log ("lokal = UTC+2"); no word from Microsoft was found.
    Pattern("onedrive", "second", "_iOS", re.compile(rf"{_RUN}_{_TIME}[0-9]{{3}}(?=_iOS)"), _second, utc=True),
    # 20190730T140000Z, 2019-07-30T14_00_00.123Z: ISO 8601 as far as file names allow it.
    Pattern(
        "iso",
        "second",
        "Z",
        re.compile(rf"{_EITHER}T{_H}(?P<b>[-_.:]?){_MIN}(?P=b){_S}(?:[-_.,]?[0-9]{{1,9}})?Z(?![0-9A-Za-z])"),
        _second,
        utc=True,
    ),
    # IMG-20190730-WA0001.jpg: the day of sending or of receipt, and a number in it (forensicfocus.com, "WhatsApp media file
    # naming convention"), which may be long after the photo was taken; likewise "WhatsApp Image 2019-07-30 at 14.00.00".
    Pattern("whatsapp", "day", "-WA", re.compile(rf"{_RUN}(?=-WA[0-9]{{4}})"), _day),
    Pattern("whatsapp", "second", "WhatsApp", _SPOKEN, _twelve_hour),
    # Chats, too, write when a message was sent or saved (Signal: ente #6587), not when the photo was taken.
    Pattern("signal", "second", "signal-", _CLOCK_RUN, _second),  # signal-2020-10-26-163832.jpg
    Pattern("signal", "second", "signal-", _CLOCK, _twelve_hour),  # signal-2022-12-17-15-16-04-718-2.jpg
    Pattern("telegram", "second", "photo_", _CLOCK, _twelve_hour),  # photo_2021-01-27_14-55-22.jpg
    Pattern("telegram", "second", "video_", _CLOCK, _twelve_hour),
    Pattern("viber", "second", "viber", _CLOCK, _twelve_hour),  # viber_image_2019-07-30_14-00-00-123.jpg
    Pattern("kakaotalk", "second", "KakaoTalk_", _CAMERA, _second),  # KakaoTalk_20190730_140000123.jpg
    Pattern("kakaotalk", "second", "KakaoTalk_", _CLOCK, _twelve_hour),  # KakaoTalk_Photo_2021-01-03-3-00-20_pm.jpeg
    # Screenshot_20190730-140000_App.png, Screenrecorder-2019-07-30-14-00-00-123.mp4, "Screenshot 2024-09-30 162059.png"
    # (Windows 11); without the first letter, which some write small.
    Pattern("screenshot", "second", "creen", _CAMERA, _second),
    Pattern("screenshot", "second", "creen", _CLOCK, _twelve_hour),
    Pattern("screenshot", "second", "creen", _CLOCK_RUN, _second),
    # vlcsnap-2023-06-05-18h05m49s015.png: when VLC took a still from a video.
    Pattern("screenshot", "second", "vlcsnap-", re.compile(rf"{_PARTED}-{_H}h{_MIN}m{_S}s"), _second),
    # IMG_20190730_140000.jpg and all that resembles it: VID_, MVIMG_, PANO_, P_ (Asus), 20190730_140000 (Samsung), IMG2019…
    # (Oppo), DJI_20190730140000_0001_D, WIN_20190730_14_00_00_Pro, 00000IMG_00000_BURST20190730140000123_COVER; local time.
    Pattern("camera", "second", "", _CAMERA, _second),
    # "2019-07-30 14.00.00.jpg" (Dropbox), C360_2019-07-30-14-00-00-123, 2016_01_30_11_49_15.mp4, 2019-07-30T14_00_00.
    Pattern("iso", "second", "", _CLOCK, _twelve_hour),
    Pattern("iso", "second", "", _CLOCK_RUN, _second),
    # "Bildschirmfoto 2019-07-30 um 14.00.00.png": a Mac, in any language; in English it is "Screen Shot" or "Screenshot".
    Pattern("screenshot", "second", "", _SPOKEN, _twelve_hour),
    # 2017030310512300-F1C11A22FAEE3B82F21B330E1B786A39.jpg: Nintendo Switch, time, two digits, game (s1cp/nxshot).
    Pattern("screenshot", "second", "00-", re.compile(rf"{_RUN}{_TIME}[0-9]{{2}}(?=-[0-9A-F]{{32}})"), _second),
    # Scanned_20250814-0439.jpg: a scanner app.
    Pattern("scan", "minute", "Scanned_", re.compile(rf"{_RUN}-{_H}{_MIN}{_END}"), _minute),
    # "2019-07-30 14.00.jpg", 2019-07-30T14-00.
    Pattern(
        "iso",
        "minute",
        "",
        re.compile(rf"{_EITHER}(?:[ _](?=[0-9]{{2}}[.:h])|T){_H}[-_.:h]?{_MIN}(?![0-9]|[-_.:][0-9]{{2}})"),
        _minute,
    ),
    # "2019-07-30 Berlin.jpg"; no part of a longer number such as an address, a version or a telephone's.
    Pattern("day", "day", "", re.compile(rf"(?<![0-9][-.]){_PARTED}{_END}(?![-.][0-9]{{2}})"), _day),
    # "20190730 Berlin.jpg", IMG20231202.jpg, WP_20130405_001.jpg: first in the name, or after what cameras begin names with;
    # neither in a UUID nor the first number of Facebook's 20131231_123456789012_n.
    Pattern(
        "day",
        "day",
        "",
        re.compile(
            rf"(?:\A|(?<=IMG)|(?<=VID)|(?<=PIC)|(?<=(?:IMG|VID|PIC|DSC|DJI|MOV|AUD)[-_])|(?<=[PC]_)|(?<=[ ])){_RUN}"
            r"(?![0-9A-Za-z]|_[0-9]{9}|-[0-9A-Fa-f]{4}-)"
        ),
        _day,
    ),
    # Unix time in milliseconds: when Facebook, WeChat or FaceApp saved the file, or when some cameras took it
    # (IMG_1558292380001_12345.jpg: ulich/onedrive-cameraroll-renamer).
    Pattern(
        "unix_ms",
        "second",
        "",
        re.compile(
            r"(?:(?<=FB_IMG_)|(?<=mmexport)|(?<=wx_camera_)|(?<=FaceApp_)|(?<=\AIMG_)|(?<=\AVID_))"
            r"(?P<ms>[1-4][0-9]{12})(?![0-9])"
        ),
        _unix_ms,
        utc=True,
    ),
    # A bare number has to be the whole stem, and end before 2033: from 2 on it is as likely the bar code of a product.
    Pattern(
        "unix_ms",
        "second",
        "",
        re.compile(r"\A(?P<ms>1[0-9]{12})(?=(?:-[^0-9.(]{1,24})?(?:[.(]|\Z))"),
        _unix_ms,
        utc=True,
    ),
)

#: A cheap first test: where the first year and month are, or 13 digits; nothing in PATTERNS starts earlier.
_CANDIDATE = re.compile(r"(?<![0-9])(?:(?:199[0-9]|20[0-9][0-9])[-_.]?[01][0-9]|[1-4][0-9]{12}(?![0-9]))")
#: Messenger and Snapchat number their files: received_10211234567890123.jpeg, Snapchat-20847718.jpg.
_NUMBERED = ("received_", "Snapchat-")
