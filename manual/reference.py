"""Reference pages as Markdown: each says what the code says, and so cannot differ from it."""

from __future__ import annotations

import inspect
import re
import sqlite3
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from types import FunctionType
from typing import Any

import pyarrow as pa
import typer

import pipeline
from pipeline.cli import app
from pipeline.library import Library
from pipeline.record import COLUMNS, FILE_COLUMNS, PARTITION, Column
from pipeline.storage.index import Index
from pipeline.storage.package import PEOPLE, TABLES, VIEWS

CONF = Path(__file__).parent.parent / "conf"


def commands() -> dict[str, Any]:
    """The commands of the program that people give, by name."""
    group: Any = typer.main.get_command(app)
    return {name: command for name, command in group.commands.items() if not command.hidden}


def commands_page() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    lines = [
        "# Commands",
        "",
        "`takeout-index COMMAND --help` says the same. Results and `--json` go to stdout, progress and messages to stderr. "
        "How a command ends: [exit statuses](exit-statuses.md). What options default to, and where else they can be set: "
        "[configuration](configuration.md).",
        "",
        _table(
            ("command", "does"),
            ((f"[`{name}`](#{name})", _escaped(_paragraphs(command.help)[0])) for name, command in commands().items()),
        ),
        "",
    ]
    for name, command in commands().items():
        context = command.make_context(name, [], resilient_parsing=True)
        arguments = [each for each in command.params if each.param_type_name == "argument"]
        usage = " ".join([each.metavar or each.name.upper() for each in arguments])
        lines += [f"## {name}", "", "```", f"takeout-index {name} {usage}".rstrip() + " [OPTIONS]", "```", ""]
        lines += [_prose(command.help), ""]
        if described := [(f"`{each.metavar}`", _escaped(each.help)) for each in arguments if each.help]:
            lines += [_table(("argument", "is"), described), ""]
        records = [each.get_help_record(context) for each in command.params if each.param_type_name == "option"]
        lines += [
            _table(("option", "does"), ((f"`{left}`", _escaped(right)) for left, right in filter(None, records))),
            "",
        ]
    return "\n".join(lines)


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(each.split()) for each in inspect.cleandoc(text or "").split("\n\n")] or [""]


def _prose(text: str | None) -> str:
    """The help of a command; what it gives as examples is set as code."""
    blocks = []
    for paragraph in inspect.cleandoc((text or "").replace("\b", "")).split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        examples = [re.sub(r"^Examples?:\s*", "", line) for line in lines]
        if re.match(r"Examples?:", lines[0] if lines else "") or any(e.startswith("takeout-index ") for e in examples):
            blocks.append("\n".join(["```", *filter(None, examples), "```"]))
        else:
            blocks.append(_escaped(" ".join(lines)))
    return "\n\n".join(blocks)


def settings_page() -> str:
    """Every setting with its default, flag and variable; and the ready configurations as they are."""
    default = (CONF / "default.toml").read_text("utf-8")
    flags = {
        option
        for command in commands().values()
        for each in command.params
        if each.param_type_name == "option"
        for option in each.opts
    }
    values = tomllib.loads(default)
    rows = []
    for name, meaning in _settings(default):
        flag, value = f"--{name.replace('_', '-')}", values[name]
        shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
        rows.append((f"`{name}`", f"`{shown}`", f"`{flag}`" if flag in flags else "", _escaped(meaning)))
    lines = [
        "# Configuration",
        "",
        "A setting has one name everywhere: `file_seconds` in a file is `--file-seconds` on the command line and "
        "`TAKEOUT_INDEX_FILE_SECONDS` in the environment. A flag counts before the environment, that before the file given "
        "with `--config`, and that before the default. `DASK_SCHEDULER_ADDRESS` is another name for "
        "`TAKEOUT_INDEX_SCHEDULER`. An unknown key, or a value of another type, is an error.",
        "",
        _table(("setting", "default", "flag of `scan`", "meaning"), rows),
        "",
        "Two more variables: `TAKEOUT_INDEX_DEBUG=1` shows the traceback of a failure, as `--debug` does, and "
        "`XDG_CACHE_HOME` says in whose `takeout-index` folder `bench` keeps what it has measured (else `~/.cache`).",
        "",
        "## Ready configurations",
        "",
        "Give one with `--config conf/NAME.toml`; copy it to change it. A line left out keeps its default.",
        "",
    ]
    for path in sorted(CONF.glob("*.toml"), key=lambda path: (path.stem == "default", path.stem)):
        lines += [f"### {path.stem}", "", "```toml", path.read_text("utf-8").rstrip(), "```", ""]
    return "\n".join(lines)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Names of settings in a TOML file, and the comment above each."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if found := re.match(r"(\w+) = ", line):
            above = list(takewhile(lambda each: each.startswith("#"), reversed(lines[:number])))
            yield found[1], " ".join(each.removeprefix("#").strip() for each in reversed(above))


