"""Files are written whole or not at all, and a lock goes with the process that holds it."""

import subprocess
import sys
from pathlib import Path

import pytest

from earmark.errors import StorageError
from earmark.storage import lock, write_file


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "list.m3u8"
    write_file(target, "one\n")
    target.chmod(0o640)

    def broken():
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="no space left on device"):
        write_file(target, broken())
    assert target.read_text() == "one\n"
    assert [file.name for file in tmp_path.iterdir()] == ["list.m3u8"]
    write_file(target, b"two\n")
    assert target.read_text() == "two\n" and target.stat().st_mode & 0o777 == 0o640


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder"):
        write_file(tmp_path, "")


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "library.db"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom earmark.storage import lock\n"
        f"with lock(Path({str(file)!r}), 'busy'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=rf"busy \(process {other.pid}\)"), lock(file, "busy"):
            pass
        other.kill()
    with lock(file, "busy"):
        pass
