"""Makes ``pipeline/outlines.parquet``: the outlines of all countries, for maps that load nothing.

From Natural Earth's countries at 1:110m (public domain), as shapefile or GeoJSON: ``python -m tests.outlines_table
ne_110m_admin_0_countries.shp``. One row per ring, in hundredths of a degree. The only hole, Lesotho's, is left out: Lesotho is
drawn over it.
"""

import sys
from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parent.parent / "pipeline" / "outlines.parquet"
ORDINATE = pa.list_(pa.int16())


def outlines(source: str) -> pa.Table:
    """The outer rings of all countries, each once around."""
    frame = geopandas.read_file(source)
    rings = [
        polygon.exterior.coords
        for shape in frame.geometry
        for polygon in (shape.geoms if hasattr(shape, "geoms") else [shape])
    ]
    longitudes = [[round(100 * point[0]) for point in ring] for ring in rings]
    latitudes = [[round(100 * point[1]) for point in ring] for ring in rings]
    return pa.table({"longitudes": pa.array(longitudes, ORDINATE), "latitudes": pa.array(latitudes, ORDINATE)})


if __name__ == "__main__":
    pq.write_table(outlines(sys.argv[1]), TARGET, compression="zstd")
