"""Names as Takeout makes them: what is in a name, and how a title becomes the names of a medium and of its sidecar.

Takeout counts names in UTF-16 code units and cuts them (GooglePhotosTakeoutHelper PR #449; ente PR #4956): a medium at 51 with
its extension, a sidecar at 46 without its ``.json``. A counter, "(1)", tells namesakes apart and is not counted; a medium has
it before its last dot, a sidecar at the very end (immich-go #673; GooglePhotosTakeoutHelper #175).

Names come as `os.fsdecode` gives them, so they may hold lone surrogates; nothing here raises on those.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

#: Limits in UTF-16 units: a medium's whole name, a sidecar's name without ".json".
MEDIUM_UNITS, SIDECAR_UNITS = 51, 46
#: What newer exports put between a title and ".json"; cut like the rest.
SUPPLEMENT = ".supplemental-metadata"

#: What Google Photos adds to the stem of an edited rendition, by language of the account (immich-go docs;
#: GooglePhotosTakeoutHelper lib/extras.dart; google-photos-migrate langs.ts).
EDIT_SUFFIXES: tuple[str, ...] = (
    "-edited",  # en
    "-modifié",  # fr
    "-bearbeitet",  # de
    "-modificato",  # it
    "-bewerkt",  # nl
    "-edytowane",  # pl
    "-編集済み",  # ja
    "-ha editado",  # es
    "-editado",  # es, pt
    "-editada",  # pt
    "-editat",  # ca
    "-muokattu",  # fi
    "-düzenlendi",  # tr
    "-измененный",  # ru
    "-отредактировано",  # ru
    "-已修改",  # zh-CN
    "-编辑",  # zh-CN
    "-已編輯",  # zh-TW
    "-відредаговано",  # uk
    "-redigeret",  # da
    "-redigerad",  # sv
    "-redigert",  # no
    "-upravené",  # sk
    "-upraveno",  # cs
    "-szerkesztett",  # hu
    "-편집됨",  # ko
)
#: What Google Photos adds to the stem of what it makes itself; the same in all languages.
CREATION_SUFFIXES: tuple[str, ...] = (
    "-COLLAGE",
    "-ANIMATION",
    "-MOVIE",
    "-EFFECTS",
    "-SMILE",
    "-MIX",
    "-MOTION",
    "-PANO",
    "-POP_OUT",
    "-STYLIZED",
    "-CINEMATIC",
)

_COUNTER = re.compile(r"(.*)\((\d{1,5})\)", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f&?'/\\:*\"<>|%]")

#: Extensions of stills, the likelier half of a live photo first.
STILLS = (".heic", ".jpg", ".jpeg", ".heif", ".png", ".dng", ".webp", ".gif", ".avif")

_NO_MEDIA = {
    ".html", ".htm", ".csv", ".txt", ".md", ".pdf", ".xml", ".xmp", ".ics", ".vcf", ".mbox", ".db", ".ini", ".log",
    ".url", ".lnk", ".exe", ".doc", ".docx", ".xls", ".xlsx", ".mp3", ".wav", ".srt", ".aae", ".thm", ".part",
    ".crdownload", ".sqlite", ".ppt", ".pptx", ".odt", ".ods", ".odp", ".rtf", ".epub", ".eml", ".json5", ".jsonl",
    ".yaml", ".yml", ".toml", ".js", ".css", ".py", ".sh", ".bat", ".dll", ".iso", ".dmg", ".apk", ".parquet", ".tsv",
    ".kml", ".kmz", ".gpx", ".tcx", ".fit", ".flac", ".ogg", ".opus", ".aac", ".wma", ".vtt", ".bak", ".tmp",
}  # fmt: skip
_ARCHIVES = {".zip", ".tgz", ".gz", ".tar", ".rar", ".7z"}
_SYSTEM_NAMES = {
    ".ds_store", "thumbs.db", "desktop.ini", ".localized", ".directory", ".picasa.ini", "ehthumbs.db", "icon\r",
}  # fmt: skip
#: Folders that NAS systems and photo programs make.
_SYSTEM_FOLDERS = {
    "@eadir",
    "#recycle",
    "#snapshot",
    "@synoeastream",
    ".thumbnails",
    ".picasaoriginals",
    "$recycle.bin",
}


@dataclass(frozen=True, slots=True)
class NameClass:
    """What a file may be, by its name alone: ``json``, ``media_candidate`` or ``ignored``, and then why."""

    kind: str
    reason: str | None = None


_JSON, _MEDIA = NameClass("json"), NameClass("media_candidate")


def classify_name(folder: str, name: str) -> NameClass:
    """Sort a file by its name. What is no JSON and not known to be something else may be a medium: its content decides.

    >>> classify_name("Takeout/Google Photos/Trip", "IMG_1.MP~2").kind, classify_name("Takeout", "x.JSON").kind
    ('media_candidate', 'json')
    >>> classify_name("Takeout", "._IMG_1.jpg")
    NameClass(kind='ignored', reason='AppleDouble file of a Mac')
    """
    lower = name.lower()
    if lower.startswith("._"):
        return NameClass("ignored", "AppleDouble file of a Mac")
    if lower in _SYSTEM_NAMES or lower.startswith("synofile_thumb") or is_system_folder(folder):
        return NameClass("ignored", "made by a file manager or a NAS")
    if lower.endswith(".json"):
        return _JSON
    extension = split_extension(lower)[1]
    if extension in _ARCHIVES:
        return NameClass("ignored", "an archive among the files: to have it read, give it as an INPUT of its own")
    if extension in _NO_MEDIA:
        return NameClass("ignored", f"{extension} files are neither photos nor videos")
    return _MEDIA


@lru_cache(maxsize=64)
def is_system_folder(folder: str) -> bool:
    """A folder of a path is one that a NAS or a photo program keeps for itself."""
    return not _SYSTEM_FOLDERS.isdisjoint(folder.lower().split("/"))


def split_extension(name: str) -> tuple[str, str]:
    """Stem and extension with its dot; a dot at the start begins no extension.

    >>> split_extension("IMG_1.tar.JPG"), split_extension(".facebook"), split_extension("MVIMG_1")
    (('IMG_1.tar', '.JPG'), ('.facebook', ''), ('MVIMG_1', ''))
    """
    position = name.rfind(".")
    return (name[:position], name[position:]) if position > 0 else (name, "")


def split_counter(stem: str) -> tuple[str, str]:
    """What precedes a counter at the end, and the counter with its brackets, or "".

    >>> split_counter("IMG_1(2)"), split_counter("IMG_1")
    (('IMG_1', '(2)'), ('IMG_1', ''))
    """
    found = _COUNTER.fullmatch(stem) if stem.endswith(")") else None
    return (found[1], f"({found[2]})") if found else (stem, "")


def units(text: str) -> int:
    """Length in UTF-16 code units, in which an emoji counts twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """The longest prefix within `limit` UTF-16 units that splits no character.

    >>> cut("abc😀", 4)
    'abc'
    """
    if len(text) * 2 <= limit:
        return text
    if text.isascii():
        return text[:limit]
    used = 0
    for position, character in enumerate(text):
        used += 2 if character > "\uffff" else 1
        if used > limit:
            return text[:position]
    return text


