"""Files behind an address such as ``s3://BUCKET/KEY``: by pyarrow's file systems, or fsspec's (extra ``ray``)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from earmark.errors import AudioError, EarmarkError, MissingExtra, failure_kind

__all__ = ["Place", "first_line", "is_address", "local_copy", "place"]

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.", re.DOTALL)
_BLOCK = 2**20


def is_address(path: str) -> bool:
    """Whether a path is an address of a file system elsewhere; a file of that very name is none."""
    return _ADDRESS.match(path) is not None and not os.path.lexists(path)


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder behind an address.

    Attributes:
        files: The file system, as pyarrow has it.
        path: In that file system.
        front: What an address has before the path.
    """

    files: Any
    path: str
    front: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return str(self.files.type_name) == "local"

    def address(self, path: str) -> str:
        """The address of another path of the same file system."""
        return self.front + path

    def below(self) -> list[str]:
        """The paths of all files below, in code-point order of their parts; itself alone where it is a file.

        Raises:
            FileNotFoundError: There is nothing.
            OSError: It cannot be listed.
        """
        from pyarrow import fs

        kind = self.files.get_file_info(self.path).type
        if kind == fs.FileType.NotFound:
            raise FileNotFoundError(2, "no such file or folder", self.path)
        if kind == fs.FileType.File:
            return [self.path]
        found = self.files.get_file_info(fs.FileSelector(self.path, recursive=True))
        return sorted((one.path for one in found if one.type == fs.FileType.File), key=lambda path: path.split("/"))


def place(address: str) -> Place:
    """What an address stands for.

    Raises:
        MissingExtra: pyarrow is not installed.
        EarmarkError: There is no such kind of file system.
    """
    try:
        import pyarrow
        from pyarrow import fs
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", f"{address}: an address") from error
    scheme, _, rest = address.rstrip("/").partition("://")
    host, _, key = rest.partition("/")
    try:
        if scheme == "file":
            files, path = fs.LocalFileSystem(), rest
        else:
            try:  # the key as it is: an address here is no URI, in which a space would be %20
                files, path = fs.FileSystem.from_uri(f"{scheme}://{host}")
                path = f"{path}/{key}" if key else path
            except pyarrow.ArrowInvalid:
                import fsspec

                other, path = fsspec.core.url_to_fs(address)
                files = fs.PyFileSystem(fs.FSSpecHandler(other))
    except (ImportError, ValueError, OSError) as error:
        raise EarmarkError(f"{address}: cannot be used: {first_line(error)}") from error
    path = path.rstrip("/")
    return Place(files, path, address.rstrip("/").removesuffix(path))


@contextmanager
def local_copy(path: str, alive: Callable[[], None]) -> Iterator[str]:
    """A copy of what is behind an address, for as long as the ``with`` takes.

    Raises:
        AudioError: It is not there, or cannot be fetched.
    """
    import tempfile

    there = place(path)
    handle, name = tempfile.mkstemp(PurePosixPath(there.path).suffix, "earmark-")
    try:
        with os.fdopen(handle, "wb") as file:
            try:
                with there.files.open_input_stream(there.path) as stream:
                    while block := stream.read(_BLOCK):
                        file.write(block)
                        alive()
            except OSError as error:
                kind = failure_kind(error)
                message = "no such file" if kind == "missing" else f"it cannot be fetched: {first_line(error)}"
                raise AudioError(path, kind, message) from error
        yield name
    finally:
        with suppress(OSError):
            Path(name).unlink()


def first_line(error: BaseException) -> str:
    """What an error says, as one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__
