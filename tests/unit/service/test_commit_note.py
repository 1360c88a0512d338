"""What a process says of itself beside its commits, and how it differs from what another one has said."""

import pytest

from stream_rec.service.commit_note import CommitNote

ONE = CommitNote.of("0.2.0", {"m": 500, "k": 100, "fields": {"item_id": "sku", "session_id": "sid"}})


def test_equal_settings_do_not_differ() -> None:
    """Whatever the order in which they are given; nor does a commit without a note."""
    same = CommitNote.of("0.2.0", {"k": 100, "fields": {"session_id": "sid", "item_id": "sku"}, "m": 500})
    assert ONE.text == same.text
    for other in (same.text, "", "of another program", "stream-rec/2 from a later version"):
        assert ONE.difference(other) is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"m": 501, "k": 100, "fields": {"item_id": "sku", "session_id": "sid"}}, "other settings: m"),
        ({"m": 501, "k": 99, "fields": {"item_id": "sku", "session_id": "sid"}}, "other settings: k, m"),
        ({"m": 500, "k": 100, "fields": {}}, "other settings: fields"),
    ],
)
def test_a_difference_names_the_settings(settings: dict[str, object], expected: str) -> None:
    """By their names, not their values: a commit is read by others too."""
    other = CommitNote.of("0.2.0", settings)
    assert expected == ONE.difference(other.text)
    assert ONE.difference(other.text) == other.difference(ONE.text)


def test_another_version_is_named() -> None:
    """Its settings may have other names, so they are not compared."""
    assert "version 0.3.0, here 0.2.0" == ONE.difference(CommitNote.of("0.3.0", {"m": 1}).text)


def test_digits_that_agree_by_chance() -> None:
    """One digit in 64 does; the hash of all settings together still differs."""
    notes = [CommitNote.of("1", {"m": number}) for number in range(200)]
    (first, *others) = notes
    chance = [each for each in others if each.digits == first.digits]
    assert chance, "of 199, some"
    assert "other settings: one of m" == first.difference(chance[0].text)
