"""Takeout Index: a Google Photos Takeout as partitioned Parquet and one SQLite index.

>>> from pipeline import scan
>>> library = scan("~/Takeout", output="results/takeout")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

_FROM = {
    "scan": "pipeline.library",
    "plan": "pipeline.api",
    "verify": "pipeline.api",
    "diff": "pipeline.comparing",
    "merge": "pipeline.library",
    "open_library": "pipeline.library",
    "Settings": "pipeline.settings",
    "RECORD": "pipeline.record",
}

__all__ = ["RECORD", "Settings", "diff", "merge", "open_library", "plan", "scan", "verify"]


def __getattr__(name: str) -> Any:
    """Import on first use: workers and `--help` need little of it."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_FROM[name]), name)
