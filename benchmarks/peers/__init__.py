"""Other implementations, set to the same work as ours and called slice by slice.

The same work: networks of 256 x 256 (ReLU, no normalisation), the batch, Adam at 1e-3, tau 0.005, discount 0.99,
Gaussian noise of 0.1, a full memory of the same transitions, one update for each environment step.

What differs, since none of them can be set so: ours and the PyTorch loop clip gradients by their global norm (work
that the others do not have; Rejax clips each element), and SBX draws target noise even where its bound is 0. Logging is
off for all; Stable-Baselines3, SBX and the CleanRL structure keep the episodes' returns, as ours does.
"""
