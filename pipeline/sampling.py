"""Which of many files stand for all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Of a library, so much is measured; but at least so many files, as fewer say little, and no more than a few minutes take.
SHARE, LEAST_FILES, MOST_FILES, MOST_BYTES = 0.05, 1_000, 10_000, 3_000_000_000
#: The smaller of two samples has this share of the larger: from both, what is fixed is told from what each file costs.
SMALLER = 0.25


def sample_size(files: int, size: int) -> int:
    """How many of `files` files of `size` bytes in all are measured, if the user does not say.

    >>> sample_size(100, 10**9), sample_size(20_000, 10**9), sample_size(10**6, 3 * 10**12)
    (100, 1000, 1000)
    """
    wanted = min(max(round(files * SHARE), LEAST_FILES), MOST_FILES)
    if size > 0:
        wanted = min(wanted, max(int(MOST_BYTES / size * files), 1))
    return min(wanted, files)


def representative(keys: Sequence[Any], count: int) -> list[int]:
    """Positions of `count` elements, in order: of every stretch of the sorted `keys` as many as its length deserves.

    >>> representative(["b", "a", "b", "b", "a", "b"], 3)  # a third of them are an "a", as in the whole
    [2, 4, 5]
    """
    order = sorted(range(len(keys)), key=keys.__getitem__)
    step = len(order) / count if count else 0.0
    return sorted(order[int((number + 0.5) * step)] for number in range(count))
