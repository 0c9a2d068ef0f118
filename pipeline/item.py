"""Entry and MediaItem: the values that flow from the listing to the row."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.media.facts import Clip, Picture
from pipeline.problems import Problem
from pipeline.takeout.sidecar import Sidecar

#: The operations whose time is measured, in the order of a file's road. `MediaItem.spent` has one number for each.
OPERATIONS = ("open", "sidecar_read", "sidecar_parse", "content_read", "crc32", "mime", "exif", "video", "record")


#: Bytes of a medium in an archive that its metadata needs, as a rule.
READ_OF_MEMBER = 32 << 10


class Entry(NamedTuple):  # and no dataclass: libraries have them by the million
    """One listed file, and all that is known of it before it is opened.

    `path` is the path inside the export (``Takeout/…``, ``/``-separated) as `os.fsdecode` gives it, so that bytes
    which are not UTF-8 survive; `part` names the part that holds it; `modified_ns` is nanoseconds since 1970 UTC.
    `crc32` is set where the part's own directory states it. The others say where an archive has it: `at` is the position of its
    header, `packed` its length in the archive, `method` how it is compressed (APPNOTE 4.4.5).
    """

    path: str
    part: str
    size: int
    modified_ns: int | None = None
    crc32: int | None = None
    at: int | None = None
    packed: int = 0
    method: int = 0

    @property
    def folder(self) -> str:
        """The path without its last component."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]

    @property
    def to_read(self) -> int:
        """About so many bytes will be read of it: all of a folder's file, little of what an archive has."""
        return self.size if self.at is None else min(self.size, READ_OF_MEMBER)


@dataclass(frozen=True, slots=True)
class Content:
    """What one pass over all bytes of a media file gave."""

    size: int  # bytes read
    crc32: int
    source: str  # "read" or "archive": who computed the CRC-32


class MediaItem(NamedTuple):  # and no dataclass: it is added to twice on its way, and all of that field by field
    """One media file on its way from the plan (`media` … `album`) to its row (the rest)."""

    media: Entry
    file_id: str
    sidecar: Entry | None = None
    sidecar_rule: str | None = None
    edited_of: str | None = None  # file_id
    live_partner: str | None = None  # file_id
    album: str | None = None  # title
    folder_kind: str = "other"  # one of folders.KINDS
    folder_date: str | None = None  # of a folder by year or by day: 2019, 2005-02-05
    problems: tuple[Problem, ...] = ()
    made_from: str = ""  # a digest of all of the above (`planning.made_from`)
    shard: str = ""  # the name of the one that it was handed out in

    document: Sidecar | None = None
    content: Content | None = None
    mime: str | None = None
    kind: str = "other"
    picture: Picture | None = None
    clip: Clip | None = None
    tags: dict[str, str] | None = None
    spent: tuple[float, ...] = (0.0,) * len(OPERATIONS)  # seconds


def stored_text(path: str) -> str:
    r"""A path as it is stored and shown: UTF-8, with every byte that is not as ``\xNN``.

    >>> stored_text("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    if path.isascii():
        return path
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def stored_bytes(path: str) -> bytes | None:
    """The bytes of a path that `stored_text` cannot give back, else None."""
    if path.isascii():
        return None
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return None
