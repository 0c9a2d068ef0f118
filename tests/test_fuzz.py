"""A share of the hostile files that `make fuzz` makes, through the real extraction."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_hostile_files_end_in_rows(tmp_path: Path) -> None:
    failures = tmp_path / "failures"
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--seed",
        "0",
        "--cases",
        "1500",
        "--slow",
        "inf",
        "--failures",
        str(failures),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not failures.exists()
