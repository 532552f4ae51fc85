import jax
import numpy as np
import pytest
from replay_oracle import SPEC as GOAL_SPEC
from replay_oracle import World

from ddpg_jax import ConfigError, EnvSpec, ReplayConfig, make_demonstrations
from ddpg_jax.replay.demonstrations import check_amount, in_columns, missing_successors
from ddpg_jax.types import named_leaves

SPEC = EnvSpec(jax.ShapeDtypeStruct((2,), np.float32), np.array([-1.0, 0.0]), np.array([3.0, 0.5]))


def arrays(**changes):
    """Five steps by hand: 0 to 1 to 2, where the task ends; then 5 to 6, and 8 to 9."""
    obs, after = (
        np.repeat(np.array(numbers, np.float64)[:, None], 2, 1) for numbers in ([0, 1, 2, 5, 8], [1, 2, 3, 6, 9])
    )
    flags = {"terminated": np.array([0, 0, 1, 0, 0], bool), "truncated": np.zeros(5, bool)}
    action = np.array([[-1, 0], [3, 0.5], [1, 0.25], [2, 0.125], [0, 0.5]])
    return {"obs": obs, "action": action, "reward": np.arange(5.0), "next_obs": after, **flags} | changes


def without(name):
    return {key: array for key, array in arrays().items() if key != name}


def test_actions_come_to_our_unit_and_steps_are_cut_where_they_do_not_follow():
    steps = make_demonstrations(arrays(), SPEC)
    np.testing.assert_allclose(steps.action, [[-1, -1], [1, 1], [0, 0], [0.5, -0.5], [-0.5, 1]])
    assert steps.terminated.tolist() == [False, False, True, False, False]
    assert steps.truncated.tolist() == [False, False, False, True, True]
    assert {leaf.dtype.name for leaf in steps} == {"float32", "bool"}


@pytest.mark.parametrize(("shape", "flat"), [((5,), 1), ((5, 2, 2), 4)])
def test_a_single_number_as_an_action_and_a_table_are_flattened(shape, flat):
    spec = EnvSpec(SPEC.obs, np.full(flat, -1.0), np.ones(flat))
    steps = make_demonstrations(arrays(action=np.zeros(shape)), spec)
    assert steps.action.shape == (5, flat)


def test_integers_that_do_not_fit_are_refused():
    spec = SPEC._replace(obs=jax.ShapeDtypeStruct((2,), np.uint8))
    pictures = np.full((5, 2), 300, np.uint16)
    with pytest.raises(ConfigError, match="obs of step 0 is no finite uint8"):
        make_demonstrations(arrays(obs=pictures, next_obs=pictures // 2), spec)


def test_rounding_beyond_a_bound_is_clipped():
    action = arrays()["action"]
    action[1, 0] += 1e-5
    assert make_demonstrations(arrays(action=action), SPEC).action.max() == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            without("truncated"),
            "demonstrations lack truncated; they must be obs, action, reward, terminated, truncated",
        ),
        ({}, "demonstrations lack obs, action, reward, terminated, truncated, next_obs; they must be"),
        (arrays(rewards=1), "demonstrations have the unknown array 'rewards'; they must be obs, action"),
        (arrays(obs=[[0, 0], [1]]), "obs is no array; give all steps the same shape"),
        (arrays(obs=np.zeros((5, 3))), r"obs has shape \(5, 3\), and must have \('T', 2\), T as of reward"),
        (arrays(next_obs=np.zeros((4, 2))), r"next_obs has shape \(4, 2\)"),
        (arrays(reward=np.float32(1)), r"reward has shape \(\), and must have \('T',\)"),
        (arrays(terminated=np.zeros(5)), "terminated holds float64, and must hold bool"),
        (arrays(obs=np.full((5, 2), "a")), "obs holds <U1, and must hold float32"),
        (arrays(reward=np.array([0, 1, np.nan, 3, 4])), "reward of step 2 is no finite float32"),
        (arrays(obs=np.full((5, 2), 1e39)), "obs of step 0 is no finite float32"),
        (arrays(action=np.zeros(5)), r"action has shape \(5, 1\), and must have \('T', 2\)"),
        (arrays(action=np.array([[0, 0], [0, 0.6]] + 3 * [[0, 0]])), r"action of step 1, \[0.0, 0.6\], is out of the"),
    ],
)
def test_what_does_not_fit_is_named(given, message):
    with pytest.raises(ConfigError, match=message):
        make_demonstrations(given, SPEC)


