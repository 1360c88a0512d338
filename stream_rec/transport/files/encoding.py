"""Text in any encoding -> UTF-8, block by block.

UTF-16 and UTF-32 are recognised by their byte order mark, and UTF-16 also by the zeros between its letters; all else
must be said. What cannot be decoded stays wrong in UTF-8, so that the reader of the record refuses it, and no other.
"""

import codecs
from collections.abc import Callable
from typing import Final

from stream_rec.errors import SettingsError

__all__ = ["Recoder", "codec_name", "encoding_of", "recoder"]

_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEFT_AS_IT_IS: Final = ("utf-8", "ascii")
_WIDE: Final = ("utf-16", "utf-32")
_NEVER_UTF8: Final = "\udcff"
"""What `surrogateescape` writes as the byte FF, which is in no UTF-8."""


def _mark(error: UnicodeError) -> tuple[str | bytes, int]:
    """Stand for what cannot be decoded, so that the record that holds it is refused."""
    assert isinstance(error, UnicodeDecodeError)
    return _NEVER_UTF8, error.end


codecs.register_error("stream_rec.mark", _mark)


class Recoder:
    """The blocks that *read* returns, of which *first* was read before, in UTF-8."""

    def __init__(self, encoding: str, first: bytes, read: Callable[[], bytes]) -> None:
        self._first = first
        self._read = read
        # A wrong byte stays itself; of wider units, half of one may look like UTF-8.
        wrong = "stream_rec.mark" if encoding.startswith(_WIDE) else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(encoding)(wrong)
        self._is_over = False

    def read(self) -> bytes:
        """Return the next block, empty at the end."""
        while not self._is_over:
            raw, self._first = self._first or self._read(), b""
            self._is_over = not raw
            text = self._decoder.decode(raw, final=self._is_over)
            if text:
                return text.encode("utf-8", "surrogateescape")
        return b""


def recoder(encoding: str | None, first: bytes, read: Callable[[], bytes]) -> Recoder | None:
    """Return what brings the text to UTF-8 that begins with *first*; None where it may stay as it is.

    Raises SettingsError where there is no such *encoding*.
    """
    chosen = encoding_of(first) if encoding is None else codec_name(encoding)
    if chosen in _WIDE and not any(first.startswith(mark) for mark, name in _MARKS if name == chosen):
        chosen = _without_mark(chosen, first)
    return None if chosen is None or chosen in _LEFT_AS_IT_IS else Recoder(chosen, first, read)


def codec_name(encoding: str) -> str:
    """Return Python's name of *encoding*. Raises SettingsError where there is none, or it is none of files of text."""
    try:
        "".encode(encoding)  # refuses codecs that are none of text, such as zip
        name = codecs.lookup(encoding).name
        if not name.startswith(_WIDE):  # a byte is none of theirs
            codecs.getincrementaldecoder(encoding)("surrogateescape").decode(b"a", final=True)
    except (LookupError, UnicodeError, ValueError):  # UnicodeError: those of names of hosts
        message = f"{encoding!r} is no encoding of text that Python knows: such as utf-16, latin-1, windows-1252"
        raise SettingsError("encoding", message) from None
    return name


def _without_mark(encoding: str, first: bytes) -> str:
    """Return the order of bytes of text in *encoding* without a mark: little-endian, unless zeros show the other."""
    zeros = 3 if encoding == "utf-32" else 1
    is_big = first[:zeros] == bytes(zeros) and first[zeros : zeros + 1] != b"\0"
    return f"{encoding}-{'be' if is_big else 'le'}"


def encoding_of(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 where *head* shows that the text is one of them, else None."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    first = head[:4]
    if len(first) == 4:  # noqa: PLR2004 (two characters)
        low, high = first[0::2], first[1::2]
        if not any(high) and all(low):
            return "utf-16-le"
        if not any(low) and all(high):
            return "utf-16-be"
    return None
