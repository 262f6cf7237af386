"""The baseline models and their initialisation. Not here: the data they are trained on."""
