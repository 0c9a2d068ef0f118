"""Closed by default: nobody else can connect, read or be reached, and the input stays what it was."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import Settings
from pipeline.api import scan
from pipeline.cluster import is_open, local_cluster
from tests.conftest import Run
from tests.faults.checks import (
    fingerprint,
    listening,
    nothing_left,
    open_to_others,
    ports_of_this_process,
    processes_of,
    same_tables,
    traced,
)

#: Connects as whoever runs it, and says who it has become: the user of the worker.
STRANGER = """
import os, sys
from distributed import Client
from distributed.security import Security
security = Security.temporary() if sys.argv[1].startswith("tls") else None
try:
    with Client(sys.argv[1], security=security, timeout=5, set_as_default=False) as client:
        print("user", client.submit(os.getuid).result(timeout=20))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def scanned(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the synthetic library, of an undisturbed run."""
    results = tmp_path_factory.mktemp("undisturbed") / "results"
    scan(synthetic, results, Settings(mode="sequential"))
    return results


@pytest.mark.parametrize(
    ("flags", "addresses"),
    [
        pytest.param(["--mode", "sequential"], set(), marks=pytest.mark.soak),
        (["--mode", "parallel", "--profile", "profile"], {"127.0.0.1"}),
        pytest.param(["--mode", "parallel"], {"127.0.0.1"}, marks=pytest.mark.soak),
        pytest.param(["--mode", "sequential", "--profile", "profile"], set(), marks=pytest.mark.soak),
    ],
)
def test_while_it_runs_it_listens_on_loopback_at_most_and_no_other_user_can_read_what_it_writes(
    synthetic: Path, tmp_path: Path, flags: list[str], addresses: set[str]
) -> None:
    results = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "scan", str(synthetic), "-o", str(results), "--quiet", *flags]
    heard, opened = set(), set()
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True, umask=0o000
    ) as process:
        while process.poll() is None:
            heard |= listening(processes_of(process.pid))
            found = subprocess.run(["find", results, "-perm", "/077"], capture_output=True, text=True, check=False)
            opened |= set(found.stdout.splitlines())
    assert process.returncode == 3
    assert heard == addresses
    assert opened == set()
    assert open_to_others(results) == []
    assert not (tmp_path / "profile").exists() or open_to_others(tmp_path / "profile") == []
    nothing_left(results, process.pid)


def as_stranger(address: str, folder: Path) -> str:
    """What another user of this machine gets from a scheduler. Skips the test where there is no becoming another."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("becoming another user takes root and setpriv")
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "DASK_TEMPORARY_DIRECTORY": "/nonexistent"}
    command = [*become, sys.executable, "-c", STRANGER, address]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        pytest.skip(f"another user cannot run this Python: {done.stderr.strip()[-200:]}")
    return done.stdout.strip()


def test_another_user_of_the_machine_can_neither_connect_nor_run_anything(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    before = ports_of_this_process()  # servers of other tests
    with local_cluster(1, scratch):
        ports = ports_of_this_process() - before
        assert ports
        for port in ports:
            for protocol in ("tcp", "tls"):  # with a certificate of their own, too
                assert not as_stranger(f"{protocol}://127.0.0.1:{port}", tmp_path).startswith("user")


@pytest.mark.soak
def test_without_our_certificate_another_user_would_be_who_runs_the_workers(tmp_path: Path) -> None:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, processes=False, host="127.0.0.1", protocol="tcp://", dashboard_address="127.0.0.1:0"
    ) as cluster:
        assert as_stranger(cluster.scheduler_address, tmp_path) == f"user {os.getuid()}"


# A given scheduler


