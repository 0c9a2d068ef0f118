"""What happens to one media item, stage by stage. Knows nothing of Dask.

Stages are chained as lazy iterators inside one task: while `extract` computes on one item, the threads of `read_sidecars`
already wait for the next ones.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from time import perf_counter
from typing import Any

from zlib_ng import zlib_ng

from pipeline.item import OPERATIONS, Content, Entry, MediaItem
from pipeline.media.facts import Clip, Exif
from pipeline.media.read import read_facts
from pipeline.problems import MediaError, Problem, noting
from pipeline.record import to_record
from pipeline.resolve import Known, own_time
from pipeline.storage.library import Library, OpenFile, opened
from pipeline.takeout.sidecar import parse_sidecar

#: A sidecar is about 1 kB; one beyond this is refused by its size.
LARGEST_SIDECAR = 32 << 20
#: Read size. A block of this size stays in the CPU's cache between reading and CRC-32.
BLOCK = 512 << 10
#: Bytes from the front of a file that are kept in memory for the readers of metadata.
HEAD = 128 << 10
#: Items whose sidecar is read by one turn of an I/O thread: a hand-over between threads costs more than a warm read.
TURN = 4
#: Seconds above which opening an item has waited, for a disk or a network: then threads do it, ahead of the work.
WAITED = 0.001
#: Turns by threads before it is looked again whether reading still waits.
TURNS_AHEAD = 64

Opened = tuple[MediaItem, OpenFile | None]


def read_sidecars(items: Iterable[MediaItem], library: Library, threads: int) -> Iterator[Opened]:
    """Each item with its sidecar parsed and its file opened, in order.

    `threads` threads run a bounded window of items ahead of the consumer, as long as reading waits: what is in memory
    already is read sooner than it is handed over. 0 reads each item when it is asked for.
    """
    turns = _turns(items)
    with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="read_sidecars") as pool:
        for turn in turns:
            waits = False
            for item in turn:
                started = perf_counter()
                item, file = _open_item(item, library)
                waits = waits or perf_counter() - started > WAITED or (file is not None and not file.in_memory())
                yield item, file
            if waits and threads > 0:
                yield from _ahead(islice(turns, TURNS_AHEAD), library, pool, threads)


def _ahead(turns: Iterator[list[MediaItem]], library: Library, pool: Executor, threads: int) -> Iterator[Opened]:
    """The items of the turns, opened by the threads of the pool, a window of turns ahead of the consumer."""
    window: deque[Future[list[Opened]]] = deque()
    opened: list[Opened] = []
    try:
        for turn in islice(turns, threads + 1):
            window.append(pool.submit(_open_items, turn, library))
        while window:
            opened = window.popleft().result()
            for turn in islice(turns, 1):
                window.append(pool.submit(_open_items, turn, library))
            yield from opened
    finally:  # the consumer, which closes what it is given, may stop early
        for left in (opened, *(future.result() for future in window if not future.cancel())):
            for _, file in left:
                if file is not None:
                    file.close()


def _turns(items: Iterable[MediaItem]) -> Iterator[list[MediaItem]]:
    items = iter(items)
    while turn := list(islice(items, TURN)):
        yield turn


def _open_items(items: list[MediaItem], library: Library) -> list[Opened]:
    return [_open_item(item, library, hint=True) for item in items]


def _open_item(item: MediaItem, library: Library, hint: bool = False) -> Opened:
    problems: list[Problem] = []
    spent = dict.fromkeys(OPERATIONS, 0.0)
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
    media = None
    with noting(problems, "read"):
        media = library.open(item.media)
        if hint and not media.in_memory():
            media.hint_whole_read()
    spent["open"], _ = _lap(started)
    item = replace(
        item, document=document, problems=(*item.problems, *problems), spent=tuple(spent[name] for name in OPERATIONS)
    )
    return item, media


def extract(opened: Opened, all_tags: bool = False) -> MediaItem:
    """The item with everything that its bytes say, read in one pass over the file."""
    item, file = opened
    if file is None:
        return item
    problems: list[Problem] = []
    spent = dict(zip(OPERATIONS, item.spent, strict=True))
    try:
        content = None
        head = b""
        with noting(problems, "read"):
            content, head = _read_content(file, spent)
            if not file.is_unchanged() or file.size != content.size:
                problems.append(Problem("read", "changed", "the file changed while it was read"))
            elif (file.size, file.modified_ns) != (item.media.size, item.media.modified_ns):
                problems.append(Problem("read", "changed", "the file changed between listing and reading"))
        if content is None:
            return _finished(item, problems, spent)
        item = replace(item, content=content)
        if content.size == 0:
            problems.append(Problem("read", "empty", "the file has no bytes"))
            return _finished(item, problems, spent)
        facts = read_facts(file, head, item.media.name, all_tags)
        for operation, seconds in facts.spent.items():
            spent[operation] += seconds
        item = replace(item, mime=facts.mime, kind=facts.kind, picture=facts.picture, clip=facts.clip, tags=facts.tags)
        return _finished(item, [*problems, *facts.problems], spent)
    finally:
        file.close()


def _finished(item: MediaItem, problems: list[Problem], spent: dict[str, float]) -> MediaItem:
    return replace(
        item, problems=(*item.problems, *problems), spent=tuple(spent[operation] for operation in OPERATIONS)
    )


class _Own(threading.local):
    """What each thread has of its own: a given cluster may run several tasks in one process."""

    def __init__(self) -> None:
        # An anonymous mmap starts on a page; malloc's large blocks lie 16 bytes off, and copies into those run at a
        # fraction of the speed on some processors.
        self.buffer = memoryview(mmap.mmap(-1, BLOCK))


_own = _Own()


def _read_content(file: OpenFile, spent: dict[str, float]) -> tuple[Content, bytes]:
    """CRC-32 and size of all bytes, and the head. Raises OSError, MediaError if the file does not end."""
    buffer = _own.buffer
    head = b""
    crc = size = 0
    reading = computing = 0.0
    started = perf_counter()
    while length := file.read_into(buffer):
        read = perf_counter()
        block = buffer[:length]
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


def recorded_at(media: Entry, library: Library) -> int | None:
    """What a medium itself says of its time (`resolve.own_time`), None too if it cannot be read."""
    problems: list[Problem] = []
    with noting(problems, "read"), opened(library, media) as file:
        facts = read_facts(file, file.read_at(0, HEAD), media.name, False)
        exif = facts.picture.exif if facts.picture else None
        return own_time(Known(exif=exif or Exif(), clip=facts.clip or Clip()))
    return None


def make_rows(item: MediaItem) -> tuple[dict[str, Any], tuple[float, ...]]:
    """The row of a finished item, and the seconds that each of OPERATIONS took for it."""
    started = perf_counter()
    row = to_record(item)
    spent = dict(zip(OPERATIONS, item.spent, strict=True))
    spent["record"] = perf_counter() - started
    return row, tuple(spent[operation] for operation in OPERATIONS)


def _lap(started: float) -> tuple[float, float]:
    """Seconds since `started`, and now."""
    now = perf_counter()
    return now - started, now
