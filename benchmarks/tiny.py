"""Libraries of tiny photos by the million, made within a minute: what a scan costs besides the bytes of files.

Every photo is a JPEG of 0.3 kB with EXIF of its own, every sidecar as Google writes one: folders by year, albums that repeat
some of their photos, people, edited versions. In zips of stored members, or as plain files.

python -m benchmarks.tiny OUT [--photos 1000000] [--layout zip|dir]
"""

from __future__ import annotations

import argparse
import os
import random
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from zlib_ng import zlib_ng

from pipeline.synthetic import encode_exif, exif_segment, jpeg_segment, sidecar_name

Member = tuple[str, bytes]  # path in the export, content

#: Members of one zip: half of them photos.
PART = 50_000
YEARS = range(2000, 2025)
#: Photos of which one is in an album too; those of one album; and of which one has an edited version beside it.
IN_AN_ALBUM, ALBUM, EDITED = 25, 100, 40
#: Photos of which one repeats the content of the one before, under another name.
REPEATED = 100
ROOT = "Takeout/Google Photos"
_PEOPLE = [f"Person {number}" for number in range(200)]
_TAKEN, _SERIAL = "2000:01:01 00:00:00", b"000000000000"
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sBBHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
#: 1 January 2024, midnight, as zips have it.
_DOS_DATE = (2024 - 1980) << 9 | 1 << 5 | 1


def _template() -> tuple[bytes, list[int], int]:
    """A JPEG, where its times stand, and where its serial number."""
    fields = {
        "Make": "Google",
        "Model": "Pixel 7",
        "Orientation": 1,
        "DateTime": _TAKEN,
        "DateTimeOriginal": _TAKEN,
        "ExposureTime": "1/125",
        "FNumber": 1.8,
        "ISO": 100,
        "FocalLength": 6.8,
    }
    frame = jpeg_segment(0xC0, struct.pack(">BHHB", 8, 3024, 4032, 3) + bytes((1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1)))
    scan = jpeg_segment(0xDA, bytes((3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0)))
    data = b"\xff\xd8" + exif_segment(encode_exif(fields)) + jpeg_segment(0xFE, _SERIAL) + frame + scan + b"\0\xff\xd9"
    taken = _TAKEN.encode()
    times = [at for at in range(len(data)) if data.startswith(taken, at)]
    return data, times, data.index(_SERIAL)


def _sidecar(title: str, number: int, moment: datetime, rng: random.Random) -> bytes:
    at = int(moment.timestamp())
    latitude, longitude = (rng.uniform(-50, 60), rng.uniform(-120, 150)) if number % 5 < 2 else (0.0, 0.0)
    geo = (
        f'{{"latitude": {latitude:.6f}, "longitude": {longitude:.6f}, "altitude": 0.0, '
        '"latitudeSpan": 0.0, "longitudeSpan": 0.0}'
    )
    people = ", ".join(f'{{"name": "{rng.choice(_PEOPLE)}"}}' for _ in range(number % 10 - 6))
    return f"""{{
  "title": "{title}",
  "description": "{f"A day out, picture {number}" if number % 20 == 0 else ""}",
  "imageViews": "{number % 97}",
  "creationTime": {{"timestamp": "{at + 86_400}", "formatted": "{moment:%b %d, %Y, %H:%M:%S} UTC"}},
  "photoTakenTime": {{"timestamp": "{at}", "formatted": "{moment:%b %d, %Y, %H:%M:%S} UTC"}},
  "geoData": {geo},
  "geoDataExif": {geo},
  "people": [{people}],
  "url": "https://photos.google.com/photo/AF1Qip{number:037d}",
  "googlePhotosOrigin": {{"mobileUpload": {{"deviceType": "ANDROID_PHONE"}}}}
}}""".encode()


