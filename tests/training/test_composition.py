"""Options compose: every pair of them trains."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from worlds import goal_world

from ddpg_jax import Config, DDPGConfig, ReplayConfig, TrainConfig, make_trainer

STEPS = 200
SMALL = Config(
    agent=DDPGConfig(hidden_sizes=(8,), normalization="none", actor_lr=1e-3),
    replay=ReplayConfig(capacity=150, batch_size=8),
    train=TrainConfig(total_steps=STEPS, start_steps=0, update_after=1, log_every=STEPS),
)
OPTIONS = {
    "TD3": {"agent": {"num_critics": 2, "policy_delay": 2, "target_noise": 0.2}},
    "prioritized": {"replay": {"sampling": "prioritized", "importance_steps": 100}},
    "3-step": {"replay": {"n_step": 3}},
    "hindsight": {"replay": {"hindsight": "future"}},
    "compact": {"replay": {"compact": True}},
    "parameter noise": {"exploration": {"parameter_noise": 0.2}},
    "OU": {"exploration": {"kind": "ou", "stddev": 0.3}},
    "BatchNorm": {"agent": {"normalization": "batch"}},
    "normalized observations": {"agent": {"normalize_obs": True}},
    "Huber": {"agent": {"critic_loss": "huber"}},
    "hard targets": {"agent": {"tau": 1.0, "target_period": 7}},
    "categorical": {"agent": {"num_atoms": 11, "value_min": -20.0, "value_max": 1.0}},
    "3 environments": {"train": {"num_envs": 3}},
}


def with_options(config: Config, *options: dict) -> Config:
    """The settings with each option's changes."""
    for section, changes in itertools.chain.from_iterable(option.items() for option in options):
        config = dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **changes)})
    return config


def run(config):
    """The first runner, the last, and the rows of all steps."""
    trainer = make_trainer(goal_world(config.train.num_envs), config)
    runner, rows = trainer.init(jax.random.key(0)), []
    begun = jax.tree.map(np.asarray, runner)
    while int(runner.step) < STEPS:
        runner, metrics = trainer.run(jax.random.key(1), runner)
        rows.append(jax.tree.map(np.asarray, metrics))
    return begun, jax.tree.map(np.asarray, runner), rows


@pytest.fixture(autouse=True, scope="module")
def _quick_to_compile():
    """So many programs of a few steps are mostly compiled: with fewer of XLA's optimisations, in half the time."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def assert_trains(config):
    """It runs to the end, everything stays finite, and all that learns and all that follows it moves."""
    begun, runner, rows = run(config)
    assert int(runner.fault) == 0
    assert int(runner.step) >= STEPS
    assert int(runner.agent.skipped.total) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(runner) if np.issubdtype(leaf.dtype, np.floating))
    for tree in ("params", "target_params"):
        for name in ("actor", "critic"):
            before, after = (getattr(getattr(state.agent, tree), name)["params"] for state in (begun, runner))
            moved = jax.tree.map(lambda one, other: np.any(one != other), before, after)
            assert all(jax.tree.leaves(moved)), (tree, name, moved)
    updates = np.concatenate([row.update.critic_loss for row in rows])
    assert np.isfinite(updates).sum() == int(runner.agent.step) > 0


@pytest.mark.options
@pytest.mark.parametrize("pair", list(itertools.combinations(OPTIONS, 2)), ids=" and ".join)
def test_every_pair_trains(pair):
    assert_trains(with_options(SMALL, *map(OPTIONS.get, pair)))


@pytest.mark.parametrize("but", ["prioritized", "BatchNorm", "hindsight"])
def test_all_at_once_train_but_one(but):
    """Every pair stands in one of these, too, in a tenth of the time."""
    assert_trains(with_options(SMALL, *[option for name, option in OPTIONS.items() if name != but]))
