"""Where a run reports to: console, files, services. Not here: how it trains."""
