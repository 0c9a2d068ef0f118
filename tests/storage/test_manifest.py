from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.item import Entry, MediaItem
from pipeline.planning import Shard
from pipeline.problems import OutputError, Problem
from pipeline.storage.manifest import read_items, write_manifest

FULL = MediaItem(
    media=Entry("Takeout/caf\udce9.jpg", "one.zip", 1, 2, 2**32 - 1, 4, 5, 8),
    file_id="a",
    sidecar=Entry("Takeout/caf\udce9.jpg.json", "two.zip", 2**40, None, None, None, 0, -1),
    sidecar_rule="same_name",
    edited_of="b",
    live_partner="c",
    album="Rome",
    folder_kind="album",
    folder_date="2019",
    problems=(Problem("pair", "ambiguous", "two of them"), Problem("list", "odd_path", "..")),
)
BARE = MediaItem(media=Entry("Takeout/a.jpg", "Takeout", 0), file_id="d")


def test_a_shard_is_read_as_it_was_planned(tmp_path: Path) -> None:
    shards = [Shard("x", (FULL, BARE)), Shard("y", (BARE,)), Shard("z", (FULL,))]
    path = tmp_path / "manifest.arrow"
    references = write_manifest(shards, path)
    assert [reference.name for reference in references] == ["x", "y", "z"]
    assert [tuple(read_items(reference, str(path))) for reference in references] == [
        tuple(item._replace(shard=shard.name) for item in shard.items) for shard in shards
    ]


@pytest.mark.parametrize("damage", [lambda data: data[:-8], lambda data: data[:40] + b"\x7f" + data[41:]])
def test_a_manifest_that_is_cut_or_damaged_is_noticed(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "manifest.arrow"
    (reference,) = write_manifest([Shard("x", (FULL, BARE))], path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(OutputError, match="damaged"):
        read_items(reference, str(path))
    path.unlink()
    with pytest.raises(OutputError, match="No such file"):
        read_items(reference, str(path))
