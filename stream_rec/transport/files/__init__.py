"""Logs in files and pipes: CSV, TSV, JSON lines, JSON arrays and Parquet in; JSON lines out.

Knows nothing of what the records mean. Where a name decides something (the format), an explicit
setting decides it first; gzip is recognised by its first bytes, whatever the name.
"""

from stream_rec.transport.files._open import FORMATS, open_source
from stream_rec.transport.files._sink import FileSink, Mode, open_sink

__all__ = ["FORMATS", "FileSink", "Mode", "open_sink", "open_source"]
