"""The steps of a run, in order, in plain Python."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline import cost
from pipeline.audit import Audit, audit
from pipeline.interrupts import finishing
from pipeline.item import OPERATIONS, MediaItem, stored_bytes, stored_text
from pipeline.lean import give_back, without
from pipeline.listing import ListedFile, Listing
from pipeline.modes import (
    THREADS_AFAR,
    archives_mode,
    choose_mode,
    cores,
    given_mode,
    io_threads,
    limits_of,
    measured,
    start_early,
    threads_per_task,
    with_threads,
    worker_processes,
)
from pipeline.path_map import PathMap
from pipeline.planning import Plan, Progress, made_from, make_shards
from pipeline.preparing import ask_on, list_library, pair_library
from pipeline.problems import RunError, UsageError
from pipeline.progress import Silent, Watch, following
from pipeline.rescan import Before, changes_since, publish_again, state_of, version_of
from pipeline.settings import Settings
from pipeline.storage.known import is_known, known_folder, progress
from pipeline.storage.library import Library
from pipeline.storage.parts import is_inside, library_name, real_path, shown_input, source_of, why_closed
from pipeline.storage.remote import is_url, join, shown_url
from pipeline.timing import Clock

if TYPE_CHECKING:
    from pipeline.cluster import Beside, Compute, EarlyCluster, Existing
    from pipeline.explain import Case, OtherFile
    from pipeline.stages import ArchiveRead
    from pipeline.storage.earlier import Earlier
    from pipeline.storage.index import Index
    from pipeline.storage.manifest import ShardRef
    from pipeline.storage.mirrored import Mirror
    from pipeline.storage.results import Results
    from pipeline.storage.shards import ShardDone

#: What a run says when it is asked to end.
STOPPING = "ending: what is in flight is finished first; once more ends at once"

AnyPath = str | os.PathLike[str]


def scan(
    inputs: AnyPath | Sequence[AnyPath],
    output: AnyPath | None = None,
    settings: Settings | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Index a library: read `inputs`, the parts of one Takeout, and publish the results in the folder `output`.

    `output` defaults to ``results/<name of the first input>``. Uses the caller's Dask client when there is one and the
    settings name no scheduler. Returns the report that is also published as ``run.json``: counts per state, kind, status
    and problem, seconds per stage and per operation, files and bytes per second.

    Raises InputError, OutputError, UsageError, SettingsError or ClusterError with one line for the user; results of an
    earlier run then stay as they were.
    """
    settings = settings or Settings()
    library = Library.of(_as_list(inputs), settings.merge)
    mirror = mirror_at(output, library, settings)
    folder = _output_folder(_as_list(inputs), mirror.folder if mirror else output, library)
    watch = watch or Silent()
    if settings.scheduler_file:
        from pipeline.existing import address_in

        settings = replace(settings, scheduler=address_in(settings.scheduler_file), scheduler_file="")
    if settings.scheduler:
        _warn_of_open(settings.scheduler, watch)
    if settings.profile:
        settings = replace(settings, profile=str(_profile_folder(settings, library, folder)))
    if settings.mode == "auto" and (note := measured().note):
        watch.note(note)
    return scan_library(library, _as_list(inputs), folder, settings, watch, Clock(), mirror)


