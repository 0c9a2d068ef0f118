"""Pairing the media of one folder with their sidecars, by name first, by what a sidecar says where names do not decide.

Pure and independent of the order of a listing. Every rule is run over all media of the folder before the next one, surest
first; a sidecar has one medium, and what is made of it (edits, the moving half of a live photo) shares it. Names are merged
over all parts of the export before, because a medium and its sidecar may lie in different ones (immich-go #493).
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cached_property
from typing import NamedTuple

from pipeline.problems import Problem
from pipeline.takeout.names import (
    MEDIUM_UNITS,
    SIDECAR_UNITS,
    STILLS,
    SUPPLEMENT,
    EditName,
    at_limit,
    creation_original,
    cut,
    edit_readings,
    folded,
    full_names,
    is_extension,
    medium_names,
    normal,
    short_edit_reading,
    sidecar_stems,
    split_counter,
    split_extension,
    title_agrees,
    units,
    unknown_edit,
)
from pipeline.takeout.sidecar import ONE_MOMENT, SidecarGist


@dataclass(frozen=True, slots=True)
class Pair:
    """What a medium belongs to; names of the same folder, None where there is none. `rule` is the rule that found it."""

    sidecar: str | None = None
    rule: str | None = None
    edited_of: str | None = None
    live_partner: str | None = None
    problems: tuple[Problem, ...] = ()


_NO_PAIR = Pair()


@dataclass(frozen=True, slots=True)
class FolderPairing:
    """A folder's media with their pairs; what must be read before this is final; and what is left over.

    `to_read` are JSON files, `to_date` media whose own time must be known; `redundant` are second sidecars of a medium, by
    name; `unused` all JSON files that no medium has.
    """

    pairs: dict[str, Pair]
    to_read: tuple[str, ...] = ()
    to_date: tuple[str, ...] = ()
    redundant: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


class Medium(NamedTuple):
    """A medium's name, taken apart; a tuple, as they are made by the hundred thousand."""

    name: str  # as listed
    normal: str  # the form in which it is compared
    stem: str  # without extension
    base: str  # without counter either
    counter: str  # with its brackets, or ""
    extension: str  # with its dot, or ""

    @classmethod
    def of(cls, name: str) -> Medium:
        """The medium of this name."""
        compared = normal(name)
        stem, extension = split_extension(compared)
        return cls(name, compared, stem, *split_counter(stem), extension)

    @property
    def title(self) -> str:
        """The name without counter."""
        return self.base + self.extension


class Index:
    """Names by a key, which mostly only one of them has: a list for each would be the dearest part of pairing."""

    __slots__ = ("one", "several")

    def __init__(self, keys: Sequence[str], names: Sequence[str]) -> None:
        self.one = dict(zip(reversed(keys), reversed(names), strict=True))  # the first of them
        self.several: dict[str, list[str]] = {}
        if len(self.one) < len(names):
            for key, name in zip(keys, names, strict=True):
                if self.one[key] != name:
                    self.several.setdefault(key, [self.one[key]]).append(name)

    def all(self, key: str) -> Sequence[str]:
        """Every name that has this key, in order."""
        if (name := self.one.get(key)) is None:
            return ()
        return self.several.get(key) or (name,)

    def only(self, key: str) -> str | None:
        """The name that has this key, if one alone has it."""
        return None if key in self.several else self.one.get(key)


Stems = Iterable[tuple[str, str]]  # (sidecar's name without ".json", rule)


def _literal(medium: Medium) -> Stems:
    # A longer name than any title gives has a counter that is one, never part of the title.
    if units(medium.normal) > MEDIUM_UNITS + 1 and medium.counter:
        return ()
    return sidecar_stems(medium.normal)


def _moved_counter(medium: Medium) -> Stems:
    if not medium.counter:
        return ()
    return [(stem + medium.counter, f"{rule}_counter") for stem, rule in sidecar_stems(medium.title)]


def _without_extension(medium: Medium) -> Stems:
    return _of_title(medium, medium.stem, medium.base) if medium.extension else ()


def _without_two(medium: Medium) -> Stems:
    (stem, second), (base, of_base) = split_extension(medium.stem), split_extension(medium.base)
    return _of_title(medium, stem if is_extension(second) else "", base if is_extension(of_base) else "")


def _of_title(medium: Medium, title: str, counted: str) -> Iterator[tuple[str, str]]:
    if title:
        yield from ((found, f"{rule}_no_extension") for found, rule in sidecar_stems(title))
    if counted and medium.counter:
        yield from ((found + medium.counter, f"{rule}_no_extension") for found, rule in sidecar_stems(counted))


#: The rules by which the name of a medium gives that of its sidecar, surest first.
RULES: tuple[Callable[[Medium], Stems], ...] = (_literal, _moved_counter, _without_extension, _without_two)

