"""The command line as people meet it: help, statuses, suggestions, completion, narrow terminals, colour, JSON."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app
from tests.conftest import Run, write_tree

COMMANDS = [
    str(c.name or c.callback.__name__).replace("_", "-") for c in app.registered_commands if c.callback and not c.hidden
]
LACKS_NOTHING = {
    "Takeout/Google Photos/Photos from 2019/IMG_1.jpg.json": {
        "title": "IMG_1.jpg",
        "photoTakenTime": {"timestamp": "0"},
    }
}
PHOTO = Path(__file__).parent / "corpus" / "media"


@pytest.fixture(scope="module")
def places(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in: a good library, one with problems, one of many files, results, and no library."""
    folder = tmp_path_factory.mktemp("manners")
    photo = next(path for path in sorted(PHOTO.rglob("*.jpg")) if path.stat().st_size > 1000).read_bytes()
    write_tree(folder / "good", LACKS_NOTHING | {"Takeout/Google Photos/Photos from 2019/IMG_1.jpg": photo})
    shutil.copytree(synthetic, folder / "bad")
    write_tree(folder / "many", {f"Takeout/P/{n}.jpg": b"\xff\xd8" + n.to_bytes(2, "big") for n in range(3000)})
    (folder / "text.txt").write_text("no archive")
    (folder / "empty").mkdir()
    command = [sys.executable, "-m", "pipeline", "scan", "bad", "-o", "results", "--quiet"]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 3
    return folder


def test_every_command_is_told_with_an_example_and_its_statuses(run: Run) -> None:
    whole = run("--help").stdout
    for command in COMMANDS:
        done = run(command, "--help")
        text = " ".join(done.stdout.split())
        assert done.returncode == 0 and f"Example: takeout-index {command}" in text, command
        assert "Exit status: 0 all well, 1 failed, 2 usage, 3 done but" in text, command
        (line,) = re.findall(rf"^  {command} +(.+)$", whole, re.M)
        assert not line.endswith("..."), line
    for status in ("  0  ", "  1  ", "  2  ", "  3  ", "  130  ", "  129  ", "143"):
        assert status in whole


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("scan good -o out", 0),
        ("plan bad", 0),
        ("verify results", 0),
        ("diff results results", 0),
        ("doctor results", 0),
        ("scan good -o /proc/out", 1),
        ("", 2),
        ("scna good", 2),
        ("scan", 2),
        ("scan nowhere", 2),
        ("scan good --threads many", 2),
        ("verify empty", 2),
        ("export results -o a.txt", 2),
        ("scan bad -o out", 3),
    ],
)
def test_the_documented_statuses(places: Path, tmp_path: Path, run: Run, arguments: str, status: int) -> None:
    given = [tmp_path / "out" if each == "out" else each for each in arguments.split()]
    done = run(*given, cwd=places)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    if status in (1, 2):
        assert done.stdout == "" and done.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=str
)
def test_the_statuses_of_signals(places: Path, tmp_path: Path, number: int, status: int) -> None:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "scan",
        str(places / "many"),
        "-o",
        str(tmp_path / "out"),
        "--mode",
        "sequential",
    ]
    with subprocess.Popen([*command, "--shard-files", "1"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("found "):
                process.send_signal(number)
                break
        said = process.stderr.read()
    assert process.returncode == status, said
    assert "interrupted: nothing was published" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("scna x", "Did you mean 'scan'"),
        ("scan x --mdoe auto", "--mode"),
        ("scan text.txt", "give a Takeout"),
        ("scan results", "give the Takeout that is to be scanned"),
        ("plan results", "give the Takeout that is to be scanned"),
        ("scan nowhere", "give a Takeout"),
        ("verify empty", "takeout-index scan"),
        ("verify nowhere", "-o nowhere makes it"),
        ("report .", "give one of results"),
        ("browse good", "-o DIR makes some"),
        ("export text.txt -o a.csv", "-o DIR makes some"),
        ("demo -o text.txt", "give a folder with -o"),
        ("explain nothing.jpg --in results", "the end of that"),
        ("diff empty results", "give one of these"),
        ("export results -o a.csv --columns modl", "did you mean model"),
        ("doctor empty", "takeout-index scan"),
    ],
)
def test_a_failure_says_what_to_do(places: Path, run: Run, arguments: str, said: str) -> None:
    done = run(*arguments.split(), cwd=places)
    assert done.returncode == 2 and said in done.stderr


