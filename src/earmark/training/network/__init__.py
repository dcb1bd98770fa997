"""Whole networks: songs, clips, the loop, and what it keeps so that it can go on."""
