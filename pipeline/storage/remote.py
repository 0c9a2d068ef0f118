"""Remote: what lies behind a URL, read by range and written whole, by way of fsspec.

The only file that imports fsspec. Credentials are looked for by the libraries themselves, where those of each service stand
(environment, profile, machine): none is taken out of a URL, kept or shown.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit

from pipeline.limits import progress
from pipeline.problems import MediaError, RunError, UsageError, to_install
from pipeline.storage.archives import Stamp

#: The extra of this package that brings what a kind of URL needs.
EXTRAS = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "adl": "az",
    "sftp": "sftp", "ssh": "sftp", "http": "http", "https": "http",
}  # fmt: skip
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "paramiko", "http": "aiohttp"}
#: Schemes that are called otherwise, too, by the same library.
_OTHER_NAMES = {"s3a": "s3", "gcs": "gs", "ssh": "sftp"}
#: Kinds of URLs that can only be read.
READ_ONLY = ("http", "https")
#: Kinds of URLs whose files are seen while they are written, and that have folders to be made; and those with one connection
#: for all, which is not to be used by several threads at a time.
GROWING = ONE_AT_A_TIME = ("sftp", "ssh")
#: How often what failed on the way is tried, and seconds between the first two times; they double, and vary by half, so that
#: those who failed together do not come back together.
TRIES, FIRST_WAIT, LONGEST_WAIT = 6, 0.2, 8.0
#: Seconds after which no further time is begun.
LONGEST = 60.0
#: Seconds in which a connection has to stand, an answer has to begin or go on, and that of a piece of a file has to be there.
CONNECTED, SILENT, ANSWERED = 10, 20, 600
#: Connections of one process to one service.
CONNECTIONS = 128

#: Kinds of URLs where a file can be written on condition that it is still what it was.
_CONDITIONAL = ("s3", "s3a")
#: Kinds of URLs whose first step is a bucket, of one service; and those of a host, asked by a connection for each thread.
_BUCKETS, _BY_SSH = ("s3", "s3a", "gs", "gcs", "az"), ("sftp", "ssh")

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
#: Errors of the system that may be gone another time.
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE} | {
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.EIO,
    errno.ETIMEDOUT,
}
#: Those that say that nobody is there.
_UNREACHABLE = {errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH} | {
    errno.EPIPE,
    errno.ETIMEDOUT,
}
#: What a server answers that does not know a condition, and that finds it is not met; 404: what is to be replaced is gone; 409:
#: others write there just now, so that it is to be asked once more.
CONFLICT, NOT_IMPLEMENTED = 409, 501
_UNKNOWN, _UNMET = (400, 405, NOT_IMPLEMENTED), (404, CONFLICT, 412)
#: Seconds for which the address of an object is signed, after which it is signed again, and addresses that are kept.
SIGNED, SIGN_AGAIN, MOST_SIGNED = 900, 300.0, 1024
_P = ParamSpec("_P")
_T = TypeVar("_T")


def is_url(place: str) -> bool:
    """A place is given as a URL that does not name a local file.

    >>> is_url("s3://bucket/takeout"), is_url("/home/anna/Takeout"), is_url("file:///home/anna/Takeout")
    (True, False, False)
    """
    found = _URL.match(place)
    return found is not None and found[1].lower() not in ("file", "local")


def canonical(url: str) -> str:
    """A URL as it is written where there are several ways to name one place; a path as it is.

    >>> canonical("S3A://bucket/results/"), canonical("/home/anna")
    ('s3://bucket/results', '/home/anna')
    """
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    return f"{_OTHER_NAMES.get(scheme, scheme)}://{rest.rstrip('/')}" if found else url


def filesystem(url: str) -> tuple[Any, str]:
    """What reads and writes there, one for each process and service, and the place as it calls that.

    Raises UsageError for a URL that is none of ours, or needs a package that is not installed."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    place = rest.partition("/")[0]
    if "@" in place and urlsplit(f"{scheme}://{place}").password is not None:
        raise UsageError(
            f"{shown_url(url)}: a password in a URL ends in logs and results: leave it out, and give it as the library that "
            "reads such URLs is given it (docs/how-to/object-storage.md)"
        )
    files = _filesystem(scheme, place if scheme not in _BUCKETS else "", os.getpid())
    return files, _path(url) or files._strip_protocol(url)


