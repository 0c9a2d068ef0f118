"""A failure on one input file, as data; and the errors that end a run.

Input is read under `noting`, output never is: an unreadable input file is an answer about that file,
anything else is a bug or a broken machine and stops the run.
"""

from __future__ import annotations

import errno
import os
import shlex
import sys
from dataclasses import dataclass, replace

#: Kinds of problems that may be gone another time, though the file is the same: rights, disks, a file that was being written.
TRANSIENT = frozenset({"unreadable", "vanished", "changed", "not_a_file"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with one file.

    `stage` is the step that met it (``list``, ``pair``, ``sidecar``, ``read``, ``exif`` ...),
    `kind` a short fixed word to count by, `message` a sentence for the person who owns the file.
    """

    stage: str
    kind: str
    message: str


#: Kinds of problems that a process has died of, or would have: files with one are `failed`, whatever else is known of them.
DEADLY = frozenset({"crashed", "too_slow", "too_much_memory"})


def death(kind: str, how: str = "", seconds: int = 0) -> Problem:
    """The problem of a file over which a process dies, one of DEADLY; `how` it died, or so many `seconds` after."""
    message = {
        "crashed": "a reader crashed on it",
        "too_slow": f"a reader was cut off, as nothing had gone on for {seconds} seconds (--file-seconds)",
        "too_much_memory": "a reader wanted more memory than it may have for one file (--file-mb)",
    }[kind]
    return Problem("read", kind, f"{message} ({how})" if how else message)


class RunError(Exception):
    """What ends a run and is not a bug: a full disk, a folder in use. `str(error)` is one line for the user."""


class UsageError(RunError):
    """Arguments that cannot be used as given, or do not go together."""


class OutputError(RunError):
    """Results that cannot be written."""


def to_install(*what: str) -> str:
    """The command that installs it for the Python that runs this: the first pip that a shell finds is often another's."""
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


class MediaError(Exception):
    """Bytes of one input file that mean nothing to us; `str(error)` is ``kind: message``.

    Built from one string so that it survives pickling between processes.
    """

    @property
    def kind(self) -> str:
        """The word before the colon."""
        return str(self).partition(": ")[0]

    @property
    def message(self) -> str:
        """The sentence after the colon."""
        return str(self).partition(": ")[2] or str(self)


def describe(error: BaseException, stage: str) -> Problem:
    """The Problem that an exception raised by reading or parsing one input file amounts to."""
    if isinstance(error, SystemExit | RecursionError) and stage not in _OF_TEXT:
        return replace(death("crashed", type(error).__name__), stage=stage)
    if isinstance(error, MediaError):
        return Problem(stage, error.kind, error.message)
    if isinstance(error, FileNotFoundError):
        return Problem(stage, "vanished", "the file was listed, but is gone")
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Problem(stage, "unreadable", reason)
    # Parsers of hostile bytes raise anything: AssertionError, IndexError, UnicodeDecodeError, RecursionError.
    text = str(error)[:200]
    return Problem(stage, "damaged", f"{type(error).__name__}: {text}" if text else type(error).__name__)


#: What is said of a file that is read again after its scan, and is another.
CHANGED = "changed: it is no longer what it was when it was scanned: scan again"
#: Stages of JSON files, of which one that is nested too deeply is merely no JSON file.
_OF_TEXT = ("list", "sidecar")


class noting:  # noqa: N801  # reads as what it does
    """Turn an exception of the block into a Problem appended to `problems`.

    The one place that catches `Exception`. Keep what stands under it to one parser's call on one file's bytes. What ends a run,
    as a work folder that cannot be read back, and running out of descriptors or memory are no answers about a file, and are
    raised: memory is all threads' of a process. A parser that means to end the program is an answer.
    """

    # A class, as half a dozen of them are entered for every file: contextlib's take four times as long.
    __slots__ = ("_problems", "_stage")

    def __init__(self, problems: list[Problem], stage: str) -> None:
        self._problems, self._stage = problems, stage

    def __enter__(self) -> None:
        """Nothing is to be prepared."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if error is None or not isinstance(error, Exception | SystemExit):
            return False
        if isinstance(error, RunError | MemoryError) or out_of_descriptors(error):
            return False
        self._problems.append(describe(error, self._stage))
        return True


def out_of_descriptors(error: BaseException) -> bool:
    """The error is that no more files can be opened."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
