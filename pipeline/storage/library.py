"""Library: the parts of one Takeout export behind one `walk` and one `open`.

Input is only ever read: opened read-only, never through a link that leaves its part, never if it is not a regular file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.item import Entry
from pipeline.problems import MediaError, UsageError, out_of_descriptors

#: Linux refuses longer paths in one call (PATH_MAX is 4,096 with its closing NUL); they are walked in steps.
LONGEST_PATH = 4000
#: A name is no longer than this, and comes with a slash.
LONGEST_NAME = 256

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class InputError(UsageError):
    """An INPUT that cannot be used as given."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A listed name that is not opened: `state` is ``ignored`` or ``unreadable``, `reason` says why."""

    path: str
    part: str
    state: str
    reason: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One folder of the export.

    `prefix` + the path below `root` is the path inside the export; `without` are paths of folders below that are parts of
    their own.
    """

    name: str
    root: str
    prefix: str
    without: frozenset[str] = frozenset()


@dataclass(slots=True)
class OpenFile:
    """A regular file open for reading: a media Source whose bytes can also be read front to back."""

    descriptor: int
    size: int
    modified_ns: int
    path: str | None = None

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes [offset, offset + length), fewer at the end of the file."""
        if offset < 0 or length <= 0 or offset >= self.size:
            return b""
        return os.pread(self.descriptor, min(length, self.size - offset), offset)

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes into `buffer`; 0 at the end."""
        return os.readv(self.descriptor, [buffer])

    def read_all(self, limit: int) -> bytes:
        """The whole content. Raises MediaError above `limit` bytes."""
        if self.size > limit:
            raise MediaError(f"too_large: {self.size:,} bytes, more than {limit:,}")
        blocks: list[bytes] = []
        length = 0
        while block := os.pread(self.descriptor, max(self.size, 1) if not blocks else 65536, length):
            blocks.append(block)
            length += len(block)
            if length >= self.size and length > limit:
                raise MediaError(f"too_large: grew beyond {limit:,} bytes while it was read")
            if length == self.size:
                break
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def in_memory(self) -> bool:
        """The first bytes can be had without waiting for a disk or network, as far as the system can say."""
        try:
            return os.preadv(self.descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1 or self.size == 0
        except OSError:  # EAGAIN: not in the page cache; or a file system that does not tell
            return False

    def is_unchanged(self) -> bool:
        """Size and modification time are still those of when it was opened."""
        state = os.fstat(self.descriptor)
        return (state.st_size, state.st_mtime_ns) == (self.size, self.modified_ns)

    def hint_whole_read(self) -> None:
        """Tell the kernel that the first blocks are wanted soon, so that the disk works while we compute."""
        os.posix_fadvise(self.descriptor, 0, min(self.size, 4 << 20), os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close it; may be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass(frozen=True, slots=True)
class Library:
    """One export: all its parts. Small, picklable, the same on every worker."""

    parts: tuple[Part, ...]
    _roots: dict[str, Part] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_roots", {part.name: part for part in self.parts})

    @classmethod
    def of(cls, inputs: Sequence[str | os.PathLike[str]]) -> Library:
        """The library whose parts are `inputs`. Raises InputError."""
        roots: list[str] = []
        for given in inputs:
            root = real_path(given)
            try:
                mode = os.stat(root).st_mode
                if not stat.S_ISDIR(mode):
                    raise InputError(f"{_shown(given)} is not a folder")
                os.scandir(root).close()
            except OSError as error:
                raise InputError(f"cannot read {_shown(given)}: {os.strerror(error.errno or 0)}") from error
            if root in roots:
                raise InputError(f"{_shown(given)} is given twice")
            roots.append(root)
        for root in roots:
            for other in roots:
                if root != other and is_inside(root, other):
                    raise InputError(f"{_shown(root)} lies inside {_shown(other)}; give one of the two")
        parts = [part for root in roots for part in _parts_of(root)]
        names = _unique_names([part.root for part in parts])
        return cls(tuple(Part(name, p.root, p.prefix, p.without) for name, p in zip(names, parts, strict=True)))

    def walk(self) -> Iterator[Entry | Refused]:
        """Every file of every part, each once: an Entry if it may be opened, else Refused. Sorted within each folder."""
        for part in self.parts:
            yield from _walk(part)

    def open(self, entry: Entry) -> OpenFile:
        """The entry's file. Raises OSError, or MediaError if it is not (or no longer) a regular file inside its part."""
        part = self._roots[entry.part]
        relative = entry.path.removeprefix(part.prefix)
        try:
            descriptor = _open_below(part.root, relative, _READ_FLAGS)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            target = _target_below(part.root, f"{part.root}/{relative}")
            descriptor = os.open(target, _READ_FLAGS)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise MediaError(f"not_a_file: it has become {_file_type(state.st_mode)}")
        except BaseException:
            os.close(descriptor)
            raise
        return OpenFile(descriptor, state.st_size, state.st_mtime_ns, f"{part.root}/{relative}")


