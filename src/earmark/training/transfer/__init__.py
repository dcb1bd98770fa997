"""Transfer: a trained model's backbone as it is, and new heads on its embeddings."""