def scan_library(
    library: Library,
    inputs: Sequence[AnyPath],
    folder: Path,
    settings: Settings,
    watch: Watch,
    clock: Clock,
    mirror: Mirror | None = None,
) -> dict[str, Any]:
    """Index a library, of which `inputs` are the parts as they were given, and publish the results in `folder`.

    If that is a `mirror` of results at a URL, what is there is brought here first, and the results are published there too."""
    with without("numpy"):  # pyarrow.compute would import it
        from pipeline.storage.index import Index, earlier_runs
        from pipeline.storage.known import forget_others
        from pipeline.storage.results import claimed, publish_report, write_files, write_media
        from pipeline.storage.shards import read_shard

    settings = with_threads(settings, library)
    with (
        closing(library),
        given_cluster(settings, watch, _dask_report(settings)) as given,
        claimed(folder, settings.fresh) as results,
        ExitStack() as opened_index,
    ):
        there = mirror.bring(results, settings.fresh, watch) if mirror else None
        afar = mirror.new_work() if mirror and given else ""
        place = mirror.shown if mirror else stored_text(os.fspath(folder))
        refuse_merged(folder, place)
        if given is not None:
            watch.step("looking at the workers of the cluster")
            with clock.stage("workers"):
                admit(given, library, afar or str(results.scratch), settings, watch)
        before = Before.of(folder, settings)

        def publishing() -> AbstractContextManager[None]:
            return mirror.publishing(there, watch) if mirror else nullcontext()

        def open_index() -> Index:
            return opened_index.enter_context(Index(results.new / "index.sqlite"))

        found = _read(library, settings, watch, clock, given, results, before, open_index, afar)
        if found is None:
            watch.note("nothing has changed since the last scan")
            places = [stored_text(shown_input(given)) for given in inputs]
            with publishing():
                return publish_again(results, before, clock, settings, places, place, index_too=mirror is None)
        work, done, index = found
        watch.step("settling duplicates, albums and places, writing Parquet and SQLite")
        with clock.stage("settle"):
            settled = index.settle()
        with clock.stage("places"):
            settled = replace(settled, places=index.settle_places())
            give_back()  # what was sorted on the way
        with clock.stage("settle"):
            counts = index.counts()
        check_totals(counts, work.listed, work.media)
        report = make_report(inputs, place, library, settings, work, done, counts, clock)
        with clock.stage("write"), ThreadPoolExecutor(1) as beside:
            write_files(results, index.files())
            runs = earlier_runs(folder / "index.sqlite")
            finishing = beside.submit(index.finish, runs)  # SQLite and Parquet each leave a core to the other
            shards = (read_shard(results.shards, name) for name in work.shards)
            write_media(results, chain(work.earlier.rows(), shards), settled)
            finishing.result()
        complete(results, report, clock, mirror)
        with clock.stage("publish"), publishing():
            publish_report(results, report | {"stages": clock.rounded()})
            forget_others(results.known, known_folder(results.known, settings.all_tags), library.tars())
    report["stages"] = clock.rounded()
    if settings.profile:
        from pipeline.profiling import write_profile

        try:
            write_profile(Path(settings.profile), report, done)
        except OSError as error:
            reason = f"{error.filename or settings.profile}: {os.strerror(error.errno or 0)}"
            raise RunError(f"the results are in {place}, but the profile could not be written: {reason}") from error
    return report


def complete(
    results: Results, report: dict[str, Any], clock: Clock, mirror: Mirror | None, libraries: Sequence[str] = ()
) -> None:
    """Add to new results that have their SQLite and Parquet all that is left but ``run.json``: names that are unique by content
    where they have a `mirror`, in `report` what has changed since those before, the run, and what describes them, of merged
    results with their `libraries`."""
    from pipeline.storage.browsable import datasette_metadata
    from pipeline.storage.index import add_run
    from pipeline.storage.package import data_package
    from pipeline.storage.results import write_text

    if mirror:
        mirror.name_parts(results)
    index = results.new / "index.sqlite"
    with clock.stage("compare"):
        report["changes"] = changes_since(results.folder / "index.sqlite", index)
        add_run(index, report)
    name = stored_text(results.folder.name)
    write_text(results, "datapackage.json", data_package(name, results.new, clock.now()))
    write_text(results, "metadata.yaml", datasette_metadata(name, libraries))


@dataclass(frozen=True, slots=True)
class Work:
    """What is left of a plan once the manifest and the index have it: figures, what is taken over, the shards in order."""

    mode: str
    state: str
    listed: int
    media: int
    earlier: Earlier
    shards: tuple[str, ...]
    cluster_ready_s: float | None
    audit: Audit
    archives: tuple[ArchiveRead, ...]


