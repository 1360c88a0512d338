"""`stream-rec forget`: erase a session or a user from a running service."""

import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from stream_rec.cli.common import DONE, FAILED, command, encodable, print_message, write_json
from stream_rec.cli.remote.options import with_service

if TYPE_CHECKING:
    from stream_rec.cli.remote.service import Service

__all__ = ["forget"]


@command()
@click.argument("session", metavar="[SESSION]", required=False)
@click.option("--user", metavar="ID", help="Erase every session of this user, in place of one session.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@click.option("--json", "is_json", is_flag=True, help="Print the receipt of the HTTP API.")
@with_service
def forget(service: "Service", session: str | None, user: str | None, yes: bool, is_json: bool) -> int:
    """Erase a SESSION, or all sessions of a user (--user), from a running service, as if they had never been seen.

    Says how many sessions that erases. With a topic or a journal the order is written there, and outlives the process.
    Needs the scope `admin`, and `read` to show what a session holds.

    Exit codes: 0 erased; 1 nothing was retained under that id, or the service failed; 2 wrong usage, or no key.

    \b
      stream-rec forget anna
      stream-rec forget --user u17 --yes --json >> receipts.jsonl
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    if (session is None) == (user is None):
        raise click.UsageError("give a session, or a user with --user" + ("" if user is None else ", not both"))
    kind, name = ("session", session) if session is not None else ("user", str(user))
    if not yes and not _is_confirmed(service, kind, str(name)):
        print_message("stream-rec: nothing was erased")
        return FAILED
    receipt: dict[str, Any] = service.delete(f"/v1/{kind}s/{quote(str(name), safe='')}")
    n = receipt["sessions"]
    if is_json:
        write_json(receipt, "-")
    else:
        where = "".join(f", {place} at {offset:,}" for place, offset in receipt.get("offsets", {}).items())
        click.echo(
            encodable(f"erased {n:,} {'session' if n == 1 else 'sessions'} (receipt {receipt['receipt']}{where})")
        )
    if not receipt["durable"]:
        print_message(
            "note: this service keeps no log of what comes over HTTP, so after a restart its files are read again: "
            "erase it there too, or run with --journal"
        )
    if n:
        return DONE
    print_message(
        f"stream-rec: nothing was retained for the {kind} {name!r}: it left before, or has another id; the order is "
        "taken all the same",
        is_error=True,
    )
    return FAILED


def _is_confirmed(service: "Service", kind: str, name: str) -> bool:
    """Ask on the terminal. Raises click.UsageError without one."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: give --yes to erase without a question")
    holds = "every session in which it has an event" if kind == "user" else _held(service, name)
    return click.confirm(encodable(f"erase the {kind} {name!r} ({holds}) at {service.url}? It cannot be undone."))


def _held(service: "Service", session: str) -> str:
    from stream_rec.cli.remote.failures import NotFoundError
    from stream_rec.service.metrics.format import show_time

    try:
        events = service.get(f"/v1/sessions/{quote(session, safe='')}")["events"]
    except NotFoundError:
        return "not retained"
    return f"{len(events):,} events, the newest of {show_time(events[-1]['timestamp'])}"
