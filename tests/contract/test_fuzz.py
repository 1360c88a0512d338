"""The API against its own OpenAPI document: every answer is a documented one, and never a server error."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks, not_a_server_error
from web import Running, embedded

from stream_rec.web.routes import ROUTES, Route

load_all_checks()
_AS_DOCUMENTED: list[Any] = [
    not_a_server_error,
    *CHECKS.get_by_names(["status_code_conformance", "content_type_conformance", "response_schema_conformance"]),
]
_AND_REFUSED: list[Any] = [*_AS_DOCUMENTED, *CHECKS.get_by_names(["negative_data_rejection"])]


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One service for all tests: the calls of one must not affect another."""
    with embedded() as running:
        running.client.post("/v1/events", [{"session_id": f"{n % 3}", "item_id": f"{n % 4}"} for n in range(30)])
        yield running


@pytest.fixture(scope="module")
def document(running: Running) -> schemathesis.BaseSchema:
    """The OpenAPI document, as a client gets it."""
    return schemathesis.openapi.from_url(f"{running.server.url}openapi.json")


# A route without parameters cannot get wrong ones.
_WITHOUT_PARAMETERS = {"stats", "stats_history"}
_CALLS = [
    pytest.param(route, mode, id=f"{route.name}-{mode.value}")
    for route in ROUTES
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if route.name not in _WITHOUT_PARAMETERS or mode is GenerationMode.POSITIVE
]


@pytest.mark.parametrize(("route", "mode"), _CALLS)
def test_every_answer_is_documented(
    running: Running, document: schemathesis.BaseSchema, route: Route, mode: GenerationMode
) -> None:
    """Calls that the document allows are answered in its shape; calls that it forbids are refused."""
    operation = document[route.path][route.method]
    # In a path or a query everything is text: a value that would be wrong as JSON may be an id.
    checks = _AND_REFUSED if route.body and mode is GenerationMode.NEGATIVE else _AS_DOCUMENTED

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=checks)

    run()
    assert 200 == running.client("GET", "/livez").status