def _read(
    library: Library,
    settings: Settings,
    watch: Watch,
    clock: Clock,
    given: Existing | None,
    results: Results,
    before: Before,
    open_index: Callable[[], Index],
    afar: str = "",
) -> tuple[Work, list[ShardDone], Index] | None:
    """List, pair, plan and extract; None if the results of the run before are still right.

    The workers start while the listing grows, and are gone when this returns. Those of a cluster that is `given`, but shares no
    file system with us, work at the URL `afar`.
    """
    # All of it before a second thread imports distributed: a signal that ends an import here would leave it waiting for ever.
    from pipeline.cluster import Beside, EarlyCluster, why_not_here
    from pipeline.graph import Reading
    from pipeline.storage import manifest  # noqa: F401
    from pipeline.storage.earlier import Earlier
    from pipeline.storage.shards import read_shard

    with (
        Beside() as reader,
        EarlyCluster(
            worker_processes(settings), results.scratch, _dask_report(settings), library.packages()
        ) as workers,
    ):
        if given_mode(settings) in (None, "sequential"):
            reader.start()  # while this process is small, and has one thread
        with clock.stage("archives"):
            known = known_folder(results.known, settings.all_tags)
            library, archives = read_archives(library, known, settings, watch, reader, given, workers, afar)
        with clock.stage("list"):
            # What is known has to be compared first; of shards that are left it is not known yet how much that is.
            left = any(results.shards.iterdir())
            early: Callable[[Listing], None] = partial(start_early, workers, settings, before.media, library.waits)
            listing = list_library(library, watch, (lambda _: None) if left else early, settings.verify_archives)
            state = state_of(library, listing.digest(), settings)
            if before.is_of(state, folder=results.folder, settings=settings, library=library):
                return None
        with clock.stage("earlier"):
            earlier = Earlier.of(results, before.files, before.to_try_again(settings), settings.verify_archives)
            give_back()  # what was read for that
        for path in earlier.damaged:
            watch.note(f"{path} is not as it was written, and will not be used")
        index = open_index()
        watch.step(f"pairing {listing.count:,} files")
        with clock.stage("pair"):
            answering: Callable[[], Compute] = workers.compute if workers.started else lambda: reader.compute
            where = "parallel" if workers.started else "sequential"
            ask = partial(ask_on, answering, threads_per_task(settings, where), limits_of(settings, where))
            plan = pair_library(listing, library, io_threads(settings), settings.verify_archives, ask)
        with clock.stage("plan"):
            found = audit(plan, library.missing_parts())
            references, to_read = write_plan(plan, found, settings, results, index, earlier)
        files, size = plan.media - earlier.taken, plan.size - earlier.taken_bytes
        mode = "parallel" if workers.started else choose_mode(settings, files, to_read, library.waits)
        if mode == "parallel" and not workers.started:
            if not files:
                mode = "sequential"
            elif reason := why_not_here(worker_processes(settings)):
                watch.note(reason)
                mode = "sequential"
        watch.note(_found(plan, mode))
        if earlier.taken:
            watch.note(f"{earlier.taken:,} of them are as an earlier run has left them, {files:,} are to be read")
        media = plan.media
        listed, damaged = listing.count, {file.path for file in listing.files if file.path == file.part}
        del plan, listing  # all of it is on the disk now, and as large as the library
        give_back()
        index.expect(media)
        watch.step(f"starting ({mode})")
        with clock.stage("start"):
            if mode != "sequential":
                reader.close()
            compute = given or compute_on(mode, workers, reader)
        done: list[ShardDone] = []
        with clock.stage("take over"):
            for rows in earlier.rows():
                index.add_media(rows)
        watch.begin(files, size)
        with clock.stage("extract"):
            if afar:
                from pipeline.storage.mirrored import fetch_shard, send_work

                there = send_work(results, library, afar)
            graph = Reading(
                library=there if afar else library,
                manifest=join(afar, results.manifest.name) if afar else str(results.manifest),
                shards=join(afar, "shards") if afar else str(results.shards),
                marks="" if afar else str(results.scratch),
                threads=threads_per_task(settings, mode),
                all_tags=settings.all_tags,
                verify=settings.verify_archives,
                limits=limits_of(settings, mode),
                elsewhere=elsewhere_of(settings) if given else None,
            )
            with saying_what_is_left(done, earlier.taken, media), finishing(partial(watch.note, STOPPING)) as asked:
                for shard in compute(graph, dearest_first(references), asked):
                    done.append(shard)
                    if afar:
                        fetch_shard(graph.shards, results, shard.name)
                    with clock.stage("index while extracting"):
                        index.add_media(read_shard(results.shards, shard.name))
                    watch.advance(shard.files, shard.bytes, shard.problems)
        changed = list(changed_parts(library, damaged))
        index.add_files(changed)
        work = Work(
            mode,
            state,
            listed + len(changed),
            media,
            earlier,
            in_order_of([reference.name for reference in references], done),
            workers.ready_s,
            found,
            archives,
        )
    return work, done, index


@contextmanager
def saying_what_is_left(done: Sequence[ShardDone], taken: int, media: int) -> Iterator[None]:
    """Let whatever ends the block early say how far it was."""
    try:
        yield
    except BaseException as error:
        files = taken + sum(shard.files for shard in done)
        error.add_note(f"{files:,} of {media:,} photos and videos are done: the same command goes on from there")
        raise