def _path(url: str) -> str:
    """The place of a URL as what reads it calls that; nothing if that alone can tell."""
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in READ_ONLY:
        return url
    if scheme in _BUCKETS:
        return rest.strip("/")
    return f"/{rest.partition('/')[2]}" if scheme in _BY_SSH else ""


@lru_cache(maxsize=64)
def _filesystem(scheme: str, place: str, _process: int) -> Any:
    """One for each process: what was made before a fork has threads, and connections, that are the parent's."""
    import fsspec

    if scheme not in EXTRAS and scheme not in fsspec.available_protocols():
        raise UsageError(f"{scheme}://: no such URLs can be read; s3, gs, az, sftp and https can")
    # What gcsfs asks by gRPC has threads of its own, which no fork survives; by HTTP it can all the same be asked.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        kind = fsspec.get_filesystem_class(scheme)
        options: dict[str, Any] = kind._get_kwargs_from_urls(f"{scheme}://{place}/") if place else {}
        options |= _options(scheme, fsspec.config.apply_config(kind, {}))
        files = kind(**options)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        advice = f": {to_install(f'takeout-index[{extra}]')}" if extra else f" ({error})"
        raise UsageError(f"{scheme}:// needs a package that is not installed{advice}") from error
    if scheme in ("s3", "s3a"):
        files.retries = 1  # it is `retrying` that does
    return files


