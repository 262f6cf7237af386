"""Streaming metrics and their intervals. Not here: what is trained on a loss (`mlkit.engine`)."""