def schema_page() -> str:
    """Every table and column of the results."""
    tables, views = _sqlite()
    lines = [
        "# Tables and columns",
        "",
        "<!-- Made by `python -m manual` from pipeline/record.py and pipeline/storage/package.py: change those. -->",
        "",
        "`media` and `files` are Parquet, and tables of `index.sqlite` as well, which has all others. In Parquet times are "
        "`timestamp[us]`, of UTC or, where it says *wall clock*, without zone; in SQLite they are text, ISO 8601 "
        "(`2019-07-30T12:00:00+00:00`, `2019-07-30T14:00:00`), truth values 0 and 1. What is not known is null. "
        "`datapackage.json` in the results says the same for programs, `metadata.yaml` for Datasette.",
        "",
        "## media",
        "",
        f"One row per photo or video. In Parquet `{PARTITION}` is the partition: it stands in the names of the folders "
        f"(`media/{PARTITION}=2019/`), and is 0 where no date is known. Lists are in Parquet alone; SQLite has tables for "
        f"them, and `{PEOPLE.name}` as text, separated by commas. Columns marked with * have an index in SQLite.",
        "",
        *_columns(COLUMNS),
        "## files",
        "",
        "One row per listed file of any kind, and its one final state.",
        "",
        *_columns(FILE_COLUMNS),
    ]
    for name, (description, columns, _) in TABLES.items():
        rows = [(f"`{column}`", tables[name][column], _escaped(meaning)) for column, meaning in columns.items()]
        lines += [f"## {name}", "", f"{description}.", "", _table(("column", "type", "meaning"), rows), ""]
    lines += [
        "## media_fts",
        "",
        "Full-text search over title, description, people and name of `media`, by its `rowid`: "
        "`SELECT path FROM media WHERE rowid IN (SELECT rowid FROM media_fts WHERE media_fts MATCH 'beach')`.",
        "",
        "## Views",
        "",
        _table(
            ("view", "shows", "columns"),
            ((f"`{name}`", f"{meaning}", ", ".join(f"`{c}`" for c in views[name])) for name, meaning in VIEWS.items()),
        ),
        "",
    ]
    return "\n".join(lines)


def _columns(columns: Sequence[Column]) -> list[str]:
    rows = (
        (
            f"`{each.name}`" + ("\\*" if each.facet or each.indexed else ""),
            _type(each.type),
            _escaped(each.meaning + (f" ({each.unit})" if each.unit else "")),
        )
        for each in columns
    )
    return [_table(("column", "type", "meaning"), rows), ""]


def _type(type_: pa.DataType) -> str:
    if pa.types.is_list(type_):
        inner = type_.value_type
        return f"list of {_type(inner)}"
    if pa.types.is_struct(type_):
        return "(" + ", ".join(f"{field.name}: {_type(field.type)}" for field in type_) + ")"
    if pa.types.is_timestamp(type_):
        return "time, UTC" if type_.tz else "wall clock"
    return {"string": "text", "bool": "truth", "double": "real", "binary": "bytes"}.get(str(type_), str(type_))


