"""Comparing two libraries, each as its results have it: what is new, gone, moved, or not what it was."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.api import AnyPath, scan
from pipeline.item import stored_text
from pipeline.problems import UsageError
from pipeline.progress import Silent, Watch
from pipeline.settings import Settings
from pipeline.storage.differences import compared
from pipeline.storage.lookup import opened_index
from pipeline.storage.recorded import RecordedFiles
from pipeline.storage.results import index_of

#: Without any of these, a folder or archive is no Takeout.
_OF_A_TAKEOUT = ("media", "sidecar", "unmatched_sidecar", "album_metadata")


def diff(
    old: AnyPath,
    new: AnyPath,
    settings: Settings | None = None,
    watch: Watch | None = None,
    everything: bool = False,
    limit: int | None = None,
) -> dict[str, Any]:
    """What changed from `old` to `new`, each a folder of results, or a folder or archive of a Takeout, which is scanned first.

    Photos and videos are compared by `file_id`, which is that of their path, by content, and by what people care about of the
    rest, or by `everything`. Returns counts and bytes by outcome (`storage.differences.OUTCOMES`), how many differ in which
    column, the same of other files by state, and all that are not the same, or of each outcome the first `limit`; `differs` and
    `others_differ` count them, without what could not be read.

    What is scanned goes into a private temporary folder, which is gone at the end; nothing else is written. Raises UsageError
    if either is neither, or was written by another version, and what `scan` raises.
    """
    settings, watch = settings or Settings(), watch or Silent()
    given = {"old": old, "new": new}
    finished = {side: index for side, place in given.items() if (index := index_of(place, watch)).is_file()}
    for index in finished.values():  # before anything is scanned
        with opened_index(index):
            pass
    indexes = dict(finished)
    with ExitStack() as stack:
        for side, place in given.items():
            if side not in finished:
                scratch = stack.enter_context(TemporaryDirectory(prefix="takeout-index-"))
                watch.note(f"scanning {stored_text(os.fspath(place))}")
                indexes[side] = _scanned(place, Path(scratch) / "results", settings, watch)
        watch.step("comparing")
        sides = {side: _side(given[side], indexes[side], side in finished) for side in given}
        with compared(indexes["old"], indexes["new"], everything) as differences:
            differences.compare_others()
            counts, others = differences.counts(), differences.other_counts()
            return {
                **sides,
                "counts": counts,
                "bytes": differences.bytes(),
                "columns": differences.columns(),
                "other_files": others,
                "differs": _differing(counts),
                "others_differ": sum(map(_differing, others.values())),
                "not_same": list(differences.media(limit)),
                "other_not_same": list(differences.others(limit)),
            }


def _differing(counts: dict[str, int]) -> int:
    return sum(count for outcome, count in counts.items() if outcome not in ("unchanged", "unread"))


def _scanned(place: AnyPath, results: Path, settings: Settings, watch: Watch) -> Path:
    """The index of a library that is scanned for it. Raises UsageError if there is nothing of a Takeout in it."""
    report = scan(place, results, replace(settings, profile=""), watch)
    if not any(report["counts"]["files"].get(state) for state in _OF_A_TAKEOUT):
        raise UsageError(
            f"{os.fspath(place)} holds neither results of a scan nor anything of a Takeout: give one of these"
        )
    return results / "index.sqlite"


def _side(given: AnyPath, index: Path, is_results: bool) -> dict[str, Any]:
    with opened_index(index) as db:
        report = RecordedFiles(db).report()
    return {
        "given": stored_text(os.fspath(given)),
        "is_results": is_results,
        "scanned_at": report["started_at"],
        "input_paths": report["input_paths"],
        "media": report["media"],
        "listed": report["listed"],
        "bytes": report["bytes"],
    }
