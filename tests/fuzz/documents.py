"""JSON with faults: values of the wrong type, numbers and texts beyond all limits, keys twice, depth, encodings."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

TOKENS = (
    *(
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "1.5",
        "1e400",
        "-1e400",
        "1e-400",
        "1e308",
        "NaN",
        "Infinity",
        "-Infinity",
    ),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "253402300799"),
    *(
        "253402300800",
        "-62135596800",
        "-62135596801",
        "1564488000000",
        "9" * 400,
        "9" * 5000,
        "90.0000001",
        "-180.5",
        "1e19",
    ),
    *(
        '""',
        '" "',
        '"0"',
        '"-1"',
        '"1e3"',
        '"1_000"',
        '"１２３"',
        '" 1564488000 "',
        '"9223372036854775808"',
        '"253402300800"',
    ),
    *(
        '"-62135596801"',
        '"NaN"',
        '"inf"',
        '"0x10"',
        '"\\u0000"',
        '"a\\u0000b"',
        '"\\ud800"',
        '"\\udc00x"',
        '"\\ud83d"',
        '"\\u001b[31m"',
    ),
    *(
        '"' + "9" * 400 + '"',
        '"' + "9" * 5000 + '"',
        '"' + "x" * 70_000 + '"',
        '"' + "\u0301\u0327" * 40_000 + '"',
        '"\\u202e"',
        '"<img src=x onerror=alert(1)>"',
    ),
    *(
        '"\'); DROP TABLE media;--"',
        '"=HYPERLINK(1)"',
        '"../../etc/passwd"',
        '"\\ufffe"',
        '"\x00"',
        '"\x1b"',
        '"\x7f"',
        '"𝒳"',
    ),
    *("[]", "{}", "[[]]", "[null]", '[{"name": null}]', '[{"name": []}]', '{"timestamp": {}}', '{"timestamp": 1e30}'),
    *(
        '{"latitude": 91, "longitude": 1e400}',
        '{"latitude": NaN, "longitude": NaN}',
        "[" * 60 + "]" * 60,
        "tru",
        "'a'",
        ",",
        "",
    ),
)
KEYS = (
    *(
        "title",
        "description",
        "imageViews",
        "creationTime",
        "photoTakenTime",
        "timestamp",
        "formatted",
        "geoData",
        "geoDataExif",
    ),
    *(
        "latitude",
        "longitude",
        "altitude",
        "people",
        "name",
        "url",
        "googlePhotosOrigin",
        "mobileUpload",
        "deviceType",
        "favorited",
    ),
    *(
        "archived",
        "trashed",
        "albumData",
        "date",
        "enrichments",
        "comments",
        "text",
        "author",
        "sharedAlbumComments",
        "access",
        "",
        "\0",
    ),
)
#: Characters from which a value is not repeated: a hundred such make a sidecar beyond the limit, and a hundred of these
#: fill the memory.
REPEATED = 100_000


class Raw(str):
    """A token that stands in the text as it is."""


class Pairs(list[tuple[str, Any]]):
    """An object whose keys may come twice."""


def mutated_document(data: bytes, random: Random) -> bytes:
    """The document with one to six faults in its tokens, then, once in a while, in its encoding or bytes."""
    try:
        tree = json.loads(data, object_pairs_hook=Pairs)
        _text(tree, ",")
    except (ValueError, RecursionError):
        tree = Pairs([("title", "a.jpg")])
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        tree = _break(tree, random)
    text = _text(tree, random.choice((", ", ",", " ,\n")))
    chance = random.random()
    if chance < 0.75:
        return text.encode("utf-8", "surrogatepass")
    encodings = ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7")
    encoded = bytearray(text.encode(random.choice(encodings), "replace"))
    if chance > 0.9 and encoded:
        at = random.randrange(len(encoded))
        encoded[at : at + random.randrange(4)] = random.choice(
            (b"", b"\0", b"\xff", b'"', b"\\", b"{", b"\xc3", b"\xed\xa0\x80")
        )
    if chance > 0.97:
        del encoded[random.randrange(len(encoded) + 1) :]
    return bytes(encoded)


def _break(tree: Any, random: Random) -> Any:
    """One fault, anywhere."""
    nodes: list[tuple[Any, int]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):  # Pairs too
            nodes.extend((node, index) for index in range(len(node)))
            waiting.extend(item[1] if isinstance(node, Pairs) else item for item in node)
    if not nodes or random.random() < 0.03:
        return random.choice((Raw(random.choice(TOKENS)), [tree], _deep(tree, random)))
    node, index = random.choice(nodes)
    old = node[index][1] if isinstance(node, Pairs) else node[index]
    new: Any
    match random.randrange(12):
        case 0:
            del node[index]
            return tree
        case 1:
            node.insert(random.randrange(len(node) + 1), node[index])
            return tree
        case 2 if isinstance(node, Pairs):
            node[index] = (random.choice(KEYS), old)
            return tree
        case 3 if isinstance(node, Pairs):
            node.append((random.choice(KEYS), Raw(random.choice(TOKENS))))
            return tree
        case 4:
            times = random.choice((1, 2, 100))
            new = [deepcopy(old) for _ in range(times if len(_text(old, ",")) < REPEATED else 1)]
        case 5:
            new = Pairs([(random.choice(KEYS), old)])
        case 6 if random.random() < 0.2:
            new = _deep(old, random)
        case 7:
            new = (
                Raw(json.dumps(old))
                if isinstance(old, str)
                else Raw(f'"{old}"')
                if isinstance(old, int | float)
                else old
            )
        case _:
            new = Raw(random.choice(TOKENS))
    node[index] = (node[index][0], new) if isinstance(node, Pairs) else new
    return tree


def _deep(inside: Any, random: Random) -> Raw:
    depth = random.choice((10, 200, 1000, 1100, 50_000))
    begin, end = random.choice((("[", "]"), ('{"a":', "}")))
    return Raw(begin * depth + _text(inside, ",") + end * depth)


def _text(node: Any, comma: str) -> str:
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, Pairs):
        return "{" + comma.join(f"{json.dumps(key)}:{_text(value, comma)}" for key, value in node) + "}"
    if isinstance(node, list):
        return "[" + comma.join(_text(each, comma) for each in node) + "]"
    return json.dumps(node, ensure_ascii=False)
