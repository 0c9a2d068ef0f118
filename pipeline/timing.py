"""The clock of a run: when it began, and the seconds of each of its stages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


class Clock:
    """Seconds of each stage of a run."""

    def __init__(self) -> None:
        self.started_at = datetime.now(UTC)
        self.started = time.perf_counter()
        self.stages: dict[str, float] = {}

    def now(self) -> datetime:
        """The time of day, by the clock at the start and what has passed since: that clock may be set meanwhile."""
        return self.started_at + timedelta(seconds=time.perf_counter() - self.started)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage."""
        before = time.perf_counter()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - before

    def rounded(self) -> dict[str, float]:
        """The stages so far, and the total."""
        total = time.perf_counter() - self.started
        return {name: round(seconds, 4) for name, seconds in (*self.stages.items(), ("total", total))}
