"""JSON files that had to be read, as their names do not say what they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.item import Entry
from pipeline.problems import MediaError
from pipeline.takeout.sidecar import AlbumDocument, SidecarGist, gist, parse_album


@dataclass(frozen=True, slots=True)
class Album:
    """An album folder and what its metadata file says. `title` is the folder's name where no file has one."""

    folder: str
    title: str
    metadata_path: str | None = None
    document: AlbumDocument = field(default_factory=AlbumDocument)


@dataclass(frozen=True, slots=True)
class Document:
    """What a JSON file that had to be read turned out to be: its gist, its album if it is one, or why it cannot be read.

    `odd` says what in an album's file is not as it should be.
    """

    gist: SidecarGist
    album: Album | None = None
    error: str | None = None
    odd: str | None = None

    @property
    def year(self) -> int | None:
        """The year of taking (UTC) of an item's sidecar."""
        return year_of(self.gist.taken)


def year_of(taken: int | None) -> int | None:
    """The year (UTC) of seconds since 1970; None where they are 0, by which Google says that there is no date."""
    try:
        return (datetime(1970, 1, 1) + timedelta(seconds=taken)).year if taken else None
    except OverflowError:
        return None


def read_document(data: bytes, entry: Entry) -> Document:
    """What a JSON file is. Bytes that are no JSON make a Document with `error`."""
    try:
        found = gist(data, entry.name)
        album = odd = None
        if found.kind in ("album", "titled"):
            read, problems = parse_album(data)
            title = read.title if read.title is not None else entry.folder.rpartition("/")[2]
            album = Album(entry.folder, title, entry.path, read)
            odd = "; ".join(problem.message for problem in problems) or None
    except MediaError as error:
        return unreadable_document(error.message)
    return Document(found, album, odd=odd)


def unreadable_document(reason: str) -> Document:
    """A JSON file that could not be read."""
    return Document(SidecarGist(kind="unreadable"), error=reason)
