"""Merging the results of several libraries into one index: the steps, in order. What is merged is only ever read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.api import AnyPath, check_totals, complete
from pipeline.item import stored_bytes, stored_text
from pipeline.problems import UsageError
from pipeline.progress import Silent, Watch
from pipeline.record import RECORD, SCHEMA_VERSION
from pipeline.rescan import version_of
from pipeline.several import Given, library_names, merged_audit, merged_rows, merged_sources, settled_rows, verdicts
from pipeline.storage.index import earlier_runs
from pipeline.storage.lookup import opened_index
from pipeline.storage.merged import MergedIndex, SettledFile, check_unreplaced, naming_damage
from pipeline.storage.opened import Opened
from pipeline.storage.parts import is_inside, real_path, shown_input
from pipeline.storage.published import are_whole, merged_libraries, read_report, refuse_input
from pipeline.storage.remote import canonical, is_url, shown_url
from pipeline.storage.results import Results, claimed, publish_report, results_of, write_files
from pipeline.storage.results import write_years as write_by_year
from pipeline.timing import Clock

if TYPE_CHECKING:
    from pipeline.storage.mirrored import Mirror

#: Rows of Parquet that are worked on at a time.
ROWS = 4096
#: A library's name before the DIR, as people write it.
_NAMED = re.compile(r"(?P<name>[^/=]*)=(?P<place>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """Results that are merged, as they are when the merge begins. `library` is None for merged ones, which hold several."""

    library: str | None
    opened: Opened
    place: str
    """Where they are, as people know it: a folder, or the URL of which it is a copy."""

    @property
    def folder(self) -> Path:
        """The folder that they are read from."""
        return self.opened.folder

    @property
    def report(self) -> dict[str, Any]:
        """Their ``run.json``."""
        return self.opened.report

    def libraries(self) -> list[tuple[str, str]]:
        """The libraries in them, and when each was scanned."""
        if self.library is not None:
            return [(self.library, self.report["started_at"])]
        return [(each["library"], each["scanned_at"]) for each in self.report["merged"]]

    def archives(self) -> list[str]:
        """The parts that are archives."""
        return [source["part"] for source in self.report["sources"] if source["form"] != "folder"]


def merge(
    results: Sequence[AnyPath] | Mapping[str, AnyPath], output: AnyPath, watch: Watch | None = None
) -> dict[str, Any]:
    """Make one index of the results of several libraries, and publish it in the folder `output`.

    `results` are folders of results, as ``name=folder`` where the library is not to be called after the folder, or by name; or
    earlier merged results, whose libraries are taken as they are. Any of them, and `output`, may be at a URL.

    Returns the report that is also published as ``run.json``. If all is as it was when it was last merged, nothing is written,
    and `mode` is ``unchanged``.

    Raises UsageError or OutputError with one line for the user; what was merged earlier then stays as it was.
    """
    watch, clock = watch or Silent(), Clock()
    given = _given(results)
    mirror = _mirror_at(output, given)
    folder = mirror.folder if mirror else Path(real_path(output))
    place = mirror.shown if mirror else stored_text(str(folder))
    if stored_bytes(str(folder)) is not None:
        raise UsageError(f"the name of the results folder {folder} is not UTF-8: choose another with -o")
    with ExitStack() as claiming:
        claim = there = None
        if mirror is not None:  # what was merged there says what libraries are called
            claim = claiming.enter_context(claimed(folder))
            there = mirror.bring(claim, False, watch)
        sources = _sources(given, folder)
        _refuse_output(folder, place, sources)
        claim = claim or claiming.enter_context(claimed(folder))
        if (folder / "run.json").exists() and merged_libraries(folder) is None:
            raise UsageError(f"{place} holds the results of a scan: merge into a place of its own")
        state = _state_of(sources)
        publishing = partial(mirror.publishing, there, watch) if mirror else nullcontext
        before = read_report(folder / "run.json")
        if before is not None and before[0].get("state") == state and are_whole(folder, before[1]):
            if not (mirror and mirror.unpublished.exists()):
                watch.note("nothing has changed since these were last merged")
            with publishing():
                pass  # what an earlier run has not come to, or somebody has removed since
            return before[0] | {"mode": "unchanged"}
        report = _merge_into(claim, [os.fspath(each) for _, each in given], sources, state, place, watch, clock)
        libraries = sorted(library for source in sources for library, _ in source.libraries())
        complete(claim, report, clock, mirror, libraries)
        with clock.stage("publish"), publishing():
            publish_report(claim, report | {"stages": clock.rounded()})
    report["stages"] = clock.rounded()
    return report


def _mirror_at(output: AnyPath, given: Sequence[tuple[str | None, AnyPath]]) -> Mirror | None:
    """The mirror of merged results that are to be at a URL; None if they are to be in a folder.

    Raises UsageError or OutputError if they cannot be there, or would lie inside what is merged."""
    if not is_url(url := os.fspath(output)):
        return None
    from pipeline.storage.mirrored import Mirror

    mirror = Mirror.of(url)
    for other in (canonical(os.fspath(place)) for _, place in given):
        if is_url(other) and (is_inside(mirror.url, other) or is_inside(other, mirror.url)):
            raise UsageError(
                f"{mirror.shown} and {shown_url(other)}, which is to be merged, lie inside each other: choose another with -o"
            )
    mirror.check_output()
    return mirror


def _given(results: Sequence[AnyPath] | Mapping[str, AnyPath]) -> list[tuple[str | None, AnyPath]]:
    """What is given, taken apart into name and place."""
    if isinstance(results, str | os.PathLike) or not results:
        raise UsageError("give the folders of results of two libraries or more")
    if isinstance(results, Mapping):
        return list(results.items())
    found: list[tuple[str | None, AnyPath]] = []
    for each in results:
        text = os.fspath(each)
        named = _NAMED.fullmatch(text)
        if named is None or is_url(text) or Path(real_path(each)).is_dir():
            found.append((None, each))
        else:
            found.append((named["name"], named["place"]))
    return found


def _sources(given: Sequence[tuple[str | None, AnyPath]], output: Path) -> list[Source]:
    """The results that are given, opened, in the order of their libraries' names. Raises UsageError if they cannot be used."""
    opened: list[Opened] = []
    places: list[str] = []
    for _, place in given:
        folder = results_of(place)
        if any(folder == other.folder for other in opened):
            raise UsageError(f"{stored_text(os.fspath(place))} is given twice")
        with opened_index(folder / "index.sqlite"):
            pass  # it is of this version, as its Parquet then is
        opened.append(Opened.consistently(folder, lambda settled: settled))
        places.append(shown_url(url).rstrip("/") if is_url(url := os.fspath(place)) else str(folder))
    named = [
        Given(place, name, tuple(one["library"] for one in each.report["merged"]) if _is_merged(each) else None)
        for each, place, (name, _) in zip(opened, places, given, strict=True)
    ]
    earlier = read_report(output / "run.json")
    before = {each["results"]: each["library"] for each in (earlier[0].get("merged", ()) if earlier else ())}
    names = library_names(named, before)
    found = [Source(name, each, place) for name, each, place in zip(names, opened, places, strict=True)]
    found.sort(key=lambda source: source.libraries()[0])
    if sum(len(source.libraries()) for source in found) < 2:
        raise UsageError("there is but one library: give the results of two or more")
    return found


