"""Where a graph runs: Dask's synchronous scheduler, a cluster on this machine, or any existing one.

The only file that imports dask.distributed.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import math
import multiprocessing
import multiprocessing.process
import os
import pickle
import random
import re
import resource
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
import uuid
import warnings
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain, count, islice
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import dask
import dask.config
from dask.local import get_sync
from dask.utils import key_split

from pipeline.existing import NO_TLS, Tls, check_pem, why_refused
from pipeline.forked import DiedError, Forked
from pipeline.interrupts import ENDING
from pipeline.lean import is_ours, silence, without
from pipeline.problems import RunError, UsageError
from pipeline.storage.durable import whole_file
from pipeline.storage.marks import BegunError

if TYPE_CHECKING:
    from pipeline.fitness import Needs


class Build(Protocol):
    """Makes the graph of some references, with one partition for each: of shards, or of archives, which have names."""

    def __call__(self, references: Sequence[Any], /) -> Any:
        """The graph."""

    @property
    def reported(self) -> bool:
        """Dask's report, where one is written, is to tell of it."""

    def has_begun(self, reference: Any) -> bool:
        """A process is at work on it, as far as that is known: who is asked to end waits for it."""

    def after_death(self, reference: Any, kind: str) -> Sequence[Any]:
        """What is to be done instead, after a process has died over the reference, of what kind of problem."""


def never() -> bool:
    """Nobody asks to end."""
    return False


def silent(_line: str) -> None:
    """Nobody wants to hear of it."""


class Compute(Protocol):
    """Runs the graph that a Build makes."""

    def __call__(self, build: Build, references: Iterable[Any], asked: Callable[[], bool] = never, /) -> Iterator[Any]:
        """What its partitions return, in the order in which they finish. References are taken as there is room for them.

        Once it is `asked` to end, what is at work is finished, and no other begun.
        """


#: Shards that the scheduler has at a time, for each thread of the workers: one at work, others at hand. Neither its memory nor
#: ours grows with the library.
AHEAD = 4
#: Deaths one after the other, with nothing done or learnt in between, that are no longer taken for a file's doing. Each takes
#: all the references along that its worker had at hand.
MOST_DEATHS = 200
#: Seconds without a worker that are waited for one, after which it is looked whether there are some, and after which whether
#: somebody has asked to end.
PATIENCE, LOOK_AFTER, HEAR_AFTER = 60.0, 5.0, 0.2
#: The same where workers come and go, and have to be looked at before they work.
LOOK_AGAIN = 1.0
#: Seconds that asking a worker what it has may take beside looking.
ON_THE_WAY = 5
#: How often those that are there are looked at, where all go meanwhile.
LOOKS = 5
#: Workers that a task of an existing cluster may go to, at most.
CREW = 64

#: What is said after that.
NO_WORKERS = f"there have been no workers for {PATIENCE:.0f} seconds: start some, and then the same command"

