"""Logs in files and pipes: CSV, TSV, JSON lines, JSON arrays and Parquet in; JSON lines out.

Does not know what the records mean. An explicit setting of the format comes before the file's name;
gzip is recognised by its first bytes, whatever the name.
"""

from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.bytes import open_bytes as open_file
from stream_rec.transport.files.open import FORMATS, format_of_name, open_source
from stream_rec.transport.files.sink import FileSink, Mode, open_sink
from stream_rec.transport.files.source import FileSource, LinesSource

__all__ = [
    "FORMATS",
    "ByteStream",
    "FileSink",
    "FileSource",
    "LinesSource",
    "Mode",
    "format_of_name",
    "open_file",
    "open_sink",
    "open_source",
]
