"""What ends a run before its time: how it is found in the loop, and what it is called outside."""

import enum
import functools
import operator

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import Skipped
from ddpg_jax.envs.protocol import Timestep
from ddpg_jax.training.runner import Runner
from ddpg_jax.types import Array, Tree

CHECKED_FIELDS = ("reward", "observation")


class Fault(enum.IntEnum):
    """Kinds of `Runner.fault`; from NOT_FINITE on, the number also says which environment and field."""

    HEALTHY = 0
    ENV_FAILED = 1
    """The environments said that they failed (`Timestep.alive`); nothing of that step is stored."""
    NOT_LEARNING = 2
    """Too many updates in a row were skipped, since a gradient was not finite; the step is complete."""
    NOT_FINITE = 3
    """An environment gave a number that is not finite; nothing of that step is stored."""


def all_finite(obs: Tree, timestep: Timestep) -> Array:
    """Whether the environments are alive and every number they gave is finite, bool scalar."""
    fine = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((timestep.reward, timestep.next_obs, obs))]
    return functools.reduce(operator.and_, fine, timestep.alive)


def find_fault(obs: Tree, timestep: Timestep) -> Array:
    """Which environment and field is not finite, or that the environments failed; int32 scalar."""
    num_envs, leaves = timestep.reward.shape[0], jax.tree.leaves((obs, timestep.next_obs))
    fine_obs = [jnp.isfinite(leaf).reshape(num_envs, -1).all(axis=1) for leaf in leaves]
    bad = ~jnp.stack([jnp.isfinite(timestep.reward), functools.reduce(operator.and_, fine_obs)], axis=1).ravel()
    return jnp.where(timestep.alive, Fault.NOT_FINITE + jnp.argmax(bad), Fault.ENV_FAILED).astype(jnp.int32)


def learning_fault(skipped: Skipped, max_skipped_updates: int) -> Array:
    """Whether so many updates in a row were skipped that more are of no use; int32 scalar."""
    return jnp.where(skipped.in_a_row >= max_skipped_updates, Fault.NOT_LEARNING, Fault.HEALTHY).astype(jnp.int32)


def fault_kind(runner: Runner) -> Fault:
    """What kind of fault ended the run, if any."""
    return Fault(min(int(runner.fault), Fault.NOT_FINITE))


def faulty_envs(runner: Runner) -> list[int]:
    """The environments that gave a number that is not finite; the first of them, or none."""
    if fault_kind(runner) != Fault.NOT_FINITE:
        return []
    return [(int(runner.fault) - Fault.NOT_FINITE) // len(CHECKED_FIELDS)]


def name_fault(runner: Runner) -> str | None:
    """What `Runner.fault` means, in words, or None while all is well."""
    step, kind = int(runner.step), fault_kind(runner)
    if kind == Fault.HEALTHY:
        return None
    if kind == Fault.ENV_FAILED:
        return f"the environment failed after step {step}"
    if kind == Fault.NOT_LEARNING:
        return (
            f"{int(runner.agent.skipped.in_a_row)} updates in a row were skipped, since a gradient was not finite; "
            "the parameters are the last finite ones; lower agent.actor_lr or agent.critic_lr, "
            "or clip with agent.max_grad_norm"
        )
    env, field = divmod(int(runner.fault) - Fault.NOT_FINITE, len(CHECKED_FIELDS))
    return (
        f"environment {env} gave a {CHECKED_FIELDS[field]} that is not finite after step {step}; "
        "nothing of that step was stored"
    )
