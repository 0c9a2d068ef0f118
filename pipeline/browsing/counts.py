"""Counts of values under filters, for which SQLite would have to look at all rows: of some kB each, and perhaps a million.

Columns are read from Parquet when they are first asked for, as the number of each row's value: 1 to 4 bytes a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from pipeline.record import COLUMNS

if TYPE_CHECKING:
    from pipeline.library import Library

#: Columns of which values are counted.
COUNTED = frozenset(column.name for column in COLUMNS if column.facet)
_NUMBERS = frozenset(c.name for c in COLUMNS if pa.types.is_integer(c.type) or pa.types.is_boolean(c.type))

#: Rows of `media` that the page is about which is being made, where `Counts` can count them.
asked: ContextVar[tuple[Counts, list[Filter]] | None] = ContextVar("asked", default=None)

#: A column and the value that it is to have.
Filter = tuple[str, str]
#: A value as SQLite has it, and its rows.
Count = tuple[str | int, int]


class Counts:
    """The columns of a library that can be counted."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._reading = threading.Lock()
        self._positions: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None = None
        self._columns: dict[str, tuple[np.ndarray[Any, Any], list[str | int]]] = {}

    def of(self, column: str, filters: Iterable[Filter], most: int) -> list[Count]:
        """The values of a column in the rows that pass the filters, the most frequent first, `most` of them."""
        filters = list(filters)
        self.prepare([column, *(name for name, _ in filters)])
        codes, values = self._columns[column]
        counts = np.bincount(codes[self._passing(filters)], minlength=len(values) + 1)[
            : len(values)
        ]  # the last stands for null
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda n: (-int(counts[n]), values[n]))
        return [(values[number], int(counts[number])) for number in order[:most]]

    def rows(self, filters: Sequence[Filter]) -> int:
        """How many rows pass the filters, of which there is one at least."""
        self.prepare(name for name, _ in filters)
        return int(np.count_nonzero(self._passing(filters)))

    def positions(self, filters: Sequence[Filter]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Longitudes and latitudes of the rows that pass the filters and have them."""
        self.prepare(name for name, _ in filters)
        with self._reading:
            if self._positions is None:
                table = self._library.arrow(["longitude", "latitude"])
                self._positions = table.column(0).to_numpy(), table.column(1).to_numpy()
        longitudes, latitudes = self._positions
        chosen = self._passing(filters)
        there = np.isfinite(longitudes[chosen]) & np.isfinite(latitudes[chosen])
        return longitudes[chosen][there], latitudes[chosen][there]

    def _passing(self, filters: Iterable[Filter]) -> Any:
        """What picks the rows that pass."""
        passing: Any = slice(None)
        for name, wanted in filters:
            codes, values = self._columns[name]
            number = next((n for n, value in enumerate(values) if str(value) == wanted), -1)
            found = codes == number if number >= 0 else np.zeros(len(codes), bool)
            passing = found if isinstance(passing, slice) else passing & found
        return passing

    def prepare(self, names: Iterable[str]) -> None:
        """Read columns, those that have not been read yet all at once."""
        with self._reading:
            missing = [name for name in dict.fromkeys(names) if name not in self._columns]
            if not missing:
                return
            table = self._library.arrow(missing)
            for name in missing:
                found = table.column(name).combine_chunks().dictionary_encode()
                values = [int(v) if isinstance(v, bool) else v for v in found.dictionary.to_pylist()]
                codes = found.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
                self._columns[name] = codes.astype(np.min_scalar_type(len(values))), values


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
        if column not in COUNTED or (column in _NUMBERS and not (value.isdigit() and str(int(value)) == value)):
            return None
        filters.append((column, value))
    return filters
