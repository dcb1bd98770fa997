"""However a model folder is written: what is no model is never touched, and a stopped run costs nobody anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from earmark.cli import main
from earmark.errors import ModelError, RecipeError, StorageError
from earmark.models.card import read_card
from earmark.models.registry import check_files
from earmark.models.writer import ModelFolderWriter, check_place, seal
from made_songs import write_collection

SETTINGS = {"recipe": "made", "seed": 0}


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture
def write(tiny_model: Path) -> Callable[..., Path]:
    """Write the tiny model into a place, as every verb does."""

    def into(out: Path, settings: dict[str, object] = SETTINGS, overwrite: bool = False) -> Path:
        with ModelFolderWriter.open(out, settings, overwrite=overwrite) as writer:
            if writer.finished:
                return out
            for name in ("model.onnx", "heads.safetensors"):
                shutil.copy(tiny_model / name, writer.folder)
            seal(writer.folder, read_card(tiny_model))
            return writer.complete()

    return into


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("music") / "songs", songs=6)


def test_a_folder_appears_whole_and_alone(write: Callable[..., Path], tmp_path: Path) -> None:
    out = write(tmp_path / "m")
    assert [file.name for file in tmp_path.iterdir()] == ["m"]
    card = check_files(out, *read_card(out).files)
    assert set(card.files) == {"model.onnx", "heads.safetensors", "run.json"}
    before = content(out)
    assert content(write(out)) == before, "a finished model is left as it is"


FOREIGN = {
    "music": lambda folder: (folder / "song.mp3").write_bytes(b"mine"),
    "nothing": lambda folder: None,
    "another card": lambda folder: (folder / "card.json").write_text('{"name": "Ace of spades"}'),
    "a damaged card": lambda folder: (folder / "card.json").write_text("{"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_model_is_never_touched(
    write: Callable[..., Path], tmp_path: Path, kind: str, overwrite: bool
) -> None:
    out = tmp_path / "m"
    out.mkdir()
    FOREIGN[kind](out)
    before = content(out)
    with pytest.raises(ModelError, match="no model folder; give another name, or remove it"):
        write(out, overwrite=overwrite)
    with pytest.raises(ModelError, match="no model folder"):
        check_place(out)
    assert out.is_dir() and content(out) == before
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_a_model_folder_with_a_stranger_s_file_is_not_replaced(write: Callable[..., Path], tmp_path: Path) -> None:
    out = write(tmp_path / "m")
    (out / "song.mp3").write_bytes(b"mine")
    with pytest.raises(ModelError, match=r"holds song\.mp3"):
        write(out, overwrite=True)
    assert (out / "song.mp3").read_bytes() == b"mine"
    (out / "song.mp3").rename(out / ".DS_Store")
    write(out, overwrite=True)


def test_a_file_in_the_place_is_not_touched(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "m").write_text("mine")
    with pytest.raises(ModelError, match="no model folder"):
        write(tmp_path / "m", overwrite=True)
    assert (tmp_path / "m").read_text() == "mine"


@pytest.mark.parametrize("verb", ["train", "train --overwrite", "extend", "upgrade"])
def test_no_verb_touches_a_folder_that_is_no_model(
    verb: str, tiny_model: Path, songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m"
    out.mkdir()
    (out / "song.mp3").write_bytes(b"mine")
    arguments = {
        "train": ["train", songs, "-o", out],
        "train --overwrite": ["train", songs, "-o", out, "--overwrite"],
        "extend": ["extend", tiny_model, songs, "-o", out],
        "upgrade": ["models", "upgrade", out],
    }[verb]
    assert main([str(argument) for argument in arguments]) == 1
    assert "no model folder" in capsys.readouterr().err
    assert content(out) == {"song.mp3": b"mine"}
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_the_bundled_model_is_written_the_same_way(tmp_path: Path) -> None:
    """The guard stands before the work: an empty draft is never looked at."""
    from scripts.bundled.card import write_folder

    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "song.mp3").write_bytes(b"mine")
    with pytest.raises(ModelError, match="no model folder"):
        write_folder(tmp_path / "m", None)
    assert content(tmp_path / "m") == {"song.mp3": b"mine"}


def test_another_run_s_part_is_never_removed(write: Callable[..., Path], tmp_path: Path) -> None:
    """One that was stopped is gone on with, or named by what differs; a stranger's is left alone."""
    out = tmp_path / "m"
    with ModelFolderWriter.open(out, SETTINGS) as writer:
        (writer.work / "chunk-1.safetensors").write_bytes(b"learned")
    with pytest.raises(RecipeError, match="begun with seed = 0, not 1; run it as before"):
        write(out, SETTINGS | {"seed": 1})
    assert (tmp_path / "m.part" / "chunk-1.safetensors").read_bytes() == b"learned"
    with ModelFolderWriter.open(out, SETTINGS) as writer:
        assert (writer.work / "chunk-1.safetensors").read_bytes() == b"learned"
    write(out, SETTINGS | {"seed": 1}, overwrite=True)
    assert not (tmp_path / "m.part").exists()
    with pytest.raises(RecipeError, match="trained with seed = 1, not 0"):
        write(out)
    stranger = tmp_path / "n.part"
    stranger.mkdir()
    (stranger / "draft.txt").write_text("mine")
    with pytest.raises(ModelError, match="not ours"):
        write(tmp_path / "n", overwrite=True)
    assert (stranger / "draft.txt").read_text() == "mine"


def test_a_second_run_at_the_same_time_is_refused_by_name(write: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "m"
    code = "import sys; from pathlib import Path; from earmark.models.writer import ModelFolderWriter\n"
    code += "with ModelFolderWriter.open(Path(sys.argv[1]), {'seed': 0}): print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        before = content(tmp_path / "m.part")
        with pytest.raises(StorageError, match=rf"m: another run is writing there \(process {other.pid}\)"):
            write(out, overwrite=True)
        assert content(tmp_path / "m.part") == before
        other.communicate("")
    write(out, overwrite=True)


@pytest.mark.parametrize("moment", ["before the new one is there", "before the old one is removed"])
def test_an_interrupted_replacement_is_completed(write: Callable[..., Path], tmp_path: Path, moment: str) -> None:
    out = write(tmp_path / "m")
    with ModelFolderWriter.open(out, {"seed": 2}, overwrite=True) as writer:
        for name in ("model.onnx", "heads.safetensors"):
            shutil.copy(out / name, writer.folder)
        seal(writer.folder, read_card(out))
        out.rename(writer.work / "replaced")
        if moment == "before the old one is removed":
            writer.folder.rename(out)
    assert write(out, {"seed": 2}) == out
    assert json.loads((out / "run.json").read_text()) == {"seed": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["m"]


def test_what_cannot_be_loaded_is_not_put_in_place(tiny_model: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ModelError, match=r"missing heads\.safetensors"),
        ModelFolderWriter.open(tmp_path / "m", SETTINGS) as writer,
    ):
        shutil.copy(tiny_model / "model.onnx", writer.folder)
        seal(writer.folder, read_card(tiny_model))
    assert not (tmp_path / "m").exists()
