"""Thumbnails, made when they are asked for and kept for a while, in memory alone."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from datasette.utils.asgi import Response
from markupsafe import escape

from pipeline.library import Library
from pipeline.problems import MediaError, UsageError

#: Sizes in pixels: in a table, and on the page of a photo.
SIZES = (160, 960)
#: Bytes of thumbnails that are kept.
KEPT_BYTES = 64 << 20
#: Seconds for which a browser need not ask again.
FRESH_S = 3600
#: Thumbnails that are made at a time.
MAKERS = 2

#: What is sent: bytes and their type.
Sent = tuple[bytes, str]


class Pictures:
    """The thumbnails of a library, the last ones kept."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._kept: OrderedDict[tuple[str, int], Sent] = OrderedDict()
        self._bytes = 0
        self._makers = ThreadPoolExecutor(MAKERS, thread_name_prefix="thumbnail")

    async def get(self, identity: str, size: int) -> Sent:
        """A thumbnail, or what stands in its place."""
        key = (identity, size)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = await asyncio.get_running_loop().run_in_executor(self._makers, self._make, identity, size)
        if key not in self._kept:
            self._kept[key] = made
            self._bytes += len(made[0])
            while self._bytes > KEPT_BYTES:
                self._bytes -= len(self._kept.popitem(last=False)[1][0])
        return made

    def _make(self, identity: str, size: int) -> Sent:
        try:
            picture = self._library.thumbnail(identity, size)
        except MediaError as error:
            return placeholder(error.kind, error.message), "image/svg+xml"
        except UsageError as error:
            return placeholder("missing", str(error)), "image/svg+xml"
        data = io.BytesIO()
        picture.convert("RGB").save(data, "JPEG", quality=82)
        return data.getvalue(), "image/jpeg"

    def close(self) -> None:
        """Make no more of them."""
        self._makers.shutdown(wait=False, cancel_futures=True)


def placeholder(word: str, reason: str) -> bytes:
    """What is shown where there is no picture: a word, and the reason on hovering."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120" width="160" height="120">'
        f"<title>{escape(reason)}</title>"
        '<rect x="1" y="1" width="158" height="118" rx="6" fill="#8881" stroke="#888" stroke-dasharray="4 4"/>'
        '<text x="80" y="66" text-anchor="middle" font-family="sans-serif" font-size="15" fill="#888">'
        f"{escape(word.replace('_', ' '))}</text></svg>"
    ).encode()


async def picture_of(request: Any, datasette: Any) -> Response:
    """The page of a thumbnail."""
    wanted = request.args.get("size")
    size = next((size for size in SIZES if str(size) == wanted), SIZES[0])
    body, kind = await datasette.pictures.get(request.url_vars["file_id"], size)
    return Response(body, headers={"cache-control": f"private, max-age={FRESH_S}"}, content_type=kind)
