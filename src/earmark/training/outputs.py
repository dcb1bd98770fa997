"""What a network says of one track, clip by clip; shared by every way of training. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outputs"]


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """One track, heard as inference hears it.

    Attributes:
        embedding: (clips, dimensions) float32.
        raw: By head: (clips, labels) scores before calibration, or (clips, 1) values.
    """

    embedding: NDArray[np.float32]
    raw: Mapping[str, NDArray[np.floating]]
