"""What runs: learning, the one loop, evaluation."""
