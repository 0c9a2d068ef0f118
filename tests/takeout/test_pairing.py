"""Pairing: real and derived cases one by one, and the laws that hold for any folder."""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.item import Entry
from pipeline.planning import Listing, Plan, file_id, read_document
from pipeline.takeout.names import cut, split_extension, units
from pipeline.takeout.pairing import FolderPairing, pair_folder

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("sidecar_cases.json").read_text("utf-8"))


@dataclass
class Export:
    """A case as a listing: what lies where, and what the JSON files say."""

    case: dict[str, Any]
    paths: list[tuple[str, str]] = field(default_factory=list)  # path, part

    def __post_init__(self) -> None:
        for given_files in self.case["folder_files"]:
            if isinstance(given_files, str):
                self.paths.append((given_files, "1"))
            else:
                part = str(given_files.get("part", 1))
                prefix = f"{given_files['folder']}/" if given_files["folder"] else ""
                self.paths += [(prefix + name, part) for name in given_files["files"]]

    def content(self, path: str) -> bytes:
        kind = self.case.get("json_kind", {}).get(path)
        if path in self.case.get("album_meta", {}).values() or kind == "album":
            return json.dumps({"title": "An album", "access": "protected"}).encode()
        if path in self.case.get("not_sidecar", []) or kind == "other":
            return json.dumps({"title": ["a", "list"]}).encode()
        title = self.case.get("titles", {}).get(path)
        taken = self.case.get("taken", {}).get(path, 1_600_000_000)
        item = {"photoTakenTime": {"timestamp": str(taken)}, "url": "https://photos.example/1"}
        return json.dumps(item | ({"title": title} if title is not None else {})).encode()

    def plan(self, seed: int = 0) -> Plan:
        listing = Listing()
        for path, part in random.Random(seed).sample(self.paths, len(self.paths)):
            listing.add(Entry(path, part, self.case.get("sizes", {}).get(path, 1)))
        listing.pair()
        while wanted := listing.to_read():
            listing.learn({entry: read_document(self.content(entry.path), entry) for entry in wanted})
        same = frozenset(later for later, _ in listing.repeated())
        return listing.plan(same)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    plan = Export(case).plan()
    items = {item.media.path: item for item in plan.items}
    paths = {file_id(path): path for path in items}
    sidecars = {path: item.sidecar.path if item.sidecar else None for path, item in items.items()}
    assert {path: sidecars.get(path, "no media file") for path in case["expect"]} == case["expect"]
    if "edited_of" in case:
        assert {path: paths[item.edited_of] for path, item in items.items() if item.edited_of} == case["edited_of"]
    if "live_partner" in case:
        partners = {path: paths[item.live_partner] for path, item in items.items() if item.live_partner}
        for still, video in case["live_partner"].items():
            assert (partners.get(still), partners.get(video)) == (video, still)
    states = {file.path: file.state for file in plan.files}
    for path in case.get("album_meta", {}).values():
        assert states[path] == "album_metadata"
    for path in case.get("not_sidecar", []):
        assert states[path] in ("other_metadata", "ignored")
    for path in case.get("not_media", []):
        assert states[path] == "ignored"
    if "orphan_sidecars" in case:
        assert sorted(p for p, state in states.items() if state == "unmatched_sidecar") == sorted(
            case["orphan_sidecars"]
        )
    for owner, others in case.get("redundant_sidecars", {}).items():
        for path in others:
            assert states[path] == "unmatched_sidecar"
            (reason,) = [file.reason for file in plan.files if file.path == path]
            assert reason is not None and owner.rpartition("/")[2] in reason
    assert {album.folder for album in plan.albums} >= set(case.get("album_meta", {}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_order_of_a_listing_and_of_the_parts_changes_nothing(case: dict[str, Any]) -> None:
    export = Export(case)
    assert export.plan(1) == export.plan(2)


# Laws

stems = st.sampled_from(
    ["IMG_1", "IMG_1-edited", "IMG_1(1)", "a" * 47, "a" * 46, "😀" * 24, "Zoë", "x.MP", "21.12", "IMG_1 copy"]
)
extensions = st.sampled_from([".jpg", ".JPG", ".jpeg", ".heic", ".MP4", ".MP", ""])
media_names = st.builds(lambda stem, extension: stem + extension, stems, extensions)
json_names = st.builds(
    lambda stem, suffix, counter: cut(stem + suffix, 46) + counter + ".json",
    media_names,
    st.sampled_from([".supplemental-metadata", "", ".supp"]),
    st.sampled_from(["", "(1)", "(2)"]),
)
folders = st.tuples(st.lists(media_names, unique=True, max_size=8), st.lists(json_names, unique=True, max_size=8))


def outcome(pairing: FolderPairing) -> tuple[Any, ...]:
    return pairing.pairs, sorted(pairing.to_read), pairing.redundant, sorted(pairing.unused)


@given(folders, st.randoms(use_true_random=False))
def test_order_never_matters(folder: tuple[list[str], list[str]], shuffle: random.Random) -> None:
    media, sidecars = folder
    again = pair_folder(shuffle.sample(media, len(media)), shuffle.sample(sidecars, len(sidecars)))
    assert outcome(again) == outcome(pair_folder(media, sidecars))


@given(folders)
def test_every_medium_has_one_answer_and_every_sidecar_one_owner(folder: tuple[list[str], list[str]]) -> None:
    media, sidecars = folder
    pairing = pair_folder(media, sidecars)
    assert pairing.pairs.keys() == set(media)
    used = {pair.sidecar for pair in pairing.pairs.values() if pair.sidecar is not None}
    assert used | set(pairing.unused) == set(sidecars)
    assert not used & set(pairing.unused)
    shared = {"edited", "edited_cut", "edited_no_counter", "edited_cut_off", "edited_short", "edited_unknown_suffix"}
    shared |= {"live", "live_orphan", "creation"}
    own = [pair.sidecar for pair in pairing.pairs.values() if pair.sidecar and pair.rule not in shared]
    assert len(own) == len(set(own))
    for name, pair in pairing.pairs.items():
        assert name not in (pair.edited_of, pair.live_partner)
        assert pair.edited_of is None or pairing.pairs[pair.edited_of].sidecar == pair.sidecar


@given(folders)
def test_an_unrelated_file_changes_nothing(folder: tuple[list[str], list[str]]) -> None:
    media, sidecars = folder
    before = pair_folder(media, sidecars)
    after = pair_folder([*media, "unrelated_file_zq.png"], [*sidecars, "nothing_like_it_qz.gif.json"])
    assert {name: pair for name, pair in after.pairs.items() if name != "unrelated_file_zq.png"} == before.pairs


@given(
    st.text(st.characters(exclude_characters="/\0()."), min_size=1, max_size=60), st.sampled_from(["", "(1)", "(23)"])
)
def test_a_title_of_any_length_finds_its_sidecar_in_both_spellings(title: str, counter: str) -> None:
    medium = cut(title, 51 - 4) + counter + ".jpg"
    for stem in (cut(f"{title}.jpg.supplemental-metadata", 46), cut(f"{title}.jpg", 46)):
        pairing = pair_folder([medium], [f"{stem}{counter}.json"])
        assert pairing.pairs[medium].sidecar == f"{stem}{counter}.json"


def test_cost_grows_with_the_names_not_with_their_square() -> None:
    class Counting(str):
        """A name that counts how often it is compared."""

        compared = 0

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    def comparisons(count: int) -> int:
        media = [Counting(f"IMG_{n:05d}.jpg") for n in range(count)]
        sidecars = [Counting(f"IMG_{n:05d}.jpg.json") for n in range(0, count, 2)]
        Counting.compared = 0
        pair_folder(media, sidecars)
        return Counting.compared

    assert comparisons(2000) <= 3 * comparisons(1000)


def test_units_and_cuts_are_those_of_utf_16() -> None:
    assert units("a😀") == 3
    assert cut("ab😀", 3) == "ab"
    assert split_extension("a.b.JPG") == ("a.b", ".JPG")


@pytest.mark.parametrize(
    ("media", "sidecar"),
    [
        # the still is paired by a late rule only, and its moving half with it
        (["IMG_1.HEIC", "IMG_1.MP4"], "IMG_1.HEIC.supp.json"),
        (["IMG_2(1).HEIC", "IMG_2(1).MP4"], "IMG_2.HEIC(1).supplemental-metadata.json"),
        # both halves could have the sidecar of a title without extension
        (["Trip.jpg", "Trip.mp4"], "Trip.supplemental-metadata.json"),
        (["Trip.MOV", "Trip.HEIC"], "Trip.json"),
        # the original of an edit is paired later than the edit
        (["L.jpg", "L-edited.jpg"], "L.jpg.suppl.json"),
        (["G.jpg", "G-edited.jpg", "G-edited-edited.jpg"], "G.jpg.json"),
    ],
)
def test_what_is_derived_shares_a_sidecar_however_late_that_is_found(media: list[str], sidecar: str) -> None:
    assert {pair.sidecar for pair in pair_folder(media, [sidecar]).pairs.values()} == {sidecar}


def test_the_unnumbered_one_of_several_album_files_names_the_album() -> None:
    listing = Listing()
    for name in ("metadata(1).json", "metadata.json", "a.jpg"):
        listing.add(Entry(f"Takeout/P/Two/{name}", "1", 1))
    listing.pair()
    titles = {"metadata.json": "Two", "metadata(1).json": "Another"}
    while wanted := listing.to_read():
        listing.learn(
            {e: read_document(json.dumps({"title": titles[e.name], "access": ""}).encode(), e) for e in wanted}
        )
    assert [album.title for album in listing.plan().albums] == ["Two"]