def in_order_of(planned: Sequence[str], done: Sequence[ShardDone]) -> tuple[str, ...]:
    """The names of the shards that were written, in the order of the plan; of one that was split, side by side."""
    places = {name: place for place, name in enumerate(planned)}

    def place(name: str) -> tuple[int, int]:
        shard, _, item = name.partition("-")
        return places[shard], int(item or -1)

    return tuple(sorted((each.name for each in done), key=place))


def changed_parts(library: Library, told: Container[str]) -> Iterator[ListedFile]:
    """The zips that are no longer what they were when the run began, each under its own name; but those already `told` of."""
    for part in library.parts:
        if part.form != "zip" or part.stamp is None or part.name in told:
            continue
        if change := part.stamp.change(part.address):
            yield ListedFile(part.name, part.name, None, "unreadable", f"the archive {change} while it was read")


def write_plan(
    plan: Plan, found: Audit, settings: Settings, results: Results, index: Index, earlier: Earlier
) -> tuple[list[ShardRef], int]:
    """Write the plan down: the manifest, albums and files. Returns references to the shards, and the bytes to be read.

    What an `earlier` run has left is taken over, and is not in the manifest.
    """
    from pipeline.storage.manifest import write_manifest

    progress = Progress(plan.media, plan.to_read, len(earlier))
    to_read = 0

    def to_do() -> Iterator[MediaItem]:
        nonlocal to_read
        for item in plan.items():
            digest = made_from(item, settings.all_tags, settings.verify_archives, plan.namesakes)
            item = item._replace(made_from=digest)
            taken = earlier.take(item)
            progress.passed(item, not taken)
            if not taken:
                to_read += item.media.to_read
                yield item

    shards = make_shards(to_do(), progress.left, settings.shard_files, worker_processes(settings))
    references = write_manifest(shards, results.manifest, earlier.facts)
    index.add_albums(plan.albums, plan.aliases)
    index.add_members(plan.members)
    index.add_folders(found.folders)
    index.add_files(plan.files())
    return references, to_read


def given_cluster(
    settings: Settings, watch: Watch, profile: Path | None = None
) -> AbstractContextManager[Existing | None]:
    """The cluster that is set, or the caller's, asked for before anything is listed or written; None if there is none."""
    mode = given_mode(settings)
    if mode not in ("scheduler", "client"):
        return nullcontext()
    from pipeline.cluster import client_of_caller, existing_cluster
    from pipeline.existing import Tls

    if mode == "client":
        return client_of_caller(profile, watch.note)
    tls = Tls(settings.tls_ca_file, settings.tls_cert, settings.tls_key)
    return existing_cluster(settings.scheduler, profile, tls, watch.note)


def admit(given: Existing, library: Library, shared: str, settings: Settings, watch: Watch) -> None:
    """Have only workers of a given cluster work that are fit: with the same versions, which see the library's parts as we do
    and share the work folder `shared`. Raises ClusterError if there are none."""
    from pipeline.fitness import Needs
    from pipeline.storage.seen import Token, roots

    elsewhere = elsewhere_of(settings)
    found = roots(library, elsewhere.there)
    for pair in elsewhere.idle([*(root.here for root in found), shared]):
        watch.note(f"--path-map {pair} says nothing of this scan: neither a part nor the results lie there")
    given.admit(Needs(found, Token.put(shared, elsewhere.there)), watch.note)


def elsewhere_of(settings: Settings) -> PathMap:
    """At which paths the workers of a given cluster have what is at another here."""
    return PathMap.of(settings.path_map, real_path)


def _warn_of_open(address: str, watch: Watch) -> None:
    """Say so if what is sent to the scheduler of this address can be read and changed on the way."""
    from pipeline.cluster import is_open

    if is_open(address):
        watch.note(
            f"the scheduler at {address} is asked without TLS: what is sent is neither secret nor authenticated, and whoever "
            "reaches it runs code as its workers' user (docs/reliability.md)"
        )


def compute_on(mode: str, workers: EarlyCluster | None, reader: Beside) -> Compute:
    """What runs the graph in this mode: the local cluster, or the process beside this one."""
    return workers.compute() if mode == "parallel" and workers is not None else reader.compute


