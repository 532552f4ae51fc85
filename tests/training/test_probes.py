"""Worlds whose values are known: learned Q must be within 5 % of the truth, in 32 bits and in 64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import probe

from ddpg_jax import Config, DDPGConfig, ExplorationConfig, ReplayConfig, TrainConfig, make_trainer, mlp_networks

GAMMA = 0.9
CONFIG = Config(
    agent=DDPGConfig(
        hidden_sizes=(64, 64), normalization="none", actor_lr=1e-3, critic_lr=3e-3, lr_decay_updates=4_000, tau=0.05
    ),
    replay=ReplayConfig(capacity=2_000, batch_size=64, discount=GAMMA),
    exploration=ExplorationConfig(kind="uniform"),
    train=TrainConfig(total_steps=4_000, start_steps=0, update_after=1, log_every=4_000),
)


@pytest.fixture(params=[False, True], ids=["32 bits", "64 bits"], autouse=True)
def bits(request):
    with jax.enable_x64(request.param):
        yield


def learned(env, config=CONFIG):
    """Functions of (obs) after training: the policy's action, and Q at that action or another."""
    trainer = make_trainer(env, config)
    runner = trainer.init(jax.random.key(3))
    while int(runner.step) < config.train.total_steps:
        runner, _ = trainer.run(jax.random.key(4), runner)
    networks, params = mlp_networks(env.spec, config.agent), runner.agent.params

    def policy(obs):
        return float(trainer.agent.act(params.actor, jnp.array([obs]))[0])

    def value(obs, action=None):
        action = policy(obs) if action is None else action
        critic = jax.tree.map(lambda leaf: leaf[0], params.critic)
        return float(networks.critic.apply(critic, jnp.array([obs]), jnp.array([action])))

    return policy, value


def test_a_constant_reward_is_its_own_value():
    _, value = learned(probe(lambda obs, action: jnp.ones_like(obs))())
    assert value(0.0) == pytest.approx(1.0, rel=0.05)


def test_the_value_follows_the_observation():
    _, value = learned(probe(lambda obs, action: obs, obs=lambda time, sign: sign)())
    assert value(1.0) == pytest.approx(1.0, rel=0.05)
    assert value(-1.0) == pytest.approx(-1.0, rel=0.05)


def test_a_later_reward_is_discounted_once():
    _, value = learned(probe(lambda obs, action: obs, length=2, obs=lambda time, sign: time)())
    assert value(1.0) == pytest.approx(1.0, rel=0.05)
    assert value(0.0) == pytest.approx(GAMMA, rel=0.05)


def test_the_best_action_is_found():
    policy, value = learned(probe(lambda obs, action: 2 - 2 * (action - 0.5) ** 2)())
    assert policy(0.0) == pytest.approx(0.5, abs=0.05)
    assert value(0.0) == pytest.approx(2.0, rel=0.05)
    assert value(0.0, 0.0) == pytest.approx(1.5, rel=0.05)


def test_the_best_action_follows_the_observation():
    world = probe(lambda obs, action: 2 - 2 * (action - 0.5 * obs) ** 2, obs=lambda time, sign: sign)
    policy, value = learned(world())
    for obs in (-1.0, 1.0):
        assert policy(obs) == pytest.approx(0.5 * obs, abs=0.07)
        assert value(obs) == pytest.approx(2.0, rel=0.05)


def test_a_time_limit_does_not_end_the_value():
    _, value = learned(probe(lambda obs, action: jnp.ones_like(obs), length=3, truncates=True)())
    assert value(0.0) == pytest.approx(1 / (1 - GAMMA), rel=0.05)


def test_termination_does():
    _, value = learned(probe(lambda obs, action: jnp.ones_like(obs), length=3, obs=lambda time, sign: time)())
    truth = [1 + GAMMA + GAMMA**2, 1 + GAMMA, 1]
    np.testing.assert_allclose([value(float(time)) for time in range(3)], truth, rtol=0.05)
