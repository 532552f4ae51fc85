"""Settings of a whole run: the environment, the seed, and every section."""

from dataclasses import dataclass, field
from typing import Any, Literal

from ddpg_jax.config.agent import DDPGConfig
from ddpg_jax.config.exploration import ExplorationConfig
from ddpg_jax.config.json_values import JSON_OBJECT, WRAPPERS
from ddpg_jax.config.replay import ReplayConfig
from ddpg_jax.config.rules import (
    AT_LEAST_ONE,
    INT32_OR_NONE,
    NOT_NEGATIVE,
    POSITIVE_OR_NONE,
    SEED,
    Together,
    setting,
)
from ddpg_jax.config.train import TrainConfig

# In place of an id where a person gave the environments themselves, from Python.
GIVEN_ENV = "(an Env given from Python)"
# Seconds; Python's calls that wait refuse very large ones.
LONGEST_TIMEOUT = 1_000_000


def no_repetition(values: tuple[Any, ...]) -> bool:
    """Whether no value occurs twice."""
    return len(set(values)) == len(values)


@dataclass(frozen=True)
class CheckpointConfig:
    """When the whole run is saved. It is also saved at its start, at its end, and when it is stopped."""

    every: int = setting(0, NOT_NEGATIVE)
    """Environment steps between checkpoints; 0 goes by the clock alone."""
    minutes: float = setting(5.0, NOT_NEGATIVE)
    """Minutes between checkpoints; 0 goes by the steps alone."""
    keep: int = setting(2, AT_LEAST_ONE)
    """Newest checkpoints that are kept."""


@dataclass(frozen=True)
class Config:
    """The settings of one training run, with a section for each of its parts."""

    env: str = "Pendulum-v1"
    """A Gymnasium id, a suite and one of its names as `gymnax/Pendulum-v1`, or your own `FILE.py:CLASS`."""
    env_kwargs: dict[str, Any] = field(default_factory=dict, hash=False, metadata={"rule": JSON_OBJECT})
    """Arguments of the environment: a JSON object, or one argument each as `--env-kwargs.g 9.0`."""
    wrappers: tuple[str, ...] = setting((), WRAPPERS)
    """Wrappers around the environment, the innermost first: Gymnasium's by name, your own as `FILE.py:CLASS`."""
    max_episode_steps: int | None = setting(None, INT32_OR_NONE)
    """Steps after which an episode is truncated, in place of the environment's own limit; None keeps that."""
    seed: int = setting(0, SEED)
    """Seed of everything random in the run."""
    env_timeout: float | None = setting(None, POSITIVE_OR_NONE)
    """Seconds that one step or reset of a Gymnasium environment may take; each then has a process of its own."""
    env_retries: int = setting(0, NOT_NEGATIVE)
    """Failures of an environment after which it is made anew and its episode cut; one more ends the run."""
    demonstrations: str | None = None
    """Transitions to begin the memory with: an .npz file of arrays, or `minari:` and the id of a data set."""
    writers: tuple[Literal["tensorboard", "wandb"], ...] = setting((), ("each at most once", no_repetition))
    """Where metrics go beside RUN/metrics.jsonl: RUN/tensorboard, and W&B; each needs its package."""
    wandb_mode: Literal["offline", "online"] = "offline"
    """Whether W&B's figures stay in RUN/wandb, or go to its server as well, which needs `wandb login` before."""
    agent: DDPGConfig = DDPGConfig()
    replay: ReplayConfig = ReplayConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    train: TrainConfig = TrainConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()


# Settings that are fine alone and not together: what must hold, and what to say when it does not.
TOGETHER: Together = (
    (
        lambda c: c.train.num_envs <= c.replay.capacity,
        lambda c, at: (
            f"replay.capacity = {c.replay.capacity} must hold at least one step of "
            f"train.num_envs = {c.train.num_envs} environments; raise it"
        ),
    ),
    (
        lambda c: c.replay.n_step == 1 or c.replay.n_step * c.train.num_envs <= c.replay.capacity,
        lambda c, at: (
            f"replay.n_step = {c.replay.n_step} steps of train.num_envs = {c.train.num_envs} environments must fit "
            f"in replay.capacity = {c.replay.capacity}; lower the first"
        ),
    ),
    (
        lambda c: c.wandb_mode == "offline" or "wandb" in c.writers,
        lambda c, at: f"wandb_mode = {c.wandb_mode!r} needs W&B among the writers: add --writers wandb",
    ),
    (
        lambda c: c.env_timeout is None or c.env_timeout <= LONGEST_TIMEOUT,
        lambda c, at: f"env_timeout = {c.env_timeout} must be at most {LONGEST_TIMEOUT} seconds; None waits for ever",
    ),
)
