"""`stream-rec demo`: the bundled sample, in the terminal or in a browser."""

import shutil
import sys
from pathlib import Path

import click

from stream_rec.cli.common import _announce, _tell
from stream_rec.cli.run import _needs_serve

__all__ = ["demo"]


@click.command()
@click.option("--fast", is_flag=True, help="Leave out the part that takes its time to be read.")
@click.option("--http", metavar="HOST:PORT", help="Show it in a browser instead: the dashboard over the sample, live.")
def demo(fast: bool, http: str | None) -> None:
    """Watch it learn from a year of a real shop, and recommend live."""
    if http is not None:
        _demo_in_browser(http)
        return
    from stream_rec.demo.bundled import play_bundled

    _announce()
    play_bundled(fast=fast, program=_program())


def _demo_in_browser(address: str) -> None:
    from stream_rec.service.assembly import warm_up
    from stream_rec.service.running.signals import Interrupt

    if warm_up.is_cold(kernel="ask_many"):
        _tell(warm_up.COMPILING_ANSWERS)
    with Interrupt() as interrupt, _needs_serve():
        from stream_rec.demo.served import serve_bundled

        serve_bundled(
            address,
            lambda: interrupt.asked,
            lambda url: click.echo(f"open {url} in a browser: a year of a real shop, live; Ctrl-C ends it", err=True),
        )


def _program() -> str:
    """What to type to call this program again: its name, or its path where the shell does not find it."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "stream-rec" and shutil.which("stream-rec") is None else "stream-rec"
