"""How a model turns a waveform into a spectrogram, as facts. Needs no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Frontend", "sox_windows"]


@dataclass(frozen=True, slots=True)
class Frontend:
    """How a waveform becomes a spectrogram (frames, bands) float32.

    Attributes:
        kind: ``mel``: short-time Fourier transform through a mel filterbank. ``sox``: the monochrome linear
            picture of ``sox ... spectrogram -m -r``, grey steps 0..250 over 120 dB, without the row of 0 Hz.
            ``image``: PNG spectrograms as they are, grey 0..255; a model with it refuses audio, and where the
            columns' length is unknown ``sample_rate`` and ``hop_length`` are 1: a column counts as a second.
        sample_rate: Hz of the waveform that it takes.
        n_fft: Length of the transform, in samples.
        win_length: Length of the (periodic Hann) window, in samples; centred in ``n_fft``.
        hop_length: Samples from frame to frame.
        bands: Mel bands, or rows of the picture.
        f_min: Lowest frequency of the filterbank, Hz.
        f_max: Highest frequency of the filterbank, Hz.
        mel_scale: ``slaney`` (Auditory Toolbox), ``htk``, or ``kaldi``: HTK's scale with filters that are triangles
            over mel instead of Hz (VGGish and YAMNet too).
        mel_norm: Scale each filter to unit area (Slaney).
        power: 2 for a power, 1 for a magnitude spectrum.
        log: ``db``: 10 log10 of the power (20 log10 of a magnitude); ``ln``: natural logarithm of mel + ``offset``.
        floor: Smallest power (or magnitude) before ``db``.
        offset: Added before ``ln``.
        range_db: Values this far below the clip's maximum are lifted to it; 0 lifts nothing.
        relative: dB below the clip's maximum instead of dB.
        centre: Pad ``n_fft / 2`` zeros at both ends, so that frame t is centred at ``t * hop_length``.
    """

    kind: Literal["mel", "sox", "image"] = "mel"
    sample_rate: int = 16000
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 320
    bands: int = 96
    f_min: float = 30.0
    f_max: float = 7800.0
    mel_scale: Literal["slaney", "htk", "kaldi"] = "slaney"
    mel_norm: bool = True
    power: Literal[1, 2] = 2
    log: Literal["db", "ln"] = "db"
    floor: float = 1e-9
    offset: float = 0.0
    range_db: float = 0.0
    relative: bool = False
    centre: bool = True

    def frames(self, samples: int) -> int:
        """Number of frames of a waveform of that many samples."""
        if self.kind == "sox":
            step, windows = sox_windows(self)
            begun = -(-((samples + step // 2) // step) // windows)
            return min(begun, max(1, (samples + self.hop_length // 2) // self.hop_length))
        if self.centre:
            return 1 + samples // self.hop_length
        return max(0, 1 + (samples - self.win_length) // self.hop_length)

    @property
    def frames_per_second(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop_length


def sox_windows(frontend: Frontend) -> tuple[int, int]:
    """SoX's samples from window to window, and windows a column: as many as let Hann windows overlap by half."""
    windows = -(-frontend.hop_length // (frontend.n_fft // 2))
    return int(frontend.hop_length / windows + 0.5), windows
