"""What a shell completes after an option: names of files, or the words that a setting takes."""

from functools import partial
from typing import Final

import click
from click.shell_completion import CompletionItem

from stream_rec.settings import Kind, Setting

__all__ = ["complete_files", "file_option", "words_of"]

_PLACES: Final = frozenset({"SRC", "DST", "PATH"})
"""Metavars of settings that are places: a topic is written there too, which no shell knows."""


def complete_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete names of files and folders."""
    del ctx, param
    return [CompletionItem(incomplete, type="file")]


file_option = partial(click.option, shell_complete=complete_files)
"""As `click.option`, for one that takes the name of a file."""


def words_of(setting: Setting, incomplete: str) -> list[CompletionItem]:
    """Return what begins with *incomplete* among the words of *setting*, or let the shell complete its files."""
    if setting.metavar in _PLACES:
        return [CompletionItem(incomplete, type="file")]
    end = "=" if setting.kind is Kind.TABLE else ""
    words = [f"{word}{end}" for word in setting.choices]
    if setting.optional and words:
        words.append("none")
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]
