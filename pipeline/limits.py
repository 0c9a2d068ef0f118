"""What a process of ours may take for one file: time without progress, and memory. And that it does not outlive its parent.

Only for processes that are ours alone: the limits are the process's, and end it. Knows nothing of files.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

#: Bytes that a thread may take for its stack.
STACK = 8 << 20
#: prctl(2): the signal that a process is sent when its parent ends.
_PR_SET_PDEATHSIG = 1

_LIBC = ctypes.CDLL(None)
_seconds = 0.0  # the limit that stands, 0 for none
_armed_at = 0.0
_trace = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take; 0: no limit."""

    seconds: int = 0  # in which nothing is begun, and no block read
    mb: int = 0  # more than was there before


#: For processes that are not ours to limit.
NONE = Limits()


@contextmanager
def limited(limits: Limits, trace: int, threads: int = 0) -> Iterator[None]:
    """End this process, with status 1, if the block does not `progress` for the time of one to two limits; have it meet
    MemoryError if it takes more memory than it may, apart from the stacks of so many threads.

    A thread of C keeps the time, as what hangs may hold Python's lock. It says on the descriptor `trace` that it was that.
    """
    global _seconds, _trace
    memory = resource.getrlimit(resource.RLIMIT_DATA)
    if limits.mb:
        most = _data_size() + (limits.mb << 20) + threads * STACK
        if resource.RLIM_INFINITY not in memory:
            most = min(most, *memory)
        # Not RLIMIT_AS: allocators reserve addresses by the gigabyte that they never use.
        resource.setrlimit(resource.RLIMIT_DATA, (most, memory[1]))
    if limits.seconds:
        _trace, _seconds = trace, limits.seconds
        _arm()
    try:
        yield
    finally:
        if limits.seconds:
            _seconds = 0
            faulthandler.cancel_dump_traceback_later()
        if limits.mb:
            resource.setrlimit(resource.RLIMIT_DATA, memory)


def progress() -> None:
    """Something was begun, or read: whoever is limited has not stopped. Costs next to nothing."""
    # To arm it starts a thread. Twice the limit, and again once the limit is over, leaves every gap the limit at least.
    if _seconds and monotonic() - _armed_at > _seconds:
        _arm()


def _arm() -> None:
    global _armed_at
    _armed_at = monotonic()
    faulthandler.dump_traceback_later(2 * _seconds, exit=True, file=_trace)


def _data_size() -> int:
    """Bytes of this process that RLIMIT_DATA counts."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def die_with(parent: int) -> None:
    """Have this process, a child of `parent`, be killed when that ends, however it does."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
