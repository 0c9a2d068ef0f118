"""Country and place of a position, offline, for many positions at once.

The country is that of the time zone: `tzdata`'s zone.tab gives every zone one country, and the map of the zones follows
the borders, which the nearest place does not. The name is that of the nearest place within that country, where a place
reaches out further the more people live there: a photo in Mitte is from Berlin. Used once, at the end of a run, in the main
process; nothing is loaded until a position is asked for.

The places are those of GeoNames (geonames.org, CC BY 4.0) where 500 people or more live, and seats of administrations, in
places.parquet beside this file; `python -m tests.places_table` makes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

#: A place further away than this names no photo; at sea, where the zones are Etc/GMT+3 and the like, not even one at 12 miles.
REACH_KM = 50.0
AT_SEA_KM = 10.0
#: The radius of a city of a million; it grows with the area, so with the root of the population. 9,000 people per km²: with
#: 5,000, Saint-Denis is Paris and Giza Cairo, with 13,000 Coney Island is no longer New York.
MILLION_KM = 6.0
#: Zones of two countries: northern Vietnam and Kosovo have none of their own. There the nearest place decides.
SHARED: dict[str | None, tuple[str, ...]] = {"Asia/Bangkok": ("TH", "VN"), "Europe/Belgrade": ("RS", "XK")}

EARTH_KM = 6371.0
NONE = -1
DECIMALS = 3  # of a degree, 110 m: photos taken side by side are asked about once
BLOCK = 10_000  # distances taken at once: what the processor's cache holds, else it takes three times as long

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is. `country_code` is ISO 3166-1 alpha-2, and XK, which it leaves to its users, for Kosovo."""

    country_code: str | None = None
    name: str | None = None


def places_of(positions: Iterable[tuple[float, float, str | None]]) -> list[Place]:
    """The place of each (latitude, longitude, time zone), in order. Without a zone, the nearest place gives the country.

    >>> places_of([(52.5163, 13.3777, "Europe/Berlin"), (0.0, -30.0, "Etc/GMT+2")])
    [Place(country_code='DE', name='Berlin'), Place(country_code=None, name=None)]
    """
    keys = [
        (round(latitude, DECIMALS), round(longitude, DECIMALS), zone)
        if abs(latitude) <= 90 and abs(longitude) <= 180  # false of nan
        else None
        for latitude, longitude, zone in positions
    ]
    found = _find(list(dict.fromkeys(key for key in keys if key is not None)))
    return [Place() if key is None else found[key] for key in keys]


def _find(keys: list[tuple[float, float, str | None]]) -> dict[tuple[float, float, str | None], Place]:
    """All positions of one cell and one zone share their candidates."""
    if not keys:
        return {}
    towns = _load()
    points = _on_sphere(np.array([key[0] for key in keys]), np.array([key[1] for key in keys]))
    groups: defaultdict[tuple[int, str | None], list[int]] = defaultdict(list)
    for number, (cell, key) in enumerate(zip(_cell(points).tolist(), keys, strict=True)):
        groups[cell, key[2]].append(number)
    best = np.full(len(keys), NONE)
    for (cell, zone), numbers in groups.items():
        codes = _countries().get(zone, ())
        near, here = towns.around(cell), points[:, numbers]
        own = near[np.isin(towns.countries[near], codes)] if codes else near
        found = towns.nearest(here, own, AT_SEA_KM if (zone or "").startswith("Etc/") else REACH_KM)
        if codes and (lost := found == NONE).any():
            found[lost] = towns.nearest(here[:, lost], near, REACH_KM)
        best[numbers] = found
    return {key: _place(towns, town, key[2]) for key, town in zip(keys, best.tolist(), strict=True)}


def _place(towns: _Towns, town: int, zone: str | None) -> Place:
    codes = _countries().get(zone, ())
    if town == NONE:
        return Place(codes[0] if codes else None)
    code = str(towns.countries[town])
    # One at a time: Arrow's take() would import pyarrow.compute, 50 ms.
    return Place(code if code in codes or not codes else codes[0], towns.names[town].as_py())


def _on_sphere(latitudes: Floats, longitudes: Floats) -> Floats:
    """Points of a unit sphere, in three rows: there neither the poles nor the antimeridian are special."""
    north, east = np.radians(latitudes), np.radians(longitudes)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def _cell(points: Floats) -> NDArray[Any]:
    """The numbers of the cubes, as wide as the reach, that points are in: what is in reach is in one of 27 of them."""
    x, y, z = np.floor(points * (EARTH_KM / REACH_KM)).astype(np.int64)
    return (x * 512 + y) * 512 + z


AROUND = np.array([(x * 512 + y) * 512 + z for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])


@dataclass(frozen=True, slots=True)
class _Towns:
    """All places, the largest first: among equals that one is taken."""

    names: pa.StringArray
    countries: NDArray[np.str_]
    points: Floats
    radii: Floats
    cells: Numbers  # in ascending order, of the places `by_cell`
    by_cell: Numbers

    def around(self, cell: int) -> NDArray[Any]:
        """The places in a cell and its neighbours."""
        bounds = zip(
            np.searchsorted(self.cells, cell + AROUND, "left").tolist(),
            np.searchsorted(self.cells, cell + AROUND, "right").tolist(),
            strict=True,
        )
        return np.sort(np.concatenate([self.by_cell[first:last] for first, last in bounds]))

    def nearest(self, points: Floats, near: Numbers, reach_km: float) -> NDArray[Any]:
        """Of the places `near`, the one that each point belongs to; NONE where none is in reach."""
        best = np.full(points.shape[1], NONE)
        if not len(near):
            return best
        spots, radii, step = self.points[:, near], self.radii[near], max(1, BLOCK // len(near))
        for start in range(0, len(best), step):
            # Not as a matrix product, whose last digits depend on how many points there are.
            here = points[:, start : start + step, None]
            distances = EARTH_KM * np.sqrt(sum((here[axis] - spots[axis]) ** 2 for axis in range(3)))
            scores = np.where(distances <= reach_km, distances - radii, np.inf)
            best[start : start + step] = np.where(np.isinf(scores.min(axis=1)), NONE, near[scores.argmin(axis=1)])
        return best


def _numbers(column: pa.Array) -> NDArray[Any]:
    """Not to_numpy, which a pyarrow does not have that was imported without numpy (`lean.make_lean`)."""
    return np.from_dlpack(column)


@lru_cache(maxsize=1)
def _load() -> _Towns:
    with (resources.files("pipeline") / "places.parquet").open("rb") as file:
        # Not read_table, which imports pyarrow.dataset: 50 ms.
        table = pq.ParquetFile(file, read_dictionary=["country_code"]).read(use_threads=False).combine_chunks()
    columns = {name: table.column(name).chunk(0) for name in table.column_names}
    points = _on_sphere(_numbers(columns["latitude"]) / 1000, _numbers(columns["longitude"]) / 1000)
    cells = _cell(points)
    by_cell = np.argsort(cells, kind="stable")
    return _Towns(
        names=columns["name"],
        countries=np.array(columns["country_code"].dictionary.to_pylist())[_numbers(columns["country_code"].indices)],
        points=points,
        radii=MILLION_KM * np.sqrt(_numbers(columns["population"]) / 1e6),
        cells=cells[by_cell],
        by_cell=by_cell,
    )


@lru_cache(maxsize=1)
def _countries() -> dict[str | None, tuple[str, ...]]:
    """Zone -> its country, by zone.tab. Zones at sea, and former names of zones, are not in it."""
    text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    countries: dict[str | None, tuple[str, ...]] = {row[2]: (row[0],) for row in rows}
    return countries | SHARED
