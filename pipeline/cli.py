"""The command line: arguments in, report and exit status out. Decides nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

_UNPUBLISHED = "interrupted: nothing was published, earlier results are unchanged"
DONE, FAILED, USAGE, PROBLEMS, INTERRUPTED = 0, 1, 2, 3, 130

#: Said below the help of every command, and at more length below that of all.
STATUSES = (
    "Exit status: 0 all well, 1 failed, 2 usage, 3 done but some files have problems, "
    "130 interrupted (129, 143 by SIGHUP, SIGTERM)."
)
_ALL_STATUSES = """\b
Exit status:
  0    done, all well
  1    failed: one line says why, --debug where
  2    usage: the arguments, settings or files given cannot be used
  3    done, but some files have problems (verify: are not as they
       were; doctor: results are damaged)
  130  interrupted by Ctrl-C: the first finishes what is in flight
  129  by SIGHUP, 143  by SIGTERM
Results and --json go to stdout, all else to stderr: on failure stdout
is empty. README.md has more."""

app = typer.Typer(
    name="takeout-index",
    help="Index a Google Photos Takeout: partitioned Parquet and one SQLite file.\n\n"
    "Example: takeout-index scan ~/Takeout -o results/takeout",
    epilog=_ALL_STATUSES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT", help="Folders, zips, tgzs, or URLs of such: the parts of one Takeout.")
]


def _modes() -> list[str]:
    return ["auto", "sequential", "parallel"]


def _formats() -> list[str]:
    return ["parquet", "geoparquet", "csv", "jsonl"]


def _tables() -> list[str]:
    return ["media", "files"]


Mode = Annotated[
    str | None,
    typer.Option(
        help="auto, sequential or parallel. Auto takes what is predicted to be faster.", autocompletion=_modes
    ),
]
Threads = Annotated[int | None, typer.Option(help="I/O threads over all workers. Default: 4 per core.")]
Processes = Annotated[int | None, typer.Option(help="Worker processes. Default: one per core.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of an existing Dask scheduler.")]
SchedulerFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="The file in which a Dask scheduler has written its address.")
]
TlsCaFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Authorities of a scheduler at tls://. Default: as Dask is configured."),
]
TlsCert = Annotated[str | None, typer.Option(metavar="FILE", help="Our certificate for it.")]
TlsKey = Annotated[str | None, typer.Option(metavar="FILE", help="The key of that certificate.")]
PathMaps = Annotated[
    list[str] | None,
    typer.Option(
        "--path-map", metavar="HERE=THERE", help="Where the workers of a cluster have a folder. May be given again."
    ),
]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings; conf/default.toml explains each.")]
Merge = Annotated[bool | None, typer.Option("--merge/--no-merge", help="Make one library of parts of several exports.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="On failure show the traceback.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"takeout-index {version('takeout-index')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


@app.command(short_help="Index a library into Parquet and SQLite.")
def scan(
    inputs: Inputs,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="Results folder, or s3://, gs://, az://, sftp://. Default: results/<name of the input>.",
        ),
    ] = None,
    mode: Mode = None,
    threads: Threads = None,
    processes: Processes = None,
    shard_files: Annotated[int | None, typer.Option(help="Files per shard, at most.")] = None,
    scheduler: Scheduler = None,
    scheduler_file: SchedulerFile = None,
    tls_ca_file: TlsCaFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    path_map: PathMaps = None,
    config: Config = None,
    all_tags: Annotated[
        bool | None, typer.Option("--all-tags/--no-all-tags", help="Keep every EXIF tag in exif_json.")
    ] = None,
    verify_archives: Annotated[
        bool | None,
        typer.Option(
            "--verify-archives/--no-verify-archives", help="Read every byte of zip parts and compare the check sums."
        ),
    ] = None,
    merge: Merge = None,
    file_seconds: Annotated[
        int | None, typer.Option(help="Seconds without progress after which a file is given up. 0: never. Default: 10.")
    ] = None,
    file_mb: Annotated[
        int | None, typer.Option(help="Megabytes of memory that a file may take. 0: any. Default: 512.")
    ] = None,
    fresh: Annotated[
        bool | None, typer.Option("--fresh/--no-fresh", help="Read every file again, whatever earlier runs know.")
    ] = None,
    mirrors: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder for the copy of results that are at a URL. Default: in your cache."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Write Dask's report, and the times of operations and shards, into DIR."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Index a library into Parquet and SQLite.

    Once more: a run that was cut off goes on where it was, and of a library that has been scanned only what has changed is
    read again.

    Example: takeout-index scan ~/Takeout -o results/takeout
    """
    flags = {
        "mode": mode,
        "threads": threads,
        "processes": processes,
        "shard_files": shard_files,
        "scheduler": scheduler,
        "scheduler_file": scheduler_file,
        "tls_ca_file": tls_ca_file,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "path_map": path_map or None,
        "all_tags": all_tags,
        "verify_archives": verify_archives,
        "merge": merge,
        "file_seconds": file_seconds,
        "file_mb": file_mb,
        "fresh": fresh,
        "mirrors": mirrors,
        "profile": profile,
    }
    with _Outcome(debug, _UNPUBLISHED):
        _scan(list(inputs), output, _settings(flags, config), as_json, quiet)


