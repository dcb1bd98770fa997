"""earmark.toml: its defaults hold, the command line wins, and a slip is named with what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Earmark
from earmark.cli import settings, verbs


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_the_users_file_sets_defaults_and_the_command_line_wins(
    songs: Path, tiny_model: Path, earmark: Earmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "usual_file", lambda: tmp_path / "conf" / "earmark.toml")
    write(tmp_path / "conf" / "earmark.toml", f"[all]\nmodel = '{tiny_model}'\n[tag]\nformat = 'csv'\njobs = 1\n")
    assert earmark("tag", songs / "a.wav").out.startswith("path,path_bytes,")
    assert earmark("tag", songs / "a.wav", "-f", "json").out.startswith("[")
    out = tmp_path / "x.json"
    assert earmark("tag", songs / "a.wav", "-o", out).code == 0
    assert out.read_text().startswith("["), "the ending of -o stands on the command line"


def test_config_may_be_named_before_and_after_the_verb(
    songs: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path
) -> None:
    file = write(tmp_path / "my.toml", f"[tag]\nmodel = '{tiny_model}'\ntaggram = true\nexcerpt = 'whole'\n")
    for argv in (["--config", file, "tag", songs / "a.wav"], ["tag", songs / "a.wav", "--config", file]):
        said = earmark(*argv)
        assert said.code == 0 and "taggram" in said.out
    assert "taggram" not in earmark("tag", songs / "a.wav", "--config", file, "--no-taggram").out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tag]\nmodle = 'x'", "[tag]: unknown key modle; did you mean model?"),
        ("[all]\nexcerptt = 'x'", "[all]: unknown key excerptt; did you mean excerpt?"),
        ("[tagg]\nmodel = 'x'", "[tagg]: unknown verb 'tagg'; did you mean 'tag'?"),
        ("model = 'x'", "model stands outside a table"),
        ("[tag]\nformat = 'yaml'", "[tag] format = 'yaml': must be one of table, json, jsonl, csv"),
        ("[tag]\njobs = 0", "[tag] jobs = 0: '0' is not a whole number above 0"),
        ("[tag]\ntaggram = 'yes'", "[tag] taggram = 'yes': must be true or false"),
        ("[tag]\nmodel = ['a']", "[tag] model = ['a']: must be a text or a number"),
        ("[tag", "not valid TOML"),
        ("[tag]\nconfig = 'x'", "unknown key config"),
    ],
)
def test_slips_are_named(text: str, told: str, earmark: Earmark, tmp_path: Path) -> None:
    file = write(tmp_path / "earmark.toml", text)
    said = earmark("tag", "x.mp3", "--config", file)
    assert said.code == 1 and said.err.startswith(f"earmark: error: {file}: ") and told in said.err
    assert said.err.count("\n") == 1
    assert earmark("tag", "-h", "--config", file).code == 0, "help needs no settings"


def test_lists_of_the_file_give_way_to_the_command_line(earmark: Earmark, tmp_path: Path) -> None:
    """They are not added to it: who types one exclusion wants that one."""
    text = "[playlist]\ngenre = ['Rock', 'Pop']\n[train]\nset = ['training.epochs=x']\nexclude = 'genre=a'\n"
    file = write(tmp_path / "earmark.toml", text)
    parser = verbs.verb_parser("playlist", verbs.load("playlist"))
    settings.apply(parser, "playlist", settings.read(str(file)))
    assert verbs.parse(parser, []).genres == ("Rock", "Pop")
    assert verbs.parse(parser, ["--genre", "Jazz", "Folk", "--genre", "Soul"]).genres == ("Jazz", "Folk", "Soul")
    assert verbs.parse(parser, ["--mood", "calm"]).genres == ("Rock", "Pop")
    parser = verbs.verb_parser("train", verbs.load("train"))
    settings.apply(parser, "train", settings.read(str(file)))
    given = verbs.parse(parser, ["songs", "-o", "m", "--set", "a=1", "--set", "b=2"])
    assert (given.settings, given.exclude) == (("a=1", "b=2"), ("genre=a",))
    shown = earmark("config", "playlist", "--config", file, "-f", "json").json["verbs"]["playlist"]["genre"]
    assert shown == {"value": ["Rock", "Pop"], "from": "[playlist]"}


def test_a_key_in_all_may_be_of_another_verb(earmark: Earmark, tmp_path: Path) -> None:
    file = write(tmp_path / "earmark.toml", "[all]\nlayer = 'x'\n")
    assert earmark("models", "--config", file).code == 0


def test_a_named_file_must_be_there(earmark: Earmark, tmp_path: Path) -> None:
    said = earmark("models", "--config", tmp_path / "no.toml")
    assert said.code == 1 and "cannot read the settings" in said.err


def test_config_prints_what_holds_and_where_from(earmark: Earmark, tmp_path: Path) -> None:
    file = write(tmp_path / "earmark.toml", "[all]\nmodel = 'mine'\n[tag]\njobs = 3\n")
    said = earmark("config", "--config", file, "-f", "json").json
    assert said["file"] == str(file) and said["found"]
    assert said["verbs"]["tag"]["jobs"] == {"value": 3, "from": "[tag]"}
    assert said["verbs"]["tag"]["model"] == {"value": "mine", "from": "[all]"}
    assert said["verbs"]["embed"]["model"] == {"value": "mine", "from": "[all]"}
    assert said["verbs"]["tag"]["labels"] == {"value": None, "from": "default"}
    table = earmark("config", "tag", "--config", file, "-f", "table").out
    assert "--jobs" in table and "[all]" in table and "embed" not in table
    assert earmark("config", "tg").code == 1
