"""gymnasium-robotics by id: its goals, its episodes, and what is said where it is missing."""

import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import make_advance

from ddpg_jax import envs
from ddpg_jax.envs.gymnasium import making
from ddpg_jax.envs.gymnasium.goals import read_goal_reward
from ddpg_jax.envs.protocol import EnvError
from ddpg_jax.types import EnvSpec

# Each with what its goals earn at and beyond the distance that counts as reached.
TASKS = {"PointMaze_UMaze-v3": (0.45, 1.0, 0.0), "FetchReach-v4": (0.05, 0.0, -1.0)}


@pytest.fixture
def installed():
    pytest.importorskip("gymnasium_robotics")


@pytest.mark.parametrize("env_id", TASKS)
@pytest.mark.usefixtures("installed")
def test_the_reward_of_its_goals_is_known(env_id):
    limit, reached, missed = TASKS[env_id]
    env = envs.make(env_id)
    assert env.goal_problem == ""
    (size,) = env.spec.obs["desired_goal"].shape
    way = jnp.eye(size)[0] * limit
    goals = jnp.stack([0 * way, 0.999 * way, 1.001 * way, 100 * way])
    assert env.spec.goal_reward(goals, jnp.zeros(size)).tolist() == [reached, reached, missed, missed]
    env.close()


@pytest.mark.parametrize("env_id", TASKS)
@pytest.mark.usefixtures("installed")
def test_its_episodes_come_back_to_the_bit(env_id):
    first, second = envs.make(env_id, 2), envs.make(env_id, 2)
    advance, again = make_advance(first), make_advance(second)
    progress, _ = advance(None, 60)
    saved = first.save(progress.episode_length)
    expected = advance(progress, 30)
    again(None, 7)
    restored = second.restore(progress.state, progress.obs, progress.episode_length, saved)
    assert restored.exact.all(), restored.reason
    chex.assert_trees_all_equal(again(progress._replace(state=restored.state, obs=restored.obs), 30), expected)
    steps = jax.tree.map(lambda *leaves: np.stack(leaves), *expected[1])
    found = first.spec.goal_reward(steps.next_obs["achieved_goal"], steps.next_obs["desired_goal"])
    np.testing.assert_array_equal(found, steps.reward)
    first.close()
    second.close()


# One of each way in which its goal environments write their reward; the others differ in what is handled.
WRITTEN = (
    "FetchPickAndPlaceDense-v4", "HandReach-v3", "HandReachDense-v3", "AntMaze_UMaze-v5", "PointMaze_MediumDense-v3",
    "HandManipulateBlockRotateZ-v1", "HandManipulateEggRotate-v1", "HandManipulateEggDense-v1",
    "HandManipulatePenRotate-v1", "HandManipulatePenDense-v1", "HandManipulateBlock_BooleanTouchSensors-v1",
)  # fmt: skip


@pytest.mark.parametrize("env_id", WRITTEN)
@pytest.mark.usefixtures("installed")
def test_the_reward_of_other_goals_is_its_own(env_id):
    env = making.make_one(env_id)
    space = env.observation_space["desired_goal"]
    struct = jax.ShapeDtypeStruct(space.shape, jnp.float32)
    spec = EnvSpec({"achieved_goal": struct, "desired_goal": struct}, -np.ones(1), np.ones(1))
    reward, problem = read_goal_reward(env, spec)
    assert problem == ""
    rng = np.random.default_rng(1)
    desired = rng.normal(size=(200, *space.shape))
    if env_id.startswith("HandManipulate"):  # a place and a rotation
        desired[:, 3:] /= np.linalg.norm(desired[:, 3:], axis=1, keepdims=True)
    achieved = desired + rng.normal(size=desired.shape) * np.geomspace(1e-3, 1, 200)[:, None]
    wanted = [env.unwrapped.compute_reward(*pair, {}) for pair in zip(achieved.copy(), desired.copy(), strict=True)]
    np.testing.assert_allclose(jax.jit(reward)(achieved, desired), wanted, rtol=2e-3, atol=2e-3)
    assert len(set(np.round(wanted, 3).tolist())) > 1
    env.close()


@pytest.mark.usefixtures("installed")
def test_it_is_known_by_id_and_comes_in_silence():
    program = """
from ddpg_jax import envs
assert envs.registered("FetchReach-v4") and not envs.registered("FetchReech-v4")
env = envs.make("PointMaze_UMaze-v3", timeout=30) if __name__ == "__main__" else None
if env:
    env.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_module_in_an_id_is_never_imported():
    assert not envs.registered("gymnasium_robotics:FetchReach-v4")
    assert not envs.registered("Fetch_module:FetchReach-v4")


def test_where_it_is_missing_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    for env_id in ("FetchNowhere-v4", "PointMaze_Nowhere-v3"):
        with pytest.raises(EnvError, match=rf"{env_id}' needs gymnasium-robotics: pip install 'ddpg_jax\[robotics\]'"):
            envs.make(env_id)
        assert not envs.registered(env_id)


def test_other_ids_import_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(EnvError, match="'Pendulumm-v1' cannot be made"):
        envs.make("Pendulumm-v1")


def test_an_assertion_without_words_is_not_all_that_is_said(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(making.gymnasium, "make", refuse)
    monkeypatch.setattr(making, "register_suite", lambda env_id: None)
    with pytest.raises(EnvError, match=r"'FetchReach-v4' cannot be made; it may need another mujoco: pip install"):
        making.make_one("FetchReach-v4")
    with pytest.raises(
        EnvError, match=r"'Other-v0' cannot be made: AssertionError in line \d+ of .*raise AssertionError"
    ):
        making.make_one("Other-v0")
