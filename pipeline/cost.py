"""The cost model: constants in, predicted time and memory out. Pure.

It starts from a published analysis of sequential against parallel scanning (PUBLISHED), whose table it reproduces, and adds
what that table misses: no run is faster than its scarcest resource. A prediction is what the main process does alone, plus the
maximum over disk and processors for what the workers share, plus start-up. The constants of a machine come from `fitted`, out
of runs that `bench` has measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

MB = 1e6
#: Below this much free memory (bytes) a cluster would make the machine swap.
LITTLE_MEMORY = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What things cost. Times per file in milliseconds; a file of `file_mb` megabytes, where that matters."""

    sidecar_read: float
    sidecar_parse: float
    exif_read: float
    exif_parse: float
    crc_read: float
    crc_compute: float
    mime: float
    write: float
    other: float = 0.0  # per file besides: the row, the copy in SQLite, what a task costs
    listing: float = 0.0  # listing, pairing and planning, by the main process alone
    settling: float = 0.0  # duplicates, albums, places, Parquet and SQLite, by the main process alone
    read_per_mb: float = 0.0  # on top of crc_read, for each megabyte
    crc_per_mb: float = 0.0  # on top of crc_compute
    efficiency: float  # of a process among others, against one alone
    start_s: tuple[float, float]  # sequential, parallel
    stop_s: tuple[float, float]
    disk_mb_per_s: float | None = None  # None: never the limit
    waits: bool = False  # one process alone does not compute while it waits for the disk
    inflate_mb_per_s: float = 300.0  # of a tgz, that one process reads, inflates and examines
    sequential_mb: float  # memory
    base_mb: float
    process_mb: float
    thread_mb: float
    queues_mb: float = 0.0

    def file_ms(self, file_mb: float) -> float:
        """Milliseconds of one processor for one file with its sidecar: what workers share."""
        return (
            self.sidecar_read
            + self.sidecar_parse
            + self.exif_read
            + self.exif_parse
            + self.crc_read
            + self.crc_compute
            + self.mime
            + self.write
            + self.other
            + (self.read_per_mb + self.crc_per_mb) * file_mb
        )

    @property
    def alone_ms(self) -> float:
        """Milliseconds that the main process takes for one file, and nobody can share."""
        return self.listing + self.settling


#: The published analysis: 90 % images of 3 MB, 10 % videos of 50 MB, 8 cores, 16 threads, 8 processes. Its operations add up
#: to 33.8 ms, its table takes "about 34 ms"; its 5 ms in parallel are those by 8 processes at 85 %.
PUBLISHED = Constants(
    sidecar_read=0.5,
    sidecar_parse=0.2,
    exif_read=2.0,
    exif_parse=5.0,
    crc_read=15.0,
    crc_compute=10.0,
    mime=1.0,
    write=0.1,
    other=0.2,
    efficiency=0.85,
    start_s=(0.010, 0.216),
    stop_s=(0.005, 0.066),
    sequential_mb=70,
    base_mb=50,
    process_mb=80,
    thread_mb=2,
    # Published: 2 queues of 10 MB and the database, 736 MB in all. The terms before add up to 722, so 14 are left for both.
    queues_mb=14,
)
PUBLISHED_FILE_MB = 0.9 * 3 + 0.1 * 50
PUBLISHED_THREADS, PUBLISHED_PROCESSES = 16, 8
#: The disk that the published analysis assumes, in MB/s, but does not count with.
PUBLISHED_DISK = 500.0
#: The published constants, with the disk counted.
PUBLISHED_WITH_DISK = replace(PUBLISHED, disk_mb_per_s=PUBLISHED_DISK)

