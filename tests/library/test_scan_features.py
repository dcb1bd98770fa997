"""A scan gives songs the features that are asked for: what is known is not measured again, and never taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.analyses import facts, measure
from earmark.analyses.facts import ANALYSES, Tempo, choose
from earmark.engine import InlineEngine
from earmark.events import Notice, Progress, Run
from earmark.inference.options import HearingOptions
from earmark.inference.records import ClipEmbeddings, Failure, Prediction
from earmark.inference.tagger import Tagger, load_model
from earmark.library import measuring
from earmark.library.opening import Measure, Open
from earmark.library.options import ScanOptions
from earmark.library.records import LibraryModel
from earmark.library.scan import Scanned, real_root, scan_folders
from earmark.library.store import Library
from earmark.library.store import features as store
from sounds import melody, write

ALL = choose(None)
Scan = Callable[..., Scanned]


class Watched(InlineEngine):
    """Counts what it opens, by task; fails at the files that are named, with one kind of failure."""

    def __init__(self, kind: str = "crash", *names: str) -> None:
        super().__init__()
        self.kind, self.names = kind, names
        self.opened: dict[type, list[Any]] = {}

    def map(self, task: Any, items: Any, **options: Any) -> Any:
        items = list(items)
        self.opened.setdefault(type(task), []).extend(items)
        for result in super().map(task, items, **options):
            path = getattr(items[result.index], "path", "")
            failed = Path(path).name in self.names
            yield Failure(path, self.kind, "out of luck", result.index) if failed else result  # type: ignore[arg-type]

    def measured(self) -> dict[str, tuple[str, ...]]:
        """What was measured, by name of the file."""
        return {Path(one.path).name: one.features for one in self.opened.get(Measure, [])}


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    for number, name in enumerate("abc"):
        write(folder / f"{name}.wav", melody(6 + number, 22_050), 22_050)
    soundfile.write(folder / "silence.wav", np.zeros(3 * 22_050), 22_050)
    (folder / "bad.mp3").write_text("no sound")
    return folder


@pytest.fixture
def run(library: Library, model: LibraryModel, music: Path) -> Scan:
    def scanned(
        *features: str, engine: InlineEngine | None = None, by: LibraryModel = model, **options: Any
    ) -> Scanned:
        asked = ScanOptions(features=features, **options)
        return Run(scan_folders(library, [real_root(str(music))], by, engine or InlineEngine(), asked)).wait()

    return scanned


class Told:
    """A model whose vectors tell danceability."""

    def __init__(self, tagger: Tagger) -> None:
        self.tagger, self.card, self.read = tagger, tagger.card, 0

    def predict_embeddings(self, clips: ClipEmbeddings, options: HearingOptions) -> Prediction:
        self.read += len(clips.vectors) > 1
        found = self.tagger.predict_embeddings(clips, options)
        each = {name: facts.Score(0.25, True) for name in options.features if name == "danceability"}
        return replace(found, features={**found.features, **each})


@pytest.fixture
def told(model: LibraryModel, monkeypatch: pytest.MonkeyPatch) -> Told:
    found = Told(load_model(model.folder))
    monkeypatch.setattr(measuring, "load_model", lambda folder: found)
    return found


def known(library: Library) -> dict[str, dict[str, Any]]:
    """The features in the record of each file, by its name."""
    return {
        Path(track.path).name: said.to_dict().get("features", {})
        for track, said in library.predictions(library.model())
        if isinstance(said, Prediction)
    }


def newer(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These analyses have a newer version now."""
    versions = {name: replace(ANALYSES[name], version=ANALYSES[name].version + 1) for name in names}
    for module in (facts, measure, measuring, store):
        monkeypatch.setattr(module, "ANALYSES", dict(ANALYSES) | versions)


def tagged(music: Path, folder: Path) -> dict[str, Mapping[str, Any]]:
    """What `tag --features` gives of the same files."""
    tagger = load_model(folder)
    options = HearingOptions(features=ALL)
    return {
        file.name: tagger.predict(file, options=options).to_dict()["features"] for file in sorted(music.glob("*.wav"))
    }


