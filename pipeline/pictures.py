"""Pictures of what was measured. The only file that imports matplotlib, which is an extra (`[bench]`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.problems import to_install

#: How to get what draws.
ADVICE = to_install("takeout-index[bench]")
_OURS, _THEIRS, _DISK, _INK = "#0b6e99", "#b0562b", "#6b7280", "#1f2937"
_FEWEST, _MOST = 100, 1_000_000


def can_draw() -> bool:
    """What draws is installed."""
    return find_spec("matplotlib") is not None


def _figure(width: float, height: float, columns: int = 1) -> Any:
    """A figure and its axes, plain and without a window."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.titlesize": 12,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "grid.color": "#e5e7eb",
        "axes.grid": True,
        "axes.axisbelow": True,
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, axes


def _write(figure: Any, path: Path) -> Path:
    from matplotlib import rc_context

    form = "png" if path.suffix == ".png" else "svg"
    with rc_context({"svg.hashsalt": "takeout-index"}):  # the same picture is the same file
        figure.savefig(path, format=form, metadata={"Date": None} if form == "svg" else None)
    return path


def draw_bench(report: Mapping[str, Any], curves: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> Path:
    """Speed-up by workers, and time by size of the library, of a report of `bench`; `curves` are seconds by files."""
    figure, (left, right) = _figure(13, 5.4, columns=2)
    _draw_speed_up(left, report)
    _draw_time(right, report, curves)
    return _write(figure, path)


def _draw_speed_up(axes: Any, report: Mapping[str, Any]) -> None:
    parallel = [each for each in report["settings"] if each["mode"] == "parallel"]
    most = max(8, *(each["processes"] for each in parallel)) if parallel else 8
    workers = list(range(1, most + 1))
    axes.plot(workers, workers, color="#d1d5db", linewidth=1)
    axes.annotate(
        "one for one", (most, most), (-4, 4), textcoords="offset points", ha="right", color="#9ca3af", fontsize=9
    )
    axes.plot(workers, [max(1.0, 0.85 * each) for each in workers], color=_THEIRS, linestyle="--", linewidth=1.5)
    axes.plot([8], [6.8], "o", color=_THEIRS)
    axes.annotate("published: 6.8 on 8 cores", (5, 4.25), (8, -12), textcoords="offset points", color=_THEIRS)
    best: dict[int, Mapping[str, Any]] = {}
    for each in parallel:
        if each["processes"] not in best or each["speed_up"] > best[each["processes"]]["speed_up"]:
            best[each["processes"]] = each
    axes.plot(
        [each["processes"] for each in parallel], [each["speed_up"] for each in parallel], "o", color=_OURS, alpha=0.35
    )
    line = [best[processes] for processes in sorted(best)]
    axes.plot([each["processes"] for each in line], [each["speed_up"] for each in line], "o-", color=_OURS, linewidth=2)
    for each in line:
        text = f"{each['speed_up']:.2f}, {each['threads']} thread{'' if each['threads'] == 1 else 's'}"
        place = (each["processes"], each["speed_up"])
        axes.annotate(text, place, (0, 10), textcoords="offset points", ha="center", color=_OURS, fontsize=9)
    cores = report["machine"]["cores"]
    axes.axvline(cores, color=_DISK, linewidth=1, linestyle=":")
    axes.annotate(f"{cores} cores here", (cores, 0.1), (4, 0), textcoords="offset points", color=_DISK, fontsize=9)
    axes.set(
        xlabel="worker processes (M)",
        ylabel="speed-up over sequential, while reading",
        xlim=(0.2, most + 0.5),
        ylim=(0, most + 0.6),
    )
    if most <= 16:
        axes.set_xticks(workers)
    axes.set_title("Speed-up by workers", loc="left")


def _draw_time(axes: Any, report: Mapping[str, Any], curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    looks = {
        "published, sequential": (_THEIRS, "-"),
        "published, parallel": (_THEIRS, "--"),
        "published disk, 500 MB/s": (_DISK, ":"),
        "here, sequential": (_OURS, "-"),
        "here, parallel": (_OURS, "--"),
        "disk here": (_DISK, "-."),
    }
    ends: list[tuple[float, str, str]] = []
    for name, points in curves.items():
        color, line = looks[name]
        axes.plot([files for files, _ in points], [seconds for _, seconds in points], line, color=color, linewidth=1.8)
        ends.append((points[-1][1], name, color))
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="photos and videos",
        ylabel="time",
        xlim=(_FEWEST, _MOST),
    )
    read = f"{_size(report['mean_mb'])} to read of a file here, 7.7 MB published"
    axes.set_title(f"Time by size of the library ({read})", loc="left")
    low, high = axes.get_ylim()
    apart = (high / low) ** 0.05  # a line of text, on this scale
    lowest = 0.0
    for seconds, name, color in sorted(ends):
        lowest = max(seconds, lowest * apart)  # names that would lie upon each other are moved apart
        text = {"textcoords": "offset points", "va": "center", "color": color, "annotation_clip": False}
        axes.annotate(name, (_MOST, lowest), (5, 0), **text)
    for run in report["runs"]:
        axes.plot([run["files"]], [run["seconds"]], ".", color=_OURS, alpha=0.3)
    ticks = {
        0.1: "0.1 s",
        1: "1 s",
        10: "10 s",
        60: "1 min",
        600: "10 min",
        3600: "1 h",
        36_000: "10 h",
        360_000: "100 h",
    }
    axes.set_yticks(
        [tick for tick in ticks if low <= tick <= high], [ticks[tick] for tick in ticks if low <= tick <= high]
    )
    axes.set_xticks([10**power for power in range(2, 7)], ["100", "1,000", "10,000", "100,000", "1,000,000"])
    axes.minorticks_off()


def draw_timeline(bars: Sequence[tuple[int, float, float, int]], tail: float, path: Path) -> Path:
    """What each worker did when: `bars` are its number, start and end in seconds and files, one bar per shard.

    `tail` is the share of the workers' time in which some had nothing to do any more."""
    workers = max(number for number, *_ in bars) + 1
    most = max(files for *_, files in bars)
    end = max(end for _, _, end, _ in bars)
    figure, (axes,) = _figure(12, 1.6 + 0.35 * min(workers, 40))
    for number, started, ended, files in bars:
        axes.barh(
            number,
            ended - started,
            left=started,
            height=0.8,
            color=_OURS,
            alpha=0.35 + 0.65 * files / most,
            edgecolor="white",
            linewidth=0.6,
        )
    lasts = [max(ended for number, _, ended, _ in bars if number == worker) for worker in range(workers)]
    for number, last in enumerate(lasts):
        axes.barh(number, end - last, left=last, height=0.8, color="none", edgecolor=_THEIRS, hatch="///", linewidth=0)
    axes.set(xlabel="seconds since the first shard began", xlim=(0, end * 1.01), ylim=(workers - 0.4, -0.6))
    axes.set_yticks(range(workers), [f"worker {number + 1}" for number in range(workers)])
    axes.set_title(f"Shards by worker ({len(bars):,}; hatched: nothing left to do, {tail:.1%})", loc="left")
    axes.grid(axis="y", visible=False)
    return _write(figure, path)


def _size(mb: float) -> str:
    return f"{mb * 1000:.0f} kB" if mb < 1 else f"{mb:.1f} MB"
