"""Parts: what the INPUTs of a command amount to. Folders and archives, each a part of one export."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from pipeline.item import stored_text
from pipeline.problems import UsageError
from pipeline.storage.archives import Stamp, are_copies, fingerprint, form_of, is_archive_name, is_local, stamp_of
from pipeline.storage.files import READ_FLAGS
from pipeline.storage.remote import is_url
from pipeline.takeout.parts import SEARCHED, export_of, is_takeout, prefix_of

#: Names in a folder of results that no Takeout has together.
OF_RESULTS = ("run.json", "index.sqlite", "datapackage.json")


#: Begins the URL of a file of this machine.
_FILE = "file://"


class InputError(UsageError):
    """An INPUT that cannot be used as given."""


@dataclass(frozen=True, slots=True)
class Part:
    """One folder or archive of the export.

    `form` is ``folder``, ``zip`` or ``tar`` (compressed or not). Of a folder, `prefix` + the path below `root` is the path
    inside the export; `without` are paths below that are parts of their own. Of an archive, `root` is its path and `stamp` what
    it was when the run began. What lies behind a URL has that for a `root`, without what lets people in: a signed `query` is
    kept apart, and never written down.
    """

    name: str
    root: str
    form: str = "folder"
    prefix: str = ""
    without: frozenset[str] = frozenset()
    stamp: Stamp | None = None
    query: str = field(default="", repr=False, compare=False)

    @property
    def address(self) -> str:
        """What it is opened by."""
        return self.root + self.query

    @property
    def is_remote(self) -> bool:
        """It lies behind a URL."""
        return not is_local(self.root)

    def elsewhere(self, there: Callable[[str], str]) -> Part:
        """The part as workers of other machines see it: `there` says at which path."""
        if is_url(self.root):
            return self
        stamp = None if self.stamp is None else self.stamp._replace(anywhere=True)
        return replace(self, root=there(self.root), stamp=stamp)


@dataclass(frozen=True, slots=True)
class Refused:
    """A listed name that is not opened: `state` is ``ignored`` or ``unreadable``, `reason` says why.

    What is wrong with an archive as a whole is one too, under the archive's own name.
    """

    path: str
    part: str
    state: str
    reason: str
    size: int | None = None


def refused_part(part: Part, reasons: Sequence[str]) -> Refused:
    """What is wrong with an archive as a whole, as one of the listed names: its own."""
    more = f"; and {len(reasons) - SHOWN:,} more like these" if len(reasons) > SHOWN else ""
    return Refused(part.name, part.name, "unreadable", "; ".join(dict.fromkeys(reasons[:SHOWN])) + more)


#: Reasons that are told of one archive.
SHOWN = 5


def parts_of(inputs: Sequence[str | os.PathLike[str]]) -> tuple[list[Part], list[str]]:
    """The parts that `inputs` amount to, and the paths of archives that repeat another of them. Raises InputError."""
    folders: list[str] = []
    archives: dict[str, None] = {}
    for given in inputs:
        if _is_url(given):
            continue
        root = real_path(given)
        try:
            mode = os.stat(root).st_mode
            if stat.S_ISDIR(mode):
                os.scandir(root).close()
            elif stat.S_ISREG(mode) and (is_archive_name(root) or form_of(root)):
                archives[root] = None
                continue
        except OSError as error:
            advice = (
                "; give a Takeout as it was downloaded, or unpacked" if isinstance(error, FileNotFoundError) else ""
            )
            raise InputError(f"cannot read {_shown(given)}: {os.strerror(error.errno or 0)}{advice}") from error
        if not stat.S_ISDIR(mode):
            raise InputError(
                f"{_shown(given)} is not a folder, nor a zip, tgz or tar archive: "
                "give a Takeout as it was downloaded, or unpacked"
            )
        if all(os.path.lexists(f"{root}/{name}") for name in OF_RESULTS):
            raise InputError(f"{_shown(given)} holds the results of a scan: give the Takeout that is to be scanned")
        if root in folders:
            raise InputError(f"{_shown(given)} is given twice")
        folders.append(root)
    for root in folders:
        for other in folders:
            if root != other and is_inside(root, other):
                raise InputError(f"{_shown(root)} lies inside {_shown(other)}; give one of the two")
    parts: list[Part] = []
    for root in folders:
        beside = list(_archives_in(root))
        archives |= dict.fromkeys(beside)
        parts.extend(
            replace(part, without=part.without | {path[len(root) + 1 :] for path in beside})
            if part.root == root
            else part
            for part in folder_parts(root)
        )
    found, repeated = _without_repeated(list(archives))
    parts.extend(found)
    if urls := [os.fspath(given) for given in inputs if _is_url(given)]:
        behind, again = _parts_behind(urls)
        parts.extend(behind)
        repeated.extend(again)
    names = _unique_names([part.root for part in parts])
    return [replace(part, name=name) for name, part in zip(names, parts, strict=True)], repeated


def _is_url(given: str | os.PathLike[str]) -> bool:
    return isinstance(given, str) and "://" in given and is_url(given)


def _parts_behind(urls: Sequence[str]) -> tuple[list[Part], list[str]]:
    """The parts that URLs amount to, and those that repeat another. Raises InputError."""
    from pipeline.storage.objects import are_alike, parts_at

    parts: list[Part] = []
    repeated: list[str] = []
    places = [url.rstrip("/") for url in urls if not is_archive_name(url)]
    for one, other in permutations(places, 2):
        if is_inside(one, other):
            why = "given twice" if one == other else f"inside {shown_input(other)}; give one of the two"
            raise InputError(f"{shown_input(one)} is {why}")
    for url in urls:
        for part in sorted(parts_at(url), key=lambda part: (part.form != "folder", len(part.root), part.root)):
            if part.form != "folder" and any(part.root == other.root or are_alike(part, other) for other in parts):
                repeated.append(part.root)
                continue
            parts.append(part)
    return sorted(parts, key=lambda part: (part.form != "folder", part.root)), repeated


def source_of(part: Part) -> dict[str, Any]:
    """Where a part is, and as what it was read, as ``run.json`` has it. Paths, which may be no text, are escaped as in URLs."""
    return {
        "part": stored_text(part.name),
        "form": part.form,
        "address": _address_of(part.root),
        "prefix": quote(os.fsencode(part.prefix)),
        "without": sorted(quote(os.fsencode(path)) for path in part.without),
    }


def _address_of(root: str) -> str:
    scheme, _, place = ("file", "", root) if is_local(root) else root.partition("://")
    return f"{scheme}://{quote(os.fsencode(place), safe='/@:' if scheme != 'file' else '/')}"


def part_of(source: Mapping[str, Any]) -> Part:
    """The part that `source_of` has written down; an archive's stamp is that of now. Raises KeyError, TypeError, ValueError."""
    scheme, _, place = str(source["address"]).partition("://")
    if not place or source["form"] not in ("folder", "zip", "tar"):
        raise ValueError(source["address"])
    root = _unquoted(place) if scheme == "file" else f"{scheme}://{_unquoted(place)}"
    stamp = None
    if source["form"] != "folder":
        with suppress(OSError):  # it is gone, as who opens it will find
            stamp = stamp_of(root)
    return Part(
        str(source["part"]),
        root,
        source["form"],
        _unquoted(source["prefix"]),
        frozenset(map(_unquoted, source["without"])),
        stamp,
    )


