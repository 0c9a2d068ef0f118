"""What a worker process has in memory before it is forked: imported and initialised once, shared by all workers,
which would else each import it for themselves.

Imported by the fork server (`cluster.local_cluster`) and by nothing else.
"""

from __future__ import annotations

import gc

from pipeline.lean import make_lean

make_lean()

import distributed.nanny  # noqa: E402
import distributed.protocol  # noqa: E402
import distributed.worker  # noqa: E402, F401
import numpy.random  # noqa: E402, F401

import pipeline.graph  # noqa: E402, F401
from pipeline.media.sniff import mime  # noqa: E402
from pipeline.resolve import zone_of  # noqa: E402

mime(b"text", "a", "")  # loads libmagic's database
zone_of(0.0, 0.0)  # loads the map of time zones

gc.collect()
gc.freeze()  # the collector would write to every page it visits, and each worker then have a copy of its own
