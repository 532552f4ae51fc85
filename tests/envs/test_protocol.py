import itertools
import sys

import chex
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Reach, Scripted, Seeing, goal_world, make_advance, probe

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import bridge
from ddpg_jax.envs.protocol import bounds_problem

WORLDS = {
    "gymnasium": lambda n: envs.make("Pendulum-v1", n),
    "gymnax": lambda n: envs.make("gymnax/Pendulum-v1", n),
    "scripted": lambda n: bridge.from_factory(Scripted, n),
    "probe": probe(lambda obs, action: action, length=4),
    "dict": lambda n: bridge.from_factory(Seeing, n),
    "goals": lambda n: bridge.from_factory(Reach, n),
    "compiled goals": goal_world,
}


@pytest.fixture(params=[(name, n) for name in WORLDS for n in (1, 3)], ids=lambda param: f"{param[0]}-{param[1]}")
def env(request):
    name, num_envs = request.param
    env = WORLDS[name](num_envs)
    yield env
    env.close()


def rollout(env, num_steps=450):
    """Observations `[T, N, O]`, what was chosen on, and timesteps of random actions."""

    def step(carry, key):
        state, obs = carry
        action = jax.random.uniform(key, (env.num_envs, env.spec.action_dim), minval=-1, maxval=1)
        state, next_choice, timestep = env.step(key, state, action)
        return (state, next_choice), (obs, next_choice, timestep)

    carry = jax.jit(env.reset)(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), num_steps)
    return jax.device_get(jax.jit(lambda carry: jax.lax.scan(step, carry, keys)[1])(carry))


def test_every_world_keeps_the_contract(env):
    obs, choice, timestep = rollout(env)
    n = env.num_envs
    leads = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((450, n, *leaf.shape), leaf.dtype), env.spec.obs)
    chex.assert_trees_all_equal_shapes_and_dtypes(obs, choice, timestep.next_obs, leads)
    assert timestep.reward.shape == timestep.terminated.shape == timestep.truncated.shape == (450, n)
    assert timestep.reward.dtype == np.float32
    assert timestep.terminated.dtype == bool
    assert timestep.alive.all()
    ended = timestep.terminated | timestep.truncated
    assert ended.any(axis=0).all()
    # Where the episode goes on, the next action is chosen on the successor; and each choice is the next obs.
    chex.assert_trees_all_equal(
        *(jax.tree.map(lambda leaf: leaf[~ended], tree) for tree in (choice, timestep.next_obs))
    )
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[:-1], choice), jax.tree.map(lambda leaf: leaf[1:], obs))
    assert env.failure() is None


def test_the_successor_of_a_last_step_is_not_the_first_observation_of_the_next_episode():
    for name in ("gymnasium", "gymnax", "scripted"):
        env = WORLDS[name](1)
        _, choice, timestep = rollout(env)
        ended = timestep.terminated | timestep.truncated
        assert not np.isclose(choice[ended], timestep.next_obs[ended]).all(axis=-1).any(), name


def test_a_time_limit_is_truncation_in_both_pendulums():
    for name in ("gymnasium", "gymnax"):
        _, _, timestep = rollout(WORLDS[name](1))
        assert not timestep.terminated.any()
        assert np.flatnonzero(timestep.truncated[:, 0]).tolist() == [199, 399]


def test_gymnax_and_gymnasium_pendulum_agree_on_the_bounds():
    chex.assert_trees_all_equal(WORLDS["gymnasium"](1).spec, WORLDS["gymnax"](1).spec)


def test_a_bridged_and_a_compiled_goal_world_agree_on_everything_but_their_function():
    one, other = (WORLDS[name](1).spec._replace(goal_reward=None) for name in ("goals", "compiled goals"))
    chex.assert_trees_all_equal(one, other)


def test_the_parts_of_a_dict_are_handed_through_to_the_bit():
    obs, _, timestep = rollout(WORLDS["dict"](2), 40)
    time, who, camera = obs["joints"]["time"], obs["joints"]["who"], obs["camera"]
    assert (who.sum(axis=-1) == 1).all()
    number = who.argmax(axis=-1)
    first = camera[..., 0, 0, 0].astype(int) - time  # the episode, modulo 256
    begins = np.flatnonzero(time[:, 0] == 0)
    assert len(begins) > 5
    assert (camera == camera[..., :1, :1, :]).all()
    for start, end in itertools.pairwise(begins):
        np.testing.assert_array_equal(time[start:end, 0], np.arange(end - start))
        assert len({*number[start:end, 0]}) == len({*(first[start:end, 0] % 256)}) == 1
        assert timestep.next_obs["joints"]["time"][end - 1, 0] == end - start


@pytest.mark.parametrize(
    ("low", "high"), [([-np.inf], [1.0]), ([1.0], [-1.0]), ([0.0], [0.0]), ([np.nan], [1.0]), ([-1.0], [np.inf])]
)
def test_bounds_that_cannot_be_mapped_are_named(low, high):
    problem = bounds_problem(np.array(low), np.array(high))
    assert problem.startswith("action dimension 0 has bounds [")
    assert problem.endswith("finite with low < high in float32; give its action space other bounds")


def test_finite_bounds_are_fine():
    assert bounds_problem(np.array([-1.0, 0.0]), np.array([3.0, 0.5])) is None


def test_unknown_ids_are_refused_with_a_reason():
    with pytest.raises(envs.EnvError, match=r"gymnax has no environment 'Nope'"):
        envs.make("gymnax/Nope")
    with pytest.raises(envs.EnvError, match=r"'Pendulumm-v1' cannot be made"):
        envs.make("Pendulumm-v1")
    with pytest.raises(envs.EnvError, match="Discrete"):
        envs.make("gymnax/CartPole-v1")


def test_a_time_limit_for_what_cannot_hang_is_refused():
    with pytest.raises(envs.EnvError, match=r"is stepped by its suite: leave env_timeout unset \(it is 2\.5\)"):
        envs.make("gymnax/Pendulum-v1", timeout=2.5)


def test_every_world_can_be_saved_and_restored(env):
    advance = make_advance(env)
    progress, _ = advance(None, 6)
    saved = env.save(progress.episode_length)
    assert isinstance(saved, bytes)
    expected = advance(progress, 20)
    restored = env.restore(progress.state, progress.obs, progress.episode_length, saved, [])
    assert restored.exact.tolist() == [True] * env.num_envs
    assert restored.exact.dtype == bool
    assert restored.reason == ""
    chex.assert_trees_all_equal(advance(progress._replace(state=restored.state, obs=restored.obs), 20), expected)


@pytest.mark.parametrize(
    ("env_id", "known"),
    [
        ("Pendulum-v1", True),
        ("gymnax/Pendulum-v1", True),
        ("Pendulumm-v1", False),
        ("gymnax/Nope", False),
        ("gymnax/this:Pendulum-v1", False),
        ("marker_module:Pendulum-v1", False),
        ("", False),
    ],
)
def test_only_ids_that_import_nothing_are_registered(env_id, known, tmp_path, monkeypatch):
    (tmp_path / "marker_module.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    # Gymnasium lets such a name be registered, and imports the module all the same.
    monkeypatch.setitem(gymnasium.registry, "marker_module:Pendulum-v1", gymnasium.spec("Pendulum-v1"))
    assert envs.registered(env_id) is known
    assert "marker_module" not in sys.modules


def test_float64_observations_are_cast_once_to_the_learners_dtype():
    env = WORLDS["scripted"](1)
    assert env.spec.obs.dtype == jnp.float32
