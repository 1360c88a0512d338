"""Parquet: rows of typed columns, through pyarrow (an extra).

Does not know what the columns mean. Only columns that are mapped to a field are read, and the value of a
row's record is the JSON of those.
"""

import tempfile
from collections.abc import Iterator
from typing import IO, Any, Final

import msgspec

from stream_rec.core.events import DecodeRules
from stream_rec.errors import NoColumnError, SettingsError, TransportError
from stream_rec.transport.arrow import values_of
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.source import FileSource, columns_said, too_long
from stream_rec.transport.records import Progress, Record

__all__ = ["ParquetSource"]

_BATCH_ROWS: Final = 8192


class ParquetSource(FileSource):
    """One record in each row; its number is the row's, from 1. Raises SettingsError at once."""

    def __init__(
        self, stream: ByteStream, rules: DecodeRules, key: str, start: int = 1, *, whole: bool = False
    ) -> None:
        super().__init__(stream, rules.max_record_bytes, start)
        self._bytes = _seekable(stream)
        self._file = _open(self._bytes, stream.name, key)
        names = self._file.schema_arrow.names
        missing = [] if whole else rules.missing_in(names)
        if missing:
            seen = f"{stream.name} has no column {missing[0]!r}, but {columns_said(names, rules)}"
            raise NoColumnError(rules.field_of(missing[0]), seen, "say which is which with --field")
        self._columns = names if whole else rules.columns_in(names)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._n_rows = 0

    @property
    def progress(self) -> Progress:
        """In bytes of the file, by the share of rows that were read."""
        total = self.stream.progress.total_bytes
        rows = self._file.metadata.num_rows
        return Progress((total or 0) * self._n_rows // max(1, rows), total)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._bytes.close()
        super().close()

    def _blocks(self) -> Iterator[list[Record]]:
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=self._columns):
                yield self._rows_of(batch)
        except (
            OSError,
            ValueError,
            RuntimeError,
        ) as error:  # all errors of pyarrow are among them
            raise TransportError(f"{self.stream.name}: cannot be read beyond row {self._n_rows}: {error}") from error

    def _rows_of(self, batch: Any) -> list[Record]:  # noqa: ANN401 (pyarrow is not typed)
        columns = [values_of(batch.column(name)) for name in self._columns]
        names, first = self._columns, self._n_rows + 1
        rows = [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]
        self._n_rows += len(rows)
        return [self._record(row, number) for number, row in enumerate(rows, first)]

    def _record(self, row: dict[str, object], number: int) -> Record:
        value = self._encode(row)
        record = Record(value, self.topic, 0, number, None, (), None, row)
        limit = self.max_record_bytes
        return too_long(record, limit) if len(value) > limit else record


def _open(file: IO[bytes], name: str, key: str) -> Any:  # noqa: ANN401 (pyarrow is not typed)
    try:
        from pyarrow import parquet  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        raise SettingsError(key, "reading Parquet needs pyarrow: pip install 'stream-rec[parquet]'") from error
    try:
        return parquet.ParquetFile(file)
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(key, f"{name} is not a Parquet file: {error}") from error


def _seekable(stream: ByteStream) -> IO[bytes]:
    """The file itself, or a copy: Parquet is read from its end, and pipes and packed files cannot seek."""
    file = stream.seekable()
    if file is not None:
        return file
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the source)
    while block := stream.read():
        copy.write(block)
    copy.seek(0)
    return copy