_LOCAL = {
    # Forked from a server that has imported everything once: starts in a third of spawn's time, shares its memory.
    "distributed.worker.multiprocessing-method": "forkserver",
    # A shard that kills its worker fails at once instead of killing two more.
    "distributed.scheduler.allowed-failures": 0,
    # After this time a cluster gives up a worker that is only restarting; after some crashes it had none left, for good.
    "distributed.deploy.lost-worker-timeout": "10h",
    # Nothing is served over HTTP, and nothing is measured that nobody looks at.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.event-loop-monitor-interval": "1s",
    "distributed.admin.low-level-log-length": 100,
    "distributed.diagnostics.computations.max-history": 0,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


#: What else is measured if someone looks at it: by the performance report, which needs no port.
_PROFILED = {"distributed.worker.profile.enabled": True, "distributed.admin.system-monitor.interval": "500ms"}


#: Files that this process has open, beside those for each worker: its pipes and connections. Measured: 23 and 11.
OPEN_FILES, OPEN_FILES_PER_WORKER = 40, 12
#: Bytes of the names that multiprocessing gives a socket in a folder; a path of more than 107 is too long for one (unix(7)).
SOCKET_NAMES = len("pymp-12345678/listener-12345678")


class ClusterError(RunError):
    """A scheduler that cannot be reached or used."""


class _NoSpans:
    """In the place of what notes in the scheduler when which tasks ran, and keeps that for good: 5 kB a shard."""

    def __init__(self, _scheduler: object) -> None:
        pass

    def __bool__(self) -> bool:
        return False  # as if it were not there

    def heartbeat(self, _worker: object, _data: object) -> None:
        """Workers tell of it all the same."""


def _start_fork_server(preloaded: Sequence[str]) -> None:
    """Start the process that workers are forked from, so that its imports run while we still import distributed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.worker", *preloaded])
    from multiprocessing import resource_tracker
    from multiprocessing.forkserver import ensure_running

    # Ctrl-C reaches all processes of a terminal, the end of a service all of it: only the driver is to act. A mask is handed
    # down from this thread; starting the resource tracker, which ignores some of them by itself, undoes it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _settle_sockets(scratch: Path) -> None:
    """Make the private folder of multiprocessing's sockets where they can be, and where a killed run leaves nothing behind.

    It has one per process: that of a calling program, which goes on, is not in `scratch`, which does not.
    """
    settings = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    if "tempdir" in settings:  # the calling program has had another use for it
        return
    for folder in _places_of_sockets(scratch):
        if _takes_sockets(folder):
            settings["tempdir"] = tempfile.mkdtemp(prefix="pymp-", dir=folder)
            atexit.register(shutil.rmtree, settings["tempdir"], ignore_errors=True)
            return


@contextmanager
def _temporary_files_in(scratch: Path) -> Iterator[None]:
    """Where the process is ours, have it and its workers make their temporary files where a killed run leaves nothing behind:
    for an instant the certificate of the run is one, with its key.
    """
    if not is_ours():
        yield
        return
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    try:
        yield
    finally:
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
        os.environ.update({"TMPDIR": before} if before is not None else {})


def _places_of_sockets(scratch: Path) -> Iterator[str]:
    if is_ours():
        yield str(scratch)
        # However long that path is, Linux finds the folder by this one, as long as we live.
        yield f"/proc/{os.getpid()}/fd/{os.open(scratch, os.O_RDONLY | os.O_DIRECTORY)}"
    yield tempfile.gettempdir()
    yield "/tmp"


def _takes_sockets(folder: str) -> bool:
    """Sockets with the names of multiprocessing's can be in the folder: its path is short, and its file system has such."""
    path = Path(folder, f"pymp-{os.getpid()}-{time.monotonic_ns()}".ljust(SOCKET_NAMES, "-"))
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError:
        return False
    return True


def _stop_fork_server() -> None:
    """End the process that workers were forked from: it would stay as long as this one, with 90 MB that nobody shares any more.

    Where other programs call us it stays, for their next scan or their own use.
    """
    if is_ours():
        from multiprocessing.forkserver import _forkserver

        _forkserver._stop()  # type: ignore[attr-defined]
        # Its folder goes with the scratch: another scan, as when two exports are compared, has its own.
        multiprocessing.process.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]


class Beside:
    """Dask's synchronous scheduler in a process beside this one, which waits for it: one reference after the other.

    Used as a context: at its end the process is gone.
    """

    def __init__(self) -> None:
        self._reader = Forked(_read_beside)

    def start(self) -> None:
        """Fork it, if that has not been done."""
        self._reader.start()

    def compute(self, build: Build, references: Iterable[Any], asked: Callable[[], bool] = never) -> Iterator[Any]:
        """Runs the graph that `build` makes."""
        packed = pickle.dumps(build)
        waiting = iter(references)
        again: deque[Any] = deque()
        deaths = 0
        while not asked() and (reference := again.popleft() if again else next(waiting, None)) is not None:
            try:
                finished = self._reader.call((packed, reference))
            except (DiedError, MemoryError) as error:
                instead, deaths = _instead(build, reference, error, deaths)
                again.extend(instead)
            else:
                deaths = 0
                yield from finished

    def close(self) -> None:
        """End it."""
        self._reader.close()

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read_beside(asked: tuple[bytes, Any]) -> list[Any]:
    packed, reference = asked
    # by its name, dask would import distributed to find it
    return list(_unpacked(packed)([reference]).compute(scheduler=get_sync))


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Any:
    """What builds the graph, unpacked once for all references."""
    return pickle.loads(packed)