def read_archives(
    library: Library,
    known: Path,
    settings: Settings,
    watch: Watch,
    reader: Beside,
    given: Existing | None = None,
    workers: EarlyCluster | None = None,
    afar: str = "",
) -> tuple[Library, tuple[ArchiveRead, ...]]:
    """The library, of whose archives that can only be read front to back all is known then, in the folder `known`.

    Read side by side on the cluster that is `given` or by the `workers`, if there are any and it is worth it; else here. If the
    cluster shares no file system with us, `afar` is the URL by which it tells.
    """
    if not library.tars():
        return library, ()
    limits = limits_of(settings, "local")
    tars = [part for part in library.tars() if settings.verify_archives or not is_known(known, part, limits)]
    if not tars:
        return replace(library, known=str(known)), ()
    from pipeline.graph import ReadingArchives
    from pipeline.stages import ArchiveRef, archive_mark
    from pipeline.storage.marks import remove_mark

    size = sum(part.stamp.size for part in tars if part.stamp)
    mode = "sequential"
    if workers is not None:
        mode = given_mode(settings) or "" if given else archives_mode(settings, len(tars), size)
    compute = given or compute_on(mode, workers, reader)

    def so_far() -> tuple[int, int]:
        found = [progress(str(known), part) for part in tars]
        return sum(media for _, media in found), sum(read for read, _ in found)

    watch.step(f"reading {len(tars):,} archives from front to back")
    for part in tars:
        remove_mark(archive_mark(str(known), part))  # of a run that was killed
    with following(watch, so_far, size):
        elsewhere = elsewhere_of(settings) if given else None
        told = join(afar, "known") if afar else str(known)
        reading = ReadingArchives(told, settings.all_tags, limits_of(settings, mode), elsewhere)
        done = tuple(compute(reading, [ArchiveRef(part) for part in tars]))
    if afar:
        from pipeline.storage.mirrored import fetch_known

        fetch_known(afar, known, tars)
    return replace(library, known=str(known)), done


@contextmanager
def private_scratch() -> Iterator[Path]:
    """A folder for what is known of archives while nothing else is written."""
    with TemporaryDirectory(prefix="takeout-index-") as folder:
        yield Path(folder)


def dearest_first(references: Sequence[ShardRef]) -> list[ShardRef]:
    """The shards in the order to work on them: the longest first, so that all workers end together."""
    return sorted(references, key=lambda reference: -reference.cost)


def refuse_merged(folder: Path, place: str) -> None:
    """Raises UsageError if the folder, which people know as `place`, holds merged results, which a scan would replace."""
    from pipeline.storage.published import merged_libraries

    if (libraries := merged_libraries(folder)) is not None:
        raise UsageError(
            f"{place} holds the merged results of {len(libraries)} libraries: scan into a place of its own, and merge that"
        )


def check_totals(counts: Mapping[str, Mapping[str, int]], listed: int, media: int) -> None:
    """Nothing is lost: every listed file has one state, every media file a row. A difference is a bug, not bad input."""
    states, rows = sum(counts["files"].values()), sum(counts["media"].values())
    if states != listed or rows != media or counts["files"].get("media", 0) != media:
        raise AssertionError(
            f"totals differ: {listed:,} files listed, {states:,} with a state; {media:,} media files, {rows:,} rows"
        )


def make_report(
    inputs: Sequence[AnyPath],
    place: str,
    library: Library,
    settings: Settings,
    work: Work,
    done: Sequence[ShardDone],
    counts: dict[str, dict[str, int]],
    clock: Clock,
) -> dict[str, Any]:
    """What a run did, as ``run.json`` has it; times in seconds."""
    spent: Counter[str] = Counter()
    for spent_there in (*(each.spent for each in work.archives), *(each.spent for each in done)):
        spent.update(spent_there)
    seconds = clock.stages["archives"] + clock.stages["extract"]
    read, size = work.media - work.earlier.taken, sum(shard.bytes for shard in done)
    return {
        "version": version_of("takeout-index"),
        "libraries": {name: version_of(name) for name in ("dask", "distributed", "pyarrow", "exifread", "orjson")},
        "started_at": clock.started_at.isoformat(),
        "finished_at": clock.now().isoformat(),
        "state": work.state,
        "inputs": [stored_text(shown_input(given)) for given in inputs],
        "input_paths": [stored_text(shown_input(given, resolved=True)) for given in inputs],
        "sources": [source_of(part) for part in library.parts],
        "output": place,
        "parts": [stored_text(part.name) for part in library.parts],
        "repeated_parts": [stored_text(path) for path in library.repeated],
        "missing_parts": list(work.audit.missing_parts),
        "audit": work.audit.report(),
        "settings": asdict(settings),
        "mode": work.mode,
        "threads": io_threads(settings),
        "processes": worker_processes(settings) if work.mode != "sequential" else 1,
        "cluster_ready_s": work.cluster_ready_s,
        "listed": work.listed,
        "media": work.media,
        "bytes": size + work.earlier.taken_bytes,
        "shards": len(done),
        "taken_over": work.earlier.taken,
        "counts": counts,
        "problem_files": counts["status"].get("partial", 0)
        + counts["status"].get("failed", 0)
        + counts["files"].get("unreadable", 0),
        "files_per_s": round(read / seconds, 1) if seconds else None,
        "mb_per_s": round(size / seconds / 1e6, 1) if seconds else None,
        "operations": {
            name: {
                "seconds": round(spent[name], 4),
                "ms_per_file": round(spent[name] / max(read, 1) * 1000, 4),
            }
            for name in (*OPERATIONS, "write")
        },
        "stages": clock.rounded(),
    }