def members(photos: int) -> Iterator[Member]:
    """The files of a library with so many photos, some of them copies in albums."""
    template, times, serial_at = _template()
    rng = random.Random(1)
    made = number = album = 0
    data = b""
    of_album: list[Member] = []
    plain = photos * 100 // (100 + 100 // IN_AN_ALBUM + 100 // EDITED) or 1
    step = timedelta(seconds=365 * 86_400 * len(YEARS) / plain)
    moment = datetime(YEARS[0], 1, 2, 12, tzinfo=UTC)
    while made < photos:
        number += 1
        moment += step
        stamp = f"{moment:%Y:%m:%d %H:%M:%S}".encode()
        if number % REPEATED or not data:
            content = bytearray(template)
            for at in times:
                content[at : at + len(stamp)] = stamp
            content[serial_at : serial_at + len(_SERIAL)] = b"%012d" % number
            data = bytes(content)
        name = f"PXL_{moment:%Y%m%d}_{number:09d}.jpg"
        sidecar = _sidecar(name, number, moment, rng)
        files = [(name, data), (sidecar_name(name), sidecar)]
        if number % EDITED == 0:
            files.append((f"{name[:-4]}-edited.jpg", data[:-2] + b"edit\xff\xd9"))
        folder = f"{ROOT}/Photos from {min(moment.year, YEARS[-1])}"
        for each, content_of in files:
            yield f"{folder}/{each}", content_of
        made += len(files) - 1
        if number % IN_AN_ALBUM == 0:
            of_album += files[:2]
            made += 1
        if len(of_album) >= 2 * ALBUM or (made >= photos and of_album):
            album += 1
            title = f"Trip {album}"
            yield (
                f"{ROOT}/{title}/metadata.json",
                b'{"title": "%s", "description": "", "access": "protected"}' % title.encode(),
            )
            for each, content_of in of_album:
                yield f"{ROOT}/{title}/{each}", content_of
            of_album = []


def make_zips(out: Path, photos: int) -> list[Path]:
    """Write a library as zips of stored members; the files of a pair may lie in two of them."""
    out.mkdir(parents=True)
    paths: list[Path] = []
    found = members(photos)
    while some := list(islice(found, PART)):
        path = out / f"takeout-20240101T000000Z-{len(paths) + 1:03d}.zip"
        with path.open("wb") as file:
            write_zip(file, some)
        paths.append(path)
    return paths


def write_zip(file: BinaryIO, files: Iterable[Member]) -> None:
    """A zip of stored members, as `zipfile` writes it in thirty times as long. Fewer than 65,535, in less than 4 GB."""
    central = []
    at = 0
    for path, content in files:
        name, crc, size = path.encode(), zlib_ng.crc32(content), len(content)
        head = _LOCAL.pack(b"PK\3\4", 20, 0x800, 0, 0, _DOS_DATE, crc, size, size, len(name), 0)
        file.write(b"".join((head, name, content)))
        fixed = (
            b"PK\1\2",
            20,
            3,
            20,
            0x800,
            0,
            0,
            _DOS_DATE,
            crc,
            size,
            size,
            len(name),
            0,
            0,
            0,
            0,
            0o100644 << 16,
            at,
        )
        central.append(_CENTRAL.pack(*fixed) + name)
        at += len(head) + len(name) + size
    directory = b"".join(central)
    file.write(directory)
    file.write(_END.pack(b"PK\5\6", 0, 0, len(central), len(central), len(directory), at, 0))


def read_zip(path: Path) -> Iterator[Member]:
    """What `write_zip` has written."""
    with path.open("rb") as file:
        while (head := file.read(_LOCAL.size))[:4] == b"PK\3\4":
            *_, size, named, _ = _LOCAL.unpack(head)
            yield file.read(named).decode(), file.read(size)


def make_folder(out: Path, photos: int) -> list[Path]:
    """Write a library as plain files."""
    made: set[str] = set()
    for path, content in members(photos):
        folder = path.rpartition("/")[0]
        if folder not in made:
            (out / folder).mkdir(parents=True)
            made.add(folder)
        descriptor = os.open(out / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)
    return [out]


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--layout", choices=("zip", "dir"), default="zip")
    options = parser.parse_args()
    make = make_zips if options.layout == "zip" else make_folder
    print(f"{len(make(options.out, options.photos))} parts in {options.out}")


if __name__ == "__main__":
    main()
