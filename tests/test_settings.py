"""Settings: precedence, and refusal of what cannot be meant."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.settings import Settings, SettingsError

ROOT = Path(__file__).parent.parent


def test_the_documented_defaults_are_those_of_settings() -> None:
    path = ROOT / "conf/default.toml"
    assert tomllib.loads(path.read_text("utf-8")).keys() == asdict(Settings()).keys()
    assert Settings.load(config=path, environment={}) == Settings()


def test_flag_before_environment_before_file_before_default(tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('threads = 3\nprocesses = 5\nmode = "parallel"\n')
    environment = {"TAKEOUT_INDEX_PROCESSES": "6", "TAKEOUT_INDEX_SHARD_FILES": "7", "TAKEOUT_INDEX_ALL_TAGS": "yes"}
    settings = Settings.load({"shard_files": 8, "threads": None}, file, environment)
    assert settings == Settings(mode="parallel", threads=3, processes=6, shard_files=8, all_tags=True)


def test_dask_names_a_scheduler_unless_we_do() -> None:
    assert Settings.load(environment={"DASK_SCHEDULER_ADDRESS": "tcp://a:1"}).scheduler == "tcp://a:1"
    both = {"DASK_SCHEDULER_ADDRESS": "tcp://a:1", "TAKEOUT_INDEX_SCHEDULER": "tcp://b:2"}
    assert Settings.load(environment=both).scheduler == "tcp://b:2"
    assert Settings.load({"scheduler": "tcp://c:3"}, environment=both).scheduler == "tcp://c:3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed = 3", "unknown setting 'speed'"),
        ('threads = "many"', "threads must be of type int"),
        ("threads = true", "threads must be of type int"),
        ('mode = "fast"', "mode must be"),
        ("threads = -1", "threads must be 0 to"),
        ("threads = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message):
        Settings.load(config=file, environment={})


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        Settings.load(config=Path("/nowhere/my.toml"), environment={})


@pytest.mark.parametrize(
    ("name", "value"),
    [("TAKEOUT_INDEX_THREADS", "4.5"), ("TAKEOUT_INDEX_THREADS", "٤"), ("TAKEOUT_INDEX_ALL_TAGS", "maybe")],
)
def test_a_wrong_variable_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.load(environment={name: value})
