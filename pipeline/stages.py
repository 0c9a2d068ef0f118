"""What happens to one media item, stage by stage. Knows nothing of Dask.

Stages are chained as lazy iterators inside one task: while `extract` computes on one item, the threads of `read_sidecars`
already wait for the next ones.
"""

from __future__ import annotations

import mmap
import os
import resource
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from zlib_ng import zlib_ng

from pipeline.documents import Document, read_document, unreadable_document
from pipeline.item import OPERATIONS, Content, Entry, MediaItem
from pipeline.limits import Limits, limited, progress
from pipeline.media.facts import Clip, Exif, Picture
from pipeline.media.read import FileFacts, read_facts
from pipeline.problems import MediaError, Problem, death, noting
from pipeline.record import to_record, with_facts
from pipeline.resolve import Known, own_time
from pipeline.storage.files import OpenFile
from pipeline.storage.known import KnownWriter, known_name, writing
from pipeline.storage.library import InputFile, Library, opened
from pipeline.storage.marks import Mark, mark_path, remove_mark
from pipeline.storage.parts import Part
from pipeline.storage.shards import Row
from pipeline.storage.tars import ENDS_INSIDE, TarMember, read_tar
from pipeline.takeout.names import classify_name
from pipeline.takeout.sidecar import parse_sidecar

#: A sidecar is about 1 kB; one beyond this is refused by its size.
LARGEST_SIDECAR = 8 << 20
#: Bytes of a JSON file that is read only to find out what it is.
LARGEST_DOCUMENT = 8 << 20
#: Read size, also of what threads read ahead. Larger blocks gain nothing; mapped files kill when cut (`benchmarks.reading`).
BLOCK = 1 << 20
#: Bytes from the front of a file that are kept in memory for the readers of metadata.
HEAD = 128 << 10
#: The same of a member of an archive, of which little else is read.
MEMBER_HEAD = 16 << 10
#: Seconds above which opening an item may have waited, for a disk or a network and not for the processor: then threads do it,
#: ahead of the work. A hand-over between threads costs half of that, more than a warm read.
WAITED = 0.0002
#: Items that threads open before it is looked again whether reading still waits: at first, and, as it still did each time, at
#: most. To look costs the time of an item during which no other is read.
FIRST_AHEAD, MOST_AHEAD = 128, 8192

#: Seconds after which a thread makes way, where others wait for a network: with Python's own 0.005, an answer waits
#: as long as what it asked for took.
SWITCHED = 0.0005
#: Items of which it is told at once what is wanted of them, of what lies behind URLs.
TOLD_AT_ONCE = 32
#: Items for each thread that may be read while one takes long that comes before them.
MOST_TOLD = 4

Opened: TypeAlias = "tuple[MediaItem, InputFile | None]"


@dataclass(slots=True)
class _Waiting:
    """Whether opening the files of a library waits, as one task has found and the next goes on by."""

    library: Library | None
    suspected: bool = False  # the last one took long; it may have been for want of a processor
    ahead: int = 0  # items that threads are to open before it is looked again
    span: int = 0  # what that was when it was looked the last time

    def note(self, slow: bool, waited: bool) -> None:
        """An item has been opened without threads."""
        self.suspected = slow
        if waited:
            self.ahead = self.span = min(max(2 * self.span, FIRST_AHEAD), MOST_AHEAD)
        elif not slow:
            self.span = 0


def _waiting_for(library: Library) -> _Waiting:
    if _own.waiting.library != library:
        _own.waiting = _Waiting(library)
    return _own.waiting


def hand_out(items: Iterable[MediaItem], marks: str, limits: Limits, threads: int) -> Iterator[MediaItem]:
    """The items, with a mark in the folder `marks` of how many were asked for, and this process limited until all are done.

    All are of one shard, which then is done in the hands of `hand_in`. Where `marks` is empty, nobody else sees the mark.
    """
    counts = None
    for number, item in enumerate(items, 1):
        if counts is None:
            mark = _own.task.enter_context(closing(Mark(mark_path(marks, item.shard) if marks else "")))
            counts = _own.counts = mark.counts
            _own.task.enter_context(limited(limits, mark.descriptor, threads))
        counts[0] = number
        progress()
        yield item


