"""A library that has been scanned before: whether anything has changed, and what is published if nothing has."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.planning import EXTRACTION_VERSION
from pipeline.problems import DEADLY, TRANSIENT, RunError
from pipeline.record import SCHEMA_VERSION
from pipeline.settings import Settings
from pipeline.storage.durable import flush_to_disk, naming
from pipeline.storage.library import Library
from pipeline.storage.parts import source_of
from pipeline.storage.published import Published, are_whole, read_report
from pipeline.timing import Clock

if TYPE_CHECKING:
    from pipeline.storage.results import Results


#: Bytes copied at a time.
COPIED = 1 << 20


@dataclass(frozen=True, slots=True)
class Before:
    """What the results folder has of the run before this one."""

    report: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Published] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, settings: Settings) -> Before:
        """Nothing, if there was none, or its report is not as it was written, or nothing is to be known of it."""
        found = None if settings.fresh else read_report(folder / "run.json")
        return cls() if found is None else cls(*found)

    @property
    def media(self) -> int:
        """How many media files it found."""
        return int(self.report.get("media", 0))

    def to_try_again(self, settings: Settings) -> frozenset[str]:
        """The kinds of problems that may be gone now: anyway, or because a file may take more or less than it might before."""
        limits = {name: getattr(settings, name) for name in ("file_seconds", "file_mb")}
        as_before = limits.items() <= self.report.get("settings", limits).items()
        return TRANSIENT if as_before else TRANSIENT | DEADLY

    def is_of(self, state: str, folder: Path, settings: Settings, library: Library) -> bool:
        """It was of a library in this `state`, nothing is to be tried again, and all of it is there as it was published."""
        wanted = settings.profile or (settings.verify_archives and any(part.form != "folder" for part in library.parts))
        again = self.to_try_again(settings)
        return (
            not wanted
            and self.report.get("state") == state
            and not any(kind.partition(": ")[2] in again for kind in self.report["counts"]["problems"])
            and are_whole(folder, self.files)
        )


def state_of(library: Library, listed: str, settings: Settings) -> str:
    """A digest of all that results depend on and that is known before a file is opened; `listed` is that of the listing."""
    versions = (version_of("takeout-index"), EXTRACTION_VERSION, SCHEMA_VERSION)
    sources = ([source_of(part) for part in library.parts], library.repeated)
    chosen = (settings.all_tags, settings.verify_archives)
    text = repr((versions, sources, chosen, listed))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def changes_since(old: Path, new: Path) -> dict[str, int] | None:
    """How many media are in the new index what they were in the old one, and not; None if there is none to be compared with."""
    from pipeline.storage.differences import count_changes

    if not old.is_file():
        return None
    try:
        return count_changes(old, new)
    except RunError:  # another version's, or damaged
        return None


def publish_again(
    results: Results,
    before: Before,
    clock: Clock,
    settings: Settings,
    inputs: Sequence[str],
    output: str,
    index_too: bool = True,
) -> dict[str, Any]:
    """Publish what the run before has found once more, with this run in its history. Returns the report of this run.

    Without the `index_too`, which has the history, only the report is published: at a URL the index would be moved for it."""
    from pipeline.storage.differences import OUTCOMES
    from pipeline.storage.index import add_run
    from pipeline.storage.results import publish_report

    media = before.report["media"]
    report = before.report | {
        "started_at": clock.started_at.isoformat(),
        "finished_at": clock.now().isoformat(),
        "inputs": list(inputs),
        "output": output,  # they may have been moved
        "settings": asdict(settings),
        "mode": "unchanged",
        "processes": 1,
        "cluster_ready_s": None,
        "shards": 0,
        "taken_over": media,
        "changes": dict.fromkeys(OUTCOMES, 0) | {"unchanged": media},
        "files_per_s": None,
        "mb_per_s": None,
        "operations": {name: dict.fromkeys(figures, 0.0) for name, figures in before.report["operations"].items()},
    }
    with clock.stage("publish"):
        if not index_too:
            report["stages"] = clock.rounded()
            publish_report(results, report, before.files)
            return report
        index = results.new / "index.sqlite"
        with naming(index), (results.folder / "index.sqlite").open("rb") as old, index.open("xb") as new:
            index.chmod(0o600)
            shutil.copyfileobj(old, new, COPIED)
        report["stages"] = clock.rounded()
        add_run(index, report)
        flush_to_disk(index)
        publish_report(results, report, {name: each for name, each in before.files.items() if name != "index.sqlite"})
    report["stages"] = clock.rounded()
    return report


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
