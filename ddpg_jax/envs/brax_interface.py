"""Environments with brax's interface as an `Env`: everything stays in the compiled program.

brax and MuJoCo Playground share it: `reset(key) -> state` and `step(state, action) -> state`, where the state has
`obs`, `reward` and `done`. The wrappers that both have for training are not used: they drop the last observation of an
episode, and begin each episode at the first state of the run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from ddpg_jax.envs.protocol import Env, Timestep, check_num_envs, select
from ddpg_jax.types import Array, EnvSpec, Key, Tree, float_dtype


class Running(NamedTuple):
    """N episodes.

    Attributes:
        world: the environment's states, leaves `[N, ...]`.
        length: steps of each episode, int32 `[N]`.
    """

    world: Tree
    length: Array


def from_brax(world: Any, episode_length: int, num_envs: int = 1, action_repeat: int = 1) -> Env:
    """N copies of an environment with brax's interface.

    Args:
        world: the environment, in none of its package's wrappers.
        episode_length: steps after which an episode is truncated.
        num_envs: N.
        action_repeat: steps of the environment for which an action is held; all count for the limit.

    Raises:
        EnvError: if N is no number of environments.
    """
    check_num_envs(num_envs)
    spec, like = read_spec(world)
    step_world = hold_action(world.step, like, action_repeat)

    def reset_worlds(key: Key) -> Tree:
        # States keep keys, and a checkpoint takes them as numbers alone.
        return as_like(jax.vmap(world.reset)(jax.random.key_data(jax.random.split(key, num_envs))), like)

    def reset(key: Key) -> tuple[Running, Tree]:
        worlds = reset_worlds(key)
        return Running(worlds, jnp.zeros(num_envs, jnp.int32)), worlds.obs

    def step(key: Key, state: Running, action: Array) -> tuple[Running, Tree, Timestep]:
        stepped = as_like(jax.vmap(step_world)(state.world, action), like)
        length = state.length + action_repeat
        terminated, truncated = stepped.done.astype(bool), length >= episode_length
        ended = terminated | truncated

        def reset_ended() -> Tree:
            return jax.vmap(select)(ended, reset_worlds(key), stepped)

        # Few steps end an episode, and a reset takes longer than a step.
        worlds = jax.lax.cond(ended.any(), reset_ended, lambda: stepped)
        timestep = Timestep(stepped.reward.astype(float_dtype()), terminated, truncated, stepped.obs, jnp.bool_(True))
        return Running(worlds, jnp.where(ended, 0, length)), worlds.obs, timestep

    return Env(spec, num_envs, reset, step)


def hold_action(step: Callable[[Any, Array], Any], like: Tree, action_repeat: int) -> Callable[[Any, Array], Any]:
    """Build `step(state, action) -> state` that holds the action for some steps, at most to an end; rewards add up.

    Args:
        step: of the environment.
        like: shapes and dtypes of one state.
        action_repeat: how many steps; 1 leaves the step as it is.
    """
    if action_repeat == 1:
        return step

    def held(state: Any, action: Array) -> Any:
        def once(before: Any, _: None) -> tuple[Any, Array]:
            after, ended = as_like(step(before, action), like), before.done.astype(bool)
            return select(ended, before, after), jnp.where(ended, 0, after.reward)

        last, rewards = jax.lax.scan(once, state, None, action_repeat)
        return last.replace(reward=rewards.sum())

    return held


def as_like(tree: Tree, like: Tree) -> Tree:
    """The same numbers in the dtypes of the first state: a loop carries no others."""
    return jax.tree.map(lambda leaf, struct: jnp.asarray(leaf, struct.dtype), tree, like)


def read_spec(world: Any) -> tuple[EnvSpec, Tree]:
    """The spaces of an environment, and the shapes of one state; nothing is compiled."""
    like = jax.eval_shape(world.reset, jax.random.PRNGKey(0))
    obs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), like.obs)
    # The packages have no bounds of actions: each environment expects what its trainers give, numbers in [-1, 1].
    bound = np.ones(world.action_size)
    return EnvSpec(obs, -bound, bound), like


def unbounded_spaces(spec: EnvSpec) -> tuple[gymnasium.Space, gymnasium.Space]:
    """Gymnasium's spaces of such an environment: it says nothing of bounds of its observations."""

    def space(obs: Tree) -> gymnasium.Space:
        if isinstance(obs, dict):
            return gymnasium.spaces.Dict({key: space(part) for key, part in obs.items()})
        return gymnasium.spaces.Box(-np.inf, np.inf, obs.shape, obs.dtype)

    low, high = (bound.astype(np.float32) for bound in (spec.action_low, spec.action_high))
    return space(spec.obs), gymnasium.spaces.Box(low, high)
