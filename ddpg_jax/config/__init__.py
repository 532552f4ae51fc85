"""Everything that a user chooses, as frozen dataclasses of plain values, and their validation.

Each field names its own constraint, and each section what must hold together. `validate` reports every problem at
once, before anything is compiled or written; the command line and the run directory use the very same dataclasses.
"""

from ddpg_jax.config.agent import DDPGConfig
from ddpg_jax.config.exploration import ExplorationConfig, initial_scale
from ddpg_jax.config.json_values import split_wrapper
from ddpg_jax.config.parsing import from_dict
from ddpg_jax.config.replay import ReplayConfig
from ddpg_jax.config.rules import INT32, LARGEST, SEED, ConfigError
from ddpg_jax.config.run import GIVEN_ENV, CheckpointConfig, Config
from ddpg_jax.config.text import LONGEST_TEXT, nearest, shown
from ddpg_jax.config.train import TrainConfig, num_updates
from ddpg_jax.config.validation import conforms, field_problem, validate

__all__ = [
    "GIVEN_ENV",
    "INT32",
    "LARGEST",
    "LONGEST_TEXT",
    "SEED",
    "CheckpointConfig",
    "Config",
    "ConfigError",
    "DDPGConfig",
    "ExplorationConfig",
    "ReplayConfig",
    "TrainConfig",
    "conforms",
    "field_problem",
    "from_dict",
    "initial_scale",
    "nearest",
    "num_updates",
    "shown",
    "split_wrapper",
    "validate",
]
