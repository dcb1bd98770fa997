"""Arrays of an ``.npz`` file: nothing in it is executed, and nothing is allocated that the file does not hold."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError

__all__ = ["read_npz"]

_BIGGEST = 4_000_000_000  # bytes of one array

_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays by name; their headers are checked before anything is read.

    Raises:
        ModelError: The file is damaged, or an array in it is not what its header says.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                _check_header(archive, entry)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _DAMAGE as error:
        raise ModelError(f"{file}: damaged: {' '.join(str(error).split())}") from error


def _check_header(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if math.prod(shape) * dtype.itemsize > min(entry.file_size, _BIGGEST):
        raise ValueError(f"{entry.filename} says that it is of the shape {shape}, but holds {entry.file_size} bytes")