@app.command(short_help="Say what a library holds, and what a scan would take.")
def plan(
    inputs: Inputs,
    mode: Mode = None,
    threads: Threads = None,
    processes: Processes = None,
    config: Config = None,
    merge: Merge = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what a library holds and what a scan would take; writes no results. A tgz is read whole for it.

    Example: takeout-index plan ~/Takeout
    """
    flags = {"mode": mode, "threads": threads, "processes": processes, "merge": merge}
    with _Outcome(debug):
        _lean()
        from pipeline.api import plan as plan_library
        from pipeline.progress import watching

        settings = _settings(flags, config)
        with watching(quiet) as watch:
            found = plan_library(list(inputs), settings, watch)
        if as_json:
            _print_json(found)
        else:
            from pipeline.summary import print_plan

            print_plan(found)


@app.command(short_help="Measure what a scan costs on this machine.")
def bench(
    inputs: Inputs,
    sample: Annotated[
        int | None, typer.Option(metavar="N", help="Photos and videos to measure. Default: 5 %, at least 1,000.")
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", help="Folder for bench.json and the picture.")
    ] = "results/benchmarks",
    threads: Threads = None,
    processes: Processes = None,
    config: Config = None,
    all_tags: Annotated[bool | None, typer.Option("--all-tags/--no-all-tags", help="As of scan.")] = None,
    verify_archives: Annotated[
        bool | None, typer.Option("--verify-archives/--no-verify-archives", help="As of scan.")
    ] = None,
    merge: Merge = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure what a scan costs on this machine with this input, and predict the whole.

    Scans a sample again and again, sequentially and in parallel, into a temporary folder: some minutes. What it finds is kept
    in your cache folder, where plan and scan use it.

    Example: takeout-index bench ~/Takeout
    """
    flags = {
        "threads": threads,
        "processes": processes,
        "all_tags": all_tags,
        "verify_archives": verify_archives,
        "merge": merge,
    }
    with _Outcome(debug, "interrupted: nothing was kept"):
        _lean()
        from pipeline.bench import bench as bench_library
        from pipeline.progress import watching

        settings = _settings(flags, config)
        with watching(quiet) as watch:
            found = bench_library(list(inputs), sample, output, settings, watch)
        if as_json:
            _print_json(found)
        else:
            from pipeline.summary import print_bench

            print_bench(found)


@app.command(hidden=True)
def scan_sample(
    inputs: Inputs,
    sample: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option()],
    known: Annotated[str, typer.Option()] = "",
) -> None:
    """One measurement of bench, which starts this."""
    with _Outcome(debug=False):
        _lean()
        from pipeline.bench import scan_sample as scan
        from pipeline.settings import Settings

        _print_json(scan(list(inputs), sample, known, output, Settings(**json.loads(settings))))


