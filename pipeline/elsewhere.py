"""Sidecars that lie in another folder than their file: an export may have a photo in an album, and what it knows of it in the
folder of the year, or the other way round. Pure; that bytes are equal and when a photo was taken is found out by others.

A name is never enough, as every camera begins again at IMG_0001: copies must be equal byte for byte, a sidecar without a file
must have the time of the file without a sidecar, and a sidecar in an album makes the photo of its very title and time a member.
Between folders by year nothing is borrowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.documents import year_of
from pipeline.item import Entry, MediaItem
from pipeline.planning import Orphan, Plan
from pipeline.problems import Problem
from pipeline.takeout.names import folded, medium_names, normal, sidecar_stems, split_counter, split_extension
from pipeline.takeout.pairing import Medium
from pipeline.takeout.sidecar import ONE_MOMENT, SidecarGist

#: What the values of `sidecar_rule` mean that no folder alone gives.
MEANINGS = {
    "copy": "an equal file in another folder has it",
    "other_folder": "lies alone in another folder, and name and time of taking agree",
}
#: Files that one without sidecar is compared with, at most.
DONORS = 20

Borrowed = Mapping[str, tuple[Entry, str]]  # file_id -> the sidecar and the rule


def twins(plan: Plan) -> Iterator[tuple[MediaItem, MediaItem]]:
    """Files without sidecar, each with those of the same title and size in other folders that have a sidecar."""
    lacking = [item for item in plan.lacking if item.media.size]
    # Few files have one of these: the names of others are not taken apart.
    sizes = {item.media.size for item in lacking}
    donors: dict[tuple[str, int], tuple[list[MediaItem], list[MediaItem]]] = {
        _title_and_size(item): ([], []) for item in lacking
    }
    for donor in plan.items(lambda _, size: size in sizes) if donors else ():
        if donor.sidecar is not None and (found := donors.get(_title_and_size(donor))) is not None:
            alike = found[donor.folder_kind == "special"]
            if len(alike) < DONORS:
                alike.append(donor)
    for item in lacking:
        usual, special = donors[_title_and_size(item)]
        for donor in (*usual, *special)[:DONORS]:  # what is in the bin last
            if _may_borrow(item.folder_kind, donor.folder_kind):
                yield item, donor


def strays(plan: Plan) -> Iterator[tuple[MediaItem, Orphan]]:
    """Files without sidecar, each with the one sidecar without file in another folder that is named after it."""
    orphans: dict[str, list[Orphan]] = defaultdict(list)
    for orphan in plan.orphans:
        if not orphan.adopted:
            for name in {orphan.stem, split_counter(orphan.stem)[0]}:  # numbers differ from folder to folder
                orphans[name].append(orphan)
    claims: dict[Orphan, list[MediaItem]] = defaultdict(list)
    for item in plan.lacking if orphans else ():
        named = {
            orphan: None
            for stem in _sidecar_names(item)
            if len(orphans.get(stem, ())) <= DONORS
            for orphan in orphans.get(stem, ())
            if _may_borrow(item.folder_kind, plan.folders[plan.folder_of(orphan.sidecar)].kind)
        }
        if len({(orphan.title, orphan.taken) for orphan in named}) == 1:  # the same one may lie in several albums
            claims[next(iter(named))].append(item)
    for orphan, items in claims.items():
        if len({item.media.size for item in items}) == 1:  # perhaps copies, which then have it from the first
            yield items[0], orphan


def is_of_its_time(orphan: Orphan, recorded: int | None) -> bool:
    """A sidecar without file has the time (seconds since 1970) that a file states of itself."""
    return (
        orphan.taken is not None and recorded is not None and abs(orphan.taken - recorded) <= ONE_MOMENT.total_seconds()
    )


def with_borrowed(plan: Plan, borrowed: Borrowed) -> Plan:
    """The plan, in which these files have these sidecars."""
    if not borrowed:
        return plan
    shared = {
        item.file_id: (borrowed[source][0], "edited" if item.edited_of else "live")
        for item in plan.lacking
        if item.file_id not in borrowed
        and (source := item.edited_of or item.live_partner) is not None
        and source in borrowed
    }
    borrowed = {**borrowed, **shared}
    adopted = {sidecar for sidecar, rule in borrowed.values() if rule == "other_folder"}
    return replace(
        plan,
        lacking=tuple(item for item in plan.lacking if item.file_id not in borrowed),
        borrowed={
            **plan.borrowed,
            **{
                item.file_id: _with_sidecar(item, *borrowed[item.file_id])
                for item in plan.lacking
                if item.file_id in borrowed
            },
        },
        states={
            **plan.states,
            **{(sidecar.path, sidecar.part): ("sidecar", "of a file in another folder") for sidecar in adopted},
        },
        orphans=tuple(replace(o, adopted=True) if o.sidecar in adopted else o for o in plan.orphans),
    )


def _alone_in_albums(plan: Plan) -> Iterator[tuple[Orphan, str, int]]:
    """Sidecars in albums without their file, each with its title and time, which tell what photo it is about."""
    albums = {album.folder for album in plan.albums}
    for orphan in plan.orphans:
        if orphan.title is not None and orphan.taken and plan.folder_of(orphan.sidecar) in albums:
            yield orphan, normal(orphan.title), orphan.taken


def member_candidates(plan: Plan) -> list[MediaItem]:
    """Photos and videos that may be what lies in an album as a sidecar alone, by title and year."""
    years: dict[str, set[int | None]] = defaultdict(set)
    for _, title, taken in _alone_in_albums(plan):
        for name in medium_names(title):
            years[_stem(name)] |= _years_around(taken)
    if not years:
        return []
    return [
        item
        for item in plan.items(lambda name, _: _stem(Medium.of(name).title) in years)
        if item.sidecar is not None
        and item.edited_of is None
        and not (item.sidecar_rule or "").startswith("live")
        and (expected := years.get(_stem(Medium.of(item.media.name).title))) is not None
        and (item.folder_date is None or int(item.folder_date[:4]) in expected)
    ]


def _years_around(taken: int) -> set[int | None]:
    """The years of folders in which a photo of this time may lie, give or take a time zone."""
    year = year_of(taken)
    return {year - 1, year, year + 1} if year is not None else set()


def with_members(plan: Plan, candidates: Sequence[MediaItem], gists: Mapping[Entry, SidecarGist]) -> Plan:
    """The plan, in which photos are members of albums that hold their sidecar alone: title and time are the same there."""
    said: dict[tuple[str, int], list[MediaItem]] = defaultdict(list)
    for item in candidates:
        gist = gists.get(item.sidecar) if item.sidecar else None
        if gist is not None and gist.title is not None and gist.taken:
            said[normal(gist.title), gist.taken].append(item)
    chosen: dict[Orphan, MediaItem] = {}
    for orphan, title, taken in _alone_in_albums(plan):
        folder, counter = plan.folder_of(orphan.sidecar), split_counter(orphan.stem)[1]
        items = [item for item in said.get((title, taken), ()) if plan.folder_of(item.media) != folder]
        if items:
            chosen[orphan] = min(items, key=lambda item: _likelihood(item, counter))
    said_of = {
        (orphan.sidecar.path, orphan.sidecar.part): ("unmatched_sidecar", f"its photo or video is {item.media.path}")
        for orphan, item in chosen.items()
        if not orphan.adopted
    }
    return replace(
        plan,
        states={**plan.states, **said_of},
        members={orphan: item.file_id for orphan, item in chosen.items()},
    )


def _likelihood(item: MediaItem, counter: str) -> tuple[bool, bool, str]:
    """What lies in no album first, then what has the sidecar's number, then the first path."""
    own = Medium.of(item.media.name).counter
    return item.folder_kind in ("album", "untitled"), own != counter, item.media.path


def _with_sidecar(item: MediaItem, sidecar: Entry, rule: str) -> MediaItem:
    problems = item.problems
    if rule == "other_folder":
        note = f"{sidecar.path} lies in another folder; name and time agree"
        problems = (*problems, Problem("pair", "low_confidence", note))
    return item._replace(sidecar=sidecar, sidecar_rule=rule, problems=problems)


def _may_borrow(kind: str, other: str) -> bool:
    """Between two folders by year or day nothing is borrowed: what lies there was put there by its own date."""
    return not (kind in ("year", "day") and other in ("year", "day"))


def _stem(title: str) -> str:
    """A title without case and extension, which often differ between a file, its name and its title."""
    return folded(split_extension(title)[0])


def _title_and_size(item: MediaItem) -> tuple[str, int]:
    return Medium.of(item.media.name).title, item.media.size


def _sidecar_names(item: MediaItem) -> dict[str, None]:
    """Names without ".json" of the sidecar, with the file's own counter or without."""
    medium = Medium.of(item.media.name)
    found = [stem for stem, _ in sidecar_stems(medium.normal)]
    found += [stem + counter for stem, _ in sidecar_stems(medium.title) for counter in (medium.counter, "")]
    return dict.fromkeys(found)
