"""``earmark.toml``: defaults of any option, a table a verb and ``[all]`` for every verb. The command line wins."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earmark.cli.arguments import Collect, Renamed
from earmark.errors import EarmarkError, UnknownName, nearest
from earmark.paths import config_folder

__all__ = ["ALL", "SettingsError", "SettingsFile", "apply", "asked_file", "options", "read", "usual_file"]

ALL = "all"
_NEVER = ("help", "config", "version")


class SettingsError(EarmarkError):
    """A settings file that cannot be read, or a key in it that makes no sense."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it was read.

    Attributes:
        path: Where it is, or would be.
        tables: Settings by verb, or by ``all``; empty where there is no file.
        found: Whether there is one.
    """

    path: Path
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    found: bool = False


def usual_file() -> Path:
    """``earmark.toml`` in the user's configuration folder, as the system has it."""
    return config_folder() / "earmark.toml"


def asked_file(argv: Sequence[str]) -> str | None:
    """The file that ``--config`` names, if it stands among the arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    asked: str | None = parser.parse_known_args(list(argv))[0].config
    return asked


def read(asked: str | None) -> SettingsFile:
    """The file that was asked for, or the usual one, which may be missing.

    Raises:
        SettingsError: It cannot be read, is not TOML, or holds something else than a table a verb.
    """
    file = Path(asked) if asked else _usual_or_none()
    if file is None or (asked is None and not file.is_file()):
        return SettingsFile(file or Path("earmark.toml"))
    import tomllib

    try:
        tables = tomllib.loads(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot read the settings: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from error
    _check_tables(file, tables)
    return SettingsFile(file, tables, found=True)


def _usual_or_none() -> Path | None:
    try:
        return usual_file()
    except RuntimeError:  # no home folder
        return None


def _check_tables(file: Path, tables: Mapping[str, Any]) -> None:
    from earmark.cli import verbs

    known = [*verbs.names(), ALL]
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: {name} stands outside a table; put it below [all] or a verb such as [tag]")
        if name not in known:
            raise SettingsError(f"{file}: [{name}]: {UnknownName('verb', name, known)}")


def options(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """What a settings file may set of a verb: its long options, without the dashes."""
    found = {}
    for action in parser._actions:
        long = next((name[2:] for name in action.option_strings if name.startswith("--")), None)
        if long and long not in _NEVER:
            found[long] = action
    return found


def apply(parser: argparse.ArgumentParser, verb: str, file: SettingsFile) -> dict[str, str]:
    """Make the file's settings the parser's defaults.

    Returns:
        By option, the table that it came from (``[all]`` or ``[VERB]``); also in the default ``from_file``.

    Raises:
        SettingsError: An unknown key (the nearest is named), or a value of the wrong kind.
    """
    known, came_from = options(parser), {}
    for table in (ALL, verb):
        for key, value in file.tables.get(table, {}).items():
            if key not in known:
                _check_key(file, table, key, known)
                continue
            action = known[key]
            if isinstance(action, Renamed):
                raise SettingsError(f"{file.path}: [{table}] {key} is called {action.now[2:]} now")
            parser.set_defaults(**{action.dest: _value(f"{file.path}: [{table}] {key}", action, value)})
            action.required = False
            came_from[key] = f"[{table}]"
    parser.set_defaults(from_file=frozenset(known[key].dest for key in came_from))
    return came_from


def _check_key(file: SettingsFile, table: str, key: str, known: Mapping[str, object]) -> None:
    """In ``[all]`` a key is right that any verb has."""
    if table == ALL:
        from earmark.cli import verbs

        known = {k: None for name in verbs.names() for k in options(verbs.verb_parser(name, verbs.load(name)))}
        if key in known:
            return
    near = nearest(key, known)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
    raise SettingsError(f"{file.path}: [{table}]: unknown key {key}; {hint}")


def _value(where: str, action: argparse.Action, value: Any) -> Any:
    """The value as the command line would have given it."""
    if action.nargs == 0:
        if isinstance(value, bool):
            return value
        raise SettingsError(f"{where} = {value!r}: must be true or false")
    if action.nargs in ("*", "+") or isinstance(action, Collect):
        items = value if isinstance(value, list) else [value]
        return tuple(_single(where, action, item) for item in items)
    return _single(where, action, value)


def _single(where: str, action: argparse.Action, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise SettingsError(f"{where} = {value!r}: must be a text or a number")
    try:
        result = action.type(str(value)) if callable(action.type) else str(value)
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise SettingsError(f"{where} = {value!r}: {error}") from error
    if action.choices is not None and result not in action.choices:
        raise SettingsError(f"{where} = {value!r}: must be one of {', '.join(map(str, action.choices))}")
    return result
