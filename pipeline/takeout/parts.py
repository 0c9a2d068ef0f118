"""What the names of an export's parts, and of the folders at the top of each, say. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

#: What a Takeout is called, also the second one that a Mac or a browser unpacks beside the first.
_TAKEOUT = re.compile(r"Takeout( \d+| ?\(\d+\)|-\d+)?")
#: What the folder of the photos inside of it is called, by language (immich-go docs; google-photos-migrate langs.ts).
_CONTAINERS = re.compile(
    r"Google[ \u00a0](Photos|Fotos|Foto|Foto_s|Фото|Снимки|Kuvat|フォト|Fotoğraflar|相册|相簿|포토)|Fotky Google"
)
#: Folders below the top of an INPUT in which a Takeout is looked for.
SEARCHED = 3
#: ``takeout-20240101T000000Z-001``; exports of 2025 and later have a number before that of the part. All up to the Z is that of
#: one export (immich-go #380).
_PART = re.compile(r"takeout-((\d{8}T\d{6}Z)(?:-\d+)?)-(\d{3,4})(?!\d)", re.ASCII)


def is_takeout(name: str) -> bool:
    """A folder of this name is the top of an export.

    >>> is_takeout("Takeout"), is_takeout("Takeout 2"), is_takeout("takeout-20240101T000000Z-001")
    (True, True, False)
    """
    return _TAKEOUT.fullmatch(name) is not None


def prefix_of(root: str) -> str:
    """The path inside the export of a folder that is a Takeout, lies in one, or is taken for one.

    >>> prefix_of("/home/me/Takeout/Google Photos"), prefix_of("/home/me/Google Fotos"), prefix_of("/home/me/photos")
    ('Takeout/Google Photos/', 'Takeout/Google Fotos/', 'Takeout/')
    """
    components = root.split("/")
    for depth in range(min(SEARCHED, len(components))):
        if is_takeout(components[-1 - depth]):
            return "/".join(["Takeout", *components[len(components) - depth :]]) + "/"
    return f"Takeout/{components[-1]}/" if _CONTAINERS.fullmatch(components[-1]) else "Takeout/"


def is_path_in_export(name: str) -> bool:
    """A name in an archive that is the path inside the export where all others are, too.

    >>> is_path_in_export("Takeout/P/b.jpg"), is_path_in_export("./Takeout/P/b.jpg")
    (True, False)
    """
    return name.startswith("Takeout/")


def paths_in_export(names: Sequence[str]) -> Sequence[str]:
    """The paths inside the export of the members of one archive, as those of the same files in a folder.

    Names that lead astray stay as they are.

    >>> paths_in_export(["a/Takeout 2/P/b.jpg", "a/c.txt"]), paths_in_export(["Google Photos/P/a.jpg"])
    (['Takeout/P/b.jpg', 'c.txt'], ['Takeout/Google Photos/P/a.jpg'])
    >>> paths_in_export(["./Takeout/a.jpg", "./readme.txt", "../Takeout/a.jpg"])
    ['Takeout/a.jpg', 'readme.txt', '../Takeout/a.jpg']
    """
    if all(map(is_path_in_export, names)):
        return names
    names = [_undotted(name) for name in names]
    folders = dict.fromkeys(name.rpartition("/")[0] for name in names)
    tops = {folder: _takeout_in(folder) for folder in folders}
    above = {found[0] for found in tops.values() if found and not leads_astray(found[0])}  # what holds a Takeout
    starts = {folder: _start(folder, tops[folder], above) for folder in folders}
    paths = []
    for name in names:
        prefix, start = starts[name.rpartition("/")[0]]
        paths.append(name if leads_astray(name) else prefix + name[start:])
    return paths


def _undotted(name: str) -> str:
    """Without the "./" in front that ``tar czf x.tgz .`` writes."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _takeout_in(folder: str) -> tuple[str, int] | None:
    """The folders above the Takeout that a folder is or lies in, and where what is in that begins."""
    start = 0
    for each in folder.split("/", SEARCHED)[:SEARCHED]:
        end = start + len(each) + 1
        if is_takeout(each):
            return folder[:start], end
        start = end
    return None


def _start(folder: str, takeout: tuple[str, int] | None, above: set[str]) -> tuple[str, int]:
    """What comes before the names of a folder's files in the export, and how much of them is left out."""
    if takeout:
        return "Takeout/", takeout[1]
    steps = folder.split("/", SEARCHED)[:SEARCHED] if folder else []
    for depth in range(len(steps), -1, -1):
        beside = "".join(f"{each}/" for each in steps[:depth])
        if beside in above:
            return "", len(beside)
    return "Takeout/", 0


_ODD = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^(?:Takeout/)?(?:[A-Za-z]:)?[/\\]")


def leads_astray(path: str) -> bool:
    r"""A path that, unpacked with too little care, leads out of the folder.

    >>> [leads_astray(f"Takeout/{path}") for path in ("../a.jpg", "/etc/a", r"C:\a.jpg", r"..\a.jpg", "..a.jpg")]
    [True, True, True, True, False]
    """
    may_be_odd = "/." in path or "//" in path or "\\" in path or ":" in path or path[:1] in ("/", ".")
    return may_be_odd and _ODD.search(path) is not None


def export_of(path: str) -> str | None:
    """What identifies the export that a part of this path belongs to; None if neither its name nor a folder above says it.

    >>> export_of("/x/takeout-20240101T000000Z-3-001 (1).zip"), export_of("/x/photos.zip")
    ('takeout-20240101T000000Z', None)
    """
    found = _PART.findall(path)
    return f"takeout-{found[-1][1]}" if found else None


def missing_parts(paths: Iterable[str]) -> list[str]:
    """Numbers missing in the names of an export's parts (``takeout-20240101T000000Z-001``), as names.

    `paths` are those of the parts; the name may be that of a folder above.

    >>> missing_parts(["/x/takeout-20240101T000000Z-001", "/x/takeout-20240101T000000Z-003/Takeout"])
    ['takeout-20240101T000000Z-002']
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    widths: dict[str, int] = {}
    for path in paths:
        if found := _PART.findall(path):
            series, _, number = found[-1]
            numbers[series].add(int(number))
            widths[series] = min(len(number), widths.get(series, len(number)))
    return [
        f"takeout-{series}-{number:0{widths[series]}d}"
        for series, given in sorted(numbers.items())
        for number in range(1, max(given))
        if number not in given
    ]
