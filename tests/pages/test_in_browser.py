"""Pages in a real browser: they fit a telephone, break no word, obey their own policy, and are dark or light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from browser import BROKEN, NAMELESS, OUTSIDE, PALE, Page
from earmark.audio.images import write_image
from earmark.evaluation.comparison import Advice, Comparison, Node, Row
from earmark.evaluation.history import Epoch, find_jumps
from earmark.inference.records import Failure
from earmark.pages.comparison import comparison_page
from earmark.pages.pictures import Picture, write_pictures
from earmark.pages.report import page as report_page
from earmark.pages.restyle import restyled_page
from evaluation.fakes import genre_model, made_evaluation

LONG = "Progressive psychedelic electroacoustic improvisation and contemporary instrumental experimental music"
NAME = "/music/Some Artist/A rather long album name [remastered]/01_with_underscores_and_a_long_name_of_a_file.flac"
FACES = [(1280, False, False), (390, False, True), (390, True, True), (320, False, True)]


def evaluation_page() -> str:
    history = [
        Epoch(epoch=i, train_loss=1 / i, valid_loss=1 / i + (i == 15), valid_score=0.5, moved=((NAME, 1.0),))
        for i in range(1, 21)
    ]
    made = made_evaluation(*genre_model())
    head = made.answers["genre"]
    labels = (LONG, *head.labels[1:])
    figures = dict(made.figures["genre"], labels=list(labels))
    figures["per_label"] = dict(zip(labels, figures["per_label"].values(), strict=True))
    return report_page(
        replace(
            made,
            model="a-model-of-mine@1+another_model_that_has_a_long_name@12",
            answers={"genre": replace(head, labels=labels, tracks=(NAME,) * len(head.tracks))},
            figures={"genre": figures},
            history=tuple(history),
            jumps=find_jumps(history),
            failures=(Failure(NAME, "decode", "broken"),),
            naive={"genre": {"accuracy": 0.99}},
            notices=(f"{NAME} has no artist.",),
        )
    )


def comparison() -> str:
    labels = [f"label number {i}" for i in range(24)]
    figures = {"task": "multiclass", "accuracy": 0.7, "accuracy_ci95": [0.6, 0.8], "labels": labels}
    figures |= {
        "train_accuracy": 1.0,
        "valid_accuracy": 0.7,
        "confusion": [[i * j % 7 for i in range(24)] for j in range(24)],
    }
    node = Node(0, ((f"genre: {LONG}", 0.8),), ((NAME, 1.0), (NAME, 0.5)))
    history = tuple(Epoch(epoch=i, train_loss=1 / i, valid_loss=1 / i, valid_score=0.5) for i in range(1, 6))
    rows = tuple(
        Row(name=name, recipe=name, heads={"genre": figures}, naive={"genre": figures}, parameters=10, history=history,
            nodes={"nodes": (node,)}, notes=(LONG,))
        for name in ("multi-output", "transfer")
    )  # fmt: skip
    paired = ({"a": "multi-output", "b": "transfer", "head": "genre", "difference": 0.1, "ci95": [0, 0.2], "p": 0.1},)
    return comparison_page(
        Comparison(
            dataset="my-own-collection", part="test", group_by="artist", rows=rows, paired=paired, advice=Advice(LONG)
        )
    )


def test_the_checks_find_what_they_are_for(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text(
        "<meta charset=utf-8><body><p style='width:2em;word-break:break-all'>Electronica</p>"
        "<p style='color:#aaa;background:#fff'>pale</p><div style='width:500px'>wide</div><input><button></button>"
        "<script>throw Error('x')</script>",
        "utf-8",
    )
    tab.open(file, 390)
    assert tab.run(BROKEN) == ["Electronica"] and len(tab.run(PALE)) == 1
    assert len(tab.run(OUTSIDE)) == 1 and len(tab.run(NAMELESS)) == 2
    assert len(tab.errors) == 1
    tab.errors.clear()


@pytest.mark.parametrize("make", [evaluation_page, comparison])
@pytest.mark.parametrize(("width", "dark", "touch"), FACES)
def test_a_report_fits_and_breaks_no_word(make, width: int, dark: bool, touch: bool, tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(make(), "utf-8")
    tab.open(file, width, dark=dark, touch=touch)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run(OUTSIDE) == []
    assert tab.run(BROKEN) == []
    assert tab.run(NAMELESS) == []
    assert tab.run(PALE) == []
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.errors == [], "its own policy allows all that it does"


def test_pictures_are_seen_and_heard_beside_the_page(tab: Page, tmp_path: Path) -> None:
    """The policy lets in what lies beside the page, whatever its name; pixels stay pixels."""
    folder = tmp_path / "50 % of #1?"
    folder.mkdir()
    write_image(folder / "a é.png", np.random.default_rng(0).uniform(0, 255, (128, 128)).astype(np.float32))
    soundfile.write(folder / "a é.wav", np.zeros(800), 8000)
    files = tuple((when, str(folder / "a é.png"), str(folder / "a é.wav")) for when in ("before", "after"))
    page = write_pictures([Picture(NAME, f"{n}.0 s", files) for n in range(9)], tmp_path, "What slices-best sees", LONG)
    for width in (1280, 390):
        tab.open(page, width)
        tab.run("document.querySelectorAll('img').forEach(one => one.loading = 'eager')")
        tab.wait("[...document.images].every(one => one.complete && one.naturalWidth === 128)")
        tab.run("document.querySelectorAll('audio').forEach(one => one.preload = 'metadata')")
        tab.wait("[...document.querySelectorAll('audio')].every(one => one.duration > 0.09)")
        assert tab.run("document.images.length") == 18 and tab.run(OUTSIDE) == [] and tab.run(NAMELESS) == []
        assert tab.run("document.documentElement.scrollWidth") <= width and tab.run(PALE) == []
    assert tab.errors == []


@pytest.mark.parametrize(("width", "dark", "touch"), FACES)
def test_a_restyled_song_is_seen_and_heard_beside_its_baselines(
    width: int, dark: bool, touch: bool, tab: Page, tmp_path: Path
) -> None:
    distances = {name: {"style": 0.5, "chroma": 0.1, "onsets": 1.05} for name in ("content", "result", "cross-fade")}
    for name in distances:
        write_image(tmp_path / f"{name}.png", np.random.default_rng(0).uniform(0, 255, (431, 96)).astype(np.float32))
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(800), 8000)
    facts = {"content": NAME, "style": NAME, "strength": 3.0, "model": "a-model-of-mine@1"}
    (tmp_path / "index.html").write_text(restyled_page(distances, tmp_path, facts), "utf-8")
    tab.open(tmp_path / "index.html", width, dark=dark, touch=touch)
    tab.run("document.querySelectorAll('img').forEach(one => one.loading = 'eager')")
    tab.wait("[...document.images].every(one => one.complete && one.naturalWidth === 431)")
    assert tab.run("[...document.querySelectorAll('audio')].map(one => one.getAttribute('aria-label'))") == [
        f"sound: {name}" for name in distances
    ]
    assert tab.run("document.documentElement.scrollWidth") <= width and tab.errors == []
    assert tab.run(OUTSIDE) == tab.run(BROKEN) == tab.run(NAMELESS) == tab.run(PALE) == []


def test_what_is_cut_scrolls_and_says_so(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(comparison(), "utf-8")
    tab.open(file, 390, touch=True)
    wide = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)"
    assert tab.run(f"{wide}.length") >= 3
    hints = f"{wide}.map(one => getComputedStyle(one.nextElementSibling).display)"
    assert set(tab.run(hints)) == {"block"} and tab.run(f"{wide}.every(one => one.tabIndex === 0)")
    tab.run(f"{wide}[0].scrollLeft = 9999")
    tab.wait(f"getComputedStyle({wide}[0].nextElementSibling).display === 'none'")


def test_dark_and_light_follow_the_system_until_one_is_chosen(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(evaluation_page(), "utf-8")
    paper = "getComputedStyle(document.body).backgroundColor"
    tab.open(file)
    light = tab.run(paper)
    tab.open(file, dark=True)
    dark = tab.run(paper)
    assert dark != light and tab.run("document.querySelector('#theme').textContent") == "Light"
    tab.run("document.querySelector('#theme').click()")
    assert tab.run(paper) == light
    for _ in range(50):  # the browser writes it down a little later
        tab.open(file, dark=True)
        if tab.run(paper) == light:
            break
    assert tab.run(paper) == light, "it is remembered"
    tab.run("document.querySelector('#theme').click()")
    assert tab.run(paper) == dark
    tab.run("localStorage.clear()")


def test_print_is_light_and_hides_nothing(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(evaluation_page(), "utf-8")
    tab.open(file, 720, dark=True)
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.run("getComputedStyle(document.body).color") == "rgb(28, 29, 33)"
    assert tab.run("[...document.querySelectorAll('details table')].every(one => one.checkVisibility())")
    assert not tab.run("document.getElementById('theme').checkVisibility()")
    tab.call("Emulation.setEmulatedMedia", media="")
