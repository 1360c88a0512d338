"""Over HTTP, explanations name sessions only for keys with the scope admin."""

from typing import Any

import pytest

from stream_rec.web.context import Call
from stream_rec.web.endpoints import _request, _request_of


@pytest.mark.parametrize(("scopes", "is_hidden"), [({"read"}, True), ({"read", "write"}, True), ({"admin"}, False)])
def test_sessions_are_hidden_from_keys_without_the_scope(scopes: set[str], is_hidden: bool) -> None:
    """Whatever the request says, in every form of a request; a key with the scope may still hide them."""
    api: Any = None
    call = Call(api, {}, {}, None, frozenset(scopes))
    fields = {"session_id": "s", "explain": True, "hide_sessions": False}
    made = [_request_of(call, fields), _request(call, fields, "requests[0]")]
    made.append(_request_of(call, {"session_id": "s", "explain": "true"}, strict=False))
    assert [is_hidden] * 3 == [request.hide_sessions for request in made]
    assert _request_of(call, {**fields, "hide_sessions": True}).hide_sessions
    assert not _request_of(call, {"session_id": "s"}).hide_sessions
