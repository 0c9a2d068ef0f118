"""Progress: what people see of a run while it lasts, on stderr. A bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Protocol, TextIO

#: First words of steps that have figures, as reading has.
MOVING = ("fetching", "merging", "publishing", "writing")


class Watch(Protocol):
    """Someone who follows a run."""

    def listing(self, files: int) -> None:
        """So many files have been listed so far."""

    def note(self, line: str) -> None:
        """A step is done, or something is worth saying."""

    def step(self, line: str) -> None:
        """A step begins that has no figures of its own; worth a word if it takes long."""

    def begin(self, files: int, size: int) -> None:
        """Reading begins, or one of MOVING that was the step before: so many files of so many bytes in all; 0 files where that
        is still to be found out."""

    def advance(self, files: int, size: int, problems: int) -> None:
        """A shard is done: so many more files and bytes, so many files with problems among them."""


@contextmanager
def following(watch: Watch, done: Callable[[], tuple[int, int]], size: int, every: float = 0.5) -> Iterator[None]:
    """While the block reads `size` bytes, tell `watch` now and then what is `done`: files found, and bytes read."""
    finished = threading.Event()
    files = read = 0

    def tell() -> None:
        nonlocal files, read
        found, position = done()
        watch.advance(found - files, position - read, 0)
        files, read = found, position

    def follow() -> None:
        while not finished.wait(every):
            tell()

    watch.begin(0, size)
    thread = threading.Thread(target=follow, name="following", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


class Silent:
    """A Watch that says nothing."""

    def listing(self, files: int) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""

    def step(self, line: str) -> None:
        """Nothing."""

    def begin(self, files: int, size: int) -> None:
        """Nothing."""

    def advance(self, files: int, size: int, problems: int) -> None:
        """Nothing."""


class _Counts:
    """What has been done since when, and from that speed and time left."""

    def __init__(self, files: int, size: int) -> None:
        self.all_files, self.all_bytes = files, size
        self.files = self.bytes = self.problems = 0
        self.started = time.monotonic()

    def add(self, files: int, size: int, problems: int) -> None:
        self.files += files
        self.bytes += size
        self.problems += problems

    @property
    def share(self) -> float:
        """Share done, weighed by bytes and by files, as either may dominate."""
        by_bytes = self.bytes / self.all_bytes if self.all_bytes else None
        by_files = self.files / self.all_files if self.all_files else 1.0 if by_bytes is None else by_bytes
        return min(1.0, (by_files + (by_files if by_bytes is None else by_bytes)) / 2)

    def line(self) -> str:
        elapsed = max(time.monotonic() - self.started, 1e-6)
        left = elapsed / self.share * (1 - self.share) if self.share else None
        files = f"{self.files:,} of {self.all_files:,} files" if self.all_files else f"{self.files:,} photos and videos"
        return (
            f"{files}, {self.files / elapsed:,.0f} files/s, "
            f"{self.bytes / elapsed / 1e6:,.0f} MB/s, "
            f"{'ETA ' + clock(left) if left is not None else 'ETA unknown'}, {self.problems:,} with problems"
        )


def shown(text: str) -> str:
    r"""Text for a terminal: control characters, direction marks and stray surrogates as escapes.

    >>> shown("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def amount(size: float) -> str:
    """Bytes as people say them.

    >>> amount(999), amount(3_200_000), amount(999_960), amount(1.2e12)
    ('999 B', '3.2 MB', '1.0 MB', '1.2 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.95:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def clock(seconds: float) -> str:
    """Seconds as people say them.

    >>> clock(4), clock(75), clock(7300)
    ('4 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Lines:
    """A Watch that writes a plain line at most every `every` seconds: for logs and pipes."""

    def __init__(self, stream: TextIO, every: float = 2.0) -> None:
        self.stream, self.every = stream, every
        self.last = 0.0
        self.counts = _Counts(0, 0)
        self.doing, self._next = "", ""

    def _say(self, line: str, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self.last >= self.every:
            self.last = now
            try:
                print(line, file=self.stream, flush=True)
            except OSError:  # a full or closed log must not end the run
                self.every = float("inf")

    def listing(self, files: int) -> None:
        """Files found so far."""
        self._say(f"listing: {files:,} files found")

    def note(self, line: str) -> None:
        """Always said."""
        self._say(shown(line), always=True)

    def step(self, line: str) -> None:
        """Said if nothing else has been for a while."""
        self._next = line.partition(" ")[0]
        self._say(line)

    def begin(self, files: int, size: int) -> None:
        """Starts the clock."""
        self.counts = _Counts(files, size)
        self.last = time.monotonic()
        self.doing, self._next = self._next if self._next in MOVING else "reading", ""

    def advance(self, files: int, size: int, problems: int) -> None:
        """Files/s, MB/s, time left, problems."""
        self.counts.add(files, size, problems)
        self._say(f"{self.doing}: {self.counts.line()}", always=0 < self.counts.files == self.counts.all_files)


class Bar:
    """A Watch that keeps one line of the terminal up to date."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress_bar import ProgressBar

        self.console = Console(file=stream, highlight=False, markup=False)
        self.live = Live(console=self.console, refresh_per_second=8, transient=True)
        self.bar = ProgressBar(total=1.0)
        self.counts = _Counts(0, 0)

    def listing(self, files: int) -> None:
        """Files found so far."""
        self.live.update(f"listing: {files:,} files found")

    def note(self, line: str) -> None:
        """Printed above the line."""
        self.live.update("")
        self.console.print(shown(line))

    def step(self, line: str) -> None:
        """Shown until the next one."""
        self.live.update(line)

    def begin(self, files: int, size: int) -> None:
        """Starts the clock."""
        self.counts = _Counts(files, size)

    def advance(self, files: int, size: int, problems: int) -> None:
        """The bar, files/s, MB/s, time left, problems."""
        from rich.table import Table

        self.counts.add(files, size, problems)
        line = self.counts.line()
        room = min(24, self.console.width - len(line) - 1)
        if room < 8:  # a narrow terminal: the figures matter more than the bar
            self.live.update(line)
            return
        self.bar.update(self.counts.share)
        self.bar.width = room
        row = Table.grid(padding=(0, 1))
        row.add_row(self.bar, line)
        self.live.update(row)


class Cell:
    """A Watch that keeps the output of a notebook's cell up to date: what is worth saying, and a bar below it.

    Plain HTML that needs no extension of the notebook, and when the run is over is left without the bar.
    """

    def __init__(self, every: float = 0.2) -> None:
        from IPython.display import HTML, display

        self.every = every
        self.counts = _Counts(0, 0)
        self.said: list[str] = []
        self.now = ""
        self.share: float | None = None
        self._shown_at = 0.0
        self._html = HTML
        self._output = display(HTML(""), display_id=True)

    def _show(self, line: str, share: float | None = None, always: bool = False) -> None:
        self.now, self.share = line, share
        if always or time.monotonic() - self._shown_at >= self.every:
            self._shown_at = time.monotonic()
            self._output.update(self._html(self._text()))

    def _text(self) -> str:
        lines = [f"<div>{escape(shown(line))}</div>" for line in self.said]
        if self.now:
            value = "" if self.share is None else f' value="{self.share:.3f}"'
            bar = f'<progress max="1"{value} aria-label="progress" style="width:12em;margin-right:.7em"></progress>'
            lines.append(f"<div>{bar}{escape(self.now)}</div>")
        return f'<div style="color:inherit;overflow-wrap:anywhere">{"".join(lines)}</div>'

    def listing(self, files: int) -> None:
        """Files found so far."""
        self._show(f"listing: {files:,} files found")

    def note(self, line: str) -> None:
        """Stays when the run is over."""
        self.said.append(line)
        self._show(self.now, self.share, always=True)

    def step(self, line: str) -> None:
        """Shown until the next one."""
        self._show(line, always=True)

    def begin(self, files: int, size: int) -> None:
        """Starts the clock."""
        self.counts = _Counts(files, size)

    def advance(self, files: int, size: int, problems: int) -> None:
        """The bar, files/s, MB/s, time left, problems."""
        self.counts.add(files, size, problems)
        self._show(self.counts.line(), self.counts.share)

    def end(self) -> None:
        """Leave what is worth saying, and no bar."""
        self._show("", always=True)


@contextmanager
def watching_here(quiet: bool) -> Iterator[Watch]:
    """The Watch for a program that is not ours: none if `quiet`, in a notebook a cell's output, on a terminal a bar."""
    if not quiet and _in_notebook():
        cell = Cell()
        try:
            yield cell
        finally:
            cell.end()
        return
    with watching(quiet or not (sys.stderr and sys.stderr.isatty())) as watch:
        yield watch


def _in_notebook() -> bool:
    """This process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@contextmanager
def watching(quiet: bool, stream: TextIO | None = None) -> Iterator[Watch]:
    """The Watch that fits where stderr goes: silent if `quiet`, a bar on a terminal, else plain lines."""
    stream = stream or sys.stderr
    if quiet or stream is None:
        yield Silent()
    elif stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        bar = Bar(stream)
        with bar.live:
            yield bar
    else:
        yield Lines(stream)
