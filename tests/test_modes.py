"""How a run uses this machine: what a container may take of it."""

from pathlib import Path

import pytest

from pipeline.modes import cores, free_memory, group_memory, group_quota


def group(folder: Path, **files: str) -> Path:
    """A control group's files as the kernel shows them; ``__`` stands for a dot, ``_0_`` for a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", ".").replace("_0_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_this_process_may_use_something() -> None:
    assert cores() >= 1
    assert (free_memory() or 1) > 0


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"cpu__max": "150000 100000\n"}, 1.5),
        ({"cpu__max": "max 100000\n"}, None),
        ({"cpu_0_cpu__cfs_quota_us": "400000\n", "cpu_0_cpu__cfs_period_us": "100000\n"}, 4.0),
        ({"cpu_0_cpu__cfs_quota_us": "-1\n", "cpu_0_cpu__cfs_period_us": "100000\n"}, None),
        ({"cpu__max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_time_of_processors_is_what_the_group_may_take(
    tmp_path: Path, files: dict[str, str], found: float | None
) -> None:
    assert group_quota(group(tmp_path, **files)) == found


def test_memory_is_what_the_group_has_left(tmp_path: Path) -> None:
    left = {"memory__current": "700\n", "memory__stat": "anon 500\ninactive_file 150\n"}
    assert group_memory(group(tmp_path / "2", memory__max="1000\n", **left)) == 450
    assert group_memory(group(tmp_path / "max", memory__max="max\n", **left)) is None
    assert group_memory(group(tmp_path / "over", memory__max="100\n", **left)) == 0
    first = {
        "memory_0_memory__limit_in_bytes": "1000\n",
        "memory_0_memory__usage_in_bytes": "400\n",
        "memory_0_memory__stat": "cache 1\ntotal_inactive_file 50\n",
    }
    assert group_memory(group(tmp_path / "1", **first)) == 650
    assert group_memory(tmp_path / "none") is None
