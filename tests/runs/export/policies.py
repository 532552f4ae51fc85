"""Policies to export, and what an exported one must be."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

import ddpg_jax as dj
from ddpg_jax.runs.export.observations import draw_observations
from ddpg_jax.runs.policy import Policy


def make_policy(spaces, seed=0, **settings):
    """A policy of random numbers in every array, so that its actions fill the bounds."""
    config = dj.DDPGConfig(hidden_sizes=(16, 8), **settings)
    agent = dj.ddpg(spaces.spec, config)
    rng, like = np.random.default_rng(seed), jax.eval_shape(agent.init, jax.random.key(0)).params.actor
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype), like)
    # Statistics are of something that varies.
    for statistics in params.keys() - {"params"}:
        params[statistics] = jax.tree.map(lambda leaf: 0.5 + jnp.abs(leaf), params[statistics])
    return Policy(spaces.spec, agent, params, 7), config


def act_of(policy):
    """The agent's own actions, in the environment's unit."""
    agent = jax.jit(policy.agent.act)
    return lambda obs: np.asarray(dj.scale_action(agent(policy.params, obs), policy.spec))


def assert_is(act, policy, spaces):
    """Actions, for some batch sizes, within 1e-5 of half the action range."""
    agent, half = act_of(policy), (policy.spec.action_high - policy.spec.action_low) / 2
    for batch in (1, 7, 10_000):
        obs = draw_observations(np.random.default_rng(batch), spaces, batch)
        action = np.asarray(act(obs))
        assert (action.shape, action.dtype) == ((batch, *spaces.action_shape), np.float32)
        assert np.abs((action.reshape(batch, -1) - agent(obs)) / half).max() <= 1e-5


def elsewhere(folder, blocked, program):
    """What a program prints in another process, in a folder, where packages cannot be imported."""
    block = f"import sys; sys.modules.update(dict.fromkeys({blocked}))"
    command = [sys.executable, "-I", "-c", block + "\n" + "sys.path.insert(0, '.')" + "\n" + program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))