#: Every rule that a Pair can have, in the order in which they are tried, and what it says of the sidecar or the file.
RULE_MEANINGS: dict[str, str] = {
    "supplemental": "named after the file and “.supplemental-metadata”, cut to 46 characters",
    "legacy": "named after the file, cut to 46 characters, as in exports until late 2024",
    "supplemental_counter": "named after the file and “.supplemental-metadata”, the file's number standing at the end",
    "legacy_counter": "named after the file, its number standing at the end",
    "supplemental_no_extension": "named after the file without its extension, which Google added, and “.supplemental-metadata”",
    "legacy_no_extension": "named after the file without its extension, which Google added",
    "case": "named after the file but for capital letters, and no other is",
    "title": "several files could have it by its name; the title in it decides",
    "ambiguous": "files that differ in their extensions only could have it; this is the likeliest",
    "edited": "the file is an edited version, and shares what its original has",
    "edited_cut": "an edited version whose suffix is cut, as its name is as long as may be",
    "edited_no_counter": "an edited version with a number that no original has; the one without number is taken",
    "edited_cut_off": "a name as long as may be with a number that no sidecar has: an edited version without room for a suffix",
    "live": "the file is the moving half of a photo, and shares what that has",
    "live_orphan": "the file is the moving half of a photo that is not there, and has what that would have",
    "lenient": "named after the file in a spelling that was seen once only: a suffix too short, a number before it",
    "other_extension": "named after another kind of picture of that name, and the title agrees",
    "creation": "Google Photos made the file of another, and it shares what that has",
    "edited_short": "an edited version by the beginning of a suffix, although there was room for all of it",
    "edited_unknown_suffix": "an edited version in a language that is not known",
}

#: Rules whose pairs stand without a look into the sidecar.
SURE = frozenset({"supplemental", "legacy", "supplemental_counter", "legacy_counter"})

#: Rules by which a medium may have the sidecar of an original that is not there, with others that are derived from it.
_INHERITING = frozenset({"edited", "edited_cut", "edited_no_counter", "edited_short", "creation", "live_orphan"})

_ENDING = len(".json")
#: Beside a medium's name of this length its sidecar's has ".suppl" at least, as no medium's name that is longer would.
_SHORT = SIDECAR_UNITS - len(".suppl")
_START = re.compile(r"[^.(]{0,40}", re.DOTALL)
_MOTION = re.compile(r"\.(mp|mv)(~\d+)?", re.IGNORECASE)
_LIVE = {".mp4", ".mov"}


