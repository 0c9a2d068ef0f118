"""Why a file got its sidecar, its date and its place: what else there was, and why that was not taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import elsewhere
from pipeline.problems import UsageError
from pipeline.record import to_known
from pipeline.resolve import date_candidates, first_usable, place_candidates
from pipeline.takeout.names import normal
from pipeline.takeout.pairing import RULE_MEANINGS, explain_pair
from pipeline.takeout.sidecar import SidecarGist

#: Columns that hold the file_id of another file.
RELATIONS = ("edited_of", "live_partner", "duplicate_of")


@dataclass(frozen=True, slots=True)
class Case:
    """A file's row and its folder: names of media and of JSON files there, what these are, and what media say of their
    time (`resolve.own_time`)."""

    row: Mapping[str, Any]
    media: tuple[str, ...]
    json: tuple[str, ...]
    read: Mapping[str, SidecarGist]
    recorded: Mapping[str, int | None]
    related: Mapping[str, str]  # file_id -> path


@dataclass(frozen=True, slots=True)
class OtherFile:
    """A listed file that is no photo or video: its final state, why, and the photos and videos whose sidecar it is."""

    path: str
    state: str
    reason: str | None
    used_by: tuple[str, ...]


def explain(case: Case | OtherFile) -> dict[str, Any]:
    """Candidates for sidecar, date and place, surest first, each with whether it was taken, and why not.

    Of a file that is no photo or video: its state, and whose sidecar it is.
    """
    if isinstance(case, OtherFile):
        return asdict(case)
    row = case.row
    known = to_known(row)
    dates = date_candidates(known)
    first = first_usable(dates)
    places = list(place_candidates(known))
    return {
        "path": row["path"],
        "part": row["part"],
        "sidecar": {
            "path": row["sidecar_path"],
            "rule": row["sidecar_rule"],
            "meaning": (RULE_MEANINGS | elsewhere.MEANINGS).get(row["sidecar_rule"] or ""),
            "title": row["title"],
            "candidates": list(_sidecars(case)),
        },
        "date": {
            "taken_at": row["taken_at"],
            "taken_local": row["taken_local"],
            "utc_offset_min": row["utc_offset_min"],
            "time_zone": row["time_zone"],
            "rule": row["taken_at_rule"],
            "precision": row["taken_precision"],
            "candidates": [
                {
                    "rule": each.rule,
                    "at": each.at,
                    "local": each.local,
                    "precision": each.precision,
                    "chosen": each is first,
                    "why_not": None if each is first else (each.note if not each.usable else "a surer one comes first"),
                }
                for each in dates
            ],
        },
        "place": {
            "latitude": row["latitude"],
            "longitude": row["longitude"],
            "rule": row["location_rule"],
            "country_code": row["country_code"],
            "place": row["place"],
            "candidates": [
                {
                    **each._asdict(),
                    "chosen": number == 0,
                    "why_not": None if number == 0 else "a surer one comes first",
                }
                for number, each in enumerate(places)
            ],
        },
        "relations": {name: case.related.get(row[name], row[name]) for name in RELATIONS},
        "albums": list(row["albums"]),
        "problems": [dict(problem) for problem in row["problems"]],
    }


def _sidecars(case: Case) -> Iterator[dict[str, Any]]:
    row = case.row
    if row["sidecar_rule"] in elsewhere.MEANINGS:
        yield {"sidecar": row["sidecar_path"], "rule": row["sidecar_rule"], "chosen": True, "why_not": None}
    name = row["name"] if row["name"] in case.media else normal(row["name"])
    for candidate in explain_pair(name, case.media, case.json, case.read, case.recorded):
        yield asdict(candidate)


def best_match(paths: Iterable[str], wanted: str) -> str:
    """The path that `wanted` means: itself, the one path that ends in it, or the one that it ends in.

    Raises UsageError where there is none, or more than one.

    >>> best_match(["Takeout/a/x.jpg", "Takeout/a/y.jpg"], "x.jpg")
    'Takeout/a/x.jpg'
    >>> best_match(["Takeout/a/x.jpg", "Takeout/a/y.jpg"], "/home/me/Takeout/a/y.jpg")
    'Takeout/a/y.jpg'
    """
    paths = list(paths)
    if wanted in paths:
        return wanted
    found = []
    wanted = normal(wanted)
    for path in paths:
        compared = normal(path)
        if compared == wanted or wanted.endswith(f"/{compared}"):
            return path
        if compared.endswith(f"/{wanted}"):
            found.append(path)
    if not found:
        raise UsageError(f"there is no file {wanted}: give its path in the export, or the end of that")
    if len(found) > 1:
        found.sort()
        more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""
        raise UsageError(
            f"{len(found):,} files are named {wanted}: {', '.join(found[:3])}{more}; give more of the path"
        )
    return found[0]