def test_an_export_that_does_not_fit_says_what_to_do(places: Path) -> None:
    command = f"ulimit -f 1; exec {shlex.quote(sys.executable)} -m pipeline export results -o large.csv"
    done = subprocess.run(["bash", "-c", command], cwd=places, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "choose another place with -o" in done.stderr


def test_nothing_to_index_is_said(places: Path, tmp_path: Path, run: Run) -> None:
    done = run("scan", "empty", "-o", tmp_path / "out", cwd=places)
    assert done.returncode == 0 and "There are no photos or videos" in done.stdout


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {"COMP_WORDS": "{}", "COMP_CWORD": "{n}"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "{}"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "{}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_shells_complete_commands_options_and_values(run: Run, shell: str, variables: dict[str, str]) -> None:
    def completed(line: str) -> str:
        values = {name: each.format(line, n=line.count(" ")) for name, each in variables.items()}
        return run(env=os.environ | values | {"_TAKEOUT_INDEX_COMPLETE": f"complete_{shell}"}).stdout

    for line, expected in (
        ("takeout-index exp", ["export"]),
        ("takeout-index scan --verify", ["--verify-archives"]),
        ("takeout-index scan --mode ", ["auto", "sequential", "parallel"]),
        ("takeout-index export results --format ", ["parquet", "geoparquet", "csv", "jsonl"]),
        ("takeout-index export results --table ", ["media", "files"]),
    ):
        found = completed(line)
        assert all(each in found for each in expected), (line, found)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_no_table_loses_anything_on_a_narrow_terminal(places: Path, tmp_path: Path, run: Run, columns: int) -> None:
    environment = os.environ | {"COLUMNS": str(columns)}
    plan = run("plan", "bad", env=environment, cwd=places).stdout
    for text in (
        "files",
        "no sidecar",
        "no file",
        "sequential",
        "start-up",
        "memory",
        "unmatched_sidecar",
    ):
        assert text in " ".join(plan.split()), text
    found = json.loads(run("plan", "bad", "--json", cwd=places).stdout)
    for path in found["unmatched_sidecars"][:5]:
        assert path in plan  # whole, to be copied
    difference = run("diff", "results", "good", "--quiet", env=environment, cwd=places).stdout
    for text in ("unchanged", "removed", "album_metadata", "unmatched_sidecar"):
        assert text in difference
    doctor = run("doctor", env=environment, cwd=places).stdout
    assert max(map(len, doctor.splitlines())) <= columns


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_what_is_piped_has_no_colours(places: Path, run: Run, variables: dict[str, str]) -> None:
    done = run("explain", "IMG_1.jpg", "--in", "good", env=os.environ | variables, cwd=places)
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1", "TERM": "dumb"}, False)])
def test_a_dumb_terminal_gets_plain_lines(
    places: Path, tmp_path: Path, variables: dict[str, str], coloured: bool
) -> None:
    environment = os.environ | {"TERM": "xterm-256color"} | variables
    if coloured:
        environment.pop("NO_COLOR", None)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "pipeline", "scan", str(places / "good"), "-o", str(tmp_path / "out")]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    said = os.read(ours, 1 << 16)
    os.close(ours)
    assert (b"\x1b" in said) == coloured and b"found 2 files" in said


@pytest.mark.parametrize(
    "arguments",
    [
        "plan bad",
        "scan bad -o out",
        "verify results",
        "diff results good",
        "explain IMG_1.jpg --in good",
        "export results -o out.csv",
        "doctor",
        "demo -o out --files 20",
    ],
)
def test_json_is_one_object_and_nothing_else(places: Path, tmp_path: Path, run: Run, arguments: str) -> None:
    given: list[Any] = [tmp_path / each if each.startswith("out") else each for each in arguments.split()]
    assert isinstance(json.loads(run(*given, "--json", cwd=places).stdout), dict)
