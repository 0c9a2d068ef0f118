"""Pairing the media of one folder with their sidecars, by name first, by what a sidecar says where names do not decide.

Pure and independent of the order of a listing. Every rule is run over all media of the folder before the next one, surest
first; a sidecar has one medium, and what is made of it (edits, the moving half of a live photo) shares it. Names are merged
over all parts of the export before, because a medium and its sidecar may lie in different ones (immich-go #493).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

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
    medium_names,
    normal,
    short_edit_reading,
    sidecar_stems,
    split_counter,
    split_extension,
    units,
)
from pipeline.takeout.sidecar import SidecarGist


@dataclass(frozen=True, slots=True)
class Pair:
    """What a medium belongs to; names of the same folder, None where there is none. `rule` is the rule that found it."""

    sidecar: str | None = None
    rule: str | None = None
    edited_of: str | None = None
    live_partner: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class FolderPairing:
    """A folder's media with their pairs; the JSON files that must be read before this is final; and what is left over.

    `redundant` are second sidecars of a medium, by name; `unused` all JSON files that no medium has.
    """

    pairs: dict[str, Pair]
    to_read: tuple[str, ...] = ()
    redundant: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Medium:
    """A medium's name, taken apart."""

    name: str  # as listed
    normal: str  # the form in which it is compared
    parts: tuple[str, str]  # stem and extension
    counted: tuple[str, str, str]  # stem without counter, counter or "", extension

    @classmethod
    def of(cls, name: str) -> Medium:
        """The medium of this name."""
        compared = normal(name)
        stem, extension = split_extension(compared)
        return cls(name, compared, (stem, extension), (*split_counter(stem), extension))


Stems = Iterable[tuple[str, str]]  # (sidecar's name without ".json", rule)


def _literal(medium: Medium) -> Stems:
    # A longer name than any title gives has a counter that is one, never part of the title.
    if units(medium.normal) > MEDIUM_UNITS + 1 and medium.counted[1]:
        return ()
    return sidecar_stems(medium.normal)


def _moved_counter(medium: Medium) -> Stems:
    base, counter, extension = medium.counted
    if not counter:
        return ()
    return [(stem + counter, f"{rule}_counter") for stem, rule in sidecar_stems(base + extension)]


def _without_extension(medium: Medium) -> Iterator[tuple[str, str]]:
    stem, extension = medium.parts
    if not extension:
        return
    base, counter, _ = medium.counted
    second = split_extension(stem)
    second_base = split_extension(base)
    for title in dict.fromkeys((stem, second[0])):
        if title and (title == stem or _is_extension(second[1])):
            yield from ((found, f"{rule}_no_extension") for found, rule in sidecar_stems(title))
    if counter:
        for title in dict.fromkeys((base, second_base[0])):
            if title and (title == base or _is_extension(second_base[1])):
                yield from ((found + counter, f"{rule}_no_extension") for found, rule in sidecar_stems(title))


def _is_extension(text: str) -> bool:
    return re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{1,3}", text) is not None


#: The rules by which the name of a medium gives that of its sidecar, surest first.
RULES: tuple[Callable[[Medium], Stems], ...] = (_literal, _moved_counter, _without_extension)

#: Rules whose pairs stand without a look into the sidecar.
SURE = frozenset({"supplemental", "legacy", "supplemental_counter", "legacy_counter"})

#: Rules by which a medium shares the sidecar of another.
_SHARING = frozenset({"edited", "edited_cut", "edited_no_counter", "edited_short", "creation", "live"})

_MOTION = re.compile(r"\.(mp|mv)(~\d+)?", re.IGNORECASE)
_LIVE = {".mp4", ".mov"}


def pair_folder(
    media: Iterable[str], sidecars: Iterable[str], read: Mapping[str, SidecarGist] | None = None
) -> FolderPairing:
    """Pair the media names of one folder with its JSON names; `read` is what is known of JSON files by content."""
    return _Work(media, sidecars, read or {}).result()


class _Work:
    """The state of pairing one folder."""

    def __init__(self, media: Iterable[str], sidecars: Iterable[str], read: Mapping[str, SidecarGist]) -> None:
        self.media = [Medium.of(name) for name in sorted(media)]
        self.sidecars = sorted(sidecars)
        self.read = read
        self.pairs: dict[str, Pair] = {}
        self.owner: dict[str, str] = {}  # sidecar -> its one medium
        self.contested: dict[str, list[Medium]] = {}
        self.moving: dict[str, str] = {}  # still -> the moving half of its live photo
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.sidecars:
            gist = read.get(name)
            if gist is None or gist.kind == "item":
                self.by_stem[normal(name[: -len(".json")])].append(name)
        self.by_name: dict[str, Medium] = {medium.normal: medium for medium in reversed(self.media)}

    @cached_property
    def by_folded_stem(self) -> dict[str, list[str]]:
        """Sidecars by their names without case."""
        found: dict[str, list[str]] = defaultdict(list)
        for stem, names in self.by_stem.items():
            found[folded(stem)].extend(names)
        return found

    @cached_property
    def by_folded_name(self) -> dict[str, list[Medium]]:
        """Media by their names without case."""
        found: dict[str, list[Medium]] = defaultdict(list)
        for medium in self.media:
            found[folded(medium.normal)].append(medium)
        return found

    @cached_property
    def by_media_stem(self) -> dict[str, list[Medium]]:
        """Media by their stems without case."""
        found: dict[str, list[Medium]] = defaultdict(list)
        for medium in self.media:
            found[folded(medium.parts[0])].append(medium)
        return found

    def result(self) -> FolderPairing:
        """All rules, one after the other."""
        for rule in RULES:
            self.assign((medium, self.first(rule(medium))) for medium in self.unpaired())
        for rule in RULES:
            self.assign((medium, self.first_folded(rule(medium))) for medium in self.unpaired())
        self.by_title()
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
            for medium in self.unpaired():
                step(medium)
        for medium in self.unpaired():
            self.pairs[medium.name] = Pair(problems=self.contest_problem(medium))
        self.share()
        unused = tuple(name for name in self.sidecars if name not in self.owner)
        return FolderPairing(
            pairs=self.pairs,
            to_read=tuple(name for name in self.sidecars if name not in self.read and self.is_open(name)),
            redundant={name: owner for name in unused if (owner := self.second_sidecar_of(name)) is not None},
            unused=unused,
        )

    def unpaired(self) -> list[Medium]:
        """The media that no rule has paired yet."""
        return [medium for medium in self.media if medium.name not in self.pairs]

    def is_open(self, name: str) -> bool:
        """The JSON file has to be read: nobody has it, or by a rule that is not sure."""
        owner = self.owner.get(name)
        return owner is None or self.pairs[owner].rule not in SURE

    # Which sidecar a medium would have

    def first(self, stems: Stems, free: bool = True) -> tuple[str, str] | None:
        """The first existing sidecar of these names, with its rule."""
        for stem, rule in stems:
            for name in self.by_stem.get(stem, ()):
                if not free or name not in self.owner:
                    return name, rule
        return None

    def first_folded(self, stems: Stems) -> tuple[str, str] | None:
        """The same without case, where only one fits."""
        for stem, _ in stems:
            names = [name for name in self.by_folded_stem.get(folded(stem), ()) if name not in self.owner]
            if len(names) == 1:
                return names[0], "case"
        return None

    def assign(self, wanted: Iterable[tuple[Medium, tuple[str, str] | None]]) -> None:
        """Pair the media whose sidecar no other one wants by the same rule."""
        claims: dict[str, list[tuple[Medium, str]]] = defaultdict(list)
        for medium, found in wanted:
            if found is not None:
                claims[found[0]].append((medium, found[1]))
        for sidecar, claimants in claims.items():
            owners = [claim for claim in claimants if claim[0].counted[2].lower() not in _LIVE]
            if len(claimants) == 1:
                self.give(claimants[0][0], sidecar, claimants[0][1])
            elif len(owners) == 1 and len({medium.parts[0] for medium, _ in claimants}) == 1:
                self.give(owners[0][0], sidecar, owners[0][1])  # the others are its moving half
            else:
                known = self.contested.setdefault(sidecar, [])
                known.extend(medium for medium, _ in claimants if medium not in known)

    def give(self, medium: Medium, sidecar: str, rule: str, *problems: Problem) -> None:
        """Make a medium the one that has the sidecar."""
        self.owner[sidecar] = medium.name
        self.pairs[medium.name] = Pair(sidecar, rule, problems=problems)

    # What the sidecars say, where names collide

    def by_title(self) -> None:
        """Collisions: names that were cut alike, or a title without extension that several media share."""
        wanted: dict[str, list[tuple[Medium, str]]] = defaultdict(list)
        for sidecar, claimants in self.candidates():
            gist = self.read.get(sidecar)
            if gist is None or gist.title is None or sidecar in self.owner:
                continue
            names = {normal(name) for name in medium_names(gist.title)}
            counter = split_counter(sidecar[: -len(".json")])[1]
            for medium in claimants:
                if medium.name in self.pairs:
                    continue
                base, own, extension = medium.counted
                if medium.normal in names or (base + extension in names and own == counter):
                    wanted[sidecar].append((medium, "title"))
        taken: dict[str, int] = defaultdict(int)
        for claims in wanted.values():
            for medium in {medium for medium, _ in claims}:
                taken[medium.name] += 1
        for sidecar, claims in wanted.items():
            if len(claims) == 1 and taken[claims[0][0].name] == 1:
                note = Problem("pair", "ambiguous", f"several media could have {sidecar}; its title decided")
                self.give(claims[0][0], sidecar, "title", note)
        # Where all but one claimant have found a sidecar by title, the one left has it for lack of others.
        for sidecar, claimants in sorted(self.contested.items()):
            left = {medium.name: medium for medium in claimants if medium.name not in self.pairs}
            if sidecar not in self.owner and len(left) == 1 and self.titled(sidecar):
                (medium,) = left.values()
                if self.fits(medium, sidecar):
                    note = Problem("pair", "ambiguous", f"several media could have {sidecar}; the others have another")
                    self.give(medium, sidecar, "title", note)

    def titled(self, sidecar: str) -> bool:
        gist = self.read.get(sidecar)
        return gist is not None and gist.title is not None

    def fits(self, medium: Medium, sidecar: str) -> bool:
        """The sidecar's title does not speak against the medium."""
        title = self.read[sidecar].title
        if title is None:
            return True
        _, extension = split_extension(title)
        return not _is_extension(extension) or medium.counted[0] + medium.counted[2] in {
            normal(name) for name in medium_names(title)
        }

    def candidates(self) -> Iterator[tuple[str, list[Medium]]]:
        """Every sidecar in question with the media that may have it."""
        yield from sorted(self.contested.items())
        long: dict[str, list[Medium]] = defaultdict(list)
        for medium in self.unpaired():
            base, _, extension = medium.counted
            if units(base + extension) >= SIDECAR_UNITS:
                long[cut(base + extension, SIDECAR_UNITS - 6)].append(medium)
        for name in self.sidecars:
            if name not in self.contested and name not in self.owner:
                stem = normal(name[: -len(".json")])
                if claimants := long.get(cut(stem, SIDECAR_UNITS - 6)):
                    yield name, claimants

    def contest_problem(self, medium: Medium) -> tuple[Problem, ...]:
        for sidecar in self.wanted_by.get(medium.name, ()):
            if sidecar not in self.owner:
                count = len(self.contested[sidecar])
                return (Problem("pair", "ambiguous", f"{count} media could have {sidecar}; none got it"),)
        return ()

    @cached_property
    def wanted_by(self) -> dict[str, list[str]]:
        """Contested sidecars by the names of the media that could have them."""
        found: dict[str, list[str]] = defaultdict(list)
        for sidecar, claimants in sorted(self.contested.items()):
            for medium in claimants:
                found[medium.name].append(sidecar)
        return found

    # Edits

    def edited(self, medium: Medium) -> None:
        """An edited rendition shares the sidecar of its original (4.1 in most tools' tests), whose number it has."""
        stem, extension = medium.parts
        for reading in edit_readings(stem, extension):
            if self.share_original(medium, reading, extension, "edited" if reading.sure else "edited_cut"):
                return
            if reading.counter:
                note = Problem("pair", "low_confidence", f"there is no original with the number {reading.counter}")
                if self.share_original(medium, replace(reading, counter=""), extension, "edited_no_counter", note):
                    return

    def edited_short(self, medium: Medium) -> None:
        """A suffix cut although there was room for all of it; no rule says so, but nothing else claims such a file."""
        stem, extension = medium.parts
        if reading := short_edit_reading(stem):
            note = Problem("pair", "low_confidence", "taken for an edit by the beginning of its suffix alone")
            self.share_original(medium, reading, extension, "edited_short", note)

    def share_original(self, medium: Medium, reading: EditName, extension: str, rule: str, *problems: Problem) -> bool:
        stem = reading.original + reading.counter
        original = self.medium_called(stem + extension)
        if original is None or original is medium:
            original = self.still_called(stem, medium)
        if original is not None:
            self.pairs[medium.name] = Pair(None, rule, original.name, problems=problems)  # `share` adds the sidecar
            return True
        for ending in dict.fromkeys((extension, *STILLS)):
            absent = Medium.of(stem + ending)
            for candidate in RULES:
                if match := self.first(candidate(absent), free=False) or self.first_folded(candidate(absent)):
                    self.pairs[medium.name] = Pair(match[0], rule, problems=problems)
                    self.owner.setdefault(match[0], medium.name)
                    return True
        return False

    def medium_called(self, name: str) -> Medium | None:
        """The medium of this name; without regard to case if only one fits."""
        if name in self.by_name:
            return self.by_name[name]
        found = self.by_folded_name.get(folded(name), ())
        return found[0] if len(found) == 1 else None

    def still_called(self, stem: str, medium: Medium) -> Medium | None:
        """The likeliest original of this stem with another extension than the edit's."""
        found = [other for other in self.by_media_stem.get(folded(stem), ()) if other is not medium]
        for ending in STILLS:
            for other in found:
                if other.parts[1].lower() == ending:
                    return other
        return found[0] if len(found) == 1 and medium.parts[1].lower() not in STILLS else None

    def cut_off(self, medium: Medium) -> None:
        """Where nothing of "-edited" fits, the edit has its original's name and a number that no sidecar has."""
        base, counter, extension = medium.counted
        original = self.by_name.get(base + extension) if counter and at_limit(base, extension) else None
        if original is not None and original.name in self.pairs:
            found = self.pairs[original.name]
            note = Problem(
                "pair", "low_confidence", f"taken for an edit of {original.name}, as no sidecar has its number"
            )
            self.pairs[medium.name] = Pair(found.sidecar, "edited_cut_off", original.name, problems=(note,))

    def created(self, medium: Medium) -> None:
        """What Google Photos made of a picture, when it has no sidecar of its own."""
        stem, extension = medium.parts
        if found := creation_original(stem):
            self.share_original(medium, EditName(found[0], found[1], True), extension, "creation")

    def unknown_suffix(self, medium: Medium) -> None:
        """An edit in a language that is not known: a matched medium's stem, a hyphen and a word."""
        base, counter, extension = medium.counted
        stem, hyphen, word = base.rpartition("-")
        if not hyphen or not stem or len(word) < 2 or not word.replace(" ", "").isalpha() or word != word.lower():
            return
        if word.isascii() and len(word) < 4:
            return
        original = self.medium_called(stem + counter + extension)
        if original is not None and (found := self.pairs.get(original.name)) and found.sidecar:
            note = Problem("pair", "low_confidence", f"taken for an edit of {original.name} by its name alone")
            self.pairs[medium.name] = Pair(found.sidecar, "edited_unknown_suffix", original.name, problems=(note,))

    # Live and motion photos

    def motion(self, medium: Medium) -> None:
        """The moving half of a live or motion photo, which has no sidecar, takes that of the still."""
        names = _still_names(medium)
        if not names:
            return
        for name in names:
            still = self.medium_called(name)
            if still is not None and still is not medium:
                self.moving.setdefault(still.name, medium.name)
                self.pairs[medium.name] = Pair(None, "live", live_partner=still.name)  # `share` adds the sidecar
                return
        for name in names:
            absent = Medium.of(name)
            for candidate in RULES[:2]:
                if match := self.first(candidate(absent), free=False):
                    note = Problem("pair", "low_confidence", f"{match[0]} belongs to a still that is not here")
                    self.pairs[medium.name] = Pair(match[0], "live_orphan", problems=(note,))
                    self.owner.setdefault(match[0], medium.name)
                    return

    # What derived files share

    def share(self) -> None:
        """Give edits and moving halves the sidecar of what they are derived from, however late that was found."""
        for still, moving in self.moving.items():
            self.pairs[still] = replace(self.pairs[still], live_partner=moving)
        for name, pair in self.pairs.items():
            if pair.rule in _SHARING and pair.sidecar is None:
                sidecar = self.pairs[self.source_of(name)].sidecar
                self.pairs[name] = replace(pair, sidecar=sidecar, rule=pair.rule if sidecar else None)

    def source_of(self, name: str) -> str:
        """What a medium is derived from, by way of others if need be."""
        seen = {name}
        while (pair := self.pairs[name]).sidecar is None and pair.rule in _SHARING:
            above = pair.edited_of or pair.live_partner
            if above is None or above in seen:
                break
            seen.add(above)
            name = above
        return name

    # What is left

    @cached_property
    def by_lenient_title(self) -> dict[str, list[str]]:
        """Free sidecars by the media names that they have if their suffix was shortened more than the rule says."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in self.sidecars:
            gist = self.read.get(name)
            if name in self.owner or (gist is not None and gist.kind != "item"):
                continue
            stem, counter = split_counter(normal(name[: -len(".json")]))
            title, dot, tail = stem.rpartition(".")
            if dot and SUPPLEMENT.startswith(f".{tail}"):
                title, inner = split_counter(title)
                base, extension = split_extension(title)
                found[folded(base + (counter or inner) + extension)].append(name)
                if not extension:
                    found[folded(title + (counter or inner))].append(name)
        return found

    def lenient(self, medium: Medium) -> None:
        """Spellings that were reported once (GooglePhotosTakeoutHelper forks' tests), and another still's sidecar."""
        names = [name for name in self.by_lenient_title.get(folded(medium.normal), ()) if name not in self.owner]
        if len(names) == 1:
            note = Problem("pair", "low_confidence", f"{names[0]} is spelt as no rule says")
            self.give(medium, names[0], "lenient", note)
            return
        stem, extension = medium.parts
        if extension.lower() not in STILLS:
            return
        for ending in STILLS:
            if ending == extension.lower():
                continue
            for other in (Medium.of(stem + ending), Medium.of(stem + ending.upper())):
                match = self.first(_literal(other)) or self.first(_moved_counter(other))
                gist = self.read.get(match[0]) if match else None
                if (
                    match
                    and gist
                    and gist.title
                    and folded(split_extension(gist.title)[0]) == folded(medium.counted[0])
                ):
                    note = Problem("pair", "low_confidence", f"{match[0]} names another extension")
                    self.give(medium, match[0], "other_extension", note)
                    return

    def second_sidecar_of(self, sidecar: str) -> str | None:
        """The medium that has another sidecar in place of this one."""
        return self.seconds.get(sidecar)

    @cached_property
    def seconds(self) -> dict[str, str]:
        """Sidecars that some rule would give to a medium which has a better one."""
        found: dict[str, str] = {}
        for medium in self.media:
            pair = self.pairs[medium.name]
            if pair.sidecar is None or self.owner.get(pair.sidecar) != medium.name:
                continue
            for rule in RULES[:2]:
                for stem, _ in rule(medium):
                    for name in self.by_stem.get(stem, ()):
                        if name not in self.owner:
                            found.setdefault(name, medium.name)
        return found


def _still_names(medium: Medium) -> list[str]:
    """Names that the still of a motion photo's moving part may have, the likelier first; none if it is no such part."""
    base, counter, extension = medium.counted
    stem = medium.parts[0]
    if not extension:
        return [medium.normal + ending for ending in STILLS]
    if _MOTION.fullmatch(extension):
        return [base + extension + counter + ending for ending in STILLS] + [stem + ending for ending in STILLS]
    if extension.lower() in _LIVE:
        # The still's extension may be longer, and its stem then one unit shorter.
        endings = [form for ending in STILLS for form in (ending, ending.upper())]
        return [cut(base, MEDIUM_UNITS - units(ending)) + counter + ending for ending in endings]
    return []
