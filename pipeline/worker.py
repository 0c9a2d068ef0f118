"""What a worker process has in memory before it is forked: imported and initialised once, shared by all workers,
which would else each import it for themselves.

Imported by the fork server (`cluster.local_cluster`) and by nothing else.
"""

from __future__ import annotations

import functools
import gc
import os
import ssl
import sys

from pipeline.lean import Hidden, make_lean

make_lean()
# distributed would import numpy, if only it were there: 5 MB here, 2 MB more in each worker.
sys.meta_path.insert(0, Hidden("numpy"))

# Some of these are imported by a worker only when it starts.
import multiprocessing.forkserver  # noqa: E402
import multiprocessing.popen_forkserver  # noqa: E402
import multiprocessing.synchronize  # noqa: E402, F401

import dask.config  # noqa: E402
import distributed.nanny  # noqa: E402
import distributed.protocol  # noqa: E402
import distributed.worker  # noqa: E402
import pyarrow as pa  # noqa: E402
import tornado.platform.asyncio  # noqa: E402, F401

import pipeline.graph  # noqa: E402, F401
from pipeline.item import Entry, MediaItem  # noqa: E402
from pipeline.media.sniff import mime  # noqa: E402
from pipeline.record import RECORD, to_record  # noqa: E402
from pipeline.resolve import zone_of  # noqa: E402
from pipeline.takeout.sidecar import parse_sidecar  # noqa: E402

# What every worker would read as it starts is known: the versions of packages, from megabytes of metadata, and settings, which
# the driver sends it, whatever files say. That took 3 MB a worker.
distributed.worker.get_versions = functools.cache(distributed.worker.get_versions)
distributed.worker.get_versions()
dask.config.refresh = lambda *_, **__: None


def _first_row() -> None:
    """Make one row and write it: whatever the first time makes (tables of OpenSSL, Arrow, libmagic, the map of
    time zones, compiled patterns) is made once and for all workers."""
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    mime(b"text", "a", "")
    zone_of(0.0, 0.0)
    document, _ = parse_sidecar(b'{"title": "a.jpg", "photoTakenTime": {"timestamp": "1564488000"}}')
    row = to_record(MediaItem(media=Entry("a.jpg", "", 1, 1), file_id="", document=document))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, RECORD) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=RECORD))


os.umask(0o077)  # what a worker writes is for the user alone from the first moment on
_first_row()
gc.collect()
gc.freeze()  # the collector would write to every page it visits, and each worker then have a copy of its own
