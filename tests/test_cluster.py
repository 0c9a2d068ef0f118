"""The local cluster: closed to other users, lean, quick to start, and gone afterwards."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dask.bag as db
import psutil
import pytest
from distributed import get_worker

from pipeline import Settings
from pipeline.api import scan
from pipeline.cluster import AHEAD, ClusterError, Existing, existing_cluster, local_cluster
from pipeline.item import Entry
from pipeline.limits import Limits
from pipeline.preparing import ask_on
from pipeline.stages import recorded_at
from pipeline.storage.library import Library
from tests.conftest import write_tree
from tests.faults.checks import ports_of_this_process
from tests.media.blocks import jpeg, tiff


class Spy:
    """A Watch that looks at the processes of a run while it lasts."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.processes: dict[int, set[str]] = {}

    def listing(self, files: int) -> None:
        pass

    def note(self, line: str) -> None:
        pass

    def step(self, line: str) -> None:
        pass

    def begin(self, files: int, size: int) -> None:
        pass

    def advance(self, files: int, size: int, problems: int) -> None:
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            self.addresses |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
            self.processes[process.pid] = {Path(m.path).name for m in process.memory_maps(grouped=True)}


def spied(library: Path, output: Path) -> tuple[set[str], list[set[str]]]:
    """Addresses that a scan listens at, and the libraries that each of its other processes has in memory."""
    spy = Spy()
    scan(library, output, Settings(mode="parallel", processes=2, shard_files=5), spy)
    return spy.addresses, [maps for pid, maps in spy.processes.items() if pid != os.getpid()]


def test_it_listens_on_loopback_only_and_has_no_pandas_and_no_numpy_in_its_workers(
    tmp_path: Path, no_leftovers: None
) -> None:
    library = write_tree(tmp_path / "in", {f"Takeout/P/{n}.jpg": b"\xff\xd8" + bytes([n]) for n in range(40)})
    # In a program of its own, as this one may have a fork server that others have started, with all that they want.
    with ProcessPoolExecutor(1, get_context("spawn")) as program:
        addresses, workers = program.submit(spied, library, tmp_path / "out").result()
    assert addresses == {"127.0.0.1"}
    assert len(workers) >= 2
    for maps in workers:
        assert not [
            name for name in maps if name.startswith(("pandas", "interval.", "hashtable.", "_multiarray_umath."))
        ]


def test_what_it_writes_and_imports_lies_in_its_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch, shared = tmp_path / "scratch", tmp_path / "shared"
    scratch.mkdir()
    shared.mkdir()
    with local_cluster(1, scratch):
        pass  # the fork server, which outlives it, has its socket elsewhere
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    with local_cluster(1, scratch):
        assert list(shared.iterdir()) == []
        assert not [path for path in sys.path if path.startswith(str(shared))]


def test_nothing_of_a_cluster_that_has_ended_stays_in_memory(tmp_path: Path) -> None:
    from distributed import Scheduler

    before = [each for each in gc.get_objects() if isinstance(each, Scheduler)]  # of other tests
    with local_cluster(1, tmp_path):
        pass
    gc.collect()
    found = [each for each in gc.get_objects() if isinstance(each, Scheduler)]
    assert not [each for each in found if not any(each is old for old in before)]


def test_strangers_are_refused(tmp_path: Path) -> None:
    from distributed import Client, default_client

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = ports_of_this_process()  # servers of other tests
    with local_cluster(1, scratch) as compute:
        ports = ports_of_this_process() - before
        assert list(compute(Never(), [])) == []
        assert ports
        for port in ports:
            for address in (f"tcp://127.0.0.1:{port}", f"tls://127.0.0.1:{port}"):
                with pytest.raises((OSError, TypeError, ValueError, AssertionError)):  # as far as distributed came
                    Client(address, timeout="1s", set_as_default=False)
    with pytest.raises(ValueError, match="No client"):
        default_client()


