"""What a scan costs on this machine with this input: a sample of it, scanned as users scan, and a model of what came out.

Every measurement is a run of the whole command in a process of its own, so that start-up and memory are those of a real scan;
its results go to a private temporary folder. The input is listed, paired and planned once as a whole. Nothing of it is written.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline import cost
from pipeline.api import (
    AnyPath,
    check_writable,
    folder_apart,
    private_scratch,
    scan_library,
)
from pipeline.cost import Constants, Prediction, Run, Survey
from pipeline.item import Entry, MediaItem, stored_text
from pipeline.modes import cores, io_threads, measured, worker_processes
from pipeline.planning import Shard
from pipeline.problems import Problem, RunError, UsageError, noting
from pipeline.progress import Silent, Watch, clock
from pipeline.sampling import SMALLER, representative, sample_size
from pipeline.settings import Settings, cache_folder
from pipeline.storage.durable import whole_file
from pipeline.storage.known import known_folder
from pipeline.storage.library import Library, opened
from pipeline.storage.manifest import read_manifest, write_manifest
from pipeline.storage.measured import keep_constants
from pipeline.storage.results import Results
from pipeline.timing import Clock

#: Seconds after which no further setting is begun, and those for the two settings that predictions rest on.
LONGEST, LONGEST_MAIN = 150.0, 60.0
#: Rounds of these two, at least and at most.
ROUNDS = (2, 5)
#: Seconds that the first look at the sample takes at most: is it in memory, how fast is the disk.
LONGEST_LOOK = 20.0
#: Listing is repeated if it took less, as the first one may have waited for the disk.
SHORT_LISTING = 10.0
#: Sizes of libraries in the published table.
SIZES = (1_000, 10_000, 100_000, 500_000)
#: Below this share of bytes that are not in memory, what a disk could do is not seen.
LITTLE_COLD = 0.05
_SAMPLE = "sample"


def bench(
    inputs: Sequence[AnyPath],
    sample: int | None,
    output: AnyPath,
    settings: Settings,
    watch: Watch,
    longest: float = LONGEST,
) -> dict[str, Any]:
    """Measure this machine with this input: a `sample` of so many photos and videos, None: as many as suffice.

    After `longest` seconds no setting is begun but those that predictions rest on.

    Returns what was measured and predicted, and keeps the constants in the user's cache. The report also goes to the folder
    `output`, as ``bench.json``. Raises UsageError for a sample that cannot be, InputError and RunError.
    """
    if sample is not None and sample < 1:
        raise UsageError(f"--sample must be at least 1, not {sample}")
    settings = replace(settings, scheduler="", profile="")
    started = time.monotonic()
    busy = os.getloadavg()[0]
    if busy > cores() / 2:
        watch.note(
            f"other programs are at work here (load {busy:.1f} on {cores()} cores): what follows is slower for it"
        )
    library = Library.of(inputs, settings.merge)
    folder = folder_apart(output, library, "the folder of the report")
    check_writable(folder, "the folder of the report")
    with closing(library), private_scratch() as scratch:
        library, survey = _surveyed(library, inputs, scratch, settings, watch)
        items = list(_sample_of(scratch, survey, sample))
        looked = _look(library, items, io_threads(settings), watch)
        runs, skipped = (
            _measured(library, inputs, survey, items, scratch, settings, watch, longest) if items else ([], [])
        )
    main = _main_settings(settings)[1]
    constants = cost.fitted(survey, runs, main)
    if looked.disk_mb_per_s:
        constants = replace(constants, disk_mb_per_s=looked.disk_mb_per_s)
    report = _report(inputs, library, survey, items, looked, runs, skipped, constants, settings)
    report["machine"]["load_before"] = round(busy, 2)
    report["seconds"] = round(time.monotonic() - started, 1)
    report["kept_in"] = _keep(survey, constants, report, watch) if report["measured"] else None
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    with whole_file(folder / "bench.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    report["output"] = str(folder)
    report["picture"] = _draw(report, constants, folder, settings, watch) if runs else None
    return report


def _draw(
    report: Mapping[str, Any], constants: Constants, folder: Path, settings: Settings, watch: Watch
) -> str | None:
    """The picture of it, if what draws is installed."""
    from pipeline.pictures import ADVICE, can_draw, draw_bench

    if not can_draw():
        watch.note(f"no picture is drawn, as matplotlib is not installed: {ADVICE}")
        return None
    watch.step("drawing")
    with whole_file(folder / "bench.svg") as temporary:
        draw_bench(report, _curves(report["mean_mb"], constants, settings), temporary)
    return str(folder / "bench.svg")


def _curves(mean_mb: float, constants: Constants, settings: Settings) -> dict[str, list[tuple[int, float]]]:
    """Seconds by size of the library: here and published, sequential and parallel, and what the disks allow."""
    sizes = [round(10 ** (power / 8)) for power in range(16, 49)]
    here = [_both_modes(files, files * mean_mb * 1e6, settings=settings, constants=constants) for files in sizes]
    theirs = [_published(files, cost.PUBLISHED) for files in sizes]
    curves = {
        f"{place}, {mode}": [(files, each[mode]["seconds"]) for files, each in zip(sizes, found, strict=True)]
        for place, found in (("published", theirs), ("here", here))
        for mode in ("sequential", "parallel")
    }
    disks = {f"published disk, {cost.PUBLISHED_DISK:.0f} MB/s": (cost.PUBLISHED_FILE_MB, cost.PUBLISHED_DISK)}
    if constants.disk_mb_per_s:
        disks["disk here"] = (mean_mb, constants.disk_mb_per_s)
    for name, (file_mb, speed) in disks.items():
        curves[name] = [(files, files * cost.disk_bound_ms(file_mb, speed) / 1000) for files in sizes]
    return curves


class _PlannedError(Exception):
    """All is listed, paired and planned, and reading would begin."""


class _UntilReading:
    """A Watch that passes on what it is told, and ends a scan before it reads."""

    def __init__(self, watch: Watch) -> None:
        self.listing, self.note, self.step, self.advance = watch.listing, watch.note, watch.step, watch.advance
        self._begin = watch.begin

    def begin(self, files: int, size: int) -> None:
        """Archives are read, media are not."""
        if files:
            raise _PlannedError
        self._begin(files, size)


def _surveyed(
    library: Library, inputs: Sequence[AnyPath], scratch: Path, settings: Settings, watch: Watch
) -> tuple[Library, Survey]:
    """List, pair and plan the whole library, as a scan does before it reads. The manifest is in `scratch` then.

    Returns the library, of whose tars all is known.
    """
    tars = library.tars()
    tars_size = sum(part.stamp.size for part in tars if part.stamp)
    settings = replace(settings, mode="auto" if len(tars) > 1 else "sequential", fresh=True)
    times: list[dict[str, float]] = []
    archives_s = 0.0
    results = Results(scratch / "survey")
    while not times or (len(times) < 2 and not tars and sum(times[0].values()) < SHORT_LISTING):
        measured = Clock()
        watch.step("listing, pairing and planning")
        with suppress(_PlannedError):
            said = watch if not times else Silent()
            scan_library(library, inputs, results.folder, settings, _UntilReading(said), measured)
        archives_s = measured.stages.pop("archives", 0.0)
        times.append({name: measured.stages[name] for name in ("list", "pair", "plan") if name in measured.stages})
    stages = {name: min(each[name] for each in times) for name in times[0]}
    files = size = 0
    shards = 1
    if results.manifest.exists():
        shards = 0
        for items in read_manifest(results.manifest):
            shards += 1
            files += len(items)
            size += sum(item.media.to_read for item in items)
    if tars:
        library = replace(library, known=str(known_folder(results.known, settings.all_tags)))
    at_work = min(worker_processes(settings), cores(), len(tars)) if settings.mode == "auto" and tars else 1
    return library, Survey(
        files=files,
        size=size,
        shards=shards,
        stages=stages,
        archives=len(tars),
        archives_size=tars_size,
        archives_s=archives_s * at_work if tars else 0.0,
    )


def _sample_of(scratch: Path, survey: Survey, wanted: int | None) -> Iterator[MediaItem]:
    """Items of the manifest that stand for all: of every kind and size, with and without sidecar, as many as there are."""
    if not survey.files:
        return
    manifest = Results(scratch / "survey").manifest
    count = min(sample_size(survey.files, survey.size) if wanted is None else wanted, survey.files)
    chosen = set(representative([_key(item) for item in chain.from_iterable(read_manifest(manifest))], count))
    for number, item in enumerate(chain.from_iterable(read_manifest(manifest))):
        if number in chosen:
            yield item


def _key(item: MediaItem) -> tuple[str, bool, int]:
    return item.media.name.rpartition(".")[2].lower(), item.sidecar is None, item.media.to_read


@dataclass(frozen=True, slots=True)
class Looked:
    """What the first look at the sample saw."""

    files: int
    cold: int  # files that were not in memory
    cold_share: float  # of the bytes
    disk_mb_per_s: float | None  # None: too few were not in memory


def _look(library: Library, items: Sequence[MediaItem], threads: int, watch: Watch) -> Looked:
    """Is the sample in memory, or does it come from a disk or network? What is not in memory is read, as workers would."""
    watch.step(f"looking whether {len(items):,} files are in memory")
    # What a tar has been read for is not read again.
    items = [item for item in items if library.facts_of(item.media) is None]
    end = time.monotonic() + LONGEST_LOOK
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        cold = [
            item for item, there in zip(items, pool.map(partial(_in_memory, library), items), strict=True) if not there
        ]
        began = time.perf_counter()
        read = sum(pool.map(partial(_read, library, end=end), cold))
        seconds = time.perf_counter() - began
    size = sum(item.media.to_read for item in items)
    share = sum(item.media.to_read for item in cold) / size if size else 0.0
    speed = read / seconds / 1e6 if share >= LITTLE_COLD and read and seconds > 0 else None
    return Looked(len(items), len(cold), share, speed)


def _in_memory(library: Library, item: MediaItem) -> bool:
    with noting([], "read"), opened(library, item.media) as file:
        file.look()
        return not file.cold
    return True


def _read(library: Library, item: MediaItem, end: float) -> int:
    """Read the item's file and sidecar, unless it is too late. Returns the bytes of the file."""
    problems: list[Problem] = []
    if time.monotonic() > end:
        return 0
    if item.sidecar is not None:
        with noting(problems, "read"), opened(library, item.sidecar) as file:
            file.read_at(0, item.sidecar.size)
    offset, block = 0, 1 << 20
    with noting(problems, "read"), opened(library, item.media) as file:
        while offset < item.media.to_read and (data := file.read_at(offset, min(block, item.media.to_read - offset))):
            offset += len(data)
    return offset


