"""Parts behind URLs: what an INPUT that is one amounts to, and their archives and files, read by range.

What a request waits for is worth a megabyte: so what is wanted close together is fetched together, and kept until it is used.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from itertools import chain
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from zlib_ng import zlib_ng

from pipeline.item import Content, Entry
from pipeline.limits import progress
from pipeline.problems import MediaError, RunError
from pipeline.storage import remote
from pipeline.storage.archives import Stamp, form_of_bytes, is_archive_name
from pipeline.storage.parts import OF_RESULTS, InputError, Part, Refused, folder_parts
from pipeline.takeout.parts import SEARCHED, export_of, is_takeout

if TYPE_CHECKING:
    from pipeline.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

#: Bytes that one request fetches at the least: headers stand close together.
NEAR = 64 << 10
#: Bytes of a medium that are fetched with its header: a photo's with the miniature in it, in most cases.
FIRST = 32 << 10
#: Bytes of its end, where it is looked whether all of it is there; of a larger one, a video, what it is stands there often.
END, LARGE = 256, 4 << 20
#: What is wanted is fetched by one request if no more lies between, and it is no more in all.
GAP, LARGEST_GROUP = 32 << 10, 1 << 20
#: A read of so many bytes behind another is followed by more: so many are fetched ahead.
LONG_READ, AHEAD = 64 << 10, 4 << 20
#: Bytes that a process keeps of what it has fetched and not used.
HELD = 96 << 20
#: Most bytes that are fetched for a hint.
LARGEST_HINT = 32 << 20
#: Blocks that are under way at a time of what is read from front to back, and their bytes.
BLOCKS, BLOCK = 4, 4 << 20
#: Bytes at the beginning of a file that are kept, and of its end, while it passes.
KEPT_HEAD, KEPT_TAIL = 1 << 20, 4 << 20


def grouped(ranges: Sequence[tuple[int, int]], gap: int = GAP, most: int = LARGEST_GROUP) -> list[tuple[int, int]]:
    """Ranges that lie close together as one, in order; none longer than `most` but those that are.

    >>> grouped([(50, 60), (0, 10), (12, 20)], gap=5, most=100)
    [(0, 20), (50, 60)]
    """
    groups: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if groups and start - groups[-1][1] <= gap and end - groups[-1][0] <= most:
            groups[-1] = groups[-1][0], max(groups[-1][1], end)
        else:
            groups.append((start, end))
    return groups


class Ahead:
    """Threads that fetch what is told to be wanted soon, while those who want it compute; with what these ask for besides, no
    more requests are under way than there are threads.

    Used as a context: at its end nothing is under way any more; what nobody has begun with is fetched by whoever wants it.
    """

    def __init__(self, threads: int) -> None:
        self._slots = threading.BoundedSemaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fetch", initializer=self.join)

    def join(self) -> None:
        """Have this thread's requests count as some of these."""
        _own.slots = self._slots

    def fetch(self, block: _Block) -> None:
        """Fetch it as soon as there is a thread for it."""
        self._pool.submit(block.fetch).add_done_callback(lambda done: block.give_up() if done.cancelled() else None)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)


_own = threading.local()


class _Block:
    """Some bytes of an archive, that are there or under way."""

    __slots__ = ("archive", "data", "end", "start")

    def __init__(self, archive: ObjectArchive, start: int, end: int) -> None:
        self.archive, self.start, self.end = archive, start, end
        self.data: Future[bytes] = Future()

    def fetch(self) -> None:
        """Ask for them; what comes of it is in `data`."""
        try:
            data = self.archive._read(self.start, self.end - self.start)
        except BaseException as error:
            with _held.lock:
                _held.drop(self)
            self.data.set_exception(error)
        else:
            self.data.set_result(data)

    def give_up(self) -> None:
        """They are not going to be asked for: who waits for them is told so."""
        with _held.lock:
            _held.drop(self)
        self.data.cancel()


