"""What a run shows of itself: one page with figures and a verdict."""
