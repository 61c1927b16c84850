"""`phia train`: an online trainer fed from a folder or from the sequence topic."""
