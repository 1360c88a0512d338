"""Files of item ids, one a line: the deny list and the allow list."""

import re
from collections.abc import Sequence
from pathlib import Path

from stream_rec.errors import SettingsError

__all__ = ["id_of_line", "read_ids"]


def read_ids(listed: Sequence[str], file: str | None, key: str) -> frozenset[str]:
    """Return the ids that are *listed*, and those of *file*. Raises SettingsError for a file that cannot be read.

    See `id_of_line` for the form of a line.
    """
    if file is None:
        return frozenset(listed)
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(key, f"cannot read {file!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        message = f"{file!r} is not UTF-8 at byte {error.start}: write one item id a line, in UTF-8"
        raise SettingsError(key, message) from error
    ids = set(listed)
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = id_of_line(line.strip())
        except ValueError as error:
            raise SettingsError(key, f"line {number} of {file!r} is not one item id: {error}") from None
        if found:
            ids.add(found)
    return frozenset(ids)


def id_of_line(line: str) -> str:
    """Return the id in a *line* of a list, "" for a blank line or a remark. Raises ValueError.

    An id may stand in quotes, as spreadsheets write it, and a remark behind it after ` #`. What may be the one or the
    other is an error: a list that denies nothing must not look like one that does.
    """
    if line[:1] in {'"', "'"}:
        quote = line[0]
        inside, closing, rest = line[1:].replace(2 * quote, "\0").partition(quote)
        if not closing or (rest.strip() and not rest.lstrip().startswith("#")) or not inside:
            raise ValueError(f"{line!r} begins with a quote: write the id alone, or in quotes as a whole")
        return inside.replace("\0", quote)
    if line.startswith("#"):
        if line[1:2].strip(" \t#"):
            raise ValueError(f"{line!r} may be an id or a remark: write '# ' before a remark, and an id in quotes")
        return ""
    return re.split(r"\s+#", line, maxsplit=1)[0]
