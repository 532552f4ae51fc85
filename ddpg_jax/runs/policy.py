"""The policy of a run directory, which is only read."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax

from ddpg_jax.agent.ddpg import ddpg
from ddpg_jax.agent.state import Agent
from ddpg_jax.config import Config, ConfigError
from ddpg_jax.runs.console.formatting import format_number
from ddpg_jax.runs.storage import checkpoint
from ddpg_jax.runs.storage.choice import LAST, choose
from ddpg_jax.runs.storage.directory import CHECKPOINTS, check_x64, command, read_run
from ddpg_jax.runs.storage.named_code import NOTHING, Named, import_named
from ddpg_jax.types import EnvSpec, Tree


class Policy(NamedTuple):
    """A greedy policy as it was saved.

    Attributes:
        spec: spaces of its environment.
        agent: `agent.act(params, obs [B, O]) -> action [B, A]` in [-1, 1]; `scale_action` maps to the bounds.
        params: of the actor.
        step: environment steps after which it was saved.
        evaluation: mean return of the training's evaluation at that step, None if there was none.
    """

    spec: EnvSpec
    agent: Agent
    params: Tree
    step: int
    evaluation: float | None = None

    def name(self) -> str:
        """When it was saved, in words."""
        evaluated = (
            "" if self.evaluation is None else f" (evaluated in training: return {format_number(self.evaluation)})"
        )
        return f"after {self.step:,} steps{evaluated}"


def policy_config(path: Path, named: Named = NOTHING, name: str = "evaluate") -> Config:
    """Settings of a run that has a policy.

    Args:
        path: the run directory.
        named: what a person names for it, which is imported.
        name: of the command, for messages.

    Raises:
        ConfigError: if there is no run there, its environment is not known here, it holds no checkpoint yet, or 64-bit
            mode is not as it was.
        EnvError: if something that is named cannot be imported.
    """
    named = import_named(named)
    run = read_run(path, named, name)
    if not checkpoint.complete(path / CHECKPOINTS):
        again = command("resume", path, named.imports, run.config)
        raise ConfigError(f"{path} holds no checkpoint yet; {again} begins it anew")
    check_x64(run)
    return run.config


def num_eval_envs(config: Config) -> int:
    """How many environments played the evaluations of a run."""
    return config.train.eval_envs or config.train.num_envs


def load_policy(
    path: Path, config: Config, spec: EnvSpec, warn: Callable[[str], None], wanted: str | int = LAST
) -> Policy:
    """Read a policy of a run.

    Args:
        path: the run directory.
        config: its settings, as `policy_config` read them.
        spec: spaces of its environment.
        warn: called with a line for each damaged checkpoint that is newer than the last whole one.
        wanted: "last", "best", or the step of a checkpoint that is kept.

    Raises:
        ConfigError: if there is no such checkpoint.
        StorageError: if it is not whole, or does not fit.
    """
    agent = ddpg(spec, config.agent)
    like = jax.eval_shape(agent.init, jax.random.key(0)).params.actor
    found, params = checkpoint.read(partial(choose, path, wanted, warn), like, "agent.params.actor.")
    return Policy(spec, agent, params, found.step, checkpoint.evaluation_of(found))
