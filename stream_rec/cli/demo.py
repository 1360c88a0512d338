"""`stream-rec demo`: the bundled sample, in the terminal or in a browser."""

import shutil
import sys
from pathlib import Path

import click

from stream_rec.cli.common import announce_compilation, command, print_message, require_serve_extra

__all__ = ["demo"]


@command()
@click.option("--fast", is_flag=True, help="Skip the slow part, which is paced for reading.")
@click.option("--http", metavar="HOST:PORT", help="Show the live dashboard over the sample in a browser instead.")
def demo(fast: bool, http: str | None) -> None:
    """Show how stream-rec learns from a year of a real shop, and recommends live."""
    if http is not None:
        _demo_in_browser(http)
        return
    from stream_rec.demo.bundled import play_bundled

    announce_compilation()
    play_bundled(fast=fast, program=_program())


def _demo_in_browser(address: str) -> None:
    from stream_rec.service.assembly import warm_up
    from stream_rec.service.running.signals import Interrupt

    if warm_up.is_cold(kernel="ask_many"):
        print_message(warm_up.COMPILING_ANSWERS)
    with Interrupt() as interrupt, require_serve_extra():
        from stream_rec.demo.served import serve_bundled

        serve_bundled(
            address,
            lambda: interrupt.asked,
            lambda url: click.echo(f"open {url} in a browser: a year of a real shop, live; Ctrl-C ends it", err=True),
        )


def _program() -> str:
    """Return the command that starts this program: its name, or its path if the shell does not find the name."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "stream-rec" and shutil.which("stream-rec") is None else "stream-rec"
