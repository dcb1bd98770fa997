"""Audio: which files are music, which seconds of them to hear, and those seconds as a mono float32 waveform."""