@pytest.mark.parametrize(
    ("address", "expected"),
    [("tcp://h:1", True), ("h:1", True), ("ws://h:1", True), ("tls://h:1", False), ("wss://h:1", False)],
)
def test_a_scheduler_is_open_unless_it_is_asked_by_tls(address: str, expected: bool) -> None:
    assert is_open(address) == expected


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_an_open_scheduler_is_warned_of_and_dasks_own_tls_settings_are_used(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, protocol: str
) -> None:
    from distributed import LocalCluster
    from distributed.security import Security

    security = Security.temporary()
    environment = dict(os.environ)
    for name, pem in (
        ("CA_FILE", security.tls_ca_file),
        ("CLIENT__CERT", security.tls_client_cert),
        ("CLIENT__KEY", security.tls_client_key),
    ):
        (tmp_path / name).write_text(pem)
        if protocol == "tls":
            environment[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(tmp_path / name)
    with LocalCluster(
        n_workers=1,
        processes=False,
        host="127.0.0.1",
        protocol=f"{protocol}://",
        security=security if protocol == "tls" else None,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith(f"{protocol}://")
        done = run("scan", synthetic, "-o", "out", "--scheduler", address, env=environment)
    assert done.returncode == 3, done.stderr
    assert ("asked without TLS" in done.stderr) == (protocol == "tcp")
    same_tables(tmp_path / "out", scanned)


# No network


@pytest.mark.parametrize("loopback", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_without_any_network_the_table_is_the_same(
    synthetic: Path, scanned: Path, tmp_path: Path, run: Run, loopback: bool
) -> None:
    before = ["unshare", "--net" if os.geteuid() == 0 else "--map-root-user", "--net"]
    before += ["sh", "-c", 'ip link set lo up && exec "$@"', "sh"] if loopback else []
    if (
        shutil.which("unshare") is None
        or subprocess.run([*before, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this takes unshare, ip and the right to a network namespace")
    done = run("scan", synthetic, "-o", "out", "--mode", "parallel", "--processes", 2, before=before)
    assert done.returncode == 3, done.stderr
    assert ("loopback interface is down" in done.stderr) != loopback
    same_tables(tmp_path / "out", scanned)


def test_it_connects_to_itself_alone_and_leaves_nothing_but_its_results(
    synthetic: Path, tmp_path: Path, run: Run
) -> None:
    log = tmp_path / "calls"
    calls = "connect,bind,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,symlinkat,linkat"
    before = traced("-y", "-s", "4096", "-e", "signal=none", "-e", f"trace={calls}")
    before[before.index(os.devnull)] = str(log)
    results = tmp_path / "out"
    done = run("scan", synthetic, "-o", results, "--mode", "parallel", "--processes", 2, "--quiet", before=before)
    assert done.returncode == 3, done.stderr
    text = log.read_text(errors="surrogateescape")
    assert set(re.findall(r'inet_addr\("([^"]*)"\)|inet_pton\(AF_INET6, "([^"]*)"', text)) <= {("127.0.0.1", "")}
    outside = {path for path in written(text) if not Path(path).is_relative_to(results)} - {"/dev/null"}
    assert [path for path in outside if os.path.lexists(path)] == []  # sockets, semaphores, a certificate: gone again


def written(log: str) -> Iterator[str]:
    """The paths that calls in strace's log have made, opened for writing, renamed or removed."""
    for line in log.splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)\) = (?!-1)", line)
        if call is None or call[1] in ("connect", "bind"):
            continue
        if call[1].startswith("open") and not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", call[2]):
            continue
        for folder, path in re.findall(r'(?:[\w-]+<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', call[2]):
            yield path if path.startswith("/") else f"{folder}/{path}"


# The input


def test_the_bytes_names_rights_and_times_of_the_input_are_what_they_were(
    synthetic: Path, tmp_path: Path, run: Run
) -> None:
    library = tmp_path / "in"
    shutil.copytree(synthetic, library / "Takeout", symlinks=True)
    with zipfile.ZipFile(library / "takeout-20240101T000000Z-001.zip", "w") as archive:
        for path in sorted(synthetic.rglob("*")):
            archive.write(path, path.relative_to(synthetic))
    with tarfile.open(library / "takeout-20240101T000000Z-002.tgz", "w:gz", compresslevel=1) as tar:
        tar.add(synthetic, ".")
    before = fingerprint(library)
    done = run("scan", library, "-o", "out", "--mode", "parallel", "--processes", 2, "--quiet")
    assert done.returncode == 3, done.stderr
    assert fingerprint(library) == before
