"""What ends a run before its time: how it is found in the loop, and what it is called outside."""

import enum
import functools
import operator

import jax
import jax.numpy as jnp

from ddpg_jax.agent.state import Skipped
from ddpg_jax.envs.protocol import Timestep, obs_path_name
from ddpg_jax.training.runner import Runner
from ddpg_jax.types import Array, Tree, float_dtype

ACTION_REMEDY = "its parameters or observations are too large: lower agent.actor_lr, or use agent.normalize_obs"


class Fault(enum.IntEnum):
    """Kinds of `Runner.fault`; from NOT_FINITE on, the number also says which environment and field."""

    HEALTHY = 0
    ENV_FAILED = 1
    """The environments said that they failed (`Timestep.alive`); nothing of that step is stored."""
    NOT_LEARNING = 2
    """Too many updates in a row were skipped, since a gradient was not finite; the step is complete."""
    ACTION_NOT_FINITE = 3
    """The actor gave a number that is not finite; no environment on the host sees it, and nothing is stored."""
    NOT_FINITE = 4
    """An environment gave a number that is not finite; nothing of that step is stored."""


def all_finite(action: Array, obs: Tree, timestep: Timestep, *sums: Array) -> Array:
    """Whether the environments are alive, and actions and every number they gave are finite, bool scalar.

    Args:
        action: `[N, A]`.
        obs: what the next action is chosen on, `[N, O]`.
        timestep: what the actions led to.
        sums: of rewards, `[N]` each, where these are to be finite as well.
    """
    numbers = jax.tree.leaves((action, timestep.reward, timestep.next_obs, obs, sums))
    return functools.reduce(operator.and_, [jnp.isfinite(leaf).all() for leaf in numbers], timestep.alive)


def find_fault(action: Array, obs: Tree, timestep: Timestep, *sums: Array) -> Array:
    """Which environment and field is not finite, or what else is wrong; arguments as of `all_finite`; int32 scalar."""
    # A first observation is what the next action is chosen on where the successor was another; so it comes after it.
    bad = not_finite(timestep.reward, *jax.tree.leaves((timestep.next_obs, obs)), *sums)
    found = jnp.where(timestep.alive, Fault.NOT_FINITE + jnp.argmax(bad), Fault.ENV_FAILED)
    return jnp.where(jnp.isfinite(action).all(), found, Fault.ACTION_NOT_FINITE).astype(jnp.int32)


def find_first_fault(obs: Tree) -> Array:
    """Which environment and part of its first observation is not finite, if any; int32 scalar."""
    leaves = jax.tree.leaves(obs)
    bad = not_finite(*[jnp.zeros(leaf.shape[0]) for leaf in (leaves[0], *leaves)], *leaves)
    return jnp.where(bad.any(), Fault.NOT_FINITE + jnp.argmax(bad), Fault.HEALTHY).astype(jnp.int32)


def not_finite(*fields: Array) -> Array:
    """Whether a number is not finite, of each environment each field, bool `[N * F]`."""
    return jnp.stack([~jnp.isfinite(field).reshape(field.shape[0], -1).all(axis=1) for field in fields], axis=1).ravel()


def learning_fault(skipped: Skipped, max_skipped_updates: int) -> Array:
    """Whether so many updates in a row were skipped that more are of no use; int32 scalar."""
    return jnp.where(skipped.in_a_row >= max_skipped_updates, Fault.NOT_LEARNING, Fault.HEALTHY).astype(jnp.int32)


def kind_of(fault: Array | int) -> Fault:
    """What kind of fault a number is."""
    return Fault(min(int(fault), Fault.NOT_FINITE))


def fault_kind(runner: Runner) -> Fault:
    """What kind of fault ended the run, if any."""
    return kind_of(runner.fault)


def faulty_envs(runner: Runner) -> list[int]:
    """The environments that gave a number that is not finite; the first of them, or none."""
    if fault_kind(runner) != Fault.NOT_FINITE:
        return []
    return [split_fault(runner.fault, runner.obs)[0]]


def split_fault(fault: Array | int, obs: Tree, *sums: str) -> tuple[int, str]:
    """Which environment gave what, of a number from NOT_FINITE on.

    Args:
        fault: as `find_fault` gave it.
        obs: what it was asked about, or the same of other values.
        sums: what these are called.
    """
    parts = [(obs_path_name(path), leaf.dtype) for path, leaf in jax.tree.leaves_with_path(obs)]
    fields = [
        f"a reward that is not finite in {float_dtype()}",
        *(f"an {name} that is not finite in {dtype}" for name, dtype in parts),
        *(f"an {name} on its reset that is not finite in {dtype}" for name, dtype in parts),
        *(f"rewards whose {name} is not finite in {float_dtype()}" for name in sums),
    ]
    env, field = divmod(int(fault) - Fault.NOT_FINITE, len(fields))
    return env, fields[field]


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
    if kind == Fault.ACTION_NOT_FINITE:
        return f"an action was not finite after step {step}, and was not taken; {ACTION_REMEDY}"
    env, field = split_fault(runner.fault, runner.obs)
    return f"environment {env} gave {field} after step {step}; nothing of that step was stored"
