"""`bench`: it measures and predicts, leaves its input as it was, and plan and scan use what it found."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import bench as benching
from pipeline.api import plan
from pipeline.bench import bench
from pipeline.cost import MEASURED, Constants, Run, Survey, fitted, from_mapping, predict, quickest
from pipeline.modes import cores
from pipeline.pictures import can_draw
from pipeline.problems import RunError, UsageError
from pipeline.progress import Silent
from pipeline.sampling import representative, sample_size
from pipeline.settings import Settings, cache_folder
from pipeline.storage.measured import constants_file, keep_constants, kept_constants
from pipeline.summary import print_bench
from pipeline.synthetic import make_library
from tests.conftest import Run as Command
from tests.conftest import write_tree

TRUTH = replace(MEASURED, settling=0.3, listing=0.2, efficiency=0.8, start_s=(0.5, 1.4), stop_s=(0.0, 0.0))
PARALLEL = ("parallel", 8, 4)


def run_of(files: int, setting: tuple[str, int, int], noise: float = 0.0) -> Run:
    """The run that the model with TRUTH says."""
    mode, threads, processes = setting
    workers = processes * TRUTH.efficiency if mode == "parallel" else 1.0
    stages = {
        "list": files * TRUTH.listing / 1000,
        "extract": files * TRUTH.file_ms(3.0) / 1000 / workers + noise,
        "settle": files * TRUTH.settling / 1000,
    }
    operations = {
        "sidecar_read": TRUTH.sidecar_read,
        "sidecar_parse": TRUTH.sidecar_parse,
        "open": TRUTH.exif_read,
        "exif": TRUTH.exif_parse,
        "content_read": TRUTH.crc_read + 3 * TRUTH.read_per_mb,
        "crc32": TRUTH.crc_compute + 3 * TRUTH.crc_per_mb,
        "mime": TRUTH.mime,
        "write": TRUTH.write,
    }
    return Run(
        mode=mode,
        threads=threads,
        processes=processes,
        files=files,
        size=files * 3_000_000,
        seconds=TRUTH.start_s[mode == "parallel"] + sum(stages.values()),
        stages=stages,
        operations={name: each * files / 1000 for name, each in operations.items()},
        memory_mb=TRUTH.base_mb + TRUTH.process_mb * processes + TRUTH.thread_mb * threads
        if mode == "parallel"
        else TRUTH.sequential_mb,
    )


@given(st.integers(500, 5_000), st.integers(6_000, 10**6))
def test_the_model_predicts_the_whole_from_runs_of_two_samples(sample: int, files: int) -> None:
    survey = Survey(files=files, size=files * 3_000_000, stages={"list": files * TRUTH.listing / 1000})
    runs = [run_of(count, each) for count in (sample, sample // 4) for each in (("sequential", 0, 1), PARALLEL)]
    constants = fitted(survey, runs, PARALLEL)
    for mode in ("sequential", "parallel"):
        said, true = (
            predict(files=files, size=survey.size, mode=mode, threads=8, processes=4, constants=each)
            for each in (constants, TRUTH)
        )
        assert said.seconds == pytest.approx(true.seconds, rel=0.01)
        assert said.memory_mb == pytest.approx(true.memory_mb, rel=0.1)


def test_of_runs_alike_the_least_of_every_figure_counts() -> None:
    (best,) = quickest([run_of(100, PARALLEL, noise=0.5), run_of(100, PARALLEL), run_of(100, PARALLEL, 2.0)]).values()
    assert best.stages == run_of(100, PARALLEL).stages


@given(st.lists(st.tuples(st.sampled_from(["jpg", "mp4", "heic"]), st.integers(0, 9)), min_size=1), st.data())
def test_a_sample_has_as_many_of_each_kind_as_its_share(keys: list[tuple[str, int]], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(keys)))
    chosen = representative(keys, count)
    assert len(set(chosen)) == count
    for kind in ("jpg", "mp4", "heic"):
        whole = sum(key[0] == kind for key in keys) * count / len(keys)
        assert abs(sum(keys[position][0] == kind for position in chosen) - whole) <= 1


def test_the_default_sample_is_bounded() -> None:
    assert sample_size(0, 0) == 0
    assert sample_size(1, 50_000_000_000) == 1
    assert sample_size(500_000, 500_000 * 7_700_000) * 7_700_000 <= 3_000_000_000


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One round of each setting."""
    monkeypatch.setattr(benching, "ROUNDS", (1, 1))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "takeout-index"


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.blake2b(path.read_bytes()).hexdigest() + str(path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_bench_measures_both_modes_and_plan_uses_it(
    synthetic: Path, tmp_path: Path, cache: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = contents(synthetic)
    built_in = plan(synthetic)
    assert built_in["measured_at"] is None
    report = bench([str(synthetic)], 200, tmp_path / "report", Settings(), Silent(), longest=0)
    assert contents(synthetic) == before
    assert list(scratch.iterdir()) == []
    assert report["sample"]["files"] == 200
    assert report["measured"]
    assert report["media"] == built_in["media"]
    assert {(run["mode"], run["files"]) for run in report["runs"]} == {
        (mode, files) for mode in ("sequential", "parallel") for files in (50, 200)
    }
    assert set(report["predicted"]) == {"1000", "10000", "100000", "500000"}
    assert len(report["not_measured"]) == len(benching._other_settings(Settings()))
    assert json.loads((tmp_path / "report" / "bench.json").read_text("utf-8"))["runs"] == report["runs"]
    assert (tmp_path / "report" / "bench.svg").is_file() == can_draw()
    kept = constants_file(cache)
    assert {path.stat().st_mode & 0o777 for path in (kept, *(tmp_path / "report").iterdir())} == {0o600}
    assert (tmp_path / "report").stat().st_mode & 0o777 == 0o700
    assert kept_constants(cache, cores()).constants == from_mapping(report["constants"])
    found = plan(synthetic)
    assert found["measured_at"] == report["measured_at"]
    if not report["cache"]["disk_mb_per_s"]:
        assert found["predicted"]["parallel"] == pytest.approx(
            {name: report["this_input"]["parallel"][name] for name in ("seconds", "memory_mb", "bound")}
        )


def test_a_tgz_does_not_make_the_files_of_folders_free(tmp_path: Path, cache: Path, quick: None) -> None:
    make_library(tmp_path / "library", files=220, layout="tgz", image_bytes=3_000, video_bytes=5_000)
    earlier = replace(MEASURED, exif_parse=0.125)
    keep_constants(cache, earlier, cores(), "2024-05-06T07:08:09+00:00", {})
    report = bench([str(tmp_path / "library")], None, tmp_path / "report", Settings(), Silent(), longest=0)
    assert report["constants"]["exif_parse"] < 0.125
    kept = kept_constants(cache, cores()).constants
    assert kept is not None
    assert kept.exif_parse == 0.125
    assert kept.inflate_mb_per_s == report["constants"]["inflate_mb_per_s"] != earlier.inflate_mb_per_s


def test_plan_predicts_from_what_is_kept(synthetic: Path, cache: Path) -> None:
    slow = replace(MEASURED, exif_parse=10_000.0)
    quick = plan(synthetic)["predicted"]["sequential"]["seconds"]
    keep_constants(cache, slow, cores(), "2024-05-06T07:08:09+00:00", {})
    found = plan(synthetic)
    assert found["measured_at"] == "2024-05-06T07:08:09+00:00"
    assert found["predicted"]["sequential"]["seconds"] > quick + 9 * found["media"]
    assert found["mode"] == "parallel" or cores() == 1


def _document(**other: Any) -> str:
    document = {"version": 1, "cores": cores(), "measured_at": "2024-05-06", "of": {}, "constants": asdict(MEASURED)}
    return json.dumps({**document, **other})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "another version"),
        ('{"version": 1}', "cores"),
        (f'{{"version": 1, "cores": {cores()}}}', "no file of this program"),
        (_document(measured_at={"a": 1}), "no file of this program"),
        (_document(measured_at="\x1b[31m"), "Invalid isoformat"),
        (_document(constants={**asdict(MEASURED), "mime": 10**400}), "mime is 1000"),
        (_document(constants={**asdict(MEASURED), "mime": 1e308}), "mime is 1e+308"),
        (_document(constants={**asdict(MEASURED), "start_s": [0, 1e300]}), "start_s is 1e+300"),
        (_document(constants={**asdict(MEASURED), "efficiency": 1e-300}), "efficiency is 1e-300"),
        (_document(constants={**asdict(MEASURED), "mime": "\x1b[31m"}), "mime is '\\x1b[31m'"),
        ("[" * 50_000, "recursion"),
        (_document(version=2), "another version"),
        (_document(cores=cores() + 1), "cores"),
        (_document(constants={"mime": 1.0}), "other constants"),
        (_document(constants={**asdict(MEASURED), "mime": -1}), "mime is -1"),
        (_document(constants={**asdict(MEASURED), "mime": float("nan")}), "mime is nan"),
        (_document(constants={**asdict(MEASURED), "efficiency": 0}), "efficiency is 0"),
        (_document(constants={**asdict(MEASURED), "start_s": 1.0}), "no pair"),
        ("x" * 100_000, "no file of this program"),
    ],
)
def test_constants_that_mean_nothing_are_passed_over_with_a_note(tmp_path: Path, text: str, reason: str) -> None:
    constants_file(tmp_path).write_text(text)
    found = kept_constants(tmp_path, cores())
    assert found.constants is None
    assert found.note is not None
    assert reason in found.note