def pair_folder(
    media: Iterable[str],
    sidecars: Iterable[str],
    read: Mapping[str, SidecarGist] | None = None,
    recorded: Mapping[str, int | None] | None = None,
) -> FolderPairing:
    """Pair the media names of one folder with its JSON names.

    `read` is what is known of JSON files by content, `recorded` when media themselves say that they were taken, in seconds
    since 1970, None where they do not say.
    """
    return _Work(media, sidecars, read or {}, recorded or {}).result()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A JSON file that a medium has or could have. `rule` is None for one that no rule gives it, but nearly.

    `through` is the medium that the chosen one is shared with; `why_not` says why another was not chosen.
    """

    sidecar: str
    rule: str | None
    chosen: bool
    why_not: str | None = None
    through: str | None = None


def explain_pair(
    name: str,
    media: Iterable[str],
    sidecars: Iterable[str],
    read: Mapping[str, SidecarGist] | None = None,
    recorded: Mapping[str, int | None] | None = None,
) -> tuple[Candidate, ...]:
    """What `pair_folder` considers for one medium of a folder, surest first; and what nearly fits one that has none."""
    work = _Work(media, sidecars, read or {}, recorded or {})
    return _Explanation(work, work.result(), Medium.of(name)).candidates()


class _Work:
    """The state of pairing one folder.

    Most media have a sidecar of the newer spelling and are paired by it at once; only the others' names are taken apart, and
    an index is made when the first of them asks for it. Nothing may cost more than the number of names: 100,000 of them can
    begin alike.
    """

    def __init__(
        self,
        media: Iterable[str],
        sidecars: Iterable[str],
        read: Mapping[str, SidecarGist],
        recorded: Mapping[str, int | None],
    ) -> None:
        self.names = sorted(media)
        self.sidecars = sorted(sidecars)
        self.read = read
        self.recorded = recorded
        self.undated: list[str] = []  # media whose own time would decide
        self.untimed: list[str] = []  # sidecars whose time would
        self.pairs: dict[str, Pair] = {}
        self.owner: dict[str, str] = {}  # sidecar -> its one medium
        self.contested: dict[str, dict[str, Medium]] = {}  # sidecar -> the media that could have it
        self.moving: dict[str, str] = {}  # still -> the moving half of its live photo
        self.derived: list[str] = []
        self.left: list[Medium] = []  # what the names of sidecars alone do not pair
        self.normals = [normal(name) for name in self.names]
        self.by_name: dict[str, str] = dict(zip(reversed(self.normals), reversed(self.names), strict=True))
        self.items = [name for name in self.sidecars if self.may_be_item(name)] if read else self.sidecars
        self.stems = [normal(name[:-_ENDING]) for name in self.items]
        self.by_stem = Index(self.stems, self.items)

    def may_be_item(self, name: str) -> bool:
        """The JSON file is one of an item, as far as is known."""
        gist = self.read.get(name)
        return gist is None or gist.kind == "item"

    @cached_property
    def ordered_stems(self) -> list[str]:
        """Names of sidecars in order; those as listed are in order, so this is quick."""
        return sorted(self.stems)

    @cached_property
    def ordered_normals(self) -> list[str]:
        """Names of media in the form in which they are compared, in order."""
        return sorted(self.normals)

    @cached_property
    def by_folded_stem(self) -> Index:
        """Sidecars that `newest` has left, by their names without case."""
        names = [name for name in self.items if name not in self.owner]
        return Index([folded(normal(name[:-_ENDING])) for name in names], names)

    @cached_property
    def folded_free(self) -> list[str]:
        """Their names without case, in order."""
        return sorted(self.by_folded_stem.one)

    @cached_property
    def by_folded_name(self) -> Index:
        """Media by their names without case."""
        return Index([folded(name) for name in self.normals], self.names)

    @cached_property
    def others_by_stem(self) -> dict[str, list[str]]:
        """What is no still by its extension, by stems without case."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, compared in zip(self.names, self.normals, strict=True):
            stem, extension = split_extension(compared)
            if extension.lower() not in STILLS:
                found[folded(stem)].append(name)
        return found

    def result(self) -> FolderPairing:
        """All rules, one after the other."""
        self.newest()
        others = self.left = [Medium.of(name) for name in self.names if name not in self.pairs]
        near = [medium for medium in others if self.near_free(medium.normal)]
        for find in (self.by_rule, self.by_rule_and_stem, self.by_rule_without_case):
            for rule in RULES:
                self.assign((medium, find(medium, rule)) for medium in near if medium.name not in self.pairs)
        self.drop_paired()
        self.by_title()
        self.likeliest()
        steps = (
            self.edited,
            self.cut_off,
            self.motion,
            self.lenient,
            self.created,
            self.edited_short,
            self.unknown_suffix,
        )
        for step in steps:
            self.drop_paired()
            for medium in self.left:
                step(medium)
        self.drop_paired()
        for medium in self.left:
            self.pairs[medium.name] = Pair(problems=self.contest_problem(medium))
        self.share()
        unused = tuple(name for name in self.sidecars if name not in self.owner)
        return FolderPairing(
            pairs=self.pairs,
            to_read=tuple(
                name
                for name in sorted({*unused, *self.unsure(others), *self.cut_alike(unused), *self.untimed})
                if name not in self.read
            ),
            to_date=tuple(self.undated),
            redundant=self.redundant(unused),
            unused=unused,
        )

    def drop_paired(self) -> None:
        """Leave only the media that no rule has paired yet."""
        self.left = [medium for medium in self.left if medium.name not in self.pairs]

    def unsure(self, media: Iterable[Medium]) -> Iterator[str]:
        """Sidecars that one of these media has by a rule that is not sure."""
        for medium in media:
            pair = self.pairs[medium.name]
            if pair.rule not in SURE and pair.sidecar is not None and self.owner[pair.sidecar] == medium.name:
                yield pair.sidecar

    def cut_alike(self, unused: Iterable[str]) -> Iterator[str]:
        """Sidecars of which there is an unused one that was cut to the same name: only the titles tell whose is whose."""
        starts = {split_counter(normal(name[:-_ENDING]))[0] for name in unused}
        long = {start for start in starts if units(start) >= SIDECAR_UNITS}
        for name, stem in zip(self.items, self.stems, strict=True) if long else ():
            if len(stem) > SIDECAR_UNITS // 2 and split_counter(stem)[0] in long:
                yield name

    # Which sidecar a medium would have

    def newest(self) -> None:
        """The first answer of the first rule, which is that of most media, for names so short that no other can claim it."""
        sidecars = self.by_stem.one
        for name in self.names:
            if len(name) <= _SHORT and name.isascii():
                sidecar = sidecars.get((name + SUPPLEMENT)[:SIDECAR_UNITS])
                if sidecar is not None:
                    self.give(name, sidecar, "supplemental")

    def first(self, stems: Stems, free: bool = True) -> tuple[str, str] | None:
        """The first existing sidecar of these names, with its rule."""
        for stem, rule in stems:
            for name in self.by_stem.all(stem):
                if not free or name not in self.owner:
                    return name, rule
        return None

    def is_another(self, sidecar: str, medium: Medium) -> bool:
        """Both were cut to the same name, but the title, which explains the sidecar's, is not the medium's."""
        gist = self.read.get(sidecar)
        if gist is None or gist.title is None or units(medium.title) < SIDECAR_UNITS:
            return False
        stem = split_counter(normal(sidecar[:-_ENDING]))[0]
        return not title_agrees(gist.title, medium.name) and any(
            cut(normal(name), SIDECAR_UNITS) == stem for name in full_names(gist.title)
        )

    def by_rule(self, medium: Medium, rule: Callable[[Medium], Stems]) -> tuple[str, str] | None:
        """The free sidecar that a rule gives to a medium; of two that only Unicode tells apart, the one spelt as it is."""
        match = self.first(rule(medium))
        if match and not match[0].isascii() and (twins := self.by_stem.several.get(normal(match[0][:-_ENDING]))):
            composed = medium.name == medium.normal
            same = [name for name in twins if (name == normal(name)) == composed and name not in self.owner]
            return (same[0], match[1]) if len(same) == 1 else match
        return match

    def by_rule_and_stem(self, medium: Medium, rule: Callable[[Medium], Stems]) -> tuple[str, str] | None:
        """The same without the case of the extension alone: stems that differ in case are other titles."""
        for ending in dict.fromkeys((medium.extension.lower(), medium.extension.upper())):
            if ending != medium.extension and (match := self.first(rule(Medium.of(medium.stem + ending)))):
                return match[0], "case"
        return None

    def by_rule_without_case(self, medium: Medium, rule: Callable[[Medium], Stems]) -> tuple[str, str] | None:
        """The same without any case."""
        return self.first_folded(rule(medium))

    def first_folded(self, stems: Stems) -> tuple[str, str] | None:
        """The same without case, where only one fits."""
        for stem, _ in stems:
            free = self.two_free(self.by_folded_stem, folded(stem))
            if len(free) == 1:
                return free[0], "case"
        return None

    def two_free(self, index: Index, key: str) -> list[str]:
        """Up to two sidecars of this key that nobody has; others that are met are removed, as no one need meet them again."""
        if (names := index.several.get(key)) is None:
            return [name for name in index.all(key) if name not in self.owner]
        free: list[str] = []
        while names and len(free) < 2:
            if (name := names.pop()) not in self.owner:
                free.append(name)
        names.extend(free)
        return free

    def near(self, name: str) -> bool:
        """Some sidecar begins like this name, up to its first dot or bracket; if none does, no rule finds one."""
        return _some_begins(self.ordered_stems, _START.match(name)[0])  # type: ignore[index]  # it matches the empty string

    def near_free(self, name: str) -> bool:
        """The same without case, of the sidecars that nobody has."""
        return _some_begins(self.folded_free, _START.match(name)[0].lower())  # type: ignore[index]

    def assign(self, wanted: Iterable[tuple[Medium, tuple[str, str] | None]]) -> None:
        """Pair the media whose sidecar no other one wants by the same rule."""
        claims: dict[str, list[tuple[Medium, str]]] = defaultdict(list)
        for medium, found in wanted:
            if found is not None:
                claims[found[0]].append((medium, found[1]))
        for sidecar, claimants in claims.items():
            owners = [claim for claim in claimants if claim[0].extension.lower() not in _LIVE]
            if len(owners) != 1 or len({medium.stem for medium, _ in claimants}) > 1:
                owners = claimants  # otherwise the others are its moving half
            medium, rule = owners[0]
            if len(owners) > 1 or self.is_another(sidecar, medium):
                self.contested.setdefault(sidecar, {}).update((medium.name, medium) for medium, _ in claimants)
            else:
                self.give(medium.name, sidecar, rule)

    def give(self, name: str, sidecar: str, rule: str, *problems: Problem) -> None:
        """Make a medium the one that has the sidecar."""
        self.owner[sidecar] = name
        self.pairs[name] = Pair(sidecar, rule, None, None, problems)

    # What the sidecars say, where names collide

    def by_title(self) -> None:
        """Collisions: names that were cut alike, or a title without extension that several media share."""
        if not self.read:
            return
        wanted: dict[str, dict[str, Medium]] = {}
        taken: dict[str, int] = defaultdict(int)
        for sidecar, title in self.titles():
            claimants = self.claimants(sidecar, title)
            if claimants:
                wanted[sidecar] = claimants
                for name in claimants:
                    taken[name] += 1
        for sidecar, claimants in wanted.items():
            (name, *others) = claimants
            if not others and taken[name] == 1:
                note = Problem(
                    "pair", "ambiguous", f"the name of {sidecar} alone does not say whose it is; its title decided"
                )
                self.give(name, sidecar, "title", note)
        # Where all but one claimant have found a sidecar by title, the one left has it for lack of others.
        for sidecar, claimants in sorted(self.contested.items()):
            if sidecar in self.owner or not self.titled(sidecar):
                continue
            unpaired = [medium for medium in claimants.values() if medium.name not in self.pairs]
            if len(unpaired) == 1 and self.fits(unpaired[0], sidecar):
                note = Problem("pair", "ambiguous", f"several media could have {sidecar}; the others have another")
                self.give(unpaired[0].name, sidecar, "title", note)

    def likeliest(self) -> None:
        """Media that differ in their extensions only, and a title without extension that fits all: Google adds ".jpg" to such
        a title, so that is the likelier one, then the others in the order of STILLS."""
        for sidecar, claimants in sorted(self.contested.items()):
            gist = self.read.get(sidecar)
            if sidecar in self.owner or gist is None or gist.title is None:
                continue
            if is_extension(split_extension(gist.title)[1]):
                continue  # it names an extension, but that of none of them
            left = [medium for medium in claimants.values() if medium.name not in self.pairs]
            fitting = sorted((m for m in left if title_agrees(gist.title, m.name)), key=_likelihood)
            if len(fitting) > 1 and len({medium.stem for medium in fitting}) == 1:
                first, second, *others = fitting
                more = f", or {len(others)} more" if others else ""
                note = Problem("pair", "ambiguous", f"{sidecar} could also be that of {second.name}{more}")
                self.give(first.name, sidecar, "ambiguous", note)

    def titles(self) -> Iterator[tuple[str, str]]:
        """Sidecars that nobody has yet, with their titles, as far as they have been read."""
        for sidecar in (*sorted(self.contested), *(name for name in self.sidecars if name not in self.contested)):
            gist = self.read.get(sidecar)
            if sidecar not in self.owner and gist is not None and gist.title is not None:
                yield sidecar, gist.title

    def claimants(self, sidecar: str, title: str) -> dict[str, Medium]:
        """The media without sidecar that this one may be about, by its name, and that its title names."""
        stem = normal(sidecar[:-_ENDING])
        counter = split_counter(sidecar[:-_ENDING])[1]
        contested = self.contested.get(sidecar)
        found: dict[str, Medium] = {}
        for name in map(normal, medium_names(title)):
            for medium in (*self.by_named.get(name, ()), *self.by_counted.get((name, counter), ())):
                if medium.name not in self.pairs and (
                    medium.name in contested if contested is not None else _cut_alike(medium, stem)
                ):
                    found[medium.name] = medium
        return found

    def titled(self, sidecar: str) -> bool:
        gist = self.read.get(sidecar)
        return gist is not None and gist.title is not None

    def fits(self, medium: Medium, sidecar: str) -> bool:
        """The sidecar's title does not speak against the medium."""
        title = self.read[sidecar].title
        if title is None:
            return True
        if is_extension(split_extension(title)[1]):
            return medium.title in {normal(name) for name in medium_names(title)}
        return title_agrees(title, medium.name)

    @cached_property
    def by_named(self) -> dict[str, list[Medium]]:
        """Media without sidecar by their names."""
        found: dict[str, list[Medium]] = defaultdict(list)
        for medium in self.left:
            found[medium.normal].append(medium)
        return found

    @cached_property
    def by_counted(self) -> dict[tuple[str, str], list[Medium]]:
        """Media without sidecar by their names without counter, and the counter."""
        found: dict[tuple[str, str], list[Medium]] = defaultdict(list)
        for medium in self.left:
            found[medium.title, medium.counter].append(medium)
        return found

    def contest_problem(self, medium: Medium) -> tuple[Problem, ...]:
        for sidecar in self.wanted_by.get(medium.name, ()):
            owner = self.owner.get(sidecar)
            if owner is None:
                count = len(self.contested[sidecar])
                if count == 1:
                    message = f"{sidecar} was cut to the same name, but has the title of another file"
                    return (Problem("pair", "ambiguous", message),)
                return (Problem("pair", "ambiguous", f"{count} media could have {sidecar}; none got it"),)
            if self.pairs[owner].rule == "ambiguous":
                return (Problem("pair", "ambiguous", f"{sidecar} went to {owner}, which is likelier to be its medium"),)
        return ()

    @cached_property
    def wanted_by(self) -> dict[str, list[str]]:
        """Contested sidecars by the names of the media that could have them."""
        found: dict[str, list[str]] = defaultdict(list)
        for sidecar, claimants in sorted(self.contested.items()):
            for name in claimants:
                found[name].append(sidecar)
        return found

    # Edits

    def edited(self, medium: Medium) -> None:
        """An edited rendition shares the sidecar of its original (4.1 in most tools' tests), whose number it has."""
        stem, extension = medium.stem, medium.extension
        for reading in edit_readings(stem, extension):
            if self.is_half_of_titled(medium, reading):
                return
            if self.share_original(medium, reading, extension, "edited" if reading.sure else "edited_cut"):
                return
            if reading.counter:
                note = Problem("pair", "low_confidence", f"there is no original with the number {reading.counter}")
                if self.share_original(medium, replace(reading, counter=""), extension, "edited_no_counter", note):
                    return

    def is_half_of_titled(self, medium: Medium, reading: EditName) -> bool:
        """ "IMG_1-edited" is the title of a still here, and this its moving half; unless there is a video to be the edit of."""
        if medium.extension.lower() not in _LIVE or self.has_own(reading.original + reading.counter + medium.extension):
            return False
        return any(map(self.has_own, _still_names(medium)))

    def has_own(self, name: str) -> bool:
        """There is a medium of this name, and it has a sidecar."""
        found = self.medium_called(name)
        return found is not None and found in self.pairs and self.pairs[found].sidecar is not None

    def edited_short(self, medium: Medium) -> None:
        """A suffix cut although there was room for all of it; no rule says so, but nothing else claims such a file."""
        stem, extension = medium.stem, medium.extension
        if reading := short_edit_reading(stem):
            note = Problem("pair", "low_confidence", "taken for an edit by the beginning of its suffix alone")
            self.share_original(medium, reading, extension, "edited_short", note)

    def share_original(self, medium: Medium, reading: EditName, extension: str, rule: str, *problems: Problem) -> bool:
        stem = reading.original + reading.counter
        original = self.medium_called(stem + extension)
        if original is None or original == medium.name:
            original = self.still_called(stem, medium)
        if original is not None:
            original, notes = self.of_its_time(medium, self.with_rivals(original, medium))
            self.derive(medium, Pair(None, rule, original, problems=(*problems, *notes)))
            return True
        if not self.near(stem) and not self.near_free(stem):
            return False
        for ending in dict.fromkeys((extension, *STILLS)):
            absent = Medium.of(stem + ending)
            for candidate in RULES:
                match = self.first(candidate(absent), free=False) or self.first_folded(candidate(absent))
                if match and self.inherit(medium, match[0], rule, *problems):
                    return True
        return False

    def inherit(self, medium: Medium, sidecar: str, rule: str, *problems: Problem) -> bool:
        """Give what is left of an item, its original being missing, the sidecar of that, if no other item has it."""
        owner = self.owner.setdefault(sidecar, medium.name)
        if owner != medium.name and self.pairs[owner].rule not in _INHERITING:
            return False
        self.pairs[medium.name] = Pair(sidecar, rule, problems=problems)
        return True

    def medium_called(self, name: str) -> str | None:
        """The medium of this name; without regard to case if only one fits."""
        return self.by_name.get(name) or self.by_folded_name.only(folded(name))

    def still_called(self, stem: str, medium: Medium) -> str | None:
        """The likeliest original of this stem with another extension than the edit's."""
        for ending in STILLS:
            for name in self.by_folded_name.all(folded(stem + ending)):
                if name != medium.name:
                    return name
        if medium.extension.lower() in STILLS:
            return None
        found = [name for name in self.others_by_stem.get(folded(stem), ())[:3] if name != medium.name]
        return found[0] if len(found) == 1 else None

    def with_rivals(self, name: str, medium: Medium) -> list[str]:
        """A medium, and the stills of the very same stem, from which `medium` may just as well be derived."""
        stem, _ = split_extension(normal(name))
        start = bisect_left(self.ordered_normals, f"{stem}.")
        found = [name]
        for other in self.ordered_normals[start : start + 2 * len(STILLS)]:
            if not other.startswith(f"{stem}."):
                break
            if other[len(stem) :].lower() in STILLS and (rival := self.by_name[other]) not in (name, medium.name):
                found.append(rival)
        return found

    def of_its_time(self, medium: Medium, names: Sequence[str]) -> tuple[str, tuple[Problem, ...]]:
        """Of the media that this one may be derived from, the likeliest: the first, unless the time of another is its own."""
        if len(names) == 1 or len({self.pairs.get(name, _NO_PAIR).sidecar for name in names} - {None}) < 2:
            return names[0], ()
        if medium.name not in self.recorded:
            self.undated.append(medium.name)
        own = self.recorded.get(medium.name)
        apart = [self.apart(name, own) for name in names]
        best = min(range(len(names)), key=lambda number: (apart[number], number))
        one_moment = ONE_MOMENT.total_seconds()
        chosen = best if apart[best] <= one_moment and apart[best] + 60 < apart[0] else 0
        others = " or ".join(name for name in names if name != names[chosen])
        why = "its time decided" if apart[chosen] <= one_moment else "its name is likelier"
        return names[chosen], (
            Problem("pair", "ambiguous", f"taken to belong to {names[chosen]}, not {others}: {why}"),
        )

    def apart(self, name: str, own: int | None) -> float:
        """Seconds between a time and that of a medium's sidecar, which is asked for; infinite if either is not known."""
        sidecar = self.pairs.get(name, _NO_PAIR).sidecar
        if sidecar is None:
            return math.inf
        gist = self.read.get(sidecar)
        if gist is None:
            self.untimed.append(sidecar)
        return abs(gist.taken - own) if gist and gist.taken is not None and own is not None else math.inf

    def cut_off(self, medium: Medium) -> None:
        """Where nothing of "-edited" fits, the edit has its original's name and a number that no sidecar has."""
        base, counter, extension = medium.base, medium.counter, medium.extension
        if not at_limit(base, extension):
            return
        original = self.by_name.get(base + extension) if counter else None
        if original is None and extension.lower() in STILLS and not counter:
            # An edit as .jpg of a .HEIC, whose stem was cut a unit earlier.
            for ending in STILLS:
                for form in (ending, ending.upper()):
                    shorter = cut(base, MEDIUM_UNITS - units(form)) + form
                    if original is None and shorter != medium.normal and units(shorter) >= MEDIUM_UNITS:
                        original = self.by_name.get(shorter)
        if original is not None and original in self.pairs:
            found = self.pairs[original]
            note = Problem("pair", "low_confidence", f"taken for an edit of {original}, as no sidecar has its number")
            self.pairs[medium.name] = Pair(found.sidecar, "edited_cut_off", original, problems=(note,))

    def created(self, medium: Medium) -> None:
        """What Google Photos made of a picture, when it has no sidecar of its own."""
        stem, extension = medium.stem, medium.extension
        if found := creation_original(stem):
            self.share_original(medium, EditName(found[0], found[1], True), extension, "creation")

    def unknown_suffix(self, medium: Medium) -> None:
        """An edit in a language that is not known: a matched medium's stem, a hyphen and a word."""
        base, counter, extension = medium.base, medium.counter, medium.extension
        stem = unknown_edit(base)
        original = self.medium_called(stem + counter + extension) if stem else None
        if original is not None and (found := self.pairs.get(original)) and found.sidecar:
            note = Problem("pair", "low_confidence", f"taken for an edit of {original} by its name alone")
            self.pairs[medium.name] = Pair(found.sidecar, "edited_unknown_suffix", original, problems=(note,))

    # Live and motion photos

    def motion(self, medium: Medium) -> None:
        """The moving half of a live or motion photo, which has no sidecar, takes that of the still."""
        for name in _still_names(medium):
            still = self.medium_called(name)
            if still is not None and still != medium.name:
                still, notes = self.of_its_time(medium, self.with_rivals(still, medium))
                self.moving.setdefault(still, medium.name)
                self.derive(medium, Pair(None, "live", live_partner=still, problems=notes))
                return
        if not self.near(medium.normal):
            return
        for name in _still_names(medium):
            absent = Medium.of(name)
            for candidate in RULES[:2]:
                if match := self.first(candidate(absent), free=False):
                    note = Problem("pair", "low_confidence", f"{match[0]} belongs to a still that is not here")
                    if self.inherit(medium, match[0], "live_orphan", note):
                        return

    # What derived files share

    def derive(self, medium: Medium, pair: Pair) -> None:
        """Note what a medium is derived from; `share` adds the sidecar."""
        self.pairs[medium.name] = pair
        self.derived.append(medium.name)

    def share(self) -> None:
        """Give edits and moving halves the sidecar of what they are derived from, however late that was found."""
        for still, moving in self.moving.items():
            pair = self.pairs[still]
            self.pairs[still] = Pair(pair.sidecar, pair.rule, pair.edited_of, moving, pair.problems)
        for name in self.derived:
            pair = self.pairs[name]
            sidecar = self.pairs[self.source_of(name)].sidecar
            rule = pair.rule if sidecar else None
            self.pairs[name] = Pair(sidecar, rule, pair.edited_of, pair.live_partner, pair.problems)

    def source_of(self, name: str) -> str:
        """What a medium is derived from, by way of others if need be."""
        seen = {name}
        while (pair := self.pairs[name]).sidecar is None and pair.rule is not None:
            above = pair.edited_of or pair.live_partner
            if above is None or above in seen:
                break
            seen.add(above)
            name = above
        return name

    # What is left

    @cached_property
    def by_lenient_title(self) -> Index:
        """Free sidecars by the media names that they have if their suffix was shortened more than the rule says."""
        keys: list[str] = []
        names: list[str] = []
        for name, whole in zip(self.items, self.stems, strict=True):
            if name in self.owner:
                continue
            stem, counter = split_counter(whole)
            title, dot, tail = stem.rpartition(".")
            if dot and SUPPLEMENT.startswith(f".{tail}"):
                title, inner = split_counter(title)
                base, extension = split_extension(title)
                keys.append(folded(base + (counter or inner) + extension))
                names.append(name)
        return Index(keys, names)

    def lenient(self, medium: Medium) -> None:
        """Spellings that were reported once (GooglePhotosTakeoutHelper forks' tests), and another still's sidecar."""
        names = self.two_free(self.by_lenient_title, folded(medium.normal))
        if len(names) == 1:
            note = Problem("pair", "low_confidence", f"{names[0]} is spelt as no rule says")
            self.give(medium.name, names[0], "lenient", note)
            return
        stem, extension = medium.stem, medium.extension
        if extension.lower() not in STILLS or not self.read or not self.near_free(stem):
            return
        for ending in STILLS:
            if ending == extension.lower():
                continue
            for other in (Medium.of(stem + ending), Medium.of(stem + ending.upper())):
                match = self.first(_literal(other)) or self.first(_moved_counter(other))
                gist = self.read.get(match[0]) if match else None
                if match and gist and gist.title and folded(split_extension(gist.title)[0]) == folded(medium.base):
                    note = Problem("pair", "low_confidence", f"{match[0]} names another extension")
                    self.give(medium.name, match[0], "other_extension", note)
                    return

    def redundant(self, unused: Iterable[str]) -> dict[str, str]:
        """Sidecars, among the unused, that some rule would give to a medium which has a better one."""
        items = [name for name in unused if self.may_be_item(name)]
        free = Index([normal(name[:-_ENDING]) for name in items], items)
        found: dict[str, str] = {}
        for name in self.owner.values() if items else ():
            for stem, _ in self.stems_with_its_number(name):
                for other in free.all(stem):
                    found[other] = min(name, found.get(other, name))
        return found

    def stems_with_its_number(self, name: str) -> Stems:
        """What the first two rules say."""
        if ")" not in name:
            return sidecar_stems(normal(name))  # there is no counter
        return (found for rule in RULES[:2] for found in rule(Medium.of(name)))


