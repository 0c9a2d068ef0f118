"""Folders: what kind of folder of the export it is, told by what it holds and by the year in its name.

No list of languages is needed for the kinds that decide anything: a year folder has a year in its name and no album's file, an
album has an album's file. Words of languages only give names to the rest (bin, archive, untitled), as labels.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.takeout.names import normal

#: Kinds of folder: by year or by day of taking, an album, an album without a title (Google puts several into one folder,
#: immich-go docs), the archive, the bin and the like, and all others.
KINDS = ("year", "day", "album", "untitled", "special", "other")

#: "Photos from 2019", "Fotos von 2019", "2019年の写真": letters, and four digits last, or first before the word for year
#: (GooglePhotosTakeoutHelper #318,
#: #461, #472, #475, #480, #482, #483; PhotoMigrator's list of patterns).
_YEAR_LAST = re.compile(r"[^\d/]*[^\d/\s_.-][ _](\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4}) ?[年년][^\d]*")
#: One folder a day, until about 2020, each with a file like an album's (GooglePhotosTakeoutHelper #8, #30).
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?: ?[#(]\d+\)?)?")
#: Photography began in 1826; the calendar of photos may run ahead of ours.
FIRST_YEAR, LAST_YEAR = 1826, 2100

#: What Google calls an album without a title (immich-go docs; google-photos-migrate langs.ts).
_UNTITLED = """
    untitled, sans titre, senza titolo, unbenannt, ohne titel, naamloos, sin título, sem título, без названия, без заглавие,
    無題, 未命名, 无标题, 無標題, nimetön, adsız, bez tytułu, bez názvu, sense títol, uden titel, uten navn, namnlös, névtelen,
    제목 없음, без назви
"""
#: The archive, the bin, the locked folder and failed videos (GooglePhotosTakeoutHelper_Neo constants.dart; PhotoMigrator).
_SPECIAL = """
    archive, archiv, archivo, archivio, archief, архив, архів, archiwum, arquivo, arxiu, arkiv, arkisto,
    arşiv, アーカイブ, 归档, 封存, 보관함, trash, bin, papierkorb, papelera, corbeille, cestino, prullenbak, lixeira,
    lixo, kosz, корзина, кошик, koš, kôš, paperera, papperskorg, papirkurv, papperskorgen, papirkurven,
    roskakori, çöp kutusu, çöp, ゴミ箱, 回收站, 垃圾桶, 휴지통, locked folder, gesperrter ordner, carpeta privada, dossier
    verrouillé, cartella bloccata, vergrendelde map, pasta trancada, папка с защитой, failed videos,
    fehlgeschlagene videos, vídeos con errores, vidéos ayant échoué, video non riusciti
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(normal(word.strip()).casefold() for word in text.replace("\n", " ").split(","))


_UNTITLED_WORDS, _SPECIAL_WORDS = _words(_UNTITLED), _words(_SPECIAL)


@dataclass(frozen=True, slots=True)
class FolderKind:
    """The kind of a folder, one of KINDS; `year` is that of a year or day folder."""

    kind: str
    year: int | None = None


def folder_kind(name: str, album_title: str | None) -> FolderKind:
    """What kind of folder this is, by its name and the title in its album's file, None where it has no such file.

    >>> folder_kind("Fotos von 2019", None), folder_kind("2019年の写真", None)
    (FolderKind(kind='year', year=2019), FolderKind(kind='year', year=2019))
    >>> folder_kind("Fotos von 2019", "Fotos von 2019").kind, folder_kind("Papierkorb", None).kind
    ('album', 'special')
    """
    name = normal(name).strip()
    day = _DAY.fullmatch(name)
    if day and _is_year(int(day[1])) and album_title in (None, "", name):
        return FolderKind("day", int(day[1]))
    plain = re.sub(r"\s*\(\d+\)$", "", name).casefold()
    if album_title is not None:
        return FolderKind("album" if album_title or plain not in _UNTITLED_WORDS else "untitled")
    year = year_in(name)
    if year is not None:
        return FolderKind("year", year)
    return FolderKind("untitled" if plain in _UNTITLED_WORDS else "special" if plain in _SPECIAL_WORDS else "other")


def year_in(name: str) -> int | None:
    """The year in the name of a year folder of any language: letters and, at either end, four digits.

    >>> year_in("Foto_s van 2021"), year_in("Photos from vacation"), year_in("Route 66 in 2021"), year_in("1 2019")
    (2021, None, None, None)
    """
    found = _YEAR_LAST.fullmatch(name) or _YEAR_FIRST.fullmatch(name)
    return int(found[1]) if found and found[1].isascii() and _is_year(int(found[1])) else None


def _is_year(number: int) -> bool:
    return FIRST_YEAR <= number <= LAST_YEAR


def album_names(titled: Iterable[tuple[str, str, str | None]]) -> frozenset[str]:
    """Which names of files that hold only a title are those of albums' files, in a language that no table has.

    `titled` are (folder, name of the JSON file, its title). All albums of an export have the same name for it, so one that
    occurs in several folders is such a name, as is one whose title is that of its folder.
    """
    folders: Counter[str] = Counter()
    agreed: set[str] = set()
    for folder, name, title in titled:
        plain = _without_counter(name)
        folders[plain] += 1
        if title and folder_agrees(folder.rpartition("/")[2], title):
            agreed.add(plain)
    return frozenset(name for name, count in folders.items() if count > 1 or name in agreed)


def is_named(name: str, names: frozenset[str]) -> bool:
    """The name of a file, but for a counter, is among `names`."""
    return _without_counter(name) in names


def _without_counter(name: str) -> str:
    return re.sub(r"\(\d+\)(?=\.json$)", "", normal(name).casefold())


def folder_agrees(folder: str, title: str) -> bool:
    """A folder of this name can be that of an album of this title: characters replaced, cut, numbered (immich-go #482).

    >>> folder_agrees("Wedding_ Anna _ Tom", "Wedding: Anna & Tom"), folder_agrees("Trip(1)", "Trip"), folder_agrees("A", "B")
    (True, True, False)
    """
    plain = _letters(re.sub(r"\(\d+\)$", "", folder))
    wanted = _letters(title)
    return bool(wanted) and (
        plain == wanted or _letters(folder) == wanted or (len(folder) >= 40 and wanted.startswith(plain))
    )


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
