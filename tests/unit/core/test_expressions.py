"""The language of filters: what is parsed, what is refused and where, and what holds for whole catalogues."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_twin import ITEMS, catalogue_item, passes

from stream_rec.core.catalogue import Catalogue, CatalogueItem, holds
from stream_rec.core.expressions import (
    MAX_CHARS,
    MAX_DEPTH,
    MAX_TESTS,
    All,
    Compared,
    Contains,
    Either,
    Expression,
    ExpressionError,
    Is,
    Not,
    OneOf,
    parse,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("available", Is("available")),
        ('category = "shoes"', Compared("category", "=", "shoes")),
        ("price<-1.5e2", Compared("price", "<", -150.0)),
        ("sold != true", Compared("sold", "!=", value=True)),
        ("brand in ('a', 2, FALSE)", OneOf("brand", ("a", 2.0, False))),
        ("brand not in ('a')", OneOf("brand", ("a",), negated=True)),
        ('tags CONTAINS "sale"', Contains("tags", "sale")),
        ("a or b and not c", Either((Is("a"), All((Is("b"), Not(Is("c"))))))),
        ("(a or b) and c", All((Either((Is("a"), Is("b"))), Is("c")))),
        ("`list price` > 3 AND `in` = 1", All((Compared("list price", ">", 3.0), Compared("in", "=", 1.0)))),
        (r'title = "12\" \\ disk"', Compared("title", "=", '12" \\ disk')),
        ("größe = 'ü\"'", Compared("größe", "=", 'ü"')),
        (" not\n\tnot a ", Not(Not(Is("a")))),
        ("attributes.colour >= 'b'", Compared("attributes.colour", ">=", "b")),
    ],
)
def test_an_expression_is_parsed(text: str, expected: Expression) -> None:
    """`and` binds closer than `or`, `not` closer than both; keywords may be in capitals."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 1, "expected a field's name, not, or (, found the end"),
        ("price <", 8, "expected a value"),
        ("price == 3", 8, "== is written = here"),
        ("price <> 3", 8, "<> is written != here"),
        ("a && b", 3, "&& is written and here"),
        ("a and", 6, "expected a field's name, not, or (, found the end"),
        ("(a or b", 8, "expected and, or, or ), found the end"),
        ("a b", 3, "expected and, or, or the end, found 'b'"),
        ("price < 3 4", 11, "expected and, or, or the end, found '4'"),
        ("brand in 'a'", 10, "expected (, found \"'a'\""),
        ("brand in ()", 11, "expected a value"),
        ("brand in ('a'", 14, "expected , or )"),
        ("brand not 'a'", 11, "expected in, found"),
        ("title = 'open", 9, "expected a closing ', found the end"),
        ("price < 3x", 9, "found '3', which is no part of an expression"),
        ("__import__('os')", 11, "expected and, or, or the end, found '('"),
        ("'a' = 'a'", 1, "expected a field's name"),
        ("a = b", 5, "expected a value"),
        ("a;b", 2, "found ';'"),
        ("x" * (MAX_CHARS + 1), MAX_CHARS + 1, "at most 4000 characters"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), MAX_DEPTH + 1, "at most 32 levels"),
        (" or ".join(["a"] * (MAX_TESTS + 1)), 5 * MAX_TESTS + 1, "at most 32 tests"),
        ("not " * 900 + "a", 4 * MAX_DEPTH + 1, "at most 32 levels"),
        ("a in (" + ",".join("1" * 1 for _ in range(1500)) + ")", 2005, "at most 1000 fields and values"),
    ],
)
def test_an_invalid_expression_is_refused_with_the_position(text: str, position: int, message: str) -> None:
    """The message names the character, what was expected there, and what was found."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert position == caught.value.position
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"at character {position}: ")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  # our own


@given(st.text(max_size=60) | st.text(alphabet="ab12<>=!()'\"`,. \\andortiucs", max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """With no other error, at a position in the text or right after it."""
    position = 1
    try:
        parse(text)
    except ExpressionError as error:
        position = error.position
    assert 1 <= position <= len(text) + 1


values = st.sampled_from(["a", "b", "sale", "3", "x", 1.0, 2.5, 3.0, True, False])
fields = st.sampled_from(
    ["category", "price", "tags", "available", "brand", "size", "in_catalogue", "nothing", "id", "title"]
)
tests = (
    st.builds(Is, fields)
    | st.builds(Compared, fields, st.sampled_from(["=", "!="]), values)
    | st.builds(
        Compared,
        st.sampled_from(["price", "size", "brand", "nothing"]),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.sampled_from([0.0, 1.0, 2.5, 9.0]),
    )
    | st.builds(OneOf, fields, st.lists(values, min_size=1, max_size=3).map(tuple), st.booleans())
    | st.builds(Contains, st.just("tags"), st.sampled_from(["sale", "new", "old"]))
)
expressions = st.recursive(
    tests,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


@given(expressions, st.tuples(*map(catalogue_item, ITEMS[:5])), st.tuples(*map(catalogue_item, ITEMS[3:7])))
def test_a_filter_over_columns_is_that_over_each_item(
    expression: Expression, items: tuple[CatalogueItem, ...], later: tuple[CatalogueItem, ...]
) -> None:
    """In a first version and in a patched one."""
    first = Catalogue(items)
    for version in (first, first.changed({item.id: item for item in later} | {items[0].id: None})):
        expected = [passes(expression, version.get(name)) for name in ITEMS if version.row(name)]
        hits = holds(expression, version)
        assert expected == [bool(hits[version.row(name)]) for name in ITEMS if version.row(name)]
        assert passes(expression, None) == bool(hits[0])


def test_a_missing_field_compares_false() -> None:
    """In every comparison, `!=` and `not in` too; only `not` around it is true."""
    catalogue = Catalogue([CatalogueItem("a")])
    for text in ("price = 1", "price != 1", "price < 1", "price not in (1)", "tags contains 'a'", "price"):
        assert [False, False] == holds(parse(text), catalogue).tolist()
        assert [True, True] == holds(parse(f"not ({text})"), catalogue).tolist()


def test_text_in_the_form_of_a_number_compares_with_numbers() -> None:
    """Tables have only text; `007` also stays a text."""
    catalogue = Catalogue([CatalogueItem("a", others={"size": "007", "old": "True"})])
    for text in ("size = 7", "size = '007'", "size < 8", "old", "old = true"):
        assert holds(parse(text), catalogue)[1], text
    for text in ("size = '7'", "old = 1", "size < '0'"):
        assert not holds(parse(text), catalogue)[1], text
