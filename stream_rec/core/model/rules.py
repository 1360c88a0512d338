"""Which items are allowed, how many of a category, and which are boosted: rules compiled to arrays for the kernels.

Standing rules are part of each item's record (`denied`). The rules of a query are a *rule set*: compiled when first
asked for, and cached until the catalogue changes or other rule sets need the space. A query narrows the standing rules
and never widens them.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from stream_rec.core.bounds import MAX_BOOSTS, BoostFactor, UpTo10000
from stream_rec.core.catalogue import Catalogue, holds
from stream_rec.core.events import Request
from stream_rec.core.expressions import Expression, ExpressionError, parse
from stream_rec.core.index import ANYTHING, Policy, field, unrestricted_terms
from stream_rec.core.limits import validated
from stream_rec.errors import SettingsError
from stream_rec.nearest import NamesItsFields

__all__ = ["LEAST_SETS", "MAX_BOOSTS", "MOST_SETS", "CompiledRules", "Rules"]

_MOST_BYTES: Final = 64 << 20
MOST_SETS, LEAST_SETS = 256, 8
_FEW: Final = 8  # a rule set that allows at most one row in so many lists them
_NO_ROWS: Final = np.empty(0, np.int32)

_RuleSetKey = tuple[str | None, tuple[tuple[str, float], ...]]


class Rules(msgspec.Struct, frozen=True, kw_only=True, metaclass=NamesItsFields):
    """The standing rules. Expressions are over the fields of the catalogue.

    >>> from stream_rec import Engine, Rules
    >>> Engine(rules=Rules(deny=frozenset({"gift-card"}), filter="price < 100")).rules.filter
    'price < 100'
    """

    deny: frozenset[str] = frozenset()
    """Items that are never recommended."""

    allow: frozenset[str] | None = None
    """The only items that are allowed; None: all are."""

    filter: str | None = None
    """Only items for which this expression holds."""

    boosts: dict[str, BoostFactor] = {}
    """Expression -> factor of the scores of items for which it holds."""

    same_category: bool = False
    """Only items of the category of the current item, if it has one."""

    max_per_category: UpTo10000 | None = None
    """Most items of one category."""


class CompiledRules:
    """The standing rules over a catalogue, and the rule sets of queries.

    Raises SettingsError for rules out of range, and for invalid expressions.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = validated(rules)
        needs_one = rules.filter is not None or rules.boosts or rules.same_category or rules.max_per_category
        self.catalogue: Catalogue | None = Catalogue() if needs_one else None
        if rules.filter is not None:
            _parsed("filter", rules.filter)
        for text in rules.boosts:
            _parsed("boosts", text)
        if len(rules.boosts) > MAX_BOOSTS:
            raise SettingsError("boosts", f"expected at most {MAX_BOOSTS}, found {len(rules.boosts)}")
        self._look_up(Catalogue())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickle, and compile again: what is unset is known by identity, which no pickle keeps."""
        self.__dict__.update(state)
        self._look_up(state["_catalogue"])
        self._holder[:] = state["_holder"]

    # --- the standing rules

    def by_list(self, name: str) -> int:
        """Return DENIED_BY_LIST if the lists deny the item, else 0."""
        allow = self.rules.allow
        is_denied = name in self.rules.deny or (allow is not None and name not in allow)
        return field.DENIED_BY_LIST if is_denied else 0

    def rows(self, names: Sequence[str], items: Sequence[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Return the rows of *names*, whose ordinals are *items*, and the DENIED_* bits from the catalogue.

        From now on each of these rows has that ordinal.
        """
        rows = np.fromiter(map(self._catalogue.row, names), np.int32, len(names))
        self._holder[rows] = items
        self._holder[0] = -1
        return rows, self.by_catalogue(rows)

    def forget_ordinals(self) -> None:
        """Forget the ordinals of all rows, because they have changed."""
        self._holder[:] = -1

    def by_catalogue(self, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Return DENIED_BY_CATALOGUE for each of *rows* that the catalogue denies, else 0."""
        return self._barred[rows]

    def set_catalogue(self, catalogue: Catalogue) -> int:
        """Put *catalogue* in force; return its first row that has no ordinal yet.

        0 means that all rows have changed. Rule sets are compiled again when next asked for.
        """
        before = self._catalogue
        is_next = catalogue.line is before.line and catalogue.n_rows >= before.n_rows
        holder = self._holder
        self.catalogue = catalogue
        self._look_up(catalogue)
        if not is_next:
            return 0
        self._holder[: holder.size] = holder
        return before.n_rows

    def _look_up(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        n = catalogue.n_rows
        barred = ~catalogue.available
        if self.rules.filter is not None:
            barred |= ~holds(parse(self.rules.filter), catalogue)
        self._barred = barred.astype(np.uint8) * np.uint8(field.DENIED_BY_CATALOGUE)
        self._holder = np.full(n, -1, np.int32)
        self._sets = _RuleSets(n)
        self._group = ANYTHING.group
        self._member, self._member_at = ANYTHING.member, ANYTHING.member_at
        self._base: Policy | None = None
        self._pinned: set[int] = set()
        self._own = field.NO_RULESET
        if self.rules.boosts:
            self._own = self._sets.put((None, ()), *self._compiled(None, ()), set()) or 0
        self.default = self._default()

    def _default(self) -> Policy:
        """Return the policy of a query without rules of its own."""
        rules = self.rules
        if self._own == field.NO_RULESET and not rules.same_category and rules.max_per_category is None:
            return ANYTHING
        own = np.array([self._terms(Request(session_id=""), [], _no_item)], field.TERMS)
        return self._policy()._replace(terms=own)

    # --- the rules of queries

    def are_compiled(self, requests: Sequence[Request]) -> bool:
        """Return whether nothing needs to be compiled for *requests*: `policies` then changes nothing it shares."""
        return all(map(self._is_compiled, requests))

    def _is_compiled(self, request: Request) -> bool:
        if _is_plain(request):
            return True
        has_set = request.filter is None and not request.boost
        return (
            self._base is not None
            and (has_set or self._sets.has(_key_of(request)))
            and (self._group is not ANYTHING.group or not (request.max_per_category or request.same_category))
            and (self._member is not ANYTHING.member or not request.same_category)
        )

    def policies(
        self, requests: Sequence[Request], find: Callable[[str], int | None], at_most: int
    ) -> Iterator[tuple[int, int, Policy]]:
        """Yield (begin, end, policy) for stretches of *requests*, mostly one for all.

        *find* returns the ordinal of an item. Raises SettingsError for an invalid expression, and for a rule that needs
        a catalogue if there is none.
        """
        begin = 0
        if all(map(_is_plain, requests)):
            for begin in range(0, len(requests), at_most):
                yield begin, min(len(requests), begin + at_most), self.default
            return
        while begin < len(requests):
            self._pinned = {self._own}
            rows: list[tuple[int, ...]] = []
            listed: list[int] = []
            for request in requests[begin : begin + at_most]:
                row = self._terms(request, listed, find)
                if row is None:
                    break
                rows.append(row)
            policy = self._policy()._replace(terms=np.array(rows, field.TERMS), listed=np.array(listed, np.int32))
            yield begin, begin + len(rows), policy
            begin += len(rows)

    def factors(self, request: Request) -> npt.NDArray[np.float64]:
        """Return the factor that filters and boosts give the scores of each row of the catalogue, NaN: it is excluded.

        Row 0 is that of all items outside the catalogue. Lists, availability and the bound by category are not in it.
        Raises as `policies` does.
        """
        self._refuse_without_catalogue(request)
        self._pinned = {self._own}
        number = self._ruleset(request)
        assert number is not None, "one set always finds its place"
        if number == field.NO_RULESET:
            return np.ones(self._catalogue.n_rows, np.float64)
        verdict = self._sets.verdict[number]
        factors = np.ones(verdict.size) if self._sets.most[number] == 0.0 else self._sets.factor[number, verdict]
        factors[verdict == 0] = np.nan
        return factors

    def verdict(self, request: Request) -> npt.NDArray[np.uint16] | None:
        """Return the verdict that filters and boosts give each row of the catalogue, 0: excluded; None: they are none.

        Raises as `policies` does.
        """
        self._refuse_without_catalogue(request)
        self._pinned = {self._own}
        number = self._ruleset(request)
        assert number is not None, "one set always finds its place"
        if number == field.NO_RULESET:
            return None
        found: npt.NDArray[np.uint16] = self._sets.verdict[number]
        return found

    @staticmethod
    def boosts(policy: Policy, row: npt.NDArray[np.int32], items: npt.NDArray[np.int32]) -> dict[int, float]:
        """Return the factors other than 1 that *policy*, of one query, gives the scores of *items*.

        *row* holds the catalogue row of each item.
        """
        ruleset = int(policy.terms["ruleset"][0])
        if ruleset == field.NO_RULESET or policy.most[ruleset] == 0.0:
            return {}
        factors = policy.factor[ruleset, policy.verdict[ruleset, row[items]]]
        return {item: factor for item, factor in zip(items.tolist(), factors.tolist(), strict=True) if factor != 1.0}

    def _terms(self, request: Request, listed: list[int], find: Callable[[str], int | None]) -> tuple[int, ...] | None:
        """Return the terms of *request*, as fields of TERMS; None if its rule set must wait for the next stretch."""
        self._refuse_without_catalogue(request)
        ruleset = self._ruleset(request)
        if ruleset is None:
            return None
        own = self.rules
        cap = request.max_per_category or own.max_per_category or 0
        same = own.same_category if request.same_category is None else request.same_category
        if (cap or same) and self._group is ANYTHING.group:
            self._group = self._catalogue.column("category").codes
            self._base = None
        if same and self._member is ANYTHING.member:
            self._list_members()
        begin = len(listed)
        listed += [item for name in request.exclude if (item := find(name)) is not None]
        middle = len(listed)
        if request.allow is not None:
            listed += [item for name in dict.fromkeys(request.allow) if (item := find(name)) is not None]
        row = field.LAST_SEEN
        if same and request.items is not None:
            row = self._catalogue.row(request.items[-1]) if request.items else 0
        only_listed = request.allow is not None
        return (begin, middle, middle, len(listed), ruleset, cap, row, same, only_listed)

    def _ruleset(self, request: Request) -> int | None:
        if request.filter is None and not request.boost:
            return self._own
        key = _key_of(request)
        number = self._sets.find(key)
        if number is None:
            verdict, factors = self._compiled(*key)
            number = self._sets.put(key, verdict, factors, self._pinned)
            self._base = None
        if number is not None:
            self._pinned.add(number)
        return number

    def _refuse_without_catalogue(self, request: Request) -> None:
        if self.catalogue is not None:
            return
        for key in ("filter", "boost", "same_category", "max_per_category"):
            if getattr(request, key):
                raise SettingsError(key, "there is no catalogue to look items up in: set `catalogue`")

    def _compiled(
        self, text: str | None, boosts: tuple[tuple[str, float], ...]
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
        """Return the verdict on each row, and the factor of each verdict from 1. O(rows)."""
        catalogue = self._catalogue
        every = [*self.rules.boosts.items(), *boosts]
        if len(every) > MAX_BOOSTS:
            message = f"expected at most {MAX_BOOSTS} with those of the settings, found {len(every)}"
            raise SettingsError("boost", message)
        code = np.zeros(catalogue.n_rows, np.int64)
        for bit, (boost, _) in enumerate(every):
            code |= holds(_parsed("boost", boost), catalogue).astype(np.int64) << bit
        codes = np.flatnonzero(np.bincount(code))
        verdict = np.zeros(int(codes[-1]) + 1, np.uint16)
        verdict[codes] = np.arange(1, codes.size + 1)
        verdict = verdict[code]
        if text is not None:
            verdict[~holds(_parsed("filter", text), catalogue)] = 0
        factors = np.ones(codes.size + 1, np.float64)
        for place, each in enumerate(codes.tolist(), 1):
            for bit, (_, factor) in enumerate(every):
                if each >> bit & 1:
                    factors[place] *= factor
        return verdict, factors if every else _NO_FACTORS

    def _list_members(self) -> None:
        group = self._group
        self._member = np.argsort(group, kind="stable").astype(np.int32)
        self._member_at = np.zeros(int(group.max()) + 2, np.int64)
        np.cumsum(np.bincount(group), out=self._member_at[1:])
        self._base = None

    def _policy(self) -> Policy:
        """Return the policy arrays that all terms refer to."""
        if self._base is None:
            sets = self._sets
            chosen, chosen_at = sets.chosen()
            self._base = Policy(
                terms=unrestricted_terms(1),
                listed=_NO_ROWS,
                verdict=sets.verdict,
                factor=sets.factor,
                most=sets.most,
                chosen=chosen,
                chosen_at=chosen_at,
                group=self._group,
                member=self._member,
                member_at=self._member_at,
                holder=self._holder,
            )
        return self._base


_NO_FACTORS: Final = np.zeros(2, np.float64)


class _RuleSets:
    """Cached rule sets by their rules; the least recently used one is replaced first."""

    def __init__(self, n_rows: int) -> None:
        n_sets = max(LEAST_SETS, min(MOST_SETS, _MOST_BYTES // (2 * n_rows)))
        self.verdict = np.zeros((n_sets, n_rows), np.uint16)  # unused rows take no memory yet
        self.factor = np.zeros((n_sets, 2), np.float64)
        self.most = np.zeros(n_sets, np.float64)
        self._numbers: OrderedDict[_RuleSetKey, int] = OrderedDict()
        self._chosen: list[npt.NDArray[np.int32]] = [_NO_ROWS] * n_sets

    def has(self, key: _RuleSetKey) -> bool:
        return key in self._numbers

    def find(self, key: _RuleSetKey) -> int | None:
        number = self._numbers.get(key)
        if number is not None:
            self._numbers.move_to_end(key)
        return number

    def put(
        self, key: _RuleSetKey, verdict: npt.NDArray[np.uint16], factors: npt.NDArray[np.float64], pinned: set[int]
    ) -> int | None:
        """Store a rule set; return its number, None if all others are *pinned*."""
        number = self._place_for(pinned)
        if number is None:
            return None
        if factors.size > self.factor.shape[1]:
            grown = np.zeros((len(self.most), factors.size), np.float64)
            grown[:, : self.factor.shape[1]] = self.factor
            self.factor = grown
        self.verdict[number] = verdict
        self.factor[number, : factors.size] = factors
        self.most[number] = factors.max()  # 0 if no score is multiplied
        rows = np.flatnonzero(verdict).astype(np.int32)
        self._chosen[number] = _NO_ROWS
        if verdict[0] == 0 and rows.size * _FEW <= verdict.size:
            self._chosen[number] = rows if rows.size else np.zeros(1, np.int32)  # row 0 has no item
        self._numbers[key] = number
        return number

    def _place_for(self, pinned: set[int]) -> int | None:
        if len(self._numbers) < len(self.most):
            return len(self._numbers)
        for key, number in self._numbers.items():
            if number not in pinned:  # planted bug: rule-set-evicted
                del self._numbers[key]
                return number
        return None

    def chosen(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the rows of the selective rule sets, one after another, and where each set begins."""
        at = np.zeros(len(self._chosen) + 1, np.int64)
        np.cumsum([rows.size for rows in self._chosen], out=at[1:])
        return np.concatenate(self._chosen), at


def _is_plain(request: Request) -> bool:
    return not request.exclude and (
        request.filter is None
        and request.allow is None
        and request.same_category is None
        and request.max_per_category is None
        and not request.boost
    )


def _key_of(request: Request) -> _RuleSetKey:
    return request.filter, tuple((request.boost or {}).items())


def _no_item(_: str) -> None:
    return None


def _parsed(key: str, text: str) -> Expression:
    try:
        return parse(text)
    except ExpressionError as error:
        raise SettingsError(key, f"{text!r} is no expression: {error}") from None
