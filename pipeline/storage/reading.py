"""What a connection may do over which other people's SQL comes: read, for a while, and nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.storage.lookup import address_of

#: A value of SQLite's.
Value = str | bytes | int | float | None

#: What a statement may consist of: reading, selecting, calling functions, and repeating itself.
_READING = frozenset({sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
#: PRAGMAs that only tell.
_TELLING = frozenset(
    (
        *(
            "data_version",
            "database_list",
            "foreign_key_list",
            "function_list",
            "index_info",
            "index_list",
            "index_xinfo",
        ),
        *("max_page_count", "page_count", "page_size", "schema_version", "table_info", "table_list", "table_xinfo"),
        "user_version",
    )
)
#: Functions that do more than compute, where a SQLite was built with them.
_DOING = frozenset({"edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"})
#: Functions that can take the square of what they are given, and not be interrupted.
_SLOW = frozenset({"json_patch", "unhex"})
#: Bytes of a value, of which a statement could otherwise make some at 1 GB each; the longest of ours are sidecars.
LONGEST = 64 << 20
#: Characters that may be trimmed from a text.
MOST_TRIMMED = 1000
#: Bytes of a pattern of LIKE or GLOB, which can take the square of that, and not be interrupted.
LONGEST_PATTERN = 2000


def for_strangers(index: Path) -> sqlite3.Connection:
    """A connection that can read a finished index, and nothing else, for one thread after the other."""
    db = sqlite3.connect(address_of(index), uri=True, check_same_thread=False)
    only_reading(db)
    return db


def only_reading(db: sqlite3.Connection) -> None:
    """Take from a connection all that is not reading of its own database: writing, attaching others, files, extensions."""

    def judge(action: int, name: str | None, function: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_OK if name in _TELLING else sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_FUNCTION and function in _DOING | _SLOW:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_UPDATE and name == "sqlite_master":  # how a virtual table declares its columns
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY

    db.create_function("instr", 2, _instr, deterministic=True)
    db.create_function("replace", 3, _replace, deterministic=True)
    for name, trim in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        db.create_function(name, 2, partial(_trim, trim), deterministic=True)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    db.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.set_authorizer(judge)


# SQLite's own functions of these names compare every place of one text with all of the other.


def _instr(text: Value, part: Value) -> int | None:
    if text is None or part is None:
        return None
    if isinstance(text, bytes) and isinstance(part, bytes):
        return text.find(part) + 1
    return _text(text).find(_text(part)) + 1


def _replace(text: Value, old: Value, new: Value) -> Value:
    if text is not None and old is not None and not _text(old):
        return _text(text) if isinstance(text, bytes) else text  # whatever the third is
    if text is None or old is None or new is None:
        return None
    whole, before, after = _text(text), _text(old), _text(new)
    if len(whole) + whole.count(before) * (len(after) - len(before)) > LONGEST:
        raise ValueError("the text would be too long")
    return whole.replace(before, after)


def _trim(trim: Callable[[str, str], str], text: Value, characters: Value) -> str | None:
    if text is None or characters is None:
        return None
    if len(_text(characters)) > MOST_TRIMMED:
        raise ValueError("these are too many characters to trim")
    return trim(_text(text), _text(characters))


def _text(value: Value) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
