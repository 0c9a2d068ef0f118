"""Sidecars that lie in another folder than their file: an export may have a photo in an album, and what it knows of it in the
folder of the year, or the other way round. Pure; that bytes are equal and when a photo was taken is found out by others.

A name is never enough, as every camera begins again at IMG_0001: copies must be equal byte for byte, and a sidecar without a
file must have the time of the file without a sidecar. Between folders of years nothing is borrowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.item import Entry, MediaItem
from pipeline.planning import Orphan, Plan, folder_key
from pipeline.problems import Problem
from pipeline.takeout.names import medium_names, normal, sidecar_stems, split_counter, split_extension
from pipeline.takeout.sidecar import SidecarGist

#: What the values of `sidecar_rule` mean that no folder alone gives.
MEANINGS = {
    "copy": "an equal file in another folder has it",
    "other_folder": "lies alone in another folder, and name and time of taking agree",
}
#: Two times of one moment, one of them perhaps of an unknown zone, are at most so many seconds apart.
ONE_MOMENT = 26 * 3600
#: Photos whose sidecars are read for one that lies alone in an album, at most.
CANDIDATES = 20
#: Files that one without sidecar is compared with, at most.
DONORS = 3

Borrowed = Mapping[str, tuple[Entry, str]]  # file_id -> the sidecar and the rule


def twins(plan: Plan) -> Iterator[tuple[MediaItem, MediaItem]]:
    """Files without sidecar, each with one of the same title and size in another kind of folder that has a sidecar."""
    lacking: dict[tuple[str, int], list[MediaItem]] = defaultdict(list)
    for item in plan.items:
        if item.sidecar is None and item.media.size:
            lacking[_title(item), item.media.size].append(item)
    compared: dict[str, int] = defaultdict(int)
    for donor in plan.items if lacking else ():
        if donor.sidecar is not None:
            for item in lacking.get((_title(donor), donor.media.size), ()):
                if compared[item.file_id] < DONORS and _album_and_not(item, donor.folder_kind):
                    compared[item.file_id] += 1
                    yield item, donor


def strays(plan: Plan) -> Iterator[tuple[MediaItem, Orphan]]:
    """Files without sidecar, each with the one sidecar without file in another kind of folder that is named after it."""
    orphans: dict[str, list[Orphan]] = defaultdict(list)
    for orphan in plan.orphans:
        orphans[normal(orphan.sidecar.name[: -len(".json")])].append(orphan)
    found: dict[str, tuple[MediaItem, Orphan]] = {}
    claims: dict[Entry, int] = defaultdict(int)
    for item in plan.items if orphans else ():
        if item.sidecar is None:
            named = [
                orphan
                for stem in _sidecar_names(item)
                for orphan in orphans.get(stem, ())
                if _album_and_not(item, plan.folders[folder_key(orphan.folder)].kind)
            ]
            if len(named) == 1:
                found[item.file_id] = item, named[0]
                claims[named[0].sidecar] += 1
    yield from (pair for pair in found.values() if claims[pair[1].sidecar] == 1)


def is_of_its_time(orphan: Orphan, recorded: int | None) -> bool:
    """A sidecar without file has the time (seconds since 1970) that a file states of itself."""
    return orphan.taken is not None and recorded is not None and abs(orphan.taken - recorded) <= ONE_MOMENT


def with_borrowed(plan: Plan, borrowed: Borrowed) -> Plan:
    """The plan, in which these files have these sidecars."""
    if not borrowed:
        return plan
    adopted = {sidecar for sidecar, rule in borrowed.values() if rule == "other_folder"}
    paths = {(sidecar.path, sidecar.part) for sidecar in adopted}
    return replace(
        plan,
        items=tuple(
            _with_sidecar(item, *borrowed[item.file_id]) if item.file_id in borrowed else item for item in plan.items
        ),
        files=tuple(
            replace(file, state="sidecar", reason="of a file in another folder")
            if (file.path, file.part) in paths
            else file
            for file in plan.files
        ),
        orphans=tuple(replace(o, adopted=True) if o.sidecar in adopted else o for o in plan.orphans),
    )


def member_candidates(plan: Plan) -> Iterator[tuple[Orphan, MediaItem]]:
    """Sidecars in albums without their file, each with the photos in other folders that may be it, by title and year."""
    albums = {folder_key(album.folder) for album in plan.albums}
    wanted: dict[str, list[Orphan]] = defaultdict(list)
    for orphan in plan.orphans:
        if folder_key(orphan.folder) in albums and orphan.title is not None:
            for name in _names(orphan.title):
                wanted[name].append(orphan)
    asked: dict[Orphan, int] = defaultdict(int)
    for item in plan.items if wanted else ():
        if item.sidecar is not None:
            title = _title(item)
            for orphan in (*wanted.get(title, ()), *wanted.get(split_extension(title)[0], ())):
                if orphan.folder != item.media.folder and asked[orphan] < CANDIDATES and _may_be_of(orphan, item):
                    asked[orphan] += 1
                    yield orphan, item


def with_members(
    plan: Plan, candidates: Sequence[tuple[Orphan, MediaItem]], gists: Mapping[Entry, SidecarGist]
) -> Plan:
    """The plan, in which photos are members of albums that hold their sidecar alone: title and time are the same there."""
    found: dict[Orphan, list[tuple[bool, bool, str, str]]] = defaultdict(list)
    for orphan, item in candidates:
        gist = gists.get(item.sidecar) if item.sidecar else None
        if gist is not None and (gist.title, gist.taken) == (orphan.title, orphan.taken):
            number = split_counter(split_extension(normal(item.media.name))[0])[1]
            other_number = number != split_counter(normal(orphan.sidecar.name[: -len(".json")]))[1]
            found[orphan].append(
                (item.folder_kind in ("album", "untitled"), other_number, item.media.path, item.file_id)
            )
    chosen = {orphan: min(ranked) for orphan, ranked in found.items()}
    where = {(orphan.sidecar.path, orphan.sidecar.part): path for orphan, (_, _, path, _) in chosen.items()}
    return replace(
        plan,
        files=tuple(
            replace(file, reason=f"its photo or video is {where[file.path, file.part]}")
            if file.state == "unmatched_sidecar" and (file.path, file.part) in where
            else file
            for file in plan.files
        ),
        members={orphan: file_id for orphan, (_, _, _, file_id) in chosen.items()},
    )


def _names(title: str) -> set[str]:
    """Names without counter that the file of a title may have; one without extension gets one by content."""
    return {normal(name) for name in medium_names(title)}


def _may_be_of(orphan: Orphan, item: MediaItem) -> bool:
    """A folder by year holds what was taken in it, give or take a time zone."""
    if item.folder_date is None or not orphan.taken:
        return True
    try:
        year = (datetime(1970, 1, 1) + timedelta(seconds=orphan.taken)).year
    except OverflowError:
        return False
    return abs(year - int(item.folder_date[:4])) <= 1


def _with_sidecar(item: MediaItem, sidecar: Entry, rule: str) -> MediaItem:
    problems = item.problems
    if rule == "other_folder":
        note = f"{sidecar.path} lies in another folder; name and time agree"
        problems = (*problems, Problem("pair", "low_confidence", note))
    return replace(item, sidecar=sidecar, sidecar_rule=rule, problems=problems)


def _album_and_not(item: MediaItem, kind: str) -> bool:
    """One of two folders is an album, the other is not."""
    return (item.folder_kind in ("album", "untitled")) != (kind in ("album", "untitled"))


def _title(item: MediaItem) -> str:
    """The name without counter: that differs from folder to folder."""
    stem, extension = split_extension(normal(item.media.name))
    return split_counter(stem)[0] + extension


def _sidecar_names(item: MediaItem) -> dict[str, None]:
    """Names without ".json" of the sidecar, with the file's own counter or none."""
    name = normal(item.media.name)
    stem, extension = split_extension(name)
    base, counter = split_counter(stem)
    found = [stem for stem, _ in sidecar_stems(name)]
    if counter:
        found += [stem + counter for stem, _ in sidecar_stems(base + extension)]
    return dict.fromkeys(found)
