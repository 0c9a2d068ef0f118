"""The contents of some files of an index, where they lie now: in a folder, in a zip, or on the way through a tar."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.item import Entry, stored_text
from pipeline.problems import CHANGED, MediaError, Problem, noting
from pipeline.storage.folders import open_in_folder
from pipeline.storage.lookup import opened_index
from pipeline.storage.parts import Part, Refused, why_closed
from pipeline.storage.recorded import PATHS, path_of, sources_of
from pipeline.storage.tars import ENDS_INSIDE, read_tar
from pipeline.storage.zips import open_member, walk_zip

#: Bytes that are copied in memory; of more a file without a name is made. And the most that are copied at all.
IN_MEMORY, LARGEST_COPY = 64 << 20, 4 << 30
BLOCK = 1 << 20
#: Directories of zips that are kept, for whoever wants another file of them.
DIRECTORIES = 16


class Indexed(NamedTuple):
    """What an index says of one photo or video, as far as whoever looks at it again has to know."""

    file_id: str
    path: str  # as `Entry.path`
    part: str
    size: int
    crc32: int | None
    kind: str
    mime: str | None
    orientation: int | None
    duration_s: float | None


class Place(NamedTuple):
    """Where the bytes of a file are: from `start` on in what is open as `descriptor`."""

    descriptor: int
    start: int
    size: int


Found = tuple[Indexed, Place | MediaError]


def find_media(index: Path, identities: Sequence[str]) -> tuple[dict[str, Indexed], dict[str, Part]]:
    """The photos and videos of these ids that the index has, and the parts of the library by name."""
    found: dict[str, Indexed] = {}
    wanted = iter(dict.fromkeys(identities))
    with opened_index(index) as db:
        while some := list(islice(wanted, PATHS)):
            marks = ", ".join("?" * len(some))
            for identity, text, raw, part, size, crc32, *more in db.execute(
                "SELECT file_id, path, path_bytes, part, size, crc32, kind, mime, orientation, duration_s "
                f"FROM media WHERE file_id IN ({marks})",
                some,
            ):
                path, check = path_of(text, raw, part), None if crc32 is None else int(crc32, 16)
                found[identity] = Indexed(identity, path, part, size, check, *more)
        parts = {stored_text(part.name): part for part in sources_of(db)}
    return found, parts


def open_contents(media: Sequence[Indexed], parts: dict[str, Part]) -> Generator[Found, None, None]:
    """Where the bytes of each are, or why they cannot be had; open until the next is asked for.

    The order is that in which they are read: part by part, of a tar its own, as that is read but once.
    """
    of_part: dict[str, list[Indexed]] = defaultdict(list)
    for medium in media:
        of_part[medium.part].append(medium)
    for name, wanted in of_part.items():
        part = parts.get(name)
        if part is None:
            yield from _none(wanted, MediaError(f"vanished: the results do not say where {name} is"))
        elif closed := why_closed(part):
            reason = f"{stored_text(part.root)} cannot be opened ({os.strerror(closed.errno or 0)}): has it been moved?"
            yield from _none(wanted, MediaError(f"vanished: {reason}"))
        elif part.form == "tar":
            yield from _in_tar(part, wanted)
        else:
            opener = _in_folder if part.form == "folder" else _in_zip
            for medium in wanted:
                yield from _opened(medium, partial(opener, part, medium))


def _none(media: Sequence[Indexed], why: MediaError) -> Iterator[Found]:
    for medium in media:
        yield medium, why


def _opened(medium: Indexed, opening: Callable[[ExitStack], Place]) -> Iterator[Found]:
    problems: list[Problem] = []
    with ExitStack() as stack:
        place = None
        with noting(problems, "read"):
            place = opening(stack)
        yield medium, place or MediaError(f"{problems[0].kind}: {problems[0].message}")


def _in_folder(part: Part, medium: Indexed, stack: ExitStack) -> Place:
    if part.is_remote:
        from pipeline.storage.objects import open_object

        modified = None  # it need not be that of then: CRC-32 tells
        far = open_object(part, Entry(medium.path, part.name, medium.size, modified))
        return stack.enter_context(_copied(far.read_at, far.size))
    file = stack.enter_context(closing(open_in_folder(part, Entry(medium.path, part.name, medium.size))))
    return _same(medium, Place(file.descriptor, 0, file.size))


def _in_zip(part: Part, medium: Indexed, stack: ExitStack) -> Place:
    """A member of that path: of several the one that is as the index has it."""
    listed = _directory(part).get(medium.path)
    if not listed:
        raise MediaError(f"vanished: {part.name} does not have it any more")
    entries = [each for each in listed if isinstance(each, Entry)]
    if not entries:
        raise MediaError(f"unreadable: {listed[0].reason}")  # type: ignore[union-attr]
    entry = max(entries, key=lambda each: (each.size == medium.size, each.crc32 == medium.crc32))
    member = open_member(part, entry)
    if (start := member.start_of_stored) is not None and not part.is_remote:
        return _same(medium, Place(member.archive.descriptor, start, entry.size))
    return _same(medium, stack.enter_context(_copied(member.read_at, entry.size)))


def _same(medium: Indexed, place: Place) -> Place:
    if place.size != medium.size:
        raise MediaError(f"changed: it had {medium.size:,} bytes when it was scanned, now {place.size:,}: scan again")
    return place


@lru_cache(maxsize=DIRECTORIES)
def _directory(part: Part) -> dict[str, list[Entry | Refused]]:
    """What a zip has, without its sidecars."""
    found: dict[str, list[Entry | Refused]] = {}
    for each in walk_zip(part):
        if not each.path.endswith(".json"):
            found.setdefault(each.path, []).append(each)
    return found


@contextmanager
def _copied(read_at: Callable[[int, int], bytes], size: int) -> Iterator[Place]:
    """A copy of `size` bytes that nobody else can see, for as long as the block lasts."""
    if size > LARGEST_COPY:
        raise MediaError(f"too_large: {size:,} bytes are more than are copied out of an archive")
    with ExitStack() as stack:
        if size <= IN_MEMORY:
            descriptor = os.memfd_create("content")
            stack.callback(os.close, descriptor)
        else:
            descriptor = stack.enter_context(tempfile.TemporaryFile()).fileno()
        length = 0
        while block := read_at(length, BLOCK):
            left = memoryview(block)
            while left:
                left = left[os.write(descriptor, left) :]
            length += len(block)
        yield Place(descriptor, 0, length)


def _in_tar(part: Part, media: Sequence[Indexed]) -> Iterator[Found]:
    """Those that are met on one pass from front to back, which ends with the last of them; then the others."""
    waiting: dict[tuple[str, int], list[Indexed]] = defaultdict(list)
    for medium in media:
        waiting[medium.path.rpartition("/")[2], medium.size].append(medium)
    left = len(media)
    damage: list[Problem] = []
    with closing(read_tar(part, damage)) as members:
        for member, _ in members:
            alike = waiting.get((member.name.rpartition("/")[2], member.size))
            if not alike or member.content is None:
                continue
            problems: list[Problem] = []
            with ExitStack() as stack:
                place = crc32 = None
                with noting(problems, "read"):
                    place = stack.enter_context(_copied(member.content.read_at, member.size))
                    crc32 = member.content.drain()[1]
                    if member.content.ended_early:
                        raise MediaError(ENDS_INSIDE)
                why = MediaError(f"{problems[0].kind}: {problems[0].message}" if problems else CHANGED)
                match = _which(alike, crc32, member.name)
                if match is None:
                    continue
                alike.remove(match)
                left -= 1
                yield match, place if place and not problems and crc32 == match.crc32 else why
            if not left:
                return
    reason = f"damaged: {damage[0].message}" if damage else f"vanished: {part.name} does not have it any more"
    for alike in waiting.values():
        yield from _none(alike, MediaError(reason))


def _which(alike: Sequence[Indexed], crc32: int | None, name: str) -> Indexed | None:
    """Which of the media that are called alike and are of one size a member is: that of its content, else of its path.

    What is above a name in an archive is not always the path (`paths_in_export`).
    """
    named = [each for each in alike if each.path == name]
    same = [each for each in alike if crc32 is not None and each.crc32 == crc32]
    return next((each for each in (*(each for each in named if each in same), *same, *named)), None)
