"""Several libraries as one: what they are called, and what becomes of their ids, their rows and what their runs said. Pure.

A library's name is part of what a file is known by: two libraries may have the same paths, the same parts and the same ids.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.problems import UsageError
from pipeline.record import PARTITION, RECORD, Settled, with_settled

#: Characters of a library's name, at most.
LONGEST = 100
#: What a file's id is derived from stands apart by this, which no name holds.
_BETWEEN = b"\0"


@dataclass(frozen=True, slots=True)
class Given:
    """Results that are to be merged: the folder as it is known (absolute), what the library is to be called if somebody said
    so, and, where they are merged themselves, the libraries in them."""

    place: str
    name: str | None = None
    libraries: tuple[str, ...] | None = None


def merged_id(library: str, identity: str | None) -> str | None:
    """The id of a file in merged results, by its library and the id that its scan gave it: the same in every merge.

    >>> merged_id("anna", "00f1e2d3c4b5a697") == merged_id("ben", "00f1e2d3c4b5a697")
    False
    """
    if identity is None:
        return None
    return hashlib.blake2b(library.encode() + _BETWEEN + identity.encode(), digest_size=8).hexdigest()


def merged_part(library: str, part: str) -> str:
    """What a part is called in merged results: a library's name has no slash, so that no two are called alike."""
    return f"{library}/{part}"


def why_no_name(name: str) -> str | None:
    """Why a library cannot be called so: the name stands in paths, tables and terminals."""
    if not name or name != name.strip():
        return "it is empty, or begins or ends with a space"
    if "/" in name:
        return "it has a slash"
    if not name.isprintable():  # line ends, what turns the direction of writing, bytes that are no text
        return "it has characters that cannot be shown"
    return f"it has more than {LONGEST} characters" if len(name) > LONGEST else None


def library_names(given: Sequence[Given], before: Mapping[str, str]) -> list[str | None]:
    """What the library of each is called; None for merged results, whose libraries have their names.

    As somebody said, else as it was called `before` (by place), else after its folder, or the first folder above that tells it
    from the others. Raises UsageError if two would be called alike, or one cannot be called so.
    """
    apart = _names_apart([each.place for each in given])
    names: list[str | None] = []
    for each, name in zip(given, apart, strict=True):
        if each.libraries is None:
            chosen = each.name if each.name is not None else before.get(each.place, name)
            names.append(unicodedata.normalize("NFC", chosen))  # one name, whichever system has written it
        elif each.name is None:
            names.append(None)
        else:
            raise UsageError(
                f"{each.place} holds {len(each.libraries)} libraries, which keep their names "
                f"({', '.join(each.libraries)}): give it without {each.name}="
            )
    for each, found in zip(given, names, strict=True):
        if found is not None and (why := why_no_name(found)):
            raise UsageError(
                f"the library of {each.place} cannot be called {found!r}: {why}; call it otherwise: NAME=DIR"
            )
    called: dict[str, str] = {}
    for each, found in zip(given, names, strict=True):
        for library in each.libraries or (found or "",):
            if library in called:
                raise UsageError(
                    f"two libraries are called {library}, those of {called[library]} and {each.place}: "
                    "call one otherwise: NAME=DIR"
                )
            called[library] = each.place
    return names


def _names_apart(places: Sequence[str]) -> list[str]:
    """The first folder, from the end of each path on, that with those below tells it from the others.

    >>> _names_apart(["/r/2019/index", "/r/2024/index", "/r/ben"])
    ['2019', '2024', 'ben']
    """
    paths = [place.rstrip("/").split("/") for place in places]
    names = []
    for path in paths:
        length = 1
        while length < len(path) and sum(other[-length:] == path[-length:] for other in paths) > 1:
            length += 1
        names.append(path[-length])
    return names


def merged_rows(rows: pa.Table, library: str | None, year: int) -> pa.Table:
    """Rows of a file of `media` as they are in merged results, but for what all libraries have to be known for: the schema
    RECORD. `library` is None for rows of merged results, which have their ids."""

    def put(name: str, values: Any) -> None:
        nonlocal rows
        field = RECORD.field(name)
        column = values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type)
        rows = rows.set_column(rows.schema.get_field_index(name), field, column)

    count = rows.num_rows
    rows = rows.append_column(RECORD.field(PARTITION), pa.array([year] * count, RECORD.field(PARTITION).type))
    rows = rows.select(RECORD.names)
    if library is not None:
        identities = rows.column("file_id")
        put("scan_file_id", identities)
        for name in ("file_id", "edited_of", "live_partner"):
            put(name, [merged_id(library, each) for each in rows.column(name).to_pylist()])
        put("library", [library] * count)
        put("part", pc.binary_join_element_wise(merged_part(library, ""), rows.column("part"), ""))
    put("duplicate_of", [None] * count)
    put("albums", [()] * count)
    return rows.cast(RECORD)


def settled_rows(rows: pa.Table, originals: Mapping[str, str], albums: Mapping[str, Sequence[str]]) -> pa.Table:
    """Such rows with what is known now: of copies their originals, and the albums, by `file_id`."""
    return with_settled(rows, Settled(originals, {}, albums))


def merged_sources(report: Mapping[str, Any], library: str | None) -> list[dict[str, Any]]:
    """Where the parts of a library are, as its run has written it down, under their names in merged results."""
    if library is None:
        return list(report["sources"])
    return [source | {"part": merged_part(library, source["part"])} for source in report["sources"]]


def verdicts(report: Mapping[str, Any], library: str | None) -> dict[str, str]:
    """Whether the export of each library is complete, in the words of its own scan."""
    if library is None:
        return {each["library"]: each["verdict"] for each in report["merged"]}
    return {library: report["audit"]["verdict"]}


def merged_audit(reports: Iterable[tuple[str | None, Mapping[str, Any]]]) -> dict[str, Any]:
    """What the runs said of completeness, as one answer: the sums, and all folders."""
    sums = dict.fromkeys(("media_without_sidecar", "sidecars_without_media", "members_elsewhere"), 0)
    complete = True
    said: dict[str, str] = {}
    missing: list[str] = []
    folders: list[dict[str, Any]] = []
    for library, report in reports:
        audit = report["audit"]
        complete = complete and audit["complete"]
        sums = {name: count + audit[name] for name, count in sums.items()}
        said |= verdicts(report, library)
        parts = audit["missing_parts"]
        missing += parts if library is None else [merged_part(library, part) for part in parts]
        folders += audit["folders"] if library is None else [{"library": library} | each for each in audit["folders"]]
    verdict = " ".join(f"{library}: {sentence}" for library, sentence in sorted(said.items()))
    return {"complete": complete, "verdict": verdict, "missing_parts": missing, **sums, "folders": folders}
