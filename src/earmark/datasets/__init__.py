"""Data sets: tracks with labels, and how they are split."""
