"""Following a run while it trains: a page for this machine alone, or a few lines in the terminal."""
