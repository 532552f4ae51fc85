"""The old name of `ddpg_jax.runs.interop.stable_baselines3`, which goes with the next version."""

import warnings

from ddpg_jax.runs.interop.stable_baselines3 import load_stable_baselines3 as load_stable_baselines3

warnings.warn(
    "ddpg_jax.runs.stable_baselines3 is now ddpg_jax.runs.interop.stable_baselines3",
    DeprecationWarning,
    stacklevel=2,
)