@dataclass(frozen=True, slots=True)
class SampledLibrary(Library):
    """A library of which only some files are listed. Its tars have been read. Workers list none, and get it without."""

    sample: Callable[[], Iterator[Entry]] = ().__iter__

    def walk(self) -> Iterator[Entry]:
        """The files of the sample."""
        return self.sample()

    def tars(self) -> list[Any]:
        """None that is yet to be read."""
        return []


def scan_sample(
    inputs: Sequence[AnyPath], sample: Path, known: str, output: Path, settings: Settings
) -> dict[str, Any]:
    """Scan what the manifest `sample` names of the library, and nothing else of it: one measurement, in its own process."""
    whole = Library.of(inputs, settings.merge)
    entries = [
        entry
        for item in chain.from_iterable(read_manifest(sample))
        for entry in (item.media, item.sidecar)
        if entry is not None
    ]
    library = SampledLibrary(whole.parts, whole.repeated, known, sample=tuple(dict.fromkeys(entries)).__iter__)
    with closing(library):
        return scan_library(library, inputs, output, replace(settings, fresh=True), Silent(), Clock())


Setting = tuple[str, int, int]


def _main_settings(settings: Settings) -> tuple[Setting, Setting]:
    """The settings that predictions rest on: sequential, and parallel as a scan would choose it."""
    return ("sequential", 0, 1), ("parallel", io_threads(settings), worker_processes(settings))