class _Held:
    """What a process has fetched: the oldest goes when it is too much."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks: OrderedDict[_Block, None] = OrderedDict()
        self.size = 0

    def add(self, block: _Block) -> None:
        self.blocks[block] = None
        self.size += block.end - block.start
        while self.size > HELD and len(self.blocks) > 1:
            self.drop(next(iter(self.blocks)))

    def drop(self, block: _Block) -> None:
        if block in self.blocks:
            del self.blocks[block]
            self.size -= block.end - block.start
            block.archive.blocks.remove(block)


_held = _Held()


class ObjectArchive:
    """An archive behind a URL, as `archives.Archive` is one on a disk."""

    descriptor = -1

    def __init__(self, url: str, stamp: Stamp) -> None:
        self.path, self.stamp = url, stamp
        self._tag = stamp.tag if remote.asks_by_tag(url) else ""  # every read says whether it is still that
        if not self._tag and reading(url, remote.stamp_of, url) != stamp:
            raise self._changed()
        self.blocks: list[_Block] = []  # by where they start
        self._hinted: deque[tuple[int, int]] = deque(maxlen=64)
        self._ends: deque[int] = deque(maxlen=64)  # of long reads

    def _changed(self) -> MediaError:
        name = remote.shown_url(self.path).rpartition("/")[2]
        return MediaError(f"changed: {name}, which has it, has changed since the run began")

    def check(self) -> None:
        """Nothing is asked: all bytes were those of one tag; where there are none, the driver looks once more at the end."""

    def want(self, ranges: Sequence[tuple[int, int]], ahead: Ahead) -> None:
        """Have fetched what is going to be read, in this order, together as far as that saves requests."""
        size = self.stamp.size
        ranges = [(start, min(end, size)) for start, end in ranges if start < size]
        groups = grouped(ranges)
        for start, end in dict.fromkeys(groups[bisect_right(groups, (start, size)) - 1] for start, _ in ranges):
            with _held.lock:
                block = None if self._there(start, end) else self._add(start, end)
            if block is not None:
                ahead.fetch(block)

    def hint(self, offset: int, length: int) -> None:
        """All of these bytes are wanted."""
        if NEAR < length <= LARGEST_HINT and offset >= 0:
            self._hinted.append((offset, min(offset + length, self.stamp.size)))

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        length = min(length, self.stamp.size - offset)
        if length <= 0 or offset < 0:
            return b""
        start, data = self._fetched(offset, offset + length)
        return data if (start, len(data)) == (offset, length) else data[offset - start : offset - start + length]

    def read_all(self, offset: int, length: int) -> bytes:
        """The same."""
        return self.read_at(offset, length)

    def close(self) -> None:
        """Let go of what was fetched."""
        with _held.lock:
            for block in tuple(self.blocks):
                _held.drop(block)

    def _fetched(self, offset: int, end: int) -> tuple[int, bytes]:
        """Bytes that have those that are wanted, and where they begin."""
        while True:
            with _held.lock:
                block = self._there(offset, end)
                mine = block is None
                if block is None:
                    block = self._add(*self._span(offset, end))
                if end - offset >= LONG_READ:
                    self._ends.append(end)
            if mine:
                block.fetch()
            with suppress(CancelledError):
                return block.start, block.data.result()

    def _add(self, start: int, end: int) -> _Block:
        block = _Block(self, start, end)
        self.blocks.insert(bisect_right(self.blocks, start, key=_start), block)
        _held.add(block)
        return block

    def _there(self, offset: int, end: int) -> _Block | None:
        at = bisect_right(self.blocks, offset, key=_start)
        for block in reversed(self.blocks[max(at - 4, 0) : at]):
            if end <= block.end:
                return block
        return None

    def _span(self, offset: int, end: int) -> tuple[int, int]:
        """What is fetched for a read."""
        for hint in reversed(self._hinted):
            if hint[0] <= offset and end <= hint[1]:
                return hint
        length = AHEAD if end - offset >= LONG_READ and offset in self._ends else NEAR
        return offset, min(max(end, offset + length), self.stamp.size)

    def _read(self, offset: int, length: int) -> bytes:
        try:
            piece = reading(self.path, remote.read_piece, self.path, offset, length, self._tag)
        except FileNotFoundError:
            raise MediaError(
                f"vanished: {remote.shown_url(self.path).rpartition('/')[2]}, which has it, is gone"
            ) from None
        except MediaError as error:
            raise (self._changed() if error.kind == "changed" else error) from None
        if self._tag and remote.strong(piece.tag) not in ("", self._tag):  # not every server heeds what it is asked by
            raise self._changed()
        return piece.data

    # From front to back, as `tars` reads

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp.size

    def first(self, length: int) -> bytes:
        """The first bytes."""
        return self.read_at(0, length)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, some blocks of which are under way at a time."""
        with ThreadPoolExecutor(BLOCKS, thread_name_prefix="blocks") as pool:
            starts = iter(range(0, self.size, BLOCK))
            under_way: deque[Future[bytes]] = deque()
            try:
                for start in chain(starts, [None] * BLOCKS):
                    if start is not None:
                        under_way.append(pool.submit(self._read, start, min(BLOCK, self.size - start)))
                        if len(under_way) < BLOCKS:
                            continue
                    if under_way:
                        yield under_way.popleft().result()
            finally:
                for each in under_way:
                    each.cancel()

    def is_unchanged(self) -> bool:
        """It is still what it was when it was opened."""
        return self.stamp.change(self.path) is None


