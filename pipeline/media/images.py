"""Pictures: pixel size from the container's header, EXIF from where each container keeps it.

Nothing is decoded. Walks over parts of a file are bounded by a number of parts, reads by the file's real size.
"""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Callable, Iterator

from pipeline.media.exif import FIRST, read_directories, read_exif
from pipeline.media.facts import Exif, Picture
from pipeline.media.heif import read_cr3
from pipeline.media.source import BytesSource, HeadSource, SliceSource, Source
from pipeline.media.tiff import Tiff
from pipeline.problems import MediaError, Problem, noting

#: Segments or chunks of one file that are looked at; files with 5,000 and more are legal.
MOST_PARTS = 100_000
#: Bytes of an EXIF block, at most. JPEG's segments end at 64 KiB, other containers set no limit.
LARGEST_EXIF = 4 << 20
#: An EXIF block up to this size is kept for reading all of its tags.
KEPT_EXIF = 1 << 20

#: Width and height.
Size = tuple[int | None, int | None]
#: The end of a picture is looked for in so many bytes of the file's, then in four times as many before these, up to so many.
TAIL, LONGEST_TAIL = 32 << 10, 1 << 20
#: Segments before a picture; honest files have some dozens, with a colour profile or a depth map some hundreds.
MANY_SEGMENTS = 1_000
#: Pixels that a byte of a JPEG or PNG may stand for. Deflate makes 1,032 of one at most, of 8 pixels each; a JPEG of one
#: colour comes to some thousands.
PIXELS_PER_BYTE = 16_384
#: Pixels that nobody doubts.
PLAUSIBLE_PIXELS = 100_000_000


def read_image(form: str, source: Source, head: bytes) -> Picture:
    """What a picture of this form says. `head` is the first bytes of `source`.

    Raises MediaError, or OSError if reading fails.
    """
    reader = _READERS.get(form)
    if reader is None:
        raise MediaError("unsupported: no reader for the size and EXIF of this kind of picture")
    return reader(HeadSource(source, head))


def _with_exif(size: Size | None, block: bytes | None, problems: list[Problem]) -> Picture:
    """The Picture of a container that keeps EXIF in a block of its own."""
    exif: Exif | None = None
    if size is None:
        problems.append(Problem("image", "truncated", "the header that states the size is missing"))
    elif 0 in size:
        problems.append(Problem("image", "no_size", "the header states {} x {} pixels".format(*size)))
    if block is not None:
        block = block.removeprefix(b"Exif\0\0")  # WebP and PNG writers disagree about it
        with noting(problems, "exif"):
            exif, found = read_exif(BytesSource(block))
            problems.extend(found)
    width, height = size or (None, None)
    return Picture(
        width=width,
        height=height,
        exif=exif,
        exif_block=block if block is not None and len(block) <= KEPT_EXIF else None,
        problems=tuple(problems),
    )


# JPEG: ISO/IEC 10918-1 annex B; EXIF in APP1: Exif 3.0 section 4.7.2.

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_EXIF_MARK = b"Exif\0"


def _read_jpeg(source: HeadSource) -> Picture:
    problems: list[Problem] = []
    size, blocks, scan = _jpeg_segments(source, problems)
    _note_implausible(size, source, problems)
    picture = _with_exif(size, b"".join(blocks) if blocks else None, problems)
    if size is not None and not problems and not _ends(source, scan):
        problem = Problem("image", "truncated", "the picture has no end mark")
        return picture._replace(problems=(*picture.problems, problem))
    return picture


def _note_implausible(size: Size | None, source: Source, problems: list[Problem]) -> None:
    """Note a stated size that the file cannot hold. It is kept: nothing is ever allocated by it."""
    if size and size[0] and size[1] and size[0] * size[1] > max(PIXELS_PER_BYTE * source.size, PLAUSIBLE_PIXELS):
        problems.append(
            Problem("image", "implausible", f"{size[0]:,} x {size[1]:,} pixels are not in {source.size:,} bytes")
        )


