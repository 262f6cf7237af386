"""The evaluation of a finished run: what `python -m mlkit.evaluate` does.

Not here: the estimators (`mlkit.evaluate`).
"""