def why_closed(part: Part) -> OSError | None:
    """Why nothing can be had of a part: its folder or archive is gone, or cannot be opened."""
    if part.is_remote:
        from pipeline.storage.objects import why_gone

        return why_gone(part)
    try:
        if part.form == "folder":
            os.scandir(part.root).close()
        else:
            os.close(os.open(part.root, READ_FLAGS))
    except OSError as error:
        return error
    return None


def _unquoted(text: str) -> str:
    return os.fsdecode(unquote_to_bytes(text))


def _archives_in(root: str) -> Iterator[str]:
    """The archives that lie directly in a folder given as INPUT, as downloaded. In a Takeout they are files like others, unless
    they are called like parts."""
    in_takeout = any(is_takeout(component) for component in root.split("/")[-SEARCHED:])
    with os.scandir(root) as entries:
        for path in sorted(e.path for e in entries if is_archive_name(e.name) and e.is_file(follow_symlinks=False)):
            if not in_takeout or export_of(path.rpartition("/")[2]):
                yield path


def _without_repeated(paths: list[str]) -> tuple[list[Part], list[str]]:
    """A part for each archive but copies of earlier ones, which browsers call ``… (1).zip``; and the copies."""
    parts: list[Part] = []
    repeated: list[str] = []
    alike: dict[bytes, list[Part]] = defaultdict(list)
    for path in sorted(paths, key=lambda path: (len(path), path)):  # "x.zip" before "x (1).zip"
        try:
            stamp, mark, form = Stamp.of(os.stat(path)), fingerprint(path), form_of(path) or "zip"
            if stamp.size and any(each.form == form and are_copies(each.root, path, form) for each in alike[mark]):
                repeated.append(path)
                continue
        except OSError:
            parts.append(Part("", path, "zip"))  # the walk says why it cannot be read
            continue
        parts.append(Part("", path, form, stamp=stamp))
        alike[mark].append(parts[-1])
    return sorted(parts, key=lambda part: part.root), repeated


