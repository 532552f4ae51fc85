"""Which program runs when: random steps first, then a policy, and updates from some step on."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from ddpg_jax.agent.exploration import Exploration, uniform
from ddpg_jax.agent.state import Agent
from ddpg_jax.config import TrainConfig
from ddpg_jax.envs.protocol import Env
from ddpg_jax.replay.buffer import Replay
from ddpg_jax.training.learner import idle_learner, make_learner
from ddpg_jax.training.loop import make_chunk, make_step
from ddpg_jax.training.runner import Metrics, Runner
from ddpg_jax.types import Key

# Steps are counted in int32.
LARGEST_COUNT = 2**31 - 1
# Steps of one chunk: the keys and the report of all of them are allocated at once.
LONGEST = 10_000


class Phase(NamedTuple):
    """A stretch of the run in which the same program runs.

    Attributes:
        end: environment steps at which it ends.
        run: `run(key, Runner, num_steps) -> (Runner, Metrics)`, compiled, the runner donated.
    """

    end: int
    run: Callable[[Key, Runner, int], tuple[Runner, Metrics]]


def make_phases(
    env: Env,
    agent: Agent,
    replay: Replay,
    exploration: Exploration,
    train: TrainConfig,
) -> list[Phase]:
    """The stretches up to `start_steps`, to `update_after`, and from there on, each a program of its own.

    Before `start_steps` actions are random, before `update_after` nothing is learned: two counts that
    do not depend on each other, and no branch in the step for either.

    Args:
        env: where it acts.
        agent: what learns.
        replay: what it learns from.
        exploration: how it acts from `start_steps` on.
        train: the counts.
    """
    random = uniform(env.spec.action_dim)
    length = min(-(-min(train.log_every, train.total_steps) // env.num_envs), LONGEST)
    begins = sorted({0, train.start_steps, train.update_after})
    ends = [*begins[1:], LARGEST_COUNT // env.num_envs * env.num_envs]

    def make_phase(begin: int, end: int) -> Phase:
        explore = random if begin < train.start_steps else exploration
        learns = begin >= train.update_after
        learner = make_learner(agent, replay, train.updates_per_step) if learns else idle_learner(replay)
        # One call from the program to Python takes less time than two, and pays where nothing is learned meanwhile.
        stepped = env if learns else env._replace(step_beside=None)
        step = make_step(stepped, agent, explore, learner, train.max_skipped_updates)
        chunk = jax.jit(make_chunk(step, learner, length), donate_argnums=1)

        def run(key: Key, runner: Runner, num_steps: int) -> tuple[Runner, Metrics]:
            steps = min(num_steps, end - int(runner.step))
            return chunk(key, runner, min(-(-steps // env.num_envs), length))

        return Phase(end, run)

    return [make_phase(begin, end) for begin, end in zip(begins, ends, strict=True)]
