"""Make a synthetic Google Photos Takeout whose truth is known: for the demo, the tests and the benchmarks.

    python -m pipeline.synthetic OUT --files 10000 --seed 7 --profile small
    python -m pipeline.synthetic OUT --files 2000 --layout zip --parts 4 --lang de

The tree (or the archives) goes to OUT, which must be new or empty.  Beside it go

* ``OUT.truth.jsonl``: one JSON object per media file, see `truth_line`;
* ``OUT.truth.summary.json``: counts, the albums, the sidecars that belong to no media file, and the
  files that are neither media nor sidecars.

The same arguments give the same bytes (for one version of Pillow, whose encoders make the base
pictures); nothing depends on the clock, on the machine or on hash order.

How it works, in the order of this file
---------------------------------------
1. *Facts* about Takeout: locales, cameras, places, the rules for file names.
2. *Encoders*: EXIF/TIFF, JPEG, PNG, GIF, WebP, HEIC and MP4/MOV/3GP, written box by box.
   The bulk of every file is incompressible and unique, yet the file stays decodable: a base JPEG is
   encoded once with restart markers, and each file is a new selection and order of its MCU rows.
   HEIC and video files hold one real (flat grey) HEVC or H.264 frame and unreferenced noise.
3. *Planner*: decides which files exist, under which names, with which sidecars.  Every odd case is
   a `_plan_*` method named in `SCENARIOS`.
4. *Sinks*: a directory, zip parts or tgz parts.
5. *Generation*: builds each planned file, writes it, and writes down the truth.
6. `make_library` and the command line.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import gzip
import io
import json
import math
import os
import random
import re
import struct
import sys
import tarfile
import time
import unicodedata
import uuid
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from PIL import Image, ImageDraw

Buffer = bytes | memoryview
Json = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EXPORTED_AT = datetime(2024, 1, 1, tzinfo=UTC)

# --------------------------------------------------------------------------------------------------
# 1. Facts about Takeout
# --------------------------------------------------------------------------------------------------

#: Typical sizes per profile: (camera photo, video) in bytes.
PROFILES: dict[str, tuple[int, int]] = {
    "tiny": (4_000, 20_000),
    "small": (30_000, 200_000),
    "real": (3_000_000, 50_000_000),
}


@dataclass(frozen=True, slots=True)
class Locale:
    """The words that a Takeout spells in the language of the account."""

    photos: str
    year_folder: str
    album_metadata: str
    edited: str
    untitled: str
    archive: str
    trash: str
    months: str
    date_format: str

    def format_time(self, when: datetime) -> str:
        """The human-readable time of a sidecar, e.g. ``Feb 29, 2020, 1:05:09 PM UTC``."""
        return self.date_format.format(
            t=when,
            day=when.day,
            month=self.months.split()[when.month - 1],
            hour12=(when.hour + 11) % 12 + 1,
            half="AM" if when.hour < 12 else "PM",
        )


_NUMERIC_MONTHS = "01 02 03 04 05 06 07 08 09 10 11 12"
LOCALES: dict[str, Locale] = {
    "en": Locale(
        "Google Photos",
        "Photos from {}",
        "metadata.json",
        "-edited",
        "Untitled",
        "Archive",
        "Trash",
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
        "{month} {day}, {t:%Y}, {hour12}:{t:%M:%S}\u202f{half} UTC",
    ),
    "de": Locale(
        "Google Fotos",
        "Fotos von {}",
        "Metadaten.json",
        "-bearbeitet",
        "Unbenannt",
        "Archiv",
        "Papierkorb",
        _NUMERIC_MONTHS,
        "{t:%d}.{month}.{t:%Y, %H:%M:%S} UTC",
    ),
    "fr": Locale(
        "Google Photos",
        "Photos from {}",
        "métadonnées.json",
        "-modifié",
        "Sans titre",
        "Archive",
        "Corbeille",
        "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
        "{day} {month} {t:%Y, %H:%M:%S} UTC",
    ),
    "es": Locale(
        "Google Fotos",
        "Fotos del {}",
        "metadatos.json",
        "-ha editado",
        "Sin título",
        "Archivo",
        "Papelera",
        "ene feb mar abr may jun jul ago sept oct nov dic",
        "{day} {month} {t:%Y, %H:%M:%S} UTC",
    ),
    "it": Locale(
        "Google Foto",
        "Photos from {}",
        "metadati.json",
        "-modificato",
        "Senza titolo",
        "Archivio",
        "Cestino",
        "gen feb mar apr mag giu lug ago set ott nov dic",
        "{day} {month} {t:%Y, %H:%M:%S} UTC",
    ),
    "ru": Locale(
        "Google Фото",
        "Photos from {}",
        "метаданные.json",
        "-измененный",
        "Без названия",
        "Архив",
        "Корзина",
        "янв. февр. мар. апр. мая июн. июл. авг. сент. окт. нояб. дек.",
        "{day} {month} {t:%Y} г., {t:%H:%M:%S} UTC",
    ),
    "ja": Locale(
        "Google フォト",
        "Photos from {}",
        "メタデータ.json",
        "-編集済み",
        "無題",
        "アーカイブ",
        "ゴミ箱",
        _NUMERIC_MONTHS,
        "{t:%Y}/{month}/{t:%d %H:%M:%S} UTC",
    ),
}

# Takeout cuts names so that they fit 51 UTF-16 units.  For a sidecar the count is taken before
# ".json" and before a number such as "(1)", which leaves 46; for a media file it includes the
# extension.
NAME_LIMIT = 51
SIDECAR_STEM_LIMIT = NAME_LIMIT - len(".json")
SUPPLEMENT = ".supplemental-metadata"


def utf16_length(text: str) -> int:
    """Length in UTF-16 units, in which an emoji counts twice."""
    return len(text.encode("utf-16-le")) // 2


def cut_utf16(text: str, limit: int, *, round_up: bool = False) -> str:
    """The longest prefix within `limit` UTF-16 units; `round_up` keeps a half-fitting character."""
    used = 0
    for position, char in enumerate(text):
        width = 2 if ord(char) > 0xFFFF else 1
        if used + width > limit:
            return text[: position + 1] if round_up and used < limit else text[:position]
        used += width
    return text


def sanitise(title: str) -> str:
    """Replace the characters that Takeout does not allow in file names."""
    return re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", title)


def split_extension(name: str) -> tuple[str, str]:
    """Like `os.path.splitext`, but only a short alphanumeric tail counts as an extension."""
    match = re.fullmatch(r"(.+)(\.[A-Za-z0-9]{1,5})", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, "")


def media_name(title: str, number: int = 0, *, default_extension: str = "") -> str:
    """File name of the media called `title`; `number` tells namesakes in one folder apart."""
    stem, extension = split_extension(sanitise(title))
    extension = extension or default_extension
    stem = cut_utf16(stem, NAME_LIMIT - len(extension), round_up=True)
    return f"{stem}({number}){extension}" if number else stem + extension


def sidecar_name(title: str, number: int = 0, *, old_form: bool = False) -> str:
    """File name of the sidecar, which carries the number after everything else."""
    stem = cut_utf16(sanitise(title) + ("" if old_form else SUPPLEMENT), SIDECAR_STEM_LIMIT)
    return f"{stem}({number}).json" if number else f"{stem}.json"


@dataclass(frozen=True, slots=True)
class Device:
    """A camera or phone: what it writes into EXIF and how it names its files."""

    make: str
    model: str
    years: tuple[int, int]
    photo: str
    video: str
    lens: str | None = None
    software: str | None = None
    f_number: float = 2.8
    focal: float = 6.3
    focal35: int | None = None
    order: str = "<"
    aspect: float = 4 / 3
    phone: str | None = None  # the sidecar's deviceType
    gps: bool = False
    offset: bool = False
    subsec: int = 0
    maker_note: int = 0
    padding: bytes = b""  # after Make and Model, as some cameras do
    heic: bool = False


_ANDROID = "ANDROID_PHONE"
DEVICES: tuple[Device, ...] = (
    Device(
        "Google",
        "Pixel 7",
        (2022, 2023),
        "PXL_{utc:%Y%m%d_%H%M%S}{ms:03d}{mode}.jpg",
        "PXL_{utc:%Y%m%d_%H%M%S}{ms:03d}.mp4",
        "Pixel 7 back camera 6.81mm f/1.85",
        "HDR+ 1.0.540104767zd",
        1.85,
        6.81,
        25,
        phone=_ANDROID,
        gps=True,
        offset=True,
        subsec=3,
    ),
    Device(
        "Google",
        "Pixel 4a",
        (2020, 2023),
        "PXL_{utc:%Y%m%d_%H%M%S}{ms:03d}{mode}.jpg",
        "PXL_{utc:%Y%m%d_%H%M%S}{ms:03d}.mp4",
        None,
        "HDR+ 1.0.345618096zd",
        1.73,
        4.38,
        27,
        phone=_ANDROID,
        gps=True,
        offset=True,
        subsec=3,
    ),
    Device(
        "Google",
        "Pixel 2 XL",
        (2017, 2020),
        "IMG_{local:%Y%m%d_%H%M%S}.jpg",
        "VID_{local:%Y%m%d_%H%M%S}.mp4",
        None,
        "HDR+ 1.0.199571065z",
        1.8,
        4.459,
        27,
        phone=_ANDROID,
        gps=True,
        subsec=6,
    ),
    Device(
        "Apple",
        "iPhone 13 Pro",
        (2021, 2023),
        "IMG_{n:04d}.JPG",
        "IMG_{n:04d}.MOV",
        "iPhone 13 Pro back triple camera 5.7mm f/1.5",
        "16.5.1",
        1.5,
        5.7,
        26,
        ">",
        phone="IOS_PHONE",
        gps=True,
        offset=True,
        subsec=3,
        maker_note=1200,
        heic=True,
    ),
    Device(
        "Apple",
        "iPhone 8",
        (2017, 2021),
        "IMG_{n:04d}.JPG",
        "IMG_{n:04d}.MOV",
        "iPhone 8 back camera 3.99mm f/1.8",
        "13.3",
        1.8,
        3.99,
        28,
        ">",
        phone="IOS_PHONE",
        gps=True,
        subsec=3,
        maker_note=900,
        heic=True,
    ),
    Device(
        "Apple",
        "iPhone 4S",
        (2011, 2015),
        "IMG_{n:04d}.JPG",
        "IMG_{n:04d}.MOV",
        "iPhone 4S back camera 4.28mm f/2.4",
        "7.1.2",
        2.4,
        4.28,
        35,
        ">",
        phone="IOS_PHONE",
        gps=True,
        maker_note=120,
    ),
    Device(
        "samsung",
        "SM-G991B",
        (2021, 2023),
        "{local:%Y%m%d_%H%M%S}.jpg",
        "{local:%Y%m%d_%H%M%S}.mp4",
        None,
        "G991BXXU5CVDD",
        1.8,
        5.4,
        26,
        aspect=4 / 3,
        phone=_ANDROID,
        gps=True,
        offset=True,
        subsec=3,
        maker_note=98,
    ),
    Device(
        "SAMSUNG",
        "GT-I9300",
        (2012, 2015),
        "{local:%Y%m%d_%H%M%S}.jpg",
        "{local:%Y%m%d_%H%M%S}.mp4",
        None,
        "I9300XXEMG4",
        2.6,
        3.7,
        None,
        aspect=16 / 9,
        phone=_ANDROID,
        gps=True,
        maker_note=98,
    ),
    Device(
        "Xiaomi",
        "M2007J20CG",
        (2020, 2023),
        "IMG_{local:%Y%m%d_%H%M%S}.jpg",
        "VID_{local:%Y%m%d_%H%M%S}.mp4",
        None,
        "MediaTek Camera Application",
        1.89,
        5.43,
        25,
        ">",
        phone=_ANDROID,
        gps=True,
        subsec=6,
    ),
    Device(
        "HUAWEI",
        "ELE-L29",
        (2019, 2022),
        "IMG_{local:%Y%m%d_%H%M%S}.jpg",
        "VID_{local:%Y%m%d_%H%M%S}.mp4",
        None,
        "ELE-L29 10.1.0.162",
        1.8,
        5.56,
        27,
        ">",
        phone=_ANDROID,
        gps=True,
        subsec=6,
        maker_note=700,
    ),
    Device(
        "OnePlus",
        "ONEPLUS A6013",
        (2018, 2021),
        "IMG_{local:%Y%m%d_%H%M%S}.jpg",
        "VID_{local:%Y%m%d_%H%M%S}.mp4",
        None,
        None,
        1.7,
        4.25,
        25,
        ">",
        phone=_ANDROID,
        gps=True,
        subsec=6,
    ),
    Device(
        "LG Electronics",
        "LG-H870",
        (2017, 2019),
        "{local:%Y%m%d_%H%M%S}.jpg",
        "{local:%Y%m%d_%H%M%S}.mp4",
        None,
        None,
        1.8,
        4.03,
        29,
        phone=_ANDROID,
        gps=True,
    ),
    Device(
        "motorola",
        "moto g(7) plus",
        (2019, 2021),
        "IMG_{local:%Y%m%d_%H%M%S}{ms:03d}_HDR.jpg",
        "VID_{local:%Y%m%d_%H%M%S}{ms:03d}.mp4",
        None,
        None,
        1.7,
        3.95,
        None,
        ">",
        phone=_ANDROID,
        gps=True,
    ),
    Device(
        "Nokia",
        "N95 8GB",
        (2007, 2010),
        "{local:%d%m%Y}{n:03d}.jpg",
        "{local:%d%m%Y}{n:03d}.mp4",
        None,
        "V 31.0.018",
        2.8,
        5.6,
        None,
        ">",
    ),
    Device(
        "Canon",
        "Canon EOS 80D",
        (2016, 2023),
        "IMG_{n:04d}.JPG",
        "MVI_{n:04d}.MP4",
        "EF-S18-135mm f/3.5-5.6 IS USM",
        "Firmware Version 1.0.2",
        5.6,
        35.0,
        None,
        aspect=3 / 2,
        subsec=2,
        maker_note=8000,
    ),
    Device(
        "Canon",
        "Canon PowerShot A70",
        (2003, 2008),
        "IMG_{n:04d}.JPG",
        "MVI_{n:04d}.MOV",
        None,
        None,
        2.8,
        5.4,
        None,
        maker_note=900,
        padding=b"\0\0\0",
    ),
    Device(
        "NIKON CORPORATION",
        "NIKON D750",
        (2014, 2022),
        "DSC_{n:04d}.JPG",
        "DSC_{n:04d}.MOV",
        "24.0-120.0 mm f/4.0",
        "Ver.1.10",
        4.0,
        50.0,
        50,
        ">",
        3 / 2,
        subsec=2,
        maker_note=16000,
    ),
    Device(
        "NIKON",
        "E5700",
        (2003, 2007),
        "DSCN{n:04d}.JPG",
        "DSCN{n:04d}.MOV",
        None,
        "E5700v1.1",
        2.8,
        8.9,
        35,
        ">",
        maker_note=600,
        padding=b"    ",
    ),
    Device(
        "SONY",
        "ILCE-7M3",
        (2018, 2023),
        "DSC{n:05d}.JPG",
        "C{n:04d}.MP4",
        "FE 24-105mm F4 G OSS",
        "ILCE-7M3 v4.01",
        4.0,
        70.0,
        70,
        aspect=3 / 2,
        offset=True,
        subsec=3,
        maker_note=24000,
    ),
    Device(
        "FUJIFILM",
        "X-T3",
        (2019, 2023),
        "DSCF{n:04d}.JPG",
        "DSCF{n:04d}.MOV",
        "XF35mmF1.4 R",
        "Digital Camera X-T3 Ver4.02",
        1.4,
        35.0,
        53,
        aspect=3 / 2,
        offset=True,
        subsec=2,
        maker_note=3000,
    ),
    Device(
        "OLYMPUS CORPORATION",
        "E-M10MarkII",
        (2015, 2021),
        "P{local:%m%d}{n:04d}.JPG",
        "P{local:%m%d}{n:04d}.MOV",
        "OLYMPUS M.14-42mm F3.5-5.6 EZ",
        "Version 1.2",
        3.5,
        14.0,
        28,
        maker_note=6000,
        padding=b" " * 11,
    ),
    Device(
        "Panasonic",
        "DMC-TZ70",
        (2015, 2020),
        "P10{n:05d}.JPG",
        "P10{n:05d}.MP4",
        None,
        "Ver.1.0",
        3.3,
        4.3,
        24,
        subsec=3,
        maker_note=9000,
    ),
    Device(
        "CASIO COMPUTER CO.,LTD.",
        "EX-Z750",
        (2005, 2010),
        "CIMG{n:04d}.JPG",
        "CIMG{n:04d}.MOV",
        None,
        "1.01",
        2.8,
        7.9,
        38,
        ">",
        maker_note=1500,
        padding=b" ",
    ),
    Device(
        "EASTMAN KODAK COMPANY",
        "KODAK EASYSHARE C713",
        (2007, 2011),
        "100_{n:04d}.JPG",
        "100_{n:04d}.MOV",
        None,
        None,
        2.7,
        6.0,
        36,
        ">",
        maker_note=700,
    ),
    Device(
        "GoPro",
        "HERO7 Black",
        (2018, 2023),
        "GOPR{n:04d}.JPG",
        "GH01{n:04d}.MP4",
        None,
        "HD7.01.01.90.00",
        2.8,
        2.92,
        15,
        ">",
        gps=True,
        subsec=4,
    ),
    Device(
        "DJI",
        "FC3170",
        (2020, 2023),
        "DJI_{n:04d}.JPG",
        "DJI_{n:04d}.MP4",
        None,
        "10.00.12.07",
        2.8,
        4.49,
        24,
        gps=True,
        maker_note=300,
    ),
)

#: name, latitude, longitude, altitude in metres, offset from UTC in minutes
PLACES: tuple[tuple[str, float, float, float, int], ...] = (
    ("Berlin", 52.5163, 13.3777, 34, 60),
    ("Paris", 48.8584, 2.2945, 35, 60),
    ("Greenwich", 51.4779, 0.0005, 45, 0),
    ("Lisboa", 38.6916, -9.2160, 12, 0),
    ("Reykjavík", 64.1466, -21.9426, 20, 0),
    ("New York", 40.6892, -74.0445, 7, -300),
    ("St. John's", 47.5615, -52.7126, 60, -210),
    ("San Francisco", 37.8199, -122.4783, 67, -480),
    ("Honolulu", 21.3069, -157.8583, 6, -600),
    ("Quito", -0.0022, -78.4558, 2483, -300),
    ("Rio de Janeiro", -22.9519, -43.2105, 709, -180),
    ("Ushuaia", -54.8019, -68.3030, 23, -180),
    ("Cape Town", -33.9628, 18.4098, 1085, 120),
    ("Nairobi", -1.2921, 36.8219, 1795, 180),
    ("Dead Sea", 31.5590, 35.4732, -430, 120),
    ("Москва", 55.7539, 37.6208, 151, 180),
    ("Mumbai", 18.9220, 72.8347, 14, 330),
    ("काठमाडौं", 27.7172, 85.3240, 1400, 345),
    ("東京", 35.6586, 139.7454, 40, 540),
    ("Uluru", -25.3444, 131.0369, 863, 570),
    ("Sydney", -33.8568, 151.2153, 5, 600),
    ("Auckland", -36.8485, 174.7633, 12, 720),
    ("Chatham Islands", -43.9535, -176.5597, 3, 765),
    ("Longyearbyen", 78.2232, 15.6267, 12, 60),
)

PEOPLE = (
    "Anna",
    "Tom Müller",
    "Бабушка",
    "José García",
    "山田 花子",
    "Zoë",
    "O'Brien",
    "Grandma ❤️",
    "محمد",
    "Łukasz",
    "Bob",
    "Ms. <Q> & Co",
)
DESCRIPTIONS = (
    "",
    "",
    "",
    "",
    "Sunset",
    "Geburtstag von Oma 🎂",
    'He said "cheese"',
    "line one\nline two",
    "a < b & c > d",
    "Été à la plage",
)
ALBUM_TITLES = (
    "Wycieczka do Łodzi",
    "Summer 🏖️ 2019",
    "Wedding: Anna & Tom",
    "家族旅行",
    "",
    "Семья",
    "Photos from the 80s",
    "Party 31/12/19",
    "100% fun?",
    'Best of "2020"',
    "Kids",
    "Hiking, running and everything else that we did outdoors",
)
PHONE_FOLDERS = ("", "Camera", "WhatsApp Images", "Screenshots", "Download")

# --------------------------------------------------------------------------------------------------
# 2a. EXIF
# --------------------------------------------------------------------------------------------------

#: EXIF field -> (directory, tag, type).  The names are the keys of "exif" in the truth.
EXIF_TAGS: dict[str, tuple[str, int, str]] = {
    "ImageDescription": ("0th", 0x010E, "ascii"),
    "Make": ("0th", 0x010F, "ascii"),
    "Model": ("0th", 0x0110, "ascii"),
    "Orientation": ("0th", 0x0112, "short"),
    "Software": ("0th", 0x0131, "ascii"),
    "DateTime": ("0th", 0x0132, "ascii"),
    "ExposureTime": ("exif", 0x829A, "rational"),
    "FNumber": ("exif", 0x829D, "rational"),
    "ISO": ("exif", 0x8827, "short"),
    "DateTimeOriginal": ("exif", 0x9003, "ascii"),
    "DateTimeDigitized": ("exif", 0x9004, "ascii"),
    "OffsetTime": ("exif", 0x9010, "ascii"),
    "OffsetTimeOriginal": ("exif", 0x9011, "ascii"),
    "Flash": ("exif", 0x9209, "short"),
    "FocalLength": ("exif", 0x920A, "rational"),
    "SubSecTimeOriginal": ("exif", 0x9291, "ascii"),
    "WhiteBalance": ("exif", 0xA403, "short"),
    "FocalLengthIn35mmFilm": ("exif", 0xA405, "short"),
    "LensModel": ("exif", 0xA434, "ascii"),
}
_TYPE_CODES = {"byte": 1, "ascii": 2, "short": 3, "long": 4, "rational": 5, "undefined": 7}

TiffEntry = tuple[int, int, int, bytes]  # tag, type code, count, payload


class TiffWriter:
    """Serialises EXIF fields as a TIFF structure in either byte order."""

    def __init__(self, order: str) -> None:
        self.order = order

    def entry(self, tag: int, kind: str, value: Any, padding: bytes = b"") -> TiffEntry:
        """One directory entry; `value` is text, bytes, a number or a sequence of numbers."""
        if kind == "ascii":
            payload = str(value).encode("utf-8") + padding + b"\0"
            count = len(payload)
        elif kind in ("byte", "undefined"):
            payload = bytes(value)
            count = len(payload)
        else:
            numbers = value if isinstance(value, (list, tuple)) else [value]
            count = len(numbers)
            payload = b"".join(self._number(kind, number) for number in numbers)
        return tag, _TYPE_CODES[kind], count, payload

    def _number(self, kind: str, number: Any) -> bytes:
        if kind == "rational":
            fraction = Fraction(str(number)).limit_denominator(1_000_000)
            return struct.pack(self.order + "II", fraction.numerator, fraction.denominator)
        return struct.pack(self.order + {"short": "H", "long": "I"}[kind], number)

    def directory(self, entries: Iterable[TiffEntry], offset: int, following: int = 0) -> bytes:
        """An IFD placed at `offset`, followed by the values that do not fit into it."""
        rows = sorted(entries)
        head = [struct.pack(self.order + "H", len(rows))]
        tail: list[bytes] = []
        position = offset + 2 + 12 * len(rows) + 4
        for tag, code, count, payload in rows:
            head.append(struct.pack(self.order + "HHI", tag, code, count))
            if len(payload) <= 4:
                head.append(payload.ljust(4, b"\0"))
                continue
            head.append(struct.pack(self.order + "I", position))
            tail.append(payload + b"\0" * (len(payload) % 2))
            position += len(tail[-1])
        head.append(struct.pack(self.order + "I", following))
        return b"".join(head + tail)

    def header(self) -> bytes:
        """The eight bytes in front of the first directory."""
        mark = b"II" if self.order == "<" else b"MM"
        return mark + struct.pack(self.order + "HI", 42, 8)


def _degrees(value: float) -> list[Fraction]:
    """Degrees, minutes and seconds of a non-negative angle, exact to 1e-4 seconds."""
    units = round(value * 36_000_000)
    return [Fraction(units // 36_000_000), Fraction(units // 600_000 % 60), Fraction(units % 600_000, 10_000)]


def _gps_entries(tiff: TiffWriter, fields: Json) -> list[TiffEntry]:
    """The GPS directory for the signed decimal GPS fields of the truth."""
    entries = [tiff.entry(0x0000, "byte", (2, 3, 0, 0))]
    for tag, key, letters in ((1, "GPSLatitude", "NS"), (3, "GPSLongitude", "EW")):
        entries.append(tiff.entry(tag, "ascii", letters[fields[key] < 0]))
        entries.append(tiff.entry(tag + 1, "rational", _degrees(abs(fields[key]))))
    if "GPSAltitude" in fields:
        entries.append(tiff.entry(0x0005, "byte", (int(fields["GPSAltitude"] < 0),)))
        entries.append(tiff.entry(0x0006, "rational", abs(fields["GPSAltitude"])))
    if "GPSDateStamp" in fields:
        entries.append(tiff.entry(0x001D, "ascii", fields["GPSDateStamp"]))
        entries.append(tiff.entry(0x0007, "rational", fields["GPSTimeStamp"].split(":")))
    return entries


def encode_exif(
    fields: Json, *, order: str = "<", padding: bytes = b"", maker_note: bytes = b"", thumbnail: bytes = b""
) -> bytes:
    """The TIFF structure that holds `fields` (named as in `EXIF_TAGS`, plus signed GPS*)."""
    tiff = TiffWriter(order)
    groups: dict[str, list[TiffEntry]] = {"0th": [], "exif": [], "gps": []}
    for name, value in fields.items():
        if name in EXIF_TAGS:
            directory, tag, kind = EXIF_TAGS[name]
            pad = padding if name in ("Make", "Model") else b""
            groups[directory].append(tiff.entry(tag, kind, value, pad))
    if "GPSLatitude" in fields:
        groups["gps"] = _gps_entries(tiff, fields)
    groups["exif"].append(tiff.entry(0x9000, "undefined", b"0232"))
    if maker_note:
        groups["exif"].append(tiff.entry(0x927C, "undefined", maker_note))

    pointers = [(0x8769, "exif")] + ([(0x8825, "gps")] if groups["gps"] else [])

    def first(offsets: dict[str, int], following: int) -> bytes:
        links = [tiff.entry(tag, "long", offsets.get(name, 0)) for tag, name in pointers]
        return tiff.directory(groups["0th"] + links, 8, following)

    offsets: dict[str, int] = {}
    position = 8 + len(first(offsets, 0))
    blocks: list[bytes] = []
    for _, name in pointers:
        offsets[name] = position
        blocks.append(tiff.directory(groups[name], position))
        position += len(blocks[-1])
    if thumbnail:
        size_of_ifd1 = 2 + 3 * 12 + 4
        blocks.append(
            tiff.directory(
                [
                    tiff.entry(0x0103, "short", 6),
                    tiff.entry(0x0201, "long", position + size_of_ifd1),
                    tiff.entry(0x0202, "long", len(thumbnail)),
                ],
                position,
            )
            + thumbnail
        )
    return tiff.header() + first(offsets, position if thumbnail else 0) + b"".join(blocks)


def garbage_exif(rng: random.Random) -> bytes:
    """EXIF whose offsets point nowhere, outside and back at themselves."""
    tiff = TiffWriter("<")
    directory = tiff.directory(
        [
            (0x010F, 2, 64, struct.pack("<I", 0xFFFFFF00)),  # Make, far outside
            (0x0110, 2, 0x7FFFFFFF, struct.pack("<I", 8)),  # Model, absurd length
            (0x8769, 4, 1, struct.pack("<I", 8)),  # Exif directory is this directory
            (0x8825, 4, 1, struct.pack("<I", 0xDEADBEEF)),
        ],
        8,
        following=8,
    )
    return tiff.header() + directory + rng.randbytes(200)


# --------------------------------------------------------------------------------------------------
# 2b. Noise and still pictures
# --------------------------------------------------------------------------------------------------


class Noise:
    """A pool of random bytes, handed out as slices so that bulk data costs no CPU time."""

    _CHUNK = 1 << 20

    def __init__(self, seed: int, size: int = 32 << 20) -> None:
        self._pool = memoryview(random.Random(f"noise:{seed}").randbytes(size))

    def parts(self, rng: random.Random, size: int) -> list[memoryview]:
        """`size` bytes in slices taken from random places."""
        parts: list[memoryview] = []
        while size > 0:
            length = min(size, self._CHUNK)
            start = rng.randrange(len(self._pool) - length)
            parts.append(self._pool[start : start + length])
            size -= length
        return parts

    def bytes(self, rng: random.Random, size: int) -> bytes:
        """The same, joined."""
        return b"".join(self.parts(rng, size))


def _noisy_picture(rng: random.Random, noise: Noise, width: int, height: int) -> Image.Image:
    """A coloured gradient with a few shapes and sensor noise."""
    ramp = Image.linear_gradient("L").resize((width, height))
    colours = [(rng.randrange(256), rng.randrange(256)) for _ in range(3)]
    bands = [ramp.point([low + (high - low) * level // 255 for level in range(256)]) for low, high in colours]
    picture = Image.merge("RGB", bands)
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        x, y = rng.randrange(width), rng.randrange(height)
        corners = (x, y, x + width // 6, y + height // 6)
        colour = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        rng.choice((draw.rectangle, draw.ellipse))(corners, fill=colour)
    grain = [Image.frombytes("L", (width, height), noise.bytes(rng, width * height)) for _ in range(3)]
    return Image.blend(picture, Image.merge("RGB", grain), 0.16)


class JpegBase:
    """A JPEG taken apart at its restart markers: every MCU row can be reused on its own."""

    _MAX_PIXELS = 16_000_000

    def __init__(self, rng: random.Random, noise: Noise, size: int, aspect: float) -> None:
        pixels = min(max(size * 4, 64 * 64), self._MAX_PIXELS)
        width = max(64, round(math.sqrt(pixels * aspect) / 16) * 16)
        height = max(32, round(pixels / width / 16) * 16)
        picture = _noisy_picture(rng, noise, width, height)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.choice((80, 84, 88)), subsampling=2, restart_marker_rows=1)
        self.width = width
        self._take_apart(buffer.getvalue())
        small = io.BytesIO()
        picture.resize((160, 120)).save(small, "JPEG", quality=70)
        self.thumbnail = small.getvalue()

    def _take_apart(self, data: bytes) -> None:
        tables: list[bytes] = []
        position = 2
        while True:
            marker, length = struct.unpack_from(">HH", data, position)
            segment = data[position : position + 2 + length]
            position += len(segment)
            if marker == 0xFFC0:
                self.frame = segment
            elif marker == 0xFFDA:
                self.scan_header = segment
                break
            elif marker != 0xFFE0:  # Pillow's JFIF header is written anew
                tables.append(segment)
        self.tables = b"".join(tables)
        self.rows = re.split(rb"\xff[\xd0-\xd7]", data[position:-2])
        self.row_size = sum(map(len, self.rows)) / len(self.rows) + 2

    def assemble(self, rng: random.Random, size: int, segments: Sequence[bytes]) -> tuple[list[bytes], int]:
        """A JPEG of about `size` bytes with rows in a new order; returns its parts and height."""
        overhead = len(self.tables) + sum(map(len, segments)) + 64
        count = min(max(2, round((size - overhead) / self.row_size)), 65_520 // 16)
        height = count * 16
        frame = self.frame[:5] + struct.pack(">H", height) + self.frame[7:]
        parts = [b"\xff\xd8", *segments, self.tables, frame, self.scan_header]
        for index, row in enumerate(self._pick(rng, count)):
            if index:
                parts.append(bytes((0xFF, 0xD0 + (index - 1) % 8)))
            parts.append(row)
        parts.append(b"\xff\xd9")
        return parts, height

    def _pick(self, rng: random.Random, count: int) -> list[bytes]:
        picked: list[bytes] = []
        while len(picked) < count:
            picked += rng.sample(self.rows, min(len(self.rows), count - len(picked)))
        return picked


JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\x00\x00\x48\x00\x48\x00\x00"


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    """A JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def exif_segment(tiff: bytes) -> bytes:
    """The APP1 segment that holds EXIF."""
    return jpeg_segment(0xE1, b"Exif\0\0" + tiff)


