"""By what is noticed that a scan has put new results in the place of those that were opened."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

#: What pages are made from.
_FILES = ("index.sqlite", "metadata.yaml")


class Stamp(NamedTuple):
    """Which files there are: number, size and time of each, or nothing where it is not there."""

    files: tuple[tuple[int, int, int] | None, ...]

    @classmethod
    def of(cls, folder: Path) -> Stamp:
        """As they are now."""
        return cls(tuple(_stamp(folder / name) for name in _FILES))

    @property
    def digest(self) -> str:
        """A word for all this."""
        return sha256(repr(self.files).encode()).hexdigest()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
