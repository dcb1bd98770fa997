"""The bundled model: its labels, heads, card and report, made again by one command."""
