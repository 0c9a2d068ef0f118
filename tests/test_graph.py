"""The dataflow, as Dask sees it."""

from pipeline.graph import build
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef


def test_a_shard_is_one_task() -> None:
    references = [ShardRef(name, 0, 1, 1) for name in "abc"]
    bag = build(references, Library(()), "manifest", "shards", threads=1, all_tags=False, verify=False)
    tasks = bag.__dask_optimize__(bag.dask, bag.__dask_keys__())
    making = [key for key in tasks if "make_rows" in key[0]]
    assert len(making) == len(references)
    assert all("read_items" in name and "write_shard" in name for name, _ in making)
