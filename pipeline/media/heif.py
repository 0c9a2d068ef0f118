"""HEIF: what HEIC, HEIF and AVIF pictures say (ISO/IEC 23008-12), and Canon's CR3, which is made of the same boxes.

A picture here is an *item*, described by small tables in one `meta` box; its EXIF is an item of its own, anywhere in the
file. Only the tables and the EXIF are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.media.boxes import Box, Boxes, number
from pipeline.media.exif import read_exif, read_exif_parts
from pipeline.media.facts import Exif, Picture
from pipeline.media.source import BytesSource, SliceSource, Source
from pipeline.media.video import read_movie
from pipeline.problems import MediaError, Problem

#: A meta box up to this size is read at once.
PRELOAD = 64 << 10
#: Bytes of one table (`iloc`, `ipma`), extents of one item, and bytes of an item in several extents.
MAX_TABLE, MAX_EXTENTS, MAX_ITEM = 256 << 10, 64, 1 << 20
#: Pixels of a side; above that it is damage.
MAX_SIDE = 2**31 - 1
#: A TIFF block up to this size is handed on, for whoever wants all of its tags.
MAX_BLOCK = 64 << 10

# What Canon keeps its directories in.
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


@dataclass(frozen=True, slots=True)
class Location:
    """Where an item's bytes are: in the file or in the `idat` box, in one or more extents (offset, length)."""

    in_idat: bool
    extents: tuple[tuple[int, int], ...]


class Tables(NamedTuple):
    """The boxes of `meta` that are needed, found in one pass: they refer to each other in any order."""

    primary: int | None = None
    exif_items: tuple[int, ...] = ()
    locations: Box | None = None
    references: Box | None = None
    properties: Box | None = None
    data: Box | None = None


def read_heif(source: Source) -> Picture:
    """Size and EXIF of the primary picture of an HEIC, HEIF or AVIF file.

    Raises MediaError where there is neither a picture's `meta` box nor a movie's, and the OSError of a failed read.
    """
    boxes = Boxes(source, "image")
    movie = False
    for box in boxes.top():
        if box.name == b"meta":
            picture = _picture(boxes, box, source)
            boxes.note_cut_media(box)
            return picture._replace(problems=(*boxes.problems, *picture.problems))
        movie = movie or box.name == b"moov"
    if movie:
        # A sequence of pictures and nothing else ("msf1"): its size is that of its track.
        clip = read_movie(source)
        return Picture(width=clip.width, height=clip.height, problems=_of_image(clip.problems))
    if boxes.problems:
        first = boxes.problems[0]
        raise MediaError(f"{first.kind}: {first.message}; no meta box before that")
    raise MediaError("no_meta: no meta box, so no picture is described")


def _picture(boxes: Boxes, meta: Box, source: Source) -> Picture:
    boxes.preload(meta, PRELOAD)
    tables = _tables(boxes, meta)
    if tables == Tables():
        boxes.note("damaged", "the meta box describes no picture")
    width, height = _size(boxes, tables)
    picture = Picture(width=width, height=height)
    item = _exif_item(boxes, tables)
    where = _location(boxes, tables, item) if item is not None else None
    if where is None:
        return picture
    data = _item_source(boxes, tables, where, source)
    start = _tiff_start(boxes, data) if data else None
    if data is None or start is None:
        boxes.note("bad_exif", "the EXIF item holds no TIFF block")
        return picture
    block = SliceSource(data, start, data.size - start)
    small = block.read_at(0, block.size) if block.size <= MAX_BLOCK else None
    try:
        exif, problems = read_exif(BytesSource(small) if small is not None else block)
    except MediaError as error:
        boxes.note(error.kind, error.message)
        return picture
    return picture._replace(exif=exif, exif_block=small, problems=problems)


def _tables(boxes: Boxes, meta: Box) -> Tables:
    tables = Tables()
    # Full in every specification; QuickTime's is not, and `hdlr` comes first in both.
    skip = 0 if boxes.read(meta.start + 4, 4) == b"hdlr" else 4
    for box in boxes.inside(meta, skip):
        if box.name == b"pitm":  # ISO/IEC 14496-12 section 8.11.4
            data = boxes.payload(box, 8)
            tables = tables._replace(primary=number(data, 4, 2 if data[:1] == b"\0" else 4))
        elif box.name == b"iinf":
            tables = tables._replace(exif_items=tuple(_exif_items(boxes, box)))
        elif box.name == b"iloc":
            tables = tables._replace(locations=tables.locations or box)
        elif box.name == b"iref":
            tables = tables._replace(references=tables.references or box)
        elif box.name == b"iprp":
            tables = tables._replace(properties=tables.properties or box)
        elif box.name == b"idat":
            tables = tables._replace(data=tables.data or box)
    return tables