@contextmanager
def opened(library: Library, entry: Entry) -> Iterator[OpenFile]:
    """The entry's file, closed at the end of the block."""
    file = library.open(entry)
    try:
        yield file
    finally:
        file.close()


def real_path(given: str | os.PathLike[str]) -> str:
    """A path as people give it, absolute, with links and ``~`` resolved. Raises InputError if it is none."""
    if not os.fspath(given):
        raise InputError("an empty path was given")
    if "\0" in os.fspath(given):
        raise InputError(f"{_shown(given)} is no path")
    try:
        return os.path.realpath(Path(given).expanduser())
    except RuntimeError as error:  # "~stranger"
        raise InputError(f"{_shown(given)}: {error}") from error


def is_inside(path: str, folder: str) -> bool:
    """`path` is `folder` or lies below it (both absolute and resolved)."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _shown(path: str | os.PathLike[str]) -> str:
    return ascii(os.fspath(path)) if not os.fspath(path).isprintable() else os.fspath(path)


#: What a Takeout is called, also the second one that a Mac or a browser unpacks beside the first.
_TAKEOUT = re.compile(r"Takeout( \d+| ?\(\d+\)|-\d+)?")
#: What the folder of the photos inside of it is called, by language (immich-go docs; google-photos-migrate langs.ts).
_CONTAINERS = re.compile(
    r"Google[ \u00a0](Photos|Fotos|Foto|Foto_s|Фото|Снимки|Kuvat|フォト|Fotoğraflar|相册|相簿|포토)|Fotky Google"
)
#: Folders below an INPUT in which a Takeout is looked for.
SEARCHED = 3


def _child_folders(root: str) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return []  # the walk lists it as unreadable


def _takeouts_below(root: str, depth: int = SEARCHED) -> Iterator[str]:
    """Folders called Takeout, or nearly so, relative to `root`."""
    for child in _child_folders(root):
        if _TAKEOUT.fullmatch(child):
            yield child
        elif depth > 1:
            yield from (f"{child}/{found}" for found in _takeouts_below(f"{root}/{child}", depth - 1))


def _parts_of(root: str) -> Iterator[Part]:
    """The parts that a folder given as INPUT amounts to, with the path of each inside the export.

    People give the folder that holds ``Takeout``, ``Takeout`` itself, ``Takeout/Google Photos``, or a folder in which
    several archives were unpacked side by side (``takeout-…-001/Takeout``, ``takeout-…-002/Takeout``; on a Mac ``Takeout``,
    ``Takeout 2``). What lies in none of them is a part of its own.
    """
    roots: dict[str, str] = {}
    if not _TAKEOUT.fullmatch(root.rpartition("/")[2]):
        for found in _takeouts_below(root):
            above, _, name = f"{root}/{found}".rpartition("/")
            if name == "Takeout":
                roots[above] = ""
            else:
                roots[f"{above}/{name}"] = "Takeout/"
    roots.setdefault(root, _prefix_of(root))
    for each, prefix in sorted(roots.items()):
        inner = frozenset(other[len(each) + 1 :] for other in roots if other != each and is_inside(other, each))
        yield Part("", each, prefix, inner)


def _prefix_of(root: str) -> str:
    """The path inside the export of a folder that is a Takeout, lies in one, or is taken for one."""
    components = root.split("/")
    for depth in range(min(SEARCHED, len(components))):
        if _TAKEOUT.fullmatch(components[-1 - depth]):
            return "/".join(["Takeout", *components[len(components) - depth :]]) + "/"
    return f"Takeout/{components[-1]}/" if _CONTAINERS.fullmatch(components[-1]) else "Takeout/"


def _unique_names(roots: list[str]) -> list[str]:
    """The shortest trailing paths that tell the roots apart.

    >>> _unique_names(["/a/x/Takeout", "/a/y/Takeout", "/b/z"])
    ['x/Takeout', 'y/Takeout', 'z']
    """
    names = []
    for root in roots:
        components = root.strip("/").split("/")
        for length in range(1, len(components) + 1):
            name = "/".join(components[-length:])
            if sum(other == "/" + name or other.endswith("/" + name) for other in roots) <= 1:
                break
        names.append(name)
    return names


#: What a results folder of ours holds.
_RESULTS = {"media", "files", "index.sqlite", "run.json", "datapackage.json"}


def _walk(part: Part) -> Iterator[Entry | Refused]:
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
            elif ours:
                yield Refused(path, part.name, "ignored", "results of an earlier scan", state.st_size)
            elif stat.S_ISREG(state.st_mode):
                yield Entry(path, part.name, state.st_size, state.st_mtime_ns)
            else:
                yield _special(part, f"{folder}{name}", state)
        pending.extend(reversed(below))


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
    return Entry(path, part.name, target.st_size, target.st_mtime_ns)


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