def hand_in(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each noted as finished in the mark that `hand_out` has made. Raises MemoryError."""
    short = False
    try:
        for number, row in enumerate(rows, 1):
            _own.counts[1] = number
            yield row
    except MemoryError:
        short = True
    finally:
        _own.task.close()
    if short:  # anew: the other has hold of all that was in memory
        raise MemoryError


def read_sidecars(
    items: Iterable[MediaItem], library: Library, threads: int, all_tags: bool = False, verify: bool = False
) -> Iterator[Opened]:
    """Each item with its sidecar parsed and its file opened, in order.

    `threads` threads run a bounded window of items ahead of the consumer, as long as reading waits: what is in memory
    already is read sooner than it is handed over. 0 reads each item when it is asked for. What lies behind URLs they also
    `extract`, as readers of metadata ask for one piece after the other.
    """
    if library.waits and threads:
        yield from _fetched(iter(items), library, threads, all_tags, verify)
        return
    items, waiting = iter(items), _waiting_for(library)
    with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="read_sidecars") as pool:
        while True:
            if waiting.ahead and threads:
                yield from _ahead(items, library, pool, threads, waiting)
            for item in items:
                before = _times_blocked() if waiting.suspected else None
                started = perf_counter()
                item, file = _open_item(item, library)
                slow = perf_counter() - started > WAITED
                waited = slow and before is not None and _times_blocked() > before
                waiting.note(slow, waited or (file is not None and file.cold))
                yield item, file
                if waiting.ahead and threads:
                    break
            else:
                return


def _times_blocked() -> int:
    """How often this thread has given up the processor of itself, as for a disk, and not because others wanted it too."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _ahead(
    items: Iterator[MediaItem], library: Library, pool: Executor, threads: int, waiting: _Waiting
) -> Iterator[Opened]:
    """The next items, opened by the threads of the pool ahead of the consumer, in a window of two for each thread."""
    window: deque[Future[Opened]] = deque()

    def submit(most: int) -> None:
        for item in islice(items, min(most, waiting.ahead)):
            waiting.ahead -= 1
            window.append(pool.submit(_open_item, item, library, ahead=True))

    try:
        submit(2 * threads)
        while window:
            submit(1)
            yield window.popleft().result()
    finally:  # the consumer, which closes what it is given, may stop early
        for _, file in (future.result() for future in window if not future.cancel()):
            if file is not None:
                file.close()


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Have a thread that computes make way for others after so many seconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(seconds, before))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _fetched(
    items: Iterator[MediaItem], library: Library, threads: int, all_tags: bool, verify: bool
) -> Iterator[Opened]:
    """The items in order, read by threads that run ahead of the consumer at once, and of an item that takes long; what some of
    them want is told together."""
    from pipeline.storage.objects import Ahead

    finished: SimpleQueue[object] = SimpleQueue()

    def read(item: MediaItem) -> MediaItem:
        return extract(_open_item(item, library), all_tags, verify)

    window: deque[Future[MediaItem]] = deque()
    under_way = 0
    with (
        switching(SWITCHED),
        Ahead(threads) as ahead,
        ThreadPoolExecutor(threads, thread_name_prefix="read_sidecars", initializer=ahead.join) as pool,
    ):
        try:
            while True:
                while not finished.empty():
                    finished.get()
                    under_way -= 1
                room = under_way <= threads and len(window) <= MOST_TOLD * threads
                if room and (some := list(islice(items, max(threads, TOLD_AT_ONCE)))):
                    entries = (entry for item in some for entry in (item.media, item.sidecar) if entry is not None)
                    library.want(entries, ahead)
                    for item in some:
                        window.append(pool.submit(read, item))
                        window[-1].add_done_callback(finished.put)
                    under_way += len(some)
                elif not window:
                    return
                elif window[0].done():
                    yield window.popleft().result(), None
                else:
                    finished.get()
                    under_way -= 1
        finally:
            for each in window:
                each.cancel()


