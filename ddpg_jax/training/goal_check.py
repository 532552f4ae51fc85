"""Whether the reward of other goals is that of the steps that were taken."""

import dataclasses
from typing import Any

import jax
import numpy as np

from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import ReplayState, make_replay
from ddpg_jax.types import ACHIEVED, DESIRED, EnvSpec

# Environment steps after which it is asked, and steps that are drawn for it.
FIRST_STEPS, DRAWN = 1_000, 2_000
# Relative and absolute difference between two rewards that count as equal.
TOLERANCE = 1e-3


def reward_difference(spec: EnvSpec, config: ReplayConfig, num_envs: int, memory: ReplayState) -> str:
    """How `spec.goal_reward` departs from the rewards in a memory of goals, in words; "" where it does not.

    An environment's reward may read more than its two goals, such as a collision, and only a step shows that.

    Args:
        spec: the environment's spaces.
        config: of the memory.
        num_envs: environments N.
        memory: with steps in it.
    """
    # The same rows, each step by itself and with its own goal.
    size = min(DRAWN, config.capacity)
    plain = dataclasses.replace(
        config, batch_size=size, sampling="uniform", hindsight_ratio=0.0, n_step=1, discount=1.0
    )
    sample = jax.jit(make_replay(spec, plain, num_envs).sample)(jax.random.key(0), memory)
    batch, indices = jax.tree.map(np.asarray, (sample.batch, sample.indices))
    # A compact memory has a step's own observation where it has lost the one after it.
    stays = (batch.next_obs[ACHIEVED] == batch.obs[ACHIEVED]).all(axis=1)
    unusable = (batch.weight == 0) | (stays & (batch.discount == 0) & config.compact)
    rows = np.setdiff1d(np.unique(indices, return_index=True)[1], np.flatnonzero(unusable))
    reward: Any = spec.goal_reward
    traced = np.asarray(jax.jit(reward)(*(batch.next_obs[name][rows] for name in (ACHIEVED, DESIRED))))
    given = batch.reward[rows]
    differs = ~np.isclose(traced, given, TOLERANCE, TOLERANCE)
    if not differs.any():
        return ""
    first = int(differs.argmax())
    return (
        f"the reward that hindsight takes for other goals is not that of {differs.sum():,} of the {differs.size:,} "
        f"first steps: it gives {traced[first]:g} where the environment gave {given[first]:g}; what is read beside the "
        "two goals (a collision, say) is missing in steps that are seen with another goal: leave it out of the reward, "
        "or choose replay.hindsight 'none'"
    )
