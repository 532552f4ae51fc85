"""`ddpg-jax watch`: what a policy does, as a film and as one picture."""
