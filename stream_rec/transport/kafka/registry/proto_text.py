"""Files of Protobuf as text -> descriptors, by Google's compiler in grpcio-tools.

Confluent's registry gives descriptors. Others (Apicurio, Karapace) give what a producer has registered, and Java's
serialisers register text.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import grpc_tools
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

__all__ = ["compiled"]


def compiled(texts: Mapping[str, str]) -> list[Any]:
    """Return the descriptors of the files, given by the names that they import each other by. Raises ValueError."""
    with TemporaryDirectory(prefix="stream-rec-") as temporary:
        folder = Path(temporary)
        for name, text in texts.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"a file of the name {name!r}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        tools = Path(grpc_tools.__file__).parent
        # Google's own files: the compiler's, and those of googleapis-common-protos beside it.
        include = [f"-I{each}" for each in (folder, tools / "_proto", tools.parent)]
        out = folder / "descriptors"
        if protoc.main(["protoc", *include, f"--descriptor_set_out={out}", *(str(folder / name) for name in texts)]):
            raise ValueError("its text is not one of Protobuf (what is wrong is in the standard error)")
        return list(FileDescriptorSet.FromString(out.read_bytes()).file)
