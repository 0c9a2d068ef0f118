"""The cost model: constants in, predicted time and memory out. Pure.

It starts from a published analysis of sequential against parallel scanning (PUBLISHED), whose table it reproduces, and adds
what that table misses: no run is faster than its scarcest resource. A prediction is the maximum over disk and processors,
plus start-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    other: float = 0.0  # per file besides
    read_per_mb: float = 0.0  # on top of crc_read, for each megabyte
    crc_per_mb: float = 0.0  # on top of crc_compute
    efficiency: float  # of a process among others, against one alone
    start_s: tuple[float, float]  # sequential, parallel
    stop_s: tuple[float, float]
    disk_mb_per_s: float | None = None  # None: never the limit
    sequential_mb: float  # memory
    base_mb: float
    process_mb: float
    thread_mb: float
    queues_mb: float = 0.0

    def file_ms(self, file_mb: float) -> float:
        """Milliseconds of one processor for one file with its sidecar."""
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

#: Bytes of a tgz that one core reads, inflates and examines in a second.
INFLATE_BYTES_PER_S = 300e6

#: Measured with `make bench` on 2 cores, files of 3 MB in a warm page cache; the disk is not known before it is used.
MEASURED = Constants(
    sidecar_read=0.02,
    sidecar_parse=0.03,
    exif_read=0.01,
    exif_parse=0.10,
    crc_read=0.0,
    crc_compute=0.0,
    mime=0.01,
    write=0.05,
    other=0.25,  # listing, pairing, the record, SQLite, the published Parquet
    read_per_mb=0.08,
    crc_per_mb=0.02,
    efficiency=0.8,  # the main process lists, pairs and publishes alone
    start_s=(0.95, 1.55),  # of the whole command, imports included
    stop_s=(0.05, 0.25),
    sequential_mb=185,
    base_mb=270,
    process_mb=25,
    thread_mb=0.2,
)


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
) -> Prediction:
    """Time and memory of a scan of `files` media files, of which `size` bytes are read, in mode ``sequential`` or ``parallel``.

    More `processes` than `cores` (None: one each) take memory and save no time. `archives` of `archives_size` bytes are read
    from front to back before, each by one process.

    >>> one = predict(files=1000, size=7.7e9, mode="parallel", threads=16, processes=8, constants=PUBLISHED)
    >>> round(one.seconds, 1), one.memory_mb
    (5.3, 736)
    """
    parallel = mode == "parallel"
    file_mb = size / MB / files if files else 0.0
    at_work = min(processes, cores or processes)
    workers = max(at_work * constants.efficiency, 1.0) if parallel and at_work > 1 else 1.0
    inflating = archives_size / INFLATE_BYTES_PER_S / max(1.0, min(workers, archives))
    processors = inflating + files * constants.file_ms(file_mb) / 1000 / workers
    disk = files * disk_bound_ms(file_mb, constants.disk_mb_per_s) / 1000 if constants.disk_mb_per_s else 0.0
    besides = constants.start_s[parallel] + constants.stop_s[parallel]
    work = max(processors, disk)
    bound = "start-up" if besides > work else "disk" if disk > processors else "processors"
    memory = (
        constants.base_mb + processes * constants.process_mb + threads * constants.thread_mb + constants.queues_mb
        if parallel
        else constants.sequential_mb
    )
    return Prediction(work + besides, memory, bound)


def archives_mode(*, count: int, size: int, processes: int) -> str:
    """``parallel`` if several processes save more by inflating `count` archives of `size` bytes than their start takes."""
    saved = size / INFLATE_BYTES_PER_S * (1 - 1 / max(1, min(count, processes)))
    return "parallel" if saved > MEASURED.start_s[1] - MEASURED.start_s[0] else "sequential"


def choose_mode(
    *, files: int, size: float, threads: int, processes: int, cores: int | None = None, free_memory: int | None
) -> str:
    """``sequential`` or ``parallel``: what is predicted to be faster, and sequential when memory is short.

    `size` and `free_memory` in bytes; None if not known.
    """
    if free_memory is not None and free_memory < LITTLE_MEMORY:
        return "sequential"
    sequential, parallel = (
        predict(files=files, size=size, mode=mode, threads=threads, processes=processes, cores=cores).seconds
        for mode in ("sequential", "parallel")
    )
    return "parallel" if parallel < sequential else "sequential"
