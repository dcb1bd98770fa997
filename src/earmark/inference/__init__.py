"""Inference: the one path from a file to a Prediction or a Failure."""

from earmark.inference.options import HearingOptions

__all__ = ["HearingOptions"]
