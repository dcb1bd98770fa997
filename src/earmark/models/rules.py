"""Rules for values that were read from a file: each takes a key and a value, and names the key where it is broken.

Rules are put together like the value that they describe (``listing(text())``), so that one table says all that holds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from earmark.errors import nearest

__all__ = [
    "Broken",
    "Rule",
    "anything",
    "flag",
    "listing",
    "number",
    "one_of",
    "optional",
    "prose",
    "record",
    "table",
    "text",
]

Rule = Callable[[str, Any], Any]
"""From a key and its value to the value as it is used; raises :class:`Broken`."""

_DEEPEST = 20


class Broken(ValueError):
    """A value that breaks its rule; the message begins with the key."""

    def __init__(self, key: str, value: object, must: str) -> None:
        brief = repr(value)
        super().__init__(f"{key} = {brief if len(brief) <= 60 else brief[:57] + '...'} must be {must}")


def number(least: float = -1e12, most: float = 1e12, *, above: bool = False, whole: bool = False) -> Rule:
    """A finite number from ``least`` (or ``above`` it) to ``most``; ``whole`` numbers only."""
    kind = "a whole number" if whole else "a finite number"
    must = f"{kind} {'above' if above else 'from'} {least:g}{' and up' if above else ''} to {most:g}"

    def rule(key: str, value: Any) -> Any:
        fits = type(value) is int or (type(value) is float and not whole and math.isfinite(value))
        if not fits or not least <= value <= most or (above and value == least):
            raise Broken(key, value, must)
        return value if whole else float(value)

    return rule


def text(most: int = 1000, empty: bool = False) -> Rule:
    """A text in one line."""

    def rule(key: str, value: Any) -> Any:
        if type(value) is not str or (not empty and not value.strip()) or len(value) > most:
            raise Broken(key, value, f"a text of {0 if empty else 1} to {most} characters")
        if any(mark < " " or "\x7f" <= mark < "\xa0" for mark in value):
            raise Broken(key, value, "a text without control characters")
        return value

    return rule


def prose(key: str, value: Any) -> Any:
    """A text of any form."""
    if type(value) is not str:
        raise Broken(key, value, "a text")
    return value


def flag(key: str, value: Any) -> Any:
    """True or false."""
    if type(value) is not bool:
        raise Broken(key, value, "true or false")
    return value


def one_of(*values: str | int) -> Rule:
    """One of some values."""
    must = "one of " + ", ".join(map(repr, values))

    def rule(key: str, value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in values):
            raise Broken(key, value, must)
        return value

    return rule


def listing(item: Rule, least: int = 0, most: int = 1_000_000, unique: bool = False) -> Rule:
    """A list whose items keep a rule; becomes a tuple."""

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or not least <= len(value) <= most:
            raise Broken(key, value, f"a list of {least} to {most} items")
        items = tuple(item(f"{key}[{place}]", one) for place, one in enumerate(value))
        for place, one in enumerate(items):
            if unique and one in items[:place]:
                raise Broken(f"{key}[{place}]", one, "there once only")
        return items

    return rule


def table(item: Rule) -> Rule:
    """A table with values that keep a rule."""

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Broken(key, value, "a table")
        return {name: item(f"{key}[{name!r}]", one) for name, one in value.items()}

    return rule


def optional(inner: Rule) -> Rule:
    """A value that may be null."""
    return lambda key, value: None if value is None else inner(key, value)


def anything(key: str, value: Any, depth: int = 0) -> Any:
    """Free content, but no number in it that is not finite."""
    if depth > _DEEPEST:
        raise Broken(key, "...", "less deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise Broken(key, value, "a finite number")
    if isinstance(value, Mapping):
        return {name: anything(f"{key}.{name}", one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [anything(f"{key}[{place}]", one, depth + 1) for place, one in enumerate(value)]
    return value


def record(kind: type, rules: Mapping[str, Rule], required: Collection[str] = ()) -> Rule:
    """A table as a dataclass; a key without a rule is unknown, one without a default must be there."""
    fields = dataclasses.fields(kind)
    needed = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING or f.name in required]

    def rule(key: str, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Broken(key or "the card", value, "a table")
        prefix = f"{key}." if key else ""
        for name in value:
            if name not in rules:
                near = nearest(str(name), rules)
                raise ValueError(f"{prefix}{name} is not a known key" + (f"; did you mean {near}?" if near else ""))
        for name in needed:
            if name not in value:
                raise ValueError(f"{prefix}{name} is missing")
        return kind(**{name: rules[name](f"{prefix}{name}", one) for name, one in value.items()})

    return rule
