"""The mathematics: networks, losses, exploration, and the update."""
