"""A memory that begins with demonstrations."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from ddpg_jax.agent.ddpg import restart_episodes
from ddpg_jax.agent.state import Agent, AgentState
from ddpg_jax.config import ReplayConfig
from ddpg_jax.replay.buffer import Replay, ReplayState
from ddpg_jax.replay.demonstrations import check_amount, in_columns
from ddpg_jax.training.runner import Runner
from ddpg_jax.types import Transition


def make_prefill(
    agent: Agent, replay: Replay, num_envs: int, config: ReplayConfig
) -> Callable[[Runner, Transition], Runner]:
    """Build `prefill(Runner, Transition [T, ...]) -> Runner`, which stores steps as if they had been taken.

    Running statistics see them, too, and the importance exponent rises with them; the runner's count of steps stays
    where it is, and so does the environment. Of a runner that has stepped, the running episodes are cut in the memory,
    and go on behind the demonstrations as others do. It raises ConfigError where the memory would lose some of them.

    Args:
        agent: whose statistics are carried on.
        replay: the memory.
        num_envs: environments N over whose columns they are laid (`ddpg_jax.replay.demonstrations.in_columns`).
        config: of the memory.
    """

    @partial(jax.jit, donate_argnums=0)
    def store(runner: Runner, columns: Transition) -> Runner:
        def add(carry: tuple[AgentState, ReplayState], step: Transition) -> tuple[tuple[AgentState, ReplayState], None]:
            state, memory = carry
            return (agent.observe(state, step), replay.add(memory, step)), None

        every = jnp.ones(num_envs, jnp.bool_)
        begin = restart_episodes(runner.agent, every), replay.cut(runner.replay, every)
        (state, memory), _ = jax.lax.scan(add, begin, columns)
        return runner._replace(agent=state, replay=memory)

    def prefill(runner: Runner, steps: Transition) -> Runner:
        check_amount(steps, num_envs, config)
        return store(runner, in_columns(steps, num_envs))

    return prefill