def _open_item(item: MediaItem, library: Library, ahead: bool = False) -> Opened:
    item = with_sidecar(item, library)
    problems: list[Problem] = []
    spent = dict(zip(OPERATIONS, item.spent, strict=True))
    started = perf_counter()
    media = None
    known = library.facts_of(item.media)
    if known is None and item.content is None:  # nor has an earlier run read it
        with noting(problems, "read"):
            media = library.open(item.media)
        spent["open"], started = _lap(started)
        if media is not None:
            media.read_ahead(BLOCK) if ahead else media.look()
            spent["content_read"], _ = _lap(started)
    item = item._replace(problems=(*item.problems, *problems), spent=tuple(spent.values()))
    return (item if known is None else with_facts(item, known)), media


def with_sidecar(item: MediaItem, library: Library) -> MediaItem:
    """The item with its sidecar parsed, if it has one."""
    problems: list[Problem] = []
    spent = _no_time()
    document = None
    started = perf_counter()
    if item.sidecar is not None:
        data = None
        with noting(problems, "sidecar"), opened(library, item.sidecar) as file:
            data = file.read_all(LARGEST_SIDECAR)
        spent["sidecar_read"], started = _lap(started)
        if data is not None:
            with noting(problems, "sidecar"):
                document, found = parse_sidecar(data)
                problems.extend(found)
        spent["sidecar_parse"], started = _lap(started)
    return item._replace(document=document, problems=(*item.problems, *problems), spent=tuple(spent.values()))


def extract(opened: Opened, all_tags: bool = False, verify: bool = False, metadata: bool = True) -> MediaItem:
    """The item with everything that its bytes say; without `metadata` only CRC-32 and size.

    A folder's file is read whole, in one pass. Of a zip's member, whose size and CRC-32 the archive states, only what metadata
    needs is read, unless to `verify` is asked for. A tar's member passes once, whole.
    """
    item, file = opened
    if file is None:
        return item
    problems: list[Problem] = []
    spent = dict(zip(OPERATIONS, item.spent, strict=True))
    content, facts = None, FileFacts()
    try:
        head = None
        with noting(problems, "read"):
            if isinstance(file, OpenFile):
                content, head = _read_content(file, spent)
                if not file.is_unchanged() or file.size != content.size:
                    problems.append(Problem("read", "changed", "the file changed while it was read"))
                elif (file.size, file.modified_ns) != (item.media.size, item.media.modified_ns):
                    problems.append(Problem("read", "changed", "the file changed between listing and reading"))
            else:
                started = perf_counter()
                head = file.begin(MEMBER_HEAD, verify)
                spent["content_read"] += perf_counter() - started
        if head and metadata:
            facts = read_facts(file, head, item.media.name, all_tags)
            for operation, seconds in facts.spent.items():
                spent[operation] += seconds
            problems.extend(facts.problems)
        elif head == b"":
            problems.append(Problem("read", "empty", "the file has no bytes"))
        if not isinstance(file, OpenFile):
            problems.extend(file.problems)
            started = perf_counter()
            with noting(problems, "read"):
                content = file.check(verify)
            spent["crc32"] += perf_counter() - started
    finally:
        file.close()
    return item._replace(
        content=content,
        mime=facts.mime,
        kind=facts.kind,
        picture=facts.picture,
        clip=facts.clip,
        tags=facts.tags,
        problems=(*item.problems, *problems),
        spent=tuple(spent.values()),
    )


class _Own(threading.local):
    """What each thread has of its own: a given cluster may run several tasks in one process."""

    def __init__(self) -> None:
        # An anonymous mmap starts on a page; malloc's large blocks lie 16 bytes off, and copies into those run at a
        # fraction of the speed on some processors.
        self.buffer = memoryview(mmap.mmap(-1, BLOCK))
        self.waiting = _Waiting(None)
        self.task = ExitStack()  # what is to be closed when the task is done
        self.counts: memoryview[int]  # of its mark


_own = _Own()


