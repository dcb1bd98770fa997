"""Which files are meant: arguments and folders become a list of recordings, in an order that never changes."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from earmark.audio.layouts import HEAD_BYTES, is_audio
from earmark.errors import AudioError, failure_kind
from earmark.remote import first_line, is_address, place

__all__ = ["AUDIO_SUFFIXES", "IGNORE_FILE", "Entry", "has_audio_name", "left_out", "matcher", "walk"]

AUDIO_SUFFIXES = frozenset({
    ".3ga", ".8svx", ".aa", ".aa3", ".aac", ".aax", ".ac3", ".ac4", ".adp", ".adts", ".adx", ".aea", ".afc", ".aif",
    ".aifc", ".aiff", ".alac", ".amr", ".ape", ".apm", ".aptx", ".asf", ".at3", ".at9", ".au", ".avr", ".awb", ".bcstm",
    ".bfstm", ".brstm", ".bw64", ".caf", ".dff", ".dsf", ".dss", ".dts", ".dtshd", ".eac3", ".ec3", ".evrc", ".f4a",
    ".f4b", ".flac", ".fsb", ".g722", ".gsm", ".hca", ".htk", ".ircam", ".laf", ".loas", ".m2a", ".m4a", ".m4b", ".m4p",
    ".m4r", ".mka", ".mlp", ".mmf", ".mogg", ".mp+", ".mp1", ".mp2", ".mp3", ".mp4", ".mpa", ".mpc", ".mpga", ".mpp",
    ".mtaf", ".nist", ".oga", ".ogg", ".oma", ".omg", ".opus", ".paf", ".pvf", ".qcp", ".ra", ".rf64", ".rka", ".rso",
    ".sbc", ".sd2", ".sds", ".shn", ".snd", ".sox", ".sph", ".spx", ".svx", ".tak", ".thd", ".truehd", ".tta", ".vag",
    ".voc", ".vqf", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma", ".wv", ".wve", ".xa", ".xi", ".xvag", ".xwma",
})  # fmt: skip
"""Endings, in lower case, of what FFmpeg and libsndfile read as audio: such a file gets a record unopened."""

IGNORE_FILE = ".earmarkignore"
"""A file of patterns, one a line, of what is left out below its folder; see :func:`walk`."""

_SYSTEM_FOLDERS = re.compile(
    r"\..*|#recycle|\$recycle\.bin|recycler|recycled|@eadir|@recycle|@recently-snapshot|#snapshot|__macosx|lost\+found"
    r"|system volume information|network trash folder|temporary items",
    re.IGNORECASE,
)
_NO_RECORDINGS = re.compile(
    r"\._.*|\.earmark-.*\.tmp|.*\.(part|partial|crdownload|download|!ut|!qb|bc!|bak|aria2|filepart)",
    re.IGNORECASE | re.DOTALL,
)


_WILDCARDS = {"**/": "(?:.*/)?", "/**": "/.+", "*": "[^/]*", "?": "[^/]"}


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


def walk(paths: Iterable[str | os.PathLike[str]], exclude: Iterable[str] = ()) -> Iterator[Entry]:
    """The files meant by the arguments, in the order given; folders in code-point order of the path's parts.

    What is named always counts, whatever it is called: who names it wants to know. Below a folder a file counts by its
    ending, or by its content. Left out there, without an entry: hidden folders and those of systems (trash and recycle
    bins, ``.stversions``, ``@eaDir``, ``__MACOSX``, ``lost+found``, ``System Volume Information``); folders with a file
    ``.nomedia``; half-finished files and copies (``*.part``, ``*.crdownload``, ``*.!ut``, ``*.bak``, our own
    ``.earmark-*.tmp``), macOS' extras (``._*``); and what matches a pattern of ``exclude`` or of :data:`IGNORE_FILE`
    in a folder above it.

    A pattern is one of Git's: ``*`` and ``?`` match within a name, ``**`` over several; without a slash (but at its
    end) it matches a name at any depth, with one the path below the argument, or below the folder of the file with
    patterns; a slash at the end means folders alone; ``!`` takes back what an earlier line left out; ``#`` begins a
    comment.

    An address such as ``s3://BUCKET/FOLDER`` is listed as a folder is, but no file is opened there: they count by
    their ending alone, and files of patterns are not read.

    Links are followed, and each real folder is walked once in a call, so that loops end. Pipes, sockets and devices are
    never opened. Nothing is raised: what cannot be read is an entry with an error.
    """
    seen: set[object] = set()
    patterns = _patterns(exclude)
    for path in paths:
        yield from _argument(os.fspath(path), seen, patterns)


def has_audio_name(name: str) -> bool:
    """Whether a file's ending is one of :data:`AUDIO_SUFFIXES`, in whatever case."""
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122 - a name, maybe not decodable


