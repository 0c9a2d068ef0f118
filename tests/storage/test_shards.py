"""Shards come back as they were written, or not at all; years are told apart without loss and in order."""

from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.item import OPERATIONS, Entry, MediaItem
from pipeline.record import Settled, to_record
from pipeline.storage.durable import private_folder
from pipeline.storage.results import Results, write_media
from pipeline.storage.shards import read_shard, shard_path, write_shard

NO_TIME = (0.0,) * len(OPERATIONS)


def write(folder: Path, name: str, years: list[int]) -> None:
    rows = []
    for number, year in enumerate(years):
        item = MediaItem(media=Entry(f"Takeout/{name}-{number}.jpg", "part", number), file_id=f"{name}-{number}")
        rows.append(({**to_record(item), "taken_year": year, "taken_at": datetime(2001, 2, 3)}, NO_TIME, name))
    (done,) = write_shard(rows, str(folder))
    assert (done.name, done.files, done.bytes) == (name, len(years), sum(range(len(years))))


def test_a_shard_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, "one", [2001, 0])
    found = read_shard(tmp_path, "one")
    assert found.column("path").to_pylist() == ["Takeout/one-0.jpg", "Takeout/one-1.jpg"]
    assert found.column("taken_year").to_pylist() == [2001, 0]


def test_rows_are_taken_as_they_are_made(tmp_path: Path) -> None:
    write(tmp_path, "many", list(range(150)))
    assert read_shard(tmp_path, "many").column("taken_year").to_pylist() == list(range(150))


def test_a_damaged_shard_is_never_read_as_data(tmp_path: Path) -> None:
    write(tmp_path, "one", [2001])
    path = shard_path(tmp_path, "one")
    whole = path.read_bytes()
    for position in range(0, len(whole), 97):
        path.write_bytes(whole[:position])
        with pytest.raises(OSError, match="damaged"):
            read_shard(tmp_path, "one")
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(OSError, match="damaged"):
            read_shard(tmp_path, "one")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_shard(tmp_path, "one")


@pytest.mark.parametrize("rows", [0, 3, 20_000])
def test_rows_of_a_year_are_together_in_the_order_of_the_plan(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.results.ROWS_IN_MEMORY", rows)  # then those of some years are written before
    results = Results(tmp_path)
    for folder in (results.work, results.shards, results.new):
        private_folder(folder)
    years = {"b": [2003, 0, 2003, 2001], "a": [2001], "c": [2001, 2003, 0, 0, 2001]}
    for name, each in years.items():
        write(results.shards, name, each)
    tables = (read_shard(results.shards, name) for name in years)
    write_media(results, tables, Settled(duplicate_of={}, live_partner={}, albums={}))
    found = {
        folder.name: [
            path for file in sorted(folder.iterdir()) for path in pq.ParquetFile(file).read()["path"].to_pylist()
        ]
        for folder in (results.new / "media").iterdir()
    }
    expected: dict[str, list[str]] = {}
    for name, each in years.items():
        for number, year in enumerate(each):
            expected.setdefault(f"taken_year={year}", []).append(f"Takeout/{name}-{number}.jpg")
    assert found == expected