def _is_merged(opened: Opened) -> bool:
    return "merged" in opened.report


def _refuse_output(folder: Path, place: str, sources: Sequence[Source]) -> None:
    """Raises UsageError if what is merged, or what it was scanned from, would be written to."""
    for source in sources:
        if folder == source.folder:
            raise UsageError(f"{folder} is one of the results that are to be merged: choose another folder with -o")
        for inner, outer in ((folder, source.folder), (source.folder, folder)):
            if is_inside(str(inner), str(outer)):
                raise UsageError(f"{inner} lies inside {outer}: choose another folder with -o")
        for written in {str(folder), place}:
            refuse_input(written, source.folder)
    shards = Results(folder).shards
    if shards.is_dir() and any(shards.iterdir()):
        raise UsageError(f"{place} holds a scan that has not ended: merge into a place of its own")


def _state_of(sources: Sequence[Source]) -> str:
    """A digest of all that merged results depend on: the libraries' names, and what was published of each."""
    merged = [(source.library, source.place, source.report["check"]) for source in sources]
    text = repr((version_of("takeout-index"), SCHEMA_VERSION, merged))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _merge_into(
    results: Results,
    inputs: Sequence[str],
    sources: Sequence[Source],
    state: str,
    place: str,
    watch: Watch,
    clock: Clock,
) -> dict[str, Any]:
    """Make the new index and Parquet of some results, and the report of `place`, where they are going to be."""
    media = sum(source.report["media"] for source in sources)
    listed = sum(source.report["listed"] for source in sources)
    size = sum(source.report["bytes"] for source in sources)
    libraries = [
        (library, source.place, scanned_at) for source in sources for library, scanned_at in source.libraries()
    ]
    watch.note(f"merging {len(libraries)} libraries: {listed:,} files, {media:,} photos and videos")
    with MergedIndex(results.new / "index.sqlite") as index:
        watch.step("merging SQLite")
        watch.begin(media, size)
        with clock.stage("index"):
            for source in sources:
                with naming_damage(source.opened):
                    taken = index.add_library(source.folder / "index.sqlite", source.library, source.archives())
                    for count, bytes_ in taken:
                        watch.advance(count, bytes_, 0)
        watch.step("settling duplicates and albums")
        settled = results.scratch / "settled.sqlite"
        with clock.stage("settle"):
            figures = index.settle_merged(sorted(libraries), settled)
            counts = index.counts()
        check_totals(counts, listed, media)
        if sum(each["media"] for each in figures) != media or sum(each["files"] for each in figures) != listed:
            raise AssertionError(f"totals differ: {media:,} photos and videos of {listed:,} files, {figures}")
        report = _report(place, inputs, sources, state, figures, counts, clock)
        watch.step("writing Parquet")
        watch.begin(media, size)
        with clock.stage("write"), ThreadPoolExecutor(1) as beside, closing(SettledFile(settled)) as known:
            write_files(results, index.files())
            finishing = beside.submit(index.finish, earlier_runs(results.folder / "index.sqlite"))
            rows = _rows(sources, known, lambda count, bytes_: watch.advance(count, bytes_, 0))
            (results.new / "media").mkdir(mode=0o700)
            write_by_year(results.new / "media", rows, RECORD)
            watch.step("writing SQLite")
            finishing.result()
    for source in sources:
        check_unreplaced(source.opened)
    return report


