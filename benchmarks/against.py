"""Against other programs on the same tree of small files: what each of them takes, beside a scan of ours.

exiftool for the metadata, a CRC-32 tool and file for the type, one after the other, as a script would run them; and, with
``--scanner``, any other command. What is not installed is left out.

python -m benchmarks.against [--files 10000] [--scanner 'COMMAND FOLDER']
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.floor import media_files, read_all
from benchmarks.runs import scan, timed
from benchmarks.small import IMAGE_BYTES, VIDEO_BYTES
from pipeline.synthetic import make_library

#: Of each kind the first that is installed; the folder takes the place of FOLDER.
TOOLS = {
    "metadata": ("exiftool -r -fast2 -json FOLDER",),
    "CRC-32": ("rhash --crc32 -r FOLDER", "find FOLDER -type f -exec crc32 {} +"),
    "type": ("find FOLDER -type f -exec file --mime-type {} +",),
}


def seconds_of(command: str, folder: Path) -> float:
    """Seconds that a command takes for the folder; what it says is not looked at."""
    words = [str(folder) if word == "FOLDER" else word for word in shlex.split(command)]

    def run() -> None:
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    return timed(run)


def is_installed(command: str) -> bool:
    """All programs that a command names are there."""
    words = shlex.split(command)
    programs = [words[0], *(after for word, after in pairwise(words) if word == "-exec")]
    return all(shutil.which(program) for program in programs)


def measure(folder: Path, files: int, scanner: str = "") -> dict[str, Any]:
    """Seconds of each; the tree and the results go below `folder`."""
    tree, out = folder / "tree", folder / "out"
    make_library(tree, files=files, seed=11, image_bytes=IMAGE_BYTES, video_bytes=VIDEO_BYTES, corrupt_share=0)
    read_all(media_files([tree]))
    ours = min(timed(scan(out, [tree])) for _ in range(3))
    commands = {kind: next(filter(is_installed, choice), None) for kind, choice in TOOLS.items()}
    if scanner:
        commands["scanner"] = scanner
    found = {kind: (command, seconds_of(command, tree)) for kind, command in commands.items() if command}
    shutil.rmtree(tree)
    return {
        "files": files,
        "ours": ours,
        "tools": {kind: {"command": command, "seconds": seconds} for kind, (command, seconds) in found.items()},
        "missing": sorted(kind for kind, command in commands.items() if command is None),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table of all benchmarks."""
    files, ours, tools = found["files"], found["ours"], dict(found["tools"])
    scanner = tools.pop("scanner", None)
    said = [(f"{files:,} small files, all in", f"{ours:.2f} s")]
    if tools:
        together = sum(each["seconds"] for each in tools.values())
        names = ", ".join(f"`{each['command'].split()[0]}` {each['seconds']:.1f} s" for each in tools.values())
        missing = f"; not installed: {', '.join(found['missing'])}" if found["missing"] else ""
        said.append((f"the same by {names}{missing}", f"{together:.1f} s, {together / ours:.0f}x ours"))
    if scanner:
        said.append(
            (
                f"the same by `{scanner['command']}`",
                f"{scanner['seconds']:.1f} s, {scanner['seconds'] / ours:.1f}x ours",
            )
        )
    return said


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--scanner", default="", help="another command; FOLDER stands for the folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="takeout-bench-") as folder:
        for name, value in rows(measure(Path(folder), options.files, options.scanner)):
            print(f"{name}: {value}")


if __name__ == "__main__":
    main()
