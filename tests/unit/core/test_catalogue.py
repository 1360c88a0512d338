"""The catalogue: records read, versions derived from each other, titles found."""

from typing import Any

import pytest

from stream_rec.core.catalogue import Catalogue, CatalogueItem, folded, holds, read_item
from stream_rec.core.expressions import parse
from stream_rec.errors import DecodeError


class TestReading:
    """One record, one item."""

    def test_a_record_of_json(self) -> None:
        """Known fields are read by their types, all others are stored."""
        record = {
            "item_id": 7, "title": "A", "category": 3, "available": False, "tags": ["x", 1], "price": 2, "image": "u",
            "brand": "b", "sizes": [1, "L"], "deep": {"not": "kept"}, "nothing": None, "old": True,
        }  # fmt: skip
        others: dict[str, Any] = {"brand": "b", "sizes": (1.0, "L"), "old": True}
        expected = CatalogueItem("7", "A", "3", False, ("x", "1"), 2.0, "u", others)  # noqa: FBT003
        assert (expected, None) == read_item(record)

    def test_a_row_of_text(self) -> None:
        """Tables write yes and no, numbers and lists as text; an empty cell is no value."""
        row = {"id": "a", "title": "", "available": "No", "tags": " new | sale|", "price": " 1.50", "size": "3"}
        expected = CatalogueItem("a", available=False, tags=("new", "sale"), price=1.5, others={"size": "3"})
        assert (expected, None) == read_item(row)

    def test_the_key_is_the_id_if_the_record_has_none(self) -> None:
        """The id in the record has precedence."""
        assert "k" == read_item({"title": "A"}, "k").item.id
        assert "a" == read_item({"id": "a"}, "k").item.id

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            ({}, "id (or item_id): expected, found nothing"),
            ({"id": ""}, "id (or item_id): expected, found nothing"),
            ({"id": ["a"]}, "id: "),
            ({"id": "a" * 513}, "id: "),
        ],
    )
    def test_a_record_of_no_known_item_is_refused(self, record: dict[str, object], message: str) -> None:
        """With what was expected."""
        with pytest.raises(DecodeError) as caught:
            read_item(record)
        assert message in caught.value.message

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            ({"id": "a", "price": "cheap"}, "price: expected a number, found 'cheap'"),
            (
                {"id": "a", "price": "1.099,5"},
                "a number with a decimal point (1099.5), found '1.099,5'",
            ),
            ({"id": "a", "price": True}, "price: expected a number, found"),
            ({"id": "a", "price": "nan"}, "price: expected a number"),
            ({"id": "a", "price": [1]}, "price: expected a number"),
            ({"id": "a", "available": "maybe"}, "available: expected true or false"),
            ({"id": "a", "tags": {"x": 1}}, "tags: expected a list of texts"),
            ({"id": "a", "tags": [["x"]]}, "tags[0]: expected a text"),
            ({"id": "a", "title": ["x"]}, "title: expected a text"),
            ({"id": "a"} | {f"f{j}": 1 for j in range(201)}, "at most 200 fields"),
        ],
    )
    def test_what_can_be_read_holds(self, record: dict[str, object], message: str) -> None:
        """The fault names the field, with what was expected; the item has all other fields."""
        read = read_item({**record, "category": "x", "available": record.get("available", "no")})
        assert read.fault is not None
        assert message in read.fault.message
        assert ("a", "x", False) == (read.item.id, read.item.category, read.item.available)
        assert read.item.others is None or 200 == len(read.item.others)

    @pytest.mark.parametrize("name", ["available", "availability"])
    def test_what_is_available(self, name: str) -> None:
        """Yes and no, and the words of schema.org and Google Merchant, as they are, in full, or as URLs."""
        yes = [
            True, 1, "1", 1.0, "Yes", "y", "in_stock", "in stock", "InStock", "https://schema.org/InStock",
            "http://schema.org/PreOrder", "schema:BackOrder", "preorder", "backorder", "LimitedAvailability",
            "OnlineOnly", "InStoreOnly", "MadeToOrder", "PreSale", "available",
        ]  # fmt: skip
        no = [
            False, 0, "0", 0.0, "NO", "n", "out_of_stock", "out of stock", "OutOfStock", " out-of-stock ",
            "https://schema.org/OutOfStock", "http://www.schema.org/SoldOut", "schema:Discontinued", "Reserved",
            "unavailable", "not available", "sold_out",
        ]  # fmt: skip
        for words, expected in ((yes, True), (no, False)):
            for word in words:
                read = read_item({"id": "a", name: word})
                assert (expected, None) == (read.item.available, read.fault), word
        for word in ("perhaps", "3", -1, 0.5, ["in_stock"], {"x": 1}, "https://evil.example/InStock"):
            read = read_item({"id": "a", name: word})
            assert not read.item.available, word
            assert read.fault is not None
            assert f"{name}: expected true or false" in read.fault.message
        for missing in (None, "", float("nan")):
            assert (True, None) == (read_item({"id": "a", name: missing}).item.available, read_item({"id": "a"}).fault)

    def test_one_no_is_enough(self) -> None:
        """Of the two fields; and `availability` stays a field for filters."""
        read = read_item({"id": "a", "available": "yes", "availability": "out_of_stock"})
        assert (False, {"availability": "out_of_stock"}) == (read.item.available, read.item.others)
        assert not read_item({"id": "a", "available": "no", "availability": "in_stock"}).item.available


