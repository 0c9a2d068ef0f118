"""Remote: what lies behind a URL, read by range and written whole, by way of fsspec.

The only file that imports fsspec. Credentials are looked for by the libraries themselves, where those of each service stand
(environment, profile, machine): none is taken out of a URL, kept or shown.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from pipeline.limits import progress
from pipeline.problems import UsageError, to_install
from pipeline.storage.archives import Stamp

#: The extra of this package that brings what a kind of URL needs.
EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "sftp": "sftp", "ssh": "sftp", "http": "http", "https": "http",
}  # fmt: skip
#: Kinds of URLs that can only be read.
READ_ONLY = ("http", "https")
#: How often what failed on the way is tried, and seconds between the first two times; they double, and vary by half, so that
#: those who failed together do not come back together.
TRIES, FIRST_WAIT, LONGEST_WAIT = 6, 0.2, 8.0

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: Errors of the system that may be gone another time.
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE} | {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EIO,
    errno.ETIMEDOUT,
}
_P = ParamSpec("_P")
_T = TypeVar("_T")


def is_url(place: str) -> bool:
    """A place is given as a URL that does not name a local file.

    >>> is_url("s3://bucket/takeout"), is_url("/home/anna/Takeout"), is_url("file:///home/anna/Takeout")
    (True, False, False)
    """
    found = _URL.match(place)
    return found is not None and found[1].lower() not in ("file", "local")


def filesystem(url: str) -> tuple[Any, str]:
    """What reads and writes there, one for each process and kind of URL, and the place as it calls that.

    Raises UsageError for a URL that is none of ours, or needs a package that is not installed."""
    import fsspec

    scheme = urlsplit(url).scheme.lower()
    if "::" in url or (scheme not in EXTRAS and scheme not in fsspec.available_protocols()):
        raise UsageError(f"{shown_url(url)}: no such URLs can be read; s3, gs, az, sftp and https can")
    if urlsplit(url).password is not None:
        raise UsageError(
            f"{shown_url(url)}: a password in a URL ends in logs and results: leave it out, and give it as the library that "
            "reads such URLs is given it (docs/scale.md)"
        )
    try:
        options = {} if scheme in READ_ONLY or scheme in ("sftp", "ssh") else {"use_listings_cache": False}
        files, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        advice = f": {to_install(f'takeout-index[{extra}]')}" if extra else f" ({error})"
        raise UsageError(f"{shown_url(url)} needs a package that is not installed{advice}") from error
    return files, path


def shown_url(url: str) -> str:
    """A URL as it may be shown and kept: without a password, and without a query, which may hold a signature.

    >>> shown_url("https://anna:secret@example.org/a.zip?X-Amz-Signature=1")
    'https://anna@example.org/a.zip'
    """
    scheme, _, rest = url.partition("://")
    place, _, _ = rest.partition("?") if scheme.lower() in READ_ONLY else (rest, "", "")
    host, slash, path = place.partition("/")
    user, at, host = host.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{host}{slash}{path}"


def retrying(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """What a function returns that reads or writes over a network, called again where it fails in passing.

    What it raises at last is an OSError that says why."""
    wait = FIRST_WAIT
    for left in range(TRIES - 1, -1, -1):
        progress()
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not left or not is_passing(error):
                raise as_os_error(error) from error
        time.sleep(wait * random.uniform(0.5, 1.5))
        wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError


def is_passing(error: BaseException) -> bool:
    """An error may be gone another time: a connection was lost, a service is busy."""
    if isinstance(error, TimeoutError | asyncio.TimeoutError | ConnectionError):
        return True
    if isinstance(
        error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError
    ):
        return False
    status = getattr(error, "status", None) or getattr(error, "code", None)
    if isinstance(status, int):
        return status in (408, 425, 429) or status >= 500
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _PASSING
    # Of libraries that have errors of their own for what was cut short on the way.
    return type(error).__module__.partition(".")[0] in (
        "aiohttp",
        "botocore",
        "aiobotocore",
        "paramiko",
        "azure",
        "gcsfs",
    )


def as_os_error(error: Exception) -> OSError:
    """An error of one of many libraries as what it amounts to, an OSError with a number."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "it is not there")
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, "access is denied: are the credentials those for it?")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return TimeoutError(errno.ETIMEDOUT, "no answer came in time")
    text = " ".join(str(error).split())[:200]
    return OSError(errno.EIO, text or type(error).__name__)


def stamp_of(url: str) -> Stamp:
    """What tells whether a file is still the same. Raises OSError if it is not there."""
    files, path = filesystem(url)
    found = retrying(files.info, path)
    if found.get("type") == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    return as_stamp(found)


def as_stamp(found: Mapping[str, Any]) -> Stamp:
    """The stamp of a file that fsspec has found. In the place of an inode stands a digest of its tag, 0 if it has none."""
    tag = next((str(found[name]) for name in ("ETag", "etag", "generation", "content_md5") if found.get(name)), "")
    number = int.from_bytes(hashlib.blake2b(tag.encode(), digest_size=7).digest(), "big") if tag else 0
    moments = (found.get(name) for name in ("LastModified", "last_modified", "mtime", "updated", "timeModified"))
    moment = next((each for each in moments if each), None)
    return Stamp(number, int(found.get("size") or 0), nanoseconds(moment))


def nanoseconds(moment: Any) -> int:
    """A moment as one of many libraries says it, in nanoseconds since 1970; 0 if it does not."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            try:
                moment = parsedate_to_datetime(moment)
            except ValueError:
                return 0
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return round(moment * 1e6) * 1000 if isinstance(moment, int | float) else 0


def read_range(url: str, offset: int, length: int) -> bytes:
    """The bytes [offset, offset + length) of a file, fewer at its end: one request. Raises OSError."""
    if length <= 0:
        return b""
    files, path = filesystem(url)
    return retrying(files.cat_file, path, start=offset, end=offset + length)


def read_whole(url: str) -> bytes:
    """All bytes of a file. Raises OSError."""
    files, path = filesystem(url)
    return retrying(files.cat_file, path)


def write_whole(url: str, data: bytes) -> None:
    """Write a file: it is there whole or not at all. Raises OSError."""
    files, path = filesystem(url)
    retrying(files.pipe_file, path, data)


def upload(source: Path, url: str) -> None:
    """Write a file as a local one is, in pieces if it is large; it is there whole or not at all. Raises OSError."""
    files, path = filesystem(url)
    retrying(files.put_file, str(source), path)


def download(url: str, target: Path) -> None:
    """Make a local file as a remote one is. Raises OSError."""
    files, path = filesystem(url)
    retrying(files.get_file, path, str(target))


def remove(url: str) -> None:
    """Remove a file; it may be gone already. Raises OSError."""
    files, path = filesystem(url)
    with suppress(FileNotFoundError):
        retrying(files.rm_file, path)


def files_below(url: str) -> dict[str, Stamp]:
    """All files below a place, by their paths from there; none if there is no such place. Raises OSError."""
    files, path = filesystem(url)
    above = path.rstrip("/") + "/"
    try:
        found = retrying(files.find, path, detail=True)
    except FileNotFoundError:
        return {}
    return {
        name.removeprefix(above): as_stamp(each)
        for name, each in found.items()
        if each.get("type") != "directory" and name.startswith(above)
    }


def join(url: str, *names: str) -> str:
    """The place of a name below another.

    >>> join("s3://bucket/results/", "media", "part.parquet")
    's3://bucket/results/media/part.parquet'
    """
    return "/".join((url.rstrip("/"), *names))
