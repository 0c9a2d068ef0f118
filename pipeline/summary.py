"""What a run found, as tables for people."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from pipeline.cost import FEWEST, PUBLISHED, PUBLISHED_DISK
from pipeline.progress import amount, clock, shown


def duration(seconds: float) -> str:
    """Seconds as people say them, with a digit after the point where they are few.

    >>> duration(1.26), duration(340), duration(17_000)
    ('1.3 s', '5 min 40 s', '4 h 43 min')
    """
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def _console() -> Console:
    return Console(markup=False, highlight=False, emoji=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=any(columns))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return table


#: Characters for the first column, below which a table is printed as lines.
_NARROWEST = 24


def _show(console: Console, table: Table) -> None:
    """Print a table. Figures stay whole, and names are folded; where there is no room for that, each row is some lines."""
    first, *others = table.columns
    for column in others:
        words = [*str(column.header).split(), *map(str, column.cells)]
        column.min_width = max(map(cell_len, words), default=0)
    room = console.width - sum((column.min_width or 0) + 2 for column in others)
    if room >= min(_NARROWEST, max((cell_len(str(cell)) for cell in first.cells), default=0)):
        console.print(table)
        return
    console.print(str(first.header), soft_wrap=True)
    for name, *values in zip(*(column.cells for column in table.columns), strict=True):
        console.print(str(name), soft_wrap=True)
        for column, value in zip(others, values, strict=True):
            if value:
                console.print(f"    {column.header}: {value}", soft_wrap=True)


def _counted(console: Console, title: str, counts: Mapping[str, int]) -> None:
    if not counts:
        return
    table = _table(title, "")
    for name, count in counts.items():
        table.add_row(f"  {shown(name)}", f"{count:,}")
    _show(console, table)


#: Rows of the published per-operation table, with our operations that do the same.
OPERATION_ROWS = (
    ("sidecar read", "sidecar_read", ("sidecar_read",)),
    ("sidecar parse", "sidecar_parse", ("sidecar_parse",)),
    ("open, EXIF read", "exif_read", ("open",)),
    ("EXIF, video", "exif_parse", ("exif", "video")),
    ("content read", "crc_read", ("content_read",)),
    ("CRC-32", "crc_compute", ("crc32",)),
    ("MIME type", "mime", ("mime",)),
    ("row, write", "write", ("record", "write")),
)


def print_report(report: Mapping[str, Any]) -> None:
    """The summary of a scan."""
    console = _console()
    counts = report["counts"]
    _counted(console, f"{report['listed']:,} files listed", counts["files"])
    _counted(console, f"{report['media']:,} photos and videos, {amount(report['bytes'])}", counts["media"])
    _counted(console, "status", counts["status"])
    _counted(console, "relations", {**counts["relations"], **{k: counts["tables"][k] for k in ("albums", "people")}})
    _counted(console, "problems", counts["problems"])
    _print_repeated(console, report)
    _print_audit(console, report["audit"])
    if report["changes"]:
        _counted(console, "since the last scan", {name: count for name, count in report["changes"].items() if count})
    read = report["media"] - report["taken_over"]
    if report["taken_over"]:
        console.print(f"{report['taken_over']:,} rows are as an earlier run has left them; files read: {read:,}")
    seconds = f"{clock(report['stages']['total'])} in all ({report['stages']['total']:.2f} s)"
    if read:
        _print_times(console, report)
        speed = f"{report['files_per_s'] or 0:,.0f} files/s, {report['mb_per_s'] or 0:,.0f} MB/s"
        seconds += f", {report['mode']}: {speed} while reading"
    console.print(seconds)
    _print_results(console, report)


def print_merged(report: Mapping[str, Any]) -> None:
    """The summary of a merge: what each library has, and what of it the others have too."""
    console = _console()
    columns = ("files", "photos, videos", "size", "only there", "in others too")
    some = any(each["not_compared"] for each in report["merged"])
    table = _table("library", *columns, *(["not compared"] if some else []))
    for each in report["merged"]:
        cells = [f"{each['files']:,}", f"{each['media']:,}", amount(each["bytes"])]
        cells += [f"{each['only_there']:,}", f"{each['shared']:,}"] + ([f"{each['not_compared']:,}"] if some else [])
        table.add_row(f"  {shown(each['library'])}", *cells)
    _show(console, table)
    copies, photos = report["counts"]["relations"]["duplicates"], report["media"]
    console.print(f"{photos:,} photos and videos in all, {photos - copies:,} without copies", soft_wrap=True)
    for each in report["merged"]:
        console.print(shown(f"{each['library']}: {each['verdict']}"), soft_wrap=True)
    if report["changes"] and report["mode"] != "unchanged":
        _counted(console, "since the last merge", {name: count for name, count in report["changes"].items() if count})
    seconds = report["stages"]["total"]
    console.print(
        "nothing had changed" if report["mode"] == "unchanged" else f"{clock(seconds)} in all ({seconds:.2f} s)"
    )
    _print_results(console, report)


def _print_results(console: Console, report: Mapping[str, Any]) -> None:
    """Where the results are, how many files have problems, and how to look at them."""
    console.print(f"results: {shown(report['output'])}", soft_wrap=True)
    if report["problem_files"]:
        console.print(
            f"{report['problem_files']:,} {'file has' if report['problem_files'] == 1 else 'files have'} problems: "
            "see the table problems in index.sqlite",
            soft_wrap=True,
        )
    for line in _looks(report):
        console.print(shown(line), soft_wrap=True)


def _looks(report: Mapping[str, Any]) -> tuple[str, str]:
    """Commands that show results to people, which work when pasted where the scan ran."""
    program, output = _near(Path(sys.executable).with_name("takeout-index")), shlex.quote(_near(report["output"]))
    page = " -o report.html" if "://" in report["output"] else ""  # else it lies beside the results
    return f"one page of it: {program} report {output}{page}", f"all of it, in your browser: {program} browse {output}"


def _print_times(console: Console, report: Mapping[str, Any]) -> None:
    """What each operation took per file."""
    table = _table("time per file", "here (ms)", "published (ms)")
    spent = {name: values["ms_per_file"] for name, values in report["operations"].items()}
    total = 0.0
    for title, published, ours in OPERATION_ROWS:
        milliseconds = sum(spent[name] for name in ours)
        total += milliseconds
        table.add_row(f"  {title}", f"{milliseconds:.3f}", f"{getattr(PUBLISHED, published):.1f}")
    table.add_row("  together", f"{total:.3f}", f"{sum(getattr(PUBLISHED, row[1]) for row in OPERATION_ROWS):.1f}")
    _show(console, table)


def print_next_steps(report: Mapping[str, Any]) -> None:
    """What else to look at after the demo, as commands that work when pasted where the demo ran."""
    output = _near(report["output"])
    python, program = _near(sys.executable), _near(Path(sys.executable).with_name("takeout-index"))

    def sql(query: str) -> str:
        if shutil.which("sqlite3"):
            return f'sqlite3 {shlex.quote(output)}/index.sqlite "{query}"'
        database = f"sqlite3.connect('{output}/index.sqlite')"
        return f"{python} -c \"import pandas, sqlite3; print(pandas.read_sql('{query}', {database}))\""

    console = _console()
    console.print("\nWhat else to look at next:")
    for line in (
        sql("SELECT * FROM timeline LIMIT 10"),
        sql("SELECT path, stage, kind, message FROM problems"),
        f"{python} -c \"import pandas; print(pandas.read_parquet('{output}/media').groupby('model')['size'].sum())\"",
        f"{program} export {shlex.quote(output)} -o favourites.csv --where favorited",
        f"{program} plan ~/Takeout",
        f"{program} scan ~/Takeout",
    ):
        console.print(f"  {shown(line)}", soft_wrap=True)


def _near(path: str | Path) -> str:
    """A path as short as it can be written from here."""
    if "://" in str(path):
        return str(path)
    found = Path(path)
    return str(found.relative_to(Path.cwd())) if found.is_relative_to(Path.cwd()) else str(found)


def print_plan(found: Mapping[str, Any]) -> None:
    """What `plan` found and predicts."""
    console = _console()
    _counted(console, f"{found['listed']:,} files listed, {amount(found['bytes'])}", found["states"])
    console.print(f"{found['media']:,} photos and videos, {amount(found['media_bytes'])}; {found['albums']:,} albums")
    _counted(console, "paired by", found["sidecar_rules"])
    _names(console, "without a sidecar", found["unmatched_media"])
    _names(console, "sidecars without a file", found["unmatched_sidecars"])
    _names(console, "unreadable", found["unreadable"])
    _print_repeated(console, found)
    _print_audit(console, found["audit"])
    table = _table("prediction", "time", "memory", "limited by")
    for mode, value in found["predicted"].items():
        chosen = " (chosen)" if mode == found["mode"] else ""
        table.add_row(f"  {mode}{chosen}", clock(value["seconds"]), f"{value['memory_mb']:,.0f} MB", value["bound"])
    _show(console, table)
    basis = f"measured here by bench on {found['measured_at'][:10]}" if found["measured_at"] else "built in"
    console.print(
        f"{found['threads']} I/O threads, {found['processes']} processes; predicted from costs {basis}", soft_wrap=True
    )


#: Rows of the table of costs, as `bench` has them.
_BENCH_ROWS = (
    *((title, published) for title, published, _ in OPERATION_ROWS),
    ("others", "other"),
    ("list, pair, plan", "listing"),
    ("settle, publish", "settling"),
)


def print_bench(found: Mapping[str, Any]) -> None:
    """What `bench` measured and predicts, beside the published analysis."""
    console = _console()
    machine, cache = found["machine"], found["cache"]
    console.print(
        f"{found['media']:,} photos and videos, {amount(found['bytes_to_read'])} to read; "
        f"{found['sample']['files']:,} of them measured ({amount(found['sample']['bytes'])}), {machine['cores']} cores"
    )
    if not found["sample"]["files"]:
        console.print("there is nothing to measure")
        return
    if cache["disk_mb_per_s"]:
        console.print(
            f"{cache['cold_share']:.0%} of that came from the disk, at {cache['disk_mb_per_s']:,.0f} MB/s "
            "with all threads; the runs below read it from memory",
            soft_wrap=True,
        )
    elif cache["looked_at"]:
        console.print("all of that was in memory already: what the disk can do is not seen", soft_wrap=True)
    if found["archives"]["seconds"]:
        speed = found["archives"]["bytes"] / found["archives"]["seconds"]
        console.print(f"archives that are read from front to back: {amount(speed)}/s by one process")
    if not found["measured"]:
        console.print(
            f"fewer than {FEWEST} files do not show what one costs: these are the costs built in, and nothing is kept",
            soft_wrap=True,
        )
    here = "here (ms)" if found["measured"] else "built in (ms)"
    table = _table("cost of a file, sequential", here, "published (ms)")
    for title, name in _BENCH_ROWS:
        published = getattr(PUBLISHED, name)
        table.add_row(f"  {title}", f"{found['operations_ms'][name]:.3f}", f"{published:.1f}" if published else "")
    table.add_row("  together", f"{sum(found['operations_ms'].values()):.3f}", "34.0")
    _show(console, table)
    _print_settings(console, found)
    _print_predicted(console, found)
    if found["not_measured"]:
        console.print(f"no time was left for: {', '.join(found['not_measured'])}", soft_wrap=True)
    if found["kept_in"]:
        console.print(f"kept for plan and scan: {shown(found['kept_in'])}", soft_wrap=True)
    console.print(f"report: {shown(found['output'])}", soft_wrap=True)
    if found["picture"]:
        console.print(f"picture: {shown(found['picture'])}", soft_wrap=True)


def _print_settings(console: Console, found: Mapping[str, Any]) -> None:
    table = _table("while reading", "files/s", "speed-up", "memory")
    for each in found["settings"]:
        memory = f"{each['memory_mb']:,.0f} MB" if each["memory_mb"] else "unknown"
        title = (
            "sequential"
            if each["mode"] == "sequential"
            else f"{each['processes']} process{'' if each['processes'] == 1 else 'es'}, "
            f"{each['threads']} thread{'' if each['threads'] == 1 else 's'}"
        )
        table.add_row(f"  {title}", f"{each['files_per_s']:,.0f}", f"{each['speed_up']:.2f}", memory)
    table.add_row("  published: sequential", "29", "1.00", "70 MB")
    table.add_row("  published: 8 processes, 16 threads", "200", "6.80", "736 MB")
    _show(console, table)


def _print_predicted(console: Console, found: Mapping[str, Any]) -> None:
    """Sizes of libraries, and this one as a whole; beside them the published table, with and without its disk."""
    table = _table(
        "files", "sequential", "parallel", "gain", "published sequential", "published parallel", "published gain"
    )
    for files, ours in found["predicted"].items():
        theirs = found["published"][files]
        cells = [duration(each[mode]["seconds"]) for each in (ours, theirs) for mode in ("sequential", "parallel")]
        speed_ups = [f"{each['speed_up']:.1f}" for each in (ours, theirs)]
        table.add_row(f"  {int(files):,}", *cells[:2], speed_ups[0], *cells[2:], speed_ups[1])
    _show(console, table)
    most = max(found["published_with_disk"], key=int)
    console.print(
        f"(at the {PUBLISHED_DISK:.0f} MB/s that the published analysis assumes, its {int(most):,} files in parallel take "
        f"{duration(found['published_with_disk'][most]['parallel']['seconds'])})",
        soft_wrap=True,
    )
    table = _table("this input as a whole", "time", "memory", "limited by")
    for mode in ("sequential", "parallel"):
        each = found["this_input"][mode]
        table.add_row(f"  {mode}", duration(each["seconds"]), f"{each['memory_mb']:,.0f} MB", each["bound"])
    _show(console, table)


#: What `verify` calls the outcomes of files, and how many of each it names; all are in its JSON.
_OUTCOMES = {
    "same": "the same",
    "differs": "differ",
    "unreadable": "cannot be read",
    "missing": "missing",
    "known": "cannot be read, as when they were scanned",
    "not_checked": "not checked, as the index has nothing to compare them with",
    "new": "new, not in the index",
}
_COMPARED_BY = {"crc32": "by CRC-32", "archive": "by the CRC-32 in their archive", "size": "by size alone"}
OUTCOMES_SHOWN = 20


def print_verified(found: Mapping[str, Any]) -> None:
    """What `verify` found: the counts, what is not the same by name, and one sentence."""
    console = _console()
    table = _table(f"{found['files']:,} files in the index", "")
    for outcome, title in _OUTCOMES.items():
        if found["counts"][outcome] or outcome == "same":
            table.add_row(f"  {title}", f"{found['counts'][outcome]:,}")
        if outcome == "same":
            for by, said in _COMPARED_BY.items():
                if found["compared_by"][by]:
                    table.add_row(f"    {said}", f"{found['compared_by'][by]:,}")
    _show(console, table)
    for part in found["lost_parts"]:
        place = shown(part["place"])
        console.print(f"{part['files']:,} files {part['outcome']} with {place}: {part['reason']}", soft_wrap=True)
    for outcome, title in _OUTCOMES.items():
        named = [each for each in found["not_same"] if each["outcome"] == outcome]
        if named:
            console.print(f"{title}:")
        for each in named[:OUTCOMES_SHOWN]:
            changes = [f"{change['what']} was {change['then']}, is {change['now']}" for change in each["changes"]]
            why = "; ".join([*changes, *filter(None, [each["reason"]])])
            where = f" in {each['part']}" if each["part"] != each["path"] else ""
            console.print(f"  {shown(each['path'] + where + (f': {why}' if why else ''))}", soft_wrap=True)
        if len(named) > OUTCOMES_SHOWN:
            console.print(f"  … and {len(named) - OUTCOMES_SHOWN:,} more, which --json names")
    console.print(
        f"{amount(found['bytes'])} in {clock(found['seconds'])} ({found['seconds']:.2f} s), {found['threads']} threads: "
        f"{found['files_per_s'] or 0:,.0f} files/s, {found['mb_per_s'] or 0:,.0f} MB/s",
        soft_wrap=True,
    )
    if found["damaged"]:
        what = (
            "1 file is not as it was" if found["damaged"] == 1 else f"{found['damaged']:,} files are not as they were"
        )
        console.print(f"{what} at the scan", soft_wrap=True)
    else:
        console.print("all that could be compared is as it was when it was scanned", soft_wrap=True)


#: What `diff` calls the outcomes of files.
_DIFFERENCES = {
    "unchanged": "unchanged",
    "metadata": "of the same content, but otherwise changed",
    "changed": "of other content",
    "moved": "moved",
    "new": "new",
    "removed": "removed",
    "unread": "not compared, as they could not be read",
}
#: Characters of a value that is told.
VALUE_SHOWN = 60


def print_differences(found: Mapping[str, Any]) -> None:
    """What `diff` found: the counts, the columns that differ, what is not the same by name, and one sentence."""
    console = _console()
    for name in ("old", "new"):
        side = found[name]
        what = f"results of {side['scanned_at'][:10]}" if side["is_results"] else "scanned now"
        console.print(
            f"{name.upper()}: {shown(side['given'])} ({what}): {side['media']:,} photos and videos, {amount(side['bytes'])}",
            soft_wrap=True,
        )
    table = _table("photos and videos", "files", "size")
    for outcome, title in _DIFFERENCES.items():
        if found["counts"][outcome] or outcome == "unchanged":
            table.add_row(f"  {title}", f"{found['counts'][outcome]:,}", amount(found["bytes"][outcome]))
    _show(console, table)
    _counted(console, "what differs where the content is the same", found["columns"])
    if found["other_files"]:
        table = _table("other files", "unchanged", "changed", "new", "removed")
        for state, counts in found["other_files"].items():
            table.add_row(f"  {state}", *(f"{counts[each]:,}" for each in ("unchanged", "changed", "new", "removed")))
        _show(console, table)
    for outcome, title in _DIFFERENCES.items():
        named = [each for each in found["not_same"] if each["outcome"] == outcome]
        if named:
            console.print(f"{title}:")
        for each in named[:OUTCOMES_SHOWN]:
            console.print(f"  {shown(_difference(each))}", soft_wrap=True)
        _more(console, found["counts"][outcome] - len(named[:OUTCOMES_SHOWN]) if named else 0)
    # A sidecar comes and goes with its photo.
    others = [each for each in found["other_not_same"] if (each["new"] or each["old"])["state"] != "sidecar"]
    if others:
        console.print("other files:")
    for each in others[:OUTCOMES_SHOWN]:
        console.print(f"  {shown(_other_difference(each))}", soft_wrap=True)
    total = found["others_differ"] - sum(
        count for outcome, count in found["other_files"].get("sidecar", {}).items() if outcome != "unchanged"
    )
    _more(console, total - len(others[:OUTCOMES_SHOWN]))
    if found["differs"] or found["others_differ"]:
        console.print(f"different: {found['differs']:,} photos and videos, {found['others_differ']:,} other files")
    else:
        console.print("all that could be compared is the same")


def _more(console: Console, count: int) -> None:
    if count > 0:
        console.print(f"  … and {count:,} more, which --json names")


def _difference(each: Mapping[str, Any]) -> str:
    """A line about a photo or video."""
    old, new = each["old"], each["new"]
    said = [_change(change) for change in each["changes"]]
    if old and new and old["size"] != new["size"]:
        said.insert(0, f"size was {old['size']:,}, is {new['size']:,} bytes")
    if each["copy_of"] is not None:
        said.append(f"a copy of {each['copy_of']}" if new else f"its content is still at {each['copy_of']}")
    if each["reason"]:
        said.append(each["reason"])
    moved = f", was {old['path']}" if old and new and old["path"] != new["path"] else ""
    return each["path"] + moved + (f": {'; '.join(said)}" if said else "")


def _change(change: Mapping[str, Any]) -> str:
    """A column, and how it changed."""
    if change["column"] == "sidecar_path":
        return "has a sidecar now" if change["now"] else "has no sidecar any more"
    return f"{change['column']} was {_value(change['then'])}, is {_value(change['now'])}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(str(each["text"] if isinstance(each, dict) else each) for each in value) or "none"
    else:
        text = (
            {None: "none", True: "yes", False: "no"}.get(value, str(value))
            if not isinstance(value, float)
            else f"{value:.5f}"
        )
    return text if len(text) <= VALUE_SHOWN else f"{text[: VALUE_SHOWN - 1]}…"


def _other_difference(each: Mapping[str, Any]) -> str:
    """A line about another file."""
    old, new = each["old"], each["new"]
    reason = f" ({each['reason']})" if each["reason"] else ""
    if old is None or new is None:
        return f"{each['path']}: {each['outcome']}, {(old or new)['state']}{reason}"
    changes = [f"{what} was {old[what]}, is {new[what]}" for what in ("state", "size") if old[what] != new[what]]
    return f"{each['path']}: {'; '.join(changes)}{reason}"


def print_exported(found: Mapping[str, Any]) -> None:
    """What `export` wrote."""
    console = _console()
    console.print(
        f"{found['rows']:,} rows of {found['table']}, {len(found['columns'])} columns, {amount(found['bytes'])}, "
        f"{found['format']}; location {found['location']}",
        soft_wrap=True,
    )
    console.print(f"exported to {shown(found['output'])}", soft_wrap=True)


def print_explanation(found: Mapping[str, Any]) -> None:
    """Why a file is what it is: what was taken is marked, what was not says why."""
    console = _console()
    console.print(shown(found["path"]), style="bold", soft_wrap=True)
    if "state" in found:
        reason = f": {shown(found['reason'])}" if found["reason"] else ""
        console.print(f"  is not a photo or video; its state is {found['state']}{reason}", soft_wrap=True)
        for user in found["used_by"]:
            console.print(f"  is the sidecar of {shown(user)}", soft_wrap=True)
        return
    sidecar, date, place = found["sidecar"], found["date"], found["place"]
    answer = f"{sidecar['path']}, by the rule {sidecar['rule']}: {sidecar['meaning']}" if sidecar["path"] else "none"
    if not sidecar["path"] and not sidecar["candidates"]:
        answer += ", as no JSON file in the folder is named like it"
    _candidates(console, "sidecar", answer, ((each["sidecar"], each["rule"], each) for each in sidecar["candidates"]))
    answer = _moment(date) + (f", by the rule {date['rule']}" if date["rule"] else "")
    _candidates(
        console, "date", answer, ((str(each["at"] or each["local"]), each["rule"], each) for each in date["candidates"])
    )
    where = ", ".join(filter(None, (place["place"], place["country_code"])))
    answer = (
        f"{_position(place)} {f'({where}), ' if where else ''}by the rule {place['rule']}" if place["rule"] else "none"
    )
    _candidates(console, "place", answer, ((_position(each), each["rule"], each) for each in place["candidates"]))
    albums = ", ".join(title or "(without a title)" for title in found["albums"])
    for name, value in (*found["relations"].items(), ("albums", albums)):
        if value:
            console.print(f"{name}: {shown(value)}", soft_wrap=True)
    for problem in found["problems"]:
        console.print(f"problem: {problem['stage']}, {problem['kind']}: {shown(problem['message'])}", soft_wrap=True)


def _moment(date: Mapping[str, Any]) -> str:
    """Wall clock and instant, and how far they are apart."""
    said = []
    if date["taken_local"]:
        said.append(f"{date['taken_local']} by the clock")
    if date["taken_at"]:
        said.append(f"{str(date['taken_at']).removesuffix('+00:00')} UTC")
    if date["utc_offset_min"] is not None:
        sign, minutes = "-" if date["utc_offset_min"] < 0 else "+", abs(date["utc_offset_min"])
        said.append(f"UTC{sign}{minutes // 60}:{minutes % 60:02d}")
    if date["time_zone"]:
        said.append(f"the place is in {date['time_zone']}")
    return ", ".join(said) if date["rule"] else "none"


def _position(place: Mapping[str, Any]) -> str:
    return f"{place['latitude']:.5f}, {place['longitude']:.5f}"


def _candidates(
    console: Console, title: str, answer: str, candidates: Iterable[tuple[str, str, Mapping[str, Any]]]
) -> None:
    console.print(f"{title}: {shown(answer)}", soft_wrap=True)
    for said, rule, each in candidates:
        mark, why_not = (
            (">", "") if each["chosen"] else (" ", f"  ({shown(each['why_not'])})" if each["why_not"] else "")
        )
        console.print(f"  {mark} {rule}: {shown(said)}{why_not}", soft_wrap=True)


#: Characters of a title in a table.
TITLE_SHOWN = 60
#: Folders of the table of completeness, at most; those that lack the most first.
FOLDERS_SHOWN = 40


def _print_audit(console: Console, audit: Mapping[str, Any]) -> None:
    """Is the export complete? The folders that lack something, by year: files without sidecar, sidecars without file, and
    sidecars whose file lies in another folder."""
    folders = audit["folders"]

    def lacks(each: Mapping[str, Any]) -> int:
        return int(each["media_without_sidecar"] + each["sidecars_without_media"])

    lacking = sorted(filter(lacks, folders), key=lambda each: (-lacks(each), each["folder"]))
    chosen = lacking[:FOLDERS_SHOWN]
    table = _table("folders that lack something", "files", "size", "no sidecar", "no file", "elsewhere")
    for each in sorted(chosen, key=lambda each: (each["kind"] != "year", each["year"] or 0, each["folder"])):
        title = each["title"] or each["folder"].rpartition("/")[2]
        numbers = (each["media_without_sidecar"], each["sidecars_without_media"], each["members_elsewhere"])
        table.add_row(
            f"  {shown(title[:TITLE_SHOWN])} ({each['kind']})",
            f"{each['media']:,}",
            amount(each["bytes"]),
            *(f"{number:,}" if number else "" for number in numbers),
        )
    if len(lacking) > len(chosen):
        table.add_row(f"  … and {len(lacking) - len(chosen):,} more that lack something", *[""] * 5)
    if chosen:
        _show(console, table)
    console.print(f"{len(folders) - len(lacking):,} of {len(folders):,} folders lack nothing")
    for missing in audit["missing_parts"]:
        console.print(f"missing part: {shown(missing)}", soft_wrap=True)
    console.print(shown(audit["verdict"]), soft_wrap=True)


def _print_repeated(console: Console, found: Mapping[str, Any]) -> None:
    if found["repeated_parts"]:
        _names(console, "the same as another part, and read once", found["repeated_parts"])


def _names(console: Console, title: str, names: Sequence[str], most: int = 5) -> None:
    console.print(f"{len(names):,} {title}" + (":" if names else ""))
    for name in names[:most]:
        console.print(f"  {shown(name)}", soft_wrap=True)
    if len(names) > most:
        console.print(f"  … and {len(names) - most:,} more")
