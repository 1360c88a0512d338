"""Files in object stores and on web servers: `s3://`, `gs://`, `abfss://`, `https://`.

Object stores are read through PyArrow's file systems (an extra), with the credentials that the environment gives them;
web servers without any. Does not know what the files hold.
"""

import io
import os
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

from stream_rec.errors import SettingsError

__all__ = ["RemoteFile", "is_remote", "name_in", "open_remote", "paths_below"]

_WEB: Final = ("http", "https")
_STORES: Final = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
_AHEAD_BYTES: Final = 1 << 23
"""Each request takes as long as some megabytes do."""
_PATIENCE_S: Final = 60.0


class RemoteFile(NamedTuple):
    """An open file of elsewhere."""

    file: BinaryIO
    size: int | None
    is_seekable: bool


def is_remote(spec: str) -> bool:
    """Return whether *spec* names a file in an object store or on a web server."""
    scheme, separator, _ = spec.partition("://")
    return bool(separator) and scheme.lower() in {*_WEB, *_STORES}


def name_in(uri: str) -> str:
    """Return the last part of the path of *uri*, as a file would be called."""
    return unquote(urlsplit(uri).path).rstrip("/").rpartition("/")[2] or uri


def open_remote(uri: str, key: str) -> RemoteFile:
    """Open the file at *uri*. Raises SettingsError for the setting *key*."""
    parts = _checked(uri, key)
    if parts.scheme.lower() in _WEB:
        return _open_web(uri, key)
    store, path = _store(uri, key)
    try:
        file = store.open_input_file(path)
        size = int(file.size())
    except OSError as error:
        raise SettingsError(key, f"cannot read {uri!r}: {_why(error)}") from error
    return RemoteFile(io.BufferedReader(_Raw(file), _AHEAD_BYTES), size, is_seekable=True)


def paths_below(uri: str, key: str) -> Iterator[str]:
    """Yield the URIs of all files below the folder *uri*, none if it is a file. Raises SettingsError."""
    parts = _checked(uri, key)
    if parts.scheme.lower() in _WEB:
        return
    store, path = _store(uri, key)
    from pyarrow import fs  # noqa: PLC0415 (see _store)

    try:
        if store.get_file_info(path).type == fs.FileType.File:
            return
        found = store.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    except OSError as error:
        raise SettingsError(key, f"cannot read {uri!r}: {_why(error)}") from error
    for each in found:
        if each.type == fs.FileType.File:
            yield f"{uri.rstrip('/')}/{each.path.removeprefix(path.rstrip('/')).lstrip('/')}"


def _checked(uri: str, key: str) -> Any:  # noqa: ANN401 (a name that urllib does not make public)
    parts = urlsplit(uri)
    if "@" in parts.netloc and ":" in parts.netloc.partition("@")[0]:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise SettingsError(key, f"{shown} has a password in its address: give credentials by the environment only")
    return parts


def _store(uri: str, key: str) -> tuple[Any, str]:
    """Return PyArrow's file system for *uri*, and the path in it."""
    try:
        from pyarrow import fs  # noqa: PLC0415 (an extra, and slow to import)
    except ImportError as error:
        message = f"reading {uri!r} needs pyarrow: pip install 'stream-rec[remote]'"
        raise SettingsError(key, message) from error
    try:
        parts, known = urlsplit(uri), _s3_options()
        if parts.scheme.lower() == "s3" and known and not parts.query:
            # By the address alone, PyArrow would ask Amazon for the region, also of a bucket that is on another server.
            return fs.S3FileSystem(**known), unquote(parts.netloc + parts.path)
        store, path = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, NotImplementedError) as error:
        raise SettingsError(key, f"cannot read {uri!r}: {_why(error)}") from error
    return store, path


def _s3_options() -> dict[str, str]:
    """Return what the environment says of S3 beside credentials, by the names that all of its clients share."""
    environ = os.environ
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    endpoint = urlsplit(environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or "")
    if endpoint.netloc:
        return {"region": region or "us-east-1", "endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    return {"region": region} if region else {}


def _why(error: Exception) -> str:
    """Return the first line of PyArrow's message, which may end in a page of advice."""
    return str(error).strip().partition("\n")[0][:300]


class _Raw(io.RawIOBase):
    """PyArrow's file as Python's."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 (pyarrow is not typed)
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (as the base class)
        return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


# --- web servers


def _open_web(uri: str, key: str) -> RemoteFile:
    request = urllib.request.Request(uri, headers={"Accept-Encoding": "identity", "User-Agent": "stream-rec"})  # noqa: S310 (http and https only)
    try:
        response = urllib.request.urlopen(request, timeout=_PATIENCE_S)  # noqa: S310 (see above)
    except HTTPError as error:
        error.close()
        raise SettingsError(key, f"cannot read {uri!r}: the server answers {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise SettingsError(key, f"cannot read {uri!r}: {getattr(error, 'reason', error)}") from error
    length = response.headers.get("Content-Length", "")
    return RemoteFile(io.BufferedReader(_Body(response)), int(length) if length.isdigit() else None, is_seekable=False)


class _Body(io.RawIOBase):
    """The body of a response, which is cut off if it is shorter than the server said."""

    def __init__(self, response: Any) -> None:  # noqa: ANN401 (urllib's are several classes)
        super().__init__()
        self._response = response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (as the base class)
        try:
            n = int(self._response.readinto(buffer))
        except HTTPException as error:
            raise OSError(f"the server has broken off: {error!r}") from error
        if not n and self._response.length:
            raise OSError(f"the server has broken off, {self._response.length} bytes before the end")
        return n

    def close(self) -> None:
        if not self.closed:
            self._response.close()
        super().close()
