"""The model of scans that are too large to be tried: its laws, and that it says of a real small one what that says itself."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scale_model import (
    CHANGES,
    DOCS,
    LISTED,
    MEASURED,
    PLACES,
    SIZES,
    WORKERS,
    Costs,
    Place,
    by_events,
    changes,
    draw,
    predict,
    renewed,
    table,
)
from pipeline import Settings
from pipeline.api import scan

COSTS = Costs.measured(tomllib.loads(MEASURED.read_text("utf-8")))
photos = st.integers(1, 100_000_000)
workers = st.integers(1, 2_000)
places = st.builds(
    Place,
    requests=st.floats(0, 10),
    read_bytes=st.floats(0, 1e7),
    latency_s=st.floats(0, 0.5),
    threads=st.integers(1, 64),
    request_us=st.floats(0, 5_000),
    requests_per_s=st.floats(10, 1e6),
    worker_bytes_per_s=st.floats(1e6, 1e10),
    bytes_per_s=st.floats(1e6, 1e12),
    driver_bytes_per_s=st.floats(1e6, 1e10),
    driver_latency_s=st.floats(0, 0.1),
    shard_photos=st.integers(1, 10_000),
    worker_start_s=st.floats(0, 600),
    slowest=st.floats(1, 3),
    deaths_per_hour=st.floats(0, 1),
    restart_s=st.floats(0, 600),
    worker_price=st.floats(0, 1),
    driver_price=st.floats(0, 1),
    price_per_1000=st.floats(0, 1),
    price_per_gb=st.floats(0, 1),
)
#: What rounding may do.
EXACT = 1 + 1e-9


@given(photos, workers, workers, places)
def test_more_workers_are_never_slower(photos: int, some: int, others: int, place: Place) -> None:
    few, many = sorted((some, others))
    assert predict(photos, many, place, COSTS).seconds <= predict(photos, few, place, COSTS).seconds * EXACT


@given(photos, workers, places)
def test_no_run_is_faster_than_any_of_its_resources(photos: int, workers: int, place: Place) -> None:
    found = predict(photos, workers, place, COSTS)
    assert max(found.busy.values()) <= found.seconds * EXACT
    assert found.busy[found.bottleneck] == max(found.busy.values())
    assert 0 <= found.idle_price <= found.price * EXACT


@given(photos, workers, places, st.floats(0, 10), st.floats(0.001, 1))
def test_requests_cost_time_and_money(photos: int, workers: int, place: Place, more: float, price: float) -> None:
    place = replace(place, price_per_1000=price)
    asking = replace(place, requests=place.requests + more)
    before, after = predict(photos, workers, place, COSTS), predict(photos, workers, asking, COSTS)
    assert after.seconds * EXACT >= before.seconds
    assert after.price * EXACT >= before.price + photos * more / 1000 * price * (1 - 1e-6)


@given(st.integers(1_000, 1_000_000), workers, places)
def test_twice_the_files_take_twice_the_time_in_the_limit(thousands: int, workers: int, place: Place) -> None:
    shards = thousands * 1_000 * workers  # so many that what is started once, and the last of them, is nothing
    place = replace(place, shard_photos=100)
    once = predict(shards * 100, workers, place, COSTS)
    twice = predict(shards * 200, workers, place, COSTS)
    fixed = COSTS.start_s + place.worker_start_s
    assert (twice.seconds - fixed) / (once.seconds - fixed) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("workers", [1, 10, 100])
@pytest.mark.parametrize("name", sorted(PLACES))
def test_shard_by_shard_it_takes_as_long(name: str, workers: int) -> None:
    """With stragglers, deaths, and a store and a driver that serve one after the other: within a tenth."""
    for seed in range(3):
        stepping = by_events(2_500_000, workers, PLACES[name], COSTS, seed)
        assert stepping == pytest.approx(predict(2_500_000, workers, PLACES[name], COSTS).stages["extract"], rel=0.1)


def test_it_goes_through_every_shard_of_a_run_without_chance() -> None:
    """Where no shard is slower and no worker dies, ten workers do forty shards in four turns; the driver takes in the last."""
    place = Place(requests=0, read_bytes=0, shard_photos=1_000)
    costs = replace(COSTS, worker_us=1_000, worker_shard_us=0, insert_us=0, task_us=0, scheduler_us=0, shard_bytes=0)
    assert by_events(40_000, 10, place, costs) == pytest.approx(4.0)
    assert predict(40_000, 10, place, costs).stages["extract"] == pytest.approx(4.0, rel=0.25)


def test_of_one_worker_it_says_what_the_stages_of_a_real_scan_say(synthetic: Path, tmp_path: Path) -> None:
    report = scan(synthetic, tmp_path / "index", Settings(mode="sequential"))
    stages = report["stages"]
    one = Place(requests=0, read_bytes=0, shard_photos=report["media"])
    found = predict(report["media"], 1, one, Costs.of_run(report))
    listed = LISTED * report["media"] / report["listed"]  # the model takes so many more to be listed
    listing = stages["archives"] + stages["list"] + stages["pair"]
    assert found.stages["list"] + found.stages["pair"] == pytest.approx(listing * listed, abs=0.001)
    assert found.stages["extract"] == pytest.approx(stages["extract"], abs=0.001)
    assert found.seconds == pytest.approx(stages["total"] + listing * (listed - 1), abs=0.001)


def test_sizes_of_the_issue_have_a_time_a_price_and_a_limit(tmp_path: Path) -> None:
    for name in PLACES:
        lines = list(table(name, SIZES, WORKERS, COSTS))
        assert len(lines) == 2 + len(SIZES) * len(WORKERS)
        assert {line.count("|") for line in lines} == {9}
        assert len(list(changes(name, SIZES[-1], WORKERS[1:], COSTS))) == 2 + len(CHANGES)
    draw(["bucket"], SIZES, COSTS, tmp_path / "scale.svg")
    assert (tmp_path / "scale.svg").read_text("utf-8").startswith("<?xml")


def test_no_change_makes_it_slower_than_merging_does() -> None:
    for place in PLACES.values():
        for count in WORKERS:
            before = predict(SIZES[-1], count, place, COSTS).seconds
            for name, change in CHANGES.items():
                found = change(SIZES[-1], count, place, COSTS)
                assert found.seconds - found.stages.get("merge", 0.0) <= before * EXACT, name


def test_tables_of_the_documentation_are_those_of_the_model() -> None:
    page = DOCS.read_text("utf-8")
    assert page.count("<!-- scale: ") == page.count("<!-- end -->") == 4
    assert renewed(page, COSTS) == page, "run `python -m benchmarks.scale_model --docs`"
