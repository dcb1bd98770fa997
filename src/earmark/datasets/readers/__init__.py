"""Readers of data sets: one module a layout, found by its name.

A reader has ``load(root, *, options) -> Dataset``, whose keyword-only parameters are the keys that a dataset.toml may
hold for it, and says ``LICENCE``, ``CITATION`` and ``LAYOUT``. Readers never download.
"""