def _start(block: _Block) -> int:
    return block.start


def _forget_parents() -> None:
    """In a child: what the parent was fetching comes to nobody, and a lock may never be given back."""
    global _held
    from pipeline.storage.archives import open_archive

    _held = _Held()
    open_archive.cache_clear()


os.register_at_fork(after_in_child=_forget_parents)


def reading(url: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of `remote` gives that reads an input behind a URL.

    Raises MediaError with what the server says, which is an answer about one file; FileNotFoundError, PermissionError; RunError
    if the server is gone altogether: no file has anything to do with that, and each would wait as long for it.
    """
    try:
        with getattr(_own, "slots", nullcontext()):
            return function(*args, **kwargs)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except OSError as error:
        what = error.strerror or str(error)
        if remote.is_unreachable(error) and not _answers(url):
            scheme, _, rest = remote.shown_url(url).partition("://")
            raise RunError(
                f"{scheme}://{rest.partition('/')[0]} does not answer any more ({what}): once it does, the same command "
                "goes on from there"
            ) from error
        raise MediaError(f"unreadable: {what}") from error


def _answers(url: str) -> bool:
    """The server of a URL says anything at all."""
    try:
        remote.look_once(url)
    except Exception as error:
        return not remote.is_unreachable(error)
    return True


# Files of a folder


class ObjectFile:
    """A file behind a URL, open for reading: it passes once, front to back; what is read besides was kept, or is read again."""

    problems: tuple[Problem, ...] = ()
    cold = False  # threads wait for it
    seekable = True

    def __init__(self, url: str, entry: Entry) -> None:
        self.size = entry.size
        self._url, self._entry = url, entry
        self._tag = ""
        self._passed = self._crc32 = 0
        self._head, self._tail = b"", b""
        self._next()

    def _next(self) -> bool:
        """Take in the next block; False at the end."""
        length = min(BLOCK, self.size - self._passed)
        if length <= 0:
            return False
        data = self._read(self._passed, length)
        self._crc32 = zlib_ng.crc32(data, self._crc32)
        if not self._passed:
            self._head = data if self.size <= BLOCK else data[:KEPT_HEAD]
        self._passed += length
        if self.size > BLOCK:
            self._tail = (self._tail + data)[-KEPT_TAIL:] if length < KEPT_TAIL else data
        progress()
        return True

    def _read(self, offset: int, length: int) -> bytes:
        piece = reading(self._url, remote.read_piece, self._url, offset, length, self._tag)
        changed = piece.size is not None and piece.size != self.size
        if changed or not _same_time(piece.modified_ns, self._entry.modified_ns):
            raise MediaError("changed: the file changed between listing and reading")
        self._tag = remote.strong(piece.tag)
        return piece.data

    def begin(self, length: int, whole: bool) -> bytes:
        """The first bytes, when all have passed."""
        while self._next():
            pass
        return self.read_at(0, length)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end."""
        length = min(length, self.size - offset)
        if offset < 0 or length <= 0:
            return b""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        if (at := offset - (self._passed - len(self._tail))) >= 0 and at + length <= len(self._tail):
            return self._tail[at : at + length]
        return self._read(offset, length)

    def read_all(self, limit: int) -> bytes:
        """The whole content. Raises MediaError above `limit` bytes."""
        if self.size > limit:
            raise MediaError(f"too_large: {self.size:,} bytes, more than {limit:,}")
        return self.read_at(0, self.size)

    def check(self, whole: bool = True) -> Content:
        """Size and CRC-32, for which all is read."""
        while self._next():
            pass
        return Content(self._passed, self._crc32, "read")

    def look(self) -> None:
        """Nothing is to be found out."""

    def read_ahead(self, length: int) -> None:
        """The first block is there."""

    def close(self) -> None:
        """Nothing is open."""


def _same_time(one: int, other: int | None) -> bool:
    """Two times of one file, of which one may be told to the second."""
    return not one or not other or one // 10**9 == other // 10**9


def open_object(part: Part, entry: Entry) -> ObjectFile:
    """A file of a folder behind a URL. Raises OSError, MediaError if it is no longer what was listed."""
    return ObjectFile(remote.join(part.root, entry.path.removeprefix(part.prefix)), entry)


def walk_objects(part: Part) -> Iterator[Entry | Refused]:
    """Every file below a URL, each once, in the order of its listing: an Entry if it may be opened, else Refused."""
    inner = sorted(part.without)
    listed = remote.everything_below(part.root)
    while True:
        try:
            each = reading(part.root, lambda: next(listed, None))
        except (OSError, MediaError) as error:
            why = error.message if isinstance(error, MediaError) else error.strerror or "it cannot be listed"
            yield Refused(part.prefix.rstrip("/"), part.name, "unreadable", f"folder cannot be listed: {why}")
            return
        if each is None:
            return
        name, size = each.name, each.stamp.size
        if inner and (name in part.without or any(name.startswith(f"{other}/") for other in inner)):
            continue
        path = part.prefix + name
        if not name or name.endswith("/"):
            if size:
                yield Refused(path, part.name, "ignored", "its key ends in a slash, as those of folders do", size)
        elif each.kind != "file":
            yield Refused(path, part.name, "ignored", "neither a file nor a folder, never opened")
        else:
            yield Entry(path, part.name, size, each.stamp.modified_ns or None)


# What an INPUT amounts to


def parts_at(given: str) -> list[Part]:
    """The parts that a URL given as INPUT amounts to; the archives come last. Raises InputError."""
    shown = remote.shown_url(given)
    bare, query = _without_query(given)
    url = bare.rstrip("/")
    if not url.partition("://")[2].partition("/")[0]:
        raise InputError(f"cannot read {shown}: it names no bucket or host: s3://bucket/takeouts is one for a library")
    try:
        if url.partition("://")[0].lower() in remote.READ_ONLY:
            return [_archive_at(url, query)]
        return _parts_below(url)
    except FileNotFoundError as error:
        raise InputError(f"cannot read {shown}: there is no such bucket, folder or file") from error
    except IsADirectoryError as error:
        raise InputError(f"cannot read {shown}: it is a folder") from error
    except PermissionError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from error
    except MediaError as error:
        raise InputError(f"cannot read {shown}: {error.message}") from error
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror or error}") from error