def _instead(build: Build, reference: Any, error: Exception, deaths: int) -> tuple[Sequence[Any], int]:
    """What is to be done after a death over the reference, and how many deaths in a row that is over which nothing was learnt.

    Raises ClusterError if these are no longer the files' doing.
    """
    kind = "too_much_memory" if isinstance(error, MemoryError) else "crashed"
    instead = build.after_death(reference, kind)
    deaths = deaths + 1 if list(instead) == [reference] else 0
    if deaths > MOST_DEATHS:
        raise ClusterError("processes die one after the other, with nothing done: is memory short?")
    return instead, deaths


@contextmanager
def local_cluster(
    processes: int, scratch: Path, profile: Path | None = None, preloaded: Sequence[str] = ()
) -> Iterator[Compute]:
    """A LocalCluster of single-threaded worker processes, closed to everyone else.

    It listens on loopback only, with no dashboard, and talks TLS with a certificate of this run, because any user of the
    machine can connect to a loopback port, and whoever talks to a scheduler can run code. `scratch` is private. Dask's report
    of all that ran goes to the file `profile`. Workers have the modules `preloaded` from the first moment on.
    """
    if is_ours():
        _allow_open_files(processes)
    places = f"{scratch} nor in {os.environ.get('TMPDIR', '/tmp')}"
    with ExitStack() as opened:
        try:
            _settle_sockets(scratch)
            opened.enter_context(_temporary_files_in(scratch))
            _start_fork_server(preloaded)
        except OSError as error:
            raise ClusterError(
                f"the local cluster did not start: its sockets can be neither in {places} ({error}): set TMPDIR to a "
                "folder with some room and a short path (--mode sequential needs none)"
            ) from error
        # Imported before its settings are changed: what was not there before would be deleted afterwards, defaults and all.
        with without("numpy"):
            import distributed.utils
            from distributed import Client, LocalCluster
            from distributed.scheduler import DEFAULT_EXTENSIONS
            from distributed.security import Security

        if is_ours():  # what ends last would else be heard of when the cluster has gone
            silence("distributed")
        # The scheduler too has a folder, which it puts first in where Python looks for modules: none that others could make.
        values = _LOCAL | {"temporary-directory": str(scratch)} | (_PROFILED if profile else {})
        opened.enter_context(dask.config.set(values))
        opened.enter_context(_workers_without_main())
        # distributed would have the fork server import every optional package it knows, pandas among them.
        distributed.utils._forkserver_preload_set = True
        try:
            security = Security.temporary()
            cluster = opened.enter_context(
                LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    protocol="tls://",
                    security=security,
                    dashboard_address=None,
                    scheduler_kwargs={
                        "dashboard_address": "127.0.0.1:0",
                        "extensions": DEFAULT_EXTENSIONS | {"spans": _NoSpans},
                    },
                    memory_limit=0,
                    local_directory=str(scratch),
                    silence_logs=logging.CRITICAL,
                )
            )
            client = opened.enter_context(Client(cluster, set_as_default=False))
        except (OSError, RuntimeError, TimeoutError) as error:
            reason = str(error).partition("\n")[0]
            raise ClusterError(f"the local cluster did not start: {reason} (--mode sequential needs none)") from error
        cluster.scheduler.http_server.stop()  # it serves nothing, and is the one listener without TLS
        try:
            yield _on(client, profile)
        except BaseException:
            _kill_workers(cluster)  # to close them would wait for what they are at
            raise
    _stop_fork_server()
    _forget_schedulers()


def _forget_schedulers() -> None:
    """Let go of schedulers that have ended.

    distributed notes of each of their methods whether it wants a connection, and keeps the method for good, and with it the
    scheduler and all that it knew.
    """
    from distributed import core

    with suppress(AttributeError):  # it is distributed's own
        core._expects_comm.cache_clear()


def _kill_workers(cluster: Any) -> None:
    """End the processes that work, whatever they do, and have none take their place."""
    from distributed.core import Status

    for nanny in cluster.workers.values():
        nanny.status = Status.closing_gracefully  # else it starts another
        if nanny.pid:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def _reporting(client: Any, path: Path) -> Iterator[None]:
    """Write Dask's performance report of the block to the file, if that ends well: private, and in need of no network.

    A file that cannot be written is left out: it is not worth the run.
    """
    from distributed import performance_report

    report = performance_report(filename=str(path), mode="inline")
    with client.as_current():
        report.__enter__()
    yield
    with suppress(OSError), whole_file(path) as temporary:
        report.filename = str(temporary)
        with client.as_current():
            report.__exit__(None, None, None)
        page = temporary.read_text("utf-8")
        # an icon, fetched whenever someone looks
        temporary.write_text(re.sub(r"<link[^>]*https?:[^>]*>", "", page), "utf-8")


