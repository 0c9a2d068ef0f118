"""What comes before a plan: every file listed, every folder paired, and what has to be read for that."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pipeline import elsewhere
from pipeline.documents import Document, read_document, unreadable_document
from pipeline.item import Entry, stored_text
from pipeline.limits import Limits
from pipeline.listing import Listing
from pipeline.planning import Plan, make_plan
from pipeline.problems import Problem, noting
from pipeline.progress import Watch
from pipeline.storage.library import Library, opened
from pipeline.storage.parts import Refused

if TYPE_CHECKING:
    from pipeline.cluster import Compute

#: Bytes of a JSON file that is read only to find out what it is.
LARGEST_DOCUMENT = 8 << 20
#: Media whose own times one task finds out.
DATED_AT_ONCE = 32
#: Files between two words about the listing.
LISTING_STEP = 500


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
    date: Callable[[Sequence[Entry]], Mapping[Entry, int | None]] | None = None,
) -> Plan:
    """The plan: every folder paired, what must be read for that read by `threads` threads.

    `date` finds out what media say of their time; by default it is done here.
    """
    with collector_paused():
        listing.pair()
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        date = date or partial(_date_here, library, pool)
        while any(wanted := (listing.to_read(), listing.to_date())):
            unread, undated = wanted
            # All of them first: while threads are at work, no process should be forked.
            documents = list(pool.map(partial(_read_document, library), unread, chunksize=16))
            recorded = date(undated) if undated else {}
            listing.learn(dict(documents), recorded)
        repeated = list(listing.repeated())
        same = pool.map(lambda pair: _same_content(library, pair[0], pair[1], verify), repeated)
        copies = frozenset(later for (later, _), equal in zip(repeated, same, strict=True) if equal)
        plan = _borrow_sidecars(make_plan(listing, copies), library, pool, date)
        candidates = elsewhere.member_candidates(plan)
        sidecars = {item.sidecar for item in candidates if item.sidecar is not None}
        known = {sidecar: found.gist for sidecar in sidecars if (found := listing.document_of(sidecar)) is not None}
        read = pool.map(partial(_read_document, library), [each for each in sidecars if each not in known])
        return elsewhere.with_members(plan, candidates, known | {each: found.gist for each, found in read})


def _borrow_sidecars(
    plan: Plan,
    library: Library,
    pool: ThreadPoolExecutor,
    date: Callable[[Sequence[Entry]], Mapping[Entry, int | None]],
) -> Plan:
    """The plan, with sidecars from other folders for files that have none in their own."""
    plan = _share_with_copies(plan, library, pool)
    strays = list(elsewhere.strays(plan))
    recorded = date([item.media for item, _ in strays]) if strays else {}
    borrowed = {
        item.file_id: (orphan.sidecar, "other_folder")
        for item, orphan in strays
        if elsewhere.is_of_its_time(orphan, recorded[item.media])
    }
    if not borrowed:
        return plan
    return _share_with_copies(elsewhere.with_borrowed(plan, borrowed), library, pool)


def _date_here(library: Library, pool: ThreadPoolExecutor, media: Sequence[Entry]) -> dict[Entry, int | None]:
    """What each of some media says of its time."""
    from pipeline.stages import recorded_at

    return dict(zip(media, pool.map(partial(recorded_at, library=library), media), strict=True))


def date_on(
    compute: Callable[[], Compute], library: Library, limits: Limits, media: Sequence[Entry]
) -> dict[Entry, int | None]:
    """The same on a cluster, whose workers have the map of time zones in memory already: it takes 34 MB."""
    from pipeline.graph import Dating
    from pipeline.stages import Undated

    batches = [
        Undated(f"the time of {media[start].path}", tuple(media[start : start + DATED_AT_ONCE]))
        for start in range(0, len(media), DATED_AT_ONCE)
    ]
    found: dict[Entry, int | None] = {}
    for dated in compute()(Dating(library, limits), batches):
        found |= dated
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


def _read_document(library: Library, entry: Entry) -> tuple[Entry, Document]:
    problems: list[Problem] = []
    with noting(problems, "list"):
        with opened(library, entry) as file:
            data = file.read_all(LARGEST_DOCUMENT)
        return entry, read_document(data, entry)
    return entry, unreadable_document(problems[0].message)


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
