"""Doors to players that people have: what AudioMuse-AI's and Subsonic's clients ask."""
