"""Writing files so that a reader finds them whole or not at all, private to the user."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def private_folder(path: Path) -> Path:
    """Make the folder and its parents; the folder itself is for the user only (0700). Returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an error of the block that says what happened ("disk full"), but not where, as Arrow's and fsync's, say where."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it takes the name `path`, private (0600), when the block ends well.

    Its bytes reach the disk first: after a power cut a file has its name and is whole, or has not.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.close(descriptor)
    try:
        with naming(path):
            yield temporary
            flush_to_disk(temporary)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """fsync a file, or a folder's list of names, if the file system has such a thing for folders (fsync(2): EINVAL)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with naming(path):
            os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def put_in_place(new: Path, old: Path) -> None:
    """Give `new` (file or folder) the name `old` in one step; what bore it before, if anything, is now called `new`.

    Linux can exchange two names in one system call (renameat2(2), RENAME_EXCHANGE); file systems without it get two
    renames with a short gap between them.
    """
    if not os.path.lexists(old):
        new.rename(old)
        return
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        done = library.renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE)
        if done == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(number, os.strerror(number), os.fspath(old))
    aside = new.with_name(f"{new.name}.aside")  # beside the new: what a crash leaves there is no stranger among results
    old.rename(aside)
    new.rename(old)
    aside.rename(new)
