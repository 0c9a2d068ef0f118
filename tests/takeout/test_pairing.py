"""Pairing: real and derived cases one by one, and the laws that hold for any folder."""

import json
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import read_document
from pipeline.item import Entry
from pipeline.listing import Listing
from pipeline.planning import Plan, file_id, make_plan
from pipeline.takeout.names import cut, medium_names, split_extension, title_agrees, units
from pipeline.takeout.pairing import RULE_MEANINGS, FolderPairing, explain_pair, pair_folder
from pipeline.takeout.sidecar import SidecarGist
from tests.documents import table

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
        return make_plan(listing, same)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    plan = Export(case).plan()
    items = {item.media.path: item for item in plan.items()}
    paths = {file_id(path): path for path in items}
    sidecars = {path: item.sidecar.path if item.sidecar else None for path, item in items.items()}
    assert {path: sidecars.get(path, "no media file") for path in case["expect"]} == case["expect"]
    if "edited_of" in case:
        assert {path: paths[item.edited_of] for path, item in items.items() if item.edited_of} == case["edited_of"]
    if "live_partner" in case:
        partners = {path: paths[item.live_partner] for path, item in items.items() if item.live_partner}
        for still, video in case["live_partner"].items():
            assert (partners.get(still), partners.get(video)) == (video, still)
    states = {file.path: file.state for file in plan.files()}
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
            (reason,) = [file.reason for file in plan.files() if file.path == path]
            assert reason is not None and owner.rpartition("/")[2] in reason
    assert {album.folder for album in plan.albums} >= set(case.get("album_meta", {}))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_order_of_a_listing_and_of_the_parts_changes_nothing(case: dict[str, Any]) -> None:
    export = Export(case)
    one, other = export.plan(1), export.plan(2)
    assert list(one.items()) == list(other.items())
    assert list(one.files()) == list(other.files())
    assert (one.albums, one.orphans, one.folders) == (other.albums, other.orphans, other.folders)


# Laws

DERIVED_RULES = {"edited", "edited_cut", "edited_no_counter", "edited_cut_off", "edited_short", "edited_unknown_suffix"}
DERIVED_RULES |= {"live", "live_orphan", "creation"}

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
    own = [pair.sidecar for pair in pairing.pairs.values() if pair.sidecar and pair.rule not in DERIVED_RULES]
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
    assert [album.title for album in make_plan(listing).albums] == ["Two"]


# Libraries made forwards, from titles to names, by the rules of names alone

PLAIN = [
    "IMG_1",
    "IMG_1(1)",
    "IMG_2",
    "img_2",
    "Trip (2)",
    "Trip (2)(1)",
    "IMG_1-edited",
    "IMG_1.MP",
    "21.12.11 - 1",
    "Zoë",
    "Zoe\u0308 2",
    "家族",
    "😀" * 23,
    "O'Hara",
    "a & b?",
    "Käfer (10)",
]
LONG = ["x" * 42, "x" * 46, "x" * 47 + "y", "x" * 47 + "z", "x" * 60, "é" * 60, "😀" * 30, "b" * 44 + " P and more"]
EDITED = ["-edited", "-bearbeitet", "-modifié", "-ha editado", "-編集済み"]
titles_of_items = st.builds(
    str.__add__, st.sampled_from(PLAIN + LONG), st.sampled_from([".jpg", ".JPG", ".jpeg", ".HEIC", ".png", ".mp4", ""])
)


@dataclass
class Item:
    """One item of a library: its title, which files there are of it, and in which spelling its sidecar is."""

    title: str
    old: bool = False
    edit: str | None = None
    video: bool = False
    missing: bool = False  # it has no sidecar


items_of_a_folder = st.lists(
    st.builds(
        Item,
        titles_of_items,
        old=st.booleans(),
        edit=st.sampled_from([None, None, None, *EDITED]),
        video=st.booleans(),
        missing=st.sampled_from([False] * 7 + [True]),
    ),
    min_size=1,
    max_size=7,
)


