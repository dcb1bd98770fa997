"""Evaluation: honest scores with intervals."""
