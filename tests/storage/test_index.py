"""The rows of a shard in SQLite."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.record import RECORD
from pipeline.storage.index import Index, time_text

MOMENTS = (
    datetime(2019, 7, 30, 21, 5, 59),
    datetime(2019, 7, 30, 21, 5, 59, 120_000),
    datetime(1969, 12, 31, 23, 59, 59, 999_999),
    datetime(1, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59, 1),
    None,
)


@pytest.mark.parametrize("moment", MOMENTS)
def test_times_are_written_as_python_spells_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: datetime | None
) -> None:
    monkeypatch.setattr("pipeline.storage.index.BATCH", 1)  # each row is committed
    instant = moment and moment.replace(tzinfo=UTC)
    row = {"file_id": "1", "path": "a", "taken_at": instant, "taken_local": moment}
    lists: dict[str, list[str]] = {"people": [], "problems": [], "comments": []}
    with Index(tmp_path / "index.sqlite") as index:
        index.add_media(pa.Table.from_pylist([row | lists], schema=RECORD))
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as db:
        (found,) = db.execute("SELECT taken_at, taken_local FROM media")
    assert found == (time_text(instant), time_text(moment))
