"""Clusters that somebody else has started: the same rows as here, whoever comes, goes, lacks something or dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from distributed import LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Settings
from pipeline.api import scan
from pipeline.cluster import CREW, ClusterError, Existing, existing_cluster
from pipeline.existing import address_in
from pipeline.fitness import Needs, told
from pipeline.path_map import PathMap
from pipeline.problems import UsageError
from pipeline.storage.archives import Stamp
from pipeline.synthetic import make_library
from tests.clusters import (
    ROOT,
    WITHOUT_US,
    Acting,
    Certificates,
    Cluster,
    cluster,
    kill,
    network,
    other_version,
    report_of,
    shards_left,
    site,
)
from tests.conftest import Run, files_rows, media_rows
from tests.test_isolation import CAUSES, HOOK, library_of, poison_in

FILES = 90


@dataclass(frozen=True)
class Case:
    """A library in one form, and the results of a scan of it here."""

    library: Path
    results: Path


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """The same library as folder, zip and tgz."""
    found = {}
    for layout in ("folder", "zip", "tgz"):
        folder = tmp_path_factory.mktemp(layout)
        make_library(folder / "in", files=FILES, seed=3, image_bytes=4_000, video_bytes=9_000, layout=layout, parts=2)
        scan(folder / "in", folder / "here", Settings(mode="sequential"))
        found[layout] = Case(folder / "in", folder / "here")
    return found


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers that is asked by TLS."""
    folder = tmp_path_factory.mktemp("tls")
    with cluster(folder / "cluster", certificates=Certificates(folder / "certificates")) as found:
        yield found


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers."""
    with cluster(tmp_path_factory.mktemp("plain")) as found:
        yield found


@pytest.fixture
def plain(lasting: Cluster) -> Iterator[Cluster]:
    """The same, of which workers may be killed, and to which others may be added: for the next it is mended."""
    yield lasting
    lasting.mend(2)


@pytest.fixture(autouse=True)
def _nobody_is_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.LOOK_AGAIN", 0.1)


def same_rows(found: Path, due: Path) -> None:
    assert media_rows(found) == media_rows(due)
    assert files_rows(found) == files_rows(due)


# Asking


@pytest.mark.parametrize("layout", ["folder", "zip", "tgz"])
def test_a_cluster_gives_the_same_rows_and_stays_as_it_was(
    tls: Cluster, cases: dict[str, Case], tmp_path: Path, layout: str
) -> None:
    before = tls.state()
    report = scan(cases[layout].library, tmp_path / "out", tls.settings(shard_files=9))
    assert report["mode"] == "scheduler"
    same_rows(tmp_path / "out", cases[layout].results)
    assert tls.state() == before


def test_the_command_asks_by_flags_by_the_variable_and_by_dasks_own_settings(
    tls: Cluster, cases: dict[str, Case], tmp_path: Path, run: Run
) -> None:
    assert tls.certificates is not None
    names = {
        "CA_FILE": tls.certificates.ca_file,
        "CLIENT__CERT": tls.certificates.cert,
        "CLIENT__KEY": tls.certificates.key,
    }
    dask = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name, path in names.items()}
    for number, (flags, variables) in enumerate(
        [
            (["--scheduler-file", tls.file, *tls.certificates.flags], {"DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:1"}),
            ([], {"DASK_SCHEDULER_ADDRESS": tls.address, **dask}),
        ]
    ):
        done = run("scan", cases["folder"].library, "-o", f"out{number}", *flags, env=os.environ | variables)
        assert done.returncode in (0, 3), done.stderr
        assert "TLS" not in done.stderr
        same_rows(tmp_path / f"out{number}", cases["folder"].results)
        assert report_of(tmp_path / f"out{number}")["mode"] == "scheduler"


def test_the_callers_client_is_looked_at_too(tls: Cluster, cases: dict[str, Case], tmp_path: Path) -> None:
    with tls.client.as_current():
        report = scan(cases["folder"].library, tmp_path / "out")
    assert report["mode"] == "client"
    assert report["stages"]["workers"] > 0
    same_rows(tmp_path / "out", cases["folder"].results)


def test_what_cannot_be_asked_is_said(tls: Cluster, tmp_path: Path, cases: dict[str, Case]) -> None:
    assert tls.certificates is not None
    mine, other = tls.certificates.settings, Certificates(tmp_path / "others").settings
    tcp = tls.address.replace("tls://", "tcp://")
    said = {
        (tcp, ()): "it speaks TLS: ask it by tls://",
        (tls.address, tuple((other | {"tls_ca_file": mine["tls_ca_file"]}).items())): "it refuses our certificate",
        (
            tls.address,
            tuple((mine | {"tls_ca_file": other["tls_ca_file"]}).items()),
        ): "of no authority that is trusted here",
        (tls.address, ()): "give --tls-ca-file, --tls-cert and --tls-key",
        (
            tls.address,
            tuple((mine | {"tls_key": "/nowhere.pem"}).items()),
        ): "--tls-key: cannot read /nowhere.pem: No such file",
        (tls.address, tuple((mine | {"tls_key": __file__}).items())): "cannot be used",
    }
    for (address, given_settings), reason in said.items():
        with pytest.raises((ClusterError, UsageError), match=reason):
            scan(cases["folder"].library, tmp_path / "out", Settings(scheduler=address, **dict(given_settings)))
    assert not (tmp_path / "out").exists()


def test_a_plain_scheduler_that_is_asked_by_tls_says_nothing_that_we_understand(
    plain: Cluster, tls: Cluster, tmp_path: Path, cases: dict[str, Case]
) -> None:
    assert tls.certificates is not None
    address = plain.address.replace("tcp://", "tls://")
    with pytest.raises(ClusterError, match=r"it speaks no TLS .*: ask it by tcp://"):
        scan(cases["folder"].library, tmp_path / "out", Settings(scheduler=address, **tls.certificates.settings))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no scheduler file"),
        ("", "not what dask scheduler --scheduler-file writes, or not all of it"),
        ('{"type": "Scheduler", "addr', "not all of it"),
        ('["tcp://127.0.0.1:1"]', "not what dask scheduler"),
        ('{"address": 5}', "not what dask scheduler"),
        ('{"address": "tcp://a\\u001b[2J:1"}', "not what dask scheduler"),
    ],
)
def test_scheduler_files_that_are_none(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        address_in(str(tmp_path / "s.json"))


def test_the_scheduler_that_is_given_nearer_counts(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('scheduler_file = "s.json"\npath_map = "/a=/b; /c=/d"\n')
    config, variables = tmp_path / "c.toml", {"DASK_SCHEDULER_ADDRESS": "tcp://a:1"}
    assert Settings.load(config=config, environment={}).scheduler_file == "s.json"
    found = Settings.load(config=config, environment=variables)
    assert (found.scheduler, found.scheduler_file, found.path_map) == ("tcp://a:1", "", ("/a=/b", "/c=/d"))
    found = Settings.load({"scheduler_file": "t.json"}, config, variables)
    assert (found.scheduler, found.scheduler_file) == ("", "t.json")
    found = Settings.load({"mode": "sequential"}, config, variables)
    assert not found.has_scheduler  # said nearer, and of this machine
    config.write_text('mode = "parallel"\n')
    assert Settings.load(config=config, environment=variables).scheduler == "tcp://a:1"
    with pytest.raises(UsageError, match="given twice"):
        Settings.load({"scheduler": "tcp://a:1", "scheduler_file": "s"}, environment={})


# Other paths


paths = st.lists(st.sampled_from(["a", "b", "ab", "a=b", "a b", "ü"]), max_size=4).map(
    lambda names: "/" + "/".join(names)
)


@given(st.dictionaries(paths.filter(lambda path: path != "/"), paths, max_size=4), paths)
def test_a_path_is_mapped_by_the_longest_folder_that_it_is_in(pairs: dict[str, str], path: str) -> None:
    found = PathMap(tuple((here, there.rstrip("/")) for here, there in pairs.items())).there(path)
    above = [here for here in pairs if path == here or path.startswith(here + "/")]
    if not above:
        assert found == path
    else:
        here = max(above, key=len)
        assert found == (pairs[here].rstrip("/") + path[len(here) :] or "/")


@given(paths, paths, paths)
def test_mapping_keeps_what_lies_below(here: str, there: str, below: str) -> None:
    mapped = PathMap.of([f"{here}={there}"]) if "=/" not in f"{here}{there}" else PathMap()
    if mapped.pairs:
        path = here.rstrip("/") + below.rstrip("/")
        assert mapped.there(path or "/").rstrip("/") == (there.rstrip("/") + below).rstrip("/")
    assert PathMap().there(here) == here
    assert mapped.there("s3://bucket/a") == "s3://bucket/a"


@pytest.mark.parametrize("text", ["", "/a", "/a=b", "=/b", "/a=/b=/c", "/a\0=/b"])
def test_path_maps_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="HERE=THERE"):
        Settings(path_map=(text,))


def test_a_file_seen_through_another_mount_is_known_without_its_inode(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    shutil.copy2(tmp_path / "a", tmp_path / "b")
    stamp = Stamp.of(os.stat(tmp_path / "a"))
    assert stamp.change(str(tmp_path / "b")) == "has changed"
    assert stamp._replace(anywhere=True).change(str(tmp_path / "b")) is None
    (tmp_path / "b").write_bytes(b"12")
    assert stamp._replace(anywhere=True).change(str(tmp_path / "b")) == "has changed"


@pytest.mark.parametrize("layout", ["folder", "zip", "tgz"])
def test_workers_read_and_write_where_they_have_it(
    plain: Cluster, cases: dict[str, Case], tmp_path: Path, layout: str
) -> None:
    """What they have is a copy, in which the bytes of some photo are others; of the results a link, by another name."""
    library, copy = tmp_path / "in", tmp_path / "elsewhere" / "in"
    shutil.copytree(cases[layout].library, library)
    for path in sorted(library.rglob("*.jpg") if layout == "folder" else library.rglob("*.*")):
        os.utime(path, ns=(0, path.stat().st_mtime_ns // 10**9 * 10**9))  # as coarse as of some mounts
    shutil.copytree(library, copy)
    if layout == "folder":
        path = max(copy.rglob("*.jpg"), key=lambda path: path.stat().st_size)
        state = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    (tmp_path / "out").mkdir()
    (tmp_path / "shared").symlink_to(tmp_path / "out")
    scan(copy, tmp_path / "due", Settings(mode="sequential"))
    maps = (f"{library}={copy}", f"{tmp_path / 'out'}={tmp_path / 'shared'}", "/nowhere\x1b[2J=/there")
    watch = Acting()
    scan(library, tmp_path / "out", plain.settings(path_map=maps, shard_files=20), watch)
    assert [line for line in watch.notes if "--path-map" in line] == [
        f"--path-map {maps[2]} says nothing of this scan: neither a part nor the results lie there"
    ]
    same_rows(tmp_path / "out", tmp_path / "due")
    report = report_of(tmp_path / "out")
    assert report.pop("settings")["path_map"] == list(maps)
    assert not [place for place in (copy, tmp_path / "shared") if str(place) in json.dumps(report)]


# Who lacks something


def test_no_worker_is_fit_and_all_that_is_wrong_is_said_at_once(
    plain: Cluster, cases: dict[str, Case], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "out").mkdir()
    library = cases["folder"].library
    maps = (f"{library}={tmp_path / 'other'}", f"{tmp_path / 'out'}={tmp_path / 'other'}")
    with pytest.raises(ClusterError, match="none of its 2 workers can do this") as raised:
        scan(library, tmp_path / "out", plain.settings(path_map=maps))
    said = "\n".join([str(raised.value), *raised.value.__notes__])
    assert f"does not see the same {tmp_path / 'other'} as this machine ({library} here): it is another folder" in said
    assert "does not share the work folder" in said
    assert "--path-map" in said
    assert not [line for line in said.splitlines()[1:] if line.count("127.0.0.1:") != 2]
    assert not list((tmp_path / "out").glob(".work/*.arrow"))


def test_unfit_workers_are_passed_over_even_where_no_others_are_left(
    plain: Cluster, cases: dict[str, Case], tmp_path: Path
) -> None:
    fit = list(plain.client.nthreads())

    def replace_them() -> None:
        plain.client.retire_workers(fit)
        plain.worker()

    plain.worker(environment=site(tmp_path, "without", WITHOUT_US))
    plain.worker(environment=other_version(tmp_path))
    plain.wait_for(4)
    watch = Acting(passed=replace_them)
    scan(cases["folder"].library, tmp_path / "out", plain.settings(shard_files=9), watch)
    same_rows(tmp_path / "out", cases["folder"].results)
    passed = [line for line in watch.notes if line.startswith("passed over: 127.0.0.1:")]
    assert len(passed) == 2
    assert any("takeout-index is not installed there: " in line for line in passed)
    assert any("has takeout-index 99.9, and this is " in line for line in passed)


def test_a_worker_that_says_nothing_is_passed_over(plain: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.cluster.ON_THE_WAY", 0)
    (_, hangs), (works, _) = plain.client.run(os.getpid).items()
    notes: list[str] = []
    os.kill(hangs, signal.SIGSTOP)
    try:
        with existing_cluster(plain.address) as found:
            found.admit(Needs(seconds=3), notes.append)
            assert list(found.nthreads()) == [works]
    finally:
        os.kill(hangs, signal.SIGCONT)
    (line,) = notes
    assert "cannot be looked at: no answer within 3 seconds" in line


def test_a_scheduler_without_us_is_told_of(cases: dict[str, Case], tmp_path: Path) -> None:
    environment = site(tmp_path, "without", WITHOUT_US)
    with (
        cluster(tmp_path / "cluster", workers=1, environment=environment) as found,
        pytest.raises(ClusterError, match="takeout-index is not installed there"),
    ):
        scan(cases["folder"].library, tmp_path / "out", found.settings())


def test_doctor_looks_at_the_workers_too(
    tls: Cluster, cases: dict[str, Case], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_cluster(*flags: str) -> tuple[int, list[tuple[str, str, str]]]:
        done = run("doctor", "--json", *flags)
        findings = json.loads(done.stdout)["findings"]
        named = [each for each in findings if each["name"] == "Dask scheduler"]
        return done.returncode, [(each["state"], each["said"], each["advice"]) for each in named]

    assert tls.certificates is not None
    flags = [f"--{name.replace('_', '-')}={path}" for name, path in tls.certificates.settings.items()]
    status, ((state, said, _),) = of_cluster(f"--scheduler-file={tls.file}", *flags)
    assert (status, state) == (0, "ok")
    assert said.startswith(f"{tls.address}: 2 workers with 2 threads have what a scan needs")
    assert tls.state()["tasks"] == 0
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", tls.address)
    status, ((state, said, advice),) = of_cluster()
    assert (status, state) == (1, "missing")
    assert "give --tls-ca-file, --tls-cert and --tls-key" in said and "--mode parallel" in advice
    environment = site(tmp_path, "without", WITHOUT_US)
    with cluster(tmp_path / "cluster", workers=1, environment=environment) as found:
        status, ((state, said, _),) = of_cluster(f"--scheduler={found.address}")
    assert (status, state) == (1, "missing") and "takeout-index is not installed there" in said


def test_many_workers_are_told_of_by_their_hosts() -> None:
    unfit = {f"tcp://10.0.{number % 12}.1:{number}": ["lacks it"] for number in range(60)}
    (line,) = told(unfit)
    assert line.startswith("10.0.0.1 (5 workers), 10.0.1.1 (5 workers), ")
    assert line.endswith("and 4 more hosts: lacks it")


# Who comes and goes


def test_a_cluster_that_has_workers_only_when_there_is_something_to_do(cases: dict[str, Case], tmp_path: Path) -> None:
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None) as found:
        found.adapt(minimum=0, maximum=2, interval="50ms", wait_count=1)
        watch = Acting()
        scan(cases["folder"].library, tmp_path / "out", Settings(scheduler=found.scheduler_address), watch)
        assert not found.scheduler.tasks
    assert any("has no workers yet: waiting" in line for line in watch.notes)
    same_rows(tmp_path / "out", cases["folder"].results)


def test_all_workers_are_killed_an_unfit_one_comes_and_then_a_fit_one(
    plain: Cluster, cases: dict[str, Case], tmp_path: Path
) -> None:
    def kill_all() -> None:
        for pid in plain.client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        plain.worker(environment=site(tmp_path, "without", WITHOUT_US))

    def add() -> None:
        plain.worker()

    watch = Acting(kill_all, passed=add)
    scan(cases["folder"].library, tmp_path / "out", plain.settings(shard_files=5), watch)
    same_rows(tmp_path / "out", cases["folder"].results)
    assert sum(line.startswith("passed over: ") for line in watch.notes) == 1
    assert plain.state()["tasks"] == 0


@pytest.mark.parametrize(("nanny", "failures", "poison"), [(True, "3", "SEGV"), (False, "0", "EXIT")])
def test_a_file_that_kills_its_reader_costs_that_file_alone(
    tmp_path: Path, nanny: bool, failures: str, poison: str
) -> None:
    library = library_of(tmp_path / "in", [poison], 20)
    scan(library, tmp_path / "due", Settings(mode="sequential"))
    environment = site(tmp_path, "hook", HOOK) | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": failures}
    with cluster(
        tmp_path / "cluster", 2, nanny, environment=environment
    ) as found:  # without nannies one of them is left
        scan(library, tmp_path / "out", found.settings(shard_files=6))
    rows = zip(media_rows(tmp_path / "out"), media_rows(tmp_path / "due"), strict=True)
    for row, due in rows:
        word = poison_in(due)
        if word is None:
            assert row == due
        else:
            assert row["status"] == "failed"
            assert [(each["kind"], CAUSES[word][1] in each["message"]) for each in row["problems"]] == [
                ("crashed", True)
            ]


def test_a_scheduler_that_is_lost_ends_the_run_and_the_next_goes_on(cases: dict[str, Case], tmp_path: Path) -> None:
    with cluster(tmp_path / "cluster", 1) as found:
        watch = Acting(partial(kill, found.scheduler))
        with pytest.raises(ClusterError, match="is gone, or was restarted") as raised:
            scan(cases["folder"].library, tmp_path / "out", found.settings(shard_files=5), watch)
    assert "the same command goes on from there" in raised.value.__notes__[0]
    left = shards_left(tmp_path / "out")
    assert left
    report = scan(cases["folder"].library, tmp_path / "out", Settings(mode="sequential", shard_files=5))
    assert report["taken_over"] > 0
    same_rows(tmp_path / "out", cases["folder"].results)


@given(st.integers(1, 300), st.lists(st.integers(), max_size=400))
def test_crews_share_the_work_among_all(workers: int, window: list[int]) -> None:
    found = Existing(None, "a cluster")
    assert list(found.crews(window)) == [(None, window)]  # nobody has been looked at
    found._needs, found._fit = Needs(), {f"tcp://10.0.0.1:{number}" for number in range(workers)}
    crews = list(found.crews(window))
    assert [each for _, share in crews for each in share] == window
    names = [name for crew, _ in crews for name in crew or ()]
    assert len(names) == len(set(names))
    assert found._fit.issuperset(names)
    assert all(len(crew or ()) <= CREW for crew, _ in crews)
    if len(window) >= workers:
        assert found._fit == set(names)


# Several machines

#: What scans there: says when workers are there and when the first shard is done, and waits then until it is told to go on.
DRIVER = """
import sys
from pathlib import Path
from pipeline import Settings, scan
from tests.clusters import Acting
from distributed import Client
from distributed.security import Security
file, ca_file, cert, key, library, out, there = sys.argv[1:]
security = Security(tls_ca_file=ca_file, tls_client_cert=cert, tls_client_key=key)
with Client(scheduler_file=file, security=security, timeout=60, set_as_default=False) as client:
    client.wait_for_workers(2, timeout=60)
