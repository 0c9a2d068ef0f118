"""The dataflow, as Dask sees it."""

from pathlib import Path

import pytest

from pipeline.graph import Reading
from pipeline.item import Entry, MediaItem
from pipeline.planning import Shard
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef, write_manifest
from pipeline.storage.marks import Mark, mark_path


def test_a_shard_is_one_task() -> None:
    references = [ShardRef(name, 0, 1, 1) for name in "abc"]
    reading = Reading(Library(()), "manifest", "shards", "marks", threads=1, all_tags=False, verify=False)
    bag = reading(references)
    tasks = bag.__dask_optimize__(bag.dask, bag.__dask_keys__())
    making = [key for key in tasks if "make_rows" in key[0]]
    assert len(making) == len(references)
    assert all("read_items" in name and "write_shard" in name for name, _ in making)


@pytest.mark.parametrize(
    ("begun", "finished", "left_out", "alone", "again"),
    [
        (0, 0, (), [], [()]),  # dead between two items: may be anybody's doing
        (4, 2, (), [(2, 3)], [(2, 3)]),  # threads had opened one ahead
        (2, 1, (0, 3), [(1, 2, 4)], []),  # the second time
        (5, 0, (), [(0, 1, 2, 3, 4)], []),
    ],
)
def test_what_was_at_work_when_a_process_died_goes_alone(
    tmp_path: Path, begun: int, finished: int, left_out: tuple[int, ...], alone: list[object], again: list[object]
) -> None:
    items = [MediaItem(media=Entry(f"Takeout/{number}.jpg", "", 1), file_id=f"{number}") for number in range(5)]
    (reference,) = write_manifest([Shard("a", tuple(items))], tmp_path / "manifest")
    reading = Reading(
        Library(()), str(tmp_path / "manifest"), "", str(tmp_path), threads=1, all_tags=False, verify=False
    )
    assert reading.after_death(reference, "crashed") == [reference]  # no mark: it had not begun
    mark = Mark(mark_path(str(tmp_path), "a"))
    mark.counts[0], mark.counts[1] = begun, finished
    mark.close()
    found = reading.after_death(reference._replace(left_out=left_out), "crashed")
    assert [each.alone for each in found if each.alone] == alone
    assert [each.left_out for each in found if not each.alone] == again
    assert {each.name for each in tmp_path.iterdir()} == {"manifest", "facts"}