def _jpeg_segments(source: HeadSource, problems: list[Problem]) -> tuple[Size | None, list[bytes], int]:
    """Size, the pieces of the EXIF block, and where the first scan begins."""
    size: Size | None = None
    blocks: list[bytes] = []
    read_at = source.read_at
    position = 2
    for number in range(MOST_PARTS):
        if number == MANY_SEGMENTS:
            problems.append(Problem("image", "odd", f"more than {MANY_SEGMENTS:,} segments before the picture"))
        start = read_at(position, 16)
        if len(start) < 4:
            if len(start) < 2 or start[1] != 0xD9:
                problems.append(Problem("image", "truncated", "the file ends in its header"))
            break
        if start[0] != 0xFF:  # decoders skip what does not belong there
            if not any(problem.kind == "damaged" for problem in problems):
                problems.append(Problem("image", "damaged", f"no JPEG mark at offset {position:,}"))
            skipped = read_at(position, 4096).find(b"\xff")
            position += skipped if skipped > 0 else 4096
            continue
        mark = start[1]
        if mark == 0xFF:  # fill byte
            position += 1
            continue
        if mark == 0xD9 or mark == 0xDA:
            break
        if mark == 0x01 or 0xD0 <= mark <= 0xD8:
            position += 2
            continue
        length = (start[2] << 8) + start[3]
        if length < 2:
            problems.append(Problem("image", "damaged", f"a segment of length {length} at offset {position:,}"))
            break
        if mark in _FRAMES and size is None and len(start) >= 9:
            height, width = struct.unpack_from(">HH", start, 5)
            size = width, height
        elif mark == 0xE1 and length < 8:
            problems.append(Problem("image", "damaged", f"an APP1 segment of length {length} at offset {position:,}"))
        elif mark == 0xE1 and start[4:9] == _EXIF_MARK:
            data = read_at(position + 10, length - 8)
            if not blocks or (len(blocks[-1]) == 65527 and data[:4] not in (b"II*\0", b"MM\0*")):
                blocks.append(data)  # a block longer than a segment goes on in the next
            if len(data) < length - 8:
                problems.append(Problem("image", "truncated", "the file ends in its EXIF block"))
                break
        position += 2 + length
    else:
        problems.append(Problem("image", "too_complex", f"more than {MOST_PARTS:,} segments"))
    return size, blocks, position


def _ends(source: Source, scan: int) -> bool:
    """There is an end mark: at the end, else, as phones append videos and notes, anywhere behind the scan's beginning.

    Taken for granted where its end costs more than all the rest."""
    end = source.size
    if not source.seekable:
        return True
    last = source.read_at(max(end - 2, 0), 2)
    if (
        last == b"\xff\xd9" or not last
    ):  # in an archive that is cut, or lies, its end is not where its header says: known there
        return bool(last)
    length = TAIL
    while end > scan:
        start = max(scan, end - length)
        if b"\xff\xd9" in source.read_at(start, end - start + 1):
            return True
        end, length = start, min(4 * length, LONGEST_TAIL)  # each read may be a request
    return False


# PNG: W3C PNG specification, third edition, sections 5 and 11.3.3.5 (eXIf).

_RAW_PROFILE = (b"Raw profile type exif\0", b"Raw profile type APP1\0")


def _read_png(source: HeadSource) -> Picture:
    problems: list[Problem] = []
    size: tuple[int, int] | None = None
    block: bytes | None = None
    for name, offset, length in _png_chunks(source, problems):
        if name == b"IHDR" and size is None:
            header = source.read_at(offset, 17)
            if len(header) >= 8:
                width, height = struct.unpack_from(">II", header)
                size = width, height
                _note_implausible(size, source, problems)
            if (
                length == 13
                and len(header) == 17
                and zlib.crc32(b"IHDR" + header[:13]) != int.from_bytes(header[13:], "big")
            ):
                problems.append(Problem("image", "damaged", "the check sum of the IHDR chunk is wrong"))
        elif name == b"eXIf" and block is None:
            block = source.read_at(offset, min(length, LARGEST_EXIF))
        elif name in (b"zTXt", b"tEXt", b"iTXt") and block is None:
            keyword = source.read_at(offset, 32)
            if keyword.startswith(_RAW_PROFILE):
                with noting(problems, "exif"):
                    block = _raw_profile(name, source.read_at(offset, min(length, LARGEST_EXIF)))
    return _with_exif(size, block, problems)


