"""Tables and pictures from results. Not here: any training."""