def _read_content(file: OpenFile, spent: dict[str, float]) -> tuple[Content, bytes]:
    """CRC-32 and size of all bytes, and the head. Raises OSError, MediaError if the file does not end."""
    buffer = _own.buffer
    head = b""
    crc = size = 0
    reading = computing = 0.0
    started = perf_counter()
    while block := file.first if not size and file.first else buffer[: file.read_into(buffer)]:
        read = perf_counter()
        progress()
        length = len(block)
        crc = zlib_ng.crc32(block, crc)
        if size < HEAD:
            head += bytes(block[: HEAD - size])
        size += length
        reading += read - started
        started = perf_counter()
        computing += started - read
        if size > file.size:
            raise MediaError(f"changed: the file grew beyond its {file.size:,} bytes while it was read")
        if size == file.size and length < BLOCK:
            break
    spent["content_read"] += reading + perf_counter() - started
    spent["crc32"] += computing
    return Content(size, crc, "read"), head


@dataclass(frozen=True, slots=True)
class ArchiveRead:
    """What a worker tells the driver of an archive that it has read: figures, no rows."""

    name: str
    media: int
    spent: dict[str, float]  # seconds of each operation; what is none of the others is reading


class ArchiveRef(NamedTuple):
    """What the graph carries of an archive that can only be read front to back, and what is known of deaths over it."""

    part: Part
    suspect: int = -1  # the member that a process died over
    passed: tuple[tuple[int, str], ...] = ()  # those that two died over, and of what kind that was (`problems.DEADLY`)
    closed: str = ""  # the kind, where it was no member
    deaths: int = 0

    @property
    def name(self) -> str:
        """The part's."""
        return self.part.name


def archive_mark(folder: str, part: Part) -> str:
    """The mark of the task that reads an archive."""
    return mark_path(folder, known_name(part))


def read_archive(reference: ArchiveRef, folder: str, all_tags: bool, limits: Limits) -> ArchiveRead:
    """Read an archive that can only be read front to back: its one pass is listing and extraction.

    What its members say is then known in `folder` (`storage.known`); nothing of it is unpacked.
    """
    started = perf_counter()
    part = reference.part
    problems: list[Problem] = []
    spent = _no_time()
    media = 0
    short = False
    passed = {number: death(kind, seconds=limits.seconds) for number, kind in reference.passed}
    mark_file = archive_mark(folder, part)
    with writing(folder, part, limits) as known, closing(Mark(mark_file)) as mark, limited(limits, mark.descriptor):
        try:
            members = () if reference.closed else read_tar(part, problems)
            for number, (member, position) in enumerate(members):
                mark.counts[0] = number + 1
                progress()
                media += _add_member(member, known, all_tags, spent, passed.get(number))
                mark.counts[1] = number + 1
                known.progress(position, media)
        except MemoryError:
            short = True
        if short:  # anew: the other has hold of all that was in memory
            raise MemoryError
        if reference.closed:
            problems.append(death(reference.closed, seconds=limits.seconds))
        for problem in problems:
            known.add_problem(problem)
    remove_mark(mark_file)
    spent["content_read"] += perf_counter() - started - sum(spent.values())
    return ArchiveRead(part.name, media, spent)


def _add_member(
    member: TarMember, known: KnownWriter, all_tags: bool, spent: dict[str, float], deadly: Problem | None
) -> bool:
    """Note what a member is and says, or, if it is `deadly`, only its CRC-32. True if it is a medium."""
    content = member.content
    if content is None:
        if member.type != "folder":
            state, reason = refusal(member)
            known.add(member, state="hard link" if member.type == "hard link" else state, reason=reason)
        return False
    entry = Entry(member.name, "", member.size, member.modified_ns)
    kind = classify_name(entry.folder, entry.name).kind
    row = document = None
    if kind == "media_candidate":
        item = MediaItem(media=entry, file_id="", problems=() if deadly is None else (deadly,))
        row, seconds, _ = make_rows(extract((item, content), all_tags, metadata=deadly is None))
        for operation, more in zip(OPERATIONS, seconds, strict=True):
            # What is read and drained on the way is inflated on the way.
            spent["content_read" if operation == "crc32" else operation] += more
    elif kind == "json" and member.size <= LARGEST_SIDECAR:
        document = content.read_at(0, member.size)
    _, crc32 = content.drain()
    if content.ended_early:
        known.add(member, state="unreadable", reason=ENDS_INSIDE)
    else:
        known.add(member, crc32=crc32, document=document, row=row)
    return row is not None


