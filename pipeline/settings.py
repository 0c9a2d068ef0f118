"""Settings: every choice of a run, with its default. The only reader of configuration files and of the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from pipeline.path_map import PathMap
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
    scheduler_file: str = ""  # the file in which one has written its address
    tls_ca_file: str = ""  # certificates of the authorities that it and we are known by, as PEM
    tls_cert: str = ""  # our certificate
    tls_key: str = ""  # its key
    path_map: tuple[str, ...] = ()  # HERE=THERE: folders that its workers have at another path
    all_tags: bool = False  # keep every EXIF tag in exif_json
    verify_archives: bool = False  # read every byte of archives, and compare with their check sums
    merge: bool = False  # several exports are parts of one library
    fresh: bool = False  # know nothing of earlier runs: read every file again
    file_seconds: int = 10  # that a file may keep a process without anything going on; 0: for ever
    file_mb: int = 512  # of memory that a file may take; 0: all
    mirrors: str = ""  # folder for the copies of results that are at URLs; empty: in the user's cache
    profile: str = ""  # folder for Dask's performance report and the times of shards and operations

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "sequential", "parallel"):
            raise SettingsError(f"mode must be auto, sequential or parallel, not {self.mode!r}")
        if self.scheduler and self.scheduler_file:
            raise SettingsError("a scheduler is given twice, by its address and by a file: leave out one")
        object.__setattr__(self, "path_map", tuple(self.path_map))  # JSON has lists
        PathMap.of(self.path_map)
        for name, most in (
            ("threads", 1024),
            ("processes", 512),
            ("shard_files", 1_000_000),
            ("file_seconds", 1_000_000),
            ("file_mb", 1 << 24),
        ):
            if not 0 <= getattr(self, name) <= most:
                raise SettingsError(f"{name} must be 0 to {most:,}, not {getattr(self, name):,}")

    @property
    def has_scheduler(self) -> bool:
        """An existing cluster is to do the work, given by its address or by a file."""
        return bool(self.scheduler or self.scheduler_file)

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
        named: dict[str, Any] = {}
        for name, kind in _types().items():
            variable = f"TAKEOUT_INDEX_{name.upper()}"
            if text := environment.get(variable):
                named[name] = _parse(text, kind, variable)
        if not named.keys() & set(_SCHEDULERS) and (address := environment.get("DASK_SCHEDULER_ADDRESS")):
            named["scheduler"] = address
        values: dict[str, Any] = {}
        for layer in (
            defaults or {},
            _read_file(config) if config is not None else {},
            named,
            {name: value for name, value in (flags or {}).items() if value is not None},
        ):
            # The other is a lower layer's, or both are, and this says how to run here.
            if any(layer.get(name) for name in _SCHEDULERS) or layer.get("mode", "auto") != "auto":
                values |= dict.fromkeys(_SCHEDULERS, "")
            values |= layer
        return cls(**values)


#: Settings that each say which scheduler.
_SCHEDULERS = ("scheduler", "scheduler_file")
#: Settings that are several texts; where they are written as one, this parts them.
_TEXTS, _BETWEEN = tuple[str, ...], ";"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where what was measured of this machine is kept; None for a user without a home."""
    given = environment.get("XDG_CACHE_HOME", "")
    if given.startswith("/"):  # as the specification of these folders has it
        return Path(given) / "takeout-index"
    try:
        return Path.home() / ".cache" / "takeout-index"
    except RuntimeError:
        return None


def mirrors_folder(given: str = "", environment: Mapping[str, str] = os.environ) -> Path:
    """Where the copies of results are that are at URLs: as `given`, as ``TAKEOUT_INDEX_MIRRORS`` says, or the user's cache."""
    if chosen := given or environment.get("TAKEOUT_INDEX_MIRRORS"):
        return Path(chosen).expanduser().absolute()
    cache = cache_folder(environment)
    if cache is None:
        raise SettingsError("there is no home for a copy of the results: set TAKEOUT_INDEX_MIRRORS to a folder")
    return cache / "results"


def _types() -> dict[str, Any]:
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
        if types[name] == _TEXTS:
            values[name] = _texts(value, f"{path}: {name}")
        elif type(value) is not types[name]:
            raise SettingsError(f"{path}: {name} must be of type {types[name].__name__}, not {value!r}")
    return values


def _texts(value: Any, where: str) -> tuple[str, ...]:
    """A setting of several texts, written as a list of them or as one, parted by semicolons."""
    if isinstance(value, str):
        value = [each.strip() for each in value.split(_BETWEEN) if each.strip()]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise SettingsError(f"{where} must be a list of texts, not {value!r}")
    return tuple(value)


def _parse(text: str, kind: Any, variable: str) -> Any:
    if kind == _TEXTS:
        return _texts(text, variable)
    if kind is bool:
        if text.lower() not in ("0", "1", "false", "true", "no", "yes"):
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
        return text.lower() in ("1", "true", "yes")
    if kind is int:
        if not (text.isascii() and text.isdigit()):
            raise SettingsError(f"{variable} must be a whole number, not {text!r}")
        return int(text)
    return text
