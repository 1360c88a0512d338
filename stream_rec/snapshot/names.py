"""Names as bytes and lengths, and back, a few thousand at a time.

The interpreter's lock is held for no longer than one such handful takes, a millisecond, so that another thread's
answers go on beside it.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["AT_ONCE", "Packed", "handfuls", "pack", "unpack"]

AT_ONCE: Final = 4096
Lengths = npt.NDArray[np.uint32]


class Packed(NamedTuple):
    """Names, one behind the other: UTF-8 in pieces, and the bytes of each name."""

    pieces: list[bytes]
    lengths: Lengths


def handfuls(names: Iterable[str]) -> Iterator[list[str]]:
    """Cut *names* into lists of AT_ONCE."""
    rest = iter(names)
    while handful := list(islice(rest, AT_ONCE)):
        yield handful


def pack(names: Iterable[list[str]], rest: Callable[[], None]) -> Packed:
    """Pack lists of names, and call *rest* behind each."""
    pieces, lengths = [], [np.empty(0, np.uint32)]
    for handful in names:
        piece, of_each = _pack_handful(handful)
        pieces.append(piece)
        lengths.append(of_each)
        rest()
    return Packed(pieces, np.concatenate(lengths))


def _pack_handful(names: list[str]) -> tuple[bytes, Lengths]:
    text = "".join(names)
    piece = text.encode("utf-8", "surrogatepass")
    if len(piece) == len(text):  # a byte each, as in most logs
        return piece, np.fromiter(map(len, names), np.uint32, len(names))
    return piece, np.array([len(name.encode("utf-8", "surrogatepass")) for name in names], np.uint32)


def unpack(blob: bytes, lengths: Lengths) -> list[str]:
    """Return the names again. Raises ValueError for bytes that are none."""
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    if int(ends[-1]) != len(blob):
        raise ValueError("the bytes of names and their lengths differ")
    places = pairwise(ends.tolist())
    if blob.isascii():
        text = blob.decode("ascii")
        return [text[begin:end] for begin, end in places]
    return [blob[begin:end].decode("utf-8", "surrogatepass") for begin, end in places]
