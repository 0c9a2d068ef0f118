"""What a file is, by its content and never by its name alone."""

import pytest

from pipeline.media.sniff import kind, mime, mime_mismatch, sniff
from tests.media.blocks import jpeg, png, tiff, webp


def box(brand: bytes, *others: bytes) -> bytes:
    return (16 + 4 * len(others)).to_bytes(4, "big") + b"ftyp" + brand + b"\0\0\0\0" + b"".join(others) + b"\0" * 64


@pytest.mark.parametrize(
    ("head", "name", "form", "expected", "what"),
    [
        (jpeg(), "a.jpg", "jpeg", "image/jpeg", "image"),
        (jpeg(), "a.nef", "jpeg", "image/jpeg", "image"),
        (b"\xff\xd8", "a.jpg", "jpeg", "image/jpeg", "image"),
        (png(), "a.jpg", "png", "image/png", "image"),
        (webp((b"VP8 ", b"x" * 20)), "a", "webp", "image/webp", "image"),
        (b"GIF89a" + b"\1\0\1\0\0\0\0;", "a.gif", "gif", "image/gif", "image"),
        (tiff({}), "a.tif", "tiff", "image/tiff", "image"),
        (tiff({}), "a.DNG", "tiff", "image/x-adobe-dng", "image"),
        (b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 40, "a.jpg", "tiff", "image/x-canon-cr2", "image"),
        (b"IIU\0\x18\0\0\0" + b"\0" * 40, "a", "tiff", "image/x-panasonic-rw2", "image"),
        (box(b"heic", b"mif1", b"heic"), "a.jpg", "heif", "image/heic", "image"),
        (box(b"mif1", b"heic"), "a.heic", "heif", "image/heif", "image"),
        (box(b"avif", b"mif1"), "a.avif", "heif", "image/avif", "image"),
        (box(b"crx ", b"isom"), "a.cr3", "cr3", "image/x-canon-cr3", "image"),
        (box(b"mp42", b"isom"), "a.jpg", "mp4", "video/mp4", "video"),
        (box(b"qt  ", b"qt  "), "a.mp4", "mp4", "video/quicktime", "video"),
        (box(b"3gp4", b"isom"), "a.3gp", "mp4", "video/3gpp", "video"),
        (b"\0\0\0\x08wide\0\0\0\x10mdat" + b"\0" * 40, "a.mov", "mp4", "video/quicktime", "video"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "a.mkv", "matroska", "video/x-matroska", "video"),
        (b"RIFF\0\0\0\0AVI LIST" + b"\0" * 40, "a.avi", "avi", "video/x-msvideo", "video"),
        ((b"\x47" + b"\0" * 187) * 5, "a.mts", "mpegts", "video/MP2T", "video"),
        (b"<html><body>no</body></html>", "a.jpg", "", "text/html", "other"),
        (b"Hello, world. This is text.", "a.mp4", "", "text/plain", "other"),
    ],
)
def test_form_mime_and_kind(head: bytes, name: str, form: str, expected: str, what: str) -> None:
    assert sniff(head) == form
    found = mime(head, name, form)
    assert found == expected
    assert kind(found, form) == what


@pytest.mark.parametrize(
    "head",
    [
        png(),
        webp((b"VP8 ", b"x" * 20)),
        b"GIF87a" + b"\1\0\1\0\0\0\0;",
        *(box(brand, b"mif1") for brand in (b"avif", b"avis", b"heic", b"heix")),
        *(box(brand) for brand in (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1")),
        *(box(brand, b"isom") for brand in (b"qt  ", b"M4V ", b"3gp4", b"3gp5", b"3gp6")),
    ],
)
def test_what_is_answered_without_libmagic_is_what_it_says(head: bytes) -> None:
    mime(b"text", "a", "")  # binds python-magic to the bundled library, whatever the system has
    import magic

    assert mime(head, "a", sniff(head)) == magic.from_buffer(head, mime=True)


@pytest.mark.parametrize(
    ("found", "extension", "expected"),
    [
        ("image/jpeg", "jpg", False),
        ("image/jpeg", "heic", True),
        ("image/heif", "heic", False),
        ("image/tiff", "dng", False),
        ("image/jpeg", "nef", True),
        ("video/mp4", "mov", False),
        ("video/3gpp", "mp4", False),
        ("video/mp4", "mp", False),
        ("image/jpeg", "mp4", True),
        ("text/html", "jpg", True),
        ("image/jpeg", "", False),
    ],
)
def test_content_against_extension(found: str, extension: str, expected: bool) -> None:
    assert mime_mismatch(found, extension) is expected
