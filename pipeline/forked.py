"""A child process that calls a function for us, so that what ends it does not end us."""

from __future__ import annotations

import gc
import os
import signal
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

from pipeline.interrupts import ENDING
from pipeline.limits import die_with


class DiedError(Exception):
    """The child has ended over what it was asked; `str(error)` says how. `killed`: as anybody may have done it."""

    def __init__(self, message: str, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


class Forked:
    """Calls `function` in a child process, forked when it is needed first, and again when it has died.

    The child has all that this process has, and never ends by way of it: nothing of ours is flushed or closed there.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._pid = 0
        self._connection: Connection[Any, Any] | None = None

    def start(self) -> None:
        """Fork the child, if there is none."""
        if self._connection is None:
            self._connection = self._fork()

    def call(self, argument: Any, seconds: float | None = None) -> Any:
        """What the function returns, or raises. Raises DiedError if the child ends, or does not answer within `seconds`."""
        self.start()
        assert self._connection is not None
        try:
            self._connection.send(argument)
            if not self._connection.poll(seconds):
                raise DiedError("no answer")
            done, value = self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._reap() from None
        except BaseException:
            self.close()
            raise
        if done:
            return value
        raise value

    def _fork(self) -> Connection[Any, Any]:
        ours, theirs = Pipe()
        parent = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            with warnings.catch_warnings():  # of threads, of which the child needs none
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
            if not self._pid:
                self._serve(theirs, ours, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return ours

    def _serve(self, connection: Connection[Any, Any], other: Connection[Any, Any], parent: int) -> None:
        """What the child does, until nobody asks any more."""
        try:
            die_with(parent)
            for each in ENDING:
                signal.signal(each, signal.SIG_IGN)
            other.close()
            gc.freeze()  # the collector would write to every page it visits
            while True:
                argument = connection.recv()
                try:
                    answer = True, self._function(argument)
                except BaseException as error:
                    answer = False, error
                    error.add_note("".join(traceback.format_exception(error)))
                try:
                    connection.send(answer)
                except (TypeError, AttributeError, ValueError) as error:  # it cannot be pickled
                    connection.send((False, RuntimeError(f"{answer[1]!r}: {error}")))
        finally:
            os._exit(0)

    def _reap(self) -> DiedError:
        """How the child has ended."""
        assert self._connection is not None
        self._connection.close()
        self._connection = None
        _, status = os.waitpid(self._pid, 0)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return DiedError(_name_of(number), number in (signal.SIGKILL, *ENDING))
        return DiedError(f"exit status {os.waitstatus_to_exitcode(status)}")

    def close(self) -> None:
        """End the child, whatever it does."""
        if self._connection is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._reap()

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
