"""Logs in files and pipes: CSV, TSV, JSON lines, JSON arrays and Parquet in; JSON lines out.

Does not know what the records mean. The content of a file says how it is packed and written, whatever its name; an
explicit setting of the format comes before that.
"""

from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.bytes import open_bytes as open_file
from stream_rec.transport.files.content import delimiter_said
from stream_rec.transport.files.last_lines import LastLines
from stream_rec.transport.files.open import FORMATS, FileForm, form_of_file, open_source
from stream_rec.transport.files.places import FoundFile, find_files, with_data
from stream_rec.transport.files.scan import span_in_order
from stream_rec.transport.files.several import FilesSource
from stream_rec.transport.files.sink import FileSink, Mode, open_sink
from stream_rec.transport.files.source import FileSource, LinesSource

__all__ = [
    "FORMATS",
    "ByteStream",
    "FileForm",
    "FileSink",
    "FileSource",
    "FilesSource",
    "FoundFile",
    "LastLines",
    "LinesSource",
    "Mode",
    "delimiter_said",
    "find_files",
    "form_of_file",
    "open_file",
    "open_sink",
    "open_source",
    "span_in_order",
    "with_data",
]
