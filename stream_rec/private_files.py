"""Files and folders that only the user of this process may read: they hold ids of visitors.

Knows nothing of their content.
"""

import os
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["appended", "created", "make_folder"]

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


def make_folder(path: Path) -> None:
    """Make the folder *path* and its parents if they are missing; *path* itself is private then. Raises OSError.

    A folder that exists keeps its mode: its owner has chosen it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def created(path: Path) -> BinaryIO:
    """Return the new, private file *path*, open for writing; what has that name, such as a link, is removed first.

    For temporary names, which can be guessed: a link that another user puts there must not be followed. Raises OSError.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE_MODE), "wb")


def appended(path: Path) -> FileIO:
    """Return *path*, unbuffered and open for appending, and private if it is made here. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, _FILE_MODE), "ab", buffering=0)
