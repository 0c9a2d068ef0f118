"""Charts and panels of small frames: what they carry, say and leave out."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import charts, panels

HOSTILE = "</script><script>alert(1)</script>"
KINDS = pd.DataFrame(
    {
        "month": pd.to_datetime(["2019-05-01", "2019-06-01", "2019-06-01"]),
        "kind": ["photos", "photos", "videos"],
        "files": [3, 2, 1],
    }
)


def points(*places: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame([{"latitude": y, "longitude": x, "files": 1, "place": f"{x} {y}"} for x, y in places])


def drawn(chart: Any) -> dict[str, Any]:
    assert not isinstance(chart, panels.Note)
    found: dict[str, Any] = chart.to_dict()
    return found


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (charts.over_time, ["month", "kind", "files"]),
        (charts.by_hour, ["weekday", "hour", "files"]),
        (charts.storage, ["year", "type", "bytes"]),
        (lambda frame: charts.ranking(frame, "camera"), ["camera", "files"]),
        (charts.point_map, ["latitude", "longitude", "files", "place"]),
    ],
)
def test_where_there_is_nothing_to_draw_a_note_says_so(draw: Any, columns: list[str]) -> None:
    assert isinstance(draw(pd.DataFrame(columns=columns)), panels.Note)


def test_every_chart_says_what_it_shows() -> None:
    assert (
        drawn(charts.over_time(KINDS))["description"] == "Photos and videos by month, May 2019 to June 2019: 6 files."
    )
    hours = pd.DataFrame({"weekday": [1, 7], "hour": [0, 23], "files": [2, 9]})
    assert "Sun at 23:00" in drawn(charts.by_hour(hours))["description"]
    storage = pd.DataFrame({"year": [2019], "type": ["photos"], "bytes": [2_000_000]})
    assert "2.0 MB" in drawn(charts.storage(storage))["description"]
    spot = drawn(charts.point_map(points((11, 48))))["description"]
    assert spot == "Map of where 1 photos and videos were taken, most at 11 48."


def test_a_library_of_many_years_has_a_bar_for_each_year() -> None:
    old = KINDS.assign(month=pd.to_datetime(["1930-01-01", "2019-06-01", "2023-01-01"]))
    assert drawn(charts.over_time(old))["encoding"]["x"]["timeUnit"] == "year"
    assert drawn(charts.over_time(KINDS))["encoding"]["x"]["timeUnit"] == "yearmonth"


def test_years_without_anything_keep_their_room_on_the_axis() -> None:
    storage = pd.DataFrame({"year": [2019, 2022], "type": ["photos", "videos"], "bytes": [1, 2]})
    assert drawn(charts.storage(storage))["encoding"]["x"]["scale"]["domain"] == [2019, 2020, 2021, 2022]


def test_photos_have_the_same_colour_whatever_else_there_is() -> None:
    scale = drawn(charts.over_time(KINDS))["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {"photos": charts.BLUE, "videos": charts.ORANGE}
    other = pd.DataFrame({"year": [1, 1], "type": ["image/jpeg", "other"], "bytes": [1, 2]})
    scale = drawn(charts.storage(other))["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True))["other"] == charts.GREY


def test_names_that_look_alike_keep_bars_of_their_own() -> None:
    frame = pd.DataFrame({"album": ["a" * 400, "a" * 401, None, "b\x1b[31m"], "files": [3, 2, 9, 1]})
    spec = drawn(charts.ranking(frame, "album"))
    names = [row["name"] for rows in spec["datasets"].values() for row in rows] if "datasets" in spec else []
    names = names or [row["name"] for row in spec["layer"][0]["data"]["values"]]
    assert len(names) == len(set(names)) == 3
    assert "b\\x1b[31m" in names


def test_a_map_shows_the_part_of_the_world_that_all_points_are_in() -> None:
    bavaria = drawn(charts.point_map(points((11.5, 48.1), (10.9, 48.4))))
    world = drawn(charts.point_map(points((11.5, 48.1), (151.2, -33.9), (-74, 40.7))))
    pacific = drawn(charts.point_map(points((179.5, -17), (-179.5, -18))))

    def projection(spec: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = spec.get("projection") or spec["layer"][0]["projection"]
        return found

    assert projection(bavaria)["type"] == projection(pacific)["type"] == "mercator"
    assert projection(world)["type"] == "equalEarth"
    assert abs(projection(pacific)["rotate"][0]) == pytest.approx(180, abs=1)
    assert len(json.dumps(bavaria)) < len(json.dumps(world)) / 2, "countries out of sight are left out"


def test_mercator_is_asked_for_no_pole() -> None:
    near = charts._View.of(points((-158, 21), (-74, 40)).to_dict("records"), world=False)
    assert not near.world
    assert min(y for ring in charts._outlines(near) for _, y in ring["geometry"]["coordinates"][0]) > -85
    assert charts._View.of(points((60, -68)).to_dict("records"), world=False).world


@pytest.mark.parametrize("place", [(0, 90), (180, -90), (-180, 0), (180, 84.5)])
def test_a_map_of_one_point_anywhere_is_a_map(place: tuple[float, float]) -> None:
    json.dumps(drawn(charts.point_map(points(place))), allow_nan=False)


def test_spots_without_a_name_are_drawn_without_one() -> None:
    frame = points((11, 48), (12, 47)).assign(place=["Munich", None])
    text = json.dumps(drawn(charts.point_map(frame)), allow_nan=False)
    assert '"place": null' in text


def test_outlines_are_closed_rings_on_the_globe() -> None:
    rings = charts._rings()
    assert len(rings) > 250
    for longitudes, latitudes in rings:
        assert (longitudes[0], latitudes[0]) == (longitudes[-1], latitudes[-1])
        assert -18_000 <= min(longitudes) <= max(longitudes) <= 18_000
        assert -9_000 <= min(latitudes) <= max(latitudes) <= 9_000


def test_a_notebook_without_our_vega_lite_shows_a_picture() -> None:
    bundle = charts._bundle(drawn(charts.over_time(KINDS)))
    assert bundle["image/svg+xml"].startswith("<svg")


def test_a_picture_is_no_wider_for_long_names() -> None:
    frame = pd.DataFrame({"album": ["Hiking, running and everything else that we did outdoors"], "files": [11]})
    picture = charts._bundle(drawn(charts.ranking(frame, "album", what="albums")))["image/svg+xml"]
    (width,) = re.findall(r'<svg[^>]* width="(\d+)"', picture)
    assert int(width) <= charts.WIDTH  # JupyterLab cuts off what is wider than its cells


def test_panels_keep_names_as_text() -> None:
    frame = pd.DataFrame({"name": [HOSTILE, None], "files": [1234, 5], "bytes": [1e9, 1.0]})
    markup = panels.Table(frame, HOSTILE).markup + panels.Tiles({HOSTILE: HOSTILE}).markup + panels.Note(HOSTILE).markup
    assert "<script" not in markup
    assert ">1,234<" in markup and ">1.0 GB<" in markup


class Thumbless:
    """A library whose pictures never come."""

    def thumbnails(self, identities: list[str], size: int) -> Any:
        return iter(())


def test_pictures_that_do_not_come_in_time_are_counted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file_id": ["a"], "name": [HOSTILE], "caption": [None]})
    library: Any = Thumbless()
    markup = panels.ContactSheet(library, frame, seconds=1).markup
    assert "1 of these 1 pictures were not read" in markup
    assert "<script" not in markup
