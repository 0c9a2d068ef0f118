"""Facets under filters, counted by `counts`; all others as Datasette counts them, in an index."""

from __future__ import annotations

import asyncio
from typing import Any

from datasette.facets import ArrayFacet, ColumnFacet, DateFacet
from datasette.utils import path_with_added_args, path_with_removed_args

from pipeline.browsing.counts import COUNTED, Filter, plain_filters


class Facets(ColumnFacet):
    """Counts of the values of columns."""

    async def facet_results(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The facets of a page, and the names of those that take too long."""
        filters = plain_filters((key, v) for key in self.request.args for v in self.request.args.getlist(key))
        configs = self.get_configs()
        names = [each["config"].get("column") or each["config"]["simple"] for each in configs]
        # Of a page that is not the first, Datasette would count only the rows from there on.
        plain = filters is not None and (filters or "_next" in self.request.args)
        counted = False
        if self.table == "media" and filters is not None and plain and COUNTED.issuperset(names):
            counted = await asyncio.to_thread(self.ds.counts.prepare, [*names, *(name for name, _ in filters)])
        if filters is None or not counted:
            found: tuple[list[dict[str, Any]], list[str]] = await super().facet_results()
            return found
        removable = (each["source"] != "metadata" for each in configs)
        return [await self._facet(*each, filters) for each in zip(names, removable, strict=True)], []

    async def _facet(self, column: str, removable: bool, filters: list[Filter]) -> dict[str, Any]:
        size = self.get_facet_size()
        counts = await asyncio.to_thread(self.ds.counts.of, column, filters, size + 1)
        path = self.ds.urls.path
        values = []
        for value, count in counts[:size]:
            chosen = (column, str(value)) in filters
            change = path_with_removed_args if chosen else path_with_added_args
            toggle = path(change(self.request, {column: str(value)}))
            values.append(
                {
                    "value": value,
                    "label": value,
                    "count": count,
                    "toggle_url": self.ds.absolute_url(self.request, toggle),
                    "selected": chosen,
                }
            )
        return {
            "name": column,
            "type": self.type,
            "hideable": removable,
            "toggle_url": path(path_with_removed_args(self.request, {"_facet": column})),
            "results": values,
            "truncated": len(counts) > size,
        }


CLASSES = [Facets, DateFacet, ArrayFacet]
