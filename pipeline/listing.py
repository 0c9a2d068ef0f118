"""The listing: every file of the library, sorted by name alone, packed folder by folder, and paired there.

Pure: what must be read on the way (JSON files whose names do not say what they are) is asked for by `Listing.to_read` and
handed back as Documents. A library has files by the million: some 60 bytes of each are kept, and folders unpacked one by one.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.documents import Document
from pipeline.item import Entry
from pipeline.packed import Files, in_different_parts, spellings
from pipeline.problems import Problem
from pipeline.takeout.folders import is_known_year_name, year_in
from pipeline.takeout.names import classify_name
from pipeline.takeout.pairing import RULE_MEANINGS, FolderPairing, Pair, pair_folder
from pipeline.takeout.sidecar import SidecarGist

#: Sidecars that are read to prove the year in a folder's name.
SAMPLE = 9
#: Files that are noted down for the digest at a time.
NOTED = 512
#: Entries that wait to be packed, in all folders together.
LOOSE = 8_192

_NO_PAIR = Pair()
_RULES = (None, *RULE_MEANINGS)
_NUMBERS = {rule: number for number, rule in enumerate(_RULES)}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """The one final state of a listed file, and why, where the state alone does not say it."""

    path: str
    part: str
    size: int | None
    state: str
    reason: str | None = None


class Pairing:
    """A FolderPairing, packed: for every name of a medium, in order, the numbers of its sidecar, its original and its partner
    among the names of the folder, -1 where there is none."""

    __slots__ = ("originals", "partners", "problems", "redundant", "rules", "sidecars", "to_date", "to_read", "unused")

    def __init__(self, found: FolderPairing, media: Sequence[str], json: Sequence[str]) -> None:
        pairs = [found.pairs.get(name, _NO_PAIR) for name in media]
        numbers = dict(zip(json, range(len(json)), strict=True))
        self.sidecars = array("i", [-1 if pair.sidecar is None else numbers[pair.sidecar] for pair in pairs])
        self.rules = bytes([_NUMBERS[pair.rule] for pair in pairs])
        self.originals = array("i", [_number(media, pair.edited_of) for pair in pairs])
        self.partners = array("i", [_number(media, pair.live_partner) for pair in pairs])
        self.problems: dict[int, tuple[Problem, ...]] = {
            number: pair.problems for number, pair in enumerate(pairs) if pair.problems
        }
        self.to_read, self.to_date = found.to_read, found.to_date
        self.redundant = found.redundant
        self.unused = array("i", [numbers[name] for name in found.unused])

    def rule(self, number: int) -> str | None:
        """The rule that paired the medium of this number."""
        return _RULES[self.rules[number]]


def _number(names: Sequence[str], name: str | None) -> int:
    return -1 if name is None else bisect_left(names, name)


class Folder:
    """The files of one folder, merged over all parts, what has been read of them, and how they pair.

    `documents` are JSON files that have been read, by name; `recorded` the times (seconds since 1970) that media state of
    themselves where names do not tell them apart.
    """

    __slots__ = ("documents", "json", "media", "pairing", "path", "recorded")

    def __init__(self, path: str) -> None:
        self.path = path
        self.media = Files()
        self.json = Files()
        self.documents: dict[str, Document] = {}
        self.recorded: dict[str, int | None] = {}
        self.pairing: Pairing | None = None

    def parts(self) -> set[str]:
        """The parts that have files in it."""
        return self.media.parts() | self.json.parts()

    def read(self) -> dict[str, SidecarGist]:
        """What has been read of its JSON files, by name."""
        return {name: document.gist for name, document in self.documents.items()}

    def pair(self) -> None:
        """Pair its media and sidecars with what is known of them."""
        media, json = self.media.names(), self.json.names()
        self.pairing = Pairing(pair_folder(media, json, self.read(), self.recorded), media, json)

    def to_read(self) -> list[Entry]:
        """JSON files that must be read before the pairing is final, and what proves the year in its name."""
        if self.pairing is None:
            return []
        wanted = dict.fromkeys((*self.pairing.to_read, *self._sample(self.pairing)))
        return _firsts(self.json, [name for name in wanted if name not in self.documents])

    def to_date(self) -> list[Entry]:
        """Media whose own time must be known before the pairing is final."""
        if self.pairing is None:
            return []
        return _firsts(self.media, [name for name in self.pairing.to_date if name not in self.recorded])

    def _sample(self, pairing: Pairing) -> list[str]:
        """Sidecars that tell whether the year in its name is that of its items, where the name alone does not."""
        name = self.path.rpartition("/")[2]
        if is_known_year_name(name) or year_in(name) is None:
            return []
        names = self.json.names()
        return [names[number] for number in sorted(set(pairing.sidecars) - {-1})[:SAMPLE]]


def _firsts(files: Files, wanted: Sequence[str]) -> list[Entry]:
    """The likeliest entries of some names."""
    if not wanted:
        return []
    names, starts, entries = files.names(), files.starts(), files.entries()
    return [entries[starts[bisect_left(names, name)]] for name in wanted]


class Listing:
    """Listed files on their way to a plan: added one by one, then paired folder by folder."""

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self.files: list[ListedFile] = []  # those whose state the name alone decides
        self.aliases: dict[str, str] = {}  # paths of folders that were merged into others
        self.count = 0
        self.media_files = 0
        self.bytes_to_read = 0  # of media
        self._hash = hashlib.blake2b(digest_size=16)
        self._noted: list[str] = []
        self._loose = 0

    def digest(self) -> str:
        """A digest of all that is known of the files that have been listed so far, in their order."""
        self._note_down()
        return self._hash.hexdigest()

    def _note_down(self) -> None:
        self._hash.update("\n".join(self._noted).encode("utf-8", "surrogateescape"))
        self._noted = [""]

    def _note(self, path: str, part: str, *known: object) -> None:
        """Let the digest depend on a file: no path holds a NUL."""
        self._noted.append(f"{path}\0{part}\0{known}")
        if len(self._noted) > NOTED:
            self._note_down()

    def add(self, entry: Entry) -> None:
        """Sort a file by its name."""
        self.count += 1
        self._note(entry.path, entry.part, entry.size, entry.modified_ns, entry.crc32)
        folder, _, name = entry.path.rpartition("/")
        what = classify_name(folder, name)
        if what.kind == "ignored":
            self.files.append(ListedFile(entry.path, entry.part, entry.size, "ignored", what.reason))
            return
        found = self.folders.get(folder)
        if found is None:
            found = self.folders[folder] = Folder(folder)
        self._loose += 1
        if self._loose > LOOSE:
            self._pack()
        if what.kind == "json":
            found.json.add(entry)
            return
        found.media.add(entry)
        self.media_files += 1
        self.bytes_to_read += entry.to_read

    def _pack(self) -> None:
        for folder in self.folders.values():
            folder.media.pack()
            folder.json.pack()
        self._loose = 0

    def would_ignore(self, entry: Entry) -> bool:
        """The name alone says that it is neither a medium nor JSON."""
        return classify_name(entry.folder, entry.name).kind == "ignored"

    def refuse(self, path: str, part: str, size: int | None, state: str, reason: str) -> None:
        """Note a name that is not opened."""
        # A damaged archive may state any size: such a one no file has, and no table holds.
        if size is not None and size >= 1 << 63:
            size = None
        self.count += 1
        self._note(path, part, size, state, reason)
        self.files.append(ListedFile(path, part, size, state, reason))

    def pair(self) -> None:
        """Pair every folder as far as names alone go."""
        self._merge_spellings()
        for folder in self.folders.values():
            folder.media.settle()
            folder.json.settle()
            folder.pair()

    def _merge_spellings(self) -> None:
        """Make one of the folders that parts spell in different Unicode forms."""
        for paths in spellings(self.folders):
            first, *others = (self.folders[path] for path in paths)
            if in_different_parts(folder.parts() for folder in (first, *others)):
                for other in others:
                    self.aliases[other.path] = first.path
                    del self.folders[other.path]
                    first.media.take(other.media)
                    first.json.take(other.json)

    def to_read(self) -> list[Entry]:
        """The JSON files that must be read before the pairing is final, and what proves the years in names of folders."""
        return [entry for folder in self.folders.values() for entry in folder.to_read()]

    def to_date(self) -> list[Entry]:
        """The media whose own time must be known before the pairing is final."""
        return [entry for folder in self.folders.values() for entry in folder.to_date()]

    def learn(self, documents: Mapping[Entry, Document], recorded: Mapping[Entry, int | None] | None = None) -> None:
        """Pair again the folders of which something has been read: JSON files, and the time that media themselves state."""
        learnt: dict[str, Folder] = {}
        for entry, document in documents.items():
            folder = learnt[entry.folder] = self.folder_of(entry)
            folder.documents[folder.json.name_of(entry)] = document
        for entry, moment in (recorded or {}).items():
            folder = learnt[entry.folder] = self.folder_of(entry)
            folder.recorded[folder.media.name_of(entry)] = moment
        for folder in {folder.path: folder for folder in learnt.values()}.values():
            folder.pair()

    def folder_of(self, entry: Entry) -> Folder:
        """The folder that a file was merged into."""
        return self.folders[self.aliases.get(entry.folder, entry.folder)]

    def document_of(self, entry: Entry) -> Document | None:
        """What a JSON file turned out to be, if it has been read. Of several of one name only the likeliest has been."""
        folder = self.folder_of(entry)
        return None if folder.json.have_namesakes() else folder.documents.get(folder.json.name_of(entry))

    def repeated(self) -> Iterator[tuple[Entry, Entry]]:
        """Pairs (later, first) of files of one path and size in several parts: copies, if their bytes agree."""
        for folder in self.folders.values():
            yield from folder.media.repeated()
            yield from folder.json.repeated()