def motion_xmp_segment(video_length: int) -> bytes:
    """The APP1 segment that announces a video behind the end of the JPEG."""
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        '22-rdf-syntax-ns#"><rdf:Description xmlns:GCamera="http://ns.google.com/photos/1.0/'
        f'camera/" GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{video_length}"/></rdf:RDF>'
        "</x:xmpmeta>"
    )
    return jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode())


def _png_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))


def make_png(rng: random.Random, noise: Noise, size: int) -> tuple[list[bytes], int, int]:
    """A truecolour PNG of about `size` bytes: random pixels in stored deflate blocks."""
    width = max(4, round(math.sqrt(size / 6)))
    height = max(4, (size - 150) // (3 * width + 1))
    rows = b"".join(b"\0" + noise.bytes(rng, 3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        _png_chunk(b"IHDR", header),
        _png_chunk(b"tEXt", b"Software\0Android System UI"),
        _png_chunk(b"IDAT", zlib.compress(rows, 0)),
        _png_chunk(b"IEND", b""),
    ]
    return parts, width, height


_GIF_RUN = 120  # pixels between clear codes: the codes stay eight bits wide
_TO_SEVEN_BITS = bytes(value & 0x7F for value in range(256))


def _gif_frame(pixels: bytes, width: int, height: int) -> bytes:
    """An image block whose LZW stream is the plain pixels, with a clear code before each run."""
    codes = b"".join(b"\x80" + pixels[start : start + _GIF_RUN] for start in range(0, len(pixels), _GIF_RUN)) + b"\x81"
    blocks = (codes[start : start + 255] for start in range(0, len(codes), 255))
    head = b"\x21\xf9\x04\0\x0a\0\0\0" + struct.pack("<BHHHHBB", 0x2C, 0, 0, width, height, 0, 7)
    return head + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"


def make_gif(rng: random.Random, noise: Noise, size: int) -> tuple[list[bytes], int, int]:
    """An animated GIF of about `size` bytes: two frames of random pixels in 128 colours."""
    width = max(4, round(math.sqrt(size / 2)))
    height = max(4, round((size - 450) / 2 / width / 1.0125))
    frames = [_gif_frame(noise.bytes(rng, width * height).translate(_TO_SEVEN_BITS), width, height) for _ in range(2)]
    screen = struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + rng.randbytes(3 * 128)
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    return [b"GIF89a", screen, loop, *frames, b"\x3b"], width, height


def make_webp(
    rng: random.Random, noise: Noise, base: bytes, size: int, dimensions: tuple[int, int], tiff: bytes
) -> list[bytes]:
    """An extended WebP: the lossy picture of `base`, EXIF, and a chunk of padding."""

    def chunk(kind: bytes, payload: bytes) -> bytes:
        return kind + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)

    width, height = dimensions
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBP" + chunk(b"VP8X", bytes((8 if tiff else 0, 0, 0, 0)) + canvas) + base[12:]
    if tiff:
        body += chunk(b"EXIF", tiff)
    body += chunk(b"PADD", noise.bytes(rng, max(16, size - len(body) - 16)))
    return [b"RIFF", struct.pack("<I", len(body)), body]


# --------------------------------------------------------------------------------------------------
# 2c. ISO base media: HEIC, MP4, MOV, 3GP
# --------------------------------------------------------------------------------------------------


def _inflate(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One flat grey intra frame and the parameter sets that a decoder needs."""

    width: int
    height: int
    config: bytes  # payload of the hvcC or avcC box
    data: bytes  # length-prefixed NAL units


def _avc_frame(width: int, height: int, sps_hex: str, idr_text: str) -> CodedFrame:
    sps, pps, idr = bytes.fromhex(sps_hex), bytes.fromhex("68ee0392c8"), _inflate(idr_text)
    config = (
        bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE1))
        + struct.pack(">H", len(sps))
        + sps
        + b"\x01"
        + struct.pack(">H", len(pps))
        + pps
    )
    return CodedFrame(width, height, config, struct.pack(">I", len(idr)) + idr)


HEVC_LARGE = CodedFrame(
    4032,
    3024,
    _inflate(
        "eNpjZC5gYGCYwAACWz4w/Pn74wcDAz9zAgMjg4QDIw/j//8gBcwgFcwgtGUXk0MiUFLHiZERTWYB4w8Fpi+ReUsmzXr2"
        "QHHBgQYGBp4GkExLElADuwvjwaINSQ4A20McCw=="
    ),
    _inflate(
        "eNpjYOAO0WBczyKQULlBfl/Nx8fb8+7uLnt7ebnfnJ1FT09P14vBoM78qbR4/bb950H1tJb8N8IzL97hSkxKY2BgJgfx"
        "7Fj+4h1bwlFbMvUzCF6YzGtygFzdzAwhDu3ka2ZgZgqjRDfDywYKtMsJUKD5MAU2MxeRr5dLgny9Qh/I16uVQL7eSArS"
        "V5UD+XpfkR9HjMHkJ2ku8rW+I1sr8ypytbIsIVcn6xFydbK9IVcnRwe5OrkiyNXJ/YNcnbwe5OrkJ1unwAby6wJydZJf"
        "sogYkKtTdAK5OsXILvjFyPaneMEA6CTbtRIFozqHlc4PQ0knM+NhALxOWCI="
    ),
)
HEVC_SMALL = CodedFrame(
    640,
    480,
    _inflate(
        "eNpjZC5gYGCYwAACUR8Y/vz98YOBgZ85gYGRQcKBkYfx/3+QAmaQCmYQitrF5JAIlNRxYmREk1nAysT4MHXXJK/s2Q1t"
        "zUwgMSMQwSSQBNTA7sJ4sGhDkgMAOKgXPA=="
    ),
    _inflate(
        "eNpjYGAo12BczyLIejni6NqAP5UWr9+2/zyontaS/0Z45sU7XIlJaQwMzAx7Gpa/eMeWcNQWxGFgj5nMa3IAzGRmYD/S"
        "DmUBkVgAgs18DMG2WQBnM0J0hQAAGX8bHA=="
    ),
)
AVC_LARGE = _avc_frame(
    1920,
    1080,
    "674d4028dc0780227e5c044000000300400000030083c60ce0",
    "eNpL7Wix//C1/FybCePL1MXvDjQwMDDDkOxH+UxuhdvqClAB2QQGBmEDBgb+BQwMPBMYGPiAEvwP"
    "gGJAWhEo5uDAwJAENOANkhmjiCTk4AgARHYUyg==",
)
AVC_SMALL = _avc_frame(
    1280,
    720,
    "674d401fdc05005bb011000003000100000300020f183380",
    "eNpL7Wix//C1/FybCePL1MXvDjQwMDBDUWlL7RKd5pw5YCHGMwwsZxj4ExiMHBgeMTD/YBBWYGhrYH7DILGA4TVCD90RczoAWWcXHQ==",
)


def box(kind: bytes, *payload: Buffer) -> bytes:
    """An ISO base media box."""
    body = b"".join(payload)
    return struct.pack(">I", len(body) + 8) + kind + body


def full_box(kind: bytes, version: int, flags: int, *payload: Buffer) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def make_heic(rng: random.Random, noise: Noise, size: int, frame: CodedFrame, tiff: bytes) -> list[Buffer]:
    """A HEIC with one HEVC picture and an Exif item."""
    exif_item = struct.pack(">I", 6) + b"Exif\0\0" + tiff
    ftyp = box(b"ftyp", b"heic", struct.pack(">I", 0), b"mif1heic")

    def meta(exif_offset: int) -> bytes:
        extents = ((2, exif_offset, len(exif_item)), (1, exif_offset + len(exif_item), len(frame.data)))
        locations = b"".join(struct.pack(">HHHII", item, 0, 1, offset, length) for item, offset, length in extents)
        properties = box(
            b"ipco", box(b"hvcC", frame.config), full_box(b"ispe", 0, 0, struct.pack(">II", frame.width, frame.height))
        )
        association = full_box(b"ipma", 0, 0, struct.pack(">IHBBB", 1, 1, 2, 0x81, 0x02))
        return full_box(
            b"meta",
            0,
            0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(
                b"iinf",
                0,
                0,
                struct.pack(">H", 2),
                full_box(b"infe", 2, 0, struct.pack(">HH", 1, 0), b"hvc1\0"),
                full_box(b"infe", 2, 1, struct.pack(">HH", 2, 0), b"Exif\0"),
            ),
            full_box(b"iref", 0, 0, box(b"cdsc", struct.pack(">HHH", 2, 1, 1))),
            box(b"iprp", properties, association),
            full_box(b"iloc", 0, 0, b"\x44\x00", struct.pack(">H", 2), locations),
        )

    head = len(ftyp) + len(meta(0)) + 8
    body = [exif_item, frame.data]
    used = head + sum(map(len, body))
    filler = noise.parts(rng, max(0, size - used))
    length = sum(map(len, body)) + sum(map(len, filler))
    return [ftyp, meta(head), struct.pack(">I", length + 8) + b"mdat", *body, *filler]


@dataclass(frozen=True, slots=True)
class Clip:
    """What a video file says about itself; the truth's "video" object."""

    container: str  # mp4, mov or 3gp
    created: datetime
    duration: float  # seconds
    rotation: int  # 0, 90, 180 or 270 degrees clockwise
    latitude: float | None
    longitude: float | None
    make: str | None
    model: str | None
    local_time: str | None  # Apple's creation date with its UTC offset
    moov_at_end: bool
    wide_mdat: bool  # a 64-bit size for mdat
    version: int  # of the mvhd, tkhd and mdhd boxes

    def truth(self, frame: CodedFrame) -> Json:
        """The facts that a reader can find in the file."""
        return {
            "created_utc": iso(self.created),
            "duration_s": self.duration,
            "width": frame.width,
            "height": frame.height,
            "rotation": self.rotation,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "make": self.make,
            "model": self.model,
            "local_time": self.local_time,
            "moov_at_end": self.moov_at_end,
        }


_FTYP = {"mp4": b"mp42\0\0\0\0isommp42", "mov": b"qt  \x20\x05\x03\0qt  ", "3gp": b"3gp4\0\0\0\x003gp43gp6"}
_MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
_FRAME_RATE = 30
_TIMESCALE = 600


def _matrix(rotation: int) -> bytes:
    a, b, c, d = (value << 16 for value in _MATRICES[rotation])
    return struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


def _iso6709(latitude: float, longitude: float) -> bytes:
    return f"{latitude:+08.4f}{longitude:+09.4f}/".encode()


def _times(clip: Clip) -> tuple[str, int]:
    """struct code of the time fields, and the creation time in seconds since 1904."""
    seconds = int((clip.created - datetime(1904, 1, 1, tzinfo=UTC)).total_seconds())
    return ("Q" if clip.version else "I"), seconds


def _sample_table(clip: Clip, frame: CodedFrame, offset: int) -> bytes:
    """An stbl in which every sample is the same coded frame at `offset`."""
    count = max(1, round(clip.duration * _FRAME_RATE))
    entry = box(
        b"avc1",
        bytes(6),
        struct.pack(">H", 1),
        bytes(16),
        struct.pack(">HHIIIH", frame.width, frame.height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
        box(b"avcC", frame.config),
    )
    return box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        full_box(b"stts", 0, 0, struct.pack(">III", 1, count, _TIMESCALE // _FRAME_RATE)),
        full_box(b"stsc", 0, 0, struct.pack(">IIII", 1, 1, 1, 1)),
        full_box(b"stsz", 0, 0, struct.pack(">II", len(frame.data), count)),
        full_box(b"stco", 0, 0, struct.pack(">I", count), struct.pack(">I", offset) * count),
    )


def _track(clip: Clip, frame: CodedFrame, offset: int) -> bytes:
    code, created = _times(clip)
    ticks = round(clip.duration * _TIMESCALE)
    header = full_box(
        b"tkhd",
        clip.version,
        3,
        struct.pack(f">{code}{code}II{code}", created, created, 1, 0, ticks),
        bytes(16),
        _matrix(clip.rotation),
        struct.pack(">II", frame.width << 16, frame.height << 16),
    )
    media = box(
        b"mdia",
        full_box(
            b"mdhd",
            clip.version,
            0,
            struct.pack(f">{code}{code}I{code}HH", created, created, _TIMESCALE, ticks, 0x55C4, 0),
        ),
        full_box(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"VideoHandle\0"),
        box(
            b"minf",
            full_box(b"vmhd", 0, 1, bytes(8)),
            box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))),
            _sample_table(clip, frame, offset),
        ),
    )
    return box(b"trak", header, media)


def _user_data(clip: Clip) -> bytes:
    """The udta box with the location, as Android and QuickTime write it."""
    if clip.latitude is None or clip.longitude is None:
        return b""
    text = _iso6709(clip.latitude, clip.longitude)
    return box(b"udta", box(b"\xa9xyz", struct.pack(">HH", len(text), 0x15C7), text))


def _apple_metadata(clip: Clip) -> bytes:
    """QuickTime's keyed metadata."""
    values: dict[bytes, bytes] = {}
    if clip.local_time:
        values[b"com.apple.quicktime.creationdate"] = clip.local_time.encode()
    if clip.make and clip.model:
        values[b"com.apple.quicktime.make"] = clip.make.encode()
        values[b"com.apple.quicktime.model"] = clip.model.encode()
    if clip.latitude is not None and clip.longitude is not None:
        values[b"com.apple.quicktime.location.ISO6709"] = _iso6709(clip.latitude, clip.longitude)
    keys = b"".join(struct.pack(">I", len(key) + 8) + b"mdta" + key for key in values)
    items = b"".join(
        box(struct.pack(">I", index), box(b"data", struct.pack(">II", 1, 0), value))
        for index, value in enumerate(values.values(), start=1)
    )
    return box(
        b"meta",
        full_box(b"hdlr", 0, 0, bytes(4), b"mdta", bytes(13)),
        full_box(b"keys", 0, 0, struct.pack(">I", len(values)), keys),
        box(b"ilst", items),
    )


def _movie(clip: Clip, frame: CodedFrame, offset: int) -> bytes:
    code, created = _times(clip)
    ticks = round(clip.duration * _TIMESCALE)
    header = full_box(
        b"mvhd",
        clip.version,
        0,
        struct.pack(f">{code}{code}I{code}IH", created, created, _TIMESCALE, ticks, 0x10000, 0x100),
        bytes(10),
        _matrix(0),
        bytes(24),
        struct.pack(">I", 2),
    )
    extra = _apple_metadata(clip) if clip.local_time else b""
    return box(b"moov", header, _track(clip, frame, offset), _user_data(clip), extra)


def make_video(rng: random.Random, noise: Noise, size: int, clip: Clip, frame: CodedFrame) -> list[Buffer]:
    """A playable video file of about `size` bytes."""
    front = box(b"ftyp", _FTYP[clip.container]) + (box(b"wide") if clip.container == "mov" else b"")
    moov_size = len(_movie(clip, frame, 0))
    mdat_header_size = 16 if clip.wide_mdat else 8
    used = len(front) + moov_size + mdat_header_size + len(frame.data)
    filler = noise.parts(rng, max(0, size - used))
    payload = len(frame.data) + sum(map(len, filler))
    if clip.wide_mdat:
        mdat_header = struct.pack(">I4sQ", 1, b"mdat", payload + 16)
    else:
        mdat_header = struct.pack(">I4s", payload + 8, b"mdat")
    offset = len(front) + mdat_header_size + (0 if clip.moov_at_end else moov_size)
    movie = _movie(clip, frame, offset)
    media: list[Buffer] = [mdat_header, frame.data, *filler]
    return [front, *media, movie] if clip.moov_at_end else [front, movie, *media]


# --------------------------------------------------------------------------------------------------
# 2d. From a plan to bytes
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shot:
    """When, where and with what something was taken."""

    taken: datetime  # UTC, with milliseconds
    offset: int  # minutes east of UTC
    device: Device | None
    gps: tuple[float, float, float] | None  # latitude, longitude, altitude

    @property
    def local(self) -> datetime:
        """Wall-clock time at the place."""
        return self.taken + timedelta(minutes=self.offset)


@dataclass(slots=True)
class Content:
    """What is inside a media file.  Files that share a Content have the same bytes."""

    form: str  # jpeg, motion_jpeg, png, gif, webp, heic, mp4, mov, 3gp or junk
    seed: int
    size: int
    shot: Shot
    exif: bool = True
    clock_unset: bool = False  # the camera's date is 0000:00:00 00:00:00
    scanner: bool = False  # EXIF of a scanner: no DateTimeOriginal
    damage: str | None = None  # zero_byte, truncated_jpeg or exif_garbage


@dataclass(slots=True)
class Built:
    """The bytes of a media file and the facts that can be read from them."""

    parts: Sequence[Buffer]
    mime: str | None
    width: int | None = None
    height: int | None = None
    exif: Json | None = None
    video: Json | None = None


def iso(when: datetime) -> str:
    """ISO 8601 with seconds and offset."""
    return when.isoformat(timespec="seconds")


def format_offset(minutes: int) -> str:
    """``+05:30`` for 330."""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def total_size(parts: Sequence[Buffer]) -> int:
    """Number of bytes in `parts`."""
    return sum(map(len, parts))


class MediaFactory:
    """Builds the bytes of media files from their Content, and nothing else."""

    _JPEG_VARIANTS = 8

    def __init__(self, seed: int, image_bytes: int) -> None:
        self._seed = seed
        self._image_bytes = image_bytes
        self._noise = Noise(seed)
        self._jpegs: dict[tuple[float, int], JpegBase] = {}

    def build(self, content: Content) -> Built:
        """The file for `content`; the same content always gives the same bytes."""
        rng = random.Random(content.seed)
        if content.damage == "zero_byte":
            return Built([], None)
        builders: dict[str, Callable[[Content, random.Random], Built]] = {
            "jpeg": self._jpeg,
            "motion_jpeg": self._jpeg,
            "png": self._png,
            "gif": self._gif,
            "webp": self._webp,
            "heic": self._heic,
            "mp4": self._video,
            "mov": self._video,
            "3gp": self._video,
            "junk": self._junk,
        }
        built = builders[content.form](content, rng)
        if content.damage == "truncated_jpeg":
            data = b"".join(built.parts)
            built.parts = [data[: len(data) * rng.randint(40, 80) // 100]]
        return built

    # -- pictures ---------------------------------------------------------------------------------

    def _base(self, aspect: float, variant: int) -> JpegBase:
        key = (aspect, variant)
        if key not in self._jpegs:
            rng = random.Random(f"base:{self._seed}:{key}")
            self._jpegs[key] = JpegBase(rng, self._noise, self._image_bytes, aspect)
        return self._jpegs[key]

    def _jpeg(self, content: Content, rng: random.Random) -> Built:
        device = content.shot.device
        base = self._base(device.aspect if device else 4 / 3, rng.randrange(self._JPEG_VARIANTS))
        segments: list[bytes] = [] if device and not device.subsec else [JFIF]
        exif: Json | None = None
        if content.damage == "exif_garbage":
            segments.append(exif_segment(garbage_exif(rng)))
        elif content.exif:
            exif = camera_exif(content, rng)
            thumbnail = base.thumbnail if content.size >= 100_000 else b""
            segments.append(exif_segment(self._encode(content, rng, exif, thumbnail)))
        else:
            segments.append(jpeg_segment(0xFE, rng.randbytes(8)))  # tells small pictures apart
        trailer: list[Buffer] = []
        if content.form == "motion_jpeg":
            clip = self._clip(content, rng, "mp4")
            trailer = make_video(rng, self._noise, content.size // 2, clip, AVC_SMALL)
            segments.append(motion_xmp_segment(total_size(trailer)))
        parts, height = base.assemble(rng, content.size - total_size(trailer), segments)
        return Built([*parts, *trailer], "image/jpeg", base.width, height, exif)

    def _encode(self, content: Content, rng: random.Random, fields: Json, thumbnail: bytes) -> bytes:
        device = content.shot.device
        if device is None or content.scanner:
            return encode_exif(fields)
        note = rng.randbytes(min(device.maker_note, content.size // 20))
        return encode_exif(fields, order=device.order, padding=device.padding, maker_note=note, thumbnail=thumbnail)

    def _png(self, content: Content, rng: random.Random) -> Built:
        parts, width, height = make_png(rng, self._noise, content.size)
        return Built(parts, "image/png", width, height)

    def _gif(self, content: Content, rng: random.Random) -> Built:
        parts, width, height = make_gif(rng, self._noise, content.size)
        return Built(parts, "image/gif", width, height)

    @cached_property
    def _webp_bases(self) -> list[bytes]:
        bases: list[bytes] = []
        for variant in range(4):
            rng = random.Random(f"webp:{self._seed}:{variant}")
            buffer = io.BytesIO()
            _noisy_picture(rng, self._noise, 64, 48).save(buffer, "WEBP", quality=60)
            bases.append(buffer.getvalue())
        return bases

    def _webp(self, content: Content, rng: random.Random) -> Built:
        exif = camera_exif(content, rng) if content.exif else None
        tiff = encode_exif(exif) if exif else b""
        base = rng.choice(self._webp_bases)
        parts = make_webp(rng, self._noise, base, content.size, (64, 48), tiff)
        return Built(parts, "image/webp", 64, 48, exif)

    def _heic(self, content: Content, rng: random.Random) -> Built:
        frame = HEVC_LARGE if content.size >= 100_000 else HEVC_SMALL
        exif = camera_exif(content, rng)
        tiff = self._encode(content, rng, exif, b"")
        parts = make_heic(rng, self._noise, content.size, frame, tiff)
        return Built(parts, "image/heic", frame.width, frame.height, exif)

    # -- videos -----------------------------------------------------------------------------------

    def _clip(self, content: Content, rng: random.Random, container: str) -> Clip:
        shot = content.shot
        gps = shot.gps
        device = shot.device if container == "mov" else None
        apple = device is not None and device.make == "Apple"
        local = f"{shot.local:%Y-%m-%dT%H:%M:%S}{format_offset(shot.offset).replace(':', '')}"
        # A second of video stands for 2 MB, within reason.
        frames = round(min(max(content.size / 2_000_000, 0.5), 120.0) * _FRAME_RATE)
        return Clip(
            container=container,
            created=shot.taken.replace(microsecond=0),
            duration=frames / _FRAME_RATE,
            rotation=rng.choice((0, 0, 0, 90, 90, 180, 270)),
            latitude=round(gps[0], 4) if gps else None,
            longitude=round(gps[1], 4) if gps else None,
            make=device.make if device and apple else None,
            model=device.model if device and apple else None,
            local_time=local if apple else None,
            moov_at_end=rng.random() < (0.9 if container == "mov" else 0.5),
            wide_mdat=rng.random() < 0.05,
            version=int(rng.random() < 0.05),
        )

    def _video(self, content: Content, rng: random.Random) -> Built:
        frame = AVC_LARGE if content.size >= 100_000 else AVC_SMALL
        clip = self._clip(content, rng, content.form)
        mime = {"mp4": "video/mp4", "mov": "video/quicktime", "3gp": "video/3gpp"}[content.form]
        parts = make_video(rng, self._noise, content.size, clip, frame)
        return Built(parts, mime, frame.width, frame.height, video=clip.truth(frame))

    def _junk(self, content: Content, rng: random.Random) -> Built:
        return Built([b"\0" * 16, *self._noise.parts(rng, content.size)], None)


def camera_exif(content: Content, rng: random.Random) -> Json:
    """The EXIF fields that the device would write for this shot."""
    shot, device = content.shot, content.shot.device
    if content.scanner or device is None:
        return {
            "Make": "EPSON",
            "Model": "Perfection V600",
            "Software": "EPSON Scan",
            "DateTime": "2015:03:14 18:02:11",
            "Orientation": 1,
        }
    stamp = "0000:00:00 00:00:00" if content.clock_unset else f"{shot.local:%Y:%m:%d %H:%M:%S}"
    fields: Json = {
        "Make": device.make,
        "Model": device.model,
        "Orientation": rng.choices((1, 6, 8, 3, 2, 4, 5, 7), (60, 25, 5, 6, 1, 1, 1, 1))[0],
        "DateTime": stamp,
        "DateTimeOriginal": stamp,
        "DateTimeDigitized": stamp,
        "ExposureTime": f"1/{rng.choice((2, 8, 30, 60, 125, 250, 500, 1000, 4000))}",
        "FNumber": device.f_number,
        "ISO": rng.choice((50, 64, 100, 200, 400, 800, 1600, 3200)),
        "FocalLength": device.focal,
        "Flash": rng.choice((0, 16, 24, 25, 1)),
        "WhiteBalance": rng.choice((0, 0, 0, 1)),
    }
    optional = {"Software": device.software, "LensModel": device.lens, "FocalLengthIn35mmFilm": device.focal35}
    fields |= {name: value for name, value in optional.items() if value is not None}
    if device.offset:
        fields["OffsetTime"] = fields["OffsetTimeOriginal"] = format_offset(shot.offset)
    if device.subsec:
        fields["SubSecTimeOriginal"] = f"{shot.taken.microsecond:06d}"[: device.subsec]
    if shot.gps:
        latitude, longitude, altitude = shot.gps
        fields |= {
            "GPSLatitude": latitude,
            "GPSLongitude": longitude,
            "GPSAltitude": altitude,
            "GPSDateStamp": f"{shot.taken:%Y:%m:%d}",
            "GPSTimeStamp": f"{shot.taken:%H:%M:%S}",
        }
    if rng.random() < 0.03:
        fields["ImageDescription"] = rng.choice(("OLYMPUS DIGITAL CAMERA", "Straße in Köln", "写真"))
    return fields


# --------------------------------------------------------------------------------------------------
# 3. The plan
# --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SidecarInfo:
    """What Google knows about an item.  Copies of an item in albums share it."""

    title: str
    shot: Shot
    created: datetime
    url: str
    geo: tuple[float, float, float] | None
    geo_exif: tuple[float, float, float] | None
    people: list[str]
    description: str
    views: int
    origin: Json | None
    flags: dict[str, bool]  # favorited, archived, trashed


@dataclass(slots=True)
class Sidecar:
    """A sidecar file."""

    path: str
    info: SidecarInfo
    old_form: bool
    damage: str | None = None  # json_truncated, json_invalid or json_bom
    part: int = 0

    @property
    def readable(self) -> bool:
        """False if no JSON can be read from it (a byte order mark alone does no harm)."""
        return self.damage in (None, "json_bom")


@dataclass(slots=True)
class Entry:
    """A media file of the plan."""

    path: str
    kind: str
    case: str
    content: Content
    sidecar: Sidecar | None
    owns_sidecar: bool
    album: str | None = None
    duplicate_of: str | None = None
    number: int = 0
    part: int = 0

    @property
    def folder(self) -> str:
        """Path of its folder."""
        return self.path.rpartition("/")[0]

    @property
    def corrupt(self) -> str | None:
        """The damage done to the file, or else to its sidecar."""
        return self.content.damage or (self.sidecar.damage if self.sidecar else None)


@dataclass(slots=True)
class Album:
    """An album folder."""

    title: str
    folder: str
    created: datetime
    old_form: bool
    members: set[str] = field(default_factory=set)  # paths of the originals


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    files: int = 1000
    seed: int = 7
    image_bytes: int = PROFILES["small"][0]
    video_bytes: int = PROFILES["small"][1]
    video_share: float = 0.1
    layout: str = "dir"
    parts: int = 1
    albums: int = 12
    lang: str = "en"
    corrupt_share: float = 0.01
    duplicates_share: float = 0.05
    sidecars: str = "mixed"


#: scenario (the planner's `_plan_<name>`) -> (media files that it makes, share of all media files).
#: What the shares leave over goes to plain camera photos.
SCENARIOS: dict[str, tuple[int, float]] = {
    "heic": (1, 0.06),
    "live_photo": (2, 0.05),
    "motion_pair": (2, 0.012),
    "motion_embedded": (1, 0.01),
    "messenger": (1, 0.06),
    "screenshot": (1, 0.06),
    "gif": (1, 0.01),
    "webp": (1, 0.01),
    "creation": (1, 0.006),
    "album_only": (1, 0.01),
    "edited": (2, 0.04),
    "edited_cut": (2, 0.002),
    "numbered": (3, 0.03),
    "numbered_edited": (3, 0.003),
    "numbered_live": (4, 0.004),
    "number_in_title": (1, 0.004),
    "tilde": (2, 0.004),
    "same_stem": (2, 0.006),
    "prefixes": (3, 0.003),
    "long_title": (1, 0.02),
    "long_title_numbered": (2, 0.002),
    "unicode": (1, 0.01),
    "decomposed": (1, 0.002),
    "emoji": (1, 0.003),
    "special_characters": (1, 0.003),
    "no_extension_in_title": (1, 0.003),
    "no_extension": (1, 0.002),
    "dotted": (1, 0.003),
    "no_sidecar": (1, 0.02),
    "mislabelled": (1, 0.01),
    "archived": (1, 0.02),
    "trashed": (1, 0.01),
    "scan": (1, 0.01),
    "clock_unset": (1, 0.003),
    "failed_video": (1, 0.001),
}
ALBUM_COPY_SHARE = 0.12
ORPHAN_SIDECAR_SHARE = 0.01
SEPARATED_SIDECAR_SHARE = 0.1  # of the sidecars lie in another part of a multi-part export
DAMAGES = ("zero_byte", "truncated_jpeg", "exif_garbage", "json_truncated", "json_invalid", "json_bom")


class Planner:
    """Decides which files the Takeout has."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.locale = LOCALES[options.lang]
        self.root = f"Takeout/{self.locale.photos}"
        self.entries: list[Entry] = []
        self.orphans: list[Sidecar] = []
        self._rng = random.Random(f"plan:{options.seed}")
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._counters = {device.model: self._rng.randrange(1, 9999) for device in DEVICES}
        self._photos: list[Entry] = []  # what can be copied
        self._videos: list[Entry] = []
        self._damage_count = 0
        self.albums = [self._album(index) for index in range(options.albums)]

    # -- the whole --------------------------------------------------------------------------------

    def plan(self) -> None:
        """Fill `entries` with exactly `options.files` media files."""
        groups: list[list[Entry]] = []
        for scenario in self._schedule():
            start = len(self.entries)
            getattr(self, f"_plan_{scenario}")()
            groups.append(self.entries[start:])
        for _ in range(self._count(ORPHAN_SIDECAR_SHARE)):
            self._plan_orphan()
        self._rng.shuffle(groups)  # so that copies do not all lie in the last archive
        self.entries = [entry for group in groups for entry in group]
        self._assign_parts()

    def _count(self, share: float, files: int = 1) -> int:
        """How often a scenario runs; once at least if it is wanted at all."""
        return max(1, round(self.options.files * share / files)) if share > 0 else 0

    def _schedule(self) -> list[str]:
        """Names of the scenarios in the order in which they run."""
        options = self.options
        costs = {name: files for name, (files, _) in SCENARIOS.items()}
        todo = [name for name, (files, share) in SCENARIOS.items() for _ in range(self._count(share, files))]
        copied = {"duplicate": options.duplicates_share, "album_copy": ALBUM_COPY_SHARE if options.albums else 0.0}
        video_share = options.video_share * max(0.0, 1 - sum(copied.values()))  # copies are apart
        variable = {"video": video_share, "corrupt": options.corrupt_share, **copied}
        for name, share in variable.items():
            todo += [name] * self._count(share)
        self._rng.shuffle(todo)
        chosen: list[str] = []
        room = options.files
        for name in todo:
            cost = costs.get(name, 1)
            if cost <= room:
                chosen.append(name)
                room -= cost
        chosen += ["photo"] * room
        self._rng.shuffle(chosen)
        return sorted(chosen, key=lambda name: name in copied)  # something to copy must come first

    def _assign_parts(self) -> None:
        """Spread the files over the parts of the export, some sidecars apart from their media."""
        parts = self.options.parts
        if parts == 1:
            return
        total = sum(entry.content.size for entry in self.entries) or 1
        done = 0
        for entry in self.entries:
            entry.part = min(parts - 1, done * parts // total)
            done += entry.content.size
            if entry.sidecar and entry.owns_sidecar:
                apart = self._rng.random() < SEPARATED_SIDECAR_SHARE
                step = self._rng.randrange(1, parts) if apart else 0
                entry.sidecar.part = (entry.part + step) % parts
        for sidecar in self.orphans:
            sidecar.part = self._rng.randrange(parts)

    # -- building blocks --------------------------------------------------------------------------

    def _album(self, index: int) -> Album:
        rng = self._rng
        if index < len(ALBUM_TITLES):
            title = ALBUM_TITLES[index]
        else:
            title = f"{rng.choice(PLACES)[0]} {rng.randint(2005, 2023)} #{index}"
        name = sanitise(title) if title else f"{self.locale.untitled}({index})"
        return Album(title, f"{self.root}/{name}", self._time(2010, 2023), rng.random() < 0.2)

    def _time(self, first_year: int, last_year: int) -> datetime:
        """A random moment; later years are likelier."""
        rng = self._rng
        year = max(rng.randint(first_year, last_year), rng.randint(first_year, last_year))
        start = datetime(year, 1, 1, tzinfo=UTC)
        return start + timedelta(milliseconds=rng.randrange(365 * 86_400_000))

    def _shot(self, choose: Callable[[Device], bool] = lambda device: True) -> Shot:
        """A moment caught by one of the devices that `choose` admits."""
        rng = self._rng
        device = rng.choice([device for device in DEVICES if choose(device)])
        _, latitude, longitude, altitude, offset = rng.choice(PLACES)
        gps = None
        if device.gps and rng.random() < 0.85:
            gps = (
                round(latitude + rng.gauss(0, 0.02), 6),
                round(longitude + rng.gauss(0, 0.02), 6),
                round(altitude + rng.random() * 9, 1),
            )
        return Shot(self._time(*device.years), offset, device, gps)

    def _anonymous_shot(self) -> Shot:
        """A moment without a camera."""
        return Shot(self._time(2014, 2023), self._rng.choice(PLACES)[4], None, None)

    def _size(self, factor: float = 1.0, *, video: bool = False) -> int:
        """A log-normal size whose mean is the one asked for."""
        sigma = 0.5 if video else 0.3
        mean = self.options.video_bytes if video else self.options.image_bytes
        return max(900, round(mean * factor * self._rng.lognormvariate(-sigma * sigma / 2, sigma)))

    def _content(self, form: str, shot: Shot, factor: float = 1.0, *, video: bool = False, **more: Any) -> Content:
        """New content of a photo's or (`video`) of a video's size, times `factor`."""
        size = self._size(factor, video=video)
        return Content(form, self._rng.getrandbits(64), size, shot, **more)

    def _title(self, shot: Shot, *, video: bool = False) -> str:
        """The name that the device gives to the file."""
        device = shot.device
        assert device is not None
        self._counters[device.model] = self._counters[device.model] % 9999 + 1
        mode = self._rng.choices(("", ".PORTRAIT", ".NIGHT"), (90, 6, 4))[0]
        return (device.video if video else device.photo).format(
            utc=shot.taken,
            local=shot.local,
            ms=shot.taken.microsecond // 1000,
            n=self._counters[device.model],
            mode=mode,
        )

    def _year_folder(self, shot: Shot) -> str:
        return f"{self.root}/{self.locale.year_folder.format(shot.taken.year)}"

    def _old_form(self, folder: str) -> bool:
        """Whether the folder has sidecars in the form used until 2024."""
        if self.options.sidecars == "mixed":
            return zlib.crc32(f"{self.options.seed}:{folder}".encode()) % 10 < 3
        return self.options.sidecars == "old"

    def _info(self, title: str, shot: Shot, *, origin: Json | None = None) -> SidecarInfo:
        rng = self._rng
        geo = shot.gps
        if rng.random() < 0.05:  # set by hand
            _, latitude, longitude, altitude, _ = rng.choice(PLACES)
            geo = (latitude, longitude, altitude)
        if origin is None:
            origin = self._origin(shot)
        url = base64.urlsafe_b64encode(rng.randbytes(30)).decode()
        people = rng.sample(PEOPLE, rng.choices((0, 1, 2, 4), (70, 18, 9, 3))[0])
        created = max(shot.taken, datetime(2010, 1, 1, tzinfo=UTC))
        created = min(created + timedelta(seconds=rng.randrange(60, 60 * 86_400)), EXPORTED_AT)
        flags = {"favorited": True} if rng.random() < 0.06 else {}
        return SidecarInfo(
            title,
            shot,
            created,
            f"https://photos.google.com/photo/AF1Qip{url}",
            geo,
            shot.gps,
            people,
            rng.choice(DESCRIPTIONS),
            rng.randrange(200),
            origin,
            flags,
        )

    def _origin(self, shot: Shot) -> Json:
        rng = self._rng
        chance = rng.random()
        if chance < 0.04:
            return {"fromPartnerSharing": {}}
        if chance < 0.08:
            return {"fromSharedAlbum": {}}
        if shot.device is None or shot.device.phone is None:
            return {"webUpload": {"computerUpload": {}}}
        upload: Json = {"deviceType": shot.device.phone}
        if rng.random() < 0.9:
            upload = {"deviceFolder": {"localFolderName": rng.choice(PHONE_FOLDERS)}} | upload
        return {"mobileUpload": upload}

    def _claim(self, folder: str, *names: Callable[[int], str]) -> int:
        """The first number for which all the names are free; they are taken then."""
        taken = self._names[folder]
        number = 0
        while any(name(number) in taken for name in names):
            number += 1
        taken.update(name(number) for name in names)
        return number

    def _sidecar(self, folder: str, info: SidecarInfo, number: int) -> Sidecar:
        old_form = self._old_form(folder)
        while True:
            name = sidecar_name(info.title, number, old_form=old_form)
            if name not in self._names[folder]:
                self._names[folder].add(name)
                return Sidecar(f"{folder}/{name}", info, old_form)
            number += 1

    def _add(
        self,
        case: str,
        kind: str,
        title: str,
        content: Content,
        *,
        folder: str | None = None,
        info: SidecarInfo | None = None,
        sidecar: bool = True,
        album: Album | None = None,
        default_extension: str = "",
        partner: str | None = None,
    ) -> Entry:
        """Add a media file and, unless told otherwise, its sidecar.

        `partner` is the extension of a second file that must be able to have the same number.
        """
        folder = folder or self._year_folder(content.shot)

        def name(number: int) -> str:
            return media_name(title, number, default_extension=default_extension)

        def partner_name(number: int) -> str:
            return split_extension(name(number))[0] + (partner or "")

        names = (name,) if partner is None else (name, partner_name)
        number = self._claim(folder, *names)
        side = None
        if sidecar:
            side = self._sidecar(folder, info or self._info(title, content.shot), number)
        entry = Entry(
            f"{folder}/{name(number)}",
            kind,
            case,
            content,
            side,
            sidecar,
            album.title if album else None,
            number=number,
        )
        self.entries.append(entry)
        return entry

    def _add_partner(self, owner: Entry, name: str, kind: str, content: Content) -> None:
        """Add a file that has no sidecar of its own but shares that of `owner`."""
        self._names[owner.folder].add(name)
        self.entries.append(
            Entry(f"{owner.folder}/{name}", kind, owner.case, content, owner.sidecar, False, owner.album)
        )

    def _photo(
        self,
        case: str,
        title: str | None = None,
        *,
        shot: Shot | None = None,
        kind: str = "photo",
        form: str = "jpeg",
        **more: Any,
    ) -> Entry:
        """Add a photo by a random (or the given) device."""
        shot = shot or self._shot()
        return self._add(case, kind, title or self._title(shot), self._content(form, shot), **more)

    # -- ordinary things --------------------------------------------------------------------------

    def _plan_photo(self) -> None:
        self._photos.append(self._photo("plain"))

    def _plan_video(self) -> None:
        shot = self._shot()
        title = self._title(shot, video=True)
        form = "mov" if title.endswith(".MOV") else "mp4"
        if shot.device and shot.device.make == "Nokia" and self._rng.random() < 0.5:
            form, title = "3gp", title.removesuffix("mp4") + "3gp"
        content = self._content(form, shot, video=True)
        self._videos.append(self._add("plain", "video", title, content))

    def _plan_heic(self) -> None:
        shot = self._shot(lambda device: device.heic)
        title = self._title(shot).replace(".JPG", ".HEIC")
        self._photos.append(self._add("plain", "photo", title, self._content("heic", shot)))

    def _plan_messenger(self) -> None:
        shot = self._anonymous_shot()
        rng = self._rng
        title = rng.choice(
            (
                f"IMG-{shot.local:%Y%m%d}-WA{rng.randrange(400):04d}.jpg",
                f"FB_IMG_{int(shot.taken.timestamp() * 1000)}.jpg",
                f"received_{rng.randrange(10**15, 10**16)}.jpeg",
                "image.jpg",
                "[UNSET].jpg",
            )
        )
        self._add("messenger", "photo", title, self._content("jpeg", shot, 0.3, exif=False))

    def _plan_screenshot(self) -> None:
        shot = self._anonymous_shot()
        title = self._rng.choice(
            (
                f"Screenshot_{shot.local:%Y%m%d-%H%M%S}.png",
                f"Screenshot_{shot.local:%Y-%m-%d-%H-%M-%S}-83_{self._rng.getrandbits(52):013x}.png",
                f"IMG_{self._rng.randrange(1, 9999):04d}.PNG",
            )
        )
        self._add("screenshot", "screenshot", title, self._content("png", shot, 0.5, exif=False))

    def _plan_gif(self) -> None:
        self._add(
            "gif",
            "gif",
            f"giphy-{self._rng.randrange(10**6)}.gif",
            self._content("gif", self._anonymous_shot(), 0.3, exif=False),
        )

    def _plan_webp(self) -> None:
        shot = self._shot()
        self._add(
            "webp",
            "webp",
            f"photo_{self._rng.randrange(10**6)}.webp",
            self._content("webp", shot, 0.3, exif=self._rng.random() < 0.5),
        )

    def _plan_creation(self) -> None:
        """Collages and animations that Google made."""
        shot = self._anonymous_shot()
        stem = split_extension(self._title(self._shot()))[0]
        kind, form, title = self._rng.choice(
            (("collage", "jpeg", f"{stem}-COLLAGE.jpg"), ("gif", "gif", f"{stem}-ANIMATION.gif"))
        )
        info = self._info(title, shot, origin={"composition": {"type": "AUTO"}})
        self._add("creation", kind, title, self._content(form, shot, 0.5, exif=False), info=info)

    # -- copies -----------------------------------------------------------------------------------

    def _sample(self) -> list[Entry]:
        """A few of the files that can be copied."""
        video = self._rng.random() < self.options.video_share
        originals = (self._videos if video else self._photos) or self._photos or self._videos
        return self._rng.sample(originals, min(5, len(originals)))

    def _plan_album_copy(self) -> None:
        """The file and the sidecar once more, in an album folder."""
        album = self._rng.choice(self.albums)
        candidates = [entry for entry in self._sample() if entry.path not in album.members]
        if not candidates:
            self._plan_photo()
            return
        original = candidates[0]
        assert original.sidecar is not None
        info = original.sidecar.info
        album.members.add(original.path)
        copy = self._add(
            "album_copy", original.kind, info.title, original.content, folder=album.folder, info=info, album=album
        )
        copy.duplicate_of = original.path

    def _plan_album_only(self) -> None:
        """From a shared album: it is in no year folder."""
        if not self.albums:
            self._plan_photo()
            return
        shot, album = self._shot(), self._rng.choice(self.albums)
        title = self._title(shot)
        info = self._info(title, shot, origin={"fromSharedAlbum": {}})
        self._photo("album_only", title, shot=shot, folder=album.folder, album=album, info=info)

    def _plan_duplicate(self) -> None:
        """The same bytes uploaded again, under another or the same name."""
        candidates = self._sample()
        if not candidates:
            self._plan_photo()
            return
        original = candidates[0]
        assert original.sidecar is not None
        title = original.sidecar.info.title
        stem, extension = split_extension(title)
        title = self._rng.choice(
            (
                title,
                f"{stem} - Copy{extension}",
                f"Copy of {title}",
                f"{self._rng.randrange(10**15, 10**16)}{extension}",
            )
        )
        copy = self._add("duplicate", original.kind, title, original.content)
        copy.duplicate_of = original.path

    # -- several files, one sidecar ---------------------------------------------------------------

    def _live_photo(self, case: str, title: str | None = None, shot: Shot | None = None) -> None:
        shot = shot or self._shot(lambda device: device.heic)
        heic = self._rng.random() < 0.8
        title = title or self._title(shot).replace(".JPG", ".HEIC" if heic else ".JPG")
        container = self._rng.choice(("mp4", "mp4", "mov"))
        content = self._content("heic" if title.endswith("HEIC") else "jpeg", shot)
        image = self._add(case, "live_photo_image", title, content, partner=f".{container.upper()}")
        name = split_extension(PurePosixPath(image.path).name)[0] + f".{container.upper()}"
        self._add_partner(image, name, "live_photo_video", self._content(container, shot))

    def _plan_live_photo(self) -> None:
        self._live_photo("live_photo")

    def _plan_numbered_live(self) -> None:
        """Two live photos of the same name: IMG_1(1).HEIC and IMG_1(1).MP4, IMG_1.HEIC(1).json."""
        shot = self._shot(lambda device: device.heic)
        title = self._title(shot).replace(".JPG", ".HEIC")
        self._live_photo("numbered_live", title, shot)
        self._live_photo("numbered_live", title, self._again(shot))

    def _plan_motion_pair(self) -> None:
        """A Pixel's motion photo with the video beside it: PXL_1.MP.jpg and PXL_1.MP."""
        shot = self._shot(lambda device: device.make == "Google")
        if self._rng.random() < 0.7:
            title = f"PXL_{shot.taken:%Y%m%d_%H%M%S}{shot.taken.microsecond // 1000:03d}.MP.jpg"
        else:
            title = f"MVIMG_{shot.local:%Y%m%d_%H%M%S}.jpg"
        content = self._content("jpeg", shot)
        image = self._add("motion_pair", "motion_photo", title, content, partner="")
        name = split_extension(PurePosixPath(image.path).name)[0]
        self._add_partner(image, name, "motion_video", self._content("mp4", shot))

    def _plan_motion_embedded(self) -> None:
        """A motion photo that carries its video behind the end of the JPEG."""
        shot = self._shot(lambda device: device.make == "Google")
        title = f"PXL_{shot.taken:%Y%m%d_%H%M%S}{shot.taken.microsecond // 1000:03d}.MP.jpg"
        self._photo("motion_embedded", title, shot=shot, kind="motion_photo", form="motion_jpeg")

    def _edit(self, original: Entry) -> None:
        """Add the edited version, whose number (if any) comes after the suffix."""
        assert original.sidecar is not None
        stem, extension = split_extension(sanitise(original.sidecar.info.title))
        title = stem + self.locale.edited + (extension or ".jpg")
        content = self._content("jpeg", original.content.shot)
        self._add_partner(original, media_name(title, original.number), "edited", content)

    def _again(self, shot: Shot) -> Shot:
        """Another moment in the same year, by the same device."""
        while True:
            year = shot.taken.year
            other = replace(shot, taken=self._time(year, year))
            if other.taken.replace(microsecond=0) != shot.taken.replace(microsecond=0):
                return other

    def _plan_edited(self) -> None:
        self._edit(self._photo("edited"))

    def _plan_edited_cut(self) -> None:
        """The title is so long that "-edited" is cut."""
        shot = self._shot()
        title = f"{shot.local:%Y-%m-%d %H.%M.%S} " + self._words(22) + ".jpg"
        self._edit(self._photo("edited_cut", title, shot=shot))

    # -- names ------------------------------------------------------------------------------------

    def _words(self, length: int) -> str:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
        return "".join(self._rng.choice(letters) for _ in range(length))

    def _plan_numbered(self) -> None:
        """Three different photos of the same name: T, T(1) and T(2)."""
        shot = self._shot(lambda device: "{n:" in device.photo)
        title = self._title(shot)
        for _ in range(3):
            self._photo("numbered", title, shot=shot)
            shot = self._again(shot)

    def _plan_numbered_edited(self) -> None:
        """T, T(1) and T-edited(1), the last two with the sidecar T.json(1)."""
        shot = self._shot(lambda device: "{n:" in device.photo)
        title = self._title(shot)
        self._photo("numbered_edited", title, shot=shot)
        self._edit(self._photo("numbered_edited", title, shot=self._again(shot)))

    def _plan_number_in_title(self) -> None:
        """The number was there before the upload: T(3).jpg has the sidecar T(3).jpg.json."""
        shot = self._shot()
        stem, extension = split_extension(self._title(shot))
        self._photo("number_in_title", f"{stem}({self._rng.randint(1, 4)}){extension}", shot=shot)

    def _plan_tilde(self) -> None:
        shot = self._shot(lambda device: device.phone is not None)
        title = self._title(shot)
        stem, extension = split_extension(title)
        self._photo("tilde", title, shot=shot)
        self._photo("tilde", f"{stem}~2{extension}", shot=shot)

    def _plan_same_stem(self) -> None:
        """IMG_1.JPG and IMG_1.HEIC that have nothing to do with each other."""
        shot = self._shot(lambda device: device.heic)
        title = self._title(shot)
        self._photo("same_stem", title, shot=shot)
        self._photo("same_stem", title.replace(".JPG", ".HEIC"), shot=self._again(shot), form="heic")

    def _plan_prefixes(self) -> None:
        """Names of which one begins with another: DSC_1, DSC_10 and DSC_100."""
        shot = self._shot()
        stem = f"DSC_{self._rng.randrange(1, 9999)}"
        for tail in ("", "0", "00"):
            self._photo("prefixes", f"{stem}{tail}.jpg", shot=shot)
            shot = self._again(shot)

    def _long_title(self, shot: Shot) -> str:
        pixel = f"PXL_{shot.taken:%Y%m%d_%H%M%S}{self._rng.randrange(1000):03d}"
        return self._rng.choice(
            (
                f"original_{uuid.UUID(int=self._rng.getrandbits(128))}_{self._title(shot)}",
                f"{pixel}.LONG_EXPOSURE-02.ORIGINAL.jpg",
                f"{self._words(41)} 2.jpg",
                f"{self._words(43)}.jpeg",
                f"Screenshot_{shot.local:%Y-%m-%d-%H-%M-%S}-512_org.example.messenger.jpg",
                f"Grandmothers_eightieth_birthday_party_{self._words(9)}_studio.jpg",
            )
        )

    def _plan_long_title(self) -> None:
        """Titles so long that the sidecar's name, or both names, are cut."""
        shot = self._shot()
        self._photo("long_title", self._long_title(shot), shot=shot)

    def _plan_long_title_numbered(self) -> None:
        """Two titles that are the same where they are cut."""
        shot = self._shot()
        stem = self._words(50)
        for tail in ("first", "second"):
            self._photo("long_title_numbered", f"{stem}-{tail}.jpg", shot=shot)
            shot = self._again(shot)

    def _plan_unicode(self) -> None:
        name = self._rng.choice(
            (
                "Été à la plage",
                "Фото с дачи",
                "写真 旅行",
                "Übergrößenträger",
                "صورة",
                "Ελλάδα",
                "Crème brûlée",
                "Łódź",
                "İstanbul",
                "Zoë & José",
            )
        )
        self._photo("unicode", f"{name} {self._rng.randrange(1000)}.jpg")

    def _plan_decomposed(self) -> None:
        """A name from a Mac, with combining accents."""
        name = unicodedata.normalize("NFD", f"Très Ångström {self._rng.randrange(1000)}.jpg")
        self._photo("decomposed", name)

    def _plan_emoji(self) -> None:
        faces = "😀😃😄😁😆😅😂🤣🥲😊😇🙂🙃😉😌😍🥰😘😗😙😚😋😛😝😜🤪🤨🧐🤓😎🥸🤩🥳"
        count = self._rng.choice((1, 3, 33))
        self._photo("emoji", "".join(self._rng.sample(faces, count)) + ".jpg")

    def _plan_special_characters(self) -> None:
        number = self._rng.randrange(1000)
        self._photo(
            "special_characters",
            self._rng.choice(
                (
                    f"27/06/12 - {number}.jpg",
                    f"what? {number}.jpg",
                    f'"quoted" {number}.jpg',
                    f"a:b|c<{number}>.jpg",
                    f"Anna & Tom's #{number} 100%.jpg",
                )
            ),
        )

    def _plan_no_extension_in_title(self) -> None:
        """Google appends an extension to the media file, the sidecar goes by the title."""
        shot = self._shot()
        title = f"{shot.local:%d/%m/%y} - {self._rng.randint(1, 40)}"
        self._photo("no_extension_in_title", title, shot=shot, default_extension=".jpg")

    def _plan_no_extension(self) -> None:
        """A media file without an extension."""
        shot = self._shot()
        title = f"{shot.local:%d.%m.%y} - {self._rng.randint(1, 40)}"
        self._photo("no_extension", title, shot=shot)

    def _plan_dotted(self) -> None:
        """Dots and extension-like pieces inside the name."""
        number = self._rng.randrange(1000)
        self._photo(
            "dotted",
            self._rng.choice(
                (f"my.jp.holiday.{number}.jpg", f"a.png.{number}.jpg", f"v1.2.{number}.JPG", f"IMG.{number}.JPEG")
            ),
        )

    # -- things that are not as they should be ----------------------------------------------------

    def _plan_no_sidecar(self) -> None:
        self._photo("no_sidecar", sidecar=False)

    def _plan_mislabelled(self) -> None:
        """The extension tells of another format than the bytes do."""
        shot = self._shot(lambda device: device.heic)
        stem = split_extension(self._title(shot))[0]
        form, extension = self._rng.choice(
            (("jpeg", ".HEIC"), ("png", ".jpg"), ("jpeg", ".png"), ("webp", ".jpg"), ("heic", ".jpg"), ("mp4", ".MOV"))
        )
        kind = "video" if form == "mp4" else "photo"
        content = self._content(form, shot, exif=form in ("jpeg", "heic"))
        self._add("mislabelled", kind, stem + extension, content)

    def _plan_archived(self) -> None:
        self._flagged("archived", f"{self.root}/{self.locale.archive}")

    def _plan_trashed(self) -> None:
        self._flagged("trashed", f"{self.root}/{self.locale.trash}")

    def _flagged(self, flag: str, folder: str) -> None:
        shot = self._shot()
        title = self._title(shot)
        info = self._info(title, shot)
        info.flags[flag] = True
        self._photo(flag, title, shot=shot, folder=folder, info=info)

    def _plan_scan(self) -> None:
        """A scanned print: taken before 1970, EXIF without the time of taking."""
        rng = self._rng
        taken = datetime(rng.randint(1930, 1969), rng.randint(1, 12), rng.randint(1, 28), 12, tzinfo=UTC)
        shot = Shot(taken, 0, None, None)
        content = self._content("jpeg", shot, scanner=True)
        self._add("scan", "scan", f"Scan{rng.randrange(10_000):04d}.jpg", content)

    def _plan_clock_unset(self) -> None:
        shot = self._shot(lambda device: device.years[0] < 2010)
        content = self._content("jpeg", shot, clock_unset=True)
        self._add("clock_unset", "photo", self._title(shot), content)

    def _plan_failed_video(self) -> None:
        content = self._content("junk", self._anonymous_shot(), 0.5)
        title = f"VID_{self._rng.randrange(10**8):08d}.mp4"
        self._add("failed_video", "failed_video", title, content, folder=f"{self.root}/Failed Videos", sidecar=False)

    def _plan_corrupt(self) -> None:
        damage = DAMAGES[self._damage_count % len(DAMAGES)]
        self._damage_count += 1
        entry = self._photo("corrupt")
        if damage.startswith("json"):
            assert entry.sidecar is not None
            entry.sidecar.damage = damage
        else:
            entry.content.damage = damage

    def _plan_orphan(self) -> None:
        """A sidecar whose media file is missing."""
        shot = self._shot()
        title = self._title(shot)
        folder = self._year_folder(shot)
        number = self._claim(folder, lambda number: media_name(title, number))
        self.orphans.append(self._sidecar(folder, self._info(title, shot), number))


# --------------------------------------------------------------------------------------------------
# Sidecars
# --------------------------------------------------------------------------------------------------


def dump_json(data: Json) -> bytes:
    """JSON as Takeout writes it: indented, UTF-8, with HTML's characters escaped."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    for char in "<>&='":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode("utf-8")


def _json_time(when: datetime, locale: Locale) -> Json:
    seconds = (when - EPOCH) // timedelta(seconds=1)
    return {"timestamp": str(seconds), "formatted": locale.format_time(when)}


def _json_geo(geo: tuple[float, float, float] | None) -> Json:
    latitude, longitude, altitude = geo or (0.0, 0.0, 0.0)
    return {
        "latitude": float(latitude),
        "longitude": float(longitude),
        "altitude": float(altitude),
        "latitudeSpan": 0.0,
        "longitudeSpan": 0.0,
    }


def sidecar_bytes(sidecar: Sidecar, locale: Locale) -> bytes:
    """The contents of a sidecar file."""
    info = sidecar.info
    data: Json = {
        "title": info.title,
        "description": info.description,
        "imageViews": str(info.views),
        "creationTime": _json_time(info.created, locale),
    }
    if sidecar.old_form:
        data["modificationTime"] = _json_time(info.created + timedelta(days=3), locale)
    data["photoTakenTime"] = _json_time(info.shot.taken, locale)
    data["geoData"] = _json_geo(info.geo)
    data["geoDataExif"] = _json_geo(info.geo_exif)
    if info.people:
        data["people"] = [{"name": name} for name in info.people]
    data |= {flag: True for flag, value in info.flags.items() if value}
    data["url"] = info.url
    if not sidecar.old_form and info.origin is not None:
        data["googlePhotosOrigin"] = info.origin
    return _damage_json(dump_json(data), sidecar.damage)


def _damage_json(data: bytes, damage: str | None) -> bytes:
    if damage == "json_truncated":
        return data[: len(data) // 2]
    if damage == "json_invalid":
        return data.replace(b'"photoTakenTime":', b"photoTakenTime =", 1)
    if damage == "json_bom":
        return b"\xef\xbb\xbf" + data
    return data


def album_bytes(album: Album, locale: Locale) -> bytes:
    """The contents of an album's metadata file."""
    data: Json = {
        "title": album.title,
        "description": "",
        "access": "protected",
        "date": _json_time(album.created, locale),
    }
    if album.old_form:
        return dump_json({"albumData": data | {"location": "", "geoData": _json_geo(None)}})
    return dump_json(data)


def other_files(root: str) -> dict[str, bytes]:
    """What else Takeout puts beside the folders."""
    return {
        "Takeout/archive_browser.html": b"<!DOCTYPE html><title>Archive</title>",
        f"{root}/print-subscriptions.json": dump_json({"printSubscriptions": []}),
        f"{root}/shared_album_comments.json": dump_json({"sharedAlbumComments": []}),
        f"{root}/user-generated-memory-titles.json": dump_json({"title": ["Memories"]}),
    }


# --------------------------------------------------------------------------------------------------
# 4. Sinks
# --------------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Where the files of the export go."""

    def add(self, path: str, parts: Sequence[Buffer], part: int, *, compress: bool) -> None:
        """Store a file in the given part of the export."""

    def archive(self, part: int) -> str | None:
        """File name of the archive that is that part."""

    def close(self) -> None:
        """Finish."""


class DirectorySink:
    """Writes plain files, dated with the time of the export."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._folders: set[str] = set()

    def add(self, path: str, parts: Sequence[Buffer], part: int, *, compress: bool) -> None:
        """Write one file."""
        folder = path.rpartition("/")[0]
        if folder not in self._folders:
            (self._out / folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        target = f"{self._out}/{path}"
        with open(target, "wb", buffering=1 << 16) as file:
            file.writelines(parts)
        os.utime(target, (EXPORTED_AT.timestamp(),) * 2)

    def archive(self, part: int) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing to do."""


def archive_name(part: int, suffix: str) -> str:
    """``takeout-20240101T000000Z-001.zip`` for part 0."""
    return f"takeout-{EXPORTED_AT:%Y%m%dT%H%M%SZ}-{part + 1:03d}.{suffix}"


class ZipSink:
    """Writes zip parts: media stored, JSON deflated."""

    def __init__(self, out: Path, parts: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._zips = [zipfile.ZipFile(out / archive_name(part, "zip"), "w") for part in range(parts)]

    def add(self, path: str, parts: Sequence[Buffer], part: int, *, compress: bool) -> None:
        """Add one member."""
        info = zipfile.ZipInfo(path, EXPORTED_AT.timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o644 << 16
        info.file_size = total_size(parts)
        with self._zips[part].open(info, "w") as member:
            for data in parts:
                member.write(data)

    def archive(self, part: int) -> str:
        """Name of the zip file."""
        return archive_name(part, "zip")

    def close(self) -> None:
        """Write the central directories."""
        for archive in self._zips:
            archive.close()


class TgzSink:
    """Writes gzipped tar parts."""

    def __init__(self, out: Path, parts: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._files: list[BinaryIO] = []
        self._gzips: list[gzip.GzipFile] = []
        self._tars: list[tarfile.TarFile] = []
        for part in range(parts):
            file = open(out / archive_name(part, "tgz"), "wb")
            zipped = gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
            self._files.append(file)
            self._gzips.append(zipped)
            self._tars.append(tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT))

    def add(self, path: str, parts: Sequence[Buffer], part: int, *, compress: bool) -> None:
        """Add one member."""
        info = tarfile.TarInfo(path)
        info.size = total_size(parts)
        info.mtime = int(EXPORTED_AT.timestamp())
        self._tars[part].addfile(info, io.BytesIO(b"".join(parts)))

    def archive(self, part: int) -> str:
        """Name of the tgz file."""
        return archive_name(part, "tgz")

    def close(self) -> None:
        """Finish the streams."""
        for handles in (self._tars, self._gzips, self._files):
            for handle in handles:
                handle.close()


def open_sink(out: Path, options: Options) -> Sink:
    """The sink for the layout asked for."""
    if options.layout == "zip":
        return ZipSink(out, options.parts)
    if options.layout == "tgz":
        return TgzSink(out, options.parts)
    return DirectorySink(out)


# --------------------------------------------------------------------------------------------------
# 5. Generation
# --------------------------------------------------------------------------------------------------


def crc32_of(parts: Sequence[Buffer]) -> int:
    """CRC-32 of the concatenation."""
    crc = 0
    for data in parts:
        crc = zlib.crc32(data, crc)
    return crc


def _truth_gps(geo: tuple[float, float, float] | None) -> Json | None:
    if geo is None:
        return None
    return {"latitude": geo[0], "longitude": geo[1], "altitude": geo[2]}


def truth_line(entry: Entry, built: Built, sink: Sink) -> Json:
    """What is true of a media file.

    path           relative to OUT, or inside `archive`
    archive        file name of the archive that holds it, null for --layout dir
    size, crc32    of its bytes; crc32 as eight hexadecimal digits
    mime           by its content, whatever its name says; null for a file that is empty or junk
    kind           photo, video, edited, live_photo_image, live_photo_video, motion_photo, ...
    case           the scenario that made it, for breaking results down
    sidecar        path of its sidecar (several files can share one), null if it has none
    sidecar_archive  file name of the archive that holds the sidecar
    title ... trashed  from the sidecar, null if there is none or if it cannot be read
    album          title of the album in whose folder it lies (may be ""), null in other folders
    gps, gps_exif  geoData and geoDataExif of the sidecar, null where it has 0.0/0.0
    exif           the EXIF fields in the file, GPS as signed degrees and metres; null if none
    video          what the boxes of a video say
    duplicate_of   path of the file with the same bytes that counts as the original
    corrupt        zero_byte, truncated_jpeg, exif_garbage, json_truncated, json_invalid, json_bom
    """
    sidecar = entry.sidecar
    info = sidecar.info if sidecar and sidecar.readable else None
    flags = info.flags if info else {}
    return {
        "path": entry.path,
        "archive": sink.archive(entry.part),
        "size": total_size(built.parts),
        "crc32": f"{crc32_of(built.parts):08x}",
        "mime": built.mime,
        "kind": entry.kind,
        "case": entry.case,
        "sidecar": sidecar.path if sidecar else None,
        "sidecar_archive": sink.archive(sidecar.part) if sidecar else None,
        "album": entry.album,
        "title": info.title if info else None,
        "description": info.description if info else None,
        "taken_at_utc": iso(info.shot.taken.replace(microsecond=0)) if info else None,
        "created_at_utc": iso(info.created.replace(microsecond=0)) if info else None,
        "gps": _truth_gps(info.geo) if info else None,
        "gps_exif": _truth_gps(info.geo_exif) if info else None,
        "people": info.people if info else [],
        "favorited": flags.get("favorited", False),
        "archived": flags.get("archived", False),
        "trashed": flags.get("trashed", False),
        "exif": built.exif,
        "video": built.video,
        "width": built.width,
        "height": built.height,
        "duplicate_of": entry.duplicate_of,
        "corrupt": entry.corrupt,
    }


def truth_path(out: Path) -> Path:
    """The truth file that belongs to OUT."""
    return out.with_name(out.name + ".truth.jsonl")


def summary_path(out: Path) -> Path:
    """The summary that belongs to OUT."""
    return out.with_name(out.name + ".truth.summary.json")


def generate(out: Path, options: Options) -> Json:
    """Make the Takeout and its truth; returns the summary."""
    planner = Planner(options)
    planner.plan()
    factory = MediaFactory(options.seed, options.image_bytes)
    sink = open_sink(out, options)
    counts: dict[str, Counter[str]] = {key: Counter() for key in ("kind", "case", "mime", "corrupt")}
    media_bytes = sidecars = 0
    with open(truth_path(out), "w", encoding="utf-8") as truth:
        for entry in planner.entries:
            built = factory.build(entry.content)
            sink.add(entry.path, built.parts, entry.part, compress=False)
            if entry.sidecar and entry.owns_sidecar:
                _add_sidecar(sink, entry.sidecar, planner.locale)
                sidecars += 1
            line = truth_line(entry, built, sink)
            truth.write(json.dumps(line, ensure_ascii=False) + "\n")
            media_bytes += line["size"]
            for key, counter in counts.items():
                counter[str(line[key])] += 1
    for orphan in planner.orphans:
        _add_sidecar(sink, orphan, planner.locale)
    others = _add_others(sink, planner)
    sink.close()
    summary: Json = {
        "options": dataclasses.asdict(options),
        "media_files": len(planner.entries),
        "media_bytes": media_bytes,
        "sidecars": sidecars + len(planner.orphans),
        **{f"by_{key}": dict(sorted(counter.items())) for key, counter in counts.items()},
        "albums": [{"title": album.title, "folder": album.folder} for album in planner.albums],
        "orphan_sidecars": [orphan.path for orphan in planner.orphans],
        "other_files": others,
    }
    summary_path(out).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return summary


def _add_sidecar(sink: Sink, sidecar: Sidecar, locale: Locale) -> None:
    sink.add(sidecar.path, [sidecar_bytes(sidecar, locale)], sidecar.part, compress=True)


def _add_others(sink: Sink, planner: Planner) -> list[str]:
    """Album metadata and the files that have nothing to do with any photo."""
    files = other_files(planner.root)
    for album in planner.albums:
        path = f"{album.folder}/{planner.locale.album_metadata}"
        files[path] = album_bytes(album, planner.locale)
    for path, data in files.items():
        sink.add(path, [data], 0, compress=True)
    return list(files)


# --------------------------------------------------------------------------------------------------
# 6. From Python, and the command line
# --------------------------------------------------------------------------------------------------


def make_library(out: Path, **options: Any) -> Json:
    """Make a library in the new or empty folder `out`; `options` are fields of Options. Returns its summary."""
    out.mkdir(parents=True, exist_ok=True)
    return generate(out, Options(**options))


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Make a synthetic Google Photos Takeout whose truth is known.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "out", nargs="?", type=Path, metavar="OUT", help="new or empty directory; the truth goes to OUT.truth.jsonl"
    )
    parser.add_argument(
        "--files", type=_positive, default=1000, help="number of media files, copies in albums included"
    )
    parser.add_argument("--seed", type=int, default=7, help="another seed gives another library")
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="small",
        help="sizes of photos and videos: 4 kB/20 kB, 30 kB/200 kB or 3 MB/50 MB",
    )
    parser.add_argument(
        "--image-bytes",
        type=_positive,
        default=argparse.SUPPRESS,
        help="mean size of a camera photo, instead of the profile's",
    )
    parser.add_argument(
        "--video-bytes",
        type=_positive,
        default=argparse.SUPPRESS,
        help="mean size of a video, instead of the profile's",
    )
    parser.add_argument(
        "--video-share", type=_share, default=0.1, help="share of stand-alone videos (live photos come on top)"
    )
    parser.add_argument(
        "--layout",
        choices=("dir", "zip", "tgz"),
        default="dir",
        help="extracted files, or archives as Takeout delivers them",
    )
    parser.add_argument("--parts", type=_positive, default=1, help="number of archives")
    parser.add_argument("--albums", type=int, default=12, help="number of album folders")
    parser.add_argument(
        "--lang", choices=LOCALES, default="en", help="language of folder names and of the -edited suffix"
    )
    parser.add_argument(
        "--sidecars",
        choices=("old", "new", "mixed"),
        default="mixed",
        help="NAME.json, NAME.supplemental-metadata.json, or either per folder",
    )
    parser.add_argument(
        "--corrupt-share",
        type=_share,
        default=0.01,
        help="share of media files that are damaged or have a damaged sidecar",
    )
    parser.add_argument(
        "--duplicates-share",
        type=_share,
        default=0.05,
        help="share of media files with the bytes of another one (album copies come on top)",
    )
    return parser


def parse_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Options:
    """Check the arguments that depend on each other."""
    if args.out is None:
        parser.error("OUT is required")
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        parser.error(f"{args.out} is not an empty directory")
    if args.layout == "dir" and args.parts > 1:
        parser.error("--parts needs --layout zip or tgz")
    if args.albums < 0:
        parser.error("--albums must not be negative")
    sizes = dict(zip(("image_bytes", "video_bytes"), PROFILES[args.profile], strict=True))
    wanted = {option.name for option in dataclasses.fields(Options)}
    return Options(**sizes | {name: value for name, value in vars(args).items() if name in wanted})


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = build_parser()
    args = parser.parse_args(argv)
    options = parse_options(parser, args)
    args.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    summary = generate(args.out, options)
    seconds = time.perf_counter() - started
    print(
        f"{summary['media_files']} media files ({summary['media_bytes'] / 1e6:.1f} MB) and "
        f"{summary['sidecars']} sidecars in {seconds:.1f} s; truth: {truth_path(args.out)}",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
