"""Folders: what kind of folder of the export it is, told by what it holds and by the year in its name.

No list of languages is needed for the kinds that decide anything: a year folder has a year in its name, in which most of its
items were taken, and no album's file; an album has an album's file. Words of languages only name the rest (bin, archive,
untitled), as labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.takeout.names import composed, medium_names, normal

#: Kinds of folder: by year or by day of taking, an album, an album without a title (Google puts several into one folder,
#: immich-go docs), the archive, the bin and the like, and all others.
KINDS = ("year", "day", "album", "untitled", "special", "other")

#: What Google writes around the year, in the languages that were reported (GooglePhotosTakeoutHelper #318, #461, #472, #475,
#: #480, #482, #483; PhotoMigrator's list of patterns). A folder so named needs no further proof.
_YEAR_NAMES = re.compile(
    r"(?:photos from|fotos von|fotos de|fotos del|photos de|foto da|foto_s van|фото за) #|#年の写真|#年的照片|#년의 사진"
)
_YEAR = re.compile(r"[^\d]*(\d{4})[^\d]*")
#: One folder a day, until about 2020, each with a file like an album's (GooglePhotosTakeoutHelper #8, #30).
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?: ?[#(]\d+\)?)?", re.ASCII)
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


#: Files beside the albums that are none of theirs (immich-go, fakefs.go; timelinize).
_OTHER_NAMES = frozenset(
    {"print-subscriptions.json", "shared_album_comments.json", "user-generated-memory-titles.json"}
)
_UNTITLED_WORDS, _SPECIAL_WORDS = _words(_UNTITLED), _words(_SPECIAL)


@dataclass(frozen=True, slots=True)
class FolderKind:
    """The kind of a folder, one of KINDS; `date` is that of a folder by year or day: 2019, 2005-02-05."""

    kind: str
    date: str | None = None

    @property
    def year(self) -> int | None:
        """The year of the date."""
        return int(self.date[:4]) if self.date else None


def folder_kind(
    name: str, album_title: str | None, years: Sequence[int] = (), exported_by_year: bool = False
) -> FolderKind:
    """What kind of folder this is: by its name, the title in its album's file (None: it has no such file), and the years of
    taking of some of its items, which prove a year in the name that is not written as Google is known to write it.

    Where folders by year were exported, there are none by day: a date is then the title of an album.

    >>> folder_kind("Fotos von 2019", None), folder_kind("Myndir frá 2019", None, [2019, 2019, 2020])
    (FolderKind(kind='year', date='2019'), FolderKind(kind='year', date='2019'))
    >>> folder_kind("Fotos von 2019", "Fotos von 2019").kind, folder_kind("Best of 2000", None, [2015]).kind
    ('album', 'other')
    """
    name = normal(name).strip()
    day = _DAY.fullmatch(name)
    if (
        day
        and _is_day(day[1])
        and (album_title is None or (album_title in ("", name, day[1]) and not exported_by_year))
    ):
        return FolderKind("day", day[1])
    plain = _without_number(name).casefold()
    if album_title is not None:
        return FolderKind("album" if album_title or plain not in _UNTITLED_WORDS else "untitled")
    year = year_in(name)
    if year is not None and (is_known_year_name(name) or 2 * sum(each == year for each in years) > len(years)):
        return FolderKind("year", f"{year:04d}")
    return FolderKind("untitled" if plain in _UNTITLED_WORDS else "special" if plain in _SPECIAL_WORDS else "other")


def year_in(name: str) -> int | None:
    """The year in a folder's name: the only digits in it, four of them, a counter apart.

    >>> year_in("Foto_s van 2021"), year_in("2019. évi fotók(1)"), year_in("Photos from vacation"), year_in("Route 66 in 2021")
    (2021, 2019, None, None)
    """
    found = _YEAR.fullmatch(_without_number(normal(name)))
    return int(found[1]) if found and FIRST_YEAR <= int(found[1]) <= LAST_YEAR else None


def is_known_year_name(name: str) -> bool:
    """The name of a folder is written as Google is known to write those of years."""
    plain = _without_number(normal(name).strip().casefold())
    return _YEAR_NAMES.fullmatch(re.sub(r"[0-9]{4}", "#", plain)) is not None


def _without_number(name: str) -> str:
    """The name of a folder without the number that tells it from another of its name."""
    return re.sub(r"\s*\(\d+\)$", "", name)


def _is_day(text: str) -> bool:
    try:
        return FIRST_YEAR <= date.fromisoformat(text).year <= LAST_YEAR
    except ValueError:
        return False


def album_names(titled: Iterable[tuple[str, str, str | None]]) -> frozenset[str]:
    """Which names of files that hold only a title are those of albums' files, in a language that no table has.

    `titled` are (folder, name of the JSON file, its title). All albums of an export have the same name for it, so it is one of
    which some have the title of their folder, and most have that or none.
    """
    votes: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    sure: set[str] = set()
    for folder, name, title in titled:
        plain = _without_counter(name)
        agrees = bool(title) and folder_agrees(folder.rpartition("/")[2], title or "")
        folders[plain] += 1
        votes[plain] += agrees or not title
        if agrees:
            sure.add(plain)
    return frozenset(
        name for name, count in folders.items() if name not in _OTHER_NAMES and name in sure and 2 * votes[name] > count
    )


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
    if not wanted:
        return normal(folder) in {normal(title), *map(normal, medium_names(title))}
    return (
        plain == wanted
        or _letters(folder) == wanted
        or (len(folder) >= 40 and bool(plain) and wanted.startswith(plain))
    )


def _letters(text: str) -> str:
    return "".join(c for c in composed(text).casefold() if c.isalnum())
