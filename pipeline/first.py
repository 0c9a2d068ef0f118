"""The first row: whatever is made with it, made once for all processes that are forked afterwards."""

from __future__ import annotations

import pyarrow as pa

from pipeline.item import Entry, MediaItem
from pipeline.media.sniff import mime
from pipeline.record import RECORD, to_record
from pipeline.resolve import zone_of
from pipeline.takeout.sidecar import parse_sidecar


def make_first_row() -> None:
    """Make one row and write it: tables of Arrow and libmagic, the map of time zones, compiled patterns come with it."""
    mime(b"text", "a", "")
    zone_of(0.0, 0.0)
    document, _ = parse_sidecar(b'{"title": "a.jpg", "photoTakenTime": {"timestamp": "1564488000"}}')
    row = to_record(MediaItem(media=Entry("a.jpg", "", 1, 1), file_id="", document=document))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, RECORD) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=RECORD))