def matcher(exclude: Iterable[str]) -> Callable[[Path, Path], bool]:
    """Whether patterns leave out a file or a folder between it and the one above: ``leaves_out(root, file)``."""
    patterns = _patterns(exclude)

    def leaves_out(root: Path, file: Path) -> bool:
        above = [folder for folder in file.parents if folder != root and root in folder.parents]
        rules = (_Rules(str(root), patterns),)
        return any(_matched(str(place), place != file, rules) for place in (*above, file))

    return leaves_out


def left_out(folder: Path) -> bool:
    """Whether a walk through the folder above leaves this one out."""
    above = str(folder.parent)
    return _left_out(str(folder), True, (_Rules(above, _ignored(above)),)) or (folder / ".nomedia").exists()


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line that leaves out, or takes back, what matches below a folder."""

    expression: re.Pattern[str]
    whole_path: bool
    folders_only: bool
    keep: bool


@dataclass(frozen=True, slots=True)
class _Rules:
    """The patterns that hold below a folder."""

    folder: str
    patterns: tuple[_Pattern, ...]


def _patterns(lines: Iterable[str]) -> tuple[_Pattern, ...]:
    """Patterns of lines; what is no valid pattern matches nothing."""
    found = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        keep, text = text.startswith("!"), text.removeprefix("!").removeprefix("\\")
        folders_only, text = text.endswith("/"), text.rstrip("/")
        if text:
            try:
                expression = re.compile(_expression(text.removeprefix("/")), re.DOTALL)
            except re.error:  # a range from z to a
                continue
            found.append(_Pattern(expression, "/" in text, folders_only, keep))
    return tuple(found)


def _expression(pattern: str) -> str:
    """A regular expression of a pattern."""
    built = ""
    for token in re.split(r"(\*\*/|/\*\*$|\*|\?|\[!?[^\]]+\])", pattern):
        if token in _WILDCARDS:
            built += _WILDCARDS[token]
        elif token.startswith("[") and token.endswith("]"):
            inside = re.escape(token.strip("[]").removeprefix("!")).replace(r"\-", "-")
            built += f"[^{inside}]" if token.startswith("[!") else f"[{inside}]"
        else:
            built += re.escape(token)
    return built


def _left_out(path: str, folder: bool, rules: tuple[_Rules, ...]) -> bool:
    """Whether the system's or the user's rules leave a file or folder out; the last pattern that matches decides."""
    name = os.path.basename(path)  # noqa: PTH119 - a name, maybe not decodable
    return bool((_SYSTEM_FOLDERS if folder else _NO_RECORDINGS).fullmatch(name)) or _matched(path, folder, rules)


def _matched(path: str, folder: bool, rules: tuple[_Rules, ...]) -> bool:
    """Whether the user's rules leave it out."""
    name = os.path.basename(path)  # noqa: PTH119 - a name, maybe not decodable
    out = False
    for rule in rules:
        below = Path(os.path.relpath(path, rule.folder)).as_posix() if rule.patterns else ""
        for pattern in rule.patterns:
            if (folder or not pattern.folders_only) and pattern.expression.fullmatch(
                below if pattern.whole_path else name
            ):
                out = not pattern.keep
    return out


