import threading

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Scripted

import ddpg_jax
from ddpg_jax.callbacks.foreign_call import make_foreign_call
from ddpg_jax.callbacks.host_call import make_call_on_copies
from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.gymnasium.host import Host, episode_seed

STEPS = 40


def bridge_transitions(num_envs, monkeypatch, call):
    """The transitions of 40 steps from inside a compiled loop, with actions that depend on the observation."""
    monkeypatch.setattr(bridge, "make_host_call", call)
    env = bridge.from_factory(Scripted, num_envs)

    def step(carry, _):
        state, obs = carry
        action = jnp.stack([jnp.sin(obs.sum(-1)), jnp.cos(obs.sum(-1))], axis=-1)
        state, choice, timestep = env.step(jax.random.key(0), state, action)
        return (state, choice), ddpg_jax.Transition(
            obs, action, timestep.reward, timestep.terminated, timestep.truncated, timestep.next_obs
        )

    state, obs = jax.jit(env.reset)(jax.random.key(7))
    _, transitions = jax.jit(lambda carry: jax.lax.scan(step, carry, None, STEPS))((state, obs))
    return int(state.run_seed), jax.device_get(transitions)


def oracle(run_seed, num_envs):
    """The same list, from plain Python."""
    rows = []
    for index in range(num_envs):
        world, episode = Scripted(), 0
        obs, _ = world.reset(seed=episode_seed(run_seed, index, 0))
        for _ in range(STEPS):
            total = np.float32(obs.sum())
            action = np.array([np.sin(total), np.cos(total)])
            env_action = np.array([1 + 2 * action[0], 0.25 + 0.25 * action[1]])
            next_obs, reward, terminated, truncated, _ = world.step(env_action)
            rows.append((index, obs, action, reward, terminated, truncated, next_obs))
            obs = next_obs
            if terminated or truncated:
                episode += 1
                obs, _ = world.reset(seed=episode_seed(run_seed, index, episode))
    return rows


@pytest.mark.parametrize("call", [make_foreign_call, make_call_on_copies])
@pytest.mark.parametrize("num_envs", [1, 3])
def test_the_bridge_yields_the_transitions_of_a_plain_loop(num_envs, call, monkeypatch):
    run_seed, transitions = bridge_transitions(num_envs, monkeypatch, call)
    kinds = set()
    for row, (index, *expected) in enumerate(oracle(run_seed, num_envs)):
        got = jax.tree.map(lambda leaf, row=row, index=index: leaf[row % STEPS, index], transitions)
        for field, value, want in zip(got._fields, got, expected, strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-5, atol=1e-5, err_msg=f"{field} of step {row}")
        kinds.add((bool(got.terminated), bool(got.truncated)))
    assert kinds >= {(False, False), (True, False), (False, True), (True, True)}


def test_the_bounds_of_each_dimension_are_reached_exactly():
    env = bridge.from_factory(Scripted)
    low = ddpg_jax.scale_action(-jnp.ones(2), env.spec)
    high = ddpg_jax.scale_action(jnp.ones(2), env.spec)
    np.testing.assert_array_equal(low, np.array([-1.0, 0.0], np.float32))
    np.testing.assert_array_equal(high, np.array([3.0, 0.5], np.float32))
    np.testing.assert_allclose(ddpg_jax.scale_action(jnp.zeros(2), env.spec), [1.0, 0.25])


class Told(Scripted):
    """Says which actions it was given; its bounds are none that their middle and half range give back as float32."""

    LOW, HIGH = np.array([-1.9, -1.9, -1.8]), np.array([0.2, 1.2, 1.4])
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)

    def __init__(self, dtype):
        self.action_space = gymnasium.spaces.Box(self.LOW.astype(dtype), self.HIGH.astype(dtype), dtype=dtype)

    def observe(self):
        return np.zeros(3)

    def step(self, action):
        self.given = action
        return super().step(action)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_environments_are_given_their_bounds_to_the_last_bit(dtype):
    world = Told(dtype)
    env = bridge.from_factory(lambda: world)
    state, _ = env.reset(jax.random.key(0))
    for sign, bound in ((-1, world.action_space.low), (1, world.action_space.high)):
        jax.block_until_ready(jax.jit(env.step)(jax.random.key(1), state, jnp.full((1, 3), sign, jnp.float32)))
        assert world.given.dtype == dtype
        np.testing.assert_array_equal(world.given, bound)


