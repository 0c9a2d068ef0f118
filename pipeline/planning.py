"""The plan: from a listing to media items with their sidecars, the state of every other file, albums, and shards.

Pure. A plan holds what must be known across folders; items and files are made one by one, as they are asked for, so that of a
library by the million a folder at a time is unpacked.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from pipeline.documents import Album
from pipeline.item import Entry, MediaItem
from pipeline.listing import Folder, ListedFile, Listing
from pipeline.packed import Files
from pipeline.problems import Problem
from pipeline.takeout.folders import FolderKind, album_names, folder_kind, is_named
from pipeline.takeout.names import classify_name, normal
from pipeline.takeout.parts import leads_astray

#: Raised when extraction changes what it reads from the same bytes; part of what every row says it is made from.
EXTRACTION_VERSION = 4

#: What one file costs besides its bytes, as so many bytes more: about 0.3 ms against 12 GB/s.
BYTES_PER_FILE = 3_000_000
#: A shard is this share of a worker's share of what is left, so that the last ones are small and all workers end together.
#: And files per shard, at most; and in the shards that all workers have in memory, which take some 20 kB a file.
SHARE, SHARD_FILES, FILES_AT_A_TIME = 0.5, 512, 2048
_ASTRAY = "a path that leads out of the folder that it is unpacked in: kept as it is, never used"
#: Begins the reason of a file that is a copy of one in another part, whose name follows.
COPY = "same path and content as in part "
#: Bytes of sidecars in a shard, about, at most: its rows hold them, and are in memory together.
SHARD_TEXT = 16 << 20
#: Files per shard, at least: a shard costs some milliseconds of its own.
FEWEST_FILES = 32

Chosen = Callable[[str, int], bool]  # by the name and size of a file
State = tuple[str, str | None]  # and why
Place = tuple[str, str]  # path and part


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
class Shard:
    """Some media items: one task, one file of rows. Its name is a digest of all that its rows are made from."""

    name: str
    items: tuple[MediaItem, ...]

    @property
    def cost(self) -> int:
        """What it costs to work on it, in bytes that could be read meanwhile."""
        return sum(map(_cost, self.items))


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """One folder: what kind it is, and the states of its files.

    `states` are those of JSON files that are no sidecar in use, by their place among the entries; `copies` and `json_copies`
    the places of files whose bytes are those of the first of their name.
    """

    folder: Folder
    kind: FolderKind
    album: str | None  # its title
    copies: Set[int]
    json_copies: Set[int]
    states: Mapping[int, State]
    media: int  # without copies
    size: int

    def items(self, numbers: Iterable[int] | None = None) -> Iterator[MediaItem]:
        """The items of all media, or of those whose names have these numbers."""
        pairing = self.folder.pairing
        assert pairing is not None, "pair() comes first"
        media, spans = self.folder.media.entries(), list(self.folder.media.spans())
        json, sidecar_spans = self.folder.json.entries(), list(self.folder.json.spans())
        ids = [""] * len(spans)  # many are needed twice

        def id_of(number: int) -> str:
            if not ids[number]:
                ids[number] = file_id(media[spans[number][0]].path)
            return ids[number]

        for number in range(len(spans)) if numbers is None else numbers:
            start, end = spans[number]
            chosen = pairing.sidecars[number]
            original, partner = pairing.originals[number], pairing.partners[number]
            for place in range(start, end):
                if place in self.copies:
                    continue
                entry = media[place]
                problems = pairing.problems.get(number, ())
                if place > start:
                    message = f"part {media[start].part} holds another file of this path"
                    problems = (Problem("pair", "same_path", message), *problems)
                    identity = file_id(entry.path, sum(other.path == entry.path for other in media[start:place]))
                else:
                    identity = id_of(number)
                if leads_astray(entry.path):
                    problems = (Problem("list", "odd_path", f"part {entry.part} has {_ASTRAY}"), *problems)
                sidecar = None
                if chosen >= 0:
                    sidecar = json[_of_part(json, sidecar_spans[chosen], entry.part, self.json_copies)]
                yield MediaItem(
                    entry,
                    identity,
                    sidecar,
                    pairing.rule(number),
                    id_of(original) if original >= 0 else None,
                    id_of(partner) if partner >= 0 else None,
                    self.album,
                    self.kind.kind,
                    self.kind.date,
                    problems,
                )

    def numbers(self, chosen: Chosen) -> list[int]:
        """The numbers of names of which a file is chosen."""
        media = self.folder.media
        found = list(map(chosen, media.own_names(), media.column("size")))
        return [number for number, (start, end) in enumerate(media.spans()) if True in found[start:end]]

    def lacking(self) -> list[int]:
        """The numbers of the names of media without sidecar."""
        assert self.folder.pairing is not None
        return [number for number, sidecar in enumerate(self.folder.pairing.sidecars) if sidecar < 0]

    def namesakes(self) -> Iterator[str]:
        """The paths of which it has files of different content."""
        for files, copies in ((self.folder.media, self.copies), (self.folder.json, self.json_copies)):
            if files.have_namesakes():
                own = Counter(entry.path for place, entry in enumerate(files.entries()) if place not in copies)
                yield from (path for path, count in own.items() if count > 1)

    def files(self) -> Iterator[ListedFile]:
        """The final state of every file."""
        media, json = self.folder.media, self.folder.json
        for files, copies in ((media, self.copies), (json, self.json_copies)):
            entries = files.entries()
            usual = "media" if files is media else "sidecar"
            states = {} if files is media else self.states
            for start, end in files.spans():
                for place in range(start, end):
                    entry = entries[place]
                    state, reason = states.get(place, (usual, None))
                    if place in copies:
                        state, reason = "ignored", f"{COPY}{entries[start].part}"
                    yield ListedFile(entry.path, entry.part, entry.size, state, reason)

    def counts(self) -> Counter[str]:
        """Files per state."""
        counts = Counter(state for place, (state, _) in self.states.items() if place not in self.json_copies)
        counts["ignored"] += len(self.copies) + len(self.json_copies)
        counts["media"] += self.media
        counts["sidecar"] += len(self.folder.json) - len(self.json_copies | self.states.keys())
        return counts


@dataclass(frozen=True, slots=True)
class Plan:
    """All the work of a run. Media files are in `items`, every listed file is in `files`, each once."""

    listed: int
    to_read: int  # bytes of media files that are read, about
    planned: tuple[FolderPlan, ...]
    refused: Sequence[ListedFile]  # those whose state the name alone decides
    albums: tuple[Album, ...]
    orphans: tuple[Orphan, ...] = ()
    folders: Mapping[str, FolderKind] = field(default_factory=dict)  # those that hold media or JSON files
    aliases: Mapping[str, str] = field(default_factory=dict)  # paths of folders as spelt otherwise -> keys of `folders`
    lacking: tuple[MediaItem, ...] = ()  # those without sidecar
    borrowed: Mapping[str, MediaItem] = field(default_factory=dict)  # those with one of another folder, by file_id
    states: Mapping[Place, State] = field(default_factory=dict)  # of sidecars that other folders have a use for
    members: Mapping[Orphan, str] = field(default_factory=dict)  # in an album by its sidecar alone -> the file_id
    namesakes: Set[str] = frozenset()  # paths of which several parts have files of different content

    @property
    def media(self) -> int:
        """How many media files there are."""
        return sum(each.media for each in self.planned)

    @property
    def size(self) -> int:
        """Bytes of all media files."""
        return sum(each.size for each in self.planned)

    def items(self, chosen: Chosen | None = None) -> Iterator[MediaItem]:
        """Every media item, folder by folder, by name; only those of names that are chosen, with all others of these names."""
        for each in self.planned:
            numbers = each.numbers(chosen) if chosen else None
            if numbers is None or numbers:
                for item in each.items(numbers):
                    yield self.borrowed.get(item.file_id, item) if self.borrowed else item

    def files(self) -> Iterator[ListedFile]:
        """Every listed file with its state, by path and part. Raises AssertionError if there are not as many as were listed."""
        count = 0
        for file in _merged([(_before(each.folder), each.files) for each in self.planned], self.refused):
            count += 1
            if (known := self.states.get((file.path, file.part))) is not None:
                file = ListedFile(file.path, file.part, file.size, *known)
            elif not file.reason and leads_astray(file.path):
                file = replace(file, reason=_ASTRAY)
            yield file
        if count != self.listed:
            raise AssertionError(f"{self.listed:,} files were listed, but {count:,} have a state")

    def folder_of(self, entry: Entry) -> str:
        """The path of the folder that a file was merged into, a key of `folders`."""
        return self.aliases.get(entry.folder, entry.folder)

    def counts(self) -> Counter[str]:
        """Files per state."""
        counts = Counter(file.state for file in self.refused)
        for each in self.planned:
            counts.update(each.counts())
        adopted = sum(orphan.adopted for orphan in self.orphans)
        counts["sidecar"] += adopted
        counts["unmatched_sidecar"] -= adopted
        return +counts


def make_plan(listing: Listing, copies: Set[Entry] = frozenset()) -> Plan:
    """The plan; `copies` are the files of `Listing.repeated` whose bytes agree with the first's."""
    metadata = _album_files(listing)
    parents = {parent for path in listing.folders for parent in _parents(path)}
    kinds_without = {path: _kind(folder, None) for path, folder in listing.folders.items()}
    by_year = any(kind.kind == "year" for kind in kinds_without.values())
    planned: list[FolderPlan] = []
    albums: list[Album] = []
    orphans: list[Orphan] = []
    for path in sorted(listing.folders):
        folder = listing.folders[path]
        named = metadata.get(path, frozenset())
        album = None if path in parents and not folder.media else _album(folder, named)
        album = replace(album, folder=path) if album else None
        kind = _kind(folder, album, by_year) if album else kinds_without[path]
        if kind.kind == "day":  # what looks like an album's file is the day's
            album = None
        if kind.kind == "other" and path not in parents and not folder.media and _holds_only_sidecars(folder):
            album, kind = Album(folder.path, folder.path.rpartition("/")[2]), FolderKind("album")
        if album:
            albums.append(album)
        orphans.extend(_orphans(folder))
        planned.append(_plan_folder(folder, kind, album, named, copies))
    return Plan(
        listing.count,
        listing.bytes_to_read
        - sum(copy.to_read for copy in copies if classify_name(copy.folder, copy.name).kind != "json"),
        tuple(planned),
        listing.files,
        tuple(albums),
        tuple(orphans),
        {each.folder.path: each.kind for each in planned},
        dict(listing.aliases),
        tuple(item for each in planned if (numbers := each.lacking()) for item in each.items(numbers)),
        namesakes=frozenset(path for each in planned for path in each.namesakes()),
    )


