"""One run: its state, its hooks, its loop. Not here: settings from files (`mlkit.config`)."""
