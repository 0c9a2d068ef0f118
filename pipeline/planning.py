"""The plan: from a listing to media items with their sidecars, the state of every other file, albums, and shards.

Pure: what must be read on the way (JSON files whose names do not say what they are) is asked for by `Listing.to_read` and
handed back as Documents.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.item import Entry, MediaItem
from pipeline.problems import MediaError, Problem
from pipeline.takeout.folders import FolderKind, album_names, folder_kind, is_known_year_name, is_named, year_in
from pipeline.takeout.names import classify_name, normal
from pipeline.takeout.pairing import FolderPairing, Pair, pair_folder
from pipeline.takeout.parts import leads_astray
from pipeline.takeout.sidecar import AlbumDocument, SidecarGist, gist, parse_album

#: Raised when extraction changes what it reads from the same bytes; part of the name of every shard.
EXTRACTION_VERSION = 3

#: What one file costs besides its bytes, as so many bytes more: about 0.3 ms against 12 GB/s.
BYTES_PER_FILE = 3_000_000
#: Sidecars that are read to prove the year in a folder's name.
SAMPLE = 9
#: Shards per worker, at least (small libraries excepted), so that all end together: each costs some 8 ms of its own. And files
#: per shard, at most.
SHARDS, SHARD_FILES = 6, 512
_ASTRAY = "a path that leads out of the folder that it is unpacked in: kept as it is, never used"
#: Begins the reason of a file that is a copy of one in another part, whose name follows.
COPY = "same path and content as in part "
#: Bytes of sidecars in a shard, about, at most: its rows hold them, and are in memory together.
SHARD_TEXT = 16 << 20
#: Files per shard, at least: a shard costs some milliseconds of its own.
FEWEST_FILES = 16

_NO_PAIR = Pair()


@dataclass(frozen=True, slots=True)
class ListedFile:
    """The one final state of a listed file, and why, where the state alone does not say it."""

    path: str
    part: str
    size: int | None
    state: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Album:
    """An album folder and what its metadata file says. `title` is the folder's name where no file has one."""

    folder: str
    title: str
    metadata_path: str | None = None
    document: AlbumDocument = field(default_factory=AlbumDocument)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A sidecar whose photo is not in its folder. In an album, the photo may lie elsewhere and is in the album all the same
    (immich-go's test albumWithoutImage). `taken` is seconds since 1970."""

    sidecar: Entry
    title: str | None
    taken: int | None
    adopted: bool = False  # a photo in another folder has it (`elsewhere`)

    @property
    def folder(self) -> str:
        """The folder of the sidecar."""
        return self.sidecar.folder

    @property
    def stem(self) -> str:
        """The name of the sidecar without ".json", in the form in which names are compared."""
        return normal(self.sidecar.name[: -len(".json")])


@dataclass(frozen=True, slots=True)
class Document:
    """What a JSON file that had to be read turned out to be: its gist, its album if it is one, or why it cannot be read.

    `odd` says what in an album's file is not as it should be.
    """

    gist: SidecarGist
    album: Album | None = None
    error: str | None = None
    odd: str | None = None

    @property
    def year(self) -> int | None:
        """The year of taking (UTC) of an item's sidecar."""
        return year_of(self.gist.taken)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some media items: one task, one file of rows. Its name is a digest of all that its rows are made from."""

    name: str
    items: tuple[MediaItem, ...]

    @property
    def cost(self) -> int:
        """What it costs to work on it, in bytes that could be read meanwhile."""
        return sum(item.media.to_read + BYTES_PER_FILE for item in self.items)


@dataclass(frozen=True, slots=True)
class Plan:
    """All the work of a run. Media files are in `items`, every listed file is in `files`, each once."""

    items: tuple[MediaItem, ...]
    files: tuple[ListedFile, ...]
    albums: tuple[Album, ...]
    orphans: tuple[Orphan, ...] = ()
    folders: Mapping[str, FolderKind] = field(default_factory=dict)  # those that hold media or JSON files
    aliases: Mapping[str, str] = field(default_factory=dict)  # paths of folders as spelt otherwise -> keys of `folders`
    members: Mapping[Orphan, str] = field(default_factory=dict)  # in an album by its sidecar alone -> the file_id

    @property
    def size(self) -> int:
        """Bytes of all media files."""
        return sum(item.media.size for item in self.items)

    @property
    def to_read(self) -> int:
        """Bytes of media files that are read, about."""
        return sum(item.media.to_read for item in self.items)

    def folder_of(self, entry: Entry) -> str:
        """The path of the folder that a file was merged into, a key of `folders`."""
        return self.aliases.get(entry.folder, entry.folder)

    def counts(self) -> Counter[str]:
        """Files per state."""
        return Counter(file.state for file in self.files)


@dataclass(slots=True)
class Folder:
    """The files of one folder, merged over all parts: name -> the entries of that name, first part first.

    A name that another part spells in another Unicode form is the same name (GooglePhotosTakeoutHelper #243).
    """

    path: str
    media: dict[str, list[Entry]] = field(default_factory=dict)
    json: dict[str, list[Entry]] = field(default_factory=dict)
    pairing: FolderPairing | None = None

    def parts(self) -> set[str]:
        """The parts that have files in it."""
        return {entry.part for names in (self.media, self.json) for entries in names.values() for entry in entries}


class Listing:
    """Listed files on their way to a plan: added one by one, then paired folder by folder."""

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self.files: list[ListedFile] = []  # those whose state the name alone decides
        self.documents: dict[Entry, Document] = {}
        self.recorded: dict[Entry, int | None] = {}  # seconds since 1970 of media that names do not tell apart
        self.aliases: dict[str, str] = {}  # paths of folders that were merged into others
        self.count = 0
        self.media_files = 0
        self.bytes_to_read = 0  # of media

    def add(self, entry: Entry) -> None:
        """Sort a file by its name."""
        self.count += 1
        folder, _, name = entry.path.rpartition("/")
        what = classify_name(folder, name)
        if what.kind == "ignored":
            self.files.append(ListedFile(entry.path, entry.part, entry.size, "ignored", what.reason))
            return
        found = self.folders.get(folder)
        if found is None:
            found = self.folders[folder] = Folder(folder)
        if what.kind == "json":
            found.json.setdefault(name, []).append(entry)
            return
        found.media.setdefault(name, []).append(entry)
        self.media_files += 1
        self.bytes_to_read += entry.to_read

    def would_ignore(self, entry: Entry) -> bool:
        """The name alone says that it is neither a medium nor JSON."""
        return classify_name(entry.folder, entry.name).kind == "ignored"

    def refuse(self, path: str, part: str, size: int | None, state: str, reason: str) -> None:
        """Note a name that is not opened."""
        self.count += 1
        self.files.append(ListedFile(path, part, size, state, reason))

    def pair(self) -> None:
        """Pair every folder as far as names alone go."""
        self._merge_spellings()
        for folder in self.folders.values():
            for entries in (*folder.media.values(), *folder.json.values()):
                entries.sort(key=_rank)  # which of two counts must not hang on the order of parts
            folder.pairing = pair_folder(folder.media, folder.json)

    def _merge_spellings(self) -> None:
        """Make one of the folders, and of the names, that parts spell in different Unicode forms."""
        for spellings in _spellings(self.folders):
            folders = [self.folders[path] for path in spellings]
            if _in_different_parts(folder.parts() for folder in folders):
                first, *others = folders
                for other in others:
                    self.aliases[other.path] = first.path
                    del self.folders[other.path]
                    for mine, theirs in ((first.media, other.media), (first.json, other.json)):
                        for name, entries in theirs.items():
                            mine.setdefault(name, []).extend(entries)
        for folder in self.folders.values():
            for names in (folder.media, folder.json):
                for spellings in _spellings(names):
                    if _in_different_parts({entry.part for entry in names[name]} for name in spellings):
                        names[spellings[0]] = [entry for name in spellings for entry in names.pop(name)]

    def to_read(self) -> list[Entry]:
        """The JSON files that must be read before the pairing is final, and what proves the years in names of folders."""
        return [
            folder.json[name][0]
            for folder in self.folders.values()
            if folder.pairing
            for name in dict.fromkeys((*folder.pairing.to_read, *_sample(folder)))
            if folder.json[name][0] not in self.documents
        ]

    def to_date(self) -> list[Entry]:
        """The media whose own time must be known before the pairing is final."""
        return [
            folder.media[name][0]
            for folder in self.folders.values()
            if folder.pairing
            for name in folder.pairing.to_date
            if folder.media[name][0] not in self.recorded
        ]

    def learn(self, documents: Mapping[Entry, Document], recorded: Mapping[Entry, int | None] | None = None) -> None:
        """Pair again the folders of which something has been read: JSON files, and the time that media themselves state."""
        self.documents |= documents
        self.recorded |= recorded or {}
        for path in {self.folder_of(entry) for entry in (*documents, *(recorded or ()))}:
            folder = self.folders[path]
            folder.pairing = pair_folder(folder.media, folder.json, *self.known_of(folder))

    def folder_of(self, entry: Entry) -> str:
        """The path of the folder that a file was merged into."""
        return self.aliases.get(entry.folder, entry.folder)

    def known_of(self, folder: Folder) -> tuple[dict[str, SidecarGist], dict[str, int | None]]:
        """What has been read of a folder's JSON files and media, by name."""
        return (
            {n: self.documents[each[0]].gist for n, each in folder.json.items() if each[0] in self.documents},
            {n: self.recorded[each[0]] for n, each in folder.media.items() if each[0] in self.recorded},
        )

    def repeated(self) -> Iterator[tuple[Entry, Entry]]:
        """Pairs (later, first) of files of one path and size in several parts: copies, if their bytes agree."""
        for folder in self.folders.values():
            for entries in (*folder.media.values(), *folder.json.values()):
                for later in entries[1:]:
                    if later.size == entries[0].size:
                        yield later, entries[0]

    def plan(self, copies: frozenset[Entry] = frozenset()) -> Plan:
        """The plan; `copies` are the files of `repeated` whose bytes agree with the first's."""
        items: list[MediaItem] = []
        files = list(self.files)
        albums: list[Album] = []
        orphans: list[Orphan] = []
        kinds: dict[str, FolderKind] = {}
        metadata = self._album_files()
        parents = {parent for path in self.folders for parent in _parents(path)}
        kinds_without = {path: self._kind(self.folders[path], None) for path in self.folders}
        by_year = any(kind.kind == "year" for kind in kinds_without.values())
        for path in sorted(self.folders):
            folder = self.folders[path]
            assert folder.pairing is not None, "pair() comes first"
            album = None if path in parents and not folder.media else self._album(folder, metadata)
            album = replace(album, folder=path) if album else None
            kind = self._kind(folder, album, by_year) if album else kinds_without[path]
            if kind.kind == "day":  # what looks like an album's file is the day's
                album = None
            if kind.kind == "other" and path not in parents and not folder.media and self._holds_only_sidecars(folder):
                album, kind = Album(folder.path, folder.path.rpartition("/")[2]), FolderKind("album")
            kinds[path] = kind
            if album:
                albums.append(album)
            orphans.extend(self._orphans(folder))
            used: set[Entry] = set()
            for entry, first, item in _media_items(folder, album.title if album else None, kind, copies):
                if item is None:
                    files.append(_copy(entry, first))
                else:
                    items.append(item)
                    files.append(ListedFile(entry.path, entry.part, entry.size, "media"))
                    if item.sidecar is not None:
                        used.add(item.sidecar)
            files.extend(self._json_files(folder, album, metadata, copies, used))
        if len(files) != self.count:
            raise AssertionError(f"{self.count:,} files were listed, but {len(files):,} have a state")
        files = [_if_astray(file) for file in files]
        files.sort(key=lambda file: (file.path, file.part))
        return Plan(tuple(items), tuple(files), tuple(albums), tuple(orphans), kinds, dict(self.aliases))

    def _album_files(self) -> frozenset[Entry]:
        """The JSON files that are those of albums, by what they hold and by what other folders hold."""
        titled = [
            (entry, document.gist) for entry, document in self.documents.items() if document.gist.kind == "titled"
        ]
        names = album_names((entry.folder, entry.name, found.title) for entry, found in titled)
        return frozenset(
            entry
            for entry, document in self.documents.items()
            if document.gist.kind == "album" or (document.gist.kind == "titled" and is_named(entry.name, names))
        )

    def _year_of(self, sidecar: Entry) -> int | None:
        document = self.documents.get(sidecar)
        return document.year if document else None

    def _orphans(self, folder: Folder) -> Iterator[Orphan]:
        assert folder.pairing is not None
        for name in folder.pairing.unused:
            document = self.documents.get(folder.json[name][0])
            if document and document.gist.kind == "item" and name not in folder.pairing.redundant:
                yield Orphan(folder.json[name][0], document.gist.title, document.gist.taken)

    def _kind(self, folder: Folder, album: Album | None, by_year: bool = False) -> FolderKind:
        years = [year for entries in folder.json.values() if (year := self._year_of(entries[0])) is not None]
        title = album.document.title or "" if album else None
        return folder_kind(folder.path.rpartition("/")[2], title, years, by_year)

    def _holds_only_sidecars(self, folder: Folder) -> bool:
        """An album of which nothing is left but the sidecars of photos that lie in other folders (PhotoMigrator, help/04)."""
        documents = [self.documents.get(entries[0]) for entries in folder.json.values()]
        return bool(documents) and all(document and document.gist.kind == "item" for document in documents)

    def _album(self, folder: Folder, metadata: frozenset[Entry]) -> Album | None:
        found = [entries[0] for entries in folder.json.values() if entries[0] in metadata]
        if not found:
            return None
        # What is an album's file beyond doubt first, "metadata.json" before "metadata(1).json".
        first = min(found, key=lambda each: (self.documents[each].gist.kind != "album", len(each.name), each.name))
        return self.documents[first].album

    def _json_files(
        self,
        folder: Folder,
        album: Album | None,
        metadata: frozenset[Entry],
        copies: frozenset[Entry],
        used: set[Entry],
    ) -> Iterator[ListedFile]:
        for name, entries in folder.json.items():
            in_use = next((entry for entry in entries if entry in used), None)
            for entry in entries:
                if entry in used:
                    state, reason = "sidecar", None
                elif entry in copies:
                    yield _copy(entry, entries[0])
                    continue
                elif in_use is not None:
                    state, reason = "unmatched_sidecar", f"another file of this path, in part {in_use.part}, is used"
                elif entry is not entries[0]:
                    state, _ = self._json_state(folder, name, entries[0], album, metadata)
                    reason = f"not read, as part {entries[0].part} has another file of this path"
                else:
                    state, reason = self._json_state(folder, name, entry, album, metadata)
                yield ListedFile(entry.path, entry.part, entry.size, state, reason)

    def _json_state(
        self, folder: Folder, name: str, entry: Entry, album: Album | None, metadata: frozenset[Entry]
    ) -> tuple[str, str | None]:
        """The state of a JSON file that is no photo's sidecar here, and why."""
        document = self.documents.get(entry)
        if document is None:
            raise AssertionError(f"{entry.path!r} is neither paired nor read")
        if document.error is not None:
            return "unreadable", document.error
        if entry in metadata:
            if album is not None and album.metadata_path != entry.path:
                return (
                    "album_metadata",
                    f"a second album's in one folder: what lies there is entered under {album.title!r}",
                )
            return "album_metadata", document.odd
        if document.gist.kind != "item":
            return "other_metadata", None
        owner = folder.pairing.redundant.get(name) if folder.pairing else None
        return (
            "unmatched_sidecar",
            f"{owner} has another sidecar" if owner else "no photo or video of this name in the folder",
        )


def year_of(taken: int | None) -> int | None:
    """The year (UTC) of seconds since 1970; None where they are 0, by which Google says that there is no date."""
    try:
        return (datetime(1970, 1, 1) + timedelta(seconds=taken)).year if taken else None
    except OverflowError:
        return None


def _spellings(paths: Iterable[str]) -> list[list[str]]:
    """Paths, or names, that differ in their Unicode form or in no-break spaces alone, as groups."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if not path.isascii():
            groups[normal(path)].append(path)
    # A French container has a no-break space in one part and, unpacked otherwise, a plain blank in another.
    plain = {path for path in paths if path.isascii() and path in groups}
    for path in plain:
        groups[path].append(path)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _in_different_parts(parts: Iterable[set[str]]) -> bool:
    """No part has two of them: then they are one. Two spellings in one part are two files."""
    each = list(parts)
    return sum(map(len, each)) == len(set().union(*each))


def _rank(entry: Entry) -> tuple[int, int, str, int]:
    """The order of files of one path in several parts: the largest first, as a cut copy is smaller; then by content."""
    return -entry.size, -1 if entry.crc32 is None else entry.crc32, entry.part, entry.at or 0


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _sample(folder: Folder) -> list[str]:
    """Sidecars that tell whether the year in a folder's name is that of its items, where the name alone does not."""
    name = folder.path.rpartition("/")[2]
    if folder.pairing is None or is_known_year_name(name) or year_in(name) is None:
        return []
    return sorted({pair.sidecar for pair in folder.pairing.pairs.values() if pair.sidecar is not None})[:SAMPLE]


def _copy(later: Entry, first: Entry) -> ListedFile:
    return ListedFile(later.path, later.part, later.size, "ignored", f"{COPY}{first.part}")


def _if_astray(file: ListedFile) -> ListedFile:
    return file if file.reason or not leads_astray(file.path) else replace(file, reason=_ASTRAY)


def _media_items(
    folder: Folder, album: str | None, kind: FolderKind, copies: frozenset[Entry]
) -> Iterator[tuple[Entry, Entry, MediaItem | None]]:
    """Every media entry of a folder, the first of its name, and its item, or None for a copy."""
    assert folder.pairing is not None
    for name in sorted(folder.media):
        entries = folder.media[name]
        pair = folder.pairing.pairs.get(name, _NO_PAIR)
        sidecars = folder.json[pair.sidecar] if pair.sidecar is not None else ()
        original = file_id(folder.media[pair.edited_of][0].path) if pair.edited_of is not None else None
        partner = file_id(folder.media[pair.live_partner][0].path) if pair.live_partner is not None else None
        for number, entry in enumerate(entries):
            if copies and entry in copies:
                yield entry, entries[0], None
                continue
            problems = pair.problems
            if number:
                message = f"part {entries[0].part} holds another file of this path"
                problems = (Problem("pair", "same_path", message), *problems)
            if leads_astray(entry.path):
                problems = (Problem("list", "odd_path", f"part {entry.part} has {_ASTRAY}"), *problems)
            item = MediaItem(
                media=entry,
                file_id=file_id(entry.path, number and sum(other.path == entry.path for other in entries[:number])),
                sidecar=_of_part(sidecars, entry.part, copies) if sidecars else None,
                sidecar_rule=pair.rule,
                edited_of=original,
                live_partner=partner,
                album=album,
                folder_kind=kind.kind,
                folder_date=kind.date,
                problems=problems,
            )
            yield entry, entries[0], item


def _of_part(entries: Sequence[Entry], part: str, copies: frozenset[Entry]) -> Entry:
    """The sidecar out of the medium's own part, where several parts have one of this path."""
    if len(entries) == 1:
        return entries[0]
    return next((entry for entry in entries if entry.part == part and entry not in copies), entries[0])


def file_id(path: str, number: int = 0) -> str:
    """The id of a file: 16 hex digits of BLAKE2b over the bytes of its path in the export.

    `number` tells later files of the same path apart, which other parts hold with other content.
    """
    data = os.fsencode(path)
    if number:
        data += b"\0%d" % number
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def read_document(data: bytes, entry: Entry) -> Document:
    """What a JSON file is. Bytes that are no JSON make a Document with `error`."""
    try:
        found = gist(data, entry.name)
        album = odd = None
        if found.kind in ("album", "titled"):
            read, problems = parse_album(data)
            title = read.title if read.title is not None else entry.folder.rpartition("/")[2]
            album = Album(entry.folder, title, entry.path, read)
            odd = "; ".join(problem.message for problem in problems) or None
    except MediaError as error:
        return unreadable_document(error.message)
    return Document(found, album, odd=odd)


def unreadable_document(reason: str) -> Document:
    """A JSON file that could not be read."""
    return Document(SidecarGist(kind="unreadable"), error=reason)


def make_shards(
    items: Sequence[MediaItem], shard_files: int = 0, all_tags: bool = False, workers: int = 1
) -> Iterator[Shard]:
    """The items in order, cut into shards of about equal cost; `shard_files` > 0 is the most files in one."""
    most_files = shard_files or SHARD_FILES
    fewest = min(FEWEST_FILES, most_files)
    total = sum(item.media.to_read + BYTES_PER_FILE for item in items)
    enough = max(total / (SHARDS * max(workers, 2)), fewest * BYTES_PER_FILE)
    batch: list[MediaItem] = []
    cost = text = 0
    for item in items:
        batch.append(item)
        cost += item.media.to_read + BYTES_PER_FILE
        text += item.sidecar.size if item.sidecar is not None else 0
        if len(batch) >= most_files or cost >= enough or text >= SHARD_TEXT:
            yield Shard(shard_name(batch, all_tags), tuple(batch))
            batch, cost, text = [], 0, 0
    if batch:
        yield Shard(shard_name(batch, all_tags), tuple(batch))


def shard_name(items: Iterable[MediaItem], all_tags: bool = False) -> str:
    """A digest of everything that the rows of these items are made from, the version of extraction included."""
    digest = hashlib.blake2b(f"{EXTRACTION_VERSION} {all_tags}".encode(), digest_size=16)
    for item in items:
        digest.update(
            repr(
                (
                    item.media,
                    item.file_id,
                    item.sidecar,
                    item.sidecar_rule,
                    item.edited_of,
                    item.live_partner,
                    item.album,
                    item.folder_kind,
                    item.folder_date,
                    item.problems,
                )
            ).encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()
