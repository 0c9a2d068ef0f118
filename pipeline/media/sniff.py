"""What a file is, by its first bytes: the form that decides which reader looks at it, and the MIME type by libmagic."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Any

#: Bytes that libmagic looks at; more do not change its answer.
SNIFFED = 2048

# Brands of ISO base media files that hold pictures (ISO/IEC 23008-12 annex B, AV1 Image File Format).
_PICTURE_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1", b"miaf",
    b"avif", b"avis", b"avci", b"avcs", b"jpeg", b"jpgs", b"vvic",
}  # fmt: skip
_MOVIE_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid", b"moof", b"styp", b"sidx"}

# First bytes -> form, where those decide.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"IIU\0", "tiff"),  # Panasonic RW2
    (b"IIRO", "tiff"),  # Olympus ORF
    (b"IIRS", "tiff"),
    (b"MMOR", "tiff"),
    (b"FUJIFILMCCD-RAW", "raf"),
    (b"\0MRM", "mrw"),
    (b"II\x1a\0\0\0HEAPCCDR", "crw"),
    (b"FOVb", "x3f"),
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (b"FLV\1", "flv"),
    (b"\0\0\1\xba", "mpegps"),
    (b"\0\0\1\xb3", "mpegps"),
    (b"\x1f\x07\0", "dv"),
    (b".RMF", "realmedia"),
    (b"OggS", "ogg"),
)
_STARTS = tuple(signature for signature, _ in _SIGNATURES)


def sniff(head: bytes) -> str:
    """The form of a file that begins with `head`; "" if it is none that we read.

    >>> sniff(b"\\xff\\xd8\\xff\\xe1"), sniff(b"\\0\\0\\0\\x18ftypheic\\0\\0\\0\\0mif1heic"), sniff(b"Hello")
    ('jpeg', 'heif', '')
    """
    if head.startswith(_STARTS):
        return next(form for signature, form in _SIGNATURES if head.startswith(signature))
    if head[:2] == b"\xff\xd8":
        return "jpeg"  # cut off behind its first mark
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _by_brands(head)
    if head[4:8] in _MOVIE_BOXES:
        return "mp4"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 16, 40, 52, 56, 64, 108, 124):
        return "bmp"
    if head[:4] == b"\0\0\1\0" and 0 < int.from_bytes(head[4:6], "little") < 256 and head[9:10] == b"\0":
        return "ico"
    for packet, start in ((188, 0), (192, 4)):  # transport stream; with a time stamp before each packet in M2TS
        marks = head[start : start + 4 * packet : packet]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return "mpegts"
    return ""


def _by_brands(head: bytes) -> str:
    size = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(max(size, 16), 256, len(head) - 3), 4))]
    if brands[0] == b"crx ":
        return "cr3"
    if brands[0] in _PICTURE_BRANDS:
        return "heif"
    if brands[0] not in (b"qt  ",) and any(b in (b"heic", b"heix", b"avif", b"mif1") for b in brands[1:]):
        # Some writers put a brand of their own first; a movie would not list a still picture's brand.
        return "heif"
    return "mp4"


@cache
def _magic() -> Any:
    """libmagic with its database as pylibmagic bundles them, whatever the system has: the same answers everywhere.

    In a program that has imported python-magic before us its library is bound already, and only its own database fits.
    """
    if "magic" in sys.modules:
        import magic

        return magic.Magic(mime=True)
    import pylibmagic

    database = str(pylibmagic.data.joinpath("magic.mgc"))

    import magic  # after pylibmagic, which makes its library the one that python-magic finds

    return magic.Magic(mime=True, magic_file=database)


# Raw formats share one container, which libmagic cannot tell apart or does not know: form and extension -> MIME type.
_RAW = {
    "3fr": "image/x-hasselblad-3fr",
    "arw": "image/x-sony-arw",
    "cr2": "image/x-canon-cr2",
    "dng": "image/x-adobe-dng",
    "erf": "image/x-epson-erf",
    "iiq": "image/x-phaseone-iiq",
    "kdc": "image/x-kodak-kdc",
    "nef": "image/x-nikon-nef",
    "nrw": "image/x-nikon-nrw",
    "orf": "image/x-olympus-orf",
    "pef": "image/x-pentax-pef",
    "rw2": "image/x-panasonic-rw2",
    "rwl": "image/x-leica-rwl",
    "sr2": "image/x-sony-sr2",
    "srw": "image/x-samsung-srw",
}
_BY_FORM = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "ico": "image/vnd.microsoft.icon",
    "heif": "image/heif",
    "tiff": "image/tiff",
    "cr3": "image/x-canon-cr3",
    "raf": "image/x-fujifilm-raf",
    "mrw": "image/x-minolta-mrw",
    "crw": "image/x-canon-crw",
    "x3f": "image/x-sigma-x3f",
    "mp4": "video/mp4",
    "matroska": "video/x-matroska",
    "avi": "video/x-msvideo",
    "asf": "video/x-ms-asf",
    "flv": "video/x-flv",
    "mpegps": "video/mpeg",
    "mpegts": "video/MP2T",
    "dv": "video/x-dv",
    "realmedia": "application/vnd.rn-realmedia",
    "ogg": "video/ogg",
}
#: What libmagic does not know; and pictures of which it says the same, if it says anything, as their signature decides.
_ALWAYS_OURS = {"cr3", "raf", "mrw", "crw", "x3f", "mpegts", "dv", "jpeg", "png", "gif", "webp"}
_PICTURES = {"jpeg", "png", "gif", "webp", "bmp", "ico", "heif", "tiff", "cr3", "raf", "mrw", "crw", "x3f"}
# What libmagic says by the same four letters, for the brands of nearly all files: asking it takes 0.1 ms.
_BY_BRAND: dict[str, dict[bytes, str]] = {
    "heif": {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"},
    "mp4": {
        b"qt  ": "video/quicktime",
        b"M4V ": "video/x-m4v",
        **dict.fromkeys((b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1"), "video/mp4"),
        **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6"), "video/3gpp"),
    },
}
_SPELLINGS = {"image/x-ms-bmp": "image/bmp", "video/x-m4v": "video/x-m4v", "image/x-icon": "image/vnd.microsoft.icon"}


def mime(head: bytes, name: str, form: str) -> str:
    """The MIME type of a file that begins with `head`, by libmagic.

    `form` is `sniff`'s answer, which stands where libmagic has none; `name` tells apart raw formats of one container.
    """
    if form in _ALWAYS_OURS:
        return _BY_FORM[form]
    if form == "tiff":
        if b"\0CR\2" in head[:12] or head[8:10] == b"CR":
            return _RAW["cr2"]
        if head[:3] == b"IIU":
            return _RAW["rw2"]
        if head[2:4] in (b"RO", b"RS", b"OR"):
            return _RAW["orf"]
        return _RAW.get(name.rpartition(".")[2].lower(), "image/tiff")
    if form == "mp4" and head[4:8] != b"ftyp":  # QuickTime is older than the box that names the brand
        return "video/quicktime"
    if form in _BY_BRAND and (known := _BY_BRAND[form].get(head[8:12])):
        return known
    answer: str = _magic().from_buffer(head[:SNIFFED])
    answer = _SPELLINGS.get(answer, answer)
    if not form:
        return answer
    if form == "heif":
        return answer if answer.startswith("image/") else "image/heif"
    if form in _PICTURES:
        return answer if answer.startswith("image/") else _BY_FORM[form]
    return answer if answer.startswith(("video/", "audio/")) else _BY_FORM[form]


def kind(mime_type: str, form: str) -> str:
    """``image``, ``video`` or ``other``: what a file counts as, and whose reader looks at it."""
    if form in _PICTURES or mime_type.startswith("image/"):
        return "image"
    if form or mime_type.startswith("video/"):
        return "video"
    return "other"


# Extensions -> what a MIME type of theirs begins with. An extension not listed agrees with everything.
_EXTENSIONS: dict[str, str] = {
    **dict.fromkeys(("jpg", "jpeg", "jpe", "jfif"), r"image/jpeg"),
    "png": r"image/png",
    "gif": r"image/gif",
    "webp": r"image/webp",
    "bmp": r"image/bmp",
    **dict.fromkeys(("tif", "tiff"), r"image/tiff"),
    "ico": r"image/vnd.microsoft.icon",
    **dict.fromkeys(("heic", "heif", "hif"), r"image/hei[cf]"),
    "avif": r"image/avif",
    # A raw file is a TIFF of its own kind; which one, the content does not always say.
    **dict.fromkeys(_RAW, r"image/(x-|tiff)"),
    "cr3": r"image/x-canon-cr3",
    "raf": r"image/x-fuji",
    "mrw": r"image/x-minolta",
    "crw": r"image/x-canon-crw",
    "x3f": r"image/x-",
    # These share a container and are renamed freely among each other; a motion photo's part has an extension of its own.
    **dict.fromkeys(
        ("mp4", "m4v", "mov", "qt", "3gp", "3g2", "3gpp", "mp", "mv", "lrv"),
        r"video/(mp4|quicktime|3gpp|x-m4v|mpeg4)|audio/(mp4|x-m4a)",
    ),
    "m4a": r"(audio|video)/",
    "mkv": r"video/(x-)?matroska",
    "webm": r"video/(webm|(x-)?matroska)",
    **dict.fromkeys(("avi", "divx"), r"video/(x-msvideo|vnd.avi)"),
    **dict.fromkeys(("wmv", "asf"), r"video/x-ms"),
    **dict.fromkeys(("mpg", "mpeg", "mod", "tod"), r"video/mp"),
    **dict.fromkeys(("mts", "m2ts", "m2t", "ts"), r"video/MP2T"),
    "flv": r"video/x-flv",
    "dv": r"video/x-dv",
}


@cache
def _pattern(extension: str) -> re.Pattern[str] | None:
    found = _EXTENSIONS.get(extension)
    return re.compile(found) if found else None


def mime_mismatch(mime_type: str, extension: str) -> bool:
    """Content and extension (lower case, no dot) disagree; unknown extensions disagree with nothing.

    >>> mime_mismatch("image/png", "jpg"), mime_mismatch("video/quicktime", "mp4"), mime_mismatch("image/jpeg", "xyz")
    (True, False, False)
    """
    expected = _pattern(extension)
    return expected is not None and expected.match(mime_type) is None
