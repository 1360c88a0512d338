"""The options that every command has which calls a service."""

import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import click

from stream_rec.cli.common import HeadedOption, print_message
from stream_rec.cli.completion import complete_files
from stream_rec.cli.remote.address import CA_VARIABLE, KEY_VARIABLE, URL_VARIABLE, parse_url, read_key, usual_url

__all__ = ["with_service"]


def with_service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options for address, key and certificates, and call it with the `service` that they name."""

    @wraps(command)
    def called(*args: Any, url: str | None, key: str | None, ca: str | None, wait: float, **options: object) -> Any:  # noqa: ANN401 (passes on what click and the command exchange)
        from stream_rec.cli.remote.service import Service

        address = parse_url(url or os.environ.get(URL_VARIABLE) or usual_url(os.environ))
        made = Service(
            address,
            read_key(key),
            ca=ca or os.environ.get(CA_VARIABLE) or None,
            wait_s=wait,
            tell=print_message,
        )
        return command(*args, service=made, **options)

    in_service = partial(click.option, cls=HeadedOption, heading="Service")
    decorated: Callable[..., Any] = called
    for option in (
        in_service("--wait", type=click.FloatRange(min=0, max=86_400), default=10.0, show_default=True,
                     metavar="SECONDS", help="How long to wait for a service that is not ready or overloaded."),
        in_service("--ca", metavar="FILE", shell_complete=complete_files,
                   help="Certificates (PEM) to trust in place of the system's, for https. "
                   f" [env: {CA_VARIABLE}]"),
        in_service("--key", metavar="REF", help="Where the API key is: env:NAME or file:PATH. Without it, "
                     f"{KEY_VARIABLE} is the key."),
        in_service("--url", metavar="URL", help="The address of the service.  [env: "
                     f"{URL_VARIABLE}; default: http://127.0.0.1:8000, or the port of STREAM_REC_HTTP]"),
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated
