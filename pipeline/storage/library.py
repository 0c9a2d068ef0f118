"""Library: the parts of one Takeout export behind one `walk` and one `open`.

Input is only ever read: opened read-only, never through a link that leaves its part, never if it is not a regular file.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.item import Entry
from pipeline.storage.archives import open_archive
from pipeline.storage.files import OpenFile
from pipeline.storage.folders import open_in_folder, walk_folder
from pipeline.storage.known import facts_of, forget, open_known, walk_known
from pipeline.storage.parts import InputError, Part, Refused, parts_of
from pipeline.storage.streams import Streamed
from pipeline.storage.zips import Member, open_member, walk_zip, want_members
from pipeline.takeout.parts import export_of, missing_parts

if TYPE_CHECKING:
    from pipeline.storage.objects import Ahead, ObjectFile

#: A file of the library, open for reading: a media Source.
InputFile: TypeAlias = "OpenFile | Member | Streamed | ObjectFile"


@dataclass(frozen=True, slots=True)
class Library:
    """One export: all its parts. Small, picklable, the same on every worker."""

    parts: tuple[Part, ...]
    repeated: tuple[str, ...] = ()  # archives that are given twice, and read once
    known: str = ""  # the folder of what is known of its tars, once they have been read: before, they cannot be walked
    waits: bool = field(init=False, repr=False, compare=False)  # reading does, for a network, whatever it seems like
    _roots: dict[str, Part] = field(init=False, repr=False, compare=False)
    _packed: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roots", {part.name: part for part in self.parts})
        object.__setattr__(self, "waits", any(part.is_remote for part in self.parts))
        object.__setattr__(self, "_packed", pickle.dumps((self.parts, self.repeated, self.known)))

    def __reduce__(self) -> tuple[Any, ...]:
        """It travels with each shard: packed once, and unpacked once in each process, however many parts it has."""
        return _unpacked, (self._packed,)

    def __dask_tokenize__(self) -> bytes:
        return self._packed

    def __hash__(self) -> int:
        return hash((len(self.parts), self.known))  # of thousands of parts as soon as of one

    @classmethod
    def of(cls, inputs: Sequence[str | os.PathLike[str]], merge: bool = False) -> Library:
        """The library whose parts are `inputs`. Raises InputError, also if these are of several exports and not to `merge`."""
        parts, repeated = parts_of(inputs)
        exports: dict[str, list[str]] = {}
        for part in parts:
            if export := export_of(part.root):
                exports.setdefault(export, []).append(part.name)
        if len(exports) > 1 and not merge:
            counts = ", ".join(f"{export} ({len(names)})" for export, names in sorted(exports.items()))
            raise InputError(
                f"these are parts of {len(exports)} exports: {counts}. "
                "Scan each by itself, or make one library of them with --merge"
            )
        return cls(tuple(parts), tuple(repeated))

    def walk(self) -> Iterator[Entry | Refused]:
        """Every file of every part, each once: an Entry if it may be opened, else Refused."""
        for part in self.parts:
            yield from walk_known(self.known, part) if part.form == "tar" else walk_part(part)

    def tars(self) -> list[Part]:
        """The parts that can only be read front to back."""
        return [part for part in self.parts if part.form == "tar"]

    def missing_parts(self) -> list[str]:
        """Parts that are missing, by the numbers in the names of those that are there."""
        return missing_parts(part.root for part in self.parts)

    def open(self, entry: Entry) -> InputFile:
        """The entry's file. Raises OSError, or MediaError if it is not (or no longer) what was listed."""
        part = self._roots[entry.part]
        if part.form == "tar":
            return open_known(self.known, part, entry)
        if part.form == "zip":
            return open_member(part, entry)
        if part.is_remote:
            from pipeline.storage.objects import open_object

            return open_object(part, entry)
        return open_in_folder(part, entry)

    def packages(self) -> tuple[str, ...]:
        """What whoever opens its files will import besides: of what lies behind URLs."""
        if not self.waits:
            return ()
        from pipeline.storage.remote import packages_for

        return packages_for(part.root for part in self.parts if part.is_remote)

    def want(self, entries: Iterable[Entry], ahead: Ahead) -> None:
        """Have fetched what is going to be read of zips behind URLs, what lies close together by one request."""
        wanted: dict[str, list[Entry]] = {}
        for entry in entries:
            part = self._roots[entry.part]
            if part.form == "zip" and part.is_remote:
                wanted.setdefault(entry.part, []).append(entry)
        for name, some in wanted.items():
            want_members(self._roots[name], some, ahead)

    def close(self) -> None:
        """Let go of what this process keeps open of archives. What is needed again is opened again."""
        open_archive.cache_clear()
        forget()

    def elsewhere(self, there: Callable[[str], str]) -> Library:
        """The library as workers of other machines see it: `there` says at which path they have what is at another here."""
        return replace(
            self, parts=tuple(part.elsewhere(there) for part in self.parts), known=self.known and there(self.known)
        )

    def form_of(self, entry: Entry) -> str:
        """The form of the part that has it."""
        return self._roots[entry.part].form

    def facts_of(self, entry: Entry) -> dict[str, Any] | None:
        """What is known of a medium before it is opened, as record.FACT_COLUMNS; None if it has to be read."""
        part = self._roots[entry.part]
        return facts_of(self.known, part, entry) if part.form == "tar" else None


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> Library:
    return Library(*pickle.loads(packed))


def walk_part(part: Part) -> Iterator[Entry | Refused]:
    """Every file of a folder or a zip."""
    if part.form == "zip":
        return walk_zip(part)
    if part.is_remote:
        from pipeline.storage.objects import walk_objects

        return walk_objects(part)
    return walk_folder(part)


def opened(library: Library, entry: Entry) -> closing[InputFile]:
    """The entry's file, closed at the end of the block."""
    return closing(library.open(entry))
