"""Over HTTP, explanations name sessions only for keys with the scope admin."""

from typing import Any

import pytest

from stream_rec.web.context import Call
from stream_rec.web.endpoints import read_listed_request, read_request


@pytest.mark.parametrize(("scopes", "is_hidden"), [({"read"}, True), ({"read", "write"}, True), ({"admin"}, False)])
def test_sessions_are_hidden_from_keys_without_the_scope(scopes: set[str], is_hidden: bool) -> None:
    """Whatever the request says, in every form of a request; a key with the scope may still hide them."""
    api: Any = None
    call = Call(api, {}, {}, None, frozenset(scopes))
    fields = {"session_id": "s", "explain": True, "hide_sessions": False}
    made = [read_request(call, fields), read_listed_request(call, fields, "requests[0]")]
    made.append(read_request(call, {"session_id": "s", "explain": "true"}, strict=False))
    assert [is_hidden] * 3 == [request.hide_sessions for request in made]
    assert read_request(call, {**fields, "hide_sessions": True}).hide_sessions
    assert not read_request(call, {"session_id": "s"}).hide_sessions