def _sqlite() -> tuple[dict[str, dict[str, str]], dict[str, list[str]]]:
    """Columns and types of the tables, and columns of the views, that an index has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.sqlite"
        with Index(path) as index:
            index.settle()
            index.settle_places()
            index.finish()
        with closing(sqlite3.connect(path)) as db:

            def columns(name: str) -> dict[str, str]:
                return {row[1]: row[2].lower() for row in db.execute(f"PRAGMA table_info({name})")}

            return {name: columns(name) for name in TABLES}, {name: list(columns(name)) for name in VIEWS}


def python_page() -> str:
    """What `import pipeline` offers, with signatures and docstrings."""
    lines = ["# Python", "", _docstring(pipeline), ""]
    offered = {name: getattr(pipeline, name) for name in pipeline.__all__} | {"Library": Library}
    for name in sorted(offered, key=_order):
        value = offered[name]
        if isinstance(value, FunctionType):
            lines += [f"## {name}", "", *_signature(name, value), _docstring(value), ""]
        elif inspect.isclass(value):
            lines += [f"## {name}", "", _docstring(value), ""]
            lines += ["[Every setting](configuration.md) with its default.", ""] if value is pipeline.Settings else []
            for member, inside in vars(value).items():
                lines += _member(member, inside)
    lines += ["## RECORD", "", "The Arrow schema of a row of `media`: [tables and columns](../schema.md#media).", ""]
    return "\n".join(lines)


def _order(name: str) -> tuple[int, str]:
    first = ("scan", "open_library", "Library", "Settings")
    return first.index(name) if name in first else len(first), name


def _member(name: str, value: Any) -> list[str]:
    """A method or property of a class that is for people."""
    if name.startswith("_"):
        return []
    function = getattr(value, "func", None) or getattr(value, "fget", None)
    if function is not None:
        return [f"### {name}", "", _docstring(function), ""]
    if isinstance(value, classmethod):
        value = value.__func__
    return (
        [f"### {name}", "", *_signature(name, value), _docstring(value), ""] if isinstance(value, FunctionType) else []
    )


def _signature(name: str, function: Callable[..., Any]) -> list[str]:
    signature = inspect.signature(function)
    kept = [_plain(each) for each in signature.parameters.values() if each.name not in ("self", "cls")]
    text = f"{name}{signature.replace(parameters=kept)}".replace("'", "")
    if len(text) > 88:
        inside = ",\n    ".join(str(each).replace("'", "") for each in kept)
        returned = text.rpartition(")")[2]
        text = f"{name}(\n    {inside},\n){returned}"
    return ["```python", text, "```", ""]


class _Shown(str):
    """A default that is shown as this text."""

    __repr__ = str.__str__


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """The parameter without what its default holds: a constant says something to readers, `os.environ` says too much."""
    constant = isinstance(parameter.default, str | int | float | None) or parameter.default is inspect.Parameter.empty
    return parameter if constant else parameter.replace(default=_Shown("…"))


def _docstring(value: Any) -> str:
    """A docstring as Markdown: examples and literals as code."""
    blocks = []
    for paragraph in inspect.cleandoc(value.__doc__ or "").split("\n\n"):
        if paragraph.startswith(">>>"):
            blocks.append(
                "\n".join(["```pycon", *(line.partition("  # doctest:")[0] for line in paragraph.splitlines()), "```"])
            )
        else:
            blocks.append(paragraph)
    return "\n\n".join(blocks)


def _escaped(text: str) -> str:
    """Text that means itself in a cell of a table: names with underscores and what looks like an option as code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _coded(part) for part in parts).replace("|", "\\|")


def _coded(text: str) -> str:
    text = re.sub(
        r"(?<![\w`<-])(--[a-z][\w-]+|[\w./]+_[\w./]*\w|[\w./]*<[^<>]*>/?|\\x\w+|conf/[\w.]*\w)", r"`\1`", text
    )
    return text.replace("*", "\\*")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