@app.command(short_help="Say why a file got its sidecar, date and place.")
def explain(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, by its path in the export or the end of that.")],
    inside: Annotated[
        str, typer.Option("--in", metavar="DIR", help="Results of a scan, or a Takeout: a folder or archive.")
    ],
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Say why a file got its sidecar, date and place, and what else there was.

    Example: takeout-index explain "Photos from 2019/IMG_1.jpg" --in results/takeout
    """
    with _Outcome(debug):
        _lean()
        from pipeline.api import explain as explain_file

        found = explain_file(path, inside, _settings({}, None))
        if as_json:
            _print_json(found)
        else:
            from pipeline.summary import print_explanation

            print_explanation(found)


@app.command(short_help="Compare every byte of the library with the index.")
def verify(
    results: Annotated[str, typer.Argument(metavar="DIR", help="Results of a scan.")],
    threads: Annotated[int | None, typer.Option(help="Threads that read. Default: one per core.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read the library again, every byte, and compare it with the index.

    Ends with status 3 if a file differs, cannot be read or is missing. Writes nothing.

    Example: takeout-index verify results/takeout
    """
    with _Outcome(debug):
        _lean()
        from pipeline.api import verify as verify_library
        from pipeline.progress import watching

        with watching(quiet) as watch:
            found = verify_library(results, _settings({"threads": threads}, None), watch)
        if as_json:
            _print_json(found)
        else:
            from pipeline.summary import print_verified

            print_verified(found)
        if found["damaged"]:
            raise typer.Exit(PROBLEMS)


@app.command(short_help="Say what changed between two results or exports.")
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Results of a scan, or a Takeout: a folder or archive.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same, of a later time.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Compare also what changes by itself: views, addresses, upload times, …")
    ] = False,
    mode: Mode = None,
    threads: Threads = None,
    processes: Processes = None,
    config: Config = None,
    merge: Merge = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Say what changed between two results, or two exports: by path and content, and by what is said of each file.

    What is no folder of results is scanned first, into a private temporary folder. Ends with status 0 whether anything differs
    or not; with --json, `differs` counts the files.

    Example: takeout-index diff results/2023 results/2024
    """
    flags = {"mode": mode, "threads": threads, "processes": processes, "merge": merge}
    with _Outcome(debug, "interrupted: nothing was written"):
        _lean()
        from pipeline.comparing import diff as compare
        from pipeline.progress import watching
        from pipeline.summary import OUTCOMES_SHOWN, print_differences

        settings = _settings(flags, config)
        with watching(quiet) as watch:
            found = compare(old, new, settings, watch, everything, None if as_json else OUTCOMES_SHOWN)
        if as_json:
            _print_json(found)
        else:
            print_differences(found)


@app.command(short_help="Make one index of several libraries.")
def merge(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]DIR...", help="Results of scans, or merged ones. NAME: what to call the library."
        ),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="Folder of the merged results, or a URL.")
    ],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make one index of the results of several libraries: a household's, or the exports of several years.

    The column library says where a file is from, and copies are found across libraries. A library is called after its folder
    of results, unless you say NAME=. Nothing is scanned: of what a library is now, its own scan knows.

    Example: takeout-index merge anna=results/anna ben=results/ben -o results/home
    """
    with _Outcome(debug, _UNPUBLISHED):
        _lean()
        from pipeline.merging import merge as merge_results
        from pipeline.progress import watching

        with watching(quiet) as watch:
            report = merge_results(results, output, watch)
        with _printing(f"the results are in {report['output']}, but "):
            if as_json:
                _print_json(report)
            else:
                from pipeline.summary import print_merged

                print_merged(report)
        if report["problem_files"]:
            raise typer.Exit(PROBLEMS)