@dataclass
class Truth:
    """A folder as Takeout would write it, and what belongs to what."""

    sidecars: dict[str, SidecarGist] = field(default_factory=dict)
    pairs: dict[str, str | None] = field(default_factory=dict)


def numbered(stem: str, number: int, extension: str) -> str:
    return f"{stem}({number}){extension}" if number else stem + extension


def written(items: list[Item]) -> Truth:
    """Forwards: characters are replaced, names cut in UTF-16 units, namesakes numbered; then what is derived from each."""
    truth = Truth()
    made: list[tuple[Item, str, int, str]] = []
    for item in items:
        name = re.sub(r"[&?'/:*\"<>|%]", "_", unicodedata.normalize("NFC", item.title))
        stem, extension = split_extension(name)
        added = extension or ".jpg"
        short = cut(stem, 51 - len(added))
        json_stem = cut(name + ("" if item.old else ".supplemental-metadata"), 46)
        number = 0
        while numbered(short, number, added) in truth.pairs or numbered(json_stem, number, ".json") in truth.sidecars:
            number += 1
        sidecar = truth.pairs[numbered(short, number, added)] = numbered(json_stem, number, ".json")
        truth.sidecars[sidecar] = SidecarGist("item", item.title, 1_600_000_000)
        made.append((item, short, number, added))
    # What has the stem of two cannot be told to be of one of them; a numbered one alone may be an edit.
    stems = Counter(split_extension(name)[0].casefold() for name in truth.pairs)
    for item, short, number, added in made:
        medium = numbered(short, number, added)
        if stems[split_extension(medium)[0].casefold()] > 1:
            continue
        if item.missing and not number and "-edited" not in medium and added != ".MP":
            del truth.sidecars[truth.pairs[medium] or ""]
            truth.pairs[medium] = None
            continue
        derived = []
        if item.edit and units(short + item.edit) <= 51 - len(added):
            derived.append(numbered(short + item.edit, number, added))
        if item.video and added in (".HEIC", ".JPG") and "-edited" not in item.title:
            derived.append(numbered(short, number, ".MP4"))
        truth.pairs |= {name: truth.pairs[medium] for name in derived if name not in truth.pairs}
    return truth


def settled(media: Iterable[str], sidecars: Mapping[str, SidecarGist]) -> FolderPairing:
    """The pairing when everything that it asks for has been read."""
    pairing = pair_folder(media, sidecars)
    read: dict[str, SidecarGist] = {}
    for _ in range(4):
        if not pairing.to_read:
            return pairing
        assert not read.keys() & set(pairing.to_read)
        read |= {name: sidecars[name] for name in pairing.to_read}
        pairing = pair_folder(media, sidecars, read)
    raise AssertionError(f"still to be read: {pairing.to_read}")


@settings(max_examples=300)
@given(items_of_a_folder)
def test_what_was_written_forwards_is_recovered(items: list[Item]) -> None:
    truth = written(items)
    pairing = settled(truth.pairs, truth.sidecars)
    assert {name: pair.sidecar for name, pair in pairing.pairs.items()} == truth.pairs


def by_title_and_name(media: list[str], sidecars: list[str]) -> Mapping[str, SidecarGist]:
    """Contents for JSON names that were not made from titles: some agree, some do not, some are albums."""
    kinds = [
        lambda name: SidecarGist("item", name.split(".supp")[0].removesuffix(".json"), 1),
        lambda name: SidecarGist("item", media[len(name) % len(media)] if media else "x.jpg", 2),
        lambda name: SidecarGist("item", split_extension(name)[0].split(".")[0], None),
        lambda name: SidecarGist("item", None, None),
        lambda name: SidecarGist("album", "An album"),
    ]
    return {name: kinds[sum(map(ord, name)) % len(kinds)](name) for name in sidecars}


known_folders = st.one_of(
    folders.map(lambda folder: (folder[0], by_title_and_name(*folder))),
    items_of_a_folder.map(written).map(lambda truth: (list(truth.pairs), truth.sidecars)),
)


