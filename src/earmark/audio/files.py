"""Which files are meant: arguments and folders become a list of recordings, in an order that never changes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.audio.containers import HEAD_BYTES, is_audio
from earmark.errors import AudioError

__all__ = ["AUDIO_SUFFIXES", "Entry", "has_audio_name", "walk"]

AUDIO_SUFFIXES = frozenset({
    ".3ga", ".8svx", ".aa3", ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".alac", ".amr", ".ape", ".au", ".caf",
    ".dff", ".dsf", ".dts", ".eac3", ".f4a", ".flac", ".gsm", ".m2a", ".m4a", ".m4b", ".m4p", ".m4r", ".mka", ".mp+",
    ".mp1", ".mp2", ".mp3", ".mp4", ".mpa", ".mpc", ".mpga", ".mpp", ".oga", ".ogg", ".oma", ".opus", ".ra", ".rf64",
    ".shn", ".snd", ".spx", ".tak", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wv",
})  # fmt: skip
"""Endings, in lower case, that get a record without a look inside."""

_APPLE_DOUBLE = b"\x00\x05\x16\x07"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that the walk met.

    Attributes:
        path: The argument as given, joined with the way below it; undecodable bytes are surrogate escapes.
        audio: Whether it gets a record; other files are only counted.
        error: Why it need not be opened at all; None where it can be tried.
    """

    path: str
    audio: bool = True
    error: AudioError | None = None


def walk(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Entry]:
    """The files meant by the arguments, in the order given; folders in code-point order of the path's parts.

    A file that is named always counts as audio: who names it wants to know. Below a folder a file counts by its
    ending, or by its content. Each real folder is walked once in a call, so that loops of symbolic links end.
    Pipes, sockets and devices are never opened. Nothing is raised: what cannot be read is an entry with an error.
    """
    seen: set[object] = set()
    for path in paths:
        yield from _argument(os.fspath(path), seen)


def has_audio_name(name: str) -> bool:
    """Whether a file's ending is one of :data:`AUDIO_SUFFIXES`, in whatever case."""
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122 - a name, maybe not decodable


def _argument(path: str, seen: set[object]) -> Iterator[Entry]:
    try:
        mode = Path(path).stat().st_mode if path else _no_name()
    except (OSError, ValueError) as error:
        yield Entry(path, error=_refusal(path, error))
        return
    if stat.S_ISDIR(mode):
        yield from _below(path, seen)
    elif stat.S_ISREG(mode):
        yield Entry(path)
    else:
        yield Entry(path, error=AudioError(path, "not-audio", f"{_kind_of(mode)}, not a file"))


def _no_name() -> int:
    raise FileNotFoundError(errno.ENOENT, "an empty name")


def _below(folder: str, seen: set[object]) -> Iterator[Entry]:
    """Depth first with a stack of our own: folders may be nested deeper than Python's recursion."""
    stack = [_children(folder, seen)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, str):
                stack.append(_children(item, seen))
                break
            yield item
        else:
            stack.pop()


def _children(folder: str, seen: set[object]) -> Iterator[Entry | str]:
    """Files as entries and subfolders as paths, by name."""
    try:
        identity = _identity(folder)
        if identity in seen:
            return
        seen.add(identity)
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda child: child.name)
    except OSError as error:
        yield Entry(folder, error=_refusal(folder, error, "the folder"))
        return
    for child in found:
        yield _child(child)


def _identity(folder: str) -> object:
    status = Path(folder).stat()
    if status.st_ino:
        return status.st_dev, status.st_ino
    return os.path.realpath(folder)  # some file systems on Windows number nothing


def _child(child: os.DirEntry[str]) -> Entry | str:
    named = has_audio_name(child.name)
    try:
        if child.is_dir():
            return child.path
        if child.is_file():
            return Entry(child.path, audio=_counts(child.path, child.name, named))
        if not named:
            return Entry(child.path, audio=False)
        mode = Path(child.path).stat().st_mode
    except OSError as error:
        if not named:
            return Entry(child.path, audio=False)
        return Entry(child.path, error=_refusal(child.path, error))
    return Entry(child.path, error=AudioError(child.path, "not-audio", f"{_kind_of(mode)}, not a file"))


def _counts(path: str, name: str, named: bool) -> bool:
    apple = name.startswith("._")  # macOS keeps a file's extras beside it under the same ending
    if named and not apple:
        return True
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return named
    if named:
        return not head.startswith(_APPLE_DOUBLE)
    return is_audio(head)


def _refusal(path: str, error: OSError | ValueError, what: str = "it") -> AudioError:
    code = error.errno if isinstance(error, OSError) else errno.ENOENT
    if code == errno.ELOOP:
        return AudioError(path, "missing", "a symbolic link that leads back to itself")
    if code in (errno.ENOENT, errno.ENOTDIR):
        linked = bool(path) and "\0" not in path and os.path.islink(path)  # noqa: PTH114 - never raises
        return AudioError(path, "missing", "a link to what is not there" if linked else "no such file or folder")
    if code in (errno.EACCES, errno.EPERM):
        return AudioError(path, "permission", f"no permission to read {what}")
    return AudioError(path, "io", f"the system cannot read {what}: {getattr(error, 'strerror', None) or error}")


def _kind_of(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
