"""Errors: caught by class, read by attribute, whole after a trip to another process."""

import pickle

import pytest

from stream_rec import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.DecodeError("not_json", "line 3 is not JSON"),
        errors.SettingsError("retention", "gives 'x'"),
        errors.NoColumnError("item_id", "c.csv has no column 'item_id'", "say which"),
        errors.SnapshotError("torn"),
        errors.TornStateError("forked in a write"),
        errors.TransportError("broker gone", retriable=True),
        errors.FencedError("another process is replica-1 too"),
        errors.LogChangedError("gone", partition="clicks-0", offset=3, first=7, end=9),
        errors.AssignmentLostError("the group went on"),
        errors.RecordTooLargeError("too large", place=3, size=10, limit=5),
    ],
)
def test_every_error_survives_pickling(error: errors.StreamRecError) -> None:
    """A copy from another process has the class, text and attributes of the first."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 (made one line above)
    assert type(error) is type(copy)
    assert str(error) == str(copy)
    assert vars(error) == vars(copy)


def test_a_settings_error_names_its_key() -> None:
    """It stands first in the text, and is an attribute."""
    error = errors.SettingsError("retention", "gives 'x'; expected a duration")
    assert str(error) == "retention: gives 'x'; expected a duration"
    assert error.key == "retention"


@pytest.mark.parametrize("kind", [errors.FencedError, errors.AssignmentLostError])
def test_what_others_took_over_must_not_be_retried(kind: type[errors.TransportError]) -> None:
    """A caller that retries while `retriable` stops at once when fenced, or when its partitions are lost."""
    assert not kind("lost").retriable
    assert issubclass(kind, errors.TransportError)


def test_everything_raised_on_purpose_has_one_root() -> None:
    """Catching StreamRecError catches every public error."""
    raised = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(raised) > 10
    for each in raised:
        assert issubclass(each, errors.StreamRecError)
