"""Puts hostile files through the real extraction: ``python -m tests.fuzz --seed 1 --cases 100000``.

A child process for each processor does the work, so that nothing that a file does ends the run: what crashes or hangs its child
is a failure, and another child goes on behind it. A failure leaves the file, and a line that makes it again, in a folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from pipeline.lean import make_lean
from tests.fuzz.cases import Case, Cases
from tests.fuzz.seeds import make_seeds

#: Seconds after which a case hangs, and of processor time from which it is too slow.
HANGS, SLOW = 20, 0.5
#: Bytes that a child may allocate beyond what it has when it begins.
MEMORY = 384 << 20
#: Cases that are handed out, whose rows are written, at once; of every so many such, the rows are entered in an index as well.
BATCH, INDEXED = 250, 4
#: And of every so many the files are scanned, as a library of folders and archives.
SCANNED = 16
#: Slowest cases that are told.
TOLD = 10


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="one case alone, by its number")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder of files that fail")
    parser.add_argument("--slow", type=float, default=SLOW, help="seconds of processor time from which a case fails")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return _work(given.seed, given.child, given.slow)
    numbers = range(given.first, given.first + given.cases) if given.only is None else range(given.only, given.only + 1)
    with tempfile.TemporaryDirectory() as folder:
        make_seeds(Path(folder))
        return _Run(given.seed, given.slow, Path(folder), given.failures).run(numbers, given.processes)


class _Run:
    """The parent: hands out numbers, gathers what became of them."""

    def __init__(self, seed: int, slow: float, folder: Path, failures: Path) -> None:
        self._seed, self._slow, self._folder, self._failures = seed, slow, folder, failures
        self._cases = Cases(seed, folder)
        self._waiting: SimpleQueue[range] = SimpleQueue()
        self._slowest: list[tuple[float, int]] = []
        self._outcomes: Counter[str] = Counter()
        self._peak = self._rows = self._done = self._failed = self._told = 0

    def run(self, numbers: range, processes: int) -> int:
        started = time.monotonic()
        for start in range(numbers.start, numbers.stop, BATCH):
            self._waiting.put(range(start, min(start + BATCH, numbers.stop)))
        with ThreadPoolExecutor(processes) as pool:
            for child in [pool.submit(self._drive, number) for number in range(processes)]:
                child.result()
        seconds = time.monotonic() - started
        print(
            f"{self._done:,} cases, {self._rows:,} rows in {seconds:.0f} s; peak memory of a child {self._peak >> 20} MB"
        )
        for kind, count in self._outcomes.most_common():
            print(f"{count:9,} {kind}")
        print(
            "slowest:",
            ", ".join(f"{each:.3f} s case {number}" for each, number in sorted(self._slowest)[: -TOLD - 1 : -1]),
        )
        print(f"{self._failed} failures" + (f", in {self._failures}" if self._failed else ""))
        if self._done != len(numbers):
            print(f"{len(numbers) - self._done} cases are not accounted for")
        return bool(self._failed or self._done != len(numbers))

    def _drive(self, number: int) -> None:
        """Keep one child at work until no numbers are left."""
        folder = self._folder / f"child-{number}"
        folder.mkdir()
        child = None
        while True:
            try:
                numbers = self._waiting.get_nowait()
            except Empty:
                break
            while numbers:
                child = child or self._start(folder)
                assert child.stdin is not None and child.stdout is not None
                try:
                    child.stdin.write(f"{numbers.start} {numbers.stop}\n")
                    child.stdin.flush()
                except BrokenPipeError:
                    pass
                if answer := child.stdout.readline():
                    self._take(json.loads(answer), len(numbers))
                    break
                at = int((folder / "at").read_text() or numbers.start)
                at = at if at in numbers else numbers.start  # it ended before its first case
                said = (folder / "said").read_text("utf-8", "replace")[-3000:]
                self._fail(at, f"the process ended with status {child.wait()}: {said}")
                child = None
                # What came before it is done again, for its rows.
                for part in (range(numbers.start, at), range(at + 1, numbers.stop)):
                    if part:
                        self._waiting.put(part)
                self._done += 1
                break
        if child is not None:
            child.communicate()

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fuzz", "--seed", str(self._seed), "--slow", str(self._slow)]
        command += ["--child", str(folder)]
        (folder / "at").write_text("")
        with (folder / "said").open("w") as said:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)

    def _take(self, answer: dict[str, Any], cases: int) -> None:
        self._done += cases
        self._rows += answer["rows"]
        self._peak = max(self._peak, answer["peak"])
        self._outcomes.update(answer["outcomes"])
        self._slowest = sorted([*self._slowest, *map(tuple, answer["slowest"])])[-TOLD:]
        for number, reason in answer["failures"]:
            self._fail(number, reason)
        if self._done - self._told >= 5000:
            self._told = self._done
            print(f"{self._done:,} cases, {self._failed} failures", file=sys.stderr, flush=True)

    def _fail(self, number: int, reason: str) -> None:
        self._failed += 1
        self._failures.mkdir(exist_ok=True)
        case = self._cases[number]
        (self._failures / f"{self._seed}-{case.group}-{case.name}").write_bytes(case.data)
        with (self._failures / "failures.txt").open("a") as file:
            file.write(f"python -m tests.fuzz --seed {self._seed} --only {number}  # {case.group}: {reason.strip()}\n")
        print(f"case {number}, {case.group}: {reason.strip()[-600:]}", file=sys.stderr, flush=True)


def _work(seed: int, folder: Path, slow: float) -> int:
    """The child: numbers in, one line of what became of them out."""
    make_lean()  # as workers are; Arrow's own allocator would reserve more than the limit
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    cases = Cases(seed, folder.parent)
    descriptor = os.open(folder / "at", os.O_WRONLY)
    _limit_memory()
    for batch, line in enumerate(sys.stdin):
        answer = _do_batch(cases, range(*map(int, line.split())), folder, descriptor, batch, slow)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _limit_memory() -> None:
    with open("/proc/self/status") as file:
        used = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, used + MEMORY))


def _do_batch(made: Cases, numbers: range, above: Path, descriptor: int, batch: int, slow: float) -> dict[str, Any]:
    from tests.fuzz.road import rows_of, scan_all, store, write_case

    failures: list[tuple[int, str]] = []
    outcomes: Counter[str] = Counter()
    slowest: list[tuple[float, int]] = []
    rows: dict[int, list[Any]] = {}
    cases: list[Case] = []
    with tempfile.TemporaryDirectory(dir=above) as name:
        folder = Path(name)
        for number in numbers:
            with _watched(descriptor, number, sys.stderr):
                case = made[number]
                cases.append(case)
                write_case(case, folder)
                started = time.process_time()
                try:
                    rows[case.number] = rows_of(case, folder)
                except Exception as error:
                    failures.append((case.number, _told(error)))
                spent = time.process_time() - started
            slowest.append((spent, case.number))
            if spent > slow:
                failures.append((case.number, f"takes {spent:.2f} s"))
            outcomes.update(_outcomes(case, rows.get(case.number, [])))
        every = [row for each in rows.values() for row in each]
        try:
            store(every, folder, index=batch % INDEXED == 0)
        except Exception as error:
            found = list(_not_stored(rows, folder))
            failures.extend(found or [(cases[0].number, f"the rows of this and the following cases: {_told(error)}")])
        if batch % SCANNED == 0:
            try:
                scan_all(cases, folder)
            except Exception as error:
                failures.append(
                    (cases[0].number, f"the scan of this and the {len(cases) - 1} cases behind it: {_told(error)}")
                )
    return {
        "rows": len(every),
        "failures": failures,
        "outcomes": outcomes,
        "slowest": sorted(slowest)[-TOLD:],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    }


def _not_stored(rows: dict[int, list[Any]], folder: Path) -> Iterator[tuple[int, str]]:
    """The cases whose rows cannot be stored."""
    from tests.fuzz.road import store

    for number, each in rows.items():
        try:
            store(each, folder, index=True)
        except Exception as error:
            yield number, f"its rows cannot be stored: {_told(error)}"


class _watched:  # noqa: N801
    """Ends this process if the block hangs; its number is where the parent looks for it."""

    def __init__(self, descriptor: int, number: int, said: IO[str]) -> None:
        os.pwrite(descriptor, b"%-12d" % number, 0)
        self._said = said

    def __enter__(self) -> None:
        faulthandler.dump_traceback_later(HANGS, exit=True, file=self._said)

    def __exit__(self, *_: object) -> None:
        faulthandler.cancel_dump_traceback_later()


def _told(error: Exception) -> str:
    """Kind and words of an error, and where in our code it was."""
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)[:300]}"


def _outcomes(case: Case, rows: list[Any]) -> Iterator[str]:
    """What became of a case, by kinds of problems; what libraries raise, which says most about readers, by its name."""
    for row, _, _ in rows:
        yield f"{case.group} {row['status']}"
        for problem in row["problems"]:
            what = problem["message"].partition(":")[0] if problem["kind"] == "damaged" else ""
            if what.isidentifier() and what[0].isupper():
                yield f"{problem['stage']} {what}"


if __name__ == "__main__":
    sys.exit(main())