def refusal(member: TarMember) -> tuple[str, str]:
    """State and reason of a member that is no file."""
    if member.type == "other":
        return "unreadable", "a file with holes, or in pieces, in the archive: unpack that"
    return "ignored", f"a {member.type} in the archive, never followed"


def recorded_at(media: Entry, library: Library) -> int | None:
    """What a medium itself says of its time (`resolve.own_time`), None too if it cannot be read."""
    if (known := library.facts_of(media)) is not None:
        item = with_facts(MediaItem(media=media, file_id=""), known)
        return _own_time(item.picture, item.clip)
    problems: list[Problem] = []
    with noting(problems, "read"), opened(library, media) as file:
        facts = read_facts(file, file.read_at(0, HEAD), media.name, False)
        return _own_time(facts.picture, facts.clip)
    return None


def document_of(file: Entry, library: Library) -> Document:
    """What a JSON file is, or why it cannot be read."""
    problems: list[Problem] = []
    with noting(problems, "list"):
        with opened(library, file) as opened_file:
            data = opened_file.read_all(LARGEST_DOCUMENT)
        return read_document(data, file)
    return unreadable_document(problems[0].message)


@dataclass(frozen=True, slots=True)
class Question:
    """Some files of which something is asked. One that processes have died over is not asked a third time."""

    name: str
    files: tuple[Entry, ...]
    deaths: int = 0


def answer(
    question: Question, ask: Callable[[Entry, Library], Any], library: Library, threads: int, limits: Limits
) -> dict[Entry, Any]:
    """What `ask` says of each of some files; `threads` threads wait for the disk, if reading waits."""
    if question.deaths > 1:
        return dict.fromkeys(question.files)

    def asked(file: Entry) -> Any:
        progress()
        return ask(file, library)

    threads = min(threads, len(question.files))
    with open(os.devnull, "wb") as trace, limited(limits, trace.fileno(), threads):
        if threads < 2:
            return {file: asked(file) for file in question.files}
        with ThreadPoolExecutor(threads, thread_name_prefix="ask") as pool:
            return dict(zip(question.files, pool.map(asked, question.files), strict=True))


def _own_time(picture: Picture | None, clip: Clip | None) -> int | None:
    exif = picture.exif if picture else None
    return own_time(Known(exif=exif or Exif(), clip=clip or Clip()))


def checksum(entry: Entry, library: Library, verify: bool = False) -> tuple[int, int]:
    """Size and CRC-32 of a file: as its archive states them, unless to `verify` is asked for. Raises OSError, MediaError."""
    if entry.crc32 is not None and not (verify and library.form_of(entry) == "zip"):
        return entry.size, entry.crc32
    with opened(library, entry) as file:
        content = _read_content(file, _no_time())[0] if isinstance(file, OpenFile) else file.check(whole=True)
    return content.size, content.crc32


def have_same_bytes(one: Entry, other: Entry, library: Library) -> bool:
    """Two files have the same content. Raises OSError, MediaError."""
    block, offset = 1 << 20, 0
    with opened(library, one) as a, opened(library, other) as b:
        while (mine := a.read_at(offset, block)) == b.read_at(offset, block):
            if not mine:
                return a.size == b.size
            offset += len(mine)
    return False


def make_rows(item: MediaItem) -> Row:
    """The row of a finished item, the seconds that each of OPERATIONS took for it, and the shard that it goes to."""
    started = perf_counter()
    row = to_record(item)
    *before, _ = item.spent
    return row, (*before, perf_counter() - started), item.shard


def _no_time() -> dict[str, float]:
    return dict.fromkeys(OPERATIONS, 0.0)


def _lap(started: float) -> tuple[float, float]:
    """Seconds since `started`, and now."""
    now = perf_counter()
    return now - started, now
