"""Debugging a run before it is trained: what `python -m mlkit.debug` does.

Not here: the tools themselves (`mlkit.debug`).
"""
