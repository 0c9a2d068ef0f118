"""What this machine and this installation have of what a scan needs, and whether results are whole; what to do about the rest.

It looks at one thing at a time, and whatever happens there is an answer about that thing: it works where little else does.
"""

from __future__ import annotations

import locale
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from pipeline.problems import RunError, UsageError, to_install

#: How a thing is: `ok`; a `note` is worth knowing, or limits something; what a scan needs is `missing`; results are `damaged`.
STATES = ("ok", "note", "missing", "damaged")
#: Modules that are not called like their package.
_MODULES = {
    "dask": "distributed",
    "pillow": "PIL",
    "pylibmagic": "pylibmagic",
    "python-magic": "magic",
    "pyyaml": "yaml",
}
#: Extras that people use, and what for.
EXTRAS = {"notebook": "notebooks, report", "browse": "browse", "bench": "pictures of bench, scan --profile"}
#: Seconds that a look at one thing may take.
PATIENCE = 60.0
#: Bytes on the disk of which it is worth saying that they are few.
FEW_BYTES = 1 << 30
_MB = 1 << 20
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing, how that is (one of STATES), and what to do about it, if anything."""

    group: str
    name: str
    state: str
    said: str
    advice: str = ""


Check = Callable[[], Finding | Iterable[Finding]]


def examine(
    results: str | os.PathLike[str] | None = None,
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
) -> dict[str, Any]:
    """Look at everything, at the workers of the Dask scheduler that settings name (by `flags`, the environment or the file
    `config`), and at `results` if some are given. Never raises because something is missing.

    Returns the findings, the counts of their states, and `healthy`: nothing is missing or damaged.
    Raises UsageError if the results are none.
    """
    found = [finding for group, name, check in _CHECKS for finding in _answer(group, name, check)]
    found += _answer("settings", "Dask scheduler", partial(_scheduler, flags, config))
    if results is not None:
        found += _results_at(os.fspath(results))
    counts = {state: sum(each.state == state for each in found) for state in STATES}
    return {
        "healthy": not (counts["missing"] or counts["damaged"]),
        "counts": counts,
        "findings": [asdict(each) for each in found],
    }


def _answer(group: str, name: str, check: Check) -> list[Finding]:
    """What a look at one thing finds; if it fails, that."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else list(found)
    except Exception as error:  # that nothing ends it is what it is for
        return [Finding(group, name, "missing", f"{type(error).__name__}: {error}", _REINSTALL)]


_REINSTALL = "install it again: make clean install in its folder"


def _versions() -> Iterator[Finding]:
    yield Finding(
        "versions",
        "Python",
        "ok" if sys.version_info >= (3, 11) else "missing",
        f"{platform.python_version()} ({platform.python_implementation()}) in {sys.prefix}, {platform.platform()}",
        "" if sys.version_info >= (3, 11) else "install Python 3.11 or later, and this program with it",
    )
    version = _version("takeout-index")
    yield Finding(
        "versions",
        "takeout-index",
        "ok" if version else "note",
        version or "not installed: it runs from its folder",
        "" if version else f"{to_install('-e', '.')} in its folder makes the command takeout-index",
    )


def _libraries() -> Iterator[Finding]:
    """What is needed, each imported by a process of its own: one of another machine's code would end it."""
    from pipeline.forked import DiedError, Forked

    for name, wanted in _required(None):
        version = _version(name)
        if version is None:
            yield Finding("libraries", name, "missing", "is not installed", to_install(wanted))
            continue
        with Forked(_import) as child:
            try:
                child.call(name, PATIENCE)
                reason = "" if _fits(version, wanted) else f"is older than {wanted}"
            except DiedError as death:
                reason = f"cannot be imported: the process died ({death})"
            except Exception as error:
                reason = f"cannot be imported: {type(error).__name__}: {error}"
        advice = to_install("--force-reinstall", wanted) if reason else ""
        yield Finding("libraries", name, "missing" if reason else "ok", f"{version} {reason}".strip(), advice)


def _import(name: str) -> None:
    if name == "python-magic":
        import pylibmagic  # noqa: F401  # its library is the one that python-magic finds
    import_module(_module(name))


def _module(name: str) -> str:
    return _MODULES.get(name.lower(), name.lower().replace("-", "_"))


