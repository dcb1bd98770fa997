"""Audit: what is wrong with a data set, found before anybody learns from it."""

from earmark.audit.audit import Audit, audit

__all__ = ["Audit", "audit"]
