"""`read_facts`: all that the bytes of one media file say, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import MappingProxyType
from typing import NamedTuple

from pipeline.media.by_exifread import all_tags
from pipeline.media.facts import Clip, Picture
from pipeline.media.heif import read_heif
from pipeline.media.images import read_image
from pipeline.media.sniff import kind, mime, sniff
from pipeline.media.source import Source
from pipeline.media.video import read_video
from pipeline.problems import Problem, noting


class FileFacts(NamedTuple):
    """What one media file says; `spent` is the seconds of each operation."""

    mime: str | None = None
    kind: str = "other"
    picture: Picture | None = None
    clip: Clip | None = None
    tags: dict[str, str] | None = None
    problems: tuple[Problem, ...] = ()
    spent: Mapping[str, float] = MappingProxyType({})


def read_facts(source: Source, head: bytes, name: str, want_all_tags: bool = False) -> FileFacts:
    """The facts of a file that is not empty. `head` is its first bytes; the format is decided by content alone.

    `name` only refines the MIME type of formats that share one container. Raises nothing: what cannot be read is a Problem.
    """
    problems: list[Problem] = []
    spent: dict[str, float] = {}
    picture = clip = tags = None
    started = perf_counter()
    form, mime_type, what = "", None, "other"
    with noting(problems, "mime"):
        form = sniff(head)
        mime_type = mime(head, name, form)
        what = kind(mime_type, form)
    spent["mime"] = perf_counter() - started
    started = perf_counter()
    if what == "image":
        with noting(problems, "image"):
            picture = read_heif(source) if form == "heif" else read_image(form, source, head)
            problems.extend(picture.problems)
        # exifread's own search through other containers than these takes what hostile files ask for.
        if want_all_tags and picture is not None and (picture.exif_block or form == "tiff"):
            with noting(problems, "exif"):
                tags, found = all_tags(source, picture)
                problems.extend(found)
        spent["exif"] = perf_counter() - started
    elif what == "video":
        with noting(problems, "video"):
            clip = read_video(form, source)
            problems.extend(clip.problems)
        spent["video"] = perf_counter() - started
    elif mime_type is not None:
        problems.append(Problem("mime", "not_media", f"content is {mime_type}, neither an image nor a video"))
    return FileFacts(
        mime=mime_type, kind=what, picture=picture, clip=clip, tags=tags, problems=tuple(problems), spent=spent
    )