def _without_query(given: str) -> tuple[str, str]:
    """A URL, and the query behind it where that is none of its name."""
    if given.partition("://")[0].lower() not in remote.READ_ONLY:
        return given, ""
    url, mark, query = given.partition("#")[0].partition("?")
    return url, mark + query


def _archive_at(url: str, query: str = "") -> Part:
    """The archive of this URL. Raises OSError, MediaError if it is none."""
    found = remote.look_at(url + query)
    stamp = remote.as_stamp(found)
    if not stamp.size and found.get("size") is None:
        raise MediaError("unreadable: the server does not say how large it is")
    head = remote.read_piece(url + query, 0, min(512, stamp.size)).data if stamp.size else b""
    form = form_of_bytes(head, b"", url)
    if form is None:
        where = "; http cannot list a folder" if url.partition("://")[0].lower() in remote.READ_ONLY else ""
        raise MediaError(f"not_an_archive: it is no zip, tgz or tar archive{where}")
    return Part("", url, form, stamp=stamp, query=query)


def _parts_below(url: str) -> list[Part]:
    try:
        remote.look_at(url)
    except IsADirectoryError:
        pass
    else:
        return [_archive_at(url)]
    above = remote.folder_of(url)
    names = {each.name for each in above}
    if names.issuperset(OF_RESULTS):
        raise InputError(f"{url} holds the results of a scan: give the Takeout that is to be scanned")
    in_takeout = any(is_takeout(step) for step in url.split("/")[-SEARCHED:])
    beside = [
        each.name
        for each in sorted(above)
        if each.kind == "file" and is_archive_name(each.name) and (not in_takeout or export_of(each.name))
    ]
    with ThreadPoolExecutor(8) as pool:
        archives = list(pool.map(lambda name: _archive_at(remote.join(url, name)), beside))

    def children(place: str) -> list[str]:
        listed = above if place == url else remote.folder_of(place)
        return sorted(each.name for each in listed if each.kind == "directory")

    folders = [
        Part("", each.root, prefix=each.prefix, without=each.without | frozenset(beside)) if each.root == url else each
        for each in folder_parts(url, children)
    ]
    return [*folders, *archives]


def why_gone(part: Part) -> OSError | None:
    """Why nothing can be had of a part behind a URL."""
    try:
        if part.form != "folder":
            remote.look_at(part.address)
        elif next(iter(remote.everything_below(part.root)), None) is None:
            return FileNotFoundError("it is not there")
    except OSError as error:
        return error
    return None


def are_alike(one: Part, other: Part) -> bool:
    """Two archives behind URLs are two uploads of one: of one size and tag, and with one end, where their check sums are."""
    if one.stamp is None or other.stamp is None or one.form != other.form:
        return False
    size = one.stamp.size
    if size != other.stamp.size or not one.stamp.inode or one.stamp.inode != other.stamp.inode or not size:
        return False
    length = min(size, NEAR)
    ends = [remote.read_piece(each.address, size - length, length).data for each in (one, other)]
    return ends[0] == ends[1]
