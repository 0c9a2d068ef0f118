"""Settings: every choice of a run, with its default. The only reader of configuration files and of the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.problems import UsageError


class SettingsError(UsageError):
    """A setting that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to run. A field, its line in ``conf/default.toml``, its flag and its ``TAKEOUT_INDEX_…`` variable share a name.

    `threads`, `processes` and `shard_files` of 0 mean: choose for this machine and this library.
    """

    mode: str = "auto"  # auto, sequential or parallel
    threads: int = 0  # I/O threads over all workers
    processes: int = 0  # worker processes
    shard_files: int = 0  # files per shard, at most
    scheduler: str = ""  # address of an existing Dask scheduler
    all_tags: bool = False  # keep every EXIF tag in exif_json
    verify_archives: bool = False  # read every byte of archives, and compare with their check sums
    merge: bool = False  # several exports are parts of one library
    fresh: bool = False  # know nothing of earlier runs: read every file again
    file_seconds: int = 10  # that a file may keep a process without anything going on; 0: for ever
    file_mb: int = 512  # of memory that a file may take; 0: all
    profile: str = ""  # folder for Dask's performance report and the times of shards and operations

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "sequential", "parallel"):
            raise SettingsError(f"mode must be auto, sequential or parallel, not {self.mode!r}")
        for name, most in (
            ("threads", 1024),
            ("processes", 512),
            ("shard_files", 1_000_000),
            ("file_seconds", 1_000_000),
            ("file_mb", 1 << 24),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise SettingsError(f"{name} must be 0 to {most:,}, not {getattr(self, name):,}")

    @classmethod
    def load(
        cls,
        flags: Mapping[str, Any] | None = None,
        config: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        defaults: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Settings by precedence: `flags` (None: not given), then `environment`, then the `config` file, then the defaults,
        of which `defaults` are those of one command.

        Raises SettingsError for an unknown key or a value of the wrong type, naming where it stands.
        """
        values: dict[str, Any] = dict(defaults or {})
        if config is not None:
            values |= _read_file(config)
        if address := environment.get("DASK_SCHEDULER_ADDRESS"):
            values["scheduler"] = address
        for name, kind in _types().items():
            variable = f"TAKEOUT_INDEX_{name.upper()}"
            if text := environment.get(variable):
                values[name] = _parse(text, kind, variable)
        values |= {name: value for name, value in (flags or {}).items() if value is not None}
        return cls(**values)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where what was measured of this machine is kept; None for a user without a home."""
    given = environment.get("XDG_CACHE_HOME", "")
    if given.startswith("/"):  # as the specification of these folders has it
        return Path(given) / "takeout-index"
    try:
        return Path.home() / ".cache" / "takeout-index"
    except RuntimeError:
        return None


def _types() -> dict[str, type]:
    hints = get_type_hints(Settings)
    return {field.name: hints[field.name] for field in fields(Settings)}


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error
    types = _types()
    for name, value in values.items():
        if name not in types:
            raise SettingsError(f"{path}: unknown setting {name!r}; known are {', '.join(types)}")
        if type(value) is not types[name]:
            raise SettingsError(f"{path}: {name} must be of type {types[name].__name__}, not {value!r}")
    return values


def _parse(text: str, kind: type, variable: str) -> Any:
    if kind is bool:
        if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
        return text.lower() in ("1", "true", "yes")
    if kind is int:
        if not (text.isascii() and text.isdigit()):
            raise SettingsError(f"{variable} must be a whole number, not {text!r}")
        return int(text)
    return text
