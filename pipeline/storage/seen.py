"""Seen: what the driver sees of a library and of its work folder, for workers of other machines to compare with."""

from __future__ import annotations

import os
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import remote
from pipeline.storage.library import Library
from pipeline.storage.parts import Part
from pipeline.storage.remote import is_url, shown_url

#: Files of a folder that tell it from others, and folders that are looked through for them.
SAMPLES, FOLDERS_SEARCHED = 3, 100
#: The file in the work folder that workers are to find there.
TOKEN = "shared-with-workers"


@dataclass(frozen=True, slots=True)
class Root:
    """Where a part is: `here`, and `there` where workers see it; and what tells it from another.

    Of a folder, some `samples` of its files: path below it, size, time of change.
    """

    here: str
    there: str
    form: str
    size: int | None = None
    modified_ns: int | None = None
    samples: tuple[tuple[str, int, int], ...] = ()

    @classmethod
    def of(cls, part: Part, there: Callable[[str], str]) -> Root:
        """The root of a part."""
        if is_url(part.root):
            return cls(part.root, part.root, part.form, part.stamp.size if part.stamp else None)
        samples = _samples(part.root) if part.form == "folder" else ()
        size, modified_ns = (part.stamp.size, part.stamp.modified_ns) if part.stamp else (None, None)
        return cls(part.root, there(part.root), part.form, size, modified_ns, samples)

    @property
    def shown(self) -> str:
        """Its path there, as it may be shown."""
        return shown_url(self.there) if is_url(self.there) else self.there


def roots(library: Library, there: Callable[[str], str]) -> tuple[Root, ...]:
    """The root of each part that can be read here."""
    return tuple(Root.of(part, there) for part in library.parts if part.form == "folder" or part.stamp is not None)


def _samples(root: str) -> tuple[tuple[str, int, int], ...]:
    """Some files of a folder, nearest to its top."""
    found: list[tuple[str, int, int]] = []
    waiting = deque([""])
    for _ in range(FOLDERS_SEARCHED):
        if not waiting:
            break
        below = waiting.popleft()
        try:
            with os.scandir(f"{root}/{below}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{below}{entry.name}/")
                    elif entry.is_file(follow_symlinks=False):
                        state = entry.stat(follow_symlinks=False)
                        found.append((f"{below}{entry.name}", state.st_size, state.st_mtime_ns))
                        if len(found) == SAMPLES:
                            return tuple(found)
        except OSError:  # the listing says why
            continue
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Token:
    """A file in the work folder that workers are to read, and to answer by another."""

    here: str
    there: str
    content: bytes

    @classmethod
    def put(cls, folder: str, there: Callable[[str], str]) -> Token:
        """Write one. Raises OSError."""
        token = cls(folder, there(folder), secrets.token_bytes(16))
        if is_url(folder):
            remote.write_whole(remote.join(folder, TOKEN), token.content)
        else:
            Path(folder, TOKEN).write_bytes(token.content)
        return token

    def is_answered(self, name: str) -> bool:
        """The answer that a worker has written under this name, which is no path, can be read here; it is gone then."""
        try:
            if is_url(self.here):
                answer = remote.read_whole(remote.join(self.here, name))
                remote.remove(remote.join(self.here, name))
            else:
                answer = Path(self.here, name).read_bytes()
                Path(self.here, name).unlink()
        except OSError:
            return False
        return answer == self.content