@app.command(short_help="Make one HTML page of a library.")
def report(
    results: Annotated[str, typer.Argument(metavar="DIR", help="Results of a scan.")],
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="The page. Default: report.html in DIR.")
    ] = None,
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails/--no-thumbnails", help="Show some of the pictures themselves.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE even if it is no earlier report.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make one HTML page of a library: charts, a map, some pictures, and what needs a look.

    The page needs no network and no other file. It names people and places: it is written for you alone to read.

    Example: takeout-index report results/takeout
    """
    with _Outcome(debug, "interrupted: no report was written"):
        from pipeline.progress import watching
        from pipeline.report import report as make_report

        with watching(quiet) as watch:
            path = make_report(results, output, thumbnails, force, watch)
        if as_json:
            _print_json({"report": str(path), "bytes": path.stat().st_size})
        else:
            print(f"the report is at {_shown(path)}: open it in a browser")


@app.command(short_help="Write rows as Parquet, GeoParquet, CSV or JSON Lines.")
def export(
    results: Annotated[str, typer.Argument(metavar="DIR", help="Results of a scan.")],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|FOLDER",
            help="Its ending tells the format: .parquet, .geoparquet, .csv, .jsonl; .csv.gz and .zst are compressed. Without "
            "one: a folder of Parquet by year.",
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="parquet, geoparquet, csv or jsonl.", autocompletion=_formats),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help='A condition over all columns: "taken_year = 2019 AND favorited".')
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Columns, in this order. Default: all; docs/schema.md.")
    ] = None,
    table: Annotated[str, typer.Option(help="media or files.", autocompletion=_tables)] = "media",
    drop_location: Annotated[
        bool, typer.Option("--drop-location", help="Leave out what tells where it was, in every column.")
    ] = False,
    round_location: Annotated[
        int | None,
        typer.Option(metavar="DIGITS", help="Round degrees to 0 to 6 digits: 2 is a kilometre."),
    ] = None,
    spreadsheet: Annotated[
        bool, typer.Option("--spreadsheet", help="In CSV: an apostrophe before texts that would be taken for formulas.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write some or all rows of results to a file: Parquet, GeoParquet, CSV or JSON Lines.

    --drop-location does not read what people have written: names, titles, captions and albums may name places.

    Example: takeout-index export results/takeout -o favourites.csv --where favorited --drop-location
    """
    with _Outcome(debug, "interrupted: nothing was written"):
        _lean()
        from pipeline.exporting import Choice
        from pipeline.exporting import export as export_rows
        from pipeline.progress import watching

        choice = Choice(
            table=table,
            where=where,
            columns=columns.split(",") if columns is not None else None,
            drop_location=drop_location,
            round_location=round_location,
            spreadsheet=spreadsheet,
        )
        with watching(quiet) as watch:
            found = export_rows(results, output, choice, form, force, watch)
        if as_json:
            _print_json(found)
        else:
            from pipeline.summary import print_exported

            print_exported(found)


