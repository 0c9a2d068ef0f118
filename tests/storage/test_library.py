"""Walking and opening a library: every name listed once, nothing opened that is not a file of the library."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.item import Entry, stored_text
from pipeline.problems import MediaError
from pipeline.storage.library import Library, opened
from pipeline.storage.parts import InputError, Refused, part_of, real_path, source_of, why_closed


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    return root


def listed(*roots: Path) -> dict[str, Entry | Refused]:
    found = list(Library.of(roots).walk())
    assert len({(f.path, f.part) for f in found}) == len(found)
    return {f.path: f for f in found}


@pytest.mark.parametrize("given", ["", "Takeout", "Takeout/Google Photos", "Takeout/Google Photos/Photos from 2020"])
def test_a_file_has_the_same_path_wherever_the_user_points(tmp_path: Path, given: str) -> None:
    tree(tmp_path, "Takeout/Google Photos/Photos from 2020/a.jpg")
    assert list(listed(tmp_path / given)) == ["Takeout/Google Photos/Photos from 2020/a.jpg"]


def test_a_place_may_be_the_url_of_a_file_of_this_machine(tmp_path: Path) -> None:
    (folder := tmp_path / "a folder").mkdir()
    for given in (folder.as_uri(), f"FILE://localhost{tmp_path}/a%20folder"):
        assert real_path(given) == str(folder)
    for given in ("file://elsewhere/x", "file://"):
        with pytest.raises(InputError, match="names no file of this machine"):
            real_path(given)


def test_archives_unpacked_side_by_side_are_parts(tmp_path: Path) -> None:
    tree(tmp_path, "takeout-001/Takeout/P/a.jpg", "takeout-002/Takeout/P/b.jpg", "c.txt")
    library = Library.of([tmp_path])
    found = list(library.walk())
    assert {(f.path, f.part) for f in found} == {
        ("Takeout/P/a.jpg", "takeout-001"),
        ("Takeout/P/b.jpg", "takeout-002"),
        ("Takeout/c.txt", tmp_path.name),
    }
    for entry in found:
        assert isinstance(entry, Entry)
        with opened(library, entry) as file:
            assert file.read_all(100).decode().endswith(entry.name)


def test_parts_of_one_name_are_told_apart(tmp_path: Path) -> None:
    tree(tmp_path, "x/Takeout/a.jpg", "y/Takeout/a.jpg")
    assert [part.name for part in Library.of([tmp_path / "x", tmp_path / "y"]).parts] == ["x", "y"]
    names = [part.name for part in Library.of([tmp_path / "x/Takeout", tmp_path / "y/Takeout"]).parts]
    assert names == ["x/Takeout", "y/Takeout"]


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"a\nb.jpg", b"'\".jpg", b"<b>.jpg", "ä".encode(), b"x" * 255])
def test_names_are_kept_byte_for_byte(tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/Takeout"
    os.mkdir(folder)
    with open(folder + b"/" + name, "wb") as file:
        file.write(b"here")
    library = Library.of([tmp_path])
    (entry,) = library.walk()
    assert isinstance(entry, Entry)
    assert os.fsencode(entry.path) == b"Takeout/" + name
    with opened(library, entry) as opened_file:
        assert opened_file.read_all(10) == b"here"


def test_what_is_no_file_is_listed_and_never_opened(tmp_path: Path) -> None:
    root = tmp_path / "Takeout"
    root.mkdir()
    os.mkfifo(root / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(root)  # the address of a socket is short
        listener.bind("socket.jpg")
        found = listed(tmp_path)
    os.chdir("/")
    assert {f.path.rpartition("/")[2]: (f.state, f.reason) for f in found.values() if isinstance(f, Refused)} == {
        "fifo.jpg": ("ignored", "a FIFO, never opened"),
        "socket.jpg": ("ignored", "a socket, never opened"),
    }


def test_links_out_of_the_input_or_in_circles_are_listed_and_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, "in/Takeout/a.jpg", "out/secret.jpg")
    root = tmp_path / "in/Takeout"
    (root / "out.jpg").symlink_to("../../out/secret.jpg")
    (root / "absolute.jpg").symlink_to("/etc/passwd")
    (root / "loop_a").symlink_to("loop_b")
    (root / "loop_b").symlink_to("loop_a")
    (root / "up").symlink_to("..")
    (root / "gone.jpg").symlink_to("nothing.jpg")
    (root / "inside.jpg").symlink_to("a.jpg")
    found = listed(tmp_path / "in")
    refused = {f.path.rpartition("/")[2]: f.reason for f in found.values() if isinstance(f, Refused)}
    assert refused.keys() == {"out.jpg", "absolute.jpg", "loop_a", "loop_b", "up", "gone.jpg"}
    assert all("link" in reason for reason in refused.values())
    assert isinstance(found["Takeout/inside.jpg"], Entry)
    assert found["Takeout/inside.jpg"].size == len("in/Takeout/a.jpg")


def test_a_file_that_turns_into_a_fifo_or_leaves_is_not_opened(tmp_path: Path) -> None:
    tree(tmp_path, "in/Takeout/a.jpg", "in/Takeout/b.jpg", "out/secret.jpg")
    library = Library.of([tmp_path / "in"])
    first, second = (f for f in library.walk() if isinstance(f, Entry))
    (tmp_path / "in/Takeout/a.jpg").unlink()
    os.mkfifo(tmp_path / "in/Takeout/a.jpg")
    with pytest.raises(MediaError, match="not_a_file"):
        library.open(first)
    (tmp_path / "in/Takeout/b.jpg").unlink()
    (tmp_path / "in/Takeout/b.jpg").symlink_to("../../out/secret.jpg")
    with pytest.raises(MediaError, match="out of the input"):
        library.open(second)


def test_paths_longer_than_the_kernel_takes_are_walked_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth, name = 25, "d" * 200
    monkeypatch.chdir(tmp_path)
    os.mkdir("Takeout")
    os.chdir("Takeout")
    for _ in range(depth):
        os.mkdir(name)
        os.chdir(name)
    Path("a.jpg").write_bytes(b"deep")
    os.chdir("/")
    library = Library.of([tmp_path])
    (entry,) = library.walk()
    assert isinstance(entry, Entry)
    assert len(entry.path) > 5000
    with opened(library, entry) as file:
        assert file.read_all(10) == b"deep"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["nowhere"], "No such file"),
        (["in/Takeout/a.jpg"], "not a folder"),
        (["in", "in"], "given twice"),
        (["in", "in/Takeout"], "lies inside"),
    ],
)
def test_inputs_that_cannot_be_used(tmp_path: Path, inputs: list[str], message: str) -> None:
    tree(tmp_path, "in/Takeout/a.jpg")
    with pytest.raises(InputError, match=message):
        Library.of([tmp_path / given for given in inputs])


def test_parts_are_found_again_by_what_was_written_down(tmp_path: Path) -> None:
    odd = tmp_path / "in \udce9%"
    tree(odd, "Takeout/a.jpg", "Takeout 2/b.jpg", "x.zip")
    library = Library.of([odd, tree(tmp_path, "y/Google Photos/c.jpg") / "y/Google Photos"])
    written = json.loads(json.dumps([source_of(part) for part in library.parts], ensure_ascii=False).encode())
    assert [part_of(source) for source in written] == [
        replace(part, name=stored_text(part.name)) for part in library.parts
    ]
    (odd / "x.zip").unlink()
    closed = [part.form for part in map(part_of, written) if why_closed(part) is not None]
    assert closed == ["zip"]
    with pytest.raises(ValueError, match="nowhere"):
        part_of({**written[0], "address": "nowhere"})
