"""Writes docs/reference/settings.md from the settings object. With --check it only compares."""

import sys
from pathlib import Path

from stream_rec.settings import ENVIRONMENT_PREFIX, Kind, Setting, grouped, parameters, trial_settings

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"

HEAD = """\
# Settings

<!-- Written by `make docs` from stream_rec/settings: edit the docstrings there, not this page. -->

Each setting of `stream-rec run` can be given in four places, the later ones stronger: its default,
a TOML file (`--config FILE`, or the file that `STREAM_REC_CONFIG` names), an environment variable,
a flag. A stronger value replaces the weaker one whole, lists and tables too.

Durations are written `500ms`, `30s`, `20m`, `12h`, `30d`; sizes `100000`, `512MB` (10⁶) or `2GiB`
(2³⁰). Where `none` is allowed it means no limit, or nothing of the kind. In TOML whole numbers,
`true`/`false`, lists and tables are TOML's own; everything else is a text in quotes:

```toml
events = "clicks.jsonl.gz"
retention = "30d"
max_sessions = 1_000_000
deny = ["gift-card"]

[fields]
session_id = "SessionId"

[types]
view = 1
purchase = 5
```

A wrong value ends the program with exit code 2 before a record is read, and names the setting, what
was given, what was expected, and where it came from.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for group, settings in grouped():
        parts += [f"## {group.heading}\n\n{_sentence(group.about)}\n", *map(_entry, settings)]
    return "\n".join(parts)


def _sentence(about: str) -> str:
    return f"{about[0].upper()}{about[1:]}."


def _entry(setting: Setting) -> str:
    default = "must be given" if setting.required else f"`{setting.written(setting.default)}`"
    flag = setting.flag if setting.kind is Kind.SWITCH else f"{setting.flag} {setting.metavar}"
    if setting.kind is Kind.SWITCH:
        flag += f"`, `--no-{setting.flag.removeprefix('--')}"
    return (
        f"### `{setting.key}`\n\n{setting.doc}\n\n"
        f"- Flag: `{flag}`{_repeats(setting)}\n"
        f"- Environment: `{ENVIRONMENT_PREFIX}{setting.key.upper()}`{_commas(setting)}\n"
        f"- Takes: {setting.expected}\n"
        f"- Default: {default}\n"
        f"{_tables(setting)}"
    )


def _tables(setting: Setting) -> str:
    """Return the fields of each of its tables."""
    if setting.kind is not Kind.TABLES:
        return ""
    own = [f"| `{each.key}` | {each.doc} | {each.expected} |\n" for each in trial_settings()]
    shared = ", ".join(f"[`{key}`](#{key})" for key in parameters())
    return (
        f"\n| in each table | | takes |\n|---|---|---|\n{''.join(own)}\nAnd of the settings on this page: {shared}.\n"
    )


def _repeats(setting: Setting) -> str:
    return ", once for each" if setting.kind in {Kind.LIST, Kind.TABLE} else ""


def _commas(setting: Setting) -> str:
    return ", separated by commas" if setting.kind in {Kind.LIST, Kind.TABLE} else ""


def main() -> int:
    """Write the page, or exit with 1 if it is out of date."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