@app.command(short_help="Say what is missing, and what to do about it.")
def doctor(
    results: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Results of a scan, to be looked at too.")
    ] = None,
    scheduler: Scheduler = None,
    scheduler_file: SchedulerFile = None,
    tls_ca_file: TlsCaFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    config: Config = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Look at what a scan needs, of the machine, of what is installed and of a cluster's workers, if one is named, and say
    what is missing and what to do.

    Ends with status 1 if something is missing, and with status 3 if the results in DIR are damaged. Writes nothing.

    Example: takeout-index doctor results/takeout
    """
    flags = {
        "scheduler": scheduler,
        "scheduler_file": scheduler_file,
        "tls_ca_file": tls_ca_file,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
    }
    with _Outcome(debug):
        from pipeline.doctor import examine

        found = examine(results, flags, config)
        if as_json:
            _print_json(found)
        else:
            _print_findings(found)
        if found["counts"]["missing"]:
            raise typer.Exit(FAILED)
        if found["counts"]["damaged"]:
            raise typer.Exit(PROBLEMS)


def _print_findings(found: dict[str, Any]) -> None:
    """What `doctor` found, without any library: it may be one of those that are missing."""
    import shutil
    import textwrap

    width = max(40, shutil.get_terminal_size().columns)
    group = ""
    for each in found["findings"]:
        if each["group"] != group:
            group = each["group"]
            print(group)
        for line in (
            f"  {each['state']:8}{_shown(each['name'])}: {_shown(each['said'])}",
            f"          -> {_shown(each['advice'])}" if each["advice"] else "",
        ):
            for part in textwrap.wrap(line, width, subsequent_indent=" " * 10, break_on_hyphens=False):
                print(part)
    missing = found["counts"]["missing"] + found["counts"]["damaged"]
    print(
        f"{missing} of {len(found['findings'])} things are missing or damaged; what to do stands beside them"
        if missing
        else "all that a scan needs is there"
    )


@app.command(short_help="Look through the index in your browser.")
def browse(
    results: Annotated[str, typer.Argument(metavar="DIR", help="Results of a scan.")],
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1. Default: 8001, or the next that is free.", min=1, max=65535)
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the address; open no browser.")] = False,
    debug: Debug = False,
) -> None:
    """Look through the index in your browser: tables, filters, searches, a map, thumbnails. Nothing is changed.

    The address is for you alone: it is on this machine only, and closed to other users of it. Ctrl-C ends it, with status 0.

    Example: takeout-index browse results/takeout
    """
    with _Outcome(debug):
        from pipeline.problems import RunError, to_install

        try:
            from pipeline.browsing.serving import browse as serve
        except ModuleNotFoundError as error:
            if error.name not in ("datasette", "uvicorn"):
                raise
            raise RunError(f"browsing needs Datasette: {to_install('takeout-index[browse]')}") from error
        serve(results, port, not no_open, lambda address: print(address, flush=True), debug)


@app.command(short_help="Make a small Takeout, scan it, say what to look at.")
def demo(
    place: Annotated[
        str, typer.Option("-o", "--output", help="Where the library and its results go.")
    ] = "results/demo",
    files: Annotated[int, typer.Option(help="Photos and videos in the synthetic library.", min=1)] = 400,
    mode: Annotated[str | None, typer.Option(help="auto, sequential or parallel. Default: parallel.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a small synthetic Takeout, scan it, and say what to look at next.

    Example: takeout-index demo -o /tmp/demo --files 1000
    """
    with _Outcome(debug, _UNPUBLISHED):
        import shutil

        from pipeline.problems import OutputError, UsageError
        from pipeline.synthetic import make_library

        if "://" in place:
            raise UsageError(f"{place} is a URL: give a folder with -o")
        output = Path(place)
        settings = _settings({"mode": mode}, None, defaults={"mode": "parallel"})
        library, results = output / "library", output / "index"
        if output.exists() and not output.is_dir():
            raise UsageError(f"{_shown(output)} is a file; give a folder with -o")
        if output.exists() and not (output / "library.truth.jsonl").exists() and any(output.iterdir()):
            raise UsageError(f"{_shown(output)} holds other files; give another folder with -o")
        shutil.rmtree(library, ignore_errors=True)
        try:
            library.mkdir(parents=True)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise OutputError(f"cannot write {_shown(output)}: {reason}; give another folder with -o") from error
        if not quiet:
            _say(f"making a synthetic Takeout of {files:,} photos and videos in {_shown(library)}")
        make_library(library, files=files)
        _scan([str(library)], str(results), settings, as_json, quiet, after_demo=True)


def _scan(
    inputs: list[str], output: str | None, settings: Any, as_json: bool, quiet: bool, after_demo: bool = False
) -> None:
    _lean()
    from pipeline.api import scan as scan_library
    from pipeline.progress import watching

    with watching(quiet) as watch:
        report = scan_library(inputs, output, settings, watch)
    with _printing(f"the results are in {report['output']}, but "):
        if as_json:
            _print_json(report)
        else:
            from pipeline.summary import print_next_steps, print_report

            print_report(report)
            if after_demo:
                print_next_steps(report)
    if report["problem_files"] and not after_demo:
        raise typer.Exit(PROBLEMS)


