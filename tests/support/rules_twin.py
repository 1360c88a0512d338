"""Rules in plain Python: an expression evaluated for one item, and all rules of a query for the reference."""

from collections.abc import Mapping

from hypothesis import strategies as st

from stream_rec.core.catalogue import CatalogueItem
from stream_rec.core.events import Request
from stream_rec.core.expressions import All, Compared, Contains, Either, Expression, Is, Not, OneOf, Value, parse
from stream_rec.core.index.reference import Terms
from stream_rec.core.model import Rules

ITEMS = [f"i{j}" for j in range(9)]
FILTERS = [
    'category = "a"',
    "price < 3",
    'category != "b" and price >= 1',
    'not category in ("a", "b")',
    'tags contains "sale" or not available',
    "in_catalogue",
    'category not in ("a")',
    "not in_catalogue",
    'brand = "x" or size > 2',
    "price > 99",
    "listed_at < 995",
    "false_field",
]
filters = st.sampled_from(FILTERS)
factors = st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0])
boosts = st.dictionaries(filters, factors, max_size=3)
caps = st.none() | st.integers(1, 3)


def catalogue_item(name: str) -> st.SearchStrategy[CatalogueItem]:
    return st.builds(
        CatalogueItem,
        id=st.just(name),
        category=st.sampled_from([None, "a", "a", "b", "c"]),
        available=st.sampled_from([True, True, True, False]),
        tags=st.sampled_from([(), ("sale",), ("new", "sale")]),
        price=st.sampled_from([None, 1.0, 2.0, 5.0]),
        listed_at=st.sampled_from([None, 900, 990, 990, 1_000, 1_020, 10**12]),
        others=st.sampled_from([None, {"brand": "x"}, {"size": "3", "brand": "y"}, {"size": 2.5}]),
    )


changes = st.fixed_dictionaries({}, optional={name: st.none() | catalogue_item(name) for name in ITEMS})

standing = st.builds(
    Rules,
    deny=st.frozensets(st.sampled_from(ITEMS), max_size=2),
    allow=st.none() | st.none() | st.frozensets(st.sampled_from(ITEMS), min_size=4),
    filter=st.none() | st.none() | filters,
    boosts=st.just({}) | boosts,
    same_category=st.sampled_from([False, False, True]),
    max_per_category=caps,
)

requests = st.builds(
    Request,
    session_id=st.none() | st.sampled_from([f"s{j}" for j in range(6)]),
    items=st.none() | st.lists(st.sampled_from([*ITEMS, "x", "y"]), max_size=5).map(tuple),
    exclude=st.lists(st.sampled_from([*ITEMS, "x"]), max_size=2).map(tuple),
    n=st.none() | st.integers(1, 8),
    seen=st.sampled_from([None, "keep", "drop-session"]),
    preset=st.sampled_from([None, "sknn", "stan"]),
    filter=st.none() | filters,
    allow=st.none() | st.none() | st.lists(st.sampled_from([*ITEMS, "x"]), max_size=5).map(tuple),
    same_category=st.sampled_from([None, None, False, True]),
    max_per_category=caps,
    boost=st.none() | boosts,
)


def value_of(item: CatalogueItem | None, field: str) -> object:
    if item is None:
        return None
    own = {"in_catalogue": True, "tags": item.tags or None, **(item.others or {})}
    value = own[field] if field in own else getattr(item, field, None)
    return float(value) if type(value) is int else value


def as_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def equals(value: object, wanted: Value) -> bool:
    if isinstance(wanted, bool):
        return value is wanted or (isinstance(value, str) and value.lower() == str(wanted).lower())
    return as_number(value) == wanted if isinstance(wanted, float) else value == wanted


def passes(expression: Expression, item: CatalogueItem | None) -> bool:
    """Return whether *expression* holds for one item, or for none."""
    match expression:
        case Not(of):
            return not passes(of, item)
        case All(parts):
            return all(passes(part, item) for part in parts)
        case Either(parts):
            return any(passes(part, item) for part in parts)
        case Is(field):
            return equals(value_of(item, field), True)  # noqa: FBT003  # the value that is asked for
    value = value_of(item, expression.field)
    return value is not None and passes_value(expression, value)


def passes_value(expression: Compared | Contains | OneOf, value: object) -> bool:
    match expression:
        case Contains(_, wanted):
            return wanted in value if isinstance(value, tuple) else str(wanted) in str(value)
        case OneOf(_, values, negated):
            return any(equals(value, wanted) for wanted in values) != negated
    relation, wanted, number = expression.relation, expression.value, as_number(value)
    if relation in {"=", "!="}:
        return equals(value, wanted) == (relation == "=")
    if number is None or not isinstance(wanted, float):
        return False
    return {"<": number < wanted, "<=": number <= wanted, ">": number > wanted, ">=": number >= wanted}[relation]


def terms_of(rules: Rules, catalogue: Mapping[str, CatalogueItem], request: Request) -> Terms:
    """Return all rules that hold for *request*, those of the settings and its own."""
    every = [parse(text) for text in (rules.filter, request.filter) if text is not None]
    weights = [(parse(text), factor) for text, factor in [*rules.boosts.items(), *(request.boost or {}).items()]]

    def allowed(name: str) -> bool:
        item = catalogue.get(name)
        return (
            name not in rules.deny
            and (rules.allow is None or name in rules.allow)
            and (request.allow is None or name in request.allow)
            and (item is None or item.available)
            and all(passes(each, item) for each in every)
        )

    def factor(name: str) -> float:
        total = 1.0
        for expression, weight in weights:
            if passes(expression, catalogue.get(name)):
                total *= weight
        return total

    def category(name: str) -> str | None:
        item = catalogue.get(name)
        return None if item is None else item.category

    same = rules.same_category if request.same_category is None else request.same_category
    return Terms(allowed, factor, category, same, request.max_per_category or rules.max_per_category)
