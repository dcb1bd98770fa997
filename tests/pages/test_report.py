"""The report needs nothing but itself, shows every figure as text, and no name can break it."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from jinja2 import UndefinedError

from earmark.errors import StorageError
from earmark.evaluation.history import Epoch, find_jumps
from earmark.inference.records import Failure
from earmark.pages import svg
from earmark.pages.render import Link, Site, asset, json_block, render
from earmark.pages.report import page, write_report
from earmark.pages.text import breakable, escaped
from evaluation.fakes import genre_model, made_evaluation

HOSTILE = "</title><script>alert(1)</script>\"'&\u202e\x00\x1b[31m\udcff.mp3"


class Reader(HTMLParser):
    """Collects tags and text, and whether every tag is closed."""

    EMPTY = ("meta", "br", "wbr")

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.words, self.links = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "action")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.fixture
def evaluation():
    history = [
        Epoch(epoch=i, train_loss=1 / i, valid_loss=1 / i + (i == 15), valid_score=0.5, moved=((HOSTILE, 1.0),))
        for i in range(1, 21)
    ]
    return replace(
        made_evaluation(*genre_model()),
        history=tuple(history),
        jumps=find_jumps(history),
        failures=(Failure(f"/music/{HOSTILE}", "decode", "broken"),),
        naive={"genre": {"accuracy": 0.99}},
        against={
            "model": "other@1",
            "heads": {"genre": {"figure": "accuracy", "difference": 0.1, "ci95": None, "p": 0.2}},
        },
    )


def test_it_needs_nothing_from_elsewhere(evaluation):
    html = page(evaluation)
    reader = read(html)
    assert all(link.startswith("#") for link in reader.links)
    assert not {"link", "img", "iframe", "object"} & set(reader.tags)
    assert reader.tags.count("script") == 1, "the common one, which knows no name"
    assert "http" not in re.sub(r"http-equiv", "", html) and "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html and "unsafe" not in html
    assert not re.search(r"<[^>]*\s(style|on[a-z]+)=", html), "a policy without unsafe-inline forbids these"


def test_a_server_gives_its_nonce_and_sends_its_own_policy(evaluation):
    site = Site('r"1', (Link("Map", "/map"), Link("Reports", "/reports", current=True)))
    html = page(evaluation, site)
    assert '<a href="/map">Map</a>' in html and 'href="/reports" aria-current="page"' in html
    assert html.count('<script nonce="r&#34;1">') == 1 and html.count('<style nonce="r&#34;1">') == 1
    assert "Content-Security-Policy" not in html
    read(html)


def test_every_section_and_figure_stands_there_as_text(evaluation):
    words = " ".join(read(page(evaluation)).words)
    figures = evaluation.figures["genre"]
    assert f"{100 * figures['accuracy']:.1f} %" in words
    assert f"{figures['macro_f1']:.3f}" in words
    for heading in ("Confusion", "Reliability", "Learning curves", "Songs that it got most wrong", "99.0 %", "other@1"):
        assert heading in words
    assert "Jump in epoch 15" in words
    for label, row in figures["per_label"].items():
        assert label in words and f"{100 * row['recall']:.1f} %" in words


def test_pictures_are_well_formed(evaluation):
    pictures = re.findall(r"<svg.*?</svg>", page(evaluation), re.S)
    assert len(pictures) == 5
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "nan" not in picture and "inf" not in picture


def test_hostile_names_stay_names(evaluation):
    names = evaluation.answers["genre"]
    hostile = replace(names, tracks=(HOSTILE,) * len(names.tracks), labels=(HOSTILE, *names.labels[1:]))
    html = page(replace(evaluation, model=HOSTILE, dataset=HOSTILE, answers={"genre": hostile}))
    assert html.count("<script") == 1 and "alert" not in html.split("<script>")[1].split("</script>")[0]
    assert "\x00" not in html and "\u202e" not in html and "\x1b" not in html
    html.encode("utf-8")
    read(html)


def test_names_are_escaped_and_readable():
    assert escaped("a<b>&\"'") == "a&lt;b&gt;&amp;&quot;&#x27;"
    assert escaped("é 日本 \udcff\n") == "é 日本 \\xff\\n"
    assert escaped("\ud800") == "\\ud800"
    assert breakable("a/<b>_c") == "a/<wbr>&lt;b&gt;_<wbr>c"


def test_facts_cannot_end_their_script():
    facts = {"title": "</script><!--<script>\u2028&"}
    block = json_block(facts)
    assert "<" not in block and "\u2028" not in block and json.loads(block) == facts


def test_a_template_without_one_of_its_facts_is_an_error():
    with pytest.raises(UndefinedError, match="document"):
        render("document.html", title="x")


def test_sheets_and_scripts_hold_no_end_of_their_element():
    for name in ("page.css", "page.js"):
        assert "</" not in asset(name)


def test_the_folder_is_made_and_holds_the_json_too(evaluation, tmp_path):
    file = write_report(evaluation, tmp_path / "new" / "report")
    assert file.name == "index.html" and file.stat().st_size > 10_000
    assert (file.parent / "evaluation.json").read_text().startswith("{")
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="cannot write the report"):
        write_report(evaluation, tmp_path / "taken")


def test_pictures_of_little_or_odd_data():
    nan = float("nan")
    assert svg.curves([svg.Curve("a", "a", [1.0], [nan])], "x", "y") == ""
    for picture in (
        svg.curves([svg.Curve("a", "a", [1.0], [0.0])], "x", "y"),
        svg.curves([svg.Curve("a", "a", [1.0, 2.0, 3.0, 4.0], [1.0, nan, 1.0, 1.0])], "x", "y"),
        svg.bars([]),
        svg.bars([svg.Bar("x" * 200, None, None, "")]),
        svg.heat_map(np.zeros((1, 1), np.int64), ["only"]),
        svg.heat_map(np.eye(188, dtype=np.int64), [f"label {i}" for i in range(188)]),
        svg.scatter(np.array([0.5]), np.array([0.5])),
        svg.reliability(np.full(10, nan), np.full(10, nan), np.zeros(10)),
    ):
        ElementTree.fromstring(picture)
        assert "nan" not in picture


def test_no_tick_stands_between_two_epochs():
    def under(epochs):
        picture = ElementTree.fromstring(svg.curves([svg.Curve("a", "a", epochs, [0.5] * len(epochs))], "x", "y"))
        return [text.text for text in picture.iter("text") if text.get("class") == "small dim middle"]

    assert under([1.0, 2.0, 3.0]) == ["1", "2", "3"] and under([1.0]) == ["1", "2"]
    assert under([0.5, 2.0]) == ["0.5", "1", "1.5", "2"]  # seconds, say
