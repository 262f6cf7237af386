"""The foundation under every run: keyed randomness, device, precision, threads, atomic files, optional imports.

Not here: anything that knows of models, data or training.
"""
