"""`stream-rec warm-up`: compile the kernels ahead of the first start."""

import click

from stream_rec.cli.common import DONE, FAILED, announce_compilation, command, print_message

__all__ = ["warm_up"]


@command("warm-up")
def warm_up() -> int:
    """Compile the kernels now and store them, so that no later start compiles: for an image, or a new machine.

    They are stored beside the program, or in the folder that NUMBA_CACHE_DIR names. Exit code 1 if neither is
    writable.
    """
    from stream_rec.service.assembly import warm_up as kernels

    if not kernels.can_keep():
        click.echo("stream-rec: no writable folder for compiled kernels: set NUMBA_CACHE_DIR to one", err=True)
        return FAILED
    announce_compilation()
    if kernels.is_cold_to_learn():
        print_message(kernels.COMPILING_LEARNING)
    kernels.warm_up_all(learns=True)
    click.echo(f"compiled, and stored in {kernels.kept_in()}")
    return DONE