def _album_files(listing: Listing) -> dict[str, frozenset[str]]:
    """The JSON files that are those of albums, by what they hold and by what other folders hold: names by folder."""
    names = album_names(
        (document.album.folder if document.album else folder.path, name, document.gist.title)
        for folder in listing.folders.values()
        for name, document in folder.documents.items()
        if document.gist.kind == "titled"
    )
    return {
        path: frozenset(
            name
            for name, document in folder.documents.items()
            if document.gist.kind == "album" or (document.gist.kind == "titled" and is_named(name, names))
        )
        for path, folder in listing.folders.items()
        if folder.documents
    }


def _orphans(folder: Folder) -> Iterator[Orphan]:
    assert folder.pairing is not None
    if not folder.pairing.unused:
        return
    names, starts, entries = folder.json.names(), folder.json.starts(), folder.json.entries()
    for number in folder.pairing.unused:
        document = folder.documents.get(names[number])
        if document and document.gist.kind == "item" and names[number] not in folder.pairing.redundant:
            yield Orphan(entries[starts[number]], document.gist.title, document.gist.taken)


def _kind(folder: Folder, album: Album | None, by_year: bool = False) -> FolderKind:
    years = [year for document in folder.documents.values() if (year := document.year) is not None]
    title = album.document.title or "" if album else None
    return folder_kind(folder.path.rpartition("/")[2], title, years, by_year)


