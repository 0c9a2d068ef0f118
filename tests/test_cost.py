"""The cost model gives the published table with the published constants, number for number."""

import pytest

from pipeline.cost import (
    PUBLISHED,
    PUBLISHED_DISK,
    PUBLISHED_FILE_MB,
    PUBLISHED_PROCESSES,
    PUBLISHED_THREADS,
    PUBLISHED_WITH_DISK,
    Constants,
    Prediction,
    choose_mode,
    disk_bound_ms,
    predict,
)


def published(files: int, mode: str, constants: Constants = PUBLISHED) -> Prediction:
    return predict(
        files=files,
        size=files * PUBLISHED_FILE_MB * 1e6,
        mode=mode,
        threads=PUBLISHED_THREADS,
        processes=PUBLISHED_PROCESSES,
        constants=constants,
    )


@pytest.mark.parametrize(
    ("files", "sequential", "parallel", "speed_up"),
    [
        (1_000, "34", "5.3", "6.4"),
        (10_000, "340", "50.3", "6.8"),
        (100_000, "3400", "500.3", "6.8"),
        (500_000, "17000", "2500", "6.8"),
    ],
)
def test_the_published_table_comes_out(files: int, sequential: str, parallel: str, speed_up: str) -> None:
    one, many = published(files, "sequential").seconds, published(files, "parallel").seconds
    assert f"{one:.0f}" == sequential
    assert f"{many:.{len(parallel.partition('.')[2])}f}" == parallel
    assert f"{one / many:.1f}" == speed_up


def test_the_published_operations_add_up() -> None:
    assert PUBLISHED.file_ms(PUBLISHED_FILE_MB) == pytest.approx(34)
    assert PUBLISHED.file_ms(0) - PUBLISHED.other == pytest.approx(0.5 + 0.2 + 2 + 5 + 15 + 10 + 1 + 0.1)
    assert pytest.approx(7.7) == PUBLISHED_FILE_MB


def test_published_memory_and_start_up() -> None:
    assert published(1000, "sequential").memory_mb == 70
    assert published(1000, "parallel").memory_mb == 736
    assert published(0, "sequential").seconds == pytest.approx(0.015)
    assert published(0, "parallel").seconds == pytest.approx(0.282)


def test_the_published_disk_cannot_deliver_what_its_table_says() -> None:
    assert disk_bound_ms(PUBLISHED_FILE_MB, PUBLISHED_DISK) == pytest.approx(15.4)
    bound = published(100_000, "parallel", PUBLISHED_WITH_DISK)
    assert bound.bound == "disk"
    assert bound.seconds == pytest.approx(1540.282)
    assert published(100_000, "sequential", PUBLISHED_WITH_DISK).bound == "processors"


def test_small_libraries_and_little_memory_run_sequentially() -> None:
    def chosen(files: int, free: int | None) -> str:
        return choose_mode(files=files, size=files * 3e6, threads=8, processes=2, free_memory=free)

    assert chosen(10, None) == "sequential"
    assert chosen(1_000_000, None) == "parallel"
    assert chosen(1_000_000, 900_000_000) == "sequential"
    assert choose_mode(files=10**6, size=3e12, threads=4, processes=1, free_memory=None) == "sequential"


def test_more_processes_than_cores_take_memory_and_save_no_time() -> None:
    two, eight = (
        predict(files=10_000, size=3e10, mode="parallel", threads=8, processes=processes, cores=2)
        for processes in (2, 8)
    )
    assert eight.seconds == two.seconds
    assert eight.memory_mb > two.memory_mb
