"""What is packed by the million says what it was made from."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.packed import ByFile, ByPosition, FileIds

ids = st.integers(0, 2**64 - 1).map("{:016x}".format)
floats = st.floats(-180, 180).map(lambda value: value + 0.0)  # as SQLite has it, no negative zero


@given(st.dictionaries(ids, ids | st.none()))
def test_files_by_their_ids(found: dict[str, str | None]) -> None:
    found = {key: None if value == key else value for key, value in found.items()}
    packed = FileIds(sorted(found.items()))
    assert dict(packed) == found
    assert len(packed) == len(found)


@given(st.dictionaries(ids, st.lists(st.text(), max_size=3).map(tuple)), ids)
def test_values_by_the_ids_of_files(found: dict[str, tuple[str, ...]], other: str) -> None:
    packed = ByFile(sorted(found.items()))
    assert dict(packed) == found
    assert packed.get(other, ()) == found.get(other, ())


@given(st.dictionaries(st.tuples(floats, floats), st.text()), st.tuples(floats, floats))
def test_values_by_positions(found: dict[tuple[float, float], str], other: tuple[float, float]) -> None:
    packed = ByPosition(sorted(found.items()))
    assert dict(packed) == found
    assert packed.get(other) == found.get(other)
