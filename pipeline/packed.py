"""Entries, and what is known of files, by the million, in a tenth of the memory that they take one by one. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, TypeVar

from pipeline.item import Entry
from pipeline.takeout.names import normal


class Packed:
    """Some entries, by columns; a column of equal values is one value."""

    __slots__ = ("_columns", "_folders", "_names", "count")

    def __init__(self, entries: Sequence[Entry]) -> None:
        paths, *columns = zip(*entries, strict=True)
        cut = [path.rfind("/") + 1 for path in paths]
        self.count = len(entries)
        self._names = _packed_text([path[start:] for path, start in zip(paths, cut, strict=True)])
        self._folders = _packed_column([path[:start] for path, start in zip(paths, cut, strict=True)])
        self._columns = tuple(map(_packed_column, columns))

    def names(self) -> list[str]:
        """The last component of every path."""
        if isinstance(self._names, bytes):
            return self._names.decode("utf-8", "surrogatepass").split("\0")
        return self._names

    def is_ascii(self) -> bool:
        """No name can be spelt otherwise."""
        return isinstance(self._names, bytes) and self._names.isascii()

    def column(self, name: str) -> Iterable[Any]:
        """The values of a field of Entry, save its path."""
        return _unpacked(self._columns[Entry._fields.index(name) - 1], self.count)

    def folders(self) -> set[str]:
        """The beginnings of the paths, up to the last slash."""
        return {self._folders.value} if isinstance(self._folders, _Same) else set(self._folders)

    def entries(self) -> list[Entry]:
        """The entries, in order."""
        paths = map(str.__add__, _unpacked(self._folders, self.count), self.names())
        columns = (_unpacked(column, self.count) for column in self._columns)
        return list(map(_entry, zip(paths, *columns, strict=True)))


#: `Entry._make`, without a call of Python for each.
_entry = partial(tuple.__new__, Entry)


class _Same:
    """A column of equal values."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _packed_column(values: Sequence[Any]) -> _Same | Sequence[Any]:
    if values.count(values[0]) == len(values):
        return _Same(values[0])
    try:
        return array("q", values)
    except (TypeError, OverflowError):  # text, None, or beyond 64 bits, as a damaged archive may state
        return tuple(values)


def _unpacked(column: _Same | Sequence[Any], count: int) -> Iterable[Any]:
    return repeat(column.value, count) if isinstance(column, _Same) else column


def _packed_text(names: list[str]) -> bytes | list[str]:
    packed = "\0".join(names).encode("utf-8", "surrogatepass")
    return packed if packed.count(b"\0") == len(names) - 1 else names


V = TypeVar("V", bound=Hashable)


class FileIds(Mapping[str, str | None]):
    """Of some files, by their ids, the id of another, or None: 16 bytes each. Ids are those of `planning.file_id`."""

    __slots__ = ("_keys", "_values")

    def __init__(self, pairs: Iterable[tuple[str, str | None]] = ()) -> None:
        """Of these pairs, in ascending order of the first of each, which none has twice."""
        self._keys, self._values = array("Q"), array("Q")
        for key, value in pairs:
            number = int(key, 16)
            self._keys.append(number)
            self._values.append(number if value is None else int(value, 16))  # no file belongs to itself

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return map("{:016x}".format, self._keys)

    def __getitem__(self, key: str) -> str | None:
        number = int(key, 16)
        place = bisect_left(self._keys, number)
        if place == len(self._keys) or self._keys[place] != number:
            raise KeyError(key)
        value = self._values[place]
        return None if value == number else f"{value:016x}"


class ByFile(Mapping[str, V]):
    """Values by the ids of files, which many of them share: 12 bytes each."""

    __slots__ = ("_keys", "_numbers", "_values")

    def __init__(self, pairs: Iterable[tuple[str, V]] = ()) -> None:
        """Of these pairs, in ascending order of the ids, which none has twice."""
        self._keys, self._numbers = array("Q"), array("I")
        found: dict[V, int] = {}
        for key, value in pairs:
            self._keys.append(int(key, 16))
            self._numbers.append(found.setdefault(value, len(found)))
        self._values = list(found)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return map("{:016x}".format, self._keys)

    def __getitem__(self, key: str) -> V:
        number = int(key, 16)
        place = bisect_left(self._keys, number)
        if place == len(self._keys) or self._keys[place] != number:
            raise KeyError(key)
        return self._values[self._numbers[place]]


class ByPosition(Mapping[tuple[float, float], V]):
    """Values by latitude and longitude, which many of them share: 20 bytes each."""

    __slots__ = ("_latitudes", "_longitudes", "_numbers", "_values")

    def __init__(self, pairs: Iterable[tuple[tuple[float, float], V]] = ()) -> None:
        """Of these pairs, in ascending order of the positions; of one position the first counts."""
        self._latitudes, self._longitudes, self._numbers = array("d"), array("d"), array("I")
        found: dict[V, int] = {}
        for (latitude, longitude), value in pairs:
            self._latitudes.append(latitude)
            self._longitudes.append(longitude)
            self._numbers.append(found.setdefault(value, len(found)))
        self._values = list(found)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[tuple[float, float]]:
        return zip(self._latitudes, self._longitudes, strict=True)

    def __getitem__(self, key: tuple[float, float]) -> V:
        latitude, longitude = key
        first = bisect_left(self._latitudes, latitude)
        end = bisect_right(self._latitudes, latitude, first)
        place = bisect_left(self._longitudes, longitude, first, end)
        if place == end or self._longitudes[place] != longitude:
            raise KeyError(key)
        return self._values[self._numbers[place]]