#: Measured by `takeout-index bench` on 2 cores in a warm page cache; the disk is not known before it is used. To renew them:
#: ``python -m benchmarks.prediction`` prints this line for the machine it runs on.
# fmt: off
MEASURED = Constants(sidecar_read=0.016, sidecar_parse=0.026, exif_read=0.007, exif_parse=0.09, crc_read=0.0, crc_compute=0.0, mime=0.006, write=0.085, other=0.05, listing=0.05, settling=0.035, read_per_mb=0.08, crc_per_mb=0.019, efficiency=0.95, start_s=(0.75, 1.35), stop_s=(0.05, 0.05), waits=True, sequential_mb=170, base_mb=215, process_mb=22, thread_mb=0.2)  # noqa: E501
# fmt: on


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a run would take, and which resource limits it: ``processors``, ``disk`` or ``start-up``."""

    seconds: float
    memory_mb: float
    bound: str


def disk_bound_ms(file_mb: float, disk_mb_per_s: float) -> float:
    """The least milliseconds per file at which a disk can deliver.

    >>> round(disk_bound_ms(PUBLISHED_FILE_MB, PUBLISHED_DISK), 1)  # three times the 5 ms of the published table
    15.4
    """
    return file_mb / disk_mb_per_s * 1000


#: Requests for a file of an archive behind a URL, milliseconds that one waits, and milliseconds of a processor that it takes.
REQUESTS, REQUEST_MS, REQUEST_CPU_MS = 2.0, 30.0, 1.0


def predict(
    *,
    files: int,
    size: float,
    mode: str,
    threads: int,
    processes: int,
    cores: int | None = None,
    archives: int = 0,
    archives_size: int = 0,
    constants: Constants = MEASURED,
    remote: bool = False,
) -> Prediction:
    """Time and memory of a scan of `files` media files, of which `size` bytes are read, in mode ``sequential`` or ``parallel``.

    More `processes` than `cores` (None: one each) take memory and save no time. `archives` of `archives_size` bytes are read
    from front to back before, each by one process. Of what is `remote` the threads wait for requests, in either mode.

    >>> one = predict(files=1000, size=7.7e9, mode="parallel", threads=16, processes=8, constants=PUBLISHED)
    >>> round(one.seconds, 1), one.memory_mb
    (5.3, 736)
    """
    parallel = mode == "parallel"
    file_mb = size / MB / files if files else 0.0
    at_work = min(processes, cores or processes)
    workers = max(at_work * constants.efficiency, 1.0) if parallel and at_work > 1 else 1.0
    inflating = archives_size / MB / constants.inflate_mb_per_s / max(1.0, min(workers, archives))
    alone = files * constants.alone_ms / 1000
    shared = inflating + files * constants.file_ms(file_mb) / 1000 / workers
    disk = files * disk_bound_ms(file_mb, constants.disk_mb_per_s) / 1000 if constants.disk_mb_per_s else 0.0
    waiting = 0.0
    if remote:
        shared += files * REQUESTS * REQUEST_CPU_MS / 1000 / workers
        waiting = files * REQUESTS * REQUEST_MS / 1000 / max(threads, 1)
    work = max(shared + disk if constants.waits and not parallel else max(shared, disk), waiting)
    besides = constants.start_s[parallel] + constants.stop_s[parallel]
    if besides > work + alone:
        bound = "start-up"
    elif waiting > max(shared, disk):
        bound = "network"
    elif disk > shared:
        bound = "disk"
    else:
        bound = "main process" if alone > work else "processors"
    memory = (
        constants.base_mb + processes * constants.process_mb + threads * constants.thread_mb + constants.queues_mb
        if parallel
        else constants.sequential_mb
    )
    return Prediction(alone + work + besides, memory, bound)


def archives_mode(*, count: int, size: int, processes: int, constants: Constants = MEASURED) -> str:
    """``parallel`` if several processes save more by inflating `count` archives of `size` bytes than their start takes."""
    saved = size / MB / constants.inflate_mb_per_s * (1 - 1 / max(1, min(count, processes)))
    return "parallel" if saved > constants.start_s[1] - constants.start_s[0] else "sequential"


def choose_mode(
    *,
    files: int,
    size: float,
    threads: int,
    processes: int,
    cores: int | None = None,
    free_memory: int | None,
    constants: Constants = MEASURED,
    remote: bool = False,
) -> str:
    """``sequential`` or ``parallel``: what is predicted to be faster, and sequential when memory is short.

    `size` and `free_memory` in bytes; None if not known.
    """
    if free_memory is not None and free_memory < LITTLE_MEMORY:
        return "sequential"
    sequential, parallel = (
        predict(
            files=files,
            size=size,
            mode=mode,
            threads=threads,
            processes=processes,
            cores=cores,
            constants=constants,
            remote=remote,
        ).seconds
        for mode in ("sequential", "parallel")
    )
    return "parallel" if parallel < sequential else "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measured scan of a sample."""

    mode: str
    threads: int
    processes: int
    files: int
    size: int  # bytes read
    seconds: float  # of the whole command, from its start to its end
    stages: Mapping[str, float] = field(default_factory=dict)  # seconds
    operations: Mapping[str, float] = field(default_factory=dict)  # seconds over all files and workers
    memory_mb: float | None = None  # the most at a time, of all its processes
    processor_s: float = 0.0  # of the command itself, workers not counted: what it takes however busy the machine is

    @property
    def setting(self) -> tuple[str, int, int]:
        """What is the same in runs that may be compared."""
        return self.mode, self.threads, self.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What listing, pairing and planning a whole library took and found."""

    files: int  # media files
    size: int  # bytes that a scan reads of them
    shards: int = 1
    stages: Mapping[str, float]  # seconds, archives apart
    archives: int = 0
    archives_size: int = 0
    archives_s: float = 0.0  # seconds of one process


def quickest(runs: Iterable[Run]) -> dict[tuple[tuple[str, int, int], int], Run]:
    """The runs by setting and number of files: of several that are alike, every figure as it was at its least.

    Other programs only ever add time, and rarely to the same stage each time.
    """
    found: dict[tuple[tuple[str, int, int], int], Run] = {}
    for run in runs:
        key = run.setting, run.files
        found[key] = _least(found[key], run) if key in found else run
    return found


def _least(one: Run, other: Run) -> Run:
    memory = [each.memory_mb for each in (one, other) if each.memory_mb is not None]
    return replace(
        one,
        seconds=min(one.seconds, other.seconds),
        stages={name: min(seconds, other.stages.get(name, seconds)) for name, seconds in one.stages.items()},
        operations={
            name: min(seconds, other.operations.get(name, seconds)) for name, seconds in one.operations.items()
        },
        memory_mb=max(memory, default=None),
        processor_s=min(one.processor_s, other.processor_s),
    )


def line(small: tuple[int, float], large: tuple[int, float]) -> tuple[float, float]:
    """Fixed seconds and seconds per file, by two runs of so many files and seconds; neither is negative.

    >>> line((100, 1.5), (300, 2.5))
    (1.0, 0.005)
    >>> line((100, 1.0), (300, 0.9))  # noise
    (0.9, 0.0)
    """
    (few, short), (many, long) = small, large
    if many <= few:
        return long, 0.0
    each = max(long - short, 0.0) / (many - few)
    fixed = long - each * many
    return (fixed, each) if fixed >= 0 else (0.0, long / many)


#: Mean size from which the time to read a file, and its CRC-32, counts as that of its megabytes.
_LARGE_MB = 1.0
#: Of fewer files runs show what starting costs, and not what a file does: a few milliseconds of noise are as much.
FEWEST = 200
#: Of fewer files a sample does not show what settling costs of each: with every few files come new years, a folder each.
_FEW = 500
#: Stages that are none of the main process's own.
_EXTRACT, _OTHERS = "extract", ("archives", "extract", "index while extracting", "start", "total")


def fitted(survey: Survey, runs: Sequence[Run], setting: tuple[str, int, int], base: Constants = MEASURED) -> Constants:
    """The constants that the runs show, of which some are sequential and some of the parallel `setting`, each of two sizes.

    What can be seen in no run is that of `base`: of fewer than FEWEST files, what a file costs, and what starting does.
    """
    best = quickest(runs)
    constants = base
    if survey.archives_s > 0:
        constants = replace(constants, inflate_mb_per_s=survey.archives_size / MB / survey.archives_s)
    sequential = _of(best, ("sequential", 0, 1))
    if not survey.files or not sequential:
        return constants
    small, large = sequential[0], sequential[-1]
    if large.files < FEWEST:
        seen: dict[str, Any] = {**_memory(best.values(), base)}
        return replace(constants, **seen)
    names = set(survey.stages)
    _, extracting = line(*((run.files, run.stages[_EXTRACT]) for run in (small, large)))
    _, settling = line(*((run.files, _settling(run, names)) for run in (small, large)))
    operations = _operations(small, large)
    shared = max(extracting * 1000, sum(operations.values()))
    file_mb = large.size / MB / large.files
    started = min(_besides(run, names) - run.files * (extracting + settling) for run in (small, large))
    if large.files < _FEW:
        settling = min(settling, base.settling / 1000)
    surveyed, listing = line(*_surveyed(survey, small, large))
    found: dict[str, Any] = {**_by_size(operations, file_mb, base), **_memory(best.values(), base)}
    constants = replace(
        constants,
        **found,
        other=shared - sum(operations.values()),
        listing=listing * 1000,
        settling=settling * 1000,
        start_s=(max(started, 0.0) + surveyed, base.start_s[1] + base.stop_s[1]),
        stop_s=(0.0, 0.0),
    )
    parallel = _of(best, setting)
    if not parallel:
        return constants
    small, large = parallel[0], parallel[-1]
    _, together = line(*((run.files, run.stages[_EXTRACT]) for run in (small, large)))
    workers = extracting / together if together > 0 and extracting > 0 else setting[2] * base.efficiency
    each = (together or shared / 1000 / workers) + settling
    started = min(_besides(run, names) - run.files * each for run in (small, large))
    return replace(
        constants,
        efficiency=min(max(workers, 1.0) / setting[2], 1.2),
        start_s=(constants.start_s[0], max(started + surveyed, constants.start_s[0])),
    )


def for_other_inputs(constants: Constants, survey: Survey, base: Constants = MEASURED) -> Constants:
    """What is fitted to one library, for any: what reading a file costs is that of `base` if it had archives that are read
    from front to back, as nothing of their files is left to be read then, and all of them would seem to cost nothing.

    >>> survey = Survey(files=1, size=1, stages={}, archives=1)
    >>> for_other_inputs(replace(MEASURED, exif_parse=0.0, inflate_mb_per_s=99.0), survey).exif_parse == MEASURED.exif_parse
    True
    """
    if not survey.archives:
        return constants
    names = (*OPERATIONS, "other", "read_per_mb", "crc_per_mb", "efficiency", "waits")
    hidden: dict[str, Any] = {name: getattr(base, name) for name in names}
    return replace(constants, **hidden)


def _of(best: Mapping[tuple[tuple[str, int, int], int], Run], setting: tuple[str, int, int]) -> list[Run]:
    """The runs of this setting, that of the fewest files first."""
    return [best[key] for key in sorted(best) if key[0] == setting]


def _besides(run: Run, names: Iterable[str]) -> float:
    """Seconds of a run without those stages that the survey has measured on the whole library."""
    return run.seconds - sum(run.stages.get(name, 0.0) for name in names)


def _surveyed(survey: Survey, small: Run, large: Run) -> tuple[tuple[int, float], tuple[int, float]]:
    """Files and seconds of listing, pairing and planning, of a part and of the whole."""
    part = large if large.files < survey.files else small
    whole = survey.files, sum(survey.stages.values())
    return (part.files, sum(part.stages.get(name, 0.0) for name in survey.stages)), whole


def _settling(run: Run, surveyed: Iterable[str]) -> float:
    """Seconds of what the main process does when all is extracted."""
    return sum(seconds for name, seconds in run.stages.items() if name not in {*_OTHERS, *surveyed})


def _operations(small: Run, large: Run) -> dict[str, float]:
    """Milliseconds per file of the model's operations. What the first file of all costs, as it loads a library, is left out."""
    found = {}
    for name, ours in OPERATIONS.items():
        spent = (sum(run.operations.get(each, 0.0) for each in ours) for run in (small, large))
        found[name] = line(*zip((small.files, large.files), spent, strict=True))[1] * 1000
    return found


