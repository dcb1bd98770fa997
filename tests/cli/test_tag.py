"""``earmark tag``, from files to records: every line under "Bad input" on real files, stopped runs, full disks."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from commands import Earmark, command, environment, in_process
from earmark.app.analyse import AnalyseRequest, analyse
from earmark.events import Progress, Record
from earmark.storage import lock
from people import unprivileged

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def wav(path: Path, samples: Any, rate: int = 22050, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, np.asarray(samples), rate, subtype=subtype)
    return path


def by_name(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(record["path"]).name: record for record in records}


def test_a_folder_in_order_with_a_summary(songs: Path, tiny_model: Path, earmark: Earmark) -> None:
    said = earmark("tag", songs, "-m", tiny_model)
    assert said.code == 3
    assert [r["path"] for r in said.records] == [str(songs / p) for p in ("a.wav", "b/c.wav", "b/fake.mp3", "d.wav")]
    first = said.records[0]
    assert set(first) == {"path", "seconds", "model", "heads"} and first["model"] == "tiny@1"
    assert set(first["heads"]) == {"genre", "tags", "energy"} and "taggram" not in first["heads"]["genre"]
    assert said.records[2]["error"]["kind"] == "not-audio"
    assert said.err.splitlines()[0].startswith("tagged 3 songs in ")
    assert said.err.splitlines()[1:] == ["1 could not be analysed: 1 not-audio", "1 other file is not audio"]


def test_formats_tell_the_same(songs: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    lines = earmark("tag", songs, "-m", tiny_model).records
    assert earmark("tag", songs, "-m", tiny_model, "-f", "json", "-j", 1).json == lines
    rows = list(csv.DictReader(earmark("tag", songs, "-m", tiny_model, "-f", "csv").out.splitlines()))
    assert [row["path"] for row in rows] == [record["path"] for record in lines]
    assert [row["genre"] for row in rows] == [r.get("heads", {}).get("genre", {}).get("label") or "" for r in lines]
    assert "song" in earmark("tag", songs, "-m", tiny_model, "-f", "table").out
    for ending in ("json", "jsonl", "csv", "txt", "other"):
        out = tmp_path / f"x.{ending}"
        said = earmark("tag", songs, "-m", tiny_model, "-o", out)
        assert (said.code, said.out) == (3, "")
    assert json.loads((tmp_path / "x.json").read_text()) == lines
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()] == lines
    assert (tmp_path / "x.other").read_bytes() == (tmp_path / "x.jsonl").read_bytes()
    assert len(list(csv.reader((tmp_path / "x.csv").open(newline="")))) == 5
    assert sorted(file.suffix for file in tmp_path.glob("x.*")) == [".csv", ".json", ".jsonl", ".other", ".txt"]


def test_a_name_that_looks_like_an_option(
    tone: Path, tiny_model: Path, earmark: Earmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(tone, tone.parent / "-f.wav")
    monkeypatch.chdir(tone.parent)
    said = earmark("tag", "-m", tiny_model, "--", "-f.wav")
    assert said.code == 0 and said.records[0]["path"] == "-f.wav"


def test_taggram_excerpt_and_ensemble(tone: Path, tiny_model: Path, earmark: Earmark) -> None:
    whole = earmark("tag", tone, "-m", tiny_model, "--taggram", "--excerpt", "whole").records[0]
    taggram = whole["heads"]["genre"]["taggram"]
    assert taggram["start"][0] == 0.0 and len(taggram["scores"]["Rock"]) == len(taggram["end"])
    assert "Taggrams are in json" in earmark("tag", tone, "-m", tiny_model, "--taggram", "-f", "csv").err
    assert earmark("tag", tone, "-m", tiny_model, "--excerpt", "2").code == 0
    both = earmark("tag", tone, "-m", f"{tiny_model},{tiny_model}").records[0]
    assert (
        both["heads"]["genre"]["scores"]
        == earmark("tag", tone, "-m", tiny_model).records[0]["heads"]["genre"]["scores"]
    )


def test_labels_of_ones_own(tone: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('[genre]\nRock = "Gitarre"\nPop = "Gitarre"\n')
    scores = earmark("tag", tone, "-m", tiny_model, "--labels", mine).records[0]["heads"]["genre"]["scores"]
    assert set(scores) == {"Gitarre", "Jazz"} and abs(sum(scores.values()) - 1) < 0.001
    for text, told in (("[gerne]\n", "did you mean 'genre'?"), ('[genre]\nRokc = "x"\n', "did you mean 'Rock'?")):
        mine.write_text(text)
        said = earmark("tag", tone, "-m", tiny_model, "--labels", mine)
        assert said.code == 1 and told in said.err and said.err.count("\n") == 1
    assert earmark("tag", tone, "-m", tiny_model, "--labels", tmp_path / "no.toml").code == 1


def test_not_one_record_is_an_error(tiny_model: Path, earmark: Earmark, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = earmark("tag", tmp_path / "empty", "-m", tiny_model, "-o", tmp_path / "x.jsonl")
    assert said.code == 1 and said.err == f"earmark: error: no audio file in {tmp_path / 'empty'}\n"
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize("damage", ["missing", "model.onnx", "card.json", "newer", "torn", "name"])
def test_a_model_that_cannot_be_used_is_one_line(
    damage: str, tone: Path, tiny_model: Path, earmark: Earmark, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    name: object = folder
    if damage == "missing":
        name = tmp_path / "none"
    elif damage == "name":
        name = "defualt"
    elif damage == "newer":
        card = json.loads((folder / "card.json").read_text())
        (folder / "card.json").write_text(json.dumps(card | {"format": 99}))
    elif damage == "torn":
        (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-100])
    else:
        (folder / damage).unlink()
    said = earmark("tag", tone, "-m", name, "-o", tmp_path / "x.json")
    assert said.code == 1 and said.out == "" and said.err.startswith("earmark: error: ") and said.err.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))


def test_bad_input_gives_records(tiny_model: Path, earmark: Earmark, tmp_path: Path, tone: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    sound, rate = soundfile.read(tone)
    (folder / "zero.mp3").touch()
    (folder / "text.mp3").write_text("no music" * 100)
    (folder / "truncated.ogg").write_bytes(encoded(tmp_path / "x.ogg", np.tile(sound, 9), rate)[:25000])
    (folder / "truncated.wav").write_bytes(tone.read_bytes()[:60000])
    shutil.copy(tone, folder / "wrong.mp3")
    for channels in range(1, 9):
        wav(folder / f"channels-{channels}.wav", np.tile(sound[:, None], (1, channels)), rate)
    for other in (8000, 96000, 192000):
        wav(folder / f"rate-{other}.wav", np.tile(sound, 4)[: other // 2], other)
    wav(folder / "silence.wav", np.zeros(22050))
    wav(folder / "short.wav", sound[: rate // 10])
    wav(folder / "shorter.wav", sound[: rate // 20])
    wav(folder / "nan.wav", np.where(np.arange(22050) % 7, np.nan, np.inf), subtype="FLOAT")
    said = earmark("tag", folder, tmp_path / "no.mp3", "-m", tiny_model, "-j", 2)
    found = by_name(said.records)
    errors = {name: record["error"]["kind"] for name, record in found.items() if "error" in record}
    assert errors == {"zero.mp3": "empty", "text.mp3": "not-audio", "shorter.wav": "too-short", "no.mp3": "missing"}
    assert said.code == 3 and len(said.records) == 21
    assert found["silence.wav"]["warning"] == "silence"
    again = earmark("tag", folder, tmp_path / "no.mp3", "-m", tiny_model, "-j", 1)
    assert again.out == said.out, "the same again, whatever the number of workers"


def encoded(path: Path, sound: Any, rate: int) -> bytes:
    soundfile.write(path, sound, rate)
    return path.read_bytes()


def test_a_truncated_flac_is_heard(tiny_model: Path, earmark: Earmark, tmp_path: Path, tone: Path) -> None:
    whole = encoded(tmp_path / "x.flac", *soundfile.read(tone))
    (tmp_path / "half.flac").write_bytes(whole[: len(whole) // 2])
    assert "heads" in earmark("tag", tmp_path / "half.flac", "-m", tiny_model).records[0]


@posix
def test_odd_names_and_special_files(tiny_model: Path, tone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    content = tone.read_bytes()
    names = [b"new\nline.wav", "\N{GUITAR}.wav".encode(), b"caf\xe9.wav", b"\x1b[31mred.wav"]
    for name in names:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(content)
    os.mkfifo(folder / "pipe.wav")
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    said = in_process("tag", folder, "-m", tiny_model, "-f", "jsonl")
    found = by_name(said.records)
    assert said.code == 3 and len(found) == 6
    assert found["pipe.wav"]["error"] == {"kind": "not-audio", "message": "a named pipe, not a file"}
    assert found["loop.wav"]["error"]["kind"] == "missing"
    assert "heads" in found["new\nline.wav"] and "heads" in found["\N{GUITAR}.wav"]
    assert "heads" in found["caf\\xe9.wav"] and "path_bytes" in found["caf\\xe9.wav"]
    shown = in_process("tag", folder, "-m", tiny_model, "-f", "table")
    assert "\x1b" not in shown.out and "new\\nline.wav" in shown.out


@posix
def test_refused_files_are_records_and_a_refused_folder_under_o_is_one_line(
    tiny_model: Path, songs: Path, tmp_path: Path
) -> None:
    (songs / "a.wav").chmod(0)
    (songs / "b").chmod(0)
    (tmp_path / "closed").mkdir(mode=0o555)
    said = in_process("tag", songs, "-m", tiny_model, before=unprivileged())
    refused = in_process("tag", songs, "-m", tiny_model, "-o", tmp_path / "closed" / "x.csv", before=unprivileged())
    (songs / "b").chmod(0o755)
    kinds = {name: record.get("error", {}).get("kind") for name, record in by_name(said.records).items()}
    assert kinds == {"a.wav": "permission", "b": "permission", "d.wav": None}
    assert refused.code == 1 and refused.err == (
        f"earmark: error: {tmp_path / 'closed' / 'x.csv'}: cannot write there: permission denied\n"
    )


def test_a_file_that_vanishes(tiny_model: Path, songs: Path) -> None:
    found = []
    for event in analyse(AnalyseRequest(paths=(str(songs),), model=str(tiny_model), jobs=1)):
        if isinstance(event, Progress) and event.done == 0:  # the walk is over, and nothing is read yet
            (songs / "d.wav").unlink()
        if isinstance(event, Record):
            found.append(event.value)
    assert by_name(found)["d.wav"]["error"]["kind"] == "vanished"


@posix
@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_full_disk_keeps_what_is_done(
    ending: str, tiny_model: Path, tone: Path, tmp_path: Path, earmark: Earmark
) -> None:
    import resource

    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        shutil.copy(tone, folder / f"{number:02}.wav")
    out = tmp_path / f"x.{ending}"

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    said = in_process("tag", folder, "-m", tiny_model, "-o", out, preexec_fn=small_disk)
    assert said.code == 1 and not out.exists()
    assert said.err == (
        f"earmark: error: {out}: the disk is full; what is done is kept in {out.name}.part, run again to go on\n"
    )
    again = in_process("tag", folder, "-m", tiny_model, "-o", out)
    assert again.code == 0 and "going on after" in again.err and "records by an earlier run" in again.err
    fresh = earmark("tag", folder, "-m", tiny_model, "-f", ending)
    assert out.read_text() == fresh.out


def test_a_second_run_into_the_same_file_is_refused(tiny_model: Path, tone: Path, tmp_path: Path) -> None:
    """Two at once used to mix their records: twenty, twelve of them distinct."""
    for verb, out in (("tag", tmp_path / "x.json"), ("embed", tmp_path / "x.npz")):
        part = out.with_name(f"{out.name}.part")
        with lock(part, "busy"):  # as the first run holds it
            said = in_process(verb, tone, "-m", tiny_model, "-o", out)
        assert said.code == 1 and not out.exists() and said.err.count("\n") == 1
        assert f"{out}: another run is writing there (process {os.getpid()})" in said.err
        assert in_process(verb, tone, "-m", tiny_model, "-o", out).code == 0
        assert [file.name for file in tmp_path.glob("x.*") if file.stem == "x"] == [out.name]
        out.unlink()


@posix
def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(tiny_model: Path, tone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03}.wav").symlink_to(tone)
    out, part = tmp_path / "x.json", tmp_path / "x.json.part"
    argv = command("tag", folder, "-m", tiny_model, "-o", out, "-j", 1, "--excerpt", "whole")
    process = subprocess.Popen(argv, env=environment(), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not part.exists() or part.read_bytes().count(b"\n") < 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err == "earmark: stopped; what is done is kept\n"
    assert not out.exists()
    done = part.read_bytes().count(b"\n")
    assert 5 <= done < 200
    if sys.platform == "linux":
        assert not [p for p in Path("/proc").glob("[0-9]*/stat") if _parent(p) == process.pid]
    said = in_process("tag", folder, "-m", tiny_model, "-o", out, "--excerpt", "whole")
    assert said.code == 0 and f"going on after {done} of 200 files" in said.err
    assert len(json.loads(out.read_text())) == 200


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return -1


@posix
def test_on_a_terminal_it_is_a_table_with_progress(tiny_model: Path, songs: Path) -> None:
    import pty

    reader, terminal = pty.openpty()
    (songs / "two\nlines.wav").symlink_to(songs / "a.wav")
    process = subprocess.Popen(
        command("tag", songs, "-m", tiny_model), stdout=terminal, stderr=terminal, env=environment(TERM="xterm")
    )
    os.close(terminal)
    seen = b""
    while True:
        try:
            piece = os.read(reader, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    os.close(reader)
    assert process.wait() == 3
    text = seen.decode()
    assert "songs/min" in text and " of 5" in text and "█" in text
    assert "two\\nlines.wav" in text and "\x1b[31m" in text
    assert text.rstrip().endswith("1 other file is not audio")


@posix
def test_output_to_a_device(tiny_model: Path, tone: Path) -> None:
    said = in_process("tag", tone, "-m", tiny_model, "-o", "/dev/stdout")
    assert said.code == 0 and len(said.records) == 1
    assert not Path("/dev/stdout.part").exists()
    if Path("/dev/full").exists():
        assert in_process("tag", tone, "-m", tiny_model, "-o", "/dev/full").code == 1


@pytest.mark.slow
def test_every_awkward_file_gets_a_record_twice_over(shared: Path, tiny_model: Path, earmark: Earmark) -> None:
    folder = shared / "data" / "awkward"
    said = earmark("tag", folder, "-m", tiny_model)
    assert len(said.records) == sum(1 for f in folder.rglob("*") if f.is_file() and f.name != "files.tsv")
    assert earmark("tag", folder, "-m", tiny_model).out == said.out
