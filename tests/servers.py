"""Servers of objects on loopback, and a proxy in front of them that delays, fails and counts."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY, SECRET = "testkeyid", "testsecretkey"
RCLONE = str(Path(sys.executable).parent / "rclone")
#: Seconds in which a server has to come up.
PATIENCE = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def serving(*command: str) -> Iterator[int]:
    """A server program on loopback: its port, which stands for ``PORT`` in the command."""
    port = free_port()
    program = [each.replace("PORT", str(port)) for each in command]
    server = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{program[0]} does not serve (status {server.poll()})")
            time.sleep(0.02)
        yield port
    finally:
        server.kill()
        server.wait()


@dataclass
class Proxy:
    """Passes HTTP on to `upstream`, a port of loopback, and does to each request what it is told to; counts them.

    `fault` is asked with the number and first line of each request: a status like ``503``, ``reset`` (closed without an
    answer), ``lost`` (done, and then closed without an answer), ``cut`` (half of the body, then closed), ``short`` (half of the
    body, and nothing said), ``silent`` (no answer); None: nothing.
    """

    upstream: int
    latency: float = 0.0
    fault: Callable[[int, str], str | None] = lambda number, line: None
    before: Callable[[int, str], None] = lambda number, line: None  # called with each request, before it is passed on
    requests: int = 0
    received: int = 0  # bytes of the bodies of answers
    lines: list[str] = field(default_factory=list)
    port: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def reset(self) -> None:
        """As new."""
        self.latency, self.requests, self.received, self.most_at_once = 0.0, 0, 0, 0
        self.fault = self.before = lambda number, line: None
        self.lines.clear()

    def methods(self) -> Counter[str]:
        """Requests by method."""
        return Counter(line.split(" ")[0] for line in self.lines)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            server = await asyncio.open_connection("127.0.0.1", self.upstream, limit=1 << 20)
            while await self._one(reader, writer, *server):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, server[1] if server else None):
                if each is not None:
                    each.close()

    async def _one(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        below: asyncio.StreamReader,
        above: asyncio.StreamWriter,
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode("latin-1")
        if b"100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = re.sub(rb"(?i)\r\nexpect: *100-continue", b"", head)
        body = await _body(reader, head)
        self.requests += 1
        number = self.requests
        self.lines.append(line)
        self.before(number, line)
        what = self.fault(number, line)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            if what == "reset":
                return False
            if what == "silent":
                await asyncio.sleep(3600)
            if what and what.isdecimal():
                said = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
                said = b"" if line.startswith("HEAD") else said
                writer.write(b"HTTP/1.1 %s No\r\nContent-Length: %d\r\n\r\n" % (what.encode(), len(said)) + said)
                await writer.drain()
                return True
            above.write(head + body)
            answer = await below.readuntil(b"\r\n\r\n")
            while answer.startswith(b"HTTP/1.1 1"):
                answer = await below.readuntil(b"\r\n\r\n")
            empty = line.startswith("HEAD") or answer.split(b" ", 2)[1] in (b"204", b"304")
            content = b"" if empty else await _body(below, answer)
            if what == "lost":
                return False
            self.received += len(content)
            if what == "short" and not empty:
                content = content[: len(content) // 2]
                answer = _LENGTH.sub(b"\r\nContent-Length: %d" % len(content), answer)
            if what == "cut":
                writer.write(answer + content[: len(content) // 2])
                await writer.drain()
                return False
            writer.write(answer + content)
            await writer.drain()
            return b"connection: close" not in answer.lower()
        finally:
            self.at_once -= 1


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """What follows a head, as it came."""
    if length := _LENGTH.search(head):
        return await reader.readexactly(int(length[1]))
    if not _CHUNKED.search(head):
        return b""
    found = b""
    while True:
        line = await reader.readline()
        size = int(line.split(b";")[0], 16)
        found += line + await reader.readexactly(size + 2)
        if not size:
            return found


@contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:
    """A proxy in front of a port of loopback, in a thread of its own."""
    proxy, loop = Proxy(upstream), asyncio.new_event_loop()
    thread = threading.Thread(
        target=loop.run_forever, daemon=True
    )  # this one may have a loop already: that of a browser
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0, limit=1 << 20)

    async def stop() -> None:
        server.close()
        left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


_names = itertools.count(1)


@dataclass
class S3:
    """An S3 API on loopback, behind a proxy. `direct` is the server itself, for those who prepare and look."""

    direct: str
    proxy: Proxy
    client: Any  # boto3's, of the server itself

    @property
    def environment(self) -> dict[str, str]:
        """What programs find the server, by way of the proxy, and the credentials by."""
        return environment(f"http://127.0.0.1:{self.proxy.port}")

    def bucket(self, files: Path | None = None) -> str:
        """A new bucket, with all files of a folder if one is given: its name."""
        name = f"bucket-{os.getpid()}-{next(_names)}"
        self.client.create_bucket(Bucket=name)
        for path in sorted(files.rglob("*")) if files else ():
            if path.is_file():
                self.put(name, str(path.relative_to(files or path)), path.read_bytes())
        return name

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)


def environment(address: str) -> dict[str, str]:
    """What S3 clients are told a server and its credentials by."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[S3]:
    """An S3 API, kept in the memory of a process of its own."""
    import boto3

    with serving(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "PORT") as port, proxied(port) as proxy:
        direct = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=direct,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        yield S3(direct, proxy, client)


class _Plain(SimpleHTTPRequestHandler):
    """A server that knows no ranges, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def plain_http(folder: Path) -> Iterator[int]:
    """A web server that gives files whole, whatever is asked for: its port."""

    def handler(*arguments: Any) -> _Plain:
        return _Plain(*arguments, directory=str(folder))

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def rclone_serving(what: str, folder: Path, *options: str) -> Iterator[int]:
    """``rclone serve`` of a folder by s3, http or sftp: its port."""
    with serving(RCLONE, "serve", what, "--addr", "127.0.0.1:PORT", *options, str(folder)) as port:
        yield port


def can_serve_folders() -> bool:
    """rclone is installed."""
    return shutil.which(RCLONE) is not None
