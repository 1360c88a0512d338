"""The page on the HTTP API is made of its OpenAPI document."""

import api_reference


def test_the_page_is_up_to_date() -> None:
    """It says what the service says of itself."""
    assert api_reference.page() == api_reference.PAGE.read_text(encoding="utf-8"), "run `make docs`"
