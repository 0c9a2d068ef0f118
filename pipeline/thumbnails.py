"""Small pictures of indexed photos and videos, made from the library as it is now; nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.decoding import NO_FFMPEG, Order, can_play, decode
from pipeline.problems import MediaError, UsageError
from pipeline.storage.contents import Indexed, Place, find_media, open_contents

if TYPE_CHECKING:
    from PIL.Image import Image

#: The longest side that can be asked for.
LARGEST = 4096
#: Seconds into a video of which a picture is taken: beginnings are often black.
INTO = 1.0


def thumbnails(index: Path, identities: Sequence[str], size: int = 256) -> Iterator[tuple[str, Image | MediaError]]:
    """For each of these ids, once, the picture (RGB, upright, no side longer than `size`) or why there is none to be had.

    They come in the order in which they are read. A tgz is read but once for all of them, as far as must be.
    """
    if not 1 <= size <= LARGEST:
        raise UsageError(f"the size of a thumbnail is 1 to {LARGEST:,}, not {size}")
    found, parts = find_media(index, identities)
    to_open: list[Indexed] = []
    for identity in dict.fromkeys(identities):
        medium = found.get(identity)
        if medium is None:
            yield identity, MediaError("unknown: the index has no photo or video of this id")
        elif why := _why_not(medium):
            yield identity, MediaError(why)
        else:
            to_open.append(medium)
    with closing(open_contents(to_open, parts)) as contents:
        for medium, place in contents:
            yield medium.file_id, place if isinstance(place, MediaError) else _picture(medium, place, size)


def thumbnail(index: Path, identity: str, size: int = 256) -> Image:
    """One picture. Raises MediaError with the reason if there is none to be had."""
    ((_, picture),) = thumbnails(index, [identity], size)
    if isinstance(picture, MediaError):
        raise picture
    return picture


def _why_not(medium: Indexed) -> str | None:
    """Why a file need not be opened."""
    if medium.kind == "video" and not can_play():
        return NO_FFMPEG
    if medium.kind == "other":
        return f"no_picture: it is neither a photo nor a video ({medium.mime or 'of unknown kind'})"
    return "no_picture: it has no bytes" if not medium.size else None


def _picture(medium: Indexed, place: Place, size: int) -> Image | MediaError:
    at = INTO if (medium.duration_s or 0) > 2 * INTO else 0.0
    order = Order(medium.kind, place.start, place.size, medium.crc32, size, medium.orientation or 1, at)
    try:
        return decode(order, place.descriptor)
    except MediaError as error:
        return error