def _holds_only_sidecars(folder: Folder) -> bool:
    """An album of which nothing is left but the sidecars of photos that lie in other folders (PhotoMigrator, help/04)."""
    documents = [folder.documents.get(name) for name in folder.json.names()]
    return bool(documents) and all(document and document.gist.kind == "item" for document in documents)


def _album(folder: Folder, named: Set[str]) -> Album | None:
    """What an album's file in the folder says; `named` are the names of such files there."""
    if not named:
        return None
    # What is an album's file beyond doubt first, "metadata.json" before "metadata(1).json".
    first = min(named, key=lambda name: (folder.documents[name].gist.kind != "album", len(name), name))
    return folder.documents[first].album


def _plan_folder(
    folder: Folder, kind: FolderKind, album: Album | None, metadata: Set[str], copies: Set[Entry]
) -> FolderPlan:
    copied, json_copied = _places(folder.media, copies), _places(folder.json, copies)
    return FolderPlan(
        folder,
        kind,
        album.title if album else None,
        copied,
        json_copied,
        _json_states(folder, album, metadata, copied, json_copied),
        len(folder.media) - len(copied),
        sum(size for place, size in enumerate(folder.media.column("size")) if place not in copied),
    )


def _places(files: Files, copies: Set[Entry]) -> frozenset[int]:
    if not copies or not files.have_namesakes():
        return frozenset()
    return frozenset(place for place, entry in enumerate(files.entries()) if entry in copies)


