"""What is looked at on a worker of somebody else's cluster, or where its scheduler runs, before it gets work.

Sent there as the text of this file: a worker may have nothing of ours, or another version of it, or another Python. So nothing
of ours is imported above, and what is asked and found are plain values, of which `fitness` makes sense.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import os
import socket
import stat
import sys
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any


async def examine(asked: dict[str, Any]) -> dict[str, Any]:
    """What is found, after so many `seconds` at the most; then an "error" is all.

    In a thread that nobody waits for: a mount whose server is gone has whoever looks at it wait for ever.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[dict[str, Any]] = loop.create_future()

    def look() -> None:
        try:
            found = look_at(asked)
        except BaseException as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(found))

    threading.Thread(target=look, name="takeout-index looks", daemon=True).start()
    try:
        return await asyncio.wait_for(answer, asked["seconds"])
    except TimeoutError:
        return {"error": f"no answer within {asked['seconds']} seconds: does a mount there hang?"}


def look_at(asked: dict[str, Any]) -> dict[str, Any]:
    """What is found here of what is asked."""
    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "python": list(sys.version_info[:2]),
        "executable": sys.executable,
        "user": os.geteuid(),
        "versions": {name: _version(name) for name in asked["versions"]},
        "import": "",
        "extraction": None,
        "lacking": [],
        "roots": {},
        "work": "",
        "token": "",
    }
    try:
        importlib.import_module(asked["import"])
        found["extraction"] = importlib.import_module("pipeline.planning").EXTRACTION_VERSION
    except Exception as error:  # whatever has that name there
        found["import"] = f"{error}" if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
    found["lacking"] = [name for name in asked["modules"] if importlib.util.find_spec(name) is None]
    if found["import"] or found["lacking"]:
        return found | {"roots": {each["path"]: _local_root(each) for each in asked["roots"] if not each["url"]}}
    for each in asked["roots"]:
        found["roots"][each["path"]] = _remote_root(each) if each["url"] else _local_root(each)
    if asked["work"]:
        found["work"], found["token"] = _work_folder(**asked["work"])
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _local_root(asked: dict[str, Any]) -> str:
    """What is wrong with a folder or an archive: empty if it is the one that is meant."""
    path = asked["path"]
    try:
        state = os.stat(path)
        if asked["form"] != "folder":
            if not stat.S_ISREG(state.st_mode):
                return "it is no file"
            with open(path, "rb"):
                pass
            return _difference(state, asked)
        if not stat.S_ISDIR(state.st_mode):
            return "it is no folder"
        with os.scandir(path):
            pass
        for name, size, modified_ns in asked["samples"]:
            try:
                difference = _difference(os.lstat(f"{path}/{name}"), {"size": size, "modified_ns": modified_ns})
            except FileNotFoundError:
                return f"it is another folder: it has no {name!r}"
            if difference:
                return f"it is another folder: of {name!r} {difference}"
    except OSError as error:
        return _reason(error)
    return ""


def _difference(state: os.stat_result, asked: dict[str, Any]) -> str:
    if asked["size"] is not None and state.st_size != asked["size"]:
        return f"the size is {state.st_size:,} and not {asked['size']:,} bytes"
    if asked["modified_ns"] is not None and state.st_mtime_ns != asked["modified_ns"]:
        apart = abs(state.st_mtime_ns - asked["modified_ns"]) / 1e9
        return f"the time of change is another, by {apart:,.9f} seconds"
    return ""


def _remote_root(asked: dict[str, Any]) -> str:
    remote: Any = importlib.import_module("pipeline.storage.remote")
    try:
        if asked["form"] == "folder":
            files, path = remote.filesystem(asked["path"])
            return "" if remote.retrying(files.exists, path) else "it is not there"
        found = remote.stamp_of(asked["path"])
        return (
            "" if asked["size"] in (None, found.size) else f"the size is {found.size:,} and not {asked['size']:,} bytes"
        )
    except OSError as error:
        return _reason(error)
    except Exception as error:  # of many libraries, and ours for what is no such URL
        return " ".join(str(error).split())


def _work_folder(folder: str, url: bool, name: str, content: bytes) -> tuple[str, str]:
    """What is wrong with the folder that the driver has written a file into; the name of one that is written in answer."""
    answer = f"answer-{uuid.uuid4().hex}"
    try:
        if url:
            remote: Any = importlib.import_module("pipeline.storage.remote")
            if remote.read_whole(remote.join(folder, name)) != content:
                return "it is another folder", ""
            remote.write_whole(remote.join(folder, answer), content)
            return "", answer
        with open(f"{folder}/{name}", "rb") as file:
            if file.read() != content:
                return "it is another folder", ""
        try:
            descriptor = os.open(f"{folder}/{answer}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            return f"it cannot be written: {_reason(error)}", ""
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except FileNotFoundError:
        return "it is another folder" if Path(folder).is_dir() else "it is not there", ""
    except OSError as error:
        return _reason(error), ""
    return "", answer


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
