"""The server behind `browse`: on loopback alone, for whoever started it, until it is told to end."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO

import uvicorn

from pipeline.browsing.guard import App, Guard, Receive, Scope, Send, policy
from pipeline.browsing.opened import Opened, register
from pipeline.browsing.peers import Peers
from pipeline.browsing.stamp import Stamp
from pipeline.interrupts import ENDING
from pipeline.problems import RunError, UsageError
from pipeline.progress import shown
from pipeline.storage.browsable import FACETS
from pipeline.storage.results import results_of

HOST, PORT = "127.0.0.1", 8001
#: Ports that are tried, from PORT on, where none was asked for.
PORTS = 100
#: Seconds that pages may take to be finished when the server ends.
PATIENCE_S = 2


def browse(
    place: str | os.PathLike[str],
    port: int | None = None,
    show: bool = True,
    ready: Callable[[str], None] = print,
    debug: bool = False,
) -> None:
    """Serve the index at `place` until a signal ends it; `ready` is given the address once pages are to be had there.

    `show` opens the address in the user's browser, where there is a desktop. Raises UsageError if there is no index that can be
    read, RunError if the port is taken. What fails is said on the pages; to `debug` is to have it on stderr too, at length.
    """
    register()
    opened = Opened(results_of(place))
    with _listening(port) as listener:
        bound = listener.getsockname()[1]
        address = f"http://{HOST}:{bound}/"
        guard = Guard(_Current(opened), Peers(HOST, bound), policy(opened.scripts()))

        def tell() -> None:
            ready(address)
            threading.Thread(target=opened.counts.prepare, args=(FACETS,)).start()  # what the first filter asks for
            if show and _has_desktop():
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        config = uvicorn.Config(
            guard,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=PATIENCE_S,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR if debug else logging.CRITICAL)
        with redirect_stderr(_Escaped(sys.stderr if debug else None)):
            _Server(config, tell).run(sockets=[listener])


class _Current:
    """The index as it is now: opened anew when a scan has put another in its place."""

    def __init__(self, opened: Opened) -> None:
        self._opened, self._app = opened, opened.app()
        self._busy = {id(opened): 0}
        self._opening = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            opened, app = await self._current()
        except RunError as error:
            body = f"The results have been replaced, and the new ones cannot be shown: {error}\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        self._busy[id(opened)] += 1
        try:
            await app(scope, receive, send)
        finally:
            self._busy[id(opened)] -= 1
            if opened is not self._opened and not self._busy[id(opened)]:
                del self._busy[id(opened)]
                opened.shut()

    async def _current(self) -> tuple[Opened, App]:
        now = Stamp.of(self._opened.library.folder)
        if now != self._opened.stamp and now.files[0] is not None:
            async with self._opening:
                if now != self._opened.stamp:
                    before = self._opened
                    opened = await asyncio.to_thread(Opened, before.library.folder)
                    self._opened, self._app = opened, opened.app()
                    self._busy[id(opened)] = 0
                    if not self._busy[id(before)]:
                        del self._busy[id(before)]
                        before.shut()
        return self._opened, self._app


class _Server(uvicorn.Server):
    """A server that says when it is one, and for which to be ended by a signal is to end well."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before: dict[int, Any] = {}
        for each in ENDING:
            if callable(handler := signal.getsignal(each)):  # not what nohup has switched off
                before[each] = handler
                signal.signal(each, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Escaped(io.TextIOBase):
    """What Datasette says of queries and pages that fail, as a terminal can show it: it holds texts of strangers."""

    def __init__(self, to: TextIO | None) -> None:
        self._to = to

    def write(self, text: str) -> int:
        if self._to is not None:
            self._to.write("\n".join(map(shown, text.split("\n"))))
        return len(text)


@contextmanager
def _listening(port: int | None) -> Iterator[socket.socket]:
    """A socket that listens at `port`, or at the first free one from PORT on."""
    tried = range(PORT, PORT + PORTS) if port is None else (port,)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for each in tried:
            try:
                listener.bind((HOST, each))
                listener.listen()
            except PermissionError as error:
                raise UsageError(f"port {each} is not for everybody to use: give another with --port") from error
            except OSError:
                continue
            break
        else:
            of = f"port {port} is" if port is not None else f"all ports from {PORT} to {PORT + PORTS - 1} are"
            raise RunError(f"{of} in use: give another with --port, or leave it out for the next that is free")
        yield listener


def _has_desktop() -> bool:
    """There is a screen on which a browser can be seen: none over SSH, in a container, under cron."""
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
