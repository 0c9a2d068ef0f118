"""Decoding pictures, in a process that does nothing else: anybody's bytes in, a small picture out.

Decoders of hostile bytes crash, hang and want gigabytes. Here that costs a process which `decode` starts again. It is no fork
of the caller, who may be a notebook or a web server with threads and locks of any kind: it has nothing of theirs but the one
file, and ends by itself when nobody asks for long, or nobody is left to.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from zlib_ng import zlib_ng

from pipeline.limits import Limits, limited
from pipeline.media.embedded import previews
from pipeline.media.sniff import SNIFFED, sniff
from pipeline.problems import CHANGED, MediaError, Problem, noting, to_install

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: What a picture may take: seconds, and megabytes beyond what the process has.
SECONDS, MB = 30, 1536
#: Bytes of a picture that are read, and pixels that are decoded, at most.
LARGEST, MOST_PIXELS = 512 << 20, 250_000_000
#: Seconds after which a process that nobody asks ends.
IDLE = 60
#: Processes side by side.
MOST = min(4, os.cpu_count() or 1)
#: What Pillow may take a file for. It knows others, of which one hands the file to Ghostscript.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "HEIF", "AVIF", "TIFF", "BMP", "ICO")
PLUGINS = ("Jpeg", "Mpo", "Png", "Gif", "WebP", "Avif", "Tiff", "Bmp", "Ico", "Ppm")
#: What ffmpeg may take a file for: containers, and no playlist, which could have it open other files and addresses.
CONTAINERS = "mov,matroska,webm,avi,asf,mpeg,mpegts,mpegvideo,flv,dv,rm,ogg,h264,hevc"
#: EXIF's tag, and what its values ask for.
ORIENTATION = 0x0112
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
NO_FFMPEG = "no_ffmpeg: a picture of a video takes the program ffmpeg, which is not installed here"
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pipeline.decoding import main
main(int(sys.argv[2]))
"""


class Order(NamedTuple):
    """What is wanted of the bytes [start, start + size) of a file."""

    kind: str  # "image" or "video"
    start: int
    size: int
    crc32: int | None  # that a picture's bytes must have
    longest: int  # side of the answer
    orientation: int  # EXIF's, for a preview that has none of its own
    at: float  # second of a video


def can_play() -> bool:
    """What decodes videos is installed."""
    return shutil.which("ffmpeg") is not None


def decode(order: Order, descriptor: int) -> Image:
    """What is ordered of the file open as `descriptor`, as an RGB picture. Raises MediaError if there is none to be had."""
    from PIL import Image

    with _turns:
        try:
            decoder = _idle.pop()
        except IndexError:
            decoder = Decoder()
        try:
            size, pixels = decoder.decode(order, descriptor)
        finally:
            _idle.append(decoder)
    return Image.frombytes("RGB", size, pixels)


def close() -> None:
    """End the processes that nobody is asking right now. What is needed again is started again."""
    while _idle:
        with suppress(IndexError):
            _idle.pop().close()


class Decoder:
    """A process that decodes, for one thread at a time. It is started when it is asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def decode(self, order: Order, descriptor: int) -> tuple[tuple[int, int], bytes]:
        """Size and RGB pixels. Raises MediaError."""
        for _ in range(2):
            try:
                return self._ask(order, descriptor)
            except (EOFError, ConnectionError):
                status = self.close()
                if status:
                    name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
                    raise MediaError(f"crashed: a decoder crashed on it ({name})") from None
            except MediaError:
                raise
            except BaseException:  # whatever it does now is for nobody
                self.close()
                raise
        raise MediaError("crashed: the process that decodes pictures does not stay")

    def _ask(self, order: Order, descriptor: int) -> tuple[tuple[int, int], bytes]:
        if self._process is None or self._connection is None:
            self._start()
        assert self._process is not None and self._connection is not None
        self._connection.send_bytes(json.dumps(order).encode())
        send_handle(self._connection, descriptor, self._process.pid)
        if not self._connection.poll(SECONDS):
            self.close()
            raise MediaError(f"too_slow: a decoder was cut off, as it took more than {SECONDS} seconds")
        answer = json.loads(self._connection.recv_bytes())
        if "error" in answer:
            raise MediaError(answer["error"])
        width, height = answer["size"]
        return (width, height), self._connection.recv_bytes(3 * width * height)

    def _start(self) -> None:
        ours, theirs = Pipe()
        root = str(Path(__file__).parent.parent)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", PROGRAM, root, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the caller's, and what it starts ends with it
            )
        self._connection = ours

    def close(self) -> int:
        """End the process and what it has started. Returns its status, negative for a signal: 0 if it had ended by itself."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()
        if process is None:
            return 0
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # what has closed its end of the line is about to end
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


