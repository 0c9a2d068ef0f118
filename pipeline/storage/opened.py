"""Published results, opened for reading: which Parquet files there are, by ``run.json``, and whether they are all of one run.

A scan may publish others at any moment. Whoever reads by `Opened.consistently` gets an answer of the old results or of the new.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from pipeline.problems import RunError, UsageError
from pipeline.record import FILES, PARTITION, RECORD
from pipeline.storage.published import Published
from pipeline.storage.results import READY, Results

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

T = TypeVar("T")

#: Seconds that are waited for results that are just being put in place, and between two looks at them.
PATIENCE, PAUSE = 5.0, 0.02
#: What changes when other results are published.
_MARKS = ("media", "files", "run.json")


@dataclass(frozen=True)
class Opened:
    """Results as they are at one moment."""

    folder: Path
    report: dict[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Opened:
        """The results in a folder. Raises RunError if their ``run.json`` cannot be read."""
        try:
            report = json.loads((folder / "run.json").read_bytes())
            if isinstance(report, dict):
                return cls(folder, report)
            reason = "it is no report"
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        raise RunError(f"{folder / 'run.json'} cannot be read ({reason}): scan again into {folder}")

    @classmethod
    def consistently(cls, folder: Path, reading: Callable[[Opened], T]) -> T:
        """What `reading` makes of results that are all of one run, however often others are published meanwhile.

        Raises RunError if a file is missing or is not what was published, with what to do then; else what `reading` raises.
        """
        until = time.monotonic() + PATIENCE
        while True:
            before = _marks(folder)
            try:
                opened = cls.of(folder)
                opened.check()
                answer = reading(opened)
            except Exception as error:
                settled = before == _marks(folder) and not (Results(folder).new / READY).exists()
                if settled or time.monotonic() > until:
                    if not isinstance(error, RunError):
                        opened.check(thoroughly=True)
                    raise
            else:
                if before == _marks(folder):
                    return answer
                if time.monotonic() > until:
                    raise RunError(f"{folder} is replaced time and again while it is read: try later")
            time.sleep(PAUSE)

    @cached_property
    def published(self) -> dict[str, Published]:
        """What was published, by paths below the folder."""
        try:
            return {
                name: Published(each["bytes"], int(each["crc32"], 16)) for name, each in self.report["files"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError(
                f"{self.folder} was written by an older version of this program, or is damaged: scan again"
            ) from None

    def check(self, thoroughly: bool = False) -> None:
        """Raises RunError if a Parquet file is not there as it was published: by its size, or by all of its bytes."""
        for path, then in self._parquet():
            try:
                size = path.stat().st_size
                if size == then.size and not (thoroughly and Published.of(path) != then):
                    continue
                what = "is not as it was published"
            except OSError as error:
                what = f"cannot be read ({error.strerror})"
            advice = f"scan again into {self.folder}, which reads only what has changed"
            if (Results(self.folder).new / READY).exists():
                advice = (
                    "a run has not ended putting its results in place; once it has, or the next scan, they can be read"
                )
            raise RunError(f"{path} {what}: {advice}")

    def _parquet(self) -> list[tuple[Path, Published]]:
        return [(self.folder / name, each) for name, each in self.published.items() if name.endswith(".parquet")]

    def media_parts(self) -> list[tuple[Path, int]]:
        """The files of `media`, each with its year."""
        start = f"media/{PARTITION}="
        found = ((self.folder / name, name.removeprefix(start).partition("/")[0]) for name in sorted(self.published))
        return [(path, int(year)) for path, year in found if year.isdigit() and path.suffix == ".parquet"]

    def media_dataset(self) -> Dataset:
        """`media`, with the columns of RECORD in their order."""
        import pyarrow.dataset as ds

        return ds.dataset(
            [str(path) for path, _ in self.media_parts()],
            RECORD,
            format=_parquet_format(),
            partitioning=ds.partitioning(pa.schema([RECORD.field(PARTITION)]), flavor="hive"),
            partition_base_dir=str(self.folder / "media"),
        )

    def files_dataset(self) -> Dataset:
        """`files`, with the columns of FILES in their order."""
        import pyarrow.dataset as ds

        return ds.dataset(self._files(), FILES, format=_parquet_format())

    def _files(self) -> list[str]:
        return [str(path) for path, _ in self._parquet() if path.parent == self.folder / "files"]

    def media_select(self) -> str | None:
        """`media` in DuckDB's SQL; None if that would take the year of a partition from a folder above.

        DuckDB reads Parquet itself up to twice as fast as it is read for it, and gives the same types and order.
        """
        if any(step.startswith(f"{PARTITION}=") for step in self.folder.parts):
            return None
        years = f"hive_partitioning = true, hive_types = {{'{PARTITION}': INTEGER}}"
        return _select(RECORD.names, [str(path) for path, _ in self.media_parts()], f", {years}")

    def files_select(self) -> str:
        """`files` in DuckDB's SQL."""
        return _select(FILES.names, self._files(), ", hive_partitioning = false")


def _select(columns: list[str], paths: list[str], options: str) -> str:
    listed = ", ".join(f'"{column}"' for column in columns)
    return f"SELECT {listed} FROM read_parquet([{', '.join(map(_literal, paths))}]{options})"


def _literal(path: str) -> str:
    """A path that DuckDB takes for no pattern, as a literal."""
    plain = "".join(f"[{character}]" if character in "*?[" else character for character in path)
    return "'" + plain.replace("'", "''") + "'"


def _parquet_format() -> Any:
    import pyarrow.dataset as ds

    return ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )


def _marks(folder: Path) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for name in _MARKS:
        try:
            state = (folder / name).stat()
            found.append((state.st_ino, state.st_mtime_ns))
        except OSError:
            found.append(None)
    return found
