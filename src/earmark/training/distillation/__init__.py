"""Distillation: teachers, changed copies of songs, what was heard once, and the student."""