class Files:
    """Files of one folder, merged over all parts: names, each with the entries of that name.

    A name that another part spells in another Unicode form is the same name (GooglePhotosTakeoutHelper #243). First they are
    added; once they are `settled`, names and entries are in order.
    """

    __slots__ = ("_loose", "_packed", "_spelt", "_starts")

    def __init__(self) -> None:
        self._loose: list[Entry] = []
        self._packed: list[Packed] = []
        self._starts: Sequence[int] | None = None  # where the entries of each name begin, if some have several
        self._spelt: dict[str, str] = {}  # other spellings of names

    def __len__(self) -> int:
        """How many files there are, not names."""
        return len(self._loose) + sum(packed.count for packed in self._packed)

    def add(self, entry: Entry) -> None:
        """Add a file."""
        self._loose.append(entry)

    def pack(self) -> None:
        """Take less memory."""
        if self._loose:
            self._packed.append(Packed(self._loose))
            self._loose = []

    def take(self, other: Files) -> None:
        """Take over the files of another spelling of the folder."""
        self.pack()
        other.pack()
        self._packed += other._packed

    def parts(self) -> set[str]:
        """The parts that have some of them."""
        self.pack()
        return {part for packed in self._packed for part in packed.column("part")}

    def settle(self) -> None:
        """Put names in order, and the entries of each: which of two counts must not hang on the order of parts."""
        self.pack()
        if not self._packed:
            return
        if len(self._packed) == 1 and self._packed[0].is_ascii():
            names = self._packed[0].names()
            if names == sorted(set(names)):
                return
        groups: dict[str, list[Entry]] = defaultdict(list)
        for packed in self._packed:
            for entry in packed.entries():
                groups[entry.name].append(entry)
        for first, *others in spellings(groups):
            if in_different_parts({entry.part for entry in groups[name]} for name in (first, *others)):
                for name in others:
                    groups[first] += groups.pop(name)
                    self._spelt[name] = first
        entries: list[Entry] = []
        starts = []
        for name in sorted(groups):
            starts.append(len(entries))
            entries += sorted(groups[name], key=_rank)
        self._starts = array("q", starts) if len(starts) < len(entries) else None
        self._packed = [Packed(entries)]

    def names(self) -> list[str]:
        """The names, in order."""
        if not self._packed:
            return []
        names = self._packed[0].names()
        if self._starts is not None:
            names = [names[start] for start in self._starts]
        return [self._spelt.get(name, name) for name in names] if self._spelt else names

    def name_of(self, entry: Entry) -> str:
        """The name that an entry counts under."""
        return self._spelt.get(entry.name, entry.name)

    def have_namesakes(self) -> bool:
        """Some name has several entries."""
        return self._starts is not None

    def entries(self) -> list[Entry]:
        """All entries: those of the first name, the likeliest first, those of the second."""
        return self._packed[0].entries() if self._packed else []

    def starts(self) -> Sequence[int]:
        """Where in `entries` those of each name begin."""
        return range(len(self)) if self._starts is None else self._starts

    def spans(self) -> Iterator[tuple[int, int]]:
        """Where in `entries` those of each name begin and end."""
        starts = self.starts()
        if isinstance(starts, range):
            return zip(starts, range(1, len(self) + 1), strict=True)
        ends = (*starts[1:], len(self))
        return zip(starts, ends, strict=True)

    def column(self, name: str) -> Iterable[Any]:
        """The values of a field of the entries, save the path."""
        return self._packed[0].column(name) if self._packed else ()

    def folders(self) -> set[str]:
        """The beginnings of their paths, up to the last slash."""
        return {folder for packed in self._packed for folder in packed.folders()}

    def own_names(self) -> list[str]:
        """The last component of the path of every entry."""
        return self._packed[0].names() if self._packed else []

    def repeated(self) -> Iterator[tuple[Entry, Entry]]:
        """Pairs (later, first) of entries of one name and size."""
        if self._starts is not None:
            entries = self.entries()
            for start, end in self.spans():
                for later in entries[start + 1 : end]:
                    if later.size == entries[start].size:
                        yield later, entries[start]


def spellings(paths: Iterable[str]) -> list[list[str]]:
    """Paths, or names, that differ in their Unicode form or in no-break spaces alone, as groups."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if not path.isascii():
            groups[normal(path)].append(path)
    # A French container has a no-break space in one part and, unpacked otherwise, a plain blank in another.
    plain = {path for path in paths if path.isascii() and path in groups}
    for path in plain:
        groups[path].append(path)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def in_different_parts(parts: Iterable[set[str]]) -> bool:
    """No part has two of them: then they are one. Two spellings in one part are two files."""
    each = list(parts)
    return sum(map(len, each)) == len(set().union(*each))


def _rank(entry: Entry) -> tuple[int, int, str, int]:
    """The order of files of one path in several parts: the largest first, as a cut copy is smaller; then by content."""
    return -entry.size, -1 if entry.crc32 is None else entry.crc32, entry.part, entry.at or 0
