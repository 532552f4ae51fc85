"""Deep Deterministic Policy Gradient as pure JAX functions.

Everything that learns is a pure function, everything that changes is a tree of arrays, everything
chosen is a frozen dataclass. Start with `ddpg`, `make_trainer` and `envs.make`.
"""

from ddpg_jax import envs as envs
from ddpg_jax import runs as runs
from ddpg_jax.action_bounds import scale_action as scale_action
from ddpg_jax.agent.ddpg import ddpg as ddpg
from ddpg_jax.agent.exploration import Exploration as Exploration
from ddpg_jax.agent.exploration import gaussian as gaussian
from ddpg_jax.agent.exploration import greedy as greedy
from ddpg_jax.agent.exploration import make_exploration as make_exploration
from ddpg_jax.agent.exploration import ornstein_uhlenbeck as ornstein_uhlenbeck
from ddpg_jax.agent.exploration import smoothed as smoothed
from ddpg_jax.agent.exploration import uniform as uniform
from ddpg_jax.agent.mlp_networks import mlp_networks as mlp_networks
from ddpg_jax.agent.networks import Network as Network
from ddpg_jax.agent.networks import Networks as Networks
from ddpg_jax.agent.networks import flax_network as flax_network
from ddpg_jax.agent.noise_scale import Scale as Scale
from ddpg_jax.agent.noise_scale import episode_scale as episode_scale
from ddpg_jax.agent.parameter_noise import parameter_noise as parameter_noise
from ddpg_jax.agent.state import Agent as Agent
from ddpg_jax.agent.state import AgentState as AgentState
from ddpg_jax.agent.state import Params as Params
from ddpg_jax.agent.state import Skipped as Skipped
from ddpg_jax.agent.state import UpdateInfo as UpdateInfo
from ddpg_jax.config import CheckpointConfig as CheckpointConfig
from ddpg_jax.config import Config as Config
from ddpg_jax.config import ConfigError as ConfigError
from ddpg_jax.config import DDPGConfig as DDPGConfig
from ddpg_jax.config import ExplorationConfig as ExplorationConfig
from ddpg_jax.config import ReplayConfig as ReplayConfig
from ddpg_jax.config import TrainConfig as TrainConfig
from ddpg_jax.config import validate as validate
from ddpg_jax.envs.protocol import Env as Env
from ddpg_jax.envs.protocol import EnvError as EnvError
from ddpg_jax.envs.protocol import Restored as Restored
from ddpg_jax.envs.protocol import Timestep as Timestep
from ddpg_jax.presets import find_preset as find_preset
from ddpg_jax.replay.buffer import Replay as Replay
from ddpg_jax.replay.buffer import ReplayState as ReplayState
from ddpg_jax.replay.buffer import Sample as Sample
from ddpg_jax.replay.buffer import make_replay as make_replay
from ddpg_jax.replay.demonstrations import make_demonstrations as make_demonstrations
from ddpg_jax.training.evaluation import Evaluation as Evaluation
from ddpg_jax.training.evaluation import make_evaluate as make_evaluate
from ddpg_jax.training.faults import name_fault as name_fault
from ddpg_jax.training.learner import Learner as Learner
from ddpg_jax.training.learner import make_learner as make_learner
from ddpg_jax.training.recovery import restart_episodes as restart_episodes
from ddpg_jax.training.runner import Metrics as Metrics
from ddpg_jax.training.runner import Runner as Runner
from ddpg_jax.training.trainer import Trainer as Trainer
from ddpg_jax.training.trainer import make_trainer as make_trainer
from ddpg_jax.types import Batch as Batch
from ddpg_jax.types import EnvSpec as EnvSpec
from ddpg_jax.types import Transition as Transition

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentState",
    "Batch",
    "CheckpointConfig",
    "Config",
    "ConfigError",
    "DDPGConfig",
    "Env",
    "EnvError",
    "EnvSpec",
    "Evaluation",
    "Exploration",
    "ExplorationConfig",
    "Learner",
    "Metrics",
    "Network",
    "Networks",
    "Params",
    "Replay",
    "ReplayConfig",
    "ReplayState",
    "Restored",
    "Runner",
    "Sample",
    "Scale",
    "Skipped",
    "Timestep",
    "TrainConfig",
    "Trainer",
    "Transition",
    "UpdateInfo",
    "ddpg",
    "envs",
    "episode_scale",
    "find_preset",
    "flax_network",
    "gaussian",
    "greedy",
    "make_demonstrations",
    "make_evaluate",
    "make_exploration",
    "make_learner",
    "make_replay",
    "make_trainer",
    "mlp_networks",
    "name_fault",
    "ornstein_uhlenbeck",
    "parameter_noise",
    "restart_episodes",
    "runs",
    "scale_action",
    "smoothed",
    "uniform",
    "validate",
]