def _exif_items(boxes: Boxes, iinf: Box) -> list[int]:
    """Items of type `Exif` (ISO/IEC 14496-12 section 8.11.6; ISO/IEC 23008-12 annex A.2.1)."""
    items: list[int] = []
    short = boxes.payload(iinf, 1) == b"\0"  # the count that follows has 16 bits, else 32; the boxes count themselves
    for box in boxes.inside(iinf, 6 if short else 8):
        if box.name != b"infe":
            continue
        data = boxes.payload(box, 16)
        # Versions 0 and 1 name no type. Version 3 has item numbers of 32 bits.
        length = {2: 2, 3: 4}.get(data[0] if data else 0)
        if length and data[4 + length + 2 : 4 + length + 6] == b"Exif":
            items.append(int.from_bytes(data[4 : 4 + length], "big"))
    return items


def _exif_item(boxes: Boxes, tables: Tables) -> int | None:
    """The Exif item that describes the primary picture; the first where none says which it describes."""
    items = tables.exif_items
    if len(items) > 1 and tables.references:
        box = tables.references
        length = 2 if boxes.payload(box, 1) == b"\0" else 4
        for reference in boxes.inside(box, 4):  # ISO/IEC 14496-12 section 8.11.12
            if reference.name != b"cdsc":
                continue
            data = boxes.payload(reference, MAX_EXTENTS * 4)
            origin = number(data, 0, length)
            aims = [number(data, at, length) for at in range(length + 2, len(data), length)]
            if origin in items and tables.primary in aims:
                return origin
    return items[0] if items else None