def first():
    print("first", flush=True)
    sys.stdin.readline()
watch = Acting(first)
tls = {"tls_ca_file": ca_file, "tls_cert": cert, "tls_key": key}
scan(library, out, Settings(scheduler_file=file, path_map=(f"{library}={there}",), shard_files=5, **tls), watch)
print(*watch.notes, sep="\\n")
"""


def test_workers_have_addresses_of_their_own_one_is_killed_and_one_is_added(
    cases: dict[str, Case], tmp_path: Path
) -> None:
    """Each is in a network namespace, and has the library at another path: at that of the driver it has nothing."""
    with network() as made:
        if made is None:
            pytest.skip("network namespaces take root and ip")
        library, there = tmp_path / "in", tmp_path / "there"
        shutil.copytree(cases["zip"].library, library)
        there.mkdir()
        mounts = f'mount --bind "{library}" "{there}" && mount -t tmpfs none "{library}" && exec "$@"'
        certificates = Certificates(tmp_path / "tls")
        found = Cluster(tmp_path / "cluster", certificates, host="10.99.0.1", before=made.hub)

        def worker(number: int) -> subprocess.Popen[bytes]:
            before, address = made.node(number)
            return found.worker("--worker-port", "4000", before=[*before, "sh", "-c", mounts, "sh"], host=address)

        try:
            workers = [worker(2), worker(3)]
            arguments = [found.file, *certificates.settings.values(), library, tmp_path / "out", there]
            with subprocess.Popen(
                [*made.hub, sys.executable, "-c", DRIVER, *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as driver:
                assert driver.stdout is not None
                assert driver.stdin is not None
                first = driver.stdout.readline()
                assert first == "first\n"
                for each in workers:  # what comes now can only be the third one's
                    kill(each)
                worker(4)
                said, _ = driver.communicate("go on\n", timeout=120)
            assert driver.returncode == 0, said
        finally:
            found.close()
    same_rows(tmp_path / "out", cases["zip"].results)
