"""Models: the card, the folder, and the network that runs without PyTorch."""
