"""What a run survives: kills, long runs, and what saving costs."""
