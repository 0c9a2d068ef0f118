"""Where a graph runs: Dask's synchronous scheduler, a cluster on this machine, or any existing one.

The only file that imports dask.distributed.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import dask
import dask.config

from pipeline.problems import RunError
from pipeline.storage.manifest import ShardRef
from pipeline.storage.shards import ShardDone

Build = Callable[[Sequence[ShardRef]], Any]
#: Runs the graph that a Build makes, and yields what its partitions return, in the order in which they finish.
Compute = Callable[[Build, Sequence[ShardRef]], Iterator[ShardDone]]

#: Shards whose graph is built and submitted at once: the scheduler's memory does not grow with the library.
WINDOW = 256

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
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


class ClusterError(RunError):
    """A scheduler that cannot be reached or used."""


def _start_fork_server() -> None:
    """Start the process that workers are forked from, so that its imports run while we still import distributed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipeline.worker"])
    from multiprocessing.forkserver import ensure_running

    ensure_running()


def synchronous(build: Build, references: Sequence[ShardRef]) -> Iterator[ShardDone]:
    """Dask's synchronous scheduler: one shard after the other, in this thread."""
    for reference in references:
        yield from build([reference]).compute(scheduler="synchronous")


@contextmanager
def local_cluster(processes: int, scratch: Path) -> Iterator[Compute]:
    """A LocalCluster of single-threaded worker processes, closed to everyone else.

    It listens on loopback only, with no dashboard, and talks TLS with a certificate of this run, because any user of the
    machine can connect to a loopback port, and whoever talks to a scheduler can run code. `scratch` is private.
    """
    _start_fork_server()
    # Imported before its settings are changed: what was not there before would be deleted afterwards, defaults and all.
    import distributed.utils
    from distributed import Client, LocalCluster
    from distributed.security import Security

    with dask.config.set(_LOCAL):
        # distributed would have the fork server import every optional package it knows, pandas among them.
        distributed.utils._forkserver_preload_set = True
        security = Security.temporary()
        with (
            LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                memory_limit=0,
                local_directory=str(scratch),
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            cluster.scheduler.http_server.stop()  # it serves nothing, and is the one listener without TLS
            yield _on(client)


class EarlyCluster:
    """A local cluster that can be started in the background, while the library is still being listed and planned.

    Used as a context: at its end the cluster, if it was started, is gone.
    """

    def __init__(self, processes: int, scratch: Path) -> None:
        self.ready_s: float | None = None  # seconds that starting it took
        self._processes, self._scratch = processes, scratch
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
        compute = self._open.enter_context(local_cluster(self._processes, self._scratch))
        self.ready_s = time.perf_counter() - began
        return compute

    def compute(self) -> Compute:
        """Wait until it is ready. Raises what starting it raised."""
        self.start()
        assert self._starting is not None
        return self._starting.result()

    def __enter__(self) -> EarlyCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()  # what is being started is waited for
        self._open.close()


@contextmanager
def existing_cluster(address: str) -> Iterator[Compute]:
    """The cluster whose scheduler has this address. Raises ClusterError if there is none."""
    from distributed import Client

    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise ClusterError(f"the Dask scheduler at {address} has no workers")
        yield _on(client)


def client_of_caller() -> Compute:
    """The client that the calling program has made."""
    return _on(current_client())


def current_client() -> Any | None:
    """The Dask client that the calling program has made, if any."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _on(client: Any) -> Compute:
    from distributed import as_completed

    def compute(build: Build, references: Sequence[ShardRef]) -> Iterator[ShardDone]:
        waiting = iter(references)
        done = as_completed(loop=client.loop)
        in_flight = 0
        while True:
            if in_flight < WINDOW // 2 and (window := list(islice(waiting, WINDOW))):
                done.update(client.compute(build(window).to_delayed()))
                in_flight += len(window)
            if not in_flight:
                return
            future = next(done)
            in_flight -= 1
            yield from future.result()

    return compute
