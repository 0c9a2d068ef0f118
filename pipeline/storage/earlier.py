"""What earlier runs have left: rows of the shards of a run that was killed, and those of the `media` last published.

A row is taken over where it was made from the same (`planning.made_from`), and what it says of a file's bytes where only those
are the same. Nothing is trusted that is not as it was written: a shard has its own CRC-32, ``run.json`` those of what was
published with it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from zlib_ng import zlib_ng

from pipeline.item import MediaItem
from pipeline.problems import DEADLY, TRANSIENT
from pipeline.record import FACT_COLUMNS, PARTITION, RECORD, unsettled
from pipeline.storage.published import Published
from pipeline.storage.results import Results
from pipeline.storage.shards import read_shard

#: Tables whose facts are kept in memory, and rows that are taken over at a time.
TABLES, ROWS = 4, 4096
#: What says whether a row may be taken over.
_JUDGED = ["made_from", "problems"]


class _Source(NamedTuple):
    """A file of rows: a shard, or a part of `media` as it was published."""

    path: Path
    published: Published | None = None

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its rows, as RECORD. Raises OSError or ArrowException if it is not what was written."""
        if self.published is None:
            rows = read_shard(self.path.parent, self.path.stem)
            return _as_record(rows) if columns is None else rows.select(columns)
        data = self.path.read_bytes()
        if Published(len(data), zlib_ng.crc32(data)) != self.published:
            raise OSError(f"{self.path} is not what was published")
        rows = pq.read_table(pa.BufferReader(data), columns=columns, partitioning=None)
        if columns is not None:
            return rows
        year = int(self.path.parent.name.partition("=")[2])
        rows = rows.append_column(RECORD.field(PARTITION), pa.array([year] * len(rows), RECORD.field(PARTITION).type))
        return _as_record(rows)


def _as_record(rows: pa.Table) -> pa.Table:
    """Rows as RECORD; of columns that the version that wrote them did not have, nothing is known."""
    for field in RECORD:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return rows.select(RECORD.names).cast(RECORD)


class _Taken:
    """Rows of a source that are taken over, and what may differ from them: the part that the file is in, and the other half
    of a live photo, by names. 20 bytes a row."""

    __slots__ = ("_partners", "_parts", "_rows")

    def __init__(self) -> None:
        self._rows, self._parts, self._partners = array("I"), list[str](), array("Q")

    def add(self, row: int, part: str, partner: str | None) -> None:
        """Take over a row."""
        self._rows.append(row)
        self._parts.append(part)
        self._partners.append(int(partner, 16) if partner else 0)

    def batches(self) -> Iterator[tuple[pa.Array, list[str], list[str | None]]]:
        """The numbers of some rows at a time, with their parts and partners."""
        for first in range(0, len(self._rows), ROWS):
            some = slice(first, first + ROWS)
            partners = [f"{each:016x}" if each else None for each in self._partners[some]]
            yield _arrow(self._rows[some], pa.uint32()), self._parts[some], partners


class _Places:
    """Where digests are found: sorted, with the number of the row of each. 12 bytes a row."""

    def __init__(self, digests: array[int], numbers: array[int]) -> None:
        order = pc.sort_indices(_arrow(digests, pa.uint64()))  # stable: of equal ones, the first is found
        self._digests = _sorted(digests, pa.uint64(), order)
        self._numbers = _sorted(numbers, pa.uint32(), order)

    def __len__(self) -> int:
        return len(self._digests)

    def find(self, digest: str) -> int | None:
        """The number of the row."""
        value = int(digest, 16)
        place = bisect_left(self._digests, value)
        if place < len(self._digests) and self._digests[place] == value:
            return self._numbers[place]
        return None