def _png_chunks(source: HeadSource, problems: list[Problem]) -> Iterator[tuple[bytes, int, int]]:
    position = 8
    for _ in range(MOST_PARTS):
        start = source.read_at(position, 8)
        if len(start) < 8:
            problems.append(Problem("image", "truncated", "the file ends before its IEND chunk"))
            return
        length, name = struct.unpack(">I4s", start)
        if not (name.isascii() and name.isalpha()):
            problems.append(Problem("image", "damaged", f"no chunk at offset {position:,}"))
            return
        if name == b"IEND":
            return
        yield name, position + 8, length
        if position + 12 + length > source.size:
            problems.append(Problem("image", "truncated", f"the chunk at offset {position:,} reaches past the end"))
            return
        position += 12 + length
    problems.append(Problem("image", "too_complex", f"more than {MOST_PARTS:,} chunks"))


def _raw_profile(name: bytes, data: bytes) -> bytes | None:
    """EXIF as ImageMagick wrote it before eXIf: hexadecimal, behind a name and a length, mostly compressed."""
    data = data.partition(b"\0")[2]
    if name == b"zTXt":
        data = zlib.decompressobj().decompress(data[1:], 3 * LARGEST_EXIF)
    elif name == b"iTXt":
        compressed, data = data[:1] == b"\1", data[2:].partition(b"\0")[2].partition(b"\0")[2]
        if compressed:
            data = zlib.decompressobj().decompress(data, 3 * LARGEST_EXIF)
    lines = data.split(b"\n", 3)
    if len(lines) < 4:
        raise MediaError("damaged: a raw profile without its header")
    hexadecimal = lines[3].translate(None, b"\n\r ")
    block = binascii.unhexlify(hexadecimal[: len(hexadecimal) // 2 * 2])
    return block if block.startswith((b"Exif\0", b"II", b"MM")) else None


# WebP: RFC 9649.


def _read_webp(source: HeadSource) -> Picture:
    problems: list[Problem] = []
    size: tuple[int, int] | None = None
    block: bytes | None = None
    end = int.from_bytes(source.read_at(4, 4), "little") + 8
    if end > source.size + 1:
        problems.append(Problem("image", "truncated", f"{end:,} bytes are stated, {source.size:,} are there"))
    position = 12
    for _ in range(MOST_PARTS):
        start = source.read_at(position, 24)
        if len(start) < 8 or position >= max(end, 12):
            break
        name, length = struct.unpack_from("<4sI", start)
        if size is None:
            size = _webp_size(name, start[8:])
        if name == b"EXIF" and block is None:
            block = source.read_at(position + 8, min(length, LARGEST_EXIF))
        position += 8 + length + (length & 1)
    return _with_exif(size, block, problems)


def _webp_size(name: bytes, data: bytes) -> tuple[int, int] | None:
    if name == b"VP8X" and len(data) >= 10:
        return int.from_bytes(data[4:7], "little") + 1, int.from_bytes(data[7:10], "little") + 1
    if name == b"VP8L" and len(data) >= 5 and data[0] == 0x2F:
        bits = int.from_bytes(data[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 " and len(data) >= 10 and data[3:6] == b"\x9d\x01\x2a":  # RFC 6386 section 9.1
        width, height = struct.unpack_from("<HH", data, 6)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _read_gif(source: HeadSource) -> Picture:
    """GIF 89a specification, sections 18 and 27."""
    data = source.read_at(6, 4)
    problems: list[Problem] = []
    size: tuple[int, int] | None = None
    if len(data) == 4:
        width, height = struct.unpack("<HH", data)
        size = width, height
        tail = source.read_at(max(source.size - 64, 0), 64).rstrip(b"\0") if source.seekable else b";"
        if not tail.endswith(b";"):
            problems.append(Problem("image", "truncated", "the picture has no end mark"))
    return _with_exif(size, None, problems)


def _read_bmp(source: HeadSource) -> Picture:
    """Windows' BITMAPFILEHEADER and the information headers behind it."""
    data = source.read_at(0, 26)
    problems: list[Problem] = []
    size: tuple[int, int] | None = None
    if len(data) == 26:
        if int.from_bytes(data[14:18], "little") == 12:
            width, height = struct.unpack_from("<HH", data, 18)
        else:
            width, height = struct.unpack_from("<ii", data, 18)
        size = abs(width), abs(height)  # a negative height means: top row first
        pixels = int.from_bytes(data[10:14], "little")
        if pixels >= source.size:
            problems.append(Problem("image", "truncated", "the pixels are missing"))
    return _with_exif(size, None, problems)


def _read_ico(source: HeadSource) -> Picture:
    """The largest picture of an icon; a byte of 0 means 256."""
    count = int.from_bytes(source.read_at(4, 2), "little")
    data = source.read_at(6, 16 * count)
    sizes = [(entry[0] or 256, entry[1] or 256) for (entry,) in struct.iter_unpack("16s", data[: len(data) // 16 * 16])]
    return _with_exif(max(sizes, default=None), None, [])


# TIFF and raw files made of TIFF directories: TIFF 6.0, TIFF/EP, DNG 1.7.

_SUBFILE, _WIDTH, _HEIGHT, _SUB_DIRECTORIES = 0x00FE, 0x0100, 0x0101, 0x014A
_STRIPS, _STRIP_SIZES = 0x0111, 0x0117
_BORDERS = (0x0004, 0x0005, 0x0006, 0x0007)  # Panasonic: top, left, bottom, right of the picture on the sensor
_TIFF_TAGS = FIRST | {_SUBFILE, _WIDTH, _HEIGHT, _SUB_DIRECTORIES, _STRIPS, _STRIP_SIZES, *_BORDERS}
#: Sub-directories that are looked at for the full picture.
SUB_DIRECTORIES = 8


def _read_tiff(source: Source) -> Picture:
    problems: list[Problem] = []
    tiff = Tiff.open(source)
    first = tiff.directory(tiff.first, _TIFF_TAGS)
    exif, found = read_directories(tiff, first)
    problems.extend(found)
    size = _numbers(first.values, _WIDTH, _HEIGHT)
    reduced = _integer(first.values.get(_SUBFILE)) or 0
    if size is None or reduced & 1:  # a thumbnail stands first, the picture in a sub-directory
        size = max(_full_sizes(tiff, first.values.get(_SUB_DIRECTORIES), problems), default=size, key=_area)
    if size is None and (edges := [_integer(first.values.get(tag)) for tag in _BORDERS]) and None not in edges:
        top, left, bottom, right = (edge or 0 for edge in edges)
        size = right - left, bottom - top
    if size is None:
        problems.append(Problem("image", "no_size", "no directory states the picture's size"))
    strips, sizes = first.values.get(_STRIPS), first.values.get(_STRIP_SIZES)
    if isinstance(strips, tuple) and isinstance(sizes, tuple):
        # Panasonic's raw files have all ones there, and the place in a tag of their own.
        ends = (
            at + length
            for at, length in zip(strips, sizes, strict=False)
            if isinstance(at, int) and isinstance(length, int) and at != 0xFFFFFFFF
        )
        if (end := max(ends, default=0)) > source.size:
            problems.append(
                Problem("image", "truncated", f"the picture reaches to {end:,}, the file to {source.size:,}")
            )
    width, height = size or (None, None)
    return Picture(width=width, height=height, exif=exif, problems=tuple(problems))


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _full_sizes(tiff: Tiff, offsets: object, problems: list[Problem]) -> Iterator[tuple[int, int]]:
    if not isinstance(offsets, tuple):
        return
    for offset in offsets[:SUB_DIRECTORIES]:
        with noting(problems, "image"):
            directory = tiff.directory(offset, {_SUBFILE, _WIDTH, _HEIGHT})
            size = _numbers(directory.values, _WIDTH, _HEIGHT)
            if size is not None and not (_integer(directory.values.get(_SUBFILE)) or 0) & 1:
                yield size


def _integer(value: object) -> int | None:
    return value[0] if isinstance(value, tuple) and value and isinstance(value[0], int) else None


def _numbers(values: dict[int, object] | object, *tags: int) -> tuple[int, int] | None:
    assert isinstance(values, dict)
    width, height = (_integer(values.get(tag)) for tag in tags)
    return (width, height) if width and height else None


# Other raw files.


def _read_raf(source: HeadSource) -> Picture:
    """Fujifilm: a whole JPEG with the EXIF block inside; offset and length of it at 84 (big-endian)."""
    offset, length = struct.unpack(">II", source.read_at(84, 8).ljust(8, b"\0"))
    return _embedded_jpeg(source, offset, length)


def _embedded_jpeg(source: Source, offset: int, length: int) -> Picture:
    inside = SliceSource(source, offset, max(0, min(length, source.size - offset)))
    if inside.read_at(0, 2) != b"\xff\xd8":
        raise MediaError("damaged: the picture inside the raw file is missing")
    return _read_jpeg(HeadSource(inside, b""))


def _read_mrw(source: HeadSource) -> Picture:
    """Minolta: blocks behind an 8-byte header; PRD has the size, TTW a TIFF block."""
    problems: list[Problem] = []
    size: tuple[int, int] | None = None
    exif: Exif | None = None
    end = 8 + int.from_bytes(source.read_at(4, 4), "big")
    position = 8
    for _ in range(64):
        start = source.read_at(position, 24)
        if len(start) < 8 or position >= end:
            break
        name, length = struct.unpack_from(">4sI", start)
        if name == b"\0PRD" and len(start) >= 24:
            height, width = struct.unpack_from(">HH", start, 20)
            size = width, height
        elif name == b"\0TTW":
            with noting(problems, "exif"):
                exif, found = read_exif(SliceSource(source, position + 8, min(length, source.size)))
                problems.extend(found)
        position += 8 + length
    if size is None:
        problems.append(Problem("image", "truncated", "the header that states the size is missing"))
    width, height = size or (None, None)
    return Picture(width=width, height=height, exif=exif, problems=tuple(problems))


def _read_x3f(source: HeadSource) -> Picture:
    """Sigma: size in the header, a JPEG with EXIF in a section that the directory at the end lists (X3F 2.x)."""
    data = source.read_at(28, 8)
    if len(data) < 8:
        raise MediaError("truncated: the file ends in its header")
    width, height = struct.unpack("<II", data)
    (directory,) = struct.unpack("<I", source.read_at(source.size - 4, 4).rjust(4, b"\0"))
    sections = source.read_at(directory + 12, 12 * 64) if source.read_at(directory, 4) == b"SECd" else b""
    problems: list[Problem] = []
    exif: Exif | None = None
    block: bytes | None = None
    for offset, length, name in struct.iter_unpack("<II4s", sections[: len(sections) // 12 * 12]):
        if name == b"IMA2" and source.read_at(offset + 28, 2) == b"\xff\xd8":
            with noting(problems, "exif"):
                inside = _embedded_jpeg(source, offset + 28, length - 28)
                if inside.exif is not None:
                    exif, block = inside.exif, inside.exif_block
                    break
    return Picture(width=width, height=height, exif=exif, exif_block=block, problems=tuple(problems))


def _read_crw(source: HeadSource) -> Picture:
    """Canon's CIFF: heaps of records from before EXIF (CIFF specification 1.0); size, make and model."""
    start, length = struct.unpack("<I", source.read_at(2, 4).ljust(4, b"\0"))[0], source.size
    found: dict[int, bytes] = {}
    heaps = [(start, length)]
    for _ in range(16):
        if not heaps:
            break
        begin, end = heaps.pop()
        (table,) = struct.unpack("<I", source.read_at(end - 4, 4).rjust(4, b"\0"))
        count = int.from_bytes(source.read_at(begin + table, 2), "little")
        records = source.read_at(begin + table + 2, 10 * min(count, 256))
        for tag, size, offset in struct.iter_unpack("<HII", records[: len(records) // 10 * 10]):
            if tag & 0x3800 in (0x2800, 0x3000) and tag >> 14 == 0:
                heaps.append((begin + offset, begin + offset + size))
            elif tag & 0x3FFF in (0x080A, 0x1810) and tag >> 14 == 0:
                found[tag & 0x3FFF] = source.read_at(begin + offset, min(size, 4096))
    names = found.get(0x080A, b"").split(b"\0")
    picture = found.get(0x1810, b"")
    width, height = struct.unpack_from("<II", picture) if len(picture) >= 8 else (None, None)
    make, model = (name.decode("latin-1").strip() or None for name in (*names, b"", b"")[:2])
    return Picture(width=width, height=height, exif=Exif(make=make, model=model))


_READERS: dict[str, Callable[[HeadSource], Picture]] = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "webp": _read_webp,
    "gif": _read_gif,
    "bmp": _read_bmp,
    "ico": _read_ico,
    "tiff": _read_tiff,
    "raf": _read_raf,
    "mrw": _read_mrw,
    "x3f": _read_x3f,
    "crw": _read_crw,
    "cr3": read_cr3,
}
