"""Search of titles by what people type, regardless of case and accents.

All titles are in one text, which is searched at the speed of memory; then the hits are ranked.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import accumulate, islice
from typing import Final

__all__ = ["Titles", "folded"]

_MOST_RANKED: Final = 5000  # ranking half of all titles would take half a second
_END: Final = "\n"


def folded(text: str) -> str:
    """Return *text* in lower case without accents, with single blanks for white space."""
    if not text.isascii():
        text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join(text.casefold().split())


class Titles:
    """The folded titles of numbered rows."""

    def __init__(self, rows: Sequence[int], titles: Sequence[str]) -> None:
        self._rows = rows
        self._titles = titles
        self._text = _END + _END.join(titles)
        self._starts = list(accumulate((len(title) + 1 for title in titles), initial=0))[:-1]

    def search(self, text: str, limit: int) -> list[int]:
        """Return the rows of the best *limit* titles that contain all words of *text*.

        First come titles that begin with the text, then those with a word that does, then those that contain it as a
        whole, then the rest; of equals the shorter title, then by its letters. Of more than _MOST_RANKED equals only
        the first rows are ranked.
        """
        wanted = folded(text)
        words = wanted.split()
        found: dict[int, int] = {}
        if not words or limit < 1:
            return []
        rarest = min(words, key=self._text.count)
        for rank, needle in enumerate((_END + wanted, " " + wanted, wanted, rarest)):
            for place in islice(self._containing(needle), _MOST_RANKED):
                if place not in found and all(word in self._titles[place] for word in words):
                    found[place] = rank
            if len(found) >= limit:
                break
        best = nsmallest(
            limit, found, key=lambda place: (found[place], len(self._titles[place]), self._titles[place], place)
        )
        return [self._rows[place] for place in best]

    def _containing(self, needle: str) -> Iterator[int]:
        """Yield the places of the titles that contain *needle*."""
        at = self._text.find(needle)
        while at >= 0:
            place = bisect_right(self._starts, at) - 1
            yield place
            if place + 1 == len(self._starts):
                return
            at = self._text.find(needle, self._starts[place + 1])
