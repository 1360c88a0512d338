"""`stream-rec ask`: what a running service recommends, for a session or after items."""

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from stream_rec.cli.common import HeadedOption, command, encodable, print_message, write_json
from stream_rec.cli.remote.options import with_service

if TYPE_CHECKING:
    from stream_rec.cli.remote.service import Service

__all__ = ["ask"]

_LAST: Final = 5
_rule = partial(click.option, cls=HeadedOption, heading="Rules on items")
_parameter = partial(click.option, cls=HeadedOption, heading="Model")


@command()
@click.argument("session", metavar="[SESSION]", required=False)
@click.option(
    "--item",
    "items",
    multiple=True,
    metavar="ID",
    help="Ask after this item, not for a session. May be repeated, oldest first.",
)
@click.option("-n", "--n", "n", type=int, metavar="N", help="How many items.")
@click.option("--why", is_flag=True, help="Say why each item is recommended.")
@click.option("--json", "is_json", is_flag=True, help="Print the answer of the HTTP API.")
@_rule("--exclude", multiple=True, metavar="ID", help="Never this item. May be repeated.")
@_rule("--allow", multiple=True, metavar="ID", help="Only this item. May be repeated.")
@_rule("--filter", metavar="EXPR", help="Only items for which this holds, such as 'price < 20'.")
@click.option(
    "--boost",
    multiple=True,
    metavar="EXPR=FACTOR",
    help="Multiply scores of items for which EXPR holds. May be repeated.",
)
@_rule("--same-category/--no-same-category", default=None, help="Only items of the last item's category.")
@_rule("--max-per-category", type=int, metavar="N", help="At most so many items of a category.")
@click.option(
    "--seen",
    type=click.Choice(["keep", "drop-current", "drop-session"]),
    help="Whether items of the session are recommended again.",
)
@_parameter("--fallbacks/--no-fallbacks", default=None, help="Whether what is popular fills the list.")
@_parameter("--model", metavar="NAME", help="One of the service's models, not the session's own.")
@_parameter("--preset", metavar="NAME", help="The parameters of this preset.")
@_parameter("--m", type=int, metavar="N", help="How many sessions are candidates.")
@_parameter("--k", type=int, metavar="N", help="How many neighbours count.")
@_parameter("--last", type=int, metavar="N", help="How many of the session's last items count.")
@_parameter(
    "--rerank",
    type=click.Choice(["off", "auto", "linear", "hidden"]),
    help="In a learned order, or off: in the model's own.",
)
@with_service
def ask(service: "Service", session: str | None, items: tuple[str, ...], why: bool, is_json: bool,
        boost: tuple[str, ...], **given: object) -> None:  # fmt: skip
    """Ask a running service what it recommends for a SESSION, or after items (--item).

    Options that are not given have the values of the service. Nothing is learned; an answer for a session counts in
    live quality as any other, except with --why or with a model or parameters of its own. Needs the scope `read`.

    \b
      stream-rec ask anna
      stream-rec ask --item tent --item stove -n 5 --why
      stream-rec ask anna --filter 'price < 20' --json | jq .items
    """  # noqa: D301 (click leaves a paragraph alone that begins with this character)
    if (session is None) == (not items):
        raise click.UsageError("give a session, or items with --item" + (", not both" if items else ""))
    body = {name: value for name, value in given.items() if value not in {None, ()}}
    body |= {"session_id": session} if items == () else {"items": items}
    if boost:
        body["boost"] = dict(map(_factor, boost))
    if why:
        body["explain"] = True
    answer = service.post("/v1/recommendations?details=true", body)
    if is_json:
        write_json(answer, "-")
        return
    from stream_rec.cli.remote.answers import answer_lines

    click.echo(encodable(_for_session(service, session) if session is not None else _after_items(service, items)))
    for line in answer_lines(answer):
        click.echo(encodable(line))


def _factor(text: str) -> tuple[str, float]:
    """Return the pair of a boost; an expression may hold `=`, so the last one separates."""
    expression, _, factor = text.rpartition("=")
    try:
        return expression, float(factor)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not EXPR=FACTOR, such as 'price < 20=1.5'", param_hint="--boost"
        ) from None


def _for_session(service: "Service", session: str) -> str:
    """Return what the answer is for: the last items of the session."""
    from stream_rec.cli.remote.answers import named
    from stream_rec.cli.remote.columns import safe
    from stream_rec.cli.remote.failures import NotFoundError

    try:
        events = service.get(f"/v1/sessions/{quote(session, safe='')}")["events"]
    except NotFoundError:
        print_message(f"note: the session {session!r} is not retained, so this is what any new visitor gets")
        return f"for the session {safe(session)}"
    last = ", ".join(named(each["item_id"], each.get("title")) for each in events[-_LAST:])
    of = f"the last {_LAST} of {len(events):,} events: " if len(events) > _LAST else ""
    return f"for the session {safe(session)}: {of}{last}"


def _after_items(service: "Service", items: tuple[str, ...]) -> str:
    """Return what the answer is for; an item that the service does not know is noted, since it changes no answer."""
    from stream_rec.cli.remote.answers import named
    from stream_rec.cli.remote.failures import NotFoundError

    shown: list[str] = []
    for item_id in items:
        title: str | None = None
        try:
            known: dict[str, Any] = service.get(f"/v1/items/{quote(item_id, safe='')}")
            title = known.get("title")
        except NotFoundError:
            print_message(f"note: no retained session holds the item {item_id!r}, and no catalogue lists it")
        shown.append(named(item_id, title))
    return f"after {', '.join(shown)}"