def test_new_songs_get_them_from_the_opening_that_analyses_them(
    library: Library, music: Path, run: Scan, tiny_model: Path
) -> None:
    engine = Watched()
    done = run(*ALL, engine=engine)
    assert (done.analysed, done.measured, done.failed) == (4, 4, {"not-audio": 1})
    assert len(engine.opened[Open]) == 5 and engine.measured() == {}, "one opening each"
    assert known(library) == tagged(music, tiny_model)
    assert run(*ALL, engine=engine).measured == 0 and len(engine.opened[Open]) == 5


def test_known_songs_get_the_missing_ones_without_being_analysed(
    library: Library, music: Path, run: Scan, tiny_model: Path
) -> None:
    before = run().analysed
    assert before == 4 and known(library)["a.wav"] == {}
    results = library.rows("SELECT * FROM results ORDER BY audio")
    engine = Watched()
    done = run("tempo", "energy", engine=engine)
    assert (done.analysed, done.measured, done.unchanged) == (0, 4, 5)
    assert engine.measured() == dict.fromkeys(["a.wav", "b.wav", "c.wav", "silence.wav"], ("tempo",))
    engine = Watched()
    assert run(*ALL, engine=engine).measured == 4
    assert set(engine.measured().values()) == {("key", "loudness")}, "not again what is known"
    assert engine.opened[Open] == [] and library.rows("SELECT * FROM results ORDER BY audio") == results
    assert known(library) == tagged(music, tiny_model)


def test_a_newer_version_is_measured_anew_and_it_alone(
    library: Library, run: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*ALL)
    newer(monkeypatch, "tempo")
    engine = Watched()
    assert run(*ALL, engine=engine).measured == 4
    assert set(engine.measured().values()) == {("tempo",)}, "the whole song is not decoded for its loudness again"
    newer(monkeypatch, "tempo", "energy")
    assert run(*ALL, engine=(engine := Watched())).measured == 0 and engine.measured() == {}, "a model's number"


