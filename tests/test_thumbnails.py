"""Small pictures of what was scanned, out of folders and archives, whatever is wrong with it."""

import io
import os
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pipeline import decoding
from pipeline.api import scan
from pipeline.problems import MediaError, UsageError
from pipeline.settings import Settings
from pipeline.thumbnails import thumbnail, thumbnails
from tests.conftest import write_tree

CORPUS = Path(__file__).parent / "corpus" / "media"
FOLDER = "Takeout/Google Photos/Photos from 2020"
SEQUENTIAL = Settings(mode="sequential")


def jpeg(size: tuple[int, int] = (640, 480), left: str = "red", right: str = "blue", orientation: int = 1) -> bytes:
    picture = Image.new("RGB", size, right)
    picture.paste(left, (0, 0, size[0] // 2, size[1]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int) -> bytes:
    """A picture of one colour that is large, and small as a file."""
    packer = zlib.compressobj(9)
    row = b"\0" * ((width + 7) // 8 + 1)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 20_000))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def raw(preview: bytes) -> bytes:
    """A TIFF as raw files are: a stamp that it tells of, and a preview that only its maker's own tags lead to."""
    pixels = bytes(16 * 12 * 3)
    tags = [
        (256, 16),
        (257, 12),
        (258, 8),
        (259, 1),
        (262, 2),
        (273, 0),
        (274, 6),
        (277, 3),
        (278, 12),
        (279, len(pixels)),
    ]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels + b"sensor" * 99 + preview


FILES: dict[str, bytes] = {
    "bomb.png": png(60_000, 60_000),
    "cut.jpg": jpeg()[:-2_000],
    "heic.heic": (CORPUS / "heif-avif" / "ia_IMG_5195.HEIC").read_bytes(),
    "raw.dng": raw(jpeg()),
    "turned.jpg": jpeg(orientation=6),
    "clip.mp4": (CORPUS / "video" / "me_sample_mpeg4.mp4").read_bytes(),
    "text.jpg": b"not a picture at all",
    "\udce9\n<b>.jpg": jpeg(),
}


@pytest.fixture(autouse=True)
def own_processes() -> Iterator[None]:
    """Each test's processes are its own, as they keep the environment that they were started in."""
    decoding.close()
    yield
    decoding.close()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same library as folder, zip (some members stored, some compressed) and tgz."""
    folder = tmp_path_factory.mktemp("thumbnails")
    write_tree(folder / "folder", {f"{FOLDER}/{name}": data for name, data in FILES.items()})
    paths = sorted((folder / "folder" / FOLDER).iterdir())
    with tarfile.open(folder / "a.tgz", "w:gz") as tar:
        tar.add(folder / "folder" / "Takeout", "Takeout")
    with zipfile.ZipFile(folder / "a.zip", "w") as packed:
        for number, path in enumerate(paths):
            name = f"{FOLDER}/{path.name}".encode(errors="surrogateescape").decode("cp437")
            packed.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED)
    return {"folder": folder / "folder", "zip": folder / "a.zip", "tgz": folder / "a.tgz"}


def scanned(place: Path, results: Path) -> tuple[Path, dict[str, str]]:
    """The index, and the ids by name."""
    scan(place, results, SEQUENTIAL)
    with sqlite3.connect(results / "index.sqlite") as db:
        return results / "index.sqlite", {
            name: identity for identity, name in db.execute("SELECT file_id, name FROM media")
        }


@pytest.mark.parametrize("form", ["folder", "zip", "tgz"])
def test_every_file_has_a_picture_or_a_reason(libraries: dict[str, Path], tmp_path: Path, form: str) -> None:
    index, ids = scanned(libraries[form], tmp_path / "out")
    found = dict(thumbnails(index, [*ids.values(), "none such", ids["turned.jpg"]], 64))
    assert len(found) == len(ids) + 1
    named = {name: found[identity] for name, identity in ids.items()}
    turned = named["turned.jpg"]
    assert isinstance(turned, Image.Image)
    assert (turned.size, turned.mode) == ((48, 64), "RGB")
    assert turned.getpixel((24, 5))[0] > 200 > 50 > turned.getpixel((24, 60))[0]  # type: ignore[index]
    preview = named["raw.dng"]
    assert isinstance(preview, Image.Image)
    assert preview.size == (48, 64)  # upright, and not the stamp
    for name in ("cut.jpg", "heic.heic"):
        assert isinstance(named[name], Image.Image), named[name]
    (hostile,) = (named[name] for name in named if "<b>" in name)
    assert isinstance(hostile, Image.Image)
    reasons = {name: answer.kind for name, answer in named.items() if isinstance(answer, MediaError)}
    reasons.pop("clip.mp4", None)  # see below
    assert reasons == {"bomb.png": "too_large", "text.jpg": "no_picture"}
    assert str(found["none such"]).startswith("unknown: ")


def test_a_video_has_a_picture_where_ffmpeg_is_and_else_advice(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, ids = scanned(libraries["zip"], tmp_path / "out")
    if decoding.can_play():
        assert max(thumbnail(index, ids["clip.mp4"], 100).size) == 100
    monkeypatch.setenv("PATH", str(tmp_path))
    decoding.close()
    with pytest.raises(MediaError, match="ffmpeg, which is not installed"):
        thumbnail(index, ids["clip.mp4"])


def test_a_decoder_that_crashes_is_that_files_answer_alone(
    libraries: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, ids = scanned(libraries["folder"], tmp_path / "out")
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nkill -SEGV $PPID\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(MediaError, match=r"crashed.*SIGSEGV"):
        thumbnail(index, ids["clip.mp4"])
    assert thumbnail(index, ids["turned.jpg"], 10).size == (8, 10)


def test_what_is_no_longer_what_was_scanned_is_not_shown(tmp_path: Path) -> None:
    names = ("same.jpg", "other.jpg", "longer.jpg", "gone.jpg", "link.jpg")
    root = write_tree(tmp_path / "in", {f"{FOLDER}/{name}": jpeg() for name in names})
    index, ids = scanned(root, tmp_path / "out")
    folder = root / FOLDER
    os.utime(folder / "same.jpg", (0, 0))
    (folder / "other.jpg").write_bytes(jpeg(left="blue", right="red"))
    (folder / "longer.jpg").write_bytes(jpeg() + b"more")
    (folder / "gone.jpg").unlink()
    (folder / "link.jpg").unlink()
    (folder / "link.jpg").symlink_to("/etc/passwd")
    found = dict(thumbnails(index, list(ids.values())))
    assert isinstance(found[ids["same.jpg"]], Image.Image)
    reasons = {name: str(found[ids[name]]).partition(":")[0] for name in names[1:]}
    assert reasons == {"other.jpg": "changed", "longer.jpg": "changed", "gone.jpg": "vanished", "link.jpg": "link"}
    root.rename(tmp_path / "moved")
    with pytest.raises(MediaError, match=r"vanished: .*in cannot be opened.*has it been moved"):
        thumbnail(index, ids["same.jpg"])


@pytest.mark.parametrize("form", ["zip", "tgz"])
def test_an_archive_that_was_made_anew_gives_what_it_still_has(
    libraries: dict[str, Path], tmp_path: Path, form: str
) -> None:
    archive = tmp_path / libraries[form].name
    archive.write_bytes(libraries[form].read_bytes())
    index, ids = scanned(archive, tmp_path / "out")
    anew = {"turned.jpg": jpeg(orientation=6), "raw.dng": raw(jpeg(left="green"))}
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for name, data in anew.items():
                packed.writestr(f"{FOLDER}/{name}", data)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name, data in anew.items():
                member = tarfile.TarInfo(f"{FOLDER}/{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    found = dict(thumbnails(index, [ids[name] for name in ("turned.jpg", "raw.dng", "cut.jpg")]))
    assert isinstance(found[ids["turned.jpg"]], Image.Image)
    assert str(found[ids["cut.jpg"]]).startswith("vanished")
    assert str(found[ids["raw.dng"]]).partition(":")[0] in ("changed", "vanished")
    archive.write_bytes(archive.read_bytes()[:-400])
    found = dict(thumbnails(index, [ids["cut.jpg"]]))
    assert str(found[ids["cut.jpg"]]).partition(":")[0] in ("damaged", "vanished")


def test_an_absurd_size_is_refused(libraries: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 to 4,096"):
        thumbnail(tmp_path / "index.sqlite", "x", 0)