def can_report() -> bool:
    """What Dask makes its performance report with is installed."""
    return find_spec("bokeh") is not None


@contextmanager
def _workers_without_main() -> Iterator[None]:
    """Keep the program that called us out of the workers.

    multiprocessing has each child import the main module of its parent (`spawn.get_preparation_data`): a script without
    ``if __name__ == "__main__"`` would begin again in every worker. Ours need nothing of it.
    """
    original = spawn.get_preparation_data

    def prepare(name: str) -> dict[str, Any]:
        data = original(name)
        if name.startswith("Dask Worker"):
            data.pop("init_main_from_name", None)
            data.pop("init_main_from_path", None)
        return data

    spawn.get_preparation_data = prepare
    try:
        yield
    finally:
        spawn.get_preparation_data = original


def why_not_here(processes: int) -> str:
    """Why so many processes of this machine cannot work together; empty if they can."""
    needed, allowed = OPEN_FILES + OPEN_FILES_PER_WORKER * processes, _open_files()[1 if is_ours() else 0]
    if allowed < needed:
        return f"{processes} processes need some {needed} open files, and {allowed} are allowed (ulimit -n)"
    try:  # not so in a network namespace whose loopback is down
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError:
        return "processes of this machine cannot talk to each other, as the loopback interface is down"
    return ""


def _open_files() -> tuple[float, float]:
    """How many files a process may have open: as it is, and the most it may ask for."""
    soft, hard = (
        math.inf if each == resource.RLIM_INFINITY else each for each in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def _allow_open_files(processes: int) -> None:
    """Ask for as many open files as the workers need."""
    needed, (soft, hard) = OPEN_FILES + OPEN_FILES_PER_WORKER * processes, _open_files()
    if soft < needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def is_open(address: str) -> bool:
    """What is said to the scheduler of this address is neither secret nor authenticated: it is asked without TLS."""
    scheme, found, _ = address.partition("://")
    return (scheme if found else dask.config.get("distributed.comm.default-scheme", "tcp")) not in (
        "tls",
        "wss",
        "inproc",
    )


class EarlyCluster:
    """A local cluster that can be started in the background, while the library is still being listed and planned.

    Used as a context: at its end the cluster, if it was started, is gone.
    """

    def __init__(
        self, processes: int, scratch: Path, profile: Path | None = None, preloaded: Sequence[str] = ()
    ) -> None:
        self.ready_s: float | None = None  # seconds that starting it took
        self._processes, self._scratch, self._profile, self._preloaded = processes, scratch, profile, preloaded
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="start cluster")
        self._open = ExitStack()
        self._starting: Future[Compute] | None = None

    @property
    def started(self) -> bool:
        """It is ready, or will be."""
        return self._starting is not None

    def start(self) -> None:
        """Begin to start it, if that has not been done, and return at once."""
        if self._starting is None:
            self._starting = self._thread.submit(self._enter)

    def _enter(self) -> Compute:
        began = time.perf_counter()
        compute = self._open.enter_context(
            local_cluster(self._processes, self._scratch, self._profile, self._preloaded)
        )
        self.ready_s = time.perf_counter() - began
        return compute

    def compute(self) -> Compute:
        """Wait until it is ready. Raises what starting it raised."""
        self.start()
        assert self._starting is not None
        return self._starting.result()

    def __enter__(self) -> EarlyCluster:
        return self

    def __exit__(self, *error: Any) -> None:
        self._thread.shutdown()  # what is being started is waited for
        self._open.__exit__(*error)


