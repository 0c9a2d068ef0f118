"""A map of positions as SVG: outlines of countries and circles that stand for rows. No tiles, nothing is loaded. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

#: Longitudes and latitudes in degrees, once around.
Ring = tuple[Sequence[float], Sequence[float]]

#: Circles side by side, at most, and the pixels of each at least.
ACROSS, NARROWEST = 64, 9
#: Degrees of latitude that a map shows at least: outlines of countries mean nothing below that.
SMALLEST = 0.6
#: Wider than this, a map is of the whole world, but for the ice in the south.
WIDE = 150.0
WORLD = (-180.0, -60.0, 180.0, 84.0)
#: Share of a map that is left free around the outermost positions.
MARGIN = 0.06


@dataclass(frozen=True, slots=True)
class View:
    """What part of the world is shown: degrees, pixels, and the degrees that a circle stands for."""

    west: float
    south: float
    east: float
    north: float
    width: int
    height: int

    @classmethod
    def of(cls, west: float, south: float, east: float, north: float, width: int) -> View:
        """The part with these positions, so many pixels wide."""
        width = max(240, min(width, 2400))
        height = max(220, min(width // 2, 520))
        if east - west > WIDE:
            west, south, east, north = WORLD[0], min(south, WORLD[1]), WORLD[2], max(north, WORLD[3])
            return cls(west, south, east, north, width, round(width * (north - south) / 360))
        middle, centre = (south + north) / 2, (west + east) / 2
        shrink = _shrink(middle)
        tall = max(
            (north - south) * (1 + 2 * MARGIN), SMALLEST, (east - west) * (1 + 2 * MARGIN) * shrink * height / width
        )
        broad = tall / height * width / shrink
        return cls(centre - broad / 2, middle - tall / 2, centre + broad / 2, middle + tall / 2, width, height)

    @property
    def step(self) -> tuple[float, float]:
        """Degrees of longitude and latitude that a circle stands for."""
        across = max(1, min(ACROSS, self.width // NARROWEST))
        longitude = (self.east - self.west) / across
        return longitude, longitude * (self.north - self.south) / self.height * self.width / (self.east - self.west)

    def place(self, longitude: float, latitude: float) -> tuple[float, float]:
        """The pixel of a position."""
        x = (longitude - self.west) / (self.east - self.west) * self.width
        y = (self.north - latitude) / (self.north - self.south) * self.height
        return round(x, 1), round(y, 1)


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows that are near each other: how many, their middle, and how far they reach."""

    rows: int
    longitude: float
    latitude: float
    west: float
    south: float
    east: float
    north: float


def cells_of(view: View, longitudes: Any, latitudes: Any) -> list[Cell]:
    """The cells of so many positions, which are arrays of numpy's."""
    import numpy as np

    across, up = view.step
    numbers = np.floor((latitudes + 90) / up).astype(np.int64) * 10**8 + np.floor((longitudes + 180) / across).astype(
        np.int64
    )
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    rows = np.diff(starts, append=len(numbers))
    x, y = longitudes[order], latitudes[order]
    columns = (
        rows,
        np.add.reduceat(x, starts) / rows,
        np.add.reduceat(y, starts) / rows,
        *(reduce.reduceat(each, starts) for reduce in (np.minimum, np.maximum) for each in (x, y)),
    )
    return [Cell(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]


def draw(view: View, cells: Sequence[Cell], rings: Iterable[Ring], link: Callable[[Cell], str]) -> str:
    """The map. Every circle leads to `link` of its cell."""
    most = max((cell.rows for cell in cells), default=1)
    largest = max(3.5, min(16.0, view.width / min(ACROSS, view.width // NARROWEST) * 0.75))
    total = sum(cell.rows for cell in cells)
    lines = [
        f'<svg viewBox="0 0 {view.width} {view.height}" width="{view.width}" height="{view.height}" role="group" '
        f'aria-label="Map of {total:,} positions">',
        f'<path class="land" d="{"".join(_path(view, ring) for ring in rings)}"/>',
    ]
    for cell in sorted(cells, key=lambda cell: -cell.rows):
        x, y = view.place(cell.longitude, cell.latitude)
        share = math.log1p(cell.rows) / math.log1p(most) if most > 1 else 0.5
        said = f"{cell.rows:,} {'row' if cell.rows == 1 else 'rows'} near {cell.latitude:.2f}, {cell.longitude:.2f}"
        lines.append(
            f'<a href="{escape(link(cell))}" aria-label="{said}">'
            f'<circle cx="{x}" cy="{y}" r="{2.5 + (largest - 2.5) * share:.1f}"><title>{said}</title></circle></a>'
        )
    return "\n".join([*lines, "</svg>"])


def _path(view: View, ring: Ring) -> str:
    longitudes, latitudes = ring
    if (
        max(longitudes) < view.west
        or min(longitudes) > view.east
        or max(latitudes) < view.south
        or min(latitudes) > view.north
    ):
        return ""
    points = (view.place(*position) for position in zip(longitudes, latitudes, strict=True))
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "Z"


def _shrink(latitude: float) -> float:
    return max(0.1, math.cos(math.radians(latitude)))
