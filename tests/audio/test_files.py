# ruff: noqa: PTH102, PTH109, PTH118, PTH119, PTH123 - names as bytes, and as they are given
"""Which files get a record: nothing is opened that could hang, nothing is forgotten, the order never changes."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from cases import make_case
from earmark.audio.files import Entry, has_audio_name, walk
from earmark.audio.layouts import HEAD_BYTES, is_audio
from people import unprivileged

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX file systems only")


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def wav(samples: int = 100) -> bytes:
    data = b"\0\0" * samples
    fmt = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def paths(*arguments: object) -> list[str]:
    return [entry.path for entry in walk([os.fspath(a) for a in arguments]) if entry.audio]  # type: ignore[arg-type]


def error_of(path: object) -> tuple[str, str]:
    (entry,) = walk([os.fspath(path)])  # type: ignore[arg-type]
    assert entry.error is not None
    return entry.error.kind, entry.error.message


def test_folders_are_walked_in_code_point_order_of_the_parts(tmp_path: Path) -> None:
    for name in ["b.mp3", "a/z.mp3", "a b.mp3", "a-/c.mp3", "B.mp3", "ä.mp3", "a.mp3", "c/1/x.mp3", "c/1.mp3"]:
        touch(tmp_path / name)
    below = [Path(p).relative_to(tmp_path).as_posix() for p in paths(tmp_path)]
    assert below == ["B.mp3", "a/z.mp3", "a b.mp3", "a-/c.mp3", "a.mp3", "b.mp3", "c/1/x.mp3", "c/1.mp3", "ä.mp3"]
    assert below == sorted(below, key=lambda p: p.split("/"))


def test_a_path_is_the_argument_joined_with_the_way_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "d" / "a.mp3")
    monkeypatch.chdir(tmp_path)
    assert paths(".") == [os.path.join(".", "d", "a.mp3")]
    assert paths("d") == [os.path.join("d", "a.mp3")]
    assert paths("d/") == ["d/a.mp3"]
    assert paths("d/a.mp3", "d/a.mp3") == ["d/a.mp3", "d/a.mp3"], "who names a file twice gets it twice"


def test_audio_is_known_by_ending_or_content_and_others_are_counted(tmp_path: Path) -> None:
    touch(tmp_path / "fake.MP3", b"text")
    touch(tmp_path / "empty.flac", b"")
    touch(tmp_path / "really.txt", wav())
    touch(tmp_path / "noending", b"fLaC....")
    touch(tmp_path / "cover.jpg", b"\xff\xd8\xff\xe0")
    touch(tmp_path / "notes.txt", "UTF-16 text".encode("utf-16"))
    entries = list(walk([tmp_path]))
    assert [Path(e.path).name for e in entries if e.audio] == ["empty.flac", "fake.MP3", "noending", "really.txt"]
    assert sum(not e.audio for e in entries) == 2


def test_a_named_file_always_gets_a_record(tmp_path: Path) -> None:
    file = touch(tmp_path / "cover.jpg")
    assert list(walk([file])) == [Entry(str(file))]


def test_macos_extras_are_no_recordings(tmp_path: Path) -> None:
    touch(tmp_path / "._song.mp3", b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    touch(tmp_path / "._real.mp3", b"ID3")
    touch(tmp_path / ".hidden" / ".song.mp3")
    touch(tmp_path / ".song.mp3")
    assert [Path(p).name for p in paths(tmp_path)] == [".song.mp3"]
    assert paths(tmp_path / "._real.mp3") == [str(tmp_path / "._real.mp3")], "what is named counts"


RUBBISH = [
    ".Trash-1000/files/a.mp3", ".stversions/a~2024.mp3", "#recycle/a.mp3", "$RECYCLE.BIN/S-1-5/$R1.mp3", "@eaDir/a.mp3",
    "__MACOSX/rock/a.mp3", "lost+found/a.mp3", "System Volume Information/a.mp3", ".hidden/a.mp3", "quiet/a.mp3",
    "quiet/deeper/a.mp3", "a.mp3.part", "a.mp3.crdownload", "a.mp3.!ut", "a.mp3.bak", ".earmark-x1.tmp", "._a.mp3",
]  # fmt: skip


def test_rubbish_is_left_out_below_a_folder_and_taken_where_it_is_named(tmp_path: Path) -> None:
    """Deleted songs, old versions and half downloads are in no library and no training set."""
    song = touch(tmp_path / "a.mp3", wav())
    rubbish = [touch(tmp_path / name, wav()) for name in RUBBISH]
    touch(tmp_path / "quiet" / ".nomedia")
    assert [entry.path for entry in walk([tmp_path])] == [str(song)]
    assert paths(*rubbish) == [str(path) for path in rubbish]
    for folder in (".hidden", "#recycle", "quiet"):
        assert str(tmp_path / folder / "a.mp3") in paths(tmp_path / folder)


def test_trash_is_not_scanned(tmp_path: Path, shared: Path) -> None:
    folder = make_case(shared, "10", tmp_path / "made", songs=1)
    assert [entry.path for entry in walk([folder])] == [str(folder / "Song.mp3")]


def test_patterns_leave_out(tmp_path: Path) -> None:
    names = ["a.mp3", "b/demo 1.mp3", "b/c/demo 2.mp3", "b/c/x.mp3", "demos/y.mp3", "live/keep.mp3", "live/z.mp3"]
    for name in names:
        touch(tmp_path / name)

    def left(*patterns: str) -> list[str]:
        found = {Path(entry.path).relative_to(tmp_path).as_posix() for entry in walk([tmp_path], patterns)}
        return sorted(set(names) - found)

    assert left() == []
    assert left("demo *") == ["b/c/demo 2.mp3", "b/demo 1.mp3"]
    assert left("demos/") == ["demos/y.mp3"]
    assert left("b/*.mp3") == ["b/demo 1.mp3"], "one star stays within a folder"
    assert left("b/**/*.mp3") == ["b/c/demo 2.mp3", "b/c/x.mp3", "b/demo 1.mp3"]
    assert left("/b/c") == ["b/c/demo 2.mp3", "b/c/x.mp3"]
    assert left("c/x.mp3") == [], "a pattern with a slash is of the whole path"
    assert left("live/*", "!keep.mp3") == ["live/z.mp3"]
    assert left("[a-b].mp3", "# demos", "", "!") == ["a.mp3"]
    assert left("[", "a(.mp3", "\\") == []


def test_a_file_of_patterns_holds_below_its_folder(tmp_path: Path) -> None:
    touch(tmp_path / "b" / ".earmarkignore", b"# drafts\n*.wav\n/c/\n")
    for name in ["a.wav", "b/a.wav", "b/a.mp3", "b/c/a.mp3", "b/d/c/a.mp3", "b/d/a.wav"]:
        touch(tmp_path / name)
    found = [Path(path).relative_to(tmp_path).as_posix() for path in paths(tmp_path)]
    assert found == ["a.wav", "b/a.mp3", "b/d/c/a.mp3"]


def test_missing_arguments_are_records(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no.mp3")[0] == "missing"
    assert error_of(touch(tmp_path / "a.mp3") / "b.mp3")[0] == "missing"
    assert error_of("")[0] == "missing"
    assert error_of("nul\0byte.mp3")[0] == "missing"


@posix
def test_a_name_that_is_too_long_is_a_record(tmp_path: Path) -> None:
    assert error_of(tmp_path / ("x" * 5000))[0] == "io"


@posix
def test_symbolic_links_cannot_loop(tmp_path: Path) -> None:
    touch(tmp_path / "m" / "a.mp3")
    (tmp_path / "m" / "again").symlink_to(tmp_path / "m", target_is_directory=True)
    (tmp_path / "m" / "link.mp3").symlink_to(tmp_path / "m" / "a.mp3")
    (tmp_path / "m" / "self.mp3").symlink_to(tmp_path / "m" / "self.mp3")
    (tmp_path / "m" / "gone.mp3").symlink_to(tmp_path / "nothing.mp3")
    (tmp_path / "m" / "gone.txt").symlink_to(tmp_path / "nothing.txt")
    entries = {Path(e.path).name: e for e in walk([tmp_path / "m", tmp_path])}
    assert sorted(n for n, e in entries.items() if e.audio) == ["a.mp3", "gone.mp3", "link.mp3", "self.mp3"]
    assert [n for n in ("gone.mp3", "self.mp3") if entries[n].error and entries[n].error.kind == "missing"] == [
        "gone.mp3",
        "self.mp3",
    ]
    assert len(paths(tmp_path / "m", tmp_path)) == 4, "each real folder once, also over several arguments"


@posix
def test_pipes_sockets_and_devices_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.wav")
        entries = {Path(e.path).name: e for e in walk([tmp_path])}
    assert not entries["pipe"].audio
    assert entries["pipe.mp3"].error and entries["pipe.mp3"].error.message == "a named pipe, not a file"
    assert entries["socket.wav"].error and entries["socket.wav"].error.kind == "not-audio"
    assert error_of(tmp_path / "pipe") == ("not-audio", "a named pipe, not a file")
    assert error_of("/dev/null") == ("not-audio", "a device, not a file")


@posix
def test_odd_names_survive(tmp_path: Path) -> None:
    names = [b"new\nline.mp3", "\N{GUITAR} \N{SNOWMAN}.mp3".encode(), b"latin-\xe9.mp3", b"\x1b[31mred.mp3"]
    for name in names:
        try:
            with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
                pass
        except OSError:
            pytest.skip("this file system refuses such names")
    found = paths(tmp_path)
    assert sorted(os.path.basename(os.fsencode(p)) for p in found) == sorted(names)
    assert all(Path(p).exists() for p in found)


def test_deep_folders_need_no_recursion(tmp_path: Path) -> None:
    depth = sys.getrecursionlimit() // 2
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        touch(Path("a.mp3"))
    finally:
        os.chdir(here)
    entries = list(walk([tmp_path]))
    assert len(entries) == 1 and entries[0].audio


@posix
def test_refused_folders_and_files_are_records(tmp_path: Path) -> None:
    touch(tmp_path / "closed" / "a.mp3")
    touch(tmp_path / "b.mp3").chmod(0)
    touch(tmp_path / "listed" / "c.mp3")
    touch(tmp_path / "listed" / "d.txt")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "listed").chmod(0o444)
    code = (
        "import os, sys\n"
        "from earmark.audio.files import walk\n"
        "for e in walk(sys.argv[1:]): print(os.path.basename(e.path), e.audio, e.error and e.error.kind)"
    )
    argv = [*unprivileged(), sys.executable, "-c", code, str(tmp_path), str(tmp_path / "closed" / "a.mp3")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    for folder in ("closed", "listed"):
        (tmp_path / folder).chmod(0o755)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "b.mp3 True None",  # opening it is the decoder's part
        "closed True permission",
        "c.mp3 True None",
        "d.txt False None",
        "a.mp3 True permission",
    ]


def frames(header: str, length: int) -> bytes:
    frame = bytes.fromhex(header)
    return (frame + bytes(length - len(frame))) * 3


@pytest.mark.parametrize(
    ("head", "audio"),
    [
        (wav(), True),
        (b"RF64\xff\xff\xff\xffWAVE", True),
        (b"RIFF\0\0\0\0AVI ", False),
        (b"FORM\0\0\0\0AIFC", True),
        (b"FORM\0\0\0\0ILBM", False),
        (b"OggS" + bytes(24) + b"\x01vorbis", True),
        (b"OggS" + bytes(24) + b"\x80theora", False),
        (b"\0\0\0\x20ftypM4A ", True),
        (b"\0\0\0\x20ftypheic", False),
        (b"\0\0\0\x20ftypqt  moov...hdlrvide....soun", False),
        (b"\x1a\x45\xdf\xa3....webm...A_OPUS", True),
        (b"\x1a\x45\xdf\xa3....webm...V_VP9...A_OPUS", False),
        (frames("fffb9064", 417), True),  # 128 kbit/s, 44.1 kHz
        (frames("fff38064", 208), True),  # MPEG 2, 64 kbit/s, 22.05 kHz
        (frames("fff15080043ffc", 33), True),  # ADTS
        (b"\xff\xfb\x90\x64" + bytes(2000), False),
        ("\ufeff" + "text " * 500, False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_content_is_recognised(head: bytes | str, audio: bool) -> None:
    assert is_audio(head.encode("utf-16-le") if isinstance(head, str) else head) is audio


def test_every_awkward_file_gets_an_entry(shared: Path) -> None:
    folder = shared / "data" / "awkward"
    entries = list(walk([folder]))
    assert sum(e.audio for e in entries) == sum(1 for f in folder.rglob("*") if f.is_file()) - 1
    by_content = [e.path for e in entries if is_audio(Path(e.path).read_bytes()[:HEAD_BYTES])]
    assert len(by_content) > 240, "nearly all of them would be found without their endings"


def test_names() -> None:
    assert has_audio_name("x.Mp3") and has_audio_name("x.tar.opus")
    assert not has_audio_name("mp3") and not has_audio_name(".mp3") and not has_audio_name("x.mp3 ")