@given(known_folders, st.randoms(use_true_random=False))
def test_order_never_matters_whatever_has_been_read(
    folder: tuple[list[str], Mapping[str, SidecarGist]], shuffle: random.Random
) -> None:
    media, sidecars = folder
    names = list(sidecars)
    read = {name: sidecars[name] for name in shuffle.sample(names, shuffle.randint(0, len(names)))}
    again = pair_folder(shuffle.sample(media, len(media)), shuffle.sample(names, len(names)), read)
    assert outcome(again) == outcome(pair_folder(media, names, read))


@given(known_folders)
def test_reading_what_is_asked_for_comes_to_an_end_and_changes_nothing_more(
    folder: tuple[list[str], Mapping[str, SidecarGist]],
) -> None:
    media, sidecars = folder
    assert outcome(settled(media, sidecars)) == outcome(settled(media, dict(reversed(list(sidecars.items())))))


@given(known_folders)
def test_unrelated_files_change_nothing_whatever_has_been_read(
    folder: tuple[list[str], Mapping[str, SidecarGist]],
) -> None:
    media, sidecars = folder
    more = {
        "nothing_like_it_qz.gif.json": SidecarGist("item", "nothing_like_it_qz.gif", 5),
        "metadata.json": SidecarGist("album", "An album"),
        f"{'q' * 46}.json": SidecarGist("item", f"{'q' * 50}.jpg", 5),
    }
    before = settled(media, sidecars)
    after = settled([*media, "unrelated_file_zq.png", f"{'w' * 47}.jpg"], {**sidecars, **more})
    assert {name: after.pairs[name] for name in before.pairs} == before.pairs
    assert set(after.unused) == set(before.unused) | more.keys()


@given(known_folders)
def test_a_sidecar_has_one_medium_and_what_shares_it_leads_there(
    folder: tuple[list[str], Mapping[str, SidecarGist]],
) -> None:
    media, sidecars = folder
    pairing = settled(media, sidecars)
    ends: dict[str, set[str]] = defaultdict(set)
    for name, pair in pairing.pairs.items():
        seen = [name]
        while above := pairing.pairs[seen[-1]].edited_of or (
            pairing.pairs[seen[-1]].rule == "live" and pairing.pairs[seen[-1]].live_partner
        ):
            assert above not in seen
            seen.append(above)
        assert {pairing.pairs[each].sidecar for each in seen} == {pair.sidecar}
        if pair.sidecar is not None:
            ends[pair.sidecar].add(seen[-1])
    for names in ends.values():
        # Only what is left of an item whose original is missing can share a sidecar without leading to one medium.
        own = [name for name in names if pairing.pairs[name].rule not in DERIVED_RULES]
        assert len(own) + (len(names) > len(own)) == 1
    assert ends.keys() | set(pairing.unused) == sidecars.keys()
    assert not ends.keys() & set(pairing.unused)


# What the titles decide, where names do not


def titled(**titles: str) -> dict[str, SidecarGist]:
    return {name: SidecarGist("item", title, 1) for name, title in titles.items()}


LONG_1, LONG_2 = "a" * 46 + "b and more.jpg", "a" * 46 + "c and more.jpg"
CUT_1, CUT_2, CUT = "a" * 46 + "b.jpg", "a" * 46 + "c.jpg", "a" * 46 + ".json"


