"""A cluster that somebody else has started: where its scheduler is, what it is asked with, and why it does not answer."""

from __future__ import annotations

import json
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.problems import UsageError

#: Seconds that a scheduler may take to say what it is.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files that a scheduler is asked with; what is empty is as Dask's own configuration says."""

    ca_file: str = ""
    cert: str = ""
    key: str = ""

    def given(self) -> dict[str, str]:
        """Those that are given, by the names that distributed has for them. Raises UsageError if one cannot be read."""
        names = {"tls_ca_file": self.ca_file, "tls_client_cert": self.cert, "tls_client_key": self.key}
        flags = dict(zip(names, ("--tls-ca-file", "--tls-cert", "--tls-key"), strict=True))
        found = {}
        for name, path in names.items():
            if path:
                found[name] = str(Path(path).expanduser())
                check_pem(found[name], flags[name])
        return found


#: As Dask's own configuration says.
NO_TLS = Tls()


def check_pem(path: str, whose: str) -> None:
    """Raises UsageError if a PEM file cannot be read."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageError(f"{whose}: cannot read {path}: {os.strerror(error.errno or 0)}") from error


def address_in(path: str) -> str:
    """The address that a scheduler has written into a file (dask scheduler --scheduler-file). Raises UsageError."""
    place = Path(path).expanduser()
    try:
        found: Any = json.loads(place.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no scheduler file {path} (yet): it is there once a scheduler runs that is to write it: "
            f"dask scheduler --scheduler-file {path}"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot read the scheduler file {path}: {os.strerror(error.errno or 0)}") from error
    except ValueError:
        found = None
    address = found.get("address") if isinstance(found, dict) else None
    if not isinstance(address, str) or "://" not in address or not address.isprintable():
        raise UsageError(
            f"{path} is not what dask scheduler --scheduler-file writes, or not all of it: start the scheduler again, or give "
            "its address by --scheduler"
        )
    return address


def host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of an address of TCP or TLS; None if it has no such.

    >>> host_and_port("tls://[::1]:8786"), host_and_port("host:8786"), host_and_port("inproc://1/2")
    (('::1', 8786), ('host', 8786), None)
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        return None
    return host.strip("[]"), int(port)


def why_refused(address: str, context: ssl.SSLContext | None) -> str:
    """Why a scheduler and we do not understand each other, as far as TLS is the reason; empty if it is not.

    With a `context` it is to be asked by TLS.
    """
    place = host_and_port(address)
    if place is None:
        return ""
    if context is None:
        return _speaks_tls(place)
    try:
        with socket.create_connection(place, PATIENCE) as plain, context.wrap_socket(plain) as secured:
            # By TLS 1.3 a client hears what is thought of its certificate when it reads; a scheduler speaks first.
            secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is of no authority that is trusted here, --tls-ca-file ({error.verify_message})"
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if "alert" in reason or "required" in reason:
            return f"it refuses our certificate, --tls-cert ({reason})"
        return f"it speaks no TLS ({reason}): ask it by tcp://, or start it with TLS"
    except OSError:
        return ""
    return ""


def _speaks_tls(place: tuple[str, int]) -> str:
    """That a scheduler is to be asked by TLS, if it is."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(place, PATIENCE) as plain, context.wrap_socket(plain):
            pass
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):
            return ""
    except OSError:
        return ""
    return "it speaks TLS: ask it by tls://, with --tls-ca-file, --tls-cert and --tls-key"
