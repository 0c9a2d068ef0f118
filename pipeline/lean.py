"""Keeping a process lean, where it is ours: worker processes and the command line. Other programs are left as they are."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: mallopt(3): the parameter for the number of arenas, of which glibc makes eight per core for threads that barely allocate.
_M_ARENA_MAX, _ARENAS = -8, 2
#: Values made and not yet dropped before the collector looks for cycles, of which there are next to none here. With Python's
#: own 700 it looks thirty times as often, time and again at the rows of a shard that are waiting to be written.
_COLLECT_AFTER = 20_000

_LIBC = ctypes.CDLL(None)
_trim = getattr(_LIBC, "malloc_trim", None)
_is_ours = False


class Hidden(MetaPathFinder):
    """Makes packages look as if they were not installed."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse the packages, and leave others to whoever finds them."""
        if fullname in self.names:
            raise ModuleNotFoundError(f"{fullname} is kept out of this process", name=fullname)
        return None


@contextmanager
def without(*names: str) -> Iterator[None]:
    """What is imported in the block finds none of these packages, where the process is ours and has not imported them."""
    if not _is_ours:
        yield
        return
    hidden = Hidden(*names)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)


def is_ours() -> bool:
    """This process is a worker or the command line."""
    return _is_ours


def make_lean() -> None:
    """Spend less in this process: no pandas and no numpy by way of pyarrow, allocators that give back what they no longer use,
    a collector that seldom looks.

    pyarrow imports pandas with the first array it makes, which costs 0.6 s and 92 MB for nothing, and numpy with itself, 0.1 s
    and 12 MB, which `places` alone needs, when the workers are gone; its own allocator keeps some 10 MB a process that the
    system's would not. Eight workers and their driver take 390 MB instead of 570.
    """
    global _is_ours
    _is_ours = True
    gc.set_threshold(_COLLECT_AFTER)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # read by Arrow when it allocates for the first time
    with without("numpy", "pandas"):
        import pyarrow as pa

        pa.array([None])
    # Arrow takes over SIGINT while it reads; one that comes as it ends was seen to be lost.
    pa.enable_signal_handlers(False)
    mallopt = getattr(_LIBC, "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def silence(name: str) -> None:
    """Have a package that logs by handlers of its own say only what is critical, in this process, for good."""
    for handler in logging.getLogger(name).handlers:
        handler.setLevel(logging.CRITICAL)


def give_back() -> None:
    """Give memory that is free but lies between what is used back to the system, which glibc does at the top alone."""
    if _trim is not None:
        _trim(0)