def test_workers_find_out_what_media_say_of_their_time(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    files = {f"Takeout/P/{n}.jpg": jpeg(tiff({}, {0x9003: (2, f"2019:07:30 12:00:{n:02}")})) for n in range(40)}
    library = Library.of([write_tree(tmp_path / "in", {**files, "Takeout/P/x.jpg": b"no photo"})])
    media = [found for found in library.walk() if isinstance(found, Entry)]
    with local_cluster(1, scratch) as compute:
        found = ask_on(lambda: compute, 2, Limits(), recorded_at, library, media)
    assert found == {each: recorded_at(each, library) for each in media}
    assert len(set(found.values())) == 41


def test_what_no_worker_has_begun_with_is_given_back(tmp_path: Path) -> None:
    """One of four tasks is begun when it is asked to end, and does not return before its worker has forgotten the others."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    begun = tmp_path / "begun"
    with local_cluster(1, scratch) as compute:
        assert list(compute(Waiting(str(begun)), [0, 1, 2, 3], begun.exists)) == [0]


@contextmanager
def cluster_of_others(_processes: int, _scratch: Path) -> Iterator[Existing]:
    """With all that Dask's scheduler notes by itself."""
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as found,
        existing_cluster(found.scheduler_address) as compute,
    ):
        yield compute


@pytest.mark.parametrize("start", [local_cluster, cluster_of_others])
def test_what_the_scheduler_knows_does_not_grow_with_the_library(start: Any, tmp_path: Path) -> None:
    from distributed import Scheduler

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    taken = 0

    def references(first: int, count: int) -> Iterator[str]:
        nonlocal taken
        for number in range(first, first + count):
            taken += 1
            yield f"shard {number}"

    def groups() -> int:
        gc.collect()
        return sum(type(each).__name__ == "TaskGroup" for each in gc.get_objects())

    with start(1, scratch) as compute:
        (scheduler,) = (each for each in Scheduler._instances if each.workers)
        kept = []
        for first, count in ((0, 20), (20, 120)):
            for done, _ in enumerate(compute(Counting(), references(first, count)), first + 1):
                assert taken - done <= AHEAD
                assert len(scheduler.tasks) <= 3 * AHEAD  # two for each, and those that have just been done
            kept.append(groups())
        assert kept[1] - kept[0] <= 2 * AHEAD


@dataclass(frozen=True)
class Counting:
    """Tasks that take a moment, so that the scheduler always has some: all that it notes is then of one busy time."""

    def __call__(self, references: Sequence[Any]) -> Any:
        return db.from_sequence(references, npartitions=len(references)).map(count_slowly)

    reported = True

    def has_begun(self, reference: Any) -> bool:
        return True

    def after_death(self, reference: Any, kind: str) -> Any:
        raise AssertionError(reference, kind)


def count_slowly(reference: str) -> int:
    time.sleep(0.02)
    return len(reference)


@dataclass(frozen=True)
class Waiting:
    """Tasks of which the first makes a file when the others wait behind it."""

    begun: str

    def __call__(self, references: Sequence[Any]) -> Any:
        return db.from_sequence(references, npartitions=len(references)).map(wait_alone, self.begun)

    reported = True

    def has_begun(self, reference: Any) -> bool:
        return bool(reference == 0)

    def after_death(self, reference: Any, kind: str) -> Any:
        raise AssertionError(reference, kind)


def wait_alone(number: int, begun: str) -> int:
    """The number, once this is the only task of its worker, which first has had others."""
    tasks = get_worker().state.tasks
    while len(tasks) == 1:
        pass
    Path(begun).touch()
    while len(tasks) > 1:
        pass
    return number


class Never:
    """A graph that nobody makes."""

    def __call__(self, references: Any) -> Any:
        raise AssertionError(references)

    reported = True

    def has_begun(self, reference: Any) -> bool:
        raise AssertionError(reference)

    def after_death(self, reference: Any, kind: str) -> Any:
        raise AssertionError(reference, kind)


def test_a_scheduler_that_is_not_there() -> None:
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"),
        existing_cluster("tcp://127.0.0.1:1"),
    ):
        pass


def test_in_a_process_of_ours_the_fork_server_goes_with_its_workers(tmp_path: Path) -> None:
    program = (
        "import sys, psutil, pathlib\n"
        "from pipeline.lean import make_lean\n"
        "from pipeline.cluster import local_cluster\n"
        "make_lean()\n"
        "def servers():\n"
        "    return sum('forkserver' in ' '.join(each.cmdline()) for each in psutil.Process().children())\n"
        "with local_cluster(1, pathlib.Path(sys.argv[1])):\n"
        "    print(servers())\n"
        "print(servers(), 'numpy' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "False"]