def _lean() -> None:
    from pipeline.lean import make_lean

    make_lean()


def _settings(flags: dict[str, Any], config: Path | None, defaults: dict[str, Any] | None = None) -> Any:
    from pipeline.settings import Settings

    return Settings.load(flags, config, defaults=defaults)


class _Outcome:
    """Turns what a command raises into one line on stderr and an exit status."""

    def __init__(self, debug: bool, interrupted: str = "interrupted") -> None:
        self.debug = debug or bool(os.environ.get("TAKEOUT_INDEX_DEBUG"))
        self.interrupted = interrupted

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None or isinstance(error, typer.Exit):
            return
        from pipeline.problems import RunError, UsageError

        said = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        if isinstance(error, KeyboardInterrupt):
            code = error.code if isinstance(error, _Stopped) else INTERRUPTED
            _fail(self.interrupted + said, code)
        if not isinstance(error, Exception):
            return
        if self.debug:
            import traceback

            traceback.print_exception(error)
        _fail(
            (str(error) if isinstance(error, RunError) else _reason(error)) + said,
            USAGE if isinstance(error, UsageError) else FAILED,
        )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        where = f"{_shown(error.filename)}: " if error.filename else ""
        return f"{where}{os.strerror(error.errno)}"
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first} (--debug shows where)"


def _fail(message: str, code: int) -> NoReturn:
    _say(f"takeout-index: {_shown(message)}")
    raise typer.Exit(code)


def _say(line: str) -> None:
    """A line for stderr, if it is open and not full."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(line, file=sys.stderr)


class _Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP: the run ends as on Ctrl-C, with the status that a shell gives such an end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


_stopped: list[_Stopped] = []


def _stop(number: int, _: object) -> NoReturn:
    _stopped.append(_Stopped(number))
    raise _stopped[0]


def _shown(text: object) -> str:
    """Text for a terminal: control characters and bytes that are not text as escapes."""
    from pipeline.progress import shown

    return shown(os.fspath(text) if isinstance(text, os.PathLike) else str(text))


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2, default=_moment))


def _moment(value: Any) -> str:
    """A time, as JSON has it."""
    return str(value.isoformat())


for _command in app.registered_commands:
    _command.epilog = _command.epilog or STATUSES


def run() -> None:
    """Run the command line and exit with its status."""
    _speak_utf8()
    os.umask(0o077)  # what is written is for the user alone from the first moment on, temporary files too
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is signal.SIG_DFL:  # not under nohup
            signal.signal(each, _stop)
    try:
        app(prog_name="takeout-index")  # also as python -m pipeline
    except BrokenPipeError:  # the reader of our output has left
        _silence()
        sys.exit(FAILED)
    except SystemExit as end:
        # While modules are imported, and outside of a command, others take the signal for a Ctrl-C or a failure.
        if _stopped and end.code in (FAILED, INTERRUPTED):
            sys.exit(_stopped[0].code)
        raise


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where file names would be taken for something else, as in the C locale of old.

    The names in a Takeout are UTF-8, whatever the locale says; that counts for what is printed, as far as it can be.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return
    environment = os.environ | {"PYTHONUTF8": "1"}
    environment.setdefault("PYTHONIOENCODING", f"{sys.stdout.encoding if sys.stdout else 'utf-8'}:backslashreplace")
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def _silence() -> None:
    """Write nothing more to stdout, not even what is still to be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextlib.contextmanager
def _printing(before: str) -> Iterator[None]:
    """Print to stdout, all of it; if that cannot be, say so, and what was done `before`."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        from pipeline.problems import RunError

        _silence()
        raise RunError(f"{before}cannot print to stdout: {os.strerror(error.errno or 0)}") from error
