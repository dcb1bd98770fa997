"""``earmark review``: the songs that the model most needs help with, decided by one key each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from earmark.cli import console, shelf
from earmark.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.library.review import Question
    from earmark.library.store import Library

HELP = "decide about songs that the model is unsure of; what you say is kept as labels"

_KEYS = "1-5 choose  Enter accepts 1  t type another  s skip  b back  q quit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--head", metavar="NAME", help="about this head alone (default: all with one answer)")
    text = "songs to ask about (default: %(default)s)"
    parser.add_argument("-n", "--count", type=shelf.above_zero("a whole number"), default=20, metavar="N", help=text)
    shelf.add_library(parser)
    console.add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Ask; or list the questions, where that is wanted."""
    from earmark.library.review import questions, reviewed_heads

    listing = console.wants_json(args)
    with shelf.opened(args, write=not listing) as library:
        model = shelf.model_of(args, library)
        asked = questions(library, model, reviewed_heads(model, args.head), args.count)
        if listing:
            kept = sum(len(words) for words in library.labels().values())
            console.print_json({"songs": [_fields(one) for one in asked], "labels": kept})
            return 0
        if not asked:
            print("nothing to decide: the model is sure of every song, and no file contradicts it")
            return 0
        done = _Session(library, asked).run()
    print(f"{done} labels kept; `earmark train --from-library` learns from them")
    return 0


def _fields(one: Question) -> dict[str, Any]:
    return shelf.song_fields(one.track) | {
        "head": one.head,
        "why": one.why,
        "heard": one.heard,
        "confidence": one.confidence,
        "own": one.own or None,
        "options": dict(one.options),
    }


class _Session:
    """Questions one after the other; each answer is kept at once."""

    def __init__(self, library: Library, asked: list[Question]) -> None:
        self._library, self._asked = library, asked
        self._kept: dict[int, str] = {}
        self._style = console.style_of(sys.stdout)

    def run(self) -> int:
        """Ask until the end, or until it is enough; returns how many labels were kept."""
        place, key = 0, _key_reader()
        while place < len(self._asked):
            self._show(place)
            step = self._act(place, key())
            if step is None:
                break
            place = max(0, place + step)
        return len(self._kept)

    def _show(self, place: int) -> None:
        one = self._asked[place]
        said = f"{one.head}: heard {one.heard} {one.confidence:.0%}"
        said += f", the file says {one.own}" if one.why == "disagrees" else ", not sure"
        print(f"\n{self._style(console.plain(shelf.name_of(one.track)), 'bold')}  ({place + 1} of {len(self._asked)})")
        print(self._style(console.plain(one.track.path), "dim"))
        print(console.plain(said))
        for number, (label, share) in enumerate(one.options, 1):
            own = "  the file's own" if label == one.own else ""
            print(f"  {number} {console.fit(console.plain(label), 24)} {console.bar(share, 12)} {share:4.0%}{own}")
        print(self._style(_KEYS, "dim"), flush=True)

    def _act(self, place: int, pressed: str) -> int | None:
        """What a key does: how many questions on, or None to end."""
        one = self._asked[place]
        if pressed in ("q", "\x03", "\x04", ""):
            return None
        if pressed == "b":
            return -1
        if pressed in ("s", " "):
            return 1
        if pressed in ("\r", "\n", "a", "y"):
            pressed = "1"
        if pressed.isdecimal() and 1 <= int(pressed) <= len(one.options):
            return self._keep(place, one.options[int(pressed) - 1][0])
        if pressed == "t":
            return self._typed(place)
        return 0

    def _typed(self, place: int) -> int:
        from earmark.errors import nearest

        one = self._asked[place]
        word = input(f"{one.head}: ").strip()
        if not word:
            return 0
        known = {label.casefold(): label for label in one.labels}
        label = known.get(word.casefold())
        if label is None and (near := nearest(word, one.labels)):
            print(f"{word!r} is a new label; there is {near!r}")
        return self._keep(place, label or word)

    def _keep(self, place: int, label: str) -> int:
        one = self._asked[place]
        if one.track.audio is None:
            raise EarmarkError(f"{one.track.path}: was not heard")
        self._library.set_label(one.track.audio, one.head, label)
        self._kept[place] = label
        print(self._style(f"  {console.plain(label)}", "green"))
        return 1


def _key_reader() -> Callable[[], str]:
    """Gives single keys of a terminal, without Enter; elsewhere the first letter of each line."""
    if not sys.stdin.isatty():
        return lambda: (sys.stdin.readline() or "q").strip()[:1] or "\n"
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch
    return _terminal_key


def _terminal_key() -> str:
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        return sys.stdin.read(1)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
