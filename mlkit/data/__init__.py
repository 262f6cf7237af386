"""Data sets as splits and batches. Not here: models and training."""
