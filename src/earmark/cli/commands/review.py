"""``earmark review``: the songs that the model most needs help with, decided by one key each."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.app.review import CorrectRequest, ReviewRequest, correct, review
from earmark.cli import arguments, console
from earmark.cli.drawing import Stopped, count_of, follow
from earmark.cli.keys import END, Keys, opened_keys
from earmark.cli.records import name_of, song_fields
from earmark.errors import nearest

if TYPE_CHECKING:
    from earmark.library.review import Question

HELP = "decide about songs that the model is unsure of; your labels are kept"

_HELP = "1-5 choose  Enter accepts 1  t type another  p play  o open its folder  s skip  b back  q quit"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--head", metavar="NAME", help="about this head alone (default: all with one answer)")
    text = "songs to ask about (default: %(default)s)"
    parser.add_argument("-n", "--count", type=arguments.above_zero, metavar="N", help=text)
    arguments.add_library(parser)
    arguments.add_format(parser)
    arguments.defaults(parser, ReviewRequest)


def run(args: argparse.Namespace) -> int:
    """Ask; or list the questions for a machine."""
    found = follow(review(arguments.request(args, ReviewRequest)))
    if console.wants_json(args):
        console.print_json({"songs": [_fields(one) for one in found.questions], "labels": found.corrections})
        return 0
    if not found.questions:
        print("There is nothing to decide: the model is sure of every song, and no file contradicts it.")
        return 0
    session = _Session(args.library, found.questions)
    try:
        with opened_keys() as keys:
            session.run(keys)
    except KeyboardInterrupt:
        raise Stopped if session.kept else KeyboardInterrupt from None
    print(f"{count_of(len(session.kept), 'label')} kept; `earmark train --from-library` learns from your labels")
    return 0


def _fields(one: Question) -> dict[str, Any]:
    return song_fields(one.track) | {
        "head": one.head,
        "why": one.why,
        "heard": one.predicted,
        "confidence": one.confidence,
        "own": one.own or None,
        "options": dict(one.options),
    }


class _Session:
    """Questions one after the other; each answer is kept at once."""

    def __init__(self, library: str | None, questions: Sequence[Question]) -> None:
        self._library, self._questions = library, questions
        self.kept: set[int] = set()
        self._style = console.style_of(sys.stdout)

    def run(self, keys: Keys) -> None:
        """Ask until the end, or until it is enough."""
        place = 0
        while place < len(self._questions):
            self._show(place)
            step = self._act(place, keys)
            if step is None:
                return
            place = max(0, place + step)

    def _show(self, place: int) -> None:
        one = self._questions[place]
        line = f"{one.head}: the model says {one.predicted} ({one.confidence:.0%})"
        line += f", the file says {one.own}" if one.why == "disagrees" else " and is not sure"
        print(f"\n{self._style(console.plain(name_of(one.track)), 'bold')}  ({place + 1} of {len(self._questions)})")
        print(self._style(console.plain(one.track.path), "dim"))
        print(console.plain(line))
        for number, (label, share) in enumerate(one.options, 1):
            own = "  the file's own" if label == one.own else ""
            print(f"  {number} {console.fit(console.plain(label), 24)} {console.bar(share, 12)} {share:4.0%}{own}")
        print(self._style(_HELP, "dim"), flush=True)

    def _act(self, place: int, keys: Keys) -> int | None:
        """What the next key that means something does: how many questions on, or None to end."""
        one = self._questions[place]
        while True:
            key = keys()
            if key in ("q", "\x03", END):
                return None
            if key in ("b", "s", " "):
                return -1 if key == "b" else 1
            if key in ("\r", "\n", "a", "y"):
                key = "1"
            if key in ("1", "2", "3", "4", "5") and int(key) <= len(one.options):
                return self._keep(place, one.options[int(key) - 1][0])
            if key == "t":
                return self._typed(place, keys)
            if key in ("p", "o"):
                track = Path(one.track.path)
                _open(track if key == "p" else track.parent)

    def _typed(self, place: int, keys: Keys) -> int:
        """A label of one's own; one that is new to the head is confirmed, and the nearest known one offered."""
        with suppress(ImportError):
            import readline  # noqa: F401 - so that arrow keys move in the line, and are no part of it
        one = self._questions[place]
        try:
            word = " ".join(input(f"{one.head}: ").split())
        except EOFError:
            return 0
        if not word:
            return 0
        if not word.isprintable():
            print("A label is plain text; this one holds other characters, and is not kept.")
            return 0
        known = {label.casefold(): label for label in one.labels}
        label = known.get(word.casefold())
        if label is not None:
            return self._keep(place, label)
        near = nearest(word, one.labels)
        offer = f" 1 takes {near}," if near else ""
        print(console.plain(f"{word} is a new label.{offer} y keeps {word}, any other key goes back."), flush=True)
        answer = keys()
        if answer == "y":
            return self._keep(place, word)
        return self._keep(place, near) if near and answer == "1" else 0

    def _keep(self, place: int, label: str) -> int:
        one = self._questions[place]
        correct(CorrectRequest(library=self._library, path=one.track.path, head=one.head, label=label)).wait()
        self.kept.add(place)
        print(self._style(f"  {console.plain(label)}", "green"))
        return 1


def _open(path: Path) -> None:
    """Let the system open a file or a folder with the program that it has for it."""
    try:
        if sys.platform == "win32":
            os.startfile(path)
        else:
            command = "open" if sys.platform == "darwin" else "xdg-open"
            quiet = subprocess.DEVNULL
            subprocess.Popen([command, str(path)], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as error:
        print(console.plain(f"The system cannot open it: {error.strerror or error}."), flush=True)