def _location(boxes: Boxes, tables: Tables, item: int) -> Location | None:
    """Where `iloc` says an item is (ISO/IEC 14496-12 section 8.11.3).

    Its entries are skipped by computing, not by reading extents: two kilobytes can describe millions of empty ones.
    """
    if tables.locations is None:
        boxes.note("damaged", "there is EXIF, but no table that says where")
        return None
    data = boxes.payload(tables.locations, MAX_TABLE)
    version = data[0] if data else 0
    sizes = number(data, 4, 2)
    if version > 2 or sizes is None:
        boxes.note("damaged", "the table of places is of no known version")
        return None
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version else 0
    id_size = 4 if version == 2 else 2
    count = number(data, 6, id_size) or 0
    head_size = id_size + (2 if version else 0) + 2 + base_size + 2
    stride = index_size + offset_size + length_size
    at = 6 + id_size
    for _ in range(min(count, len(data) // head_size)):
        head = data[at : at + head_size]
        if len(head) < head_size:
            break
        at += head_size
        extents = int.from_bytes(head[-2:], "big")
        if int.from_bytes(head[:id_size], "big") != item:
            at += extents * stride
            continue
        method = head[id_size + 1] & 15 if version else 0
        reference = int.from_bytes(head[-4 - base_size : -2 - base_size], "big")
        base = int.from_bytes(head[-2 - base_size : -2], "big")
        if method > 1 or reference:
            boxes.note("bad_exif", "the EXIF is not in this file, or made of other items; not read")
            return None
        if extents > MAX_EXTENTS or (stride == 0 and extents != 1):
            boxes.note("damaged", f"the EXIF is said to lie in {extents} pieces")
            return None
        pieces = []
        for _ in range(extents):
            piece = data[at + index_size : at + stride]
            if len(piece) < offset_size + length_size:
                break
            offset = int.from_bytes(piece[:offset_size], "big")
            pieces.append((base + offset, int.from_bytes(piece[offset_size:], "big")))
            at += stride
        return Location(method == 1, tuple(pieces))
    boxes.note("damaged", "there is EXIF, but its place is missing in the table of places")
    return None


def _item_source(boxes: Boxes, tables: Tables, where: Location, source: Source) -> Source | None:
    """An item's bytes as a source; a length of 0 means to the end."""
    whole: Source = source
    if where.in_idat:
        if tables.data is None:
            return None
        whole = SliceSource(source, tables.data.start, tables.data.size)
    slices = []
    for offset, length in where.extents:
        there = max(0, whole.size - offset)
        if length > there:
            boxes.note("truncated", "the EXIF goes on behind the end of the file")
        slices.append(SliceSource(whole, min(offset, whole.size), min(length or there, there)))
    if len(slices) == 1:
        return slices[0]
    joined = b""
    for piece in slices:
        joined += piece.read_at(0, min(piece.size, MAX_ITEM - len(joined)))
    return BytesSource(joined)


def _tiff_start(boxes: Boxes, data: Source) -> int | None:
    """Where the TIFF header is: the item's first four bytes say how far behind them (ISO/IEC 23008-12 annex A.2.1).

    Some writers forget those, some count wrongly, some put the JPEG marker's "Exif" in front and do not count it.
    """
    head = data.read_at(0, 64)
    declared = number(head, 0, 4)
    if declared is not None and declared + 8 <= data.size:
        start = declared + 4
        first = data.read_at(start, 10)
        if first[:4] in _TIFF:
            return start
        if first[:6] == b"Exif\0\0" and first[6:] in _TIFF:
            return start + 6
    elif declared is not None and declared + 4 > data.size and head[:4] not in (b"Exif", *_TIFF):
        boxes.note("damaged", f"the EXIF is said to begin {declared} bytes into an item of {data.size}")
    places = [head.find(mark) for mark in _TIFF]
    return min((place for place in places if place >= 0), default=None)


_TIFF = (b"II*\0", b"MM\0*")


def _size(boxes: Boxes, tables: Tables) -> tuple[int | None, int | None]:
    """Width and height of the primary item as stored, by its `ispe` property (ISO/IEC 23008-12 section 6.5.3)."""
    container = associations = None
    for box in boxes.inside(tables.properties) if tables.properties else ():
        if box.name == b"ipco":
            container = box
        elif box.name == b"ipma" and associations is None:
            associations = _associated(boxes.payload(box, MAX_TABLE), tables.primary)
    if container is None:
        return None, None
    sizes: dict[int, tuple[int, int]] = {}
    for index, box in enumerate(boxes.inside(container), 1):
        if box.name == b"ispe":
            data = boxes.payload(box, 12)
            width, height = number(data, 4, 4), number(data, 8, 4)
            if width and height and max(width, height) <= MAX_SIDE:
                sizes[index] = width, height
    for index in associations or ():
        if index in sizes:
            return sizes[index]
    # No primary item, or nothing said about it: the biggest is the picture, smaller ones are tiles and thumbnails.
    return max(sizes.values(), key=lambda size: size[0] * size[1], default=(None, None))


def _associated(data: bytes, item: int | None) -> list[int] | None:
    """The properties of an item, as numbers in `ipco` from 1 (ISO/IEC 14496-12 section 8.11.14, `ipma`)."""
    count = number(data, 4, 4)
    if count is None or item is None:
        return None
    id_size = 4 if data[0] else 2
    wide = data[3] & 1  # numbers of 15 bits behind the "essential" bit, not of 7
    at = 8
    for _ in range(min(count, len(data) // (id_size + 1))):
        found, entries = number(data, at, id_size), number(data, at + id_size, 1)
        if found is None or entries is None:
            return None
        at += id_size + 1
        size = 2 if wide else 1
        if found == item:
            numbers = (number(data, at + i * size, size) for i in range(entries))
            return [one & (0x7FFF if wide else 0x7F) for one in numbers if one is not None]
        at += entries * size
    return None


def read_cr3(source: Source) -> Picture:
    """Size and EXIF of a Canon CR3: TIFF blocks in a uuid box of its `moov`, and tracks of the pictures' sizes.

    Raises MediaError where there is no `moov`, and the OSError of a failed read.
    """
    clip = read_movie(source)
    boxes = Boxes(source, "image")
    blocks: dict[bytes, bytes] = {}
    for moov in boxes.top():
        if moov.name == b"moov":
            for box in boxes.inside(moov):
                if box.user_type == _CANON:
                    blocks = {
                        inner.name: boxes.payload(inner, MAX_ITEM)
                        for inner in boxes.inside(box)
                        if inner.name in (b"CMT1", b"CMT2", b"CMT4")
                    }
            break
    exif: Exif | None = None
    problems = _of_image(clip.problems)
    if blocks:
        exif, found = read_exif_parts(blocks.get(b"CMT1"), blocks.get(b"CMT2"), blocks.get(b"CMT4"))
        problems += found
    else:
        boxes.note("bad_exif", "none of the camera's directories is there")
        problems += tuple(boxes.problems)
    return Picture(width=clip.width, height=clip.height, exif=exif, problems=problems)


def _of_image(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """What of a movie's problems matters for its picture: that it has no duration and no date of its own does not."""
    return tuple(replace(p, stage="image") for p in problems if p.kind not in ("no_duration", "date"))