def _required(extra: str | None) -> list[tuple[str, str]]:
    """Names of packages that are needed, or that an extra needs, each also with the versions that will do."""
    found = []
    for line in metadata.requires("takeout-index") or ():
        wanted, _, marker = line.partition(";")
        named = re.search(r"extra == ['\"]([\w-]+)", marker)
        name = re.match(r"[\w.-]+", wanted)
        if name and (named[1] if named else None) == extra:
            found.append((name[0], wanted.strip()))
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(version: str, wanted: str) -> bool:
    from packaging.requirements import Requirement

    return Requirement(wanted).specifier.contains(version, prereleases=True)


def _extras() -> Iterator[Finding]:
    for extra, use in EXTRAS.items():
        needed = [name for name, _ in _required(extra)]
        lacking = [name for name in needed if _version(name) is None]
        said = f"lacks {', '.join(lacking)}" if lacking else ", ".join(f"{name} {_version(name)}" for name in needed)
        command = to_install(f"takeout-index[{extra}]")
        advice = f"for {use}: {command}, or make install in its folder" if lacking else ""
        yield Finding("extras", extra, "note" if lacking else "ok", said, advice)
    ffmpeg = shutil.which("ffmpeg")
    yield Finding("extras", "ffmpeg", "ok", ffmpeg or "not there, and not needed")


def _libmagic() -> Finding:
    from pipeline.forked import Forked

    with Forked(_mime_of) as child:
        mime = child.call(_PNG, PATIENCE)
    if mime == "image/png":
        return Finding("readers", "libmagic", "ok", "knows a PNG from its bytes")
    return Finding(
        "readers", "libmagic", "missing", f"takes a PNG for {mime}", to_install("--force-reinstall", "pylibmagic")
    )


def _mime_of(data: bytes) -> str:
    from pipeline.media.sniff import _magic

    return str(_magic().from_buffer(data))


def _mediainfo() -> Finding:
    from pipeline.forked import Forked

    with Forked(_can_parse) as child:
        if child.call(None, PATIENCE):
            return Finding("readers", "MediaInfo", "ok", "can be loaded")
    advice = f"{to_install('--force-reinstall', 'pymediainfo')}, or libmediainfo by the system's packages"
    return Finding("readers", "MediaInfo", "missing", "its library cannot be loaded: no MKV, AVI, MTS", advice)


def _can_parse(_: None) -> bool:
    from pymediainfo import MediaInfo

    return bool(MediaInfo.can_parse())


def _processors() -> Finding:
    from pipeline.modes import cores, group_quota

    allowed, there, quota = cores(), os.cpu_count() or 1, group_quota()
    said = f"{allowed} of {there} may be used" if allowed < there else f"{there}"
    if quota is not None and quota < there:
        return Finding("machine", "processors", "ok", f"{said}, as the time of {quota:.1f} may be taken (cgroup)")
    return Finding("machine", "processors", "ok", said)


def _memory() -> Finding:
    from pipeline.cost import LITTLE_MEMORY
    from pipeline.modes import free_memory, group_memory

    free, left = free_memory(), group_memory()
    if free is None:
        return Finding("machine", "memory", "note", "the system does not say how much is free")
    said = f"{free / _MB:,.0f} MB can be had" + (" in this group (cgroup)" if free == left else "")
    if free < LITTLE_MEMORY:
        return Finding("machine", "memory", "note", said, "too little for worker processes: --mode sequential")
    return Finding("machine", "memory", "ok", said)


def _folders() -> Iterator[Finding]:
    from pipeline.settings import cache_folder

    yield _folder("current folder", Path.cwd(), "note", "scan writes to results/ in here: give another folder with -o")
    try:
        yield _folder("temporary folder", Path(tempfile.gettempdir()), "missing", "set TMPDIR to a folder to write to")
    except OSError as error:
        yield Finding("machine", "temporary folder", "missing", str(error), "set TMPDIR to a folder to write to")
    cache = cache_folder()
    advice = "what bench measures is not kept: set XDG_CACHE_HOME to a folder to write to"
    if cache is None:
        yield Finding("machine", "cache folder", "note", "there is none without a home folder", advice)
    else:
        yield _folder("cache folder", cache, "note", advice)


