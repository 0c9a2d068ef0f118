"""Whose a connection on loopback is: every user of a machine reaches its loopback addresses, and this is for one of them.

Linux says of each socket whose it is (proc_pid_net(5)); where nothing says so, everybody counts as the user.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

#: A program may also reach an IPv4 address by a socket for IPv6.
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
#: Times that the tables are read before a socket counts as not being there: they are no snapshot.
TRIES = 3
ROOT = 0


def address(host: str, port: int, wide: bool) -> str:
    """An IPv4 address as the tables write it: words of 32 bits in the machine's order, in hexadecimal.

    >>> address("127.0.0.1", 8001, wide=False) in ("0100007F:1F41", "7F000001:1F41")
    True
    """
    word = f"{int.from_bytes(IPv4Address(host).packed, sys.byteorder):08X}"
    mapped = f"{int.from_bytes(bytes.fromhex('0000ffff'), sys.byteorder):08X}"
    return f"{'0' * 16 + mapped if wide else ''}{word}:{port:04X}"


def owner(table: str, local: str, remote: str) -> int | None:
    """The user of the socket between these two addresses; None if it is not there, or is no longer any program's.

    >>> owner("  0: 0100007F:B1D2 0100007F:1F41 01 0:0 00:0 0  1000        0 4711 1", "0100007F:B1D2", "0100007F:1F41")
    1000
    """
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 9 and fields[1] == local and fields[2] == remote and fields[9] != "0":
            return int(fields[7])
    return None


class Peers:
    """Who may speak to the socket that listens at `host`, `port`: whoever runs this program, and root."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        here = address(host, port, wide=False)
        #: Our own socket, which listens, must be in the table; a table without it says nothing of others either.
        self.known = any(owner(table, here, address("0.0.0.0", 0, wide=False)) == os.getuid() for table in _tables())

    def may(self, host: str, port: int) -> bool:
        """The program at the other end, which has this address, is the user's, as far as can be found out."""
        if not self.known:
            return True
        for _ in range(TRIES):
            for wide, table in enumerate(_tables()):
                here, there = (address(*each, bool(wide)) for each in ((self._host, self._port), (host, port)))
                found = owner(table, there, here)
                if found is not None:
                    return found in (os.getuid(), ROOT)
        return False


def _tables() -> Iterator[str]:
    for path in TABLES:
        try:
            yield path.read_text("ascii")
        except OSError:
            yield ""
