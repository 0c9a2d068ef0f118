"""What would a scan of a hundred million files take, on ten or a thousand workers, what would it cost, and what limits it?

A model of flows: every resource that a scan really has (the driver, which is one process; the scheduler; the workers; the
store with its requests and its bandwidth) is busy for so many seconds, and a stage takes as long as its busiest one. What a
file costs is measured (`measured.toml`, by `python -m benchmarks.millions`); what stores, networks and hours cost are the
assumptions of PLACES. `by_events` goes through the same extraction shard by shard, with stragglers and dying workers, to see
what the flows leave out.

python -m benchmarks.scale_model [--place bucket] [--photos 50000000] [--workers 10 100 1000] [--check]
python -m benchmarks.scale_model --docs     renews the tables and the picture of docs/scale.md
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import cost

MEASURED = Path(__file__).parent / "measured.toml"
DOCS = Path(__file__).parent.parent / "docs" / "scale.md"
MB, GB = 1e6, 1e9
#: Listed files for each photo or video, which nearly all have a sidecar: 50 million photos are 100 million files.
LISTED = 2.0
SIZES, WORKERS = (500_000, 5_000_000, 50_000_000), (1, 10, 100, 1000)


#: Of a run, without those that are a part of others.
_STAGES = (
    *("archives", "list", "pair", "earlier", "plan", "start", "take over"),
    *("extract", "settle", "places", "write", "compare", "publish"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What things cost here: microseconds of one processor, bytes. Those of the driver are of its one process."""

    walk_us: float  # a listed file
    pair_us: float
    plan_us: float  # a photo, from here on
    insert_us: float
    settle_us: float
    places_us: float
    write_us: float
    task_us: float  # a shard: what the driver does for it
    scheduler_us: float  # and the scheduler, where that is a process of its own
    start_s: float
    worker_us: float
    worker_shard_us: float
    warm_s: float = 0.0  # a worker's first task, which imports what reads files
    read_us_per_mb: float = 0.0  # what else a photo's bytes cost a worker: to read them and compute their CRC-32
    base_mb: float = 0.0
    bytes_per_file: float = 0.0
    settle_mb: float = 0.0
    manifest_bytes: float = 0.0
    shard_bytes: float = 0.0
    sqlite_bytes: float = 0.0
    parquet_bytes: float = 0.0

    @classmethod
    def measured(cls, found: Mapping[str, Any]) -> Costs:
        """Those of `measured.toml`, of folders; the scheduler takes its half of what is measured where it is in the driver."""
        driver, worker, size = found["driver"], found["worker"], found["bytes"]
        memory = driver["memory"]
        return cls(
            walk_us=driver["walk_folder_us_per_file"],
            pair_us=driver["pair_us_per_file"],
            plan_us=driver["plan_us_per_photo"],
            insert_us=driver["insert_us_per_photo"],
            settle_us=driver["settle_us_per_photo"],
            places_us=driver["places_us_per_photo"],
            write_us=driver["write_us_per_photo"],
            task_us=driver["task_us"] / 2,
            scheduler_us=driver["task_us"] / 2,
            start_s=driver["start_s"],
            worker_us=worker["us_per_photo"],
            worker_shard_us=worker["ms_per_shard"] * 1000,
            read_us_per_mb=1000 * (cost.MEASURED.read_per_mb + cost.MEASURED.crc_per_mb),
            base_mb=memory["base_mb"],
            bytes_per_file=memory["bytes_per_file"],
            settle_mb=memory["settle_mb"],
            manifest_bytes=size["manifest"],
            shard_bytes=size["shard"],
            sqlite_bytes=size["sqlite"],
            parquet_bytes=size["parquet"] + LISTED * size["files_parquet"],
        )

    @classmethod
    def of_run(cls, report: Mapping[str, Any], warm_s: float = 0.0) -> Costs:
        """Those that the stages of one real scan by one worker show, by the clock (`run.json`), of which it took `warm_s` for
        its imports.

        What its shards cost by themselves is in what the photos of it do, and its scheduler was not looked at.
        """
        stages, photos, listed = report["stages"], max(report["media"], 1), max(report["listed"], 1)

        inside = "index while extracting"  # a part of extraction

        def each(count: int, *names: str) -> float:
            return 1e6 * float(sum(stages.get(name, 0.0) for name in names)) / count

        return cls(
            walk_us=each(listed, "archives", "list"),
            pair_us=each(listed, "pair"),
            plan_us=each(photos, "earlier", "plan", "start", "take over"),
            insert_us=each(photos, inside),
            settle_us=each(photos, "settle"),
            places_us=each(photos, "places"),
            write_us=each(photos, "write", "compare", "publish"),
            task_us=0.0,
            scheduler_us=0.0,
            start_s=stages["total"] - sum(stages.get(name, 0.0) for name in _STAGES),  # and what else there is
            worker_us=max(each(photos, "extract") - 1e6 * warm_s / photos, 0.0),
            worker_shard_us=0.0,
            warm_s=warm_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a library lies and workers run: what is assumed of it. Prices in US dollars; 0 for what one owns."""

    requests: float  # for a photo with its sidecar, by a worker
    read_bytes: float  # of the store, for a photo with its sidecar
    latency_s: float = 0.0  # of a request
    threads: int = 1  # that wait at the same time, in each worker
    request_us: float = 0.0  # of a worker's processor, for asking and answer
    worker_bytes_per_s: float = math.inf  # that reach one worker
    requests_per_s: float = math.inf  # that the store answers
    bytes_per_s: float = math.inf  # that the store, or the network in between, delivers
    driver_bytes_per_s: float = math.inf  # between the driver and where shards and results lie
    driver_latency_s: float = 0.0  # of what the driver asks for: each shard
    walk_us: float | None = None  # for a listed file, if not that of folders on a disk of one's own
    shard_photos: int = 2_000
    worker_start_s: float = 0.0  # until the first works, after all has been planned
    slowest: float = 1.0  # shard, in relation to the mean
    deaths_per_hour: float = 0.0  # of each worker
    restart_s: float = 0.0  # until another takes its place
    cores: float = math.inf  # that driver and workers share, where all are on one machine
    worker_price: float = 0.0  # an hour
    driver_price: float = 0.0
    price_per_1000: float = 0.0  # requests
    price_per_gb: float = 0.0  # that leave the store


#: A zip's directory is read at once, and states each file's CRC-32: of a photo 64 kB are read, of a video its index.
_ZIP_BYTES, _ZIP_REQUESTS = 80e3, 2.1
#: In folders every byte is read, for the CRC-32: 90 % photos of 3 MB, 10 % videos of 50 MB.
_FOLDER_BYTES, _FOLDER_REQUESTS = 7.7e6, 2.0

PLACES: dict[str, Place] = {
    # Zips on a NAS, whose disks turn: some hundred seeks a second, and 10 Gbit/s.
    "nas": Place(
        requests=_ZIP_REQUESTS,
        read_bytes=_ZIP_BYTES,
        latency_s=0.008,
        threads=8,
        requests_per_s=600,
        worker_bytes_per_s=0.11e9,
        bytes_per_s=1.1e9,
        driver_bytes_per_s=0.11e9,
        walk_us=5.5,
        shard_photos=500,
        worker_start_s=5,
        slowest=1.5,
        deaths_per_hour=0.001,
        restart_s=30,
    ),
    # Folders on the parallel file system of an institute; hours are worth what electricity and machine are.
    "cluster": Place(
        requests=_FOLDER_REQUESTS,
        read_bytes=_FOLDER_BYTES,
        latency_s=0.001,
        threads=8,
        requests_per_s=50_000,
        worker_bytes_per_s=0.3e9,
        bytes_per_s=20e9,
        driver_bytes_per_s=1e9,
        walk_us=100.0,  # what lies behind a network is asked for one after the other
        worker_start_s=60,
        slowest=2.0,
        deaths_per_hour=0.005,
        restart_s=60,
        worker_price=0.01,
        driver_price=0.05,
    ),
    # Zips in a bucket, all under one prefix; workers in its region, of the kind that may be taken away.
    "bucket": Place(
        requests=_ZIP_REQUESTS,
        read_bytes=_ZIP_BYTES,
        latency_s=0.030,
        threads=32,
        request_us=1000.0,  # measured: 8 threads, addresses signed once, without TLS, with what else waking a thread costs
        requests_per_s=5_500,
        worker_bytes_per_s=0.1e9,
        bytes_per_s=50e9,
        driver_bytes_per_s=0.6e9,
        driver_latency_s=0.030,
        walk_us=5.5,
        worker_start_s=90,
        slowest=2.0,
        deaths_per_hour=0.05,
        restart_s=120,
        worker_price=0.02,
        driver_price=0.40,
        price_per_1000=0.0004,
    ),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds by stage, seconds that each resource is busy, dollars, and what the driver needs."""

    stages: dict[str, float]
    busy: dict[str, float]  # none of them is busy for longer than the run takes
    price: float
    idle_price: float  # of that, for workers that have nothing to do
    memory_mb: float
    disk_gb: float

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return sum(self.stages.values())

    @property
    def bottleneck(self) -> str:
        """The resource that is busy for longest: more of all others makes it no faster than that."""
        return max(self.busy, key=lambda name: self.busy[name])


def predict(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    """A scan of so many photos, each with a sidecar, by so many workers of one process.

    >>> from dataclasses import fields
    >>> nothing = Costs(**{each.name: 0.0 for each in fields(Costs)})
    >>> predict(1000, 10, Place(requests=2, read_bytes=0, requests_per_s=100), nothing).seconds
    20.0
    """
    listed, shards = photos * LISTED, math.ceil(photos / place.shard_photos)
    walk_us = costs.walk_us if place.walk_us is None else place.walk_us
    at_work = max(1, min(workers, shards))
    requests, read = photos * place.requests, photos * place.read_bytes
    computing, work = _of_workers(photos, shards, place, costs)
    # A death costs half a shard on average, and the worker until another is there.
    lost = place.deaths_per_hour / 3600 * (work / max(shards, 1) / 2 + place.restart_s)
    work *= 1 + lost
    moved = photos * costs.shard_bytes / place.driver_bytes_per_s + shards * place.driver_latency_s
    inserting = (photos * costs.insert_us + shards * costs.task_us) / 1e6 + moved
    store = {
        "requests of the store": requests / place.requests_per_s,
        "bandwidth of the store": read / place.bytes_per_s,
        "scheduler": shards * costs.scheduler_us / 1e6,
    }
    # The last shard is waited for by all others: no more than that, in whatever order (Graham's bound).
    last = min(work / max(shards, 1) * place.slowest, work)
    in_turn = last + (work - last) / at_work
    processors = (computing + inserting + workers * costs.warm_s) / place.cores
    extracting = max(in_turn + costs.warm_s, inserting, *store.values(), processors)
    results = photos * (costs.sqlite_bytes + costs.parquet_bytes)
    stages = {
        "start": costs.start_s,
        "list": listed * walk_us / 1e6,
        "pair": listed * costs.pair_us / 1e6,
        "plan": photos * costs.plan_us / 1e6,
        "start of workers": place.worker_start_s if photos else 0.0,
        "extract": extracting,
        "settle": photos * (costs.settle_us + costs.places_us) / 1e6,
        "write": photos * costs.write_us / 1e6,
        "publish": results / place.driver_bytes_per_s,
    }
    alone = sum(seconds for name, seconds in stages.items() if name not in ("extract", "start of workers"))
    hours = sum(stages.values()) / 3600
    of_workers = workers * place.worker_price * hours
    return Prediction(
        stages=stages,
        busy={"driver": alone + inserting, "workers": work / at_work, **store},
        price=of_workers
        + hours * place.driver_price
        + requests / 1000 * place.price_per_1000
        + read / GB * place.price_per_gb,
        idle_price=max(of_workers - work / 3600 * place.worker_price, 0.0),
        memory_mb=costs.base_mb + max(listed * costs.bytes_per_file / MB, costs.settle_mb),
        disk_gb=photos * (costs.manifest_bytes + costs.shard_bytes + costs.sqlite_bytes + costs.parquet_bytes) / GB,
    )


def _of_workers(photos: float, shards: float, place: Place, costs: Costs) -> tuple[float, float]:
    """Seconds that workers compute for so much, and that they need for it in all: threads ask ahead while one computes, so that
    of computing, waiting and receiving the longest counts."""
    bytes_us = place.read_bytes / MB * costs.read_us_per_mb
    each_us = costs.worker_us + place.requests * place.request_us + bytes_us
    computing = (photos * each_us + shards * costs.worker_shard_us) / 1e6
    waiting = photos * place.requests * place.latency_s / place.threads
    return computing, max(computing, waiting, photos * place.read_bytes / place.worker_bytes_per_s)


def by_events(photos: int, workers: int, place: Place, costs: Costs, seed: int = 0) -> float:
    """Seconds of the extraction alone, shard by shard: workers take the next, some are slow, some die over one, which is done
    again; the store serves, and the driver takes in, one after the other."""
    chance = random.Random(seed)
    shards = math.ceil(photos / place.shard_photos)
    each = photos / max(shards, 1)
    _, mean = _of_workers(each, 1, place, costs)
    serving = max(each * place.requests / place.requests_per_s, each * place.read_bytes / place.bytes_per_s)
    taking = (each * costs.insert_us + costs.task_us) / 1e6 + place.driver_latency_s
    taking += each * costs.shard_bytes / place.driver_bytes_per_s
    # As many faster as slower ones, up to the slowest.
    spread = place.slowest - 1
    free = [0.0] * min(workers, max(shards, 1))
    store = driver = scheduler = 0.0
    again = shards
    while again:
        again -= 1
        scheduler += costs.scheduler_us / 1e6
        begun = max(heapq.heappop(free), scheduler)
        takes = mean * (1 + spread * chance.uniform(-1, 1))
        if chance.random() < takes * place.deaths_per_hour / 3600:
            again += 1
            heapq.heappush(free, begun + takes * chance.random() + place.restart_s)
            continue
        store = max(store, begun) + serving
        done = max(begun + takes, store)
        heapq.heappush(free, done)
        driver = max(driver, done) + taking
    return driver


def _as_it_is(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    return predict(photos, workers, place, costs)


def _spread(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    return predict(photos, workers, _times_ten(place), costs)


def _times_ten(place: Place) -> Place:
    return replace(place, requests_per_s=10 * place.requests_per_s, bytes_per_s=10 * place.bytes_per_s)


def _ten_drivers(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    """Each with a tenth of workers, store and library, and all that a row costs the driver once more for the index of all."""
    each = predict(math.ceil(photos / 10), max(workers // 10, 1), place, costs)
    merging = photos * (costs.insert_us + costs.settle_us + costs.places_us + costs.write_us) / 1e6
    return replace(each, stages=each.stages | {"merge": merging}, busy=each.busy | {"merge": merging})


def _planned_by_workers(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    walk_us = costs.walk_us if place.walk_us is None else place.walk_us
    costs = replace(costs, pair_us=costs.pair_us / workers, plan_us=costs.plan_us / workers)
    return _spread(photos, workers, replace(place, walk_us=walk_us / workers), costs)


def _parquet_alone(photos: int, workers: int, place: Place, costs: Costs) -> Prediction:
    shared = {name: getattr(costs, name) / workers for name in ("settle_us", "places_us", "write_us")}
    none = {"insert_us": 0.0, "shard_bytes": 0.0, "sqlite_bytes": 0.0}
    return _planned_by_workers(photos, workers, place, replace(costs, **shared, **none))


#: What could be changed. Only the first three can be had with what there is.
CHANGES: dict[str, Callable[[int, int, Place, Costs], Prediction]] = {
    "as it is": _as_it_is,
    "a store ten times as fast": _spread,
    "that, and ten drivers, merged": _ten_drivers,
    "that, and one driver, but workers list, pair and plan": _planned_by_workers,
    "that, and settle by key, and write; no SQLite": _parquet_alone,
}


def table(place: str, sizes: Sequence[int], workers: Sequence[int], costs: Costs) -> Iterator[str]:
    """Lines of Markdown: time, cost, limits and needs by size and workers."""
    yield "| files | workers | time | speed-up | busiest, of the time | cost | of it idle | driver's memory, disk |"
    yield "|---|---|---|---|---|---|---|---|"
    for photos in sizes:
        one = predict(photos, 1, PLACES[place], costs).seconds
        for count in workers:
            found = predict(photos, count, PLACES[place], costs)
            speed_up = one / found.seconds
            yield (
                f"| {photos * LISTED:,.0f} | {count:,} | {duration(found.seconds)} | {speed_up:.1f} ({speed_up / count:.0%}) | "
                f"{found.bottleneck}, {found.busy[found.bottleneck] / found.seconds:.0%} | ${found.price:,.2f} | "
                f"${found.idle_price:,.2f} | {found.memory_mb / 1000:.1f} GB, {found.disk_gb:,.0f} GB |"
            )


def changes(place: str, photos: int, workers: Sequence[int], costs: Costs) -> Iterator[str]:
    """Lines of Markdown: what each change would do."""
    yield "| change | " + " | ".join(f"{count:,} workers" for count in workers) + " |"
    yield "|---|" + "---|" * len(workers)
    for name, change in CHANGES.items():
        found = [change(photos, count, PLACES[place], costs) for count in workers]
        yield f"| {name} | " + " | ".join(f"{duration(each.seconds)} ({each.bottleneck})" for each in found) + " |"


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(5.25), duration(600), duration(9000), duration(2e6)
    ('5.2 s', '10 min', '2.5 h', '23 days')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def draw(places: Sequence[str], sizes: Sequence[int], costs: Costs, path: Path) -> None:
    """A picture of time by workers, a line for each size; where another resource becomes the busiest, it says so."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    counts = sorted({round(10 ** (step / 8)) for step in range(25)})
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "scale"}
    with rc_context(style | {"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9.5, 4.4), layout="constrained")
        for place, axes in zip(places, figure.subplots(1, len(places), sharey=True, squeeze=False)[0], strict=True):
            for photos, colour in zip(sizes, ("#0b6e99", "#b0562b", "#1f2937"), strict=False):
                found = [predict(photos, count, PLACES[place], costs) for count in counts]
                hours = [each.seconds / 3600 for each in found]
                axes.loglog(counts, hours, color=colour, label=f"{photos * LISTED / 1e6:,.0f} million files")
                for before, at, count, hour in zip(found, found[1:], counts[1:], hours[1:], strict=False):
                    if before.bottleneck != at.bottleneck:
                        axes.plot([count], [hour], "o", color=colour, markersize=4)
                        axes.annotate(
                            at.bottleneck, (count, hour), (5, 5), textcoords="offset points", color=colour, fontsize=8
                        )
            axes.set_title(place)
            axes.set_xlabel("workers")
            axes.grid(color="#e5e7eb")
        figure.axes[0].set_ylabel("hours")
        figure.axes[-1].legend(frameon=False, fontsize=9)
        figure.savefig(path, format="svg", metadata={"Date": None}, facecolor="white")


#: A table in the documentation: what it is of, and its lines.
_SHOWN = re.compile(r"(?<=<!-- scale: )(?P<of>[a-z]+ (?P<place>[a-z]+)) -->\n.*?(?=<!-- end -->)", re.S)


def renewed(page: str, costs: Costs) -> str:
    """The page of documentation with its tables as they are now."""

    def made(found: re.Match[str]) -> str:
        kind, place = found["of"].split()
        lines = (
            table(place, SIZES, WORKERS, costs) if kind == "table" else changes(place, SIZES[-1], WORKERS[1:], costs)
        )
        return "\n".join([f"{found['of']} -->\n", *lines, "\n"])

    return _SHOWN.sub(made, page)


# Against real runs


@contextmanager
def _cluster(workers: int) -> Iterator[tuple[str, subprocess.Popen[str], list[subprocess.Popen[str]]]]:
    """A scheduler and so many workers on loopback, as processes; gives its address and them."""
    own = [sys.executable, "-m", "dask"]
    listening = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    with ExitStack() as opened:

        def start(until: str, *command: str) -> tuple[str, subprocess.Popen[str]]:
            process = subprocess.Popen([*own, *command, *listening], stderr=subprocess.PIPE, text=True)
            opened.callback(process.wait)
            opened.callback(process.terminate)
            assert process.stderr is not None
            return next(line for line in process.stderr if until in line), process

        said, scheduler = start("Scheduler at:", "scheduler", "--port", "0")
        own_options = ("--nthreads", "1", "--no-nanny", "--death-timeout", "60")
        started = [start("Registered to:", "worker", said.split()[-1], *own_options)[1] for _ in range(workers)]
        yield said.split()[-1], scheduler, started


def check(folder: Path, photos: int, counts: Sequence[int], shard_photos: int, rounds: int) -> Iterator[str]:
    """Lines of Markdown: real scans on this machine by so many workers, of each the quickest, against what is predicted from
    that of the first number of them."""
    import psutil

    from benchmarks.runs import command
    from pipeline.synthetic import make_library

    library = folder / "library"
    make_library(library, files=photos, seed=8, image_bytes=30_000, video_bytes=200_000, corrupt_share=0)
    found: dict[int, tuple[Mapping[str, Any], float, float]] = {}
    for number in range(rounds + 1):
        for count in counts:
            with _cluster(count) as (address, scheduler, workers):
                watched = [psutil.Process(each.pid) for each in workers]
                before = sum(_processor_s(each) for each in watched)
                flags = ("--fresh", "--quiet", "--json", "--scheduler", address, "--shard-files", shard_photos)
                command("-m", "pipeline", "scan", library, "-o", folder / "index", *flags)
                used = sum(_processor_s(each) for each in watched) - before, _processor_s(psutil.Process(scheduler.pid))
            report = json.loads((folder / "index" / "run.json").read_text("utf-8"))
            if number and (count not in found or report["stages"]["total"] < found[count][0]["stages"]["total"]):
                found[count] = report, *used  # the first round fills the page cache
    least, most = counts[0], counts[-1]
    warm_s = max((found[most][1] - found[least][1]) / (most - least), 0.0)
    costs, cores = Costs.of_run(found[least][0], warm_s), float(len(os.sched_getaffinity(0)))
    here = Place(requests=0, read_bytes=0, shard_photos=shard_photos, cores=cores)
    once = found[least][1] - warm_s
    yield "| workers | their processor time: predicted, measured | whole run: predicted, measured | scheduler |"
    yield "|---|---|---|---|"
    for count, (report, used_s, scheduler_s) in found.items():
        predicted = predict(report["media"], count, here, costs).seconds
        yield (
            f"| {count} | {once + count * warm_s:.1f} s, {used_s:.1f} s | {predicted:.1f} s, "
            f"{report['stages']['total']:.1f} s | {scheduler_s:.1f} s |"
        )


def _processor_s(process: Any) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", choices=PLACES, action="append", help="default: all")
    parser.add_argument("--photos", type=int, nargs="*", default=SIZES)
    parser.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    parser.add_argument("--docs", action="store_true", help="renew tables and picture of docs/scale.md")
    parser.add_argument(
        "--check", action="store_true", help="scan a small library with 1, 2 and 4 workers, and compare"
    )
    parser.add_argument("--check-photos", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.check:
        folder = Path(tempfile.mkdtemp(prefix="takeout-scale-"))
        try:
            print("\n".join(check(folder, options.check_photos, (1, 2, 4), 150, options.rounds)))
        finally:
            shutil.rmtree(folder)
        return
    costs = Costs.measured(tomllib.loads(MEASURED.read_text("utf-8")))
    if options.docs:
        DOCS.write_text(renewed(DOCS.read_text("utf-8"), costs), "utf-8")
        draw(("cluster", "bucket"), SIZES, costs, DOCS.with_suffix(".svg"))
        return
    for place in options.place or PLACES:
        print(f"\n{place}\n", *table(place, options.photos, options.workers, costs), sep="\n")
        print("", *changes(place, max(options.photos), options.workers[1:], costs), sep="\n")


if __name__ == "__main__":
    main()
