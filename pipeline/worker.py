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

from pipeline.lean import Hidden, make_lean, silence

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
import tornado.platform.asyncio  # noqa: E402, F401

import pipeline.graph  # noqa: E402, F401
from pipeline.first import make_first_row  # noqa: E402

# What a worker says when it is ended is no news to whoever ends it.
silence("distributed")
# What every worker would read as it starts is known: the versions of packages, from megabytes of metadata, and settings, which
# the driver sends it, whatever files say. That took 3 MB a worker.
distributed.worker.get_versions = functools.cache(distributed.worker.get_versions)
distributed.worker.get_versions()
dask.config.refresh = lambda *_, **__: None


os.umask(0o077)  # what a worker writes is for the user alone from the first moment on
ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # tables of OpenSSL
make_first_row()
gc.collect()
gc.freeze()  # the collector would write to every page it visits, and each worker then have a copy of its own
