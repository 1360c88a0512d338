"""A JSON array of records, element by element: no file is too large, no bad element stops it.

Knows only as much JSON as finds the end of an element: strings, brackets, commas. A `.json` file that
does not begin with a bracket is read as JSON lines, which many of them are.
"""

import re
from collections.abc import Iterator
from typing import Final

from stream_rec.core.events import Reason
from stream_rec.errors import TransportError
from stream_rec.transport.files.bytes import ByteStream
from stream_rec.transport.files.source import FileSource, LinesSource, too_long
from stream_rec.transport.records import Record

__all__ = ["JsonSource"]

_OUTSIDE: Final = re.compile(rb'["\[\]{},]')
_INSIDE: Final = re.compile(rb'["\\]')
# A whole flat element and its comma, which most are. Possessive, so that it never tries twice.
_FLAT: Final = re.compile(rb'\s*+(\{(?:[^"{}\[\]\\]++|"[^"\\]*+")*+\})\s*+,')
_SPACE: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


class JsonSource(FileSource):
    """One record in each element of a top-level array; its number is the element's, from 1."""

    def _blocks(self) -> Iterator[list[Record]]:
        start = _first_block(self.stream)
        if not start.startswith(b"["):
            self.stream.push_back(start)
            yield from LinesSource(self.stream, self.max_record_bytes)._blocks()  # noqa: SLF001
            return
        self.stream.push_back(start[1:])
        elements = _Elements(self.max_record_bytes)
        n = 0
        while block := self._read(n):
            found = elements.feed(block)
            if found:
                yield [self._record(value, n + i) for i, value in enumerate(found, 1)]
                n += len(found)
        if not elements.closed:
            raise TransportError(
                f"{self.stream.name}: the array is not closed after element {n}: the file is cut "
                "off, or a bracket or quote of the next element is missing"
            )
        if elements.rest:
            fault = (Reason.NOT_JSON, "text after the end of the array")
            yield [Record(elements.rest, self.topic, 0, n + 1, fault=fault)]

    def _read(self, n: int) -> bytes:
        try:
            return self.stream.read()
        except TransportError as error:
            raise TransportError(f"{error.message} (element {n} is the last whole one)") from error

    def _record(self, value: bytes, number: int) -> Record:
        record = Record(value, self.topic, 0, number)
        limit = self.max_record_bytes
        return too_long(record, limit) if len(value) > limit else record


class _Elements:
    """Splits the inside of an array, block by block. Holds at most *limit* + 1 bytes of one."""

    def __init__(self, limit: int) -> None:
        self.closed = False
        self.rest = b""
        self._limit = limit
        self._element = bytearray()
        self._depth = 0
        self._in_string = False
        self._n_skip = 0  # bytes of the next block that a backslash has made harmless
        self._n_found = 0

    def feed(self, block: bytes) -> list[bytes]:
        """The elements that end in *block*."""
        found: list[bytes] = []
        if self.closed:
            self._keep_rest(block)
            return found
        start, at = 0, self._n_skip
        self._n_skip = 0
        while at <= len(block):
            if at == start:
                start = at = self._take_flat(block, at, found)
            match = (_INSIDE if self._in_string else _OUTSIDE).search(block, at)
            if match is None:
                break
            at = match.end()
            token = match[0]
            if token == b"\\":
                at += 1
                self._n_skip = max(0, at - len(block))
            elif token == b'"':
                self._in_string = not self._in_string
            elif token in b"[{" or (token in b"]}" and self._depth):
                self._depth += 1 if token in b"[{" else -1
            elif token in b",]" and not self._depth:
                last = token == b"]"
                self._finish(block[start : match.start()], found, last=last)
                start = at
                if last:
                    self._keep_rest(block[at:])
                    return found
        self._add(block[start:])
        return found

    def _take_flat(self, block: bytes, at: int, found: list[bytes]) -> int:
        """Where the flat elements that lie whole in *block* from *at* on end: nine times faster."""
        if self._element or self._in_string or self._depth:
            return at
        while (flat := _FLAT.match(block, at)) is not None:
            found.append(flat[1])
            self._n_found += 1
            at = flat.end()
        return at

    def _finish(self, end: bytes, found: list[bytes], *, last: bool) -> None:
        self._add(end)
        element = bytes(self._element).strip(_SPACE)
        self._element.clear()
        self.closed = last
        # Nothing at all is an empty array; nothing beside a comma is a missing element.
        if element or not last or self._n_found:
            found.append(element)
            self._n_found += 1

    def _add(self, part: bytes) -> None:
        room = self._limit + 1 - len(self._element)
        self._element += (part if self._element else part.lstrip(_SPACE))[:room]

    def _keep_rest(self, block: bytes) -> None:
        self.rest = (self.rest + block).strip(_SPACE)[: self._limit]


def _first_block(stream: ByteStream) -> bytes:
    """The file from its first byte that is not space on; empty if there is none."""
    start = b""
    while len(start) <= len(_BOM) and (block := stream.read()):
        start = (start + block).removeprefix(_BOM).lstrip(_SPACE)
    return start