def test_seeds_are_the_same_in_64_bits():
    key, seeds = jax.random.key(3), []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            env = bridge.from_factory(Scripted)
            state, obs = jax.jit(env.reset)(key)
            jax.block_until_ready(jax.jit(env.step)(key, state, jnp.zeros((1, 2))))
            assert env.failure() is None
            seeds.append((int(state.run_seed), state.run_seed.dtype, float(obs[0, 0])))
    assert seeds[0] == seeds[1]


def test_every_episode_has_a_seed_of_its_own():
    seeds = {episode_seed(run, env, episode) for run in range(4) for env in range(4) for episode in range(50)}
    assert len(seeds) == 4 * 4 * 50
    assert all(0 <= seed < 2**31 for seed in seeds)


class Failing(Scripted):
    """Raises at its fifth step."""

    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 5:
            raise RuntimeError("the motor is on fire")
        return super().step(action)


def test_an_exception_is_kept_and_the_loop_comes_back():
    env = bridge.from_factory(Failing)

    def step(carry, _):
        state, obs = carry
        state, obs, timestep = env.step(jax.random.key(0), state, jnp.zeros((1, 2)))
        return (state, obs), timestep.alive

    carry = jax.jit(env.reset)(jax.random.key(0))
    _, alive = jax.jit(lambda carry: jax.lax.scan(step, carry, None, 8))(carry)
    assert alive.tolist() == [True] * 4 + [False] * 4
    message = str(env.failure())
    assert "environment 0 failed in episode" in message
    assert "seed " in message
    assert "of it, on the action [1.0, 0.25]: RuntimeError: the motor is on fire" in message


class FailingReset(Scripted):
    """Cannot start."""

    def reset(self, *, seed=None, options=None):
        raise OSError("no robot attached")


def test_an_exception_in_the_first_reset_is_kept_too():
    env = bridge.from_factory(FailingReset)
    jax.block_until_ready(jax.jit(env.reset)(jax.random.key(0)))
    assert "on its reset: OSError: no robot attached" in str(env.failure())


def test_a_rollout_whose_actions_look_at_nothing_begins_with_a_reset():
    """Nobody reads the first observations, and JAX leaves out what nobody reads."""
    env = bridge.make("Pendulum-v1", 2)

    @jax.jit
    def rollout(key):
        def step(carry, _):
            state, _ = carry
            state, obs, timestep = env.step(key, state, jnp.full((2, 1), 0.5))
            return (state, obs), timestep.reward

        return jax.lax.scan(step, env.reset(key), None, STEPS)[1]

    rewards = rollout(jax.random.key(7))
    assert not env.failure()
    assert np.unique(rewards).size == 2 * STEPS
    rollout(jax.random.key(8))
    np.testing.assert_array_equal(rollout(jax.random.key(7)), rewards)


def test_the_action_given_to_an_environment_is_its_own_to_keep():
    host = Host(Scripted, 1)
    run_seed, number, action = np.uint32(0), np.zeros(1, np.int32), np.ones((1, 2), np.float64)
    host.reset([np.zeros((1, 2), np.float32), np.zeros(1, np.int32)], run_seed)
    ended, alive = np.zeros(1, bool), np.zeros((), bool)
    seen = [np.zeros((1, 2), np.float32) for _ in range(2)]
    host.step([*seen, np.zeros(1, np.float32), ended, ended, alive], run_seed, number, action)
    assert alive, "the environment stepped"
    assert not np.shares_memory(host.envs[0].action, action)


def test_a_thread_of_xla_keeps_its_python_state():
    kept, calls = threading.local(), []

    class Remembering(Scripted):
        def step(self, action):
            calls.append((threading.get_native_id(), hasattr(kept, "mark")))
            kept.mark = True
            return super().step(action)

    env = bridge.from_factory(Remembering)

    def step(carry, _):
        state, obs, matrices = carry
        state, obs, _ = env.step(jax.random.key(0), state, jnp.sin(obs))
        # Products beside the call, large enough for XLA to use threads of its own.
        return (state, obs, [jnp.tanh(matrix @ matrix) for matrix in matrices]), ()

    carry = (*jax.jit(env.reset)(jax.random.key(0)), [jnp.full((300, 300), 0.01)] * 4)
    jax.block_until_ready(jax.jit(lambda carry: jax.lax.scan(step, carry, None, STEPS))(carry))
    fresh = [thread for thread, marked in calls if not marked]
    if {thread for thread, _ in calls} == {threading.get_native_id()}:
        pytest.skip("XLA made every call on the thread that started the program")
    assert len(calls) == STEPS
    assert len(fresh) == len(set(fresh)), "a thread begins once with nothing, and never again"