_turns = threading.BoundedSemaphore(MOST)
_idle: list[Decoder] = []


def _forget() -> None:
    """A fork of the caller has to leave the caller's processes alone."""
    global _turns, _idle
    _turns, _idle = threading.BoundedSemaphore(MOST), []


os.register_at_fork(after_in_child=_forget)


def main(line: int) -> None:
    """What the process does: answer what comes by the socket `line`, until nothing does."""
    from PIL import Image, ImageFile

    Image.preinit()
    for plugin in PLUGINS:
        with suppress(ImportError):
            import_module(f"PIL.{plugin}ImagePlugin")
    with suppress(ImportError):
        import pi_heif

        pi_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # see MOST_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # half a picture is one
    trace = os.memfd_create("trace")
    connection: Connection[Any, Any] = Connection(line)
    with suppress(EOFError, ConnectionError):
        while connection.poll(IDLE):
            order = Order(*json.loads(connection.recv_bytes()))
            descriptor = recv_handle(connection)
            problems: list[Problem] = []
            picture = None
            try:
                with limited(Limits(SECONDS, MB), trace), noting(problems, "thumbnail"), _as_damage():
                    picture = _OF_KIND[order.kind](order, descriptor)
            except MemoryError:
                problems.append(Problem("thumbnail", "too_much_memory", f"its decoder wanted more than {MB:,} MB"))
            finally:
                os.close(descriptor)
            if picture is None:
                answer = {"error": f"{problems[0].kind}: {problems[0].message}"}
                connection.send_bytes(json.dumps(answer).encode())
            else:
                connection.send_bytes(json.dumps({"size": picture.size}).encode())
                connection.send_bytes(picture.tobytes())
            del picture


