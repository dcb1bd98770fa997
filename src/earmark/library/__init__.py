"""The library: a whole collection in one SQLite file, and what can be made of it."""
