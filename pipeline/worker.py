"""What a worker process has in memory before it is forked: imported and initialised once, shared by all workers.

Imported by the fork server (`cluster.prepare_workers`) and by nothing else.
"""

from __future__ import annotations

from pipeline.lean import keep_pandas_out

keep_pandas_out()

import distributed.nanny  # noqa: E402
import distributed.protocol  # noqa: E402
import distributed.worker  # noqa: E402, F401

import pipeline.graph  # noqa: E402, F401
from pipeline.media.sniff import mime  # noqa: E402
from pipeline.resolve import zone_of  # noqa: E402

mime(b"\x89PNG\r\n\x1a\n", "a.png", "png")  # loads libmagic's database
zone_of(0.0, 0.0)  # loads the map of time zones
