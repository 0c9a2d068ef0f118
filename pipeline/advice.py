"""What to do about a problem, by its stage and kind. Pure: a table, and how it is read."""

from __future__ import annotations

_AGAIN = "Scan again: what could not be read is tried once more each time."
_DAMAGED = (
    "Download the part that holds it again, and scan again; if it is the same then, it was damaged before the export."
)
_PART = "Download this part again: what it lacks is in no other part."
_SEEN = "Look at it with explain, which shows every sidecar that could be meant; nothing is lost."
_TAGS = "Nothing, as a rule: the tag is left out, and what the sidecar says is used."

#: Stage and kind, or a kind of any stage, or a stage whatever the kind; the first that is found.
ADVICE: dict[tuple[str, str], str] = {
    ("date", "conflict"): "See which of the dates is right: the notebook on dates shows what each source says.",
    ("date", "implausible"): "Nothing: a date that cannot be was not used.",
    ("read", "empty"): "Export it again, or take it from a backup: a file without bytes holds no picture.",
    ("list", "empty"): _PART,
    ("mime", "not_media"): "Open it: its name is a picture's, its content is not. Often a web page or a failed video.",
    ("pair", "ambiguous"): _SEEN,
    ("pair", "low_confidence"): _SEEN,
    ("pair", "title_differs"): _SEEN,
    ("pair", "same_path"): "Give each part once: a path came twice, and one of the two was taken.",
    ("list", "crc"): _PART,
    ("list", "trailing"): "Nothing: all of the archive was read, and bytes behind it were not.",
    ("sidecar", "encoding"): "Nothing, unless names of people or albums look odd.",
    ("", "changed"): "Scan again when nothing writes to the library.",
    ("", "vanished"): _AGAIN,
    ("", "unreadable"): f"See whether you may read it, and whether the disk is well. {_AGAIN}",
    ("", "not_a_file"): "Nothing, unless a photo should be there: it is a link, a pipe or a device.",
    ("", "link"): "Nothing, unless a photo should be there: links are not followed.",
    ("", "encrypted"): "Unpack the archive with its password, and scan the folder.",
    ("", "method"): "Unpack the archive with another program, and scan the folder.",
    ("", "not_an_archive"): "Download this part again: a web page or a piece of it lies in its place.",
    ("", "crashed"): "Open it with another program; if that works, report the file. All others were read.",
    ("", "too_slow"): "Scan again, with a larger --file-seconds if it is a large file on a slow disk.",
    ("", "too_much_memory"): "Scan again with a larger --file-mb.",
    ("", "truncated"): _DAMAGED,
    ("", "damaged"): _DAMAGED,
    ("", "bad_exif"): _TAGS,
    ("exif", ""): _TAGS,
    ("album", ""): "Nothing, unless the album's title or text is missing.",
    ("sidecar", ""): "Look at the sidecar: what of it could not be used is as it was written.",
    ("list", ""): _PART,
    ("image", ""): "Open it: if it looks well, nothing.",
    ("video", ""): "Play it: if it plays to the end, nothing.",
}


def what_to_do(stage: str, kind: str) -> str:
    """What to do.

    >>> what_to_do("read", "empty")[:15]
    'Export it again'
    >>> what_to_do("exif", "number") == what_to_do("exif", "gps")
    True
    """
    for key in ((stage, kind), ("exif", "") if stage == "exif" else ("", kind), (stage, "")):
        if key in ADVICE:
            return ADVICE[key]
    return "Look at it with explain, which shows all that is known of a file."
