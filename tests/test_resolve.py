"""One date and one place out of many: the order of precedence, as a table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.media.facts import Clip, Exif
from pipeline.resolve import Resolved, resolve
from pipeline.takeout.sidecar import Sidecar

NOON = datetime(2019, 7, 30, 12, tzinfo=UTC)
BERLIN: dict[str, Any] = {"latitude": 52.5163, "longitude": 13.3777}  # UTC+2 in July
TOKYO: dict[str, Any] = {"latitude": 35.6586, "longitude": 139.7454}


def local(hour: int, day: int = 30) -> datetime:
    return datetime(2019, 7, day, hour)


@pytest.mark.parametrize(
    ("sidecar", "exif", "clip", "taken_at", "rule", "taken_local", "offset", "zone"),
    [
        # the sidecar wins; EXIF has the wall clock
        (Sidecar(taken_at=NOON), Exif(taken_local=local(14)), None, NOON, "sidecar", local(14), 120, None),
        (Sidecar(taken_at=NOON), None, None, NOON, "sidecar", None, None, None),
        (Sidecar(taken_at=NOON, **BERLIN), None, None, NOON, "sidecar", local(14), 120, "Europe/Berlin"),
        (
            Sidecar(taken_at=NOON, **TOKYO),
            Exif(taken_local=local(14)),
            None,
            NOON,
            "sidecar",
            local(14),
            120,
            "Asia/Tokyo",
        ),
        # a wall clock of another day is no wall clock of this moment
        (Sidecar(taken_at=NOON), Exif(taken_local=local(14, 25)), None, NOON, "sidecar", None, None, None),
        # without a sidecar: EXIF with offset, GPS time, the zone of the place
        (None, Exif(taken_local=local(14), utc_offset_min=120), None, NOON, "exif_offset", local(14), 120, None),
        (None, Exif(taken_local=local(14), gps_at=NOON), None, NOON, "gps", local(14), 120, None),
        (None, Exif(taken_local=local(14), **BERLIN), None, NOON, "exif_zone", local(14), 120, "Europe/Berlin"),
        (None, Exif(gps_at=NOON), None, NOON, "gps", None, None, None),
        (None, Exif(taken_local=local(14)), None, None, None, local(14), None, None),
        # a GPS time that no offset explains is not used
        (None, Exif(taken_local=local(14), gps_at=NOON - timedelta(days=9)), None, None, None, local(14), None, None),
        # videos
        (None, None, Clip(created_at=NOON), NOON, "video", None, None, None),
        (
            None,
            None,
            Clip(created_at=NOON, created_local=local(14), utc_offset_min=120),
            NOON,
            "video",
            local(14),
            120,
            None,
        ),
        (None, None, Clip(created_local=local(14), utc_offset_min=120), NOON, "video", local(14), 120, None),
        (Sidecar(taken_at=NOON), None, Clip(created_at=NOON - timedelta(days=800)), NOON, "sidecar", None, None, None),
    ],
)
def test_when(
    sidecar: Sidecar | None,
    exif: Exif | None,
    clip: Clip | None,
    taken_at: datetime | None,
    rule: str | None,
    taken_local: datetime | None,
    offset: int | None,
    zone: str | None,
) -> None:
    found = resolve(sidecar=sidecar, exif=exif, clip=clip)
    assert (found.taken_at, found.taken_at_rule) == (taken_at, rule)
    assert (found.taken_local, found.utc_offset_min, found.time_zone) == (taken_local, offset, zone)


@pytest.mark.parametrize(
    ("sidecar", "exif", "clip", "latitude", "rule"),
    [
        (
            Sidecar(latitude=1, longitude=2, exif_latitude=3, exif_longitude=4),
            Exif(latitude=5, longitude=6),
            None,
            1,
            "sidecar",
        ),
        (Sidecar(exif_latitude=3, exif_longitude=4), Exif(latitude=5, longitude=6), None, 3, "sidecar_exif"),
        (Sidecar(), Exif(latitude=5, longitude=6), None, 5, "exif"),
        (Sidecar(), None, Clip(latitude=7, longitude=8), 7, "video"),
        (None, None, None, None, None),
    ],
)
def test_where(
    sidecar: Sidecar | None, exif: Exif | None, clip: Clip | None, latitude: float | None, rule: str | None
) -> None:
    found = resolve(sidecar=sidecar, exif=exif, clip=clip)
    assert (found.latitude, found.location_rule) == (latitude, rule)


def test_the_year_is_that_of_the_wall_clock() -> None:
    eve = datetime(2019, 12, 31, 23, 30, tzinfo=UTC)
    assert resolve(sidecar=Sidecar(taken_at=eve), exif=None, clip=None).taken_year == 2019
    assert resolve(sidecar=Sidecar(taken_at=eve, **BERLIN), exif=None, clip=None).taken_year == 2020
    assert resolve(sidecar=None, exif=None, clip=None) == Resolved(taken_year=0)


def test_the_ends_of_the_calendar_do_not_overflow() -> None:
    first, last = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)
    for moment in (first, last):
        for offset in (-840, 840):
            resolve(sidecar=None, exif=Exif(taken_local=moment, utc_offset_min=offset, **BERLIN), clip=None)
        resolve(sidecar=Sidecar(taken_at=moment.replace(tzinfo=UTC), **TOKYO), exif=None, clip=None)
