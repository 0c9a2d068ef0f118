"""A member that comes front to back reads as if all of it were there, or says what is no longer."""

import contextlib
import gc
import struct
import tracemalloc
import weakref
import zlib
from collections.abc import Callable, Iterable
from itertools import chain
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.source import BytesSource
from pipeline.media.video import read_movie
from pipeline.problems import MediaError
from pipeline.storage import streams
from pipeline.storage.streams import Streamed


def feed(pieces: Iterable[bytes]) -> Callable[[], bytes]:
    left = iter(pieces)
    return lambda: next(left, b"")


def cut_up(data: bytes, step: int) -> list[bytes]:
    return [data[at : at + step] for at in range(0, len(data), step)]


reads = st.lists(st.tuples(st.integers(-3, 110), st.integers(-3, 110)), max_size=8)


@given(st.binary(max_size=100), st.integers(1, 40), reads)
def test_reads_are_those_of_the_bytes(data: bytes, step: int, reads: list[tuple[int, int]]) -> None:
    streamed = Streamed(len(data), feed(cut_up(data, step)))
    for offset, length in reads:
        wanted = data[offset : offset + length] if offset >= 0 and length > 0 else b""
        assert streamed.read_at(offset, length) == wanted
    assert streamed.drain() == (len(data), zlib.crc32(data))
    assert not streamed.ended_early


@given(st.binary(min_size=41, max_size=200), st.integers(1, 40), reads)
def test_of_a_large_one_the_head_and_a_window_are_kept(data: bytes, step: int, reads: list[tuple[int, int]]) -> None:
    with mock.patch.multiple(streams, WHOLE=40, KEPT_HEAD=10, WINDOW=20):
        streamed = Streamed(len(data), feed(cut_up(data, step)))
        reached = 0
        for offset, length in reads:
            wanted = data[offset : offset + length] if offset >= 0 and length > 0 else b""
            end = offset + len(wanted)
            try:
                assert streamed.read_at(offset, length) == wanted
            except MediaError as error:
                assert error.kind == "not_kept"
                assert end > 10 and offset < reached - 20
            if wanted:
                reached = max(reached, min(len(data), -(-end // step) * step))
        assert streamed.drain() == (len(data), zlib.crc32(data))


def test_what_is_drained_is_kept_if_asked_for() -> None:
    data = bytes(range(100))
    for keep in (True, False):
        streamed = Streamed(len(data), feed(cut_up(data, 7)))
        assert streamed.read_at(0, 10) == data[:10]
        assert streamed.drain(keep) == (100, zlib.crc32(data))
        assert streamed.read_at(3, 11) == data[3:14]
        for offset, length in ((14, 1), (10, 90), (99, 5)):
            if keep:
                assert streamed.read_at(offset, length) == data[offset : offset + length]
            else:
                with pytest.raises(MediaError, match="not_kept: "):
                    streamed.read_at(offset, length)


def test_a_read_longer_than_the_window_has_all_its_bytes() -> None:
    data = bytes(range(256)) * 4
    with mock.patch.multiple(streams, WHOLE=40, KEPT_HEAD=10, WINDOW=20):
        assert Streamed(len(data), feed(cut_up(data, 7))).read_at(30, 900) == data[30:930]
        assert Streamed(len(data), feed(cut_up(data, 7))).read_all(2000) == data


def test_a_movie_with_its_index_at_the_end_is_read_in_bounded_memory() -> None:
    mvhd = struct.pack(">I4sIIIII", 108, b"mvhd", 0, 3_600_000_000, 3_600_000_000, 1000, 2500) + bytes(80)
    head = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"mp42") + struct.pack(">I4s", (64 << 20) + 8, b"mdat")
    tail = struct.pack(">I4s", 8 + len(mvhd), b"moov") + mvhd
    size = len(head) + (64 << 20) + len(tail)
    tracemalloc.start()
    middle = (bytes(bytearray(1 << 20)) for _ in range(64))
    streamed = Streamed(size, feed(chain([head], middle, [tail])))
    clip = read_movie(streamed)
    assert streamed.drain()[0] == size
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert clip.duration_s == 2.5
    assert peak < 14 << 20
    with pytest.raises(MediaError, match="not_kept: "):
        streamed.read_at(32 << 20, 10)
    assert streamed.read_at(0, 20) == head[:20]


def test_a_member_that_ends_early_gives_what_there_is() -> None:
    streamed = Streamed(8 << 30, feed([b"abc", b"def"]))
    assert streamed.read_at(2, 1 << 30) == b"cdef"
    assert streamed.read_at(6, 10) == b""
    assert streamed.drain() == (6, zlib.crc32(b"abcdef"))
    assert streamed.ended_early


def test_more_bytes_than_declared_are_damage_and_not_kept() -> None:
    streamed = Streamed(5, feed([b"abc", b"defghi"]))
    assert streamed.read_at(0, 100) == b"abcde"
    for _ in range(2):
        with pytest.raises(MediaError, match="damaged: there is more of it than the 5 bytes"):
            streamed.drain()
    with pytest.raises(MediaError, match="damaged: "):
        streamed.read_all(5)


def test_all_is_read_up_to_a_limit() -> None:
    assert Streamed(6, feed([b"abc", b"def"])).read_all(6) == b"abcdef"
    assert Streamed(0, feed([])).read_all(6) == b""
    with pytest.raises(MediaError, match="too_large: 7 bytes, more than 6"):
        Streamed(7, feed([])).read_all(6)


@pytest.mark.parametrize("error", [MediaError("damaged: bits"), OSError(5, "Input/output error")])
def test_an_error_of_the_feed_is_met_by_every_read_beyond_it(error: Exception) -> None:
    pieces = iter([b"abc"])

    def failing() -> bytes:
        for piece in pieces:
            return piece
        raise error

    streamed = Streamed(10, failing)
    assert streamed.read_at(1, 2) == b"bc"
    for read in (lambda: streamed.read_at(2, 2), streamed.drain, lambda: streamed.read_all(10)):
        with pytest.raises(type(error)):
            read()
    assert streamed.read_at(0, 3) == b"abc"


def test_views_of_larger_pieces_come_out_as_bytes() -> None:
    streamed = Streamed(4, iter([memoryview(b"xabx")[1:3], memoryview(b"cd"), memoryview(b"")]).__next__)
    assert streamed.read_at(0, 1) == b"a"
    assert streamed.read_at(0, 4) == BytesSource(b"abcd").read_at(0, 4)
    assert all(type(streamed.read_at(at, 2)) is bytes for at in range(4))


def test_a_damaged_member_leaves_no_memory_to_the_collector_of_cycles() -> None:
    def broken() -> bytes:
        raise MediaError("damaged: all of it")

    streamed = Streamed(100, broken)
    gone = weakref.ref(broken)
    del broken
    gc.disable()
    try:
        for _ in range(2):  # the second time, what is known is raised again
            with contextlib.suppress(MediaError):
                streamed.drain()
        del streamed
        assert gone() is None
    finally:
        gc.enable()