def composed(text: str) -> str:
    """Text in NFC. To sort the marks on one letter takes Python the square of their number: more than any letter has are left
    alone, wherever they come from.

    >>> composed("Cafe\\u0301") == "Caf\\xe9", len(composed("e" + "\\u0301" * 1_000_000))
    (True, 1000001)
    """
    if len(text) <= MOST_MARKS:
        return unicodedata.normalize("NFC", text)
    # Nothing composes with what stands before an ASCII character.
    return _BEHIND_ASCII.sub(
        lambda found: found[0] if len(found[0]) > MOST_MARKS else unicodedata.normalize("NFC", found[0]), text
    )


#: Characters that follow one another without one of ASCII, at most, in text that is brought into NFC.
MOST_MARKS = 255
_BEHIND_ASCII = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")


def normal(name: str) -> str:
    """The form in which names are compared: NFC, as Macs decompose names when they unpack (GooglePhotosTakeoutHelper #243),
    with the no-break space of French exports as a blank."""
    if name.isascii():
        return name
    return composed(name).replace("\u00a0", " ")


def folded(name: str) -> str:
    """A normal name without case."""
    return name.lower() if name.isascii() else composed(name.casefold())


def sidecar_stems(title: str) -> tuple[tuple[str, str], ...]:
    """The names without ".json" that a sidecar of `title` may have, the newer spelling first, each with its rule.

    >>> sidecar_stems("IMG_1.jpg")
    (('IMG_1.jpg.supplemental-metadata', 'supplemental'), ('IMG_1.jpg', 'legacy'))
    """
    full = title + SUPPLEMENT
    short = cut(full, SIDECAR_UNITS)
    if short == full:
        return (full, "supplemental"), (title, "legacy")
    found = (short, "supplemental"), (full, "supplemental")
    short = cut(title, SIDECAR_UNITS)
    return (*found, (short, "legacy")) if short == title else (*found, (short, "legacy"), (title, "legacy"))


def medium_names(title: str) -> tuple[str, ...]:
    """The names, without a counter, that the medium of `title` may have (TakeoutExtractor README; immich-go #482).

    A cut that would split a character may keep or drop it. HTML entities are taken as they stand first, then as what they mean.

    >>> medium_names("Tom &amp; Jerry.jpg")
    ('Tom _amp; Jerry.jpg', 'Tom _ Jerry.jpg')
    """
    names: dict[str, None] = {}
    for full in full_names(title):
        stem, extension = split_extension(full)
        for more in (0, 1):
            names[cut(stem, MEDIUM_UNITS - units(extension) + more) + extension] = None
    return tuple(names)


def full_names(title: str) -> tuple[str, ...]:
    """A title as a name, before anything is cut."""
    return tuple(_FORBIDDEN.sub("_", reading) for reading in title_readings(title))


def title_readings(title: str) -> tuple[str, ...]:
    """A title as it stands, and as it reads if it is HTML."""
    if "&" not in title:
        return (title,)
    return tuple(dict.fromkeys((title, html.unescape(title))))


