"""Features of a track besides its labels: tempo, key, loudness, and numbers from 0 to 1 under Spotify's names."""