def plan(
    inputs: AnyPath | Sequence[AnyPath], settings: Settings | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """What is in a library and what a scan would take: lists and pairs, writes no results.

    Of media files it opens only those that it must compare or ask for their time: of one path and size in two parts, or without
    a sidecar while an equal one in another folder may have it, or beside two stills of which either may be theirs. A tgz is
    read whole, as a scan does; what it says is kept in a private temporary folder until the end.

    Returns counts and bytes, missing part numbers, files without partner, the mode that `scan` would choose, and the
    predicted time (seconds) and memory (MB) of both modes. Raises InputError.
    """
    from pipeline.cluster import Beside

    settings, watch = settings or Settings(), watch or Silent()
    library = Library.of(_as_list(inputs), settings.merge)
    settings = with_threads(settings, library)
    known = measured()
    if known.note:
        watch.note(known.note)
    with closing(library), private_scratch() as scratch:
        with Beside() as reader:
            library, _ = read_archives(library, scratch, settings, watch, reader)
        listing = list_library(library, watch)
        watch.step(f"pairing {listing.count:,} files")
        found = pair_library(listing, library, io_threads(settings))
    mode = choose_mode(settings, found.media, found.to_read, library.waits)
    tars = library.tars()
    states = found.counts()
    missing = library.missing_parts()
    elsewhere_known = {(orphan.sidecar.path, orphan.sidecar.part) for orphan in found.members}
    return {
        "inputs": [stored_text(shown_input(given)) for given in _as_list(inputs)],
        "parts": [stored_text(part.name) for part in library.parts],
        "repeated_parts": [stored_text(path) for path in library.repeated],
        "missing_parts": missing,
        "audit": audit(found, missing).report(),
        "listed": found.listed,
        "bytes": sum(file.size or 0 for file in found.files()),
        "media": found.media,
        "media_bytes": found.size,
        "states": dict(sorted(states.items())),
        "sidecar_rules": dict(Counter(item.sidecar_rule or "none" for item in found.items()).most_common()),
        "albums": len(found.albums),
        "unmatched_media": [stored_text(item.media.path) for item in found.lacking],
        "unmatched_sidecars": [
            stored_text(file.path)
            for file in found.files()
            if file.state == "unmatched_sidecar" and (file.path, file.part) not in elsewhere_known
        ],
        "unreadable": [
            stored_text(f"{file.path}: {file.reason}") for file in found.files() if file.state == "unreadable"
        ],
        "mode": mode,
        "threads": io_threads(settings),
        "processes": worker_processes(settings),
        "measured_at": known.at,
        "predicted": {
            each: asdict(
                cost.predict(
                    files=found.media,
                    size=found.to_read,
                    archives=len(tars),
                    archives_size=sum(part.stamp.size for part in tars if part.stamp),
                    mode=each,
                    threads=io_threads(settings),
                    processes=worker_processes(settings),
                    cores=cores(),
                    constants=known.constants or cost.MEASURED,
                    remote=library.waits,
                )
            )
            for each in ("sequential", "parallel")
        },
    }


def explain(path: str, inside: AnyPath, settings: Settings | None = None) -> dict[str, Any]:
    """Why the file `path` has the sidecar, date and place that it has: every candidate, surest first, and why not the others.

    `path` is that inside the export, or its end; `inside` a folder of results, or one of a Takeout, of which then everything
    is listed and this file read. Raises UsageError if no file, or more than one, is meant.
    """
    from pipeline.cluster import Beside
    from pipeline.explain import explain as explain_case
    from pipeline.storage.lookup import look_up
    from pipeline.storage.results import index_of

    index = index_of(inside)
    if index.is_file():
        return explain_case(look_up(index, stored_text(path)))
    settings = settings or Settings()
    with closing(Library.of([inside], merge=True)) as library, private_scratch() as scratch:
        with Beside() as reader:
            library, _ = read_archives(library, scratch, settings, Silent(), reader)
        return explain_case(_case_of(library, path, settings))


def _case_of(library: Library, wanted: str, settings: Settings) -> Case | OtherFile:
    """What is to be explained of a file in a library that need not have been scanned."""
    from pipeline.explain import RELATIONS, Case, OtherFile, best_match
    from pipeline.stages import extract, make_rows, read_sidecars

    listing = list_library(library, Silent())
    found = pair_library(listing, library, io_threads(settings))
    # Of one path in several parts, the first.
    states = {stored_text(file.path): file for file in reversed(list(found.files()))}
    path = best_match(states, stored_text(wanted))
    items = [item for item in found.items() if stored_text(item.media.path) == path]
    if not items:
        users = [
            stored_text(item.media.path)
            for item in found.items()
            if item.sidecar and stored_text(item.sidecar.path) == path
        ]
        return OtherFile(path, states[path].state, states[path].reason, tuple(users))
    (row,) = (make_rows(extract(opened))[0] for opened in read_sidecars(items[:1], library, 0))
    folder = listing.folder_of(items[0].media)
    paths = {item.file_id: stored_text(item.media.path) for item in found.items()}
    related = {identity: paths[identity] for name in RELATIONS if (identity := row[name]) in paths}
    return Case(row, tuple(folder.media.names()), tuple(folder.json.names()), folder.read(), folder.recorded, related)


def verify(results: AnyPath, settings: Settings | None = None, watch: Watch | None = None) -> dict[str, Any]:
    """Read every byte of the library that `results` are of, and compare size and CRC-32 with the index. Writes nothing.

    Returns counts by outcome (`verifying.OUTCOMES`), every file that is not the same, and the parts that are gone or closed;
    `damaged` counts the files that differ, cannot be read or are missing. `settings.threads` read, by default one per core.
    Raises UsageError if there are no results there, or none that say where their library is.
    """
    from pipeline.rereading import rereading
    from pipeline.storage.lookup import opened_index
    from pipeline.storage.recorded import RecordedFiles
    from pipeline.storage.results import results_of
    from pipeline.verifying import Comparison, Lost

    settings, watch, clock = settings or Settings(), watch or Silent(), Clock()
    index = results_of(results, watch, wanted=()) / "index.sqlite"
    threads = settings.threads or cores()
    with opened_index(index) as db:
        recorded = RecordedFiles(db)
        report, sources = recorded.report(), recorded.sources()
        lost: dict[str, Lost] = {}
        for part in sources:
            if (error := why_closed(part)) is not None:
                gone = isinstance(error, FileNotFoundError | NotADirectoryError)
                reason = "it is not there any more" if gone else os.strerror(error.errno or 0)
                outcome = "missing" if gone else "unreadable"
                lost[part.name] = Lost(part.name, stored_text(part.root), outcome, reason)
        comparison = Comparison(recorded.look_up, recorded.last)
        watch.begin(recorded.files, recorded.size)
        read = 0
        library = Library(tuple(part for part in sources if part.name not in lost))
        threads = settings.threads or (THREADS_AFAR if library.waits else threads)
        with clock.stage("read"), closing(library), rereading(library, threads) as batches:
            for batch in batches:
                before, size = comparison.damaged, sum(found.size for found in batch)
                comparison.add(batch)
                watch.advance(len(batch), size, comparison.damaged - before)
                read += size
        files = {part: recorded.parts[part].files for part in lost if part in recorded.parts}
        comparison.finish(recorded.rows(without=lost), [(lost[part], count) for part, count in files.items()])
        comparison.check(recorded.files)
    seconds = clock.stages["read"]
    return {
        "results": shown_url(given) if is_url(given := os.fspath(results)) else stored_text(str(index.parent)),
        "scanned_at": report["started_at"],
        "input_paths": report["input_paths"],
        "files": recorded.files,
        "counts": dict(comparison.counts),
        "compared_by": dict(comparison.compared_by),
        "damaged": comparison.damaged,
        "lost_parts": [asdict(lost[part]) | {"files": count} for part, count in files.items()],
        "not_same": [
            asdict(each) for each in sorted(comparison.verdicts, key=lambda each: (each.path, each.part, each.outcome))
        ],
        "bytes": read,
        "threads": threads,
        "seconds": round(seconds, 3),
        "files_per_s": round(comparison.found / seconds, 1) if seconds else None,
        "mb_per_s": round(read / seconds / 1e6, 1) if seconds else None,
    }


def _found(plan: Plan, mode: str) -> str:
    states = plan.counts()
    return (
        f"found {plan.listed:,} files: {plan.media:,} photos and videos ({plan.size / 1e6:,.1f} MB), "
        f"{states['sidecar']:,} sidecars, {len(plan.albums):,} albums; reading: {mode}"
    )


def _as_list(inputs: AnyPath | Sequence[AnyPath]) -> list[AnyPath]:
    if isinstance(inputs, str | os.PathLike):
        return [inputs]
    if not inputs:
        raise UsageError("no INPUT given")
    return list(inputs)


def mirror_at(output: AnyPath | None, library: Library, settings: Settings) -> Mirror | None:
    """The mirror of results that are to be at a URL; None if they are to be in a folder.

    Raises UsageError or OutputError if they cannot be at the URL, or that and an input lie inside each other."""
    if output is None or not is_url(os.fspath(output)):
        return None
    from pipeline.storage.mirrored import Mirror
    from pipeline.storage.remote import canonical

    mirror = Mirror.of(os.fspath(output), settings.mirrors)
    for part in library.parts:
        root = canonical(part.root)
        if is_inside(mirror.url, root) or is_inside(root, mirror.url):
            raise UsageError(f"{mirror.shown} and the input {part.name} lie inside each other: choose another with -o")
    mirror.check_output()
    return mirror


def _output_folder(inputs: Sequence[AnyPath], output: AnyPath | None, library: Library) -> Path:
    """The results folder, resolved. Raises UsageError if it and an input lie inside each other, or its name is no text."""
    if output is None:
        output = Path("results") / (stored_text(library_name(inputs[0])) or "library")
    folder = Path(real_path(output))
    if stored_bytes(str(folder)) is not None:  # Arrow takes paths as text
        raise UsageError(f"the name of the results folder {folder} is not UTF-8: choose another with -o")
    return folder_apart(folder, library, "the results folder")


def _profile_folder(settings: Settings, library: Library, results: Path) -> Path:
    """The folder for the profile, made if need be. Raises UsageError if it cannot be, or what fills it is missing."""
    from pipeline.cluster import can_report
    from pipeline.pictures import ADVICE
    from pipeline.profiling import FILES as PROFILE_FILES

    folder = folder_apart(settings.profile, library, "the profile folder", "--profile")
    if is_inside(str(folder), str(results)) or is_inside(str(results), str(folder)):
        raise UsageError(f"the profile folder {folder} and the results folder {results} lie inside each other")
    if given_mode(settings) != "sequential" and not can_report():
        raise UsageError(f"Dask's report needs bokeh: {ADVICE}, or profile with --mode sequential")
    check_writable(folder, "the profile folder", "--profile")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in PROFILE_FILES:
        for earlier in folder.glob(name):  # of another run, which would be taken for part of this one
            earlier.unlink()
    return folder


def check_writable(folder: Path, title: str, option: str = "-o") -> None:
    """Raises UsageError if the folder cannot be made or written: better at once than after all the work."""
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UsageError(f"cannot write {title} {folder}: {there} is no folder; choose another with {option}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {title} {folder}: {there} is not writable; choose another with {option}")


def _dask_report(settings: Settings) -> Path | None:
    return Path(settings.profile) / "dask-report.html" if settings.profile else None


def folder_apart(given: AnyPath, library: Library, title: str, option: str = "-o") -> Path:
    """The folder that is to be written, resolved. Raises UsageError if it and an input lie inside each other."""
    folder = Path(real_path(given))
    for part in library.parts:
        if part.form == "folder" and is_inside(str(folder), part.root):
            raise UsageError(f"{title} {folder} lies inside the input {part.root}: choose another with {option}")
        if is_inside(part.root, str(folder)):
            raise UsageError(f"the input {part.root} lies inside {title} {folder}: choose another with {option}")
    return folder
