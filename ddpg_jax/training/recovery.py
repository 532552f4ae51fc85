"""Going on after environments failed, or were brought back from a checkpoint."""

import jax
import jax.numpy as jnp

from ddpg_jax.agent import ddpg
from ddpg_jax.envs.protocol import Restored
from ddpg_jax.replay.buffer import Replay
from ddpg_jax.training.faults import Fault
from ddpg_jax.training.runner import Runner


def restart_episodes(runner: Runner, replay: Replay, restored: Restored) -> Runner:
    """A runner on restored environments; those that are not exact stand at the start of a new episode.

    What they had of the old one ends in the memory as truncated, so that it is bootstrapped and no window
    crosses into the new one; their discounted returns start again, and so does noise with a memory, since `first` says
    so.

    Args:
        runner: as the loop left it, also with a fault; its memory is donated.
        replay: whose memory it is.
        restored: the environments, as `Env.restore` gave them.

    Returns:
        The runner, healthy. Nothing of the environments that are exact is changed.
    """
    restarted = jnp.asarray(~restored.exact)
    state, obs = jax.tree.map(jnp.array, (restored.state, restored.obs))
    return runner._replace(
        fault=jnp.int32(Fault.HEALTHY),
        agent=ddpg.restart_episodes(runner.agent, restarted),
        replay=jax.jit(replay.cut, donate_argnums=0)(runner.replay, restarted),
        env=state,
        obs=obs,
        first=runner.first | restarted,
        episode_return=jnp.where(restarted, 0, runner.episode_return),
        episode_length=jnp.where(restarted, 0, runner.episode_length),
    )
