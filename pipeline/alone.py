"""Items alone: those that a process was working on when it died, one by one, each in a process that it can end.

`work_alone` starts a process of its own, `main`, which has no threads and can be forked. What dies there is tried again with
less, so that the row of a file that kills its readers says all that can be known: its sidecar's, its CRC-32.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.first import make_first_row
from pipeline.forked import DiedError, Forked
from pipeline.item import MediaItem
from pipeline.limits import Limits, die_with, limited
from pipeline.problems import RunError, death
from pipeline.stages import extract, make_rows, read_sidecars, with_sidecar
from pipeline.storage.library import Library
from pipeline.storage.manifest import ShardRef, read_items
from pipeline.storage.shards import ShardDone, write_shard

#: What is done with an item: everything, no metadata, no content, all but the sidecar, as that may be the poison, nothing.
ALL, CONTENT, SIDECAR, MEDIUM, NOTHING = range(5)
#: How often the process is started that others cannot end by what they read, and something ends it.
STARTS = 5
#: What that does. As lean as a worker: pandas and numpy, which pyarrow would import, would take longer than the rest.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pipeline.lean import make_lean
make_lean()
from pipeline.alone import main
main(int(sys.argv[2]))
"""
#: Bytes of a second that reading has at the least, before it is cut off however it progresses.
SLOWEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """What has to be known to work on items."""

    library: Library
    shards: str
    all_tags: bool
    verify: bool
    limits: Limits


def work_alone(reference: ShardRef, manifest: str, task: Task) -> list[ShardDone]:
    """Work on the items of the shard that are to be worked on alone. Each is a shard of its own then."""
    items = read_items(reference._replace(left_out=()), manifest)
    mine = [items[at]._replace(shard=f"{reference.name}-{at}") for at in reference.alone]
    root = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", PROGRAM, root, str(os.getpid())]
    for _ in range(STARTS):
        done = subprocess.run(
            command,
            input=pickle.dumps((mine, task)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode == 0 and done.stdout:
            answer: list[ShardDone] | BaseException = pickle.loads(done.stdout)
            if isinstance(answer, BaseException):
                raise answer
            return answer
    raise RunError(f"a process that works on files alone does not stay (status {done.returncode}): is memory short?")


def main(parent: int) -> None:
    """What the process does that `work_alone` starts: items come on stdin, what was done goes to stdout."""
    die_with(parent)
    make_first_row()  # or each reader that is forked anew would
    answers = os.dup(1)  # readers may write to the other
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    items, task = pickle.load(sys.stdin.buffer)
    answer: list[ShardDone] | BaseException
    try:
        answer = rows_alone(items, task)
    except BaseException as error:
        answer = error
    with open(answers, "wb") as file:
        pickle.dump(answer, file)
    os._exit(0)


def rows_alone(items: Sequence[MediaItem], task: Task) -> list[ShardDone]:
    """Each item's row, written as a shard, whatever happens to the processes that read it."""
    trace = os.memfd_create("trace")
    done = []
    with Forked(lambda asked: _work(asked[0], asked[1], task, trace)) as reader:
        for item in items:
            done.append(_row_alone(item, reader, task, trace))
    return done


def _row_alone(item: MediaItem, reader: Forked, task: Task, trace: int) -> ShardDone:
    seconds = 4 * task.limits.seconds + item.media.size / SLOWEST if task.limits.seconds else None
    spared = False
    depth = ALL
    while depth < NOTHING:
        try:
            return reader.call((item, depth), seconds)
        except DiedError as error:
            if error.killed and not spared:  # once may be somebody else's doing
                spared = True
                continue
            timed_out = os.fstat(trace).st_size > 0 or str(error) == "no answer"
            problem = death("too_slow" if timed_out else "crashed", str(error), task.limits.seconds)
            os.ftruncate(trace, 0)
        except MemoryError:
            problem = death("too_much_memory")
        if depth == ALL:
            item = item._replace(problems=(*item.problems, problem))
        depth += 1
    return _work(item, NOTHING, task, trace)


def _work(item: MediaItem, depth: int, task: Task, trace: int) -> ShardDone:
    limits = task.limits if depth < NOTHING else Limits()
    with limited(limits, trace):
        if depth < SIDECAR:
            (opened,) = read_sidecars([item], task.library, 0)
            item = extract(opened, task.all_tags, task.verify, depth == ALL)
        elif depth == SIDECAR:
            item = with_sidecar(item, task.library)
        elif depth == MEDIUM:
            (opened,) = read_sidecars([item._replace(sidecar=None)], task.library, 0)
            item = extract(opened, task.all_tags, task.verify)._replace(sidecar=item.sidecar)
        row = make_rows(item)
    (done,) = write_shard([row], task.shards)
    return done