def real_path(given: str | os.PathLike[str]) -> str:
    """A path as people give it, absolute, with links and ``~`` resolved; also as a ``file://`` URL (RFC 8089). Raises
    InputError if it is none."""
    if not os.fspath(given):
        raise InputError("an empty path was given")
    if os.fspath(given)[: len(_FILE)].lower() == _FILE:
        host, slash, path = os.fspath(given)[len(_FILE) :].partition("/")
        if not slash or host not in ("", "localhost"):
            raise InputError(f"{_shown(given)} names no file of this machine: file:///path does")
        given = "/" + _unquoted(path)
    if _is_url(given):
        raise InputError(f"{shown_input(given)} is a URL: this has to be a folder or file of this machine")
    if "\0" in os.fspath(given):
        raise InputError(f"{_shown(given)} is no path")
    try:
        return os.path.realpath(Path(given).expanduser())
    except RuntimeError as error:  # "~stranger"
        raise InputError(f"{_shown(given)}: {error}") from error


def library_name(given: str | os.PathLike[str]) -> str:
    """What a library is called after its first INPUT: the name of the folder, or of the export that the archive is of."""
    if _is_url(given):
        name = shown_input(given).rstrip("/").rpartition("/")[2]
        return export_of(name) or (name.rpartition(".")[0] if is_archive_name(name) else name)
    path = Path(real_path(given))
    return path.name if path.is_dir() else export_of(path.name) or path.stem


def shown_input(given: str | os.PathLike[str], resolved: bool = False) -> str:
    """An INPUT as it may be shown and kept: of a URL no password and no signature; a path as it is given, or `resolved`."""
    if _is_url(given):
        from pipeline.storage.remote import shown_url

        return shown_url(os.fspath(given))
    return real_path(given) if resolved else os.fspath(given)


def is_inside(path: str, folder: str) -> bool:
    """`path` is `folder` or lies below it (both absolute and resolved)."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _shown(path: str | os.PathLike[str]) -> str:
    return ascii(os.fspath(path)) if not os.fspath(path).isprintable() else os.fspath(path)


def _child_folders(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return []  # the walk lists it as unreadable


def _takeouts_below(root: str, children: Callable[[str], Iterable[str]], depth: int = SEARCHED) -> Iterator[str]:
    """Folders called Takeout, or nearly so, relative to `root`."""
    for child in children(root):
        if is_takeout(child):
            yield child
        elif depth > 1:
            yield from (f"{child}/{found}" for found in _takeouts_below(f"{root}/{child}", children, depth - 1))


def folder_parts(root: str, children: Callable[[str], Iterable[str]] = _child_folders) -> Iterator[Part]:
    """The parts that a folder given as INPUT amounts to, with the path of each inside the export.

    `root` is a path, or a URL without a slash at its end; `children` gives the names of the folders in one, in order.

    People give the folder that holds ``Takeout``, ``Takeout`` itself, ``Takeout/Google Photos``, or a folder in which
    several archives were unpacked side by side (``takeout-…-001/Takeout``, ``takeout-…-002/Takeout``; on a Mac ``Takeout``,
    ``Takeout 2``). What lies in none of them is a part of its own.
    """
    roots: dict[str, str] = {}
    if not is_takeout(root.rpartition("/")[2]):
        for found in _takeouts_below(root, children):
            above, _, name = f"{root}/{found}".rpartition("/")
            if name == "Takeout":
                roots[above] = ""
            else:
                roots[f"{above}/{name}"] = "Takeout/"
    roots.setdefault(root, prefix_of(root))
    for each, prefix in sorted(roots.items()):
        inner = frozenset(other[len(each) + 1 :] for other in roots if other != each and is_inside(other, each))
        yield Part("", each, prefix=prefix, without=inner)


def _unique_names(roots: list[str]) -> list[str]:
    """The shortest trailing paths that tell the roots apart.

    >>> _unique_names(["/a/x/Takeout", "/a/y/Takeout", "/b/z"])
    ['x/Takeout', 'y/Takeout', 'z']
    """
    names = []
    for root in roots:
        components = root.strip("/").split("/")
        for length in range(1, len(components) + 1):
            name = "/".join(components[-length:])
            if sum(other == "/" + name or other.endswith("/" + name) for other in roots) <= 1:
                break
        names.append(name)
    return names
