"""The bundled model: teachers, student, heads, card and report, made again by one command (`make model`)."""