def _other_settings(settings: Settings) -> list[Setting]:
    """Other numbers of threads and processes: one process, twice as many, … to twice the cores; 1, 2 and 4 threads each."""
    counts = {1, cores(), 2 * cores(), *(1 << power for power in range(10) if 1 << power < cores())}
    every = [("parallel", each * processes, processes) for processes in sorted(counts) for each in (1, 2, 4)]
    return [setting for setting in every if setting != _main_settings(settings)[1]]


def _measured(
    library: Library,
    inputs: Sequence[AnyPath],
    survey: Survey,
    items: Sequence[MediaItem],
    scratch: Path,
    settings: Settings,
    watch: Watch,
    longest: float,
) -> tuple[list[Run], list[Setting]]:
    """Scan two samples by every setting, as long as there is time. Returns the runs, and the settings there was none for."""
    from pipeline.cluster import why_not_here

    few = max(1, round(len(items) * SMALLER))
    # Shards as large as those of the whole, if one process works at them; several need some each, as they have of the whole.
    shard_files = settings.shard_files or -(-survey.files // survey.shards)
    smaller = [items[number] for number in representative([_key(item) for item in items], few)]
    samples = {len(chosen): _write_sample(chosen, scratch) for chosen in (items, smaller)}
    scan = partial(_scan_apart, library, inputs, scratch / "results", settings)
    main, others = list(_main_settings(settings)), _other_settings(settings)
    if reason := why_not_here(max(processes for _, _, processes in (*main, *others))):
        watch.note(f"parallel scans are not measured: {reason}")
        main, others = main[:1], []
    runs: list[Run] = []
    begun = time.monotonic()
    for number in range(ROUNDS[1]):
        spent = time.monotonic() - begun
        if number >= ROUNDS[0] and spent + spent / number > LONGEST_MAIN:
            break
        for setting in main:
            for count in sorted(samples, reverse=True):
                watch.step(f"round {number + 1}: {count:,} files, {_said(setting)} ({clock(time.monotonic() - begun)})")
                size = shard_files if setting[0] == "sequential" else settings.shard_files
                runs.append(scan(setting, samples[count], size, with_memory=number == 0))
    skipped = []
    for setting in others:
        if time.monotonic() - begun >= longest:
            skipped.append(setting)
            continue
        for with_memory in (True, False):
            watch.step(f"{len(items):,} files, {_said(setting)} ({clock(time.monotonic() - begun)})")
            runs.append(scan(setting, samples[len(items)], settings.shard_files, with_memory))
    return runs, skipped


def _said(setting: Setting) -> str:
    mode, threads, processes = setting
    if mode == "sequential":
        return mode
    return f"{processes} process{'' if processes == 1 else 'es'} with {threads} thread{'' if threads == 1 else 's'}"


def _write_sample(items: Sequence[MediaItem], scratch: Path) -> Path:
    path = scratch / f"sample-{len(items)}"
    write_manifest([Shard(_SAMPLE, tuple(items))], path)
    return path


def _scan_apart(
    library: Library,
    inputs: Sequence[AnyPath],
    output: Path,
    settings: Settings,
    setting: Setting,
    sample: Path,
    shard_files: int,
    with_memory: bool,
) -> Run:
    """One measurement: a scan of the sample by a process of its own, from its start to its end."""
    mode, threads, processes = setting
    settings = replace(settings, mode=mode, threads=threads, processes=processes, shard_files=shard_files)
    arguments = ["scan-sample", "--sample", str(sample), "--known", library.known, "--output", str(output)]
    arguments += ["--settings", json.dumps(asdict(settings)), "--", *(os.fspath(given) for given in inputs)]
    began, before = time.perf_counter(), _processor_s()
    with _process(arguments) as process, _memory_of(process.pid if with_memory else None) as memory:
        said, complaint = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode:
        reason = (complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        reason = reason.removeprefix("takeout-index: ")
        raise RunError(f"a scan of the sample ended with status {process.returncode}: {reason}")
    report = json.loads(said)
    if (failed := report["counts"]["status"].get("failed", 0)) > report["media"] / 2:  # they cost nothing
        raise RunError(
            f"{failed:,} of {report['media']:,} files of the sample cannot be read: is the library still there?"
        )
    return Run(
        mode=mode,
        threads=threads,
        processes=processes,
        files=report["media"],
        size=report["bytes"],
        seconds=seconds,
        stages=report["stages"],
        operations={name: each["seconds"] for name, each in report["operations"].items()},
        memory_mb=max(memory, default=None),
        processor_s=_processor_s() - before,
    )


def _processor_s() -> float:
    """Seconds of processors that commands of ours which have ended have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command with these arguments; gone, and its workers too, at the end of the block.

    It has a session of its own: Ctrl-C reaches us alone, and we end it.
    """
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", "pipeline", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _memory_of(pid: int | None) -> Iterator[list[float]]:
    """Memory of a process and its children, in MB, now and then while the block runs; none where the system does not tell."""
    found: list[float] = []
    finished = threading.Event()

    def follow() -> None:
        while pid is not None and not finished.wait(0.05):
            total = sum(map(_proportional_bytes, _with_children(pid))) / 1e6
            if total:
                found.append(total)

    thread = threading.Thread(target=follow, name="memory", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        finished.set()
        thread.join()


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii").split():
                yield from _with_children(int(child))
    except OSError:
        return


def _proportional_bytes(pid: int) -> int:
    """Memory of a process, of which what it shares with others counts by its part (PSS); 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def _report(
    inputs: Sequence[AnyPath],
    library: Library,
    survey: Survey,
    items: Sequence[MediaItem],
    looked: Looked,
    runs: Sequence[Run],
    skipped: Sequence[Setting],
    constants: Constants,
    settings: Settings,
) -> dict[str, Any]:
    """What was measured and what it lets expect; times in seconds where they are not in milliseconds by name."""
    best = cost.quickest(runs)
    whole = max((run.files for run in runs), default=0)
    mean = survey.size / survey.files if survey.files else 0.0
    from_disk = looked.disk_mb_per_s / looked.cold_share if looked.disk_mb_per_s else None
    predicted = partial(_both_modes, settings=settings, constants=replace(constants, disk_mb_per_s=from_disk))
    published = partial(_published, constants=cost.PUBLISHED)
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": cores(),
            "processor": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "inputs": [stored_text(os.fspath(given)) for given in inputs],
        "parts": [stored_text(part.name) for part in library.parts],
        "media": survey.files,
        "bytes_to_read": survey.size,
        "mean_mb": round(mean / 1e6, 4),
        "survey_s": {name: round(seconds, 4) for name, seconds in survey.stages.items()},
        "archives": {"count": survey.archives, "bytes": survey.archives_size, "seconds": round(survey.archives_s, 3)},
        "measured": whole >= cost.FEWEST,  # else the costs are those that are built in
        "sample": {"files": len(items), "bytes": sum(item.media.to_read for item in items)},
        "cache": {
            "looked_at": looked.files,
            "cold": looked.cold,
            "cold_share": round(looked.cold_share, 4),
            "disk_mb_per_s": round(looked.disk_mb_per_s, 1) if looked.disk_mb_per_s else None,
        },
        "operations_ms": _operations_table(mean / 1e6, constants) if runs else {},
        "settings": list(_settings_table(best, whole)) if runs else [],
        "not_measured": [_said(setting) for setting in skipped],
        "predicted": {str(files): predicted(files, files * mean, survey) for files in SIZES} if items else {},
        "published": {str(files): published(files) for files in SIZES},
        "published_with_disk": {str(files): _published(files, cost.PUBLISHED_WITH_DISK) for files in SIZES},
        "this_input": predicted(survey.files, survey.size, survey) if items else None,
        "threads": io_threads(settings),
        "processes": worker_processes(settings),
        "constants": asdict(constants),
        "runs": [asdict(run) for run in runs],
    }


def _operations_table(mean_mb: float, constants: Constants) -> dict[str, float]:
    """Milliseconds per file of each operation, those of the main process and all others included."""
    return {
        name: round(value, 4)
        for name, value in {
            **{name: getattr(constants, name) for name in cost.OPERATIONS},
            "crc_read": constants.crc_read + constants.read_per_mb * mean_mb,
            "crc_compute": constants.crc_compute + constants.crc_per_mb * mean_mb,
            "other": constants.other,
            "listing": constants.listing,
            "settling": constants.settling,
        }.items()
    }


def _settings_table(best: Mapping[tuple[Setting, int], Run], whole: int) -> Iterator[dict[str, Any]]:
    """Of every setting: files per second while reading, the speed-up of that over sequential, and memory.

    What a cluster needs for its first files, as the smaller sample shows it, is left out: it is the same for many.
    """
    few = min((files for _, files in best), default=0)

    fixed = {
        mode: cost.line(*((run.files, run.stages["extract"]) for run in (best[setting, few], best[setting, whole])))[0]
        for mode, setting in {setting[0]: setting for setting, files in best if files == few}.items()
    }

    def each_s(setting: Setting) -> float:
        seconds = best[setting, whole].stages["extract"]
        return (seconds - min(fixed.get(setting[0], 0.0), seconds / 2)) / whole

    alone = each_s(("sequential", 0, 1))
    for setting in sorted((setting for setting, files in best if files == whole), key=lambda each: (each[2], each[1])):
        each, run = each_s(setting), best[setting, whole]
        yield {
            "mode": run.mode,
            "threads": run.threads,
            "processes": run.processes,
            "files_per_s": round(1 / each, 1),
            "speed_up": round(alone / each, 2),
            "seconds": round(run.seconds, 3),
            "memory_mb": round(run.memory_mb, 1) if run.memory_mb else None,
        }


def _both_modes(
    files: int, size: float, survey: Survey | None = None, *, settings: Settings, constants: Constants
) -> dict[str, Any]:
    """A library of `files` files in both modes; as much of it in archives as the survey says of this one."""
    found = {
        mode: cost.predict(
            files=files,
            size=size,
            mode=mode,
            threads=io_threads(settings),
            processes=worker_processes(settings),
            cores=cores(),
            archives=survey.archives if survey else 0,
            archives_size=round(survey.archives_size / survey.files * files) if survey else 0,
            constants=constants,
        )
        for mode in ("sequential", "parallel")
    }
    return _side_by_side(found)


def _published(files: int, constants: Constants) -> dict[str, Any]:
    found = {
        mode: cost.predict(
            files=files,
            size=files * cost.PUBLISHED_FILE_MB * 1e6,
            mode=mode,
            threads=cost.PUBLISHED_THREADS,
            processes=cost.PUBLISHED_PROCESSES,
            constants=constants,
        )
        for mode in ("sequential", "parallel")
    }
    return _side_by_side(found)


def _side_by_side(found: Mapping[str, Prediction]) -> dict[str, Any]:
    """Predictions of both modes, and what the parallel one gains."""
    return {mode: asdict(each) for mode, each in found.items()} | {
        "speed_up": round(found["sequential"].seconds / found["parallel"].seconds, 2)
    }


def _keep(survey: Survey, constants: Constants, report: Mapping[str, Any], watch: Watch) -> str | None:
    """Keep the constants for later. Returns where; None for a user without a home, or one that cannot be written."""
    folder = cache_folder()
    if folder is None:
        watch.note("not kept for plan and scan: you have no home folder")
        return None
    of = {"inputs": report["inputs"], "files": report["sample"]["files"]}
    try:
        earlier = measured().constants or cost.MEASURED
        constants = cost.for_other_inputs(constants, survey, earlier)
        return str(keep_constants(folder, constants, cores(), report["measured_at"], of))
    except OSError as error:
        watch.note(f"not kept for plan and scan: {folder}: {os.strerror(error.errno or 0)}")
        return None
