"""Counts of values under filters, for which SQLite would have to look at all rows: of some kB each, and perhaps a million.

Columns are read from Parquet when they are first asked for, as the number of each row's value: 1 to 4 bytes a row.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.problems import RunError
from pipeline.record import COLUMNS

if TYPE_CHECKING:
    from pipeline.library import Library

#: Columns of which values are counted.
COUNTED = frozenset(column.name for column in COLUMNS if column.facet)
_NUMBERS = frozenset(c.name for c in COLUMNS if pa.types.is_integer(c.type) or pa.types.is_boolean(c.type))

#: A whole number that is written as SQLite would write it.
_NUMBER = re.compile("0|[1-9][0-9]{0,17}")

POSITION = ("longitude", "latitude")

#: Rows of `media` that the page is about which is being made, where `Counts` can count them.
asked: ContextVar[tuple[Counts, list[Filter]] | None] = ContextVar("asked", default=None)

Numbers: TypeAlias = np.ndarray[Any, Any]
#: A column and the value that it is to have.
Filter = tuple[str, str]
#: A value as SQLite has it, and its rows.
Count = tuple[str | int, int]


class Counts:
    """The columns of a library that can be counted, once they are prepared."""

    def __init__(self, library: Library, rows: int) -> None:
        """`rows` is how many the index has: Parquet files of others are not of the same scan."""
        self._library, self._rows = library, rows
        self._reading = threading.Lock()
        self._degrees: dict[str, Numbers] = {}
        self._columns: dict[str, tuple[Numbers, list[str | int]]] = {}

    def prepare(self, names: Iterable[str]) -> bool:
        """Read columns, those that have not been read yet all at once. False if they cannot be had."""
        with self._reading:
            missing = [name for name in dict.fromkeys(names) if name not in self._columns | self._degrees]
            if not missing:
                return True
            try:
                table = self._library.arrow(missing)
            except (RunError, OSError, pa.ArrowException):
                return False
            if len(table) != self._rows:
                return False
            for name in missing:
                column = table.column(name)
                if name in POSITION:
                    self._degrees[name] = column.to_numpy()
                    continue
                found = column.combine_chunks().dictionary_encode()
                values = [int(v) if isinstance(v, bool) else v for v in found.dictionary.to_pylist()]
                codes = found.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
                self._columns[name] = codes.astype(np.min_scalar_type(len(values))), values
            return True

    def of(self, column: str, filters: Iterable[Filter], most: int) -> list[Count]:
        """The values of a column in the rows that pass the filters, the most frequent first, `most` of them."""
        codes, values = self._columns[column]
        null = len(values)
        counts = np.bincount(codes[self._passing(filters)], minlength=null + 1)[:null]
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda n: (-int(counts[n]), values[n]))
        return [(values[number], int(counts[number])) for number in order[:most]]

    def rows(self, filters: Sequence[Filter]) -> int:
        """How many rows pass the filters, of which there is one at least."""
        return int(np.count_nonzero(self._passing(filters)))

    def positions(self, filters: Sequence[Filter]) -> tuple[Numbers, Numbers]:
        """Longitudes and latitudes of the rows that pass the filters and have them."""
        chosen = self._passing(filters)
        longitudes, latitudes = (self._degrees[name][chosen] for name in POSITION)
        there = np.isfinite(longitudes) & np.isfinite(latitudes)
        return longitudes[there], latitudes[there]

    def _passing(self, filters: Iterable[Filter]) -> Any:
        """What picks the rows that pass."""
        passing: Any = slice(None)
        for name, wanted in filters:
            codes, values = self._columns[name]
            number = next((n for n, value in enumerate(values) if str(value) == wanted), -1)
            found = codes == number if number >= 0 else np.zeros(len(codes), bool)
            passing = found if isinstance(passing, slice) else passing & found
        return passing


def plain_filters(given: Iterable[tuple[str, str]]) -> list[Filter] | None:
    """The filters of a page of Datasette's, if each is of a column that is counted; else None."""
    filters = []
    for key, value in given:
        if key.startswith("_") and "__" not in key:
            if key in ("_where", "_search", "_through") or key.startswith("_search_"):
                return None
            continue
        column = key.removesuffix("__exact")
        # SQLite takes "02" for the number 2.
        if column not in COUNTED or (column in _NUMBERS and not _NUMBER.fullmatch(value)):
            return None
        filters.append((column, value))
    return filters
