"""Dask clusters as somebody else runs them: a scheduler and workers, each a process of its own, gone when the block ends."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.settings import Settings

ROOT = Path(__file__).parent.parent
#: Imported by a worker's Python as it starts: this program is not there.
WITHOUT_US = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "pipeline":
            raise ModuleNotFoundError("No module named 'pipeline'", name="pipeline")
sys.meta_path.insert(0, Hidden())
"""


class Certificates:
    """An authority, and a certificate of it, as files."""

    def __init__(self, folder: Path) -> None:
        from distributed.security import Security

        made = Security.temporary()
        folder.mkdir(mode=0o700)
        self.ca_file, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self.ca_file.write_text(made.tls_ca_file)
        self.cert.write_text(made.tls_client_cert)
        self.key.write_text(made.tls_client_key)

    @property
    def flags(self) -> list[str]:
        """Of ``dask scheduler``, ``dask worker`` and ``takeout-index scan``."""
        return ["--tls-ca-file", str(self.ca_file), "--tls-cert", str(self.cert), "--tls-key", str(self.key)]

    @property
    def settings(self) -> dict[str, Any]:
        """The same as settings of ours."""
        return {"tls_ca_file": str(self.ca_file), "tls_cert": str(self.cert), "tls_key": str(self.key)}


class Cluster:
    """A scheduler, which writes its address into `file`, and its workers."""

    def __init__(
        self,
        folder: Path,
        certificates: Certificates | None = None,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        before: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file, self.certificates = folder, folder / "scheduler.json", certificates
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self._programs: list[subprocess.Popen[bytes]] = []
        self._usual: list[subprocess.Popen[bytes]] = []
        protocol = "tls" if certificates else "tcp"
        address = ["--host", host, "--port", "0", "--protocol", protocol]
        self.scheduler = self._start("scheduler", *address, "--scheduler-file", str(self.file), before=before)
        self._client: Any = None

    def _start(
        self, kind: str, *flags: str, before: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        flags = (*flags, "--no-dashboard", *(self.certificates.flags if self.certificates else ()))
        command = [*before, sys.executable, "-m", f"distributed.cli.dask_{kind}", *flags]
        with open(self.folder / f"{kind}-{len(self._programs)}.log", "wb") as log:
            program = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment | dict(environment or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._programs.append(program)
        return program

    def worker(
        self,
        *flags: str,
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        nanny: bool = False,
        host: str = "127.0.0.1",
    ) -> subprocess.Popen[bytes]:
        """Start one of one thread."""
        flags = ("--nthreads", "1", "--host", host, "--nanny" if nanny else "--no-nanny", *flags)
        scratch = ("--local-directory", str(self.folder / secrets.token_hex(4)))
        found = ("--scheduler-file", str(self.file))
        program = self._start("worker", *found, *scratch, *flags, before=before, environment=environment)
        if environment is None:
            self._usual.append(program)
        return program

    def mend(self, workers: int) -> None:
        """Have so many workers again, each as usual and without a nanny, whoever has been killed or added."""
        there = self.client.run(os.getpid, on_error="ignore")
        usual = {program.pid for program in self._usual}
        self.client.retire_workers([address for address, pid in there.items() if pid not in usual])
        for _ in range(workers - len(usual.intersection(there.values()))):
            self.worker()
        self.wait_for(workers)

    @property
    def client(self) -> Any:
        """A client of the tests' own."""
        from distributed import Client
        from distributed.security import Security

        if self._client is None:
            given = self.certificates.settings if self.certificates else {}
            names = {"tls_ca_file": "tls_ca_file", "tls_cert": "tls_client_cert", "tls_key": "tls_client_key"}
            security = Security(**{names[name]: path for name, path in given.items()})
            self._client = Client(scheduler_file=str(self.file), security=security, timeout=60, set_as_default=False)
        return self._client

    @property
    def address(self) -> str:
        """The scheduler's, once it has written it."""
        return str(self.client.scheduler.address)

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers are there."""
        self.client.wait_for_workers(workers, timeout=60)

    def state(self) -> dict[str, Any]:
        """What the scheduler has of others than the tests' own client."""

        def look(dask_scheduler: Any) -> dict[str, Any]:
            return {
                "tasks": len(dask_scheduler.tasks),
                "plugins": sorted(dask_scheduler.plugins),
                "worker plugins": sorted(dask_scheduler.worker_plugins),
                "clients": len(dask_scheduler.clients),
            }

        found: dict[str, Any] = self.client.run_on_scheduler(look)
        return found

    def settings(self, **others: Any) -> Settings:
        """Of a scan by this cluster."""
        given = self.certificates.settings if self.certificates else {}
        return Settings(scheduler_file=str(self.file), **given, **others)

    def close(self) -> None:
        """End all of it."""
        if self._client is not None:
            with suppress(Exception):  # its scheduler may have been killed
                self._client.close(timeout=1)
        for program in reversed(self._programs):
            kill(program)


def kill(program: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started, at once."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2, nanny: bool = False, **options: Any) -> Iterator[Cluster]:
    """A cluster with some workers, once they are there."""
    found = Cluster(folder, **options)
    try:
        for _ in range(workers):
            found.worker(nanny=nanny)
        if workers:
            found.wait_for(workers)
        yield found
    finally:
        found.close()


class Acting:
    """A Watch that does something when the first shard is done, and when a note begins with a word."""

    def __init__(self, first: Callable[[], None] = lambda: None, **noted: Callable[[], None]) -> None:
        self.notes: list[str] = []
        self._first: Callable[[], None] | None = first
        self._noted = noted

    def listing(self, files: int) -> None:
        pass

    def note(self, line: str) -> None:
        self.notes.append(line)
        if act := self._noted.pop(line.partition(" ")[0], None):
            act()

    def step(self, line: str) -> None:
        pass

    def begin(self, files: int, size: int) -> None:
        pass

    def advance(self, files: int, size: int, problems: int) -> None:
        act, self._first = self._first, None
        if act:
            act()


def site(folder: Path, name: str, text: str) -> dict[str, str]:
    """An environment in which Python runs this text as it starts."""
    (folder / name).mkdir()
    (folder / name / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": f"{folder / name}{os.pathsep}{ROOT}"}


def other_version(folder: Path) -> dict[str, str]:
    """An environment in which this program says that it is another version."""
    info = folder / "other" / "takeout_index-99.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: takeout-index\nVersion: 99.9\n")
    return {"PYTHONPATH": f"{folder / 'other'}{os.pathsep}{ROOT}"}


# Network namespaces


def ip(*arguments: str) -> None:
    """Run ip(8). Raises CalledProcessError."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """A network of namespaces: a hub with a bridge, and nodes with an address each."""

    def __init__(self) -> None:
        self._name = f"ti{secrets.token_hex(3)}"
        self._made: list[str] = []
        self.hub = self._namespace("hub")
        ip("-n", f"{self._name}hub", "link", "add", "bridge", "type", "bridge")
        ip("-n", f"{self._name}hub", "address", "add", "10.99.0.1/24", "dev", "bridge")
        ip("-n", f"{self._name}hub", "link", "set", "bridge", "up")

    def _namespace(self, name: str) -> list[str]:
        ip("netns", "add", f"{self._name}{name}")
        self._made.append(f"{self._name}{name}")
        ip("-n", f"{self._name}{name}", "link", "set", "lo", "up")
        return ["ip", "netns", "exec", f"{self._name}{name}"]

    def node(self, number: int) -> tuple[list[str], str]:
        """Add a node: what runs a program there, and its address."""
        name, address = f"{self._name}{number}", f"10.99.0.{number}"
        before = self._namespace(str(number))
        ip("-n", f"{self._name}hub", "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("-n", f"{self._name}hub", "link", "set", f"v{number}", "master", "bridge", "up")
        ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        return before, address

    def close(self) -> None:
        """Remove all of it."""
        for name in reversed(self._made):
            ip("netns", "delete", name)


@contextmanager
def network() -> Iterator[Network | None]:
    """A network, gone when the block ends; None where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        yield None
        return
    made: Network | None = None
    try:
        made = Network()
    except subprocess.CalledProcessError:
        yield None
        return
    try:
        yield made
    finally:
        made.close()


def shards_left(results: Path) -> list[str]:
    """Shards that a run has left which did not end well."""
    return sorted(os.listdir(results / ".work" / "shards"))


def report_of(results: Path) -> dict[str, Any]:
    """What a run has published of itself."""
    found: dict[str, Any] = json.loads((results / "run.json").read_text("utf-8"))
    return found
