"""Imports point one way, from the command to the facts. A new arrow is a new line here, argued in its commit."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "pipeline"

#: Room -> the rooms that it may import. `problems` and `progress` import nothing of ours.
MAY_IMPORT: dict[str, set[str]] = {
    "problems": set(),
    "examined": set(),
    "existing": {"problems"},
    "fitness": {"examined", "planning", "storage"},
    "lean": set(),
    "limits": set(),
    "forked": {"interrupts", "limits"},
    "cost": set(),
    "sampling": set(),
    "pictures": {"problems"},
    "profiling": {"item", "pictures", "storage"},
    "synthetic": set(),
    "progress": set(),
    "takeout": {"problems"},
    "media": {"problems"},
    "item": {"media", "problems", "takeout"},
    "path_map": {"problems"},
    "settings": {"path_map", "problems"},
    "resolve": {"media", "problems", "takeout"},
    "record": {"item", "media", "problems", "resolve", "takeout"},
    "documents": {"item", "problems", "takeout"},
    "packed": {"item", "takeout"},
    "listing": {"documents", "item", "packed", "problems", "takeout"},
    "timing": set(),
    "interrupts": set(),
    "rescan": {"planning", "problems", "record", "settings", "storage", "timing"},
    "planning": {"documents", "item", "listing", "packed", "problems", "takeout"},
    "audit": {"item", "planning"},
    "places": set(),
    "elsewhere": {"documents", "item", "planning", "problems", "takeout"},
    "explain": {"elsewhere", "problems", "record", "resolve", "takeout"},
    "several": {"problems", "record"},
    "verifying": {"item", "problems"},
    "storage": {
        "audit",
        "cost",
        "documents",
        "explain",
        "interrupts",
        "item",
        "lean",
        "limits",
        "listing",
        "packed",
        "places",
        "planning",
        "problems",
        "progress",
        "record",
        "resolve",
        "settings",
        "several",
        "takeout",
        "verifying",
    },
    "stages": {"documents", "item", "limits", "media", "problems", "record", "resolve", "storage", "takeout"},
    "rereading": {"item", "problems", "stages", "storage", "takeout", "verifying"},
    "first": {"item", "media", "record", "resolve", "takeout"},
    "alone": {"first", "forked", "item", "limits", "problems", "stages", "storage"},
    "graph": {"alone", "item", "limits", "path_map", "stages", "storage"},
    "worker": {"first", "graph", "lean"},
    "cluster": {"existing", "fitness", "forked", "interrupts", "lean", "problems", "storage"},
    "modes": {"cluster", "cost", "limits", "listing", "settings", "storage"},
    "preparing": {
        "cluster",
        "documents",
        "elsewhere",
        "graph",
        "item",
        "limits",
        "listing",
        "planning",
        "problems",
        "progress",
        "stages",
        "storage",
    },
    "api": {
        "audit",
        "cluster",
        "cost",
        "existing",
        "explain",
        "fitness",
        "graph",
        "interrupts",
        "item",
        "lean",
        "listing",
        "modes",
        "path_map",
        "pictures",
        "planning",
        "preparing",
        "problems",
        "profiling",
        "progress",
        "rereading",
        "rescan",
        "settings",
        "stages",
        "storage",
        "timing",
        "verifying",
    },
    "charts": {"panels", "progress"},
    "advice": set(),
    "panels": {"library", "problems", "progress"},
    "decoding": {"limits", "media", "problems"},
    "thumbnails": {"decoding", "problems", "storage"},
    "library": {"api", "exporting", "merging", "problems", "progress", "record", "settings", "storage", "thumbnails"},
    "location": {"record"},
    "exporting": {"location", "problems", "progress", "record", "storage"},
    "doctor": {
        "cluster",
        "cost",
        "existing",
        "fitness",
        "forked",
        "limits",
        "media",
        "modes",
        "problems",
        "record",
        "settings",
        "storage",
    },
    "comparing": {"api", "item", "problems", "progress", "settings", "storage"},
    "merging": {"api", "item", "problems", "progress", "record", "rescan", "several", "storage", "timing"},
    "report": {"library", "panels", "problems", "progress", "storage"},
    "summary": {"cost", "progress"},
    "bench": {
        "api",
        "cluster",
        "cost",
        "item",
        "modes",
        "pictures",
        "planning",
        "problems",
        "progress",
        "sampling",
        "settings",
        "storage",
        "timing",
    },
    "browsing": {"interrupts", "library", "problems", "progress", "record", "storage"},
    "cli": {
        "api",
        "bench",
        "browsing",
        "comparing",
        "doctor",
        "exporting",
        "lean",
        "merging",
        "problems",
        "progress",
        "report",
        "settings",
        "summary",
        "synthetic",
    },
    "__init__": {"api", "comparing", "library", "record", "settings"},
    "__main__": {"cli"},
}

#: Packages that one room alone may import.
ONLY = {
    "distributed": {"cluster", "worker"},
    "dask.bag": {"graph"},
    "datasette": {"browsing"},
    "uvicorn": {"browsing"},
    "typer": {"cli"},
    "matplotlib": {"pictures"},
    "sqlite3": {"storage"},
}

#: Rooms that open nothing and read no clock.
PURE = (
    "advice",
    "takeout",
    "documents",
    "packed",
    "listing",
    "planning",
    "audit",
    "elsewhere",
    "explain",
    "item",
    "record",
    "location",
    "cost",
    "sampling",
    "several",
    "verifying",
)


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "pipeline":
                found |= {f"pipeline.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("pipeline.")}
    assert ours - {room(path)} <= MAY_IMPORT[room(path)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_some_packages_belong_to_one_room(path: Path) -> None:
    for package, rooms in ONLY.items():
        if room(path) not in rooms:
            assert not any(name == package or name.startswith(f"{package}.") for name in imports(path))


@pytest.mark.parametrize("path", [p for p in SOURCES if room(p) in PURE], ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_rooms_open_nothing_and_read_no_clock(path: Path) -> None:
    assert not imports(path) & {"io", "logging", "pathlib", "random", "subprocess", "time"}
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert not called & {"open", "print", "now", "today", "utcnow"} - ({"open"} if room(path) == "media" else set())


def test_the_table_names_rooms_that_exist() -> None:
    assert {room(path) for path in SOURCES} == set(MAY_IMPORT)
