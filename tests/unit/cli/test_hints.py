"""Options and commands that there are not: the error names the ones that were meant."""

import click
import pytest

from stream_rec.cli.main import cli, main
from stream_rec.settings import table
from stream_rec.settings.hints import OTHER_NAMES, bare


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("run --topic t", "No such option '--topic'. Did you mean '--events kafka://HOST:9092/TOPIC'?"),
        ("run --bootstrap-servers b", "Did you mean '--events kafka://HOST:9092/TOPIC'?"),
        ("run --input a.csv", "Did you mean '--events'?"),
        ("run --output r.jsonl", "Did you mean '--recommendations'?"),
        ("tune --output r.toml", "Did you mean '--out' or '--recommendations'?"),
        ("run -o r.jsonl", "Did you mean '--recommendations'?"),
        ("run --group-id g", "Did you mean '--group'?"),
        ("run --port 8000", "Did you mean '--http :8000'?"),
        ("run --sep ;", "Did you mean '--delimiter'?"),
        ("run --delimeter ;", "Did you mean '--delimiter'?"),
        ("run --max_sessions 5", "Did you mean '--max-sessions'?"),
        ("run --types view=1", "Did you mean '--event-type'?"),
        ("run --lateness 1h", "Did you mean '--allowed-lateness'?"),
        ("run --no-fallback", "Did you mean '--no-fallbacks'?"),
        ("evaluate --workers 2", "Did you mean '--threads'?"),
        ("run --threads 2", "No such option '--threads' here; 'stream-rec evaluate' and 'stream-rec tune' have it."),
        ("run --train a.csv", "No such option '--train' here; 'stream-rec evaluate' and 'stream-rec tune' have it."),
        ("run --zzz", "No such option '--zzz'; see 'stream-rec run --help'."),
        ("run --events a.csv b.csv", "Got unexpected b.csv: write --events before each source, or give several as one"),
        ("evaluate a.csv", "Got unexpected a.csv: write --events before each source"),
        ("simulate --session 5", "Did you mean '--sessions'?"),
        ("serve", "No such command 'serve'. Did you mean 'run'?"),
        ("evaluat", "No such command 'evaluat'. Did you mean 'evaluate'?"),
        ("warmup", "No such command 'warmup'. Did you mean 'warm-up'?"),
        ("qqq", "No such command 'qqq'. There are ask, check, config, demo,"),
        ("snapshot inspct", "No such command 'inspct'. Did you mean 'inspect'?"),
    ],
)
def test_what_was_meant_is_named(argv: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By other usual names first, then by similar letters; options of other commands are named with these."""
    assert 2 == main(argv.split())
    assert message in capsys.readouterr().err


def test_other_names_lead_to_options_that_exist() -> None:
    """Each name in the table means a setting or an option of some command."""
    context = click.Context(cli, info_name="stream-rec")
    options = {
        bare(flag)
        for command in cli.commands.values()
        for option in command.get_params(context)
        for flag in option.opts
    }
    known = options | {setting.key for setting in table()}
    assert set() == {key for keys in OTHER_NAMES.values() for key in keys} - known
