"""Parts that are folders: walked without following links out of them, their files opened only if they are regular ones."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from pipeline.item import Entry
from pipeline.problems import MediaError, out_of_descriptors
from pipeline.storage.files import READ_FLAGS, OpenFile, modified_ns
from pipeline.storage.parts import Part, Refused, is_inside

#: Linux refuses longer paths in one call (PATH_MAX is 4,096 with its closing NUL); they are walked in steps.
LONGEST_PATH = 4000
#: A name is no longer than this, and comes with a slash.
LONGEST_NAME = 256

#: What a results folder of ours holds.
_RESULTS = {"media", "files", "index.sqlite", "run.json", "datapackage.json"}


def walk_folder(part: Part) -> Iterator[Entry | Refused]:
    """Every file of a folder, each once: an Entry if it may be opened, else Refused. Sorted within each folder."""
    pending = [("", False)]
    while pending:
        folder, ours = pending.pop()
        try:
            entries = _list_folder(part.root, folder)
        except OSError as error:
            if out_of_descriptors(error):
                raise
            path = part.prefix + folder.rstrip("/")
            yield Refused(path, part.name, "unreadable", f"folder cannot be listed: {os.strerror(error.errno or 0)}")
            continue
        ours = ours or _RESULTS.issubset(name for name, _ in entries)
        below = []
        for name, state in entries:
            path = f"{part.prefix}{folder}{name}"
            if isinstance(state, OSError):
                gone = state.errno == errno.ENOENT
                reason = "vanished while the folder was listed" if gone else os.strerror(state.errno or 0)
                yield Refused(path, part.name, "unreadable", reason)
            elif stat.S_ISDIR(state.st_mode):
                if f"{folder}{name}" not in part.without:
                    below.append((f"{folder}{name}/", ours))
            elif f"{folder}{name}" in part.without:
                continue
            elif ours:
                yield Refused(path, part.name, "ignored", "results of an earlier scan", state.st_size)
            elif stat.S_ISREG(state.st_mode):
                yield Entry(path, part.name, state.st_size, modified_ns(state))
            else:
                yield _special(part, f"{folder}{name}", state)
        pending.extend(reversed(below))


def open_in_folder(part: Part, entry: Entry) -> OpenFile:
    """A file of a folder. Raises OSError, or MediaError if it is not (or no longer) a regular file inside the folder."""
    relative = entry.path.removeprefix(part.prefix)
    try:
        descriptor = _open_below(part.root, relative, READ_FLAGS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        descriptor = os.open(_target_below(part.root, f"{part.root}/{relative}"), READ_FLAGS)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise MediaError(f"not_a_file: it has become {_file_type(state.st_mode)}")
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(descriptor, state.st_size, modified_ns(state))


def _list_folder(root: str, folder: str) -> list[tuple[str, os.stat_result | OSError]]:
    """Names and lstat of a folder, sorted by name; why not for a name that has none."""
    descriptor = None
    if len(os.fsencode(root)) + len(os.fsencode(folder)) > LONGEST_PATH - LONGEST_NAME:
        descriptor = _open_below(root, folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found: list[tuple[str, os.stat_result | OSError]] = []
        with os.scandir(f"{root}/{folder}" if descriptor is None else descriptor) as entries:
            for entry in entries:
                try:
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
                except OSError as error:
                    found.append((entry.name, error))
    finally:
        if descriptor is not None:
            os.close(descriptor)
    found.sort(key=lambda pair: pair[0])
    return found


def _special(part: Part, relative: str, state: os.stat_result) -> Entry | Refused:
    """A name that is neither a folder nor a regular file."""
    path = part.prefix + relative
    if not stat.S_ISLNK(state.st_mode):
        return Refused(path, part.name, "ignored", f"{_file_type(state.st_mode)}, never opened")
    try:
        target = os.stat(_target_below(part.root, f"{part.root}/{relative}"), follow_symlinks=False)
    except MediaError as error:
        return Refused(path, part.name, "ignored", error.message)
    except OSError as error:
        reason = "link loop" if error.errno == errno.ELOOP else "link to nothing"
        return Refused(path, part.name, "ignored", f"symbolic link: {reason}")
    if not stat.S_ISREG(target.st_mode):
        return Refused(path, part.name, "ignored", f"symbolic link to {_file_type(target.st_mode)}, not followed")
    return Entry(path, part.name, target.st_size, modified_ns(target))


def _target_below(root: str, path: str) -> str:
    """What a link leads to, links resolved. Raises MediaError if it leaves the part, OSError if it leads nowhere."""
    target = os.path.realpath(path, strict=True)
    if not is_inside(target, root):
        raise MediaError("link: symbolic link out of the input, not followed")
    return target


def _open_below(root: str, relative: str, flags: int) -> int:
    path = f"{root}/{relative}"
    if len(path) < LONGEST_PATH // 4 or len(os.fsencode(path)) <= LONGEST_PATH:
        return os.open(path, flags)
    steps = [step for step in relative.split("/") if step]
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for position, step in enumerate(steps):
            last = position == len(steps) - 1
            below = os.open(
                step, flags if last else os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor
            )
            os.close(descriptor)
            descriptor = below
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _file_type(mode: int) -> str:
    for test, name in (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
    ):
        if test(mode):
            return name
    return "no regular file"
