"""Bytes -> lines, in blocks. Does not parse the lines.

A line ends in LF or CRLF, the last one also at the end of the file. A line that is too long is cut while
it is read, so that no line fills the memory.
"""

from collections.abc import Iterator
from typing import Final

from stream_rec.errors import TransportError
from stream_rec.transport.files.bytes import ByteStream

__all__ = ["line_blocks"]

_BOM: Final = b"\xef\xbb\xbf"


def line_blocks(stream: ByteStream, max_bytes: int, *, keep_cr: bool = False) -> Iterator[list[bytes]]:
    """Lists of whole lines, as they come; an empty list when nothing is waiting.

    Of a line longer than *max_bytes*, one byte more than that is left. *keep_cr* leaves the CR of a
    CRLF, for callers that must know how a line ended.
    """
    n_lines = 0
    try:
        for lines in _split(stream, max_bytes, keep_cr=keep_cr):
            if lines and not n_lines:
                lines[0] = lines[0].removeprefix(_BOM)
            n_lines += len(lines)
            yield lines
    except TransportError as error:
        raise TransportError(f"{error.message} (line {n_lines} is the last that is whole)") from error


def _split(stream: ByteStream, max_bytes: int, *, keep_cr: bool) -> Iterator[list[bytes]]:
    tail = b""
    for new in _reads(stream):
        block = new
        if len(tail) > max_bytes + 1 and block:  # cut already: drop the rest of the line
            end = block.find(b"\n")
            if end < 0:
                continue
            block = block[end:]
        if not block:
            yield []
            continue
        block = tail + block
        lines = block.split(b"\n")
        tail = lines.pop()[: max_bytes + 2]  # the last may be the CR of its end
        if not keep_cr and b"\r\n" in block:
            lines = [line.removesuffix(b"\r") for line in lines]
        if len(block) > max_bytes:
            lines = [line[: max_bytes + 1] for line in lines]
        if lines:
            yield lines
    if tail:
        yield [(tail if keep_cr else tail.removesuffix(b"\r"))[: max_bytes + 1]]


def _reads(stream: ByteStream) -> Iterator[bytes]:
    """The blocks of *stream*, and an empty one whenever nothing is waiting."""
    while True:
        wait = False
        while not stream.ready(wait=wait):
            yield b""
            wait = True
        block = stream.read()
        if not block:
            return
        yield block