def _json_states(
    folder: Folder, album: Album | None, metadata: Set[str], copies: Set[int], json_copies: Set[int]
) -> dict[int, State]:
    """The states of the JSON files of a folder that are no sidecars in use, by their places."""
    assert folder.pairing is not None
    if not folder.json.have_namesakes():
        if not folder.pairing.unused:
            return {}
        names = folder.json.names()
        entries = folder.json.entries()
        return {
            number: _json_state(folder, names[number], entries[number], album, metadata)
            for number in folder.pairing.unused
        }
    names, entries, spans = folder.json.names(), folder.json.entries(), list(folder.json.spans())
    used = _used(folder, entries, spans, copies, json_copies)
    states: dict[int, State] = {}
    for name, (start, end) in zip(names, spans, strict=True):
        in_use = next((place for place in range(start, end) if place in used), None)
        for place in range(start, end):
            if place in used or place in json_copies:
                continue
            if in_use is not None:
                states[place] = (
                    "unmatched_sidecar",
                    f"another file of this path, in part {entries[in_use].part}, is used",
                )
                continue
            state, reason = _json_state(folder, name, entries[start], album, metadata)
            if place > start:
                reason = f"not read, as part {entries[start].part} has another file of this path"
            states[place] = state, reason
    return states


def _used(
    folder: Folder,
    json: Sequence[Entry],
    spans: Sequence[tuple[int, int]],
    copies: Set[int],
    json_copies: Set[int],
) -> set[int]:
    """The places of the sidecars that media of the folder have."""
    assert folder.pairing is not None
    parts = list(folder.media.column("part"))
    return {
        _of_part(json, spans[sidecar], parts[place], json_copies)
        for sidecar, (start, end) in zip(folder.pairing.sidecars, folder.media.spans(), strict=True)
        if sidecar >= 0
        for place in range(start, end)
        if place not in copies
    }


def _of_part(json: Sequence[Entry], span: tuple[int, int], part: str, copies: Set[int]) -> int:
    """The place of the sidecar out of the medium's own part, where several parts have one of this path."""
    start, end = span
    if end - start == 1:
        return start
    return next((place for place in range(start, end) if json[place].part == part and place not in copies), start)


def _json_state(folder: Folder, name: str, entry: Entry, album: Album | None, metadata: Set[str]) -> State:
    """The state of a JSON file that is no photo's sidecar here, and why."""
    document = folder.documents.get(name)
    if document is None:
        raise AssertionError(f"{entry.path!r} is neither paired nor read")
    if document.error is not None:
        return "unreadable", document.error
    if name in metadata:
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


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


# Files in the order of their paths


def _before(folder: Folder) -> str:
    """What comes before the paths of all files of a folder."""
    return min((*folder.media.folders(), *folder.json.folders()), default="")


def _merged(
    folders: Sequence[tuple[str, Callable[[], Iterable[ListedFile]]]], others: Iterable[ListedFile]
) -> Iterator[ListedFile]:
    """All files by path and part. Each folder comes with what is before all of its paths, and is unpacked when that is reached:
    folders that are open at a time lie inside each other."""
    waiting = sorted(folders, key=lambda each: each[0], reverse=True)
    streams: list[tuple[Place, int, ListedFile, Iterator[ListedFile]]] = []

    def begin(number: int, files: Iterable[ListedFile]) -> None:
        ordered = iter(sorted(files, key=_place))
        for first in ordered:
            heapq.heappush(streams, (_place(first), number, first, ordered))
            return

    begin(-len(waiting) - 1, others)
    while waiting or streams:
        while waiting and (not streams or waiting[-1][0] <= streams[0][0][0]):
            begin(-len(waiting), waiting.pop()[1]())
        if not streams:
            continue
        _, number, file, following = streams[0]
        yield file
        for file in following:
            heapq.heapreplace(streams, (_place(file), number, file, following))
            break
        else:
            heapq.heappop(streams)


