"""Settings, composed and checked; the only room that knows Hydra. Not here: training."""
