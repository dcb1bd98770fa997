"""Features: waveform (samples,) to spectrogram (frames, bands), float32."""

from earmark.features.frontend import Frontend
from earmark.features.spectrogram import mel_filterbank, relate_to_peak, spectrogram

__all__ = ["Frontend", "mel_filterbank", "relate_to_peak", "spectrogram"]