class _Explanation:
    """Why a medium has the sidecar it has, read off the finished work on its folder."""

    def __init__(self, work: _Work, pairing: FolderPairing, medium: Medium) -> None:
        self.work = work
        self.pairing = pairing
        self.medium = medium
        self.pair = pairing.pairs[medium.name]

    def candidates(self) -> tuple[Candidate, ...]:
        """Sidecars by every rule, each once, in the order in which they are tried."""
        rules: dict[str, str] = {}
        for sidecar, rule in self.by_name():
            rules.setdefault(sidecar, rule)
        if self.pair.sidecar is not None:
            rules.setdefault(self.pair.sidecar, self.pair.rule or "")
        through = self.pair.edited_of or (self.pair.live_partner if self.pair.rule == "live" else None)
        found = [
            Candidate(sidecar, self.pair.rule, True, None, through)
            if sidecar == self.pair.sidecar
            else Candidate(sidecar, rule, False, self.why_not(sidecar))
            for sidecar, rule in rules.items()
        ]
        if self.pair.sidecar is None:
            found += (Candidate(sidecar, None, False, self.misses(sidecar)) for sidecar in self.nearest(rules))
        return tuple(found)

    def by_name(self) -> Iterator[tuple[str, str]]:
        """Every JSON file that the rules for names lead to, whoever has it and whatever it is."""
        names = self.work.sidecars
        stems = [normal(name[:-_ENDING]) for name in names]
        exact = Index(stems, names)
        without_case = Index([folded(stem) for stem in stems], names)
        for index, form in ((exact, str), (without_case, folded)):
            for rule in RULES:
                for stem, label in rule(self.medium):
                    yield from ((name, label if index is exact else "case") for name in index.all(form(stem)))
        yield from ((name, "lenient") for name in self.work.by_lenient_title.all(folded(self.medium.normal)))

    def why_not(self, sidecar: str) -> str:
        """Why the medium does not have a sidecar that some rule leads to."""
        gist = self.work.read.get(sidecar)
        if gist is not None and gist.kind != "item":
            return f"it is not about a photo or video ({gist.kind})"
        owner = self.work.owner.get(sidecar)
        if owner is not None and owner != self.medium.name:
            return f"it belongs to {owner} by {self.pairing.pairs[owner].rule}"
        if self.pair.sidecar is not None:
            return f"{self.pair.sidecar} was found first, by {self.pair.rule}"
        if gist is not None and gist.title is not None and not title_agrees(gist.title, self.medium.name):
            return f"its title is {gist.title!r}"
        others = [name for name in self.work.contested.get(sidecar, ()) if name != self.medium.name]
        if others:
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            return f"other media could have it as well: {', '.join(others[:3])}{more}"
        return "other JSON files have the same name but for capitals"

    def nearest(self, known: Mapping[str, str], most: int = 3) -> list[str]:
        """Sidecars whose names are most like the medium's: those of another number, then free ones that begin like it."""
        titles = {folded(self.medium.title), folded(self.medium.base)}
        start = folded(self.medium.base)
        start = start[: max(3, len(start) * 2 // 3)]
        near = [
            (
                folded(_title_and_counter(name)[0]) in titles,
                SequenceMatcher(None, self.medium.normal, _as_medium(name)).ratio(),
                name,
            )
            for name in self.work.items
            if name not in known
            and self.work.may_be_item(name)
            and folded(normal(name)).startswith(start)
            and (name not in self.work.owner or folded(_title_and_counter(name)[0]) in titles)
        ]
        return [name for *_, name in sorted(near, key=lambda each: (-each[0], -each[1], each[2]))[:most]]

    def misses(self, sidecar: str) -> str:
        """What keeps a sidecar of a similar name from being the medium's."""
        owner = self.work.owner.get(sidecar)
        return f"it belongs to {owner}; {self.differs(sidecar)}" if owner is not None else self.differs(sidecar)

    def differs(self, sidecar: str) -> str:
        """How the name of a sidecar differs from the medium's."""
        title, counter = _title_and_counter(sidecar)
        if folded(title) in (folded(self.medium.title), folded(self.medium.base)) and counter != self.medium.counter:
            return f"its number is {counter or 'none'}, that of the file {self.medium.counter or 'none'}"
        gist = self.work.read.get(sidecar)
        if gist is not None and gist.title is not None and not title_agrees(gist.title, self.medium.name):
            return f"its title is {gist.title!r}"
        return f"it has the name of {title}{' ' + counter if counter else ''}"


def _as_medium(sidecar: str) -> str:
    """The name of the medium, as far as it is not cut, that has this sidecar."""
    title, counter = _title_and_counter(sidecar)
    base, extension = split_extension(title)
    return base + counter + extension


def _title_and_counter(sidecar: str) -> tuple[str, str]:
    """What of a sidecar's name is the title, as far as it is not cut, and its counter."""
    stem, counter = split_counter(normal(sidecar[:-_ENDING]))
    title, dot, tail = stem.rpartition(".")
    return (title if dot and SUPPLEMENT.startswith(f".{tail}") else stem), counter


def _some_begins(ordered: Sequence[str], start: str) -> bool:
    if not start.isascii():
        return True  # what is compared may be composed otherwise
    position = bisect_left(ordered, start)
    return position < len(ordered) and ordered[position].startswith(start)


def _cut_alike(medium: Medium, stem: str) -> bool:
    """Names so long that they are cut, the same as far as a number can have left it."""
    limit = SIDECAR_UNITS - 6
    return units(medium.title) >= SIDECAR_UNITS and cut(medium.title, limit) == cut(stem, limit)


def _likelihood(medium: Medium) -> tuple[bool, int, str]:
    """By what a title without extension is likelier to be: ".jpg" as Google writes it, the other stills, anything else."""
    lower = medium.extension.lower()
    return medium.extension != ".jpg", STILLS.index(lower) if lower in STILLS else len(STILLS), medium.name


def _still_names(medium: Medium) -> Iterator[str]:
    """Names that the still of a motion photo's moving part may have, the likelier first; none if it is no such part."""
    base, counter, extension = medium.base, medium.counter, medium.extension
    if not extension:
        yield from (medium.normal + ending for ending in STILLS)
    elif _MOTION.fullmatch(extension):
        yield from (base + extension + counter + ending for ending in STILLS)
        yield from (medium.stem + ending for ending in STILLS)
    elif extension.lower() in _LIVE:
        for ending in STILLS:
            # The still's extension may be longer, and its stem then one unit shorter.
            start = cut(base, MEDIUM_UNITS - units(ending)) + counter
            yield start + ending
            yield start + ending.upper()