def _by_size(operations: Mapping[str, float], file_mb: float, base: Constants) -> dict[str, float]:
    """The operations, of which reading the content and its CRC-32 grow with the size of a file."""
    found = dict(operations)
    for name, per_mb in (("crc_read", "read_per_mb"), ("crc_compute", "crc_per_mb")):
        spent = operations[name]
        rate = (
            spent / file_mb if file_mb >= _LARGE_MB else min(getattr(base, per_mb), spent / file_mb if file_mb else 0)
        )
        found |= {per_mb: rate, name: spent - rate * file_mb}
    return found


def _memory(runs: Iterable[Run], base: Constants) -> dict[str, float]:
    """Memory by mode, process and thread, as far as it was measured."""
    known = [run for run in runs if run.memory_mb is not None]
    found = {"sequential_mb": max((run.memory_mb or 0.0 for run in known if run.mode == "sequential"), default=None)}
    parallel = sorted((run for run in known if run.mode == "parallel"), key=lambda run: (run.processes, run.threads))
    if parallel:
        few, many = parallel[0], parallel[-1]
        process = base.process_mb
        if many.processes > few.processes:
            threads = (many.threads - few.threads) * base.thread_mb
            process = max(
                ((many.memory_mb or 0) - (few.memory_mb or 0) - threads) / (many.processes - few.processes), 0
            )
        found["process_mb"] = process
        found["base_mb"] = max((many.memory_mb or 0) - many.processes * process - many.threads * base.thread_mb, 0.0)
    return {name: value for name, value in found.items() if value is not None}


