"""What `bench` has measured of this machine, kept for later: one small private file in the user's cache folder."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.cost import Constants, from_mapping
from pipeline.storage.durable import private_folder, whole_file

#: Of the file's layout and of what the constants mean; a file of another version is not used.
VERSION = 1
#: More is no file of ours.
_LARGEST = 64 << 10


@dataclass(frozen=True, slots=True)
class Measured:
    """The constants of this machine, if they have been measured; and what is to be said about that, if anything."""

    constants: Constants | None = None
    at: str | None = None  # when, UTC
    note: str | None = None


def constants_file(folder: Path) -> Path:
    """Where the constants are in the cache `folder`."""
    return folder / "constants.json"


def keep_constants(folder: Path, constants: Constants, cores: int, at: str, of: Mapping[str, Any]) -> Path:
    """Write the constants of a machine of so many cores, measured at some time `of` some input. Returns the file."""
    path = constants_file(private_folder(folder))
    document = {"version": VERSION, "cores": cores, "measured_at": at, "of": dict(of), "constants": asdict(constants)}
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return path


def kept_constants(folder: Path, cores: int) -> Measured:
    """The constants that were kept in `folder`, if they are this user's and of a machine of so many cores."""
    path = constants_file(folder)
    try:
        text = _read_private(path)
        if text is None:
            return Measured()
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("version") != VERSION:
            raise ValueError("it is of another version of this program")
        if document.get("cores") != cores:
            raise ValueError(f"it was measured on {document.get('cores')!r} cores, and there are {cores} now")
        at = datetime.fromisoformat(document["measured_at"]).isoformat()
        return Measured(from_mapping(document["constants"]), at)
    except (KeyError, TypeError, AttributeError):
        return Measured(note=f"{path} is not used: it is no file of this program (bench writes a new one)")
    except (OSError, ValueError, RecursionError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return Measured(note=f"{path} is not used: {reason} (bench writes a new one)")


def _read_private(path: Path) -> str | None:
    """The text of a regular file that is the user's own and that nobody else can write; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with closing(os.fdopen(descriptor, "rb")) as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > _LARGEST:
            raise ValueError("it is no file of this program")
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise ValueError("others can write it")
        return file.read().decode("utf-8")
