"""A policy as StableHLO: the agent's own program, whatever its network, for any batch size and several platforms."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

from ddpg_jax.action_bounds import scale_action
from ddpg_jax.runs.export.spaces import Spaces, inner_bounds
from ddpg_jax.runs.policy import Policy
from ddpg_jax.types import Array, Tree

FILE = "policy.stablehlo"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def write(folder: Path, policy: Policy, spaces: Spaces) -> None:
    """Lower the policy and write it as `jax.export` serialises it.

    Args:
        folder: where `policy.stablehlo` goes.
        policy: any; its parameters become constants of the program.
        spaces: of its environment.
    """
    (batch,) = jax.export.symbolic_shape("b")
    obs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch, *leaf.shape), leaf.dtype), spaces.spec.obs)
    exported = jax.export.export(jax.jit(env_policy(policy, spaces)), platforms=PLATFORMS)(obs)
    (folder / FILE).write_bytes(exported.serialize())


def env_policy(policy: Policy, spaces: Spaces) -> Callable[[Tree], Array]:
    """The function `obs [B, *obs shape] -> action [B, *action shape]`, in the environment's unit."""
    low, high = inner_bounds(policy.spec)

    def act(obs: Tree) -> Array:
        action = scale_action(policy.agent.act(policy.params, obs), policy.spec).astype(spaces.action_dtype)
        return jnp.clip(action, low, high).reshape(action.shape[0], *spaces.action_shape)

    return act


def load(folder: Path) -> Callable:
    """What is in the file, as a function."""
    return jax.jit(jax.export.deserialize(bytearray((folder / FILE).read_bytes())).call)