def _folder(name: str, folder: Path, state: str, advice: str) -> Finding:
    """A folder that is written to, or the nearest one in which it would be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("machine", name, state, f"{folder} cannot be written: {os.strerror(error.errno or 0)}", advice)
    said = f"{folder}, {free / 1e9:,.1f} GB free"
    if free < FEW_BYTES:
        return Finding("machine", name, "note", said, "a scan of 100,000 photos writes some 300 MB")
    return Finding("machine", name, "ok", said)


_FORKSERVER = """
import multiprocessing
process = multiprocessing.get_context("forkserver").Process(target=int)
process.start()
process.join()
raise SystemExit(process.exitcode)
"""


def _processes() -> Iterator[Finding]:
    from pipeline.cluster import why_not_here
    from pipeline.forked import Forked
    from pipeline.limits import Limits
    from pipeline.modes import cores

    advice = "--mode sequential does without"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = (
        f"{soft:,} open files are allowed, {'any number' if hard == resource.RLIM_INFINITY else f'{hard:,}'} on demand"
    )
    reason = why_not_here(cores())
    yield Finding("machine", "worker processes", "note" if reason else "ok", reason or said, advice if reason else "")
    with Forked(os.getpgid) as child:
        child.call(0, PATIENCE)
    yield Finding("machine", "fork", "ok", "works")
    # In a program of its own: a process has one server, and this one's may be another's.
    program = [sys.executable, "-c", _FORKSERVER]
    works = subprocess.run(program, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    yield Finding(
        "machine", "forkserver", "ok" if works else "note", "works" if works else "does not", "" if works else advice
    )
    with Forked(_is_limited) as child:
        limited = child.call(Limits(mb=64), PATIENCE)
    said = "holds" if limited else "does not hold here: a file that takes all memory takes the machine's"
    yield Finding("machine", "memory limit of a file", "ok" if limited else "note", said)


def _is_limited(limits: Any) -> bool:
    """The system refuses more memory than the limits allow (RLIMIT_DATA)."""
    from pipeline.limits import limited

    try:
        with limited(limits, trace=-1):
            bytearray(4 * limits.mb << 20)
    except MemoryError:
        return True
    return False


def _measured() -> Finding:
    from pipeline.modes import measured

    known = measured()
    if known.at is None:
        advice = "takeout-index bench INPUT measures this machine; until then plan and scan predict from costs built in"
        return Finding("settings", "measured costs", "note", known.note or "none", advice)
    days = (datetime.now(UTC) - datetime.fromisoformat(known.at)).days
    return Finding("settings", "measured costs", "ok", f"of {known.at[:10]}, {days:,} days old")


def _settings() -> Iterator[Finding]:
    from pipeline.settings import Settings

    given = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("TAKEOUT_INDEX_")}
    try:
        Settings.load()
    except UsageError as error:
        yield Finding("settings", "environment", "missing", str(error), "correct or unset it")
        return
    yield Finding(
        "settings", "environment", "ok", ", ".join(f"{name}={value}" for name, value in given.items()) or "none set"
    )


def _scheduler(flags: Mapping[str, Any] | None, config: Path | None) -> Iterator[Finding]:
    """Whether the workers of the cluster that scans run on can do that, as far as no library has anything to do with it."""
    from pipeline.settings import Settings

    name = "Dask scheduler"
    try:
        Settings.load()
    except UsageError:
        return  # which is what has been said of the environment
    try:
        settings = Settings.load(flags, config)
        if not settings.scheduler and not settings.scheduler_file:
            yield Finding("settings", name, "ok", "none is set: scan runs on this machine")
            return
        from pipeline.cluster import existing_cluster
        from pipeline.existing import Tls, address_in
        from pipeline.fitness import Needs

        address = settings.scheduler or address_in(settings.scheduler_file)
        notes: list[str] = []
        tls = Tls(settings.tls_ca_file, settings.tls_cert, settings.tls_key)
        with existing_cluster(address, tls=tls, note=notes.append) as given:
            given.admit(Needs(), notes.append)
            threads = given.nthreads()
    except (UsageError, RunError) as error:
        here = "--mode sequential or --mode parallel scan on this machine, whatever is set"
        yield Finding("settings", name, "missing", "; ".join([str(error), *getattr(error, "__notes__", ())]), here)
        return
    said = f"{address}: {len(threads):,} workers with {sum(threads.values()):,} threads have what a scan needs"
    yield Finding("settings", name, "ok", f"{said}; which files they see is looked at by a scan")
    for note in notes:
        yield Finding("settings", name, "note", note)


def _terminal() -> Iterator[Finding]:
    names, printed = sys.getfilesystemencoding(), getattr(sys.stdout, "encoding", None) or "none"
    good = names.lower() == "utf-8" and printed.lower() in ("utf-8", "utf8")
    said = f"names are {names}, what is printed is {printed}, the locale is {'.'.join(filter(None, locale.getlocale())) or 'C'}"
    yield Finding("settings", "text", "ok" if good else "note", said, "" if good else "set LC_ALL=C.UTF-8")
    columns = shutil.get_terminal_size().columns
    where = f"{columns} columns" if sys.stdout is not None and sys.stdout.isatty() else "stdout is no terminal"
    yield Finding("settings", "terminal", "ok" if columns >= 40 else "note", where)


_CHECKS: tuple[tuple[str, str, Check], ...] = (
    ("versions", "versions", _versions),
    ("libraries", "libraries", _libraries),
    ("readers", "libmagic", _libmagic),
    ("readers", "MediaInfo", _mediainfo),
    ("extras", "extras", _extras),
    ("machine", "processors", _processors),
    ("machine", "memory", _memory),
    ("machine", "folders", _folders),
    ("machine", "processes", _processes),
    ("settings", "measured costs", _measured),
    ("settings", "environment", _settings),
    ("settings", "terminal", _terminal),
)


def _results_at(place: str) -> Iterator[Finding]:
    """Whether results are whole, wherever they are: of those at a URL, all are fetched for it."""
    from pipeline.storage.parts import real_path
    from pipeline.storage.remote import is_url, shown_url
    from pipeline.storage.results import results_of

    if not is_url(place):
        yield from _results(Path(real_path(place)))
        return
    try:
        folder = results_of(place)
    except UsageError:
        raise
    except RunError as error:
        yield Finding("results", "files", "damaged", str(error), f"takeout-index scan INPUT... -o {shown_url(place)}")
    else:
        yield from _results(folder, shown_url(place))


def _results(folder: Path, place: str = "") -> Iterator[Finding]:
    """Whether results are whole, readable by this version, and of a run that ended. Nothing is put in order here."""
    from pipeline.record import SCHEMA_VERSION
    from pipeline.storage.lookup import schema_of
    from pipeline.storage.published import are_whole, read_report
    from pipeline.storage.results import READY, Results, results_of

    results = Results(folder)
    if not os.access(results.work, os.F_OK):
        results_of(folder)
    again = f"takeout-index scan INPUT... -o {place or folder}"
    if (results.new / READY).exists():
        yield Finding(
            "results", "run", "note", "a run ended while it put its results in place", f"{again} finishes that"
        )
    elif results.shards.is_dir() and any(results.shards.iterdir()):
        yield Finding("results", "run", "note", "a run was cut off, or is at work", f"{again} goes on from there")
    else:
        yield Finding("results", "run", "ok", "none is waiting to go on")
    found = read_report(folder / "run.json")
    if found is None:
        there = (folder / "run.json").exists()
        said = "run.json is not as it was written" if there else "nothing is published yet"
        yield Finding("results", "run.json", "damaged" if there else "note", said, again)
        return
    report, files = found
    version = schema_of(folder / "index.sqlite")
    if version == SCHEMA_VERSION:
        yield Finding(
            "results", "schema", "ok", f"{version}, of takeout-index {report['version']}, {report['started_at'][:10]}"
        )
    else:
        advice = "use a newer version of this program" if version > SCHEMA_VERSION else again
        yield Finding("results", "schema", "damaged", f"{version}; this program reads {SCHEMA_VERSION}", advice)
    bad = [name for name, each in files.items() if not are_whole(folder, {name: each})]
    more = f" and {len(bad) - 3:,} more" if len(bad) > 3 else ""
    said = f"{', '.join(bad[:3])}{more} changed or gone" if bad else f"{len(files):,} are as they were published"
    yield Finding("results", "files", "damaged" if bad else "ok", said, f"{again} makes them anew" if bad else "")