def _argument(path: str, seen: set[object], patterns: tuple[_Pattern, ...]) -> Iterator[Entry]:
    if is_address(path):
        yield from _behind(path, _Rules("/", patterns))
        return
    try:
        mode = Path(path).stat().st_mode if path else _no_name()
    except (OSError, ValueError) as error:
        yield Entry(path, error=_refusal(path, error))
        return
    if stat.S_ISDIR(mode):
        yield from _below(path, seen, (_Rules(path, patterns),))
    elif stat.S_ISREG(mode):
        yield Entry(path)
    else:
        yield Entry(path, error=AudioError(path, "not-audio", f"{_kind_of(mode)}, not a file"))


def _behind(address: str, rules: _Rules) -> Iterator[Entry]:
    """The files below an address, which must name a file system (EarmarkError)."""
    root = place(address)
    try:
        found = root.below()
    except OSError as error:
        kind = failure_kind(error)
        message = "no such file or folder" if kind == "missing" else f"it cannot be listed: {first_line(error)}"
        yield Entry(address, error=AudioError(address, kind, message))
        return
    for path in found:
        below = path.removeprefix(root.path).strip("/").split("/")
        ways = ["/" + "/".join(below[: depth + 1]) for depth in range(len(below))]
        if path == root.path:
            yield Entry(address)
        elif not any(_left_out(way, way != ways[-1], (rules,)) for way in ways):
            yield Entry(root.address(path), audio=has_audio_name(below[-1]))


def _no_name() -> int:
    raise FileNotFoundError(errno.ENOENT, "an empty name")


def _below(folder: str, seen: set[object], rules: tuple[_Rules, ...]) -> Iterator[Entry]:
    """Depth first with a stack of our own: folders may be nested deeper than Python's recursion."""
    stack = [_children(folder, seen, rules, named=True)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, Entry):
                yield item
                continue
            stack.append(_children(item[0], seen, item[1]))
            break
        else:
            stack.pop()


def _children(
    folder: str, seen: set[object], rules: tuple[_Rules, ...], named: bool = False
) -> Iterator[Entry | tuple[str, tuple[_Rules, ...]]]:
    """Files as entries, and subfolders as paths with the rules that hold in them, by name."""
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
    names = {child.name for child in found}
    if ".nomedia" in names and not named:
        return
    if IGNORE_FILE in names:
        rules = (*rules, _Rules(folder, _ignored(folder)))
    for child in found:
        entry = _child(child, rules)
        if isinstance(entry, str):
            yield entry, rules
        elif entry is not None:
            yield entry


def _ignored(folder: str) -> tuple[_Pattern, ...]:
    try:
        return _patterns(Path(folder, IGNORE_FILE).read_text("utf-8-sig", "surrogateescape").splitlines())
    except OSError:
        return ()


def _identity(folder: str) -> object:
    status = Path(folder).stat()
    if status.st_ino:
        return status.st_dev, status.st_ino
    return os.path.realpath(folder)  # some file systems on Windows number nothing


def _child(child: os.DirEntry[str], rules: tuple[_Rules, ...]) -> Entry | str | None:
    """An entry, a subfolder's path, or None for what is left out."""
    named = has_audio_name(child.name)
    try:
        folder = child.is_dir()
        if _left_out(child.path, folder, rules):
            return None
        if folder:
            return child.path
        if child.is_file():
            return _file(child, named)
        if not named:
            return Entry(child.path, audio=False)
        mode = Path(child.path).stat().st_mode
    except OSError as error:
        if not named:
            return Entry(child.path, audio=False)
        return Entry(child.path, error=_refusal(child.path, error))
    return Entry(child.path, error=AudioError(child.path, "not-audio", f"{_kind_of(mode)}, not a file"))


def _file(child: os.DirEntry[str], named: bool) -> Entry:
    if named:
        return Entry(child.path)
    try:
        with Path(child.path).open("rb") as file:
            return Entry(child.path, audio=is_audio(file.read(HEAD_BYTES)))
    except OSError:
        return Entry(child.path, audio=False)


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
