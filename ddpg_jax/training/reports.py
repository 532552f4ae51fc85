"""What the steps of a chunk report, one row each."""

import jax
import jax.numpy as jnp

from ddpg_jax.agent.state import UpdateInfo
from ddpg_jax.envs.protocol import Timestep
from ddpg_jax.packing import Packing, Rows, make_packing
from ddpg_jax.training.learner import no_update
from ddpg_jax.training.runner import Metrics, Runner
from ddpg_jax.types import Array


def count_step(runner: Runner, timestep: Timestep, healthy: Array, info: UpdateInfo) -> tuple[Runner, Metrics]:
    """Count a step and the episodes that ended in it, if it was healthy, and report it.

    The step is counted outside of the loop's condition, where each scalar would come out by a kernel of its own. Of
    more than eight kernels that are ready XLA gives some to another thread, which takes a processor from the step
    (benchmarks/NOTES.md).
    """
    ended = timestep.terminated | timestep.truncated
    returns = jnp.where(healthy, runner.episode_return + timestep.reward, runner.episode_return)
    lengths = runner.episode_length + healthy
    count, first = runner.step + jnp.where(healthy, ended.shape[0], 0), jnp.where(healthy, ended, runner.first)
    counted = runner._replace(
        step=count,
        first=first,
        episode_return=jnp.where(first, 0, returns),
        episode_length=jnp.where(first, 0, lengths),
    )
    return counted, Metrics(jnp.where(healthy, count, 0), info, ended & healthy, returns, lengths)


def make_table(runner: Runner, length: int) -> tuple[Packing, Rows]:
    """Empty reports of so many steps, packed in one row for each step and dtype; and how they are packed.

    As in the memory: one write for each dtype, not one for each figure.
    """
    packing = make_packing(jax.eval_shape(empty_metrics, runner))
    empty = packing.pack(empty_metrics(runner))
    return packing, jax.tree.map(lambda row: jnp.broadcast_to(row, (length, *row.shape)), empty)


def empty_metrics(runner: Runner) -> Metrics:
    """The report of a step that was not taken."""
    none_ended = jnp.zeros_like(runner.first)
    return Metrics(jnp.int32(0), no_update(()), none_ended, runner.episode_return, runner.episode_length)
