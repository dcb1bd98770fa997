"""Features: waveform (samples,) to spectrogram (frames, bands), float32."""