class TestVersions:
    """Each is made from the last, and neither sees the changes of the other."""

    def test_a_change_leaves_the_version_before_as_it_was(self) -> None:
        """Items, counts and columns."""
        first = Catalogue([CatalogueItem("a", price=1.0), CatalogueItem("b", available=False)])
        assert [False, True, False] == holds(parse("price < 2"), first).tolist()
        second = first.changed({"a": None, "b": CatalogueItem("b"), "c": CatalogueItem("c", price=0.5), "never": None})
        assert [False, True, False] == holds(parse("price < 2"), first).tolist()
        assert [False, False, False, True] == holds(parse("price < 2"), second).tolist()
        assert (2, 1, ["a", "b"]) == (len(first), first.n_unavailable, [item.id for item in first])
        assert (2, 0, ["b", "c"]) == (len(second), second.n_unavailable, [item.id for item in second])
        assert first.get("c") is None
        assert second.get("a") is None
        assert CatalogueItem("a", price=1.0) == first.get("a")

    def test_an_item_keeps_its_row_even_if_it_goes_and_comes_back(self) -> None:
        """So rows need not be looked up again."""
        first = Catalogue([CatalogueItem("a"), CatalogueItem("b")])
        second = first.changed({"a": None}).changed({"c": CatalogueItem("c")})
        third = second.changed({"a": CatalogueItem("a", title="again")})
        assert [1, 2, 3] == [third.row(name) for name in "abc"]
        assert third.line is first.line
        assert [(3, "c")] == third.ids_from(3)

    def test_the_column_of_an_unknown_field_is_not_cached(self) -> None:
        """Names in requests could fill the memory; a field that items get later is found."""
        first = Catalogue([CatalogueItem("a", others={"colour": "red"})])
        for name in ("colour", "price", *(f"no{j}" for j in range(100))):
            holds(parse(f'{name} = "red"'), first)
        assert {"colour", "price"} == first._columns.keys()
        second = first.changed({"b": CatalogueItem("b", others={"no7": "red"})})
        assert [False, False, True] == holds(parse('no7 = "red"'), second).tolist()
        assert [False, True, False] == holds(parse('colour = "red"'), second).tolist()

    def test_a_replacement_is_the_changes_that_lead_to_it(self) -> None:
        """Without a difference there is no new version."""
        first = Catalogue([CatalogueItem("a"), CatalogueItem("b")])
        assert first.replaced([CatalogueItem("b"), CatalogueItem("a")]) is first
        second = first.replaced([CatalogueItem("b", title="B"), CatalogueItem("c")])
        assert ["b", "c"] == [item.id for item in second]
        assert second.line is first.line

    def test_rows_of_removed_items_are_freed_in_the_end(self) -> None:
        """Once they are some thousands, and more than items: all rows are renumbered, and columns are rebuilt."""
        catalogue = Catalogue([CatalogueItem(f"i{j}", price=float(j)) for j in range(5_000)])
        catalogue.column("price")
        gone = catalogue.changed({f"i{j}": None for j in range(4_999)})
        after = gone.changed({"new": CatalogueItem("new", price=9.0), "i0": None})
        assert after.line is not catalogue.line
        assert 3 == after.n_rows
        assert [False, True, True] == holds(parse("price > 4"), after).tolist()

    def test_unused_values_of_a_column_are_freed_in_the_end(self) -> None:
        """Prices that change all day do not fill the memory."""
        catalogue = Catalogue([CatalogueItem("a", price=0.0)])
        catalogue.column("price")
        for j in range(3_000):
            catalogue = catalogue.changed({"a": CatalogueItem("a", price=float(j))})
        assert len(catalogue.column("price").values) < 1_100
        assert holds(parse("price = 2999"), catalogue)[1]


class TestSearch:
    """Titles by what people type."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("cafe", ["1", "3", "2"]),
            ("CAFÉ cup", ["3"]),
            ("cup cafe", ["3"]),
            ("up", ["3", "4"]),
            ("ups a", ["4"]),
            ("  ", []),
            ("tea", []),
            ("strasse", ["5"]),
        ],
    )
    def test_titles_are_found_by_their_words(self, text: str, expected: list[str]) -> None:
        """Regardless of case and accents; titles that begin with the text first, of equals the shorter."""
        titles = ["Café", "Old Café", "café  cup", "Groups apart", "Straße"]
        catalogue = Catalogue(CatalogueItem(str(j), title) for j, title in enumerate(titles, 1))
        assert expected == [item.id for item in catalogue.search(text)]

    def test_a_search_is_limited(self) -> None:
        """It finds no title twice, whatever the title holds; a new version has its own titles."""
        catalogue = Catalogue([CatalogueItem("a", "ab\nab ab"), CatalogueItem("b", "ab"), CatalogueItem("c")])
        assert ["b"] == [item.id for item in catalogue.search("ab", 1)]
        assert ["b", "a"] == [item.id for item in catalogue.search("ab")]
        assert ["a"] == [item.id for item in catalogue.changed({"b": None}).search("ab")]
        assert [] == catalogue.search("ab", 0)
        assert [] == Catalogue().search("ab")

    def test_folding(self) -> None:
        """Lower case, no accents, single blanks."""
        assert "uber alles eeo" == folded("  Über\t ALLES\nÉèø ".replace("ø", "o"))
