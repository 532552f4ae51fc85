"""Options that are off cost nothing: the program of a plain update has the operations it had before there were any."""

import collections
import dataclasses
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ddpg_jax import Batch, DDPGConfig, EnvSpec, ddpg, find_preset

# Counted before Huber's loss, distributions, BatchNorm, normalisation and the others were written; less the second norm
# of each gradient, which clipping took again, and which was left out since with nothing else.
COUNTS = json.loads((pathlib.Path(__file__).parent / "plain_update.json").read_text())
CONFIGS = {
    "default": DDPGConfig(),
    "pendulum": find_preset("pendulum").config.agent,
    "td3": find_preset("td3_repository").config.agent,
}
SPEC = EnvSpec(jax.ShapeDtypeStruct((3,), jnp.float32), np.array([-2.0]), np.array([2.0]))


def operations(config):
    """How often each operation occurs in the update's program, before XLA optimises it."""
    agent = ddpg(SPEC, dataclasses.replace(config, kernels="xla"))
    rows = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((64, 3), (64, 1), (64,), (64,), (64, 3), (64,))]
    state = jax.eval_shape(agent.init, jax.random.key(0))
    text = jax.jit(agent.update).lower(jax.random.key(0), state, Batch(*rows)).as_text()
    return collections.Counter(re.findall(r"= \"?(stablehlo\.\w+|call)", text))


@pytest.mark.skipif(not jax.__version__.startswith("0.10."), reason="JAX's own operations were counted on 0.10")
@pytest.mark.parametrize("name", CONFIGS)
def test_a_plain_update_has_the_operations_it_had(name):
    assert operations(CONFIGS[name]) == COUNTS[name]


@pytest.mark.parametrize("option", [{"critic_loss": "huber"}, {"num_atoms": 11}, {"normalize_obs": True}])
def test_an_option_that_is_on_is_seen(option):
    assert operations(DDPGConfig(**option)) != COUNTS["default"]
