"""Every option, and ten combinations, on worlds whose values are known: learned Q and actions must be right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_composition import OPTIONS, with_options
from worlds import probe

from ddpg_jax import (
    Config,
    DDPGConfig,
    Env,
    EnvSpec,
    ExplorationConfig,
    ReplayConfig,
    Timestep,
    TrainConfig,
    make_trainer,
)

pytestmark = pytest.mark.options
GAMMA = 0.9
CONFIG = Config(
    agent=DDPGConfig(
        hidden_sizes=(64, 64), normalization="none", actor_lr=1e-3, critic_lr=3e-3, lr_decay_updates=4_000, tau=0.05
    ),
    replay=ReplayConfig(capacity=2_000, batch_size=64, discount=GAMMA),
    # Wide enough to see all actions; random ones would leave what is to be tested of the others out.
    exploration=ExplorationConfig(stddev=1.0),
    train=TrainConfig(total_steps=4_000, start_steps=500, update_after=1, log_every=4_000),
)
# As in the table of pairs, with the range that the values of these worlds have, and noise that sees all actions.
TUNED = {
    "categorical": {"agent": {"num_atoms": 51, "value_min": -2.0, "value_max": 12.0}},
    "hard targets": {"agent": {"tau": 1.0, "target_period": 20}},
    "OU": {"exploration": {"kind": "ou", "stddev": 0.7}},
    "3 environments": {"train": {"num_envs": 3, "updates_per_step": 3}},
    "normalized rewards": {"agent": {"normalize_reward": True}},
    "REDQ": {"agent": {"num_critics": 4, "target_subset": 2}},
    "final": {"replay": {"hindsight": "final"}},
    "smoothing": {"exploration": {"smoothing": 0.3}},
    "mean of critics": {"agent": {"num_critics": 2, "target_reduction": "mean"}},
}
SETTINGS = {**OPTIONS, **TUNED}
GOALS = ("hindsight", "final")
COMBINATIONS = [
    ("TD3", "prioritized", "3-step"),
    ("prioritized", "3-step", "categorical"),
    ("TD3", "categorical", "normalized observations"),
    ("BatchNorm", "prioritized", "OU"),
    ("compact", "3-step", "3 environments"),
    ("parameter noise", "Huber", "hard targets"),
    ("REDQ", "compact", "normalized rewards"),
    ("hindsight", "TD3", "3 environments"),
    ("hindsight", "prioritized", "compact", "normalized observations"),
    ("hindsight", "3-step", "categorical", "Huber"),
]
ALONE = [(name,) for name in SETTINGS]


def configure(names):
    return with_options(CONFIG, *[SETTINGS[name] for name in names])


def goals_in_one_step(num_envs: int = 1) -> Env:
    """Where one goes is where one is, and the episode over: reward 0 within 0.25 of the goal, -1 elsewhere."""
    point = jax.ShapeDtypeStruct((1,), jnp.float32)

    def goal_reward(achieved, desired):
        return -(jnp.abs(achieved - desired)[..., 0] > 0.25).astype(jnp.float32)

    def observe(place, goal):
        return {"observation": jnp.zeros_like(place), "achieved_goal": place, "desired_goal": goal}

    def reset(key):
        goal = jax.random.uniform(key, (num_envs, 1), minval=-0.7, maxval=0.7)
        return goal, observe(jnp.zeros_like(goal), goal)

    def step(key, goal, action):
        begun, obs = reset(key)
        over = jnp.ones(num_envs, bool)
        timestep = Timestep(goal_reward(action, goal), over, ~over, observe(action, goal), jnp.bool_(True))
        return begun, obs, timestep

    obs = dict.fromkeys(("observation", "achieved_goal", "desired_goal"), point)
    return Env(EnvSpec(obs, -np.ones(1), np.ones(1), goal_reward), num_envs, reset, step)


def learned(make, config):
    """Functions of observations after training: the policy's actions, and Q of an action there."""
    trainer = make_trainer(make(config.train.num_envs), config)
    runner = trainer.init(jax.random.key(3))
    while int(runner.step) < config.train.total_steps:
        runner, _ = trainer.run(jax.random.key(4), runner)
    params = runner.agent.params

    def policy(obs):
        return np.asarray(trainer.agent.act(params.actor, obs))[:, 0]

    def value(obs, action):
        return np.asarray(trainer.agent.q_values(params.critic, obs, jnp.asarray(action)[:, None]))[0]

    return policy, value


@pytest.mark.parametrize("names", [*ALONE, *COMBINATIONS], ids=" and ".join)
def test_the_best_action_and_its_value_are_found(names):
    if set(names) & set(GOALS):
        policy, value = learned(goals_in_one_step, configure(names))
        goals = jnp.linspace(-0.6, 0.6, 5)[:, None]
        obs = {"observation": jnp.zeros((5, 1)), "achieved_goal": jnp.zeros((5, 1)), "desired_goal": goals}
        assert np.abs(policy(obs) - goals[:, 0]).max() < 0.25, "all that near is as good"
        np.testing.assert_allclose(value(obs, goals[:, 0]), 0, atol=0.15)
        np.testing.assert_allclose(value(obs, goals[:, 0] - jnp.sign(goals[:, 0] + 0.01)), -1, atol=0.15)
        return
    world = probe(lambda obs, action: 2 - 2 * (action - 0.5 * obs) ** 2, obs=lambda time, sign: sign)
    policy, value = learned(world, configure(names))
    obs = jnp.array([[-1.0], [1.0]])
    np.testing.assert_allclose(policy(obs), [-0.5, 0.5], atol=0.1)
    np.testing.assert_allclose(value(obs, policy(obs)), 2.0, rtol=0.07)


# What changes the target, or what is stored and drawn, must not end a value at a time limit.
BOOTSTRAPPED = [names for names in [*ALONE, *COMBINATIONS] if not set(names) & {*GOALS, "smoothing", "OU"}]


@pytest.mark.parametrize("names", BOOTSTRAPPED, ids=" and ".join)
def test_a_time_limit_does_not_end_the_value(names):
    world = probe(lambda obs, action: jnp.ones_like(obs), length=3, truncates=True)
    _, value = learned(world, configure(names))
    np.testing.assert_allclose(value(jnp.zeros((1, 1)), jnp.zeros(1)), 1 / (1 - GAMMA), rtol=0.07)