#: The operations of the model, as the published table has them, and ours that do the same.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "sidecar_read": ("sidecar_read",),
    "sidecar_parse": ("sidecar_parse",),
    "exif_read": ("open",),
    "exif_parse": ("exif", "video"),
    "crc_read": ("content_read",),
    "crc_compute": ("crc32",),
    "mime": ("mime",),
    "write": ("record", "write"),
}


#: Of numbers out of a file: none is larger, and no speed or share is smaller. What is predicted with them is finite.
_MOST, _SLOWEST = 1e9, 1e-6


def from_mapping(values: Mapping[str, Any]) -> Constants:
    """Constants out of JSON. Raises ValueError if one is missing, unknown, or no number that it can be.

    >>> from_mapping(asdict(MEASURED)) == MEASURED
    True
    """
    if set(values) != {each.name for each in fields(Constants)}:
        raise ValueError("other constants than this version's")
    found = dict(values)
    for name in ("start_s", "stop_s"):
        pair = values[name]
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise ValueError(f"{name} is no pair")
        found[name] = tuple(_positive(name, each) for each in pair)
    if not isinstance(values["waits"], bool):
        raise ValueError("waits is neither true nor false")
    for name in set(found) - {"start_s", "stop_s", "waits"}:
        if name != "disk_mb_per_s" or found[name] is not None:
            found[name] = _positive(name, found[name])
    for name in ("efficiency", "inflate_mb_per_s", "disk_mb_per_s"):
        if (divisor := found[name]) is not None and divisor < _SLOWEST:
            raise ValueError(f"{name} is {divisor!r}")
    return Constants(**found)


def _positive(name: str, value: Any) -> float:
    # The bound also keeps out what is no finite number, and whole numbers that are too large to be one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        raise ValueError(f"{name} is {value if isinstance(value, float) else repr(value)[:20]}")
    return float(value)


def source(constants: Constants) -> str:
    """The constants as the line of Python that makes them."""
    digits = {
        name: tuple(round(each, 3) for each in value) if isinstance(value, tuple) else value
        for name, value in asdict(constants).items()
    }
    shown = {name: round(value, 4) if type(value) is float else value for name, value in digits.items()}
    return f"Constants({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
