"""The model folder as training leaves it: network, calibration, exemplars, curves, card and words."""