def _options(scheme: str, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """How a service is asked: nothing is kept of listings, nothing waits for ever, nothing tries again but `retrying`.

    What is `chosen` in fsspec's configuration counts: there it would be replaced as a whole."""
    if scheme in ("s3", "s3a"):
        config: dict[str, Any] = {"connect_timeout": CONNECTED, "read_timeout": SILENT, "retries": {"max_attempts": 0}}
        config |= {"max_pool_connections": CONNECTIONS} | _check_sums(chosen.get("profile"))
        return {"use_listings_cache": False, "config_kwargs": config | _mapping(chosen.get("config_kwargs"))}
    if scheme in READ_ONLY:
        import aiohttp

        timeout = {"timeout": aiohttp.ClientTimeout(sock_connect=CONNECTED, sock_read=SILENT)}
        return {"client_kwargs": timeout | _mapping(chosen.get("client_kwargs"))}
    if scheme in _BY_SSH:
        waits = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout", "channel_timeout"), CONNECTED)
        return {"skip_instance_cache": True, "host_key_policy": _known_hosts()} | waits
    return {"use_listings_cache": False} if scheme in EXTRAS else {}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _check_sums(profile: str | None) -> dict[str, str]:
    """Whether check sums of S3's own are asked for and sent, where the user has not chosen. Many another service does not know
    them, or gives that of the whole object with a piece of it. Ours are in the manifest, and each request is signed."""
    import botocore.exceptions
    import botocore.session

    names = ("request_checksum_calculation", "response_checksum_validation")
    known = botocore.session.Session(
        {name: (name, f"AWS_{name.upper()}", None, None) for name in names}, profile=profile
    )
    try:
        return {name: "when_required" for name in names if known.get_config_variable(name) is None}
    except botocore.exceptions.BotoCoreError as error:  # there is no such profile
        raise UsageError(f"s3:// cannot be asked: {error}") from error


def _known_hosts() -> Any:
    """Whom to connect to by SSH: hosts that the user knows, as `ssh` does. fsspec itself would trust anybody."""
    import paramiko

    class KnownHosts(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, _client: Any, hostname: str, key: Any) -> None:
            known = paramiko.HostKeys()
            with suppress(OSError):
                known.load(str(Path("~/.ssh/known_hosts").expanduser()))
            if not known.check(hostname, key):
                raise UsageError(
                    f"{hostname} is not known by this key in ~/.ssh/known_hosts: connect once with ssh, and see that it is it"
                )

    return KnownHosts()


def packages_for(urls: Iterable[str]) -> tuple[str, ...]:
    """What reads there, to be imported."""
    schemes = {url.partition("://")[0].lower() for url in urls}
    packages = {_PACKAGES[EXTRAS[scheme]] for scheme in schemes if scheme in EXTRAS}
    return ("fsspec", *sorted(packages), "pipeline.storage.objects")


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

    What it raises at last is an OSError that says why; a MediaError or RunError stays one."""
    wait = FIRST_WAIT
    until = time.monotonic() + LONGEST
    for left in range(TRIES - 1, -1, -1):
        progress()
        try:
            return function(*args, **kwargs)
        except (MediaError, RunError):
            raise
        except Exception as error:
            if not left or not is_passing(error) or time.monotonic() > until:
                known = as_os_error(error)
                if known is error:
                    raise  # with what it was made of
                raise known from error
        _sleep(wait * random.uniform(0.5, 1.5))
        wait = min(2 * wait, LONGEST_WAIT)
    raise AssertionError


def _sleep(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        progress()
        time.sleep(min(left, 1.0))


def status_of(error: BaseException | None) -> int | None:
    """The status of HTTP that a server has answered, where an error of one of the libraries is made of one."""
    for _ in range(4):
        if (
            error is None or type(error).__name__ == "ClientPayloadError"
        ):  # a body that was cut, which aiohttp calls a 400
            break
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            found = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(found, int) and found:
                return found
        for name in ("status", "code", "status_code"):
            found = getattr(error, name, None)
            if isinstance(found, int) and 100 <= found < 600:
                return found
        error = error.__cause__
    return None


def is_passing(error: BaseException) -> bool:
    """An error may be gone another time: a connection was lost, a service is busy."""
    if (status := status_of(error)) is not None:
        return status in (408, 425, 429) or (status >= 500 and status != NOT_IMPLEMENTED)
    if is_unreachable(error):
        return True
    if isinstance(
        error, FileNotFoundError | PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError
    ):
        return False
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _PASSING
    # Of libraries that have errors of their own for what was cut short on the way.
    return type(error).__name__ not in _UNCONFIGURED and type(error).__module__.partition(".")[0] in _LIBRARIES


#: Errors of theirs of what the user has told them, or has not: it is the same another time.
_UNCONFIGURED = {
    "ConfigParseError",
    "NoCredentialsError",
    "NoRegionError",
    "ParamValidationError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
}
_LIBRARIES = ("aiohttp", "botocore", "aiobotocore", "paramiko", "azure", "gcsfs")


def is_unreachable(error: BaseException | None) -> bool:
    """No answer came, or no connection stands, as far as the error says."""
    for _ in range(4):
        if error is None:
            break
        if isinstance(error, TimeoutError | asyncio.TimeoutError | ConnectionError):
            return True
        if isinstance(error, OSError) and error.errno in _UNREACHABLE:
            return True
        name, room = type(error).__name__, type(error).__module__.partition(".")[0]
        if room in _LIBRARIES and ("Connect" in name or "Timeout" in name or name == "ServiceRequestError"):
            return True
        error = error.__cause__
    return False


def as_os_error(error: Exception) -> OSError:
    """An error of one of many libraries as what it amounts to, an OSError with a number."""
    status = status_of(error)
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return TimeoutError(errno.ETIMEDOUT, "no answer came in time")
    if status is None and is_unreachable(error):  # which fsspec's HTTP calls a file that is not there
        return ConnectionError(errno.ECONNREFUSED, "the server cannot be reached")
    if status in (401, 403) or (status is None and isinstance(error, PermissionError)):
        return PermissionError(
            errno.EACCES, "access is denied: are the credentials those for it? (docs/how-to/object-storage.md)"
        )
    if status == 404 or (status is None and isinstance(error, FileNotFoundError)):
        return FileNotFoundError(errno.ENOENT, "it is not there")
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EIO:
        return error
    if status is not None:
        return OSError(errno.EIO, f"the server answers with status {status}")
    # What aiohttp says holds the whole URL, which may be signed.
    if type(error).__name__ == "ClientPayloadError":
        return OSError(errno.EIO, "the answer was cut short")
    if type(error).__name__ == "NoCredentialsError":
        text = "there are no credentials: docs/how-to/object-storage.md says where they are looked for"
        return PermissionError(errno.EACCES, text)
    if type(error).__name__ == "FlexibleChecksumError":
        return OSError(
            errno.EIO,
            "the check sum that came is another than that of what came with it: "
            "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required leaves it out",
        )
    text = "" if type(error).__module__.startswith("aiohttp") else " ".join(str(error).split())[:200]
    return OSError(errno.EIO, text or type(error).__name__)


def _asked(url: str, name: str, /, *args: Any, **kwargs: Any) -> Any:
    """What a method of the filesystem of a URL returns, called once; `progress` is told while it waits."""
    with _borrowed(url) as files:
        if not getattr(files, "async_impl", False):
            return getattr(files, name)(*args, **kwargs)
        return _awaited(files, getattr(files, f"_{name}"), *args, **kwargs)


def _awaited(files: Any, function: Callable[..., Any], *args: Any, most: float = 3600, **kwargs: Any) -> Any:
    future = asyncio.run_coroutine_threadsafe(function(*args, **kwargs), files.loop)
    until = time.monotonic() + most
    while True:
        try:
            return future.result(1)
        except TimeoutError:
            if future.done():
                raise
            progress()
            if time.monotonic() > until:
                future.cancel()
                raise
        except BaseException:
            future.cancel()
            raise


#: Connections of SSH that nobody uses just now: one must not be used by two threads at a time.
_idle: dict[tuple[str, int], list[Any]] = {}


@contextmanager
def _borrowed(url: str) -> Iterator[Any]:
    """The filesystem of a URL, for one thread."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _BY_SSH:
        yield filesystem(url)[0]
        return
    key = (f"{scheme}://{rest.partition('/')[0]}", os.getpid())
    idle = _idle.setdefault(key, [])
    try:
        files = idle.pop()
    except IndexError:
        files = _filesystem.__wrapped__(scheme.lower(), rest.partition("/")[0], os.getpid())
        files.ftp.get_channel().settimeout(SILENT)
    try:
        yield files
    except FileNotFoundError:
        idle.append(files)
        raise
    except BaseException:  # who knows what is still on the way there
        with suppress(Exception):
            files.client.close()
        raise
    idle.append(files)


def stamp_of(url: str) -> Stamp:
    """What tells whether a file is still the same. Raises OSError if it is not there."""
    return as_stamp(look_at(url))


def look_at(url: str) -> Mapping[str, Any]:
    """What is said of a file. Raises OSError if it is not there, IsADirectoryError if it is a folder."""
    found: Mapping[str, Any] = retrying(_asked, url, "info", _path(url) or filesystem(url)[1])
    if found.get("type") == "directory":
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    return found


def look_once(url: str) -> None:
    """Ask for a file once, whatever comes of it. Raises what the library does that asks."""
    _asked(url, "info", _path(url) or filesystem(url)[1])


def tag_of(found: Mapping[str, Any]) -> str:
    """The tag that a server gives a file as it is now, if it may be asked for that and no other; else nothing."""
    return strong(str(found.get("ETag") or found.get("etag") or ""))


def strong(tag: str) -> str:
    """A tag by which a file may be asked for; nothing for one that stands for files that are merely alike."""
    return "" if tag.startswith("W/") else tag


def asks_by_tag(url: str) -> bool:
    """A file behind such a URL is asked for as what has a certain tag, if it has one."""
    return url.partition("://")[0].lower() in (*_CONDITIONAL, *READ_ONLY)


def as_stamp(found: Mapping[str, Any]) -> Stamp:
    """The stamp of a file that fsspec has found. In the place of an inode stands a digest of its tag, 0 if it has none."""
    tag = next((str(found[name]) for name in ("ETag", "etag", "generation", "content_md5") if found.get(name)), "")
    number = int.from_bytes(hashlib.blake2b(tag.encode(), digest_size=7).digest(), "big") if tag else 0
    moments = (found.get(name) for name in ("LastModified", "last_modified", "mtime", "updated", "timeModified"))
    moment = next((each for each in moments if each), None)
    return Stamp(number, int(found.get("size") or 0), nanoseconds(moment), tag=tag_of(found))


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


class Piece(NamedTuple):
    """Some bytes of a file, and what came with them of it: its tag, its size, when it was modified, each if it was said."""

    data: bytes
    tag: str = ""
    size: int | None = None
    modified_ns: int = 0


def read_piece(url: str, offset: int, length: int, tag: str = "") -> Piece:
    """The bytes [offset, offset + length) of a file, all of which are there, in one request; with a `tag`, of no other file.

    Raises OSError; MediaError if it is another file now, or the server gives no pieces."""
    return retrying(_piece, url, offset, length, tag)


def _piece(url: str, offset: int, length: int, tag: str) -> Piece:
    scheme = url.partition("://")[0].lower()
    files, path = (None, _path(url)) if scheme in _BY_SSH else filesystem(url)
    if scheme in ("s3", "s3a"):
        found: Piece = _awaited(files, _s3_piece, files, path, offset, length, tag, most=ANSWERED)
    elif scheme in READ_ONLY:
        found = _awaited(files, _http_piece, files, path, offset, length, tag, most=ANSWERED)
    elif files is not None and getattr(files, "async_impl", False):
        ranged = {"start": offset, "end": offset + length}
        found = Piece(_awaited(files, files._cat_file, path, most=ANSWERED, **ranged))
    else:
        found = Piece(_asked(url, "cat_file", path, start=offset, end=offset + length))
    if found.size is not None and found.size < offset + length:
        raise MediaError("changed: it is shorter than it was when it was listed")
    if len(found.data) > length:
        raise MediaError("no_ranges: the server gives it only as a whole")
    if len(found.data) < length:
        raise ConnectionError(errno.ECONNRESET, f"{length - len(found.data):,} bytes are missing of an answer")
    return found


_OTHER = "changed: it has been replaced since it was listed"


async def _s3_piece(files: Any, path: str, offset: int, length: int, tag: str) -> Piece:
    if tag and length and (found := await _signed_piece(files, path, offset, length, tag)) is not None:
        return found
    bucket, _, key = path.partition("/")
    more = {"Range": f"bytes={offset}-{offset + length - 1}"} if length else {}
    if tag:
        more["IfMatch"] = tag
    try:
        answer = await files._call_s3("get_object", Bucket=bucket, Key=key, **more)
    except Exception as error:
        if status_of(error) == 412:
            raise MediaError(_OTHER) from None
        if status_of(error) == 416:
            raise MediaError("changed: it is shorter than it was when it was listed") from None
        raise
    async with answer["Body"] as body:
        data = await body.read()
    return Piece(
        data, answer.get("ETag") or "", _total(answer.get("ContentRange")), nanoseconds(answer.get("LastModified"))
    )


class _AnsweredError(OSError):
    """A server has answered with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(errno.EIO, f"the server answers with status {status}")
        self.status = status


#: Addresses of objects that are signed, by bucket and key, and until when they are used; none for what cannot be read so.
_addresses: dict[str, tuple[str, float]] = {}


async def _signed_piece(files: Any, path: str, offset: int, length: int, tag: str) -> Piece | None:
    """The same by an address that was signed once: what botocore does for every request takes the processor four times as
    long as the request. None where that is not possible, or is refused."""
    address, until = _addresses.get(path, ("", 0.0))
    bucket, _, key = path.partition("/")
    await files.set_session()
    client = await files.get_s3(bucket)
    if until < time.monotonic():
        address = await _signed(files, client, bucket, key)
        if len(_addresses) >= MOST_SIGNED:
            _addresses.clear()
        _addresses[path] = address, time.monotonic() + SIGN_AGAIN
    if not address:
        return None
    from botocore.awsrequest import AWSPreparedRequest

    headers = {"Range": f"bytes={offset}-{offset + length - 1}", "If-Match": tag}
    try:  # its own session knows of proxies, certificates and timeouts
        answer = await client._endpoint.http_session.send(AWSPreparedRequest("GET", address, headers, None, True))
        stated = int(answer.headers.get("content-length", 0))
        if answer.status_code == 200 and stated > length:
            answer.raw.close()
            raise MediaError("no_ranges: the server gives it only as a whole")
        data = await answer.content
    except Exception as error:
        if "Signature=" in str(error):  # which nobody is to see
            raise ConnectionResetError(errno.ECONNRESET, "the connection was lost") from None
        raise
    if answer.status_code in (200, 206):
        return Piece(data, answer.headers.get("etag") or tag, _total(answer.headers.get("content-range")))
    if answer.status_code == 412:
        raise MediaError(_OTHER)
    if answer.status_code == 416:
        raise MediaError("changed: it is shorter than it was when it was listed")
    if answer.status_code in (404, 408, 425, 429) or answer.status_code >= 500:
        raise _AnsweredError(answer.status_code)
    _addresses[path] = "", time.monotonic() + SIGN_AGAIN  # as by a server that wants other signatures, or none
    return None


async def _signed(files: Any, client: Any, bucket: str, key: str) -> str:
    """The address of an object that can be read by it for a while, nothing if there is none.

    By version 4 of signatures, as S3 itself and all that call themselves compatible know it, and without the range, which
    need not be signed (Amazon S3 API Reference, Authenticating Requests: Using Query Parameters)."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    try:
        if files.req_kw or files.s3_additional_kwargs:  # which ask for more than an address can say
            return ""
        address: str = await client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        address = address.partition("?")[0]
        if files.anon:
            return address
        credentials = await client._request_signer._credentials.get_frozen_credentials()
        request = AWSRequest("GET", address)
        S3SigV4QueryAuth(credentials, "s3", client.meta.region_name, SIGNED).add_auth(request)
        return str(request.url)
    except (
        AttributeError,
        TypeError,
    ):  # some of it is botocore's own, or there are no credentials, as get_object will say
        return ""


async def _http_piece(files: Any, url: str, offset: int, length: int, tag: str) -> Piece:
    session = await files.set_session()
    headers = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
    if tag:
        headers["If-Match"] = tag
    async with session.get(files.encode_url(url), headers=headers) as answer:
        if answer.status == 412:
            raise MediaError(_OTHER)
        if answer.status == 416:
            raise MediaError("changed: it is shorter than it was when it was listed")
        answer.raise_for_status()
        if answer.status != 206 and (offset or answer.content_length != length):
            raise MediaError("no_ranges: the server gives it only as a whole")
        data = await answer.read()
        modified = nanoseconds(answer.headers.get("Last-Modified"))
        return Piece(data, answer.headers.get("ETag", ""), _total(answer.headers.get("Content-Range")), modified)


def _total(stated: str | None) -> int | None:
    """The size of a file by what was said of the place of a piece in it: ``bytes 0-99/1234``."""
    total = (stated or "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


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


def read_tagged(url: str) -> tuple[bytes, str]:
    """All bytes of a file, and a tag by which `replace_whole` replaces these alone: nothing where there are no tags. Raises
    OSError."""
    if url.partition("://")[0].lower() not in _CONDITIONAL:
        return read_whole(url), ""
    files, path = filesystem(url)
    found = retrying(_awaited, files, _s3_piece, files, path, 0, 0, "", most=ANSWERED)
    return found.data, strong(found.tag)


def write_whole(url: str, data: bytes) -> None:
    """Write a file: it is there whole or not at all. Raises OSError."""
    with _unseen(url) as (files, path):
        retrying(files.pipe_file, path, data)


def replace_whole(url: str, data: bytes, tag: str | None) -> None:
    """The same in the place of what `read_tagged` gave with this tag, None: of nothing; where the service knows such conditions
    (S3: Amazon S3 User Guide, Conditional writes). Raises OSError, FileExistsError if something else is there."""
    if url.partition("://")[0].lower() not in _CONDITIONAL or tag == "":
        write_whole(url, data)
        return
    files, path = filesystem(url)
    condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
    try:
        try:
            retrying(files.pipe_file, path, data, **condition)
        except OSError as error:
            if status_of(error) != CONFLICT:
                raise
            _sleep(FIRST_WAIT)
            retrying(files.pipe_file, path, data, **condition)
    except OSError as error:
        status = status_of(error)
        if status in _UNKNOWN:
            write_whole(url, data)
        elif status not in _UNMET:
            raise
        else:
            with suppress(FileNotFoundError):  # somebody has removed what was there
                if read_whole(url) == data:
                    return  # an answer that did not come may have been that it is written
            raise FileExistsError(errno.EEXIST, "it is no longer what it was") from error


def upload(source: Path, url: str) -> None:
    """Write a file as a local one is, in pieces if it is large; it is there whole or not at all. Raises OSError."""
    with _unseen(url) as (files, path):
        retrying(files.put_file, str(source), path)


def copy(url: str, target: str, source: Path) -> None:
    """Write a file as another at the same place is, which a local one is too. Raises OSError."""
    files, path = filesystem(url)
    if urlsplit(url).scheme.lower() not in GROWING:
        with suppress(OSError):  # not every store copies large objects by itself
            retrying(files.cp_file, path, filesystem(target)[1])
            return
    upload(source, target)


@contextmanager
def _unseen(url: str) -> Iterator[tuple[Any, str]]:
    """What writes a file and where, so that it is not seen under its name until it is whole: a store of objects takes care of
    that by itself."""
    files, path = filesystem(url)
    if urlsplit(url).scheme.lower() not in GROWING:
        yield files, path
        return
    folder, _, name = path.rpartition("/")
    retrying(files.makedirs, folder, exist_ok=True)
    temporary = f"{folder}/.{name}.{os.getpid()}.tmp"
    try:
        yield files, temporary
        retrying(_rename_over, files, temporary, path)
    except BaseException:
        with suppress(Exception):
            files.rm_file(temporary)
        raise


def _rename_over(files: Any, source: str, target: str) -> None:
    """Give a file a name that another may have."""
    client = getattr(files, "ftp", None)
    if client is not None:
        client.posix_rename(source, target)
    else:
        files.mv(source, target)


def download(url: str, target: Path) -> None:
    """Make a local file as a remote one is. Raises OSError."""
    files, path = filesystem(url)
    retrying(files.get_file, path, str(target))


def remove(url: str) -> None:
    """Remove a file; it may be gone already. Raises OSError."""
    files, path = filesystem(url)
    with suppress(FileNotFoundError):
        retrying(files.rm_file, path)


def names_in(url: str) -> list[str]:
    """The names of the files and folders right below a place; none if there is no such place. Raises OSError."""
    files, path = filesystem(url)
    try:
        found = retrying(files.ls, path, detail=False)
    except FileNotFoundError:
        return []
    above = path.strip("/") + "/"
    names = (name.strip("/").removeprefix(above) for name in found if name.strip("/").startswith(above))
    return [name for name in names if name and "/" not in name]


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


class Listed(NamedTuple):
    """What a listing says of one name below a place: a file, a folder, or neither (``other``)."""

    name: str  # from the place on
    kind: str
    stamp: Stamp


def folder_of(url: str) -> list[Listed]:
    """What lies directly in a folder, or a bucket. Raises OSError, also if there is no such place."""
    path = _path(url) or filesystem(url)[1]
    above = path.rstrip("/") + "/"
    return [each for found in retrying(_asked, url, "ls", path, detail=True) if (each := _listed(found, above))]


def everything_below(url: str) -> Iterator[Listed]:
    """All files below a place, page by page; nothing if there is no such place. Raises OSError."""
    path = _path(url) or filesystem(url)[1]
    scheme = url.partition("://")[0].lower()
    if scheme in ("s3", "s3a"):
        yield from _s3_below(url, path)
        return
    above = path.rstrip("/") + "/"
    if scheme in _BY_SSH:
        pending = [""]
        while pending:
            folder = pending.pop()
            for each in sorted(folder_of(join(url, folder) if folder else url)):
                name = f"{folder}/{each.name}" if folder else each.name
                if each.kind == "directory":
                    pending.append(name)
                else:
                    yield each._replace(name=name)
        return
    found = retrying(_asked, url, "find", path, detail=True)
    listed = (_listed(found[name], above) for name in sorted(found))
    yield from (each for each in listed if each is not None and each.kind != "directory")


#: Objects of one page of a listing; no service gives more.
PAGE = 1000


def _s3_below(url: str, path: str) -> Iterator[Listed]:
    """The objects of a bucket as they are called, which may begin, end and go on with slashes."""
    bucket, _, start = path.partition("/")
    start = f"{start}/" if start else ""
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": start, "MaxKeys": PAGE}
    while True:
        page = retrying(_asked, url, "call_s3", "list_objects_v2", **asked)
        for each in page.get("Contents", ()):
            yield Listed(each["Key"].removeprefix(start), "file", as_stamp(each | {"size": each["Size"]}))
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _listed(found: Mapping[str, Any], above: str) -> Listed | None:
    name = str(found["name"])
    name = name.removeprefix(above) if name.startswith(above) else ""
    kind = str(found.get("type"))
    kind = kind if kind in ("file", "directory") else "other"
    return Listed(name.rstrip("/") if kind == "directory" else name, kind, as_stamp(found)) if name.strip("/") else None


def join(url: str, *names: str) -> str:
    """The place of a name below another.

    >>> join("s3://bucket/results/", "media", "part.parquet")
    's3://bucket/results/media/part.parquet'
    """
    return "/".join((url.rstrip("/"), *names))
