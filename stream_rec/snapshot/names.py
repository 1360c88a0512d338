"""Names as bytes and lengths, and back, a few thousand at a time.

One such chunk holds the interpreter's lock for about a millisecond, so that another thread can answer meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AT_ONCE", "Packed", "chunks_of", "pack", "unpack"]

AT_ONCE: Final = 4096
Lengths = npt.NDArray[np.uint32]


class Packed(NamedTuple):
    """Concatenated names: UTF-8 in pieces, and the number of bytes of each name."""

    pieces: list[bytes]
    lengths: Lengths


def chunks_of(names: Iterable[str]) -> Iterator[list[str]]:
    """Cut *names* into lists of AT_ONCE."""
    remaining = iter(names)
    while chunk := list(islice(remaining, AT_ONCE)):
        yield chunk


def pack(names: Iterable[list[str]], yield_cpu: Callable[[], None]) -> Packed:
    """Pack lists of names, and call *yield_cpu* after each."""
    pieces, lengths = [], [np.empty(0, np.uint32)]
    for chunk in names:
        piece, of_each = _pack_chunk(chunk)
        pieces.append(piece)
        lengths.append(of_each)
        yield_cpu()
    return Packed(pieces, np.concatenate(lengths))


def _pack_chunk(names: list[str]) -> tuple[bytes, Lengths]:
    text = "".join(names)
    piece = text.encode("utf-8", "surrogatepass")
    if len(piece) == len(text):  # one byte per character, as in most logs
        return piece, np.fromiter(map(len, names), np.uint32, len(names))
    return piece, np.array([len(name.encode("utf-8", "surrogatepass")) for name in names], np.uint32)


def unpack(blob: bytes, lengths: Lengths) -> list[str]:
    """Return the names in *blob*. Raises ValueError for bytes that are not names of these lengths."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    if int(ends[-1]) != len(blob):
        raise ValueError("the bytes of names and their lengths differ")
    places = pairwise(ends.tolist())
    if blob.isascii():
        text = blob.decode("ascii")
        return [text[begin:end] for begin, end in places]
    return [blob[begin:end].decode("utf-8", "surrogatepass") for begin, end in places]