@pytest.mark.parametrize(
    ("media", "sidecars", "expected"),
    [
        # a title without extension: the picture has it before the video, ".jpg" before other pictures
        (
            ["X.heic", "X.mp4"],
            {"X.json": "X"},
            {"X.heic": ("X.json", "legacy_no_extension"), "X.mp4": ("X.json", "live")},
        ),
        (["X.png", "X.jpg"], {"X.json": "X"}, {"X.jpg": ("X.json", "ambiguous"), "X.png": (None, None)}),
        (["X.png", "X.gif"], {"X.json": "X"}, {"X.png": ("X.json", "ambiguous"), "X.gif": (None, None)}),
        # but a title that names an extension is for none of those that have another
        (["X.png", "X.jpg"], {"X.json": "X.bmp"}, {"X.jpg": (None, None), "X.png": (None, None)}),
        # and one that says nothing leaves all of them without
        (["X.png", "X.jpg"], {"X.json": "Y"}, {"X.jpg": (None, None), "X.png": (None, None)}),
        # names that were cut alike
        ([CUT_1, CUT_2], {CUT: LONG_1}, {CUT_1: (CUT, "title"), CUT_2: (None, None)}),
        ([CUT_1, CUT_2], {CUT: "unlike.jpg"}, {CUT_1: (None, None), CUT_2: (None, None)}),
        # the medium of the first one is missing: its sidecar must not go to the second, although the names fit
        ([CUT_2], {CUT: LONG_1, f"{CUT[:-5]}(1).json": LONG_2}, {CUT_2: (f"{CUT[:-5]}(1).json", "title")}),
    ],
)
def test_a_title_decides_or_the_likelier_one_has_it(
    media: list[str], sidecars: dict[str, str], expected: dict[str, tuple[str | None, str | None]]
) -> None:
    pairing = settled(media, titled(**sidecars))
    assert {name: (pairing.pairs[name].sidecar, pairing.pairs[name].rule) for name in expected} == expected
    for name in [name for name, (_, rule) in expected.items() if rule in ("ambiguous", "title")]:
        assert {problem.kind for problem in pairing.pairs[name].problems} == {"ambiguous"}


def test_a_title_in_html_is_read_both_ways() -> None:
    assert medium_names("O&#39;Hara.jpg") == ("O_#39;Hara.jpg", "O_Hara.jpg")


@pytest.mark.parametrize(
    ("title", "medium"),
    [
        ("IMG_1.jpg", "IMG_1.jpg"),
        ("IMG_1.jpg", "IMG_1(1).jpg"),  # 2.7
        ("IMG_1.JPG", "IMG_1.jpg"),  # 3.9
        ("IMG_1", "IMG_1.jpg"),  # 2.3
        ("IMG_1", "IMG_1(3).jpg"),
        ("IMG_1.HEIC", "IMG_1.HEIC.jpg"),  # 2.4
        ("IMG_1.MOV", "IMG_1.MOV.mp4"),
        ("IMG_1.jpeg", "IMG_1.jpg"),  # 2.5
        ("Zoe\u0308.jpg", "Zo\u00eb.jpg"),  # 3.11
        ("O'Hara.jpg", "O_Hara.jpg"),  # 2.2
        ("a & b?.jpg", "a _ b_.jpg"),
        ("Tom &amp; Jerry.jpg", "Tom _amp; Jerry.jpg"),
        ("Tom &amp; Jerry.jpg", "Tom _ Jerry.jpg"),
        ("Tom &amp; Jerry.jpg", "Tom &amp; Jerry.jpg"),
        ("O&#39;Hara.jpg", "O_#39;Hara.jpg"),
        ("O&#39;Hara.jpg", "O_Hara(1).jpg"),
        ("x" * 60 + ".jpg", "x" * 47 + ".jpg"),  # 2.6
        ("x" * 60 + ".jpeg", "x" * 46 + "(2).jpeg"),
        ("😀" * 30 + ".jpg", "😀" * 24 + ".jpg"),
        ("21.12.11 - 1", "21.12(1).11 - 1"),  # 2.7
        ("Käfer (10).jpg", "Käfer (10)(1).jpg"),  # 3.7
        ("ends in blanks .jpg", "ends in blanks.jpg"),
        ("ends in dots...", "ends in dots.jpg"),
        ("IMG_1.jpg", "IMG_1-edited.jpg"),  # 4.1
        ("IMG_1.jpg", "IMG_1-bearbeitet(1).jpg"),  # 4.2
        ("x" * 43 + ".jpg", "x" * 43 + "-edi.jpg"),  # 4.3
        ("x" * 47 + ".jpg", "x" * 47 + "(1).jpg"),  # 4.4
        ("IMG_1.HEIC", "IMG_1-edited.jpg"),  # 4.6
        ("IMG_1.jpg", "IMG_1-oñembohekopyre.jpg"),  # 4.9
        ("IMG_1.jpg", "IMG_1-COLLAGE.jpg"),  # 4.10
        ("IMG_1.HEIC", "IMG_1.MP4"),  # 5.1
        ("PXL_1.MP.jpg", "PXL_1.MP"),  # 5.4
        ("PXL_1.MP~2.jpg", "PXL_1.MP~2"),
        ("MVIMG_1.jpg", "MVIMG_1"),  # 5.5
        (".facebook_1.jpg", ".facebook_1.jpg"),  # 8.2
    ],
)
def test_a_title_agrees_with_the_names_that_come_from_it(title: str, medium: str) -> None:
    assert title_agrees(title, medium)


