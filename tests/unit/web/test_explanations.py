"""Over HTTP whose visits explain an item is told to those only who have the scope for it."""

from typing import Any

import pytest

from stream_rec.web.context import Call
from stream_rec.web.endpoints import _request, _request_of


@pytest.mark.parametrize(("scopes", "is_hidden"), [({"read"}, True), ({"read", "write"}, True), ({"admin"}, False)])
def test_sessions_are_hidden_from_keys_without_the_scope(scopes: set[str], is_hidden: bool) -> None:
    """Whatever they ask for, in each way of asking; the holder of such a key may hide them too."""
    api: Any = None
    asked = Call(api, {}, {}, None, frozenset(scopes))
    fields = {"session_id": "s", "explain": True, "hide_sessions": False}
    made = [_request_of(asked, fields), _request(asked, fields, "requests[0]")]
    made.append(_request_of(asked, {"session_id": "s", "explain": "true"}, strict=False))
    assert [is_hidden] * 3 == [request.hide_sessions for request in made]
    assert _request_of(asked, {**fields, "hide_sessions": True}).hide_sessions
    assert not _request_of(asked, {"session_id": "s"}).hide_sessions
