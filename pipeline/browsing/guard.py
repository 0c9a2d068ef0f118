"""What stands before every page: whom it is shown to, and what a browser may do with it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hashlib import sha256
from typing import Any

from pipeline.browsing.peers import Peers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Names under which a browser may ask for us. Any other is a web site's, whose name was made to lead here (DNS rebinding).
NAMES = frozenset({"127.0.0.1", "localhost"})
#: Nothing here is changed by a request.
METHODS = frozenset({"GET", "HEAD"})


def policy(scripts: Iterable[str]) -> str:
    """A Content-Security-Policy: nothing but what we serve ourselves, and of scripts within a page only these."""
    digests = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def refusal(scope: Scope, peers: Peers) -> tuple[int, str] | None:
    """Status and reason, where a request is not to be answered."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    hosts = headers.get(b"host", [])
    if len(hosts) != 1 or hosts[0].decode("latin-1").lower().rpartition(":")[0 if b":" in hosts[0] else 2] not in NAMES:
        return 421, "This is for the browser of whoever started it: ask for 127.0.0.1 or localhost."
    if scope["method"] not in METHODS:
        return 405, "Nothing can be changed here."
    site, mode = (headers.get(name, [b""])[0] for name in (b"sec-fetch-site", b"sec-fetch-mode"))
    if site == b"cross-site" and mode != b"navigate":
        return 403, "Other sites may lead here, but not read or show what is here."
    client = scope.get("client")
    if client is None or not peers.may(client[0], client[1]):
        return 403, "This is another user's."
    return None


class Guard:
    """Datasette behind a closed door."""

    def __init__(self, app: App, peers: Peers, content_policy: str) -> None:
        self._app, self._peers = app, peers
        self._headers = {
            b"content-security-policy": content_policy.encode(),
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"referrer-policy": b"no-referrer",
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say why not."""

        async def send_closed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                others = [each for each in message.get("headers", []) if bytes(each[0]).lower() not in self._headers]
                message = {**message, "headers": [*others, *self._headers.items()]}
            await send(message)

        if scope["type"] != "http":
            return
        refused = refusal(scope, self._peers)
        if refused is None:
            await self._app(scope, receive, send_closed)
            return
        status, reason = refused
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        await send_closed({"type": "http.response.start", "status": status, "headers": headers})
        await send_closed({"type": "http.response.body", "body": f"{reason}\n".encode()})
