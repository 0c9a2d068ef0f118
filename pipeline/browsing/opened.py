"""Datasette over one index, as it was when it was opened."""

from __future__ import annotations

import asyncio
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from pipeline.browsing import plugin
from pipeline.browsing.counts import Counts, asked
from pipeline.browsing.pictures import Pictures
from pipeline.browsing.stamp import Stamp
from pipeline.library import open_library
from pipeline.problems import RunError, UsageError
from pipeline.storage.browsable import datasette_metadata
from pipeline.storage.lookup import counts_of
from pipeline.storage.reading import for_strangers

#: Under which name Datasette knows the index, as it does when it is given the file.
NAME = "index"
SETTINGS = {
    "allow_download": False,  # the file is at hand, and may be of gigabytes
    "default_cache_ttl": 0,  # results may be replaced at any time
    "facet_time_limit_ms": 400,
    "sql_time_limit_ms": 3000,
    "suggest_facets": False,  # a query for each of a hundred columns
    "truncate_cells_html": 300,
}
#: What counting the rows of a filter or view may take.
COUNTING_MS = 500
_ROOM = Path(str(files("pipeline.browsing")))


class Opened(Datasette):
    """Datasette over the index in a folder of results. Raises UsageError if there is none that can be read."""

    def __init__(self, folder: Path) -> None:
        index = folder / "index.sqlite"
        self.stamp = Stamp.of(folder)
        self.library = open_library(folder)
        self.pictures = Pictures(self.library)
        counts = counts_of(index)
        self.counts = Counts(self.library, counts["media"])
        inspected = {
            # Datasette would read the whole file for a digest, and count the rows again.
            NAME: {
                "hash": self.stamp.digest,
                "size": index.stat().st_size,
                "tables": {name: {"count": count} for name, count in counts.items()},
            }
        }
        super().__init__(
            settings=SETTINGS,
            metadata=_metadata(folder),
            inspect_data=inspected,
            template_dir=str(_ROOM / "templates"),
            static_mounts=[("-/browsing", str(_ROOM / "static"))],
        )
        self.remove_database("_memory")
        self.add_database(_Index(self, index), name=NAME)

    def shut(self) -> None:
        """Close the index, once nobody asks any more."""
        self.pictures.close()
        self.executor.shutdown(wait=False)
        self.databases[NAME].close()

    def table_metadata(self, database: str, table: str) -> dict[str, Any]:
        """What `metadata.yaml` says of a table, but for units: filters would be worked out, as 9**9**9**9, which never ends."""
        return {name: said for name, said in super().table_metadata(database, table).items() if name != "units"}

    def scripts(self) -> list[str]:
        """The scripts that Datasette writes into its pages."""
        found = []
        for name in self.jinja_env.list_templates(filter_func=lambda name: ":" not in name):
            source = self.jinja_env.loader.get_source(self.jinja_env, name)[0]
            source = source.replace("{{ datasette_allow_facet }}", "true")
            found += [script for script in re.findall(r"<script>(.*?)</script>", source, re.S) if "{{" not in script]
        return sorted(set(found))


class _Index(Database):
    """The index, and no other that has been put in its place meanwhile."""

    def __init__(self, opened: Opened, path: Path) -> None:
        super().__init__(opened, str(path), is_mutable=False)
        self._index = path

    async def execute(self, sql: str, *args: Any, **options: Any) -> Any:
        """A query, of which to count rows may not keep a page waiting: then no count is shown."""
        if sql.startswith("select count(*) from media where ") and (wanted := asked.get()):
            counts, filters = wanted
            return [(await asyncio.to_thread(counts.rows, filters),)]
        if sql.startswith("select count(*) from "):
            options.setdefault("custom_time_limit", COUNTING_MS)
        # Of up to three rows in order SQLite thinks that sorting all is quicker than an index; in a sum it sees no number.
        sql = re.sub(" limit ([0-3])$", r" limit \1 + 0", sql)
        return await super().execute(sql, *args, **options)

    def connect(self, write: bool = False) -> Any:
        """A connection that can only read."""
        db = for_strangers(self._index)
        self._all_file_connections.append(db)
        if Stamp.of(self._index.parent) != self.ds.stamp:
            raise RunError("the results have been replaced by a new scan: load the page again")
        return db


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / "metadata.yaml"
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        found = yaml.safe_load(datasette_metadata(folder.name))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read ({type(error).__name__}): delete it, or scan again") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no metadata of Datasette's: delete it, or scan again")
    return found


def register() -> None:
    """Have Datasette use our plugin, and our facets instead of its own."""
    pm.get_plugin("datasette.handle_exception").rich = None  # which would print the variables of the program, to stdout
    if pm.get_plugin(plugin.__name__) is None:
        pm.unregister(name="datasette.facets")
        pm.register(plugin, plugin.__name__)
