"""One date and one place out of many: the tables of docs/dates.md, row by row, and what holds for any input."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.facts import Clip, Exif
from pipeline.resolve import CONFLICT, PRECISIONS, Known, Resolved, date_candidates, place_candidates, resolve
from pipeline.takeout.sidecar import Sidecar
from tests.documents import table

BERLIN, TOKYO = (52.5163, 13.3777), (35.6586, 139.7454)


def known(text: str) -> Known:
    """What a cell of docs/dates.md states: facts separated by semicolons."""
    found = Known()
    for fact in text.split(";"):
        what, _, said = fact.strip().partition(" ")
        found = _with(found, what, said.split())
    return found


def _with(found: Known, what: str, said: list[str]) -> Known:
    if what == "sidecar":
        return replace(found, sidecar=found.sidecar._replace(taken_at=time(said[0])))
    if what == "exif":
        offset = int(said[1]) if len(said) > 1 else None
        return replace(found, exif=found.exif._replace(taken_local=time(said[0]), utc_offset_min=offset))
    if what == "gps":
        return replace(found, exif=found.exif._replace(gps_at=time(said[0])))
    if what == "position":
        latitude, longitude = map(float, said)
        return replace(found, sidecar=found.sidecar._replace(latitude=latitude, longitude=longitude))
    if what == "video":
        return replace(found, clip=found.clip._replace(created_at=time(said[0]), duration_s=10.0))
    if what == "clock":
        offset = int(said[1]) if len(said) > 1 else None
        return replace(found, clip=found.clip._replace(created_local=time(said[0]), utc_offset_min=offset))
    if what == "lasts":
        return replace(found, clip=found.clip._replace(duration_s=float(said[0])))
    if what == "make":
        return replace(found, clip=found.clip._replace(make=said[0]))
    if what == "name":
        return replace(found, name=said[0])
    if what == "folder":
        return replace(found, folder_date=said[0])
    assert what == "modified", what
    return replace(found, modified_at=time(said[0]))


def time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


EXAMPLES = table("dates.md", "known | rule")
CONFLICTS = table("dates.md", "known | conflict")


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row[0])
def test_the_date_is_as_documented(row: list[str]) -> None:
    facts, rule, taken_at, taken_local, offset, precision = row
    found = resolve(known(facts))
    assert (found.taken_at_rule or "", found.taken_precision or "") == (rule, precision)
    assert (found.taken_at, found.taken_local) == (time(taken_at), time(taken_local))
    assert found.utc_offset_min == (int(offset) if offset else None)
    moment = found.taken_local or found.taken_at
    assert found.taken_year == (moment.year if moment else 0)


@pytest.mark.parametrize("row", CONFLICTS, ids=lambda row: row[0])
def test_conflicts_are_as_documented(row: list[str]) -> None:
    facts, conflict = row
    problems = resolve(known(facts)).problems
    assert [problem.message for problem in problems] == ([conflict] if conflict else [])
    assert all((problem.stage, problem.kind) == ("date", "conflict") for problem in problems)


def test_every_rule_is_documented_with_an_example() -> None:
    rules = [
        rule.strip("` ") for row in table("dates.md", "rule | taken from | why there") for rule in row[0].split(",")
    ]
    dates, places = rules[: rules.index("year_folder") + 1], rules[rules.index("year_folder") + 1 :]
    assert set(dates) == {row[1] for row in EXAMPLES} - {""}
    assert places == ["sidecar", "sidecar_exif", "exif", "video"]


def test_candidates_stand_in_the_documented_order() -> None:
    everything = known(
        "sidecar 2019-07-30T12:00:00Z; exif 2019-07-30T14:00:00 +120; gps 2019-07-30T12:00:00Z; video 2019-07-30T12:00:00Z; "
        "name IMG_20190730_140000.jpg; folder 2019"
    )
    rules = [
        rule.strip("` ") for row in table("dates.md", "rule | taken from | why there") for rule in row[0].split(",")
    ]
    found = [candidate.rule for candidate in date_candidates(everything)]
    assert found == sorted(found, key=rules.index)
    assert {"sidecar", "exif_offset", "gps", "video", "name", "year_folder"} <= set(found)


@pytest.mark.parametrize(
    ("facts", "latitude", "rule"),
    [
        (
            Known(
                sidecar=Sidecar(latitude=1, longitude=2, exif_latitude=3, exif_longitude=4),
                exif=Exif(latitude=5, longitude=6),
            ),
            1,
            "sidecar",
        ),
        (
            Known(sidecar=Sidecar(exif_latitude=3, exif_longitude=4), exif=Exif(latitude=5, longitude=6)),
            3,
            "sidecar_exif",
        ),
        (Known(exif=Exif(latitude=5, longitude=6)), 5, "exif"),
        (Known(clip=Clip(latitude=7, longitude=8)), 7, "video"),
        (Known(), None, None),
    ],
)
def test_the_place_by_precedence(facts: Known, latitude: float | None, rule: str | None) -> None:
    found = resolve(facts)
    assert (found.latitude, found.location_rule) == (latitude, rule)
    assert [candidate.rule for candidate in place_candidates(facts)][:1] == ([rule] if rule else [])


def test_the_year_is_that_of_the_wall_clock() -> None:
    eve = Sidecar(taken_at=datetime(2019, 12, 31, 23, 30, tzinfo=UTC))
    there = eve._replace(latitude=BERLIN[0], longitude=BERLIN[1])
    assert resolve(Known(sidecar=eve)).taken_year == 2019
    assert resolve(Known(sidecar=there)).taken_year == 2020
    assert resolve(Known()) == Resolved(taken_year=0)


moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59))
instants = moments.map(lambda moment: moment.replace(tzinfo=UTC))
offsets = st.integers(-14 * 60, 14 * 60)
positions = st.sampled_from([(None, None), BERLIN, TOKYO, (-43.9, -176.5)])


@st.composite
def anything(draw: st.DrawFn) -> Known:
    latitude, longitude = draw(positions)
    return Known(
        sidecar=Sidecar(taken_at=draw(st.none() | instants), latitude=latitude, longitude=longitude),
        exif=Exif(
            taken_local=draw(st.none() | moments),
            utc_offset_min=draw(st.none() | offsets),
            gps_at=draw(st.none() | instants),
        ),
        clip=Clip(
            created_at=draw(st.none() | instants),
            created_local=draw(st.none() | moments),
            utc_offset_min=draw(st.none() | offsets),
            make=draw(st.sampled_from([None, "Apple", "GoPro"])),
        ),
        name=draw(st.sampled_from(["IMG_1.jpg", "IMG_20190730_140000.jpg", "IMG-20190730-WA0001.jpg"])),
        folder_date=draw(st.none() | st.sampled_from(["1826", "1970", "2019", "2100", "2005-02-05"])),
        modified_at=draw(st.none() | instants),
    )


@given(anything())
def test_whatever_is_known_the_answer_is_one_of_the_candidates_and_agrees_with_itself(facts: Known) -> None:
    found = resolve(facts)
    usable = [candidate for candidate in date_candidates(facts) if candidate.usable]
    assert (found.taken_at_rule is None) == (not usable) == (found.taken_year == 0)
    if not usable:
        assert found.taken_at is None and found.taken_local is None
        return
    assert (found.taken_at_rule, found.taken_at) == (usable[0].rule, usable[0].at)
    assert found.taken_precision in PRECISIONS
    if found.utc_offset_min is not None:
        assert found.taken_at is not None and found.taken_local is not None
        apart = found.taken_local.replace(tzinfo=UTC) - found.taken_at - timedelta(minutes=found.utc_offset_min)
        assert abs(apart) <= timedelta(minutes=5) or found.taken_at.year in (1, 9999)
    for problem in found.problems:
        assert problem.kind in ("conflict", "implausible")
    assert (found.time_zone is None) == (found.latitude is None)


@given(anything())
def test_what_lies_within_a_day_is_no_conflict(facts: Known) -> None:
    candidates = [candidate for candidate in date_candidates(facts) if candidate.compared]
    spans = [candidate.span() for candidate in candidates]
    if spans and max(end for _, end in spans) - min(start for start, _ in spans) <= CONFLICT:
        assert [problem for problem in resolve(facts).problems if problem.kind == "conflict"] == []


def test_the_ends_of_the_calendar_do_not_overflow() -> None:
    first, last = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)
    for moment in (first, last):
        for offset in (-840, 840):
            resolve(
                Known(exif=Exif(taken_local=moment, utc_offset_min=offset, latitude=BERLIN[0], longitude=BERLIN[1]))
            )
        resolve(Known(sidecar=Sidecar(taken_at=moment.replace(tzinfo=UTC), latitude=TOKYO[0], longitude=TOKYO[1])))