def test_every_problem_is_told_at_once():
    with pytest.raises(ConfigError, match=r"(?s)obs has shape .*\n.*terminated holds"):
        make_demonstrations(arrays(obs=np.zeros(5), terminated=np.zeros(5)), SPEC)


def test_parts_of_an_observation_keep_their_dtypes():
    world = World(1)
    recorded = [world.step([end]) for end in "..T.C.."]
    steps = jax.tree.map(lambda *leaves: np.concatenate(leaves), *recorded)
    made = make_demonstrations(named_leaves(steps), GOAL_SPEC)
    assert made.obs["image"].dtype == np.uint8
    assert made.truncated.tolist() == [False, False, False, False, True, False, True]
    assert made.terminated.tolist() == [False, False, True, False, False, False, False]


def test_columns_are_stretches_that_end_truncated():
    columns = in_columns(make_demonstrations(arrays(), SPEC), num_envs=2)
    assert columns.reward.tolist() == [[0, 2], [1, 3]]
    assert columns.truncated.tolist() == [[False, False], [True, True]]
    assert columns.terminated.tolist() == [[False, True], [False, False]]
    ends = in_columns(make_demonstrations(arrays(), SPEC), num_envs=1)
    assert ends.truncated[:, 0].tolist() == [False, False, False, True, True]


@pytest.mark.parametrize(("num_envs", "capacity"), [(6, 100), (1, 4), (2, 3)])
def test_too_few_and_too_many_are_refused(num_envs, capacity):
    with pytest.raises(ConfigError, match=f"hold 5 transitions, and must hold at least train.num_envs = {num_envs}"):
        check_amount(make_demonstrations(arrays(), SPEC), num_envs, ReplayConfig(capacity=capacity, batch_size=1))


def test_none_at_all_are_refused():
    none = make_demonstrations({name: array[:0] for name, array in arrays().items()}, SPEC)
    with pytest.raises(ConfigError, match="hold 0 transitions"):
        check_amount(none, 1, ReplayConfig())


def test_compact_storage_refuses_what_it_could_not_keep():
    shuffled = np.random.default_rng(0).permutation(100)
    obs = np.stack([shuffled, shuffled], 1) * 1.0
    never = np.zeros(100, bool)
    walk = {"obs": obs, "next_obs": obs + 1, "action": np.ones((100, 2)) * 0.1, "reward": np.zeros(100)}
    steps = make_demonstrations({**walk, "terminated": never, "truncated": never}, SPEC)
    check_amount(steps, 1, ReplayConfig(capacity=100, batch_size=1))
    with pytest.raises(ConfigError, match=r"are cut at \d+ steps whose successors replay.compact could not keep"):
        check_amount(steps, 1, ReplayConfig(capacity=100, batch_size=1, compact=True))


def test_a_successor_is_lost_by_the_ends_after_it_in_its_own_column():
    # Two environments: where the task ended no successor is needed, unless other goals are asked for.
    column = {"terminated": [[0, 1], [1, 1], [0, 1], [0, 0]], "truncated": [[1, 0], [0, 0], [1, 0], [1, 1]]}
    columns = make_demonstrations(arrays(), SPEC)._replace(**{k: np.array(v, bool) for k, v in column.items()})
    assert [missing_successors(columns, kept, keep_terminal=True) for kept in (1, 2, 3, 4)] == [2, 1, 1, 0]
    assert [missing_successors(columns, kept) for kept in (1, 2, 3)] == [2, 1, 0]
