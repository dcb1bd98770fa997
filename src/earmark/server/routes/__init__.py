"""REST, a file a part: module-level routers of plain functions."""