def test_constants_that_others_can_write_are_passed_over(tmp_path: Path) -> None:
    path = keep_constants(tmp_path, MEASURED, cores(), "2024-05-06T07:08:09+00:00", {})
    assert kept_constants(tmp_path, cores()).constants == MEASURED
    path.chmod(0o666)
    assert "others can write it" in (kept_constants(tmp_path, cores()).note or "")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert kept_constants(tmp_path, cores()).constants is None
    path.unlink()
    os.mkfifo(path)
    assert "no file of this program" in (kept_constants(tmp_path, cores()).note or "")
    path.unlink()
    assert kept_constants(tmp_path, cores()).note is None


def test_the_cache_folder_follows_the_specification() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/a"}) == Path("/a/takeout-index")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "takeout-index"


@pytest.mark.parametrize("sample", [0, -3])
def test_a_sample_of_nothing_is_refused(synthetic: Path, tmp_path: Path, sample: int) -> None:
    with pytest.raises(UsageError, match="--sample"):
        bench([str(synthetic)], sample, tmp_path / "report", Settings(), Silent())


def test_the_report_does_not_go_into_the_input(synthetic: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the input"):
        bench([str(synthetic)], 5, synthetic / "report", Settings(), Silent())


def test_a_library_without_media_has_nothing_to_measure(tmp_path: Path, cache: Path) -> None:
    library = write_tree(tmp_path / "library", {"Takeout/Google Photos/Photos from 2019/notes.txt": b"-"})
    report = bench([str(library)], None, tmp_path / "report", Settings(), Silent())
    assert (report["media"], report["runs"], report["this_input"], report["kept_in"]) == (0, [], None, None)
    assert not cache.exists()


def test_one_photo_is_enough(tmp_path: Path, cache: Path, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    library = write_tree(tmp_path / "library", {"Takeout/Google Photos/Photos from 2019/a.jpg": b"\xff\xd8\xff"})
    report = bench([str(library)], 1_000_000, tmp_path / "report", Settings(), Silent(), longest=0)
    assert report["sample"]["files"] == 1
    assert report["this_input"]["sequential"]["seconds"] > 0
    # What one photo takes says nothing of many: half a million would seem to take no longer.
    assert not report["measured"]
    assert report["kept_in"] is None
    assert not cache.exists()
    kept = {name: value for name, value in report["constants"].items() if not name.endswith("_mb")}
    assert kept.items() <= asdict(MEASURED).items()
    print_bench(report)
    assert "these are the costs built in, and nothing is kept" in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_that_cannot_be_written_is_refused_at_once(synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(UsageError, match="is not writable"):
        bench([str(synthetic)], 5, tmp_path / "closed" / "report", Settings(), Silent())


def test_a_report_below_a_file_is_refused_at_once(synthetic: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "report"):
        with pytest.raises(UsageError, match="is no folder"):
            bench([str(synthetic)], 5, output, Settings(), Silent())


def test_nothing_is_kept_of_files_that_are_gone(tmp_path: Path, cache: Path, quick: None) -> None:
    library = write_tree(
        tmp_path / "library", {f"Takeout/Google Photos/Photos from 2019/{n}.jpg": b"\xff\xd8" for n in range(8)}
    )

    class Unmounting(Silent):
        """The files go when all is listed."""

        def step(self, line: str) -> None:
            if line.startswith("round"):
                for path in library.rglob("*.jpg"):
                    path.unlink()

    with pytest.raises(RunError, match="8 of 8 files of the sample cannot be read"):
        bench([str(library)], None, tmp_path / "report", Settings(), Unmounting(), longest=0)
    assert not cache.exists()


def test_ctrl_c_leaves_nothing_behind(synthetic: Path, tmp_path: Path, no_leftovers: None) -> None:
    scratch = Path(
        tempfile.mkdtemp()
    )  # a short path: the fork server has a socket there, whose path has 108 bytes at most
    environment = {**os.environ, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "bench", str(synthetic), "-o", str(tmp_path / "report")],
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    with process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "parallel" in line or "processes" in line or "process with" in line:
                break
        process.send_signal(signal.SIGINT)
        said += process.stderr.read()
    assert process.returncode == 130, said
    assert "interrupted: nothing was kept" in said
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "report").exists()


def test_bench_prints_its_tables(run: Command, synthetic: Path, tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library", {"Takeout/a.txt": b"-"})
    done = run("bench", library, "--quiet", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["media"] == 0
    assert "nothing to measure" in run("bench", library, "--quiet").stdout
    assert run("bench", library, "--sample", "0").returncode == 2
    assert run("bench", tmp_path / "nowhere").returncode == 2


def test_the_constants_can_be_printed_as_python() -> None:
    from pipeline.cost import source

    assert eval(source(MEASURED), {"Constants": Constants}) == MEASURED
