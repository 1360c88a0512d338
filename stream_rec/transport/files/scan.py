"""Whether a large file is in order of time already: a look at the column of times alone, through PyArrow.

Says yes only of what cannot be otherwise: whole numbers, or Parquet's own times, in a column of a plain file. All else
is left to those who read every record.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from stream_rec.core.events import DecodeRules
from stream_rec.core.events.paths import is_path
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.open import FileForm

__all__ = ["Span", "span_in_order"]

LEAST_BYTES: Final = 1 << 24
"""A smaller file is read at once, in less time than PyArrow needs to start."""
_BLOCK_BYTES: Final = 1 << 22
_UNITS: Final = ("s", "ms", "us")


class Span(NamedTuple):
    """The first and the last time of a file, in the unit of its column."""

    first: int
    last: int


def span_in_order(stream: ByteStream, form: FileForm, rules: DecodeRules) -> Span | None:
    """Return the span of the file *stream*, of this *form*, if its times never go back; None if that is not sure."""
    file = stream.seekable()
    size = stream.progress.total_bytes
    fields = rules.fields.as_dict().values()
    if file is None or stream.is_recoded or size is None or size < LEAST_BYTES or any(map(is_path, fields)):
        return None
    if form.format != "parquet" and (rules.timestamp_unit not in _UNITS or rules.timestamp_format is not None):
        return None
    try:
        import pyarrow as pa  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError:
        return None
    try:
        return _span(_columns(pa, file, form, rules))
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return None


def _columns(pa: Any, file: Any, form: FileForm, rules: DecodeRules) -> Iterator[Any]:  # noqa: ANN401 (not typed)
    """Yield the column of times, piece by piece, as PyArrow's whole numbers."""
    name = rules.fields.timestamp
    if form.format == "parquet":
        from pyarrow import parquet  # noqa: PLC0415

        for batch in parquet.ParquetFile(file).iter_batches(columns=[name]):
            column = batch.column(name)
            # In a zone, an hour that clocks pass over would come before the one that follows it.
            is_time = pa.types.is_timestamp(column.type) and rules.time_zone is None
            if not (is_time or (pa.types.is_integer(column.type) and rules.timestamp_unit in _UNITS)):
                raise ValueError(column.type)
            yield column.cast(pa.int64())
    elif form.format == "jsonl":
        from pyarrow import json  # noqa: PLC0415

        parse = json.ParseOptions(pa.schema([(name, pa.int64())]), unexpected_field_behavior="ignore")
        reader = json.open_json(file, json.ReadOptions(block_size=_BLOCK_BYTES), parse)
        yield from (batch.column(name) for batch in reader)
    elif form.delimiter is not None and len(form.delimiter) == 1 and form.format in {"csv", "tsv"}:
        from pyarrow import csv  # noqa: PLC0415

        has_header = not all(each.isascii() and each.isdigit() for each in rules.required())
        name = name if has_header else f"f{name}"
        reader = csv.open_csv(
            file,
            csv.ReadOptions(block_size=_BLOCK_BYTES, autogenerate_column_names=not has_header),
            csv.ParseOptions(delimiter=form.delimiter),
            csv.ConvertOptions(include_columns=[name], column_types={name: pa.int64()}),
        )
        yield from (batch.column(name) for batch in reader)
    else:
        raise ValueError(form.format)


def _span(columns: Iterable[Any]) -> Span | None:
    first = last = None
    for column in columns:
        times = column.to_numpy(zero_copy_only=False)
        if not len(times):
            continue
        if column.null_count or (last is not None and times[0] < last) or bool((np.diff(times) < 0).any()):
            return None
        first = int(times[0]) if first is None else first
        last = int(times[-1])
    return None if first is None or last is None else Span(first, last)