class Earlier:
    """The rows of earlier runs, and which of them are taken over."""

    def __init__(
        self, sources: Iterable[_Source] = (), again: Set[str] = TRANSIENT, but_archives: bool = False
    ) -> None:
        """Rows of these sources, but those with problems of kinds that are to be tried `again`; `but_archives`, whose members
        are to be read, whatever is known of them."""
        self._but_archives = but_archives
        self._sources: list[_Source] = []
        self._starts = [0]
        self.damaged: list[Path] = []  # not what was written
        wholes, contents, numbers = array("Q"), array("Q"), array("I")
        for source in sources:
            try:
                judged = source.read(_JUDGED)
            except (OSError, ValueError, pa.ArrowException):
                self.damaged.append(source.path)
                continue
            start = self._starts[-1]
            # Nobody knows which limits a run had that was killed.
            passing = again if source.published else again | DEADLY
            excluded = _with_problems(judged.column(1), passing)
            for number, digest in enumerate(judged.column(0).to_pylist()):
                if len(digest or "") == 32 and number not in excluded:
                    contents.append(int(digest[:16], 16))
                    wholes.append(int(digest[16:], 16))
                    numbers.append(start + number)
            self._sources.append(source)
            self._starts.append(start + len(judged))
        self._wholes, self._contents = _Places(wholes, numbers), _Places(contents, numbers)
        self._taken: defaultdict[int, _Taken] = defaultdict(_Taken)  # by source
        self.taken = self.taken_bytes = 0
        self._table = lru_cache(maxsize=TABLES)(self._read_facts)

    @classmethod
    def of(cls, results: Results, published: dict[str, Published], again: Set[str], but_archives: bool) -> Earlier:
        """What is in the folder: shards, and `published` files of media."""
        shards = (_Source(path) for path in sorted(results.shards.glob("*.arrow")))
        parts = (
            _Source(results.folder / name, each)
            for name, each in sorted(published.items())
            if name.startswith("media/")
        )
        return cls((*shards, *parts), again, but_archives)

    def __len__(self) -> int:
        return len(self._wholes)

    def take(self, item: MediaItem) -> bool:
        """Take over the row of the item, if there is one that was made from the same."""
        number = self._wholes.find(item.made_from[16:])
        if number is None or self._is_to_be_read(item):
            return False
        source, row = self._place(number)
        self._taken[source].add(row, item.media.part, item.live_partner)
        self.taken += 1
        self.taken_bytes += item.media.size
        return True

    def facts(self, items: Sequence[MediaItem]) -> pa.Table | None:
        """What is known of the bytes of some items, as FACT_COLUMNS, and in `number` the place of each among them.

        None if nothing is."""
        found = [
            (number, *self._place(row))
            for number, item in enumerate(items)
            if (row := self._contents.find(item.made_from[:16])) is not None and not self._is_to_be_read(item)
        ]
        if not found:
            return None
        tables = []
        for source in dict.fromkeys(source for _, source, _ in found):
            rows = self._table(source).take([row for _, other, row in found if other == source])
            numbers = [number for number, other, _ in found if other == source]
            tables.append(rows.append_column("number", pa.array(numbers, pa.int32())))
        return pa.concat_tables(tables)

    def _is_to_be_read(self, item: MediaItem) -> bool:
        return self._but_archives and item.media.crc32 is not None

    def _read_facts(self, source: int) -> pa.Table:
        return self._sources[source].read().select(FACT_COLUMNS)

    def rows(self) -> Iterator[pa.Table]:
        """The rows that are taken over, some at a time: as they were before anything was settled over all rows, of the parts
        and with the partners that their files have now."""
        for source, taken in self._taken.items():
            table = self._sources[source].read()
            for rows, parts, partners in taken.batches():
                yield unsettled(table.take(rows), parts, partners)

    def _place(self, number: int) -> tuple[int, int]:
        source = bisect_right(self._starts, number) - 1
        return source, number - self._starts[source]


def _with_problems(problems: pa.ChunkedArray, kinds: Set[str]) -> Set[int]:
    """The numbers of the rows that have problems of these kinds."""
    rows = problems.combine_chunks()
    found = pc.is_in(pc.struct_field(pc.list_flatten(rows), "kind"), pa.array(sorted(kinds), pa.string()))
    return set(pc.list_parent_indices(rows).filter(found).to_pylist())


def _arrow(values: array[int], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _sorted(values: array[int], kind: pa.DataType, order: pa.Array) -> array[int]:
    """The values in this order, without a Python object for each."""
    taken = _arrow(values, kind).take(order).buffers()[1]
    return array(values.typecode, taken.to_pybytes()[: len(values) * values.itemsize])
