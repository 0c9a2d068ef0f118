"""What is mutated: real media, hostile ones, sidecars, and small archives of them."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.synthetic import make_library

TESTS = Path(__file__).parent.parent
CORPUS = Path(os.environ.get("TAKEOUT_INDEX_CORPUS", TESTS / "corpus")) / "media"
#: Of a larger file so much is taken; archives beyond this, which are bombs, are left out.
LARGEST, LARGEST_ARCHIVE = 256 << 10, 32 << 10


@dataclass(frozen=True, slots=True)
class Seed:
    """One file to mutate."""

    name: str
    data: bytes


def make_seeds(folder: Path) -> None:
    """Write all seeds below the new `folder`, named by their content, so that they come in the same order everywhere."""
    made = folder / "made"
    make_library(made / "library", files=60, seed=3, image_bytes=4_000, video_bytes=8_000)
    tool = [
        sys.executable,
        str(TESTS / "bad_inputs.py"),
        str(made / "bad"),
        "--only",
        "control,media,sidecars,archives",
    ]
    subprocess.run(tool, check=True, capture_output=True)
    files = {"media": list(_files(CORPUS)), "sidecars": [], "archives": list(_archives())}
    for path, data in _files(made):
        if path.endswith((".zip", ".tgz", ".tar", ".gz")):
            group = "archives" if len(data) <= LARGEST_ARCHIVE else ""
        else:
            group = "sidecars" if path.endswith(".json") else "media"
        if group and data:
            files[group].append((path, data))
    for group, found in files.items():
        (folder / group).mkdir()
        for path, data in found:
            suffix = path[path.rfind(".") :].lower() if "." in path[-8:] else ""
            data = data[:LARGEST]
            (
                folder / group / f"{zlib.crc32(data):08x}{suffix if suffix.isascii() and '/' not in suffix else ''}"
            ).write_bytes(data)


def seeds_in(folder: Path, group: str) -> list[Seed]:
    """The seeds of a group, in order."""
    return [Seed(path.name, path.read_bytes()) for path in sorted((folder / group).iterdir())]


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "manifest.json":
            yield str(path), path.read_bytes()[: LARGEST + 1]


def _archives() -> Iterator[tuple[str, bytes]]:
    """Zips by every method and tars in every dialect, of four small files."""
    media = sorted((data for _, data in _files(CORPUS) if 300 < len(data) < 3000), key=len)[::6][:3]
    members = {f"Takeout/Google Photos/Photos from 2019/IMG_{i}.jpg": data for i, data in enumerate(media)}
    members["Takeout/Google Photos/Photos from 2019/IMG_1.jpg.json"] = (
        b'{"title": "IMG_1.jpg", "photoTakenTime": {"timestamp": "9"}}'
    )
    members["Takeout/Google Photos/Tag am Meer/metadata.json"] = b'{"title": "Tag am Meer", "date": {"timestamp": "1"}}'
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        for streamed in (False, True):
            yield ".zip", _zip(members, method, streamed)
    for dialect in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        tar = _tar(members, dialect)
        yield ".tar", tar
        yield ".tgz", gzip.compress(tar, 6, mtime=0)
        yield ".tgz", gzip.compress(tar[:1536], 6, mtime=0) + gzip.compress(tar[1536:], 1, mtime=0)


class _Pipe(io.RawIOBase):
    """Cannot go back, so that sizes stand behind the members."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.written.append(bytes(data))  # type: ignore[call-overload]
        return len(self.written[-1])


def _zip(members: dict[str, bytes], method: int, streamed: bool) -> bytes:
    sink = _Pipe() if streamed else io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6))
            info.compress_type = method
            with archive.open(info, "w", force_zip64=streamed) as file:
                file.write(data)
    return b"".join(sink.written) if isinstance(sink, _Pipe) else sink.getvalue()


def _tar(members: dict[str, bytes], dialect: int) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=dialect) as archive:
        for number, (name, data) in enumerate(members.items()):
            info = tarfile.TarInfo(
                name if dialect == tarfile.USTAR_FORMAT else name.replace("IMG", "IMG-" + "long" * 30)
            )
            info.size, info.mtime = len(data), 1_600_000_000 + number / 2 * (dialect == tarfile.PAX_FORMAT)
            if dialect == tarfile.PAX_FORMAT and number == 2:
                info.pax_headers = {"size": str(len(data)), "comment": "x" * 90}
            archive.addfile(info, io.BytesIO(data))
            if number == 1:
                link = tarfile.TarInfo("Takeout/link.jpg")
                link.type, link.linkname = (tarfile.LNKTYPE, name)
                archive.addfile(link)
    return sink.getvalue()
