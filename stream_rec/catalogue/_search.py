"""Titles, to be found by what people type: no matter the case, nor accents.

All titles stand in one text, which is searched at memory's speed; what is found is ranked.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from itertools import accumulate
from typing import Final

__all__ = ["Titles", "folded"]

_END: Final = "\n"


def folded(text: str) -> str:
    """Return *text* in small letters without accents, white space as single blanks."""
    if not text.isascii():
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join(text.casefold().split())


class Titles:
    """The folded titles of numbered rows."""

    def __init__(self, rows: Sequence[int], titles: Sequence[str]) -> None:
        self._rows = rows
        self._titles = titles
        self._text = _END.join(titles)
        self._starts = list(accumulate((len(title) + 1 for title in titles), initial=0))[:-1]

    def search(self, text: str, limit: int) -> list[int]:
        """Return the rows of the best *limit* titles that hold all words of *text*.

        First those that begin with the text, then those of which a word does, then those that hold it as a whole, then
        the rest; of equals the shorter title first, then by its letters.
        """
        wanted = folded(text)
        words = wanted.split()
        if not words or limit < 1:
            return []
        found = []
        for place in self._holding(max(words, key=len)):
            title = self._titles[place]
            if all(word in title for word in words):
                found.append((self._rank(title, wanted), len(title), title, place))
        return [self._rows[place] for *_, place in nsmallest(limit, found)]

    def _holding(self, word: str) -> Iterable[int]:
        """Yield the places of the titles that hold *word*."""
        at = self._text.find(word)
        while at >= 0:
            place = bisect_right(self._starts, at) - 1
            yield place
            if place + 1 == len(self._starts):
                return
            at = self._text.find(word, self._starts[place + 1])

    @staticmethod
    def _rank(title: str, wanted: str) -> int:
        if title.startswith(wanted):
            return 0
        if " " + wanted in title:
            return 1
        return 2 if wanted in title else 3