class Existing:
    """A cluster that somebody else has started, and those of its workers that may work: a Compute.

    Before `admit` that are all. After it, those that were found to have what they need; who joins later is looked at, too,
    before it gets anything to do. Nothing of ours stays on the cluster.
    """

    def __init__(self, client: Any, whose: str, profile: Path | None = None) -> None:
        self._client, self._whose = client, whose
        self._compute = _on(client, profile, self)
        self._needs: Needs | None = None
        self._note: Callable[[str], None] = silent
        self._fit: set[str] = set()
        self._last_fit: set[str] = set()
        self._passed: set[str] = set()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="look at workers")
        self._looking: Future[dict[str, Any]] | None = None

    def __call__(self, build: Build, references: Iterable[Any], asked: Callable[[], bool] = never) -> Iterator[Any]:
        """Runs the graph that `build` makes."""
        return self._compute(build, references, asked)

    def admit(self, needs: Needs, note: Callable[[str], None]) -> None:
        """Have only workers work that have what they need; of others is told by `note`. Raises ClusterError if none is left."""
        from pipeline.fitness import BySource, Needs, told

        with self.asking(), _wanting(self._client):
            # It unpacks what it is sent, to hand it on.
            found = self._client.run_on_scheduler(BySource(), Needs(seconds=needs.seconds).asked())
            lacking = {"the scheduler": Needs().reasons(found)}
            for _ in range(LOOKS):
                workers = sorted(_with_workers(self._client, self._whose, note).nthreads())
                answers = self._look(needs, workers)
                if not all(isinstance(answer, OSError) for answer in answers.values()):  # who has gone meanwhile
                    break
        self._needs, self._note = needs, note
        unfit = self._judge(answers)
        lines = [*told({name: reasons for name, reasons in lacking.items() if reasons}), *told(unfit)]
        if lacking["the scheduler"] or not self._fit:
            who = "the scheduler lacks something" if self._fit else f"none of its {len(workers):,} workers can do this"
            error = ClusterError(f"{self._whose}: {who}: {lines[0] if lines else 'they are gone'}")
            for line in lines[1:]:
                error.add_note(line)
            raise error
        for line in lines:
            note(f"passed over: {line}")

    def _look(self, needs: Needs, workers: list[str]) -> dict[str, Any]:
        """What each of some workers finds of what is needed; an exception of one that could not be asked."""
        if not workers:
            return {}
        found: dict[str, Any] = self._client.sync(self._ask, needs.asked(), workers)
        return found

    async def _ask(self, asked: dict[str, Any], workers: list[str]) -> dict[str, Any]:
        """All of them together; one by one, if somebody does not answer: a process that is stopped, or a machine that hangs."""
        from pipeline.fitness import BySource

        seconds = asked["seconds"] + ON_THE_WAY

        async def ask(some: list[str]) -> dict[str, Any]:
            answering = self._client.run(BySource(), asked, workers=some, on_error="return")
            found: dict[str, Any] = await asyncio.wait_for(answering, seconds)
            return found

        async def ask_alone(worker: str) -> dict[str, Any]:
            async with slots:
                try:
                    return await ask([worker])
                except TimeoutError:
                    return {worker: {"error": f"no answer within {seconds} seconds: does it hang?"}}

        with suppress(TimeoutError):
            return await ask(workers)
        slots = asyncio.Semaphore(CREW)
        answers = await asyncio.gather(*map(ask_alone, workers))
        return {worker: found for answer in answers for worker, found in answer.items()}

    def _judge(self, answers: dict[str, Any]) -> dict[str, list[str]]:
        """Take the fit ones in; what the others lack."""
        assert self._needs is not None
        unfit: dict[str, list[str]] = {}
        for address, found in answers.items():
            if isinstance(found, OSError):  # it has gone meanwhile
                continue
            if isinstance(found, Exception):
                found = {"error": f"{type(found).__name__}: {found}"}
            if reasons := self._needs.reasons(found):
                unfit[address] = reasons
                self._passed.add(address)
            else:
                self._fit.add(address)
        return unfit

    def nthreads(self) -> dict[str, int]:
        """The threads of each worker that may work; new ones are looked at meanwhile."""
        with self.asking():
            there: dict[str, int] = self._client.nthreads()
            if self._needs is None:
                return there
            if self._looking is not None and self._looking.done():
                from pipeline.fitness import told

                looking, self._looking = self._looking, None
                for line in told(self._judge(looking.result())):
                    self._note(f"passed over: {line}")
        self._last_fit = self._fit or self._last_fit
        self._fit = self._fit & there.keys()
        self._passed &= there.keys()  # who comes back may have what it lacked
        new = there.keys() - self._fit - self._passed
        if new and self._looking is None:
            self._looking = self._beside.submit(self._look, self._needs, sorted(new))
        return {address: threads for address, threads in there.items() if address in self._fit}

    def crews(self, window: list[Any]) -> Iterator[tuple[list[str] | None, list[Any]]]:
        """The workers that each some of these references may go to; None: to all.

        Of many workers some, others each time: a scheduler keeps for each task the names of those that it may go to.
        Where nobody is left, those that were there last: what may go to nobody goes to anybody.
        """
        if self._needs is None:
            yield None, window
            return
        fit = sorted(self._fit or self._last_fit)
        if len(fit) <= CREW:
            yield fit, window
            return
        random.shuffle(fit)
        crews = [fit[at : at + CREW] for at in range(0, len(fit), CREW)]
        share = math.ceil(len(window) / len(crews))
        for number, crew in enumerate(crews):
            if mine := window[number * share : (number + 1) * share]:
                yield crew, mine

    def has_left(self, crew: list[str] | None) -> bool:
        """Nobody of these workers is there any more, as it was when we last looked."""
        return crew is not None and self._fit.isdisjoint(crew)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Raise ClusterError where the scheduler does not answer in the block."""
        try:
            yield
        except (OSError, CancelledError, RuntimeError, ValueError) as error:
            if isinstance(error, RuntimeError | ValueError) and self._client.status == "running":
                raise
            raise self.lost() from error

    def lost(self) -> ClusterError:
        """What is said when the scheduler has gone, or has forgotten what it was asked."""
        return ClusterError(
            f"{self._whose} is gone, or was restarted: start it again, with workers, and then the same command"
        )

    def close(self) -> None:
        """Wait for nobody."""
        self._beside.shutdown(wait=False, cancel_futures=True)


@contextmanager
def existing_cluster(
    address: str, profile: Path | None = None, tls: Tls = NO_TLS, note: Callable[[str], None] = silent
) -> Iterator[Existing]:
    """The cluster whose scheduler has this address. Raises ClusterError if there is none, or nobody works there, UsageError for
    a bad certificate.

    Dask's report of all that ran goes to the file `profile`; that workers are waited for is told by `note`.
    """
    from distributed import Client

    security, context = _security(address, tls)
    if is_ours():
        silence("distributed")
        warnings.filterwarnings("ignore", "Mismatched versions found")  # what is wrong with whom is said below
    try:
        with ThreadPoolExecutor(1) as beside:  # the caller may be in a running event loop
            beside.submit(asyncio.run, _reach(address, security)).result()
        client = Client(address, timeout="10s", set_as_default=False, security=security)
    except (OSError, ValueError, TypeError) as error:
        if reason := why_refused(address, context):
            raise ClusterError(f"the scheduler at {address} cannot be asked: {reason}") from error
        advice = "start one (dask scheduler), or leave out --scheduler"
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}; {advice}") from error
    whose = f"the Dask scheduler at {address}"
    with client, closing(Existing(_with_workers(client, whose, note), whose, profile)) as existing:
        yield existing


def _security(address: str, tls: Tls) -> tuple[Any, ssl.SSLContext | None]:
    """What a scheduler is asked with, and by TLS, if that is how. Raises UsageError if a certificate cannot be used."""
    from distributed.security import Security

    security = Security(**tls.given())
    if is_open(address) or not address.startswith("tls"):
        return security, None
    try:
        for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
            if (path := getattr(security, name)) and "\n" not in path:
                check_pem(path, f"distributed.comm.{name.replace('_', '.', 1)}")
        context = security.get_connection_args("client").get("ssl_context")
    except (OSError, ValueError) as error:  # ssl.SSLError too
        raise UsageError(f"the certificates for {address} cannot be used: {error}") from error
    if context is None:
        raise UsageError(
            f"{address} is to be asked by TLS, for which certificates are needed: give --tls-ca-file, --tls-cert and --tls-key"
        )
    return security, context


async def _reach(address: str, security: Any) -> None:
    """Connect and leave: a Client that fails to connect goes on complaining when it is deleted."""
    from distributed.core import connect

    communication = await connect(address, timeout=10, **security.get_connection_args("client"))
    await communication.close()


@contextmanager
def client_of_caller(profile: Path | None = None, note: Callable[[str], None] = silent) -> Iterator[Existing]:
    """The client that the calling program has made. Raises ClusterError if it has no workers, and gets none.

    Dask's report of all that ran goes to the file `profile`; that workers are waited for is told by `note`.
    """
    whose = "the current Dask client"
    with closing(Existing(_with_workers(current_client(), whose, note), whose, profile)) as existing:
        yield existing


def _with_workers(client: Any, whose: str, note: Callable[[str], None]) -> Any:
    """The client, once there is a worker."""
    if not client.nthreads():
        note(f"{whose} has no workers yet: waiting up to {PATIENCE:.0f} seconds for one")
        try:
            with _wanting(client):
                client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            advice = "start some (dask worker ADDRESS), or leave out --scheduler"
            raise ClusterError(f"{whose} has no workers: {advice}") from error
        except OSError as error:
            raise ClusterError(f"{whose} is gone: start it again, with workers, and then the same command") from error
    return client


@contextmanager
def _wanting(client: Any) -> Iterator[None]:
    """Have clusters that grow and shrink by what there is to do keep a worker, or start one: for a task that is for none."""
    wanted = client.submit(int, resources={"takeout-index": 1}, pure=False)
    try:
        yield
    finally:
        with suppress(OSError, RuntimeError, ValueError, CancelledError):
            client.cancel([wanted])


def current_client() -> Any | None:
    """The Dask client that the calling program has made, if any; an asynchronous one is of no use here."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        client = default_client()
    except ValueError:
        return None
    return None if client.asynchronous else client


