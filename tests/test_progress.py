"""Progress: plain lines where stderr is no terminal, one line kept up to date where it is."""

import contextlib
import io
import os
import pty

import pytest

from pipeline.progress import Lines, Silent, watching


def test_lines_tell_files_speed_time_left_and_problems() -> None:
    stream = io.StringIO()
    watch = Lines(stream, every=0.0)
    watch.listing(500)
    watch.note("found 500 files")
    watch.begin(4, 4_000_000)
    watch.advance(1, 1_000_000, 1)
    watch.advance(3, 3_000_000, 0)
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["listing: 500 files found", "found 500 files"]
    assert lines[2].startswith("reading: 1 of 4 files, ")
    assert lines[2].endswith(", 1 with problems")
    assert "MB/s, ETA " in lines[2]
    assert lines[3].startswith("reading: 4 of 4 files, ")
    watch.step("publishing at s3://bucket/results")
    for _ in range(2):
        watch.begin(1, 1)
        watch.advance(1, 1, 0)
    assert [line.partition(":")[0] for line in stream.getvalue().splitlines()[5:]] == ["publishing", "reading"]


def test_notes_name_files_without_obeying_them() -> None:
    stream = io.StringIO()
    Lines(stream).note("a\x1b[31m.zip is the same as another part")
    assert stream.getvalue() == "a\\x1b[31m.zip is the same as another part\n"


def test_lines_come_no_oftener_than_asked_but_for_the_last() -> None:
    stream = io.StringIO()
    watch = Lines(stream, every=3600)
    watch.begin(1000, 0)
    for _ in range(1000):
        watch.advance(1, 0, 0)
    assert len(stream.getvalue().splitlines()) == 1


def test_a_log_that_is_full_or_closed_does_not_end_the_run() -> None:
    full = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115
    with watching(False, full) as watch:
        watch.note("a line")
        watch.begin(1, 1)
        watch.advance(1, 1, 0)
    with contextlib.suppress(OSError):
        full.close()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed, watching(False, closed) as watch:
        watch.note("a line")
        watch.advance(1, 1, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), closed.fileno())


def read_all(leader: int) -> str:
    """What a terminal was sent, to the end: Linux says EIO once nobody has the other side open."""
    shown = b""
    with contextlib.suppress(OSError):
        while data := os.read(leader, 1 << 16):
            shown += data
    os.close(leader)
    return shown.decode()


def test_a_terminal_gets_a_bar_and_a_quiet_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, bar in ((120, True), (40, False)):
        leader, follower = pty.openpty()
        monkeypatch.setenv("COLUMNS", str(columns))
        with os.fdopen(follower, "w", encoding="utf-8") as stream, watching(False, stream) as watch:
            watch.note("found two files")
            watch.begin(2, 10)
            watch.advance(1, 5, 0)
            watch.advance(1, 5, 0)
        shown = read_all(leader)
        assert "found two files" in shown
        assert "2 of 2 files" in shown
        assert ("━" in shown) == bar
    with watching(True) as watch:
        assert isinstance(watch, Silent)
