"""Extension: more classes for a trained model, from a few songs and without the old audio."""