def _on(client: Any, profile: Path | None = None, crew: Existing | None = None) -> Compute:
    """Runs graphs on the cluster of this client, of which a `crew` may work.

    Raises ClusterError if it is to report, and its scheduler cannot.
    """
    if profile is None:
        return _computing(client, crew)
    if not client.run_on_scheduler(lambda: find_spec("bokeh") is not None):
        raise ClusterError("the scheduler cannot make Dask's report, as it has no bokeh: run without --profile")
    reports = (
        profile.with_stem(f"{profile.stem}{number}") for number in chain([""], (f"-{each}" for each in count(2)))
    )

    def compute(build: Build, references: Iterable[Any], asked: Callable[[], bool] = never) -> Iterator[Any]:
        with _reporting(client, next(reports)) if build.reported else nullcontext():
            yield from _computing(client, crew)(build, references, asked)

    return compute


class _StrandedError(Exception):
    """All workers that a task might have gone to have gone."""


class _Flight(NamedTuple):
    """A task that the scheduler has: the workers that it may go to, None for all."""

    future: Any
    reference: Any
    crew: list[str] | None


def _computing(client: Any, crew: Existing | None) -> Compute:
    from distributed import KilledWorker, as_completed

    asking = nullcontext if crew is None else crew.asking

    def compute(build: Build, references: Iterable[Any], asked: Callable[[], bool] = never) -> Iterator[Any]:
        waiting = iter(references)
        again: deque[Any] = deque()
        deaths = 0
        done = as_completed(loop=client.loop)
        in_flight: dict[str, _Flight] = {}
        given_back: set[str] | None = None
        stranded: set[str] = set()
        first = 0
        run = uuid.uuid4().hex

        def nthreads() -> dict[str, int]:
            there: dict[str, int] = client.nthreads() if crew is None else crew.nthreads()
            return there

        def submit() -> None:
            if asked():
                return
            threads = sum(nthreads().values())
            if crew is not None and not threads and in_flight:  # who comes is looked at first
                return
            threads = max(threads, 1)
            while again:  # each by itself: they may be of several kinds
                compute_window([again.popleft()])
            if len(in_flight) > (AHEAD - 1) * threads:
                return
            if window := list(islice(waiting, AHEAD * threads - len(in_flight))):
                compute_window(window)

        def compute_window(window: list[Any]) -> None:
            nonlocal first
            for workers, mine in [(None, window)] if crew is None else crew.crews(window):
                graph, keys = _numbered(build(mine), run, first)
                ranks = defaultdict(int, {key: -(first + number) for number, key in enumerate(keys)})
                with asking():
                    futures = client.get(graph, keys, sync=False, priority=ranks.__getitem__, workers=workers)
                first += len(mine)
                flights = (_Flight(future, each, workers) for future, each in zip(futures, mine, strict=True))
                in_flight.update({flight.future.key: flight for flight in flights})
                done.update(futures)

        def give_back() -> None:
            """Have nobody begin with what nobody has begun with, once it is asked to end."""
            nonlocal given_back
            if given_back is None and asked():
                idle = [future for future, reference, _ in in_flight.values() if not build.has_begun(reference)]
                given_back = {future.key for future in idle}
                with asking():
                    client.cancel(idle)

        def look() -> dict[str, int]:
            """The workers that are there; what waits for others, which have gone, is taken back from the scheduler."""
            there = nthreads()
            if crew is not None and there:
                left = [
                    each for each in in_flight.values() if crew.has_left(each.crew) and each.future.key not in stranded
                ]
                stranded.update(each.future.key for each in left)
                if left:
                    with asking():
                        client.cancel([each.future for each in left])
            return there

        def result(future: Any, workers: list[str] | None) -> Sequence[Any]:
            """What a task has returned. With the worker that had it, it may be gone before it is asked for."""
            finished: Sequence[Any]
            alone = 0
            while crew is not None:
                if future.cancelled():
                    raise _StrandedError if future.key in stranded else crew.lost()
                try:
                    finished = future.result(timeout=LOOK_AGAIN)
                except CancelledError:  # meanwhile
                    if not future.cancelled():
                        raise
                except TimeoutError:
                    if future.status == "error":  # its own
                        raise
                    there = look()
                    alone = 0 if there else alone + 1
                    if alone * LOOK_AGAIN > PATIENCE:
                        raise ClusterError(NO_WORKERS) from None
                    if there and crew.has_left(workers):
                        with asking():
                            client.cancel([future])
                        raise _StrandedError from None
                else:
                    return finished
            finished = future.result()
            return finished

        try:
            submit()
            while in_flight:
                _wait_for(done, look, give_back, LOOK_AFTER if crew is None else LOOK_AGAIN)
                future = next(done)
                _, reference, workers = in_flight.pop(future.key)
                if given_back and future.key in given_back and future.cancelled():
                    continue
                finished: Sequence[Any] = ()
                try:
                    finished = result(future, workers)
                except (KilledWorker, MemoryError, BegunError, _StrandedError) as error:
                    # A worker takes all of its tasks along.
                    # Or the same task, asked for again, would still be the failed one: released when the client's loop comes
                    # to it.
                    future.release()
                    client.sync(_nothing)
                    instead, deaths = _instead(build, reference, error, deaths)
                    again.extend(instead)
                else:
                    deaths = 0
                stranded.discard(future.key)
                submit()  # before what is finished is looked at, which takes its time
                yield from finished
        finally:
            if in_flight and crew is not None:  # they are nobody's any more
                with suppress(OSError, RuntimeError, ValueError, CancelledError):
                    client.cancel([each.future for each in in_flight.values()])

    return compute


