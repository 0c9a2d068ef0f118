"""The recipes: each says how it is used; what it would run elsewhere runs here, as real processes, and gives the same rows."""

import os
import re
import shlex
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import Settings
from pipeline.api import scan
from pipeline.synthetic import make_library

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes"
PROGRAM = f"{shlex.quote(sys.executable)} -m pipeline"
SCRIPTS = sorted([*RECIPES.glob("*.py"), *RECIPES.rglob("*.sh")])


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes") / "Takeout of mine"
    make_library(folder, files=60, seed=21, image_bytes=4_000, video_bytes=8_000)
    return folder


@pytest.fixture(scope="module")
def expected(library: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The rows of a scan in one process."""
    output = tmp_path_factory.mktemp("expected") / "index"
    scan(library, output, Settings(mode="sequential"))
    return rows(output)


def rows(results: Path, columns: str = "*") -> list[str]:
    with closing(sqlite3.connect(results / "index.sqlite")) as db:
        return sorted(map(repr, db.execute(f"SELECT {columns} FROM media")))


def run(*command: object, statuses: tuple[int, ...] = (0,), **variables: str) -> str:
    """What a command says, with this program importable by all that it starts. It is to end with one of the statuses."""
    done = subprocess.run(
        list(map(str, command)),
        env=os.environ | {"PYTHONPATH": str(ROOT), "TAKEOUT_INDEX": PROGRAM} | variables,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode in statuses, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_recipe_says_how_it_is_used(script: Path) -> None:
    named = script.relative_to(ROOT).as_posix()
    text = script.read_text("utf-8")
    assert named in text, "an example names it"
    if script.suffix == ".sh":
        run("sh", "-n", script)
        assert os.access(script, os.X_OK)
        return
    assert re.search(r"^usage: ", run(sys.executable, script, "--help"))
    example = next(line for line in text.splitlines() if line.strip().startswith(f"python {named}"))
    asked = shlex.split(example)[2:]
    run(sys.executable, "-c", f"import runpy; runpy.run_path({str(script)!r})['arguments']().parse_args({asked!r})")


def test_the_documentation_has_every_recipe() -> None:
    text = (ROOT / "docs" / "scale.md").read_text("utf-8")
    files = [path for path in RECIPES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path.name for path in files if f"recipes/{path.relative_to(RECIPES).as_posix()}" not in text] == []


def test_certificates_are_for_the_eyes_of_their_owner(tmp_path: Path) -> None:
    run("sh", RECIPES / "certificate.sh", tmp_path / "tls")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert found == {"ca.pem": 0o600, "dask.pem": 0o600, "dask-key.pem": 0o600}


def test_archives_of_a_bucket_are_planned_and_scanned(library: Path, expected: list[str], tmp_path: Path) -> None:
    """Of a folder here: what stands behind an address is none of the script's business."""
    run("sh", RECIPES / "bucket.sh", tmp_path / "index", library, statuses=(0, 3))  # 3: some files have problems
    assert rows(tmp_path / "index") == expected


def test_exports_of_a_household_become_one_index(tmp_path: Path) -> None:
    for number, name in enumerate(("anna", "ben")):
        make_library(tmp_path / name, files=20, seed=number, image_bytes=4_000, video_bytes=8_000)
    run("sh", RECIPES / "household.sh", tmp_path / "results", tmp_path / "anna", tmp_path / "ben", statuses=(0, 3))
    assert {each.name for each in (tmp_path / "results").iterdir()} == {"anna", "ben", "all"}
    assert len(rows(tmp_path / "results" / "all")) == 40


@pytest.mark.parametrize("names", [("anna/Takeout", "ben/Takeout"), ("all", "ben")], ids=["alike", "all"])
def test_exports_that_would_share_a_folder_of_results_are_not_scanned(tmp_path: Path, names: tuple[str, str]) -> None:
    exports = [tmp_path / name for name in names]
    run("sh", RECIPES / "household.sh", tmp_path / "results", *exports, statuses=(2,))
    assert not (tmp_path / "results").exists()


# SLURM: what sbatch is given is run here, by a batch system of one machine


SBATCH = """#!/bin/sh
cp "$1" {jobs}/$$
sh {jobs}/$$ >{jobs}/../$$.log 2>&1 &
echo $! >{jobs}/../$$.pid
echo "Submitted batch job $$"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do pkill --parent $(cat {jobs}/../$job.pid); done
"""


@pytest.fixture
def batch_system(tmp_path: Path) -> Path:
    """A folder with the commands of SLURM: a job is a process."""
    commands, jobs = tmp_path / "bin", tmp_path / "slurm" / "jobs"
    for folder in (commands, jobs):
        folder.mkdir(parents=True)
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (commands / name).write_text(text.format(jobs=jobs))
        (commands / name).chmod(0o700)
    return commands


def test_workers_of_slurm_are_jobs(library: Path, expected: list[str], batch_system: Path, tmp_path: Path) -> None:
    command = [sys.executable, RECIPES / "slurm.py", library, "-o", tmp_path / "index", "--jobs", 2, "--cores", 1]
    path = f"{batch_system}:{os.environ['PATH']}"
    script = run(*command, "--queue", "short", "--account", "us", "--show", PATH=path)
    for line in ("-p short", "-A us", "--cpus-per-task=1", "-t 01:00:00"):
        assert f"#SBATCH {line}" in script
    assert "--protocol tls://" in script
    assert "photos" in run(*command, "--shard-files", 10, PATH=path)
    assert rows(tmp_path / "index") == expected
    jobs = list((tmp_path / "slurm" / "jobs").iterdir())
    assert len(jobs) == 2
    assert list(tmp_path.glob(".dask-jobqueue*")) == []  # certificates


# Kubernetes: the commands of the containers, with their variables, in place of the containers


def kustomized() -> Iterator[dict[str, Any]]:
    """Everything in the manifests, with the values of kustomization.yaml. Of what kustomize does, only this."""
    kustomization = yaml.safe_load((RECIPES / "kubernetes/kustomization.yaml").read_text("utf-8"))
    for name in kustomization["resources"]:
        yield from yaml.safe_load_all((RECIPES / "kubernetes" / name).read_text("utf-8"))
    for each in kustomization["configMapGenerator"]:
        data = dict(literal.split("=", 1) for literal in each["literals"])
        yield {"kind": "ConfigMap", "metadata": {"name": each["name"]}, "data": data}


def containers(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The container of each role."""
    found = {}
    for each in manifests:
        if each["kind"] in ("Deployment", "Job"):
            template = each["spec"]["template"]
            (container,) = template["spec"]["containers"]
            found[template["metadata"]["labels"]["role"]] = container | {"pod": template["spec"]}
    return found


def test_pods_hold_together_and_may_nothing() -> None:
    manifests = list(kustomized())
    named = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    found = containers(manifests)
    assert set(found) == {"scheduler", "worker", "driver"}
    for container in found.values():
        pod = container["pod"]
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
        for source in container["envFrom"]:
            if "configMapRef" in source:
                assert ("ConfigMap", source["configMapRef"]["name"]) in named
            else:
                assert source["secretRef"]["optional"]
    (policy,) = (each["spec"] for each in manifests if each["kind"] == "NetworkPolicy")
    ours = {"podSelector": {"matchLabels": {"app": "takeout-index"}}}
    assert policy == ours | {"policyTypes": ["Ingress"], "ingress": [{"from": [ours]}]}
    assert ("Service", "takeout-index-scheduler") in named


@contextmanager
def started(command: list[str], environment: dict[str, str], until: str) -> Iterator[str]:
    """A process that goes on while the block does, and the line in which it said `until`."""
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = next((line for line in process.stderr if until in line), None)
            assert said is not None, f"{command} ended with {process.wait()}"
            yield said
        finally:
            process.terminate()


def test_what_the_containers_run_runs(library: Path, expected: list[str], tmp_path: Path) -> None:
    manifests = list(kustomized())
    found = containers(manifests)
    run("sh", RECIPES / "certificate.sh", tmp_path / "tls")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, module in (("takeout-index", "pipeline"), ("dask", "dask")):  # as the image has them
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {module} "$@"\n')
        (programs / name).chmod(0o700)
    values = {each["metadata"]["name"]: each["data"] for each in manifests if each["kind"] == "ConfigMap"}
    export = tmp_path / "export"
    export.symlink_to(library)  # INPUTS are separated by blanks
    values["takeout-index-run"] |= {"INPUTS": str(export), "OUTPUT": str(tmp_path / "index")}
    address = ""

    def here(text: str) -> str:
        for there, place in (("/tls/", f"{tmp_path}/tls/"), ("=/work", f"={tmp_path}")):
            text = text.replace(there, place)
        return text.replace("tls://takeout-index-scheduler:8786", address).replace("8786", "0")

    def command(role: str) -> list[str]:
        return [here(each) for each in (*found[role].get("command", ()), *found[role]["args"])]

    def environment(role: str) -> dict[str, str]:
        names = [each["configMapRef"]["name"] for each in found[role]["envFrom"] if "configMapRef" in each]
        own = {name: here(value) for each in names for name, value in values[each].items()}
        path = f"{programs}:{os.environ['PATH']}"
        return os.environ | {"PYTHONPATH": str(ROOT), "PATH": path, "HOME": str(tmp_path)} | own

    with ExitStack() as cluster:
        scheduler = started([*command("scheduler"), "--host", "127.0.0.1"], environment("scheduler"), "Scheduler at:")
        address = cluster.enter_context(scheduler).split()[-1]
        assert address.startswith("tls://127.0.0.1:")
        worker = started([*command("worker"), "--host", "127.0.0.1"], environment("worker"), "Registered to:")
        cluster.enter_context(worker)
        done = subprocess.run(command("driver"), env=environment("driver"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "index") == expected


# A service that gives a Dask client: a cluster of this machine stands for its machines


SERVICE = '''
from distributed import LocalCluster

class Cluster(LocalCluster):
    """Takes what the service takes."""

    def __init__(self, *, name, n_workers, worker_cpu, region, spot_policy, worker_options, idle_timeout):
        super().__init__(
            n_workers=n_workers, threads_per_worker=worker_options["nthreads"], host="127.0.0.1", dashboard_address=None
        )
'''


def test_a_client_of_a_service_does_the_work(library: Path, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "coiled.py").write_text(SERVICE)
    script = RECIPES / "service.py"
    said = run(
        *(sys.executable, script, library, "-o", tmp_path / "index", "--workers", 2, "--shard-files", 10),
        PYTHONPATH=f"{ROOT}:{tmp_path}",
    )
    assert "photos" in said
    assert rows(tmp_path / "index") == expected


# Helpers by ssh


def test_a_certificate_of_one_run_closes_a_cluster(tmp_path: Path) -> None:
    """What recipes/ssh.py sets on all hosts: that a scheduler takes nobody without it."""
    program = f"""
import runpy, dask
recipe = runpy.run_path({str(RECIPES / "ssh.py")!r})
from pathlib import Path
files = recipe["certificate"](Path({str(tmp_path)!r}))
from distributed import Client, LocalCluster
from distributed.security import Security
dask.config.set(recipe["encrypted"](files))
with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", protocol="tls://", dashboard_address=None,
                  security=Security()) as cluster:
    with Client(cluster.scheduler_address, security=Security()) as client:
        print(client.submit(sum, [1, 2]).result())
    try:
        Client(cluster.scheduler_address, security=Security.temporary(), timeout="2s")
    except OSError:
        print("refused")
"""
    script = tmp_path / "program.py"
    script.write_text(f'if __name__ == "__main__":\n{"".join(f"    {line}" for line in program.splitlines(True))}')
    assert run(sys.executable, script).split() == ["3", "refused"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.pem")} == {0o600}
