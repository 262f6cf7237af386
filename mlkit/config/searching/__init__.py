"""A search over the settings of a run: what `python -m mlkit.search` does.

Not here: how configurations are chosen (`mlkit.search`) and trained together (`mlkit.population`).
"""
