"""Heads: from embeddings to scores; how they are built, and fitted to embeddings in seconds."""