def test_what_a_model_tells_of_stored_vectors_opens_no_file(
    library: Library, run: Scan, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("tempo")
    engine = Watched()
    names = ("tempo", "danceability", "liveness")
    assert run(*names, engine=engine).measured == 4
    assert engine.measured() == {} and engine.opened[Open] == []
    found = known(library)
    assert found["a.wav"]["danceability"] == {"value": 0.25, "estimate": True}
    assert found["a.wav"]["liveness"]["value"] is None
    assert found["silence.wav"]["danceability"] == {"value": None, "estimate": True}
    before = told.read
    assert run(*names).measured == 0 and told.read == before, "what no vector tells is not asked for again"
    with library.change():
        library.put_features(1, {"danceability": facts.Score()})
    assert run(*names).measured == 1 and told.read == before + 1, "as a scan with another model leaves it"
    monkeypatch.undo()
    run("danceability")
    assert known(library)["b.wav"]["danceability"]["value"] == 0.25, "a model that tells none takes nothing away"


@pytest.mark.usefixtures("told")
def test_another_model_that_analyses_all_takes_no_estimate_away(
    library: Library, run: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that tells none: a network of one's own, say, is tried on songs that the bundled one has scanned."""
    run("tempo", "danceability")
    run("danceability")
    assert known(library)["a.wav"]["danceability"]["value"] == 0.25
    monkeypatch.undo()
    run("tempo", "danceability", force=True)
    found = known(library)
    assert found["a.wav"]["danceability"] == {"value": 0.25, "estimate": True}
    assert found["silence.wav"]["danceability"]["value"] is None


def test_a_plain_scan_adds_and_removes_none(library: Library, music: Path, run: Scan) -> None:
    run(*ALL)
    before = known(library)
    write(music / "new.wav", melody(4, 22_050), 22_050)
    engine = Watched()
    done = run(engine=engine)
    assert (done.analysed, done.measured) == (1, 0)
    assert known(library) == before | {"new.wav": {}}
    assert run(force=True).analysed == 5 and known(library) == before | {"new.wav": {}}


def test_force_measures_all_again(library: Library, run: Scan) -> None:
    run(*ALL)
    with library.change():
        library.put_features(1, {"tempo": Tempo(61.5, 0.5)})
    wrong = known(library)
    assert run(*ALL, force=True).measured == 4 and known(library) != wrong


def test_copies_share(library: Library, music: Path, run: Scan) -> None:
    (music / "copy.wav").write_bytes((music / "a.wav").read_bytes())
    run()
    engine = Watched()
    assert run("tempo", engine=engine).measured == 4 and len(engine.measured()) == 4
    assert known(library)["copy.wav"] == known(library)["a.wav"] != {}
    (music / "third.wav").write_bytes((music / "a.wav").read_bytes())
    assert run("tempo", engine=(engine := Watched())).measured == 0 and engine.measured() == {}
    assert known(library)["third.wav"] == known(library)["a.wav"]


def test_a_song_that_moved_gets_them_in_the_same_scan(library: Library, music: Path, run: Scan) -> None:
    run()
    (music / "a.wav").rename(music / "moved.wav")
    done = run("key")
    assert (done.moved, done.measured, done.analysed) == (1, 4, 0)
    assert known(library)["moved.wav"] and run("key").measured == 0


def test_a_stopped_scan_goes_on(library: Library, music: Path, model: LibraryModel, run: Scan) -> None:
    run()
    asked = ScanOptions(features=("tempo",))
    steps = iter(Run(scan_folders(library, [real_root(str(music))], model, InlineEngine(), asked)))
    while next(steps) != Progress(2, 4, "measuring"):
        pass
    steps.close()
    engine = Watched()
    assert run("tempo", engine=engine).measured == 2 and len(engine.measured()) == 2


@pytest.mark.parametrize("kind", ["crash", "timeout", "io", "decode", "vanished", "permission"])
def test_a_failure_takes_nothing_away(library: Library, run: Scan, kind: str) -> None:
    """It is a failure like others, told of beside what is known, and tried again."""
    run("tempo")
    before = known(library)
    done = run(*ALL, engine=Watched(kind, "b.wav"))
    assert done.failed == {kind: 1} and done.measured == 4, "what needs no file is added all the same"
    after = known(library)
    assert after["b.wav"]["tempo"] == before["b.wav"]["tempo"] and "loudness" not in after["b.wav"]
    assert "loudness" in after["a.wav"]
    failures = {Path(one.path).name for one in library.failures()}
    assert failures == {"bad.mp3"} | ({"b.wav"} if kind not in ("vanished", "permission") else set())
    run(*ALL)
    assert "loudness" in known(library)["b.wav"] and {Path(one.path).name for one in library.failures()} == {"bad.mp3"}


def test_a_file_that_cannot_be_opened_just_now_is_not_measured_for_what_it_was(
    library: Library, music: Path, run: Scan
) -> None:
    run()
    write(music / "a.wav", melody(9, 22_050), 22_050)
    engine = Watched("crash", "a.wav")
    run("tempo", engine=engine)
    assert "a.wav" not in engine.measured() and len(engine.measured()) == 3
    assert known(library)["a.wav"] == {}


def test_folders_that_are_not_scanned_are_left(library: Library, music: Path, run: Scan, model: LibraryModel) -> None:
    (music / "deeper").mkdir()
    write(music / "deeper" / "d.wav", melody(5, 22_050), 22_050)
    run()
    asked = ScanOptions(features=("tempo",))
    Run(scan_folders(library, [real_root(str(music / "deeper"))], model, InlineEngine(), asked)).wait()
    assert {name for name, found in known(library).items() if found} == {"d.wav"}


def test_songs_without_fine_vectors_are_told_of(
    library: Library, music: Path, run: Scan, model: LibraryModel, told: Told
) -> None:
    run()
    with library.change():
        library.rows("UPDATE clips SET kind = 'int8' WHERE audio = 1")
    asked = ScanOptions(features=("danceability",))
    events = list(Run(scan_folders(library, [real_root(str(music))], model, InlineEngine(), asked)))
    notices = [one.message for one in events if isinstance(one, Notice)]
    assert len(notices) == 1 and notices[0].startswith("1 song has no stored embeddings")