def _rows(sources: Sequence[Source], known: SettledFile, done: Callable[[int, int], None]) -> Iterator[pa.Table]:
    """All rows of `media`, some at a time: year by year, so that those of one are written together, and library by library."""
    parts = [(year, number, path) for number, each in enumerate(sources) for path, year in each.opened.media_parts()]
    for year, number, path in sorted(parts):
        source = sources[number]
        with naming_damage(source.opened), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(ROWS):
                rows = merged_rows(pa.Table.from_batches([batch]), source.library, year)
                yield settled_rows(rows, *known.of(rows.column("file_id").to_pylist()))
                done(rows.num_rows, sum(size or 0 for size in rows.column("size").to_pylist()))


def _report(
    place: str,
    inputs: Sequence[str],
    sources: Sequence[Source],
    state: str,
    figures: Sequence[Mapping[str, Any]],
    counts: dict[str, dict[str, int]],
    clock: Clock,
) -> dict[str, Any]:
    """What a merge did, as ``run.json`` has it: that of a scan of all libraries, and what each is in `merged`."""
    reports = [(source.library, source.report) for source in sources]
    checks = {library: source.report["check"] for source in sources for library, _ in source.libraries()}
    said = {library: sentence for name, report in reports for library, sentence in verdicts(report, name).items()}
    placed = [each for library, report in reports for each in merged_sources(report, library)]
    audit = merged_audit(reports)
    media, size = sum(each["media"] for each in figures), sum(each["bytes"] for each in figures)
    seconds = sum(clock.stages.values())
    return {
        "version": version_of("takeout-index"),
        "libraries": {"pyarrow": version_of("pyarrow")},
        "started_at": clock.started_at.isoformat(),
        "finished_at": clock.now().isoformat(),
        "state": state,
        "inputs": [stored_text(shown_input(place)) for place in inputs],
        "input_paths": list(dict.fromkeys(path for _, report in reports for path in report["input_paths"])),
        "sources": placed,
        "output": place,
        "parts": [each["part"] for each in placed],
        "repeated_parts": [part for _, report in reports for part in report["repeated_parts"]],
        "missing_parts": audit["missing_parts"],
        "audit": audit,
        "merged": [
            dict(each) | {"check": checks[each["library"]], "verdict": said[each["library"]]} for each in figures
        ],
        "settings": {},
        "mode": "merge",
        "threads": 1,
        "processes": 1,
        "cluster_ready_s": None,
        "listed": sum(each["files"] for each in figures),
        "media": media,
        "bytes": size,
        "shards": 0,
        "taken_over": media,
        "counts": counts,
        "problem_files": sum(report["problem_files"] for _, report in reports),
        "files_per_s": round(media / seconds, 1) if seconds else None,
        "mb_per_s": None,
        "operations": {},
        "stages": clock.rounded(),
    }
