"""Use cases: requests with the command line's defaults, two at once in one process, cancelled from outside."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

import earmark.app
from earmark.app.analyse import AnalyseRequest, analyse
from earmark.app.audit import AuditRequest, audit
from earmark.app.embed import EmbedRequest, embed
from earmark.app.extend import ExtendRequest, extend
from earmark.app.library import LibraryRequest, look_into_library
from earmark.app.review import CorrectRequest, ReviewRequest, correct, review
from earmark.app.scan import ScanRequest, scan
from earmark.app.search import SimilarRequest, similar
from earmark.app.train import TrainRequest, train
from earmark.cli import verbs
from earmark.engine import LocalEngine
from earmark.errors import Cancelled, EarmarkError
from earmark.events import Progress, Record
from made_songs import write_collection
from sounds_of_library import make_songs

MODULES = [f"earmark.app.{found.name}" for found in pkgutil.iter_modules(earmark.app.__path__)]
REQUESTS = {
    kind: module
    for module in MODULES
    for kind in vars(importlib.import_module(module)).values()
    if isinstance(kind, type) and kind.__name__.endswith("Request") and kind.__module__ == module
}


def test_a_request_is_frozen_and_says_what_each_field_is() -> None:
    assert len(REQUESTS) >= 15
    for kind in REQUESTS:
        assert kind.__dataclass_params__.frozen, kind
        documented = "".join(base.__doc__ or "" for base in kind.__mro__)
        for field in dataclasses.fields(kind):
            assert f"{field.name}: " in documented, f"{kind.__name__}.{field.name}"


def test_use_cases_know_no_command_line() -> None:
    for module in MODULES:
        file = importlib.import_module(module).__file__
        assert file is not None
        tree = ast.parse(Path(file).read_text("utf-8"))
        imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        assert not [name for name in imported if name == "argparse" or name.startswith("earmark.cli")], module
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)], module


@pytest.mark.parametrize("verb", sorted(verbs.names()))
def test_defaults_of_a_verb_are_those_of_its_request(verb: str) -> None:
    """One spelling of each default: the request's."""
    command = verbs.load(verb)
    parser = verbs.verb_parser(verb, command)
    for kind in [kind for kind in vars(command).values() if isinstance(kind, type) and kind in REQUESTS]:
        for field in dataclasses.fields(kind):
            if field.default in (None, dataclasses.MISSING):
                continue
            if any(action.dest == field.name for action in parser._actions):
                assert parser.get_default(field.name) == field.default, f"{verb} {field.name}"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    make_songs(folder / "music", 6)
    scan(ScanRequest(folders=(str(folder / "music"),), library=str(folder / "a.db"), model=str(tiny_model))).wait()
    return folder


def test_use_cases_at_once_on_one_engine(shelf: Path, tiny_model: Path, tmp_path: Path) -> None:
    """As a server has them: a scan into one library while songs are analysed and another library is searched."""
    found: dict[str, Any] = {}
    with LocalEngine(2) as engine:
        request = ScanRequest(folders=(str(shelf / "music"),), library=str(tmp_path / "b.db"), model=str(tiny_model))
        runs: dict[str, Any] = {
            "scan": scan(request, engine),
            "analyse": analyse(AnalyseRequest(paths=(str(shelf / "music"),), model=str(tiny_model)), engine=engine),
            "similar": similar(SimilarRequest(library=str(shelf / "a.db"), track=str(shelf / "music" / "0.wav"))),
        }
        threads = [
            threading.Thread(target=lambda name=name, run=run: found.update({name: run.wait()}))  # type: ignore[misc]
            for name, run in runs.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert set(found) == set(runs)
    assert found["scan"].tracks == 6 and found["analyse"].tracks == 6 and len(found["similar"]) == 5


def test_a_cancelled_scan_keeps_what_is_done(tiny_model: Path, tmp_path: Path) -> None:
    make_songs(tmp_path / "music", 12)
    library = str(tmp_path / "a.db")
    request = ScanRequest(folders=(str(tmp_path / "music"),), library=library, model=str(tiny_model), jobs=1)
    run = scan(request)
    with pytest.raises(Cancelled):
        for event in run:
            if isinstance(event, Record):
                run.cancel()
    held = look_into_library(LibraryRequest(library=library)).wait()
    assert 1 <= held.tracks <= 11
    assert scan(request).wait().unchanged == held.tracks


def test_exclude_leaves_files_out(shelf: Path, tiny_model: Path, tmp_path: Path) -> None:
    request = AnalyseRequest(paths=(str(shelf / "music"),), model=str(tiny_model), exclude=("[0-3].wav",))
    paths = [Path(event.value["path"]).name for event in analyse(request) if isinstance(event, Record)]
    assert paths == ["4.wav", "5.wav"]
    out = str(tmp_path / "x.npz")
    one = EmbedRequest(paths=request.paths, model=str(tiny_model), exclude=("?.wav", "!5.wav"), output=out)
    assert embed(one).wait().tracks == 1
    with pytest.raises(EarmarkError, match="no audio file"):
        analyse(dataclasses.replace(request, exclude=("*.wav",))).wait()


def test_exclude_files_of_a_data_set(tiny_model: Path, tmp_path: Path) -> None:
    songs = write_collection(tmp_path / "songs", songs=4)
    (songs / "demos").mkdir()
    shutil.copy(songs / "low" / "low artist 0" / "low-0.wav", songs / "demos" / "demo.wav")
    for exclude, tracks in (((), 13), (("demos/",), 12), (("low artist 0", "demos"), 10), (("*-[12].wav",), 7)):
        request = AuditRequest(dataset=str(songs), model=str(tiny_model), exclude_files=exclude)
        found = audit(request).wait()
        assert len(found.dataset.tracks) == tracks, exclude
        assert ("demos" in found.balance["genre"]) == (tracks in (13, 7))


def test_corrections_of_a_review(shelf: Path, tmp_path: Path) -> None:
    library = str(shutil.copy(shelf / "a.db", tmp_path / "a.db"))
    song = str(shelf / "music" / "1.wav")
    correct(CorrectRequest(library=library, path=song, head="genre", label="Polka")).wait()
    found = review(ReviewRequest(library=library, head="genre")).wait()
    assert found.corrections == 1 and song not in [question.track.path for question in found.questions]
    with pytest.raises(EarmarkError, match="is not in the library"):
        correct(CorrectRequest(library=library, path="no.wav", head="genre", label="Polka")).wait()


def test_progress_counts_to_the_end(shelf: Path, tiny_model: Path) -> None:
    request = AnalyseRequest(paths=(str(shelf / "music"),), model=str(tiny_model))
    steps = [event for event in analyse(request) if isinstance(event, Progress)]
    assert [(event.done, event.total) for event in steps] == [(done, 6) for done in range(7)]


def test_extend_says_what_it_does_after_the_last_song(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    songs, new = write_collection(tmp_path / "songs", songs=6), write_collection(tmp_path / "new", {"beep": 1500.0})
    done = train(TrainRequest(dataset=str(songs), init=str(tiny_model), output=str(tmp_path / "model"))).wait()
    assert done.card.heads[0].labels == ("high", "low", "middle") and done.corrections is None
    run = extend(ExtendRequest(model=str(tmp_path / "model"), songs=str(new), output=str(tmp_path / "more")))
    stages = list(dict.fromkeys(event.stage for event in run if isinstance(event, Progress)))
    said = ["learning the new classes", "measuring what the old classes lose", "writing the model"]
    assert [stage for stage in stages if stage in said] == said and len(stages) > len(said)
    assert run.result.added == ("beep",)
