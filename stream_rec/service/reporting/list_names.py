"""Names of the deny and allow lists that no item has: a mistake in a list must not look like a list that works.

An item is known if a retained session holds it or the catalogue lists it. A name may be right and its item new; so this
is reported, and is no error.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from stream_rec.core.engine import Engine

__all__ = ["UnknownNames", "unknown_name_lines", "unknown_names"]

UnknownNames = Mapping[str, tuple[str, ...]]
"""By list, deny or allow, the names that no item has, sorted. A list without such names is left out."""

_SHOWN: Final = 3


def unknown_names(engine: Engine) -> UnknownNames:
    """Return the names in the lists of *engine* that no item has; none as long as it knows no item at all.

    O(names), less than a microsecond each.
    """
    catalogue = engine.catalogue
    if not len(engine.items) and not catalogue:
        return {}
    lists = {"deny": engine.denied, "allow": engine.rules.allow or frozenset()}
    found = {
        name: tuple(
            sorted(item for item in of_list if item not in engine.items and not (catalogue and catalogue.get(item)))
        )
        for name, of_list in lists.items()
    }
    return {name: names for name, names in found.items() if names}


def unknown_name_lines(unknown: UnknownNames) -> Iterator[str]:
    """Yield a sentence for each list with such names."""
    for name, names in unknown.items():
        shown = ", ".join(repr(each) for each in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        yield f"{len(names):,} of the names to {name} are of no item that is known: {shown}"
