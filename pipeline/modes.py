"""How a run uses this machine: in which mode, with how many processes and threads, within which limits."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import cost
from pipeline.limits import NONE, Limits
from pipeline.settings import Settings, cache_folder
from pipeline.storage.measured import Measured, kept_constants

if TYPE_CHECKING:
    from pipeline.cluster import EarlyCluster
    from pipeline.listing import Listing
    from pipeline.storage.library import Library

#: I/O threads for what lies behind URLs, at the least.
THREADS_AFAR = 16

#: Where the system shows the limits of the control group that a process is in, which is all there is of it in a container.
GROUP = Path("/sys/fs/cgroup")


def given_mode(settings: Settings) -> str | None:
    """The mode that is decided already: ``scheduler``, as set, or ``client`` where the caller has one; None if it is not."""
    if settings.has_scheduler:
        return "scheduler"
    if settings.mode != "auto":
        return settings.mode
    from pipeline.cluster import current_client

    return "client" if current_client() is not None else None


def choose_mode(settings: Settings, files: int, size: int, remote: bool = False) -> str:
    """The mode that is given, else ``parallel`` or ``sequential``, whichever the cost model predicts to be faster on this
    machine for so many files, of which so many bytes are to be read, of a disk or from behind URLs."""
    return given_mode(settings) or cost.choose_mode(
        files=files,
        size=size,
        threads=io_threads(settings),
        processes=worker_processes(settings),
        cores=cores(),
        free_memory=free_memory(),
        constants=measured().constants or cost.MEASURED,
        remote=remote,
    )


def archives_mode(settings: Settings, count: int, size: int) -> str:
    """Where archives are read that can only be read front to back, one after the other or side by side."""
    from pipeline.cluster import why_not_here

    mode = given_mode(settings) or cost.archives_mode(
        count=count,
        size=size,
        processes=min(worker_processes(settings), cores()),
        constants=measured().constants or cost.MEASURED,
    )
    return "sequential" if mode == "parallel" and why_not_here(worker_processes(settings)) else mode


def start_early(workers: EarlyCluster, settings: Settings, known: int, remote: bool, listing: Listing) -> None:
    """Start the workers while the listing still grows, as soon as they are sure to be worth it.

    Of so many files the rows may be `known`: these have to be compared first.
    """
    if workers.started or (known and listing.media_files <= known):
        return
    share = 1 - known / max(listing.media_files, 1)
    if choose_mode(settings, listing.media_files - known, int(listing.bytes_to_read * share), remote) == "parallel":
        from pipeline.cluster import why_not_here

        if not why_not_here(worker_processes(settings)):
            workers.start()


def measured() -> Measured:
    """What `bench` has measured of this machine, if it has."""
    folder = cache_folder()
    return Measured() if folder is None else kept_constants(folder, cores())


def cores() -> int:
    """Processors that this process may use: those it may run on, and no more than its group has the time of."""
    allowed, quota = len(os.sched_getaffinity(0)), group_quota()
    return allowed if quota is None else max(1, min(allowed, round(quota)))


def group_quota(group: Path = GROUP) -> float | None:
    """Processors whose time this process's control group may take, as containers limit it; None if there is no limit."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        most, period = (group / "cpu.max").read_text().split()[:2]
        return None if most == "max" else int(most) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):  # version 1 of control groups
        most, period = ((group / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(most) / int(period) if int(most) > 0 else None
    return None


def worker_processes(settings: Settings) -> int:
    """M: as set, else one per core that this process may use."""
    return settings.processes or cores()


def io_threads(settings: Settings) -> int:
    """N, over all workers: as set, else four per core."""
    return settings.threads or 4 * cores()


def with_threads(settings: Settings, library: Library) -> Settings:
    """The settings, with more I/O threads for what lies behind URLs, unless their number is set: there each request waits."""
    if settings.threads or not library.waits:
        return settings
    return replace(settings, threads=max(io_threads(settings), THREADS_AFAR))


def threads_per_task(settings: Settings, mode: str) -> int:
    """I/O threads inside one task, which are started only if reading waits. Sequential mode has one task at a time."""
    if mode == "sequential":
        return io_threads(settings)
    return max(1, round(io_threads(settings) / worker_processes(settings)))


def limits_of(settings: Settings, mode: str) -> Limits:
    """What a file may take of the processes that read in this mode. Those of others are not ours to limit."""
    return NONE if mode in ("scheduler", "client") else Limits(settings.file_seconds, settings.file_mb)


def free_memory() -> int | None:
    """Bytes of memory that can be had without swapping, None where the system does not say; no more than this process's
    control group has left."""
    left = group_memory()
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    free = int(line.split()[1]) * 1024
                    return free if left is None else min(free, left)
    except (OSError, ValueError):
        pass
    return left


def group_memory(group: Path = GROUP) -> int | None:
    """Bytes that this process's control group may still take, as containers limit it; None if there is no limit.

    What it has of the page cache and has not used for long can be had again (cgroup-v2.rst, memory.stat: inactive_file).
    """
    for folder, limit, used, cached in (
        (group, "memory.max", "memory.current", "inactive_file"),
        (group / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):
            most = int((folder / limit).read_text())  # "max" is no number
            found = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return max(0, most - int((folder / used).read_text()) + int(found.get(cached, 0)))
    return None
