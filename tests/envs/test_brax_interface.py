"""Environments with brax's interface: one written here, which needs neither brax nor MuJoCo."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from suite_contract import check_contract, check_seeds, check_steps_of_brax, ends, take_steps

from ddpg_jax import EnvError
from ddpg_jax.envs.brax_interface import from_brax, unbounded_spaces
from ddpg_jax.runs.storage import checkpoint


@struct.dataclass
class State:
    obs: dict
    reward: jax.Array
    done: jax.Array
    info: dict
    static: str = struct.field(pytree_node=False, default="no array")


class Walk:
    """A random walk that ends beyond 1, its states as such packages write them: with keys, and of changing dtypes."""

    action_size = 2

    def reset(self, rng):
        position = jax.random.uniform(rng, (2,), minval=-0.5, maxval=0.5)
        return State({"here": position}, jnp.zeros(()), jnp.zeros(()), {"rng": rng, "steps": 0})

    def step(self, state, action):
        rng, noise = jax.random.split(state.info["rng"])
        position = state.obs["here"] + 0.3 * action + 0.05 * jax.random.normal(noise, (2,))
        done = jnp.abs(position).max() > 1  # bool, where reset has a float
        return state.replace(
            obs={"here": position},
            reward=-jnp.abs(position).sum(),
            done=done,
            info={"rng": rng, "steps": state.info["steps"] + 1.0},
        )


def make(num_envs=3, episode_length=8):
    return from_brax(Walk(), episode_length, num_envs)


def test_it_keeps_the_contract():
    env = make()
    steps = take_steps(env, 200)
    check_contract(env, steps)
    assert steps.timestep.terminated.any(axis=0).all()
    assert steps.timestep.truncated.any(axis=0).all()
    check_seeds(make)


def test_each_step_is_the_environments_own_and_episodes_begin_at_its_resets():
    env, world = make(), Walk()
    steps = take_steps(env, 200, keep_state=True)
    check_steps_of_brax(steps, world, 8, 1e-5, 1e-6)
    assert set(np.diff(np.flatnonzero(ends(steps)[:, 1]))) > {8}


def test_an_action_is_held_and_its_rewards_add_up_to_the_end_of_an_episode():
    world, times = Walk(), 3
    env = from_brax(world, 9, 2, times)
    state, _ = env.reset(jax.random.key(0))
    key, action = jax.random.key(1), jnp.full((2, 2), 0.9)
    seen = []
    for index in range(6):
        begin, (state, _, timestep) = state, jax.jit(env.step)(jax.random.fold_in(key, index), state, action)
        for which in range(2):
            one, total = jax.tree.map(lambda leaf, which=which: leaf[which], begin.world), 0.0
            for _ in range(times):
                one = world.step(one, action[which])
                total += one.reward
                if one.done:
                    break
            np.testing.assert_allclose(timestep.reward[which], total, 1e-5)
            np.testing.assert_allclose(timestep.next_obs["here"][which], one.obs["here"], 1e-5)
            assert timestep.terminated[which] == one.done
        seen.append((bool(timestep.terminated.any()), int(begin.length.max())))
    assert any(ended for ended, _ in seen)
    assert {length % times for _, length in seen} == {0}


def test_a_limit_counts_every_step_for_which_an_action_is_held():
    env = from_brax(Walk(), 8, 1, 3)
    state, _ = env.reset(jax.random.key(0))
    for truncated in (False, False, True):
        state, _, timestep = env.step(jax.random.key(1), state, jnp.zeros((1, 2)))
        assert bool(timestep.truncated[0]) == truncated


def test_its_states_go_into_a_checkpoint_and_back(tmp_path):
    env = make()
    state, _ = env.reset(jax.random.key(0))
    checkpoint.save(tmp_path, 0, state, b"", {}, 1)
    found = checkpoint.newest(tmp_path, print)
    back = checkpoint.restore(found, jax.eval_shape(lambda: state))
    one, other = (env.step(jax.random.key(1), begin, jnp.ones((3, 2))) for begin in (state, back))
    chex.assert_trees_all_equal(one, other)


def test_its_spaces_are_unbounded_boxes():
    obs, action = unbounded_spaces(make().spec)
    assert obs["here"].shape == action.shape == (2,)
    assert obs["here"].low.tolist() == [-np.inf] * 2
    assert (action.low.tolist(), action.high.tolist()) == ([-1, -1], [1, 1])


def test_no_environments_are_refused():
    with pytest.raises(EnvError, match="num_envs = 0"):
        make(0)
