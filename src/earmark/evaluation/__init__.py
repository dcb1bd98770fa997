"""Honest scores: metrics, intervals, a model on a data set, and the report."""
