"""What every suite keeps, and the steps by which an oracle is held against it."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
from worlds import make_advance

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import episode_seed


class Steps(NamedTuple):
    """T steps of N environments, leaves `[T, N, ...]`.

    Attributes:
        obs: chosen on.
        action: in [-1, 1].
        timestep: what `Env.step` gave.
        choice: what the next action is chosen on.
        state: of the environments before the step.
        key: of the step, `[T]`.
    """

    obs: Any
    action: Any
    timestep: Any
    choice: Any
    state: Any
    key: Any


def take_steps(env, num_steps, seed=0, keep_state=False):
    """Random steps from a reset of the seed's key."""

    def step(carry, key):
        state, obs = carry
        action = jax.random.uniform(key, (env.num_envs, env.spec.action_dim), minval=-1, maxval=1)
        after, choice, timestep = env.step(key, state, action)
        return (after, choice), Steps(obs, action, timestep, choice, state if keep_state else (), key)

    keys = jax.random.split(jax.random.key(1), num_steps)
    begin = jax.jit(env.reset)(jax.random.key(seed))
    return jax.device_get(jax.jit(lambda carry: jax.lax.scan(step, carry, keys)[1])(begin))


def ends(steps):
    """Where an episode ended, `[T, N]`."""
    return steps.timestep.terminated | steps.timestep.truncated


def check_contract(env, steps):
    """Shapes, and that an action is chosen on the successor, or on the first observation of a new episode."""
    lead = len(steps.action), env.num_envs
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*lead, *leaf.shape), leaf.dtype), env.spec.obs)
    chex.assert_trees_all_equal_shapes_and_dtypes(steps.obs, steps.choice, steps.timestep.next_obs, like)
    assert steps.timestep.alive.all(), env.failure()
    ended = ends(steps)
    assert ended.any(axis=0).all()
    obs, choice, successor = (flat(tree, 2) for tree in (steps.obs, steps.choice, steps.timestep.next_obs))
    np.testing.assert_array_equal(choice[~ended], successor[~ended])
    np.testing.assert_array_equal(choice[:-1], obs[1:])
    assert (choice[ended] != successor[ended]).any(axis=1).all(), "a last successor is a first observation"
    firsts = np.concatenate([obs[0], choice[ended]])
    assert len(np.unique(firsts, axis=0)) == len(firsts), "two episodes begin alike"


def flat(tree, axes):
    """An observation's leaves side by side, behind so many leading axes."""
    leaves = [leaf.reshape(*leaf.shape[:axes], -1) for leaf in jax.tree.leaves(tree)]
    return np.concatenate(leaves, axis=-1)


def check_seeds(make):
    """The same seed leads to the same steps, in environments made anew, and another to others."""
    runs = []
    for seed in (0, 0, 1):
        env = make()
        runs.append(take_steps(env, 30, seed))
        env.close()
    chex.assert_trees_all_equal(runs[0], runs[1])
    assert not all(map(np.array_equal, *(jax.tree.leaves(run.obs) for run in (runs[0], runs[2]))))


def plays_as(steps, index, oracle):
    """Hold the steps of one environment against an oracle.

    Args:
        steps: of the suite.
        index: of the environment.
        oracle: `oracle(actions [T, A])` gives for each step (obs, reward, terminated, truncated, next obs) of the raw
            environment, which begins a new episode where one ended.
    """
    alike = steps._replace(timestep=steps.timestep._replace(alive=steps.timestep.reward), state=(), key=())
    for t, (obs, reward, terminated, truncated, next_obs) in enumerate(oracle(steps.action[:, index])):
        found = jax.tree.map(lambda leaf: leaf[t, index], alike)
        np.testing.assert_array_equal(flat(found.obs, 0), as_kept(obs), err_msg=f"step {t}")
        np.testing.assert_array_equal(flat(found.timestep.next_obs, 0), as_kept(next_obs), err_msg=f"step {t}")
        assert found.timestep.reward == np.float32(reward), t
        assert (found.timestep.terminated, found.timestep.truncated) == (terminated, truncated), t


def as_kept(obs):
    """An observation of a raw environment as the learner keeps it, side by side."""
    leaves = jax.tree.leaves(dict(obs) if isinstance(obs, Mapping) else obs)
    return np.concatenate([np.asarray(leaf, np.float32).ravel() for leaf in leaves])


def check_steps_of_brax(steps, world, episode_length, rtol=1e-4, atol=1e-4):
    """Hold steps against an environment with brax's interface: each from the state that was kept, and each reset."""
    stepped = jax.jit(jax.vmap(jax.vmap(world.step)))(steps.state.world, steps.action)
    close = functools.partial(np.testing.assert_allclose, rtol=rtol, atol=atol)
    close(flat(steps.timestep.next_obs, 2), flat(stepped.obs, 2))
    close(steps.timestep.reward, stepped.reward)
    np.testing.assert_array_equal(steps.timestep.terminated, np.asarray(stepped.done, bool))
    np.testing.assert_array_equal(steps.timestep.truncated, steps.state.length == episode_length - 1)
    lengths = np.where(ends(steps), 0, steps.state.length + 1)
    np.testing.assert_array_equal(lengths[:-1], steps.state.length[1:])
    at, index = np.nonzero(ends(steps))
    keys = jax.vmap(lambda key: jax.random.split(key, steps.action.shape[1]))(steps.key[at])[np.arange(len(at)), index]
    begun = jax.jit(jax.vmap(world.reset))(jax.random.key_data(keys))
    close(flat(steps.choice, 2)[at, index], flat(begun.obs, 1))


def check_comes_back(env_id):
    """Episodes that run are played again in environments made anew, to the bit."""
    first, second = envs.make(env_id, 2), envs.make(env_id, 2)
    advance, again = make_advance(first), make_advance(second)
    progress, _ = advance(None, 60)
    saved = first.save(progress.episode_length)
    expected = advance(progress, 30)
    again(None, 7)
    restored = second.restore(progress.state, progress.obs, progress.episode_length, saved)
    assert restored.exact.all(), restored.reason
    chex.assert_trees_all_equal(again(progress._replace(state=restored.state, obs=restored.obs), 30), expected)
    first.close()
    second.close()


def check_against_package(env_id, raw, num_steps=1_000):
    """Hold two environments of an id against `raw(seed of the episode) -> (first obs, step)`."""
    env = envs.make(env_id, 2)
    steps = take_steps(env, num_steps)
    check_contract(env, steps)
    run_seed = int(np.asarray(jax.jit(env.reset)(jax.random.key(0))[0].run_seed))
    for index in range(2):
        plays_as(steps, index, oracle_of(raw, run_seed, index))
    env.close()
    return steps


def oracle_of(raw, run_seed, index):
    """Episodes of one environment, each begun by `raw` with its seed."""

    def oracle(actions):
        episode = 0
        obs, step = raw(episode_seed(run_seed, index, episode))
        for action in actions:
            after, reward, terminated, truncated = step(action)
            yield obs, reward, terminated, truncated, after
            obs = after
            if terminated or truncated:
                episode += 1
                obs, step = raw(episode_seed(run_seed, index, episode))

    return oracle
