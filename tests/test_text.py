"""Names in files are strangers' text: what they say can neither steer a terminal nor fill a library."""

from __future__ import annotations

import json
import time

from earmark.text import LONGEST, escaped, json_text, plain_text


def test_one_plain_line() -> None:
    assert plain_text("  A\nlong\t name\x00 ") == "A long name"
    assert plain_text("\x1b[31mred\x9b") == "[31mred"
    assert plain_text("abc\u202e3pm.exe\u2066\u200f\ufeff") == "abc3pm.exe"
    assert plain_text("\udce9") == "\ufffd"


def test_what_people_write_stays() -> None:
    for text in ("Café – Ärger", "👩\u200d🎤 live", "北京 東京", "می\u200cخواهم", "C♯ “minor”"):
        assert plain_text(text) == text


def test_a_title_of_ten_megabytes_is_cut_at_once() -> None:
    title = "x\u202e" * 5_000_000
    start = time.perf_counter()
    assert plain_text(title) == "x" * (LONGEST - 1) + "…"
    assert time.perf_counter() - start < 0.1


def test_json_says_the_same_and_steers_nothing() -> None:
    value = {"path": "/a/x\u202e3pm\x9b\u2028\U000e0041.mp3", "title": '\u00e9 \U0001f3b5 \\ " \x1b', "odd": "\udce9"}
    text = json_text(value)
    assert json.loads(text) == value and text.encode()
    assert all(one.isprintable() for one in text) and "\u00e9 \U0001f3b5" in text


def test_escaped_text_shows_what_it_hides() -> None:
    assert escaped("a\u202eb\x1b\tc\n") == "a\\u202eb\\x1b\tc\n"