def is_extension(text: str) -> bool:
    """A dot and two to four letters or digits, a letter first."""
    return re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{1,3}", text) is not None


def title_agrees(title: str, medium: str) -> bool:
    """The name of a medium can come from this title: by replaced characters, a cut, a counter, another extension, an edit ...

    False is a contradiction, though no proof that the two do not belong together: a title can have nothing to do with the name.

    >>> title_agrees("Tom & Jerry", "Tom _ Jerry(1).jpg"), title_agrees("IMG_2.jpg", "IMG_1.jpg")
    (True, False)
    """
    if title == medium:
        return True
    compared = _FORBIDDEN.sub("_", normal(medium))
    stem, extension = split_extension(compared)
    base = split_counter(stem)[0]
    if title == base + extension:
        return True
    cuts = tuple(_plain(start) for start in (stem, base) if at_limit(start, extension))
    names = {_plain(name) for name in _with_originals((compared, base + extension, stem, base), extension)}
    for whole in map(normal, full_names(title)):
        for form in map(_plain, _without_extensions(whole)):
            if form in names or (cuts and form.startswith(cuts)):
                return True
    return False


_ADDED = re.compile(r"\.(?=[^.]*[A-Za-z])[A-Za-z0-9]{2,5}(~\d+)?")


def _plain(name: str) -> str:
    return folded(name).rstrip(" .")


def _without_extensions(name: str) -> Iterator[str]:
    """A name, and what is before its extension, and before one more."""
    yield name
    for _ in range(2):
        name, extension = split_extension(name)
        if not _ADDED.fullmatch(extension):
            return
        yield name


def _with_originals(names: tuple[str, ...], extension: str) -> Iterator[str]:
    """Names, and those of what they may be an edit or a creation of, without their extensions."""
    for name in names:
        for form in _without_extensions(name):
            yield form
            while original := _original(form, extension):
                yield (form := original)
                yield form + extension


def _original(stem: str, extension: str) -> str | None:
    for reading in edit_readings(stem, extension):
        return reading.original
    if found := creation_original(stem):
        return found[0]
    if short := short_edit_reading(stem):
        return short.original
    return unknown_edit(split_counter(stem)[0])


def at_limit(stem: str, extension: str) -> bool:
    """The stem of a medium is as long as it may be, so that something may have been cut off."""
    return units(stem) >= MEDIUM_UNITS - units(extension) - 1


@dataclass(frozen=True, slots=True)
class EditName:
    """A name read as that of an edited rendition: what its original's stem is, its counter, and how sure that is."""

    original: str
    counter: str
    sure: bool


def edit_readings(stem: str, extension: str) -> Iterator[EditName]:
    """How the stem of a medium can be read as that of an edited rendition, surest first.

    >>> next(edit_readings("IMG_1-bearbeitet(2)", ".jpg"))
    EditName(original='IMG_1', counter='(2)', sure=True)
    """
    base, counter = split_counter(stem)
    position = base.rfind("-")  # no suffix has another hyphen
    if position <= 0:
        return
    tail = folded(base[position:])
    if tail in _EDITS:
        yield EditName(base[:position], counter, True)
    elif at_limit(base, extension) and _is_cut_edit(tail):
        yield EditName(base[:position], counter, False)


_EDITS = frozenset(folded(normal(suffix)) for suffix in EDIT_SUFFIXES)


def short_edit_reading(stem: str) -> EditName | None:
    """A stem that ends in at least three letters of an edit's suffix.

    >>> short_edit_reading("photo-edi"), short_edit_reading("Group A-e")
    (EditName(original='photo', counter='', sure=False), None)
    """
    base, counter = split_counter(stem)
    original, hyphen, tail = base.rpartition("-")
    if original and hyphen and len(tail) >= 3 and _is_cut_edit("-" + folded(tail)):
        return EditName(original, counter, False)
    return None


def unknown_edit(base: str) -> str | None:
    """The original of what may be an edit in a language that is not known: what precedes a hyphen and a word in lower case.

    >>> unknown_edit("IMG_1-oñembohekopyre"), unknown_edit("IMG_1-BURST"), unknown_edit("IMG-new")
    ('IMG_1', None, None)
    """
    stem, hyphen, word = base.rpartition("-")
    if not hyphen or not stem or len(word) < 2 or not word.replace(" ", "").isalpha() or word != word.lower():
        return None
    return None if word.isascii() and len(word) < 4 else stem


@lru_cache(maxsize=1024)
def _is_cut_edit(tail: str) -> bool:
    return any(suffix.startswith(tail) for suffix in _EDITS)


def creation_original(stem: str) -> tuple[str, str] | None:
    """The stem and counter of that from which Google Photos made something, if the name says so.

    >>> creation_original("IMG_1-COLLAGE(1)")
    ('IMG_1', '(1)')
    """
    base, counter = split_counter(stem)
    for suffix in CREATION_SUFFIXES:
        if base.endswith(suffix) and len(base) > len(suffix):
            return base[: -len(suffix)], counter
    return None