def _place(file: ListedFile) -> Place:
    return file.path, file.part


# Shards


def file_id(path: str, number: int = 0) -> str:
    """The id of a file: 16 hex digits of BLAKE2b over the bytes of its path in the export.

    `number` tells later files of the same path apart, which other parts hold with other content.
    """
    data = os.fsencode(path)
    if number:
        data += b"\0%d" % number
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class Progress:
    """How much of a plan is still to be worked on, as far as can be told while its items are gone through."""

    def __init__(self, files: int, size: int, known: int = 0) -> None:
        """So many files in all, with `size` bytes to read; of so many the rows are `known`, if they have not changed."""
        self._left = size + files * BYTES_PER_FILE
        self._share = max(files - known, 1) / max(files, 1)
        self._passed = self._wanted = 0
        self._prior = self._left / 50 if known else 0

    def passed(self, item: MediaItem, wanted: bool) -> None:
        """An item has been looked at: it is to be worked on, or nothing is to be done for it."""
        cost = _cost(item)
        self._left -= cost
        self._passed += cost
        self._wanted += cost if wanted else 0

    def left(self) -> float:
        """What the rest will cost, if it is like what has been seen."""
        if not self._prior:
            return self._left
        return self._left * (self._wanted + self._prior * self._share) / (self._passed + self._prior)


def make_shards(
    items: Iterable[MediaItem], left: Callable[[], float], shard_files: int = 0, workers: int = 1
) -> Iterator[Shard]:
    """The items in order, cut into shards of which each costs less than those before, by what is `left` to be worked on after
    the last item that was taken; `shard_files` > 0 is the most files in one."""
    most_files = shard_files or max(FEWEST_FILES, min(SHARD_FILES, FILES_AT_A_TIME // max(workers, 1)))
    fewest = min(FEWEST_FILES, most_files) * BYTES_PER_FILE
    batch: list[MediaItem] = []
    cost = text = 0
    for item in items:
        batch.append(item)
        cost += _cost(item)
        text += item.sidecar.size if item.sidecar is not None else 0
        enough = max((left() + cost) * SHARE / max(workers, 2), fewest)
        if len(batch) >= most_files or cost >= enough or text >= SHARD_TEXT:
            yield Shard(shard_name(batch), tuple(batch))
            batch, cost, text = [], 0, 0
    if batch:
        yield Shard(shard_name(batch), tuple(batch))


def _cost(item: MediaItem) -> int:
    return item.media.to_read + BYTES_PER_FILE


def shard_name(items: Iterable[MediaItem]) -> str:
    """A digest of everything that the rows of these items are made from."""
    return hashlib.blake2b("".join([item.made_from for item in items]).encode(), digest_size=16).hexdigest()


def made_from(item: MediaItem, all_tags: bool = False, verify: bool = False, namesakes: Set[str] = frozenset()) -> str:
    """A digest of all that the row of this item will be made from: 16 hex digits for its bytes, 16 for everything.

    What changes whenever the bytes may have changed: size, time and, in an archive, the CRC-32 that it states; but not which
    part they are in, and where, save for paths that are `namesakes`: of these, two files may be of one size and time. The
    version of extraction is in both, and so are the settings that make a difference.
    """
    path, _, size, modified_ns, crc32, *_ = item.media
    checked = verify and crc32 is not None
    own = f"{EXTRACTION_VERSION} {all_tags:d}{checked:d} {item.file_id} {size} {modified_ns} {crc32}"
    own += _where(item.media, namesakes)
    content = hashlib.blake2b(own.encode(), digest_size=8).hexdigest()
    # An Entry writes itself by way of Python, a plain tuple does not.
    sidecar = item.sidecar and (item.sidecar.path + _where(item.sidecar, namesakes), *item.sidecar[2:5])
    planned = (content, path, sidecar, *item[3:10])
    return content + hashlib.blake2b(repr(planned).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _where(entry: Entry, namesakes: Set[str]) -> str:
    """The part, if nothing else may tell a file from others."""
    return f"\0{entry.part!r}" if entry.path in namesakes and entry.crc32 is None else ""
