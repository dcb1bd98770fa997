"""``--features`` on the command line: the same numbers from ``tag``, ``scan`` and ``export``, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli_records import BAD, heard
from commands import Earmark
from earmark.analyses import measure
from earmark.analyses.facts import Key, Loudness, Score, Tempo, choose
from earmark.app.part import Part
from earmark.cli.records import csv_pieces
from earmark.cli.table import table_pieces
from made import make_model
from sounds import melody, write
from sounds_of_library import make_songs

TOLD = {
    "tempo": Tempo(120.1, 0.9, 60.0),
    "key": Key("A minor", "8A", 0.7),
    "loudness": Loudness(-9.8, -0.3, -8.2),
    "energy": Score(0.7),
    "danceability": Score(0.6, True),
    "liveness": Score(None, True),
}


def record(path: str = "a.mp3", **more: Any) -> dict[str, Any]:
    return heard(path) | {"features": {name: one.to_dict() for name, one in (TOLD | more).items()}}


def table(*records: Any) -> list[str]:
    return b"".join(table_pieces(records, io.StringIO())).decode().splitlines()


def rows(*records: Any, features: tuple[str, ...] = ()) -> list[dict[str, str]]:
    text = b"".join(csv_pieces(records, features=features)).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = make_songs(tmp_path / "music", 2)
    write(folder / "silence.wav", 0 * melody(3, 22_050), 22_050)
    return folder


def test_the_table_has_a_line_a_song() -> None:
    assert table(record())[-1] == "    120.1 BPM · A minor (8A) · -9.8 LUFS · energy 70 % · danceability 60 %"
    assert "BPM" not in table(record(tempo=Tempo(None, 0.1)))[-1]
    silent = record() | {"warning": "silence", "features": {"loudness": Loudness(-60.0).to_dict()}}
    assert table(silent)[-1] == "    -60.0 LUFS"
    assert len(table(heard())) == len(table(record())) - 1


def test_csv_has_columns_of_their_own() -> None:
    bad, row = rows(BAD, record())
    assert (row["tempo"], row["tempo.confidence"], row["tempo.alternative"]) == ("120.1", "0.9", "60.0")
    assert (row["key"], row["key.camelot"], row["loudness.lufs"], row["loudness.gain"]) == (
        "A minor",
        "8A",
        "-9.8",
        "-8.2",
    )
    assert (row["energy"], row["energy.value"]) == ("0.62", "0.7"), "a head's column stays the head's"
    assert row["danceability"] == "0.6" and row["liveness"] == "" and bad["tempo"] == ""
    assert not any("estimate" in column for column in row)
    plain, told = rows(heard(), record(), features=("tempo",))
    assert (plain["tempo"], told["tempo"]) == ("", "120.1") and "key" not in told, "of a library, some songs have none"


def test_export_has_what_tag_has(music: Path, earmark: Earmark, tiny_model: Path, tmp_path: Path) -> None:
    """Of files that were measured when they were analysed, and of those that were measured later."""
    library = tmp_path / "a.db"
    tagged = earmark("tag", music, "-m", tiny_model, "--features", "-f", "jsonl").records
    assert [list(one["features"]) for one in tagged] == [list(choose(None))] * 3
    earmark("scan", music / "0.wav", "--library", library, "-m", tiny_model, "--features")
    said = earmark("scan", music, "--library", library, "-m", tiny_model)
    assert "added" not in said.err
    exported = earmark("export", "--library", library, "-f", "json").json
    assert ["features" in one for one in exported] == [True, False, False]
    later = earmark("export", "--library", library, "-f", "csv").out
    assert next(csv.DictReader(io.StringIO(later)))["loudness.lufs"]
    said = earmark("scan", music, "--library", library, "-m", tiny_model, "--features", "-f", "json")
    assert said.json["features"] == 2 and "analysed 0 songs" in said.err and "features of 2 songs added" in said.err
    exported = earmark("export", "--library", library, "-f", "json").json
    assert [json.dumps(one["features"]) for one in exported] == [json.dumps(one["features"]) for one in tagged]
    jams = earmark("export", "--library", library, "-f", "jams").records
    assert [one["sandbox"]["features"] for one in jams] == [one["features"] for one in tagged]
    by_tag = csv.DictReader(io.StringIO(earmark("tag", music, "-m", tiny_model, "--features", "-f", "csv").out))
    by_export = csv.DictReader(io.StringIO(earmark("export", "--library", library, "-f", "csv").out))
    for one, other in zip(by_tag, by_export, strict=True):
        assert one.items() <= other.items()


def test_the_library_tells_how_many_songs_have_them(
    music: Path, earmark: Earmark, tiny_model: Path, tmp_path: Path
) -> None:
    library = ("--library", tmp_path / "a.db")
    (music / "copy.wav").write_bytes((music / "0.wav").read_bytes())
    earmark("scan", music, *library, "-m", tiny_model)
    assert earmark("library", *library, "-f", "json").json["features"] == {}
    earmark("scan", music / "0.wav", *library, "-m", tiny_model, "--only-features", "tempo,loudness")
    earmark("scan", music / "1.wav", *library, "-m", tiny_model, "--only-features", "tempo")
    assert earmark("library", *library, "-f", "json").json["features"] == {"tempo": 3, "loudness": 2}
    said = earmark("library", *library, "-f", "table")
    assert "songs with features: tempo 3, loudness 2\n" in said.out


def test_the_settings_file_asks_for_them(music: Path, earmark: Earmark, tiny_model: Path, tmp_path: Path) -> None:
    settings = tmp_path / "earmark.toml"
    settings.write_text('[scan]\nfeatures = true\n[tag]\nonly-features = "tempo"\n')
    common = ("-m", tiny_model, "--config", settings)
    said = earmark("scan", music, "--library", tmp_path / "a.db", *common, "-f", "json")
    assert said.json["features"] == 3
    said = earmark("scan", music, "--library", tmp_path / "b.db", *common, "--no-features", "-f", "json")
    assert said.json["features"] == 0
    assert list(earmark("tag", music / "0.wav", *common, "-f", "jsonl").records[0]["features"]) == ["tempo"]


def test_an_unknown_name_is_refused_with_the_nearest(music: Path, earmark: Earmark, tiny_model: Path) -> None:
    said = earmark("tag", music, "-m", tiny_model, "--only-features", "temp")
    assert said.code in (1, 2) and "tempo" in said.err and said.err.count("\n") == 1


def test_a_part_with_other_features_is_not_gone_on_with(
    music: Path, earmark: Earmark, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "all.jsonl"

    append = Part.append

    def stop(part: Part, record: Any) -> None:
        if part.path.stat().st_size:
            raise KeyboardInterrupt
        append(part, record)

    with monkeypatch.context() as patch:
        patch.setattr(Part, "append", stop)
        earmark("tag", music, "-m", tiny_model, "-o", out, "--only-features", "tempo")
    said = earmark("tag", music, "-m", tiny_model, "-o", out, "--features")
    assert said.code == 0 and "all.jsonl.part: made with other settings (features); beginning anew" in said.err
    found = [json.loads(line)["features"] for line in out.read_text().splitlines()]
    assert [list(one) for one in found] == [list(choose(None))] * 3


def test_an_ensemble_measures_once(
    music: Path, earmark: Earmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are those of the first model's file pass; energy is the mean of the models' heads."""
    models = [make_model(tmp_path / name, seed=seed, name=name) for seed, name in enumerate(("one", "two"))]
    each = [earmark("tag", music / "0.wav", "-m", one, "--features", "-f", "jsonl").records[0] for one in models]
    both = earmark("tag", music / "0.wav", "-m", f"{models[0]},{models[1]}", "--features", "-f", "jsonl").records[0]
    for name in ("tempo", "key", "loudness"):
        assert both["features"][name] == each[0]["features"][name] == each[1]["features"][name]
    value = sum(one["heads"]["energy"]["value"] for one in each) / 2
    assert both["features"]["energy"]["value"] == pytest.approx(value, abs=1e-4)
    measured = []
    real = measure.LoudnessMeter.result
    monkeypatch.setattr(measure.LoudnessMeter, "result", lambda meter: measured.append(1) or real(meter))
    from earmark.engine import Analyse
    from earmark.inference.options import HearingOptions

    task = Analyse.of(models, HearingOptions(features=choose(None)))
    task.start(lambda: None)([str(music / "0.wav")])
    assert len(measured) == 1