@pytest.mark.parametrize(
    ("title", "medium"),
    [
        ("IMG_2.jpg", "IMG_1.jpg"),
        ("IMG_1(1).jpg", "IMG_1.jpg"),
        ("IMG_10.jpg", "IMG_1.jpg"),
        ("IMG_1.jpg", "IMG_10.jpg"),
        ("holiday picture.jpg", "IMG_B.jpg"),
        ("IMG_1.jpg", "IMG_1 copy.jpg"),
        ("x" * 47 + "y.jpg", "x" * 46 + "z.jpg"),
        ("", "IMG_1.jpg"),
    ],
)
def test_a_title_of_another_name_contradicts(title: str, medium: str) -> None:
    assert not title_agrees(title, medium)


#: Cases whose titles were made unlike on purpose, or whose names were made unreadable by the reporter.
UNLIKE = {"trunc-collision-numbered", "trap-title-disagrees"}


@pytest.mark.parametrize("case", [case for case in CASES if case.get("titles")], ids=lambda case: case["id"])
def test_titles_of_real_cases_agree_with_what_they_belong_to(case: dict[str, Any]) -> None:
    titles = case["titles"]
    pairs = [(titles[path], medium) for medium, path in case["expect"].items() if titles.get(path) is not None]
    unlike = [(title, medium) for title, medium in pairs if not title_agrees(title, medium.rpartition("/")[2])]
    assert bool(unlike) == (case["id"] in UNLIKE), unlike


@given(items_of_a_folder)
def test_a_title_agrees_with_everything_written_for_it(items: list[Item]) -> None:
    truth = written(items)
    for name, sidecar in truth.pairs.items():
        if sidecar is not None:
            assert title_agrees(truth.sidecars[sidecar].title or "", name)


# The documentation, and explanations

EXAMPLES = table("pairing.md", "file | beside it")


def quoted(cell: str) -> dict[str, str | None]:
    """The names in a cell, with the titles that follow them."""
    return {name: title or None for name, title in re.findall(r'`([^`]+)`(?: = "([^"]*)")?', cell)}


@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: f"{row[0]} {row[4]}")
def test_examples_of_the_documentation(row: list[str]) -> None:
    (medium,) = quoted(row[0])
    contents = quoted(row[2])
    pairing = settled(
        [medium, *quoted(row[1])], {name: SidecarGist("item", title, 1) for name, title in contents.items()}
    )
    found = pairing.pairs[medium]
    assert (found.sidecar, found.rule) == (next(iter(quoted(row[3])), None), row[4] or None)


def test_the_documentation_has_every_rule_in_order_with_its_meaning_and_an_example() -> None:
    rules = {name.strip("`"): meaning for name, meaning in table("pairing.md", "rule | meaning")}
    assert list(rules.items()) == list(RULE_MEANINGS.items())
    assert {row[4] for row in EXAMPLES if row[4]} == RULE_MEANINGS.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_rule_that_occurs_has_a_meaning(case: dict[str, Any]) -> None:
    assert {item.sidecar_rule for item in Export(case).plan().items()} <= RULE_MEANINGS.keys() | {None}


def explained(name: str, media: list[str], contents: Mapping[str, str | None]) -> list[tuple[str, str | None, str]]:
    """Sidecar, rule, and why it is the one or not."""
    read = {json_name: SidecarGist("item", title, 1) for json_name, title in contents.items() if title is not None}
    return [
        (each.sidecar, each.rule, f"chosen, of {each.through or name}" if each.chosen else each.why_not or "")
        for each in explain_pair(name, media, contents, read)
    ]


