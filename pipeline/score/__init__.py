"""`phia score`: scores of candidates by a trained model, with the histories of a folder."""
