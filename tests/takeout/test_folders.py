"""Folders: their kinds by what they hold, in any language; and albums' files whose name no table knows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.takeout.folders import KINDS, album_names, folder_agrees, folder_kind, is_named, year_in
from tests.takeout.test_pairing import CASES

KIND_CASES = [
    (case["id"], folder, kind, case) for case in CASES for folder, kind in case.get("folder_kind", {}).items()
]


@pytest.mark.parametrize(
    ("name", "folder", "kind", "case"), KIND_CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_shared_cases(name: str, folder: str, kind: str, case: dict[str, object]) -> None:
    albums = case.get("album_meta", {})
    assert isinstance(albums, dict)
    last = folder.rpartition("/")[2]
    assert folder_kind(last, last if folder in albums else None).kind == kind, name


@pytest.mark.parametrize(
    ("name", "year"),
    [
        ("Photos from 2019", 2019),
        ("Fotos von 2019", 2019),
        ("Fotos del 2019", 2019),
        ("Foto_s van 2019", 2019),
        ("Photos\u00a0de 2019", 2019),
        ("\u0424\u043e\u0442\u043e \u0437\u0430 2019", 2019),
        ("2019\u5e74\u306e\u5199\u771f", 2019),
        ("2019\u5e74\u7684\u7167\u7247", 2019),
        ("2019\ub144\uc758 \uc0ac\uc9c4", 2019),
        ("Photos from 1890", 1890),
        ("Photos from 0000", None),
        ("Photos from 20190", None),
        ("Photos from \u0662\u0660\u0661\u0669", None),
        ("Photos from vacation", None),
        ("Trip 2019-05", None),
        ("2019", None),
        ("Top 10 of 2019", None),
        ("Best of 2000", None),
        ("Fotky z roku 2019", None),
        ("", None),
    ],
)
def test_the_year_of_a_year_folder(name: str, year: int | None) -> None:
    assert folder_kind(name, None).year == year
    assert folder_kind(name, None).kind == ("year" if year else "other")


@pytest.mark.parametrize(
    ("name", "title", "kind"),
    [
        ("Fotos von 2019", "Fotos von 2019", "album"),  # an album's file decides
        ("2005-02-05", None, "day"),
        ("2005-02-05", "2005-02-05", "day"),
        ("2005-02-05 #2", "", "day"),
        ("2005-02-05", "Carnival", "album"),
        ("2005-13-45", None, "other"),
        ("2005-02-05 #2", "2005-02-05", "day"),
        ("Untitled(3)", "", "untitled"),
        ("Untitled(3)", "Untitled(3)", "album"),
        ("Sans titre", None, "untitled"),
        ("Trip", "", "album"),
        ("Papierkorb", None, "special"),
        ("Trash", "Trash", "album"),
        ("Whatever", None, "other"),
    ],
)
def test_the_kind_of_a_folder(name: str, title: str | None, kind: str) -> None:
    assert folder_kind(name, title).kind == kind


@pytest.mark.parametrize(
    ("name", "years", "kind"),
    [
        ("Myndir fr\u00e1 2019", [2019, 2019, 2018], "year"),
        ("2019. \u00e9vi fot\u00f3k", [2019], "year"),
        ("\u0635\u0648\u0631 \u0645\u0646 \u0662\u0660\u0661\u0669", [2019], "year"),
        ("2019", [2019, 2019], "year"),
        ("Photos from 2019(1)", [], "year"),
        ("Best of 2000", [2015, 2000, 2016], "other"),
        ("Best of 2000", [], "other"),
        ("2 times 2019", [2019], "other"),
    ],
)
def test_items_prove_the_year_in_the_name_of_a_folder(name: str, years: list[int], kind: str) -> None:
    assert folder_kind(name, None, years).kind == kind


def test_where_folders_by_year_were_exported_a_date_is_the_title_of_an_album() -> None:
    assert folder_kind("2019-12-24", "2019-12-24", exported_by_year=True).kind == "album"
    assert folder_kind("2019-12-24", None, exported_by_year=True).kind == "day"


def test_albums_files_in_a_language_that_no_table_has() -> None:
    titled = [
        ("Takeout/G/Trip", "lysigogn.json", "Trip"),
        ("Takeout/G/Wedding_ A _ B", "lysigogn(1).json", "Wedding: A & B"),
        ("Takeout/G/Party", "notes.json", "Shopping"),
        ("Takeout/G/Sea", "upplysingar.json", "Sea"),
        ("Takeout/G/Sea", "todo.json", "Milk"),
        ("Takeout/G/Trip", "todo.json", "Bread"),
        ("Takeout/G", "print-subscriptions.json", None),
        ("Takeout/H", "print-subscriptions.json", None),
    ]
    names = album_names(titled)
    assert {name for _, name, _ in titled if is_named(name, names)} == {
        "lysigogn.json",
        "lysigogn(1).json",
        "upplysingar.json",
    }


@pytest.mark.parametrize(
    ("folder", "title", "agrees"),
    [
        ("Party 31_12_19", "Party 31/12/19", True),
        (
            "Hiking, running and everything else that we did",
            "Hiking, running and everything else that we did outdoors",
            True,
        ),
        ("Zoe\u0308", "Zo\u00eb", True),
        ("Trip", "Trip to the sea", False),
        ("___", "???", True),
        ("___", "??", False),
        ("\u2600\ufe0f", "\u2600\ufe0f", True),
    ],
)
def test_a_folder_named_after_a_title(folder: str, title: str, agrees: bool) -> None:
    assert folder_agrees(folder, title) is agrees


@given(st.text(), st.none() | st.text())
def test_any_name_has_a_kind(name: str, title: str | None) -> None:
    found = folder_kind(name, title)
    assert found.kind in KINDS
    assert (found.year is not None) == (found.kind in ("year", "day"))
    year_in(name)