@pytest.mark.parametrize(
    ("media", "contents", "expected"),
    [
        (["X.jpg"], {"X.jpg.json": None}, [("X.jpg.json", "legacy", "chosen, of X.jpg")]),
        (
            ["X.jpg"],
            {"X.jpg.json": None, "X.jpg.supplemental-metadata.json": None},
            [
                ("X.jpg.supplemental-metadata.json", "supplemental", "chosen, of X.jpg"),
                ("X.jpg.json", "legacy", "X.jpg.supplemental-metadata.json was found first, by supplemental"),
            ],
        ),
        (
            ["X.jpg", "X"],
            {"X.jpg.json": None, "X.json": None},
            [
                ("X.jpg.json", "legacy", "chosen, of X.jpg"),
                ("X.json", "legacy_no_extension", "it belongs to X by legacy"),
            ],
        ),
        (["X-edited.jpg", "X.jpg"], {"X.jpg.json": None}, [("X.jpg.json", "edited", "chosen, of X.jpg")]),
        (["X.MP4", "X.HEIC"], {"X.HEIC.json": None}, [("X.HEIC.json", "live", "chosen, of X.HEIC")]),
        (["X.HEIC", "X.MP4"], {"X.HEIC.json": None}, [("X.HEIC.json", "legacy", "chosen, of X.HEIC")]),
        (["X.png", "X.jpg"], {"X.json": "X"}, [("X.json", "legacy_no_extension", "it belongs to X.jpg by ambiguous")]),
        (["X.png", "X.jpg"], {"X.json": "Y"}, [("X.json", "legacy_no_extension", "its title is 'Y'")]),
        (
            ["X.png", "X.jpg"],
            {"X.json": None},
            [("X.json", "legacy_no_extension", "other media could have it as well: X.jpg")],
        ),
        ([CUT_2], {CUT: LONG_1}, [(CUT, "supplemental", f"its title is {LONG_1!r}")]),
        (
            ["IMG_1(2).jpg"],
            {"IMG_1.jpg.json": None, "IMG_1.jpg(1).json": None, "DSC_7.jpg.json": None},
            [
                ("IMG_1.jpg(1).json", None, "its number is (1), that of the file (2)"),
                ("IMG_1.jpg.json", None, "its number is none, that of the file (2)"),
            ],
        ),
        (["IMG_1 copy.jpg"], {"IMG_1 cop.jpg.json": "Y"}, [("IMG_1 cop.jpg.json", None, "its title is 'Y'")]),
        (["IMG_10.jpg"], {"IMG_11.jpg.json": None}, [("IMG_11.jpg.json", None, "it has the name of IMG_11.jpg")]),
        (["IMG_1.jpg"], {}, []),
    ],
)
def test_an_explanation(
    media: list[str], contents: dict[str, str | None], expected: list[tuple[str, str | None, str]]
) -> None:
    assert explained(media[0], media, contents) == expected


def test_an_album_file_of_a_fitting_name_is_explained() -> None:
    (found,) = explain_pair("X.jpg", ["X.jpg"], ["X.json"], {"X.json": SidecarGist("album", "X")})
    assert (found.chosen, found.why_not) == (False, "it is not about a photo or video (album)")


@given(known_folders)
def test_an_explanation_says_what_pairing_does(folder: tuple[list[str], Mapping[str, SidecarGist]]) -> None:
    media, sidecars = folder
    pairing = pair_folder(media, sidecars, sidecars)
    for name, pair in pairing.pairs.items():
        candidates = explain_pair(name, media, sidecars, sidecars)
        chosen = [(each.sidecar, each.rule) for each in candidates if each.chosen]
        assert chosen == ([(pair.sidecar, pair.rule)] if pair.sidecar else [])
        assert len({each.sidecar for each in candidates}) == len(candidates)
        assert all(each.chosen == (each.why_not is None) for each in candidates)
        assert pair.rule is None or pair.rule in RULE_MEANINGS