@contextmanager
def _as_damage() -> Iterator[None]:
    """What Pillow says of a picture's bytes as an OSError that is none of the system's."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise MediaError(f"damaged: its bytes cannot be decoded ({str(error)[:200]})") from None


def _image(order: Order, descriptor: int) -> Image:
    if order.size > LARGEST:
        raise MediaError(f"too_large: {order.size:,} bytes are more than are read for a small picture")
    data = _read(descriptor, order.start, order.size)
    if len(data) != order.size or (order.crc32 is not None and zlib_ng.crc32(data) != order.crc32):
        raise MediaError(CHANGED)
    whole = _opened(data, FORMATS)
    if whole is None or whole.format == "TIFF":
        # Of a raw file the first picture, by its own account, is often as large as a stamp, and the preview behind it is not.
        least = whole.width * whole.height if whole else 1
        for preview in previews(data):
            if preview.width * preview.height < least:
                break
            if inner := _opened(data[preview.offset :], ("JPEG",)):
                return _small(inner, order.longest, order.orientation)
    if whole is None:
        form = sniff(data[:SNIFFED])
        if form == "heif" and "HEIF" not in _known():
            raise MediaError(f"no_decoder: HEIC is read by pi-heif: {to_install('takeout-index[notebook]')}")
        raise MediaError("no_picture: no picture is found in it" if form else "no_picture: it is no picture")
    return _small(whole, order.longest)


def _read(descriptor: int, start: int, size: int) -> bytes:
    blocks: list[bytes] = []
    while size > 0 and (block := os.pread(descriptor, min(size, 1 << 30), start)):
        blocks.append(block)
        start, size = start + len(block), size - len(block)
    return b"".join(blocks)


def _known() -> frozenset[str]:
    from PIL import Image

    return frozenset(Image.OPEN)


def _opened(data: bytes, formats: tuple[str, ...]) -> ImageFile | None:
    """The picture, of which nothing is decoded yet; None if it is none that is known."""
    from PIL import Image, UnidentifiedImageError

    known = _known()
    try:
        return Image.open(io.BytesIO(data), formats=[name for name in formats if name in known])
    except UnidentifiedImageError:
        return None


def _small(image: ImageFile, longest: int, orientation: int | None = None) -> Image:
    """The picture in RGB, upright, no side longer than `longest`; EXIF's orientation is its own if none is given."""
    from PIL import Image

    image.draft(None, (2 * longest, 2 * longest))  # a JPEG is decoded to what is needed of it
    if image.width * image.height > MOST_PIXELS:
        raise MediaError(f"too_large: {image.width:,} x {image.height:,} pixels are more than are decoded")
    image.load()
    profile = image.info.get("icc_profile")
    if orientation is None:
        orientation = 1
        with suppress(Exception):  # of a damaged block: the picture is still one
            orientation = image.getexif().get(ORIENTATION, 1)
    small: Image.Image = image
    if image.mode in ("P", "PA", "1"):
        small = image.convert("RGBA")
    elif image.mode.startswith(("I", "F")):
        small = _of_many_greys(image)
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    small = _in_srgb(_on_white(small), profile)
    turn = TURNS.get(orientation)
    return small if turn is None else small.transpose(Image.Transpose[turn])


def _of_many_greys(image: Image) -> Image:
    """A picture of more than 256 greys in 256, from its darkest to its brightest."""
    image = image.convert("F")
    low, high = cast(tuple[float, float], image.getextrema())
    scale = 255 / ((high - low) or 1)
    return image.point(lambda value: value * scale - low * scale).convert("L")


def _on_white(image: Image) -> Image:
    """In RGB, or what has a colour profile of its own: what is transparent is white."""
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        return paper.convert("RGB")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _in_srgb(image: Image, profile: bytes | None) -> Image:
    """The colours of a profile, as telephones have, as those that pages and screens mean."""
    if profile:
        with suppress(Exception):  # a damaged profile, or one of other colours than the picture's
            from PIL import ImageCms

            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return image.convert("RGB")


def _video(order: Order, descriptor: int) -> Image:
    program = shutil.which("ffmpeg")
    if program is None:
        raise MediaError(NO_FFMPEG)
    end = order.start + order.size
    place = f"subfile,,start,{order.start},end,{end},,:file:/dev/stdin"
    side = f"min({order.longest},max(iw,ih))"
    shape = f"scale='if(gte(iw,ih),{side},-1)':'if(gte(iw,ih),-1,{side})'"
    said = b""
    for at in dict.fromkeys((order.at, 0.0)):  # some have no picture there
        arguments = f"-v error -threads 1 -protocol_whitelist file,subfile -format_whitelist {CONTAINERS} -ss {at:.3f}"
        result = "-map 0:v:0 -frames:v 1 -f image2pipe -c:v ppm -"
        done = subprocess.run(
            [program, *arguments.split(), "-i", place, "-vf", shape, *result.split()],
            stdin=descriptor,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        if frame := _opened(done.stdout, ("PPM",)):
            return _small(frame, order.longest, 1)
        said = done.stderr
    reason = said.decode(errors="replace").strip().rpartition("\n")[2][:200]
    raise MediaError(f"damaged: ffmpeg finds no picture in it{f' ({reason})' if reason else ''}")


_OF_KIND: dict[str, Callable[[Order, int], Image]] = {"image": _image, "video": _video}
