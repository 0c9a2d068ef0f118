"""Reading a library again, every byte of it, on several threads: what `verifying` holds against an index.

Threads are enough: reading, CRC-32 and inflating leave the interpreter to others. Archives are read from front to back.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Full, Queue

from pipeline.item import Entry, stored_text
from pipeline.problems import Problem, noting
from pipeline.stages import checksum, refusal
from pipeline.storage.archives import open_archive
from pipeline.storage.known import LINK_ASTRAY, LINK_TO_NOTHING, is_alike, linked_name
from pipeline.storage.library import Library, opened, walk_part
from pipeline.storage.parts import Part, Refused, refused_part
from pipeline.storage.tars import ENDS_INSIDE, TarMember, read_tar
from pipeline.storage.zips import Member
from pipeline.takeout.parts import paths_in_export
from pipeline.verifying import Found

#: Files, and bytes, that a thread reads in one go; more bytes if it is one file.
TURN, TURN_BYTES = 64, 16 << 20
#: Files, and seconds, between two words of a thread that reads an archive from front to back.
BATCH, EVERY = 256, 0.2
#: Seconds that are waited for threads to stop after the file that they read.
PATIENCE = 5.0

Turn = Callable[[], Iterator[Found]]


@contextmanager
def rereading(library: Library, threads: int) -> Iterator[Iterator[list[Found]]]:
    """What is found, batch by batch as threads have read it. At the end of the block they stop, done or not."""
    turns = _turns(library)
    taking, stop = threading.Lock(), threading.Event()
    done: Queue[list[Found] | BaseException | None] = Queue(4 * threads)

    def hand_over(value: list[Found] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                done.put(value, timeout=EVERY)
            except Full:
                continue
            return

    def work() -> None:
        try:
            while not stop.is_set():
                with taking:
                    turn = next(turns, None)
                if turn is None:
                    break
                for batch in _batches(turn()):
                    hand_over(batch)
                    if stop.is_set():
                        return
            hand_over(None)
        except BaseException as error:  # it is the reader's, who is another thread
            hand_over(error)

    def batches() -> Iterator[list[Found]]:
        left = threads
        while left:
            batch = done.get()
            if isinstance(batch, BaseException):
                raise batch
            if batch is None:
                left -= 1
            else:
                yield batch

    workers = [threading.Thread(target=work, name=f"verify-{number}", daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield batches()
    finally:
        stop.set()
        until = time.monotonic() + PATIENCE
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    began = time.monotonic()
    for each in found:
        batch.append(each)
        if len(batch) >= BATCH or time.monotonic() - began > EVERY:
            yield batch
            batch, began = [], time.monotonic()
    if batch:
        yield batch


def _turns(library: Library) -> Iterator[Turn]:
    """All work, piece by piece. What takes longest comes first: an archive that one thread alone can read."""
    for part in sorted(library.tars(), key=lambda part: -part.stamp.size if part.stamp else 0):
        yield lambda part=part: _tar(part)  # type: ignore[misc]
    for part in library.parts:
        if part.form != "tar":
            yield from _turns_of(part, library)


def _turns_of(part: Part, library: Library) -> Iterator[Turn]:
    listed: Iterable[tuple[int, Entry | Refused]] = enumerate(walk_part(part))
    repeated: frozenset[str] = frozenset()
    if part.form == "zip":
        members = list(listed)
        often = Counter(each.path for _, each in members)
        repeated = frozenset(path for path, count in often.items() if count > 1)
        listed = sorted(members, key=lambda member: member[1].at or 0 if isinstance(member[1], Entry) else -1)
    some: list[tuple[int, Entry | Refused]] = []
    size = 0

    def turn() -> Turn:
        mine = some
        _hint(part, [each for _, each in mine if isinstance(each, Entry)])
        return lambda: (_found(each, order, library, each.path in repeated) for order, each in mine)

    for order, each in listed:
        some.append((order, each))
        size += each.size or 0
        if len(some) >= TURN or size >= TURN_BYTES:
            yield turn()
            some, size = [], 0
    if some:
        yield turn()


def _hint(part: Part, entries: Sequence[Entry]) -> None:
    """Have the disk work ahead of a turn of a zip, as the archive is opened for reads here and there."""
    if part.form != "zip" or not entries or part.stamp is None or part.is_remote:
        return
    first, last = entries[0], entries[-1]
    assert first.at is not None and last.at is not None
    with noting([], "read"):
        open_archive(part.address, part.stamp).hint(first.at, last.at + last.packed - first.at)


def _found(listed: Entry | Refused, order: int, library: Library, repeated: bool) -> Found:
    path, part = listed.path, listed.part
    if isinstance(listed, Refused):
        return _refused(listed, order, repeated)
    problems: list[Problem] = []
    with noting(problems, "read"):
        if library.form_of(listed) == "folder":
            size, crc32 = checksum(listed, library)
            return Found(path, part, order, size, crc32)
        with opened(library, listed) as file:
            assert isinstance(file, Member)
            content, odd = file.measure(), tuple(problem.message for problem in file.problems)
            unlike: list[Problem] = []
            with noting(unlike, "read"):
                file.compare(content)
        said = unlike[0].message if unlike else None
        return Found(path, part, order, content.size, content.crc32, True, said, odd, repeated=repeated)
    return Found(path, part, order, problem=problems[0], repeated=repeated)


def _refused(listed: Refused, order: int, repeated: bool = False) -> Found:
    if listed.state == "ignored":
        return Found(listed.path, listed.part, order, ignored=listed.reason, repeated=repeated)
    problem = Problem("list", "unreadable", listed.reason)
    return Found(listed.path, listed.part, order, problem=problem, repeated=repeated)


def _tar(part: Part) -> Iterator[Found]:
    """The files of a tar in its order, but those at its end whose path, or content, hangs on what else is in it."""
    problems: list[Problem] = []
    last: dict[str, Found] = {}  # what a name stands for in the end, for hard links
    targets: dict[str, str] = {}  # of names that stand for such a link in the end
    late: list[Found] = []
    links: list[tuple[str, str, int]] = []
    whole = False  # a name begins with Takeout
    order = 0
    for order, (member, _) in enumerate(read_tar(part, problems)):
        if member.type == "hard link":
            last.pop(member.name, None)
            targets[member.name] = member.target
            links.append((member.name, member.target, order))
        elif member.type != "folder":
            targets.pop(member.name, None)
            each = last[member.name] = _member(member, part.name, order)
            if member.name.startswith("Takeout/"):
                whole = True
                yield each
            else:
                late.append(each)
    # Names that begin with Takeout are paths (`paths_in_export`), and have been given already.
    names = [each.path for each in late] + [name for name, *_ in links] + (["Takeout/"] if whole else [])
    paths = iter(paths_in_export(names))
    for each, path in zip(late, paths, strict=False):
        yield each._replace(path=path)
    for (_, target, number), path in zip(links, paths, strict=False):
        yield _linked(linked_name(target, targets), path, part.name, last)._replace(path=path, order=number)
    if problems:
        yield _refused(refused_part(part, [stored_text(problem.message) for problem in problems]), order + 1)


def _member(member: TarMember, part: str, order: int) -> Found:
    if member.content is None:
        return _refused(Refused(member.name, part, *refusal(member)), order)
    size, crc32 = member.content.drain()
    if member.content.ended_early:
        return _refused(Refused(member.name, part, "unreadable", ENDS_INSIDE), order)
    return Found(member.name, part, order, size, crc32)


def _linked(name: str, path: str, part: str, last: Mapping[str, Found]) -> Found:
    """What a hard link to this name stands for, as `walk_known` has it."""
    found = last.get(name)
    if found is None:
        return _refused(Refused(path, part, "ignored", LINK_TO_NOTHING), 0)
    if found.crc32 is not None and not is_alike(path, name):
        return _refused(Refused(path, part, "unreadable", f"{LINK_ASTRAY}, {name}"), 0)
    return found
