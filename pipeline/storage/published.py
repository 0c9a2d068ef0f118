"""What has been published: the report ``run.json``, with size and CRC-32 of all other files, and its own.

So the next run knows what it may build on. A file that was changed, cut or lost since then is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from zlib_ng import zlib_ng

from pipeline.item import stored_text
from pipeline.problems import UsageError
from pipeline.storage.parts import is_inside

#: Bytes read at a time.
BLOCK = 1 << 20


class Published(NamedTuple):
    """Size and CRC-32 of a file as it was published."""

    size: int
    crc32: int

    @classmethod
    def of(cls, path: Path) -> Published:
        """As the file is now. Raises OSError."""
        size = crc = 0
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                size, crc = size + len(block), zlib_ng.crc32(block, crc)
        return cls(size, crc)


def published_files(folder: Path, names: Iterable[str]) -> dict[str, Published]:
    """All files of some names in the folder, files and folders, by their paths below it."""
    found: dict[str, Published] = {}
    for name in names:
        path = folder / name
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                found[str(each.relative_to(folder))] = Published.of(each)
    return found


def report_text(report: Mapping[str, Any], files: Mapping[str, Published]) -> str:
    """``run.json``: a report, what was published with it, and a check of all that."""
    whole = dict(report) | {
        "files": {name: {"bytes": size, "crc32": f"{crc:08x}"} for name, (size, crc) in files.items()}
    }
    return _text(whole | {"check": _check(whole)})


def read_report(path: Path) -> tuple[dict[str, Any], dict[str, Published]] | None:
    """The report, and what was published with it; None if there is none that is as it was written."""
    if not path.is_file():  # a pipe would be waited for without end
        return None
    try:
        return parse_report(path.read_bytes())
    except OSError:
        return None


def parse_report(data: bytes) -> tuple[dict[str, Any], dict[str, Published]] | None:
    """The same of the bytes of a ``run.json``."""
    try:
        whole = json.loads(data)
        if whole.pop("check") != _check(whole):
            return None
        files = {name: Published(each["bytes"], int(each["crc32"], 16)) for name, each in whole.pop("files").items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return whole, files


def refuse_input(path: str | Path, results: Path) -> None:
    """Raises UsageError if the resolved path, or the URL, is one of the inputs that were scanned into `results`, or lies inside
    of one."""
    found, path = read_report(results / "run.json"), str(path)
    for place in found[0]["input_paths"] if found else ():
        if is_inside(stored_text(path), place):
            where = f"is the input {place}" if path == place else f"lies inside the library {place}"
            raise UsageError(f"{path} {where}, which is only ever read: choose another place with -o")


def merged_libraries(folder: Path) -> tuple[str, ...] | None:
    """The libraries that the results in a folder were merged from; None if they are a scan's, or there are none."""
    try:
        report = json.loads((folder / "run.json").read_bytes())
        return tuple(each["library"] for each in report["merged"]) if isinstance(report, dict) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def are_whole(folder: Path, files: Mapping[str, Published]) -> bool:
    """All of these are in the folder as they were published."""
    try:
        return all(Published.of(folder / name) == each for name, each in files.items())
    except OSError:
        return False


def _text(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _check(report: Mapping[str, Any]) -> str:
    return f"{zlib_ng.crc32(_text(report).encode()):08x}"
