"""What comes before a plan: every file listed, every folder paired, and what has to be read for that."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from pipeline import elsewhere
from pipeline.documents import Document, unreadable_document
from pipeline.item import Entry, stored_text
from pipeline.limits import Limits
from pipeline.listing import Listing
from pipeline.planning import Plan, make_plan
from pipeline.problems import Problem, noting
from pipeline.progress import Watch
from pipeline.storage.library import Library
from pipeline.storage.parts import Refused

if TYPE_CHECKING:
    from pipeline.cluster import Compute

#: Files of which one task answers what is asked.
ASKED_AT_ONCE = 32
#: Files between two words about the listing.
LISTING_STEP = 500
#: What is said of a JSON file that processes have died over.
DEADLY_DOCUMENT = "processes that read it crashed, were cut off, or wanted more memory than they may have"

#: Answers what a function says of each of some files of a library; None of a file that it gave up.
Ask = Callable[[Callable[[Entry, Library], Any], Library, Sequence[Entry]], Mapping[Entry, Any]]


def list_library(
    library: Library,
    watch: Watch,
    meanwhile: Callable[[Listing], None] = lambda _: None,
    verify: bool = False,
) -> Listing:
    """Every file of the library. `meanwhile` is called with the listing now and then, first when it is empty.

    To `verify` is to read also those members of archives that nothing else will read.
    """
    listing = Listing()
    for path in library.repeated:
        watch.note(f"{stored_text(path)} is the same as another part, and read once")
    meanwhile(listing)
    with collector_paused():
        for found in library.walk():
            if verify and isinstance(found, Entry) and library.form_of(found) == "zip" and listing.would_ignore(found):
                found = _verified(found, library)
            if isinstance(found, Refused):
                listing.refuse(found.path, found.part, found.size, found.state, found.reason)
            else:
                listing.add(found)
            if listing.count % LISTING_STEP == 0:
                watch.listing(listing.count)
                meanwhile(listing)
    watch.listing(listing.count)
    meanwhile(listing)
    return listing


def _verified(entry: Entry, library: Library) -> Entry | Refused:
    """The entry, if its bytes are what its archive states."""
    from pipeline.stages import checksum

    problems: list[Problem] = []
    with noting(problems, "list"):
        checksum(entry, library, verify=True)
        return entry
    return Refused(entry.path, entry.part, "unreadable", problems[0].message, entry.size)


def pair_library(
    listing: Listing,
    library: Library,
    threads: int,
    verify: bool = False,
    ask: Ask | None = None,
) -> Plan:
    """The plan: every folder paired, what must be read for that read by `threads` threads.

    `ask` answers what is asked of files; by default it is done here.
    """
    from pipeline.stages import document_of, recorded_at

    def documents_of(files: Sequence[Entry]) -> dict[Entry, Document]:
        found = asking(document_of, library, files) if files else {}
        return {file: document or unreadable_document(DEADLY_DOCUMENT) for file, document in found.items()}

    def date(media: Sequence[Entry]) -> Mapping[Entry, int | None]:
        return asking(recorded_at, library, media) if media else {}

    with collector_paused():
        listing.pair()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        asking: Ask = ask or partial(_ask_here, pool)
        while any(wanted := (listing.to_read(), listing.to_date())):
            unread, undated = wanted
            listing.learn(documents_of(unread), date(undated))
        repeated = list(listing.repeated())
        same = pool.map(lambda pair: _same_content(library, pair[0], pair[1], verify), repeated)
        copies = frozenset(later for (later, _), equal in zip(repeated, same, strict=True) if equal)
        plan = _borrow_sidecars(make_plan(listing, copies), library, pool, date)
        candidates = elsewhere.member_candidates(plan)
        sidecars = {item.sidecar for item in candidates if item.sidecar is not None}
        known = {sidecar: found.gist for sidecar in sidecars if (found := listing.document_of(sidecar)) is not None}
        read = documents_of([each for each in sidecars if each not in known])
        return elsewhere.with_members(plan, candidates, known | {each: found.gist for each, found in read.items()})


def _borrow_sidecars(
    plan: Plan,
    library: Library,
    pool: ThreadPoolExecutor,
    date: Callable[[Sequence[Entry]], Mapping[Entry, int | None]],
) -> Plan:
    """The plan, with sidecars from other folders for files that have none in their own."""
    plan = _share_with_copies(plan, library, pool)
    strays = list(elsewhere.strays(plan))
    recorded = date([item.media for item, _ in strays])
    borrowed = {
        item.file_id: (orphan.sidecar, "other_folder")
        for item, orphan in strays
        if elsewhere.is_of_its_time(orphan, recorded[item.media])
    }
    if not borrowed:
        return plan
    return _share_with_copies(elsewhere.with_borrowed(plan, borrowed), library, pool)


def _ask_here(
    pool: ThreadPoolExecutor, ask: Callable[[Entry, Library], Any], library: Library, files: Sequence[Entry]
) -> dict[Entry, Any]:
    """What `ask` says of each of some files."""
    return dict(zip(files, pool.map(ask, files, repeat(library)), strict=True))


def ask_on(
    compute: Callable[[], Compute],
    threads: int,
    limits: Limits,
    ask: Callable[[Entry, Library], Any],
    library: Library,
    files: Sequence[Entry],
) -> dict[Entry, Any]:
    """The same in processes that may die over a file, of which None is said then."""
    from pipeline.graph import Asking
    from pipeline.stages import Question

    batches = [
        Question(f"{ask.__name__} of {files[start].path}", tuple(files[start : start + ASKED_AT_ONCE]))
        for start in range(0, len(files), ASKED_AT_ONCE)
    ]
    found: dict[Entry, Any] = {}
    for answered in compute()(Asking(ask, library, threads, limits), batches):
        found |= answered
    return found


def _share_with_copies(plan: Plan, library: Library, pool: ThreadPoolExecutor) -> Plan:
    """The plan, in which files without sidecar have that of an equal file."""
    twins = list(elsewhere.twins(plan))
    equal = list(pool.map(lambda pair: _same_content(library, pair[0].media, pair[1].media), twins))
    return elsewhere.with_borrowed(
        plan,
        {
            item.file_id: (donor.sidecar, "copy")
            for (item, donor), same in zip(reversed(twins), reversed(equal), strict=True)  # the first counts
            if same and donor.sidecar is not None
        },
    )


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection: pairing makes values by the million and no cycles, which the collector visits in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _same_content(library: Library, one: Entry, other: Entry, verify: bool = False) -> bool:
    """Two files of one size have the same content; False too if either cannot be read, so that both are kept.

    Byte for byte; by CRC-32, which archives state, where one of them is a member of an archive.
    """
    from pipeline.stages import checksum, have_same_bytes

    problems: list[Problem] = []
    with noting(problems, "list"):
        if one.crc32 is None and other.crc32 is None:
            return have_same_bytes(one, other, library)
        return checksum(one, library, verify) == checksum(other, library, verify)
    return False