def _numbered(bag: Any, run: str, first: int) -> tuple[dict[Any, Any], list[Any]]:
    """The graph of a bag, optimised, whose partitions are those from the number `first` on of this run; and their keys.

    A scheduler keeps for good what it notes of a group of tasks, which are those whose keys begin alike. As Dask calls them,
    that would be two groups for each shard; so they are two for each run.
    """
    # Under a name of its own, each would have another task wait for it, and that alone would have the rank.
    with dask.config.set({"optimization.fuse.rename-keys": False}):
        (optimised,) = dask.optimize(bag)
    graph = dict(optimised.__dask_graph__())
    names = {name: f"{key_split(name)}-{rank}-{run}" for rank, name in enumerate({name: None for name, _ in graph})}
    keys = {(name, number): (names[name], first + number) for name, number in graph}
    return (
        {keys[key]: task.substitute(keys, key=keys[key]) for key, task in graph.items()},
        [keys[key] for key in optimised.__dask_keys__()],
    )


async def _nothing() -> None:
    """To wait until all has been done that a loop was asked for before."""


def _wait_for(done: Any, look: Callable[[], dict[str, int]], meanwhile: Callable[[], None], look_after: float) -> None:
    """Wait until something is done, call `meanwhile` now and then, and `look` who is there. Raises ClusterError if there are no
    workers, and none comes."""
    looked_at = time.monotonic()
    alone_since = None
    while not done.has_ready():
        meanwhile()
        with done.thread_condition:
            if done.has_ready() or done.thread_condition.wait(HEAR_AFTER):
                continue
        if time.monotonic() - looked_at < look_after:
            continue
        looked_at = time.monotonic()
        if look():
            alone_since = None
        elif alone_since is None:
            alone_since = looked_at
        elif looked_at - alone_since > PATIENCE:
            raise ClusterError(NO_WORKERS)
