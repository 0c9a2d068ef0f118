"""Signals that end a program, where there is work that is worth finishing first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Ctrl-C, what a service manager sends, and what a closed terminal does: to all processes of a group, but only the first is to
#: act on it.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def finishing(tell: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """A block that is asked by a signal to end, and ended by a second one. Yields what says whether it has been asked.

    `tell` is called when that happens. At the end of the block the signal does what it would have done at once. Other threads
    than the main one get no signals: there it is never asked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    before: dict[int, Any] = {each: handler for each in ENDING if callable(handler := signal.getsignal(each))}

    def ask(number: int, frame: Any) -> None:
        if asked:
            before[number](number, frame)
        asked.append(number)
        threading.Thread(target=tell).start()  # which may print, as may what has just been interrupted

    for each in before:
        signal.signal(each, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if asked:
        before[asked[0]](asked[0], None)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals that end a program pass without effect until the block is done: what it does is over in an instant.

    Only in the main thread, as they reach no other.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [each for each in ENDING if signal.getsignal(each) is not None]
    before = {each: signal.signal(each, lambda *_: None) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
