"""Sidecars: every field typed, everything odd a problem and not a loss."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.problems import MediaError
from pipeline.takeout.sidecar import Comment, gist, is_album_name, parse_album, parse_sidecar

FULL: dict[str, Any] = {
    "title": "IMG_1.jpg",
    "description": "At the \u201csea\u201d",
    "imageViews": "12",
    "creationTime": {"timestamp": "1570000000", "formatted": "Oct 2, 2019, 7:06:40 AM UTC"},
    "photoTakenTime": {"timestamp": "1564488000", "formatted": "6 oct. 2023"},
    "geoData": {"latitude": 52.5, "longitude": -13.25, "altitude": 34.0, "latitudeSpan": 0.25, "longitudeSpan": 0.0},
    "geoDataExif": {"latitude": 1.5, "longitude": 2.5, "altitude": 0.0},
    "people": [{"name": "Anna"}, {"name": "Zoë"}, {"name": "Anna"}],
    "url": "https://photos.google.com/photo/x",
    "favorited": True,
    "archived": True,
    "googlePhotosOrigin": {
        "mobileUpload": {"deviceFolder": {"localFolderName": "WhatsApp Images"}, "deviceType": "ANDROID_PHONE"}
    },
    "appSource": {"androidPackageName": "com.whatsapp"},
    "modificationTime": {"timestamp": "1570000001", "formatted": ""},
    "photoLastModifiedTime": {"timestamp": "1570000002", "formatted": ""},
    "sharedAlbumComments": [
        {
            "text": "Nice &amp; warm",
            "creationTime": {"timestamp": "1570000003"},
            "contentOwnerName": "Tom",
            "liked": True,
        }
    ],
    "locked": True,
    "removeResultReason": "unknown",
}


def parse(change: dict[str, Any]) -> tuple[Any, list[str]]:
    sidecar, problems = parse_sidecar(json.dumps({**FULL, **change}).encode())
    return sidecar, [problem.kind for problem in problems]


def test_every_field() -> None:
    sidecar, kinds = parse({})
    assert kinds == []
    assert (sidecar.title, sidecar.description, sidecar.views) == ("IMG_1.jpg", "At the “sea”", 12)
    assert sidecar.taken_at == datetime(2019, 7, 30, 12, tzinfo=UTC)
    assert sidecar.uploaded_at == datetime(2019, 10, 2, 7, 6, 40, tzinfo=UTC)
    assert (sidecar.latitude, sidecar.longitude, sidecar.altitude_m) == (52.5, -13.25, 34.0)
    assert (sidecar.exif_latitude, sidecar.exif_longitude, sidecar.exif_altitude_m) == (1.5, 2.5, 0.0)
    assert sidecar.people == ("Anna", "Zoë")
    assert (sidecar.favorited, sidecar.archived, sidecar.trashed) == (True, True, False)
    assert (sidecar.origin, sidecar.device_type) == ("mobileUpload", "ANDROID_PHONE")
    assert (sidecar.app_source, sidecar.device_folder, sidecar.composition) == ("com.whatsapp", "WhatsApp Images", None)
    assert sidecar.changed_at == sidecar.uploaded_at + timedelta(seconds=1)
    assert sidecar.file_modified_at == sidecar.changed_at + timedelta(seconds=1)
    assert (sidecar.latitude_span, sidecar.longitude_span) == (0.25, None)
    assert sidecar.comments == (Comment("Nice & warm", "Tom", datetime(2019, 10, 2, 7, 6, 43, tzinfo=UTC), True),)
    assert (sidecar.locked, sidecar.remove_reason) == (True, "unknown")
    assert json.loads(sidecar.json) == FULL


@pytest.mark.parametrize(
    ("change", "field", "expected", "kinds"),
    [
        ({"title": 12345}, "title", None, ["wrong_type"]),
        ({"title": None}, "title", None, []),
        ({"title": "Tom &amp; Jerry&#39;s.jpg"}, "title", "Tom & Jerry's.jpg", []),
        ({"title": "AT&T &copy= &nosuch; & more.jpg"}, "title", "AT&T &copy= &nosuch; & more.jpg", []),
        ({"description": "1 &lt; 2 &quot;x&quot;"}, "description", '1 < 2 "x"', []),
        ({"photoTakenTime": "1564488000"}, "taken_at", datetime(2019, 7, 30, 12, tzinfo=UTC), []),
        ({"googlePhotosOrigin": {"composition": {"type": "AUTO"}}}, "composition", "AUTO", []),
        ({"googlePhotosOrigin": {"mobileUpload": {"deviceFolder": None}}}, "device_folder", None, []),
        ({"sharedAlbumComments": None}, "comments", (), []),
        ({"sharedAlbumComments": {"text": "x"}}, "comments", (), ["wrong_type"]),
        ({"sharedAlbumComments": ["x", {"liked": True}]}, "comments", (Comment("", liked=True),), ["wrong_type"]),
        ({"people": [{"name": " Zoe\u0308 "}, {"name": "Zo\u00eb"}]}, "people", ("Zo\u00eb",), []),
        ({"description": ""}, "description", None, []),
        ({"photoTakenTime": {"timestamp": "0"}}, "taken_at", None, []),
        ({"photoTakenTime": None}, "taken_at", None, []),
        (
            {"photoTakenTime": {"timestamp": "-1000000000"}},
            "taken_at",
            datetime(1938, 4, 24, 22, 13, 20, tzinfo=UTC),
            [],
        ),
        ({"photoTakenTime": {"timestamp": 1564488000}}, "taken_at", datetime(2019, 7, 30, 12, tzinfo=UTC), []),
        ({"photoTakenTime": {"timestamp": "１５６４４８８０００"}}, "taken_at", None, ["wrong_type"]),
        ({"photoTakenTime": {"timestamp": "1_564"}}, "taken_at", None, ["wrong_type"]),
        ({"photoTakenTime": {"timestamp": True}}, "taken_at", None, ["wrong_type"]),
        ({"photoTakenTime": "2020-02-03"}, "taken_at", None, ["wrong_type"]),
        ({"photoTakenTime": {"timestamp": "253402300800"}}, "taken_at", None, ["out_of_range"]),
        ({"photoTakenTime": {"timestamp": "9" * 400}}, "taken_at", None, ["wrong_type"]),
        ({"geoData": {"latitude": 0.0, "longitude": 0.0}}, "latitude", None, []),
        ({"geoData": {"latitude": 0.0, "longitude": 7.0}}, "longitude", 7.0, []),
        ({"geoData": {"latitude": 95.0, "longitude": 0.0}}, "latitude", None, ["out_of_range"]),
        ({"geoData": {"latitude": "52.5", "longitude": "-13"}}, "longitude", -13.0, []),
        ({"geoData": [52.5, 13.4]}, "latitude", None, ["wrong_type"]),
        ({"geoData": {"latitude": None, "longitude": None}}, "latitude", None, []),
        ({"people": [{"name": "A"}, {}, {"name": 7}, "B"]}, "people", ("A",), ["wrong_type"]),
        ({"people": {"name": "A"}}, "people", (), ["wrong_type"]),
        ({"favorited": "true"}, "favorited", True, []),
        ({"favorited": 1}, "favorited", False, ["wrong_type"]),
        ({"imageViews": "many"}, "views", None, ["wrong_type"]),
        ({"googlePhotosOrigin": {"webUpload": {"computerUpload": {}}}}, "origin", "webUpload", []),
        ({"googlePhotosOrigin": {"somethingNew": {}}}, "origin", "somethingNew", []),
        ({"googlePhotosOrigin": {}}, "origin", None, []),
    ],
)
def test_odd_fields(change: dict[str, Any], field: str, expected: Any, kinds: list[str]) -> None:
    sidecar, found = parse(change)
    assert getattr(sidecar, field) == expected
    assert found == kinds
    assert sidecar.url == FULL["url"]  # the rest is still used


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b'\xef\xbb\xbf{"title": "bom"}', "bom"),
        ('{"title": "wide"}'.encode("utf-16"), "wide"),
        (b'{"title": "\\ud800x"}', "\\ud800x"),
        (b'{"title": "nan", "geoData": {"latitude": NaN, "longitude": Infinity}}', "nan"),
        (b'{"title": "long", "n": 123456789012345678901234567890}', "long"),
        ('{"title": "Käse"}'.encode("latin-1"), "Käse"),
    ],
)
def test_encodings_and_numbers_that_strict_readers_refuse(data: bytes, title: str) -> None:
    sidecar, _ = parse_sidecar(data)
    assert sidecar.title == title
    assert sidecar.json is not None
    sidecar.json.encode()


@pytest.mark.parametrize(
    "data", [b"", b"  \n", b"{", b"<html>", b"[1]", b"null", b'"text"', b"[" * 100_000, b"\0" * 512]
)
def test_what_is_no_object_is_named(data: bytes) -> None:
    with pytest.raises(MediaError):
        parse_sidecar(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from([*FULL, "timestamp", "latitude", "longitude", "name"]), x)
        ),
    )
)
def test_any_json_gives_values_that_can_be_stored_or_a_media_error(value: Any) -> None:
    try:
        sidecar, problems = parse_sidecar(json.dumps(value).encode())
    except MediaError:
        return
    for text in (sidecar.title, sidecar.description, sidecar.url, sidecar.origin, sidecar.json, *sidecar.people):
        if text is not None:
            text.encode()
    for problem in problems:
        problem.message.encode()


def test_a_deep_value_costs_its_field_alone() -> None:
    deep = b"[" * 900 + b"]" * 900
    sidecar, problems = parse_sidecar(b'{"title": ' + deep + b', "description": "kept"}')
    assert (sidecar.title, sidecar.description) == (None, "kept")
    assert [problem.kind for problem in problems] == ["wrong_type"]


def test_marks_without_end_on_one_letter_take_no_time() -> None:
    name = "e" + "\u0301\u0327" * 500_000
    sidecar, _ = parse_sidecar(json.dumps({"title": name, "people": [{"name": name}, {"name": "Zoe\u0301"}]}).encode())
    assert sidecar.people == (name, "Zo\u00e9")


def test_a_zero_byte_is_escaped_as_it_would_end_the_text() -> None:
    sidecar, _ = parse_sidecar(b'{"title": "a\\u0000b", "people": [{"name": "\\u0000"}]}')
    assert (sidecar.title, sidecar.people) == (r"a\x00b", (r"\x00",))


@pytest.mark.parametrize(
    ("value", "name", "kind"),
    [
        ({"title": "x.jpg", "photoTakenTime": {}}, "metadata.json", "item"),
        ({"title": "x", "url": "u", "creationTime": {}}, "x.json", "item"),
        ({"title": "Trip", "access": "protected", "date": {}}, "anything.json", "album"),
        ({"albumData": {"title": "Trip"}}, "metadata.json", "album"),
        ({"title": "Book", "date": {}, "externalOrderId": "7", "category": "PHOTO_BOOK"}, "order.json", "other"),
        ({"title": "Trip"}, "métadonnées.json", "album"),
        ({"title": "Trip"}, "メタデータ情報.json", "titled"),
        ({"title": "Trip", "description": "by the sea"}, "metadata.json", "album"),
        ({}, "Metadaten(1).json", "album"),
        ({"title": ["a", "list"]}, "user-generated-memory-titles.json", "other"),
        ([1, 2], "x.json", "other"),
    ],
)
def test_what_a_json_file_is_says_its_content(value: Any, name: str, kind: str) -> None:
    assert gist(json.dumps(value).encode(), name).kind == kind


def test_album_files_old_and_new() -> None:
    inner = {"title": "Trip", "description": "d", "access": "shared", "date": {"timestamp": "1564488000"}}
    for value in (inner, {"albumData": inner}):
        album, problems = parse_album(json.dumps(value).encode())
        assert problems == []
        assert (album.title, album.description, album.access) == ("Trip", "d", "shared")
        assert album.created_at == datetime(2019, 7, 30, 12, tzinfo=UTC)
    assert parse_album(b"{}")[0].title is None


def test_what_an_album_tells() -> None:
    place = {"name": "Lisboa", "description": "", "latitudeE7": 387000000, "longitudeE7": -91000000}
    album, _ = parse_album(
        json.dumps(
            {
                "title": "Trip &amp; more",
                "location": "Portugal",
                "geoData": {"latitude": 38.7, "longitude": -9.1},
                "enrichments": [
                    {"narrativeEnrichment": {"text": "First day"}},
                    {"locationEnrichment": {"location": [place, place]}},
                    {"narrativeEnrichment": {"text": "Second day"}},
                    {"mapEnrichment": {}},
                    None,
                ],
                "sharedAlbumComments": [{"text": "Oh!"}],
            }
        ).encode()
    )
    assert (album.title, album.location, album.latitude, album.longitude) == ("Trip & more", "Portugal", 38.7, -9.1)
    assert (album.narrative, album.places) == ("First day\n\nSecond day", ("Lisboa",))
    assert album.comments == (Comment("Oh!"),)
    odd, problems = parse_album(b'{"title": "x", "enrichments": {}, "access": 5, "sharedAlbumComments": 5}')
    assert (odd.title, odd.narrative, odd.access, odd.comments) == ("x", None, None, ())
    assert [problem.kind for problem in problems] == ["wrong_type"] * 3


def test_album_names_in_decomposed_spelling() -> None:
    assert is_album_name("me\u0301tadonne\u0301es.json")
