"""Pairing by name alone: what a name costs, whether that stays flat as names grow, and folders made to be slow.

python -m benchmarks.pairing [--names 1000000]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipeline.preparing import collector_paused
from pipeline.synthetic import media_name, sidecar_name
from pipeline.takeout.pairing import pair_folder

Folder = tuple[list[str], list[str]]  # names of media, names of JSON files

#: Kinds of item and how many of a hundred are of it.
SHARES = {
    "plain": 52,
    "live": 13,
    "edited": 8,
    "namesake": 8,
    "long": 7,
    "long, edited": 2,
    "not ASCII": 4,
    "motion": 2,
    "no extension": 2,
    "no sidecar": 1,
    "no medium": 1,
}


def names(count: int, seed: int = 1) -> Folder:
    """About `count` names of one folder, media and sidecars together, as a library has them; one in ten sidecars is old."""
    rng = random.Random(seed)
    media: list[str] = []
    sidecars: list[str] = []
    kinds = rng.choices(list(SHARES), list(SHARES.values()), k=count)
    for number, kind in enumerate(kinds):
        if len(media) + len(sidecars) >= count:
            break
        stem = rng.choice(("IMG_{:08}", "PXL_20230{:08}", "2021-{:08}", "DSC{:08}")).format(number)
        extension = rng.choice((".jpg", ".JPG", ".HEIC", ".png", ".mp4"))
        copies = 1
        if kind in ("live", "edited"):
            extension = rng.choice((".HEIC", ".JPG"))
        elif kind == "namesake":
            copies = rng.choice((2, 2, 2, 3))
        elif kind.startswith("long"):
            stem = f"{number:08} Screenshot of a page with quite a long title, part {rng.randrange(9)} of it"
            stem = stem[: rng.randrange(40, 80)]
        elif kind == "not ASCII":
            stem = rng.choice(("Été à Zürich", "家族旅行", "🎄🎁 Fest", "Прага")) + f" {number}"
        elif kind == "motion":
            stem, extension = f"PXL_{number:08}.MP", ".jpg"
        title = stem if kind == "no extension" else stem + extension
        old = rng.random() < 0.1
        for copy in range(copies):
            if kind != "no medium":
                media.append(media_name(title, copy, default_extension=".jpg"))
            if kind != "no sidecar":
                sidecars.append(sidecar_name(title, copy, old_form=old))
        if kind == "live":
            media.append(stem + rng.choice((".MP4", ".MOV")))
        elif kind == "motion":
            media.append(stem)
        elif kind.endswith("edited"):
            media.append(media_name(f"{stem}-edited{extension}"))
    return list(dict.fromkeys(media)), list(dict.fromkeys(sidecars))


def spread(folder: Folder, folders: int = 60) -> list[Folder]:
    """The same names in many folders; what belongs together stays together, as it stands side by side."""
    media, sidecars = folder
    most = max(1, len(media) // folders), max(1, len(sidecars) // folders)
    return [
        (media[n * most[0] : (n + 1) * most[0]], sidecars[n * most[1] : (n + 1) * most[1]]) for n in range(folders + 1)
    ]


def worst(count: int) -> Iterator[tuple[str, Folder]]:
    """Folders that would be slow if anything compared names with each other; `count` names each."""
    half = range(count // 2)
    everything = range(count)
    stem = "a" * 47
    yield (
        "cut alike",
        (
            [f"{stem}({n}).jpg" if n else f"{stem}.jpg" for n in half],
            [f"{stem[:46]}({n}).json" if n else f"{stem[:46]}.json" for n in half],
        ),
    )
    yield (
        "cut alike, other numbers",
        ([f"{stem}({n}).jpg" for n in half], [f"{stem[:46]}({n + count}).json" for n in half]),
    )
    yield "alike but for the end", ([f"{stem[:42]}{n:05}.jpg" for n in half], [f"{stem[:42]}{n}.json" for n in half])
    yield "counters", ([f"IMG({n}).jpg" for n in half], [f"IMG.jpg.supplemental-metadata({n}).json" for n in half])
    yield "no sidecars", ([f"IMG_{n}.jpg" for n in everything], [])
    yield "no media", ([], [f"IMG_{n}.jpg.supplemental-metadata.json" for n in everything])
    yield "edits without original", ([f"IMG_{n}-edited.jpg" for n in everything], [])
    yield (
        "edits of one original",
        (["IMG.jpg", *(f"IMG-edited({n}).jpg" for n in everything)], ["IMG.jpg.supplemental-metadata.json"]),
    )
    spellings = [_spelling("thequickbrownfoxjump", n) for n in half]
    yield "spellings", ([f"{name}.jpg" for name in spellings], [f"{name}.jpg.json" for name in spellings])
    yield "spellings, other", ([f"{name}.jpg" for name in spellings], [f"{name}.JPG.json" for name in spellings])
    yield (
        "one stem, many extensions",
        (["Trip.jpg", *(f"Trip.{_word(n)}" for n in everything)], ["Trip.supplemental-metadata.json"]),
    )
    yield "moving halves alone", ([f"IMG_{n}.MP4" for n in everything], [])


def _spelling(word: str, number: int) -> str:
    return "".join(c.upper() if number >> place & 1 else c for place, c in enumerate(word))


def _word(number: int) -> str:
    letters = ""
    while number or not letters:
        number, digit = divmod(number, 26)
        letters += chr(ord("a") + digit)
    return "x" + letters


def quickest(run: Callable[[], object], rounds: int = 3) -> float:
    """The quickest of some rounds: other programs only ever add time."""
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found)


def us_per_name(folders: list[Folder], rounds: int = 3) -> float:
    """Microseconds that pairing takes per name, as `pair_library` does it."""
    with collector_paused():
        seconds = quickest(lambda: [pair_folder(*folder) for folder in folders], rounds)
    return seconds / sum(len(media) + len(sidecars) for media, sidecars in folders) * 1e6


def measure(count: int = 1_000_000) -> dict[str, Any]:
    """µs per name in many folders and in one, for `count` names and a tenth of them; and the worst cases, smaller."""
    small, large = names(count // 10), names(count)
    return {
        "names": count,
        "60 folders": {"tenth": us_per_name(spread(small)), "all": us_per_name(spread(large))},
        "one folder": {"tenth": us_per_name([small]), "all": us_per_name([large])},
        "worst": {
            what: {"tenth": us_per_name([tenth], 2), "all": us_per_name([whole], 2)}
            for (what, tenth), (_, whole) in zip(worst(count // 100), worst(count // 10), strict=True)
        },
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures, line by line."""
    shapes = {what: found[what] for what in ("60 folders", "one folder")}
    lines = [(f"{found['names']:,} names in {what}", us) for what, us in shapes.items()]
    lines += [(f"{found['names'] // 10:,} names: {what}", us) for what, us in found["worst"].items()]
    return [
        (f"pairing {what}", f"{us['all']:.2f} µs/name, {us['all'] / us['tenth']:.2f}x that of a tenth")
        for what, us in lines
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=int, default=1_000_000)
    for what, figures in rows(measure(parser.parse_args().names)):
        print(f"{what}: {figures}")


if __name__ == "__main__":
    main()
